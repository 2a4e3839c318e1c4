"""The objects of one invocation share their bulk requests, and every record, object and message has its own outcome."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_search import bulk, fetching, pipeline, reports
from audit_search.accounting import Counts
from audit_search.bulk import Batch, BatchResult, BulkSender, Retries
from audit_search.cloudtrail import DocumentBuilder, Lines, Policy
from audit_search.documents import Naming
from audit_search.envelopes import Message, ObjectRef
from audit_search.errors import AccountingError
from audit_search.exclusions import parse
from audit_search.objects import CHUNK, ObjectReader, OpenObject
from audit_search.opensearch import HttpEngine
from audit_search.pipeline import Pipeline
from audit_search.quarantine import Quarantine
from audit_search.records import Window
from audit_search.reports import ObjectReport, Report
from audit_search.settings import Settings
from tests.support.aws import QUARANTINE, TRAIL, Aws, Stored, record, records, text_of, trail_object
from tests.support.bulk_endpoint import BulkEndpoint, Item, Verdict
from tests.support.fault_proxy import Answer, DropItem, Fault, Pass, RejectItems, ResetAfter, ResetBefore, TooLarge

QUICK = Retries(attempts=8, base=0.001, cap=0.002, timeout=20)
CANARY = "canary-e7b1"


@pytest.fixture
def endpoint() -> Iterator[BulkEndpoint]:
    """A stand-in that indexes everything."""
    with BulkEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def line_up(aws: Aws, endpoint: BulkEndpoint) -> Pipeline:
    """A pipeline from the buckets to the stand-in."""
    settings = Settings.from_env(
        {
            "OPENSEARCH_ENDPOINT": endpoint.endpoint,
            "OPENSEARCH_AUTH": "none",
            "ALLOWED_BUCKETS": TRAIL,
            "QUARANTINE_BUCKET": QUARANTINE,
        }
    )
    return Pipeline(
        reader=ObjectReader(aws.s3, frozenset({TRAIL}), max_bytes=1 << 28, max_ratio=250),
        engine=HttpEngine(settings),
        quarantine=Quarantine(aws.s3, QUARANTINE, "quarantine/"),
        policy=Policy(Naming()),
        retries=QUICK,
    )


def ref(stored: Stored) -> ObjectRef:
    """How a message names an object."""
    return ObjectRef(stored.bucket, stored.key, size=stored.size)


def run(line_up: Pipeline, *messages: Iterable[Stored] | Stored, seconds: float = 300) -> Report:
    """Run one message for each argument: an object, or several."""
    asked = [
        Message(
            message_id=f"m{number}", objects=[ref(stored) for stored in ([objects] if isinstance(objects, Stored) else objects)]
        )
        for number, objects in enumerate(messages)
    ]
    return line_up.run(asked, time.monotonic() + seconds)


def returned(report: Report) -> dict[str | None, str]:
    """The messages that return, with the reason."""
    return {message.message_id: reason for message, reason in report.returned_messages}


def by_key(report: Report) -> dict[str, ObjectReport]:
    """The reports of the objects."""
    return {item.ref.key: item for item in report.objects if isinstance(item.ref, ObjectRef)}


def adds_up(report: Report) -> bool:
    """The accounting, once more, and the total as the sum of the objects."""
    total = Counts()
    for item in report.objects:
        item.counts.check(str(item.ref))
        total.add(item.counts)
    return total == report.counts


# --- sharing requests, telling outcomes apart ---------------------------------------------------------------------------


def test_ten_objects_share_one_request(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """Ten objects of thirty records, as real ones are, cost one bulk request."""
    stored = [aws.put_records(records(30, f"o{number}-")) for number in range(10)]
    report = run(line_up, *stored)
    assert len(endpoint.requests) == report.requests == 1
    assert len(endpoint.documents) == report.counts.indexed == report.counts.read == 300
    assert [item.counts for item in report.objects] == [Counts(read=30, indexed=30)] * 10
    assert returned(report) == {}
    assert endpoint.documents["o3-7"]["ct"]["key"] == stored[3].key
    assert endpoint.documents["o3-7"]["ct"]["position"] == 7


def test_each_outcome_belongs_to_its_own_object_and_message(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """One shared request, in which every kind of outcome happens to a record of another object."""
    verdicts = {
        "o1-4": Verdict(403, "security_exception", "no permissions"),
        "o2-5": Verdict(400, "mapper_parsing_exception", "never"),
        "o3-6": Verdict(409, "version_conflict_engine_exception"),
        "o4-7": Verdict(429, "rejected_execution_exception", "full"),
    }
    endpoint.judge = lambda item: verdicts.get(item.id)
    stored = [aws.put_records(records(10, f"o{number}-")) for number in range(6)]
    report = run(line_up, *stored)
    found = [by_key(report)[one.key].counts for one in stored]
    assert found == [
        Counts(read=10, indexed=10),
        Counts(read=10, indexed=9, returned=1),
        Counts(read=10, indexed=9, quarantined=1),
        Counts(read=10, indexed=9, duplicates=1),
        Counts(read=10, indexed=9, returned=1),
        Counts(read=10, indexed=10),
    ]
    assert set(returned(report)) == {"m1", "m4"}
    assert "security_exception: no permissions" in returned(report)["m1"]
    assert "rejected_execution_exception: full" in returned(report)["m4"]
    assert [item.outcome for item in report.objects] == ["indexed", "returned", "indexed", "indexed", "returned", "indexed"]
    assert adds_up(report)
    (kept,) = aws.quarantined()
    assert (kept["key"], kept["position"], json.loads(kept["raw"])["eventID"]) == (stored[2].key, 5, "o2-5")
    assert kept["error"] == {"type": "mapper_parsing_exception", "reason": "never"}


def test_a_message_is_done_when_all_its_objects_are(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """A message of two objects returns for one of them; another message that names the good one is done."""
    good, bad = aws.put_records(records(3, "good-")), aws.put_records(records(3, "bad-"))
    endpoint.judge = lambda item: Verdict(403, "cluster_block_exception") if item.id == "bad-1" else None
    report = run(line_up, [good, bad], good, [bad])
    assert set(returned(report)) == {"m0", "m2"}
    assert bad.key in returned(report)["m0"]
    assert good.key not in returned(report)["m0"]


def test_an_object_that_two_messages_name_is_read_once(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """Two trails' notifications, or a repeated one: one report, one count, and the fate of both messages."""
    stored = aws.put_records(records(5))
    report = run(line_up, stored, [stored, stored])
    assert report.counts == Counts(read=5, indexed=5)
    assert len(report.objects) == 1
    endpoint.proxy.down()
    assert set(returned(run(line_up, stored, stored))) == {"m0", "m1"}


def test_requests_keep_to_the_size_that_is_set(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """Many requests of at most that size, a line that is larger alone, and every record in the right order."""
    line_up.bulk_bytes = 20_000
    big = record("big", requestParameters={"text": "x" * 25_000})
    stored = aws.put_records([*records(50, "a-"), big, *records(50, "b-")])
    report = run(line_up, stored)
    assert report.counts == Counts(read=101, indexed=101)
    sizes = [(len(request.actions), len(request.body)) for request in endpoint.requests]
    assert all(size <= 20_000 + count * 30 or count == 1 for count, size in sizes)
    assert len(sizes) > 5
    assert endpoint.documents["b-49"]["ct"]["position"] == 100


def test_a_slow_sender_bounds_what_is_built(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """While the engine does not answer, only a few batches wait for it; all of them arrive in the end."""
    line_up.bulk_bytes, line_up.senders = 10_000, 2
    gate, waiting, most = threading.Event(), threading.Semaphore(0), [0]
    sends = line_up.engine.bulk
    lock = threading.Lock()
    built = [0]

    class Gate:
        def bulk(self, body: bulk.Body, timeout: float) -> bulk.Reply:
            waiting.release()
            gate.wait()
            return sends(body, timeout)

    line_up.engine = Gate()
    real = DocumentBuilder.lines

    def counted(self: DocumentBuilder, window: Window, first: int) -> Lines:
        with lock:
            built[0] += len(window.texts)
        return real(self, window, first)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DocumentBuilder, "lines", counted)
        stored = [aws.put_records(records(40, f"o{number}-")) for number in range(12)]
        reports: list[Report] = []
        thread = threading.Thread(target=lambda: reports.append(run(line_up, *stored)))
        thread.start()
        for _ in range(2):
            waiting.acquire()
        # Two are being sent and one more may wait: the pipeline stands still with most objects not yet built.
        most[0] = built[0]
        gate.set()
        thread.join()
    assert most[0] < 480
    assert reports[0].counts == Counts(read=480, indexed=480)


@pytest.mark.parametrize("seed", range(6))
def test_the_counts_add_up_whatever_happens(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline, seed: int) -> None:
    """Faults of every kind at random, several senders, small requests: nothing is lost and no message lies."""
    import random

    chance = random.Random(seed)
    line_up.bulk_bytes = 15_000
    faults: list[Fault] = [Answer.throttled(), Answer.too_large(), ResetBefore(), ResetAfter(9), DropItem(), RejectItems({0})]
    endpoint.always(lambda _: chance.choice(faults) if chance.random() < 0.3 else Pass())
    verdicts = [Verdict(429), Verdict(400), Verdict(403), *[None] * 30]
    endpoint.judge = lambda _item: chance.choice(verdicts)
    stored = [aws.put_records([*records(20, f"o{number}-"), b'"no object"']) for number in range(8)]
    report = run(line_up, *stored)
    assert adds_up(report)
    assert report.counts.read == 8 * 21
    # A record whose answer was lost may be there although a later attempt for it was refused.
    assert report.counts.indexed + report.counts.duplicates <= len(endpoint.documents)
    assert report.counts.quarantined == len(aws.quarantined())
    for number, one in enumerate(stored):
        assert (by_key(report)[one.key].counts.returned > 0) == (f"m{number}" in returned(report))
    endpoint.always(lambda _: Pass())
    endpoint.judge = lambda _item: None
    again = run(line_up, *stored)
    assert again.counts.returned == 0
    everything = {f"o{number}-{position}" for number in range(8) for position in range(20)}
    assert set(endpoint.documents) == everything


# --- accounting ---------------------------------------------------------------------------------------------------------


class Dropping(BulkSender):
    """Loses the last line of a batch on the way."""

    def send(self, batch: Batch) -> BatchResult:
        """As the real one, one short."""
        del batch.lines[-1], batch.ids[-1], batch.checksums[-1], batch.positions[-1]
        owner, count = batch.segments[-1]
        batch.segments[-1] = (owner, count - 1)
        return super().send(batch)


class Forgetting(BulkSender):
    """Sends everything and forgets how one line ended."""

    def send(self, batch: Batch) -> BatchResult:
        """As the real one, with a gap."""
        result = super().send(batch)
        result.outcomes[0] = 0
        return result


class Inventing(BulkSender):
    """Reports a line twice."""

    def send(self, batch: Batch) -> BatchResult:
        """As the real one, with one outcome too many."""
        result = super().send(batch)
        owner, _ = batch.segments[0]
        batch.segments.append((owner, 1))
        for name in ("ids", "checksums", "positions", "lines"):
            getattr(batch, name).append(getattr(batch, name)[0])
        result.outcomes.append(bulk.INDEXED)
        return result


class Misattributing(BulkSender):
    """Takes one object's line for another's: the total is right, the objects' counts are not."""

    def send(self, batch: Batch) -> BatchResult:
        """As the real one, with a border in the wrong place."""
        result = super().send(batch)
        (first, few), (second, many) = batch.segments
        batch.segments[:] = [(first, few - 1), (second, many + 1)]
        return result


@pytest.mark.parametrize("sender", [Dropping, Forgetting, Inventing, Misattributing])
def test_a_record_that_is_lost_inside_the_bulk_step_breaches_the_accounting(
    aws: Aws, line_up: Pipeline, sender: type[BulkSender]
) -> None:
    """An error, not a line in a log: the invocation fails and its messages return."""
    line_up.sender = sender
    stored = [aws.put_records(records(3, f"o{number}-")) for number in range(2)]
    with pytest.raises(AccountingError, match="records read, but"):
        run(line_up, *stored)


def test_a_sender_that_fails_is_an_error_too(aws: Aws, line_up: Pipeline) -> None:
    """Its records have no outcome, so nobody is told that they are done."""

    class Failing(BulkSender):
        def send(self, batch: Batch) -> BatchResult:
            raise RuntimeError("a mistake")

    line_up.sender = Failing
    with pytest.raises((AccountingError, RuntimeError)):
        run(line_up, aws.put_records(records(3)))


def test_a_second_delivery_gives_only_duplicates(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """The ids are the records' own, so a repeated message changes nothing."""
    stored = aws.put_records([*records(5), b"[1]", b"{broken: yes}"])
    first, kept = run(line_up, stored), aws.keys()
    second = run(line_up, stored)
    assert first.counts == Counts(read=7, indexed=5, quarantined=2)
    assert second.counts == Counts(read=7, duplicates=5, quarantined=2)
    assert len(kept) == 1
    assert aws.keys() == kept
    assert len(endpoint.documents) == 5


def test_duplicates_that_differ_are_counted_apart(aws: Aws, line_up: Pipeline) -> None:
    """The same id with another content: in one object, and in a later one."""
    first = run(line_up, aws.put_records([record("a"), record("b"), record("a", eventName="Other"), record("b")]))
    assert first.counts == Counts(read=4, indexed=2, duplicates=2, differing=1)
    second = run(line_up, aws.put_records([record("a"), record("b", eventName="Other")]))
    assert second.counts == Counts(read=2, duplicates=2, differing=1)


def test_what_is_too_old_or_excluded_is_filtered_and_counted(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """Retention and rules leave records out by intent; a rule that only counts leaves nothing out."""
    line_up.retention_days = 30
    line_up.now = lambda: datetime(2026, 11, 20, tzinfo=UTC)
    line_up.policy.rules = parse(
        '[{"name":"reads","match":{"eventName":"Get*"}},{"name":"alice","match":{"userIdentity.userName":"alice"},"count_only":true}]'
    )
    old = record("old", eventTime="2026-10-01T00:00:00Z")
    odd = record("odd", eventTime="2026-10-01T00:00:00Z", errorCode=200)
    report = run(line_up, aws.put_records([record("kept"), record("read", eventName="GetObject"), old, odd]))
    assert report.counts == Counts(read=4, indexed=1, filtered=3)
    assert set(endpoint.documents) == {"kept"}
    assert report.would_filter == {"reads": 1, "alice": 2}


# --- quarantine ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_a_document_is_kept_with_its_neighbours_indexed(aws: Aws, line_up: Pipeline) -> None:
    """One file for the object; each line holds the text byte for byte, or in base64 where it is no text."""
    odd = [b'"a string"', b"[1,2]", b"null", b"{broken: yes}", b'["\xff\xfe"]']
    texts = [text_of(record("a")), *odd[:2], text_of(record("b")), *odd[2:4], text_of(record("c")), odd[4]]
    stored = aws.put_records(texts)
    report = run(line_up, stored)
    assert report.counts == Counts(read=8, indexed=3, quarantined=5)
    kept = aws.quarantined()
    assert [line["position"] for line in kept] == [1, 2, 4, 5, 7]
    assert [line["raw"] for line in kept[:4]] == [text.decode() for text in odd[:4]]
    assert (kept[4]["raw"], base64.b64decode(kept[4]["rawBase64"])) == (None, odd[4])
    assert {(line["bucket"], line["key"]) for line in kept} == {(stored.bucket, stored.key)}
    assert {line["error"]["type"] for line in kept} == {"not_an_object", "not_json"}
    assert all(line["error"]["reason"] and line["time"] for line in kept)
    assert len(aws.keys()) == 1
    assert returned(report) == {}


def test_quarantine_is_the_same_after_a_retry(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """The engine is down at the first try, which returns the message; the second writes the same file again."""
    stored = aws.put_records([b'"no object"', *records(2)])
    endpoint.proxy.down()
    assert returned(run(line_up, stored))
    endpoint.proxy.up()
    assert not returned(run(line_up, stored))
    assert len(aws.keys()) == len(aws.quarantined()) == 1


def test_without_quarantine_the_message_returns_and_nothing_is_dropped(aws: Aws, line_up: Pipeline) -> None:
    """The bucket is missing: its neighbours are indexed, the record is neither lost nor called done."""
    line_up.quarantine = Quarantine(aws.s3, "missing-bucket", "quarantine/")
    bad, good = aws.put_records([record("a"), b"7"]), aws.put_records([record("b")])
    report = run(line_up, bad, good)
    assert by_key(report)[bad.key].counts == Counts(read=2, indexed=1, returned=1)
    assert set(returned(report)) == {"m0"}
    assert "quarantine_unavailable" in returned(report)["m0"]


def test_without_quarantine_a_broken_object_returns(aws: Aws, line_up: Pipeline) -> None:
    """The pointer to an unreadable object is all that will be left of it: without it the message is not done."""
    line_up.quarantine = Quarantine(aws.s3, "missing-bucket", "quarantine/")
    assert set(returned(run(line_up, aws.put(b"no gzip")))) == {"m0"}


def test_a_whole_object_that_is_refused_fills_quarantine_in_parts(
    aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held back is bounded, every record is there once, and a retry adds nothing."""
    monkeypatch.setattr(reports, "QUARANTINE_BYTES", 5_000)
    line_up.bulk_bytes, line_up.senders = 5_000, 1
    endpoint.judge = lambda _item: Verdict(400, "mapper_parsing_exception")
    stored = aws.put_records(records(40))
    report = run(line_up, stored)
    assert report.counts == Counts(read=40, quarantined=40)
    assert len(aws.keys()) > 2
    assert sorted(line["position"] for line in aws.quarantined()) == list(range(40))


def test_a_413_of_one_line_is_quarantined(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """What no request can carry is kept, the rest is indexed."""
    endpoint.always(lambda _: TooLarge(30_000))
    stored = aws.put_records([*records(5), record("huge", requestParameters={"text": "x" * 20_000}), *records(5, "b-")])
    report = run(line_up, stored)
    assert report.counts == Counts(read=11, indexed=10, quarantined=1)
    (kept,) = aws.quarantined()
    assert kept["error"]["type"] == "http_413"
    assert json.loads(kept["raw"])["eventID"] == "huge"


def test_a_document_that_is_refused_is_rebuilt_the_exact_way(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """Equal keys are an item 400: the last one wins, `ct.rebuilt` says so, `raw` is the text byte for byte."""
    text = b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"twice","requestParameters":{"a":1,"b":{"c":1,"c":2},"a":3}}'
    report = run(line_up, aws.put_records([record("a"), text]))
    assert report.counts == Counts(read=2, indexed=2)
    document = endpoint.documents["twice"]
    assert document["raw"].encode() == text
    assert document["requestParameters"] == {"b": {"c": 2}, "a": 3}
    assert document["ct"]["rebuilt"] is True
    assert document["ct"]["position"] == 1
    assert "rebuilt" not in endpoint.documents["a"]["ct"]


def test_lists_within_lists_are_cut_where_the_engine_refuses_them(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """An engine takes twenty in a field that is not mapped; rebuilt, the inner ones are JSON text; mapped trees stay whole."""
    endpoint.judge = lambda item: Verdict(400, "mapper_parsing_exception") if item.tries == 1 else None
    nested = json.loads("[" * 30 + '"bottom"' + "]" * 30)
    report = run(line_up, aws.put_records([record("a", somethingNew=nested, requestParameters={"tree": nested})]))
    assert report.counts == Counts(read=1, indexed=1)
    document = endpoint.documents["a"]
    assert document["requestParameters"] == {"tree": nested}
    inner, levels = document["somethingNew"], 0
    while isinstance(inner, list):
        inner, levels = inner[0], levels + 1
    assert (levels, json.loads(inner)) == (16, json.loads("[" * 14 + '"bottom"' + "]" * 14))
    assert document["ct"]["truncated"] == ["somethingNew"]


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\n\n \n"])
def test_line_breaks_between_tokens_stay_inside_their_document(
    aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline, separator: bytes
) -> None:
    """In a bulk request a line break ends a document: a reformatted record must not become an action of its own."""
    action = b'{"delete":{"_index":"cloudtrail-2026.11","_id":"a"}}'
    text = separator.join(
        [b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"lines","x":[', action, b'],"y":', b'{"index":{"_index":"i"}}', b"}"]
    )
    report = run(line_up, aws.put_records([record("a"), text, record("b")]))
    assert report.counts == Counts(read=3, indexed=3)
    assert len(endpoint.requests) == 1
    assert [list(action) for request in endpoint.requests for action, _ in request.actions] == [["create"]] * 3
    assert endpoint.documents["lines"]["raw"].encode() == text
    assert "rebuilt" not in endpoint.documents["lines"]["ct"]


def test_our_own_quarantine_files_are_not_read(aws: Aws, line_up: Pipeline) -> None:
    """The trail's bucket may hold them too, and its notifications name them."""
    line_up.quarantine = Quarantine(aws.s3, TRAIL, "quarantine/")
    key = line_up.quarantine.write(ObjectRef(TRAIL, "x"), [])
    report = run(line_up, Stored(TRAIL, key))
    assert report.counts == Counts()
    assert [skipped.reason for skipped in report.skipped] == ["quarantine file"]
    assert returned(report) == {}


# --- time ---------------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        """Some time ago."""
        self.now = 1_000.0

    def monotonic(self) -> float:
        """As time.monotonic."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the pipeline and its sender."""
    clock = Clock()
    monkeypatch.setattr(fetching, "time", clock)
    monkeypatch.setattr(bulk, "time", clock)
    return clock


@dataclass
class Opened:
    """What the pipeline needs of an object that was opened."""

    ref: ObjectRef
    last_modified: datetime
    content: Iterable[bytes]
    part: int | None = None

    def chunks(self) -> Iterator[bytes]:
        """As OpenObject."""
        yield from self.content


class Reader:
    """Opens what it was given as chunks of inflated bytes, and everything else as the real one."""

    def __init__(self, real: ObjectReader, made_up: dict[str, Iterable[bytes]]) -> None:
        """Objects by key."""
        self.real = real
        self.made_up = made_up

    def open(self, asked: ObjectRef) -> Opened | OpenObject:
        """As ObjectReader."""
        if asked.key not in self.made_up:
            return self.real.open(asked)
        return Opened(asked, datetime(2026, 11, 3, 9, tzinfo=UTC), self.made_up[asked.key])


def with_objects(line_up: Pipeline, made_up: dict[str, Iterable[bytes]]) -> list[Stored]:
    """Have the pipeline read made-up objects, whose size nobody knows."""
    line_up.reader = Reader(line_up.reader, made_up)  # type: ignore[assignment]  # what it needs of one
    return [Stored(TRAIL, key) for key in made_up]


def endless(clock: Clock, content: Iterator[bytes]) -> Iterator[bytes]:
    """An object whose download takes a second for each chunk and never ends."""
    for chunk in content:
        clock.now += 1
        yield chunk


def many_records() -> Iterator[bytes]:
    """The content of an object that never ends."""
    yield b'{"Records":['
    number = 0
    while True:
        number += 1
        yield text_of(record(f"endless-{number}", requestParameters={"text": "x" * 200_000})) + b","


def spaces() -> Iterator[bytes]:
    """An object that never gets to a record."""
    yield b'{"Records":['
    while True:
        yield b" " * CHUNK


@pytest.mark.parametrize("content", [many_records, spaces])
def test_a_runaway_object_does_not_hold_back_the_others(
    aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline, clock: Clock, content: Any
) -> None:
    """It has half of the time while others wait behind it: they are indexed, and only its own message returns."""
    (runaway,) = with_objects(line_up, {"runaway.json.gz": endless(clock, content())})
    others = [aws.put_records(records(4, f"o{number}-")) for number in range(3)]
    asked = [Message(f"m{number}", [ref(one)]) for number, one in enumerate([runaway, *others])]
    report = line_up.run(asked, clock.now + 60)
    assert set(returned(report)) == {"m0"}
    assert "time-budget" in returned(report)["m0"]
    assert {f"o{number}-{position}" for number in range(3) for position in range(4)} <= set(endpoint.documents)
    assert adds_up(report)
    assert by_key(report)["runaway.json.gz"].counts.returned == 0
    assert 30 <= clock.now - 1_000 <= 32


def test_the_last_object_has_all_the_time_that_is_left(aws: Aws, line_up: Pipeline, clock: Clock) -> None:
    """Nobody waits behind it; it ends with the invocation's time, and what was read of it keeps its outcomes."""
    (runaway,) = with_objects(line_up, {"runaway.json.gz": endless(clock, many_records())})
    report = line_up.run([Message("m0", [ref(runaway)])], clock.now + 60)
    assert set(returned(report)) == {"m0"}
    assert 60 <= clock.now - 1_000 <= 62
    assert report.counts.read > 40
    assert adds_up(report)


class Hanging(Future[Any]):
    """A fetch that S3 never answers: whoever waits for it waits to the end."""

    def __init__(self, clock: Clock) -> None:
        """Waiting moves the clock."""
        super().__init__()
        self._clock = clock

    def result(self, timeout: float | None = None) -> Any:
        """As Future."""
        self._clock.now += timeout or 0.0
        raise FutureTimeoutError


def test_a_fetch_that_hangs_does_not_hold_back_the_others(aws: Aws, line_up: Pipeline, clock: Clock) -> None:
    """S3 never answers for one object, the first: the others still have time, and are indexed."""
    hanging = Stored(TRAIL, "hanging.json.gz")

    class Executor(ThreadPoolExecutor):
        def submit(self, work: Any, /, *arguments: Any, **keywords: Any) -> Future[Any]:
            if arguments == (ref(hanging),):
                return Hanging(clock)
            return super().submit(work, *arguments, **keywords)

    line_up.fetcher.threads = taken = Executor()
    others = [aws.put_records(records(4, f"o{number}-")) for number in range(3)]
    asked = [Message(f"m{number}", [ref(one)]) for number, one in enumerate([hanging, *others])]
    report = line_up.run(asked, clock.now + 60)
    assert set(returned(report)) == {"m0"}
    assert "time-budget" in returned(report)["m0"]
    assert report.counts == Counts(read=12, indexed=12)
    # Its thread may hang on: the next invocation has threads of its own.
    assert line_up.fetcher.threads is not taken
    assert run(line_up, aws.put_records(records(2, "next-"))).counts == Counts(read=2, indexed=2)


def test_without_time_everything_returns_and_nothing_is_sent(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """No half-done work is reported as done."""
    stored = [aws.put_records(records(3, f"o{number}-")) for number in range(3)]
    report = run(line_up, *stored, seconds=-1)
    assert set(returned(report)) == {"m0", "m1", "m2"}
    assert report.failed_objects == 3
    assert endpoint.requests == []


def test_what_is_not_done_in_time_returns_and_the_rest_is_done(
    aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline, clock: Clock
) -> None:
    """The time ends in the middle of the objects: those before are indexed, those behind return untouched."""
    stored = [aws.put_records(records(4, f"o{number}-")) for number in range(6)]
    line_up.bulk_bytes = 1_000
    real = line_up.reader

    class Slow:
        def open(self, asked: ObjectRef) -> Opened:
            found = real.open(asked)
            return Opened(asked, found.last_modified, self.slowly(found.chunks()))

        def slowly(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                clock.now += 20
                yield chunk

    line_up.reader = Slow()  # type: ignore[assignment]  # what it needs of one
    report = line_up.run([Message(f"m{number}", [ref(one)]) for number, one in enumerate(stored)], clock.now + 100)
    assert adds_up(report)
    assert 0 < len(returned(report)) < 6
    for number, one in enumerate(stored):
        done = f"m{number}" not in returned(report)
        assert all((f"o{number}-{position}" in endpoint.documents) for position in range(4)) or not done, one


# --- mistakes -----------------------------------------------------------------------------------------------------------


def _failing_open(line_up: Pipeline, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = line_up.reader

    class Failing:
        def open(self, asked: ObjectRef) -> OpenObject:
            if asked.key == key:
                raise KeyError(CANARY)
            return real.open(asked)

    line_up.reader = Failing()  # type: ignore[assignment]  # what it needs of one


def _failing_stream(line_up: Pipeline, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[bytes]:
        yield b'{"Records":[' + text_of(record("before")) + b","
        raise ValueError(CANARY)

    with_objects(line_up, {key: broken()})


def _failing_build(line_up: Pipeline, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = DocumentBuilder.lines

    def lines(self: DocumentBuilder, window: Window, first: int) -> Lines:
        if self._place.key == key:
            raise TypeError(CANARY)
        return real(self, window, first)

    monkeypatch.setattr(DocumentBuilder, "lines", lines)


@pytest.mark.parametrize("failing", [_failing_open, _failing_stream, _failing_build])
def test_a_mistake_of_ours_returns_only_its_own_object(
    aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline, monkeypatch: pytest.MonkeyPatch, failing: Any
) -> None:
    """Whatever is raised while one object is read or built; its text, which may hold a record, is not repeated."""
    stored = [aws.put_records(records(3, f"o{number}-")) for number in range(3)]
    failing(line_up, stored[1].key, monkeypatch)
    report = run(line_up, *stored)
    assert set(returned(report)) == {"m1"}
    assert "internal" in returned(report)["m1"]
    assert CANARY not in returned(report)["m1"]
    assert ".py:" in returned(report)["m1"]
    assert {"o0-0", "o2-2"} <= set(endpoint.documents)
    assert adds_up(report)


def test_a_mistake_while_rebuilding_leaves_the_refusal_as_it_is(
    aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is kept in quarantine with the engine's reason; its neighbours, of other objects as well, are indexed."""

    def broken(*_arguments: object, **_keywords: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(pipeline, "build", broken)
    endpoint.judge = lambda item: Verdict(400, "mapper_parsing_exception", "no") if item.id == "o1-1" else None
    report = run(line_up, *[aws.put_records(records(3, f"o{number}-")) for number in range(3)])
    assert report.counts == Counts(read=9, indexed=8, quarantined=1)
    assert returned(report) == {}
    assert aws.quarantined()[0]["error"]["type"] == "mapper_parsing_exception"


def test_the_records_before_an_objects_end_keep_their_outcome(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """An object that is cut off within its third record: two are indexed, a pointer to it is kept, the message is done."""
    whole = b'{"Records":[' + b",".join(text_of(one) for one in records(3)) + b"]}"
    report = run(line_up, aws.put(gzip.compress(whole[:-30])))
    assert report.counts == Counts(read=2, indexed=2)
    assert report.failed_objects == 1
    assert returned(report) == {}
    (kept,) = aws.quarantined()
    assert (kept["error"]["type"], kept["position"], kept["raw"]) == ("truncated", None, None)


def test_a_big_object_streams_beside_small_ones(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """More than one chunk of compressed bytes, between objects of the usual size."""
    import random

    chance = random.Random(1)
    big = [record(f"big-{number}", requestParameters={"noise": chance.randbytes(12_000).hex()}) for number in range(150)]
    body = trail_object(big)
    assert len(body) > CHUNK
    stored = [aws.put_records(records(5, "a-")), aws.put(body), aws.put_records(records(5, "b-"))]
    report = run(line_up, *stored)
    assert report.counts == Counts(read=160, indexed=160)
    assert len(endpoint.documents) == 160


def test_an_item_is_judged_by_what_it_holds(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """The document that arrives is flat at the top, with the record's own text and where it came from."""
    seen: list[Item] = []

    def look(item: Item) -> None:
        seen.append(item)

    endpoint.judge = look
    one = record("a")
    stored = aws.put_records([one])
    run(line_up, stored)
    document = seen[0].document
    assert seen[0].index == "cloudtrail-2026.11"
    assert document["userIdentity.userName"] == "alice"
    assert document["raw"] == text_of(one).decode()
    assert (document["ct"]["bucket"], document["ct"]["key"]) == (TRAIL, stored.key)


def test_objects_of_a_replay_are_marked_unless_they_are_live_too(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """The mark is that of each object, also of records that take the exact way: what a live message names stays live."""
    modes: dict[str, str] = {}

    def look(item: Item) -> None:
        modes[item.document["eventID"]] = item.document["ct"]["ingestMode"]

    endpoint.judge = look
    odd = record("odd", eventVersion=["1.11"])
    again, both, live = (aws.put_records([record(name), *more]) for name, more in (("again", [odd]), ("both", []), ("live", [])))
    asked = [
        Message(message_id="m0", objects=[ref(again), ref(both)], replay=True),
        Message(message_id="m1", objects=[ref(both), ref(live)]),
        Message(message_id="m2", objects=[ref(both)], replay=True),
    ]
    report = line_up.run(asked, time.monotonic() + 300)
    assert report.counts == Counts(read=4, indexed=4)
    assert modes == {"again": "replay", "odd": "replay", "both": "live", "live": "live"}


def test_a_line_that_is_built_again_keeps_its_mark(aws: Aws, endpoint: BulkEndpoint, line_up: Pipeline) -> None:
    """The engine refuses the first form of a record of a replay: the second one is marked as well."""
    seen: list[dict[str, Any]] = []

    def refuse(item: Item) -> Verdict | None:
        seen.append(item.document["ct"])
        return None if "rebuilt" in item.document["ct"] else Verdict(400, "mapper_parsing_exception", "no")

    endpoint.judge = refuse
    line_up.run([Message(objects=[ref(aws.put_records(records(1)))], replay=True)], time.monotonic() + 300)
    assert [ct["ingestMode"] for ct in seen] == ["replay"] * 2
