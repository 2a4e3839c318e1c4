"""Every integration test of the function once more, unchanged, on a real OpenSearch node; and what only a node can show."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.integration import test_function as shared
from tests.integration.test_function import Make, deliver, function, make
from tests.support.aws import Aws, record, text_of
from tests.support.engines import TestEngine
from tests.support.function import Function
from tests.support.opensearch_node import VERSION, OpenSearchNode

__all__ = ["function", "make"]


def _tests_of(module: ModuleType) -> dict[str, Any]:
    return {name: each for name, each in vars(module).items() if name.startswith("test_") and callable(each)}


# By their own names, so that a test that is added there runs here without another word.
globals().update(_tests_of(shared))


@pytest.fixture
def engine(node: OpenSearchNode) -> Iterator[TestEngine]:
    """The node, with the index template for a prefix of one's own."""
    engine = TestEngine(node.endpoint, real=True)
    engine.install()
    yield engine
    engine.remove()


@pytest.fixture(scope="module", autouse=True)
def _count(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print how many of the integration tests ran here."""
    yield
    names = set(_tests_of(shared))
    mine = [item for item in request.session.items if item.path == request.path]
    run = [item for item in mine if isinstance(item, pytest.Function) and item.originalname in names]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        functions = {item.originalname for item in run}
        print(f"\n{len(functions)} of {len(names)} integration tests ({len(run)} cases) on OpenSearch {VERSION}", flush=True)


def test_the_source_holds_the_dotted_names_literally(aws: Aws, engine: TestEngine, function: Function) -> None:
    """On a real node `_source` is what was sent: flat names with dots at the top, sub-trees whole, ours in one `ct`."""
    one = record(
        "a",
        tlsDetails={"tlsVersion": "TLSv1.3"},
        requestParameters={"a": {"b": [1, {"c.d": None}]}},
        resources=[{"ARN": "arn:x"}],
    )
    deliver(function, [aws.put_records([one])])
    source = engine.source("a")
    assert {name for name in source if "." in name} == {
        *(f"userIdentity.{name}" for name in one["userIdentity"]),
        "tlsDetails.tlsVersion",
    }
    assert "userIdentity" not in source
    assert source["requestParameters"] == {"a": {"b": [1, {"c.d": None}]}}
    assert source["resources"] == [{"ARN": "arn:x"}]
    assert source["raw"].encode() == text_of(one)
    assert isinstance(source["ct"], dict)
    engine.refresh()
    (hit,) = engine.search("userIdentity.userName:alice")
    assert hit["_source"] == source


def test_the_mapping_does_not_depend_on_the_data(aws: Aws, engine: TestEngine, make: Make) -> None:
    """Whatever records hold, the index has the fields of the template and no others."""
    deliver(make(), [aws.put_records([record("a")])])
    (index,) = engine.indices()
    before = engine.get(f"/{index}/_mapping")
    odd = {f"new{number}": {"a": number} for number in range(300)}
    deliver(make(), [aws.put_records([record("b", **odd), record("c", requestParameters=odd, userIdentity=odd)])])
    assert engine.get(f"/{index}/_mapping") == before
