"""Requests, responses and refusals in the words that AWS uses."""

from __future__ import annotations

from collections.abc import Mapping

from .actors import Actor, Json
from .records import Delivery, Error
from .seeded import BASE64_URL

FRANKFURT, IRELAND, VIRGINIA = "eu-central-1", "eu-west-1", "us-east-1"
GROUP = "sg-0f1e2d3c4b5a69788"
IMAGE = "ami-0123456789abcdef0"
SEEN_FROM_BOTH_SIDES = "c0ffee00-1234-4abc-8def-001122334455"
SUBNET = "subnet-0b5c6d7e8f9012a34"
STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


def items(*elements: Mapping[str, object]) -> Json:
    return {"items": list(elements)}


def instances(*ids: str) -> Json:
    return {"instancesSet": items(*({"instanceId": one} for one in ids))}


def state_change(instance: str, before: str, after: str) -> Json:
    def state(name: str) -> Json:
        return {"code": STATES[name], "name": name}

    change = {"instanceId": instance, "currentState": state(after), "previousState": state(before)}
    return {"instancesSet": items(change)}


def not_authorized(actor: Actor, action: str, resource: str, why: str = "") -> str:
    """The message that AWS has written since 2021; without `why` the one it wrote before."""
    return f"User: {actor.arn} is not authorized to perform: {action} on resource: {resource}{' ' if why else ''}{why}"


def unauthorized_operation(delivery: Delivery, actor: Actor, action: str, resource: str, why: str = "") -> Error:
    """EC2's refusal, with the message that `sts:DecodeAuthorizationMessage` explains."""
    reason = f" {not_authorized(actor, action, resource, why)}." if why else ""
    encoded = delivery.seeded.text(BASE64_URL, 280)
    message = f"You are not authorized to perform this operation.{reason} Encoded authorization failure message: {encoded}"
    return Error("Client.UnauthorizedOperation", message)


def launched(instance: str, instance_type: str, owner: str, address: str) -> Json:
    """The `responseElements` of RunInstances."""
    group = items({"groupId": GROUP, "groupName": "web"})
    return {
        "reservationId": "r-0aa11bb22cc33dd44",
        "ownerId": owner,
        "groupSet": {},
        "instancesSet": items(
            {
                "instanceId": instance,
                "imageId": IMAGE,
                "instanceState": {"code": 0, "name": "pending"},
                "privateDnsName": f"ip-{address.replace('.', '-')}.eu-central-1.compute.internal",
                "amiLaunchIndex": 0,
                "instanceType": instance_type,
                "launchTime": 1793693662000,
                "placement": {"availabilityZone": "eu-central-1a", "tenancy": "default"},
                "monitoring": {"state": "disabled"},
                "subnetId": SUBNET,
                "vpcId": "vpc-0a9b8c7d6e5f40312",
                "privateIpAddress": address,
                "architecture": "arm64" if "g." in instance_type else "x86_64",
                "groupSet": group,
                "iamInstanceProfile": {"arn": f"arn:aws:iam::{owner}:instance-profile/web-server"},
                "metadataOptions": {"httpTokens": "required", "httpEndpoint": "enabled"},
            }
        ),
        "requesterId": owner,
    }


def launch_request(instance_type: str | None, count: int = 1, **more: object) -> Json:
    request: Json = {
        "instancesSet": items({"imageId": IMAGE, "minCount": count, "maxCount": count}),
        "groupSet": items({"groupId": GROUP}),
        "subnetId": SUBNET,
        "monitoring": {"enabled": False},
        "disableApiTermination": True,
        **more,
    }
    return {**request, "instanceType": instance_type} if instance_type else request
