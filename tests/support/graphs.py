"""What OpenSearch Dashboards asks for a graph, and what it reads from the answer; and the same counted without an engine.

The translation follows Dashboards' own: metrics at the innermost split, `_count` where a split is ordered by how many, Lucene's
query strings for filters. Where Dashboards would choose the interval of time, here it is a day.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from audit_search.dashboards.panels import Filters, Metric, Panel, Split, Terms, Time

Record = Mapping[str, Any]
Values = Callable[[Record, str], list[Any]]
"""The values of a field of a record."""
Meaning = Mapping[str, Callable[[Record], bool]]
"""What each query means."""
Rows = dict[tuple[str, ...], tuple[Any, ...]]
"""The metrics of each innermost bucket, by the keys that lead to it."""


def query(text: str) -> dict[str, Any]:
    """A query as Dashboards sends it; an empty one matches all."""
    return {"query_string": {"query": text, "analyze_wildcard": True}} if text else {"match_all": {}}


def request(visualisation: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the search behind a saved visualisation."""
    attributes = visualisation["attributes"]
    source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    aggs = json.loads(attributes["visState"])["aggs"]
    metrics = {agg["id"]: agg for agg in aggs if agg["schema"] == "metric"}
    inner = {number: _metric(agg) for number, agg in metrics.items() if agg["type"] != "count"}
    for agg in reversed([agg for agg in aggs if agg["schema"] != "metric"]):
        below = {"aggs": inner} if inner else {}
        inner = {agg["id"]: {**_bucket(agg, metrics), **below}}
    body: dict[str, Any] = {"size": 0, "track_total_hits": True, "query": query(source["query"]["query"])}
    return {**body, "aggs": inner} if inner else body


def _metric(agg: Mapping[str, Any]) -> dict[str, Any]:
    return {agg["type"]: {"field": agg["params"]["field"]}}


def _bucket(agg: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    params = agg["params"]
    match agg["type"]:
        case "terms":
            by = params["orderBy"]
            order = "_count" if metrics[by]["type"] == "count" else by
            return {"terms": {"field": params["field"], "size": params["size"], "order": {order: params["order"]}}}
        case "date_histogram":
            return {
                "date_histogram": {"field": params["field"], "fixed_interval": "1d", "min_doc_count": params["min_doc_count"]}
            }
        case "filters":
            return {"filters": {"filters": {one["label"]: query(one["input"]["query"]) for one in params["filters"]}}}
    raise ValueError(f"{agg['type']} is not translated")


def rows(visualisation: Mapping[str, Any], answer: Mapping[str, Any]) -> Rows:
    """What a graph shows of an answer."""
    aggs = json.loads(visualisation["attributes"]["visState"])["aggs"]
    metrics = [agg for agg in aggs if agg["schema"] == "metric"]
    splits = [agg["id"] for agg in aggs if agg["schema"] != "metric"]
    found: Rows = {}

    def walk(level: Mapping[str, Any], count: int, left: Sequence[str], keys: tuple[str, ...]) -> None:
        if not left:
            found[keys] = tuple(count if one["type"] == "count" else level[one["id"]]["value"] for one in metrics)
            return
        buckets = level[left[0]]["buckets"]
        listed = buckets.items() if isinstance(buckets, dict) else [(bucket["key"], bucket) for bucket in buckets]
        for key, bucket in listed:
            walk(bucket, bucket["doc_count"], left[1:], (*keys, str(key)))

    walk(answer.get("aggregations", {}), answer["hits"]["total"]["value"], splits, ())
    return found


def counted(panel: Panel, records: Sequence[Record], values: Values, meaning: Meaning) -> Rows:
    """The same rows, counted from records."""
    found: Rows = {}

    def walk(some: Sequence[Record], left: Sequence[Split], keys: tuple[str, ...]) -> None:
        if not left:
            found[keys] = tuple(_number(metric, some, values) for metric in panel.metrics)
            return
        for key, group in _groups(left[0], some, values, meaning):
            walk(group, left[1:], (*keys, key))

    walk([record for record in records if meaning[panel.query](record)], panel.splits, ())
    return found


def _groups(split: Split, records: Sequence[Record], values: Values, meaning: Meaning) -> list[tuple[str, list[Record]]]:
    if isinstance(split, Filters):
        return [(label, [one for one in records if meaning[text](one)]) for label, text in split.queries]
    groups: dict[Any, list[Record]] = {}
    for record in records:
        for value in dict.fromkeys(values(record, split.field)):
            groups.setdefault(_day(value) if isinstance(split, Time) else value, []).append(record)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    most = split.size if isinstance(split, Terms) else None
    return [(str(key), group) for key, group in ordered[:most]]


def milliseconds(value: Any) -> int:
    """A time as the engine counts it."""
    return round(datetime.fromisoformat(value).timestamp() * 1_000)


def _day(value: Any) -> int:
    at = datetime.fromisoformat(value).astimezone(UTC)
    return milliseconds(at.replace(hour=0, minute=0, second=0, microsecond=0).isoformat())


def _number(metric: Metric, records: Sequence[Record], values: Values) -> Any:
    if metric.type == "count":
        return len(records)
    every = [value for record in records for value in values(record, metric.field)]
    if metric.type == "cardinality":
        return len(set(every))
    return float(max(map(milliseconds, every))) if every else None
