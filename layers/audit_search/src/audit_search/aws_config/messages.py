"""The messages of AWS Config's delivery channel: what each of them asks for.

A message becomes a `Reading`: items, objects to read, events about Config itself, or the reason why it is none of these.

https://docs.aws.amazon.com/config/latest/developerguide/notifications-for-AWS-Config.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from audit_search.aws_config.dialects import decoded, milliseconds, text_of, texts_of
from audit_search.aws_config.documents import HealthEvent
from audit_search.aws_config.items import EARLIEST, Item, parse
from audit_search.aws_config.objects import Unreadable, difference, elements, members, object_at, place_of
from audit_search.envelopes import Notification, ObjectRef, trail_objects
from audit_search.errors import ObjectError
from audit_search.rebuild import Rejection

_DAY: Final = 86_400_000
_ITEM: Final = frozenset({"configurationItem", "configurationItemDiff"})
_TIMES: Final = ("notificationCreationTime", "notificationCreateTime", "NotificationCreateTime")
_FACETS: Final = (
    "resourceType",
    "resourceId",
    "resourceName",
    "ARN",
    "configRuleARN",
    "annotation",
    "configSnapshotId",
    "s3Bucket",
    "s3ObjectKey",
    "errorCode",
    "errorMessage",
)
"""Members of a message that are fields of an event by the same name."""
_NO_DETAILS: Final = frozenset({*_FACETS, *_TIMES, "messageType", "recordVersion", "awsAccountId", "awsRegion", "configRuleName"})


@dataclass(slots=True)
class Reading:
    """What one message asks for. `kind` is its messageType, empty where it has none.

    `trail` are CloudTrail's objects, named by CloudTrail's own message: they belong to the CloudTrail path. `skipped` and
    `foreign` say why there is nothing to do, `quarantine` why the whole message has to be kept there. `time` (ms) is when the
    message was made.
    """

    kind: str = ""
    items: list[Item] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    objects: list[ObjectRef] = field(default_factory=list)
    events: list[HealthEvent] = field(default_factory=list)
    trail: list[ObjectRef] = field(default_factory=list)
    skipped: str = ""
    foreign: str = ""
    quarantine: Rejection | None = None
    time: int = 0


def read_message(notification: Notification | str, *, received: int = 0) -> Reading:
    """What a message of a delivery channel's topic asks for; KINDS has all that are known.

    `received` (ms) stands in for a time that neither the message nor its envelope has. Never raises: what cannot be
    understood is foreign where it is not AWS Config's, and for quarantine where it may be.
    """
    sent = notification if isinstance(notification, Notification) else Notification(notification)
    text = sent.text.encode("utf-8", "surrogatepass")
    try:
        parts = members(text)
        values = {name: decoded(part) for name, part in (parts or {}).items() if name not in _ITEM}
    except (ValueError, RecursionError, ObjectError) as error:
        if text.lstrip()[:1] in (b"{", b"["):
            return Reading(quarantine=Rejection("not_json", f"the message is not JSON: {error}"))
        return Reading(foreign=f"{len(sent.text):,} characters of text")
    if parts is None:
        return Reading(foreign="JSON, but not an object")
    if "messageType" not in values:
        refs = trail_objects(values)
        if refs is not None:
            return Reading(trail=refs)
        return Reading(foreign="an object with the keys " + ", ".join(sorted(name[:64] for name in parts)[:20]))
    kind = text_of(values["messageType"])
    read = KINDS.get(kind)
    if read is None:
        reason = f"no such messageType is known: {kind[:200] or 'not a text'}"
        return Reading(kind, quarantine=Rejection("unknown_message_type", reason))
    time = _time(values, sent, received)
    reading = read(_Body(kind, parts, values, sent, time))
    reading.time = time
    return reading


class _Body(NamedTuple):
    """A message: the texts of its members, the values of all but the item, its envelope, and its time (ms)."""

    kind: str
    parts: Mapping[str, bytes]
    values: Mapping[str, Any]
    sent: Notification
    time: int

    def text(self, name: str) -> str:
        return text_of(self.values.get(name))

    def inner(self, name: str) -> Mapping[str, Any]:
        value = self.values.get(name)
        return value if isinstance(value, dict) else {}


def _time(values: Mapping[str, Any], sent: Notification, received: int) -> int:
    """When the message was made: by itself, else by its envelope or its item's summary, else when it came."""
    summary = values.get("configurationItemSummary")
    captured = summary.get("configurationItemCaptureTime") if isinstance(summary, dict) else None
    for value in (*(values.get(name) for name in _TIMES), sent.sent, captured):
        found = milliseconds(value)
        if found >= EARLIEST and (not received or found <= received + _DAY):
            return found
    return received


def _items(body: _Body) -> Reading:
    reading = Reading(body.kind)
    diff = difference(body.parts)
    for position, text in enumerate(elements(body.parts.get("configurationItem", b"null"))):
        found = parse(
            text,
            source="stream",
            delivered=body.time,
            account=body.sent.account,
            region=body.sent.region,
            diff=diff,
        )
        if isinstance(found, Item):
            reading.items.append(found)
        else:
            reading.unreadable.append(Unreadable(position, text, found, diff))
    if not reading.items and not reading.unreadable:
        reading.quarantine = Rejection("no_item", "a change notification without a configurationItem")
    return reading


def _oversized(body: _Body) -> Reading:
    """The summary is kept as an event whatever becomes of the object: it may be gone when it is asked for."""
    delivery = body.inner("s3DeliverySummary")
    ref = object_at(text_of(delivery.get("s3BucketLocation")))
    more = {name: delivery.get(name) for name in ("errorCode", "errorMessage")}
    return _with_event(body, ref, body.inner("configurationItemSummary"), more, read=True)


def _delivery(body: _Body) -> Reading:
    bucket, key = body.text("s3Bucket"), body.text("s3ObjectKey")
    ref = ObjectRef(bucket, key) if bucket and key else None
    completed = body.kind.endswith("Completed")
    reading = _with_event(body, ref, {}, {}, read=completed)
    if completed and not ref:
        reading.quarantine = Rejection("no_object", "a completed delivery without s3Bucket and s3ObjectKey")
    return reading


def _about_rules(body: _Body) -> Reading:
    after, before = body.inner("newEvaluationResult"), body.inner("oldEvaluationResult")
    more = {
        "configRuleName": list(texts_of(body.values.get("configRuleNames"))) or body.text("configRuleName"),
        "complianceType": after.get("complianceType"),
        "previousComplianceType": before.get("complianceType"),
        "annotation": after.get("annotation"),
    }
    return _with_event(body, None, {}, more, read=False)


def _skipped(body: _Body) -> Reading:
    return Reading(body.kind, skipped=f"AWS Config {body.kind}")


KINDS: Final[Mapping[str, Callable[[_Body], Reading]]] = {
    "ConfigurationItemChangeNotification": _items,
    "OversizedConfigurationItemChangeNotification": _oversized,
    "OversizedConfigurationItemChangeDeliveryFailed": _oversized,
    "ComplianceChangeNotification": _about_rules,
    "ConfigRulesEvaluationStarted": _about_rules,
    "ConfigurationSnapshotDeliveryStarted": _delivery,
    "ConfigurationSnapshotDeliveryCompleted": _delivery,
    "ConfigurationSnapshotDeliveryFailed": _delivery,
    "ConfigurationHistoryDeliveryCompleted": _delivery,
    "ConfigurationHistoryDeliveryFailed": _delivery,
    "ScheduledNotification": _skipped,  # it asks rule functions for an evaluation
}
"""Every messageType that is known, and how it is read."""


def _with_event(
    body: _Body, ref: ObjectRef | None, summary: Mapping[str, Any], more: Mapping[str, Any], *, read: bool
) -> Reading:
    """The event of a message, and the object that it names where that is to be read."""
    reading = Reading(body.kind, objects=[ref] if ref and read else [])
    if not body.time:
        reading.quarantine = Rejection("no_time", "the message has no notificationCreationTime, and nothing stands in for it")
        return reading
    fields = {name: body.text(name) or text_of(summary.get(name)) for name in _FACETS}
    if ref:
        fields |= {"s3Bucket": ref.bucket, "s3ObjectKey": ref.key}
    named = {name: value if isinstance(value, list) else text_of(value) for name, value in more.items() if value}
    named["outcome"] = _outcome(body.kind, bool(named.get("errorCode") or fields["errorCode"]))
    details = {name: value for name, value in body.values.items() if name not in _NO_DETAILS and value is not None}
    place = place_of(ref.key) if ref else ("", "")
    reading.events.append(
        HealthEvent(
            kind=body.kind,
            account=body.text("awsAccountId") or text_of(summary.get("awsAccountId")) or place[0] or body.sent.account,
            region=body.text("awsRegion") or text_of(summary.get("awsRegion")) or place[1] or body.sent.region,
            time=body.time,
            raw=body.sent.text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
            fields={name: value for name, value in ({**fields, **named, "details": details}).items() if value},
        )
    )
    return reading


def _outcome(kind: str, error: bool) -> str:
    if kind.endswith("Failed") or error:
        return "failed"
    for ending in ("Started", "Completed"):
        if kind.endswith(ending):
            return ending.lower()
    return "changed" if kind.startswith("Compliance") else "oversized"
