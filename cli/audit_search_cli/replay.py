"""What is kept in quarantine goes through the functions' own pipelines again, here, and leaves quarantine when it is done.

Of a file only what is refused again, or could not be tried, stays, so that an entry is never in two files. A file in which
nothing stays is deleted. Each entry ends as indexed, duplicate, filtered, quarantined (again) or returned (to stay for a later
try); an entry that is a whole message or object ends as the first of these that any part of it does, from the end of the list.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from audit_search import assembly
from audit_search.accounting import Counts
from audit_search.aws_config import assembly as config_assembly
from audit_search.aws_config.reports import ConfigReport
from audit_search.bulk import Retries
from audit_search.container import Container
from audit_search.envelopes import MessageRef, ObjectRef
from audit_search.errors import AccountingError
from audit_search.quarantine import Entry, Quarantine, line
from audit_search.reports import ObjectReport, Report
from audit_search_cli.history_worker import Job
from audit_search_cli.kept import KeptEntry
from audit_search_cli.replay_plan import KeptReader, Modified, PartRef, Step, plan

OUTCOMES: Final = ("indexed", "duplicates", "filtered", "quarantined", "returned")
_SECONDS: Final = 3_600.0
_Line = dict[str, Any]


class Refusals(Quarantine):
    """Takes what is refused again, in place of a bucket; it is the file that it came from which is written."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """Where the real quarantine is: its own files are read by nobody."""
        self._bucket, self._prefix = bucket, prefix
        self.taken: list[tuple[ObjectRef | MessageRef, Entry]] = []

    def write(self, ref: ObjectRef | MessageRef, entries: Iterable[Entry]) -> str:
        """Keep them here."""
        self.taken += [(ref, entry) for entry in entries]
        return ""


@dataclass(slots=True)
class Tried:
    """What became of the chosen entries of a file.

    `stays` has the lines that stay in place of an entry, by its number; `objects` what the objects held that were read again;
    `why` the types and reasons of what stays. `held_back`: the engine took something not now.
    """

    chosen: frozenset[int] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)
    stays: dict[int, list[_Line]] = field(default_factory=dict)
    objects: Counter[str] = field(default_factory=Counter)
    why: Counter[tuple[str, str]] = field(default_factory=Counter)
    held_back: bool = False

    def lines(self, entries: Sequence[KeptEntry]) -> list[_Line]:
        """What the file is to hold from now on."""
        numbered = enumerate(entries)
        parts = (self.stays.get(number, []) if number in self.chosen else [entry.line] for number, entry in numbered)
        return [one for part in parts for one in part]

    def stay(self, number: int, outcome: str, lines: list[_Line], kind: str, reason: str) -> None:
        """An entry stays, as these lines."""
        self.counts[outcome] += 1
        self.stays[number] = lines
        self.why[kind, reason] += 1


class Replayer:
    """Tries entries again, by pipelines that are built when they are needed; its `with` block has the AWS settings of the job.

    Raises AuditSearchError where nothing can be written at all.
    """

    def __init__(self, job: Job, modified: Modified, retries: Retries | None = None) -> None:
        """`modified` says when an object was written last; `retries` are those of the engine."""
        self._job = job
        self._modified = modified
        self._retries = retries
        self._made: dict[bool, Container[Any]] = {}
        self._environment = contextlib.ExitStack()

    def __enter__(self) -> Replayer:
        self._environment.enter_context(_environment(self._job.environ))
        return self

    def __exit__(self, *_: object) -> None:
        self._environment.close()

    def run(self, entries: Sequence[KeptEntry], chosen: Sequence[int], siblings: Callable[[], Iterable[KeptEntry]]) -> Tried:
        """Try the chosen entries of one file. `siblings` are the entries of the other files of the same source.

        Raises AccountingError when one has no outcome.
        """
        tried = Tried(frozenset(chosen))
        made = plan(entries, chosen, self._modified, datetime.now(UTC))
        for number in made.impossible:
            entry = entries[number]
            tried.stay(number, "quarantined", [entry.line], entry.type, entry.reason)
        for step in made.steps:
            report, refused = self._run(step)
            tried.held_back = tried.held_back or bool(report.counts.returned or _events(report).returned)
            if step.whole is None:
                _settle_parts(step, report, refused, entries, tried)
            else:
                _settle_whole(step.whole, report, refused, entries, tried, siblings)
        if tried.counts.total() != len(chosen):
            raise AccountingError(f"{len(chosen)} entries tried, but {tried.counts.total()} have an outcome")
        return tried

    def _run(self, step: Step) -> tuple[Report, Refusals]:
        container = self._container(step.config)
        container.require_templates()
        refused = Refusals(self._job.environ["QUARANTINE_BUCKET"], self._job.environ["QUARANTINE_PREFIX"])
        container.pipeline.quarantine = refused
        return container.pipeline.run([step.message], time.monotonic() + _SECONDS), refused

    def _container(self, config: bool) -> Container[Any]:
        if config not in self._made:
            job = self._job
            made: Container[Any] = config_assembly.assemble(job.config) if config else assembly.assemble(job.environ)
            made.pipeline.reader = KeptReader(made.pipeline.reader)
            if self._retries:
                made.pipeline.retries = self._retries
            self._made[config] = made
        return self._made[config]


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """The profile, region and certificates of a job, where the clients of the pipelines look for them."""
    wanted = {name: value for name, value in settings.items() if name.startswith("AWS_")}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _settle_parts(step: Step, report: Report, refused: Refusals, entries: Sequence[KeptEntry], tried: Tried) -> None:
    """Count records. Where some of a part return, all of it stays: which of them did is not known, and the rest is a duplicate
    the next time."""
    for job in report.objects:
        part = job.ref
        assert isinstance(part, PartRef)  # noqa: S101  # the step named nothing else
        counts = job.counts
        back = counts.returned + len(part.entries) - counts.read
        for name in OUTCOMES[:-1]:
            tried.counts[name] += getattr(counts, name)
        tried.counts["returned"] += back
        if back:
            tried.stays |= {number: [entries[number].line] for number in part.entries}
            tried.why["returned", job.reason] += back
    for ref, entry in refused.taken:
        assert isinstance(ref, PartRef)  # noqa: S101
        number = ref.entries[(entry.position or 0) - ref.first]
        tried.stays[number] = [_again(entries[number], entry)]
        tried.why[entry.type, entry.reason] += 1


def _settle_whole(
    number: int,
    report: Report,
    refused: Refusals,
    entries: Sequence[KeptEntry],
    tried: Tried,
    siblings: Callable[[], Iterable[KeptEntry]],
) -> None:
    """Count a message or an object."""
    entry = entries[number]
    counts, events = report.counts, _events(report)
    objects = [job for job in report.objects if isinstance(job.ref, ObjectRef)]
    for job in objects:
        tried.objects["objects"] += 1
        tried.objects.update({name: getattr(job.counts, name) for name in ("read", *OUTCOMES)})
    if report.returned_messages:
        reason = report.returned_messages[0][1]
        return tried.stay(number, "returned", [entry.line], "returned", reason)
    if refused.taken:
        kind, reason = refused.taken[0][1].type, refused.taken[0][1].reason
        lines = _lines_of_object(entry, objects[0], refused, entries, tried, siblings) if entry.text is None else None
        return tried.stay(number, "quarantined", [_refused(entry, refused)] if lines is None else lines, kind, reason)
    done = {name: getattr(counts, name) + getattr(events, name) for name in OUTCOMES[:3]}
    tried.counts[next((name for name in OUTCOMES[:3] if done[name]), "filtered")] += 1
    return None


def _events(report: Report) -> Counts:
    return report.events if isinstance(report, ConfigReport) else Counts()


def _refused(entry: KeptEntry, refused: Refusals) -> _Line:
    """The line of an entry that is refused again: with the new reason where that is about the whole of it."""
    told = [new for _, new in refused.taken if new.text == entry.text]
    return _again(entry, told[0]) if len(refused.taken) == len(told) == 1 else entry.line


def _lines_of_object(
    entry: KeptEntry,
    job: ObjectReport,
    refused: Refusals,
    entries: Sequence[KeptEntry],
    tried: Tried,
    siblings: Callable[[], Iterable[KeptEntry]],
) -> list[_Line]:
    """What stays in place of an object that was read again: its records that are refused, unless they are kept already, and
    the object itself where it could not be read to its end."""
    assert isinstance(job.ref, ObjectRef)  # noqa: S101
    staying = (one for number, one in enumerate(entries) if number in tried.stays or number not in tried.chosen)
    known = {_mark(one.position, one.text) for group in (siblings(), staying) for one in group if one.source == entry.source}
    lines = []
    for _, new in refused.taken:
        if new.text is None:
            lines.append(_again(entry, new))
        elif _mark(new.position, new.text) not in known:
            lines.append(line(job.ref, new, _now()))
    return lines


def _mark(position: int | None, text: bytes | None) -> tuple[int | None, bytes]:
    return position, sha256(text or b"").digest()


def _again(entry: KeptEntry, new: Entry) -> _Line:
    """An entry's line with the reason of now; the same as it was where the reason is."""
    error = {"type": new.type, "reason": new.reason[:2_000]}
    return entry.line if error == entry.line["error"] else {**entry.line, "error": error, "time": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
