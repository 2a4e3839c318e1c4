"""Whether a saved object is as we ship it, as an earlier release shipped it, or as somebody edited it.

Dashboards keeps `attributes.version` of an object as it is imported and reads nothing out of it. It holds a number made of the
rest of the object: where that no longer fits, somebody has saved the object since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Literal

State = Literal["current", "older", "edited"]
_VERSION: Final = "version"
_TEXTS: Final = (
    *("visState", "uiStateJSON", "panelsJSON", "optionsJSON", "searchSourceJSON"),
    *("fields", "fieldFormatMap", "sourceFilters", "typeMeta"),
)
"""The attributes that are JSON within JSON: Dashboards writes them anew with other spaces and another order."""
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


def content(one: Mapping[str, Any]) -> dict[str, Any]:
    """What an object says, without what Dashboards adds to it by itself: an answer of its API or an object of ours.

    How often a field was looked at, which it counts in the index pattern, is left out.
    """
    attributes = _plain({key: value for key, value in (one.get("attributes") or {}).items() if key != _VERSION})
    references = sorted(
        (str(each.get("name")), str(each.get("type")), str(each.get("id"))) for each in one.get("references") or []
    )
    return {"type": one.get("type"), "attributes": attributes, "references": [list(each) for each in references]}


def mark(one: Mapping[str, Any]) -> int:
    """The number for an object's `attributes.version`: 31 bits, for that is an integer in Dashboards' mapping."""
    text = json.dumps(content(one), sort_keys=True, ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


def state(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> State:
    """What has become of an object of ours."""
    if content(found) == content(wanted):
        return "current"
    return "older" if (found.get("attributes") or {}).get(_VERSION) == mark(found) else "edited"


def _plain(value: Any, name: str = "") -> Any:
    if name in _TEXTS and isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value
        if name == "fields" and isinstance(value, list):
            value = {str(one.get("name")): {**one, "count": 0} for one in value if isinstance(one, Mapping)}
    if isinstance(value, Mapping):
        parts = {str(key): _plain(part, str(key)) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part not in _EMPTY}
    return [_plain(part) for part in value] if isinstance(value, list) else value
