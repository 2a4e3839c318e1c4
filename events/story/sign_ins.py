"""Sign-ins to the console, and the night on which a leaked key was tried."""

from __future__ import annotations

from .actors import (
    ALICE,
    BOB,
    CARLOS,
    DEVELOPMENT,
    MANAGEMENT,
    ORGANISATION,
    PARTNER,
    PRODUCTION,
    REPORTER,
    ROOT,
    SAML_USER,
    Actor,
    root,
)
from .calls import VIRGINIA, launch_request, not_authorized, unauthorized_operation
from .records import Delivery, Error
from .routine import KEY, THROTTLED, fill


def sign_in(delivery: Delivery, at: str, actor: Actor, mfa: str, failure: str | None = None, **more: object) -> None:
    delivery.call(
        at,
        actor,
        "signin:ConsoleLogin",
        None,
        {"ConsoleLogin": "Failure" if failure else "Success"},
        Error(None, failure) if failure else None,
        without=("requestID",),
        eventType="AwsConsoleSignIn",
        readOnly=False,
        additionalEventData={
            "LoginTo": "https://console.aws.amazon.com/console/home?state=hashArgs%23&isauthcode=true",
            "MobileVersion": "No",
            **more,
            "MFAUsed": mfa,
        },
    )


def person(user: Actor, address: str | None = None) -> Actor:
    """The user as the sign-in page sees them: no access key yet."""
    identity = {name: value for name, value in user.identity.items() if name != "accessKeyId"}
    return Actor(identity, address or user.address, ALICE.agent)


def sign_ins() -> Delivery:
    delivery = Delivery(PRODUCTION, VIRGINIA, "2026-11-04T09:05")
    mfa = {"MFAIdentifier": f"arn:aws:iam::{PRODUCTION}:mfa/alice"}
    delivery.call(
        "08:51:36",
        person(ALICE),
        "signin:CheckMfa",
        None,
        {"CheckMfa": "Success"},
        without=("requestID",),
        eventType="AwsConsoleSignIn",
        readOnly=False,
        additionalEventData={"MfaType": "Security Key"},
    )
    sign_in(delivery, "08:51:40", person(ALICE), "Yes", **mfa)
    sign_in(delivery, "08:53:12", person(BOB), "No", "Failed authentication")
    sign_in(delivery, "08:53:31", person(BOB), "No")
    sign_in(delivery, "08:55:02", person(CARLOS), "No")
    delivery.call(
        "08:56:10",
        person(ALICE),
        "signin:SwitchRole",
        None,
        {"SwitchRole": "Success"},
        without=("requestID",),
        eventType="AwsConsoleSignIn",
        readOnly=False,
        additionalEventData={"SwitchTo": f"arn:aws:iam::{DEVELOPMENT}:role/Developer", "RedirectTo": "console"},
    )
    delivery.call(
        "08:58:40",
        BOB,
        "iam:CreateAccessKey",
        {"userName": "alice"},
        error=Error("AccessDenied", not_authorized(BOB, "iam:CreateAccessKey", "user alice")),
    )
    delivery.call(
        "08:59:02",
        BOB,
        "iam:AttachUserPolicy",
        {"userName": "bob", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        error=Error(
            "AccessDenied",
            not_authorized(
                BOB,
                "iam:AttachUserPolicy",
                "user bob",
                f"with an explicit deny in an identity-based policy: arn:aws:iam::{PRODUCTION}:policy/DenyIamWrites",
            ),
        ),
    )
    return fill(delivery, 33)


def leaked_key_probes() -> Delivery:
    delivery = Delivery(PRODUCTION, VIRGINIA, "2026-11-10T03:05")
    hidden = Actor(
        {
            "type": "IAMUser",
            "accountId": PRODUCTION,
            "accessKeyId": "",
            "userName": "HIDDEN_DUE_TO_SECURITY_REASONS",
        },
        "203.0.113.66",
        SAML_USER.agent,
    )
    sign_in(delivery, "02:51:08", hidden, "No", "No username found in supplied account")
    for second in (20, 24, 29, 35):
        sign_in(delivery, f"02:51:{second}", person(ALICE, "203.0.113.66"), "No", "Failed authentication")
    sign_in(delivery, "02:52:02", root(PRODUCTION, "203.0.113.66"), "No", "Failed authentication")
    sign_in(delivery, "02:58:44", ROOT, "Yes", MFAIdentifier=f"arn:aws:iam::{PRODUCTION}:mfa/root-account-mfa-device")
    delivery.call("02:59:30", ROOT, "iam:GetAccountSummary")
    delivery.call(
        "02:53:00",
        REPORTER,
        "sts:GetCallerIdentity",
        None,
        {"account": PRODUCTION, "arn": REPORTER.arn},
    )
    refused = (
        ("iam:ListUsers", "iam:ListUsers", f"arn:aws:iam::{PRODUCTION}:user/"),
        ("iam:ListAttachedUserPolicies", "iam:ListAttachedUserPolicies", "user svc-report"),
        ("secretsmanager:ListSecrets", "secretsmanager:ListSecrets", "*"),
        ("lambda:ListFunctions20150331", "lambda:ListFunctions", "*"),
        ("ses:GetAccountSendingEnabled", "ses:GetAccountSendingEnabled", "*"),
        ("organizations:DescribeOrganization", "organizations:DescribeOrganization", "*"),
        ("bedrock:ListFoundationModels", "bedrock:ListFoundationModels", "*"),
    )
    for second, (api, action, resource) in enumerate(refused):
        message = not_authorized(REPORTER, action, resource, f"because no identity-based policy allows the {action} action")
        delivery.call(f"02:53:{second + 10}", REPORTER, api, error=Error("AccessDenied", message))
    bucket = {"bucketName": "example-payroll-export", "Host": "example-payroll-export.s3.amazonaws.com"}
    delivery.call("02:54:01", REPORTER, "s3:ListBuckets", {"Host": "s3.amazonaws.com"})
    for second, api in enumerate(("s3:GetBucketAcl", "s3:GetBucketPolicy", "s3:PutBucketPolicy")):
        delivery.call(f"02:54:{second + 10}", REPORTER, api, bucket, error=Error("AccessDenied", "Access Denied"))
    return fill(delivery, 29)


def leaked_key_goes_on() -> Delivery:
    delivery = Delivery(PRODUCTION, VIRGINIA, "2026-11-10T03:20")
    delivery.call(
        "03:08:01",
        REPORTER,
        "iam:CreateUser",
        {"userName": "backup-admin"},
        error=Error(
            "AccessDenied",
            not_authorized(
                REPORTER,
                "iam:CreateUser",
                f"arn:aws:iam::{PRODUCTION}:user/backup-admin",
                "with an explicit deny in a service control policy:"
                f" arn:aws:organizations::{MANAGEMENT}:policy/{ORGANISATION}/service_control_policy/p-1a2b3c4d",
            ),
        ),
    )
    delivery.call(
        "03:09:12",
        REPORTER,
        "kms:Decrypt",
        {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "keyId": KEY},
        error=Error(
            "AccessDenied",
            not_authorized(REPORTER, "kms:Decrypt", KEY, "because no resource-based policy allows the kms:Decrypt action"),
        ),
        resources=[{"accountId": PRODUCTION, "type": "AWS::KMS::Key", "ARN": KEY}],
    )
    delivery.call(
        "03:09:30",
        REPORTER,
        "kms:Decrypt",
        error=Error(
            "AccessDenied",
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you"
            " are not allowed to access.",
        ),
    )
    delivery.call(
        "03:10:44",
        REPORTER,
        "ec2:RunInstances",
        launch_request("p5.48xlarge", count=8),
        error=unauthorized_operation(
            delivery,
            REPORTER,
            "ec2:RunInstances",
            f"arn:aws:ec2:us-east-1:{PRODUCTION}:instance/*",
            "because no identity-based policy allows the ec2:RunInstances action",
        ),
    )
    delivery.call(
        "03:11:02",
        REPORTER,
        "sts:AssumeRole",
        {"roleArn": f"arn:aws:iam::{PARTNER}:role/Admin", "roleSessionName": "x"},
        error=Error("AccessDenied", not_authorized(REPORTER, "sts:AssumeRole", f"arn:aws:iam::{PARTNER}:role/Admin")),
    )
    for second in range(12):
        delivery.call(
            f"03:12:{second + 10}",
            REPORTER.using("2001:db8:bad::1"),
            "ssm:DescribeParameters",
            {"maxResults": 50},
            error=THROTTLED if second > 2 else None,
        )
    delivery.call(
        "03:15:27",
        ALICE,
        "iam:UpdateAccessKey",
        {"userName": "svc-report", "accessKeyId": REPORTER.identity["accessKeyId"], "status": "Inactive"},
        readOnly=False,
    )
    return fill(delivery, 25)
