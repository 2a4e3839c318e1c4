"""The five searches of the demo: the text that a person can paste into Dashboards, and the answer as a small table.

The texts are Lucene queries. `raw`, every record's own text, is the default field; text is searched for in quotes,
because the embedded engine knows no other tokens than words.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from demo import hits
from demo.inputs import SAMPLE_INSTANCE

ROWS = 8
PHRASE = "not authorized to perform"


@dataclass(frozen=True, slots=True)
class Table:
    """What is shown of an answer. `note` says what else there is."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """A question, its query text, and how its answer is asked for and read; `grouped` is the field of its groups."""

    name: str
    question: str
    query: str
    read: Callable[[dict[str, Any]], Table]
    fields: tuple[str, ...] = ()
    order: Sequence[dict[str, Any]] = ({"eventTime": {"order": "desc", "unmapped_type": "date"}},)
    rows: int = ROWS
    grouped: str = ""
    aggregations: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The request of `_search`."""
        body: dict[str, Any] = {
            "query": {"query_string": {"query": self.query}},
            "track_total_hits": True,
            "size": 0 if self.aggregations else self.rows,
        }
        if self.aggregations:
            return body | {"aggs": self.aggregations}
        return body | {"_source": list(self.fields), "sort": list(self.order)}


def total(answer: dict[str, Any]) -> int:
    """How many events match."""
    return int(answer["hits"]["total"]["value"])


def searches(instance: str) -> list[Search]:
    """The five; `instance` is the EC2 instance of the third, empty when the events name none."""
    return [failed_calls(), console_sign_ins(), touched(instance), free_text(), top_callers()]


def failed_calls() -> Search:
    latest = {
        "top_hits": {
            "size": 1,
            "sort": [{"eventTime": {"order": "desc"}}],
            "_source": ["eventTime", "ct.caller", "eventSource", "eventName", "errorMessage"],
        }
    }

    def read(answer: dict[str, Any]) -> Table:
        rows = []
        groups, more = _groups(answer, "codes")
        for group in groups:
            source = _sources(group["latest"])[0]
            what = f"{_who(source)}: {_call(source)}"
            rows.append((str(group["key"]), f"{group['doc_count']:,}", what, _cut(hits.text(source, "errorMessage"), 120)))
        return Table(("error", "calls", "latest, by whom", "why"), rows, _rest(more, "calls with other errors"))

    return Search(
        "failed_calls",
        "Which calls failed, and why?",
        "ct.outcome:failure",
        read,
        grouped="errorCode",
        aggregations={
            "codes": {
                "terms": {"field": "errorCode", "size": ROWS, "missing": "(only a message)"},
                "aggs": {"latest": latest},
            }
        },
    )


def console_sign_ins() -> Search:
    def read(answer: dict[str, Any]) -> Table:
        rows = [
            (
                _when(source),
                _who(source),
                hits.text(source, "sourceIPAddress"),
                hits.text(source, "ct.mfaUsed") or "-",
                " - ".join(part for part in (hits.text(source, "ct.consoleLogin"), hits.text(source, "errorMessage")) if part),
            )
            for source in _sources(answer)
        ]
        return Table(("when (UTC)", "who", "from", "MFA", "outcome"), rows, _shown(answer, rows, "the latest"))

    fields = ("eventTime", "ct.caller", "sourceIPAddress", "ct.mfaUsed", "ct.consoleLogin", "errorMessage")
    return Search("console_sign_ins", "Who signed in to the console?", "eventName:ConsoleLogin", read, fields)


def touched(instance: str) -> Search:
    def read(answer: dict[str, Any]) -> Table:
        rows = [
            (
                _when(source),
                _who(source),
                _call(source),
                hits.text(source, "errorCode") or hits.text(source, "ct.outcome"),
            )
            for source in _sources(answer)
        ]
        note = _shown(answer, rows, "changes first, then what only reads:") if instance else "No instance id is in these objects."
        return Table(("when (UTC)", "who", "call", "outcome"), rows, note)

    named = instance or SAMPLE_INSTANCE
    return Search(
        "touched_instance",
        f"Who touched the instance {named}?",
        f'requestParameters:"{named}" OR responseElements:"{named}"',
        read,
        ("eventTime", "ct.caller", "eventSource", "eventName", "errorCode", "ct.outcome"),
        # Early versions of CloudTrail did not say whether a call only reads.
        order=({"readOnly": {"order": "asc", "missing": "_first"}}, {"eventTime": {"order": "asc", "unmapped_type": "date"}}),
        rows=12,
    )


def free_text() -> Search:
    def read(answer: dict[str, Any]) -> Table:
        rows = [(_when(source), _who(source), _excerpt(hits.text(source, "raw"), PHRASE)) for source in _sources(answer)]
        return Table(("when (UTC)", "who", "in the record"), rows, _shown(answer, rows, "the latest"))

    fields = ("eventTime", "ct.caller", "raw")
    return Search("free_text", f"Where does a record say “{PHRASE}”?", f'"{PHRASE}"', read, fields, rows=5)


def top_callers() -> Search:
    def read(answer: dict[str, Any]) -> Table:
        groups, more = _groups(answer, "callers")
        rows = [
            (
                _short(str(group["key"]), 50),
                f"{group['doc_count']:,}",
                f"{group['failed']['doc_count']:,}",
                f"{group['calls']['value']:,}",
                _minute(group["latest"].get("value_as_string", "")),
            )
            for group in groups
        ]
        return Table(
            ("caller", "events", "failed", "kinds of call", "latest (UTC)"), rows, _rest(more, "events by other callers")
        )

    return Search(
        "top_callers",
        "Who calls most?",
        "ct.caller:*",
        read,
        grouped="ct.caller",
        aggregations={
            "callers": {
                "terms": {"field": "ct.caller", "size": ROWS},
                "aggs": {
                    "failed": {"filter": {"term": {"ct.outcome": "failure"}}},
                    "calls": {"cardinality": {"field": "eventName"}},
                    "latest": {"max": {"field": "eventTime"}},
                },
            }
        },
    )


def _sources(answer: dict[str, Any]) -> list[Any]:
    return [hit.get("_source", {}) for hit in answer["hits"]["hits"]]


def _groups(answer: dict[str, Any], name: str) -> tuple[list[dict[str, Any]], int]:
    """The groups of a terms aggregation, and how many events are in none of them; an engine without an index has none."""
    found = answer.get("aggregations", {}).get(name, {})
    return found.get("buckets", []), int(found.get("sum_other_doc_count", 0))


def _shown(answer: dict[str, Any], rows: Sequence[object], which: str) -> str:
    return f"{which} {len(rows)} of {total(answer):,}" if total(answer) > len(rows) else ""


def _rest(number: int, what: str) -> str:
    return f"and {number:,} {what}" if number else ""


def _when(source: Any) -> str:
    return _minute(hits.text(source, "eventTime"))


def _minute(time: str) -> str:
    """A moment as people write it; whatever else a record holds there is left as it is."""
    return f"{time[:10]} {time[11:16]}" if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", time) else time


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _who(source: Any) -> str:
    return _short(hits.text(source, "ct.caller"))


def _short(caller: str, most: int = 26) -> str:
    """Of a caller `role/session` the session is what matters, so it is the role that gives way."""
    role, slash, session = caller.partition("/")
    room = max(0, most - len(session) - 2)
    return f"{role[:room]}…/{session}" if slash and len(caller) > most and len(role) > room else caller


def _call(source: Any) -> str:
    """`ec2:RunInstances`, as policies name it."""
    service = hits.text(source, "eventSource").removesuffix(".amazonaws.com")
    return ":".join(part for part in (service, hits.text(source, "eventName")) if part)


def _excerpt(raw: str, phrase: str, around: int = 80) -> str:
    """The text that the phrase was found in, as far as it is near; escapes of its JSON are undone where they can be."""
    words = r"\W+".join(re.escape(word) for word in phrase.split())
    found = re.search(words, raw, re.IGNORECASE)
    if not found:
        return ""
    before, after = raw[: found.start()], raw[found.end() :]
    start, end = before.rfind('"') + 1, after.find('"')
    cut = found[0] + (after[:end] if 0 <= end <= around else after[:around] + "…")
    cut = (before[start:] if len(before) - start <= around else "…" + before[-around:]) + cut
    with contextlib.suppress(ValueError):  # cut within an escape: shown as it stands
        cut = json.loads(f'"{cut}"')
    return cut
