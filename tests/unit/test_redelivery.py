"""Messages that go back to their queue wait, each time longer, and nothing that goes wrong with that stops the function."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from audit_search.envelopes import Message, messages
from audit_search.redelivery import Redelivery, delay
from tests.support.aws import ACCOUNT, REGION, Aws

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.mark.parametrize(
    ("count", "seconds"),
    [(-5, 30), (0, 30), (1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (100, 900), (10**9, 900)],
)
def test_the_delay_doubles_up_to_a_quarter_of_an_hour(count: int, seconds: int) -> None:
    """Half a minute at first, then twice as long each time, at most 15 minutes."""
    assert delay(count) == seconds


@contextmanager
def sqs_that_records(failed: tuple[str, ...] = (), status: int = 200) -> Iterator[tuple[SQSClient, list[tuple[str, Any]]]]:
    """A client of an SQS that writes down what it is asked; entries with an Id in `failed` are refused."""
    asked: list[tuple[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            action = self.headers["X-Amz-Target"].partition(".")[2]
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((action, request))
            answer: dict[str, Any] = {"QueueUrl": f"http://127.0.0.1:{self.server.server_port}/1/{request.get('QueueName')}"}  # type: ignore[attr-defined]
            if action == "ChangeMessageVisibilityBatch":
                ids = [entry["Id"] for entry in request["Entries"]]
                answer = {
                    "Successful": [{"Id": one} for one in ids if one not in failed],
                    "Failed": [
                        {"Id": one, "Code": "ReceiptHandleIsInvalid", "SenderFault": True} for one in ids if one in failed
                    ],
                }
            body = json.dumps(answer).encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield (
            boto3.client(
                "sqs",
                region_name=REGION,
                endpoint_url=f"http://127.0.0.1:{server.server_port}",
                aws_access_key_id="a",
                aws_secret_access_key="b",
                config=Config(retries={"total_max_attempts": 1}),
            ),
            asked,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def message(number: int, count: int = 1, queue: str = "one") -> Message:
    """A message of a queue."""
    return Message(
        f"m{number}", queue_arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}", receipt_handle=f"r{number}", receive_count=count
    )


def test_messages_are_postponed_ten_at_a_time() -> None:
    """SQS takes ten entries a request; the queue's URL is asked for once; each message waits by its own count."""
    with sqs_that_records() as (client, asked):
        redelivery = Redelivery(client)
        assert redelivery.postpone([message(number, number) for number in range(1, 26)]) == []
        assert redelivery.postpone([message(99)]) == []
    assert [action for action, _ in asked] == ["GetQueueUrl"] + ["ChangeMessageVisibilityBatch"] * 4
    assert asked[0][1] == {"QueueName": "one", "QueueOwnerAWSAccountId": ACCOUNT}
    entries = [entry for _, request in asked[1:] for entry in request["Entries"]]
    assert [len(request["Entries"]) for _, request in asked[1:]] == [10, 10, 5, 1]
    assert [(entry["ReceiptHandle"], entry["VisibilityTimeout"]) for entry in entries[:25]] == [
        (f"r{number}", delay(number)) for number in range(1, 26)
    ]
    assert all(len({entry["Id"] for entry in request["Entries"]}) == len(request["Entries"]) for _, request in asked[1:])


def test_each_queue_is_asked_for_its_own() -> None:
    """Messages of several queues are kept apart."""
    with sqs_that_records() as (client, asked):
        assert Redelivery(client).postpone([message(1, queue="one"), message(2, queue="two"), message(3, queue="one")]) == []
    sent = [(request["QueueUrl"].rsplit("/", 1)[1], len(request["Entries"])) for action, request in asked if "Batch" in action]
    assert sent == [("one", 2), ("two", 1)]


def test_refused_entries_are_reported() -> None:
    """What SQS could not postpone is told, and does not stop the others."""
    with sqs_that_records(failed=("1", "3")) as (client, asked):
        problems = Redelivery(client).postpone([message(number) for number in range(12)])
    assert [problem.split(": ")[1] for problem in problems] == ["ReceiptHandleIsInvalid"] * 3
    assert len(asked) == 3


def test_an_outage_of_sqs_is_reported() -> None:
    """When SQS does not answer, the messages come back by the queue's own timeout."""
    with sqs_that_records(status=500) as (client, _):
        assert len(Redelivery(client).postpone([message(1), message(2, queue="two")])) == 2
    nobody = boto3.client(
        "sqs",
        region_name=REGION,
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2),
    )
    assert len(Redelivery(nobody).postpone([message(1)])) == 1


@pytest.mark.parametrize("arn", ["nonsense", "arn:aws:sqs", ":::::", "arn:aws:sqs:eu-central-1:1:none"])
def test_a_queue_that_is_none_is_reported(aws: Aws, arn: str) -> None:
    """An ARN that names no queue is a problem of its messages only."""
    queue = aws.queue()
    good = messages(aws.receive(queue, ["x"]))
    odd = Message("m", queue_arn=arn, receipt_handle="r")
    problems = Redelivery(aws.sqs).postpone([odd, *good])
    assert len(problems) == 1
    assert problems[0].startswith(f"{arn}: ")


def test_direct_events_have_nothing_to_postpone() -> None:
    """Without a queue or a receipt nothing is asked of anyone."""
    with sqs_that_records() as (client, asked):
        assert Redelivery(client).postpone([Message(), Message("m", queue_arn="arn"), Message("m", receipt_handle="r")]) == []
    assert asked == []


def test_a_postponed_message_is_not_there_yet(aws: Aws) -> None:
    """On a queue whose own timeout would hand the message out at once, it stays away; the others do not."""
    queue = aws.queue(visibility=0)
    returned = messages(aws.receive(queue, ["first"]))
    aws.sqs.send_message(QueueUrl=queue.url, MessageBody="second")
    assert Redelivery(aws.sqs).postpone(returned) == []
    found = aws.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10)
    assert [one["Body"] for one in found.get("Messages", [])] == ["second"]
