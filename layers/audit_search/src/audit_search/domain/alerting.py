"""The monitors of the rules that count, and the notification channel through which they reach people.

A monitor has no description: its name says that it is ours, and for which indices. The plugin gives ids of its own and stores
a query as it prints it, with every default: bodies are compared without these.
https://docs.opensearch.org/latest/observing-your-data/alerting/api/
https://docs.opensearch.org/latest/observing-your-data/notifications/api/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from audit_search import index_template
from audit_search.alerts import monitors
from audit_search.domain.api import Api
from audit_search.domain.changes import MARK, Change, NotOfferedError, Request, compared, differences, foreign, marked, read
from audit_search.domain.refusals import absent_handler, explain, not_offered, passes, said, settles
from audit_search.domain.settings import DomainSettings
from audit_search.errors import DomainSetupError

CHANNEL, MONITOR = "notification channel", "monitor"
_CHANNELS = "/_plugins/_notifications/configs"
_MONITORS = "/_plugins/_alerting/monitors"
_COMPARED = ("name", "monitor_type", "enabled", "schedule", "inputs", "triggers")
_MOST = 1_000
_ALL_HITS = 2_147_483_647
_DEFAULTS: Mapping[str, Any] = {
    "boost": 1.0,
    "adjust_pure_negative": True,
    "missing_bucket": False,
    "missing_order": "default",
    "order": "asc",
}
"""What the engine adds to a query that does not say otherwise."""


def changes(api: Api, settings: DomainSettings) -> list[Change]:
    """The channel, where a topic is named, and the monitors; what the engine has no plugin for is left out.

    Raises DomainSetupError.
    """
    alias = index_template.name(settings.index_prefix)
    identity = f"{alias}-alerts"
    if settings.service == "aoss":
        return [Change(MONITOR, f"{alias}-*", "leave out", "a collection has no alerting: bursts are told to nobody")]
    try:
        found = _found(api, alias)
    except NotOfferedError as error:
        reason = f"bursts (rules with a threshold) are told to nobody here: {error}"
        return [Change(MONITOR, f"{alias}-*", "leave out", reason)]
    channel = _channel(api, settings, identity)
    told = channel.action in ("create", "update", "unchanged")
    wanted = monitors.bodies(alias, channel=identity if told else "", refresh_seconds=_seconds(settings.refresh_interval))
    made = [_monitor(name, body, found.get(name, [])) for name, body in wanted.items()]
    more = [_second(name, one) for name in wanted for one in found.get(name, [])[1:]]
    old = [_unasked(name, one) for name, some in found.items() if name not in wanted for one in some]
    return [channel, *made, *more, *old]


def _channel(api: Api, settings: DomainSettings, identity: str) -> Change:
    if not settings.alert_topic_arn:
        reason = "no topic is named (ALERT_TOPIC_ARN): alerts of monitors are seen in Dashboards alone"
        return Change(CHANNEL, identity, "leave out", reason)
    path = f"{_CHANNELS}/{identity}"
    try:
        answer = read(api, path, plugin=True)
    except NotOfferedError as error:
        reason = f"this engine has no notifications: alerts of monitors are seen in Dashboards alone ({error})"
        return Change(CHANNEL, identity, "leave out", reason)
    sns = {"topic_arn": settings.alert_topic_arn}
    if settings.alert_role_arn:
        sns["role_arn"] = settings.alert_role_arn
    config = {
        "name": identity,
        "description": f"{MARK}alerts of the monitors, to SNS",
        "config_type": "sns",
        "is_enabled": True,
        "sns": sns,
    }
    listed = (answer or {}).get("config_list") or []
    found = listed[0]["config"] if listed else None
    if found is None:
        return compared(
            CHANNEL, identity, None, config, Request("POST", _CHANNELS, {"config_id": identity, "config": config}), ()
        )
    if not marked(found):
        return foreign(CHANNEL, identity)
    return compared(CHANNEL, identity, found, config, Request("PUT", path, {"config": config}), differences(found, config))


def carry_out(api: Api, change: Change) -> Change:
    """Make the channel, and what became of it: who may not lend its role leaves it out, and all else is set up.

    Raises DomainSetupError where another try may do it, EngineUnreachableError without an answer.
    """
    (request,) = change.requests
    status, answer = api.request(request.method, request.path, request.body)
    if 200 <= status < 300:
        return change
    reason = f"alerts of monitors are seen in Dashboards alone. {explain(request.method, request.path, status, answer)}"
    if status == 409 or passes(status, answer):
        raise DomainSetupError(f"The {CHANNEL} {change.name!r} cannot be put in place: {reason}", retryable=True)
    return replace(change, action="leave out", reason=reason, passing=settles(status, answer))


def _found(api: Api, alias: str) -> dict[str, list[dict[str, Any]]]:
    """Our monitors as the plugin has them, with the numbers of their versions, by name; the oldest of a name first."""
    query = {"size": _MOST, "query": {"prefix": {"monitor.name.keyword": monitors.named(alias)}}}
    status, answer = api.request("POST", f"{_MONITORS}/_search", query)
    if absent_handler(status, answer) or not_offered(status, answer):
        raise NotOfferedError(f"this engine has no alerting ({said(answer) or f'HTTP {status}'})")
    if status == 404:
        return {}  # there has never been a monitor: the index that holds them is not there
    if status != 200:
        reason = explain("POST", f"{_MONITORS}/_search", status, answer)
        if status in (401, 403) and not settles(status, answer) and not passes(status, answer):
            raise NotOfferedError(reason)
        raise DomainSetupError(reason, retryable=passes(status, answer), settling=settles(status, answer))
    ours: dict[str, list[dict[str, Any]]] = {}
    for identity in sorted(hit["_id"] for hit in answer["hits"]["hits"]):
        one = read(api, f"{_MONITORS}/{identity}")
        if one is not None:
            ours.setdefault(one["monitor"]["name"], []).append(one)
    return {name: sorted(some, key=lambda one: int(one["monitor"].get("enabled_time") or 0)) for name, some in ours.items()}


def _short(name: str) -> str:
    """A monitor's name as that of a file: `cloudtrail-sign-in-failures`."""
    return name.removeprefix(MARK).replace(" ", "-")


def _path(one: Mapping[str, Any]) -> str:
    return f"{_MONITORS}/{one['_id']}?if_seq_no={one['_seq_no']}&if_primary_term={one['_primary_term']}"


def _monitor(name: str, wanted: dict[str, Any], some: list[dict[str, Any]]) -> Change:
    if not some:
        return compared(MONITOR, _short(name), None, wanted, Request("POST", _MONITORS, wanted), ())
    found = some[0]["monitor"]
    differing = differences(normal(found), normal(wanted))
    return compared(MONITOR, _short(name), found, wanted, Request("PUT", _path(some[0]), wanted), differing)


def _second(name: str, one: Mapping[str, Any]) -> Change:
    reason = f"there is a second monitor of this name, with the id {one['_id']}: each alert comes twice until you delete one"
    return Change(MONITOR, _short(name), "leave out", reason)


def _unasked(name: str, one: Mapping[str, Any]) -> Change:
    """A rule that was taken out, or that is to reach nobody now: its monitor would alert on."""
    found = one["monitor"]
    wanted = {**found, "enabled": False}
    reason = "no rule asks for it any longer: it is switched off, and may be deleted"
    differing = ("enabled",) if found.get("enabled") else ()
    return replace(compared(MONITOR, _short(name), found, wanted, Request("PUT", _path(one), wanted), differing), reason=reason)


def normal(body: Mapping[str, Any]) -> dict[str, Any]:
    """A monitor as it is compared: without what the plugin adds, its query without what the engine adds."""
    kept = {key: _plain(body.get(key)) for key in _COMPARED}
    for trigger in kept["triggers"] or []:
        for one in trigger.values():
            one.pop("min_time_between_executions", None)
            for action in one.get("actions") or []:
                action.pop("id", None)
    return kept


def _plain(value: Any) -> Any:
    """A query in one of the ways in which it can be said: `term` and `range` short, and no defaults."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    plain = {key: _plain(part) for key, part in value.items() if key not in _DEFAULTS or part != _DEFAULTS[key]}
    for kind, shortened in (("term", _term), ("range", _range)):
        if isinstance(plain.get(kind), dict):
            plain[kind] = {field: shortened(test) for field, test in plain[kind].items()}
    if plain.get("track_total_hits") == _ALL_HITS:
        plain["track_total_hits"] = True
    return plain


def _term(test: Any) -> Any:
    return test["value"] if isinstance(test, dict) and list(test) == ["value"] else test


def _range(test: Any) -> Any:
    """Bounds by their own names, where the engine says whether they are included."""
    if not isinstance(test, dict) or "include_lower" not in test:
        return test
    said_of = {key: part for key, part in test.items() if key not in ("from", "to", "include_lower", "include_upper")}
    if test.get("from") is not None:
        said_of["gte" if test["include_lower"] else "gt"] = test["from"]
    if test.get("to") is not None:
        said_of["lte" if test["include_upper"] else "lt"] = test["to"]
    return said_of


def _seconds(interval: str) -> int:
    return int(interval[:-1]) * (60 if interval.endswith("m") else 1)
