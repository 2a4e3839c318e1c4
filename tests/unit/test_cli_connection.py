"""How the command reaches an engine: through a tunnel, signed, and with a clear word where it cannot."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from audit_search.errors import EngineUnreachableError
from audit_search.opensearch import region
from audit_search_cli import connection
from audit_search_cli.connection import Engine, address, authentication, target
from audit_search_cli.errors import Problem
from tests.support.aws import ENVIRONMENT, REGION, Aws
from tests.support.building import free_port
from tests.support.cli import Asked, ScriptedEngine, certificate_for, run

DOMAIN = "search-audit-abc.eu-west-3.es.amazonaws.com"
ENDPOINT = f"https://{DOMAIN}"
VERSION = {"version": {"number": "2.19.4", "distribution": "opensearch"}}


def hello(asked: Asked) -> tuple[int, Any]:
    """An engine that only says what it is."""
    return (200, VERSION) if asked.path == "/" else (404, {"error": "not here", "status": 404})


def engine(endpoint: str, connect_to: str = "", environ: Mapping[str, str] | None = None, **values: str) -> Engine:
    """An engine for settings, with the credentials of AWS's documentation."""
    session = boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    found = target({"OPENSEARCH_ENDPOINT": endpoint, **values}, connect_to, environ)
    return Engine(found, authentication(found, session), timeout=5)


def test_through_a_tunnel_everything_but_tcp_is_the_endpoints(tmp_path: Path) -> None:
    """Host header, TLS server name, certificate check and the signature's host and region are those of the domain."""
    certificate = certificate_for(DOMAIN, tmp_path)
    with ScriptedEngine(hello, certificate) as server:
        trusting = {"SSL_CERT_FILE": str(certificate[0])}
        assert engine(ENDPOINT, f"127.0.0.1:{server.port}", trusting).request("GET", "/") == (200, VERSION)
    (asked,) = server.asked
    assert asked.server_name == DOMAIN
    assert asked.headers["Host"] == DOMAIN
    assert _signature(asked, "eu-west-3") == asked.headers["Authorization"]


def _signature(asked: Asked, region: str, service: str = "es") -> str:
    """The signature that the engine would compute from what arrived."""
    authorization = asked.headers["Authorization"]
    names = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {name: value for name, value in asked.headers.items() if name.lower() in names}
    request = AWSRequest(asked.method, f"https://{asked.headers['Host']}{asked.path}", headers, asked.body)
    request.context["timestamp"] = asked.headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]), service, region)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    return f"{authorization.rsplit('Signature=', 1)[0]}Signature={signature}"


@pytest.mark.parametrize("path", ["/a-*/_search?ignore_unavailable=true&h=a,b", "/a%2Cb/_doc/x%20y", "/_cat/shards/a-*?h=a.b"])
def test_any_path_and_body_is_signed_as_it_is_sent(tmp_path: Path, path: str) -> None:
    """Stars, commas and escapes in a path do not break the signature, nor does a body beyond ASCII."""
    certificate = certificate_for(DOMAIN, tmp_path)
    with ScriptedEngine(hello, certificate) as server:
        trusting = {"REQUESTS_CA_BUNDLE": str(certificate[0])}
        engine(ENDPOINT, f"127.0.0.1:{server.port}", trusting, OPENSEARCH_SERVICE="aoss").request("POST", path, {"q": "ü"})
    (asked,) = server.asked
    assert asked.path == path
    assert _signature(asked, "eu-west-3", "aoss") == asked.headers["Authorization"]
    assert "x-amz-content-sha256" in asked.headers["Authorization"]


def test_a_tunnel_to_somebody_else_is_noticed(tmp_path: Path) -> None:
    """The certificate has to be the endpoint's, wherever TCP goes; nothing is sent to another one."""
    certificate = certificate_for("somebody.example", tmp_path)
    with ScriptedEngine(hello, certificate) as server:
        with pytest.raises(EngineUnreachableError, match=f"not valid for {DOMAIN}: Hostname mismatch.*--connect-to"):
            engine(ENDPOINT, f"localhost:{server.port}", {"SSL_CERT_FILE": str(certificate[0])}).request("GET", "/")
        with pytest.raises(EngineUnreachableError, match=r"self-signed certificate.*REQUESTS_CA_BUNDLE"):
            engine(ENDPOINT, f"localhost:{server.port}").request("GET", "/")
    assert server.asked == []


def test_a_bundle_that_is_not_there_is_wrong_use() -> None:
    """The variable that names it is said."""
    wrong = run("doctor", "--endpoint", "https://a.example", env={**ENVIRONMENT, "SSL_CERT_FILE": "/nowhere.pem"})
    assert wrong.code == 2
    assert "SSL_CERT_FILE is '/nowhere.pem', and there is no such file" in wrong.line


def test_an_expired_certificate_is_named_as_such(tmp_path: Path) -> None:
    """It is not called a network problem."""
    certificate = certificate_for(DOMAIN, tmp_path, days=-1)
    with (
        ScriptedEngine(hello, certificate) as server,
        pytest.raises(EngineUnreachableError, match="certificate has expired"),
    ):
        engine(ENDPOINT, f"127.0.0.1:{server.port}", {"SSL_CERT_FILE": str(certificate[0])}).request("GET", "/")


def test_plain_http_goes_through_a_tunnel_as_well() -> None:
    """The Host header is the endpoint's, with its port where that is not the usual one."""
    with ScriptedEngine(hello) as server:
        tunnel = f"127.0.0.1:{server.port}"
        assert engine("http://engine.internal:9200", tunnel, OPENSEARCH_AUTH="none").request("GET", "/")[0] == 200
        assert engine("http://engine.internal", tunnel, OPENSEARCH_AUTH="none").request("GET", "/")[0] == 200
    assert [asked.headers["Host"] for asked in server.asked] == ["engine.internal:9200", "engine.internal"]
    assert not any("Authorization" in asked.headers for asked in server.asked)


def test_a_refusal_is_an_answer_and_so_is_a_redirect_or_a_page() -> None:
    """Only the lack of an answer is an exception; credentials do not follow a redirect."""
    answers: dict[str, tuple[int, Any]] = {"/a": (403, {"message": "no"}), "/b": (302, "moved"), "/c": (200, "<html>")}
    with ScriptedEngine(lambda asked: answers[asked.path]) as server:
        asking = engine(server.endpoint, OPENSEARCH_AUTH="none")
        assert [asking.request("GET", path) for path in answers] == list(answers.values())


def test_a_password_comes_from_its_secret_plain_or_in_json(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent to the engine and shown nowhere."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    aws.secrets.create_secret(Name="plain", SecretString="p:ä")
    aws.secrets.create_secret(Name="json", SecretString='{"username": "x", "password": "p:ä"}')
    with ScriptedEngine(hello) as server:
        for secret in ("plain", "json"):
            values = {"OPENSEARCH_AUTH": "basic", "OPENSEARCH_USERNAME": "alice", "OPENSEARCH_PASSWORD_SECRET": secret}
            engine(server.endpoint, "", None, **values).request("GET", "/")
        aws.secrets.create_secret(Name="bytes", SecretBinary=b"x")
        with pytest.raises(Problem, match="holds bytes and no text"):
            engine(server.endpoint, "", None, **{**values, "OPENSEARCH_PASSWORD_SECRET": "bytes"})
    assert {asked.headers["Authorization"] for asked in server.asked} == {"Basic YWxpY2U6cDrDpA=="}


def test_what_cannot_be_reached_says_why_and_what_to_do() -> None:
    """A closed port, a name that is not there, and a server that hangs are told apart."""
    closed = free_port()
    with pytest.raises(EngineUnreachableError, match=f"127.0.0.1:{closed} refuses the connection. Is the port right"):
        engine(f"http://127.0.0.1:{closed}", OPENSEARCH_AUTH="none").request("GET", "/")
    with pytest.raises(EngineUnreachableError, match=r"The name nowhere.invalid cannot be resolved"):
        engine("http://nowhere.invalid", OPENSEARCH_AUTH="none").request("GET", "/")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = target({"OPENSEARCH_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", "OPENSEARCH_AUTH": "none"})
        with pytest.raises(EngineUnreachableError, match="did not answer in time"):
            Engine(found, authentication(found, None), timeout=0.2).request("GET", "/")
    with ScriptedEngine(hello) as server, pytest.raises(EngineUnreachableError, match="does not speak TLS as expected"):
        engine(f"https://127.0.0.1:{server.port}", OPENSEARCH_AUTH="none").request("GET", "/")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "No engine is named"),
        ({"OPENSEARCH_ENDPOINT": "search-audit.example"}, "is no URL that begins with https://"),
        ({"OPENSEARCH_ENDPOINT": "ftp://search-audit.example"}, "is no URL that begins with https://"),
        ({"OPENSEARCH_ENDPOINT": "https://a:99999"}, "is no URL"),
        ({"OPENSEARCH_ENDPOINT": "https://[::1"}, "is no URL"),
        ({"OPENSEARCH_ENDPOINT": "https://u:p@a"}, "must not stand in the endpoint"),
        ({"OPENSEARCH_ENDPOINT": "https://a/?x=1"}, "has a query"),
        ({"OPENSEARCH_ENDPOINT": "https://a", "OPENSEARCH_AUTH": "magic"}, "It can be aws, basic or none"),
        ({"OPENSEARCH_ENDPOINT": "https://a", "OPENSEARCH_SERVICE": "s3"}, "It can be es"),
        ({"OPENSEARCH_ENDPOINT": "https://a", "OPENSEARCH_AUTH": "basic"}, "needs a user and a secret"),
        (
            {
                "OPENSEARCH_ENDPOINT": "http://a.example",
                "OPENSEARCH_AUTH": "basic",
                "OPENSEARCH_USERNAME": "u",
                "OPENSEARCH_PASSWORD_SECRET": "s",
            },
            "needs an https endpoint",
        ),
    ],
)
def test_what_is_no_endpoint_is_refused_with_an_example(values: dict[str, str], says: str) -> None:
    """The message says what is wrong; no request is made."""
    with pytest.raises(Problem, match=says):
        target(values)


@pytest.mark.parametrize("text", ["localhost", "localhost:", ":9443", "localhost:0", "localhost:70000", "http://a:1", "::1:9443"])
def test_connect_to_is_a_host_and_a_port(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(Problem, match="Give HOST:PORT, such as localhost:9443"):
        address(text)


def test_connect_to_may_be_an_address_of_ipv6() -> None:
    """It stands in brackets, as in a URL."""
    assert address("[::1]:9443") == ("::1", 9443)
    assert address("bastion.example:1") == ("bastion.example", 1)


def test_the_region_of_a_signature_is_the_endpoints() -> None:
    """A profile for another region does not make the signature wrong; a custom endpoint has none in its name."""
    assert region(ENDPOINT, "us-east-1") == "eu-west-3"
    assert region("https://abc.us-gov-west-1.aoss.amazonaws.com", None) == "us-gov-west-1"
    assert region("https://search-a.cn-north-1.es.amazonaws.com.cn", None) == "cn-north-1"
    assert region("https://logs.example.org", "us-east-1") == "us-east-1"


def test_without_credentials_or_a_region_nothing_is_signed() -> None:
    """Each is said with what to do."""
    empty = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    without = run("setup", "--endpoint", "https://logs.example.org", "--region", "eu-central-1", env=empty)
    assert without.code == 3
    assert "There are no AWS credentials to sign requests with. Give --profile" in without.line
    keys = {name: value for name, value in ENVIRONMENT.items() if name != "AWS_DEFAULT_REGION"}
    nowhere = run("setup", "--endpoint", "https://logs.example.org", env=keys)
    assert nowhere.code == 2
    assert "No region is set to sign requests for. Give --region" in nowhere.line


def test_a_profile_that_is_not_there_is_said() -> None:
    """With how to find the ones that are."""
    wrong = run("doctor", "--endpoint", "https://a.example", "--profile", "nobody")
    assert wrong.code == 2
    assert "profile (nobody) could not be found. List the profiles" in wrong.line


def test_a_trace_shows_requests_and_no_secret() -> None:
    """--debug says what was asked; a header never is in it."""
    with ScriptedEngine(hello) as server:
        shown = run("doctor", "--endpoint", server.endpoint, "--auth", "none", "--debug")
    assert "GET /: 200 in" in shown.err
    assert "uthorization" not in shown.err


def test_a_netrc_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests would send a password from there to an engine that was to be asked without one."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with ScriptedEngine(hello) as server:
        engine(server.endpoint, OPENSEARCH_AUTH="none").request("GET", "/")
    assert "Authorization" not in server.asked[0].headers


def test_unreachable_names_the_proxy() -> None:
    """A proxy that refuses is not called the engine."""
    found = target({"OPENSEARCH_ENDPOINT": ENDPOINT})
    said = connection.unreachable(requests.exceptions.ProxyError("tunnel failed: 403"), found)
    assert said.startswith("The proxy does not let us through")
