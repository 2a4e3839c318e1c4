"""The engine of the integration tests: osmem. The tests of the function run once more on a real node, in `tests/engine`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from osmem_server import OsmemServer

from tests.support.engines import TestEngine


@pytest.fixture
def engine() -> Iterator[TestEngine]:
    """An embedded engine, empty but for the index template."""
    with OsmemServer.start(japanese=False) as server:
        engine = TestEngine(server.url, real=False)
        engine.install()
        yield engine
