"""The engine as the command reaches it: from a person's machine, signed with their credentials, through a tunnel if need be.

With `connect_to` the TCP connection goes to another address, as the end of an SSH or SSM tunnel; the Host header, the TLS
server name, the certificate's check and the signature stay those of the endpoint.
https://docs.aws.amazon.com/opensearch-service/latest/developerguide/request-signing.html
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth

from audit_search.domain.api import Payload
from audit_search.errors import EngineUnreachableError
from audit_search.opensearch import region
from audit_search_cli.errors import NOT_REACHED, Problem

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})")
_SIGNED_HEADERS = {"host", "content-type", "x-amz-content-sha256"}
_DASHBOARDS = "/_dashboards"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
Trace = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Which engine, and how to sign in: `auth` is aws, basic or none; `connect_to` is where TCP goes instead of the endpoint."""

    endpoint: str
    auth: str = "aws"
    service: str = "es"
    username: str = ""
    password_secret: str = ""
    connect_to: tuple[str, int] | None = None
    ca_bundle: str | bool = True
    dashboards: str = ""
    """URL of an OpenSearch Dashboards that is not under `/_dashboards` of the endpoint; empty where it is."""

    @property
    def host(self) -> str:
        """The endpoint's name, without a port."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        """The endpoint's port."""
        return urlsplit(self.endpoint).port or (443 if self.tls else 80)

    @property
    def tls(self) -> bool:
        """Whether the endpoint is https."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def address(self) -> tuple[str, int]:
        """Where TCP goes."""
        return self.connect_to or (self.host, self.port)

    @property
    def host_header(self) -> str:
        """The Host header of the endpoint, with its port where that is not the usual one."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


def target(values: Mapping[str, str], connect_to: str = "", environ: Mapping[str, str] | None = None) -> Target:
    """Read a target from OPENSEARCH_ENDPOINT and its companions; `environ` may name a CA bundle.

    Raises Problem for what is missing or no endpoint.
    """
    endpoint = values.get("OPENSEARCH_ENDPOINT", "").strip().rstrip("/")
    if not endpoint:
        raise Problem("No engine is named", "Give --endpoint https://… or --stack NAME, or set OPENSEARCH_ENDPOINT.")
    found = Target(
        endpoint=_checked(endpoint),
        auth=values.get("OPENSEARCH_AUTH", "").strip() or "aws",
        service=values.get("OPENSEARCH_SERVICE", "").strip() or "es",
        username=values.get("OPENSEARCH_USERNAME", "").strip(),
        password_secret=values.get("OPENSEARCH_PASSWORD_SECRET", "").strip(),
        connect_to=address(connect_to) if connect_to else None,
        ca_bundle=_ca_bundle(environ or {}),
        dashboards=_dashboards(values.get("DASHBOARDS_URL", "").strip().rstrip("/")),
    )
    if found.auth not in ("aws", "basic", "none"):
        raise Problem(f"--auth is {found.auth!r}", "It can be aws, basic or none.")
    if found.service not in ("es", "aoss"):
        raise Problem(f"--service is {found.service!r}", "It can be es (a domain) or aoss (a collection).")
    if found.auth == "basic" and not (found.username and found.password_secret):
        raise Problem("--auth basic needs a user and a secret", "Give --username and --password-secret.")
    if found.auth == "basic" and not found.tls and found.host not in _LOOPBACK:
        raise Problem("--auth basic needs an https endpoint", "Over http the password would be readable on the way.")
    return found


def _dashboards(url: str) -> str:
    return _checked(url, "https://dashboards.example.com:5601") if url else ""


def _checked(endpoint: str, such_as: str = "https://search-audit-abc.eu-central-1.es.amazonaws.com") -> str:
    example = f"Give a URL such as {such_as}."
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError as error:
        raise Problem(f"The endpoint {endpoint!r} is no URL ({error})", example) from error
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise Problem(f"The endpoint {endpoint!r} is no URL that begins with https:// or http://", example)
    if url.username or url.password:
        raise Problem("A user name or password must not stand in the endpoint", "Give --username and --password-secret.")
    if url.query or url.fragment:
        raise Problem(f"The endpoint {endpoint!r} has a query or a fragment", example)
    return endpoint


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, or [IPv6]:PORT. Raises Problem."""
    found = _HOST.fullmatch(text.strip())
    if not found or not 0 < int(found[3]) < 65_536:
        raise Problem(f"--connect-to is {text!r}", "Give HOST:PORT, such as localhost:9443 or [::1]:9443.")
    return found[1] or found[2], int(found[3])


def _ca_bundle(environ: Mapping[str, str]) -> str | bool:
    """The certificates to trust: those that the environment names, as requests, boto3 and OpenSSL each do. Raises Problem."""
    for name in ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        if environ.get(name):
            if not Path(environ[name]).exists():
                raise Problem(
                    f"{name} is {environ[name]!r}, and there is no such file", "Name a file of certificates, or unset it."
                )
            return environ[name]
    return True


def authentication(target: Target, session: Any) -> AuthBase:
    """What signs or authenticates requests, with the credentials of a boto3 session.

    Raises Problem where there are none, and what botocore raises for a secret that cannot be read.
    """
    if target.auth == "basic":
        return HTTPBasicAuth(target.username.encode(), _password(_secret(session, target.password_secret)).encode())
    if target.auth == "none":
        return Anonymous()
    credentials = session.get_credentials()
    where = region(target.endpoint, session.region_name)
    if credentials is None:
        remedy = "Give --profile, set AWS_PROFILE, or sign in (aws sso login)."
        raise Problem("There are no AWS credentials to sign requests with", remedy, code=NOT_REACHED)
    if not where:
        raise Problem("No region is set to sign requests for", "Give --region, or set AWS_REGION.")
    return _Signed(credentials, target.service, where)


def _secret(session: Any, name: str) -> str:
    """The text of a secret; one that is named by its ARN may be in another region."""
    found = re.match(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):", name)
    client = session.client("secretsmanager", region_name=found[1] if found else session.region_name)
    answer: dict[str, Any] = client.get_secret_value(SecretId=name)
    if "SecretString" not in answer:
        raise Problem(f"The secret {name} holds bytes and no text", "Store the password as text, or as JSON with `password`.")
    return str(answer["SecretString"])


def _password(secret: str) -> str:
    """The secret itself, or the `password` of one that is a JSON object, as Secrets Manager's own rotation writes them."""
    try:
        value = json.loads(secret)
    except ValueError:
        return secret
    return str(value["password"]) if isinstance(value, dict) and "password" in value else secret


class Anonymous(AuthBase):
    """No authentication; without an object of its own requests would look into ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Signed(AuthBase):
    """SigV4 with credentials that botocore refreshes."""

    def __init__(self, credentials: Any, service: str, region: str) -> None:
        self._credentials = credentials
        self._service = service
        self._region = region

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()  # a collection asks for it
        headers = {name: value for name, value in request.headers.items() if name.lower() in _SIGNED_HEADERS}
        signed = AWSRequest(request.method, request.url, headers, body)
        frozen = self._credentials.get_frozen_credentials()
        SigV4Auth(frozen, self._service, self._region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return request


class _Tunnel(HTTPAdapter):
    """Connections go to another address; all that is said over them is for the endpoint."""

    def __init__(self, target: Target) -> None:
        self._target = target
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> Any:
        """Where requests connects to, and under which name it checks the certificate."""
        built = super().build_connection_pool_key_attributes(request, verify, cert)
        where: dict[str, Any] = {**built[0]}
        pool: dict[str, Any] = {**built[1]}
        where["host"], where["port"] = self._target.address
        if self._target.tls:
            pool["server_hostname"] = self._target.host
        return where, pool


class Engine:
    """Requests to the engine, one after the other; a refusal is an answer, only a failure to reach it is an exception."""

    def __init__(self, target: Target, auth: AuthBase, *, timeout: float = 60, trace: Trace | None = None) -> None:
        self.target = target
        self._timeout = timeout
        self._trace = trace
        self._session = requests.Session()
        self._session.auth = auth
        self._session.verify = target.ca_bundle
        self._session.headers.update({"accept": "application/json", "user-agent": "audit-search"})
        if target.connect_to:
            self._session.trust_env = False  # a proxy would be asked for the endpoint, which only the tunnel reaches
            self._session.mount(target.endpoint, _Tunnel(target))

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and parsed answer; what is no JSON is given as text. A redirect is an answer as well.

        Raises EngineUnreachableError, with what to do, when there is no answer.
        """
        payload, headers = _sent(body)
        url = self.target.endpoint + path
        if self.target.dashboards and path.startswith(_DASHBOARDS):
            url = self.target.dashboards + path.removeprefix(_DASHBOARDS)
        else:
            headers["Host"] = self.target.host_header
        started = time.monotonic()
        try:
            answer = self._session.request(
                method,
                url,
                data=payload,
                headers=headers,
                timeout=(10, self._timeout),
                allow_redirects=False,
            )
        except OSError as error:  # what requests raises is one, and so is a bundle of certificates that cannot be read
            raise EngineUnreachableError(unreachable(error, self.target)) from error
        if self._trace:
            self._trace(f"{method} {path}: {answer.status_code} in {time.monotonic() - started:.2f} s")
        try:
            return answer.status_code, json.loads(answer.content) if answer.content else None
        except ValueError:
            return answer.status_code, answer.text


def _sent(body: Any) -> tuple[bytes | None, dict[str, str]]:
    """The bytes of a body and their headers."""
    if body is None or isinstance(body, Payload):
        return (body.content, dict(body.headers)) if body else (None, {})
    return json.dumps(body, separators=(",", ":")).encode(), {"content-type": "application/json"}


def unreachable(error: BaseException, target: Target) -> str:
    """Why there was no answer, and what to do, in two sentences at most."""
    text = " ".join(str(error).split())
    host, port = target.address
    where = f"{host}:{port}" + (f" (for {target.host})" if target.connect_to else "")
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        detail = text.split("certificate verify failed: ", 1)[-1].split(" (_ssl", 1)[0].split("')", 1)[0]
        return (
            f"The certificate of {where} is not valid for {target.host}: {detail}. Give the endpoint's own name in --endpoint "
            "and a tunnel's address in --connect-to; name a private CA with REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, requests.exceptions.SSLError) or "SSLError" in text:
        return f"{where} does not speak TLS as expected: {text[-200:]}. Check the port, and whether the endpoint is http."
    if "NameResolutionError" in text or "getaddrinfo" in text or "Name or service not known" in text:
        return f"The name {host} cannot be resolved. Check the endpoint; a domain in a VPC resolves to addresses of that VPC."
    if isinstance(error, requests.exceptions.ProxyError):
        return f"The proxy does not let us through to {where}: {text[-200:]}. Check HTTPS_PROXY and NO_PROXY."
    if isinstance(error, requests.exceptions.Timeout):
        remedy = "A domain in a VPC is reached from inside it only: open a tunnel and give --connect-to HOST:PORT."
        return f"{where} did not answer in time. {remedy}"
    if "refused" in text:
        return f"{where} refuses the connection. Is the port right, and the tunnel open?"
    return f"{where} cannot be reached: {text[-200:]}. Check the endpoint and the network."
