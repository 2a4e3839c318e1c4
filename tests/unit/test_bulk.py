"""Each line of a batch gets exactly one outcome, whatever the engine answers: over real HTTP to a stand-in."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from audit_search import bulk
from audit_search.bulk import DUPLICATE, INDEXED, REJECTED, RETURNED, Batch, BatchResult, BulkSender, Engine, Reply, Retries
from audit_search.opensearch import HttpEngine
from audit_search.settings import Settings
from tests.support.bulk_endpoint import BulkEndpoint, Item, Verdict
from tests.support.fault_proxy import (
    Answer,
    BulkRequest,
    DropItem,
    Fault,
    Hold,
    Pass,
    RejectItems,
    ResetAfter,
    ResetBefore,
    Slow,
    TooLarge,
)

QUICK = Retries(attempts=8, base=0.001, cap=0.002, timeout=20)
LONG_ID = "e" * 600
INGESTED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def line(identity: str, text: str = '"eventName":"ListBuckets"') -> bytes:
    """A line as the pipeline makes them, up to the time of ingestion."""
    return f'{{"create":{{"_index":"cloudtrail-2026.11","_id":"{identity}"}}}}\n{{{text},"ct":{{"ingestTime":"'.encode()


def batch_of(*identities: str) -> Batch:
    """A batch of plain lines with one owner."""
    batch = Batch(lines=[line(identity) for identity in identities])
    batch.segments.append(("owner", len(identities)))
    return batch


def rebuilt(batch: Batch, number: int) -> bytes:
    """The line again, in a form that the engine takes."""
    identity = json.loads(batch.lines[number].split(b"\n")[0])["create"]["_id"]
    return line(identity[:512], '"rebuilt":true')


def never_rebuilt(_batch: Batch, _number: int) -> bytes | None:
    """Not possible."""
    return None


@pytest.fixture
def endpoint() -> Iterator[BulkEndpoint]:
    """A stand-in that indexes everything."""
    with BulkEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def engine(endpoint: BulkEndpoint) -> HttpEngine:
    """The client of the stand-in."""
    return HttpEngine(
        Settings.from_env(
            {
                "OPENSEARCH_ENDPOINT": endpoint.endpoint,
                "OPENSEARCH_AUTH": "none",
                "ALLOWED_BUCKETS": "trail",
                "QUARANTINE_BUCKET": "quarantine",
            }
        )
    )


def sender(
    engine: Engine,
    rebuild: Callable[[Batch, int], bytes | None] = never_rebuilt,
    retries: Retries = QUICK,
    seconds: float = 300,
    wait: Callable[[float], object] = time.sleep,
) -> BulkSender:
    """A sender with so many seconds left."""
    return BulkSender(engine, time.monotonic() + seconds, rebuild, retries, wait)


def ids(request: BulkRequest) -> list[str]:
    """The ids in a request, in order."""
    return [action["create"]["_id"] for action, _ in request.actions]


def times(request: BulkRequest) -> set[str]:
    """The times of ingestion in a request."""
    return {json.loads(source)["ct"]["ingestTime"] for _, source in request.actions if source}


def all_are(result: BatchResult, outcome: int) -> bool:
    """Whether every line ended so."""
    return set(result.outcomes) == {outcome}


def causes(result: BatchResult) -> set[str]:
    """The kinds of causes that were named."""
    return {cause.type for cause in result.causes.values()}


# --- what goes well -----------------------------------------------------------------------------------------------------


def test_a_batch_is_one_request(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """All lines are indexed, each with the time at which it was sent."""
    result = sender(engine).send(batch_of("a", "b", "c"))
    assert all_are(result, INDEXED)
    assert result.requests == len(endpoint.requests) == 1
    assert ids(endpoint.requests[0]) == ["a", "b", "c"]
    assert endpoint.documents["a"]["eventName"] == "ListBuckets"
    assert INGESTED.fullmatch(endpoint.documents["a"]["ct"]["ingestTime"])


def test_what_is_there_is_a_duplicate(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """A 409 is no error, and its neighbours are indexed."""
    sender(engine).send(batch_of("b"))
    result = sender(engine).send(batch_of("a", "b", "c"))
    assert list(result.outcomes) == [INDEXED, DUPLICATE, INDEXED]
    assert result.causes == {}


def test_an_empty_batch_asks_for_nothing(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """No lines, no request."""
    assert sender(engine).send(Batch()).requests == 0
    assert endpoint.requests == []


@pytest.mark.parametrize("microsecond", [0, 999, 1_000, 123_456, 999_999])
def test_the_time_of_ingestion_has_a_fixed_width(monkeypatch: pytest.MonkeyPatch, microsecond: int) -> None:
    """Three digits of milliseconds at every moment, so that texts sort as times do."""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 1, 2, 3, 4, 5, microsecond, tz)

    monkeypatch.setattr(bulk, "datetime", Frozen)
    source = json.loads(bytes(bulk.Body([line("a")])).splitlines()[1])
    assert source["ct"]["ingestTime"] == f"2026-01-02T03:04:05.{microsecond // 1000:03d}Z"


# --- what passes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_only_the_items_that_failed_are_sent_again(endpoint: BulkEndpoint, engine: HttpEngine, status: int) -> None:
    """Two of four items fail twice: the second and the third request hold these two, and nothing else."""
    endpoint.judge = lambda item: Verdict(status) if item.id in "bd" and item.tries < 3 else None
    result = sender(engine).send(batch_of("a", "b", "c", "d"))
    assert all_are(result, INDEXED)
    assert [ids(request) for request in endpoint.requests] == [["a", "b", "c", "d"], ["b", "d"], ["b", "d"]]
    assert result.requests == 3


def test_the_time_of_ingestion_is_renewed_at_each_attempt(
    endpoint: BulkEndpoint, engine: HttpEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Monitors look at windows of ingestion: what is indexed late must not bear an early time."""
    ticks = iter(range(60))

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 11, 3, 8, 20, next(ticks), tzinfo=tz)

    monkeypatch.setattr(bulk, "datetime", Frozen)
    endpoint.script(Answer.throttled(), ResetBefore(), RejectItems({1}))
    sender(engine).send(batch_of("a", "b"))
    assert [times(request) for request in endpoint.requests] == [{f"2026-11-03T08:20:0{second}.000Z"} for second in range(4)]
    assert endpoint.documents["b"]["ct"]["ingestTime"] == "2026-11-03T08:20:03.000Z"


@pytest.mark.parametrize(
    "fault",
    [
        Answer.throttled(),
        Answer.circuit_breaker(),
        Answer.unavailable(),
        Answer.bad_gateway(),
        Answer(500, b""),
        Answer(504, b"", "text/html"),
        Answer(408, b""),
        Answer.gateway_throttled(),
        ResetBefore(),
        ResetAfter(0),
        ResetAfter(12),
        DropItem(),
        Slow(0.1),
        Answer(200, b"<html>Welcome</html>", "text/html"),
        Answer(200, b'{"took":1', "application/json"),
        Answer(200, b"[]", "application/json"),
        Answer(200, b'{"errors":true,"items":[]}', "application/json"),
        Answer(200, b'{"errors":false,"items":[{"create":{"status":201}}]}', "application/json"),
        Answer(200, b'{"errors":true,"items":[{"create":{"status":"201"}},{"create":{}},{}]}', "application/json"),
        Answer(200, b'{"errors":true,"items":[1,null,"three"]}', "application/json"),
    ],
    ids=repr,
)
def test_what_passes_is_sent_again_until_it_has(endpoint: BulkEndpoint, engine: HttpEngine, fault: Fault) -> None:
    """Three times the same trouble: afterwards every line is in the engine once, and no outcome was made up."""
    endpoint.script(fault, fault, fault)
    result = sender(engine).send(batch_of("a", "b", "c"))
    assert set(result.outcomes) <= {INDEXED, DUPLICATE}
    assert set(endpoint.documents) == {"a", "b", "c"}
    assert result.causes == {}


@pytest.mark.parametrize("fault", [ResetAfter(0), DropItem()], ids=repr)
def test_what_was_carried_out_without_an_answer_is_a_duplicate(endpoint: BulkEndpoint, engine: HttpEngine, fault: Fault) -> None:
    """The engine did the work and nobody heard of it: the second request finds all of it, so nothing is there twice."""
    endpoint.script(fault)
    result = sender(engine).send(batch_of("a", "b"))
    assert all_are(result, DUPLICATE)
    assert endpoint.tries("a") == 2


def test_a_time_out_is_sent_again(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """The first request gets no answer at all."""
    held = Hold()
    endpoint.script(held)
    result = sender(engine, retries=Retries(attempts=50, base=0.001, cap=0.002, timeout=0.3)).send(batch_of("a"))
    held.release.set()
    assert all_are(result, INDEXED)
    assert result.requests >= 2


def test_a_refused_connection_is_tried_again(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """The engine restarts while we wait."""
    endpoint.proxy.down()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            endpoint.proxy.up()

    assert all_are(sender(engine, wait=wait).send(batch_of("a", "b")), INDEXED)
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (lambda _: Answer.throttled(), "rejected_execution_exception"),
        (lambda _: Answer.bad_gateway(), "http_502"),
        (lambda _: Answer.gateway_throttled(), "http_403"),
        (lambda _: RejectItems(status=503, kind="unavailable_shards_exception"), "unavailable_shards_exception"),
        (lambda _: DropItem(), "incomplete_answer"),
        (lambda _: Answer(200, b"welcome", "text/plain"), "incomplete_answer"),
    ],
)
def test_what_does_not_pass_returns_with_its_cause(
    endpoint: BulkEndpoint, engine: HttpEngine, rule: Callable[[BulkRequest], Fault], kind: str
) -> None:
    """After the last attempt the lines go back, none is rejected, and the cause is what the engine said."""
    endpoint.always(rule)
    result = sender(engine).send(batch_of("a", "b"))
    assert all_are(result, RETURNED)
    assert causes(result) == {kind}
    assert result.requests == QUICK.attempts


def test_an_engine_that_is_not_there_returns_everything(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """An outage is not poison."""
    endpoint.proxy.down()
    result = sender(engine).send(batch_of("a", "b"))
    assert all_are(result, RETURNED)
    assert causes(result) == {"connection_error"}


def test_one_batch_waits_for_all_and_a_success_ends_the_outage(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Batches after one that waited in vain are tried once; when one gets through, patience is back."""
    used = sender(engine)
    endpoint.always(lambda _: Answer.unavailable())
    assert used.send(batch_of("a")).requests == QUICK.attempts
    assert used.send(batch_of("b")).requests == 1
    endpoint.always(lambda _: Pass())
    assert all_are(used.send(batch_of("c")), INDEXED)
    endpoint.script(Answer.unavailable(), Answer.unavailable())
    assert all_are(used.send(batch_of("d")), INDEXED)


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        """At zero."""
        self.now = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """As time.monotonic."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time go by."""
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the module."""
    clock = Clock()
    monkeypatch.setattr(bulk, "time", clock)
    return clock


class Down:
    """An engine that takes its time to be unavailable, and remembers how long it was given."""

    def __init__(self, clock: Clock, takes: float) -> None:
        """Each answer takes so many seconds of the clock."""
        self.clock = clock
        self.takes = takes
        self.timeouts: list[float] = []

    def bulk(self, body: bulk.Body, timeout: float) -> Reply:
        """As an engine."""
        self.timeouts.append(timeout)
        self.clock.now += min(self.takes, timeout)
        return Reply(503, type="unavailable", reason="down")


def test_nothing_is_sent_when_the_time_is_over(clock: Clock) -> None:
    """The lines go back untouched."""
    engine = Down(clock, 1)
    result = BulkSender(engine, 0.0, never_rebuilt, QUICK, clock.sleep).send(batch_of("a", "b"))
    assert all_are(result, RETURNED)
    assert causes(result) == {"out_of_time"}
    assert engine.timeouts == []


def test_attempts_end_with_the_time(clock: Clock) -> None:
    """Neither an answer nor a wait goes beyond the deadline, and the cause is the engine's, not the clock's."""
    engine = Down(clock, 7)
    retries = Retries(attempts=100, base=5, cap=5, timeout=60)
    result = BulkSender(engine, 30.0, never_rebuilt, retries, clock.sleep).send(batch_of("a"))
    assert clock.now == pytest.approx(30.0)
    assert all_are(result, RETURNED)
    assert causes(result) == {"unavailable"}
    assert engine.timeouts[-1] <= 30.0


def test_waits_grow_with_jitter_up_to_the_cap(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is drawn from twice the range of the one before, so that many functions do not come back at once."""
    drawn: list[tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", longest)
    retries = Retries(attempts=7, base=0.5, cap=10)
    BulkSender(Down(clock, 0), 1e6, never_rebuilt, retries, clock.sleep).send(batch_of("a"))
    assert drawn == [(0, 1.0), (0, 2.0), (0, 4.0), (0, 8.0), (0, 10), (0, 10)]
    assert clock.waits == [1.0, 2.0, 4.0, 8.0, 10, 10]


# --- what only an operator can mend -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        (Answer.unauthorised(), "http_401", 1),
        (Answer.forbidden(), "security_exception", 1),
        (Answer.read_only(), "cluster_block_exception", 1),
        (Answer.not_found(), "index_not_found_exception", 1),
    ],
    ids=["401", "403 security", "403 block", "404"],
)
def test_a_refusal_of_the_whole_returns_it_and_names_the_cause(
    endpoint: BulkEndpoint, engine: HttpEngine, fault: Answer, kind: str, requests: int
) -> None:
    """Not retried, not quarantined."""
    endpoint.always(lambda _: fault)
    result = sender(engine).send(batch_of("a", "b"))
    assert all_are(result, RETURNED)
    assert causes(result) == {kind}
    assert result.requests == requests
    assert str(fault.status) in str(result.causes[0])


SHARDS = "this action would add [2] total shards, but this cluster currently has [1000]/[1000] maximum shards open;"


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(401, "security_exception", "missing authentication"),
        Verdict(403, "security_exception", "no permissions for [indices:data/write/bulk[s]]"),
        Verdict(403, "cluster_block_exception", "index [x] blocked by: [TOO_MANY_REQUESTS/12/index read-only / allow delete];"),
        Verdict(403, "index_create_block_exception", "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];"),
        Verdict(404, "index_not_found_exception", "no such index [x] and [action.auto_create_index] is [false]"),
        Verdict(400, "validation_exception", SHARDS),
        Verdict(400, "validation_exception", SHARDS.replace("maximum shards", "maximum normal shards")),
        Verdict(400, "illegal_argument_exception", "failed", caused_by=SHARDS),
    ],
    ids=lambda verdict: f"{verdict.status} {verdict.type}",
)
def test_an_operators_problem_returns_only_the_items_that_have_it(
    endpoint: BulkEndpoint, engine: HttpEngine, verdict: Verdict
) -> None:
    """The neighbours, which go to another index, are indexed; the cause is the engine's own words."""
    endpoint.judge = lambda item: verdict if item.id == "b" else None
    result = sender(engine, rebuilt).send(batch_of("a", "b", "c"))
    assert list(result.outcomes) == [INDEXED, RETURNED, INDEXED]
    assert result.causes[1].type == verdict.type
    assert verdict.reason in result.causes[1].reason
    assert endpoint.tries("b") == 1


# --- what can never be indexed ------------------------------------------------------------------------------------------


def test_an_item_400_is_rebuilt_once(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """The engine refuses the document as it is and takes it in the exact form; only this line is sent again."""
    endpoint.judge = lambda item: Verdict(400, "mapper_parsing_exception") if item.id == "b" and item.tries == 1 else None
    batch = batch_of("a", "b", "c")
    result = sender(engine, rebuilt).send(batch)
    assert all_are(result, INDEXED)
    assert [ids(request) for request in endpoint.requests] == [["a", "b", "c"], ["b"]]
    assert endpoint.documents["b"]["rebuilt"] is True
    assert "rebuilt" not in endpoint.documents["a"]


def test_a_second_400_is_rejected_with_the_engines_reason(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Rebuilt, refused again, rejected: two tries, the cause with what lies behind it, and the neighbours untouched."""
    endpoint.judge = lambda item: Verdict(400, "mapper_parsing_exception", "failed to parse", "why") if item.id == "b" else None
    result = sender(engine, rebuilt).send(batch_of("a", "b", "c"))
    assert list(result.outcomes) == [INDEXED, REJECTED, INDEXED]
    assert str(result.causes[1]) == "mapper_parsing_exception: failed to parse (why)"
    assert endpoint.tries("b") == 2


def test_what_cannot_be_rebuilt_is_rejected_at_once(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Without another form there is nothing to try."""
    endpoint.judge = lambda item: Verdict(400) if item.id == "a" else None
    result = sender(engine).send(batch_of("a", "b"))
    assert list(result.outcomes) == [REJECTED, INDEXED]
    assert endpoint.tries("a") == 1


def test_a_rebuilt_line_that_meets_an_outage_is_sent_again(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """400, rebuilt, 503, indexed: each answer has its own treatment."""
    endpoint.judge = lambda item: {1: Verdict(400), 2: Verdict(503), 3: Verdict(429)}.get(item.tries)
    result = sender(engine, rebuilt).send(batch_of("a"))
    assert all_are(result, INDEXED)
    assert endpoint.tries("a") == 4


def test_413_splits_down_to_the_line_that_is_too_large(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Everything that fits is indexed, and the one line that fits nowhere is rejected."""
    batch = batch_of(*"abcdefgh")
    batch.lines[5] = line("f", f'"policyDocument":"{"x" * 2_000}"')
    endpoint.always(lambda _: TooLarge(1_000))
    result = sender(engine, rebuilt).send(batch)
    assert [number for number, outcome in enumerate(result.outcomes) if outcome != INDEXED] == [5]
    assert result.outcomes[5] == REJECTED
    assert result.causes[5].type == "http_413"
    assert set(endpoint.documents) == set("abcdegh")


def test_halves_of_a_413_are_one_request_each(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """No more requests than the limit asks for, in the order of the lines."""
    endpoint.script(Answer.too_large())
    result = sender(engine).send(batch_of("a", "b", "c", "d"))
    assert all_are(result, INDEXED)
    assert [ids(request) for request in endpoint.requests] == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]


def test_a_400_of_the_whole_finds_its_culprit(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """An id of 600 bytes makes OpenSearch refuse the whole request: bisected, rebuilt once, and everything is indexed."""
    result = sender(engine, rebuilt).send(batch_of("a", "b", "c", LONG_ID, "e", "f", "g", "h"))
    assert all_are(result, INDEXED)
    assert endpoint.documents[LONG_ID[:512]]["rebuilt"] is True
    assert set(endpoint.documents) == {*"abcefgh", LONG_ID[:512]}
    assert not any("rebuilt" in endpoint.documents[identity] for identity in "abcefgh")


def test_a_culprit_that_cannot_be_rebuilt_is_rejected(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Its neighbours are indexed all the same, and the cause says what was wrong with it."""
    result = sender(engine).send(batch_of("a", LONG_ID, "c"))
    assert list(result.outcomes) == [INDEXED, REJECTED, INDEXED]
    assert "too long" in result.causes[1].reason


def test_a_400_of_the_whole_that_stays_is_rejected_after_one_rebuild(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Two lines, both refused whatever they look like: two tries each."""
    endpoint.always(lambda _: Answer(400, b'{"error":{"type":"parse_exception","reason":"no"},"status":400}'))
    result = sender(engine, rebuilt).send(batch_of("a", "b"))
    assert all_are(result, REJECTED)
    assert causes(result) == {"parse_exception"}
    assert result.requests == 5


def test_halves_keep_to_the_deadline(clock: Clock) -> None:
    """A request that is split again and again ends with the time, and what is left returns."""

    class Refusing:
        def bulk(self, body: bulk.Body, timeout: float) -> Reply:
            clock.now += 1
            return Reply(413)

    result = BulkSender(Refusing(), 6.0, never_rebuilt, QUICK, clock.sleep).send(batch_of(*"abcdefgh"))
    assert set(result.outcomes) == {REJECTED, RETURNED}
    assert clock.now == 6.0


# --- all of it together -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_any_mixture_of_answers_leaves_one_outcome_for_each_line(endpoint: BulkEndpoint, engine: HttpEngine, seed: int) -> None:
    """Items and requests fail at random: an outcome is what really happened to the line, and none is missing."""
    chance = random.Random(seed)
    faults: list[Fault] = [
        Answer.throttled(),
        Answer.too_large(),
        ResetBefore(),
        ResetAfter(20),
        DropItem(),
        Answer.bad_gateway(),
    ]
    verdicts = [Verdict(429), Verdict(503), Verdict(400), Verdict(403), None, None, None, None]
    endpoint.always(lambda _: chance.choice(faults) if chance.random() < 0.3 else Pass())

    def judge(_item: Item) -> Verdict | None:
        return chance.choice(verdicts)

    endpoint.judge = judge
    names = [f"n{number}" for number in range(40)]
    result = sender(engine, rebuilt).send(batch_of(*names))
    for number, name in enumerate(names):
        outcome = result.outcomes[number]
        assert outcome in (INDEXED, DUPLICATE, REJECTED, RETURNED)
        if outcome in (INDEXED, DUPLICATE):
            assert name in endpoint.documents
        else:
            assert number in result.causes


def test_the_owner_of_each_line_is_known() -> None:
    """Segments say whose the lines are, in order."""
    batch = Batch(lines=[b""] * 6, segments=[("one", 2), ("none", 0), ("three", 3), ("last", 1)])
    assert [batch.owner(number) for number in range(6)] == ["one", "one", "three", "three", "three", "last"]
    with pytest.raises(IndexError):
        batch.owner(6)
