"""From AWS Config's messages and objects to versions, latest states and events: the function before an engine.

`engine` is osmem here; `tests/engine/test_config_function_on_node.py` runs every test of this module once more on a real node.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from generate import CONFIG, CONFIG_BUCKET, INSTANCE, config_objects, sample_objects

from audit_search import index_template
from audit_search.envelopes import ObjectRef, replay_order
from tests.support.aws import Aws, Queue, Stored, failures, s3_event, sqs_event
from tests.support.config_deliveries import Json, accounted, change, family, folder, item, put_items, sizes
from tests.support.engines import TestEngine
from tests.support.function import Function, make_config_function, make_function

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "config"
"""Real messages and objects beside the project, where they are."""
VOLUME = "vol-0d6e5f40312091827"

Make = Callable[..., Function]


@pytest.fixture
def queue(aws: Aws) -> Queue:
    """CloudTrail's queue."""
    return aws.queue()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, engine: TestEngine, queue: Queue) -> Make:
    """The function before the engine, with settings of one's own; its bucket is there, and CloudTrail's queue."""
    engine.install(*index_template.CONFIG)
    aws.bucket(CONFIG_BUCKET)

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


# --- everything there is ------------------------------------------------------------------------------------------------

ITEM = {"RecordsRead": 1, "RecordsIndexed": 1}
EVENT = {"EventsRead": 1, "EventsIndexed": 1}
SAMPLES: dict[str, tuple[dict[str, int], tuple[int, int, int]]] = {
    "config_compliance_change": (EVENT, (0, 0, 1)),
    "config_compliance_eventbridge": (EVENT, (0, 0, 1)),
    "config_history_completed": ({"RecordsRead": 3, "RecordsIndexed": 3, **EVENT}, (3, 1, 1)),
    "config_history_failed": (EVENT, (0, 0, 1)),
    "config_item": (ITEM, (1, 1, 0)),
    "config_item_deleted": (ITEM, (1, 1, 0)),
    "config_item_eventbridge": (ITEM, (1, 1, 0)),
    "config_item_eventbridge_in_sqs": (ITEM, (1, 1, 0)),
    "config_item_in_a_list": (ITEM, (1, 1, 0)),
    "config_item_raw_in_sqs": (ITEM, (1, 1, 0)),
    "config_item_sns": (ITEM, (1, 1, 0)),
    "config_life_of_a_web_server": ({"RecordsRead": 20, "RecordsIndexed": 20}, (20, 7, 0)),
    "config_mixed_topic": (
        {
            "RecordsRead": 3,
            "RecordsIndexed": 1,
            "RecordsQuarantined": 2,
            "Quarantined": 2,
            "MessagesForeign": 3,
            "ObjectsSkipped": 3,
            "ObjectsHandedOn": 1,
        },
        (1, 1, 0),
    ),
    "config_oversized": ({**ITEM, **EVENT}, (1, 1, 1)),
    "config_oversized_delivery_failed": (EVENT, (0, 0, 1)),
    "config_rules_evaluation_started": (EVENT, (0, 0, 1)),
    # Of the snapshot's seven items four are versions of the histories; it lacks one resource, which is an event.
    "config_s3_in_sqs": (
        {
            "RecordsRead": 24,
            "RecordsIndexed": 18,
            "RecordsDuplicate": 4,
            "RecordsQuarantined": 2,
            "Quarantined": 2,
            "ObjectsHandedOn": 1,
        },
        (18, 11, 1),
    ),
    "config_replay_in_sqs": (
        {"RecordsRead": 24, "RecordsIndexed": 18, "RecordsDuplicate": 4, "RecordsQuarantined": 2, "Quarantined": 2},
        (18, 11, 1),
    ),
    "config_scheduled": ({"ObjectsSkipped": 1}, (0, 0, 0)),
    "config_several_regions": ({"RecordsRead": 3, "RecordsIndexed": 1, "RecordsDuplicate": 2}, (1, 1, 0)),
    "config_snapshot_completed": ({"RecordsRead": 7, "RecordsIndexed": 7, **EVENT}, (7, 7, 1)),
    "config_snapshot_failed": (EVENT, (0, 0, 1)),
    "config_snapshot_started": (EVENT, (0, 0, 1)),
    "config_unknown_message_type": ({"RecordsRead": 1, "RecordsQuarantined": 1, "Quarantined": 1}, (0, 0, 0)),
}
"""What each sample event counts, and how many versions, latest states and events there are after it."""
QUARANTINED: dict[str, list[tuple[str, int]]] = {
    "config_mixed_topic": [("no_item", 0), ("not_json", 0)],
    "config_s3_in_sqs": [("no_resource", 3), ("not_an_object", 1)],
    "config_replay_in_sqs": [("no_resource", 3), ("not_an_object", 1)],
    "config_unknown_message_type": [("unknown_message_type", 0)],
}
"""What it leaves in quarantine: why, and where it stood in its message or object."""
WORK = {"BulkRequests", "ObjectsRead"}


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIG.glob("*.json")))
def test_each_sample_ends_as_it_has_to(
    aws: Aws, engine: TestEngine, function: Function, stored: dict[str, Stored], name: str
) -> None:
    """Counts, documents and quarantine of each payload in its envelope; a second delivery adds nothing."""
    assert stored
    counts, documents = SAMPLES[name]
    answer = function(payload(name))
    assert answer.get("batchItemFailures", []) == []
    if "batchItemFailures" not in answer:  # a direct event is answered with the counts
        assert (answer["indexed"], answer["events_indexed"]) == (counts.get("RecordsIndexed", 0), counts.get("EventsIndexed", 0))
    # What a snapshot lacks is found by a search, which sees nothing before the engine's next refresh.
    found = {key: value for key, value in accounted(function).items() if key not in WORK}
    missing = found.pop("ResourcesMissing", 0)
    if missing and name in ("config_s3_in_sqs", "config_replay_in_sqs"):
        found = {key: value for key, value in found.items() if not key.startswith("Events")}
    assert found == counts
    engine.call("POST", f"/{engine.prefix}*/_refresh")
    function(payload(name))
    again = accounted(function)
    assert "RecordsIndexed" not in again
    assert again.get("RecordsDuplicate", 0) == counts.get("RecordsIndexed", 0) + counts.get("RecordsDuplicate", 0)
    assert sizes(engine) == documents
    kept = [(line["error"]["type"], line["position"]) for line in aws.quarantined()]
    assert sorted(kept) == QUARANTINED.get(name, [])


def test_all_samples_together_are_each_version_once(engine: TestEngine, function: Function, stored: dict[str, Stored]) -> None:
    """All payloads one after the other, then backwards: the same versions by whichever envelope."""
    assert stored
    assert sorted(SAMPLES) == sorted(path.stem for path in CONFIG.glob("*.json"))
    for name in SAMPLES:
        function(payload(name))
        engine.call("POST", f"/{engine.prefix}*/_refresh")
    once = sizes(engine)
    versions = [
        (one["cfg"]["resource"], one["configurationItemCaptureTime"], one["configurationStateId"])
        for one in family(engine, "config-history")
    ]
    assert len(versions) == len(set(versions))
    latest = family(engine, "config-current")
    assert {one["cfg"]["resource"] for one in latest} == {resource for resource, _, _ in versions}
    for name in reversed(SAMPLES):
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
    versions = family(engine, "config-history")
    assert [(one["awsRegion"], one["resourceType"]) for one in versions] == [("global", "AWS::IAM::Role")]
    assert len(family(engine, "config-current")) == 1
    assert versions[0]["cfg"]["topic"].startswith("arn:aws:sns:")


def test_the_same_id_elsewhere_is_another_resource(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Several topics, regions and accounts in one batch: each resource by itself, with the topic that it came from."""

    def noticed(topic: str, one: Json) -> Json:
        return {"Type": "Notification", "TopicArn": topic, "Timestamp": "2026-11-20T10:00:01.000Z", "Message": json.dumps(one)}

    places = [("111122223333", "eu-central-1"), ("111122223333", "eu-west-1"), ("444455556666", "eu-central-1")]
    topics = {place: f"arn:aws:sns:{place[1]}:{place[0]}:config" for place in places}
    bodies = [noticed(topic, change(item(awsAccountId=place[0], awsRegion=place[1]))) for place, topic in topics.items()]
    assert failures(function(sqs_event(*bodies))) == []
    latest = family(engine, "config-current")
    assert {(one["awsAccountId"], one["awsRegion"]): one["cfg"]["topic"] for one in latest} == topics
    assert len({one["cfg"]["resource"] for one in latest}) == len(family(engine, "config-history")) == 3


def test_what_is_cloudtrails_is_handed_on_and_indexed_there(
    aws: Aws,
    engine: TestEngine,
    function: Function,
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A topic that carries both: CloudTrail's notice goes to CloudTrail's queue, and its function makes documents of it."""
    assert failures(function(payload("config_mixed_topic"))) == []
    event = aws.poll(queue, 1)
    notice = json.loads(event["Records"][0]["body"])
    (key,) = notice["s3ObjectKey"]
    sample = next(sample for sample in sample_objects() if sample.key == key)
    bucket = aws.bucket(notice["s3Bucket"])
    aws.put(sample.path.read_bytes(), key, bucket)
    settings = {"INDEX_PREFIX": engine.prefix, "ALLOWED_BUCKETS": bucket}
    trail = make_function(monkeypatch, capsys, aws, engine.endpoint, **settings)
    assert failures(trail(event)) == []
    assert trail.metrics["RecordsIndexed"] == len(sample.elements)
    engine.refresh()
    assert engine.search({"match_all": {}}, size=1_000)[0]["_source"]["ct"]["key"] == key


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


def test_an_object_that_several_messages_name_is_read_once(aws: Aws, function: Function) -> None:
    """AWS Config's own message and S3's notification in one batch: one reading, and both messages are done."""
    history = put_items(aws, item("a"), item("b"))
    told = {
        "messageType": "ConfigurationHistoryDeliveryCompleted",
        "notificationCreationTime": "2026-11-20T10:05:01.000Z",
        "s3Bucket": history.bucket,
        "s3ObjectKey": history.key,
    }
    assert failures(function(sqs_event(told, s3_event(history), s3_event(history)))) == []
    counts = accounted(function)
    assert (counts["RecordsRead"], counts["RecordsIndexed"], counts["EventsIndexed"]) == (2, 2, 1)


def test_what_is_indexed_again_is_marked_unless_it_is_live_too(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Versions of an object that only an order to index it again names; what a message of S3's names as well stays live."""
    again, both = put_items(aws, item("a"), name="a"), put_items(aws, item("b"), name="b")
    refs = [ObjectRef(one.bucket, one.key, size=one.size) for one in (again, both)]
    assert failures(function(sqs_event(replay_order(again.bucket, refs), s3_event(both)))) == []
    modes = {one["resourceId"]: one["cfg"]["ingestMode"] for one in family(engine, "config-history")}
    assert modes == {"a": "replay", "b": "live"}


def stamps(engine: TestEngine, name: str) -> dict[str, tuple[int, int]]:
    """By the id of each document of a family how often it has been written, and when last."""
    engine.call("POST", f"/{engine.prefix}*/_refresh")
    body = {"size": 1_000, "version": True, "seq_no_primary_term": True, "query": {"match_all": {}}}
    hits = engine.call("POST", f"/{engine.prefix}{name}/_search", body)[1]["hits"]["hits"]
    return {hit["_id"]: (hit["_version"], hit.get("_seq_no", 0)) for hit in hits}


def test_unchanged_items_cost_no_document(aws: Aws, engine: TestEngine, function: Function) -> None:
    """A daily snapshot of what is known already writes nothing: no version, no latest state, not even the same again."""
    items = [item(f"vol-{number}") for number in range(50)]
    assert failures(function(sqs_event(s3_event(put_items(aws, *items))))) == []
    before = [stamps(engine, name) for name in ("config-history", "config-current")]
    assert [len(one) for one in before] == [50, 50]
    for day in ("monday", "tuesday"):
        snapshot = put_items(aws, *items, kind="ConfigSnapshot", name=day)
        assert failures(function(sqs_event(s3_event(snapshot)))) == []
        assert accounted(function)["RecordsDuplicate"] == 50
    assert [stamps(engine, name) for name in ("config-history", "config-current")] == before


def test_a_snapshot_reports_what_it_no_longer_lists(aws: Aws, engine: TestEngine, function: Function) -> None:
    """A resource that is not in it is an event, once for each snapshot, unless it is deleted or newer; nothing is deleted."""
    gone, deleted, later, here = (item(name) for name in ("vol-gone", "vol-deleted", "vol-later", "vol-here"))
    deleted |= {"configurationItemStatus": "ResourceDeleted", "configuration": None}
    later |= {"configurationItemCaptureTime": "2026-11-20T10:30:00.000Z"}
    function(sqs_event(*(change(one) for one in (gone, deleted, later, here, item("vol-other", awsRegion="eu-west-1")))))
    engine.call("POST", f"/{engine.prefix}*/_refresh")
    snapshot = put_items(aws, here, kind="ConfigSnapshot")
    for indexed in (1, 0):
        assert failures(function(sqs_event(s3_event(snapshot)))) == []
        counts = accounted(function)
        assert (counts["RecordsRead"], counts["RecordsDuplicate"], counts["ResourcesMissing"]) == (1, 1, 1)
        assert (counts["EventsRead"], counts.get("EventsIndexed", 0)) == (1, indexed)
    (event,) = family(engine, "config-events")
    assert (event["messageType"], event["resourceId"], event["outcome"]) == ("ResourceMissingFromSnapshot", "vol-gone", "missing")
    assert len(family(engine, "config-history")) == 5
    latest = {one["resourceId"]: one["cfg"]["deleted"] for one in family(engine, "config-current")}
    assert latest == {"vol-gone": False, "vol-deleted": True, "vol-later": False, "vol-here": False, "vol-other": False}


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


def test_retention_filters_versions_and_keeps_the_latest_state(engine: TestEngine, make: Make) -> None:
    """An old version gets no document of its own, but a resource that has not changed since is still known."""
    function = make(RETENTION_DAYS="30")
    old = item(at="2024-11-20T10:00:00.000Z")
    assert failures(function(sqs_event(change(old)))) == []
    assert accounted(function)["RecordsFiltered"] == 1
    assert sizes(engine) == (0, 1, 0)


# --- real ones ----------------------------------------------------------------------------------------------------------


def message_of(body: Json) -> Json:
    """The message in an SNS envelope, or one without it."""
    message: Json = json.loads(body["Message"]) if "Message" in body else body
    return message


def buckets_of(messages: list[Json]) -> set[str]:
    """The buckets that messages name."""
    found = set()
    for message in map(message_of, messages):
        summary = message.get("s3DeliverySummary") or {}
        found |= {str(message.get("s3Bucket") or ""), str(summary.get("s3BucketLocation") or "").partition("/")[0]}
    return found - {""}


if SHARED.is_dir():

    def test_real_messages_are_indexed_or_foreign(aws: Aws, engine: TestEngine, make: Make) -> None:
        """All public messages and SNS envelopes: nothing in quarantine, nothing returned; what is not AWS Config's is foreign."""
        paths = sorted([*SHARED.glob("*/notifications/*.json"), *SHARED.glob("*/sns_envelopes/*.json")])
        messages = [json.loads(path.read_text("utf-8")) for path in paths]
        buckets = sorted(buckets_of(messages))
        for bucket in buckets:
            aws.bucket(bucket)
        function = make(ALLOWED_BUCKETS=",".join([CONFIG_BUCKET, *buckets]))
        total: Counter[str] = Counter()
        for path in paths:
            assert failures(function(sqs_event(path.read_text("utf-8")))) == [], path
            counts = accounted(function)
            total.update(counts)
            what = "MessagesForeign", "RecordsRead", "EventsRead", "ObjectsHandedOn", "ObjectsFailed", "ObjectsSkipped"
            assert any(counts.get(name) for name in what), path
        kinds = Counter(message_of(one).get("messageType", "none") for one in messages)
        assert (len(messages), total["MessagesForeign"]) == (55, kinds["none"])
        assert total["RecordsRead"] == kinds["ConfigurationItemChangeNotification"] == 40
        assert total["EventsRead"] == len(messages) - 40 - kinds["ScheduledNotification"] - kinds["none"]
        assert total["RecordsQuarantined"] == total["RecordsReturned"] == 0
        assert len(family(engine, "config-history")) == total["RecordsIndexed"]
        # Deliveries whose objects are not public leave their pointers; nothing else does.
        assert {(line["error"]["type"], line["position"]) for line in aws.quarantined()} <= {("gone", None)}

    def test_real_objects_and_bare_items_are_indexed(aws: Aws, engine: TestEngine, function: Function) -> None:
        """Histories, snapshots, and items by themselves: every item is a version, once; a second reading adds none."""
        paths = sorted([*SHARED.rglob("*.json.gz"), *SHARED.glob("*/ci/*.json")])
        total: Counter[str] = Counter()
        again: Counter[str] = Counter()
        stored = []
        for path in paths:
            content = path.read_bytes()
            packed = content if path.suffix == ".gz" else gzip.compress(content)
            kind = "ConfigSnapshot" if "napshot" in str(path) else "ConfigHistory"
            stored.append(aws.put(packed, f"{folder()}/{kind}/{path.parent.parent.name}-{path.name}", CONFIG_BUCKET))
        for one in stored:
            assert failures(function(sqs_event(s3_event(one)))) == [], one
            total.update(accounted(function))
        for one in stored:
            assert failures(function(sqs_event(s3_event(one)))) == [], one
            again.update(accounted(function))
        assert aws.quarantined() == []
        assert total["RecordsRead"] == again["RecordsDuplicate"] == 61
        assert total["RecordsRead"] == total["RecordsIndexed"] + total["RecordsDuplicate"]
        assert len(family(engine, "config-history")) == total["RecordsIndexed"]
