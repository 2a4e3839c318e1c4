"""Where the embedded engine of the demo and the integration tests differs from a real node, as far as it matters here.

Each test states both behaviours. One that fails because osmem has come closer to OpenSearch is good news: remove it, and
whatever was done on its account.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from osmem_server import OsmemServer

from audit_search import index_template
from tests.support.opensearch_node import NodeUnavailableError, must_be_present, shared_node

PREFIX = "differences-"
INDEX = f"{PREFIX}cloudtrail-2026.11"
ALL: dict[str, Any] = {"match_all": {}}

DOCUMENTS: dict[str, dict[str, Any]] = {
    "a": {
        "eventTime": "2026-11-03T08:14:22Z",
        "eventName": "RunInstances",
        "userIdentity.arn": "arn:aws:iam::123456789012:user/a",
        "requestParameters": {"instanceType": "m5.large"},
        "raw": '{"instanceId":"i-0abc1234def567890","accountId":"123456789012","instanceType":"m5.large"}',
        "ct": {"caller": "a", "position": 1},
    },
    "b": {
        "eventTime": "2026-11-03T08:14:23Z",
        "eventName": "RunInstances",
        "requestParameters": {"instanceType": "c5.4xlarge"},
        "raw": '{"instanceId":"i-0abc9999def000000","accountId":"210987654321"}',
        "ct": {"caller": "b", "position": 2},
    },
}


class Engine:
    """One engine with the template and the two documents."""

    def __init__(self, endpoint: str, template: dict[str, Any]) -> None:
        """Load both."""
        self._host = urlsplit(endpoint).netloc
        status, _ = self.call("PUT", f"/_index_template/{index_template.name(PREFIX)}", template)
        assert status == 200
        for name, source in DOCUMENTS.items():
            assert self.put(name, json.dumps(source).encode(), refresh=True) == 201

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and answer of one request."""
        payload = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        connection = http.client.HTTPConnection(self._host, timeout=120)
        try:
            connection.request(method, path, payload, {"Content-Type": kind})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def put(self, name: str, source: bytes, *, refresh: bool = False) -> int:
        """Status of the item that indexes this text."""
        action = json.dumps({"create": {"_index": INDEX, "_id": name}}).encode()
        _, answer = self.call("POST", f"/_bulk?refresh={str(refresh).lower()}", action + b"\n" + source + b"\n")
        status: int = answer["items"][0]["create"]["status"]
        return status

    def search(self, query: dict[str, Any], **parts: object) -> tuple[int, Any]:
        """Status and answer of a search among the two documents."""
        among = {"bool": {"must": query, "filter": {"ids": {"values": [*DOCUMENTS]}}}}
        return self.call("POST", f"/{PREFIX}cloudtrail/_search", {"query": among, **parts})

    def found(self, text: str) -> set[str]:
        """What the search bar finds."""
        _, answer = self.search({"query_string": {"query": text}})
        return {hit["_id"] for hit in answer["hits"]["hits"]}


@pytest.fixture(scope="module")
def node() -> Engine:
    """The real one, with the template as it is shipped."""
    try:
        running = shared_node()
    except NodeUnavailableError as error:
        if must_be_present():
            raise
        pytest.skip(str(error))
    return Engine(running.endpoint, index_template.body(PREFIX, replicas=0, refresh="-1"))


@pytest.fixture(scope="module")
def osmem() -> Iterator[Engine]:
    """The embedded one, with the template's variant for it."""
    with OsmemServer.start() as server:
        yield Engine(server.url, index_template.body(PREFIX, replicas=0, refresh="-1", simple=True))


def on_both(osmem: Engine, node: Engine, ask: Callable[[Engine], object]) -> tuple[object, object]:
    """The answers of osmem and of the node."""
    return ask(osmem), ask(node)


def test_ids_in_text_are_exact_on_the_node_only(osmem: Engine, node: Engine) -> None:
    """`simple` knows letters alone: an id, quoted or not, also finds other ids with the same letters."""
    answers = on_both(osmem, node, lambda engine: engine.found('"i-0abc1234def567890"'))
    assert answers == ({"a", "b"}, {"a"})
    assert on_both(osmem, node, lambda engine: engine.found("i-0abc1234def567890")) == ({"a", "b"}, {"a"})


def test_numbers_in_text_are_found_on_the_node_only(osmem: Engine, node: Engine) -> None:
    """Account numbers are no words to `simple`: on osmem ask a field for them."""
    assert on_both(osmem, node, lambda engine: engine.found("123456789012")) == (set(), {"a"})


def test_the_shipped_analyzer_becomes_the_standard_one(osmem: Engine, node: Engine) -> None:
    """osmem ignores our tokenizer with a warning, and `key:value` is not found: hence its variant of the template."""
    text = '"instanceType:m5.large"'
    assert on_both(osmem, node, lambda engine: engine.found(text)) == ({"a"}, {"a"})
    with OsmemServer.start() as server:
        as_shipped = Engine(server.url, index_template.body(PREFIX, replicas=0))
        assert as_shipped.found(text) == set()


def test_an_oversize_leaf_is_refused_on_the_node_only(osmem: Engine, node: Engine) -> None:
    """Only the node has the limit of 32,766 bytes for a leaf with its path."""
    text = json.dumps({"requestParameters": {"k": "x" * 32_766}}).encode()
    assert on_both(osmem, node, lambda engine: engine.put("big", text)) == (201, 400)


def test_invalid_utf8_is_refused_on_the_node_only(osmem: Engine, node: Engine) -> None:
    """Only the node checks the encoding of a document."""
    text = b'{"raw":"\xff\xfe"}'
    assert on_both(osmem, node, lambda engine: engine.put("bytes", text)) == (201, 400)


def test_sub_paths_are_aggregated_on_osmem_only(osmem: Engine, node: Engine) -> None:
    """Grouping all documents by a path inside a sub-tree gives no buckets on the node, and no error either.

    With a query it may give some: which way the node takes decides, so nothing can be built on it.
    """

    def buckets(engine: Engine) -> int:
        types = {"terms": {"field": "requestParameters.instanceType"}}
        status, answer = engine.call("POST", f"/{PREFIX}cloudtrail/_search", {"size": 0, "aggs": {"types": types}})
        assert status == 200
        return len(answer["aggregations"]["types"]["buckets"])

    assert on_both(osmem, node, buckets) == (2, 0)


def test_whole_sub_trees_are_no_field_to_group_by_on_the_node(osmem: Engine, node: Engine) -> None:
    """The node refuses to group by a sub-tree; osmem gives nothing."""
    field = {"terms": {"field": "requestParameters"}}
    answers = on_both(osmem, node, lambda engine: engine.search(ALL, size=0, aggs={"trees": field})[0])
    assert answers == (200, 400)


def test_field_capabilities_of_sub_trees(osmem: Engine, node: Engine) -> None:
    """osmem calls sub-trees aggregatable: what may be grouped by is to be read from the template, not from it."""

    def aggregatable(engine: Engine) -> bool:
        _, answer = engine.call("GET", f"/{INDEX}/_field_caps?fields=requestParameters")
        able: bool = answer["fields"]["requestParameters"]["flat_object"]["aggregatable"]
        return able

    assert on_both(osmem, node, aggregatable) == (True, False)


def test_doc_values_of_sub_paths(osmem: Engine, node: Engine) -> None:
    """Only the node gives a value of a sub-path by `docvalue_fields`."""

    def value(engine: Engine) -> object:
        field = "requestParameters.instanceType"
        _, answer = engine.search({"term": {"ct.caller": "a"}}, docvalue_fields=[field])
        return answer["hits"]["hits"][0].get("fields", {}).get(field)

    assert on_both(osmem, node, value) == (None, ["m5.large"])


@pytest.mark.parametrize(("text", "expected"), [("_id:a", {"a"}), (f'_index:"{INDEX}"', {"a", "b"})])
def test_metadata_in_the_search_bar(osmem: Engine, node: Engine, text: str, expected: set[str]) -> None:
    """`_id:` and `_index:` in a query string find nothing on osmem: use an `ids` query or eventID there."""
    assert on_both(osmem, node, lambda engine: engine.found(text)) == (set(), expected)


def test_leading_wildcards_in_sub_paths(osmem: Engine, node: Engine) -> None:
    """In a query string on a sub-path a leading wildcard finds nothing on the node; a `wildcard` query does."""
    text = "requestParameters.instanceType:*4xlarge"
    assert on_both(osmem, node, lambda engine: engine.found(text)) == ({"b"}, set())
    query = {"wildcard": {"requestParameters.instanceType": "*4xlarge"}}
    hits = on_both(osmem, node, lambda engine: [hit["_id"] for hit in engine.search(query)[1]["hits"]["hits"]])
    assert hits == (["b"], ["b"])


@pytest.mark.parametrize("chosen", [["userIdentity.arn"], {"excludes": ["raw", "event*", "requestParameters", "ct"]}])
def test_dotted_names_in_a_filtered_source(osmem: Engine, node: Engine, chosen: object) -> None:
    """When `_source` is filtered, osmem returns dotted names as objects: hits are read through one accessor."""
    arn = "arn:aws:iam::123456789012:user/a"

    def source(engine: Engine) -> object:
        _, answer = engine.search({"term": {"ct.caller": "a"}}, _source=chosen)
        return answer["hits"]["hits"][0]["_source"]

    assert on_both(osmem, node, source) == ({"userIdentity": {"arn": arn}}, {"userIdentity.arn": arn})


def test_documents_are_visible_at_once_on_osmem_only(osmem: Engine, node: Engine) -> None:
    """On the node a document is found after a refresh: tests must ask for one."""

    def seen(engine: Engine) -> list[int]:
        counts = []
        assert engine.put("late", b'{"eventName":"Late"}') == 201
        query = {"query": {"term": {"eventName": "Late"}}}
        for _ in range(2):
            counts.append(engine.call("POST", f"/{INDEX}/_count", query)[1]["count"])
            engine.call("POST", f"/{INDEX}/_refresh")
        return counts

    assert on_both(osmem, node, seen) == ([1, 1], [0, 1])


@pytest.mark.parametrize(
    ("name", "source", "status"),
    [
        ("the same key twice", b'{"requestParameters":{"a":1,"a":2}}', 400),
        ("a name below a keyword", b'{"eventName.x":"a"}', 400),
        ("text for an object", b'{"ct":"x"}', 400),
        ("an empty name", b'{"":1}', 400),
        ("a name that is an alias", b'{"event_name":"x"}', 400),
        ("NaN", b'{"requestParameters":{"a":NaN}}', 400),
        ("a raw control byte", b'{"raw":"a\x01b"}', 400),
        ("an escaped lone surrogate", b'{"raw":"\\ud800"}', 201),
        ("a number out of range", b'{"ct":{"position":1e400}}', 201),
        ("a scalar for a sub-tree", b'{"requestParameters":"x"}', 201),
        ("an object for a keyword", b'{"errorCode":{"a":1}}', 201),
        ("no date for a date", b'{"eventTime":"May 1, 2024"}', 201),
        ("empty and dotted keys in a sub-tree", b'{"requestParameters":{"":1,".":2,"..":3}}', 201),
        ("the same id again", b'{"eventName":"x"}', 409),
    ],
)
def test_both_judge_a_document_alike(osmem: Engine, node: Engine, name: str, source: bytes, status: int) -> None:
    """No difference, and relied on: what the integration tests show of these on osmem is true of a node."""
    event_id = "a" if status == 409 else name
    assert on_both(osmem, node, lambda engine: engine.put(event_id, source)) == (status, status)


def test_both_refuse_to_sort_without_doc_values(osmem: Engine, node: Engine) -> None:
    """No difference, and relied on: sorting by eventID is an error on both, so that a test on osmem sees it."""
    assert on_both(osmem, node, lambda engine: engine.search(ALL, sort=["eventID"])[0]) == (400, 400)
