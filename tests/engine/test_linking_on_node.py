"""Every integration test of the linking once more, unchanged, on a real OpenSearch node."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.integration import test_linking as shared
from tests.integration.test_linking import function
from tests.support.config_world import World
from tests.support.engines import TestEngine
from tests.support.linked_world import LinkedWorld
from tests.support.opensearch_node import OpenSearchNode

__all__ = ["function"]


def _tests_of(module: ModuleType) -> dict[str, Any]:
    return {name: each for name, each in vars(module).items() if name.startswith("test_") and callable(each)}


# By their own names, so that a test that is added there runs here without another word.
globals().update(_tests_of(shared))


@pytest.fixture
def linked(node: OpenSearchNode) -> Iterator[LinkedWorld]:
    """The node, with an index prefix of its own."""
    world = LinkedWorld(World(TestEngine(node.endpoint, real=True)))
    yield world
    world.remove()
