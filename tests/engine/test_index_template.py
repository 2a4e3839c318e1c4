"""What the index template promises, on a real node and on documents that the pipeline itself builds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_search import index_template
from audit_search.documents import FLAT_LEAVES, KEYWORDS, RESERVED, TREES, Naming, Place
from audit_search.rebuild import MAX_DEPTH, MAX_TERM, Built, build
from tests.support.opensearch_node import OpenSearchNode

PREFIX = "claims-"
INDEX = f"{PREFIX}cloudtrail-2026.11"
PLACE = Place("trail-bucket", "AWSLogs/x_20261103T0820Z_y.json.gz", datetime(2026, 11, 3, 8, 20, tzinfo=UTC))

# Records by their eventID: what is looked for, and beside each one its near misses.
RECORDS: dict[str, dict[str, Any]] = {
    "launch": {
        "eventName": "RunInstances",
        "requestParameters": {"instanceType": "m5.large"},
        "responseElements": {"instancesSet": {"items": [{"instanceId": "i-0abc1234def567890"}]}},
    },
    "launch of another": {
        "eventName": "RunInstances",
        "requestParameters": {"instanceType": "m5.xlarge", "size": "m5.large"},
        "responseElements": {"instancesSet": {"items": [{"instanceId": "i-0abc1234def567891"}]}},
    },
    "launch by template": {
        "requestParameters": {"template": {"data": [{"instanceType": "m5.large"}]}},
        "responseElements": {"ids": ["i", "0abc1234def567890", "abc"]},
    },
    "role": {"requestParameters": {"roleArn": "arn:aws:iam::123456789012:role/x"}},
    "role of a longer name": {"requestParameters": {"roleArn": "arn:aws:iam::123456789012:role/x-ray"}},
    "role elsewhere": {"requestParameters": {"roleArn": "arn:aws:iam::210987654321:role/x"}},
    "user": {"requestParameters": {"userArn": "arn:aws:iam::123456789012:user/x"}},
    "refused": {
        "errorCode": "AccessDenied",
        "errorMessage": "You are not authorized to perform this operation, or the volume does not exist.",
    },
    "another refusal": {
        "errorCode": "Client.UnauthorizedOperation",
        "errorMessage": "The volume is not in the existing state; authorized callers perform it.",
    },
    "mail": {"requestParameters": {"email": "bob.smith@example.com", "path": "/srv/bob.smith/"}},
    "neighbours": {"requestParameters": {"email": "bob@example.com", "ip": "2001:db8::1"}},
    "lines": {"requestParameters": {"text": 'first\nsecond\tthird "fourth" C:\\windows\\new'}},
    "policy in a URL": {
        "responseElements": {"policy": "%7B%22Version%22%3A%222012-10-17%22%2C%22Service%22%3A%22sts.amazonaws.com%22%7D"}
    },
    "other words": {"requestParameters": {"text": "nsecond tthird fourteen windowsnew 22Version 22sts.amazonaws.com"}},
    "deep": {"requestParameters": {"a": {"b": [{"c": {"volumeType": "gp3"}}]}}},
    "service": {"sourceIPAddress": "cloudformation.amazonaws.com", "readOnly": True},
    "address": {"sourceIPAddress": "203.0.113.7", "readOnly": False},
}


def record(event_id: str, **fields: object) -> dict[str, Any]:
    """A record with the fields that every event has."""
    usual = {"eventVersion": "1.11", "eventTime": "2026-11-03T08:14:22Z", "eventSource": "ec2.amazonaws.com"}
    return {**usual, "eventID": event_id, **fields}


def document(text: bytes) -> Built:
    """The document that the pipeline makes of a record's text."""
    built = build(text, PLACE, 0, Naming(PREFIX), "live")
    assert isinstance(built, Built)
    built.source["ct"]["ingestTime"] = "2026-11-03T08:21:00.123Z"
    return built


def put(node: OpenSearchNode, *texts: bytes) -> list[tuple[int, str]]:
    """Index the records of these texts; status and error type of each."""
    lines: list[str] = []
    for text in texts:
        built = document(text)
        lines += [json.dumps({"create": {"_index": built.index, "_id": built.id}}), json.dumps(built.source)]
    answer = node.request("POST", "/_bulk?refresh=true", ("\n".join(lines) + "\n").encode())
    return [(item["create"]["status"], item["create"].get("error", {}).get("type", "")) for item in answer["items"]]


def put_as_is(node: OpenSearchNode, event_id: str, source: str) -> tuple[int, Any]:
    """Index a document's text just as it is."""
    action = json.dumps({"create": {"_index": INDEX, "_id": event_id}})
    answer = node.request("POST", "/_bulk?refresh=true", f"{action}\n{source}\n".encode())
    created = answer["items"][0]["create"]
    return created["status"], created.get("error")


def found(node: OpenSearchNode, query: dict[str, Any], among: str = f"{PREFIX}cloudtrail") -> set[str]:
    """The ids of all documents that match."""
    answer = node.request("POST", f"/{among}/_search", {"size": 1_000, "_source": False, "query": query})
    return {hit["_id"] for hit in answer["hits"]["hits"]}


def text_search(node: OpenSearchNode, text: str) -> set[str]:
    """What a person finds who types this into the search bar, among the records of this file."""
    return found(node, {"query_string": {"query": text}}) & RECORDS.keys()


@pytest.fixture(scope="module")
def trail(node: OpenSearchNode) -> OpenSearchNode:
    """The node with the template for a prefix and the records of this file."""
    node.request("PUT", f"/_index_template/{index_template.name(PREFIX)}", index_template.body(PREFIX, replicas=0))
    texts = [json.dumps(record(name, **fields)).encode() for name, fields in RECORDS.items()]
    assert put(node, *texts) == [(201, "")] * len(texts)
    return node


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("i-0abc1234def567890", {"launch"}, id="unquoted id"),
        pytest.param('"i-0abc1234def567890"', {"launch"}, id="quoted id"),
        pytest.param("I-0ABC1234DEF567890", {"launch"}, id="id in capitals"),
        pytest.param("i-0abc1234def567", set(), id="part of an id"),
        pytest.param("i-0abc1234def567*", {"launch", "launch of another"}, id="beginning of an id"),
        pytest.param('"arn:aws:iam::123456789012:role/x"', {"role"}, id="ARN"),
        pytest.param("123456789012", {"role", "role of a longer name", "user"}, id="account"),
        pytest.param('"instanceType:m5.large"', {"launch", "launch by template"}, id="key and value at any depth"),
        pytest.param('"volumeType:gp3"', {"deep"}, id="key and value deep down"),
        pytest.param("requestParameters.instanceType:m5.large", {"launch"}, id="path"),
        pytest.param("requestParameters.a.b.c.volumeType:gp3", {"deep"}, id="path through a list"),
        pytest.param("m5.large", {"launch", "launch of another", "launch by template"}, id="value"),
        pytest.param("authorized", {"refused", "another refusal"}, id="word of an error message"),
        pytest.param('"not authorized to perform"', {"refused"}, id="phrase"),
        pytest.param("exist", {"refused"}, id="last word of a sentence"),
        pytest.param('"the volume does not exist."', {"refused"}, id="pasted sentence"),
        pytest.param("exist.", {"refused"}, id="last word, pasted with its full stop"),
        pytest.param("errorMessage.text:(volume AND existing)", {"another refusal"}, id="words of the error message alone"),
        pytest.param("bob.smith@example.com", {"mail"}, id="mail address"),
        pytest.param("bob.smith", {"mail"}, id="dotted name"),
        pytest.param('"2001:db8::1"', {"neighbours"}, id="IPv6 address"),
        pytest.param("second", {"lines"}, id="word behind an escaped line break"),
        pytest.param("third", {"lines"}, id="word behind an escaped tab"),
        pytest.param('"fourth"', {"lines"}, id="word in escaped quotation marks"),
        pytest.param("new", {"lines"}, id="end of a Windows path"),
        pytest.param("sts.amazonaws.com", {"policy in a URL"}, id="word of a URL-encoded policy"),
        pytest.param('"Service:sts.amazonaws.com"', {"policy in a URL"}, id="key and value of a URL-encoded policy"),
        pytest.param("sourceIPAddress:cloudformation.amazonaws.com", {"service"}, id="service as the address"),
        pytest.param('sourceIPAddress.ip:"203.0.113.0/24"', {"address"}, id="network"),
        pytest.param("readOnly:true", {"service"}, id="boolean"),
        pytest.param('eventID:"launch by template"', {"launch by template"}, id="event id"),
        pytest.param("ct.outcome:failure", {"refused", "another refusal"}, id="promoted field"),
        pytest.param("nowhere", set(), id="absent word"),
    ],
)
def test_a_search_finds_what_it_names_and_nothing_else(trail: OpenSearchNode, query: str, expected: set[str]) -> None:
    """Ids, ARNs, phrases, keys with values and words are each found where they are, and their near misses are not."""
    assert text_search(trail, query) == expected


def leaves(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)


def test_every_value_is_found_when_pasted(trail: OpenSearchNode) -> None:
    """Each text of each record, however it is escaped there, is found as a phrase and as a term of a query."""
    for name, fields in RECORDS.items():
        for text in leaves(fields):
            assert name in found(trail, {"match_phrase": {"raw": text}}), text
            assert name in found(trail, {"match": {"raw": {"query": text, "operator": "and"}}}), text


def test_the_mapping_does_not_depend_on_the_data(trail: OpenSearchNode) -> None:
    """A thousand new keys, at the top and below, add no field."""
    before = trail.request("GET", f"/{INDEX}/_mapping")
    new = {f"newField{number}": {"a": number, "b": [str(number)]} for number in range(500)}
    below = {f"key{number}": number for number in range(500)}
    text = json.dumps(record("many keys", **new, requestParameters=below, userIdentity={"type": "New", **below}))
    assert put(trail, text.encode()) == [(201, "")]
    assert trail.request("GET", f"/{INDEX}/_mapping") == before
    assert text_search(trail, "requestParameters.key499:499") == set()
    assert found(trail, {"query_string": {"query": "requestParameters.key499:499"}}) == {"many keys"}


def mapped(properties: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Every field of a mapping by its dotted name."""
    fields: dict[str, dict[str, Any]] = {}
    for name, field in properties.items():
        fields |= {f"{path}{name}": field, **mapped(field.get("properties", {}), f"{path}{name}.")}
    return fields


FIELDS = mapped(index_template.definition()["template"]["mappings"]["properties"])
ALIASES = {name: field["path"] for name, field in FIELDS.items() if field.get("type") == "alias"}


def test_every_field_of_a_document_is_mapped() -> None:
    """The template and the builder of documents agree on the fields, their types and the names kept free for us."""
    assert {name for name in KEYWORDS if FIELDS[name]["type"] != "keyword"} == set()
    assert {name for name in TREES if FIELDS[name]["type"] != "flat_object"} == set()
    assert {name for name in FLAT_LEAVES if FIELDS[name]["type"] not in {"keyword", "date"}} == set()
    # A record's own field of such a name is set aside before it is sent, for a write to an alias is refused.
    assert {name for name in ALIASES if name not in RESERVED and not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)} == set()


def test_every_alias_finds_what_its_field_finds(trail: OpenSearchNode) -> None:
    """The snake_case names of former search systems and `@timestamp` work in queries, sorting and aggregations."""
    tree = {"one": "two"}
    identity: dict[str, Any] = {
        "type": "IAMUser",
        "principalId": "AIDA",
        "arn": "arn:aws:iam::1:user/u",
        "accountId": "111122223333",
    }
    identity |= {"accessKeyId": "AKIA", "userName": "u", "invokedBy": "i"}
    issuer = {"type": "Role", "principalId": "AROA", "arn": "arn:aws:iam::1:role/r", "accountId": "1", "userName": "r"}
    identity["sessionContext"] = {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "true"}}
    every = dict.fromkeys(KEYWORDS, "the-value") | {"readOnly": True, "managementEvent": True, "userIdentity": identity}
    every |= dict.fromkeys(TREES, tree)
    assert put(trail, json.dumps(record("every field", **every)).encode()) == [(201, "")]
    only = {"ids": {"values": ["every field"]}}
    source = trail.request("GET", f"/{INDEX}/_doc/every%20field")["_source"]
    for alias, path in ALIASES.items():
        wanted = "two" if FIELDS[path]["type"] == "flat_object" else source[path]
        query = {"bool": {"filter": [only, {"match": {alias: wanted}}]}}
        assert found(trail, query) == {"every field"}, alias
    answer = trail.request(
        "POST",
        f"/{PREFIX}cloudtrail/_search",
        {
            "size": 1,
            "query": only,
            "sort": [{"@timestamp": "desc"}],
            "aggs": {"names": {"terms": {"field": "event_name"}}},
        },
    )
    assert answer["aggregations"]["names"]["buckets"] == [{"key": "the-value", "doc_count": 1}]


def test_the_time_of_a_session_is_understood_in_both_forms(trail: OpenSearchNode) -> None:
    """`creationDate` is a date in the usual form and in the basic one of old records."""
    for name, text in (("basic form", "20131102T010628Z"), ("usual form", "2013-11-02T01:06:28Z")):
        session = {"sessionContext": {"attributes": {"creationDate": text, "mfaAuthenticated": "false"}}}
        assert put(trail, json.dumps(record(name, userIdentity=session)).encode()) == [(201, "")]
    exactly = {"gte": "2013-11-02T01:06:28Z", "lte": "2013-11-02T01:06:28Z"}
    query = {"range": {"userIdentity.sessionContext.attributes.creationDate": exactly}}
    assert found(trail, query) == {"basic form", "usual form"}


def nested(levels: int) -> dict[str, Any]:
    """Objects in each other."""
    value: dict[str, Any] = {"leaf": "bottom"}
    for _ in range(levels - 1):
        value = {"n": value}
    return value


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("64 levels", {"requestParameters": nested(64)}),
        ("a leaf of 32,000 bytes with its path", {"requestParameters": {"k": "x" * (32_000 - len("requestParameters.k="))}}),
        ("empty and dotted keys", {"requestParameters": {"": 1, ".": 2, "..": 3, "a.b": 4, "a..b": {"": 5}}}),
        (
            "null, empty and mixed values",
            {"requestParameters": None, "responseElements": {}, "summary": {"a": [1, "b", {"c": None}]}},
        ),
        ("list of objects", {"requestParameters": [{"a": 1}, {"a": {"b": 2}}]}),
        ("20,000 keys", {"requestParameters": {f"k{number}": number for number in range(20_000)}}),
        ("unmapped dotted names", {"new.field": 1, "new.other.deep": {"a": 1}}),
        ("unmapped name below an object", {"userIdentity.newThing": "x", "ct": {"newNote": ["y"]}}),
        ("a boolean that is none", {"readOnly": "perhaps"}),
        ("an object for a keyword", {"errorCode": {"code": 200}}),
        ("a number for a keyword", {"errorCode": 200}),
        ("a keyword of 32,000 bytes", {"userAgent": "x" * 32_000, "errorMessage": "y" * 32_000}),
        ("one word of 100,000 letters", {"raw": "x" * 100_000}),
        ("100,000 full stops", {"raw": "." * 100_000}),
        ("100,000 per cent signs", {"raw": "%" * 100_000 + "\\" * 100_000}),
        ("characters beyond 16 bits", {"raw": "𝄞" * 300, "requestParameters": {"a": "𝄞" * 7_000}}),
        ("lone surrogates", {"requestParameters": {"a": "\ud800"}}),
        ("a number out of range", {"requestParameters": {"a": 10**400}}),
    ],
)
def test_the_engine_takes_what_the_pipeline_sends(trail: OpenSearchNode, name: str, source: dict[str, Any]) -> None:
    """The limits that the builder of documents keeps to are inside the engine's own."""
    usual = {"eventTime": "2026-11-03T08:14:22Z", "eventID": name, "raw": "{}"}
    assert put_as_is(trail, name, json.dumps({**usual, **source})) == (201, None)
    assert found(trail, {"ids": {"values": [name]}}) == {name}


def test_our_limits_leave_room() -> None:
    """What the builder lets pass is less than what the tests above prove."""
    assert MAX_DEPTH <= 64
    assert MAX_TERM <= 32_000


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a leaf of 32,766 bytes with its path", json.dumps({"requestParameters": {"k": "x" * (32_766 - 2)}})),
        ("the same key twice", '{"eventName":"a","eventName":"b"}'),
        ("the same key twice below", '{"requestParameters":{"a":1,"a":2}}'),
        ("a name below a keyword", '{"eventName.x":"a"}'),
        ("text for an object", '{"userIdentity":"root"}'),
        ("an empty name", '{"":1}'),
        ("a name that is an alias", '{"event_name":"x"}'),
        ("not a number", '{"requestParameters":{"a":NaN}}'),
    ],
)
def test_the_engine_refuses_what_the_pipeline_avoids(trail: OpenSearchNode, name: str, source: str) -> None:
    """What the builder cuts, wraps or rebuilds would be refused: those rules are needed."""
    status, error = put_as_is(trail, name, source)
    assert (status, error["type"] != "") == (400, True)


def test_what_the_engine_cannot_understand_is_still_kept(trail: OpenSearchNode) -> None:
    """A value of a wrong type leaves its document searchable by everything else and shown as it was sent."""
    source = {"eventTime": "2026-11-03T08:14:22Z", "readOnly": "perhaps", "eventName": "Strange", "raw": "perhaps"}
    assert put_as_is(trail, "strange", json.dumps(source)) == (201, None)
    assert found(trail, {"term": {"eventName": "Strange"}}) == {"strange"}
    assert trail.request("GET", f"/{INDEX}/_doc/strange")["_source"] == source


def test_a_second_copy_is_a_conflict(trail: OpenSearchNode) -> None:
    """The same event again is refused as a duplicate, whatever it holds."""
    text = json.dumps(record("launch")).encode()
    assert put(trail, text) == [(409, "version_conflict_engine_exception")]


def test_the_first_document_makes_the_index_by_the_template(trail: OpenSearchNode) -> None:
    """An index of another month appears with the template's mapping, settings and alias."""
    text = json.dumps(record("october", eventTime="2026-10-03T08:14:22Z")).encode()
    assert put(trail, text) == [(201, "")]
    index = f"{PREFIX}cloudtrail-2026.10"
    answer = trail.request("GET", f"/{index}")[index]
    assert list(answer["aliases"]) == [f"{PREFIX}cloudtrail"]
    assert answer["mappings"]["dynamic"] == "false"
    assert answer["settings"]["index"]["codec"] == "best_compression"
    assert answer["mappings"] == trail.request("GET", f"/{INDEX}/_mapping")[INDEX]["mappings"]
    assert found(trail, {"ids": {"values": ["october", "launch"]}}) == {"october", "launch"}
