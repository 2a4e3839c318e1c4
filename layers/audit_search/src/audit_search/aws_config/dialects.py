"""The scalars of AWS Config's dialects: times, texts, tags and JSON inside JSON, each in one form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from audit_search.rebuild import MAX_DEPTH, load_whole

GLOBAL_SERVICES: Final = frozenset(
    {
        "CloudFront",
        "GlobalAccelerator",
        "IAM",
        "NetworkManager",
        "Organizations",
        "Route53",
        "Route53RecoveryControl",
        "Route53RecoveryReadiness",
        "WAF",
    }
)
"""Services whose resources have no region. `WAFRegional`, `WAFv2` and `Route53Resolver` are others, and have one."""

GLOBAL_TYPES: Final = frozenset({"AWS::ECR::PublicRepository", "AWS::RDS::GlobalCluster", "AWS::Shield::Protection"})
"""Global resource types of services that have regions; a global cluster is recorded in each region of its members.

https://docs.aws.amazon.com/config/latest/developerguide/select-resources.html
"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_ODD_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?(Z|UTC|[+-]\d\d:?\d\d)?", re.ASCII | re.I)
_NUMBER = re.compile(r"\d{1,16}(?:\.\d{1,9})?", re.ASCII)
_STRING = re.compile(rb'"[^"]*+"')
_BRACKETS = bytes.maketrans(b"[]", b"{}")
_NOT_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_decoder = msgspec.json.Decoder()


def is_global(resource_type: str) -> bool:
    """Whether resources of this type have no region, wherever they are recorded."""
    vendor, _, rest = resource_type.partition("::")
    return (vendor == "AWS" and rest.partition("::")[0] in GLOBAL_SERVICES) or resource_type in GLOBAL_TYPES


def text_of(value: object) -> str:
    """A scalar as text without white space around it; empty for null and for what is no scalar."""
    if type(value) is str:
        return value.strip()
    if value is None or isinstance(value, (bool, dict, list)):
        return ""
    return str(value)


def milliseconds(value: object) -> int:
    """A time as milliseconds since 1970, or 0 where it is none.

    Times are ISO 8601 (taken as UTC without an offset), or seconds or milliseconds since 1970 as a number or its text.
    """
    if isinstance(value, str):
        value = value.strip()
        if _NUMBER.fullmatch(value):
            value = float(value)
        else:
            return _iso(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e15:
        return 0
    # By microseconds: 1504787246.526 is a little less in binary.
    return round(value * 1_000_000) // 1_000 if value < 1e11 else int(value)


def _iso(text: str) -> int:
    try:
        when = datetime.fromisoformat(text) if text[4:5] == "-" else None
    except ValueError:
        when = None
    if when is None:
        odd = _ODD_ISO.fullmatch(text)
        if not odd:
            return 0
        date, time, fraction, offset = odd.groups()
        offset = "+00:00" if not offset or offset.upper() in ("Z", "UTC") else offset
        try:
            when = datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:3]:0<3}{offset}")
        except ValueError:
            return 0
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def iso(time: int) -> str:
    """A time (ms) as ISO 8601 with milliseconds: `2026-11-03T08:14:22.000Z`."""
    return (_EPOCH + time * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def decoded(text: bytes) -> Any:
    """The value of a JSON text, of at most MAX_DEPTH levels, the deeper ones as text. Raises ValueError."""
    try:
        if not too_deep(text):
            return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # NaN, a lone surrogate, invalid UTF-8, a number out of range: the lenient way knows
    return load_whole(text)


def too_deep(text: bytes) -> bool:
    """Whether brackets nest more than MAX_DEPTH levels. Exact for JSON, and cheap: no step looks at single strings.

    Escapes go first, so that every quotation mark left begins or ends a string, then all but quotation marks and brackets, so
    that most strings are empty and vanish; each pass over the brackets left takes away the innermost level.
    """
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = text.translate(_BRACKETS, _NOT_MARKS).replace(b'""', b"")
    if b'"' in marks:  # strings with brackets in them
        marks = _STRING.sub(b"", marks)
    for _ in range(MAX_DEPTH):
        if not marks:
            return False
        marks = marks.replace(b"{}", b"")
    return bool(marks)


def inside(value: str) -> Any:
    """What a JSON text of an object or a list holds, or None where it is another text."""
    text = value.strip()
    if text[:1] not in ("{", "["):
        return None
    encoded = text.encode("utf-8", "replace")
    try:
        return None if too_deep(encoded) else _decoder.decode(encoded)
    except (msgspec.DecodeError, RecursionError):
        return None


def tags_of(value: Any) -> Mapping[str, str]:
    """Tags by key, from a map or from a list of pairs; a value that is no text becomes JSON text."""
    if isinstance(value, str):
        value = inside(value)
    if isinstance(value, dict):
        return {name: part if type(part) is str else _as_text(part) for name, part in value.items()}
    tags: dict[str, str] = {}
    for tag in value if isinstance(value, list) else []:
        if isinstance(tag, dict):
            lower = {name.lower().removeprefix("tag"): part for name, part in tag.items()}
            name = text_of(lower.get("key") or lower.get("name"))
            if name:
                tags[name] = _as_text(lower.get("value"))
    return tags


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def texts_of(value: Any) -> tuple[str, ...]:
    """The texts of a list, or one text as the only one."""
    if isinstance(value, str):
        value = [value]
    return tuple(text for one in value if (text := text_of(one))) if isinstance(value, list) else ()
