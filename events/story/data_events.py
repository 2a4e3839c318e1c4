"""Data events, what is added to records, and an hour with much to do."""

from __future__ import annotations

from .actors import (
    ALICE_AT_THE_CONSOLE,
    CARLOS,
    DEPLOYER,
    OTHER_SERVER,
    PRODUCTION,
    REPORTER,
    TERRAFORM,
    iam_user,
    role_session,
    service,
)
from .calls import FRANKFURT, not_authorized
from .records import Delivery, Error
from .routine import fill


def data_events() -> Delivery:
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-14T09:05")
    for number in range(18):
        name = f"2026/10/gehalt-{number:03d}.csv" if number % 3 else f"2026/10/Übersicht {number}+final.csv"
        bucket = "example-payroll-export" if number % 2 else "example-shop-assets"
        stranger = number in (5, 11)
        actor = REPORTER if stranger else OTHER_SERVER
        delivery.call(
            delivery.some_time(),
            actor,
            "s3:GetObject",
            {"bucketName": bucket, "key": name, "Host": f"{bucket}.s3.eu-central-1.amazonaws.com"},
            error=Error("AccessDenied", "Access Denied") if stranger else None,
            additionalEventData={
                "SignatureVersion": "SigV4",
                "bytesTransferredIn": 0,
                "bytesTransferredOut": 243 if stranger else 9007199254740993 + number,
                "SSEApplied": "SSE_KMS",
            },
            resources=[
                {"type": "AWS::S3::Object", "ARNPrefix": f"arn:aws:s3:::{bucket}/"},
                {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{bucket}/{name}"},
                {"accountId": PRODUCTION, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{bucket}"},
            ],
            vpcEndpointId="vpce-0e8f90123a4b5c6d7",
            vpcEndpointAccountId=PRODUCTION,
            managementEvent=False,
            eventCategory="Data",
        )
    for number in range(10):
        function = f"arn:aws:lambda:eu-central-1:{PRODUCTION}:function:{'checkout' if number % 2 else 'thumbnails'}"
        delivery.call(
            delivery.some_time(),
            service("events") if number % 2 else DEPLOYER,
            "lambda:Invoke",
            {"functionName": function, "invocationType": "Event", "clientContext": "ewogIH0="},
            error=Error("TooManyRequestsException", "Rate Exceeded.") if number == 8 else None,
            readOnly=False,
            additionalEventData={"functionVersion": f"{function}:$LATEST"},
            resources=[{"accountId": PRODUCTION, "type": "AWS::Lambda::Function", "ARN": function}],
            managementEvent=False,
            eventCategory="Data",
        )
    return delivery


def enriched_events() -> Delivery:
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-14T09:20")
    bucket = "arn:aws:s3:::example-payroll-export"
    context = {
        "requestContext": {"aws:SourceIp": "192.0.2.44", "aws:SecureTransport": "true", "s3:signatureversion": "AWS4"},
        "tagContext": {
            "resourceTags": [{"arn": bucket, "tags": {"Datenklasse": "vertraulich", "CostCentre": "4711"}}],
            "principalTags": {"Team": "payroll-export", "Büro": "Zürich"},
        },
    }
    for at, api in (("09:10:01", "s3:PutBucketTagging"), ("09:11:30", "s3:GetBucketEncryption")):
        delivery.call(at, ALICE_AT_THE_CONSOLE, api, {"bucketName": "example-payroll-export"}, eventContext=context)
    late = delivery.call(
        "09:12:07",
        CARLOS,
        "athena:StartQueryExecution",
        {"queryString": "SELECT * FROM payroll_export WHERE region = 'München'", "workGroup": "primary"},
        {"queryExecutionId": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"},
        addendum={"reason": "DELIVERY_DELAY"},
    )
    delivery.call(
        "09:12:07",
        CARLOS,
        "athena:StartQueryExecution",
        {"queryString": "SELECT * FROM payroll_export WHERE region = 'München'", "workGroup": "payroll-export"},
        {"queryExecutionId": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"},
        addendum={
            "reason": "UPDATED_DATA",
            "updatedFields": "requestParameters",
            "originalRequestID": late["requestID"],
            "originalEventID": late["eventID"],
        },
    )
    delivery.call(
        "09:13:50",
        ALICE_AT_THE_CONSOLE,
        "s3:PutObject",
        {"bucketName": "example-payroll-export", "key": "2026/11/Lohnlauf.csv"},
        managementEvent=False,
        eventCategory="Data",
        error=Error(
            "AccessDenied",
            not_authorized(
                ALICE_AT_THE_CONSOLE,
                "s3:PutObject",
                f"{bucket}/2026/11/Lohnlauf.csv",
                "with an explicit deny in a resource-based policy",
            ),
        ),
        eventContext=context,
    )
    return fill(delivery, 31)


def busy_quarter_of_an_hour() -> Delivery:
    """Enough everyday calls to make an object of several gzip members."""
    delivery = Delivery(PRODUCTION, FRANKFURT, "2026-11-17T08:15")
    nobody = role_session("terraform-plan", "plan-812", "2001:db8:42::7", TERRAFORM)
    for second, api in enumerate(("ec2:DescribeVpcs", "iam:GetRole", "s3:GetBucketPolicy", "ec2:DescribeImages") * 2):
        error = Error("NoSuchBucketPolicy", "The bucket policy does not exist") if api == "s3:GetBucketPolicy" else None
        delivery.call(f"08:03:{second + 10}", nobody, api, error=error)
    ci_user = iam_user("ci", "198.51.100.201", TERRAFORM)
    delivery.call("08:04:00", ci_user, "codebuild:StartBuild", {"projectName": "shop"}, readOnly=False)
    return fill(delivery, 51)
