"""Every test of the set-up once more, unchanged, on a real OpenSearch node; and what only a node can show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration import test_domain_setup as shared
from tests.integration.test_domain_setup import domain, replicas_of
from tests.support.domains import Domain, the
from tests.support.engines import TestEngine
from tests.support.opensearch_node import OpenSearchNode

__all__ = ["domain"]

AWARENESS = "cluster.routing.allocation.awareness"
NOT_ALLOCATED = "?wait_for_active_shards=0"  # no node has a zone here
DEFAULT = "cluster.default_number_of_replicas"

# By their own names, so that a test that is added there runs here without another word.
globals().update({name: each for name, each in vars(shared).items() if name.startswith("test_") and callable(each)})


@pytest.fixture
def bare(node: OpenSearchNode) -> Iterator[TestEngine]:
    """The node, with a prefix of one's own; templates that a test leaves below it go."""
    engine = TestEngine(node.endpoint, real=True)
    yield engine
    engine.remove()
    engine.call("DELETE", f"/_index_template/{engine.prefix}*")


@pytest.fixture
def three_zones(node: OpenSearchNode) -> Iterator[None]:
    """The node takes itself for one of three zones, as a domain of Multi-AZ with standby does."""
    zones: dict[str, Any] = {f"{AWARENESS}.attributes": "zone", f"{AWARENESS}.force.zone.values": "a,b,c"}
    rule: dict[str, Any] = {f"{AWARENESS}.balance": True}  # checked against the zones and the default that there are
    for settings in ({**zones, DEFAULT: 2}, rule):
        node.request("PUT", "/_cluster/settings", {"persistent": settings})
    yield
    for settings in (dict.fromkeys(rule), dict.fromkeys([*zones, DEFAULT])):
        node.request("PUT", "/_cluster/settings", {"persistent": settings})


@pytest.mark.parametrize("priority", [200, 201, 5_000])
def test_a_template_that_would_be_taken_for_our_indices_is_refused(domain: Domain, priority: int) -> None:
    """One of the same priority the engine would not accept, one of a higher would win: either is named."""
    rival = f"{domain.engine.prefix}rival"
    domain.engine.put(f"/_index_template/{rival}", {"index_patterns": [f"{domain.engine.prefix}*"], "priority": priority})
    change = the(domain.plan().changes, "index template")
    assert change.action == "refuse"
    assert f"the index template {rival!r} matches {domain.engine.alias}-2* too, with priority {priority}" in change.reason


def test_months_begin_where_zones_ask_for_a_copy_in_each(domain: Domain, three_zones: None) -> None:
    """The template has the right number of copies, and a new month's index is made."""
    assert three_zones is None
    outcome = domain.set_up()
    assert replicas_of(domain) == 2
    assert "cluster setting" not in {change.kind for change in outcome.changes}
    assert domain.engine.call("PUT", f"/{domain.engine.alias}-2026.11{NOT_ALLOCATED}")[0] == 200
    assert the(domain.plan().changes, "index settings").action == "unchanged"


def test_a_default_that_keeps_months_from_beginning_is_named(domain: Domain, three_zones: None) -> None:
    """Where the domain's own default makes the wrong number of copies, no index can be made: the outcome says what to set."""
    assert three_zones is None
    domain.engine.put("/_cluster/settings", {"persistent": {DEFAULT: None}})
    change = the(domain.set_up().changes, "cluster setting", DEFAULT)
    assert change.action == "leave out"
    assert "it is 1, which makes 2 copies where the domain asks for a multiple of 3" in change.reason
    refused = domain.engine.call("PUT", f"/{domain.engine.alias}-2026.11{NOT_ALLOCATED}")
    assert "expected total copies needs to be a multiple of total awareness attributes [3]" in str(refused)


def test_indices_from_before_the_zones_get_their_copies(
    domain: Domain, node: OpenSearchNode, request: pytest.FixtureRequest
) -> None:
    """A domain that is made one of three zones later: the next run raises the copies of what is there."""
    domain.set_up()
    index = f"{domain.engine.alias}-2026.10"
    domain.engine.put(f"/{index}/_doc/1", {"eventName": "x"})
    request.getfixturevalue("three_zones")
    change = the(domain.set_up().changes, "index settings")
    assert change.differences == (f"{index}.index.number_of_replicas",)
    has = node.request("GET", f"/{index}/_settings?flat_settings=true")[index]["settings"]
    assert has["index.number_of_replicas"] == "2"
