"""Indices, times and days: what an event's document is called and where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from audit_search.documents import (
    BOOLEANS,
    EARLIEST,
    FLAT_LEAVES,
    FLATTENED,
    KEYWORDS,
    RESERVED,
    TREES,
    Naming,
    Place,
    delivered,
    is_day,
    latest,
    parse_time,
    retention_day,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MODIFIED = datetime(2026, 11, 19, 7, 0, tzinfo=timezone(timedelta(hours=2)))
NAMED = "AWSLogs/1/CloudTrail/eu/2026/11/03/1_CloudTrail_eu_20261103T0820Z_x.json.gz"


@pytest.mark.parametrize(
    ("naming", "index"),
    [
        (Naming(), "cloudtrail-2026.11"),
        (Naming("audit-"), "audit-cloudtrail-2026.11"),
        (Naming(daily=True), "cloudtrail-2026.11.03"),
        (Naming("a_", daily=True), "a_cloudtrail-2026.11.03"),
    ],
)
def test_an_index_is_named_by_prefix_and_period(naming: Naming, index: str) -> None:
    """Months, or days by setting, behind the prefix."""
    assert naming.index("2026-11-03") == index


@pytest.mark.parametrize(
    ("key", "notified", "when"),
    [
        (NAMED, None, datetime(2026, 11, 3, 8, 20, tzinfo=UTC)),
        (NAMED, "2026-11-04T00:00:00Z", datetime(2026, 11, 3, 8, 20, tzinfo=UTC)),
        ("plain", "2026-11-04T00:00:00.123Z", datetime(2026, 11, 4, 0, 0, 0, 123_000, tzinfo=UTC)),
        ("plain", "2026-11-04T00:00:00+02:00", datetime(2026, 11, 3, 22, 0, tzinfo=UTC)),
        ("plain", None, MODIFIED),
        ("plain", "", MODIFIED),
        ("plain", "yesterday", MODIFIED),
        ("plain", "2031-01-01T00:00:00Z", MODIFIED),
        ("plain", "1999-01-01T00:00:00Z", MODIFIED),
        ("x_20310101T0000Z_y", "2026-11-04T00:00:00Z", datetime(2026, 11, 4, tzinfo=UTC)),
        ("x_19990101T0000Z_y", None, MODIFIED),
        ("x_20261399T9999Z_y", None, MODIFIED),
        ("x_20261103T2460Z_y", None, MODIFIED),
        ("x_20261103T0820Z.json", None, MODIFIED),
        ("x_\uff12\uff10\uff12\uff161103T0820Z_y", None, MODIFIED),
        ("x_20130101T0000Z_y", None, datetime(2013, 1, 1, tzinfo=UTC)),
        ("x_20261121T1200Z_y", None, datetime(2026, 11, 21, 12, 0, tzinfo=UTC)),
        ("x_20261121T1201Z_y", None, MODIFIED),
        ("x_20261102T0000Z_20261103T0820Z_y", None, datetime(2026, 11, 2, tzinfo=UTC)),
    ],
)
def test_the_delivery_is_known_by_name_notification_or_s3(key: str, notified: str | None, when: datetime) -> None:
    """The object's name says when it was delivered, else its notification, else S3; a time nobody could mean does not count."""
    found = delivered(key, notified, MODIFIED, NOW)
    assert found == when
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-03T08:14:22Z", datetime(2026, 11, 3, 8, 14, 22, tzinfo=UTC)),
        ("2026-11-03T08:14:22", datetime(2026, 11, 3, 8, 14, 22, tzinfo=UTC)),
        ("2026-11-03T00:30:00+02:00", datetime(2026, 11, 2, 22, 30, tzinfo=UTC)),
        ("2026-11-03T23:30:00-02:00", datetime(2026, 11, 4, 1, 30, tzinfo=UTC)),
        ("2026-11-03T08:14:22.5Z", datetime(2026, 11, 3, 8, 14, 22, 500_000, tzinfo=UTC)),
        ("2026-11-03T08:14:22.123456789Z", datetime(2026, 11, 3, 8, 14, 22, 123_456, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2023-02-29T00:00:00Z", None),
        ("2026-11-31T00:00:00Z", None),
        ("2026-11-03T24:00:00Z", None),
        ("2026-12-31T23:59:60Z", None),
        ("2026-11-03T08:60:00Z", None),
        ("2026-11-03 08:14:22Z", None),
        ("2026-11-03T08:14Z", None),
        ("2026-11-03", None),
        ("20261103T081422Z", None),
        ("2026-W45-2T08:14:22Z", None),
        ("2026-11-03T08:14:22z", None),
        ("2026-11-03T08:14:22 Z", None),
        ("2026-11-03T08:14:22Z\n", None),
        ("2026-11-03T08:14:22+0200", None),
        ("2026-11-03T08:14:22+99:99", None),
        ("\uff12\uff10\uff12\uff16-11-03T08:14:22Z", None),
        ("2026-11-03T0\uff18:14:22Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("-2026-11-03T08:14:22Z", None),
        ("1793694862", None),
        ("", None),
        ("now", None),
    ],
)
def test_a_time_is_iso_8601_or_none(text: str, when: datetime | None) -> None:
    """Only what every reader of the document takes for the same moment is a time."""
    assert parse_time(text) == when


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-03", True),
        ("2024-02-29", True),
        ("2023-02-29", False),
        ("2026-W45-2", False),
        ("20261103", False),
        ("2026-11-3", False),
        ("\uff12\uff10\uff12\uff16-11-03", False),
        ("2026-307", False),
        ("", False),
    ],
)
def test_a_day_is_one_of_the_calendar(text: str, wanted: bool) -> None:
    """Index names are made of days only."""
    assert is_day(text) is wanted


def test_the_latest_moment_is_a_day_after_the_delivery() -> None:
    """Clocks may differ by a day, not more."""
    assert latest(Place("b", "k", NOW)) == NOW + timedelta(days=1)


def test_retention_counts_whole_days() -> None:
    """Zero keeps everything; otherwise the first day kept lies so many days back."""
    assert retention_day(NOW, 0) == ""
    assert retention_day(NOW, 1) == "2026-11-19"
    assert retention_day(NOW, 36_500) == "1926-12-15"


def test_each_field_has_one_place() -> None:
    """No field is in two of the tables, and each flattened leaf lies below an object that is flattened."""
    tables = (KEYWORDS, BOOLEANS, TREES, tuple(FLATTENED), tuple(RESERVED), ("eventTime", "eventID", "resources"))
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    for leaf in FLAT_LEAVES:
        inner: object = FLATTENED
        for part in leaf.split(".")[:-1]:
            assert isinstance(inner, dict)
            inner = inner[part]
        assert isinstance(inner, dict)
        assert leaf.rsplit(".", 1)[1] not in inner
    assert EARLIEST == "2013-01-01"
