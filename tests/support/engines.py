"""An engine that tests may fill: the embedded one or a real node, with names of its own for each test."""

from __future__ import annotations

import http.client
import json
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from audit_search import index_template
from audit_search.documents import TRAIL
from demo.hits import field as value_of


def _own_prefix() -> str:
    return f"t{uuid.uuid4().hex[:12]}-"


@dataclass
class TestEngine:
    """An engine with the index template for a prefix that nobody else has; `real` tells a node from its stand-in."""

    __test__ = False  # its name begins like those that pytest collects

    endpoint: str
    real: bool
    prefix: str = field(default_factory=_own_prefix)

    def install(self, *families: str) -> None:
        """Put the templates of families in place, of CloudTrail's unless others are named."""
        index_template.install(self, self.prefix, *families, replicas=0, shards=1, simple=not self.real)

    def remove(self) -> None:
        """Remove the indices and the template."""
        for index in self.indices():
            self.call("DELETE", f"/{index}")
        for family in (TRAIL, *index_template.CONFIG):
            self.call("DELETE", f"/_index_template/{index_template.name(self.prefix, family)}")

    @property
    def alias(self) -> str:
        """The read alias, which is the template's name."""
        return index_template.name(self.prefix)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and parsed answer of one request."""
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=300)
        try:
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The answer to a GET."""
        return self._answer("GET", path)

    def put(self, path: str, body: Any) -> Any:
        """The answer to a PUT."""
        return self._answer("PUT", path, body)

    def _answer(self, method: str, path: str, body: object = None) -> Any:
        status, answer = self.call(method, path, body)
        if status >= 400:
            raise AssertionError(f"{method} {path}: {status} {json.dumps(answer)[:2_000]}")
        return answer

    def indices(self) -> list[str]:
        """The indices that there are."""
        status, answer = self.call("GET", f"/{self.prefix}*/_settings")
        return sorted(answer) if status == 200 else []

    def refresh(self) -> None:
        """Make everything that was written searchable."""
        self._answer("POST", f"/{self.prefix}*/_refresh")

    def search(self, query: str | dict[str, Any], size: int = 10_000) -> list[dict[str, Any]]:
        """The hits of a query: DSL, or a text as a person types it into the search bar."""
        wanted = {"query_string": {"query": query}} if isinstance(query, str) else query
        body = {"query": wanted, "size": size, "track_total_hits": True}
        answer = self._answer("POST", f"/{self.alias}/_search", body)
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        assert answer["hits"]["total"]["value"] == len(hits)
        return hits

    def found(self, query: str | dict[str, Any]) -> set[str]:
        """The ids that a query finds."""
        return {hit["_id"] for hit in self.search(query)}

    def count(self) -> int:
        """How many documents there are in all indices of the prefix."""
        if not self.indices():
            return 0
        self.refresh()
        count: int = self._answer("POST", f"/{self.prefix}*/_count", {"query": {"match_all": {}}})["count"]
        return count

    def hit(self, identity: str) -> dict[str, Any]:
        """The one document of an id, wherever it is."""
        for index in self.indices():
            status, answer = self.call("GET", f"/{index}/_doc/{quote(identity, safe='')}")
            if status == 200 and answer.get("found"):
                hit: dict[str, Any] = answer
                return hit
        raise AssertionError(f"no document {identity!r} in {self.indices()}")

    def source(self, identity: str) -> dict[str, Any]:
        """The document of an id."""
        source: dict[str, Any] = self.hit(identity)["_source"]
        return source

    def value(self, identity: str, name: str) -> Any:
        """One field of a document, read as everything here reads hits."""
        return value_of(self.source(identity), name)
