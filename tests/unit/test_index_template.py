"""The index template fits the documents that are sent, and is asked for in a way that no engine's answer can break."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from opensearchpy import TransportError

from audit_search import index_template
from audit_search.documents import BOOLEANS, FLAT_LEAVES, KEYWORDS, RESERVED, TREES, Naming, Place
from audit_search.errors import IndexTemplateError
from audit_search.rebuild import _SNAKE_ALIAS, Built, build

MAPPINGS: dict[str, Any] = index_template.definition()["template"]["mappings"]
PROPERTIES: dict[str, Any] = MAPPINGS["properties"]


def field(path: str) -> dict[str, Any]:
    """The mapping of a dotted field."""
    inner: dict[str, Any] = MAPPINGS
    for part in path.split("."):
        inner = inner["properties"][part]
    return inner


def leaves(properties: dict[str, Any], path: str = "") -> dict[str, str]:
    """The type of every field."""
    found: dict[str, str] = {}
    for name, mapping in properties.items():
        inner = mapping.get("properties")
        found |= leaves(inner, f"{path}{name}.") if inner else {f"{path}{name}": mapping["type"]}
    return found


@pytest.mark.parametrize("name", KEYWORDS)
def test_texts_are_keywords(name: str) -> None:
    """Each top-level text is a keyword whose values cannot be too long for a term."""
    assert field(name)["type"] == "keyword"
    assert field(name)["ignore_above"] * 4 < 32_766 + 4


@pytest.mark.parametrize("name", sorted(FLAT_LEAVES))
def test_flattened_leaves_are_mapped(name: str) -> None:
    """Each dotted field is a keyword, but for the one that is a date."""
    mapping = field(name)
    assert mapping["type"] == ("date" if name.endswith("creationDate") else "keyword")
    assert mapping["type"] == "date" or mapping["ignore_above"] * 4 < 32_766 + 4


def test_subtrees_booleans_and_times_have_their_types() -> None:
    """Sub-trees are flat objects, booleans booleans, times dates, and the text is a text."""
    assert {name: field(name)["type"] for name in TREES} == dict.fromkeys(TREES, "flat_object")
    assert {name: field(name)["type"] for name in BOOLEANS} == dict.fromkeys(BOOLEANS, "boolean")
    assert (field("eventTime")["type"], field("ct.ingestTime")["type"], field("raw")["type"]) == ("date", "date", "text")
    assert field("sourceIPAddress")["fields"]["ip"] == {"type": "ip", "ignore_malformed": True}
    assert {name: field(f"resources.{name}")["type"] for name in ("ARN", "ARNPrefix", "accountId", "type")} == dict.fromkeys(
        ("ARN", "ARNPrefix", "accountId", "type"), "keyword"
    )


def test_no_mapped_field_is_unknown_to_the_documents() -> None:
    """A field that no document has would only confuse whoever looks for it."""
    mapped = {name for name, kind in leaves(PROPERTIES).items() if kind != "alias"}
    ours = {name for name in mapped if name.startswith("ct.")}
    known = {*KEYWORDS, *BOOLEANS, *TREES, *FLAT_LEAVES, "eventTime", "eventID", "raw"}
    assert mapped - ours - known == {"resources.ARN", "resources.ARNPrefix", "resources.accountId", "resources.type"}
    assert known <= mapped


def test_every_field_of_ours_is_mapped() -> None:
    """Whatever `ct` may hold is in the template: `dynamic: false` would hide it from search."""
    text = (
        b'{"eventTime":"x","userIdentity":{"type":"Root","arn":"a"},"eventName":"ConsoleLogin","readOnly":5,"requestParameters":1,'
        b'"responseElements":{"ConsoleLogin":"Failure"},"additionalEventData":{"MFAUsed":"No"},"userAgent":"'
        + b"\xff" * 40_000
        + b'"}'
    )
    found: set[str] = set()
    launch = b'{"eventName":"RunInstances","requestParameters":{"instanceType":"m5.large"}}'
    place = Place("b", "k", datetime(2026, 11, 3, 8, 20, tzinfo=UTC))
    for one in (text, launch):
        built = build(one, place, 0, Naming(), "live", refused=True)
        assert isinstance(built, Built)
        found |= set(built.source["ct"])
    assert found | {"ingestTime"} == set(PROPERTIES["ct"]["properties"])


def test_aliases_point_to_fields() -> None:
    """Each alias leads to a field that is none itself, and no document can hold a field of its name."""
    kinds = leaves(PROPERTIES)
    aliases = {name for name, kind in kinds.items() if kind == "alias"}
    assert {
        "@timestamp",
        "event_name",
        "user_identity_arn",
        "source_ip_address",
        "event_time",
        "aws_region",
        "error_code",
    } <= aliases
    for name in aliases:
        assert kinds[PROPERTIES[name]["path"]] != "alias"
        assert name in RESERVED or _SNAKE_ALIAS.fullmatch(name), f"a record's own {name} would be written to an alias"


def test_nothing_grows_with_the_data() -> None:
    """The number of fields does not depend on what the records hold, nor does a malformed value cost a document."""
    settings = index_template.definition()["template"]["settings"]["index"]
    assert MAPPINGS["dynamic"] in (False, "false")
    assert MAPPINGS["date_detection"] is False
    assert settings["mapping.ignore_malformed"] is True
    assert len(leaves(PROPERTIES)) < settings["mapping.total_fields.limit"]
    assert all("dynamic" not in str(mapping.get("dynamic", "")) for mapping in PROPERTIES.values())
    assert not any("ignore_above" in mapping for mapping in PROPERTIES.values() if mapping.get("type") == "flat_object")


@pytest.mark.parametrize("prefix", ["", "audit-", "a_b-2"])
def test_the_template_carries_the_prefix(prefix: str) -> None:
    """Pattern and alias are those of the indices that are written, and only of those."""
    body = index_template.body(prefix)
    assert body["index_patterns"] == [f"{prefix}cloudtrail-2*"]
    assert body["template"]["aliases"] == {f"{prefix}cloudtrail": {}}
    for day in ("2013-01-01", "2026-11-03"):
        for daily in (False, True):
            assert Naming(prefix, daily).index(day).startswith(body["index_patterns"][0].rstrip("*"))
    assert index_template.name(prefix) == f"{prefix}cloudtrail"


def test_a_variant_changes_only_what_it_names() -> None:
    """Copies, shards and refresh can be set; the definition itself stays as it is."""
    before = json.dumps(index_template.definition())
    index = index_template.body("", replicas=0, shards=3, refresh="1s")["template"]["settings"]["index"]
    assert (index["number_of_replicas"], index["number_of_shards"], index["refresh_interval"]) == (0, 3, "1s")
    assert index_template.body("") == index_template.definition()
    assert json.dumps(index_template.definition()) == before


def test_the_simple_variant_has_no_analyzer_of_its_own() -> None:
    """Engines that ignore tokenizers get the built-in analyzer everywhere, and no definition that names another."""
    body = index_template.body("x-", simple=True)
    text = json.dumps(body)
    assert '"audit"' not in text
    assert "audit_query" not in text
    assert "analysis" not in text
    assert body["template"]["mappings"]["properties"]["raw"]["analyzer"] == "simple"
    assert leaves(body["template"]["mappings"]["properties"]) == leaves(PROPERTIES)


class Engine:
    """Answers a GET with what the test gives, or raises it; keeps what is put."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.put_bodies: dict[str, Any] = {}

    def get(self, path: str) -> Any:
        assert path == "/_index_template/p-cloudtrail"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def put(self, path: str, body: Any) -> Any:
        self.put_bodies[path] = body
        return {"acknowledged": True}


def holding(version: Any) -> dict[str, Any]:
    """What an engine says of a template with this version."""
    return {"index_templates": [{"name": "p-cloudtrail", "index_template": {"index_patterns": [], "version": version}}]}


VERSION: int = index_template.definition()["version"]


@pytest.mark.parametrize("version", [VERSION, VERSION + 1, VERSION + 1_000])
def test_this_version_or_a_newer_one_will_do(version: int) -> None:
    """An update of the template may come before that of the function."""
    index_template.check(Engine(holding(version)), "p-")


@pytest.mark.parametrize("version", [VERSION - 1, 0, -5, None, "1000", [], 1.5e9, {}])
def test_an_older_template_is_refused(version: Any) -> None:
    """Nothing is written, and the error says both versions."""
    with pytest.raises(IndexTemplateError, match=f"this is version {VERSION}.*nothing was written"):
        index_template.check(Engine(holding(version)), "p-")


def test_a_template_without_a_version_is_refused() -> None:
    """Somebody else's template of this name is none of ours."""
    with pytest.raises(IndexTemplateError, match="is version 0"):
        index_template.check(Engine({"index_templates": [{"index_template": {}}]}), "p-")


def test_no_template_is_refused() -> None:
    """A 404 means that it was never put in place."""
    with pytest.raises(IndexTemplateError, match="has no index template 'p-cloudtrail'"):
        index_template.check(Engine(TransportError(404, "resource_not_found_exception", {})), "p-")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, "N/A", "TIMEOUT"])
def test_an_engine_that_cannot_be_asked_is_another_matter(status: Any) -> None:
    """An outage or a missing permission is passed on as what it is."""
    with pytest.raises(TransportError):
        index_template.check(Engine(TransportError(status, "x", {})), "p-")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "<html>",
        [],
        {},
        5,
        {"index_templates": []},
        {"index_templates": None},
        {"index_templates": {}},
        {"index_templates": [None]},
        {"index_templates": [{}]},
        {"index_templates": [{"index_template": None}]},
        {"index_templates": [{"index_template": "x"}]},
    ],
    ids=repr,
)
def test_an_answer_that_is_none_is_refused(answer: Any) -> None:
    """Whatever a proxy or another product answers, nothing is written."""
    with pytest.raises(IndexTemplateError, match="is not understood"):
        index_template.check(Engine(answer), "p-")


def test_installing_puts_the_template_under_its_name() -> None:
    """The template is put where the check looks for it, in the variant asked for."""
    engine = Engine(None)
    index_template.install(engine, "p-", replicas=0, simple=True)
    assert engine.put_bodies == {"/_index_template/p-cloudtrail": index_template.body("p-", replicas=0, simple=True)}
