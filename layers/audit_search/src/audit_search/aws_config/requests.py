"""What AWS Config's side asks of an engine: documents by id, lines in bulk, and hits of a search. Never a refresh."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from audit_search.bulk import RETURNED, Batch, BulkSender, Cause, Reply, Retries, passing
from audit_search.bulk import Engine as BulkEngine

_MGET_DOCUMENTS: Final = 1_000
_MGET_BYTES: Final = 8_000_000
_ABSENT: Final = "index_not_found_exception"
_Read = tuple[list[dict[str, Any]] | None, Cause]


class Engine(BulkEngine, Protocol):
    """What sends bulk requests, reads documents by index and id, and searches; it answers with a Reply, whatever happens."""

    def mget(self, wanted: Sequence[Mapping[str, Any]], timeout: float) -> Reply: ...

    def search(self, index: str, body: Mapping[str, Any], timeout: float) -> Reply: ...


class UnreadableError(Exception):
    """Documents could not be read now; `cause` says why."""

    def __init__(self, cause: Cause) -> None:
        self.cause = cause
        super().__init__(str(cause))


class Requests:
    """Reads and writes until `deadline` (of time.monotonic), as patiently as `retries` says; `count` is how many requests."""

    def __init__(
        self, engine: Engine, deadline: float, retries: Retries, bulk_bytes: int, wait: Callable[[float], object]
    ) -> None:
        self._engine = engine
        self._deadline = deadline
        self._retries = retries
        self._bulk_bytes = bulk_bytes
        self._wait = wait
        self._sender = BulkSender(engine, deadline, lambda batch, number: None, retries, wait)
        self.count = 0

    def pause(self, attempts: int) -> bool:
        """Wait after so many attempts in vain; whether there is time for another one."""
        left = self._deadline - time.monotonic()
        if left > 0:
            self._wait(min(self._retries.pause(attempts), left))
        return time.monotonic() < self._deadline

    def read(self, wanted: Sequence[tuple[Mapping[str, Any], int]]) -> list[dict[str, Any]]:
        """Documents by `_mget`, in the order of what is wanted: (its part of the request, about how many bytes it has).

        What is not there, or whose index is not, has no `found`. Raises UnreadableError.
        """
        answers: list[dict[str, Any]] = []
        chunk: list[Mapping[str, Any]] = []
        size = 0
        for one, about in wanted:
            if chunk and (len(chunk) == _MGET_DOCUMENTS or size + about > _MGET_BYTES):
                answers += self._chunk(chunk)
                chunk, size = [], 0
            chunk.append(one)
            size += about
        return answers + (self._chunk(chunk) if chunk else [])

    def search(self, index: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The hits of a search, which all its shards have answered. Raises UnreadableError."""
        return self._patiently(partial(self._engine.search, index, body), _hits)

    def _chunk(self, wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return self._patiently(partial(self._engine.mget, wanted), partial(_documents, expected=len(wanted)))

    def _patiently(self, ask: Callable[[float], Reply], understood: Callable[[Reply], _Read]) -> list[dict[str, Any]]:
        attempts = 0
        cause = Cause("out_of_time", "the function's time was over before this was read")
        while (left := self._deadline - time.monotonic()) > 0:
            reply = ask(min(left, self._retries.timeout))
            self.count += 1
            if reply.status == 200:
                answers, cause = understood(reply)
                if answers is not None:
                    return answers
            else:
                cause = Cause(reply.type or f"http_{reply.status}", reply.reason)
                if not passing(reply):
                    break
            attempts += 1
            if attempts >= self._retries.attempts or not self.pause(attempts):
                break
        raise UnreadableError(cause)

    def write(self, lines: Sequence[bytes]) -> Iterator[tuple[int, Cause | None]]:
        """Send lines; for each its outcome as `bulk` has them, and the cause of one that was rejected or returned."""
        start = 0
        while start < len(lines):
            stop, size = start, 0
            while stop < len(lines) and (stop == start or size + len(lines[stop]) <= self._bulk_bytes):
                size += len(lines[stop])
                stop += 1
            result = self._sender.send(Batch(lines=list(lines[start:stop]), size=size))
            self.count += result.requests
            for number, outcome in enumerate(result.outcomes):
                cause = result.causes.get(number)
                yield outcome, cause or (Cause("returned", "") if outcome == RETURNED else None)
            start = stop


def _hits(reply: Reply) -> _Read:
    """The hits of an answer, or None and why they are not all of them."""
    items = reply.items
    if items is None or not all(isinstance(item, dict) for item in items):
        return None, Cause("incomplete_answer", "not all shards have answered the search")
    return list(items), Cause("", "")


def _documents(reply: Reply, expected: int) -> _Read:
    """The documents of an answer, or None and why not all of them could be read."""
    items = reply.items
    if items is None or len(items) != expected or not all(isinstance(item, dict) for item in items):
        return None, Cause("incomplete_answer", f"not one answer for each of {expected} documents")
    for item in items:
        error = item.get("error")
        if error is not None:
            kind = str(error.get("type", "")) if isinstance(error, dict) else ""
            if kind != _ABSENT:
                return None, Cause(kind or "read_error", str(error.get("reason", "")) if isinstance(error, dict) else str(error))
    return list(items), Cause("", "")
