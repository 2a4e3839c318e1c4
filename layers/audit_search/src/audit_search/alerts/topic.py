"""The SNS topic that notices of alerts go to, ten in a request.

https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html: at most ten messages, and 262,144 bytes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import botocore.exceptions

from audit_search.alerts.notices import Notice, texts

BATCH: Final = 10
"""The most notices of one request."""
_BYTES: Final = 240_000
_ATTRIBUTES: Final = 4_000  # at most: names, types and values of five


class Client(Protocol):
    """What is needed of a client of SNS."""

    def publish_batch(self, **request: Any) -> dict[str, Any]: ...


class Topic:
    """A topic; its client is made when it is needed for the first time, which most containers never do."""

    def __init__(self, client: Callable[[], Client], arn: str) -> None:
        self._make = client
        self._client: Client | None = None
        self._arn = arn

    def publish(self, notices: Sequence[Notice]) -> list[str]:
        """Publish at most BATCH notices; for each why it was not published, an empty text where it was."""
        entries = texts(notices)
        reasons: list[str] = []
        start = size = 0
        for number, entry in enumerate(entries):
            more = len(entry["Subject"]) + len(entry["Message"].encode()) + _ATTRIBUTES
            if number > start and size + more > _BYTES:
                reasons += self._publish(entries[start:number])
                start, size = number, 0
            size += more
        return reasons + (self._publish(entries[start:]) if entries else [])

    def _publish(self, entries: list[dict[str, Any]]) -> list[str]:
        if self._client is None:
            self._client = self._make()
        try:
            answer = self._client.publish_batch(TopicArn=self._arn, PublishBatchRequestEntries=entries)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            return [f"{self._arn}: {error}"] * len(entries)
        sent = {one.get("Id") for one in answer.get("Successful", [])}
        reasons = {one.get("Id"): f"{one.get('Code')}: {one.get('Message', '')}" for one in answer.get("Failed", [])}
        return [
            "" if name in sent else f"{self._arn}: {reasons.get(name, 'the topic did not say that it took it')}"
            for name in (entry["Id"] for entry in entries)
        ]
