"""The verdicts of `audit-search verify` are those of `aws cloudtrail validate-logs` on the same chain, damaged in each way."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.aws import REGION, Aws
from tests.support.building import tool
from tests.support.cli import run
from tests.support.digest_chains import DAMAGES, CloudTrail, Trail, a_trail, some

SINCE, UNTIL = "2026-11-03T08:00:00Z", "2026-11-03T23:00:00Z"
_LINE = re.compile(r"(?:\(backfill\) )?(Digest|Log) file\ts3://[^/]+/(\S+)\t(?:(valid)|INVALID: .*)")


@dataclass(frozen=True)
class Verdicts:
    """The keys of what is invalid, and how many digests and log files are valid."""

    digests: frozenset[str]
    files: frozenset[str]
    valid_digests: int
    valid_files: int
    right: bool


@pytest.fixture
def cloudtrail() -> Iterator[CloudTrail]:
    """Who knows the public keys and the trail."""
    with CloudTrail() as cloudtrail:
        yield cloudtrail


@pytest.fixture
def environment(aws: Aws, cloudtrail: CloudTrail) -> dict[str, str]:
    """What both programs take for AWS."""
    return {**aws.environment, "AWS_ENDPOINT_URL_CLOUDTRAIL": cloudtrail.endpoint}


def theirs(environment: dict[str, str], arn: str) -> Verdicts:
    """What the AWS CLI says."""
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "PATH": os.environ["PATH"]}
    command = [str(tool("awscli", "aws")), "cloudtrail", "validate-logs", "--trail-arn", arn, "--verbose", "--region", REGION]
    command += ["--start-time", SINCE, "--end-time", UNTIL]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**nothing, **environment}, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    said = _LINE.findall(done.stdout + done.stderr)
    assert said, done
    bad = {kind: frozenset(key for name, key, valid in said if name == kind and not valid) for kind in ("Digest", "Log")}
    valid = {kind: sum(name == kind and bool(valid) for name, _, valid in said) for kind in ("Digest", "Log")}
    return Verdicts(bad["Digest"], bad["Log"], valid["Digest"], valid["Log"], done.returncode == 0)


def ours(environment: dict[str, str]) -> Verdicts:
    """What the command says."""
    arguments = ("--since", SINCE, "--until", UNTIL, "--no-index", "--output", "json")
    found = run("verify", "s3://trail-bucket", *arguments, env=environment)
    said = json.loads(found.out)
    assert found.code == (0 if said["right"] else 1)
    return Verdicts(
        frozenset(bad["key"] for bad in said["bad_digests"]),
        frozenset(bad["key"] for bad in said["bad_files"]),
        said["digests"]["valid"],
        said["files"]["right"],
        said["right"],
    )


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_has_the_same_verdicts(aws: Aws, environment: dict[str, str], cloudtrail: CloudTrail, damage: str) -> None:
    """The same digests and log files are invalid, and as many are valid."""
    trail = a_trail(aws)
    DAMAGES[damage][0](trail)
    found = ours(environment)
    assert not found.right
    assert found == theirs(environment, cloudtrail.arn)


def _late(trail: Trail) -> None:
    trail.late(some(2, "late-a"))
    trail.hour(some(1, "later"))
    trail.late(some(2, "late-b"))


def _late_removed(trail: Trail) -> None:
    _late(trail)
    trail.remove(trail.backfills[0])


def _late_without_its_time(trail: Trail) -> None:
    key = trail.late(some(1, "late"))
    metadata = {name: value for name, value in trail.metadata(key).items() if not name.startswith("backfill")}
    trail.aws.put(trail.body(key), key, Metadata=metadata)


def _stopped(trail: Trail) -> None:
    trail.stop(3)
    trail.hour(some(1, "after"))


def _another_key(trail: Trail) -> None:
    trail.key = 1
    trail.hour(some(1, "forged"))


def _copied(trail: Trail) -> None:
    trail.digest(trail.begin.replace(hour=15), [], digestS3Bucket="another-bucket")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("change", "right"),
    [
        (lambda trail: None, True),
        (_late, True),
        (_stopped, True),
        (_late_removed, False),
        (_late_without_its_time, False),
        (_another_key, False),
        (_copied, False),
    ],
    ids=["intact", "late", "stopped", "late removed", "late without its time", "another key", "of another bucket"],
)
def test_chains_of_each_kind_have_the_same_verdicts(
    aws: Aws, environment: dict[str, str], cloudtrail: CloudTrail, change: Callable[[Trail], None], right: bool
) -> None:
    """Both chains, a trail that was stopped, a foreign key, a digest of another bucket."""
    change(a_trail(aws))
    found = ours(environment)
    assert found.right is right
    assert found == theirs(environment, cloudtrail.arn)


@pytest.mark.usefixtures("tools")
def test_in_two_things_the_command_is_stricter(aws: Aws, environment: dict[str, str], cloudtrail: CloudTrail) -> None:
    """A digest that is signed, but is not the one that its successor names, and a gzip stream without its checksum are valid for
    the AWS CLI."""
    trail = a_trail(aws, hours=1)
    trail.hour(some(1, "x"))
    trail.stop(0)
    trail.digest(trail.begin.replace(hour=9), [])
    trail.replace(trail.files[-1], trail.body(trail.files[-1])[:-8])
    assert theirs(environment, cloudtrail.arn).right
    found = ours(environment)
    assert (found.digests, found.files) == (frozenset({trail.digests[0]}), frozenset({trail.files[-1]}))


def test_the_tools_are_where_they_are_looked_for(tools: Path) -> None:
    """Otherwise nothing was compared."""
    assert Path(tool("awscli", "aws")).is_relative_to(tools)
