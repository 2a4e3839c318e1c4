"""Every test of `audit-search quarantine replay` once more on a real OpenSearch node: documents are those of direct delivery."""

from __future__ import annotations

from tests.unit import test_cli_replay
from tests.unit.test_cli_replay import aws, engine, make, server

__all__ = ["aws", "engine", "make", "server"]

# By their own names, so that a test that is added there runs here without another word.
globals().update({name: each for name, each in vars(test_cli_replay).items() if name.startswith("test_")})
