"""What the client makes of everything that an engine, a gateway or a network may answer, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import boto3
import pytest
import requests
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError
from opensearchpy import TransportError
from opensearchpy.exceptions import OpenSearchException

from audit_search import opensearch
from audit_search.bulk import Body, Reply, throttled
from audit_search.opensearch import HttpEngine, signer
from audit_search.settings import Settings
from tests.support.bulk_endpoint import BulkEndpoint, Verdict
from tests.support.fault_proxy import Answer, BulkRequest, Fault, Hold, Pass, ResetAfter, ResetBefore, Slow

TWO = Body(
    [
        b'{"create":{"_index":"cloudtrail-2026.11","_id":"%d"}}\n{"eventName":"n%d","ct":{"ingestTime":"' % (number, number)
        for number in range(2)
    ]
)
PATIENT = 30.0
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION = boto3.Session("AKIDEXAMPLE", SECRET, "session-token", region_name="eu-central-1")


def settings(endpoint: str, **variables: str) -> Settings:
    """Settings for an endpoint."""
    return Settings.from_env(
        {
            "OPENSEARCH_ENDPOINT": endpoint,
            "OPENSEARCH_AUTH": "none",
            "ALLOWED_BUCKETS": "trail",
            "QUARANTINE_BUCKET": "quarantine",
            **variables,
        }
    )


@pytest.fixture
def endpoint() -> Iterator[BulkEndpoint]:
    """A stand-in that indexes everything."""
    with BulkEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def engine(endpoint: BulkEndpoint) -> HttpEngine:
    """The client of the stand-in."""
    return HttpEngine(settings(endpoint.endpoint))


def test_a_bulk_request_is_compressed_ndjson_that_asks_only_for_what_is_read(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """The body arrives whole, compressed, and the answer holds statuses and errors only."""
    assert engine.bulk(TWO, PATIENT) == Reply(200, False, [{"create": {"status": 201}}] * 2)
    request = endpoint.requests[0]
    assert request.body == bytes(TWO)
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-type"] == "application/x-ndjson"
    assert "items.*.error.caused_by.reason" in dict(parse_qsl(urlsplit(request.path).query))["filter_path"]
    assert set(endpoint.documents) == {"0", "1"}


def test_errors_of_items_are_handed_on_with_their_causes(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """The second item is refused, the first indexed, in the order of the request."""
    endpoint.judge = lambda item: Verdict(400, "mapper_parsing_exception", "failed", "too deep") if item.id == "1" else None
    reply = engine.bulk(TWO, PATIENT)
    assert reply.errors
    assert reply.items is not None
    assert [item["create"]["status"] for item in reply.items] == [201, 400]
    error = reply.items[1]["create"]["error"]
    assert (error["type"], error["reason"], error["caused_by"]["reason"]) == ("mapper_parsing_exception", "failed", "too deep")


@pytest.mark.parametrize(
    ("fault", "status", "kind", "reason"),
    [
        (Answer.throttled(), 429, "rejected_execution_exception", "rejected execution"),
        (Answer.circuit_breaker(), 429, "circuit_breaking_exception", "Data too large"),
        (Answer.unavailable(), 503, "cluster_block_exception", "state not recovered"),
        (Answer.bad_gateway(), 502, "http_502", "Bad Gateway"),
        (Answer.unauthorised(), 401, "http_401", "Unauthorized"),
        (Answer.forbidden(), 403, "security_exception", "no permissions for [indices:data/write/bulk]"),
        (Answer.bad_signature(), 403, "http_403", "signature we calculated does not match"),
        (Answer.gateway_throttled(), 403, "http_403", "throttled"),
        (Answer.read_only(), 403, "cluster_block_exception", "read-only"),
        (Answer.not_found(), 404, "index_not_found_exception", "no such index"),
        (Answer(404, b"", "text/plain"), 404, "", "HTTP 404"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else None,
)
def test_a_refusal_is_an_answer_with_its_cause(
    endpoint: BulkEndpoint, engine: HttpEngine, fault: Fault, status: int, kind: str, reason: str
) -> None:
    """Whatever the status and however it is worded, by the engine or by a gateway before it."""
    endpoint.always(lambda _: fault)
    reply = engine.bulk(TWO, PATIENT)
    assert reply.status == status
    assert reply.type == kind or not kind
    assert reason in reply.reason
    assert f"HTTP {status}" in reply.reason
    assert endpoint.documents == {}


def test_an_error_of_no_known_shape_is_no_answer(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """The client library itself trips over a JSON list; the pipeline must not."""
    endpoint.script(Answer(400, b"[]"))
    assert engine.bulk(TWO, PATIENT).status == 0


def test_413_has_its_status(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """A body that is too large is told apart from every other refusal."""
    endpoint.script(Answer.too_large())
    assert engine.bulk(TWO, PATIENT).status == 413


@pytest.mark.parametrize("fault", [ResetBefore(), ResetAfter(0), ResetAfter(10)], ids=repr)
def test_a_reset_is_no_answer(endpoint: BulkEndpoint, engine: HttpEngine, fault: Fault) -> None:
    """Whether the connection breaks before, at the beginning of or within the answer: status 0, and no exception."""
    endpoint.script(fault)
    reply = engine.bulk(TWO, PATIENT)
    assert reply.status == 0
    assert reply.type in ("connection_error", "incomplete_answer")
    assert engine.bulk(TWO, PATIENT).status == 200


def test_a_refused_connection_is_no_answer(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Nobody listens; when somebody does again, the same client goes on."""
    endpoint.proxy.down()
    reply = engine.bulk(TWO, PATIENT)
    assert (reply.status, reply.type) == (0, "connection_error")
    endpoint.proxy.up()
    assert engine.bulk(TWO, PATIENT).status == 200


def test_a_host_that_does_not_exist_is_no_answer() -> None:
    """A name that cannot be resolved is a cause like any other."""
    assert HttpEngine(settings("http://engine.invalid:9")).bulk(TWO, PATIENT).status == 0


def test_no_answer_in_time_is_a_time_out(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """The engine never answers: the client gives up when its time is over."""
    held = Hold()
    endpoint.script(held)
    reply = engine.bulk(TWO, 0.1)
    assert (reply.status, reply.type) == (0, "timeout")
    held.release.set()


def test_a_slow_answer_is_an_answer(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Slow is not wrong as long as there is time."""
    endpoint.script(Slow(0.2))
    assert engine.bulk(TWO, PATIENT).errors is False


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>It works!</html>", "text/html"),
        Answer(200, b"OK", "text/plain"),
        Answer(200, b"{", "application/json"),
        Answer(200, b"", "application/json"),
        Answer(200, b"[]", "application/json"),
        Answer(200, b"\xff\xfe", "application/json"),
        Answer(200, b"{}", "application/json"),
        Answer(200, b'{"errors":false,"items":null}', "application/json"),
        Answer(200, b'{"errors":false,"items":{"0":{}}}', "application/json"),
        Answer(204, b"", "text/plain"),
    ],
    ids=lambda answer: repr(answer.body),
)
def test_an_answer_that_is_none_has_no_items(endpoint: BulkEndpoint, engine: HttpEngine, answer: Answer) -> None:
    """Another server, a proxy's page, half of an answer: nobody takes it for success."""
    endpoint.script(answer)
    reply = engine.bulk(TWO, PATIENT)
    assert reply.items is None
    assert reply.status in (0, 200)


def test_a_page_of_login_redirects_is_not_followed_into_success(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """A redirect is no bulk answer."""
    endpoint.script(Answer(302, b"", "text/html"))
    assert engine.bulk(TWO, PATIENT).items is None


# --- compression ------------------------------------------------------------------------------------------------------


def _refuse_gzip(request: BulkRequest) -> Fault:
    return Answer.bad_signature() if request.headers.get("content-encoding") == "gzip" else Pass()


def _encodings(endpoint: BulkEndpoint) -> list[str]:
    return [request.headers.get("content-encoding", "plain") for request in endpoint.requests]


def test_403_for_a_compressed_body_falls_back_to_plain_and_stays_there(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Some domains refuse the signature of compressed bodies: that is found out once for each container."""
    endpoint.always(_refuse_gzip)
    assert engine.bulk(TWO, PATIENT).status == 200
    assert engine.bulk(TWO, PATIENT).status == 200
    assert _encodings(endpoint) == ["gzip", "plain", "plain"]
    assert [request.body for request in endpoint.requests] == [bytes(TWO)] * 3


def test_403_for_every_body_is_tried_in_plain_once(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """A missing permission is not compression's fault: no second request for each bulk request, and compression stays."""
    endpoint.always(lambda _: Answer.forbidden())
    for _ in range(3):
        assert engine.bulk(TWO, PATIENT).type == "security_exception"
    endpoint.always(lambda _: Pass())
    assert engine.bulk(TWO, PATIENT).status == 200
    assert _encodings(endpoint) == ["gzip", "plain", "gzip", "gzip", "gzip"]


def test_throttling_is_not_answered_with_another_request(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """Amazon throttles with a 403: to send the same in plain at once would be the opposite of what it asks for."""
    endpoint.always(lambda _: Answer.gateway_throttled())
    assert throttled(engine.bulk(TWO, PATIENT))
    assert _encodings(endpoint) == ["gzip"]


def test_a_plain_try_that_breaks_off_decides_nothing(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """The 403 stands, and compression with it."""
    endpoint.script(Answer.forbidden(), ResetBefore())
    assert engine.bulk(TWO, PATIENT).status == 403
    assert engine.bulk(TWO, PATIENT).status == 200
    assert _encodings(endpoint) == ["gzip", "plain", "gzip"]


def _together(count: int, work: Callable[[], Reply]) -> list[Reply]:
    replies: list[Reply] = []
    threads = [threading.Thread(target=lambda: replies.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def test_the_senders_of_one_container_fall_back_together(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """All of them meet the 403 at the same time, one finds the remedy, and none returns its batch."""
    gate = threading.Barrier(4)

    def refuse(request: BulkRequest) -> Fault:
        if request.headers.get("content-encoding") != "gzip":
            return Pass()
        gate.wait(30)
        return Answer.bad_signature()

    endpoint.always(refuse)
    assert [reply.status for reply in _together(4, lambda: engine.bulk(TWO, PATIENT))] == [200] * 4
    assert sorted(_encodings(endpoint)) == ["gzip"] * 4 + ["plain"] * 4


# --- authentication ---------------------------------------------------------------------------------------------------


def _needs(password: str) -> Callable[[BulkRequest], Fault]:
    wanted = "Basic " + base64.b64encode(f"trail:{password}".encode()).decode()
    return lambda request: Pass() if request.headers.get("authorization") == wanted else Answer.unauthorised()


def test_after_a_401_the_password_is_asked_for_again(endpoint: BulkEndpoint) -> None:
    """A warm container outlives a rotation: one more request with the new secret."""
    secret = ["old"]
    engine = HttpEngine(settings(endpoint.endpoint), lambda: ("trail", secret[0]))
    endpoint.always(_needs("old"))
    assert engine.bulk(TWO, PATIENT).status == 200
    secret[0] = "new"
    endpoint.always(_needs("new"))
    assert engine.bulk(TWO, PATIENT).status == 200
    assert len(endpoint.requests) == 3


def test_a_wrong_password_is_not_asked_for_all_the_time(endpoint: BulkEndpoint) -> None:
    """Each 401 is an answer; the secret is read again once a minute at most."""
    asked: list[str] = []

    def auth() -> tuple[str, str]:
        asked.append("once more")
        return "trail", "wrong"

    engine = HttpEngine(settings(endpoint.endpoint), auth)
    endpoint.always(_needs("right"))
    assert [engine.bulk(TWO, PATIENT).status for _ in range(5)] == [401] * 5
    assert len(asked) == 2
    assert len(endpoint.requests) == 6


def test_all_senders_go_on_after_a_rotation(endpoint: BulkEndpoint) -> None:
    """One of them reads the new secret, and the others use it rather than give up."""
    gate = threading.Barrier(4)
    secret = ["old"]
    engine = HttpEngine(settings(endpoint.endpoint), lambda: ("trail", secret[0]))
    new = _needs("new")

    def answer(request: BulkRequest) -> Fault:
        fault = new(request)
        if not isinstance(fault, Pass):
            gate.wait(30)
        return fault

    secret[0] = "new"
    endpoint.always(answer)
    assert [reply.status for reply in _together(4, lambda: engine.bulk(TWO, PATIENT))] == [200] * 4


def test_a_secret_that_cannot_be_read_leaves_the_401(endpoint: BulkEndpoint) -> None:
    """Secrets Manager is down at the wrong moment: the answer names the 401, and nothing is raised into the pipeline."""
    known = [("trail", "old")]

    def auth() -> tuple[str, str]:
        if known:
            return known.pop()
        raise CredentialRetrievalError(provider="test", error_msg="down")

    engine = HttpEngine(settings(endpoint.endpoint), auth)
    endpoint.always(lambda _: Answer.unauthorised())
    assert engine.bulk(TWO, PATIENT).status == 401


def test_credentials_that_cannot_be_refreshed_are_no_answer(endpoint: BulkEndpoint) -> None:
    """Signing itself fails: that may pass, so it is retried like a connection that breaks."""

    def broken(_request: Any) -> Any:
        raise CredentialRetrievalError(provider="test", error_msg="down")

    reply = HttpEngine(settings(endpoint.endpoint), lambda: broken).bulk(TWO, PATIENT)
    assert (reply.status, reply.type) == (0, "no_credentials")
    assert endpoint.requests == []


def test_without_any_credentials_there_is_no_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function without a role says so at start."""
    session = boto3.Session(region_name="eu-central-1")
    monkeypatch.setattr(session, "get_credentials", lambda: None)
    with pytest.raises(OpenSearchException, match="no AWS credentials"):
        signer(session, "es", "https://search-audit.eu-central-1.es.amazonaws.com")


def expected_signature(request: BulkRequest, secret: str) -> str:
    """The signature by AWS's own rules, from what arrived (Signature Version 4, step by step)."""
    fields = dict(part.strip().split("=", 1) for part in request.headers["authorization"].split(" ", 1)[1].split(","))
    _, day, region, service, terminator = fields["Credential"].split("/")
    signed = fields["SignedHeaders"].split(";")
    url = urlsplit(request.path)
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(parse_qsl(url.query, True))
    )
    canonical = "\n".join(
        [
            "POST",
            url.path,
            query,
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in signed),
            "",
            ";".join(signed),
            request.headers["x-amz-content-sha256"],
        ]
    )
    scope = f"{day}/{region}/{service}/{terminator}"
    text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, terminator):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


@pytest.mark.parametrize("service", ["es", "aoss"])
def test_requests_are_signed_for_the_service(endpoint: BulkEndpoint, service: str) -> None:
    """Signature Version 4 over the compressed body, with the session's token and the hash that Serverless asks for."""
    engine = HttpEngine(settings(endpoint.endpoint), lambda: signer(SESSION, service, endpoint.endpoint))
    assert engine.bulk(TWO, PATIENT).status == 200
    request = endpoint.requests[0]
    authorization = request.headers["authorization"]
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert f"/eu-central-1/{service}/aws4_request" in authorization
    assert request.headers["x-amz-security-token"] == "session-token"
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(opensearch.compressed(TWO)).hexdigest()
    assert f"Signature={expected_signature(request, SECRET)}" in authorization
    assert "x-amz-content-sha256" in authorization
    assert "x-amz-security-token" in authorization


def test_requests_are_signed_for_the_region_of_the_domain() -> None:
    """A domain in another region than the function takes signatures of its own region only; other names tell no region."""
    request = requests.Request("GET", "https://search-audit-abc.eu-west-3.es.amazonaws.com/").prepare()
    signed = signer(SESSION, "es", request.url or "")(request)
    assert "/eu-west-3/es/aws4_request" in signed.headers["authorization"]
    own = requests.Request("GET", "https://logs.example.org/").prepare()
    assert "/eu-central-1/es/" in signer(SESSION, "es", own.url or "")(own).headers["authorization"]


def test_a_plain_body_is_signed_anew(endpoint: BulkEndpoint) -> None:
    """The fallback from a compressed body is a request with a signature of its own."""
    engine = HttpEngine(settings(endpoint.endpoint), lambda: signer(SESSION, "es", endpoint.endpoint))
    endpoint.always(_refuse_gzip)
    assert engine.bulk(TWO, PATIENT).status == 200
    request = endpoint.requests[1]
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(bytes(TWO)).hexdigest()
    assert expected_signature(request, SECRET) in request.headers["authorization"]


def test_refreshed_credentials_sign_the_next_request(endpoint: BulkEndpoint) -> None:
    """botocore refreshes what expires, as a role's credentials do; it is asked for them at each request."""
    keys = iter(["FIRST", "SECOND"])

    class Refreshed:
        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            return ReadOnlyCredentials(next(keys), "secret", "token")

    class Session:
        region_name = "eu-central-1"

        def get_credentials(self) -> Refreshed:
            return Refreshed()

    engine = HttpEngine(settings(endpoint.endpoint), lambda: signer(Session(), "es", endpoint.endpoint))
    engine.bulk(TWO, PATIENT)
    engine.bulk(TWO, PATIENT)
    used = [request.headers["authorization"].split("Credential=")[1].split("/")[0] for request in endpoint.requests]
    assert used == ["FIRST", "SECOND"]


# --- the template's requests, and quiet ---------------------------------------------------------------------------------


def test_get_and_put_speak_json(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """What is put can be got."""
    engine.put("/_index_template/cloudtrail", {"version": 3})
    assert engine.get("/_index_template/cloudtrail")["index_templates"][0]["index_template"] == {"version": 3}


def test_get_raises_what_was_answered(endpoint: BulkEndpoint, engine: HttpEngine) -> None:
    """404 is an answer that the caller understands."""
    with pytest.raises(TransportError) as caught:
        engine.get("/_index_template/cloudtrail")
    assert caught.value.status_code == 404


def test_a_path_before_the_api_is_kept(endpoint: BulkEndpoint) -> None:
    """An engine behind a gateway's path is reached there."""
    HttpEngine(settings(endpoint.endpoint + "/engines/audit/")).bulk(TWO, PATIENT)
    assert urlsplit(endpoint.requests[0].path).path == "/engines/audit/_bulk"


def test_nothing_of_a_body_is_logged(endpoint: BulkEndpoint, engine: HttpEngine, caplog: pytest.LogCaptureFixture) -> None:
    """The client's own logger writes bodies at its lower levels; it must not here, whatever level is asked for."""
    caplog.set_level(logging.DEBUG)
    engine.bulk(TWO, PATIENT)
    endpoint.script(Answer.unavailable())
    engine.bulk(TWO, PATIENT)
    assert "eventName" not in caplog.text
