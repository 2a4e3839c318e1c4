"""What the raw samples of AWS Config hold, found without any of our own code: for counts that are compared with the engine's.

Whatever a message is wrapped in, it is JSON within JSON: every text that is an object is looked into. An item of a stream, a
history or a snapshot is told by its fields, under all the names that AWS Config has given them.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_REGION = re.compile(r"\b[a-z]{2}(?:-gov)?-[a-z]+-\d\b")
_FIRST = 1_356_998_400_000  # 2013, in milliseconds: AWS Config is younger
_GONE = ("ResourceDeleted", "ResourceDeletedNotRecorded")
Found = dict[str, Any]


@dataclass(frozen=True)
class Sources:
    """Messages as they are sent, and objects with their keys."""

    messages: tuple[Any, ...]
    objects: tuple[tuple[str, bytes], ...]

    def values(self) -> Iterator[tuple[Any, str]]:
        """Each value, with the key of the object that it is in."""
        for message in self.messages:
            yield message, ""
        for key, raw in self.objects:
            yield json.loads(gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw), key


def versions(sources: Sources) -> list[Found]:
    """Each version of each resource once: its type, id, account, region, time, whether the resource is gone, and whether AWS
    Config says that it is a change: one that came without a difference, as in a snapshot, may be the first that is known."""
    found: dict[tuple[str, ...], Found] = {}
    changed = set(_told(sources))
    for value, key in sources.values():
        for item in _items(value):
            one = _version(item, key)
            one["changed"] = _name(one) in changed
            found.setdefault((one["awsAccountId"], one["resourceType"], one["resourceId"], one["at"], one["state"]), one)
    return list(found.values())


def latest(sources: Sources) -> list[Found]:
    """The last version of each resource."""
    found: dict[tuple[str, ...], Found] = {}
    for one in sorted(versions(sources), key=lambda one: one["at"]):
        found[one["awsAccountId"], one["awsRegion"], one["resourceType"], one["resourceId"]] = one
    return list(found.values())


def compliance(sources: Sources) -> list[Found]:
    """Each change of compliance once."""
    found = {}
    for value, _ in sources.values():
        for one in _dicts(value):
            if one.get("messageType") == "ComplianceChangeNotification":
                found[json.dumps(one, sort_keys=True)] = {
                    "configRuleName": one["configRuleName"],
                    "complianceType": one["newEvaluationResult"]["complianceType"],
                    "eventTime": one["notificationCreationTime"],
                }
    return list(found.values())


def told_changes(sources: Sources) -> Iterator[tuple[tuple[str, str, str], str]]:
    """What AWS Config itself says has changed: the version, and the path, without those into lists."""
    seen = set()
    for value, key in sources.values():
        for one in _dicts(value):
            item, diff = one.get("configurationItem"), one.get("configurationItemDiff")
            if not isinstance(item, dict) or not isinstance(diff, dict):
                continue
            version = _version(item, key)
            for path, change in (diff.get("changedProperties") or {}).items():
                told = (version["resourceType"], version["resourceId"], version["at"]), path
                if not re.search(r"\.\d+(\.|$)", path) and change.get("changeType") == "UPDATE" and told not in seen:
                    seen.add(told)
                    yield told


def _told(sources: Sources) -> Iterator[tuple[str, ...]]:
    """The versions that came with a difference that says something."""
    for value, key in sources.values():
        for one in _dicts(value):
            item, diff = one.get("configurationItem"), one.get("configurationItemDiff")
            told = isinstance(diff, dict) and (diff.get("changedProperties") or diff.get("changeType") in ("CREATE", "DELETE"))
            if told and isinstance(item, dict):
                yield _name(_version(item, key))


def _name(version: Found) -> tuple[str, ...]:
    return version["cfg.resource"], version["at"]


def _version(item: Mapping[str, Any], key: str) -> Found:
    named = {name.lower(): value for name, value in item.items()}
    at, account = _at(named, key), str(named.get("awsaccountid") or named.get("accountid"))
    region = named.get("awsregion") or _REGION.findall(f"{named.get('arn') or ''} {key}")[0]
    return {
        "resourceType": item["resourceType"],
        "resourceId": item["resourceId"],
        "awsAccountId": account,
        "awsRegion": region,
        "configurationItemCaptureTime": at.isoformat(),
        "at": at.isoformat(),
        "state": str(named.get("configurationstateid")),
        "cfg.resource": f"{account}/{region}/{item['resourceType']}/{item['resourceId']}",
        "cfg.deleted": item["configurationItemStatus"] in _GONE,
    }


def _items(value: Any) -> Iterator[Found]:
    for one in _dicts(value):
        for item in (one.get("configurationItem"), *(one.get("configurationItems") or [])):
            if isinstance(item, dict) and item.get("resourceId"):
                yield item


def _at(named: Mapping[str, Any], key: str) -> datetime:
    """When a version was captured: by its own word, by its state id where that is a time, or when its object was delivered."""
    with contextlib.suppress(TypeError, ValueError):
        return datetime.fromisoformat(named["configurationitemcapturetime"]).astimezone(UTC)
    with contextlib.suppress(TypeError, ValueError):
        if (milliseconds := float(named["configurationstateid"])) > _FIRST:
            return datetime.fromtimestamp(milliseconds / 1_000, UTC)
    return datetime.strptime(re.findall(r"_(\d{8}T\d{6}Z)_", key)[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _dicts(value: Any) -> Iterator[Found]:
    """Every object in a value, and in each text of it that is JSON."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        yield value
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    for part in inner:
        yield from _dicts(part)
