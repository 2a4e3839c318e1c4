"""From AWS Config's messages and objects to versions, latest states and events: the function before an engine.

`engine` is osmem here; `tests/engine/test_config_function_on_node.py` runs every test of this module once more on a real node.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from generate import CONFIG, CONFIG_BUCKET, INSTANCE, config_objects, sample_objects

from audit_search import index_template
from audit_search.aws_config.history import History
from audit_search.bulk import Retries
from audit_search.errors import ReturnedError
from tests.support.aws import TRAIL, Aws, Front, Stored, failures, s3_event, sqs_event
from tests.support.engines import TestEngine
from tests.support.fault_proxy import Answer, Fault, FaultProxy, Pass, RejectItems, ResetAfter, ResetBefore
from tests.support.function import Function, make_config_function, make_function

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "config"
"""Real messages and objects beside the project, where they are."""
PLACE = "AWSLogs/111122223333/Config/eu-central-1/2026/11/20"
MADE = "2026-11-20T10:00:00.000Z"
VOLUME = "vol-0d6e5f40312091827"

Make = Callable[..., Function]
Json = dict[str, Any]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, engine: TestEngine) -> Make:
    """The function before the engine, with settings of one's own; its bucket is there, and CloudTrail's queue."""
    engine.install(*index_template.CONFIG)
    aws.bucket(CONFIG_BUCKET)
    queue = aws.queue()

    def made(**settings: str) -> Function:
        usual = {"INDEX_PREFIX": engine.prefix, "ALLOWED_BUCKETS": CONFIG_BUCKET, "TRAIL_QUEUE_URL": queue.url}
        return make_config_function(monkeypatch, capsys, aws, engine.endpoint, **(usual | settings))

    return made


@pytest.fixture
def function(make: Make) -> Function:
    """The function with usual settings."""
    return make()


@pytest.fixture
def stored(aws: Aws) -> dict[str, Stored]:
    """Every sample object in the bucket, by key."""
    return {sample.key: aws.put(sample.path.read_bytes(), sample.key, CONFIG_BUCKET) for sample in config_objects()}


def payload(name: str) -> Json:
    """A sample event."""
    event: Json = json.loads((CONFIG / f"{name}.json").read_text("utf-8"))
    return event


def family(engine: TestEngine, name: str, query: Json | None = None) -> list[Json]:
    """The documents of a family, the oldest first."""
    engine.call("POST", f"/{engine.prefix}*/_refresh")
    body = {"size": 1_000, "query": query or {"match_all": {}}, "sort": [{"@timestamp": "asc"}]}
    status, answer = engine.call("POST", f"/{engine.prefix}{name}/_search?ignore_unavailable=true", body)
    assert status == 200, answer
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def sizes(engine: TestEngine) -> tuple[int, int, int]:
    """How many versions, latest states and events there are."""
    versions, latest, events = (len(family(engine, name)) for name in ("config-history", "config-current", "config-events"))
    return versions, latest, events


def item(identity: str = "vol-1", at: str = MADE, **fields: Any) -> Json:
    """A configuration item; `fields` replace or add."""
    usual: Json = {
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": at,
        "configurationStateId": int(at[17:19]) + 1,
        "awsAccountId": "111122223333",
        "configurationItemStatus": "OK",
        "resourceType": "AWS::EC2::Volume",
        "resourceId": identity,
        "awsRegion": "eu-central-1",
        "tags": {},
        "relatedEvents": [],
        "relationships": [],
        "configuration": {"size": 8},
        "supplementaryConfiguration": {},
    }
    return usual | fields


def change(one: Json, **more: Any) -> Json:
    """The stream's message of an item."""
    kind = "ConfigurationItemChangeNotification"
    return {
        "messageType": kind,
        "notificationCreationTime": MADE,
        "configurationItem": one,
        "configurationItemDiff": None,
        **more,
    }


def oversized(location: str) -> Json:
    """The message of an item that was too large, and lies in the bucket."""
    return {
        "messageType": "OversizedConfigurationItemChangeNotification",
        "notificationCreationTime": MADE,
        "configurationItemSummary": {"resourceType": "AWS::EC2::Volume", "resourceId": "vol-1", "awsAccountId": "111122223333"},
        "s3DeliverySummary": {"s3BucketLocation": location, "errorCode": None, "errorMessage": None},
    }


def put_items(aws: Aws, *items: Json, kind: str = "ConfigHistory", name: str = "one") -> Stored:
    """A history, or a snapshot, of some items."""
    content = {"fileVersion": "1.0", "configSnapshotId": "s-1", "configurationItems": list(items)}
    key = f"{PLACE}/{kind}/111122223333_Config_eu-central-1_{kind}_{name}_20261120T100500Z_1.json.gz"
    return aws.put(gzip.compress(json.dumps(content).encode()), key, CONFIG_BUCKET)


def accounted(function: Function) -> dict[str, int]:
    """The metrics of the last call that are not zero, having seen that they add up."""
    found = {name: int(value) for name, value in function.metrics.items() if name != "EventLag"}
    ended = ("Indexed", "Duplicate", "Filtered", "Quarantined", "Returned")
    assert found["RecordsRead"] == sum(found[f"Records{name}"] for name in ended)
    return {name: value for name, value in found.items() if value}


# --- everything there is ------------------------------------------------------------------------------------------------


def test_every_sample_is_understood(aws: Aws, engine: TestEngine, function: Function, stored: dict[str, Stored]) -> None:
    """All payloads of all envelopes, one after the other and once more: each version once, nothing returns."""
    assert stored
    names = sorted(path.stem for path in CONFIG.glob("*.json"))
    assert len(names) == 23
    for name in names:
        answer = function(payload(name))
        assert answer.get("batchItemFailures", []) == [], name
        accounted(function)
        engine.call("POST", f"/{engine.prefix}*/_refresh")  # what a snapshot lacks is found by a search
    once = sizes(engine)
    versions = [
        (one["cfg"]["resource"], one["configurationItemCaptureTime"], one["configurationStateId"])
        for one in family(engine, "config-history")
    ]
    assert len(versions) == len(set(versions))
    latest = family(engine, "config-current")
    assert {one["cfg"]["resource"] for one in latest} == {resource for resource, _, _ in versions}
    for name in reversed(names):
        function(payload(name))
        assert "RecordsIndexed" not in accounted(function), name
    assert sizes(engine) == once


def test_a_life_is_told_from_its_beginning_to_its_end(engine: TestEngine, function: Function) -> None:
    """Launched, tagged, a volume attached, stopped, changed, started, gone: before and after, and a tombstone."""
    assert failures(function(payload("config_life_of_a_web_server"))) == []
    lines = [one["cfg"]["changeLines"][0] for one in family(engine, "config-history", {"term": {"resourceId": INSTANCE}})]
    assert lines == [
        'status  null -> "ResourceDiscovered"',
        'Tags.Name  null -> "web-1"',
        f'AWS::EC2::Volume  null -> "{VOLUME}"',
        'Configuration.State.Name  "running" -> "stopped"',
        'Configuration.InstanceType  "m7i.large" -> "m7i.medium"',
        'Configuration.State.Name  "stopped" -> "running"',
        'status  "OK" -> "ResourceDeleted"',
    ]
    (latest,) = family(engine, "config-current", {"term": {"resourceId": INSTANCE}})
    assert latest["cfg"]["deleted"] is True
    assert "configuration" not in latest


def test_relationships_are_asked_in_both_directions_and_have_a_period(engine: TestEngine, function: Function) -> None:
    """Which instance has the volume, which volumes has the instance, exactly as pairs; and from when until when."""
    function(payload("config_life_of_a_web_server"))

    def related(family_name: str, resource: str, other: str) -> list[str]:
        pair = {"bool": {"filter": [{"term": {"relationships.resourceId": other}}, {"prefix": {"relationships.name": "Is "}}]}}
        query = {"bool": {"filter": [{"term": {"resourceId": resource}}, {"nested": {"path": "relationships", "query": pair}}]}}
        return [one["configurationItemCaptureTime"] for one in family(engine, family_name, query)]

    assert related("config-history", INSTANCE, VOLUME)[0] == "2026-11-04T10:22:45.391Z"
    held = related("config-history", VOLUME, INSTANCE)
    every = [one["configurationItemCaptureTime"] for one in family(engine, "config-history", {"term": {"resourceId": VOLUME}})]
    assert (held, every[-1]) == (["2026-11-04T10:22:46.118Z"], "2026-11-12T16:14:41.302Z")  # until that one
    assert related("config-current", VOLUME, INSTANCE) == []
    flat = family(engine, "config-history", {"term": {"cfg.relatedIds": VOLUME}})
    assert {one["resourceId"] for one in flat} == {INSTANCE}


def test_a_global_resource_is_one_wherever_it_was_recorded(engine: TestEngine, function: Function) -> None:
    """Three regions send the same role by three topics: one version, one latest state."""
    function(payload("config_several_regions"))
    assert accounted(function)["RecordsRead"] == 3
    versions = family(engine, "config-history")
    assert [(one["awsRegion"], one["resourceType"]) for one in versions] == [("global", "AWS::IAM::Role")]
    assert len(family(engine, "config-current")) == 1
    assert versions[0]["cfg"]["topic"].startswith("arn:aws:sns:")


def test_what_is_cloudtrails_is_handed_on_and_indexed_there(
    aws: Aws,
    engine: TestEngine,
    make: Make,
    stored: dict[str, Stored],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A topic that carries both: CloudTrail's notice goes to CloudTrail's queue, and its function makes documents of it."""
    assert stored
    queue = aws.queue()
    function = make(TRAIL_QUEUE_URL=queue.url)
    assert failures(function(payload("config_mixed_topic"))) == []
    counts = accounted(function)
    assert (counts["ObjectsHandedOn"], counts["MessagesForeign"], counts["RecordsQuarantined"]) == (1, 3, 2)
    event = aws.poll(queue, 1)
    key = json.loads(event["Records"][0]["body"])["s3ObjectKey"][0]
    sample = next(sample for sample in sample_objects() if sample.key == key)
    bucket = aws.bucket(json.loads(event["Records"][0]["body"])["s3Bucket"])
    aws.put(sample.path.read_bytes(), key, bucket)
    settings = {"INDEX_PREFIX": engine.prefix, "ALLOWED_BUCKETS": bucket}
    trail = make_function(monkeypatch, capsys, aws, engine.endpoint, **settings)
    assert failures(trail(event)) == []
    assert trail.metrics["RecordsIndexed"] > 0


# --- disorder, snapshots ------------------------------------------------------------------------------------------------


def test_stream_history_and_snapshot_are_one_history(aws: Aws, engine: TestEngine, function: Function) -> None:
    """The same versions by three ways, the newest first: each is there once, with what changed since its neighbour."""
    versions = [item(at=f"2026-11-20T0{hour}:00:0{hour}.000Z", configuration={"size": hour}) for hour in range(1, 5)]
    history = put_items(aws, *versions[1:3])
    snapshot = put_items(aws, versions[3], kind="ConfigSnapshot")
    for body in (s3_event(snapshot), s3_event(history), *(change(one) for one in reversed(versions))):
        assert failures(function(sqs_event(body))) == []
    told = family(engine, "config-history")
    assert [one["configuration"]["size"] for one in told] == [1, 2, 3, 4]
    assert [one["cfg"].get("changeLines") for one in told] == [
        None,
        *([f"Configuration.Size  {size} -> {size + 1}"] for size in range(1, 4)),
    ]
    (latest,) = family(engine, "config-current")
    assert latest["configuration"] == {"size": 4}


def test_a_snapshot_reports_what_it_no_longer_lists(aws: Aws, engine: TestEngine, function: Function) -> None:
    """A resource that is not in it is an event, once for each snapshot, unless it is deleted or newer; nothing is deleted."""
    gone, deleted, later, here = (item(name) for name in ("vol-gone", "vol-deleted", "vol-later", "vol-here"))
    deleted |= {"configurationItemStatus": "ResourceDeleted", "configuration": None}
    later |= {"configurationItemCaptureTime": "2026-11-20T10:30:00.000Z"}
    function(sqs_event(*(change(one) for one in (gone, deleted, later, here))))
    engine.call("POST", f"/{engine.prefix}*/_refresh")
    snapshot = put_items(aws, here, kind="ConfigSnapshot")
    for missing in (1, 1):
        assert failures(function(sqs_event(s3_event(snapshot)))) == []
        counts = accounted(function)
        assert (counts["RecordsRead"], counts["RecordsDuplicate"], counts["ResourcesMissing"]) == (1, 1, missing)
    (event,) = family(engine, "config-events")
    assert (event["messageType"], event["resourceId"], event["outcome"]) == ("ResourceMissingFromSnapshot", "vol-gone", "missing")
    assert len(family(engine, "config-history")) == 4
    latest = {one["resourceId"]: one["cfg"]["deleted"] for one in family(engine, "config-current")}
    assert latest == {"vol-gone": False, "vol-deleted": True, "vol-later": False, "vol-here": False}


def test_a_snapshot_that_cannot_be_understood_reports_nothing_missing(aws: Aws, engine: TestEngine, function: Function) -> None:
    """A text that should be an item may be the one that seems missing."""
    function(sqs_event(change(item("vol-1"))))
    engine.call("POST", f"/{engine.prefix}*/_refresh")
    snapshot = put_items(aws, item("vol-2"), {"resourceType": "AWS::EC2::Volume"}, kind="ConfigSnapshot")
    function(sqs_event(s3_event(snapshot)))
    counts = accounted(function)
    assert (counts["RecordsIndexed"], counts["RecordsQuarantined"]) == (1, 1)
    assert "ResourcesMissing" not in counts
    assert family(engine, "config-events") == []


# --- bad input ----------------------------------------------------------------------------------------------------------


def test_an_oversized_item_that_may_not_be_read_returns_and_comes_again(aws: Aws, engine: TestEngine, make: Make) -> None:
    """Without the permission the message returns, its summary being kept; with it everything is there, and nothing twice."""
    key = f"{PLACE}/OversizedChangeNotification/AWS::EC2::Volume/vol-1/one.json.gz"
    aws.put(gzip.compress(json.dumps(change(item())).encode()), key, CONFIG_BUCKET)
    front = Front(aws.endpoint)
    front.refusals[key] = (403, "AccessDenied", "Access Denied")
    function = make(AWS_ENDPOINT_URL_S3=front.endpoint)
    event = sqs_event(oversized(f"{CONFIG_BUCKET}/{key}"))
    assert failures(function(event)) == ["m0"]
    assert "denied" in next(line["reason"] for line in function.logged if line["message"] == "message returned")
    assert sizes(engine) == (0, 0, 1)
    front.refusals.clear()
    assert failures(function(event)) == []
    assert sizes(engine) == (1, 1, 1)
    assert family(engine, "config-history")[0]["cfg"]["source"] == "oversized"
    front.close()


def test_of_an_oversized_item_that_is_gone_the_summary_is_left(aws: Aws, engine: TestEngine, function: Function) -> None:
    """The message is done, the summary is an event, it is counted, and no pointer goes to quarantine."""
    assert failures(function(sqs_event(oversized(f"{CONFIG_BUCKET}/{PLACE}/OversizedChangeNotification/x/gone.json.gz")))) == []
    counts = accounted(function)
    assert (counts["OnlySummaries"], counts["ObjectsFailed"], counts["EventsIndexed"]) == (1, 1, 1)
    assert "Quarantined" not in counts
    assert (aws.keys(), sizes(engine)) == ([], (0, 0, 1))


def test_a_history_that_is_gone_leaves_a_pointer(aws: Aws, function: Function) -> None:
    """Nothing else holds what was in it."""
    key = f"{PLACE}/ConfigHistory/gone.json.gz"
    assert failures(function(sqs_event(s3_event(Stored(CONFIG_BUCKET, key))))) == []
    assert [(line["key"], line["error"]["type"], line["position"]) for line in aws.quarantined()] == [(key, "gone", None)]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"messageType": "ConfigurationItemChangeNotification", "configurationItem": {"a', "not_json"),
        ('{"messageType": "ConfigForecast"}', "unknown_message_type"),
        ('{"messageType": 7}', "unknown_message_type"),
        (json.dumps(change({"resourceType": "AWS::EC2::Volume"})), "no_resource"),
        (json.dumps(change(None)), "no_item"),  # type: ignore[arg-type]
        (json.dumps(change([])), "no_item"),  # type: ignore[arg-type]
        (
            '{"messageType": "ConfigurationHistoryDeliveryCompleted", "notificationCreationTime": "2026-11-20T10:00:00Z"}',
            "no_object",
        ),
    ],
)
def test_what_cannot_be_read_is_kept_whole_with_its_reason(aws: Aws, function: Function, body: str, kind: str) -> None:
    """The message is done; its text, its id and the reason are in quarantine, once however often it comes."""
    for _ in range(2):
        assert failures(function(sqs_event(body))) == []
        assert accounted(function)["RecordsQuarantined"] == 1
    (line,) = aws.quarantined()
    assert (line["messageId"], line["error"]["type"], line["position"]) == ("m0", kind, 0)
    assert line["error"]["reason"]
    assert line["raw"] in body


@pytest.mark.parametrize(
    ("content", "code"),
    [(b'{"configurationItems":[{"a', "not-gzip"), (gzip.compress(b'{"configurationItems":[{"a')[:-9], "truncated"),
     (gzip.compress(b'{"configurationItems":[nonsense]}'), "not_json"), (gzip.compress(b"[1]"), "not-json"),
     (gzip.compress(b'{"Records":[]}'), "no-records")],
    ids=["not gzip", "truncated", "an item that is none", "a list", "other records"],
)  # fmt: skip
def test_a_broken_object_is_named_in_quarantine(aws: Aws, function: Function, content: bytes, code: str) -> None:
    """No retry could read it: its pointer is kept, and the message is done."""
    one = aws.put(content, f"{PLACE}/ConfigHistory/broken.json.gz", CONFIG_BUCKET)
    good = change(item())
    assert failures(function(sqs_event(s3_event(one), good))) == []
    assert accounted(function)["RecordsIndexed"] == 1
    assert code in {line["error"]["type"] for line in aws.quarantined()}


def test_odd_items_are_indexed_whole(engine: TestEngine, function: Function) -> None:
    """Tags with dots, no capture time, `configuration` as text, null, list or 6 MB: each is a version, with its own text."""
    odd = [
        item("dots", tags={"kubernetes.io/cluster/a.b": "owned", "aws:cloudformation:stack-name": "s", "": "e", "a.b": "c"}),
        item("untimed", configurationItemCaptureTime=None, configurationStateId="1795168800000"),
        item("timeless", configurationItemCaptureTime=None, configurationStateId="x"),
        item("as-text", configuration=json.dumps({"size": 9})),
        item("null", configuration=None),
        item("a-list", configuration=[1, {"a": 2}]),
        item("a-word", configuration="word"),
        item("deep", configuration=json.loads("[" * 200 + "]" * 200)),
        item("large", configuration={f"key{number}": "x" * 1_000 for number in range(1_000)}),
        item("huge", configuration={"text": "y" * 6_000_000}),
        item("wide", configuration={f"k{number}": number for number in range(5_000)}),
        item("half", resourceName="\ud800", configuration={"\ud800": "\x00"}),
    ]
    for start in range(0, len(odd), 4):
        answer = function(sqs_event(*(change(one) for one in odd[start : start + 4])))
        assert failures(answer) == [], function.logged
        assert accounted(function)["RecordsIndexed"] == 4
    by_name = {one["resourceId"]: one for one in family(engine, "config-history")}
    assert set(by_name) == {one["resourceId"] for one in odd}
    assert {one["resourceId"] for one in family(engine, "config-current")} == set(by_name)
    found = family(engine, "config-history", {"term": {"cfg.tagList": "kubernetes.io/cluster/a.b=owned"}})
    assert [one["resourceId"] for one in found] == ["dots"]
    assert (by_name["untimed"]["cfg"]["capturedFrom"], by_name["timeless"]["cfg"]["capturedFrom"]) == ("stateId", "delivered")
    assert by_name["as-text"]["configuration"] == {"size": 9}
    assert len(by_name["huge"]["raw"]) > 6_000_000
    assert {one["resourceId"] for one in family(engine, "config-history", {"term": {"configuration.size": "9"}})} == {"as-text"}


def test_a_bucket_that_is_not_on_the_list_is_not_read(aws: Aws, function: Function) -> None:
    """Whoever can send a message does not choose what is read: it returns with the reason."""
    other = aws.put(b"x", f"{PLACE}/ConfigHistory/x.json.gz", TRAIL)
    assert failures(function(sqs_event(s3_event(other)))) == ["m0"]
    assert "ALLOWED_BUCKETS" in next(line["reason"] for line in function.logged if line["message"] == "message returned")


def test_without_a_queue_what_is_cloudtrails_returns(make: Make) -> None:
    """It is never dropped: the reason names the variable; what else was in the batch is done."""
    function = make(TRAIL_QUEUE_URL="")
    notice = {"s3Bucket": TRAIL, "s3ObjectKey": ["AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/x.json.gz"]}
    assert failures(function(sqs_event(notice, change(item())))) == ["m0"]
    assert "TRAIL_QUEUE_URL" in next(line["reason"] for line in function.logged if line["message"] == "message returned")
    with pytest.raises(ReturnedError, match="TRAIL_QUEUE_URL"):
        function({"Records": [{"Sns": {"Message": json.dumps(notice)}}]})


def test_what_cannot_be_put_into_quarantine_returns(aws: Aws, engine: TestEngine, make: Make) -> None:
    """Nothing is done half: the good item of the batch is there, the other message comes again."""
    function = make(QUARANTINE_BUCKET="not-there")
    assert failures(function(sqs_event('{"messageType": "ConfigForecast"}', change(item())))) == ["m0"]
    assert sizes(engine) == (1, 1, 0)


def test_nothing_is_written_before_the_templates_are_there(engine: TestEngine, function: Function) -> None:
    """One that lacks keeps everything back: a first document would make an index with a dynamic mapping."""
    engine.call("DELETE", f"/_index_template/{engine.prefix}config-current")
    assert failures(function(sqs_event(change(item())))) == ["m0"]
    assert engine.indices() == []
    engine.install(*index_template.CONFIG)
    assert failures(function(sqs_event(change(item())))) == []


@pytest.mark.parametrize(
    "fault",
    [
        Answer.unavailable(),
        Answer.throttled(),
        ResetAfter(),
        ResetBefore(),
        RejectItems(),
    ],
    ids=["503", "429", "answer lost", "reset", "items refused for now"],
)
def test_whatever_the_engine_does_the_next_delivery_ends_right(engine: TestEngine, make: Make, fault: Fault) -> None:
    """Each request of the first delivery in turn meets it for good: the message returns or is done; then all is there, once."""
    items = [item(at=f"2026-11-20T0{hour}:00:00.000Z", configuration={"size": hour}) for hour in (1, 2, 3)]
    event = sqs_event(*(change(one) for one in items))
    for passing in range(4):
        with FaultProxy(engine.endpoint) as proxy:
            function = make(OPENSEARCH_ENDPOINT=proxy.endpoint)
            function.retries = Retries(attempts=2, base=0.001, cap=0.002, timeout=20)
            proxy.script(*[Pass()] * passing)
            proxy.rule = lambda _request: fault
            function(event)
            accounted(function)
            proxy.rule = lambda _request: Pass()
            assert failures(function(event)) == []
    told = family(engine, "config-history")
    assert [one["cfg"].get("changeLines") for one in told] == [
        None,
        ["Configuration.Size  1 -> 2"],
        ["Configuration.Size  2 -> 3"],
    ]
    assert [one["configuration"]["size"] for one in family(engine, "config-current")] == [3]


def test_an_engine_that_is_down_returns_everything(engine: TestEngine, make: Make) -> None:
    """Nothing is decided about what could not be asked; later everything is there."""
    with FaultProxy(engine.endpoint) as proxy:
        function = make(OPENSEARCH_ENDPOINT=proxy.endpoint)
        function.retries = Retries(attempts=2, base=0.001, cap=0.002, timeout=5)
        assert failures(function(sqs_event(change(item("first"))))) == []
        proxy.down()
        event = sqs_event(change(item("second")), {"messageType": "ScheduledNotification"}, "text of others")
        assert failures(function(event)) == ["m0"]
        proxy.up()
        assert failures(function(event)) == []
    assert {one["resourceId"] for one in family(engine, "config-current")} == {"first", "second"}


def test_a_mistake_of_ours_returns_the_batch_and_shows_nothing(
    engine: TestEngine, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message returns with the kind and place of the mistake, never with content."""

    def broken(*_: object) -> None:
        raise ValueError("canary-77")

    with monkeypatch.context() as patch:
        patch.setattr(History, "write", broken)
        assert failures(function(sqs_event(change(item())))) == ["m0"]
    assert "ValueError at test_config_function.py" in json.dumps(function.logged)
    assert not any("canary-77" in line for line in function.output)
    assert failures(function(sqs_event(change(item())))) == []


def test_retention_filters_versions_and_keeps_the_latest_state(engine: TestEngine, make: Make) -> None:
    """An old version gets no document of its own, but a resource that has not changed since is still known."""
    function = make(RETENTION_DAYS="30")
    old = item(at="2024-11-20T10:00:00.000Z")
    assert failures(function(sqs_event(change(old)))) == []
    assert accounted(function)["RecordsFiltered"] == 1
    assert sizes(engine) == (0, 1, 0)


# --- real ones ----------------------------------------------------------------------------------------------------------


def test_real_messages_and_items_are_indexed_or_foreign(aws: Aws, engine: TestEngine, make: Make) -> None:
    """All public samples: nothing quarantined, nothing returned; what is not AWS Config's is counted as foreign."""
    if not SHARED.exists():
        return  # they lie beside the project, where they are at all
    buckets = set()
    total: Counter[str] = Counter()
    messages = [path.read_text("utf-8") for path in sorted(SHARED.glob("*/notifications/*.json"))]
    envelopes = [path.read_text("utf-8") for path in sorted(SHARED.glob("*/sns_envelopes/*.json"))]
    for text in (*messages, *envelopes):
        body = json.loads(text)
        body = json.loads(body["Message"]) if "Message" in body and "{" in body["Message"][:1] else body
        summary = body.get("s3DeliverySummary") or {}
        buckets |= {body.get("s3Bucket"), (summary.get("s3BucketLocation") or "").partition("/")[0]} - {None, ""}
    for bucket in buckets:
        aws.bucket(bucket)
    function = make(ALLOWED_BUCKETS=",".join([CONFIG_BUCKET, *buckets]))
    for text in (*messages, *envelopes):
        assert failures(function(sqs_event(text))) == [], text[:300]
        total.update(accounted(function))
    objects = [*SHARED.glob("*/snapshot/*.json.gz"), *SHARED.glob("*/history/*.json.gz")]
    for path in [*objects, *SHARED.glob("*/ci/*.json")]:
        content = path.read_bytes()
        packed = content if path.suffix == ".gz" else gzip.compress(content)
        one = aws.put(packed, f"{PLACE}/ConfigHistory/{path.name}.json.gz", CONFIG_BUCKET)
        assert failures(function(sqs_event(s3_event(one)))) == [], path
        total.update(accounted(function))
    assert total["RecordsIndexed"] > 40
    pointers = [line for line in aws.quarantined() if line["position"] is not None]
    assert pointers == []
    assert total["RecordsQuarantined"] == 0
    assert {line["error"]["type"] for line in aws.quarantined()} <= {"gone"}  # deliveries whose objects are not public


def test_a_body_in_base64_is_no_message_of_ours(function: Function) -> None:
    """Text that is no JSON is foreign, whatever it holds."""
    assert failures(function(sqs_event(base64.b64encode(b"{}").decode()))) == []
    assert accounted(function)["MessagesForeign"] == 1
