"""`audit-search top` and `audit-search stats`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from audit_search_cli.commands.asking import (
    GROUPED,
    complete_field,
    csv_cell,
    events_of,
    filter_options,
    moment,
    none_found,
    period,
)
from audit_search_cli.errors import FINE
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, progress
from audit_search_cli.questions import trends
from audit_search_cli.questions.fields import API, named
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.trends import Stats, Top

_NAMES = ", ".join(GROUPED)
_BAR = 20
_PERIODS = 31


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search top caller",
        'audit-search top error --caller alice --since "30 days ago"',
        "audit-search top api --read-only false --most 20 --csv",
    ),
    help=f"""Count events by a field: the values with most of them.

    FIELD is one of {_NAMES}. api is service and event name together.
    """,
)
@click.argument("field", shell_complete=complete_field)
@click.option("--most", type=click.IntRange(1, 1_000), default=10, show_default=True, help="So many values.")
@click.option("--csv", "as_csv", is_flag=True, help="The table as CSV.")
@filter_options(since="7 days ago")
@engine_options
@pass_invocation
def top(invocation: Invocation, field: str, most: int, as_csv: bool, filters: Filters) -> int:
    """See `help`."""
    if field.lower() != API:
        named(field)
    events = events_of(invocation)
    with progress("counting"):
        found = trends.top(events, filters, field, most)
    output = invocation.output
    said = none_found(invocation, events, filters) if not found.events and not as_csv else {}
    if output.as_json:
        output.document({"since": _stamp(filters.since), "until": _stamp(filters.until), **_plain(found), **said})
    elif as_csv:
        rows = [(one.value, one.events, one.failed, _stamp(one.first), _stamp(one.last)) for one in found.groups]
        output.plain(_csv((found.field, "events", "failed", "first", "last"), rows))
    elif found.events:
        _print_top(output, found, filters)
    return FINE


def _plain(found: Top) -> dict[str, Any]:
    whole = asdict(found)
    for row in whole["groups"]:
        row |= {name: _stamp(row[name]) for name in ("first", "last")}
    return whole


def _print_top(output: Output, found: Top, filters: Filters) -> None:
    where = f": {filters}" if str(filters) else ""
    output.line(f"{counted(found.events, 'event')} {period(filters)}{where}.")
    if not found.groups:
        return output.line(f"None of them has the field {found.field}.")
    highest = max(one.events for one in found.groups)
    rows = [
        (
            one.value,
            f"{one.events:,}",
            f"{one.events / found.events:.1%}",
            "█" * max(1, round(one.events * _BAR / highest)),
            f"{one.failed:,}" if one.failed else "",
            moment(one.last),
        )
        for one in found.groups
    ]
    header = (found.field, "events", "share", "", "failed", "last (UTC)")
    output.table(header, rows, numbers=("events", "share", "failed"), whole=("last (UTC)",))
    parts = [f"{counted(found.others, 'event')} of other values, of about {found.distinct:,}"] if found.others else []
    without = found.events - found.valued
    parts += [f"{counted(without, 'event')} without any"] if without else []
    parts += [f"a count may be too low by {found.error:,} at most"] if found.error else []
    return output.line(f"Beside: {'; '.join(parts)}.") if parts else None


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search stats",
        'audit-search stats --by error --every hour --since "2 days ago"',
        "audit-search stats --by caller --every month --since 2026-01-01 --csv",
    ),
    help=f"""Count events over time, and those of the most frequent values of a field.

    Periods are those of the calendar in UTC; the first and the last may be there in part only. FIELD is one of {_NAMES}.
    """,
)
@click.option(
    "--by",
    default="",
    metavar="FIELD",
    shell_complete=complete_field,
    help="A row for each of the most frequent values of this field.",
)
@click.option("--every", type=click.Choice(list(trends.EVERY)), default="day", show_default=True, help="The period.")
@click.option("--most", type=click.IntRange(1, 50), default=5, show_default=True, help="So many values.")
@click.option("--csv", "as_csv", is_flag=True, help="A row of CSV for each period.")
@filter_options(since="30 days ago")
@engine_options
@pass_invocation
def stats(invocation: Invocation, by: str, every: str, most: int, as_csv: bool, filters: Filters) -> int:
    """See `help`."""
    if by and by.lower() != API:
        named(by)
    events = events_of(invocation)
    with progress("counting"):
        found = trends.stats(events, filters, every, by, most)
    output = invocation.output
    said = none_found(invocation, events, filters) if not found.periods and not as_csv else {}
    if output.as_json:
        output.document({"since": _stamp(filters.since), "until": _stamp(filters.until), **_plain_stats(found), **said})
    elif as_csv:
        header, rows = _matrix(found)
        output.plain(_csv(header, [(_stamp(start), *row) for start, row in zip(found.periods, rows, strict=True)]))
    elif found.periods:
        _print_stats(output, found, filters)
    return FINE


def _plain_stats(found: Stats) -> dict[str, Any]:
    return {
        "every": found.every,
        "by": found.by or None,
        "events": sum(found.totals),
        "periods": [_stamp(start) for start in found.periods],
        "totals": found.totals,
        "failed": found.failed,
        "series": [{"value": one.value, "events": one.events, "counts": one.counts} for one in found.series],
        "others": found.others,
    }


def _matrix(found: Stats) -> tuple[list[str], list[tuple[int, ...]]]:
    """A column for all events, those that failed, each value, and the others; a row for each period."""
    columns = [("all", found.totals), ("failed", found.failed), *((one.value, one.counts) for one in found.series)]
    if found.series and found.others is not None:
        columns.append(("others", found.others))
    rows = list(zip(*(counts for _, counts in columns), strict=True))
    return [f"from ({found.every}, UTC)", *(name for name, _ in columns)], rows


def _print_stats(output: Output, found: Stats, filters: Filters) -> None:
    where = f": {filters}" if str(filters) else ""
    total = sum(found.totals)
    output.line(f"{counted(total, 'event')} {period(filters)}, by {found.every}{where}.")
    lines = [("all", found.totals), ("failed", found.failed), *((one.value, one.counts) for one in found.series)]
    if found.series and found.others is not None:
        lines.append(("others", found.others))
    rows = [
        (name, f"{sum(counts):,}", f"{sum(counts) / total:.1%}", trends.sparkline(counts), *_peak(found, counts))
        for name, counts in lines
    ]
    header = (found.by, "events", "share", "over time", "most", f"in the {found.every} of (UTC)")
    output.table(header, rows, numbers=("events", "share", "most"))
    _print_periods(output, found)


def _peak(found: Stats, counts: Sequence[int]) -> tuple[str, str]:
    highest = max(counts)
    return (f"{highest:,}", _start(found, found.periods[list(counts).index(highest)])) if highest else ("", "")


def _print_periods(output: Output, found: Stats) -> None:
    """A row for each period, the last ones of many, as wide as the most frequent values allow."""
    highest = max(found.totals)
    rows = [
        (
            _start(found, start),
            f"{number:,}",
            f"{failed:,}" if failed else "",
            "█" * max(bool(number), round(number * 40 / highest)),
        )
        for start, number, failed in zip(found.periods, found.totals, found.failed, strict=True)
    ]
    output.table((f"{found.every} (UTC)", "events", "failed", ""), rows[-_PERIODS:], numbers=("events", "failed"))
    if len(rows) > _PERIODS:
        output.line(f"The last {_PERIODS} of {len(rows):,}; --csv and --output json have all.")


def _start(found: Stats, start: datetime) -> str:
    return (
        f"{start:%Y-%m-%d %H:%M}"
        if found.every == "hour"
        else f"{start:%Y-%m}"
        if found.every == "month"
        else f"{start:%Y-%m-%d}"
    )


def _csv(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [",".join(csv_cell("" if value is None else value) for value in row) for row in (header, *rows)]
    return "\n".join(lines) + "\n"


def _stamp(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
