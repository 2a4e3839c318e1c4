"""The everyday noise between which the interesting calls hide."""

from __future__ import annotations

from .actors import (
    ALICE_AT_THE_CONSOLE,
    BOB,
    CARLOS,
    DEPLOYER,
    OBSERVER,
    OTHER_INSTANCE,
    OTHER_SERVER,
    PRODUCTION,
    Actor,
    Json,
    service,
)
from .records import Delivery, Error

Call = tuple[str, Json | None]

KEY = f"arn:aws:kms:eu-central-1:{PRODUCTION}:key/1234abcd-12ab-34cd-56ef-1234567890ab"

MONITORING: tuple[Call, ...] = (
    ("monitoring:DescribeAlarms", {"maxRecords": 100}),
    ("monitoring:ListMetrics", {"namespace": "AWS/EC2"}),
    ("ec2:DescribeInstances", {"instancesSet": {}, "filterSet": {"items": [{"name": "instance-state-name"}]}}),
    (
        "ec2:DescribeInstanceStatus",
        {"instancesSet": {"items": [{"instanceId": OTHER_INSTANCE}]}, "includeAllInstances": True},
    ),
    ("ec2:DescribeVolumes", {"volumeSet": {}, "filterSet": {}}),
    (
        "elasticloadbalancing:DescribeTargetHealth",
        {"targetGroupArn": "arn:aws:elasticloadbalancing:::targetgroup/shop/1"},
    ),
    ("rds:DescribeDBInstances", {"maxRecords": 100}),
    ("lambda:ListFunctions20150331", {"maxItems": 50}),
    ("tagging:GetResources", {"resourcesPerPage": 100, "resourceTypeFilters": ["ec2:instance"]}),
    ("logs:DescribeLogGroups", {"limit": 50}),
)
DEPLOYMENT: tuple[Call, ...] = (
    ("sts:GetCallerIdentity", None),
    ("ssm:GetParameter", {"name": "/shop/frontend/release", "withDecryption": True}),
    ("ecr:GetAuthorizationToken", None),
    ("cloudformation:DescribeStacks", {"stackName": "shop-frontend"}),
    ("cloudformation:ListStackResources", {"stackName": "shop-frontend"}),
    ("ecs:UpdateService", {"cluster": "shop", "service": "frontend", "forceNewDeployment": True}),
    ("s3:GetBucketLocation", {"bucketName": "example-shop-assets", "Host": "s3.eu-central-1.amazonaws.com"}),
)
CONSOLE: tuple[Call, ...] = (
    ("ec2:DescribeRegions", {"regionSet": {}}),
    ("ec2:DescribeSecurityGroups", {"securityGroupSet": {}, "securityGroupIdSet": {}, "filterSet": {}}),
    ("ce:GetCostAndUsage", {"granularity": "MONTHLY", "metrics": ["UnblendedCost"]}),
    ("health:DescribeEventAggregates", {"aggregateField": "eventTypeCategory"}),
    ("notifications:ListNotificationHubs", None),
    ("s3:ListBuckets", {"Host": "s3.eu-central-1.amazonaws.com"}),
)
SERVER: tuple[Call, ...] = (
    ("ssm:GetParameters", {"names": ["/shop/frontend/release"], "withDecryption": True}),
    ("secretsmanager:GetSecretValue", {"secretId": "prod/shop/database"}),
    ("monitoring:PutMetricData", None),
)
ROUTINES: tuple[tuple[int, Actor, tuple[Call, ...]], ...] = (
    (9, OBSERVER, MONITORING),
    (5, DEPLOYER, DEPLOYMENT),
    (3, CARLOS, CONSOLE),
    (2, ALICE_AT_THE_CONSOLE, CONSOLE),
    (2, BOB, MONITORING),
    (2, OTHER_SERVER, SERVER),
)
EVERYBODY = tuple(position for position, (weight, _, _) in enumerate(ROUTINES) for _ in range(weight))

THROTTLED = Error("ThrottlingException", "Rate exceeded")
REQUEST_LIMIT = Error("Client.RequestLimitExceeded", "Request limit exceeded.")


def fill(delivery: Delivery, calls: int) -> Delivery:
    """Adds everyday calls, about one in twenty of them throttled, and what AWS services do by themselves."""
    seeded = delivery.seeded
    for _ in range(calls):
        if seeded.below(6) == 0:
            _a_service_at_work(delivery)
            continue
        _, actor, routine = ROUTINES[seeded.pick(EVERYBODY)]
        api, parameters = seeded.pick(routine)
        error = None
        if actor is OBSERVER and seeded.below(12) == 0:
            error = REQUEST_LIMIT if api.startswith("ec2:") else THROTTLED
        delivery.call(delivery.some_time(), actor, api, parameters, error=error)
    return delivery


def _a_service_at_work(delivery: Delivery) -> None:
    """A service assumes its role, or KMS is called on behalf of another service."""
    seeded, account = delivery.seeded, delivery.account
    at = delivery.some_time()
    if seeded.below(2):
        name = seeded.pick(("ec2", "lambda", "ecs-tasks", "cloudtrail", "config"))
        role = f"arn:aws:iam::{account}:role/{'web-server' if name == 'ec2' else name + '-runtime'}"
        session = OTHER_INSTANCE if name == "ec2" else f"{name}-session"
        delivery.call(
            at,
            service(name),
            "sts:AssumeRole",
            {"roleArn": role, "roleSessionName": session, "durationSeconds": 3600},
            {
                "credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "expiration": "Nov 20, 2026, 6:00:00 PM"},
                "assumedRoleUser": {"arn": role.replace(":iam:", ":sts:").replace("role/", "assumed-role/") + f"/{session}"},
            },
            resources=[{"accountId": account, "type": "AWS::IAM::Role", "ARN": role}],
            sharedEventID=seeded.guid(),
        )
        return
    secrets = DEPLOYER.using("secretsmanager.amazonaws.com", "secretsmanager.amazonaws.com")
    delivery.call(
        at,
        secrets.using(invokedBy="secretsmanager.amazonaws.com"),
        "kms:Decrypt",
        {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "encryptionContext": {"SecretARN": "prod/shop/database"}},
        resources=[{"accountId": account, "type": "AWS::KMS::Key", "ARN": KEY}],
    )
