"""Any JSON object as a record becomes a document on a real node: nothing is lost, nothing is quarantined, the node lives."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_search.bulk import Retries
from audit_search.cloudtrail import Policy
from audit_search.documents import BOOLEANS, FLAT_LEAVES, FLATTENED, KEYWORDS, TREES, Naming
from audit_search.envelopes import Message, ObjectRef
from audit_search.opensearch import HttpEngine
from audit_search.pipeline import Pipeline
from audit_search.quarantine import Entry
from audit_search.settings import Settings
from tests.support.engines import TestEngine
from tests.support.opensearch_node import OpenSearchNode

LONG = "k" * 40_000
WIDE = "\N{GRINNING FACE}"
KEYS = (
    "", " ", ".", "..", "a..b", ".a", "a.", "userIdentity.arn", "eventName.x", "event_name", "@timestamp", "raw", "ct", "_id",
    "_source", "a.b", "type", "arn", "value", "same", "\ud800", "\0", "\n", LONG, "k" * 900, "*", "a*", "-", "#", "\u00e4", "ip",
)  # fmt: skip
LEAVES = (
    "null", "true", "false", "0", "-1", "1.5", "1e400", "-1e400", "1e-400", "NaN", "Infinity", "-Infinity", "9" * 400,
    str(2**63), "[]", "{}", '""', '"text"', r'"\ud800"', r'"\u0000"', '"2026-11-03T08:14:22Z"', '"198.51.100.1"', '"true"',
    f'"{"x" * 40_000}"', f'"{WIDE * 8_200}"', '"a\tb"', f'"{"x" * 32_740}"',
)  # fmt: skip
FIELDS = (*KEYWORDS, *BOOLEANS, *TREES, *FLATTENED, "resources", "eventTime", "eventID", "eventId", "somethingNew", *KEYS)
INNER = tuple(sorted({part for name in FLAT_LEAVES for part in name.split(".")[1:]}))

keys = st.sampled_from(KEYS + INNER) | st.text(max_size=4)
leaves = st.sampled_from(LEAVES) | st.text(max_size=20).map(json.dumps) | st.integers().map(str) | st.floats().map(json.dumps)


def as_object(members: Iterable[tuple[str, str]]) -> str:
    """An object's text; equal keys stay."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members) + "}"


def as_list(items: Iterable[str]) -> str:
    """A list's text."""
    return "[" + ",".join(items) + "]"


def deep(value: str, levels: int, lists: bool) -> str:
    """A value below so many levels."""
    return ("[" if lists else '{"d":') * levels + value + ("]" if lists else "}") * levels


values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(st.tuples(keys, inner), max_size=5).map(as_object)
        | st.lists(inner, max_size=4).map(as_list)
        | st.builds(deep, inner, st.sampled_from([1, 5, 17, 21, 47, 49, 120, 700]), st.booleans())
    ),
    max_leaves=8,
)
usual = st.sampled_from(
    [
        ("eventTime", '"2026-11-03T08:14:22Z"'),
        ("eventName", '"ListBuckets"'),
        ("userIdentity", '{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/a"}'),
        ("requestParameters", '{"a":1}'),
    ]
)
hostile = st.tuples(st.sampled_from(FIELDS), values)
records = st.tuples(st.lists(usual, max_size=4, unique=True), st.lists(hostile, min_size=1, max_size=6), st.uuids()).map(
    lambda made: as_object([("eventID", f'"{made[2]}"'), *made[0], *made[1]])
)


@dataclass
class Opened:
    """An object that was opened."""

    ref: ObjectRef
    content: bytes
    last_modified: datetime = datetime(2026, 11, 3, 9, tzinfo=UTC)
    part: int | None = None

    def chunks(self) -> Iterator[bytes]:
        """All of it."""
        yield self.content


@dataclass
class Memory:
    """Reader and quarantine in one: an object of the records, and what was refused."""

    content: bytes = b""
    refused: list[Entry] = field(default_factory=list)

    def open(self, ref: ObjectRef) -> Opened:
        """As ObjectReader."""
        return Opened(ref, self.content)

    def holds(self, bucket: str, key: str) -> bool:
        """As Quarantine."""
        return False

    def write(self, _ref: ObjectRef, entries: Iterable[Entry]) -> str:
        """As Quarantine."""
        self.refused += entries
        return ""


@pytest.fixture(scope="module")
def engine(node: OpenSearchNode) -> Iterator[TestEngine]:
    """The node, with the index template for a prefix of one's own."""
    engine = TestEngine(node.endpoint, real=True)
    engine.install()
    yield engine
    engine.remove()


@pytest.fixture(scope="module")
def memory() -> Memory:
    """What the pipeline reads and refuses."""
    return Memory()


@pytest.fixture(scope="module")
def line_up(engine: TestEngine, memory: Memory) -> Pipeline:
    """A pipeline from memory to the node."""
    read = Settings.from_env(
        {
            "OPENSEARCH_ENDPOINT": engine.endpoint,
            "OPENSEARCH_AUTH": "none",
            "ALLOWED_BUCKETS": "trail",
            "QUARANTINE_BUCKET": "none",
        }
    )
    return Pipeline(
        reader=memory,  # type: ignore[arg-type]  # what it needs of one
        engine=HttpEngine(read),
        quarantine=memory,  # type: ignore[arg-type]  # what it needs of one
        policy=Policy(Naming(engine.prefix)),
        retries=Retries(base=0.01, cap=0.1),
    )


def send(line_up: Pipeline, memory: Memory, texts: list[str], key: str) -> None:
    """Send records; every one of them has to become a document."""
    memory.content = b'{"Records":[' + ",".join(texts).encode("utf-8", "surrogatepass") + b"]}"
    memory.refused.clear()
    report = line_up.run([Message("m", [ObjectRef("trail", key)])], time.monotonic() + 300)
    assert [(entry.type, entry.reason) for entry in memory.refused] == []
    assert [reason for _, reason in report.returned_messages] == []
    assert report.counts.read == len(texts)
    assert report.counts.indexed + report.counts.duplicates == len(texts)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(records, min_size=1, max_size=12))
def test_any_json_objects_become_documents(line_up: Pipeline, memory: Memory, texts: list[str]) -> None:
    """Batches of records with nasty keys, values and depths in every field."""
    send(line_up, memory, texts, "random.json.gz")


@pytest.mark.parametrize("name", FIELDS, ids=lambda name: repr(name[:20]))
def test_every_kind_of_value_in_a_field(line_up: Pipeline, memory: Memory, name: str) -> None:
    """Each field with each leaf, alone, in a list, in an object under each nasty key, and below many levels."""
    shapes = [*LEAVES, *(as_list([leaf]) for leaf in LEAVES), *(as_object([(key, '"v"')]) for key in KEYS + INNER)]
    shapes += [
        as_object([(key, as_object([("", "1"), ("a", leaf)]))]) for key in INNER for leaf in ("NaN", "null", '"v"', "[[1]]")
    ]
    shapes += [deep('"v"', levels, lists) for levels in (16, 17, 20, 21, 48, 49, 100, 1_000) for lists in (True, False)]
    members = json.dumps(name)
    texts = [
        f'{{"eventID":"{time.monotonic_ns()}-{number}","eventTime":"2026-11-03T08:14:22Z",{members}:{shape}}}'
        for number, shape in enumerate(shapes)
    ]
    send(line_up, memory, texts, f"field-{len(name)}.json.gz")
