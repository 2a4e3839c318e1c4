"""How everything that one invocation was asked for ended: records, the objects or messages that hold them, and messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from audit_search import documents
from audit_search.accounting import Counts
from audit_search.bulk import Cause
from audit_search.envelopes import Message, MessageRef, ObjectRef, Skipped
from audit_search.errors import ObjectError
from audit_search.objects import OUTCOMES, Action
from audit_search.quarantine import Entry, Quarantine, QuarantineError

if TYPE_CHECKING:
    from audit_search.documents import Place

QUARANTINE_BYTES: Final = 4 << 20
"""Texts held back for one quarantine file: it bounds memory when a whole object is refused."""


@dataclass(slots=True)
class ObjectReport:
    """How one object ended, or one message that holds records itself.

    `summarised`: a summary of what is in it is kept already, so that nothing is lost with it. `replay`: whoever named it wants
    it to be marked as replay.
    """

    ref: ObjectRef | MessageRef
    counts: Counts = field(default_factory=Counts)
    skipped: str = ""
    error: ObjectError | None = None
    returned: list[Cause] = field(default_factory=list)
    newest: str = ""
    oldest: str = ""
    place: Place | None = None
    summarised: bool = False
    replay: bool = False
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

    @property
    def only_summary(self) -> bool:
        """Whether the object is gone, and a summary is what is left of it."""
        return self.summarised and self.error is not None and self.error.code == "gone"

    @property
    def unreadable(self) -> bool:
        """Whether no retry could read it to its end, and something is lost with it."""
        return self.error is not None and not self.must_return and not self.only_summary

    @property
    def reason(self) -> str:
        """Why it has to return, in one line."""
        causes = [str(self.error)] * (self.error is not None) + [str(cause) for cause in self.returned]
        return f"{self.ref}: " + "; ".join(causes)

    def note(self, cause: Cause) -> None:
        """Keep why records of it return: a few causes, each once."""
        if cause not in self.returned and len(self.returned) < 5:
            self.returned.append(cause)

    def hold(self, entry: Entry, quarantine: Quarantine) -> None:
        """Keep something for quarantine; where that is much, it is written now."""
        self._held.append(entry)
        self._held_bytes += len(entry.text or b"")
        if self._held_bytes > QUARANTINE_BYTES:
            self.keep(quarantine)

    def keep(self, quarantine: Quarantine) -> None:
        """Write what is held for quarantine; what cannot be written returns instead."""
        if not self._held:
            return
        held, self._held, self._held_bytes = self._held, [], 0
        records = sum(entry.position is not None for entry in held)
        try:
            quarantine.write(self.ref, held)
            self.counts.quarantined += records
        except QuarantineError as error:
            self.counts.returned += records
            self.note(Cause("quarantine_unavailable", str(error)))


@dataclass(slots=True)
class Report:
    """What one invocation did."""

    objects: list[ObjectReport] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    skipped: list[Skipped] = field(default_factory=list)
    returned_messages: list[tuple[Message, str]] = field(default_factory=list)
    would_filter: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    @property
    def quarantined_objects(self) -> int:
        """Objects that could never be read to their end: their pointers are in quarantine, and their messages are done."""
        return sum(report.unreadable for report in self.objects)

    @property
    def failed_objects(self) -> int:
        """Objects that could not be read to their end, whatever happened to their messages."""
        return sum(report.error is not None for report in self.objects)

    @property
    def skipped_objects(self) -> int:
        """What was normal but held no records: test events, digests, folders and the like."""
        return len(self.skipped)

    @property
    def more(self) -> Sequence[ObjectReport]:
        """Reports of something else than records, which are logged as well."""
        return ()

    @property
    def quarantined(self) -> int:
        """Whatever went to quarantine: records, and pointers to objects."""
        return self.counts.quarantined + self.quarantined_objects

    @property
    def metrics(self) -> Mapping[str, int]:
        """What is counted beside records, objects and messages, by the name of its metric."""
        return {"RecordsMatchedByRules": self.would_filter.total(), **self.alerts}

    def close(self, job: ObjectReport, quarantine: Quarantine) -> None:
        """Write what is left for quarantine, and add the counts up. Raises AccountingError when a record has no outcome."""
        job.keep(quarantine)
        job.counts.check(str(job.ref))
        self.counts.add(job.counts)

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


def event_lag(time_text: str, now: datetime) -> timedelta | None:
    """How long ago an event was, by its own time."""
    when = documents.parse_time(time_text)
    return now - when if when else None
