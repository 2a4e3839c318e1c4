"""The saved objects for OpenSearch Dashboards: what an import asks for, and what a person who opens them needs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from audit_search import index_template
from audit_search.alerts.matching import deployed
from audit_search.dashboards import alerts, marks, saved_objects
from audit_search.dashboards.contents import BOARDS, CONTROLS, PANELS, SEARCHES
from audit_search.dashboards.fields import aggregatable, fields
from tests.support.building import ROOT
from tests.support.cli import run
from tests.support.dashboards_server import NEWEST, STRICT

FILE = ROOT / "dashboards" / "audit-search.ndjson"
DOCUMENT = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
SHAPES = {**STRICT, "index-pattern": {"fields", "timeFieldName", "title", "version"}}
Object = dict[str, Any]
OBJECTS = saved_objects.objects("team-")


def named(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """Objects by type and id."""
    return {(one["type"], one["id"]): one for one in objects}


def state(one: Object) -> Object:
    """What a visualisation draws."""
    found: Object = json.loads(one["attributes"]["visState"])
    return found


def test_the_file_is_what_the_sources_make() -> None:
    """`python -m audit_search.dashboards.saved_objects > dashboards/audit-search.ndjson` would change nothing."""
    assert FILE.read_text("utf-8") == saved_objects.ndjson()


def test_each_object_is_of_a_type_version_and_shape_that_is_imported() -> None:
    """Nothing is newer than what 1.x knows, no attribute is unknown, and all that is JSON within JSON can be read."""
    assert len(named(OBJECTS)) == len(OBJECTS)
    for one in OBJECTS:
        attributes = one["attributes"]
        assert one["migrationVersion"] == {one["type"]: NEWEST[one["type"]]}
        assert set(attributes) <= SHAPES[one["type"]], one["id"]
        assert attributes["title"]
        for name in ("fields", "visState", "uiStateJSON", "panelsJSON", "optionsJSON"):
            if name in attributes:
                json.loads(attributes[name])
        if "visState" in attributes:
            assert state(one)["title"] == attributes["title"]


def test_every_reference_resolves_and_is_used() -> None:
    """The names that an object refers by are declared, each leads to an object of the same file, and none is left over."""
    known = named(OBJECTS)
    for one in OBJECTS:
        declared = {reference["name"]: (reference["type"], reference["id"]) for reference in one["references"]}
        assert set(declared.values()) <= known.keys(), one["id"]
        attributes, used = one["attributes"], set()
        if "kibanaSavedObjectMeta" in attributes:
            source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
            assert source["query"]["language"] == "lucene"
            used |= {source["indexRefName"]} if "indexRefName" in source else set()
        if "panelsJSON" in attributes:
            used |= {panel["panelRefName"] for panel in json.loads(attributes["panelsJSON"])}
        if one["type"] == "visualization":
            used |= {control["indexPatternRefName"] for control in state(one)["params"].get("controls", [])}
        assert used == declared.keys(), one["id"]


REFERENCES = {
    "search": r"kibanaSavedObjectMeta\.searchSourceJSON\.index",
    "visualization": r"kibanaSavedObjectMeta\.searchSourceJSON\.index|control_\d+_index_pattern",
    "dashboard": r"panel_\d+",
    "index-pattern": "none",
}
"""What a Dashboards puts back in place of a reference when it opens an object; under other names it finds nothing."""
DRAWN = {"histogram", "horizontal_bar", "pie", "table", "metric", "input_control_vis"}
"""Kinds that any Dashboards from 1.x to 3.x draws without more: no maps (their layers come from outside), no gauge or goal (which
need colours and a type that nothing checks), no Vega, no tag cloud that warns in a small panel."""


def test_references_have_the_names_that_dashboards_puts_back() -> None:
    """Each of its own kind of object."""
    for one in OBJECTS:
        for reference in one["references"]:
            assert re.fullmatch(REFERENCES[one["type"]], reference["name"]), one["id"]
            assert reference["type"] in ("index-pattern", "search", "visualization")


def test_nothing_is_shipped_that_some_dashboards_draws_wrong() -> None:
    """Kinds that every release has, series that lead to a metric and an axis, index patterns that nobody has to save again."""
    for one in (one for one in OBJECTS if one["type"] == "visualization"):
        drawn = state(one)
        assert drawn["type"] in DRAWN, one["id"]
        metrics = {agg["id"] for agg in drawn["aggs"] if agg["schema"] == "metric"}
        axes = {axis["id"] for axis in drawn["params"].get("valueAxes", [])}
        for series in drawn["params"].get("seriesParams", []):
            assert series["data"]["id"] in metrics
            assert series["valueAxis"] in axes
        ids = [control["id"] for control in drawn["params"].get("controls", [])]
        assert len(set(ids)) == len(ids)
    for one in (one for one in OBJECTS if one["type"] == "index-pattern"):
        assert json.loads(one["attributes"]["fields"])
    for one in (one for one in OBJECTS if one["type"] == "dashboard"):
        for panel in json.loads(one["attributes"]["panelsJSON"]):
            assert {"version", "panelIndex", "gridData", "embeddableConfig", "panelRefName"} == panel.keys()


def test_the_whole_import_is_within_what_dashboards_takes() -> None:
    """26,214,400 bytes and 10,000 objects at most."""
    assert len(saved_objects.ndjson("team-").encode()) < 2_000_000
    assert len(OBJECTS) < 1_000


def test_each_object_has_the_mark_of_its_content() -> None:
    """A number that the index of the saved objects takes, made of all the rest: another title is another mark."""
    for one in OBJECTS:
        assert one["attributes"]["version"] == marks.mark(one)
        assert 0 <= one["attributes"]["version"] < 2**31
        assert marks.mark({**one, "attributes": {**one["attributes"], "title": "x"}}) != marks.mark(one)


def test_a_dashboards_panels_fill_its_48_columns_without_overlap() -> None:
    """Each place of the grid belongs to one panel at most, and each panel has an index of its own."""
    for one in (one for one in OBJECTS if one["type"] == "dashboard"):
        taken: set[tuple[int, int]] = set()
        indices = set()
        for panel in json.loads(one["attributes"]["panelsJSON"]):
            grid = panel["gridData"]
            places = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
            assert not places & taken
            assert grid["x"] + grid["w"] <= 48
            assert panel["panelIndex"] == grid["i"]
            taken |= places
            indices.add(panel["panelIndex"])
        assert len(taken) % 48 == 0
        assert len(indices) == len(json.loads(one["attributes"]["panelsJSON"]))


def test_every_field_is_in_the_index_template_and_can_be_used_as_it_is() -> None:
    """Graphs, controls and sort orders use fields that can be aggregated, tables show fields that there are."""
    for panel in PANELS:
        usable = aggregatable(panel.family)
        used = [agg["params"]["field"] for agg in panel.state()["aggs"] if "field" in agg["params"]]
        assert set(used) <= usable.keys(), panel.slug
        for agg in panel.state()["aggs"]:
            if agg["type"] == "date_histogram":
                assert usable[agg["params"]["field"]] == "date"
    for controls in CONTROLS:
        assert {field for field, _ in controls.fields} <= aggregatable(controls.family).keys()
    for search in SEARCHES:
        assert set(search.columns) <= {field["name"] for field in fields(search.family)}, search.slug
        assert aggregatable(search.family)[search.newest] == "date"


def test_an_index_pattern_holds_every_mapped_field_with_its_type() -> None:
    """Dashboards has nothing to look up: dates, addresses and sub-trees are what the template says."""
    trail = {field["name"]: field for field in fields("cloudtrail")}
    assert trail["eventTime"]["type"] == "date"
    assert trail["sourceIPAddress.ip"]["type"] == "ip"
    assert trail["requestParameters"]["type"] == "unknown"
    assert not trail["requestID"]["aggregatable"]
    assert trail["error_code"]["aggregatable"]
    assert "ct.unexpected" not in trail
    nested = {field["name"]: field for field in fields("config-history")}["cfg.changes.path"]
    assert nested["subType"] == {"nested": {"path": "cfg.changes"}}


def test_aggregations_refer_to_each_other_and_say_what_they_count() -> None:
    """An order names a metric of the same graph, and every number and column has a label that a person reads."""
    for panel in PANELS:
        aggs = panel.state()["aggs"]
        metrics = {agg["id"] for agg in aggs if agg["schema"] == "metric"}
        assert len({agg["id"] for agg in aggs}) == len(aggs)
        for agg in aggs:
            if agg["type"] == "filters":
                assert all(one["label"] for one in agg["params"]["filters"])
            else:
                assert agg["params"]["customLabel"]
            if agg["type"] == "terms":
                assert agg["params"]["orderBy"] in metrics


def test_each_alert_rule_is_in_one_row_of_the_severities() -> None:
    """A rule about single events in that of its severity, a rule that counts in a row of its own, one that is off in none."""
    shown = [name for severity in (*alerts.SEVERITIES, "") for name in alerts.names(severity)]
    rules = deployed().by_name
    assert sorted(shown) == sorted(name for name, rule in rules.items() if rule.tier != "off")
    assert {rules[name].severity for name in alerts.names("high")} == {"high"}
    assert all(rules[name].counted for name in alerts.names(""))
    assert all(text.startswith("ct.alerts:(") and "()" not in text for _, text in alerts.BY_SEVERITY.queries)


@pytest.mark.parametrize("prefix", ["", "team-"])
def test_objects_look_into_the_indices_of_their_prefix(prefix: str) -> None:
    """The patterns are those of the index templates, and two prefixes share no id."""
    patterns = [one for one in saved_objects.objects(prefix) if one["type"] == "index-pattern"]
    for one in patterns:
        family = one["id"].removeprefix(f"{prefix}audit-search-")
        assert [one["attributes"]["title"]] == index_template.body(prefix, family)["index_patterns"]
    assert not named(saved_objects.objects("")).keys() & named(saved_objects.objects("team-")).keys()


def test_titles_are_understood_and_told_apart() -> None:
    """No two objects of a type have one title, and with a prefix each title says whose it is."""
    for kind in ("search", "visualization", "dashboard"):
        titles = [one["attributes"]["title"] for one in OBJECTS if one["type"] == kind]
        assert len(set(titles)) == len(titles)
        assert all(title.endswith(" (team)") for title in titles)
        assert all(one["attributes"]["description"] for one in OBJECTS if one["type"] == kind)


def test_everything_is_on_a_dashboard_and_explained_in_the_document() -> None:
    """Whatever is shipped can be seen, and docs/dashboards.md says of each panel what it answers."""
    shown = {slug for board in BOARDS for _, row in board.rows for slug, _ in row}
    assert shown == {one.slug for one in (*PANELS, *SEARCHES, *CONTROLS)}
    for board in BOARDS:
        assert f"## {board.title}\n\n{board.answers}." in DOCUMENT, board.slug
    for one in (*PANELS, *SEARCHES):
        assert f"| {one.title} | {one.answers} |" in DOCUMENT, one.slug


def test_export_writes_the_file_that_dashboards_takes(tmp_path: Path) -> None:
    """The file and standard output hold the objects of the prefix, one a line."""
    path = tmp_path / "team.ndjson"
    done = run("dashboards", "export", "--prefix", "team-", "--file", str(path))
    assert done.code == 0
    assert f"{len(OBJECTS)} objects written" in done.out
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == OBJECTS
    assert run("dashboards", "export", "--prefix", "team-").out == path.read_text("utf-8")
    assert run("dashboards", "export", "--prefix", "team-", "--output", "json").document["objects"] == OBJECTS


def test_export_refuses_what_cannot_work(tmp_path: Path) -> None:
    """A file of another name, a folder that is not there, and a prefix that no index can have are one line each."""
    assert "does not end in .ndjson" in run("dashboards", "export", "--file", str(tmp_path / "a.json")).line
    assert "cannot be written" in run("dashboards", "export", "--file", str(tmp_path / "no" / "a.ndjson")).line
    refused = run("dashboards", "export", "--prefix", "Team*")
    assert refused.code == 2
    assert "INDEX_PREFIX" in refused.line
