"""`audit-search` on a real node: what its disks, shards and roles answer, and what the doctor makes of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.aws import Aws
from tests.support.cli import Run, run
from tests.support.engines import TestEngine
from tests.support.opensearch_node import NodeUnavailableError, OpenSearchNode, must_be_present
from tests.support.secured_node import ADMIN, PASSWORD, SecuredNode, shared_secured_node

SECURITY = "/_plugins/_security/api"
WRITER = "arn:aws:iam::123456789012:role/writer"


@pytest.fixture
def engine(endpoint: str) -> Iterator[TestEngine]:
    """The node with names of its own, in which nothing is yet."""
    engine = TestEngine(endpoint, real=True)
    yield engine
    engine.remove()


def on(engine: TestEngine, command: str, *arguments: str) -> Run:
    """Run a command on the node, with JSON as its result."""
    return run(
        *(command, "--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix, "--output", "json", *arguments),
        env={},
    )


def findings(shown: Run) -> dict[str, list[dict[str, Any]]]:
    """The findings of a run by their checks."""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in shown.document["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def event(minutes_ago: int, now: datetime) -> dict[str, Any]:
    """A document that came in some minutes ago, five minutes after its event."""
    ingested = now - timedelta(minutes=minutes_ago)
    return {
        "eventTime": f"{ingested - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}",
        "recipientAccountId": "111122223333",
        "awsRegion": "eu-central-1",
        "ct.ingestTime": f"{ingested:%Y-%m-%dT%H:%M:%S.000Z}",
        "ct.ingestMode": "live",
    }


def test_after_a_set_up_the_doctor_finds_nothing_wrong(engine: TestEngine) -> None:
    """Every check that this node can answer is ok, with figures of the node itself."""
    assert on(engine, "setup").code == 0
    now = datetime.now(UTC)
    for number in range(3):
        engine.put(f"/{engine.prefix}cloudtrail-{now:%Y.%m}/_doc/{number}", event(number, now))
    engine.refresh()
    shown = on(engine, "doctor")
    assert shown.code == 0, shown
    found = findings(shown)
    for check in ("endpoint", "version", "mapping", "alias", "blocks", "capacity", "replicas", "shards", "freshness", "lag"):
        assert [finding["severity"] for finding in found[check]] in (["ok"], ["ok", "ok"]), found[check]
    assert found["version"][0]["what"] == "OpenSearch 2.19.4."
    assert "1 shard of 1 index" in found["shards"][0]["what"]
    assert found["freshness"][0]["what"].startswith("3 documents; newest ingested ")
    (row,) = found["freshness"][0]["table"]
    assert (row["account"], row["region"], row["events in 14 days"]) == ("111122223333", "eu-central-1", "3")
    assert "5 min (median), at most 5 min, of 3 live events" in found["lag"][0]["what"]
    (disk,) = found["disk"]
    assert disk["what"].startswith("node-1: ")
    assert " used, " in disk["what"]


def test_what_is_wrong_with_indices_is_found_with_the_nodes_own_reason(engine: TestEngine) -> None:
    """A copy that has no node, an index made without the template, and a block."""
    assert on(engine, "setup", "--replicas", "0").code == 0
    name = f"{engine.prefix}cloudtrail-2026.11"
    engine.put(f"/{name}", {"settings": {"number_of_replicas": 1}})
    engine.put(f"/{name}/_settings", {"index.blocks.read_only_allow_delete": True})
    engine.put(f"/{engine.prefix}cloudtrail-x/_doc/a?refresh=true", {"requestParameters": {"a": 1}})
    shown = on(engine, "doctor")
    assert shown.code == 1
    found = findings(shown)
    assert [finding["severity"] for finding in found["mapping"]] == ["error"]
    assert f"{engine.prefix}cloudtrail-x was made without the index template" in found["mapping"][0]["what"]
    assert f"{name} takes no documents: a disk reached the flood stage" in found["blocks"][0]["what"]
    (cluster,) = found["cluster"]
    assert cluster["severity"] == "warning"
    assert "already allocated to this node" in cluster["what"]  # the node's own explanation of why a copy cannot be placed
    texts = [finding["what"] for finding in found["shards"]]
    assert f"{name}[0]: its replica has no node (INDEX_CREATED)." in texts
    assert any("1 index without a document" in text and name in text for text in texts)
    assert "cannot be placed on 1 data node" in found["replicas"][0]["what"]
    engine.put(f"/{name}/_settings", {"index.blocks.read_only_allow_delete": None})


def test_drift_is_found_and_a_set_up_mends_it(engine: TestEngine) -> None:
    """The node gives settings back as text; only what really differs is named."""
    assert on(engine, "setup").code == 0
    assert on(engine, "setup", "--dry-run").document["counts"].get("update", 0) == 0
    drifted = findings(on(engine, "doctor", "--refresh-interval", "30s"))["preparation"]
    assert any(finding["severity"] == "warning" and "refresh_interval" in finding["what"] for finding in drifted)
    changed = on(engine, "setup", "--refresh-interval", "30s", "--dry-run").document["changes"]
    (template,) = [change for change in changes_of(changed) if change["action"] == "update"]
    assert template["differences"] == ["template.settings.index.refresh_interval"]


def test_indices_of_aws_config_are_examined_after_a_set_up(engine: TestEngine) -> None:
    """Nothing is wrong after it, and a second one has nothing to do; then a block and a drift are found."""
    assert on(engine, "setup", "--config", "true").code == 0
    assert on(engine, "setup", "--config", "true", "--dry-run").document["counts"].get("update", 0) == 0
    now = datetime.now(UTC)
    document = {"cfg.ingestTime": f"{now:%Y-%m-%dT%H:%M:%S.000Z}"}
    history = f"{engine.prefix}config-history-{now:%Y.%m}"
    for name in (history, f"{engine.prefix}config-timeline"):
        engine.put(f"/{name}/_doc/a", document)
    engine.refresh()
    shown = on(engine, "doctor", "--config", "true")
    assert shown.code == 0, shown
    found = findings(shown)
    assert found["config freshness"][0]["severity"] == "ok"
    for kind in ("history", "current", "timeline"):
        for check in ("mapping", "blocks", "replicas", "shards"):
            assert [one["severity"] for one in found[f"{check} {engine.prefix}config-{kind}"]] == ["ok"]
    engine.put(f"/{history}/_settings", {"index.blocks.write": True})
    wrong = findings(on(engine, "doctor", "--config", "true", "--refresh-interval", "30s"))
    assert [one["severity"] for one in wrong[f"blocks {engine.prefix}config-history"]] == ["error"]
    drifted = [one["what"] for one in wrong["preparation"] if one["severity"] == "warning"]
    assert any(f"index template {engine.prefix}config-history differs" in what for what in drifted)
    assert not any(f"index template {engine.prefix}config-timeline" in what for what in drifted)
    engine.put(f"/{history}/_settings", {"index.blocks.write": None})


def changes_of(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The changes of index templates."""
    return [change for change in changes if change["kind"] == "index template"]


# --- roles ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secured() -> SecuredNode:
    """A node with the security plugin."""
    try:
        return shared_secured_node()
    except NodeUnavailableError as error:
        if must_be_present():
            raise
        pytest.skip(str(error))


@pytest.fixture
def prefix(secured: SecuredNode) -> Iterator[str]:
    """A prefix that nobody else has; what is below it goes afterwards."""
    made = f"t{uuid.uuid4().hex[:12]}-"
    yield made
    secured.call("DELETE", f"/_index_template/{made}*")
    secured.call("DELETE", f"/{made}config-current-v1")
    for role in ("cloudtrail-writer", "cloudtrail-analyst", "cloudtrail-verifier", "config-writer"):
        secured.call("DELETE", f"{SECURITY}/rolesmapping/{made}{role}")
        secured.call("DELETE", f"{SECURITY}/roles/{made}{role}")


def signed_in(secured: SecuredNode, aws: Aws, user: str, password: str, prefix: str, *arguments: str) -> Run:
    """Run a command as a user of the node, whose password is in Secrets Manager."""
    secret = f"{user}-{uuid.uuid4().hex[:8]}"
    aws.secrets.create_secret(Name=secret, SecretString=json.dumps({"username": user, "password": password}))
    return run(
        *(*arguments, "--endpoint", secured.endpoint, "--auth", "basic", "--username", user, "--password-secret", secret),
        *("--prefix", prefix, "--writer-role-arns", WRITER, "--output", "json"),
        env={**aws.environment, "REQUESTS_CA_BUNDLE": str(secured.certificate)},
    )


def test_a_writer_that_is_not_mapped_is_an_error_until_the_set_up(secured: SecuredNode, aws: Aws, prefix: str) -> None:
    """The doctor names the mapping, and who we are for the node."""
    before = findings(signed_in(secured, aws, ADMIN, PASSWORD, prefix, "doctor"))
    missing = [finding["what"] for finding in before["preparation"] if finding["severity"] == "error"]
    assert any(f"role mapping {prefix}cloudtrail-writer is missing" in what for what in missing)
    assert signed_in(secured, aws, ADMIN, PASSWORD, prefix, "setup").code == 0
    after = findings(signed_in(secured, aws, ADMIN, PASSWORD, prefix, "doctor"))
    assert [finding["what"] for finding in after["preparation"] if finding["severity"] == "error"] == []
    assert f"The engine knows us as {ADMIN} (" in after["credentials"][0]["what"]


def test_a_writer_of_aws_config_that_is_not_mapped_is_an_error(secured: SecuredNode, aws: Aws, prefix: str) -> None:
    """Its role and its mapping are those that are missing; the set-up puts both in place."""
    config = ("--config", "true", "--config-writer-role-arns", f"{WRITER}-of-config")
    assert signed_in(secured, aws, ADMIN, PASSWORD, prefix, "setup").code == 0
    before = findings(signed_in(secured, aws, ADMIN, PASSWORD, prefix, "doctor", *config))
    missing = " ".join(finding["what"] for finding in before["preparation"] if finding["severity"] == "error")
    assert f"role {prefix}config-writer is missing" in missing
    assert f"role mapping {prefix}config-writer is missing" in missing
    assert f"{prefix}cloudtrail" not in missing
    assert signed_in(secured, aws, ADMIN, PASSWORD, prefix, "setup", *config).code == 0
    after = findings(signed_in(secured, aws, ADMIN, PASSWORD, prefix, "doctor", *config))
    assert [finding["what"] for finding in after["preparation"] if finding["severity"] == "error"] == []


def test_a_verification_that_is_not_mapped_is_an_error(secured: SecuredNode, aws: Aws, prefix: str) -> None:
    """Its role and its mapping are those that are missing; the set-up puts both in place."""
    verifier = ("--verifier-role-arns", f"{WRITER}-of-proof")
    assert signed_in(secured, aws, ADMIN, PASSWORD, prefix, "setup").code == 0
    before = findings(signed_in(secured, aws, ADMIN, PASSWORD, prefix, "doctor", *verifier))
    missing = [finding["what"].split(" is ")[0] for finding in before["preparation"] if finding["severity"] == "error"]
    assert missing == [f"role {prefix}cloudtrail-verifier", f"role mapping {prefix}cloudtrail-verifier"]
    assert signed_in(secured, aws, ADMIN, PASSWORD, prefix, "setup", *verifier).code == 0
    after = findings(signed_in(secured, aws, ADMIN, PASSWORD, prefix, "doctor", *verifier))
    assert [finding["what"] for finding in after["preparation"] if finding["severity"] == "error"] == []


def test_a_user_without_roles_is_told_so_and_nothing_crashes(secured: SecuredNode, aws: Aws, prefix: str) -> None:
    """The check of credentials explains it; the others are not checked, with the node's reason."""
    user, password = f"u{uuid.uuid4().hex[:8]}", f"P-{uuid.uuid4()}"
    secured.request("PUT", f"{SECURITY}/internalusers/{user}", {"password": password})
    secured.request("PUT", f"/{prefix}cloudtrail-2026.11")
    try:
        shown = signed_in(secured, aws, user, password, prefix, "doctor")
        refused = signed_in(secured, aws, user, password, prefix, "setup", "--dry-run")
        wrong = signed_in(secured, aws, user, "wrong", prefix, "doctor")
    finally:
        secured.request("DELETE", f"{SECURITY}/internalusers/{user}")
        secured.request("DELETE", f"/{prefix}cloudtrail-2026.11")
    assert shown.code == 1
    found = findings(shown)
    assert found["credentials"][-1]["severity"] == "error"
    severities = {finding["severity"] for check in ("preparation", "mapping", "cluster", "disk") for finding in found[check]}
    assert severities == {"not checked"}
    assert refused.code == 3
    assert "fine-grained access control refuses" in refused.line
    assert wrong.code == 1
    assert "The log-in is refused" in findings(wrong)["endpoint"][-1]["what"]


def test_the_node_is_the_one_that_is_meant(node: OpenSearchNode) -> None:
    """A tunnel to it works over plain HTTP as well: the name need not resolve."""
    shown = run(
        *("doctor", "--endpoint", "http://engine.internal:9200", "--auth", "none", "--output", "json"),
        *("--connect-to", f"127.0.0.1:{node.port}", "--prefix", f"t{uuid.uuid4().hex[:12]}-"),
        env={},
    )
    assert findings(shown)["version"][0]["what"] == "OpenSearch 2.19.4."


def test_the_status_has_each_account_and_region(engine: TestEngine) -> None:
    """By the node's own aggregation; one that is silent for long is marked, and what has no account is not forgotten."""
    assert on(engine, "setup").code == 0
    now = datetime.now(UTC)
    index = f"/{engine.prefix}cloudtrail-{now:%Y.%m}/_doc/"
    for number, (region, minutes) in enumerate((("eu-central-1", 30), ("eu-central-1", 20), ("us-east-1", 600))):
        engine.put(f"{index}{number}", {**event(minutes, now), "awsRegion": region})
    engine.put(f"{index}none", {name: value for name, value in event(1, now).items() if name != "recipientAccountId"})
    engine.refresh()
    shown = on(engine, "status")
    assert shown.code == 0, shown
    rows = [(row["account"], row["region"], row["documents"], row["stale"]) for row in shown.document["cloudtrail"]]
    assert rows == [
        ("", "eu-central-1", 1, False),
        ("111122223333", "eu-central-1", 2, False),
        ("111122223333", "us-east-1", 1, True),
    ]
