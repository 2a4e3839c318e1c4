"""A backfill by the functions of a stack: their queues get messages that name objects to index again, marked as replay.

An object is done when SQS has taken a message that names it; then the state names it. The rest is the function's matter.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit_search.envelopes import replay_order
from audit_search_cli import pipelines
from audit_search_cli.errors import Problem
from audit_search_cli.history_sources import Found
from audit_search_cli.history_state import State
from audit_search_cli.options import Invocation

OBJECTS: Final = 10
BYTES: Final = 1_000_000
"""What one message names at most, unless it is a single object: an invocation takes ten messages, and has five minutes."""
_BATCH: Final = 10
_BATCH_BYTES: Final = 256_000


@dataclass(slots=True)
class Sent:
    """How a run went. `found` objects are those of the selection, `before` were sent by earlier runs, `messages` by queue.

    `failed` are the objects whose message SQS did not take, with the reason.
    """

    found: int = 0
    before: int = 0
    sent: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def left(self) -> int:
        """Objects that nothing was done with."""
        return self.found - self.before - self.sent - len(self.failed)


@dataclass(frozen=True, slots=True)
class _Parcel:
    objects: Sequence[Found]
    body: str


def queues(invocation: Invocation, objects: Iterable[Found]) -> dict[bool, str]:
    """The URLs of the queues that the objects need, AWS Config's under True.

    Raises Problem where there is none, or where the function does not read the bucket; and what botocore raises.
    """
    stack = invocation.stack
    if stack is None:
        raise Problem("--to-queue needs the queues of a stack", "Give --stack NAME.")
    found: dict[bool, str] = {}
    for config, name in ((False, "CloudTrail"), (True, "Config")):
        buckets = sorted({one.ref.bucket for one in objects if one.config is config})
        if not buckets:
            continue
        url = stack.outputs.get(f"{name}QueueUrl") or stack.physical(f"{name}Queue")
        if not url:
            other = "--of cloudtrail leaves AWS Config's objects out" if config else "--of config leaves CloudTrail's objects out"
            raise Problem(f"The stack {stack.name} has no {name}Queue", f"{other}.")
        allowed = pipelines.buckets_of(invocation, f"{name}Function")
        refused = [bucket for bucket in buckets if bucket not in allowed]
        if refused:
            raise Problem(
                f"{name}Function of the stack {stack.name} does not read the bucket {refused[0]}",
                "Name the bucket in the stack's parameters first, or leave --to-queue away.",
            )
        found[config] = url
    return found


def run(
    objects: Sequence[Found],
    sqs: Any,
    to: Mapping[bool, str],
    state: State,
    *,
    stop: Callable[[], bool] = lambda: False,
    step: Callable[[Sent], None] = lambda _: None,
) -> Sent:
    """Send what the state does not name yet, until `stop` says so: the ten messages in hand are sent then.

    Raises what botocore raises where a queue cannot be written; what was sent before is in the state.
    """
    result = Sent(found=len(objects))
    todo = [found for found in objects if not state.has(found.ref.key, found.mark)]
    result.before = len(objects) - len(todo)
    step(result)
    for config, url in to.items():
        for batch in _batches(_parcels([found for found in todo if found.config is config])):
            if stop():
                break
            _send(sqs, url, batch, state, result)
            step(result)
    result.interrupted = stop() and result.left > 0
    return result


def _parcels(objects: Iterable[Found]) -> Iterator[_Parcel]:
    """Objects in messages, bounded in number and size, each of one bucket."""
    part: list[Found] = []
    size = 0
    for found in objects:
        full = len(part) == OBJECTS or size + (found.ref.size or 0) > BYTES
        if part and (full or found.ref.bucket != part[0].ref.bucket):
            yield _parcel(part)
            part, size = [], 0
        part.append(found)
        size += found.ref.size or 0
    if part:
        yield _parcel(part)


def _parcel(part: Sequence[Found]) -> _Parcel:
    order = replay_order(part[0].ref.bucket, [found.ref for found in part])
    return _Parcel(part, json.dumps(order, separators=(",", ":")))


def _batches(parcels: Iterable[_Parcel]) -> Iterator[list[_Parcel]]:
    """Messages in requests that every queue takes."""
    batch: list[_Parcel] = []
    size = 0
    for parcel in parcels:
        length = len(parcel.body)
        if batch and (len(batch) == _BATCH or size + length > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(parcel)
        size += length
    if batch:
        yield batch


def _send(sqs: Any, url: str, batch: Sequence[_Parcel], state: State, result: Sent) -> None:
    entries = [{"Id": str(number), "MessageBody": parcel.body} for number, parcel in enumerate(batch)]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    taken = [batch[int(item["Id"])] for item in answer.get("Successful", [])]
    done = {found.ref.key: found.mark for parcel in taken for found in parcel.objects}
    if done:
        state.add(done, {"sent": len(done), "messages": len(taken)})
    result.sent += len(done)
    result.messages[url] += len(taken)
    for item in answer.get("Failed", []):
        reason = f"not taken: {item.get('Code', '')} {item.get('Message', '')}".strip()
        result.failed += [(found.ref.key, reason) for found in batch[int(item["Id"])].objects]
