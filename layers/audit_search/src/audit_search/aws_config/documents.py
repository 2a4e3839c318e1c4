"""What documents of AWS Config are: their indices, their ids and their fields. The index templates follow this module.

Fields have AWS Config's own names; what is added stands under `cfg`. Sub-trees get the same guards as CloudTrail's (see
`rebuild`); `raw` keeps the text of the item itself.
https://docs.aws.amazon.com/config/latest/developerguide/config-item-table.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from audit_search.aws_config.items import Item, Relationship
from audit_search.rebuild import MAX_DEPTH, Notes, dump, keyword, subtree, utf8_cut

if TYPE_CHECKING:
    from audit_search.aws_config.changes import Change

HISTORY: Final = "config-history"
CURRENT: Final = "config-current"
CURRENT_INDEX: Final = "config-current-v1"
"""The index behind the alias: writing to the alias would make an index of that name where there is none yet."""
EVENTS: Final = "config-events"
TIMELINE: Final = "config-timeline"
CAUSES: Final = "config-causes"
"""The links of versions with the calls that caused them, see `causes.links`."""

MAX_RELATIONSHIPS: Final = 5_000
"""Pairs that are searched as pairs: the engine takes 10,000 nested objects in a document, changes included."""
MAX_CHANGE_BYTES: Final = 2_000_000
"""Characters of all values before and after, so that a document stays below what one request may have."""
_EASY: Final = 30_000
"""Characters of an item so short that no leaf of it can reach a limit."""
_MAX_FACET: Final = 1_000


@dataclass(frozen=True, slots=True)
class Origin:
    """How an item came: the mode of the function, and the object or the topic that it was read from."""

    mode: str = ""
    bucket: str = ""
    key: str = ""
    topic: str = ""


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """What Config says about itself: a compliance change, a delivery, a failure. `time` is in ms since 1970 (UTC).

    `fields` are those of the index template (`configRuleName`, `outcome`, …) with `details`, which may be any object; `raw`
    is the message's own text.
    """

    kind: str
    account: str
    region: str
    time: int
    raw: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """The same for the same message, whichever way it came."""
        text = dump([self.kind, self.account, self.region, self.time, sorted(self.fields.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:40]


def month(time: int) -> str:
    """The month of a time in ms: `2026.11`."""
    return datetime.fromtimestamp(time // 1000, UTC).strftime("%Y.%m")


def instant(time: int) -> str:
    """A time in ms as ISO 8601."""
    return f"{datetime.fromtimestamp(time // 1000, UTC).isoformat()[:19]}.{time % 1000:03d}Z"  # strftime takes ten times as long


def history_index(prefix: str, time: int) -> str:
    """Where the version of that time (ms) is."""
    return f"{prefix}{HISTORY}-{month(time)}"


def events_index(prefix: str, time: int) -> str:
    """Where an event of that time (ms) is."""
    return f"{prefix}{EVENTS}-{month(time)}"


def current_id(resource: str) -> str:
    """The id of a resource's latest state: its key, or a hash where that is too long for an id."""
    return resource if len(resource.encode()) <= 512 else "sha256-" + hashlib.sha256(resource.encode()).hexdigest()


def timeline_id(resource: str) -> str:
    """The id of a resource's timeline."""
    return hashlib.sha256(resource.encode()).hexdigest()


def document(item: Item, origin: Origin) -> dict[str, Any]:
    """The document of an item, as `config-current` has it. `cfg` comes last and lacks the time of ingestion: see `line`."""
    notes = Notes()
    source: dict[str, Any] = {
        "awsAccountId": item.account,
        "awsRegion": item.region,
        "resourceType": item.type,
        "resourceId": item.resource_id,
        "configurationItemCaptureTime": instant(item.captured),
        "configurationItemStatus": item.status,
        "configurationStateId": item.state_id,
    }
    texts = {
        "resourceName": item.name,
        "ARN": item.arn,
        "availabilityZone": item.availability_zone,
        "resourceCreationTime": item.created,
        "configurationItemVersion": item.item_version,
    }
    source |= {name: _leaf(name, value, notes) for name, value in texts.items() if value}
    if item.related_events:
        source["relatedEvents"] = [_leaf("relatedEvents", value, notes) for value in item.related_events]
    easy = len(item.raw) <= _EASY and _shallow(item)
    trees = {"tags": item.tags, "configuration": item.configuration, "supplementaryConfiguration": item.supplementary}
    for name, value in trees.items():
        if value is not None and value != {}:
            source[name] = value if easy and isinstance(value, dict) else subtree(name, _capped(value, MAX_DEPTH), notes)
    if item.relationships:
        source["relationships"] = [_related(one, notes) for one in item.relationships[:MAX_RELATIONSHIPS]]
        if len(item.relationships) > MAX_RELATIONSHIPS:
            notes.cut("relationships")
    source["raw"] = item.raw
    source["cfg"] = _added(item, origin, notes)
    return source


def _added(item: Item, origin: Origin, notes: Notes) -> dict[str, Any]:
    cfg: dict[str, Any] = {"resource": item.resource, "deleted": item.deleted, "source": item.source}
    cfg |= _place(origin)
    if item.recorded_in:
        cfg["recordedIn"] = item.recorded_in
    if item.captured_from:
        cfg["capturedFrom"] = item.captured_from
    if item.tags:
        cfg["tagList"] = [utf8_cut(f"{key}={value}", _MAX_FACET) for key, value in sorted(item.tags.items())]
    if item.relationships:
        cfg["relationshipCount"] = len(item.relationships)
        for name, values in (
            ("relatedIds", {one.id for one in item.relationships}),
            ("relatedTypes", {one.type for one in item.relationships}),
            ("relatedNames", {one.name for one in item.relationships}),
        ):
            kept = sorted(value if len(value) < _MAX_FACET // 4 else utf8_cut(value, _MAX_FACET) for value in values if value)
            cfg |= {name: kept} if kept else {}
    return cfg | _noted(notes)


def _noted(notes: Notes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if notes.truncated:
        found["truncated"] = notes.truncated
    if notes.wrapped:
        found["wrapped"] = notes.wrapped
    return found


def _related(one: Relationship, notes: Notes) -> dict[str, Any]:
    parts = {"resourceType": one.type, "resourceId": one.id, "resourceName": one.name, "name": one.kind}
    return {name: _leaf("relationships", value, notes) for name, value in parts.items() if value}


def _leaf(path: str, value: str, notes: Notes) -> Any:
    return value if len(value) < _MAX_FACET else keyword(path, value, notes)


def put_changes(source: dict[str, Any], changes: Iterable[Change], derived: str, previous: str | None) -> None:
    """Write into a document what changed in this version, in the place of what was there; its `cfg` becomes another one.

    `derived` says what the changes are from: `message`, `previous` (then `previous` is that version's id), `first` (nothing
    is known before it) or `unavailable` (the version before is known, its document is gone).
    """
    cfg: dict[str, Any] = {
        name: value for name, value in source["cfg"].items() if not name.startswith("change") and name not in _OF_CHANGES
    }
    every = tuple(changes)
    kept, size = [], 0
    for change in every:
        size += len(change.before or "") + len(change.after or "")
        if size > MAX_CHANGE_BYTES:
            break
        kept.append(change)
    cfg["changesFrom"] = derived
    if previous is not None:
        cfg["previous"] = previous
    cfg["changeCount"] = len(every)
    if kept:
        cfg["changes"] = [_change(change) for change in kept]
        cfg["changeLines"] = [change.text for change in kept]
        cfg["changedPaths"] = sorted({change.path for change in every})
    source["cfg"] = cfg


_OF_CHANGES: Final = frozenset({"previous", "ingestTime"})


def _change(change: Change) -> dict[str, Any]:
    parts = {
        "path": change.path,
        "kind": change.kind,
        "category": change.category,
        "before": change.before,
        "after": change.after,
    }
    return {name: value for name, value in parts.items() if value is not None}


def event(health: HealthEvent, origin: Origin) -> dict[str, Any]:
    """The document of a health event."""
    notes = Notes()
    source: dict[str, Any] = {
        "messageType": health.kind,
        "eventTime": instant(health.time),
        "awsAccountId": health.account,
        "awsRegion": health.region,
    }
    for name, value in health.fields.items():
        if value is not None:
            short = _capped(value, MAX_DEPTH)
            source[name] = subtree(name, short, notes) if name == "details" else keyword(name, short, notes)
    source["raw"] = health.raw
    source["cfg"] = _place(origin) | _noted(notes)
    return source


def _place(origin: Origin) -> dict[str, str]:
    parts = {"ingestMode": origin.mode, "bucket": origin.bucket, "key": origin.key, "topic": origin.topic}
    return {name: value for name, value in parts.items() if value}


def line(action: Mapping[str, Any], source: Mapping[str, Any]) -> bytes:
    """A line for `bulk`, which writes the time of ingestion behind it. `cfg` is the last field of `source`."""
    try:
        body, front = msgspec.json.encode(source), msgspec.json.encode(action)
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError, RecursionError):  # half of a surrogate pair
        body, front = dump(source).encode(), dump(action).encode()
    return b'%b\n%b%b"ingestTime":"' % (front, body[:-2], b"" if body.endswith(b"{}}") else b",")


def _shallow(item: Item) -> bool:
    """Whether no sub-tree can be too deep: most items have fewer brackets than that."""
    if item.raw.count("{") + item.raw.count("[") < MAX_DEPTH:
        return True
    return _levels(item.configuration, MAX_DEPTH) > 0 and _levels(item.supplementary, MAX_DEPTH) > 0


def _levels(value: Any, left: int) -> int:
    """How many of the levels are left below the deepest part of a value; 0 or less where there are none."""
    if left <= 0 or not isinstance(value, (dict, list)):
        return left
    inner = value.values() if isinstance(value, dict) else value
    return min([left, *(_levels(part, left - 1) for part in inner if isinstance(part, (dict, list)))])


def _capped(value: Any, levels: int) -> Any:
    """The value with what lies too deep as JSON text in its place."""
    if not isinstance(value, (dict, list)):
        return value
    if levels <= 0:
        return dump(value)
    if isinstance(value, dict):
        return {key: _capped(part, levels - 1) for key, part in value.items()}
    return [_capped(part, levels - 1) for part in value]
