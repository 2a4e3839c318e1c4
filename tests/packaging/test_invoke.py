"""Every sample event through the built function, as `make invoke` does it, and what `sam local invoke` is given for it."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from generate import CONFIG_BUCKET
from invoke import EXPECTED, PAYLOADS, outcome, running, text_of
from runs import Container, InvokeError, Runtime, container_settings
from stage import EVENTS, FUNCTIONS, Stage

from demo.inputs import samples
from demo.storage import BUCKET, QUARANTINE_BUCKET
from tests.support.building import ROOT, missing, tool
from tests.support.lambda_runtime import EmulatorError

FUNCTION = FUNCTIONS[""]
PARSE = (
    "import json, sys; from samcli.commands.local.invoke.cli import cli; "
    "print(json.dumps(cli.make_context('invoke', sys.argv[1:]).params, default=str))"
)
"""sam's own reading of a command line."""


@pytest.fixture(scope="module")
def emulated(build: Path) -> Iterator[tuple[Stage, Runtime]]:
    """The stage, and the function in AWS's emulator."""
    with ExitStack() as started:
        try:
            pair = started.enter_context(running("emulator", build))
        except EmulatorError as error:
            missing(str(error))
        yield pair


@pytest.fixture
def container(emulated: tuple[Stage, Runtime], build: Path, tmp_path: Path) -> Container:
    """What `sam local invoke` is given."""
    return Container(emulated[0], build, tmp_path)


def with_sam(program: str, *arguments: str) -> Any:
    """What a program prints as JSON, run on sam's own environment."""
    command = [str(tool("sam", "python")), "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_sample_event_has_the_expected_outcome(emulated: tuple[Stage, Runtime], name: str) -> None:
    """The answer, each document and what lies in quarantine are those that were kept; `events/invoke.py --write` keeps others."""
    assert text_of(outcome(*emulated, name)) == (EXPECTED / f"{name}.json").read_text("utf-8")


def test_every_event_has_an_expected_outcome_and_no_other_is_kept() -> None:
    """Beside each payload stands what comes of it."""
    assert sorted(path.relative_to(EXPECTED).with_suffix("").as_posix() for path in EXPECTED.rglob("*.json")) == PAYLOADS


def test_the_expected_outcomes_are_of_every_kind() -> None:
    """Documents, a summary, messages that return, an error that is raised and a pointer in quarantine are among them."""
    kept = [json.loads((EXPECTED / f"{name}.json").read_text("utf-8")) for name in PAYLOADS]
    answers = [one["answer"] for one in kept]
    assert any(answer.get("indexed") for answer in answers)
    assert any(answer.get("batchItemFailures") for answer in answers)
    assert any(answer.get("errorType") for answer in answers)
    assert any(one["quarantined"] for one in kept)
    assert any(one["documents"] for one in kept)


def test_the_commands_of_the_readme_are_right(tools: Path, template: dict[str, Any]) -> None:
    """What events/README.md says to type is what `sam` takes, and its variables are variables of the function."""
    text = (EVENTS / "README.md").read_text("utf-8")
    (command,) = re.findall(r"^sam local invoke (.*)$", text, re.MULTILINE)
    arguments = [part.replace("env.json", str(ROOT / "pyproject.toml")) for part in shlex.split(command)]  # a file that is there
    assert with_sam(PARSE, *arguments)["function_logical_id"] == FUNCTION
    (variables,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    own = template["Resources"][FUNCTION]["Properties"]["Environment"]["Variables"]
    assert set(json.loads(variables)[FUNCTION]) <= set(own)


def test_sam_takes_the_command_line(container: Container) -> None:
    """`sam local invoke` understands each option, and the files that they name are there."""
    _, local, invoke, *arguments = container.command(EVENTS / "s3_in_sqs.json")
    assert (local, invoke) == ("local", "invoke")
    taken = with_sam(PARSE, *arguments)
    assert taken["function_logical_id"] == FUNCTION
    assert Path(taken["event"]).read_text("utf-8") == (EVENTS / "s3_in_sqs.json").read_text("utf-8")
    assert Path(taken["template_file"]).exists()
    hosts = [host for pairs in taken["add_host"] for host in ([pairs] if isinstance(pairs, str) else pairs)]
    buckets = (BUCKET, CONFIG_BUCKET, QUARANTINE_BUCKET)
    assert {"host.docker.internal", *(f"{bucket}.host.docker.internal" for bucket in buckets)} == set(hosts)


@pytest.mark.parametrize("function", FUNCTIONS.values())
def test_sam_hands_every_setting_over(container: Container, emulated: tuple[Stage, Runtime], function: str) -> None:
    """What the stage needs arrives in the container's environment: sam leaves out what its template does not name."""
    program = """
import json, sys
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
stacks, _ = SamLocalStackProvider.get_stacks(sys.argv[1])
provider = SamFunctionProvider(stacks)
variables = json.loads(open(sys.argv[2]).read())
runner = LocalLambdaRunner(None, provider, ".", ".", aws_region="eu-central-1", env_vars_values=variables)
print(json.dumps(runner._make_env_vars(provider.get(sys.argv[3])).resolve()))
"""
    given = with_sam(program, str(container.template), str(container.variables), function)
    wanted = container_settings(emulated[0].settings(function), emulated[0].address)
    for name in ("AWS_ENDPOINT_URL", "OPENSEARCH_ENDPOINT", "OPENSEARCH_AUTH", "ALLOWED_BUCKETS", "QUARANTINE_BUCKET"):
        assert given[name] == wanted[name]
    assert urlsplit(given["AWS_ENDPOINT_URL"]).hostname == "host.docker.internal"
    assert given["AWS_REGION"] == wanted["AWS_REGION"]


def test_a_bucket_is_found_under_its_own_host_name(emulated: tuple[Stage, Runtime]) -> None:
    """boto3 puts the bucket's name before the name of the host, as it does for S3 itself; the local S3 reads it from there."""
    s3 = urlsplit(emulated[0].settings(FUNCTION)["AWS_ENDPOINT_URL"])
    entry = samples()[0]
    connection = http.client.HTTPConnection(s3.netloc, timeout=60)
    signed = "AWS4-HMAC-SHA256 Credential=demo/20261103/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    headers = {"Host": f"{BUCKET}.host.docker.internal:{s3.port}", "Authorization": signed}
    connection.request("GET", f"/{quote(entry.key)}", headers=headers)
    assert connection.getresponse().read() == entry.path.read_bytes()
    connection.close()


def test_without_a_container_runtime_sam_says_so(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is read and found, up to the container that cannot be started: its error is passed on."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nobody/listens/here.sock")
    monkeypatch.setenv("PATH", "/nothing")
    with pytest.raises(InvokeError, match="container runtime"):
        container.invoke(EVENTS / "s3_in_sqs.json")
