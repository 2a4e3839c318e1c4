"""Every integration test of the AWS Config function once more, unchanged, on a real OpenSearch node."""

from __future__ import annotations

from tests.engine.test_function_on_node import engine
from tests.integration import test_config_function as shared
from tests.integration.test_config_function import function, make, stored

__all__ = ["engine", "function", "make", "stored"]

# By their own names, so that a test that is added there runs here without another word.
globals().update({name: each for name, each in vars(shared).items() if name.startswith("test_") and callable(each)})
