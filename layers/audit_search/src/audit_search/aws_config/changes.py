"""What changed between two versions of a resource, as the AWS Config console tells it.

Attributes have a path (`Configuration.InstanceType  "m3.xlarge" -> "m3.medium"`); a relationship's path is the type of the
related resource (`AWS::EC2::Volume  null -> "vol-caf71781"`); a security group's rules are lines (`+ ingress tcp 22 from
0.0.0.0/0`). A message that brings its own diff and two neighbouring versions give the same changes.
https://docs.aws.amazon.com/config/latest/developerguide/view-manage-resource-console.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from audit_search.aws_config.comparison import Category, Difference, capital, differences, same
from audit_search.aws_config.items import Item, Relationship
from audit_search.aws_config.paths import RELATIONSHIPS, relationships, spots
from audit_search.aws_config.rules import DIRECTIONS, SECURITY_GROUP, compare_permissions
from audit_search.aws_config.values import cut, plain, shown

MAX_CHANGES: Final = 1_000
"""Changes of one item; the last one counts those beyond."""

MAX_PATH_BYTES: Final = 1_000
_MAX_LINE_BYTES: Final = 200  # of each value in a line for people

_NUMBER_OR_BOOL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false", re.ASCII)

_CREATED: Final = "ResourceDiscovered"
_ALIVE: Final = "OK"
_STATUS: Final = "status"
_REST: Final = "(more)"
_ORDER: Final[Mapping[Category, int]] = {"rule": 1, "relationship": 2, "tag": 3, "attribute": 4}

_TAG_LISTS: Final = frozenset(
    f"{section}.{name}" for section in ("Configuration", "SupplementaryConfiguration") for name in ("Tags", "TagList", "TagSet")
)
_TAG_KEYS: Final = ("key", "tagkey", "tagname")
_TAG_VALUES: Final = ("value", "tagvalue")


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `before` and `after` are texts as they are, JSON for anything else, None where there is no value;
    at most 8,000 bytes each.
    """

    path: str
    kind: Literal["added", "removed", "changed"]
    before: str | None
    after: str | None
    category: Category

    @property
    def text(self) -> str:
        """One line for people; long values are shortened."""
        if self.path == _REST:
            return self.after or ""
        if self.category == "rule" and self.path in DIRECTIONS:
            return f"- {self.before}" if self.after is None else f"+ {self.after}"
        sides = (self.before, self.after)
        # A number and a text of digits look alike here, so a pair is written in one way.
        bare = all(side is None or _NUMBER_OR_BOOL.fullmatch(side) for side in sides)
        return "{}  {} -> {}".format(self.path, *(_line_value(side, bare) for side in sides))


def _line_value(value: str | None, bare: bool) -> str:
    if value is None:
        return "null"
    text = cut(value, _MAX_LINE_BYTES)
    return text if bare or value[:1] in ("{", "[") else json.dumps(text, ensure_ascii=False)


def between(before: Item | None, after: Item) -> tuple[Change, ...]:
    """The changes from one version to the next; `before` is None where `after` is the first version known.

    A resource that was created or deleted is one change, `status`, with the relationships that a deletion ended: its
    attributes are in the version itself or in the one before.
    """
    if before is None:
        return _changes([Difference(_STATUS, None, after.status)] if after.status == _CREATED else [])
    # Some items of deleted resources still list what they were related to.
    earlier, later = (() if item.deleted else item.relationships for item in (before, after))
    found = _status(before, after) + _relationships(earlier, later)
    if before.deleted or after.deleted:
        return _changes(found)
    if found and found[0].path == _STATUS and None in (before.configuration, after.configuration):
        return _changes(found)
    found += _field("ResourceName", before.name, after.name)
    for name, old, new in (("ARN", before.arn, after.arn), ("AvailabilityZone", *map(_zone, (before, after)))):
        found += _field(name, old, new) if old and new else []  # some dialects leave them out
    found += _compare_at("Configuration", before.configuration, after.configuration, after)
    found += _compare_at("SupplementaryConfiguration", before.supplementary, after.supplementary, after)
    return _changes(found + _compare_at("Tags", before.tags, after.tags, after))


def _status(before: Item, after: Item) -> list[Difference]:
    old, new = (_ALIVE if item.status in (_ALIVE, _CREATED) else item.status for item in (before, after))
    return [] if old == new or (before.deleted and after.deleted) else [Difference(_STATUS, old, new)]


def _zone(item: Item) -> str:
    return "" if item.availability_zone == "Not Applicable" else item.availability_zone


def _field(name: str, before: str, after: str) -> list[Difference]:
    return [] if before == after else [Difference(name, before or None, after or None)]


def _relationships(before: Iterable[Relationship], after: Iterable[Relationship]) -> list[Difference]:
    """The related resources that came or went. How they are related is worded differently by the dialects."""

    def names(side: Iterable[Relationship]) -> dict[tuple[str, str, int], str]:
        seen: dict[tuple[str, str, int], str] = {}
        for related in side:
            name, number = related.id or related.name, 0
            while (key := (related.type.casefold(), name, number)) in seen:
                number += 1
            seen[key] = related.type or RELATIONSHIPS
        return seen

    old, new = names(before), names(after)
    found = [Difference(old[key], key[1], None, "relationship") for key in sorted(old.keys() - new.keys())]
    return found + [Difference(new[key], None, key[1], "relationship") for key in sorted(new.keys() - old.keys())]


def _compare_at(path: str, before: Any, after: Any, item: Item) -> list[Difference]:
    """What differs at a path below the item: rules and tags where they are, attributes anywhere else."""
    if same(before, after):
        return []
    before, after = plain(before), plain(after)
    if path == "Tags" or path in _TAG_LISTS:
        old, new = _tags(before), _tags(after)
        if old is not None and new is not None:
            return [
                Difference(f"Tags.{key}", old.get(key), new.get(key), "tag")
                for key in sorted(old.keys() | new.keys())
                if shown(old.get(key)) != shown(new.get(key))  # written by people: `True` is not `true`
            ]
    if path in DIRECTIONS and item.type.casefold() == SECURITY_GROUP:
        return compare_permissions(path, before, after, item.account)
    if path in ("Configuration", "SupplementaryConfiguration") and isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[Difference] = []
        for key in sorted(before.keys() | after.keys()):
            found += _compare_at(f"{path}.{capital(key)}", before.get(key), after.get(key), item)
        return found
    return differences(path, before, after)


def _tags(value: Any) -> dict[str, Any] | None:
    """Tags as a mapping, of a mapping or of a list of keys and values. None where it is neither."""
    if isinstance(value, Mapping):
        return None if any(isinstance(text, (Mapping, list)) for text in value.values()) else dict(value)
    tags: dict[str, Any] = {}
    for element in value if isinstance(value, list) else [] if value is None else [value]:
        fields = {name.lower(): part for name, part in element.items()} if isinstance(element, Mapping) else {}
        key = next((fields[name] for name in _TAG_KEYS if name in fields), None)
        text = next((part for name in _TAG_VALUES if (part := fields.get(name)) is not None), "")
        if not isinstance(key, str) or key in tags or isinstance(text, (Mapping, list)):
            return None
        tags[key] = text
    return tags


def _changes(found: Sequence[Difference]) -> tuple[Change, ...]:
    """The differences as changes: each once, in the order of category and path, bounded."""
    changes = {_change(difference) for difference in found}
    ordered = sorted(changes, key=_order)
    if len(ordered) <= MAX_CHANGES:
        return tuple(ordered)
    kept = ordered[: MAX_CHANGES - 1]
    count = f"{len(ordered) - len(kept):,} more changes"
    return (*kept, Change(_REST, "changed", None, count, "attribute"))


def _order(change: Change) -> tuple[int, str, bool, str, str]:
    section = 0 if change.path == _STATUS else _ORDER[change.category]
    return section, change.path, change.before is None, change.before or "", change.after or ""


def _change(difference: Difference) -> Change:
    before, after = shown(difference.before), shown(difference.after)
    kind: Literal["added", "removed", "changed"] = "added" if before is None else "removed" if after is None else "changed"
    return Change(cut(difference.path, MAX_PATH_BYTES), kind, before, after, difference.category)


def from_message(diff: Mapping[str, Any], item: Item) -> tuple[Change, ...]:
    """The changes that a message's `configurationItemDiff` tells of, in the form that `between` gives them.

    The keys are dotted paths; a list's entries have a number behind (`Relationships.0`), which is not their position. A
    removed and an added entry that are the same resource or element are compared with each other.
    """
    properties = diff.get("changedProperties")
    found: list[Difference] = []
    related: list[Difference] = []
    created = diff.get("changeType") == "CREATE" and not item.deleted
    alive = not created and not item.deleted and diff.get("changeType") != "DELETE"
    for place in spots(properties, item) if isinstance(properties, Mapping) else ():
        if place.path == RELATIONSHIPS:
            related += _relationships(relationships(place.before), relationships(place.after))
        elif alive:
            found += _compare_at(place.path, place.before, place.after, item)
    if not alive:
        found.append(Difference(_STATUS, None if created else _ALIVE, item.status))
    return _changes(found + related)
