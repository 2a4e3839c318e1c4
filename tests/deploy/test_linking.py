"""The linking as it is deployed: what a channel and a trail deliver finds each other, and its role may do that and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from audit_search.aws_config.items import Item
from tests.deploy.channels import Channel, found, of_config
from tests.deploy.conftest import Deploy, of, with_password
from tests.deploy.stacks import Stack
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.aws import trail_object
from tests.support.engines import TestEngine
from tests.support.linked_world import GROUP, OPENED, group, opening
from tests.support.ministack import REGION, Ministack

PROVEN = ("LinkVersions", "ReadIndexTemplate")
READ_PASSWORD = "ReadPassword"
"""The statements of the linking's role whose lack is shown here."""
CAUSE = f"opened-by-ana-{GROUP}"


@dataclass
class Linked:
    """A stack that takes AWS Config, with what its channel and its trail delivered."""

    stack: Stack

    def attempt(self) -> dict[str, Any]:
        """What an invocation answers, an error too."""
        answer = self.stack.client("lambda").invoke(FunctionName=self.stack.outputs["CausesFunctionArn"])
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        return said

    def caused_by(self) -> list[list[str]]:
        """The events that are said to have caused each version of the group, the oldest first."""
        versions = found(self.stack, "config-history", f"resourceId:{GROUP}")
        return [one["cfg"].get("causedBy", {}).get("eventId", []) for one in versions]

    def age(self) -> None:
        """Make the versions look as if they had been ingested an hour ago: a run leaves the newest minute to the next one."""
        engine = TestEngine(self.stack.engine, real=False, prefix=self.stack.prefix)
        before = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%S.000Z}"
        engine.refresh()
        query = {"query": {"match_all": {}}, "version": True, "size": 100}
        _, answer = engine.call("POST", f"/{self.stack.prefix}config-history/_search", query)
        for hit in answer["hits"]["hits"]:
            hit["_source"]["cfg"]["ingestTime"] = before
            order = f"version={hit['_version']}&version_type=external_gte"
            status, said = engine.call("PUT", f"/{hit['_index']}/_doc/{hit['_id']}?{order}", hit["_source"])
            assert status == 200, said
        engine.refresh()


@pytest.fixture
def linked(deploy: Deploy, domain: AmazonDomain, trail: Trail, aws: Ministack, name: str) -> Callable[..., Linked]:
    """Deploys a stack with these parameters; a group is there, is opened, and both sides tell of it."""

    def made(parameters: Mapping[str, str] | None = None) -> Linked:
        channel = Channel.make(aws, f"{name}-config", REGION)
        stack = deploy(domain, of(domain, trail, **of_config(channel), **(parameters or {})))
        trail.deliver(stack, "opened", trail_object([opening(OPENED)]), announced=True)
        for number, item in enumerate((group(OPENED - 3_600_000, opened=False), group(OPENED + 90_000, opened=True)), 1):
            channel.publish(message(item))  # one after the other: a later version is corrected by one that comes after it
            settled = partial(_is_there, stack, number)
            stack.wait_for(settled, f"both halves\n{stack.log()}\n{stack.log('config')}")
        one = Linked(stack)
        one.age()
        return one

    return made


def _is_there(stack: Stack, versions: int) -> bool:
    indexed = len(found(stack, "config-history")) == versions and stack.waiting("ConfigQueueUrl") == 0
    return indexed and len(stack.documents("AuthorizeSecurityGroupIngress")) == 1


def message(item: Item) -> dict[str, Any]:
    """The stream's message of a version, without a difference."""
    return {
        "configurationItemDiff": None,
        "configurationItem": json.loads(item.raw),
        "notificationCreationTime": "2025-11-03T20:00:00.000Z",
        "messageType": "ConfigurationItemChangeNotification",
        "recordVersion": "1.3",
    }


@pytest.mark.parametrize("sid", [*PROVEN, READ_PASSWORD])
def test_what_was_delivered_finds_each_other_with_each_statement_and_not_without(
    sid: str, linked: Callable[..., Linked], domain: AmazonDomain, aws: Ministack
) -> None:
    """Without a statement the function fails, which raises an alarm; with it each version says who did it."""
    one = linked(with_password(aws, domain) if sid == READ_PASSWORD else None)
    put_back = one.stack.without("CausesFunctionRole", sid)
    assert "errorMessage" in one.attempt()
    assert one.caused_by() == [[], []]
    put_back()
    done = one.attempt()
    assert (done.get("VersionsRead"), done.get("VersionsLinked"), done.get("VersionsWithCause")) == (2, 2, 1), done
    assert one.caused_by() == [[], [CAUSE]]
    _, links = found(one.stack, "config-causes", f"resourceId:{GROUP}")
    assert links["causedBy"]["kind"] == ["direct"]
    published = [json.loads(line) for line in one.stack.log("causes").splitlines() if '"_aws"' in line]
    assert (published[-1]["service"], published[-1]["VersionsWithCause"]) == (f"{one.stack.name}-causes", [1])
