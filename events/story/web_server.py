"""The life of a web server: launched, opened to the world, stopped, started and terminated."""

from __future__ import annotations

from .actors import (
    ALICE_AT_THE_CONSOLE,
    BOB,
    CARLOS,
    DEPLOYER,
    INSTANCE,
    OBSERVER,
    PRODUCTION,
    SCHEDULER,
    WEB_SERVER,
    Actor,
    service,
)
from .calls import (
    FRANKFURT,
    GROUP,
    instances,
    items,
    launch_request,
    launched,
    not_authorized,
    state_change,
    unauthorized_operation,
)
from .records import Delivery, Error
from .routine import KEY, fill


def instance_launched() -> Delivery:
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-03T08:20")
    delivery.call(
        "08:13:07",
        CARLOS,
        "ec2:RunInstances",
        launch_request("m7i.large", dryRun=True),
        error=Error("Client.DryRunOperation", "Request would have succeeded, but DryRun flag is set."),
    )
    delivery.call(
        "08:14:22",
        CARLOS,
        "ec2:RunInstances",
        launch_request("m7i.large", iamInstanceProfile={"name": "web-server"}),
        launched(INSTANCE, "m7i.large", PRODUCTION, "10.0.17.42"),
        sessionCredentialFromConsole="true",
    )
    tags = items({"key": "Name", "value": "web-1"}, {"key": "Owner", "value": "Team Zahlungsübersicht"})
    delivery.call(
        "08:14:25",
        CARLOS,
        "ec2:CreateTags",
        {"resourcesSet": items({"resourceId": INSTANCE}), "tagSet": tags},
        {"_return": True},
    )
    delivery.call(
        "08:14:51",
        service("ec2"),
        "sts:AssumeRole",
        {"roleArn": f"arn:aws:iam::{PRODUCTION}:role/web-server", "roleSessionName": INSTANCE},
        {"assumedRoleUser": {"arn": WEB_SERVER.arn}},
        sharedEventID=delivery.seeded.guid(),
    )
    delivery.call(
        "08:16:02",
        DEPLOYER,
        "ec2:RunInstances",
        launch_request(
            None, launchTemplate={"launchTemplateId": "lt-0c6d7e8f90123b45a", "version": "7"}, instanceMarketOptions={}
        ),
        launched("i-0b2c3d4e5f6071829", "c7g.2xlarge", PRODUCTION, "10.0.17.43"),
    )
    delivery.call("08:16:40", CARLOS, "ec2:DescribeInstances", {**instances(INSTANCE), "filterSet": {}})
    return fill(delivery, 37)


def morning_after_the_launch() -> Delivery:
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-03T08:35")
    delivery.call(
        "08:23:51",
        BOB,
        "ec2:DescribeInstanceAttribute",
        {"instanceId": INSTANCE, "attribute": "userData"},
        error=unauthorized_operation(delivery, BOB, "ec2:DescribeInstanceAttribute", INSTANCE),
    )
    delivery.call(
        "08:25:00",
        Actor({"accountId": PRODUCTION, "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com", "ec2.amazonaws.com"),
        "ec2:SharedSnapshotVolumeCreated",
        without=("requestID",),
        eventType="AwsServiceEvent",
        serviceEventDetails={"snapshotId": "snap-0d7e8f9012a34b5c6"},
        sharedEventID=delivery.seeded.guid(),
    )
    delivery.call(
        "08:26:30",
        Actor({"accountId": PRODUCTION, "invokedBy": "kms.amazonaws.com"}, "kms.amazonaws.com", "kms.amazonaws.com"),
        "kms:RotateKey",
        without=("requestID",),
        eventType="AwsServiceEvent",
        serviceEventDetails={"keyId": KEY, "rotationType": "AUTOMATIC", "keyOrigin": "AWS_KMS"},
        resources=[{"accountId": PRODUCTION, "type": "AWS::KMS::Key", "ARN": KEY}],
    )
    return fill(delivery, 37)


def security_group_opened() -> Delivery:
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-05T14:10")
    rule = {
        "ipProtocol": "tcp",
        "fromPort": 22,
        "toPort": 22,
        "groups": {},
        "ipRanges": items({"cidrIp": "0.0.0.0/0", "description": "nur kurz für die Fernwartung"}),
        "ipv6Ranges": items({"cidrIpv6": "::/0"}),
        "prefixListIds": {},
    }
    delivery.call(
        "13:58:11",
        BOB,
        "ec2:AuthorizeSecurityGroupIngress",
        {"groupId": GROUP, "ipPermissions": items(rule)},
        {"_return": True, "securityGroupRuleSet": items({"groupId": GROUP, "securityGroupRuleId": "sgr-0a1b2c3d4e"})},
    )
    delivery.call(
        "13:59:40",
        BOB,
        "ec2:ModifyInstanceAttribute",
        {"instanceId": INSTANCE, "groupSet": items({"groupId": GROUP}, {"groupId": "sg-0777666655554444a"})},
        {"_return": True},
    )
    delivery.call(
        "14:02:19",
        BOB,
        "ec2:TerminateInstances",
        instances(INSTANCE),
        error=Error(
            "Client.OperationNotPermitted",
            f"The instance '{INSTANCE}' may not be terminated. Modify its 'disableApiTermination' instance attribute"
            " and try again.",
        ),
    )
    attribute = {"instanceId": INSTANCE, "disableApiTermination": {"value": False}}
    delivery.call(
        "14:03:05",
        BOB,
        "ec2:ModifyInstanceAttribute",
        attribute,
        error=unauthorized_operation(
            delivery,
            BOB,
            "ec2:ModifyInstanceAttribute",
            f"arn:aws:ec2:eu-central-1:{PRODUCTION}:instance/{INSTANCE}",
            "because no permissions boundary allows the ec2:ModifyInstanceAttribute action",
        ),
    )
    delivery.call("14:04:10", OBSERVER, "ec2:DescribeInstanceStatus", instances(INSTANCE))
    delivery.call(
        "14:05:33",
        CARLOS,
        "ec2:RevokeSecurityGroupIngress",
        {"groupId": GROUP, "ipPermissions": items(rule)},
        {"_return": True, "unknownIpPermissionSet": {}},
    )
    return fill(delivery, 35)


def instance_stopped_for_the_night() -> Delivery:
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-06T19:05")
    delivery.call(
        "19:00:04",
        SCHEDULER,
        "ec2:StopInstances",
        {**instances(INSTANCE), "force": False},
        state_change(INSTANCE, "running", "stopping"),
    )
    delivery.call(
        "19:00:05",
        SCHEDULER,
        "ec2:StopInstances",
        {**instances("i-0dead0beef0dead00"), "force": False},
        error=Error("Client.InvalidInstanceID.NotFound", "The instance ID 'i-0dead0beef0dead00' does not exist"),
    )
    delivery.call(
        "19:01:00",
        SCHEDULER,
        "sns:Publish",
        {"topicArn": f"arn:aws:sns:eu-central-1:{PRODUCTION}:operations", "message": "HIDDEN_DUE_TO_SECURITY_REASONS"},
        error=Error(
            "AuthorizationError",
            not_authorized(
                SCHEDULER,
                "SNS:Publish",
                f"arn:aws:sns:eu-central-1:{PRODUCTION}:operations",
                "because no identity-based policy allows the SNS:Publish action",
            ),
        ),
    )
    return fill(delivery, 33)


def instance_started_on_monday() -> Delivery:
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-09T07:10")
    delivery.call(
        "07:00:03",
        SCHEDULER,
        "ec2:StartInstances",
        instances(INSTANCE),
        error=Error(
            "Server.InsufficientInstanceCapacity",
            "We currently do not have sufficient m7i.large capacity in the Availability Zone you requested"
            " (eu-central-1a). Our system will be working on provisioning additional capacity.",
        ),
    )
    delivery.call("07:02:09", SCHEDULER, "ec2:StartInstances", instances(INSTANCE), state_change(INSTANCE, "stopped", "pending"))
    delivery.call(
        "07:05:48",
        ALICE_AT_THE_CONSOLE,
        "ssm:StartSession",
        {"target": INSTANCE, "reason": "Neustart prüfen"},
        {"sessionId": "alice-0b5c6d7e8f9012a34", "tokenValue": "Value hidden due to security reasons."},
    )
    delivery.call(
        "07:06:20",
        WEB_SERVER,
        "secretsmanager:GetSecretValue",
        {"secretId": "prod/payroll-export/database"},
        error=Error(
            "AccessDenied",
            not_authorized(
                WEB_SERVER,
                "secretsmanager:GetSecretValue",
                "prod/payroll-export/database",
                "because no identity-based policy allows the secretsmanager:GetSecretValue action",
            ),
        ),
    )
    return fill(delivery, 33)


def instance_terminated_by_a_stack() -> Delivery:
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-12T16:25")
    stack = f"arn:aws:cloudformation:eu-central-1:{PRODUCTION}:stack/shop-frontend/0a1b2c3d-0000-1111-2222-333344445555"
    delivery.call("16:11:58", OBSERVER, "ec2:DescribeInstanceStatus", instances(INSTANCE))
    delivery.call("16:12:30", DEPLOYER, "cloudformation:DeleteStack", {"stackName": stack, "retainResources": []})
    from_stack = DEPLOYER.using("cloudformation.amazonaws.com", "cloudformation.amazonaws.com")
    from_stack = from_stack.using(invokedBy="cloudformation.amazonaws.com")
    attribute = {"instanceId": INSTANCE, "disableApiTermination": {"value": False}}
    delivery.call("16:13:02", from_stack, "ec2:ModifyInstanceAttribute", attribute, {"_return": True})
    delivery.call(
        "16:13:10",
        from_stack,
        "ec2:TerminateInstances",
        instances(INSTANCE),
        state_change(INSTANCE, "running", "shutting-down"),
    )
    delivery.call("16:14:44", CARLOS, "ec2:DescribeInstances", {**instances(INSTANCE), "filterSet": {}})
    return fill(delivery, 35)
