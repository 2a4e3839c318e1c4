"""Index state management as its plugin answers, for the endpoints that the set-up asks: no registry carries the plugin.

Recorded behaviour of OpenSearch 2.19, not a model of what policies do: nothing is ever merged or deleted. A rule for an
`EngineFront`. https://docs.opensearch.org/latest/im-plugin/ism/api/
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from tests.support.engine_front import Asked, Verdict

_BASE = "/_plugins/_ism"
_ID = re.compile(rf"{_BASE}/policies/([^/]+)")
_VERB = re.compile(rf"{_BASE}/(add|change_policy|explain)/([^/]+)")


class IsmEndpoints:
    """The policies, and which index has which; `indices` names the indices that there are."""

    def __init__(self, indices: Callable[[], list[str]] = list) -> None:
        self.policies: dict[str, dict[str, Any]] = {}
        self.attached: dict[str, dict[str, Any]] = {}
        self.changing: set[str] = set()
        """Indices that were asked to take another version, and will when their job runs next."""
        self._indices = indices
        self._sequence = 0

    def __call__(self, asked: Asked) -> Verdict:
        """The plugin's answer; None for what is not its."""
        if asked.path == f"{_BASE}/policies" and asked.method == "GET":
            policies = [self._shown(identity) for identity in self.policies]
            return 200, {"policies": policies, "total_policies": len(policies)}
        policy, verb = _ID.fullmatch(asked.path), _VERB.fullmatch(asked.path)
        if policy:
            return self._get(policy[1]) if asked.method == "GET" else self._put(policy[1], asked)
        if verb:
            return self._of_indices(verb[1], verb[2].split(","), asked)
        return None

    def begin_jobs(self) -> None:
        """What happens minutes after a policy was attached: each index takes the version that there is."""
        for index, has in self.attached.items():
            if "policy_seq_no" in has and index not in self.changing:
                continue
            shown = self._shown(has["index.plugins.index_state_management.policy_id"])
            has |= {"policy_id": shown["_id"], "policy_seq_no": shown["_seq_no"], "policy_primary_term": 1}
        self.changing.clear()

    def _shown(self, identity: str) -> dict[str, Any]:
        return {"_id": identity, "_version": 1, "_primary_term": 1, **copy.deepcopy(self.policies[identity])}

    def _get(self, identity: str) -> Verdict:
        return (200, self._shown(identity)) if identity in self.policies else _refused(404, "Policy not found")

    def _put(self, identity: str, asked: Asked) -> Verdict:
        has = self.policies.get(identity)
        expected = (asked.query.get("if_seq_no"), asked.query.get("if_primary_term"))
        if has is None and expected != (None, None):
            return _refused(409, f"[{identity}]: version conflict, required seqNo [{expected[0]}], but no document was found")
        if has is not None and expected != (str(has["_seq_no"]), "1"):
            return _refused(409, f"[{identity}]: version conflict, document already exists (current version [1])")
        policy = copy.deepcopy(asked.body["policy"])
        unknown = set(policy) - {"description", "default_state", "states", "ism_template", "error_notification"}
        if unknown:
            return _refused(400, f"Invalid field: [{unknown.pop()}] found in Policy.")
        for one in policy.get("ism_template", []):
            one["last_updated_time"] = 1_795_000_000_000
        policy |= {"policy_id": identity, "last_updated_time": 1_795_000_000_000, "schema_version": 21}
        policy.setdefault("error_notification", None)
        self._sequence += 1
        self.policies[identity] = {"_seq_no": self._sequence, "policy": policy}
        return (200 if has else 201), self._shown(identity)

    def _of_indices(self, verb: str, names: list[str], asked: Asked) -> Verdict:
        there = [index for index in self._indices() if any(re.fullmatch(name.replace("*", ".*"), index) for name in names)]
        if verb == "explain":
            none = {"index.plugins.index_state_management.policy_id": None, "policy_id": None, "enabled": None}
            return 200, {
                **{index: self.attached.get(index, none) for index in there},
                "total_managed_indices": len(self.attached),
            }
        failed = [index for index in there if (index in self.attached) == (verb == "add")]
        for index in there:
            if index in failed:
                continue
            if verb == "change_policy":
                self.changing.add(index)
            else:
                self.attached[index] = {
                    "index.plugins.index_state_management.policy_id": asked.body["policy_id"],
                    "index": index,
                    "enabled": True,
                }
        reason = "This index already has a policy, use the update policy API to update index policies"
        listed = [{"index_name": index, "index_uuid": "u", "reason": reason} for index in failed]
        return 200, {"updated_indices": len(there) - len(failed), "failures": bool(failed), "failed_indices": listed}


def _refused(status: int, reason: str) -> tuple[int, Any]:
    cause = {"type": "status_exception", "reason": reason}
    return status, {"error": {"root_cause": [cause], **cause}, "status": status}
