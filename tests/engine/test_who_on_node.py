"""Every test of `audit-search who` once more on a real OpenSearch node, with the same answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audit_search import index_template
from tests.support import incidents, sessions
from tests.support.engines import TestEngine
from tests.support.opensearch_node import OpenSearchNode
from tests.support.questions import SAMPLES, fill
from tests.unit import test_cli_who
from tests.unit.test_cli_who import answer, server

__all__ = ["answer", "server"]

# By their own names, so that a test that is added there runs here without another word.
globals().update({name: each for name, each in vars(test_cli_who).items() if name.startswith("test_")})


@pytest.fixture(scope="module")
def samples(node: OpenSearchNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """The node with every sample, indexed by the way of the function."""
    found = TestEngine(node.endpoint, real=True)
    found.install("cloudtrail", *index_template.CONFIG)
    fill(found, SAMPLES, tmp_path_factory.mktemp("files"))
    yield found
    found.remove()


@pytest.fixture(scope="module")
def engine(node: OpenSearchNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """The node with the made-up account."""
    found = TestEngine(node.endpoint, real=True)
    found.install("cloudtrail", *index_template.CONFIG)
    incidents.put(found, sessions.everything(), tmp_path_factory.mktemp("files"), sessions.versions())
    yield found
    found.remove()
