"""What was recorded at all: without it no "none found" means anything.

It is told from the documents themselves, so it needs no permission but to search: accounts, regions, kinds of events, the
earliest and the latest, hours in which nothing came at all, and the types that AWS Config recorded. What only the stack knows
(retention, exclusion rules) is given by the caller.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from audit_search_cli.questions.events import Event, Events, buckets, instant, pages
from audit_search_cli.questions.fields import Query, all_of, any_of
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.recorders import Recorder, changed, recorders

KINDS: Final[Mapping[str, str]] = {
    "Management": "management",
    "Data": "data",
    "Insight": "insight",
    "NetworkActivity": "network",
    "Aggregated": "aggregated",
    "": "uncategorised",
}
"""What the kinds of events are called here, by eventCategory; records before version 1.07 have none."""
QUIET: Final = timedelta(hours=6)
"""Nothing of any account and region for so long is a gap."""
_FINE: Final = timedelta(days=700)
_FEW: Final = 200
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """An account and region: how many events by kind, how many of all only read, the first and the last."""

    account: str
    region: str
    kinds: Mapping[str, int]
    reads: int
    first: datetime | None
    last: datetime | None

    @property
    def events(self) -> int:
        """All of them."""
        return sum(self.kinds.values())


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing was recorded after `since` and before `until`, both of which are events' times."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it was."""
        return self.until - self.since


@dataclass(frozen=True, slots=True)
class Stated:
    """What only the stack says: days that events are kept (0 is all, None is not known), and exclusion rules by name."""

    retention_days: int | None = None
    exclusions: Sequence[str] | None = None


@dataclass(slots=True)
class Coverage:
    """What was recorded in the accounts, regions and period of a question.

    `first` and `last` are of any time, `data` are the services whose data events came, `changes` the latest calls that changed
    what is recorded.
    """

    since: datetime | None
    until: datetime | None
    first: datetime | None = None
    last: datetime | None = None
    seen: list[Seen] = field(default_factory=list)
    data: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    changes: list[Event] = field(default_factory=list)
    recorders: list[Recorder] | None = None
    stated: Stated = Stated()

    @property
    def events(self) -> int:
        """Events in the period."""
        return sum(one.events for one in self.seen)

    @property
    def kinds(self) -> dict[str, int]:
        """Events by kind, as `KINDS` calls them."""
        found: dict[str, int] = {}
        for one in self.seen:
            for kind, number in one.kinds.items():
                found[kind] = found.get(kind, 0) + number
        return found

    @property
    def reads(self) -> int:
        """Events that only read."""
        return sum(one.reads for one in self.seen)

    def line(self) -> str:
        """What was recorded, in one line: it stands under every answer that finds none."""
        if not self.seen:
            return f"Recorded: {self._nothing()}."
        accounts = sorted({one.account for one in self.seen if one.account})
        regions = {one.region for one in self.seen if one.region}
        parts = [f"{self._many(self.events, 'event')} {self._extent()}"]
        parts.append(f"{self._some(accounts, 'account')}, {self._many(len(regions), 'region')}")
        parts.append(self._kinds())
        parts += self._stated()
        if self.gaps:
            longest = max(self.gaps, key=lambda gap: gap.length)
            span = f"{_minute(longest.since)} to {_minute(longest.until)} UTC"
            parts.append(f"{self._many(len(self.gaps), 'gap')} without any event, the longest {span}")
        if self.changes:
            names = ", ".join(dict.fromkeys(event.api for event in self.changes[:_NAMED]))
            parts.append(f"what is recorded was changed ({names}{', …' if len(self.changes) > _NAMED else ''})")
        return f"Recorded: {'; '.join(parts)}."

    def _nothing(self) -> str:
        if self.first is None or self.last is None:
            return "nothing at all of these accounts and regions"
        return f"nothing in this period; there are events from {_minute(self.first)} to {_minute(self.last)} UTC"

    def _extent(self) -> str:
        first = min((one.first for one in self.seen if one.first), default=None)
        last = max((one.last for one in self.seen if one.last), default=None)
        return f"from {_minute(first)} to {_minute(last)} UTC" if first and last else ""

    def _kinds(self) -> str:
        kinds = self.kinds
        there = ordered(kinds)
        lacking = [kind for kind in ("data", "insight", "network") if not kinds.get(kind)]
        how = " (writes only)" if not self.reads else " (reads only)" if self.reads == self.events else ""
        text = f"{' and '.join(_joined(there))} events{how}"
        return text + (f", no {' or '.join(_joined(lacking))} events" if lacking else "")

    def _stated(self) -> list[str]:
        parts = []
        if self.stated.retention_days is not None:
            parts.append(f"kept {self.stated.retention_days} days" if self.stated.retention_days else "kept for good")
        if self.stated.exclusions:
            parts.append(f"left out by {self._some(list(self.stated.exclusions), 'exclusion rule')}")
        return parts

    @staticmethod
    def _many(number: int, noun: str) -> str:
        return f"{number:,} {noun}{'' if number == 1 else 's'}"

    @classmethod
    def _some(cls, names: Sequence[str], noun: str) -> str:
        shown = f" ({', '.join(names)})" if 0 < len(names) <= _NAMED else ""
        return cls._many(len(names), noun) + shown


def ordered(kinds: Mapping[str, int]) -> list[str]:
    """The kinds that there are, the known ones first."""
    known = [kind for kind in KINDS.values() if kinds.get(kind)]
    return known + sorted(kind for kind in kinds if kind not in known)


def _joined(names: Sequence[str]) -> list[str]:
    """The names but for the last two with commas between them, so that `and` stands once."""
    return [", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names)


def _minute(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}"


def look(events: Events, filters: Filters, stated: Stated | None = None, *, config: bool = False) -> Coverage:
    """What was recorded in the accounts, regions and period of a question; with `config` what AWS Config recorded as well.

    Raises as `Events` does.
    """
    where = {name: values for name, values in filters.where.items() if name in ("account", "region")}
    narrow = Filters(where, since=filters.since, until=filters.until)
    found = Coverage(filters.since, filters.until, stated=stated or Stated())
    _, answer = events.grouped(Filters(where).query(), _EXTENT)
    found.first, found.last = instant(answer.get("first", {})), instant(answer.get("last", {}))
    if found.first is None:
        return found
    found.seen = _seen(events, narrow.query())
    data = {"services": {"terms": {"field": "eventSource", "size": 100}}}
    _, answer = events.grouped(narrow.also(category="Data").query(), data)
    found.data = {str(bucket["key"]): int(bucket["doc_count"]) for bucket in buckets(answer, "services")}
    found.gaps = gaps(events, narrow, QUIET)
    found.changes = changed(events, narrow)
    if config:
        found.recorders = recorders(events, narrow)
    return found


_EXTENT: Final[Query] = {"first": {"min": {"field": "eventTime"}}, "last": {"max": {"field": "eventTime"}}}


def _seen(events: Events, query: Query) -> list[Seen]:
    """Every account and region, the one with most events first."""
    fields = {"account": "recipientAccountId", "region": "awsRegion", "kind": "eventCategory"}
    sources = [{key: {"terms": {"field": path, "missing_bucket": True}}} for key, path in fields.items()]
    inner = {**_EXTENT, "reads": {"filter": {"term": {"readOnly": True}}}}
    parts: dict[tuple[str, str], dict[str, Any]] = {}
    for bucket in pages(events, query, {"sources": sources}, inner):
        key = bucket["key"]
        part = parts.setdefault((str(key["account"] or ""), str(key["region"] or "")), {"kinds": {}, "reads": 0, "times": []})
        kind = str(key["kind"] or "")
        part["kinds"][KINDS.get(kind, kind)] = int(bucket["doc_count"])
        part["reads"] += int(bucket["reads"]["doc_count"])
        part["times"] += [when for when in (instant(bucket["first"]), instant(bucket["last"])) if when]
    seen = [
        Seen(*key, part["kinds"], part["reads"], min(part["times"], default=None), max(part["times"], default=None))
        for key, part in parts.items()
    ]
    return sorted(seen, key=lambda one: (-one.events, one.account, one.region))


def gaps(events: Events, filters: Filters, quiet: timedelta) -> list[Gap]:
    """Where nothing of a question happened for longer than `quiet` between two of its events, in their order.

    Found by hours, and told by the events' own times; over some two years by days, and then only gaps beyond a day. Counts by
    time alone are quick: only what lies beside a gap is looked into.
    """
    _, answer = events.grouped(filters.query(), _EXTENT)
    first, last = instant(answer.get("first", {})), instant(answer.get("last", {}))
    if first is None or last is None:
        return []
    coarse = timedelta(hours=1) if last - first <= _FINE else timedelta(days=1)
    least = max(quiet, coarse)
    width = max(coarse, timedelta(hours=least // timedelta(hours=2)))  # so wide that neighbours are no gap
    query = filters.query()
    starts = [int(bucket["key"]) for bucket in histogram(events, query, width, extent=False)]
    span = _milliseconds(width)
    apart = [pair for pair in itertools.pairwise(starts) if pair[1] + span - pair[0] > _milliseconds(least)]
    edges = sorted({start for pair in apart for start in pair})
    if not edges:
        return []
    if len(edges) <= _FEW:  # only these are looked into
        limits = [{"gte": start, "lt": start + span, "format": "epoch_millis"} for start in edges]
        query = all_of(query, any_of(*({"range": {"eventTime": each}} for each in limits)))
    told = {int(bucket["key"]): bucket for bucket in histogram(events, query, width)}
    found = [(instant(told[one]["last"]), instant(told[other]["first"])) for one, other in apart if {one, other} <= told.keys()]
    return [Gap(since, until) for since, until in found if since and until and until - since > least]


def _milliseconds(width: timedelta) -> int:
    return width // timedelta(milliseconds=1)


def histogram(events: Events, query: Query, width: timedelta, *, extent: bool = True) -> list[dict[str, Any]]:
    """The buckets of so wide a time, without empty ones, with `extent` each with its first and last event."""
    how = {"field": "eventTime", "fixed_interval": f"{int(width.total_seconds())}s", "min_doc_count": 1}
    inner = {"aggs": _EXTENT} if extent else {}
    _, answer = events.grouped(query, {"times": {"date_histogram": how, **inner}})
    return buckets(answer, "times")
