"""Whether the domain is prepared as the settings say: what a set-up would change is what is missing or differs."""

from __future__ import annotations

from collections import Counter

from audit_search.domain import setup
from audit_search.domain.dashboards import KIND
from audit_search.domain.setup import Change
from audit_search.errors import DomainSetupError
from audit_search_cli.checks.findings import Finding, NotCheckedError, Patient

_CHECK = "preparation"
_SET_UP = "audit-search setup puts it in place (audit-search setup --dry-run shows how)."
_SHOWN = 8


def preparation(patient: Patient) -> list[Finding]:
    """Index templates, ISM policies, roles and role mappings: there, of this version, and as the settings make them."""
    try:
        plan = setup.plan(patient.engine, patient.settings)
    except DomainSetupError as error:
        raise NotCheckedError(str(error)) from error
    found = [change for change in plan.changes if change.kind != KIND]  # the dashboards have a check of their own
    findings = [_finding(change) for change in found if change.action != "unchanged"]
    same = Counter(change.kind for change in found if change.action == "unchanged")
    if same:
        kinds = ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in same.items())
        findings.append(Finding(_CHECK, "ok", f"As the settings say: {kinds}."))
    return findings + _unknown_writers(patient)


def _unknown_writers(patient: Patient) -> list[Finding]:
    if patient.engine.target.auth != "aws":
        return []
    settings, writers = patient.settings, [("function", "--writer-role-arns", patient.settings.writer_role_arns)]
    if settings.config:
        writers.append(("AWS Config function", "--config-writer-role-arns", settings.config_writer_role_arns))
    return [
        Finding(
            _CHECK,
            "note",
            f"Whether the {function} may write is not known: its role is not named.",
            f"Give --stack NAME, or the function's role in {option}.",
        )
        for function, option, roles in writers
        if not roles
    ]


def _finding(change: Change) -> Finding:
    what = f"{change.kind} {change.name}"
    reason = f": {change.reason.rstrip('.')}." if change.reason else "."
    if change.action == "create":
        return Finding(_CHECK, "error", f"{what} is missing{reason}", _SET_UP)
    if change.action == "refuse":
        return Finding(_CHECK, "error", f"{what} stands in the way{reason}", "Nothing is set up before this is decided.")
    if change.action == "leave out":
        return Finding(_CHECK, "note", f"{what} is left out{reason}")
    shown = ", ".join(change.differences[:_SHOWN]) + (", …" if len(change.differences) > _SHOWN else "")
    # The function refuses to write while the template is older than itself.
    old = change.kind == "index template" and any(path.partition(":")[0] == "version" for path in change.differences)
    return Finding(_CHECK, "error" if old else "warning", f"{what} differs ({shown or 'in content'}){reason}", _SET_UP)
