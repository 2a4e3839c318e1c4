"""A domain with fine-grained access control, as Amazon makes them: a real node with its security plugin behind the edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.conftest import Account, Deploy
from tests.deploy.stacks import records
from tests.deploy.trails import Trail
from tests.support.amazon_domain import ANONYMOUS, AmazonDomain
from tests.support.ministack import ACCOUNT
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


def test_a_new_domain_lets_the_function_write_and_nobody_else(
    account: Account, deploy: Deploy, made: AmazonDomain, node: SecuredNode, name: str
) -> None:
    """The set-up is the master user and maps the function's role; with that alone the function reads its template and writes."""

    def identify(caller: str) -> dict[str, str]:
        if caller == ANONYMOUS:
            return {}
        master = f":role/{name}-SetupFunctionRole-" in caller  # MasterUserARN, which Amazon maps when it makes the domain
        return node.headers(backend_roles=[caller, *(["admin"] if master else [])])

    made.engine, made.identify = node.endpoint, identify
    try:
        bucket = f"{name}-trail"
        new = {"CreateDomain": "true", "DomainName": made.name, "DashboardsAuth": "none"}
        stack = deploy(made, {"CreateTrail": "true", "TrailBucketNames": bucket, **new})
        trail = Trail(account.aws, bucket, stack.outputs["TrailTopicArnMade"])
        trail.deliver(stack, "first", records("First", 3), announced=True)
        stack.wait_for(lambda: found(node) == 3, f"three documents\n{stack.log()}")
        stack.quiet()
        role = stack.outputs["CloudTrailFunctionRoleArn"]
        assert {one.status for one in made.seen("POST", "/_bulk", role)} == {200}
        assert node.call("DELETE", "/cloudtrail-2026.11", backend_roles=[role])[0] == 403
        stranger = f"arn:aws:iam::{ACCOUNT}:role/stranger"
        assert node.call("GET", "/cloudtrail/_search", backend_roles=[stranger])[0] == 403
    finally:
        made.identify = lambda _caller: {}


def found(node: SecuredNode) -> int:
    status, answer = node.call("GET", "/cloudtrail/_search?q=eventName:First")
    total: Any = answer["hits"]["total"]["value"] if status == 200 else 0
    return int(total)
