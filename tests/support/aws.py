"""AWS for tests of the function: moto's server as S3, SQS and Secrets Manager, the objects and the events that name them."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote_plus, unquote, urlsplit

import boto3
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

REGION: Literal["eu-central-1"] = "eu-central-1"
ACCOUNT = "123456789012"
TRAIL = "trail-bucket"
QUARANTINE = "quarantine-bucket"
CONFIG = "config-bucket"
KEY = "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/111122223333_CloudTrail_eu-central-1_20261103T0820Z_{}.json.gz"

ENVIRONMENT: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What every AWS client finds in its environment: the access key of AWS's own documentation."""


@dataclass
class Context:
    """A Lambda context; `remaining` is what is left of the invocation, in milliseconds."""

    remaining: int = 300_000
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"
    function_name: str = "audit-search-cloudtrail"

    def get_remaining_time_in_millis(self) -> int:
        """As Lambda's context."""
        return self.remaining


@dataclass
class Queue:
    """An SQS queue in the stand-in."""

    url: str
    arn: str


class Aws:
    """moto's server; `clear` forgets everything, and makes buckets for trails, for AWS Config and for quarantine."""

    def __init__(self) -> None:
        """Not yet running."""
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.endpoint = ""

    def __enter__(self) -> Self:
        # moto signs nothing and checks nothing, but its own clients look for credentials.
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        session = boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
        self.s3: S3Client = session.client("s3", endpoint_url=self.endpoint)
        self.sns: Any = session.client("sns", endpoint_url=self.endpoint)
        self.sqs: SQSClient = session.client("sqs", endpoint_url=self.endpoint)
        self.secrets: SecretsManagerClient = session.client("secretsmanager", endpoint_url=self.endpoint)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to take this for AWS."""
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.endpoint}

    def clear(self) -> None:
        """Forget everything, and make the buckets."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")) as answer:
            answer.read()
        for name in (TRAIL, QUARANTINE, CONFIG):
            self.bucket(name)

    def bucket(self, name: str) -> str:
        """Make a bucket."""
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def put(self, body: bytes, key: str = "", bucket: str = TRAIL, **extra: Any) -> Stored:
        """Put an object; without a key it gets one as CloudTrail makes them."""
        key = key or KEY.format(uuid.uuid4().hex[:16])
        self.s3.put_object(Bucket=bucket, Key=key, Body=body, **extra)
        return Stored(bucket, key, len(body))

    def put_records(self, records: Iterable[object], key: str = "", bucket: str = TRAIL) -> Stored:
        """Put an object of some records, see `trail_object`."""
        return self.put(trail_object(records), key, bucket)

    def quarantined(self, bucket: str = QUARANTINE) -> list[dict[str, Any]]:
        """Every line of every quarantine file, in the order of the files' names."""
        return [
            json.loads(line)
            for key in self.keys(bucket)
            for line in gzip.decompress(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()).splitlines()
        ]

    def keys(self, bucket: str = QUARANTINE) -> list[str]:
        """The keys in a bucket."""
        return sorted(item["Key"] for item in self.s3.list_objects_v2(Bucket=bucket).get("Contents", []))

    def queue(self, visibility: int = 1_800) -> Queue:
        """Make a queue."""
        url = self.sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex}", Attributes={"VisibilityTimeout": str(visibility)})[
            "QueueUrl"
        ]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return Queue(url, arn)

    def topic(self, *queues: Queue, name: str = "alerts") -> str:
        """Make a topic that queues subscribe to; its ARN, which is the same for the same name."""
        arn: str = self.sns.create_topic(Name=name)["TopicArn"]
        for queue in queues:
            self.sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
        return arn

    def receive(self, queue: Queue, bodies: Sequence[object]) -> dict[str, Any]:
        """Send messages through a queue and give the event that Lambda makes of them."""
        for body in bodies:
            self.sqs.send_message(QueueUrl=queue.url, MessageBody=body if isinstance(body, str) else json.dumps(body))
        return self.poll(queue, len(bodies))

    def poll(self, queue: Queue, count: int) -> dict[str, Any]:
        """The event that Lambda makes of the next `count` messages of a queue."""
        records: list[dict[str, Any]] = []
        while len(records) < count:
            answer = self.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, AttributeNames=["All"])
            records += [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                    "eventSource": "aws:sqs",
                    "eventSourceARN": queue.arn,
                    "awsRegion": REGION,
                }
                for message in answer["Messages"]
            ]
        return {"Records": records}


class Front:
    """Stands before the stand-in and answers for it where S3 would refuse: `refusals` are (status, code, text) by key.

    `before` is called with each request's method and key, and may wait.
    """

    def __init__(self, upstream: str) -> None:
        """Listen at `endpoint` until `close`."""
        self.refusals: dict[str, tuple[int, str, str]] = {}
        self.before: Callable[[str, str], None] = lambda method, key: None
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = unquote(urlsplit(self.path).path).split("/", 2)[-1]
                front.before(self.command, key)
                if self.command == "GET" and key in front.refusals:
                    status, code, text = front.refusals[key]
                    answer = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
                    return self.give(status, {"Content-Type": "application/xml"}, answer)
                host = urlsplit(upstream)
                connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=60)
                connection.request(self.command, self.path, body or None, dict(self.headers.items()))
                response = connection.getresponse()
                headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP}
                return self.give(response.status, headers, response.read())

            def give(self, status: int, headers: dict[str, str], answer: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
                pass

            do_GET = do_PUT = do_POST = do_HEAD = pass_on  # noqa: N815  # the names http.server looks for

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Stored:
    """An object that was put."""

    bucket: str
    key: str
    size: int | None = None
    version: str | None = field(default=None, kw_only=True)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def trail_object(records: Iterable[object]) -> bytes:
    """A gzip object as CloudTrail writes it; a record is its text (bytes), or fields that become JSON."""
    texts = (record if isinstance(record, bytes) else text_of(record) for record in records)
    return gzip.compress(b'{"Records":[' + b",".join(texts) + b"]}", 1, mtime=0)


def text_of(record: object) -> bytes:
    """A record's text as CloudTrail writes it: no spaces."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def record(event_id: str, **fields: object) -> dict[str, Any]:
    """A usual record; `fields` replace or add."""
    usual: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLEALICE00000",
            "arn": "arn:aws:iam::111122223333:user/alice",
            "accountId": "111122223333",
            "accessKeyId": "AKIAEXAMPLEALICE0000",
            "userName": "alice",
        },
        "eventTime": "2026-11-03T08:14:22Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "198.51.100.17",
        "userAgent": "aws-cli/2.31.0",
        "requestParameters": {"Host": "s3.eu-central-1.amazonaws.com"},
        "responseElements": None,
        "requestID": "REQUEST0000000001",
        "eventID": event_id,
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
    }
    return {**usual, **fields}


def records(count: int, prefix: str = "") -> list[dict[str, Any]]:
    """Usual records with the ids `<prefix>0`, `<prefix>1`, …"""
    return [record(f"{prefix}{number}") for number in range(count)]


def s3_event(*objects: Stored) -> dict[str, Any]:
    """The notification that S3 sends."""
    return {"Records": [_created(stored) for stored in objects]}


def _created(stored: Stored) -> dict[str, Any]:
    thing: dict[str, Any] = {"key": quote_plus(stored.key, safe="/"), "eTag": "0" * 32, "sequencer": "0" * 18}
    if stored.size is not None:
        thing["size"] = stored.size
    if stored.version is not None:
        thing["versionId"] = stored.version
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-11-03T08:20:31.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": stored.bucket, "arn": f"arn:aws:s3:::{stored.bucket}"},
            "object": thing,
        },
    }


def sqs_event(*bodies: object) -> dict[str, Any]:
    """A batch of messages `m0`, `m1`, … of a queue that does not exist: what Lambda hands over."""
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"receipt-{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:none",
                "awsRegion": REGION,
            }
            for number, body in enumerate(bodies)
        ]
    }


def failures(answer: Mapping[str, Any]) -> list[str]:
    """The messages that an answer gives back to the queue."""
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]
