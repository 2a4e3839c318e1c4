"""What stands around a function that runs on sample events: a local S3 with the objects, a queue, and an engine in memory."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import boto3
from generate import CONFIG_BUCKET, config_objects

from audit_search import index_template
from audit_search.documents import TRAIL
from audit_search.opensearch import HttpEngine
from audit_search.settings import Settings
from demo import hits
from demo.engine import EmbeddedEngine
from demo.function import environment
from demo.inputs import samples
from demo.storage import CREDENTIALS, QUARANTINE_BUCKET, REGION, LocalS3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

EVENTS = Path(__file__).parent
FUNCTIONS: Final = {"": "CloudTrailFunction", "config": "ConfigFunction"}
"""The function that the payloads of a folder are for."""
_SHOWN: Final = {
    "": ("eventTime", "eventName", "ct.outcome"),
    "config": (
        "configurationItemCaptureTime",
        "resourceType",
        "resourceId",
        "configurationItemStatus",
        "cfg.changesFrom",
        "cfg.changeCount",
        "messageType",
        "outcome",
    ),
}
"""The fields of a document that the expected outcomes name; all others are in their digest."""


def function_of(payload: Path) -> str:
    """The function that a payload is for, by its folder."""
    return FUNCTIONS[_kind(payload)]


def _kind(payload: Path) -> str:
    folder = payload.resolve().parent
    return "" if folder == EVENTS.resolve() else folder.name


class Stage:
    """A local S3 that holds the sample objects, and an engine in memory with the index templates, while the `with` block lasts.

    `address` is where both listen. Raises DemoError.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            embedded = EmbeddedEngine(keep=False, address=self.address)
            starting.callback(embedded.stop)
            endpoint = embedded.start()
            storage = LocalS3(self.address)
            starting.callback(storage.stop)
            self._environment = environment({"OPENSEARCH_AUTH": "none"}, endpoint=endpoint, s3_endpoint=storage.endpoint)
            storage.prepare()
            for entry in samples():
                storage.put(entry)
            self._storage = storage
            self._endpoint = endpoint
            self._fill()
            families = (TRAIL, *index_template.CONFIG)
            engine = HttpEngine(Settings.from_env(self._environment))
            index_template.install(engine, "", *families, replicas=0, shards=1, simple=True)
            self._running = starting.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._running.close()

    def _fill(self) -> None:
        """The bucket of AWS Config with its objects, and the queue for what is CloudTrail's."""
        keys = (CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        session = boto3.Session(*keys, region_name=REGION)
        self._s3: S3Client = session.client("s3", endpoint_url=self._storage.endpoint)
        self._sqs: SQSClient = session.client("sqs", endpoint_url=self._storage.endpoint)
        if CONFIG_BUCKET not in {bucket["Name"] for bucket in self._s3.list_buckets()["Buckets"]}:
            self._s3.create_bucket(Bucket=CONFIG_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        for sample in config_objects():
            self._s3.put_object(Bucket=CONFIG_BUCKET, Key=sample.key, Body=sample.path.read_bytes())
        self._queue = self._sqs.create_queue(QueueName="example-cloudtrail")["QueueUrl"]

    def settings(self, function: str) -> dict[str, str]:
        """The environment of a function."""
        if function == FUNCTIONS[""]:
            return self._environment
        own = {"ALLOWED_BUCKETS": CONFIG_BUCKET, "TRAIL_QUEUE_URL": self._queue, "POWERTOOLS_SERVICE_NAME": "config"}
        return self._environment | own

    def clear(self) -> None:
        """Forget what was indexed, quarantined and handed on; the sample objects and the index templates stay."""
        for index in self._ask("GET", "/*/_settings?expand_wildcards=all"):
            self._ask("DELETE", f"/{index}")
        for entry in self._s3.list_objects_v2(Bucket=QUARANTINE_BUCKET).get("Contents", []):
            self._s3.delete_object(Bucket=QUARANTINE_BUCKET, Key=entry["Key"])
        self._handed_on()

    def outcome(self, payload: Path, answer: Any) -> dict[str, Any]:
        """What is there after an invocation: the answer, each document by its id, what lies in quarantine, and what was handed
        on to CloudTrail's queue."""
        kind = _kind(payload)
        found = sorted(self._hits(), key=lambda hit: str(hit["_id"]))
        digest = hashlib.sha256()
        for hit in found:
            digest.update(json.dumps([hit["_id"], _lasting(hit["_source"])], sort_keys=True).encode())
        return {
            "answer": {name: value for name, value in answer.items() if name not in ("requestId", "stackTrace")},
            "documents": {
                hit["_id"]: {
                    "_index": hit["_index"],
                    **{name: value for name in _SHOWN[kind] if (value := hits.field(hit["_source"], name)) is not None},
                }
                for hit in found
            },
            "documents_sha256": digest.hexdigest(),
            "quarantined": sorted(
                [{"key": entry.key, "position": entry.position, "type": entry.type} for entry in self._storage.quarantined()],
                key=lambda entry: (str(entry["key"]), entry["position"] or 0),
            ),
            **({"handed_on": self._handed_on()} if kind else {}),
        }

    def _handed_on(self) -> list[Any]:
        """What lies in CloudTrail's queue, which is empty afterwards."""
        bodies = []
        while taken := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", []):
            for message in taken:
                bodies.append(message["Body"])
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(body) for body in sorted(bodies)]

    def _hits(self) -> list[dict[str, Any]]:
        """Every document of a family that is searched; the timelines are for the function alone."""
        self._ask("POST", "/_refresh")
        body = {"query": {"match_all": {}}, "size": 10_000}
        found: list[dict[str, Any]] = []
        for family in (TRAIL, *index_template.CONFIG[:3]):
            found += self._ask("POST", f"/{family}/_search?ignore_unavailable=true", body).get("hits", {}).get("hits", [])
        return found

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        payload = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._endpoint}{path}", payload, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")


def _lasting(source: Mapping[str, Any]) -> dict[str, Any]:
    """A document without the time at which it was made."""
    ours = "ct" if "ct" in source else "cfg"
    return {**source, ours: {name: value for name, value in source[ours].items() if name != "ingestTime"}}
