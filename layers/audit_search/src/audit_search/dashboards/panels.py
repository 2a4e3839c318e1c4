"""Visualisations as they are written down here, and the `visState` that OpenSearch Dashboards draws.

The shapes are those of objects that a real OpenSearch Dashboards 2.19 has imported and drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["histogram", "horizontal_bar", "pie", "table", "metric"]
_BUCKET_SCHEMAS: Final[Mapping[str, tuple[str, str]]] = {
    "histogram": ("segment", "group"),
    "horizontal_bar": ("segment", "group"),
    "pie": ("segment", "segment"),
    "table": ("bucket", "bucket"),
    "metric": ("group", "group"),
}
"""What the first split of a kind is called, and what each further one."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number: how many (`count`), how many different values (`cardinality`) or the latest (`max`) of a field."""

    label: str
    type: Literal["count", "cardinality", "max"] = "count"
    field: str = ""

    def agg(self, number: int) -> dict[str, Any]:
        """The aggregation with this id."""
        params = {"customLabel": self.label, **({"field": self.field} if self.field else {})}
        return {"enabled": True, "id": str(number), "params": params, "schema": "metric", "type": self.type}


@dataclass(frozen=True, slots=True)
class Terms:
    """A split by the values of a field, the most frequent first; with `latest` those whose last metric is greatest."""

    field: str
    label: str
    size: int = 10
    by: str = "1"

    def agg(self, number: int, schema: str) -> dict[str, Any]:
        """The aggregation with this id."""
        params = {
            "customLabel": self.label,
            "field": self.field,
            "missingBucket": False,
            "missingBucketLabel": "Missing",
            "order": "desc",
            "orderBy": self.by,
            "otherBucket": False,
            "otherBucketLabel": "Other",
            "size": self.size,
        }
        return {"enabled": True, "id": str(number), "params": params, "schema": schema, "type": "terms"}


@dataclass(frozen=True, slots=True)
class Time:
    """A split by time; Dashboards chooses the interval from the time that is looked at."""

    field: str
    label: str

    def agg(self, number: int, schema: str) -> dict[str, Any]:
        """The aggregation with this id."""
        params = {
            "customLabel": self.label,
            "drop_partials": False,
            "extended_bounds": {},
            "field": self.field,
            "interval": "auto",
            "min_doc_count": 1,
            "scaleMetricValues": False,
            "useNormalizedOpenSearchInterval": True,
        }
        return {"enabled": True, "id": str(number), "params": params, "schema": schema, "type": "date_histogram"}


@dataclass(frozen=True, slots=True)
class Filters:
    """A split by queries, each with the label that a person reads."""

    queries: tuple[tuple[str, str], ...]

    def agg(self, number: int, schema: str) -> dict[str, Any]:
        """The aggregation with this id."""
        filters = [{"input": {"language": "lucene", "query": query}, "label": label} for label, query in self.queries]
        return {"enabled": True, "id": str(number), "params": {"filters": filters}, "schema": schema, "type": "filters"}


Split = Terms | Time | Filters


@dataclass(frozen=True, slots=True)
class Panel:
    """A visualisation: what it is called, which question it answers, over which family of indices, and what it counts."""

    slug: str
    title: str
    answers: str
    kind: Kind
    family: str
    splits: tuple[Split, ...] = ()
    metrics: tuple[Metric, ...] = (Metric("Events"),)
    query: str = ""

    def state(self) -> dict[str, Any]:
        """The `visState`."""
        first, further = _BUCKET_SCHEMAS[self.kind]
        aggs = [metric.agg(number) for number, metric in enumerate(self.metrics, 1)]
        for number, split in enumerate(self.splits):
            aggs.append(split.agg(len(aggs) + 1, further if number else first))
        return {"aggs": aggs, "params": _params(self.kind, self.metrics), "title": self.title, "type": self.kind}


@dataclass(frozen=True, slots=True)
class Search:
    """A saved search: a table of documents, the newest first, with the columns that answer a question."""

    slug: str
    title: str
    answers: str
    family: str
    columns: tuple[str, ...]
    query: str = ""
    newest: str = "eventTime"


@dataclass(frozen=True, slots=True)
class Controls:
    """Lists of values to choose from, at the top of a dashboard: a field and its label each."""

    slug: str
    title: str
    family: str
    fields: tuple[tuple[str, str], ...]

    def state(self) -> dict[str, Any]:
        """The `visState`; the fields belong to the index patterns `control_<number>_index_pattern`."""
        controls = [
            {
                "fieldName": field,
                "id": str(number),
                "indexPatternRefName": f"control_{number}_index_pattern",
                "label": label,
                "options": {"dynamicOptions": True, "multiselect": True, "order": "desc", "size": 20, "type": "terms"},
                "parent": "",
                "type": "list",
            }
            for number, (field, label) in enumerate(self.fields)
        ]
        params = {"controls": controls, "pinFilters": False, "updateFiltersOnChange": True, "useTimeFilter": False}
        return {"aggs": [], "params": params, "title": self.title, "type": "input_control_vis"}


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: rows of (what, width of 48 columns), each row with its height, and the time that it opens with."""

    slug: str
    title: str
    answers: str
    since: str
    rows: tuple[tuple[int, tuple[tuple[str, int], ...]], ...]


def _params(kind: Kind, metrics: Sequence[Metric]) -> dict[str, Any]:
    match kind:
        case "table":
            shown = {"showMetricsAtAllLevels": False, "showPartialRows": False, "showTotal": False, "totalFunc": "sum"}
            return {"perPage": 10, "percentageCol": "", **shown}
        case "pie":
            labels = {"last_level": True, "show": False, "truncate": 100, "values": True}
            shown = {"addLegend": True, "addTooltip": True, "isDonut": True}
            return {**shown, "labels": labels, "legendPosition": "right", "type": "pie"}
        case "metric":
            return _number_params()
    return _axes_params(kind, metrics)


def _number_params() -> dict[str, Any]:
    style = {"bgColor": False, "bgFill": "#000", "fontSize": 32, "labelColor": False, "subText": ""}
    metric = {
        "colorSchema": "Green to Red",
        "colorsRange": [{"from": 0, "to": 10_000}],
        "invertColors": False,
        "labels": {"show": True},
        "metricColorMode": "None",
        "percentageMode": False,
        "style": style,
        "useRanges": False,
    }
    return {"addLegend": False, "addTooltip": True, "metric": metric, "type": "metric"}


def _axes_params(kind: Kind, metrics: Sequence[Metric]) -> dict[str, Any]:
    lying = kind == "horizontal_bar"
    label = metrics[0].label
    category = {
        "id": "CategoryAxis-1",
        "labels": {"filter": True, "show": True, "truncate": 200 if lying else 100},
        "position": "left" if lying else "bottom",
        "scale": {"type": "linear"},
        "show": True,
        "style": {},
        "title": {},
        "type": "category",
    }
    value = {
        "id": "ValueAxis-1",
        "labels": {"filter": False, "rotate": 0, "show": True, "truncate": 100},
        "name": "BottomAxis-1" if lying else "LeftAxis-1",
        "position": "bottom" if lying else "left",
        "scale": {"mode": "normal", "type": "linear"},
        "show": True,
        "style": {},
        "title": {"text": label},
        "type": "value",
    }
    series = {
        "data": {"id": "1", "label": label},
        "drawLinesBetweenPoints": True,
        "interpolate": "linear",
        "lineWidth": 2,
        "mode": "stacked",
        "show": True,
        "showCircles": True,
        "type": "histogram",
        "valueAxis": "ValueAxis-1",
    }
    return {
        "addLegend": True,
        "addTimeMarker": False,
        "addTooltip": True,
        "categoryAxes": [category],
        "grid": {"categoryLines": False},
        "labels": {"show": False},
        "legendPosition": "right",
        "seriesParams": [series],
        "thresholdLine": {"color": "#E7664C", "show": False, "style": "full", "value": 10, "width": 1},
        "times": [],
        "type": "histogram",
        "valueAxes": [value],
    }
