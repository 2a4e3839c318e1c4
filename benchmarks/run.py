"""`make bench`: what an event costs, beside what people would use instead, in one run.

Fresh processes in turn, on Lambda's Python; figures are medians and spread of the rounds. Prints a report and writes it to
`benchmarks/report.md`. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from audit_search.alerts.matching import deployed
from benchmarks.generate import key, records, repeated, write_object

ROOT = Path(__file__).resolve().parents[1]
MODULES = os.pathsep.join((str(ROOT), str(ROOT / "layers/audit_search/src")))
SAMPLES = ROOT.parent / "shared" / "data" / "cloudtrail"
SMALL, SMALL_RECORDS, BATCH = 2_000, 30, 10
PACKAGES = ("msgspec", "isal", "opensearch-py", "requests-aws4auth", "boto3", "aws-lambda-powertools", "pysimdjson")

Figures = dict[str, float]


def say(text: str) -> None:
    """Progress, for people only."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


@contextmanager
def servers(folder: Path, *, keep: bool = False) -> Iterator[tuple[str, str]]:
    """The loopback S3 and the sink, or with `keep` the engine that keeps documents; gives their addresses."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.servers", str(folder), *(["--keep"] if keep else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": MODULES},
        text=True,
    )
    assert process.stdout is not None
    s3, sink = json.loads(process.stdout.readline())
    try:
        yield f"http://127.0.0.1:{s3}", f"http://127.0.0.1:{sink}"
    finally:
        process.communicate("")


def run(plan: dict[str, Any], s3: str, sink: str, program: str = "benchmarks.subject") -> Figures:
    """One fresh process of a program; its figures, and what arrived at the sink."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": MODULES,
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_SESSION_TOKEN": "benchmark" * 40,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "OPENSEARCH_ENDPOINT": sink,
        "ALLOWED_BUCKETS": "bucket",
        "QUARANTINE_BUCKET": "quarantine",
    }
    counts(sink)
    answer = subprocess.run(
        [sys.executable, "-m", program, json.dumps(plan)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        sys.exit(f"{plan}: {answer.stderr[-2000:]}")
    figures: Figures = json.loads(answer.stdout)
    figures |= counts(sink)
    return figures


def counts(sink: str) -> Figures:
    """What arrived at the sink since it was asked last."""
    with urllib.request.urlopen(f"{sink}/_counts") as answer:
        found: Figures = json.load(answer)
        return found


def forget(engine: str, *, everything: bool = False) -> None:
    """Bring the engine that keeps documents back to what it was told to remember, or empty it."""
    _post(f"{engine}/_empty" if everything else f"{engine}/_forget")


def remember(engine: str) -> None:
    """Let the engine that keeps documents begin each time with those that it has now."""
    _post(f"{engine}/_remember")


def _post(address: str) -> None:
    urllib.request.urlopen(urllib.request.Request(address, method="POST")).close()


def median(rounds: list[Figures], figure: str, scale: float = 1.0) -> str:
    """The median, with the lowest and the highest."""
    values = [one[figure] * scale for one in rounds]
    return f"{statistics.median(values):,.1f} ({min(values):,.1f}-{max(values):,.1f})"


def middle(rounds: list[Figures], figure: str) -> float:
    """The median alone."""
    return statistics.median(one[figure] for one in rounds)


def load(
    title: str, subjects: dict[str, dict[str, Any]], events: int, rounds: int, s3: str, sink: str
) -> tuple[list[str], dict[str, list[Figures]]]:
    """Run all subjects of a load in turn and give its table."""
    found: dict[str, list[Figures]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name, plan in subjects.items():
            found[name].append(run(plan, s3, sink))
            say(f"{title}: round {number + 1} of {rounds}, {name}: {1e6 * found[name][-1]['cpu'] / events:.1f} us/event")
    lines = [
        f"## {title}",
        "",
        "| subject | CPU µs/event | events/s | peak RSS MB | bulk requests | MB sent | CPU beside ours |",
        "|---|---|---|---|---|---|---|",
    ]
    ours = middle(found["ours"], "cpu")
    for name, one in found.items():
        lines.append(
            f"| {name} | {median(one, 'cpu', 1e6 / events)} | {events / middle(one, 'wall'):,.0f} | {median(one, 'rss_mb')} "
            f"| {middle(one, 'requests'):,.0f} | {middle(one, 'bytes_on_the_wire') / 1e6:,.1f} | {middle(one, 'cpu') / ours:.2f} |"
        )
    return [*lines, ""], found


def alert_rules(found: Mapping[str, list[Figures]], events: int, met: int = 0) -> str:
    """What matching alert rules costs on a load, in a sentence, and how many of its events met one where that was counted."""
    cpu, without = (middle(found[subject], "cpu") * 1e6 / events for subject in ("ours", "ours, without alert rules"))
    share = f"; {100 * met / events:.0f} % of these events met one" if met else ""
    cost = f"{cpu - without:.1f} µs an event, {100 * (cpu - without) / cpu:.0f} % of ours"
    return f"Matching the {len(deployed().by_name)} alert rules is {cost}{share}."


def machine(packages: Sequence[str] = PACKAGES) -> list[str]:
    """What this was measured on, with the versions of packages."""
    model = (
        next(
            (
                line.partition(":")[2].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")
            ),
            "",
        )
        if Path("/proc/cpuinfo").exists()
        else platform.processor()
    )
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    computer = f"{model or platform.machine()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}"
    return [f"{datetime.now(UTC):%Y-%m-%d}, {computer}, Python {platform.python_version()}. {versions}.", ""]


def main() -> None:
    """Make the objects, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument(
        "--big", type=int, default=760_000, help="events of the object for memory (760,000 are 1 GB); 0 leaves it out"
    )
    parser.add_argument("--only", choices=("object", "real", "small", "big"), help="one load alone, without writing the report")
    options = parser.parse_args()
    report = ["# What an event costs", "", *machine()]
    with tempfile.TemporaryDirectory(prefix="audit-search-bench-") as name:
        folder = Path(name)

        def put(number: int, texts: Iterator[str]) -> int:
            return write_object(folder / key(number).rpartition("/")[2], counted(number, texts) if number in (1, 2) else texts)

        # While they are written: loaded at once they would be this process's memory, and with it the peak of those it starts.
        met = Counter[int]()

        def counted(number: int, texts: Iterator[str]) -> Iterator[str]:
            for text in texts:
                met[number] += bool(deployed().matching(json.loads(text)))
                yield text

        say("making objects")
        put(0, records(7, 30))
        sizes = {1: put(1, records(1, options.events))}
        if SAMPLES.is_dir():
            sizes[2] = put(2, repeated(SAMPLES, 2, options.events))
        for number in range(options.small):
            put(1_000 + number, records(1_000 + number, SMALL_RECORDS, callers_seed=number // BATCH))
        if options.big and options.only in (None, "big"):
            for number, events in ((11, 10_000), (12, 100_000), (13, 1_000_000)):
                sizes[number] = put(number, records(number, events))
        with servers(folder) as (s3, sink):

            def plans(first: int, objects: int, *others: str) -> dict[str, dict[str, Any]]:
                base = {"first": first, "objects": objects, "batch": BATCH, "folder": str(folder), "compress": True}
                every = {
                    "ours": {**base, "subject": "ours"},
                    "ours, without alert rules": {**base, "subject": "ours without alerts"},
                    "naive, compressed": {**base, "subject": "naive"},
                    "naive, plain": {**base, "subject": "naive", "compress": False},
                    "the limit: inflate, one parser pass": {**base, "subject": "limit"},
                }
                return {subject: plan for subject, plan in every.items() if not others or subject in others}

            for number, title in ((1, "One object of {:,} made records"), (2, "One object of {:,} real records with fresh ids")):
                if number in sizes and options.only in (None, "object" if number == 1 else "real"):
                    lines, found = load(
                        f"{title.format(options.events)}, {sizes[number] / 1e6:.0f} MB inflated",
                        plans(number, 1),
                        options.events,
                        options.rounds,
                        s3,
                        sink,
                    )
                    share = middle(found["the limit: inflate, one parser pass"], "cpu") / middle(found["ours"], "cpu")
                    report += [
                        *lines,
                        f"The limit is {100 * share:.0f} % of ours. {alert_rules(found, options.events, met[number])}",
                        "",
                    ]
            if options.only in (None, "small"):
                events = options.small * SMALL_RECORDS
                title = f"{options.small:,} objects of {SMALL_RECORDS} records, in SQS batches of {BATCH}"
                lines, found = load(title, plans(1_000, options.small), events, options.rounds, s3, sink)
                milliseconds = {subject: 1e3 * middle(one, "cpu") / options.small for subject, one in found.items()}
                report += [
                    *lines,
                    "CPU per object: "
                    + ", ".join(f"{subject} {value:.2f} ms" for subject, value in milliseconds.items())
                    + ". "
                    + alert_rules(found, events),
                    "",
                ]
            if options.big and options.only in (None, "big"):
                report += [
                    "## Memory, and the cost per event as objects grow",
                    "",
                    "| events | MB inflated | CPU µs/event | peak RSS MB |",
                    "|---|---|---|---|",
                ]
                for number, events in ((11, 10_000), (12, 100_000), (13, 1_000_000)):
                    one = [run(plans(number, 1, "ours")["ours"], s3, sink) for _ in range(3)]
                    report.append(
                        f"| {events:,} | {sizes[number] / 1e6:,.0f} | {median(one, 'cpu', 1e6 / events)} | {median(one, 'rss_mb')} |"
                    )
                report.append("")
    report += ["## The naive handler", "", "```python", (ROOT / "benchmarks" / "naive.py").read_text("utf-8").rstrip(), "```", ""]
    print("\n".join(report))
    if options.only is None:
        (ROOT / "benchmarks" / "report.md").write_text("\n".join(report), "utf-8")


if __name__ == "__main__":
    main()
