"""Events that met an alert rule are told: once where all goes well, at least once where it does not, never of a replay."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit_search import notifying
from audit_search.accounting import Counts
from audit_search.alerts import notices
from audit_search.alerts.topic import Topic
from audit_search.bulk import Retries
from audit_search.cloudtrail import Policy
from audit_search.documents import ALERTS, Naming
from audit_search.envelopes import Message, ObjectRef
from audit_search.notifying import FAILED, METRICS, REPEATED, SENT, Notifier
from audit_search.objects import ObjectReader
from audit_search.opensearch import HttpEngine
from audit_search.pipeline import Pipeline
from audit_search.quarantine import Quarantine
from audit_search.reports import Report
from audit_search.settings import Settings
from tests.support.aws import QUARANTINE, TRAIL, Aws, Queue, Stored, record, records
from tests.support.bulk_endpoint import BulkEndpoint, Verdict
from tests.support.fault_proxy import Pass, ResetAfter

NOW = datetime(2026, 11, 3, 8, 30, tzinfo=UTC)
QUICK = Retries(attempts=3, base=0.001, cap=0.002, timeout=20)


def stopped(event_id: str, **fields: object) -> dict[str, Any]:
    """A record that stops a trail: a page."""
    return record(event_id, eventSource="cloudtrail.amazonaws.com", eventName="StopLogging", **fields)


@dataclass
class World:
    """A pipeline whose alerts go to a topic with one subscriber, a queue."""

    aws: Aws
    endpoint: BulkEndpoint
    line_up: Pipeline
    notifier: Notifier
    inbox: Queue

    def deliver(self, *stored: Stored, seconds: float = 300) -> Report:
        """One message that names the objects."""
        message = Message(message_id="m0", objects=[ObjectRef(one.bucket, one.key, size=one.size) for one in stored])
        return self.line_up.run([message], time.monotonic() + seconds)

    def put(self, *found: dict[str, Any]) -> Stored:
        """An object with some records."""
        return self.aws.put_records(found)

    def envelopes(self) -> list[dict[str, Any]]:
        """What has come to the subscriber since it was asked last."""
        found: list[dict[str, Any]] = []
        while messages := self.aws.sqs.receive_message(QueueUrl=self.inbox.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.aws.sqs.delete_message(QueueUrl=self.inbox.url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def arrived(self) -> list[str]:
        """The ids of the alerts that have come to the subscriber since it was asked last."""
        return sorted(json.loads(one["Message"])["id"] for one in self.envelopes())

    def states(self) -> dict[str, str]:
        """The alerts that are written down, with their states."""
        return {
            identity: document["alert"]["state"]
            for identity, document in self.endpoint.documents.items()
            if self.endpoint.indices[identity] == ALERTS
        }

    def forbid(self) -> None:
        """Take the topic away."""
        self.aws.sns.delete_topic(TopicArn=self.aws.topic())

    def allow(self) -> None:
        """Give it back."""
        self.aws.topic(self.inbox)


@pytest.fixture
def world(aws: Aws) -> Iterator[World]:
    """Everything in place, on the day of the records."""
    with BulkEndpoint() as endpoint:
        settings = Settings.from_env(
            {
                "OPENSEARCH_ENDPOINT": endpoint.endpoint,
                "OPENSEARCH_AUTH": "none",
                "ALLOWED_BUCKETS": TRAIL,
                "QUARANTINE_BUCKET": QUARANTINE,
            }
        )
        engine, inbox = HttpEngine(settings), aws.queue()
        notifier = Notifier(
            engine=engine,
            topic=Topic(lambda: aws.sns, aws.topic(inbox)),
            index=ALERTS,
            tiers=settings.alert_tiers,
            max_age=timedelta(hours=24),
            retries=QUICK,
        )
        line_up = Pipeline(
            reader=ObjectReader(aws.s3, frozenset({TRAIL}), max_bytes=1 << 28, max_ratio=250),
            engine=engine,
            quarantine=Quarantine(aws.s3, QUARANTINE, "quarantine/"),
            policy=Policy(Naming()),
            retries=QUICK,
            notifier=notifier,
            now=lambda: NOW,
        )
        yield World(aws, endpoint, line_up, notifier, inbox)


def counted(report: Report, **expected: int) -> bool:
    """Whether the metrics of alerts are these, and all others 0."""
    return {name: report.metrics[name] for name in METRICS} == {**dict.fromkeys(METRICS, 0), **expected}


def test_each_alert_is_told_once_and_a_second_delivery_tells_none(world: World) -> None:
    """One message for each event and rule that notifies; digests and rules that only count are written into the event alone."""
    found = [
        *records(20),
        stopped("page"),
        record("digest", eventSource="ec2.amazonaws.com", eventName="CreateVpc"),
        record("counted", errorCode="AccessDenied", eventName="GetObject"),
        record("two", eventName="ConsoleLogin", eventSource="signin.amazonaws.com", userIdentity={"type": "Root"}),
    ]
    stored = world.put(*found)
    report = world.deliver(stored)
    assert world.arrived() == ["page:trail-stopped", "two:root-sign-in", "two:root-use"]
    assert counted(report, AlertsSent=3)
    assert world.states() == dict.fromkeys(("page:trail-stopped", "two:root-sign-in", "two:root-use"), "sent")
    assert world.endpoint.documents["digest"]["ct"]["alerts"] == ["vpc-changes"]
    assert "failed-authorisation-burst" in world.endpoint.documents["counted"]["ct"]["alerts"]
    again = world.deliver(stored)
    assert world.arrived() == []
    assert counted(again, AlertsRepeated=3)
    assert (again.counts.duplicates, again.returned_messages) == (24, [])


def test_nothing_is_asked_where_no_rule_is_met(world: World) -> None:
    """Objects without alerts cost no request more."""
    report = world.deliver(world.put(*records(50)))
    assert len(world.endpoint.requests) == report.requests == 1
    assert counted(report)


def test_alerts_share_their_requests(world: World) -> None:
    """Twenty-five alerts take one request to write them down, three to the topic, and one more to the engine."""
    calls: list[int] = []
    publish = world.notifier.topic.publish

    class Counted:
        def publish(self, notices: Any) -> list[str]:
            calls.append(len(notices))
            return publish(notices)

    world.notifier.topic = Counted()
    stored = world.put(*(stopped(f"e{number}") for number in range(25)))
    assert counted(world.deliver(stored), AlertsSent=25)
    assert calls == [10, 10, 5]
    assert len(world.endpoint.requests) == 3
    assert len(world.arrived()) == 25


def test_a_crash_between_indexing_and_telling_loses_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event is a duplicate when its message comes again, and its alert has no document yet."""
    stored = world.put(stopped("a"), *records(3))
    with monkeypatch.context() as patch:
        patch.setattr(notifying.Notifications, "finish", lambda self: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            world.deliver(stored)
    assert ("a" in world.endpoint.documents, world.states(), world.arrived()) == (True, {}, [])
    report = world.deliver(stored)
    assert (report.counts.duplicates, world.arrived()) == (4, ["a:trail-stopped"])
    assert counted(report, AlertsSent=1)


def test_a_crash_between_writing_down_and_telling_loses_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert that is `pending` is told when the event comes again."""
    stored = world.put(stopped("a"))
    with monkeypatch.context() as patch:
        patch.setattr(Topic, "publish", lambda self, some: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            world.deliver(stored)
    assert world.states() == {"a:trail-stopped": "pending"}
    assert counted(world.deliver(stored), AlertsSent=1)
    assert (world.arrived(), world.states()) == (["a:trail-stopped"], {"a:trail-stopped": "sent"})


def test_a_topic_that_takes_nothing_returns_the_message(world: World) -> None:
    """Only the object with the alert returns, with the reason; its records are counted as what they are, each time."""
    alerting, quiet = world.put(stopped("a"), *records(3)), world.put(*records(2, "q"))
    world.forbid()
    report = world.deliver(alerting, quiet)
    ((_, reason),) = report.returned_messages
    assert "alert_not_sent" in reason
    assert "NotFound" in reason
    assert quiet.key not in reason
    assert report.counts == Counts(read=6, indexed=6)
    assert counted(report, AlertsFailed=1)
    world.allow()
    again = world.deliver(alerting, quiet)
    assert (again.counts, again.returned_messages) == (Counts(read=6, duplicates=6), [])
    assert world.arrived() == ["a:trail-stopped"]


def test_what_could_not_be_told_is_told_however_old_it_has_become(world: World) -> None:
    """The limit of age is for events that come in old, not for those that had to wait for the topic."""
    stored = world.put(stopped("a"))
    world.forbid()
    world.deliver(stored)
    world.allow()
    world.line_up.now = lambda: NOW + timedelta(days=3)
    assert counted(world.deliver(stored), AlertsSent=1)
    assert world.arrived() == ["a:trail-stopped"]


def test_replays_and_old_events_tell_nobody(world: World) -> None:
    """They are indexed with `ct.alerts`, and counted as suppressed; nothing is written down of them."""
    old = world.put(stopped("old", eventTime="2026-11-02T08:29:59Z"), stopped("young", eventTime="2026-11-02T08:30:01Z"))
    assert counted(world.deliver(old), AlertsSent=1, AlertsSuppressed=1)
    assert counted(world.deliver(old), AlertsRepeated=1, AlertsSuppressed=1)
    world.line_up.policy.mode = "replay"
    assert counted(world.deliver(world.put(stopped("replayed"))), AlertsSuppressed=1)
    assert world.arrived() == ["young:trail-stopped"]
    assert world.endpoint.documents["replayed"]["ct"]["alerts"] == ["trail-stopped"]
    assert list(world.states()) == ["young:trail-stopped"]


def test_tiers_are_a_setting(world: World) -> None:
    """Who wants digests at once gets them, and who wants pages alone no tickets."""
    stored = world.put(stopped("page"), record("digest", eventSource="ec2.amazonaws.com", eventName="CreateVpc"))
    world.notifier.tiers = frozenset({"digest"})
    assert counted(world.deliver(stored), AlertsSent=1)
    assert world.arrived() == ["digest:vpc-changes"]


def test_an_event_that_the_engine_refuses_is_told_all_the_same(world: World) -> None:
    """What is in quarantine instead of the index happened too."""
    world.endpoint.judge = lambda item: Verdict(400, "mapper_parsing_exception", "never") if item.id == "a" else None
    report = world.deliver(world.put(stopped("a")))
    assert (report.counts.quarantined, world.arrived()) == (1, ["a:trail-stopped"])


def test_an_event_that_returns_is_told_when_it_is_indexed(world: World) -> None:
    """Not before: nobody could look at it yet."""
    stored = world.put(stopped("a"))
    world.endpoint.judge = lambda item: Verdict(403, "security_exception", "no permissions") if item.id == "a" else None
    assert counted(world.deliver(stored))
    assert world.arrived() == []
    world.endpoint.judge = lambda item: None
    assert counted(world.deliver(stored), AlertsSent=1)
    assert world.arrived() == ["a:trail-stopped"]


@pytest.mark.parametrize("status", [403, 404, 429, 503])
def test_alerts_that_cannot_be_written_down_return(world: World, status: int) -> None:
    """Nothing is told then, for it could not be told apart from a first time; nothing is lost either."""
    stored = world.put(stopped("a"))
    world.endpoint.judge = lambda item: Verdict(status, "made_up", "not now") if item.index == ALERTS else None
    report = world.deliver(stored)
    assert "made_up: not now" in report.returned_messages[0][1]
    assert counted(report, AlertsFailed=1)
    world.endpoint.judge = lambda item: None
    assert counted(world.deliver(stored), AlertsSent=1)
    assert world.arrived() == ["a:trail-stopped"]


def test_an_alert_that_can_never_be_written_down_is_told(world: World) -> None:
    """Rather twice than never."""
    world.endpoint.judge = lambda item: Verdict(400, "mapper_parsing_exception", "no") if item.index == ALERTS else None
    report = world.deliver(world.put(stopped("a")))
    assert (world.arrived(), report.returned_messages) == (["a:trail-stopped"], [])
    assert counted(report, AlertsSent=1, AlertsUnmarked=1)


def test_an_alert_that_was_told_and_not_marked_returns_nothing(world: World) -> None:
    """Its message would tell it again; it is counted instead."""
    written = []

    def only_first(item: Any) -> Verdict | None:
        if item.index != ALERTS:
            return None
        written.append(item.document["alert"]["state"])
        return Verdict(503, "unavailable", "gone") if written[-1] == "sent" else None

    world.endpoint.judge = only_first
    report = world.deliver(world.put(stopped("a")))
    assert (report.returned_messages, world.arrived(), world.states()) == (
        [],
        ["a:trail-stopped"],
        {"a:trail-stopped": "pending"},
    )
    assert counted(report, AlertsSent=1, AlertsUnmarked=1)


def test_an_answer_that_is_lost_is_asked_for_again(world: World) -> None:
    """A request that was carried out and not answered finds its own document, which is pending, and tells."""
    stored = world.put(stopped("a"))
    world.endpoint.script(Pass(), ResetAfter())
    report = world.deliver(stored)
    assert (world.arrived(), report.returned_messages) == (["a:trail-stopped"], [])


def test_states_that_cannot_be_read_return_the_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether an alert was told has to be known."""
    stored = world.put(stopped("a"))
    world.deliver(stored)
    for broken in (b'{"docs":[]}', b'{"docs":[{"_id":"x","error":{"type":"shard_failure","reason":"lost"}}]}', b"[]", b"no JSON"):
        with monkeypatch.context() as patch:
            patch.setattr(BulkEndpoint, "mget", lambda self, body, broken=broken: broken)
            report = world.deliver(stored)
        assert "alert_not_sent" in report.returned_messages[0][1]
        assert counted(report, AlertsFailed=1)
    assert counted(world.deliver(stored), AlertsRepeated=1)
    assert world.arrived() == ["a:trail-stopped"]


def test_two_objects_with_one_event_tell_once(world: World) -> None:
    """As two trails deliver it; and where it cannot be told, both return."""
    first, second = world.put(stopped("a")), world.put(stopped("a"))
    world.forbid()
    report = world.deliver(first, second)
    assert {item.ref.key for item in report.objects if item.must_return} == {first.key, second.key}  # type: ignore[union-attr]
    world.allow()
    world.deliver(first, second)
    assert world.arrived() == ["a:trail-stopped"]


def test_more_alerts_than_one_invocation_tells_follow_with_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over the bound returns, and each delivery goes on where the one before ended."""
    monkeypatch.setattr(notifying, "_TOGETHER", 4)
    world.notifier.most = 7
    stored = world.put(*(stopped(f"e{number}") for number in range(20)))
    told: list[str] = []
    sent = []
    for _ in range(4):
        report = world.deliver(stored)
        told += world.arrived()
        sent.append(report.metrics[SENT])
    assert sent == [7, 7, 6, 0]
    assert sorted(told) == sorted(f"e{number}:trail-stopped" for number in range(20))
    assert report.returned_messages == []
    assert report.metrics[REPEATED] == 20


def test_a_mistake_of_ours_returns_one_object_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told, and nothing of the record reaches the reason."""
    bad, good = world.put(stopped("bad")), world.put(stopped("good"))
    link = notices.link

    def failing(dashboards: str, pattern: str, event: notices.Event) -> str:
        if event.id == "bad":
            raise ZeroDivisionError("canary")
        return link(dashboards, pattern, event)

    monkeypatch.setattr(notices, "link", failing)
    report = world.deliver(bad, good)
    assert world.arrived() == ["good:trail-stopped"]
    ((_, reason),) = report.returned_messages
    assert bad.key in reason
    assert good.key not in reason
    assert "canary" not in reason
    assert counted(report, AlertsSent=1, AlertsFailed=1)


def test_time_that_is_over_returns_what_is_not_told(world: World) -> None:
    """The function keeps seconds for its report; alerts that do not fit come again."""
    stored = world.put(stopped("a"))
    world.deliver(stored)
    world.arrived()
    counts: Any = world.line_up.run([], time.monotonic()).alerts
    found = notifying.Notifications(world.notifier, time.monotonic() - 1, NOW, counts)
    job = world.deliver(stored).objects[0]
    found.add(
        job,
        b'{"create":{"_index":"cloudtrail-2026.11","_id":"b"}}\n{"eventTime":"2026-11-03T08:14:22Z","ct":'
        b'{"alerts":["trail-stopped"],"ingestMode":"live","ingestTime":"',
        1,
    )
    found.finish()
    assert counts[FAILED] == 1
    assert "time was over" in job.reason
