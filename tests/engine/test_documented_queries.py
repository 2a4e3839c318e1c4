"""The queries that README, demo and docs show, on a real node with the sample events: each gives the answer that is written."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

import pytest
from generate import INSTANCE, sample_objects

from demo.searches import searches, total
from tests.engine.test_function_on_node import engine
from tests.integration.test_function import Make, deliver, make
from tests.support.aws import Aws
from tests.support.building import ROOT
from tests.support.engines import TestEngine

__all__ = ["engine", "make"]

SHOWN = re.findall(r"^   query  (.+)\n   (\d+) events", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
"""Queries of the demo's output in the README, with the number of events that it shows."""

Sources = list[dict[str, Any]]


@pytest.fixture
def filled(aws: Aws, engine: TestEngine, make: Make) -> TestEngine:
    """The node with every sample object in it, by the function."""
    deliver(make(), [aws.put(sample.path.read_bytes(), sample.key) for sample in sample_objects()])
    engine.refresh()
    return engine


def _instance_type(sources: Sources) -> int:
    return sum((one.get("requestParameters") or {}).get("instanceType") == "m5.large" for one in sources)


def _in_network(sources: Sources) -> int:
    found = 0
    for one in sources:
        try:
            found += ipaddress.ip_address(one.get("sourceIPAddress", "")) in ipaddress.ip_network("10.0.0.0/8")
        except ValueError:
            continue
    return found


def _changes_of_trails(sources: Sources) -> int:
    return sum(one.get("eventSource") == "cloudtrail.amazonaws.com" and one.get("readOnly") is not True for one in sources)


DOCUMENTED: dict[str, tuple[str, Callable[[Sources], int]]] = {
    "requestParameters.instanceType:m5.large": ("README.md", _instance_type),
    'sourceIPAddress.ip:"10.0.0.0/8"': ("README.md", _in_network),
    "eventSource:cloudtrail.amazonaws.com AND NOT readOnly:true": ("docs/runbook.md", _changes_of_trails),
}
"""Where a query stands, and what it finds by its meaning."""


def test_each_query_gives_the_answer_that_is_documented(filled: TestEngine) -> None:
    """The demo's searches as the README shows them, the examples by path and by network, and those of the runbook."""
    assert len(SHOWN) >= 2
    for query, events in SHOWN:
        assert len(filled.search(query)) == int(events), query
    sources = [hit["_source"] for hit in filled.search({"match_all": {}})]
    for query, (page, meaning) in DOCUMENTED.items():
        assert query in (ROOT / page).read_text("utf-8"), query
        found = filled.search(query)
        assert len(found) == meaning(sources), query
    assert _instance_type(sources)
    deep = {hit["_id"] for hit in filled.search('"instanceType:m5.large"')}
    assert {hit["_id"] for hit in filled.search("requestParameters.instanceType:m5.large")} <= deep
    assert filled.search(INSTANCE)


def test_the_demos_searches_give_their_tables(filled: TestEngine) -> None:
    """Each of the five has hits on a real node, and its answer is read into rows."""
    for search in searches(INSTANCE):
        answer = filled._answer("POST", f"/{filled.alias}/_search", search.body())
        assert total(answer) > 0, search.name
        table = search.read(answer)
        assert table.rows, search.name
        assert all(len(row) == len(table.header) for row in table.rows), search.name
