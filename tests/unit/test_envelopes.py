"""Every envelope that announces an object is read by its content, and nothing that arrives breaks the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from generate import BUCKET

from audit_search.envelopes import Message, ObjectRef, Skipped, config_skip_reason, messages, replay_order, skip_reason
from audit_search.errors import UnknownEnvelopeError
from tests.support.aws import Stored, s3_event, sqs_event

EVENTS = Path(__file__).parents[2] / "events"
ACCOUNT = "AWSLogs/111122223333/CloudTrail"
FIRST = f"{ACCOUNT}/eu-central-1/2026/11/03/111122223333_CloudTrail_eu-central-1_20261103T0820Z_HACG98xCVUqpsCO0.json.gz"
SECOND = f"{ACCOUNT}/eu-central-1/2026/11/05/111122223333_CloudTrail_eu-central-1_20261105T1410Z_zvMzG9I3bBIoG7aG.json.gz"
THIRD = f"{ACCOUNT}/us-east-1/2026/11/04/111122223333_CloudTrail_us-east-1_20261104T0905Z_Dm8CjxaTNEDJ8QFy.json.gz"
ODD = (
    "audit trail+Zürich %3A 1/AWSLogs/444455556666/CloudTrail/eu-central-1/2026/11/20/"
    "444455556666_CloudTrail_eu-central-1_20261120T0900Z_Z8yGxOfiIdTyTSGK.json.gz"
)
DIGEST = (
    "AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/11/03/"
    "111122223333_CloudTrail-Digest_eu-central-1_example_eu-central-1_20261103T091000Z.json.gz"
)
ORGANISATION = (
    "AWSLogs/o-a1b2c3d4e5/444455556666/CloudTrail/us-east-1/2026/11/19/"
    "444455556666_CloudTrail_us-east-1_20261119T1010Z_DdI8i97lpvTH2oUz.json.gz"
)
OLD_TOWER = (
    "o-a1b2c3d4e5/AWSLogs/444455556666/CloudTrail/eu-west-1/2026/11/19/"
    "444455556666_CloudTrail_eu-west-1_20261119T1015Z_77PvAOyhVlt7ZkNB.json.gz"
)
TOWER = (
    "o-a1b2c3d4e5/AWSLogs/o-a1b2c3d4e5/444455556666/CloudTrail/eu-central-1/2026/11/19/"
    "444455556666_CloudTrail_eu-central-1_20261119T1020Z_F5lrvWleTskgB8o8.json.gz"
)
VERSION = "3HL4kqtJvjVBH40Nrjfkd.EXAMPLE.1"
VALIDATED = "skipped: CloudTrail validation message"
TESTED = "skipped: s3:TestEvent"
ERROR = "error"

# What each message of each fixture holds: the keys to read, `skipped: <reason>` or `error`.
EXPECTED: dict[str, list[list[str]]] = {
    "cloudtrail_sns": [[FIRST, SECOND]],
    "cloudtrail_sns_in_sqs": [[FIRST, SECOND]],
    "cloudtrail_sns_raw_in_sqs": [[FIRST, SECOND]],
    "cloudtrail_validation_message": [[VALIDATED]],
    "cloudtrail_validation_message_in_sns_in_sqs": [[VALIDATED]],
    "cloudtrail_validation_message_raw_in_sqs": [[VALIDATED]],
    "config_writability_check": [["skipped: AWS Config writability check"]],
    "control_tower": [["skipped: AWS Config message"], [TOWER], ["skipped: AWS Config message"]],
    "digest_notification": [["skipped: CloudTrail digest"]],
    "encoded_key_cloudtrail_sns_in_sqs": [[ODD]],
    "encoded_key_eventbridge": [[ODD]],
    "encoded_key_s3": [[ODD]],
    "encoded_key_s3_in_sns_in_sqs": [[ODD]],
    "eventbridge_in_sqs": [[FIRST]],
    "eventbridge_object_created": [[FIRST]],
    "eventbridge_object_deleted": [["skipped: not a created object"]],
    "eventbridge_versioned_bucket": [[FIRST]],
    "mixed_batch": [
        [FIRST, SECOND],
        [THIRD],
        [FIRST, SECOND],
        [THIRD],
        [ODD],
        [TESTED],
        [VALIDATED],
        ["skipped: CloudTrail digest"],
        [ERROR],
    ],
    "organisation_trail": [[ORGANISATION], [OLD_TOWER], [TOWER]],
    "replay_in_sqs": [[FIRST, THIRD]],
    "s3_in_sns": [[FIRST]],
    "s3_in_sns_in_sqs": [[FIRST]],
    "s3_in_sqs": [[FIRST], [SECOND]],
    "s3_multipart_upload": [[SECOND]],
    "s3_notification": [[FIRST]],
    "s3_object_removed": [["skipped: not a created object"] * 3],
    "s3_test_event": [[TESTED]],
    "s3_test_event_in_sns_in_sqs": [[TESTED]],
    "s3_test_event_in_sqs": [[TESTED]],
    "s3_versioned_bucket": [[FIRST]],
    "sns_raw_in_sqs": [[FIRST]],
    "unknown_shape": [[ERROR]],
    "unknown_shape_in_sqs": [[FIRST], [ERROR], [ERROR], [ERROR]],
}
DIRECT = {name for name in EXPECTED if "in_sqs" not in name} - {
    "mixed_batch",
    "organisation_trail",
    "control_tower",
    "digest_notification",
    "config_writability_check",
}


def fixture(name: str) -> Any:
    """A payload as it lies in the folder."""
    return json.loads((EVENTS / f"{name}.json").read_bytes())


def told(message: Message) -> list[str]:
    """A message in the words of `EXPECTED`."""
    return [
        *(ref.key for ref in message.objects),
        *(f"skipped: {skipped.reason}" for skipped in message.skipped),
        *([ERROR] if message.error else []),
    ]


def only(event: object) -> Message:
    """The one message of an event that should make one."""
    (message,) = messages(event)
    return message


def created(key: object, **thing: object) -> dict[str, Any]:
    """One S3 record, with its key as given."""
    return {
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-03T08:20:31.000Z",
        "s3": {"bucket": {"name": "b"}, "object": {"key": key, **thing}},
    }


def sns(message: object) -> dict[str, Any]:
    """An SNS envelope as it arrives in a queue."""
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Message": message}


def bridged(key: object, **thing: object) -> dict[str, Any]:
    """EventBridge's `Object Created`."""
    return {
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2026-11-20T09:01:31Z",
        "detail": {"bucket": {"name": "b"}, "object": {"key": key, **thing}},
    }


def test_every_fixture_has_an_expectation() -> None:
    """No payload of the folder is left out below."""
    assert sorted(EXPECTED) == sorted(path.stem for path in EVENTS.glob("*.json"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_fixture_names_what_it_should(name: str) -> None:
    """Each payload becomes the messages, the keys and the skips that are expected of it, all of one bucket."""
    found = messages(fixture(name))
    assert [told(message) for message in found] == EXPECTED[name]
    assert {ref.bucket for message in found for ref in message.objects} <= {BUCKET}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_only_messages_of_a_queue_have_a_way_back(name: str) -> None:
    """A queue's message keeps its id, its receipt and its queue; a direct event has none of them."""
    for message, record in zip(messages(fixture(name)), fixture(name).get("Records", [None]), strict=False):
        if name in DIRECT:
            assert (message.message_id, message.queue_arn, message.receipt_handle) == (None, "", "")
        else:
            assert message.message_id == record["messageId"]
            assert message.queue_arn == record["eventSourceARN"]
            assert message.receipt_handle == record["receiptHandle"]
            assert message.receive_count == 1


@pytest.mark.parametrize("name", ["s3_versioned_bucket", "eventbridge_versioned_bucket"])
def test_a_version_is_read_where_there_is_one(name: str) -> None:
    """Both spellings of the version id are understood; without one there is none."""
    assert only(fixture(name)).objects[0].version_id == VERSION
    assert only(fixture("s3_notification")).objects[0].version_id is None


def test_size_and_time_come_from_those_who_know_them() -> None:
    """S3 and EventBridge say how big an object is and when it came; CloudTrail's own message does not."""
    s3, bridge, trail = (
        only(fixture(name)).objects[0] for name in ("s3_notification", "eventbridge_object_created", "cloudtrail_sns")
    )
    assert (s3.size, s3.notified) == (5945, "2026-11-20T09:01:31.512Z")
    assert (bridge.size, bridge.notified) == (5945, "2026-11-20T09:01:31Z")
    assert (trail.size, trail.notified) == (None, None)


@pytest.mark.parametrize("size", [-1, True, "12", 1.5, None, [], {}])
def test_a_size_that_is_none_is_not_one(size: object) -> None:
    """A size that is no count of bytes is left out, and the object is read all the same."""
    assert only({"Records": [created("k", size=size)]}).objects == [ObjectRef("b", "k", None, None, "2026-11-03T08:20:31.000Z")]
    assert only(bridged("k", size=size)).objects[0].size is None


@pytest.mark.parametrize("version", ["", 7, None, ["v"], {}])
def test_a_version_that_is_none_is_not_one(version: object) -> None:
    """A version id that is no text is left out: S3 then gives the newest version."""
    assert only({"Records": [created("k", versionId=version)]}).objects[0].version_id is None
    assert only(bridged("k", **{"version-id": version})).objects[0].version_id is None


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%20b", "a b"),
        ("a%253Ab", "a%3Ab"),
        ("Z%C3%BCrich", "Zürich"),
        ("Zürich", "Zürich"),
        ("%F0%9F%94%8D", "🔍"),
        ("100%", "100%"),
        ("%zz%", "%zz%"),
        ("a//b", "a//b"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("%00", "\0"),
        ("%0A", "\n"),
        ("k%FF", "k\ufffd"),
        ("%2F", "/"),
    ],
)
def test_only_s3_encodes_its_keys(encoded: str, key: str) -> None:
    """The key of an S3 notification is form-decoded once; EventBridge's and CloudTrail's keys are taken as they are."""
    if key.endswith("/"):
        assert only({"Records": [created(encoded)]}).skipped == [Skipped("folder marker", f"s3://b/{key}")]
    else:
        assert [ref.key for ref in only({"Records": [created(encoded)]}).objects] == [key]
        assert [ref.key for ref in only({"Records": [{"Sns": sns(json.dumps({"Records": [created(encoded)]}))}]}).objects] == [
            key
        ]
    assert [ref.key for ref in only(bridged(encoded)).objects] == [encoded]
    assert [ref.key for ref in only({"s3Bucket": "b", "s3ObjectKey": [encoded]}).objects] == [encoded]


def test_cloudtrail_names_one_key_or_a_list() -> None:
    """CloudTrail's message may hold many keys, one that is not in a list, or none."""
    assert [ref.key for ref in only({"s3Bucket": "b", "s3ObjectKey": ["x", "y", "x"]}).objects] == ["x", "y", "x"]
    assert [ref.key for ref in only({"s3Bucket": "b", "s3ObjectKey": "x"}).objects] == ["x"]
    assert told(only({"s3Bucket": "b", "s3ObjectKey": []})) == []
    assert told(only({"s3Bucket": "b", "s3ObjectKey": ["x", 1]})) == [ERROR]
    assert told(only({"s3Bucket": None, "s3ObjectKey": ["x"]})) == [ERROR]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ObjectCreated:Put", True),
        ("s3:ObjectCreated:Copy", True),
        ("ObjectCreated:CompleteMultipartUpload", True),
        ("ObjectRemoved:Delete", False),
        ("ObjectRestore:Completed", False),
        ("LifecycleTransition", False),
        ("ReducedRedundancyLostObject", False),
        ("ObjectCreatedLater", False),
        ("", False),
    ],
)
def test_only_created_objects_are_read(name: str, wanted: bool) -> None:
    """Whatever else S3 tells of an object is skipped, and the reason names it."""
    message = only({"Records": [{**created("k"), "eventName": name}]})
    if wanted:
        assert told(message) == ["k"]
    else:
        assert message.skipped == [Skipped("not a created object", f"{name} k")]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("AWSLogs/1/CloudTrail/eu/2026/x.json.gz", None),
        ("prefix/AWSLogs/o-1/1/CloudTrail-Insight/eu/x.json.gz", None),
        ("AWSLogs/1/CloudTrail-NetworkActivity/x.json.gz", None),
        ("AWSLogs/1/CloudTrail-Aggregated/x.json.gz", None),
        ("AWSLogs/1/CloudTrail-Digest/eu/x.json.gz", "CloudTrail digest"),
        ("p/o-1/AWSLogs/o-1/1/CloudTrail-Digest/eu/x.json.gz", "CloudTrail digest"),
        ("AWSLogs/1/CloudTrail-Digested/x.json.gz", None),
        ("AWSLogs/1/Config/ConfigWritabilityCheckFile", "AWS Config writability check"),
        ("ConfigWritabilityCheckFile", "AWS Config writability check"),
        ("AWSLogs/1/Config/eu/2026/1/1/ConfigSnapshot/x.json.gz", "AWS Config object"),
        ("AWSLogs/1/Config/eu/2026/1/1/ConfigHistory/x.json.gz", "AWS Config object"),
        ("AWSLogs/1/Config/eu/2026/1/1/OversizedChangeNotification/x.json.gz", "AWS Config object"),
        ("Config/AWSLogs/1/CloudTrail/x.json.gz", None),
        ("ConfigHistory/AWSLogs/1/CloudTrail/x.json.gz", None),
        ("AWSLogs/1/CloudTrail/", "folder marker"),
        ("plain.json", None),
        ("", None),
    ],
)
def test_keys_without_records_are_known_by_their_path(key: str, reason: str | None) -> None:
    """Digests, AWS Config's objects and folders are told from log files by whole path segments, under any prefix."""
    assert skip_reason(key) == reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("AWSLogs/1/Config/eu/2026/1/1/ConfigSnapshot/x.json.gz", None),
        ("p/o-1/AWSLogs/o-1/1/Config/eu/2026/1/1/ConfigHistory/AWS::EC2::VPC.json.gz", None),
        ("AWSLogs/1/Config/eu/2026/1/1/OversizedChangeNotification/AWS::EC2::VPC/vpc-1/x.json.gz", None),
        ("AWSLogs/1/Config/ConfigWritabilityCheckFile", "AWS Config writability check"),
        ("AWSLogs/1/Config/eu/ConfigHistory/", "folder marker"),
        ("AWSLogs/1/CloudTrail/eu/x.json.gz", "CloudTrail object"),
        ("AWSLogs/1/CloudTrail-Digest/eu/x.json.gz", "CloudTrail digest"),
        ("AWSLogs/1/Config/ConfigSnapshot", "not an object of AWS Config"),
        ("ConfigHistory/x.json.gz", "not an object of AWS Config"),
        ("plain.json", "not an object of AWS Config"),
    ],
)
def test_keys_without_items_are_known_by_their_path(key: str, reason: str | None) -> None:
    """AWS Config's objects are told from all others; those of CloudTrail are named apart, for its own path to read."""
    assert config_skip_reason(key) == reason
    (message,) = messages({"Records": [created(key)]}, config=True)
    assert [ref.key for ref in message.config_objects] == ([] if reason else [key])
    assert [ref.key for ref in message.objects] == ([key] if reason == "CloudTrail object" else [])
    assert len(message.skipped) == (reason not in (None, "CloudTrail object"))


def test_asked_for_config_no_shape_is_unknown() -> None:
    """AWS Config's topics carry messages of others: what is no envelope is handed out as a text, once."""
    bodies = ["hello", "{", "[]", "null", '{"AlarmName":"x"}', json.dumps(sns("{broken")), json.dumps(sns({"AlarmName": "x"}))]
    found = messages(sqs_event(*bodies), config=True)
    assert [message.error for message in found] == [None] * 7
    assert [message.notifications[0].text for message in found] == [*bodies[:5], "{broken", '{"AlarmName":"x"}']
    assert [len(message.notifications) for message in found] == [1] * 7


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        {},
        "",
        "text",
        0,
        1.5,
        True,
        b"bytes",
        [1, 2],
        {"Records": None},
        {"Records": "x"},
        {"Records": {}},
        {"Records": [None]},
        {"Records": [[]]},
        {"Records": ["x"]},
        {"Records": [{}]},
        {"Message": "{}"},
        {"Type": "Notification"},
        {"detail-type": "Object Created", "source": "aws.s3"},
        {"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3"},
        {"Records": [{"s3": {}}]},
        {"Records": [{"s3": None, "eventName": "ObjectCreated:Put"}]},
        {"s3ObjectKey": ["k"]},
    ],
    ids=repr,
)
def test_an_unknown_shape_is_an_error_of_its_message(event: object) -> None:
    """Whatever is no notification becomes one message with an error, never an exception."""
    message = only(event)
    assert told(message) == [ERROR]
    assert isinstance(message.error, UnknownEnvelopeError)
    assert message.message_id is None


def test_no_records_is_nothing_to_do() -> None:
    """An empty list of records asks for nothing, and that is no error."""
    assert told(only({"Records": []})) == []
    assert [told(message) for message in messages(sqs_event({"Records": []}))] == [[]]


def test_the_error_shows_the_top_level_keys() -> None:
    """Whoever reads the error sees what arrived: the first twenty keys, each cut to a readable length."""
    many = {f"key{number:02d}": number for number in range(30)} | {"a" * 500: 1}
    text = str(only(many).error)
    assert "an object with the keys " + "a" * 64 + ", key00, key01" in text
    assert "key18, …" in text
    assert "key19" not in text
    assert len(text) < 600
    assert "an empty object" in str(only({}).error)
    assert "a JSON list" in str(only([]).error)
    assert "a JSON NoneType" in str(only(None).error)


def test_the_error_does_not_show_what_a_message_holds() -> None:
    """Values and texts stay out of the error: it goes to a log."""
    found = messages(sqs_event({"password": "hunter2"}, "hunter2 is no JSON"))
    assert all(message.error and "hunter2" not in str(message.error) for message in found)
    assert "18 characters of text" in str(found[1].error)


def test_an_unknown_message_leaves_the_others_of_its_batch_alone() -> None:
    """In a batch only the message of an unknown shape has an error."""
    good = s3_event(Stored("b", "k"))
    event = sqs_event(good, {"odd": 1}, "{", good, "", "null", "[]", '"text"', good)
    assert [told(message) for message in messages(event)] == [["k"], [ERROR], [ERROR], ["k"], *[[ERROR]] * 4, ["k"]]
    assert [message.message_id for message in messages(event)] == [f"m{number}" for number in range(9)]


def test_a_message_with_an_unknown_record_keeps_the_known_ones() -> None:
    """Records of one message are each looked at: what is known is read, and the message still returns."""
    message = only({"Records": [created("a"), {"odd": 1}, created("b"), None]})
    assert [ref.key for ref in message.objects] == ["a", "b"]
    assert message.error is not None


def test_any_mixture_of_records_in_one_event_is_read() -> None:
    """S3, SNS and SQS records may stand side by side, in any nesting that AWS can make."""
    body = json.dumps({"Records": [created("in+sqs")]})
    event = {
        "Records": [
            created("direct"),
            {"Sns": {"Message": json.dumps({"Records": [created("in+sns"), created("in%2Bsns")]})}},
            {"messageId": "m", "body": json.dumps(sns(body))},
            {"messageId": "m", "body": json.dumps(bridged("in+bridge"))},
            {"messageId": "m", "body": json.dumps(sns(json.dumps(sns(json.dumps({"s3Bucket": "b", "s3ObjectKey": ["a+b"]})))))},
        ]
    }
    assert [ref.key for ref in only(event).objects] == ["direct", "in sns", "in+sns", "in sqs", "in+bridge", "a+b"]


def test_a_body_that_is_no_text_is_read_as_it_is() -> None:
    """Some programs hand over a parsed body; it is understood all the same."""
    event = sqs_event("")
    event["Records"][0]["body"] = {"Records": [created("k")]}
    assert told(only(event)) == ["k"]
    event["Records"][0]["body"] = None
    assert told(only(event)) == [ERROR]


@pytest.mark.parametrize("text", ["CloudTrail validation message.", ' "CloudTrail validation message."\n'])
def test_the_validation_message_is_text_or_json(text: str) -> None:
    """CloudTrail's validation message is skipped, quoted or not, in every envelope."""
    for body in (text, json.dumps(sns(text))):
        assert told(messages(sqs_event(body))[0]) == [VALIDATED]
    assert told(only({"Records": [{"Sns": {"Message": text}}]})) == [VALIDATED]


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_what_sns_says_of_itself_is_skipped(kind: str) -> None:
    """Messages about a subscription are normal and name nothing to read."""
    (message,) = messages(sqs_event({"Type": kind, "TopicArn": "arn:topic", "Token": "t", "SubscribeURL": "https://x"}))
    assert message.skipped == [Skipped(f"SNS {kind}", "topic arn:topic")]


@pytest.mark.parametrize(
    ("count", "wanted"),
    [("7", 7), (3, 3), ("0", 0), ("", 1), (None, 1), ("²", 1), ("9" * 5_000, 1), ("-1", 1), ("1.5", 1), (True, 1), ([], 1)],
)
def test_the_receive_count_is_a_number_or_one(count: object, wanted: int) -> None:
    """How often a message came is taken from its attributes, and a count that is none does no harm."""
    event = sqs_event("null")
    event["Records"][0]["attributes"] = {"ApproximateReceiveCount": count}
    assert only(event).receive_count == wanted


@pytest.mark.parametrize("attributes", [None, [], "x", {}])
def test_a_message_without_attributes_is_one_received_once(attributes: object) -> None:
    """Without attributes, queue or receipt a message is read; only its redelivery cannot be postponed."""
    event = {"Records": [{"messageId": 5, "body": json.dumps({"Records": [created("k")]}), "attributes": attributes}]}
    message = only(event | {"Records": [event["Records"][0] | {"eventSourceARN": None, "receiptHandle": 7}]})
    assert (message.message_id, message.receive_count) == ("5", 1)
    assert (message.queue_arn, message.receipt_handle) == ("", "")
    assert told(message) == ["k"]


@pytest.mark.parametrize("depth", [50, 900, 100_000])
def test_envelopes_within_envelopes_end_somewhere(depth: int) -> None:
    """A message of endless nesting fails alone: its neighbours in the batch are read."""
    nested = '{"Type":"Notification","Message":' * depth + json.dumps(json.dumps({"Records": [created("deep")]})) + "}" * depth
    found = messages(sqs_event(nested, s3_event(Stored("b", "k"))))
    assert told(found[0]) == (["deep"] if depth == 50 else [ERROR])
    assert told(found[1]) == ["k"]


def test_a_deep_direct_event_is_an_error_too() -> None:
    """A direct event of endless nesting is an unknown one."""
    event: Any = {"Records": [created("k")]}
    for _ in range(3_000):
        event = sns(event)
    assert told(only(event)) == [ERROR]


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "x" * 1_000_000,
        "1" * 100_000,
        '{"a":' * 50_000,
        json.dumps({"k" * 200_000: 1}),
        "\ud800",
        "\0" * 1000,
        "NaN",
    ],
    ids=lambda body: f"{body[:5]}x{len(body)}",
)
def test_a_monstrous_body_fails_alone(body: str) -> None:
    """Size and nonsense of a body make an error of modest length, and the next message is read."""
    found = messages(sqs_event(body, s3_event(Stored("b", "k"))))
    assert [told(message) for message in found] == [[ERROR], ["k"]]
    assert len(str(found[0].error)) < 400


def test_a_huge_notification_is_read_whole() -> None:
    """A message may name thousands of objects."""
    keys = [f"AWSLogs/1/CloudTrail/{number}.json.gz" for number in range(20_000)]
    assert [ref.key for ref in only({"s3Bucket": "b", "s3ObjectKey": keys}).objects] == keys


def test_an_object_is_named_as_people_write_it() -> None:
    """A reference reads as an S3 URL, with its version where it has one."""
    assert str(ObjectRef("b", "a b/ü")) == "s3://b/a b/ü"
    assert str(ObjectRef("b", "k", "v1")) == "s3://b/k?versionId=v1"


def test_what_lambda_gave_up_is_read_when_it_comes_again() -> None:
    """The record of a failed direct event, taken from the dead-letter queue, names the objects of the event in it."""
    failed = {
        "version": "1.0",
        "timestamp": "2026-11-03T08:30:00.000Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": s3_event(Stored("trail-bucket", FIRST, 10)),
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorType": "ReturnedError"},
    }
    (message,) = messages(sqs_event(failed))
    assert [(ref.bucket, ref.key) for ref in message.objects] == [("trail-bucket", FIRST)]
    assert message.error is None


@pytest.mark.parametrize("config", [False, True])
def test_an_order_to_index_again_names_objects_and_marks_them(config: bool) -> None:
    """Version and size are taken where they are known; what belongs to neither function is skipped, as ever."""
    refs = [ObjectRef("b", FIRST, "v1", 10), ObjectRef("b", SECOND), ObjectRef("b", DIGEST, size=3)]
    found, other = messages(sqs_event(json.dumps(replay_order("b", refs)), s3_event(Stored("b", FIRST))), config=config)
    assert found.objects == refs[:2]
    assert [skipped.reason for skipped in found.skipped] == ["CloudTrail digest"]
    assert (found.replay, other.replay) == (True, False)
    assert found.error is None


@pytest.mark.parametrize("config", [False, True])
@pytest.mark.parametrize(
    "order",
    [
        {},
        {"ingestMode": "live", "bucket": "b", "objects": [{"key": "k"}]},
        {"ingestMode": "replay", "bucket": 1, "objects": [{"key": "k"}]},
        {"ingestMode": "replay", "bucket": "b", "objects": []},
        {"ingestMode": "replay", "bucket": "b", "objects": [{"key": "k"}, {"name": "k"}]},
        {"ingestMode": "replay", "bucket": "b", "objects": ["k"]},
    ],
)
def test_an_order_that_is_not_whole_is_an_error(order: Any, config: bool) -> None:
    """Nothing of it is done, and it is foreign to nobody: its message returns."""
    (message,) = messages(sqs_event({"auditSearch": order}), config=config)
    assert message.writes is False
    assert message.error is not None
    assert message.replay is False
