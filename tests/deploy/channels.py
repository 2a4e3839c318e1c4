"""Delivery channels of AWS Config beside the stack or of the stack: topics, a bucket, and what is told to EventBridge."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from generate import CONFIG, SampleObject, config_objects
from story.config_payloads import delivery, item_message, oversized_message
from story.inventory import instance
from story.payloads import Stored
from story.resources import Version

from tests.deploy.stacks import Stack
from tests.support.ministack import ACCOUNT, REGION, Ministack

ELSEWHERE = "us-east-1"
"""Another region, in which a channel has a topic."""
SENDER = "111122223333"
"""An account that has a collector stack."""
ORGANISATION = "o-a1b2c3d4e5"
SOURCES = {"ConfigEventsRule": "here.config", "CollectedConfigRule": "collected.config", "ConfigRule": "collected.config"}
"""Which events each rule hears in these tests; `ConfigRule` is a collector's."""

Json = dict[str, Any]


def audible(template: Json) -> None:
    """A template whose rules hear events of a test: ministack lets nobody send as `aws.config`, and nor does AWS.

    Such an event holds the one that AWS Config would send, and that is what goes on. Everything else of the rule stays.
    """
    for rule, source in SOURCES.items():
        if rule in template["Resources"]:
            properties = template["Resources"][rule]["Properties"]
            properties["EventPattern"]["source"] = [source]
            for target in properties["Targets"]:
                if "RoleArn" not in target:  # what goes to another event bus goes as it is
                    target["InputPath"] = "$.detail"


@dataclass
class Channel:
    """Topics and a bucket of AWS Config, which may be another account's."""

    aws: Ministack
    bucket: str
    topics: list[str] = field(default_factory=list)
    account: str = "test"

    @classmethod
    def make(cls, aws: Ministack, bucket: str, *regions: str, account: str = "test") -> Channel:
        """A bucket and a topic in each region that somebody else has made, before any stack."""
        where = {"LocationConstraint": REGION}
        aws.client("s3", REGION, account).create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        topics = [aws.client("sns", region, account).create_topic(Name=bucket)["TopicArn"] for region in regions]
        return cls(aws, bucket, topics, account)

    def allow(self, stack: Stack) -> None:
        """Add what the stack's outputs ask the other account for, as `Trail.allow` does."""
        statements = json.loads(stack.outputs["ForeignConfigBucketPolicyStatement"])
        for statement in statements:
            assert statement["Principal"] == {"AWS": stack.outputs["ConfigFunctionRoleArn"]}
            statement["Principal"]["AWS"] = [statement["Principal"]["AWS"], f"arn:aws:iam::{ACCOUNT}:root"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements}).replace("BUCKET", self.bucket)
        self.aws.client("s3", REGION, self.account).put_bucket_policy(Bucket=self.bucket, Policy=policy)

    def subscribe(self, stack: Stack) -> None:
        """Subscribe the queue to the topics that ministack does not subscribe it to for a template, as `Trail.subscribe` does."""
        for topic in self.topics:
            region = topic.split(":")[3]
            if region == stack.region and self.account == "test":
                continue
            if self.account != "test":
                statement = json.loads(stack.outputs["ForeignConfigTopicPolicyStatement"].replace("TOPIC", topic))
                assert statement.pop("Condition") == {"StringEquals": {"sns:Endpoint": stack.outputs["ConfigQueueArn"]}}
                policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
                owner = self.aws.client("sns", region, self.account)
                owner.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
            self.aws.client("sns", region, ACCOUNT).subscribe(
                TopicArn=topic, Protocol="sqs", Endpoint=stack.outputs["ConfigQueueArn"]
            )

    def publish(self, message: Json | str, *topics: str) -> None:
        """A message on topics, on all of the channel's unless some are named."""
        text = message if isinstance(message, str) else json.dumps(message)
        for topic in topics or self.topics:
            self.aws.client("sns", topic.split(":")[3], self.account).publish(TopicArn=topic, Message=text)

    def put(self, sample: SampleObject) -> Stored:
        """Put a sample object into the bucket."""
        body = sample.path.read_bytes()
        client = self.aws.client("s3", REGION, self.account)
        etag = client.put_object(Bucket=self.bucket, Key=sample.key, Body=body)["ETag"]
        return Stored(self.bucket, sample.key, len(body), etag)


def event(message: Json) -> Json:
    """A message as AWS Config tells it to EventBridge."""
    sample: Json = json.loads((CONFIG / "config_item_eventbridge.json").read_text("utf-8"))
    return {**sample, "detail": message}


def tell(stack: Stack, rule: str, message: Json, bus: str = "default") -> None:
    """Send a message so that a rule on an event bus hears it, see `audible`."""
    whole = event(message)
    entry = {"Source": SOURCES[rule], "DetailType": whole["detail-type"], "Detail": json.dumps(whole), "EventBusName": bus}
    answer = stack.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer


def sample(part: str) -> SampleObject:
    """The first sample object whose key holds a text."""
    return next(one for one in config_objects() if part in one.key)


def history_of(stored: Stored) -> Json:
    """The message that a history was delivered."""
    return delivery("ConfigurationHistoryDeliveryCompleted", "2026-11-04T12:00:05.217Z", stored)


def large_item(stored: Stored) -> Json:
    """The message that an item was too large to be sent, and was delivered to this object."""
    kind, identity = stored.key.split("/")[-3:-1]
    item: Json = {"resourceType": kind, "resourceId": identity, "awsAccountId": SENDER, "awsRegion": REGION}
    return oversized_message(Version(item, None), stored)


def change(identity: str, **fields: Any) -> Json:
    """The message of an instance's discovery; `fields` of its item replace those of the sample."""
    version = instance().versions[0]
    return item_message(Version({**version.item, "resourceId": identity, **fields}, version.diff))


def found(stack: Stack, family: str, query: str = "*:*") -> list[Json]:
    """The documents of a family, the oldest first."""
    path = f"{stack.prefix}{family}*/_search?size=1000&sort=@timestamp:asc&q={quote(query)}"
    try:
        with urllib.request.urlopen(f"{stack.engine}/{path}", timeout=60) as answer:
            return [hit["_source"] for hit in json.load(answer)["hits"]["hits"]]
    except urllib.error.HTTPError as error:
        if error.code != 404:  # no index yet
            raise
        return []


def of_config(channel: Channel, **more: str) -> dict[str, str]:
    """Parameters of a stack for a channel that there is."""
    return {"ConfigTopicArns": ",".join(channel.topics), "ConfigBucketNames": channel.bucket, **more}
