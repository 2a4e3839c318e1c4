"""From messages to outcomes: the objects of one invocation are fetched side by side and share their bulk requests.

Every record read ends as indexed, duplicate, filtered, quarantined or returned, counted for its own object; every object
ends as done, skipped or failed; and a message is done only when all its objects are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime

from audit_search import documents
from audit_search.accounting import Counts
from audit_search.bulk import DUPLICATE, INDEXED, REJECTED, RETURNED, Batch, BatchResult, BulkSender, Engine, Retries
from audit_search.cloudtrail import DocumentBuilder, Lines, Policy, line_of, text_of
from audit_search.documents import Place
from audit_search.envelopes import Message, Skipped, Target
from audit_search.fetching import Fetcher, Turn, internal
from audit_search.notifying import Notifier
from audit_search.objects import ObjectReader, OpenObject
from audit_search.quarantine import Entry, Quarantine
from audit_search.rebuild import Rejection, build
from audit_search.records import DigestObjectError, Window, windows
from audit_search.reports import ObjectReport, Report


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
    notifier: Notifier | None = None
    sender: Callable[..., BulkSender] = BulkSender
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    fetcher: Fetcher = field(init=False, repr=False)
    sending: ThreadPoolExecutor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(self.fetchers)
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
        self._by_target: dict[Target, ObjectReport] = {}
        self._batch = Batch()
        self._sending: set[Future[BatchResult]] = set()
        self._now = pipeline.now()
        pipeline.policy.kept_from = documents.retention_day(self._now, pipeline.retention_days)
        pipeline.policy.would_filter = self._report.would_filter
        self._sender = pipeline.sender(pipeline.engine, deadline, self._rebuild, pipeline.retries)
        notifier = pipeline.notifier
        self._notifications = notifier.begin(deadline, self._now, self._report.alerts) if notifier else None

    def run(self) -> Report:
        report = self._report
        jobs = self._jobs()
        try:
            pipeline = self._pipeline
            pipeline.fetcher.read_all(jobs, pipeline.reader, pipeline.quarantine, self._deadline, self._read)
            self._flush()
            while self._sending:
                self._collect(wait(self._sending, return_when=FIRST_COMPLETED).done)
        finally:
            for unsent in self._sending:
                unsent.cancel()
        if self._notifications:
            self._notifications.finish()
        for job in report.objects:
            report.close(job, self._pipeline.quarantine)
        self._settle_messages()
        return report

    def _jobs(self) -> list[ObjectReport]:
        """One job for each object, however many messages name it."""
        jobs = self._by_target
        for message in self._messages:
            self._report.skipped += message.skipped
            for ref in message.objects:
                job = jobs.setdefault(ref.target, ObjectReport(ref, replay=True))
                job.replay = job.replay and message.replay
        self._report.objects = list(jobs.values())
        for (bucket, key, _), job in jobs.items():
            if self._pipeline.quarantine.holds(bucket, key):
                job.skipped = "quarantine file"
                self._report.skipped.append(Skipped(job.skipped, str(job.ref)))
        return [job for job in jobs.values() if not job.skipped]

    def _read(self, job: ObjectReport, opened: OpenObject, turn: Turn) -> None:
        """Read one object to its end, and hand on what it holds."""
        ref = opened.ref
        delivered = documents.delivered(ref.key, ref.notified, opened.last_modified, self._now)
        job.place = Place(ref.bucket, ref.key, delivered)
        builder = DocumentBuilder(self._pipeline.policy, job.place, job.counts, self._mode(job))
        try:
            for window in windows(turn.within(opened.chunks())):
                turn.check()
                self._window(job, builder, window, opened.part or 0)
        except DigestObjectError as skip:
            job.skipped = skip.code
            self._report.skipped.append(Skipped(skip.code, str(ref)))

    def _mode(self, job: ObjectReport) -> str:
        """The mode of ingestion of an object: what is live is never marked as replay, whoever else names it."""
        return "replay" if job.replay else self._pipeline.policy.mode

    def _window(self, job: ObjectReport, builder: DocumentBuilder, window: Window, start: int) -> None:
        """Build a window; the first record of all has the position `start`. A mistake of ours returns its records and this
        object, and leaves the others alone."""
        counts = job.counts
        first, filtered = start + counts.read, counts.filtered
        counts.read += len(window.texts)
        try:
            made = builder.lines(window, first)
        except Exception as error:
            counts.filtered = filtered
            counts.returned += len(window.texts)
            raise internal(f"records {first:,} and following", error) from error
        job.oldest, job.newest = builder.span()
        self._add(job, made)

    def _add(self, job: ObjectReport, made: Lines) -> None:
        for position, text, rejection in made.rejected:
            job.hold(Entry(position, text, rejection.type, rejection.reason), self._pipeline.quarantine)
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
        before = len(batch.lines)
        batch.alerting += [before + number - start for number in made.alerting if start <= number < stop]
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
        if self._notifications:
            for number in batch.alerting:
                if outcomes[number] != RETURNED:
                    self._notifications.add(batch.owner(number), batch.lines[number], outcomes[number])

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
            job.hold(
                Entry(batch.positions[number], text_of(batch.lines[number]), cause.type, cause.reason), self._pipeline.quarantine
            )
        elif outcome == RETURNED:
            counts.returned += 1
            job.note(result.causes[number])

    def _rebuild(self, batch: Batch, number: int) -> bytes | None:
        """A line again, built the exact way from the record's own text."""
        owner = batch.owner(number)
        policy = self._pipeline.policy
        try:
            text, position = text_of(batch.lines[number]), batch.positions[number]
            built = build(text, owner.place, position, policy.naming, self._mode(owner), refused=True, alerts=policy.alerts)
        except Exception:
            return None  # the engine's refusal stands: the record is kept in quarantine with it
        return None if isinstance(built, Rejection) else line_of(built)

    def _settle_messages(self) -> None:
        for message in self._messages:
            reasons = [str(message.error)] if message.error else []
            for ref in message.objects:
                job = self._by_target[ref.target]
                if job.must_return:
                    reasons.append(job.reason)
            if reasons:
                self._report.returned_messages.append((message, " | ".join(reasons)))
        self._report.counts.check("all objects")
