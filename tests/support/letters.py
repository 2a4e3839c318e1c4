"""Messages in the queues of the stand-in for AWS: putting them in, counting them, taking them out."""

from __future__ import annotations

import json
from typing import Any

from audit_search_cli import dead_letters
from tests.support.aws import Aws, Queue, Stored, s3_event

KEY = "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/{}.json.gz"


def notification(number: int) -> dict[str, Any]:
    """What S3 says about an object."""
    return s3_event(Stored("trail-bucket", KEY.format(number), 10))


def put(aws: Aws, queue: Queue, *bodies: object) -> None:
    """Send messages, objects as JSON."""
    for body in bodies:
        aws.sqs.send_message(QueueUrl=queue.url, MessageBody=body if isinstance(body, str) else json.dumps(body))


def size(aws: Aws, queue: Queue) -> int:
    """How many messages there are, those that somebody has received included."""
    return sum(dead_letters.counts(aws.sqs, queue.url))


def bodies(aws: Aws, queue: Queue) -> list[str]:
    """What is in a queue, in any order; takes it out."""
    found: list[str] = []
    while messages := aws.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10).get("Messages", []):
        found += [message["Body"] for message in messages]
    return sorted(found)
