"""A replay of files of quarantine, one after the other, and what became of them.

A file is finished once it has begun. The run ends early where the engine takes nothing of several files in a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit_search.quarantine import QuarantineError
from audit_search_cli.errors import Problem
from audit_search_cli.kept import KeptEntry
from audit_search_cli.replay import OUTCOMES, Replayer, Tried
from audit_search_cli.replay_files import File

_IN_VAIN: Final = 3


@dataclass(frozen=True, slots=True)
class Stay:
    """Entries that stay in a file, and why."""

    file: str
    entries: int
    type: str
    reason: str


@dataclass(slots=True)
class Replay:
    """How a run went.

    `files` are counted by what became of them: emptied (all its entries are done), smaller, unchanged, damaged, failed (it could
    not be written or deleted), gone (deleted meanwhile), other (nothing in it was asked for). `entries` by outcome, `types` those
    that were tried by the type of their error, `objects` what the objects held that were read again.
    """

    found: int = 0
    files: Counter[str] = field(default_factory=Counter)
    entries: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    stays: list[Stay] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    stopped: str = ""

    @property
    def tried(self) -> int:
        """Entries that were tried."""
        return sum(self.entries[name] for name in OUTCOMES)

    @property
    def left(self) -> int:
        """Files that nothing was done with."""
        return self.found - self.files.total()


def run(
    files: Sequence[File],
    wanted: Callable[[KeptEntry], bool],
    replayer: Replayer | None,
    *,
    keep: bool = False,
    stop: Callable[[], bool] = lambda: False,
    step: Callable[[Replay], None] = lambda _: None,
) -> Replay:
    """Try again what is wanted, until `stop` says so. Without a replayer it is only counted; with `keep` files stay as they are.

    Raises AuditSearchError where nothing can be written at all, and what botocore raises.
    """
    result = Replay(found=len(files))
    in_vain = 0
    for file in files:
        if result.stopped or stop():
            break
        entries = _entries(file, result)
        chosen = [number for number, entry in enumerate(entries or []) if wanted(entry)]
        if entries is None:
            continue
        if not chosen:
            result.files["other"] += 1
            continue
        result.types.update(entries[number].type for number in chosen)
        if replayer is None:
            result.files["unchanged"] += 1
            continue
        tried = replayer.run(entries, chosen, file.siblings)
        result.files[_leave(file, entries, tried, result, keep=keep)] += 1
        in_vain = in_vain + 1 if tried.held_back else 0
        if in_vain == _IN_VAIN:
            result.stopped = next((why for kind, why in tried.why if kind == "returned"), "nothing is taken")
        step(result)
    result.interrupted = stop() and result.left > 0
    return result


def _entries(file: File, result: Replay) -> list[KeptEntry] | None:
    """What is in a file, None where that cannot be had."""
    try:
        entries = file.read()
    except Problem as problem:
        result.files["damaged"] += 1
        result.problems.append((str(file), problem.what))
        return None
    if entries is None:
        result.files["gone"] += 1
    return entries


def _count(file: str, tried: Tried, result: Replay) -> None:
    result.entries.update(tried.counts)
    result.objects.update(tried.objects)
    result.stays += [Stay(file, count, *why) for why, count in sorted(tried.why.items())]


def _leave(file: File, entries: list[KeptEntry], tried: Tried, result: Replay, *, keep: bool) -> str:
    """Count, leave in a file what stays, and say what became of it."""
    lines, name = tried.lines(entries), str(file)
    if keep or lines == [entry.line for entry in entries]:
        _count(name, tried, result)
        return "unchanged"
    try:
        if lines:
            name = file.write(lines)
        else:
            file.delete()
    except QuarantineError as error:
        result.problems.append((name, str(error)))
        return "failed"
    finally:
        _count(name, tried, result)
    return "emptied" if not lines else "smaller" if len(lines) < len(entries) else "unchanged"
