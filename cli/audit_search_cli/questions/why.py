"""Why a call failed: what the error means, whether the same caller ever succeeded, what changed since, who else has the error.

Each sentence has its evidence: ids of events, or of versions that AWS Config recorded. What the data cannot tell stands apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from audit_search_cli.questions import between, callers, failures
from audit_search_cli.questions.between import Change
from audit_search_cli.questions.callers import Caller, exactly
from audit_search_cli.questions.events import Event, Events, buckets
from audit_search_cli.questions.failures import Failure
from audit_search_cli.questions.fields import Query, all_of, any_of, asked, none_of
from audit_search_cli.questions.filters import Filters, stamp

AROUND: Final = timedelta(hours=24)
"""So long before and after a failure others are looked for."""
BEFORE: Final = timedelta(days=7)
"""So long before a failure changes are looked for where no success is known."""
MINUTE: Final = timedelta(minutes=1)
_CALLERS = 1_000
_DRY: Final = any_of(*(exactly("errorCode", code) for code in ("Client.DryRunOperation", "DryRunOperation")))
_FAILED: Final[Query] = {"term": {"ct.outcome": "failure"}}
_COMPARED: Final = {
    "source address": "sourceIPAddress",
    "VPC endpoint": "vpcEndpointId",
    "region": "awsRegion",
    "session": "userIdentity.arn",
    "access key": "userIdentity.accessKeyId",
    "invoked by": "userIdentity.invokedBy",
    "second factor": "userIdentity.sessionContext.attributes.mfaAuthenticated",
    "tool": "userAgent",
}
_MOST_DIFFERENT = 12
_LONG = 120


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something that is known, with the ids of the events that say so."""

    text: str
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Others:
    """Who else has the same error with the same API in a period: events by caller, most first, this caller's among them.

    `newest` are the newest events of other callers; `more` says that there are callers beyond those counted.
    """

    since: datetime
    until: datetime
    events: int
    own: int
    by_caller: tuple[tuple[str, int], ...]
    newest: tuple[Event, ...]
    more: bool


@dataclass(slots=True)
class Answer:
    """Why an event failed. `since` is where changes were looked for from, `success` the latest one before, of the same API."""

    event: Event
    failure: Failure
    caller: Caller
    meaning: list[Sentence] = field(default_factory=list)
    history: list[Sentence] = field(default_factory=list)
    success: Event | None = None
    differences: list[tuple[str, str, str]] = field(default_factory=list)
    since: datetime | None = None
    changes: list[Change] = field(default_factory=list)
    others: Others | None = None
    unknown: list[str] = field(default_factory=list)
    bounds: list[str] = field(default_factory=list)
    """A sentence for each bound that was reached: how many were looked at, of what."""


def explain(events: Events, event: Event) -> Answer:
    """Why an event failed. Raises as `Events` does."""
    failure, caller = failures.of(event), callers.of(event)
    found = Answer(event, failure, caller)
    identity = (event.id,)
    found.meaning = [Sentence(text, identity) for text in failure.meaning]
    found.unknown = list(failure.unknown)
    if failure.kind == failures.SUCCESS:
        return found
    _history(events, found)
    if failure.kind == failures.DRY_RUN:
        return found
    if failure.kind == failures.THROTTLED:
        found.meaning.append(_rate(events, event))
    found.since = found.success.time if found.success else event.time - BEFORE
    looked = between.Looked(events)
    found.changes = between.changes(looked, event, failure, caller, found.since, found.success)
    found.bounds += looked.bounds
    found.others = _others(events, event, caller)
    found.unknown += _not_recorded(events, found)
    return found


def failed(events: Events, filters: Filters) -> Iterator[Event]:
    """The failed events of a question, newest first."""
    return events.search(all_of(filters.query(), _FAILED))


def api(event: Event) -> Query:
    """Events of the same API."""
    return all_of(exactly("eventSource", event.said("eventSource")), exactly("eventName", event.name))


def _history(events: Events, found: Answer) -> None:
    """Whether the same caller ever succeeded: before, with the same resource, by a dry run, and after."""
    event, caller = found.event, found.caller
    if caller.query is None:
        found.unknown.append("The event does not name its caller, so nothing is known of earlier calls.")
        return
    before: Query = {"range": {"eventTime": {"lte": stamp(event.time)}}}
    mine = all_of(api(event), caller.query, none_of({"ids": {"values": [event.id]}}))
    good = all_of(mine, {"term": {"ct.outcome": "success"}})
    found.success = next(events.search(all_of(good, before), most=1), None)
    number = events.count(all_of(good, before))
    who = f"{caller.said[:1].upper()}{caller.said[1:]}"
    if found.success:
        times = "once" if number == 1 else f"{number:,} times"
        text = f"{who} had called {event.api} with success {times} before, last at {_at(found.success)}."
        found.history.append(Sentence(text, (found.success.id,)))
        every = differences(found.success, event)
        found.differences = every[:_MOST_DIFFERENT]
        if len(every) > _MOST_DIFFERENT:
            found.bounds.append(f"Of {len(every):,} differences from the last success the first {_MOST_DIFFERENT} are shown.")
        found.history += _same_resource(events, found, all_of(good, before))
    else:
        tried = next(events.search(all_of(mine, before), most=1), None)
        earlier = events.count(all_of(mine, before))
        also = (
            f"; {earlier:,} earlier {'call' if earlier == 1 else 'calls'} failed as well, last at {_at(tried)}" if tried else ""
        )
        text = f"No success of {caller.said} with {event.api} was recorded before this{also}."
        found.history.append(Sentence(text, (tried.id,) if tried else ()))
    dry = next(events.search(all_of(mine, _DRY, before), most=1), None)
    if dry:
        found.history.append(Sentence(f"A dry run at {_at(dry)} said that the call would succeed.", (dry.id,)))
    after: Query = {"range": {"eventTime": {"gt": stamp(event.time)}}}
    next_good = next(events.search(all_of(good, after), oldest_first=True, most=1), None)
    if next_good:
        found.history.append(Sentence(f"The next success after it was at {_at(next_good)}.", (next_good.id,)))
    else:
        again = events.count(all_of(mine, after))
        said = f"{again:,} later calls failed" if again else "no later call was recorded"
        found.history.append(Sentence(f"No success was recorded after it: {said}."))


def _same_resource(events: Events, found: Answer, good: Query) -> list[Sentence]:
    """Whether the successes were about the same resource, where the failure names one."""
    subjects = [
        subject for subject in between.subjects(found.event, found.failure, found.caller) if subject.about != between.NETWORK
    ]
    if not subjects or not found.success:
        return []
    name = subjects[0].name
    known = asked("resource", name) if not set("*?") & set(name) else between.naming(name)
    same = next(events.search(all_of(good, known), most=1), None)
    if same is None:
        return [Sentence(f"None of them named {name}.")]
    return [Sentence(f"With {name} the last was at {_at(same)}.", (same.id,))] if same.id != found.success.id else []


def differences(before: Event, after: Event) -> list[tuple[str, str, str]]:
    """What differs between two calls of one API: the name of it, before, and after; request parameters by their path."""
    found = [(title, before.said(path), after.said(path)) for title, path in _COMPARED.items()]
    both = before.get("requestParameters"), after.get("requestParameters")
    old, new = map(_flat, both) if all(both) else ({}, {})  # a refused call often has no request in its record
    found += [(path, old.get(path, ""), new.get(path, "")) for path in sorted({*old, *new})]
    return [(title, _cut(was), _cut(now)) for title, was, now in found if was != now]


def _flat(tree: Any, path: str = "", depth: int = 0) -> dict[str, str]:
    if isinstance(tree, dict) and depth < 12:
        return {
            key: value
            for name, inner in tree.items()
            for key, value in _flat(inner, f"{path}.{name}".lstrip("."), depth + 1).items()
        }
    if isinstance(tree, list) and depth < 12:
        return {
            key: value for number, inner in enumerate(tree) for key, value in _flat(inner, f"{path}[{number}]", depth + 1).items()
        }
    return {path: tree if isinstance(tree, str) else json.dumps(tree)} if path else {}


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _rate(events: Events, event: Event) -> Sentence:
    """How many calls of the service were recorded in the account and region within the minute before."""
    place = [exactly("recipientAccountId", event.account), exactly("awsRegion", event.region)]
    time: Query = {"range": {"eventTime": {"gt": stamp(event.time - MINUTE), "lte": stamp(event.time)}}}
    query = all_of(exactly("eventSource", event.said("eventSource")), *place, time)
    total, answer = events.grouped(query, {"callers": {"terms": {"field": "ct.caller", "size": 3}}})
    most = ", ".join(f"{bucket['key']} {int(bucket['doc_count']):,}" for bucket in buckets(answer, "callers"))
    first = next(events.search(query, oldest_first=True, most=1), event)
    text = f"In the minute up to it {total:,} calls of {event.service} were recorded in this account and region: {most}."
    return Sentence(text, tuple(dict.fromkeys((first.id, event.id))))


def _others(events: Events, event: Event, caller: Caller) -> Others:
    """Who has the same error with the same API around the time."""
    since, until = event.time - AROUND, event.time + AROUND
    code = event.said("errorCode")
    same = exactly("errorCode", code) if code else exactly("errorMessage", event.said("errorMessage"))
    time: Query = {"range": {"eventTime": {"gte": stamp(since), "lte": stamp(until)}}}
    query = all_of(api(event), same, _FAILED, time)
    total, answer = events.grouped(query, {"callers": {"terms": {"field": "ct.caller", "size": _CALLERS}}})
    groups = tuple((str(bucket["key"]), int(bucket["doc_count"])) for bucket in buckets(answer, "callers"))
    rest = int(answer.get("callers", {}).get("sum_other_doc_count") or 0)
    mine = caller.query or {"ids": {"values": [event.id]}}
    own = events.count(all_of(query, mine))
    newest = tuple(events.search(all_of(query, none_of(mine)), most=3)) if total > own else ()
    return Others(since, until, total, own, groups, newest, rest > 0)


def _not_recorded(events: Events, found: Answer) -> list[str]:
    """Why changes may be missing: what would have said so was never recorded."""
    said = []
    if found.failure.kind in (failures.DENIED, failures.UNKNOWN):
        account = found.caller.account or found.event.account
        iam = all_of(
            exactly("eventSource", "iam.amazonaws.com"), exactly("recipientAccountId", account), asked("read-only", "false")
        )
        if not events.count(iam):
            said.append(f"No writes to IAM of the account {account} were recorded: whether permissions changed is not known.")
        if not events.count(all_of(exactly("eventSource", "organizations.amazonaws.com"), asked("read-only", "false"))):
            said.append("No writes to AWS Organizations were recorded: policies of the organisation may have changed.")
    if not found.success:
        said.append(f"Without an earlier success, changes were looked for in the {BEFORE.days} days before.")
    return said


def _at(event: Event) -> str:
    return f"{event.time:%Y-%m-%d %H:%M:%S} UTC"


def plain(answer: Answer) -> dict[str, Any]:
    """An answer as JSON has it."""
    event, denial = answer.event, answer.failure.denial
    parts = (
        {name: getattr(denial, name) for name in denial.__slots__ if name not in ("encoded", "authorization")} if denial else {}
    )
    return {
        "event": summary(event),
        "kind": answer.failure.kind,
        "denial": {name: value for name, value in parts.items() if value},
        "meaning": [_said(one) for one in answer.meaning],
        "history": [_said(one) for one in answer.history],
        "last_success": summary(answer.success) if answer.success else None,
        "differences": [{"what": what, "before": was, "now": now} for what, was, now in answer.differences],
        "changes_since": answer.since.isoformat() if answer.since else None,
        "changes": [
            {
                "about": one.about,
                "time": one.time.isoformat(),
                "what": one.what,
                "caller": one.caller,
                "event": one.event,
                "item": one.item,
            }
            for one in answer.changes
        ],
        "others": _plain_others(answer.others),
        "not_known": answer.unknown,
        "bounds": answer.bounds,
    }


def summary(event: Event) -> dict[str, str]:
    """An event in a few values."""
    return {
        "id": event.said("eventID") or event.id,
        "time": event.time.isoformat(),
        "api": event.api,
        "caller": event.caller,
        "account": event.account,
        "region": event.region,
        "source": event.said("sourceIPAddress"),
        "error": event.error,
        "message": event.said("errorMessage"),
        "request_id": event.said("requestID"),
    }


def _said(one: Sentence) -> dict[str, Any]:
    return {"text": one.text, "events": list(one.events)}


def _plain_others(others: Others | None) -> dict[str, Any] | None:
    if others is None:
        return None
    return {
        "since": others.since.isoformat(),
        "until": others.until.isoformat(),
        "events": others.events,
        "own": others.own,
        "callers": [{"caller": name, "events": number} for name, number in others.by_caller],
        "more_callers": others.more,
        "newest": [summary(event) for event in others.newest],
    }
