"""Every test of `audit-search changes`, `state` and `graph` once more on a real OpenSearch node, with the same answers."""

from __future__ import annotations

from tests.unit import test_cli_graph, test_cli_resources
from tests.unit.test_cli_graph import written
from tests.unit.test_cli_resources import engine, samples

__all__ = ["engine", "samples", "written"]

# By their own names, so that a test that is added there runs here without another word; a name that both have is the graph's.
for module, mark in ((test_cli_resources, ""), (test_cli_graph, "_of_the_graph")):
    globals().update(
        {f"{name}{mark}": each for name, each in vars(module).items() if name.startswith("test_") and callable(each)}
    )
