"""A stand-in for an Amazon OpenSearch domain: what Amazon does at the edge, before any engine.

Callers are found by the signature of their requests (SigV4, service `es`), which ministack checks, for it alone knows the
keys that it gave out. Whether a caller may go on is decided as Amazon does: the policies of its role and the domain's
access policy together, on `es:ESHttp…` and `<domain ARN>/<path>`. Only then does the engine behind hear of the request.
https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ac.html
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from tests.support.alerting_endpoints import AlertingEndpoints, NotificationEndpoints
from tests.support.dashboards_server import BASE, DashboardsServer
from tests.support.engine_front import Asked
from tests.support.fault_proxy import HOP_BY_HOP
from tests.support.ministack import ACCOUNT, REGION, Ministack
from tests.support.tls import Answer, Certificate, Request, TlsServer

ANONYMOUS = "anonymous"
_NOT_AUTHORIZED = re.compile(r"User: (arn:[^ ]+) is not authorized")
_NOT_READ = re.compile(r'"__type": "(SerializationException|InternalError)"')
_TARGET = "DynamoDB_20120810.ListTables"
"""A call that no role of ours may make. The header that asks for it is added to the request of somebody else, unsigned:
ministack checks the signature, which is the caller's own, and names the caller in its refusal."""


@dataclass(frozen=True)
class Seen:
    """A request that came to the domain, and what became of it."""

    method: str
    path: str
    caller: str
    """The role's ARN, that of a user, or `anonymous`."""
    status: int


class AmazonDomain:
    """The domain `name`; `endpoint` is its URL. Stands before `engine`, the http URL of what indexes and searches.

    `aws` is set before the first request comes. `access_policy` is the domain's own; for a domain that was made in
    ministack the one that it was made with is asked for. `passwords` are those of the users of the engine, by name; without
    it nobody is asked for one. `identify` gives headers for the engine that name the caller. `dashboards` is behind the same
    edge; with None there is none. So are `alerting` and `notifications`, for the engine has no such
    plugins.
    """

    def __init__(self, name: str, engine: str, certificate: Certificate, region: str = REGION) -> None:
        self.name = name
        self.engine = engine
        self.region = region
        self.aws: Ministack | None = None
        self.access_policy: dict[str, Any] = {}
        self.identify: Callable[[str], dict[str, str]] = lambda _caller: {}
        self.passwords: Callable[[], dict[str, str]] | None = None
        self.dashboards: DashboardsServer | None = DashboardsServer()
        self.alerting, self.notifications = AlertingEndpoints(), NotificationEndpoints()
        self.requests: list[Seen] = []
        self.state: Literal["up", "unavailable", "hanging"] = "up"
        self._lock = threading.Lock()
        self._recovered = threading.Event()
        self._certificate = certificate
        self._port = 0
        self._server: TlsServer | None = None
        self._listen()

    @property
    def host(self) -> str:
        """Host and port, as DescribeDomain gives an endpoint."""
        return f"127.0.0.1:{self._port}"

    @property
    def endpoint(self) -> str:
        """The URL."""
        return f"https://{self.host}"

    @property
    def arn(self) -> str:
        """The domain's ARN."""
        return f"arn:aws:es:{self.region}:{ACCOUNT}:domain/{self.name}"

    def down(self, how: Literal["refusing", "unavailable", "hanging"] = "unavailable") -> None:
        """Stop working: connections are refused, or each request is answered with 503, or with nothing until `up`."""
        self.state = "hanging" if how == "hanging" else "unavailable"
        if how == "refusing":
            self._close()
        elif self._server is None:
            self._listen()

    def up(self) -> None:
        """Work again, at the same address."""
        self.state = "up"
        with self._lock:
            self._recovered.set()
            self._recovered = threading.Event()
        if self._server is None:
            self._listen()

    def seen(self, method: str = "", path: str = "", caller: str = "") -> list[Seen]:
        """The requests so far whose method is this, whose path begins so, and whose caller's ARN ends so."""
        with self._lock:
            requests = list(self.requests)
        return [
            one for one in requests if one.method.startswith(method) and one.path.startswith(path) and one.caller.endswith(caller)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.up()  # lets go of what hangs
        self._close()

    def _answer(self, request: Request) -> Answer | None:
        caller = ANONYMOUS
        if self.state == "hanging":
            with self._lock:
                recovered = self._recovered
            recovered.wait()
        if self.state == "unavailable":
            answer = _message(503, "Service Unavailable")
        else:
            caller, refusal = self._admit(request)
            answer = (
                refusal
                or self._of_dashboards(request)
                or self._of_plugins(request, caller)
                or self._forward(request, self.identify(caller))
            )
        with self._lock:
            self.requests.append(Seen(request.method, urlsplit(request.path).path, caller, answer[0]))
        return answer if self._server else None  # refusing from now on, those that are connected too

    def _admit(self, request: Request) -> tuple[str, Answer | None]:
        """Who asks, and the refusal where that one may not."""
        assert self.aws is not None, "no AWS that could say who asks"
        caller, session = ANONYMOUS, ANONYMOUS
        if request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256"):
            region = request.headers["authorization"].split("/")[2]
            if region != self.region:
                return ANONYMOUS, _message(403, f"Credential should be scoped to a valid region, not '{region}'.")
            known = _authenticate(self.aws, request)
            if not known.startswith("arn:"):
                return ANONYMOUS, _message(403, known)
            session = known
            caller = re.sub(r"arn:aws:sts::(\d+):assumed-role/([^/]+)/.*", r"arn:aws:iam::\1:role/\2", session)
        action = f"es:ESHttp{request.method.capitalize()}"
        resource = f"{self.arn}{urlsplit(request.path).path}"
        reason = self._decide(self.aws, caller, session, action, resource)
        if reason:
            return caller, _message(403, f"User: {session} is not authorized to perform: {action} {reason}")
        if caller == ANONYMOUS and self.passwords and not _knows(request, self.passwords()):
            return caller, (401, {"Content-Type": "text/plain; charset=UTF-8"}, b"Unauthorized")
        return caller, None

    def _decide(self, aws: Ministack, caller: str, session: str, action: str, resource: str) -> str:
        """Why the caller may not, in Amazon's words; empty where it may. A Deny wins, one Allow of either side is enough."""
        if caller.endswith(":root"):
            return ""
        iam = aws.client("iam")
        statements = [
            {name: value for name, value in statement.items() if name != "Principal"}
            for statement in self._own_policy(aws).get("Statement", [])
            if _names(statement.get("Principal"), caller, session)
        ]
        own, role = "implicitDeny", "implicitDeny"
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            answer = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=[action], ResourceArns=[resource])
            own = answer["EvaluationResults"][0]["EvalDecision"]
        if caller != ANONYMOUS:
            answer = iam.simulate_principal_policy(PolicySourceArn=caller, ActionNames=[action], ResourceArns=[resource])
            role = answer["EvaluationResults"][0]["EvalDecision"]
        if "explicitDeny" in (own, role):
            return f"with an explicit deny in {'a resource' if own == 'explicitDeny' else 'an identity'}-based policy"
        if "allowed" in (own, role):
            return ""
        kind = "resource" if caller == ANONYMOUS else "identity"
        return f"because no {kind}-based policy allows the {action} action"

    def _own_policy(self, aws: Ministack) -> dict[str, Any]:
        if self.access_policy:
            return self.access_policy
        client = aws.client("opensearch", self.region)
        try:
            policy: dict[str, Any] = json.loads(
                client.describe_domain(DomainName=self.name)["DomainStatus"]["AccessPolicies"] or "{}"
            )
        except client.exceptions.ResourceNotFoundException:
            return {}
        return policy

    def _of_dashboards(self, request: Request) -> Answer | None:
        """What Dashboards says to a request that is for it."""
        url = urlsplit(request.path)
        if not self.dashboards or not url.path.startswith(f"{BASE}/"):
            return None
        asked = Asked.of(request.method, request.path, request.headers, request.body)
        status, body = self.dashboards(asked) or (404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"})
        text = body if isinstance(body, str) else json.dumps(body)
        return status, {"Content-Type": "application/json"}, text.encode()

    def _of_plugins(self, request: Request, caller: str) -> Answer | None:
        """What the plugins say that no registry carries; a role in a channel is one that the caller may hand on."""
        if not urlsplit(request.path).path.startswith(("/_plugins/_alerting/", "/_plugins/_notifications/")):
            return None
        asked = Asked.of(request.method, request.path, request.headers, request.body)
        role = asked.body.get("config", {}).get("sns", {}).get("role_arn") if isinstance(asked.body, dict) else None
        if role and caller != ANONYMOUS:
            assert self.aws is not None
            decided = self.aws.client("iam").simulate_principal_policy(
                PolicySourceArn=caller, ActionNames=["iam:PassRole"], ResourceArns=[role]
            )
            if decided["EvaluationResults"][0]["EvalDecision"] != "allowed":
                return _message(403, f"User: {caller} is not authorized to perform: iam:PassRole on resource: {role}")
        status, body = self.alerting(asked) or self.notifications(asked) or (400, {"error": "no handler found", "status": 400})
        return status, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def _forward(self, request: Request, identity: dict[str, str]) -> Answer:
        # A signature means nothing to an engine, and who may name the caller is Amazon alone.
        drop = {*HOP_BY_HOP, "host", *(name.lower() for name in identity)}
        headers = {name: value for name, value in request.headers.items() if name not in drop and not name.startswith("x-proxy-")}
        if headers.get("authorization", "").startswith("AWS4-"):
            del headers["authorization"]
        address = urlsplit(self.engine)
        connection = (
            http.client.HTTPSConnection(address.netloc, timeout=300, context=self._certificate.trusting())
            if address.scheme == "https"
            else http.client.HTTPConnection(address.netloc, timeout=300)
        )
        with contextlib.closing(connection):
            try:
                connection.request(request.method, request.path, request.body or None, {**headers, **identity})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                return _message(504, f"the engine behind does not answer: {type(error).__name__}")
        return answer.status, {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}, body

    def _listen(self) -> None:
        self._server = TlsServer(self._certificate, self._answer, self._port)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


def _names(principal: object, caller: str, session: str) -> bool:
    """Whether a statement of an access policy is about this caller."""
    wanted = principal.get("AWS", []) if isinstance(principal, dict) else principal
    named = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    return "*" in named or (caller != ANONYMOUS and bool({caller, session} & set(named)))


def _knows(request: Request, passwords: dict[str, str]) -> bool:
    kind, _, coded = request.headers.get("authorization", "").partition(" ")
    if kind != "Basic":
        return False
    user, _, password = base64.b64decode(coded).decode().partition(":")
    return passwords.get(user) == password


def _authenticate(aws: Ministack, request: Request) -> str:
    """The ARN of who signed a request, or what is wrong with the signature."""
    digest = request.headers.get("x-amz-content-sha256", hashlib.sha256(request.body).hexdigest())
    if digest not in ("UNSIGNED-PAYLOAD", hashlib.sha256(request.body).hexdigest()):
        return "The request signature we calculated does not match the signature you provided: the body is another one."
    status, _, text = aws.forward(request, {"x-amz-target": _TARGET})
    if status == 200:  # who may do anything
        return f"arn:aws:iam::{ACCOUNT}:root"
    refusal = text.decode("utf-8", "replace")
    if _NOT_READ.search(refusal):  # the signature is right, and so is the permission: only the body is no such call's
        return f"arn:aws:iam::{ACCOUNT}:root"
    named = _NOT_AUTHORIZED.search(refusal)
    return named[1] if named else refusal


def _message(status: int, text: str) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps({"Message": text}).encode()
