"""What is kept in quarantine, read from its files: `audit_search.quarantine` says what a line of them is.

Files are listed page by page and read line by line: what is held in memory is the names that are to be shown, and one line.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

import base64
import gzip
import heapq
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from audit_search_cli.errors import NOT_REACHED, Problem
from audit_search_cli.times import Range

_LINE_BYTES = 512 << 20
"""A longer line is none of ours: an object of this size is not read at all."""
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files are: `prefix` is empty or ends with a slash. With `span` only those written last in this time."""

    bucket: str
    prefix: str
    span: Range | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True, order=True)
class KeptFile:
    """A file by when it was written last, which is when its content was last tried."""

    modified: datetime
    bucket: str
    key: str
    size: int

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """A record that could not be indexed; without position and text a whole object, or a message."""

    source: str
    position: int | None
    type: str
    reason: str
    time: str
    text: bytes | None
    line: dict[str, Any]


@dataclass(slots=True)
class Summary:
    """What is in a file: how many entries by the type of their error, and where they came from.

    `problem` says why a file cannot be read to its end; the counts are then of what could be read.
    """

    file: KeptFile
    source: str = ""
    types: Counter[str] = field(default_factory=Counter)
    problem: str = ""

    @property
    def entries(self) -> int:
        """How many entries there are."""
        return sum(self.types.values())


@dataclass(slots=True)
class Group:
    """Files and entries that have something in common, and when the newest of the files was written."""

    files: int = 0
    entries: int = 0
    newest: datetime | None = None

    def add(self, summary: Summary, entries: int) -> None:
        """Count a file, with so many entries of it."""
        self.files += 1
        self.entries += entries
        modified = summary.file.modified
        self.newest = modified if self.newest is None else max(self.newest, modified)


@dataclass(slots=True)
class Listing:
    """The newest files that were asked for, and how many there are in all of those that were looked through."""

    files: int
    shown: list[Summary]


def place(text: str) -> Place:
    """Read `s3://bucket/prefix`. Raises Problem."""
    found = _URL.fullmatch(text if text.count("/") > 2 else text + "/")
    if not found:
        raise Problem(f"{text!r} is no place in S3", "Give s3://BUCKET/PREFIX, as the stack's output QuarantineLocation does.")
    return Place(found[1], found[2] if not found[2] or found[2].endswith("/") else found[2] + "/")


def files(s3: Any, where: Place) -> Iterator[KeptFile]:
    """Every file, in the order of the keys. Raises what botocore raises."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=where.bucket, Prefix=where.prefix):
        for item in page.get("Contents", []):
            folder = item["Key"].endswith("/")  # as the console makes them
            if not folder and (where.span is None or _within(item["LastModified"], where.span)):
                yield KeptFile(item["LastModified"], where.bucket, item["Key"], item["Size"])


def _within(when: datetime, span: Range) -> bool:
    return (span.since is None or when >= span.since) and when < span.until


def listing(s3: Any, where: Place, most: int, kind: str = "") -> Listing:
    """The newest files, at most `most`; with `kind` of those that hold an error of this type, for which all are read."""
    count = 0

    def counted(found: Iterable[KeptFile]) -> Iterator[KeptFile]:
        nonlocal count
        for file in found:
            count += 1
            yield file

    if not kind:
        newest = heapq.nlargest(most, counted(files(s3, where)))
        return Listing(count, [summary for file in newest if (summary := summarise(s3, file))])
    matching = (
        summary for file in files(s3, where) if (summary := summarise(s3, file)) and (kind in summary.types or summary.problem)
    )

    def kept() -> Iterator[Summary]:
        nonlocal count
        for summary in matching:
            count += 1
            yield summary

    shown = heapq.nlargest(most, kept(), key=lambda summary: summary.file)
    return Listing(count, shown)


def groups(s3: Any, where: Place, by: str, kind: str = "") -> tuple[dict[str, Group], list[Summary]]:
    """Counts by `type` (of error) or `day` (of the file), and the files that cannot be read to their end."""
    found: dict[str, Group] = {}
    damaged: list[Summary] = []
    for file in files(s3, where):
        summary = summarise(s3, file)
        if summary is None:
            continue
        if summary.problem:
            damaged.append(summary)
        types = {name: number for name, number in summary.types.items() if not kind or name == kind}
        if by == "day" and types:
            found.setdefault(f"{file.modified:%Y-%m-%d}", Group()).add(summary, sum(types.values()))
        elif by == "type":
            for name, number in types.items():
                found.setdefault(name, Group()).add(summary, number)
    return found, damaged


def summarise(s3: Any, file: KeptFile) -> Summary | None:
    """What is in a file; None for one that was deleted since it was listed. Raises what botocore raises otherwise."""
    summary = Summary(file)
    try:
        for entry in read(s3, file.bucket, file.key):
            summary.source = summary.source or entry.source
            summary.types[entry.type] += 1
    except s3.exceptions.NoSuchKey:
        return None
    except Problem as problem:
        summary.problem = problem.what
    return summary


def resolve(s3: Any, where: Place, text: str) -> str:
    """The key that a text names: the whole of it, or a beginning that only one has, with or without the prefix.

    Raises Problem where there is none or more than one.
    """
    start = text if text.startswith(where.prefix) else where.prefix + text
    found = [item["Key"] for item in s3.list_objects_v2(Bucket=where.bucket, Prefix=start, MaxKeys=3).get("Contents", [])]
    if start in found or len(found) == 1:
        return start if start in found else str(found[0])
    if not found:
        raise Problem(f"No file at {where} begins with {text!r}", "audit-search quarantine list shows those that there are.")
    raise Problem(f"More than one file begins with {text!r}: {', '.join(found[:2])}…", "Give more of the name.")


def read(s3: Any, bucket: str, key: str) -> Iterator[KeptEntry]:
    """The entries of a file in S3, as they are read. Raises Problem where it is damaged, and what botocore raises."""
    with s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
        yield from entries(body, f"s3://{bucket}/{key}")


def read_local(path: Path) -> Iterator[KeptEntry]:
    """The entries of a file that was fetched, packed or not. Raises Problem."""
    try:
        with path.open("rb") as stream:
            yield from entries(stream, str(path), packed=stream.peek(2)[:2] == b"\x1f\x8b")
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror or error}", "Check the name and its permissions.") from error


def entries(stream: BinaryIO, name: str, *, packed: bool = True) -> Iterator[KeptEntry]:
    """The entries of gzip or plain NDJSON. Raises Problem, which names the line, for what is neither."""
    lines = gzip.GzipFile(fileobj=stream, mode="rb") if packed else stream
    number = 0
    try:
        while line := lines.readline(_LINE_BYTES):
            number += 1
            yield _entry(line)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Problem(f"{name} is damaged after line {number}: {error}", _REMEDY) from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise Problem(f"Line {number} of {name} is no entry of quarantine", _REMEDY) from error
    except OSError as error:
        raise Problem(f"{name} cannot be read after line {number}: {error}", "Try again.", code=NOT_REACHED) from error


_REMEDY = "Is it a file of quarantine, and fetched whole? An older version of it may be whole, where the bucket keeps them."


def _entry(line: bytes) -> KeptEntry:
    return entry(json.loads(line))


def entry(value: dict[str, Any]) -> KeptEntry:
    """A line as an entry. Raises one of the errors that a line has which is none (ValueError, KeyError, TypeError and others)."""
    raw, packed = value.get("raw"), value.get("rawBase64")
    if raw is None and packed is not None:
        text: bytes | None = base64.b64decode(packed, validate=True)
    else:
        text = None if raw is None else raw.encode("utf-8", "surrogatepass")
    return KeptEntry(
        source=_source(value),
        position=value.get("position"),
        type=str(value["error"]["type"]),
        reason=str(value["error"]["reason"]),
        time=str(value.get("time", "")),
        text=text,
        line=value,
    )


def _source(value: dict[str, Any]) -> str:
    if "messageId" in value:
        return f"message {value['messageId']}"
    version = f" (version {value['versionId']})" if value.get("versionId") else ""
    return f"s3://{value['bucket']}/{value['key']}{version}"
