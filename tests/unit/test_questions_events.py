"""Searching CloudTrail's documents for questions: each answer is that of a count over the records themselves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from osmem_server import OsmemServer

from audit_search_cli.connection import Anonymous, Engine, Target
from audit_search_cli.errors import Problem
from audit_search_cli.questions import events as library
from audit_search_cli.questions.coverage import Gap, Stated, look
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.fields import FIELDS, asked, named
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.resources import Resource, keys_of, named_by, type_of_arn
from tests.support.cli import Asked, ScriptedEngine
from tests.support.engines import TestEngine
from tests.support.questions import SAMPLES, events_of, holds, records, when

Record = dict[str, Any]
RECORDS = records(SAMPLES)
DAY = timedelta(days=1)
NOON = datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(samples: TestEngine) -> TestEngine:
    """Every sample."""
    return samples


@pytest.fixture(scope="module")
def events(engine: TestEngine) -> Events:
    """The library on it."""
    return events_of(engine)


def who(record: Record) -> Record:
    """The identity of a record, or an empty one."""
    found = record.get("userIdentity")
    return found if isinstance(found, dict) else {}


CASES: list[tuple[str, dict[str, tuple[str, ...]], Callable[[Record], bool]]] = [
    ("an event's name", {"event-name": ("RunInstances",)}, lambda record: record.get("eventName") == "RunInstances"),
    ("a pattern", {"event-name": ("Describe*",)}, lambda record: str(record.get("eventName")).startswith("Describe")),
    ("a service", {"service": ("ec2",)}, lambda record: record.get("eventSource") == "ec2.amazonaws.com"),
    ("several", {"region": ("us-east-1", "eu-west-1")}, lambda record: record.get("awsRegion") in ("us-east-1", "eu-west-1")),
    ("an API", {"api": ("s3:GetObject",)}, lambda record: record.get("eventName") == "GetObject"),
    ("an error", {"error": ("AccessDenied",)}, lambda record: record.get("errorCode") == "AccessDenied"),
    ("any error", {"error": ("*",)}, lambda record: record.get("errorCode") is not None),
    ("an account", {"account": ("444455556666",)}, lambda record: record.get("recipientAccountId") == "444455556666"),
    (
        "a network",
        {"source-ip": ("203.0.113.0/24",)},
        lambda record: str(record.get("sourceIPAddress")).startswith("203.0.113."),
    ),
    (
        "a service as the source",
        {"source-ip": ("secretsmanager.amazonaws.com",)},
        lambda record: record.get("sourceIPAddress") == "secretsmanager.amazonaws.com",
    ),
    ("a user", {"user": ("bob",)}, lambda record: who(record).get("userName") == "bob"),
    (
        "a session",
        {"user": ("carlos@example.com",)},
        lambda record: str(who(record).get("principalId")).endswith(":carlos@example.com"),
    ),
    ("root", {"user": ("root",)}, lambda record: who(record).get("type") == "Root"),
    ("a type of caller", {"caller-type": ("AWSService",)}, lambda record: who(record).get("type") == "AWSService"),
    (
        "two fields",
        {"error": ("*",), "region": ("eu-central-1",)},
        lambda record: record.get("errorCode") is not None and record.get("awsRegion") == "eu-central-1",
    ),
]


@pytest.mark.parametrize(("name", "where", "meant"), CASES, ids=[name for name, _, _ in CASES])
def test_a_filter_finds_the_records_that_it_means(
    events: Events, name: str, where: dict[str, tuple[str, ...]], meant: Callable[[Record], bool]
) -> None:
    """The ids are those of the records that the same condition holds for; so is the count."""
    wanted = {identity for identity, record in RECORDS.items() if meant(record)}
    assert wanted
    query = Filters(where).query()
    found = {event.id for event in events.search(query)}
    assert found == wanted
    assert events.count(query) == len(wanted)


def test_a_resource_is_found_by_its_id_wherever_it_stands(events: Events) -> None:
    """In the request or the response as a whole value; each event found names it, also inside longer texts."""
    wanted = "i-0a1b2c3d4e5f60718"
    trees = ("requestParameters", "responseElements")
    exact = {identity for identity, record in RECORDS.items() if any(holds(record.get(tree), wanted) for tree in trees)}
    found = {event.id: event for event in events.search(Filters({"resource": (wanted,)}).query())}
    assert exact
    assert exact <= set(found)


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("page", [7, 500])
def test_every_event_comes_once_in_the_order_of_time(
    events: Events, monkeypatch: pytest.MonkeyPatch, page: int, *, oldest_first: bool
) -> None:
    """Also where pages end among events of one second; those of one moment come in the order of their ids."""
    monkeypatch.setattr(library, "_PAGE", page)
    found = list(events.search({"match_all": {}}, oldest_first=oldest_first))
    assert len(found) == len({event.id for event in found}) == events.count({"match_all": {}})
    times = [event.time for event in found]
    assert times == sorted(times, reverse=not oldest_first)
    ties = [(one.id, two.id) for one, two in itertools.pairwise(found) if one.time == two.time]
    assert ties
    assert all(one < two for one, two in ties)


def test_events_of_one_moment_beyond_a_page_are_not_lost(engine: TestEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty events of one second, ten a page: thirty, and as many of them as are asked for."""
    engine = TestEngine(engine.endpoint, real=engine.real)
    engine.install()
    for number in range(30):
        document = {"eventTime": "2026-11-03T08:00:00Z", "raw": "{}", "ct": {"position": 0}}
        engine.put(f"/{engine.prefix}cloudtrail-2026.11/_doc/{number:02}?refresh=true", document)
    monkeypatch.setattr(library, "_PAGE", 10)
    wanted = [f"{number:02}" for number in range(30)]
    assert [event.id for event in events_of(engine).search({"match_all": {}})] == wanted
    assert [event.id for event in events_of(engine).search({"match_all": {}}, most=3)] == wanted[:3]
    engine.remove()


def test_a_period_has_its_beginning_and_not_its_end(events: Events) -> None:
    """An event at the end belongs to the next period, so that periods in a row count each event once."""
    first = min(event.time for event in events.search({"match_all": {}}))
    last = max(event.time for event in events.search({"match_all": {}}))
    total, since = 0, first
    while since <= last:
        total += events.count(Filters(since=since, until=since + DAY).query())
        since += DAY
    assert total == events.count({"match_all": {}})
    assert events.count(Filters(since=last).query()) >= 1
    assert events.count(Filters(until=first).query()) == 0


def test_an_event_is_read_from_its_own_text(events: Events) -> None:
    """The record is the one that was delivered, with names that the command prints."""
    (event,) = list(events.search(Filters({"event-name": ("RunInstances",), "error": ("*",)}).query(), most=1))
    assert event.record == RECORDS[event.id]
    assert event.time == when(RECORDS[event.id])
    assert event.api == "ec2:RunInstances"
    assert event.failed
    assert event.error == RECORDS[event.id]["errorCode"]
    assert event.account == RECORDS[event.id]["recipientAccountId"]
    assert event.said("userIdentity.type") == RECORDS[event.id]["userIdentity"]["type"]
    assert [found.id for found in events.by_id(event.id, "nothing")] == [event.id]


def test_words_and_phrases_of_the_text_all_have_to_be_there(events: Events) -> None:
    """In quotes in this order, without quotes anywhere, with an asterisk the beginning of a word."""
    phrase = {event.id for event in events.search(Filters(text='"not authorized to perform"').query())}
    wanted = {identity for identity, record in RECORDS.items() if "not authorized to perform" in str(record).lower()}
    assert phrase == wanted
    assert {event.id for event in events.search(Filters(text="authoriz* perform").query())} >= wanted
    assert events.count(Filters(text="authorized nowhereatall").query()) == 0
    with pytest.raises(Problem, match="no word"):
        Filters(text='""').query()


def test_names_that_people_use_lead_to_fields_and_slips_to_a_hint() -> None:
    """Names of options, of documents and of LookupEvents; an unknown one says what is near."""
    assert named("Error_Code") is FIELDS["error"]
    assert named("recipientAccountId") is FIELDS["account"]
    assert named("Username") is FIELDS["user"]
    with pytest.raises(Problem, match="Did you mean region"):
        named("regoin")
    with pytest.raises(Problem, match="There are api, event-name"):
        named("zzz")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("source-ip", "10.0.0.0/99", "no network"),
        ("read-only", "perhaps", "true or false"),
        ("region", " ", "The value of region is empty"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_refused(name: str, value: str, says: str) -> None:
    """Before the engine is asked."""
    with pytest.raises(Problem, match=says):
        asked(name, value)


def test_without_an_index_there_are_no_events() -> None:
    """A new installation answers none, and no error."""
    with OsmemServer.start(japanese=False) as server:
        events = events_of(TestEngine(server.url, real=False))
        assert list(events.search({"match_all": {}})) == []
        assert events.count({"match_all": {}}) == 0
        assert look(events, Filters(), config=True).line() == "Recorded: nothing at all of these accounts and regions."


def _scripted(status: int, answer: Any) -> Problem:
    def answers(_asked: Asked) -> tuple[int, Any]:
        return status, answer

    with ScriptedEngine(answers) as engine, pytest.raises(Problem) as raised:
        Events(Engine(Target(engine.endpoint, auth="none"), Anonymous())).count({"match_all": {}})
    return raised.value


def test_an_answer_that_lacks_a_shard_is_no_answer() -> None:
    """Half a count would be taken for the whole."""
    failures = [{"reason": {"type": "x", "reason": "node left"}}]
    problem = _scripted(200, {"_shards": {"total": 3, "failed": 1, "failures": failures}, "hits": {}})
    assert problem.what == "1 of 3 shards did not answer a search: node left"
    assert "timed out" in _scripted(200, {"timed_out": True, "_shards": {"total": 1, "failed": 0}}).what


def test_a_refusal_says_what_the_engine_said() -> None:
    """With its status, and where to look."""
    problem = _scripted(403, {"error": {"reason": "no permissions for [indices:data/read/search]"}})
    assert "HTTP 403: no permissions" in problem.what
    assert "doctor" in problem.remedy


def test_resources_are_those_that_are_listed_and_those_that_can_be_told() -> None:
    """A key is trusted in its own service only, an id and an ARN anywhere; each name comes once, listed ones first."""
    record = {
        "eventSource": "ec2.amazonaws.com",
        "eventName": "AttachVolume",
        "resources": [{"ARN": "arn:aws:ec2:eu-central-1:111122223333:volume/vol-0d6e5f40312091827", "type": "AWS::EC2::Volume"}],
        "requestParameters": {
            "volumeId": "vol-0d6e5f40312091827",
            "bucketName": "not-here",
            "set": [{"x": "i-0a1b2c3d4e5f60718"}],
        },
        "responseElements": {"volumeId": "vol-0d6e5f40312091827", "role": "arn:aws:iam::111122223333:role/x"},
    }
    assert named_by(record) == [
        Resource("arn:aws:ec2:eu-central-1:111122223333:volume/vol-0d6e5f40312091827", "AWS::EC2::Volume", "resources[0]", False),
        Resource("vol-0d6e5f40312091827", "AWS::EC2::Volume", "requestParameters.volumeId", True),
        Resource("i-0a1b2c3d4e5f60718", "AWS::EC2::Instance", "requestParameters.set[0].x", True),
        Resource("arn:aws:iam::111122223333:role/x", "AWS::IAM::Role", "responseElements.role", True),
    ]
    parameter = {"eventSource": "ssm.amazonaws.com", "eventName": "PutParameter", "requestParameters": {"name": "/a"}}
    assert named_by(parameter) == [Resource("/a", "AWS::SSM::Parameter", "requestParameters.name", True)]
    assert named_by({"requestParameters": "x", "resources": "y", "eventSource": 1}) == []


def test_types_are_told_by_arns_and_keys() -> None:
    """Of what is not known the type is empty."""
    assert type_of_arn("arn:aws:s3:::bucket") == "AWS::S3::Bucket"
    assert type_of_arn("arn:aws:s3:::bucket/key") == "AWS::S3::Object"
    assert type_of_arn("arn:aws-cn:lambda:cn-north-1:111122223333:function:f") == "AWS::Lambda::Function"
    assert type_of_arn("arn:aws:new:::thing") == ""
    assert keys_of("AWS::EC2::Instance") == ({"instanceId"}, {"i"})


def test_coverage_counts_what_the_records_say(events: Events) -> None:
    """Accounts, regions, kinds, the first and the last event, of all and of an account in a period."""
    found = look(events, Filters())
    assert found.events == events.count({"match_all": {}})
    names = ("recipientAccountId", "awsRegion")
    places = {
        tuple(record.get(name) or "" for name in names) for record in RECORDS.values() if isinstance(record.get(names[1]), str)
    }
    assert {(one.account, one.region) for one in found.seen} >= places
    wanted = [record for record in RECORDS.values() if record.get("recipientAccountId") == "444455556666"]
    some = look(events, Filters({"account": ("444455556666",), "event-name": ("Nothing",)}))
    assert some.events == len(wanted)
    assert (some.first, some.last) == (min(filter(None, map(when, wanted))), max(filter(None, map(when, wanted))))
    assert sum(found.data.values()) == found.kinds["data"]


def test_coverage_names_the_calls_that_changed_what_is_recorded(engine: TestEngine) -> None:
    """Those that succeeded, newest first: a trail that was stopped explains a time without events."""
    engine = TestEngine(engine.endpoint, real=engine.real)
    engine.install()
    calls = [
        ("cloudtrail", "StopLogging", "success"),
        ("cloudtrail", "DeleteTrail", "failure"),
        ("cloudtrail", "LookupEvents", "success"),
        ("config", "PutConfigurationRecorder", "success"),
    ]
    for number, (service, name, outcome) in enumerate(calls):
        record = {"eventSource": f"{service}.amazonaws.com", "eventName": name, "eventTime": f"2026-11-03T08:00:0{number}Z"}
        document = {**record, "raw": json.dumps(record), "ct": {"outcome": outcome}}
        engine.put(f"/{engine.prefix}cloudtrail-2026.11/_doc/{number}?refresh=true", document)
    found = look(events_of(engine), Filters())
    assert [event.api for event in found.changes] == ["config:PutConfigurationRecorder", "cloudtrail:StopLogging"]
    assert "; what is recorded was changed (config:PutConfigurationRecorder, cloudtrail:StopLogging)" in found.line()
    engine.remove()


def test_gaps_are_told_by_the_events_around_them(events: Events) -> None:
    """Of the events of an account, each stretch of more than six hours is there with its two ends."""
    account = "444455556666"
    times = sorted(
        moment for record in RECORDS.values() if record.get("recipientAccountId") == account and (moment := when(record))
    )
    wanted = [Gap(one, two) for one, two in itertools.pairwise(times) if two - one > timedelta(hours=6)]
    assert wanted
    assert look(events, Filters({"account": (account,)})).gaps == wanted


def test_the_line_of_coverage_says_what_limits_an_answer(events: Events) -> None:
    """Kinds that are not there, what the stack leaves out, and when there are events if not in the period."""
    quiet = look(events, Filters(since=NOON - 900 * DAY, until=NOON - 800 * DAY))
    assert quiet.line() == "Recorded: nothing in this period; there are events from 2026-11-03 08:10 to 2026-11-20 08:58 UTC."
    line = look(events, Filters({"region": ("eu-west-1",)}), Stated(365, ["our own reads"])).line()
    assert "no insight or network events" in line or "no data" in line
    assert "kept 365 days; left out by 1 exclusion rule (our own reads)" in line
    unknown = look(events, Filters({"account": ("000000000000",)})).line()
    assert unknown == "Recorded: nothing at all of these accounts and regions."
