"""Whole AWS payloads: what the function receives, for each way in which an object is announced.

Shapes as documented in "Event message structure" (Amazon S3), "Using Lambda with Amazon SQS" and "... with Amazon SNS",
"Object Created" (Amazon EventBridge) and "Configuring Amazon SNS notifications for CloudTrail".
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus

from .actors import MANAGEMENT, PRODUCTION, Json
from .seeded import BASE36_UPPER, BASE64_URL, HEX, Seeded, example_id

REGION = "eu-central-1"
BUCKET_OWNER = "A3NL1KOZZKExample"
TOPIC = f"arn:aws:sns:{REGION}:{PRODUCTION}:cloudtrail-objects"
CONFIG_TOPIC = f"arn:aws:sns:{REGION}:{PRODUCTION}:config-topic"
QUEUE = f"arn:aws:sqs:{REGION}:{PRODUCTION}:audit-search-cloudtrail"
VALIDATION = "CloudTrail validation message."
MOMENT = datetime(2026, 11, 20, 9, 1, 30, 512000, tzinfo=UTC)


@dataclass(frozen=True)
class Stored:
    """An object as S3 describes it: its bucket, key, size in bytes and ETag."""

    bucket: str
    key: str
    size: int
    etag: str
    version: str | None = None


def _iso(seconds: int) -> str:
    return (MOMENT + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Sender:
    """Wraps messages as S3, SNS, SQS and EventBridge do; each payload has its own, so its ids are its own."""

    def __init__(self, case: str, topic: str = TOPIC, queue: str = QUEUE) -> None:
        self._seeded = Seeded(f"payload/{case}")
        self._topic = topic
        self._queue = queue
        self._sent = 0

    def _next(self) -> int:
        self._sent += 1
        return self._sent

    def s3_record(self, stored: Stored, event_name: str = "ObjectCreated:Put") -> Json:
        """One record of an S3 notification. Its key is form-encoded, unlike the keys of all other messages."""
        removed = event_name.startswith(("ObjectRemoved", "Lifecycle"))
        described: Json = {"key": quote_plus(stored.key, safe="/")}
        if not removed:
            described |= {"size": stored.size, "eTag": stored.etag}
        if stored.version:
            described["versionId"] = stored.version
        return {
            "eventVersion": "2.3" if event_name.startswith("Lifecycle") else "2.1",
            "eventSource": "aws:s3",
            "awsRegion": REGION,
            "eventTime": _iso(self._next()),
            "eventName": event_name,
            "userIdentity": {"principalId": f"AWS:{example_id('AROA', 'delivery')}:regionalDeliverySession"},
            "requestParameters": {"sourceIPAddress": "192.0.2.131"},
            "responseElements": {
                "x-amz-request-id": self._seeded.text(BASE36_UPPER, 16),
                "x-amz-id-2": self._seeded.text(BASE64_URL, 64),
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "cloudtrail-objects",
                "bucket": {
                    "name": stored.bucket,
                    "ownerIdentity": {"principalId": BUCKET_OWNER},
                    "arn": f"arn:aws:s3:::{stored.bucket}",
                },
                "object": {**described, "sequencer": self._seeded.text(HEX.upper(), 18)},
            },
        }

    def s3_event(self, *stored: Stored, event_name: str = "ObjectCreated:Put") -> Json:
        return {"Records": [self.s3_record(one, event_name) for one in stored]}

    def s3_test_event(self, bucket: str) -> Json:
        """What S3 sends when a notification is configured."""
        return {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _iso(self._next()),
            "Bucket": bucket,
            "RequestId": self._seeded.text(BASE36_UPPER, 16),
            "HostId": self._seeded.text(BASE64_URL, 64),
        }

    def eventbridge(self, stored: Stored, detail_type: str = "Object Created") -> Json:
        """An S3 event on EventBridge. Its key is not encoded."""
        described: Json = {"key": stored.key}
        if detail_type == "Object Created":
            described |= {"size": stored.size}
        described["etag"] = stored.etag
        if stored.version:
            described["version-id"] = stored.version
        created = detail_type == "Object Created"
        reason = {"reason": "PutObject"} if created else {"reason": "DeleteObject", "deletion-type": "Permanently Deleted"}
        return {
            "version": "0",
            "id": self._seeded.guid(),
            "detail-type": detail_type,
            "source": "aws.s3",
            "account": PRODUCTION,
            "time": _iso(self._next())[:19] + "Z",
            "region": REGION,
            "resources": [f"arn:aws:s3:::{stored.bucket}"],
            "detail": {
                "version": "0",
                "bucket": {"name": stored.bucket},
                "object": {**described, "sequencer": self._seeded.text(HEX.upper(), 18)},
                "request-id": self._seeded.text(BASE36_UPPER, 16),
                "requester": "cloudtrail.amazonaws.com",
                "source-ip-address": "192.0.2.131",
                **reason,
            },
        }

    def eventbridge_config(self, detail_type: str, message: Json) -> Json:
        """An event of AWS Config on EventBridge: the message of the topic is its detail."""
        return {
            "version": "0",
            "id": self._seeded.guid(),
            "detail-type": detail_type,
            "source": "aws.config",
            "account": PRODUCTION,
            "time": _iso(self._next())[:19] + "Z",
            "region": REGION,
            "resources": [],
            "detail": message,
        }

    def _sns(self, message: str, subject: str | None, topic: str) -> Json:
        return {
            "Type": "Notification",
            "MessageId": self._seeded.guid(),
            "TopicArn": topic,
            "Subject": subject,
            "Message": message,
            "Timestamp": _iso(self._next()),
            "SignatureVersion": "1",
            "Signature": base64.b64encode(self._seeded.text(BASE64_URL, 192).encode()).decode(),
        }

    def sns_event(self, *messages: str, subject: str | None = None, topic: str | None = None) -> Json:
        """Messages of a topic that invokes the function itself. Lambda spells `SigningCertUrl` its own way."""
        topic = topic or self._topic
        return {
            "Records": [
                {
                    "EventSource": "aws:sns",
                    "EventVersion": "1.0",
                    "EventSubscriptionArn": f"{topic}:21be56ed-a058-49f5-8c98-aedd2564c486",
                    "Sns": {
                        **self._sns(message, subject, topic),
                        "SigningCertUrl": f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-0a1b2c3d.pem",
                        "UnsubscribeUrl": _unsubscribe(topic),
                        "MessageAttributes": {},
                    },
                }
                for message in messages
            ]
        }

    def sns_body(self, message: str, subject: str | None = None, topic: str | None = None) -> str:
        """The SNS envelope as text, as it arrives in a queue without raw message delivery."""
        topic = topic or self._topic
        envelope = {
            **self._sns(message, subject, topic),
            "SigningCertURL": f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-0a1b2c3d.pem",
            "UnsubscribeURL": _unsubscribe(topic),
        }
        if topic != self._topic:
            envelope["MessageAttributes"] = {"account": {"Type": "String", "Value": MANAGEMENT}}
        return text({name: value for name, value in envelope.items() if name != "Subject" or value is not None})

    def sqs_event(self, *bodies: str, attributes: Json | None = None) -> Json:
        """Messages of the queue; `attributes` are the message attributes, as raw message delivery passes them on."""
        records: list[Json] = []
        for body in bodies:
            sent = int((MOMENT + timedelta(seconds=self._next())).timestamp() * 1000)
            records.append(
                {
                    "messageId": self._seeded.guid(),
                    "receiptHandle": "AQEB" + self._seeded.text(BASE64_URL, 128) + "==",
                    "body": body,
                    "attributes": {
                        "ApproximateReceiveCount": "1",
                        "SentTimestamp": str(sent),
                        "SenderId": example_id("AIDA", "sender"),
                        "ApproximateFirstReceiveTimestamp": str(sent + 7),
                    },
                    "messageAttributes": attributes or {},
                    "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                    "eventSource": "aws:sqs",
                    "eventSourceARN": self._queue,
                    "awsRegion": REGION,
                }
            )
        return {"Records": records}


def _unsubscribe(topic: str) -> str:
    subscription = f"{topic}:21be56ed-a058-49f5-8c98-aedd2564c486"
    return f"https://sns.{REGION}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription}"


def text(message: Json) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def cloudtrail_message(bucket: str, *keys: str) -> str:
    """What CloudTrail publishes to the topic of a trail. Its keys are not encoded."""
    return text({"s3Bucket": bucket, "s3ObjectKey": list(keys)})


def replay_message(*stored: Stored) -> str:
    """What `audit-search backfill --to-queue` sends: objects of a bucket that are to be indexed again."""
    objects = [{"key": one.key, "size": one.size} for one in stored]
    return text({"auditSearch": {"ingestMode": "replay", "bucket": stored[0].bucket, "objects": objects}})


def config_item_message() -> str:
    """AWS Config's stream message of one changed item: it names no object to read."""
    instance = f"arn:aws:ec2:{REGION}:{PRODUCTION}:security-group/sg-0f1e2d3c4b5a69788"
    item = {
        "relatedEvents": [],
        "relationships": [
            {"resourceId": "vpc-0a9b8c7d6e5f40312", "resourceType": "AWS::EC2::VPC", "name": "Is contained in Vpc"}
        ],
        "configuration": {"groupName": "web", "ipPermissions": [{"fromPort": 22, "toPort": 22, "ipProtocol": "tcp"}]},
        "supplementaryConfiguration": {},
        "tags": {"Name": "web"},
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": "2026-11-05T14:00:12.345Z",
        "configurationStateId": 1793887212345,
        "awsAccountId": PRODUCTION,
        "configurationItemStatus": "OK",
        "resourceType": "AWS::EC2::SecurityGroup",
        "resourceId": "sg-0f1e2d3c4b5a69788",
        "resourceName": "web",
        "ARN": instance,
        "awsRegion": REGION,
        "availabilityZone": "Not Applicable",
        "configurationStateMd5Hash": "",
        "resourceCreationTime": None,
    }
    return text(
        {
            "configurationItemDiff": {"changedProperties": {}, "changeType": "UPDATE"},
            "configurationItem": item,
            "notificationCreationTime": "2026-11-05T14:00:13.001Z",
            "messageType": "ConfigurationItemChangeNotification",
            "recordVersion": "1.3",
        }
    )


def config_history_message(bucket: str) -> str:
    """AWS Config's message of a delivered history object: CloudTrail's field names, one key that is not in a list."""
    name = f"{PRODUCTION}_Config_{REGION}_ConfigHistory_AWS::EC2::Instance_20261105T140000Z_20261105T150000Z_1.json.gz"
    return text(
        {
            "s3ObjectKey": f"AWSLogs/{PRODUCTION}/Config/{REGION}/2026/11/5/ConfigHistory/{name}",
            "s3Bucket": bucket,
            "notificationCreationTime": "2026-11-05T15:00:02.218Z",
            "messageType": "ConfigurationHistoryDeliveryCompleted",
            "recordVersion": "1.1",
        }
    )


def http_request() -> Json:
    """Something else that a function may be invoked with by mistake: a function URL's request."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {"host": "example.lambda-url.eu-central-1.on.aws", "user-agent": "curl/8.16.0"},
        "requestContext": {
            "accountId": "anonymous",
            "http": {"method": "GET", "path": "/"},
            "timeEpoch": 1795165290512,
        },
        "isBase64Encoded": False,
    }


@dataclass(frozen=True)
class Cast:
    """The sample objects that the payloads name."""

    first: Stored
    second: Stored
    third: Stored
    odd: Stored
    digest: Stored
    organisation: Sequence[Stored]
    control_tower: Stored


def all_payloads(cast: Cast) -> dict[str, Json]:
    """Every payload by its name, which is the name of its file."""
    bucket = cast.first.bucket
    made: dict[str, Json] = {}

    def sender(case: str) -> Sender:
        return Sender(case)

    def s3(case: str, *stored: Stored) -> str:
        return text(sender(case).s3_event(*stored))

    # S3 notifications
    case = "s3_notification"
    made[case] = sender(case).s3_event(cast.first)
    case = "s3_in_sqs"
    made[case] = sender(case).sqs_event(s3(case, cast.first), s3(case + "/2", cast.second))
    case = "s3_in_sns"
    made[case] = sender(case).sns_event(s3(case, cast.first), subject="Amazon S3 Notification")
    case = "s3_in_sns_in_sqs"
    made[case] = sender(case).sqs_event(sender(case).sns_body(s3(case, cast.first), "Amazon S3 Notification"))
    case = "sns_raw_in_sqs"
    made[case] = sender(case).sqs_event(s3(case, cast.first))
    version = Stored(bucket, cast.first.key, cast.first.size, cast.first.etag, "3HL4kqtJvjVBH40Nrjfkd.EXAMPLE.1")
    case = "s3_versioned_bucket"
    made[case] = sender(case).s3_event(version)
    case = "s3_multipart_upload"
    made[case] = sender(case).s3_event(cast.second, event_name="ObjectCreated:CompleteMultipartUpload")
    case = "s3_object_removed"
    made[case] = {
        "Records": [
            sender(f"{case}/{name}").s3_record(cast.first, name)
            for name in ("ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "LifecycleExpiration:Delete")
        ]
    }

    # EventBridge
    case = "eventbridge_object_created"
    made[case] = sender(case).eventbridge(cast.first)
    case = "eventbridge_in_sqs"
    made[case] = sender(case).sqs_event(text(sender(case).eventbridge(cast.first)))
    case = "eventbridge_versioned_bucket"
    made[case] = sender(case).eventbridge(version)
    case = "eventbridge_object_deleted"
    made[case] = sender(case).eventbridge(cast.first, "Object Deleted")

    # The topic of a trail
    announced = cloudtrail_message(bucket, cast.first.key, cast.second.key)
    case = "cloudtrail_sns"
    made[case] = sender(case).sns_event(announced)
    case = "cloudtrail_sns_in_sqs"
    made[case] = sender(case).sqs_event(sender(case).sns_body(announced))
    case = "cloudtrail_sns_raw_in_sqs"
    made[case] = sender(case).sqs_event(announced)

    # Normal messages that name nothing to read
    case = "s3_test_event"
    made[case] = sender(case).s3_test_event(bucket)
    case = "s3_test_event_in_sqs"
    made[case] = sender(case).sqs_event(text(sender(case).s3_test_event(bucket)))
    case = "s3_test_event_in_sns_in_sqs"
    test_message = text(sender(case).s3_test_event(bucket))
    made[case] = sender(case).sqs_event(sender(case).sns_body(test_message, "Amazon S3 Notification"))
    case = "cloudtrail_validation_message"
    made[case] = sender(case).sns_event(VALIDATION)
    case = "cloudtrail_validation_message_in_sns_in_sqs"
    made[case] = sender(case).sqs_event(sender(case).sns_body(VALIDATION))
    case = "cloudtrail_validation_message_raw_in_sqs"
    made[case] = sender(case).sqs_event(VALIDATION)
    case = "config_writability_check"
    check = Stored(bucket, f"AWSLogs/{PRODUCTION}/Config/ConfigWritabilityCheckFile", 0, "d41d8cd98f00b204e9800998ecf8427e")
    made[case] = sender(case).sqs_event(s3(case, check))
    case = "digest_notification"
    made[case] = sender(case).sqs_event(s3(case, cast.digest))

    # What `audit-search backfill --to-queue` sends
    case = "replay_in_sqs"
    made[case] = sender(case).sqs_event(replay_message(cast.first, cast.third))

    # Whole organisations
    case = "organisation_trail"
    made[case] = sender(case).sqs_event(*(s3(f"{case}/{one.key}", one) for one in cast.organisation))
    case = "control_tower"
    security = f"arn:aws:sns:{REGION}:{MANAGEMENT}:aws-controltower-AggregateSecurityNotifications"
    all_config = f"arn:aws:sns:{REGION}:{MANAGEMENT}:aws-controltower-AllConfigNotifications"
    mixed = (
        (
            config_item_message(),
            f"[AWS Config:{REGION}] AWS::EC2::SecurityGroup Updated in Account {PRODUCTION}",
            all_config,
        ),
        (cloudtrail_message(bucket, cast.control_tower.key), None, security),
        (config_history_message(bucket), f"[AWS Config:{REGION}] Configuration History Delivery Completed", all_config),
    )
    made[case] = sender(case).sqs_event(
        *(sender(f"{case}/{message}").sns_body(message, subject, topic) for message, subject, topic in mixed)
    )

    # Keys that must be decoded, and keys that must not
    case = "encoded_key_s3"
    made[case] = sender(case).s3_event(cast.odd)
    case = "encoded_key_s3_in_sns_in_sqs"
    made[case] = sender(case).sqs_event(sender(case).sns_body(s3(case, cast.odd), "Amazon S3 Notification"))
    case = "encoded_key_eventbridge"
    made[case] = sender(case).eventbridge(cast.odd)
    case = "encoded_key_cloudtrail_sns_in_sqs"
    made[case] = sender(case).sqs_event(sender(case).sns_body(cloudtrail_message(bucket, cast.odd.key)))

    # What is no notification, and everything at once
    case = "unknown_shape"
    made[case] = http_request()
    case = "unknown_shape_in_sqs"
    made[case] = sender(case).sqs_event(s3(case, cast.first), text(http_request()), "hello", "")
    case = "mixed_batch"
    made[case] = sender(case).sqs_event(
        s3(case, cast.first, cast.second),
        sender(case).sns_body(s3(case + "/sns", cast.third), "Amazon S3 Notification"),
        sender(case).sns_body(announced),
        cloudtrail_message(bucket, cast.third.key),
        text(sender(case).eventbridge(cast.odd)),
        text(sender(case).s3_test_event(bucket)),
        sender(case).sns_body(VALIDATION),
        s3(case + "/digest", cast.digest),
        text({"some": "message", "of another": ["kind"]}),
        attributes={"origin": {"stringValue": "sns", "dataType": "String"}},
    )
    return made
