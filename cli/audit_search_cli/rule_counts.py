"""What exclusion rules would leave out of the objects that there are: counted by reading them, with nothing written.

A record that two rules mean is counted for each, and once in what all of them leave out; rules that only count leave nothing out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from audit_search import documents
from audit_search.documents import Naming, Place
from audit_search.errors import ObjectError
from audit_search.exclusions import Rule
from audit_search.objects import ObjectReader
from audit_search.rebuild import Rejection, build
from audit_search.records import DigestObjectError, windows
from audit_search_cli.history_sources import Found


@dataclass(slots=True)
class Matched:
    """What one rule means: records, the bytes of their texts, and how many there are by `eventSource eventName`."""

    rule: Rule
    records: int = 0
    bytes: int = 0
    events: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class RuleCounts:
    """What was read: `excluded` records and bytes are those that the rules leave out together.

    `unusable` records could not be indexed anyhow; `unreadable` are objects that could not be read to their end, and why.
    """

    rules: list[Matched]
    objects: int = 0
    records: int = 0
    bytes: int = 0
    excluded: int = 0
    excluded_bytes: int = 0
    unusable: int = 0
    interrupted: bool = False
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def count(
    objects: Iterable[Found],
    rules: Sequence[Rule],
    reader: ObjectReader,
    *,
    stop: Callable[[], bool] = lambda: False,
    step: Callable[[RuleCounts], None] = lambda _: None,
) -> RuleCounts:
    """Read the objects, until `stop` says so, and count what each rule means."""
    result = RuleCounts([Matched(rule) for rule in rules])
    for found in objects:
        if stop():
            result.interrupted = True
            break
        result.objects += 1
        try:
            _read(found, reader, result)
        except DigestObjectError:
            pass
        except ObjectError as error:
            result.unreadable.append((found.ref.key, str(error)))
        step(result)
    return result


def _read(found: Found, reader: ObjectReader, result: RuleCounts) -> None:
    opened = reader.open(found.ref)
    delivered = documents.delivered(found.ref.key, None, opened.last_modified, datetime.now(UTC))
    place = Place(found.ref.bucket, found.ref.key, delivered)
    position = 0
    for window in windows(opened.chunks()):
        for raw in window.texts:
            _record(bytes(raw), place, position, result)
            position += 1


def _record(text: bytes, place: Place, position: int, result: RuleCounts) -> None:
    result.records += 1
    result.bytes += len(text)
    built = build(text, place, position, Naming(), "replay")
    if isinstance(built, Rejection):
        result.unusable += 1
        return
    excluded = False
    for matched in result.rules:
        if matched.rule.matches(built.source.get):
            matched.records += 1
            matched.bytes += len(text)
            matched.events[f"{built.source.get('eventSource', '')} {built.source.get('eventName', '')}"] += 1
            excluded = excluded or not matched.rule.count_only
    result.excluded += excluded
    result.excluded_bytes += len(text) * excluded
