"""Every message of AWS Config, in every envelope, and every object is read for what it asks for."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from generate import BUCKET, CONFIG, CONFIG_BUCKET, SampleObject, config_objects
from hypothesis import given, settings
from hypothesis import strategies as st
from story.config_objects import SNAPSHOT
from story.inventory import all_versions

from audit_search.aws_config.items import Item
from audit_search.aws_config.messages import KINDS, Reading, read_message
from audit_search.aws_config.objects import ObjectItems, Unreadable, delivered, items_of, object_at, place_of, source_of
from audit_search.envelopes import Notification, messages
from audit_search.errors import ObjectError

REAL = Path(__file__).parents[3] / "shared" / "data" / "config"
SAMPLES = {sample.key: sample for sample in config_objects()}
CHANGED = "ConfigurationItemChangeNotification"
RECEIVED = 1_800_000_000_000
ITEM: dict[str, Any] = {
    "awsAccountId": "111122223333",
    "awsRegion": "eu-central-1",
    "resourceType": "AWS::EC2::Volume",
    "resourceId": "vol-1",
    "configurationItemCaptureTime": "2026-11-07T12:27:26.526Z",
    "configurationStateId": 1794054446526,
    "configurationItemStatus": "OK",
}

# What each message of each fixture is read as, in the words of `told`.
CHANGE, COMPLIANCE = ["item"], ["event ComplianceChangeNotification changed"]
EXPECTED: dict[str, list[list[str]]] = {
    "config_compliance_change": [COMPLIANCE],
    "config_compliance_eventbridge": [COMPLIANCE],
    "config_history_completed": [["event ConfigurationHistoryDeliveryCompleted completed", "read history"]],
    "config_history_failed": [["event ConfigurationHistoryDeliveryFailed failed"]],
    "config_item": [CHANGE],
    "config_item_deleted": [CHANGE],
    "config_item_eventbridge": [CHANGE],
    "config_item_eventbridge_in_sqs": [CHANGE],
    "config_item_in_a_list": [CHANGE],
    "config_item_raw_in_sqs": [CHANGE],
    "config_item_sns": [CHANGE],
    "config_life_of_a_web_server": [CHANGE] * 20,
    "config_mixed_topic": [
        CHANGE,
        ["trail"],
        ["foreign"],
        ["foreign"],
        ["foreign"],
        ["quarantine not_json"],
        ["quarantine no_item"],
    ],
    "config_oversized": [["event OversizedConfigurationItemChangeNotification oversized", "read oversized"]],
    "config_oversized_delivery_failed": [["event OversizedConfigurationItemChangeDeliveryFailed failed"]],
    "config_rules_evaluation_started": [["event ConfigRulesEvaluationStarted started"]],
    "config_s3_in_sqs": [
        *[["read history"]] * 3,
        ["read oversized"],
        ["read snapshot"],
        *[["read history"]] * 2,
        ["read snapshot"],
        ["trail"],
    ],
    "config_replay_in_sqs": [
        [
            *["read history"] * 3,
            "read oversized",
            "read snapshot",
            *["read history"] * 2,
            "read snapshot",
        ]
    ],
    "config_scheduled": [["skipped"]],
    "config_several_regions": [CHANGE] * 3,
    "config_snapshot_completed": [["event ConfigurationSnapshotDeliveryCompleted completed", "read snapshot"]],
    "config_snapshot_failed": [["event ConfigurationSnapshotDeliveryFailed failed"]],
    "config_snapshot_started": [["event ConfigurationSnapshotDeliveryStarted started"]],
    "config_unknown_message_type": [["quarantine unknown_message_type"]],
}


def fixture(name: str) -> Any:
    """A payload as it lies in the folder."""
    return json.loads((CONFIG / f"{name}.json").read_bytes())


def readings(name: str) -> list[list[Reading]]:
    """The readings of each message of a fixture."""
    return [[read_message(one) for one in message.notifications] for message in messages(fixture(name), config=True)]


def told(name: str) -> list[list[str]]:
    """A fixture in the words of `EXPECTED`."""
    found = []
    for message in messages(fixture(name), config=True):
        assert message.error is None
        assert message.skipped == []
        words = [f"read {source_of(ref.key)}" for ref in message.config_objects] + ["trail" for _ in message.objects]
        for one in message.notifications:
            reading = read_message(one)
            words += ["item" for _ in reading.items]
            words += [f"event {event.kind} {event.fields['outcome']}" for event in reading.events]
            words += [f"read {source_of(ref.key)}" for ref in reading.objects] + ["trail" for _ in reading.trail]
            words += ["skipped"] * bool(reading.skipped) + ["foreign"] * bool(reading.foreign)
            words += [f"quarantine {reading.quarantine.type}"] if reading.quarantine else []
        found.append(words)
    return found


def read(message: object, **envelope: str) -> Reading:
    """The reading of a message given as a value."""
    return read_message(Notification(json.dumps(message), **envelope), received=RECEIVED)


def stored(part: str) -> SampleObject:
    """The sample object whose key holds a text."""
    return next(sample for key, sample in SAMPLES.items() if part in key)


def opened(content: bytes, size: int = 1 << 16, **place: Any) -> ObjectItems:
    """The items of an object's inflated content, which comes in chunks of some size."""
    chunks = (content[start : start + size] for start in range(0, len(content), size))
    return items_of(chunks, source="snapshot", delivered=RECEIVED, **place)


def error_of(found: ObjectItems) -> str:
    """The code of the error that reading an object to its end raises."""
    with pytest.raises(ObjectError) as caught:
        list(found)
    return caught.value.code


def test_every_fixture_has_an_expectation_and_every_kind_a_fixture() -> None:
    """No payload of the folder is left out below, and every messageType is among them."""
    assert sorted(EXPECTED) == sorted(path.stem for path in CONFIG.glob("*.json"))
    kinds = {reading.kind for name in EXPECTED for message in readings(name) for reading in message}
    assert set(KINDS) <= kinds


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_fixture_asks_for_what_it_should(name: str) -> None:
    """Each message of each envelope is read for its items, events and objects, or says why there are none."""
    assert told(name) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_without_asking_for_config_nothing_is_collected(name: str) -> None:
    """The function of CloudTrail sees none of it: AWS Config's messages are skipped and only CloudTrail's objects named."""
    for message in messages(fixture(name)):
        assert (message.notifications, message.config_objects) == ([], [])
        assert {ref.bucket for ref in message.objects} <= {BUCKET}


def texts(value: Any) -> Iterator[str]:
    """Every text in a payload, also those in texts that are JSON."""
    if isinstance(value, str):
        yield value
        if value.startswith("{"):
            yield from texts(json.loads(value))
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


@pytest.mark.parametrize(
    "name", ["config_item", "config_item_raw_in_sqs", "config_item_eventbridge_in_sqs", "config_item_in_a_list"]
)
def test_a_message_of_config_keeps_its_own_text(name: str) -> None:
    """From SNS, from a queue and from EventBridge in a queue, an item's text is that of AWS Config, byte for byte."""
    ((reading,),) = readings(name)
    raw = reading.items[0].raw
    assert raw.startswith('{"relatedEvents":[')
    assert any(raw in text for text in texts(fixture(name)))


def test_a_version_is_the_same_from_stream_history_and_snapshot() -> None:
    """Every item of the story that lies in an object has the identity that its message had."""
    stream = {one.identity for message in readings("config_life_of_a_web_server") for reading in message for one in reading.items}
    assert len(stream) == len(all_versions())
    for part in ("ConfigHistory_AWS::EC2::Instance", "ConfigHistory_AWS::EC2::SecurityGroup", "AWS::EC2::Volume", SNAPSHOT):
        found = list(opened(stored(part).content))
        assert found
        assert {one.identity for one in found if isinstance(one, Item)} <= stream


def test_a_global_resource_of_several_regions_is_one() -> None:
    """A role that three recorders saw, and a history of another region, are versions of one resource."""
    seen = [reading.items[0] for (reading,) in readings("config_several_regions")]
    assert [one.recorded_in for one in seen] == ["eu-central-1", "us-east-1", "eu-west-1"]
    history = [one for one in opened(stored("AWS::IAM::Role").content) if isinstance(one, Item)]
    assert {one.identity for one in seen} == {history[0].identity}
    assert {one.resource for one in [*seen, *history]} == {history[0].resource}


def test_the_message_says_what_changed() -> None:
    """An item carries its message's difference, or none where the message has null."""
    opened_port = readings("config_item_sns")[0][0].items[0]
    assert opened_port.diff is not None
    assert list(opened_port.diff["changedProperties"]) == ["Configuration.IpPermissions.0"]
    assert readings("config_item_in_a_list")[0][0].items[0].diff is None


def test_a_compliance_change_is_an_event() -> None:
    """Rule, resource, and compliance before and after are fields; SNS and EventBridge make the same document."""
    (((reading,),), ((bridged,),)) = readings("config_compliance_change"), readings("config_compliance_eventbridge")
    (event,) = reading.events
    assert (event.account, event.region) == ("111122223333", "eu-central-1")
    assert event.time == int(datetime(2026, 11, 5, 13, 59, 8, 405_000, tzinfo=UTC).timestamp() * 1000)
    assert event.fields["configRuleName"] == "restricted-ssh"
    assert (event.fields["previousComplianceType"], event.fields["complianceType"]) == ("COMPLIANT", "NON_COMPLIANT")
    assert event.fields["annotation"] == "Port 22 ist für alle offen"
    assert "newEvaluationResult" in event.fields["details"]
    again = read_message(Notification(json.dumps(json.loads(event.raw), indent=2), "2026-11-20T00:00:00Z")).events[0]
    assert again.identity == event.identity != bridged.events[0].identity


def test_an_oversized_item_has_a_summary_and_a_place() -> None:
    """The event keeps the summary whether there is an object or not; a failure names its error."""
    (((there,),), ((failed,),)) = readings("config_oversized"), readings("config_oversized_delivery_failed")
    (ref,) = there.objects
    assert (ref.bucket, ref.key) == (CONFIG_BUCKET, stored("OversizedChangeNotification").key)
    for reading in (there, failed):
        (event,) = reading.events
        assert event.fields["resourceId"] == "sg-0777666655554444a"
        assert event.fields["details"]["configurationItemSummary"]["changeType"] == "CREATE"
        assert (event.account, event.region) == ("111122223333", "eu-central-1")
    assert failed.events[0].fields["errorCode"] == "AccessDenied"
    assert failed.objects == []


def test_the_oversized_object_is_the_item_with_its_difference() -> None:
    """The object has the shape of a message; its item and its difference are read."""
    (found,) = opened(stored("OversizedChangeNotification").content, 1_000)
    assert isinstance(found, Item)
    assert found.resource_id == "sg-0777666655554444a"
    assert found.diff == {"changedProperties": {}, "changeType": "CREATE"}


@pytest.mark.parametrize("key", sorted(SAMPLES))
@pytest.mark.parametrize("size", [1, 997, 1 << 20])
def test_an_object_gives_its_items(key: str, size: int) -> None:
    """Each object of the samples is read whole, in chunks of any size, each text as it stands there."""
    found = opened(SAMPLES[key].content, size)
    items = list(found)
    assert found.read == len(items) == len(SAMPLES[key].elements)
    texts = [one.raw.encode() if isinstance(one, Item) else one.text for one in items]
    assert [json.loads(text) for text in texts] == [json.loads(element) for element in SAMPLES[key].elements]
    assert all(text in SAMPLES[key].content for text in texts)
    assert found.file_version == ("" if "ChangeNotification" in key else "1.0")
    assert found.snapshot_id == (SNAPSHOT if SNAPSHOT in key else "")


def test_odd_items_are_read_and_what_is_none_is_handed_out() -> None:
    """Old dialects between broken elements: sound items are read, and the broken ones say where they stood."""
    found = list(opened(stored("444455556666_Config").content))
    items = [one for one in found if isinstance(one, Item)]
    broken = [one for one in found if isinstance(one, Unreadable)]
    assert [(one.region, one.captured_from) for one in items] == [
        ("eu-west-1", ""),
        ("eu-west-1", "stateId"),
        ("eu-west-1", "delivered"),
    ]
    assert items[1].tags == {"kubernetes.io/cluster/shop": "owned", "Kosten.Stelle": "4711", "": "no name"}
    assert items[2].supplementary == {"Policy": {"Statement": []}, "Note": "{not JSON"}
    assert [(one.position, one.rejection.type) for one in broken] == [(1, "not_an_object"), (3, "no_resource")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "no-records"),
        (b"   ", "no-records"),
        (b"{}", "no-records"),
        (b'{"Records":[]}', "no-records"),
        (b'{"configurationItems":null}', "no-records"),
        (b'{"configurationItems":{}}', "no-records"),
        (b'{"configurationItem":null}', "no-records"),
        (b"nonsense", "not-json"),
        (b"[]", "not-json"),
        (b'{"fileVersion":"1.0"', "truncated"),
        (b'{"configurationItems":[{"a":1},{"b"', "truncated"),
    ],
)
def test_an_object_that_is_none_has_a_code(content: bytes, code: str) -> None:
    """What is wrong with an object has one of the codes by which objects are quarantined or returned."""
    assert error_of(opened(content)) == code


def test_what_came_before_an_error_is_handed_out() -> None:
    """The items before the end of a truncated object are not lost."""
    content = stored(SNAPSHOT).content
    found = opened(content[: len(content) * 2 // 3], 500)
    items: list[Item | Unreadable] = []
    with pytest.raises(ObjectError) as caught:
        items.extend(found)
    assert caught.value.code == "truncated"
    assert found.read >= 2


def test_a_broken_element_leaves_its_neighbours_alone() -> None:
    """An element that is not JSON is handed out by itself."""
    sound = json.dumps(ITEM).encode()
    found = list(opened(b'{"configurationItems":[' + sound + b',{"awsAccountId":nonsense},' + sound + b"]}"))
    assert [isinstance(one, Item) for one in found] == [True, False, True]


def test_bare_items_and_answers_of_the_api_are_read() -> None:
    """One item as a file, with a mark of byte order or white space, and the API's lists are objects as well."""
    text = json.dumps(ITEM, indent=2).encode()
    for content in (text, b"\xef\xbb\xbf" + text, b"\n " + text + b"\n", b'{"baseConfigurationItems":[' + text + b'],"x":1}'):
        (found,) = opened(content)
        assert isinstance(found, Item)
        assert found.resource_id == "vol-1"


def test_times_and_places_come_from_names() -> None:
    """An object's account, region, kind and time stand in its key, the time only where it can be true."""
    last = datetime(2026, 11, 21, tzinfo=UTC)
    for key in SAMPLES:
        assert place_of(key)[0] in ("111122223333", "444455556666")
        assert place_of(key)[1] in ("eu-central-1", "us-east-1", "eu-west-1")
    assert place_of("p/o-1/AWSLogs/o-1/111122223333/Config/eu-west-1/2026/1/1/ConfigHistory/x") == ("111122223333", "eu-west-1")
    assert place_of("Config/x") == place_of("a/Config/b/c") == ("", "")
    history = stored("ConfigHistory_AWS::EC2::SecurityGroup").key
    assert delivered(history, None, last) == int(datetime(2026, 11, 5, 14, 6, 10, tzinfo=UTC).timestamp() * 1000)
    assert delivered("x.json.gz", "2026-11-20T00:00:00Z", last) == 1_795_132_800_000
    assert delivered("x_20990101T000000Z.json.gz", None, last) == delivered("x", "2099-01-01T00:00:00Z", last)
    assert delivered("x", None, last) == int(last.timestamp() * 1000)
    assert source_of("x.json.gz") == "history"


@pytest.mark.parametrize("location", ["bucket/a/b", "s3://bucket/a/b", "arn:aws:s3:::bucket/a/b"])
def test_a_bucket_location_is_a_bucket_and_a_key(location: str) -> None:
    """Each way to write where an object lies names it."""
    ref = object_at(location)
    assert ref is not None
    assert (ref.bucket, ref.key) == ("bucket", "a/b")
    assert object_at("bucket") is object_at("") is object_at("/key") is None


def test_foreign_messages_are_told_apart_without_showing_them() -> None:
    """What is not AWS Config's is counted with its keys or its length, never with what it holds."""
    for message, words in (
        ({"AlarmName": "secret", "b": 1}, "AlarmName, b"),
        ([1, 2], "not an object"),
        ("secret", "not an object"),
        (None, "not an object"),
    ):
        found = read(message)
        assert words in found.foreign
        assert "secret" not in found.foreign
        assert found.kind == ""
    assert read_message("hello, secret").foreign == "13 characters of text"


@pytest.mark.parametrize("text", ["{", "[1,", '{"messageType":"x"', ' {"a":}'])
def test_broken_json_is_for_quarantine(text: str) -> None:
    """A message that begins as JSON and is none may have been AWS Config's: it is kept whole."""
    found = read_message(text)
    assert found.quarantine is not None
    assert found.quarantine.type == "not_json"
    assert not found.foreign


@pytest.mark.parametrize("kind", ["ConfigForecast", "", 5, None, ["x"]])
def test_an_unknown_type_is_for_quarantine(kind: object) -> None:
    """A messageType that is not known is kept whole, with a reason that names it."""
    found = read({"messageType": kind, "configurationItem": ITEM})
    assert found.quarantine is not None
    assert found.quarantine.type == "unknown_message_type"
    assert found.items == []


def test_cloudtrails_own_message_is_handed_on() -> None:
    """A message that names objects without being AWS Config's is CloudTrail's."""
    found = read({"s3Bucket": "b", "s3ObjectKey": ["x", "y"]})
    assert [ref.key for ref in found.trail] == ["x", "y"]
    assert not found.objects


@pytest.mark.parametrize("broken", ["text", 5, {}, {"resourceType": "T"}, [ITEM, 7]])
def test_an_item_that_is_none_is_unreadable(broken: object) -> None:
    """A notification whose item is broken hands it out for quarantine; sound ones beside it are read."""
    found = read({"messageType": CHANGED, "configurationItem": broken})
    assert len(found.unreadable) == 1
    assert len(found.items) == (isinstance(broken, list))
    assert found.quarantine is None


def test_the_time_of_the_message_stands_in_for_the_capture_time() -> None:
    """The message's own time, else its envelope's, else that of its receipt."""
    item = ITEM | {"configurationItemCaptureTime": None, "configurationStateId": 1}
    message = {"messageType": CHANGED, "configurationItem": item}
    own = read(message | {"notificationCreationTime": "2026-11-07T12:30:00Z"}, sent="2026-11-07T12:31:00Z")
    sent = read(message, sent="2026-11-07T12:31:00Z")
    assert own.items[0].captured == 1_794_054_600_000
    assert sent.items[0].captured == 1_794_054_660_000
    assert read(message).items[0].captured == RECEIVED
    assert {one.items[0].captured_from for one in (own, sent)} == {"delivered"}
    assert read_message(json.dumps(message)).unreadable[0].rejection.type == "no_time"
    event = {"messageType": "ConfigRulesEvaluationStarted", "configRuleNames": ["x"]}
    assert read(event | {"notificationCreationTime": "9999-01-01T00:00:00Z"}).events[0].time == RECEIVED
    assert getattr(read_message(json.dumps(event)).quarantine, "type", None) == "no_time"


def test_a_queue_tells_when_a_message_was_sent() -> None:
    """Without an envelope that has a time, that of the queue counts: it is the same in each delivery."""
    item = ITEM | {"configurationItemCaptureTime": None, "configurationStateId": 1}
    body = json.dumps({"messageType": CHANGED, "configurationItem": item})
    record = {"messageId": "m", "body": body, "attributes": {"SentTimestamp": "1794054660000"}}
    (message,) = messages({"Records": [record]}, config=True)
    assert read_message(message.notifications[0]).items[0].captured == 1_794_054_660_000


def test_a_completed_delivery_without_an_object_is_for_quarantine() -> None:
    """The event is kept, and that its object is not named is not passed over."""
    found = read({"messageType": "ConfigurationHistoryDeliveryCompleted", "s3Bucket": "b"})
    assert len(found.events) == 1
    assert getattr(found.quarantine, "type", None) == "no_object"


def test_a_message_that_a_strict_parser_refuses_is_read_exactly() -> None:
    """NaN and half a surrogate pair do not stop a message, and the item keeps its own text."""
    raw = json.dumps(ITEM)[:-1] + ', "configuration": {"a": NaN, "b": "\\ud800"}}'
    found = read_message('{"messageType":"' + CHANGED + '", "configurationItem" : ' + raw + "}")
    assert found.items[0].raw == raw
    assert found.items[0].configuration == {"a": "NaN", "b": "\ufffd"}
    bridged = {"detail-type": "x", "source": "aws.config", "detail": {"messageType": CHANGED, "configurationItem": ITEM}}
    body = json.dumps(bridged).replace('"OK"', "NaN")
    (message,) = messages({"Records": [{"messageId": "m", "body": body}]}, config=True)
    assert read_message(message.notifications[0]).items[0].status == "NaN"


def test_eventbridge_tells_account_and_region() -> None:
    """Where item and ARN are silent, the envelope of EventBridge knows; a topic does not."""
    item = {name: value for name, value in ITEM.items() if name not in ("awsAccountId", "awsRegion")}
    detail = {"messageType": CHANGED, "configurationItem": item}
    event = {"detail-type": "x", "source": "aws.config", "account": "444455556666", "region": "eu-west-1", "detail": detail}
    (message,) = messages(event, config=True)
    found = read_message(message.notifications[0]).items[0]
    assert (found.account, found.region) == ("444455556666", "eu-west-1")


FIELDS = (
    *("configurationItem", "configurationItemDiff", "s3DeliverySummary", "configurationItemSummary", "s3Bucket", "s3ObjectKey"),
    *("notificationCreationTime", "newEvaluationResult", "configRuleName", "configRuleNames", "errorCode", "awsRegion"),
)


@given(
    st.sampled_from(sorted(KINDS)),
    st.dictionaries(
        st.sampled_from(FIELDS),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.just(ITEM),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner, max_size=2),
        ),
    ),
)
@settings(max_examples=300, deadline=None)
def test_any_message_has_a_reading(kind: str, fields: dict[str, Any]) -> None:
    """Whatever stands in its fields, a message asks for something or says why it does not."""
    found = read({"messageType": kind, **fields})
    assert found.kind == kind
    assert found.items or found.unreadable or found.events or found.skipped or found.quarantine
    for event in found.events:
        assert len(event.identity) == 40


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda text: text.decode("utf-8", "surrogateescape")))
@settings(max_examples=200, deadline=None)
def test_any_text_has_a_reading(text: str) -> None:
    """No text raises."""
    found = read_message(text)
    assert found.foreign or found.quarantine or found.trail == []


_MEASURE = """
import json, re, resource, sys
from audit_search.aws_config.items import Item
from audit_search.aws_config.objects import items_of
base = json.loads(sys.argv[1])
base["configuration"] = {f"key{n}": "x" * 40 + '["' + str(n) for n in range(68)}
def chunks():
    text = b'{"fileVersion":"1.0","configSnapshotId":"s","configurationItems":['
    for number in range(50_000):
        text += (b"," if number else b"") + json.dumps(base | {"resourceId": f"vol-{number}"}).encode()
        if len(text) > 1 << 20:
            yield text
            text = b""
    yield text + b"]}"
found = items_of(chunks(), source="snapshot", delivered=1_800_000_000_000)
bytes_read = 0
for one in found:
    assert isinstance(one, Item)
    bytes_read += len(one.raw)
try:
    # Linux: getrusage would also know the peak of the process that started this one.
    peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([found.read, bytes_read, peak, found.snapshot_id]))
"""


def test_a_snapshot_of_fifty_thousand_items_needs_little_memory() -> None:
    """50,000 items in 200 MB of JSON are streamed within 200 MB of memory."""
    paths = [str(Path(__file__).parents[2] / "layers" / "audit_search" / "src")]
    program = f"import sys; sys.path[:0] = {paths!r}\n{_MEASURE}"
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(ITEM)], capture_output=True, text=True, check=True, timeout=600
    )
    read_items, bytes_read, peak, snapshot = json.loads(done.stdout)
    assert (read_items, snapshot) == (50_000, "s")
    assert bytes_read > 200_000_000
    assert peak < 200_000_000


def real_notifications() -> Iterator[tuple[str, Any]]:
    """Every real notification, by itself and in its SNS envelope."""
    for path in sorted(REAL.glob("*/notifications/*.json")):
        yield path.name, {"Records": [{"messageId": "m", "body": path.read_text(encoding="utf-8")}]}
    for path in sorted(REAL.glob("*/sns_envelopes/*.json")):
        yield path.name, {"Records": [{"messageId": "m", "body": path.read_text(encoding="utf-8")}]}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real samples lie beside the project, not in it")
def test_every_real_message_is_read() -> None:
    """No real message is for quarantine, and each of its kind gives what its name says."""
    found = []
    for name, event in real_notifications():
        (message,) = messages(event, config=True)
        assert not message.error, name
        (reading,) = [read_message(one) for one in message.notifications]
        assert reading.quarantine is None, name
        assert reading.unreadable == [], name
        assert not reading.foreign, name
        assert name.removesuffix(".json").endswith(reading.kind) or reading.items, name
        found.append(reading)
    assert len(found) >= 50
    assert sum(len(reading.items) for reading in found) >= 38
    assert sum(len(reading.objects) for reading in found) >= 5


@pytest.mark.skipif(not REAL.is_dir(), reason="the real samples lie beside the project, not in it")
def test_every_real_object_is_read() -> None:
    """Each item of the real histories, snapshots and bare items is one."""
    paths = [*sorted(REAL.rglob("*.json.gz")), *sorted(REAL.glob("*/ci/*.json"))]
    count = 0
    for path in paths:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        items = list(opened(content, 4_096))
        assert items, path.name
        assert [one for one in items if not isinstance(one, Item)] == [], path.name
        count += len(items)
    assert count >= 61
