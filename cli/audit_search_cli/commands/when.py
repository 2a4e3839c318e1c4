"""`audit-search when`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from audit_search_cli.commands.asking import events_of, filter_options, moment, none_found, period
from audit_search_cli.errors import FINE
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, human_age, progress
from audit_search_cli.questions import trends
from audit_search_cli.questions.events import Event
from audit_search_cli.questions.fields import API, asked
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.trends import Moments, Silence

_BAR = 40


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search when RunInstances",
        "audit-search when ec2:TerminateInstances --accounts 111122223333 --since 2026-01-01",
        "audit-search when 'Delete*' --caller alice --output json",
    ),
)
@click.argument("event_name_asked", metavar="EVENT-NAME")
@filter_options()
@engine_options
@pass_invocation
def when(invocation: Invocation, event_name_asked: str, filters: Filters) -> int:
    """Say when an API was called: first, last, how often, a histogram, and the longest times without.

    EVENT-NAME is RunInstances, ec2:RunInstances, or a pattern. Of each time without it is said how much else was recorded
    meanwhile: where that is nothing, nobody knows whether it was called.
    """
    asked(API, event_name_asked)
    filters = filters.also(**{API: event_name_asked})
    events = events_of(invocation)
    with progress("searching"):
        found = trends.moments(events, filters)
    if found.first is None or found.last is None:
        said = none_found(invocation, events, filters)
        if invocation.output.as_json:
            invocation.output.document({"events": 0, "first": None, "last": None, **said})
        return FINE
    if invocation.output.as_json:
        invocation.output.document(_plain(found))
    else:
        _print(invocation.output, event_name_asked, filters, found, found.first, found.last)
    return FINE


def _plain(found: Moments) -> dict[str, Any]:
    def of(event: Event | None) -> dict[str, str] | None:
        if event is None:
            return None
        return {"time": event.time.isoformat(), "event_id": event.id, "caller": event.caller, "error": event.error}

    return {
        "events": found.events,
        "failed": found.failed,
        "first": of(found.first),
        "last": of(found.last),
        "bar_seconds": found.width.total_seconds(),
        "bars": [{"from": start.isoformat(), "events": number} for start, number in found.bars],
        "gaps": [
            {"since": one.gap.since.isoformat(), "until": one.gap.until.isoformat(), "others_recorded": one.others}
            for one in found.silences
        ],
    }


def _print(output: Output, name: str, filters: Filters, found: Moments, first: Event, last: Event) -> None:
    failed = f", {found.failed:,} of them failed" if found.failed else ""
    others = filters.without(API)
    output.line(f"{name}: {counted(found.events, 'event')}{failed}, {period(filters)}{f', {others}' if str(others) else ''}.")
    rows = [
        (title, moment(event.time), event.caller, event.error, event.region, event.id)
        for title, event in (("first", first), ("last", last))
    ]
    output.table(("", "when (UTC)", "who", "error", "region", "event"), rows, whole=("", "when (UTC)"))
    highest = max(number for _, number in found.bars)
    bars = [(_bar_start(start, found.width), f"{number:,}", _bar(number, highest)) for start, number in found.bars]
    output.table((f"from (UTC), each {_width(found.width)}", "events", ""), bars, numbers=("events",))
    if found.silences:
        output.heading(f"Longest times without, beyond {_width(max(found.width, timedelta(hours=1)))}")
        gaps = [(moment(one.gap.since), moment(one.gap.until), _age(one), _meanwhile(one)) for one in found.silences]
        output.table(("after (UTC)", "until (UTC)", "for", "recorded meanwhile"), gaps, whole=("after (UTC)", "until (UTC)"))


def _bar(number: int, highest: int) -> str:
    return "█" * max(1, round(number * _BAR / highest)) if number else ""


def _bar_start(start: datetime, width: timedelta) -> str:
    return f"{start:%Y-%m-%d}" if width >= timedelta(days=1) else f"{start:%Y-%m-%d %H:%M}"


def _width(width: timedelta) -> str:
    if width >= timedelta(days=1):
        return counted(width.days, "day")
    hours = width / timedelta(hours=1)
    return counted(int(hours), "hour") if hours >= 1 else counted(int(width.total_seconds() // 60), "minute")


def _age(one: Silence) -> str:
    return human_age(one.gap.length.total_seconds())


def _meanwhile(one: Silence) -> str:
    return counted(one.others, "other event") if one.others else "nothing at all: not known"
