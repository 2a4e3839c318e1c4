"""The exact way from a record's text to a document: slower, and right for whatever JSON may hold.

The fast way (`cloudtrail`) leaves a record to this one when it is not sure of it, and `bulk` when the engine has refused
it. What an engine cannot take is cut, wrapped or set aside, each time with a word under `ct`; `raw` keeps the text itself.
The limits are OpenSearch's own, measured on 2.19: a term (`field.path=value`) has at most 32,766 bytes, a flat_object of
some 600 levels ends the node.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit_search.alerts.matching import Rules, deployed
from audit_search.documents import (
    BOOLEANS,
    EARLIEST,
    FLAT_LEAVES,
    FLATTENED,
    KEYWORDS,
    MAX_ID_BYTES,
    RESERVED,
    TREES,
    Naming,
    Place,
    latest,
    parse_time,
)

MAX_DEPTH: Final = 48
"""Levels of a record that are kept as objects; what lies deeper is kept as JSON text in their place."""
MAX_TERM: Final = 32_000
"""Bytes of one leaf with its path."""
MAX_KEY: Final = 1_000
"""Bytes of one key."""
MAX_LISTS: Final = 16
"""Lists inside each other in a field that the template does not map; the engine takes 20 (`index.mapping.depth.limit`)."""
_MAX_NOTES: Final = 100

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_METADATA = "_"
"""The engine's own fields (`_id`, `_routing`, …) begin so, and may not stand in a document."""
_SNAKE_ALIAS = re.compile(r"[a-z]+(_[a-z]+)+")
_SURROGATE = re.compile("[\ud800-\udfff]")


_JSON_TYPES: Final = {str: "a text", bool: "a boolean", int: "a number", float: "a number", list: "a list", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a text can never be a document."""

    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Built:
    """A document before it is sent: its index, its id, its fields but for the time of ingestion, and its day."""

    index: str
    id: str
    source: dict[str, Any]
    day: str


@dataclass(slots=True)
class Notes:
    """What had to be done to a record so that an engine takes it, by path; it goes into `ct`."""

    truncated: list[str] = field(default_factory=list)
    wrapped: list[str] = field(default_factory=list)
    unexpected: dict[str, Any] = field(default_factory=dict)
    deep: list[str] = field(default_factory=list)

    def cut(self, path: str) -> None:
        self._note(self.truncated, path)

    def wrap(self, path: str) -> None:
        self._note(self.wrapped, path)

    @staticmethod
    def _note(notes: list[str], path: str) -> None:
        path = path[:512]
        if len(notes) < _MAX_NOTES and path not in notes:
            notes.append(path)


def build(
    text: bytes, place: Place, position: int, naming: Naming, mode: str, *, refused: bool = False, alerts: Rules | None = None
) -> Built | Rejection:
    """The document of one record's original text, or why there can be none.

    `refused` marks a second try, after the engine did not take the first. `alerts` are the alert rules, those of the package
    where none are given.
    """
    notes = Notes()
    try:
        record = load(text, notes.deep)
    except (ValueError, RecursionError) as error:
        return Rejection("not_json", f"the record is not JSON: {error}")
    if not isinstance(record, dict):
        return Rejection("not_an_object", f"the record is {_JSON_TYPES[type(record)]} in JSON, not an object")
    source: dict[str, Any] = {}
    for key, value in record.items():
        _field(key, value, source, notes)
    ct: dict[str, Any] = {"bucket": place.bucket, "key": place.key, "ingestMode": mode, "position": position}
    time, day = _time(record, place, ct)
    source["eventTime"] = time
    identity, event_id = _identity_of(record, text)
    if event_id is not None:
        source["eventID"] = event_id
    ct |= identity_notes({name: value for name, value in source.items() if name not in notes.wrapped})
    ct |= promoted(record)
    names = (alerts or deployed()).matching(record)
    if names:
        ct["alerts"] = names
    raw = text.decode("utf-8", "replace")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        ct["rawBase64"] = base64.b64encode(text).decode("ascii")
    if notes.truncated:
        ct["truncated"] = notes.truncated
    if notes.wrapped:
        ct["wrapped"] = notes.wrapped
    if notes.unexpected:
        ct["unexpected"] = utf8_cut(dump(notes.unexpected), MAX_TERM)
    if refused:
        ct["rebuilt"] = True
    source["raw"] = raw
    source["ct"] = ct
    return Built(naming.index(day), identity, source, day)


def load(text: bytes, deep: list[str] | None = None) -> Any:
    """Parse JSON as leniently as it can be understood: NaN and numbers out of range become text, the last of equal keys
    wins, control characters are taken, invalid UTF-8 becomes U+FFFD, and levels beyond MAX_DEPTH become JSON text.

    Raises ValueError for what is not JSON.
    """
    shallow = _cap_depth(text, [] if deep is None else deep)
    return json.loads(
        shallow.decode("utf-8", "replace"), strict=False, parse_constant=str, parse_int=_integer, parse_float=_number
    )


def load_whole(text: bytes) -> Any:
    """As `load`, with the JSON text of what lies too deep in its place, and every text fit for UTF-8.

    Raises ValueError for what is not JSON.
    """
    deep: list[str] = []
    return _restored(load(text, deep), deep)


def _restored(value: Any, deep: list[str]) -> Any:
    if isinstance(value, str):
        return _clean(_unmarked(value, deep))
    if isinstance(value, list):
        return [_restored(item, deep) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _restored(item, deep) for key, item in value.items()}
    return value


def dump(value: object) -> str:
    """JSON text of what `load` gives, safe to encode as UTF-8."""
    return _clean(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _integer(text: str) -> int | str:
    return int(text) if len(text) < 300 else text


def _number(text: str) -> float | str:
    number = float(text)
    return number if abs(number) != float("inf") else text


def _clean(text: str) -> str:
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def depth(text: bytes) -> int:
    """How deep the brackets of a JSON text nest."""
    level = deepest = 0
    for token in _TOKEN.finditer(text):
        byte = text[token.start()]
        if byte in b"{[":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"}]":
            level -= 1
    return deepest


_MARK: Final = "\ue000deep:"


def _unmarked(value: str, deep: list[str]) -> str:
    """What a mark stands for; any other text as it is, for a record may hold one that only looks like a mark."""
    if deep and value.startswith(_MARK):
        number = value[len(_MARK) :]
        if number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(deep):
            return deep[int(number)]
    return value


def _cap_depth(text: bytes, deep: list[str]) -> bytes:
    """The text with each value beyond MAX_DEPTH replaced by a mark, and what stood there appended to `deep`.

    On the text, not on the parsed value: a parser (and an engine) gives up on some thousands of levels.
    """
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return text
    pieces: list[bytes] = []
    level = taken = began = 0
    for token in _TOKEN.finditer(text):
        byte = text[token.start()]
        if byte in b"{[":
            level += 1
            if level == MAX_DEPTH + 1:
                began = token.start()
        elif byte in b"}]":
            level -= 1
            if level == MAX_DEPTH:
                pieces += [text[taken:began], json.dumps(f"{_MARK}{len(deep)}").encode()]
                deep.append(text[began : token.end()].decode("utf-8", "replace"))
                taken = token.end()
    pieces.append(text[taken:])
    return b"".join(pieces)


def _field(key: str, value: Any, source: dict[str, Any], notes: Notes) -> None:
    if key in KEYWORDS:
        if value is not None:
            source[key] = keyword(key, value, notes)
    elif key in BOOLEANS:
        if isinstance(value, bool) or value in ("true", "false"):
            source[key] = value
        elif value is not None:
            notes.wrap(key)
            notes.unexpected[key] = _tree(value, key, notes)
    elif key in TREES:
        if value is not None:
            source[key] = subtree(key, value, notes)
    elif key in FLATTENED:
        if value is not None:
            flatten(key, value, FLATTENED[key], source, notes)
    elif key == "resources":
        if value is not None:
            source[key] = _resources(value, notes)
    elif key == "eventTime" or (key == "eventID" and isinstance(value, (str, int)) and not isinstance(value, bool)):
        return  # set from what they mean, see _time and _identity_of
    elif value is not None:
        plain = _PLAIN_NAME.fullmatch(key) and not key.startswith(_METADATA)
        if plain and key not in RESERVED and key != "eventID" and not _SNAKE_ALIAS.fullmatch(key):
            source[key] = _tree(value, key, notes, MAX_LISTS)
        else:  # a dotted or empty name, one of ours or the engine's, or an eventID that is no text
            short = _key(key, "ct.unexpected", notes)
            notes.unexpected[short] = _tree(value, short, notes)


def keyword(path: str, value: Any, notes: Notes) -> Any:
    """A value that a keyword field takes: a text that is no longer than a term can be, texts, a number, or JSON text."""
    if isinstance(value, str):
        return _text(path, value, notes)
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [_text(path, item, notes) for item in value]
    notes.wrap(path)
    return _json_text(path, value, notes)


def _text(path: str, value: str, notes: Notes) -> str:
    if notes.deep and value.startswith(_MARK):
        whole = _unmarked(value, notes.deep)
        if whole is not value:
            notes.cut(path)
            value = whole
    value = _clean(value)
    room = max(MAX_TERM - len(path.encode()), 64)
    if len(value) * 4 > room and len(value.encode()) > room:
        notes.cut(path)
        return utf8_cut(value, room)
    return value


def _json_text(path: str, value: Any, notes: Notes) -> str:
    return _text(path, dump(_tree(value, path, notes)), notes)


def utf8_cut(value: str, size: int) -> str:
    """The beginning of a text, at most `size` bytes of UTF-8."""
    return value.encode()[:size].decode("utf-8", "ignore")


def subtree(path: str, value: Any, notes: Notes) -> Any:
    """A flat_object takes objects and lists of objects; anything else would vanish from search without a word."""
    if isinstance(value, dict) or (isinstance(value, list) and value and all(isinstance(item, dict) for item in value)):
        return _tree(value, path, notes)
    notes.wrap(path)
    return {"value": _tree(value, f"{path}.value", notes)}


def _tree(value: Any, path: str, notes: Notes, lists: int = MAX_DEPTH) -> Any:
    """A value that an engine takes; more than `lists` lists inside each other become JSON text."""
    if isinstance(value, str):
        return _text(path, value, notes)
    if isinstance(value, list):
        if not lists:
            notes.cut(path)
            return _json_text(path, value, notes)
        return [_tree(item, path, notes, lists - 1) for item in value]
    if isinstance(value, dict):
        if len(path.encode()) > MAX_TERM // 2:  # so many long keys that no leaf would fit behind them
            notes.cut(path)
            return utf8_cut(dump(_shallow(value, notes)), 1_000)
        tree: dict[str, Any] = {}
        for key, item in value.items():
            short = _key(key, path, notes)
            tree[short] = _tree(item, f"{path}.{short}", notes, lists)
        return tree
    return value


def _shallow(value: Any, notes: Notes) -> Any:
    """A value for text: the marks of what lay too deep are left out."""
    return json.loads(json.dumps(value).replace(json.dumps(_MARK)[1:-1], ""))


def _key(key: str, path: str, notes: Notes) -> str:
    key = _clean(key)
    if len(key.encode()) <= MAX_KEY:
        return key
    notes.cut(f"{path}.{key[:64]}")
    return f"{utf8_cut(key, MAX_KEY)}~{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def flatten(path: str, value: Any, inner: object, source: dict[str, Any], notes: Notes | None = None) -> None:
    """Put the leaves of an object into `source` under dotted names, as deep as the field table goes.

    Objects that the table does not name stay whole under their dotted name. A value that should be an object and is not
    becomes `<path>.value`.
    """
    notes = notes or Notes()
    if not isinstance(value, dict):
        notes.wrap(path)
        source[f"{path}.value"] = keyword(f"{path}.value", value, notes)
        return
    table: Mapping[str, object] = inner if isinstance(inner, Mapping) else {}
    for key, item in value.items():
        if item is None:
            continue
        name = f"{path}.{key}"
        if type(item) is str and name in FLAT_LEAVES and len(item) < 1_024 and item.isascii():
            source[name] = item  # what nearly all of them are
            continue
        if not _PLAIN_NAME.fullmatch(key):
            notes.unexpected[_key(f"{path}.{key}", path, notes)] = _tree(item, path, notes)
        elif key in table:
            flatten(f"{path}.{key}", item, table[key], source, notes)
        elif isinstance(item, (dict, list)) and f"{path}.{key}" not in FLAT_LEAVES:
            source[f"{path}.{key}"] = _tree(item, f"{path}.{key}", notes, MAX_LISTS)
        else:
            source[f"{path}.{key}"] = keyword(f"{path}.{key}", item, notes)


def _resources(value: Any, notes: Notes) -> list[Any]:
    resources = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            resource: dict[str, Any] = {}
            for key, leaf in item.items():
                if leaf is None:
                    continue
                if _PLAIN_NAME.fullmatch(key):
                    resource[key] = keyword(f"resources.{key}", leaf, notes)
                else:
                    notes.unexpected[_key(f"resources.{key}", "resources", notes)] = _tree(leaf, "resources", notes)
            resources.append(resource)
        else:
            notes.wrap("resources")
            resources.append({"value": _json_text("resources.value", item, notes)})
    return resources


def _time(record: Mapping[str, Any], place: Place, ct: dict[str, Any]) -> tuple[str, str]:
    """The event's time and its day. Without a usable one: the window's start or the delivery's time, and `ct` says so."""
    given = record.get("eventTime")
    window = record.get("timeWindow")
    candidates: list[tuple[object, str]] = [(given, "")]
    if given is None and isinstance(window, dict):
        candidates.append((window.get("windowStart"), "timeWindow"))
    for text, origin in candidates:
        when = parse_time(text) if isinstance(text, str) else None
        if when is not None and when.date().isoformat() >= EARLIEST and when <= latest(place):
            if origin:
                ct["eventTimeFrom"] = origin
            return str(text), when.date().isoformat()
    ct["eventTimeFrom"] = "delivery"
    if given is not None:
        ct["eventTimeOriginal"] = _clean(given if isinstance(given, str) else dump(given))[:1_024]
    return place.delivered.strftime("%Y-%m-%dT%H:%M:%SZ"), place.delivered.date().isoformat()


def _identity_of(record: Mapping[str, Any], text: bytes) -> tuple[str, str | None]:
    """The document's `_id`, and the eventID to show. Aggregated events call it eventId; version 1.0 has none: then the
    hash of the text identifies it, the same for every delivery."""
    for name in ("eventID", "eventId"):
        value = record.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            event_id = _clean(str(value))
            if len(event_id.encode()) <= MAX_ID_BYTES:
                return event_id, event_id
            return "sha256-" + hashlib.sha256(event_id.encode()).hexdigest(), utf8_cut(event_id, MAX_TERM)
    return "sha256-" + hashlib.sha256(text).hexdigest(), None


def identity_notes(fields: Mapping[str, Any]) -> dict[str, str]:
    """`identity` (the most exact name of who called) and `caller` (the short one a person reads), where they are known,
    from the flattened fields of a document."""

    def text(name: str) -> str:
        value = fields.get(f"userIdentity.{name}")
        return _clean(value)[:1_024] if isinstance(value, str) else ""

    arn, principal, kind = text("arn"), text("principalId"), text("type")
    notes = {}
    full = arn or principal or text("onBehalfOf.userId") or text("invokedBy") or text("accountId")
    if full:
        notes["identity"] = full
    if kind == "Root":
        short = "root"
    elif kind == "AssumedRole":
        session = arn.rpartition("/")[2] if "/" in arn else principal.rpartition(":")[2]
        role = text("sessionContext.sessionIssuer.userName") or (arn.split("/")[-2] if arn.count("/") >= 2 else "")
        short = "/".join(part for part in (role, session) if part)
    else:
        short = text("userName") or text("onBehalfOf.userId") or text("invokedBy") or arn.rpartition("/")[2] or principal
    if short or full:
        notes["caller"] = short or full
    return notes


def promoted(record: Mapping[str, Any]) -> dict[str, Any]:
    """The few values that graphs group by, which cannot be aggregated inside a flat_object."""
    values: dict[str, Any] = {}
    request, response, extra = (record.get(name) for name in ("requestParameters", "responseElements", "additionalEventData"))
    name = record.get("eventName")
    login = response.get("ConsoleLogin") if name == "ConsoleLogin" and isinstance(response, dict) else None
    failed = bool(record.get("errorCode")) or bool(record.get("errorMessage")) or login == "Failure"
    values["outcome"] = "failure" if failed else "success"
    if name == "ConsoleLogin":
        if isinstance(login, str):
            values["consoleLogin"] = _clean(login)[:1_024]
        used = extra.get("MFAUsed") if isinstance(extra, dict) else None
        if isinstance(used, str):
            values["mfaUsed"] = _clean(used)[:1_024]
    if isinstance(name, str) and name in INSTANCE_TYPE_EVENTS:
        types = instance_types(request, response)
        if types:
            values["instanceType"] = types
    return values


INSTANCE_TYPE_EVENTS: Final = frozenset({"RunInstances", "ModifyInstanceAttribute", "RequestSpotInstances"})


def instance_types(request: Any, response: Any) -> list[str]:
    """Instance types that a call asked for, or, where a launch template held them, those that it was given."""
    found: list[str] = []

    def take(value: Any) -> None:
        if isinstance(value, dict):
            value = value.get("value")
        if isinstance(value, str) and value and value not in found:
            found.append(_clean(value)[:256])

    if isinstance(request, dict):
        take(request.get("instanceType"))
        specification = request.get("launchSpecification")
        if isinstance(specification, dict):
            take(specification.get("instanceType"))
    if not found and isinstance(response, dict):
        instances = response.get("instancesSet")
        items = instances.get("items") if isinstance(instances, dict) else None
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict):
                take(item.get("instanceType"))
    return found[:20]
