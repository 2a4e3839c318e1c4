"""A domain with fine-grained access control, as Amazon makes them: a real node with its security plugin behind the edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from story.config_payloads import delivery

from tests.deploy.channels import Channel, change, of_config, sample
from tests.deploy.conftest import Account, Deploy
from tests.deploy.stacks import records
from tests.deploy.trails import Trail
from tests.support.amazon_domain import ANONYMOUS, AmazonDomain
from tests.support.ministack import ACCOUNT, REGION
from tests.support.opensearch_node import NodeUnavailableError, must_be_present
from tests.support.secured_node import SecuredNode


@pytest.fixture
def node(account: Account) -> Iterator[SecuredNode]:
    """A node whose certificate is that of everything else here."""
    try:
        node = SecuredNode(account.certificate, heap="512m").start()
    except NodeUnavailableError as error:
        if must_be_present():
            raise
        pytest.skip(str(error))
    yield node
    node.stop()


def test_a_new_domain_lets_the_functions_write_and_nobody_else(
    account: Account, deploy: Deploy, made: AmazonDomain, node: SecuredNode, name: str
) -> None:
    """The set-up is the master user and maps each function's role; with that alone it reads its templates and writes its own
    documents."""

    def identify(caller: str) -> dict[str, str]:
        if caller == ANONYMOUS:
            return {}
        master = f":role/{name}-SetupFunctionRole-" in caller  # MasterUserARN, which Amazon maps when it makes the domain
        return node.headers(backend_roles=[caller, *(["admin"] if master else [])])

    made.engine, made.identify = node.endpoint, identify
    try:
        bucket = f"{name}-trail"
        new = {"CreateDomain": "true", "DomainName": made.name, "DashboardsAuth": "none"}
        channel = Channel.make(account.aws, f"{name}-config", REGION)
        stack = deploy(made, {"CreateTrail": "true", "TrailBucketNames": bucket, **of_config(channel), **new})
        trail = Trail(account.aws, bucket, stack.outputs["TrailTopicArnMade"])
        trail.deliver(stack, "first", records("First", 3), announced=True)
        channel.publish(change("i-0123456789abcdef0"))
        snapshot = channel.put(sample("_ConfigSnapshot_"))
        channel.publish(delivery("ConfigurationSnapshotDeliveryCompleted", "2026-11-09T12:00:04.853Z", snapshot))
        stack.wait_for(lambda: found(node, "cloudtrail", "eventName:First") == 3, f"three documents\n{stack.log()}")
        stack.wait_for(lambda: found(node, "config-current", "*:*") == 8, f"eight resources\n{stack.log('config')}")
        stack.quiet()
        role = stack.outputs["CloudTrailFunctionRoleArn"]
        assert {one.status for one in made.seen("POST", "/_bulk", role)} == {200}
        assert node.call("DELETE", "/cloudtrail-2026.11", backend_roles=[role])[0] == 403
        stranger = f"arn:aws:iam::{ACCOUNT}:role/stranger"
        assert node.call("GET", "/cloudtrail/_search", backend_roles=[stranger])[0] == 403
        config = stack.outputs["ConfigFunctionRoleArn"]
        assert {one.status for one in made.seen("POST", caller=config)} == {200}
        assert made.seen("POST", "/config-current", config), "no search for what the snapshot no longer lists"
        for method, path in (
            ("DELETE", "/config-current-v1"),
            ("GET", "/cloudtrail/_search"),
            ("PUT", "/other-2026.11"),
        ):
            assert node.call(method, path, backend_roles=[config])[0] == 403, path
        assert node.call("POST", "/config-current/_search", backend_roles=[role])[0] == 403
    finally:
        made.identify = lambda _caller: {}


def found(node: SecuredNode, index: str, query: str) -> int:
    status, answer = node.call("GET", f"/{index}/_search?q={query}&size=0")
    total: Any = answer["hits"]["total"]["value"] if status == 200 else 0
    return int(total)
