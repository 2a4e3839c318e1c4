"""CloudTrail's objects that were named in a message for AWS Config go to CloudTrail's queue.

Topics that gather the messages of an account or of an organisation carry both. What is sent has the shape of CloudTrail's own
message, and may be sent twice: its records are told apart by their ids.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

import botocore.exceptions

from audit_search.envelopes import ObjectRef, replay_order

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_KEYS: Final = 50  # of at most 1,024 bytes each: far below what one message may have


class HandOverError(Exception):
    """They could not be handed on now; the message that named them has to return."""


class TrailQueue:
    """CloudTrail's queue; its client is made when it is needed for the first time, which most containers never do."""

    def __init__(self, client: Callable[[], SQSClient], url: str) -> None:
        self._make = client
        self._client: SQSClient | None = None
        self._url = url

    def hand_on(self, refs: Iterable[ObjectRef], *, replay: bool = False) -> None:
        """Send messages that name the objects, marked as `replay` where they were. Raises HandOverError."""
        if not self._url:
            raise HandOverError("objects of CloudTrail's are named, and TRAIL_QUEUE_URL does not say where they belong")
        if self._client is None:
            self._client = self._make()
        for text in _texts(refs, replay=replay):
            try:
                self._client.send_message(QueueUrl=self._url, MessageBody=text)
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
                raise HandOverError(f"objects of CloudTrail's could not be handed on to {self._url}: {error}") from error


def _texts(refs: Iterable[ObjectRef], *, replay: bool) -> Iterator[str]:
    by_bucket: defaultdict[str, list[ObjectRef]] = defaultdict(list)
    for ref in refs:
        by_bucket[ref.bucket].append(ref)
    for bucket, found in by_bucket.items():
        for start in range(0, len(found), _KEYS):
            part = found[start : start + _KEYS]
            keys = [ref.key for ref in part]
            yield json.dumps(replay_order(bucket, part) if replay else {"s3Bucket": bucket, "s3ObjectKey": keys})
