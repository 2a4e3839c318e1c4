"""Two graphs of one resource at two times as one, with what came, went and changed.

AWS Config begins with what is there already. So what nothing told of at the first time is only *first known* after it,
unless AWS Config says that it was made in between; the same holds for a relationship that nothing recorded then could list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from audit_search.aws_config.changes import Change
from audit_search.aws_config.documents import HISTORY
from audit_search.index_template import name as name_of
from audit_search_cli.questions.changes import altogether
from audit_search_cli.questions.events import Events, search
from audit_search_cli.questions.graph import MOST, Graph, Node, batches, listed, node_of, worded
from audit_search_cli.questions.items import KEY, Version, as_of

Mark = Literal["same", "changed", "added", "removed", "first known"]
_WHOLE: Final = 10
_TEXT: Final = {"excludes": ["configuration", "supplementaryConfiguration", "relationships", "cfg"]}
"""What is compared is read from an item's own text."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A resource at two times: None where nothing is known of it then, what is to be said of it, and what differs."""

    before: Node | None
    after: Node | None
    mark: Mark
    changes: tuple[Change, ...] = ()

    @property
    def node(self) -> Node:
        """The later one that there is."""
        found = self.after or self.before
        if found is None:
            raise LookupError("a pair of nothing")
        return found

    @property
    def was_known(self) -> bool:
        """Whether there was a version of it at the first time."""
        return self.before is not None and self.before.version is not None


@dataclass(slots=True)
class Comparison:
    """Two graphs of one resource as one: each resource and each relationship with its mark."""

    before: Graph
    after: Graph
    pairs: dict[str, Pair]
    edges: dict[tuple[str, str], tuple[list[str], Mark]]


def compare(events: Events, before: Graph, after: Graph) -> Comparison:
    """Two graphs of one resource at two times as one.

    A resource that only one of them holds is looked up at the other time as well: it may have been there, and unrelated or
    without room. So nothing is said to be gone that only lies elsewhere. Raises as `Events` does.
    """
    keys = sorted(before.nodes.keys() | after.nodes.keys())
    older, newer = (_completed(events, one, other) for one, other in ((before, after), (after, before)))
    old, new = listed(older.values()), listed(newer.values())
    differing = _differing(events, {key: (older.get(key), newer.get(key)) for key in keys})
    pairs = {key: _pair(older.get(key), newer.get(key), differing.get(key), before.at) for key in keys}
    found: dict[tuple[str, str], tuple[list[str], Mark]] = {}
    for pair in sorted(old.keys() | new.keys()):
        found[pair] = worded(new.get(pair) or old[pair]), _edge(pair, old, new, pairs)
    return Comparison(before, after, pairs, found)


_Edges = Mapping[tuple[str, str], Mapping[str, list[str]]]


def _edge(pair: tuple[str, str], old: _Edges, new: _Edges, pairs: Mapping[str, Pair]) -> Mark:
    """What is to be said of a relationship: it is new where an end that lists it now was recorded before, or is new itself."""
    if pair in old:
        return "same" if pair in new else "removed"
    if any(pairs[key].mark == "added" for key in pair):
        return "added"
    return "added" if any(pairs[key].was_known for key in new[pair]) else "first known"


def _completed(events: Events, graph: Graph, other: Graph) -> dict[str, Node]:
    """The nodes of a graph, and what those of the other one were at its time."""
    nodes = dict(graph.nodes)
    missing = [key for key in sorted(other.nodes) if key not in nodes]
    for part in batches(missing):
        for version in as_of(events, {"terms": {KEY: part}}, graph.at, most=MOST):
            key = version.resource.key
            nodes[key] = node_of(version, other.nodes[key].distance)
    for key in missing:  # what is only named may be named at both times
        if other.nodes[key].version is None:
            nodes.setdefault(key, other.nodes[key])
    return nodes


def _pair(before: Node | None, after: Node | None, differing: tuple[Change, ...] | None, at: datetime) -> Pair:
    was, now = (node is not None and node.state == "there" for node in (before, after))
    if was and after is not None and after.state == "deleted":
        return Pair(before, after, "removed")
    if now and not was and before is not None and before.state == "deleted":
        return Pair(before, after, "added")
    if now and before is None:  # what another one named then was there
        made = after.version.created if after and after.version else None
        return Pair(before, after, "added" if made and made > at else "first known")
    return Pair(before, after, "changed" if differing else "same", differing or ())


def _differing(events: Events, pairs: Mapping[str, tuple[Node | None, Node | None]]) -> dict[str, tuple[Change, ...]]:
    """What differs in the resources that have other versions at the two times."""
    moved = {
        key: (before.version, after.version)
        for key, (before, after) in pairs.items()
        if before and after and before.version and after.version and before.version.id != after.version.id
    }
    whole: dict[str, Version] = {}
    for part in batches(sorted({version.id for both in moved.values() for version in both}), _WHOLE):
        body = {"query": {"ids": {"values": part}}, "size": len(part), "_source": _TEXT}
        for hit in search(events.engine, name_of(events.prefix, HISTORY), body).get("hits", {}).get("hits", []):
            whole[str(hit["_id"])] = Version(str(hit["_id"]), str(hit["_index"]), hit.get("_source") or {})
    found = {}
    for key, (old, new) in moved.items():
        differing = altogether(whole.get(old.id), whole.get(new.id))
        if differing is None:  # without their texts only that there is another version
            differing = (Change("version", "changed", old.id, new.id, "attribute"),)
        found[key] = differing
    return found
