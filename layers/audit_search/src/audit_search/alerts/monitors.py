"""The rules with a threshold as monitors of OpenSearch's Alerting plugin: it counts what `ct.alerts` marks in each document.

A monitor runs each minute. It looks at the records that were indexed, by `ct.ingestTime`, in the minute before its run and in
the rule's own minutes before that: so no burst falls between two runs, and one run that the cluster skips loses none. Where
one caller reaches the threshold an alert begins, of which its channel hears once; it lasts while later runs still find as
much of that caller, and the next burst after its end is a new one.
https://docs.opensearch.org/latest/observing-your-data/alerting/per-query-bucket-monitors/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

EVERY_MINUTES = 1
"""How often a monitor runs."""
HOURS = 24
"""Records of events that are older when they come in alert nobody."""
NOTIFYING = ("page", "ticket")
"""The tiers whose rules become monitors."""
SUBJECT = 100
"""Characters that SNS takes as a subject."""
_SEVERITIES = {"critical": "1", "high": "2", "medium": "3", "low": "4"}
_BUCKETS = 100
_WORDS = {"ct.identity": ("caller", "callers"), "sourceIPAddress": ("address", "addresses"), "awsRegion": ("region", "regions")}


@cache
def counted() -> tuple[Mapping[str, Any], ...]:
    """The deployed rules that become monitors, by name."""
    stored = resources.files("audit_search.definitions").joinpath("alerts.json").read_text("utf-8")
    return tuple(rule for rule in json.loads(stored)["rules"] if rule.get("threshold") and rule["tier"] in NOTIFYING)


def named(alias: str, rule: str = "") -> str:
    """The name of a rule's monitor, or without a rule how the names of all begin that look at the same alias."""
    return f"Audit Search: {alias} {rule}"


def lag(refresh_seconds: int) -> int:
    """How many minutes the window ends before the run: what was written by then has to be found by now."""
    return 2 + refresh_seconds // 60


def bodies(alias: str, *, channel: str = "", refresh_seconds: int = 10) -> dict[str, dict[str, Any]]:
    """The body of each monitor by its name, for the indices of CloudTrail's events that have an alias.

    `channel` is the notification channel that hears of new alerts; without one they are seen in Dashboards alone.
    `refresh_seconds` is how long what was written may not be found yet.
    """
    return {named(alias, rule["name"]): body(rule, alias, channel, lag(refresh_seconds)) for rule in counted()}


def body(rule: Mapping[str, Any], alias: str, channel: str, lag_minutes: int) -> dict[str, Any]:
    """The monitor of one rule of the deployed form, as `POST _plugins/_alerting/monitors` takes it."""
    # A pattern, not the alias: before the first event is indexed there is no alias, and the plugin refuses its name.
    indices = [f"{alias}-2*"]
    return {
        "type": "monitor",
        "monitor_type": "bucket_level_monitor",
        "name": named(alias, rule["name"]),
        "enabled": True,
        "schedule": {"period": {"interval": EVERY_MINUTES, "unit": "MINUTES"}},
        "inputs": [{"search": {"indices": indices, "query": _query(rule, lag_minutes)}}],
        "triggers": [{"bucket_level_trigger": _trigger(rule, channel)}],
        "ui_metadata": {},
    }


def _query(rule: Mapping[str, Any], lag_minutes: int) -> dict[str, Any]:
    threshold = rule["threshold"]
    filters = [
        {
            "range": {
                "ct.ingestTime": {
                    "gt": f"{{{{period_start}}}}||-{threshold['minutes'] + lag_minutes}m",
                    "lte": f"{{{{period_end}}}}||-{lag_minutes}m",
                    "format": "epoch_millis",
                }
            }
        },
        {"range": {"eventTime": {"gt": f"{{{{period_end}}}}||-{HOURS}h", "format": "epoch_millis"}}},
        {"term": {"ct.ingestMode": "live"}},
        {"term": {"ct.alerts": rule["name"]}},
    ]
    by: dict[str, Any] = {"composite": {"size": _BUCKETS, "sources": [{"by": {"terms": {"field": threshold["by"]}}}]}}
    if threshold.get("distinct"):
        by["aggregations"] = {"distinct": {"cardinality": {"field": threshold["distinct"]}}}
    return {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": filters}}, "aggregations": {"by": by}}


def _trigger(rule: Mapping[str, Any], channel: str) -> dict[str, Any]:
    path = "distinct" if rule["threshold"].get("distinct") else "_count"
    return {
        "id": rule["name"],  # the plugin would give another at each change, and begin the alerts that last once more
        "name": rule["name"],
        "severity": _SEVERITIES[rule["severity"]],
        "condition": {
            "parent_bucket_path": "by",
            "buckets_path": {path: path},
            "script": {"lang": "painless", "source": f"params.{path} >= {rule['threshold']['count']}"},
            "gap_policy": "skip",
        },
        "actions": [_action(rule, channel)] if channel else [],
    }


def _action(rule: Mapping[str, Any], channel: str) -> dict[str, Any]:
    """What is sent once for each new alert. It is not throttled: that would keep the alert of a second caller from anybody."""
    return {
        "name": "notify",
        "destination_id": channel,
        "subject_template": {"lang": "mustache", "source": f"[{rule['severity']}] {rule['title']}"[:SUBJECT]},
        "message_template": {"lang": "mustache", "source": message(rule)},
        "throttle_enabled": False,
        "action_execution_policy": {"action_execution_scope": {"per_alert": {"actionable_alerts": ["NEW"]}}},
    }


def message(rule: Mapping[str, Any]) -> str:
    """The template of what is sent: a JSON object once the plugin has filled it in, which escapes what it fills in for JSON.

    `id` is the same however often this alert is sent. `who` has the caller (or the address) of the burst; `all` are several of
    them where over fifty reach the threshold at once, for the plugin sends one message then. `total` counts all records of the
    rule in the window, those of others as well.
    """
    by = rule["threshold"]["by"]
    # Names without dots: mustache looks for `a.b` as `b` in `a`, and renders nothing where the name itself has the dot.
    # `newAlerts.0` and no section: where there is no new alert the plugin may still want to send (after an error, or when more
    # than fifty alerts last), every minute; it cannot fill in this template then, and sends nothing.
    key = "{{ctx.newAlerts.0.bucket_keys}}"
    parts = {
        "version": "1",
        "kind": '"burst"',
        "id": '"{{ctx.newAlerts.0.id}}"',
        "rule": json.dumps(rule["name"]),
        **{name: json.dumps(rule[name], ensure_ascii=False) for name in ("title", "severity", "tier")},
        "who": f'{{"{by.rpartition(".")[2]}":"{key}"}}',
        "all": '"{{#ctx.newAlerts}}{{bucket_keys}} {{/ctx.newAlerts}}"',
        "what": f'{{"counted":{json.dumps(in_words(rule["threshold"]))},"total":{{{{ctx.results.0.hits.total.value}}}}}}',
        "when": '"{{ctx.periodEnd}}"',
        **{name: json.dumps(rule[name], ensure_ascii=False) for name in ("means", "do")},
        "monitor": '"{{ctx.monitor.name}}"',
        "search": f'"ct.alerts:{rule["name"]} AND {by}:\\"{key}\\""',
    }
    return "{" + ",".join(f'"{name}":{template}' for name, template in parts.items()) + "}"


def in_words(threshold: Mapping[str, Any]) -> str:
    """What a threshold is: `5 regions of one caller in 10 minutes`."""
    distinct, by = threshold.get("distinct"), threshold["by"]
    what = _WORDS.get(distinct, ("", f"values of {distinct}"))[1] if distinct else "records"
    return f"{threshold['count']} {what} of one {_WORDS.get(by, (by,))[0]} in {threshold['minutes']} minutes"
