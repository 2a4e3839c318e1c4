"""Days in the made-up account, from easy to hard: who calls what when, what AWS Config captures, and what causes what.

The hardest day has callers seconds apart on one resource, calls that change nothing, failed calls and dry runs with the same
ids, namesakes in another account, shared events, calls by services, captures up to half an hour late (a few once a day), several
calls in one item, and changes that no trail recorded.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from audit_search.aws_config import changes, documents, items
from audit_search.causes.versions import Version, of_document
from audit_search.rebuild import Rejection
from benchmarks.causes_account import ACCOUNT, OTHER_ACCOUNT, REGION, Account, Json, Resource
from benchmarks.causes_calls import Caller, Calls, Done

BEGIN = 1_762_156_800.0  # 2025-11-03 08:00 UTC


@dataclass(frozen=True)
class Level:
    """How hard a day is: shares (0 to 1) of calls that are followed by another caller's within seconds, repeated to no effect,
    made by a service or not recorded; noise around each call; shares of late and of daily captures."""

    name: str
    bursts: float
    repeats: float
    services: float
    unrecorded: float
    noise: float
    late: float
    daily: float
    pause: float
    by_itself: float


LEVELS = (
    Level("easy", 0.0, 0.0, 0.1, 0.0, 0.2, 0.0, 0.0, 240.0, 0.02),
    Level("usual", 0.1, 0.05, 0.25, 0.02, 0.6, 0.05, 0.0, 60.0, 0.05),
    Level("hardest", 0.5, 0.15, 0.35, 0.05, 1.5, 0.25, 0.03, 20.0, 0.08),
)


@dataclass
class Day:
    """What came of it: versions, each with the ids of the events that caused it, and the trail's records, in any order."""

    versions: list[tuple[Version, frozenset[str]]] = field(default_factory=list)
    records: list[Json] = field(default_factory=list)


ACTS: dict[str, tuple[str, ...]] = {
    "AWS::EC2::Instance": (
        *("stop_instance", "start_instance", "resize_instance", "instance_metadata", "regroup_instance", "tag_ec2", "untag_ec2"),
        "terminate_instance",
    ),
    "AWS::EC2::SecurityGroup": ("authorize", "authorize", "revoke", "tag_ec2", "delete_group"),
    "AWS::EC2::Volume": ("attach_volume", "detach_volume", "grow_volume", "tag_ec2", "delete_volume"),
    "AWS::EC2::EIP": ("associate", "associate", "tag_ec2"),
    "AWS::IAM::Role": ("role_policy", "own_policy", "inline_policy", "role_trust", "tag_role", "delete_role"),
    "AWS::IAM::User": ("user_policy", "user_group", "delete_user"),
    "AWS::IAM::Policy": ("policy_version",),
    "AWS::S3::Bucket": ("bucket",),
    "AWS::Lambda::Function": ("function",),
    "AWS::RDS::DBInstance": ("database",),
    "AWS::DynamoDB::Table": ("table",),
    "AWS::SQS::Queue": ("queue",),
    "AWS::KMS::Key": ("key",),
    "AWS::AutoScaling::AutoScalingGroup": ("fleet",),
    "AWS::CloudWatch::Alarm": ("alarm",),
}
MAKERS = (
    *("run_instance", "run_instance", "create_group", "create_volume", "allocate", "create_role", "create_user", "create_policy"),
    *("create_bucket", "create_function", "create_database"),
)
REPEATABLE = (
    "CreateTags",
    "Modify",
    "Put",
    "Tag",
    "Update",
    "AttachRole",
    "AttachUser",
    "AddTags",
    "Set",
    "Stop",
    "Start",
    "EnableKey",
)


class _Play:
    def __init__(self, level: Level, seed: int) -> None:
        self.level = level
        self.account = Account(seed, BEGIN)
        self.rng = self.account.rng
        self.calls = Calls(self.account)
        self.day = Day(records=self.account.records)
        self.known: dict[int, items.Item] = {}
        self.since: dict[int, int] = {}
        self.people = [_person(self.account, number) for number in range(8)]

    def furnish(self) -> None:
        """What is there before the recorder is turned on."""
        account = self.account
        for _ in range(2):
            account.make("AWS::EC2::VPC", f"vpc-0{account.hex(16)}", cidrBlock="10.0.0.0/16")
        for _ in range(4):
            account.make("AWS::EC2::Subnet", f"subnet-0{account.hex(16)}", cidrBlock="10.0.1.0/24")
        for number in range(6):
            name = f"orders-{number}"
            account.make("AWS::DynamoDB::Table", name, name, f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}")
            url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
            account.make("AWS::SQS::Queue", url, name, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
            account.make("AWS::KMS::Key", account.uuid())
            arn = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:{account.uuid()}:autoScalingGroupName/{name}"
            account.make("AWS::AutoScaling::AutoScalingGroup", arn, name, arn, desiredCapacity=0, maxSize=1)
            alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
            account.make("AWS::CloudWatch::Alarm", alarm, name, alarm, stateValue="OK", threshold=1.0)
        for _ in range(8):
            self.calls.create_group()[4](None)
        for maker in MAKERS * 3:
            getattr(self.calls, maker)()[4](None)
        for resource in account.resources:
            resource.born = BEGIN - self.rng.uniform(2, 300) * 86_400
            self.capture(resource)
        self.day.versions.clear()

    def run(self, steps: int) -> Day:
        for _ in range(steps):
            self.wait(self.rng.expovariate(1 / self.level.pause))
            self.step()
        self.wait(86_400)
        self.rng.shuffle(self.day.records)
        return self.day

    def wait(self, seconds: float) -> None:
        """Time passes: states settle, and AWS Config captures what is due."""
        end = self.account.now + seconds
        while True:
            dues = [one.due for one in self.account.resources if one.due is not None and one.due <= end]
            stop = min(dues, default=end)
            for _ in self.account.pass_until(stop):
                self.look()
            self.look()
            for resource in self.account.resources:
                if resource.due is not None and resource.due <= self.account.now:
                    self.capture(resource)
            if stop >= end and not dues:
                break

    def look(self) -> None:
        """AWS Config notices what changed, and will capture it."""
        for resource in self.account.resources:
            if resource.dirty:
                resource.dirty = False
                if resource.due is None:
                    resource.due = self.account.now + self.delay()

    def delay(self) -> float:
        kind = self.rng.random()
        if kind < self.level.daily:
            return self.rng.uniform(3_600, 80_000)
        if kind < self.level.daily + self.level.late:
            return self.rng.uniform(120, 1_800)
        return self.rng.uniform(3, 120)

    def capture(self, resource: Resource) -> None:
        """A version, unless all is as it was; what it is caused by is known here."""
        resource.due, resource.dirty = None, False
        if resource.seen is not None and not resource.gone and resource.seen == resource.parts:
            return
        if resource.seen is None and resource.gone:
            return  # it came and went between two looks
        truth = resource.truth()
        text = msgspec.json.encode(resource.item(self.account.now))
        item = items.parse(text)
        assert not isinstance(item, Rejection), item
        before = self.known.get(id(resource))
        source = documents.document(item, documents.Origin())
        documents.put_changes(source, changes.between(before, item), "previous" if before else "first", None)
        version = of_document(item.identity, source, self.since.get(id(resource), 0))
        if version.changes or version.what != "changed":
            self.day.versions.append((version, truth))
        self.known[id(resource)], self.since[id(resource)] = item, item.captured
        resource.seen = copy.deepcopy(resource.parts)
        if resource.gone:
            self.account.resources.remove(resource)

    def step(self) -> None:
        if self.rng.random() < self.level.by_itself:
            self.by_itself()
            return
        if self.rng.random() < 0.15:
            target, act = None, self.rng.choice(MAKERS)
        else:
            kind = self.rng.choice([kind for kind in ACTS if self.account.alive(kind)])
            target = self.rng.choice(self.account.alive(kind))
            act = self.rng.choice(ACTS[kind])
        self.call(target, act)
        while target is not None and not target.gone and self.rng.random() < self.level.bursts:
            self.wait(self.rng.uniform(0, 6))
            if not target.gone:
                self.call(target, self.rng.choice(ACTS[target.type]))

    def by_itself(self) -> None:
        """What AWS does without anybody's call."""
        kind = self.rng.choice(
            ["AWS::CloudWatch::Alarm", "AWS::RDS::DBInstance", "AWS::EC2::Instance", "AWS::AutoScaling::AutoScalingGroup"]
        )
        choice = self.account.alive(kind)
        if not choice:
            return
        target = self.rng.choice(choice)
        if kind == "AWS::CloudWatch::Alarm":
            was = target.get("configuration", "stateValue")
            target.set(("configuration", "stateValue"), "ALARM" if was == "OK" else "OK", None)
            target.set(("configuration", "stateUpdatedTimestamp"), self.account.now, None)
        elif kind == "AWS::RDS::DBInstance":
            target.set(("configuration", "latestRestorableTime"), self.account.now, None)
            target.set(("configuration", "dBInstanceStatus"), self.rng.choice(["backing-up", "available", "storage-full"]), None)
        elif kind == "AWS::EC2::Instance" and target.get("configuration", "state", "name") == "running":
            target.set(("configuration", "state", "name"), "stopped", None)  # its host failed, or it shut itself down
        else:
            target.set(("configuration", "healthCheckGracePeriod"), self.rng.randrange(1_000), None)
        if self.rng.random() < 0.5:
            self.noise(target)

    def call(self, target: Resource | None, act: str) -> None:
        """One call and what is around it."""
        if target is not None and not _possible(target, act):
            return
        while self.rng.random() < self.level.noise / (1 + self.level.noise):
            self.noise(target)
            self.wait(self.rng.uniform(0, 4))
        if target is not None and (target.gone or not _possible(target, act)):
            return
        make: Callable[..., Done] = getattr(self.calls, act)
        done = make(target)
        if self.rng.random() < self.level.unrecorded:
            done[4](None)
            self.noise(target)
            return
        self.made(done)
        if done[1].startswith(REPEATABLE) and target is not None and not target.gone and self.rng.random() < self.level.repeats:
            self.wait(self.rng.uniform(1, 5))
            if not target.gone and "StateS" not in done[1]:
                self.again(done, target)

    def made(self, done: Done) -> Json:
        service, name, request, answer, change = done
        shared = {"sharedEventID": self.account.uuid()} if self.rng.random() < 0.03 else {}
        record = self.calls.record(self.who(service), service, name, request, answer, **shared)
        if service == "s3":
            record["resources"] = (
                [{"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{request['bucketName']}"}]
                if request
                else []
            )
        if shared:
            self.account.records.append(record | {"eventID": self.account.uuid(), "recipientAccountId": OTHER_ACCOUNT})
        change(record["eventID"])
        return record

    def again(self, done: Done, target: Resource) -> None:
        """Another caller sets what is set already."""
        service, name, request, answer, change = done
        if name in ("StopInstances", "StartInstances", "TerminateInstances"):
            act = {"StopInstances": "stop_instance", "StartInstances": "start_instance"}.get(name)
            if act:
                self.made(getattr(self.calls, act)(target))
            return
        self.made((service, name, request, answer, change))

    def who(self, service: str) -> Caller:
        if self.rng.random() < self.level.services:
            person = self.rng.choice(self.people)
            if self.rng.random() < 0.6:
                by = "cloudformation.amazonaws.com"
                return Caller(person.identity | {"invokedBy": by}, by, by)
            return _service_linked(self.account, "autoscaling" if service in ("ec2", "autoscaling", "monitoring") else "config")
        return self.rng.choice(self.people)

    def noise(self, target: Resource | None) -> None:
        """A record that is no cause, though it has the same ids: a read, a failure, a dry run, a namesake, another purpose."""
        if target is None or target.gone:
            return
        name = {"AWS::IAM::Role": "roleName", "AWS::IAM::User": "userName", "AWS::S3::Bucket": "bucketName"}.get(target.type)
        request: Json = {name: target.name} if name else {"resourceId": target.id}
        kind = self.rng.randrange(6)
        caller = self.rng.choice(self.people)
        if kind == 0:
            self.calls.record(caller, "ec2", "DescribeResources", request, None, readOnly=True)
        elif kind in (1, 2, 3):
            act = self.rng.choice(ACTS.get(target.type, ("tag_ec2",)))
            if not _possible(target, act):
                return
            service, api, asked, answer, _ = getattr(self.calls, act)(target)
            if kind == 1:
                self.calls.record(
                    caller, service, api, asked, None, errorCode="AccessDenied", errorMessage="not authorized to perform this"
                )
            elif kind == 2:
                code = "Client.DryRunOperation" if service == "ec2" else "ValidationException"
                self.calls.record(caller, service, api, asked, None, errorCode=code, errorMessage="Request would have succeeded")
            else:
                self.calls.record(caller, service, api, asked, answer, recipientAccountId=OTHER_ACCOUNT)
        else:
            self.other_purpose(target, caller, request)

    def other_purpose(self, target: Resource, caller: Caller, request: Json) -> None:
        answer: Json | None = None
        service, api = {
            "AWS::EC2::Instance": self.rng.choice(
                [("ssm", "SendCommand"), ("ec2", "CreateImage"), ("ssm", "StartSession"), ("ec2", "RebootInstances")]
            ),
            "AWS::EC2::Volume": ("ec2", "CreateSnapshot"),
            "AWS::IAM::User": self.rng.choice(
                [("iam", "CreateAccessKey"), ("iam", "UpdateLoginProfile"), ("iam", "UploadSSHPublicKey")]
            ),
            "AWS::RDS::DBInstance": self.rng.choice([("rds", "CreateDBSnapshot"), ("rds", "RebootDBInstance")]),
            "AWS::DynamoDB::Table": ("dynamodb", "CreateBackup"),
            "AWS::Lambda::Function": ("lambda", "PublishVersion20150331"),
            "AWS::KMS::Key": ("kms", "CreateGrant"),
            "AWS::EC2::SecurityGroup": ("elasticloadbalancing", "CreateLoadBalancer"),
        }.get(target.type, ("", ""))
        if not api:
            return
        keys = {
            "ssm": "instanceIds",
            "kms": "keyId",
            "dynamodb": "tableName",
            "lambda": "functionName",
            "rds": "dBInstanceIdentifier",
        }
        if service in keys:
            value: Any = target.name if service in ("dynamodb", "lambda", "rds") else target.id
            request = {keys[service]: [value] if service == "ssm" else value}
        if api == "CreateSnapshot":
            request, answer = {"volumeId": target.id}, {"snapshotId": f"snap-0{self.account.hex(16)}", "volumeId": target.id}
        if api == "CreateImage":
            request, answer = {"instanceId": target.id, "name": "backup"}, {"imageId": f"ami-0{self.account.hex(16)}"}
        if api == "CreateLoadBalancer":
            request = {"name": f"lb-{self.account.hex(3)}", "securityGroups": [target.id]}
        if api == "RebootInstances":
            request = {"instancesSet": {"items": [{"instanceId": target.id}]}}
        self.calls.record(caller, service, api, request, answer)


def _possible(target: Resource, act: str) -> bool:
    state = target.get("configuration", "state", "name")
    if target.type == "AWS::EC2::Instance" and state in ("shutting-down", "terminated"):
        return False
    if act == "stop_instance":
        return bool(state in ("running", "stopped"))
    if act == "start_instance":
        return bool(state in ("stopped", "running"))
    if target.type == "AWS::RDS::DBInstance":
        return bool(target.get("configuration", "dBInstanceStatus") != "deleting")
    return True


def _person(account: Account, number: int) -> Caller:
    name = ("ana", "ben", "eva", "kim")[number % 4]
    if number < 3:
        return Caller(
            {
                "type": "IAMUser",
                "principalId": f"AIDA{account.hex(17).upper()}",
                "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
                "accountId": ACCOUNT,
                "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                "userName": name,
            }
        )
    role = "AWSReservedSSO_Admin_0123456789abcdef" if number < 6 else "deploy"
    identity = {
        "type": "AssumedRole",
        "principalId": f"AROA{account.hex(17).upper()}:{name}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}",
        "accountId": ACCOUNT,
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::{ACCOUNT}:role/{role}", "userName": role}},
    }
    return Caller(identity)


def _service_linked(account: Account, service: str) -> Caller:
    by = f"{service}.amazonaws.com"
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{by}/AWSServiceRoleFor{service.title()}"
    identity = {
        "type": "AssumedRole",
        "principalId": f"AROA{account.hex(17).upper()}:{service}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSServiceRoleFor{service.title()}/{service}",
        "accountId": ACCOUNT,
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role}},
        "invokedBy": by,
    }
    return Caller(identity, by, by)


def day(level: Level, seed: int, steps: int) -> Day:
    """A day of a level: the same for the same seed."""
    play = _Play(level, seed)
    play.furnish()
    return play.run(steps)


def days(level: Level, seeds: Sequence[int], steps: int) -> list[Day]:
    """One day for each seed."""
    return [day(level, seed, steps) for seed in seeds]
