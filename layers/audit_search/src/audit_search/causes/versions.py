"""A version of a resource that somebody or something made: what is known of it when its cause is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from audit_search.aws_config.changes import Change
from audit_search.aws_config.dialects import milliseconds
from audit_search.causes.shapes import source, unique
from audit_search.causes.words import Leaf, leaves

_MOST_LOOKUPS: Final = 100

What = Literal["created", "changed", "deleted"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version. Times are ms since 1970 (UTC).

    `since` is when the version before was captured, 0 where none is known. `changes` are those to it, as `aws_config.changes`
    gives them; `content` are the values of a version that is the first. `related` are the types and the ids (or names) of the
    resources that this one is or was related to, `names` the ids and names of those that have both.
    """

    id: str
    account: str
    region: str
    type: str
    resource_id: str
    captured: int
    what: What
    name: str = ""
    arn: str = ""
    since: int = 0
    created: int = 0
    changes: tuple[Change, ...] = ()
    content: frozenset[Leaf] = frozenset()
    related: frozenset[tuple[str, str]] = frozenset()
    names: frozenset[tuple[str, str]] = frozenset()
    related_events: tuple[str, ...] = ()

    @property
    def lookups(self) -> tuple[tuple[str, str], ...]:
        """What to search CloudTrail's events for: texts of which each cause of this version holds one, and the source of the
        events to search for it, empty for all: a name is searched for in the events of its own service only."""
        own = ((self.type, text) for text in (self.resource_id, self.arn, self.name))
        moved = [
            (change.path, text)
            for change in self.changes
            if change.category == "relationship"
            for side in (change.before, change.after)
            if side
            for text in (side, self.name_of(side))
        ]
        around = sorted(self.related) if self.what != "changed" else []
        sides = [side for change in self.changes for side in (change.before, change.after)]
        held = [("", text) for side in sides for _, text in leaves(side) if unique(text)]
        wanted = [
            (text, "" if unique(text.casefold()) else f"{source(kind)}.amazonaws.com")
            for kind, text in (*own, *moved, *around, *held)
            if text
        ]
        return tuple(dict.fromkeys(wanted))[:_MOST_LOOKUPS]

    def name_of(self, identifier: str) -> str:
        """The name of a related resource, empty where none is known."""
        return next((name for other, name in self.names if other == identifier), "")


def of_document(identity: str, body: Mapping[str, Any], since: int = 0) -> Version:
    """A version of its document in `config-history` (see `aws_config.documents`).

    Raises LookupError, ValueError or TypeError for what is no such document.
    """
    cfg = body["cfg"]
    changes = tuple(
        Change(one["path"], one["kind"], one.get("before"), one.get("after"), one["category"]) for one in cfg.get("changes") or ()
    )
    first = cfg.get("changesFrom") == "first" or any(change.path == "status" and change.before is None for change in changes)
    what: What = "deleted" if cfg.get("deleted") else "created" if first else "changed"
    related = {
        (str(one.get("resourceType") or ""), str(one.get("resourceId") or one.get("resourceName")))
        for one in body.get("relationships") or ()
    }
    related |= {
        (change.path, value)
        for change in changes
        if change.category == "relationship"
        for value in (change.before, change.after)
        if value
    }
    captured = milliseconds(body["configurationItemCaptureTime"])
    if not captured:
        raise ValueError("configurationItemCaptureTime is no time")
    return Version(
        id=identity,
        account=str(body["awsAccountId"]),
        region=str(body["awsRegion"]),
        type=str(body["resourceType"]),
        resource_id=str(body["resourceId"]),
        name=str(body.get("resourceName") or ""),
        arn=str(body.get("ARN") or ""),
        captured=captured,
        since=since,
        created=milliseconds(body.get("resourceCreationTime")),
        what=what,
        changes=changes,
        content=frozenset(_content(body)) if what == "created" else frozenset(),
        related=frozenset(related),
        names=frozenset(
            (str(one["resourceId"]), str(one["resourceName"]))
            for one in body.get("relationships") or ()
            if one.get("resourceId") and one.get("resourceName")
        ),
        related_events=tuple(map(str, body.get("relatedEvents") or ())),
    )


def _content(body: Mapping[str, Any]) -> list[Leaf]:
    trees = ("configuration", "supplementaryConfiguration", "tags")
    return [leaf for name in trees for leaf in leaves(body.get(name), (name.casefold(),))]
