"""The dashboards put in place by the set-up: once, with a copy of what somebody edited, and never the end of it if that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from osmem_server import OsmemServer

from audit_search.dashboards import marks, saved_objects
from audit_search.domain import dashboards
from audit_search.domain.api import HttpApi, Payload
from audit_search.domain.settings import DomainSettings
from audit_search.domain.setup import Change, Plan, apply, prepare
from tests.support.building import free_port
from tests.support.dashboards_server import DashboardsServer
from tests.support.engine_front import Asked, EngineFront, Verdict

OVERVIEW = ("dashboard", "audit-search-overview")
ALL = saved_objects.objects()


@dataclass
class Installation:
    """A Dashboards, and the set-up of its saved objects alone; `kept` are the backups."""

    front: EngineFront
    server: DashboardsServer
    kept: dict[str, Any] = field(default_factory=dict)

    def settings(self, **variables: str) -> DomainSettings:
        """Settings whose engine this is."""
        return DomainSettings.from_env(
            {"OPENSEARCH_ENDPOINT": self.front.endpoint, "OPENSEARCH_AUTH": "none", "AWS_REGION": "eu-central-1", **variables}
        )

    def plan(self, **variables: str) -> list[Change]:
        """What would be done."""
        settings = self.settings(**variables)
        return dashboards.changes(HttpApi(settings, None), settings)

    def set_up(self, **variables: str) -> Change:
        """Do it."""
        api = HttpApi(self.settings(**variables), None)
        (change,) = apply(api, Plan(tuple(self.plan(**variables))), self.keep).changes
        return change

    def keep(self, name: str, body: Any) -> str:
        """Remember a backup."""
        self.kept[name] = body
        return name


@pytest.fixture
def installation() -> Iterator[Installation]:
    """A Dashboards with nothing in it."""
    with EngineFront() as front:
        server = DashboardsServer()
        front.rules.append(server)
        yield Installation(front, server)


def test_what_is_shipped_is_imported_and_a_second_run_changes_nothing(installation: Installation) -> None:
    """All objects are in the tenant that everybody has, none elsewhere; then there is nothing to do, and nothing to keep."""
    (planned,) = installation.plan()
    assert (planned.action, planned.reason) == ("create", f"{len(ALL)} missing")
    assert installation.front.writes == []
    done = installation.set_up()
    assert (done.action, f"{len(ALL)} of {len(ALL)} imported" in done.reason) == ("create", True)
    assert installation.server.objects.keys() == {(one["type"], one["id"]) for one in ALL}
    assert set(installation.server.tenants) == {"global"}
    installation.front.asked.clear()
    assert installation.set_up().action == "unchanged"
    assert installation.front.writes == []
    assert installation.kept == {}


def test_what_somebody_edited_is_kept_before_it_is_replaced(installation: Installation) -> None:
    """The backup is a file that Dashboards imports, only what differs is written, and the edit is named."""
    installation.set_up()
    installation.server.edit(*OVERVIEW, title="Our overview")
    (planned,) = installation.plan()
    assert (planned.action, planned.reason) == ("update", "1 edited")
    assert planned.differences == ("dashboard audit-search-overview: edited",)
    installation.set_up()
    assert installation.server.imports[-1] == [OVERVIEW]
    assert installation.server.objects[OVERVIEW]["attributes"]["title"] == "Audit Search: Overview"
    (name, text), *more = installation.kept.items()
    assert (name, more) == ("saved-objects/audit-search", [])
    (line,) = text.splitlines()
    assert json.loads(line)["attributes"]["title"] == "Our overview"
    put_back = dashboards._file([json.loads(line)])
    HttpApi(installation.settings(), None).request("POST", "/_dashboards/api/saved_objects/_import?overwrite=true", put_back)
    assert installation.server.objects[OVERVIEW]["attributes"]["title"] == "Our overview"


def test_what_an_earlier_release_shipped_is_told_from_an_edit(installation: Installation) -> None:
    """Its mark still fits its content; with the same content under another mark somebody has saved it."""
    installation.set_up()
    one = installation.server.objects[OVERVIEW]
    one["attributes"]["description"] = "What it said last year"
    assert installation.plan()[0].reason == "1 edited"
    one["attributes"]["version"] = marks.mark(one)
    (planned,) = installation.plan()
    assert (planned.reason, planned.differences) == (
        "1 of another release",
        ("dashboard audit-search-overview: of another release",),
    )


def test_what_dashboards_does_to_an_object_by_itself_is_no_edit(installation: Installation) -> None:
    """How often a field was looked at, other spaces in JSON, empty attributes and the order of references do not count."""
    installation.set_up()
    pattern = installation.server.objects["index-pattern", "audit-search-cloudtrail"]
    fields = json.loads(pattern["attributes"]["fields"])
    fields[0]["count"] = 7
    pattern["attributes"] |= {"fields": json.dumps([*reversed(fields)], indent=1), "fieldFormatMap": "{}", "sourceFilters": "[]"}
    overview = installation.server.objects[OVERVIEW]
    overview["references"].reverse()
    overview["attributes"]["panelsJSON"] = json.dumps(json.loads(overview["attributes"]["panelsJSON"]), indent=2)
    assert installation.plan()[0].action == "unchanged"
    fields.append({**fields[0], "name": "mine", "scripted": True})
    pattern["attributes"]["fields"] = json.dumps(fields)
    assert installation.plan()[0].differences == ("index-pattern audit-search-cloudtrail: edited",)


def test_two_installations_have_objects_of_their_own(installation: Installation) -> None:
    """The second prefix finds nothing of the first, and leaves it alone."""
    installation.set_up()
    assert installation.set_up(INDEX_PREFIX="team-").action == "create"
    assert installation.set_up().action == "unchanged"
    assert len(installation.server.objects) == 2 * len(ALL)


def test_what_is_refused_alone_does_not_keep_the_rest_away(installation: Installation) -> None:
    """A type that this Dashboards does not take, and a write that fails: the others are there, and both are named."""
    installation.server.unsupported.add("dashboard")
    installation.server.broken.add("audit-search-top-callers")
    done = installation.set_up()
    assert (done.action, f"{len(ALL) - 5} of {len(ALL)} imported" in done.reason) == ("create", True)
    assert "dashboard audit-search-overview (unsupported_type)" in done.reason
    assert "and 2 more. By hand: `audit-search dashboards export --file audit-search.ndjson`" in done.reason
    assert len(installation.server.objects) == len(ALL) - 5
    installation.server.unsupported.clear()
    installation.server.broken.clear()
    assert installation.set_up().differences[0].endswith("missing")
    assert installation.set_up().action == "unchanged"


def test_missing_references_do_not_keep_the_rest_away(installation: Installation) -> None:
    """Dashboards then writes nothing and counts the others as done: they are imported again without what was named."""
    installation.server.unsupported.add("search")
    done = installation.set_up()
    left = {(one["type"], one["id"]) for one in ALL if one["type"] in ("index-pattern", "visualization")}
    assert installation.server.objects.keys() == left
    assert f"{len(left)} of {len(ALL)} imported. Refused: search audit-search-events (unsupported_type)" in done.reason
    assert [len(one) for one in installation.server.imports] == [len(ALL), len(left)]


def test_an_import_that_lies_is_not_believed(installation: Installation) -> None:
    """What is not there afterwards was not imported, whatever the answer said."""
    success = {"success": True, "successCount": len(ALL)}
    installation.front.rules.insert(0, lambda asked: (200, success) if asked.path.endswith("_import") else None)
    done = installation.set_up()
    assert done.action == "leave out"
    assert "was said to be imported, and is not there as it was sent" in done.reason


def test_what_is_saved_between_reading_and_writing_is_not_lost(installation: Installation) -> None:
    """Its copy would be older than it: nothing is imported, and the next try keeps what was saved."""
    installation.set_up()
    installation.server.edit(*OVERVIEW, title="Ours")
    api, planned = HttpApi(installation.settings(), None), tuple(installation.plan())
    installation.server.edit(*OVERVIEW, title="Ours, a moment later")
    (done,) = apply(api, Plan(planned), installation.keep).changes
    assert (done.action, done.passing) == ("leave out", True)
    assert "dashboard audit-search-overview was saved by somebody just now" in done.reason
    assert installation.server.objects[OVERVIEW]["attributes"]["title"] == "Ours, a moment later"
    installation.set_up()
    assert json.loads(installation.kept["saved-objects/audit-search"])["attributes"]["title"] == "Ours, a moment later"


SESSION = "arn:aws:sts::123456789012:assumed-role/setup/setup"
IAM = {"Message": f"User: {SESSION} is not authorized to perform: es:ESHttpPost because no identity-based policy allows it"}
FGAC = {"statusCode": 403, "error": "Forbidden", "message": "no permissions for [indices:data/write/bulk] and User [name=a]"}
PAGE = "<html>Log in</html>"


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (403, IAM, "Amazon refuses"),
        (403, FGAC, "fine-grained access control refuses a"),
        (401, {"statusCode": 401, "error": "Unauthorized", "message": "Authentication required"}, "The log-in is refused"),
        (404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"}, "there is no OpenSearch Dashboards"),
        (400, {"error": "no handler found for uri [/_dashboards] and method [POST]"}, "name it with --dashboards-url"),
        (302, "", "it answers with its log-in page (HTTP 302)"),
        (200, PAGE, "is not OpenSearch Dashboards"),
        (200, {"saved_objects": [5]}, "is not OpenSearch Dashboards"),
        (200, {"success": False}, ""),
        (422, {"statusCode": 422, "error": "Unprocessable Entity", "message": "a more recent version"}, "a more recent version"),
        (503, "OpenSearch Dashboards server is not ready yet", "is not ready yet"),
    ],
)
@pytest.mark.parametrize("path", ["_bulk_get", "_import"])
def test_a_refusal_is_left_out_with_what_to_do(
    installation: Installation, path: str, status: int, answer: Any, says: str
) -> None:
    """Whether Dashboards refuses to be read or to be written: nothing is raised, and the way by hand is told."""
    installation.front.rules.insert(0, lambda asked: (status, answer) if asked.path.endswith(path) else None)
    done = installation.set_up()
    assert done.action == "leave out"
    assert says in done.reason
    assert "Dashboards Management, Saved objects, Import" in done.reason
    assert done.passing == (status == 503)
    assert installation.server.objects == {}


def test_a_dashboards_that_cannot_be_reached_is_left_out() -> None:
    """Its address is in the reason."""
    address = f"http://127.0.0.1:{free_port()}"
    settings = DomainSettings.from_env({"OPENSEARCH_ENDPOINT": address, "OPENSEARCH_AUTH": "none"})
    (change,) = dashboards.changes(HttpApi(settings, None), settings)
    assert (change.action, change.passing) == ("leave out", True)
    assert f"{address} cannot be reached" in change.reason


def test_who_wants_none_gets_none(installation: Installation) -> None:
    """Nothing is asked, nor of a collection, whose Dashboards signs people in by itself."""
    assert installation.plan(DASHBOARDS="false") == []
    (change,) = installation.plan(OPENSEARCH_SERVICE="aoss")
    assert change.action == "leave out"
    assert installation.front.asked == []


@pytest.mark.parametrize(("until", "action"), [(40.0, "create"), (10_000.0, "leave out")])
def test_a_dashboards_that_starts_is_waited_for(until: float, action: str) -> None:
    """The engine is prepared at once; Dashboards is asked again for two minutes, and then left out."""
    now = 0.0

    def starting(asked: Asked) -> Verdict:
        soon = asked.path.startswith("/_dashboards") and now < until
        return (503, "OpenSearch Dashboards server is not ready yet") if soon else None

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    with OsmemServer.start(japanese=False) as server, EngineFront(server.url) as front:
        front.rules += [starting, DashboardsServer()]
        settings = DomainSettings.from_env({"OPENSEARCH_ENDPOINT": front.endpoint, "OPENSEARCH_AUTH": "none"})
        api, done = HttpApi(settings, None), list[Change]()
        outcome = prepare(api, settings, lambda name, _body: name, 500.0, done.append, clock=lambda: now, sleep=sleep)
    assert [change.action for change in outcome.changes if change.kind == dashboards.KIND] == [action]
    assert [change.action for change in done if change.kind == "index template"] == ["create"]
    assert now <= 120.0


def form(name: str, *objects: dict[str, Any]) -> Payload:
    """An import of these objects from a file of this name."""
    made = dashboards._file(objects)
    return Payload(made.content.replace(b"audit-search.ndjson", name.encode()), made.headers)


@pytest.mark.parametrize(
    ("payload", "query", "status", "says"),
    [
        (form("a.json", ALL[0]), "?overwrite=true", 400, "Invalid file extension .json"),
        (form("a.ndjson", ALL[0], ALL[0]), "", 400, "Non-unique import objects detected"),
        (form("a.ndjson", ALL[0]), "?security_tenant=global", 400, "definition for this key is missing"),
        (Payload(b"x", {}), "", 400, "osd-xsrf"),
        (form("a.ndjson", {**ALL[0], "migrationVersion": {"index-pattern": "8.0.0"}}), "", 422, "more recent version"),
        (form("a.ndjson", {**ALL[-1], "references": [], "attributes": {"mine": 1}}), "", 200, "strict_dynamic_mapping_exception"),
        (form("a.ndjson", ALL[5]), "", 200, "missing_references"),
    ],
)
def test_the_stand_in_refuses_what_dashboards_refuses(
    installation: Installation, payload: Payload, query: str, status: int, says: str
) -> None:
    """File names, doubles, queries, the header, versions, attributes and references are checked as the server checks them."""
    api = HttpApi(installation.settings(), None)
    has, answer = api.request("POST", f"/_dashboards/api/saved_objects/_import{query}", payload)
    assert has == status
    assert says in json.dumps(answer)
    assert installation.server.objects == {}


def test_the_stand_in_knows_conflicts_and_exports(installation: Installation) -> None:
    """Without overwriting, what is there stays and nothing else is written; an export is what an import takes."""
    installation.set_up()
    api = HttpApi(installation.settings(), None)
    path = "/_dashboards/api/saved_objects"
    new = {**ALL[-1], "id": "other"}
    _, answer = api.request("POST", f"{path}/_import", form("a.ndjson", ALL[-1], new))
    assert [error["error"]["type"] for error in answer["errors"]] == ["conflict"]
    assert answer["successCount"] == 1
    assert ("dashboard", "other") not in installation.server.objects
    asked = json.dumps({"objects": [{"type": ALL[-1]["type"], "id": ALL[-1]["id"]}]}).encode()
    headers = {"osd-xsrf": "true", "securitytenant": "global", "content-type": "application/json"}
    _, text = api.request("POST", f"{path}/_export", Payload(asked, headers))
    assert marks.state(json.loads(text.splitlines()[0]), ALL[-1]) == "current"
