"""Whether people find the dashboards in OpenSearch Dashboards, and as they are shipped."""

from __future__ import annotations

from audit_search.domain import dashboards
from audit_search.domain.changes import Change
from audit_search_cli.checks.findings import Finding, Patient

_CHECK = "dashboards"
_SHOWN = 6


def saved_objects(patient: Patient) -> list[Finding]:
    """How many saved objects are missing, of another release, or edited, and what a set-up would do about it."""
    changes = dashboards.changes(patient.engine, patient.settings)
    return [_finding(change) for change in changes] or [
        Finding(_CHECK, "note", "The dashboards are not looked at: the settings leave them to somebody else (DASHBOARDS=false).")
    ]


def _finding(change: Change) -> Finding:
    if change.action == "unchanged":
        return Finding(_CHECK, "ok", f"The saved objects of OpenSearch Dashboards are there and current ({change.reason}).")
    if change.action == "leave out":
        return Finding(_CHECK, "note", f"Whether the dashboards are there is not known: {change.reason}.")
    if change.action == "create":
        return Finding(_CHECK, "warning", f"There are no dashboards: {change.reason}.", "audit-search setup imports them.")
    shown = ", ".join(change.differences[:_SHOWN]) + (", …" if len(change.differences) > _SHOWN else "")
    remedy = "audit-search setup imports what is missing and replaces what differs; what it replaces it copies to a file first."
    kept = " To keep what was edited, save it under another title before." if "edited" in change.reason else ""
    return Finding(
        _CHECK, "warning", f"The dashboards are not as this release has them: {change.reason} ({shown}).", remedy + kept
    )
