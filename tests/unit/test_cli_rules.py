"""`audit-search rules count`: what each rule would leave out, by reading what is there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws import TRAIL, Aws
from tests.support.cli import Run, run

RULES = [
    {"name": "reads", "match": {"readOnly": "true"}},
    {"name": "one caller", "match": {"userIdentity.arn": "*/noisy"}, "count_only": True},
    {"name": "listing", "match": {"eventName": "List*"}},
]


def record(name: str, read: bool, arn: str = "arn:aws:iam::111122223333:user/a") -> dict[str, Any]:
    """A record of a trail."""
    return {
        "eventVersion": "1.11",
        "eventTime": "2026-11-03T08:15:00Z",
        "eventID": f"{name}-{arn}",
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "readOnly": read,
        "userIdentity": {"type": "IAMUser", "arn": arn},
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a log file, and one that is torn."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "logs"
    place.mkdir()
    records = [record("ListBuckets", True), record("GetObject", True), record("PutObject", False, "x/noisy"), 7]
    whole = gzip.compress(json.dumps({"Records": records}).encode())
    (place / "a.json.gz").write_bytes(whole)
    return place


def count(*arguments: str) -> Run:
    """Count in the folder."""
    return run("rules", "count", "logs", *arguments, env={})


def test_each_rule_is_counted_and_what_they_leave_out_together(folder: Path) -> None:
    """A record that two rules mean is left out once; a rule that only counts leaves nothing out."""
    (folder.parent / "rules.json").write_text(json.dumps(RULES))
    done = count("--rules", "rules.json", "--output", "json")
    assert done.code == 0, done
    found = done.document
    assert {rule["name"]: rule["records"] for rule in found["rules"]} == {"reads": 2, "one caller": 1, "listing": 1}
    assert (found["objects"], found["records"], found["excluded"], found["unusable"]) == (1, 4, 2, 1)
    assert found["rules"][0]["events"] == {"s3.amazonaws.com ListBuckets": 1, "s3.amazonaws.com GetObject": 1}
    assert 0 < found["excluded_bytes"] < found["bytes"]
    text = count("--rules", json.dumps(RULES)).out
    assert "Together they leave out 2 records" in text
    assert "one caller (only counts)" in text
    assert "50.0%" in text


def test_an_object_that_cannot_be_read_is_named(folder: Path) -> None:
    """What was read of it counts, and the exit code says that it is not all."""
    (folder / "b.json.gz").write_bytes((folder / "a.json.gz").read_bytes()[:60])
    done = count("--rules", json.dumps(RULES), "--output", "json")
    assert done.code == 1, done
    assert [entry["key"] for entry in done.document["unreadable"]] == ["b.json.gz"]


def test_a_bucket_is_counted_and_nothing_is_written() -> None:
    """The same objects that a backfill would take."""
    with Aws() as aws:
        aws.clear()
        aws.put_records([record("GetObject", True)])
        before = aws.keys(TRAIL)
        done = run("rules", "count", f"s3://{TRAIL}", "--rules", json.dumps(RULES), "--output", "json", env=aws.environment)
        assert (done.code, done.document["excluded"]) == (0, 1), done
        assert aws.keys(TRAIL) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "There are no rules to count"),
        (["--rules", "absent.json"], "'absent.json' cannot be read"),
        (["--rules", "[1]"], "a rule needs a name"),
        (["--rules", "[{"], "is not JSON"),
        (["--rules", "[]"], "There are no rules to count"),
        (["--rules", "a\x00b"], "cannot be read"),
        (["--since", "soon"], "is no time"),
    ],
)
def test_wrong_use_is_told_in_one_line(folder: Path, arguments: list[str], says: str) -> None:
    """What, where and what to do."""
    refused = count(*arguments)
    assert refused.code == 2, refused
    assert says in refused.line
