"""The settings of a pipeline that works here: exclusion rules of the option, of the environment, else of the stack's function."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from osmem_server import OsmemServer

from audit_search_cli import pipelines
from audit_search_cli.errors import Problem
from audit_search_cli.options import Invocation
from audit_search_cli.pipelines import Quarantine, exclusion_rules
from tests.support.aws import QUARANTINE, REGION, TRAIL, Aws
from tests.support.cli import deploy, deploy_function, run
from tests.support.engines import TestEngine

NOISE = json.dumps([{"name": "noise", "match": {"eventName": "Noise"}}])
ENGINE = (
    "OPENSEARCH_ENDPOINT=http://127.0.0.1:9 OPENSEARCH_AUTH=none INDEX_PREFIX=stack- RETENTION_DAYS=9999 CONFIG_RETENTION_DAYS=7"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    """moto's server."""
    with Aws() as aws:
        yield aws


@pytest.fixture
def aws(server: Aws) -> Aws:
    """AWS with buckets and a stack of Audit Search, whose function leaves noise out."""
    server.clear()
    deploy_function(server, "audit", {"EXCLUSION_RULES": NOISE}, {"CliEnvironment": ENGINE})
    deploy(server, "other", {"Queue": {"Type": "AWS::SQS::Queue"}}, {"CliEnvironment": ENGINE})
    return server


@pytest.fixture
def invocation(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Invocation:
    """A run with the stack, and nothing in its environment."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return Invocation({"stack": "audit"}, {})


def records(*names: str) -> bytes:
    """A log file of events of these names."""
    common = {"eventVersion": "1.11", "eventTime": "2026-11-03T08:15:00Z", "eventSource": "s3.amazonaws.com", "readOnly": True}
    found = [{**common, "eventName": name, "eventID": f"{name}-{number}"} for number, name in enumerate(names)]
    return gzip.compress(json.dumps({"Records": found}).encode())


def test_rules_are_those_of_the_option_then_of_the_environment_then_of_the_function(
    invocation: Invocation, tmp_path: Path
) -> None:
    """A file or a text; an environment that holds none is none."""
    file = tmp_path / "rules.json"
    file.write_text("[1]")
    environment: Mapping[str, str] = {"EXCLUSION_RULES": "[2]"}
    assert exclusion_rules(Invocation(invocation.given, environment), str(file)) == "[1]"
    assert exclusion_rules(Invocation(invocation.given, environment), " [3]") == "[3]"
    assert exclusion_rules(Invocation(invocation.given, environment)) == "[2]"
    assert exclusion_rules(Invocation(invocation.given, {"EXCLUSION_RULES": " "})) == NOISE
    assert exclusion_rules(Invocation({}, {})) == ""


def test_a_stack_without_the_function_is_refused(aws: Aws, invocation: Invocation) -> None:
    """Its rules are not known, and none would leave too little out."""
    with pytest.raises(Problem, match=r"The stack other has no CloudTrailFunction.*or give --rules"):
        exclusion_rules(Invocation({"stack": "other"}, {}))
    assert exclusion_rules(Invocation({"stack": "other"}, {}), "[]") == "[]"
    client = Invocation({}, {}).client("lambda")
    client.delete_function(FunctionName=invocation.stack.physical("CloudTrailFunction") if invocation.stack else "")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        exclusion_rules(invocation)


def test_a_job_has_the_settings_of_the_stack(invocation: Invocation, tmp_path: Path) -> None:
    """Those of both functions, each with its retention; what was given wins; everything is a replay."""
    invocation.given.update(prefix="mine-")
    job = pipelines.job(invocation, "backfill", ["b-two", "a-one", "b-two"], Quarantine(QUARANTINE, "kept/"), NOISE)
    assert job.environ == {
        "AWS_DEFAULT_REGION": REGION,
        "OPENSEARCH_ENDPOINT": "http://127.0.0.1:9",
        "OPENSEARCH_AUTH": "none",
        "INDEX_PREFIX": "mine-",
        "RETENTION_DAYS": "9999",
        "ALLOWED_BUCKETS": "a-one,b-two",
        "QUARANTINE_BUCKET": QUARANTINE,
        "QUARANTINE_PREFIX": "kept/",
        "EXCLUSION_RULES": NOISE,
        "INGEST_MODE": "replay",
    }
    assert job.config == {**job.environ, "RETENTION_DAYS": "7"}
    assert (job.folder, job.quarantine) == (None, None)
    local = pipelines.job(invocation, "backfill", ["a-one"], Quarantine(folder=tmp_path), "", tmp_path)
    assert (local.folder, local.quarantine) == (tmp_path, tmp_path)


def test_rules_of_the_stack_are_counted(aws: Aws) -> None:
    """Without any file."""
    aws.put(records("Noise", "Signal", "Noise"))
    found = run("rules", "count", f"s3://{TRAIL}", "--stack", "audit", "--output", "json", env=aws.environment)
    assert found.code == 0, found
    assert [(rule["name"], rule["records"]) for rule in found.document["rules"]] == [("noise", 2)]
    refused = run("rules", "count", f"s3://{TRAIL}", "--stack", "other", env=aws.environment)
    assert (refused.code, "has no CloudTrailFunction" in refused.line) == (2, True), refused


@pytest.mark.parametrize("command", ["backfill", "verify"])
def test_a_command_with_a_stack_that_is_another_says_so(aws: Aws, command: str) -> None:
    """Before anything is read or written."""

    refused = run(command, f"s3://{TRAIL}", "--stack", "other", env=aws.environment)
    assert (refused.code, "has no CloudTrailFunction" in refused.line) == (2, True), refused


def test_a_backfill_leaves_out_what_the_stack_leaves_out(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine may be another one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    key = "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/111122223333_CloudTrail_eu-central-1_20261103T0820Z_a.json.gz"
    aws.put(records("Noise", "Signal", "Noise"), key)
    with OsmemServer.start(japanese=False) as server:
        engine = TestEngine(server.url, real=False)
        engine.install("cloudtrail")
        to = ("--stack", "audit", "--endpoint", engine.endpoint, "--prefix", engine.prefix, "--output", "json")
        done = run("backfill", f"s3://{TRAIL}", *to, "--quarantine-bucket", QUARANTINE, env=aws.environment)
        assert (done.document["records"]["indexed"], done.document["records"]["filtered"]) == (1, 2), done
