"""What a key of a message's `configurationItemDiff` points at: `Relationships.0`, `Configuration.State.Name`, `Tags.Env`.

A number at the end numbers an entry of the list that is named before it; it is no position in either version. The item of
the same message says what is a list and what an object, and gives the entries that did not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audit_search.aws_config.comparison import apart, capital, identity, label
from audit_search.aws_config.items import Item, Relationship
from audit_search.aws_config.values import MAX_DEPTH, plain

RELATIONSHIPS: Final = "Relationships"

_ROOTS: Final[Mapping[str, str]] = {
    name.lower(): name for name in ("Configuration", "SupplementaryConfiguration", "Tags", RELATIONSHIPS, "ARN", "ResourceName")
} | {"configurationitemstatus": "status"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the item, and what the message says was and is there."""

    path: str
    before: Any
    after: Any


def spots(properties: Mapping[str, Any], item: Item) -> list[Spot]:
    """The places of `changedProperties`, in an order that depends on the keys alone.

    The entries of one list are one place: with the whole list before and after where the item agrees with the message, else
    with the entries that it names.
    """
    found: list[Spot] = []
    lists: dict[tuple[str, ...], tuple[list[Any], list[Any]]] = {}
    for key in sorted(properties):
        before, after = _sides(properties[key])
        root, *rest = key.split(".", MAX_DEPTH)
        segments = (_ROOTS.get(root.lower(), capital(root)), *rest)
        entry = len(rest) > 0 and rest[-1].isdecimal() and not isinstance(_resolved(item, segments[:-1])[1], Mapping)
        if segments[0] == "Tags" and rest and not (rest[-1].isdecimal() and _mappings(before, after)):
            name = _tag_name(".".join(rest), item)
            found.append(Spot("Tags", {name: before}, {name: after}))
        elif entry or (segments[0] in (RELATIONSHIPS, "Tags") and rest):
            removed, added = lists.setdefault(segments[:-1], ([], []))
            removed += [] if before is None else [before]
            added += [] if after is None else [after]
        else:
            found.append(Spot(_resolved(item, segments)[0], before, after))
    for segments, (removed, added) in lists.items():
        path, now = _resolved(item, segments)
        if isinstance(now, list):
            strange, others = apart(added, now)
            removed, added = (removed, added) if strange else ([*others, *removed], now)
        found.append(Spot(path, removed, added))
    return found


def _sides(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, Mapping):
        return None, value
    return value.get("previousValue"), value.get("updatedValue")


def _mappings(*values: Any) -> bool:
    return any(isinstance(value, Mapping) for value in values)


def _tag_name(name: str, item: Item) -> str:
    """A tag's key as the item has it: a message may begin it with a capital."""
    return next((key for key in (name, name[:1].lower() + name[1:]) if key in item.tags), name)


def _resolved(item: Item, segments: Sequence[str]) -> tuple[str, Any]:
    """The path for readers, and the item's own value there, None where it has none."""
    roots = {"Configuration": item.configuration, "SupplementaryConfiguration": item.supplementary, "Tags": item.tags}
    path, value = segments[0], plain(roots.get(segments[0]))
    at = 1
    while at < len(segments):
        segment = segments[at]
        at += 1
        if isinstance(value, Mapping):
            key, at = _key(value, segments, at - 1)
            path += f".{capital(key)}"
            value = plain(value.get(key))
        elif segment.isdecimal():
            name, value = _element(path, value, segment)
            path += f"[{name}]"
        else:
            path += f".{capital(segment)}"
            value = None
    return path, value


def _key(value: Mapping[str, Any], segments: Sequence[str], at: int) -> tuple[str, int]:
    """The object's key that the segments begin with, and where they go on: a key may hold dots itself."""
    for end in range(at + 1, len(segments) + 1):
        name = ".".join(segments[at:end])
        for key in (name, name[:1].lower() + name[1:]):
            if key in value:
                return key, end
    named = {capital(key): key for key in value}
    return named.get(capital(segments[at]), segments[at]), at + 1


def _element(path: str, value: Any, number: str) -> tuple[str, Any]:
    if not isinstance(value, list) or len(number) > 9 or int(number) >= len(value):
        return number, None
    elements = [plain(element) for element in value]
    keys = identity(path.rpartition(".")[2], elements, elements)
    element = elements[int(number)]
    return (label(element, keys) if keys else number), element


def relationships(value: Any) -> Iterator[Relationship]:
    """The relationships among a diff's values; what is not one is left out."""
    for element in value if isinstance(value, list) else [value]:
        fields = plain(element)
        if not isinstance(fields, Mapping):
            continue
        kind, name, identifier, wording = (
            text if isinstance(text := fields.get(key), str) else ""
            for key in ("resourceType", "resourceName", "resourceId", "name")
        )
        wording = wording or str(fields.get("relationshipName") or "")
        if identifier or name:
            yield Relationship(kind, identifier, name, wording)
