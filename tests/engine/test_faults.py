"""Between the function and a real node everything breaks that can: afterwards each record is there exactly once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.aws import Aws, Stored, failures, record, records, s3_event, sqs_event
from tests.support.engines import TestEngine
from tests.support.fault_proxy import (
    Answer,
    BulkRequest,
    DropItem,
    Fault,
    FaultProxy,
    GoDown,
    Hold,
    Pass,
    RejectItems,
    ResetAfter,
    ResetBefore,
    Slow,
    TooLarge,
)
from tests.support.function import Function, make_function
from tests.support.opensearch_node import NodeUnavailableError, OpenSearchNode, must_be_present

OBJECTS, RECORDS = 6, 40
ALL_IDS = {f"o{number}-{position}" for number in range(OBJECTS) for position in range(RECORDS)}


@pytest.fixture
def engine(node: OpenSearchNode) -> Iterator[TestEngine]:
    """The shared node, with the index template for a prefix of one's own."""
    engine = TestEngine(node.endpoint, real=True)
    engine.install()
    yield engine
    engine.remove()


@pytest.fixture
def proxy(engine: TestEngine) -> Iterator[FaultProxy]:
    """What stands before the node."""
    with FaultProxy(engine.endpoint) as proxy:
        yield proxy


Make = Callable[..., Function]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws) -> Make:
    """The function before an address, in requests so small that an invocation needs several."""

    def made(endpoint: str, engine: TestEngine, **settings: str) -> Function:
        variables = {"INDEX_PREFIX": engine.prefix, "BULK_BYTES": "60000", "BULK_SENDERS": "2", **settings}
        return make_function(monkeypatch, capsys, aws, endpoint, **variables)

    return made


def put_all(aws: Aws) -> list[Stored]:
    """The objects of an invocation."""
    return [aws.put_records(records(RECORDS, f"o{number}-")) for number in range(OBJECTS)]


def batch(stored: list[Stored]) -> dict[str, Any]:
    """One message for each object."""
    return sqs_event(*(s3_event(one) for one in stored))


def counted(function: Function) -> Counter[str]:
    """The counts of the last invocation, which have to add up."""
    found = Counter({name.removeprefix("Records"): int(value) for name, value in function.metrics.items() if name != "EventLag"})
    assert found["Read"] == found["Indexed"] + found["Duplicate"] + found["Filtered"] + found["Quarantined"] + found["Returned"]
    assert found["Quarantined"] == found["Filtered"] == 0
    return found


def there(engine: TestEngine) -> set[str]:
    """The ids in the engine, each of which is there once."""
    engine.refresh()
    hits = engine.search({"match_all": {}})
    ids = [hit["_source"]["eventID"] for hit in hits]
    assert len(ids) == len(set(ids))
    return set(ids)


FAULTS: dict[str, list[Fault]] = {
    "reset before the engine saw it": [ResetBefore()] * 3,
    "reset before the answer": [ResetAfter(0)] * 3,
    "reset within the answer": [ResetAfter(40)] * 3,
    "slow": [Slow(0.3)] * 3,
    "partial items": [RejectItems({0, 3, 7}), RejectItems({1}), RejectItems(range(5), 503, "unavailable_shards_exception")],
    "all items": [RejectItems()] * 3,
    "a wrong count": [DropItem(0), DropItem(3), DropItem(0)],
    "throttled": [Answer.throttled(), Answer.circuit_breaker(), Answer.gateway_throttled()],
    "gateway": [Answer.bad_gateway(), Answer.unavailable(), Answer.bad_gateway()],
    "too large": [Answer.too_large()] * 3,
    "everything": [
        ResetAfter(10),
        Answer.throttled(),
        DropItem(1),
        Answer.too_large(),  # before there can be a request of one line, which is kept in quarantine when it is too large
        RejectItems({2}),
        ResetBefore(),
        Slow(0.1),
    ],
}


@pytest.mark.parametrize("what", list(FAULTS))
def test_faults_that_pass_cost_nothing(aws: Aws, engine: TestEngine, proxy: FaultProxy, make: Make, what: str) -> None:
    """All messages are done, all records are there once, and a second delivery finds all of them."""
    function = make(proxy.endpoint, engine)
    stored = put_all(aws)
    proxy.script(*FAULTS[what])
    assert failures(function(batch(stored))) == []
    assert proxy.unused == []
    total = counted(function)
    assert total["Indexed"] + total["Duplicate"] == total["Read"] == len(ALL_IDS)
    assert there(engine) == ALL_IDS
    assert failures(function(batch(stored))) == []
    assert counted(function)["Duplicate"] == len(ALL_IDS)


def test_a_body_limit_is_found_by_halves(aws: Aws, engine: TestEngine, proxy: FaultProxy, make: Make) -> None:
    """A domain that takes less than we send: everything is indexed all the same."""
    proxy.rule = lambda _: TooLarge(20_000)
    function = make(proxy.endpoint, engine)
    assert failures(function(batch(put_all(aws)))) == []
    assert there(engine) == ALL_IDS


@pytest.mark.parametrize("carried_out", [False, True], ids=["lost", "carried out"])
def test_an_engine_that_goes_away_returns_what_is_not_done(
    aws: Aws, engine: TestEngine, proxy: FaultProxy, make: Make, carried_out: bool
) -> None:
    """Connections are refused in the middle of an invocation: its messages return and, delivered again, are done."""
    function = make(proxy.endpoint, engine)
    stored = put_all(aws)
    proxy.script(Pass(), GoDown(after=carried_out))
    back = failures(function(batch(stored)))
    assert back
    first = counted(function)
    assert first["Returned"] > 0
    proxy.up()
    assert failures(function(batch(stored))) == []
    second = counted(function)
    assert second["Indexed"] + second["Duplicate"] == len(ALL_IDS)
    assert second["Duplicate"] >= first["Indexed"]
    assert there(engine) == ALL_IDS


def test_refused_from_the_beginning(aws: Aws, engine: TestEngine, proxy: FaultProxy, make: Make) -> None:
    """Nobody listens: every message returns, nothing is quarantined, and afterwards all of it is indexed."""
    function = make(proxy.endpoint, engine)
    stored = put_all(aws)
    proxy.down()
    assert len(failures(function(batch(stored)))) == OBJECTS
    assert aws.keys() == []
    proxy.up()
    assert failures(function(batch(stored))) == []
    assert counted(function)["Indexed"] == len(ALL_IDS)


def test_an_engine_that_hangs_returns_the_messages_in_time(aws: Aws, engine: TestEngine, proxy: FaultProxy, make: Make) -> None:
    """No answer until the invocation's time is over; the request that hung is carried out later, and nothing is there twice."""
    function = make(proxy.endpoint, engine)
    stored = put_all(aws)
    function(sqs_event(s3_event(aws.put_records([record("warm")]))))
    held = Hold()
    proxy.rule = lambda _: held
    assert len(failures(function(batch(stored), remaining=2_000))) == OBJECTS
    proxy.rule = lambda _: Pass()
    held.release.set()
    assert failures(function(batch(stored))) == []
    assert there(engine) == ALL_IDS | {"warm"}


@pytest.mark.parametrize("seed", range(3))
def test_faults_at_random_lose_nothing(aws: Aws, engine: TestEngine, proxy: FaultProxy, make: Make, seed: int) -> None:
    """A bad day: messages are delivered again until they are done."""
    import random

    chance = random.Random(seed)
    kinds: list[Fault] = [ResetBefore(), ResetAfter(25), DropItem(), RejectItems({0}), Answer.throttled(), TooLarge(5_000)]
    proxy.rule = lambda _: chance.choice(kinds) if chance.random() < 0.6 else Pass()
    function = make(proxy.endpoint, engine)
    stored = put_all(aws)
    waiting = {f"m{number}": one for number, one in enumerate(stored)}
    for _ in range(30):
        names = list(waiting)
        back = failures(function(batch([waiting[name] for name in names])))
        counted(function)
        waiting = {f"m{position}": waiting[names[int(name[1:])]] for position, name in enumerate(back)}
        if not waiting:
            break
    assert waiting == {}
    assert there(engine) == ALL_IDS


# --- a crash ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def victim() -> Iterator[OpenSearchNode]:
    """A node of one's own, which may be killed."""
    try:
        with OpenSearchNode(heap="512m") as node:
            yield node
    except NodeUnavailableError as error:
        if must_be_present():
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("at_request", [1, 2, 4])
def test_a_node_killed_in_the_middle_of_a_bulk_loses_nothing(
    aws: Aws, victim: OpenSearchNode, make: Make, at_request: int
) -> None:
    """SIGKILL while a bulk request is on its way: what was acknowledged survives, the rest returns; delivered again after the
    restart, each record is there exactly once and the counts add up."""
    engine = TestEngine(victim.endpoint, real=True)
    engine.install()
    killers: list[threading.Thread] = []
    stored = put_all(aws)
    with FaultProxy(victim.endpoint) as before:

        def kill_at(_request: BulkRequest) -> Fault:
            # This request is not yet among those that came in.
            if len(before.bulk_requests) == at_request - 1 and not killers:
                killers.append(threading.Thread(target=victim.kill))
                killers[0].start()
            return Pass()

        before.rule = kill_at
        function = make(before.endpoint, engine)
        back = failures(function(batch(stored)))
        killers[0].join()
        assert back
        first = counted(function)
        assert first["Returned"] > 0
        assert aws.keys() == []
        victim.start()
        engine.call("GET", f"/_cluster/health/{engine.prefix}*?wait_for_status=green&timeout=60s")
        survived = engine.count()
        assert survived >= first["Indexed"]
        before.rule = lambda _: Pass()
        assert failures(function(batch(stored))) == []
        second = counted(function)
    assert second["Duplicate"] == survived
    assert second["Indexed"] == len(ALL_IDS) - survived
    assert there(engine) == ALL_IDS
