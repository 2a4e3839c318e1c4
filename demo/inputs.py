"""The CloudTrail objects that the demo puts into its bucket: the committed samples, or the user's own files."""

from __future__ import annotations

import glob
import gzip
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.options import DemoError

SAMPLES = Path(__file__).resolve().parents[1] / "events" / "objects"
SAMPLE_INSTANCE = "i-0a1b2c3d4e5f60718"
"""The web server whose life the samples tell."""

BATCH_OBJECTS = 10
BATCH_BYTES = 8 << 20
_SCANNED = 32 << 20
# Only whole JSON strings: an instance that calls by itself has its id in every one of its session names.
_INSTANCE = re.compile(rb'"(i-(?:[0-9a-f]{17}|[0-9a-f]{8}))"')


@dataclass(frozen=True, slots=True)
class InputObject:
    """A file and the key that its object gets."""

    key: str
    path: Path
    size: int


def samples() -> list[InputObject]:
    """The committed sample objects, with the keys that CloudTrail gave them."""
    found = [InputObject(key, path, path.stat().st_size) for key, path in _below(SAMPLES, SAMPLES, (".gz",))]
    if not found:
        raise DemoError("The sample objects in events/objects are missing.", "Make them with: python events/generate.py")
    return found


def users_files(wanted: str, called_from: str = "") -> list[InputObject]:
    """The user's own objects: a file, a folder (searched below) or a pattern, relative to where they are.

    Raises DemoError when nothing matches.
    """
    return [InputObject(key, path, path.stat().st_size) for key, path in matching("FILES", wanted, called_from, (".gz",))]


def matching(variable: str, wanted: str, called_from: str, endings: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Files with one of these endings, each with its key, as a variable names them. Raises DemoError when nothing matches.

    `make -C` changes the working directory; `called_from` is where the user was.
    """
    pattern = os.path.expanduser(wanted)
    bases = [Path.cwd()]
    if called_from and Path(called_from) != bases[0]:
        bases.append(Path(called_from))
    for base in bases:
        found = _matching(variable, str(base / pattern), endings)
        if found:
            return found
    places = " or ".join(str(base) for base in bases)
    looked = "" if os.path.isabs(pattern) else f" in {places}"
    which = " or ".join(f"*{ending}" for ending in endings)
    raise DemoError(
        f"{variable}={wanted} matches no {which} file{looked}.",
        f"Give a folder (searched below), a file, or a quoted pattern such as {variable}='logs/**/*{endings[0]}'.",
    )


def _matching(variable: str, pattern: str, endings: tuple[str, ...]) -> list[tuple[str, Path]]:
    try:
        path = Path(pattern)
        if path.is_dir():
            return _below(path, path, endings)
        if path.is_file():
            return [(_key(path, path.parent), path)]  # named outright: taken whatever its name ends in
        base = _fixed_part(pattern)
        found: dict[Path, str] = {}
        for match in map(Path, sorted(glob.glob(pattern, recursive=True))):
            one = [(_key(match, base), match)] if _is_input(match, endings) else []
            found.update((each, key) for key, each in (_below(match, base, endings) if match.is_dir() else one))
        return [(key, path) for path, key in found.items()]
    except OSError as error:
        raise DemoError(f"{error.filename or pattern} cannot be read: {error.strerror}.", f"Check {variable}.") from error


def _below(folder: Path, base: Path, endings: tuple[str, ...]) -> list[tuple[str, Path]]:
    return [(_key(path, base), path) for path in sorted(folder.rglob("*")) if _is_input(path, endings)]


def _is_input(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.endswith(endings) and path.is_file()


def _key(path: Path, base: Path) -> str:
    # A file name may be any bytes, a key is UTF-8.
    return os.fsencode(path.relative_to(base).as_posix()).decode("utf-8", "replace")


def _fixed_part(pattern: str) -> Path:
    """The folder in front of the first wildcard: keys are named from there."""
    parts = Path(pattern).parts
    wild = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:wild])


def batches(objects: Sequence[InputObject]) -> Iterator[list[InputObject]]:
    """Groups that one invocation takes: a queue hands over up to ten messages at a time."""
    batch: list[InputObject] = []
    size = 0
    for entry in objects:
        if batch and (len(batch) == BATCH_OBJECTS or size + entry.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch


def count_instances(path: Path, found: Counter[str]) -> None:
    """Add the EC2 instance ids of a file, as far as it can be read; what is wrong with it is for the function to say."""
    read = 0
    try:
        with gzip.open(path, "rb") as file:
            while read < _SCANNED and (chunk := file.read(1 << 20)):
                read += len(chunk)
                found.update(match.decode() for match in _INSTANCE.findall(chunk))
    except (OSError, EOFError, zlib.error):
        return


def most_frequent(found: Counter[str]) -> str:
    """The id that is named most often, the first in order among equals; an empty text when there is none."""
    return min(found, key=lambda instance: (-found[instance], instance)) if found else ""


def total_size(objects: Iterable[InputObject]) -> int:
    return sum(entry.size for entry in objects)
