"""What a dead letter is: its age, what it names, and what to send where Lambda has wrapped it.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audit_search import envelopes

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: `sent` is when it first came into a queue, `names` the objects (or what else) it names."""

    id: str
    sent: datetime | None
    received: int
    names: tuple[str, ...]
    problem: str = ""
    from_lambda: bool = False


def read(message: Mapping[str, Any]) -> Letter:
    """What a message is and names, as the function would understand it. Never raises for what is in it."""
    attributes = message.get("Attributes", {})
    sent = attributes.get("SentTimestamp")
    from_lambda = False
    names: list[str] = []
    problem = ""
    try:
        body, from_lambda = unwrapped(message["Body"])
        event = {"Records": [{"messageId": message["MessageId"], "body": body}]}
        for found in envelopes.messages(event):
            names += [str(reference) for reference in found.objects]
            names += [f"{skipped.reason}: {skipped.what}" for skipped in found.skipped]
            problem = str(found.error) if found.error else problem
    except ValueError as error:
        problem = str(error)
    when = datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None
    return Letter(
        message["MessageId"], when, int(attributes.get("ApproximateReceiveCount", 0)), tuple(names), problem, from_lambda
    )


def unwrapped(body: str) -> tuple[str, bool]:
    """What is to be sent to the queue, and whether Lambda had wrapped it into the record of a failed invocation.

    Raises ValueError for such a record without its payload, which Lambda leaves out when it is too large.
    """
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return body, False
    if not isinstance(record, dict) or not isinstance(record.get("requestContext"), dict):
        return body, False
    if "functionArn" not in record["requestContext"] and "condition" not in record["requestContext"]:
        return body, False
    payload = record.get("requestPayload")
    if payload is None:
        raise ValueError("Lambda's record of a failed invocation without its payload: what it named is not known")
    if isinstance(payload, str):
        return payload, True
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate or a control character as such is no character of SQS; JSON can write any of them as an escape.
    return (json.dumps(payload, separators=(",", ":")) if _FORBIDDEN.search(text) else text), True
