"""An account that is made up: resources with a state, and who wrote each part of it last. The truth about causes comes from here.

Nothing of the scorer is used. A call writes parts of the state; what it writes as it was already has no writer. A version's
causes are the last writers of the parts that differ from the version before; a deleted resource's is who deleted it. What AWS
does itself, and what calls do that no trail recorded, has no writer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ACCOUNT, OTHER_ACCOUNT, REGION = "111122223333", "444455556666", "eu-central-1"
GLOBAL = frozenset({"AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Policy"})
Json = dict[str, Any]
Place = tuple[str, ...]


def iso(seconds: float) -> str:
    """As AWS Config writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds * 1000) % 1000:03d}Z"


@dataclass(eq=False)
class Resource:
    """A resource: its parts by their places (`("configuration", "state", "name")`), and who wrote each last."""

    type: str
    id: str
    name: str
    arn: str
    born: float
    parts: dict[Place, Any] = field(default_factory=dict)
    writers: dict[Place, str | None] = field(default_factory=dict)
    dead: str | None = None
    gone: bool = False
    due: float | None = None
    seen: dict[Place, Any] | None = None
    dirty: bool = True

    def set(self, place: Place, value: Any, by: str | None) -> bool:
        """Write a part, None to take it away; whether that changed anything."""
        if self.parts.get(place) == value:
            return False
        if value is None:
            del self.parts[place]
        else:
            self.parts[place] = value
        self.writers[place] = by
        self.dirty = True
        return True

    def get(self, *place: str) -> Any:
        return self.parts.get(place)

    def relate(self, other: Resource, kind: str, by: str | None, *, end: bool = False) -> None:
        """Two resources become related, in both of their items, or cease to be."""
        self.set(("relationships", other.type, other.id, other.name, kind), None if end else True, by)
        other.set(("relationships", self.type, self.id, self.name, "Is related to"), None if end else True, by)

    def related(self, kind: str) -> list[str]:
        return [place[2] for place in self.parts if place[0] == "relationships" and place[1] == kind]

    def truth(self) -> frozenset[str]:
        """Who caused what differs from the version before."""
        if self.gone:
            return frozenset({self.dead} if self.dead else ())
        old = self.seen or {}
        changed = {place for place in old.keys() | self.parts.keys() if old.get(place) != self.parts.get(place)}
        return frozenset(writer for place in changed if (writer := self.writers.get(place)))

    def item(self, when: float) -> Json:
        """The configuration item, as the delivery channel brings it."""
        trees: dict[str, Any] = {"configuration": {}, "supplementaryConfiguration": {}, "tags": {}}
        related = []
        for place, value in self.parts.items():
            if place[0] == "relationships":
                related.append(
                    {"resourceType": place[1], "resourceId": place[2], "resourceName": place[3] or None, "name": place[4]}
                )
                continue
            tree = trees[place[0]]
            for key in place[1:-1]:
                tree = tree.setdefault(key, {})
            tree[place[-1]] = value
        if self.type.startswith("AWS::EC2"):
            trees["configuration"]["tags"] = [{"key": key, "value": value} for key, value in trees["tags"].items()]
        if self.type == "AWS::EC2::SecurityGroup":
            for name in ("ipPermissions", "ipPermissionsEgress"):
                trees["configuration"][name] = permissions(trees["configuration"].get(name, {}))
        if self.type.startswith("AWS::IAM") and "attachedManagedPolicies" in trees["configuration"]:
            attached = trees["configuration"]["attachedManagedPolicies"]
            trees["configuration"]["attachedManagedPolicies"] = [{"policyName": n, "policyArn": a} for n, a in attached.items()]
        if "blockDeviceMappings" in trees["configuration"]:
            devices = trees["configuration"]["blockDeviceMappings"]
            trees["configuration"]["blockDeviceMappings"] = [
                {"deviceName": f"/dev/{n}", "ebs": ebs} for n, ebs in devices.items()
            ]
        if "groupList" in trees["configuration"]:
            trees["configuration"]["groupList"] = list(trees["configuration"]["groupList"])
        status = "ResourceDeleted" if self.gone else "ResourceDiscovered" if self.seen is None else "OK"
        return {
            "version": "1.3",
            "accountId": ACCOUNT,
            "configurationItemCaptureTime": iso(when),
            "configurationItemStatus": status,
            "configurationStateId": f"{int(when * 1000)}",
            "arn": self.arn,
            "resourceType": self.type,
            "resourceId": self.id,
            "resourceName": self.name or None,
            "awsRegion": "global" if self.type in GLOBAL else REGION,
            "availabilityZone": "Not Applicable",
            "resourceCreationTime": iso(self.born),
            "tags": trees["tags"],
            "relatedEvents": [],
            "relationships": [] if self.gone else related,
            "configuration": None if self.gone else trees["configuration"],
            "supplementaryConfiguration": {} if self.gone else trees["supplementaryConfiguration"],
        }


def permissions(rules: dict[str, bool]) -> list[Json]:
    """Rules such as `tcp 22 22 10.0.0.0/8` as AWS Config merges them."""
    merged: dict[tuple[str, str, str], list[str]] = {}
    for rule in rules:
        protocol, first, last, peer = rule.split(" ")
        merged.setdefault((protocol, first, last), []).append(peer)
    return [
        {
            "ipProtocol": protocol,
            **({} if protocol == "-1" else {"fromPort": int(first), "toPort": int(last)}),
            "ipv6Ranges": [],
            "prefixListIds": [],
            "userIdGroupPairs": [{"groupId": peer, "userId": ACCOUNT} for peer in peers if peer.startswith("sg-")],
            "ipv4Ranges": [{"cidrIp": peer} for peer in peers if not peer.startswith("sg-")],
            "ipRanges": [peer for peer in peers if not peer.startswith("sg-")],
        }
        for (protocol, first, last), peers in merged.items()
    ]


class Account:
    """Resources, the trail's records, and a clock in seconds since 1970."""

    def __init__(self, seed: int, begin: float) -> None:
        self.rng = random.Random(seed)
        self.now = begin
        self.resources: list[Resource] = []
        self.records: list[Json] = []
        self.later: list[tuple[float, int, Any]] = []
        self._count = 0

    def hex(self, digits: int) -> str:
        return f"{self.rng.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        text = self.hex(32)
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def make(
        self, kind: str, identifier: str, name: str = "", arn: str = "", by: str | None = None, /, **configuration: Any
    ) -> Resource:
        """A new resource, with its configuration's parts."""
        resource = Resource(kind, identifier, name, arn or self.arn(kind, identifier), self.now)
        for key, value in configuration.items():
            resource.set(("configuration", key), value, by)
        self.resources.append(resource)
        return resource

    @staticmethod
    def arn(kind: str, identifier: str) -> str:
        _, service, noun = kind.lower().split("::")
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{noun}/{identifier}"

    def alive(self, kind: str) -> list[Resource]:
        return [one for one in self.resources if one.type == kind and not one.gone]

    def find(self, identifier: str) -> Resource | None:
        return next((one for one in self.resources if one.id == identifier and not one.gone), None)

    def end(self, resource: Resource, by: str | None) -> None:
        """The resource goes, and with it its relationships in the items of others."""
        if resource.gone:
            return
        resource.gone, resource.dead, resource.dirty = True, by, True
        for place in [place for place in resource.parts if place[0] == "relationships"]:
            if other := self.find(place[2]):
                for mirror in [one for one in other.parts if one[0] == "relationships" and one[2] == resource.id]:
                    other.set(mirror, None, by)

    def after(self, seconds: float, act: Any) -> None:
        """Do something later."""
        self._count += 1
        self.later.append((self.now + seconds, self._count, act))

    def pass_until(self, when: float) -> Iterator[None]:
        """Do what is due until then, in order, and stop there."""
        while True:
            due = min((one for one in self.later if one[0] <= when), default=None)
            if due is None:
                break
            self.later.remove(due)
            self.now = max(self.now, due[0])
            due[2]()
            yield
        self.now = max(self.now, when)


def policy(*actions: str) -> Json:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


def policy_text(*actions: str) -> str:
    """The same as people write it into a request."""
    return json.dumps(policy(*actions), indent=2)
