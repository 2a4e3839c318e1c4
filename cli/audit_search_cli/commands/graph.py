"""`audit-search graph`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from audit_search_cli.commands.asking import events_of
from audit_search_cli.commands.resources import meant, plain, resource_options
from audit_search_cli.errors import FINE, Problem
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, progress
from audit_search_cli.questions import drawing, page
from audit_search_cli.questions.comparison import compare
from audit_search_cli.questions.drawing import Drawing
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.graph import Graph, graph_of, node_of
from audit_search_cli.questions.items import Held, Narrow, held
from audit_search_cli.questions.recorded import line
from audit_search_cli.times import Time, shown

_STEPS, _NODES = 2, 150


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search graph i-0a1b2c3d4e5f60718",
        "audit-search graph vpc-0a9b8c7d6e5f40312 --depth 3 --html vpc.html",
        'audit-search graph i-0a1b2c3d4e5f60718 --as-of 2026-11-04 --compare "2026-11-10 12:00" --html before-and-after.html',
    ),
)
@resource_options
@click.option("--as-of", type=Time(), metavar="TIME", help="The time that is asked about.  [default: now]")
@click.option("--compare", "other", type=Time(), metavar="TIME", help="Another time: what differs between the two is marked.")
@click.option(
    "--depth", type=click.IntRange(1, 10), default=_STEPS, show_default=True, metavar="NUMBER", help="At most so many steps away."
)
@click.option(
    "--max-nodes",
    type=click.IntRange(1, 2_000),
    default=_NODES,
    show_default=True,
    metavar="NUMBER",
    help="At most so many resources, the nearest ones.",
)
@click.option(
    "--html",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the graph as one HTML file that needs nothing else; one that is there is replaced.",
)
@engine_options
@pass_invocation
def graph(
    invocation: Invocation,
    asked: str,
    narrow: Narrow,
    as_of: datetime | None,
    other: datetime | None,
    depth: int,
    max_nodes: int,
    target: Path | None,
) -> int:
    """Show what a resource is related to, as AWS Config had it at a time: as a tree, or as a page to zoom and click in.

    Each relationship is there that the version of at least one of its ends lists at that time. With --compare the earlier of
    the two times is before, the later one after: what came, what went and what changed is marked. What is left out is said.
    """
    now = datetime.now(UTC)
    times = sorted({as_of or now} | ({other} if other else set()))
    events = events_of(invocation)
    with progress("searching"):
        resource = meant(invocation, events, asked, narrow)
        if resource is None:
            return FINE
        known = [held(events, resource, at) for at in times]
        graphs = [_graph(events, each, depth, max_nodes) for each in known]
        drawn = drawing.of_graph(resource, graphs[0])
        if len(graphs) == 2:
            drawn = drawing.of_comparison(resource, compare(events, *graphs))
        recorded = "" if drawn.nodes else line(events, narrow, until=times[-1])
    notes = [_noted(each) for each in known if each.version is None]
    notes += dict.fromkeys(text for each in graphs for text in drawing.left_out(each, depth))
    title = f"{resource} as of {shown(times[0])}" + (f" and {shown(times[1])}" if len(times) == 2 else "")
    if target:
        _write(target, page.page(title, drawing.data(drawn, title, drawn.counts(), notes)))
    if invocation.output.as_json:
        document = {"resource": plain(resource), "as_of": [at.isoformat() for at in times], **drawing.plain(drawn)}
        invocation.output.document(document | {"notes": notes} | _further(target, recorded))
    else:
        _print(invocation.output, title, drawn, notes, target, recorded)
    return FINE


def _graph(events: Events, known: Held, depth: int, most: int) -> Graph:
    return graph_of(events, node_of(known.version, 0), known.at, depth, most) if known.version else Graph(known.at)


def _noted(known: Held) -> str:
    first = f"the first version that is known was captured {shown(known.first)}" if known.first else "no version is known"
    return f"nothing is known of it at {shown(known.at)}: {first}"


def _further(target: Path | None, recorded: str) -> dict[str, Any]:
    return ({"html": str(target)} if target else {}) | ({"recorded": recorded} if recorded else {})


def _print(output: Output, title: str, drawn: Drawing, notes: list[str], target: Path | None, recorded: str) -> None:
    output.line(f"{title}: {drawn.counts()}.")
    for note in notes:
        output.line(f"{note[:1].upper()}{note[1:]}.")
    if recorded:
        output.line(recorded)
    if target:
        output.line(f"The graph is in {target}.")
        return
    if drawn.nodes:
        output.line()
    for text in drawing.tree(drawn):
        output.line(text)


def _write(target: Path, text: str) -> None:
    """Write the file, whole or not at all. Raises Problem."""
    beside = target.with_name(f".{target.name}.part")
    try:
        beside.write_text(text, "utf-8", newline="")
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Problem(
            f"{target} cannot be written: {error.strerror or error}", "Name a file in a folder that there is."
        ) from error
