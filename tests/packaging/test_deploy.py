"""`sam deploy` of the built template into a stand-in for AWS, and objects that become documents there.

IAM is enforced and everything speaks TLS: what the role, the queue's policy or the buckets' policies forget shows here.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from osmem_server import OsmemServer

from audit_search import index_template
from audit_search.opensearch import HttpEngine
from audit_search.settings import Settings
from tests.support.building import ARCHITECTURE, ROOT, load_template, tool, write_template
from tests.support.ministack import ACCOUNT, REGION, Ministack

NOTIFYING, ANNOUNCED = "trail-that-notifies", "trail-with-topic"
KEY = f"our logs+more/AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/03/{ACCOUNT}_CloudTrail_{REGION}_20261103T0815Z_%s.json.gz"
"""With the characters that S3 encodes in its notifications."""


@dataclass(frozen=True)
class Stack:
    """The deployed stack, and what stands around it."""

    aws: Ministack
    engine: str
    outputs: dict[str, str]

    def documents(self, event_name: str) -> list[dict[str, Any]]:
        """The documents of one kind of event."""
        url = f"{self.engine}/cloudtrail/_search?q=eventName:{event_name}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                hits: list[dict[str, Any]] = json.load(answer)["hits"]["hits"]
                return hits
        except urllib.error.HTTPError as error:
            if error.code != 404:  # no index yet
                raise
            return []

    def waiting(self, queue: str) -> int:
        """Messages in a queue, those that are being worked on included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        answer = self.aws.client("sqs").get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(value) for value in answer["Attributes"].values())

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Return when the condition holds; a limit far above any machine's speed ends a test that would never end."""
        deadline = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < deadline, f"{what}: it did not come to that\n{self.aws.log()}"
            time.sleep(0.1)


def records(event_name: str, count: int) -> bytes:
    """An object as CloudTrail delivers it, with `count` events of one name."""
    events = [
        {
            "eventVersion": "1.11",
            "userIdentity": {"type": "AWSService", "invokedBy": "test.amazonaws.com"},
            "eventTime": "2026-11-03T08:14:22Z",
            "eventSource": "test.amazonaws.com",
            "eventName": event_name,
            "awsRegion": REGION,
            "eventID": f"{event_name}-{number}",
            "eventType": "AwsApiCall",
            "recipientAccountId": ACCOUNT,
        }
        for number in range(count)
    ]
    return gzip.compress(json.dumps({"Records": events}).encode())


def deployable(build: Path, folder: Path) -> Path:
    """The built template with one change: ministack does not take a parameter for the concurrency, which is a text to it."""
    template = load_template(build / "template.yaml")
    for resource in template["Resources"].values():
        for location in {"CodeUri", "ContentUri"} & set(resource["Properties"]):
            resource["Properties"][location] = str(build / resource["Properties"][location])
    queue = template["Resources"]["CloudTrailFunction"]["Properties"]["Events"]["Queue"]["Properties"]
    queue["ScalingConfig"]["MaximumConcurrency"] = 2
    path = folder / "template.yaml"
    write_template(template, path)
    return path


@pytest.fixture(scope="module")
def stack(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The template, deployed, with its index template in an engine and two trails: one bucket notifies, one has a topic."""
    folder = tmp_path_factory.mktemp("deploy")
    with OsmemServer.start() as engine, Ministack(folder) as aws:
        s3 = aws.client("s3")
        for bucket in (NOTIFYING, ANNOUNCED):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        topic = aws.client("sns").create_topic(Name="trail")["TopicArn"]
        parameters = {
            "TrailBucketNames": f"{NOTIFYING},{ANNOUNCED}",
            "TrailTopicArn": topic,
            "OpenSearchEndpoint": engine.url,
            "AuthMode": "none",
            "Architecture": ARCHITECTURE,
        }
        result = subprocess.run(
            [str(tool("sam", "sam")), "deploy", "--config-file", str(ROOT / "samconfig.toml")]
            + ["--template-file", str(deployable(build, folder)), "--parameter-overrides"]
            + [f"{name}={value}" for name, value in parameters.items()],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "SAM_CLI_TELEMETRY": "0", **aws.environment},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr + aws.log()
        described = aws.client("cloudformation").describe_stacks(StackName="audit-search")["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        settings = Settings.from_env(
            {
                "OPENSEARCH_ENDPOINT": engine.url,
                "OPENSEARCH_AUTH": "none",
                "ALLOWED_BUCKETS": NOTIFYING,
                "QUARANTINE_BUCKET": "any",
            }
        )
        index_template.install(HttpEngine(settings), "", simple=True)
        s3.put_bucket_notification_configuration(
            Bucket=NOTIFYING,
            NotificationConfiguration={
                "QueueConfigurations": [{"QueueArn": outputs["CloudTrailQueueArn"], "Events": ["s3:ObjectCreated:*"]}]
            },
        )
        yield Stack(aws, engine.url, outputs)


def put(stack: Stack, bucket: str, name: str, body: bytes) -> str:
    key = KEY % name
    stack.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return key


def test_an_object_that_s3_announces_becomes_documents(stack: Stack) -> None:
    """Bucket, notification, queue, function, engine: each record of the object is a document, and no message is left."""
    key = put(stack, NOTIFYING, "notified", records("NotifiedByS3", 3))
    stack.wait_for(lambda: len(stack.documents("NotifiedByS3")) == 3, "three documents of the object")
    assert {hit["_index"] for hit in stack.documents("NotifiedByS3")} == {"cloudtrail-2026.11"}
    assert {hit["_source"]["ct"]["key"] for hit in stack.documents("NotifiedByS3")} == {key}
    stack.wait_for(lambda: stack.waiting("CloudTrailQueueUrl") == 0, "an empty queue")


def test_an_object_that_the_topic_announces_becomes_documents(stack: Stack) -> None:
    """CloudTrail's own message on the trail's topic reaches the queue by the subscription."""
    key = put(stack, ANNOUNCED, "announced", records("AnnouncedByTopic", 2))
    topic = stack.aws.client("sns").create_topic(Name="trail")["TopicArn"]
    stack.aws.client("sns").publish(TopicArn=topic, Message=json.dumps({"s3Bucket": ANNOUNCED, "s3ObjectKey": [key]}))
    stack.wait_for(lambda: len(stack.documents("AnnouncedByTopic")) == 2, "two documents of the object")


def test_an_invocation_without_a_queue_is_answered_with_a_summary(stack: Stack) -> None:
    """Invoked directly with CloudTrail's message, the alias indexes the object and says what it did."""
    key = put(stack, ANNOUNCED, "direct", records("InvokedDirectly", 2))
    answer = stack.aws.client("lambda").invoke(
        FunctionName=stack.outputs["CloudTrailFunctionArn"], Payload=json.dumps({"s3Bucket": ANNOUNCED, "s3ObjectKey": [key]})
    )
    summary = json.load(answer["Payload"])
    assert "FunctionError" not in answer, summary
    assert (summary["read"], summary["indexed"], summary["failed_objects"]) == (2, 2, 0)


def test_what_can_never_be_indexed_is_kept_in_quarantine(stack: Stack) -> None:
    """An object that is not gzip leaves a pointer in the stack's own bucket, and its message does not come again."""
    put(stack, NOTIFYING, "broken", b"this is not gzip")
    bucket, prefix = stack.outputs["QuarantineLocation"].removeprefix("s3://").split("/", 1)
    s3 = stack.aws.client("s3")
    stack.wait_for(lambda: s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"] == 1, "a file in quarantine")
    stack.wait_for(lambda: stack.waiting("CloudTrailQueueUrl") == 0, "an empty queue")


def test_the_dead_letter_queue_stays_empty(stack: Stack) -> None:
    """Of all that was sent to this stack nothing was given up."""
    put(stack, NOTIFYING, "last", records("Last", 1))
    stack.wait_for(lambda: stack.documents("Last"), "the last document")
    stack.wait_for(lambda: stack.waiting("CloudTrailQueueUrl") == 0, "an empty queue")
    assert stack.waiting("CloudTrailDeadLetterQueueUrl") == 0
