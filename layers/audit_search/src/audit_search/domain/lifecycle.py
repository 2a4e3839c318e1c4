"""How long indices live: an ISM policy for each dated family, and which indices it is attached to.

https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ism.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit_search.documents import TRAIL
from audit_search.domain.api import Api
from audit_search.domain.changes import (
    OTHER_PREFIX,
    Change,
    NotOfferedError,
    Request,
    batches,
    compared,
    definition,
    differences,
    foreign,
    marked,
    read,
)
from audit_search.domain.families import Family, families
from audit_search.domain.indices import indices, overlap
from audit_search.domain.settings import DomainSettings

_KIND = "ISM policy"
_MERGE_DAYS = 45
_POLICIES = "/_plugins/_ism/policies"
_OF_THE_ENGINE = ("policy_id", "last_updated_time", "schema_version", "user")


def policy(family: Family) -> dict[str, Any]:
    """Merge after 45 days and take writes again; delete when the last document of an index is older than what is kept.

    An index is as old as its creation, which its first document brings about: the days of its period are added, so that no
    document goes before its time. Indices of a backfill live longer. The policy has the name of the family.
    """
    body = definition("ism.dated")
    inner = body["policy"]
    inner["ism_template"][0]["index_patterns"] = [family.pattern]
    new, merged, expired = inner["states"]
    if not family.retention:
        inner["states"] = [new, merged]
        merged["transitions"] = []
        return body
    days = family.retention + family.period
    merged["transitions"][0]["conditions"]["min_index_age"] = f"{days}d"
    if days <= _MERGE_DAYS:  # it would be merged only to be deleted
        inner["states"] = [new, expired]
        new["transitions"] = merged["transitions"]
    return body


def changes(api: Api, settings: DomainSettings) -> list[Change]:
    """The policies and their indices. Raises DomainSetupError."""
    return [change for family in families(settings) if family.retention is not None for change in _of(api, family)]


def _of(api: Api, family: Family) -> list[Change]:
    wanted = policy(family)
    identity = family.name
    path = f"{_POLICIES}/{identity}"
    try:
        answer = read(api, path, plugin=True)
    except NotOfferedError as error:
        variable = "RETENTION_DAYS" if family.kind == TRAIL else "CONFIG_RETENTION_DAYS"
        lost = f": {variable}={family.retention} deletes nothing here" if family.retention else ""
        return [Change(_KIND, identity, "leave out", f"this engine has no index state management{lost} ({error})")]
    found = None if answer is None else {"policy": answer.get("policy", {})}
    if answer is not None and found is not None:
        if not marked(found["policy"]):
            return [foreign(_KIND, identity)]
        path += f"?if_seq_no={answer.get('_seq_no')}&if_primary_term={answer.get('_primary_term')}"
    rival = _rival(api, identity, wanted["policy"]["ism_template"][0])
    if rival:
        return [Change(_KIND, identity, "refuse", rival)]
    differing = differences(_normal(found["policy"]), _normal(wanted["policy"])) if found else ()
    change = compared(_KIND, identity, found, wanted, Request("PUT", path, wanted), differing)
    current = answer.get("_seq_no") if answer and change.action == "unchanged" else None
    return [change, *_attachment(api, family, current)]


def _normal(body: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as it is compared: without what the engine adds."""
    kept = {key: value for key, value in body.items() if key not in _OF_THE_ENGINE}
    kept["ism_template"] = [
        {key: value for key, value in one.items() if key not in _OF_THE_ENGINE} for one in body.get("ism_template") or []
    ]
    return kept


def _rival(api: Api, identity: str, ours: Mapping[str, Any]) -> str:
    """Why another policy would be attached to our indices; nothing where none would."""
    pattern, priority = ours["index_patterns"][0], ours["priority"]
    for item in (read(api, f"{_POLICIES}?size=1000", plugin=True) or {}).get("policies", []):
        if item.get("_id") == identity:
            continue
        for one in (item.get("policy") or {}).get("ism_template") or []:
            theirs = int(one.get("priority") or 0)
            if theirs >= priority and any(overlap(str(each), pattern) for each in one.get("index_patterns", [])):
                return (
                    f"the ISM policy {item.get('_id')!r} claims {pattern} too, with priority {theirs} where ours has {priority}: "
                    f"our indices would live by its rules. Give it a lower priority or other patterns, or {OTHER_PREFIX}"
                )
    return ""


def _attachment(api: Api, family: Family, current: int | None) -> list[Change]:
    """A policy is attached by itself only to indices that are made after it, and they keep the version that they got.

    `current` is the version that is there to stay; None where it is about to change. An index takes a new version when its
    job runs next, minutes later: until then it is asked again, which does no harm.
    """
    kind, identity = "ISM policy of indices", family.name
    ours, _ = indices(api, family)
    if not ours:
        return []
    answer = read(api, f"/_plugins/_ism/explain/{family.pattern}", plugin=True) or {}
    without, older, others = [], [], []
    for index in ours:
        has = answer.get(index) or {}
        attached = has.get("index.plugins.index_state_management.policy_id") or has.get("policy_id")
        if not attached:
            without.append(index)
        elif attached != identity:
            others.append(index)
        elif has.get("policy_seq_no") not in (None, current):  # without: its job has not begun
            older.append(index)
    found = []
    asked = [("add", some) for some in batches(without)] + [("change_policy", some) for some in batches(older)]
    if asked:
        requests = [Request("POST", f"/_plugins/_ism/{verb}/{some}", {"policy_id": identity}) for verb, some in asked]
        differing = tuple(f"{index}.policy_id" for index in sorted(without + older))
        found.append(Change(kind, family.pattern, "update", "", differing, requests=tuple(requests)))
    else:
        found.append(Change(kind, family.pattern, "unchanged"))
    reason = "it has another ISM policy, which somebody attached on purpose: left alone"
    return found + [Change(kind, index, "leave out", reason) for index in others]
