"""Every integration test of the verification once more, unchanged, on a real OpenSearch node."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.integration import test_verify_function as shared
from tests.integration.test_verify_function import cloudtrail, index, trail, verify
from tests.support.engines import TestEngine
from tests.support.opensearch_node import OpenSearchNode

__all__ = ["cloudtrail", "index", "trail", "verify"]


def _tests_of(module: ModuleType) -> dict[str, Any]:
    return {name: each for name, each in vars(module).items() if name.startswith("test_") and callable(each)}


# By their own names, so that a test that is added there runs here without another word.
globals().update(_tests_of(shared))


@pytest.fixture
def engine(node: OpenSearchNode) -> Iterator[TestEngine]:
    """The node, with an index prefix of its own."""
    engine = TestEngine(node.endpoint, real=True)
    engine.install()
    yield engine
    engine.remove()
