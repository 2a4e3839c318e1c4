"""When two values of configuration items mean the same, whatever dialect wrote them, and how a value is shown.

Dialects differ: a number may be text, a bool `"false"`, a time epoch seconds, epoch milliseconds or ISO 8601, a policy JSON
text (IAM's is URL-encoded as well), a field without a value null, an empty list or absent. None of that is a change.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring as quoted
from typing import Any, Final
from urllib.parse import unquote

MAX_DEPTH: Final = 64
"""Levels that are compared by meaning; what lies deeper is compared as it is written."""

MAX_VALUE_BYTES: Final = 8_000
"""UTF-8 bytes of a value that is shown."""

ABSENT: Final = "null"
"""The canonical text of what is not there: null, an empty list, a list of nothing else."""

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECONDS = (10**9, 42 * 10**8)  # 2001 to 2103: no other number of a configuration is taken for a time in practice


def plain(value: Any) -> Any:
    """The value itself, the structure where it is JSON text of an object or a list, None for an empty list."""
    if type(value) is str:
        value = _parsed(value)
    return None if value == [] else value


def _parsed(text: str) -> Any:
    if text[:3].upper() in ("%7B", "%5B"):
        decoded = unquote(text)
    elif text[:1] in ("{", "[", " ", "\n", "\r", "\t"):
        decoded = text
    else:
        return text
    if decoded.lstrip(" \n\r\t")[:1] not in ("{", "["):
        return text
    try:
        return json.loads(decoded)
    except (ValueError, RecursionError):
        return text


def canonical(value: Any, depth: int = 0) -> str:
    """A text that is equal for values that mean the same. Lists have no order, and one scalar is a list of it."""
    value = plain(value)
    if value is None:
        return ABSENT
    if type(value) is str:
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _number(value)
    if depth >= MAX_DEPTH:
        return written(value)
    if isinstance(value, list):
        return _list(value, depth)
    pairs = ((key, canonical(element, depth + 1)) for key, element in value.items())
    return "{" + ",".join(sorted(f"{quoted(key)}:{text}" for key, text in pairs if text != ABSENT)) + "}"


def _list(value: list[Any], depth: int) -> str:
    texts = [text for element in value if (text := canonical(element, depth + 1)) != ABSENT]
    if not texts:
        return ABSENT
    if len(texts) == 1 and texts[0][0] not in "{[":
        return texts[0]
    return "[" + ",".join(sorted(texts)) + "]"


def _text(text: str) -> str:
    first = text[:1]
    if "0" <= first <= "9" or first == "-":
        if _ISO.fullmatch(text):
            return _instant(text)
        if _NUMBER.fullmatch(text):
            return _number_text(text)
    elif text in ("true", "false"):
        return text
    return quoted(text)


def _instant(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
        return f"@{((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND}"
    except (ValueError, OverflowError):
        return quoted(text)


def _number_text(text: str) -> str:
    if "." not in text:
        return _number(int(text))
    number = float(text)
    # 5.70 is a version, not the number 5.7: only what a number would be written as is one.
    return _number(number) if repr(number) == text else quoted(text)


def _number(number: float) -> str:
    if isinstance(number, float):
        if not math.isfinite(number):
            return f"#{number}"
        if number.is_integer() and abs(number) < 2**63:
            number = int(number)
    low, high = _SECONDS
    if low <= number < high:
        return f"@{round(number * 1_000_000)}"
    if low * 1000 <= number < high * 1000:
        return f"@{round(number * 1000)}"
    return _written_number(number)


def _written_number(number: float) -> str:
    try:
        return json.dumps(number)
    except ValueError:  # beyond the digits that Python writes in decimal
        return hex(int(number))


def written(value: Any, limit: int | None = None) -> str:
    """JSON text of a value of any depth, keys in order, written without recursion; it ends soon after `limit` characters."""
    out: list[str] = []
    size = 0
    stack: list[tuple[bool, Any]] = [(False, value)]
    while stack and (limit is None or size <= limit):
        literal, value = stack.pop()
        if literal:
            out.append(value)
        elif isinstance(value, dict):
            stack.append((True, "}"))
            for number, key in reversed(list(enumerate(sorted(value)))):
                stack += [(False, value[key]), (True, f"{',' if number else ''}{quoted(key)}:")]
            out.append("{")
        elif isinstance(value, list):
            stack.append((True, "]"))
            for number in range(len(value) - 1, -1, -1):
                stack += [(False, value[number]), (True, "," if number else "")]
            out.append("[")
        else:
            out.append(_written_scalar(value))
        size += len(out[-1])
    return "".join(out)


def _written_scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _written_number(value) if isinstance(value, (int, float)) else quoted(str(value))


def shown(value: Any) -> str | None:
    """A value for a reader: a text as it is, anything else as JSON, at most MAX_VALUE_BYTES; None for what is not there."""
    value = plain(value)
    if value is None:
        return None
    if type(value) is str:
        return cut(value, MAX_VALUE_BYTES)
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    except (ValueError, RecursionError):
        text = written(value, MAX_VALUE_BYTES)
    return cut(text, MAX_VALUE_BYTES)


def cut(text: str, limit: int) -> str:
    """The text in at most `limit` UTF-8 bytes, between characters; `…` stands for what was left out."""
    if len(text) <= limit and text.isascii():
        return text
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= limit:
        return data.decode("utf-8", "replace")  # a lone surrogate cannot be written
    # A character that the cut goes through would be replaced too, so its bytes go first.
    end = limit - 3
    while data[end] & 0xC0 == 0x80:
        end -= 1
    return data[:end].decode("utf-8", "replace") + "…"
