"""`audit-search lookup`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import click

from audit_search_cli.commands.asking import events_of, filter_options, moment, none_found, period
from audit_search_cli.errors import FINE, INTERRUPTED
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, note, progress
from audit_search_cli.questions import lookup as library
from audit_search_cli.questions.events import Event, Events, Place
from audit_search_cli.questions.fields import any_of
from audit_search_cli.questions.filters import Filters

_SHOWN = 50
_ID = 36
_CATEGORIES = {"insight": "Insight"}


@click.command(
    cls=DocumentedCommand,
    examples=(
        'audit-search lookup --user alice --since "400 days ago"',
        "audit-search lookup --resource i-0a1b2c3d4e5f60718 --read-only false",
        "audit-search lookup --source-ip 203.0.113.0/24 --error 'AccessDenied*' --accounts 111122223333",
        "audit-search lookup --attribute AttributeKey=EventName,AttributeValue=RunInstances --max-items 10 --output json",
    ),
)
@click.option(
    "--attribute",
    "--lookup-attributes",
    "attributes",
    multiple=True,
    metavar="AttributeKey=KEY,AttributeValue=VALUE",
    help=f"As lookup-events has it; may be given several times. KEY is one of {', '.join(library.ATTRIBUTES)}.",
)
@click.option("--resource-type", multiple=True, metavar="TYPE", help="A type that a named resource has: AWS::EC2::Instance.")
@click.option("--event-category", type=click.Choice(sorted(_CATEGORIES)), help="As lookup-events has it: insight events only.")
@click.option("--oldest-first", is_flag=True, help="The oldest first, instead of the newest.")
@click.option(
    "--max-items", type=click.IntRange(1), metavar="NUMBER", help=f"At most so many.  [default: {_SHOWN}; all with --output json]"
)
@click.option("--starting-token", default="", metavar="TEXT", help="Go on behind an earlier answer: its NextToken.")
@filter_options()
@engine_options
@pass_invocation
def lookup(
    invocation: Invocation,
    filters: Filters,
    attributes: tuple[str, ...],
    resource_type: tuple[str, ...],
    event_category: str | None,
    oldest_first: bool,
    max_items: int | None,
    starting_token: str,
) -> int:
    """List events, newest first: all attributes of LookupEvents and more, together, of any age.

    With --output json the answer has the shape of `aws cloudtrail lookup-events`, so that a script can call this instead:
    Events with EventId, EventName, ReadOnly, AccessKeyId, EventTime, EventSource, Username, Resources and CloudTrailEvent, and
    NextToken where --max-items or Ctrl-C ended it. Resources are those that the record lists, and those that its request and
    response name, which are marked "Derived": true. An answer without events says what was recorded at all.
    """
    filters, types = _with_attributes(filters, attributes, resource_type)
    if event_category:
        filters = filters.also(category=_CATEGORIES[event_category])
    if invocation.given.get("region") and "region" not in filters.where:
        note("Note: --region is where AWS is asked; events of all regions are listed. --regions chooses among them.")
    events = events_of(invocation)
    wanted = filters.also(any_of(*(library.of_type(kind) for kind in types))) if types else filters
    start = library.place(starting_token) if starting_token else None
    most = max_items or (None if invocation.output.as_json else _SHOWN)
    # One more says whether there is more. Of resource types the engine gives candidates, and cannot know how many to give.
    enough = None if types or most is None else most + 1
    found = events.search(wanted.query(), oldest_first=oldest_first, most=enough, after=start)
    kept = (event for event in found if library.names_type(event, types)) if types else found
    shown = {"resource-type": types} if types else {}
    asked = replace(filters, where={**filters.where, **shown})
    if invocation.output.as_json:
        return _json(invocation, events, asked, kept, most, start)
    with progress("searching"):
        listed = _taken(kept, most)
        more = events.count(wanted.query()) if listed and not types and not start else None
    if not listed:
        none_found(invocation, events, asked)
        return FINE
    _print(invocation.output, asked, listed, more)
    return FINE


def _with_attributes(filters: Filters, attributes: tuple[str, ...], types: tuple[str, ...]) -> tuple[Filters, tuple[str, ...]]:
    """The filters with what --attribute says; types of resources are apart, for each event is looked at for them."""
    where = dict(filters.where)
    for name, value in map(library.attribute, attributes):
        if name == "resource-type":
            types = (*types, value)
        else:
            where[name] = (*where.get(name, ()), value)
    return replace(filters, where=where), types


def _taken(events: Iterator[Event], most: int | None) -> list[Event]:
    found: list[Event] = []
    for event in events:
        found.append(event)
        if most is not None and len(found) >= most:
            break
    return found


def _json(
    invocation: Invocation, events: Events, filters: Filters, found: Iterator[Event], most: int | None, start: Place | None
) -> int:
    """Write event after event; Ctrl-C and --max-items end the list where a later call can begin."""
    steps: list[Place] = [start] if start else []
    given = 0
    ended = False
    with Interrupts() as interrupts:

        def each() -> Iterator[Mapping[str, Any]]:
            nonlocal given, ended
            for event in library.followed(found, steps):
                given += 1
                yield library.shaped(event)
                if interrupts.requested or given == most:
                    ended = True
                    return

        def rest() -> Mapping[str, Any]:
            if not given:
                return none_found(invocation, events, filters)
            # Whether anything follows is known only by looking: no token leads to an empty page.
            return {"NextToken": library.token(steps[0])} if ended and next(found, None) else {}

        invocation.output.listed("Events", each(), rest)
    return INTERRUPTED if interrupts.requested else FINE


def _print(output: Output, filters: Filters, found: list[Event], total: int | None) -> None:
    rows = [
        (
            moment(event.time),
            event.caller,
            _words(event.api, event.error),
            _words(event.said("sourceIPAddress"), event.account, event.region),
            event.said("eventID") or event.id,
        )
        for event in found
    ]
    short = all(len(row[-1]) <= _ID for row in rows)  # one of another form would leave nothing for the other columns
    whole = ("when (UTC)", *(("event",) if short else ()))
    output.table(("when (UTC)", "who", "call, error", "from, account, region", "event"), rows, whole=whole)
    what = f"{counted(len(found), 'event')}: {str(filters) or 'any'}, {period(filters)}."
    more = f" {total - len(found):,} more: --max-items." if total and total > len(found) else ""
    output.line(what + more)


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)
