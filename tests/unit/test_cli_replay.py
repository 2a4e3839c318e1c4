"""`audit-search quarantine replay`: what was refused once is indexed, what is refused again stays once, and counts add up."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_search.bulk import Retries
from audit_search.envelopes import MessageRef, ObjectRef
from audit_search.quarantine import Entry, Quarantine
from audit_search_cli import replay_run
from audit_search_cli.history_worker import Job
from audit_search_cli.replay import Replayer
from audit_search_cli.replay_files import LocalFile, StoredFile
from tests.support.aws import CONFIG, QUARANTINE, TRAIL, Aws, Front, Stored, failures, record, s3_event, sqs_event, text_of
from tests.support.cli import Run, run
from tests.support.config_deliveries import change, compliance, family, item, put_items
from tests.support.engines import TestEngine
from tests.support.fault_proxy import BulkRequest, Fault, FaultProxy, Pass, RejectItems
from tests.support.function import Function, make_config_function, make_function
from tests.support.questions import Engines

LOCATION = f"s3://{QUARANTINE}/quarantine/"
BAD = "badly-formed"
"""What an engine does not take, as long as a test wants it so."""
INGEST = {"ingestTime", "ingestMode"}
NO_RECORD = b"null"
Make = Callable[..., Function]


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    """moto's server."""
    with Aws() as aws:
        yield aws


@pytest.fixture
def aws(server: Aws) -> Aws:
    """AWS with nothing in it but buckets."""
    server.clear()
    server.bucket("example-config-bucket")
    return server


@pytest.fixture
def engine(engines: Engines) -> TestEngine:
    """An engine of this test's own."""
    return engines.new()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws) -> Make:
    """Makes a function before an engine: CloudTrail's, or AWS Config's with `config`."""

    def made(engine: TestEngine, endpoint: str = "", *, config: bool = False) -> Function:
        maker, bucket = (make_config_function, "example-config-bucket") if config else (make_function, TRAIL)
        settings = {"INDEX_PREFIX": engine.prefix, "ALLOWED_BUCKETS": f"{TRAIL},{bucket},{CONFIG}"}
        return maker(monkeypatch, capsys, aws, endpoint or engine.endpoint, **settings)

    return made


def refuse(request: BulkRequest) -> Fault:
    """The engine takes no document that has BAD in it."""
    documents = request.body.split(b"\n")[1::2]
    positions = [number for number, document in enumerate(documents) if BAD.encode() in document]
    return RejectItems(positions, 400, "mapper_parsing_exception", "failed to parse") if positions else Pass()


def delivered(make: Make, engine: TestEngine, *bodies: object, config: bool = False) -> None:
    """Deliver messages while the engine refuses what is BAD."""
    with FaultProxy(engine.endpoint) as proxy:
        proxy.rule = refuse
        assert failures(make(engine, proxy.endpoint, config=config)(sqs_event(*bodies))) == []


def again(aws: Aws, engine: TestEngine, *arguments: str, at: str = LOCATION) -> Run:
    """Try all of quarantine again, unless files are named."""
    chosen = () if any(not one.startswith("-") and "." in one for one in arguments) else ("--all",)
    where = ("--location", at) if at else ()
    to = ("--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix)
    buckets = ("--buckets", f"{TRAIL},example-config-bucket")
    return run("quarantine", "replay", *chosen, *where, *to, *buckets, *arguments, "--output", "json", env=aws.environment)


def entries(found: Run) -> dict[str, int]:
    """The entries by outcome that there are, having seen that they add up."""
    counts: dict[str, int] = dict(found.document["entries"])
    tried = counts.pop("tried")
    assert tried == sum(counts.values())
    return {name: count for name, count in counts.items() if count}


def files(found: Run) -> dict[str, int]:
    """The files by what became of them, having seen that they add up."""
    counts: dict[str, int] = dict(found.document["files"])
    assert counts.pop("found") == sum(counts.values())
    return {name: count for name, count in counts.items() if count}


def events(engine: TestEngine) -> dict[str, dict[str, Any]]:
    """CloudTrail's documents by id, without what only says when and how they were indexed."""
    engine.refresh()
    found: dict[str, dict[str, Any]] = {}
    for hit in engine.search({"match_all": {}}, size=1_000):
        ct = {name: value for name, value in hit["_source"]["ct"].items() if name not in INGEST}
        found[hit["_id"]] = {**hit["_source"], "ct": ct, "_index": hit["_index"].removeprefix(engine.prefix)}
    return found


def versions(engine: TestEngine) -> list[dict[str, Any]]:
    """AWS Config's documents, in the same way."""
    found = []
    for one in ("config-history", "config-current", "config-events"):
        for source in family(engine, one):
            cfg = {name: value for name, value in source["cfg"].items() if name not in INGEST and name != "source"}
            found.append({**source, "cfg": cfg})
    return sorted(found, key=lambda source: json.dumps(source, sort_keys=True))


def trail(aws: Aws, key: str = "") -> Stored:
    """An object of six records: the second, fourth and fifth are refused for now, the last is none and always will be."""
    odd = record("odd", userAgent=BAD, eventVersion=["1.11"])
    usual = [record("a"), record("b", userAgent=BAD), record("c"), record("d", userAgent=BAD), odd]
    return aws.put_records([*usual, NO_RECORD], key)


def keep(aws: Aws, *kept: Entry, ref: ObjectRef | MessageRef) -> str:
    """Put a file into quarantine, as the functions do."""
    return Quarantine(aws.s3, QUARANTINE, "quarantine/").write(ref, kept)


@pytest.mark.parametrize("key", ["", "copies/without-a-time.json.gz"])
def test_documents_are_those_that_would_have_been(aws: Aws, engines: Engines, engine: TestEngine, make: Make, key: str) -> None:
    """Ids, indices and every field but how and when they were indexed; what is no record stays, alone in its file."""
    stored = trail(aws, key)
    delivered(make, engine, s3_event(stored))
    assert sorted(events(engine)) == ["a", "c"]
    found = again(aws, engine)
    (file,) = aws.keys()
    assert found.code == 1, found
    assert entries(found) == {"indexed": 3, "quarantined": 1}
    assert files(found) == {"smaller": 1}
    assert found.document["stays"] == [
        {
            "file": f"s3://{QUARANTINE}/{file}",
            "entries": 1,
            "type": "not_an_object",
            "reason": "the record is null in JSON, not an object",
        }
    ]
    (line,) = aws.quarantined()
    assert (line["position"], line["raw"], line["key"]) == (5, "null", stored.key)
    straight = engines.new()
    assert failures(make(straight)(sqs_event(s3_event(stored)))) == []
    assert events(engine) == events(straight)
    assert {hit["_source"]["ct"]["ingestMode"] for hit in engine.search({"ids": {"values": ["b", "d", "odd"]}}, size=9)} == {
        "replay"
    }


def test_a_second_replay_changes_nothing(aws: Aws, engine: TestEngine, make: Make) -> None:
    """What stays is tried again, and is there once, with the date that it had."""
    delivered(make, engine, s3_event(trail(aws)))
    again(aws, engine)
    (file,) = aws.keys()
    before = aws.s3.get_object(Bucket=QUARANTINE, Key=file)["Body"].read()
    found = again(aws, engine)
    assert (entries(found), files(found)) == ({"quarantined": 1}, {"unchanged": 1})
    assert aws.s3.get_object(Bucket=QUARANTINE, Key=file)["Body"].read() == before


def test_a_notification_that_comes_again_keeps_nothing_twice(aws: Aws, engine: TestEngine, make: Make) -> None:
    """What stays is in the file that a function would write of it, also where the function was the first to write it."""
    stored = trail(aws)
    delivered(make, engine, s3_event(stored))
    (before,) = aws.keys()
    again(aws, engine)
    (file,) = aws.keys()
    assert file != before
    make(engine)(sqs_event(s3_event(stored)))
    assert (aws.keys(), len(aws.quarantined())) == ([file], 1)
    texts = [NO_RECORD, text_of(record("a"))]
    ref = ObjectRef(stored.bucket, stored.key)
    keep(aws, *(Entry(at, text, "not_an_object", "x") for at, text in zip((5, 0), texts, strict=True)), ref=ref)
    assert len(aws.keys()) == 2
    assert entries(again(aws, engine)) == {"duplicates": 1, "quarantined": 2}
    assert (aws.keys(), len(aws.quarantined())) == ([file], 1)


def test_a_file_whose_entries_are_done_is_deleted(aws: Aws, engine: TestEngine, make: Make) -> None:
    """Also where they are there already, or are left out by a rule: the exit code is that of a clean table."""
    names = [f"bad-{number}" for number in range(3)]
    delivered(make, engine, s3_event(aws.put_records([record(name, userAgent=BAD, eventName=name) for name in names])))
    kept = again(aws, engine, "--keep")
    assert (kept.code, entries(kept), files(kept)) == (0, {"indexed": 3}, {"unchanged": 1})
    rule = '[{"name": "one", "match": {"eventName": "bad-1"}}]'
    assert run("quarantine", "replay", "--help").code == 0
    found = again(aws, engine, "--rules", rule)
    assert (found.code, files(found), aws.keys()) == (0, {"emptied": 1}, [])
    assert entries(found) == {"duplicates": 2, "filtered": 1}
    assert files(again(aws, engine)) == {}


def test_a_type_and_a_family_choose_entries_and_leave_the_others(aws: Aws, engine: TestEngine, make: Make) -> None:
    """The rest of a file is neither tried nor lost."""
    delivered(make, engine, s3_event(trail(aws)))
    assert files(again(aws, engine, "--of", "config")) == {"other": 1}
    found = again(aws, engine, "--of", "cloudtrail", "--type", "not_an_object")
    assert (entries(found), files(found)) == ({"quarantined": 1}, {"unchanged": 1})
    found = again(aws, engine, "--type", "mapper_parsing_exception")
    assert (found.code, entries(found), files(found)) == (0, {"indexed": 3}, {"smaller": 1})
    assert [line["position"] for line in aws.quarantined()] == [5]


def test_a_dry_run_counts_and_asks_no_engine(aws: Aws, engine: TestEngine, make: Make) -> None:
    """By the type of the error; neither an endpoint nor a bucket is needed for it."""
    delivered(make, engine, s3_event(trail(aws)))
    before = events(engine)
    found = run("quarantine", "replay", "--all", "--location", LOCATION, "--dry-run", "--output", "json", env=aws.environment)
    assert found.code == 0
    assert found.document["types"] == {"mapper_parsing_exception": 3, "not_an_object": 1}
    assert found.document["dry_run"] is True
    text = run("quarantine", "replay", "--all", "--location", LOCATION, "--dry-run", env=aws.environment).out
    assert "4 entries would be tried. Nothing was written" in text
    assert (events(engine), len(aws.quarantined())) == (before, 4)


# --- whole objects


def test_an_object_that_was_put_right_is_read_again(aws: Aws, engine: TestEngine, make: Make) -> None:
    """Its records are indexed; those that are refused stand in its place, once, however many files name them already."""
    whole = gzip.decompress(aws.s3.get_object(Bucket=TRAIL, Key=trail(aws, "AWSLogs/x.json.gz").key)["Body"].read())
    stored = aws.put(gzip.compress(whole)[:-8], "AWSLogs/x.json.gz")
    delivered(make, engine, s3_event(stored))
    assert [line["position"] for line in aws.quarantined()] == [None, 1, 3, 4, 5]
    found = again(aws, engine)
    assert entries(found) == {"indexed": 3, "quarantined": 2}
    assert found.document["objects_read_again"]["duplicates"] == 5
    aws.put(gzip.compress(whole), stored.key)
    found = again(aws, engine)
    assert entries(found) == {"quarantined": 2}
    assert files(found) == {"smaller": 1}
    assert [(line["position"], line["raw"]) for line in aws.quarantined()] == [(5, "null")]
    assert sorted(events(engine)) == ["a", "b", "c", "d", "odd"]


def test_records_that_another_file_holds_are_not_kept_twice(aws: Aws, engine: TestEngine, make: Make) -> None:
    """The object's own records are refused in one file, and the object as a whole lies in another."""
    stored = aws.put_records([record("a"), NO_RECORD, b"7"])
    ref = ObjectRef(stored.bucket, stored.key)
    one = keep(aws, Entry(1, NO_RECORD, "not_an_object", "it is null"), ref=ref)
    pointer = keep(aws, Entry(None, None, "gone", "it was not there"), ref=ref)
    found = again(aws, engine, f"s3://{QUARANTINE}/{pointer}", at="")
    assert entries(found) == {"quarantined": 1}
    assert found.document["objects_read_again"]["quarantined"] == 2
    assert {one, pointer} & set(aws.keys()) == {one}
    assert len(aws.keys()) == 2
    assert sorted((line["position"], line["raw"]) for line in aws.quarantined()) == [(1, "null"), (2, "7")]


@pytest.mark.parametrize(("outcome", "bucket"), [("quarantined", TRAIL), ("returned", "another-bucket")])
def test_an_object_that_cannot_be_read_stays(aws: Aws, engine: TestEngine, outcome: str, bucket: str) -> None:
    """One that is gone is refused again; one in a bucket that may not be read returns, and says what is missing."""
    keep(aws, Entry(None, None, "truncated", "it ends early"), ref=ObjectRef(bucket, "AWSLogs/gone.json.gz"))
    found = again(aws, engine)
    assert (found.code, entries(found), files(found)) == (1, {outcome: 1}, {"unchanged": 1})
    (line,) = aws.quarantined()
    assert line["error"]["type"] == ("gone" if outcome == "quarantined" else "truncated")
    (stays,) = found.document["stays"]
    assert ("ALLOWED_BUCKETS" in stays["reason"]) is (outcome == "returned")


# --- AWS Config


def test_items_of_objects_and_messages_become_what_they_would_have_been(
    aws: Aws, engines: Engines, engine: TestEngine, make: Make
) -> None:
    """Versions, latest states and events: topic, account, changes that a message told, and positions are all kept."""
    diff = {"changeType": "UPDATE", "changedProperties": {"Configuration.Size": {"previousValue": 1, "updatedValue": 8}}}
    told = change(item("told", tags={"a": BAD}), configurationItemDiff=diff)
    bare = {name: value for name, value in item("bare", tags={"a": BAD}).items() if name != "configurationItemCaptureTime"}
    topic = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Timestamp": "2026-11-20T10:05:00.000Z"}
    history = put_items(aws, item("h0"), item("h1", tags={"a": BAD}), item("h2"), item("h3", tags={"a": BAD}))
    bodies = [
        {**topic, "Message": json.dumps(told)},
        {**topic, "Message": json.dumps(change(bare, notificationCreationTime="2026-11-20T09:59:00.000Z"))},
        {**topic, "Message": json.dumps(compliance(BAD))},
        s3_event(history),
    ]
    delivered(make, engine, *bodies, config=True)
    assert len(aws.keys()) == 4
    assert {line["position"] for line in aws.quarantined() if "key" in line} == {1, 3}
    found = again(aws, engine, "--of", "config")
    assert (found.code, entries(found), files(found), aws.keys()) == (0, {"indexed": 5}, {"emptied": 4}, []), found
    straight = engines.new()
    assert failures(make(straight, config=True)(sqs_event(*bodies))) == []
    assert versions(engine) == versions(straight)


def test_a_part_of_a_snapshot_reports_nothing_missing(aws: Aws, engine: TestEngine, make: Make) -> None:
    """What the rest of the snapshot lists was listed, and is not among what was kept."""
    delivered(make, engine, s3_event(put_items(aws, item("a"), item("b", tags={"a": BAD}), kind="ConfigSnapshot")), config=True)
    engine.call("POST", f"/{engine.prefix}*/_refresh")
    assert entries(again(aws, engine)) == {"indexed": 1}
    assert [one["resourceId"] for one in family(engine, "config-current")] == ["a", "b"]
    assert family(engine, "config-events") == []


def test_messages_that_are_still_not_understood_stay_whole(aws: Aws, engine: TestEngine, make: Make) -> None:
    """Text that is no JSON, a kind that is not known, an item that is none; one that is skipped by now is done."""
    kept = ['{"messageType":', json.dumps({"messageType": "Unheard"}), json.dumps(change(None)), json.dumps(change({"a": 1}))]
    delivered(make, engine, *kept, config=True)
    scheduled = json.dumps({"messageType": "ScheduledNotification"}).encode()
    keep(aws, Entry(0, scheduled, "unknown_message_type", "no such messageType is known"), ref=MessageRef("m-9"))
    before = sorted(line["raw"] for line in aws.quarantined() if line["messageId"] != "m-9")
    found = again(aws, engine)
    assert (entries(found), files(found)) == ({"filtered": 1, "quarantined": 4}, {"emptied": 1, "unchanged": 4})
    assert sorted(line["raw"] for line in aws.quarantined()) == before
    assert before[0] == '{"a": 1}'


def test_what_an_older_version_kept_of_a_message_is_understood(aws: Aws, engine: TestEngine) -> None:
    """Lines without what the envelope said: when they were kept stands in for when the message was sent."""
    keep(aws, Entry(0, text_of(item("old")), "mapper_parsing_exception", "no"), ref=MessageRef("m-1"))
    keep(aws, Entry(0, text_of(compliance()), "mapper_parsing_exception", "no"), ref=MessageRef("m-2"))
    assert entries(again(aws, engine)) == {"indexed": 2}
    assert [one["resourceId"] for one in family(engine, "config-history")] == ["old"]


# --- files


@pytest.mark.parametrize("packed", [True, False])
def test_files_of_this_machine_are_treated_alike(aws: Aws, engine: TestEngine, tmp_path: Path, packed: bool) -> None:
    """What a backfill without a bucket has kept: written over in place, deleted when nothing is left in it."""
    stored = aws.put_records([record("a"), NO_RECORD])
    ref = ObjectRef(stored.bucket, stored.key)
    key = keep(aws, Entry(0, text_of(record("a")), "mapper_parsing_exception", "no"), Entry(1, NO_RECORD, "x", "y"), ref=ref)
    body = aws.s3.get_object(Bucket=QUARANTINE, Key=key)["Body"].read()
    path = tmp_path / "kept.ndjson.gz"
    path.write_bytes(body if packed else gzip.decompress(body))
    found = again(aws, engine, str(path), at="")
    assert (entries(found), files(found)) == ({"indexed": 1, "quarantined": 1}, {"smaller": 1})
    content = path.read_bytes()
    assert (content[:2] == b"\x1f\x8b") is packed
    (line,) = (gzip.decompress(content) if packed else content).splitlines()
    assert json.loads(line)["error"] == {"type": "not_an_object", "reason": "the record is null in JSON, not an object"}
    assert files(again(aws, engine, str(path), "--rules", "[]", "--type", "none", at="")) == {"other": 1}
    assert sorted(other.name for other in tmp_path.iterdir()) == ["kept.ndjson.gz"]
    assert aws.keys() == [key]


def test_a_damaged_file_is_left_alone(aws: Aws, engine: TestEngine) -> None:
    """None of it is tried, for what is lost in it is not known; others are, and the exit code says so."""
    ref = ObjectRef(TRAIL, "AWSLogs/a.json.gz")
    keep(aws, Entry(0, text_of(record("a")), "mapper_parsing_exception", "no"), ref=ref)
    aws.s3.put_object(Bucket=QUARANTINE, Key="quarantine/zz.ndjson.gz", Body=gzip.compress(b'{"x"')[:-4])
    found = again(aws, engine)
    assert (found.code, entries(found), files(found)) == (1, {"indexed": 1}, {"emptied": 1, "damaged": 1})
    assert aws.keys() == ["quarantine/zz.ndjson.gz"]
    assert found.document["problems"][0]["file"].endswith("zz.ndjson.gz")


@pytest.mark.parametrize(
    "line",
    [
        {"bucket": "b", "key": "k", "position": -1, "raw": "{}"},
        {"bucket": "b", "key": "k", "position": True, "raw": "{}"},
        {"bucket": "b", "key": "k", "position": 0, "raw": "{},{}"},
        {"bucket": "b", "key": "k", "position": 0, "raw": '{"a":'},
        {"bucket": "b", "key": "k", "position": None, "raw": "{}"},
        {"bucket": "b", "key": "k", "position": 0, "raw": None},
        {"messageId": "m", "position": None, "raw": None},
        {"messageId": "m", "position": 0, "rawBase64": "/w=="},
    ],
)
def test_what_no_pipeline_can_be_given_stays(aws: Aws, engine: TestEngine, line: dict[str, Any]) -> None:
    """An entry that is none, such as one that a person has edited, spoils nothing else in its file."""
    good = {"bucket": TRAIL, "key": "k", "position": 3, "raw": text_of(record("good")).decode(), "time": "2026-11-20T10:00:00Z"}
    error = {"error": {"type": "x", "reason": "y"}}
    body = b"\n".join(json.dumps({**one, **error}).encode() for one in (line, good))
    aws.s3.put_object(Bucket=QUARANTINE, Key="quarantine/one.ndjson.gz", Body=gzip.compress(body))
    found = again(aws, engine)
    assert (entries(found), files(found)) == ({"indexed": 1, "quarantined": 1}, {"smaller": 1})
    assert list(events(engine)) == ["good"]
    assert aws.quarantined() == [{**line, **error}]


def test_a_file_that_cannot_be_deleted_is_named(aws: Aws, engine: TestEngine) -> None:
    """Its entries are indexed; the next try finds them there."""
    keep(aws, Entry(0, text_of(record("a")), "mapper_parsing_exception", "no"), ref=ObjectRef(TRAIL, "AWSLogs/a.json.gz"))
    front = Front(aws.endpoint)  # which knows no DELETE
    found = run(
        *("quarantine", "replay", "--all", "--location", LOCATION, "--endpoint", engine.endpoint, "--auth", "none"),
        *("--prefix", engine.prefix, "--output", "json"),
        env={**aws.environment, "AWS_ENDPOINT_URL": front.endpoint},
    )
    front.close()
    assert (found.code, entries(found), files(found)) == (1, {"indexed": 1}, {"failed": 1})
    assert "could not be deleted" in found.document["problems"][0]["problem"]
    assert entries(again(aws, engine)) == {"duplicates": 1}


def replayer(engine: TestEngine, endpoint: str = "") -> Replayer:
    """The library behind the command, with an engine that is not waited for."""
    environ = {
        "OPENSEARCH_ENDPOINT": endpoint or engine.endpoint,
        "OPENSEARCH_AUTH": "none",
        "INDEX_PREFIX": engine.prefix,
        "ALLOWED_BUCKETS": TRAIL,
        "QUARANTINE_BUCKET": QUARANTINE,
        "QUARANTINE_PREFIX": "quarantine/",
        "INGEST_MODE": "replay",
    }
    return Replayer(Job(environ, environ), lambda _: None, Retries(attempts=2, base=0.001, cap=0.002, timeout=20))


def kept_files(aws: Aws, count: int) -> list[StoredFile]:
    """So many files of one record each."""
    keys = [
        keep(aws, Entry(0, text_of(record(f"r{number}")), "mapper_parsing_exception", "no"), ref=ObjectRef(TRAIL, f"{number}.gz"))
        for number in range(count)
    ]
    return [StoredFile(aws.s3, QUARANTINE, key) for key in keys]


def test_an_engine_that_takes_nothing_ends_the_run(aws: Aws, engine: TestEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few files in a row; all of them stay as they are, and say why."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    found = kept_files(aws, 5)
    with FaultProxy(engine.endpoint) as proxy, replayer(engine, proxy.endpoint) as one:
        proxy.rule = lambda _: RejectItems()
        result = replay_run.run(found, lambda _: True, one)
        assert (result.tried, result.entries["returned"], result.files["unchanged"], result.left) == (3, 3, 3, 2)
        assert "rejected_execution_exception" in result.stopped
        proxy.rule = lambda _: Pass()
        result = replay_run.run(found, lambda _: True, one)
    assert (result.entries["indexed"], result.files["emptied"], result.stopped) == (5, 5, "")


def test_a_run_that_is_stopped_finishes_the_file_in_hand(aws: Aws, engine: TestEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is as it was or done; the rest is counted as left, and what went away meanwhile as gone."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    found = kept_files(aws, 4)
    found[0].delete()
    seen: list[int] = []
    with replayer(engine) as one:
        result = replay_run.run(found, lambda _: True, one, stop=lambda: bool(seen), step=lambda now: seen.append(now.tried))
    assert (result.files["gone"], result.files["emptied"], result.left, result.interrupted) == (1, 1, 2, True)
    assert len(aws.keys()) == 2


def test_a_part_that_returns_stays_whole(aws: Aws, engine: TestEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of neighbours the engine takes one now and one later: both stay, and the next time one is a duplicate."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    texts = [text_of(record("now")), text_of(record("later"))]
    key = keep(
        aws, *(Entry(at, text, "mapper_parsing_exception", "no") for at, text in enumerate(texts)), ref=ObjectRef(TRAIL, "k")
    )
    file = StoredFile(aws.s3, QUARANTINE, key)
    with FaultProxy(engine.endpoint) as proxy, replayer(engine, proxy.endpoint) as one:
        proxy.rule = lambda request: RejectItems(
            [n for n, doc in enumerate(request.body.split(b"\n")[1::2]) if b'"later"' in doc]
        )
        result = replay_run.run([file], lambda _: True, one)
        assert (result.entries["indexed"], result.entries["returned"], len(aws.quarantined())) == (1, 1, 2)
        proxy.rule = lambda _: Pass()
        result = replay_run.run([file], lambda _: True, one)
    assert (result.entries["duplicates"], result.entries["indexed"], aws.keys()) == (1, 1, [])


def test_a_local_file_that_is_gone_is_no_mistake(tmp_path: Path) -> None:
    """It was deleted since it was named; deleting it again does nothing."""
    file = LocalFile(tmp_path / "gone.ndjson.gz")
    assert file.read() is None
    file.delete()


# --- wrong use


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Say what is to be tried"),
        (("one.gz", "--all"), "Say what is to be tried"),
        (("one.gz", "--since", "1d"), "--since and --until choose among all files"),
        (("one.gz",), "There is no file 'one.gz' here"),
        (("s3://bucket",), "names no file"),
        (("--all",), "No quarantine is named"),
        (("--all", "--location", "nowhere"), "is no place in S3"),
        (("--all", "--location", LOCATION, "--until", "tomorrow", "--since", "next week"), "next week"),
    ],
)
def test_wrong_use_is_one_line(aws: Aws, arguments: tuple[str, ...], words: str) -> None:
    """It says what to do, and nothing was tried."""
    found = run("quarantine", "replay", *arguments, "--endpoint", "http://127.0.0.1:1", "--auth", "none", env=aws.environment)
    assert found.code == 2
    assert words in found.line


def test_an_engine_that_is_not_there_is_said_at_once(aws: Aws, engine: TestEngine) -> None:
    """Nothing is taken out of quarantine."""
    kept_files(aws, 2)
    to = ("--endpoint", "http://127.0.0.1:1", "--auth", "none")
    found = run("quarantine", "replay", "--all", "--location", LOCATION, *to, env=aws.environment)
    assert found.code != 0
    assert "127.0.0.1:1" in found.line
    assert len(aws.keys()) == 2
