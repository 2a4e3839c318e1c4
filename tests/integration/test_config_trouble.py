"""Bad input and bad times for the AWS Config function: nothing is lost, nothing is there twice, and each reason has a name.

`engine` is osmem here; `tests/engine/test_config_function_on_node.py` runs every test of this module once more on a real node.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from generate import CONFIG_BUCKET

from audit_search import index_template
from audit_search.aws_config import pipeline
from audit_search.aws_config.documents import HealthEvent, Origin
from audit_search.aws_config.history import Arrival, History, Written
from audit_search.aws_config.messages import Reading, read_message
from audit_search.bulk import Retries
from audit_search.envelopes import Notification
from audit_search.errors import ReturnedError
from tests.integration.test_config_function import Make, function, make, queue
from tests.support.aws import TRAIL, Aws, Front, Stored, failures, s3_event, sqs_event
from tests.support.config_deliveries import (
    Json,
    accounted,
    change,
    compliance,
    family,
    folder,
    item,
    names,
    oversized,
    put_items,
    reason,
    sizes,
)
from tests.support.engines import TestEngine
from tests.support.fault_proxy import (
    Answer,
    DropItem,
    Fault,
    FaultProxy,
    Hold,
    Pass,
    RejectItems,
    ResetAfter,
    ResetBefore,
    ShardsFail,
)
from tests.support.function import Function

__all__ = ["function", "make", "queue"]

PLACE = folder()
REQUESTS = ("_bulk", "_mget", "_search")
CANARY = "canary-77"


# --- objects ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def front(aws: Aws) -> Iterator[Front]:
    """S3 that refuses where it is told to."""
    front = Front(aws.endpoint)
    yield front
    front.close()


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InternalError"])
def test_an_oversized_item_that_may_not_be_read_returns_and_comes_again(
    aws: Aws, engine: TestEngine, make: Make, front: Front, code: str
) -> None:
    """Without the permission the message returns, its summary being kept; with it everything is there, and nothing twice."""
    key = f"{PLACE}/OversizedChangeNotification/AWS::EC2::Volume/vol-1/one.json.gz"
    aws.put(gzip.compress(json.dumps(change(item())).encode()), key, CONFIG_BUCKET)
    front.refusals[key] = (403 if code == "AccessDenied" else 400, code, "made up for a test")
    function = make(AWS_ENDPOINT_URL_S3=front.endpoint)
    event = sqs_event(oversized(f"{CONFIG_BUCKET}/{key}"))
    assert failures(function(event)) == ["m0"]
    assert key in reason(function)
    assert code != "AccessDenied" or "denied" in reason(function)
    assert (aws.keys(), sizes(engine)) == ([], (0, 0, 1))
    front.refusals.clear()
    for _ in range(2):
        assert failures(function(event)) == []
        assert sizes(engine) == (1, 1, 1)
    assert family(engine, "config-history")[0]["cfg"]["source"] == "oversized"


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
    ("content", "code"),
    [
        (b'{"configurationItems":[{"a', "not-gzip"),
        (gzip.compress(b'{"configurationItems":[{"a')[:-9], "truncated"),
        (gzip.compress(b'{"configurationItems":[nonsense]}'), "not_json"),
        (gzip.compress(b"[1]"), "not-json"),
        (gzip.compress(b'{"Records":[]}'), "no-records"),
        (gzip.compress(b""), "no-records"),
    ],
    ids=["not gzip", "truncated", "an item that is none", "a list", "other records", "empty"],
)
def test_a_broken_object_is_named_in_quarantine(aws: Aws, function: Function, content: bytes, code: str) -> None:
    """No retry could read it: its pointer is kept, and the message is done, as its neighbour is."""
    one = aws.put(content, f"{PLACE}/ConfigHistory/broken.json.gz", CONFIG_BUCKET)
    for _ in range(2):
        assert failures(function(sqs_event(s3_event(one), change(item())))) == []
    assert [line["error"]["type"] for line in aws.quarantined()] == [code]


def test_what_comes_before_the_cut_is_indexed(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Of a history that ends in the middle the items before are versions, and the pointer says what happened."""
    text = json.dumps({"configurationItems": [item(f"vol-{number}", padding="x" * 3_000) for number in range(200)]})
    cut = aws.put(gzip.compress(text.encode()[:-30_000]), f"{PLACE}/ConfigHistory/cut.json.gz", CONFIG_BUCKET)
    assert failures(function(sqs_event(s3_event(cut)))) == []
    indexed = accounted(function)["RecordsIndexed"]
    assert 150 < indexed < 200
    assert len(family(engine, "config-history")) == indexed
    assert [line["error"]["type"] for line in aws.quarantined()] == ["truncated"]


def test_a_bucket_that_is_not_on_the_list_is_not_read(aws: Aws, function: Function) -> None:
    """Whoever can send a message does not choose what is read: it returns with the reason."""
    other = aws.put(b"x", f"{PLACE}/ConfigHistory/x.json.gz", TRAIL)
    assert failures(function(sqs_event(s3_event(other)))) == ["m0"]
    assert "ALLOWED_BUCKETS" in reason(function)


# --- messages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"messageType": "ConfigurationItemChangeNotification", "configurationItem": {"a', "not_json"),
        ('{"messageType": "ConfigForecast"}', "unknown_message_type"),
        ('{"messageType": 7}', "unknown_message_type"),
        (json.dumps(change({"resourceType": "AWS::EC2::Volume"})), "no_resource"),
        (json.dumps(change(None)), "no_item"),
        (json.dumps(change([])), "no_item"),
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


def test_messages_of_others_are_counted(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Alarms, texts, lists, base64 and events of other services: foreign, done, and nothing of them anywhere."""
    others: list[object] = [
        {"AlarmName": "root sign-in", "NewStateValue": "ALARM"},
        {"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "detail": {"state": "stopped"}},
        "Dear customer",
        "[1, 2]",
        "7",
        base64.b64encode(b"{}").decode(),
    ]
    assert failures(function(sqs_event(*others))) == []
    assert accounted(function) == {"MessagesForeign": len(others), "ObjectsSkipped": len(others)}
    assert (aws.keys(), engine.indices()) == ([], [])


def test_no_content_is_in_the_log(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Whatever comes of a message or an object: the log has names, counts and causes, quarantine has the text."""
    secret = {"password": CANARY}
    bodies: list[object] = [
        change(item(configuration=secret)),
        change(item(resourceId="", configuration=secret)),
        {"messageType": "ConfigForecast", **secret},
        {"AlarmName": CANARY},
        f"Dear {CANARY}",
        json.dumps(change(item(configuration=secret)))[:-40],
        s3_event(put_items(aws, item("other", configuration=secret), {"resourceType": CANARY}, CANARY)),
    ]
    engine.call("PUT", f"/{engine.prefix}config-history-2013.11", {"settings": {"index.blocks.write": True}})
    bodies.append(change(item("blocked", "2013-11-20T10:00:00.000Z", configuration=secret)))
    function(sqs_event(*bodies))
    accounted(function)
    assert not any(CANARY in line for line in function.output)
    assert any(CANARY in str(line["raw"]) for line in aws.quarantined())


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
        item("wide", configuration={f"k{number}": number for number in range(2_000)}),
        item("half", resourceName="\ud800", configuration={"\ud800": "\x00"}),
    ]
    for start in range(0, len(odd), 4):
        answer = function(sqs_event(*(change(one) for one in odd[start : start + 4])))
        assert failures(answer) == [], function.logged
        assert accounted(function)["RecordsIndexed"] == 4
    by_name = {one["resourceId"]: one for one in family(engine, "config-history")}
    assert set(by_name) == set(names(odd))
    assert set(names(family(engine, "config-current"))) == set(by_name)
    found = family(engine, "config-history", {"term": {"cfg.tagList": "kubernetes.io/cluster/a.b=owned"}})
    assert names(found) == ["dots"]
    assert (by_name["untimed"]["cfg"]["capturedFrom"], by_name["timeless"]["cfg"]["capturedFrom"]) == ("stateId", "delivered")
    assert by_name["as-text"]["configuration"] == {"size": 9}
    assert "configuration" not in by_name["null"]
    for one in odd:
        assert by_name[one["resourceId"]]["raw"] == json.dumps(one)
    assert names(family(engine, "config-history", {"term": {"configuration.size": "9"}})) == ["as-text"]


# --- what surrounds the function ----------------------------------------------------------------------------------------


def test_without_a_queue_what_is_cloudtrails_returns(engine: TestEngine, make: Make) -> None:
    """It is never dropped: the reason names the variable; what else was in the batch is done."""
    function = make(TRAIL_QUEUE_URL="")
    notice = {"s3Bucket": TRAIL, "s3ObjectKey": ["AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/x.json.gz"]}
    assert failures(function(sqs_event(notice, change(item()), notice))) == ["m0", "m2"]
    assert "TRAIL_QUEUE_URL" in reason(function)
    assert sizes(engine) == (1, 1, 0)
    with pytest.raises(ReturnedError, match="TRAIL_QUEUE_URL"):
        function({"Records": [{"Sns": {"Message": json.dumps(notice)}}]})


def test_a_queue_that_is_not_there_is_tried_once(aws: Aws, make: Make) -> None:
    """Each try in vain may take as long as the function has left: the others return with the same reason."""
    calls = []

    def gone(**_: object) -> None:
        calls.append("x")

    function = make(TRAIL_QUEUE_URL=f"{aws.endpoint}/123456789012/nowhere")
    notices = [
        {"s3Bucket": TRAIL, "s3ObjectKey": [f"AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/{number}.json.gz"]}
        for number in range(3)
    ]
    trail = function.container.pipeline.trail
    trail._client = trail._make()
    trail._client.meta.events.register("before-call.sqs.SendMessage", gone)
    assert failures(function(sqs_event(*notices))) == ["m0", "m1", "m2"]
    assert len(calls) == 1
    assert all("nowhere" in line["reason"] for line in function.logged if line["message"] == "message returned")


def test_what_cannot_be_put_into_quarantine_returns(aws: Aws, engine: TestEngine, make: Make) -> None:
    """Nothing is done half: the good item of the batch is there, the other message comes again, and later is kept."""
    function = make(QUARANTINE_BUCKET="not-there")
    event = sqs_event('{"messageType": "ConfigForecast"}', change(item()))
    assert failures(function(event)) == ["m0"]
    assert "not-there" in reason(function)
    assert sizes(engine) == (1, 1, 0)
    aws.bucket("not-there")
    assert failures(function(event)) == []
    assert [line["error"]["type"] for line in aws.quarantined("not-there")] == ["unknown_message_type"]


@pytest.mark.parametrize("absent", index_template.CONFIG)
def test_nothing_is_written_before_the_templates_are_there(engine: TestEngine, function: Function, absent: str) -> None:
    """One that lacks keeps everything back: a first document would make an index with a dynamic mapping."""
    engine.call("DELETE", f"/_index_template/{index_template.name(engine.prefix, absent)}")
    assert failures(function(sqs_event(change(item()), compliance(), {"Event": "s3:TestEvent"}))) == ["m0", "m1"]
    assert engine.indices() == []
    engine.install(*index_template.CONFIG)
    assert failures(function(sqs_event(change(item()), compliance()))) == []
    assert sizes(engine) == (1, 1, 1)


# --- the engine ---------------------------------------------------------------------------------------------------------

FAULTS: dict[str, Fault] = {
    "503": Answer.unavailable(),
    "429": Answer.throttled(),
    "403": Answer.forbidden(),
    "a page of HTML": Answer.bad_gateway(),
    "answer lost": ResetAfter(),
    "reset": ResetBefore(),
    "an answer too few": DropItem(),
    "shards fail": ShardsFail(),
    "items refused for now": RejectItems(),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_whatever_the_engine_does_the_next_delivery_ends_right(aws: Aws, engine: TestEngine, make: Make, fault: Fault) -> None:
    """Each request of a delivery in turn, and all after it, meet the fault: what returns comes again, and all is there, once.

    The delivery has late versions, a snapshot that lacks a resource, and an event: the function reads, writes and searches.
    """
    met: set[str] = set()
    returned = 0
    with FaultProxy(engine.endpoint, REQUESTS) as proxy:
        function = make(OPENSEARCH_ENDPOINT=proxy.endpoint)
        function.retries = Retries(attempts=2, base=0.001, cap=0.002, timeout=20)
        for passing in count():
            region = f"eu-test-{passing}"
            versions = [
                item("life", f"2026-11-20T0{hour}:00:00.000Z", awsRegion=region, configuration={"size": hour})
                for hour in range(1, 5)
            ]
            first = change(versions[0]), change(versions[3]), change(item("gone", awsRegion=region))
            assert failures(function(sqs_event(*first))) == []
            engine.call("POST", f"/{engine.prefix}*/_refresh")
            snapshot = put_items(aws, versions[3], kind="ConfigSnapshot", name=region, region=region)
            event = sqs_event(*map(change, versions[1:3]), s3_event(snapshot), compliance(region))
            before = len(proxy.bulk_requests) + passing
            proxy.script(*[Pass()] * passing)
            proxy.rule = lambda _request: fault
            left = failures(function(event))
            accounted(function)
            faulty = {request.kind for request in proxy.bulk_requests[before:]}
            met |= faulty
            returned += len(left)
            proxy.rule = lambda _request: Pass()
            if left:  # a message that is done is gone from the queue
                assert failures(function({"Records": [one for one in event["Records"] if one["messageId"] in left]})) == []
                accounted(function)
            assert_all_is_there(engine, region)
            if not faulty:
                break
    assert met == set(REQUESTS)
    assert returned


def assert_all_is_there(engine: TestEngine, region: str) -> None:
    """Assert that the versions of a region are one history, with the events of its snapshot and of its rule."""
    mine = {"term": {"awsRegion": region}}
    told = [one for one in family(engine, "config-history", mine) if one["resourceId"] == "life"]
    assert [one["cfg"].get("changeLines") for one in told] == [
        None,
        *([f"Configuration.Size  {size} -> {size + 1}"] for size in range(1, 4)),
    ]
    latest = {one["resourceId"]: one["configuration"]["size"] for one in family(engine, "config-current", mine)}
    assert latest == {"life": 4, "gone": 8}
    assert names(family(engine, "config-events", mine)) == ["gone"]
    assert len(family(engine, "config-events", {"term": {"configRuleName": region}})) == 1


def test_an_engine_that_is_down_returns_everything(engine: TestEngine, make: Make) -> None:
    """Nothing is decided about what could not be asked; later everything is there."""
    with FaultProxy(engine.endpoint) as proxy:
        function = make(OPENSEARCH_ENDPOINT=proxy.endpoint)
        function.retries = Retries(attempts=2, base=0.001, cap=0.002, timeout=5)
        assert failures(function(sqs_event(change(item("first"))))) == []
        proxy.down()
        event = sqs_event(change(item("second")), {"messageType": "ScheduledNotification"}, "text of others", compliance())
        assert failures(function(event)) == ["m0", "m3"]
        proxy.up()
        assert failures(function(event)) == []
    assert set(names(family(engine, "config-current"))) == {"first", "second"}
    assert len(family(engine, "config-events")) == 1


# --- time ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUESTS)
def test_time_that_ends_in_the_middle_of_a_snapshot_loses_nothing(aws: Aws, engine: TestEngine, make: Make, kind: str) -> None:
    """The engine no longer answers while a snapshot is read: it returns with what was not written, and comes again."""
    items = [item(f"vol-{number:04}") for number in range(1_200)]
    with FaultProxy(engine.endpoint, REQUESTS) as proxy:
        function = make(OPENSEARCH_ENDPOINT=proxy.endpoint)
        assert failures(function(sqs_event(change(item("gone"))))) == []
        engine.call("POST", f"/{engine.prefix}*/_refresh")
        snapshot = put_items(aws, *items, kind="ConfigSnapshot")
        held = Hold()
        first = len(proxy.bulk_requests)
        proxy.rule = lambda request: held if request.kind == kind and len(proxy.bulk_requests) > first + 2 else Pass()
        assert failures(function(sqs_event(s3_event(snapshot)), remaining=6_000)) == ["m0"]
        accounted(function)
        held.release.set()
        proxy.rule = lambda _request: Pass()
        assert failures(function(sqs_event(s3_event(snapshot)))) == []
        counts = accounted(function)
        assert counts["RecordsRead"] == 1_200
        assert counts.get("RecordsIndexed", 0) + counts.get("RecordsDuplicate", 0) == 1_200
    assert names(family(engine, "config-events")) == ["gone"]
    assert sorted(names(family(engine, "config-history"))) == sorted(["gone", *names(items)])


def test_little_time_left_returns_everything_untouched(aws: Aws, engine: TestEngine, function: Function) -> None:
    """The function ends before Lambda ends it, and says what is not done."""
    event = sqs_event(change(item()), s3_event(put_items(aws, item("other"))), compliance())
    assert failures(function(event, remaining=0)) == ["m0", "m1", "m2"]
    assert engine.indices() == []
    assert "time" in reason(function)
    assert failures(function(event)) == []
    assert sizes(engine) == (2, 2, 1)


# --- mistakes of ours ---------------------------------------------------------------------------------------------------


@pytest.fixture
def mistaken(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A program that trips over whatever is called so, wherever it comes from."""
    write, write_events = History.write, History.write_events

    def broken(self: History, arrivals: Sequence[Arrival], deadline: float) -> Written:
        if any(CANARY in arrival.item.resource_id for arrival in arrivals):
            raise ValueError(CANARY)
        return write(self, arrivals, deadline)

    def broken_events(self: History, events: Sequence[tuple[HealthEvent, Origin]], deadline: float) -> Written:
        if any(CANARY in one.raw for one, _ in events):
            raise ValueError(CANARY)
        return write_events(self, events, deadline)

    def broken_reading(notification: Notification | str, *, received: int = 0) -> Reading:
        if "unheard-of" in str(notification):
            raise ValueError(CANARY)
        return read_message(notification, received=received)

    with monkeypatch.context() as patch:
        patch.setattr(History, "write", broken)
        patch.setattr(History, "write_events", broken_events)
        patch.setattr(pipeline, "read_message", broken_reading)
        yield patch


def test_a_mistake_of_ours_returns_what_it_is_about_alone(
    aws: Aws, engine: TestEngine, function: Function, mistaken: pytest.MonkeyPatch
) -> None:
    """In a snapshot, a message and an event: the neighbours are indexed, and the log has the place and no content."""
    items = [item(f"vol-{number}") for number in range(700)]
    items[333] = item(CANARY)
    good: list[Json] = [change(item(f"good-{number}")) for number in range(3)]
    history = s3_event(put_items(aws, *items))
    event = sqs_event(
        *good, change(item(f"{CANARY}-message")), history, compliance(CANARY), compliance(), {"messageType": "unheard-of"}
    )
    assert failures(function(event)) == ["m3", "m4", "m5", "m7"]
    counts = accounted(function)
    assert (counts["RecordsIndexed"], counts["RecordsReturned"]) == (702, 2)
    assert (counts["EventsRead"], counts["EventsIndexed"]) == (2, 1)
    assert "ValueError at test_config_trouble.py" in json.dumps(function.logged)
    assert not any(CANARY in line for line in function.output)
    assert CANARY not in names(family(engine, "config-history"))
    mistaken.undo()
    event["Records"][-1]["body"] = "{}"
    assert failures(function(event)) == []
    assert sizes(engine) == (704, 704, 2)


def test_a_mistake_about_everything_ends(function: Function, mistaken: pytest.MonkeyPatch, aws: Aws) -> None:
    """Looking for the item that is to blame has its limits: the messages return."""

    def broken(*_: Any) -> Written:
        raise ValueError(CANARY)

    mistaken.setattr(History, "write", broken)
    items = [item(f"vol-{number}") for number in range(1_200)]
    assert failures(function(sqs_event(s3_event(put_items(aws, *items)), change(item())))) == ["m0", "m1"]
    assert accounted(function)["RecordsReturned"] == 1_201
