"""Names and values as they compare: `DBInstances` and `dBInstance`, `%7B%22Version` and `{"Version"`, `true` and True."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[A-Z]", re.ASCII)
_MAX_TEXT: Final = 20_000
_MAX_LEVELS: Final = 24
_WRAPPERS: Final = frozenset({"value", "values", "items", "item", "member", "members", "enabled"})
"""Keys that say nothing of their own: the key around them is the name. CloudTrail wraps EC2's lists and attributes in them."""

Leaf = tuple[tuple[str, ...], str]
"""The keys around a value, outermost first and without positions, and the value as text."""


@lru_cache(maxsize=4_096)
def words(name: str) -> frozenset[str]:
    """The stems of the words in a name: `AttachRolePolicy` -> attach, role, policy."""
    return frozenset(stem(word) for word in _WORD.findall(name) if len(word) > 1)


def stem(word: str) -> str:
    """A word without its case and its commonest endings, so that `policies` is `policy`, and `attached` is `attach`."""
    text = word.lower()
    if text.endswith("ies") and len(text) > 4:
        return text[:-3] + "y"
    if text.endswith("s") and not text.endswith(("ss", "us", "is")) and len(text) > 3:
        text = text[:-1]
    for ending in ("ing", "ed", "ment"):
        if text.endswith(ending) and len(text) > len(ending) + 3:
            return text[: -len(ending)]
    return text


def shown(value: Any) -> str:
    """A scalar as text that compares: numbers and booleans as JSON has them, all in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip().casefold()
    return text[:-2] if text.endswith(".0") and text[:-2].isdecimal() else text


def leaves(value: Any, keys: tuple[str, ...] = (), levels: int = _MAX_LEVELS) -> Iterator[Leaf]:
    """The values in a tree. Text that is itself JSON, as it is or URL-encoded, is a tree too: policies are written so."""
    if value is None or levels <= 0:
        return
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, (*keys, str(key).casefold()), levels - 1)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part, keys, levels - 1)
    elif isinstance(value, str) and (inner := _tree(value)) is not None:
        yield from leaves(inner, keys, levels - 1)
    else:
        yield keys, shown(value)


def label(keys: tuple[str, ...]) -> str:
    """The name of a value: the last of its keys that says something."""
    return next((key for key in reversed(keys) if key not in _WRAPPERS), keys[-1] if keys else "")


def _tree(text: str) -> Any:
    if len(text) > _MAX_TEXT or not text:
        return None
    if text[:3].lower() in ("%7b", "%5b"):
        text = unquote(text)
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
