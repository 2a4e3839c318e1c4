"""A resource as AWS Config records it: items, each with what it changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .actors import PRODUCTION, Json
from .calls import FRANKFURT

Diff = dict[str, tuple[object, object]]


@dataclass(frozen=True)
class Version:
    """A version of a resource as the stream has it: the item, and `configurationItemDiff` (None: the message has null)."""

    item: Json
    diff: Json | None

    @property
    def captured(self) -> datetime:
        return datetime.fromisoformat(str(self.item["configurationItemCaptureTime"]))


@dataclass
class Resource:
    """A resource's versions, made one after the other from what changes."""

    kind: str
    identity: str
    arn: str
    created: str | None
    configuration: Json
    name: str | None = None
    zone: str = "Not Applicable"
    region: str = FRANKFURT
    relationships: list[Json] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    supplementary: Json = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)

    def record(self, at: str, changes: Diff | None = None, status: str = "", related: tuple[str, ...] = ()) -> Version:
        """The version of `at` (`2026-11-03T08:14:58.412`); the first is a discovery, the last a deletion."""
        deleted = status == "ResourceDeleted"
        captured = datetime.fromisoformat(at).replace(tzinfo=UTC)
        epoch = int(captured.timestamp()) * 1000 + captured.microsecond // 1000
        item: Json = {
            "relatedEvents": list(related),
            "relationships": [] if deleted else [dict(one) for one in self.relationships],
            "configuration": None if deleted else dict(self.configuration),
            "supplementaryConfiguration": {} if deleted else dict(self.supplementary),
            "tags": {} if deleted else dict(self.tags),
            "configurationItemVersion": "1.3",
            "configurationItemCaptureTime": f"{at}Z",
            "configurationStateId": epoch,
            "awsAccountId": PRODUCTION,
            "configurationItemStatus": status or ("OK" if self.versions else "ResourceDiscovered"),
            "resourceType": self.kind,
            "resourceId": self.identity,
            "resourceName": self.name,
            "ARN": self.arn,
            "awsRegion": self.region,
            "availabilityZone": None if deleted else self.zone,
            "configurationStateMd5Hash": hashlib.md5(f"{self.identity}{epoch}".encode(), usedforsecurity=False).hexdigest(),
            "resourceCreationTime": None if deleted else self.created,
        }
        change = "DELETE" if deleted else "UPDATE" if self.versions else "CREATE"
        version = Version(item, {"changedProperties": _properties(changes or {}), "changeType": change})
        self.versions.append(version)
        return version


def _properties(changes: Diff) -> Json:
    return {
        path: {
            "previousValue": before,
            "updatedValue": after,
            "changeType": "CREATE" if before is None else "DELETE" if after is None else "UPDATE",
        }
        for path, (before, after) in changes.items()
    }


def related(kind: str, identity: str, how: str, name: str | None = None) -> Json:
    return {"resourceId": identity, "resourceName": name, "resourceType": kind, "name": how}


def ec2(kind: str, identity: str) -> str:
    return f"arn:aws:ec2:{FRANKFURT}:{PRODUCTION}:{kind}/{identity}"
