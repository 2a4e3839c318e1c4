"""The function that verifies the trail, as Lambda calls it: what was indexed, and what nothing accounts for."""

from __future__ import annotations

import gzip
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit_search.errors import SettingsError
from audit_search.observability import Observer
from audit_search.validation import assembly
from functions.verify import app
from tests.support.aws import QUARANTINE, TRAIL, Aws, Context, Stored, record, s3_event, trail_object
from tests.support.digest_chains import CloudTrail, Trail, some
from tests.support.engines import TestEngine
from tests.support.function import make_function

Index = Callable[..., None]


class Verify:
    """The function in its environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environment: dict[str, str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.environment = environment
        self.logged: list[dict[str, Any]] = []
        self.published: dict[str, float] = {}

    def __call__(self, remaining: int = 900_000) -> dict[str, int]:
        """Call it; what its metrics are by its answer."""
        for name, value in self.environment.items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.setattr(app, "_observer", Observer("verify"))
        for handler in Observer("verify").logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.stream = sys.stdout
        self._capsys.readouterr()
        answer = app.lambda_handler({}, Context(remaining))
        lines = [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]
        self.logged = [line for line in lines if "_aws" not in line]
        (blob,) = [line for line in lines if "_aws" in line]
        metrics = {name: answer[name] for name in ("MissingFiles", "ChangedFiles", "InvalidDigests", "UnreadFiles")}
        assert {name: blob[name] for name in metrics} == {name: [value] for name, value in metrics.items()}
        return {name: value for name, value in metrics.items() if value}

    @property
    def records(self) -> dict[str, int]:
        """Where the records ended, as the last line of the log says."""
        found: dict[str, int] = self.logged[-1]["records"]
        return {name: value for name, value in found.items() if value}


@pytest.fixture
def cloudtrail() -> Iterator[CloudTrail]:
    """Who knows the public keys."""
    with CloudTrail() as cloudtrail:
        yield cloudtrail


@pytest.fixture
def trail(aws: Aws) -> Trail:
    """A trail whose hours are over and due."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return Trail(aws, begin=now - timedelta(hours=12))


@pytest.fixture
def verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, engine: TestEngine, cloudtrail: CloudTrail
) -> Verify:
    """The function before an embedded engine."""
    environment = {
        **aws.environment,
        "AWS_ENDPOINT_URL_CLOUDTRAIL": cloudtrail.endpoint,
        "OPENSEARCH_ENDPOINT": engine.endpoint,
        "OPENSEARCH_AUTH": "none",
        "INDEX_PREFIX": engine.prefix,
        "ALLOWED_BUCKETS": TRAIL,
        "QUARANTINE_BUCKET": QUARANTINE,
    }
    return Verify(monkeypatch, capsys, environment)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, engine: TestEngine) -> Index:
    """Index some log files with the CloudTrail function, with settings of its own."""

    def run(*keys: str, version: str | None = None, **settings: str) -> None:
        settings = {"INDEX_PREFIX": engine.prefix, **settings}
        function = make_function(monkeypatch, capsys, aws, engine.endpoint, **settings)
        function(s3_event(*(Stored(TRAIL, key, version=version) for key in keys)))
        engine.refresh()

    return run


def fresh(count: int, name: str, **fields: object) -> list[dict[str, Any]]:
    """Records of today."""
    now = datetime.now(UTC) - timedelta(hours=12)
    return [{**one, "eventTime": f"{now:%Y-%m-%dT%H:%M:%SZ}", **fields} for one in some(count, name)]


def test_what_was_indexed_is_right(verify: Verify, index: Index, trail: Trail) -> None:
    """All metrics are published, and all are 0."""
    trail.hour(fresh(3, "a"), fresh(2, "b"))
    trail.hour()
    trail.late(fresh(1, "c"))
    index(*trail.files)
    assert verify() == {}
    assert verify.records == {"read": 6, "indexed": 6}


def test_a_lost_notification_is_a_missing_file_until_it_is_indexed(verify: Verify, index: Index, trail: Trail) -> None:
    """Nothing else would ever show it."""
    trail.hour(fresh(3, "a"), fresh(2, "b"))
    index(trail.files[0])
    assert verify() == {"MissingFiles": 1}
    assert [line["key"] for line in verify.logged if line["message"] == "log file"] == [trail.files[1]]
    assert verify.records == {"read": 5, "indexed": 3, "missing": 2}
    index(trail.files[1])
    assert verify() == {}


def test_an_index_that_lost_some_records_is_noticed(verify: Verify, index: Index, trail: Trail, engine: TestEngine) -> None:
    """A file is there in part: the records that are not are counted."""
    trail.hour(fresh(3, "a"))
    index(*trail.files)
    engine.call("POST", f"/{engine.prefix}*/_delete_by_query?refresh=true", {"query": {"ids": {"values": ["a-1"]}}})
    assert verify() == {"MissingFiles": 1}
    assert verify.records == {"read": 3, "indexed": 2, "missing": 1}


def test_filtered_quarantined_and_expired_records_are_accounted_for(verify: Verify, index: Index, trail: Trail) -> None:
    """Each by the same rules as when it was read."""
    old = fresh(1, "old", eventTime="2025-01-01T00:00:00Z")
    settings = {
        "EXCLUSION_RULES": json.dumps([{"name": "reads", "match": {"eventName": "GetObject"}}]),
        "RETENTION_DAYS": "30",
    }
    trail.hour([*fresh(2, "a"), *fresh(1, "read", eventName="GetObject"), *old, "no record", 7])
    index(*trail.files, **settings)
    verify.environment |= settings
    assert verify() == {}
    assert verify.records == {"read": 6, "indexed": 2, "filtered": 1, "quarantined": 2, "expired": 1}
    verify.environment |= {"EXCLUSION_RULES": "", "RETENTION_DAYS": "0"}
    assert verify() == {"MissingFiles": 1}
    assert verify.records == {"read": 6, "indexed": 2, "quarantined": 2, "missing": 2}


def test_quarantine_of_a_bucket_with_versions_is_found(verify: Verify, index: Index, trail: Trail, aws: Aws) -> None:
    """A notification that named the version made a file of another name."""
    aws.s3.put_bucket_versioning(Bucket=TRAIL, VersioningConfiguration={"Status": "Enabled"})
    trail.hour([*fresh(1, "a"), "no record"])
    version = aws.s3.head_object(Bucket=TRAIL, Key=trail.files[0])["VersionId"]
    index(*trail.files, version=version)
    assert verify() == {}
    assert verify.records == {"read": 2, "indexed": 1, "quarantined": 1}


def test_a_log_file_that_is_broken_is_accounted_for_by_its_pointer(verify: Verify, index: Index, trail: Trail, aws: Aws) -> None:
    """JSON that ends early, delivered so: what is before it is indexed, and the object is in quarantine as a whole."""
    whole = gzip.decompress(trail_object(fresh(3, "a")))
    body = gzip.compress(whole[: whole.rindex(b"}]}") - 20])
    now = datetime.now(UTC)
    file = trail.deliver((), now - timedelta(hours=12), body)
    trail.digest(now - timedelta(hours=11), [file])
    assert verify() == {"MissingFiles": 1}
    index(*trail.files)
    assert aws.quarantined()
    assert verify() == {}


def test_an_index_of_another_period_is_searched_too(verify: Verify, index: Index, trail: Trail) -> None:
    """INDEX_PERIOD was changed since."""
    trail.hour(fresh(3, "a"))
    index(*trail.files)
    verify.environment["INDEX_PERIOD"] = "day"
    assert verify() == {}


def test_damage_is_published(verify: Verify, index: Index, trail: Trail) -> None:
    """A file that is gone, one that was changed and a digest that was removed, each under its metric."""
    for hour in range(4):
        trail.hour(fresh(1, f"{hour}-a"), fresh(1, f"{hour}-b"))
    index(*trail.files)
    trail.remove(trail.files[0])
    trail.replace(trail.files[1], gzip.compress(b'{"Records":[]}'))
    trail.remove(trail.digests[2])
    assert verify() == {"MissingFiles": 1, "ChangedFiles": 1, "InvalidDigests": 1}


def test_what_is_not_due_is_left_to_the_next_run(verify: Verify, trail: Trail) -> None:
    """Log files whose digests ended within two hours are not looked at yet, those of two days ago no more."""
    now = datetime.now(UTC)
    for ago in (40, 1):
        when = now - timedelta(hours=ago)
        trail.digest(when, [trail.deliver(fresh(1, f"x-{ago}"), when)])
    assert verify() == {}
    verify.environment["VERIFY_HOURS"] = "48"
    assert verify() == {"MissingFiles": 1}


def test_two_runs_leave_nothing_out_between_them() -> None:
    """The hours of one run begin before those of the last one end, also when it starts a little late."""
    now = datetime(2026, 11, 3, 5, 0, tzinfo=UTC)
    _, until = assembly.due(now, 24)
    since, _ = assembly.due(now + timedelta(hours=24, minutes=59), 24)
    assert since <= until + timedelta(hours=1)


def test_what_there_is_no_time_for_is_unread(verify: Verify, index: Index, trail: Trail) -> None:
    """An invocation that has no time left says so, instead of saying that all is well."""
    trail.hour(fresh(1, "a"), fresh(1, "b"))
    trail.hour(fresh(1, "c"))
    index(*trail.files)
    assert verify(remaining=1_000) == {"UnreadFiles": 2}
    assert {line["reason"] for line in verify.logged if line["message"] == "digest"} == {
        "the time was over before it was looked at"
    }


def test_an_engine_that_does_not_answer_leaves_files_unread(
    verify: Verify, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known, so nothing is said to be missing."""
    monkeypatch.setattr("audit_search.validation.whereabouts._TRIES", 1)
    trail.hour(fresh(1, "a"), fresh(1, "b"))
    verify.environment["OPENSEARCH_ENDPOINT"] = "http://127.0.0.1:9"
    assert verify() == {"UnreadFiles": 2}


def test_a_quarantine_that_cannot_be_read_leaves_the_file_unread(verify: Verify, trail: Trail) -> None:
    """Its records may be there."""
    trail.hour(fresh(1, "a"))
    verify.environment["QUARANTINE_BUCKET"] = "no-such-bucket"
    assert verify() == {"UnreadFiles": 1}


def test_keys_that_cannot_be_asked_for_leave_digests_unread(verify: Verify, trail: Trail) -> None:
    """A role without cloudtrail:ListPublicKeys, a network without a way: no signature is called wrong for it."""
    trail.hour(fresh(1, "a"))
    trail.hour(fresh(1, "b"))
    verify.environment["AWS_ENDPOINT_URL_CLOUDTRAIL"] = "http://127.0.0.1:9"
    assert verify() == {"UnreadFiles": 2}


def test_keys_are_asked_for_once_a_region(verify: Verify, index: Index, trail: Trail, cloudtrail: CloudTrail) -> None:
    """However many digests there are."""
    for hour in range(5):
        trail.hour(fresh(1, f"{hour}"))
    index(*trail.files)
    assert verify() == {}
    assert cloudtrail.asked == ["ListPublicKeys"]


def test_a_bucket_that_cannot_be_listed_does_not_hide_the_others(verify: Verify, index: Index, trail: Trail) -> None:
    """One of two buckets is gone: one is said to be unread, the other is verified."""
    trail.hour(fresh(1, "a"), fresh(1, "b"))
    index(trail.files[0])
    verify.environment["ALLOWED_BUCKETS"] = f"{TRAIL},no-such-bucket"
    assert verify() == {"MissingFiles": 1, "UnreadFiles": 1}


def test_wrong_settings_are_named(verify: Verify) -> None:
    """All of them in one error."""
    verify.environment |= {"ALLOWED_BUCKETS": "", "VERIFY_HOURS": "no", "TRAIL_PREFIX": "logs/", "EXCLUSION_RULES": "{"}
    with pytest.raises(SettingsError) as raised:
        verify()
    named = {problem.split()[0] for problem in raised.value.problems}
    assert named == {"ALLOWED_BUCKETS", "VERIFY_HOURS", "TRAIL_PREFIX", "EXCLUSION_RULES"}


def test_no_content_of_a_record_is_logged(verify: Verify, trail: Trail) -> None:
    """Names of objects, counts and causes only."""
    trail.hour([record("secret-id", userAgent="secret-agent")])
    assert verify() == {"MissingFiles": 1}
    assert "secret" not in json.dumps(verify.logged)
