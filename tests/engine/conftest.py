"""A real OpenSearch node for the engine tests, one for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.opensearch_node import NodeUnavailableError, OpenSearchNode, must_be_present, shared_node
from tests.support.questions import Engines


@pytest.fixture(scope="session")
def node() -> OpenSearchNode:
    """A running node. Tests share it, so each uses an index prefix of its own and none kills it."""
    try:
        return shared_node()
    except NodeUnavailableError as error:
        if must_be_present():
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def endpoint(node: OpenSearchNode) -> str:
    """The address of the node."""
    return node.endpoint


@pytest.fixture(scope="module")
def engines(node: OpenSearchNode) -> Iterator[Engines]:
    """What makes engines for questions, on the node; they are removed when a module's tests are done."""
    found = Engines(node.endpoint, real=True)
    yield found
    found.remove()
