"""How old the trail's newest digest file is.

CloudTrail writes a digest each hour, even when nothing happened, so that a trail that was stopped, deleted or cut off from
its bucket shows by a digest that does not come. Nothing else shows it: what is not delivered makes no error anywhere.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FRESH: Final = timedelta(minutes=75)
"""A digest that is younger ends the search: the next one is not due yet, or hardly."""

MOST_FOLDERS: Final = 200
"""Folders of an account and region that are looked into. An organisation has thousands; where none of so many has a fresh
digest, the trail is not delivering."""

_ACCOUNT = re.compile(r"\d{12}/", re.ASCII)
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}/", re.ASCII)


def newest(s3: S3Client, bucket: str, prefix: str, now: datetime) -> datetime | None:
    """When the newest digest of a trail was written (UTC), or None where there is none of today or yesterday.

    `prefix` is the trail's key prefix without a slash at its end. Raises botocore's ClientError.
    """
    start = f"{prefix}/AWSLogs/" if prefix else "AWSLogs/"
    found: datetime | None = None
    for folder in islice(folders(partial(children_of, s3, bucket), start), MOST_FOLDERS):
        for day in (now, now - timedelta(days=1)):
            written = _last_written(s3, bucket, f"{folder}{day:%Y/%m/%d}/")
            if written is None:
                continue
            found = max(found, written) if found else written
            break  # yesterday's are older
        if found and now - found < FRESH:
            break
    return found


def folders(children: Callable[[str], Iterator[str]], start: str) -> Iterator[str]:
    """`…AWSLogs/[o-id/]<account>/CloudTrail-Digest/<region>/`, for each account and region; `children` gives the folders in one,
    `start` is the one whose name is AWSLogs."""
    for child in children(start):
        name = child.removeprefix(start)
        if _ACCOUNT.fullmatch(name):
            yield from children(f"{child}CloudTrail-Digest/")
        elif _ORGANIZATION.fullmatch(name):
            yield from folders(children, child)


def children_of(s3: S3Client, bucket: str, prefix: str) -> Iterator[str]:
    """The folders directly below a prefix that ends with a slash, each with a slash at its end."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
        for child in page.get("CommonPrefixes", []):
            yield child["Prefix"]


def _last_written(s3: S3Client, bucket: str, prefix: str) -> datetime | None:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return max((thing["LastModified"] for page in pages for thing in page.get("Contents", [])), default=None)
