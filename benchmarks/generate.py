"""Realistic CloudTrail objects of any size, always the same for a seed.

An account's events are made of few callers and many calls: callers come in sessions, most calls are reads without a
response, some are big (RunInstances, policies), a twentieth fails. Ids, times and addresses are random for each record, so
that compression has as much to do as it has in life.
"""

from __future__ import annotations

import gzip
import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "us-west-2")
AGENTS = (
    "Boto3/1.40.61 md/Botocore#1.40.61 ua/2.1 os/linux#6.1.141 md/arch#x86_64 lang/python#3.13.7 md/pyimpl#CPython cfg/retry-mode#standard",
    "aws-sdk-go-v2/1.39.2 ua/2.1 os/linux lang/go#1.25.1 md/GOOS#linux md/GOARCH#arm64 api/ec2#1.254.0 m/C,E",
    "APN/1.0 HashiCorp/1.0 Terraform/1.13.3 (+https://www.terraform.io) terraform-provider-aws/6.14.0 aws-sdk-go-v2/1.39.0",
    "aws-cli/2.31.6 md/awscrt#0.27.6 ua/2.1 os/macos#24.6.0 md/arch#arm64 lang/python#3.13.7 exec-env/none cfg/retry-mode#standard",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "autoscaling.amazonaws.com",
)


def _hex(rng: random.Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def _key(rng: random.Random, kind: str) -> str:
    return kind + "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))


def _identity(rng: random.Random, account: str, number: int) -> dict[str, Any]:
    """A caller: six of ten are role sessions, as in accounts that are run by automation."""
    kind = rng.random()
    if kind < 0.62:
        role = f"{rng.choice(('deploy', 'app', 'ci', 'data', 'eks-node', 'reader'))}-{rng.choice(('prod', 'stage', 'shared'))}-{number % 17}"
        session = rng.choice((f"i-{_hex(rng, 17)}", f"botocore-session-{rng.randrange(10**9)}", f"user{number}@example.com"))
        principal = _key(rng, "AROA")[:21]
        return {
            "type": "AssumedRole",
            "principalId": f"{principal}:{session}",
            "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
            "accountId": account,
            "accessKeyId": _key(rng, "ASIA"),
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": principal,
                    "arn": f"arn:aws:iam::{account}:role/{role}",
                    "accountId": account,
                    "userName": role,
                },
                "attributes": {"creationDate": "2026-11-03T07:55:12Z", "mfaAuthenticated": "false"},
            },
        }
    if kind < 0.8:
        user = f"user-{number}"
        return {
            "type": "IAMUser",
            "principalId": _key(rng, "AIDA")[:21],
            "arn": f"arn:aws:iam::{account}:user/{user}",
            "accountId": account,
            "accessKeyId": _key(rng, "AKIA"),
            "userName": user,
        }
    return {
        "type": "AWSService",
        "invokedBy": rng.choice(("ec2", "autoscaling", "config", "lambda", "ecs-tasks")) + ".amazonaws.com",
    }


def _describe_instances(rng: random.Random) -> tuple[Any, Any]:
    return {
        "instancesSet": {"items": [{"instanceId": f"i-{_hex(rng, 17)}"} for _ in range(rng.randrange(1, 6))]},
        "filterSet": {},
    }, None


def _run_instances(rng: random.Random) -> tuple[Any, Any]:
    image, subnet, group = f"ami-{_hex(rng, 17)}", f"subnet-{_hex(rng, 17)}", f"sg-{_hex(rng, 17)}"
    kind = rng.choice(("m7i.large", "c7g.xlarge", "t4g.medium", "r7i.4xlarge"))
    items = [
        {
            "instanceId": f"i-{_hex(rng, 17)}",
            "imageId": image,
            "instanceState": {"code": 0, "name": "pending"},
            "privateDnsName": f"ip-10-0-{rng.randrange(256)}-{rng.randrange(256)}.eu-central-1.compute.internal",
            "amiLaunchIndex": number,
            "instanceType": kind,
            "launchTime": 1793952862000,
            "placement": {"availabilityZone": "eu-central-1a", "tenancy": "default"},
            "monitoring": {"state": "pending"},
            "subnetId": subnet,
            "vpcId": f"vpc-{_hex(rng, 17)}",
            "privateIpAddress": f"10.0.{rng.randrange(256)}.{rng.randrange(256)}",
            "groupSet": {"items": [{"groupId": group, "groupName": "web"}]},
            "tagSet": {"items": [{"key": "Name", "value": f"web-{rng.randrange(1000)}"}, {"key": "team", "value": "shop"}]},
        }
        for number in range(rng.randrange(1, 4))
    ]
    request = {
        "instancesSet": {"items": [{"imageId": image, "minCount": 1, "maxCount": len(items)}]},
        "instanceType": kind,
        "blockDeviceMapping": {
            "items": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": 80, "volumeType": "gp3", "encrypted": True}}]
        },
        "subnetId": subnet,
        "clientToken": str(uuid.UUID(int=rng.getrandbits(128))),
    }
    return request, {
        "requestId": str(uuid.UUID(int=rng.getrandbits(128))),
        "reservationId": f"r-{_hex(rng, 17)}",
        "instancesSet": {"items": items},
    }


def _put_policy(rng: random.Random) -> tuple[Any, Any]:
    statements = [
        {
            "Sid": f"Statement{number}",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::bucket-{_hex(rng, 8)}", f"arn:aws:s3:::bucket-{_hex(rng, 8)}/*"],
        }
        for number in range(rng.randrange(1, 8))
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return {"roleName": f"role-{rng.randrange(100)}", "policyName": "inline", "policyDocument": policy}, None


def _get_object(rng: random.Random) -> tuple[Any, Any]:
    return {
        "bucketName": f"data-{rng.randrange(9)}",
        "Host": "data.s3.eu-central-1.amazonaws.com",
        "key": f"year=2026/part-{_hex(rng, 24)}.parquet",
    }, None


def _assume_role(rng: random.Random) -> tuple[Any, Any]:
    role = f"arn:aws:iam::444455556666:role/app-prod-{rng.randrange(20)}"
    session = f"session-{rng.randrange(10**9)}"
    response = {
        "credentials": {"accessKeyId": _key(rng, "ASIA"), "sessionToken": "HIDDEN", "expiration": "Nov 3, 2026, 9:14:22 AM"},
        "assumedRoleUser": {"assumedRoleId": f"{_key(rng, 'AROA')[:21]}:{session}", "arn": f"{role}/{session}"},
    }
    return {"roleArn": role, "roleSessionName": session, "durationSeconds": 3600}, response


def _list(rng: random.Random) -> tuple[Any, Any]:
    return ({"maxResults": 100, "nextToken": _hex(rng, 40)} if rng.random() < 0.5 else None), None


def _create_tags(rng: random.Random) -> tuple[Any, Any]:
    tags = [{"key": f"tag{number}", "value": _hex(rng, 12)} for number in range(rng.randrange(2, 9))]
    return {"resourcesSet": {"items": [{"resourceId": f"vol-{_hex(rng, 17)}"}]}, "tagSet": {"items": tags}}, {
        "requestId": _hex(rng, 32),
        "_return": True,
    }


@dataclass(frozen=True, slots=True)
class _Call:
    weight: int
    source: str
    name: str
    read: bool
    details: Callable[[random.Random], tuple[Any, Any]]


_CALLS = (
    _Call(22, "ec2", "DescribeInstances", True, _describe_instances),
    _Call(14, "sts", "AssumeRole", True, _assume_role),
    _Call(12, "s3", "GetObject", True, _get_object),
    _Call(9, "iam", "ListRoles", True, _list),
    _Call(
        8,
        "kms",
        "Decrypt",
        True,
        lambda rng: (
            {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "encryptionContext": {"aws:s3:arn": f"arn:aws:s3:::{_hex(rng, 12)}"}},
            None,
        ),
    ),
    _Call(
        8,
        "logs",
        "CreateLogStream",
        False,
        lambda rng: ({"logGroupName": "/aws/lambda/app", "logStreamName": f"2026/11/03/[$LATEST]{_hex(rng, 32)}"}, None),
    ),
    _Call(7, "ec2", "CreateTags", False, _create_tags),
    _Call(
        6,
        "ecs",
        "DescribeTasks",
        True,
        lambda rng: ({"cluster": "shop", "tasks": [f"arn:aws:ecs:eu-central-1:111122223333:task/shop/{_hex(rng, 32)}"]}, None),
    ),
    _Call(5, "ec2", "RunInstances", False, _run_instances),
    _Call(4, "iam", "PutRolePolicy", False, _put_policy),
    _Call(5, "cloudwatch", "DescribeAlarms", True, _list),
)


def records(seed: int, count: int, callers_seed: int = 0) -> Iterator[str]:
    """Texts of records, compact as CloudTrail writes them. Objects with one `callers_seed` have the same 150 sessions."""
    rng = random.Random(seed)
    account = "111122223333"
    sessions = random.Random(callers_seed)
    callers = [_identity(sessions, account, number) for number in range(150)]
    popular = [max(1, int(150 / (number + 1))) for number in range(150)]
    weights = [call.weight for call in _CALLS]
    start = datetime(2026, 11, 3, 8, tzinfo=UTC)
    for number in range(count):
        call = rng.choices(_CALLS, weights)[0]
        caller = rng.choices(callers, popular)[0]
        request, response = call.details(rng)
        region = rng.choice(REGIONS)
        record: dict[str, Any] = {
            "eventVersion": "1.11",
            "userIdentity": caller,
            "eventTime": (start + timedelta(milliseconds=number * 7)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": f"{call.source}.amazonaws.com",
            "eventName": call.name,
            "awsRegion": region,
            "sourceIPAddress": caller.get("invokedBy") or f"198.51.100.{rng.randrange(256)}",
            "userAgent": caller.get("invokedBy") or rng.choice(AGENTS),
        }
        if rng.random() < 0.05:
            record["errorCode"] = "AccessDenied"
            record["errorMessage"] = (
                f"User: {caller.get('arn', 'service')} is not authorized to perform: {call.source}:{call.name} on resource: "
                f"arn:aws:{call.source}:{region}:{account}:x/{_hex(rng, 12)} because no identity-based policy allows the action"
            )
            response = None
        record |= {
            "requestParameters": request,
            "responseElements": response,
            "requestID": str(uuid.UUID(int=rng.getrandbits(128))),
            "eventID": str(uuid.UUID(int=rng.getrandbits(128))),
            "readOnly": call.read,
        }
        if call.source in ("s3", "kms", "sts"):
            record["resources"] = [
                {
                    "accountId": account,
                    "type": f"AWS::{call.source.upper()}::Thing",
                    "ARN": f"arn:aws:{call.source}:::{_hex(rng, 24)}",
                }
            ]
        record |= {
            "eventType": "AwsApiCall",
            "managementEvent": call.name != "GetObject",
            "recipientAccountId": account,
            "eventCategory": "Data" if call.name == "GetObject" else "Management",
        }
        if "invokedBy" not in caller:
            record["tlsDetails"] = {
                "tlsVersion": "TLSv1.3",
                "cipherSuite": "TLS_AES_128_GCM_SHA256",
                "clientProvidedHostHeader": f"{call.source}.{region}.amazonaws.com",
            }
        yield json.dumps(record, separators=(",", ":"))


def key(number: int) -> str:
    """A trail's key for the object of this number."""
    return (
        "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/03/"
        f"111122223333_CloudTrail_eu-central-1_20261103T0810Z_{number:016d}.json.gz"
    )


def write_object(path: Path, texts: Iterator[str]) -> int:
    """Write one object and give its inflated size."""
    size = 0
    with gzip.GzipFile(path, "wb", compresslevel=6, mtime=0) as stream:
        size += stream.write(b'{"Records":[')
        for number, text in enumerate(texts):
            size += stream.write((b"," if number else b"") + text.encode())
        size += stream.write(b"]}")
    return size


def repeated(samples: Path, seed: int, count: int) -> Iterator[str]:
    """The records of real objects in `samples`, again and again with fresh ids."""
    rng = random.Random(seed)
    found = []
    for path in sorted(samples.rglob("*.json.gz")):
        found += json.loads(gzip.decompress(path.read_bytes())).get("Records", [])
    for number in range(count):
        record = found[number % len(found)]
        if "eventID" in record:
            record["eventID"] = str(uuid.UUID(int=rng.getrandbits(128)))
        yield json.dumps(record, separators=(",", ":"))
