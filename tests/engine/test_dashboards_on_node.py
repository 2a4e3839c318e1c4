"""The dashboards on a real node with the sample events: each graph's answer is what a count over the records says."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from generate import CONFIG, SampleObject, config_objects, sample_objects

from audit_search import index_template
from audit_search.alerts.matching import deployed
from audit_search.dashboards import alerts, calls, causes, contents, resources, saved_objects
from audit_search.dashboards.fields import fields
from demo.hits import field as value_of
from tests.engine.test_documented_config_queries import filled as versions
from tests.engine.test_function_on_node import engine
from tests.integration.test_function import Make, deliver, make
from tests.support import graphs, raw_config
from tests.support.aws import Aws
from tests.support.config_world import ACCOUNT, World
from tests.support.engines import TestEngine
from tests.support.graphs import Record
from tests.support.linked_world import OPENED, LinkedWorld, group, opening
from tests.support.opensearch_node import OpenSearchNode

__all__ = ["engine", "make", "versions"]


def _records(sample: SampleObject) -> list[Record]:
    """The records of an object; none of one that a JSON parser does not take as it is, or whose events name no time."""
    try:
        elements = [json.loads(element) for element in sample.elements]
    except (ValueError, RecursionError):
        return []
    records: list[Record] = [element for element in elements if isinstance(element, dict)]
    return records if all("eventTime" in record for record in records) else []


SAMPLES = {sample.key: found for sample in sample_objects() if (found := _records(sample))}
RECORDS: list[Record] = list(
    {str(record.get("eventID", json.dumps(record))): record for some in SAMPLES.values() for record in some}.values()
)
"""Each event once, as it stands in the objects."""


def _text(record: Record, *path: str) -> str:
    value: Any = record
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _failed(record: Record) -> bool:
    login = _text(record, "responseElements", "ConsoleLogin") if record.get("eventName") == "ConsoleLogin" else ""
    return bool(record.get("errorCode") or record.get("errorMessage") or login == "Failure")


def _identity(record: Record) -> str:
    names = (("arn",), ("principalId",), ("onBehalfOf", "userId"), ("invokedBy",), ("accountId",))
    return next((text for name in names if (text := _text(record, "userIdentity", *name))), "")


def _caller(record: Record) -> str:
    """The name that a person knows a caller by: root, role and session, or the user, the service, the end of the ARN."""

    def own(*path: str) -> str:
        return _text(record, "userIdentity", *path)

    if own("type") == "Root":
        return "root"
    parts = own("arn").split("/")
    if own("type") == "AssumedRole":
        role = own("sessionContext", "sessionIssuer", "userName") or (parts[-2] if len(parts) > 2 else "")
        session = parts[-1] if len(parts) > 1 else own("principalId").split(":")[-1]
        return "/".join(filter(None, (role, session))) or _identity(record)
    names = (own("userName"), own("onBehalfOf", "userId"), own("invokedBy"), parts[-1], own("principalId"), _identity(record))
    return next(filter(None, names), "")


def _sign_in(*path: str) -> Callable[[Record], str]:
    return lambda record: _text(record, *path) if record.get("eventName") == "ConsoleLogin" else ""


DERIVED: dict[str, Callable[[Record], str]] = {
    "ct.outcome": lambda record: "failure" if _failed(record) else "success",
    "ct.caller": _caller,
    "ct.identity": _identity,
    "ct.consoleLogin": _sign_in("responseElements", "ConsoleLogin"),
    "ct.mfaUsed": _sign_in("additionalEventData", "MFAUsed"),
}
RULES = deployed()


def _alerts(record: Record) -> list[str]:
    """The rules that the record's own text meets; that these are the right ones, the rules' samples show."""
    return RULES.matching(record)


def _of_severity(severity: str) -> Callable[[Record], bool]:
    """Whether a record meets a rule of a severity that is about single events, or for none one that counts."""

    def meets(record: Record) -> bool:
        rules = [RULES.by_name[name] for name in _alerts(record)]
        return any(
            rule.tier != "off" and (rule.counted if not severity else rule.severity == severity and not rule.counted)
            for rule in rules
        )

    return meets


def of_record(record: Record, name: str) -> list[Any]:
    """The values of a field by the record's own text."""
    if name == "ct.alerts":
        return list(_alerts(record))
    value = DERIVED[name](record) if name in DERIVED else _text(record, *name.split("."))
    return [value] if value and len(value) <= 1_024 else []


def _root(record: Record) -> bool:
    return (
        _text(record, "userIdentity", "type") == "Root"
        and not _text(record, "userIdentity", "invokedBy")
        and record.get("eventType") != "AwsServiceEvent"
    )


def _changing(record: Record, *services: str) -> bool:
    return record.get("eventSource") in {f"{one}.amazonaws.com" for one in services} and record.get("readOnly") is not True


def _logged_in(record: Record, result: str) -> bool:
    return DERIVED["ct.consoleLogin"](record) == result


MEANING: dict[str, Callable[[Record], bool]] = {
    "": lambda _record: True,
    calls.FAILED: _failed,
    calls.SIGN_INS: lambda record: record.get("eventName") == "ConsoleLogin",
    calls.ROOT: _root,
    calls.DENIED: lambda record: bool(
        re.match(r"AccessDenied|.*UnauthorizedOperation$|.*NotAuthorized|AuthorizationError$", _text(record, "errorCode"))
    ),
    calls.IDENTITY: lambda record: _changing(record, "iam"),
    calls.NETWORK: lambda record: (
        _changing(record, "ec2") and bool(re.search("SecurityGroup|NetworkAcl|Route|Gateway|Vpc", _text(record, "eventName")))
    ),
    calls.TRAILS: lambda record: _changing(record, "cloudtrail", "config"),
    calls.WITHOUT_MFA: lambda record: _logged_in(record, "Success") and DERIVED["ct.mfaUsed"](record) != "Yes",
    "eventName:ConsoleLogin AND ct.consoleLogin:Failure": lambda record: _logged_in(record, "Failure"),
    alerts.MET: lambda record: bool(_alerts(record)),
    **{alerts.query(severity): _of_severity(severity) for severity in (*alerts.SEVERITIES, "")},
}


def _caused(record: Record, name: str) -> list[Any]:
    """The values of a field about its causes."""
    return of_document(record, f"cfg.causedBy.{name}")


def _changed(record: Record) -> bool:
    return (value_of(dict(record), "cfg.changeCount") or 0) > 0


OF_CONFIG: dict[str, Callable[[Record], bool]] = {
    "": lambda _record: True,
    causes.CAUSED: lambda record: _changed(record) and bool(_caused(record, "eventId")),
    causes.UNEXPLAINED: lambda record: _changed(record) and bool(_caused(record, "verdict")) and not _caused(record, "eventId"),
    causes.SURE: lambda record: any(score >= 0.9 for score in _caused(record, "score")),
    causes.LIKELY: lambda record: bool(_caused(record, "score")) and max(_caused(record, "score")) < 0.9,
    causes.BY_AWS: lambda record: _caused(record, "verdict") == ["aws-internal"],
    causes.NONE: lambda record: _caused(record, "verdict") == ["none-found"],
    causes.NOT_RECORDED: lambda record: _caused(record, "verdict") == ["not-recorded"],
    causes.NOT_YET: lambda record: not _caused(record, "verdict"),
    resources.CHANGED: lambda record: (value_of(record, "cfg.changeCount") or 0) > 0,
    resources.EXISTING: lambda record: value_of(record, "cfg.deleted") is False,
    resources.COMPLIANCE: lambda record: record["messageType"] == "ComplianceChangeNotification",
}


def of_document(document: Record, name: str) -> list[Any]:
    """The values of a field of a document."""
    value = value_of(dict(document), name)
    return [one for one in (value if isinstance(value, list) else [value]) if one not in (None, "")]


@pytest.fixture
def trail(aws: Aws, engine: TestEngine, make: Make) -> TestEngine:
    """The node with the sample objects whose records are what they should be, by the function."""
    samples = [sample for sample in sample_objects() if sample.key in SAMPLES]
    deliver(make(), [aws.put(sample.path.read_bytes(), sample.key) for sample in samples])
    engine.refresh()
    return engine


def drawn(engine: TestEngine, slug: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A visualisation for the prefix of an engine, and the engine's answer to it."""
    objects = {one["id"]: one for one in saved_objects.objects(engine.prefix)}
    one = objects[saved_objects.identity(engine.prefix, slug)]
    pattern = objects[one["references"][0]["id"]]["attributes"]["title"]
    return one, engine._answer("POST", f"/{pattern}/_search", graphs.request(one))


def test_each_graph_of_events_shows_what_the_records_hold(trail: TestEngine) -> None:
    """Every graph over CloudTrail's events, compared with a count over the records of the sample objects; none is empty."""
    arrivals = [hit["_source"] for hit in trail.search({"match_all": {}})]
    for panel in (panel for panel in contents.PANELS if panel.family == calls.TRAIL):
        one, answer = drawn(trail, panel.slug)
        found = graphs.rows(one, answer)
        if panel.slug == "freshness":  # when a record arrived, no record says
            newest = max(graphs.milliseconds(of_record(record, "eventTime")[0]) for record in RECORDS)
            last = max(graphs.milliseconds(value_of(source, "ct.ingestTime")) for source in arrivals)
            assert found == {(): (newest, last)}
            continue
        assert found == graphs.counted(panel, RECORDS, of_record, MEANING), panel.slug
        assert any(any(numbers) for numbers in found.values()), panel.slug


def test_each_saved_search_of_events_finds_what_it_says(trail: TestEngine) -> None:
    """The searches over CloudTrail's events find as many as the records have, the newest first."""
    for search in (search for search in contents.SEARCHES if search.family == calls.TRAIL):
        body = {"query": graphs.query(search.query), "size": 1_000, "sort": [{search.newest: "desc"}], "track_total_hits": True}
        hits = trail._answer("POST", f"/{trail.alias}/_search", body)["hits"]["hits"]
        wanted = [record for record in RECORDS if MEANING[search.query](record)]
        assert sorted(hit["_source"]["eventTime"] for hit in hits) == sorted(record["eventTime"] for record in wanted), (
            search.slug
        )
        assert hits


def test_each_graph_of_resources_shows_what_the_documents_hold(versions: TestEngine) -> None:
    """Every graph and search over AWS Config's documents, compared with a count over all documents of its indices."""
    for panel in (panel for panel in contents.PANELS if panel.family != calls.TRAIL):
        one, answer = drawn(versions, panel.slug)
        documents = _documents(versions, panel.family)
        found = graphs.rows(one, answer)
        assert found == graphs.counted(panel, documents, of_document, OF_CONFIG), panel.slug
        assert found or panel.query == causes.CAUSED, panel.slug  # nothing is linked here
    for search in (search for search in contents.SEARCHES if search.family != calls.TRAIL and search not in causes.SEARCHES):
        body = {"query": graphs.query(search.query), "sort": [{search.newest: "desc"}], "track_total_hits": True}
        total = versions._answer("POST", f"/{versions.prefix}{search.family}/_search", body)["hits"]["total"]["value"]
        assert total == sum(OF_CONFIG[search.query](one) for one in _documents(versions, search.family)) > 0, search.slug


def _raw() -> raw_config.Sources:
    """The messages and objects of AWS Config that `versions` got."""
    messages = tuple(json.loads(path.read_text("utf-8")) for path in sorted(CONFIG.glob("*.json")))
    return raw_config.Sources(messages, tuple((one.key, one.path.read_bytes()) for one in config_objects()))


def _of_raw(record: Record, name: str) -> list[Any]:
    return [record[name]]


RAW: dict[str, Callable[[Record], bool]] = {
    "": lambda _record: True,
    resources.CHANGED: lambda record: bool(record["changed"]),
    resources.EXISTING: lambda record: not record["cfg.deleted"],
    resources.COMPLIANCE: lambda _record: True,
}


@pytest.mark.parametrize(
    ("slug", "records"),
    [
        ("how-many-changes", raw_config.versions),
        ("changes-over-time", raw_config.versions),
        ("most-changed", raw_config.versions),
        ("resource-types", raw_config.latest),
        ("resource-regions", raw_config.latest),
        ("compliance-over-time", raw_config.compliance),
        ("compliance-rules", raw_config.compliance),
    ],
)
def test_graphs_of_resources_show_what_the_raw_samples_hold(
    versions: TestEngine, slug: str, records: Callable[[raw_config.Sources], list[Record]]
) -> None:
    """Counted over messages, histories and snapshots as AWS Config sent them, without any of our code on the way."""
    (panel,) = [panel for panel in contents.PANELS if panel.slug == slug]
    one, answer = drawn(versions, slug)
    found = graphs.rows(one, answer)
    assert found == graphs.counted(panel, records(_raw()), _of_raw, RAW)
    assert found


def test_what_aws_config_says_has_changed_is_among_what_is_changed_most(versions: TestEngine) -> None:
    """Each path that its own difference names, or what lies below it, as often; versions that came without one add to it."""
    one, answer = drawn(versions, "changed-paths")
    found = graphs.rows(one, answer)
    told = Counter(path for _, path in raw_config.told_changes(_raw()))
    assert told
    shown = {
        path: sum(numbers[0] for (own,), numbers in found.items() if own == path or own.startswith(f"{path}.")) for path in told
    }
    assert {path: shown[path] >= count for path, count in told.items()} == dict.fromkeys(told, True)


def _at(minutes: int) -> int:
    return OPENED + minutes * 60_000


@pytest.fixture
def linked(node: OpenSearchNode) -> Iterator[TestEngine]:
    """Security groups that ana and ben opened, one that nobody is known to have, one that both changed, and one not looked at."""
    world = LinkedWorld(World(TestEngine(node.endpoint, real=True)))
    callers = {"a": "ana", "b": "ben", "c": "ana", "d": ""}
    for number, (end, user) in enumerate(callers.items()):
        name = f"sg-0a1b2c3d4e5f6071{end}"
        minute = number * 2_000
        world.config(
            group(_at(minute - 60), opened=False, name=name),
            group(_at(minute) + 30_000, opened=True, name=name),
        )
        # nobody's: only that something else was recorded then
        world.trail(opening(_at(minute), name=name if user else "sg-00000000000000000", user=user or "eva"))
    both, tags = "sg-0a1b2c3d4e5f6071e", {"resourcesSet": {"items": [{"resourceId": "sg-0a1b2c3d4e5f6071e"}]}}
    world.config(
        group(_at(9_000 - 60), opened=False, name=both),
        group(_at(9_000) + 30_000, opened=True, name=both, tags={"team": "web"}),
    )
    tagging = {"requestParameters": {**tags, "tagSet": {"items": [{"key": "team", "value": "web"}]}}, "eventName": "CreateTags"}
    world.trail(opening(_at(9_000), name=both), opening(_at(9_000) + 2_000, name=both, user="ben", **tagging))
    world.link()
    later = "sg-0a1b2c3d4e5f6071f"
    world.config(group(_at(12_000), opened=False, name=later), group(_at(12_060), opened=True, name=later))
    world.refresh()
    yield world.world.engine
    world.remove()


def test_each_graph_of_causes_shows_what_the_documents_hold(linked: TestEngine) -> None:
    """Every graph over the calls that caused changes, and the search for changes that none explains, counted over documents."""
    documents = _documents(linked, causes.VERSIONS)
    for panel in causes.PANELS:
        one, answer = drawn(linked, panel.slug)
        found = graphs.rows(one, answer)
        assert found == graphs.counted(panel, documents, of_document, OF_CONFIG), panel.slug
        assert any(any(numbers) for numbers in found.values()), panel.slug
    for search in causes.SEARCHES:
        body = {"query": graphs.query(search.query), "sort": [{search.newest: "desc"}], "track_total_hits": True}
        hits = linked._answer("POST", f"/{linked.prefix}{search.family}/_search", body)["hits"]
        assert hits["total"]["value"] == sum(map(OF_CONFIG[search.query], documents)) > 0


def test_graphs_of_causes_name_those_who_did_it(linked: TestEngine) -> None:
    """Who opened how many groups, and that the rows of what is known hold every change once."""
    arn = f"arn:aws:iam::{ACCOUNT}:user/"
    told = graphs.rows(*drawn(linked, "changes-by-caller"))
    assert {who: row[:2] for (who,), row in told.items()} == {f"{arn}ana": (3, 3), f"{arn}ben": (2, 2)}
    rows = graphs.rows(*drawn(linked, "changes-by-certainty"))
    changed = sum(map(_changed, _documents(linked, causes.VERSIONS)))
    assert sum(row[0] for row in rows.values()) == changed
    assert rows["No cause found",][0] == 1
    assert rows["Not looked at yet",][0] == 1


def _documents(engine: TestEngine, family: str) -> list[Record]:
    body = {"query": {"match_all": {}}, "size": 10_000}
    return [hit["_source"] for hit in engine._answer("POST", f"/{engine.prefix}{family}/_search", body)["hits"]["hits"]]


def _as_the_engine_says(engine: TestEngine, family: str) -> None:
    (pattern,) = index_template.body(engine.prefix, family)["index_patterns"]
    capabilities = engine.get(f"/{pattern}/_field_caps?fields=*")["fields"]
    for field in fields(family):
        if field["name"] in ("_score", "_source"):
            continue
        for name, kind in capabilities[field["name"]].items():
            told = (name, kind["searchable"], kind["aggregatable"])
            assert told == (field["esTypes"][0], field["searchable"], field["aggregatable"]), (family, field["name"])


def test_index_patterns_of_events_have_the_fields_as_the_engine_tells_them(trail: TestEngine) -> None:
    """Type, whether it is searched and whether it can be aggregated: what Dashboards would read on its first visit."""
    _as_the_engine_says(trail, calls.TRAIL)


def test_index_patterns_of_resources_have_the_fields_as_the_engine_tells_them(versions: TestEngine) -> None:
    """The same of versions, latest states and what AWS Config says of itself."""
    for family in (resources.VERSIONS, resources.LATEST, resources.HEALTH):
        _as_the_engine_says(versions, family)
