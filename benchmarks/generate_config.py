"""AWS Config's items, messages and snapshots of any size, always the same for a seed.

An account has many network interfaces, volumes, functions and roles, fewer instances and databases; an item is a kilobyte or
two, some are five. Most changes are a tag, an attribute or a relationship that comes or goes. Stream and snapshot write the
same version in their own dialects, as AWS Config does.
"""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

ACCOUNT, REGION = "111122223333", "eu-central-1"
BEGIN = datetime(2025, 11, 3, 8, tzinfo=UTC)
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:config"

Item = dict[str, Any]
Parts = tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, str]]]
"""Configuration, supplementary configuration, and relationships as (type, id, name)."""


def _hex(rng: random.Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def _network(rng: random.Random) -> tuple[str, str]:
    number = rng.randrange(24)
    return f"subnet-0{number:016x}", f"vpc-0{number // 6:016x}"


def _group(rng: random.Random) -> str:
    return f"sg-0{rng.randrange(400):016x}"


def _interface(rng: random.Random, resource: str) -> Parts:
    subnet, vpc = _network(rng)
    group, instance, octets = _group(rng), f"i-0{_hex(rng, 16)}", (rng.randrange(256), rng.randrange(256))
    address = "10.0.{}.{}".format(*octets)
    name = "ip-10-0-{}-{}.eu-central-1.compute.internal".format(*octets)
    configuration = {
        "attachment": {
            "attachTime": "2025-10-29T14:02:11.000Z",
            "attachmentId": f"eni-attach-0{_hex(rng, 16)}",
            "deleteOnTermination": True,
            "deviceIndex": 0,
            "networkCardIndex": 0,
            "instanceId": instance,
            "instanceOwnerId": ACCOUNT,
            "status": "attached",
        },
        "availabilityZone": f"{REGION}a",
        "description": f"aws-K8S-{_hex(rng, 17)}",
        "groups": [{"groupName": "nodes", "groupId": group}],
        "interfaceType": "interface",
        "ipv6Addresses": [],
        "macAddress": ":".join(_hex(rng, 2) for _ in range(6)),
        "networkInterfaceId": resource,
        "ownerId": ACCOUNT,
        "privateDnsName": name,
        "privateIpAddress": address,
        "privateIpAddresses": [{"primary": True, "privateDnsName": name, "privateIpAddress": address}],
        "requesterId": f"AROA{_hex(rng, 16).upper()}:eks",
        "requesterManaged": False,
        "sourceDestCheck": True,
        "status": "in-use",
        "subnetId": subnet,
        "tagSet": [],
        "vpcId": vpc,
    }
    related = [
        ("AWS::EC2::SecurityGroup", group, "Is associated with SecurityGroup"),
        ("AWS::EC2::Instance", instance, "Is attached to Instance"),
        ("AWS::EC2::Subnet", subnet, "Is contained in Subnet"),
        ("AWS::EC2::VPC", vpc, "Is contained in Vpc"),
    ]
    return configuration, {}, related


def _volume(rng: random.Random, resource: str) -> Parts:
    instance = f"i-0{_hex(rng, 16)}"
    attachment = {
        "attachTime": "2025-10-29T14:02:11.000Z",
        "device": "/dev/xvda",
        "instanceId": instance,
        "state": "attached",
        "volumeId": resource,
        "deleteOnTermination": True,
    }
    configuration = {
        "attachments": [attachment],
        "availabilityZone": f"{REGION}a",
        "createTime": "2025-10-29T14:02:09.447Z",
        "encrypted": True,
        "kmsKeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{_hex(rng, 32)}",
        "size": rng.choice((8, 20, 100, 500)),
        "snapshotId": f"snap-0{_hex(rng, 16)}",
        "state": "in-use",
        "volumeId": resource,
        "iops": 3000,
        "volumeType": "gp3",
        "multiAttachEnabled": False,
        "throughput": 125,
    }
    return configuration, {}, [("AWS::EC2::Instance", instance, "Is attached to Instance")]


def _instance(rng: random.Random, resource: str) -> Parts:
    interface, (own, _, related) = f"eni-0{_hex(rng, 16)}", _interface(rng, resource)
    volumes = [f"vol-0{_hex(rng, 16)}" for _ in range(rng.randrange(1, 4))]
    configuration = {
        "amiLaunchIndex": 0,
        "imageId": f"ami-0{_hex(rng, 16)}",
        "instanceId": resource,
        "instanceType": rng.choice(("m7i.large", "c7g.xlarge", "t4g.medium", "r7i.4xlarge")),
        "keyName": "operations",
        "launchTime": "2025-10-29T14:02:08.000Z",
        "monitoring": {"state": "enabled"},
        "placement": {"availabilityZone": f"{REGION}a", "groupName": "", "tenancy": "default"},
        "privateDnsName": own["privateDnsName"],
        "privateIpAddress": own["privateIpAddress"],
        "productCodes": [],
        "publicDnsName": "",
        "state": {"code": 16, "name": "running"},
        "stateTransitionReason": "",
        "subnetId": own["subnetId"],
        "vpcId": own["vpcId"],
        "architecture": "x86_64",
        "blockDeviceMappings": [
            {
                "deviceName": f"/dev/xvd{chr(97 + number)}",
                "ebs": {
                    "attachTime": "2025-10-29T14:02:09.000Z",
                    "deleteOnTermination": True,
                    "status": "attached",
                    "volumeId": volume,
                },
            }
            for number, volume in enumerate(volumes)
        ],
        "clientToken": _hex(rng, 32),
        "ebsOptimized": True,
        "enaSupport": True,
        "hypervisor": "xen",
        "iamInstanceProfile": {"arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/nodes", "id": f"AIPA{_hex(rng, 17).upper()}"},
        "networkInterfaces": [{**own, "networkInterfaceId": interface}],
        "rootDeviceName": "/dev/xvda",
        "rootDeviceType": "ebs",
        "securityGroups": own["groups"],
        "sourceDestCheck": True,
        "virtualizationType": "hvm",
        "cpuOptions": {"coreCount": 1, "threadsPerCore": 2},
        "hibernationOptions": {"configured": False},
        "metadataOptions": {
            "state": "applied",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 2,
            "httpEndpoint": "enabled",
        },
    }
    related = [("AWS::EC2::NetworkInterface", interface, "Contains NetworkInterface"), *related[:1], *related[2:]]
    return configuration, {}, related + [("AWS::EC2::Volume", volume, "Is attached to Volume") for volume in volumes]


def _security_group(rng: random.Random, resource: str) -> Parts:
    _, vpc = _network(rng)
    configuration = {
        "description": "what the service needs",
        "groupName": f"service-{rng.randrange(1000)}",
        "ipPermissions": [_permission(rng) for _ in range(rng.randrange(1, 6))],
        "ownerId": ACCOUNT,
        "groupId": resource,
        "ipPermissionsEgress": [
            {
                "ipProtocol": "-1",
                "ipv6Ranges": [],
                "prefixListIds": [],
                "userIdGroupPairs": [],
                "ipv4Ranges": [{"cidrIp": "0.0.0.0/0"}],
                "ipRanges": ["0.0.0.0/0"],
            }
        ],
        "vpcId": vpc,
    }
    used = [("AWS::EC2::NetworkInterface", f"eni-0{_hex(rng, 16)}", "Is associated with NetworkInterface") for _ in range(3)]
    return configuration, {}, [*used, ("AWS::EC2::VPC", vpc, "Is contained in Vpc")]


def _permission(rng: random.Random) -> dict[str, Any]:
    port = rng.choice((22, 80, 443, 5432, 8080)) + 10_000 * rng.randrange(5)
    ranges = [f"10.{rng.randrange(256)}.{rng.randrange(256)}.0/24" for _ in range(rng.randrange(1, 4))]
    return {
        "fromPort": port,
        "ipProtocol": "tcp",
        "ipv6Ranges": [],
        "prefixListIds": [],
        "toPort": port,
        "userIdGroupPairs": [{"groupId": _group(rng), "userId": ACCOUNT}],
        "ipv4Ranges": [{"cidrIp": one} for one in ranges],
        "ipRanges": ranges,
    }


def _bucket(rng: random.Random, resource: str) -> Parts:
    rule = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyID": _hex(rng, 32)}}
    statement = {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{resource}", f"arn:aws:s3:::{resource}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    blocked = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
    supplementary = {
        "AccessControlList": json.dumps(
            {"grantSet": None, "grantList": [{"grantee": {"id": _hex(rng, 64)}, "permission": "FullControl"}]}
        ),
        "BucketPolicy": {"policyText": json.dumps({"Version": "2012-10-17", "Statement": [statement]})},
        "BucketVersioningConfiguration": {"status": "Enabled", "isMfaDeleteEnabled": None},
        "PublicAccessBlockConfiguration": blocked,
        "ServerSideEncryptionConfiguration": {"rules": [{**rule, "bucketKeyEnabled": True}]},
        "IsRequesterPaysEnabled": False,
    }
    owner = {"displayName": None, "id": _hex(rng, 64)}
    return {"name": resource, "owner": owner, "creationDate": "2024-05-17T09:31:44.000Z", "region": REGION}, supplementary, []


def _role(rng: random.Random, resource: str) -> Parts:
    name, policy = f"app-{rng.randrange(10_000)}", f"ANPA{_hex(rng, 16).upper()}"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    inline = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::bucket-{_hex(rng, 8)}/*" for _ in range(rng.randrange(1, 6))],
    }
    configuration = {
        "path": "/",
        "roleName": name,
        "roleId": resource,
        "arn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
        "createDate": "2024-05-17T09:31:44.000Z",
        "assumeRolePolicyDocument": quote(json.dumps({"Version": "2012-10-17", "Statement": [trust]})),
        "instanceProfileList": [],
        "rolePolicyList": [
            {"policyName": "inline", "policyDocument": quote(json.dumps({"Version": "2012-10-17", "Statement": [inline]}))}
        ],
        "attachedManagedPolicies": [{"policyName": "boundary", "policyArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary"}],
        "permissionsBoundary": None,
        "tags": [],
        "roleLastUsed": None,
    }
    return configuration, {}, [("AWS::IAM::Policy", policy, "Is attached to CustomerManagedPolicy")]


def _function(rng: random.Random, resource: str) -> Parts:
    subnet, vpc = _network(rng)
    group, role = _group(rng), f"app-{rng.randrange(10_000)}"
    configuration = {
        "functionName": resource,
        "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{resource}",
        "runtime": "python3.13",
        "role": f"arn:aws:iam::{ACCOUNT}:role/{role}",
        "handler": "app.lambda_handler",
        "codeSize": rng.randrange(10**7),
        "description": "",
        "timeout": 30,
        "memorySize": rng.choice((128, 512, 1769)),
        "lastModified": "2025-10-29T14:02:08.000+0000",
        "codeSha256": _hex(rng, 44),
        "version": "$LATEST",
        "vpcConfig": {"subnetIds": [subnet], "securityGroupIds": [group], "vpcId": vpc},
        "tracingConfig": {"mode": "Active"},
        "revisionId": _hex(rng, 32),
        "layers": [{"arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:common:{rng.randrange(90)}", "codeSize": 123456}],
        "state": "Active",
        "lastUpdateStatus": "Successful",
        "packageType": "Zip",
        "architectures": ["arm64"],
        "ephemeralStorage": {"size": 512},
        "snapStart": {"applyOn": "None", "optimizationStatus": "Off"},
    }
    related = [
        ("AWS::EC2::Subnet", subnet, "Is contained in Subnet"),
        ("AWS::EC2::SecurityGroup", group, "Is associated with SecurityGroup"),
        ("AWS::IAM::Role", role, "Is associated with Role"),
    ]
    return configuration, {"Policy": None, "Tags": {"team": "shop"}}, related


def _subnet(rng: random.Random, resource: str) -> Parts:
    _, vpc = _network(rng)
    configuration = {
        "availabilityZone": f"{REGION}a",
        "availabilityZoneId": "euc1-az2",
        "availableIpAddressCount": rng.randrange(250),
        "cidrBlock": f"10.0.{rng.randrange(256)}.0/24",
        "defaultForAz": False,
        "mapPublicIpOnLaunch": False,
        "state": "available",
        "subnetId": resource,
        "vpcId": vpc,
        "ownerId": ACCOUNT,
        "ipv6CidrBlockAssociationSet": [],
        "subnetArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/{resource}",
    }
    table = (f"rtb-0{_hex(rng, 16)}", f"acl-0{_hex(rng, 16)}")
    related = [
        ("AWS::EC2::VPC", vpc, "Is contained in Vpc"),
        ("AWS::EC2::RouteTable", table[0], "Is associated with RouteTable"),
        ("AWS::EC2::NetworkAcl", table[1], "Is attached to NetworkAcl"),
        *(("AWS::EC2::NetworkInterface", f"eni-0{_hex(rng, 16)}", "Contains NetworkInterface") for _ in range(6)),
    ]
    return configuration, {}, related


def _stack(rng: random.Random, resource: str) -> Parts:
    made = [f"service-{_hex(rng, 12)}" for _ in range(rng.randrange(3, 12))]
    configuration = {
        "stackId": resource,
        "stackName": resource.split("/")[1],
        "parameters": [{"parameterKey": f"Parameter{number}", "parameterValue": _hex(rng, 12)} for number in range(5)],
        "creationTime": "2025-10-29T14:02:08.000Z",
        "rollbackConfiguration": {"rollbackTriggers": []},
        "stackStatus": "UPDATE_COMPLETE",
        "disableRollback": False,
        "notificationARNs": [],
        "capabilities": ["CAPABILITY_IAM"],
        "outputs": [{"outputKey": "Endpoint", "outputValue": f"https://{_hex(rng, 10)}.example.com"}],
        "tags": [],
        "driftInformation": {"stackDriftStatus": "NOT_CHECKED"},
    }
    return configuration, {}, [("AWS::Lambda::Function", name, "Contains Function") for name in made]


@dataclass(frozen=True, slots=True)
class _Kind:
    weight: int
    name: str
    identity: str
    parts: Callable[[random.Random, str], Parts]
    attribute: tuple[str, tuple[Any, ...]]


_KINDS = (
    _Kind(22, "AWS::EC2::NetworkInterface", "eni-0{}", _interface, ("description", ("first", "second", "third"))),
    _Kind(12, "AWS::EC2::Volume", "vol-0{}", _volume, ("iops", (3000, 6000, 12000))),
    _Kind(12, "AWS::Lambda::Function", "service-{}", _function, ("memorySize", (256, 1024, 2048))),
    _Kind(11, "AWS::EC2::SecurityGroup", "sg-0{}", _security_group, ("description", ("first", "second", "third"))),
    _Kind(11, "AWS::IAM::Role", "AROA{}", _role, ("path", ("/", "/a/", "/b/"))),
    _Kind(10, "AWS::EC2::Instance", "i-0{}", _instance, ("instanceType", ("m7i.xlarge", "c7g.large", "t4g.small"))),
    _Kind(8, "AWS::S3::Bucket", "data-{}", _bucket, ("region", ("eu-central-1", "EU", "eu-west-1"))),
    _Kind(8, "AWS::CloudFormation::Stack", f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/s-{{}}/0", _stack, ("stackStatus", ("UPDATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_FAILED"))),
    _Kind(6, "AWS::EC2::Subnet", "subnet-0{}", _subnet, ("availableIpAddressCount", (11, 60, 111))),
)  # fmt: skip


def resource(seed: int, number: int) -> Item:
    """The first version of the resource of that number, as a message has it, captured at BEGIN."""
    rng = random.Random(seed * 1_000_003 + number)
    kind = rng.choices(_KINDS, [kind.weight for kind in _KINDS])[0]
    identity = kind.identity.format(_hex(rng, 16))
    configuration, supplementary, related = kind.parts(rng, identity)
    tags = {"Name": f"thing-{number}", "team": rng.choice(("shop", "pay", "ship")), "cost-center": str(rng.randrange(100))}
    if kind.name.startswith("AWS::EC2::"):
        configuration["tags"] = [{"key": name, "value": value} for name, value in tags.items()]
    service = kind.name.split("::")[1].lower()
    item = {
        "relatedEvents": [],
        "relationships": [_related(*one) for one in related],
        "configuration": configuration,
        "supplementaryConfiguration": supplementary,
        "tags": tags,
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": "",
        "configurationStateId": 0,
        "awsAccountId": ACCOUNT,
        "configurationItemStatus": "ResourceDiscovered",
        "resourceType": kind.name,
        "resourceId": identity,
        "resourceName": tags["Name"] if service in ("lambda", "iam", "s3") else None,
        "ARN": identity if identity.startswith("arn:") else f"arn:aws:{service}:{REGION}:{ACCOUNT}:{identity}",
        "awsRegion": "global" if service == "iam" else REGION,
        "availabilityZone": f"{REGION}a" if service == "ec2" else "Not Applicable",
        "configurationStateMd5Hash": "",
        "resourceCreationTime": "2025-10-29T14:02:08.000Z",
    }
    return stamped(item, BEGIN)


def _related(kind: str, identity: str, name: str) -> dict[str, Any]:
    return {"resourceId": identity, "resourceName": None, "resourceType": kind, "name": name}


def stamped(item: Item, when: datetime) -> Item:
    """The item as the version of that time."""
    item["configurationItemCaptureTime"] = when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
    item["configurationStateId"] = int(when.timestamp() * 1000)
    return item


def changed(rng: random.Random, before: Item, when: datetime) -> tuple[Item, dict[str, Any]]:
    """The next version of a resource, and the message's account of what changed."""
    item = copy.deepcopy(before)
    item["configurationItemStatus"] = "OK"
    chosen = rng.random()
    kind = next(kind for kind in _KINDS if kind.name == item["resourceType"])
    if chosen < 0.5:
        name, values = kind.attribute
        old = item["configuration"][name]
        new = rng.choice([value for value in values if value != old])
        item["configuration"][name] = new
        properties = {f"Configuration.{name[:1].upper()}{name[1:]}": _difference(old, new)}
    elif chosen < 0.75:
        old, new = item["tags"]["team"], f"team-{rng.randrange(100)}"
        item["tags"]["team"] = new
        for tag in item["configuration"].get("tags", []):
            tag["value"] = new if tag["key"] == "team" else tag["value"]
        properties = {"Tags.team": _difference(old, new)}
    else:
        old = item["relationships"].pop() if item["relationships"] and rng.random() < 0.4 else None
        new = _related("AWS::EC2::Volume", f"vol-0{_hex(rng, 16)}", "Is attached to Volume")
        item["relationships"].append(new)
        properties = {"Relationships.0": _difference(old, None)} if old else {}
        properties["Relationships.1"] = _difference(None, new)
    return stamped(item, when), {"changedProperties": properties, "changeType": "UPDATE"}


def _difference(before: Any, after: Any) -> dict[str, Any]:
    kind = "CREATE" if before is None else "DELETE" if after is None else "UPDATE"
    return {"previousValue": before, "updatedValue": after, "changeType": kind}


def stream(seed: int, count: int, resources: int) -> Iterator[str]:
    """Texts of change notifications in the order of their time: each resource is discovered once and then changes."""
    rng = random.Random(seed)
    known: dict[int, Item] = {}
    for number in range(count):
        when = BEGIN + timedelta(milliseconds=number * 733)
        chosen = rng.randrange(resources)
        if chosen in known:
            item, diff = changed(rng, known[chosen], when)
        else:
            item, diff = stamped(resource(seed, chosen), when), {"changedProperties": {}, "changeType": "CREATE"}
        known[chosen] = item
        message = {
            "configurationItemDiff": diff,
            "configurationItem": item,
            "notificationCreationTime": item["configurationItemCaptureTime"],
            "messageType": "ConfigurationItemChangeNotification",
            "recordVersion": "1.3",
        }
        yield json.dumps(message, separators=(",", ":"))


def snapshot(seed: int, resources: int, changes: float = 0.0) -> Iterator[str]:
    """Texts of a snapshot's items: each resource once, so many of a hundred changed since the snapshot without changes."""
    rng = random.Random(seed + 1)
    for number in range(resources):
        item = resource(seed, number)
        if rng.random() < changes / 100:
            item, _ = changed(rng, item, BEGIN + timedelta(hours=1, milliseconds=number))
        item["supplementaryConfiguration"] = {  # text in objects, whatever it is in messages
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in item["supplementaryConfiguration"].items()
        }
        yield json.dumps(item, separators=(",", ":"))


def snapshot_key(number: int) -> str:
    """A delivery channel's key for the snapshot of this number, made a day after BEGIN and later."""
    when = BEGIN + timedelta(days=1 + number)
    return (
        f"AWSLogs/{ACCOUNT}/Config/{REGION}/{when:%Y/%-m/%-d}/ConfigSnapshot/"
        f"{ACCOUNT}_Config_{REGION}_ConfigSnapshot_{when:%Y%m%dT%H%M%SZ}_{number:08d}-0000-4000-8000-000000000000.json.gz"
    )


def write_snapshot(path: Path, number: int, texts: Iterator[str]) -> int:
    """Write one snapshot and give its inflated size."""
    size = 0
    with gzip.GzipFile(path, "wb", compresslevel=6, mtime=0) as stream_:
        size += stream_.write(b'{"fileVersion":"1.0","configSnapshotId":"%08d-0000-4000-8000-000000000000",' % number)
        size += stream_.write(b'"configurationItems":[')
        for position, text in enumerate(texts):
            size += stream_.write((b"," if position else b"") + text.encode())
        size += stream_.write(b"]}")
    return size


def sqs_event(texts: list[str], first: int) -> dict[str, Any]:
    """An SQS event with one message of the topic in each of its messages, SNS's envelope around it."""
    return {"Records": [_sqs_record(text, first + number) for number, text in enumerate(texts)]}


def _sqs_record(text: str, number: int) -> dict[str, Any]:
    envelope = {
        "Type": "Notification",
        "MessageId": f"{number:08d}-0000-4000-8000-000000000000",
        "TopicArn": TOPIC,
        "Subject": f"[AWS Config:{REGION}] Account {ACCOUNT}",
        "Message": text,
        "Timestamp": BEGIN.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": "1",
        "Signature": "c2lnbmF0dXJl" * 28,
    }
    return {
        "messageId": str(number),
        "receiptHandle": "x",
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(BEGIN.timestamp() * 1000))},
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q",
        "body": json.dumps(envelope),
    }


def delivery(bucket: str, number: int) -> str:
    """The message that says that the snapshot of this number is there."""
    when = BEGIN + timedelta(days=1 + number)
    return json.dumps(
        {
            "configSnapshotId": f"{number:08d}-0000-4000-8000-000000000000",
            "s3ObjectKey": snapshot_key(number),
            "s3Bucket": bucket,
            "notificationCreationTime": when.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "messageType": "ConfigurationSnapshotDeliveryCompleted",
            "recordVersion": "1.1",
        }
    )
