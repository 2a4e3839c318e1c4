"""The one way to read a hit: engines differ in how they give back fields whose names have dots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def field(source: Any, name: str) -> Any:
    """The value of a dotted field of a `_source`, or None.

    A real node gives `{"userIdentity.arn": …}` as it was sent, osmem gives `{"userIdentity": {"arn": …}}`; `ct` is an
    object in both. Of an array of objects it gives the list of their values.
    """
    if isinstance(source, list):
        values = [value for value in (field(entry, name) for entry in source) if value is not None]
        return values or None
    if not isinstance(source, Mapping):
        return None
    if name in source:
        return source[name]
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        value = field(source.get(".".join(parts[:length])), ".".join(parts[length:]))
        if value is not None:
            return value
    return None


def text(source: Any, name: str) -> str:
    """The field as a text: empty when it is absent, comma-separated when there are several values."""
    value = field(source, name)
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(str(entry) for entry in value)
    return str(value)
