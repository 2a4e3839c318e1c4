"""A Lambda event, whatever wraps it, becomes messages that name objects.

Every envelope is recognised by its content, never by configuration, and may be mixed with any other in one event:
S3 notifications (direct, in SQS, in SNS, in SNS in SQS, raw SNS in SQS), EventBridge `Object Created` (direct and in
SQS), CloudTrail's own SNS message, the order to index objects again that `audit-search backfill --to-queue` sends, and what
Lambda makes of a direct event that failed: an event in its record of the failure.
With `config=True` the messages of AWS Config's delivery channel are collected from all of them, and from EventBridge's events
of AWS Config; without it they are skipped.

S3 form-encodes the keys in its notifications; EventBridge and CloudTrail do not.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/configure-sns-notifications-for-cloudtrail.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

import msgspec

from audit_search.errors import UnknownEnvelopeError

_VALIDATION = "CloudTrail validation message."
_CLOUDTRAIL = "CloudTrail object"

CONFIG_FOLDERS: Final = ("ConfigHistory", "ConfigSnapshot", "OversizedChangeNotification")
"""The folders of AWS Config's objects, somewhere below one that is called Config."""


Target = tuple[str, str, str | None]
"""Bucket, key and version of an object: what it is, whatever else a message says of it."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One S3 object as a message names it. `key` is decoded; `size` (bytes) and `notified` (ISO 8601) where it has them."""

    bucket: str
    key: str
    version_id: str | None = None
    size: int | None = None
    notified: str | None = None

    @property
    def target(self) -> Target:
        """What it names, to tell whether two messages name the same object."""
        return self.bucket, self.key, self.version_id

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" + (f"?versionId={self.version_id}" if self.version_id else "")


@dataclass(frozen=True, slots=True)
class MessageRef:
    """A message that holds records itself: its id, where a queue gave it one."""

    message_id: str

    def __str__(self) -> str:
        return f"message {self.message_id}" if self.message_id else "the event"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is normal and is not an object of records: why, and what it was."""

    reason: str
    what: str


@dataclass(frozen=True, slots=True)
class Notification:
    """A text that may be a message of AWS Config's delivery channel; `aws_config.read_message` knows.

    `sent` is when its envelope was made (ISO 8601, or SQS's milliseconds as text), `topic` the ARN of the topic that it came
    from, where its envelope says so. `account` and `region` are those of an EventBridge envelope, where there was one; a
    topic's are not taken, for it may gather the messages of many accounts.
    """

    text: str
    sent: str = ""
    account: str = ""
    region: str = ""
    topic: str = ""


@dataclass(slots=True)
class Message:
    """What one SQS message, or a whole direct event, asks for.

    `objects` may hold CloudTrail records. Only where AWS Config was asked for there are `config_objects`, its histories,
    snapshots and oversized items, and `notifications`; `objects` are then those that lie in a folder of CloudTrail's.
    """

    message_id: str | None = None  # None: a direct event, which has no queue to return to
    objects: list[ObjectRef] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    error: UnknownEnvelopeError | None = None
    queue_arn: str = ""
    receipt_handle: str = ""
    receive_count: int = 1
    notifications: list[Notification] = field(default_factory=list)
    config_objects: list[ObjectRef] = field(default_factory=list)
    for_config: bool = False
    replay: bool = False  # its objects are indexed as ct.ingestMode replay, unless another message names them

    @property
    def writes(self) -> bool:
        """Whether it may hold or name something to index."""
        return bool(self.objects or self.config_objects or self.notifications)


def messages(event: object, *, config: bool = False) -> list[Message]:
    """The messages of a Lambda event: one for each SQS message, or a single one for everything else.

    A shape that is not known becomes the `error` of its own message and leaves the others alone. With `config` it becomes a
    notification instead: AWS Config's topics carry messages of others, and it takes their content to tell them apart.
    """
    if isinstance(event, Mapping) and _is_sqs(event):
        return [_sqs_message(record, config) for record in event["Records"]]
    message = Message(for_config=config)
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
    return "AWS Config object" if config_folder(key) else None


def config_folder(key: str) -> str:
    """The folder of AWS Config's that an object lies in, one of CONFIG_FOLDERS, or an empty text."""
    folders = key.split("/")[:-1]
    if "Config" not in folders:
        return ""
    return next((folder for folder in CONFIG_FOLDERS if folder in folders), "")


def config_skip_reason(key: str) -> str | None:
    """Why an object that lies at this key holds no configuration items, or None when it may."""
    reason = skip_reason(key)
    if reason == "AWS Config object":
        return None
    return reason or (_CLOUDTRAIL if _of_cloudtrail(key) else "not an object of AWS Config")


def _is_sqs(event: Mapping[str, Any]) -> bool:
    records = event.get("Records")
    return bool(
        isinstance(records, list)
        and records
        and all(isinstance(record, Mapping) and "body" in record and "messageId" in record for record in records)
    )


def _sqs_message(record: Mapping[str, Any], config: bool) -> Message:
    attributes = record.get("attributes")
    received = attributes.get("ApproximateReceiveCount", "1") if isinstance(attributes, Mapping) else "1"
    message = Message(
        message_id=str(record["messageId"]),
        queue_arn=_text(record.get("eventSourceARN")) or "",
        receipt_handle=_text(record.get("receiptHandle")) or "",
        receive_count=int(received) if re.fullmatch("[0-9]{1,9}", str(received)) else 1,
        for_config=config,
    )
    sent = attributes.get("SentTimestamp") if isinstance(attributes, Mapping) else None
    _bounded(partial(_collect_text, around=_Envelope(sent)), record["body"], message)
    return message


def _bounded(collect: Callable[[Any, Message], None], content: object, message: Message) -> None:
    try:
        collect(content, message)
    except RecursionError:
        message.error = UnknownEnvelopeError("The message holds envelopes within envelopes, more of them than anything sends.")


class _Envelope(NamedTuple):
    """What the innermost envelope says of a payload: when it was sent, and by which topic."""

    sent: object = None
    topic: object = None


_NONE: Final = _Envelope()


def _collect_text(text: object, message: Message, around: _Envelope = _NONE) -> None:
    if not isinstance(text, str):
        _collect(text, message, None, around)
        return
    if text.strip().strip('"') == _VALIDATION:
        message.skipped.append(Skipped("CloudTrail validation message", _VALIDATION))
        return
    try:
        payload = _decoded(text)
    except (ValueError, RecursionError):
        if message.for_config:
            message.notifications.append(Notification(text, _text(around.sent) or "", topic=_text(around.topic) or ""))
            return
        message.error = UnknownEnvelopeError(
            f"The message is not JSON but {len(text):,} characters of text. "
            "Expected an S3, SNS, EventBridge or CloudTrail notification."
        )
        return
    _collect(payload, message, text, around)


def _decoded(text: str) -> Any:
    """The value of a JSON text. Raises ValueError or RecursionError."""
    try:
        return _json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return json.loads(text)  # NaN, half a surrogate pair, a number out of range: the slower way takes them


_json = msgspec.json.Decoder()


def _collect(payload: Any, message: Message, text: str | None = None, around: _Envelope = _NONE) -> None:
    """What a payload holds; `text` is its own text where there is one."""
    match payload:
        case {"Records": [*records]}:
            for record in records:
                _collect_record(record, message)
        case {"Event": "s3:TestEvent"}:
            message.skipped.append(Skipped("s3:TestEvent", f"bucket {payload.get('Bucket')}"))
        case {"Type": "Notification", "Message": inner}:
            _collect_text(inner, message, _Envelope(payload.get("Timestamp"), payload.get("TopicArn")))
        case {"Type": "SubscriptionConfirmation" | "UnsubscribeConfirmation" as kind}:
            message.skipped.append(Skipped(f"SNS {kind}", f"topic {payload.get('TopicArn')}"))
        case {"messageType": str(kind)} if not message.for_config:
            # Control Tower's aggregated topic carries AWS Config's stream beside CloudTrail's notifications.
            message.skipped.append(Skipped("AWS Config message", kind))
        case {"auditSearch": {**order}}:
            _collect_order(order, payload, message)
        case {"requestContext": {}, "requestPayload": {**wrapped}}:
            _collect(wrapped, message)  # what Lambda put into the dead-letter queue, sent to the queue again
        case {
            "detail-type": str(kind),
            "source": "aws.s3",
            "detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **thing}},
        }:
            if kind != "Object Created":
                message.skipped.append(Skipped("not a created object", f"{kind} {key}"))
            else:
                version, size = _text(thing.get("version-id")), _size(thing.get("size"))
                _add(ObjectRef(bucket, key, version, size, _text(payload.get("time"))), message)
        case _:
            refs = trail_objects(payload)
            if refs is not None:
                for ref in refs:
                    _add(ref, message)
            elif message.for_config:
                message.notifications.append(_notification(payload, text, around))
            else:
                message.error = _unknown(payload)


def trail_objects(payload: object) -> list[ObjectRef] | None:
    """The objects that CloudTrail's own message names, or None where the payload is another one."""
    match payload:
        case {"messageType": str()}:
            return None  # AWS Config's messages of deliveries have the same keys beside it
        case {"s3Bucket": str(bucket), "s3ObjectKey": [*keys]} if all(isinstance(key, str) for key in keys):
            return [ObjectRef(bucket, key) for key in keys]
        case {"s3Bucket": str(bucket), "s3ObjectKey": str(key)}:
            return [ObjectRef(bucket, key)]
    return None


def replay_order(bucket: str, refs: Iterable[ObjectRef]) -> dict[str, Any]:
    """The message that has objects of a bucket indexed again, marked as replay."""
    objects = [{"key": ref.key, "versionId": ref.version_id, "size": ref.size} for ref in refs]
    known = [{name: value for name, value in one.items() if value is not None} for one in objects]
    return {"auditSearch": {"ingestMode": "replay", "bucket": bucket, "objects": known}}


def _collect_order(order: object, payload: object, message: Message) -> None:
    """The objects of an order to index them again. One that is not whole is an error, also where AWS Config's messages are
    read: it would be foreign there, and lost."""
    match order:
        case {"ingestMode": "replay", "bucket": str(bucket), "objects": [_, *_] as objects} if all(map(_is_named, objects)):
            message.replay = True
            for thing in objects:
                _add(ObjectRef(bucket, thing["key"], _text(thing.get("versionId")), _size(thing.get("size"))), message)
        case _:
            message.error = _unknown(payload)


def _is_named(thing: object) -> bool:
    return isinstance(thing, dict) and isinstance(thing.get("key"), str)


def _notification(payload: Any, text: str | None, around: _Envelope) -> Notification:
    """The payload's own text where it is known; what Lambda has parsed already is written anew.

    https://docs.aws.amazon.com/config/latest/developerguide/monitor-config-with-cloudwatchevents.html
    """
    match payload:
        case {"detail-type": str(), "source": "aws.config", "detail": {"messageType": str(), **_rest} as detail}:
            if text is not None:
                try:
                    text = bytes(_parts.decode(text)["detail"]).decode()
                except (msgspec.DecodeError, KeyError, UnicodeEncodeError):
                    text = None  # NaN or half a surrogate pair
            account, region = _text(payload.get("account")) or "", _text(payload.get("region")) or ""
            return Notification(_written(detail, text), _text(payload.get("time")) or "", account, region)
    return Notification(_written(payload, text), _text(around.sent) or "", topic=_text(around.topic) or "")


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _written(payload: Any, text: str | None) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")) if text is None else text


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
        case {"Sns": {"Message": text, **envelope}}:
            _collect_text(text, message, _Envelope(envelope.get("Timestamp"), envelope.get("TopicArn")))
        case {"body": text, "messageId": _}:
            _collect_text(text, message)
        case _ if message.for_config:
            message.notifications.append(_notification(record, None, _NONE))
        case _:
            message.error = _unknown(record)


def _add(ref: ObjectRef, message: Message) -> None:
    reason, objects = skip_reason(ref.key), message.objects
    if message.for_config:
        reason = config_skip_reason(ref.key)
        if reason == _CLOUDTRAIL:
            reason = None
        else:
            objects = message.config_objects
    if reason:
        message.skipped.append(Skipped(reason, str(ref)))
    else:
        objects.append(ref)


def _of_cloudtrail(key: str) -> bool:
    return any(folder.startswith("CloudTrail") for folder in key.split("/")[:-1])


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
