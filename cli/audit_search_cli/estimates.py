"""What a backfill would be: objects, bytes and events, minutes and money, by reading some of its objects.

Its figures are those of the benchmarks and of the list of prices behind docs/cost.md; a test holds them together. Where the
functions do the work it is reckoned as if each object were a message of its own, ten in an invocation; several in a message
are cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from audit_search.aws_config.objects import items_of, source_of
from audit_search.errors import ObjectError
from audit_search.objects import ObjectReader
from audit_search.records import DigestObjectError, windows
from audit_search_cli.history_sources import Found

SAMPLE: Final = 20

EVENTS_A_SECOND: Final = 3_000
OBJECTS_A_SECOND: Final = 100
"""What a process does here at least, where the engine keeps up."""

EVENT_US: Final = 16.1
OBJECT_MS: Final = 0.9
ITEM_US: Final = 186.7
STORED_BYTES: Final = 1_112
"""CPU of an event, of an object itself and of an item of AWS Config's, and bytes of one copy of an event in the indices, as
measured."""

INVOCATION_OBJECTS: Final = 10
WAITING_MS: Final = 150.0
"""What an invocation takes from the queue, and how long it waits for S3 and the engine: the latter is an assumption."""

COPIES: Final = 4
MEMORY_MB: Final = 1_769
"""The template's: MaximumConcurrency as it is by default, and the memory of a function."""

GET_USD: Final = 0.0004 / 1_000
LIST_USD: Final = 0.005 / 1_000
GB_SECOND_USD: Final = 0.0000133334
INVOCATION_USD: Final = 0.20 / 1e6
SQS_USD: Final = 0.40 / 1e6
"""For one request, and for one GB-second on arm64: us-east-1, without a free tier."""


@dataclass(frozen=True, slots=True)
class Functions:
    """The same work done by the functions of a stack: minutes with `COPIES` of them, US dollars for Lambda and for SQS."""

    minutes: float
    lambda_usd: float
    sqs_usd: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a selection amounts to; `events` and `items` (AWS Config's) by what `sampled` objects hold, of which `unreadable`
    could not be read.

    `minutes` are those of some processes here, `stored` bytes those of one copy, `s3_usd` is for listings and GETs. `functions`
    is None for a folder.
    """

    objects: int
    bytes: int
    sampled: int
    unreadable: int
    events: int
    items: int
    minutes: float
    stored: int
    s3_usd: float
    functions: Functions | None


def estimate(objects: Sequence[Found], reader: ObjectReader, processes: int, listings: int | None) -> Estimate:
    """What the objects amount to, by reading some that lie evenly among them. Nothing is written.

    `listings` are the requests that found them, None for a folder, which costs nothing and no function reads.
    """
    trail, config = (_sampled([found for found in objects if found.config is kind], reader) for kind in (False, True))
    records, sampled = trail.records + config.records, trail.sampled + config.sampled
    seconds = max(records / EVENTS_A_SECOND, len(objects) / OBJECTS_A_SECOND) / processes
    return Estimate(
        objects=len(objects),
        bytes=trail.bytes + config.bytes,
        sampled=sampled,
        unreadable=trail.unreadable + config.unreadable,
        events=trail.records,
        items=config.records,
        minutes=seconds / 60,
        stored=records * STORED_BYTES,
        s3_usd=0.0 if listings is None else (len(objects) + sampled) * GET_USD + listings * LIST_USD,
        functions=None if listings is None else by_functions(len(objects), trail.records, config.records),
    )


class _Sample(NamedTuple):
    bytes: int
    sampled: int
    unreadable: int
    records: int


def _sampled(objects: Sequence[Found], reader: ObjectReader) -> _Sample:
    """What objects of one kind hold, by the bytes of those that are read."""
    sample = objects[:: max(1, len(objects) // SAMPLE)][:SAMPLE]
    sizes = records = unreadable = 0
    for found in sample:
        try:
            records += _count(reader, found)
            sizes += found.ref.size or 0
        except DigestObjectError:
            sizes += found.ref.size or 0
        except ObjectError:
            unreadable += 1
    total = sum(found.ref.size or 0 for found in objects)
    return _Sample(total, len(sample), unreadable, round(records * total / sizes) if sizes else 0)


def by_functions(objects: int, events: int, items: int) -> Functions:
    """What the functions would take for so many objects, events and items, and what it would cost."""
    invocations = -(-objects // INVOCATION_OBJECTS)
    work = objects * OBJECT_MS + (events * EVENT_US + items * ITEM_US) / 1_000
    seconds = (work + invocations * WAITING_MS) / 1_000
    requests = objects + 2 * invocations  # a send for each, and one receive and one delete for those that go together
    return Functions(
        minutes=seconds / COPIES / 60,
        lambda_usd=seconds * MEMORY_MB / 1_024 * GB_SECOND_USD + invocations * INVOCATION_USD,
        sqs_usd=requests * SQS_USD,
    )


def _count(reader: ObjectReader, found: Found) -> int:
    """How many events or items an object holds. Raises ObjectError and DigestObjectError."""
    chunks = reader.open(found.ref).chunks()
    if found.config:
        return sum(1 for _ in items_of(chunks, source=source_of(found.ref.key)))
    return sum(len(window.texts) for window in windows(chunks))
