"""The fields of an index pattern, as OpenSearch Dashboards would read them from the indices, taken from the index template.

A pattern that comes without its fields is rewritten when it is first opened, which a person who may only read cannot save.
https://docs.opensearch.org/latest/field-types/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from audit_search import index_template

_TYPES: Final = {
    "keyword": "string",
    "text": "string",
    "date": "date",
    "boolean": "boolean",
    "ip": "ip",
    "integer": "number",
    "float": "number",
    "flat_object": "unknown",
}
"""The types of the engine by Dashboards' own names."""
_NOT_AGGREGATED: Final = {"text", "flat_object"}
_META: Final = (("_id", "string", True), ("_index", "string", True), ("_source", "_source", False), ("_score", "number", False))
"""Fields of the engine that every pattern has, and whether they can be aggregated."""


def fields(family: str) -> list[dict[str, Any]]:
    """The fields of a family of indices by their names: type, and whether they can be searched and aggregated."""
    properties = index_template.definition(family)["template"]["mappings"]["properties"]
    known = dict(_leaves(properties))
    for name, body in properties.items():
        if body.get("type") == "alias":
            known[name] = {**known[body["path"]], "name": name}
    for name, kind, usable in _META:
        known[name] = _field(name, kind, [name] if usable else [], searchable=usable, aggregatable=usable, stored=False)
    return [known[name] for name in sorted(known)]


def aggregatable(family: str) -> dict[str, str]:
    """The types of all fields that graphs can group by."""
    return {field["name"]: field["type"] for field in fields(family) if field["aggregatable"]}


def _leaves(properties: Mapping[str, Any], path: str = "", nested: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, body in properties.items():
        full = f"{path}{name}"
        kind = body.get("type", "object")
        if "properties" in body:
            yield from _leaves(body["properties"], f"{full}.", full if kind == "nested" else nested)
        elif kind in _TYPES:
            yield full, _mapped(full, body, {"nested": {"path": nested}} if nested else {})
            for part, inner in body.get("fields", {}).items():
                yield f"{full}.{part}", _mapped(f"{full}.{part}", inner, {"multi": {"parent": full}})


def _mapped(name: str, body: Mapping[str, Any], below: dict[str, Any]) -> dict[str, Any]:
    kind = body["type"]
    usable = kind not in _NOT_AGGREGATED and body.get("doc_values", True)
    field = _field(name, _TYPES[kind], [kind], searchable=True, aggregatable=usable, stored=usable)
    return {**field, "subType": below} if below else field


def _field(name: str, kind: str, types: list[str], *, searchable: bool, aggregatable: bool, stored: bool) -> dict[str, Any]:
    return {
        "count": 0,
        "name": name,
        "type": kind,
        "esTypes": types,
        "scripted": False,
        "searchable": searchable,
        "aggregatable": aggregatable,
        "readFromDocValues": stored,
    }
