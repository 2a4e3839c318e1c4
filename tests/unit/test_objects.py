"""Objects are inflated within bounds, and every way in which one can fail has its own code."""

from __future__ import annotations

import gzip
import http.server
import io
import random
import re
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from audit_search import objects, records
from audit_search.direct_get import DirectGet
from audit_search.envelopes import ObjectRef
from audit_search.errors import ObjectError
from audit_search.objects import CHUNK, OUTCOMES, Action, ObjectReader, inflate
from tests.support.aws import ENVIRONMENT, REGION, TRAIL, Aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TEXT = b'{"Records":[{"eventID":"1"},{"eventID":"2"}]}'
GIB = 1 << 30


def whole(data: bytes, step: int = 0, max_bytes: int = GIB, max_ratio: int = 1_100) -> bytes:
    """Inflate `data`, handed over `step` bytes at a time (0: in one piece)."""
    step = step or max(len(data), 1)
    return b"".join(inflate((data[at : at + step] for at in range(0, len(data), step)), max_bytes, max_ratio))


def failure(call: Callable[[], object]) -> ObjectError:
    """The ObjectError that a call ends in."""
    with pytest.raises(ObjectError) as caught:
        call()
    return caught.value


def code_of(data: bytes, **how: int) -> str:
    """The code with which inflating `data` fails."""
    return failure(lambda: whole(data, **how)).code


def member(content: bytes, name: bytes = b"", extra: bytes = b"", comment: bytes = b"", header_crc: bool = False) -> bytes:
    """A gzip member with the optional parts of RFC 1952."""
    flags = bool(header_crc) << 1 | bool(extra) << 2 | bool(name) << 3 | bool(comment) << 4
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\x00\x03"
    head += (len(extra).to_bytes(2, "little") + extra if extra else b"") + (name + b"\0" if name else b"")
    head += comment + b"\0" if comment else b""
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little") if header_crc else b""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(content) + deflate.flush()
    return head + body + zlib.crc32(content).to_bytes(4, "little") + (len(content) & 0xFFFFFFFF).to_bytes(4, "little")


@pytest.mark.parametrize("step", range(1, 80))
def test_the_size_of_the_pieces_does_not_matter(step: int) -> None:
    """However the network cuts an object, the same bytes come out: one member, several, and with padding behind them."""
    data = gzip.compress(TEXT, mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(TEXT[::-1], mtime=0)
    assert whole(data, step) == TEXT + TEXT[::-1]
    assert whole(data + b"\0" * 100, step) == TEXT + TEXT[::-1]


def test_zeros_between_members_are_padding() -> None:
    """Zero bytes may stand behind each member, as tapes and block devices leave them."""
    one = gzip.compress(TEXT, mtime=0)
    for step in (1, 7, len(one), len(one) + 1, 10_000):
        assert whole(one + b"\0" * 512 + one + b"\0", step) == TEXT * 2


@pytest.mark.parametrize(
    "header",
    [
        {"name": b"log.json"},
        {"name": b"n" * 5000},
        {"comment": b"c"},
        {"extra": b"x" * 300},
        {"header_crc": True},
        {"name": b"n", "comment": b"c", "extra": b"e", "header_crc": True},
    ],
    ids=lambda header: "+".join(header),
)
def test_every_part_of_a_gzip_header_is_understood(header: dict[str, Any]) -> None:
    """Names, comments, extra fields and header checksums are read over.

    Wherever the pieces end, but for the checksum: ISA-L wants a header that has one whole. CloudTrail writes none.
    """
    for step in (10_000,) if "header_crc" in header else (1, 3, 11, 100, 10_000):
        assert whole(member(TEXT, **header) + member(TEXT), step) == TEXT * 2


@pytest.mark.parametrize("step", [0, 1, 5])
def test_an_object_cut_anywhere_is_truncated(step: int) -> None:
    """At every position at which a download may have ended the error is `truncated`."""
    data = gzip.compress(TEXT, mtime=0)
    for end in range(len(data)):
        assert code_of(data[:end], step=step) == "truncated", end
    two = data + data
    for end in range(len(data) + 1, len(two)):
        assert code_of(two[:end], step=step) == "truncated", end


def test_what_came_before_the_cut_is_handed_out() -> None:
    """A truncated object still gives what could be inflated of it."""
    content = random.Random(1).randbytes(3 * CHUNK)
    found = bytearray()
    data = gzip.compress(content, 1)

    def read() -> None:
        for chunk in inflate(iter([data[: 2 * CHUNK]]), GIB, 1_100):
            found.extend(chunk)

    assert failure(read).code == "truncated"
    assert len(found) > CHUNK
    assert content.startswith(bytes(found))


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_wrong_byte_anywhere_is_a_clean_error(flip: int) -> None:
    """Whichever byte is damaged: the right content (where it only described the file) or an ObjectError, nothing else."""
    data = gzip.compress(TEXT, mtime=0) + gzip.compress(TEXT, mtime=0)
    codes = set()
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= flip
        for step in (0, 1, 9):
            try:
                assert whole(bytes(broken), step) == TEXT * 2, position
            except ObjectError as error:
                codes.add(error.code)
    assert codes <= {"not-gzip", "corrupt", "truncated"}
    assert {"not-gzip", "corrupt"} <= codes


def test_a_wrong_checksum_is_corrupt() -> None:
    """Content that does not match its checksum is not silently taken."""
    data = bytearray(gzip.compress(TEXT, mtime=0))
    data[-6] ^= 1
    assert code_of(bytes(data)) == "corrupt"


@pytest.mark.parametrize("garbage", [b"garbage", b"\x1f\x8c" + b"x" * 40, b"{}", b"\0\0\0x" * 20, b"\x1f\x8b\x09" + b"\1" * 40])
def test_garbage_behind_a_member_is_an_error_after_the_content(garbage: bytes) -> None:
    """What follows the last member and is none is reported, and the content before it is handed out."""
    data = gzip.compress(TEXT, mtime=0)
    for step in (1, 10, len(data), 10_000):
        found: list[bytes] = []
        pieces = ((data + garbage)[at : at + step] for at in range(0, len(data + garbage), step))
        assert failure(lambda found=found, pieces=pieces: found.extend(inflate(pieces, GIB, 1_100))).code in {  # type: ignore[misc]
            "corrupt",
            "truncated",
        }
        assert b"".join(found) == TEXT


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        b"x",
        b"\x1f",
        b"\x1f\x8b"[1:],
        b"PK\x03\x04rest",
        b"BZh91AY",
        b"(\xb5/\xfd",
        b"\x00" * 100,
        b"\xff" * 5000,
        b"\x1f\x8b\x07" + b"\x00" * 50,
        zlib.compress(TEXT),
        TEXT.decode().encode("utf-16"),
    ],
)
def test_what_is_not_gzip_is_called_so(data: bytes) -> None:
    """Plain JSON, other archives, zeros and noise are `not-gzip`, and the message shows how they begin."""
    for step in (0, 1, 2):
        error = failure(lambda step=step: whole(data, step))  # type: ignore[misc]
        assert error.code == ("truncated" if data == b"\x1f" else "not-gzip")


def test_an_empty_object_is_truncated() -> None:
    """Nothing at all is no gzip member: `truncated`."""
    assert failure(lambda: whole(b"")).reason == "the object is empty"
    assert failure(lambda: list(inflate(iter([b"", b"", b""]), GIB, 10))).code == "truncated"
    assert whole(gzip.compress(b"")) == b""


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 3 * CHUNK])
def test_multiples_of_the_step_come_out_whole(size: int) -> None:
    """An object whose inflated size is exactly that of one step or several loses nothing and ends."""
    content = b"0123456789abcdef" * (size // 16 + 1)
    content = content[:size]
    for data in (gzip.compress(content), gzip.compress(content, 0)):
        for step in (0, 1 << 18, 999):
            assert whole(data, step) == content
    steps = list(inflate(iter([gzip.compress(content)]), GIB, 1_100))
    assert max(map(len, steps)) <= CHUNK


def test_the_size_is_bounded() -> None:
    """An object may have exactly the bytes that are allowed, and not one more."""
    data = gzip.compress(b"x" * 10_000)
    assert len(whole(data, max_bytes=10_000)) == 10_000
    error = failure(lambda: whole(data, max_bytes=9_999))
    assert error.code == "too-big"
    assert "MAX_OBJECT_BYTES" in error.reason


def test_the_size_is_bounded_over_all_members() -> None:
    """Many small members are not a way around the bound."""
    assert code_of(gzip.compress(b"x" * 1_000) * 11, max_bytes=10_000) == "too-big"


def test_the_ratio_is_bounded_for_big_objects_only() -> None:
    """Ten megabytes of one byte are a bomb; a small object may compress as well as it likes."""
    error = failure(lambda: whole(gzip.compress(b"\0" * (64 << 20), 9), max_ratio=250))
    assert error.code == "too-big"
    assert "MAX_INFLATION_RATIO" in error.reason
    assert len(whole(gzip.compress(b"\0" * (8 << 20), 9), max_ratio=10)) == 8 << 20


def test_a_bomb_does_not_fill_the_memory() -> None:
    """Half a gigabyte behind half a megabyte is inflated step by step, and refused where the bound is."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join([*(deflate.compress(b"\0" * (16 << 20)) for _ in range(32)), deflate.flush()])
    tracemalloc.start()
    try:
        total = 0

        def read() -> None:
            nonlocal total
            for step in inflate(iter([data]), 400 << 20, 2_000):
                total += len(step)

        assert failure(read).code == "too-big"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 399 << 20 <= total <= 400 << 20
    assert peak < 16 << 20


def test_a_hundred_thousand_members_are_read() -> None:
    """A file to which someone appended one record at a time is many members."""
    assert whole(gzip.compress(b"ab", mtime=0) * 20_000, 1 << 16) == b"ab" * 20_000


# ObjectReader against moto's S3


def reader(client: Any, *buckets: str, max_bytes: int = GIB, max_ratio: int = 250) -> ObjectReader:
    """A reader that may read the trail's bucket, or the buckets named."""
    return ObjectReader(client, frozenset(buckets or (TRAIL,)), max_bytes=max_bytes, max_ratio=max_ratio)


def read(client: Any, ref: ObjectRef, **how: Any) -> bytes:
    """The inflated content of an object."""
    return b"".join(reader(client, **how).open(ref).chunks())


def test_an_object_is_opened_and_read(aws: Aws) -> None:
    """What S3 says of an object comes with its inflated content, whatever Content-Encoding it was stored with."""
    data = gzip.compress(TEXT)
    stored = aws.put(data, ContentEncoding="gzip", ContentType="application/json")
    opened = reader(aws.s3).open(ObjectRef(stored.bucket, stored.key))
    assert opened.size == len(data)
    assert opened.last_modified.tzinfo is not None
    assert b"".join(opened.chunks()) == TEXT


def test_a_big_object_is_streamed(aws: Aws) -> None:
    """An object beyond one step is read in pieces while it is inflated."""
    content = random.Random(2).randbytes(3 * CHUNK)
    stored = aws.put(gzip.compress(content, 1))
    assert read(aws.s3, ObjectRef(stored.bucket, stored.key)) == content


@pytest.mark.parametrize("direct", [False, True], ids=["by the client", "directly"])
@pytest.mark.parametrize(
    "key",
    ["a b", "a+b", "a%2Bb", "a?b#c", "Zürich/日本/🔍", "a//b", "x&y=z;!$'()*,", 'q"uo\\te', "trailing.", "k" * 1_000, "-._~"],
    ids=lambda key: key[:20],
)
def test_any_key_is_asked_for_as_it_is(aws: Aws, key: str, direct: bool) -> None:
    """Spaces, plus and percent signs, other scripts and long names reach S3 unchanged, on either way."""
    aws.put(gzip.compress(b"another"), "first")
    aws.put(gzip.compress(TEXT), key)
    opener = directly(aws) if direct else reader(aws.s3)
    assert b"".join(opener.open(ObjectRef(TRAIL, "first")).chunks()) == b"another"
    assert b"".join(opener.open(ObjectRef(TRAIL, key)).chunks()) == TEXT


def directly(aws: Aws) -> ObjectReader:
    """A reader that asks for objects on its own connection, once the client has shown it where they are."""
    credentials = Credentials(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"])
    direct = DirectGet(aws.s3, credentials, 2)
    return ObjectReader(aws.s3, frozenset({TRAIL}), max_bytes=GIB, max_ratio=250, direct=direct)


def test_reading_directly_gives_the_same_errors(aws: Aws) -> None:
    """What is gone, archived, too big or in another bucket is the same on the kept connection, and the next object is read."""
    aws.s3.put_bucket_versioning(Bucket=TRAIL, VersioningConfiguration={"Status": "Enabled"})
    versions = [aws.s3.put_object(Bucket=TRAIL, Key="k", Body=gzip.compress(text))["VersionId"] for text in (b"old", b"new")]
    aws.put(gzip.compress(TEXT), "cold", StorageClass="GLACIER")
    aws.put(gzip.compress(b"secret"), "k", "quarantine-bucket")
    opener = directly(aws)
    for _ in range(2):
        assert b"".join(opener.open(ObjectRef(TRAIL, "k")).chunks()) == b"new"
        assert b"".join(opener.open(ObjectRef(TRAIL, "k", versions[0])).chunks()) == b"old"
        for ref, code in (
            (ObjectRef(TRAIL, "never"), "gone"),
            (ObjectRef(TRAIL, "k", "v" * 32), "gone"),
            (ObjectRef(TRAIL, ""), "gone"),
            (ObjectRef(TRAIL, "half \ud83d"), "gone"),
            (ObjectRef(TRAIL, "cold"), "archived"),
            (ObjectRef("quarantine-bucket", "k"), "bucket-not-allowed"),
            (ObjectRef(TRAIL, "../quarantine-bucket/k"), "gone"),
        ):
            assert failure(lambda ref=ref: opener.open(ref)).code == code, ref  # type: ignore[misc]
            assert b"".join(opener.open(ObjectRef(TRAIL, "k")).chunks()) == b"new"


def test_the_version_named_is_the_one_read(aws: Aws) -> None:
    """Of several versions the message's own is read; without one, the newest."""
    aws.s3.put_bucket_versioning(Bucket=TRAIL, VersioningConfiguration={"Status": "Enabled"})
    versions = [aws.s3.put_object(Bucket=TRAIL, Key="k", Body=gzip.compress(text))["VersionId"] for text in (b"old", b"new")]
    assert read(aws.s3, ObjectRef(TRAIL, "k", versions[0])) == b"old"
    assert read(aws.s3, ObjectRef(TRAIL, "k", versions[1])) == b"new"
    assert read(aws.s3, ObjectRef(TRAIL, "k")) == b"new"


def test_a_deleted_object_is_gone(aws: Aws) -> None:
    """No object, a deleted one, an unknown version and a delete marker are all `gone`."""
    aws.s3.put_bucket_versioning(Bucket=TRAIL, VersioningConfiguration={"Status": "Enabled"})
    aws.put(gzip.compress(TEXT), "k")
    marker = aws.s3.delete_object(Bucket=TRAIL, Key="k")["VersionId"]
    for ref in (ObjectRef(TRAIL, "never"), ObjectRef(TRAIL, "k"), ObjectRef(TRAIL, "k", marker), ObjectRef(TRAIL, "k", "v" * 32)):
        error = failure(lambda ref=ref: read(aws.s3, ref))  # type: ignore[misc]
        assert error.code == "gone"
        assert str(ref) in error.reason


@pytest.mark.parametrize("key", ["", "half \ud83d a pair", "k" * 2_000], ids=["empty", "surrogate", "too long"])
def test_a_name_that_no_object_can_have_is_gone(aws: Aws, key: str) -> None:
    """A message is third-party text: a key that S3 cannot have never comes into being, so no retry helps."""
    assert failure(lambda: read(aws.s3, ObjectRef(TRAIL, key))).code == "gone"


def test_an_archived_object_must_be_restored(aws: Aws) -> None:
    """An object in an archive storage class is `archived`."""
    aws.put(gzip.compress(TEXT), "k", StorageClass="GLACIER")
    assert failure(lambda: read(aws.s3, ObjectRef(TRAIL, "k"))).code == "archived"


def test_a_bucket_that_is_not_there(aws: Aws) -> None:
    """An allowed bucket that does not exist is `no-bucket`: perhaps it is yet to be made."""
    assert failure(lambda: reader(aws.s3, "no-such-bucket-here").open(ObjectRef("no-such-bucket-here", "k"))).code == "no-bucket"


@pytest.mark.parametrize("bucket", ["other", "", TRAIL.upper(), f"{TRAIL}/k", f" {TRAIL}", f"arn:aws:s3:::{TRAIL}", "\ud800"])
def test_a_bucket_that_is_not_allowed_is_never_asked(bucket: str) -> None:
    """The bucket is held against the list before anything is sent: this client has no network."""
    client = boto3.client("s3", region_name=REGION, endpoint_url="http://127.0.0.1:9", config=Config(retries={"max_attempts": 0}))
    error = failure(lambda: reader(client).open(ObjectRef(bucket, "k")))
    assert error.code == "bucket-not-allowed"
    assert "ALLOWED_BUCKETS" in error.reason


def test_the_bounds_of_the_reader_hold(aws: Aws) -> None:
    """The reader's own bounds are those of the inflation."""
    aws.put(gzip.compress(b"x" * 5_000), "k")
    assert failure(lambda: read(aws.s3, ObjectRef(TRAIL, "k"), max_bytes=4_999)).code == "too-big"


# ObjectReader against what S3 answers on bad days


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers each GET with what the test has put into `plan`."""

    protocol_version = "HTTP/1.1"
    plan: tuple[int, dict[str, str], bytes, int] = (200, {}, b"", 0)  # status, headers, body, the length that is promised
    seen: int = 0

    def do_GET(self) -> None:
        type(self).seen += 1
        status, headers, body, promised = self.plan
        self.send_response_only(status)
        for name, value in {"Last-Modified": "Tue, 03 Nov 2026 08:20:31 GMT", "ETag": '"e"', **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(promised or len(body)))
        self.end_headers()
        self.wfile.write(body)
        if promised > len(body):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def s3_that_answers(
    status: int, body: bytes = b"", promised: int = 0, headers: dict[str, str] | None = None
) -> Iterator[S3Client]:
    """A client of an S3 that answers everything in one way."""
    handler = type("Planned", (Answers,), {"plan": (status, headers or {}, body, promised)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield boto3.client(
            "s3",
            region_name=REGION,
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=2, s3={"addressing_style": "path"}),
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(code: str, message: str = "") -> bytes:
    """S3's error document."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message><RequestId>R</RequestId></Error>".encode()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, refusal("AccessDenied", "Access Denied"), "denied"),
        (403, refusal("AllAccessDisabled"), "denied"),
        (403, refusal("InvalidAccessKeyId"), "denied"),
        (403, refusal("SignatureDoesNotMatch"), "denied"),
        (400, refusal("ExpiredToken"), "denied"),
        (403, b"", "denied"),
        (403, b"<html>a proxy says no</html>", "denied"),
        (401, refusal("SomethingNew"), "denied"),
        (403, refusal("AccessDenied", "User: x is not authorized to perform: kms:Decrypt on the resource"), "wrong-key"),
        (403, refusal("AccessDenied", "The ciphertext refers to a customer master key that does not exist"), "wrong-key"),
        (400, refusal("KMS.DisabledException", "arn is disabled."), "wrong-key"),
        (400, refusal("KMS.KMSInvalidStateException", "pending deletion"), "wrong-key"),
        (400, refusal("KMS.NotFoundException"), "wrong-key"),
        (404, refusal("NoSuchKey"), "gone"),
        (404, refusal("NoSuchVersion"), "gone"),
        (405, refusal("MethodNotAllowed", "The specified method is not allowed against this resource."), "gone"),
        (400, refusal("KeyTooLongError", "Your key is too long"), "gone"),
        (400, refusal("InvalidArgument", "Invalid version id specified"), "gone"),
        (404, b"", "gone"),
        (404, refusal("NoSuchBucket"), "no-bucket"),
        (403, refusal("InvalidObjectState"), "archived"),
        (500, refusal("InternalError"), "s3-unavailable"),
        (503, refusal("SlowDown", "Please reduce your request rate."), "s3-unavailable"),
        (503, b"<html>no XML</html><", "s3-unavailable"),
        (400, refusal("RequestTimeout"), "s3-unavailable"),
        (400, refusal("InvalidArgument", "something else"), "s3-unavailable"),
        (409, refusal("OperationAborted"), "s3-unavailable"),
        (418, b"", "s3-unavailable"),
    ],
)
def test_each_refusal_of_s3_has_its_code(status: int, body: bytes, code: str) -> None:
    """What S3 (or a proxy before it) answers becomes a code and a message that names the object and S3's own words."""
    with s3_that_answers(status, body) as client:
        error = failure(lambda: reader(client).open(ObjectRef(TRAIL, "some/key")))
    assert error.code == code
    assert error.reason.startswith(f"s3://{TRAIL}/some/key: ")
    named = re.search(rb"<Code>(.+?)</Code>", body)
    assert named is None or named[1].decode() in error.reason


def test_only_a_key_of_that_name_makes_no_wrong_key() -> None:
    """A plain refusal stays `denied`, whatever the bucket's owner calls his objects."""
    with s3_that_answers(403, refusal("AccessDenied", "Access Denied")) as client:
        assert failure(lambda: reader(client).open(ObjectRef(TRAIL, "kms:keys/KMS"))).code == "denied"


@pytest.mark.parametrize("promised", [0, 5_000_000])
def test_a_download_that_breaks_off_is_no_truncated_object(promised: int) -> None:
    """When the connection ends before the promised length, S3 is at fault and the message returns."""
    data = gzip.compress(random.Random(3).randbytes(200_000), 1)
    with s3_that_answers(200, data[:100_000], promised or len(data)) as client:
        error = failure(lambda: read(client, ObjectRef(TRAIL, "k")))
    assert error.code == "s3-unavailable"


def test_an_object_stored_truncated_is_truncated() -> None:
    """The same bytes with an honest length are a truncated object."""
    data = gzip.compress(random.Random(3).randbytes(200_000), 1)
    with s3_that_answers(200, data[:100_000]) as client:
        assert failure(lambda: read(client, ObjectRef(TRAIL, "k"))).code == "truncated"


def test_a_wrong_checksum_of_the_download_returns() -> None:
    """S3's own checksum of the object guards the way to us."""
    with s3_that_answers(200, gzip.compress(TEXT), headers={"x-amz-checksum-crc32": "AAAAAA=="}) as client:
        assert failure(lambda: read(client, ObjectRef(TRAIL, "k"))).code == "s3-unavailable"


def test_nobody_listening_is_an_outage() -> None:
    """A refused connection is `s3-unavailable`."""
    client = boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2),
    )
    assert failure(lambda: reader(client).open(ObjectRef(TRAIL, "k"))).code == "s3-unavailable"


# The table of outcomes

DOCUMENTED = {
    "gone": Action.QUARANTINE,
    "not-gzip": Action.QUARANTINE,
    "truncated": Action.QUARANTINE,
    "corrupt": Action.QUARANTINE,
    "not-json": Action.QUARANTINE,
    "no-records": Action.QUARANTINE,
    "too-big": Action.QUARANTINE,
    "denied": Action.RETURN,
    "wrong-key": Action.RETURN,
    "archived": Action.RETURN,
    "no-bucket": Action.RETURN,
    "bucket-not-allowed": Action.RETURN,
    "s3-unavailable": Action.RETURN,
    "time-budget": Action.RETURN,
    "internal": Action.RETURN,
}


def test_what_no_retry_can_read_is_quarantined_and_the_rest_returns() -> None:
    """Each code has the action that it was given on purpose: only what can never be read leaves the queue."""
    assert OUTCOMES == DOCUMENTED


def test_no_code_is_raised_that_the_table_lacks() -> None:
    """Every ObjectError of the package has a code with an outcome; digests are skipped before one is asked for."""
    package = Path(objects.__file__).parent
    raised = {
        code
        for path in package.glob("*.py")
        for code in re.findall(r'ObjectError\(\s*"([^"]+)"', path.read_text(encoding="utf-8"))
    }
    skipped = {"CloudTrail digest", "AWS Config object"}
    known = set(objects._CODES.values()) | raised | {"wrong-key", "denied"}
    assert known - skipped == set(OUTCOMES)
    assert issubclass(records.DigestObjectError, ObjectError)


def test_the_errors_of_the_client_keep_their_cause() -> None:
    """What S3 said stays behind the error, for whoever debugs it."""
    with s3_that_answers(404, refusal("NoSuchKey")) as client:
        assert isinstance(failure(lambda: reader(client).open(ObjectRef(TRAIL, "k"))).__cause__, ClientError)


def test_the_body_is_closed_when_the_reading_ends() -> None:
    """A stream that is left early gives its connection back."""

    class Body(io.BytesIO):
        pass

    body = Body(gzip.compress(random.Random(4).randbytes(CHUNK)))
    stream = objects._stream(body, ObjectRef("b", "k"))
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator is an iterator that can be closed
    assert body.closed
