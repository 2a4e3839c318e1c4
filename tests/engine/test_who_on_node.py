"""Every test of `audit-search who` once more on a real OpenSearch node, with the same answers."""

from __future__ import annotations

from tests.unit import test_cli_who
from tests.unit.test_cli_who import answer, engine, estate_engine, samples

__all__ = ["answer", "engine", "estate_engine", "samples"]

# By their own names, so that a test that is added there runs here without another word.
globals().update({name: each for name, each in vars(test_cli_who).items() if name.startswith("test_")})
