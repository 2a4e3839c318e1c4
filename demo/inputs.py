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
    found = _below(SAMPLES, SAMPLES)
    if not found:
        raise DemoError("The sample objects in events/objects are missing.", "Make them with: python events/generate.py")
    return found


def users_files(wanted: str, called_from: str = "") -> list[InputObject]:
    """The user's own objects: a file, a folder (searched below) or a pattern, relative to where they are.

    `make -C` changes the working directory; `called_from` is where the user was. Raises DemoError when nothing matches.
    """
    pattern = os.path.expanduser(wanted)
    bases = [Path.cwd()]
    if called_from and Path(called_from) != bases[0]:
        bases.append(Path(called_from))
    for base in bases:
        found = _matching(str(base / pattern))
        if found:
            return found
    places = " or ".join(str(base) for base in bases)
    looked = "" if os.path.isabs(pattern) else f" in {places}"
    raise DemoError(
        f"FILES={wanted} matches no *.gz file{looked}.",
        "Give a folder (searched below), a file, or a quoted pattern such as FILES='logs/**/*.json.gz'.",
    )


def _matching(pattern: str) -> list[InputObject]:
    try:
        path = Path(pattern)
        if path.is_dir():
            return _below(path, path)
        if path.is_file():
            return [_object(path, path.parent)]  # named outright: taken whatever its name ends in
        base = _fixed_part(pattern)
        found: dict[Path, InputObject] = {}
        for match in map(Path, sorted(glob.glob(pattern, recursive=True))):
            under = _below(match, base) if match.is_dir() else [_object(match, base)] if _is_input(match) else []
            found.update((entry.path, entry) for entry in under)
        return list(found.values())
    except OSError as error:
        raise DemoError(f"{error.filename or pattern} cannot be read: {error.strerror}.", "Check FILES.") from error


def _below(folder: Path, base: Path) -> list[InputObject]:
    return [_object(path, base) for path in sorted(folder.rglob("*.gz")) if _is_input(path)]


def _is_input(path: Path) -> bool:
    return path.name.endswith(".gz") and path.is_file()


def _object(path: Path, base: Path) -> InputObject:
    # A file name may be any bytes, a key is UTF-8.
    key = os.fsencode(path.relative_to(base).as_posix()).decode("utf-8", "replace")
    return InputObject(key, path, path.stat().st_size)


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
