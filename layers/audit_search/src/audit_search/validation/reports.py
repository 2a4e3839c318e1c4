"""What a verification found: digests, gaps between them, log files, and where their records ended. The totals add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from audit_search.errors import AccountingError
from audit_search.validation.digests import Chain, LogFile

DIGEST_STATES: Final = {
    "valid": "in its place, signed by CloudTrail, and the one that its successor names",
    "missing": "a successor names it, and it does not exist",
    "moved": "it says of itself that it belongs elsewhere",
    "malformed": "it cannot be inflated, or is not what a digest is",
    "unsigned": "the object has no signature in its metadata",
    "signature": "its signature does not fit its content",
    "key": "CloudTrail has no public key of its fingerprint",
    "link": "it is signed, but is not the one that its successor names",
    "unread": "it could not be read, or there was no time for it",
}
FILE_STATES: Final = {
    "right": "there, with the right hash, and every record is accounted for",
    "gone": "listed, and it does not exist",
    "incomplete": "there, with the right hash, but records of it are neither indexed nor accounted for otherwise",
    "changed": "its content is not what its digest says",
    "unread": "it could not be read or its records not be looked up, or there was no time for it",
}
INVALID: Final = frozenset(DIGEST_STATES) - {"valid", "unread"}
MISSING: Final = frozenset({"gone", "incomplete"})

MOST_KEPT: Final = 100_000
"""Bad digests and files that are kept with their names; all are counted."""


@dataclass(slots=True)
class Records:
    """Where the records of log files ended; `missing` are those that nothing accounts for."""

    read: int = 0
    indexed: int = 0
    filtered: int = 0
    quarantined: int = 0
    expired: int = 0
    missing: int = 0

    def add(self, other: Records) -> None:
        """Add another file's records to these."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def check(self, what: str) -> None:
        """Raise AccountingError unless every record read ended somewhere."""
        ended = self.indexed + self.filtered + self.quarantined + self.expired + self.missing
        if ended != self.read:
            raise AccountingError(f"{what}: {self.read} records read, but {ended} are accounted for or missing")

    def document(self) -> dict[str, int]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class DigestVerdict:
    """What is to be said of one digest."""

    chain: Chain
    bucket: str
    key: str
    state: str
    reason: str = ""
    files: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """No digest says anything of this time: validation was off, or the trail did not log. That is no error by itself."""

    chain: Chain
    since: datetime
    until: datetime


@dataclass(slots=True)
class FileVerdict:
    """What is to be said of one log file; `records` are empty where they were not looked up."""

    chain: Chain
    file: LogFile
    state: str
    reason: str = ""
    records: Records = field(default_factory=Records)

    @property
    def repairable(self) -> bool:
        """Whether indexing it once more mends it."""
        return self.state == "incomplete"


@dataclass(slots=True)
class Row:
    """The sums of one account and region."""

    digests: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    records: Records = field(default_factory=Records)


@dataclass(slots=True)
class Report:
    """What was found. `bad_digests` and `bad_files` are those that are not valid or right, in the order of their names."""

    since: datetime
    until: datetime
    indexed: bool = True
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    bad_digests: list[DigestVerdict] = field(default_factory=list)
    bad_files: list[FileVerdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False

    def add_digest(self, verdict: DigestVerdict) -> None:
        """Count a digest."""
        self._row(verdict.chain).digests[verdict.state] += 1
        if verdict.state != "valid" and len(self.bad_digests) < MOST_KEPT:
            self.bad_digests.append(verdict)

    def add_file(self, verdict: FileVerdict) -> None:
        """Count a log file. Raises AccountingError when a record of it is nowhere."""
        verdict.records.check(f"s3://{verdict.file.bucket}/{verdict.file.key}")
        row = self._row(verdict.chain)
        row.files[verdict.state] += 1
        row.records.add(verdict.records)
        if verdict.state != "right" and len(self.bad_files) < MOST_KEPT:
            self.bad_files.append(verdict)

    def _row(self, chain: Chain) -> Row:
        return self.rows.setdefault((chain.account, chain.region), Row())

    @property
    def total(self) -> Row:
        """The sums of everything."""
        total = Row()
        for row in self.rows.values():
            total.digests += row.digests
            total.files += row.files
            total.records.add(row.records)
        return total

    @property
    def metrics(self) -> dict[str, int]:
        """What operators watch: counts by the names of their metrics."""
        total = self.total
        return {
            "MissingFiles": _of(total.files, MISSING),
            "ChangedFiles": total.files["changed"],
            "InvalidDigests": _of(total.digests, INVALID),
            "UnreadFiles": total.files["unread"] + total.digests["unread"] + len(self.problems),
        }

    @property
    def right(self) -> bool:
        """Whether there is nothing to be said against it."""
        return not any(self.metrics.values()) and not self.interrupted

    def summary(self) -> dict[str, object]:
        """The range and the sums, without names."""
        return {"since": self.since.isoformat(), "until": self.until.isoformat(), **_row_document(self.total)}

    def findings(self, most: int) -> Iterator[tuple[str, dict[str, object]]]:
        """What is not as it should be, each kind up to so many times: what it is, and its fields for a log."""
        for problem in self.problems[:most]:
            yield "not verified", {"reason": problem[:2_000]}
        for gap in self.gaps[:most]:
            yield "gap between digests", _gap_document(gap)
        for digest in self.bad_digests[:most]:
            yield "digest", {**_digest_document(digest), "reason": digest.reason[:2_000]}
        for file in self.bad_files[:most]:
            yield "log file", {**_file_document(file), "reason": file.reason[:2_000]}

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **self.summary(),
            "right": self.right,
            "interrupted": self.interrupted,
            "records_looked_up": self.indexed,
            "metrics": self.metrics,
            "places": [
                {"account": account, "region": region, **_row_document(row)}
                for (account, region), row in sorted(self.rows.items())
            ],
            "gaps": [_gap_document(gap) for gap in self.gaps],
            "bad_digests": [_digest_document(bad) for bad in self.bad_digests],
            "bad_files": [_file_document(bad) for bad in self.bad_files],
            "problems": self.problems,
        }


def _gap_document(gap: Gap) -> dict[str, Any]:
    return {**_chain_document(gap.chain), "since": gap.since.isoformat(), "until": gap.until.isoformat()}


def _digest_document(bad: DigestVerdict) -> dict[str, Any]:
    return {**_chain_document(bad.chain), "bucket": bad.bucket, "key": bad.key, "state": bad.state, "reason": bad.reason}


def _file_document(bad: FileVerdict) -> dict[str, Any]:
    return {
        **_chain_document(bad.chain),
        "bucket": bad.file.bucket,
        "key": bad.file.key,
        "state": bad.state,
        "reason": bad.reason,
        "records": bad.records.document(),
    }


def _of(counts: Counter[str], states: Iterable[str]) -> int:
    return sum(counts[state] for state in states)


def _row_document(row: Row) -> dict[str, Any]:
    return {
        "digests": {state: row.digests[state] for state in DIGEST_STATES},
        "files": {state: row.files[state] for state in FILE_STATES},
        "records": row.records.document(),
    }


def _chain_document(chain: Chain) -> dict[str, Any]:
    return {"account": chain.account, "region": chain.region, "trail": chain.trail, "backfill": chain.backfill}
