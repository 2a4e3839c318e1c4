"""The fast way from the texts of records to lines of a bulk request.

The record's own text is the document: its field names are ours. The flattened `userIdentity` and `tlsDetails`, `raw` and
`ct` are spliced into it, so that no sub-tree is ever parsed into Python objects or written again. One pass of a typed JSON
parser checks the type of each mapped field; a record that fails it, or that could reach a limit of the engine, takes the
exact way (`rebuild`), and both give the same document.

Callers repeat: the flattened form of an identity is remembered by its text.

A line is the action, a line break and the document up to the time of ingestion, which `bulk` writes when it sends:
`{"create":{…}}\\n{…,"ct":{…,"ingestTime":"` + `2026-11-23T01:38:00.123Z"}}\\n`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from isal import isal_zlib

from audit_search.accounting import Counts
from audit_search.documents import EARLIEST, FLATTENED, Naming, Place, is_day, latest
from audit_search.exclusions import Rule
from audit_search.rebuild import (
    INSTANCE_TYPE_EVENTS,
    MAX_DEPTH,
    MAX_TERM,
    Built,
    Rejection,
    _Notes,
    build,
    depth,
    dump,
    flatten,
    identity_notes,
    instance_types,
    load,
)
from audit_search.records import Window

_NONE: Final = msgspec.Raw()


class _Object(msgspec.Struct, gc=False):
    """Any JSON object; its content is checked and skipped."""


class _Extra(msgspec.Struct, gc=False):
    MFAUsed: msgspec.Raw = _NONE


class _Response(msgspec.Struct, gc=False):
    ConsoleLogin: msgspec.Raw = _NONE


class _Resource(msgspec.Struct, gc=False):
    ARN: str | None = None
    ARNPrefix: str | None = None
    accountId: str | None = None
    type: str | None = None


class Record(msgspec.Struct, gc=False):
    """The mapped fields of a record with the types that the index template expects, in the order in which trails write them."""

    eventTime: str
    eventID: msgspec.Raw
    eventVersion: str | None = None
    userIdentity: msgspec.Raw = _NONE
    eventSource: str | None = None
    eventName: str | None = None
    awsRegion: str | None = None
    sourceIPAddress: str | None = None
    userAgent: str | None = None
    errorCode: str | None = None
    errorMessage: str | None = None
    requestParameters: _Object | None = None
    responseElements: _Response | None = None
    additionalEventData: _Extra | None = None
    requestID: str | None = None
    readOnly: bool | None = None
    resources: list[_Resource] | None = None
    eventType: str | None = None
    apiVersion: str | None = None
    managementEvent: bool | None = None
    recipientAccountId: str | None = None
    sharedEventID: str | None = None
    vpcEndpointId: str | None = None
    vpcEndpointAccountId: str | None = None
    serviceEventDetails: _Object | None = None
    insightDetails: _Object | None = None
    eventContext: _Object | None = None
    edgeDeviceDetails: _Object | None = None
    eventCategory: str | None = None
    tlsDetails: msgspec.Raw = _NONE
    sessionCredentialFromConsole: str | None = None
    addendum: msgspec.Raw = _NONE
    timeWindow: _Object | None = None
    summary: _Object | None = None


_one = msgspec.json.Decoder(Record)
_many = msgspec.json.Decoder(list[Record])
_encode = msgspec.json.Encoder().encode
_TIME = re.compile(r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ").fullmatch
_EXPIRED: Final = b""
_UNSURE: Final = Counter[str]()


@dataclass(frozen=True, slots=True)
class _Spliced:
    """The flattened form of an object inside a record: what to look for, what stands there instead, what `ct` says of it."""

    needle: bytes
    fields: bytes
    ct: bytes
    values: dict[str, object]


class _Unsure(Exception):  # noqa: N818  # not an error: the exact way takes over
    """The fast way cannot be certain of this object."""


class Splices:
    """Remembers flattened objects by their text, within `size` bytes; when full it begins anew, as callers come in waves."""

    def __init__(self, name: str, size: int = 8 << 20) -> None:
        self._name = name
        self._key = b'"%b":' % name.encode()
        self._room = self._size = size
        self._known: dict[bytes, _Spliced] = {}
        self.get: Callable[[bytes], _Spliced | None] = self._known.get

    def add(self, text: bytes) -> _Spliced:
        """Flatten a text that is not known yet; raises _Unsure for one that is not the usual object."""
        value = load(text)
        fields: dict[str, object] = {}
        notes = _Notes()
        ct = b""
        if value is not None:
            flatten(self._name, value, FLATTENED[self._name], fields, notes)
            if notes.wrapped or notes.truncated or notes.unexpected or not fields:
                raise _Unsure
            if self._name == "userIdentity":
                ct = b"".join(dump({key: item}).encode()[1:-1] + b"," for key, item in identity_notes(value).items())
        written = dump(fields).encode()[1:-1] if fields else self._key + b"null"
        splice = _Spliced(self._key + text, written, ct, fields)
        self._room -= 4 * len(text) + 1_000
        if self._room < 0:
            self._known.clear()
            self._room = self._size
        self._known[text] = splice
        return splice


@dataclass(slots=True)
class Lines:
    """What a window became: parallel lists for what is to be sent, and what ended here."""

    lines: list[bytes] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    rejected: list[tuple[int, bytes, Rejection]] = field(default_factory=list)
    newest: str = ""
    oldest: str = ""


@dataclass(slots=True)
class Policy:
    """What holds for every object: names of indices, mode of ingestion, rules, and the first day that is kept."""

    naming: Naming = field(default_factory=Naming)
    mode: str = "live"
    rules: tuple[Rule, ...] = ()
    kept_from: str = ""
    identities: Splices = field(default_factory=lambda: Splices("userIdentity"))
    tls: Splices = field(default_factory=lambda: Splices("tlsDetails"))
    would_filter: Counter[str] = field(default_factory=Counter)


class DocumentBuilder:
    """Makes the lines of one object; `counts` is where its filtered records are counted."""

    def __init__(self, policy: Policy, place: Place, counts: Counts) -> None:
        self._policy = policy
        self._place = place
        self._counts = counts
        self._latest_day = latest(place).date().isoformat()
        self._days: dict[str, bytes | None] = {}
        head = {"bucket": place.bucket, "key": place.key, "ingestMode": policy.mode}
        self._ct = b',"ct":' + dump(head).encode()[:-1] + b","

    def lines(self, window: Window, first: int) -> Lines:
        """The lines of a window whose first record has the position `first` in its object."""
        result = Lines()
        records: Sequence[Record | None] = _decode(window)
        fast, rules = self._fast, self._policy.rules
        lines, ids, checksums, positions = result.lines, result.ids, result.checksums, result.positions
        newest = oldest = ""
        position = first
        for raw, record in zip(window.texts, records, strict=True):
            text = bytes(raw)
            line = fast(text, record, position) if record is not None else None
            if line is None or record is None:
                self._exact(text, position, result)
            elif line is _EXPIRED or (rules and self._excluded(record)):
                self._counts.filtered += 1
            else:
                lines.append(line)
                ids.append(bytes(record.eventID))
                checksums.append(isal_zlib.crc32(text))
                positions.append(position)
                time = record.eventTime
                if time > newest:
                    newest = time
                if time < oldest or not oldest:
                    oldest = time
            position += 1
        result.newest, result.oldest = newest, oldest
        return result

    def _fast(self, text: bytes, record: Record, position: int) -> bytes | None:
        """The line, _EXPIRED for one that retention leaves out, or None where only the exact way is certain."""
        time = record.eventTime
        day = time[:10]
        try:
            action = self._days[day]
        except KeyError:
            action = self._days[day] = self._action(day)
        if action is None or not _TIME(time, 10):
            return None
        if action is _EXPIRED:
            return _EXPIRED
        event_id = bytes(record.eventID)
        if not 2 < len(event_id) < 512 or event_id[0] != 0x22 or len(text) >= MAX_TERM or record.addendum is not _NONE:
            return None
        if text.count(b"{") + text.count(b"[") > MAX_DEPTH and depth(text) > MAX_DEPTH:
            return None
        ct = b""
        body = text[:-1]
        policy = self._policy
        for raw, splices in ((record.userIdentity, policy.identities), (record.tlsDetails, policy.tls)):
            if raw is not _NONE:
                found = bytes(raw)
                splice = splices.get(found)
                if splice is None:
                    try:
                        splice = splices.add(found)
                    except (_Unsure, ValueError, RecursionError):
                        return None
                # The same key with the same value may also lie deeper inside: only a single place is certain.
                before, needle, after = body.partition(splice.needle)
                if not needle or splice.needle in after:
                    return None
                body = b"%b%b%b" % (before, splice.fields, after)
                ct += splice.ct
        try:
            escaped = _encode(str(text, "utf-8"))
        except UnicodeDecodeError:
            return None
        promoted = self._promoted(text, record)
        return b'%b%b}}\n%b,"raw":%b%b%b%b"position":%d,"ingestTime":"' % (
            action,
            event_id,
            body,
            escaped,
            self._ct,
            ct,
            promoted,
            position,
        )

    def _promoted(self, text: bytes, record: Record) -> bytes:
        name = record.eventName
        if name == "ConsoleLogin":
            return self._login(record)
        outcome = b'"outcome":"failure",' if record.errorCode or record.errorMessage else b'"outcome":"success",'
        if name in INSTANCE_TYPE_EVENTS:
            whole = load(text)
            types = instance_types(whole.get("requestParameters"), whole.get("responseElements"))
            if types:
                outcome += b'"instanceType":%b,' % dump(types).encode()
        return outcome

    def _login(self, record: Record) -> bytes:
        login = bytes(record.responseElements.ConsoleLogin) if record.responseElements else b""
        used = bytes(record.additionalEventData.MFAUsed) if record.additionalEventData else b""
        failed = record.errorCode or record.errorMessage or login == b'"Failure"'
        parts = [b'"outcome":"failure",' if failed else b'"outcome":"success",']
        if login.startswith(b'"') and len(login) < 1_000:
            parts.append(b'"consoleLogin":%b,' % login)
        if used.startswith(b'"') and len(used) < 1_000:
            parts.append(b'"mfaUsed":%b,' % used)
        return b"".join(parts)

    def _action(self, day: str) -> bytes | None:
        """The front of the action line for a day, _EXPIRED, or None for a day that needs a closer look."""
        if not is_day(day) or not EARLIEST <= day < self._latest_day:
            return None
        if day < self._policy.kept_from:
            return _EXPIRED
        return b'{"create":{"_index":"%b","_id":' % self._policy.naming.index(day).encode()

    def _exact(self, text: bytes, position: int, result: Lines) -> None:
        policy = self._policy
        built = build(text, self._place, position, policy.naming, policy.mode)
        if isinstance(built, Rejection):
            result.rejected.append((position, text, built))
        elif built.day < policy.kept_from or (policy.rules and self._rules(built.source.get)):
            self._counts.filtered += 1
        else:
            result.lines.append(line_of(built))
            result.ids.append(dump(built.id).encode())
            result.checksums.append(isal_zlib.crc32(text))
            result.positions.append(position)

    def _excluded(self, record: Record) -> bool:
        policy = self._policy
        values: dict[str, object] = {}
        for raw, splices in ((record.userIdentity, policy.identities), (record.tlsDetails, policy.tls)):
            splice = splices.get(bytes(raw)) if raw is not _NONE else None
            if splice:
                values |= splice.values
        return self._rules(lambda name: values.get(name) if "." in name else getattr(record, name))

    def _rules(self, value: Callable[[str], object]) -> bool:
        """Whether a rule leaves the record out; rules that only count are counted."""
        excluded = False
        for rule in self._policy.rules:
            if rule.matches(value):
                self._policy.would_filter[rule.name] += 1
                excluded = excluded or not rule.count_only
        return excluded


def _decode(window: Window) -> Sequence[Record | None]:
    if window.array is not None:
        try:
            return _many.decode(window.array)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError):
            pass  # one record that is not of the usual types: each is looked at alone
    return [_decode_one(bytes(text)) for text in window.texts]


def _decode_one(text: bytes) -> Record | None:
    try:
        return _one.decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError):
        return None


def line_of(built: Built) -> bytes:
    """The line of a document that was built the exact way."""
    built.source["ct"]["ingestTime"] = ""
    action = dump({"create": {"_index": built.index, "_id": built.id}})
    return f"{action}\n{dump(built.source)}"[:-3].encode()


def text_of(line: bytes) -> bytes:
    """The original text of the record in a line, byte for byte."""
    import base64

    source = msgspec.json.decode(line.split(b"\n", 1)[1] + b'"}}')
    encoded = source["ct"].get("rawBase64")
    return base64.b64decode(encoded) if encoded else source["raw"].encode()
