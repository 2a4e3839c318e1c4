"""What an engine's refusal means: who was refused, by which layer, and what to do about it.

An Amazon domain decides twice: its access policy and IAM first, then the role mappings of fine-grained access control.
https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html
"""

from __future__ import annotations

import json
import re
from typing import Any

_NO_PERMISSIONS = re.compile(
    r"no permissions for \[(?P<what>[^\]]*)\] and User \[name=(?P<who>[^,\]]*)(, backend_roles=\[(?P<roles>[^\]]*)\])?"
)
_REST = re.compile(r"(No permission to access REST API|Access denied)")
_REST_USER = re.compile(r"User (?P<who>\S+) with Security roles")
_IAM = re.compile(r"User: (?P<who>\S+) is not authorized to perform: (?P<what>\S+)")
_BOUND_SESSION = re.compile(r"(arn:aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+")
_LIMIT = 600


def said(answer: Any) -> str:
    """The reason in an engine's answer, in one line."""
    reason: Any = answer
    if isinstance(answer, dict):
        reason = answer.get("error", answer.get("message", answer.get("Message", answer)))
        if isinstance(reason, dict) and "reason" in reason:
            causes = [reason["reason"]]
            cause = reason.get("caused_by")
            while isinstance(cause, dict) and "reason" in cause:
                causes.append(cause["reason"])
                cause = cause.get("caused_by")
            reason = ": ".join(str(cause) for cause in causes)
    if reason is None:
        return ""
    text = reason if isinstance(reason, str) else json.dumps(reason, ensure_ascii=False)
    return " ".join(text.split())[:_LIMIT]


def passes(status: int, answer: Any) -> bool:
    """Whether the same request may be answered otherwise in a while, without anybody's doing."""
    return status == 429 or status >= 500 or (status == 403 and "throttled" in said(answer).lower())


def settles(status: int, answer: Any) -> bool:
    """Whether IAM refuses: permissions that were given just now reach one of its servers after the other."""
    return status == 403 and bool(_IAM.search(said(answer)))


def absent_handler(status: int, answer: Any) -> bool:
    """Whether the engine does not know this API at all: the plugin behind it is not there."""
    text = said(answer)
    return (status == 400 and "no handler found" in text) or (status in (404, 405) and not _found_none(answer))


def _found_none(answer: Any) -> bool:
    """Whether a 404 is about the thing that was asked for, as plugins answer, and not about the API."""
    if not isinstance(answer, dict):
        return False
    return answer.get("status") in (404, "NOT_FOUND") or "error" in answer


def not_offered(status: int, answer: Any) -> bool:
    """Whether Amazon does not offer this API on this domain, as it is with security's where that is switched off."""
    return status in (400, 401, 403, 404) and bool(re.search(r"Your request: '.*' is not allowed", said(answer)))


def explain(method: str, path: str, status: int, answer: Any) -> str:
    """A refusal in words, for the person who has to act: what was asked and answered, by which layer, and the remedy."""
    text = said(answer)
    asked = f"{method} {path.partition('?')[0]}"
    if status in (401, 403) and not passes(status, answer):
        return f"{_refused(status, text)} (Asked: {asked}; answered: HTTP {status}.)"
    if 300 <= status < 400:
        return f"{asked} was answered with a redirect (HTTP {status}): this is a log-in page, not the engine's address."
    if status == 200:
        return f"What answers to {asked} is not OpenSearch: {text[:200]}"
    return f"{asked} was answered with HTTP {status}: {text}" if text else f"{asked} was answered with HTTP {status}"


def _refused(status: int, text: str) -> str:
    text = text or "no reason is given"
    found = _NO_PERMISSIONS.search(text)
    if found:
        who = found["who"]
        roles = f" (backend roles: {found['roles']})" if found["roles"] else ""
        return (
            f"The domain's fine-grained access control refuses {who}{roles}: no role that it is mapped to permits "
            f"{found['what']}. " + _map_it(_role_of(who))
        )
    if _REST.search(text):
        user = _REST_USER.search(text)
        who = user["who"] if user else "the caller"
        return f"The domain's security API refuses {who}, which is no administrator of the domain. {_map_it(_role_of(who))}"
    found = _IAM.search(text)
    if found:
        who, action = found["who"], found["what"]
        layer = (
            "the domain's access policy, and no IAM policy of the caller"
            if "resource-based" in text or who == "anonymous"
            else "IAM and the domain's access policy"
        )
        denied = " An explicit Deny stands in the way." if "explicit deny" in text else ""
        if action == "iam:PassRole":
            return f"Amazon refuses {who}: {text}. Allow iam:PassRole on that role for {_role_of(who)}."
        signed = " The request was not signed: set OPENSEARCH_AUTH=aws." if who == "anonymous" else ""
        return (
            f"Amazon refuses {who} before the engine is asked: {action} is not allowed by {layer}.{denied}{signed} Allow "
            f"es:ESHttp* on the domain for {_role_of(who)}, in the domain's access policy or in a policy of that role."
        )
    if re.search(r"security token|signature|credential", text, re.IGNORECASE):
        return f"The request's signature is refused: {text}. Check the credentials, their region and this machine's clock."
    if status == 401:
        return f"The log-in is refused: {text}. Check OPENSEARCH_AUTH, the user name and the password's secret."
    return f"The request is refused: {text}. {_map_it('the caller')}"


def _role_of(who: str) -> str:
    """The role behind a session, which is what is mapped and named in policies."""
    return _BOUND_SESSION.sub(r"\1:iam::\2:role/\3", who)


def _map_it(who: str) -> str:
    return (
        f"Map {who} to the roles all_access and security_manager (Dashboards, Security, Roles, Mapped users), or deploy with "
        "DomainAdminRoleArn=<a role that is>, or with PrepareDomain=command and run `audit-search setup` as an administrator."
    )
