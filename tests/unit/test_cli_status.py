"""`audit-search status`: what CloudWatch, SQS, S3 and the engine say, put together, and what of it needs a person."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from osmem_server import OsmemServer

from audit_search.aws_config.documents import HISTORY
from audit_search.documents import TRAIL
from audit_search.envelopes import ObjectRef
from audit_search.quarantine import Entry, Quarantine
from audit_search_cli import overview
from audit_search_cli.arrivals import CLOUDTRAIL, CONFIG, Arrival, arrivals
from audit_search_cli.connection import Anonymous, Engine, Target
from audit_search_cli.errors import Problem
from audit_search_cli.figures import Accounting, accounting
from audit_search_cli.overview import Overview
from audit_search_cli.stack import Resource, Stack
from tests.support.aws import ENVIRONMENT, QUARANTINE, REGION, Aws
from tests.support.cli import Run, ScriptedEngine, deploy, run
from tests.support.engines import TestEngine

NOW = datetime.now(UTC).replace(microsecond=0)
BALANCED = {
    "RecordsRead": 21,
    "RecordsIndexed": 10,
    "RecordsDuplicate": 5,
    "RecordsFiltered": 3,
    "RecordsQuarantined": 2,
    "RecordsReturned": 1,
}
QUEUE: dict[str, Any] = {"Type": "AWS::SQS::Queue"}
LOCATION = {"QuarantineLocation": f"s3://{QUARANTINE}/quarantine/"}


@pytest.fixture
def engine() -> Iterator[TestEngine]:
    """An embedded engine with the templates of events and of versions."""
    with OsmemServer.start(japanese=False) as server:
        found = TestEngine(server.url, real=False)
        found.install(TRAIL, HISTORY)
        yield found


def client(aws: Aws, service: str) -> Any:
    """A client of the stand-in."""
    session = boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    make: Any = session.client
    return make(service, endpoint_url=aws.endpoint)


def measure(aws: Aws, service: str, when: datetime, **values: float) -> None:
    """Metrics as a function publishes them."""
    data = [
        {"MetricName": name, "Dimensions": [{"Name": "service", "Value": service}], "Timestamp": when, "Value": value}
        for name, value in values.items()
    ]
    client(aws, "cloudwatch").put_metric_data(Namespace="AuditSearch", MetricData=data)


def event(engine: TestEngine, account: str, region: str, when: datetime, identity: str) -> None:
    """Put a document of CloudTrail into the engine."""
    document = {
        "recipientAccountId": account,
        "awsRegion": region,
        "eventTime": when.isoformat(),
        "ct": {"ingestTime": when.isoformat()},
    }
    put(engine, "cloudtrail-2026.11", document, identity)


def put(engine: TestEngine, index: str, document: dict[str, Any], identity: str) -> None:
    """Put any document into the engine."""
    status, answer = engine.call("PUT", f"/{engine.prefix}{index}/_doc/{identity}?refresh=true", document)
    assert status in (200, 201), answer


def to(engine: TestEngine) -> tuple[str, ...]:
    """The options that name an engine."""
    return ("--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix)


def status(aws: Aws, *arguments: str) -> Run:
    """Run the command with JSON as its result."""
    return run("status", *arguments, "--output", "json", env=aws.environment)


def test_figures_of_a_function_are_summed_and_add_up(aws: Aws) -> None:
    """Over several periods, and without those of another stack or of another time."""
    for minutes in (20, 70):
        measure(aws, "one-cloudtrail", NOW - timedelta(minutes=minutes), **BALANCED, Quarantined=3, EventLag=minutes)
    measure(aws, "one-cloudtrail", NOW - timedelta(hours=30), **BALANCED)
    measure(aws, "two-cloudtrail", NOW - timedelta(minutes=20), **BALANCED)
    found = accounting(client(aws, "cloudwatch"), "one-cloudtrail", NOW - timedelta(hours=24), NOW)
    assert (found.read, found.indexed, found.duplicates) == (42, 20, 10)
    assert (found.filtered, found.quarantined, found.returned, found.put_aside) == (6, 4, 2, 6)
    assert found.adds_up
    assert (found.lag, found.longest_lag) == (45, 70)
    assert found.peak == 21 / 300


@pytest.mark.parametrize(("hours", "period"), [(1, 60), (24, 300), (24 * 7, 3_600), (24 * 400, 3_600)])
def test_periods_are_whole(aws: Aws, hours: int, period: int) -> None:
    """The one that is not over is left out, and the first is counted from its beginning."""
    found = accounting(client(aws, "cloudwatch"), "s", NOW - timedelta(hours=hours), NOW)
    assert (found.period, found.read, found.adds_up, found.lag) == (period, 0, True, None)
    assert found.since.timestamp() % period == found.until.timestamp() % period == 0
    assert found.since <= NOW - timedelta(hours=hours)
    assert found.until <= NOW


def test_a_moment_is_counted_as_a_period(aws: Aws) -> None:
    """CloudWatch takes no time that ends where it begins."""
    found = accounting(client(aws, "cloudwatch"), "s", NOW - timedelta(seconds=1), NOW)
    assert found.until - found.since == timedelta(seconds=60)


def test_each_account_and_region_has_its_newest(engine: TestEngine) -> None:
    """By the event and by when it came in; what has no account is there as well."""
    for number, (account, region, hours) in enumerate([("1", "eu", 5), ("1", "eu", 2), ("1", "us", 1), ("2", "eu", 50)]):
        event(engine, account, region, NOW - timedelta(hours=hours), str(number))
    put(engine, "cloudtrail-2026.11", {"awsRegion": "eu", "ct": {"ingestTime": NOW.isoformat()}}, "none")
    found = {(one.account, one.region): one for one in arrivals(asked(engine), CLOUDTRAIL, engine.prefix)}
    assert set(found) == {("", "eu"), ("1", "eu"), ("1", "us"), ("2", "eu")}
    newest = NOW - timedelta(hours=2)
    assert found["1", "eu"] == Arrival("1", "eu", 2, newest, newest)
    assert found["", "eu"].happened is None


def test_versions_of_aws_config_have_their_own_fields(engine: TestEngine) -> None:
    """The account and region of the resource, and when the version was captured."""
    version = {
        "awsAccountId": "1",
        "awsRegion": "eu",
        "configurationItemCaptureTime": (NOW - timedelta(hours=1)).isoformat(),
        "cfg": {"ingestTime": NOW.isoformat()},
    }
    put(engine, "config-history-2026.11", version, "a")
    found = list(arrivals(asked(engine), CONFIG, engine.prefix))
    assert found == [Arrival("1", "eu", 1, NOW - timedelta(hours=1), NOW)]


def test_more_accounts_than_a_page_are_all_there() -> None:
    """The engine is asked for the next page until there is none."""
    buckets = [
        {
            "key": {"account": f"{number:04}", "region": "eu"},
            "doc_count": 1,
            "happened": {"value": 0},
            "ingested": {"value": None},
        }
        for number in range(1_500)
    ]

    def answers(request: Any) -> tuple[int, Any]:
        after = json.loads(request.body)["aggs"]["sources"]["composite"].get("after")
        start = int(after["account"]) + 1 if after else 0
        page = buckets[start : start + 1_000]
        return 200, {"aggregations": {"sources": {"buckets": page, "after_key": page[-1]["key"]}}}

    with ScriptedEngine(answers) as server:
        found = list(arrivals(Engine(Target(server.endpoint, auth="none"), Anonymous()), CLOUDTRAIL, ""))
    assert len({one.account for one in found}) == 1_500
    assert len(server.asked) == 2


@pytest.mark.parametrize(("code", "says"), [(403, "HTTP 403"), (500, "HTTP 500"), (302, "HTTP 302")])
def test_an_engine_that_refuses_is_a_part_that_could_not_be_looked_at(code: int, says: str) -> None:
    """The exit code is 1, and the rest is shown."""
    with ScriptedEngine(lambda _asked: (code, {"error": {"reason": "no"}})) as server:
        shown = run("status", "--endpoint", server.endpoint, "--auth", "none", "--output", "json", env={})
    assert shown.code == 1, shown
    assert says in shown.document["failed"]["freshness"]
    assert shown.document["cloudtrail"] is None


def asked(engine: TestEngine) -> Engine:
    """The engine as the command reaches it."""
    return Engine(Target(engine.endpoint, auth="none"), Anonymous())


def test_all_is_well(aws: Aws, engine: TestEngine) -> None:
    """Stack and engine together, with nothing to do; each part is there."""
    deploy(aws, "fine", {"CloudTrailQueue": QUEUE, "CloudTrailDeadLetterQueue": QUEUE}, LOCATION)
    measure(aws, "fine-cloudtrail", NOW - timedelta(minutes=20), **BALANCED | {"RecordsQuarantined": 0, "RecordsRead": 19})
    event(engine, "1", "eu", NOW - timedelta(minutes=5), "a")
    event(engine, "1", "us", NOW - timedelta(hours=9), "b")
    found = status(aws, "--stack", "fine", *to(engine))
    assert found.code == 0, found
    document = found.document
    assert (document["needs"], document["failed"], document["left_out"]) == ([], {}, {})
    assert document["accounting"][0]["adds_up"]
    assert document["accounting"][0]["read"] == 19
    assert [queue["name"] for queue in document["queues"]] == ["CloudTrailQueue", "CloudTrailDeadLetterQueue"]
    assert document["quarantine"] == {"location": LOCATION["QuarantineLocation"], "files": 0, "newest": None}
    assert [(one["region"], one["stale"]) for one in document["cloudtrail"]] == [("eu", False), ("us", True)]
    text = run("status", "--stack", "fine", *to(engine), env=aws.environment)
    assert text.code == 0, text
    assert "19 read = 10 indexed + 5 duplicates + 3 filtered + 0 quarantined + 1 returned" in text.out
    assert "Nothing was found that needs a person." in text.out


def test_what_needs_a_person_is_said(aws: Aws) -> None:
    """Records that do not add up, quarantine and dead letters, of AWS Config as well; the exit code is 1."""
    names = ("CloudTrailQueue", "CloudTrailDeadLetterQueue", "ConfigQueue", "ConfigDeadLetterQueue")
    deploy(aws, "ill", dict.fromkeys(names, QUEUE), LOCATION)
    measure(aws, "ill-cloudtrail", NOW - timedelta(minutes=20), **BALANCED | {"RecordsRead": 22})
    measure(aws, "ill-config", NOW - timedelta(minutes=20), **BALANCED, Quarantined=2)
    Quarantine(aws.s3, QUARANTINE, "quarantine/").write(ObjectRef("trail", "a"), [Entry(1, b"x", "not_json", "no")])
    dead = client(aws, "cloudformation").describe_stack_resource(StackName="ill", LogicalResourceId="ConfigDeadLetterQueue")
    aws.sqs.send_message(QueueUrl=dead["StackResourceDetail"]["PhysicalResourceId"], MessageBody="x")
    found = status(aws, "--stack", "ill")
    assert found.code == 1, found
    needs = "\n".join(found.document["needs"])
    assert "ill-cloudtrail read 22 records and accounts for 21" in needs
    assert "ill-config put 2 records and objects into quarantine" in needs
    assert "ConfigDeadLetterQueue holds 1 message" in needs
    assert found.document["quarantine"]["files"] == 1
    assert found.document["left_out"] == {"engine": "no engine is named (--endpoint URL)"}
    text = run("status", "--stack", "ill", env=aws.environment)
    assert "22 read ≠ 10 indexed" in text.out
    assert "Left out: engine" in text.out


def test_alarms_that_are_on_come_first(aws: Aws) -> None:
    """With their reason and since when; their description says what to do."""
    cloudwatch = client(aws, "cloudwatch")
    for name in ("a-quiet", "b-loud"):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            AlarmDescription="Look at it.",
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Threshold=0,
            MetricName="Quarantined",
            Namespace="AuditSearch",
            Period=60,
            Statistic="Maximum",
        )
    cloudwatch.set_alarm_state(AlarmName="b-loud", StateValue="ALARM", StateReason="2 > 0")
    resources = {name: Resource("AWS::CloudWatch::Alarm", name) for name in ("a-quiet", "b-loud")}
    loud, quiet = overview.alarms(cloudwatch, Stack("s", "CREATE_COMPLETE", {}, resources))
    assert (loud.name, loud.state, loud.reason, quiet.name) == ("b-loud", "ALARM", "2 > 0", "a-quiet")
    assert loud.since is not None
    found = Overview(since=NOW - timedelta(hours=1), until=NOW, stale=timedelta(hours=3), alarms=[loud, quiet])
    found.conclude()
    assert found.needs == ["b-loud is in ALARM: Look at it."]


@pytest.mark.parametrize("hours", [None, 5])
def test_a_silent_installation_needs_a_person(engine: TestEngine, aws: Aws, hours: int | None) -> None:
    """No document at all, or none for longer than --stale-hours."""
    if hours:
        event(engine, "1", "eu", NOW - timedelta(hours=hours), "a")
    found = status(aws, *to(engine))
    assert found.code == 1
    assert "Nothing of CloudTrail has come in" in found.document["needs"][0]
    assert found.document["left_out"] == {"stack": "no stack is named (--stack NAME)"}
    assert status(aws, *to(engine), "--stale-hours", "48").code == (0 if hours else 1)


def test_an_engine_that_is_not_reached_leaves_the_rest(aws: Aws) -> None:
    """What could not be looked at is said once, with what to do."""
    deploy(aws, "half", {"CloudTrailQueue": QUEUE}, {})
    found = status(aws, "--stack", "half", "--endpoint", "http://127.0.0.1:1", "--auth", "none")
    assert found.code == 1
    assert "refuses the connection" in found.document["failed"]["freshness"]
    assert found.document["queues"][0]["name"] == "CloudTrailQueue"
    assert "no output QuarantineLocation" in found.document["left_out"]["quarantine"]


def test_names_from_the_engine_cannot_drive_the_terminal(engine: TestEngine, aws: Aws) -> None:
    """Accounts and regions are texts of records."""
    event(engine, "1\x1b]0;owned\x07", "eu\u202e", NOW, "a")
    shown = run("status", *to(engine), env=aws.environment)
    assert shown.code == 0, shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.out)


def test_rates_are_those_of_the_whole_time() -> None:
    """A day of one record a second has 86,400."""
    one = Accounting("s", NOW - timedelta(days=1), NOW, 300, read=86_400, indexed=86_400)
    assert (one.per_second, one.per_day) == (1, 86_400)
    assert not dataclasses.replace(one, indexed=1).adds_up


def test_a_refusal_names_what_to_do() -> None:
    """Where the role may not search."""
    with ScriptedEngine(lambda _asked: (403, "no")) as server, pytest.raises(Problem, match="audit-search doctor looks at it"):
        list(arrivals(Engine(Target(server.endpoint, auth="none"), Anonymous()), CLOUDTRAIL, ""))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Neither a stack nor an engine is named. Give --stack NAME, --endpoint URL, or both."),
        (["--stack", "nothing"], "nothing"),
        (["--since", "tomorrow", "--endpoint", "http://x"], "is not past yet"),
        (["--since", "03/04/2026"], "could be two days"),
        (["--stale-hours", "0"], "0.0 is not in the range"),
        (["--endpoint", "ftp://x"], "is no URL that begins with"),
        (["--endpoint", "http://x", "--auth", "basic"], "needs a user and a secret"),
    ],
)
def test_wrong_input_is_one_line_that_says_what_to_do(aws: Aws, arguments: list[str], says: str) -> None:
    """The exit code is 2, and nothing is printed to stdout."""
    wrong = run("status", *arguments, env=aws.environment)
    assert wrong.code == 2, wrong
    assert says in wrong.line
