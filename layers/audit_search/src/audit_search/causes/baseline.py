"""What people would do without scores: the nearest write before the version whose record holds the resource's id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from audit_search.aws_config.dialects import milliseconds
from audit_search.causes.versions import Version


def nearest(version: Version, records: Iterable[Mapping[str, Any]]) -> str | None:
    """The id of that event, or None."""
    best: tuple[int, str] | None = None
    for record in records:
        time = milliseconds(record.get("eventTime"))
        if record.get("readOnly") is True or not 0 <= version.captured - time <= 24 * 3_600_000:
            continue
        if version.resource_id in msgspec.json.encode(record).decode() and (best is None or time >= best[0]):
            best = (time, str(record.get("eventID")))
    return best[1] if best else None
