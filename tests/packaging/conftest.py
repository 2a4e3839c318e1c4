"""What the packaging tests stand on: the tools, the template and one build of it, each made once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.building import TEMPLATE, built, load_template, tool, tools_ready


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """The template as it is written."""
    return load_template()


@pytest.fixture(scope="session")
def tools() -> Path:
    """The environments of sam, the linters, the Lambda runtime and ministack, ready; gives the folder that holds them."""
    return tools_ready()


@pytest.fixture(scope="session")
def translated(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as CloudFormation gets it, in a file."""
    python = tool("sam", "python")
    command = [python, Path(__file__).with_name("translate.py"), TEMPLATE]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    json.loads(result.stdout)
    path = tmp_path_factory.mktemp("translated") / "template.json"
    path.write_text(result.stdout, "utf-8")
    return path


@pytest.fixture(scope="session")
def build(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make build` makes for this machine's processor."""
    return built(tmp_path_factory.mktemp("build") / "build")
