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

import base64
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
from isal import isal_zlib

from audit_search.accounting import Counts
from audit_search.alerts.matching import Rules, deployed
from audit_search.documents import EARLIEST, FLAT_LEAVES, FLATTENED, Naming, Place, is_day, latest
from audit_search.exclusions import Rule
from audit_search.rebuild import (
    INSTANCE_TYPE_EVENTS,
    MAX_DEPTH,
    MAX_TERM,
    Built,
    Notes,
    Rejection,
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


class _Request(msgspec.Struct, gc=False):
    instanceType: msgspec.Raw = _NONE
    launchSpecification: msgspec.Raw = _NONE


class _Response(msgspec.Struct, gc=False):
    ConsoleLogin: msgspec.Raw = _NONE
    instancesSet: msgspec.Raw = _NONE


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
    requestParameters: _Request | None = None
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
_checksum = isal_zlib.crc32
_IDENTITY: Final = b'"userIdentity":'
_TLS: Final = b'"tlsDetails":'
_IDENTITY_NAME: Final = _IDENTITY[:-1]  # the record's own may be written another way, with a space behind it
_TLS_NAME: Final = _TLS[:-1]
_SUCCESS: Final = b'"outcome":"success",'
_FAILURE: Final = b'"outcome":"failure",'
_PROMOTED: Final = INSTANCE_TYPE_EVENTS | {"ConsoleLogin"}
_MAX_TIMES: Final = 20_000
_TIME = re.compile(r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII).fullmatch
_EXPIRED: Final = b""


class _Spliced(NamedTuple):
    """The flattened form of an object inside a record: what stands in its place, what `ct` says of it, its fields, and which
    alert rules such a caller may meet."""

    fields: bytes
    ct: bytes
    values: dict[str, object]
    alerts: int = 0


_NOTHING: Final = _Spliced(b"", b"", {})


_Table = dict[str, "str | _Table"]


def _table(path: str, inner: object) -> _Table:
    """The dotted names of an object's leaves by their keys, and the tables of the objects inside it."""
    table: _Table = {name.removeprefix(f"{path}."): name for name in FLAT_LEAVES if name.rpartition(".")[0] == path}
    if isinstance(inner, Mapping):
        table |= {key: _table(f"{path}.{key}", below) for key, below in inner.items()}
    return table


def _flat(value: dict[str, object], table: _Table, fields: dict[str, object]) -> bool:
    """Flatten what nearly every identity is: known names, short texts. False for anything else."""
    for key, item in value.items():
        target = table.get(key)
        if type(item) is str and type(target) is str and len(item) < 1_024:
            fields[target] = item
        elif type(item) is dict and type(target) is dict:
            if not _flat(item, target, fields):
                return False
        elif item is not None:
            return False
    return True


class Splices:
    """Remembers flattened objects by their text, within `size` bytes; when full it begins anew, as callers come in waves.

    `judge` gives the bits of the alert rules for an object as it was parsed.
    """

    def __init__(self, name: str, size: int = 8 << 20, judge: Callable[[object], int] = lambda _: 0) -> None:
        self._name = name
        self._judge = judge
        self._room = self._size = size
        self._table = _table(name, FLATTENED[name])
        self._known: dict[bytes, _Spliced] = {}
        self.get: Callable[[bytes], _Spliced | None] = self._known.get

    def add(self, text: bytes) -> _Spliced | None:
        """Flatten a text that is not known yet, or None for one that is not the usual object."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        fields: dict[str, object] = {}
        ct = b""
        if value is not None:
            if not (isinstance(value, dict) and _flat(value, self._table, fields)):
                fields.clear()
                notes = Notes()
                flatten(self._name, value, FLATTENED[self._name], fields, notes)
                if notes.wrapped or notes.truncated or notes.unexpected or depth(text) > MAX_DEPTH // 2:
                    return None
            who = identity_notes(fields) if self._name == "userIdentity" else {}
            ct = _encode(who)[1:-1] + b"," if who else b""
        # An empty object leaves its name with nothing behind it: the commas around it stay right.
        written = _encode(fields or {self._name: None})[1:-1]
        splice = _Spliced(written, ct, fields, self._judge(value))
        self._room -= 4 * len(text) + 1_000
        if self._room < 0:
            self._known.clear()
            self._room = self._size
        self._known[text] = splice
        return splice


@dataclass(slots=True)
class Lines:
    """What a window became: parallel lists for what is to be sent, and what ended here.

    `alerting` are the numbers of the lines whose records met an alert rule, ascending.
    """

    lines: list[bytes] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    alerting: list[int] = field(default_factory=list)
    rejected: list[tuple[int, bytes, Rejection]] = field(default_factory=list)


@dataclass(slots=True)
class Policy:
    """What holds for every object: names of indices, mode of ingestion, rules, alert rules, and the first day that is kept."""

    naming: Naming = field(default_factory=Naming)
    mode: str = "live"
    rules: tuple[Rule, ...] = ()
    kept_from: str = ""
    alerts: Rules = field(default_factory=deployed)
    identities: Splices = field(init=False)
    nobody: _Spliced = field(init=False)
    tls: Splices = field(default_factory=lambda: Splices("tlsDetails"))
    tags: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    would_filter: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.identities = Splices("userIdentity", judge=self.alerts.of_caller)
        self.nobody = _NOTHING._replace(alerts=self.alerts.of_caller(None))


class DocumentBuilder:
    """Makes the lines of one object; `counts` is where its filtered records are counted. `mode` is the mode of ingestion where
    it is another than the policy's."""

    def __init__(self, policy: Policy, place: Place, counts: Counts, mode: str = "") -> None:
        self._policy = policy
        self._mode = mode or policy.mode
        self._place = place
        self._counts = counts
        self._latest_day = latest(place).date().isoformat()
        self._days: dict[str, bytes | None] = {}
        self._times: dict[str, bytes | None] = {}
        head = {"bucket": place.bucket, "key": place.key, "ingestMode": self._mode}
        self._ct = b',"ct":' + dump(head).encode()[:-1] + b","

    def lines(self, window: Window, first: int) -> Lines:
        """The lines of a window whose first record has the position `first` in its object.

        The loop is the hot path: everything that is the same for many records is looked up, not made.
        """
        result = Lines()
        lines, ids, checksums, positions = result.lines, result.ids, result.checksums, result.positions
        policy, ct, times, rules = self._policy, self._ct, self._times, self._policy.rules
        identities, tls_details = policy.identities, policy.tls
        of_event, of_any = policy.alerts.of_event.get, policy.alerts.of_any
        of_event_succeeded, of_any_succeeded = policy.alerts.of_event_succeeded.get, policy.alerts.of_any_succeeded
        nobody = policy.nobody
        position = first - 1
        for raw, record in zip(window.texts, _decode(window), strict=True):
            position += 1
            text = bytes(raw)
            if record is None or len(text) >= MAX_TERM or record.addendum is not _NONE:
                self._exact(text, position, result)
                continue
            try:
                action = times[record.eventTime]
            except KeyError:
                action = self._time(record.eventTime)
            event_id = bytes(record.eventID)
            if (
                action is None
                or b"\n" in text  # between two tokens: in a bulk request it would end the document and begin the next action
                or not 2 < len(event_id) < 512
                or event_id[0] != 0x22
            ):
                self._exact(text, position, result)
                continue
            if action is _EXPIRED:
                self._counts.filtered += 1
                continue
            # Where the identity and the TLS details lie in the text.
            begin = end = 0
            tls_begin = tls_end = len(text) - 1
            who, tls = nobody, _NOTHING
            if record.userIdentity is not _NONE:
                found = bytes(record.userIdentity)
                begin = text.find(_IDENTITY)
                end = begin + len(_IDENTITY) + len(found)
                # The same name may also stand deeper inside: it is the record's own where no object begins before it, or
                # where it stands only once.
                certain = text.startswith(found, begin + len(_IDENTITY)) and (
                    text.find(b"{", 1, begin) < 0 <= begin or text.count(_IDENTITY_NAME) == 1
                )
                splice = identities.get(found) or identities.add(found) if certain else None
                if splice is None:
                    self._exact(text, position, result)
                    continue
                who = splice
            if record.tlsDetails is not _NONE:
                found = bytes(record.tlsDetails)
                tls_begin = text.rfind(_TLS)
                tls_end = tls_begin + len(_TLS) + len(found)
                certain = (
                    tls_begin > 0
                    and text.startswith(found, tls_begin + len(_TLS))
                    and (text.find(b"}", tls_end) == len(text) - 1 or text.count(_TLS_NAME) == 1)
                )
                splice = tls_details.get(found) or tls_details.add(found) if certain else None
                if splice is None:
                    self._exact(text, position, result)
                    continue
                tls = splice
            one, two = who.fields, tls.fields
            if tls_begin < begin:
                begin, end, tls_begin, tls_end, one, two = tls_begin, tls_end, begin, end, two, one
            before, between, behind = text[:begin], text[end:tls_begin], text[tls_end:-1]
            # Too deep is only what has as many brackets; what was spliced is known to be shallow.
            brackets = between.count(b"{") + between.count(b"[") + before.count(b"{") + before.count(b"[")
            if brackets + len(behind) > MAX_DEPTH and depth(text) > MAX_DEPTH:
                self._exact(text, position, result)
                continue
            if rules and self._rules(_values(record, who, tls)):
                self._counts.filtered += 1
                continue
            try:
                escaped = _encode(str(text, "utf-8"))
            except UnicodeDecodeError:
                self._exact(text, position, result)
                continue
            name = record.eventName
            if name in _PROMOTED:
                promoted = _promoted(record)
            else:
                promoted = _FAILURE if record.errorCode or record.errorMessage else _SUCCESS
            if (code := record.errorCode) is None:
                alerts = of_event_succeeded(name, of_any_succeeded) & who.alerts
            else:
                alerts = of_event(name, of_any) & who.alerts & policy.alerts.of_code(code)
            if alerts:
                promoted += self._alerts(alerts, record, text, result)
            lines.append(
                b"".join(
                    (
                        action,
                        event_id,
                        b"}}\n",
                        before,
                        one,
                        between,
                        two,
                        behind,
                        b',"raw":',
                        escaped,
                        ct,
                        who.ct,
                        promoted,
                        b'"position":%d,"ingestTime":"' % position,
                    )
                )
            )
            ids.append(event_id)
            checksums.append(_checksum(text))
            positions.append(position)
        return result

    def span(self) -> tuple[str, str]:
        """The oldest and the newest eventTime of what went the fast way, empty where nothing did."""
        known = [time for time, action in self._times.items() if action]
        return (min(known), max(known)) if known else ("", "")

    def _time(self, time: str) -> bytes | None:
        """The front of the action line for an eventTime, _EXPIRED for one that retention leaves out, or None where it needs
        a closer look. Remembered: an object holds few minutes."""
        day = time[:10]
        try:
            action = self._days[day]
        except KeyError:
            action = self._days[day] = self._action(day)
        if action is not None and not _TIME(time, 10):
            action = None
        if len(self._times) >= _MAX_TIMES:
            oldest, newest = self.span()
            self._times.clear()
            self._times.update({oldest: self._days.get(oldest[:10]), newest: self._days.get(newest[:10])} if newest else {})
        self._times[time] = action
        return action

    def _action(self, day: str) -> bytes | None:
        """The front of the action line for a day, _EXPIRED, or None for a day that needs a closer look."""
        if not is_day(day) or not EARLIEST <= day < self._latest_day:
            return None
        if day < self._policy.kept_from:
            return _EXPIRED
        return b'{"create":{"_index":"%b","_id":' % self._policy.naming.index(day).encode()

    def _exact(self, text: bytes, position: int, result: Lines) -> None:
        policy = self._policy
        built = build(text, self._place, position, policy.naming, self._mode, alerts=policy.alerts)
        if isinstance(built, Rejection):
            result.rejected.append((position, text, built))
        elif built.day < policy.kept_from or (policy.rules and self._rules(built.source.get)):
            self._counts.filtered += 1
        else:
            if "alerts" in built.source["ct"]:
                result.alerting.append(len(result.lines))
            result.lines.append(line_of(built))
            result.ids.append(dump(built.id).encode())
            result.checksums.append(_checksum(text))
            result.positions.append(position)

    def _alerts(self, bits: int, record: Record, text: bytes, result: Lines) -> bytes:
        """What `ct` holds of the alert rules that a record meets, of those that it may meet; its line is the next of `result`."""
        left = self._policy.alerts.remainder(bits, record.eventName, record.eventSource)
        names = left.sure
        if left.tests:
            try:
                fields = left.decode(text)
            except (msgspec.DecodeError, RecursionError):
                fields = load(text)
            names = left.matching(fields)
        if not names:
            return b""
        result.alerting.append(len(result.lines))
        tag = self._policy.tags.get(names)
        if tag is None:  # there are few: what one kind of record meets
            tag = self._policy.tags[names] = b'"alerts":%b,' % _encode(names)
        return tag

    def _rules(self, value: Callable[[str], object]) -> bool:
        """Whether a rule leaves the record out; rules that only count are counted."""
        excluded = False
        for rule in self._policy.rules:
            if rule.matches(value):
                self._policy.would_filter[rule.name] += 1
                excluded = excluded or not rule.count_only
        return excluded


def _values(record: Record, who: _Spliced, tls: _Spliced) -> Callable[[str], object]:
    """The fields of a record by name, for rules."""

    def value(name: str) -> object:
        if "." in name:
            return who.values.get(name, tls.values.get(name))
        return getattr(record, name)

    return value


def _load(raw: msgspec.Raw) -> object:
    return load(bytes(raw)) if raw is not _NONE else None


def _promoted(record: Record) -> bytes:
    """What `ct` holds for the few events that have more to promote than their outcome."""
    login = used = b""
    if record.eventName == "ConsoleLogin":
        login = bytes(record.responseElements.ConsoleLogin) if record.responseElements else b""
        used = bytes(record.additionalEventData.MFAUsed) if record.additionalEventData else b""
    parts = [_FAILURE if record.errorCode or record.errorMessage or login == b'"Failure"' else _SUCCESS]
    if login.startswith(b'"') and len(login) < 1_000:
        parts.append(b'"consoleLogin":%b,' % login)
    if used.startswith(b'"') and len(used) < 1_000:
        parts.append(b'"mfaUsed":%b,' % used)
    if record.eventName in INSTANCE_TYPE_EVENTS:
        request, response = record.requestParameters or _Request(), record.responseElements or _Response()
        types = instance_types(
            {"instanceType": _load(request.instanceType), "launchSpecification": _load(request.launchSpecification)}, None
        ) or instance_types(None, {"instancesSet": _load(response.instancesSet)})
        if types:
            parts.append(b'"instanceType":%b,' % dump(types).encode())
    return b"".join(parts)


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
    kept = _kept(line.split(b"\n", 1)[1] + b'"}}')
    ours: dict[str, msgspec.Raw] = _ours(kept.ct)
    encoded = ours.get("rawBase64")
    if encoded is not None:
        return base64.b64decode(msgspec.json.decode(encoded, type=str))
    return msgspec.json.decode(kept.raw, type=str).encode()


class _Kept(msgspec.Struct):
    """Of a document only what holds the text: the record's own values may be ones that this parser refuses, such as 1e400,
    and a record's own fields of these names stand before ours."""

    raw: msgspec.Raw
    ct: msgspec.Raw


_kept = msgspec.json.Decoder(_Kept).decode
_ours = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
