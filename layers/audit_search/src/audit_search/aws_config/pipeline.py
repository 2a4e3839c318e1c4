"""From AWS Config's messages to outcomes: items that messages hold or that objects do become versions, latest states and events.

Every item ends as indexed, duplicate, filtered, quarantined or returned, counted for its own message or object; every message
of a topic is AWS Config's, CloudTrail's, foreign, skipped or quarantined; and a message is done only when all that it holds
and names is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from audit_search import documents
from audit_search.aws_config.documents import HealthEvent, Origin, instant
from audit_search.aws_config.history import Arrival, History, Outcome, Written
from audit_search.aws_config.items import Item
from audit_search.aws_config.messages import Reading, read_message
from audit_search.aws_config.objects import Unreadable, delivered, items_of, place_of, source_of
from audit_search.aws_config.reconciliation import reconcile
from audit_search.aws_config.reports import ConfigReport
from audit_search.aws_config.requests import Engine, UnreadableError
from audit_search.bulk import Cause, Retries
from audit_search.envelopes import Message, MessageRef, Notification, ObjectRef, Skipped, Target
from audit_search.fetching import Fetcher, Turn, internal
from audit_search.handing_on import HandOverError
from audit_search.objects import ObjectReader, OpenObject
from audit_search.quarantine import Entry, Quarantine
from audit_search.reports import ObjectReport

_BATCH_ITEMS: Final = 500
_BATCH_CHARACTERS: Final = 4_000_000
_IN_FLIGHT: Final = 8_000_000
"""Characters of items on their way: each costs some ten bytes of memory until its batch is written."""
_DAY: Final = 86_400_000
_SPLITS: Final = 64
"""How often a batch is halved in one invocation to find an item that a mistake of ours is about."""

T = TypeVar("T")


class HandsOn(Protocol):
    """What takes the objects that are CloudTrail's; raises HandOverError."""

    def hand_on(self, refs: Iterable[ObjectRef], *, replay: bool = False) -> None: ...


@dataclass(slots=True)
class ConfigPipeline:
    """The parts that it composes; one instance serves a container's whole life."""

    reader: ObjectReader
    engine: Engine
    quarantine: Quarantine
    trail: HandsOn
    prefix: str = ""
    mode: str = "live"
    bulk_bytes: int = 5_000_000
    senders: int = 4
    fetchers: int = 8
    retention_days: int = 0
    retries: Retries = field(default_factory=Retries)
    now: Any = lambda: datetime.now(UTC)
    fetcher: Fetcher = field(init=False, repr=False)
    sending: ThreadPoolExecutor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(self.fetchers)
        self.sending = ThreadPoolExecutor(self.senders, "send")

    def run(self, messages: Iterable[Message], deadline: float) -> ConfigReport:
        """Do what the messages ask for, until `deadline` (of time.monotonic) at the latest.

        Raises AccountingError when something has no outcome.
        """
        return _Run(self, list(messages), deadline).run()


@dataclass(slots=True)
class _Asked:
    """A message, with everything that has to be done before it is."""

    message: Message
    jobs: list[ObjectReport] = field(default_factory=list)
    trail: list[ObjectRef] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class _Row(NamedTuple):
    """An item on its way: whose it is, where it stood there, how it came, and what its message says of it."""

    job: ObjectReport
    position: int
    arrival: Arrival
    message: Mapping[str, Any] = {}

    @property
    def text(self) -> str:
        return self.arrival.item.raw

    @property
    def about(self) -> Mapping[str, Any]:
        return _with_diff(self.message, self.arrival.item.diff)


class _Event(NamedTuple):
    """An event about Config on its way."""

    job: ObjectReport
    position: int
    event: HealthEvent
    origin: Origin
    about: Mapping[str, Any] = {}

    @property
    def text(self) -> str:
        return self.event.raw


class _Run:
    def __init__(self, pipeline: ConfigPipeline, messages: list[Message], deadline: float) -> None:
        self._pipeline = pipeline
        self._quarantine = pipeline.quarantine
        self._deadline = deadline
        self._report = ConfigReport()
        self._asked = [_Asked(message) for message in messages]
        self._objects: dict[Target, ObjectReport] = {}
        self._events: list[_Event] = []
        self._rows: list[_Row] = []
        self._size = 0
        self._sending: dict[Future[Written], list[_Row]] = {}
        self._splits = _SPLITS
        self._trail_fails = ""
        self._now = pipeline.now()
        self._received = int(self._now.timestamp() * 1000)
        kept_from = documents.retention_day(self._now, pipeline.retention_days)
        self._history = History(
            pipeline.engine,
            pipeline.prefix,
            kept_from=int(datetime.fromisoformat(f"{kept_from}T00:00:00+00:00").timestamp() * 1000) if kept_from else 0,
            bulk_bytes=pipeline.bulk_bytes,
            retries=pipeline.retries,
        )

    def run(self) -> ConfigReport:
        report, quarantine = self._report, self._quarantine
        for asked in self._asked:
            self._message(asked)
        try:
            jobs = [job for job in self._objects.values() if not job.skipped]
            self._pipeline.fetcher.read_all(jobs, self._pipeline.reader, quarantine, self._deadline, self._read)
            self._drain()
        finally:
            for unsent in self._sending:
                unsent.cancel()
        self._write_events(self._events)
        for job in report.objects:
            report.close(job, quarantine)
        for job in report.happened:
            report.close_event(job, quarantine)
        for asked in self._asked:
            self._settle(asked)
        report.check()
        return report

    # --- what messages say

    def _message(self, asked: _Asked) -> None:
        message = asked.message
        self._report.skipped += message.skipped
        if message.error:
            asked.reasons.append(str(message.error))
        for ref in message.config_objects:
            self._object(asked, ref)
        asked.trail += message.objects
        source = MessageRef(message.message_id or "")
        items, events = ObjectReport(source), ObjectReport(source)
        for notification in message.notifications:
            self._report.asked += 1
            try:
                reading = read_message(notification, received=self._received)
            except Exception as error:  # a mistake of ours returns this message, and leaves the others alone
                self._report.notifications["returned"] += 1
                asked.reasons.append(str(internal(f"{source} could not be read", error)))
                continue
            self._report.notifications[_outcome(reading)] += 1
            self._read_notification(asked, notification, reading, items, events)
        if items.counts.read:
            self._report.objects.append(items)
            asked.jobs.append(items)
        if events.counts.read:
            self._report.happened.append(events)
            asked.jobs.append(events)

    def _read_notification(
        self, asked: _Asked, notification: Notification, reading: Reading, items: ObjectReport, events: ObjectReport
    ) -> None:
        report = self._report
        if reading.kind and not reading.quarantine:
            report.kinds[reading.kind] += 1
        if reading.skipped:
            report.skipped.append(Skipped(reading.skipped, str(items.ref)))
        if reading.foreign:
            report.skipped.append(Skipped("not a message of AWS Config's", reading.foreign))
        asked.trail += reading.trail
        whole, inner = _about(notification, notification.sent), _about(notification, str(reading.time or ""))
        for one in reading.unreadable:
            self._unreadable(items, one, items.counts.read, inner)
        if reading.quarantine:
            text = notification.text.encode("utf-8", "surrogatepass")
            self._unreadable(items, Unreadable(0, text, reading.quarantine), items.counts.read, whole)
        for item in reading.items:
            if item.source == "stream":
                at = instant(item.captured)
                items.oldest, items.newest = min(items.oldest or at, at), max(items.newest, at)
            self._take(items, items.counts.read, Arrival(item, Origin(self._pipeline.mode, topic=notification.topic)), inner)
        for event in reading.events:
            self._events.append(_event(events, event, Origin(self._pipeline.mode, topic=notification.topic), whole))
        for ref in reading.objects:
            self._object(asked, ref).summarised |= reading.kind.startswith("Oversized")

    def _object(self, asked: _Asked, ref: ObjectRef) -> ObjectReport:
        """The job of an object, however many messages name it."""
        job = self._objects.get(ref.target)
        if job is None:
            job = self._objects[ref.target] = ObjectReport(ref, replay=True)
            self._report.objects.append(job)
            if self._quarantine.holds(ref.bucket, ref.key):
                job.skipped = "quarantine file"
                self._report.skipped.append(Skipped(job.skipped, str(ref)))
        job.replay = job.replay and asked.message.replay
        asked.jobs.append(job)
        return job

    def _mode(self, job: ObjectReport) -> str:
        """The mode of ingestion of an object: what is live is never marked as replay, whoever else names it."""
        return "replay" if job.replay else self._pipeline.mode

    def _unreadable(self, job: ObjectReport, one: Unreadable, position: int, message: Mapping[str, Any] | None = None) -> None:
        job.counts.read += 1
        about = _with_diff(message or {}, one.diff)
        job.hold(Entry(position, one.text, one.rejection.type, one.rejection.reason, about), self._quarantine)

    # --- what objects hold

    def _read(self, job: ObjectReport, opened: OpenObject, turn: Turn) -> None:
        """Read one object to its end; a snapshot then is compared with the latest states."""
        ref, source = opened.ref, source_of(opened.ref.key)
        account, region = place_of(ref.key)
        made = delivered(ref.key, ref.notified, opened.last_modified)
        items = items_of(
            turn.within(opened.chunks()),
            source=source,
            delivered=made,
            latest=int(opened.last_modified.timestamp() * 1000) + _DAY,
            account=account,
            region=region,
        )
        origin = Origin(self._mode(job), ref.bucket, ref.key)
        whole = opened.part is None
        seen: set[str] | None = set() if whole and source == "snapshot" and account and region else None
        for found in items:
            turn.check()
            position = (opened.part or 0) + items.read - 1
            if isinstance(found, Item):
                if seen is not None:
                    seen.add(found.resource)
                self._take(job, position, Arrival(found, origin))
            else:
                self._unreadable(job, found, position)
                seen = None  # what it was is not known, so that nothing can be said to be missing
        if seen is not None:
            self._drain()
            if not job.returned:
                self._reconcile(job, ref, turn, (account, region), items.snapshot_id, made, seen)

    def _reconcile(
        self, job: ObjectReport, ref: ObjectRef, turn: Turn, place: tuple[str, str], snapshot_id: str, made: int, seen: set[str]
    ) -> None:
        """Report what the snapshot no longer lists."""
        pipeline, report = self._pipeline, self._report
        events = ObjectReport(job.ref)
        requests = self._history.requests(self._deadline)
        found: list[_Event] = []
        origin = Origin(self._mode(job), ref.bucket, ref.key)
        try:
            for missing in reconcile(requests, pipeline.prefix, *place, seen, made):
                turn.check()
                found.append(_event(events, missing.event(snapshot_id, made), origin))
                if len(found) == _BATCH_ITEMS:
                    self._write_events(found)
                    found = []
        except UnreadableError as error:
            job.note(Cause("reconciliation", f"the latest states could not be searched: {error.cause}"[:500]))
        finally:
            self._write_events(found)
            report.requests += requests.count
            report.missing += events.counts.read
            if events.counts.read:
                report.happened.append(events)
                job.returned += [cause for cause in events.returned if cause not in job.returned]
        report.snapshots += 1

    # --- what is written

    def _take(self, job: ObjectReport, position: int, arrival: Arrival, message: Mapping[str, Any] | None = None) -> None:
        job.counts.read += 1
        size = len(arrival.item.raw)
        if self._rows and (len(self._rows) == _BATCH_ITEMS or self._size + size > _BATCH_CHARACTERS):
            self._flush()
        self._rows.append(_Row(job, position, arrival, message or {}))
        self._size += size

    def _flush(self) -> None:
        """Write the batch; how much is on its way is bounded, and with it memory."""
        if not self._rows:
            return
        while self._sending and (len(self._sending) >= self._pipeline.senders or self._on_its_way() + self._size > _IN_FLIGHT):
            self._collect(wait(self._sending, return_when=FIRST_COMPLETED).done)
        rows, self._rows, self._size = self._rows, [], 0
        self._send(rows)

    def _send(self, rows: list[_Row]) -> None:
        arrivals = [row.arrival for row in rows]
        self._sending[self._pipeline.sending.submit(self._history.write, arrivals, self._deadline)] = rows

    def _on_its_way(self) -> int:
        return sum(len(row.arrival.item.raw) for rows in self._sending.values() for row in rows)

    def _drain(self) -> None:
        """Until everything taken so far has its outcome."""
        self._flush()
        while self._sending:
            self._collect(wait(self._sending, return_when=FIRST_COMPLETED).done)

    def _collect(self, done: Iterable[Future[Written]]) -> None:
        for future in list(done):
            rows = self._sending.pop(future)
            try:
                written = future.result()
                outcomes = written.outcomes
                self._count(written)
            except Exception as error:  # a mistake of ours returns the item that it is about, and leaves the others alone
                if self._splits and len(rows) > 1:
                    self._splits -= 1
                    for half in _halves(rows):
                        self._send(half)
                    continue
                cause = Cause("internal", internal(f"a batch of {len(rows)} items", error).reason)
                outcomes = [Outcome("retry", cause)] * len(rows)
            for row, outcome in zip(rows, outcomes, strict=True):
                self._apply(row, outcome)

    def _count(self, written: Written) -> None:
        report = self._report
        report.requests += written.requests
        report.corrected += written.corrected
        report.uncorrected += written.uncorrected
        report.conflicts += written.conflicts

    def _apply(self, row: _Row | _Event, outcome: Outcome) -> None:
        job, counts = row.job, row.job.counts
        if outcome.kind == "indexed":
            counts.indexed += 1
        elif outcome.kind == "duplicate":
            counts.duplicates += 1
        elif outcome.kind == "filtered":
            counts.filtered += 1
        else:
            cause = outcome.cause or Cause("unknown", "")
            if outcome.kind == "rejected":
                text = row.text.encode("utf-8", "surrogatepass")
                job.hold(Entry(row.position, text, cause.type, cause.reason, row.about), self._quarantine)
            else:
                counts.returned += 1
                job.note(cause)

    def _write_events(self, events: list[_Event]) -> None:
        if not events:
            return
        try:
            written = self._history.write_events([(one.event, one.origin) for one in events], self._deadline)
        except Exception as error:  # as above
            if len(events) > 1:
                for half in _halves(events):
                    self._write_events(half)
                return
            written = Written([Outcome("retry", Cause("internal", internal("an event", error).reason))])
        self._count(written)
        for one, outcome in zip(events, written.outcomes, strict=True):
            self._apply(one, outcome)

    # --- what becomes of messages

    def _settle(self, asked: _Asked) -> None:
        if asked.trail and self._trail_fails:  # each try in vain may take many seconds
            asked.reasons.append(self._trail_fails)
        elif asked.trail:
            try:
                self._pipeline.trail.hand_on(asked.trail, replay=asked.message.replay)
                self._report.handed_on += len(asked.trail)
            except HandOverError as error:
                self._trail_fails = str(error)
                asked.reasons.append(self._trail_fails)
        reasons = asked.reasons + [job.reason for job in asked.jobs if job.must_return]
        if reasons:
            self._report.returned_messages.append((asked.message, " | ".join(reasons)))


def _outcome(reading: Reading) -> str:
    if reading.quarantine and not reading.events:
        return "quarantined"
    return "trail" if reading.trail else "skipped" if reading.skipped else "foreign" if reading.foreign else "config"


def _event(job: ObjectReport, event: HealthEvent, origin: Origin, about: Mapping[str, Any] | None = None) -> _Event:
    """An event of a job, which is counted as read."""
    job.counts.read += 1
    return _Event(job, job.counts.read - 1, event, origin, about or {})


def _about(notification: Notification, sent: str) -> dict[str, str]:
    """What has to be kept beside a text of a message, so that the same comes of it when it is indexed from quarantine."""
    one = notification
    about = {"sent": sent, "account": one.account, "region": one.region, "topic": one.topic}
    return {name: value for name, value in about.items() if value}


def _with_diff(message: Mapping[str, Any], diff: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return message if diff is None else {**message, "diff": diff}


def _halves(parts: list[T]) -> tuple[list[T], list[T]]:
    return parts[: len(parts) // 2], parts[len(parts) // 2 :]
