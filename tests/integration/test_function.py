"""From a notification to documents that are found: the function before an engine.

`engine` is osmem here; `tests/engine/test_function_on_node.py` runs every test of this module once more on a real node.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from generate import counts, sample_objects

from tests.support.aws import Aws, Stored, failures, record, records, s3_event, sqs_event, text_of
from tests.support.engines import TestEngine
from tests.support.function import Function, make_function
from tests.support.hostile_records import as_text, hostile_records

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "cloudtrail"
"""Real objects beside the project, where they are."""
ORIGINAL_KEY = (
    "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/111122223333_CloudTrail_eu-central-1_20261103T0820Z_x.json.gz"
)

Make = Callable[..., Function]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, engine: TestEngine) -> Make:
    """The function before the engine, with settings of one's own."""

    def made(**settings: str) -> Function:
        return make_function(monkeypatch, capsys, aws, engine.endpoint, INDEX_PREFIX=engine.prefix, **settings)

    return made


@pytest.fixture
def function(make: Make) -> Function:
    """The function with usual settings."""
    return make()


def deliver(function: Function, stored: Iterable[Stored], batch: int = 10) -> Counter[str]:
    """Deliver objects through a queue, so many messages at a time; every message has to be done. Gives the counts."""
    total: Counter[str] = Counter()
    waiting = list(stored)
    for start in range(0, len(waiting), batch):
        answer = function(sqs_event(*(s3_event(one) for one in waiting[start : start + batch])))
        assert failures(answer) == [], [line for line in function.logged if line["message"] == "message returned"]
        total.update({name.removeprefix("Records"): int(value) for name, value in function.metrics.items() if name != "EventLag"})
    assert total["Read"] == total["Indexed"] + total["Duplicate"] + total["Filtered"] + total["Quarantined"] + total["Returned"]
    return total


def ended(total: Counter[str]) -> dict[str, int]:
    """How the records ended, without the zeros."""
    return {name: total[name] for name in ("Read", "Indexed", "Duplicate", "Filtered", "Quarantined", "Returned") if total[name]}


# --- everything there is ------------------------------------------------------------------------------------------------


def test_all_sample_objects_become_documents(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Every sample object, through a queue: the counts are those that the samples were made for; again, only duplicates."""
    samples = sample_objects()
    wanted = counts(samples)
    stored = [aws.put(sample.path.read_bytes(), sample.key) for sample in samples]
    total = deliver(function, stored)
    assert ended(total) == {
        "Read": wanted.read,
        "Indexed": wanted.indexed,
        "Duplicate": wanted.duplicates,
        "Quarantined": wanted.quarantined,
    }
    assert engine.count() == wanted.indexed
    assert len(aws.quarantined()) == wanted.quarantined
    again = deliver(function, stored)
    assert ended(again) == {
        "Read": wanted.read,
        "Duplicate": wanted.indexed + wanted.duplicates,
        "Quarantined": wanted.quarantined,
    }
    assert again["DifferingDuplicate"] == total["DifferingDuplicate"]
    assert engine.count() == wanted.indexed
    assert len(aws.quarantined()) == wanted.quarantined


def test_every_sample_record_is_kept_byte_for_byte(aws: Aws, engine: TestEngine, function: Function) -> None:
    """`raw` of the documents are the records' own texts, all of them and no others."""
    samples = [sample for sample in sample_objects() if sample.has_records]
    deliver(function, [aws.put(sample.path.read_bytes(), sample.key) for sample in samples])
    engine.refresh()
    kept = {hit["_source"]["raw"] for hit in engine.search({"match_all": {}})}
    # A pretty-printed object has other texts than the records that it was made of.
    texts = {as_text(element) for sample in samples for element in sample.elements if element.startswith(b"{")}
    plain = {as_text(element) for sample in samples if b"\n  " not in sample.content for element in sample.elements}
    assert {text for text in plain if text.startswith("{")} <= kept
    assert len(kept) == len(texts)


if SHARED.is_dir():

    def test_all_real_objects_become_documents(aws: Aws, engine: TestEngine, function: Function) -> None:
        """Real records of many accounts, services and years: none is rejected, none is lost, again gives only duplicates."""
        files = sorted(SHARED.rglob("*.json.gz"))
        texts = [element for path in files for element in json.loads(gzip.decompress(path.read_bytes())).get("Records", [])]
        stored = [aws.put(path.read_bytes(), f"{path.relative_to(SHARED)}") for path in files]
        total = deliver(function, stored)
        distinct = engine.count()
        assert total["Read"] == len(texts)
        assert total["Indexed"] == distinct
        assert total["Quarantined"] == total["Returned"] == total["Filtered"] == 0
        assert ended(total) == {"Read": 2_451, "Indexed": 2_445, "Duplicate": 6}
        assert ended(deliver(function, stored)) == {"Read": 2_451, "Duplicate": 2_451}
        assert engine.count() == distinct


# --- hostile records ----------------------------------------------------------------------------------------------------


def test_every_hostile_record_becomes_a_document(aws: Aws, engine: TestEngine, function: Function) -> None:
    """None is lost, quarantined or returned, and `raw` is its text; the usual records between them are what they always are."""
    hostile = hostile_records()
    stored, names = [], list(hostile)
    for start in range(0, len(names), 40):
        texts: list[object] = []
        for number, name in enumerate(names[start : start + 40], start):
            texts += [record(f"neighbour-{number}"), hostile[name]]
        stored.append(aws.put_records(texts, f"hostile/{start:04}.json.gz"))
    total = deliver(function, stored, batch=4)
    refused = [(line["error"], str(line["raw"] or line.get("rawBase64"))[-300:]) for line in aws.quarantined()]
    assert refused == []
    assert ended(total) == {"Read": 2 * len(hostile), "Indexed": 2 * len(hostile)}
    assert engine.count() == 2 * len(hostile)
    engine.refresh()
    hits = engine.search({"match_all": {}})
    by_place = {(hit["_source"]["ct"]["key"], hit["_source"]["ct"]["position"]): hit for hit in hits}
    for number, name in enumerate(names):
        place = (f"hostile/{number - number % 40:04}.json.gz", 2 * (number % 40))
        neighbour, found = by_place[place], by_place[place[0], place[1] + 1]
        assert found["_source"]["raw"] == as_text(hostile[name]), name
        assert neighbour["_id"] == f"neighbour-{number}"
        assert "rebuilt" not in neighbour["_source"]["ct"]
        assert neighbour["_source"]["raw"].encode() == text_of(record(f"neighbour-{number}"))
    # The engine lives, and takes what comes next.
    assert ended(deliver(function, [aws.put_records([record("after")])])) == {"Read": 1, "Indexed": 1}


def test_what_is_no_object_is_quarantined_with_its_neighbours_indexed(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Texts, numbers, lists and broken JSON between usual records."""
    odd = [b'"text"', b"7", b"null", b"true", b"[]", b'[{"eventID":"inside"}]', b"{broken: yes}"]
    texts: list[object] = []
    for number, text in enumerate(odd):
        texts += [record(f"n{number}"), text]
    total = deliver(function, [aws.put_records([*texts, record("last")])])
    assert ended(total) == {"Read": 15, "Indexed": 8, "Quarantined": 7}
    assert [line["raw"].encode() for line in aws.quarantined()] == odd
    assert engine.count() == 8


def test_a_date_that_is_none_is_replaced_by_the_deliverys(aws: Aws, engine: TestEngine, function: Function) -> None:
    """The index is the delivery's, and the document says so; no other index comes into being."""
    odd = ["May 1, 2024", "", "2012-12-31T23:59:59Z", "2031-01-01T00:00:00Z", 7, None, {"a": 1}]
    texts = [record(f"odd-{number}", eventTime=value) for number, value in enumerate(odd)]
    deliver(function, [aws.put_records(texts, ORIGINAL_KEY)])
    assert engine.indices() == [f"{engine.prefix}cloudtrail-2026.11"]
    for number, value in enumerate(odd):
        source = engine.source(f"odd-{number}")
        assert source["eventTime"] == "2026-11-03T08:20:00Z"
        assert source["ct"]["eventTimeFrom"] == "delivery"
        assert (source["ct"].get("eventTimeOriginal") is None) == (value is None)


# --- indices and ids ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "suffixes"),
    [
        ("month", {"a": "2026.01", "b": "2025.12", "c": "2025.12", "d": "2026.02"}),
        ("day", {"a": "2026.01.01", "b": "2025.12.31", "c": "2025.12.31", "d": "2026.02.28"}),
    ],
)
def test_the_index_is_that_of_the_event_in_utc(
    aws: Aws, engine: TestEngine, make: Make, period: str, suffixes: dict[str, str]
) -> None:
    """Months or days, by setting, whatever the offset; one alias reads all of them."""
    times = {
        "a": "2026-01-01T00:00:00Z",
        "b": "2025-12-31T23:59:59Z",
        "c": "2026-01-01T00:30:00+01:00",
        "d": "2026-02-28T12:00:00Z",
    }
    stored = aws.put_records([record(name, eventTime=time) for name, time in times.items()])
    deliver(make(INDEX_PERIOD=period), [stored])
    assert {name: engine.hit(name)["_index"] for name in times} == {
        name: f"{engine.prefix}cloudtrail-{suffix}" for name, suffix in suffixes.items()
    }
    engine.refresh()
    assert engine.found({"match_all": {}}) == set(times)


def test_two_deliveries_of_an_event_are_one_document(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Two trails deliver the same records in objects of their own; version 1.0, without an id, as well."""
    first_version = {key: value for key, value in record("x", eventVersion="1.0").items() if key != "eventID"}
    texts = [*records(3), first_version, record("", eventName="NoId")]
    one, two = aws.put_records(texts, "trail-1/a.json.gz"), aws.put_records(texts, "trail-2/b.json.gz")
    assert ended(deliver(function, [one])) == {"Read": 5, "Indexed": 5}
    assert ended(deliver(function, [two, one])) == {"Read": 10, "Duplicate": 10}
    assert engine.count() == 5
    assert engine.source("0")["ct"]["key"] == "trail-1/a.json.gz"


def test_records_without_an_id_that_differ_are_different_documents(aws: Aws, engine: TestEngine, function: Function) -> None:
    """Their texts tell them apart."""
    texts = [{**record(""), "eventName": f"Call{number}"} for number in range(4)]
    assert ended(deliver(function, [aws.put_records([*texts, texts[2]])])) == {"Read": 5, "Indexed": 4, "Duplicate": 1}


def test_a_rebuilt_document_says_so(aws: Aws, engine: TestEngine, function: Function) -> None:
    """`ct.unexpected`, `wrapped` and `truncated` name what had to be changed; nothing is lost from `raw`."""
    text = (
        b'{"eventTime":"2026-11-03T08:00:00Z","eventID":"odd","event_name":"alias","requestParameters":"scalar",'
        b'"responseElements":{"text":"' + b"x" * 40_000 + b'"}}'
    )
    deliver(function, [aws.put_records([text])])
    source = engine.source("odd")
    assert source["raw"].encode() == text
    assert "event_name" in source["ct"]["unexpected"]
    assert source["ct"]["wrapped"] == ["requestParameters"]
    assert source["ct"]["truncated"] == ["responseElements.text"]
    assert engine.value("odd", "requestParameters.value") == "scalar"


def test_old_events_and_excluded_ones_are_left_out(aws: Aws, engine: TestEngine, make: Make) -> None:
    """Counted as filtered, and not there."""
    rules = json.dumps([{"name": "reads", "match": {"eventName": ["Get*", "List*"], "readOnly": True}}])
    function = make(EXCLUSION_RULES=rules, RETENTION_DAYS="3650")
    texts = [record("read"), record("write", eventName="PutObject"), record("old", eventTime="2013-05-01T00:00:00Z")]
    assert ended(deliver(function, [aws.put_records(texts)])) == {"Read": 3, "Indexed": 1, "Filtered": 2}
    assert engine.count() == 1


# --- documents are found ------------------------------------------------------------------------------------------------


SEARCHED: dict[str, dict[str, Any]] = {
    "launch": record(
        "launch",
        eventTime="2026-11-03T08:14:22Z",
        eventSource="ec2.amazonaws.com",
        eventName="RunInstances",
        sourceIPAddress="203.0.113.7",
        readOnly=False,
        requestParameters={"instanceType": "m5.large", "instancesSet": {"items": [{"imageId": "ami-0abc", "minCount": 1}]}},
        responseElements={"instancesSet": {"items": [{"instanceId": "i-0a1b2c3d4e5f60718", "tags": {"a.b": "dotted"}}]}},
    ),
    "denied": record(
        "denied",
        eventTime="2026-11-03T09:14:22Z",
        eventName="GetObject",
        sourceIPAddress="2001:db8::17",
        errorCode="AccessDenied",
        errorMessage="Access Denied by a bucket policy.",
        userIdentity={
            "type": "AssumedRole",
            "arn": "arn:aws:sts::444455556666:assumed-role/build/carlos",
            "accountId": "444455556666",
            "sessionContext": {
                "sessionIssuer": {"type": "Role", "userName": "build", "arn": "arn:aws:iam::444455556666:role/build"},
                "attributes": {"mfaAuthenticated": "true", "creationDate": "2026-11-03T08:00:00Z"},
            },
        },
        resources=[{"ARN": "arn:aws:s3:::secrets/plan.txt", "accountId": "444455556666", "type": "AWS::S3::Object"}],
        tlsDetails={"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
    ),
    "service": record(
        "service",
        eventTime="2026-10-31T23:00:00Z",
        eventName="Decrypt",
        sourceIPAddress="cloudformation.amazonaws.com",
        userIdentity={"type": "AWSService", "invokedBy": "cloudformation.amazonaws.com"},
        requestParameters=None,
    ),
    "login": record(
        "login",
        eventTime="2026-11-03T10:00:00Z",
        eventName="ConsoleLogin",
        eventType="AwsConsoleSignIn",
        readOnly=None,
        sourceIPAddress="198.51.100.9",
        userIdentity={"type": "Root", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333"},
        responseElements={"ConsoleLogin": "Failure"},
        additionalEventData={"MFAUsed": "No"},
    ),
}

QUERIES: list[tuple[str, set[str]]] = [
    ("eventName:RunInstances", {"launch"}),
    ("event_name:RunInstances", {"launch"}),
    ("eventSource:ec2.amazonaws.com AND readOnly:false", {"launch"}),
    ("event_source:s3.amazonaws.com", {"denied", "service", "login"}),
    ("userIdentity.type:AssumedRole", {"denied"}),
    ("user_identity_type:(Root OR AWSService)", {"login", "service"}),
    ('userIdentity.arn:"arn:aws:iam::111122223333:user/alice"', {"launch"}),
    ('user_identity_arn:"arn:aws:sts::444455556666:assumed-role/build/carlos"', {"denied"}),
    ("userIdentity.sessionContext.sessionIssuer.userName:build", {"denied"}),
    ("userIdentity.sessionContext.attributes.mfaAuthenticated:true", {"denied"}),
    ("errorCode:AccessDenied", {"denied"}),
    ("_exists_:errorCode", {"denied"}),
    ("sourceIPAddress.ip:203.0.113.0\\/24", {"launch"}),
    ('sourceIPAddress.ip:"203.0.113.0/24"', {"launch"}),
    ('sourceIPAddress.ip:"2001:db8::/32"', {"denied"}),
    ("sourceIPAddress:cloudformation.amazonaws.com", {"service"}),
    ("source_ip_address:198.51.100.9", {"login"}),
    ("NOT _exists_:sourceIPAddress.ip", {"service"}),
    ("requestParameters.instanceType:m5.large", {"launch"}),
    ("requestParameters.instanceType:m5*", {"launch"}),
    ("responseElements.instancesSet.items.instanceId:i\\-0a1b2c3d4e5f60718", {"launch"}),
    ("additionalEventData.MFAUsed:No", {"login"}),
    ("ct.consoleLogin:Failure", {"login"}),
    ("ct.mfaUsed:No", {"login"}),
    ("ct.outcome:failure", {"denied", "login"}),
    ("ct.instanceType:m5.large", {"launch"}),
    ("ct.caller:root", {"login"}),
    ('ct.caller:"build/carlos"', {"denied"}),
    ("tlsDetails.tlsVersion:TLSv1.3", {"denied"}),
    ('resources.ARN:"arn:aws:s3:::secrets/plan.txt"', {"denied"}),
    ("eventTime:[2026-11-03T09:00:00Z TO 2026-11-03T09:59:59Z]", {"denied"}),
    ("@timestamp:[2026-10-01 TO 2026-11-01]", {"service"}),
    ('raw:"bucket policy"', {"denied"}),
    ("eventName:Nothing", set()),
]


def test_documents_are_found_by_what_they_say(aws: Aws, engine: TestEngine, function: Function) -> None:
    """By field, by the names of the CloudSearch era, by path into a sub-tree, by network, by time, by word: each query finds
    exactly what it means."""
    deliver(function, [aws.put_records(SEARCHED.values())])
    engine.refresh()
    wrong = {query: found for query, wanted in QUERIES if (found := engine.found(query)) != wanted}
    assert wrong == {}


def test_hits_are_read_by_the_names_of_their_fields(aws: Aws, engine: TestEngine, function: Function) -> None:
    """What the search found is what the record said, whichever way an engine gives dotted names back."""
    stored = aws.put_records(SEARCHED.values())
    deliver(function, [stored])
    wanted: dict[str, dict[str, Any]] = {
        "launch": {
            "eventName": "RunInstances",
            "userIdentity.arn": "arn:aws:iam::111122223333:user/alice",
            "requestParameters.instanceType": "m5.large",
            "ct.bucket": stored.bucket,
            "ct.key": stored.key,
            "ct.position": 0,
            "ct.ingestMode": "live",
            "ct.caller": "alice",
            "readOnly": False,
        },
        "denied": {
            "userIdentity.sessionContext.sessionIssuer.userName": "build",
            "tlsDetails.tlsVersion": "TLSv1.3",
            "errorMessage": "Access Denied by a bucket policy.",
            "ct.outcome": "failure",
        },
        "service": {"userIdentity.invokedBy": "cloudformation.amazonaws.com", "ct.caller": "cloudformation.amazonaws.com"},
        "login": {"additionalEventData.MFAUsed": "No", "ct.consoleLogin": "Failure", "userIdentity.type": "Root"},
    }
    for identity, fields in wanted.items():
        assert {name: engine.value(identity, name) for name in fields} == fields
        assert engine.source(identity)["raw"].encode() == text_of(SEARCHED[identity])
        assert len(engine.source(identity)["ct"]["ingestTime"]) == len("2026-11-03T08:20:00.000Z")
