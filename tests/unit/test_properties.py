"""Whatever arrives, in any formatting and in any pieces, nothing is lost and nothing crashes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audit_search.accounting import Counts
from audit_search.bulk import Body
from audit_search.cloudtrail import DocumentBuilder, Lines, Policy, line_of, text_of
from audit_search.documents import BOOLEANS, FLATTENED, KEYWORDS, TREES, Naming, Place, parse_time
from audit_search.envelopes import Message, messages, skip_reason
from audit_search.errors import ObjectError
from audit_search.objects import OUTCOMES, inflate
from audit_search.rebuild import Built, Rejection, build
from audit_search.records import DigestObjectError, windows
from tests.support import engine_limits

PLACE = Place("b", "x_20261103T0820Z_y", datetime(2026, 11, 3, 8, 20, tzinfo=UTC))

settings.register_profile("unit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")

NAMES = [
    *KEYWORDS,
    *BOOLEANS,
    *TREES,
    *FLATTENED,
    "resources",
    "eventTime",
    "eventID",
    "eventId",
    "raw",
    "ct",
    "@timestamp",
    "_id",
]
NAMES += [
    "",
    ".",
    "a.b",
    "userIdentity.type",
    "event_name",
    "type",
    "arn",
    "ARN",
    "value",
    "sessionContext",
    "instanceType",
    "items",
]
LONG = {"x": "x" * 33_000, "umlaut": "ü" * 16_500, "character of four bytes": "🔍" * 9_000}
EVENTS = ["ConsoleLogin", "RunInstances", "ModifyInstanceAttribute", "RequestSpotInstances"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text(alphabet=st.characters(codec=None, categories=["Cs", "Cc", "Lu", "Co"]), max_size=8)
    | st.sampled_from(
        [*EVENTS, "Root", "AssumedRole", "2026-11-03T08:14:22Z", "2026-11-03T08:14:22+02:00", "\ue000deep:0", "true"]
    )
    | st.sampled_from(["Success", '","userIdentity":{', ',{"eventVersion":'])
    | st.sampled_from(sorted(LONG)).map(lambda name: LONG[name])
)
names = st.sampled_from(NAMES) | st.text(max_size=12) | st.sampled_from(["\ud800", 'x"userIdentity'])
names |= st.sampled_from([1_200, 40_000]).map(lambda length: "k" * length)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=20
)
usual = st.fixed_dictionaries(
    {"eventTime": st.sampled_from(["2026-11-03T08:14:22Z", "2014-02-28T23:59:59Z"]), "eventID": st.text(min_size=1, max_size=40)},
    optional={
        "eventVersion": st.text(max_size=5),
        "eventName": st.sampled_from([*EVENTS, "ListBuckets"]),
        "userIdentity": st.dictionaries(st.sampled_from(["type", "arn", "userName", "principalId"]), st.text(max_size=9)),
        "tlsDetails": st.dictionaries(st.sampled_from(["tlsVersion", "cipherSuite"]), st.text(max_size=9)),
        "requestParameters": st.dictionaries(names, values, max_size=3),
        "responseElements": st.none() | st.dictionaries(names, values, max_size=3),
        "resources": st.lists(st.dictionaries(st.sampled_from(["ARN", "type"]), st.text(max_size=9)), max_size=3),
        "readOnly": st.booleans(),
        "errorCode": st.text(max_size=5),
    },
)
objects = st.dictionaries(names, values, max_size=8) | usual


@st.composite
def texts(draw: st.DrawFn, value: st.SearchStrategy[Any] = objects) -> bytes:
    """A JSON value in some formatting."""
    drawn = draw(value)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n "), (",", " :")]))
    indent = draw(st.sampled_from([None, None, None, 1, "\t"]))
    text = json.dumps(drawn, ensure_ascii=draw(st.booleans()), separators=separators, indent=indent)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair can only be written as an escape
        return json.dumps(drawn, separators=separators, indent=indent).encode()


gaps = st.sampled_from([b"", b" ", b"\n", b"\r\n\t ", b" \n\n "])
members = st.dictionaries(st.text(max_size=6).filter(lambda name: name != "Records"), values, max_size=2)


@st.composite
def log_files(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """The texts of some records, and an object that holds them in some formatting, with other members around."""
    elements = draw(st.lists(texts(), max_size=6))
    if draw(st.booleans()):
        elements = (elements * 8)[:20]
    written = b""
    for number, element in enumerate(elements):
        written += (b"," if number else b"") + draw(gaps) + element + draw(gaps)
    before, after = (json.dumps(draw(members)).encode()[1:-1] for _ in range(2))
    head, tail = (before + b"," if before else b""), (b"," + after if after else b"")
    gap = draw(gaps)
    data = gap + b"{" + gap + head + b'"Records"' + gap + b":" + gap + b"[" + written + gap + b"]" + gap + tail + gap + b"}" + gap
    return elements, data


@st.composite
def in_pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data cut anywhere."""
    if draw(st.booleans()):
        step = draw(st.integers(min_value=1, max_value=max(len(data), 1)))
        return [data[at : at + step] for at in range(0, len(data), step)]
    cuts = sorted(draw(st.lists(st.integers(min_value=0, max_value=len(data)), max_size=5)))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def all_windows(chunks: Iterator[bytes], counts: Counts) -> tuple[list[bytes], Lines, str]:
    """All that an object becomes: its texts, its lines and rejections, and the code of its error."""
    found: list[bytes] = []
    everything = Lines()
    builder = DocumentBuilder(Policy(), PLACE, counts)
    try:
        for window in windows(chunks):
            made = builder.lines(window, len(found))
            found += [bytes(text) for text in window.texts]
            for name in ("lines", "ids", "checksums", "positions", "rejected"):
                getattr(everything, name).extend(getattr(made, name))
    except DigestObjectError:
        return found, everything, "skipped"
    except ObjectError as error:
        return found, everything, error.code
    return found, everything, ""


KNOWN = {"", "skipped", *OUTCOMES}


def hold_every_text(found: list[bytes], made: Lines) -> None:
    """Each text is exactly one line, from which it comes back byte for byte, or exactly one rejection."""
    fates = dict(zip(made.positions, map(text_of, made.lines), strict=True))
    assert not set(fates) & {position for position, _, _ in made.rejected}
    fates |= {position: text for position, text, _ in made.rejected}
    assert [fates[position] for position in sorted(fates)] == found
    assert len(made.ids) == len(made.checksums) == len(made.lines) == len(made.positions)
    assert bytes(Body(made.lines)).count(b"\n") == 2 * len(made.lines) or not made.lines


@given(st.data())
@settings(max_examples=60)
def test_any_object_in_any_formatting_and_pieces_is_kept(data: st.DataObject) -> None:
    """Any JSON objects as records come out as they stand in the object, each as a line or a rejection, whatever the pieces."""
    elements, content = data.draw(log_files())
    found, made, code = all_windows(iter(data.draw(in_pieces(content))), Counts())
    assert (found, code) == (elements, "")
    hold_every_text(found, made)
    assert made.rejected == []
    for line in made.lines:
        kept = engine_limits.problems(line)
        built = build(text_of(line), PLACE, 0, Naming(), "live", refused=True)
        assert isinstance(built, Built)
        assert engine_limits.problems(line_of(built)) == []
        assert all("duplicate key" in problem or "name" in problem or "lies below" in problem for problem in kept), kept


@given(st.data())
@settings(max_examples=120)
def test_both_ways_make_one_document(data: st.DataObject) -> None:
    """Where the engine would take the line of the fast way, it says the same as the exact way."""
    text = data.draw(texts(usual))
    found, made, _ = all_windows(iter([b'{"Records":[' + text + b"]}"]), Counts())
    built = build(text, PLACE, 0, Naming(), "live")
    assert isinstance(built, Built)
    assert found == [text]
    line, other = made.lines[0], line_of(built)
    if not engine_limits.problems(line):
        assert (engine_limits.sent(line).index, engine_limits.sent(line).id) == (built.index, built.id)
        # The exact way shortens names for which the engine would have room.
        assert engine_limits.content(line) == engine_limits.content(other) or "truncated" in built.source["ct"]


@given(texts(values))
def test_any_json_value_is_a_document_or_a_rejection(text: bytes) -> None:
    """The exact way takes any JSON: an object becomes a document within all limits, anything else a rejection."""
    for refused in (False, True):
        built = build(text, PLACE, 0, Naming("p-", daily=True), "replay", refused=refused)
        if text.strip().startswith(b"{"):
            assert isinstance(built, Built)
            line = line_of(built)
            assert engine_limits.problems(line) == []
            assert text_of(line) == text
        else:
            assert isinstance(built, Rejection)


json_like = st.lists(
    st.sampled_from(
        [
            b'{"Records":[',
            b'{"eventID":"1"}',
            b'{"eventVersion":"1.11"',
            b",",
            b"]",
            b"}",
            b"[",
            b"{",
            b'"',
            b":",
            b"\\",
            b" ",
            b"1",
        ]
    )
    | st.sampled_from(
        [b'"Records"', b"null", b"tru", b"NaN", b"\xff", b"\0", b"\n", b'"a":', b',{"eventVersion":', b'{"digestS3Object":1}']
    )
    | st.binary(max_size=4),
    max_size=40,
).map(b"".join)


@given(json_like | st.binary(max_size=200), st.data())
@settings(max_examples=600)
@example(b'{"Records":[{"a":1}', None)
def test_any_bytes_give_records_or_an_error(content: bytes, data: st.DataObject | None) -> None:
    """Any bytes at all, inflated: records and a known error, never another exception; each text has one fate."""
    found, made, code = all_windows(iter([content]), Counts())
    hold_every_text(found, made)
    assert code in KNOWN
    again, _, other = all_windows(iter(data.draw(in_pieces(content)) if data else [content]), Counts())
    assert (again, other) == (found, code)
    for text in found:
        assert text in content


@given(
    json_like | st.binary(max_size=200),
    st.integers(min_value=0, max_value=400),
    st.integers(min_value=0, max_value=255),
    st.data(),
)
@settings(max_examples=500)
def test_any_bytes_as_an_object_give_content_or_an_error(content: bytes, at: int, value: int, data: st.DataObject) -> None:
    """A gzip object that is damaged anywhere, or bytes that are none: content and a known error, whatever the pieces."""
    for compressed in (content, gzip.compress(content, mtime=0), gzip.compress(content, mtime=0) * 2):
        broken = bytearray(compressed)
        if at < len(broken):
            broken[at] = value
        outcomes = set()
        for pieces in ([bytes(broken)], data.draw(in_pieces(bytes(broken)))):
            try:
                found = b"".join(inflate(iter(pieces), 10_000, 1_000))
                outcomes.add("")
                assert bytes(broken) != compressed or found in (content, content * 2)
            except ObjectError as error:
                outcomes.add(error.code)
        assert outcomes <= {"", "not-gzip", "truncated", "corrupt", "too-big"}
        if bytes(broken) == compressed and compressed is not content:
            assert outcomes == {""}


envelope_names = st.sampled_from(
    ["Records", "Type", "Message", "Sns", "s3", "bucket", "object", "key", "name", "body", "messageId", "detail"]
)
envelope_names |= st.sampled_from(
    ["detail-type", "source", "eventName", "s3Bucket", "s3ObjectKey", "Event", "messageType", "attributes"]
)
envelope_names |= st.text(max_size=5)
envelope_scalars = (
    st.sampled_from(
        ["Notification", "aws.s3", "Object Created", "ObjectCreated:Put", "s3:TestEvent", "SubscriptionConfirmation", "%ff+"]
    )
    | st.sampled_from(
        ["CloudTrail validation message.", "AWSLogs/1/CloudTrail/x.json.gz", '{"Records":[{"body":"{}","messageId":1}]}']
    )
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
)


def _text(value: Any) -> str:
    return json.dumps(value)


payloads = st.recursive(
    envelope_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(envelope_names, inner, max_size=5)
        | st.fixed_dictionaries({"Records": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"messageId": inner, "body": inner | inner.map(_text)}, optional={"attributes": inner})
        | st.fixed_dictionaries({"Type": st.just("Notification"), "Message": inner | inner.map(_text)})
        | st.fixed_dictionaries({"eventName": inner, "s3": st.fixed_dictionaries({"bucket": inner, "object": inner})})
        | st.fixed_dictionaries({"s3Bucket": st.text(max_size=5), "s3ObjectKey": st.lists(st.text(max_size=9), max_size=3)})
    ),
    max_leaves=25,
)


def is_clean(message: Message) -> None:
    """A message holds references that can be asked for, and an error that can be logged."""
    for ref in message.objects:
        assert isinstance(ref.bucket, str)
        assert isinstance(ref.key, str)
        assert skip_reason(ref.key) is None
        assert ref.version_id is None or ref.version_id
        assert ref.size is None or ref.size >= 0
    assert message.error is None or len(str(message.error)) < 3_000
    assert message.receive_count >= 0


@given(payloads)
@settings(max_examples=400)
def test_any_event_becomes_messages(event: Any) -> None:
    """Any JSON as an event is read or is an error of its message, and a message without anything is only an empty one."""
    found = messages(event)
    assert found
    for message in found:
        is_clean(message)
        assert isinstance(message.message_id, str | None)


@given(st.lists(payloads, max_size=4))
@settings(max_examples=200)
def test_the_messages_of_a_batch_do_not_disturb_each_other(bodies: list[Any]) -> None:
    """Each message of a batch is read as if it were alone."""
    event = {"Records": [{"messageId": str(number), "body": _text(one)} for number, one in enumerate(bodies)]}
    alone = [messages({"Records": [record]})[0] for record in event["Records"]]
    for one, other in zip(messages(event) if bodies else [], alone, strict=True):
        assert (one.objects, one.skipped, str(one.error)) == (other.objects, other.skipped, str(other.error))


@given(
    st.text()
    | st.datetimes().map(lambda when: when.isoformat())
    | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
)
@settings(max_examples=500)
def test_any_text_is_a_time_or_none(text: str) -> None:
    """Reading a time never raises, and what it gives is in UTC."""
    when = parse_time(text)
    assert when is None or when.tzinfo is UTC
