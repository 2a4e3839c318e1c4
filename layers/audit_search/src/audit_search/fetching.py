"""Objects are opened side by side and read one after the other, each within its part of the time.

Whatever an object's failure is, it becomes the error of its own report and leaves the others alone.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import PurePath

from audit_search.envelopes import ObjectRef
from audit_search.errors import ObjectError
from audit_search.objects import CHUNK, OUTCOMES, Action, ObjectReader, OpenObject
from audit_search.quarantine import Entry, Quarantine
from audit_search.reports import ObjectReport

Read = Callable[[ObjectReport, OpenObject, "Turn"], None]
"""Reads one object to its end; what it raises becomes the object's error."""


class Turn:
    """The time that one object has."""

    def __init__(self, job: ObjectReport, until: float) -> None:
        """`until` is of time.monotonic."""
        self._job = job
        self._until = until

    def check(self) -> None:
        """Raise ObjectError when it is over."""
        if time.monotonic() > self._until:
            raise over(f"the time for this object was over after {self._job.counts.read:,} records")

    def within(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, until the time is over: also an object that never gets to a record ends there."""
        for chunk in chunks:
            self.check()
            yield chunk


class Fetcher:
    """Opens objects with threads that are kept as long as the container: starting them anew costs a millisecond an
    invocation."""

    def __init__(self, threads: int) -> None:
        """So many objects are open at the same time."""
        self._ahead = threads
        self.threads = ThreadPoolExecutor(threads, "fetch")

    def read_all(
        self, jobs: Iterable[ObjectReport], reader: ObjectReader, quarantine: Quarantine, deadline: float, read: Read
    ) -> None:
        """Read the objects of jobs until `deadline` (of time.monotonic), small ones before big ones: a runaway comes last.

        `quarantine` takes the pointers to what can never be read.
        """
        waiting = deque(sorted(jobs, key=lambda job: _ref(job).size or 0))
        opened: deque[tuple[ObjectReport, Future[OpenObject]]] = deque()
        hung = False
        try:
            while waiting or opened:
                # Big objects are opened when it is their turn: their connection would sit idle until then.
                while waiting and len(opened) < self._ahead and (not opened or (_ref(waiting[0]).size or 0) <= CHUNK):
                    job = waiting.popleft()
                    opened.append((job, self.threads.submit(reader.open, _ref(job))))
                job, future = opened.popleft()
                hung |= _one(job, future, quarantine, deadline, read, others=bool(waiting or opened))
        finally:
            # What hangs must not keep the answer back, nor the next invocation: its own time-outs end it.
            for _, unread in opened:
                unread.cancel()
            if hung:
                self.threads.shutdown(wait=False, cancel_futures=True)
                self.threads = ThreadPoolExecutor(self._ahead, "fetch")


def _one(
    job: ObjectReport, future: Future[OpenObject], quarantine: Quarantine, deadline: float, read: Read, *, others: bool
) -> bool:
    """Read one object to its end, its error or the end of its time; whether S3 hangs."""
    left = deadline - time.monotonic()
    # While others wait behind it, an object has half of the time that is left: a runaway holds nobody back.
    until = time.monotonic() + (left / 2 if others else left)
    if left <= 0:
        future.cancel()
        job.error = over("the function's time was over before this object was read")
        return False
    try:
        read(job, future.result(timeout=until - time.monotonic()), Turn(job, until))
    except ObjectError as error:
        job.error = error
        if OUTCOMES[error.code] is Action.QUARANTINE and not job.only_summary:
            job.hold(Entry(None, None, error.code, error.reason), quarantine)
    except FutureTimeoutError:
        job.error = over("S3 had not answered when the time for this object was over")
        return True
    except Exception as error:
        job.error = internal(f"after {job.counts.read:,} records", error)
    return False


def _ref(job: ObjectReport) -> ObjectRef:
    assert isinstance(job.ref, ObjectRef)  # noqa: S101  # a message that holds its records has nothing to fetch
    return job.ref


def over(reason: str) -> ObjectError:
    """The time of an object is over."""
    return ObjectError("time-budget", reason)


def internal(where: str, error: Exception) -> ObjectError:
    """A mistake of ours, by its kind and place: its text may hold a part of a record, which no log may show."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return ObjectError("internal", f"{where}: {type(error).__name__} at {PurePath(frame.filename).name}:{frame.lineno}")
