"""How everything ended that one invocation was asked about AWS Config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audit_search.accounting import Counts
from audit_search.errors import AccountingError
from audit_search.quarantine import Quarantine
from audit_search.reports import ObjectReport, Report


@dataclass(slots=True)
class ConfigReport(Report):
    """As Report, whose `objects` are here the objects and the messages that hold items, and whose records are the items.

    `happened` are the reports of events about Config itself, `events` their counts. `notifications` says what each message of
    a topic was (config, skipped, foreign, trail, quarantined), `kinds` which messageType those of AWS Config's had. `handed_on`
    counts objects of CloudTrail's, `missing` resources that a snapshot no longer lists, `corrected` versions that got another
    predecessor, `conflicts` resources that another writer was faster with.
    """

    happened: list[ObjectReport] = field(default_factory=list)
    events: Counts = field(default_factory=Counts)
    notifications: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    handed_on: int = 0
    missing: int = 0
    snapshots: int = 0
    corrected: int = 0
    uncorrected: int = 0
    conflicts: int = 0

    @property
    def foreign(self) -> int:
        """Messages that were not AWS Config's, nor CloudTrail's."""
        return self.notifications["foreign"]

    @property
    def summaries(self) -> int:
        """Oversized items of which nothing but the summary is left: their objects are gone."""
        return sum(report.only_summary for report in self.objects)

    @property
    def more(self) -> Sequence[ObjectReport]:
        """The events."""
        return self.happened

    @property
    def quarantined(self) -> int:
        """Whatever went to quarantine: items, events, messages as a whole, and pointers to objects."""
        return self.counts.quarantined + self.quarantined_objects + self.events.quarantined

    @property
    def metrics(self) -> Mapping[str, int]:
        """What is counted beside items, objects and messages, by the name of its metric."""
        return {
            "EventsRead": self.events.read,
            "EventsIndexed": self.events.indexed,
            "MessagesForeign": self.foreign,
            "ObjectsHandedOn": self.handed_on,
            "OnlySummaries": self.summaries,
            "ResourcesMissing": self.missing,
            "VersionsCorrected": self.corrected,
        }

    def close_event(self, job: ObjectReport, quarantine: Quarantine) -> None:
        """As `close`, for events. Raises AccountingError when one has no outcome."""
        job.keep(quarantine)
        job.counts.check(f"events of {job.ref}")
        self.events.add(job.counts)

    def check(self) -> None:
        """Raise AccountingError unless all adds up."""
        self.counts.check("all objects and messages")
        self.events.check("all events")
        if self.notifications.total() != self.asked:
            raise AccountingError(f"{self.asked} messages, but {self.notifications.total()} have an outcome")

    def summary(self) -> dict[str, int]:
        """The counts as one flat object."""
        events = self.events
        return {
            **Report.summary(self),
            "events_read": events.read,
            "events_indexed": events.indexed,
            "events_duplicates": events.duplicates,
            "events_quarantined": events.quarantined,
            "events_returned": events.returned,
            "messages": self.asked,
            "foreign_messages": self.foreign,
            "quarantined_messages": self.notifications["quarantined"],
            "handed_on": self.handed_on,
            "summaries": self.summaries,
            "snapshots": self.snapshots,
            "missing": self.missing,
            "corrected": self.corrected,
        }
