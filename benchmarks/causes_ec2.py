"""Calls of EC2: instances and what comes with them, security groups, volumes, addresses."""

from __future__ import annotations

from benchmarks.causes_account import ACCOUNT, REGION, Json, Resource
from benchmarks.causes_records import PEERS, PORTS, TAGS, Done, Recorder


class Ec2(Recorder):
    """Calls of EC2: instances and what comes with them, security groups, volumes, addresses."""

    def run_instance(self, _: Resource | None = None) -> Done:
        account, rng = self.account, self.rng
        group, subnet = rng.choice(account.alive("AWS::EC2::SecurityGroup")), rng.choice(account.alive("AWS::EC2::Subnet"))
        vpc = rng.choice(account.alive("AWS::EC2::VPC"))
        instance, eni, volume = f"i-0{account.hex(16)}", f"eni-0{account.hex(16)}", f"vol-0{account.hex(16)}"
        size = rng.choice(["t3.micro", "m5.large"])

        def change(by: str | None) -> None:
            one = account.make(
                "AWS::EC2::Instance",
                instance,
                "",
                "",
                by,
                instanceId=instance,
                instanceType=size,
                imageId="ami-0abcdef1234567890",
            )
            one.set(("configuration", "state", "name"), "pending", by)
            account.after(
                rng.uniform(5, 90),
                lambda: (
                    one.gone
                    or one.get("configuration", "state", "name") != "pending"
                    or one.set(("configuration", "state", "name"), "running", by)
                ),
            )
            disk = account.make("AWS::EC2::Volume", volume, "", "", by, volumeId=volume, size=8, volumeType="gp3")
            disk.set(("configuration", "state", "value"), "in-use", by)
            port = account.make("AWS::EC2::NetworkInterface", eni, "", "", by, networkInterfaceId=eni, status="in-use")
            for other, kind in (
                (disk, "Is attached to Volume"),
                (port, "Contains NetworkInterface"),
                (group, "Is associated with SecurityGroup"),
                (subnet, "Is contained in Subnet"),
                (vpc, "Is contained in Vpc"),
            ):
                one.relate(other, kind, by)
            port.relate(group, "Is associated with SecurityGroup", by)
            one.set(("configuration", "blockDeviceMappings", "xvda"), {"volumeId": volume, "deleteOnTermination": True}, by)

        request = {
            "instancesSet": {"items": [{"imageId": "ami-0abcdef1234567890", "minCount": 1, "maxCount": 1}]},
            "groupSet": {"items": [{"groupId": group.id}]},
            "instanceType": size,
            "subnetId": subnet.id,
            "blockDeviceMapping": {},
            "monitoring": {"enabled": False},
        }
        item = {
            "instanceId": instance,
            "imageId": "ami-0abcdef1234567890",
            "instanceState": {"code": 0, "name": "pending"},
            "instanceType": size,
            "subnetId": subnet.id,
            "vpcId": vpc.id,
            "groupSet": {"items": [{"groupId": group.id, "groupName": group.name}]},
            "blockDeviceMapping": {},
            "networkInterfaceSet": {"items": [{"networkInterfaceId": eni, "subnetId": subnet.id, "status": "in-use"}]},
        }
        answer = {
            "requestId": account.uuid(),
            "reservationId": f"r-0{account.hex(16)}",
            "ownerId": ACCOUNT,
            "instancesSet": {"items": [item]},
        }
        return "ec2", "RunInstances", request, answer, change

    def _state(self, name: str, target: Resource, now: str, between: str, then: str) -> Done:
        state = ("configuration", "state", "name")
        was = target.parts[state]
        same = was in (between, then)

        def change(by: str | None) -> None:
            if same:
                return
            target.set(state, between, by)
            self.account.after(
                self.rng.uniform(5, 120), lambda: target.gone or target.parts[state] != between or target.set(state, then, by)
            )

        states = {"currentState": {"code": 1, "name": was if same else now}, "previousState": {"code": 1, "name": was}}
        items = {"items": [{"instanceId": target.id, **states}]}
        return (
            "ec2",
            name,
            {"instancesSet": {"items": [{"instanceId": target.id}]}, "force": False},
            {"instancesSet": items},
            change,
        )

    def stop_instance(self, target: Resource) -> Done:
        return self._state("StopInstances", target, "stopping", "stopping", "stopped")

    def start_instance(self, target: Resource) -> Done:
        return self._state("StartInstances", target, "pending", "pending", "running")

    def terminate_instance(self, target: Resource) -> Done:
        service, name, request, answer, _ = self._state(
            "TerminateInstances", target, "shutting-down", "shutting-down", "terminated"
        )
        del request["force"]  # type: ignore[union-attr]

        def change(by: str | None) -> None:
            target.set(("configuration", "state", "name"), "shutting-down", by)
            parts = [
                self.account.find(one)
                for kind in ("AWS::EC2::Volume", "AWS::EC2::NetworkInterface")
                for one in target.related(kind)
            ]

            def gone() -> None:
                for one in (target, *parts):
                    if one and not one.gone:
                        self.account.end(one, by)

            self.account.after(self.rng.uniform(20, 400), gone)

        return service, name, request, answer, change

    def resize_instance(self, target: Resource) -> Done:
        size = self.rng.choice(["t3.large", "m5.xlarge", "c6i.large", "t3.micro"])
        request = {"instanceId": target.id, "instanceType": {"value": size}}
        answer = {"requestId": self.account.uuid(), "_return": True}
        return (
            "ec2",
            "ModifyInstanceAttribute",
            request,
            answer,
            lambda by: target.set(("configuration", "instanceType"), size, by),
        )

    def instance_metadata(self, target: Resource) -> Done:
        tokens = self.rng.choice(["required", "optional"])
        request = {
            "ModifyInstanceMetadataOptionsRequest": {"InstanceId": target.id, "HttpTokens": tokens, "HttpEndpoint": "enabled"}
        }
        answer = {
            "ModifyInstanceMetadataOptionsResponse": {
                "instanceId": target.id,
                "instanceMetadataOptions": {"state": "pending", "httpTokens": tokens},
            }
        }
        return (
            "ec2",
            "ModifyInstanceMetadataOptions",
            request,
            answer,
            lambda by: target.set(("configuration", "metadataOptions", "httpTokens"), tokens, by),
        )

    def regroup_instance(self, target: Resource) -> Done:
        groups = self.account.alive("AWS::EC2::SecurityGroup")
        new = self.rng.choice(groups)

        def change(by: str | None) -> None:
            for old in groups:
                if old.id in target.related("AWS::EC2::SecurityGroup") and old is not new:
                    target.relate(old, "Is associated with SecurityGroup", by, end=True)
            target.relate(new, "Is associated with SecurityGroup", by)

        request = {"instanceId": target.id, "groupSet": {"items": [{"groupId": new.id}]}}
        return "ec2", "ModifyInstanceAttribute", request, {"_return": True}, change

    def create_group(self, _: Resource | None = None) -> Done:
        vpc, identifier = self.rng.choice(self.account.alive("AWS::EC2::VPC")), f"sg-0{self.account.hex(16)}"
        name = f"app-{self.account.hex(4)}"

        def change(by: str | None) -> None:
            group = self.account.make(
                "AWS::EC2::SecurityGroup", identifier, name, "", by, groupName=name, groupId=identifier, vpcId=vpc.id
            )
            group.set(("configuration", "ipPermissionsEgress", "-1 0 0 0.0.0.0/0"), True, by)
            group.relate(vpc, "Is contained in Vpc", by)

        request = {"groupName": name, "groupDescription": "made by hand", "vpcId": vpc.id}
        return (
            "ec2",
            "CreateSecurityGroup",
            request,
            {"requestId": self.account.uuid(), "_return": True, "groupId": identifier},
            change,
        )

    def delete_group(self, target: Resource) -> Done:
        used = target.related("AWS::EC2::Instance") or target.related("AWS::EC2::NetworkInterface")
        if used or self.rng.random() < 0.7:
            return self.authorize(target)
        return "ec2", "DeleteSecurityGroup", {"groupId": target.id}, {"_return": True}, lambda by: self.account.end(target, by)

    def authorize(self, target: Resource) -> Done:
        egress = self.rng.random() < 0.2
        port, peer = self.rng.choice(PORTS), self.rng.choice(PEERS)
        side = "ipPermissionsEgress" if egress else "ipPermissions"
        rule = f"tcp {port} {port} {peer}"
        part = {
            "ipProtocol": "tcp",
            "fromPort": int(port),
            "toPort": int(port),
            "groups": {},
            "ipRanges": {"items": [{"cidrIp": peer}]},
            "ipv6Ranges": {},
            "prefixListIds": {},
        }
        by_name = not egress and self.rng.random() < 0.25
        request: Json = {
            ("groupName" if by_name else "groupId"): target.name if by_name else target.id,
            "ipPermissions": {"items": [part]},
        }
        name = "AuthorizeSecurityGroupEgress" if egress else "AuthorizeSecurityGroupIngress"
        rules = [
            {
                "groupOwnerId": ACCOUNT,
                "groupId": target.id,
                "securityGroupRuleId": f"sgr-0{self.account.hex(16)}",
                "isEgress": egress,
                "ipProtocol": "tcp",
                "fromPort": int(port),
                "toPort": int(port),
                "cidrIpv4": peer,
            }
        ]
        answer: Json = {"requestId": self.account.uuid(), "_return": True}
        if not by_name:
            answer["securityGroupRuleSet"] = {"items": rules}
        if target.get("configuration", side, rule):
            return self.revoke(target)
        return "ec2", name, request, answer, lambda by: target.set(("configuration", side, rule), True, by)

    def revoke(self, target: Resource) -> Done:
        rules = [place for place in target.parts if place[:2] == ("configuration", "ipPermissions")]
        if not rules:
            return self.tag_ec2(target)
        place = self.rng.choice(rules)
        protocol, first, last, peer = place[2].split(" ")
        part = {
            "ipProtocol": protocol,
            "fromPort": int(first),
            "toPort": int(last),
            "groups": {},
            "ipRanges": {"items": [{"cidrIp": peer}]},
            "ipv6Ranges": {},
            "prefixListIds": {},
        }
        request: Json = {"groupId": target.id, "ipPermissions": {"items": [part]}}
        if self.rng.random() < 0.4:
            request = {
                "groupId": target.id,
                "ipPermissions": {},
                "securityGroupRuleIds": {"items": [{"securityGroupRuleId": f"sgr-0{self.account.hex(16)}"}]},
            }
        answer = {"requestId": self.account.uuid(), "_return": True, "unknownIpPermissionSet": {}}
        return "ec2", "RevokeSecurityGroupIngress", request, answer, lambda by: target.set(place, None, by)

    def tag_ec2(self, target: Resource) -> Done:
        key, values = self.rng.choice(TAGS)
        value = self.rng.choice(values)
        others = [one for one in self.account.alive(target.type) if one is not target]
        targets = [target, *(self.rng.sample(others, 2) if len(others) > 2 and self.rng.random() < 0.2 else [])]
        request = {
            "resourcesSet": {"items": [{"resourceId": one.id} for one in targets]},
            "tagSet": {"items": [{"key": key, "value": value}]},
        }

        def change(by: str | None) -> None:
            for one in targets:
                one.set(("tags", key), value, by)

        return "ec2", "CreateTags", request, {"requestId": self.account.uuid(), "_return": True}, change

    def untag_ec2(self, target: Resource) -> Done:
        keys = [place[1] for place in target.parts if place[0] == "tags"]
        if not keys:
            return self.tag_ec2(target)
        key = self.rng.choice(keys)
        request = {"resourcesSet": {"items": [{"resourceId": target.id}]}, "tagSet": {"items": [{"key": key}]}}
        return "ec2", "DeleteTags", request, {"_return": True}, lambda by: target.set(("tags", key), None, by)

    def create_volume(self, _: Resource | None = None) -> Done:
        identifier, size = f"vol-0{self.account.hex(16)}", self.rng.choice([20, 100, 250])

        def change(by: str | None) -> None:
            one = self.account.make("AWS::EC2::Volume", identifier, "", "", by, volumeId=identifier, size=size, volumeType="gp3")
            one.set(("configuration", "state", "value"), "available", by)

        request = {"size": str(size), "zone": f"{REGION}a", "volumeType": "gp3"}
        return (
            "ec2",
            "CreateVolume",
            request,
            {"volumeId": identifier, "size": str(size), "status": "creating", "volumeType": "gp3"},
            change,
        )

    def attach_volume(self, target: Resource) -> Done:
        instances = self.account.alive("AWS::EC2::Instance")
        joined = target.related("AWS::EC2::Instance")
        if joined or not instances:
            return self.detach_volume(target)
        other = self.rng.choice(instances)

        def change(by: str | None) -> None:
            target.set(("configuration", "state", "value"), "in-use", by)
            other.set(("configuration", "blockDeviceMappings", "sdf"), {"volumeId": target.id, "deleteOnTermination": False}, by)
            target.relate(other, "Is attached to Instance", by)

        request = {"volumeId": target.id, "instanceId": other.id, "device": "/dev/sdf", "deleteOnTermination": False}
        return (
            "ec2",
            "AttachVolume",
            request,
            {**request, "status": "attaching", "attachTime": int(self.account.now * 1000)},
            change,
        )

    def detach_volume(self, target: Resource) -> Done:
        joined = target.related("AWS::EC2::Instance")
        if not joined:
            return self.grow_volume(target)
        other = self.account.find(joined[0])

        def change(by: str | None) -> None:
            target.set(("configuration", "state", "value"), "available", by)
            if other:
                for place in list(target.parts):
                    if place[0] == "relationships" and place[2] == other.id:
                        target.set(place, None, by)
                for place in list(other.parts):
                    if place[0] == "relationships" and place[2] == target.id:
                        other.set(place, None, by)
                other.set(("configuration", "blockDeviceMappings", "sdf"), None, by) if other.get(
                    "configuration", "blockDeviceMappings", "sdf"
                ) else None

        request = {"volumeId": target.id, "force": False}
        return (
            "ec2",
            "DetachVolume",
            request,
            {"volumeId": target.id, "instanceId": joined[0], "device": "/dev/sdf", "status": "detaching"},
            change,
        )

    def grow_volume(self, target: Resource) -> Done:
        size = target.get("configuration", "size") + self.rng.choice([10, 50])
        request = {"ModifyVolumeRequest": {"VolumeId": target.id, "Size": size}}
        answer = {
            "ModifyVolumeResponse": {
                "volumeModification": {"targetSize": size, "volumeId": target.id, "modificationState": "modifying"}
            }
        }
        return "ec2", "ModifyVolume", request, answer, lambda by: target.set(("configuration", "size"), size, by)

    def delete_volume(self, target: Resource) -> Done:
        if target.related("AWS::EC2::Instance") or self.rng.random() < 0.5:
            return self.grow_volume(target)
        return "ec2", "DeleteVolume", {"volumeId": target.id}, {"_return": True}, lambda by: self.account.end(target, by)

    def allocate(self, _: Resource | None = None) -> Done:
        identifier, address = f"eipalloc-0{self.account.hex(16)}", f"52.29.{self.rng.randrange(256)}.{self.rng.randrange(256)}"

        def change(by: str | None) -> None:
            self.account.make(
                "AWS::EC2::EIP", identifier, address, "", by, allocationId=identifier, publicIp=address, domain="vpc"
            )

        request = None if self.rng.random() < 0.5 else {"domain": "vpc"}
        return "ec2", "AllocateAddress", request, {"publicIp": address, "domain": "vpc", "allocationId": identifier}, change

    def associate(self, target: Resource) -> Done:
        instances = self.account.alive("AWS::EC2::Instance")
        held = target.get("configuration", "associationId")
        if held:
            other = next((self.account.find(one) for one in target.related("AWS::EC2::Instance")), None)

            def undo(by: str | None) -> None:
                target.set(("configuration", "associationId"), None, by)
                target.set(("configuration", "instanceId"), None, by)
                if other:
                    target.relate(other, "Is attached to Instance", by, end=True)

            return "ec2", "DisassociateAddress", {"associationId": held}, {"_return": True}, undo
        if not instances or self.rng.random() < 0.2:
            return (
                "ec2",
                "ReleaseAddress",
                {"allocationId": target.id},
                {"_return": True},
                lambda by: self.account.end(target, by),
            )
        new, association = self.rng.choice(instances), f"eipassoc-0{self.account.hex(16)}"

        def change(by: str | None) -> None:
            target.set(("configuration", "associationId"), association, by)
            target.set(("configuration", "instanceId"), new.id, by)
            target.relate(new, "Is attached to Instance", by)

        return (
            "ec2",
            "AssociateAddress",
            {"instanceId": new.id, "allocationId": target.id},
            {"_return": True, "associationId": association},
            change,
        )
