"""The queries about AWS Config that the README shows, on a real node with the sample messages: each finds what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from generate import CONFIG, CONFIG_BUCKET, INSTANCE, config_objects

from audit_search import index_template
from tests.support.aws import Aws
from tests.support.building import ROOT
from tests.support.engines import TestEngine
from tests.support.function import make_config_function
from tests.support.opensearch_node import OpenSearchNode

README = (ROOT / "README.md").read_text("utf-8")
ROWS = re.findall(r"^\| [^|]+\? \| ([^|]+) \| `([^`]+)`[^|]*\|$", README, re.MULTILINE)
"""The table of questions: where, and the query."""
EXAMPLE = re.findall(r"^ (2026-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})   (.+?)(?:  …)?$", README, re.MULTILINE)
"""The life of the instance: the capture time, and the first line of what changed."""

Source = dict[str, Any]


@pytest.fixture
def filled(
    node: OpenSearchNode, aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[TestEngine]:
    """The node with every sample message and object of AWS Config, by the function."""
    engine = TestEngine(node.endpoint, real=True)
    engine.install(*index_template.CONFIG)
    aws.bucket(CONFIG_BUCKET)
    for sample in config_objects():
        aws.put(sample.path.read_bytes(), sample.key, CONFIG_BUCKET)
    function = make_config_function(
        monkeypatch,
        capsys,
        aws,
        engine.endpoint,
        INDEX_PREFIX=engine.prefix,
        ALLOWED_BUCKETS=CONFIG_BUCKET,
        TRAIL_QUEUE_URL=aws.queue().url,
    )
    for path in sorted(CONFIG.glob("*.json")):
        function(json.loads(path.read_text("utf-8")))
    engine.refresh()
    yield engine
    engine.remove()


def hits(engine: TestEngine, family: str, query: dict[str, Any] | str) -> list[Source]:
    """The documents of a family that a query finds."""
    wanted = {"query_string": {"query": query}} if isinstance(query, str) else query
    body = {"query": wanted, "size": 1_000, "sort": [{"@timestamp": "asc"}]}
    answer = engine._answer("POST", f"/{engine.prefix}{family}/_search", body)
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def _opened(one: Source) -> bool:
    return "+ ingress tcp 22 from 0.0.0.0/0" in one["cfg"].get("changeLines", [])


def _retyped(one: Source) -> bool:
    return "Configuration.InstanceType" in one["cfg"].get("changedPaths", [])


def _attached(one: Source) -> bool:
    types = {related["resourceType"] for related in one.get("relationships", [])}
    return bool(one["resourceId"] == "vol-0d6e5f40312091827" and "AWS::EC2::Instance" in types)


def _has_volume(one: Source) -> bool:
    return any(related.get("resourceId") == "vol-0d6e5f40312091827" for related in one.get("relationships", []))


def _tagged(one: Source) -> bool:
    return bool(one.get("tags", {}).get("Name") == "web-1" and not one["cfg"]["deleted"])


def _not_compliant(one: Source) -> bool:
    return bool(one["messageType"] == "ComplianceChangeNotification" and one.get("complianceType") == "NON_COMPLIANT")


MEANING: list[Callable[[Source], bool]] = [_opened, _retyped, _attached, _has_volume, _tagged, _not_compliant]


def test_each_question_finds_what_it_asks_for(filled: TestEngine) -> None:
    """Every row of the README's table, in each of the indices that it names, compared with all documents there."""
    assert len(ROWS) == len(MEANING)
    for (where, query), meaning in zip(ROWS, MEANING, strict=True):
        found = 0
        for family in re.findall(r"`([a-z-]+)`", where):
            every = hits(filled, family, {"match_all": {}})
            answer = hits(filled, family, query)
            assert answer == [one for one in every if meaning(one)], (family, query)
            found += len(answer)
        assert found or meaning is _tagged, query  # the instance of that name is gone by the end of the samples


def test_the_example_is_what_the_samples_say(filled: TestEngine) -> None:
    """The life of the instance: each version, at its time, with its first line."""
    versions = hits(filled, "config-history", f'resourceId:"{INSTANCE}"')
    told = [
        (one["configurationItemCaptureTime"].replace("T", " ").removesuffix("Z"), one["cfg"]["changeLines"][0])
        for one in versions
    ]
    assert told == EXAMPLE
