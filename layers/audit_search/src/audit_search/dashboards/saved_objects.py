"""Saved objects of OpenSearch Dashboards, for an index prefix: `python -m audit_search.dashboards.saved_objects > FILE`.

The versions of migrations are the newest that every release from 1.x to 3.x knows: a greater one is refused, a smaller one
rewritten. Ids are the same for the same prefix, so that a second import replaces the first.
https://docs.opensearch.org/latest/dashboards/management/index-patterns/
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from audit_search import index_template
from audit_search.dashboards import marks
from audit_search.dashboards.calls import TRAIL
from audit_search.dashboards.contents import BOARDS, CONTROLS, PANELS, SEARCHES
from audit_search.dashboards.fields import fields
from audit_search.dashboards.panels import Board, Controls, Panel, Search
from audit_search.dashboards.resources import HEALTH, LATEST, VERSIONS

FAMILIES: Final = {TRAIL: "eventTime", VERSIONS: "configurationItemCaptureTime", LATEST: "", HEALTH: "eventTime"}
"""The index patterns, each with the field of the time picker; the latest state of a resource counts whenever it began."""
MIGRATIONS: Final = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
_PANEL_VERSION: Final = "2.19.0"
_INDEX: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
Object = dict[str, Any]


def objects(prefix: str = "") -> list[Object]:
    """All saved objects: index patterns, saved searches, visualisations and dashboards, in the order of what they need."""
    found = [_index_pattern(family, prefix) for family in FAMILIES]
    found += [_search(one, prefix) for one in SEARCHES]
    found += [_visualisation(one, prefix) for one in PANELS]
    found += [_controls(one, prefix) for one in CONTROLS]
    return [*found, *(_dashboard(one, prefix) for one in BOARDS)]


def ndjson(prefix: str = "") -> str:
    """All saved objects as a file for Dashboards' import: one JSON object a line."""
    return "".join(map(line, objects(prefix)))


def line(one: Mapping[str, Any]) -> str:
    """A line of such a file."""
    return _text(one) + "\n"


def identity(prefix: str, slug: str) -> str:
    """The id of an object: `audit-search-overview`, with a prefix `<prefix>audit-search-overview`."""
    return f"{prefix}audit-search-{slug}"


def _titled(title: str, prefix: str) -> str:
    """Two installations on one domain are told apart by their prefixes."""
    return f"{title} ({prefix.rstrip('-_.') or prefix})" if prefix else title


def _object(kind: str, prefix: str, slug: str, attributes: Object, references: list[dict[str, str]]) -> Object:
    made = {
        "type": kind,
        "id": identity(prefix, slug),
        "attributes": attributes,
        "references": references,
        "migrationVersion": {kind: MIGRATIONS[kind]},
    }
    attributes["version"] = marks.mark(made)
    return made


def _index_pattern(family: str, prefix: str) -> Object:
    (pattern,) = index_template.body(prefix, family)["index_patterns"]
    attributes = {"title": pattern, "fields": _text(fields(family))}
    if FAMILIES[family]:
        attributes["timeFieldName"] = FAMILIES[family]
    return _object("index-pattern", prefix, family, attributes, [])


def _search(one: Search, prefix: str) -> Object:
    attributes = {
        "title": _titled(one.title, prefix),
        "description": one.answers,
        "columns": list(one.columns),
        "hits": 0,
        "sort": [[one.newest, "desc"]],
        "kibanaSavedObjectMeta": _source(one.query, indexed=True, version=True, highlightAll=True),
    }
    return _object("search", prefix, one.slug, attributes, [_reference(prefix, one.family, _INDEX)])


def _visualisation(one: Panel, prefix: str) -> Object:
    attributes = _drawn({**one.state(), "title": _titled(one.title, prefix)}, one.answers)
    attributes["kibanaSavedObjectMeta"] = _source(one.query, indexed=True)
    return _object("visualization", prefix, one.slug, attributes, [_reference(prefix, one.family, _INDEX)])


def _controls(one: Controls, prefix: str) -> Object:
    attributes = _drawn({**one.state(), "title": _titled(one.title, prefix)}, "Narrows everything below to what is chosen")
    references = [_reference(prefix, one.family, f"control_{number}_index_pattern") for number in range(len(one.fields))]
    return _object("visualization", prefix, one.slug, attributes, references)


def _drawn(state: Object, answers: str) -> Object:
    return {
        "title": state["title"],
        "description": answers,
        "uiStateJSON": "{}",
        "visState": _text(state),
        "kibanaSavedObjectMeta": _source(""),
    }


def _dashboard(one: Board, prefix: str) -> Object:
    kinds = {search.slug: "search" for search in SEARCHES}
    panels: list[Object] = []
    references: list[dict[str, str]] = []
    top = 0
    for height, row in one.rows:
        left = 0
        for slug, width in row:
            number = str(len(panels))
            grid = {"x": left, "y": top, "w": width, "h": height, "i": number}
            name = f"panel_{number}"
            panels.append(
                {
                    "embeddableConfig": {},
                    "gridData": grid,
                    "panelIndex": number,
                    "panelRefName": name,
                    "version": _PANEL_VERSION,
                }
            )
            references.append({"name": name, "type": kinds.get(slug, "visualization"), "id": identity(prefix, slug)})
            left += width
        top += height
    attributes = {
        "title": _titled(one.title, prefix),
        "description": one.answers,
        "hits": 0,
        "kibanaSavedObjectMeta": _source(""),
        "optionsJSON": _text({"hidePanelTitles": False, "useMargins": True}),
        "panelsJSON": _text(panels),
        "refreshInterval": {"pause": True, "value": 0},
        "timeFrom": one.since,
        "timeRestore": True,
        "timeTo": "now",
    }
    return _object("dashboard", prefix, one.slug, attributes, references)


def _source(query: str, *, indexed: bool = False, **more: bool) -> dict[str, str]:
    source: Object = {"filter": [], "query": {"language": "lucene", "query": query}, **more}
    if indexed:
        source["indexRefName"] = _INDEX
    return {"searchSourceJSON": _text(source)}


def _reference(prefix: str, family: str, name: str) -> dict[str, str]:
    return {"name": name, "type": "index-pattern", "id": identity(prefix, family)}


def _text(value: Any) -> str:
    """JSON within JSON, as Dashboards stores it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    sys.stdout.write(ndjson())
