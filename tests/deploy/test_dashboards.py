"""The dashboards of a deployed stack: there when it is, and what somebody edited is kept before it is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_search.dashboards import saved_objects
from tests.deploy.conftest import Account, Deploy, of
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.cli import run
from tests.support.dashboards_server import DashboardsServer


def server_of(domain: AmazonDomain) -> DashboardsServer:
    """What is behind the domain's edge."""
    assert domain.dashboards is not None
    return domain.dashboards


def test_a_stack_has_its_dashboards_and_an_update_keeps_what_was_edited(
    account: Account, deploy: Deploy, domain: AmazonDomain, trail: Trail
) -> None:
    """All objects of the prefix are there; at the next update an edited one is in the backups first, and as shipped then."""
    server = server_of(domain)
    stack = deploy(domain, of(domain, trail, IndexPrefix="acme-"))
    wanted = {(one["type"], one["id"]) for one in saved_objects.objects("acme-")}
    assert server.objects.keys() == wanted
    assert f"{len(wanted)} of {len(wanted)} imported" in stack.outputs["DashboardsImport"]
    server.edit("dashboard", "acme-audit-search-overview", title="Ours")
    account.deployer.update(stack, {"RefreshInterval": "20s"})
    assert server.objects["dashboard", "acme-audit-search-overview"]["attributes"]["title"] == "Audit Search: Overview (acme)"
    s3, bucket = stack.client("s3"), stack.physical("QuarantineBucket")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="backups/")["Contents"]]
    (key,) = [key for key in keys if key.endswith("/saved-objects/acme-audit-search.ndjson")]
    assert json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["attributes"]["title"] == "Ours"
    where = f"s3://{bucket}/{key}"
    assert stack.outputs["DashboardsImport"] == f"update: 1 edited; 1 of 1 imported; what was there before: {where}"


def test_a_stack_that_is_to_leave_dashboards_alone_asks_for_none(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """ImportDashboards=false: no request, and no permission for one."""
    stack = deploy(domain, of(domain, trail, ImportDashboards="false"))
    assert server_of(domain).objects == {}
    assert not domain.seen(path="/_dashboards")
    assert stack.outputs["DashboardsImport"] == "left alone"
    assert "ImportDashboards" not in {statement["Sid"] for statement in stack.statements("SetupFunctionRole")}


def test_the_command_imports_them_with_its_own_credentials(
    deploy: Deploy, domain: AmazonDomain, trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed as the domain asks for it, although the stack leaves them alone: what is said to the command wins."""
    monkeypatch.chdir(tmp_path)
    stack = deploy(domain, of(domain, trail, ImportDashboards="false"))
    environment = {**stack.aws.environment, "DASHBOARDS": "true"}
    done = run("setup", "--stack", stack.name, "--output", "json", env=environment)
    assert done.code == 0, done
    assert [change["action"] for change in done.document["changes"] if change["kind"] == "saved objects"] == ["create"]
    assert ("dashboard", "audit-search-overview") in server_of(domain).objects
    looked = run("doctor", "--stack", stack.name, "--output", "json", env=environment).document["findings"]
    assert [finding["severity"] for finding in looked if finding["check"] == "dashboards"] == ["ok"]
