"""What an item becomes: its fields, its ids, what was added, and what had to be cut."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from audit_search import index_template
from audit_search.aws_config.changes import between, from_message
from audit_search.aws_config.documents import (
    MAX_CHANGE_BYTES,
    MAX_RELATIONSHIPS,
    HealthEvent,
    Origin,
    current_id,
    document,
    event,
    events_index,
    history_index,
    line,
    put_changes,
)
from audit_search.aws_config.items import Relationship
from audit_search.rebuild import MAX_DEPTH, MAX_TERM, depth
from tests.support.config_world import START, version

FAMILIES = ["config-history", "config-current", "config-events"]


def properties(family: str) -> dict[str, Any]:
    """The fields of a family's template."""
    found: dict[str, Any] = index_template.definition(family)["template"]["mappings"]["properties"]
    return found


def test_fields_have_the_names_of_aws_config() -> None:
    """Each field of the item is where AWS Config's own table has it, and the text is kept as it was."""
    item = version("vol-1", START, "s1", ARN="arn:aws:ec2:eu-west-1:123456789012:volume/vol-1", resourceName="disk")
    source = document(item, Origin("live", "bucket", "a/key", "arn:aws:sns:eu-west-1:123456789012:config"))
    assert source["configurationItemCaptureTime"] == "2025-11-02T16:13:20.000Z"
    assert (source["resourceType"], source["resourceId"], source["resourceName"]) == ("AWS::EC2::Volume", "vol-1", "disk")
    assert source["configuration"] == {"size": START % 97, "state": {"name": "s1"}}
    assert source["raw"] == item.raw
    assert list(source)[-1] == "cfg"
    assert source["cfg"] == {
        "resource": "123456789012|eu-west-1|AWS::EC2::Volume|vol-1",
        "deleted": False,
        "source": "stream",
        "ingestMode": "live",
        "bucket": "bucket",
        "key": "a/key",
        "topic": "arn:aws:sns:eu-west-1:123456789012:config",
        "recordedIn": "eu-west-1",
        "tagList": ["a.b=c", "state=s1"],
        "relationshipCount": 1,
        "relatedIds": ["i-s1"],
        "relatedTypes": ["AWS::EC2::Instance"],
    }


def test_a_deleted_item_is_a_tombstone() -> None:
    """What is gone has no configuration, and says so."""
    source = document(version("vol-1", START, "s1", deleted=True), Origin())
    assert source["cfg"]["deleted"] is True
    assert not {"configuration", "tags", "relationships"} & set(source)


@pytest.mark.parametrize("family", FAMILIES[:2])
def test_every_field_of_an_item_is_mapped(family: str) -> None:
    """No field that is written is left out of the template, and no path beyond `raw` is left to chance."""
    item = version(
        "vol-1",
        START,
        "s1",
        ARN="arn",
        resourceName="n",
        availabilityZone="z",
        resourceCreationTime="2025-01-01T00:00:00Z",
        relatedEvents=["e"],
        supplementaryConfiguration={"a": 1},
        relationships=[{"resourceType": "t", "resourceId": "i", "resourceName": "n", "relationshipName": "r"}],
    )
    source = document(replace(item, captured_from="stateId"), Origin("live", "b", "k", "t"))
    if family == "config-history":
        put_changes(source, between(version("vol-1", START - 1, "s0"), item), "previous", "p")
    mapped = properties(family)
    assert set(source) <= {
        name for name, field in mapped.items() if field["type" if "type" in field else "properties"] != "alias"
    }
    assert set(source["cfg"]) <= set(mapped["cfg"]["properties"])
    assert {name for one in source["relationships"] for name in one} == set(mapped["relationships"]["properties"])
    for one in source["cfg"].get("changes", []):
        assert set(one) <= set(mapped["cfg"]["properties"]["changes"]["properties"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_number_of_fields_is_bounded(family: str) -> None:
    """A template maps fewer fields than its own limit allows, and no document adds one."""
    body = index_template.definition(family)["template"]

    def count(fields: dict[str, Any]) -> int:
        return sum(1 + count(one.get("properties", {})) + len(one.get("fields", {})) for one in fields.values())

    assert body["mappings"]["dynamic"] == "false"
    assert count(body["mappings"]["properties"]) < body["settings"]["index"]["mapping.total_fields.limit"] // 2


def test_templates_of_a_prefix_stay_apart() -> None:
    """Patterns and aliases begin with the prefix; the timeline is hidden and never refreshed, whatever is asked for."""
    bodies = {family: index_template.body("x-", family, refresh="60s", replicas=2) for family in index_template.CONFIG}
    assert {pattern for body in bodies.values() for pattern in body["index_patterns"]} == {
        "x-config-history-2*",
        "x-config-current-v*",
        "x-config-events-2*",
        "x-config-timeline",
    }
    assert list(bodies["config-current"]["template"]["aliases"]) == ["x-config-current"]
    assert bodies["config-timeline"]["template"]["aliases"] == {}
    settings = {family: body["template"]["settings"]["index"] for family, body in bodies.items()}
    assert [settings[family]["refresh_interval"] for family in index_template.CONFIG] == ["60s", "60s", "60s", "-1"]
    assert settings["config-timeline"]["hidden"] is True
    assert {index["number_of_replicas"] for index in settings.values()} == {2}


def test_lean_leaves_the_tags() -> None:
    """The lean shape does not index configurations by path; tags are few and stay."""
    fields = index_template.body("", "config-history", lean=True)["template"]["mappings"]["properties"]
    assert fields["configuration"] == {"type": "object", "enabled": False}
    assert fields["tags"] == {"type": "flat_object"}
    assert "supplementary_configuration" not in fields


def test_what_an_engine_cannot_take_is_cut() -> None:
    """Long leaves and deep trees are cut with a word about it; the text itself is whole."""
    deep: Any = "bottom"
    for _ in range(200):
        deep = {"d": deep}
    configuration = {"long": "é" * MAX_TERM, "deep": deep, "list": [1, 2]}
    item = replace(version("vol-1", START, "s1"), configuration=configuration, raw=json.dumps(configuration))
    source = document(item, Origin())
    assert len(source["configuration"]["long"].encode()) < MAX_TERM
    assert depth(json.dumps(source).encode()) < MAX_DEPTH + 4
    assert source["cfg"]["truncated"] == ["configuration.long"]
    assert source["raw"] == item.raw


@pytest.mark.parametrize("configuration", ["a text", ["a", "b"], [{"a": 1}, "b"], 5, True])
def test_a_configuration_that_is_no_object_is_wrapped(configuration: Any) -> None:
    """A flat object takes objects only: anything else would vanish from search without a word."""
    source = document(replace(version("vol-1", START, "s1"), configuration=configuration), Origin())
    assert source["configuration"] == {"value": configuration}
    assert source["cfg"]["wrapped"] == ["configuration"]


def test_relationships_beyond_the_limit_are_in_the_flat_lists() -> None:
    """Pairs are bounded, since each is a document of its own in the engine; the lists of ids have all of them."""
    many = tuple(Relationship("t", f"i-{number}", "", "r") for number in range(MAX_RELATIONSHIPS + 1))
    source = document(replace(version("vol-1", START, "s1"), relationships=many), Origin())
    assert len(source["relationships"]) == MAX_RELATIONSHIPS
    assert len(source["cfg"]["relatedIds"]) == source["cfg"]["relationshipCount"] == MAX_RELATIONSHIPS + 1
    assert source["cfg"]["truncated"] == ["relationships"]


def test_changes_take_the_place_of_what_was_there() -> None:
    """A document that is corrected keeps nothing of the changes that it told before, nor its time of ingestion."""
    one, other, item = (version("vol-1", START + number, f"s{number}") for number in range(3))
    source = document(item, Origin())
    before = set(source["cfg"])
    put_changes(source, between(one, item), "previous", one.identity)
    source["cfg"]["ingestTime"] = "2025-11-02T16:13:20.000Z"
    put_changes(source, between(other, item), "previous", other.identity)
    assert source["cfg"]["changeLines"] == [change.text for change in between(other, item)]
    assert (source["cfg"]["previous"], source["cfg"]["changesFrom"]) == (other.identity, "previous")
    put_changes(source, (), "first", None)
    assert set(source["cfg"]) - before == {"changesFrom", "changeCount"}


def test_changes_are_bounded_in_bytes() -> None:
    """A thousand changes of the longest values do not make a document that no request can hold; they are counted all the same."""
    after = {f"k{number}": "x" * 9_000 for number in range(1_000)}
    item = replace(version("vol-1", START, "s1"), configuration=after)
    changes = between(replace(item, configuration={}), item)
    source = document(item, Origin())
    put_changes(source, changes, "previous", "p")
    assert source["cfg"]["changeCount"] == len(changes) > len(source["cfg"]["changes"])
    assert sum(len(one["after"]) for one in source["cfg"]["changes"]) <= MAX_CHANGE_BYTES


def test_a_line_is_completed_by_the_time_of_ingestion() -> None:
    """What `bulk` writes behind a line makes it a whole action and document, with or without other fields of ours."""
    for source in ({"a": 1, "cfg": {}}, {"a": "\ud800", "cfg": {"b": [1]}}, document(version("v", START, "s"), Origin())):
        action, text = (line({"index": {"_id": "x"}}, source) + b'2025-11-02T16:13:20.000Z"}}').split(b"\n")
        assert json.loads(action) == {"index": {"_id": "x"}}
        assert json.loads(text)["cfg"]["ingestTime"] == "2025-11-02T16:13:20.000Z"


def test_ids_and_indices() -> None:
    """Months are those of the capture time (UTC); an id is never longer than an engine takes."""
    assert history_index("x-", 1_764_547_199_999) == "x-config-history-2025.11"
    assert history_index("x-", 1_764_547_200_000) == "x-config-history-2025.12"
    assert events_index("", START) == "config-events-2025.11"
    assert current_id("a|b|c|d") == "a|b|c|d"
    assert len(current_id("é" * 300).encode()) < 512


def test_an_event_of_config_itself() -> None:
    """Its fields are those of the template, and its id does not depend on how it came."""
    fields = {"configRuleName": "rule", "complianceType": "NON_COMPLIANT", "details": {"a": {"b": 1}}, "outcome": "changed"}
    one = HealthEvent("ComplianceChangeNotification", "123456789012", "eu-west-1", START, "{...}", fields)
    source = event(one, Origin("live", topic="t"))
    assert set(source) <= set(properties("config-events"))
    assert (source["messageType"], source["eventTime"]) == ("ComplianceChangeNotification", "2025-11-02T16:13:20.000Z")
    assert source["details"] == {"a": {"b": 1}}
    assert one.identity == replace(one, raw="from elsewhere").identity
    assert one.identity != replace(one, time=START + 1).identity


def test_the_account_of_a_message() -> None:
    """Changes that a message tells are written as those that are computed."""
    item = version("vol-1", START, "s1", diff=True)
    source = document(item, Origin())
    put_changes(source, from_message(item.diff or {}, item), "message", None)
    assert source["cfg"]["changes"] == [
        {"path": "Configuration.Told", "kind": "changed", "category": "attribute", "before": "before", "after": "s1"}
    ]
    assert source["cfg"]["changeLines"] == ['Configuration.Told  "before" -> "s1"']
