"""What the AWS Config function reports, what it hands on, and its settings."""

from __future__ import annotations

import gzip
import json
import logging
import sys
import time

import pytest

from audit_search.accounting import Counts
from audit_search.aws_config.reports import ConfigReport
from audit_search.bulk import Cause
from audit_search.envelopes import Message, MessageRef, ObjectRef, messages
from audit_search.errors import AccountingError, ObjectError, SettingsError
from audit_search.fetching import Fetcher, Turn
from audit_search.handing_on import HandOverError, TrailQueue
from audit_search.objects import ObjectReader, OpenObject
from audit_search.observability import Observer
from audit_search.quarantine import Quarantine
from audit_search.reports import ObjectReport
from audit_search.settings import ConfigSettings
from tests.support.aws import CONFIG, QUARANTINE, Aws

LEAST = {
    "OPENSEARCH_ENDPOINT": "https://search.example.com",
    "ALLOWED_BUCKETS": "config-bucket",
    "QUARANTINE_BUCKET": "quarantine-bucket",
}


def test_everything_has_an_outcome_or_the_invocation_fails(aws: Aws) -> None:
    """Items, events and messages are counted apart, and each sum is checked."""
    quarantine = Quarantine(aws.s3, QUARANTINE, "quarantine/")
    report = ConfigReport(asked=1)
    with pytest.raises(AccountingError, match="1 messages, but 0 have an outcome"):
        report.check()
    report.notifications["config"] += 1
    report.close(ObjectReport(MessageRef("m1"), Counts(read=2, indexed=1, returned=1)), quarantine)
    report.close_event(ObjectReport(MessageRef("m1"), Counts(read=1, duplicates=1)), quarantine)
    report.check()
    assert (report.counts.read, report.events.read) == (2, 1)
    with pytest.raises(AccountingError, match="events of message m2: 2 records read, but 1 have an outcome"):
        report.close_event(ObjectReport(MessageRef("m2"), Counts(read=2, indexed=1)), quarantine)


def test_a_summary_that_is_left_is_no_quarantine() -> None:
    """What is gone and summarised is counted on its own; anything else that no retry can read is in quarantine."""
    gone, broken = (ObjectReport(ObjectRef("b", code), error=ObjectError(code, "x")) for code in ("gone", "truncated"))
    gone.summarised = broken.summarised = True
    report = ConfigReport(objects=[gone, broken, ObjectReport(ObjectRef("b", "fine"))])
    assert (report.summaries, report.quarantined_objects, report.failed_objects) == (1, 1, 2)
    assert report.quarantined == 1
    assert (gone.outcome, gone.must_return) == ("failed", False)
    summary = report.summary()
    assert (summary["summaries"], summary["failed_objects"], summary["foreign_messages"]) == (1, 2, 0)


def test_objects_are_handed_on_bucket_by_bucket(aws: Aws) -> None:
    """As CloudTrail's own message names them, so many in each that it stays small."""
    queue = aws.queue()
    refs = [ObjectRef("one", f"key-{number}") for number in range(120)] + [ObjectRef("other", "key")]
    TrailQueue(lambda: aws.sqs, queue.url).hand_on(refs)
    bodies = [json.loads(record["body"]) for record in aws.poll(queue, 4)["Records"]]
    assert sorted((body["s3Bucket"], len(body["s3ObjectKey"])) for body in bodies) == [
        ("one", 20),
        ("one", 50),
        ("one", 50),
        ("other", 1),
    ]
    sent = {(body["s3Bucket"], key) for body in bodies for key in body["s3ObjectKey"]}
    assert sent == {(ref.bucket, ref.key) for ref in refs}


def test_what_is_a_replay_is_handed_on_as_one(aws: Aws) -> None:
    """The mark, the version and the size of each object go with it."""
    queue = aws.queue()
    refs = [ObjectRef("one", "a", "v1", 7), ObjectRef("one", "b")]
    TrailQueue(lambda: aws.sqs, queue.url).hand_on(refs, replay=True)
    (message,) = messages(aws.poll(queue, 1))
    assert (message.objects, message.replay) == (refs, True)


def test_what_cannot_be_handed_on_says_why(aws: Aws) -> None:
    """No queue is named, or it is not there: the message that named the objects has to return."""
    refs = [ObjectRef("one", "key")]
    with pytest.raises(HandOverError, match="TRAIL_QUEUE_URL does not say"):
        TrailQueue(lambda: aws.sqs, "").hand_on(refs)
    with pytest.raises(HandOverError, match=r"could not be handed on to .*nowhere"):
        TrailQueue(lambda: aws.sqs, f"{aws.endpoint}/123456789012/nowhere").hand_on(refs)


@pytest.mark.parametrize("summarised", [False, True])
def test_only_what_is_summarised_may_be_gone_without_a_pointer(aws: Aws, summarised: bool) -> None:
    """Its neighbours in a batch are read, one of them in an allowed bucket that is not there."""
    quarantine = Quarantine(aws.s3, QUARANTINE, "quarantine/")
    reader = ObjectReader(aws.s3, frozenset({CONFIG, "not-there"}), max_bytes=1_000_000, max_ratio=250)
    fine = aws.put(gzip.compress(b"{}"), "fine.json.gz", CONFIG)
    jobs = [ObjectReport(ObjectRef(CONFIG, "gone")), ObjectReport(ObjectRef(CONFIG, fine.key))]
    jobs += [ObjectReport(ObjectRef("not-there", "x")), ObjectReport(ObjectRef("not-allowed", "x"))]
    for job in jobs:
        job.summarised = summarised
    texts: list[bytes] = []

    def read(_job: ObjectReport, opened: OpenObject, turn: Turn) -> None:
        texts.append(b"".join(turn.within(opened.chunks())))

    Fetcher(2).read_all(jobs, reader, quarantine, time.monotonic() + 60, read)
    for job in jobs:
        job.keep(quarantine)
    assert texts == [b"{}"]
    assert [job.outcome for job in jobs] == ["failed", "indexed", "returned", "returned"]
    assert [(line["key"], line["error"]["type"]) for line in aws.quarantined()] == ([] if summarised else [("gone", "gone")])
    report = ConfigReport(objects=jobs)
    assert (report.summaries, report.quarantined) == ((1, 0) if summarised else (0, 1))


def test_the_metrics_of_a_report_have_all_that_it_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """CloudWatch's embedded format, and a line for each message and its events, with numbers and nothing else."""
    items = ObjectReport(MessageRef("m1"), Counts(read=9, indexed=4, duplicates=2, filtered=1, quarantined=1, returned=1))
    items.note(Cause("busy", "later"))
    items.oldest = items.newest = "2026-11-20T10:00:00.000Z"
    events = ObjectReport(MessageRef("m1"), Counts(read=3, indexed=1, duplicates=1, quarantined=1))
    report = ConfigReport(objects=[items], happened=[events], handed_on=3, missing=4, corrected=5, requests=6)
    report.counts.add(items.counts)
    report.events.add(events.counts)
    report.notifications.update({"config": 2, "foreign": 7})
    report.returned_messages.append((Message("m1"), "busy"))
    observer = Observer("config")
    # The logger is one for the process, and would go on writing to the standard output that it found at first.
    for handler in observer.logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.stdout
    observer.report(report)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (blob,) = [line for line in lines if "_aws" in line]
    names = [metric["Name"] for metric in blob["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert {name: int(blob[name][0]) for name in names if name != "EventLag"} == {
        "RecordsRead": 9,
        "RecordsIndexed": 4,
        "RecordsDuplicate": 2,
        "RecordsDifferingDuplicate": 0,
        "RecordsFiltered": 1,
        "RecordsQuarantined": 1,
        "RecordsReturned": 1,
        "Quarantined": 2,
        "ObjectsRead": 1,
        "ObjectsSkipped": 0,
        "ObjectsFailed": 0,
        "MessagesReturned": 1,
        "BulkRequests": 6,
        "EventsRead": 3,
        "EventsIndexed": 1,
        "MessagesForeign": 7,
        "ObjectsHandedOn": 3,
        "OnlySummaries": 0,
        "ResourcesMissing": 4,
        "VersionsCorrected": 5,
    }
    assert "EventLag" in names
    told = [(line["message_id"], line["read"], line["outcome"]) for line in lines if line.get("message") == "message"]
    assert told == [("m1", 9, "returned"), ("m1", 3, "indexed")]


def test_settings_are_checked_together() -> None:
    """Each problem has its line; the address of a queue has to be one, or nothing."""
    settings = ConfigSettings.from_env(LEAST)
    assert (settings.trail_queue_url, settings.quarantine_prefix, settings.retention_days) == ("", "quarantine/", 0)
    with pytest.raises(SettingsError) as caught:
        ConfigSettings.from_env({**LEAST, "TRAIL_QUEUE_URL": "arn:aws:sqs:eu-central-1:1:q", "ALLOWED_BUCKETS": ""})
    assert len(caught.value.problems) == 2
    assert any("TRAIL_QUEUE_URL" in problem and "URL of a queue" in problem for problem in caught.value.problems)
