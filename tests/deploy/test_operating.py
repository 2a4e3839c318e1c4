"""A deployed stack is operated by the command itself, as a process: it finds everything by the stack's name.

One stack for the whole module, which takes CloudTrail and AWS Config; each test has records of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from osmem_server import OsmemServer

from tests.deploy.channels import Channel, audible, found, sample
from tests.deploy.conftest import Account, of, running
from tests.deploy.stacks import Stack
from tests.deploy.test_verification import Storage
from tests.deploy.trails import Trail
from tests.support import digest_chains
from tests.support.amazon_domain import AmazonDomain
from tests.support.aws import record
from tests.support.digest_chains import CloudTrail
from tests.support.ministack import ACCOUNT, REGION

COMMAND = Path(sys.executable).with_name("audit-search")
CONFIG_HISTORY = "ConfigHistory"
LOOKS = ("cloudformation", "cloudwatch", "lambda", "sns", "events", "logs", "ec2", "iam", "sts", "cloudtrail", "config")
"""Services of which an operator reads what the stack has there."""
RIGHTS = (
    *("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "sqs:*", "es:ESHttp*"),
    *(f"{service}:{verb}*" for service in LOOKS for verb in ("Describe", "Get", "List")),
)


@dataclass
class World:
    """A stack, what is delivered to it, and the environment of a person who operates it."""

    stack: Stack
    trail: Trail
    channel: Channel
    chain: digest_chains.Trail
    environment: dict[str, str]
    expected: dict[str, int] = field(default_factory=dict)

    def run(self, *arguments: str, code: int = 0) -> Any:
        """Run the command and give its JSON document. Raises AssertionError for another exit code."""
        given = [str(COMMAND), *arguments, "--stack", self.stack.name, "--output", "json"]
        done = subprocess.run(given, env=self.environment, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
        return json.loads(done.stdout)

    def text(self, *arguments: str) -> str:
        """Run the command and give what it says to people."""
        given = [str(COMMAND), *arguments, "--stack", self.stack.name]
        return subprocess.run(given, env=self.environment, capture_output=True, text=True, check=False, timeout=600).stdout

    def deliver(self, *names: str, count: int = 2, bad: bool = False) -> list[str]:
        """An hour of the trail: a log file for each name, with so many events of that name; gives their keys."""
        before = len(self.chain.files)
        self.chain.hour(*([*self._events(name, count), *(["no record"] if bad else [])] for name in names))
        return self.chain.files[before:]

    def _events(self, name: str, count: int) -> list[dict[str, Any]]:
        self.expected[name] = count
        return [record(f"{name}-{number}", eventName=name) for number in range(count)]

    def until(self) -> str:
        """The end of the last hour that has a digest."""
        return f"{self.chain.begin + timedelta(hours=len(self.chain.digests)):%Y-%m-%dT%H:%M:%SZ}"

    def announce(self, *keys: str) -> None:
        """The trail's message about objects; returns when the function is done with them."""
        self.trail.announce(*keys)
        self.stack.quiet()

    def modes(self, name: str) -> list[str]:
        """How the events of a name were indexed; each of them is there once."""
        documents = self.stack.documents(name)
        assert sorted(one["_id"] for one in documents) == [f"{name}-{number}" for number in range(self.expected[name])]
        return sorted({one["_source"]["ct"]["ingestMode"] for one in documents})


def operator(account: Account) -> dict[str, str]:
    """The credentials of a role that may operate the stack, and change nothing of it."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    iam = account.aws.client("iam")
    role = iam.create_role(
        RoleName="operator", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    statement = {"Effect": "Allow", "Action": list(RIGHTS), "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="operator", PolicyName="operate", PolicyDocument=policy)
    lent = account.aws.client("sts").assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="operating")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": lent["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": lent["SecretAccessKey"],
        "AWS_SESSION_TOKEN": lent["SessionToken"],
    }


@pytest.fixture(scope="module")
def account(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account with nothing else in it: ministack counts the errors of every function for an alarm, whatever its dimensions."""
    with running(build, tmp_path_factory.mktemp("operated")) as account:
        yield account


@pytest.fixture(scope="module")
def world(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The stack, with an empty engine, and a trail whose last hours are over."""
    aws = account.aws
    with (
        OsmemServer.start() as engine,
        AmazonDomain("operating", engine.url, account.certificate) as domain,
        CloudTrail(bucket="operating-trail") as cloudtrail,
    ):
        domain.aws = aws
        trail = Trail.make(aws, "operating-trail")
        channel = Channel.make(aws, "operating-config", REGION)
        parameters = {**of(domain, trail), "ConfigTopicArns": ",".join(channel.topics), "ConfigBucketNames": channel.bucket}
        stack = account.deployer.create("operating", parameters, engine.url, vary=audible)
        begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=12)
        storage: Any = Storage(aws)
        chain = digest_chains.Trail(storage, bucket=trail.bucket, region=REGION, begin=begin)
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path_factory.mktemp("home")),
            **aws.environment,
            **operator(account),
            "AWS_ENDPOINT_URL_CLOUDTRAIL": cloudtrail.endpoint,
        }
        yield World(stack, trail, channel, chain, own)
        account.deployer.delete(stack)


def test_the_stack_is_looked_at_by_its_name(world: World) -> None:
    """The doctor has no error to report, and the status knows queues, quarantine and the newest event."""
    world.announce(*world.deliver("Told"))
    assert world.modes("Told") == ["live"]
    looked = world.run("doctor")
    assert looked["counts"]["error"] == 0
    assert world.stack.name in world.text("status")


def test_quarantine_is_listed_shown_and_tried_again(world: World) -> None:
    """An object that was not there is read once it is; a record that is none stays, and nothing is kept twice."""
    bad, late = world.deliver("Bad", "Late", bad=True)
    client = world.stack.client("s3")
    body = client.get_object(Bucket=world.trail.bucket, Key=late)["Body"].read()
    client.delete_object(Bucket=world.trail.bucket, Key=late)
    world.announce(bad, late)
    listed = world.run("quarantine", "list")
    sources = {one["source"]: (one["file"], one["types"]) for one in listed["shown"]}
    file, types = sources[f"s3://{world.trail.bucket}/{late}"]
    assert types == {"gone": 1}
    assert world.run("quarantine", "show", file)["entries"][0]["key"] == late
    assert "not_an_object" in world.text("quarantine", "list", "--by", "type")
    client.put_object(Bucket=world.trail.bucket, Key=late, Body=body)
    tried = world.run("quarantine", "replay", "--all", code=1)
    assert tried["files"]["emptied"] == 0
    assert tried["files"]["smaller"] + tried["files"]["unchanged"] == 2
    assert tried["entries"]["tried"] == 2
    assert tried["objects_read_again"]["indexed"] == 2, json.dumps(tried)
    assert world.modes("Late") == ["replay"]
    assert world.modes("Bad") == ["live"]
    kept = [entry for key in world.stack.quarantined() for entry in world.run("quarantine", "show", key)["entries"]]
    assert sorted((entry["key"], entry["raw"]) for entry in kept) == sorted([(bad, '"no record"'), (late, '"no record"')])


def test_dead_letters_are_listed_and_moved_back(world: World) -> None:
    """A message that was given up names its object; moved back, it is done."""
    (key,) = world.deliver("Dead")
    message = json.dumps({"s3Bucket": world.trail.bucket, "s3ObjectKey": [key]})
    world.stack.client("sqs").send_message(QueueUrl=world.stack.outputs["CloudTrailDeadLetterQueueUrl"], MessageBody=message)
    listed = world.run("dlq", "list")
    assert key in json.dumps(listed["messages"])
    assert world.run("dlq", "redrive")["moved"] == 1
    world.stack.quiet()
    assert world.modes("Dead") == ["live"]


def test_a_lost_notification_is_found_and_repaired(world: World) -> None:
    """By the digests, here or by the function; after that nothing is missing."""
    here, there = world.deliver("RepairedHere", "RepairedThere")
    source = (f"s3://{world.trail.bucket}", "--since", "1 day ago", "--until", world.until())
    report = world.run("verify", *source, code=1)
    assert {here, there} <= {bad["key"] for bad in report["bad_files"] if bad["state"] == "incomplete"}
    world.announce(there)
    mended = world.run("verify", *source, "--repair", code=1)["repair"]
    assert mended["done"] >= 1
    assert world.modes("RepairedHere") == ["replay"]
    (lost,) = world.deliver("RepairedByFunction")
    source = (*source[:3], "--until", world.until())
    sent = world.run("verify", *source, "--repair", "--to-queue", code=1)["repair"]
    assert sent["objects"]["sent"] == sent["objects"]["found"] == 1, lost
    world.stack.quiet()
    assert world.modes("RepairedByFunction") == ["replay"]
    assert world.run("verify", *source)["bad_files"] == []


def test_history_is_indexed_by_the_functions(world: World) -> None:
    """Both queues get what a backfill finds: what is there stays as it was, the rest is marked as replay, each once."""
    world.deliver("Unheard", "UnheardToo", count=5)
    history = world.channel.put(sample(CONFIG_HISTORY))
    since = ("--since", "2026-01-01", "--to-queue")
    sent = world.run("backfill", f"s3://{world.trail.bucket}", *since)
    assert sent["objects"]["sent"] == sent["objects"]["found"] == len(world.chain.files)
    assert list(sent["messages"]) == [world.stack.outputs["CloudTrailQueueUrl"]]
    assert world.run("backfill", f"s3://{world.channel.bucket}", *since)["objects"]["sent"] == 1
    world.stack.quiet()
    again = world.run("backfill", f"s3://{world.trail.bucket}", *since)
    assert (again["objects"]["sent"], again["messages"]) == (0, {})
    assert world.modes("Unheard") == world.modes("UnheardToo") == ["replay"]
    assert {name for name in world.expected if world.modes(name) == ["live"]} >= {"Told", "Bad", "Dead"} & {*world.expected}
    versions = found(world.stack, "config-history")
    assert versions
    assert {one["cfg"]["key"] for one in versions} == {history.key}
    assert {one["cfg"]["ingestMode"] for one in versions} == {"replay"}
