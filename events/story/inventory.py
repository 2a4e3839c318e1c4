"""The web server and what stands around it, as AWS Config records them: one function a resource, its versions in order.

The times are those of the calls in `web_server`, and `relatedEvents` are the ids of their records.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .actors import INSTANCE, PRODUCTION, Json
from .calls import GROUP, IMAGE, STATES, SUBNET
from .records import Delivery
from .resources import Diff, Resource, Version, ec2, related
from .seeded import example_id
from .web_server import (
    instance_launched,
    instance_started_on_monday,
    instance_stopped_for_the_night,
    instance_terminated_by_a_stack,
    security_group_opened,
)

VPC = "vpc-0a9b8c7d6e5f40312"
INTERFACE = "eni-0b8c7d6e5f4031209"
VOLUME = "vol-0c7d6e5f403120918"
DATA_VOLUME = "vol-0d6e5f40312091827"
ROLE = "web-server"
ROLE_ID = example_id("AROA", PRODUCTION + ROLE)
ZONE = "eu-central-1a"


def event_id(make: Callable[[], Delivery], name: str) -> str:
    """The `eventID` of the call of that name that did something, in a delivery of the CloudTrail story."""
    calls = (one for one in make().records if one["eventName"] == name and "errorCode" not in one)
    return str(next(calls)["eventID"])


def network() -> list[Resource]:
    """The VPC and the subnet, discovered when recording began; the subnet is named later."""
    vpc = Resource(
        "AWS::EC2::VPC",
        VPC,
        ec2("vpc", VPC),
        None,
        {"cidrBlock": "10.0.0.0/16", "isDefault": False, "state": "available", "vpcId": VPC, "ownerId": PRODUCTION},
        zone="Multiple Availability Zones",
        tags={"Name": "production", "kubernetes.io/cluster/shop": "shared", "Owner": "Team Zahlungsübersicht"},
    )
    vpc.record("2026-11-02T07:00:03.118")
    subnet = Resource(
        "AWS::EC2::Subnet",
        SUBNET,
        ec2("subnet", SUBNET),
        None,
        {"availabilityZone": ZONE, "cidrBlock": "10.0.16.0/20", "mapPublicIpOnLaunch": False, "subnetId": SUBNET, "vpcId": VPC},
        zone=ZONE,
        relationships=[related("AWS::EC2::VPC", VPC, "Is contained in Vpc")],
    )
    subnet.record("2026-11-02T07:00:03.118")
    subnet.tags = {"Name": "production-a"}
    subnet.record("2026-11-02T09:41:17.502", {"Tags": ({}, {"Name": "production-a"})})
    return [vpc, subnet]


def rule(port: int, *ranges: str, v6: tuple[str, ...] = (), description: str | None = None) -> Json:
    return {
        "fromPort": port,
        "ipProtocol": "tcp",
        "ipRanges": list(ranges),
        "ipv4Ranges": [{"cidrIp": one} | ({"description": description} if description else {}) for one in ranges],
        "ipv6Ranges": [{"cidrIpv6": one} for one in v6],
        "prefixListIds": [],
        "toPort": port,
        "userIdGroupPairs": [],
    }


def security_group() -> Resource:
    """Bob opens port 22 to the world, Carlos closes it seven minutes later."""
    https, ssh = rule(443, "0.0.0.0/0"), rule(22, "0.0.0.0/0", v6=("::/0",), description="nur kurz für die Fernwartung")
    group = Resource(
        "AWS::EC2::SecurityGroup",
        GROUP,
        ec2("security-group", GROUP),
        None,
        {
            "description": "web servers",
            "groupId": GROUP,
            "groupName": "web",
            "ipPermissions": [https],
            "ipPermissionsEgress": [{"ipProtocol": "-1", "ipRanges": ["0.0.0.0/0"], "userIdGroupPairs": []}],
            "ownerId": PRODUCTION,
            "vpcId": VPC,
        },
        name="web",
        relationships=[related("AWS::EC2::VPC", VPC, "Is contained in Vpc")],
        tags={"Name": "web"},
    )
    group.record("2026-11-02T07:00:04.007")
    group.configuration = {**group.configuration, "ipPermissions": [ssh, https]}
    opened = event_id(security_group_opened, "AuthorizeSecurityGroupIngress")
    group.record("2026-11-05T13:58:52.640", {"Configuration.IpPermissions.0": (None, ssh)}, related=(opened,))
    group.configuration = {**group.configuration, "ipPermissions": [https]}
    closed = event_id(security_group_opened, "RevokeSecurityGroupIngress")
    group.record("2026-11-05T14:06:10.233", {"Configuration.IpPermissions.0": (ssh, None)}, related=(closed,))
    return group


def instance() -> Resource:
    """Launched, tagged, given a second volume, stopped, made smaller and started, and terminated by a stack."""
    launched = event_id(instance_launched, "RunInstances")
    server = Resource(
        "AWS::EC2::Instance",
        INSTANCE,
        ec2("instance", INSTANCE),
        "2026-11-03T08:14:22.000Z",
        {
            "imageId": IMAGE,
            "instanceId": INSTANCE,
            "instanceType": "m7i.large",
            "launchTime": "2026-11-03T08:14:22.000Z",
            "privateIpAddress": "10.0.17.42",
            "placement": {"availabilityZone": ZONE, "tenancy": "default"},
            "state": _state("running"),
            "stateTransitionReason": "",
            "subnetId": SUBNET,
            "vpcId": VPC,
            "securityGroups": [{"groupId": GROUP, "groupName": "web"}],
            "iamInstanceProfile": {"arn": f"arn:aws:iam::{PRODUCTION}:instance-profile/{ROLE}"},
            "blockDeviceMappings": [_mapping("/dev/xvda", VOLUME)],
            "tags": [],
        },
        zone=ZONE,
        relationships=[
            related("AWS::EC2::NetworkInterface", INTERFACE, "Contains NetworkInterface"),
            related("AWS::EC2::SecurityGroup", GROUP, "Is associated with SecurityGroup"),
            related("AWS::EC2::Subnet", SUBNET, "Is contained in Subnet"),
            related("AWS::EC2::Volume", VOLUME, "Is attached to Volume"),
            related("AWS::EC2::VPC", VPC, "Is contained in Vpc"),
        ],
    )
    server.record("2026-11-03T08:15:31.876", related=(launched,))
    server.tags = {"Name": "web-1", "Owner": "Team Zahlungsübersicht", "aws:cloudformation:stack-name": "shop-frontend"}
    pairs = [{"key": key, "value": value} for key, value in server.tags.items()]
    server.configuration = {**server.configuration, "tags": pairs}
    tagged = event_id(instance_launched, "CreateTags")
    changes: Diff = {f"Configuration.Tags.{number}": (None, pair) for number, pair in enumerate(pairs)}
    server.record("2026-11-03T08:17:02.154", changes, related=(tagged,))
    attached = related("AWS::EC2::Volume", DATA_VOLUME, "Is attached to Volume")
    server.relationships = [*server.relationships, attached]
    mapping = _mapping("/dev/sdf", DATA_VOLUME)
    server.configuration = {**server.configuration, "blockDeviceMappings": [_mapping("/dev/xvda", VOLUME), mapping]}
    server.record(
        "2026-11-04T10:22:45.391", {"Relationships.0": (None, attached), "Configuration.BlockDeviceMappings.1": (None, mapping)}
    )
    stopped = event_id(instance_stopped_for_the_night, "StopInstances")
    _turn(server, "2026-11-06T19:01:12.008", "stopped", "User initiated (2026-11-06 19:00:04 GMT)", stopped)
    server.configuration = {**server.configuration, "instanceType": "m7i.medium"}
    server.record("2026-11-09T07:01:30.700", {"Configuration.InstanceType": ("m7i.large", "m7i.medium")})
    _turn(server, "2026-11-09T07:03:20.945", "running", "", event_id(instance_started_on_monday, "StartInstances"))
    terminated = event_id(instance_terminated_by_a_stack, "TerminateInstances")
    server.record("2026-11-12T16:14:05.410", status="ResourceDeleted", related=(terminated,))
    return server


def _state(name: str) -> Json:
    return {"code": STATES[name], "name": name}


def _mapping(device: str, volume: str) -> Json:
    return {"deviceName": device, "ebs": {"volumeId": volume, "status": "attached", "deleteOnTermination": device == "/dev/xvda"}}


def _turn(server: Resource, at: str, name: str, why: str, event: str) -> None:
    """The instance comes into another state."""
    state, reason = server.configuration["state"], server.configuration["stateTransitionReason"]
    server.configuration = {**server.configuration, "state": _state(name), "stateTransitionReason": why}
    before = state["name"] if isinstance(state, dict) else None
    changes: Diff = {"Configuration.State.Name": (before, name), "Configuration.StateTransitionReason": (reason, why)}
    server.record(at, changes, related=(event,))


def volumes() -> list[Resource]:
    """The root volume goes with its instance, the data volume stays behind, detached."""
    root = _volume(VOLUME, 8, "2026-11-03T08:14:23.512Z")
    _attach(root, "/dev/xvda")
    root.record("2026-11-03T08:15:33.020")
    root.record("2026-11-12T16:14:40.771", status="ResourceDeleted")
    data = _volume(DATA_VOLUME, 200, "2026-11-04T10:20:01.077Z")
    data.record("2026-11-04T10:21:09.306")
    attached = _attach(data, "/dev/sdf")
    data.record(
        "2026-11-04T10:22:46.118",
        {
            "Relationships.0": (None, attached),
            "Configuration.State": ("available", "in-use"),
            "Configuration.Attachments.0": (None, _attachment(DATA_VOLUME, "/dev/sdf")),
        },
    )
    data.relationships = []
    data.configuration = {**data.configuration, "state": "available", "attachments": []}
    data.record(
        "2026-11-12T16:14:41.302",
        {
            "Relationships.0": (attached, None),
            "Configuration.State": ("in-use", "available"),
            "Configuration.Attachments.0": (_attachment(DATA_VOLUME, "/dev/sdf"), None),
        },
    )
    return [root, data]


def _volume(identity: str, size: int, created: str) -> Resource:
    configuration: Json = {
        "attachments": [],
        "availabilityZone": ZONE,
        "createTime": created,
        "encrypted": True,
        "size": size,
        "state": "available",
        "volumeId": identity,
        "volumeType": "gp3",
    }
    return Resource("AWS::EC2::Volume", identity, ec2("volume", identity), created, configuration, zone=ZONE)


def _attachment(volume: str, device: str) -> Json:
    return {"device": device, "instanceId": INSTANCE, "state": "attached", "volumeId": volume, "deleteOnTermination": False}


def _attach(volume: Resource, device: str) -> Json:
    attached = related("AWS::EC2::Instance", INSTANCE, "Is attached to Instance")
    volume.relationships = [attached]
    volume.configuration = {
        **volume.configuration,
        "state": "in-use",
        "attachments": [_attachment(volume.identity, device)],
    }
    return attached


def role() -> Resource:
    """A global resource: its items have the region `global`, or that of the recorder, which a second region repeats."""
    arn = f"arn:aws:iam::{PRODUCTION}:role/{ROLE}"
    managed = {"policyName": "CloudWatchAgentServerPolicy", "policyArn": "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy"}
    trust = "%7B%22Statement%22%3A%5B%7B%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Effect%22%3A%22Allow%22%7D%5D%7D"
    server = Resource(
        "AWS::IAM::Role",
        ROLE_ID,
        arn,
        "2026-10-01T12:00:00.000Z",
        {
            "arn": arn,
            "assumeRolePolicyDocument": trust,
            "attachedManagedPolicies": [managed],
            "createDate": "2026-10-01T12:00:00.000Z",
            "path": "/",
            "roleId": ROLE_ID,
            "roleName": ROLE,
            "rolePolicyList": [],
        },
        name=ROLE,
        region="global",
    )
    server.record("2026-11-02T07:00:05.250")
    admin = {"policyName": "AdministratorAccess", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    server.configuration = {**server.configuration, "attachedManagedPolicies": [managed, admin]}
    server.record("2026-11-10T03:12:44.019", {"Configuration.AttachedManagedPolicies.1": (None, admin)})
    return server


def all_resources() -> list[Resource]:
    return [*network(), security_group(), role(), instance(), *volumes()]


def all_versions() -> list[Version]:
    """Every version of every resource, in the order of time."""
    versions = [version for resource in all_resources() for version in resource.versions]
    return sorted(versions, key=lambda version: (version.captured, str(version.item["resourceId"])))


def at_noon(day: str) -> list[Version]:
    """What a snapshot of a day's noon lists: the last version of each resource that is not deleted."""
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    latest: dict[object, Version] = {}
    for version in all_versions():
        if version.captured <= noon:
            latest[version.item["resourceId"]] = version
    return [version for version in latest.values() if version.item["configuration"] is not None]
