"""Lines become bulk requests, and each line gets exactly one outcome.

Written after the bulk API's own rules (https://docs.opensearch.org/latest/api-reference/document-apis/bulk/): every
operation is `create` with a deterministic id, so that sending anything twice is harmless.

| answer | outcome |
|---|---|
| item 200, 201 | indexed |
| item 409 | duplicate: it is there already |
| item 408, 429, 5xx | only these lines again, with backoff, while attempts and time last; then returned |
| request 408, 429, 5xx, time-out, reset, an answer that is none | the same |
| item 400 | rebuilt once the exact way and sent again; a second 400 is rejected |
| item 401, 403, 404, and 400 because the index could not be made | returned, the cause named: an operator can mend it |
| request 401, 403, 404 | returned, the cause named; AWS's throttling, which is a 403, is retried |
| request 413 | halves; a single line is rejected |
| request 400 | halves, down to the culprit, which is then treated as an item 400 |
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

INDEXED: Final = 1
DUPLICATE: Final = 2
REJECTED: Final = 3
RETURNED: Final = 4

_BLOCK: Final = 64


class Reply(NamedTuple):
    """What the engine answered to one bulk request; status 0 means that there was no answer."""

    status: int
    errors: bool = True
    items: Sequence[Any] | None = None
    type: str = ""
    reason: str = ""


class Body:
    """The request of some lines, with the time at which it is made written into each document.

    It is handed out in blocks, because a whole body beside its lines would be the largest thing in memory.
    """

    def __init__(self, lines: Sequence[bytes]) -> None:
        now = datetime.now(UTC)
        self._lines = lines
        self._end = b'%b.%03dZ"}}\n' % (now.strftime("%Y-%m-%dT%H:%M:%S").encode(), now.microsecond // 1000)

    def blocks(self) -> Iterator[bytes]:
        """The body in parts of some hundred kilobytes."""
        for start in range(0, len(self._lines), _BLOCK):
            yield self._end.join([*self._lines[start : start + _BLOCK], b""])  # a sum would copy all of it once more

    def __bytes__(self) -> bytes:
        return b"".join(self.blocks())


class Engine(Protocol):
    """What sends a request body; it answers with a Reply, whatever happens."""

    def bulk(self, body: Body, timeout: float) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a line was rejected or returned."""

    type: str
    reason: str

    def __str__(self) -> str:
        return f"{self.type}: {self.reason}" if self.reason else self.type


@dataclass(slots=True)
class Batch:
    """Lines of one or more objects that share a request. `segments` says whose they are: (owner, how many), in order.

    `alerting` are the numbers of those that met an alert rule.
    """

    lines: list[bytes] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[tuple[Any, int]] = field(default_factory=list)
    alerting: list[int] = field(default_factory=list)
    size: int = 0

    def owner(self, number: int) -> Any:
        """Whose line this is."""
        for owner, count in self.segments:
            number -= count
            if number < 0:
                return owner
        raise IndexError(number)


@dataclass(slots=True)
class BatchResult:
    """The outcome of each line of a batch: one byte a line, and the cause of each that was rejected or returned."""

    batch: Batch
    outcomes: bytearray
    causes: dict[int, Cause] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is tried and how long it waits in between: full jitter up to base x 2^n, at most cap (seconds)."""

    attempts: int = 8
    base: float = 0.5
    cap: float = 15.0
    timeout: float = 60.0

    def pause(self, attempts: int) -> float:
        """Seconds to wait after so many attempts in vain."""
        return random.uniform(0, min(self.cap, self.base * 2**attempts))  # noqa: S311  # spreads load, no secret


class BulkSender:
    """Sends batches until `deadline` (of time.monotonic); used by several threads at once.

    `rebuild(batch, number)` gives the line again, built the exact way, or None where that is not possible.
    """

    def __init__(
        self,
        engine: Engine,
        deadline: float,
        rebuild: Callable[[Batch, int], bytes | None],
        retries: Retries = Retries(),
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._engine = engine
        self._deadline = deadline
        self._rebuild = rebuild
        self._retries = retries
        self._wait = wait
        self._down = threading.Event()

    def send(self, batch: Batch) -> BatchResult:
        """Send one batch to the end. Never raises for what the engine does; every line has its outcome."""
        result = BatchResult(batch, bytearray(len(batch.lines)))
        self._deliver(list(range(len(batch.lines))), result, set())
        return result

    def _deliver(self, numbers: list[int], result: BatchResult, rebuilt: set[int]) -> None:
        lines = result.batch.lines
        attempts = 0
        cause = Cause("out_of_time", "the function's time was over before this was sent")
        while numbers:
            left = self._deadline - time.monotonic()
            if left <= 0:
                return _settle(numbers, result, RETURNED, cause)
            reply = self._engine.bulk(Body([lines[number] for number in numbers]), min(left, self._retries.timeout))
            result.requests += 1
            again: list[int] = []
            if reply.status in (200, 201):
                if not reply.errors and reply.items is not None and len(reply.items) == len(numbers):
                    self._down.clear()
                    return _settle(numbers, result, INDEXED)
                if reply.items is None or len(reply.items) != len(numbers):
                    # Nothing can be told from such an answer; the ids make it harmless to ask again.
                    count = "no" if reply.items is None else str(len(reply.items))
                    cause, again = (
                        Cause("incomplete_answer", f"{count} items answered for {len(numbers)} sent"),
                        numbers,
                    )
                else:
                    cause, again, corrected = self._items(numbers, reply.items, result, rebuilt, cause)
                    if corrected:
                        self._deliver(corrected, result, rebuilt)
            elif reply.status in (400, 413):
                if len(numbers) > 1:
                    half = len(numbers) // 2
                    self._deliver(numbers[:half], result, rebuilt)
                    self._deliver(numbers[half:], result, rebuilt)
                    return None
                refused = Cause(reply.type or f"http_{reply.status}", reply.reason)
                if reply.status == 400 and self._corrected(numbers[0], result, rebuilt):
                    continue
                return _settle(numbers, result, REJECTED, refused)
            elif passing(reply):
                cause, again = Cause(reply.type or f"http_{reply.status}", reply.reason), numbers
            else:
                return _settle(numbers, result, RETURNED, Cause(reply.type or f"http_{reply.status}", reply.reason))
            numbers = again
            attempts += 1
            if numbers and (attempts >= self._retries.attempts or self._down.is_set()):
                # Once one batch has waited in vain, the others of this invocation need not wait as long again.
                self._down.set()
                return _settle(numbers, result, RETURNED, cause)
            if numbers:
                self._wait(max(0.0, min(self._retries.pause(attempts), self._deadline - time.monotonic())))
        self._down.clear()
        return None

    def _items(
        self, numbers: list[int], items: Sequence[Any], result: BatchResult, rebuilt: set[int], cause: Cause
    ) -> tuple[Cause, list[int], list[int]]:
        """Settle what is settled; gives the cause of what is to be sent again, that, and what was built anew."""
        again: list[int] = []
        corrected: list[int] = []
        for number, item in zip(numbers, items, strict=True):
            status, error = _item(item)
            if status in (200, 201):
                result.outcomes[number] = INDEXED
            elif status == 409:
                result.outcomes[number] = DUPLICATE
            elif status in (408, 429) or 500 <= status < 600 or status == 0:
                cause = error
                again.append(number)
            elif status == 400 and not _of_the_index(error):
                if self._corrected(number, result, rebuilt):
                    corrected.append(number)
                else:
                    _settle([number], result, REJECTED, error)
            else:
                _settle([number], result, RETURNED, error)
        return cause, again, corrected

    def _corrected(self, number: int, result: BatchResult, rebuilt: set[int]) -> bool:
        """Build the line anew, once."""
        if number in rebuilt:
            return False
        rebuilt.add(number)
        line = self._rebuild(result.batch, number)
        if line is None:
            return False
        result.batch.lines[number] = line
        return True


def _settle(numbers: list[int], result: BatchResult, outcome: int, cause: Cause | None = None) -> None:
    for number in numbers:
        result.outcomes[number] = outcome
        if cause is not None:
            result.causes[number] = cause


def _item(item: Any) -> tuple[int, Cause]:
    """The status of an answered item and its error; 0 for one that is not understood."""
    if isinstance(item, dict) and len(item) == 1:
        answer = next(iter(item.values()))
        if isinstance(answer, dict) and isinstance(answer.get("status"), int):
            error = answer.get("error")
            if isinstance(error, dict):
                reason = str(error.get("reason", ""))
                caused = error.get("caused_by")
                if isinstance(caused, dict) and caused.get("reason"):
                    reason += f" ({caused['reason']})"
                return answer["status"], Cause(str(error.get("type", f"item_{answer['status']}")), reason)
            return answer["status"], Cause(f"item_{answer['status']}", str(error or ""))
    return 0, Cause("incomplete_answer", "an item without a status")


def _of_the_index(error: Cause) -> bool:
    """Whether a refusal is about the index that could not be made, not about the document."""
    return error.type == "invalid_index_name_exception" or any(
        text in error.reason for text in ("shards open", "Failed to parse mapping", "analyzer [", "tokenizer [")
    )


def passing(reply: Reply) -> bool:
    """Whether waiting may help."""
    return reply.status in (0, 408, 429) or 500 <= reply.status < 600 or throttled(reply)


def throttled(reply: Reply) -> bool:
    """Whether this is Amazon's throttling, which looks like a refusal."""
    reason = reply.reason.lower()
    return reply.status == 403 and ("throttl" in reason or "too many requests" in reason)
