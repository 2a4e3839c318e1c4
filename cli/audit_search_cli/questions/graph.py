"""What a resource is related to, as AWS Config had it at a time: a graph of so many steps, bounded.

An edge is there where at least one of its ends lists it in the version that held then. A relationship names a type and an id
or a name, no account and no region: of several resources that fit, one in the same account and region is taken first. What
was never recorded itself stands in the graph by what the others call it.
https://docs.aws.amazon.com/config/latest/developerguide/config-concepts.html#resource-relationship
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from audit_search.aws_config.dialects import is_global
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.fields import Query, all_of, any_of
from audit_search_cli.questions.items import KEY, Resource, Version, as_of

State = Literal["there", "deleted", "not recorded"]
_BATCH: Final = 200
MOST: Final = 2_000
"""Resources that one query is answered with."""


@dataclass(frozen=True, slots=True)
class Node:
    """A resource at a time: how many steps from the first one, whether it was there, and its version; None where nothing is
    recorded of it."""

    resource: Resource
    distance: int
    state: State
    version: Version | None = None


@dataclass(slots=True)
class Graph:
    """The resources by their keys and, by pairs of keys in their order, how they are related, as each end words it.

    `left_out` are resources that are near enough and had no room, `beyond` those that are a step too far. `more` is whether the
    engine had more of them than were looked at.
    """

    at: datetime
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    left_out: int = 0
    beyond: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Ref:
    """What a relationship names, and in whose account and region it stands."""

    type: str
    id: str
    name: str
    account: str
    region: str

    @property
    def resource(self) -> Resource:
        """The resource of this name, as if it were recorded beside the one that names it."""
        region = "global" if is_global(self.type) else self.region
        return Resource(self.account, region, self.type, self.id or self.name, self.name)

    def fits(self, version: Version) -> bool:
        """Whether a version is of what is named."""
        mine, other = self, version.resource
        if mine.type.casefold() != other.type.casefold():
            return False
        return mine.id == other.id if mine.id else mine.name in (other.name, other.id)

    def nearness(self, version: Version) -> tuple[bool, bool, str]:
        """What is in the same account and region comes first."""
        other = version.resource
        return other.account != self.account, other.region not in (self.region, "global"), other.key


def graph_of(events: Events, root: Node, at: datetime, depth: int, most: int) -> Graph:
    """The graph around a resource as of a time, at most so many steps and resources. Raises as `Events` does."""
    walk = _Walk(events, at, most)
    walk.found.nodes[root.resource.key] = root
    frontier = [root]
    for distance in range(1, depth + 1):
        frontier = walk.step(frontier, distance)
    walk.finish(frontier)
    return walk.found


class _Walk:
    """The way from one resource outwards, step by step."""

    def __init__(self, events: Events, at: datetime, most: int) -> None:
        self.events = events
        self.most = most
        self.found = Graph(at)
        self._left: set[str] = set()

    def step(self, frontier: list[Node], distance: int) -> list[Node]:
        """Take in what the resources of a frontier are related to; gives what is new."""
        near: dict[str, Node] = {}
        for version in self._naming(frontier):
            near[version.resource.key] = node_of(version, distance)
        refs = {ref for node in frontier for ref, _ in _refs(node)}
        for ref, named in self._resolved(refs).items():
            resource = named.resource if named else ref.resource
            near.setdefault(resource.key, node_of(named, distance) if named else Node(resource, distance, "not recorded"))
        new = [near[key] for key in sorted(near) if key not in self.found.nodes]
        room = max(0, self.most - len(self.found.nodes))
        self._left |= {node.resource.key for node in new[room:]}
        self.found.nodes |= {node.resource.key: node for node in new[:room]}
        return new[:room]

    def finish(self, last: list[Node]) -> None:
        """The relationships among all that is there, and how much lies a step beyond."""
        nodes = self.found.nodes
        self.found.edges = edges(nodes.values())
        known = _Known(nodes.values())
        further = {ref.resource.key for node in last for ref, _ in _refs(node) if not known.key(ref)}
        self._left -= nodes.keys()
        self.found.left_out, self.found.beyond = len(self._left), len(further - self._left)

    def _naming(self, frontier: list[Node]) -> list[Version]:
        """The versions of the resources that themselves name one of the frontier, as they held then."""
        ids = [node.resource.id for node in frontier]
        names = [node.resource.name for node in frontier if node.resource.name]
        known = _Known(frontier)
        candidates: dict[str, Version] = {}
        for part in batches(ids):
            candidates |= self._at({"terms": {"cfg.relatedIds": part}}, related=False)
        for part in batches(names):
            candidates |= self._at({"terms": {"cfg.relatedNames": part}}, related=False)
        held: dict[str, Version] = {}
        for part in batches(candidates):
            held |= self._at({"terms": {KEY: part}})
        return [version for version in held.values() if any(known.key(ref) for ref, _ in _refs(node_of(version, 0)))]

    def _resolved(self, refs: Iterable[_Ref]) -> dict[_Ref, Version | None]:
        """The version of what each relationship names, None where nothing is recorded of it."""
        wanted = sorted(set(refs), key=lambda ref: (ref.type, ref.id, ref.name, ref.account, ref.region))
        by: dict[tuple[str, str], list[Version]] = {}
        accounts: Query = {"terms": {"awsAccountId": sorted({ref.account for ref in wanted})}}
        for part in batches(sorted({ref.id for ref in wanted} - {""})):
            _file(by, self._at({"terms": {"resourceId": part}}).values())
        for part in batches(sorted({ref.name for ref in wanted if not ref.id})):
            named = any_of({"terms": {"resourceName": part}}, {"terms": {"resourceId": part}})
            fitting = self._at(all_of(named, accounts))  # in another account a name is another's
            for keys in batches(fitting):  # and of a resource that was renamed since, it is of the past
                _file(by, self._at({"terms": {KEY: keys}}).values())
        found: dict[_Ref, Version | None] = {}
        for ref in wanted:
            fit = [version for version in by.get((ref.type.casefold(), ref.id or ref.name), []) if ref.fits(version)]
            found[ref] = min(fit, key=ref.nearness, default=None)
        return found

    def _at(self, query: Query, *, related: bool = True) -> dict[str, Version]:
        found = as_of(self.events, query, self.found.at, most=MOST, related=related)
        self.found.more = self.found.more or len(found) >= MOST
        return {version.resource.key: version for version in found}


def _file(by: dict[tuple[str, str], list[Version]], found: Iterable[Version]) -> None:
    """Add versions under each name that their resource has."""
    for version in found:
        one = version.resource
        for name in {one.id, one.name} - {""}:
            by.setdefault((one.type.casefold(), name), []).append(version)


class _Known:
    """Resources by what relationships call them."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._by: dict[tuple[str, str], list[Resource]] = {}
        for node in nodes:
            one = node.resource
            for name in {one.id, one.name} - {""}:
                self._by.setdefault((one.type.casefold(), name), []).append(one)

    def key(self, ref: _Ref) -> str:
        """The key of what a relationship names among the resources, or an empty text."""
        found = self._by.get((ref.type.casefold(), ref.id or ref.name), [])
        exact = [one for one in found if one.id == ref.id] or ([] if ref.id else found)
        order = sorted(exact, key=lambda one: (one.account != ref.account, one.region not in (ref.region, "global"), one.key))
        return order[0].key if order else ""


def edges(nodes: Iterable[Node]) -> dict[tuple[str, str], list[str]]:
    """The relationships among some resources, each pair once with what either end says."""
    return {pair: worded(ends) for pair, ends in listed(nodes).items()}


def listed(nodes: Iterable[Node]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """The relationships among some resources: by pair, what each end that lists it says."""
    every = list(nodes)
    known = _Known(every)
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for node in every:
        for ref, says in _refs(node):
            key, mine = known.key(ref), node.resource.key
            if key and key != mine:
                ends = found.setdefault((min(key, mine), max(key, mine)), {})
                ends.setdefault(mine, []).append(says)
    return found


def worded(ends: Mapping[str, list[str]]) -> list[str]:
    """What the ends of a relationship say, each text once."""
    return list(dict.fromkeys(text for texts in ends.values() for text in texts if text))


def _refs(node: Node) -> Iterator[tuple[_Ref, str]]:
    """What a resource names as related, and how."""
    if node.version is None:
        return
    mine = node.resource
    for one in node.version.related:
        kind, identity, name, says = (_said(one.get(field)) for field in ("resourceType", "resourceId", "resourceName", "name"))
        if identity or name:
            yield _Ref(kind, identity, name, mine.account, mine.region), says


def node_of(version: Version, distance: int) -> Node:
    """The node of a version."""
    state: State = "deleted" if version.deleted else "there" if version.recorded else "not recorded"
    return Node(version.resource, distance, state, version)


def batches(values: Iterable[str], size: int = _BATCH) -> Iterator[list[str]]:
    """The values in lists that one query takes."""
    left = iter(values)
    while part := list(itertools.islice(left, size)):
        yield part


def _said(value: Any) -> str:
    return value if isinstance(value, str) else ""
