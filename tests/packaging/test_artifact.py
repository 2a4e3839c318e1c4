"""What `make build` puts into the layers and the function."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.building import ARCHITECTURE, ROOT, make

REQUIREMENTS = ROOT / "layers/dependencies"
MACHINES = {"x86_64": 62, "arm64": 183}
"""The processor's number in the header of an ELF file."""
PINNED = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+")


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def pins() -> dict[str, str]:
    lines = (REQUIREMENTS / "requirements.txt").read_text("utf-8").splitlines()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def installed(build: Path) -> dict[str, Distribution]:
    return {canonicalize_name(found.name): found for found in distributions(path=[str(build / "DependenciesLayer/python")])}


@pytest.fixture(scope="session")
def other_build(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make build` makes for the processor that this machine does not have."""
    other = "arm64" if ARCHITECTURE == "x86_64" else "x86_64"
    folder = tmp_path_factory.mktemp("other") / "build"
    result = make("build", f"ARCHITECTURE={other}", f"BUILD_DIR={folder}")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_our_layer_holds_our_package_and_nothing_else(build: Path) -> None:
    """The layer is the package as it is in the tree, below `python/`, with its definitions."""
    layer, source = build / "AuditSearchLayer", ROOT / "layers/audit_search/src"
    built = {name.removeprefix("python/") for name in contents(layer) if not name.endswith(".pyc")}
    assert [path.name for path in layer.iterdir()] == ["python"]
    assert built == {name for name in contents(source) if "__pycache__" not in name}
    assert "audit_search/__init__.py" in built


def test_every_distribution_in_the_layer_is_pinned_and_every_pin_is_there(build: Path) -> None:
    """The layer holds the pins of requirements.txt at their versions, and no distribution besides."""
    assert {name: found.version for name, found in installed(build).items()} == pins()


def test_the_pins_are_the_whole_closure_and_no_more(build: Path) -> None:
    """What each distribution requires is pinned at a version it accepts, and each pin is required by something."""
    found = installed(build)
    environment = {"python_version": "3.13", "python_full_version": "3.13.0", "platform_machine": ARCHITECTURE, "extra": ""}
    wanted = [Requirement(line) for line in (REQUIREMENTS / "requirements.in").read_text("utf-8").splitlines() if line]
    reached: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        assert name in found, f"{requirement} is not in the layer"
        assert requirement.specifier.contains(found[name].version), requirement
        if name not in reached:
            reached.add(name)
            wanted += [Requirement(text) for text in found[name].requires or []]
    assert reached == set(found)


def test_the_verification_brings_its_own_pins_and_no_more(build: Path) -> None:
    """What checks signatures is in its folder alone, at the versions of its requirements.txt, and in no layer."""
    lines = (ROOT / "functions/verify/requirements.txt").read_text("utf-8").splitlines()
    wanted = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    found = {canonicalize_name(one.name): one for one in distributions(path=[str(build / "VerifyFunction")])}
    assert {name: one.version for name, one in found.items()} == wanted
    assert not set(wanted) & set(installed(build))
    environment = {"python_version": "3.13", "platform_python_implementation": "CPython", "extra": ""}
    needed = [Requirement(text) for one in found.values() for text in one.requires or []]
    closure = [one for one in needed if not one.marker or one.marker.evaluate(environment)]
    assert {canonicalize_name(one.name) for one in closure} | {"cryptography"} == set(wanted)
    assert all(one.specifier.contains(found[canonicalize_name(one.name)].version) for one in closure)


def test_nothing_heavy_slips_in(build: Path) -> None:
    """Neither grpcio nor protobuf, which later clients of the engine bring along, nor simplejson, which slows this one down."""
    assert not {"grpcio", "protobuf", "simplejson", "setuptools", "pip"} & set(installed(build))
    assert sum(path.stat().st_size for path in build.rglob("*") if path.is_file()) < 100_000_000  # Lambda takes 250 MB


def test_every_module_has_its_bytecode(build: Path) -> None:
    """A cold start compiles nothing: each module has bytecode that is never checked against the time of its source."""
    modules = [path for path in build.rglob("*.py") if "/tests/" not in str(path)]
    assert modules
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        assert compiled.read_bytes()[4:8] == b"\x01\x00\x00\x00", module


def test_two_builds_are_identical(build: Path, tmp_path: Path) -> None:
    """Building the same sources again gives the same bytes, so that a deploy without a change changes nothing."""
    again = tmp_path / "build"
    result = make("build", f"ARCHITECTURE={ARCHITECTURE}", f"BUILD_DIR={again}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert contents(again) == contents(build)


def test_each_processor_gets_its_own_libraries(build: Path, other_build: Path) -> None:
    """The compiled modules are for the processor that was asked for, whatever the machine that builds."""
    other = next(name for name in MACHINES if name != ARCHITECTURE)
    for folder, architecture in ((build, ARCHITECTURE), (other_build, other)):
        libraries = list(folder.rglob("*.so"))
        assert libraries
        for library in libraries:
            assert int.from_bytes(library.read_bytes()[18:20], "little") == MACHINES[architecture], library


@pytest.mark.parametrize(
    "name",
    [
        "requirements-sam.txt",
        "requirements-lint.txt",
        "requirements-ministack.txt",
        "requirements-awscli.txt",
        "requirements-runtime.txt",
        "layers/dependencies/requirements.txt",
        "functions/verify/requirements.txt",
    ],
)
def test_pins_are_a_name_and_a_version(name: str) -> None:
    """A file of pins has nothing in it but `name==version`, once each."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    assert all(PINNED.fullmatch(line) for line in lines)
    assert len({canonicalize_name(line.split("==")[0]) for line in lines}) == len(lines)
