"""One configuration item of AWS Config, whatever its dialect: stream, history, snapshot or API form.

https://docs.aws.amazon.com/config/latest/developerguide/config-item-table.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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
        text = f"{self.resource}|{self.captured}|{self.state_id}"
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    @property
    def rank(self) -> int:
        """The order of a resource's versions: ms x 2^20 + a tie-break that depends on the version alone. Fits a long."""
        return (self.captured << 20) | int(self.identity[:5], 16)
