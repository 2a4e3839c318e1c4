"""A graph as it is shown: nodes and edges with what is said of each, for the page, for a program, and as a tree of lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit_search.aws_config.changes import Change
from audit_search_cli.questions.comparison import Comparison, Mark, Pair
from audit_search_cli.questions.graph import Graph, Node
from audit_search_cli.questions.items import Resource

MARKS: Final[Mapping[Mark, str]] = {"same": " ", "changed": "~", "added": "+", "removed": "-", "first known": "?"}
"""The sign in front of a line, by what it says."""
_MOST_LINES: Final = 40
_LABEL: Final = 48


@dataclass(frozen=True, slots=True)
class Drawn:
    """A resource as it is drawn."""

    node: Node
    mark: Mark = "same"
    changes: tuple[Change, ...] = ()


@dataclass(slots=True)
class Drawing:
    """All that is drawn, by the resources' keys; `compared` is whether the marks say anything."""

    root: Resource
    nodes: dict[str, Drawn] = field(default_factory=dict)
    edges: dict[tuple[str, str], tuple[list[str], Mark]] = field(default_factory=dict)
    compared: bool = False

    def counts(self) -> str:
        """How much it is, in words."""
        related = _many(len(self.edges), "relationship")
        if not self.compared:
            return f"{_many(len(self.nodes), 'resource')}, {related}"
        nodes = [drawn.mark for drawn in self.nodes.values()]
        edges = [mark for _, mark in self.edges.values()]
        return f"{_many(len(nodes), 'resource')} ({_marked(nodes)}), {related} ({_marked(edges)})"


def of_graph(root: Resource, graph: Graph) -> Drawing:
    """The drawing of a graph."""
    nodes = {key: Drawn(node) for key, node in graph.nodes.items()}
    return Drawing(root, nodes, {pair: (texts, "same") for pair, texts in graph.edges.items()})


def of_comparison(root: Resource, comparison: Comparison) -> Drawing:
    """The drawing of two graphs as one."""
    nodes = {key: _drawn(pair) for key, pair in comparison.pairs.items()}
    return Drawing(root, nodes, dict(comparison.edges), compared=True)


def _drawn(pair: Pair) -> Drawn:
    return Drawn(pair.node, pair.mark, pair.changes)


def left_out(graph: Graph, steps: int) -> list[str]:
    """What a graph leaves out, in words; nothing where it is whole."""
    notes = []
    if graph.left_out:
        notes.append(f"{_many(graph.left_out, 'resource')} left out: --max-nodes")
    if graph.more:
        notes.append("there are more resources than were looked at")
    if graph.beyond:
        notes.append(f"{_many(graph.beyond, 'resource')} one step beyond {_many(steps, 'step')}: --depth")
    return notes


def data(drawing: Drawing, title: str, summary: str, notes: list[str]) -> dict[str, Any]:
    """What the page draws."""
    numbers = {key: f"n{number}" for number, key in enumerate(drawing.nodes)}
    return {
        "title": title,
        "summary": summary,
        "notes": notes,
        "compared": drawing.compared,
        "nodes": [{"id": numbers[key], **_node(drawn)} for key, drawn in drawing.nodes.items()],
        "edges": [
            {"id": f"e{number}", "source": numbers[one], "target": numbers[other], "label": " / ".join(texts), "mark": mark}
            for number, ((one, other), (texts, mark)) in enumerate(sorted(drawing.edges.items()))
        ],
    }


def _node(drawn: Drawn) -> dict[str, Any]:
    one, version = drawn.node.resource, drawn.node.version
    lines = [change.text for change in drawn.changes[:_MOST_LINES]]
    if len(drawn.changes) > _MOST_LINES:
        lines.append(f"{len(drawn.changes) - _MOST_LINES} more changes")
    return {
        "label": f"{_short(one.name or one.id)}\n{_short(one.type.removeprefix('AWS::'))}",
        "type": one.type,
        "resource": one.id,
        "name": one.name,
        "account": one.account,
        "region": one.region,
        "distance": drawn.node.distance,
        "state": drawn.node.state,
        "mark": drawn.mark,
        "captured": version.captured.isoformat(timespec="milliseconds") if version else "",
        "item": version.id if version else "",
        "lines": lines,
    }


def plain(drawing: Drawing) -> dict[str, Any]:
    """The same for a program: resources by their keys, and each change whole."""
    nodes = []
    for key, drawn in drawing.nodes.items():
        said = {name: value for name, value in _node(drawn).items() if name not in ("label", "lines", "mark")}
        more = {"mark": drawn.mark, "changes": [_change(change) for change in drawn.changes]} if drawing.compared else {}
        nodes.append({"key": key, **said, **more})
    edges = [
        {"between": list(pair), "names": texts, **({"mark": mark} if drawing.compared else {})}
        for pair, (texts, mark) in sorted(drawing.edges.items())
    ]
    return {"resources": nodes, "relationships": edges}


def _change(change: Change) -> dict[str, Any]:
    return {"path": change.path, "kind": change.kind, "before": change.before, "after": change.after}


def tree(drawing: Drawing) -> Iterator[str]:
    """Lines for a terminal: each resource once, below one that it is related to; then the relationships that are left."""
    around: dict[str, list[tuple[str, tuple[str, str]]]] = {key: [] for key in drawing.nodes}
    for pair in sorted(drawing.edges):
        one, other = pair
        around[one].append((other, pair))
        around[other].append((one, pair))
    seen: set[str] = set()
    drawn_edges: set[tuple[str, str]] = set()
    for root in sorted(drawing.nodes, key=lambda key: (drawing.nodes[key].node.distance, key)):
        if root not in seen:
            yield from _branches(drawing, root, around, seen, drawn_edges)
    rest = [pair for pair in sorted(drawing.edges) if pair not in drawn_edges]
    if rest:
        yield "Besides:"
    for one, other in rest:
        texts, mark = drawing.edges[one, other]
        ends = [drawing.nodes[key].node.resource.id for key in (one, other)]
        yield _line(drawing, mark, f"{ends[0]} and {ends[1]}: {' / '.join(texts) or 'related'}", 0)


def _branches(
    drawing: Drawing,
    root: str,
    around: Mapping[str, list[tuple[str, tuple[str, str]]]],
    seen: set[str],
    drawn_edges: set[tuple[str, str]],
) -> Iterator[str]:
    """The tree below a resource, breadth first in what belongs where, so that each is as near as it can be."""
    children: dict[str, list[tuple[str, tuple[str, str]]]] = {}
    seen.add(root)
    waiting = [root]
    for key in waiting:
        for other, pair in around[key]:
            if other not in seen:
                seen.add(other)
                drawn_edges.add(pair)
                children.setdefault(key, []).append((other, pair))
                waiting.append(other)
    stack: list[tuple[str, str, Mark, int]] = [(root, "", "same", 0)]
    while stack:
        key, how, edge, depth = stack.pop()
        yield _line(drawing, _stronger(drawing.nodes[key].mark, edge), f"{how}{_said(drawing.nodes[key])}", depth)
        for other, pair in reversed(children.get(key, [])):
            texts, mark = drawing.edges[pair]
            word = f" ({mark})" if drawing.compared and mark != "same" else ""
            stack.append((other, f"{' / '.join(texts) or 'related'}{word}: ", mark, depth + 1))


def _stronger(mark: Mark, edge: Mark) -> Mark:
    return edge if mark == "same" else mark


def _line(drawing: Drawing, mark: Mark, text: str, depth: int) -> str:
    sign = f"{MARKS[mark]} " if drawing.compared else ""
    return f"{'  ' * depth}{sign.strip() and sign}{text}"


def _said(drawn: Drawn) -> str:
    one = drawn.node.resource
    name = f" ({one.name})" if one.name and one.name != one.id else ""
    marked = "" if drawn.mark == "same" else f", {drawn.mark}"
    state = "" if drawn.node.state == "there" else f" [{drawn.node.state}]"
    changes = f": {'; '.join(change.text for change in drawn.changes[:3])}" if drawn.changes else ""
    more = f"; {len(drawn.changes) - 3} more" if len(drawn.changes) > 3 else ""
    return f"{one.type} {one.id}{name}{state}{marked}{changes}{more}"


def _short(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _marked(marks: list[Mark]) -> str:
    found = [f"{marks.count(mark):,} {mark}" for mark in ("added", "removed", "changed", "first known") if mark in marks]
    return ", ".join(found) or "no difference"
