"""The verification as it is deployed: what it publishes of a lost notification, and that it may do what it has to and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.deploy.conftest import Account, Deploy, of, with_password
from tests.deploy.stacks import Stack
from tests.deploy.trails import Trail
from tests.support import digest_chains
from tests.support.amazon_domain import AmazonDomain
from tests.support.digest_chains import CloudTrail, some
from tests.support.ministack import REGION, Ministack

PROVEN = ("ListDigests", "ReadObjects", "ListQuarantine", "ReadQuarantine", "LookUpDocuments")
READ_PASSWORD = "ReadPassword"
"""The statements of the verification's role whose lack is shown here."""
METRICS = ("MissingFiles", "ChangedFiles", "InvalidDigests", "UnreadFiles")


@dataclass
class Storage:
    """Where a chain of digests writes its objects: a bucket of the stand-in for AWS."""

    aws: Ministack

    def put(self, body: bytes, key: str, bucket: str, **extra: Any) -> None:
        """Put an object."""
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body, **extra)


@dataclass
class Verified:
    """A stack, the trail that it reads, and the chain of digests that lists what was delivered there."""

    stack: Stack
    trail: Trail
    chain: digest_chains.Trail

    def run(self) -> dict[str, float]:
        """Run the verification and give the metrics that are not 0. Raises AssertionError where it answers otherwise."""
        found = self.attempt()
        assert set(METRICS) <= set(found), found
        published = self.published()
        assert {name: published[name] for name in METRICS} == {name: [found[name]] for name in METRICS}
        return {name: found[name] for name in METRICS if found[name]}

    def attempt(self) -> dict[str, Any]:
        """What an invocation answers, an error too."""
        answer = self.stack.client("lambda").invoke(FunctionName=self.stack.outputs["VerifyFunctionArn"])
        found: dict[str, Any] = json.loads(answer["Payload"].read())
        return found

    def published(self) -> dict[str, Any]:
        """The metrics that the last run wrote, in CloudWatch's embedded format, under the name of this stack's verification."""
        blobs = [json.loads(line) for line in self.stack.log("verify").splitlines() if '"_aws"' in line]
        assert blobs[-1]["service"] == f"{self.stack.name}-verify"
        found: dict[str, Any] = blobs[-1]
        return found

    def announce(self, *keys: str) -> None:
        """The trail's message about log files; returns when they are indexed."""
        self.trail.announce(*keys)
        self.stack.quiet()


@pytest.fixture
def cloudtrail() -> Iterator[CloudTrail]:
    """Who knows the public keys: ministack has none."""
    with CloudTrail() as running:
        yield running


@pytest.fixture
def verified(
    deploy: Deploy, domain: AmazonDomain, trail: Trail, account: Account, cloudtrail: CloudTrail
) -> Callable[..., Verified]:
    """Deploys a stack with these parameters, beside a trail whose last hours are over."""

    def elsewhere(template: dict[str, Any]) -> None:
        variables = template["Resources"]["VerifyFunction"]["Properties"]["Environment"]["Variables"]
        variables["AWS_ENDPOINT_URL_CLOUDTRAIL"] = cloudtrail.endpoint

    def made(parameters: Mapping[str, str] | None = None) -> Verified:
        stack = deploy(domain, of(domain, trail, **(parameters or {})), vary=elsewhere)
        begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=12)
        storage: Any = Storage(account.aws)
        return Verified(stack, trail, digest_chains.Trail(storage, bucket=trail.bucket, region=REGION, begin=begin))

    return made


def test_a_lost_notification_shows_until_it_is_sent_again(verified: Callable[..., Verified], cloudtrail: CloudTrail) -> None:
    """Nothing failed, and yet a file is missing; sent to the queue once more it is indexed, and the next run finds nothing."""
    one = verified()
    one.chain.hour(some(3, "told"), some(2, "lost"))
    one.chain.hour(some(1, "later"))
    told, lost, later = one.chain.files
    one.announce(told, later)
    assert one.run() == {"MissingFiles": 1}
    assert lost in one.stack.log("verify")
    assert told not in one.stack.log("verify")
    one.announce(lost)
    assert one.run() == {}
    assert "ListPublicKeys" in cloudtrail.asked


@pytest.mark.parametrize("sid", [*PROVEN, READ_PASSWORD])
def test_a_verification_that_may_not_says_so_and_calls_nothing_missing(
    sid: str, verified: Callable[..., Verified], domain: AmazonDomain, aws: Ministack
) -> None:
    """What it may not read is unread, with the reason in its log; with the statement in place again all is right."""
    one = verified(with_password(aws, domain) if sid == READ_PASSWORD else None)
    one.chain.hour([*some(2, "whole"), "no record"])
    one.announce(*one.chain.files)
    assert len(one.stack.quarantined()) == 1
    put_back = one.stack.without("VerifyFunctionRole", sid)
    lacking = one.attempt()
    assert lacking.get("UnreadFiles") or "errorMessage" in lacking, lacking
    assert not lacking.get("MissingFiles"), lacking
    put_back()
    assert one.run() == {}
