"""A subscriber of a stack's alerts, and objects of events that raise them now."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.deploy.stacks import Stack
from tests.deploy.trails import Trail
from tests.support.ministack import ACCOUNT, REGION


@dataclass
class Subscriber:
    """A queue that hears what the topic of a stack's alerts says."""

    stack: Stack
    queue: str

    @classmethod
    def of(cls, stack: Stack, **attributes: str) -> Subscriber:
        """A queue of its own; `attributes` are those of the subscription."""
        sqs = stack.client("sqs")
        queue = sqs.create_queue(QueueName=f"{stack.name}-alerts{len(attributes)}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        service = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Statement": [service]})})
        topic = stack.outputs["AlertTopicArnMade"]
        stack.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        return cls(stack, queue)

    def envelopes(self) -> list[dict[str, Any]]:
        """What has come since it was asked last, as SNS wraps it."""
        sqs, found = self.stack.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
        return found

    def told(self) -> list[str]:
        """The ids of the alerts that have come since it was asked last."""
        return sorted(json.loads(one["Message"])["id"] for one in self.envelopes())


def now() -> datetime:
    """The time of events that are young enough to be told."""
    return datetime.now(UTC)


def stopped(event_id: str) -> dict[str, Any]:
    """A record of this minute that stops a trail."""
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/morgan", "userName": "morgan"},
        "eventTime": now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "cloudtrail.amazonaws.com",
        "eventName": "StopLogging",
        "awsRegion": REGION,
        "sourceIPAddress": "198.51.100.7",
        "eventID": event_id,
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
    }


def deliver(trail: Trail, name: str, records: Iterable[Mapping[str, Any]]) -> str:
    """Put an object of this minute, and announce it as CloudTrail does; gives its key."""
    stamp = now()
    folder = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{stamp:%Y/%m/%d}"
    key = f"{folder}/{ACCOUNT}_CloudTrail_{REGION}_{stamp:%Y%m%dT%H%MZ}_{name}.json.gz"
    body = gzip.compress(json.dumps({"Records": list(records)}).encode())
    trail.aws.client("s3", trail.region, trail.account).put_object(Bucket=trail.bucket, Key=key, Body=body)
    trail.announce(key)
    return key
