"""Who may do what on a domain with fine-grained access control: our roles, and who is mapped to them and to the domain's own.

https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from audit_search import index_template
from audit_search.domain.api import Api
from audit_search.domain.changes import (
    Change,
    NotOfferedError,
    Request,
    compared,
    definition,
    differences,
    foreign,
    marked,
    read,
)
from audit_search.domain.settings import DomainSettings

_API = "/_plugins/_security/api"
_OF_THE_ENGINE = ("reserved", "hidden", "static")
_ADMIN_ROLES = ("all_access", "security_manager")
_DASHBOARDS_ROLES = ("opensearch_dashboards_user", "kibana_user")  # on Amazon's domains; elsewhere
_ALERTS_ROLE = "alerting_read_access"
_USER = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:user/")


def writer(prefix: str) -> str:
    """The role of what indexes: creates documents in bulk, and reads nothing but index templates."""
    return f"{index_template.name(prefix)}-writer"


def alerter(prefix: str) -> str:
    """The role of what tells people of alerts: it writes down which were told, reads that by id, and nothing else."""
    return f"{index_template.name(prefix)}-alerter"


def config_writer(prefix: str) -> str:
    """The role of what writes AWS Config's documents: it reads and replaces these, and nothing of CloudTrail's."""
    return f"{prefix}config-writer"


def verifier(prefix: str) -> str:
    """The role of what looks whether each event of the trail is there: it searches CloudTrail's events, and writes nothing."""
    return f"{index_template.name(prefix)}-verifier"


def linker(prefix: str) -> str:
    """The role of what links AWS Config's versions with calls: it searches both, and writes the links."""
    return f"{prefix}config-linker"


def analyst(prefix: str) -> str:
    """The role of those who search, and write nothing."""
    return f"{index_template.name(prefix)}-analyst"


def roles(settings: DomainSettings) -> dict[str, dict[str, Any]]:
    """The bodies of the roles by their names; those of alerts, of AWS Config, its links and the verification where needed."""
    prefix = settings.index_prefix
    bodies = {writer(prefix): definition("role.cloudtrail-writer"), analyst(prefix): definition("role.cloudtrail-analyst")}
    if settings.alerts:
        bodies[alerter(prefix)] = definition("role.cloudtrail-alerter")
    if settings.config:
        bodies[config_writer(prefix)] = definition("role.config-writer")
    if settings.config and settings.linker_role_arns:
        bodies[linker(prefix)] = definition("role.config-linker")
    if settings.verifier_role_arns:
        bodies[verifier(prefix)] = definition("role.cloudtrail-verifier")
    for body in bodies.values():
        for permission in body["index_permissions"]:
            permission["index_patterns"] = [f"{prefix}{pattern}" for pattern in permission["index_patterns"]]
    return bodies


def changes(api: Api, settings: DomainSettings) -> list[Change]:
    """The roles, and the mappings of all callers that the settings name. Raises DomainSetupError."""
    prefix = settings.index_prefix
    try:
        found = [_role(api, name, wanted) for name, wanted in roles(settings).items()]
    except NotOfferedError as error:
        reason = (
            "this engine has no fine-grained access control, so there are no roles: whoever its access policy (or its "
            f"network) lets in may do everything ({error})"
        )
        return [Change("role", name, "leave out", reason) for name in roles(settings)]
    named = {
        writer(prefix): settings.writer_role_arns,
        alerter(prefix): settings.writer_role_arns if settings.alerts else (),
        config_writer(prefix): settings.config_writer_role_arns,
        verifier(prefix): settings.verifier_role_arns,
        linker(prefix): settings.linker_role_arns,
        analyst(prefix): settings.analyst_role_arns,
    }
    for name, callers in named.items():
        if callers:
            found.append(_mapping(api, name, callers))
    if settings.analyst_role_arns:
        dashboards = _first(api, _DASHBOARDS_ROLES)
        found.append(_built_in(api, dashboards or _DASHBOARDS_ROLES[0], settings.analyst_role_arns, exists=bool(dashboards)))
        found.append(_built_in(api, _ALERTS_ROLE, settings.analyst_role_arns))
    if settings.admin_role_arns:
        found += [_built_in(api, name, settings.admin_role_arns) for name in _ADMIN_ROLES]
    return found


def _role(api: Api, name: str, wanted: dict[str, Any]) -> Change:
    answer = read(api, f"{_API}/roles/{name}", plugin=True)
    found = None if answer is None else _own(answer[name])
    if found is not None and not marked(found):
        return foreign("role", name)
    differing = differences(found, wanted) if found is not None else ()
    return compared("role", name, found, wanted, Request("PUT", f"{_API}/roles/{name}", wanted), differing)


def _first(api: Api, names: tuple[str, ...]) -> str:
    return next((name for name in names if read(api, f"{_API}/roles/{name}", plugin=True) is not None), "")


def _built_in(api: Api, name: str, callers: tuple[str, ...], *, exists: bool | None = None) -> Change:
    """The mapping of a role that the domain brings."""
    if exists if exists is not None else _first(api, (name,)):
        return _mapping(api, name, callers)
    return Change("role mapping", name, "leave out", "this engine has no such role")


def _mapping(api: Api, name: str, callers: tuple[str, ...]) -> Change:
    """Callers are added to those who are mapped already, and nobody is taken away: a PUT replaces the whole mapping."""
    kind, path = "role mapping", f"{_API}/rolesmapping/{name}"
    answer = read(api, path, plugin=True)
    theirs = (answer or {}).get(name) or {}
    found = None if answer is None else _own(theirs)
    # IAM users come by their names, roles by what stands behind a session.
    users = [caller for caller in callers if _USER.match(caller)]
    behind = [caller for caller in callers if caller not in users]
    base = found or {"backend_roles": [], "hosts": [], "users": []}
    wanted = {
        **base,
        "backend_roles": _union(base.get("backend_roles"), behind),
        "users": _union(base.get("users"), users),
        "hosts": base.get("hosts") or [],
    }
    differing = differences(found, wanted) if found is not None else ()
    if differing and (theirs.get("reserved") or theirs.get("hidden")):
        reason = (
            f"this mapping is reserved and takes no change by the API: map {', '.join(callers)} in the domain's own configuration"
        )
        return Change(kind, name, "leave out", reason)
    return compared(kind, name, found, wanted, Request("PUT", path, wanted), differing)


def _union(has: list[str] | None, more: list[str]) -> list[str]:
    return list(dict.fromkeys([*(has or []), *more]))


def _own(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the API gives but does not take."""
    return {key: value for key, value in body.items() if key not in _OF_THE_ENGINE}
