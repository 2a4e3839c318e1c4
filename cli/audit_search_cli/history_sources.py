"""Where history lies: the objects of a bucket or of a folder that were delivered in a range, of accounts and regions.

A range means when an object was delivered: by its name, else by the date that S3 or the disk has. What the layouts of
CloudTrail and AWS Config tell (`AWSLogs/[o-id/]account/service/region/year/month/day/`, behind any prefix) is used to leave out
folders without listing them; everything else is listed whole.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-find-log-files.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from audit_search import documents
from audit_search.aws_config.objects import delivered as config_delivered
from audit_search.envelopes import ObjectRef, config_folder, config_skip_reason, skip_reason
from audit_search.settings import bucket_problem
from audit_search_cli.errors import Problem
from audit_search_cli.times import Range

_DAY = timedelta(days=1)
_SERVICES = re.compile(r"CloudTrail(?!-Digest)[A-Za-z-]*|Config")
_ORGANISATION = re.compile(r"o-[a-z0-9]+")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
LOCAL = "local-folder"
"""The bucket that documents of a folder's objects name, unless another one is given."""


@dataclass(frozen=True, slots=True)
class Source:
    """A bucket and a prefix in it, or a folder; `bucket` is what documents name in either case."""

    bucket: str
    prefix: str = ""
    folder: Path | None = None

    def __str__(self) -> str:
        return str(self.folder) if self.folder else f"s3://{self.bucket}/{self.prefix}"


class Found(NamedTuple):
    """An object to read, whether it is AWS Config's, and its mark: its ETag, of a file its date and size. Another content has
    another mark."""

    ref: ObjectRef
    config: bool
    mark: str = ""


@dataclass(slots=True)
class Selection:
    """What is wanted; `of` is all, cloudtrail or config.

    `left_out` counts objects that were listed and are not, by reason; `listings` are requests to S3.
    """

    within: Range
    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    of: str = "all"
    left_out: Counter[str] = field(default_factory=Counter)
    listings: int = 0

    def folder(self, prefix: str) -> bool:
        """Whether anything below a folder may be wanted, as far as its name tells."""
        place = _place(prefix)
        if place is None:
            return True
        if self.accounts and place.account and place.account not in self.accounts:
            return False
        if self.regions and place.region and place.region not in self.regions:
            return False
        if place.service and not _SERVICES.fullmatch(place.service):
            return False
        return not place.day or self._days(place.day)

    def _days(self, day: tuple[int, ...]) -> bool:
        """Whether a year, month or day meets the range, with a day on either side of it: names and folders may disagree."""
        since = (self.within.since or datetime(1970, 1, 2, tzinfo=UTC)).astimezone(UTC).date() - _DAY
        until = min(self.within.until.astimezone(UTC).date(), date.max - _DAY) + _DAY
        parts = [(since.year, since.month, since.day), (until.year, until.month, until.day)]
        return parts[0][: len(day)] <= day <= parts[1][: len(day)]

    def object(self, ref: ObjectRef, modified: datetime, now: datetime, mark: str = "") -> Found | None:
        """The object where it is wanted; otherwise it is counted with the reason why not."""
        config = bool(config_folder(ref.key))
        reason = config_skip_reason(ref.key) if config else skip_reason(ref.key)
        if not reason and not ref.key.endswith(".gz"):
            reason = "not a log file (.gz)"
        if not reason and self.of != "all" and config is not (self.of == "config"):
            reason = "AWS Config's" if config else "CloudTrail's"
        place = _place(ref.key.rpartition("/")[0] + "/")
        if not reason and self.accounts and (place is None or place.account not in self.accounts):
            reason = "another account, or none in its key"
        if not reason and self.regions and (place is None or place.region not in self.regions):
            reason = "another region, or none in its key"
        if not reason:
            when = (
                datetime.fromtimestamp(config_delivered(ref.key, None, modified) / 1000, UTC)
                if config
                else documents.delivered(ref.key, None, modified, now)
            )
            if (self.within.since and when < self.within.since) or when >= self.within.until:
                reason = "delivered outside the range"
        if reason:
            self.left_out[reason] += 1
            return None
        return Found(ref, config, mark)


class _Place(NamedTuple):
    account: str
    service: str
    region: str
    day: tuple[int, ...]


def _place(prefix: str) -> _Place | None:
    """What the folders of a key tell so far, or None where they are not those of a trail or of AWS Config."""
    folders = prefix.split("/")[:-1]
    if "AWSLogs" not in folders:
        return None
    rest = folders[len(folders) - folders[::-1].index("AWSLogs") :]
    if rest and _ORGANISATION.fullmatch(rest[0]):
        rest = rest[1:]
    if not rest or not _ACCOUNT.fullmatch(rest[0]):
        return None
    day: list[int] = []
    for part in rest[3:6]:
        if not re.fullmatch(r"\d{1,4}", part, re.ASCII):
            break
        day.append(int(part))
    account, service, region = (*rest[:3], "", "")[:3]
    return _Place(account, service, region, tuple(day))


def source(text: str, bucket: str = "") -> Source:
    """What `s3://bucket/prefix` or the path of a folder names; `bucket` is the one that a folder's objects came from.

    Raises Problem.
    """
    if text.startswith("s3://"):
        name, _, prefix = text.removeprefix("s3://").partition("/")
        if bucket_problem(name):
            raise Problem(f"{text!r} names no bucket", "Give s3://BUCKET/PREFIX, such as s3://my-trail-bucket/AWSLogs/.")
        if bucket:
            raise Problem("--bucket is for a folder", "Leave it out: the bucket is the one in s3://BUCKET.")
        return Source(name, prefix)
    folder = Path(text)
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise Problem(f"{text!r} {what}", "Give s3://BUCKET/PREFIX, or a folder that holds log files.")
    if bucket and bucket_problem(bucket):
        raise Problem(f"--bucket is {bucket!r}", "Give the name of the bucket that the folder is a copy of.")
    return Source(bucket or LOCAL, folder=folder.resolve())


def find(what: Source, selection: Selection, s3: Callable[[], Any], now: datetime) -> Iterator[Found]:
    """The objects that are wanted, in the order of their keys. Raises what botocore raises, and Problem for a folder."""
    listed = _folder(what, selection) if what.folder else _bucket(what, selection, s3())
    for ref, modified, mark in listed:
        found = selection.object(ref, modified, now, mark)
        if found:
            yield found


def _bucket(what: Source, selection: Selection, s3: Any) -> Iterator[tuple[ObjectRef, datetime, str]]:
    """List folder by folder as long as names of folders can leave something out, and flat from there."""
    waiting = [what.prefix]
    chooses = bool(selection.within.since or selection.accounts or selection.regions)
    while waiting:
        prefix = waiting.pop()
        place = _place(prefix)
        flat = not chooses or (place is not None and len(place.day) == 3)
        delimiter = {} if flat else {"Delimiter": "/"}
        below: list[str] = []
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=what.bucket, Prefix=prefix, **delimiter):
            selection.listings += 1
            for item in page.get("Contents", []):
                yield ObjectRef(what.bucket, item["Key"], size=item["Size"]), item["LastModified"], item["ETag"].strip('"')
            below += [common["Prefix"] for common in page.get("CommonPrefixes", [])]
        waiting += [folder for folder in reversed(below) if selection.folder(folder)]


def _folder(what: Source, selection: Selection) -> Iterator[tuple[ObjectRef, datetime, str]]:
    def failed(error: OSError) -> None:
        raise Problem(f"{error.filename} cannot be read: {error.strerror}", "Let this user read it, or name another folder.")

    root = what.folder or Path()
    for place, folders, names in os.walk(root, onerror=failed):
        folders.sort()
        prefix = Path(place).relative_to(root).as_posix() + "/"
        folders[:] = [name for name in folders if selection.folder(f"{prefix}{name}/")]
        for name in sorted(names):
            path = Path(place, name)
            if not path.is_file():
                selection.left_out["not a file"] += 1
                continue
            state = path.stat()
            key = path.relative_to(root).as_posix()
            mark = f"{state.st_mtime_ns}-{state.st_size}"
            yield ObjectRef(what.bucket, key, size=state.st_size), datetime.fromtimestamp(state.st_mtime, UTC), mark
