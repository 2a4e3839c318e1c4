"""Digest files: how they are named, what they hold, how they are signed.

The string that is signed is the digest's end, its place, the SHA-256 of its inflated content and the signature of the digest
before it. The signature itself is in the metadata of the S3 object, so that a plain copy of the file has lost it.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from audit_search.documents import parse_time

MAX_BYTES: Final = 256 << 20
"""Bytes of a digest when inflated: 2,000 log files an hour make about 1 MB."""

_KEY = re.compile(
    r"(?:.*/)?AWSLogs/(?:o-[a-z0-9]{10,32}/)?(?P<account>\d{12})/CloudTrail-Digest/(?P<region>[a-z0-9-]+)/\d{4}/\d\d/\d\d/"
    r"(?P=account)_CloudTrail-Digest_(?P=region)_(?P<trail>.+)_(?P<home>[a-z0-9-]+)_(?P<end>\d{8}T\d{6}Z)"
    r"(?P<backfill>_backfill)?\.json\.gz",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True, order=True)
class Chain:
    """Digests that follow each other: of an account, a region and a trail; late log files have a chain of their own."""

    account: str
    region: str
    trail: str
    home: str
    backfill: bool


@dataclass(frozen=True, slots=True)
class Name:
    """What the key of a digest says: whose it is, and the end (UTC) of its hour."""

    key: str
    chain: Chain
    end: datetime


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log file as a digest lists it; `digest` is the SHA-256 of its inflated content, hexadecimal."""

    bucket: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Digest:
    """The content of a digest; `previous` is the place of the one before it, None where the chain begins."""

    bucket: str
    key: str
    start: datetime
    end: datetime
    fingerprint: str
    previous: tuple[str, str] | None
    previous_signature: str | None
    previous_hash: str | None
    files: tuple[LogFile, ...]
    signed: bytes
    hash: str


class DigestError(Exception):
    """A digest is not valid; `state` is one of `reports.DIGEST_STATES`."""

    def __init__(self, state: str, reason: str) -> None:
        self.state = state
        self.reason = reason
        super().__init__(reason)


def name(key: str) -> Name | None:
    """What a key says, or None where no digest is called so."""
    found = _KEY.fullmatch(key)
    if not found:
        return None
    try:
        end = datetime.strptime(found["end"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    chain = Chain(found["account"], found["region"], found["trail"], found["home"], bool(found["backfill"]))
    return Name(key, chain, end)


def parse(content: bytes) -> Digest:
    """The digest in an inflated content. Raises DigestError `malformed`."""
    try:
        value = json.loads(content)
        if not isinstance(value, dict):
            raise TypeError("it is no JSON object")  # noqa: TRY301  # one place says what is wrong
        return _digest(value, content)
    except KeyError as error:
        raise DigestError("malformed", f"it has no {error.args[0]}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DigestError("malformed", f"{type(error).__name__}: {error}") from error


def _digest(value: Mapping[str, Any], content: bytes) -> Digest:
    bucket, key, end = _text(value, "digestS3Bucket"), _text(value, "digestS3Object"), _text(value, "digestEndTime")
    hashed = hashlib.sha256(content).hexdigest()
    signature = value["previousDigestSignature"]
    before = value.get("previousDigestS3Bucket"), value.get("previousDigestS3Object")
    files = tuple(LogFile(_text(file, "s3Bucket"), _text(file, "s3Object"), _text(file, "hashValue")) for file in _files(value))
    return Digest(
        bucket=bucket,
        key=key,
        start=_time(value, "digestStartTime"),
        end=_time(value, "digestEndTime"),
        fingerprint=_text(value, "digestPublicKeyFingerprint"),
        previous=(str(before[0]), str(before[1])) if None not in before else None,
        previous_signature=None if signature is None else str(signature),
        previous_hash=value.get("previousDigestHashValue"),
        files=files,
        # The word null stands for no signature, as CloudTrail's own signer writes it.
        signed=f"{end}\n{bucket}/{key}\n{hashed}\n{'null' if signature is None else signature}".encode(),
        hash=hashed,
    )


def _files(value: Mapping[str, Any]) -> list[Any]:
    files = value.get("logFiles") or []
    if not isinstance(files, list):
        raise TypeError("its logFiles are no list")
    return files


def _text(value: Any, key: str) -> str:
    found = value[key]
    if not isinstance(found, str):
        raise TypeError(f"its {key} is no text")
    return found


def _time(value: Mapping[str, Any], key: str) -> datetime:
    found = parse_time(_text(value, key))
    if found is None:
        raise ValueError(f"its {key} is no time")
    return found
