"""A made-up account in which calls fail and things change, so that each answer about it is known beforehand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.engines import TestEngine
from tests.support.questions import fill

ACCOUNT, OTHER, MANAGEMENT = "111122223333", "444455556666", "999988887777"
REGION = "eu-central-1"
HOME = "192.0.2.44"


def user(name: str, account: str = ACCOUNT, key: str = "AKIAEXAMPLE0000000") -> dict[str, Any]:
    """The identity of an IAM user."""
    arn = f"arn:aws:iam::{account}:user/{name}"
    principal = f"AIDA{name.upper():X<12}EXAMPLE"
    return {"type": "IAMUser", "principalId": principal, "arn": arn, "accountId": account, "accessKeyId": key, "userName": name}


def session(
    role: str,
    name: str,
    key: str = "ASIAEXAMPLE0000000",
    account: str = ACCOUNT,
    *,
    creation: str = "2026-11-20T08:00:00Z",
    **context: Any,
) -> dict[str, Any]:
    """The identity of a session of a role; `context` is what else its sessionContext has."""
    principal = role_id(role)
    issuer = {
        "type": "Role",
        "principalId": principal,
        "arn": f"arn:aws:iam::{account}:role/{role}",
        "accountId": account,
        "userName": role,
    }
    attributes = {"creationDate": creation, "mfaAuthenticated": "false"}
    return {
        "type": "AssumedRole",
        "principalId": f"{principal}:{name}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        "accountId": account,
        "accessKeyId": key,
        "sessionContext": {"sessionIssuer": issuer, "attributes": attributes, **context},
    }


def role_id(role: str) -> str:
    """The unique id of a role."""
    return f"AROA{''.join(sign for sign in role.upper() if sign.isalnum()):X<14.14}EX"


def call(identity: str, time: str, api: str, who: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A record: `time` is of 20 November 2026 where it is only an hour; `more` are the record's own fields."""
    service, _, name = api.partition(":")
    reads = name.startswith(("Describe", "Get", "List"))
    return {
        "eventVersion": "1.11",
        "userIdentity": dict(who),
        "eventTime": time if "T" in time else f"2026-11-20T{time}Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": HOME,
        "userAgent": "aws-cli/2.31.0",
        "requestParameters": None,
        "responseElements": None,
        "requestID": f"request-{identity}",
        "eventID": identity,
        "readOnly": reads,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": str(who.get("accountId") or ACCOUNT),
        "eventCategory": "Management",
    } | more


def denied(message: str, code: str = "AccessDenied") -> dict[str, Any]:
    """The fields of an error."""
    return {"errorCode": code, "errorMessage": message}


def put(
    engine: TestEngine, records: Iterable[Mapping[str, Any]], folder: Path, versions: Iterable[Mapping[str, Any]] = ()
) -> None:
    """Index records by the way of the function, and versions of AWS Config as they are; `folder` is for files."""
    listed = list(records)
    objects = folder / "objects"
    objects.mkdir(parents=True)
    name = f"{ACCOUNT}_CloudTrail_{REGION}_20261120T1200Z_AbCdEfGhIjKlMnOp.json.gz"
    (objects / name).write_bytes(gzip.compress(json.dumps({"Records": listed}).encode()))
    assert fill(engine, objects, folder) == len(listed)
    for version in versions:
        body = {key: value for key, value in version.items() if key != "id"}
        engine.put(f"/{engine.prefix}config-history-2026.11/_doc/{version['id']}", body)
    engine.refresh()


def version(identity: str, time: str, kind: str, name: str, *lines: str, **more: Any) -> dict[str, Any]:
    """A version that AWS Config recorded, with the lines of what changed."""
    return {
        "id": identity,
        "resourceType": kind,
        "resourceId": name,
        "resourceName": name,
        "awsAccountId": ACCOUNT,
        "awsRegion": REGION,
        "configurationItemCaptureTime": f"2026-11-20T{time}.000Z",
        "configurationItemStatus": "OK",
        "cfg": {"resource": f"{ACCOUNT}|{REGION}|{kind}|{name}", "changeLines": list(lines)},
    } | more


SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:prod/db-a1b2c3"
POLICY, ANOTHER_POLICY = f"arn:aws:iam::{ACCOUNT}:policy/read-secrets", f"arn:aws:iam::{ACCOUNT}:policy/other"
SCP = f"arn:aws:organizations::{MANAGEMENT}:policy/o-exampleorg1/service_control_policy/p-2kgnabcd"
CODED = "XQ_jqde5rHje6j9P-qke7-HNpHWzSWvxYobhcCPSpfOmLTkOylRBKd0eE4Xx4U_E"
CODE_OF_ALICE = "Client.UnauthorizedOperation"


def _iam(identity: str, time: str, name: str, **request: str) -> dict[str, Any]:
    """A call to IAM by bob, which CloudTrail has in us-east-1."""
    return call(identity, time, f"iam:{name}", user("bob"), awsRegion="us-east-1", requestParameters=request)


def _secret(identity: str, time: str, who: dict[str, Any], **more: Any) -> dict[str, Any]:
    request = {"secretId": SECRET}
    return call(identity, time, "secretsmanager:GetSecretValue", who, requestParameters=request, **more)


def _no_policy(role: str, name: str) -> dict[str, Any]:
    who = f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name} is not authorized to perform: secretsmanager:GetSecretValue"
    text = f"{who} on resource: {SECRET} because no identity-based policy allows the secretsmanager:GetSecretValue action"
    return denied(text, "AccessDeniedException")


def permissions() -> list[dict[str, Any]]:
    """A role that may read a secret until somebody takes its policy away, among calls that look like it and are not."""
    reporter = session("reporter", "job-1")
    later = session("reporter", "job-2", "ASIAEXAMPLE0000002")
    return [
        _iam("attach", "07:00:00", "AttachRolePolicy", roleName="reporter", policyArn=POLICY),
        _secret("good", "08:30:00", reporter),
        _iam("new-version", "09:00:00", "CreatePolicyVersion", policyArn=POLICY),
        _iam("other-version", "09:01:00", "CreatePolicyVersion", policyArn=ANOTHER_POLICY),
        _iam("elsewhere", "09:02:00", "AttachRolePolicy", roleName="other", policyArn=POLICY),
        _iam("detach", "09:10:00", "DetachRolePolicy", roleName="reporter", policyArn=POLICY),
        _iam("in-vain", "09:11:00", "DetachRolePolicy", roleName="reporter", policyArn=POLICY) | denied("no", "AccessDenied"),
        _iam("same-name", "09:12:00", "TagUser", userName="reporter"),
        call("rotated", "09:30:00", "secretsmanager:RotateSecret", user("bob"), requestParameters={"secretId": SECRET}),
        _secret("bad", "10:00:00", later, sourceIPAddress="203.0.113.9", **_no_policy("reporter", "job-2")),
        _secret("bad-too", "10:05:00", session("batch", "run"), **_no_policy("batch", "run")),
        _iam("after", "10:30:00", "AttachRolePolicy", roleName="reporter", policyArn=POLICY),
        _secret("good-again", "11:00:00", later),
    ]


def organisation() -> list[dict[str, Any]]:
    """A policy of the organisation, which is changed in the management account, and denies in another."""
    boss, dana = user("boss", MANAGEMENT), session("Developer", "dana", account=OTHER)
    text = (
        f"User: {dana['arn']} is not authorized to perform: rds:CreateDBInstance on resource: arn:aws:rds:eu-west-1:{OTHER}:db:x"
    )
    deny = denied(f"{text} with an explicit deny in a service control policy: {SCP}")
    update = {"awsRegion": "us-east-1"}
    return [
        call("scp", "09:30:00", "organizations:UpdatePolicy", boss, requestParameters={"policyId": "p-2kgnabcd"}, **update),
        call("other-scp", "09:31:00", "organizations:UpdatePolicy", boss, requestParameters={"policyId": "p-9zzzzzzz"}, **update),
        call("by-scp", "10:00:00", "rds:CreateDBInstance", dana, requestParameters={"dBInstanceIdentifier": "x"}, **deny),
    ]


def limits() -> list[dict[str, Any]]:
    """A quota that others fill, a request for a higher one, a dry run, and calls that are too many."""
    alice, bob = user("alice"), user("bob")
    full = denied(
        "You have requested more instances (25) than your current instance limit of 20 allows", "Client.InstanceLimitExceeded"
    )
    dry = denied("Request would have succeeded, but DryRun flag is set.", "Client.DryRunOperation")
    slow = denied("Rate exceeded", "ThrottlingException")
    quota = {"serviceCode": "ec2", "quotaCode": "L-1216C47A"}
    return [
        call("dry", "08:00:00", "ec2:RunInstances", alice, requestParameters={"instanceType": "m7i.large"}, **dry),
        call("filled", "09:40:00", "ec2:RunInstances", bob, requestParameters={"instanceType": "m7i.large"}),
        call("asked", "09:45:00", "servicequotas:RequestServiceQuotaIncrease", bob, requestParameters=quota),
        call("abroad", "09:46:00", "ec2:RunInstances", bob, awsRegion="us-west-2"),
        call("full", "10:00:00", "ec2:RunInstances", alice, requestParameters={"instanceType": "m7i.large"}, **full),
        *(call(f"many-{number}", f"10:00:{30 + number}", "tagging:GetResources", bob) for number in range(5)),
        call("slow", "10:00:50", "tagging:GetResources", alice, **slow),
    ]


def groups() -> list[dict[str, Any]]:
    """A user who may something by a group, which loses it; EC2 tells the reason in an encoded message alone."""
    alice = user("alice")
    coded = f"You are not authorized to perform this operation. Encoded authorization failure message: {CODED}"
    request = {"instancesSet": {"items": [{"instanceId": "i-0a1b2c3d4e5f60718"}]}}
    return [
        _iam("joined", "06:00:00", "AddUserToGroup", userName="alice", groupName="devs"),
        _iam("others", "06:01:00", "AddUserToGroup", userName="carol", groupName="ops"),
        call("started", "08:40:00", "ec2:StartInstances", alice, requestParameters=request),
        _iam("group-lost", "09:20:00", "DetachGroupPolicy", groupName="devs", policyArn=ANOTHER_POLICY),
        _iam("ops-lost", "09:21:00", "DetachGroupPolicy", groupName="ops", policyArn=ANOTHER_POLICY),
        call("coded", "10:10:00", "ec2:StartInstances", alice, requestParameters=request, **denied(coded, CODE_OF_ALICE)),
    ]


def buckets() -> list[dict[str, Any]]:
    """A bucket whose policy denies since it was changed, and a VPC endpoint with a policy; both texts try to trick a terminal."""
    eve = user("eve\x1b[31m\u202e")
    name = "arn:aws:s3:::payroll/2026/\x1b]0;x\x07<b>.csv"
    who = f"User: {eve['arn']} is not authorized to perform: s3:PutObject on resource: "
    deny = denied(f'{who}"{name}" with an explicit deny in a resource-based policy')
    through = denied(
        f"User: {eve['arn']} is not authorized to perform: s3:GetObject "
        "because no VPC endpoint policy allows the s3:GetObject action"
    )
    listed = {"resources": [{"ARN": "arn:aws:s3:::payroll", "type": "AWS::S3::Bucket"}]}
    vpce = "vpce-0aaaabbbbccccdddd"
    return [
        call("policy", "09:50:00", "s3:PutBucketPolicy", user("bob"), requestParameters={"bucketName": "payroll"}),
        call("other-bucket", "09:51:00", "s3:PutBucketPolicy", user("bob"), requestParameters={"bucketName": "payroll-2"}),
        call("refused", "10:00:00", "s3:PutObject", eve, requestParameters={"bucketName": "payroll"}, **listed, **deny),
        call("vpce", "09:55:00", "ec2:ModifyVpcEndpoint", user("bob"), requestParameters={"vpcEndpointId": vpce}),
        call("endpoint", "10:20:00", "s3:GetObject", eve, vpcEndpointId=vpce, **listed, **through),
    ]


def everything() -> list[dict[str, Any]]:
    """All of it."""
    return [*permissions(), *organisation(), *limits(), *groups(), *buckets()]


def versions() -> list[dict[str, Any]]:
    """What AWS Config recorded of it, and a version of somebody else."""
    return [
        version("item-role", "09:15:00", "AWS::IAM::Role", "reporter", "- attachedManagedPolicies read-secrets"),
        version("item-other", "09:16:00", "AWS::IAM::Role", "other", "+ attachedManagedPolicies read-secrets"),
        version("item-late", "10:31:00", "AWS::IAM::Role", "reporter", "+ attachedManagedPolicies read-secrets"),
        version("item-bucket", "09:52:00", "AWS::S3::Bucket", "payroll", "~ supplementaryConfiguration.BucketPolicy"),
    ]
