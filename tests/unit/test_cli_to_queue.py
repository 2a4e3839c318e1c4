"""`--to-queue`: the functions of a stack index history; what is sent, once, and what is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from audit_search.envelopes import Message, ObjectRef, messages
from audit_search_cli import history_queue
from audit_search_cli.history_sources import Found
from audit_search_cli.history_state import State
from tests.support.aws import QUARANTINE, REGION, TRAIL, Aws, Queue, failures, records, s3_event
from tests.support.cli import Run, deploy, function_resources, run
from tests.support.config_deliveries import item, put_items
from tests.support.digest_chains import CloudTrail, Trail, some
from tests.support.function import make_function
from tests.support.questions import Engines

QUEUE = {"Type": "AWS::SQS::Queue"}
KEY = "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/111122223333_CloudTrail_eu-central-1_20261103T0820Z_{}.json.gz"
HISTORY = "example-config-bucket"


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    """moto's server."""
    with Aws() as aws:
        yield aws


@pytest.fixture
def aws(server: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """AWS with nothing in it but buckets, and a place for states that is this test's own."""
    server.clear()
    server.bucket(HISTORY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return server


def stack(aws: Aws, *, config: bool = True, buckets: str = f"{TRAIL}, {HISTORY}", **outputs: str) -> None:
    """A stack with functions that may read these buckets, and their queues."""
    names = ("CloudTrail", "Config") if config else ("CloudTrail",)
    functions = function_resources(aws, {"ALLOWED_BUCKETS": buckets}, *(f"{name}Function" for name in names))
    deploy(aws, "audit", functions | {f"{name}Queue": QUEUE for name in names}, outputs)


def backfill(aws: Aws, *arguments: str, bucket: str = TRAIL) -> Run:
    """Send a bucket's objects to the stack's queues."""
    given = ("--stack", "audit", "--to-queue", *arguments)
    return run("backfill", f"s3://{bucket}", *given, env=aws.environment)


def taken(aws: Aws, count: int, name: str = "Queue", *, config: bool = False) -> list[Message]:
    """So many messages of the stack's queue, as its function reads them; there are no more."""
    (url,) = [url for url in aws.sqs.list_queues()["QueueUrls"] if name in url]
    event = aws.poll(Queue(url, ""), count)
    assert "Messages" not in aws.sqs.receive_message(QueueUrl=url)
    return messages(event, config=config)


def test_objects_of_both_go_to_their_own_queues_as_replay(aws: Aws) -> None:
    """With key and size; a second run has nothing to send, but for what was overwritten since."""
    stack(aws)
    stored = [aws.put_records(records(2), KEY.format(name)) for name in "ab"]
    history = put_items(aws, item("a"))
    aws.put(b"x", "notes.txt")
    found = backfill(aws, "--output", "json")
    assert found.code == 0, found
    assert found.document["objects"] == {"found": 2, "sent": 2, "sent_before": 0, "failed": 0, "left": 0}
    assert found.document["left_out"] == {"not a log file (.gz)": 1}
    (message,) = taken(aws, 1, "CloudTrailQueue")
    assert message.objects == [ObjectRef(one.bucket, one.key, size=one.size) for one in stored]
    assert message.replay is True
    assert backfill(aws, bucket=HISTORY).code == 0
    (message,) = taken(aws, 1, "ConfigQueue", config=True)
    assert (message.config_objects, message.replay) == ([ObjectRef(HISTORY, history.key, size=history.size)], True)
    aws.put_records(records(3), KEY.format("b"))
    found = backfill(aws)
    assert "2 objects found = 1 sent + 1 sent before + 0 failed + 0 left" in found.out
    assert "audit-search status --stack audit" in found.out
    assert [ref.key for ref in taken(aws, 1, "CloudTrailQueue")[0].objects] == [KEY.format("b")]
    assert backfill(aws, "--restart", "--output", "json").document["objects"]["sent"] == 2


def test_the_function_takes_what_was_sent(
    aws: Aws, engines: Engines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Documents are marked as replay; what is there already is a duplicate."""
    stack(aws)
    stored = [aws.put_records(records(2, name), KEY.format(name)) for name in "ab"]
    backfill(aws)
    (url,) = [url for url in aws.sqs.list_queues()["QueueUrls"] if "CloudTrailQueue" in url]
    event = aws.poll(Queue(url, ""), 1)
    engine = engines.new()
    function = make_function(monkeypatch, capsys, aws, engine.endpoint, INDEX_PREFIX=engine.prefix)
    function(s3_event(stored[0]))
    assert failures(function(event)) == []
    assert (function.metrics["RecordsIndexed"], function.metrics["RecordsDuplicate"]) == (2, 2)
    engine.refresh()
    modes = {hit["_id"]: hit["_source"]["ct"]["ingestMode"] for hit in engine.search({"match_all": {}}, size=10)}
    assert modes == {"a0": "live", "a1": "live", "b0": "replay", "b1": "replay"}


def found(count: int, size: int = 1_000, bucket: str = TRAIL, config: bool = False) -> list[Found]:
    """Objects that nobody has to put anywhere to send their names."""
    return [Found(ObjectRef(bucket, f"{number:04}", size=size), config, f"mark-{number}") for number in range(count)]


def sent(aws: Aws, objects: list[Found], path: Path, **more: Any) -> tuple[history_queue.Sent, list[Message]]:
    """Send objects to a queue, and what arrives in it."""
    queue = aws.queue()
    with State(path, {}) as state:
        result = history_queue.run(objects, aws.sqs, {False: queue.url}, state, **more)
    return result, messages(aws.poll(queue, result.messages.total())) if result.messages.total() else []


@pytest.mark.parametrize(("size", "expected"), [(1_000, 10), (400_000, 2), (3_000_000, 1)])
def test_messages_name_as_much_as_an_invocation_can_do(aws: Aws, tmp_path: Path, size: int, expected: int) -> None:
    """Ten objects, or so many that they are a megabyte, or one that is larger."""
    result, arrived = sent(aws, found(101, size), tmp_path / "state")
    assert (result.sent, result.left) == (101, 0)
    assert max(len(message.objects) for message in arrived) == expected
    assert sorted(ref.key for message in arrived for ref in message.objects) == [f"{number:04}" for number in range(101)]


def test_long_keys_are_sent_in_smaller_requests(aws: Aws, tmp_path: Path) -> None:
    """Ten messages of ten keys may be more than a request may hold."""
    objects = [Found(ObjectRef(TRAIL, f"{number:04}{'ü' * 500}", size=1), False, "m") for number in range(200)]
    result, arrived = sent(aws, objects, tmp_path / "state")
    assert (result.sent, len(arrived)) == (200, 20)


def test_a_run_that_is_stopped_goes_on_where_it_was(aws: Aws, tmp_path: Path) -> None:
    """What was taken is in the state, and nothing is sent twice."""
    seen: list[int] = []
    result, first = sent(
        aws, found(250), tmp_path / "state", stop=lambda: len(seen) > 1, step=lambda result: seen.append(result.sent)
    )
    assert (result.sent, result.left, result.interrupted) == (100, 150, True)
    result, rest = sent(aws, found(250), tmp_path / "state")
    assert (result.before, result.sent, result.interrupted) == (100, 150, False)
    keys = [ref.key for message in (*first, *rest) for ref in message.objects]
    assert sorted(keys) == [f"{number:04}" for number in range(250)]


def test_what_the_queue_does_not_take_is_named_and_sent_the_next_time(tmp_path: Path) -> None:
    """A message that SQS refuses fails for each object that it names."""
    sqs = boto3.client("sqs", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(sqs) as stub, State(tmp_path / "state", {}) as state:
        answer = {
            "Successful": [{"Id": "1", "MessageId": "m", "MD5OfMessageBody": "x"}],
            "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}],
        }
        stub.add_response("send_message_batch", answer, {"QueueUrl": "https://q", "Entries": ANY})
        result = history_queue.run(found(15), sqs, {False: "https://q"}, state)
        assert (result.sent, len(result.failed), result.left) == (5, 10, 0)
        assert result.failed[0] == ("0000", "not taken: InternalError")
        assert sorted(state.done) == [f"{number:04}" for number in range(10, 15)]


def test_a_repair_is_left_to_the_functions(
    aws: Aws, engines: Engines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Log files whose records are missing are sent; when the function has taken them a verification finds nothing missing."""
    stack(aws, QuarantineLocation=f"s3://{QUARANTINE}/quarantine/")
    trail = Trail(aws)
    trail.hour(some(2, "a"), some(3, "b"))
    span = ("--since", "2026-11-03T08:00Z", "--until", "2026-11-04T00:00Z")
    engine = engines.new()
    to = ("--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix, "--stack", "audit", "--output", "json")
    with CloudTrail() as cloudtrail:
        env = {**aws.environment, "AWS_ENDPOINT_URL_CLOUDTRAIL": cloudtrail.endpoint}
        told = run("verify", f"s3://{TRAIL}", *span, *to, "--repair", "--to-queue", env=env)
        text = run("verify", f"s3://{TRAIL}", *span, *to[:-2], "--repair", "--to-queue", env=env).out
        assert told.code == 1, told
        assert told.document["repair"]["objects"] == {"found": 2, "sent": 2, "sent_before": 0, "failed": 0, "left": 0}
        assert "2 objects found = 2 sent" in text
        (url,) = [url for url in aws.sqs.list_queues()["QueueUrls"] if "CloudTrailQueue" in url]
        event = aws.poll(Queue(url, ""), 2)
        for message in messages(event, config=False):
            assert sorted(ref.key for ref in message.objects) == sorted(trail.files)
            assert message.replay is True
        function = make_function(monkeypatch, capsys, aws, engine.endpoint, INDEX_PREFIX=engine.prefix)
        assert failures(function(event)) == []
        engine.refresh()
        found = run("verify", f"s3://{TRAIL}", *span, *to, env=env)
    assert (found.code, found.document["records"]["missing"]) == (0, 0), found


# --- wrong use


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--processes", "2"), "say how objects are indexed here"),
        (("--rules", "[]"), "say how objects are indexed here"),
        (("--quarantine-bucket", "kept"), "say how objects are indexed here"),
        (("--since", "2026-11-05", "--until", "2026-11-04"), "not before --until"),
    ],
)
def test_wrong_use_is_one_line(aws: Aws, arguments: tuple[str, ...], words: str) -> None:
    """It says what to do, and nothing was sent."""
    stack(aws)
    said = backfill(aws, *arguments)
    assert (said.code, words in said.line) == (2, True), said


def test_what_the_stack_cannot_do_is_said_before_anything_is_sent(aws: Aws, tmp_path: Path) -> None:
    """No stack, no queue for AWS Config, a bucket that the function does not read, a folder."""
    aws.put_records(records(1), KEY.format("a"))
    put_items(aws, item("a"))
    said = run("backfill", f"s3://{TRAIL}", "--to-queue", env=aws.environment)
    assert "--to-queue needs the queues of a stack" in said.line
    stack(aws, config=False, buckets="another")
    said = backfill(aws)
    assert f"does not read the bucket {TRAIL}" in said.line
    said = backfill(aws, bucket=HISTORY)
    assert "has no ConfigQueue" in said.line
    assert "--of cloudtrail" in said.line
    said = run("backfill", str(tmp_path), "--stack", "audit", "--to-queue", env=aws.environment)
    assert "--to-queue is for a bucket" in said.line
    said = run("verify", f"s3://{TRAIL}", "--to-queue", "--no-index", env=aws.environment)
    assert "--to-queue says who is to repair" in said.line


def test_a_dry_run_sends_nothing(aws: Aws) -> None:
    """It is the estimate, which has the functions' share."""
    stack(aws)
    aws.put_records(records(1), KEY.format("a"))
    assert "Nothing was written (--dry-run)." in backfill(aws, "--dry-run").out
    (url,) = [url for url in aws.sqs.list_queues()["QueueUrls"] if "CloudTrailQueue" in url]
    assert "Messages" not in aws.sqs.receive_message(QueueUrl=url)
