"""The monitors of the rules that count: their shape, which a real plugin has taken, and what they are made of."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from audit_search import index_template
from audit_search.alerts import matching, monitors
from audit_search_cli import alert_rules
from audit_search_cli.alert_sources import sources
from tests.support.building import ROOT

BODIES = monitors.bodies("x-cloudtrail", channel="x-cloudtrail-alerts")
PROVEN = ROOT.parent / "shared" / "design" / "opensearch" / "monitor.bucket_level.console-failures-by-ip.json"
"""The body of a monitor that a real plugin ran, beside the project, where it is."""


def test_each_rule_that_counts_and_reaches_people_has_a_monitor() -> None:
    """By its name, and the prefix; a rule of the tiers `digest` and `off` has none."""
    wanted = {
        source.name for source in sources(ROOT / alert_rules.SOURCES) if source.threshold and source.tier in ("page", "ticket")
    }
    assert {name.removeprefix("Audit Search: x-cloudtrail ") for name in BODIES} == wanted
    assert wanted <= {name for name, rule in matching.deployed().by_name.items() if rule.counted}
    assert all(name == body["name"] for name, body in BODIES.items())


def test_names_of_another_prefix_do_not_begin_as_ours() -> None:
    """Neither that of no prefix, nor one that begins as ours does."""
    beginnings = [monitors.named(f"{prefix}cloudtrail") for prefix in ("", "x-", "x-cloudtrail-", "cloudtrail-")]
    assert [sum(other.startswith(one) for other in beginnings) for one in beginnings] == [1, 1, 1, 1]


def places(value: Any, path: str = "") -> set[str]:
    """Where a body has what: the paths of its keys; elements of a list are one."""
    if isinstance(value, dict):
        return {f"{path}.{name}" for name in value}.union(*(places(part, f"{path}.{name}") for name, part in value.items()))
    return set().union(*(places(part, f"{path}[]") for part in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("name", BODIES)
def test_a_monitor_has_the_shape_of_one_that_ran(name: str) -> None:
    """The same keys at the same places as in a body that a real plugin accepted and ran, but for those that are named here."""
    proven = places(json.loads(PROVEN.read_text("utf-8"))) if PROVEN.exists() else places(BODIES[name])
    query = ".inputs[].search.query"
    own = {
        f"{query}.track_total_hits",
        f"{query}.query.bool.filter[].range.eventTime",
        f"{query}.query.bool.filter[].term.ct.alerts",
        ".triggers[].bucket_level_trigger.id",
    }
    more = places(BODIES[name]) - proven
    shown = {
        path for path in more if not re.search(r"\.aggregations\.by\.aggregations|range\.eventTime\.|term\.ct\.|_path\.", path)
    }
    source = ".inputs[].search.query.aggregations.by.composite.sources[].by"
    assert shown <= own | {source, f"{source}.terms", f"{source}.terms.field"}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_fields_of_a_monitor_can_be_searched_and_grouped_by(body: dict[str, Any]) -> None:
    """Each is in the index template, those that buckets are made of as keywords with doc values."""
    mappings = index_template.definition()["template"]["mappings"]
    query = body["inputs"][0]["search"]["query"]
    fields = [name for one in query["query"]["bool"]["filter"] for kind in one.values() for name in kind]
    assert [mapping(mappings, name)["type"] for name in fields] == ["date", "date", "keyword", "keyword"]
    by = query["aggregations"]["by"]
    grouped = [by["composite"]["sources"][0]["by"]["terms"]["field"]]
    grouped += [one["cardinality"]["field"] for one in by.get("aggregations", {}).values()]
    for name in grouped:
        assert (mapping(mappings, name)["type"], mapping(mappings, name).get("doc_values", True)) == ("keyword", True)


def mapping(mappings: dict[str, Any], name: str) -> dict[str, Any]:
    """The mapping of a field."""
    for part in name.split("."):
        mappings = mappings["properties"][part]
    return mappings


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_windows_have_no_gap(body: dict[str, Any]) -> None:
    """One run's window begins before the last one's end by the rule's minutes, and ends when what was written can be found."""
    rule = next(rule for rule in monitors.counted() if monitors.named("x-cloudtrail", rule["name"]) == body["name"])
    window = body["inputs"][0]["search"]["query"]["query"]["bool"]["filter"][0]["range"]["ct.ingestTime"]
    assert window == {
        "gt": f"{{{{period_start}}}}||-{rule['threshold']['minutes'] + 2}m",
        "lte": "{{period_end}}||-2m",
        "format": "epoch_millis",
    }
    assert body["schedule"] == {"period": {"interval": 1, "unit": "MINUTES"}}


@pytest.mark.parametrize(("refresh", "lag"), [(1, 2), (10, 2), (59, 2), (60, 3), (300, 7)])
def test_a_slow_refresh_moves_the_window_back(refresh: int, lag: int) -> None:
    """What is not found yet may not be passed over."""
    text = json.dumps(monitors.bodies("cloudtrail", refresh_seconds=refresh))
    assert text.count(f"{{{{period_end}}}}||-{lag}m") == len(monitors.counted())


@pytest.mark.parametrize("rule", monitors.counted(), ids=lambda rule: rule["name"])
def test_what_a_message_is_made_of_can_be_sent(rule: dict[str, Any]) -> None:
    """SNS takes subjects of a hundred printable characters; what the rule says fills in nothing, and names have no dots."""
    subject = monitors.body(rule, "cloudtrail", "alerts", 2)["triggers"][0]["bucket_level_trigger"]["actions"][0][
        "subject_template"
    ]["source"]
    assert re.fullmatch(r"[ -~]{1,100}", subject)
    assert not any("{{" in rule[part] for part in ("title", "means", "do"))
    message = json.loads(re.sub(r'"total":\{\{[\w.]+\}\}', '"total":0', monitors.message(rule)))
    assert not any("." in name for name in (*message, *message["who"], *message["what"]))
    assert message["what"]["counted"] == monitors.in_words(rule["threshold"])


def test_thresholds_in_words() -> None:
    """As people say them; a field that has no word keeps its name."""
    regions = {"count": 5, "minutes": 10, "by": "ct.identity", "distinct": "awsRegion"}
    assert monitors.in_words(regions) == "5 regions of one caller in 10 minutes"
    assert monitors.in_words({"count": 20, "minutes": 5, "by": "sourceIPAddress"}) == "20 records of one address in 5 minutes"
    other = {"count": 2, "minutes": 5, "by": "userAgent", "distinct": "eventName"}
    assert monitors.in_words(other) == "2 values of eventName of one userAgent in 5 minutes"


def test_without_a_channel_a_monitor_tells_nobody() -> None:
    """Its alerts are seen in Dashboards."""
    assert all(not body["triggers"][0]["bucket_level_trigger"]["actions"] for body in monitors.bodies("cloudtrail").values())
