"""A stand-in for OpenSearch's `_bulk` and `_index_template` over real HTTP, for tests of what engines answer.

It keeps what it indexed, answers each item as OpenSearch does (201, 409 for an id that is there, 400 for what is no JSON or
holds a key twice), gives documents by their ids (`_mget`), and refuses whole requests for OpenSearch's own reasons. Faults are
those of the fault proxy, in front of it; `judge` decides for single items::

    with BulkEndpoint() as engine:
        engine.script(Answer.throttled(), ResetBefore())      # the next two bulk requests
        engine.judge = lambda item: Verdict(429, "rejected_execution_exception") if item.tries < 2 else None
        ...
        assert engine.documents["a"]["eventName"] == "ListBuckets"
"""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.fault_proxy import Answer, BulkRequest, Fault, FaultProxy, error_body

MAX_ID_BYTES = 512
OPERATIONS = {"create": "create", "index": "index"}
"""What of a bulk request it understands."""


@dataclass(frozen=True)
class Item:
    """One operation as it arrived; `tries` counts how often its id has been sent, this time included."""

    index: str
    id: str
    source: bytes
    tries: int

    @property
    def document(self) -> dict[str, Any]:
        """The document's fields."""
        parsed: dict[str, Any] = json.loads(self.source)
        return parsed


@dataclass(frozen=True)
class Verdict:
    """How one item is answered instead of being indexed."""

    status: int
    type: str = "exception"
    reason: str = "made up for a test"
    caused_by: str = ""

    @property
    def error(self) -> dict[str, Any]:
        """The error as OpenSearch words it."""
        error: dict[str, Any] = {"type": self.type, "reason": self.reason}
        if self.caused_by:
            error["caused_by"] = {"type": "exception", "reason": self.caused_by}
        return error


def accept_all(_item: Item) -> Verdict | None:
    """No objection to any item."""
    return None


class BulkEndpoint:
    """The stand-in; listens while its `with` block lasts. `requests` are the bulk requests in order, refused ones as well."""

    def __init__(self) -> None:
        """Not yet listening."""
        self.documents: dict[str, dict[str, Any]] = {}
        """What was indexed, by id; each document's index is in `indices`."""
        self.sources: dict[str, bytes] = {}
        self.indices: dict[str, str] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        self.template_answer: Answer | None = None
        """What GET of a template is answered, whatever is there."""
        self.template_guard: Callable[[Mapping[str, str]], bool] = lambda _headers: True
        """Whether a request for a template has the right to it; 401 for one that has not."""
        self.template_reads = 0
        self.judge: Callable[[Item], Verdict | None] = accept_all
        self._tries: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.proxy = FaultProxy(f"http://127.0.0.1:{self._server.server_address[1]}")

    @property
    def endpoint(self) -> str:
        """The address, as OPENSEARCH_ENDPOINT takes it."""
        return self.proxy.endpoint

    @property
    def requests(self) -> list[BulkRequest]:
        """The bulk requests that came in."""
        return self.proxy.bulk_requests

    def script(self, *faults: Fault) -> None:
        """Queue a fault for each of the next bulk requests."""
        self.proxy.script(*faults)

    def always(self, rule: Callable[[BulkRequest], Fault]) -> None:
        """Decide each bulk request that no script is left for."""
        self.proxy.rule = rule

    def tries(self, identity: str) -> int:
        """How often an id has been sent to the engine itself."""
        return self._tries[identity]

    def __enter__(self) -> Self:
        self.proxy.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.proxy.down()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(_Handler):
            owner = endpoint

        return Handler

    def bulk(self, body: bytes) -> tuple[int, bytes]:
        """Carry out a bulk request, or refuse the whole of it for what OpenSearch refuses the whole of it for."""
        if not body.endswith(b"\n"):
            return _refused("The bulk request must be terminated by a newline [\\n]")
        parts = body.split(b"\n")[:-1]
        operations: list[tuple[dict[str, Any], bytes]] = []
        for number in range(0, len(parts), 2):
            try:
                ((operation, target),) = json.loads(parts[number]).items()
                target["_op"] = OPERATIONS[operation]
                source = parts[number + 1]
            except (ValueError, LookupError, TypeError, AttributeError):
                return _refused(f"Malformed action/metadata line [{number + 1}], expected START_OBJECT but found something else")
            if len(target["_id"].encode()) > MAX_ID_BYTES:
                return _refused(
                    f"id [{target['_id'][:20]}…] is too long, must be no longer than 512 bytes", "validation_exception"
                )
            operations.append((target, source))
        with self._lock:
            items = [self._create(target["_index"], target["_id"], source, target["_op"]) for target, source in operations]
        errors = any("error" in answer for item in items for answer in item.values())
        return 200, json.dumps({"took": 1, "errors": errors, "items": items}).encode()

    def mget(self, body: bytes) -> bytes:
        """Answer a request for documents by their ids, with the whole of each."""
        with self._lock:
            docs = [
                {**wanted, "found": True, "_source": self.documents[wanted["_id"]]}
                if self.indices.get(wanted["_id"]) == wanted["_index"]
                else {"_index": wanted["_index"], "_id": wanted["_id"], "found": False}
                for wanted in json.loads(body)["docs"]
            ]
        return json.dumps({"docs": docs}).encode()

    def _create(self, index: str, identity: str, source: bytes, operation: str = "create") -> dict[str, Any]:
        self._tries[identity] += 1
        verdict = self.judge(Item(index, identity, source, self._tries[identity]))
        if verdict is None and identity in self.documents and operation == "create":
            verdict = Verdict(
                409, "version_conflict_engine_exception", f"[{identity}]: version conflict, document already exists"
            )
        if verdict is None:
            try:
                document = json.loads(source, object_pairs_hook=_distinct, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                verdict = Verdict(400, "mapper_parsing_exception", "failed to parse", caused_by=str(error))
            else:
                self.documents[identity] = document
                self.sources[identity] = source
                self.indices[identity] = index
                return {operation: {"_index": index, "_id": identity, "status": 201}}
        return {operation: {"_index": index, "_id": identity, "status": verdict.status, "error": verdict.error}}


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("Duplicate field")
    return made


def _no_constant(text: str) -> None:
    raise ValueError(f"Non-standard token '{text}'")


def _refused(reason: str, kind: str = "illegal_argument_exception") -> tuple[int, bytes]:
    return 400, error_body(400, kind, reason)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that went away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write for headers and body: no waiting for an ACK in between
    owner: BulkEndpoint

    def do_POST(self) -> None:
        body = self._body()
        if urlsplit(self.path).path == "/_mget":
            self._reply(200, self.owner.mget(body))
            return
        status, answer = self.owner.bulk(body)
        if "filter_path" in parse_qs(urlsplit(self.path).query) and status == 200:
            parsed = json.loads(answer)
            for item in parsed["items"]:
                for inner in item.values():
                    del inner["_index"], inner["_id"]
            answer = json.dumps(parsed).encode()
        self._reply(status, answer)

    def do_GET(self) -> None:
        name = urlsplit(self.path).path.removeprefix("/_index_template/")
        self.owner.template_reads += 1
        if not self.owner.template_guard(dict(self.headers.items())):
            self._reply(401, b"Unauthorized", "text/plain; charset=UTF-8")
        elif self.owner.template_answer is not None:
            answer = self.owner.template_answer
            self._reply(answer.status, answer.body, answer.content_type)
        elif name in self.owner.templates:
            found = {"index_templates": [{"name": name, "index_template": self.owner.templates[name]}]}
            self._reply(200, json.dumps(found).encode())
        else:
            reason = f"index template matching [{name}] not found"
            self._reply(404, error_body(404, "resource_not_found_exception", reason))

    def do_PUT(self) -> None:
        self.owner.templates[urlsplit(self.path).path.removeprefix("/_index_template/")] = json.loads(self._body())
        self._reply(200, b'{"acknowledged":true}')

    def _body(self) -> bytes:
        wire = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(wire) if self.headers.get("Content-Encoding") == "gzip" else wire

    def _reply(self, status: int, body: bytes, content_type: str = "application/json; charset=UTF-8") -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
        """Say nothing."""
