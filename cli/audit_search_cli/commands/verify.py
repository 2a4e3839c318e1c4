"""`audit-search verify`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from audit_search import exclusions
from audit_search.documents import Naming
from audit_search.envelopes import ObjectRef
from audit_search.errors import SettingsError
from audit_search.settings import Reader
from audit_search.validation.chains import Selection
from audit_search.validation.keys import KeyRing
from audit_search.validation.reports import Report
from audit_search.validation.verification import Verification
from audit_search.validation.whereabouts import QuarantineReader, Whereabouts
from audit_search_cli import exports, history, kept, pipelines, proof
from audit_search_cli.commands import sending
from audit_search_cli.commands.backfill import names_of
from audit_search_cli.errors import FINDINGS, FINE, INTERRUPTED, Problem
from audit_search_cli.history import Backfill
from audit_search_cli.history_queue import Sent
from audit_search_cli.history_sources import Found
from audit_search_cli.history_state import State
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, progress, progress_bar
from audit_search_cli.pipelines import RULES_HELP, Quarantine, exclusion_rules
from audit_search_cli.proof import Source
from audit_search_cli.times import Time, between, shown

_DAY = timedelta(days=1)
_SHOWN = 50
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for, by the names of the options."""

    source: str
    since: datetime | None
    until: datetime | None
    accounts: frozenset[str]
    regions: frozenset[str]
    trails: frozenset[str]
    public_keys: tuple[Path, ...]
    signatures: Path | None
    no_index: bool
    rules: str
    quarantine: str
    repair: bool
    to_queue: bool
    folder: Path | None
    digests_only: bool


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search verify s3://my-trail-bucket --stack audit-search",
        'audit-search verify s3://my-trail-bucket --since "7 days ago" --regions us-east-1 --stack audit-search --repair',
        "audit-search verify s3://my-trail-bucket --stack audit-search --repair --to-queue",
        "audit-search verify s3://my-trail-bucket --since 2026-11-01 --until 2026-11-02 --no-index",
        "audit-search verify s3://my-trail-bucket --since 2026-11-01 --export ./november",
        "audit-search verify ./november --since 2026-11-01 --no-index --output json",
    ),
)
@click.argument("source", metavar="s3://BUCKET[/PREFIX]|FOLDER")
@click.option("--since", type=Time(), metavar="TIME", help="What was delivered from then on.  [default: a day before --until]")
@click.option("--until", type=Time(), metavar="TIME", help="What was delivered before.  [default: now]")
@click.option("--accounts", default="", callback=names_of, metavar="IDS", help="Only these accounts, separated by commas.")
@click.option("--regions", default="", callback=names_of, metavar="NAMES", help="Only these regions, separated by commas.")
@click.option("--trail", "trails", default="", callback=names_of, metavar="NAMES", help="Only these trails, separated by commas.")
@click.option(
    "--public-keys",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="What `aws cloudtrail list-public-keys` printed, once for each region; without it CloudTrail is asked.",
)
@click.option("--signatures", type=_FILE, metavar="FILE", help="For a folder: the metadata of its digests, by key.")
@click.option("--no-index", is_flag=True, help="Look at digests and log files only, not at where the records are.")
@click.option("--rules", default="", metavar="FILE|TEXT", help=RULES_HELP)
@click.option("--quarantine", default="", metavar="URL", help="Where quarantine is, s3://BUCKET/PREFIX.  [default: the stack's]")
@click.option("--repair", is_flag=True, help="Index log files that are right and whose records are missing, marked as replay.")
@click.option("--to-queue", is_flag=True, help=f"With --repair. {sending.HELP}")
@click.option("--export", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Only copy all that a proof needs.")
@click.option("--digests-only", is_flag=True, help="With --export: leave out the log files.")
@engine_options
@pass_invocation
def verify(invocation: Invocation, /, **given: Any) -> int:
    """Prove by CloudTrail's digest files that nothing is missing.

    Every digest must be in its place and signed by CloudTrail, every log file that it lists must be there with the hash that it
    names, and each of its records be indexed, filtered by a rule, in quarantine, or older than what is kept. Digests come up to
    an hour late: what is newer is not looked at. The exit code is 1 where anything is not right.

    A folder is a copy of the bucket; --export makes one that can be verified without AWS.
    """
    asked = _Asked(**given)
    now = datetime.now(UTC)
    span = between(asked.since or (asked.until or now) - _DAY, asked.until, now)
    place = proof.source(asked.source)
    selection = Selection(span.since or now, span.until, place.prefix, asked.accounts, asked.regions, asked.trails)
    _check(place, asked)
    store = proof.store(place, lambda: invocation.client("s3"), asked.signatures)
    known = proof.known_keys(place, asked.public_keys)
    ring = KeyRing(known, None if known is not None else lambda region: invocation.client("cloudtrail", region))
    if asked.folder:
        return _export(invocation, store, ring, selection, asked.folder, files=not asked.digests_only)
    rules = "" if asked.no_index else exclusion_rules(invocation, asked.rules)
    run = Verification(store, ring, selection, None if asked.no_index else _whereabouts(invocation, rules, asked.quarantine))
    with Interrupts() as interrupts:
        run.stop = lambda: interrupts.requested
        with progress_bar(f"verifying {place}") as say:
            run.step = lambda report: say(report.total.files.total(), run.found, _so_far(report))
            report = run.run()
        mended = _repair(invocation, report, rules, asked, interrupts) if asked.repair else None
    _print(invocation, report, mended, place)
    if report.interrupted:
        return INTERRUPTED
    return FINE if report.right and report.total.digests else FINDINGS


def _so_far(report: Report) -> str:
    return f"{counted(report.total.digests.total(), 'digest')}, {counted(report.total.records.read, 'record')}"


def _check(place: Source, asked: _Asked) -> None:
    """Refuse what cannot be meant. Raises Problem."""
    if asked.repair and (place.folder or asked.no_index):
        raise Problem("--repair needs a bucket and an engine", "Give s3://BUCKET, and leave --no-index away.")
    if asked.to_queue and not asked.repair:
        raise Problem("--to-queue says who is to repair", "Give --repair too.")
    if asked.folder and (place.folder or asked.repair):
        raise Problem("--export copies a bucket, and nothing else", "Give s3://BUCKET, and leave --repair away.")
    if asked.digests_only and not asked.folder:
        raise Problem("--digests-only says what --export copies", "Give --export FOLDER too.")


def _quarantine(invocation: Invocation, url: str) -> tuple[str, str] | None:
    """The bucket and prefix of quarantine, if any is named."""
    url = url or (invocation.stack.outputs.get("QuarantineLocation", "") if invocation.stack else "")
    if not url:
        return None
    where = kept.place(url)
    return where.bucket, where.prefix


def _whereabouts(invocation: Invocation, rules: str, url: str) -> Whereabouts:
    """What looks records up, by the settings that the function has. Raises Problem and SettingsError."""
    read = Reader({**invocation.settings, "OPENSEARCH_ENDPOINT": invocation.target.endpoint})
    engine, daily = read.engine(), read.daily()
    if read.problems:
        raise SettingsError(read.problems)
    try:
        parsed = exclusions.parse(rules)
    except ValueError as error:
        raise Problem(f"The exclusion rules are not valid: {'; '.join(str(error).splitlines())}", "Correct --rules.") from error
    where = _quarantine(invocation, url)
    return Whereabouts(
        engine=proof.LookUps(invocation.engine()),
        naming=Naming(engine["index_prefix"], daily),
        rules=parsed,
        retention_days=engine["retention_days"],
        quarantine=QuarantineReader(invocation.client("s3"), *where) if where else None,
    )


def _export(invocation: Invocation, store: Any, ring: KeyRing, selection: Selection, folder: Path, *, files: bool) -> int:
    with Interrupts() as interrupts, progress(f"copying to {folder}"):
        s3 = invocation.client("s3")
        made = exports.export(s3, store, ring, selection, folder, files=files, stop=lambda: interrupts.requested)
    if invocation.output.as_json:
        invocation.output.document(
            {
                "folder": str(folder),
                "digests": made.digests,
                "files": made.files,
                "absent": made.absent,
                "interrupted": made.interrupted,
            }
        )
    else:
        copied = f"{counted(made.digests, 'digest')} and {counted(made.files, 'log file')}"
        invocation.output.line(f"{copied} are in {folder}, with signatures and public keys; {len(made.absent)} do not exist.")
    return INTERRUPTED if made.interrupted else FINE


def _repair(invocation: Invocation, report: Report, rules: str, asked: _Asked, interrupts: Interrupts) -> Backfill | Sent | None:
    """Index what can be mended, as a backfill does; None where there is nothing. Raises Problem."""
    todo = [verdict for verdict in report.bad_files if verdict.repairable]
    if not todo or interrupts.requested:
        return None
    objects = [Found(ObjectRef(one.file.bucket, one.file.key), config=False) for one in todo]
    if asked.to_queue:
        with TemporaryDirectory() as folder:
            return sending.send(invocation, objects, asked.source, interrupts, Path(folder, "repair.jsonl"))[0]
    where = _quarantine(invocation, asked.quarantine)
    if where is None:
        raise Problem(
            "--repair needs a quarantine for what cannot be indexed", "Give --quarantine s3://BUCKET/PREFIX or --stack."
        )
    quarantine = Quarantine(where[0], where[1] or "quarantine/")
    job = pipelines.job(invocation, "--repair", (one.file.bucket for one in todo), quarantine, rules)
    with TemporaryDirectory() as folder, State(Path(folder, "repair.jsonl"), {}) as state, progress_bar("indexing") as say:
        return history.run(
            objects,
            job,
            state,
            processes=1,
            stop=lambda: interrupts.requested,
            step=lambda result: say(result.done, result.found, counted(result.counts["read"], "record")),
        )


def _print(invocation: Invocation, report: Report, mended: Backfill | Sent | None, place: Source) -> None:
    output = invocation.output
    if output.as_json:
        return output.document({**report.document(), "repair": _mended(mended) if mended else None})
    output.line(f"{place}, delivered from {shown(report.since)} to {shown(report.until)}")
    if not report.rows:
        output.line("No digests: is log file validation on, and is this the trail's bucket and key prefix?", "yellow")
    else:
        _print_rows(output, report)
    _print_bad(output, report)
    if mended:
        output.heading("Repair: verify once more to see that nothing is missing any more")
    if isinstance(mended, Sent):
        sending.print_sent(output, mended, str(invocation.given["stack"]))
    elif mended:
        counts = mended.counts
        ended = (
            f"{counts['indexed']:,} records indexed, {counts['duplicates']:,} were there, {counts['quarantined']:,} quarantined"
        )
        output.line(f"{mended.done:,} of {counted(mended.found, 'log file')}: {ended}")
        if mended.returned:
            output.table(("not repaired", "why"), mended.returned[:_SHOWN])
    if report.interrupted:
        output.line("Interrupted: what is unread was not looked at.", "yellow")
    elif report.right and report.rows:
        output.line(
            "Nothing is missing." if report.indexed else "Nothing is missing or changed. Records were not looked up.", "green"
        )
    return None


def _mended(mended: Backfill | Sent) -> dict[str, Any]:
    if isinstance(mended, Sent):
        return sending.document(mended)
    returned = [{"key": key, "reason": reason} for key, reason in mended.returned]
    return {"found": mended.found, "done": mended.done, "records": dict(mended.counts), "returned": returned}


def _print_rows(output: Output, report: Report) -> None:
    """Digests and log files of each place, and where their records are."""
    rows = [(*place, row) for place, row in sorted(report.rows.items())]
    if len(rows) > 1:
        rows.append(("all", "", report.total))
    names = ("account", "region")
    states = ("gone", "incomplete", "changed", "unread")
    files = ("digests", "not valid", "log files", "right", *states)
    output.table(
        names + files,
        [
            (
                account,
                region,
                row.digests.total(),
                row.digests.total() - row.digests["valid"] or "",
                row.files.total(),
                row.files["right"],
                *(row.files[state] or "" for state in states),
            )
            for account, region, row in rows
        ],
        numbers=files,
        whole=names,
    )
    if report.indexed:
        counts = tuple(report.total.records.document())
        table = [(account, region, *row.records.document().values()) for account, region, row in rows]
        output.table((*names, "records", *counts[1:]), table, numbers=("records", *counts[1:]), whole=names)


def _print_bad(output: Output, report: Report) -> None:
    for problem in report.problems:
        output.line(problem, "red")
    for gap in report.gaps[:_SHOWN]:
        chain = gap.chain
        output.line(f"{chain.account} {chain.region} {chain.trail}: no digests from {shown(gap.since)} to {shown(gap.until)}")
    if report.bad_digests:
        output.heading("Digests that are not valid")
        output.table(("state", "digest", "why"), [(one.state, one.key, one.reason) for one in report.bad_digests[:_SHOWN]])
    if report.bad_files:
        output.heading("Log files that are not right")
        output.table(("state", "log file", "why"), [(one.state, one.file.key, one.reason) for one in report.bad_files[:_SHOWN]])
    more = len(report.bad_digests[_SHOWN:]) + len(report.bad_files[_SHOWN:]) + len(report.gaps[_SHOWN:])
    if more:
        output.line(f"{more:,} more are not shown; --output json has all of them.")
