"""Versions of resources end the same in any order, on a real node that is never refreshed while it is written to."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_search.aws_config.changes import between
from audit_search.aws_config.documents import CURRENT, HISTORY, MAX_RELATIONSHIPS, TIMELINE, timeline_id
from audit_search.aws_config.items import Item, Source
from audit_search.aws_config.reconciliation import reconcile
from audit_search.aws_config.timeline import Timeline
from tests.support.config_world import (
    MONTH,
    START,
    Killed,
    Trouble,
    Troubled,
    World,
    counted,
    delivered_as,
    version,
)
from tests.support.engines import TestEngine
from tests.support.fault_proxy import Answer, Fault, FaultProxy, Pass, RejectItems, ResetAfter, ResetBefore
from tests.support.opensearch_node import OpenSearchNode

_LIVES = itertools.count()


@pytest.fixture(scope="module")
def world(node: OpenSearchNode) -> Iterator[World]:
    """The shared node with the templates of AWS Config for a prefix of one's own; each test has resources of its own."""
    world = World(TestEngine(node.endpoint, real=True))
    yield world
    world.remove()


@dataclass(frozen=True)
class Delivery:
    """One batch: versions by number and how each comes, and the trouble that its writer gets into first, if any."""

    versions: tuple[tuple[int, Source, bool], ...]
    trouble: Trouble | None


# Few moments, so that versions share a millisecond, and some that lie in other months.
MOMENTS = [START, START, START, START + 1, START + 60_000, START + 3_600_000, START + MONTH, START + 2 * MONTH]
versions = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(MOMENTS), st.booleans()), min_size=1, max_size=9, unique_by=lambda one: one
)
troubles = st.none() | st.builds(Trouble, st.integers(1, 6), st.sampled_from(["before", "after", "lost"]))
parts = st.tuples(st.integers(0, 8), st.sampled_from(["stream", "history", "snapshot", "oversized"]), st.booleans())
deliveries = st.lists(st.builds(Delivery, st.lists(parts, min_size=1, max_size=5).map(tuple), troubles), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(lives=versions, writers=st.tuples(deliveries, deliveries))
def test_any_order_by_two_writers_ends_the_same(
    world: World, lives: list[tuple[int, int, bool]], writers: tuple[list[Delivery], list[Delivery]]
) -> None:
    """Two writers in parallel bring versions in any order, repeatedly, from anywhere; they are killed, lose answers, and
    begin again: every version is there once with the changes since its neighbour, and the latest state is the latest."""
    life = next(_LIVES)
    items = [
        version(f"vol-{life}-{resource}", moment, f"{START + number}" if number % 2 else f"s{number}", deleted=deleted)
        for number, (resource, moment, deleted) in enumerate(lives)
    ]
    delivered: list[Item] = []
    queues: list[list[tuple[list[Item], Trouble | None]]] = []
    for queue in writers:
        batches = [
            ([delivered_as(items[number % len(items)], source, diff=told) for number, source, told in one.versions], one.trouble)
            for one in queue
        ]
        queues.append(batches)
        delivered += [item for batch, _ in batches for item in batch]
    in_parallel(world, queues)
    world.assert_settled(delivered)


def in_parallel(world: World, queues: list[list[tuple[list[Item], Trouble | None]]]) -> None:
    """Each writer works through its queue; a batch whose writer was killed, or was overtaken too often, comes again at the end,
    as from a real queue."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(queues))

    def work(queue: list[tuple[list[Item], Trouble | None]]) -> None:
        try:
            start.wait()
            waiting = list(queue)
            while waiting:
                batch, trouble = waiting.pop(0)
                try:
                    written = world.write(batch, Troubled(world.client, trouble) if trouble else None)
                except Killed:
                    waiting.append((batch, None))
                    continue
                overtaken = [one for one in written.outcomes if one.cause and one.cause.type == "timeline_conflict"]
                if overtaken:
                    waiting.append((batch, None))
                assert set(counted(written)) <= {"indexed", "duplicate", *(one.kind for one in overtaken)}, written
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(queue,)) for queue in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_every_order_of_four_versions_ends_the_same(world: World) -> None:
    """All orders in which four versions, two of one millisecond, can come one by one leave the same documents."""
    states = []
    for number, order in enumerate(itertools.permutations(range(4))):
        moments = (START, START + 5, START + 5, START + MONTH)
        items = [version(f"vol-order-{number}", moment, f"s{place}") for place, moment in enumerate(moments)]
        for place in order:
            world.write([items[place]])
        world.assert_settled(items)
        states.append(len(world.state(items)))
    assert set(states) == {5}


def test_many_writers_of_one_resource(world: World) -> None:
    """Six writers bring the versions of the same resource at the same time: none is lost, and each knows its neighbour."""
    items = [version("vol-contended", START + number * 7, f"s{number}") for number in range(36)]
    in_parallel(world, [[([items[place]], None) for place in range(first, 36, 6)] for first in range(6)])
    world.assert_settled(items)


SCRIPTS: list[list[Fault]] = [
    [ResetBefore()],
    [ResetAfter()],
    [Pass(), ResetAfter()],
    [Pass(), Pass(), ResetAfter()],
    [Answer.throttled(), Answer.unavailable()],
    [RejectItems({0})],
    [Pass(), RejectItems({0})],
    [Pass(), Pass(), RejectItems({0, 1})],
]


@pytest.mark.parametrize("number", range(len(SCRIPTS)))
def test_faults_of_the_network_and_of_a_loaded_engine(world: World, number: int) -> None:
    """Requests that are cut, throttled or refused in part are repeated until all is as it has to be."""
    items = [version(f"vol-fault-{number}", START + step * 1_000, f"s{step}") for step in range(5)]
    world.write([items[0], items[4]])
    with FaultProxy(world.engine.endpoint) as proxy:
        proxy.script(*SCRIPTS[number])
        written = world.write([items[2], items[1], items[3]], world.connected(proxy.endpoint))
        assert not proxy.unused
    assert set(counted(written)) <= {"indexed", "duplicate"}
    world.assert_settled(items)


def test_a_refused_version_does_not_enter_the_timeline(world: World) -> None:
    """A version that the engine refuses is rejected with its reason; its neighbours follow each other."""
    items = [version("vol-refused", START + step * 1_000, f"s{step}") for step in range(3)]
    with FaultProxy(world.engine.endpoint) as proxy:
        proxy.script(RejectItems({1}, status=400, kind="mapper_parsing_exception"))
        written = world.write(items, world.connected(proxy.endpoint))
    assert [outcome.kind for outcome in written.outcomes] == ["indexed", "rejected", "indexed"]
    assert "mapper_parsing_exception" in str(written.outcomes[1].cause)
    world.assert_settled([items[0], items[2]])


def search(world: World, family: str, query: dict[str, Any] | str) -> set[str]:
    """The state ids that a query finds."""
    wanted = {"query_string": {"query": query}} if isinstance(query, str) else query
    status, answer = world.engine.call("POST", f"/{world.prefix}{family}/_search", {"query": wanted, "size": 100})
    assert status == 200, answer
    return {hit["_source"]["configurationStateId"] for hit in answer["hits"]["hits"]}


def test_everything_can_be_searched(world: World) -> None:
    """Leaves, tags, exact pairs of relationships, changes, and the period in which a relationship held."""
    items = [version("vol-searched", START + step * 1_000, f"find{step}") for step in range(3)]
    world.write(items)
    for index in (HISTORY, CURRENT):
        world.engine.call("POST", f"/{world.prefix}{index}/_refresh")
    assert search(world, HISTORY, "configuration.state.name:find1") == {"find1"}
    assert search(world, HISTORY, 'cfg.tagList:"state=find1"') == {"find1"}
    assert search(world, HISTORY, 'tag_list:"a.b=c" AND resource_id:vol-searched') == {"find0", "find1", "find2"}
    assert search(world, HISTORY, "tags.state:find2") == {"find2"}
    assert search(world, HISTORY, "related_ids:i-find0") == {"find0"}
    pair = {"term": {"relationships.resourceId": "i-find1"}}, {"term": {"relationships.resourceType": "AWS::EC2::Instance"}}
    assert search(world, HISTORY, {"nested": {"path": "relationships", "query": {"bool": {"filter": list(pair)}}}}) == {"find1"}
    assert search(world, HISTORY, 'change_lines:"Tags.state  \\"find0\\" -> \\"find1\\""') == {"find1"}
    assert search(world, HISTORY, "cfg.changeLines.text:find0") >= {"find1"}
    assert search(world, HISTORY, "changed_paths:Tags.state AND resource_id:vol-searched") == {"find1", "find2"}
    became = {"bool": {"filter": [{"term": {"cfg.changes.after": "find1"}}, {"term": {"cfg.changes.path": "Tags.state"}}]}}
    assert search(world, HISTORY, {"nested": {"path": "cfg.changes", "query": became}}) == {"find1"}
    assert search(world, CURRENT, "resource_id:vol-searched AND cfg.deleted:false") == {"find2"}
    assert search(world, HISTORY, '"state:find1"') == {"find1"}
    status, _ = world.engine.call("GET", f"/{world.prefix}*/_search?q=vol-searched")
    assert status == 200


def test_large_and_odd_items_are_taken(world: World) -> None:
    """A megabyte, long leaves, deep trees, thousands of relationships and tags, odd keys: one document, cut where it must be."""
    deep: Any = "bottom"
    for _ in range(300):
        deep = {"d": deep}
    related = [
        {"resourceType": "AWS::EC2::Instance", "resourceId": f"i-{number}", "relationshipName": "Contains"}
        for number in range(MAX_RELATIONSHIPS + 10)
    ]
    odd = {"": "empty", "a..b": 1, "x" * 2_000: "key", "indices.query.bool": "dot", "n": 10**40, "list": [[1], "a", {"b": None}]}
    items = [
        version("vol-large", START, "large", configuration={"text": "z" * 40_000, "all": ["word " * 200] * 1_000}),
        version("vol-large", START + 1, "deep", configuration=deep, supplementaryConfiguration={"value": deep}),
        version("vol-large", START + 2, "related", relationships=related),
        version("vol-large", START + 3, "odd", configuration=odd, tags={"": "x", "aws:cloudformation:stack": "", "y" * 300: "z"}),
        version("vol-large", START + 4, "list", configuration=["a", {"b": 1}]),
        version("vol-large", START + 5, "text", configuration="no JSON"),
    ]
    assert counted(world.write(items)) == {"indexed": 6}
    assert counted(world.write(reversed(items))) == {"duplicate": 6}
    world.assert_settled(items)
    stored = world.version(items[0]) or {}
    assert stored["raw"] == items[0].raw
    assert "configuration.text" in stored["cfg"]["truncated"]
    assert len((world.version(items[2]) or {})["cfg"]["relatedIds"]) == MAX_RELATIONSHIPS + 10


def test_a_snapshot_finds_what_it_no_longer_lists(world: World) -> None:
    """What is missing is found in pages by a search, and what was deleted since the last refresh is not among it."""
    account = "210987654321"
    items = [version(f"vol-{number}", START, "s", awsAccountId=account) for number in range(1_030)]
    world.write(items)
    world.engine.call("POST", f"/{world.prefix}{CURRENT}/_refresh")
    gone = version("vol-5", START + 1, "t", deleted=True, awsAccountId=account)
    world.write([gone])
    seen = {item.resource for item in items[10:]} | {items[0].resource}
    requests = world.history().requests(time.monotonic() + 60)
    missing = list(reconcile(requests, world.prefix, account, "eu-west-1", seen, START + 60_000))
    assert sorted(one.resource_id for one in missing) == [f"vol-{number}" for number in (1, 2, 3, 4, 6, 7, 8, 9)]
    assert list(reconcile(requests, world.prefix, account, "eu-west-1", seen, START)) == []
    assert list(reconcile(requests, world.prefix, account, "us-east-1", set(), START + 60_000)) == []


def test_a_timeline_of_36_000_versions_stays_workable(world: World) -> None:
    """A resource that changed every ten minutes for eight months takes another version, and one in its middle."""
    resource = version("vol-busy", START, "0").resource
    count, step = 36_000, 600_000
    begin = START - count * step
    template = version("vol-busy", begin, "0")
    timeline = Timeline(resource)
    for number in range(count):
        captured = begin + number * step + number * 7919 % 1_000
        busy = replace(template, captured=captured, state_id=str(captured + 1_500))
        timeline.insert(busy, busy.identity)
    source = timeline.source()
    text = json.dumps(source, separators=(",", ":"))
    assert len(text) < 1_000_000
    status, answer = world.engine.call("PUT", f"/{world.prefix}{TIMELINE}/_doc/{timeline_id(resource)}", source)
    assert status == 201, answer
    began = time.process_time()
    items = [version("vol-busy", START + 5, "last"), version("vol-busy", START - count * step // 2 + 5, "middle")]
    written = world.write(items)
    print(f"{len(text):,} bytes, {time.process_time() - began:.3f} s of CPU, {written.requests} requests")
    assert counted(written) == {"indexed": 2}
    line = world.timeline(items[0])
    assert line is not None
    assert len(line["_source"]["captured"]) == count + 2
    for item in items:
        assert (world.version(item) or {})["cfg"]["changesFrom"] == "unavailable"


def test_the_changes_are_those_of_the_neighbours(world: World) -> None:
    """What the documents say is what comparing the neighbours says, read from the node itself."""
    items = [version("vol-neighbours", START + step * MONTH, f"s{step}", deleted=step == 2) for step in range(4)]
    for item in (items[3], items[0], items[2], items[1]):
        world.write([item])
    for before, after in itertools.pairwise(items):
        stored = (world.version(after) or {})["cfg"]
        assert stored.get("changeLines", []) == [change.text for change in between(before, after)]
