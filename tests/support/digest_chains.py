"""A trail with digest files that are signed with keys of our own, and a stand-in for the part of CloudTrail that knows them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.aws import REGION, TRAIL, Aws, record, trail_object

ACCOUNT = "111122223333"
START = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@cache
def signer(number: int = 0) -> rsa.RSAPrivateKey:
    """A private key; the same number gives the same key."""
    return rsa.generate_private_key(65_537, 2_048 + 8 * number)


def public(number: int = 0) -> tuple[str, bytes]:
    """The fingerprint and the public key (DER, PKCS #1) of `signer`, as CloudTrail gives them."""
    value = signer(number).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return hashlib.md5(value).hexdigest(), value


@dataclass
class Trail:
    """A trail of one account and region; its objects are put into a bucket as they are made."""

    aws: Aws
    bucket: str = TRAIL
    start: str = ""
    account: str = ACCOUNT
    region: str = REGION
    name: str = "audit"
    key: int = 0
    begin: datetime = START
    digests: list[str] = field(default_factory=list)
    backfills: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    _before: dict[bool, tuple[str, str, str] | None] = field(default_factory=lambda: {False: None, True: None})

    def hour(self, *files: Iterable[object]) -> str:
        """An hour passes: log files with some records are delivered, and a digest that lists them. Gives the digest's key."""
        end = self.begin + (len(self.digests) + 1) * _HOUR
        listed = [self.deliver(records, end - timedelta(minutes=30 - number % 25)) for number, records in enumerate(files)]
        self.digests.append(self.digest(end, listed))
        return self.digests[-1]

    def late(self, *files: Iterable[object]) -> str:
        """Log files of the last hour that its digest did not list: they are in a backfill digest. Gives its key."""
        end = self.begin + len(self.digests) * _HOUR
        self.backfills.append(
            self.digest(end, [self.deliver(records, end - timedelta(minutes=1)) for records in files], backfill=True)
        )
        return self.backfills[-1]

    def stop(self, hours: int = 3) -> None:
        """The trail is stopped for some hours: the next digest names none before it."""
        self.begin += hours * _HOUR
        self._before[False] = None

    def deliver(self, records: Iterable[object], when: datetime, body: bytes | None = None) -> dict[str, Any]:
        """A log file, and what a digest says of it."""
        body = trail_object(records) if body is None else body
        name = f"{self.account}_CloudTrail_{self.region}_{when:%Y%m%dT%H%MZ}_{len(self.files):016d}.json.gz"
        key = f"{self.start}AWSLogs/{self.account}/CloudTrail/{self.region}/{when:%Y/%m/%d}/{name}"
        self.aws.put(body, key, self.bucket)
        self.files.append(key)
        try:
            content = gzip.decompress(body)
        except (OSError, EOFError):
            content = body
        return {
            "s3Bucket": self.bucket,
            "s3Object": key,
            "hashValue": hashlib.sha256(content).hexdigest(),
            "hashAlgorithm": "SHA-256",
            "newestEventTime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
            "oldestEventTime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
        }

    def digest(self, end: datetime, files: list[dict[str, Any]], *, backfill: bool = False, **fields: object) -> str:
        """Write and sign a digest; `fields` replace some of it before it is signed."""
        suffix = "_backfill" if backfill else ""
        name = f"{self.account}_CloudTrail-Digest_{self.region}_{self.name}_{self.region}_{end:%Y%m%dT%H%M%SZ}{suffix}.json.gz"
        key = f"{self.start}AWSLogs/{self.account}/CloudTrail-Digest/{self.region}/{end:%Y/%m/%d}/{name}"
        before = self._before[backfill]
        value = {
            "awsAccountId": self.account,
            "digestStartTime": f"{end - _HOUR:%Y-%m-%dT%H:%M:%SZ}",
            "digestEndTime": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "digestS3Bucket": self.bucket,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": public(self.key)[0],
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": None,
            "oldestEventTime": None,
            "previousDigestS3Bucket": self.bucket if before else None,
            "previousDigestS3Object": before[0] if before else None,
            "previousDigestHashValue": before[1] if before else None,
            "previousDigestHashAlgorithm": "SHA-256" if before else None,
            "previousDigestSignature": before[2] if before else None,
            "logFiles": files,
            **fields,
        }
        content = json.dumps(value).encode()
        hashed = hashlib.sha256(content).hexdigest()
        previous = value["previousDigestSignature"] or "null"
        signed = f"{value['digestEndTime']}\n{value['digestS3Bucket']}/{value['digestS3Object']}\n{hashed}\n{previous}"
        signature = signer(self.key).sign(signed.encode(), PKCS1v15(), SHA256()).hex()
        metadata = {"signature": signature, "signature-algorithm": "SHA256withRSA"}
        if backfill:
            metadata["backfill-generation-timestamp"] = f"{end + 2 * _HOUR:%Y-%m-%dT%H:%M:%SZ}"
        self.aws.put(gzip.compress(content, mtime=0), key, self.bucket, Metadata=metadata)
        self._before[backfill] = key, hashed, signature
        return key

    def body(self, key: str) -> bytes:
        """What an object holds."""
        return self.aws.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def metadata(self, key: str) -> dict[str, str]:
        """The metadata of an object."""
        return self.aws.s3.head_object(Bucket=self.bucket, Key=key)["Metadata"]

    def remove(self, key: str) -> None:
        """Somebody deletes an object."""
        self.aws.s3.delete_object(Bucket=self.bucket, Key=key)

    def replace(self, key: str, body: bytes, **metadata: str) -> None:
        """Somebody writes other bytes in an object's place; its metadata stays but for what is given."""
        self.aws.put(body, key, self.bucket, Metadata={**self.metadata(key), **metadata})


def some(count: int, name: str) -> list[dict[str, Any]]:
    """Records with ids of their own."""
    return [record(f"{name}-{number}") for number in range(count)]


def a_trail(aws: Aws, hours: int = 4, **fields: Any) -> Trail:
    """A trail of some hours, of which each but the second has two log files of two records."""
    trail = Trail(aws, **fields)
    for hour in range(hours):
        names = (
            [] if hour == 1 else [f"{trail.account[-4:]}-{trail.region}-{hour}a", f"{trail.account[-4:]}-{trail.region}-{hour}b"]
        )
        trail.hour(*(some(2, name) for name in names))
    return trail


def _other_content(trail: Trail, key: str) -> bytes:
    value = json.loads(gzip.decompress(trail.body(key)))
    value["logFiles"] = value["logFiles"][1:]
    return gzip.compress(json.dumps(value).encode())


def _moved(trail: Trail) -> str:
    key = trail.digests[3]
    there = key.replace("T120000Z", "T123000Z")
    trail.aws.put(trail.body(key), there, Metadata=trail.metadata(key))
    trail.remove(key)
    return there


DAMAGES: dict[str, tuple[Callable[[Trail], Any], Callable[[Trail], str], str]] = {
    "log file changed": (lambda t: t.replace(t.files[2], gzip.compress(b'{"Records":[]}')), lambda t: t.files[2], "changed"),
    "log file no gzip": (lambda t: t.replace(t.files[2], b"nothing"), lambda t: t.files[2], "changed"),
    "log file cut off": (lambda t: t.replace(t.files[2], t.body(t.files[2])[:100]), lambda t: t.files[2], "changed"),
    "log file with something behind it": (
        lambda t: t.replace(t.files[2], t.body(t.files[2]) + gzip.compress(b"")),
        lambda t: t.files[2],
        "changed",
    ),
    "log file removed": (lambda t: t.remove(t.files[2]), lambda t: t.files[2], "gone"),
    "digest changed": (lambda t: t.replace(t.digests[2], _other_content(t, t.digests[2])), lambda t: t.digests[2], "signature"),
    "digest removed": (lambda t: t.remove(t.digests[2]), lambda t: t.digests[2], "missing"),
    "digest no gzip": (lambda t: t.replace(t.digests[2], b"nothing"), lambda t: t.digests[2], "malformed"),
    "digest no JSON": (lambda t: t.replace(t.digests[2], gzip.compress(b"[")), lambda t: t.digests[2], "malformed"),
    "digest without its fields": (lambda t: t.replace(t.digests[2], gzip.compress(b"{}")), lambda t: t.digests[2], "malformed"),
    "signature wrong": (
        lambda t: t.replace(t.digests[2], t.body(t.digests[2]), signature="00" * 256),
        lambda t: t.digests[2],
        "signature",
    ),
    "signature no number": (
        lambda t: t.replace(t.digests[2], t.body(t.digests[2]), signature="xyz"),
        lambda t: t.digests[2],
        "signature",
    ),
    "signature lost": (lambda t: t.aws.put(t.body(t.digests[2]), t.digests[2]), lambda t: t.digests[2], "unsigned"),
    "newest digest moved": (_moved, lambda t: t.digests[3].replace("T120000Z", "T123000Z"), "moved"),
    "oldest digest removed": (lambda t: t.remove(t.digests[0]), lambda t: t.digests[0], "missing"),
}
"""What is done to a trail of `a_trail`, the key that it shows by, and the state that this has."""


class CloudTrail:
    """Answers ListPublicKeys with the keys of numbers, and DescribeTrails with one trail; `asked` are the operations."""

    def __init__(self, *keys: int, bucket: str = TRAIL, name: str = "audit") -> None:
        """Not yet listening."""
        self.keys = list(keys or (0,))
        self.asked: list[str] = []
        self.arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{name}"
        self._trail = {
            "Name": name,
            "S3BucketName": bucket,
            "HomeRegion": REGION,
            "TrailARN": self.arn,
            "IsMultiRegionTrail": True,
        }
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                operation = (self.headers.get("X-Amz-Target") or "").rpartition(".")[2]
                stand_in.asked.append(operation)
                answer = json.dumps(stand_in.answer(operation)).encode()
                self.send_response_only(200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, operation: str) -> dict[str, Any]:
        """What the operation gives."""
        if operation == "DescribeTrails":
            return {"trailList": [self._trail]}
        listed = [(name, base64.b64encode(value).decode()) for name, value in map(public, self.keys)]
        return {"PublicKeyList": [{"Fingerprint": name, "Value": value} for name, value in listed]}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
