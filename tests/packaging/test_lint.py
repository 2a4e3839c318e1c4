"""What the linters say: of the template as it is written, and of what CloudFormation gets."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.building import ALARMS, COLLECTOR, ROOT, TEMPLATE, load_template, make, tool

NO_TRACES = "its log lines and metrics say what each object cost; traces would need one more permission and tell no more"
STREAM_ONLY = "a queue has no such destination, only a stream has; the queue's RedrivePolicy keeps what fails"
ITSELF = "it is a dead-letter queue itself"
OWN_LOG = "its LoggingConfig names a log group that has an end; the rule knows only groups that are named after the function"
ACCEPTED: dict[tuple[str, str], str] = {
    ("WS1000", "CloudTrailFunction"): NO_TRACES,
    ("WS1000", "ConfigFunction"): NO_TRACES,
    ("WS1000", "SetupFunction"): NO_TRACES,
    ("WS1000", "WatchFunction"): NO_TRACES,
    ("WS1000", "VerifyFunction"): NO_TRACES,
    ("WS1004", "CloudTrailFunction"): OWN_LOG,
    ("WS1004", "ConfigFunction"): OWN_LOG,
    ("WS1004", "SetupFunction"): OWN_LOG,
    ("WS1004", "WatchFunction"): OWN_LOG,
    ("WS1004", "VerifyFunction"): OWN_LOG,
    ("WS1000", "CausesFunction"): NO_TRACES,
    ("WS1004", "CausesFunction"): OWN_LOG,
    ("ES1001", "CloudTrailEventSource"): STREAM_ONLY,
    ("ES1001", "ConfigEventSource"): STREAM_ONLY,
    (
        "ES1007",
        "BucketInvokesFunction",
    ): "SAM makes the EventInvokeConfig of the alias from the function's own, which the rule does not see",
    (
        "ES4000",
        "WatchFunction",
    ): "an event that does not arrive is followed by the next one, and an alarm takes missing figures for the worst",
    ("ES4000", "CausesFunction"): "an event that does not arrive is followed by the next one, which does the work of both",
    ("ES4000", "VerifyFunction"): "an event that does not arrive is followed by the next one, and an alarm says when none did",
    ("ES6000", "CloudTrailDeadLetterQueue"): ITSELF,
    ("ES6000", "ConfigDeadLetterQueue"): ITSELF,
    ("ES7000", "AlertMail"): "what a mail that bounces said is in the index of alerts; its address is confirmed by a person",
    ("ES7000", "AlarmMail"): "what a mail that bounces said is still the alarm's state; its address is confirmed by a person",
}
"""What cfn-lint-serverless says of the template, by rule and resource, and why it stays so. No more and no less than this."""
SKIP = re.compile(r"checkov:skip=(CKV\w+)(.*)")


def cfn_lint(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("sam", "cfn-lint"), *arguments], capture_output=True, text=True, check=False)


def checkov(template: Path) -> dict[str, Any]:
    """What checkov finds, without asking anything of the network."""
    options = ("--framework", "cloudformation", "--skip-download", "--output", "json", "--file", str(template))
    command = [str(tool("lint", "checkov")), *options]
    result = subprocess.run(command, cwd=template.parent, capture_output=True, text=True, check=False)
    assert result.stdout.startswith("{"), result.stdout + result.stderr
    found: dict[str, Any] = json.loads(result.stdout)["results"]
    assert found["parsing_errors"] == []
    assert found["passed_checks"]
    return found


def test_sam_accepts_the_template(tools: Path) -> None:
    """`make validate` has nothing to say against the template."""
    result = make("validate")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", [TEMPLATE, COLLECTOR, ALARMS], ids=lambda path: path.name)
def test_no_linter_message_about_the_template(tools: Path, path: Path) -> None:
    """cfn-lint finds nothing, its remarks about what holds data included."""
    result = cfn_lint("--include-checks", "I", "--template", path)
    assert (result.returncode, result.stdout) == (0, "")


def test_no_circle_in_what_cloudformation_gets(translated: Path) -> None:
    """The translated template has no circular dependency and nothing else to complain of: some of it shows only there."""
    result = cfn_lint("--template", translated)
    assert (result.returncode, result.stdout) == (0, "")


def test_the_linter_sees_a_circle(translated: Path, tmp_path: Path) -> None:
    """The check before this one would notice: a queue that waits for the function whose events it carries is reported."""
    circular = tmp_path / "circular.json"
    text = translated.read_text("utf-8")
    queue, source = '"CloudTrailQueue": {', "CloudTrailEventSource"
    assert queue in text
    assert f'"{source}"' in text
    circular.write_text(text.replace(queue, f'{queue} "DependsOn": "{source}",', 1), "utf-8")
    assert "E3004" in cfn_lint("--template", circular).stdout


def test_no_message_about_a_serverless_application(tools: Path) -> None:
    """cfn-lint-serverless says of the template what is accepted with a reason, nothing else, and nothing that is over."""
    options = ("--append-rules", "cfn_lint_serverless.rules", "--format", "json", "--template", str(TEMPLATE))
    command = [str(tool("lint", "cfn-lint")), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    said = {(found["Rule"]["Id"], found["Location"]["Path"][1]): found["Message"] for found in json.loads(result.stdout)}
    assert said == {key: said.get(key) for key in ACCEPTED}


@pytest.mark.parametrize("path", [TEMPLATE, COLLECTOR, ALARMS], ids=lambda path: path.name)
def test_no_failed_check_of_checkov(tools: Path, path: Path) -> None:
    """checkov finds nothing in the template but what its lines skip."""
    found = checkov(path)
    assert [(check["check_id"], check["resource"]) for check in found["failed_checks"]] == []
    assert len(found["skipped_checks"]) == len(SKIP.findall(path.read_text("utf-8")))


def test_checkov_sees_an_open_bucket(tools: Path, tmp_path: Path) -> None:
    """The check before this one would notice: a bucket that policies may make public is reported."""
    text = TEMPLATE.read_text("utf-8")
    assert "BlockPublicPolicy: true" in text
    opened = tmp_path / "template.yaml"
    opened.write_text(text.replace("BlockPublicPolicy: true", "BlockPublicPolicy: false"), "utf-8")
    assert "CKV_AWS_54" in {check["check_id"] for check in checkov(opened)["failed_checks"]}


def test_every_skip_has_a_reason() -> None:
    """Whoever leaves a check out says why, in a sentence on the line or in the table."""
    text = TEMPLATE.read_text("utf-8") + COLLECTOR.read_text("utf-8")
    reasons = [reason for _, reason in SKIP.findall(text)]
    assert reasons
    for reason in [*reasons, *(f": {one}" for one in ACCEPTED.values())]:
        assert re.fullmatch(r": \S+( \S+){3,}", reason), reason
    assert "cfn-lint:" not in text, "a check that cfn-lint leaves out has no place for its reason"


def test_the_profiles_of_samconfig_are_sound(tools: Path) -> None:
    """Both profiles have options that `sam` knows, and the values that are shown there are parameters that take them."""
    text = (ROOT / "samconfig.toml").read_text("utf-8")
    shown = re.sub(r"^# (?=parameter_overrides|  \"|\])", "", text, flags=re.MULTILINE)  # the example, no comment any more
    profiles = tomllib.loads(shown)
    assert set(tomllib.loads(text)) == set(profiles) == {"version", "default", "guided"}
    parameters = load_template()["Parameters"]
    named = 0
    for profile in ("default", "guided"):
        for command, settings in profiles[profile].items():
            assert set(settings["parameters"]) <= known_options(command), (profile, command)
            for override in settings["parameters"].get("parameter_overrides", []):
                name, _, value = override.partition("=")
                assert re.search(parameters[name].get("AllowedPattern", ""), value), override
                named += 1
    assert named, "the example is gone"


def known_options(command: str) -> set[str]:
    """The options of a command of sam's; those that every command has for `global`."""
    module = {"global": "deploy.command", "deploy": "deploy.command", "validate": "validate.validate"}[command]
    program = f"from samcli.commands.{module} import cli; print(*(option.name for option in cli.params))"
    return set(subprocess.run([tool("sam", "python"), "-c", program], capture_output=True, text=True, check=True).stdout.split())
