"""`make bench-config`: what an item of AWS Config costs, beside what people would write instead, in one run.

Fresh processes in turn on Lambda's Python, against an engine's stand-in that keeps documents (`store`), whose own work is not
counted. Prints a report and writes it to `benchmarks/report-config.md`. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generate_config import delivery, snapshot, snapshot_key, stream, write_snapshot
from benchmarks.run import ROOT, Figures, forget, machine, middle, remember, run, say, servers

PROGRAM = "benchmarks.config_subject"
PACKAGES = ("msgspec", "isal", "opensearch-py", "requests-aws4auth", "boto3", "aws-lambda-powertools")
SUBJECTS = {"ours": "ours", "naive": "naive, one by one", "naive bulk": "naive, a search each and `helpers.bulk`"}
READS = ("_mget", "_search", "_doc")
CHANGED = 2.0
"""Of a hundred resources so many have changed since the snapshot before."""


@dataclass(frozen=True, slots=True)
class Load:
    """Messages to handle, so many in an invocation, which bring so many items. `warm` are those that come first and are not
    measured, `known` those that were handled before, by ours: the others find its documents as well. The naive handlers write
    the `first` items of a snapshot only, where that is not 0: all of them would take minutes."""

    title: str
    messages: Path
    items: int
    batch: int
    warm: Path
    known: Path | None = None
    first: int = 0


def measured(load: Load, subject: str, s3: str, engine: str) -> Figures:
    """One round of a subject, with an engine that has what the load begins with."""
    forget(engine)
    return run(plan_of(load, subject, load.messages), s3, engine, PROGRAM)


def plan_of(load: Load, subject: str, messages: Path) -> dict[str, object]:
    """What a process is told to do."""
    first = {"items": load.items, "first": load.first}
    return {"subject": subject, "batch": load.batch, "warm": str(load.warm), "messages": str(messages), **first}


def rounds_of(load: Load, rounds: int, s3: str, engine: str) -> dict[str, list[Figures]]:
    """All subjects in turn."""
    forget(engine, everything=True)
    if load.known:
        run(plan_of(load, "ours", load.known), s3, engine, PROGRAM)
        remember(engine)
    found: dict[str, list[Figures]] = {subject: [] for subject in SUBJECTS}
    for number in range(rounds):
        for subject, figures in found.items():
            figures.append(measured(load, subject, s3, engine))
            say(f"{load.title}: round {number + 1} of {rounds}, {subject}: {1e6 * figures[-1]['cpu'] / load.items:.1f} us/item")
    return found


def least(rounds: list[Figures], figure: str) -> float:
    """The lowest of the rounds: whatever else the machine does only adds."""
    return min(one[figure] for one in rounds)


def table(load: Load, found: dict[str, list[Figures]]) -> list[str]:
    """The table of a load."""
    lines = [
        f"## {load.title}",
        "",
        "| subject | CPU µs/item | items/s | peak RSS MB | requests/item | of them reads | MB sent | CPU beside ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ours = least(found["ours"], "cpu")
    for subject, one in found.items():
        reads = sum(one[-1].get(kind, 0) for kind in READS) / load.items
        lines.append(
            f"| {SUBJECTS[subject]} | {1e6 * least(one, 'cpu') / load.items:,.1f} ({1e6 * middle(one, 'cpu') / load.items:,.1f}) "
            f"| {load.items / least(one, 'wall'):,.0f} | {middle(one, 'rss_mb'):,.0f} | {one[-1]['requests'] / load.items:,.4f} | {reads:,.4f} "
            f"| {middle(one, 'bytes_on_the_wire') / 1e6:,.1f} | {least(one, 'cpu') / ours:.2f} |"
        )
    return [*lines, ""]


def figures(load: Load, found: dict[str, list[Figures]]) -> dict[str, object]:
    """The same for programs."""
    ours = least(found["ours"], "cpu")
    subjects = {
        subject: {
            "rounds": len(one),
            "cpu_us_per_item": 1e6 * least(one, "cpu") / load.items,
            "cpu_us_per_item_median": 1e6 * middle(one, "cpu") / load.items,
            "items_per_second": load.items / least(one, "wall"),
            "peak_rss_mb": middle(one, "rss_mb"),
            "requests_per_item": one[-1]["requests"] / load.items,
            "reads_per_item": sum(one[-1].get(kind, 0) for kind in READS) / load.items,
            "documents": one[-1].get("documents", 0),
            "bytes_on_the_wire": middle(one, "bytes_on_the_wire"),
            "cpu_beside_ours": least(one, "cpu") / ours,
        }
        for subject, one in found.items()
    }
    return {"title": load.title, "items": load.items, "batch": load.batch, "subjects": subjects}


def loads(folder: Path, options: argparse.Namespace) -> list[Load]:
    """Make the files of all loads."""
    say("making messages and snapshots")

    def messages(name: str, texts: list[str]) -> Path:
        path = folder / name
        path.write_text("\n".join(texts), "utf-8")
        return path

    def made(number: int, seed: int, count: int, changes: float = 0.0) -> tuple[Path, int]:
        size = write_snapshot(folder / snapshot_key(number).rpartition("/")[2], number, snapshot(seed, count, changes))
        return messages(f"snapshot-{number}.txt", [delivery("bucket", number)]), size

    warm = messages("warm.txt", list(stream(3, 10, 10)))
    sent = list(stream(1, options.messages, max(1, options.messages // 3)))
    mean = statistics.mean(map(len, sent))
    path = messages("stream.txt", sent)
    found = [
        Load(
            f"Stream: {options.messages:,} messages of {mean:,.0f} characters, {batch} in an invocation",
            path,
            len(sent),
            batch,
            warm,
        )
        for batch in options.batches
    ]
    if options.items:
        warm, _ = made(0, 3, 10)
        (first, size), (second, _) = made(1, 1, options.items), made(2, 1, options.items, CHANGED)
        title = f"Snapshot of {options.items:,} items, {size / 1e6:,.0f} MB inflated"
        found.append(
            Load(f"{title}, none of them known", first, options.items, 1, warm, first=min(options.naive_items, options.items))
        )
        found.append(
            Load(
                f"{title}, the next one: {CHANGED:g} of 100 changed",
                second,
                options.items,
                1,
                warm,
                first,
                first=min(options.naive_items, options.items),
            )
        )
    return found  # fmt: skip


def main(given: Sequence[str] | None = None) -> None:
    """Make the loads, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.config_run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--messages", type=int, default=2_000, help="of the stream")
    parser.add_argument("--batches", type=int, nargs="+", default=[10, 100], help="messages in an invocation")
    parser.add_argument("--items", type=int, default=50_000, help="of a snapshot; 0 leaves snapshots out")
    parser.add_argument(
        "--naive-items", type=int, default=2_500, help="of them that the naive handlers write; the rest is reckoned"
    )
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks" / "report-config.md")
    options = parser.parse_args(given)
    said = machine(PACKAGES)
    report = ["# What an item of AWS Config costs", "", *said, METHOD, ""]
    every = []
    with tempfile.TemporaryDirectory(prefix="audit-search-bench-") as name:
        found = loads(Path(name), options)
        with servers(Path(name), keep=True) as (s3, engine):
            for load in found:
                rounds = rounds_of(load, options.rounds, s3, engine)
                report += table(load, rounds)
                every.append(figures(load, rounds))
    report += [
        "## The naive handler",
        "",
        "```python",
        (ROOT / "benchmarks" / "naive_config.py").read_text("utf-8").rstrip(),
        "```",
        "",
    ]
    print("\n".join(report))
    options.report.write_text("\n".join(report), "utf-8")
    if options.json:
        options.json.write_text(json.dumps({"machine": said[0], "loads": every}, indent=2) + "\n", "utf-8")


METHOD = (
    "CPU, wall time and peak memory of the handler's own process. CPU and items/s are the best of the rounds, for whatever else the "
    "machine does only adds to them; the median in brackets. Of a snapshot the naive handlers read everything and write the first few thousand items: what the others "
    "would cost is reckoned from these. The engine is a stand-in on the loopback that keeps documents and answers at once: "
    "what an engine needs for a request, and how long the way to it is, come on top for each request. Items a second are those "
    "of one process that waits for this stand-in. The naive handlers send plain bodies, which costs them less CPU than "
    "compressed ones; ours are compressed."
)


if __name__ == "__main__":
    main()
