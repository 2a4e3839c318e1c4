"""Where digests and log files lie: in a bucket, or in a folder that is a copy of one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import botocore.exceptions

from audit_search import digests
from audit_search.envelopes import ObjectRef
from audit_search.errors import ObjectError
from audit_search.objects import CHUNK, UNAVAILABLE, ObjectReader, OpenObject, client_error, inflate
from audit_search.validation.digests import MAX_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MAX_RATIO = 1_100


class Stored(NamedTuple):
    """A digest as it is stored: its inflated content, and the metadata that CloudTrail put beside it."""

    content: bytes
    metadata: Mapping[str, str]


class Store(Protocol):
    """Keys are those of S3; a folder ends with a slash."""

    def children(self, folder: str) -> Iterator[str]:
        """The folders directly in one, in order. Raises ObjectError."""

    def keys(self, folder: str) -> Iterator[str]:
        """Every key in a folder and below, in order. Raises ObjectError."""

    def digest(self, bucket: str, key: str) -> Stored:
        """Read a digest. Raises ObjectError."""

    def open(self, ref: ObjectRef) -> OpenObject:
        """Open a log file. Raises ObjectError."""

    def version(self, ref: ObjectRef) -> str | None:
        """The version that an object has now, None where there are none. Raises ObjectError."""

    @property
    def bucket(self) -> str:
        """The bucket that is listed, or an empty text where it stands for any."""


class BucketStore:
    """A bucket; other buckets are read as well where `reader` allows them."""

    def __init__(self, s3: S3Client, bucket: str, reader: ObjectReader, allowed: frozenset[str]) -> None:
        """`reader` opens log files, and refuses buckets that are not `allowed`."""
        self._s3 = s3
        self._bucket = bucket
        self._reader = reader
        self._allowed = allowed

    def children(self, folder: str) -> Iterator[str]:
        try:
            yield from digests.children_of(self._s3, self._bucket, folder)
        except botocore.exceptions.ClientError as error:
            raise client_error(error, ObjectRef(self._bucket, folder)) from error
        except UNAVAILABLE as error:
            raise _unavailable(f"s3://{self._bucket}/{folder}", error) from error

    def keys(self, folder: str) -> Iterator[str]:
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder):
                yield from (thing["Key"] for thing in page.get("Contents", []))
        except botocore.exceptions.ClientError as error:
            raise client_error(error, ObjectRef(self._bucket, folder)) from error
        except UNAVAILABLE as error:
            raise _unavailable(f"s3://{self._bucket}/{folder}", error) from error

    def digest(self, bucket: str, key: str) -> Stored:
        ref = ObjectRef(bucket, key)
        if bucket not in self._allowed:
            raise ObjectError("bucket-not-allowed", f"{ref}: the bucket is not one of those that may be read")
        try:
            got = self._s3.get_object(Bucket=bucket, Key=key)
            packed = got["Body"].iter_chunks(CHUNK)
            return Stored(b"".join(inflate(packed, MAX_BYTES, _MAX_RATIO, single=True)), got["Metadata"])
        except botocore.exceptions.ClientError as error:
            raise client_error(error, ref) from error
        except UNAVAILABLE as error:
            raise _unavailable(str(ref), error) from error

    def open(self, ref: ObjectRef) -> OpenObject:
        return self._reader.open(ref)

    def version(self, ref: ObjectRef) -> str | None:
        try:
            return self._s3.head_object(Bucket=ref.bucket, Key=ref.key).get("VersionId")
        except botocore.exceptions.ClientError as error:
            raise client_error(error, ref) from error
        except UNAVAILABLE as error:
            raise _unavailable(str(ref), error) from error

    @property
    def bucket(self) -> str:
        return self._bucket


class FolderStore:
    """A folder with the keys of a bucket as paths, as `aws s3 sync` makes it.

    `signatures` are the metadata of the digests by their key, which a plain copy has lost. A folder stands for whatever bucket
    a digest names: that the digest was there says its signature.
    """

    def __init__(self, folder: Path, signatures: Mapping[str, Mapping[str, str]], *, max_bytes: int, max_ratio: int) -> None:
        self._folder = folder.resolve()
        self._signatures = signatures
        self._max = max_bytes, max_ratio

    def children(self, folder: str) -> Iterator[str]:
        yield from sorted(f"{folder}{entry.name}/" for entry in self._entries(folder) if entry.is_dir())

    def keys(self, folder: str) -> Iterator[str]:
        for entry in sorted(self._entries(folder), key=lambda entry: entry.name):
            if entry.is_dir():
                yield from self.keys(f"{folder}{entry.name}/")
            else:
                yield f"{folder}{entry.name}"

    def digest(self, bucket: str, key: str) -> Stored:
        packed = [self._read(bucket, key)]
        return Stored(b"".join(inflate(packed, MAX_BYTES, _MAX_RATIO, single=True)), self._signatures.get(key, {}))

    def open(self, ref: ObjectRef) -> OpenObject:
        body = self._read(ref.bucket, ref.key)
        return OpenObject(ref, datetime.now(UTC), len(body), [body], *self._max)

    def version(self, ref: ObjectRef) -> str | None:
        return None

    @property
    def bucket(self) -> str:
        return ""

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._path(folder)) as entries:
                return list(entries)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ObjectError("denied", f"{folder}: {error.strerror}") from error

    def _read(self, bucket: str, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ObjectError("gone", f"{key}: there is no such file") from error
        except OSError as error:
            raise ObjectError("denied", f"{key}: {error.strerror}") from error

    def _path(self, key: str) -> Path:
        """The file of a key. Keys are third-party text: none leads out of the folder."""
        path = None if "\0" in key else (self._folder / key.lstrip("/")).resolve()
        if path is None or not path.is_relative_to(self._folder):
            raise ObjectError("gone", f"{key!r} is no path in the folder")
        return path


def _unavailable(what: str, error: BaseException) -> ObjectError:
    return ObjectError("s3-unavailable", f"{what}: {type(error).__name__}: {error}")


def folders(store: Store, prefix: str) -> Iterator[str]:
    """The folders of digests of each account and region; `prefix` is the trail's key prefix without a slash at its end."""
    yield from digests.folders(store.children, f"{prefix}/AWSLogs/" if prefix else "AWSLogs/")
