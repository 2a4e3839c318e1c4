"""AWS Config's objects in S3: histories, snapshots and an oversized item, in the dialects that lie there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .actors import DEVELOPMENT, PRODUCTION, Json
from .calls import FRANKFURT, IRELAND, VIRGINIA
from .inventory import all_resources, at_noon, role, rule
from .records import written
from .resources import Resource, Version, ec2
from .seeded import Seeded

SNAPSHOT = Seeded("config/snapshot").guid()
OTHER_GROUP = "sg-0777666655554444a"


@dataclass(frozen=True)
class ConfigFile:
    """An object of AWS Config's: its key, its text, and the text of each of its items."""

    key: str
    content: bytes
    elements: tuple[bytes, ...]


def folder(account: str, region: str, at: datetime, kind: str) -> str:
    """Where AWS Config puts an object; months and days have no leading zero."""
    return f"AWSLogs/{account}/Config/{region}/{at.year}/{at.month}/{at.day}/{kind}/"


def stamp(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%SZ}"


def history_key(items: Sequence[Json], account: str = PRODUCTION, region: str = FRANKFURT) -> str:
    times = sorted(datetime.fromisoformat(str(item["configurationItemCaptureTime"])) for item in items)
    kind = items[0]["resourceType"]
    name = f"{account}_Config_{region}_ConfigHistory_{kind}_{stamp(times[0])}_{stamp(times[-1])}_1.json.gz"
    return folder(account, region, times[-1], "ConfigHistory") + name


def snapshot_key(at: datetime, identity: str, account: str = PRODUCTION, region: str = FRANKFURT) -> str:
    name = f"{account}_Config_{region}_ConfigSnapshot_{stamp(at)}_{identity}.json.gz"
    return folder(account, region, at, "ConfigSnapshot") + name


def history(items: Sequence[Json], key: str = "") -> ConfigFile:
    elements = tuple(written(item) for item in items)
    content = b'{"fileVersion":"1.0","configurationItems":[' + b",".join(elements) + b"]}"
    return ConfigFile(key or history_key(items), content, elements)


def snapshot(items: Sequence[Json], key: str, identity: str) -> ConfigFile:
    elements = tuple(written(item) for item in items)
    head = f'{{"fileVersion":"1.0","configSnapshotId":"{identity}","configurationItems":['.encode()
    return ConfigFile(key, head + b",".join(elements) + b"]}", elements)


def versions_of(kind: str, identity: str = "") -> list[Version]:
    return [
        version
        for resource in all_resources()
        if resource.kind == kind and identity in ("", resource.identity)
        for version in resource.versions
    ]


def as_stored(item: Json) -> Json:
    """As histories have it: the values of the supplementary configuration are JSON text."""
    more = {"Tags": json.dumps([{"key": "Name", "value": "web-1"}]), "unsupportedResources": []}
    return {**item, "supplementaryConfiguration": more}


def of_the_api(item: Json) -> Json:
    """As the API and the CLI spell it: other names, the configuration as text, the state id as text."""
    renamed = {
        "configurationItemVersion": "version",
        "awsAccountId": "accountId",
        "ARN": "arn",
        "configurationStateMd5Hash": "configurationItemMD5Hash",
    }
    made: Json = {renamed.get(name, name): value for name, value in item.items() if value is not None}
    made["configurationStateId"] = str(item["configurationStateId"])
    made["configurationItemCaptureTime"] = str(item["configurationItemCaptureTime"]).replace("Z", "000+00:00")
    relationships = item["relationships"]
    made["relationships"] = [
        {"resourceType": one["resourceType"], "resourceId": one["resourceId"], "relationshipName": one["name"]}
        for one in (relationships if isinstance(relationships, list) else [])
    ]
    made["configuration"] = json.dumps(item["configuration"], ensure_ascii=False)
    return made


def pretty_history() -> ConfigFile:
    """The data volume in the API's spelling, as a person or a tool has reformatted it, its list before the version."""
    items = [of_the_api(version.item) for version in versions_of("AWS::EC2::Volume", "vol-0d6e5f40312091827")]
    text = json.dumps({"configurationItems": items, "fileVersion": "1.0"}, ensure_ascii=False, indent=2).encode()
    return ConfigFile(history_key(items), text + b"\n", tuple(written(item) for item in items))


def seen_from_another_region() -> ConfigFile:
    """The same role, recorded in a second region: identical but for the region."""
    items = [{**version.item, "awsRegion": VIRGINIA} for version in role().versions]
    return history(items, history_key(items, region=VIRGINIA))


def odd_snapshot() -> ConfigFile:
    """Old and odd dialects between an element that is no object and one that names no resource."""
    at = datetime(2026, 11, 14, 6, 0, 2, tzinfo=UTC)
    zone = f"{IRELAND}b"
    base: Json = {"resourceType": "AWS::EC2::Volume", "configurationItemStatus": "OK", "accountId": DEVELOPMENT}
    items: list[object] = [
        {
            **base,
            "resourceId": "vol-0a0a0a0a0a0a0a0a1",
            "availibilityZone": zone,
            "configurationItemCaptureTime": "2026-11-13T23:47:08.918Z",
            "configurationStateID": "3e660fdf-4e34-4f32-afeb-0ace5bf3d63a",
            "configuration": {"volumeId": "vol-0a0a0a0a0a0a0a0a1", "multiAttach": "false"},
            "tags": [{"tagName": "environment", "tagValue": "PROD"}],
            "relationships": [{"resourceType": "AWS::EC2::Instance", "resourceName": "i-0", "name": "Attached to Instance"}],
        },
        "not an object",
        {
            **base,
            "resourceId": "vol-0a0a0a0a0a0a0a0a2",
            "availabilityZone": zone,
            "configurationItemCaptureTime": None,
            "configurationStateId": 1794610028918.0,
            "configuration": None,
            "tags": {"kubernetes.io/cluster/shop": "owned", "Kosten.Stelle": "4711", "": "no name"},
        },
        {**base, "configuration": {"resourceId": "missing"}},
        {
            **base,
            "resourceId": "vol-0a0a0a0a0a0a0a0a3",
            "awsRegion": IRELAND,
            "availabilityZone": "Not Applicable",
            "configurationItemCaptureTime": "no time",
            "configurationStateId": 3,
            "configuration": '{"volumeId":"vol-0a0a0a0a0a0a0a0a3","Application Healthcheck URL":"http://[2001:db8::1]/"}',
            "supplementaryConfiguration": {"Policy": '{"Statement":[]}', "Note": "{not JSON"},
        },
    ]
    elements = tuple(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() for item in items)
    key = snapshot_key(at, Seeded("config/odd").guid(), DEVELOPMENT, IRELAND)
    return ConfigFile(key, b'{"configurationItems":[' + b",".join(elements) + b'],"fileVersion":"1.0"}', elements)


def large_group() -> Resource:
    """A security group with so many rules that its item does not fit a message."""
    group = Resource(
        "AWS::EC2::SecurityGroup",
        OTHER_GROUP,
        ec2("security-group", OTHER_GROUP),
        None,
        {
            "groupId": OTHER_GROUP,
            "groupName": "partners",
            "ipPermissions": [rule(443, *(f"203.0.113.{host}/32" for host in range(255)))],
            "ipPermissionsEgress": [],
            "vpcId": "vpc-0a9b8c7d6e5f40312",
        },
        name="partners",
    )
    group.record("2026-11-07T12:30:00.512")
    return group


def oversized() -> ConfigFile:
    """The object of an oversized item: the message that was too large."""
    (version,) = large_group().versions
    kind, identity = version.item["resourceType"], version.item["resourceId"]
    where = folder(PRODUCTION, FRANKFURT, version.captured, "OversizedChangeNotification")
    name = f"{PRODUCTION}_Config_{FRANKFURT}_ChangeNotification_{kind}_{identity}_{stamp(version.captured)}_0.json.gz"
    message: Json = {
        "configurationItemDiff": version.diff,
        "configurationItem": version.item,
        "notificationCreationTime": "2026-11-07T12:30:02.044Z",
        "messageType": "ConfigurationItemChangeNotification",
        "recordVersion": "1.3",
    }
    return ConfigFile(f"{where}{kind}/{identity}/{name}", written(message), (written(version.item),))


def all_files() -> list[ConfigFile]:
    """Every object of AWS Config's, in the order of their times."""
    instances = [as_stored(version.item) for version in versions_of("AWS::EC2::Instance")]
    noon = datetime(2026, 11, 9, 12, 0, 3, tzinfo=UTC)
    return [
        history([version.item for version in versions_of("AWS::EC2::VPC")]),
        history(instances[:3]),
        history([version.item for version in versions_of("AWS::EC2::SecurityGroup")][1:]),
        oversized(),
        snapshot([version.item for version in at_noon("2026-11-09")], snapshot_key(noon, SNAPSHOT), SNAPSHOT),
        seen_from_another_region(),
        pretty_history(),
        odd_snapshot(),
    ]
