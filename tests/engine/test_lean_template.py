"""The lean variant of the index template on a real node: what it still finds, what it gives up, and that it takes everything."""

from __future__ import annotations

import json

import pytest

from audit_search import index_template
from audit_search.documents import TREES
from tests.engine.test_index_template import RECORDS, document, found, leaves, nested, record
from tests.support.opensearch_node import OpenSearchNode

PREFIX = "lean-"
ALIAS = f"{PREFIX}cloudtrail"
INDEX = f"{ALIAS}-2026.11"


def put(node: OpenSearchNode, *texts: bytes) -> list[int]:
    """Index the documents of these records; the status of each."""
    lines: list[str] = []
    for text in texts:
        built = document(text)
        lines += [json.dumps({"create": {"_index": INDEX, "_id": built.id}}), json.dumps(built.source)]
    answer = node.request("POST", "/_bulk?refresh=true", ("\n".join(lines) + "\n").encode())
    return [item["create"]["status"] for item in answer["items"]]


def text_search(node: OpenSearchNode, text: str) -> set[str]:
    """What a person finds who types this into the search bar, among the records of the whole template's tests."""
    return found(node, {"query_string": {"query": text}}, ALIAS) & RECORDS.keys()


@pytest.fixture(scope="module")
def trail(node: OpenSearchNode) -> OpenSearchNode:
    """The node with the lean template for a prefix and those records."""
    node.request("PUT", f"/_index_template/{index_template.name(PREFIX)}", index_template.body(PREFIX, replicas=0, lean=True))
    texts = [json.dumps(record(name, **fields)).encode() for name, fields in RECORDS.items()]
    assert put(node, *texts) == [201] * len(texts)
    return node


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("i-0abc1234def567890", {"launch"}, id="unquoted id inside a sub-tree"),
        pytest.param("i-0abc1234def567*", {"launch", "launch of another"}, id="beginning of an id"),
        pytest.param('"arn:aws:iam::123456789012:role/x"', {"role"}, id="ARN"),
        pytest.param('"not authorized to perform"', {"refused"}, id="phrase"),
        pytest.param('"instanceType:m5.large"', {"launch", "launch by template"}, id="key and value at any depth"),
        pytest.param('"Service:sts.amazonaws.com"', {"policy in a URL"}, id="key and value of a URL-encoded policy"),
        pytest.param("eventName:RunInstances", {"launch", "launch of another"}, id="field"),
        pytest.param("event_name:RunInstances", {"launch", "launch of another"}, id="alias of a field"),
        pytest.param("ct.instanceType:m5.large", {"launch"}, id="promoted field"),
        pytest.param('sourceIPAddress.ip:"203.0.113.0/24"', {"address"}, id="network"),
    ],
)
def test_a_search_finds_what_the_whole_template_finds(trail: OpenSearchNode, query: str, expected: set[str]) -> None:
    """Any word, phrase, key with its value and field is found, inside sub-trees as well."""
    assert text_search(trail, query) == expected


def test_every_value_is_found_when_pasted(trail: OpenSearchNode) -> None:
    """Each text of each record is found as a phrase."""
    for name, fields in RECORDS.items():
        for text in leaves(fields):
            assert name in found(trail, {"match_phrase": {"raw": text}}, ALIAS), text


@pytest.mark.parametrize(
    "query",
    [
        "requestParameters.instanceType:m5.large",
        "requestParameters.a.b.c.volumeType:gp3",
        "requestParameters:m5.large",
        "request_parameters:m5.large",
    ],
)
def test_a_path_finds_nothing(trail: OpenSearchNode, query: str) -> None:
    """What the lean template gives up: a search by the path of a sub-tree, or in one sub-tree alone."""
    assert text_search(trail, query) == set()


def test_sub_trees_are_shown_as_they_were_sent(trail: OpenSearchNode) -> None:
    """They are not indexed, and still stand in the document."""
    source = trail.request("GET", f"/{INDEX}/_doc/launch")["_source"]
    assert {name: source[name] for name in RECORDS["launch"]} == RECORDS["launch"]


def test_the_mapping_is_the_whole_one_but_for_sub_trees() -> None:
    """Every other field is mapped as it always is."""
    whole = index_template.definition()["template"]["mappings"]["properties"]
    lean = index_template.body("", lean=True)["template"]["mappings"]["properties"]
    changed = {name for name in whole if lean.get(name) != whole[name]}
    assert changed == {*TREES, *(name for name, mapping in whole.items() if mapping.get("path") in TREES)}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("48 lists in each other", {"requestParameters": {"a": json.loads("[" * 44 + "1" + "]" * 44)}}),
        ("deep objects", {"responseElements": nested(100)}),
        ("empty and dotted keys", {"requestParameters": {"": 1, ".": 2, "a.b": 3, "a..b": {"": 4}}}),
        ("text for a sub-tree", {"requestParameters": "text"}),
        ("list for a sub-tree", {"responseElements": [1, "b", None]}),
        ("a leaf beyond the limit of a term", {"requestParameters": {"k": "x" * 100_000}}),
        ("5,000 keys", {"requestParameters": {f"k{number}": number for number in range(5_000)}}),
    ],
)
def test_it_takes_what_the_whole_template_takes(trail: OpenSearchNode, name: str, fields: dict[str, object]) -> None:
    """No shape of a sub-tree is refused, and none adds a field."""
    before = trail.request("GET", f"/{INDEX}/_mapping")
    assert put(trail, json.dumps(record(name, **fields)).encode()) == [201]
    assert trail.request("GET", f"/{INDEX}/_mapping") == before
