"""`make bench-coldstart`: what the first event in a new container waits for, on the built artefact.

Fresh processes on Lambda's Python see only what `sam build` made and what the runtime brings (boto3): the time to import
the function, and the time of the first real event (one object of 30 records, from a loopback S3 to a sink), with the
bytecode that `make build` adds and without. Writes `benchmarks/report-coldstart.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.generate import key, records, write_object
from benchmarks.run import ROOT, machine, servers
from benchmarks.subject import sqs_event

PROGRAM = """
import json, os, sys, time
began = time.perf_counter()
import app
imported = time.perf_counter()
class Context:
    def get_remaining_time_in_millis(self):
        return 300_000
out, sys.stdout = sys.stdout, open(os.devnull, "w")
event = json.load(sys.stdin)
before = time.perf_counter()
answer = app.lambda_handler(event, Context())
first = time.perf_counter() - before
app.lambda_handler(event, Context())
second = time.perf_counter() - before - first
assert answer == {"batchItemFailures": []}, answer
peak = __import__("resource").getrusage(__import__("resource").RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"import": imported - began, "first": first, "second": second, "rss": peak}), file=out)
"""


def measure(build: Path, python: Path, s3: str, sink: str) -> dict[str, float]:
    """One cold start."""
    places = [build / "CloudTrailFunction", build / "AuditSearchLayer/python", build / "DependenciesLayer/python"]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "PYTHONDONTWRITEBYTECODE": "1",  # /opt and /var/task cannot be written to
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "OPENSEARCH_ENDPOINT": sink,
        "ALLOWED_BUCKETS": "bucket",
        "QUARANTINE_BUCKET": "quarantine",
    }
    answer = subprocess.run(
        [python, "-c", PROGRAM],
        input=json.dumps(sqs_event(range(1))),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        sys.exit(answer.stderr[-2000:])
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("python", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    lines = ["# The first event in a new container", "", *machine()]
    lines += ["| artefact | import ms | first event ms | second event ms | peak RSS MB |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="audit-search-cold-") as name:
        bare = Path(name) / "bare"
        shutil.copytree(options.build, bare, ignore=shutil.ignore_patterns("__pycache__"))
        objects = Path(name) / "objects"
        objects.mkdir()
        write_object(objects / key(0).rpartition("/")[2], records(7, 30))
        found: dict[str, list[dict[str, float]]] = {"as built, with bytecode": [], "without bytecode": []}
        with servers(objects) as (s3, sink):
            for _ in range(options.rounds):
                for title, build in zip(found, (options.build, bare), strict=True):
                    found[title].append(measure(build.resolve(), options.python.absolute(), s3, sink))
        for title, rounds in found.items():
            cells = []
            for figure, scale in (("import", 1e3), ("first", 1e3), ("second", 1e3), ("rss", 1)):
                values = [one[figure] * scale for one in rounds]
                cells.append(f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})")
            lines.append(f"| {title} | {' | '.join(cells)} |")
    lines.append("")
    print("\n".join(lines))
    (ROOT / "benchmarks" / "report-coldstart.md").write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
