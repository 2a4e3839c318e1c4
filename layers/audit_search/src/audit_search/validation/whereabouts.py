"""Where each record of a log file ended, looked up after the fact.

A record is indexed when a document has its id; else it was filtered when an exclusion rule matches it; else it is in
quarantine; else it is older than what is kept. What is none of these is missing. Ids, indices, rules and days are those of the
pipeline itself (`cloudtrail.DocumentBuilder`), so that both mean the same.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import botocore.exceptions

from audit_search import documents
from audit_search.accounting import Counts
from audit_search.bulk import Reply
from audit_search.cloudtrail import DocumentBuilder, Policy
from audit_search.documents import TRAIL, Naming, Place
from audit_search.envelopes import ObjectRef
from audit_search.errors import AuditSearchError
from audit_search.exclusions import Rule
from audit_search.objects import CHUNK, UNAVAILABLE, inflate
from audit_search.records import Window
from audit_search.validation.reports import Records

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BATCH: Final = 1_000
"""Ids of one request."""

_TRIES: Final = 3
_TIMEOUT: Final = 15.0
_MAX_QUARANTINE: Final = 1 << 30
_UNREADABLE: tuple[type[BaseException], ...] = (botocore.exceptions.ClientError, *UNAVAILABLE, AuditSearchError, ValueError)


class LookUpError(AuditSearchError):
    """The engine or the quarantine could not be asked where records are; nothing is known about them."""


class Engine(Protocol):
    """What looks documents up, see `opensearch.HttpEngine`."""

    def mget(self, wanted: Sequence[dict[str, Any]], timeout: float) -> Reply: ...

    def search(self, index: str, body: dict[str, Any], timeout: float) -> Reply: ...


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A record that is looked for: its position in the object, its index and its id."""

    position: int
    index: str
    id: str


class QuarantineReader:
    """Finds what is in quarantine of an object."""

    def __init__(self, s3: S3Client, bucket: str, prefix: str) -> None:
        """The bucket, and the prefix that ends with a slash."""
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def positions(self, ref: ObjectRef) -> set[int | None]:
        """The positions of the records that are kept there; None stands for the object as a whole. Raises LookUpError."""
        name = "\0".join((ref.bucket, ref.key, ref.version_id or ""))
        source = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        found: set[int | None] = set()
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{source[:2]}/{source[:24]}/"
            )
            for thing in (thing for page in pages for thing in page.get("Contents", [])):
                body = self._s3.get_object(Bucket=self._bucket, Key=thing["Key"])["Body"]
                found |= {json.loads(line).get("position") for line in _lines(body.iter_chunks(CHUNK))}
        except _UNREADABLE as error:
            raise LookUpError(f"quarantine in s3://{self._bucket}/{self._prefix} cannot be read: {error}") from error
        return found


def _lines(compressed: Iterator[bytes]) -> Iterator[bytes]:
    left = b""
    for chunk in inflate(compressed, _MAX_QUARANTINE, 1_100):
        *whole, left = (left + chunk).split(b"\n")
        yield from whole
    if left:
        yield left


@dataclass(slots=True)
class Whereabouts:
    """Looks records up, until `deadline` (of time.monotonic). Several threads may share one.

    `quarantine` is None where there is none to look into; `pause` is how long (seconds) to wait before a second try.
    """

    engine: Engine
    naming: Naming
    rules: tuple[Rule, ...] = ()
    retention_days: int = 0
    quarantine: QuarantineReader | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pause: float = 1.0
    deadline: float = float("inf")

    def of(self, ref: ObjectRef, place: Place, version: Callable[[], str | None]) -> Search:
        """The search for the records of one object; `version` says which version of it there is."""
        return Search(self, ref, place, version)

    def present(self, wanted: Sequence[_Wanted]) -> set[int]:
        """The positions of those that are indexed, under their own index or another of the family. Raises LookUpError."""
        documents = [{"_index": one.index, "_id": one.id, "_source": False} for one in wanted]
        items = self._asked(lambda: self.engine.mget(documents, _TIMEOUT))
        if len(items) != len(wanted):
            raise LookUpError(f"the engine answered {len(items)} times to {len(wanted)} ids")
        for item in items:
            trouble = item.get("error")
            if trouble and trouble.get("type") != "index_not_found_exception":
                raise LookUpError(f"the engine cannot read a document: {trouble.get('type')}: {trouble.get('reason')}")
        found = {one.position for one, item in zip(wanted, items, strict=True) if item.get("found")}
        return found | self._elsewhere([one for one in wanted if one.position not in found])

    def _elsewhere(self, wanted: Sequence[_Wanted]) -> set[int]:
        """Those that another index holds: INDEX_PERIOD or a record's own day may have been another one at the time."""
        if not wanted:
            return set()
        ids = sorted({one.id for one in wanted})
        body = {"query": {"ids": {"values": ids}}, "size": len(ids), "_source": False}
        hits = {hit["_id"] for hit in self._asked(lambda: self.engine.search(f"{self.naming.prefix}{TRAIL}-2*", body, _TIMEOUT))}
        return {one.position for one in wanted if one.id in hits}

    def _asked(self, ask: Callable[[], Reply]) -> list[dict[str, Any]]:
        for attempt in range(_TRIES):
            reply = ask()
            if reply.items is not None:
                return list(reply.items)
            if reply.status in (400, 401, 403) or attempt == _TRIES - 1 or time.monotonic() > self.deadline:
                break
            time.sleep(self.pause * 2**attempt)
        raise LookUpError(f"the engine cannot be asked: {reply.type}: {reply.reason}")


@dataclass(slots=True)
class Search:
    """The search for the records of one object, window by window; `records` counts where they ended."""

    _by: Whereabouts
    _ref: ObjectRef
    _place: Place
    _version: Callable[[], str | None]
    records: Records = field(default_factory=Records)
    _kept: set[int | None] | None = None

    def window(self, window: Window) -> None:
        """Look for the records of one window. Raises LookUpError."""
        if time.monotonic() > self._by.deadline:
            raise LookUpError(f"the time was over after {self.records.read:,} records")
        builder = DocumentBuilder(Policy(self._by.naming), self._place, Counts())
        first = self.records.read
        made = builder.lines(window, first)
        wanted = [_wanted(line, position) for line, position in zip(made.lines, made.positions, strict=True)]
        found: set[int] = set()
        for start in range(0, len(wanted), BATCH):
            found |= self._by.present(wanted[start : start + BATCH])
        self.records.read += len(window.texts)
        self.records.indexed += len(found)
        for position in sorted({*(one.position for one in wanted), *(position for position, _, _ in made.rejected)} - found):
            name = self._end(position, bytes(window.texts[position - first]))
            setattr(self.records, name, getattr(self.records, name) + 1)

    def broken(self) -> bool:
        """Whether the object is in quarantine as a whole, since it cannot be read to its end. Raises LookUpError."""
        return None in self._quarantined()

    def _end(self, position: int, text: bytes) -> str:
        if self._left_out(text, Policy(self._by.naming, rules=self._by.rules)):
            return "filtered"
        if position in self._quarantined():
            return "quarantined"
        kept_from = documents.retention_day(self._by.now(), self._by.retention_days)
        if self._left_out(text, Policy(self._by.naming, kept_from=kept_from)):
            return "expired"
        return "missing"

    def _left_out(self, text: bytes, policy: Policy) -> bool:
        """Whether a pipeline with such a policy leaves the record out."""
        if not policy.rules and not policy.kept_from:
            return False
        counts = Counts()
        DocumentBuilder(policy, self._place, counts).lines(Window([text], None), 0)
        return bool(counts.filtered)

    def _quarantined(self) -> set[int | None]:
        if self._kept is None:
            self._kept = set()
            if self._by.quarantine:
                # Messages of a bucket with versions name the version, those of CloudTrail's topic do not.
                for version in {None, self._version()}:
                    self._kept |= self._by.quarantine.positions(ObjectRef(self._ref.bucket, self._ref.key, version))
        return self._kept


def _wanted(line: bytes, position: int) -> _Wanted:
    action = json.loads(line.split(b"\n", 1)[0])["create"]
    return _Wanted(position, action["_index"], action["_id"].encode("utf-8", "replace").decode())
