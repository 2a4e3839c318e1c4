"""Whether the engine can be reached, what it is, and as whom it knows us."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies

from audit_search.domain.refusals import absent_handler, explain, not_offered
from audit_search.errors import EngineUnreachableError
from audit_search_cli.checks.findings import Finding, NotCheckedError, Patient
from audit_search_cli.connection import Target, unreachable
from audit_search_cli.errors import explain_aws
from audit_search_cli.output import human_age

_ENDPOINT = "endpoint"
_CREDENTIALS = "credentials"
_PATIENCE = 10
_DAY = 86_400
_OLDEST = (2, 19)


def endpoint(patient: Patient) -> list[Finding]:
    """Name, TCP, certificate and HTTP, one after the other; the first that fails is the last that is tried."""
    target = patient.engine.target
    findings: list[Finding] = []
    if not target.connect_to and get_environ_proxies(target.endpoint, no_proxy=None):
        findings.append(Finding(_ENDPOINT, "note", f"{target.host} is reached through a proxy of the environment."))
    else:
        with _failing(target, findings):
            findings += _connect(target)
        if findings[-1].severity == "error":
            return findings
    try:
        status, answer = patient.engine.request("GET", "/")
    except EngineUnreachableError as error:
        return [*findings, Finding(_ENDPOINT, "error", str(error))]
    if status == 200:
        return [*findings, Finding(_ENDPOINT, "ok", f"{target.endpoint} answers.")]
    if status in (404, 405) and target.service == "aoss":
        return [*findings, Finding(_ENDPOINT, "ok", f"{target.endpoint} answers, as a collection does (HTTP {status}).")]
    return [*findings, Finding(_ENDPOINT, "error", explain("GET", "/", status, answer))]


@contextlib.contextmanager
def _failing(target: Target, findings: list[Finding]) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:
        findings.append(Finding(_ENDPOINT, "error", unreachable(error, target)))


def _connect(target: Target) -> list[Finding]:
    host, port = target.address
    addresses = sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    with socket.create_connection((host, port), _PATIENCE) as plain:
        reached = f"{host}:{port} is reached ({', '.join(addresses[:3])}{', …' if len(addresses) > 3 else ''})"
        if not target.tls:
            return [Finding(_ENDPOINT, "ok", f"{reached}, without TLS.")]
        bundle = target.ca_bundle if isinstance(target.ca_bundle, str) else DEFAULT_CA_BUNDLE_PATH
        folder = os.path.isdir(bundle)
        context = ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)
        with context.wrap_socket(plain, server_hostname=target.host) as secured:
            return [_certificate(reached, target, secured)]


def _certificate(reached: str, target: Target, secured: ssl.SSLSocket) -> Finding:
    certificate: dict[str, Any] = secured.getpeercert() or {}
    left = ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()
    what = f"{reached}; {secured.version()}, the certificate for {target.host} is valid for {human_age(left)} more."
    if left < 14 * _DAY:
        return Finding(_ENDPOINT, "warning", what, "Renew the certificate, or the custom endpoint's in ACM.")
    return Finding(_ENDPOINT, "ok", what)


def version(patient: Patient) -> list[Finding]:
    """What the engine is: OpenSearch 2.19 or newer."""
    answer = patient.get("/")
    found = answer.get("version", {}) if isinstance(answer, dict) else {}
    number, distribution = str(found.get("number", "")), str(found.get("distribution", ""))
    parts = re.match(r"(\d+)\.(\d+)", number)
    if not parts:
        raise NotCheckedError("the engine does not say its version")
    if distribution != "opensearch" and int(parts[1]) != 1:
        remedy = "The index template needs OpenSearch 2.19 or newer: upgrade the domain."
        return [
            Finding(
                "version", "error", f"The engine is no OpenSearch: it says {distribution or 'Elasticsearch'} {number}.", remedy
            )
        ]
    if (int(parts[1]), int(parts[2])) < _OLDEST:
        remedy = "Upgrade the domain: before 2.19 sub-trees cannot be searched reliably, and some records can stop a node."
        return [Finding("version", "warning", f"OpenSearch {number} is older than 2.19.", remedy)]
    return [Finding("version", "ok", f"OpenSearch {number}.")]


def credentials(patient: Patient) -> list[Finding]:
    """Who we are for AWS, and who for the engine, with the roles that follow."""
    return [*_for_aws(patient), *_for_engine(patient)]


def _for_aws(patient: Patient) -> list[Finding]:
    if patient.engine.target.auth != "aws":
        return []
    try:
        arn = patient.client("sts").get_caller_identity()["Arn"]
    except (BotoCoreError, ClientError) as error:
        problem = explain_aws(error, "Asking AWS who we are")
        return [Finding(_CREDENTIALS, "error", f"{problem.what}.", problem.remedy)]
    return [Finding(_CREDENTIALS, "ok", f"AWS knows us as {arn}.")]


def _for_engine(patient: Patient) -> list[Finding]:
    path = "/_plugins/_security/authinfo"
    status, answer = patient.engine.request("GET", path)
    if status == 200 and isinstance(answer, dict) and "roles" in answer:
        who = answer.get("user_name") or answer.get("user")
        roles = [str(role) for role in answer.get("roles") or []]
        backend = ", ".join(str(role) for role in answer.get("backend_roles") or []) or "none"
        what = f"The engine knows us as {who} (backend roles: {backend}; roles: {', '.join(roles) or 'none'})."
        if not set(roles) - {"own_index"}:
            remedy = "Map this role or user to a role of the engine (Dashboards, Security, Roles, Mapped users)."
            return [Finding(_CREDENTIALS, "error", what, remedy)]
        return [Finding(_CREDENTIALS, "ok", what)]
    if patient.engine.target.service == "aoss":
        return [Finding(_CREDENTIALS, "note", "In a collection its data access policies decide who may do what.")]
    if absent_handler(status, answer) or not_offered(status, answer):
        what = "The engine has no fine-grained access control: who gets in may do everything that its access policy allows."
        return [Finding(_CREDENTIALS, "note", what)]
    if status in (401, 403):
        return [Finding(_CREDENTIALS, "error", explain("GET", path, status, answer))]
    return [Finding(_CREDENTIALS, "not checked", explain("GET", path, status, answer))]
