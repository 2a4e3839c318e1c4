"""What a backfill has done already: a file that only grows, written to the disk after each batch.

The first line says what it is of; each further line names the objects of a batch, each with its mark (`history_sources.Found`),
and what became of their records. A line that a kill has torn is left out, and its objects are done again, which makes duplicates
and nothing else. So is an object whose mark is another one by now, for it was overwritten. Files of the first format have no
marks: what they name is done, whatever it is now.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from audit_search_cli.errors import Problem

_FORMAT = 2
_READ = (1, _FORMAT)
_HEAD = b'{"format":'


def default_path(of: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    """Where the state of this source and target lies: below XDG_STATE_HOME, else ~/.local/state.
    https://specifications.freedesktop.org/basedir-spec/latest/"""
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    name = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]
    return Path(home, "audit-search", f"backfill-{name}.jsonl")


class State:
    """The file, held by one backfill at a time while its `with` block lasts.

    `done` are the marks of the objects that are done, by key (empty where none is known), `counts` what became of their records
    in all runs.
    """

    def __init__(self, path: Path, of: Mapping[str, str], *, restart: bool = False) -> None:
        self.path = path
        self.done: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._of = dict(of)
        self._restart = restart
        self._file = -1

    def __enter__(self) -> Self:
        """Open, lock and read it. Raises Problem."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Problem(
                f"The state file {self.path} cannot be opened: {error.strerror}", "Name another with --state."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise Problem(f"Another backfill is using {self.path}", "Wait for it, or name another file with --state.") from error
        try:
            self._read()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)

    def has(self, key: str, mark: str) -> bool:
        """Whether an object is done, as it is now."""
        return self.done.get(key) in ("", mark)

    def add(self, done: Mapping[str, str], counts: Mapping[str, int]) -> None:
        """A batch is done, of these objects' marks by key: it is on the disk when this returns."""
        self._write({"done": dict(done), "counts": dict(counts)})
        self.done.update(done)
        self.counts.update(counts)

    def _read(self) -> None:
        """Take what is there. Nothing is cut off before the first line said that the file is a backfill's state."""
        text = b"".join(iter(lambda: os.read(self._file, 1 << 20), b""))
        whole = text[: text.rfind(b"\n") + 1]
        lines = whole.splitlines()
        if text and not text.startswith(_HEAD[: len(text)]):
            raise Problem(f"{self.path} is no state of a backfill", "Name another file with --state.")
        for number, line in enumerate([] if self._restart else lines):
            try:
                self._take(number, json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Problem(
                    f"{self.path} is no state of a backfill (line {number + 1})",
                    "Name another file with --state, or give --restart to begin anew.",
                ) from error
        kept = 0 if self._restart else len(whole)
        os.truncate(self._file, kept)
        os.lseek(self._file, 0, os.SEEK_END)
        if not kept:
            self._write({"format": _FORMAT, "of": self._of})

    def _take(self, number: int, entry: Any) -> None:
        if number:
            done = entry["done"]
            marks = done.items() if isinstance(done, dict) else ((key, "") for key in done)
            self.done.update((str(key), str(mark)) for key, mark in marks)
            self.counts.update({str(name): int(count) for name, count in entry["counts"].items()})
        elif entry["format"] not in _READ or entry["of"] != self._of:
            other = ", ".join(f"{name} {value}" for name, value in entry["of"].items() if self._of.get(name) != value)
            raise Problem(
                f"{self.path} is the state of another backfill ({other or 'of another version'})",
                "Name another file with --state, or give --restart to begin anew.",
            )

    def _write(self, entry: Any) -> None:
        left = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        try:
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            raise Problem(
                f"{self.path} cannot be written: {error.strerror}", "Make room; what was done since is done again then."
            ) from error
