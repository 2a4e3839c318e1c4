"""A large snapshot passes through the function in bounded memory, in a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.aws import CONFIG, ENVIRONMENT, QUARANTINE, Stored, s3_event, sqs_event
from tests.support.config_world import START, version

ROOT = Path(__file__).parents[2]
ITEMS = 50_000
KEY = (
    "AWSLogs/123456789012/Config/eu-west-1/2026/11/20/ConfigSnapshot/"
    "123456789012_Config_eu-west-1_ConfigSnapshot_20261120T100500Z_1.json.gz"
)
PROGRAM = """
import json, re, resource, sys
from functions.aws_config import app

class Context:
    def get_remaining_time_in_millis(self):
        return 900_000

answer = app.lambda_handler(json.loads(sys.argv[1]), Context())
try:
    # Linux: getrusage would also know the peak of the process that started this one.
    peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"answer": answer, "peak": peak}))
"""


def snapshot() -> Iterator[bytes]:
    """A snapshot of many items of some 2 kB, as it is before it is compressed."""
    base = version("vol-1", START, "s", configuration={f"key{number}": "x" * 40 + str(number) for number in range(30)}).raw
    head, tail = base.split('"resourceId"', 1)
    tail = tail[tail.index(",") :]
    yield b'{"fileVersion":"1.0","configSnapshotId":"s-1","configurationItems":['
    for number in range(ITEMS):
        yield f'{"," if number else ""}{head}"resourceId": "vol-{number}"{tail}'.encode()
    yield b"]}"


def test_fifty_thousand_items_need_less_than_200_mb(tmp_path: Path) -> None:
    """Every item is indexed once, then known, each time in a process below 200 MB. S3 and the engine are another process."""
    body = gzip.compress(b"".join(snapshot()), 1)
    (tmp_path / KEY.rpartition("/")[2]).write_bytes(body)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "layers/audit_search/src")])
    variables = {**os.environ, **ENVIRONMENT, "PYTHONPATH": paths}
    with served(tmp_path, variables) as (s3, engine):
        variables |= {
            "AWS_ENDPOINT_URL": s3,
            "OPENSEARCH_ENDPOINT": engine,
            "OPENSEARCH_AUTH": "none",
            "ALLOWED_BUCKETS": CONFIG,
            "QUARANTINE_BUCKET": QUARANTINE,
        }
        event = sqs_event(s3_event(Stored(CONFIG, KEY, len(body))))
        for outcome, written in (("RecordsIndexed", 3), ("RecordsDuplicate", 0)):
            metrics, peak = read(event, variables)
            assert metrics["RecordsRead"] == metrics[outcome] == [ITEMS]
            assert metrics["ResourcesMissing"] == [0]
            assert documents(engine) == written * ITEMS  # a version, a latest state and a timeline of each
            assert peak < 200_000_000
            print(f"{outcome}: peak of {peak / 1e6:.0f} MB")


def read(event: object, variables: dict[str, str]) -> tuple[dict[str, list[int]], int]:
    """The metrics and the peak (bytes) of a new process of the function that is given an event of a queue."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(event)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    *logged, last = done.stdout.splitlines()
    result = json.loads(last)
    assert result["answer"] == {"batchItemFailures": []}
    (metrics,) = [line for line in map(json.loads, logged) if "_aws" in line]
    return metrics, result["peak"]


def documents(engine: str) -> int:
    """How many documents were written since this was asked last."""
    with urllib.request.urlopen(f"{engine}/_counts") as answer:
        return int(json.load(answer).get("documents", 0))


@contextmanager
def served(folder: Path, variables: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The files of a folder as objects, and an engine that keeps documents."""
    command = [sys.executable, "-m", "benchmarks.servers", str(folder), "--keep"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=variables, text=True)
    assert process.stdout is not None
    ports = json.loads(process.stdout.readline())
    try:
        yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    finally:
        process.communicate("")
