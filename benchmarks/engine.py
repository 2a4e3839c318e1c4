"""`make bench-engine`: what an event costs the engine, for our documents and for what people would use instead.

On one real node, warmed, the shapes in turn for several rounds: CPU of its JVM and stored bytes per event, rejected documents,
and how long searches take. Prints a report and writes it to `benchmarks/report-engine.md`. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit_search import index_template
from audit_search.accounting import Counts
from audit_search.cloudtrail import DocumentBuilder, Policy
from audit_search.documents import Place
from audit_search.records import windows
from benchmarks.generate import key, records, repeated
from tests.support.opensearch_node import VERSION, OpenSearchNode

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT.parent / "shared" / "data" / "cloudtrail"
PLACE = Place("trail-bucket", key(1), datetime(2026, 11, 3, 8, 20, tzinfo=UTC))
BULK = 250
"""Events of one bulk request; a refresh follows each. With a refresh every 10 s, an account of 65 million events a month."""
RUNS, WARM_RUNS = 60, 15
REPEATED = 6
HEAP = "2g"
BASES = ("dynamic + raw", "dynamic + raw, compressed")
"""The same search power as ours, with the engine's own codec and with ours."""

Query = dict[str, Any] | None


@dataclass(frozen=True)
class Shape:
    """An index, the documents that go into it, and how each question is asked there (None where it cannot be)."""

    name: str
    what: str
    body: Callable[[], dict[str, Any]]
    documents: str
    questions: dict[str, Query]


@dataclass
class Round:
    """The figures of one shape in one round."""

    events: int
    rejected: Counter[str] = field(default_factory=Counter)
    indexing: float = 0.0
    merging: float = 0.0
    stored: float = 0.0
    fields: int = 0
    files: dict[str, float] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        """Microseconds per event, from the first request to the merged index."""
        return self.indexing + self.merging


def say(text: str) -> None:
    """Progress, for people only."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


# --- documents --------------------------------------------------------------------------------------------------------


def bulks(ids: list[bytes], documents: list[bytes]) -> list[bytes]:
    """Bulk requests of these documents, for an index that the request's address names."""
    lines = [b'{"create":{"_id":%b}}\n%b\n' % pair for pair in zip(ids, documents, strict=True)]
    return [b"".join(lines[start : start + BULK]) for start in range(0, len(lines), BULK)]


def requests(texts: Iterable[str]) -> dict[str, list[bytes]]:
    """The same records as the documents of our pipeline, and as they are, without and with their text in `raw`."""
    raw = [text.encode() for text in texts]
    builder = DocumentBuilder(Policy(), PLACE, Counts())
    ids: list[bytes] = []
    ours: list[bytes] = []
    for window in windows(iter([b'{"Records":[%b]}' % b",".join(raw)])):
        made = builder.lines(window, len(ids))
        ids += made.ids
        ours += [line.split(b"\n", 1)[1] for line in made.lines]
    repeats = Counter(ids)  # a sample without an eventID is the same event in each repetition
    ids = [event_id if repeats[event_id] == 1 else b'"%d"' % number for number, event_id in enumerate(ids)]
    times = [b'2026-11-03T08:21:%02d.%03dZ"}}' % (number // BULK % 60, number // BULK) for number in range(len(ours))]
    with_text = [text[:-1] + b',"raw":%b}' % json.dumps(text.decode()).encode() for text in raw]
    return {
        "ours": bulks(ids, [document + end for document, end in zip(ours, times, strict=True)]),
        "the record": bulks(ids, raw),
        "the record and its text": bulks(ids, with_text),
    }


# --- shapes -----------------------------------------------------------------------------------------------------------

_INDEX = {
    "number_of_shards": 1,
    "number_of_replicas": 0,
    "refresh_interval": "-1",  # this program asks for each
    "queries.cache.enabled": False,  # what is searched again and again here would be answered from it
}


def _from_template(**variant: Any) -> dict[str, Any]:
    body: dict[str, Any] = index_template.body("", **variant)["template"]
    body.pop("aliases")
    body["settings"]["index"].update(_INDEX)
    return body


def _lean_without_positions() -> dict[str, Any]:
    body = _from_template(lean=True)
    raw = body["mappings"]["properties"]["raw"]
    raw["type"] = "match_only_text"
    raw.pop("norms")
    return body


def _dynamic(**extra: Any) -> dict[str, Any]:
    # With the usual limit of 1,000 fields it would reject more.
    return {"settings": {"index": {**_INDEX, "mapping.total_fields.limit": 20_000}}, **extra}


def _dynamic_with_text(codec: str) -> dict[str, Any]:
    body = _dynamic(mappings={"properties": {"raw": {"type": "text"}}})
    body["settings"]["index"] |= {"query.default_field": ["raw"], "codec": codec}
    return body


def _questions(instance: str, keyword: str, pair: str, *, path: bool, network: bool) -> dict[str, Query]:
    """`pair` is how a key with its value is written, or empty where that cannot be asked."""

    def bar(text: str) -> Query:
        return {"query_string": {"query": text}}

    return {
        "term: an event's name": {"term": {f"eventName{keyword}": "RunInstances"}},
        "search bar: an id": bar(f'"{instance}"'),
        "search bar: a phrase": bar('"is not authorized to perform"'),
        "search bar: key:value": bar(pair) if pair else None,
        "path": {"term": {f"requestParameters.instanceType{keyword}": "c7g.xlarge"}} if path else None,
        "network": {"term": {"sourceIPAddress.ip": "198.51.100.0/26"}} if network else None,
    }


def shapes(instance: str) -> list[Shape]:
    """What is compared."""
    pair = '"instanceType:c7g.xlarge"'
    whole = _questions(instance, "", pair, path=True, network=True)
    lean = _questions(instance, "", pair, path=False, network=True)
    # To this analyzer `instanceType:c7g.xlarge` is one word, which the text does not have.
    with_text = _questions(instance, ".keyword", pair.replace(":", " "), path=True, network=False)
    return [
        Shape("ours", "our documents, our template", _from_template, "ours", whole),
        Shape("lean", "our documents, `index_template.body(lean=True)`", lambda: _from_template(lean=True), "ours", lean),
        Shape("lean, no positions", "lean with `raw` as match_only_text", _lean_without_positions, "ours", lean),
        Shape(
            "dynamic",
            "the record as it is, dynamic mapping, 20,000 fields allowed, the engine's own codec (LZ4)",
            _dynamic,
            "the record",
            _questions(instance, ".keyword", "", path=True, network=False),
        ),
        Shape(
            BASES[0],
            "the same with the record's text as `raw`, a text with the standard analyzer: the same search power",
            lambda: _dynamic_with_text("default"),
            "the record and its text",
            with_text,
        ),
        Shape(
            BASES[1],
            "the same with best_compression, as ours has it",
            lambda: _dynamic_with_text("best_compression"),
            "the record and its text",
            with_text,
        ),
    ]


# --- measuring --------------------------------------------------------------------------------------------------------


def cpu(node: OpenSearchNode) -> float:
    """Seconds of CPU, user and system, that the node's JVM has taken so far."""
    values = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def count_fields(properties: dict[str, Any]) -> int:
    """Fields of a mapping, multi-fields counted, objects not."""
    return sum(
        count_fields(one["properties"]) if "properties" in one else 1 + count_fields(one.get("fields", {}))
        for one in properties.values()
    )


def ingest(node: OpenSearchNode, index: str, body: dict[str, Any], requests: list[bytes]) -> Round:
    """Fill a fresh index, merge it into one segment, and give what that took and what is stored."""
    node.call("DELETE", f"/{index}")
    node.request("PUT", f"/{index}", body)
    found = Round(sum(request.count(b"\n") // 2 for request in requests))
    began = cpu(node)
    for request in requests:
        answer = node.request("POST", f"/{index}/_bulk?filter_path=errors,items.*.error.type", request)
        found.rejected.update(item["create"]["error"]["type"] for item in answer.get("items", []))
        node.request("POST", f"/{index}/_refresh")
    indexed = cpu(node)
    node.request("POST", f"/{index}/_forcemerge?max_num_segments=1")
    node.request("POST", f"/{index}/_flush?force=true&wait_if_ongoing=true")
    node.request("POST", f"/{index}/_refresh")
    merged = cpu(node)
    answer = node.request("GET", f"/{index}/_stats/store,segments,docs?include_segment_file_sizes=true")
    figures = answer["indices"][index]["primaries"]
    kept = figures["docs"]["count"]
    if kept + found.rejected.total() != found.events or figures["segments"]["count"] != 1:
        sys.exit(f"{index}: {kept} documents and {found.rejected.total()} rejected of {found.events}: {figures}")
    found.indexing, found.merging = 1e6 * (indexed - began) / found.events, 1e6 * (merged - indexed) / found.events
    found.stored = figures["store"]["size_in_bytes"] / kept
    found.files = {name: one["size_in_bytes"] / kept for name, one in figures["segments"]["file_sizes"].items()}
    mapping = node.request("GET", f"/{index}/_mapping")[index]["mappings"]
    found.fields = count_fields(mapping["properties"])
    return found


def compare(
    node: OpenSearchNode, load: str, every: list[Shape], documents: dict[str, list[bytes]], rounds: int
) -> dict[str, list[Round]]:
    """All shapes in turn, each round beginning with another one; the first round of all is only to warm the JVM.

    The indices of the last round stay."""
    found: dict[str, list[Round]] = {shape.name: [] for shape in every}
    for number in range(rounds + 1):
        first = number % len(every)
        for shape in every[first:] + every[:first]:
            one = ingest(node, f"{load}-{every.index(shape)}", shape.body(), documents[shape.documents])
            say(f"{load}: round {number} of {rounds}, {shape.name}: {one.cpu:.0f} us, {one.stored:.0f} B")
            if number:
                found[shape.name].append(one)
    return found


@dataclass
class Answers:
    """Milliseconds of each run of a question, and how many documents it finds; or why it has no answer."""

    times: list[float] = field(default_factory=list)
    hits: int = 0
    error: str = ""


def ask(node: OpenSearchNode, load: str, every: list[Shape]) -> dict[tuple[str, str], Answers]:
    """Each question of each shape in turn, over and over, on one kept connection: the newest 20 events and the count."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port)
    found: dict[tuple[str, str], Answers] = {}
    for number in range(WARM_RUNS + RUNS):
        for place, shape in enumerate(every):
            for question, query in shape.questions.items():
                if query is None:
                    continue
                search = {"size": 20, "track_total_hits": True, "sort": [{"eventTime": "desc"}], "query": query}
                payload = json.dumps(search)
                began = time.perf_counter()
                connection.request(
                    "POST", f"/{load}-{place}/_search?request_cache=false", payload, {"Content-Type": "application/json"}
                )
                text = connection.getresponse().read()
                took = time.perf_counter() - began
                answers = found.setdefault((shape.name, question), Answers())
                if number >= WARM_RUNS:
                    answers.times.append(1e3 * took)
                else:
                    answer = json.loads(text)
                    answers.error = error_of(answer)
                    answers.hits = 0 if answers.error else answer["hits"]["total"]["value"]
    return found


def error_of(answer: dict[str, Any]) -> str:
    """The engine's reason for not answering a search, or an empty text."""
    failures = answer.get("_shards", {}).get("failures") or answer.get("error", {}).get("root_cause")
    if not failures:
        return ""
    cause = failures[0].get("reason", failures[0])
    return str(cause["reason"] if isinstance(cause, dict) else cause)


# --- report -----------------------------------------------------------------------------------------------------------


def spread(values: list[float]) -> str:
    """The median, with the lowest and the highest."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table of Markdown."""
    head = list(head)
    return ["", *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)), ""]


def rejections(one: Round) -> str:
    """How many, and of which kinds."""
    kinds = ", ".join(sorted(one.rejected))
    return f"{one.rejected.total():,} ({kinds})" if kinds else "0"


def costs(found: dict[str, list[Round]], once: dict[str, float], compressed: dict[str, float]) -> list[str]:
    """The table of a load. `once` holds the bytes without repetition, `compressed` those of our codec where there is another."""
    head = [
        "shape",
        "rejected",
        "fields",
        "stored B/event",
        "CPU µs/event",
        "of it merging into one",
        *(f"CPU beside {base}" for base in BASES),
    ]
    if once:
        head.insert(4, "each record once, B/event")
    rows = []
    for name, rounds in found.items():
        stored = [f"{rounds[-1].stored:,.0f}", *([f"{once[name]:,.0f}"] if once else [])]
        if name in compressed:
            stored[-1] += f" (best_compression: {compressed[name]:,.0f})"
        row = [name, rejections(rounds[-1]), f"{rounds[-1].fields:,}", *stored, spread([one.cpu for one in rounds])]
        row += [f"{statistics.median(one.merging for one in rounds):,.0f}"]
        for base in BASES:
            beside = [one.cpu / other.cpu for one, other in zip(rounds, found[base], strict=True)]
            row.append(f"{statistics.median(beside):.2f} ({min(beside):.2f}-{max(beside):.2f})")
        rows.append(row)
    return table(head, rows)


_PARTS = (
    ("stored documents", ("fdt", "fdx", "fdm")),
    ("words and values", ("tim", "tip", "tmd")),
    ("where they occur", ("doc", "psm")),
    ("positions in texts", ("pos", "pay")),
    ("doc values", ("dvd", "dvm")),
    ("dates, numbers, networks", ("kdd", "kdi", "kdm")),
    ("norms", ("nvd", "nvm")),
)


def parts(found: dict[str, list[Round]]) -> list[str]:
    """What the stored bytes are made of."""
    rows = [
        [name, *(f"{sum(rounds[-1].files.get(end, 0) for end in ends):,.0f}" for _, ends in _PARTS)]
        for name, rounds in found.items()
    ]
    return table(["B/event", *(part for part, _ in _PARTS)], rows)


def times(found: dict[tuple[str, str], Answers], every: list[Shape]) -> list[str]:
    """The table of searches: median and 95th percentile in milliseconds, and the number of documents found."""

    def cell(shape: Shape, question: str) -> str:
        answers = found.get((shape.name, question))
        if answers is None:
            return "-"
        if answers.error:
            return f"fails: {answers.error[:120]}"
        late = sorted(answers.times)[int(0.95 * len(answers.times))]
        return f"{statistics.median(answers.times):.1f} / {late:.1f} ({answers.hits:,})"

    questions = list(every[0].questions)
    return table(["ms", *(shape.name for shape in every)], [[q, *(cell(shape, q) for shape in every)] for q in questions])


def without_a_field(node: OpenSearchNode, load: str, every: list[Shape]) -> list[str]:
    """What the search bar says to a plain word on each shape."""
    lines = []
    for place, shape in enumerate(every):
        _, answer = node.call("POST", f"/{load}-{place}/_search", {"query": {"query_string": {"query": "AccessDenied"}}})
        error = error_of(answer)
        lines.append(f"- {shape.name}: " + (f"fails: {error}" if error else f"{answer['hits']['total']['value']:,} documents"))
    return ["The plain word `AccessDenied` in the search bar, no field named:", "", *lines, ""]


def machine(node: OpenSearchNode) -> str:
    """What this was measured on."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "")
    jvm = next(iter(node.request("GET", "/_nodes/jvm")["nodes"].values()))["jvm"]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, OpenSearch {VERSION}, {jvm['vm_name']} {jvm['version']}, heap {HEAP}, {model}, "
        f"{os.cpu_count()} processors, load at the start {os.getloadavg()[0]:.1f}"
    )


def method(rounds: int) -> str:
    """How the figures came about."""
    return (
        f"One shard, no replica, bulk requests of {BULK:,} events with a refresh behind each, at the end merged into one segment "
        f"and flushed. CPU is that of the whole JVM (/proc), medians of {rounds} rounds in which the shapes take turns, lowest and "
        "highest in brackets; a round before them warms the JVM. Stored bytes repeat to within a few."
    )


def of_made_records(node: OpenSearchNode, texts: list[str], rounds: int) -> list[str]:
    """The part of the report on made records: costs, what the bytes are made of, searches."""
    documents = requests(texts)
    every = shapes(an_instance(texts))
    found = compare(node, "made", every, documents, rounds)
    answers = ask(node, "made", every)
    compressed = {shape.name: with_our_codec(node, shape, documents) for shape in every if shape.name == "dynamic"}
    node.request("DELETE", "/made-*,other")
    size = sum(map(len, texts)) / len(texts)
    searches = (
        f"Searches, request and query cache off, {RUNS} runs in turn after {WARM_RUNS} to warm up: median / 95th percentile in ms, "
        "over HTTP, of the count and the newest 20 documents; in brackets how many were found."
    )
    return [
        *(f"- **{shape.name}**: {shape.what}" for shape in every),
        "",
        f"## {len(texts):,} made records of {size:,.0f} B",
        *costs(found, {}, compressed),
        "What the stored bytes are made of:",
        *parts(found),
        searches,
        *times(answers, every),
    ]


def of_real_records(node: OpenSearchNode, rounds: int) -> list[str]:
    """The part of the report on the real samples: again and again with fresh ids for the CPU, and once for the bytes."""
    objects = [json.loads(gzip.decompress(path.read_bytes())) for path in SAMPLES.rglob("*.json.gz")]
    count = sum(len(one.get("Records", [])) for one in objects)
    texts = list(repeated(SAMPLES, 2, count * REPEATED))
    every = shapes("i-none")
    found = compare(node, "real", every, requests(texts), rounds)
    single = requests(texts[:count])
    once = {shape.name: ingest(node, "other", shape.body(), single[shape.documents]).stored for shape in every}
    compressed = {shape.name: with_our_codec(node, shape, single) for shape in every if shape.name == "dynamic"}
    size = sum(map(len, texts)) / len(texts)
    return [
        f"## {count:,} real records of {size:,.0f} B, {REPEATED} times over with fresh ids",
        *costs(found, once, compressed),
        *without_a_field(node, "real", every),
    ]


def an_instance(texts: list[str]) -> str:
    """An instance id in the middle of the records."""
    return next(match[1] for text in texts[len(texts) // 2 :] if (match := re.search(r'"instanceId": ?"(i-\w+)"', text)))


def with_our_codec(node: OpenSearchNode, shape: Shape, documents: dict[str, list[bytes]]) -> float:
    """Stored bytes of a shape that has the engine's own codec, were it compressed as ours are."""
    body = shape.body()
    body["settings"]["index"]["codec"] = "best_compression"
    return ingest(node, "other", body, documents[shape.documents]).stored


def main() -> None:
    """Make the documents, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks" / "report-engine.md")
    options = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        sys.exit("The CPU of another process is read from /proc, which this system does not have: please use Linux.")
    with OpenSearchNode(heap=HEAP) as node:
        report = ["# What an event costs the engine", "", f"{machine(node)}. {method(options.rounds)}", ""]
        report += of_made_records(node, list(records(1, options.events)), options.rounds)
        if SAMPLES.is_dir():
            report += of_real_records(node, options.rounds)
    report.append(f"Load at the end: {os.getloadavg()[0]:.1f}.")
    text = "\n".join(report).replace("\n\n\n", "\n\n") + "\n"
    print(text)
    options.report.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
