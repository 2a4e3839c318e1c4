"""A made-up account's resources with lives that are known beforehand: opened, renamed, deleted, not recorded, hostile."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support import incidents
from tests.support.cli import run
from tests.support.engines import TestEngine
from tests.support.incidents import ACCOUNT, OTHER, REGION, call, user
from tests.support.questions import to

Json = dict[str, Any]
GROUP, OTHERS_GROUP = "sg-0aaaaaaaaaaaaaaaa", "sg-0bbbbbbbbbbbbbbbb"
INSTANCE, VOLUME, VPC, INTERFACE = (
    "i-0aaaaaaaaaaaaaaaa",
    "vol-0aaaaaaaaaaaaaaaa",
    "vpc-0aaaaaaaaaaaaaaaa",
    "eni-0aaaaaaaaaaaaaaaa",
)
BUSY = "vol-0cccccccccccccccc"
HOSTILE_NAME = '</script><img src=x onerror="window.pwned=1">\'&amp;\u2028\u202e\x1b[31m${7*7}{{x}}'
HOSTILE = "lt-0aaaaaaaaaaaaaaaa"
_TITLES = {
    "AWS::EC2::SecurityGroup": "Is associated with SecurityGroup",
    "AWS::EC2::Volume": "Is attached to Volume",
    "AWS::EC2::VPC": "Is contained in Vpc",
    "AWS::EC2::NetworkInterface": "Contains NetworkInterface",
    "AWS::EC2::Instance": "Is attached to Instance",
    "AWS::EC2::LaunchTemplate": "Is made of LaunchTemplate",
    "AWS::IAM::Role": "Is used as Role",
}
_SSH = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": ["0.0.0.0/0"]}


def item(kind: str, identity: str, at: str, *related: tuple[str, str], **fields: Any) -> Json:
    """A configuration item of 20 November 2026; `related` are types and ids, `fields` replace or add."""
    whole = f"AWS::EC2::{kind}" if "::" not in kind else kind
    when = at if "T" in at else f"2026-11-20T{at}.000Z"
    return {
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": when,
        "configurationStateId": "".join(sign for sign in when if sign.isdigit()),
        "awsAccountId": ACCOUNT,
        "configurationItemStatus": "OK",
        "resourceType": whole,
        "resourceId": identity,
        "awsRegion": REGION,
        "tags": {},
        "relatedEvents": [],
        "relationships": [
            {"resourceType": kind, "resourceId": name, "relationshipName": _TITLES[kind]} for kind, name in related
        ],
        "configuration": {"id": identity},
        "supplementaryConfiguration": {},
    } | fields


def _group(at: str, *, opened: bool, **fields: Any) -> Json:
    rules = [_SSH] if opened else []
    return item(
        "SecurityGroup",
        GROUP,
        at,
        ("AWS::EC2::VPC", VPC),
        resourceName="web",
        ARN=f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{GROUP}",
        configuration={"groupId": GROUP, "ipPermissions": rules},
        **fields,
    )


def _gone(kind: str, identity: str, at: str, **fields: Any) -> Json:
    return item(kind, identity, at, configurationItemStatus="ResourceDeleted", configuration=None) | fields


def items() -> list[Json]:
    """All of them but for the busy volume."""
    group, vpc, volume = ("AWS::EC2::SecurityGroup", GROUP), ("AWS::EC2::VPC", VPC), ("AWS::EC2::Volume", VOLUME)
    interface, template = ("AWS::EC2::NetworkInterface", INTERFACE), ("AWS::EC2::LaunchTemplate", HOSTILE)
    role = ("AWS::IAM::Role", "AROAEXAMPLE")
    made = {"resourceCreationTime": "2026-11-20T09:45:00.000Z"}
    return [
        item("VPC", VPC, "06:00:00", configurationItemStatus="ResourceDiscovered"),
        _group("07:00:00", opened=False, configurationItemStatus="ResourceDiscovered"),
        _group("09:00:30", opened=True, tags={"Owner": "web team"}),
        _gone(
            "SecurityGroup",
            GROUP,
            "11:00:00",
            resourceName="web",
            relationships=_group("07:00:00", opened=False)["relationships"],
        ),
        item(
            "Instance",
            INSTANCE,
            "07:30:00",
            group,
            vpc,
            interface,
            role,
            configuration={"type": "m7i.large", "state": {"name": "running"}},
        ),
        item("Instance", INSTANCE, "10:00:00", vpc, interface, role, volume, template, configuration={"type": "m7i.xlarge"}),
        item("Volume", VOLUME, "10:00:01", ("AWS::EC2::Instance", INSTANCE), resourceName="data", **made),
        item(
            "LaunchTemplate",
            HOSTILE,
            "10:00:02",
            resourceName=HOSTILE_NAME,
            tags={HOSTILE_NAME: HOSTILE_NAME},
            configuration={HOSTILE_NAME: HOSTILE_NAME},
        ),
        item("LaunchTemplate", HOSTILE, "10:30:00", resourceName=HOSTILE_NAME, tags={}, configuration={}),
        item("AWS::IAM::Role", "AROAEXAMPLE", "06:00:00", resourceName="web-role", awsRegion="global"),
        item("SecurityGroup", OTHERS_GROUP, "07:00:00", resourceName="web", awsAccountId=OTHER, awsRegion="us-east-1"),
        item("SecurityGroup", "sg-0dddddddddddddddd", "07:00:00", resourceName=GROUP, awsAccountId=OTHER),
        item(
            "AWS::S3::Bucket",
            "payroll",
            "08:00:00",
            configuration={"policy": '{"Statement":[]}', "note": "two\nlines", "yes": "yes"},
        ),
        item("Subnet", "subnet-0aaaaaaaaaaaaaaaa", "08:00:00", configurationItemStatus="ResourceNotRecorded", configuration=None),
    ]


def busy() -> list[Json]:
    """A volume with more versions than a page, most of them within one millisecond."""
    states = [f"2026-11-20T{8 + number // 60:02}:{number % 60:02}:00.000Z" for number in range(60)]
    alone = [
        item("Volume", BUSY, when, configurationStateId=when, configuration={"size": number})
        for number, when in enumerate(states)
    ]
    together = [
        item(
            "Volume",
            BUSY,
            "2026-11-20T12:00:00.000Z",
            configurationStateId=f"at once {number}",
            configuration={"size": 100 + number},
        )
        for number in range(240)
    ]
    return [*alone, *together]


def records() -> list[Json]:
    """The calls behind some of it: two people opened the group seconds apart, and one deleted it."""
    rule = {
        "groupId": GROUP,
        "ipPermissions": {
            "items": [{"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}]
        },
    }
    tag = {"resourcesSet": {"items": [{"resourceId": GROUP}]}, "tagSet": {"items": [{"key": "Owner", "value": "web team"}]}}
    return [
        call("opened", "09:00:10", "ec2:AuthorizeSecurityGroupIngress", user("alice"), requestParameters=rule),
        call("tagged", "09:00:12", "ec2:CreateTags", user("bob"), requestParameters=tag),
        call("ended", "10:59:50", "ec2:DeleteSecurityGroup", user("bob"), requestParameters={"groupId": GROUP}),
    ]


def put(engine: TestEngine, folder: Path, listed: Iterable[Json] = (), calls: Iterable[Json] = ()) -> None:
    """Index items and records by the way of the functions; `folder` is for files."""
    every = list(calls)
    if every:
        incidents.put(engine, every, folder / "calls")
    objects = folder / "config"
    path = objects / f"AWSLogs/{ACCOUNT}/Config/{REGION}/2026/11/20/ConfigHistory"
    path.mkdir(parents=True)
    name = f"{ACCOUNT}_Config_{REGION}_ConfigHistory_AWS::EC2::Volume_20261120T060000Z_20261120T120000Z_1.json.gz"
    write(path / name, listed)
    index(engine, objects, folder)


def write(path: Path, listed: Iterable[Mapping[str, Any]]) -> None:
    """An object of AWS Config's with some items."""
    content = {"fileVersion": "1.0", "configurationItems": list(listed)}
    path.write_bytes(gzip.compress(json.dumps(content).encode()))


def index(engine: TestEngine, objects: Path, folder: Path) -> int:
    """Index the objects of AWS Config below a folder by the way of the function, and give the number of versions."""
    files = ("--state", str(folder / "config.state"), "--quarantine-folder", str(folder / "quarantine"))
    shown = run("backfill", str(objects), "--of", "config", *to(engine), *files, "--output", "json", env={})
    counts = shown.document["records"]
    assert counts["returned"] == 0, shown
    engine.refresh()
    return int(counts["indexed"])
