"""From messages to outcomes: the objects of one invocation are fetched side by side and share their bulk requests.

Every record read ends as indexed, duplicate, filtered, quarantined or returned, counted for its own object; every object
ends as done, skipped or failed; and a message is done only when all its objects are.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

from audit_search import documents
from audit_search.accounting import Counts
from audit_search.bulk import (
    DUPLICATE,
    INDEXED,
    REJECTED,
    RETURNED,
    Batch,
    BatchResult,
    BulkSender,
    Cause,
    Engine,
    Retries,
)
from audit_search.cloudtrail import DocumentBuilder, Lines, Policy, line_of, text_of
from audit_search.documents import Place
from audit_search.envelopes import Message, ObjectRef, Skipped
from audit_search.errors import ObjectError
from audit_search.objects import CHUNK, OUTCOMES, Action, ObjectReader, OpenObject
from audit_search.quarantine import Entry, Quarantine, QuarantineError
from audit_search.rebuild import Rejection, build
from audit_search.records import DigestObjectError, Window, windows

_QUARANTINE_BYTES = 4 << 20
"""Texts held back for one quarantine file: it bounds memory when a whole object is refused."""


@dataclass(slots=True)
class ObjectReport:
    """How one object ended."""

    ref: ObjectRef
    counts: Counts = field(default_factory=Counts)
    skipped: str = ""
    error: ObjectError | None = None
    returned: list[Cause] = field(default_factory=list)
    newest: str = ""
    oldest: str = ""
    _place: Place | None = None
    _held: list[Entry] = field(default_factory=list)
    _held_bytes: int = 0

    @property
    def must_return(self) -> bool:
        """Whether the messages that name this object have to be delivered again."""
        return bool(self.returned) or (self.error is not None and OUTCOMES[self.error.code] is Action.RETURN)

    @property
    def outcome(self) -> str:
        """`indexed`, `skipped`, `failed` or `returned`, for people and metrics."""
        if self.must_return:
            return "returned"
        return "failed" if self.error else "skipped" if self.skipped else "indexed"


@dataclass(slots=True)
class Report:
    """What one invocation did."""

    objects: list[ObjectReport] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    skipped: list[Skipped] = field(default_factory=list)
    returned_messages: list[tuple[Message, str]] = field(default_factory=list)
    would_filter: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    @property
    def quarantined_objects(self) -> int:
        """Objects that could never be read to their end: their pointers are in quarantine, and their messages are done."""
        return sum(report.error is not None and not report.must_return for report in self.objects)

    @property
    def failed_objects(self) -> int:
        """Objects that could not be read to their end, whatever happened to their messages."""
        return sum(report.error is not None for report in self.objects)

    @property
    def skipped_objects(self) -> int:
        """What was normal but held no records: test events, digests, folders and the like."""
        return len(self.skipped)

    def summary(self) -> dict[str, int]:
        """The counts as one flat object."""
        counts = self.counts
        return {
            "read": counts.read,
            "indexed": counts.indexed,
            "duplicates": counts.duplicates,
            "differing_duplicates": counts.differing,
            "filtered": counts.filtered,
            "quarantined": counts.quarantined,
            "returned": counts.returned,
            "objects": len(self.objects),
            "skipped_objects": self.skipped_objects,
            "failed_objects": self.failed_objects,
            "bulk_requests": self.requests,
        }


class Recent:
    """Checksums of the records indexed last, by id: it tells a repeated delivery from an id with other content.

    Only as far back as this container remembers: the function may not read what is in the index.
    """

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def add(self, ids: Iterable[bytes], checksums: Iterable[int]) -> None:
        self._young.update(zip(ids, checksums, strict=True))
        if len(self._young) > self._size:
            self._old, self._young = self._young, {}

    def differs(self, identity: bytes, checksum: int) -> bool:
        """Whether this id is remembered with another content."""
        known = self._young.get(identity, self._old.get(identity))
        return known is not None and known != checksum


@dataclass(slots=True)
class Pipeline:
    """The parts that it composes; one instance serves a container's whole life."""

    reader: ObjectReader
    engine: Engine
    quarantine: Quarantine
    policy: Policy
    bulk_bytes: int = 5_000_000
    senders: int = 4
    fetchers: int = 8
    retention_days: int = 0
    retries: Retries = field(default_factory=Retries)
    recent: Recent = field(default_factory=Recent)
    sender: Callable[..., BulkSender] = BulkSender
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    fetching: ThreadPoolExecutor = field(init=False, repr=False)
    sending: ThreadPoolExecutor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Kept as long as the container: starting the threads anew costs a millisecond an invocation.
        self.fetching = ThreadPoolExecutor(self.fetchers, "fetch")
        self.sending = ThreadPoolExecutor(self.senders, "send")

    def run(self, messages: Iterable[Message], deadline: float) -> Report:
        """Do what the messages ask for, until `deadline` (of time.monotonic) at the latest.

        Raises AccountingError when a record has no outcome.
        """
        return _Run(self, list(messages), deadline).run()


class _Run:
    def __init__(self, pipeline: Pipeline, messages: list[Message], deadline: float) -> None:
        self._pipeline = pipeline
        self._messages = messages
        self._deadline = deadline
        self._report = Report()
        self._batch = Batch()
        self._sending: set[Future[BatchResult]] = set()
        self._hung = False
        self._now = pipeline.now()
        pipeline.policy.kept_from = documents.retention_day(self._now, pipeline.retention_days)
        pipeline.policy.would_filter = self._report.would_filter
        self._sender = pipeline.sender(pipeline.engine, deadline, self._rebuild, pipeline.retries)

    def run(self) -> Report:
        report = self._report
        jobs = self._jobs()
        pipeline = self._pipeline
        waiting = deque(jobs)
        opened: deque[tuple[ObjectReport, Future[OpenObject]]] = deque()
        try:
            while waiting or opened:
                # Big objects are opened when it is their turn: their connection would sit idle until then.
                while waiting and len(opened) < pipeline.fetchers and (not opened or (waiting[0].ref.size or 0) <= CHUNK):
                    job = waiting.popleft()
                    opened.append((job, pipeline.fetching.submit(pipeline.reader.open, job.ref)))
                job, future = opened.popleft()
                self._object(job, future, others=bool(waiting or opened))
            self._flush()
            while self._sending:
                self._collect(wait(self._sending, return_when=FIRST_COMPLETED).done)
        finally:
            # What hangs must not keep the answer back, nor the next invocation: its own time-outs end it.
            for _, unread in opened:
                unread.cancel()
            if self._hung:
                pipeline.fetching.shutdown(wait=False, cancel_futures=True)
                pipeline.fetching = ThreadPoolExecutor(pipeline.fetchers, "fetch")
            for unsent in self._sending:
                unsent.cancel()
        for job in report.objects:
            self._close(job)
        self._settle_messages()
        return report

    def _jobs(self) -> list[ObjectReport]:
        """One job for each object, however many messages name it; small ones before big ones, so that a runaway comes last."""
        jobs: dict[tuple[str, str, str | None], ObjectReport] = {}
        for message in self._messages:
            self._report.skipped += message.skipped
            for ref in message.objects:
                jobs.setdefault((ref.bucket, ref.key, ref.version_id), ObjectReport(ref))
        self._report.objects = list(jobs.values())
        for job in self._report.objects:
            if self._pipeline.quarantine.holds(job.ref):
                job.skipped = "quarantine file"
                self._report.skipped.append(Skipped(job.skipped, str(job.ref)))
        return sorted((job for job in jobs.values() if not job.skipped), key=lambda job: job.ref.size or 0)

    def _object(self, job: ObjectReport, future: Future[OpenObject], *, others: bool) -> None:
        """Read one object to its end, its error or the end of its time, and hand on what it holds."""
        builder: DocumentBuilder | None = None
        left = self._deadline - time.monotonic()
        # While others wait behind it, an object has half of the time that is left: a runaway holds nobody back.
        budget = time.monotonic() + (left / 2 if others else left)
        if left <= 0:
            future.cancel()
            job.error = _over("the function's time was over before this object was read")
            return
        try:
            opened = future.result(timeout=budget - time.monotonic())
            job._place = Place(
                job.ref.bucket,
                job.ref.key,
                documents.delivered(job.ref.key, job.ref.notified, opened.last_modified, self._now),
            )
            builder = DocumentBuilder(self._pipeline.policy, job._place, job.counts)
            for window in windows(_within(opened.chunks(), budget, job)):
                _in_time(budget, job)
                self._window(job, builder, window)
        except DigestObjectError as skip:
            job.skipped = skip.code
            self._report.skipped.append(Skipped(skip.code, str(job.ref)))
        except ObjectError as error:
            job.error = error
            if OUTCOMES[error.code] is Action.QUARANTINE:
                self._hold(job, Entry(None, None, error.code, error.reason))
        except FutureTimeoutError:
            self._hung = True
            job.error = _over("S3 had not answered when the time for this object was over")
        except Exception as error:
            job.error = _internal(f"after {job.counts.read:,} records", error)

    def _window(self, job: ObjectReport, builder: DocumentBuilder, window: Window) -> None:
        """Build a window. A mistake of ours returns its records and this object, and leaves the others alone."""
        counts = job.counts
        first, filtered = counts.read, counts.filtered
        counts.read += len(window.texts)
        try:
            made = builder.lines(window, first)
        except Exception as error:
            counts.filtered = filtered
            counts.returned += len(window.texts)
            raise _internal(f"records {first:,} and following", error) from error
        job.oldest, job.newest = builder.span()
        self._add(job, made)

    def _add(self, job: ObjectReport, made: Lines) -> None:
        for position, text, rejection in made.rejected:
            self._hold(job, Entry(position, text, rejection.type, rejection.reason))
        start, sizes = 0, [len(line) for line in made.lines]
        total = sum(sizes)
        limit = self._pipeline.bulk_bytes
        if self._batch.size + total <= limit:
            self._append(job, made, 0, len(sizes), total)
            return
        while start < len(sizes):
            stop, size = start, 0
            while stop < len(sizes) and (self._batch.size + size + sizes[stop] <= limit or (not size and not self._batch.size)):
                size += sizes[stop]
                stop += 1
            if stop > start:
                self._append(job, made, start, stop, size)
            if stop < len(sizes):
                self._flush()
            start = stop

    def _append(self, job: ObjectReport, made: Lines, start: int, stop: int, size: int) -> None:
        batch = self._batch
        batch.lines += made.lines[start:stop]
        batch.ids += made.ids[start:stop]
        batch.checksums += made.checksums[start:stop]
        batch.positions += made.positions[start:stop]
        batch.segments.append((job, stop - start))
        batch.size += size

    def _flush(self) -> None:
        """Send the batch; at most one more than there are senders is on its way, which bounds memory."""
        if not self._batch.lines:
            return
        while len(self._sending) > self._pipeline.senders:
            self._collect(wait(self._sending, return_when=FIRST_COMPLETED).done)
        self._sending.add(self._pipeline.sending.submit(self._sender.send, self._batch))
        self._batch = Batch()
        self._collect({future for future in self._sending if future.done()})

    def _collect(self, done: Iterable[Future[BatchResult]]) -> None:
        for future in list(done):
            self._sending.discard(future)
            self._apply(future.result())

    def _apply(self, result: BatchResult) -> None:
        """Count the outcomes of a batch for the objects whose lines they are."""
        batch, outcomes = result.batch, result.outcomes
        self._report.requests += result.requests
        recent = self._pipeline.recent
        start = 0
        for job, count in batch.segments:
            counts: Counts = job.counts
            part = outcomes[start : start + count]
            counts.indexed += part.count(INDEXED)
            if part.count(INDEXED) == count:
                recent.add(batch.ids[start : start + count], batch.checksums[start : start + count])
            else:
                for number, outcome in enumerate(part, start):
                    self._apply_one(job, result, number, outcome)
            start += count

    def _apply_one(self, job: ObjectReport, result: BatchResult, number: int, outcome: int) -> None:
        batch, counts = result.batch, job.counts
        recent = self._pipeline.recent
        if outcome == INDEXED:
            recent.add(batch.ids[number : number + 1], batch.checksums[number : number + 1])
        elif outcome == DUPLICATE:
            counts.duplicates += 1
            counts.differing += recent.differs(batch.ids[number], batch.checksums[number])
        elif outcome == REJECTED:
            cause = result.causes[number]
            self._hold(job, Entry(batch.positions[number], text_of(batch.lines[number]), cause.type, cause.reason))
        elif outcome == RETURNED:
            counts.returned += 1
            _note(job, result.causes[number])

    def _rebuild(self, batch: Batch, number: int) -> bytes | None:
        """A line again, built the exact way from the record's own text."""
        place = batch.owner(number)._place
        policy = self._pipeline.policy
        try:
            built = build(text_of(batch.lines[number]), place, batch.positions[number], policy.naming, policy.mode, refused=True)
        except Exception:
            return None  # the engine's refusal stands: the record is kept in quarantine with it
        return None if isinstance(built, Rejection) else line_of(built)

    def _hold(self, job: ObjectReport, entry: Entry) -> None:
        job._held.append(entry)
        job._held_bytes += len(entry.text or b"")
        if job._held_bytes > _QUARANTINE_BYTES:
            self._keep(job)

    def _keep(self, job: ObjectReport) -> None:
        """Write what is held for quarantine; what cannot be written returns instead."""
        if not job._held:
            return
        held, job._held, job._held_bytes = job._held, [], 0
        records = sum(entry.position is not None for entry in held)
        try:
            self._pipeline.quarantine.write(job.ref, held)
            job.counts.quarantined += records
        except QuarantineError as error:
            job.counts.returned += records
            _note(job, Cause("quarantine_unavailable", str(error)))

    def _close(self, job: ObjectReport) -> None:
        self._keep(job)
        job.counts.check(str(job.ref))
        self._report.counts.add(job.counts)

    def _settle_messages(self) -> None:
        reports = {(job.ref.bucket, job.ref.key, job.ref.version_id): job for job in self._report.objects}
        for message in self._messages:
            reasons = [str(message.error)] if message.error else []
            for ref in message.objects:
                job = reports[ref.bucket, ref.key, ref.version_id]
                if job.must_return:
                    reasons.append(
                        f"{ref}: "
                        + "; ".join([str(job.error)] * (job.error is not None) + [str(cause) for cause in job.returned])
                    )
            if reasons:
                self._report.returned_messages.append((message, " | ".join(reasons)))
        self._report.counts.check("all objects")


def _within(chunks: Iterator[bytes], budget: float, job: ObjectReport) -> Iterator[bytes]:
    """The chunks, until `budget` (of time.monotonic): also an object that never gets to a record ends there."""
    for chunk in chunks:
        _in_time(budget, job)
        yield chunk


def _in_time(budget: float, job: ObjectReport) -> None:
    if time.monotonic() > budget:
        raise _over(f"the time for this object was over after {job.counts.read:,} records")


def _over(reason: str) -> ObjectError:
    return ObjectError("time-budget", reason)


def _internal(where: str, error: Exception) -> ObjectError:
    """A mistake of ours, by its kind and place: its text may hold a part of a record, which no log may show."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return ObjectError("internal", f"{where}: {type(error).__name__} at {PurePath(frame.filename).name}:{frame.lineno}")


def _note(job: ObjectReport, cause: Cause) -> None:
    if cause not in job.returned and len(job.returned) < 5:
        job.returned.append(cause)


def event_lag(time_text: str, now: datetime) -> timedelta | None:
    """How long ago an event was, by its own time."""
    when = documents.parse_time(time_text)
    return now - when if when else None
