"""`audit-search backfill` on a real node, with the index templates as the set-up makes them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import run
from tests.support.engines import TestEngine


@pytest.fixture
def engine(endpoint: str) -> Iterator[TestEngine]:
    """The node with CloudTrail's index template and names of its own."""
    engine = TestEngine(endpoint, real=True)
    engine.install()
    yield engine
    engine.remove()


def test_a_folder_is_indexed_by_two_processes_and_again_as_duplicates(engine: TestEngine, tmp_path: Path) -> None:
    """Each record once, marked as replay, and found by what is in it."""
    (tmp_path / "logs").mkdir()
    for number in range(120):
        record = {
            "eventVersion": "1.11",
            "eventTime": "2026-11-03T08:15:00Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": "ListBuckets",
            "eventID": f"event-{number}",
            "userIdentity": {"type": "Root"},
        }
        (tmp_path / "logs" / f"{number}.json.gz").write_bytes(gzip.compress(json.dumps({"Records": [record]}).encode()))
    to = ("--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix, "--output", "json", "--processes", "2")
    command = ("backfill", str(tmp_path / "logs"), *to, "--state", str(tmp_path / "state"))
    done = run(*command, "--quarantine-folder", str(tmp_path / "kept"), env={})
    assert (done.code, done.document["records"]["indexed"]) == (0, 120), done
    again = run(*command, "--quarantine-folder", str(tmp_path / "kept"), "--restart", env={})
    assert (again.code, again.document["records"]["duplicates"]) == (0, 120), again
    assert engine.count() == 120
    assert len(engine.found("eventName:ListBuckets AND ct.ingestMode:replay")) == 120
