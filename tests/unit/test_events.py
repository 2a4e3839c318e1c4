"""The committed sample events are what their generator makes, and cover the cases they are there for."""

from __future__ import annotations

import gzip
import hashlib
import json
import unicodedata
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from generate import (
    BUCKET,
    CONFIG,
    CONFIG_OBJECTS,
    INSTANCE,
    OBJECTS,
    SampleObject,
    config_objects,
    config_payloads,
    counts,
    payload_text,
    payloads,
    sample_objects,
)
from story import hostile
from story.kinds import ODD_PREFIX

EVENTS = Path(__file__).parents[2] / "events"
SAMPLES = sample_objects()
BY_KEY = {sample.key: sample for sample in SAMPLES}
PAYLOADS = sorted(path.stem for path in EVENTS.glob("*.json"))

CASES = {
    "s3_notification",
    "s3_in_sqs",
    "s3_in_sns",
    "s3_in_sns_in_sqs",
    "sns_raw_in_sqs",
    "s3_versioned_bucket",
    "s3_multipart_upload",
    "s3_object_removed",
    "eventbridge_object_created",
    "eventbridge_in_sqs",
    "eventbridge_versioned_bucket",
    "eventbridge_object_deleted",
    "cloudtrail_sns",
    "cloudtrail_sns_in_sqs",
    "cloudtrail_sns_raw_in_sqs",
    "s3_test_event",
    "s3_test_event_in_sqs",
    "s3_test_event_in_sns_in_sqs",
    "cloudtrail_validation_message",
    "cloudtrail_validation_message_in_sns_in_sqs",
    "cloudtrail_validation_message_raw_in_sqs",
    "config_writability_check",
    "digest_notification",
    "organisation_trail",
    "control_tower",
    "replay_in_sqs",
    "encoded_key_s3",
    "encoded_key_s3_in_sns_in_sqs",
    "encoded_key_eventbridge",
    "encoded_key_cloudtrail_sns_in_sqs",
    "unknown_shape",
    "unknown_shape_in_sqs",
    "mixed_batch",
}
CONFIG_SAMPLES = config_objects()
NAMED_BUT_NOT_STORED = ("ConfigWritabilityCheckFile", "_ConfigHistory_")


def sound_records() -> Iterator[tuple[SampleObject, dict[str, object]]]:
    """Every record outside of the hostile object, parsed."""
    for sample in SAMPLES:
        if "_20261119T1645Z_" not in sample.key:
            for element in sample.elements:
                record = json.loads(element)
                if isinstance(record, dict):
                    yield sample, record


def keys_named(value: object) -> Iterator[str]:
    """Every object key that a payload names, at any depth of envelopes, decoded where S3 encodes it."""
    if isinstance(value, str) and value.startswith("{"):
        yield from keys_named(json.loads(value))
    elif isinstance(value, list):
        for element in value:
            yield from keys_named(element)
    elif isinstance(value, dict):
        if "s3SchemaVersion" in value:
            yield unquote_plus(value["object"]["key"])
        elif "s3ObjectKey" in value:
            named = value["s3ObjectKey"]
            yield from named if isinstance(named, list) else [named]
        elif "detail-type" in value:
            yield value["detail"]["object"]["key"]
        else:
            for element in value.values():
                yield from keys_named(element)


@pytest.mark.parametrize(("folder", "samples"), [(OBJECTS, SAMPLES), (CONFIG_OBJECTS, CONFIG_SAMPLES)], ids=["trail", "config"])
def test_the_committed_objects_are_those_that_are_generated(folder: Path, samples: list[SampleObject]) -> None:
    """The folder holds exactly the generated keys, each with the generated content."""
    committed = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    # Some file systems hand out names in another normalisation than they were given.
    found = {unicodedata.normalize("NFC", name): gzip.decompress(path.read_bytes()) for name, path in committed.items()}
    assert found == {sample.key: sample.content for sample in samples}


def test_the_committed_payloads_are_those_that_are_generated() -> None:
    """The payload files hold exactly the generated text."""
    found = {name: (EVENTS / f"{name}.json").read_text(encoding="utf-8") for name in PAYLOADS}
    assert found == {name: payload_text(payload) for name, payload in payloads(SAMPLES).items()}


def test_the_committed_payloads_of_config_are_those_that_are_generated() -> None:
    """AWS Config's payload files hold exactly the generated text."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in CONFIG.glob("*.json")}
    assert found == {name: payload_text(payload) for name, payload in config_payloads(CONFIG_SAMPLES, SAMPLES).items()}


def test_an_object_of_config_names_the_shape_it_has() -> None:
    """The content of each of AWS Config's objects is JSON whose items are counted as its elements."""
    for sample in CONFIG_SAMPLES:
        content = json.loads(sample.content)
        items = content["configurationItems"] if "configurationItems" in content else [content["configurationItem"]]
        assert len(items) == len(sample.elements)


def test_items_of_config_are_related_to_records_of_cloudtrail() -> None:
    """Each `relatedEvents` of the story is the id of a record that is among the samples."""
    ids = {record.get("eventID") for _, record in sound_records()}
    items = [json.loads(text) for sample in CONFIG_SAMPLES for text in sample.elements if text.startswith(b"{")]
    related = {event for item in items for event in item.get("relatedEvents", [])}
    assert len(related) >= 4
    assert related <= ids


def test_every_case_is_there() -> None:
    """Each way of announcing an object has its file, and no file is without a case."""
    assert set(PAYLOADS) == CASES


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_is_valid_json_and_names_stored_objects(name: str) -> None:
    """A payload is strict JSON, and what it names is a sample object, save what is never read."""
    payload = json.loads((EVENTS / f"{name}.json").read_bytes(), parse_constant=pytest.fail)
    missing = [key for key in keys_named(payload) if key not in BY_KEY and not any(part in key for part in NAMED_BUT_NOT_STORED)]
    assert missing == []


def test_the_bodies_of_queue_messages_match_their_checksum() -> None:
    """`md5OfBody` is that of the body, as SQS promises."""
    for name in PAYLOADS:
        for record in json.loads((EVENTS / f"{name}.json").read_bytes()).get("Records", []):
            if record.get("eventSource") == "aws:sqs":
                assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()


def test_only_s3_encodes_the_odd_key() -> None:
    """One key stands form-encoded in S3 notifications and plainly in the messages of EventBridge and CloudTrail."""
    odd = next(key for key in BY_KEY if key.startswith(ODD_PREFIX))
    encoded = json.loads((EVENTS / "encoded_key_s3.json").read_bytes())["Records"][0]["s3"]["object"]["key"]
    plain = json.loads((EVENTS / "encoded_key_eventbridge.json").read_bytes())["detail"]["object"]["key"]
    assert encoded.startswith("audit+trail%2BZ%C3%BCrich+%253A+1/AWSLogs/")
    assert plain == odd


def test_the_counts_add_up() -> None:
    """What is read is indexed, a duplicate or quarantined; the figures are those that the demo shows."""
    found = counts(SAMPLES)
    assert found.read == found.indexed + found.duplicates + found.quarantined
    assert (found.skipped_objects, found.duplicates, found.quarantined) == (1, 12, 2)
    assert 700 <= found.read <= 900


def test_the_content_of_an_object_is_its_elements() -> None:
    """What the counts are taken from is what the objects hold, wherever a JSON reader can tell."""
    for sample in SAMPLES:
        if sample.has_records and "_20261119T1645Z_" not in sample.key:
            assert json.loads(sample.content)["Records"] == [json.loads(element) for element in sample.elements]


def test_ids_occur_once_save_for_the_second_trail() -> None:
    """No two calls share an eventID, so nothing is taken for a duplicate that is none."""
    ids = [
        record.get("eventID", record.get("eventId"))
        for sample, record in sound_records()
        if not sample.key.startswith("security-trail/")
    ]
    with_id = [one for one in ids if one is not None]
    assert len(with_id) == len(set(with_id))
    assert len(ids) - len(with_id) == 3


def test_times_are_within_the_quarter_of_an_hour_before_the_delivery() -> None:
    """Each record could have been delivered in its object."""
    for sample, record in sound_records():
        if "eventTime" in record:
            delivered = datetime.strptime(sample.key.rsplit("_", 2)[1], "%Y%m%dT%H%M%z")
            happened = datetime.fromisoformat(str(record["eventTime"]))
            late = timedelta(minutes=35 if "CloudTrail-Insight" in sample.key else 15)
            assert timedelta(0) <= delivered - happened <= late, sample.key


def test_the_records_cover_the_kinds_that_cloudtrail_knows() -> None:
    """Callers, categories, types and versions of all kinds are among the records."""
    records = [record for _, record in sound_records()]
    identities = [identity for record in records if isinstance(identity := record.get("userIdentity"), dict)]
    assert {
        "IAMUser",
        "AssumedRole",
        "Root",
        "AWSService",
        "AWSAccount",
        "FederatedUser",
        "SAMLUser",
        "WebIdentityUser",
        "IdentityCenterUser",
    } <= {identity.get("type") for identity in identities}
    assert {"invokedBy", "inScopeOf", "onBehalfOf", "credentialId", "identityProvider"} <= {
        name for identity in identities for name in identity
    }
    assert {"Management", "Data", "NetworkActivity", "Insight", "Aggregated", "Orbital", None} == {
        record.get("eventCategory") for record in records
    }
    assert {"AwsApiCall", "AwsServiceEvent", "AwsConsoleSignIn", "AwsVpceEvent", "AwsCloudTrailInsight"} <= {
        record.get("eventType") for record in records
    }
    assert {"addendum", "eventContext", "vpcEndpointAccountId", "sharedEventID", "resources", "tlsDetails"} <= {
        name for record in records for name in record
    }


def test_the_web_server_has_a_life() -> None:
    """The server is launched, tagged, changed, stopped, started and terminated, by more than one caller."""
    changes = [
        (record["eventName"], "errorCode" in record)
        for _, record in sound_records()
        if not record.get("readOnly")
        and INSTANCE in json.dumps([record.get("requestParameters"), record.get("responseElements")])
    ]
    assert [name for name, failed in changes if not failed] == [
        "RunInstances",
        "CreateTags",
        "ModifyInstanceAttribute",
        "StopInstances",
        "StartInstances",
        "StartSession",
        "ModifyInstanceAttribute",
        "TerminateInstances",
    ]
    assert [name for name, failed in changes if failed] == [
        "TerminateInstances",
        "ModifyInstanceAttribute",
        "StartInstances",
    ]


def test_hostile_records_hold_what_no_strict_parser_takes() -> None:
    """The hostile texts are as hostile as their names say."""
    texts = hostile.records()
    assert all(text.startswith(b"{") and text.endswith(b"}") for text in texts.values())
    for what in ("not a number", "invalid UTF-8", "raw control bytes"):
        with pytest.raises(ValueError):  # noqa: PT011 - the parsers word it in many ways
            json.loads(texts[what].decode("utf-8"), parse_constant=int)
    assert texts["1,000 levels"].count(b"{") > 1000
    assert len(texts["a leaf of 40,000 bytes"]) > 40_000


def test_one_object_has_several_gzip_members() -> None:
    """The object that must show that reading goes on after the first member has three."""
    rest = next(path for path in OBJECTS.rglob("*_20261117T0815Z_*")).read_bytes()
    members = 0
    while rest:
        inflate = zlib.decompressobj(wbits=31)
        inflate.decompress(rest)
        rest, members = inflate.unused_data, members + 1
    assert members == 3


def test_the_digest_lists_the_content_of_its_log_files() -> None:
    """The digest's hashes are those of the sample objects, so that completeness can be proved on them."""
    digest = json.loads(next(sample.content for sample in SAMPLES if not sample.has_records))
    assert len(digest["logFiles"]) == 2
    for listed in digest["logFiles"]:
        assert listed["s3Bucket"] == BUCKET
        assert listed["hashValue"] == hashlib.sha256(BY_KEY[listed["s3Object"]].content).hexdigest()


def test_the_readme_has_a_line_for_every_file() -> None:
    """Whoever opens the folder finds each payload and each object explained."""
    readme = (EVENTS / "README.md").read_text(encoding="utf-8")
    objects = {sample.key.rsplit("/", 1)[1].removesuffix(".json.gz") for sample in SAMPLES if sample.has_records}
    names = {f"{name}.json" for name in PAYLOADS} | {name.rsplit("_", 1)[0] for name in objects}
    names |= {path.name for path in CONFIG.glob("*.json")}
    names |= {sample.key.rsplit("/", 1)[1].removesuffix(".json.gz") for sample in CONFIG_SAMPLES}
    assert [name for name in sorted(names) if f"| `{name}` |" not in readme] == []


def test_the_folder_stays_small() -> None:
    """The samples are for reading and for running in seconds: less than 800 kB altogether."""
    files = [path for path in EVENTS.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 800_000
