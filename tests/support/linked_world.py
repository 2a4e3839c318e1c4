"""A world in which a security group is opened: versions of AWS Config and records of CloudTrail, in any order of arrival."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from audit_search import index_template
from audit_search.accounting import Counts
from audit_search.aws_config.documents import CAUSES, history_index
from audit_search.aws_config.items import Item, parse
from audit_search.aws_config.requests import Engine
from audit_search.bulk import Body
from audit_search.causes.linking import Linker, Totals
from audit_search.causes.links import causes_index
from audit_search.cloudtrail import DocumentBuilder, Policy
from audit_search.documents import TRAIL, Naming, Place
from audit_search.records import windows
from tests.support.config_world import ACCOUNT, IMPATIENT, REGION, World

GROUP = "sg-0a1b2c3d4e5f60718"
OPENED = 1_762_200_000_000
"""When the group was opened, in ms: in November 2025."""
_RULE = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": ["0.0.0.0/0"]}


def group(at: int, *, opened: bool, name: str = GROUP, **more: Any) -> Item:
    """A version of the group, captured `at` (ms); `more` are other attributes of its item."""
    record = {
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": _iso(at),
        "configurationStateId": str(at),
        "awsAccountId": ACCOUNT,
        "configurationItemStatus": "OK",
        "resourceType": "AWS::EC2::SecurityGroup",
        "resourceId": name,
        "resourceName": "web",
        "awsRegion": REGION,
        "configuration": {"groupId": name, "ipPermissions": [_RULE] if opened else []},
        **more,
    }
    found = parse(json.dumps(record))
    assert isinstance(found, Item)
    return found


def opening(at: int, *, name: str = GROUP, user: str = "ana", **more: Any) -> dict[str, Any]:
    """The record of the call that opens it."""
    permission = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}
    return {
        "eventVersion": "1.09",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/{user}", "accountId": ACCOUNT, "userName": user},
        "eventTime": _iso(at)[:19] + "Z",
        "eventSource": "ec2.amazonaws.com",
        "eventName": "AuthorizeSecurityGroupIngress",
        "awsRegion": REGION,
        "sourceIPAddress": "198.51.100.7",
        "requestParameters": {"groupId": name, "ipPermissions": {"items": [permission]}},
        "responseElements": {"_return": True},
        "eventID": f"opened-by-{user}-{name}",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    } | more


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at % 1_000:03d}Z"


@dataclass
class LinkedWorld:
    """AWS Config's world with CloudTrail's events and links beside it, and a clock (ms) that tests set."""

    world: World
    now: int = field(default_factory=lambda: int(time.time() * 1_000))

    def __post_init__(self) -> None:
        variant = {"replicas": 0, "shards": 1, "refresh": "-1", "simple": not self.world.engine.real}
        index_template.install(self.world.engine, self.world.prefix, TRAIL, CAUSES, **variant)

    def remove(self) -> None:
        """Remove the indices and the templates."""
        for family in (TRAIL, CAUSES):
            self.world.engine.call("DELETE", f"/_index_template/{index_template.name(self.world.prefix, family)}")
        self.world.remove()

    def trail(self, *records: dict[str, Any]) -> None:
        """Index records as the function does."""
        text = json.dumps({"Records": records}).encode()
        place = Place("trails", "AWSLogs/x.json.gz", datetime.now(UTC))
        builder = DocumentBuilder(Policy(Naming(self.world.prefix)), place, Counts())
        lines = [line for window in windows(iter([text])) for line in builder.lines(window, 0).lines]
        assert len(lines) == len(records)
        reply = self.world.client.bulk(Body(lines), 60)
        assert (reply.status, reply.errors) in ((200, True), (200, False))

    def config(self, *items: Item) -> None:
        """Index versions as the function does."""
        self.world.write(items)

    def refresh(self) -> None:
        """Make everything searchable."""
        status, _ = self.world.engine.call("POST", f"/{self.world.prefix}*/_refresh")
        assert status in (200, 404)

    def link(self, later: int = 0, engine: Engine | None = None, *, seconds: float = 60, page: int = 100) -> Totals:
        """Refresh, let `later` ms pass beyond what has to settle, and run the linker."""
        self.refresh()
        self.now = int(time.time() * 1_000) + 120_000 + later
        linker = Linker(engine or self.world.client, self.world.prefix, IMPATIENT, now=lambda: self.now / 1_000, page=page)
        totals = linker.run(time.monotonic() + seconds)
        self.refresh()
        return totals

    def age(self, *items: Item) -> None:
        """Make versions look as if they had been ingested an hour ago."""
        for item in items:
            index = history_index(self.world.prefix, item.captured)
            found = self.world.get(index, item.identity)
            assert found is not None
            found["_source"]["cfg"]["ingestTime"] = _iso(int(time.time() * 1_000) - 3_600_000)
            order = f"version={found['_version']}&version_type=external_gte"
            status, answer = self.world.engine.call("PUT", f"/{index}/_doc/{item.identity}?{order}", found["_source"])
            assert status == 200, answer
        self.refresh()

    def caused_by(self, item: Item) -> dict[str, Any]:
        """What a version's document says it is caused by."""
        found: dict[str, Any] = (self.world.version(item) or {})["cfg"].get("causedBy", {})
        return found

    def links(self, item: Item) -> dict[str, Any]:
        """The document of a version's links."""
        found = self.world.get(causes_index(self.world.prefix, item.captured), item.identity)
        assert found is not None
        source: dict[str, Any] = found["_source"]
        return source

    def number(self, item: Item) -> int:
        """The external version of a version's document."""
        found = self.world.get(history_index(self.world.prefix, item.captured), item.identity)
        assert found is not None
        number: int = found["_version"]
        return number
