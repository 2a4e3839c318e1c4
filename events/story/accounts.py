"""What happens in and between other accounts, and the callers that come from outside."""

from __future__ import annotations

from .actors import (
    ALICE,
    CARLOS,
    DEPLOYER,
    DEVELOPER,
    DEVELOPMENT,
    GUARDIAN,
    IDENTITY_CENTRE_USER,
    MANAGEMENT,
    OBSERVER,
    PARTNER,
    PRODUCTION,
    SAML_USER,
    WEB_IDENTITY,
    Actor,
    Json,
    root,
    service,
)
from .calls import IRELAND, SEEN_FROM_BOTH_SIDES, SUBNET, VIRGINIA, items, launch_request, launched, not_authorized
from .records import Delivery, Error
from .routine import REQUEST_LIMIT, fill
from .seeded import example_id


def limits_in_development() -> Delivery:
    delivery = Delivery(DEVELOPMENT, IRELAND, "2026-11-11T10:40")
    attempts: tuple[tuple[str, str, int, str, str], ...] = (
        (
            "10:28:01",
            "m5.large",
            25,
            "Client.InstanceLimitExceeded",
            (
                "You have requested more instances (25) than your current instance limit of 20 allows for the specified"
                " instance type. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment."
            ),
        ),
        (
            "10:29:17",
            "p5.48xlarge",
            1,
            "Client.VcpuLimitExceeded",
            (
                "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket"
                " that the specified instance type belongs to."
            ),
        ),
        (
            "10:30:40",
            "u7in-32tb.224xlarge",
            1,
            "Client.Unsupported",
            (
                "Your requested instance type (u7in-32tb.224xlarge) is not supported in your requested Availability"
                " Zone (eu-west-1b). Please retry your request by choosing eu-west-1a."
            ),
        ),
        (
            "10:31:09",
            "x2iedn.metal",
            1,
            "Client.InvalidParameterValue",
            "Value () for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        ),
    )
    for at, instance_type, count, code, message in attempts:
        delivery.call(at, DEVELOPER, "ec2:RunInstances", launch_request(instance_type, count), error=Error(code, message))
    delivery.call(
        "10:32:55",
        DEVELOPER,
        "ec2:RunInstances",
        launch_request("x2iedn.32xlarge"),
        launched("i-0c3d4e5f607182930", "x2iedn.32xlarge", DEVELOPMENT, "10.4.0.8"),
    )
    delivery.call(
        "10:33:30",
        DEVELOPER,
        "ec2:CreateVpc",
        {"cidrBlock": "10.8.0.0/16"},
        error=Error("Client.VpcLimitExceeded", "The maximum number of VPCs has been reached."),
    )
    delivery.call(
        "10:34:02",
        DEVELOPER,
        "cloudformation:CreateStack",
        {"stackName": "probe", "templateURL": "https://example.com/template.yaml"},
        error=Error("ValidationException", "TemplateURL must be a supported URL."),
    )
    delivery.call(
        "10:35:41",
        DEVELOPER,
        "rds:CreateDBInstance",
        {"dBInstanceIdentifier": "probe", "dBInstanceClass": "db.r7g.16xlarge", "masterUserPassword": "****"},
        error=Error(
            "AccessDenied",
            not_authorized(
                DEVELOPER,
                "rds:CreateDBInstance",
                f"arn:aws:rds:eu-west-1:{DEVELOPMENT}:db:probe",
                "with an explicit deny in a service control policy",
            ),
        ),
    )
    delivery.call(
        "10:36:08",
        DEVELOPER,
        "dynamodb:DescribeTable",
        {"tableName": "probe"},
        error=Error("ResourceNotFoundException", f"Requested resource not found: Table: probe not found in {DEVELOPMENT}."),
        apiVersion="2012-08-10",
    )
    reads = (
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeImages",
        "servicequotas:ListServiceQuotas",
        "ec2:DescribeSubnets",
    )
    for second, api in enumerate(reads * 5):
        error = REQUEST_LIMIT if second in (7, 8) else None
        delivery.call(f"10:37:{second + 10}", DEVELOPER, api, {"maxResults": 100}, error=error)
    return delivery


def federated_callers() -> Delivery:
    delivery = Delivery(PRODUCTION, VIRGINIA, "2026-11-11T11:05")
    role = f"arn:aws:iam::{PRODUCTION}:role/deploy"
    granted: Json = {
        "credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "expiration": "Nov 11, 2026, 12:00:00 PM"},
        "assumedRoleUser": {"arn": DEPLOYER.arn, "assumedRoleId": "AROAEXAMPLE"},
        "audience": "sts.amazonaws.com",
    }
    resources = [{"accountId": PRODUCTION, "type": "AWS::IAM::Role", "ARN": role}]
    web_identity = {"roleArn": role, "roleSessionName": "shop-frontend-4711", "durationSeconds": 3600}
    delivery.call("10:51:00", WEB_IDENTITY, "sts:AssumeRoleWithWebIdentity", web_identity, granted, resources=resources)
    delivery.call(
        "10:51:30",
        WEB_IDENTITY,
        "sts:AssumeRoleWithWebIdentity",
        web_identity,
        error=Error("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    )
    delivery.call(
        "10:52:10",
        SAML_USER,
        "sts:AssumeRoleWithSAML",
        {
            "sAMLAssertionID": "_0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
            "roleArn": f"arn:aws:iam::{PRODUCTION}:role/Finanzübersicht",
            "principalArn": f"arn:aws:iam::{PRODUCTION}:saml-provider/Firmenanmeldung",
            "roleSessionName": "erika.mustermann@example.org",
        },
        {
            "subject": "erika.mustermann@example.org",
            "issuer": "https://login.example.org/saml",
            "subjectType": "persistent",
        },
    )
    delivery.call(
        "10:53:41",
        IDENTITY_CENTRE_USER,
        "sso:Federate",
        None,
        eventType="AwsServiceEvent",
        readOnly=False,
        serviceEventDetails={"role_name": "DeveloperAccess", "account_id": PRODUCTION},
    )
    delivery.call("10:54:05", IDENTITY_CENTRE_USER, "sso:ListApplications", without=("requestID",), eventType="AwsServiceEvent")
    partner_user = {"type": "AWSAccount", "principalId": example_id("AIDA", "partner"), "accountId": PARTNER}
    delivery.call(
        "10:55:12",
        Actor(partner_user, "203.0.113.140", OBSERVER.agent),
        "sts:AssumeRole",
        {"roleArn": f"arn:aws:iam::{PRODUCTION}:role/ObservabilityReadOnly", "roleSessionName": "collector"},
        {"assumedRoleUser": {"arn": OBSERVER.arn}},
        resources=[{"accountId": PRODUCTION, "type": "AWS::IAM::Role", "ARN": OBSERVER.arn}],
        sharedEventID="5a1e8f70-3c1d-4b51-9f0a-d3c2b1a09f8e",
    )
    # The other account's view of the call that `root_tasks_in_members` tells.
    audit = {"type": "AWSAccount", "principalId": GUARDIAN.identity["principalId"], "accountId": MANAGEMENT}
    delivery.call(
        "10:53:59",
        Actor(audit, GUARDIAN.address, GUARDIAN.agent),
        "sts:AssumeRole",
        {"roleArn": f"arn:aws:iam::{PRODUCTION}:role/SecurityAudit", "roleSessionName": "guardian"},
        sharedEventID=SEEN_FROM_BOTH_SIDES,
    )
    federated = {
        "type": "FederatedUser",
        "principalId": f"{PRODUCTION}:visitor",
        "arn": f"arn:aws:sts::{PRODUCTION}:federated-user/visitor",
        "accountId": PRODUCTION,
        "accessKeyId": example_id("ASIA", "visitor"),
        "sessionContext": {"sessionIssuer": {"type": "IAMUser", "arn": ALICE.arn, "userName": "alice"}},
    }
    delivery.call("10:56:20", Actor(federated, "192.0.2.90", SAML_USER.agent), "s3:ListBuckets", {"Host": "s3"})
    delegate = CARLOS.using(invokedByDelegate={"accountId": PARTNER})
    delivery.call("10:57:33", delegate, "support:DescribeTrustedAdvisorChecks", {"language": "en"})
    delivery.call(
        "10:58:00",
        service("elasticloadbalancing"),
        "ec2:CreateNetworkInterface",
        {"subnetId": SUBNET, "description": "ELB app/shop"},
        {"networkInterface": {"networkInterfaceId": "eni-0f60718293a4b5c6d", "ipv6AddressesSet": items()}},
    )
    return fill(delivery, 25)


def root_tasks_in_members() -> Delivery:
    delivery = Delivery(MANAGEMENT, VIRGINIA, "2026-11-11T11:05")
    task = {"arn": "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"}
    delivery.call(
        "10:51:11",
        GUARDIAN,
        "sts:AssumeRoot",
        {"targetPrincipal": DEVELOPMENT, "taskPolicyArn": task, "durationSeconds": 900},
        {"credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "expiration": "Nov 11, 2026, 11:06:11 AM"}},
        readOnly=False,
    )
    root_session = root(DEVELOPMENT, GUARDIAN.address, GUARDIAN.agent).using(
        sessionContext={
            "attributes": {"creationDate": "2026-11-11T10:51:11Z", "mfaAuthenticated": "false"},
            "assumedRoot": "true",
        },
        accessKeyId=example_id("ASIA", "root session"),
    )
    delivery.call(
        "10:52:45",
        root_session,
        "s3:DeleteBucketPolicy",
        {"bucketName": "example-locked-out", "policy": ""},
        recipientAccountId=DEVELOPMENT,
        resources=[{"accountId": DEVELOPMENT, "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::example-locked-out"}],
    )
    delivery.call(
        "10:53:59",
        GUARDIAN,
        "sts:AssumeRole",
        {"roleArn": f"arn:aws:iam::{PRODUCTION}:role/SecurityAudit", "roleSessionName": "guardian"},
        sharedEventID=SEEN_FROM_BOTH_SIDES,
    )
    delivery.call(
        "10:54:30",
        GUARDIAN,
        "organizations:AttachPolicy",
        {"policyId": "p-1a2b3c4d", "targetId": "ou-ab12-cdefgh34"},
        readOnly=False,
    )
    delivery.call(
        "10:55:21",
        GUARDIAN,
        "cloudtrail:StopLogging",
        {"name": f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:trail/organisation"},
        error=Error(
            "AccessDenied",
            not_authorized(
                GUARDIAN,
                "cloudtrail:StopLogging",
                f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:trail/organisation",
                "because no session policy allows the cloudtrail:StopLogging action",
            ),
        ),
    )
    for second, api in enumerate(("organizations:ListAccounts", "config:DescribeConfigRules", "iam:ListRoles") * 5):
        delivery.call(f"10:57:{second + 10}", GUARDIAN, api, {"maxResults": 20})
    return delivery
