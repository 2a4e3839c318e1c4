"""What the command takes from a deployed stack, and what wins over it."""

from __future__ import annotations

from typing import Any

import pytest

from audit_search_cli import stack
from audit_search_cli.errors import Problem
from audit_search_cli.options import Invocation
from tests.support.aws import ENVIRONMENT, Aws
from tests.support.cli import ScriptedEngine, deploy, run


def reading(aws: Aws, monkeypatch: pytest.MonkeyPatch, **given: Any) -> Invocation:
    """A run of the command that reads from the stand-in."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return Invocation(given=given)


def test_outputs_and_resources_are_read(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resources by their logical ids, outputs by their keys."""
    deploy(aws, "one", {"CloudTrailQueue": {"Type": "AWS::SQS::Queue"}}, {"CloudTrailQueueUrl": {"Ref": "CloudTrailQueue"}})
    found = reading(aws, monkeypatch, stack="one").stack
    assert found is not None
    assert found.status == "CREATE_COMPLETE"
    assert found.physical("CloudTrailQueue") == found.outputs["CloudTrailQueueUrl"]
    assert found.of_type("AWS::SQS::Queue") == {"CloudTrailQueue": found.physical("CloudTrailQueue")}
    assert found.physical("Nothing") == ""


def test_an_option_wins_over_the_environment_and_that_over_the_stack(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not given anywhere else comes from the stack; an endpoint of the environment that differs is said."""
    given = "OPENSEARCH_ENDPOINT=https://stack.example\nINDEX_PREFIX=stack-\nSHARDS=3 REFRESH_INTERVAL='30s'"
    deploy(aws, "two", {"CloudTrailQueue": {"Type": "AWS::SQS::Queue"}}, {"CliEnvironment": given})
    monkeypatch.setenv("OPENSEARCH_ENDPOINT", "https://environment.example")
    monkeypatch.setenv("SHARDS", "2")
    monkeypatch.setenv("REFRESH_INTERVAL", "")
    settings = reading(aws, monkeypatch, stack="two", shards="1").settings
    assert settings["OPENSEARCH_ENDPOINT"] == "https://environment.example"
    assert (settings["INDEX_PREFIX"], settings["SHARDS"], settings["REFRESH_INTERVAL"]) == ("stack-", "1", "30s")
    assert "wins over that of the stack (https://stack.example)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ("A=1 B=2", {"A": "1", "B": "2"}),
        ("'A=1,two words,' B=2", {"A": "1,two words,", "B": "2"}),
        ("A=1\nB=x=y\n\n", {"A": "1", "B": "x=y"}),
        ("A= B='two words' C=\"it's\"", {"A": "", "B": "two words", "C": "it's"}),
        ("WRITER_ROLE_ARNS=arn:aws:iam::123456789012:role/a,arn:aws:iam::123456789012:role/b", None),
    ],
)
def test_the_output_is_read_as_a_shell_reads_it(text: str, settings: dict[str, str] | None) -> None:
    """Newlines and spaces separate, quotes keep a value together."""
    if settings is None:
        name, _, value = text.partition("=")
        settings = {name: value}
    assert stack.parse_environment(text) == settings


@pytest.mark.parametrize("text", ["A", "a=1", "=1", "A='1", "A=1 rm -rf /"])
def test_an_output_of_another_shape_is_refused(text: str) -> None:
    """One clear error, and no part of it is taken."""
    with pytest.raises(Problem, match="CliEnvironment"):
        stack.parse_environment(text)


def test_a_stack_that_is_not_there_is_wrong_use(aws: Aws) -> None:
    """With a hint that the region may be another one."""
    wrong = run("doctor", "--stack", "absent", env=aws.environment)
    assert wrong.code == 2
    assert "absent does not exist" in wrong.line
    assert "--region" in wrong.line


def test_expired_credentials_are_named_as_such() -> None:
    """The remedy is to sign in again."""
    said = (
        "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>"
        "<Message>The security token included in the request is expired</Message></Error></ErrorResponse>"
    )
    with ScriptedEngine(lambda _asked: (403, said)) as server:
        expired = run("doctor", "--stack", "any", env={**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint})
    assert expired.code == 3
    assert (
        "ExpiredToken: The security token included in the request is expired. The credentials have expired: sign in"
        in expired.line
    )


def test_an_aws_that_cannot_be_reached_is_no_stack_trace() -> None:
    """It is one line and exit code 3."""
    gone = run("doctor", "--stack", "any", env={**ENVIRONMENT, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert gone.code == 3
    assert "AWS cannot be reached" in gone.line


def test_a_stack_trace_comes_with_debug_only() -> None:
    """The one line is the last one then."""
    wrong = run("doctor", "--debug", "--endpoint", "nothing")
    assert "Traceback (most recent call last)" in wrong.err
    assert wrong.err.splitlines()[-1].startswith("Error: ")


OUTPUTS = {"DashboardsUrl": "https://search.example/_dashboards", "KeptAfterDelete": "bucket \u202ered"}


def test_all_outputs_are_shown(aws: Aws) -> None:
    """A table for people without what a terminal would obey, a document for programs."""
    deploy(aws, "shown", {"CloudTrailQueue": {"Type": "AWS::SQS::Queue"}}, OUTPUTS)
    env = aws.environment
    text = run("outputs", "--stack", "shown", env=env)
    assert text.code == 0
    assert "DashboardsUrl" in text.out
    assert "\u202e" not in text.out
    assert run("outputs", "--stack", "shown", "--output", "json", env=env).document == OUTPUTS


def test_one_output_is_a_line(aws: Aws) -> None:
    """A value by its name, for a script."""
    deploy(aws, "line", {"CloudTrailQueue": {"Type": "AWS::SQS::Queue"}}, OUTPUTS)
    assert run("outputs", "DashboardsUrl", "--stack", "line", env=aws.environment).out == "https://search.example/_dashboards\n"


def test_an_output_that_is_not_there_is_said(aws: Aws) -> None:
    """With the names of those that are; and a stack has to be named."""
    deploy(aws, "less", {"CloudTrailQueue": {"Type": "AWS::SQS::Queue"}}, OUTPUTS)
    missing = run("outputs", "Nothing", "--stack", "less", env=aws.environment)
    assert missing.code == 2
    assert missing.line == "The stack less has no output Nothing. It has DashboardsUrl, KeptAfterDelete."
    unnamed = run("outputs", env=aws.environment)
    assert (unnamed.code, unnamed.line) == (2, "No stack is named. Name it with --stack NAME.")
