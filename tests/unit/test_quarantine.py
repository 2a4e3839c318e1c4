"""What cannot be indexed is kept in S3 once, whole and with its reason."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

import boto3
import pytest
from botocore.config import Config

from audit_search.envelopes import ObjectRef
from audit_search.quarantine import Entry, Quarantine, QuarantineError
from tests.support.aws import QUARANTINE, REGION, Aws

REF = ObjectRef("trail", "AWSLogs/a b/ü.json.gz", "v1")
BROKEN = Entry(3, b'{"broken', "not_json", "the record is not JSON")
REFUSED = Entry(1, '{"eventID":"ü"}'.encode(), "mapper_parsing_exception", "failed to parse")
WHOLE = Entry(None, None, "truncated", "the gzip stream ends early")


def quarantine(aws: Aws, prefix: str = "quarantine/") -> Quarantine:
    """A quarantine in the bucket of the stand-in."""
    return Quarantine(aws.s3, QUARANTINE, prefix)


def test_each_entry_is_a_line(aws: Aws) -> None:
    """A file holds a line for each record in the order of their positions, the whole object's own first."""
    key = quarantine(aws).write(REF, [BROKEN, WHOLE, REFUSED])
    lines = aws.quarantined()
    assert [line["position"] for line in lines] == [None, 1, 3]
    times = {line.pop("time") for line in lines}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times)
    assert lines[1] == {
        "bucket": "trail",
        "key": "AWSLogs/a b/ü.json.gz",
        "versionId": "v1",
        "position": 1,
        "error": {"type": "mapper_parsing_exception", "reason": "failed to parse"},
        "raw": '{"eventID":"ü"}',
    }
    assert (lines[0]["raw"], lines[0]["error"]["type"]) == (None, "truncated")
    assert aws.keys() == [key]
    assert re.fullmatch(r"quarantine/[0-9a-f]{2}/[0-9a-f]{24}/[0-9a-f]{24}\.ndjson\.gz", key)


def test_the_file_is_readable_by_everyone(aws: Aws) -> None:
    """It is gzip, says so, and ends with a line break."""
    key = quarantine(aws).write(REF, [BROKEN])
    answer = aws.s3.get_object(Bucket=QUARANTINE, Key=key)
    assert (answer["ContentType"], answer["ContentEncoding"]) == ("application/x-ndjson", "gzip")
    content = gzip.decompress(answer["Body"].read())
    assert content.endswith(b"}\n")
    assert content.count(b"\n") == 1


def test_a_retry_writes_the_same_file(aws: Aws) -> None:
    """The name is made of what is in the file: the same records of the same object in any order, at any time."""
    keys = {
        quarantine(aws).write(REF, entries)
        for entries in ([BROKEN, REFUSED], [REFUSED, BROKEN], [REFUSED, Entry(3, b'{"broken', "not_json", "in other words")])
    }
    assert len(keys) == 1
    assert aws.keys() == sorted(keys)


@pytest.mark.parametrize(
    ("ref", "entry"),
    [
        (ObjectRef("other", REF.key, "v1"), BROKEN),
        (ObjectRef("trail", "other", "v1"), BROKEN),
        (ObjectRef("trail", REF.key, "v2"), BROKEN),
        (ObjectRef("trail", REF.key), BROKEN),
        (REF, Entry(4, b'{"broken', "not_json", "x")),
        (REF, Entry(3, b'{"Broken', "not_json", "x")),
        (REF, Entry(3, b'{"broken', "other", "x")),
        (REF, Entry(None, None, "not_json", "x")),
    ],
)
def test_other_records_are_another_file(aws: Aws, ref: ObjectRef, entry: Entry) -> None:
    """Nothing overwrites what was kept before."""
    assert quarantine(aws).write(REF, [BROKEN]) != quarantine(aws).write(ref, [entry])
    assert len(aws.keys()) == 2


@pytest.mark.parametrize(
    "text",
    [b"\xff\xfe", b'{"a":"\xe4"}', b"\xed\xa0\xbd", b"", b"\0", b'"\n\r\xe2\x80\xa8"', "🔍".encode(), b"x" * 300_000],
    ids=lambda text: repr(text[:8]),
)
def test_any_bytes_come_back(aws: Aws, text: bytes) -> None:
    """Text stays text; what is not UTF-8 is kept in base64; a line stays a line."""
    quarantine(aws).write(REF, [Entry(0, text, "t", "r")])
    (line,) = aws.quarantined()
    if line["raw"] is None:
        assert base64.b64decode(line["rawBase64"]) == text
        with pytest.raises(UnicodeDecodeError):
            text.decode("utf-8")
    else:
        assert line["raw"].encode() == text
        assert "rawBase64" not in line


@pytest.mark.parametrize("odd", ["half \ud83d", "\0\n", "x" * 1_024, "ü🔍"])
def test_odd_names_and_reasons_do_no_harm(aws: Aws, odd: str) -> None:
    """A key is third-party text, and so is the engine's reason."""
    quarantine(aws).write(ObjectRef("b", odd, odd), [Entry(0, b"x", odd, odd * 50)])
    (line,) = aws.quarantined()
    assert line["key"] == odd.replace("\ud83d", "?")
    assert len(line["error"]["reason"]) <= 2_000


def test_a_prefix_of_its_own(aws: Aws) -> None:
    """Files lie below the prefix, and below no other."""
    assert quarantine(aws, "a/b/").write(REF, [BROKEN]).startswith("a/b/")


@pytest.mark.parametrize(
    ("bucket", "key", "holds"),
    [
        (QUARANTINE, "quarantine/ab/x.ndjson.gz", True),
        (QUARANTINE, "quarantine/", True),
        (QUARANTINE, "AWSLogs/quarantine/x", False),
        (QUARANTINE, "quarantine", False),
        ("other", "quarantine/x", False),
    ],
)
def test_our_own_files_are_known(aws: Aws, bucket: str, key: str, holds: bool) -> None:
    """One bucket may hold trails and quarantine: its notifications name our own files too."""
    assert quarantine(aws).holds(bucket, key) is holds


def test_what_cannot_be_written_is_an_error(aws: Aws) -> None:
    """Without the bucket, or without S3, the records must return."""
    for client, bucket in (
        (aws.s3, "no-such-bucket-here"),
        (aws.s3, "Not A Bucket"),
        (_unreachable(), QUARANTINE),
    ):
        with pytest.raises(QuarantineError, match=f"s3://{bucket}/quarantine/.* could not be written"):
            Quarantine(client, bucket, "quarantine/").write(REF, [BROKEN])


def _unreachable() -> Any:
    return boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2),
    )


def test_the_lines_hold_nothing_but_what_is_documented(aws: Aws) -> None:
    """Tools read these files: their fields are a contract."""
    quarantine(aws).write(ObjectRef("b", "k"), [Entry(0, b"\xff", "t", "r")])
    assert list(json.loads(json.dumps(aws.quarantined()[0]))) == [
        "bucket",
        "key",
        "versionId",
        "position",
        "error",
        "time",
        "raw",
        "rawBase64",
    ]
