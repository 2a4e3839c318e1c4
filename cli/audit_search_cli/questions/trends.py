"""Counts of events: by a field, over time, and by a field over time; and when something first and last happened.

https://docs.opensearch.org/latest/aggregations/bucket/terms/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from audit_search_cli.errors import Problem
from audit_search_cli.questions.coverage import Gap, gaps, histogram
from audit_search_cli.questions.events import Event, Events, buckets, instant
from audit_search_cli.questions.fields import API, Field, Query, all_of, exists, named
from audit_search_cli.questions.filters import Filters, stamp

_FAILED: Final[Query] = {"term": {"ct.outcome": "failure"}}
_INNER: Final = {
    "first": {"min": {"field": "eventTime"}},
    "last": {"max": {"field": "eventTime"}},
    "failed": {"filter": _FAILED},
}
_SERVICES, _NAMES, _MOST_GROUPS = 1_000, 5_000, 1_000
_MOST_PERIODS, _MOST_BUCKETS = 10_000, 60_000  # the engine gives at most 65,535 buckets, filters among them
_WIDTHS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 7 * 86_400, 28 * 86_400, 91 * 86_400, 364 * 86_400)
)
EVERY: Final[Mapping[str, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=28),
}
"""The periods that are counted by, those of the calendar in UTC, and the least that each lasts."""


@dataclass(frozen=True, slots=True)
class Group:
    """The events with one value of a field: how many, how many of them failed, the first and the last."""

    value: str
    events: int
    failed: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Top:
    """The most frequent values of a field: `valued` events have one, `distinct` is about how many values there are.

    `others` are the events of values beyond those listed. A count may be lower than the truth by `error` at most.
    """

    field: str
    events: int
    valued: int
    groups: list[Group]
    others: int
    distinct: int
    error: int


def top(events: Events, filters: Filters, name: str, most: int = 10) -> Top:
    """The values of a field with most events, by name where they have equally many. Raises Problem for no field to group by."""
    if name.lower() == API:
        return _top_apis(events, filters, most)
    asked = _groupable(name)
    terms = {"field": asked.path, "size": min(most, _MOST_GROUPS), "shard_size": 10 * most + 1_000}
    order = [{"_count": "desc"}, {"_key": "asc"}]
    wanted = {
        "groups": {"terms": {**terms, "order": order}, "aggs": _INNER},
        "valued": {"filter": exists(asked.path)},
        "distinct": {"cardinality": {"field": asked.path, "precision_threshold": 10_000}},
    }
    total, answer = events.grouped(filters.query(), wanted)
    groups = [_group(_shown(bucket), bucket) for bucket in buckets(answer, "groups")]
    valued = int(answer.get("valued", {}).get("doc_count", 0))
    found = answer.get("groups", {})
    distinct = int(answer.get("distinct", {}).get("value", 0))
    error = int(found.get("doc_count_error_upper_bound") or 0)
    return Top(asked.name, total, valued, groups, int(found.get("sum_other_doc_count") or 0), distinct, max(0, error))


def _top_apis(events: Events, filters: Filters, most: int) -> Top:
    """As `top`, for service and event name together: one name may belong to several services."""
    names = {"terms": {"field": "eventName", "size": _NAMES}, "aggs": _INNER}
    services = {"terms": {"field": "eventSource", "size": _SERVICES}, "aggs": {"names": names}}
    total, answer = events.grouped(filters.query(), {"services": services})
    groups = [
        _group(f"{str(service['key']).removesuffix('.amazonaws.com')}:{bucket['key']}", bucket)
        for service in buckets(answer, "services")
        for bucket in buckets(service, "names")
    ]
    groups.sort(key=lambda group: (-group.events, group.value))
    valued = sum(group.events for group in groups)
    shown = groups[:most]
    return Top(API, total, valued, shown, valued - sum(group.events for group in shown), len(groups), 0)


def _groupable(name: str) -> Field:
    asked = named(name)
    if not asked.exact:
        raise Problem(f"Events cannot be grouped by {asked.name}", "Each has its own; audit-search lookup finds one.")
    return asked


def _shown(bucket: Mapping[str, Any]) -> str:
    return str(bucket.get("key_as_string", bucket["key"]))


def _group(value: str, bucket: Mapping[str, Any]) -> Group:
    failed = int(bucket["failed"]["doc_count"])
    return Group(value, int(bucket["doc_count"]), failed, instant(bucket["first"]), instant(bucket["last"]))


@dataclass(frozen=True, slots=True)
class Series:
    """The events of one value by period, in the order of `Stats.periods`."""

    value: str
    counts: list[int]

    @property
    def events(self) -> int:
        """All of them."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Stats:
    """Events by period: `totals`, and for the most frequent values of a field.

    `others` are the events that have none of these values; None where an event can have several.
    """

    every: str
    periods: list[datetime]
    totals: list[int]
    failed: list[int]
    by: str = ""
    series: Sequence[Series] = ()
    others: list[int] | None = None


def stats(events: Events, filters: Filters, every: str, by: str = "", most: int = 5) -> Stats:
    """Count events by hour, day, week or month (of UTC), also those of the most frequent values of a field.

    Raises Problem for more periods than anybody can read, and for no field to group by.
    """
    _, extent = events.grouped(filters.query(), {name: _INNER[name] for name in ("first", "last")})
    first, last = instant(extent.get("first", {})), instant(extent.get("last", {}))
    asked = API if by.lower() == API else _groupable(by).name if by else ""
    if first is None or last is None:
        return Stats(every, [], [], [], asked)
    readable = min(_MOST_PERIODS, _MOST_BUCKETS // (3 + most if by else 3))
    if (last - first) / EVERY[every] > readable:
        raise Problem(f"There are more than {readable:,} periods of one {every}", "Give a longer one, or a later --since.")
    values = [group.value for group in top(events, filters, by, most).groups] if by else []
    inner = {"failed": {"filter": _FAILED}} | {f"value{at}": {"filter": _equal(asked, value)} for at, value in enumerate(values)}
    how = {"field": "eventTime", "calendar_interval": every, "min_doc_count": 0}
    _, answer = events.grouped(filters.query(), {"times": {"date_histogram": how, "aggs": inner}})
    found = buckets(answer, "times")

    def counts(name: str) -> list[int]:
        return [int(bucket[name]["doc_count"]) for bucket in found]

    totals = [int(bucket["doc_count"]) for bucket in found]
    series = [Series(value, counts(f"value{at}")) for at, value in enumerate(values)]
    single = bool(by) and (asked == API or not named(asked).several)
    others = [total - sum(one.counts[at] for one in series) for at, total in enumerate(totals)] if single else None
    periods = [when for bucket in found if (when := instant({"value": bucket["key"]}))]
    return Stats(every, periods, totals, counts("failed"), asked, series, others)


def _equal(name: str, value: str) -> Query:
    """The events of a group of `top`: exactly this value, whatever signs are in it."""
    if name != API:
        truth = {"true": True, "false": False}.get(value) if name == "read-only" else None
        return {"term": {named(name).path: {"value": value if truth is None else truth}}}
    head, _, tail = value.partition(":")
    sources = {"terms": {"eventSource": [head, f"{head}.amazonaws.com"]}}
    return all_of(sources, {"term": {"eventName": {"value": tail}}})


@dataclass(frozen=True, slots=True)
class Silence:
    """A gap between two events of a question; `others` were recorded in it, of the same accounts and regions."""

    gap: Gap
    others: int


@dataclass(frozen=True, slots=True)
class Moments:
    """When something happened: all and failed events, the first and the last, bars of one width, and the longest gaps."""

    events: int
    failed: int
    first: Event | None
    last: Event | None
    width: timedelta
    bars: list[tuple[datetime, int]]
    silences: list[Silence]


def moments(events: Events, filters: Filters, bars: int = 24, longest: int = 5) -> Moments:
    """When events happened. A gap is a time without one that is longer than a bar, and than an hour."""
    query = filters.query()
    first = next(events.search(query, oldest_first=True, most=1), None)
    last = next(events.search(query, most=1), None)
    if first is None or last is None:
        return Moments(0, 0, None, None, _WIDTHS[0], [], [])
    width = next((width for width in _WIDTHS if (last.time - first.time) / width < bars - 1), _WIDTHS[-1])
    total, answer = events.grouped(query, {"failed": {"filter": _FAILED}})
    counted = {
        instant({"value": bucket["key"]}): int(bucket["doc_count"]) for bucket in histogram(events, query, width, extent=False)
    }
    starts = [when for when in counted if when]
    filled: list[tuple[datetime, int]] = []
    at = min(starts)
    while at <= max(starts):
        filled.append((at, counted.get(at, 0)))
        at += width
    found = sorted(gaps(events, filters, max(width, EVERY["hour"])), key=lambda gap: (-gap.length, gap.since))[:longest]
    silences = [Silence(gap, _meanwhile(events, filters, gap)) for gap in sorted(found, key=lambda gap: gap.since)]
    failed = int(answer.get("failed", {}).get("doc_count", 0))
    return Moments(total, failed, first, last, width, filled, silences)


def _meanwhile(events: Events, filters: Filters, gap: Gap) -> int:
    """What else was recorded between the two events around a gap."""
    where = {name: values for name, values in filters.where.items() if name in ("account", "region")}
    between = {"range": {"eventTime": {"gt": stamp(gap.since), "lt": stamp(gap.until)}}}
    return events.count(Filters(where, further=(between,)).query())


def sparkline(counts: Sequence[int], most: int = 40) -> str:
    """Counts as a line of blocks of growing height; more than `most` are summed in equal parts. Nothing is a space."""
    if len(counts) > most:
        step = -(-len(counts) // most)
        counts = [sum(counts[at : at + step]) for at in range(0, len(counts), step)]
    highest = max(counts, default=0)
    blocks = "▁▂▃▄▅▆▇█"
    return "".join(blocks[(number * len(blocks) - 1) // highest] if number else " " for number in counts)
