"""What the dashboards show of alert rules: the severity of a rule stands in the rules, and not in the events that meet it.

So the split by severity is one query for each, made of the names of its rules. A rule that counts says little of one event; its
events are a row of their own.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Final

from audit_search.dashboards.panels import Filters, Metric, Panel, Search, Terms, Time

TRAIL: Final = "cloudtrail"
MET: Final = "_exists_:ct.alerts"
SEVERITIES: Final = ("critical", "high", "medium", "low")
_RULE: Final = Terms("ct.alerts", "Rule", 100)


def _rules() -> list[dict[str, Any]]:
    stored = resources.files("audit_search.definitions").joinpath("alerts.json").read_text("utf-8")
    rules: list[dict[str, Any]] = json.loads(stored)["rules"]
    return rules


def names(severity: str) -> list[str]:
    """The rules of a severity that are about single events; for none, those that count."""
    rules = [rule for rule in _rules() if rule["tier"] != "off"]
    if not severity:
        return sorted(rule["name"] for rule in rules if rule.get("threshold") is not None)
    return sorted(rule["name"] for rule in rules if rule.get("threshold") is None and rule["severity"] == severity)


def query(severity: str) -> str:
    """The events that meet a rule of a severity."""
    return f"ct.alerts:({' OR '.join(names(severity))})"


BY_SEVERITY: Final = Filters(
    (*((severity.capitalize(), query(severity)) for severity in SEVERITIES), ("Only where there are many", query("")))
)

PANELS: Final = (
    Panel(
        "alerts-by-severity",
        "Alerts by severity",
        "How many events meet an alert rule of each severity; the last row has rules that mean something only in numbers",
        "table",
        TRAIL,
        (BY_SEVERITY,),
        (Metric("Events"), Metric("Callers", "cardinality", "ct.identity"), Metric("Newest event", "max", "eventTime")),
        MET,
    ),
    Panel(
        "alerts-over-time",
        "Alerts over time, by severity",
        "When events met an alert rule",
        "histogram",
        TRAIL,
        (Time("eventTime", "Time of the event"), BY_SEVERITY),
        query=MET,
    ),
    Panel(
        "alerts-by-rule",
        "Alerts by rule",
        "Which alert rules were met, by how many callers, and when last",
        "table",
        TRAIL,
        (_RULE,),
        (Metric("Events"), Metric("Callers", "cardinality", "ct.identity"), Metric("Newest event", "max", "eventTime")),
        MET,
    ),
    Panel(
        "alerts-by-caller",
        "Alerts by caller and rule",
        "Who met alert rules, and which",
        "table",
        TRAIL,
        (Terms("ct.caller", "Caller", 20), Terms("ct.alerts", "Rule", 10)),
        query=MET,
    ),
)

SEARCH: Final = Search(
    "alerts",
    "Alerts: events that meet a rule",
    "Each event that meets an alert rule, with the names of its rules",
    TRAIL,
    ("ct.alerts", "eventName", "ct.caller", "sourceIPAddress", "recipientAccountId", "awsRegion", "errorCode"),
    MET,
)
