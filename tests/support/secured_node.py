"""A real OpenSearch node with the security plugin: HTTPS, roles, role mappings, and callers that are made up by a header.

As on an Amazon domain the engine takes an IAM role for a user whose name and backend role are the role's ARN. There a
signature says who it is; here two headers do, which the plugin's proxy authentication trusts from the loopback address::

    with SecuredNode() as node:
        node.request("GET", "/_cat/indices", backend_roles=["arn:aws:iam::123456789012:role/analyst"])

`ADMIN` with `PASSWORD` may do everything. https://docs.opensearch.org/latest/security/authentication-backends/proxy/
"""

from __future__ import annotations

import base64
import functools
import http.client
import json
import shutil
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.support.opensearch_node import Distribution, NodeFailedError, OpenSearchNode
from tests.support.tls import Certificate

ADMIN = "admin"
PASSWORD = "admin"
"""The user that the plugin's own sample configuration brings."""

SECURED = Distribution(plugins=("opensearch-job-scheduler", "opensearch-security"))
_PEM = {"pemcert_filepath": "loopback.crt", "pemkey_filepath": "loopback.key", "pemtrustedcas_filepath": "loopback.crt"}
_SECURITY = {
    **{f"plugins.security.ssl.{layer}.{name}": file for layer in ("transport", "http") for name, file in _PEM.items()},
    "plugins.security.ssl.http.enabled": "true",
    "plugins.security.ssl.transport.enforce_hostname_verification": "false",
    "plugins.security.nodes_dn.0": "CN=loopback",
    "plugins.security.authcz.admin_dn.0": "CN=nobody",
    "plugins.security.allow_default_init_securityindex": "true",
    "plugins.security.restapi.roles_enabled.0": "all_access",
    "plugins.security.restapi.roles_enabled.1": "security_manager",  # which only Amazon's domains have
    "plugins.security.audit.type": "noop",
    "plugins.security.system_indices.enabled": "true",
}


class SecuredNode(OpenSearchNode):
    """One node whose callers are told apart. `certificate` may be one that other servers of a test have as well."""

    def __init__(self, certificate: Certificate | None = None, *, heap: str = "1g") -> None:
        """Prepare a node, not yet running."""
        super().__init__(heap=heap, settings=_SECURITY, distribution=SECURED)
        self._given = certificate

    @property
    def endpoint(self) -> str:
        """The address as OPENSEARCH_ENDPOINT takes it."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """The bundle that trusts the node, for REQUESTS_CA_BUNDLE."""
        return self._given.certificate if self._given else self.folder / "config" / "loopback.crt"

    def headers(self, user: str = "", backend_roles: Sequence[str] = ()) -> dict[str, str]:
        """What makes a request that of this caller; of the administrator without any. A role is its own user's name."""
        if not user and not backend_roles:
            return {"Authorization": "Basic " + base64.b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()}
        named = {"x-proxy-user": user or backend_roles[0], "x-proxy-roles": ",".join(backend_roles)}
        return {"x-forwarded-for": "127.0.0.1", **named}

    def request(
        self, method: str, path: str, body: object = None, *, user: str = "", backend_roles: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The answer to a caller's request; `body` is JSON, or NDJSON when it is bytes. Raises NodeFailedError for a refusal."""
        status, answer = self.call(method, path, body, user=user, backend_roles=backend_roles)
        if status >= 400 or not isinstance(answer, dict):
            raise NodeFailedError(f"{method} {path}: {status} {json.dumps(answer)[:2000]}")
        return answer

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout: float = 120,
        user: str = "",
        backend_roles: Sequence[str] = (),
    ) -> tuple[int, Any]:
        """Status and parsed answer of a caller's request, whatever the status."""
        payload = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)
        try:
            connection.request(method, path, payload, {"Content-Type": kind, **self.headers(user, backend_roles)})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text.decode(errors="replace")

    def _configure(self, config: Path) -> None:
        super()._configure(config)
        if self._given:
            shutil.copy(self._given.certificate, config / "loopback.crt")
            shutil.copy(self._given.key, config / "loopback.key")
        else:
            Certificate.make(config)
        path = config / "opensearch-security" / "config.yml"
        security = yaml.safe_load(path.read_text("utf-8"))
        dynamic = security["config"]["dynamic"]
        dynamic["http"]["xff"] = {"enabled": True, "internalProxies": r"127\.0\.0\.1"}
        dynamic["authc"]["proxy_auth_domain"]["http_enabled"] = True
        path.write_text(yaml.safe_dump(security), "utf-8")


@functools.cache
def shared_secured_node() -> SecuredNode:
    """The one secured node that all tests of this process share; it ends with the process. Each takes names of its own."""
    return SecuredNode(heap="512m").start()
