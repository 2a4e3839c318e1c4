"""A second version of the code over the first."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.deploy.conftest import Account, Deploy, of
from tests.deploy.stacks import another_build, records
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.building import tool

MARK = "this is the second version"


def second_version(build: Path, folder: Path) -> Path:
    """A build in which only our layer is another one: the package says so when it is imported. Compiled as `make build` does."""
    changed = another_build(build, folder / "second")
    layer = changed / "AuditSearchLayer"
    module = layer / "python" / "audit_search" / "__init__.py"
    module.write_text(f"{module.read_text('utf-8')}\nprint({MARK!r})\n", "utf-8")
    command = [str(tool("sam", "python")), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, "-s", str(layer), "-p", "/opt", str(layer)], check=True)
    return changed


def test_a_change_in_a_layer_alone_reaches_the_alias(
    account: Account, deploy: Deploy, domain: AmazonDomain, trail: Trail, build: Path, tmp_path: Path
) -> None:
    """A new version is published, the alias points at it, its code answers, and the domain is prepared again."""
    stack = deploy(domain, of(domain, trail))
    functions, alias = stack.client("lambda"), {"FunctionName": stack.physical("CloudTrailFunction"), "Name": "live"}
    before: dict[str, Any] = functions.get_alias(**alias)
    trail.deliver(stack, "first", records("First", 1), announced=True)
    stack.wait_for(lambda: stack.documents("First"), "a document of the first version")
    asked = len(domain.seen(caller=stack.physical("SetupFunctionRole")))

    account.deployer.update(stack, build=second_version(build, tmp_path))

    assert functions.get_alias(**alias)["FunctionVersion"] != before["FunctionVersion"]
    assert len(domain.seen(caller=stack.physical("SetupFunctionRole"))) > asked
    assert MARK not in stack.log()
    trail.deliver(stack, "second", records("Second", 1), announced=True)
    stack.wait_for(lambda: stack.documents("Second"), "a document of the second version")
    stack.wait_for(lambda: MARK in stack.log(), "the second version's own words")
    stack.quiet()


def test_an_update_without_a_change_publishes_nothing(
    account: Account, deploy: Deploy, domain: AmazonDomain, trail: Trail
) -> None:
    """Another parameter of the queue alone leaves the function's version as it is."""
    stack = deploy(domain, of(domain, trail))
    functions, alias = stack.client("lambda"), {"FunctionName": stack.physical("CloudTrailFunction"), "Name": "live"}
    before = functions.get_alias(**alias)["FunctionVersion"]
    account.deployer.update(stack, {"MaximumConcurrency": "9"})
    assert functions.get_alias(**alias)["FunctionVersion"] == before
