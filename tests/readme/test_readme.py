"""Every command of the README runs, in a fresh clone and in order, and the README names what there is to name."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from osmem_server import OsmemServer

from tests.deploy.deployable import known_types, leave_out_unknown, write_out
from tests.support.amazon_domain import AmazonDomain
from tests.support.building import ARCHITECTURE, ROOT, load_template, python313, tools_ready, write_template
from tests.support.ministack import ACCOUNT, Ministack
from tests.support.tls import Certificate

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    if line.strip()
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, with what is not committed yet laid over it."""
    folder = tmp_path_factory.mktemp("clone") / "audit-search"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--modified", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AmazonDomain]:
    """The reader's own domain, `audit` in the README's account, and the account around it."""
    tools_ready()
    folder = tmp_path_factory.mktemp("aws")
    certificate = Certificate.make(folder)
    with (
        OsmemServer.start() as engine,
        AmazonDomain("audit", engine.url, certificate) as domain,
        Ministack(folder, certificate, domain.host) as aws,
    ):
        domain.aws = aws
        yield domain


@pytest.fixture(scope="module")
def environment(clone: Path, domain: AmazonDomain, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a reader has: an AWS account (a stand-in) with a domain, and sam."""
    assert domain.aws
    # The reader's own environment, without what this run of the tests has put into it, and without an account.
    ours = ("MAKE", "MFLAGS", "PYTEST", "PYTHONPATH", "VIRTUAL_ENV", "AWS_", "OPENSEARCH_")
    reader = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **reader,
        "PATH": f"{clone / '.tools/sam/bin'}{os.pathsep}{os.environ['PATH']}",
        "__SAM_CLI_APP_DIR": str(tmp_path_factory.mktemp("sam")),
        "PYTHON313": python313(),
        "ARCHITECTURE": ARCHITECTURE,  # what is deployed here runs here
        "SAM_CLI_TELEMETRY": "0",
        "AUDIT_SEARCH_IN_README": "1",
        **domain.aws.environment,
    }


def as_the_reader_types_it(command: str, domain: AmazonDomain) -> str:
    """With the reader's own domain and processor."""
    own = command.replace("https://search-audit-abc.eu-central-1.es.amazonaws.com", domain.endpoint)
    return own.replace("sam deploy --parameter-overrides", f"sam deploy --parameter-overrides Architecture={ARCHITECTURE}")


def fit_for_the_stand_in(built: Path, command: str, region: str) -> None:
    """Write out in a built template what the stand-in for AWS does not work out by itself."""
    template = load_template(built)
    leave_out_unknown(template, known_types())
    given = [word.partition("=") for word in shlex.split(command) if "=" in word]
    write_out(template, {name: value for name, _, value in given}, region, ACCOUNT)
    write_template(template, built)


def test_the_readme_has_its_commands() -> None:
    """The two commands of a newcomer come first."""
    assert COMMANDS[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, clone: Path, domain: AmazonDomain, environment: dict[str, str]) -> None:
    """A command of the README ends well."""
    typed = as_the_reader_types_it(command, domain)
    if typed.startswith("sam deploy"):
        fit_for_the_stand_in(clone / ".aws-sam/build/template.yaml", typed, domain.region)
    own = {"AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"} if command.startswith("make") else set()
    result = subprocess.run(
        ["bash", "-euc", typed],
        cwd=clone,
        env={name: value for name, value in environment.items() if name not in own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-6_000:]}\n{result.stderr[-6_000:]}"


def test_every_setting_is_in_the_readme() -> None:
    """Each variable that the settings read has its row."""
    source = (ROOT / "layers/audit_search/src/audit_search/settings.py").read_text("utf-8")
    names = set(re.findall(r'"([A-Z][A-Z_]+[A-Z])"', source))
    assert {name for name in names if f"`{name}`" not in README} == set()


def test_links_lead_somewhere() -> None:
    """Each relative link is a file or folder of the project."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
