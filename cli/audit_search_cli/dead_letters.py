"""The dead-letter queue: looking into it without losing anything, and moving its messages back to where they came from.

A message is sent to its queue first and deleted here only when that queue has taken it. Whatever ends the command in
between leaves the message in both queues, never in none; two deliveries of an object give one document.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from audit_search_cli.errors import Problem, code_of
from audit_search_cli.letters import Letter, read, unwrapped

_BATCH = 10
_SAFE_BATCH_BYTES = 256_000
"""A batch of this size is taken by every queue; a larger message goes alone."""
_PEEK_SECONDS = 60
_MOVE_SECONDS = 300
_EMPTY_ANSWERS = 3
"""A short poll asks some of the servers only, so one empty answer says nothing; after so many long ones the queue is empty."""
_URL = re.compile(r"https?://[^\s/]+/\S+")


@dataclass(frozen=True, slots=True)
class Listing:
    """How many messages there are (by SQS's own estimate), and those that were looked at.

    `hidden` of them could not be put back and come back by themselves after a minute.
    """

    waiting: int
    in_flight: int
    delayed: int
    letters: tuple[Letter, ...]
    hidden: int = 0


@dataclass(slots=True)
class Redrive:
    """What became of the messages that were in the queue at the start: `found = moved + failed + left`.

    `copies` of the moved ones could not be deleted and are in both queues. `hidden` ones could not be put
    back and come back by themselves after five minutes. `failures` are the reasons, by message.
    """

    found: int
    moved: int = 0
    failed: int = 0
    copies: int = 0
    hidden: int = 0
    interrupted: bool = False
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Those that nothing was tried with."""
        return max(0, self.found - self.moved - self.failed)


def queue_url(text: str, option: str = "--queue-url") -> str:
    """A queue's URL. Raises Problem for anything else."""
    if not _URL.fullmatch(text):
        raise Problem(
            f"{option} is {text!r}",
            "Give a queue's URL, such as https://sqs.eu-central-1.amazonaws.com/123456789012/name (aws sqs list-queues).",
        )
    if text.endswith(".fifo"):
        raise Problem(f"{option} is a FIFO queue, which takes no notifications", "Give a standard queue.")
    return text


def region_of(url: str) -> str | None:
    """The region in a queue's URL, or None where it has none that is known."""
    found = re.match(r"https://(?:sqs[.]([a-z0-9-]+)[.]amazonaws|([a-z0-9-]+)[.]queue[.]amazonaws)", url)
    return (found[1] or found[2]) if found else None


def counts(sqs: Any, url: str) -> tuple[int, int, int]:
    """How many messages wait, are being worked on, and are delayed; estimates. Raises ClientError."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    waiting, in_flight, delayed = (int(found.get(name, 0)) for name in names)
    return waiting, in_flight, delayed


def listing(sqs: Any, url: str, most: int) -> Listing:
    """Look at up to `most` messages and put them back at once, whatever happens.

    Raises ClientError. Each look counts as a receive; a message whose return fails is visible again after a minute.
    """
    waiting, in_flight, delayed = counts(sqs, url)
    held: dict[str, Mapping[str, Any]] = {}
    try:
        for messages in _receive(sqs, url, min(most, waiting), _PEEK_SECONDS, held):
            held.update({message["MessageId"]: message for message in messages})
    finally:
        hidden = _put_back(sqs, url, list(held.values()))
    letters = tuple(sorted((read(message) for message in held.values()), key=lambda letter: str(letter.sent)))
    return Listing(waiting, in_flight, delayed, letters, hidden)


def source_of(sqs: Any, url: str) -> str:
    """The queue whose dead letters these are. Raises Problem where there is none, or more than one; and ClientError."""
    sources: list[str] = []
    for page in sqs.get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=url):
        sources += page["queueUrls"]
    if len(sources) == 1:
        return sources[0]
    if not sources:
        raise Problem(f"{url} is the dead-letter queue of no queue", "Say with --to where its messages are to go.")
    raise Problem(f"{url} is the dead-letter queue of {len(sources)} queues: {', '.join(sources)}", "Choose one with --to.")


def redrive(
    sqs: Any,
    url: str,
    to: str,
    *,
    most: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    step: Callable[[Redrive], None] = lambda _state: None,
) -> Redrive:
    """Move messages to another queue, at most those that there are now and `most`.

    `stop` is asked between batches of ten; `step` is told after each. Raises Problem for a queue that is to be moved to
    itself, and ClientError where the queues cannot be read or written at all.
    """
    if url == to:
        raise Problem("The messages would be moved to the queue that they are in", "Give the other queue with --to.")
    counts(sqs, to)  # a queue that is not there, or is not ours, is noticed before anything is received
    state = Redrive(found=counts(sqs, url)[0])
    bound = state.found if most is None else min(most, state.found)
    held: dict[str, Mapping[str, Any]] = {}
    done: set[str] = set()
    try:
        for messages in _receive(sqs, url, bound, _MOVE_SECONDS, done):
            held.update({message["MessageId"]: message for message in messages})
            for batch in _batches(messages, state):
                _move(sqs, url, to, batch, state, held)
            done.update(message["MessageId"] for message in messages)
            step(state)
            if stop():
                state.interrupted = True
                break
    finally:
        state.hidden = _put_back(sqs, url, list(held.values()))
    return state


def _receive(sqs: Any, url: str, bound: int, seconds: int, seen: Container[str]) -> Iterator[list[Mapping[str, Any]]]:
    """Up to `bound` messages in tens, each once: those whose ids are in `seen` by then are not given again."""
    given = empty = 0
    while given < bound and empty < _EMPTY_ANSWERS:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(_BATCH, bound - given),
            VisibilityTimeout=seconds,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        fresh = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
        empty = 0 if fresh else empty + 1
        given += len(fresh)
        if fresh:
            yield fresh


@dataclass(frozen=True, slots=True)
class _Parcel:
    message: Mapping[str, Any]
    body: str
    size: int


def _batches(messages: Sequence[Mapping[str, Any]], state: Redrive) -> Iterator[list[_Parcel]]:
    """Messages in requests that a queue takes; what has no payload fails here."""
    batch: list[_Parcel] = []
    size = 0
    for message in messages:
        try:
            body, _ = unwrapped(message["Body"])
        except ValueError as error:
            _fail(state, message, str(error))
            continue
        parcel = _Parcel(message, body, len(body.encode()) + len(json.dumps(message.get("MessageAttributes", {}), default=str)))
        if batch and size + parcel.size > _SAFE_BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(parcel)
        size += parcel.size
    if batch:
        yield batch


def _move(sqs: Any, url: str, to: str, batch: Sequence[_Parcel], state: Redrive, held: dict[str, Mapping[str, Any]]) -> None:
    """Send, and delete what was taken. A request that fails as a whole fails all of its messages, which stay where they are."""
    sent = [{"Id": str(number), "MessageBody": parcel.body, **_attributes(parcel.message)} for number, parcel in enumerate(batch)]
    try:
        answer = sqs.send_message_batch(QueueUrl=to, Entries=sent)
    except (ClientError, BotoCoreError) as error:
        for parcel in batch:
            _fail(state, parcel.message, f"not sent: {code_of(error)}")
        return
    for refused in answer.get("Failed", []):
        reason = f"not taken: {refused.get('Code', '')} {refused.get('Message', '')}".strip()
        _fail(state, batch[int(refused["Id"])].message, reason)
    taken = [batch[int(item["Id"])].message for item in answer.get("Successful", [])]
    state.moved += len(taken)
    _delete(sqs, url, taken, state, held)


def _delete(sqs: Any, url: str, taken: Sequence[Mapping[str, Any]], state: Redrive, held: dict[str, Mapping[str, Any]]) -> None:
    if not taken:
        return
    entries = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(taken)]
    try:
        answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    except (ClientError, BotoCoreError) as error:
        state.copies += len(taken)
        state.failures += [(message["MessageId"], f"moved, but not deleted here: {code_of(error)}") for message in taken]
        return
    for item in answer.get("Successful", []):
        held.pop(taken[int(item["Id"])]["MessageId"], None)
    for item in answer.get("Failed", []):
        state.copies += 1
        identity = taken[int(item["Id"])]["MessageId"]
        state.failures.append((identity, f"moved, but not deleted here: {item.get('Code', '')}"))


def _attributes(message: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that the sender gave to a message, as they are sent again."""
    names = ("StringValue", "BinaryValue", "DataType")
    given = {
        name: {key: value[key] for key in names if key in value} for name, value in message.get("MessageAttributes", {}).items()
    }
    return {"MessageAttributes": given} if given else {}


def _fail(state: Redrive, message: Mapping[str, Any], reason: str) -> None:
    state.failed += 1
    state.failures.append((message["MessageId"], reason))


def _put_back(sqs: Any, url: str, messages: Sequence[Mapping[str, Any]]) -> int:
    """Make messages visible again at once; how many are not, and become so by themselves later."""
    hidden = 0
    for start in range(0, len(messages), _BATCH):
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
            for number, message in enumerate(messages[start : start + _BATCH])
        ]
        try:
            answer = sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
        except (ClientError, BotoCoreError):
            hidden += len(entries)
        else:
            hidden += len(answer.get("Failed", []))
    return hidden
