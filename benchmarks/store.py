"""A stand-in of the engine that keeps documents: what is written is found again by its id, with the engine's own versions.

It knows what the two handlers of AWS Config ask for and no more: bulk and single writes with `create`, external versions or a
compare-and-swap, `_mget` and GET by id, and searches by the few kinds of clauses that they have. An index of any name is
there; a name stands for all indices that begin with it. Nothing is analysed, and a search sees everything at once.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

_lines = msgspec.json.Decoder(dict[str, dict[str, Any]])
_json = msgspec.json.Decoder()


class _Kept(msgspec.Struct):
    source: bytes
    version: int
    seq_no: int


class _Added(msgspec.Struct):
    resource: str = ""
    deleted: bool = False
    recordedIn: str = ""  # noqa: N815  # as the documents have it


class _Facets(msgspec.Struct):
    """What documents are searched and sorted by."""

    awsAccountId: str = ""  # noqa: N815  # as the documents have it
    awsRegion: str = ""  # noqa: N815  # as the documents have it
    configurationItemStatus: str = ""  # noqa: N815  # as the documents have it
    configurationItemCaptureTime: str = ""  # noqa: N815  # as the documents have it
    cfg: _Added = msgspec.field(default_factory=_Added)


_facets = msgspec.json.Decoder(_Facets)


class Store:
    """Documents by index and id. Safe for several threads."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, _Kept]] = {}
        self._remembered: dict[str, dict[str, _Kept]] = {}
        self._sorted: dict[str, tuple[int, list[tuple[str, str, str]]]] = {}
        self._writes = 0
        self._lock = threading.Lock()

    def empty(self) -> None:
        """Forget everything."""
        with self._lock:
            self._remembered = {}
        self.forget()

    def remember(self) -> None:
        """What there is now is what `forget` comes back to."""
        with self._lock:
            self._remembered = _copied(self._kept)

    def forget(self) -> None:
        """Come back to what was remembered last, at first nothing."""
        with self._lock:
            self._kept = _copied(self._remembered)
            self._sorted.clear()

    def bulk(self, body: bytes) -> bytes:
        """Carry out a bulk request and give its answer."""
        lines = body.split(b"\n")
        items, failed = [], False
        with self._lock:
            for number in range(0, len(lines) - 1, 2):
                ((name, action),) = _lines.decode(lines[number]).items()
                status = self._write(name, action, lines[number + 1])
                error = b"" if status < 400 else b',"error":{"type":"version_conflict_engine_exception","reason":"conflict"}'
                failed |= status >= 400
                items.append(b'{"%b":{"status":%d%b}}' % (name.encode(), status, error))
        return b'{"took":1,"errors":%b,"items":[%b]}' % (b"true" if failed else b"false", b",".join(items))

    def write(self, index: str, identity: str, order: Mapping[str, str], source: bytes) -> int:
        """Write one document and give the status; `order` are the parameters of the request."""
        action: dict[str, Any] = {"_index": index, "_id": identity, **order}
        if "version" in action:
            action["version"] = int(action["version"])
        with self._lock:
            return self._write("index", action, source)

    def _write(self, name: str, action: dict[str, Any], source: bytes) -> int:
        documents = self._kept.setdefault(action["_index"], {})
        known = documents.get(action["_id"])
        version, kind = action.get("version"), action.get("version_type", "")
        if known is None:
            refused = "if_seq_no" in action
        elif version is None:
            refused = name == "create" or action.get("if_seq_no", known.seq_no) != known.seq_no
        else:
            refused = version < known.version or (kind == "external" and version == known.version)
        if refused:
            return 409
        self._writes += 1
        documents[action["_id"]] = _Kept(source, version or (known.version + 1 if known else 1), self._writes)
        return 200 if known else 201

    def mget(self, body: bytes) -> bytes:
        """The answer to a request for documents by id."""
        with self._lock:
            return b'{"docs":[' + b",".join(self._part(one) for one in _json.decode(body)["docs"]) + b"]}"

    def get(self, index: str, identity: str) -> tuple[int, bytes]:
        """The status and the answer to a GET of one document."""
        with self._lock:
            found = identity in self._kept.get(index, {})
            return (200 if found else 404), self._part({"_index": index, "_id": identity})

    def _part(self, one: Mapping[str, Any]) -> bytes:
        front = msgspec.json.encode({"_index": one["_index"], "_id": one["_id"]})[:-1]
        known = self._kept.get(one["_index"], {}).get(one["_id"])
        if known is None:
            return front + b',"found":false}'
        meta = b',"_version":%d,"_seq_no":%d,"_primary_term":1,"found":true' % (known.version, known.seq_no)
        fields = one.get("_source", True)
        if fields is False:
            return front + meta + b"}"
        source = known.source if fields is True else msgspec.json.encode(_chosen(_json.decode(known.source), fields))
        return front + meta + b',"_source":' + source + b"}"

    def search(self, index: str, body: Mapping[str, Any]) -> bytes:
        """The answer to a search, sorted by a facet, in pages."""
        ((field, order),) = body["sort"][0].items()
        descending = (order["order"] if isinstance(order, dict) else order) == "desc"
        fields = body.get("_source", True)
        found: list[bytes] = []
        with self._lock:
            for key, place, identity in self._in_order(index, body, field, descending=descending):
                kept = self._kept[place][identity]
                if not _fits(_facets.decode(kept.source), body["query"]):
                    continue
                source = kept.source if fields is True else msgspec.json.encode(_chosen(_json.decode(kept.source), fields))
                sort = msgspec.json.encode([key])
                found.append(b'{"_id":%b,"sort":%b,"_source":%b}' % (msgspec.json.encode(identity), sort, source))
                if len(found) == body.get("size", 10):
                    break
        return b'{"took":1,"timed_out":false,"hits":{"hits":[' + b",".join(found) + b"]}}"

    def _in_order(self, name: str, body: Mapping[str, Any], field: str, *, descending: bool) -> Iterator[tuple[str, str, str]]:
        """Candidates as (what they are sorted by, index, id). Those of one resource are found without a look at the others."""
        rows = self._by_resource(name.removesuffix("*"))
        only = body["query"].get("term", {}).get("cfg.resource")
        if only is not None:
            start = bisect.bisect_left(rows, (only, "", ""))
            rows = rows[start : bisect.bisect_left(rows, (f"{only}\0", "", ""))]
        if field != "cfg.resource":
            rows = sorted(
                (str(_value(_facets.decode(self._kept[place][identity].source), field)), place, identity)
                for _, place, identity in rows
            )
        after = body.get("search_after")
        start = bisect.bisect_left(rows, (f"{after[0]}\0", "", "")) if after else 0
        return iter(reversed(rows) if descending else rows[start:])

    def _by_resource(self, name: str) -> list[tuple[str, str, str]]:
        written, rows = self._sorted.get(name, (-1, []))
        if written != self._writes:
            rows = sorted(
                (_facets.decode(kept.source).cfg.resource, place, identity)
                for place, documents in self._kept.items()
                if place.startswith(name)
                for identity, kept in documents.items()
            )
            self._sorted[name] = (self._writes, rows)
        return rows


def _copied(documents: dict[str, dict[str, _Kept]]) -> dict[str, dict[str, _Kept]]:
    return {index: dict(kept) for index, kept in documents.items()}  # a document is replaced, never changed


def _fits(facets: _Facets, query: Mapping[str, Any]) -> bool:
    """Whether a document fits a query of the kinds `bool`, `term`, `range` and `exists`. Raises KeyError for another."""
    ((kind, clause),) = query.items()
    if kind == "bool":
        return (
            all(_fits(facets, one) for one in clause.get("filter", []))
            and not any(_fits(facets, one) for one in clause.get("must_not", []))
            and ("should" not in clause or any(_fits(facets, one) for one in clause["should"]))
        )
    if kind == "exists":
        return bool(_value(facets, clause["field"]))
    ((field, wanted),) = clause.items()
    if kind == "term":
        return bool(_value(facets, field) == wanted)
    before = datetime.fromtimestamp({"range": wanted}[kind]["lt"] / 1000, UTC)
    return datetime.fromisoformat(str(_value(facets, field))) < before


def _value(facets: _Facets, path: str) -> Any:
    value: Any = facets
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _chosen(source: Mapping[str, Any], fields: list[str]) -> dict[str, Any]:
    """The fields of a document that were asked for by their paths."""
    found: dict[str, Any] = {}
    for path in fields:
        names, value = path.split("."), source
        for name in names[:-1]:
            value = value.get(name) or {}
        if names[-1] in value:
            inner = found
            for name in names[:-1]:
                inner = inner.setdefault(name, {})
            inner[names[-1]] = value[names[-1]]
    return found
