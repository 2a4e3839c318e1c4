"""`make bench-questions`: how long each question of the command takes, on one real node, by the library that the command calls.

Made records over a year in monthly indices, among them the calls that changed and read made resources, whose versions are there
as well, linked by the linker. Each run has the values of another record or resource, so that no answer is that of the run
before. Prints a report and writes it to `benchmarks/report-questions.md`. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audit_search import index_template
from audit_search.accounting import Counts
from audit_search.cloudtrail import DocumentBuilder, Policy
from audit_search.records import windows
from audit_search_cli.connection import Anonymous, Engine, Target
from audit_search_cli.questions import trends, why
from audit_search_cli.questions.coverage import look
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.hints import hints
from benchmarks import questions_resources as about
from benchmarks.engine import PLACE, ROOT, machine, say, table
from benchmarks.generate import records
from tests.support.opensearch_node import OpenSearchNode

END = datetime(2026, 11, 3, 8, tzinfo=UTC)
YEAR = timedelta(days=365)
PREFIX = "bench-"
CHUNK = 2_000
SAMPLED = 97
"""Every so many-th record lends its values to the questions."""
WHY = "why a call failed"
_TIME = re.compile(r'"eventTime":"[^"]+"')

Record = dict[str, Any]
Ask = Callable[[Events, Record], int]


@dataclass
class Answers:
    """Milliseconds of each run, and what each found."""

    times: list[float] = field(default_factory=list)
    found: list[int] = field(default_factory=list)


def texts(count: int) -> Iterator[str]:
    """Made records, one after the other over a year."""
    for number, text in enumerate(records(1, count)):
        when = END - YEAR * (count - number) / count
        yield _TIME.sub(f'"eventTime":"{when:%Y-%m-%dT%H:%M:%SZ}"', text, count=1)


def load(node: OpenSearchNode, prefix: str, texts: Iterator[str], count: int) -> list[Record]:
    """Index texts of records, so many, in monthly indices, and give a sample of them."""
    family = index_template.body(prefix, replicas=0, shards=1, refresh="-1")
    node.request("PUT", f"/_index_template/{index_template.name(prefix)}", family)
    builder = DocumentBuilder(Policy(), PLACE, Counts())
    sample: list[Record] = []
    position = 0
    while chunk := list(itertools.islice(texts, CHUNK)):
        sample += [json.loads(text) for text in chunk[:: min(SAMPLED, len(chunk))]]
        joined = ",".join(chunk).encode()
        for window in windows(iter([b'{"Records":[%b]}' % joined])):
            made = builder.lines(window, position)
            lines = [line + b'2026-11-03T08:21:00.000Z"}}\n' for line in made.lines]
            answer = node.request("POST", "/_bulk?filter_path=errors", _prefixed(b"".join(lines), prefix))
            if answer["errors"]:
                sys.exit("The engine refused documents.")
        position += len(chunk)
        say(f"{position:,} of {count:,} events")
    return sample


def _prefixed(body: bytes, prefix: str) -> bytes:
    """The request with its indices' names behind a prefix."""
    return body.replace(b'{"create":{"_index":"cloudtrail-', b'{"create":{"_index":"%bcloudtrail-' % prefix.encode())


def _lookup(filters: Callable[[Record], Filters]) -> Ask:
    def ask(events: Events, record: Record) -> int:
        return len(list(events.search(filters(record).query(), most=50)))

    return ask


def _user(record: Record) -> str:
    who = record["userIdentity"]
    return str(who.get("userName") or str(who.get("principalId", "")).rpartition(":")[2] or "root")


def _resource(record: Record) -> str:
    listed = record.get("resources")
    return str(listed[0]["ARN"]) if listed else str(record["requestID"])


def _none(events: Events, record: Record) -> int:
    filters = Filters({"event-name": (record["eventName"].swapcase(),)})
    found = events.count(filters.query())
    hints(events, filters)
    look(events, filters)
    return found


def _why(events: Events, record: Record) -> int:
    """As the command does it, with the line of coverage; gives how many others have the error."""
    (event,) = events.by_id(record["eventID"])
    answer = why.explain(events, event)
    look(events, Filters({"account": (event.account,)}))
    return answer.others.events if answer.others else 0


_WEEK = Filters(since=END - timedelta(days=7), until=END)
QUESTIONS: dict[str, Ask] = {
    "lookup by event id": _lookup(lambda record: Filters({"event-id": (record["eventID"],)})),
    "lookup by user": _lookup(lambda record: Filters({"user": (_user(record),)})),
    "lookup by resource": _lookup(lambda record: Filters({"resource": (_resource(record),)})),
    "lookup by network and error": _lookup(
        lambda record: (
            Filters({"source-ip": (f"{record['sourceIPAddress'].rpartition('.')[0]}.0/26",), "error": ("Access*",)})
            if record["sourceIPAddress"][0].isdigit()
            else Filters({"source-ip": (record["sourceIPAddress"],)})
        )
    ),
    "lookup by words of the text": _lookup(lambda record: Filters(text=f'"not authorized to perform" {record["awsRegion"]}')),
    "nothing found: hints, and what was recorded": _none,
    "when": lambda events, record: trends.moments(events, Filters({"event-name": (record["eventName"],)})).events,
    "when, of a caller": lambda events, record: (
        trends.moments(events, Filters({"event-name": (record["eventName"],), "user": (_user(record),)})).events
    ),
    WHY: _why,
    "top caller, of a week": lambda events, record: (
        trends.top(events, replace(_WEEK, where={"region": (record["awsRegion"],)}), "caller").events
    ),
    "top api, of a year": lambda events, record: trends.top(events, Filters({"region": (record["awsRegion"],)}), "api").events,
    "top error of a caller, of a year": lambda events, record: (
        trends.top(events, Filters({"user": (_user(record),)}), "error").events
    ),
    "stats by error, a week by the hour": lambda events, record: sum(
        trends.stats(events, replace(_WEEK, where={"region": (record["awsRegion"],)}), "hour", "error").totals
    ),
    "stats by caller, a year by the week": lambda events, record: sum(
        trends.stats(events, Filters({"region": (record["awsRegion"],)}), "week", "caller").totals
    ),
    "coverage, of a year": lambda events, record: look(events, Filters({"region": (record["awsRegion"],)})).events,
}
"""Each question, with the values of a record."""


def measure(events: Events, sample: list[Record], items: list[Record], runs: int, warm: int) -> dict[str, Answers]:
    """Each question in turn, over and over, each time with another record, or the item of another version."""
    rng = random.Random(1)  # the same records each time
    found: dict[str, Answers] = collections.defaultdict(Answers)
    failed = [record for record in sample if "errorCode" in record]
    for number in range(warm + runs):
        for name, ask in (QUESTIONS | about.QUESTIONS).items():
            record = rng.choice(items if name in about.QUESTIONS else failed if name == WHY else sample)
            began = time.perf_counter()
            answer = ask(events, record)
            took = 1e3 * (time.perf_counter() - began)
            if number >= warm:
                found[name].times.append(took)
                found[name].found.append(answer)
    return found


def report(found: dict[str, Answers], where: str, loaded: str) -> str:
    """The report as Markdown; `where` says on what it was measured, `loaded` what was there to ask about."""
    rows = []
    for name, answers in found.items():
        ordered = sorted(answers.times)
        p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
        rows.append(
            [
                name,
                f"{statistics.median(ordered):,.0f}",
                f"{p95:,.0f}",
                f"{ordered[-1]:,.0f}",
                f"{statistics.median(answers.found):,.0f}",
            ]
        )
    runs = len(next(iter(found.values())).times)
    method = (
        f"{where}. {loaded} Each question {runs} times, each time with the values of another event or resource, by the "
        "library that `audit-search` calls: all its requests, and the records read from their text. A resource is taken as often "
        "as it has versions, so that those with a long history are asked about most. A start of the command adds some half a "
        "second."
    )
    lines = [
        "# How long a question takes",
        "",
        method,
        "",
        *table(["question", "p50 ms", "p95 ms", "longest ms", "found (median)"], rows),
        f"Load at the end: {os.getloadavg()[0]:.1f}.",
    ]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _world(node: OpenSearchNode, options: argparse.Namespace) -> tuple[list[Record], list[Record], int]:
    """Load everything; gives a sample of the events, the items of the versions, and how many of these were linked."""
    about.install(node, PREFIX)
    bases = about.callers(records(1, 2_000))
    items: list[Record] = []
    calls: list[str] = []
    for life in about.lives(options.versions, options.resources, END, YEAR, bases):
        items.append(json.loads(json.dumps(life.item)))  # the next version is made of the same one
        calls += [json.dumps(call, separators=(",", ":")) for call in life.calls]
    about.load(node, PREFIX, items)
    rest = options.events - len(calls)
    sample = load(node, PREFIX, itertools.chain(texts(rest), calls), options.events)
    node.request("POST", f"/{PREFIX}cloudtrail-2*/_refresh")
    node.request("POST", f"/{PREFIX}cloudtrail-2*,{PREFIX}config-*/_forcemerge?max_num_segments=5")
    linked = about.link(node, PREFIX, options.linking)
    return sample, items, linked


def _stored(node: OpenSearchNode, family: str) -> int:
    found: int = node.request("GET", f"/{PREFIX}{family}-2*/_stats/store")["_all"]["primaries"]["store"]["size_in_bytes"]
    return found


def main() -> None:
    """Load, ask, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--versions", type=int, default=50_000)
    parser.add_argument("--resources", type=int, default=5_000)
    parser.add_argument("--linking", type=float, default=300, help="seconds that the linker has")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--warm", type=int, default=5)
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks" / "report-questions.md")
    options = parser.parse_args()
    with OpenSearchNode(heap="2g") as node:
        started = os.getloadavg()[0]
        sample, items, linked = _world(node, options)
        events = Events(Engine(Target(node.endpoint, auth="none"), Anonymous(), timeout=300), PREFIX)
        if events.count({"match_all": {}}) != options.events:
            sys.exit("Not all events are there.")
        sizes = [_stored(node, family) for family in ("cloudtrail", "config-history")]
        loaded = (
            f"{options.events:,} made events over a year in monthly indices of one shard, {sizes[0] / 1e6:,.0f} MB; "
            f"{len(items):,} versions of {options.resources:,} resources over the same year, {sizes[1] / 1e6:,.0f} MB, of which "
            f"the linker linked {linked:,}, the oldest first. Load before anything was loaded {started:.1f}."
        )
        where = machine(node)
        text = report(measure(events, sample, items, options.runs, options.warm), where, loaded)
    print(text)
    options.report.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
