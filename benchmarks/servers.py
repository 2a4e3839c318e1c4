"""A loopback S3 and a sink that answers like `_bulk`, in a process of their own so that their work is not counted.

    python -m benchmarks.servers FOLDER      prints the two ports as JSON and serves until stdin closes

The S3 serves the files of FOLDER by name as objects (`GET /bucket/<key>`); the sink takes any bulk request as all created
and counts requests, documents and bytes, which `GET /_counts` tells.
"""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from isal import igzip

from audit_search import index_template

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
            self.answer(method, path.partition("?")[0], headers, body)

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


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main(folder: str) -> None:
    """Serve until stdin closes."""
    _S3.objects = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    ports = []
    for handler in (_S3, _Sink):
        server = _Server(("127.0.0.1", 0), handler)
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ports.append(server.server_address[1])
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
