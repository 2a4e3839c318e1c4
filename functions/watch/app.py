"""A schedule -> the age of the trail's newest digest file as a metric. Glue; the search is done by `audit_search.digests`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import boto3

from audit_search import digests
from audit_search.observability import Observer
from audit_search.settings import WatchSettings

_observer: Observer | None = None


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Publish `DigestAge`, in seconds, of the bucket whose newest digest is the oldest.

    A bucket without a digest of today or yesterday publishes nothing: the alarm takes missing data for the worst. Raises
    SettingsError, and botocore's ClientError where a bucket cannot be listed.
    """
    global _observer
    settings = WatchSettings.from_env(os.environ)
    _observer = _observer or Observer("watch")
    s3, now = boto3.client("s3"), datetime.now(UTC)
    ages: dict[str, float | None] = {}
    for bucket in sorted(settings.buckets):
        newest = digests.newest(s3, bucket, settings.prefix, now)
        ages[bucket] = max(0.0, (now - newest).total_seconds()) if newest else None
    _observer.digests(ages)
    return {"digest_age_seconds": ages}
