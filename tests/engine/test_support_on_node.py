"""Every test of `audit-search support` once more on a real OpenSearch node, with the same answers."""

from __future__ import annotations

from tests.unit import test_cli_support
from tests.unit.test_cli_support import engine, samples

__all__ = ["engine", "samples"]

# By their own names, so that a test that is added there runs here without another word.
globals().update({name: each for name, each in vars(test_cli_support).items() if name.startswith("test_") and callable(each)})
