"""An object reference becomes a bounded, inflated stream; every way in which that can fail has a name.

Outcomes of objects (`OUTCOMES`): what cannot get better by waiting is kept as a pointer in quarantine, what an operator
or time can mend returns to the queue. Records that were read before the error keep their own outcomes; deterministic ids
make the retry harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore.exceptions
import urllib3.exceptions
from isal import isal_zlib

from audit_search.direct_get import DirectGet
from audit_search.envelopes import ObjectRef
from audit_search.errors import ObjectError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
"""Bytes in one step of inflation: about 500 records; bigger windows were not faster."""

_ZLIB_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub calls the class an instance
_MAGIC = b"\x1f\x8b\x08"
"""How a gzip file begins: its magic number and the only method there is. What begins so and fails is corrupt."""
_RATIO_FROM = 8 << 20
"""The ratio is judged only beyond this many inflated bytes: a small object may compress as well as it likes."""


class Action(Enum):
    """What happens to the message of an object that failed."""

    RETURN = "return"
    """The message goes back to its queue (a direct event is retried by Lambda): time or an operator can mend it."""
    QUARANTINE = "quarantine"
    """A pointer to the object is written to quarantine and the message is done: no retry could read it."""


OUTCOMES: dict[str, Action] = {
    "gone": Action.QUARANTINE,
    "not-gzip": Action.QUARANTINE,
    "truncated": Action.QUARANTINE,
    "corrupt": Action.QUARANTINE,
    "not-json": Action.QUARANTINE,
    "no-records": Action.QUARANTINE,
    "too-big": Action.QUARANTINE,
    "denied": Action.RETURN,
    "wrong-key": Action.RETURN,
    "archived": Action.RETURN,
    "no-bucket": Action.RETURN,
    "bucket-not-allowed": Action.RETURN,
    "s3-unavailable": Action.RETURN,
    "time-budget": Action.RETURN,
    "internal": Action.RETURN,
}


@dataclass(slots=True)
class OpenObject:
    """An object whose GET was answered. `chunks()` can be read once.

    `part` is the position of the first record where only some records of the object are here, one after the other.
    """

    ref: ObjectRef
    last_modified: datetime
    size: int
    _compressed: Iterable[bytes] = field(repr=False)
    _max_bytes: int
    _max_ratio: int
    part: int | None = None

    def chunks(self) -> Iterator[bytes]:
        """Inflated bytes, at most CHUNK at a time.

        Raises ObjectError: not-gzip, truncated, corrupt, too-big, s3-unavailable.
        """
        return inflate(self._compressed, self._max_bytes, self._max_ratio)

    def one_member(self) -> Iterator[bytes]:
        """As `chunks`, for an object that has to be a single gzip stream with nothing behind it. Raises ObjectError, of which
        `corrupt` also means that something follows."""
        return inflate(self._compressed, self._max_bytes, self._max_ratio, single=True)


class ObjectReader:
    """Opens objects of the allowed buckets.

    `max_bytes` bounds the inflated size and `max_ratio` the inflation of one object.
    """

    def __init__(
        self, s3: S3Client, allowed_buckets: frozenset[str], *, max_bytes: int, max_ratio: int, direct: DirectGet | None = None
    ) -> None:
        self._s3 = s3
        self._direct = direct
        self._allowed = allowed_buckets
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio

    def open(self, ref: ObjectRef) -> OpenObject:
        """GET the object; one of at most CHUNK bytes is read whole here, so that several can be fetched side by side.

        Raises ObjectError: bucket-not-allowed, gone, denied, wrong-key, archived, no-bucket, s3-unavailable.
        """
        if ref.bucket not in self._allowed:
            # A message is third-party text: without this check whoever can write to the queue chooses what is read.
            raise ObjectError(
                "bucket-not-allowed",
                f"the bucket {ref.bucket} is not in ALLOWED_BUCKETS; add it there if its events belong here",
            )
        try:
            found = self._get(ref)
            compressed: Iterable[bytes] = [found.body.read()] if found.size <= CHUNK else _stream(found.body, ref)
        except botocore.exceptions.ClientError as error:
            raise client_error(error, ref) from error
        except (botocore.exceptions.ParamValidationError, UnicodeEncodeError) as error:
            # A message is third-party text: an empty key, half a surrogate pair.
            raise ObjectError("gone", f"{ref}: no object can have this name: {type(error).__name__}: {error}") from error
        except UNAVAILABLE as error:
            raise ObjectError("s3-unavailable", f"{ref}: {type(error).__name__}: {error}") from error
        return OpenObject(ref, found.last_modified, found.size, compressed, self._max_bytes, self._max_ratio)

    def _get(self, ref: ObjectRef) -> _Answer:
        answer = self._direct.get(ref) if self._direct else None
        if answer is not None:
            return _Answer(answer, int(answer.headers["content-length"]), parsedate_to_datetime(answer.headers["last-modified"]))
        version = {"VersionId": ref.version_id} if ref.version_id else {}
        got = self._s3.get_object(Bucket=ref.bucket, Key=ref.key, **version)  # type: ignore[arg-type]  # an optional keyword
        if self._direct:
            self._direct.learn(ref)
        return _Answer(got["Body"], got["ContentLength"], got["LastModified"])


class _Answer(NamedTuple):
    body: Any
    size: int
    last_modified: datetime


UNAVAILABLE: tuple[type[BaseException], ...] = (botocore.exceptions.BotoCoreError, urllib3.exceptions.HTTPError, OSError)
"""What is raised where S3 does not answer, or not to the end."""

_CODES = {
    "NoSuchKey": "gone",
    "NoSuchVersion": "gone",
    "MethodNotAllowed": "gone",  # the version named is a delete marker
    "KeyTooLongError": "gone",
    "NoSuchBucket": "no-bucket",
    "InvalidObjectState": "archived",
    "AccessDenied": "denied",
    "AllAccessDisabled": "denied",
    "AccountProblem": "denied",
    "InvalidAccessKeyId": "denied",
    "SignatureDoesNotMatch": "denied",
    "ExpiredToken": "denied",
    "InvalidToken": "denied",
    "403": "denied",
    "404": "gone",
}

_HINTS = {
    "gone": "the object does not exist (any more)",
    "denied": "the function's role may not read it: s3:GetObject in the role and in the bucket's policy",
    "wrong-key": "its KMS key cannot be used: kms:Decrypt in the role and in the key's policy, and the key enabled",
    "archived": "it is in an archive storage class: restore it first",
    "no-bucket": "the bucket does not exist",
}


def client_error(error: botocore.exceptions.ClientError, ref: ObjectRef) -> ObjectError:
    """What S3's refusal of a read means for the object."""
    answer: Any = error.response.get("Error", {})
    code, text = str(answer.get("Code", "")), str(answer.get("Message", ""))
    known = _CODES.get(code)
    if code.startswith("KMS.") or (known in (None, "denied") and ("kms:" in text or "KMS" in text or "ciphertext" in text)):
        known = "wrong-key"
    if code == "InvalidArgument" and "version id" in text.lower():
        known = "gone"  # no version can have this id
    if known is None:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # What has no name here is returned, never quarantined: an unknown refusal may well be mended.
        return ObjectError("denied" if status in (401, 403) else "s3-unavailable", f"{ref}: {code} ({status}): {text}")
    return ObjectError(known, f"{ref}: {_HINTS[known]} ({code}: {text})")


def _stream(body: Any, ref: ObjectRef) -> Iterator[bytes]:
    try:
        while chunk := body.read(CHUNK // 4):
            yield chunk
    except UNAVAILABLE as error:
        raise ObjectError("s3-unavailable", f"{ref}: the download broke off: {type(error).__name__}: {error}") from error
    finally:
        body.close()


def inflate(compressed: Iterable[bytes], max_bytes: int, max_ratio: int, *, single: bool = False) -> Iterator[bytes]:
    """Inflate gzip (one or several members, RFC 1952) while it arrives, in steps of at most CHUNK bytes.

    With `single` nothing may follow the first member.
    Raises ObjectError: not-gzip, truncated, corrupt (a checksum or block that is wrong), too-big (a bound was passed).
    """
    taken = given = members = 0
    head = b""
    member: Any = None
    for chunk in compressed:
        taken += len(chunk)
        if len(head) < len(_MAGIC):
            head += chunk[: len(_MAGIC) - len(head)]
            if not _MAGIC.startswith(head):
                raise ObjectError("not-gzip", f"the object begins with {head!r}, not with gzip's magic number")
        pending = False  # the bound of one step was reached, so that more may come without new input
        while chunk or pending:
            if member is None:
                if members and single:
                    raise ObjectError("corrupt", f"{len(chunk):,} bytes or more stand behind the gzip stream")
                if members:
                    chunk = chunk.lstrip(b"\0")  # padding behind a member, which gzip allows
                    if not chunk:
                        break
                member = isal_zlib.decompressobj(wbits=31)
            try:
                inflated = member.decompress(chunk, CHUNK)
            except _ZLIB_ERROR as error:
                raise ObjectError("corrupt", f"after {given:,} inflated bytes: {error}") from error
            given += len(inflated)
            if given > max_bytes:
                raise ObjectError("too-big", f"more than {max_bytes:,} bytes when inflated; MAX_OBJECT_BYTES sets the limit")
            if given > _RATIO_FROM and given > taken * max_ratio:
                raise ObjectError(
                    "too-big",
                    f"{taken:,} bytes inflate more than {max_ratio}-fold; MAX_INFLATION_RATIO sets the limit",
                )
            if inflated:
                yield inflated
            pending = len(inflated) == CHUNK and not member.eof
            if member.eof:
                chunk, member = member.unused_data, None
                members += 1
            else:
                chunk = member.unconsumed_tail
    if not taken:
        raise ObjectError("truncated", "the object is empty")
    if member is not None or not members:
        raise ObjectError("truncated", f"the gzip stream ends early, after {given:,} inflated bytes")
