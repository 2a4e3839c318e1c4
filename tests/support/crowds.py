"""A made-up account with more of everything than a question looks at, and of some things exactly as many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.incidents import ACCOUNT, REGION, call, denied, session, user, version
from tests.support.sessions import key

Json = dict[str, Any]
GROUP, NAMED, ADDRESS = "sg-0c0c0c0c0c0c0c0c0", "crowd", "203.0.113.200"
FAR, EXACT = "sg-0d0d0d0d0d0d0d0d0", "sg-0e0e0e0e0e0e0e0e0"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:crowd-a1b2c3"
QUIET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:quiet-a1b2c3"
_ZOE = "zoe"


def _clock(number: int, hour: int = 6) -> str:
    return f"{hour + number // 3_600:02}:{number // 60 % 60:02}:{number % 60:02}"


def _iam(name: str, number: int, mark: str, **request: str) -> Json:
    who = user("bob")
    return call(f"{mark}-{number}", _clock(number), f"iam:{name}", who, awsRegion="us-east-1", requestParameters=request)


def of_a_resource() -> Iterator[Json]:
    """Calls that change, use, fail at and read one group."""
    for number in range(21):
        named = {"groupId": GROUP}
        yield call(f"changed-{number}", _clock(number), "ec2:AuthorizeSecurityGroupIngress", user("ana"), requestParameters=named)
        yield call(f"used-{number}", _clock(number), "ec2:RunInstances", user("ana"), requestParameters={"groupSet": [named]})
        yield call(
            f"failed-{number}",
            _clock(number),
            "ec2:DeleteSecurityGroup",
            user("ana"),
            requestParameters=named,
            **denied("no"),
        )
    named = {"groupId": GROUP}
    for number in range(2_000):
        yield call(f"read-{number}", _clock(number), "ec2:DescribeSecurityGroups", user("ana"), requestParameters=named)
    for number in range(20):
        named = {"groupId": EXACT}
        yield call(f"exact-{number}", _clock(number), "ec2:AuthorizeSecurityGroupIngress", user("ana"), requestParameters=named)


def of_a_session() -> Iterator[Json]:
    """A chain of twelve sessions, the last of which changes a group from an address that many had."""
    who = user("ana", key="AKIAANA00000000001")
    for number in range(12):
        gives, role = key(f"hop{number}"), f"role{number}"
        response = {"credentials": {"accessKeyId": gives}}
        request = {"roleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}", "roleSessionName": "x"}
        more = {"requestParameters": request, "responseElements": response, "readOnly": True}
        yield call(f"hop-{number}", _clock(number), "sts:AssumeRole", who, **more)
        who = session(role, "x", gives)
    named = {"groupId": FAR}
    yield call("far", "09:00:00", "ec2:AuthorizeSecurityGroupIngress", who, requestParameters=named, sourceIPAddress=ADDRESS)


def of_a_denial() -> Iterator[Json]:
    """What may have taken zoe's permissions: of each kind more than is looked at."""
    for number in range(201):
        yield _iam("PutUserPolicy", number, "put", userName=_ZOE, policyName=f"p{number}")
    for number in range(11):
        yield _iam("AddUserToGroup", 300 + number, "joined", userName=_ZOE, groupName=f"team-{number:02}")
        yield _iam("AttachUserPolicy", 320 + number, "attached", userName=_ZOE, policyArn=_policy(number))
    for number in range(51):
        yield _iam("PutGroupPolicy", number, "group", groupName="team-00", policyName=f"g{number}")
        yield _iam("CreatePolicyVersion", number, "policy", policyArn=_policy(0))
        yield call(f"scp-{number}", _clock(number), "organizations:AttachPolicy", user("bob"), requestParameters={"n": number})
        yield call(f"sso-{number}", _clock(number), "sso:PutInlinePolicyToPermissionSet", user("bob"), requestParameters={})
        yield call(
            f"put-secret-{number}",
            _clock(number),
            "secretsmanager:PutSecretValue",
            user("bob"),
            requestParameters={"secretId": SECRET},
        )
    for number in range(50):
        yield call(
            f"put-quiet-{number}",
            _clock(number),
            "secretsmanager:PutSecretValue",
            user("bob"),
            requestParameters={"secretId": QUIET},
        )
    for name, who, secret in (
        ("denied", user(_ZOE), SECRET),
        ("denied-quiet", user("max"), QUIET),
        ("denied-sso", session("AWSReservedSSO_Crowd_0f1e2d3c4b5a6978", "zoe@example.com", key("sso")), SECRET),
    ):
        said = (
            f"User: {who['arn']} is not authorized to perform: secretsmanager:GetSecretValue on resource: {secret} because no "
            "identity-based policy allows the secretsmanager:GetSecretValue action"
        )
        more = {"requestParameters": {"secretId": secret}, "readOnly": True}
        yield call(name, "10:00:00", "secretsmanager:GetSecretValue", who, **more, **denied(said))
    ids = {"items": [{"instanceId": f"i-{number:017x}"} for number in range(11)]}
    no = {"requestParameters": {"instancesSet": ids}, **denied("no", "Client.UnauthorizedOperation")}
    yield call("denied-many", "10:00:00", "ec2:TerminateInstances", user("max"), **no)
    for number in range(201):
        yield call(f"fred-{number}", _clock(number), "s3:GetObject", user("fred"), readOnly=True, **denied("Access Denied"))


def of_a_quota() -> Iterator[Json]:
    """What fills a quota after kim's last success, requests for another one, and a call that differs from it in much."""
    mine = {"requestParameters": _options("then")}
    yield call("success", "05:00:00", "ec2:AllocateAddress", user("kim"), **mine)
    for number in range(51):
        wanted = {"requestParameters": {"serviceCode": "ec2", "desiredValue": number}}
        yield call(f"quota-{number}", _clock(number), "servicequotas:RequestServiceQuotaIncrease", user("bob"), **wanted)
        yield call(f"made-{number}", _clock(number), "ec2:AllocateAddress", user("lee"), requestParameters={})
    full = denied("The maximum number of addresses has been reached.", "Client.AddressLimitExceeded")
    yield call("full", "10:00:00", "ec2:AllocateAddress", user("kim"), requestParameters=_options("now"), **full)


def _options(value: str) -> dict[str, str]:
    return {f"option{number:02}": value for number in range(13)}


def _policy(number: int) -> str:
    return f"arn:aws:iam::{ACCOUNT}:policy/crowd-{number:02}"


def records() -> list[Json]:
    """All calls."""
    return [*of_a_resource(), *of_a_session(), *of_a_denial(), *of_a_quota()]


def versions() -> list[Json]:
    """Versions of the group and of the secret, and more resources of one name and of one address than are looked at."""
    found = [
        version(f"group-{number}", _clock(number), "AWS::EC2::SecurityGroup", GROUP, resourceName=None) for number in range(501)
    ]
    found += [
        version(f"secret-{number}", _clock(number), "AWS::SecretsManager::Secret", SECRET, ARN=SECRET) for number in range(51)
    ]
    for number in range(101):
        found.append(version(f"named-{number}", "06:00:00", "AWS::EC2::Volume", f"vol-{number:017x}", resourceName=NAMED))
    for number in range(51):
        name = f"eni-{number:017x}"
        found.append(version(name, "06:00:00", "AWS::EC2::NetworkInterface", name, configuration={"address": ADDRESS}))
    return found
