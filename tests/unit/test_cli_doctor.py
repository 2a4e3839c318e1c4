"""The doctor: each finding with its remedy, from a real engine behind a front, and from a stack in the stand-in for AWS."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from osmem_server import OsmemServer

from audit_search import index_template
from audit_search.domain import alerting
from audit_search.domain.dashboards import changes
from audit_search.domain.settings import DomainSettings
from audit_search.domain.setup import Plan, apply
from audit_search_cli import doctor
from audit_search_cli.checks import cluster, dashboards, deployed, freshness, indices, preparation, reach
from audit_search_cli.checks.findings import Check, Finding, Patient
from audit_search_cli.connection import Engine, authentication, target
from audit_search_cli.stack import Resource, read
from tests.support.alerting_endpoints import AlertingEndpoints
from tests.support.aws import ENVIRONMENT, REGION, Aws
from tests.support.building import free_port
from tests.support.cli import Asked as Request
from tests.support.cli import ScriptedEngine, certificate_for, deploy, function_resources, run
from tests.support.dashboards_server import DashboardsServer
from tests.support.engine_front import Asked, EngineFront, Verdict
from tests.support.engines import TestEngine

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/writer"


@dataclasses.dataclass
class Ward:
    """An engine behind a front, and a patient of it."""

    engine: TestEngine
    front: EngineFront

    def patient(self, **settings: str) -> Patient:
        """The patient, with nothing remembered."""
        values = {
            "OPENSEARCH_ENDPOINT": self.front.endpoint,
            "OPENSEARCH_AUTH": "none",
            "INDEX_PREFIX": self.engine.prefix,
            "REPLICAS": "0",
            **settings,
        }
        return patient_of(values)

    def says(self, path: str, status: int, answer: Any, method: str = "GET") -> None:
        """Let the front answer a path (its end, or the whole)."""

        def rule(asked: Asked) -> Verdict:
            return (status, answer) if asked.method == method and asked.path == path else None

        self.front.rules.append(rule)

    def index(self, name: str, document: dict[str, Any], identity: str = "a") -> None:
        """Put a document into an index of the family."""
        status, answer = self.engine.call("PUT", f"/{self.engine.prefix}{name}/_doc/{identity}?refresh=true", document)
        assert status in (200, 201), answer


def patient_of(values: dict[str, str], environ: dict[str, str] | None = None, connect_to: str = "") -> Patient:
    """A patient whose engine these settings name."""
    session = boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    found = target(values, connect_to, environ)
    engine = Engine(found, authentication(found, session), timeout=10)
    client: Any = session.client
    return Patient(engine, DomainSettings.from_env(values), NOW, client)


@pytest.fixture
def ward() -> Iterator[Ward]:
    """An embedded engine in which the template is."""
    with OsmemServer.start(japanese=False) as server, EngineFront(server.url) as front:
        engine = TestEngine(server.url, real=False)
        engine.install()
        yield Ward(engine, front)


def found(check: Check, patient: Patient) -> list[tuple[str, str]]:
    """What a check found: severities and texts, remedies behind them."""
    return [(finding.severity, f"{finding.what} {finding.remedy}".strip()) for finding in doctor.attempt("check", check, patient)]


def only(check: Check, patient: Patient) -> tuple[str, str]:
    """The one finding of a check."""
    (one,) = found(check, patient)
    return one


def test_dashboards_are_there_and_current_or_what_is_missing_is_said(ward: Ward) -> None:
    """None, all, one edited and one gone, refused, and left to somebody else: each is told with what to do."""
    check = dashboards.saved_objects
    assert only(check, ward.patient())[0] == "note"
    server = DashboardsServer()
    ward.front.rules.append(server)
    severity, text = only(check, ward.patient())
    assert (severity, "missing. audit-search setup imports them." in text) == ("warning", True)
    engine, settings = ward.patient().engine, ward.patient().settings
    apply(engine, Plan(tuple(changes(engine, settings))), lambda name, _body: name)
    assert only(check, ward.patient())[0] == "ok"
    prefix = ward.engine.prefix
    server.edit("dashboard", f"{prefix}audit-search-overview", title="Ours")
    del server.objects["search", f"{prefix}audit-search-sign-ins"]
    severity, text = only(check, ward.patient())
    assert severity == "warning"
    assert "1 missing, 1 edited" in text
    assert f"search {prefix}audit-search-sign-ins: missing" in text
    assert "save it under another title before" in text
    assert only(check, ward.patient(DASHBOARDS="false"))[0] == "note"


def test_a_new_installation_has_no_errors(ward: Ward) -> None:
    """What is not there yet is said, and what this engine cannot do is no error."""
    shown = run(
        *("doctor", "--endpoint", ward.front.endpoint, "--auth", "none", "--prefix", ward.engine.prefix, "--replicas", "0"),
        *("--output", "json"),
        env={},
    )
    assert shown.code == 0, shown
    assert shown.document["counts"]["error"] == 0
    texts = " ".join(finding["what"] for finding in shown.document["findings"])
    assert "There is no index" in texts
    assert "There is no document" in texts
    assert "no stack is named" in texts


def test_an_error_is_exit_code_1_and_shown_with_its_remedy(ward: Ward) -> None:
    """The text has a line for each finding, and the counts at its end."""
    ward.index("cloudtrail-x", {"eventName": "x"})
    shown = run("doctor", "--endpoint", ward.front.endpoint, "--auth", "none", "--prefix", ward.engine.prefix, env={})
    assert shown.code == 1
    text = " ".join(shown.out.split())
    assert "error mapping" in text
    assert "was made without the index template" in text
    assert "1 error" in text


# --- reaching it ------------------------------------------------------------------------------------------------------


def test_without_an_answer_only_the_way_to_the_engine_is_examined() -> None:
    """One finding stands for all the checks that need an answer."""
    closed = free_port()
    shown = run("doctor", "--endpoint", f"http://127.0.0.1:{closed}", "--auth", "none", "--output", "json", env={})
    assert shown.code == 1
    assert [(finding["check"], finding["severity"]) for finding in shown.document["findings"]] == [
        ("endpoint", "error"),
        ("engine", "not checked"),
        ("stack", "not checked"),
    ]
    assert f"127.0.0.1:{closed} refuses the connection" in shown.document["findings"][0]["what"]


def test_the_certificate_is_examined_through_a_tunnel(tmp_path: Path) -> None:
    """Its remaining days, and that it is the endpoint's."""
    domain = "search-audit.eu-central-1.es.amazonaws.com"
    values = {"OPENSEARCH_ENDPOINT": f"https://{domain}", "OPENSEARCH_AUTH": "none"}
    for days, severity in ((60, "ok"), (5, "warning")):
        files = certificate_for(domain, tmp_path, days)
        with ScriptedEngine(lambda _asked: (200, {}), files) as server:
            examined = patient_of(values, {"SSL_CERT_FILE": str(files[0])}, f"127.0.0.1:{server.port}")
            (first, second) = found(reach.endpoint, examined)
        assert first[0] == severity
        assert f"the certificate for {domain} is valid for {days - 1} d" in first[1]
        assert second == ("ok", f"https://{domain} answers.")
    other = certificate_for("other.example", tmp_path)
    with ScriptedEngine(lambda _asked: (200, {}), other) as server:
        examined = patient_of(values, {"SSL_CERT_FILE": str(other[0])}, f"127.0.0.1:{server.port}")
        severity, text = only(reach.endpoint, examined)
    assert severity == "error"
    assert f"is not valid for {domain}: Hostname mismatch" in text


def test_a_name_that_is_not_there_is_an_error() -> None:
    """A domain in a VPC is the usual reason."""
    severity, text = only(
        reach.endpoint, patient_of({"OPENSEARCH_ENDPOINT": "http://nowhere.invalid", "OPENSEARCH_AUTH": "none"})
    )
    assert severity == "error"
    assert "nowhere.invalid cannot be resolved" in text


def test_a_403_is_explained_by_the_layer_that_refused(ward: Ward) -> None:
    """IAM and the access policy on one hand, role mappings on the other; the other checks go on and say what they lack."""
    iam = f"User: {ROLE} is not authorized to perform: es:ESHttpGet because no resource-based policy allows it"
    ward.says("/", 403, {"Message": iam})
    (_, (severity, text)) = found(reach.endpoint, ward.patient())
    assert severity == "error"
    assert "Amazon refuses" in text
    assert "Allow es:ESHttp*" in text
    findings = list(doctor.examine(ward.patient()))
    assert any(finding.check == "freshness" for finding in findings)
    (said,) = [finding for finding in findings if finding.check == "version"]
    assert said.severity == "not checked"
    assert "not allowed (GET /: HTTP 403" in said.what


@pytest.mark.parametrize(
    ("version", "severity", "says"),
    [
        ({"number": "2.19.4", "distribution": "opensearch"}, "ok", "OpenSearch 2.19.4."),
        ({"number": "3.5.0", "distribution": "opensearch"}, "ok", "OpenSearch 3.5.0."),
        ({"number": "2.17.0", "distribution": "opensearch"}, "warning", "older than 2.19"),
        ({"number": "7.10.2", "build_flavor": "oss"}, "error", "it says Elasticsearch 7.10.2"),
        ({"number": "8.1.0"}, "error", "no OpenSearch"),
        ({}, "not checked", "does not say its version"),
        ({"number": ["x"]}, "not checked", "does not say its version"),
    ],
)
def test_the_version_is_2_19_or_newer(ward: Ward, version: dict[str, Any], severity: str, says: str) -> None:
    """Before that, sub-trees cannot be relied on."""
    ward.says("/", 200, {"version": version})
    one = only(reach.version, ward.patient())
    assert one[0] == severity
    assert says in one[1]


def test_who_we_are_is_told_with_the_roles_that_follow(ward: Ward, aws: Aws) -> None:
    """For AWS by STS, for the engine by its security plugin; without a role of the engine nothing works."""
    info = {"user_name": ROLE, "backend_roles": [ROLE], "roles": ["own_index", "all_access"]}
    ward.says("/_plugins/_security/authinfo", 200, info)
    patient = ward.patient(OPENSEARCH_AUTH="aws")
    patient.client = lambda service: boto3.client(service, region_name=REGION, endpoint_url=aws.endpoint)  # type: ignore[call-overload]
    (for_aws, for_engine) = found(reach.credentials, patient)
    assert for_aws[0] == for_engine[0] == "ok"
    assert "arn:aws:" in for_aws[1]
    assert f"knows us as {ROLE} (backend roles: {ROLE}; roles: own_index, all_access)" in for_engine[1]
    ward.front.rules.clear()
    ward.says("/_plugins/_security/authinfo", 200, {**info, "roles": ["own_index"]})
    assert only(reach.credentials, ward.patient())[0] == "error"
    ward.front.rules.clear()
    ward.says("/_plugins/_security/authinfo", 403, {"message": "no permissions for [x] and User [name=a, backend_roles=[b]]"})
    assert only(reach.credentials, ward.patient())[0] == "error"


def test_credentials_that_aws_refuses_are_an_error(ward: Ward) -> None:
    """The engine is asked all the same."""
    said = "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no such token</Message></Error></ErrorResponse>"
    with ScriptedEngine(lambda _asked: (403, said)) as server:
        patient = ward.patient(OPENSEARCH_AUTH="aws")
        patient.client = lambda service: boto3.client(  # type: ignore[call-overload]
            service, region_name=REGION, endpoint_url=server.endpoint, aws_access_key_id="a", aws_secret_access_key="b"
        )
        (for_aws, for_engine) = found(reach.credentials, patient)
    assert for_aws[0] == "error"
    assert "credentials are not valid" in for_aws[1]
    assert for_engine[0] == "note"


def test_without_credentials_the_way_to_the_engine_is_examined_all_the_same(ward: Ward) -> None:
    """What an unsigned request is answered is no finding about the endpoint."""
    ward.says("/", 403, {"Message": "User: anonymous is not authorized to perform: es:ESHttpGet"})
    shown = run(
        *("doctor", "--endpoint", ward.front.endpoint, "--region", "eu-central-1", "--output", "json"),
        env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    )
    assert shown.code == 1
    assert [(finding["check"], finding["severity"]) for finding in shown.document["findings"]] == [
        ("endpoint", "ok"),
        ("credentials", "error"),
        ("engine", "not checked"),
        ("stack", "not checked"),
    ]
    assert "Give --profile" in shown.document["findings"][1]["remedy"]


# --- preparation and indices ------------------------------------------------------------------------------------------


def test_what_a_set_up_would_change_is_what_is_wrong(ward: Ward) -> None:
    """A template that is missing, older, or differs; each says how to put it right."""
    assert ("ok", "As the settings say: index template.") in found(preparation.preparation, ward.patient())
    severity, text = found(preparation.preparation, ward.patient(REFRESH_INTERVAL="30s", REPLICAS="0"))[0]
    assert severity == "warning"
    assert "refresh_interval" in text
    assert "audit-search setup puts it in place" in text
    template = ward.engine.get(f"/_index_template/{ward.engine.alias}")["index_templates"][0]["index_template"]
    ward.engine.put(f"/_index_template/{ward.engine.alias}", {**template, "version": 0})
    severity, text = found(preparation.preparation, ward.patient())[0]
    assert (severity, "version" in text) == ("error", True)
    ward.engine.call("DELETE", f"/_index_template/{ward.engine.alias}")
    severity, text = found(preparation.preparation, ward.patient())[0]
    assert (severity, "is missing" in text) == ("error", True)


def test_monitors_that_are_missing_or_edited_are_found(ward: Ward) -> None:
    """A burst would be told to nobody: what is missing is an error, what is switched off a warning, no topic a note."""
    plugins = AlertingEndpoints()
    ward.front.rules.append(plugins)
    findings = found(preparation.preparation, ward.patient())
    errors = [text for severity, text in findings if severity == "error"]
    assert any(text.startswith(f"monitor {ward.engine.alias}-sign-in-failures is missing.") for text in errors)
    patient = ward.patient()
    api = patient.engine
    apply(api, Plan(tuple(alerting.changes(api, patient.settings))), lambda *_: "")
    findings = found(preparation.preparation, ward.patient())
    assert not [text for severity, text in findings if severity == "error"]
    assert any("no topic is named (ALERT_TOPIC_ARN)" in text for severity, text in findings if severity == "note")
    plugins.named("sign-in-failures")["enabled"] = False
    findings = found(preparation.preparation, ward.patient())
    assert any(text.startswith(f"monitor {ward.engine.alias}-sign-in-failures differs (enabled).") for severity, text in findings)


def test_a_template_of_somebody_else_stands_in_the_way(ward: Ward) -> None:
    """It is an error that no set-up mends."""
    template = ward.engine.get(f"/_index_template/{ward.engine.alias}")["index_templates"][0]["index_template"]
    ward.engine.put(f"/_index_template/{ward.engine.alias}", {**template, "_meta": {}})
    severity, text = found(preparation.preparation, ward.patient())[0]
    assert severity == "error"
    assert "stands in the way" in text


def test_an_index_that_was_made_without_the_template_is_found(ward: Ward) -> None:
    """It is not told to be put under the alias."""
    ward.index("cloudtrail-2026.11", {"eventName": "x"})
    assert only(indices.mappings, ward.patient()) == ("ok", "1 index is made by the template.")
    ward.index("cloudtrail-old", {"eventName": "x"})
    severity, text = only(indices.mappings, ward.patient())
    assert severity == "error"
    assert f"{ward.engine.prefix}cloudtrail-old was made without the index template" in text
    assert only(indices.aliases, ward.patient())[0] == "ok"


def test_an_index_without_the_alias_and_one_in_its_place_are_found(ward: Ward) -> None:
    """With the request that mends it."""
    ward.index("cloudtrail-2026.11", {"eventName": "x"})
    name, alias = f"{ward.engine.prefix}cloudtrail-2026.11", ward.engine.alias
    ward.engine.call("POST", "/_aliases", {"actions": [{"remove": {"index": name, "alias": alias}}]})
    severity, text = only(indices.aliases, ward.patient())
    assert severity == "error"
    assert f'{{"actions":[{{"add":{{"index":"{name}","alias":"{alias}"}}}}]}}' in text
    ward.engine.call("DELETE", f"/{name}")
    ward.engine.call("DELETE", f"/_index_template/{alias}")
    ward.index("cloudtrail", {"eventName": "x"})
    severity, text = only(indices.aliases, ward.patient())
    assert severity == "error"
    assert f"{alias} is an index, and not the alias" in text


def one_index(ward: Ward, **settings: Any) -> None:
    """Let the engine say that there is one index with these settings beside the usual ones."""
    name = f"{ward.engine.prefix}cloudtrail-2026.11"
    index = {"aliases": {ward.engine.alias: {}}, "mappings": {"dynamic": "false"}, "settings": settings}
    ward.says(f"/{ward.engine.prefix}cloudtrail-*", 200, {name: index})


@pytest.mark.parametrize(
    ("settings", "severity", "says"),
    [
        ({}, "ok", "1 index is writable"),
        ({"index.blocks.read_only_allow_delete": "true"}, "error", "a disk reached the flood stage"),
        ({"index.blocks.write": "true"}, "error", "is write-blocked"),
        ({"index.blocks.read_only": "true"}, "error", '"index.blocks.read_only": null'),
        ({"index.blocks.write": "false"}, "ok", "writable"),
    ],
)
def test_a_block_of_the_present_index_is_an_error(ward: Ward, settings: dict[str, str], severity: str, says: str) -> None:
    """With the request that lifts it."""
    one_index(ward, **settings)
    one = only(indices.blocks, ward.patient())
    assert one[0] == severity
    assert says in one[1]


def test_a_write_block_of_a_past_index_is_a_warning(ward: Ward) -> None:
    """Late events still come, but not many."""
    one_index(ward, **{"index.blocks.write": "true"})
    later = dataclasses.replace(ward.patient(), now=NOW + timedelta(days=60))
    assert only(indices.blocks, later)[0] == "warning"


@pytest.mark.parametrize(
    ("nodes", "copies", "severity", "says"),
    [
        (1, 0, "ok", "fit 1 data node."),
        (1, 1, "warning", "1 replica cannot be placed on 1 data node, and stays unassigned. PUT"),
        (3, 3, "warning", '"index.number_of_replicas": 2'),
        (3, 1, "ok", "fit 3 data nodes."),
        (3, 0, "warning", '"index.number_of_replicas": 1'),
    ],
)
def test_copies_fit_the_nodes(ward: Ward, nodes: int, copies: int, severity: str, says: str) -> None:
    """Too many stay unassigned, none lose data."""
    one_index(ward, **{"index.number_of_replicas": str(copies)})
    ward.says("/_cluster/health", 200, {"status": "green", "number_of_data_nodes": nodes})
    one = only(indices.replicas, ward.patient())
    assert one[0] == severity
    assert says in one[1]


def test_the_policy_is_on_each_index_and_works(ward: Ward) -> None:
    """An index without one is never deleted; a step that failed says why. Without the plugin it is not checked."""
    one_index(ward)
    name = f"{ward.engine.prefix}cloudtrail-2026.11"
    path = f"/_plugins/_ism/explain/{ward.engine.prefix}cloudtrail-*"
    assert only(indices.policies, ward.patient(RETENTION_DAYS="90"))[0] == "not checked"
    for answer, severity, says in (
        ({name: {"policy_id": "p"}}, "ok", "1 of 1 index under an ISM policy"),
        ({name: {"index.plugins.index_state_management.policy_id": None}}, "warning", "not deleted after 90 days"),
        ({}, "not checked", "1 index: we may not see whether there is an ISM policy"),
        ({name: {"policy_id": "p", "action": {"failed": True}, "info": {"message": "no room"}}}, "warning", "failed: no room"),
        ({name: {"policy_id": "p", "step": {"step_status": "failed"}}}, "warning", f"_ism/retry/{name}"),
    ):
        ward.front.rules[1:] = []
        ward.says(path, 200, answer)
        one = only(indices.policies, ward.patient(RETENTION_DAYS="90"))
        assert one[0] == severity
        assert says in one[1]


def test_shards_that_are_large_empty_or_without_a_node_are_found(ward: Ward) -> None:
    """A primary without a node is an error, a replica a warning."""
    one_index(ward)
    name = f"{ward.engine.prefix}cloudtrail-2026.11"
    rows = [
        {"index": name, "shard": "0", "prirep": "p", "state": "STARTED", "docs": "0", "store": str(60 << 30)},
        {"index": name, "shard": "0", "prirep": "r", "state": "UNASSIGNED", "unassigned.reason": "NODE_LEFT"},
        {"index": name, "shard": "1", "prirep": "p", "state": "UNASSIGNED", "docs": None, "store": None},
    ]
    ward.says(f"/_cat/shards/{ward.engine.prefix}cloudtrail-*", 200, rows)
    severities = found(indices.shards, ward.patient())
    assert [severity for severity, _ in severities] == ["warning", "warning", "error", "note"]
    texts = [text for _, text in severities]
    assert f"{name}[0] has 64.4 GB, more than 50 GB. Set INDEX_PERIOD=day" in texts[0]
    assert "its replica has no node (NODE_LEFT)" in texts[1]
    assert "its primary has no node" in texts[2]
    assert "1 index without a document" in texts[3]


# --- the cluster ------------------------------------------------------------------------------------------------------


def test_a_cluster_that_is_not_green_says_why(ward: Ward) -> None:
    """In the words of the engine's own explanation."""
    ward.says("/_cluster/health", 200, {"status": "red", "number_of_data_nodes": 3, "unassigned_shards": 2})
    explained = {
        "index": "x",
        "shard": 0,
        "primary": True,
        "unassigned_info": {"reason": "NODE_LEFT"},
        "node_allocation_decisions": [{"deciders": [{"explanation": "the node is above the high watermark"}]}],
    }
    ward.says("/_cluster/allocation/explain", 200, explained)
    severity, text = only(cluster.health, ward.patient())
    assert severity == "error"
    assert "red" in text
    assert "For example x[0] primary: NODE_LEFT; the node is above the high watermark" in text
    ward.front.rules.clear()
    ward.says("/_cluster/health", 200, {"status": "yellow", "number_of_data_nodes": 1, "unassigned_shards": 1})
    ward.says("/_cluster/allocation/explain", 403, {"Message": "no"})
    severity, text = only(cluster.health, ward.patient())
    assert severity == "warning"
    assert "The engine does not say why (no)." in text
    assert "REPLICAS=fit" in text


def disk(total: int, free: int) -> list[dict[str, Any]]:
    """An answer of `_cat/allocation` of one node, in GiB."""
    row = {"node": "n1", "disk.total": str(total << 30), "disk.avail": str(free << 30), "disk.percent": "1"}
    return [row, {"node": "UNASSIGNED", "disk.total": None}]


@pytest.mark.parametrize(
    ("rows", "settings", "severity", "says"),
    [
        (disk(100, 60), {}, "ok", "40 % of 107 GB used"),
        (disk(1_000, 140), {}, "warning", "above the low watermark of 85%"),
        (disk(1_000, 90), {}, "error", "above the high watermark of 90%"),
        (disk(1_000, 40), {}, "error", "flood_stage watermark of 95%, its indices take no documents"),
        (disk(100, 16), {}, "warning", "where Amazon blocks writes"),
        (disk(1_000, 40), {"low": "50gb", "high": "20gb", "flood_stage": "10gb"}, "warning", "low watermark of 50gb"),
        (disk(1_000, 40), {"low": "0.9", "high": "0.95", "flood_stage": "0.99"}, "error", "high watermark of 0.95"),
        ([{"node": "n1"}], {}, "not checked", "does not say how full"),
        (disk(1_000, 40), {"flood_stage": "x%"}, "not checked", "where a number is expected"),
    ],
)
def test_disks_are_held_against_the_watermarks(
    ward: Ward, rows: list[dict[str, Any]], settings: dict[str, str], severity: str, says: str
) -> None:
    """Shares that are used and bytes that are free, whichever the cluster is set to."""
    given = {f"cluster.routing.allocation.disk.watermark.{name}": value for name, value in settings.items()}
    ward.says("/_cluster/settings", 200, {"defaults": given, "persistent": {}, "transient": {}})
    ward.says("/_cat/allocation", 200, rows)
    one = only(cluster.disks, ward.patient())
    assert one[0] == severity
    assert says in one[1]


def test_a_block_of_the_whole_cluster_is_an_error(ward: Ward) -> None:
    """Amazon sets it when disks are nearly full."""
    ward.says("/_cluster/settings", 200, {"persistent": {"cluster.blocks.create_index": "true"}})
    ward.says("/_cat/allocation", 200, disk(100, 60))
    (first, _) = found(cluster.disks, ward.patient())
    assert first[0] == "error"
    assert "cluster.blocks.create_index is on" in first[1]


@pytest.mark.parametrize(("shards", "severity"), [(100, "ok"), (801, "warning"), (1_000, "error")])
def test_shards_are_held_against_what_the_nodes_may_have(ward: Ward, shards: int, severity: str) -> None:
    """At the limit no index can be made."""
    ward.says("/_cluster/health", 200, {"active_shards": shards, "number_of_data_nodes": 2})
    ward.says("/_cluster/settings", 200, {"persistent": {"cluster.max_shards_per_node": "500"}, "defaults": {}})
    one = only(cluster.capacity, ward.patient())
    assert one[0] == severity
    assert f"{shards:,} of 1,000 shards (500 a data node)" in one[1]


# --- freshness --------------------------------------------------------------------------------------------------------


def event(minutes_ago: float, lag_minutes: float = 5, **fields: str) -> dict[str, Any]:
    """A document that was ingested some minutes before NOW."""
    ingested = NOW - timedelta(minutes=minutes_ago)
    return {
        "eventTime": f"{ingested - timedelta(minutes=lag_minutes):%Y-%m-%dT%H:%M:%SZ}",
        "recipientAccountId": fields.get("account", "111122223333"),
        "awsRegion": fields.get("region", "eu-central-1"),
        "ct.ingestTime": f"{ingested:%Y-%m-%dT%H:%M:%S.000Z}",
        "ct.ingestMode": fields.get("mode", "live"),
    }


def test_the_newest_events_are_told_by_account_and_region(ward: Ward) -> None:
    """The age of what came in last decides; the lag is that of live events alone."""
    ward.index("cloudtrail-2026.11", event(10), "a")
    ward.index("cloudtrail-2026.11", event(70, account="444455556666", region="us-east-1"), "b")
    ward.index("cloudtrail-2026.10", event(60, lag_minutes=60 * 24 * 30, mode="replay"), "c")
    patient = ward.patient()
    (fresh,) = freshness.freshness(patient)
    assert fresh.severity == "ok"
    assert "3 documents; newest ingested 2026-11-03 11:50 UTC (10 min ago), newest event 2026-11-03 11:45 UTC" in fresh.what
    assert only(freshness.lag, patient) == (
        "ok",
        "From the call to the index: 5 min (median), at most 5 min, of 2 live events.",
    )
    late = dataclasses.replace(patient, now=NOW + timedelta(hours=4))
    assert freshness.freshness(late)[0].severity == "warning"
    patient_patient = dataclasses.replace(late, stale=timedelta(hours=5))
    assert freshness.freshness(patient_patient)[0].severity == "ok"


def test_the_table_has_a_row_for_each_account_and_region(ward: Ward) -> None:
    """Of the last two weeks, by the engine's clock."""
    now = datetime.now(UTC)
    for number, (account, region) in enumerate((("1", "b"), ("1", "a"), ("2", "a"), ("2", "a"))):
        document = event(0, account=account, region=region) | {"ct.ingestTime": f"{now:%Y-%m-%dT%H:%M:%S.000Z}"}
        ward.index("cloudtrail-2026.11", document, str(number))
    (fresh,) = freshness.freshness(dataclasses.replace(ward.patient(), now=now))
    assert [row[:3] for row in fresh.table[1:]] == [("1", "a", "1"), ("1", "b", "1"), ("2", "a", "2")]


def test_events_that_take_long_are_a_warning(ward: Ward) -> None:
    """CloudTrail's own quarter of an hour is allowed for."""
    for number in range(3):
        ward.index("cloudtrail-2026.11", event(10, lag_minutes=90), str(number))
    severity, text = only(freshness.lag, ward.patient())
    assert severity == "warning"
    assert "1 h 30 min (median)" in text


# --- AWS Config -------------------------------------------------------------------------------------------------------


@pytest.fixture
def config_ward(ward: Ward) -> Ward:
    """The engine, set up for AWS Config too."""
    index_template.install(ward.engine, ward.engine.prefix, *index_template.CONFIG, replicas=0, refresh="10s", simple=True)
    ward.engine.put(f"/{ward.engine.prefix}config-current-v1", {})
    return ward


def ingested(minutes_ago: int) -> dict[str, Any]:
    """A document of AWS Config that came in some minutes ago."""
    return {"cfg.ingestTime": f"{NOW - timedelta(minutes=minutes_ago):%Y-%m-%dT%H:%M:%S.000Z}"}


def of_config(ward: Ward, **settings: str) -> list[Finding]:
    """What the doctor says of AWS Config's families, checks of the whole installation included."""
    return [finding for finding in doctor.examine(ward.patient(AWS_CONFIG="true", **settings)) if "onfig" in finding.check]


def test_the_newest_items_and_events_of_aws_config_are_told(config_ward: Ward) -> None:
    """What came in last, item or event, decides; nothing is said while there is nothing, or AWS Config is not taken."""
    prefix, check = config_ward.engine.prefix, freshness.config_freshness
    assert found(check, config_ward.patient(AWS_CONFIG="true")) == []
    config_ward.index("config-history-2026.10", ingested(60 * 50), "a")
    severity, text = only(check, config_ward.patient(AWS_CONFIG="true"))
    assert severity == "warning"
    assert "Nothing of AWS Config has come in for more than 48 h" in text
    assert "describe-configuration-recorder-status" in text
    config_ward.index("config-events-2026.11", ingested(60), "b")
    severity, text = only(check, config_ward.patient(AWS_CONFIG="true"))
    assert severity == "ok"
    assert f"{prefix}config-history: 2026-11-01 10:00 UTC (2 d 2 h ago), {prefix}config-events: 2026-11-03 11:00 UTC" in text
    assert found(check, config_ward.patient()) == []


def test_each_family_of_aws_config_is_examined(config_ward: Ward) -> None:
    """As CloudTrail's: made by the template, under its alias, writable; the index of latest states may be empty."""
    config_ward.index("config-history-2026.11", ingested(5))
    config_ward.index("config-timeline", {})
    prefix = config_ward.engine.prefix
    findings = of_config(config_ward)
    assert [finding for finding in findings if finding.severity in ("warning", "error", "note")] == []
    seen = {finding.check for finding in findings if finding.severity == "ok"}
    families = [f"{prefix}config-{kind}" for kind in ("history", "current", "timeline")]
    assert {f"{check} {family}" for check in ("mapping", "blocks", "replicas", "shards") for family in families} <= seen
    assert {f"alias {family}" for family in families[:2]} <= seen
    assert f"alias {families[2]}" not in seen  # it has none


def test_what_is_wrong_with_indices_of_aws_config_is_found(config_ward: Ward) -> None:
    """An index of timelines that takes no documents stops all items; one without the template would stay wrong."""
    config_ward.index("config-timeline", {})
    config_ward.index("config-events-x", {"eventName": "x"})
    prefix = config_ward.engine.prefix
    config_ward.engine.put(f"/{prefix}config-timeline/_settings", {"index.blocks.write": True})
    errors = {finding.check: finding.what for finding in of_config(config_ward) if finding.severity == "error"}
    assert f"{prefix}config-timeline takes no documents: it is write-blocked." in errors[f"blocks {prefix}config-timeline"]
    assert f"{prefix}config-events-x was made without the index template" in errors[f"mapping {prefix}config-events"]


def test_a_set_up_for_aws_config_that_was_left_out_is_found(ward: Ward) -> None:
    """Each template that is missing, and the index of the latest states; once it is done, what drifted."""
    missing = [text for severity, text in found(preparation.preparation, ward.patient(AWS_CONFIG="true")) if severity == "error"]
    for family in (*index_template.CONFIG, index_template.LINKS):
        assert any(f"index template {ward.engine.prefix}{family} is missing" in text for text in missing)
    assert any(f"index {ward.engine.prefix}config-current-v1 is missing" in text for text in missing)
    index_template.install(ward.engine, ward.engine.prefix, *index_template.CONFIG, replicas=0, refresh="30s", simple=True)
    drifted = [
        text for severity, text in found(preparation.preparation, ward.patient(AWS_CONFIG="true")) if severity == "warning"
    ]
    assert len(drifted) == 3  # timelines are never refreshed
    assert all("refresh_interval" in text for text in drifted)


def test_functions_whose_roles_are_not_named_are_said(ward: Ward) -> None:
    """Whether they may write cannot be seen then; each has an option of its own."""

    def notes(**settings: str) -> list[str]:
        patient = ward.patient(**settings)
        patient.engine.target = dataclasses.replace(patient.engine.target, auth="aws")
        texts = [text for severity, text in found(preparation.preparation, patient) if severity == "note"]
        return [text for text in texts if "may write is not known" in text]

    assert [text.rpartition(" ")[2] for text in notes(AWS_CONFIG="true")] == ["--writer-role-arns.", "--config-writer-role-arns."]
    assert [text.rpartition(" ")[2] for text in notes()] == ["--writer-role-arns."]
    assert notes(AWS_CONFIG="true", WRITER_ROLE_ARNS=ROLE, CONFIG_WRITER_ROLE_ARNS=f"{ROLE}-2") == []


# --- answers of any shape ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        (200, None),
        (200, []),
        (200, "text"),
        (200, {"a": 1}),
        (200, [{"index": "x"}]),
        (200, {"hits": {"total": 3}}),
        (400, {"error": {"type": "x", "reason": "no handler found for uri"}}),
        (401, "Unauthorized"),
        (403, {"Message": "\x1b[31mno"}),
        (404, {"error": "x", "status": 404}),
        (429, "slow down"),
        (500, ""),
        (302, "moved"),
    ],
    ids=str,
)
def test_whatever_an_engine_answers_no_check_crashes(answer: tuple[int, Any]) -> None:
    """It is not checked then, and why is said; a mistake of the doctor must not look like one of the engine."""

    def engine(asked: Request) -> tuple[int, Any]:
        return (200, {"version": {"number": "2.19.0", "distribution": "opensearch"}}) if asked.path == "/" else answer

    with ScriptedEngine(engine) as server:
        shown = run("doctor", "--endpoint", server.endpoint, "--auth", "none", "--output", "json", env={})
    assert shown.code in (0, 1), shown
    checks = {finding["check"] for finding in shown.document["findings"]}
    assert {"endpoint", "version", "credentials", "preparation", "stack"} <= checks


def test_a_check_that_lacks_credentials_is_not_checked(ward: Ward) -> None:
    """With how to get some."""

    def lacking(_patient: Patient) -> list[Finding]:
        raise NoCredentialsError

    severity, text = only(lacking, ward.patient())
    assert severity == "not checked"
    assert "aws sso login" in text


# --- the stack --------------------------------------------------------------------------------------------------------


@pytest.fixture
def deployed_patient(ward: Ward, aws: Aws) -> Patient:
    """A patient with a stack of queues, a function with its event source, and an alarm."""
    resources = {
        **function_resources(aws, {}, "CloudTrailFunction"),
        "CloudTrailQueue": {"Type": "AWS::SQS::Queue"},
        "CloudTrailDeadLetterQueue": {"Type": "AWS::SQS::Queue"},
        "CloudTrailEventSource": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": {"Fn::GetAtt": ["CloudTrailQueue", "Arn"]},
                "FunctionName": {"Ref": "CloudTrailFunction"},
            },
        },
    }
    deploy(aws, "installation", resources, {})
    patient = ward.patient()
    session = boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    client: Any = session.client
    patient.client = lambda service: client(service, endpoint_url=aws.endpoint)
    made = read(patient.client("cloudformation"), "installation")
    # The stand-in's CloudFormation makes no alarms.
    patient.client("cloudwatch").put_metric_alarm(
        AlarmName="dead-letters",
        AlarmDescription="Look at the dead letters.",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Threshold=0,
        MetricName="ApproximateNumberOfMessagesVisible",
        Namespace="AWS/SQS",
        Period=60,
        Statistic="Maximum",
    )
    alarm = {"DeadLettersAlarm": Resource("AWS::CloudWatch::Alarm", "dead-letters")}
    patient.stack = dataclasses.replace(made, resources={**made.resources, **alarm})
    return patient


def test_a_healthy_stack_is_ok(deployed_patient: Patient) -> None:
    """Every part of it is named."""
    findings = [finding for check in doctor.STACK_CHECKS.values() for finding in doctor.attempt("check", check, deployed_patient)]
    assert {finding.severity for finding in findings} == {"ok"}, findings
    assert {finding.check for finding in findings} == {
        "stack",
        "dead letters",
        "queue",
        "function",
        "event source",
        "alarms",
    }


def test_dead_letters_are_an_error_with_their_age(deployed_patient: Patient) -> None:
    """The remedy is the command that looks at them."""
    assert deployed_patient.stack is not None
    url = deployed_patient.stack.physical("CloudTrailDeadLetterQueue")
    deployed_patient.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    dimensions = [{"Name": "QueueName", "Value": url.rsplit("/", 1)[-1]}]
    point = {"MetricName": "ApproximateAgeOfOldestMessage", "Dimensions": dimensions, "Timestamp": NOW, "Value": 7_200}
    deployed_patient.client("cloudwatch").put_metric_data(Namespace="AWS/SQS", MetricData=[point])
    patient = dataclasses.replace(deployed_patient, now=NOW + timedelta(minutes=5))
    severity, text = found(deployed.queues, patient)[0]
    assert severity == "error"
    assert "holds 1 message, the oldest for 2 h 0 min." in text
    assert "audit-search dlq list --stack installation" in text


def test_a_message_that_waits_for_long_is_a_warning(deployed_patient: Patient) -> None:
    """The function does not keep up, or cannot write."""
    assert deployed_patient.stack is not None
    url = deployed_patient.stack.physical("CloudTrailQueue")
    dimensions = [{"Name": "QueueName", "Value": url.rsplit("/", 1)[-1]}]
    point = {"MetricName": "ApproximateAgeOfOldestMessage", "Dimensions": dimensions, "Timestamp": NOW, "Value": 7_200}
    deployed_patient.client("cloudwatch").put_metric_data(Namespace="AWS/SQS", MetricData=[point])
    (_, (severity, text)) = found(deployed.queues, dataclasses.replace(deployed_patient, now=NOW + timedelta(minutes=5)))
    assert severity == "warning"
    assert "the oldest is 2 h 0 min old" in text


def test_a_disabled_event_source_is_an_error(deployed_patient: Patient) -> None:
    """The remedy is the call that enables it."""
    assert deployed_patient.stack is not None
    uuid = deployed_patient.stack.physical("CloudTrailEventSource")
    deployed_patient.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=False)
    (_, (severity, text)) = found(deployed.functions, deployed_patient)
    assert severity == "error"
    assert f"update-event-source-mapping --uuid {uuid} --enabled" in text


def test_an_alarm_that_is_on_is_an_error_with_its_description(deployed_patient: Patient) -> None:
    """Its description says what to do."""
    deployed_patient.client("cloudwatch").set_alarm_state(AlarmName="dead-letters", StateValue="ALARM", StateReason="2 > 0")
    severity, text = only(deployed.alarms, deployed_patient)
    assert severity == "error"
    assert "dead-letters is in ALARM: 2 > 0 Look at the dead letters." in text


def test_a_stack_that_failed_to_update_is_a_warning(deployed_patient: Patient) -> None:
    """What is deployed is not what was meant."""
    assert deployed_patient.stack is not None
    for status, severity in (("UPDATE_ROLLBACK_COMPLETE", "warning"), ("UPDATE_COMPLETE", "ok"), ("CREATE_FAILED", "warning")):
        deployed_patient.stack = dataclasses.replace(deployed_patient.stack, status=status)
        assert only(deployed.stack, deployed_patient)[0] == severity


def test_what_is_not_in_the_stack_or_gone_is_not_checked(deployed_patient: Patient) -> None:
    """A resource that was deleted by hand does not end the examination."""
    assert deployed_patient.stack is not None
    deployed_patient.client("lambda").delete_function(FunctionName=deployed_patient.stack.physical("CloudTrailFunction"))
    assert found(deployed.functions, deployed_patient)[0][0] == "not checked"
    deployed_patient.stack = dataclasses.replace(deployed_patient.stack, resources={})
    assert found(deployed.queues, deployed_patient)[0][0] == "not checked"
    assert only(deployed.alarms, deployed_patient)[0] == "note"


def test_the_whole_command_with_a_stack(ward: Ward, aws: Aws, deployed_patient: Patient) -> None:
    """The settings come from the stack's output; nothing of it is an error but what is."""
    cloudformation = deployed_patient.client("cloudformation")
    text = f"OPENSEARCH_ENDPOINT={ward.front.endpoint} OPENSEARCH_AUTH=none INDEX_PREFIX={ward.engine.prefix} REPLICAS=0"
    template = json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}, "Outputs": {"CliEnvironment": {"Value": text}}})
    cloudformation.create_stack(StackName="small", TemplateBody=template)
    shown = run("doctor", "--stack", "small", "--output", "json", env=aws.environment)
    assert shown.code == 0, shown
    assert any("has no alarms" in finding["what"] for finding in shown.document["findings"])
