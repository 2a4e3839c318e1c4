"""Reading by id and writing in bulk: in few requests, again where that may help, and with a named cause where it does not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from audit_search.aws_config.requests import Requests, UnreadableError
from audit_search.bulk import INDEXED, REJECTED, RETURNED, Body, Reply, Retries


class Scripted:
    """An engine that has all documents but for those of absent indices, after the replies of its script."""

    def __init__(self, *script: Reply) -> None:
        self.script = list(script)
        self.asked: list[int] = []

    def mget(self, wanted: Sequence[Mapping[str, Any]], timeout: float) -> Reply:
        """The documents, by what the request names."""
        assert timeout > 0
        self.asked.append(len(wanted))
        if self.script:
            return self.script.pop(0)
        absent = {"error": {"type": "index_not_found_exception", "reason": "no such index"}}
        return Reply(200, items=[absent if one["_index"] == "absent" else {"found": True, **one} for one in wanted])

    def search(self, index: str, body: Mapping[str, Any], timeout: float) -> Reply:
        """One hit, which says where it was looked for."""
        assert timeout > 0
        self.asked.append(1)
        return self.script.pop(0) if self.script else Reply(200, items=[{"_index": index, "found": True, "_source": body}])

    def bulk(self, body: Body, timeout: float) -> Reply:
        """Everything is indexed but for what is called so."""
        texts = bytes(body).split(b"\n")[:-1:2]
        self.asked.append(len(texts))
        statuses = [400 if b"bad" in text else 403 if b"forbidden" in text else 201 for text in texts]
        return Reply(200, True, [{"index": {"status": status, "error": {"type": "t", "reason": "r"}}} for status in statuses])


def requests(engine: Scripted, *, seconds: float = 60, bulk_bytes: int = 1_000) -> Requests:
    """Requests to an engine, without any waiting."""
    return Requests(engine, time.monotonic() + seconds, Retries(attempts=3), bulk_bytes, lambda _: None)


def wanted(count: int, index: str = "there", size: int = 100) -> list[tuple[dict[str, Any], int]]:
    """What to ask for."""
    return [({"_index": index, "_id": str(number)}, size) for number in range(count)]


def test_documents_come_in_the_order_of_what_was_wanted() -> None:
    """However many requests it takes, bounded by documents and by bytes."""
    engine = Scripted()
    answers = requests(engine).read(wanted(2_500))
    assert [answer["_id"] for answer in answers] == [str(number) for number in range(2_500)]
    assert engine.asked == [1_000, 1_000, 500]
    engine = Scripted()
    requests(engine).read(wanted(5, size=3_000_000))
    assert engine.asked == [2, 2, 1]


def test_nothing_wanted_is_no_request() -> None:
    """Where nothing is needed the engine is not asked."""
    engine = Scripted()
    assert requests(engine).read([]) == []
    assert list(requests(engine).write([])) == []
    assert engine.asked == []


def test_an_absent_index_holds_no_documents() -> None:
    """The month of a version may not be there yet, or no longer."""
    assert not requests(Scripted()).read(wanted(1, "absent"))[0].get("found")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, type="rejected_execution_exception"),
        Reply(503),
        Reply(0, type="timeout"),
        Reply(200, items=[]),
        Reply(200, items=None),
        Reply(200, items=["x"]),
        Reply(200, items=[{"error": {"type": "no_shard_available_action_exception"}}]),
        Reply(403, reason="Request throttled due to too many requests"),
    ],
    ids=lambda reply: f"{reply.status} {reply.items}",
)
def test_what_may_pass_is_asked_again(reply: Reply) -> None:
    """A loaded engine, a lost answer, a shard on its way: the next answer counts."""
    engine = Scripted(reply)
    asked = requests(engine)
    assert asked.read(wanted(1))[0]["found"]
    assert asked.count == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, type="rejected_execution_exception"),
        Reply(503),
        Reply(0, type="timeout"),
        Reply(200, items=None),
        Reply(200, items=["x"]),
    ],
    ids=lambda reply: f"{reply.status} {reply.items}",
)
def test_a_search_is_as_patient_as_a_reading(reply: Reply) -> None:
    """Half an answer would make resources seem missing: it is asked again, and in the end is an error."""
    asked = requests(Scripted(reply))
    assert asked.search("states", {"size": 1}) == [{"_index": "states", "found": True, "_source": {"size": 1}}]
    assert asked.count == 2
    with pytest.raises(UnreadableError):
        requests(Scripted(*[reply] * 3)).search("states", {})
    with pytest.raises(UnreadableError, match="out_of_time"):
        requests(Scripted(), seconds=-1).search("states", {})


def test_what_does_not_pass_is_an_error_with_its_cause() -> None:
    """A refusal is not asked again; a fault that lasts ends after some attempts."""
    engine = Scripted(Reply(403, type="security_exception", reason="no permissions"))
    with pytest.raises(UnreadableError, match="security_exception: no permissions"):
        requests(engine).read(wanted(1))
    assert len(engine.asked) == 1
    engine = Scripted(*[Reply(503, type="busy")] * 9)
    with pytest.raises(UnreadableError, match="busy"):
        requests(engine).read(wanted(1))
    assert len(engine.asked) == 3


def test_no_time_is_no_request() -> None:
    """After the deadline nothing is asked, and the cause says so."""
    engine = Scripted()
    with pytest.raises(UnreadableError, match="out_of_time"):
        requests(engine, seconds=-1).read(wanted(1))
    assert [outcome for outcome, _ in requests(engine, seconds=-1).write([b'{"index":{}}\n{"cfg":{"ingestTime":"'])] == [RETURNED]
    assert engine.asked == []


def test_lines_are_sent_in_requests_of_bounded_size() -> None:
    """Each line has its outcome in order; one that is larger than a request may be goes alone."""
    engine = Scripted()
    texts = [b"x" * size for size in (10, 450, 450, 450, 5_000, 10)]
    lines = [b'{"index":{"_id":"%d"}}\n{"x":"%b","cfg":{"ingestTime":"' % pair for pair in enumerate(texts)]
    assert [outcome for outcome, _ in requests(engine).write(lines)] == [INDEXED] * 6
    assert engine.asked == [2, 1, 1, 1, 1]


def test_refused_lines_have_their_cause() -> None:
    """What the engine does not take is rejected, what it forbids returns."""
    lines = [b'{"index":{"_id":"%b"}}\n{"cfg":{"ingestTime":"' % name for name in (b"good", b"bad", b"forbidden")]
    outcomes = list(requests(Scripted()).write(lines))
    assert [outcome for outcome, _ in outcomes] == [INDEXED, REJECTED, RETURNED]
    assert [str(cause) for _, cause in outcomes[1:]] == ["t: r", "t: r"]
