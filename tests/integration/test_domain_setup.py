"""The set-up of an engine without plugins, over real HTTP. The same tests run once more on a real node, in `tests/engine`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from osmem_server import OsmemServer

from audit_search import index_template
from audit_search.aws_config import documents
from audit_search.aws_config.history import Arrival, History
from audit_search.domain.api import HttpApi
from audit_search.domain.setup import apply
from audit_search.errors import DomainSetupError
from audit_search.opensearch import HttpEngine
from tests.support.config_world import MONTH, START, counted, version
from tests.support.domains import Domain, actions, the
from tests.support.engine_front import Asked, EngineFront, Verdict
from tests.support.engines import TestEngine


@pytest.fixture
def bare() -> Iterator[TestEngine]:
    """An embedded engine in which there is nothing."""
    with OsmemServer.start(japanese=False) as server:
        yield TestEngine(server.url, real=False)


@pytest.fixture
def domain(bare: TestEngine) -> Iterator[Domain]:
    """It, behind a front that sees each request."""
    with EngineFront(bare.endpoint) as front:
        yield Domain(bare, front)


def data_nodes(count: int) -> Callable[[Asked], Verdict]:
    """A rule by which the engine says that it has this many data nodes."""
    return lambda asked: (200, {"status": "green", "number_of_data_nodes": count}) if asked.path == "/_cluster/health" else None


def template_of(domain: Domain) -> dict[str, Any]:
    """Our index template as the engine has it."""
    found: dict[str, Any] = domain.engine.get(f"/_index_template/{domain.engine.alias}")["index_templates"][0]["index_template"]
    return found


def replicas_of(domain: Domain) -> int:
    """How many replicas it asks for."""
    return int(template_of(domain)["template"]["settings"]["index"]["number_of_replicas"])


def history_of(domain: Domain) -> History:
    """The history of AWS Config, past the front: that reads JSON alone, and bulk requests are compressed lines."""
    return History(HttpEngine(domain.settings(OPENSEARCH_ENDPOINT=domain.engine.endpoint)), domain.engine.prefix)


def test_a_second_run_changes_nothing(domain: Domain) -> None:
    """The first run puts the template in place; then all is as it should be, and no request writes."""
    first = domain.set_up()
    assert actions(first.changes, "index template") == {domain.engine.alias: "create"}
    assert (domain.kept, first.backups) == ({}, {})
    domain.front.asked.clear()
    second = domain.set_up()
    assert set(actions(second.changes, "index template").values()) == {"unchanged"}
    assert "update" not in actions(second.changes).values()
    assert domain.front.writes == []


def test_aws_config_has_its_own_families(domain: Domain) -> None:
    """With AWS_CONFIG=true all templates and the index of the latest states are there, and items of any kind find them right."""
    first = domain.set_up(AWS_CONFIG="true")
    prefix = domain.engine.prefix
    names = {
        index_template.name(prefix, family): "create" for family in ("cloudtrail", *index_template.CONFIG, index_template.LINKS)
    }
    assert actions(first.changes, "index template") == names
    assert actions(first.changes, "index") == {f"{prefix}config-current-v1": "create"}
    index_template.check(domain.engine, prefix, *index_template.CONFIG, index_template.LINKS)
    status, found = domain.engine.call("POST", f"/{prefix}config-current/_search", {"query": {"match_all": {}}})
    assert (status, found["hits"]["total"]["value"]) == (200, 0)
    items = [Arrival(version("vol-1", START + number * MONTH, f"s{number}")) for number in range(3)]
    history = history_of(domain)
    assert counted(history.write(items, time.monotonic() + 60)) == {"indexed": 3}
    domain.front.asked.clear()
    second = domain.set_up(AWS_CONFIG="true")
    assert [change for change in second.changes if change.action in ("create", "update", "refuse")] == []
    assert domain.front.writes == []
    assert {"config-history-2*", "config-current-v1", "config-timeline"} <= {
        change.name.removeprefix(prefix) for change in second.changes if change.kind == "index settings"
    }


def test_indices_of_aws_config_take_other_settings(domain: Domain) -> None:
    """Replicas and refresh interval reach what is there; timelines, which nobody searches, keep theirs."""
    domain.set_up(AWS_CONFIG="true", REFRESH_INTERVAL="10s")
    history = history_of(domain)
    history.write([Arrival(version("vol-1", START, "s"))], time.monotonic() + 60)
    domain.set_up(AWS_CONFIG="true", REFRESH_INTERVAL="30s")
    answer = domain.engine.get(f"/{domain.engine.prefix}config-*/_settings?flat_settings=true&expand_wildcards=all")
    refresh = {name.removeprefix(domain.engine.prefix): one["settings"]["index.refresh_interval"] for name, one in answer.items()}
    assert refresh == {
        "config-current-v1": "30s",
        f"config-history-{documents.month(START)}": "30s",
        "config-timeline": "-1",
    }


def test_a_plan_only_reads(domain: Domain) -> None:
    """Planning asks with GET alone, and nothing comes of it."""
    plan = domain.plan()
    assert [change.name for change in plan.to_do] == [domain.engine.alias]
    assert domain.front.writes == []
    assert domain.engine.call("GET", f"/_index_template/{domain.engine.alias}")[0] == 404


def test_events_are_found_under_the_alias(domain: Domain) -> None:
    """What is written after the set-up gets into an index of our template, and is found by any word of it."""
    domain.set_up()
    index_template.check(domain.engine, domain.engine.prefix)
    source = {"eventName": "RunInstances", "raw": '{"instanceType":"m5.large"}', "requestParameters": {"a": {"b": "c"}}}
    domain.engine.put(f"/{domain.engine.alias}-2026.11/_doc/1", source)
    domain.engine.refresh()
    assert domain.engine.found('"m5.large"') == {"1"}
    assert domain.engine.found("requestParameters.a.b:c") == {"1"}


def test_what_the_engine_does_not_offer_is_left_out(domain: Domain) -> None:
    """Without the plugins for policies and roles the rest is done, and the reason says what that means."""
    outcome = domain.set_up(RETENTION_DAYS="90", WRITER_ROLE_ARNS="arn:aws:iam::123456789012:role/writer")
    assert the(outcome.changes, "index template").action == "create"
    policy = the(outcome.changes, "ISM policy")
    assert policy.action == "leave out"
    assert "RETENTION_DAYS=90 deletes nothing here" in policy.reason
    roles = [change for change in outcome.changes if change.kind == "role"]
    assert [change.action for change in roles] == ["leave out", "leave out"]
    assert "no fine-grained access control" in roles[0].reason
    assert [change for change in outcome.changes if change.kind == "role mapping"] == []


def test_what_a_person_edited_is_kept_before_it_is_replaced(domain: Domain) -> None:
    """The backup is what was there, the differences name what was edited, and ours is there afterwards."""
    domain.set_up()
    ours = template_of(domain)
    edited = json.loads(json.dumps(ours))
    edited["template"]["settings"]["index"]["codec"] = "default"
    edited["template"]["mappings"]["properties"]["mine"] = {"type": "keyword"}
    domain.engine.put(f"/_index_template/{domain.engine.alias}", edited)
    edited = template_of(domain)
    outcome = domain.set_up()
    change = the(outcome.changes, "index template")
    assert change.action == "update"
    assert change.differences == ("template.mappings.properties.mine.type", "template.settings.index.codec")
    assert domain.kept == {f"index-template/{domain.engine.alias}": edited}
    assert outcome.backups == {change.backup_name: f"memory:index-template/{domain.engine.alias}"}
    assert template_of(domain) == ours


def test_a_template_of_somebody_else_is_not_touched(domain: Domain) -> None:
    """A template of our name without our mark is refused before anything is changed."""
    theirs = {"index_patterns": [f"{domain.engine.prefix}x-*"], "priority": 5, "template": {"settings": {"number_of_shards": 2}}}
    domain.engine.put(f"/_index_template/{domain.engine.alias}", theirs)
    before = template_of(domain)
    with pytest.raises(DomainSetupError, match=r"not Audit Search's: rename or remove it, or choose another INDEX_PREFIX"):
        domain.set_up()
    assert domain.front.writes == []
    assert template_of(domain) == before


def test_a_template_of_lower_priority_is_none_of_our_business(domain: Domain) -> None:
    """A catch-all of a lower priority loses against ours."""
    rest = {"index_patterns": [f"{domain.engine.prefix}*"], "priority": 199, "template": {"settings": {"number_of_shards": 2}}}
    domain.engine.put(f"/_index_template/{domain.engine.prefix}rest", rest)
    assert the(domain.set_up().changes, "index template").action == "create"


def test_a_newer_template_is_left_as_it_is(domain: Domain) -> None:
    """An older program does not take back what a newer one put in place."""
    domain.set_up()
    newer = {**template_of(domain), "version": index_template.definition()["version"] + 1}
    domain.engine.put(f"/_index_template/{domain.engine.alias}", newer)
    change = the(domain.set_up().changes, "index template")
    assert change.action == "unchanged"
    assert "of a newer Audit Search" in change.reason
    assert template_of(domain)["version"] == newer["version"]


def test_settings_reach_indices_that_are_there(domain: Domain) -> None:
    """Refresh interval and replicas follow at once, shards with the next index; and then all is unchanged."""
    domain.set_up()
    index = f"{domain.engine.alias}-2026.11"
    domain.engine.put(f"/{index}/_doc/1", {"eventName": "x"})
    outcome = domain.set_up(REFRESH_INTERVAL="1m", SHARDS="3", REPLICAS="1")
    change = the(outcome.changes, "index settings")
    assert change.action == "update"
    assert set(change.differences) == {f"{index}.index.number_of_replicas", f"{index}.index.refresh_interval"}
    has = domain.engine.get(f"/{index}/_settings?flat_settings=true")[index]["settings"]
    assert (has["index.refresh_interval"], has["index.number_of_replicas"], has["index.number_of_shards"]) == ("1m", "1", "1")
    assert template_of(domain)["template"]["settings"]["index"]["number_of_shards"] == "3"
    assert domain.kept[change.backup_name] == {index: {"index.number_of_replicas": "0", "index.refresh_interval": "10s"}}
    again = domain.set_up(REFRESH_INTERVAL="1m", SHARDS="3", REPLICAS="1")
    assert set(actions(again.changes).values()) == {"unchanged", "leave out"}


def test_an_index_that_was_not_made_from_our_template_is_left_alone(domain: Domain) -> None:
    """An index of our name without our alias is somebody's own: it is named, and keeps its settings."""
    index = f"{domain.engine.alias}-2019.01"
    domain.engine.put(f"/{index}", {"settings": {"index": {"refresh_interval": "7s"}}})
    outcome = domain.set_up()
    assert the(outcome.changes, "index", index).action == "leave out"
    assert "index settings" not in {change.kind for change in outcome.changes}
    has = domain.engine.get(f"/{index}/_settings?flat_settings=true")[index]["settings"]
    assert has["index.refresh_interval"] == "7s"


def test_the_shape_of_documents_is_chosen(domain: Domain) -> None:
    """The lean shape does not index sub-trees by path; going back is a change like any other."""
    domain.set_up(DOCUMENT_SHAPE="lean")
    tree = template_of(domain)["template"]["mappings"]["properties"]["requestParameters"]
    assert tree == {"type": "object", "enabled": False}
    assert the(domain.plan(DOCUMENT_SHAPE="lean").changes, "index template").action == "unchanged"
    change = the(domain.set_up().changes, "index template")
    assert "template.mappings.properties.requestParameters.type" in change.differences


def test_two_installations_share_a_domain(domain: Domain) -> None:
    """Each has names of its own, and setting up the one changes nothing of the other."""
    domain.set_up()
    other = domain.engine.prefix + "b-"
    assert the(domain.set_up(INDEX_PREFIX=other).changes, "index template").name == f"{other}cloudtrail"
    assert the(domain.plan().changes, "index template").action == "unchanged"
    domain.engine.call("DELETE", f"/_index_template/{other}cloudtrail")


@pytest.mark.parametrize(("nodes", "replicas"), [(1, 0), (2, 1), (3, 1), (12, 1)])
def test_there_are_as_many_copies_as_the_nodes_can_hold(domain: Domain, nodes: int, replicas: int) -> None:
    """A single node can never place a replica; where there are more, no node is the only one to have an event."""
    domain.front.rules.append(data_nodes(nodes))
    domain.set_up()
    assert replicas_of(domain) == replicas
    assert the(domain.plan().changes, "index template").action == "unchanged"


def test_no_replicas_on_several_nodes_are_refused(domain: Domain) -> None:
    """A node that is lost must not take events along, whatever the settings say."""
    domain.front.rules.append(data_nodes(3))
    change = the(domain.plan(REPLICAS="0").changes, "index template")
    assert (change.action, "REPLICAS=0 on 3 data nodes" in change.reason) == ("refuse", True)
    domain.front.rules.clear()
    assert the(domain.plan(REPLICAS="0").changes, "index template").action == "create"


def zones(asked: Asked) -> Verdict:
    """A domain of three zones with standby."""
    name = "cluster.routing.allocation.awareness"
    settings = {f"{name}.balance": "true", f"{name}.attributes": "zone", f"{name}.force.zone.values": ["a", "b", "c"]}
    return (200, {"persistent": settings, "defaults": {}}) if asked.path == "/_cluster/settings" else None


def test_zones_with_standby_ask_for_a_copy_in_each(domain: Domain) -> None:
    """The domain says how many copies it wants: they are made, and another number is refused with the right one."""
    domain.front.rules += [data_nodes(3), zones]
    change = the(domain.plan(REPLICAS="1").changes, "index template")
    assert change.action == "refuse"
    assert "makes 2 copies, and this domain asks for a multiple of 3: set REPLICAS=2" in change.reason
    domain.set_up()
    assert replicas_of(domain) == 2
    assert the(domain.plan(REPLICAS="2").changes, "index template").action == "unchanged"


def hidden(asked: Asked) -> Verdict:
    """The same, but nobody may see its settings."""
    if asked.path == "/_cluster/settings":
        return 403, {"Message": "Your request: '/_cluster/settings' is not allowed."}
    if asked.method != "PUT" or "_index_template" not in asked.path:
        return None
    if asked.body["template"]["settings"]["index"]["number_of_replicas"] == 2:
        return None
    text = "Validation Failed: 1: expected total copies needs to be a multiple of total awareness attributes [3];"
    return 400, {"error": {"type": "validation_exception", "reason": text}, "status": 400}


def test_a_domain_that_says_only_in_its_refusal_how_many_copies_it_wants(domain: Domain) -> None:
    """The refusal is read, the right number is put in place, and the next run leaves it there."""
    domain.front.rules += [data_nodes(3), hidden]
    change = the(domain.set_up().changes, "index template")
    assert change.reason == "2 replicas: the domain asks for 3 copies"
    assert replicas_of(domain) == 2
    assert the(domain.set_up().changes, "index template").action == "unchanged"
    with pytest.raises(DomainSetupError, match=r"multiple of total awareness attributes \[3\]"):
        domain.set_up(REPLICAS="1")


def test_a_plan_with_a_refusal_is_not_carried_out(domain: Domain) -> None:
    """Whoever asks for it gets the reasons, and nothing is written."""
    domain.front.rules.append(data_nodes(2))
    plan = domain.plan(REPLICAS="0")
    with pytest.raises(DomainSetupError, match="Nothing was changed, for the domain does not allow it"):
        apply(HttpApi(domain.settings(), None), plan, domain.keep)
    assert domain.front.writes == []


@pytest.mark.parametrize(
    "answer", ["<html>login</html>", [], "", {"index_templates": "none"}, {"index_templates": [5]}, {"index_templates": [{}]}]
)
def test_an_answer_that_is_none_of_an_engine_ends_in_one_clear_error(domain: Domain, answer: Any) -> None:
    """Whatever a proxy answers, the error says that this is not OpenSearch; nothing is written."""
    domain.front.rules.append(lambda asked: (200, answer) if "_index_template" in asked.path else None)
    with pytest.raises(DomainSetupError, match=r"is not OpenSearch|does not answer as OpenSearch"):
        domain.plan()
    assert domain.front.writes == []


# --- roles, where the engine has no plugin for them and its answers are made up -----------------------------------------


def test_a_domain_without_fine_grained_access_control_says_so(domain: Domain) -> None:
    """Amazon does not offer the security API there: roles are left out, and the reason says what protects the domain."""
    text = "Your request: '/_plugins/_security/api/roles/x' is not allowed."
    domain.front.rules.append(lambda asked: (401, {"Message": text}) if "/_security/" in asked.path else None)
    changes = domain.set_up(ADMIN_ROLE_ARNS="arn:aws:iam::123456789012:role/admin").changes
    assert {change.action for change in changes if change.kind == "role"} == {"leave out"}
    assert (
        "whoever its access policy (or its network) lets in may do everything"
        in the(changes, "role", f"{domain.engine.alias}-writer").reason
    )


def security(mapping: dict[str, Any]) -> Callable[[Asked], Verdict]:
    """A security API with the domain's own roles, each with this mapping."""

    def rule(asked: Asked) -> Verdict:
        kind, _, name = asked.path.removeprefix("/_plugins/_security/api/").partition("/")
        if kind not in ("roles", "rolesmapping") or asked.method == "PUT":
            return (201, {"status": "CREATED"}) if kind in ("roles", "rolesmapping") else None
        if "cloudtrail" in name:
            return 404, {"status": "NOT_FOUND", "message": f"{name} not found."}
        return 200, {name: mapping if kind == "rolesmapping" else {"reserved": True, "static": True}}

    return rule


ADMIN = "arn:aws:iam::123456789012:role/admin"


def test_a_reserved_mapping_is_left_to_its_configuration(domain: Domain) -> None:
    """The API would refuse it: the reason says whom to map there."""
    domain.front.rules.append(security({"reserved": True, "hidden": False, "backend_roles": ["a"], "hosts": [], "users": []}))
    change = the(domain.set_up(ADMIN_ROLE_ARNS=ADMIN).changes, "role mapping", "all_access")
    assert change.action == "leave out"
    assert f"map {ADMIN} in the domain's own configuration" in change.reason


def test_amazons_own_roles_are_mapped_where_they_are(domain: Domain) -> None:
    """On its domains the roles of Dashboards and of security have names of their own; what a PUT does not take is left away."""
    mapping = {
        "reserved": False,
        "hidden": False,
        "backend_roles": [ADMIN],
        "hosts": [],
        "users": ["maria"],
        "and_backend_roles": [],
    }
    domain.front.rules.append(security(mapping))
    changes = domain.set_up(ADMIN_ROLE_ARNS=ADMIN, ANALYST_ROLE_ARNS="analysts").changes
    assert actions(changes, "role mapping") == {
        f"{domain.engine.alias}-analyst": "create",
        "opensearch_dashboards_user": "update",
        "alerting_read_access": "update",
        "all_access": "unchanged",
        "security_manager": "unchanged",
    }
    put = {asked.path.rpartition("/")[2]: asked.body for asked in domain.front.writes}
    assert put["opensearch_dashboards_user"] == {
        "backend_roles": [ADMIN, "analysts"],
        "hosts": [],
        "users": ["maria"],
        "and_backend_roles": [],
    }
