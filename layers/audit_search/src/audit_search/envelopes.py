"""A Lambda event, whatever wraps it, becomes messages that name objects.

Every envelope is recognised by its content, never by configuration, and may be mixed with any other in one event:
S3 notifications (direct, in SQS, in SNS, in SNS in SQS, raw SNS in SQS), EventBridge `Object Created` (direct and in
SQS), CloudTrail's own SNS message, and what Lambda makes of a direct event that failed: an event in its record of the failure.

S3 form-encodes the keys in its notifications; EventBridge and CloudTrail do not.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/configure-sns-notifications-for-cloudtrail.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from audit_search.errors import UnknownEnvelopeError

_VALIDATION = "CloudTrail validation message."


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One S3 object as a message names it. `key` is decoded; `size` (bytes) and `notified` (ISO 8601) where it has them."""

    bucket: str
    key: str
    version_id: str | None = None
    size: int | None = None
    notified: str | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" + (f"?versionId={self.version_id}" if self.version_id else "")


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is normal and is not an object of records: why, and what it was."""

    reason: str
    what: str


@dataclass(slots=True)
class Message:
    """What one SQS message, or a whole direct event, asks for."""

    message_id: str | None = None  # None: a direct event, which has no queue to return to
    objects: list[ObjectRef] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    error: UnknownEnvelopeError | None = None
    queue_arn: str = ""
    receipt_handle: str = ""
    receive_count: int = 1


def messages(event: object) -> list[Message]:
    """The messages of a Lambda event: one for each SQS message, or a single one for everything else.

    A shape that is not known becomes the `error` of its own message and leaves the others alone.
    """
    if isinstance(event, Mapping) and _is_sqs(event):
        return [_sqs_message(record) for record in event["Records"]]
    message = Message()
    _bounded(_collect, event, message)
    return [message]


def skip_reason(key: str) -> str | None:
    """Why an object that lies at this key holds no CloudTrail records, or None when it may.

    By whole path segments, so that an organisation's or a Control Tower landing zone's prefixes do not matter.
    """
    if key.endswith("/"):
        return "folder marker"
    segments = key.split("/")
    if segments[-1] == "ConfigWritabilityCheckFile":
        return "AWS Config writability check"
    if "CloudTrail-Digest" in segments:
        return "CloudTrail digest"
    if "Config" in segments and not {"ConfigHistory", "ConfigSnapshot", "OversizedChangeNotification"}.isdisjoint(segments):
        return "AWS Config object"
    return None


def _is_sqs(event: Mapping[str, Any]) -> bool:
    records = event.get("Records")
    return bool(
        isinstance(records, list)
        and records
        and all(isinstance(record, Mapping) and "body" in record and "messageId" in record for record in records)
    )


def _sqs_message(record: Mapping[str, Any]) -> Message:
    attributes = record.get("attributes")
    received = attributes.get("ApproximateReceiveCount", "1") if isinstance(attributes, Mapping) else "1"
    message = Message(
        message_id=str(record["messageId"]),
        queue_arn=_text(record.get("eventSourceARN")) or "",
        receipt_handle=_text(record.get("receiptHandle")) or "",
        receive_count=int(received) if re.fullmatch("[0-9]{1,9}", str(received)) else 1,
    )
    _bounded(_collect_text, record["body"], message)
    return message


def _bounded(collect: Callable[[Any, Message], None], content: object, message: Message) -> None:
    try:
        collect(content, message)
    except RecursionError:
        message.error = UnknownEnvelopeError("The message holds envelopes within envelopes, more of them than anything sends.")


def _collect_text(text: object, message: Message) -> None:
    if not isinstance(text, str):
        _collect(text, message)
        return
    if text.strip().strip('"') == _VALIDATION:
        message.skipped.append(Skipped("CloudTrail validation message", _VALIDATION))
        return
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        message.error = UnknownEnvelopeError(
            f"The message is not JSON but {len(text):,} characters of text. "
            "Expected an S3, SNS, EventBridge or CloudTrail notification."
        )
        return
    _collect(payload, message)


def _collect(payload: Any, message: Message) -> None:
    match payload:
        case {"Records": [*records]}:
            for record in records:
                _collect_record(record, message)
        case {"Event": "s3:TestEvent"}:
            message.skipped.append(Skipped("s3:TestEvent", f"bucket {payload.get('Bucket')}"))
        case {"Type": "Notification", "Message": text}:
            _collect_text(text, message)
        case {"Type": "SubscriptionConfirmation" | "UnsubscribeConfirmation" as kind}:
            message.skipped.append(Skipped(f"SNS {kind}", f"topic {payload.get('TopicArn')}"))
        case {"messageType": str(kind)}:
            # Control Tower's aggregated topic carries AWS Config's stream beside CloudTrail's notifications.
            message.skipped.append(Skipped("AWS Config message", kind))
        case {"requestContext": {}, "requestPayload": {**wrapped}}:
            _collect(wrapped, message)  # what Lambda put into the dead-letter queue, sent to the queue again
        case {"s3Bucket": str(bucket), "s3ObjectKey": [*keys]} if all(isinstance(key, str) for key in keys):
            for key in keys:
                _add(ObjectRef(bucket, key), message)
        case {"s3Bucket": str(bucket), "s3ObjectKey": str(key)}:
            _add(ObjectRef(bucket, key), message)
        case {
            "detail-type": str(kind),
            "source": "aws.s3",
            "detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **thing}},
        }:
            if kind != "Object Created":
                message.skipped.append(Skipped("not a created object", f"{kind} {key}"))
            else:
                _add(
                    ObjectRef(
                        bucket,
                        key,
                        _text(thing.get("version-id")),
                        _size(thing.get("size")),
                        _text(payload.get("time")),
                    ),
                    message,
                )
        case _:
            message.error = _unknown(payload)


def _collect_record(record: Any, message: Message) -> None:
    match record:
        case {"s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **thing}}, "eventName": str(name)}:
            key = unquote_plus(key)
            if not name.removeprefix("s3:").startswith("ObjectCreated:"):
                message.skipped.append(Skipped("not a created object", f"{name} {key}"))
            else:
                _add(
                    ObjectRef(
                        bucket,
                        key,
                        _text(thing.get("versionId")),
                        _size(thing.get("size")),
                        _text(record.get("eventTime")),
                    ),
                    message,
                )
        case {"Sns": {"Message": text}}:
            _collect_text(text, message)
        case {"body": text, "messageId": _}:
            _collect_text(text, message)
        case _:
            message.error = _unknown(record)


def _add(ref: ObjectRef, message: Message) -> None:
    reason = skip_reason(ref.key)
    if reason:
        message.skipped.append(Skipped(reason, str(ref)))
    else:
        message.objects.append(ref)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _unknown(payload: object) -> UnknownEnvelopeError:
    if isinstance(payload, Mapping):
        keys = sorted(str(key)[:64] for key in payload)
        what = (
            "an object with the keys " + ", ".join(keys[:20]) + (", …" if len(keys) > 20 else "") if keys else "an empty object"
        )
    else:
        what = f"a JSON {type(payload).__name__}"
    return UnknownEnvelopeError(
        f"Not a notification of a kind that is known: {what}. "
        "Expected S3, SNS, SQS, EventBridge 'Object Created' or CloudTrail's own SNS message."
    )
