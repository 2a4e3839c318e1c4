"""`audit-search notification`: add, remove, show, restore."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from audit_search_cli import backups, notification, notification_entries
from audit_search_cli.errors import FINE, INTERRUPTED, Problem
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.notification import Outcome
from audit_search_cli.notification_entries import Configuration, Entry, Location, Wanted
from audit_search_cli.options import DocumentedGroup, Invocation, aws_options, pass_invocation
from audit_search_cli.output import Output, note

Function = TypeVar("Function", bound=Callable[..., Any])
_OWNER = click.option(
    "--expected-bucket-owner", "owner", default="", metavar="ACCOUNT", help="Refuse a bucket that is another account's."
)
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
_BACKUP_DIR = click.option(
    "--backup-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the copy of what was there goes.  [default: ./audit-search-backup-<UTC time>]",
)


def _changing(function: Function) -> Function:
    for option in (_BACKUP_DIR, _DRY_RUN, _OWNER):
        function = option(function)
    return function


@click.group(
    name="notification",
    cls=DocumentedGroup,
    examples=("audit-search notification show s3://my-trail-bucket",),
)
def group() -> None:
    """Let a bucket notify the queue, beside the notifications that it has.

    S3 keeps one configuration for a bucket, and a write replaces all of it. These commands read it, keep a copy in a file,
    change only what is ours (its Id begins with audit-search-), write, and read back what S3 then has.
    """


@group.command(
    examples=(
        "audit-search notification add s3://my-trail-bucket/AWSLogs/ --queue-arn arn:aws:sqs:eu-central-1:123456789012:queue",
        "audit-search notification add s3://my-trail-bucket --eventbridge --dry-run",
    )
)
@click.argument("bucket", metavar="s3://BUCKET[/PREFIX]")
@click.option("--queue-arn", default="", metavar="ARN", help="Notify this queue.")
@click.option("--function-arn", default="", metavar="ARN", help="Notify this function.")
@click.option("--eventbridge", is_flag=True, help="Send every event of the bucket to EventBridge.")
@click.option("--suffix", default="", metavar="TEXT", help="Only keys that end so, such as .json.gz.")
@_changing
@aws_options
@pass_invocation
def add(
    invocation: Invocation,
    bucket: str,
    queue_arn: str,
    function_arn: str,
    eventbridge: bool,
    suffix: str,
    owner: str,
    dry_run: bool,
    backup_dir: Path | None,
) -> int:
    """Add ours. Where another notification overlaps, nothing is written and it is named, with a way out.

    S3 notifies only queues and functions of the bucket's own region.
    """
    where = notification_entries.location(bucket)
    wanted = notification_entries.destination(queue_arn, function_arn, eventbridge, suffix)
    if eventbridge and where.prefix:
        raise Problem("EventBridge gets every event of the bucket, whatever the prefix", f"Give s3://{where.bucket}.")
    s3 = invocation.client("s3")
    _check_region(s3, where, wanted, owner)
    return _change(
        invocation, where.bucket, lambda now: notification_entries.added(now, where, wanted), owner, dry_run, backup_dir
    )


def _check_region(s3: Any, where: Location, wanted: Wanted, owner: str) -> None:
    if wanted.kind == "eventbridge":
        return
    region = notification.region_of(s3, where.bucket, owner)
    if region is None:
        note(f"Warning: the region of s3://{where.bucket} may not be read. S3 refuses a {wanted.kind} of another region.")
    else:
        notification.check_region(where.bucket, region, wanted)


@group.command(
    examples=(
        "audit-search notification remove s3://my-trail-bucket --dry-run",
        "audit-search notification remove s3://my-trail-bucket/AWSLogs/",
    )
)
@click.argument("bucket", metavar="s3://BUCKET[/PREFIX]")
@_changing
@aws_options
@pass_invocation
def remove(invocation: Invocation, bucket: str, owner: str, dry_run: bool, backup_dir: Path | None) -> int:
    """Take away ours (below the prefix, if one is given), and nothing else.

    EventBridge stays on, for others may use it.
    """
    where = notification_entries.location(bucket)
    return _change(invocation, where.bucket, lambda now: notification_entries.removed(now, where), owner, dry_run, backup_dir)


@group.command(examples=("audit-search notification restore backups/notification-my-trail-bucket-20261103T081422Z.json",))
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@_changing
@aws_options
@pass_invocation
def restore(invocation: Invocation, file: Path, owner: str, dry_run: bool, backup_dir: Path | None) -> int:
    """Put back the whole configuration of a backup file, to the bucket that it is of.

    What is there now is kept in a file of its own before.
    """
    bucket, configuration = notification.from_backup(file)
    return _change(invocation, bucket, lambda _now: configuration, owner, dry_run, backup_dir)


@group.command(examples=("audit-search notification show s3://my-trail-bucket --output json",))
@click.argument("bucket", metavar="s3://BUCKET")
@_OWNER
@aws_options
@pass_invocation
def show(invocation: Invocation, bucket: str, owner: str) -> int:
    """Show the notifications of a bucket, ours and others'."""
    where = notification_entries.location(bucket)
    configuration = notification.read(invocation.client("s3"), where.bucket, owner)
    output = invocation.output
    if output.as_json:
        output.document({"bucket": where.bucket, "configuration": configuration})
    elif not configuration:
        output.line(f"s3://{where.bucket} notifies nobody.")
    else:
        _table(output, [("ours" if entry.ours else "", entry) for entry in notification_entries.entries(configuration)])
    return FINE


def _change(
    invocation: Invocation,
    bucket: str,
    make: Callable[[Configuration], Configuration],
    owner: str,
    dry_run: bool,
    backup_dir: Path | None,
) -> int:
    now = datetime.now(UTC)
    keep = None if dry_run else backups.keeper(backup_dir or backups.default_folder(now), now)
    with Interrupts() as interrupts:  # a write is read back, whatever is pressed in between
        outcome = notification.change(invocation.client("s3"), bucket, make, keep=keep, owner=owner)
    _print(invocation.output, outcome)
    return INTERRUPTED if interrupts.requested else FINE


def _print(output: Output, outcome: Outcome) -> None:
    if output.as_json:
        return output.document(
            {
                "bucket": outcome.bucket,
                "changed": outcome.changed,
                "written": outcome.written,
                "backup": outcome.backup,
                "before": outcome.before,
                "after": outcome.after,
            }
        )
    before, after = notification_entries.entries(outcome.before), notification_entries.entries(outcome.after)
    rows = [("goes", entry) for entry in before if entry not in after]
    rows += [("stays" if entry in before else "comes", entry) for entry in after]
    if rows:
        _table(output, rows)
    if not outcome.changed:
        return output.line(f"s3://{outcome.bucket} is as it should be: nothing was written.")
    if not outcome.written:
        return output.line("Nothing was written (--dry-run).")
    output.line(f"s3://{outcome.bucket} was written and read back. As it was before: {outcome.backup}")
    return output.line(f"Undo it: audit-search notification restore {outcome.backup}")


def _table(output: Output, rows: list[tuple[str, Entry]]) -> None:
    cells = [
        (
            word,
            entry.kind,
            entry.arn or "every event of the bucket",
            f"{entry.prefix}*{entry.suffix}",
            ", ".join(entry.events),
            entry.id,
        )
        for word, entry in rows
    ]
    output.table(("", "kind", "target", "keys", "events", "Id"), cells, whole=("", "kind"))
