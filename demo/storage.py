"""A local S3 (moto's server, in this process), and notifications as S3 sends them."""

from __future__ import annotations

import gzip
import json
import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from moto.server import ThreadedMotoServer

from demo.inputs import InputObject
from demo.options import DemoError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

REGION: Final = "eu-central-1"
BUCKET = "example-trail-bucket"
QUARANTINE_BUCKET = "example-quarantine-bucket"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}


@dataclass(frozen=True, slots=True)
class Put:
    """An object as S3 describes it after it was put."""

    key: str
    size: int
    etag: str
    bucket: str = BUCKET


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One line of a quarantine file; `position` is None for a whole object."""

    file: str
    key: str
    position: int | None
    type: str
    reason: str
    raw: str


class LocalS3:
    """moto's server on a free port of an address of this machine. Its clients and buckets are there after `prepare`."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
        self._server = ThreadedMotoServer(address, 0, verbose=False)
        self._server.start()
        self.endpoint = "http://{}:{}".format(*self._server.get_host_and_port())

    def prepare(self) -> None:
        """Make the clients and the two buckets. To be called in the function's environment: an AWS profile of the reader's
        would be looked for even though it is not used. Raises DemoError.
        """
        try:
            self._connect()
        except BotoCoreError as error:
            raise DemoError(f"boto3 does not take the AWS settings of the environment: {error}.", "Check AWS_PROFILE.") from error

    def _connect(self) -> None:
        self._session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
        self._s3: S3Client = self._session.client(
            "s3", endpoint_url=self.endpoint, config=Config(retries={"mode": "standard", "total_max_attempts": 2})
        )
        for bucket in (BUCKET, QUARANTINE_BUCKET):
            self._s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def stop(self) -> None:
        self._server.stop()

    def put(self, entry: InputObject) -> Put:
        """Put a file into the bucket. Raises DemoError when it cannot be read."""
        try:
            body = entry.path.read_bytes()
        except OSError as error:
            raise DemoError(f"{entry.path} cannot be read: {error.strerror}.", "Check FILES.") from error
        return self.put_body(BUCKET, entry.key, body)

    def put_body(self, bucket: str, key: str, body: bytes) -> Put:
        """Put bytes into a bucket."""
        answer = self._s3.put_object(Bucket=bucket, Key=key, Body=body)
        return Put(key, len(body), answer["ETag"].strip('"'), bucket)

    def ensure_bucket(self, bucket: str) -> None:
        """Make another bucket, where it is not there yet."""
        if bucket in {one["Name"] for one in self._s3.list_buckets()["Buckets"]}:
            return
        self._s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def make_queue(self, name: str) -> str:
        """Make a queue and give its URL."""
        self._sqs: SQSClient = self._session.client("sqs", endpoint_url=self.endpoint)
        return self._sqs.create_queue(QueueName=name)["QueueUrl"]

    def received(self, url: str) -> Iterator[str]:
        """The bodies of the messages in a queue, which is empty afterwards."""
        while taken := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in taken:
                yield message["Body"]
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def keep_secret(self, secret: str) -> str:
        """Store a password in moto's Secrets Manager, where the function looks for it, and give its ARN."""
        client: SecretsManagerClient = self._session.client("secretsmanager", endpoint_url=self.endpoint)
        return client.create_secret(Name="audit-search-demo/engine-password", SecretString=secret)["ARN"]

    def quarantined(self) -> Iterator[Quarantined]:
        """What lies in quarantine, file by file."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=QUARANTINE_BUCKET):
            for entry in page.get("Contents", []):
                body = self._s3.get_object(Bucket=QUARANTINE_BUCKET, Key=entry["Key"])["Body"].read()
                for line in gzip.decompress(body).splitlines():
                    yield _quarantined(entry["Key"], json.loads(line))


def _quarantined(file: str, line: dict[str, Any]) -> Quarantined:
    error = line["error"]
    raw = line.get("raw") or line.get("rawBase64") or ""
    name = line["key"] if "key" in line else f"message {line['messageId']}"
    return Quarantined(file, name, line["position"], error["type"], error["reason"], raw)


def notification(objects: Sequence[Put]) -> dict[str, Any]:
    """The object-created notification of S3 for these objects; keys are form-encoded, as S3 does it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return {"Records": [_record(entry) for entry in objects]}


def _record(entry: Put) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AROAEXAMPLEDELIVERY01:regionalDeliverySession"},
        "requestParameters": {"sourceIPAddress": "192.0.2.131"},
        "responseElements": {"x-amz-request-id": secrets.token_hex(8).upper(), "x-amz-id-2": secrets.token_urlsafe(48)},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "cloudtrail-objects",
            "bucket": {
                "name": entry.bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{entry.bucket}",
            },
            "object": {
                "key": quote_plus(entry.key, safe="/"),
                "size": entry.size,
                "eTag": entry.etag,
                "sequencer": secrets.token_hex(9).upper(),
            },
        },
    }
