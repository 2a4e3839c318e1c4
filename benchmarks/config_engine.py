"""`make bench-engine`, the part of AWS Config: what an item costs the engine, with our documents and templates.

On one real node, warmed: the stream of `generate_config` in batches of 10, as a function's invocations write them. CPU of the
node's JVM and stored bytes for each item, by family. Prints a report and writes it to `benchmarks/report-config-engine.md`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit_search import index_template
from audit_search.aws_config.documents import Origin
from audit_search.aws_config.history import Arrival
from audit_search.aws_config.messages import read_message
from benchmarks.engine import BULK, HEAP, ROOT, cpu, machine, say, spread, table
from benchmarks.generate_config import TOPIC, stream
from tests.support.config_world import World
from tests.support.engines import TestEngine
from tests.support.opensearch_node import OpenSearchNode

BATCH, VERSIONS = 10, 3


@dataclass
class Family:
    """What one family of indices holds after a round."""

    documents: int
    stored: int


@dataclass
class Round:
    """CPU in microseconds for each item, requests for each item, and the families by name."""

    cpu: float
    requests: float
    families: dict[str, Family]

    @property
    def stored(self) -> int:
        """Bytes of all families."""
        return sum(family.stored for family in self.families.values())


def write(node: OpenSearchNode, arrivals: list[Arrival]) -> Round:
    """Write all items into indices of their own, merge these into one segment each, and give what that took."""
    world = World(TestEngine(node.endpoint, real=True))
    history, requests = world.history(), 0
    began = cpu(node)
    for start in range(0, len(arrivals), BATCH):
        written = history.write(arrivals[start : start + BATCH], time.monotonic() + 60)
        if any(outcome.kind != "indexed" for outcome in written.outcomes):
            sys.exit(f"not everything was indexed: {written}")
        requests += written.requests
        if start % BULK == 0:  # the refresh that people see new documents by, as often as for events
            node.request("POST", f"/{world.prefix}config-history*,{world.prefix}config-current*/_refresh")
    node.request("POST", f"/{world.prefix}*/_forcemerge?max_num_segments=1")
    node.request("POST", f"/{world.prefix}*/_flush?force=true&wait_if_ongoing=true")
    node.request("POST", f"/{world.prefix}*/_refresh")
    took = cpu(node) - began
    found = node.request("GET", f"/{world.prefix}*/_stats/store,docs")["indices"]
    families = {name: Family(0, 0) for name in index_template.CONFIG if name != "config-events"}
    for index, figures in found.items():
        family = families[next(name for name in families if index.startswith(f"{world.prefix}{name}"))]
        family.documents += figures["primaries"]["docs"]["count"]
        family.stored += figures["primaries"]["store"]["size_in_bytes"]
    world.remove()
    return Round(1e6 * took / len(arrivals), requests / len(arrivals), families)


def report(rounds: list[Round], items: int, characters: float) -> list[str]:
    """The tables."""
    last = rounds[-1]
    rows = [
        [name, f"{family.documents:,}", f"{family.stored / family.documents:,.0f}", f"{family.stored / items:,.0f}"]
        for name, family in last.families.items()
    ]
    rows.append(["all", "", "", f"{last.stored / items:,.0f}"])
    figures = [[f"{last.stored / items:,.0f}", spread([one.cpu for one in rounds]), f"{last.requests:.2f}"]]
    return [
        f"## {items:,} items of {characters:,.0f} characters, {VERSIONS} versions of each resource, {BATCH} in a batch",
        *table(["stored B/item", "CPU µs/item", "requests/item"], figures),
        "By family:",
        *table(["family", "documents", "B/document", "B/item"], rows),
    ]


def main(given: Sequence[str] | None = None) -> None:
    """Make the items, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.config_engine", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks" / "report-config-engine.md")
    options = parser.parse_args(given)
    if not Path("/proc/self/stat").exists():
        sys.exit("The CPU of another process is read from /proc, which this system does not have: please use Linux.")
    origin = Origin("live", topic=TOPIC)
    texts = stream(1, options.items, max(1, options.items // VERSIONS))
    arrivals = [Arrival(item, origin) for text in texts for item in read_message(text).items]
    rounds: list[Round] = []
    with OpenSearchNode(heap=HEAP) as node:
        said = machine(node)
        for number in range(options.rounds + 1):
            one = write(node, arrivals)
            say(f"round {number} of {options.rounds}: {one.cpu:.0f} us, {one.stored / len(arrivals):.0f} B")
            if number:  # the first round is only to warm the JVM
                rounds.append(one)
    characters = statistics.mean(len(arrival.item.raw) for arrival in arrivals)
    lines = ["# What an item of AWS Config costs the engine", "", f"{said}. {METHOD}", ""]
    lines += [*report(rounds, len(arrivals), characters), f"Load at the end: {os.getloadavg()[0]:.1f}.", ""]
    print("\n".join(lines))
    options.report.write_text("\n".join(lines), "utf-8")


METHOD = (
    f"One shard, no replica, each index merged into one segment at the end and flushed; a refresh of history and latest states "
    f"for every {BULK:,} items. CPU is that of the whole JVM (/proc), reads by id included; median of the rounds, lowest and "
    "highest in brackets; a round before them warms the JVM. B/item is what one more version takes on average: its document in "
    "the history, and its share of its resource's latest state and timeline."
)


if __name__ == "__main__":
    main()
