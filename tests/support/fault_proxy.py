"""A loopback proxy before an OpenSearch endpoint that fails on request, as networks and loaded engines do.

Only requests to a `_bulk` path follow the script, one step each, or to the `paths` that are asked for; everything else, and
every such request after the script's end, passes through. What the proxy reports is true: an item it answers with 429 was
not indexed, an answer cut in the middle is of a request that the engine did carry out::

    with FaultProxy(node.endpoint) as proxy:
        proxy.script(ResetAfter(), Answer.throttled(), RejectItems({0, 2}), Pass())
        handler_with(OPENSEARCH_ENDPOINT=proxy.endpoint)
        assert [seen.fault for seen in proxy.bulk_requests] == [...]

Faults that last are rules instead: `proxy.rule = lambda request: TooLarge(1_000_000)`. For an engine that is not there
use `proxy.down()` and `proxy.up()`, or `GoDown()` in a script: connections are then really refused.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade"}


def error_body(status: int, kind: str, reason: str) -> bytes:
    """A whole-request error as OpenSearch words it."""
    cause = {"type": kind, "reason": reason}
    return json.dumps({"error": {"root_cause": [cause], **cause}, "status": status}).encode()


QUEUE_FULL = (
    "rejected execution of org.opensearch.action.bulk.TransportBulkAction on "
    "OpenSearchThreadPoolExecutor[name = node-1/write, queue capacity = 10000]"
)


class Fault:
    """What happens to one bulk request."""


@dataclass(frozen=True)
class Pass(Fault):
    """Nothing: the request and its answer pass unchanged."""


@dataclass(frozen=True)
class ResetBefore(Fault):
    """The connection is reset when the request has been read; the engine never sees it."""


@dataclass(frozen=True)
class ResetAfter(Fault):
    """The engine carries the request out, then the connection is reset after that many bytes of the answer's body."""

    answer_bytes: int = 10


@dataclass(frozen=True)
class GoDown(Fault):
    """Reset this connection and refuse all others until `up()`; with `after`, the engine carried the request out."""

    after: bool = False


@dataclass(frozen=True)
class Slow(Fault):
    """The engine carries the request out; its answer comes that much later. For read timeouts."""

    seconds: float


@dataclass(frozen=True)
class Drip(Fault):
    """The engine never sees the request; an answer begins and does not end, a byte now and then: no read times out."""

    seconds: float = 0.5


@dataclass(frozen=True)
class Hold(Fault):
    """The request waits until `release` is set (`arrived` is set when it is here), then passes. No clock involved."""

    arrived: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Answer(Fault):
    """The engine never sees the request; this answer is given. The class methods word the usual ones."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=UTF-8"

    @classmethod
    def throttled(cls) -> Self:
        """429: the write queue is full."""
        return cls(429, error_body(429, "rejected_execution_exception", QUEUE_FULL))

    @classmethod
    def circuit_breaker(cls) -> Self:
        """429: the parent circuit breaker, when the heap is nearly full."""
        reason = "[parent] Data too large, data for [<http_request>] would be larger than limit of [1020054732/972.7mb]"
        return cls(429, error_body(429, "circuit_breaking_exception", reason))

    @classmethod
    def unavailable(cls) -> Self:
        """503: as a load balancer without a healthy node, or a node that is still recovering."""
        reason = "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];"
        return cls(503, error_body(503, "cluster_block_exception", reason))

    @classmethod
    def bad_gateway(cls) -> Self:
        """502 with a page of HTML: a gateway between us and the domain, whose answers are not JSON."""
        page = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
        return cls(502, page, "text/html")

    @classmethod
    def unauthorised(cls) -> Self:
        """401: a wrong password, as the security plugin says it: not JSON."""
        return cls(401, b"Unauthorized", "text/plain; charset=UTF-8")

    @classmethod
    def forbidden(cls) -> Self:
        """403: the role is not mapped (fine-grained access control)."""
        reason = (
            "no permissions for [indices:data/write/bulk] and User [name=arn:aws:iam::111122223333:role/audit-search, "
            "backend_roles=[arn:aws:iam::111122223333:role/audit-search], requestedTenant=null]"
        )
        return cls(403, error_body(403, "security_exception", reason))

    @classmethod
    def bad_signature(cls) -> Self:
        """403: Amazon's gateway did not accept the signature, as happens with compressed bodies on some domains."""
        message = "The request signature we calculated does not match the signature you provided."
        return cls(403, json.dumps({"message": message}).encode(), "application/json")

    @classmethod
    def gateway_throttled(cls) -> Self:
        """403 by which Amazon's gateway throttles; worth another try, unlike the other 403s."""
        message = "403 Request throttled due to too many requests"
        return cls(403, json.dumps({"Message": message}).encode(), "application/json")

    @classmethod
    def read_only(cls) -> Self:
        """403: the whole cluster is blocked for writing."""
        reason = "blocked by: [FORBIDDEN/6/cluster read-only (api)];"
        return cls(403, error_body(403, "cluster_block_exception", reason))

    @classmethod
    def not_found(cls) -> Self:
        """404: another host than OpenSearch, or an index that may not be created."""
        return cls(404, error_body(404, "index_not_found_exception", "no such index [cloudtrail-2026.11]"))

    @classmethod
    def too_large(cls) -> Self:
        """413: the body is longer than http.max_content_length."""
        return cls(413, b"", "text/plain")


@dataclass(frozen=True)
class TooLarge(Fault):
    """413 for a body of more than `limit` bytes before compression, as the engine counts; smaller ones pass."""

    limit: int


@dataclass(frozen=True)
class RejectItems(Fault):
    """The items at `positions` never reach the engine and are answered with `status`; the others are indexed.

    With `positions` None every item is rejected. Requests of other kinds pass.
    """

    positions: Collection[int] | None = None
    status: int = 429
    kind: str = "rejected_execution_exception"
    reason: str = QUEUE_FULL


@dataclass(frozen=True)
class DropItem(Fault):
    """The engine carries out everything; the answer lacks the item at `position` (a wrong count)."""

    position: int = 0


@dataclass(frozen=True)
class ShardsFail(Fault):
    """A shard cannot be reached: a search is answered without its hits, `_mget` with an error in the place of a document.

    Bulk requests pass.
    """


@dataclass(frozen=True)
class BulkRequest:
    """One request that follows the script as it arrived; `body` is inflated, `wire_bytes` is its length on the wire."""

    path: str
    headers: dict[str, str]
    body: bytes
    wire_bytes: int
    fault: Fault
    forwarded: bool

    @property
    def kind(self) -> str:
        """The last part of its path, `_bulk` as a rule."""
        return _kind(self.path)

    @property
    def actions(self) -> list[tuple[dict[str, Any], bytes | None]]:
        """The action lines, parsed, each with its document's text (None for a delete)."""
        return list(_actions(self.body))


class FaultProxy:
    """The proxy: `endpoint` is its address; `script` queues faults; `bulk_requests` is what came in, in order."""

    def __init__(self, upstream: str, paths: Collection[str] = ("_bulk",)) -> None:
        """Stand before `upstream`, an http URL; not yet listening. `paths` are the last parts of those that follow the script."""
        self.upstream = urlsplit(upstream)
        self.paths = frozenset(paths)
        self.rule: Callable[[BulkRequest], Fault] = lambda _request: Pass()
        self.bulk_requests: list[BulkRequest] = []
        self._script: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._connections: set[socket.socket] = set()
        self._port = 0

    @property
    def endpoint(self) -> str:
        """The address to use instead of the engine's; the same for the proxy's whole life."""
        return f"http://127.0.0.1:{self._port}"

    def script(self, *faults: Fault) -> None:
        """Queue one fault for each of the next bulk requests; then `rule` decides again (default: pass)."""
        with self._lock:
            self._script.extend(faults)

    @property
    def unused(self) -> list[Fault]:
        """What is left of the script: a test usually wants this to be empty at its end."""
        with self._lock:
            return list(self._script)

    @property
    def listening(self) -> bool:
        """Whether connections are accepted."""
        return self._server is not None

    def up(self) -> Self:
        """Accept connections (again), at the same address."""
        if self._server is None:
            self._server = _Server(("127.0.0.1", self._port), self._handler())
            self._port = self._server.server_address[1]
            # The poll interval is what `down` waits for at most.
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
            self._thread.start()
        return self

    def down(self) -> None:
        """Reset what is connected and refuse every connection until `up`."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        with self._lock:
            open_connections = list(self._connections)
        for connection in open_connections:
            _reset(connection)

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(_Handler):
            owner = proxy

        return Handler

    def _admit(self, path: str, headers: dict[str, str], body: bytes, wire_bytes: int) -> BulkRequest:
        """Decide what happens to a bulk request and remember it."""
        with self._lock:
            scripted = self._script.popleft() if self._script else None
        unjudged = BulkRequest(path, headers, body, wire_bytes, Pass(), forwarded=True)
        fault = scripted or self.rule(unjudged)
        if isinstance(fault, TooLarge):
            fault = Answer.too_large() if len(body) > fault.limit else Pass()
        forwarded = not isinstance(fault, (ResetBefore, Answer, Drip)) and not (isinstance(fault, GoDown) and not fault.after)
        request = BulkRequest(path, headers, body, wire_bytes, fault, forwarded)
        with self._lock:
            self.bulk_requests.append(request)
        return request

    def _connected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def _disconnected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # connections kept alive by a client's pool must not keep a test from ending
    request_queue_size = 64

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close without the usual orderly end, which would turn a reset into a plain end of the answer."""
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections that break are this program's purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are separate writes; with Nagle's algorithm each answer would wait 40 ms for an ACK.
    disable_nagle_algorithm = True
    owner: FaultProxy

    def setup(self) -> None:
        super().setup()
        self.owner._connected(self.connection)

    def finish(self) -> None:
        self.owner._disconnected(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing: tests read `bulk_requests`."""

    def _serve(self) -> None:
        wire = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if _kind(self.path) not in self.owner.paths:
            self._give(*self._forward(wire))
            return
        body = gzip.decompress(wire) if self.headers.get("Content-Encoding") == "gzip" else wire
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = self.owner._admit(self.path, headers, body, len(wire))
        self._bulk(request, wire)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - the names http.server looks for

    def _bulk(self, request: BulkRequest, wire: bytes) -> None:
        match request.fault:
            case ResetBefore():
                self._break()
            case ResetAfter(answer_bytes):
                self._give(*self._forward(wire), cut_at=answer_bytes)
            case GoDown(after):
                if after:
                    self._forward(wire)
                self.owner.down()
                self._break()
            case Slow(seconds):
                answer = self._forward(wire)
                time.sleep(seconds)
                self._give(*answer)
            case Drip(seconds):
                self._drip(seconds)
            case Hold(arrived, release):
                arrived.set()
                release.wait()
                self._give(*self._forward(wire))
            case Answer(status, body, content_type):
                self._give(status, {"Content-Type": content_type}, body)
            case RejectItems() as fault if request.kind == "_bulk":
                self._give(*self._without(request, fault))
            case DropItem(position) if request.kind != "_search":
                status, headers, body = self._forward(wire)
                answer = json.loads(body)
                del answer["items" if "items" in answer else "docs"][position]
                self._give(status, headers, json.dumps(answer).encode())
            case ShardsFail() if request.kind != "_bulk":
                status, headers, body = self._forward(wire)
                self._give(status, headers, json.dumps(_halved(json.loads(body))).encode())
            case _:
                self._give(*self._forward(wire))

    def _drip(self, seconds: float) -> None:
        self.send_response_only(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while self.owner.listening:
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(seconds)

    def _without(self, request: BulkRequest, fault: RejectItems) -> tuple[int, dict[str, str], bytes]:
        """Forward all items but the rejected ones, and put their results into the answer where they belong."""
        actions = request.actions
        rejected = set(range(len(actions))) if fault.positions is None else set(fault.positions)
        kept = [action for position, action in enumerate(actions) if position not in rejected]
        status, headers, body = 200, {"Content-Type": "application/json; charset=UTF-8"}, b'{"took":0,"items":[]}'
        if kept:
            pairs = [[json.dumps(action).encode(), *([] if source is None else [source])] for action, source in kept]
            status, headers, body = self._forward(b"".join(line + b"\n" for pair in pairs for line in pair), plain=True)
            if status != 200:
                return status, headers, body
        answer = json.loads(body)
        results = iter(answer.get("items", []))
        answer["items"] = [
            _rejection(action, fault, request.path) if position in rejected else next(results)
            for position, (action, _) in enumerate(actions)
        ]
        answer["errors"] = True
        return status, headers, json.dumps(answer).encode()

    def _forward(self, body: bytes, *, plain: bool = False) -> tuple[int, dict[str, str], bytes]:
        """The engine's answer to this request; `plain` when `body` is not compressed although the client's was."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        # A compressed answer could not be edited; the caller cannot tell the difference.
        headers = {name: value for name, value in headers.items() if name.lower() != "accept-encoding"}
        if plain:
            headers = {name: value for name, value in headers.items() if name.lower() != "content-encoding"}
        upstream = self.owner.upstream
        connection = http.client.HTTPConnection(upstream.hostname or "127.0.0.1", upstream.port, timeout=300)
        try:
            connection.request(self.command, upstream.path.rstrip("/") + self.path, body or None, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):  # the engine itself went away, and so do we
            self._break()
            raise
        finally:
            connection.close()
        kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
        return response.status, kept, answer

    def _give(self, status: int, headers: dict[str, str], body: bytes, cut_at: int | None = None) -> None:
        if not self.owner.listening:  # went down while the engine was at work
            self._break()
            return
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut_at])
        if cut_at is not None:
            self._break()

    def _break(self) -> None:
        self.close_connection = True
        _reset(self.connection)


def _reset(connection: socket.socket) -> None:
    """Have the connection end by RST, not FIN, when its thread closes it: at once, for it is woken from reading."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)


def _actions(body: bytes) -> Iterator[tuple[dict[str, Any], bytes | None]]:
    lines = iter(body.split(b"\n"))
    for line in lines:
        if line.strip():
            action = json.loads(line)
            yield action, None if "delete" in action else next(lines, None)


def _kind(path: str) -> str:
    return urlsplit(path).path.rstrip("/").rsplit("/", 1)[-1]


def _halved(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer as it is when a shard cannot be reached."""
    error = {"type": "no_shard_available_action_exception", "reason": "No shard available for [get [x][y]: routing [null]]"}
    if "docs" in answer:
        answer["docs"][0] = {"_index": "x", "_id": "y", "error": error}
    else:
        answer["_shards"] = {"total": 2, "successful": 1, "skipped": 0, "failed": 1}
        answer["hits"]["hits"] = []
    return answer


def _rejection(action: dict[str, Any], fault: RejectItems, path: str) -> dict[str, Any]:
    """One item of a bulk answer, in the form that the request's filter_path leaves of it."""
    ((operation, target),) = action.items()
    result: dict[str, Any] = {"status": fault.status, "error": {"type": fault.kind, "reason": fault.reason}}
    if "filter_path" not in parse_qs(urlsplit(path).query):
        result = {"_index": target.get("_index"), "_id": target.get("_id"), **result}
    return {operation: result}
