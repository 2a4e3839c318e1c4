"""What the linters say: of the template as it is written, and of what CloudFormation gets."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.building import TEMPLATE, make, tool


def cfn_lint(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("sam", "cfn-lint"), *arguments], capture_output=True, text=True, check=False)


def test_sam_accepts_the_template(tools: Path) -> None:
    """`make validate` has nothing to say against the template."""
    result = make("validate")
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_linter_message_about_the_template(tools: Path) -> None:
    """cfn-lint finds nothing, its remarks about what holds data included."""
    result = cfn_lint("--include-checks", "I", "--template", TEMPLATE)
    assert (result.returncode, result.stdout) == (0, "")


def test_no_circle_in_what_cloudformation_gets(translated: Path) -> None:
    """The translated template has no circular dependency and nothing else to complain of: some of it shows only there."""
    result = cfn_lint("--template", translated)
    assert (result.returncode, result.stdout) == (0, "")


def test_the_linter_sees_a_circle(translated: Path, tmp_path: Path) -> None:
    """The check before this one would notice: a queue that waits for the function whose events it carries is reported."""
    circular = tmp_path / "circular.json"
    text = translated.read_text("utf-8")
    queue = '"CloudTrailQueue": {'
    assert queue in text
    circular.write_text(text.replace(queue, queue + ' "DependsOn": "CloudTrailFunctionQueue",', 1), "utf-8")
    assert "E3004" in cfn_lint("--template", circular).stdout
