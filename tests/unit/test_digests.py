"""The watch over a trail finds its newest digest wherever it lies, and says how old it is."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from audit_search import digests
from audit_search.errors import SettingsError
from audit_search.observability import Observer
from functions.watch import app
from tests.support.aws import REGION, TRAIL, Aws, Context

ACCOUNT = "111122223333"


def put_digest(
    aws: Aws, when: datetime, start: str = "", account: str = ACCOUNT, region: str = "eu-central-1", bucket: str = TRAIL
) -> None:
    """An object where CloudTrail would write the digest that ends at `when`; `start` stands before AWSLogs/ or the account."""
    name = f"{account}_CloudTrail-Digest_{region}_audit_{region}_{when:%Y%m%dT%H%M%SZ}.json.gz"
    aws.put(b"digest", f"{start or 'AWSLogs/'}{account}/CloudTrail-Digest/{region}/{when:%Y/%m/%d}/{name}", bucket)


def newest(aws: Aws, prefix: str = "", now: datetime | None = None) -> datetime | None:
    return digests.newest(aws.s3, TRAIL, prefix, now or datetime.now(UTC))


@pytest.mark.parametrize(
    ("start", "prefix"),
    [
        ("AWSLogs/", ""),
        ("security/trail/AWSLogs/", "security/trail"),
        ("AWSLogs/o-a1b2c3d4e5/", ""),
        ("o-a1b2c3d4e5/AWSLogs/o-a1b2c3d4e5/", "o-a1b2c3d4e5"),
    ],
)
def test_a_digest_is_found_in_each_layout(aws: Aws, start: str, prefix: str) -> None:
    """Account, organisation, Control Tower, with and without a key prefix."""
    now = datetime.now(UTC)
    put_digest(aws, now, start)
    found = newest(aws, prefix)
    assert found is not None
    assert abs(found - now) < timedelta(minutes=10)


def test_yesterday_counts_and_the_day_before_does_not(aws: Aws) -> None:
    """Just after midnight the newest digest is yesterday's; one of two days ago is none."""
    now = datetime.now(UTC)
    put_digest(aws, now)
    assert newest(aws, now=now + timedelta(days=1)) is not None
    assert newest(aws, now=now + timedelta(days=2)) is None


def test_other_objects_are_no_digests(aws: Aws) -> None:
    """Log files, AWS Config's folders and what people put into the bucket say nothing about digests."""
    today = f"{datetime.now(UTC):%Y/%m/%d}"
    for key in (
        f"AWSLogs/{ACCOUNT}/CloudTrail/eu-central-1/{today}/a.json.gz",
        f"AWSLogs/{ACCOUNT}/Config/eu-central-1/{today}/ConfigHistory/a.json.gz",
        f"AWSLogs/notes/CloudTrail-Digest/eu-central-1/{today}/a.json.gz",
        f"other/AWSLogs/{ACCOUNT}/CloudTrail-Digest/eu-central-1/{today}/a.json.gz",
    ):
        aws.put(b"x", key)
    assert newest(aws) is None


def test_the_search_ends_at_a_fresh_digest_and_at_a_bound(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh digest spares the folders behind it, and a dead trail of a large organisation is not searched for ever."""
    now = datetime.now(UTC)
    for number in range(6):
        put_digest(aws, now, account=f"{number:012d}")
    listed: list[str] = []
    client = boto3.client("s3", endpoint_url=aws.endpoint, region_name=REGION)
    client.meta.events.register(
        "before-call.s3.ListObjectsV2", lambda params, **_: listed.append(params["query_string"]["prefix"])
    )
    digests.newest(client, TRAIL, "", now)
    assert sum("CloudTrail-Digest/eu-central-1/2" in prefix for prefix in listed) == 1
    listed.clear()
    monkeypatch.setattr(digests, "MOST_FOLDERS", 3)
    assert digests.newest(client, TRAIL, "", now + timedelta(days=5)) is None
    assert sum("CloudTrail-Digest/eu-central-1/2" in prefix for prefix in listed) == 3 * 2


@pytest.fixture
def watch(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function's environment."""
    for name, value in {**aws.environment, "ALLOWED_BUCKETS": TRAIL, "TRAIL_PREFIX": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app, "_observer", Observer("watch"))


def invoke() -> dict[str, Any]:
    """Call the function. Its logger is one for the process, and would go on writing to the standard output found at first."""
    for handler in Observer("watch").logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.stdout
    return app.lambda_handler({}, Context())


@pytest.mark.usefixtures("watch")
def test_the_function_publishes_the_age(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    """The metric DigestAge is in seconds, under the function's own name."""
    put_digest(aws, datetime.now(UTC))
    answer = invoke()
    assert 0 <= answer["digest_age_seconds"][TRAIL] < 3_600
    (blob,) = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert blob["service"] == "watch"
    assert blob["DigestAge"] == [answer["digest_age_seconds"][TRAIL]]


@pytest.mark.usefixtures("watch")
def test_a_bucket_without_a_digest_publishes_nothing(
    aws: Aws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two buckets has none: no metric, which the alarm takes for the worst, and a line that names the bucket."""
    monkeypatch.setenv("ALLOWED_BUCKETS", f"{TRAIL},{aws.bucket('silent-trail')}")
    put_digest(aws, datetime.now(UTC))
    assert invoke()["digest_age_seconds"]["silent-trail"] is None
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert not any("_aws" in line for line in lines)
    assert ["silent-trail" in line["reason"] for line in lines if line["level"] == "ERROR"] == [True]


@pytest.mark.usefixtures("watch")
def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both problems stand in one error."""
    monkeypatch.setenv("ALLOWED_BUCKETS", "")
    monkeypatch.setenv("TRAIL_PREFIX", "logs/")
    with pytest.raises(SettingsError) as raised:
        invoke()
    assert [problem.split()[0] for problem in raised.value.problems] == ["ALLOWED_BUCKETS", "TRAIL_PREFIX"]
