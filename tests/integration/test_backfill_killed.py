"""A backfill that is killed and started again: each record is there once, and the counts add up."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import TestEngine

OBJECTS = 10_000
_PROGRAM = "from audit_search_cli.main import main; main()"
_PLACE = (
    "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/{day:02}/"
    "111122223333_CloudTrail_eu-central-1_202611{day:02}T0820Z_{number}.json.gz"
)


def fill(folder: Path) -> None:
    """Ten thousand log files of one record each, in twenty days."""
    for day in range(1, 21):
        (folder / _PLACE.format(day=day, number=0)).parent.mkdir(parents=True)
    for number in range(OBJECTS):
        day = number % 20 + 1
        record = {
            "eventVersion": "1.11",
            "eventTime": f"2026-11-{day:02}T08:15:00Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": "ListBuckets",
            "eventID": f"event-{number}",
            "userIdentity": {"type": "Root"},
        }
        path = folder / _PLACE.format(day=day, number=number)
        path.write_bytes(gzip.compress(json.dumps({"Records": [record]}).encode(), 1))


def begin(engine: TestEngine, folder: Path, state: Path) -> subprocess.Popen[str]:
    """Start the command with two processes."""
    to = ["--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix]
    command = ["backfill", str(folder), *to, "--processes", "2", "--state", str(state), "--output", "json"]
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=state.parent,
        start_new_session=True,
    )


def lines(state: Path) -> int:
    """How many batches are done."""
    return state.read_bytes().count(b"\n") if state.exists() else 0


def wait_for(process: subprocess.Popen[str], state: Path, count: int) -> None:
    """Until so many batches are done."""
    while lines(state) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def finish(process: subprocess.Popen[str], code: int) -> dict[str, Any]:
    """The JSON document of a run that ends by itself."""
    out, err = process.communicate()
    assert process.returncode == code, err
    document: dict[str, Any] = json.loads(out)
    return document


@pytest.mark.timeout(900)
def test_a_backfill_of_ten_thousand_objects_killed_three_times_has_each_record_once(engine: TestEngine, tmp_path: Path) -> None:
    """Killed without warning at three places, then interrupted once, then run to its end."""
    folder, state = tmp_path / "logs", tmp_path / "state.jsonl"
    fill(folder)
    for count in (5, 60, 120):
        process = begin(engine, folder, state)
        wait_for(process, state, count)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = sum(
        len(json.loads(line)["done"]) for line in state.read_bytes().splitlines(keepends=True)[1:] if line.endswith(b"\n")
    )
    process = begin(engine, folder, state)
    wait_for(process, state, lines(state) + 5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the command and its processes
    stopped = finish(process, 130)
    assert stopped["interrupted"]
    objects = stopped["objects"]
    assert objects["done_before"] == before
    assert objects["found"] == objects["done"] + objects["done_before"] + objects["left"] == OBJECTS
    last = finish(begin(engine, folder, state), 0)
    assert last["objects"] == {
        "found": OBJECTS,
        "done": objects["left"],
        "done_before": OBJECTS - objects["left"],
        "returned": 0,
        "left": 0,
        "quarantined": 0,
    }
    kept = [json.loads(line) for line in state.read_bytes().splitlines()[1:]]
    done = [key for entry in kept for key in entry["done"]]
    assert len(done) == len(set(done)) == OBJECTS
    counted = {name: sum(entry["counts"][name] for entry in kept) for name in ("read", "indexed", "duplicates")}
    assert counted["read"] == counted["indexed"] + counted["duplicates"] == OBJECTS
    assert engine.count() == OBJECTS
