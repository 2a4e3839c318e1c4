"""`audit-search setup`."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from audit_search.domain import setup as domain_setup
from audit_search.domain.settings import DomainSettings
from audit_search.domain.setup import Change, Outcome, Plan
from audit_search_cli import backups
from audit_search_cli.connection import Engine
from audit_search_cli.errors import FINDINGS, FINE, INTERRUPTED
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.options import DocumentedCommand, Invocation, pass_invocation, settings_options
from audit_search_cli.output import Output, note, progress


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search setup --stack audit-search --dry-run",
        "audit-search setup --stack audit-search --profile administrator",
        "audit-search setup --endpoint http://127.0.0.1:9200 --auth none --replicas 0",
    ),
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--backup-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where copies of what is replaced go.  [default: ./audit-search-backup-<UTC time>]",
)
@settings_options
@pass_invocation
def setup(invocation: Invocation, dry_run: bool, backup_dir: Path | None) -> int:
    """Prepare the domain: index templates, ISM policies, roles and their mappings, and the dashboards.

    Shows what has to change and changes it; doing it again changes nothing. What is replaced is copied to a file first. What
    others made under one of our names is never touched: then nothing is done, and the exit code is 1.
    """
    output = invocation.output
    settings = DomainSettings.from_env({**invocation.settings, "OPENSEARCH_ENDPOINT": invocation.target.endpoint})
    engine = invocation.engine()
    with progress("comparing the domain with the settings"):
        plan = domain_setup.plan(engine, settings)
    if dry_run or plan.refused or not plan.to_do:
        _print(output, plan, None, dry_run=dry_run)
        return FINDINGS if plan.refused else FINE
    if not output.as_json:
        _table(output, plan.changes)
    now = datetime.now(UTC)
    folder = backup_dir or backups.default_folder(now)
    kept: list[str] = []
    keep = _counting(backups.keeper(folder, now), kept)
    try:
        with Interrupts() as interrupts, progress("changing the domain"):
            outcome = _apply(engine, plan, keep, interrupts)
    except BaseException:
        note(_half_done(kept, folder))
        raise
    _print(output, plan, outcome, dry_run=False)
    if interrupts.requested:
        note(_half_done(kept, folder))
        return INTERRUPTED
    return FINE


def _apply(engine: Engine, plan: Plan, keep: backups.Keep, interrupts: Interrupts) -> Outcome:
    """One change after the other: Ctrl-C takes effect between two of them."""
    done: list[Change] = []
    kept: dict[str, str] = {}
    for change in plan.changes:
        if interrupts.requested:
            break
        outcome = domain_setup.apply(engine, Plan((change,)), keep)
        done += outcome.changes
        kept.update(outcome.backups)
    return Outcome(tuple(done), kept)


def _counting(keep: backups.Keep, kept: list[str]) -> backups.Keep:
    def counted(name: str, document: Any) -> str:
        kept.append(keep(name, document))
        return kept[-1]

    return counted


def _half_done(kept: list[str], folder: Path) -> str:
    where = f" What had been replaced by then is in {folder}." if kept else ""
    return f"The set-up ended early and is not complete. Run it again: it does only what is left.{where}"


def _print(output: Output, plan: Plan, outcome: Outcome | None, *, dry_run: bool) -> None:
    changes = outcome.changes if outcome else plan.changes
    counts = Counter(change.action for change in changes)
    if output.as_json:
        document = {
            "applied": outcome is not None,
            "counts": dict(counts),
            "changes": [_plain(change) for change in changes],
            "backups": dict(outcome.backups) if outcome else {},
        }
        return output.document(document)
    if outcome is None:
        _table(output, plan.changes)
    output.line()
    output.line(_summary(plan, outcome, dry_run=dry_run))
    planned = {(change.kind, change.name): change.reason for change in plan.changes}
    for change in outcome.changes if outcome else ():
        if change.reason != planned.get((change.kind, change.name)):
            output.line(f"  {change.kind} {change.name}: {change.reason}")
    for name, where in (outcome.backups if outcome else {}).items():
        output.line(f"  {name} as it was before: {where}")
    return None


def _summary(plan: Plan, outcome: Outcome | None, *, dry_run: bool) -> str:
    to_do = len(plan.to_do)
    if plan.refused:
        names = ", ".join(f"{change.kind} {change.name}" for change in plan.refused)
        return f"Nothing was changed: {names} stands in the way. Rename or remove it, or use another --prefix."
    if outcome:
        return f"Done: {sum(change.action in ('create', 'update') for change in outcome.changes)} of {to_do} changed."
    if to_do and dry_run:
        return f"{to_do} to change; nothing was changed (--dry-run)."
    return "Everything is as it should be: nothing to change."


def _table(output: Output, changes: tuple[Change, ...]) -> None:
    rows = [(change.kind, change.name, change.action, len(change.differences) or "", change.reason) for change in changes]
    header = ("kind", "name", "action", "differences", "reason")
    output.table(header, rows, numbers=("differences",), whole=header[:-1])
    for change in changes:
        if change.differences:
            output.line(f"What differs in {change.kind} {change.name}:")
            for path in change.differences:
                output.line(f"  {path}")


def _plain(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "name": change.name,
        "action": change.action,
        "reason": change.reason,
        "differences": list(change.differences),
    }
