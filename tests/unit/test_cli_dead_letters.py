"""Dead letters are looked at without being lost, and moved without being lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from audit_search_cli import dead_letters
from audit_search_cli.dead_letters import Redrive
from audit_search_cli.errors import Problem
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.letters import unwrapped
from tests.support.aws import ENVIRONMENT, REGION, Aws, Queue, Stored, s3_event
from tests.support.cli import deploy, run
from tests.support.letters import KEY, bodies, notification, put, size


@pytest.fixture
def queues(aws: Aws) -> tuple[Queue, Queue]:
    """The queue, and its dead-letter queue."""
    live, dead = aws.queue(), aws.queue()
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 3})
    aws.sqs.set_queue_attributes(QueueUrl=live.url, Attributes={"RedrivePolicy": policy})
    return live, dead


def failed_invocation(payload: object) -> dict[str, Any]:
    """What Lambda sends to a failure destination."""
    return {
        "version": "1.0",
        "timestamp": "2026-11-03T08:30:00.000Z",
        "requestContext": {
            "requestId": "e4b46cbf",
            "functionArn": "arn:aws:lambda:eu-central-1:123456789012:function:cloudtrail:live",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": payload,
        "responseContext": {"statusCode": 200, "executedVersion": "1", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "ReturnedError"},
    }


def test_a_list_shows_what_each_message_names_and_keeps_all(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """Objects of any envelope, what is normal but no object, and what is not understood."""
    _, dead = queues
    wrapped = failed_invocation(notification(2))
    put(
        aws, dead, notification(1), wrapped, {"Type": "Notification", "Message": json.dumps(notification(3))}, "no JSON", {"x": 1}
    )
    shown = run("dlq", "list", "--queue-url", dead.url, "--output", "json", env=aws.environment)
    assert shown.code == 0, shown
    named = {name: message for message in shown.document["messages"] for name in message["names"]}
    assert set(named) == {f"s3://trail-bucket/{KEY.format(number)}" for number in (1, 2, 3)}
    assert named[f"s3://trail-bucket/{KEY.format(2)}"]["from_lambda"]
    problems = sorted(message["problem"] for message in shown.document["messages"] if message["problem"])
    assert len(problems) == 2
    assert "is not JSON" in problems[1]
    assert all(message["received"] == 1 and message["sent"] for message in shown.document["messages"])
    assert dead_letters.counts(aws.sqs, dead.url) == (5, 0, 0)


def test_a_list_looks_at_as_many_as_asked_for(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """The text says how many more there are; each is whole and there afterwards."""
    _, dead = queues
    put(aws, dead, *(notification(number) for number in range(13)))
    shown = run("dlq", "list", "--queue-url", dead.url, "--max", "12", env=aws.environment)
    assert "13 messages waiting" in shown.out
    assert "12 were looked at; --max shows more." in shown.out
    assert dead_letters.counts(aws.sqs, dead.url) == (13, 0, 0)


def test_names_cannot_drive_the_terminal(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """Whoever may put an object chooses its key."""
    _, dead = queues
    put(aws, dead, s3_event(Stored("trail-bucket", "\x1b[2J[bold]\u202egz.exe", 1)))
    shown = run("dlq", "list", "--queue-url", dead.url, env=aws.environment)
    assert "[2J[bold]" in shown.out
    assert not {"\x1b", "\u202e"} & set(shown.out)


def test_all_are_moved_back_and_the_numbers_add_up(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """More than one batch; the source queue is found by itself."""
    live, dead = queues
    put(aws, dead, *(notification(number) for number in range(23)))
    done = run("dlq", "redrive", "--queue-url", dead.url, env=aws.environment)
    assert done.code == 0, done
    assert f"23 found = 23 moved + 0 failed + 0 left, to {live.url}" in done.out.replace("\n", " ")
    assert size(aws, dead) == 0
    assert bodies(aws, live) == sorted(json.dumps(notification(number)) for number in range(23))


def test_no_more_are_moved_than_asked_for(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """The rest stays and can be received at once."""
    live, dead = queues
    put(aws, dead, *(notification(number) for number in range(15)))
    done = run("dlq", "redrive", "--queue-url", dead.url, "--max", "12", "--output", "json", env=aws.environment)
    assert (done.document["found"], done.document["moved"], done.document["left"]) == (15, 12, 3)
    assert dead_letters.counts(aws.sqs, dead.url) == (3, 0, 0)
    assert size(aws, live) == 12


def test_a_dry_run_moves_none(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """It says how many and where to."""
    live, dead = queues
    put(aws, dead, notification(1), notification(2))
    shown = run("dlq", "redrive", "--queue-url", dead.url, "--max", "1", "--dry-run", env=aws.environment)
    assert f"1 of 2 messages would be moved to {live.url}" in shown.out.replace("\n", " ")
    assert dead_letters.counts(aws.sqs, dead.url) == (2, 0, 0)


def test_what_lambda_wrapped_is_moved_as_the_event_that_it_was(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """Beyond ASCII as well; a record without its payload fails, stays and is named."""
    live, dead = queues
    event = s3_event(Stored("trail-bucket", "ü😀", 1))
    event["Records"][0]["x"] = "ü😀\ud800"
    put(aws, dead, failed_invocation(event), failed_invocation("text"), failed_invocation(None))
    done = run("dlq", "redrive", "--queue-url", dead.url, "--output", "json", env=aws.environment)
    assert done.code == 1
    assert (done.document["moved"], done.document["failed"], done.document["left"]) == (2, 1, 0)
    assert "without its payload" in done.document["failures"][0]["reason"]
    moved = bodies(aws, live)
    assert "text" in moved
    assert event in [json.loads(body) for body in moved if body != "text"]
    assert dead_letters.counts(aws.sqs, dead.url) == (1, 0, 0)


def test_only_lambdas_records_are_unwrapped() -> None:
    """Another message that happens to have such a key stays as it is, byte for byte."""
    for body in ("no JSON", "[1]", '{"requestPayload": {}}', '{"requestContext": {"a": 1}, "requestPayload": 1}', " {} "):
        assert unwrapped(body) == (body, False)


def test_attributes_of_a_message_are_moved_with_it(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """Texts and bytes."""
    live, dead = queues
    given: Any = {
        "text": {"DataType": "String", "StringValue": "a"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    aws.sqs.send_message(QueueUrl=dead.url, MessageBody="x", MessageAttributes=given)
    dead_letters.redrive(aws.sqs, dead.url, live.url)
    (message,) = aws.sqs.receive_message(QueueUrl=live.url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == given


def test_large_messages_are_sent_in_requests_that_a_queue_takes(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """SQS bounds the bytes of a batch, and refuses the whole of a larger one."""
    live, dead = queues
    put(aws, dead, *("x" * 150_000 for _ in range(4)))
    sizes: list[int] = []
    client = hooked(aws, "SendMessageBatch", lambda arguments: sizes.append(len(arguments["params"]["body"])))
    state = dead_letters.redrive(client, dead.url, live.url)
    assert (state.moved, state.failed, len(sizes)) == (4, 0, 4)


def hooked(aws: Aws, operation: str, act: Callable[[dict[str, Any]], None], moment: str = "before-call") -> Any:
    """A client that does something around each request of a kind."""
    session = boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    client: Any = session.client("sqs", endpoint_url=aws.endpoint)
    client.meta.events.register(f"{moment}.sqs.{operation}", lambda **arguments: act(arguments))
    return client


def test_a_kill_between_sending_and_deleting_leaves_both(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """A second Ctrl-C, a crash: what was sent is still a dead letter, and nothing is lost."""
    live, dead = queues
    put(aws, dead, *(notification(number) for number in range(3)))

    def killed(_arguments: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dead_letters.redrive(hooked(aws, "DeleteMessageBatch", killed), dead.url, live.url)
    assert dead_letters.counts(aws.sqs, dead.url) == (3, 0, 0)
    assert size(aws, live) == 3


def test_ctrl_c_finishes_the_ten_in_hand(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """Then it stops, and the rest can be received at once."""
    live, dead = queues
    put(aws, dead, *(notification(number) for number in range(25)))

    def pressed(_arguments: dict[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    client = hooked(aws, "SendMessageBatch", pressed)
    with Interrupts() as interrupts:
        state = dead_letters.redrive(client, dead.url, live.url, stop=lambda: interrupts.requested)
    assert (state.found, state.moved, state.left, state.interrupted) == (25, 10, 15, True)
    assert dead_letters.counts(aws.sqs, dead.url) == (15, 0, 0)
    assert size(aws, live) == 10


def test_a_second_ctrl_c_is_not_held_back() -> None:
    """Nobody has to wait for a request that hangs; afterwards Ctrl-C is what it was."""
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_queue_that_refuses_keeps_its_messages_where_they_are(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """Each is counted as failed, with the reason, and can be received again."""
    live, dead = queues
    put(aws, dead, *(notification(number) for number in range(3)))

    def gone(_arguments: dict[str, Any]) -> None:
        aws.sqs.delete_queue(QueueUrl=live.url)

    state = dead_letters.redrive(hooked(aws, "SendMessageBatch", gone), dead.url, live.url)
    assert (state.found, state.moved, state.failed, state.left) == (3, 0, 3, 0)
    assert "NonExistentQueue" in state.failures[0][1] or "QueueDoesNotExist" in state.failures[0][1]
    assert dead_letters.counts(aws.sqs, dead.url) == (3, 0, 0)


def test_messages_that_come_in_meanwhile_wait_for_the_next_time(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """What fails again at once does not make an endless loop."""
    live, dead = queues
    put(aws, dead, *(notification(number) for number in range(12)))
    client = hooked(aws, "DeleteMessageBatch", lambda _arguments: put(aws, dead, *(notification(99) for _ in range(10))))
    state = dead_letters.redrive(client, dead.url, live.url)
    assert (state.found, state.moved) == (12, 12)
    assert size(aws, dead) == 20


def test_what_another_receiver_holds_is_left(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """The command ends all the same, and the sum holds."""
    live, dead = queues
    put(aws, dead, *(notification(number) for number in range(3)))

    stolen: list[Any] = []

    def steal(_arguments: dict[str, Any]) -> None:
        if not stolen:
            stolen.append(aws.sqs.receive_message(QueueUrl=dead.url, MaxNumberOfMessages=1, VisibilityTimeout=900))

    client = hooked(aws, "ReceiveMessage", steal)
    state = dead_letters.redrive(client, dead.url, live.url)
    assert (state.found, state.moved, state.failed, state.left) == (3, 2, 0, 1)


def test_the_sum_holds_by_its_definition() -> None:
    """Whatever SQS's estimate was."""
    state = Redrive(found=10, moved=4, failed=3)
    assert state.found == state.moved + state.failed + state.left


def test_a_stack_names_both_queues(aws: Aws) -> None:
    """By its outputs, or by its resources where it has no such output."""
    dead = {"Type": "AWS::SQS::Queue"}
    policy = {"deadLetterTargetArn": {"Fn::GetAtt": ["CloudTrailDeadLetterQueue", "Arn"]}, "maxReceiveCount": 3}
    live = {"Type": "AWS::SQS::Queue", "Properties": {"RedrivePolicy": policy}}
    deploy(aws, "queues", {"CloudTrailDeadLetterQueue": dead, "CloudTrailQueue": live}, {})
    shown = run("dlq", "list", "--stack", "queues", env=aws.environment)
    assert shown.code == 0, shown
    assert "0 messages waiting" in shown.out
    moved = run("dlq", "redrive", "--stack", "queues", "--output", "json", env=aws.environment)
    assert moved.code == 0, moved
    assert "CloudTrailQueue" in moved.document["to"]
    assert moved.document["found"] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list"], "Give --queue-url URL or --stack NAME"),
        (["list", "--queue-url", "dead"], "--queue-url is 'dead'. Give a queue's URL, such as https://sqs."),
        (["list", "--queue-url", "arn:aws:sqs:eu-central-1:123456789012:dead"], "Give a queue's URL"),
        (["redrive", "--queue-url", "https://sqs.eu-central-1.amazonaws.com/1/a.fifo"], "is a FIFO queue"),
        (["redrive", "--queue-url", "https://sqs.eu-central-1.amazonaws.com/1/a", "--to", "b"], "--to is 'b'"),
    ],
)
def test_what_is_no_queue_is_refused(arguments: list[str], says: str) -> None:
    """One line, exit code 2."""
    wrong = run("dlq", *arguments)
    assert wrong.code == 2
    assert says in wrong.line


def test_a_queue_that_is_not_there_is_wrong_use(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """The dead-letter queue as well as the one to move to."""
    live, dead = queues
    for arguments in (["list", "--queue-url", live.url + "x"], ["redrive", "--queue-url", dead.url, "--to", live.url + "x"]):
        wrong = run("dlq", *arguments, env=aws.environment)
        assert wrong.code == 2
        assert "--region" in wrong.line


def test_where_to_has_to_be_clear(aws: Aws, queues: tuple[Queue, Queue]) -> None:
    """A queue that is nobody's dead-letter queue, or that of two, needs --to; never to itself."""
    live, dead = queues
    with pytest.raises(Problem, match="is the dead-letter queue of no queue"):
        dead_letters.source_of(aws.sqs, live.url)
    other = aws.queue()
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 3})
    aws.sqs.set_queue_attributes(QueueUrl=other.url, Attributes={"RedrivePolicy": policy})
    with pytest.raises(Problem, match="is the dead-letter queue of 2 queues"):
        dead_letters.source_of(aws.sqs, dead.url)
    same = run("dlq", "redrive", "--queue-url", dead.url, "--to", dead.url, env=aws.environment)
    assert "would be moved to the queue that they are in" in same.line


def test_the_region_is_the_urls() -> None:
    """A queue of another region is found without --region."""
    assert dead_letters.region_of("https://sqs.eu-west-1.amazonaws.com/1/a") == "eu-west-1"
    assert dead_letters.region_of("https://eu-west-1.queue.amazonaws.com/1/a") == "eu-west-1"
    assert dead_letters.region_of("http://127.0.0.1:5000/1/a") is None
