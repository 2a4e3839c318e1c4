"""`audit-search changes`."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

import click

from audit_search.aws_config.changes import Change
from audit_search_cli.commands.asking import events_of, moment
from audit_search_cli.commands.resources import meant, plain, plain_change, plain_version, print_causes, resource_options, row
from audit_search_cli.errors import FINE, Problem
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, progress
from audit_search_cli.questions import changes as library
from audit_search_cli.questions.changes import Causes, Judgement, Step
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.items import Held, Narrow, Resource, held
from audit_search_cli.questions.recorded import line
from audit_search_cli.times import Time, shown

_SHOWN = 20
_HEADER = ("what", "before", "after")
Period = tuple[datetime, datetime]


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search changes sg-0f1e2d3c4b5a69788",
        'audit-search changes i-0a1b2c3d4e5f60718 --between "30 days ago" now',
        "audit-search changes web --type SecurityGroup --accounts 111122223333 --output json",
    ),
)
@resource_options
@click.option(
    "--between",
    nargs=2,
    type=Time(),
    metavar="A B",
    help="Only what was captured from A on and before B, and what differs between the two times altogether.",
)
@click.option("--max-items", type=click.IntRange(1), default=_SHOWN, show_default=True, metavar="NUMBER", help="At most so many.")
@engine_options
@pass_invocation
def changes(invocation: Invocation, asked: str, narrow: Narrow, between: Period | None, max_items: int) -> int:
    """Say what changed in a resource, newest first: before and after of each change, and the calls behind it.

    The changes are those of AWS Config's versions: attributes, relationships, tags, rules, and the results of its own rules.
    Of each version the calls that caused it, the likeliest first, with the probability and why; where there is none it is
    said why. A version tells when AWS Config captured it, which is some time after it came about.
    """
    if between and between[0] >= between[1]:
        raise Problem(
            f"--between has {shown(between[0])} first, which is not before {shown(between[1])}", "Give the earlier time first."
        )
    events = events_of(invocation)
    with progress("searching"):
        resource = meant(invocation, events, asked, narrow)
        if resource is None:
            return FINE
        found = list(itertools.islice(library.changes(events, resource, *(between or (None, None))), max_items + 1))
        more = len(found) > max_items
        found = found[:max_items]
        told = {step.version.id: library.causes(events, step.version) for step in found if isinstance(step, Step)}
        sides = _sides(events, resource, between)
    recorded = line(events, narrow, *(between or (None, None))) if not found else ""
    if invocation.output.as_json:
        invocation.output.document(_document(resource, between, sides, found, told, more=more, recorded=recorded))
    else:
        _print(invocation.output, resource, between, sides, found, told, more=more, recorded=recorded)
    return FINE


def _sides(events: Events, resource: Resource, between: Period | None) -> tuple[Held, Held] | None:
    return (held(events, resource, between[0]), held(events, resource, between[1])) if between else None


def _net(sides: tuple[Held, Held]) -> tuple[Change, ...] | None:
    return library.altogether(sides[0].version, sides[1].version)


def _document(
    resource: Resource,
    between: Period | None,
    sides: tuple[Held, Held] | None,
    found: list[Step | Judgement],
    told: dict[str, Causes],
    *,
    more: bool,
    recorded: str,
) -> dict[str, Any]:
    document: dict[str, Any] = {"resource": plain(resource)}
    if between and sides:
        net = _net(sides)
        document["between"] = [when.isoformat() for when in between]
        document["altogether"] = None if net is None else [plain_change(one) for one in net]
    document["changes"] = [_plain(one, told) for one in found]
    return document | {"more_changes": more} | ({"recorded": recorded} if recorded else {})


def _plain(one: Step | Judgement, told: dict[str, Causes]) -> dict[str, Any]:
    if isinstance(one, Judgement):
        said = {"rule": one.rule, "before": one.before, "after": one.after, "annotation": one.says}
        return {"what": "compliance", "event": one.id, "time": one.time.isoformat()} | said
    causes = told[one.version.id]
    return {
        "what": one.what,
        **plain_version(one.version),
        "changes": [plain_change(change) for change in one.changes],
        "change_count": one.count,
        "changes_from": one.origin,
        "caused_by": library.plain_causes(causes),
    }


def _print(
    output: Output,
    resource: Resource,
    between: Period | None,
    sides: tuple[Held, Held] | None,
    found: list[Step | Judgement],
    told: dict[str, Causes],
    *,
    more: bool,
    recorded: str,
) -> None:
    number = f"the newest {counted(len(found), 'version')}" if more else counted(len(found), "version")
    if any(isinstance(one, Judgement) for one in found):
        number += " and results of rules"
    when = f"from {shown(between[0])} to {shown(between[1])}" if between else "of any time"
    output.line(f"{resource}: {number}, {when}.")
    if recorded:
        output.line(recorded)
    if between and sides:
        _print_altogether(output, sides)
    for one in found:
        if isinstance(one, Judgement):
            output.heading(f"{moment(one.time)} UTC  compliance  [{one.id}]")
            output.table(_HEADER, [(f"rule {one.rule}", one.before or "-", one.after or "-")])
            if one.says:
                output.line(f"  says: {one.says}")
        else:
            _print_step(output, one, told[one.version.id])
    if more:
        output.line()
        output.line("There are more: --max-items.")


def _print_altogether(output: Output, sides: tuple[Held, Held]) -> None:
    before, after = sides
    if before.version and after.version and before.version.id == after.version.id:
        return output.line("The same version held at both times.")
    net = _net(sides)
    output.heading(f"Altogether, {shown(before.at)} to {shown(after.at)}")
    for side in sides:
        if side.version is None:
            known = f"the first that is known was captured {shown(side.first)}" if side.first else "none is known"
            output.line(f"No version held at {shown(side.at)}: {known}.")
    if net is None:
        return None
    return output.table(_HEADER, [row(one) for one in net]) if net else output.line("Nothing differs.")


_NO_CHANGES = {
    "first": "The first version that is known: there is nothing to compare it with.",
    "unavailable": "What changed is not known: the version before it is not there any more.",
}


def _print_step(output: Output, step: Step, causes: Causes) -> None:
    output.heading(f"{moment(step.time)} UTC  {step.what}  [{step.version.id}]")
    if not step.version.recorded:
        output.line(f"  AWS Config did not record the type then ({step.version.status}).")
    print_causes(output, causes)
    if step.changes:
        output.table(_HEADER, [row(change) for change in step.changes])
        if step.count > len(step.changes):
            output.line(f"  {counted(step.count - len(step.changes), 'change')} more, which were too long to be kept")
    else:
        output.line(f"  {_NO_CHANGES.get(step.origin, 'Nothing that is compared differs from the version before.')}")
