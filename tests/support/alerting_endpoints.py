"""Alerting and Notifications as their plugins answer, for the endpoints that the set-up asks: no registry carries the plugins.

What they store and how they print it, not what they do: nothing is ever run or sent. Rules for an `EngineFront`. As the
plugins do, a monitor gets an id, its triggers and actions too where they have none, and its query is printed with every
default. https://github.com/opensearch-project/alerting https://github.com/opensearch-project/notifications
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.engine_front import Asked, Verdict

_MONITORS = "/_plugins/_alerting/monitors"
_MONITOR = re.compile(rf"{_MONITORS}/([^/_][^/]*)")
_CHANNELS = "/_plugins/_notifications/configs"
_CHANNEL = re.compile(rf"{_CHANNELS}/([^/]+)")
_ROLE = re.compile(r"arn:aws(-[^:]+)?:iam::\d{12}:role/.+")


class AlertingEndpoints:
    """The monitors by their ids; `indices` names the indices that there are, which a monitor's must match or be a pattern."""

    def __init__(self, indices: Callable[[], list[str]] = list) -> None:
        self.monitors: dict[str, dict[str, Any]] = {}
        self._indices = indices
        self._sequence = 0
        self._begun = False

    def __call__(self, asked: Asked) -> Verdict:
        """The plugin's answer; None for what is not its."""
        if asked.path == f"{_MONITORS}/_search" and asked.method in ("GET", "POST"):
            return self._search(asked)
        if asked.path == _MONITORS and asked.method == "POST":
            return self._put(None, asked)
        found = _MONITOR.fullmatch(asked.path)
        if not found:
            return None
        if found[1] not in self.monitors:
            return _refused(404, "alerting_exception", "Monitor not found.")
        if asked.method == "PUT":
            return self._put(found[1], asked)
        return 200, self._shown(found[1])

    def named(self, name: str) -> dict[str, Any]:
        """The one monitor whose name ends so, as it is stored: tests may edit it."""
        (found,) = (one["monitor"] for one in self.monitors.values() if one["monitor"]["name"].endswith(f" {name}"))
        monitor: dict[str, Any] = found
        return monitor

    def _shown(self, identity: str) -> dict[str, Any]:
        has = self.monitors[identity]
        return {"_id": identity, "_version": 1, "_seq_no": has["seq_no"], "_primary_term": 1, "monitor": has["monitor"]}

    def _search(self, asked: Asked) -> Verdict:
        if not self._begun:
            return _refused(404, "alerting_exception", "Configured indices are not found: [.opendistro-alerting-config]")
        ((field, beginning),) = asked.body["query"]["prefix"].items()
        assert field == "monitor.name.keyword"
        some = [one for one, has in self.monitors.items() if has["monitor"]["name"].startswith(beginning)]
        hits = [
            {"_index": ".opendistro-alerting-config", "_id": one, "_score": 1.0, "_source": self.monitors[one]["monitor"]}
            for one in some[: asked.body["size"]]
        ]
        return 200, {"took": 1, "timed_out": False, "hits": {"total": {"value": len(some), "relation": "eq"}, "hits": hits}}

    def _put(self, identity: str | None, asked: Asked) -> Verdict:
        body = copy.deepcopy(asked.body)
        if identity:
            has, expected = self.monitors[identity]["seq_no"], asked.query.get("if_seq_no")
            if expected is not None and expected != str(has):
                reason = f"[{identity}]: version conflict, required seqNo [{expected}], but the document has seqNo [{has}]"
                return _refused(409, "version_conflict_engine_exception", reason)
        for one in body["inputs"]:
            for name in one["search"]["indices"]:
                if "*" not in name and name not in self._indices():
                    return _refused(404, "alerting_exception", f"Configured indices are not found: [{name}]")
            if not one["search"]["query"].get("aggregations"):
                return _refused(400, "alerting_exception", "At least one aggregation is required for the input")
            if "adjust_pure_negative" not in one["search"]["query"]["query"].get("bool", {}):  # not yet printed
                one["search"]["query"] = as_printed(one["search"]["query"])
        for trigger in body["triggers"]:
            ((_, inner),) = trigger.items()
            inner.setdefault("id", uuid.uuid4().hex[:20])
            for action in inner["actions"]:
                action["id"] = uuid.uuid4().hex[:20]
        body |= {"schema_version": 8, "owner": "alerting", "last_update_time": 1_795_000_000_000, "data_sources": {}}
        body |= {"enabled_time": 1_795_000_000_000 if body["enabled"] else None, "user": {"name": "admin", "backend_roles": []}}
        if not body.get("ui_metadata"):
            body.pop("ui_metadata", None)
        self._begun = True
        self._sequence += 1
        created = identity is None
        identity = identity or uuid.uuid4().hex[:20]
        self.monitors[identity] = {"seq_no": self._sequence, "monitor": body}
        return (201 if created else 200), self._shown(identity)


class NotificationEndpoints:
    """The channels by their ids."""

    def __init__(self) -> None:
        self.channels: dict[str, dict[str, Any]] = {}

    def __call__(self, asked: Asked) -> Verdict:
        """The plugin's answer; None for what is not its."""
        found = _CHANNEL.fullmatch(asked.path)
        if asked.path == _CHANNELS and asked.method == "POST":
            identity = asked.body["config_id"]
            if identity in self.channels:
                reason = f"version conflict, document already exists: {identity}"
                return _refused(409, "version_conflict_engine_exception", reason)
            return self._put(identity, asked.body["config"])
        if not found:
            return None
        if found[1] not in self.channels:
            return _refused(404, "status_exception", f"NotificationConfig {found[1]} not found")
        if asked.method == "PUT":
            return self._put(found[1], asked.body["config"])
        one = {"config_id": found[1], "last_updated_time_ms": 1, "created_time_ms": 1, "config": self.channels[found[1]]}
        return 200, {"start_index": 0, "total_hits": 1, "total_hit_relation": "eq", "config_list": [one]}

    def _put(self, identity: str, config: dict[str, Any]) -> Verdict:
        role = config["sns"].get("role_arn")
        if role and not _ROLE.fullmatch(role):
            return _refused(400, "illegal_argument_exception", f"Invalid AWS role ARN: {role} ")
        self.channels[identity] = copy.deepcopy(config)
        return 200, {"config_id": identity}


def as_printed(query: Any) -> Any:
    """A query as the engine prints it once it has read it; `tests/engine` holds this to what a node prints."""
    if isinstance(query, list):
        return [as_printed(part) for part in query]
    if not isinstance(query, Mapping):
        return query
    printed = {key: as_printed(part) for key, part in query.items()}
    if "bool" in printed:
        printed["bool"] |= {"adjust_pure_negative": True, "boost": 1.0}
    if "term" in printed:
        printed["term"] = {field: {"value": value, "boost": 1.0} for field, value in printed["term"].items()}
    if "range" in printed:
        printed["range"] = {field: _bounds(test) for field, test in printed["range"].items()}
    if printed.get("track_total_hits") is True:
        printed["track_total_hits"] = 2_147_483_647
    if "terms" in printed:
        printed["terms"] |= {"missing_bucket": False, "order": "asc"}
    return printed


def _bounds(test: Mapping[str, Any]) -> dict[str, Any]:
    lower, upper = test.get("gt", test.get("gte")), test.get("lt", test.get("lte"))
    rest = {key: value for key, value in test.items() if key not in ("gt", "gte", "lt", "lte")}
    return {
        "from": lower,
        "to": upper,
        "include_lower": "gt" not in test,
        "include_upper": "lt" not in test,
        **rest,
        "boost": 1.0,
    }


def _refused(status: int, kind: str, reason: str) -> tuple[int, Any]:
    cause = {"type": kind, "reason": reason}
    return status, {"error": {"root_cause": [cause], **cause}, "status": status}
