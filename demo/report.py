"""What the demo shows a person, in order, and the one JSON object for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demo.function import COUNTS, Tally
from demo.screen import Screen, clean
from demo.searches import Search, Table, total
from demo.storage import QUARANTINE_BUCKET, Quarantined

LISTED = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """A search with what the engine answered."""

    search: Search
    hits: int
    table: Table


def answer_of(search: Search, response: dict[str, Any]) -> Answer:
    return Answer(search, total(response), search.read(response))


def as_json(tally: Tally, answers: Sequence[Answer], kept: dict[str, Any]) -> str:
    """One line: the counts, the searches, and with KEEP=1 where the engine is."""
    found = [{"name": answer.search.name, "query": answer.search.query, "hits": answer.hits} for answer in answers]
    return json.dumps({name: tally.counts[name] for name in COUNTS} | {"searches": found} | kept)


def outcomes(screen: Screen, tally: Tally, objects: int, given: int, alias: str) -> None:
    """What came in and where each record ended."""
    counts = tally.counts
    screen.heading("What came in, and where each record ended")
    skipped, failed = counts["skipped_objects"], counts["failed_objects"]
    parts = f"{objects - skipped - failed:,} read to their end + {skipped:,} skipped + {failed:,} failed"
    screen.line(f"{objects:,} objects = {parts}" + (f" ({given - objects:,} more were not sent)" if given > objects else ""))
    screen.line()
    screen.totals(
        [
            ("indexed", f"{counts['indexed']:,}", f"to be found under the name {alias}"),
            ("duplicates", f"{counts['duplicates']:,}", "the event was there already: one document, however often it comes"),
            ("filtered", f"{counts['filtered']:,}", "older than RETENTION_DAYS, or excluded by EXCLUSION_RULES"),
            ("quarantined", f"{counts['quarantined']:,}", "no document can be made of them; kept, with the reason"),
            ("returned", f"{counts['returned']:,}", "not done now: Lambda delivers them again"),
            ("", "", ""),
            ("records read", f"{counts['read']:,}", "the sum"),
        ]
    )
    if tally.skipped:
        screen.heading("Skipped objects")
        screen.table(("why", "what"), _first([(_ELSEWHERE.get(reason, reason), what) for what, reason in tally.skipped]))
        _more(screen, len(tally.skipped))
    if tally.failed:
        screen.heading("Objects that could not be read to their end")
        screen.table(("object", "why"), _first(tally.failed))
        _more(screen, len(tally.failed))


_ELSEWHERE = {"AWS Config object": "AWS Config object: give it to CONFIG_FILES"}


def quarantine(screen: Screen, found: Sequence[Quarantined]) -> None:
    """What lies in quarantine: where, why, and how it begins. Records of one object with one reason share a row."""
    if not found:
        return
    groups: dict[tuple[str, str, str], list[Quarantined]] = {}
    for entry in found:
        groups.setdefault((entry.key, entry.type, entry.reason), []).append(entry)
    screen.heading(f"In quarantine: s3://{QUARANTINE_BUCKET}, read back")
    screen.table(
        ("object", "records", "why", "text of the first"),
        _first([_quarantined(entries) for entries in groups.values()]),
    )
    _more(screen, len(groups))
    files = sorted({entry.file for entry in found})
    screen.line("Files: " + ", ".join(files[:3]) + (f" and {len(files) - 3:,} more" if len(files) > 3 else ""), "dim")


def searched(screen: Screen, answers: Sequence[Answer]) -> None:
    """The questions, their query texts and the answers."""
    if not answers:
        return
    screen.heading("Five searches (paste the query into Dashboards with DQL switched off, that is as Lucene)")
    for number, answer in enumerate(answers, 1):
        screen.heading(f"{number}. {answer.search.question}")
        screen.query("   query  ", answer.search.query)
        grouped = f", grouped by {answer.search.grouped}" if answer.search.grouped and answer.hits else ""
        screen.line(f"   {answer.hits:,} event{'' if answer.hits == 1 else 's'}{grouped}")
        if answer.table.rows:
            screen.table(answer.table.header, answer.table.rows, numbers=("calls", "events", "failed", "kinds of call"))
        if answer.table.note:
            screen.line(f"   {answer.table.note}", "dim")


def _quarantined(entries: Sequence[Quarantined]) -> tuple[str, str, str, str]:
    first = entries[0]
    numbers = [f"no. {entry.position + 1:,}" for entry in entries if entry.position is not None]
    which = ", ".join(numbers) if len(numbers) <= 3 else f"{len(numbers):,}, the first is {numbers[0]}"
    return first.key.rsplit("/", 1)[-1], which or "the whole object", f"{first.type}: {first.reason}", clean(first.raw, 40)


def _first(rows: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    return rows[:LISTED]


def _more(screen: Screen, number: int) -> None:
    if number > LISTED:
        screen.line(f"and {number - LISTED:,} more", "dim")
