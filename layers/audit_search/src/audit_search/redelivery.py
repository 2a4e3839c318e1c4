"""When a message that goes back to its queue is delivered again: after 30 s at first, then twice as long each time, at most
15 minutes. Without it an outage of the engine would be hammered at, or last as long as the queue's visibility timeout.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import botocore.exceptions

from audit_search.envelopes import Message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FIRST: Final = 30
LONGEST: Final = 900


def delay(receive_count: int) -> int:
    """Seconds until the next delivery of a message that has been received so often."""
    return int(min(LONGEST, FIRST * 2 ** min(max(receive_count - 1, 0), 10)))


class Redelivery:
    """Changes the visibility of returned messages."""

    def __init__(self, sqs: SQSClient) -> None:
        self._sqs = sqs
        self._urls: dict[str, str] = {}

    def postpone(self, messages: Iterable[Message]) -> list[str]:
        """Postpone messages by how often they were received; gives what went wrong.

        A message that cannot be postponed comes back all the same, when the queue's own timeout is over.
        """
        problems: list[str] = []
        by_queue: defaultdict[str, list[Message]] = defaultdict(list)
        for message in messages:
            if message.queue_arn and message.receipt_handle:
                by_queue[message.queue_arn].append(message)
        for arn, returned in by_queue.items():
            for start in range(0, len(returned), 10):
                part = returned[start : start + 10]
                try:
                    answer = self._sqs.change_message_visibility_batch(
                        QueueUrl=self._url(arn),
                        Entries=[
                            {
                                "Id": str(number),
                                "ReceiptHandle": message.receipt_handle,
                                "VisibilityTimeout": delay(message.receive_count),
                            }
                            for number, message in enumerate(part)
                        ],
                    )
                    problems += [
                        f"{arn}: {failed.get('Code')}: {failed.get('Message', '')}" for failed in answer.get("Failed", [])
                    ]
                except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, ValueError) as error:
                    problems.append(f"{arn}: {error}")
        return problems

    def _url(self, arn: str) -> str:
        if arn not in self._urls:
            if arn.count(":") < 5:
                raise ValueError("not the ARN of a queue")
            account, name = arn.split(":")[-2:]
            self._urls[arn] = self._sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        return self._urls[arn]
