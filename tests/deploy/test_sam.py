"""`sam deploy` and `sam delete` as a person runs them, with the project's samconfig.toml, and what the stack then does."""

from __future__ import annotations

import json

import pytest

from tests.deploy.conftest import Account, Deploy, of
from tests.deploy.stacks import Stack, records
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.building import ARCHITECTURE


def test_a_stack_is_deployed_deleted_and_deployed_again(account: Account, made: AmazonDomain, name: str) -> None:
    """Deploy with a trail and a domain, index, delete: what holds data stays, and a second deploy takes it over."""
    bucket = f"{name}-trail"
    parameters = {"CreateTrail": "true", "TrailBucketNames": bucket, "CreateDomain": "true", "DomainName": made.name}
    stack = Stack(account.aws, name, made.engine, {"Architecture": ARCHITECTURE, **parameters})
    account.deployer.sam_deploy(stack)
    trail = Trail(account.aws, bucket, stack.outputs["TrailTopicArnMade"])
    first = trail.deliver(stack, "first", records("First", 2), announced=True)
    trail.deliver(stack, "broken", b"this is not gzip", announced=True)
    stack.wait_for(lambda: len(stack.documents("First")) == 2 and len(stack.quarantined()) == 1, "documents and a quarantine")
    kept = {*stack.quarantined()}
    quarantine = stack.physical("QuarantineBucket")

    deleted = account.deployer.sam("delete", "--no-prompts", "--stack-name", name, "--region", stack.region)
    assert deleted.returncode == 0, deleted.stdout + deleted.stderr
    client = stack.client("cloudformation")
    with pytest.raises(client.exceptions.ClientError, match="does not exist"):
        client.describe_stacks(StackName=name)
    s3 = stack.client("s3")
    assert {one["Key"] for one in s3.list_objects_v2(Bucket=quarantine)["Contents"]} == kept
    assert first in [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert stack.client("opensearch").describe_domain(DomainName=made.name)["DomainStatus"]["Created"]
    assert len(stack.documents("First")) == 2
    assert stack.client("lambda").list_functions()["Functions"] == []

    stack.parameters = {"Architecture": ARCHITECTURE, "TrailBucketNames": bucket, "WayIn": "bucket"}
    stack.parameters |= {"OpenSearchEndpoint": made.endpoint, "OpenSearchDomainArn": made.arn}
    account.deployer.sam_deploy(stack)
    trail.notify("bucket", stack)
    trail.deliver(stack, "second", records("Second", 2))
    stack.wait_for(lambda: len(stack.documents("Second")) == 2, "documents of the second deploy")
    stack.quiet()
    account.deployer.delete(stack)


def test_an_invocation_without_a_queue_is_answered_with_a_summary(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """Invoked directly with CloudTrail's message, the alias indexes the object and says what it did."""
    stack = deploy(domain, of(domain, trail))
    key = trail.deliver(stack, "direct", records("InvokedDirectly", 2))
    answer = stack.client("lambda").invoke(
        FunctionName=stack.outputs["CloudTrailFunctionArn"],
        Payload=json.dumps({"s3Bucket": trail.bucket, "s3ObjectKey": [key]}),
    )
    summary = json.load(answer["Payload"])
    assert "FunctionError" not in answer, summary
    assert (summary["read"], summary["indexed"], summary["failed_objects"]) == (2, 2, 0)
