"""The project's own `make` verbs and template, for the tests of what is deployed."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.lambda_runtime import free_port as free_port

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
COLLECTOR = ROOT / "collector.template.yaml"
ALARMS = ROOT / "alarms.template.yaml"
ARCHITECTURE = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine().lower()]
"""This machine's processor, as Lambda names it: what is built for it can be run here."""


def missing(reason: str) -> NoReturn:
    """A part that only this machine can provide is not there: an error in CI, a skip with what to install elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `make` in the project, as a person would: nothing of a `make` around the tests reaches it."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    }
    return subprocess.run(
        ["make", "--silent", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def python313() -> str:
    """The Python that builds and runs the function; where there is none, the one line that says what to install."""
    found = make("python313")
    for line in found.stderr.splitlines():
        if line.startswith("Python 3.13 is needed"):
            missing(line)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def tools_ready() -> Path:
    """The environments of sam, the linters, the Lambda runtime and ministack, ready; gives the folder that holds them."""
    python313()
    ready = make("tools-ready")
    assert ready.returncode == 0, ready.stdout + ready.stderr
    return ROOT / ".tools"


def built(folder: Path) -> Path:
    """What `make build` makes for this machine's processor, in `folder`; the tools have to be ready."""
    result = make("build", f"ARCHITECTURE={ARCHITECTURE}", f"BUILD_DIR={folder}")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def tool(environment: str, program: str) -> Path:
    """A program of one of the environments in `.tools`."""
    return ROOT / ".tools" / environment / "bin" / program


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short functions, which become their long form: `!Ref x` is `{"Ref": "x"}`."""


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def load_template(path: Path = TEMPLATE) -> dict[str, Any]:
    """A template with every function in its long form."""
    loaded: dict[str, Any] = yaml.load(path.read_text("utf-8"), Loader=_Loader)
    return loaded


def write_template(template: dict[str, Any], path: Path) -> None:
    """Write what `load_template` gave."""
    path.write_text(yaml.safe_dump(template, sort_keys=False), "utf-8")
