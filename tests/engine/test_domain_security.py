"""Roles on a real node with the security plugin: what each caller can do, and that mappings of others stay as they are.

Callers are those of an Amazon domain: IAM roles, whose name and backend role is their ARN.
"""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import requests

from audit_search import index_template
from audit_search.aws_config.documents import HealthEvent, Origin
from audit_search.aws_config.history import Arrival, History
from audit_search.aws_config.reconciliation import reconcile
from audit_search.bulk import Body
from audit_search.causes.linking import Linker
from audit_search.cloudtrail import Policy
from audit_search.documents import Naming
from audit_search.domain import access
from audit_search.domain.api import HttpApi, wait_until_ready
from audit_search.domain.settings import DomainSettings
from audit_search.domain.setup import Outcome, apply, plan
from audit_search.errors import DomainSetupError
from audit_search.opensearch import HttpEngine
from audit_search.pipeline import Pipeline
from tests.engine.test_hostile_properties import Memory, send
from tests.support.aws import record, records, text_of
from tests.support.config_world import ACCOUNT as ACCOUNT_ID
from tests.support.config_world import REGION, START, counted, version
from tests.support.domains import actions, the
from tests.support.linked_world import GROUP, OPENED, group, opening
from tests.support.opensearch_node import NodeUnavailableError, must_be_present
from tests.support.secured_node import ADMIN, PASSWORD, SecuredNode, shared_secured_node

SECURITY = "/_plugins/_security/api"
ACCOUNT = "arn:aws:iam::123456789012"


class Caller(requests.auth.AuthBase):
    """Makes requests those of an IAM role."""

    def __init__(self, node: SecuredNode, role: str) -> None:
        self._headers = node.headers(backend_roles=[role])

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


@dataclasses.dataclass
class Installation:
    """A prefix with roles that nobody else has."""

    node: SecuredNode
    settings: DomainSettings
    kept: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """The prefix of its objects."""
        return self.settings.index_prefix

    @property
    def writer(self) -> str:
        """The role of its function."""
        return self.settings.writer_role_arns[0]

    @property
    def analyst(self) -> str:
        """The role of its analysts."""
        return self.settings.analyst_role_arns[0]

    @property
    def index(self) -> str:
        """One of its indices."""
        return f"{self.prefix}cloudtrail-2026.11"

    def set_up(self, auth: Any = (ADMIN, PASSWORD)) -> Outcome:
        """As an administrator of the domain, or another caller."""
        api = HttpApi(self.settings, auth)

        def keep(name: str, body: Any) -> str:
            self.kept[name] = body
            return name

        return apply(api, plan(api, self.settings), keep)

    def bulk(self, role: str, *operations: tuple[str, str, str]) -> list[tuple[int, str]]:
        """Send operations (kind, index, id) with the client of the function; status and error of each."""
        lines = [
            b'{"%b":{"_index":"%b","_id":"%b"}}\n{"eventName":"RunInstances","raw":"{}","ct":{"ingestTime":"'
            % tuple(part.encode() for part in operation)
            for operation in operations
        ]
        reply = HttpEngine(self.settings, lambda: Caller(self.node, role)).bulk(Body(lines), 60)
        assert reply.status == 200, reply
        items = [next(iter(item.values())) for item in reply.items or []]
        return [(item["status"], item.get("error", {}).get("type", "")) for item in items]

    def mapping(self, role: str) -> dict[str, Any]:
        """Who is mapped to a role."""
        found: dict[str, Any] = self.node.request("GET", f"{SECURITY}/rolesmapping/{role}")[role]
        return found


@pytest.fixture(scope="module")
def secured(request: pytest.FixtureRequest) -> Iterator[SecuredNode]:
    """The node; the role security_manager, which Amazon's domains have, is there as well."""
    try:
        node = shared_secured_node()
    except NodeUnavailableError as error:
        if must_be_present():
            raise
        pytest.skip(str(error))
    patch = pytest.MonkeyPatch()
    patch.setenv("REQUESTS_CA_BUNDLE", str(node.certificate))
    node.request("PUT", f"{SECURITY}/roles/security_manager", {"description": "as on Amazon's domains"})
    # The plugin's demonstration gives everybody cluster_composite_ops by it, and roles that lack something would not be noticed.
    node.request("PUT", f"{SECURITY}/rolesmapping/own_index", {"users": [ADMIN]})
    yield node
    node.request("PUT", f"{SECURITY}/rolesmapping/own_index", {"users": ["*"]})
    node.request("DELETE", f"{SECURITY}/roles/security_manager")
    patch.undo()


Make = Callable[..., Installation]


@pytest.fixture(scope="module")
def make(secured: SecuredNode) -> Iterator[Make]:
    """Makes installations; all that is theirs goes afterwards."""
    prefixes: list[str] = []

    def made(**variables: str) -> Installation:
        prefixes.append(f"t{uuid.uuid4().hex[:12]}-")
        own = f"{ACCOUNT}:role/{prefixes[-1]}"
        usual = {"WRITER_ROLE_ARNS": f"{own}writer", "ANALYST_ROLE_ARNS": f"{own}analyst", "ADMIN_ROLE_ARNS": f"{own}admin"}
        endpoint = {"OPENSEARCH_ENDPOINT": secured.endpoint, "OPENSEARCH_AUTH": "none", "INDEX_PREFIX": prefixes[-1]}
        return Installation(secured, DomainSettings.from_env({**endpoint, **usual, **variables}))

    yield made
    for prefix in prefixes:
        secured.call("DELETE", f"/{prefix}*")
        secured.call("DELETE", f"/_index_template/{prefix}*")
        for kind in ("cloudtrail-writer", "cloudtrail-alerter", "cloudtrail-analyst", "cloudtrail-verifier", "config-writer"):
            role = f"{prefix}{kind}"
            secured.call("DELETE", f"{SECURITY}/rolesmapping/{role}")
            secured.call("DELETE", f"{SECURITY}/roles/{role}")


@pytest.fixture(scope="module")
def installed(make: Make) -> Installation:
    """An installation that is set up, with one event; what tests do with it is refused, or adds events of other ids."""
    installation = make()
    installation.set_up()
    assert installation.bulk(installation.writer, ("create", installation.index, "there")) == [(201, "")]
    installation.node.request("POST", f"/{installation.index}/_refresh")
    return installation


def test_a_second_run_changes_nothing(make: Make) -> None:
    """Roles and mappings are made once; then all is as it should be."""
    installation = make()
    first = installation.set_up()
    assert set(actions(first.changes, "role").values()) == {"create"}
    assert actions(first.changes, "role mapping") == {
        f"{installation.prefix}cloudtrail-writer": "create",
        f"{installation.prefix}cloudtrail-analyst": "create",
        "kibana_user": "update",
        "alerting_read_access": first_of(first, "alerting_read_access"),
        "all_access": "update",
        "security_manager": first_of(first, "security_manager"),
    }
    again = installation.set_up()
    assert [change for change in again.changes if change.action not in ("unchanged", "leave out")] == []
    assert the(again.changes, "ISM policy").action == "leave out"  # the node has no such plugin


@pytest.fixture(scope="module")
def verified(make: Make) -> Installation:
    """An installation with a role for the verification, with one event."""
    installation = make(VERIFIER_ROLE_ARNS=f"{ACCOUNT}:role/verify")
    installation.set_up()
    assert installation.bulk(installation.writer, ("create", installation.index, "there")) == [(201, "")]
    return installation


def test_the_verification_asks_whether_events_are_there(verified: Installation, installed: Installation) -> None:
    """By id, in indices that are there and in others, and by search in all of them; nobody else's are answered."""
    (role,) = verified.settings.verifier_role_arns
    assert actions(verified.set_up().changes, "role mapping")[f"{verified.prefix}cloudtrail-verifier"] == "unchanged"
    engine = HttpEngine(verified.settings, lambda: Caller(verified.node, role))
    asked = [(verified.index, "there"), (verified.index, "gone"), (f"{verified.prefix}cloudtrail-2001.01", "gone")]
    reply = engine.mget([{"_index": index, "_id": name} for index, name in [*asked, (installed.index, "there")]], 60)
    there, gone, none, theirs = reply.items or []
    assert (there["found"], gone["found"]) == (True, False)
    assert none["error"]["type"] == "index_not_found_exception"
    query = {"query": {"ids": {"values": ["there"]}}, "_source": False}
    verified.node.request("POST", f"/{verified.index}/_refresh")
    assert [hit["_id"] for hit in engine.search(f"{verified.prefix}cloudtrail-2*", query, 60).items or []] == ["there"]
    assert theirs["error"]["type"] == "security_exception"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/{prefix}cloudtrail-2026.11/_doc/mine"),
        ("DELETE", "/{prefix}cloudtrail-2026.11/_doc/there"),
        ("DELETE", "/{prefix}cloudtrail-2026.11"),
        ("PUT", "/{prefix}cloudtrail-2026.11/_settings"),
        ("GET", "/_index_template/{prefix}cloudtrail"),
        ("GET", f"{SECURITY}/roles"),
    ],
)
def test_the_verification_can_do_nothing_else(verified: Installation, method: str, path: str) -> None:
    """No writing, no deletion, nothing of the domain's."""
    (role,) = verified.settings.verifier_role_arns
    body = {"index.refresh_interval": "5s"} if path.endswith("_settings") else {"a": 1} if method == "PUT" else None
    assert verified.node.call(method, path.format(prefix=verified.prefix), body, backend_roles=[role])[0] == 403


@pytest.fixture(scope="module")
def alerting(make: Make) -> Installation:
    """An installation whose function tells people of alerts, with one event and one alert."""
    installation = make(ALERTS="true")
    installation.set_up()
    index = f"{installation.prefix}cloudtrail-alerts"
    found = installation.bulk(installation.writer, ("create", installation.index, "there"), ("create", index, "there:a-rule"))
    assert found == [(201, ""), (201, "")]
    installation.node.request("POST", f"/{installation.prefix}cloudtrail*/_refresh")
    return installation


def test_the_function_writes_down_which_alerts_were_told(alerting: Installation, installed: Installation) -> None:
    """It makes the index, creates an alert once, reads its state at once, and writes it again; analysts find it."""
    index = f"{alerting.prefix}cloudtrail-alerts"
    assert actions(alerting.set_up().changes, "role mapping")[f"{alerting.prefix}cloudtrail-alerter"] == "unchanged"
    assert alerting.bulk(
        alerting.writer, ("create", index, "e:rule"), ("create", index, "e:rule"), ("index", index, "e:rule")
    ) == [(201, ""), (409, "version_conflict_engine_exception"), (200, "")]
    engine = HttpEngine(alerting.settings, lambda: Caller(alerting.node, alerting.writer))
    wanted: list[dict[str, Any]] = [{"_index": index, "_id": "e:rule"}, {"_index": index, "_id": "gone"}]
    events = [{"_index": alerting.index, "_id": "there"}, {"_index": installed.index, "_id": "there"}]
    mine, gone, event, other = engine.mget([*wanted, *events], 60).items or []
    assert mine["_source"]["ct"]["ingestTime"]
    assert not gone["found"]
    assert event["error"]["type"] == other["error"]["type"] == "security_exception"
    query = {"query": {"ids": {"values": ["there:a-rule"]}}}
    found = alerting.node.request("POST", f"/{index}/_search", query, backend_roles=[alerting.analyst])
    assert [hit["_id"] for hit in found["hits"]["hits"]] == ["there:a-rule"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/{prefix}cloudtrail-alerts/_search"),
        ("POST", "/{prefix}cloudtrail/_search"),
        ("POST", "/{prefix}cloudtrail-alerts/_delete_by_query"),
        ("DELETE", "/{prefix}cloudtrail-alerts/_doc/there:a-rule"),
        ("DELETE", "/{prefix}cloudtrail-alerts"),
        ("PUT", "/{prefix}cloudtrail-alerts/_settings"),
        ("GET", "/{prefix}cloudtrail-2026.11/_doc/there"),
        ("PUT", "/_index_template/{prefix}cloudtrail-alerts"),
        ("PUT", "/{prefix}other/_doc/1"),
    ],
)
def test_alerts_open_nothing_else_to_the_function(alerting: Installation, method: str, path: str) -> None:
    """It searches no alerts, deletes none, and reads no events."""
    body: dict[str, Any] | None = {"query": {"match_all": {}}} if method == "POST" else None
    if method == "PUT":
        body = {"index_patterns": ["x-1"]} if "template" in path else {"index.refresh_interval": "5s"}
    assert alerting.node.call(method, path.format(prefix=alerting.prefix), body, backend_roles=[alerting.writer])[0] == 403


def test_a_function_that_tells_nobody_has_no_index_of_alerts(installed: Installation) -> None:
    """Without ALERTS the role is not made, and the function may not write there."""
    index = f"{installed.prefix}cloudtrail-alerts"
    assert installed.bulk(installed.writer, ("create", index, "a:rule")) == [(403, "security_exception")]


def first_of(outcome: Outcome, role: str) -> str:
    """Created by the first of these tests that runs, updated by the others."""
    action = actions(outcome.changes, "role mapping")[role]
    assert action in ("create", "update")
    return action


@pytest.fixture(scope="module")
def with_config(make: Make) -> Installation:
    """An installation that takes AWS Config too, with an event of CloudTrail's and a resource of two versions."""
    installation = make(AWS_CONFIG="true", CONFIG_WRITER_ROLE_ARNS=f"{ACCOUNT}:role/config-writer")
    installation.set_up()
    assert installation.bulk(installation.writer, ("create", installation.index, "there")) == [(201, "")]
    items = [version("vol-1", START + number, f"s{number}") for number in (0, 1)]
    assert counted(config_history(installation).write([Arrival(item) for item in items], time.monotonic() + 60)) == {"indexed": 2}
    installation.node.request("POST", f"/{installation.prefix}*/_refresh")
    return installation


def config_history(installation: Installation) -> History:
    """The history, written with the role of the Config function."""
    engine = HttpEngine(
        installation.settings, lambda: Caller(installation.node, installation.settings.config_writer_role_arns[0])
    )
    return History(engine, installation.prefix)


def test_the_config_function_does_all_that_it_has_to(with_config: Installation) -> None:
    """Late versions, repeated ones, events, the search for what a snapshot lacks, and the templates: with its own role."""
    assert actions(with_config.set_up().changes, "role mapping")[f"{with_config.prefix}config-writer"] == "unchanged"
    history = config_history(with_config)
    deadline = time.monotonic() + 60
    late = version("vol-1", START - 1_000, "late")
    written = history.write([Arrival(late)], deadline)
    assert (counted(written), written.corrected) == ({"indexed": 1}, 1)
    assert counted(history.write([Arrival(version("vol-1", START, "s0"))], deadline)) == {"duplicate": 1}
    event = HealthEvent("ComplianceChangeNotification", ACCOUNT_ID, REGION, START, "{}")
    assert counted(history.write_events([(event, Origin())] * 2, deadline)) == {"indexed": 1, "duplicate": 1}
    engine = HttpEngine(with_config.settings, lambda: Caller(with_config.node, with_config.settings.config_writer_role_arns[0]))
    index_template.check(engine, with_config.prefix, *index_template.CONFIG)
    missing = reconcile(history.requests(deadline), with_config.prefix, ACCOUNT_ID, REGION, set(), START + 1_000_000)
    assert [one.resource_id for one in missing] == ["vol-1"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/{prefix}cloudtrail/_search"),
        ("GET", "/{prefix}cloudtrail-2026.11/_doc/there"),
        ("PUT", "/{prefix}cloudtrail-2026.11/_doc/mine"),
        ("DELETE", "/{prefix}cloudtrail-2026.11"),
        ("POST", "/{prefix}config-history/_search"),
        ("POST", "/{prefix}config-events/_search"),
        ("DELETE", "/{prefix}config-current-v1/_doc/x"),
        ("DELETE", "/{prefix}config-current-v1"),
        ("PUT", "/{prefix}config-current-v1/_settings"),
        ("PUT", "/other-config-history-2026.11/_doc/x"),
        ("GET", f"{SECURITY}/roles"),
    ],
)
def test_the_config_function_can_do_nothing_else(with_config: Installation, method: str, path: str) -> None:
    """Nothing of CloudTrail's, no search but that of the latest states, no deletion, nothing of others."""
    role = with_config.settings.config_writer_role_arns[0]
    body = {"index.refresh_interval": "5s"} if path.endswith("_settings") else {"a": 1} if method == "PUT" else None
    assert with_config.node.call(method, path.format(prefix=with_config.prefix), body, backend_roles=[role])[0] == 403


def test_the_config_function_cannot_use_its_bulk_and_multiple_reads_for_more(with_config: Installation) -> None:
    """Events of CloudTrail's are refused one by one, written and read, beside its own."""
    role, index = with_config.settings.config_writer_role_arns[0], with_config.index
    assert with_config.bulk(role, ("create", index, "mine"), ("index", index, "there")) == [(403, "security_exception")] * 2
    engine = HttpEngine(with_config.settings, lambda: Caller(with_config.node, role))
    reply = engine.mget([{"_index": index, "_id": "there"}, {"_index": f"{with_config.prefix}config-timeline", "_id": "x"}], 60)
    theirs, own = reply.items or []
    assert theirs["error"]["type"] == "security_exception"
    assert own["found"] is False


def test_the_cloudtrail_function_reaches_nothing_of_aws_config(with_config: Installation) -> None:
    """It reads no item and writes none."""
    prefix = with_config.prefix
    for method, path in (
        ("POST", "config-current/_search"),
        ("POST", "config-history/_search"),
        ("GET", "config-timeline/_doc/x"),
    ):
        assert with_config.node.call(method, f"/{prefix}{path}", backend_roles=[with_config.writer])[0] == 403
    targets = ("config-history-2026.11", "config-current-v1", "config-timeline", "config-events-2026.11")
    answers = with_config.bulk(with_config.writer, *(("create", f"{prefix}{target}", "mine") for target in targets))
    assert answers == [(403, "security_exception")] * len(targets)


def test_analysts_search_aws_config_and_write_nothing_there(with_config: Installation) -> None:
    """Versions, latest states and events are theirs to search, timelines are not."""
    for family in ("config-history", "config-current", "config-events"):
        path = f"/{with_config.prefix}{family}/_search?ignore_unavailable=true"
        assert with_config.node.call("POST", path, backend_roles=[with_config.analyst])[0] == 200
    found = with_config.node.request("POST", f"/{with_config.prefix}config-current/_search", backend_roles=[with_config.analyst])
    assert [hit["_source"]["resourceId"] for hit in found["hits"]["hits"]] == ["vol-1"]
    for method, path, body in (
        ("PUT", "config-current-v1/_doc/x", {"a": 1}),
        ("DELETE", "config-current-v1", None),
        ("GET", "config-timeline/_doc/x", None),
    ):
        assert with_config.node.call(method, f"/{with_config.prefix}{path}", body, backend_roles=[with_config.analyst])[0] == 403


@pytest.fixture(scope="module")
def linking(make: Make) -> Installation:
    """An installation whose versions are linked, with a group that was opened and the event of it."""
    config = {"AWS_CONFIG": "true", "CONFIG_WRITER_ROLE_ARNS": f"{ACCOUNT}:role/config-writer"}
    installation = make(**config, LINKER_ROLE_ARNS=f"{ACCOUNT}:role/linker")
    installation.set_up()
    items = [group(OPENED - 3_600_000, opened=False), group(OPENED + 90_000, opened=True)]
    written = config_history(installation).write([Arrival(item) for item in items], time.monotonic() + 60)
    assert counted(written) == {"indexed": 2}
    installation.node.request(
        "PUT", f"/{installation.index}/_doc/there", {**opening(OPENED), "raw": json.dumps(opening(OPENED)), "ct": {}}
    )
    installation.node.request("POST", f"/{installation.prefix}*/_refresh")
    return installation


def test_the_linking_does_all_that_it_has_to(linking: Installation) -> None:
    """With its own role it reads events and versions, writes links and what they say of versions, and looks at them again."""
    (role,) = linking.settings.linker_role_arns
    assert actions(linking.set_up().changes, "role mapping")[f"{linking.prefix}config-linker"] == "unchanged"
    engine = HttpEngine(linking.settings, lambda: Caller(linking.node, role))
    index_template.check(engine, linking.prefix, index_template.LINKS)
    for minutes, linked in ((2, 2), (30, 2)):
        now = time.time() + minutes * 60
        totals = Linker(engine, linking.prefix, now=partial(float, now)).run(time.monotonic() + 60)
        assert (totals.linked, totals.caused, totals.problem) == (linked, 1, "")
        linking.node.request("POST", f"/{linking.prefix}*/_refresh")
    query = {"query": {"term": {"cfg.causedBy.kind": "direct"}}}
    found = linking.node.request("POST", f"/{linking.prefix}config-history/_search", query, backend_roles=[linking.analyst])
    assert [hit["_source"]["resourceId"] for hit in found["hits"]["hits"]] == [GROUP]
    sure = {"query": {"range": {"causedBy.score": {"gte": 0.9}}}}
    found = linking.node.request("POST", f"/{linking.prefix}config-causes/_search", sure, backend_roles=[linking.analyst])
    assert [hit["_source"]["causedBy"]["eventName"] for hit in found["hits"]["hits"]] == [["AuthorizeSecurityGroupIngress"]]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/{prefix}cloudtrail-2026.11/_doc/mine"),
        ("DELETE", "/{prefix}cloudtrail-2026.11/_doc/there"),
        ("DELETE", "/{prefix}config-history-2025.11"),
        ("PUT", "/{prefix}config-current-v1/_doc/x"),
        ("POST", "/{prefix}config-current/_search"),
        ("POST", "/{prefix}config-events/_search"),
        ("GET", "/{prefix}config-timeline/_doc/x"),
        ("PUT", "/{prefix}config-causes-2025.11/_settings"),
        ("PUT", "/other-config-causes-2025.11/_doc/x"),
        ("GET", f"{SECURITY}/roles"),
    ],
)
def test_the_linking_can_do_nothing_else(linking: Installation, method: str, path: str) -> None:
    """It writes no event, deletes nothing, and reads neither latest states nor timelines."""
    (role,) = linking.settings.linker_role_arns
    body = {"index.refresh_interval": "5s"} if path.endswith("_settings") else {"a": 1} if method == "PUT" else None
    assert linking.node.call(method, path.format(prefix=linking.prefix), body, backend_roles=[role])[0] == 403


def test_the_function_creates_documents_and_reads_its_template(installed: Installation) -> None:
    """A month's first event makes its index, with the alias; an event that is there is a duplicate; the template can be seen."""
    new = f"{installed.prefix}cloudtrail-2026.12"
    assert installed.bulk(installed.writer, ("create", new, "a"), ("create", installed.index, "there")) == [
        (201, ""),
        (409, "version_conflict_engine_exception"),
    ]
    assert installed.node.request("GET", f"/{new}/_alias") == {new: {"aliases": {f"{installed.prefix}cloudtrail": {}}}}
    engine = HttpEngine(installed.settings, lambda: Caller(installed.node, installed.writer))
    index_template.check(engine, installed.prefix)


def test_what_the_pipeline_writes_analysts_find(make: Make) -> None:
    """The function's whole way with its role: records become documents of our mapping, found by path and by phrase."""
    installation = make()
    installation.set_up()
    memory = Memory()
    pipeline = Pipeline(
        reader=memory,  # type: ignore[arg-type]  # what it needs of one
        engine=HttpEngine(installation.settings, lambda: Caller(installation.node, installation.writer)),
        quarantine=memory,  # type: ignore[arg-type]  # what it needs of one
        policy=Policy(Naming(installation.prefix)),
    )
    launched = record("launched", eventName="RunInstances", requestParameters={"instanceType": "m5.large"})
    send(pipeline, memory, [text_of(one).decode() for one in (*records(20), launched)], "object.json.gz")
    alias = f"{installation.prefix}cloudtrail"
    installation.node.request("POST", f"/{alias}/_refresh")
    for query in ("requestParameters.instanceType:m5.large", '"instanceType:m5.large"'):
        asked = {"query": {"query_string": {"query": query}}}
        found = installation.node.request("POST", f"/{alias}/_search", asked, backend_roles=[installation.analyst])
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ["launched"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/{alias}/_search"),
        ("POST", "/{alias}/_count"),
        ("GET", "/{index}/_doc/there"),
        ("GET", "/{index}/_mapping"),
        ("DELETE", "/{index}/_doc/there"),
        ("POST", "/{index}/_update/there"),
        ("DELETE", "/{index}"),
        ("PUT", "/{index}/_settings"),
        ("PUT", "/_index_template/{alias}"),
        ("DELETE", "/_index_template/{alias}"),
        ("POST", "/{alias}/_delete_by_query"),
        ("PUT", "/other-index/_doc/1"),
        ("GET", "/_cluster/settings"),
        ("GET", f"{SECURITY}/roles"),
    ],
)
def test_the_function_can_do_nothing_else(installed: Installation, method: str, path: str) -> None:
    """It cannot search, read, delete or change events, nor touch anything of others."""
    alias = f"{installed.prefix}cloudtrail"
    body: dict[str, Any] | None = {"query": {"match_all": {}}} if "_query" in path else {"doc": {}} if "_update" in path else None
    if method == "PUT":
        body = {"index_patterns": [f"{alias}-2*"]} if "template" in path else {"index.refresh_interval": "5s"}
    asked = path.format(alias=alias, index=installed.index)
    assert installed.node.call(method, asked, body, backend_roles=[installed.writer])[0] == 403


def test_the_function_cannot_use_bulk_requests_for_more(installed: Installation) -> None:
    """Deletes and other indices are refused one by one. Overwriting by `index` the engine cannot tell from creating."""
    answers = installed.bulk(
        installed.writer,
        ("create", "elsewhere", "1"),
        ("create", f"{installed.prefix}other", "1"),
        ("index", installed.index, "there"),
    )
    assert answers == [(403, "security_exception"), (403, "security_exception"), (200, "")]
    delete = f'{{"delete":{{"_index":"{installed.index}","_id":"there"}}}}\n'.encode()
    answer = installed.node.request("POST", "/_bulk", delete, backend_roles=[installed.writer])
    assert answer["items"][0]["delete"]["status"] == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/{alias}/_search"),
        ("POST", "/{alias}*/_search"),
        ("POST", "/{alias}/_count"),
        ("GET", "/{index}/_doc/there"),
        ("GET", "/{alias}/_mapping"),
        ("GET", "/{alias}*/_field_caps?fields=*"),
        ("GET", "/{alias}/_alias"),
        ("GET", "/_resolve/index/{alias}*"),
        ("POST", "/{alias}/_search/point_in_time?keep_alive=1m"),
    ],
)
def test_analysts_search(installed: Installation, method: str, path: str) -> None:
    """They search by alias and pattern, and see what fields there are, as Dashboards asks for them."""
    asked = path.format(alias=f"{installed.prefix}cloudtrail", index=installed.index)
    assert installed.node.call(method, asked, backend_roles=[installed.analyst])[0] == 200


def test_analysts_find_events_and_see_the_shared_tenant(installed: Installation) -> None:
    """What they search for is found; the shared tenant is theirs to read, not to write."""
    found = installed.node.request("POST", f"/{installed.prefix}cloudtrail/_search", backend_roles=[installed.analyst])
    assert "there" in {hit["_id"] for hit in found["hits"]["hits"]}  # and whatever the other tests added
    about = installed.node.request("GET", "/_plugins/_security/authinfo", backend_roles=[installed.analyst])
    assert about["tenants"]["global_tenant"] is False  # may not write
    assert {f"{installed.prefix}cloudtrail-analyst", "kibana_user", "alerting_read_access"} <= set(about["roles"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/{index}/_doc/new"),
        ("DELETE", "/{index}/_doc/there"),
        ("POST", "/{index}/_update/there"),
        ("DELETE", "/{index}"),
        ("PUT", "/{prefix}cloudtrail-2027.01"),
        ("POST", "/{prefix}cloudtrail/_delete_by_query"),
        ("POST", "/other-installation-cloudtrail/_search"),
        ("GET", "/_index_template/{prefix}cloudtrail"),
        ("GET", f"{SECURITY}/roles"),
    ],
)
def test_analysts_write_nothing(installed: Installation, method: str, path: str) -> None:
    """They change no event and no index, and see nothing of other installations."""
    body: dict[str, Any] | None = {"doc": {}} if "_update" in path else {"query": {"match_all": {}}} if "_query" in path else None
    asked = path.format(index=installed.index, prefix=installed.prefix)
    body = {"eventName": "x"} if asked.endswith("_doc/new") else body
    assert installed.node.call(method, asked, body, backend_roles=[installed.analyst])[0] == 403


def test_administrators_may_do_everything(installed: Installation) -> None:
    """Their role is added to those who administer the domain, in the engine and in its security."""
    admin = installed.settings.admin_role_arns[0]
    assert installed.node.call("GET", "/_cluster/settings", backend_roles=[admin])[0] == 200
    assert installed.node.call("GET", f"{SECURITY}/roles", backend_roles=[admin])[0] == 200
    assert admin in installed.mapping("security_manager")["backend_roles"]


def test_others_stay_mapped(make: Make, secured: SecuredNode) -> None:
    """Users, hosts and roles that somebody else mapped are there afterwards; what the mapping was before is kept."""
    role = "kibana_user"
    theirs = {"backend_roles": ["kibanauser", "others"], "users": ["maria"], "hosts": ["10.0.0.*"], "description": "ours"}
    secured.request("PUT", f"{SECURITY}/rolesmapping/{role}", theirs)
    installation = make()
    installation.set_up()
    now = installation.mapping(role)
    assert now["backend_roles"] == ["kibanauser", "others", installation.analyst]
    assert (now["users"], now["hosts"], now["description"]) == (["maria"], ["10.0.0.*"], "ours")
    before = installation.kept[f"role-mapping/{role}"]
    assert {name: before[name] for name in theirs} == theirs
    own = f"{installation.prefix}cloudtrail-analyst"
    secured.request("PUT", f"{SECURITY}/rolesmapping/{own}", {"backend_roles": ["by-hand"]})
    assert the(installation.set_up().changes, "role mapping", own).action == "update"
    assert installation.mapping(own)["backend_roles"] == ["by-hand", installation.analyst]


def test_users_and_groups_are_mapped_as_what_they_are(make: Make) -> None:
    """An IAM user comes by its name, a group of a SAML directory as a backend role."""
    user = f"{ACCOUNT}:user/maria"
    installation = make(ANALYST_ROLE_ARNS=f"security team, {user}")
    installation.set_up()
    mapping = installation.mapping(f"{installation.prefix}cloudtrail-analyst")
    assert (mapping["backend_roles"], mapping["users"]) == (["security team"], [user])


def test_a_role_that_a_person_edited_is_kept_and_put_right(make: Make, secured: SecuredNode) -> None:
    """The backup holds what was there, the differences name it, and the role is as it should be afterwards."""
    installation = make()
    installation.set_up()
    role = f"{installation.prefix}cloudtrail-writer"
    edited = {**access.roles(installation.settings)[role], "cluster_permissions": ["cluster_all"]}
    secured.request("PUT", f"{SECURITY}/roles/{role}", edited)
    change = the(installation.set_up().changes, "role", role)
    assert (change.action, change.differences) == ("update", ("cluster_permissions",))
    assert installation.kept[f"role/{role}"]["cluster_permissions"] == ["cluster_all"]
    assert "cluster_all" not in str(secured.request("GET", f"{SECURITY}/roles/{role}"))


def test_a_role_of_somebody_else_is_not_touched(make: Make, secured: SecuredNode) -> None:
    """A role of our name without our mark is refused, and nothing at all is changed."""
    installation = make()
    role = f"{installation.prefix}cloudtrail-analyst"
    secured.request("PUT", f"{SECURITY}/roles/{role}", {"description": "Maria's", "cluster_permissions": ["cluster_monitor"]})
    with pytest.raises(DomainSetupError, match=f"role '{role}': there is an object of this name that is not Audit Search's"):
        installation.set_up()
    assert secured.request("GET", f"{SECURITY}/roles/{role}")[role]["description"] == "Maria's"
    assert secured.call("GET", f"/_index_template/{installation.prefix}cloudtrail")[0] == 404


def test_a_caller_who_is_no_administrator_learns_what_to_do(make: Make, secured: SecuredNode) -> None:
    """The error names who was refused what, by which layer, and the way out."""
    installation = make()
    nobody = f"{ACCOUNT}:role/nobody"
    with pytest.raises(DomainSetupError) as caught:
        installation.set_up(Caller(secured, nobody))
    text = str(caught.value)
    assert f"fine-grained access control refuses {nobody}" in text
    assert "cluster:monitor/main" in text
    assert f"Map {nobody} to the roles all_access and security_manager" in text
    assert "DomainAdminRoleArn=" in text
    assert "PrepareDomain=command" in text


def test_a_caller_who_administers_the_engine_but_not_its_security(make: Make, secured: SecuredNode) -> None:
    """The security API has a refusal of its own, which is explained the same way."""
    installation = make()
    half = f"{ACCOUNT}:role/{installation.prefix}half"
    role = f"{installation.prefix}half"
    body = {"cluster_permissions": ["*"], "index_permissions": [{"index_patterns": ["*"], "allowed_actions": ["*"]}]}
    secured.request("PUT", f"{SECURITY}/roles/{role}", body)
    secured.request("PUT", f"{SECURITY}/rolesmapping/{role}", {"backend_roles": [half]})
    try:
        with pytest.raises(DomainSetupError, match=f"security API refuses {half}, which is no administrator of the domain"):
            installation.set_up(Caller(secured, half))
    finally:
        secured.request("DELETE", f"{SECURITY}/rolesmapping/{role}")
        secured.request("DELETE", f"{SECURITY}/roles/{role}")


def test_a_wrong_password_is_told_from_a_missing_role(make: Make) -> None:
    """A 401 is about the log-in."""
    api = HttpApi(make().settings, (ADMIN, "wrong"))
    with pytest.raises(DomainSetupError, match="The log-in is refused"):
        wait_until_ready(api, float("inf"), refused_seconds=0)
