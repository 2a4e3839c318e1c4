"""Whole payloads of AWS Config: every kind of message of its delivery channel, in every envelope.

Shapes as documented in "Notifications that AWS Config Sends to an Amazon SNS topic" and "Monitoring AWS Config with Amazon
EventBridge".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from .actors import INSTANCE, MANAGEMENT, PRODUCTION, Json
from .calls import FRANKFURT, IRELAND, VIRGINIA
from .config_objects import SNAPSHOT, large_group
from .inventory import all_versions, instance, role, security_group
from .payloads import CONFIG_TOPIC, Sender, Stored, cloudtrail_message, replay_message, text
from .resources import Version

RULE = "restricted-ssh"
ITEM_CHANGED = "ConfigurationItemChangeNotification"
QUEUE = f"arn:aws:sqs:{FRANKFURT}:{PRODUCTION}:audit-search-config"
ALL_CONFIG = f"arn:aws:sns:{FRANKFURT}:{MANAGEMENT}:aws-controltower-AllConfigNotifications"
SECURITY = f"arn:aws:sns:{FRANKFURT}:{MANAGEMENT}:aws-controltower-AggregateSecurityNotifications"


def _made(at: str, kind: str, version: str = "1.0") -> Json:
    return {"notificationCreationTime": at, "messageType": kind, "recordVersion": version}


def item_message(version: Version) -> Json:
    """The stream's message of a change, a second and a bit after its capture."""
    made = version.captured + timedelta(milliseconds=1_270)
    at = f"{made:%Y-%m-%dT%H:%M:%S}.{made.microsecond // 1000:03}Z"
    return {
        "configurationItemDiff": version.diff,
        "configurationItem": version.item,
        **_made(at, ITEM_CHANGED, "1.3"),
    }


def old_item_message(version: Version) -> Json:
    """As in 2014: the item in a list, no difference, another name for the time."""
    return {
        "configurationItems": None,
        "configurationItem": [version.item],
        "configurationItemDiff": None,
        "notificationCreateTime": "2026-11-05T13:58:54.001Z",
        "messageType": ITEM_CHANGED,
        "recordVersion": "1.0",
    }


def oversized_message(version: Version, stored: Stored | None) -> Json:
    """What is sent in place of a change that is too large; without `stored` its object could not be delivered."""
    left_out = ("relatedEvents", "relationships", "configuration", "supplementaryConfiguration", "tags")
    change = version.diff["changeType"] if version.diff else None
    summary = {"changeType": change} | {name: value for name, value in version.item.items() if name not in left_out}
    kind = "OversizedConfigurationItemChangeNotification" if stored else "OversizedConfigurationItemChangeDeliveryFailed"
    return {
        "configurationItemSummary": summary,
        "s3DeliverySummary": {
            "s3BucketLocation": f"{stored.bucket}/{stored.key}" if stored else None,
            "errorCode": None if stored else "AccessDenied",
            "errorMessage": None if stored else "Access Denied (Service: Amazon S3; Status Code: 403)",
        },
        **_made("2026-11-07T12:30:02.044Z", kind),
    }


def delivery(kind: str, at: str, stored: Stored | None = None, error: tuple[str, str] | None = None, snapshot: str = "") -> Json:
    """A message of a history or a snapshot that is being, was or could not be delivered."""
    named: Json = {"configSnapshotId": snapshot} if snapshot else {}
    if stored:
        named |= {"s3ObjectKey": stored.key, "s3Bucket": stored.bucket}
    if error:
        named |= {"awsAccountId": PRODUCTION, "awsRegion": FRANKFURT, "errorCode": error[0], "errorMessage": error[1]}
    return {**named, **_made(at, kind, "1.1")}


def compliance(before: str, after: str, at: str) -> Json:
    group = security_group().identity
    qualifier = {"configRuleName": RULE, "resourceType": "AWS::EC2::SecurityGroup", "resourceId": group}

    def result(kind: str, annotation: str | None) -> Json:
        return {
            "evaluationResultIdentifier": {"evaluationResultQualifier": qualifier, "orderingTimestamp": at},
            "complianceType": kind,
            "resultRecordedTime": at,
            "configRuleInvokedTime": at,
            "annotation": annotation,
            "resultToken": None,
        }

    return {
        "awsAccountId": PRODUCTION,
        "configRuleName": RULE,
        "configRuleARN": f"arn:aws:config:{FRANKFURT}:{PRODUCTION}:config-rule/config-rule-9rpvxc",
        "resourceType": "AWS::EC2::SecurityGroup",
        "resourceId": group,
        "awsRegion": FRANKFURT,
        "newEvaluationResult": result(after, "Port 22 ist für alle offen"),
        "oldEvaluationResult": result(before, None),
        **_made(at, "ComplianceChangeNotification"),
    }


def evaluation_started() -> Json:
    return {
        "awsAccountId": PRODUCTION,
        "awsRegion": FRANKFURT,
        "configRuleNames": [RULE, "ec2-ebs-encryption-by-default"],
        **_made("2026-11-05T13:59:01.339Z", "ConfigRulesEvaluationStarted"),
    }


def not_yet_invented() -> Json:
    """A kind of message that AWS Config may send one day."""
    return {"awsAccountId": PRODUCTION, "forecast": {"resources": 7}, **_made("2026-11-20T08:00:00.000Z", "ConfigForecast")}


def alarm() -> Json:
    """A CloudWatch alarm: other services publish to the same topics."""
    return {
        "AlarmName": "root sign-in",
        "AWSAccountId": PRODUCTION,
        "NewStateValue": "ALARM",
        "StateChangeTime": "2026-11-10T03:00:00.000+0000",
    }


def state_change() -> Json:
    return {
        "version": "0",
        "id": "5b2a4f6e-0000-4000-8000-0123456789ab",
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": PRODUCTION,
        "time": "2026-11-06T19:00:41Z",
        "region": FRANKFURT,
        "resources": [f"arn:aws:ec2:{FRANKFURT}:{PRODUCTION}:instance/{INSTANCE}"],
        "detail": {"instance-id": INSTANCE, "state": "stopped"},
    }


def messages(stored: Callable[[str], Stored]) -> dict[str, Json]:
    """A message of each kind by its case; `stored` gives the object whose key holds a text."""
    history, snapshot = stored("ConfigHistory_AWS::EC2::Instance"), stored(SNAPSHOT)
    (large,) = large_group().versions
    return {
        "config_item": item_message(instance().versions[0]),
        "config_item_deleted": item_message(instance().versions[-1]),
        "config_item_in_a_list": old_item_message(security_group().versions[1]),
        "config_oversized": oversized_message(large, stored("OversizedChangeNotification")),
        "config_oversized_delivery_failed": oversized_message(large, None),
        "config_compliance_change": compliance("COMPLIANT", "NON_COMPLIANT", "2026-11-05T13:59:08.405Z"),
        "config_rules_evaluation_started": evaluation_started(),
        "config_snapshot_started": delivery(
            "ConfigurationSnapshotDeliveryStarted", "2026-11-09T12:00:01.100Z", snapshot=SNAPSHOT
        ),
        "config_snapshot_completed": delivery(
            "ConfigurationSnapshotDeliveryCompleted", "2026-11-09T12:00:04.853Z", snapshot, snapshot=SNAPSHOT
        ),
        "config_snapshot_failed": delivery(
            "ConfigurationSnapshotDeliveryFailed",
            "2026-11-09T18:00:04.853Z",
            error=("NoSuchBucket", "The specified bucket does not exist"),
            snapshot="0c0c0c0c-1111-4222-8333-444455556666",
        ),
        "config_history_completed": delivery("ConfigurationHistoryDeliveryCompleted", "2026-11-04T12:00:05.217Z", history),
        "config_history_failed": delivery(
            "ConfigurationHistoryDeliveryFailed", "2026-11-04T18:00:05.217Z", error=("AccessDenied", "Access Denied")
        ),
        "config_scheduled": {"awsAccountId": PRODUCTION, **_made("2026-11-05T00:00:00.373Z", "ScheduledNotification")},
        "config_unknown_message_type": not_yet_invented(),
    }


def _subject(message: Json) -> str:
    return f"[AWS Config:{FRANKFURT}] {message['messageType']} in Account {PRODUCTION}"[:100]


def all_config_payloads(objects: Sequence[Stored], trail: Stored) -> dict[str, Json]:
    """Every payload by its name; `trail` is an object of CloudTrail's."""

    def stored(part: str) -> Stored:
        return next(one for one in objects if part in one.key)

    def sender(case: str) -> Sender:
        return Sender(case, CONFIG_TOPIC, QUEUE)

    def wrapped(case: str, message: Json) -> str:
        return sender(case).sns_body(text(message), _subject(message))

    made = {case: sender(case).sqs_event(wrapped(case, message)) for case, message in messages(stored).items()}

    # The other envelopes
    opened, turned = security_group().versions[1], instance().versions[4]
    case = "config_item_sns"
    made[case] = sender(case).sns_event(text(item_message(opened)), subject=_subject(item_message(opened)))
    case = "config_item_raw_in_sqs"
    made[case] = sender(case).sqs_event(text(item_message(opened)))
    case = "config_item_eventbridge"
    made[case] = sender(case).eventbridge_config("Config Configuration Item Change", item_message(turned))
    case = "config_item_eventbridge_in_sqs"
    bridged = sender(case).eventbridge_config("Config Configuration Item Change", item_message(turned))
    made[case] = sender(case).sqs_event(text(bridged))
    case = "config_compliance_eventbridge"
    changed = compliance("NON_COMPLIANT", "COMPLIANT", "2026-11-05T14:06:31.118Z")
    made[case] = sender(case).eventbridge_config("Config Rules Compliance Change", changed)
    case = "config_s3_in_sqs"
    made[case] = sender(case).sqs_event(
        *(text(sender(f"{case}/{one.key}").s3_event(one)) for one in objects),
        text(sender(f"{case}/trail").s3_event(trail)),
    )

    case = "config_replay_in_sqs"
    made[case] = sender(case).sqs_event(replay_message(*objects))

    # Several at once
    case = "config_several_regions"
    seen = [{**version.item, "awsRegion": region} for version in role().versions[:1] for region in (FRANKFURT, VIRGINIA, IRELAND)]
    bodies = (
        sender(f"{case}/{item['awsRegion']}").sns_body(
            text(item_message(Version(item, None))),
            topic=f"arn:aws:sns:{item['awsRegion']}:{PRODUCTION}:config-topic",
        )
        for item in seen
    )
    made[case] = sender(case).sqs_event(*bodies)
    case = "config_mixed_topic"
    shared = (
        (text(item_message(opened)), ALL_CONFIG),
        (cloudtrail_message(trail.bucket, trail.key), SECURITY),
        (text(alarm()), SECURITY),
        (text(state_change()), SECURITY),
        ("Dear customer, your budget is used up.", SECURITY),
        ('{"messageType":"ConfigurationItemChangeNotification","configurationItem":{', ALL_CONFIG),
        (text({"configurationItem": None, **_made("2026-11-05T13:58:54.001Z", ITEM_CHANGED)}), ALL_CONFIG),
    )
    made[case] = sender(case).sqs_event(*(sender(f"{case}/{body}").sns_body(body, topic=topic) for body, topic in shared))
    case = "config_life_of_a_web_server"
    bodies = (wrapped(f"{case}/{number}", item_message(version)) for number, version in enumerate(all_versions()))
    made[case] = sender(case).sqs_event(*bodies)
    return made
