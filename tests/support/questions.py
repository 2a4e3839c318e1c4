"""Documents to ask questions of, and the same records by themselves, so that each answer is compared with a count of its own."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit_search import index_template
from audit_search.documents import parse_time
from audit_search.rebuild import load_whole
from audit_search.records import DigestObjectError, windows
from audit_search_cli.connection import Anonymous, Engine, Target
from audit_search_cli.questions.events import Events
from tests.support.building import ROOT
from tests.support.cli import Run, run
from tests.support.engines import TestEngine

SAMPLES = ROOT / "events" / "objects"
SHARED = ROOT.parent / "shared" / "data" / "cloudtrail"
"""Real objects beside the project, where they are."""
GOLDEN = ROOT / "tests" / "unit" / "golden"
"""The answers that are kept; `pytest --renew-golden` writes them anew."""


class Engines:
    """What makes engines at one address, each under names of its own and with every template of the questions."""

    def __init__(self, endpoint: str, *, real: bool) -> None:
        self._endpoint, self._real = endpoint, real
        self._made: list[TestEngine] = []

    def new(self) -> TestEngine:
        """One more, without a document."""
        found = TestEngine(self._endpoint, real=self._real)
        self._made.append(found)
        found.install("cloudtrail", *index_template.CONFIG)
        return found

    def remove(self) -> None:
        """Remove all that were made."""
        for found in self._made:
            found.remove()


def fill(engine: TestEngine, folder: Path, elsewhere: Path) -> int:
    """Index the objects below a folder by the way of the function, and give the number of documents; `elsewhere` is for files."""
    state, quarantine = elsewhere / f"{folder.name}.state", elsewhere / "quarantine"
    files = ("--state", str(state), "--quarantine-folder", str(quarantine))
    shown = run("backfill", str(folder), "--of", "cloudtrail", *to(engine), *files, "--output", "json", env={})
    counts = shown.document["records"]
    assert counts["returned"] == 0, shown
    assert counts["read"] == sum(number for name, number in counts.items() if name != "read")
    engine.refresh()
    return int(counts["indexed"])


def to(engine: TestEngine) -> tuple[str, ...]:
    """The options that name an engine."""
    return ("--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix)


def ask(engine: TestEngine, *arguments: str) -> Run:
    """Run a command on an engine."""
    return run(*arguments, *to(engine), env={"COLUMNS": "120", "TZ": "UTC"})


def asked(engine: TestEngine, *arguments: str) -> Any:
    """The JSON document of a command on an engine."""
    shown = ask(engine, *arguments, "--output", "json")
    assert shown.out, shown
    return shown.document


def assert_kept(engine: TestEngine, name: str, question: tuple[str, ...], renew: bool) -> None:
    """Compare what a person or a script sees of an answer with the one that is kept under a name, to the last sign."""
    shown = ask(engine, *question)
    assert (shown.code, shown.err) == (0, "")
    text = shown.out.replace(engine.prefix, "")
    kept = GOLDEN / f"{name}.txt"
    if renew:
        kept.write_text(text, "utf-8")
    assert text == kept.read_text("utf-8")


def events_of(engine: TestEngine) -> Events:
    """The library on an engine."""
    return Events(Engine(Target(engine.endpoint, auth="none"), Anonymous()), engine.prefix)


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Each record of the objects below a folder by its document's id, read without any code of the search: the first of an id."""
    return {identity: found[0] for identity, found in all_records(folder).items()}


def all_records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The same, with every record of an id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.rglob("*.json.gz")):
        for text in _texts(path):
            record = load_whole(text)
            if isinstance(record, dict):
                found.setdefault(_identity(record, text), []).append(record)
    return found


def _texts(path: Path) -> Iterator[bytes]:
    try:
        for window in windows(iter([gzip.decompress(path.read_bytes())])):
            yield from map(bytes, window.texts)
    except DigestObjectError:
        return


def _identity(record: dict[str, Any], text: bytes) -> str:
    """eventID, which aggregated events write differently; the hash of the text for what has none that fits."""
    for name in ("eventID", "eventId"):
        value = record.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            long = len(str(value).encode()) > 512
            return f"sha256-{hashlib.sha256(str(value).encode()).hexdigest()}" if long else str(value)
    return f"sha256-{hashlib.sha256(text).hexdigest()}"


def when(record: Mapping[str, Any]) -> datetime | None:
    """A record's time, where it has one that is one."""
    found = parse_time(str(record.get("eventTime") or ""))
    return found.astimezone(UTC) if found and 2013 <= found.year <= 2026 else None


def holds(value: Any, wanted: str) -> bool:
    """Whether a text stands as a whole value anywhere in a tree."""
    if isinstance(value, dict):
        return any(holds(inner, wanted) for inner in value.values())
    if isinstance(value, list):
        return any(holds(inner, wanted) for inner in value)
    return value == wanted or (not isinstance(value, str) and json.dumps(value) == wanted)
