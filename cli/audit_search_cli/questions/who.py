"""Who changed a resource: each write that names it, with the chain behind its caller, from where, with what, and what changed.

A resource is asked for by id, name or ARN; AWS Config knows the others of the three. What an event names is looked at in its own
record. The event of a call in two accounts stands once. Versions belong to a call where the links that were stored say so, or
else where the same reckoning finds it (see `effects`). Whatever is bounded is said where a bound was reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from audit_search.aws_config.documents import CURRENT, HISTORY
from audit_search.index_template import name as name_of
from audit_search_cli.questions import effects, tools
from audit_search_cli.questions.between import USES, leaves, naming
from audit_search_cli.questions.callers import exactly
from audit_search_cli.questions.chains import Chain, Chains
from audit_search_cli.questions.changes import plain_causes
from audit_search_cli.questions.effects import NAMES, Effect, Made, Versions
from audit_search_cli.questions.events import Event, Events, buckets, search
from audit_search_cli.questions.fields import Query, all_of, any_of, asked, none_of
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.places import Place, Places
from audit_search_cli.questions.resources import of_end

_MOST_NAMES: Final = 100
_MOST_READS: Final = 2_000
_PAGE: Final = 50
_TREES: Final = ("requestParameters", "responseElements", "resources", "serviceEventDetails")
_MAKE: Final = ("RunInstances", "CreateFleet", "RequestSpotInstances")
_FAILED: Final[Query] = {"term": {"ct.outcome": "failure"}}


Kind = Literal["changed", "used", "failed"]
KINDS: Final[tuple[Kind, ...]] = ("changed", "used", "failed")
_DID: Final = {"changed": "changed it", "used": "used it", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Known:
    """What a name means: what was asked for, and every id, name and ARN that AWS Config has for it, by type."""

    asked: str
    names: tuple[str, ...]
    types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    more: bool = False
    """Whether it has more names than were taken."""

    @property
    def several(self) -> bool:
        """Whether the name belongs to more than one resource."""
        return len(self.types) > 1 or len(self.accounts) > 1


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
    found: dict[str, dict[str, None]] = {path: {} for path in (*NAMES, "resourceType", "awsAccountId")}
    more = False
    end, kinds = of_end(resource)
    query = any_of(*(exactly(path, resource) for path in NAMES))
    if end:
        typed = any_of(*(exactly("resourceType", kind) for kind in kinds))
        query = any_of(query, all_of(typed, any_of(*(exactly(path, end) for path in NAMES))))
    terms = {path: {"terms": {"field": path, "size": _MOST_NAMES}} for path in found}
    for index in (CURRENT, HISTORY):
        answer = search(events.engine, name_of(events.prefix, index), {"size": 0, "query": query, "aggs": terms})
        groups = answer.get("aggregations") or {}
        for path, values in found.items():
            values |= {str(bucket["key"]): None for bucket in buckets(groups, path)}
            more = more or bool(groups.get(path, {}).get("sum_other_doc_count"))
    names = {name: None for name in (resource, end) if name} | {name: None for path in NAMES for name in found[path]}
    types, accounts = tuple(found["resourceType"]), tuple(found["awsAccountId"])
    if resource.startswith("arn:"):
        names |= {name: None for name in [_short(resource)] if name and not types}
    return Known(resource, tuple(names), types, accounts, more)


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


def writes(events: Events, meant: Known, filters: Filters, what: Kind = "changed") -> Iterator[Event]:
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
    for event in events.search(wanted, page=_PAGE):
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
    """Tells of calls who is behind them, from where, with what, and what they changed.

    `versions` are all that are known of the resource in the period of the question.
    """

    def __init__(self, events: Events, meant: Known, filters: Filters) -> None:
        self.events = events
        self.chains, self.places = Chains(events), Places(events)
        self.versions: Versions = effects.versions(events, meant.names, filters)

    def of(self, found: Sequence[Event]) -> list[Act]:
        """The same for some calls, in their order. Raises as `Events` does."""
        self.places.expect(found)
        return [
            Act(event, self.chains.of(event), self.places.of(event), tools.of(event), self._effects(event)) for event in found
        ]

    def _effects(self, event: Event) -> list[Effect]:
        caused = self.versions.effects
        return caused.get(event.id) or caused.get(event.said("eventID")) or []


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
        "changed": [_plain_effect(one) for one in act.effects],
    }


def _plain_effect(one: Effect) -> dict[str, Any]:
    return effects.plain(one.made) | {
        "score": one.score,
        "reason": one.reason,
        "also_by": [{"event": event, "score": score} for event, score in one.also],
        "more_candidates": bool(one.made.causes and one.made.causes.more),
    }


def unexplained(acts: Acts, filters: Filters, listed: Sequence[Act], *, more: bool) -> list[Made] | None:
    """The versions that none of the listed calls caused, newest first; with `more` calls, those since the oldest of the listed.

    None where a question is limited by what a version does not have, such as a caller.
    """
    if not effects.is_of_place(filters):
        return None
    known = {identity for act in listed for identity in (act.event.id, act.event.said("eventID"))}
    since = min((act.event.time for act in listed), default=None) if more else None
    return effects.unexplained(acts.versions, filters, known, since)


def plain_made(made: Made) -> dict[str, Any]:
    """A version as JSON has it, with the calls behind it."""
    return effects.plain(made) | {"caused_by": plain_causes(made.causes) if made.causes else None}


def bounds(meant: Known, acts: Acts, reads: Reads, more: Mapping[str, bool], most: int) -> list[str]:
    """A sentence for each bound that was reached; `more` is whether there are more of each kind of call than `most`."""
    found = acts.versions
    said = [
        f"Of the calls that {_DID[kind]} the newest {most:,} are shown: --max-items." for kind, there in more.items() if there
    ]
    if reads.more:
        said.append(f"Of the calls that only read, the newest {_MOST_READS:,} that may name it were looked at.")
    if meant.more:
        said.append(f"Of its names the {_MOST_NAMES} most frequent were looked for: an id or an ARN has fewer.")
    if found.more:
        said.append(f"Of its versions the newest {effects.MOST:,} were looked at.")
    if found.unreckoned:
        said.append(
            f"{found.unreckoned:,} of its versions are not linked yet and were not reckoned, only the newest {effects.RECKONED}."
        )
    if acts.places.more:
        said.append(f"Of what had a source address once, {acts.places.most} resources were looked at.")
    return said
