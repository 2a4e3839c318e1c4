"""A real OpenSearch node for the engine tests, one for the whole run."""

from __future__ import annotations

import pytest

from tests.support.opensearch_node import NodeUnavailableError, OpenSearchNode, must_be_present, shared_node


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
