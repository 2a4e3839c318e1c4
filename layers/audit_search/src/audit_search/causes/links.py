"""How links are kept: a document for each version in `config-causes`, and `cfg.causedBy` in the version's own.

Both have the same fields, arrays in one order, best link first: `eventId`, `eventName`, `caller`, `kind`, `score`, `reason` and
more, of the links that are more likely right than wrong. `links` has the possible ones too, as objects that are not searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from audit_search.aws_config.dialects import milliseconds
from audit_search.aws_config.documents import CAUSES, instant, month
from audit_search.causes.scoring import Explanation, Link
from audit_search.causes.versions import Version
from audit_search.rebuild import dump, utf8_cut

LOOKS: Final = (20 * 60_000, 2 * 3_600_000, 26 * 3_600_000)
"""When a version is looked at again, in ms after it was first: for events that come later than it did."""
_MAX_TEXT: Final = 1_000
_MAX_CAUSES: Final = 20


def causes_index(prefix: str, captured: int) -> str:
    """Where the links of a version of that time (ms) are."""
    return f"{prefix}{CAUSES}-{month(captured)}"


def caused_by(explanation: Explanation) -> dict[str, Any]:
    """What a version is caused by, as its document says it: the causes, or why there are none."""
    links = explanation.causes[:_MAX_CAUSES]
    found: dict[str, Any] = {"verdict": explanation.verdict}
    if not links:
        return found | {"reason": [utf8_cut(explanation.reason, _MAX_TEXT)]}
    return found | {
        "eventId": [link.event for link in links],
        "eventName": [link.name for link in links],
        "eventSource": [link.source for link in links],
        "eventTime": [instant(link.time) for link in links],
        "caller": [utf8_cut(link.caller, _MAX_TEXT) for link in links],
        "service": [link.service for link in links if link.service],
        "kind": [link.kind for link in links],
        "score": [link.score for link in links],
        "reason": [utf8_cut("; ".join(link.reasons), _MAX_TEXT) for link in links],
    }


def document(version: Version, explanation: Explanation, ingested: str, first: int, now: int) -> dict[str, Any]:
    """The links of a version. `ingested` is the time of ingestion of its document, as that has it; `first` (ms) is when it was
    first looked at, `now` (ms) this time."""
    due = next((first + after for after in LOOKS if first + after > now), None)
    source: dict[str, Any] = {
        "version": version.id,
        "awsAccountId": version.account,
        "awsRegion": version.region,
        "resourceType": version.type,
        "resourceId": version.resource_id,
        "configurationItemCaptureTime": instant(version.captured),
        "causedBy": caused_by(explanation),
        "links": [_possible(link) for link in explanation.links],
        "state": {"versionIngestTime": ingested, "firstTime": instant(first)} | ({"dueTime": instant(due)} if due else {}),
    }
    for name, value in (("resourceName", version.name), ("ARN", version.arn)):
        source |= {name: value} if value else {}
    return source


def first_look(state: Mapping[str, Any], now: int) -> int:
    """When a version was first looked at (ms), `now` where it was not."""
    return milliseconds(state.get("firstTime")) or now


def line(action: Mapping[str, Any], source: Mapping[str, Any]) -> bytes:
    """A line for `bulk`, which writes the time at which it sends behind it: as `cfg.linkTime`."""
    cfg = {name: value for name, value in source.get("cfg", {}).items() if name != "linkTime"}
    whole = {**{name: value for name, value in source.items() if name != "cfg"}, "cfg": cfg}
    try:
        body, front = msgspec.json.encode(whole), msgspec.json.encode(action)
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError, RecursionError):  # half of a surrogate pair
        body, front = dump(whole).encode(), dump(action).encode()
    return b'%b\n%b%b"linkTime":"' % (front, body[:-2], b"" if body.endswith(b"{}}") else b",")


def _possible(link: Link) -> dict[str, Any]:
    return {
        "eventId": link.event,
        "eventName": link.name,
        "eventSource": link.source,
        "eventTime": instant(link.time),
        "caller": utf8_cut(link.caller, _MAX_TEXT),
        "service": link.service,
        "kind": link.kind,
        "score": link.score,
        "reasons": _texts(link.reasons),
    }


def _texts(values: Iterable[str]) -> list[str]:
    return [utf8_cut(value, _MAX_TEXT) for value in values]
