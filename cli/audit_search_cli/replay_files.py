"""Files of quarantine that can be changed: those of a bucket, and those that lie in a folder here.

A function names a file by what is in it, so that a notification that comes again writes the same file again. What stays of such
a file in a bucket is therefore written under the name that a function would give it, and the old file deleted after that:
whatever ends the command between the two leaves entries in both files, and the next replay of the old one puts that right. Other
files are written over themselves in one step. Nothing is compared before that: a function that writes the same file meanwhile
writes what its name says, and of that only entries are left out that are indexed by then.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjects.html
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from isal import igzip

from audit_search import quarantine
from audit_search.quarantine import Entry, QuarantineError
from audit_search_cli import kept
from audit_search_cli.errors import Problem
from audit_search_cli.kept import KeptEntry, Place

SUFFIX = ".ndjson.gz"
_OF_FUNCTION = re.compile(r"[0-9a-f]{24}\.ndjson\.gz")


class File(Protocol):
    """One file. What cannot be read raises Problem or what botocore raises, what cannot be changed QuarantineError."""

    def __str__(self) -> str: ...

    def read(self) -> list[KeptEntry] | None:
        """Its entries; None where it is gone."""

    def siblings(self) -> Iterator[KeptEntry]:
        """The entries of the other files of the same source."""

    def write(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """Write it again with these lines, and say what it is called from now on."""

    def delete(self) -> None:
        """Remove it."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a bucket."""

    s3: Any
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def read(self) -> list[KeptEntry] | None:
        """As File.read."""
        try:
            return list(kept.read(self.s3, self.bucket, self.key))
        except self.s3.exceptions.NoSuchKey:
            return None

    def siblings(self) -> Iterator[KeptEntry]:
        """As File.siblings: functions write the files of one source into one folder."""
        folder = self.key.rpartition("/")[0] + "/"
        for other in kept.files(self.s3, Place(self.bucket, folder)):
            if other.key != self.key and other.key.endswith(SUFFIX):
                yield from StoredFile(self.s3, self.bucket, other.key).read() or []

    def write(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """As File.write."""
        folder, _, name = self.key.rpartition("/")
        new = StoredFile(self.s3, self.bucket, f"{folder}/{_name(lines)}") if _OF_FUNCTION.fullmatch(name) else self
        quarantine.put(self.s3, self.bucket, new.key, packed(lines))
        if new != self:
            self.delete()
        return str(new)

    def delete(self) -> None:
        """As File.delete."""
        try:
            self.s3.delete_object(Bucket=self.bucket, Key=self.key)
        except (ClientError, BotoCoreError) as error:
            raise QuarantineError(f"{self} could not be deleted: {error}") from error


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, packed or not."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> list[KeptEntry] | None:
        """As File.read."""
        return list(kept.read_local(self.path)) if self.path.exists() else None

    def siblings(self) -> Iterator[KeptEntry]:
        """As File.siblings."""
        for other in sorted(self.path.parent.glob(f"*{SUFFIX}")):
            if other != self.path:
                yield from kept.read_local(other)

    def write(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """As File.write: beside it first, then in its place."""
        half = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        body = b"\n".join(packed(lines)) + b"\n"
        try:
            with self.path.open("rb") as stream:
                gzipped = stream.read(2) == b"\x1f\x8b"
            half.write_bytes(igzip.compress(body, 2) if gzipped else body)
            half.replace(self.path)
        except OSError as error:
            raise QuarantineError(f"{self} could not be written: {error.strerror}") from error
        return str(self)

    def delete(self) -> None:
        """As File.delete."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise QuarantineError(f"{self} could not be deleted: {error.strerror}") from error


def _name(lines: Iterable[Mapping[str, Any]]) -> str:
    """The name that a function gives to a file of these lines."""
    entries = (kept.entry(dict(line)) for line in lines)
    return quarantine.file_name(Entry(one.position, one.text, one.type, one.reason) for one in entries)


def packed(lines: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Lines as the functions write them."""
    return [json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") for line in lines]


def named(text: str, s3: Any, where: Place | None) -> File:
    """The file that a person names: one of this machine, s3://BUCKET/KEY, or the beginning of a key at `where`.

    Raises Problem.
    """
    if text.startswith("s3://"):
        bucket, _, key = text.removeprefix("s3://").partition("/")
        if not key or not bucket:
            raise Problem(f"{text!r} names no file", "Give s3://BUCKET/KEY (audit-search quarantine list).")
        return StoredFile(s3(), bucket, key)
    if Path(text).is_file():
        return LocalFile(Path(text))
    if where is None:
        raise Problem(f"There is no file {text!r} here", "Give s3://BUCKET/KEY, or --stack NAME for one of its quarantine.")
    return StoredFile(s3(), where.bucket, kept.resolve(s3(), where, text))
