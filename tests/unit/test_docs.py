"""What the documents say is what the code does."""

from __future__ import annotations

import re

from audit_search.objects import OUTCOMES
from tests.support.building import ROOT

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_table_of_object_outcomes_is_the_codes() -> None:
    """Each code has its row, with what happens to the message."""
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| .* \| (quarantine|return) \|$", ARCHITECTURE, re.MULTILINE)
    assert dict(rows) == {code: action.value for code, action in OUTCOMES.items()}


def test_every_module_of_the_pipeline_is_explained() -> None:
    """A newcomer finds each module of the package by its name."""
    package = ROOT / "layers/audit_search/src/audit_search"
    paths = (path.relative_to(package).with_suffix("") for path in package.rglob("*.py") if path.name != "__init__.py")
    unnamed = {name for name in (".".join(path.parts) for path in paths) if f"`{name}`" not in ARCHITECTURE}
    assert unnamed == set()
