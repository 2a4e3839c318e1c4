"""`audit-search coverage`."""

from __future__ import annotations

import click

from audit_search_cli.commands.asking import coverage_document, events_of, filter_options, moment, stated
from audit_search_cli.errors import FINE
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, human_age, progress
from audit_search_cli.questions.coverage import Coverage, look, ordered
from audit_search_cli.questions.filters import Filters

_GAPS = 10
_TYPES = 4


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search coverage --stack audit-search",
        "audit-search coverage --accounts 111122223333 --since 2026-11-01 --until 2026-12-01",
    ),
)
@filter_options()
@engine_options
@pass_invocation
def coverage(invocation: Invocation, filters: Filters) -> int:
    """Say what was recorded: accounts, regions, kinds of events, gaps, what AWS Config recorded, and what was left out.

    It is told from the documents. What the trail's event selectors leave out was never delivered, and is seen here only by what
    is missing. Of the filters only accounts, regions and the period count. Retention and exclusion rules are those of --stack.
    """
    events = events_of(invocation)
    with progress("looking"):
        found = look(events, filters, stated(invocation), config=True)
    if invocation.output.as_json:
        invocation.output.document(coverage_document(found))
    else:
        _print(invocation.output, found)
    return FINE


def _print(output: Output, found: Coverage) -> None:
    output.line(found.line())
    if found.seen:
        output.heading("CloudTrail, by account and region")
        rows = [
            (
                one.account or "none",
                one.region or "none",
                ", ".join(f"{kind} {one.kinds[kind]:,}" for kind in ordered(one.kinds)),
                f"{one.reads / one.events:.0%}",
                moment(one.first),
                moment(one.last),
            )
            for one in found.seen
        ]
        header = ("account", "region", "events", "reads", "first (UTC)", "last (UTC)")
        output.table(header, rows, numbers=("reads",), whole=("account", "region", "first (UTC)", "last (UTC)"))
    if found.data:
        output.line(f"Data events came from {', '.join(f'{name} {number:,}' for name, number in found.data.items())}.")
    _print_gaps(output, found)
    if found.changes:
        output.heading("Calls that changed what is recorded, the latest")
        changes = [(moment(one.time), one.caller, one.api, one.account, one.region, one.id) for one in found.changes]
        output.table(("when (UTC)", "who", "call", "account", "region", "event"), changes, whole=("when (UTC)", "account"))
    _print_recorders(output, found)
    output.line()
    output.line(f"Retention: {_retention(found)}. Left out by exclusion rules: {_exclusions(found)}.")


def _print_gaps(output: Output, found: Coverage) -> None:
    if not found.gaps:
        return
    output.heading("Times without any event")
    longest = sorted(found.gaps, key=lambda gap: -gap.length)[:_GAPS]
    rows = [
        (moment(gap.since), moment(gap.until), human_age(gap.length.total_seconds()))
        for gap in sorted(longest, key=lambda gap: gap.since)
    ]
    output.table(("after (UTC)", "until (UTC)", "for"), rows)
    if len(found.gaps) > _GAPS:
        output.line(f"The longest {_GAPS} of {len(found.gaps):,}.")


def _print_recorders(output: Output, found: Coverage) -> None:
    output.heading("AWS Config, by account and region")
    if not found.recorders:
        return output.line("Nothing of AWS Config was recorded.")
    rows = []
    for one in found.recorders:
        names = sorted(one.types, key=lambda kind: (-one.types[kind], kind))
        more = f" and {len(names) - _TYPES} more" if len(names) > _TYPES else ""
        types = f"{', '.join(f'{name} {one.types[name]:,}' for name in names[:_TYPES])}{more}"
        rows.append((one.account, one.region, counted(len(names), "type"), types, moment(one.first), moment(one.last)))
    header = ("account", "region", "recorded", "versions by type", "first (UTC)", "last (UTC)")
    return output.table(header, rows, whole=("account",))


def _retention(found: Coverage) -> str:
    days = found.stated.retention_days
    return "not known (--stack NAME)" if days is None else counted(days, "day") if days else "everything is kept"


def _exclusions(found: Coverage) -> str:
    names = found.stated.exclusions
    return "not known (--stack NAME)" if names is None else ", ".join(names) or "nothing"
