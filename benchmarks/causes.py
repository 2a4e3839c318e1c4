"""`make bench-causes`: how often the causes of Config changes are found, beside the nearest write with the resource's id.

Days in a made-up account whose truth is known (`causes_scenarios`), three levels. Prints a report and writes it to
`benchmarks/report-causes.md`. The levels' seeds are not those on which the factors of the scorer were chosen.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from audit_search.causes.baseline import nearest
from audit_search.causes.calls import Call, of_record
from audit_search.causes.scoring import LIKELY, LOOK_BACK, explain
from audit_search.causes.versions import Version
from benchmarks.causes_account import Json
from benchmarks.causes_scenarios import LEVELS, Day, Level, days

SEEDS = (101, 102, 103)
STEPS = 700
BINS = ((0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01))
REPORT = Path(__file__).with_name("report-causes.md")
_WORD = re.compile(r"[^\s\"\\:,/{}\[\]]+")


@dataclass
class Tally:
    """Links that were named and that there are, and versions whose cause is unknown to everybody. `said` are the scores of all
    links and whether they are right."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    silent_right: int = 0
    silent_wrong: int = 0
    without: int = 0
    versions: int = 0
    said: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, named: set[str], truth: frozenset[str]) -> None:
        self.versions += 1
        self.right += len(named & truth)
        self.wrong += len(named - truth)
        self.missed += len(truth - named)
        self.without += not truth
        if not named:
            self.silent_right += not truth
            self.silent_wrong += bool(truth)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    @property
    def abstention(self) -> float:
        """Of the versions that no recorded call caused, those of which that is said."""
        return self.silent_right / max(1, self.without)

    def within(self, low: float, high: float) -> tuple[int, float, float]:
        """Links whose score lies there: how many, what was said of them on average, and how many were right."""
        inside = [(score, right) for score, right in self.said if low <= score < high]
        number = len(inside)
        return number, sum(score for score, _ in inside) / max(1, number), sum(right for _, right in inside) / max(1, number)


class Records:
    """A day's records, found as the engine finds them: by a text that is anywhere in one."""

    def __init__(self, records: Iterable[Json]) -> None:
        self.raw = {record["eventID"]: record for record in records}
        self.calls = {identity: call for identity, record in self.raw.items() if (call := of_record(record))}
        self.texts = {identity: msgspec.json.encode(record).decode().lower() for identity, record in self.raw.items()}
        self.by_word: defaultdict[str, set[str]] = defaultdict(set)
        for identity, text in self.texts.items():
            for word in set(_WORD.findall(text)):
                self.by_word[word].add(identity)

    def found(self, version: Version) -> list[str]:
        """The ids of the records that hold one of the texts that the version is looked up by, from before it."""
        hits: set[str] = set()
        for text, source in version.lookups:
            words = _WORD.findall(text.lower())
            common = set.intersection(*(self.by_word.get(word, set()) for word in words)) if words else set()
            hits |= {one for one in common if not source or self.raw[one]["eventSource"] == source}
        return [one for one in hits if version.captured - LOOK_BACK <= self.calls[one].time <= version.captured + 2_000]


def judged(day: Day, ours: Tally, theirs: Tally) -> list[tuple[Version, frozenset[str], list[tuple[str, float]]]]:
    """Add a day to the tallies; gives what went wrong."""
    records = Records(day.records)
    wrong = []
    for version, truth in day.versions:
        found = records.found(version)
        calls: list[Call] = [records.calls[one] for one in found]
        links = explain(version, calls).links
        named = {link.event for link in links if link.score >= LIKELY}
        ours.add(named, truth)
        ours.said += [(link.score, link.event in truth) for link in links]
        near = nearest(version, (records.raw[one] for one in found))
        theirs.add({near} if near else set(), truth)
        if named != truth:
            wrong.append((version, truth, [(link.event, link.score) for link in links]))
    return wrong


def measured(level: Level, seeds: Iterable[int] = SEEDS, steps: int = STEPS) -> tuple[Tally, Tally]:
    """Ours and the nearest write's, on the days of a level."""
    ours, theirs = Tally(), Tally()
    for day in days(level, tuple(seeds), steps):
        judged(day, ours, theirs)
    return ours, theirs


def report(results: dict[str, tuple[Tally, Tally]]) -> str:
    """The report as Markdown."""
    lines = [
        "# Causes of changes that AWS Config recorded",
        "",
        "Links between versions and calls on made-up days whose truth is known; `make bench-causes`. A link is named from 0.5 on.",
        "",
        "| day | versions | without a recorded cause | method | precision | recall | abstains where there is none |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for name, tallies in results.items():
        for method, one in zip(("ours", "nearest write with the id"), tallies, strict=True):
            lines.append(
                f"| {name} | {one.versions:,} | {one.without:,} | {method} | {one.precision:.3f} | {one.recall:.3f} | {one.abstention:.3f} |"
            )
    lines += [
        "",
        "What was said and what was right:",
        "",
        "| day | said | links | said on average | right |",
        "|---|---|---:|---:|---:|",
    ]
    for name, (ours, _) in results.items():
        for low, high in BINS:
            number, said, right = ours.within(low, high)
            if number:
                lines.append(f"| {name} | {low} to {min(high, 1.0)} | {number:,} | {said:.2f} | {right:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each day")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    options = parser.parse_args()
    results = {level.name: measured(level, options.seeds, options.steps) for level in LEVELS}
    text = report(results)
    print(text)
    options.report.write_text(text, "utf-8")
    if options.json:
        figures = {
            name: {"precision": ours.precision, "recall": ours.recall, "abstention": ours.abstention}
            for name, (ours, _) in results.items()
        }
        options.json.write_text(json.dumps(figures), "utf-8")


if __name__ == "__main__":
    main()
