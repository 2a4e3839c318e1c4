"""A front of an engine, over real HTTP: some requests are answered by a rule, all others go to the engine behind.

For what the engine of a test does not have (a plugin, Amazon's refusals) or does not do by itself (hang, fail once)::

    with EngineFront(server.url) as front:
        front.rules.append(lambda asked: (403, {"Message": "…"}) if asked.method == "PUT" else None)
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.tls import Certificate

Verdict = tuple[int, Any] | None


@dataclass(frozen=True)
class Asked:
    """A request: `path` is without its query; the names of its headers are in lower case.

    `body` is what its JSON holds, and where it is none the bytes themselves.
    """

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], text: bytes) -> Self:
        """A request as it arrived; `target` is the path with its query."""
        url = urlsplit(target)
        named = {name.lower(): value for name, value in headers.items()}
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = text
        return cls(method, url.path, dict(parse_qsl(url.query)), body, named)


class EngineFront:
    """Listens while its `with` block lasts. `asked` are the requests so far, those of the engine behind as well."""

    def __init__(self, behind: str = "", certificate: Certificate | None = None) -> None:
        """`behind` is the engine's URL; without one, what no rule answers is 404. With a certificate it speaks https."""
        self.behind = behind
        self.rules: list[Callable[[Asked], Verdict]] = []
        self.asked: list[Asked] = []
        self.dripping = threading.Event()
        """While it is set, answers come as single spaces, for ever: no time-out of a read ends them."""
        front = self

        class Handler(_Handler):
            owner = front

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def endpoint(self) -> str:
        """The address, as OPENSEARCH_ENDPOINT takes it."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def writes(self) -> list[Asked]:
        """The requests that changed something: no GET, no search, and no question to Dashboards for several objects."""
        return [one for one in self.asked if one.method != "GET" and not one.path.endswith(("/_bulk_get", "/_search"))]

    def answer(self, asked: Asked, target: str) -> tuple[int, bytes]:
        """Status and body; `target` is the path with its query."""
        self.asked.append(asked)
        for rule in self.rules:
            verdict = rule(asked)
            if verdict is not None:
                status, body = verdict
                return status, body.encode() if isinstance(body, str) else json.dumps(body).encode()
        if not self.behind:
            return 404, b'{"error": "nothing is behind", "status": 404}'
        connection = http.client.HTTPConnection(urlsplit(self.behind).netloc, timeout=120)
        with contextlib.closing(connection):
            raw = asked.body is None or isinstance(asked.body, bytes)
            payload = asked.body if raw else json.dumps(asked.body).encode()
            headers = {"Content-Type": "application/json"}
            if encoding := asked.headers.get("content-encoding"):
                headers["Content-Encoding"] = encoding
            connection.request(asked.method, target, payload, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.dripping.clear()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: EngineFront

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing: tests read `asked`."""

    def _serve(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked.of(self.command, self.path, dict(self.headers.items()), text)
        status, body = self.owner.answer(asked, self.path)
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        if self.owner.dripping.is_set():
            self.close_connection = True
            self.end_headers()
            with contextlib.suppress(OSError):
                while self.owner.dripping.is_set():
                    self.wfile.write(b" ")
                    threading.Event().wait(0.02)
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names http.server looks for
