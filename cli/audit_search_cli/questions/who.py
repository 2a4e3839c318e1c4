"""Who changed a resource: each write that names it, with the chain behind its caller, from where, with what, and what changed.

A resource is asked for by id, name or ARN; AWS Config knows the others of the three. What an event names is looked at in its own
record. The event of a call in two accounts stands once. Versions belong to a call where the links that were stored say so, or
else where the same reckoning finds it (see `audit_search.causes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from audit_search.aws_config.documents import CURRENT, HISTORY
from audit_search.causes import calls as causing
from audit_search.causes.scoring import explain
from audit_search.causes.versions import of_document
from audit_search.index_template import name as name_of
from audit_search_cli.questions import tools
from audit_search_cli.questions.between import USES, leaves, naming
from audit_search_cli.questions.callers import exactly
from audit_search_cli.questions.chains import Chain, Chains
from audit_search_cli.questions.events import Event, Events, search
from audit_search_cli.questions.fields import Query, all_of, any_of, asked, none_of
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.places import Place, Places
from audit_search_cli.questions.resources import of_end

_NAMES: Final = ("resourceId", "resourceName", "ARN")
_MOST_VERSIONS: Final = 500
_MOST_LINES: Final = 12
_MOST_READS: Final = 2_000
_TREES: Final = ("requestParameters", "responseElements", "resources", "serviceEventDetails")
_MAKE: Final = ("RunInstances", "CreateFleet", "RequestSpotInstances")
_FAILED: Final[Query] = {"term": {"ct.outcome": "failure"}}


@dataclass(frozen=True, slots=True)
class Known:
    """What a name means: what was asked for, and every id, name and ARN that AWS Config has for it, by type."""

    asked: str
    names: tuple[str, ...]
    types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether the name belongs to more than one resource."""
        return len(self.types) > 1 or len(self.accounts) > 1


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that changed: its path, before and after (empty where it was not there, or is not)."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Effect:
    """A version that a call caused: its document's id, when it was captured, how sure (0 to 1), why, and what changed."""

    item: str
    resource: str
    captured: str
    score: float
    reason: str
    differences: tuple[Difference, ...]


@dataclass(slots=True)
class Act:
    """A call that named the resource: the event, who is behind it, from where, with what, and which versions it caused."""

    event: Event
    chain: Chain
    place: Place
    tool: str
    effects: list[Effect] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reader:
    """A caller that only read it: how often, and when last."""

    caller: str
    events: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Reads:
    """The calls that only read it: how many, whether there may be more that were not looked at, and who made most of them."""

    events: int
    more: bool
    readers: tuple[Reader, ...]


def known(events: Events, resource: str) -> Known:
    """What a name, an id or an ARN means by AWS Config; the name alone where it does not know it."""
    end, kinds = of_end(resource)
    names: dict[str, None] = {name: None for name in (resource, end) if name}
    types: dict[str, None] = {}
    accounts: dict[str, None] = {}
    for index in (CURRENT, HISTORY):
        query = any_of(*(exactly(path, resource) for path in _NAMES))
        if end:
            typed = any_of(*(exactly("resourceType", kind) for kind in kinds))
            query = any_of(query, all_of(typed, any_of(*(exactly(path, end) for path in _NAMES))))
        body = {"size": 100, "query": query, "_source": [*_NAMES, "resourceType", "awsAccountId"]}
        for hit in search(events.engine, name_of(events.prefix, index), body).get("hits", {}).get("hits", []):
            source = hit.get("_source") or {}
            names |= {str(source[path]): None for path in _NAMES if source.get(path)}
            types[str(source.get("resourceType") or "")] = None
            accounts[str(source.get("awsAccountId") or "")] = None
    if resource.startswith("arn:"):
        names |= {name: None for name in [_short(resource)] if name and not types}
    return Known(resource, tuple(names), tuple(types), tuple(accounts))


def _short(arn: str) -> str:
    """The name at the end of an ARN, where it is distinct enough to be looked for alone."""
    last = arn.rpartition("/")[2].rpartition(":")[2]
    return last if last != arn and (":s3:::" in arn or any(sign.isdigit() for sign in last) or len(last) > 7) else ""


def query(meant: Known, filters: Filters) -> Query:
    """Events that may name a resource, within filters."""
    found = [asked("resource", name) if not set("*?") & set(name) else naming(name) for name in meant.names]
    return all_of(any_of(*found), filters.query())


def names(event: Event, meant: Known) -> bool:
    """Whether an event names a resource: by itself, or at the end of an ARN."""
    ends = tuple(f"{mark}{name}" for name in meant.names for mark in ":/")
    whole = set(meant.names)
    return any(value in whole or value.endswith(ends) for tree in _TREES for _, value in leaves(event.get(tree)))


def writes(
    events: Events, meant: Known, filters: Filters, what: Literal["changed", "used", "failed"] = "changed"
) -> Iterator[Event]:
    """The calls that changed a resource, newest first; or used it and left it as it was; or tried to and failed.

    RunInstances changes the instances that it makes, and nothing else that it names. Each call stands once.
    """
    makes = any(name.rpartition("/")[2].startswith("i-") for name in meant.names)
    uses: Query = {"terms": {"eventName": [name for name in USES if not (makes and name in _MAKE)]}}
    kinds = {
        "changed": none_of(_FAILED, uses),
        "used": all_of(uses, none_of(_FAILED)),
        "failed": _FAILED,
    }
    wanted = all_of(query(meant, filters), asked("read-only", "false"), kinds[what])
    shared: set[str] = set()
    for event in events.search(wanted):
        if not names(event, meant):
            continue
        call = event.said("sharedEventID")
        if call and call in shared:
            continue
        shared.add(call)
        yield event


def readers(events: Events, meant: Known, filters: Filters, most: int = 10) -> Reads:
    """Who only read it, of the newest calls, each of which is looked at."""
    wanted = all_of(query(meant, filters), asked("read-only", "true"))
    seen = 0
    found: dict[str, Reader] = {}
    for event in events.search(wanted, most=_MOST_READS):
        seen += 1
        if names(event, meant):
            before = found.get(event.caller, Reader(event.caller, 0, event.time))
            found[event.caller] = Reader(event.caller, before.events + 1, before.last)
    listed = sorted(found.values(), key=lambda one: (-one.events, one.caller))
    return Reads(sum(one.events for one in listed), seen >= _MOST_READS, tuple(listed[:most]))


class Acts:
    """Tells of calls who is behind them, from where, with what, and what they changed."""

    def __init__(self, events: Events, meant: Known) -> None:
        self.events = events
        self.meant = meant
        self.chains, self.places = Chains(events), Places(events)

    def of(self, found: Sequence[Event]) -> list[Act]:
        """The same for some calls, in their order. Raises as `Events` does."""
        effects = self._effects(found)
        return [
            Act(event, self.chains.of(event), self.places.of(event), tools.of(event), effects.get(event.id, []))
            for event in found
        ]

    def _effects(self, found: Sequence[Event]) -> dict[str, list[Effect]]:
        """The versions of the resource that each call caused, by the event's id, the surest first."""
        effects: dict[str, list[Effect]] = {}
        every = [call for event in found if (call := causing.of_record(event.record))]
        for hit in self._versions():
            for identity, effect in _caused(hit, every):
                effects.setdefault(identity, []).append(effect)
        for listed in effects.values():
            listed.sort(key=lambda one: (-one.score, one.captured, one.item))
        return effects

    def _versions(self) -> list[dict[str, Any]]:
        wanted = any_of(*(exactly(path, name) for path in _NAMES for name in self.meant.names))
        order = [{"configurationItemCaptureTime": {"order": "desc", "unmapped_type": "date"}}]
        body = {"size": _MOST_VERSIONS, "query": wanted, "sort": order, "_source": {"excludes": ["raw"]}}
        index = name_of(self.events.prefix, HISTORY)
        hits: list[dict[str, Any]] = search(self.events.engine, index, body).get("hits", {}).get("hits", [])
        return hits


def _caused(hit: Mapping[str, Any], every: Iterable[causing.Call]) -> Iterator[tuple[str, Effect]]:
    """The events that caused a version, with what it says of it."""
    source = hit.get("_source") or {}
    cfg = source.get("cfg") or {}
    stored = cfg.get("causedBy") or {}
    links: list[tuple[str, float, str]] = []
    if stored.get("eventId"):
        columns = (_listed(stored.get(name)) for name in ("eventId", "score", "reason"))
        links = [(str(event), float(score), str(reason)) for event, score, reason in zip(*columns, strict=False)]
    else:
        try:
            version = of_document(str(hit["_id"]), source)
        except (LookupError, ValueError, TypeError):
            return
        links = [(link.event, link.score, "; ".join(link.reasons)) for link in explain(version, every).causes]
    differences = tuple(_difference(one) for one in _listed(cfg.get("changes"))[:_MOST_LINES] if isinstance(one, dict))
    resource = str(source.get("resourceId") or "")
    for event, score, reason in links:
        captured = str(source.get("configurationItemCaptureTime") or "")
        yield event, Effect(str(hit["_id"]), resource, captured, score, reason, differences)


def _difference(change: Mapping[str, Any]) -> Difference:
    def said(value: Any) -> str:
        return "" if value is None else str(value)

    return Difference(str(change.get("path") or ""), said(change.get("before")), said(change.get("after")))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def plain(act: Act) -> dict[str, Any]:
    """A call as JSON has it."""
    chain, event = act.chain, act.event
    return {
        "event": event.said("eventID") or event.id,
        "time": event.time.isoformat(),
        "api": event.api,
        "account": event.account,
        "region": event.region,
        "error": event.error,
        "caller": event.caller,
        "person": {"name": chain.person, "by": chain.certain_by} if chain.person else None,
        "machine": chain.machine,
        "unverified": chain.unverified,
        "chain": [{"who": hop.who, "arn": hop.arn, "joined_by": hop.by, "event": hop.event} for hop in chain.hops],
        "broken": chain.broken,
        "from": {
            "source": act.place.source,
            "certain": act.place.kind != "one of",
            "resources": [{"what": one.what, "id": one.id, "item": one.item} for one in act.place.found],
        },
        "tool": act.tool,
        "changed": [
            {
                "item": one.item,
                "resource": one.resource,
                "captured": one.captured,
                "score": one.score,
                "reason": one.reason,
                "changes": [{"path": each.path, "before": each.before, "after": each.after} for each in one.differences],
            }
            for one in act.effects
        ],
    }
