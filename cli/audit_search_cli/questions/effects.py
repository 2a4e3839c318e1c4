"""The versions of a resource and the calls that caused each, for the question who changed it.

Causes are those that were stored with a version. Of the newest ones that were not linked yet they are reckoned from the events
that are there, as `changes` does it; how many were left is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from audit_search.aws_config.documents import HISTORY
from audit_search.causes.scoring import LOOK_BACK
from audit_search.index_template import name as name_of
from audit_search_cli.questions.callers import exactly
from audit_search_cli.questions.changes import Causes, causes
from audit_search_cli.questions.events import Events, search
from audit_search_cli.questions.fields import Query, all_of, any_of
from audit_search_cli.questions.filters import Filters, stamp
from audit_search_cli.questions.items import TIME, Version

NAMES: Final = ("resourceId", "resourceName", "ARN")
MOST: Final = 500
"""Versions of a resource that are looked at, the newest ones."""
RECKONED: Final = 20
"""Versions of which the causes are reckoned, the newest of those that were not linked yet."""
_MOST_LINES: Final = 12
_KEPT: Final = ["resourceId", TIME, "cfg.causedBy", "cfg.changes", "cfg.changeCount"]
_PLACES: Final = {"account": "awsAccountId", "region": "awsRegion"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that changed: its path, before and after (empty where it was not there, or is not)."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Made:
    """A version: its document's id, whose, when it was captured, what changed (of `count` changes the first), and the calls
    behind it; None where these were neither stored nor reckoned."""

    item: str
    resource: str
    captured: str
    time: datetime
    differences: tuple[Difference, ...]
    count: int
    causes: Causes | None


@dataclass(frozen=True, slots=True)
class Effect:
    """A version that a call caused: how sure (0 to 1), why, and the other calls behind it with how sure each is."""

    made: Made
    score: float
    reason: str
    also: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a resource, newest first; whether there are more than were looked at, and how many were not reckoned."""

    found: tuple[Made, ...] = ()
    more: bool = False
    unreckoned: int = 0
    effects: Mapping[str, list[Effect]] = field(default_factory=dict)
    """What each event caused, by its id, the surest first."""


def versions(events: Events, names: Iterable[str], filters: Filters) -> Versions:
    """The versions of what has one of some names, in the period, accounts and regions of a question, and so much later as a
    call may come before its version. Raises as `Events` does."""
    hits = _hits(events, names, filters)
    found: list[Made] = []
    left, unreckoned = RECKONED, 0
    for hit in hits[:MOST]:
        version = Version(str(hit["_id"]), str(hit["_index"]), hit.get("_source") or {})
        told: Causes | None = None
        if _linked(version) or left:
            left -= not _linked(version)
            told = causes(events, version)
        else:
            unreckoned += 1
        found.append(_made(version, told))
    return Versions(tuple(found), len(hits) > MOST, unreckoned, _effects(found))


def is_of_place(filters: Filters) -> bool:
    """Whether a question limits nothing that a version does not have: it has an account, a region and a time."""
    plain = all(not set("*?") & set(value) for values in filters.where.values() for value in values)
    return filters.where.keys() <= _PLACES.keys() and plain and not filters.text and not filters.further


def unexplained(found: Versions, filters: Filters, known: Collection[str], since: datetime | None) -> list[Made]:
    """The changes of a period that no known event caused, newest first; `since` is where what is known begins.

    What is neither linked nor reckoned is not among them: nothing is known of it.
    """
    begin = max((when for when in (filters.since, since) if when), default=None)
    return [
        made
        for made in found.found
        if made.causes is not None
        and (made.count or made.causes.causes)
        and (begin is None or made.time >= begin)
        and (filters.until is None or made.time < filters.until)
        and not any(cause.event in known for cause in made.causes.causes)
    ]


def _hits(events: Events, names: Iterable[str], filters: Filters) -> list[dict[str, Any]]:
    mine = any_of(*(exactly(path, name) for path in NAMES for name in names))
    until = filters.until + timedelta(milliseconds=LOOK_BACK) if filters.until else None
    limits = {side: stamp(when) for side, when in (("gte", filters.since), ("lt", until)) if when}
    period: list[Query] = [{"range": {TIME: limits}}] if limits else []
    if is_of_place(filters):  # an account or a region by a pattern is a matter of events
        period += [{"terms": {_PLACES[name]: list(values)}} for name, values in filters.where.items() if values]
    order = [{TIME: {"order": "desc", "unmapped_type": "date"}}]
    body = {"size": MOST + 1, "query": all_of(mine, *period), "sort": order, "_source": _KEPT}
    found: list[dict[str, Any]] = search(events.engine, name_of(events.prefix, HISTORY), body).get("hits", {}).get("hits", [])
    return found


def _linked(version: Version) -> bool:
    stored = version.notes.get("causedBy")
    return isinstance(stored, dict) and bool(stored.get("eventId") or stored.get("verdict"))


def _made(version: Version, told: Causes | None) -> Made:
    listed = [one for one in _listed(version.notes.get("changes")) if isinstance(one, dict)]
    count = version.notes.get("changeCount")
    return Made(
        version.id,
        str(version.source.get("resourceId") or ""),
        str(version.source.get(TIME) or ""),
        version.captured,
        tuple(_difference(one) for one in listed[:_MOST_LINES]),
        count if isinstance(count, int) else len(listed),
        told,
    )


def _effects(found: Iterable[Made]) -> dict[str, list[Effect]]:
    effects: dict[str, list[Effect]] = {}
    for made in found:
        every = made.causes.causes if made.causes else ()
        for cause in every:
            also = tuple((other.event, other.score) for other in every if other.event != cause.event)
            effects.setdefault(cause.event, []).append(Effect(made, cause.score, cause.reason, also))
    for listed in effects.values():
        listed.sort(key=lambda one: (-one.score, one.made.captured, one.made.item))
    return effects


def _difference(change: Mapping[str, Any]) -> Difference:
    def said(value: Any) -> str:
        return "" if value is None else str(value)

    return Difference(said(change.get("path")), said(change.get("before")), said(change.get("after")))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def plain(made: Made) -> dict[str, Any]:
    """A version as JSON has it, without the calls behind it."""
    return {
        "item": made.item,
        "resource": made.resource,
        "captured": made.captured,
        "changes": [{"path": each.path, "before": each.before, "after": each.after} for each in made.differences],
        "change_count": made.count,
    }
