"""A loopback S3 and a sink that answers like `_bulk`, in a process of their own so that their work is not counted.

    python -m benchmarks.servers FOLDER          prints the two ports as JSON and serves until stdin closes
    python -m benchmarks.servers FOLDER --keep   with an engine that keeps documents in the place of the sink

The S3 serves the files of FOLDER by name as objects (`GET /bucket/<key>`); the sink takes any bulk request as all created
and counts requests, documents and bytes, which `GET /_counts` tells. The engine that keeps documents (see `store`) counts the
same, by the kind of request; `POST /_remember`, `/_forget` and `/_empty` are its states between two measurements.
"""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl, unquote

from isal import igzip

from audit_search import index_template
from benchmarks.store import Store

_decompress: Callable[[bytes], bytes] = igzip.decompress
_ITEM = b'{"create":{"status":201}}'


class _Handler(socketserver.StreamRequestHandler):
    """HTTP/1.1 with kept connections, no more of it than two clients need."""

    disable_nagle_algorithm = True
    rbufsize = 1 << 20

    def handle(self) -> None:
        while line := self.rfile.readline():
            method, path, _ = line.decode("latin-1").split(" ", 2)
            headers = {}
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = header.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            size = int(headers.get("content-length", 0))
            body = self.rfile.read(size) if size else b""
            path, _, self.query = path.partition("?")
            self.answer(method, path, headers, body)

    query = ""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """Answer one request: the part in which the S3 and the sink differ, which each of them defines."""
        raise NotImplementedError(method)

    def send(self, body: bytes, kind: str, extra: str = "", status: str = "200 OK") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        self.wfile.write(head.encode("latin-1") + body)


class _S3(_Handler):
    objects: ClassVar[dict[str, bytes]] = {}

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        if method == "GET" and path.count("/") == 1:  # a list of the bucket: there is nothing of what is looked for
            return self.send(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", "application/xml")
        found = self.objects.get(unquote(path).rpartition("/")[2]) if method == "GET" else None
        if found is None:
            missing = b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"
            return self.send(missing, "application/xml", status="404 Not Found")
        stamp = 'Last-Modified: Tue, 03 Nov 2026 08:15:00 GMT\r\nETag: "0"\r\nAccept-Ranges: bytes\r\n'
        return self.send(found, "application/x-gzip", stamp)


class _Sink(_Handler):
    counts: ClassVar[dict[str, int]] = {"requests": 0, "documents": 0, "bytes_on_the_wire": 0, "bytes": 0}
    lock = threading.Lock()
    template = json.dumps({"index_templates": [{"index_template": index_template.definition()}]}).encode()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        if path == "/_counts":
            with self.lock:
                answer = json.dumps(self.counts).encode()
                self.counts.update(dict.fromkeys(self.counts, 0))
            return self.send(answer, "application/json")
        if path.startswith("/_index_template"):
            return self.send(self.template, "application/json")
        plain = _decompress(body) if headers.get("content-encoding") == "gzip" else body
        documents = plain.count(b"\n") // 2
        with self.lock:
            self.counts["requests"] += 1
            self.counts["documents"] += documents
            self.counts["bytes_on_the_wire"] += len(body)
            self.counts["bytes"] += len(plain)
        return self.send(b'{"took":1,"errors":false,"items":[' + b",".join([_ITEM] * documents) + b"]}", "application/json")


class _Keeping(_Handler):
    counts: ClassVar[Counter[str]] = Counter()
    lock = threading.Lock()
    store = Store()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        plain = _decompress(body) if headers.get("content-encoding") == "gzip" else body
        index, _, rest = path.strip("/").partition("/")
        if path == "/_counts":
            with self.lock:
                answer = json.dumps(self.counts).encode()
                self.counts.clear()
            return self.send(answer, "application/json")
        changes = {"/_remember": self.store.remember, "/_forget": self.store.forget, "/_empty": self.store.empty}
        if path in changes:
            changes[path]()
            return self.send(b"{}", "application/json")
        if index == "_index_template":
            found = {"index_templates": [{"index_template": index_template.definition(rest)}]}
            return self.send(json.dumps(found).encode(), "application/json")
        kind = index if index.startswith("_") else rest.partition("/")[0] + ("-write" if method == "PUT" else "")
        with self.lock:
            self.counts.update({"requests": 1, kind: 1, "bytes_on_the_wire": len(body), "bytes": len(plain)})
        status, found_ = self._carried_out(kind, index, unquote(rest.partition("/")[2]), plain)
        return self.send(found_, "application/json", status=f"{status} {HTTPStatus(status).phrase}")

    def _carried_out(self, kind: str, index: str, identity: str, body: bytes) -> tuple[int, bytes]:
        if kind == "_bulk":
            self._count(body.count(b"\n") // 2)
            return 200, self.store.bulk(body)
        if kind == "_mget":
            return 200, self.store.mget(body)
        if kind == "_search":
            return 200, self.store.search(unquote(index), json.loads(body))
        if kind == "_doc":
            return self.store.get(index, identity)
        self._count(1)
        status = self.store.write(index, identity, dict(parse_qsl(self.query)), body)
        return status, b'{"result":"created"}' if status < 400 else b'{"error":{"type":"version_conflict_engine_exception"}}'

    def _count(self, documents: int) -> None:
        with self.lock:
            self.counts["documents"] += documents


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main(folder: str, *, keep: bool = False) -> None:
    """Serve until stdin closes."""
    _S3.objects = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    ports = []
    for handler in (_S3, _Keeping if keep else _Sink):
        server = _Server(("127.0.0.1", 0), handler)
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ports.append(server.server_address[1])
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], keep=sys.argv[2:] == ["--keep"])
