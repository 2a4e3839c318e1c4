"""`audit-search backfill`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from audit_search.objects import ObjectReader
from audit_search.settings import GIB
from audit_search_cli import estimates, history, history_state, pipelines
from audit_search_cli.commands import sending
from audit_search_cli.errors import FINDINGS, FINE, INTERRUPTED, Problem
from audit_search_cli.estimates import Estimate
from audit_search_cli.history import Backfill
from audit_search_cli.history_sources import Found, Selection, Source, find, source
from audit_search_cli.history_state import State
from audit_search_cli.history_worker import FolderReader, Job
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, human_age, human_bytes, progress, progress_bar
from audit_search_cli.pipelines import RULES_HELP, Quarantine, exclusion_rules
from audit_search_cli.times import Time, between

_NAMES = {
    "accounts": (r"\d{12}", "account (12 digits)"),
    "regions": (r"[a-z0-9-]+", "region, such as eu-central-1"),
    "trails": (r"[A-Za-z0-9._-]+", "name of a trail"),
}
_SHOWN = 20
_ASSUMED = (
    f"the engine keeps up; {estimates.STORED_BYTES:,} B an event or item in an index",
    f"here {estimates.EVENTS_A_SECOND:,} events and items or {estimates.OBJECTS_A_SECOND} objects a second and process",
    f"a function takes {estimates.EVENT_US} µs of CPU for an event, {estimates.ITEM_US} µs for an item, as measured",
    f"and {estimates.OBJECT_MS} ms for an object",
    f"{estimates.INVOCATION_OBJECTS} objects wait {estimates.WAITING_MS:.0f} ms together",
    "prices of us-east-1, see docs/cost.md",
)


def names_of(context: click.Context, parameter: click.Parameter, value: str) -> frozenset[str]:
    """Names that are separated by commas, of accounts, regions or trails by the name of the option. Raises BadParameter."""
    pattern, what = _NAMES[str(parameter.name)]
    names = [name.strip() for name in value.split(",")] if value else []
    for name in names:
        if not re.fullmatch(pattern, name, re.ASCII):
            raise click.BadParameter(f"{name!r} is no {what}", context, parameter)
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for, by the names of the options."""

    what: str
    since: datetime | None
    until: datetime | None
    accounts: frozenset[str]
    regions: frozenset[str]
    of: str
    dry_run: bool
    to_queue: bool
    processes: int
    bucket: str
    quarantine_bucket: str
    quarantine_folder: Path
    rules: str
    state: Path | None
    restart: bool


@click.command(
    cls=DocumentedCommand,
    examples=(
        'audit-search backfill s3://my-trail-bucket --since "90 days ago" --dry-run',
        "audit-search backfill s3://my-trail-bucket/AWSLogs/ --since 2026-08-01 --until 2026-09-01 --stack audit-search",
        "audit-search backfill s3://my-trail-bucket --accounts 111122223333 --regions us-east-1 --stack audit-search",
        "audit-search backfill s3://my-trail-bucket --since 2026-08-01 --stack audit-search --to-queue",
        "audit-search backfill ./old-logs --endpoint http://127.0.0.1:9200 --auth none --processes 2",
    ),
)
@click.argument("what", metavar="s3://BUCKET[/PREFIX]|FOLDER")
@click.option("--since", type=Time(), help='Only what was delivered at or after this time: 2026-11-20, "2 days ago", 90m.')
@click.option("--until", type=Time(), help="Only what was delivered before this time; a date is its beginning.  [default: now]")
@click.option("--accounts", default="", callback=names_of, metavar="IDS", help="Only these accounts, separated by commas.")
@click.option("--regions", default="", callback=names_of, metavar="NAMES", help="Only these regions, separated by commas.")
@click.option("--of", type=click.Choice(["all", "cloudtrail", "config"]), default="all", show_default=True, help="Whose objects.")
@click.option("--dry-run", is_flag=True, help="Estimate objects, bytes, events, minutes and cost, and write nothing.")
@click.option("--to-queue", is_flag=True, help=sending.HELP)
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="So many work side by side.")
@click.option("--bucket", default="", metavar="NAME", help="For a folder: the bucket that it is a copy of; documents name it.")
@click.option(
    "--quarantine-bucket", default="", metavar="NAME", help="Where what cannot be indexed goes.  [default: the stack's]"
)
@click.option(
    "--quarantine-folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("audit-search-quarantine"),
    show_default=True,
    help="The same where there is no such bucket.",
)
@click.option("--rules", default="", metavar="FILE|TEXT", help=RULES_HELP)
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Where what is done is written down.")
@click.option("--restart", is_flag=True, help="Forget what earlier runs have done.")
@engine_options
@pass_invocation
def backfill(invocation: Invocation, /, **given: Any) -> int:
    """Index what was delivered before Audit Search was there: CloudTrail's log files, AWS Config's histories and snapshots.

    The objects take the way that the functions take, here, with the caller's credentials, and are marked as replay
    (ct.ingestMode). What is indexed already is a duplicate and changes nothing. A run that ends early, by Ctrl-C (what is in
    hand is finished) or killed, goes on where it was when the same command is given again.

    The range is that of the delivery: events are up to some 15 minutes older, AWS Config's histories up to a day. In a folder,
    keys are the paths below it. Exclusion rules are those of --rules, else of EXCLUSION_RULES, else of the stack's function.
    Retention (RETENTION_DAYS, CONFIG_RETENTION_DAYS) is the stack's too: what is older is filtered.

    With --to-queue nothing is read here: the stack's queues get messages that name the objects, and its functions index them, as
    many at a time as the stack allows (MaximumConcurrency).
    """
    asked = _Asked(**given)
    now = datetime.now(UTC)
    place = source(asked.what, asked.bucket)
    if asked.to_queue:
        _check_queue(place, asked)
    selection = Selection(between(asked.since, asked.until, now), asked.accounts, asked.regions, asked.of)
    job = None if asked.dry_run or asked.to_queue else _job(invocation, place, asked)
    with progress(f"listing {place}"):
        objects = list(find(place, selection, lambda: invocation.client("s3"), now))
    if asked.to_queue and not asked.dry_run:
        return _send(invocation, objects, selection, place, asked)
    if job is None:
        with progress("reading some objects"):
            listings = None if place.folder else selection.listings
            made = estimates.estimate(objects, reader_of(invocation, place), asked.processes, listings)
        return _print_estimate(invocation.output, made, selection, asked.processes)
    return _run(invocation, job, objects, selection, place, asked)


def _check_queue(place: Source, asked: _Asked) -> None:
    """Refuse what --to-queue has no use for. Raises Problem."""
    if place.folder:
        raise Problem("--to-queue is for a bucket", "The functions cannot read this folder: leave --to-queue away.")
    if asked.processes != 1 or asked.rules or asked.quarantine_bucket:
        raise Problem("--processes, --rules and --quarantine-bucket say how objects are indexed here", "Leave --to-queue away.")


def _send(invocation: Invocation, objects: Sequence[Found], selection: Selection, place: Source, asked: _Asked) -> int:
    """Let the functions index the objects; the exit code."""
    with Interrupts() as interrupts:
        result, path = sending.send(invocation, objects, str(place), interrupts, asked.state, restart=asked.restart)
    sending.print_backfill(invocation, result, selection.left_out, path)
    return INTERRUPTED if result.interrupted else FINDINGS if result.failed else FINE


def _run(invocation: Invocation, job: Job, objects: Sequence[Found], selection: Selection, place: Source, asked: _Asked) -> int:
    """Index the objects and say how it went; the exit code."""
    target = {"source": str(place), "endpoint": job.environ["OPENSEARCH_ENDPOINT"], "prefix": job.environ.get("INDEX_PREFIX", "")}
    path = asked.state or history_state.default_path(target, invocation.environ)
    with State(path, target, restart=asked.restart) as kept, Interrupts() as interrupts, progress_bar("indexing") as say:
        result = history.run(
            objects,
            job,
            kept,
            processes=asked.processes,
            stop=lambda: interrupts.requested,
            step=lambda result: say(result.before + result.done, result.found, counted(result.counts["read"], "record")),
        )
    _print_result(invocation.output, result, selection, path)
    if result.interrupted:
        return INTERRUPTED
    wrong = result.returned or result.counts["quarantined"] or result.counts["quarantined_objects"]
    return FINDINGS if wrong else FINE


def _job(invocation: Invocation, place: Source, asked: _Asked) -> Job:
    """The settings of the processes. Raises Problem and SettingsError."""
    bucket = asked.quarantine_bucket
    if not bucket and invocation.stack and place.folder is None:
        bucket = invocation.stack.physical("QuarantineBucket")
    quarantine = Quarantine(bucket) if bucket else Quarantine(folder=asked.quarantine_folder.resolve())
    rules = exclusion_rules(invocation, asked.rules)
    return pipelines.job(invocation, "backfill", [place.bucket], quarantine, rules, place.folder)


def reader_of(invocation: Invocation, place: Source) -> ObjectReader:
    """What opens the objects of a source for a look at them."""
    if place.folder:
        return FolderReader(place.folder, max_bytes=4 * GIB, max_ratio=250)
    return ObjectReader(invocation.client("s3"), frozenset([place.bucket]), max_bytes=4 * GIB, max_ratio=250)


def _estimated(made: Estimate, selection: Selection) -> dict[str, Any]:
    return {
        "since": selection.within.since.isoformat() if selection.within.since else None,
        "until": selection.within.until.isoformat(),
        "objects": made.objects,
        "bytes": made.bytes,
        "events": made.events,
        "items": made.items,
        "sampled_objects": made.sampled,
        "unreadable_in_sample": made.unreadable,
        "minutes": round(made.minutes, 2),
        "s3_usd": round(made.s3_usd, 6),
        "stored_bytes": made.stored,
        "functions": made.functions
        and {
            "minutes": round(made.functions.minutes, 2),
            "lambda_usd": round(made.functions.lambda_usd, 6),
            "sqs_usd": round(made.functions.sqs_usd, 6),
        },
        "left_out": dict(selection.left_out),
    }


def _print_estimate(output: Output, made: Estimate, selection: Selection, processes: int) -> int:
    if output.as_json:
        output.document(_estimated(made, selection))
        return FINE
    output.line(f"{counted(made.objects, 'object')}, {human_bytes(made.bytes)}, delivered {selection.within}.")
    _print_left_out(output, selection)
    records = f"{counted(made.events, 'event')} and {counted(made.items, 'configuration item')}"
    output.line(f"About {records} (by {counted(made.sampled - made.unreadable, 'object')} that were read).")
    if made.unreadable:
        output.line(f"{made.unreadable} of the {made.sampled} objects of the sample could not be read.", "yellow")
    output.line(f"{human_bytes(made.stored)} more in each copy of the indices, {made.s3_usd:.4f} USD for S3's requests.")
    output.line(f"Here: about {human_age(made.minutes * 60)} with {counted(processes, 'process', 'processes')}.")
    functions = made.functions
    if functions:
        output.line(
            f"By the functions of a stack: about {human_age(functions.minutes * 60)} with {estimates.COPIES} at a time, "
            f"{functions.lambda_usd:.4f} USD for Lambda and {functions.sqs_usd:.4f} USD for SQS."
        )
    output.line("Assumed:")
    for assumed in _ASSUMED:
        output.line(f"  - {assumed}")
    output.line("Nothing was written (--dry-run).")
    return FINE


def _print_left_out(output: Output, selection: Selection) -> None:
    for reason, count in sorted(selection.left_out.items()):
        output.line(f"{counted(count, 'object')} left out: {reason}.")


def _print_result(output: Output, result: Backfill, selection: Selection, state: Path) -> None:
    counts = {name: result.counts[name] for name in ("read", "indexed", "duplicates", "filtered", "quarantined", "returned")}
    if output.as_json:
        return output.document(
            {
                "objects": {
                    "found": result.found,
                    "done": result.done,
                    "done_before": result.before,
                    "returned": len(result.returned),
                    "left": result.left,
                    "quarantined": result.counts["quarantined_objects"],
                },
                "records": counts,
                "left_out": dict(selection.left_out),
                "failures": [{"key": key, "reason": reason} for key, reason in result.returned],
                "interrupted": result.interrupted,
                "state": str(state),
            }
        )
    output.line(
        f"{counted(result.found, 'object')} found = {result.done:,} done + {result.before:,} done before + "
        f"{len(result.returned):,} returned + {result.left:,} left"
    )
    output.line(f"{counts.pop('read'):,} records read = {' + '.join(f'{count:,} {name}' for name, count in counts.items())}")
    _print_left_out(output, selection)
    if result.counts["quarantined_objects"]:
        output.line(f"{counted(result.counts['quarantined_objects'], 'object')} could not be read to the end: see quarantine.")
    if result.returned:
        output.table(("object", "why"), result.returned[:_SHOWN])
    if result.returned or result.interrupted:
        output.line(f"Give the same command again for what is left. State: {state}")
    return None
