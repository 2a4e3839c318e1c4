"""The monitors on a real node: events by the function, each monitor's own query and condition, run by a model of the scheduler.

One test makes for each rule a burst that is one short, and one that is enough; the others take one rule through what happens
to events and to runs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit_search.alerts import monitors
from audit_search.domain import alerting
from audit_search_cli import alert_rules
from audit_search_cli.alert_sources import Source, sources
from tests.engine.test_function_on_node import engine
from tests.integration.test_function import Make, make
from tests.support.alerting_endpoints import as_printed
from tests.support.aws import Aws, Stored, failures, s3_event, sqs_event
from tests.support.building import ROOT
from tests.support.engines import TestEngine
from tests.support.function import Function
from tests.support.monitor_runs import MINUTE, Schedule, Sent
from tests.support.opensearch_node import OpenSearchNode

__all__ = ["engine", "make"]

SOURCES: dict[str, Source] = {source.name: source for source in sources(ROOT / alert_rules.SOURCES)}
COUNTED = [rule["name"] for rule in monitors.counted()]
START = datetime(2026, 11, 3, 8, 30, tzinfo=UTC)
BURST = "failed-authorisation-burst"


class Clock(datetime):
    """The time that the function finds when it writes."""

    at: datetime = START

    @classmethod
    def now(cls, tz: Any = None) -> Clock:
        """The time that was set."""
        moment = cls.at
        return cls(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond, tz)


@dataclass
class Account:
    """What happens in an account, and the function that indexes it at a time that the test sets."""

    aws: Aws
    engine: TestEngine
    function: Function

    def records(self, rule: str, count: int, caller: str = "morgan", **changed: Any) -> list[dict[str, Any]]:
        """Records that the rule counts, of one caller; the n-th value of a list in `changed` is that of the n-th record."""
        sample = SOURCES[rule].samples.match[0].record
        made = []
        for number in range(count):
            name = changed.get("callers", [caller])[number % len(changed.get("callers", [caller]))]
            identity = {**sample["userIdentity"], "arn": f"arn:aws:sts::111122223333:assumed-role/Deploy/{name}"}
            one = {**sample, "userIdentity": identity, "eventTime": "2026-11-03T08:15:00Z", "eventID": str(uuid.uuid4())}
            one |= {key: value[number % len(value)] for key, value in changed.items() if key != "callers"}
            made.append(one)
        return made

    def index(self, records: list[dict[str, Any]], minute: float) -> Stored:
        """The records come in so many minutes after the start."""
        stored = self.aws.put_records(records)
        self.deliver(stored, minute)
        return stored

    def deliver(self, stored: Stored, minute: float) -> None:
        """The message of an object comes at this time, perhaps again."""
        Clock.at = START + timedelta(minutes=minute)
        assert failures(self.function(sqs_event(s3_event(stored)))) == []
        self.engine.refresh()

    def schedule(self, rule: str) -> Schedule:
        """The monitor of a rule."""
        alias = self.engine.alias
        return Schedule(self.engine, monitors.bodies(alias, channel="alerts")[monitors.named(alias, rule)])

    def sent(self, rule: str, minutes: int = 40, skipping: tuple[int, ...] = ()) -> list[Sent]:
        """What the monitor of a rule sends from ten minutes before the start until so many minutes after."""
        schedule = self.schedule(rule)
        start = int(START.timestamp() * 1_000)
        schedule.run(start - 10 * MINUTE, start + minutes * MINUTE, skipping)
        return schedule.sent


@pytest.fixture
def account(aws: Aws, engine: TestEngine, make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account before a function whose clock the test sets."""
    monkeypatch.setattr("audit_search.bulk.datetime", Clock)
    yield Account(aws, engine, make())
    Clock.at = START


def values(rule: str, count: int) -> dict[str, Any]:
    """What has to differ between records so that so many values are counted, where values are."""
    threshold = SOURCES[rule].threshold
    assert threshold is not None
    if threshold.distinct == "awsRegion":
        return {"awsRegion": [f"eu-north-{number}" for number in range(count)]}
    return {"callers": [f"user-{number}" for number in range(count)]} if threshold.distinct else {}


@pytest.mark.parametrize("rule", COUNTED)
def test_a_burst_is_told_of_once_and_one_that_is_short_is_not(account: Account, rule: str) -> None:
    """Of each rule: who, how many, what it means and what to do, in a message in which nothing is empty."""
    source = SOURCES[rule]
    assert source.threshold is not None
    count = source.threshold.count
    short = account.records(rule, 2 * count if source.threshold.distinct else count - 1, **values(rule, count - 1))
    account.index(short, 0)
    assert account.sent(rule) == []
    enough = account.records(rule, count, caller="sasha", sourceIPAddress=["203.0.113.9"], **values(rule, count))
    account.index(enough, 0.5)
    (sent,) = account.sent(rule)
    who = "203.0.113.9" if source.threshold.by == "sourceIPAddress" else "arn:aws:sts::111122223333:assumed-role/Deploy/sasha"
    assert sent.subject == f"[{source.severity}] {source.title}"
    assert list(sent.message["who"].values()) == [who]
    assert sent.message["what"]["total"] == len(short) + len(enough)
    assert {name: sent.message[name] for name in ("rule", "severity", "tier", "means", "do")} == {
        "rule": rule,
        "severity": source.severity,
        "tier": source.tier,
        "means": source.means,
        "do": source.do,
    }
    assert all(value not in ("", None) for value in sent.message.values())
    assert account.engine.found(sent.message["search"]) == {record["eventID"] for record in enough}


def test_bursts_of_two_callers_are_two_alerts(account: Account) -> None:
    """Neither keeps the other from being told of, and each has an id of its own."""
    account.index(account.records(BURST, 20, "morgan") + account.records(BURST, 25, "sasha"), 0)
    sent = account.sent(BURST)
    assert sorted(one.message["who"]["identity"].rpartition("/")[2] for one in sent) == ["morgan", "sasha"]
    assert len({one.message["id"] for one in sent}) == 2


@pytest.mark.parametrize("minute", [0, 0.25, 0.5, 0.999, 1, 3, 4.5])
def test_a_burst_on_the_border_of_two_runs_is_seen(account: Account, minute: float) -> None:
    """One half before a run's end and the other after it, up to the rule's own minutes apart: still one alert."""
    account.index(account.records(BURST, 10), 0)
    account.index(account.records(BURST, 10), minute)
    assert len(account.sent(BURST)) == 1


def test_as_many_over_a_long_time_are_no_burst(account: Account) -> None:
    """Half of a burst, and the other half ten minutes later."""
    account.index(account.records(BURST, 10), 0)
    account.index(account.records(BURST, 10), 10)
    assert account.sent(BURST) == []


def test_a_burst_that_goes_on_is_one_alert_and_the_next_is_another(account: Account) -> None:
    """Twenty a minute for ten minutes, then a quarter of an hour of quiet, then twenty."""
    for minute in range(10):
        account.index(account.records(BURST, 20), minute)
    account.index(account.records(BURST, 20), 25)
    sent = account.sent(BURST)
    assert len({one.message["id"] for one in sent}) == len(sent) == 2


def test_events_that_come_late_are_counted_when_they_come(account: Account) -> None:
    """By the time of their arrival: a quarter of an hour after they happened, with others that came at once."""
    late = account.records(BURST, 15, eventTime=["2026-11-03T08:05:00Z"])
    account.index(late, 15)
    account.index(account.records(BURST, 5, eventTime=["2026-11-03T08:20:00Z"]), 15.5)
    (sent,) = account.sent(BURST)
    assert sent.message["what"]["total"] == 20


def test_an_object_that_is_delivered_again_counts_once(account: Account) -> None:
    """Half of a burst, twice within a minute, is no burst; a whole one, again an hour later, is told of once."""
    half = account.index(account.records(BURST, 12), 0)
    account.deliver(half, 0.5)
    assert account.sent(BURST) == []
    whole = account.index(account.records(BURST, 20, "sasha"), 2)
    account.deliver(whole, 20)
    assert len(account.sent(BURST, minutes=60)) == 1


def test_what_is_read_again_on_purpose_alerts_nobody(account: Account, make: Make) -> None:
    """A replay, and events that are older than a day when they come in."""
    account.index(account.records(BURST, 30, "sasha", eventTime=["2026-11-02T08:00:00Z"]), 0)
    account.function = make(INGEST_MODE="replay")
    account.index(account.records(BURST, 30), 1)
    assert account.engine.count() == 60
    assert account.sent(BURST) == []


def test_a_run_that_the_cluster_skips_loses_no_burst(account: Account) -> None:
    """A node starts again, and the runs of four minutes do not happen: the next one looks back over them."""
    account.index(account.records(BURST, 20), 0)
    seen = next(number for number in range(40) if account.sent(BURST, minutes=number - 9) != [])
    assert len(account.sent(BURST, skipping=tuple(range(seen, seen + 4)))) == 1


def test_nothing_is_sent_before_there_is_an_index(account: Account) -> None:
    """The first run may come before the first event: no index matches, which is an error to the plugin, and nobody is told."""
    assert account.engine.indices() == []
    assert account.sent(BURST) == []


def test_many_alerts_at_once_are_told_of_together(account: Account) -> None:
    """More than fifty callers: the plugin sends one message for all, which names each; while they last nothing is repeated."""
    callers = [f"user-{number:03}" for number in range(60)]
    account.index(account.records(BURST, 20 * len(callers), callers=callers), 0)
    (sent,) = account.sent(BURST)
    assert [name.rpartition("/")[2] for name in sent.message["all"].split()] == callers


def test_more_callers_than_a_page_holds_are_all_looked_at(account: Account) -> None:
    """The one with the burst comes after a hundred others."""
    others = [f"user-{number:03}" for number in range(150)]
    account.index(account.records(BURST, 150, callers=others) + account.records(BURST, 20, "zoe"), 0)
    (sent,) = account.sent(BURST)
    assert (sent.message["who"]["identity"].rpartition("/")[2], sent.message["what"]["total"]) == ("zoe", 170)


def test_names_that_would_break_a_message_do_not(account: Account) -> None:
    """A session's name comes from outside: quotes, braces and line ends arrive as they are, and fill in nothing."""
    name = 'a"b\\{{ctx.monitor.name}}\n<b>'
    account.index(account.records(BURST, 20, name), 0)
    (sent,) = account.sent(BURST)
    assert sent.message["who"]["identity"].endswith(f"/{name}")
    assert sent.message["rule"] == BURST


@pytest.mark.parametrize("rule", COUNTED)
def test_queries_are_printed_as_the_stand_in_of_the_plugin_does(account: Account, node: OpenSearchNode, rule: str) -> None:
    """What the engine makes of a query when it reads it: to the set-up it is the same query, and the stand-in prints the same."""
    account.index(account.records(rule, 2), 0)
    account.index(account.records(rule, 2), 10)  # inside and outside of the window: else the engine prints a simpler one
    account.index(account.records(rule, 2, eventTime=["2026-10-20T08:00:00Z"]), 10)
    (index, *_) = sorted(account.engine.indices(), reverse=True)
    account.engine.put(f"/{index}/_settings", {"index.search.slowlog.threshold.query.info": "0ms"})
    body = account.schedule(rule).monitor
    (search,) = (one["search"] for one in body["inputs"])
    ends = str(int((START + timedelta(minutes=5)).timestamp() * 1_000))
    asked = json.loads(json.dumps(search["query"]).replace("{{period_start}}", ends).replace("{{period_end}}", ends))
    asked["query"]["bool"]["filter"].pop(1)  # all events of a month are younger than a day, or none: printed simpler as well
    account.engine._answer("POST", f"/{index}/_search", asked)
    lines = [
        line
        for path in (node.folder / "logs").glob("*_index_search_slowlog.log")
        for line in path.read_text("utf-8").splitlines()
        if f"[{index}]" in line
    ]
    printed = json.loads(lines[-1].partition("source[")[2].rpartition("], id[")[0])
    assert printed == as_printed(asked)
    assert alerting._plain(printed) == alerting._plain(asked) == asked
