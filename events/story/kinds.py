"""Record kinds beyond the usual: other folders, old and future versions, other layouts of keys."""

from __future__ import annotations

from .actors import (
    ALICE,
    CARLOS,
    DEVELOPER,
    DEVELOPMENT,
    OBSERVER,
    ORGANISATION,
    OTHER_SERVER,
    PRODUCTION,
    REPORTER,
    Actor,
    Json,
    iam_user,
)
from .calls import FRANKFURT, IRELAND, VIRGINIA, instances, state_change
from .records import Delivery, Error
from .routine import fill

ODD_PREFIX = "audit trail+Zürich %3A 1/AWSLogs/"
"""A trail's prefix with everything that form-encoding changes: a space, a plus, a letter beyond ASCII and `%3A`."""


def network_activity() -> Delivery:
    """Calls that passed, or were stopped by, the policy of a VPC endpoint."""
    delivery = Delivery(PRODUCTION, VIRGINIA, "2026-11-14T09:15", folder="CloudTrail-NetworkActivity")
    for number in range(10):
        denied = number % 3 == 0
        delivery.call(
            delivery.some_time(),
            REPORTER if denied else OTHER_SERVER,
            "secretsmanager:GetSecretValue" if number % 2 else "kms:Decrypt",
            error=Error("VpceAccessDenied", "The request was denied due to a VPC endpoint policy") if denied else None,
            without=("userAgent", "requestParameters", "responseElements", "readOnly", "managementEvent", "tlsDetails"),
            eventType="AwsVpceEvent",
            eventCategory="NetworkActivity",
            sharedEventID=delivery.seeded.guid(),
            vpcEndpointId="vpce-0e8f90123a4b5c6d7",
            vpcEndpointAccountId=PRODUCTION,
        )
    return delivery


def insights() -> Delivery:
    """Two unusual activities, each with its start and its end."""
    delivery = Delivery(PRODUCTION, VIRGINIA, "2026-11-10T03:45", folder="CloudTrail-Insight")
    unusual = (
        ("ssm.amazonaws.com", "DescribeParameters", "ApiCallRateInsight", "ThrottlingException", 0.0017, 12.0),
        ("iam.amazonaws.com", "CreateUser", "ApiErrorRateInsight", "AccessDenied", 0.0, 7.0),
    )
    for source, name, kind, code, usual, seen in unusual:
        shared = delivery.seeded.guid()
        for state, minute in (("Start", 12), ("End", 17)):
            context: Json = {
                "statistics": {
                    "baseline": {"average": usual},
                    "insight": {"average": seen},
                    "insightDuration": 5,
                    "baselineDuration": 10080,
                },
                "attributions": [
                    {
                        "attribute": "userIdentityArn",
                        "insight": [{"value": REPORTER.arn, "average": seen}],
                        "baseline": [{"value": CARLOS.arn, "average": usual}],
                    },
                    {"attribute": "errorCode", "insight": [{"value": code, "average": seen}], "baseline": []},
                ],
            }
            details: Json = {"state": state, "eventSource": source, "eventName": name, "insightType": kind}
            if kind == "ApiErrorRateInsight":
                details["errorCode"] = code
            delivery.add(
                {
                    "eventVersion": "1.07",
                    "eventTime": f"2026-11-10T03:{minute}:00Z",
                    "awsRegion": VIRGINIA,
                    "eventID": delivery.seeded.guid(),
                    "eventType": "AwsCloudTrailInsight",
                    "recipientAccountId": PRODUCTION,
                    "sharedEventID": shared,
                    "insightDetails": {**details, "insightContext": context},
                    "eventCategory": "Insight",
                }
            )
    return delivery


def aggregated() -> Delivery:
    """Five-minute summaries of data events: `eventId` in this spelling, `timeWindow` in place of `eventTime`."""
    delivery = Delivery(PRODUCTION, VIRGINIA, "2026-11-14T09:25", folder="CloudTrail-Aggregated")
    bucket = "arn:aws:s3:::example-payroll-export"
    templates = (
        ("eventName", "GetObject", "resourceARN", bucket),
        ("resourceARN", bucket, "userIdentity", OTHER_SERVER.arn),
        ("userIdentity", OTHER_SERVER.arn, "eventName", "GetObject"),
    )
    for minute in (10, 15):
        for dimension, name, other, other_name in templates:
            delivery.add(
                {
                    "eventVersion": "1.0",
                    "accountId": PRODUCTION,
                    "eventId": delivery.seeded.guid(),
                    "eventCategory": "Aggregated",
                    "eventType": "AwsAggregatedEvent",
                    "awsRegion": VIRGINIA,
                    "eventSource": "s3.amazonaws.com",
                    "timeWindow": {
                        "windowStart": f"2026-11-14T09:{minute}:00Z",
                        "windowEnd": f"2026-11-14T09:{minute + 5}:00Z",
                        "windowSize": "PT5M",
                    },
                    "summary": {
                        "primaryDimension": {
                            "dimension": dimension,
                            "statistics": [{"name": name, "value": 1000 + minute}],
                            "aggregationType": "Count",
                        },
                        "details": [
                            {
                                "dimension": other,
                                "statistics": [
                                    {"name": other_name, "value": 800 + minute},
                                    {"name": "other", "value": 200},
                                ],
                                "aggregationType": "Count",
                            }
                        ],
                    },
                }
            )
    return delivery


def beyond_ascii() -> Delivery:
    """Names in other scripts, and addresses of IPv6."""
    delivery = Delivery(PRODUCTION, "ap-northeast-1", "2026-11-15T01:30")
    yuki = iam_user("由紀", "2001:db8:81::1", CARLOS.agent)
    names = (
        "東京オフィス",
        "Ελληνικά",
        "Кириллица",
        "naïve café",
        "עברית",
        "🚀 launch",
        "Ångström",
        "ñandú",
        "Łódź",
        "한국어",
    )
    for name in names:
        delivery.call(
            delivery.some_time(),
            yuki,
            "resource-groups:CreateGroup",
            {"name": name, "description": f"Ressourcen für „{name}“"},
            {"group": {"name": name}},
        )
    for api in ("ec2:DescribeIpv6Pools", "ec2:DescribeEgressOnlyInternetGateways"):
        delivery.call(delivery.some_time(), yuki.using("2001:0db8:0000:0000:0000:ff00:0042:8329"), api)
    return delivery


def not_yet_invented() -> Delivery:
    """A region, versions, kinds and fields that do not exist yet."""
    delivery = Delivery(PRODUCTION, "mars-north-1", "2026-11-15T12:00")
    for number, version in enumerate(("1.99", "2.3", "10.0")):
        delivery.call(
            delivery.some_time(),
            ALICE.using(type="OrbitalUser", orbit={"altitude": 400 + number}),
            "orbit:LaunchProbe",
            {"probe": f"p-{number}"},
            eventVersion=version,
            eventType="AwsOrbitalEvent",
            eventCategory="Orbital",
            telemetry={"signal": [1, 2.5, None, {"delay": "PT22M"}]},
        )
    return delivery


def first_version() -> Delivery:
    """Records as of 2014: version 1.0, no eventID, no eventType. CloudTrail's tools still replay such files."""
    delivery = Delivery(PRODUCTION, "us-west-2", "2026-11-16T10:05")
    old = ("eventID", "requestID", "readOnly", "eventType", "managementEvent", "recipientAccountId", "eventCategory")
    server = "i-7f8e9d0c"
    tools = Actor(ALICE.identity, "192.0.2.44", "ec2-api-tools 1.6.12.2")
    changes = (
        ("ec2:StopInstances", "running", "stopping"),
        ("ec2:StartInstances", "stopped", "pending"),
        ("ec2:TerminateInstances", "running", "shutting-down"),
    )
    for api, before, after in changes:
        delivery.call(
            delivery.some_time(),
            tools,
            api,
            instances(server),
            state_change(server, before, after),
            without=(*old, "tlsDetails"),
            eventVersion="1.0",
        )
    return fill(delivery, 25)


def twice_delivered(prefix: str = "") -> Delivery:
    """The same calls, delivered by two trails."""
    delivery = fill(Delivery(PRODUCTION, "eu-west-3", "2026-11-18T06:40"), 12)
    if not prefix:
        return delivery
    copy = Delivery(PRODUCTION, "eu-west-3", "2026-11-18T06:40", prefix=prefix)
    copy.records = delivery.records
    return copy


def in_development(region: str, delivered: str, prefix: str, calls: int) -> Delivery:
    """Everyday calls of the development account."""
    delivery = Delivery(DEVELOPMENT, region, delivered, prefix=prefix)
    observer = OBSERVER.using(accountId=DEVELOPMENT, arn=OBSERVER.arn.replace(PRODUCTION, DEVELOPMENT))
    apis = ("ec2:DescribeInstances", "lambda:GetFunction20150331v2", "logs:FilterLogEvents", "iam:ListRoles")
    for number in range(calls):
        actor = DEVELOPER if number % 3 else observer
        delivery.call(delivery.some_time(), actor, delivery.seeded.pick(apis), {"maxResults": 10 + number})
    return delivery


def with_two_non_objects() -> Delivery:
    """Eight sound records; two elements that are not objects are put between them."""
    return in_development(IRELAND, "2026-11-18T15:30", "", 8)


def organisation_layouts() -> list[Delivery]:
    """The key layouts of organisation trails and of Control Tower, and a prefix that must be decoded."""
    return [
        in_development(VIRGINIA, "2026-11-19T10:10", f"AWSLogs/{ORGANISATION}/", 18),
        in_development(IRELAND, "2026-11-19T10:15", f"{ORGANISATION}/AWSLogs/", 14),
        in_development(FRANKFURT, "2026-11-19T10:20", f"{ORGANISATION}/AWSLogs/{ORGANISATION}/", 14),
        in_development(FRANKFURT, "2026-11-20T09:00", ODD_PREFIX, 16),
    ]


def without_records() -> Delivery:
    return Delivery(PRODUCTION, FRANKFURT, "2026-11-16T10:20")


def hostile_window() -> Delivery:
    """The object that `hostile` fills: its records are bytes, as no JSON writer would make them."""
    return Delivery(PRODUCTION, FRANKFURT, "2026-11-19T16:45")
