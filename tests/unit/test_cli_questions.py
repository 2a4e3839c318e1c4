"""`audit-search lookup`, `when`, `top`, `stats` and `coverage`: each answer beside a count of its own over the records."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.session import Session
from osmem_server import OsmemServer

from audit_search_cli.errors import Problem
from audit_search_cli.questions import lookup, trends
from audit_search_cli.questions.events import Event, Place
from tests.support.cli import Asked, ScriptedEngine, run
from tests.support.engines import TestEngine
from tests.support.questions import SAMPLES, ask, asked, assert_kept, holds, records, to, when

RECORDS = records(SAMPLES)
SINCE = ("--since", "2026-11-01")
SCENARIOS: dict[str, tuple[str, ...]] = {
    "lookup": ("lookup", "--event-name", "ec2:*Instances", "--read-only", "false", "--until", "2026-11-16", "--max-items", "6"),
    "lookup-none": ("lookup", "--event-name", "RunInstnces", "--accounts", "111122223333"),
    "lookup-json": ("lookup", "--attribute", "AttributeKey=EventName,AttributeValue=TerminateInstances", "--output", "json"),
    "when": ("when", "RunInstances"),
    "when-never": ("when", "iam:CreateUser", "--until", "2026-11-05"),
    "top-caller": ("top", "caller", *SINCE, "--until", "2026-11-21"),
    "top-api": ("top", "api", *SINCE, "--until", "2026-11-21", "--error", "*"),
    "stats-error": ("stats", "--by", "error", "--every", "week", *SINCE, "--until", "2026-11-21"),
    "stats-csv": ("stats", "--by", "region", "--csv", *SINCE, "--until", "2026-11-21"),
    "coverage": ("coverage", "--until", "2026-11-21"),
}
"""The questions whose whole answers are kept; `pytest --renew-golden` writes them anew."""


@pytest.fixture(scope="module")
def engine(samples: TestEngine) -> TestEngine:
    """Every sample."""
    return samples


def chosen(meant: Callable[[dict[str, Any]], bool]) -> set[str]:
    """The ids of the records that a condition holds for."""
    found = {identity for identity, record in RECORDS.items() if meant(record)}
    assert found
    return found


def api(record: dict[str, Any]) -> str:
    """Service and name of a record."""
    return f"{str(record.get('eventSource')).removesuffix('.amazonaws.com')}:{record.get('eventName')}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_answer_is_the_one_that_is_kept(engine: TestEngine, name: str, pytestconfig: pytest.Config) -> None:
    """What a person or a script sees of the samples, to the last sign."""
    assert_kept(engine, name, SCENARIOS[name], pytestconfig.getoption("--renew-golden"))


# --- lookup -------------------------------------------------------------------------------------------------------------


def test_lookup_answers_in_the_shape_of_lookup_events(engine: TestEngine) -> None:
    """The keys are those of the API, the event is the record's own text, and each resource that AWS did not list is marked."""
    answer = asked(engine, "lookup", "--attribute", "AttributeKey=EventName,AttributeValue=RunInstances")
    assert {event["EventId"] for event in answer["Events"]} == chosen(lambda record: record.get("eventName") == "RunInstances")
    assert "NextToken" not in answer
    for event in answer["Events"]:
        record = RECORDS[event["EventId"]]
        assert json.loads(event["CloudTrailEvent"]) == record
        assert datetime.fromisoformat(event["EventTime"]) == when(record)
        assert (event["EventSource"], event["ReadOnly"]) == (record["eventSource"], str(record["readOnly"]).lower())
        assert event["AccessKeyId"] == record["userIdentity"]["accessKeyId"]
        assert event["Username"] == record["userIdentity"]["principalId"].rpartition(":")[2] or record["userIdentity"]["userName"]
        assert all(resource.get("Derived") for resource in event["Resources"])


def test_the_shape_is_that_of_the_api_model(engine: TestEngine) -> None:
    """No key of an event or of a resource is unknown to AWS's own description of the answer, but for the mark."""
    answer: Any = Session().get_service_model("cloudtrail").operation_model("LookupEvents").output_shape
    event_shape = answer.members["Events"].member
    resource_shape = event_shape.members["Resources"].member
    found = asked(engine, "lookup", "--max-items", "300")
    assert set(found) - {"NextToken"} <= set(answer.members)
    for event in found["Events"]:
        assert set(event) <= set(event_shape.members)
        assert {"EventId", "EventName", "EventTime", "CloudTrailEvent", "Resources", "ReadOnly"} <= set(event)
        assert all(set(resource) - {"Derived"} == set(resource_shape.members) for resource in event["Resources"])


def test_each_attribute_of_lookup_events_is_taken(engine: TestEngine) -> None:
    """All eight, and two together."""
    (one,) = asked(engine, "lookup", "--event-name", "RunInstances", "--max-items", "1")["Events"]
    kind, name = one["Resources"][0]["ResourceType"], one["Resources"][0]["ResourceName"]
    values = {**{key: one[key] for key in lookup.ATTRIBUTES if key in one}, "ResourceType": kind, "ResourceName": name}
    assert set(values) == set(lookup.ATTRIBUTES)
    for key, value in values.items():
        found = asked(engine, "lookup", "--attribute", f"AttributeKey={key},AttributeValue={value}")["Events"]
        assert one["EventId"] in {event["EventId"] for event in found}, key
        others = {event["EventId"] for event in found} - {one["EventId"]}
        assert key in ("EventId",) or others, key
    both = [f"AttributeValue={values[key]},AttributeKey={key}" for key in ("EventName", "AccessKeyId")]
    found = asked(engine, "lookup", "--lookup-attributes", both[0], "--attribute", both[1])["Events"]
    assert {event["AccessKeyId"] for event in found} == {one["AccessKeyId"]}
    assert {event["EventName"] for event in found} == {"RunInstances"}


def test_a_type_of_resource_is_told_from_each_event(engine: TestEngine) -> None:
    """Whatever the engine takes for a candidate: what is listed names such a resource, and none that does is missing."""
    found = asked(engine, "lookup", "--resource-type", "AWS::EC2::SecurityGroup")["Events"]
    wanted = {
        identity
        for identity, record in RECORDS.items()
        if any(
            one.type == "AWS::EC2::SecurityGroup"
            for one in Event(identity, "", 0, datetime.now(UTC), json.dumps(record), {}).resources
        )
    }
    assert wanted
    assert {event["EventId"] for event in found} == wanted


def test_pages_follow_each_other_by_a_token(engine: TestEngine) -> None:
    """All pages together are the whole answer, in its order; the last has no token."""
    whole = [event["EventId"] for event in asked(engine, "lookup", "--event-source", "s3")["Events"]]
    found: list[str] = []
    more: tuple[str, ...] = ()
    while True:
        answer = asked(engine, "lookup", "--event-source", "s3", "--max-items", "17", *more)
        found += [event["EventId"] for event in answer["Events"]]
        if "NextToken" not in answer:
            break
        more = ("--starting-token", answer["NextToken"])
    assert found == whole
    assert len(whole) == len(set(whole)) > 2 * 17


def test_a_token_of_somebody_else_is_refused() -> None:
    """Before anything is asked."""
    with pytest.raises(Problem, match="starting token"):
        lookup.place("bm90IG91cnM=")
    assert lookup.place(lookup.token(Place(5, ("a", "b")))) == Place(5, ("a", "b"))


def test_ids_with_several_conditions_are_those_of_the_records(engine: TestEngine) -> None:
    """A caller's failures in a network, with a word of the text."""
    answer = asked(engine, "lookup", "--error", "*", "--source-ip", "203.0.113.0/24", "--text", "Throttling*")
    assert {event["EventId"] for event in answer["Events"]} == chosen(
        lambda record: (
            record.get("errorCode") is not None
            and str(record.get("sourceIPAddress")).startswith("203.0.113.")
            and "throttling" in json.dumps(record).lower()
        )
    )


def test_every_event_that_names_a_resource_is_listed(engine: TestEngine) -> None:
    """In a request or a response, at any depth."""
    wanted = "sg-0f1e2d3c4b5a69788"
    answer = asked(engine, "lookup", "--resource", wanted)
    trees = ("requestParameters", "responseElements")
    assert {event["EventId"] for event in answer["Events"]} >= chosen(
        lambda record: any(holds(record.get(tree), wanted) for tree in trees)
    )


def test_hostile_texts_reach_no_terminal(engine: TestEngine) -> None:
    """What callers chose is shown without anything that a terminal obeys, in tables and in CSV, where no cell is a formula."""
    engine = TestEngine(engine.endpoint, real=engine.real)
    engine.install()
    record = {"eventName": "\x1b[31mX", "errorCode": "=cmd()", "eventSource": "a\x00.amazonaws.com", "awsRegion": "\u202eeu"}
    document = {**record, "eventTime": "2026-11-03T08:00:00Z", "raw": json.dumps(record), "ct": {"caller": "\x1b]0;x\x07"}}
    engine.put(f"/{engine.prefix}cloudtrail-2026.11/_doc/a?refresh=true", document)
    commands = [("lookup",), ("when", "*"), ("coverage",)]
    commands += [(name, *how, *SINCE) for name, *how in (("top", "caller"), ("top", "error", "--csv"), ("stats", "--by", "api"))]
    for command in commands:
        shown = ask(engine, *command)
        assert shown.code == 0, shown
        assert not any(sign in shown.out for sign in "\x1b\x00\x07\u202e"), command
    (_, row) = csv.reader(io.StringIO(ask(engine, "top", "error", "--csv", *SINCE).out))
    assert row[0] == "'=cmd()"
    engine.remove()


def test_the_region_of_aws_is_no_filter_and_this_is_said(engine: TestEngine) -> None:
    """lookup-events asks one region: whoever replaces it by this is told how to choose."""
    shown = ask(engine, "lookup", "--event-name", "RunInstances", "--region", "us-east-1", "--output", "json")
    assert {event["EventId"] for event in shown.document["Events"]} == chosen(
        lambda record: record.get("eventName") == "RunInstances"
    )
    assert shown.err == "Note: --region is where AWS is asked; events of all regions are listed. --regions chooses among them.\n"


def test_an_interrupted_list_is_whole_json_and_says_where_to_go_on() -> None:
    """Ctrl-C ends it behind the event in hand."""

    def answers(_asked: Asked) -> tuple[int, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        hits = [
            {"_id": name, "_index": "x", "sort": [1_793_693_662_000 - at], "_source": {"raw": "{}"}}
            for at, name in enumerate("ab")
        ]
        return 200, {"hits": {"hits": hits}}

    with ScriptedEngine(answers) as scripted:
        shown = run("lookup", "--endpoint", scripted.endpoint, "--auth", "none", "--output", "json", env={})
    assert shown.code == 130
    assert [event["EventId"] for event in shown.document["Events"]] == ["a"]
    assert lookup.place(shown.document["NextToken"]).ids == ("a",)


# --- when ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pattern"), [("kms:Decrypt", "kms:Decrypt"), ("Describe*", ":Describe"), ("AssumeRole", "sts:AssumeRole")]
)
def test_when_counts_the_records(engine: TestEngine, name: str, pattern: str) -> None:
    """First, last, how many, how many failed; the bars together are all, and each gap is one of the records'."""
    found = asked(engine, "when", name)
    ids = chosen(lambda record: api(record) == pattern or ("*" in name and pattern in api(record)))
    times = sorted(moment for identity in ids if (moment := when(RECORDS[identity])))
    assert found["events"] == len(ids)
    assert found["failed"] == sum(bool(RECORDS[identity].get("errorCode")) for identity in ids)
    assert datetime.fromisoformat(found["first"]["time"]) == times[0]
    assert datetime.fromisoformat(found["last"]["time"]) == times[-1]
    assert sum(bar["events"] for bar in found["bars"]) == len(ids)
    assert 2 <= len(found["bars"]) <= 25
    width = timedelta(seconds=found["bar_seconds"])
    for gap in found["gaps"]:
        since, until = datetime.fromisoformat(gap["since"]), datetime.fromisoformat(gap["until"])
        assert until - since > width
        assert times.index(until) == len(times[: times.index(until)])
        assert not [moment for moment in times if since < moment < until]
        meanwhile = [moment for record in RECORDS.values() if (moment := when(record)) and since < moment < until]
        assert abs(gap["others_recorded"] - len(meanwhile)) <= 20  # aggregated events have no time of their own
    longest = max(two - one for one, two in itertools.pairwise(times))
    assert max(datetime.fromisoformat(gap["until"]) - datetime.fromisoformat(gap["since"]) for gap in found["gaps"]) == longest


def test_when_an_api_was_never_called_the_answer_says_what_was_recorded(engine: TestEngine) -> None:
    """No answer without its ground, and a hint where the name may be a slip."""
    found = asked(engine, "when", "ec2:RunInstnces")
    assert (found["events"], found["first"]) == (0, None)
    assert found["Coverage"].startswith("Recorded: 758 events from 2026-11-03")
    assert found["Hints"] == [
        "No event of any time has the event name RunInstnces; did you mean RunInstances or StartInstances or TerminateInstances?"
    ]


# --- top and stats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value_of"),
    [
        ("api", api),
        ("error", lambda record: record.get("errorCode")),
        ("account", lambda record: record.get("recipientAccountId")),
        ("source-ip", lambda record: record.get("sourceIPAddress")),
    ],
)
def test_top_counts_the_records(engine: TestEngine, field: str, value_of: Callable[[dict[str, Any]], Any]) -> None:
    """Of each value as many as there are records with it, the most frequent first; what is not listed is counted too."""
    found = asked(engine, "top", field, "--most", "12", "--since", "2013-01-01")
    values = map(value_of, RECORDS.values())
    wanted = Counter(value if isinstance(value, str) else json.dumps(value) for value in values if value is not None)
    for group in found["groups"]:
        assert group["events"] == wanted[group["value"]], group
    assert [group["events"] for group in found["groups"]] == [number for _, number in wanted.most_common(12)]
    assert found["valued"] == sum(group["events"] for group in found["groups"]) + found["others"]
    assert found["events"] == len(RECORDS)


def test_stats_count_each_record_once(engine: TestEngine) -> None:
    """By day as the records say; the values and the others of a day are all of the day."""
    found = asked(engine, "stats", "--by", "error", "--since", "2013-01-01", "--most", "3")
    days = Counter(f"{moment:%Y-%m-%d}" for record in RECORDS.values() if (moment := when(record)))
    totals = {start[:10]: number for start, number in zip(found["periods"], found["totals"], strict=True)}
    untimed = len(RECORDS) - sum(days.values())
    assert sum(totals.values()) == len(RECORDS)
    assert sum(totals.get(day, 0) - number for day, number in days.items()) <= untimed
    for at, total in enumerate(found["totals"]):
        assert total == sum(one["counts"][at] for one in found["series"]) + found["others"][at]


def test_csv_has_what_json_has(engine: TestEngine) -> None:
    """A row for each period, a column for each value, read by a reader of CSV."""
    how = ("stats", "--by", "caller", "--every", "week", *SINCE)
    whole = asked(engine, *how)
    header, *rows = csv.reader(io.StringIO(ask(engine, *how, "--csv").out))
    assert header == ["from (week, UTC)", "all", "failed", *(one["value"] for one in whole["series"]), "others"]
    assert [row[0] for row in rows] == whole["periods"]
    assert [int(row[1]) for row in rows] == whole["totals"]
    assert [int(row[-1]) for row in rows] == whole["others"]


def test_a_line_of_blocks_shows_how_counts_rise() -> None:
    """Nothing is a space, the highest a whole block; many counts are summed in equal parts."""
    assert trends.sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert trends.sparkline([1] * 100, most=10) == "█" * 10
    assert trends.sparkline([]) == ""


def test_coverage_says_what_the_settings_leave_out(engine: TestEngine) -> None:
    """Retention and exclusion rules, those that only count apart."""
    rules = [
        {"name": "our reads", "match": {"readOnly": "true"}},
        {"name": "tried", "match": {"eventName": "x"}, "count_only": True},
    ]
    env = {"RETENTION_DAYS": "365", "EXCLUSION_RULES": json.dumps(rules)}
    shown = run("coverage", *to(engine), env=env)
    assert "kept 365 days; left out by 1 exclusion rule (our reads)" in shown.out
    assert "Retention: 365 days. Left out by exclusion rules: our reads." in shown.out
    found = run("coverage", *to(engine), "--output", "json", env=env).document
    assert (found["retention_days"], found["exclusion_rules"]) == (365, ["our reads"])
    assert found["events"] == sum(place["events"] for place in found["places"]) == len(RECORDS)
    broken = run("coverage", *to(engine), env={"EXCLUSION_RULES": "[1"})
    assert broken.code == 0
    assert broken.err.startswith("Note: the exclusion rules are not known: ")


def test_the_shell_completes_the_names_of_fields() -> None:
    """What events can be grouped by."""
    env = {"_AUDIT_SEARCH_COMPLETE": "bash_complete", "COMP_WORDS": "audit-search top source", "COMP_CWORD": "2"}
    assert run(env=env).out == "plain,source-ip\n"


# --- wrong use ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("lookup", "--attribute", "EventName=RunInstances"), "is no attribute"),
        (("lookup", "--attribute", "AttributeKey=Name,AttributeValue=x"), "no attribute 'Name'"),
        (("lookup", "--where", "regoin=eu-west-1"), "Did you mean region"),
        (("lookup", "--where", "region"), "FIELD=VALUE"),
        (("lookup", "--user", ""), "The value of user is empty"),
        (("lookup", "--accounts", " , "), "The value of account is empty"),
        (("lookup", "--text", ""), "The value of text is empty"),
        (("lookup", "--source-ip", "10.0.0.0/64"), "no network"),
        (("lookup", "--since", "2026-11-02", "--until", "2026-11-01"), "not before --until"),
        (("top", "callers"), "Did you mean caller"),
        (("top", "event-id"), "cannot be grouped by event-id"),
        (("stats", "--by", "colour"), "There is no field 'colour'"),
    ],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    """It says what is wrong and what to do, and no engine is asked."""
    wrong = run(*arguments, "--endpoint", "http://127.0.0.1:9", "--auth", "none")
    assert wrong.code == 2
    assert says in wrong.line


def test_more_periods_than_anybody_reads_are_refused(engine: TestEngine) -> None:
    """Two years by the hour."""
    engine = TestEngine(engine.endpoint, real=engine.real)
    engine.install()
    for year in (2024, 2026):
        document = {"eventTime": f"{year}-11-03T08:00:00Z", "raw": "{}"}
        engine.put(f"/{engine.prefix}cloudtrail-{year}.11/_doc/{year}?refresh=true", document)
    wrong = run("stats", "--every", "hour", "--since", "2024-01-01", *to(engine))
    assert "more than 10,000 periods of one hour" in wrong.line
    engine.remove()


def test_nothing_of_any_time_is_said_as_such() -> None:
    """On an engine without an index each question has an answer, and says that nothing was recorded."""
    with OsmemServer.start(japanese=False) as server:
        engine = TestEngine(server.url, real=False)
        for command in (("lookup",), ("when", "RunInstances"), ("top", "caller"), ("stats",), ("coverage",)):
            shown = ask(engine, *command)
            assert shown.code == 0, shown
            assert "Recorded: nothing at all of these accounts and regions." in shown.out
