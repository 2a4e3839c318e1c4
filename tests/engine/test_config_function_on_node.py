"""Every integration test of the AWS Config function once more, unchanged, on a real OpenSearch node."""

from __future__ import annotations

from tests.engine.test_function_on_node import engine
from tests.integration import test_config_function, test_config_trouble
from tests.integration.test_config_function import function, make, queue, stored
from tests.integration.test_config_trouble import front, mistaken

__all__ = ["engine", "front", "function", "make", "mistaken", "queue", "stored"]

# By their own names, so that a test that is added there runs here without another word.
for _module in (test_config_function, test_config_trouble):
    globals().update({name: each for name, each in vars(_module).items() if name.startswith("test_") and callable(each)})
