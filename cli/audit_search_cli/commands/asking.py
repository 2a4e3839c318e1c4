"""What the questions share: the options that limit them, the engine that they ask, and what is said when there is no answer."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from botocore.exceptions import BotoCoreError, ClientError

from audit_search import exclusions
from audit_search_cli import pipelines
from audit_search_cli.errors import Problem
from audit_search_cli.options import Invocation, Shared
from audit_search_cli.output import clean, note
from audit_search_cli.questions.coverage import Coverage, Gap, Seen, Stated, look
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.fields import API, FIELDS, asked, named
from audit_search_cli.questions.filters import Filters, gathered
from audit_search_cli.questions.hints import hints
from audit_search_cli.times import Time, between, shown

Function = TypeVar("Function", bound=Callable[..., Any])
_FILTERS = "Filters (of one kind any, of several kinds all have to fit; * and ? stand for any text)"


def _filter(*names: str, text: str, **attributes: Any) -> Callable[[Function], Function]:
    how = {"multiple": True, "metavar": "TEXT", **attributes}
    return click.option(*names, cls=Shared, section=_FILTERS, help=text, **how)


_SINGLE = {
    "event_name": _filter("--event-name", text="The API: RunInstances, ec2:RunInstances, Describe*.", metavar="NAME"),
    "event_source": _filter("--event-source", text="The service: ec2, or ec2.amazonaws.com.", metavar="NAME"),
    "caller": _filter("--caller", text="Who called: a name, a role, role/session, or an ARN.", metavar="NAME"),
    "user": _filter("--user", text="An IAM user, or the session of a role, as LookupEvents has it.", metavar="NAME"),
    "access_key": _filter("--access-key", text="The access key that signed.", metavar="ID"),
    "resource": _filter("--resource", "--resource-name", text="A resource that is named: an id, a name, an ARN.", metavar="NAME"),
    "error": _filter("--error", text="The error's code: AccessDenied; * for any.", metavar="CODE"),
    "outcome": _filter("--outcome", text="success, or failure, with an error's code or without one.", metavar="NAME"),
    "source_ip": _filter("--source-ip", text="An address, a network (203.0.113.0/24), or a service.", metavar="ADDRESS"),
    "accounts": _filter("--accounts", text="Accounts, separated by commas.", metavar="IDS"),
    "regions": _filter("--regions", text="Regions, separated by commas.", metavar="NAMES"),
    "read_only": _filter("--read-only", text="true for calls that change nothing, false for those that may.", metavar="TRUTH"),
    "alert": _filter("--alert", text="An alert rule that the event meets.", metavar="NAME"),
    "event_id": _filter("--event-id", text="The event's id.", metavar="ID"),
    "where": _filter("--where", text="Any other field: --where user-agent=Boto3*.", metavar="FIELD=VALUE"),
    "text": _filter("--text", text='Words, and "phrases", that stand anywhere in the record.', multiple=False),
}
_NAMES = {"event_name": API, "event_source": "service", "accounts": "account", "regions": "region"}
GROUPED = (API, *(name for name, field in FIELDS.items() if field.exact))
"""The fields that events can be grouped by."""
_LISTS = ("accounts", "regions")


def filter_options(*, since: str | None = None) -> Callable[[Function], Function]:
    """The options that limit a question; the command gets one `filters` for all of them. `since` is the default of --since."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wrapper(*arguments: Any, **given: Any) -> Any:
            values = {name: given.pop(name) for name in (*_SINGLE, "since", "until")}
            return function(*arguments, filters=_filters(values), **given)

        wrapped: Any = wrapper
        for option in (*reversed(_SINGLE.values()), *_period(since)):
            wrapped = option(wrapped)
        decorated: Function = wrapped
        return decorated

    return decorate


def _period(since: str | None) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """--until and --since, in the order in which decorators are applied."""
    until = click.option(
        "--until", "--end-time", type=Time(), metavar="TIME", help="Only what happened before this time.  [default: now]"
    )
    text = 'Only what happened at or after this time: 2026-11-20, "2 days ago", 90m.'
    begin = click.option(
        "--since", "--start-time", type=Time(), default=since, show_default=since is not None, metavar="TIME", help=text
    )
    return until, begin


def _filters(given: Mapping[str, Any]) -> Filters:
    """The filters of the options. Raises Problem."""
    since, until = given["since"], given["until"]
    between(since, until, datetime.now(UTC))
    pairs: list[tuple[str, str]] = []
    for option, values in given.items():
        name = _NAMES.get(option, option.replace("_", "-"))
        if name in FIELDS or name == API:
            pairs += [(name, part) for value in values for part in _values(value, several=option in _LISTS)]
    pairs += [pair(text) for text in given["where"]]
    for name, value in pairs:
        asked(name, value)
    if given["text"] is not None and not given["text"].strip():
        raise Problem("The value of text is empty", "Give words, or leave the option out.")
    return Filters(gathered(pairs), given["text"] or "", since, until)


def _values(text: str, *, several: bool) -> list[str]:
    """The values of an option. One that is empty stays, to be refused: it must not look as if nothing had been asked for."""
    parts = [part.strip() for part in (text.split(",") if several else [text])]
    return [part for part in parts if part] or [""]


def complete_field(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The fields to group by whose names begin so, for the shell."""
    return [name for name in GROUPED if name.startswith(begun.lower())]


def pair(text: str) -> tuple[str, str]:
    """The field and the value of FIELD=VALUE. Raises Problem."""
    name, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise Problem(f"--where is {text!r}", "Write it as FIELD=VALUE, such as --where user-agent=Boto3*.")
    return named(name).name, value.strip()


def events_of(invocation: Invocation) -> Events:
    """CloudTrail's documents on the engine that is meant. Raises Problem."""
    return Events(invocation.engine(), invocation.settings.get("INDEX_PREFIX", "").strip())


def stated(invocation: Invocation) -> Stated:
    """What the stack, or the environment, says of retention and exclusion rules; what cannot be read is not known."""
    days = invocation.settings.get("RETENTION_DAYS", "").strip()
    try:
        rules = exclusions.parse(pipelines.exclusion_rules(invocation))
        names = [rule.name for rule in rules if not rule.count_only] if invocation.stack or rules else None
    except (BotoCoreError, ClientError, Problem, ValueError) as error:
        note(f"Note: the exclusion rules are not known: {error}")
        names = None
    return Stated(int(days) if days.isdigit() else None, names)


def period(filters: Filters) -> str:
    """A period as it is printed."""
    start = f"from {shown(filters.since)} " if filters.since else ""
    return f"{start}to {shown(filters.until)}" if filters.until else f"{start}to now" if start else "of any time"


def none_found(invocation: Invocation, events: Events, filters: Filters) -> dict[str, Any]:
    """Say that no event was found, what may be a slip, and what was recorded at all; gives the same for a JSON document."""
    found = look(events, filters, stated(invocation))
    slips = [str(hint) for hint in hints(events, filters)]
    if not invocation.output.as_json:
        invocation.output.line(f"No event found: {str(filters) or 'any'}, {period(filters)}.")
        for slip in slips:
            invocation.output.line(slip)
        invocation.output.line(found.line())
    return {"Coverage": found.line(), "Hints": slips}


def coverage_document(found: Coverage) -> dict[str, Any]:
    """What was recorded, as JSON has it."""
    return {
        "line": found.line(),
        "first": _stamp(found.first),
        "last": _stamp(found.last),
        "events": found.events,
        "reads": found.reads,
        "kinds": found.kinds,
        "data_services": found.data,
        "places": [_seen(one) for one in found.seen],
        "gaps": [_gap(one) for one in found.gaps],
        "changes": [
            {"time": one.time.isoformat(), "event_id": one.id, "call": one.api, "caller": one.caller} for one in found.changes
        ],
        "config": [
            {
                "account": one.account,
                "region": one.region,
                "types": dict(one.types),
                "first": _stamp(one.first),
                "last": _stamp(one.last),
            }
            for one in found.recorders or []
        ],
        "retention_days": found.stated.retention_days,
        "exclusion_rules": None if found.stated.exclusions is None else list(found.stated.exclusions),
    }


def _seen(one: Seen) -> dict[str, Any]:
    times = {"first": _stamp(one.first), "last": _stamp(one.last)}
    return {"account": one.account, "region": one.region, "events": one.events, "reads": one.reads, "kinds": one.kinds} | times


def _gap(one: Gap) -> dict[str, Any]:
    return {"since": _stamp(one.since), "until": _stamp(one.until), "hours": round(one.length.total_seconds() / 3_600, 2)}


def _stamp(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def moment(when: datetime | None) -> str:
    """A time in a table whose header says that it is UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if when else ""


def csv_cell(value: object) -> str:
    """A value in a CSV file: cleaned, quoted where it has to be, and never a formula of a spreadsheet."""
    text = clean(value)
    if text[:1] in ("=", "+", "-", "@") and not text.lstrip("-").replace(".", "", 1).isdigit():
        text = f"'{text}"
    return json.dumps(text, ensure_ascii=False).replace('\\"', '""') if any(mark in text for mark in ',"') else text
