"""`audit-search doctor`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from audit_search.domain.settings import DomainSettings
from audit_search_cli.checks.findings import Finding, Patient
from audit_search_cli.connection import Anonymous, Engine
from audit_search_cli.doctor import examine
from audit_search_cli.errors import FINDINGS, FINE, WRONG_USE, Problem, explain_aws
from audit_search_cli.options import DocumentedCommand, Invocation, pass_invocation, settings_options
from audit_search_cli.output import Output, progress

_ORDER = ("error", "warning", "not checked", "note", "ok")


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search doctor --stack audit-search",
        "audit-search doctor --endpoint https://search-audit-abc.eu-central-1.es.amazonaws.com",
        "audit-search doctor --stack audit-search --connect-to localhost:9443 --output json",
    ),
)
@click.option(
    "--stale-hours",
    type=click.FloatRange(0, 8_760, min_open=True),
    default=3.0,
    show_default=True,
    help="Warn when nothing has come in for so many hours.",
)
@settings_options
@pass_invocation
def doctor(invocation: Invocation, stale_hours: float) -> int:
    """Look at an installation and say what is wrong, and what to do about it.

    Asks the engine (can it be reached, as whom, is it prepared, do indices, shards and disks hold, how new is the newest
    event) and, with --stack, AWS: dead letters, the function and what feeds it, alarms. It changes nothing. The exit code is
    1 where there is an error.
    """
    target, stack = invocation.target, invocation.stack
    settings = DomainSettings.from_env({**invocation.settings, "OPENSEARCH_ENDPOINT": target.endpoint})
    engine, unsigned = _engine(invocation)
    patient = Patient(
        engine=engine,
        settings=settings,
        now=datetime.now(UTC),
        client=lambda service: _client(invocation, service),
        stack=stack,
        stale=timedelta(hours=stale_hours),
        unsigned=unsigned,
    )
    with progress("looking") as say:
        findings = list(examine(patient, lambda check: say(f"looking at: {check}")))
    _print(invocation.output, findings)
    return FINDINGS if any(finding.severity == "error" for finding in findings) else FINE


def _engine(invocation: Invocation) -> tuple[Engine, Problem | None]:
    """The engine, and why requests to it cannot be signed: whether it can be reached is worth knowing all the same."""
    try:
        return invocation.engine(), None
    except (Problem, BotoCoreError, ClientError) as error:
        problem = error if isinstance(error, Problem) else explain_aws(error, "Signing in")
        if problem.code == WRONG_USE:
            raise
        return Engine(invocation.target, Anonymous()), problem


def _client(invocation: Invocation, service: str) -> Any:
    """Who we are is asked with the credentials that sign requests, everything else with the caller's own."""
    return invocation.client(service, session=invocation.engine_session if service == "sts" else None)


def _print(output: Output, findings: list[Finding]) -> None:
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in _ORDER}
    if output.as_json:
        return output.document({"counts": counts, "findings": [_plain(finding) for finding in findings]})
    rows = [(finding.severity, finding.check, _text(finding)) for finding in findings]
    output.table(("", "check", "what was found, and what to do"), rows, whole=("", "check"))
    for finding in findings:
        if finding.table:
            output.heading(finding.check)
            output.table(finding.table[0], finding.table[1:], whole=finding.table[0][:2])
    output.line()
    return output.line(", ".join(f"{count} {_plural(name, count)}" for name, count in counts.items() if count))


def _text(finding: Finding) -> str:
    return f"{finding.what} → {finding.remedy}" if finding.remedy else finding.what


def _plural(severity: str, count: int) -> str:
    return f"{severity}s" if count != 1 and severity in ("error", "warning", "note") else severity


def _plain(finding: Finding) -> dict[str, Any]:
    plain = asdict(finding)
    header, *rows = finding.table or ((),)
    plain["table"] = [dict(zip(header, row, strict=True)) for row in rows]
    return plain
