"""What differs between two values, as paths: objects by key, lists by the identity of their elements, never by position.

An element is itself by an id that every element has (`[vol-1]` in the path), without one by its value. So one inserted
element is one difference, and a list in another order is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple

from audit_search.aws_config.values import ABSENT, MAX_DEPTH, canonical, cut, plain, written

Category = Literal["attribute", "relationship", "tag", "rule"]

IDENTITIES: Final[Sequence[tuple[str, ...]]] = (
    ("networkinterfaceid",),
    ("attachmentid",),
    ("devicename",),
    ("groupid",),
    ("rulenumber", "egress"),
    ("routetableassociationid",),
    ("destinationcidrblock",),
    ("arn",),
    ("id",),
    ("sid",),
    ("key",),
    ("tagkey",),
    ("cidrip",),
    ("cidripv6",),
    ("prefixlistid",),
    ("privateipaddress",),
    ("volumeid",),
    ("instanceid",),
    ("name",),
)
"""Keys, in lower case, that tell the elements of a list apart, the best first; several of a row do it together.

Behind them come keys named after the list (`policyId` in `policies`), then any that ends as an identity does.
"""

_ENDINGS: Final = ("Arn", "Id", "Identifier", "Name")
_MAX_IDENTITY_BYTES: Final = 250


class Difference(NamedTuple):
    """One value that differs; None where it was or is not there."""

    path: str
    before: Any
    after: Any
    category: Category = "attribute"


def capital(name: str) -> str:
    """A key as AWS Config writes it in a path: `instanceType` is `InstanceType`, in each part of a dotted key."""
    if "." in name:
        return ".".join(part[:1].upper() + part[1:] for part in name.split("."))
    return name[:1].upper() + name[1:]


def differences(path: str, before: Any, after: Any) -> list[Difference]:
    """What differs between two JSON values of any shape, in an order that depends on the values alone."""
    found: list[Difference] = []
    _compare(path, before, after, found, 0)
    return found


def _compare(path: str, before: Any, after: Any, found: list[Difference], depth: int) -> None:
    if same(before, after):
        return
    before, after = plain(before), plain(after)
    objects = isinstance(before, Mapping) + isinstance(after, Mapping)
    if objects == 2 and depth < MAX_DEPTH:
        for key in sorted(before.keys() | after.keys()):
            _compare(f"{path}.{capital(key)}", before.get(key), after.get(key), found, depth + 1)
    elif objects == 0 and depth < MAX_DEPTH and (isinstance(before, list) or isinstance(after, list)):
        _compare_lists(path, _elements(before), _elements(after), found, depth + 1)
    elif canonical(before) != canonical(after):
        found.append(Difference(path, before, after))


def same(before: Any, after: Any) -> bool:
    """Whether two values are the same to the letter: the quick answer for most of an item."""
    try:
        return bool(before == after)
    except RecursionError:
        return False


def _elements(value: Any) -> list[Any]:
    """The elements of a list; a scalar is a list of itself, as in policies (`"Action": "s3:GetObject"`)."""
    elements = [plain(element) for element in value] if isinstance(value, list) else [value]
    return [element for element in elements if element is not None]


def _compare_lists(path: str, before: list[Any], after: list[Any], found: list[Difference], depth: int) -> None:
    keys = identity(path.rpartition(".")[2], before, after)
    if not keys:
        _compare_by_value(path, before, after, found, depth)
        return
    old, new = ({label(element, keys): element for element in side} for side in (before, after))
    for name in sorted(old.keys() | new.keys()):
        _compare(f"{path}[{cut(name, _MAX_IDENTITY_BYTES)}]", old.get(name), new.get(name), found, depth)


def _compare_by_value(path: str, before: list[Any], after: list[Any], found: list[Difference], depth: int) -> None:
    removed, added = apart(before, after)
    if len(removed) == 1 == len(added) and _alike(removed[0], added[0]):
        _compare(path, removed[0], added[0], found, depth)
        return
    found += [Difference(path, element, None) for element in removed]
    found += [Difference(path, None, element) for element in added]


def apart(before: list[Any], after: list[Any]) -> tuple[list[Any], list[Any]]:
    """The elements that only one of two lists holds, each as often as it is missing in the other, in the order of values."""
    texts = [canonical(element) for element in before], [canonical(element) for element in after]
    return _only(before, *texts), _only(after, *reversed(texts))


def _only(elements: list[Any], texts: list[str], others: list[str]) -> list[Any]:
    held = Counter(others)
    left = []
    for text, element in zip(texts, elements, strict=True):
        if held[text] > 0:
            held[text] -= 1
        elif text != ABSENT:
            left.append((text, element))
    left.sort(key=itemgetter(0))
    return [element for _, element in left]


def _alike(before: Any, after: Any) -> bool:
    """Whether two elements without identity are rather one that was changed: they agree in half of their keys at least."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return False
    agreed = sum(canonical(before[key]) == canonical(after[key]) for key in before.keys() & after.keys())
    return agreed > 0 and agreed * 2 >= max(len(before), len(after))


def identity(name: str, before: Sequence[Any], after: Sequence[Any]) -> tuple[str, ...]:
    """The keys that tell the elements of both lists apart: each element has them, none twice. Empty where there are none.

    `name` is the list's own name. The choice does not depend on the order of the elements or of the two lists.
    """
    elements = [*before, *after]
    if not elements or not all(isinstance(element, Mapping) for element in elements):
        return ()
    common = set(elements[0])
    for element in elements:
        common &= element.keys()
    for keys in _candidates(name, common):
        if all(_identifies(element[key], len(keys)) for element in elements for key in keys) and all(
            len({label(element, keys) for element in side}) == len(side) for side in (before, after)
        ):
            return keys
    return ()


def _identifies(value: Any, parts: int) -> bool:
    """Whether a value may be an identity, or one part of it: a bool is none alone."""
    return value != "" and isinstance(value, (str, int)) and (parts > 1 or not isinstance(value, bool))


def _candidates(name: str, common: set[str]) -> list[tuple[str, ...]]:
    named = {key.lower(): key for key in sorted(common)}
    chosen = [tuple(named[key] for key in row) for row in IDENTITIES if all(key in named for key in row)]
    lower = name.partition("[")[0].lower()
    singular = lower[:-3] + "y" if lower.endswith("ies") else lower.removesuffix("s")
    chosen += [(named[key],) for ending in _ENDINGS if (key := singular + ending.lower()) in named]
    # `volumeId` and `VolumeID`, not `valid`.
    chosen += [(key,) for ending in _ENDINGS for key in sorted(common) if key.endswith((ending, ending.upper()))]
    return chosen


def label(element: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """An element's identity as text: `vol-1`, or `100/true` where two keys make it."""
    return "/".join(value if isinstance(value := element[key], str) else written(value) for key in keys)
