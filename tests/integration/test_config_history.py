"""Versions of resources end the same in whatever order they come, on the embedded engine."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Literal

import pytest
from osmem_server import OsmemServer

from audit_search.aws_config.changes import between
from audit_search.aws_config.documents import HealthEvent, Origin
from audit_search.aws_config.history import Arrival
from audit_search.aws_config.reconciliation import reconcile
from tests.support.config_world import (
    ACCOUNT,
    MONTH,
    REGION,
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


@pytest.fixture
def world() -> Iterator[World]:
    """An embedded engine with the templates of AWS Config."""
    with OsmemServer.start(japanese=False) as server:
        yield World(TestEngine(server.url, real=False))


def test_a_life_in_order_has_the_changes_between_neighbours(world: World) -> None:
    """Versions in order are indexed, each with what changed since the one before."""
    items = [version("vol-1", START + number * 3_600_000, f"s{number}", deleted=number == 3) for number in range(4)]
    written = world.write(items)
    assert counted(written) == {"indexed": 4}
    world.assert_settled(items)
    lines = (world.version(items[1]) or {})["cfg"]["changeLines"]
    assert "Tags.state" in " ".join(lines)
    assert "AWS::EC2::Instance" in " ".join(lines)


@pytest.mark.parametrize("seed", range(8))
def test_any_order_ends_the_same(world: World, seed: int) -> None:
    """Versions that come one by one, shuffled and repeated, end as those that come in order, over months."""
    shuffled = random.Random(seed)
    items = [version(f"vol-{number % 2}", START + number * MONTH // 3, f"s{number}", deleted=number > 8) for number in range(10)]
    items += [version("vol-0", START, f"tie{number}") for number in range(3)]
    order = [*items, *items]
    shuffled.shuffle(order)
    while order:
        size = shuffled.randint(1, 4)
        world.write(order[:size])
        order = order[size:]
    world.assert_settled(items)


def test_a_late_version_corrects_its_successor(world: World) -> None:
    """A version that comes late becomes the predecessor of the one behind it; the latest state stays."""
    first, late, last = (version("vol-1", START + number * 1_000, f"s{number}") for number in range(3))
    world.write([first])
    world.write([last])
    assert (world.version(last) or {})["cfg"]["previous"] == first.identity
    written = world.write([late])
    assert (counted(written), written.corrected) == ({"indexed": 1}, 1)
    stored = world.version(last) or {}
    assert stored["cfg"]["previous"] == late.identity
    assert stored["cfg"]["changeLines"] == [change.text for change in between(late, last)]
    assert (world.current(first) or {})["_source"]["configurationStateId"] == "s2"
    world.assert_settled([first, late, last])


def test_a_message_tells_its_changes_whenever_it_comes(world: World) -> None:
    """The message's own account replaces what was computed, and no neighbour that comes later replaces it again."""
    first, second = version("vol-1", START, "s1"), version("vol-1", START + 9_000, "s2", source="history")
    told = delivered_as(second, "stream", diff=True)
    world.write([first, second])
    assert (world.version(second) or {})["cfg"]["changesFrom"] == "previous"
    assert counted(world.write([told])) == {"duplicate": 1}
    assert (world.version(second) or {})["cfg"]["changesFrom"] == "message"
    between_them = version("vol-1", START + 5_000, "s3")
    world.write([between_them, second])
    world.assert_settled([first, told, between_them])


def test_the_requests_do_not_grow_with_the_items(world: World) -> None:
    """A batch costs a handful of requests, however many items and resources it holds."""
    items = [version(f"vol-{number}", START + step * 1_000, f"s{step}") for number in range(60) for step in (0, 2)]
    assert world.write(items).requests == 3
    late = [version(f"vol-{number}", START + 1_000, "s1") for number in range(60)]
    written = world.write(late)
    assert (written.requests, written.corrected) == (5, 60)
    assert world.write(late + items).requests == 2
    told = [version(f"vol-{number}", START + 9_000, "s9", diff=True) for number in range(60)]
    assert world.write(told).requests == 3
    world.assert_settled(items + late + told)


def test_what_is_there_already_is_not_written_again(world: World) -> None:
    """A snapshot of known versions writes nothing: no document has another version afterwards."""
    items = [version("vol-1", START + number * 1_000, f"s{number}", diff=True) for number in range(3)]
    world.write(items)
    before = world.state(items)
    again = world.write([delivered_as(item, "snapshot") for item in items])
    assert (counted(again), again.requests) == ({"duplicate": 3}, 2)
    assert world.state(items) == before


def test_an_item_with_an_impossible_time_is_rejected_alone(world: World) -> None:
    """A version from the far future has an outcome of its own; its neighbour is indexed."""
    written = world.write([version("vol-1", 4_102_444_800_000, "s1"), version("vol-1", START, "s2")])
    assert [outcome.kind for outcome in written.outcomes] == ["rejected", "indexed"]
    assert "future" in str(written.outcomes[0].cause)


def test_versions_beyond_retention_count_for_the_latest_state_only(world: World) -> None:
    """A resource unchanged since long has a latest state, and its month is not made again."""
    item = version("vol-1", START, "s1")
    written = world.write([item], kept_from=START + 1)
    assert counted(written) == {"filtered": 1}
    assert world.version(item) is None
    assert world.current(item) is not None
    assert world.write([item], kept_from=START + 1).requests == 2


@pytest.mark.parametrize("kind", ["before", "after"])
@pytest.mark.parametrize("request_number", range(1, 6))
def test_a_killed_writer_leaves_what_the_next_one_mends(
    world: World, request_number: int, kind: Literal["before", "after"]
) -> None:
    """Killed before or after any request, and delivered again: all is as if nothing had happened."""
    early = [version("vol-1", START, "s0"), version("vol-1", START + 9_000, "s9")]
    world.write(early)
    late = [version("vol-1", START + 5_000, "s5"), version("vol-2", START + 5_000, "s5", diff=True)]
    with pytest.raises(Killed):
        world.write(late, Troubled(world.client, Trouble(request_number, kind)))
    world.write(late)
    world.assert_settled(early + late)


@pytest.mark.parametrize("request_number", range(1, 6))
def test_a_lost_answer_changes_nothing(world: World, request_number: int) -> None:
    """A request that was carried out and whose answer never came is asked again, and all ends the same."""
    early = [version("vol-1", START, "s0"), version("vol-1", START + 9_000, "s9")]
    world.write(early)
    late = [version("vol-1", START + 5_000, "s5"), version("vol-2", START + 5_000, "s5", diff=True)]
    written = world.write(late, Troubled(world.client, Trouble(request_number, "lost")))
    assert set(counted(written)) <= {"indexed", "duplicate"}
    world.assert_settled(early + late)


def test_events_are_written_once(world: World) -> None:
    """The same event from two envelopes is one document."""
    event = HealthEvent(
        "ComplianceChangeNotification", ACCOUNT, REGION, START, "{}", {"configRuleName": "r", "details": {"a": 1}}
    )
    written = world.history().write_events([(event, Origin()), (event, Origin("x"))], time.monotonic() + 60)
    assert [outcome.kind for outcome in written.outcomes] == ["indexed", "duplicate"]


def test_a_snapshot_finds_what_it_no_longer_lists(world: World) -> None:
    """Missing resources are found; deleted, newer and global ones of other regions are not reported, and nothing is deleted."""
    items = [version(f"vol-{number}", START, "s") for number in range(1_205)]
    items += [version("gone", START, "s"), version("gone", START + 1, "t", deleted=True), version("newer", START + 9_000, "s")]
    items.append(version("here", START, "s", resourceType="AWS::IAM::Role"))
    items.append(version("elsewhere", START, "s", resourceType="AWS::IAM::Role", awsRegion="us-east-1"))
    world.write(items)
    requests = world.history().requests(time.monotonic() + 60)
    seen = {item.resource for item in items[:1_200]}
    missing = list(reconcile(requests, world.prefix, ACCOUNT, REGION, seen, START + 5_000))
    assert {one.resource_id for one in missing} == {*(f"vol-{number}" for number in range(1_200, 1_205)), "here"}
    events = [(one.event("snapshot-1", START + 5_000), Origin()) for one in missing]
    assert counted(world.history().write_events(events, time.monotonic() + 60)) == {"indexed": 6}
    assert counted(world.history().write_events(events, time.monotonic() + 60)) == {"duplicate": 6}
    world.assert_settled(items)


def test_the_arrivals_of_a_batch_share_their_outcome(world: World) -> None:
    """The same version twice in a batch is indexed once and a duplicate once, and the one with an account wins."""
    plain = version("vol-1", START, "s", source="history")
    told = delivered_as(plain, "stream", diff=True)
    written = world.history().write([Arrival(plain), Arrival(told), Arrival(plain)], time.monotonic() + 60)
    assert [outcome.kind for outcome in written.outcomes] == ["indexed", "duplicate", "duplicate"]
    world.assert_settled([plain, told])
    assert json.dumps(world.version(plain))
