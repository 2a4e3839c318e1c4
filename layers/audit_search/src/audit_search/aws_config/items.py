"""One configuration item of AWS Config, whatever its dialect: stream, history, snapshot or API form.

https://docs.aws.amazon.com/config/latest/developerguide/config-item-table.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from audit_search.aws_config.dialects import decoded, inside, is_global, iso, milliseconds, tags_of, text_of, texts_of
from audit_search.rebuild import Rejection

Source = Literal["stream", "oversized", "history", "snapshot"]


@dataclass(frozen=True, slots=True)
class Relationship:
    """Another resource, and how it is related: `Is attached to Volume`. `id` or `name` may be empty, not both."""

    type: str
    id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Item:
    """A version of a resource. Names as AWS Config's table has them, times as milliseconds since 1970 (UTC).

    `region` is `global` for a global resource, wherever it was recorded. `configuration` is an object where it was one or
    JSON text of one, None for a deleted resource. `diff` is the message's own `configurationItemDiff`, where it had one.
    `captured_from` is empty where the item had a capture time itself, else `stateId` or `delivered`: what stands in for it.
    """

    account: str
    region: str
    type: str
    resource_id: str
    captured: int
    state_id: str
    status: str
    raw: str
    source: Source = "stream"
    name: str = ""
    arn: str = ""
    availability_zone: str = ""
    created: str = ""
    item_version: str = ""
    configuration: Any = None
    supplementary: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    relationships: tuple[Relationship, ...] = ()
    related_events: tuple[str, ...] = ()
    diff: Mapping[str, Any] | None = None
    recorded_in: str = ""
    captured_from: str = ""

    @property
    def deleted(self) -> bool:
        """Whether the resource is gone in this version."""
        return self.status in ("ResourceDeleted", "ResourceDeletedNotRecorded")

    @property
    def resource(self) -> str:
        """The resource's key: account, region, type and id, by `|`. The ARN is absent for some types, so it is not the key."""
        return "|".join((self.account, self.region, self.type, self.resource_id))

    @property
    def identity(self) -> str:
        """The id of this version: the same from stream, history and snapshot."""
        return identity(self.resource, self.captured, self.state_id)

    @property
    def rank(self) -> int:
        """The order of a resource's versions: ms x 2^20 + a tie-break that depends on the version alone. Fits a long."""
        return rank(self.captured, self.identity)


def identity(resource: str, captured: int, state_id: str) -> str:
    """The id of a version of a resource, from its key, its time (ms) and its state id."""
    return hashlib.sha256(f"{resource}|{captured}|{state_id}".encode()).hexdigest()[:40]


def rank(captured: int, identity: str) -> int:
    """The order of a version, from its time (ms) and its id."""
    return (captured << 20) | int(identity[:5], 16)


EARLIEST: Final = 1_356_998_400_000
"""The year 2013, before AWS Config began: an earlier capture time is none. With the latest it bounds the set of indices."""

_DAY: Final = 86_400_000
_LATEST: Final = 7_258_118_400_000  # the year 2200: the rank still fits a long
_WHOLE = re.compile(r"(\d+)\.0*", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d+", re.ASCII)


def parse(
    raw: bytes | str,
    *,
    source: Source = "stream",
    delivered: int = 0,
    latest: int = 0,
    account: str = "",
    region: str = "",
    diff: Mapping[str, Any] | None = None,
) -> Item | Rejection:
    """The item of its JSON text, in any dialect, or why it is none.

    `delivered` (ms) is the time of the notification or object, and stands in for a capture time that is missing, or lies
    outside AWS Config's life or behind `latest` (ms, a day after `delivered` unless given). `account` and `region` are those
    of the place where the item was found, for dialects that leave them out.
    """
    text = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else bytes(raw)
    try:
        record = decoded(text)
    except (ValueError, RecursionError) as error:
        return Rejection("not_json", f"the item is not JSON: {error}")
    if not isinstance(record, dict):
        return Rejection("not_an_object", "the item is JSON, but not an object")
    if "resourceType" not in record and "ResourceType" in record:
        record = {key[:1].lower() + key[1:]: value for key, value in record.items()}  # as PowerShell and .NET spell it
    get = record.get
    kind, resource_id = text_of(get("resourceType")), text_of(get("resourceId"))
    if not kind or not resource_id:
        missing = "resourceId" if kind else "resourceType"
        return Rejection("no_resource", f"the item has no {missing}; its keys are " + ", ".join(sorted(record)[:20])[:500])
    arn = text_of(get("ARN") or get("arn") or get("aRN"))
    owner = _account(get("awsAccountId") or get("accountId"), arn) or account
    if not owner:
        return Rejection("no_account", "the item has no awsAccountId or accountId, nor an ARN with one")
    zone = text_of(get("availabilityZone") or get("availibilityZone"))
    recorded_in = text_of(get("awsRegion"))
    state_id = _state_id(record)
    captured, captured_from = _captured(get("configurationItemCaptureTime"), state_id, delivered, latest)
    if not captured:
        return Rejection("no_time", "the item has no configurationItemCaptureTime, and nothing stands in for it")
    return Item(
        account=owner,
        region=_region(kind, recorded_in, arn, zone, region),
        type=kind,
        resource_id=resource_id,
        captured=captured,
        state_id=state_id,
        status=text_of(get("configurationItemStatus")),
        raw=text.decode("utf-8", "replace"),
        source=source,
        name=text_of(get("resourceName")),
        arn=arn,
        availability_zone=zone,
        created=_created(get("resourceCreationTime")),
        item_version=text_of(get("configurationItemVersion") or get("version")),
        configuration=_configuration(get("configuration")),
        supplementary=_supplementary(get("supplementaryConfiguration")),
        tags=tags_of(get("tags")),
        relationships=_relationships(get("relationships")),
        related_events=texts_of(get("relatedEvents")),
        diff=diff,
        recorded_in=recorded_in or region,
        captured_from=captured_from,
    )


def _captured(value: object, state_id: str, delivered: int, latest: int) -> tuple[int, str]:
    latest = latest or (delivered + _DAY if delivered else _LATEST)
    found = milliseconds(value)
    if EARLIEST <= found <= latest:
        return found, ""
    # The same from stream, history and snapshot, which the time of a delivery is not.
    found = milliseconds(state_id) if len(state_id) == 13 else 0
    if EARLIEST <= found <= latest:
        return found, "stateId"
    return (delivered, "delivered") if EARLIEST <= delivered <= _LATEST else (0, "")


def _state_id(record: Mapping[str, Any]) -> str:
    """The id of the state as text: a number here is a text there, and an old dialect has an id of letters."""
    for name in ("configurationStateId", "configurationStateID", "configurationItemState"):
        value = record.get(name)
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        text = text_of(value)
        if text:
            whole = _WHOLE.fullmatch(text)
            return whole[1] if whole else text
    return ""


def _account(value: object, arn: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:012}"  # as a number it has lost its zeros
    return text_of(value) or _part(arn, 4)


def _region(kind: str, recorded_in: str, arn: str, zone: str, found_in: str) -> str:
    if recorded_in.lower() == "global" or is_global(kind):
        return "global"
    if recorded_in and recorded_in != "Not Applicable":
        return recorded_in
    for text in (_part(arn, 3), zone):
        region = _REGION.match(text)
        if region:
            return region[0]
    return found_in or recorded_in


def _part(arn: str, number: int) -> str:
    parts = arn.split(":", 5)
    return parts[number] if len(parts) == 6 else ""


def _created(value: object) -> str:
    found = milliseconds(value)
    if not 0 < found < _LATEST:
        return text_of(value)
    return iso(found)


def _configuration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parsed = inside(value)
    if parsed is not None:
        return parsed
    return None if value.strip() in ("", "null") else value


def _supplementary(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        parsed = inside(value)
        value = value if parsed is None else parsed
    if not isinstance(value, dict):
        return {} if value in (None, "", []) else {"value": value}
    for name, part in value.items():
        if type(part) is str and part.lstrip()[:1] in ("{", "["):
            parsed = inside(part)
            value[name] = part if parsed is None else parsed
    return value


def _relationships(value: Any) -> tuple[Relationship, ...]:
    found = []
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict):
            get = one.get
            other, name = text_of(get("resourceId")), text_of(get("resourceName"))
            if other or name:
                kind = text_of(get("relationshipName") or get("name"))
                found.append(Relationship(text_of(get("resourceType")), other, name, kind))
    return tuple(found)
