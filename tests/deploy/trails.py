"""A trail beside the stack or of the stack: where its objects come from, and how they are announced."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.deploy.stacks import Stack
from tests.support.ministack import ACCOUNT, REGION, Ministack

FOREIGN = "444455556666"
"""Another account."""


@dataclass
class Trail:
    """A bucket with CloudTrail's objects and a topic that announces them, which may be another account's."""

    aws: Ministack
    bucket: str
    topic: str = ""
    account: str = "test"
    prefix: str = ""
    region: str = REGION

    @classmethod
    def make(cls, aws: Ministack, bucket: str, account: str = "test", region: str = REGION) -> Trail:
        """A bucket and a topic that somebody else has made, before any stack."""
        aws.client("s3", region, account).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
        topic = aws.client("sns", region, account).create_topic(Name=bucket)["TopicArn"]
        return cls(aws, bucket, topic, account, region=region)

    def allow(self, stack: Stack) -> None:
        """Add what the stack's outputs ask the other account for, as its owner would.

        ministack asks a bucket's policy about the account that reads, not about the role: the account is let in as well, and
        the role's own policy says the rest.
        """
        policy: dict[str, Any] = {"Version": "2012-10-17", "Statement": json.loads(stack.outputs["ForeignBucketPolicyStatement"])}
        for statement in policy["Statement"]:
            named = statement["Principal"]["AWS"]
            assert stack.outputs["CloudTrailFunctionRoleArn"] in named
            statement["Principal"]["AWS"] = [*([named] if isinstance(named, str) else named), f"arn:aws:iam::{ACCOUNT}:root"]
        client = self.aws.client("s3", self.region, self.account)
        client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy).replace("BUCKET", self.bucket))

    def subscribe(self, stack: Stack) -> None:
        """Let the stack's account subscribe, as the outputs ask the topic's owner, and subscribe.

        ministack does not subscribe to a topic of another account or region for a template, and it does not know the
        condition key sns:Endpoint, which is held against the queue's ARN here instead.
        """
        region = self.topic.split(":")[3]
        statement = json.loads(stack.outputs["ForeignTopicPolicyStatement"])
        assert statement.pop("Condition") == {"StringEquals": {"sns:Endpoint": stack.outputs["CloudTrailQueueArn"]}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        owner = self.aws.client("sns", region, self.account)
        owner.set_topic_attributes(TopicArn=self.topic, AttributeName="Policy", AttributeValue=policy)
        self.aws.client("sns", region, ACCOUNT).subscribe(
            TopicArn=self.topic, Protocol="sqs", Endpoint=stack.outputs["CloudTrailQueueArn"]
        )

    def notify(self, way: str, stack: Stack) -> None:
        """Have the bucket announce its objects to EventBridge, to the queue or to the function, as a person would."""
        events = ["s3:ObjectCreated:*"]
        ways: dict[str, Any] = {
            "eventbridge": {"EventBridgeConfiguration": {}},
            "bucket": {"QueueConfigurations": [{"QueueArn": stack.outputs["CloudTrailQueueArn"], "Events": events}]},
            "direct": {
                "LambdaFunctionConfigurations": [{"LambdaFunctionArn": stack.outputs["CloudTrailFunctionArn"], "Events": events}]
            },
        }
        self.aws.client("s3", self.region, self.account).put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=ways[way]
        )

    def deliver(self, stack: Stack, name: str, body: bytes, *, announced: bool = False) -> str:
        """Put an object, and with `announced` publish CloudTrail's message about it; gives the key."""
        key = stack.put(self.bucket, name, body, self.prefix, self.account)
        if announced:
            self.announce(key)
        return key

    def announce(self, *keys: str) -> None:
        """CloudTrail's message about objects, on the topic."""
        message = json.dumps({"s3Bucket": self.bucket, "s3ObjectKey": list(keys)})
        self.aws.client("sns", self.topic.split(":")[3], self.account).publish(TopicArn=self.topic, Message=message)
