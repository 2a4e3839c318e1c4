"""What changed in a resource: each version with the values before and after and the calls behind it; its compliance as well.

What changed is as the function indexed it (see `audit_search.aws_config.changes`). Causes are those that were stored with a
version; of one that was not linked yet they are reckoned from the events that are there, in the same way.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from audit_search.aws_config.changes import Change
from audit_search.aws_config.changes import between as differences
from audit_search.aws_config.documents import EVENTS, HISTORY
from audit_search.causes.finding import SOURCE, explained
from audit_search.documents import parse_time
from audit_search.index_template import name as name_of
from audit_search_cli.questions.callers import exactly
from audit_search_cli.questions.events import Events, search
from audit_search_cli.questions.fields import all_of
from audit_search_cli.questions.filters import within
from audit_search_cli.questions.items import Resource, Version, versions

What = Literal["created", "first known", "changed", "deleted"]
_CREATED: Final = "ResourceDiscovered"
_MOST_RULES: Final = 1_000
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cause:
    """A call that caused a version: the event's id, the API, when, who, how (direct, service, side-effect, aws-internal), the
    probability that it did (0 to 1), and why."""

    event: str
    api: str
    time: str
    caller: str
    kind: str
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Causes:
    """The calls behind a version, the likeliest first; without any, `reason` says why. `stored` is whether they were linked
    before, `more` whether there were more events than were looked at."""

    verdict: str
    reason: str
    causes: tuple[Cause, ...] = ()
    stored: bool = False
    more: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A version: what it is, what changed in it, and how many changes there are in all, of which some may not be kept.

    `origin` says what the changes are from: message, previous, first, unavailable; empty where nobody noted it.
    """

    version: Version
    what: What
    changes: tuple[Change, ...]
    count: int
    origin: str

    @property
    def time(self) -> datetime:
        """When it was captured."""
        return self.version.captured


@dataclass(frozen=True, slots=True)
class Judgement:
    """A rule came to another result for the resource: the document's id, when, the rule, before and after, and what it says."""

    id: str
    time: datetime
    rule: str
    before: str
    after: str
    says: str


def changes(
    events: Events, resource: Resource, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Step | Judgement]:
    """Each version, and each change of compliance, from `since` (included) to `until` (excluded), newest first.

    Raises as `Events` does.
    """
    steps: Iterator[Step | Judgement] = (_step(version) for version in versions(events, resource, since, until))
    return heapq.merge(steps, judgements(events, resource, since, until), key=lambda one: one.time, reverse=True)


def judgements(events: Events, resource: Resource, since: datetime | None, until: datetime | None) -> Iterator[Judgement]:
    """The changes of compliance alone, newest first, at most a thousand."""
    about = {
        "messageType": "ComplianceChangeNotification",
        "awsAccountId": resource.account,
        "resourceType": resource.type,
        "resourceId": resource.id,
    }
    query = all_of(*(exactly(path, value) for path, value in about.items()), *within(since, until))
    order = [{"eventTime": {"order": "desc", "unmapped_type": "date"}}]
    body = {"query": query, "sort": order, "size": _MOST_RULES, "_source": {"excludes": ["raw", "details"]}}
    for hit in search(events.engine, name_of(events.prefix, EVENTS), body).get("hits", {}).get("hits", []):
        source = hit.get("_source") or {}
        fields = ("configRuleName", "previousComplianceType", "complianceType", "annotation")
        when = parse_time(str(source.get("eventTime") or "")) or _NO_TIME
        yield Judgement(str(hit["_id"]), when, *(_said(source.get(name)) for name in fields))


def altogether(before: Version | None, after: Version | None) -> tuple[Change, ...] | None:
    """What differs between two versions of a resource that were fetched whole; None where either has no text of its own."""
    if before is None or after is None or before.item is None or after.item is None:
        return None
    return differences(before.item, after.item)


def causes(events: Events, version: Version) -> Causes:
    """The calls behind a version. Raises as `Events` does."""
    stored = version.notes.get("causedBy")
    if isinstance(stored, dict) and (stored.get("eventId") or stored.get("verdict")):
        return _stored(stored)
    hits = search(events.engine, name_of(events.prefix, HISTORY), {"query": {"ids": {"values": [version.id]}}, "_source": SOURCE})
    try:
        found = explained(_Asked(events), events.prefix, hits["hits"]["hits"][0])
    except (LookupError, ValueError, TypeError) as error:
        return Causes("not told", f"the version's document cannot be read: {type(error).__name__} {error}")
    said = tuple(
        Cause(
            link.event,
            _api(link.source, link.name),
            datetime.fromtimestamp(link.time / 1_000, UTC).isoformat(),
            link.caller,
            link.kind,
            link.score,
            "; ".join(link.reasons),
        )
        for link in found.explanation.causes
    )
    return Causes(found.explanation.verdict, found.explanation.reason, said, more=found.more)


class _Asked:
    """The engine, as what looks for causes asks it."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def search(self, index: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        hits: list[dict[str, Any]] = search(self._events.engine, index, body).get("hits", {}).get("hits", [])
        return hits


def _stored(stored: Mapping[str, Any]) -> Causes:
    """Causes as they are kept: arrays in one order."""
    names = ("eventId", "eventSource", "eventName", "eventTime", "caller", "kind", "score", "reason")
    columns = {name: _listed(stored.get(name)) for name in names}
    found = []
    for number, event in enumerate(columns["eventId"]):
        row = {name: column[number] if number < len(column) else "" for name, column in columns.items()}
        api = _api(_said(row["eventSource"]), _said(row["eventName"]))
        when, caller, kind, reason = (_said(row[name]) for name in ("eventTime", "caller", "kind", "reason"))
        found.append(Cause(str(event), api, when, caller, kind, float(row["score"] or 0), reason))
    why = "" if found else "; ".join(map(_said, columns["reason"]))
    return Causes(_said(stored.get("verdict")), why, tuple(found), stored=True)


def plain_causes(told: Causes) -> dict[str, Any]:
    """The calls behind a version as JSON has them."""
    return {
        "verdict": told.verdict,
        "reason": told.reason,
        "stored": told.stored,
        "more_candidates": told.more,
        "calls": [
            {
                "event": each.event,
                "api": each.api,
                "time": each.time,
                "caller": each.caller,
                "kind": each.kind,
                "score": each.score,
                "reason": each.reason,
            }
            for each in told.causes
        ],
    }


def _step(version: Version) -> Step:
    notes = version.notes
    listed = [one for one in _listed(notes.get("changes")) if isinstance(one, dict)]
    kept = tuple(_change(one) for one in listed)
    origin = _said(notes.get("changesFrom"))
    count = notes.get("changeCount")
    return Step(version, _what(version, kept, origin), kept, count if isinstance(count, int) else len(kept), origin)


def _what(version: Version, kept: tuple[Change, ...], origin: str) -> What:
    if version.deleted:
        return "deleted"
    if version.status == _CREATED or any(change.path == "status" and change.before is None for change in kept):
        return "created"
    return "first known" if origin == "first" else "changed"


def _change(one: Mapping[str, Any]) -> Change:
    before, after = (None if one.get(side) is None else str(one[side]) for side in ("before", "after"))
    return Change(_said(one.get("path")), one.get("kind", "changed"), before, after, one.get("category", "attribute"))


def _api(source: str, name: str) -> str:
    service = source.removesuffix(".amazonaws.com")
    return f"{service}:{name}" if service else name


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _said(value: Any) -> str:
    return "" if value is None else str(value)
