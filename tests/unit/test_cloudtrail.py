"""The fast way makes the same documents as the exact way, and each record of a window has exactly one fate."""

from __future__ import annotations

import dataclasses
import gzip
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from generate import SampleObject, counts, sample_objects
from story import hostile

from audit_search.accounting import Counts
from audit_search.alerts import matching, remainders
from audit_search.bulk import Body
from audit_search.cloudtrail import DocumentBuilder, Lines, Policy, Record, Splices, line_of, text_of
from audit_search.documents import BOOLEANS, KEYWORDS, TREES, Naming, Place, delivered
from audit_search.exclusions import parse
from audit_search.rebuild import MAX_DEPTH, MAX_TERM, Built, Rejection, build
from audit_search.records import Window, windows
from audit_search_cli import alert_rules
from audit_search_cli.alert_sources import sources
from tests.support import engine_limits
from tests.support.aws import record
from tests.support.aws import text_of as written
from tests.support.building import ROOT

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "cloudtrail"
KEY = "AWSLogs/1/CloudTrail/eu/2026/11/03/1_CloudTrail_eu_20261103T0820Z_x.json.gz"
PLACE = Place("trail", KEY, datetime(2026, 11, 3, 8, 20, tzinfo=UTC))
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ALERT_SAMPLES = [
    sample.record
    for source in sources(ROOT / alert_rules.SOURCES)
    for sample in (*source.samples.match, *source.samples.no_match)
]
SAMPLES = [sample for sample in sample_objects() if sample.has_records]


def window(*texts: bytes, poisoned: bool = False) -> Window:
    """A window as the reader gives it: with the array where a parser has accepted it."""
    return Window(list(texts), None if poisoned else b"[" + b",".join(texts) + b"]")


def lines(*texts: bytes, policy: Policy | None = None, first: int = 0, place: Place = PLACE) -> tuple[Lines, Counts]:
    """What a window becomes, and what was counted."""
    count = Counts()
    return DocumentBuilder(policy or Policy(), place, count).lines(window(*texts), first), count


def exact(text: bytes, position: int = 0, policy: Policy | None = None, place: Place = PLACE) -> Built | Rejection:
    """The same record, built the exact way."""
    policy = policy or Policy()
    return build(text, place, position, policy.naming, policy.mode)


def went_fast(text: bytes, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a record takes the fast way."""
    exact_ones: list[bytes] = []
    with monkeypatch.context() as patch:
        patch.setattr(DocumentBuilder, "_exact", lambda self, text, position, result: exact_ones.append(text))
        found, _ = lines(text)
    return bool(found.lines) and not exact_ones


def same(text: bytes, *, place: Place = PLACE) -> dict[str, Any]:
    """The document of a record, the same both ways."""
    found, _ = lines(text, place=place, first=3)
    (line,) = found.lines
    built = exact(text, 3, place=place)
    assert isinstance(built, Built)
    other = line_of(built)
    assert engine_limits.content(line) == engine_limits.content(other)
    assert engine_limits.sent(line).index == engine_limits.sent(other).index
    assert engine_limits.sent(line).id == engine_limits.sent(other).id == json.loads(found.ids[0])
    assert text_of(line) == text_of(other) == text
    return engine_limits.content(line)


# One document, both ways


@pytest.mark.parametrize("chunk", range(4))
def test_the_samples_of_the_alert_rules_are_tagged_both_ways(chunk: int) -> None:
    """`ct.alerts` holds the rules that a record meets, whichever way it takes, and is not there where it meets none."""
    for text in map(written, ALERT_SAMPLES[chunk::4]):
        expected = matching.deployed().matching(json.loads(text))
        made = same(text)["ct"]
        assert made.get("alerts", []) == expected
        assert lines(text)[0].alerting == ([0] if expected else [])
        parsed = lines(text.replace(b",", b",\n", 1))[0]  # sent the exact way
        assert engine_limits.content(parsed.lines[0])["ct"].get("alerts", []) == expected
        assert parsed.alerting == ([0] if expected else [])


def test_only_a_record_whose_rules_have_more_to_ask_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where event, source, caller and error code say whether a rule is met, nothing else is looked at; elsewhere only what is
    asked for."""
    asked: dict[str, set[str]] = {}
    remainder = matching.Rules.remainder

    def remainder_seen(rules: matching.Rules, *about: Any) -> remainders.Remainder:
        left = remainder(rules, *about)

        def decode(text: bytes) -> Mapping[str, Any]:
            fields = left.decode(text)
            asked[json.loads(text)["eventID"]] = set(fields)
            return fields

        return dataclasses.replace(left, decode=decode)

    monkeypatch.setattr(matching.Rules, "remainder", remainder_seen)
    user = {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/morgan", "userName": "morgan"}
    secrets, guard = "secretsmanager.amazonaws.com", "guardduty.amazonaws.com"
    texts = [
        record("quiet", userIdentity=user),
        record("failed", userIdentity=user, errorCode="ThrottlingException"),
        {key: value for key, value in record("nobody").items() if key != "userIdentity"},
        record("denied", userIdentity=user, errorCode="AccessDenied"),
        record("root", userIdentity={**user, "type": "Root"}, eventType="AwsApiCall"),
        record("named", userIdentity=user, eventName="StopLogging", eventSource="cloudtrail.amazonaws.com"),
        record("other source", userIdentity=user, eventName="StopLogging"),
        record("by its source", userIdentity=user, eventName="GetSecretValue", eventSource=secrets),
        record("asked", userIdentity=user, eventName="UpdateDetector", eventSource=guard, requestParameters={"enable": False}),
        record("by its name", userIdentity=user, eventName="DeleteDetector", eventSource=guard),
    ]
    found, _ = lines(*map(written, texts))
    assert asked == {"root": {"eventType"}, "asked": {"requestParameters"}}
    tagged = {engine_limits.content(line)["eventID"]: engine_limits.content(line)["ct"].get("alerts") for line in found.lines}
    assert {name: rules for name, rules in tagged.items() if rules} == {
        "denied": ["failed-authorisation", "failed-authorisation-burst"],
        "root": ["root-use"],
        "named": ["trail-stopped"],
        "by its source": ["secrets-read-in-bulk", "secrets-read-with-long-lived-keys"],
        "asked": ["detection-disabled"],
        "by its name": ["detection-disabled"],
    }


def test_the_look_ups_agree_with_the_rules() -> None:
    """What is left to ask, asked of the record, finds what the rules find; where they let nothing through, no rule is met."""
    rules = matching.deployed()
    for sample in ALERT_SAMPLES:
        for other in ({}, {"errorCode": "AccessDenied"}, {"errorCode": None}, {"userIdentity": None}, {"eventName": "X"}):
            changed = {**sample, **other}
            event, source, code = changed["eventName"], changed.get("eventSource"), changed.get("errorCode")
            bits = rules.of_event.get(event, rules.of_any) & rules.of_code(code)
            if code is None:
                assert bits == rules.of_event_succeeded.get(event, rules.of_any_succeeded)
            bits &= rules.of_caller(changed.get("userIdentity"))
            left = rules.remainder(bits, event, source)
            assert list(left.matching(left.decode(written(changed)))) == rules.matching(changed)


def test_a_record_that_only_a_patient_parser_takes_is_asked_all_the_same() -> None:
    """A number out of range beside what is asked for."""
    parameters = {"enable": False, "size": "huge"}
    one = record("huge", eventName="UpdateDetector", eventSource="guardduty.amazonaws.com", requestParameters=parameters)
    found, _ = lines(written(one).replace(b'"huge"}', b"1e999}"))
    assert engine_limits.content(found.lines[0])["ct"]["alerts"] == ["detection-disabled"]


def test_codes_are_remembered_within_a_bound() -> None:
    """A log may hold any text as an error code."""
    rules = matching.Rules([])
    for number in range(5_000):
        rules.of_code(f"code {number}")
        rules.remainder(0, "X", f"source {number}")
    assert 0 < len(rules._codes) <= 2_000
    assert 0 < len(rules._remainders) <= 2_000


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.key.rsplit("_", 2)[1] + sample.key[:8])
def test_sample_records_are_the_same_both_ways(sample: SampleObject) -> None:
    """Each record of the samples gives one document, whichever way it takes, but for fields without a value."""
    place = Place("b", sample.key, delivered(sample.key, None, NOW, NOW))
    for chunks in ([sample.content], [sample.content[at : at + 999] for at in range(0, len(sample.content), 999)]):
        texts = [bytes(text) for found in windows(iter(chunks)) for text in found.texts]
        for text in texts:
            if isinstance(exact(text, place=place), Rejection):
                assert lines(text, place=place)[0].rejected == [(0, text, exact(text, place=place))]
            elif not engine_limits.problems(lines(text, place=place)[0].lines[0]):
                same(text, place=place)
            else:  # left to the engine's refusal, see below
                assert text in hostile.records().values()


def test_real_records_are_the_same_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the collection of real objects lies beside the project: none rejected, none lost, most of them fast."""
    total = fast = 0
    for path in sorted(DATA.rglob("*.json.gz")):
        if "_digest" in path.parts:
            continue
        place = Place("b", path.name, NOW)
        for found in windows(iter([gzip.decompress(path.read_bytes())])):
            result = DocumentBuilder(Policy(), place, Counts()).lines(found, 0)
            assert not result.rejected
            assert [text_of(line) for line in result.lines] == [bytes(text) for text in found.texts]
            for position, (text, line) in enumerate(zip(found.texts, result.lines, strict=True)):
                built = exact(bytes(text), position, place=place)
                assert isinstance(built, Built)
                assert engine_limits.content(line) == engine_limits.content(line_of(built))
                assert engine_limits.problems(line) == []
                total += 1
                fast += went_fast(bytes(text), monkeypatch)
    assert total == (2_451 if DATA.exists() else 0)
    assert fast >= total * 0.7


def test_the_usual_record_takes_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records as CloudTrail writes them, with and without the parts that come and go."""
    tls = {"tlsVersion": "TLSv1.3", "cipherSuite": "c", "clientProvidedHostHeader": "h"}
    parts: list[dict[str, Any]] = [
        {},
        {"tlsDetails": tls},
        {"tlsDetails": tls, "sessionCredentialFromConsole": "true"},
        {"userIdentity": None},
        {"userIdentity": {}},
        {"tlsDetails": None},
        {"tlsDetails": {}},
        {"resources": [{"ARN": "a", "accountId": "1", "type": "t"}]},
        {"newField": {"a": [1]}},
        {"eventTime": "2013-01-01T00:00:00Z"},
        {"userIdentity": {"type": "AWSService", "invokedBy": "x"}},
    ]
    for fields in parts:
        text = written(record("1", **fields))
        assert went_fast(text, monkeypatch), fields
        same(text)
    without = record("1")
    del without["userIdentity"]
    assert went_fast(written(without), monkeypatch)
    same(written(without))


TLS = {"tlsVersion": "TLSv1.3", "cipherSuite": "c", "clientProvidedHostHeader": "h"}


@pytest.mark.parametrize(
    "fields",
    [
        {"requestParameters": {"userIdentity": {"type": "Root"}}},
        {"requestParameters": {"userIdentity": record("1")["userIdentity"]}},
        {"requestParameters": {"tlsDetails": TLS, "userIdentity": None}},
        {"tlsDetails": TLS, "requestParameters": {"tlsDetails": TLS}},
        {"requestParameters": {"tlsDetails": TLS}, "zzz": {"tlsDetails": TLS}, "tlsDetails": TLS, "later": {"tlsDetails": TLS}},
        {"requestParameters": {'x"userIdentity': {"a": 1}}},
        {"requestParameters": {"text": '"userIdentity":{"type":"Root"}'}},
        {"resources": [{"ARN": '","userIdentity":{'}]},
        {"userIdentity": {"type": "x", "userIdentity": {"type": "y"}, "tlsDetails": TLS}, "tlsDetails": TLS},
        {"userIdentity": {"type": "ü", "userName": 'q"\\u\n'}},
        {"userIdentity": {"type": "x", "new": {"a": [1, {"b": None}]}, "sessionContext": {"new": "n", "attributes": {}}}},
    ],
    ids=lambda fields: json.dumps(fields)[:50],
)
@pytest.mark.parametrize("order", ["usual", "sorted", "reversed", "identity last"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",\n", ":\t")], ids=["tight", "spaced", "lines"])
def test_names_inside_do_not_confuse(fields: dict[str, Any], order: str, separators: tuple[str, str]) -> None:
    """The record's own identity and TLS details are flattened, wherever the same names and values stand again."""
    value = record("1", **fields)
    names = list(value)
    if order == "sorted":
        names.sort()
    elif order == "reversed":
        names.reverse()
    elif order == "identity last":
        names = [*(name for name in names if name != "userIdentity"), "userIdentity"]
    found = same(json.dumps({name: value[name] for name in names}, separators=separators, ensure_ascii=False).encode())
    assert found["userIdentity.type"] == value["userIdentity"]["type"]
    assert found["requestParameters"] == value["requestParameters"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"userIdentity": {"type":"R"},"eventTime":"2026-11-03T08:00:00Z","eventID":"1","new":{"userIdentity":{"type":"R"}}}',
        b'{"tlsDetails": {"a":"b"},"eventTime":"2026-11-03T08:00:00Z","eventID":"1","summary":{"tlsDetails":{"a":"b"}}}',
        b'{"abcdefgh":null,"tlsDetails" :null,"eventTime":"2026-11-03T08:00:00Z","eventID":"1"}',
        b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"1","abcdefgh":null,"tlsDetails" :null}',
        b'{"tlsDetails":null,"userIdentity":null,"eventTime":"2026-11-03T08:00:00Z","eventID":"1"}',
        b'{"tlsDetails":{"a":"b"},"eventTime":"2026-11-03T08:00:00Z","eventID":"1","userIdentity":{"type":"x"}}',
        b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"1"}',
        b'{"eventID":"1","eventTime":"2026-11-03T08:00:00Z","eventName":"\\u0041","userAgent":"\\/"}',
    ],
)
def test_hand_made_texts_are_the_same_both_ways(text: bytes) -> None:
    """Odd but valid ways to write a record."""
    same(text)


@pytest.mark.parametrize("space", [b"\n", b"\r\n", b" \n\t "])
@pytest.mark.parametrize("place", [b'"eventID":', b"{", b'"1"', b'"a":[', b"1]"])
def test_a_line_break_in_a_record_never_reaches_the_bulk_request(space: bytes, place: bytes) -> None:
    """Between two tokens it would end the document, and what follows would be read as the next action."""
    text = b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"1","requestParameters":{"a":[1]}}'.replace(place, place + space, 1)
    found, _ = lines(text)
    assert bytes(Body(found.lines)).count(b"\n") == 2
    same(text)


def test_an_action_cannot_be_smuggled_in() -> None:
    """Whoever can write an object into the bucket gains no operation but `create` in the indices of this product."""
    evil = (
        b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"1","x":\n{"delete":{"_index":"other","_id":"1"}}\n,"eventName":"y"}',
        b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"a\\"}}\\n{\\"delete\\":{\\"_id\\":1}}"}',
        b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"1\n{}"}',
        b'{"eventTime":"2026-11-03T08:00:00Z\\",\\"_index\\":\\"x","eventID":"1"}',
    )
    found, _ = lines(*evil)
    request = bytes(Body(found.lines)).split(b"\n")
    assert len(request) == 2 * len(found.lines) + 1
    actions = [json.loads(action) for action in request[:-1:2]]
    assert all(set(action) == {"create"} and set(action["create"]) == {"_index", "_id"} for action in actions)
    assert {action["create"]["_index"] for action in actions} == {"cloudtrail-2026.11"}


@pytest.mark.parametrize(
    "fields",
    [
        {"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}, "additionalEventData": {"MFAUsed": "No"}},
        {"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": None}, "additionalEventData": {"MFAUsed": 1}},
        {"eventName": "ConsoleLogin", "responseElements": None},
        {"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": 'Suc"cess'}, "errorMessage": "x"},
        {"eventName": "RunInstances", "requestParameters": {"instanceType": "m5.large"}},
        {
            "eventName": "RunInstances",
            "requestParameters": {},
            "responseElements": {"instancesSet": {"items": [{"instanceType": "t"}]}},
        },
        {
            "eventName": "RunInstances",
            "requestParameters": {"instanceType": None},
            "responseElements": {"instancesSet": {"items": [{"instanceType": "t"}]}},
        },
        {
            "eventName": "RunInstances",
            "requestParameters": {"instanceType": ""},
            "responseElements": {"instancesSet": {"items": [{"instanceType": "t"}]}},
        },
        {
            "eventName": "RunInstances",
            "requestParameters": {"instanceType": {"value": 3}},
            "responseElements": {"instancesSet": {"items": [{"instanceType": "t"}]}},
        },
        {"eventName": "RunInstances", "requestParameters": None, "responseElements": {"instancesSet": []}},
        {"eventName": "RunInstances", "requestParameters": {"instanceType": 'q"\\ü'}},
        {"eventName": "ModifyInstanceAttribute", "requestParameters": {"instanceType": {"value": "c7g.large"}}},
        {"eventName": "RequestSpotInstances", "requestParameters": {"launchSpecification": {"instanceType": "p5"}}},
        {"eventName": "RequestSpotInstances", "requestParameters": {"launchSpecification": ["x"]}},
        {"errorCode": "", "errorMessage": ""},
        {"errorCode": "AccessDenied"},
        {"errorMessage": "x"},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)
def test_promoted_values_are_the_same_both_ways(fields: dict[str, Any]) -> None:
    """Outcome, sign-in, MFA and instance types."""
    same(written(record("1", **fields)))


@pytest.mark.parametrize(
    "name", [*KEYWORDS, *BOOLEANS, *TREES, "userIdentity", "tlsDetails", "addendum", "resources", "newField"]
)
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "",
        "text",
        "true",
        0,
        -1,
        2**70,
        1.5,
        [],
        ["a"],
        [1],
        [{}],
        [{"a": None}],
        [[]],
        {},
        {"a": None},
        {"": 1},
        {"a": {"b": []}},
    ],
    ids=json.dumps,
)
def test_any_value_in_any_field_is_the_same_both_ways(name: str, value: Any) -> None:
    """Whatever type a field has, there is one document, within the limits of the engine."""
    text = written(record("1", **{name: value}))
    same(text)
    assert engine_limits.problems(lines(text)[0].lines[0]) == []


# What only the exact way may do


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("no id", written({**record("1"), "eventID": None})),
        ("a number as id", written(record("1") | {"eventID": 5})),
        ("an empty id", written(record(""))),
        ("a long id", written(record("e" * 511))),
        ("an escaped long id", written(record("\0" * 100))),
        ("no time", written({**record("1"), "eventTime": None})),
        ("a time with an offset", written(record("1", eventTime="2026-11-03T08:00:00+02:00"))),
        ("a time of the last day", written(record("1", eventTime="2026-11-04T00:00:00Z"))),
        ("a time of other digits", written(record("1", eventTime="2026-11-03T0\uff18:00:00Z"))),
        ("a time before 2013", written(record("1", eventTime="2012-12-31T23:59:59Z"))),
        ("no such day", written(record("1", eventTime="2026-02-30T00:00:00Z"))),
        ("a week as a day", written(record("1", eventTime="2026-W45-2T00:00:00Z"))),
        ("an addendum", written(record("1", addendum={"reason": "x"}))),
        ("a long text", written(record("1", requestParameters={"a": "x" * MAX_TERM}))),
        ("a deep text", written(record("1", requestParameters=json.loads('{"a":' * 60 + "1" + "}" * 60)))),
        ("NaN", written(record("1")).replace(b'"REQUEST0000000001"', b"NaN")),
        ("half a pair", written(record("1")).replace(b"REQUEST0000000001", b"\\ud83d")),
        ("a control byte", written(record("1")).replace(b"REQUEST0000000001", b"\x01")),
        ("invalid UTF-8", written(record("1")).replace(b"REQUEST0000000001", b"\xff")),
        ("a line break", written(record("1")).replace(b',"', b',\n"', 1)),
    ],
)
def test_what_needs_care_takes_the_exact_way(what: str, text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything near a limit is built the exact way at once, alone or among others, and is a document all the same."""
    assert what
    assert not went_fast(text, monkeypatch)
    (line,) = lines(text)[0].lines
    assert engine_limits.problems(line) == []
    assert text_of(line) == text
    usual = written(record("2"))
    found = DocumentBuilder(Policy(), PLACE, Counts()).lines(window(usual, text, usual, poisoned=True), 10)
    assert found.positions == [10, 11, 12]
    assert [text_of(line) for line in found.lines] == [usual, text, usual]


@pytest.mark.parametrize(
    "text",
    [
        written(record("1") | {"a.b": 1}),
        written(record("1") | {"": 1}),
        written(record("1") | {"eventName.x": 1}),
        written(record("1") | {"raw": "forged", "ct": {"position": 99, "rawBase64": "Zm9yZ2Vk"}}),
        written(record("1") | {"raw": 1, "ct": 2}),
        written(record("1") | {"_id": "x", "@timestamp": 1, "event_name": "y"}),
        written(record("1")).replace(b'"eventName":', b'"eventName":"first","eventName":'),
        written(record("1")).replace(b'"userIdentity":', b'"userIdentity":{"type":"first"},"userIdentity":'),
        written(record("1", requestParameters={"a": 1})).replace(b'{"a":1}', b'{"a":1,"a":1e400}'),
    ],
    ids=lambda text: repr(text[-40:]),
)
def test_what_the_engine_refuses_is_rebuilt_from_its_line(text: bytes) -> None:
    """The fast way leaves duplicate and forbidden names to the engine's refusal; the text is then read back from the line."""
    found, _ = lines(text)
    (line,) = found.lines
    assert text_of(line) == text
    built = build(text_of(line), PLACE, 0, Naming(), "live", refused=True)
    assert isinstance(built, Built)
    again = line_of(built)
    assert engine_limits.problems(again) == []
    assert text_of(again) == text
    assert engine_limits.content(again)["ct"]["rebuilt"] is True
    assert engine_limits.content(again)["ct"]["position"] == 0


@pytest.mark.parametrize("what", sorted(hostile.records()))
def test_hostile_records_come_back_out_of_their_lines(what: str) -> None:
    """Whatever a record holds, its line holds its text."""
    text = hostile.records()[what]
    found, _ = lines(text)
    assert [text_of(line) for line in found.lines] == [text]
    assert bytes(Body(found.lines)).count(b"\n") == 2


# Windows


def test_each_element_has_one_fate() -> None:
    """Documents, rejections and filtered records add up, with their positions and their own ids and checksums."""
    texts = [
        written(record("a")),
        b"null",
        b'"x"',
        written(record("b", eventTime="1999-01-01T00:00:00Z")),
        b"{broken",
        written(record("c")),
    ]
    found, count = lines(*texts, first=100)
    assert (found.positions, found.ids) == ([100, 103, 105], [b'"a"', b'"b"', b'"c"'])
    assert [(position, text, rejection.type) for position, text, rejection in found.rejected] == [
        (101, b"null", "not_an_object"),
        (102, b'"x"', "not_an_object"),
        (104, b"{broken", "not_json"),
    ]
    assert count.filtered == 0
    assert len(set(found.checksums)) == 3
    assert [engine_limits.content(line)["ct"]["position"] for line in found.lines] == found.positions


def test_checksums_tell_texts_apart() -> None:
    """The same text has the same checksum in every delivery, whichever way it took."""
    text = written(record("a"))
    other = written(record("a", eventName="Other"))
    both, _ = lines(text, other, text)
    assert both.checksums[0] == both.checksums[2] != both.checksums[1]
    slow, _ = lines(text.replace(b'"a"', b'"a"\n', 1))
    assert slow.ids == [b'"a"']


def test_an_empty_window_is_nothing() -> None:
    """No texts, no lines."""
    found, count = lines()
    assert (found.lines, found.rejected, count) == ([], [], Counts())


def test_days_are_indices_where_the_setting_says_so() -> None:
    """The prefix and the period decide how an index is called, on both ways."""
    policy = Policy(Naming("audit-", daily=True), "replay")
    found, _ = lines(written(record("1")), written(record("2", eventTime="2026-11-04T01:00:00Z")), policy=policy)
    assert [engine_limits.sent(line).index for line in found.lines] == [
        "audit-cloudtrail-2026.11.03",
        "audit-cloudtrail-2026.11.04",
    ]
    assert {engine_limits.content(line)["ct"]["ingestMode"] for line in found.lines} == {"replay"}


def test_index_names_are_a_bounded_set() -> None:
    """Whatever an eventTime says, its index lies between 2013 and the day after the delivery."""
    chance = random.Random(5)
    times = [
        f"{chance.randrange(10_000):04d}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 32):02d}T08:00:00Z"
        for _ in range(3_000)
    ]
    found, _ = lines(*(written(record(str(n), eventTime=time)) for n, time in enumerate(times)))
    assert len(found.lines) == 3_000
    names = {engine_limits.sent(line).index for line in found.lines}
    assert names <= {f"cloudtrail-{year}.{month:02d}" for year in range(2013, 2027) for month in range(1, 13)}
    assert max(names) == "cloudtrail-2026.11"


def test_old_events_are_filtered_by_retention() -> None:
    """Events before the first day kept are counted as filtered on both ways; those of that day are kept."""
    policy = Policy(kept_from="2026-10-05")
    times = ["2026-10-04T23:59:59Z", "2026-10-05T00:00:00Z", "2026-10-05T01:00:00+02:00", "2026-10-04T23:00:00-02:00", "nonsense"]
    found, count = lines(*(written(record(str(n), eventTime=time)) for n, time in enumerate(times)), policy=policy)
    assert found.ids == [b'"1"', b'"3"', b'"4"']
    assert count.filtered == 2


RULES = """[
  {"name": "reads", "match": {"readOnly": "true", "eventSource": ["kms.amazonaws.com", "s3.*"]}},
  {"name": "own", "match": {"userIdentity.arn": "*/audit-search-*"}},
  {"name": "tls", "match": {"tlsDetails.tlsVersion": "TLSv1"}, "count_only": true},
  {"name": "addenda", "match": {"addendum.reason": "NOISE"}},
  {"name": "errors", "match": {"errorCode": "*"}, "count_only": true}
]"""


@pytest.mark.parametrize(
    ("fields", "kept", "counted"),
    [
        ({}, False, {"reads": 1}),
        ({"readOnly": False}, True, {}),
        ({"readOnly": None}, True, {}),
        ({"eventSource": "ec2.amazonaws.com"}, True, {}),
        ({"eventSource": "kms.amazonaws.com", "errorCode": "X"}, False, {"reads": 1, "errors": 1}),
        ({"readOnly": False, "userIdentity": {"arn": "arn:x/audit-search-y"}}, False, {"own": 1}),
        ({"readOnly": False, "userIdentity": None}, True, {}),
        ({"readOnly": False, "tlsDetails": {"tlsVersion": "TLSv1"}}, True, {"tls": 1}),
        ({"readOnly": False, "tlsDetails": {"tlsVersion": "TLSv1"}, "errorCode": "AccessDenied"}, True, {"tls": 1, "errors": 1}),
        ({"readOnly": False, "addendum": {"reason": "NOISE"}}, False, {"addenda": 1}),
        ({"readOnly": False, "errorCode": ""}, True, {"errors": 1}),
    ],
)
@pytest.mark.parametrize("way", ["fast", "exact"])
def test_rules_leave_out_or_count_on_both_ways(fields: dict[str, Any], kept: bool, counted: dict[str, int], way: str) -> None:
    """A rule's records are filtered and counted; a rule that only counts leaves them in."""
    policy = Policy(rules=parse(RULES))
    text = written(record("1", **fields))
    found, count = lines(text if way == "fast" else text.replace(b",", b",\n", 1), policy=policy)
    assert (len(found.lines), count.filtered) == (int(kept), int(not kept))
    assert policy.would_filter == counted


def test_a_caller_is_remembered_but_not_for_ever() -> None:
    """The flattened form of a caller is kept within a bound, and documents stay right when the memory begins anew."""
    splices = Splices("userIdentity", size=20_000)
    policy = Policy()
    policy.identities = splices
    texts = [
        written(record(str(n), userIdentity={"type": "IAMUser", "arn": f"arn:{n}", "userName": f"u{n}" * 20})) for n in range(300)
    ]
    found, _ = lines(*texts, policy=policy)
    assert [engine_limits.content(line)["userIdentity.arn"] for line in found.lines] == [f"arn:{n}" for n in range(300)]
    assert 0 < len(splices._known) < 50


def test_the_span_of_times_is_known() -> None:
    """The oldest and the newest event of an object, for the lag, also where it holds more times than are remembered."""
    builder = DocumentBuilder(Policy(), PLACE, Counts())
    assert builder.span() == ("", "")
    texts = [
        written(record(str(n), eventTime=f"2026-{1 + n % 10:02d}-11T{n // 3600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z"))
        for n in range(25_000)
    ]
    builder.lines(window(*texts), 0)
    assert builder.span() == ("2026-01-11T00:00:00Z", "2026-10-11T06:56:39Z")


def test_the_typed_record_has_every_mapped_field() -> None:
    """A field that the template maps and the parser did not check could be refused by the engine."""
    fields = set(Record.__struct_fields__)
    assert {*KEYWORDS, *BOOLEANS, *TREES, "userIdentity", "tlsDetails", "addendum", "resources", "eventTime", "eventID"} == fields


def test_the_time_of_ingestion_is_that_of_sending() -> None:
    """A line has no time of ingestion; each request writes its own, always in the same width."""
    found, _ = lines(written(record("1")), written(record("2", addendum={"reason": "x"})))
    request = bytes(Body(found.lines)).split(b"\n")
    for text in request[1::2]:
        assert len(json.loads(text)["ct"]["ingestTime"]) == len("2026-11-23T01:38:00.123Z")
    assert found.lines[0].endswith(b'"ingestTime":"')
    assert found.lines[1].endswith(b'"ingestTime":"')


def test_the_samples_become_what_their_makers_count() -> None:
    """All sample objects together: read, rejected and distinct ids as the generator says."""
    wanted = counts(sample_objects())
    ids: set[tuple[str, str]] = set()
    read = rejected = 0
    for sample in SAMPLES:
        place = Place("b", sample.key, delivered(sample.key, None, NOW, NOW))
        for found in windows(iter([sample.content])):
            made = DocumentBuilder(Policy(), place, Counts()).lines(found, 0)
            read += len(found.texts)
            rejected += len(made.rejected)
            ids |= {(engine_limits.sent(line).index, engine_limits.sent(line).id) for line in map(_rebuilt, made.lines)}
    assert (read, rejected, len(ids)) == (wanted.read, wanted.quarantined, wanted.indexed)


def _rebuilt(line: bytes) -> bytes:
    """The line, or the one that replaces it after the engine's refusal."""
    if not engine_limits.problems(line):
        return line
    built = build(text_of(line), PLACE, 0, Naming(), "live", refused=True)
    assert isinstance(built, Built)
    return line_of(built)


def test_the_depth_that_goes_fast_is_the_depth_that_is_kept() -> None:
    """A text at the cap goes fast and is kept as it is; one level more is capped."""
    for levels in (MAX_DEPTH - 1, MAX_DEPTH):
        text = written(record("1", requestParameters=json.loads('{"a":' * levels + "1" + "}" * levels)))
        found = same(text)
        assert ("truncated" in found["ct"]) == (levels == MAX_DEPTH)
