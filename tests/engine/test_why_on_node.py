"""Every test of `audit-search why` once more on a real OpenSearch node, with the same answers."""

from __future__ import annotations

from tests.unit import test_cli_why
from tests.unit.test_cli_why import engine

__all__ = ["engine"]

# By their own names, so that a test that is added there runs here without another word.
globals().update({name: each for name, each in vars(test_cli_why).items() if name.startswith("test_")})
