"""`audit-search who`."""

from __future__ import annotations

import itertools
from typing import Any

import click

from audit_search_cli.commands.asking import coverage_document, events_of, filter_options, moment, none_found, period, stated
from audit_search_cli.errors import FINE
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, progress
from audit_search_cli.questions import who as library
from audit_search_cli.questions.coverage import look
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.who import Act, Acts, Difference, Known, Reads

_SHOWN = 20
_LINES = 6


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search who sg-0f1e2d3c4b5a69788",
        'audit-search who arn:aws:iam::111122223333:role/deploy --since "90 days ago"',
        "audit-search who example-payroll-export --accounts 111122223333 --output json",
    ),
)
@click.argument("resource_asked", metavar="RESOURCE")
@click.option("--max-items", type=click.IntRange(1), default=_SHOWN, show_default=True, metavar="NUMBER", help="At most so many.")
@filter_options()
@engine_options
@pass_invocation
def who(invocation: Invocation, resource_asked: str, max_items: int, filters: Filters) -> int:
    """Say who changed a resource: every change by id, name or ARN, newest first, with the chain behind its caller.

    Of each change: the person where that is certain (an IAM user, a source identity, a SAML subject, Identity Center), else
    the name that a session was given, as unverified; each step back with the key that joins it; why a chain is broken; from
    where, as AWS Config knew the address then; with what tool, as the caller says; and what changed, before and after. Calls
    that failed, that only used it (RunInstances with a security group, AssumeRole), and that only read it stand apart.
    """
    events = events_of(invocation)
    with progress("searching"):
        meant = library.known(events, resource_asked)
        found = list(itertools.islice(library.writes(events, meant, filters), max_items + 1))
        used = list(itertools.islice(library.writes(events, meant, filters, what="used"), max_items))
        failed = list(itertools.islice(library.writes(events, meant, filters, what="failed"), max_items))
        reads = library.readers(events, meant, filters)
    with progress("looking who is behind it"):
        acts = Acts(events, meant)
        changes, uses, attempts = acts.of(found[:max_items]), acts.of(used), acts.of(failed)
    more = len(found) > max_items
    if not found and not used and not failed and not reads.events:
        said = none_found(invocation, events, filters.also(resource=resource_asked))
        if invocation.output.as_json:
            invocation.output.document(_document(meant, [], [], [], reads, more=False) | said)
        return FINE
    coverage = look(events, filters, stated(invocation))
    if invocation.output.as_json:
        document = _document(meant, changes, uses, attempts, reads, more=more)
        invocation.output.document(document | {"Coverage": coverage_document(coverage)["line"]})
        return FINE
    _print(invocation.output, meant, filters, changes, more=more)
    _print_short(invocation.output, "Used it, and left it as it was", uses)
    _print_short(invocation.output, "Tried and failed, so nothing changed", attempts)
    _print_readers(invocation.output, reads)
    invocation.output.line()
    invocation.output.line(coverage.line())
    return FINE


def _document(
    meant: Known, changes: list[Act], uses: list[Act], attempts: list[Act], reads: Reads, *, more: bool
) -> dict[str, Any]:
    return {
        "resource": meant.asked,
        "names": list(meant.names),
        "types": list(meant.types),
        "changes": [library.plain(act) for act in changes],
        "more_changes": more,
        "uses": [library.plain(act) for act in uses],
        "attempts": [library.plain(act) for act in attempts],
        "reads": reads.events,
        "more_reads": reads.more,
        "readers": [{"caller": one.caller, "events": one.events, "last": one.last.isoformat()} for one in reads.readers],
    }


def _print(output: Output, meant: Known, filters: Filters, changes: list[Act], *, more: bool) -> None:
    others = [name for name in meant.names if name != meant.asked]
    also = f" ({', '.join(others)})" if others else ""
    limits = f", {filters}" if str(filters) else ""
    number = f"the newest {len(changes):,} changes" if more else counted(len(changes), "change")
    output.line(f"{meant.asked}{also}: {number}, {period(filters)}{limits}.")
    if meant.several:
        kinds = ", ".join(meant.types)
        output.line(
            f"Several resources have this name: {kinds} in {', '.join(meant.accounts)}; an id or an ARN means one of them."
        )
    for act in changes:
        _print_act(output, act)
    if more:
        output.line()
        output.line("There are more: --max-items.")


def _print_act(output: Output, act: Act) -> None:
    event, chain = act.event, act.chain
    output.heading(f"{moment(event.time)} UTC  {event.api}  [{event.said('eventID') or event.id}]")
    rows = [("who", chain.first), ("account", " ".join(part for part in (event.account, event.region) if part))]
    for number, hop in enumerate(chain.hops):
        joined = f" by {hop.by} [{hop.event}]" if hop.by else ""
        rows.append(("chain" if not number else "behind it", f"{hop.who}{joined}"))
    if chain.broken:
        rows.append(("broken", f"chain broken because {chain.broken}"))
    rows += [("from", str(act.place)), ("with", act.tool or "not said")]
    for effect in act.effects:
        rows.append(("changed", f"{effect.resource} {effect.captured} ({effect.score:.2f}: {effect.reason}) [{effect.item}]"))
        rows += [("", _difference(one)) for one in effect.differences[:_LINES]]
        if len(effect.differences) > _LINES:
            rows.append(("", f"{len(effect.differences) - _LINES} more"))
    for title, text in rows:
        output.line(f"  {title}: {text}" if title else f"    {text}")


def _difference(one: Difference) -> str:
    return f"{one.path}: {one.before or 'nothing'} -> {one.after or 'nothing'}"


def _print_short(output: Output, title: str, acts: list[Act]) -> None:
    if not acts:
        return
    output.heading(title)
    rows = [(moment(act.event.time), act.chain.first, act.event.api, act.event.error, act.event.id) for act in acts]
    output.table(("when (UTC)", "who", "call", "error", "event"), rows, whole=("when (UTC)",))


def _print_readers(output: Output, reads: Reads) -> None:
    output.line()
    if not reads.events:
        return output.line("No call that only reads it was recorded.")
    output.line(f"{'At least ' if reads.more else ''}{counted(reads.events, 'call')} only read it, most of them by:")
    rows = [(one.caller, f"{one.events:,}", moment(one.last)) for one in reads.readers]
    return output.table(("who", "events", "last (UTC)"), rows, numbers=("events",), whole=("last (UTC)",))
