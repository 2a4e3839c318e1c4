"""`audit-search who`."""

from __future__ import annotations

import itertools
from typing import Any

import click

from audit_search_cli.commands.asking import coverage_document, events_of, filter_options, moment, none_found, period, stated
from audit_search_cli.commands.resources import print_causes
from audit_search_cli.errors import FINE
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, progress
from audit_search_cli.questions import who as library
from audit_search_cli.questions.coverage import look
from audit_search_cli.questions.effects import Difference, Effect, Made
from audit_search_cli.questions.events import Event
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.who import KINDS, Act, Acts, Known, Reads

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
    where, as AWS Config knew the address then; with what tool, as the caller says; and which versions it caused: how sure that
    is (0 to 1), why, what changed, before and after, and which other calls made the same version. Versions that none of these
    calls caused follow with the call that did, if one is known, or why there is none. Calls that failed, that only used it
    (RunInstances with a security group, AssumeRole), and that only read it stand apart.
    """
    events = events_of(invocation)
    with progress("searching"):
        meant = library.known(events, resource_asked)
        wanted: dict[str, list[Event]] = {
            kind: list(itertools.islice(library.writes(events, meant, filters, what=kind), max_items + 1)) for kind in KINDS
        }
        reads = library.readers(events, meant, filters)
    with progress("looking who is behind it"):
        acts = Acts(events, meant, filters)
        told = {kind: acts.of(found[:max_items]) for kind, found in wanted.items()}
    more = {kind: len(found) > max_items for kind, found in wanted.items()}
    others = library.unexplained(acts, filters, told["changed"], more=more["changed"])
    bounds = library.bounds(meant, acts, reads, more, max_items)
    document = _document(meant, told, others, reads, more, bounds)
    if not any(wanted.values()) and not reads.events and not others:
        said = none_found(invocation, events, filters.also(resource=resource_asked))
        if invocation.output.as_json:
            invocation.output.document(document | said)
        else:
            for text in bounds:
                invocation.output.line(text)
        return FINE
    coverage = look(events, filters, stated(invocation))
    if invocation.output.as_json:
        invocation.output.document(document | {"Coverage": coverage_document(coverage)["line"]})
        return FINE
    output = invocation.output
    _print(output, meant, filters, told["changed"], more=more["changed"])
    _print_others(output, others or [], max_items)
    _print_short(output, "Used it, and left it as it was", told["used"])
    _print_short(output, "Tried and failed, so nothing changed", told["failed"])
    _print_readers(output, reads)
    output.line()
    for text in (*bounds, coverage.line()):
        output.line(text)
    return FINE


def _document(
    meant: Known,
    told: dict[str, list[Act]],
    others: list[Made] | None,
    reads: Reads,
    more: dict[str, bool],
    bounds: list[str],
) -> dict[str, Any]:
    return {
        "resource": meant.asked,
        "names": list(meant.names),
        "types": list(meant.types),
        "changes": [library.plain(act) for act in told["changed"]],
        "more_changes": more["changed"],
        "other_changes": None if others is None else [library.plain_made(made) for made in others],
        "uses": [library.plain(act) for act in told["used"]],
        "attempts": [library.plain(act) for act in told["failed"]],
        "reads": reads.events,
        "more_reads": reads.more,
        "readers": [{"caller": one.caller, "events": one.events, "last": one.last.isoformat()} for one in reads.readers],
        "bounds": bounds,
    }


def _print(output: Output, meant: Known, filters: Filters, changes: list[Act], *, more: bool) -> None:
    others = [name for name in meant.names if name != meant.asked]
    also = f" ({', '.join(others)})" if others else ""
    limits = f", {filters}" if str(filters) else ""
    number = f"{'the newest ' if more else ''}{counted(len(changes), 'call')} that changed it"
    output.line(f"{meant.asked}{also}: {number}, {period(filters)}{limits}.")
    if meant.several:
        kinds = ", ".join(meant.types)
        output.line(
            f"Several resources have this name: {kinds} in {', '.join(meant.accounts)}; an id or an ARN means one of them."
        )
    for act in changes:
        _print_act(output, act)


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
    for title, text in rows:
        output.line(f"  {title}: {text}" if title else f"    {text}")
    for effect in act.effects:
        _print_effect(output, effect)


def _print_effect(output: Output, effect: Effect) -> None:
    made = effect.made
    output.line(f"  changed: {made.resource} {made.captured} ({effect.score:.2f}: {effect.reason}) [{made.item}]")
    if effect.also:
        output.line(f"    also by: {', '.join(f'[{event}] ({score:.2f})' for event, score in effect.also)}")
    if made.causes and made.causes.more:
        output.line("    There were more calls than were looked at.")
    _print_differences(output, made)


def _print_differences(output: Output, made: Made) -> None:
    for one in made.differences[:_LINES]:
        output.line(f"    {_difference(one)}")
    if made.count > _LINES:
        output.line(f"    {made.count - _LINES} more")


def _print_others(output: Output, others: list[Made], most: int) -> None:
    """Versions that none of the calls above caused, with the calls behind them, or why there are none."""
    if not others:
        return
    output.heading("Changes that none of these calls caused")
    for made in others[:most]:
        output.line(f"{moment(made.time)} UTC  {made.resource}  [{made.item}]")
        if made.causes:
            print_causes(output, made.causes)
        _print_differences(output, made)
    if len(others) > most:
        output.line(f"{len(others) - most:,} more: --max-items.")


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
