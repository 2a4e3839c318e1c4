"""What can never be indexed is kept in S3: gzip NDJSON, one file for each failing object and set of records.

A line: `{"bucket","key","versionId","position","error":{"type","reason"},"time","raw"|"rawBase64"}`; for an object that
could not be read to its end the position and the text are null. What came in a message itself has the `messageId` in place
of bucket, key and version, and under `message` what its envelope said (`sent`, `topic`, `account`, `region`), with the
`configurationItemDiff` of an item (`diff`). The name of a file is made of what is in it, so that a retry writes the same file
again and nothing twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import botocore.exceptions
from isal import igzip

from audit_search.envelopes import MessageRef, ObjectRef

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Entry:
    """One record (or, with neither position nor text, a whole object) that cannot be indexed, and why. `message` is what the
    message says of it that it came in."""

    position: int | None
    text: bytes | None
    type: str
    reason: str
    message: Mapping[str, Any] = field(default_factory=dict)


class QuarantineError(Exception):
    """The quarantine file could not be written; what was to be kept has to return."""


class Quarantine:
    """Writes quarantine files below `prefix` in `bucket`."""

    def __init__(self, s3: S3Client, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def holds(self, bucket: str, key: str) -> bool:
        """Whether an object is one of our own files: a bucket may hold both, and its notifications name both."""
        return bucket == self._bucket and key.startswith(self._prefix)

    def write(self, ref: ObjectRef | MessageRef, entries: Iterable[Entry]) -> str:
        """Write one file and give its key. Raises QuarantineError."""
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kept = sorted(entries, key=_place)
        lines = [json.dumps(line(ref, entry, time), ensure_ascii=False).encode("utf-8", "replace") for entry in kept]
        # A message that is sent again has another id: its file is named by what is in it alone.
        name = "\0".join((ref.bucket, ref.key, ref.version_id or "")) if isinstance(ref, ObjectRef) else "message"
        source = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        key = f"{self._prefix}{source[:2]}/{source[:24]}/{file_name(kept)}"
        put(self._s3, self._bucket, key, lines)
        return key


def _place(entry: Entry) -> int:
    return -1 if entry.position is None else entry.position


def file_name(entries: Iterable[Entry]) -> str:
    """The name of a file of one source: whoever keeps the same entries of it writes the same file."""
    content = hashlib.sha256()
    for entry in sorted(entries, key=_place):
        content.update(f"{entry.position}\0{entry.type}\0".encode("utf-8", "replace") + (entry.text or b"") + b"\n")
    return f"{content.hexdigest()[:24]}.ndjson.gz"


def put(s3: S3Client, bucket: str, key: str, lines: Iterable[bytes]) -> None:
    """Write a file of lines. Raises QuarantineError."""
    try:
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=igzip.compress(b"\n".join(lines) + b"\n", 2),
            ContentType="application/x-ndjson",
            ContentEncoding="gzip",
        )
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise QuarantineError(f"s3://{bucket}/{key} could not be written: {error}") from error


def line(ref: ObjectRef | MessageRef, entry: Entry, time: str) -> dict[str, Any]:
    """A line of a file; `time` (ISO 8601, UTC) is when the entry was refused."""
    made: dict[str, Any] = (
        {"bucket": ref.bucket, "key": ref.key, "versionId": ref.version_id}
        if isinstance(ref, ObjectRef)
        else {"messageId": ref.message_id}
    )
    made |= {
        "position": entry.position,
        "error": {"type": entry.type, "reason": entry.reason[:2_000]},
        "time": time,
        "raw": None,
    }
    if entry.message:
        made["message"] = dict(entry.message)
    if entry.text is not None:
        try:
            made["raw"] = entry.text.decode("utf-8")
        except UnicodeDecodeError:
            made["rawBase64"] = base64.b64encode(entry.text).decode("ascii")
    return made
