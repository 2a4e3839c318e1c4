"""The three questions about AWS Config: the text that a person can paste into Dashboards, and the answer as a small table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from demo import hits
from demo.searches import Table

HISTORY = "config-history"
_ROWS = 8
_LINES = 24
_VERSIONS = 500


@dataclass(frozen=True, slots=True)
class ConfigAnswer:
    """A question, its query text, what it found in which index, and the answer as a table."""

    name: str
    question: str
    query: str
    index: str
    hits: int
    table: Table
    extra: dict[str, Any] = field(default_factory=dict)


def most_changed() -> dict[str, Any]:
    """The request for the resources with most changes."""
    total = {"changes": {"sum": {"field": "cfg.changeCount"}}, "latest": {"max": {"field": "configurationItemCaptureTime"}}}
    groups = {"terms": {"field": "cfg.resource", "size": _ROWS, "order": [{"changes": "desc"}, {"_key": "asc"}]}, "aggs": total}
    return {"query": _query(CHANGED), "size": 0, "track_total_hits": True, "aggs": {"resources": groups}}


CHANGED = "cfg.changeCount:[1 TO *]"


def most_changed_answer(answer: dict[str, Any]) -> tuple[ConfigAnswer, str]:
    """The table, and the id of the resource that changed most."""
    buckets = answer.get("aggregations", {}).get("resources", {}).get("buckets", [])
    rows = []
    for bucket in buckets:
        account, region, kind, identity = str(bucket["key"]).split("|", 3)
        latest = _minute(str(bucket["latest"].get("value_as_string", "")))
        changes = f"{bucket['changes']['value']:,.0f}"
        rows.append((kind, identity, f"{account} {region}", f"{bucket['doc_count']:,}", changes, latest))
    table = Table(("type", "resource", "where", "versions", "changes", "latest (UTC)"), rows)
    found = ConfigAnswer("most_changed", "Which resources changed most?", CHANGED, HISTORY, _total(answer), table)
    return found, rows[0][1] if rows else ""


def life(resource: str) -> dict[str, Any]:
    """The request for every version of a resource, the oldest first."""
    fields = ["configurationItemCaptureTime", "configurationItemStatus", "relationships", "cfg.changes", "cfg.relatedIds"]
    order = [{"configurationItemCaptureTime": {"order": "asc", "unmapped_type": "date"}}]
    return {"query": _query(_of(resource)), "size": _VERSIONS, "track_total_hits": True, "_source": fields, "sort": order}


def life_answer(resource: str, answer: dict[str, Any]) -> ConfigAnswer:
    """Each change of each version: what, before and after."""
    rows: list[tuple[str, str, str, str]] = []
    for version in _sources(answer):
        changes = hits.field(version, "cfg.changes") or []
        captured = _second(hits.text(version, "configurationItemCaptureTime"))
        if not changes:
            rows.append((captured, f"(first known) {hits.text(version, 'configurationItemStatus')}", "", ""))
        for number, change in enumerate(changes):
            what = ("+ " if change.get("before") is None else "- ") if change.get("category") == "rule" else ""
            before, after = (_cut("-" if change.get(side) is None else str(change[side])) for side in ("before", "after"))
            rows.append(("" if number else captured, what + str(change["path"]), before, after))
    note = f"the first {_LINES} of {len(rows):,} changes" if len(rows) > _LINES else ""
    table = Table(("captured (UTC)", "what", "before", "after"), rows[:_LINES], note)
    return ConfigAnswer("life", f"What became of {resource}?", _of(resource), HISTORY, _total(answer), table)


def relationships_answer(resource: str, answer: dict[str, Any]) -> ConfigAnswer:
    """What the resource was related to before and after a relationship came, and from when until when that held."""
    versions = _sources(answer)
    at = next((number for number in range(1, len(versions)) if _ids(versions[number]) - _ids(versions[number - 1])), 0)
    question = f"What was {resource} related to, before and after?"
    if not at:
        note = "No version known here is related to anything that the one before is not."
        table = Table(("related resource", "how", "before", "after"), (), note)
        return ConfigAnswer("relationships", question, _of(resource), HISTORY, 0, table)
    before, after = versions[at - 1], versions[at]
    known = {one["resourceId"]: one for version in (before, after) for one in _related(version)}
    order = sorted(known, key=lambda identity: (identity in _ids(before), str(known[identity].get("resourceType")), identity))
    rows = [
        (
            f"{known[identity].get('resourceType')} {identity}",
            str(known[identity].get("name", "")),
            _mark(identity, before),
            _mark(identity, after),
        )
        for identity in order
    ]
    new = min(_ids(after) - _ids(before))
    start = hits.text(after, "configurationItemCaptureTime")
    end = next((hits.text(one, "configurationItemCaptureTime") for one in versions[at:] if new not in _ids(one)), "")
    period = f"{new} was related from {_second(start)} until {_second(end) if end else 'now'}."
    header = ("related resource", "how", _minute(hits.text(before, "configurationItemCaptureTime")), _minute(start))
    query = f'{_of(resource)} AND cfg.relatedIds:"{new}"'
    held = sum(new in _ids(version) for version in versions)
    extra = {"related": new, "from": start, "until": end or None}
    return ConfigAnswer("relationships", question, query, HISTORY, held, Table(header, rows, period), extra)


def _of(resource: str) -> str:
    escaped = resource.replace("\\", "\\\\").replace('"', '\\"')
    return f'resourceId:"{escaped}"'


def _query(text: str) -> dict[str, Any]:
    return {"query_string": {"query": text}}


def _sources(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [hit.get("_source", {}) for hit in answer.get("hits", {}).get("hits", [])]


def _total(answer: dict[str, Any]) -> int:
    return int(answer.get("hits", {}).get("total", {}).get("value", 0))


def _related(version: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in version.get("relationships") or [] if one.get("resourceId")]


def _ids(version: dict[str, Any]) -> set[str]:
    return {str(one["resourceId"]) for one in _related(version)}


def _mark(identity: str, version: dict[str, Any]) -> str:
    return "related" if identity in _ids(version) else "-"


def _minute(time: str) -> str:
    return f"{time[:10]} {time[11:16]}"


def _second(time: str) -> str:
    return f"{time[:10]} {time[11:19]}"


def _cut(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def all_names(answers: Sequence[ConfigAnswer]) -> list[dict[str, Any]]:
    """The answers as OUTPUT=json has them."""
    return [{"name": one.name, "query": one.query, "index": one.index, "hits": one.hits} | one.extra for one in answers]
