"""Every test of `audit-search changes`, `state` and `graph` once more on a real OpenSearch node, with the same answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audit_search import index_template
from tests.support.engines import TestEngine
from tests.support.opensearch_node import OpenSearchNode
from tests.unit import test_cli_graph, test_cli_resources
from tests.unit.test_cli_graph import written

__all__ = ["written"]

# By their own names, so that a test that is added there runs here without another word; a name that both have is the graph's.
for module, mark in ((test_cli_resources, ""), (test_cli_graph, "_of_the_graph")):
    globals().update(
        {f"{name}{mark}": each for name, each in vars(module).items() if name.startswith("test_") and callable(each)}
    )


class _Node:
    """What these tests ask of a server: where it is."""

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.fixture(scope="module")
def server(node: OpenSearchNode) -> _Node:
    """The node in the place of the embedded engine."""
    return _Node(node.endpoint)


@pytest.fixture(autouse=True)
def real_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that a test makes for itself are on the node as well."""
    for module in (test_cli_resources, test_cli_graph):
        monkeypatch.setattr(module, "engine_on", _engine, raising=True)


def _engine(server: _Node) -> TestEngine:
    found = TestEngine(server.url, real=True)
    found.install("cloudtrail", *index_template.CONFIG)
    return found


@pytest.fixture(scope="module")
def samples(server: _Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """The node with every sample object."""
    found = _engine(server)
    test_cli_resources.fill_samples(found, tmp_path_factory.mktemp("files"))
    yield found
    found.remove()


@pytest.fixture(scope="module")
def engine(server: _Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """The node with the made-up account."""
    found = _engine(server)
    test_cli_resources.fill_estate(found, tmp_path_factory.mktemp("files"))
    yield found
    found.remove()
