"""The fault proxy does to a connection what its script says, and reports truthfully what the engine got."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.fault_proxy import (
    Answer,
    BulkRequest,
    Drip,
    DropItem,
    FaultProxy,
    GoDown,
    Hold,
    Pass,
    RejectItems,
    ResetAfter,
    ResetBefore,
    Slow,
    TooLarge,
)

FILTER = "/_bulk?filter_path=took,errors,items.*.status,items.*.error"


class Engine:
    """Answers 201 for each action and remembers the ids that it was given."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.ids: list[str] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                actions = [json.loads(line)["create"] for line in body.split(b"\n")[:-1:2]]
                engine.ids += [action["_id"] for action in actions]
                items = [{"create": {"status": 201}} for _ in actions]
                self.reply(json.dumps({"took": 1, "errors": False, "items": items}).encode())

            def do_GET(self) -> None:
                self.reply(b'{"tagline":"here"}')

            def reply(self, body: bytes) -> None:
                self.send_response_only(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A stand-in that accepts every item."""
    engine = Engine()
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


@pytest.fixture
def proxy(engine: Engine) -> Iterator[FaultProxy]:
    """The proxy before it."""
    with FaultProxy(engine.endpoint) as proxy:
        yield proxy


def send(proxy: FaultProxy, *ids: str, compress: bool = False, path: str = FILTER) -> tuple[int, bytes]:
    """Send one bulk request over a connection of its own."""
    lines = "".join(json.dumps({"create": {"_index": "i", "_id": each}}) + '\n{"x":1}\n' for each in ids)
    body = gzip.compress(lines.encode()) if compress else lines.encode()
    headers = {"Content-Type": "application/x-ndjson", **({"Content-Encoding": "gzip"} if compress else {})}
    connection = http.client.HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_passes_what_is_not_scripted(proxy: FaultProxy, engine: Engine) -> None:
    """Without a script bulk requests reach the engine unchanged, and other requests always do."""
    status, body = send(proxy, "a", "b", compress=True)
    assert (status, [item["create"]["status"] for item in json.loads(body)["items"]]) == (200, [201, 201])
    assert engine.ids == ["a", "b"]
    proxy.script(Answer.unavailable())
    connection = http.client.HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=60)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b'{"tagline":"here"}'
    connection.close()
    assert proxy.unused == [Answer.unavailable()]
    assert proxy.bulk_requests[0].actions[1] == ({"create": {"_index": "i", "_id": "b"}}, b'{"x":1}')


def test_resets_before_and_after_the_engine_worked(proxy: FaultProxy, engine: Engine) -> None:
    """A reset is a broken connection to the client, whether the engine carried the request out or never saw it."""
    proxy.script(ResetBefore(), ResetAfter(), Pass())
    with pytest.raises(ConnectionResetError):
        send(proxy, "a")
    assert engine.ids == []
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        send(proxy, "b")
    assert engine.ids == ["b"]
    assert send(proxy, "c")[0] == 200
    assert [request.forwarded for request in proxy.bulk_requests] == [False, True, True]


def test_drips_an_answer_that_does_not_end(proxy: FaultProxy, engine: Engine) -> None:
    """Bytes go on coming, so that no read times out, and the engine never sees the request."""
    proxy.script(Drip(0.01))
    connection = http.client.HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=60)
    connection.request("POST", FILTER, b'{"create":{"_index":"i","_id":"a"}}\n{"x":1}\n')
    assert connection.getresponse().read(5) == b"     "
    connection.close()
    assert engine.ids == []
    assert [request.forwarded for request in proxy.bulk_requests] == [False]


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (Answer.throttled(), 429, "rejected_execution_exception"),
        (Answer.circuit_breaker(), 429, "circuit_breaking_exception"),
        (Answer.unavailable(), 503, "cluster_block_exception"),
        (Answer.forbidden(), 403, "security_exception"),
        (Answer.read_only(), 403, "cluster_block_exception"),
        (Answer.not_found(), 404, "index_not_found_exception"),
    ],
)
def test_answers_as_opensearch_words_it(proxy: FaultProxy, engine: Engine, answer: Answer, status: int, kind: str) -> None:
    """An error for the whole request has OpenSearch's status and body, and the engine never sees the request."""
    proxy.script(answer)
    got, body = send(proxy, "a")
    error = json.loads(body)
    assert (got, error["status"], error["error"]["type"], error["error"]["root_cause"][0]["type"]) == (
        status,
        status,
        kind,
        kind,
    )
    assert engine.ids == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer.unauthorised(),
        Answer.bad_gateway(),
        Answer.too_large(),
        Answer.gateway_throttled(),
        Answer.bad_signature(),
    ],
)
def test_answers_as_gateways_do(proxy: FaultProxy, answer: Answer) -> None:
    """What gateways answer is given as it is, JSON or not."""
    proxy.script(answer)
    assert send(proxy, "a") == (answer.status, answer.body)


@pytest.mark.parametrize("compress", [False, True])
def test_rejected_items_never_reach_the_engine(proxy: FaultProxy, engine: Engine, compress: bool) -> None:
    """Items answered with 429 are not indexed, their neighbours are, and every result keeps its position."""
    proxy.script(RejectItems({0, 2}))
    status, body = send(proxy, "a", "b", "c", compress=compress)
    answer = json.loads(body)
    assert (status, answer["errors"]) == (200, True)
    assert [item["create"]["status"] for item in answer["items"]] == [429, 201, 429]
    assert answer["items"][0]["create"]["error"]["type"] == "rejected_execution_exception"
    assert engine.ids == ["b"]


def test_all_items_can_be_rejected(proxy: FaultProxy, engine: Engine) -> None:
    """Without positions every item is rejected and the engine is not asked at all."""
    proxy.script(RejectItems(status=503, kind="unavailable_shards_exception", reason="primary shard is not active"))
    _, body = send(proxy, "a", "b", path="/_bulk")
    results = [item["create"] for item in json.loads(body)["items"]]
    assert [(each["_id"], each["status"]) for each in results] == [("a", 503), ("b", 503)]
    assert engine.ids == []


def test_an_item_is_missing_from_the_answer(proxy: FaultProxy, engine: Engine) -> None:
    """A dropped item was indexed, but the answer has one result too few."""
    proxy.script(DropItem(1))
    _, body = send(proxy, "a", "b", "c")
    assert len(json.loads(body)["items"]) == 2
    assert engine.ids == ["a", "b", "c"]


def test_a_standing_rule_sees_each_request(proxy: FaultProxy, engine: Engine) -> None:
    """A rule decides about every request that the script leaves, here by the length before compression."""

    def small_only(request: BulkRequest) -> TooLarge:
        assert request.wire_bytes <= len(request.body)
        return TooLarge(200)

    proxy.rule = small_only
    many = [f"id-{number}" for number in range(20)]
    assert send(proxy, *many, compress=True)[0] == 413
    assert send(proxy, *many[:2], compress=True)[0] == 200
    assert engine.ids == many[:2]


def test_down_refuses_and_up_accepts_again(proxy: FaultProxy, engine: Engine) -> None:
    """While it is down connections are refused; afterwards the same address works again."""
    proxy.script(GoDown())
    with pytest.raises(ConnectionResetError):
        send(proxy, "a")
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            send(proxy, "a")
    before = proxy.endpoint
    proxy.up()
    assert send(proxy, "b")[0] == 200
    assert (proxy.endpoint, engine.ids) == (before, ["b"])


def test_down_breaks_a_request_that_waits(proxy: FaultProxy, engine: Engine) -> None:
    """A request that is under way when the proxy goes down gets no answer, even if the engine gives one."""
    hold = Hold()
    proxy.script(hold)
    outcome: list[BaseException] = []

    def client() -> None:
        try:
            send(proxy, "a")
        except ConnectionError as error:
            outcome.append(error)

    thread = threading.Thread(target=client)
    thread.start()
    assert hold.arrived.wait(60)
    proxy.down()
    hold.release.set()
    thread.join(60)
    assert [type(error) for error in outcome] == [ConnectionResetError]
    assert engine.ids == ["a"]


def test_slow_answers_arrive_whole(proxy: FaultProxy, engine: Engine) -> None:
    """A slow answer is complete when the client is patient enough."""
    proxy.script(Slow(0.01))
    assert send(proxy, "a")[0] == 200
    assert engine.ids == ["a"]


def test_an_engine_that_is_gone_is_a_broken_connection(proxy: FaultProxy, engine: Engine) -> None:
    """Where the engine itself cannot be reached, the client's connection breaks as well."""
    engine.server.shutdown()
    engine.server.server_close()
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        send(proxy, "a")
