"""`audit-search quarantine`: list, show; `replay` has its own module."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from audit_search_cli import kept
from audit_search_cli.errors import FINDINGS, FINE, Problem
from audit_search_cli.kept import Group, KeptEntry, Listing, Place, Summary
from audit_search_cli.options import DocumentedGroup, Invocation, aws_options, pass_invocation
from audit_search_cli.output import Output, clean, counted, human_bytes, progress
from audit_search_cli.times import Time, between

LOCATION = click.option(
    "--location",
    default="",
    metavar="URL",
    help="Where the files are, s3://BUCKET/PREFIX; without it, QuarantineLocation of --stack.",
)
_SHOWN_CHARACTERS = 20_000
_OURS = re.compile(r"[0-9a-f]{2}/[0-9a-f]{24}/[0-9a-f]{24}[.]ndjson[.]gz")
_NAME_CHARACTERS = 36


@click.group(name="quarantine", cls=DocumentedGroup, examples=("audit-search quarantine list --stack audit-search",))
def group() -> None:
    """Look at what can never be indexed, which is kept in S3 with the reason, and try it again."""


@group.command(
    name="list",
    examples=(
        "audit-search quarantine list --stack audit-search",
        "audit-search quarantine list --stack audit-search --by type",
        "audit-search quarantine list --stack audit-search --type not_json --since 2d --max 100",
        "audit-search quarantine list --location s3://my-quarantine-bucket/quarantine/ --output json",
    ),
)
@LOCATION
@click.option("--by", type=click.Choice(["type", "day"]), help="Counts by the type of error or by day, instead of the files.")
@click.option("--type", "kind", default="", metavar="TYPE", help="Only what has this type of error; every file is read for it.")
@click.option("--since", type=Time(), metavar="TIME", help="Only files written last at this time or later, such as 2d.")
@click.option("--until", type=Time(), metavar="TIME", help="Only files written last before this time.")
@click.option("--max", "most", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Show so many files at most.")
@aws_options
@pass_invocation
def list_files(
    invocation: Invocation,
    location: str,
    by: str | None,
    kind: str,
    since: datetime | None,
    until: datetime | None,
    most: int,
) -> int:
    """Show the files, newest first: when, what the entries came from, how many there are, and which errors they have.

    A file holds what could not be indexed of one object or message. Its time is that of the last try: one that is tried again
    and fails again is written again. The exit code is 1 where a file cannot be read to its end.
    """
    span = between(since, until, datetime.now(UTC)) if since or until else None
    where = replace(place_of(invocation, location), span=span)
    s3 = invocation.client("s3")
    with progress(f"reading {where}"):
        if by:
            found, damaged = kept.groups(s3, where, by, kind)
        else:
            listing = kept.listing(s3, where, most, kind)
            damaged = [summary for summary in listing.shown if summary.problem]
    if by:
        _print_groups(invocation.output, by, found, damaged, where)
    else:
        _print_listing(invocation.output, listing, where)
    return FINDINGS if damaged else FINE


@group.command(
    examples=(
        "audit-search quarantine show 4f/ --stack audit-search",
        "audit-search quarantine show s3://my-quarantine-bucket/quarantine/4f/4f0a/9c1e.ndjson.gz",
        "audit-search quarantine show fetched.ndjson.gz --raw",
    ),
)
@click.argument("file")
@LOCATION
@click.option("--raw", is_flag=True, help="Only the texts, byte for byte and a line each; cleaned where stdout is a terminal.")
@click.option(
    "--max", "most", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Show so many entries at most."
)
@aws_options
@pass_invocation
def show(invocation: Invocation, file: str, location: str, raw: bool, most: int) -> int:
    """Show each entry of a file: where it came from, why it could not be indexed, and its text.

    FILE is a file of this machine, s3://BUCKET/KEY, or a key below the location; the beginning of a key that no other has
    will do. Text that is JSON is laid out for reading. What would steer a terminal is replaced.
    """
    name, found = _entries(invocation, file, location)
    first = list(itertools.islice(found, 1))  # read before anything is printed: a file that is not there is an error alone
    shown = itertools.chain(first, itertools.islice(found, most - len(first)))
    if raw:
        _print_raw(shown)
    elif invocation.output.as_json:
        invocation.output.document({"file": name, "entries": [entry.line for entry in shown]})
    else:
        invocation.output.line(name)
        for number, entry in enumerate(shown, 1):
            _print_entry(invocation.output, number, entry)
    if next(found, None) is not None:
        click.echo(f"Note: only the first {most:,} entries are shown; --max shows more.", err=True)
    return FINE


def place_of(invocation: Invocation, given: str) -> Place:
    """Where quarantine is: at the URL that is given, else the stack's. Raises Problem."""
    if given:
        return kept.place(given)
    if invocation.stack is None:
        raise Problem("No quarantine is named", "Give --stack NAME or --location s3://BUCKET/PREFIX.")
    found = invocation.stack.outputs.get("QuarantineLocation", "")
    if not found:
        raise Problem(
            f"The stack {invocation.stack.name} has no output QuarantineLocation", "Give --location s3://BUCKET/PREFIX."
        )
    return kept.place(found)


def _entries(invocation: Invocation, file: str, location: str) -> tuple[str, Iterator[KeptEntry]]:
    """A file's whole name, and its entries as they are read."""
    if not file.startswith("s3://"):
        path = Path(file)
        if path.is_file():
            return file, kept.read_local(path)
        if not location and invocation.given.get("stack") is None:
            raise Problem(f"There is no file {file!r} here", "Give s3://BUCKET/KEY, or --stack NAME for one of its quarantine.")
    s3 = invocation.client("s3")
    if file.startswith("s3://"):
        bucket, _, key = file.removeprefix("s3://").partition("/")
        if not key or not bucket:
            raise Problem(f"{file!r} names no file", "Give s3://BUCKET/KEY (audit-search quarantine list).")
    else:
        where = place_of(invocation, location)
        bucket, key = where.bucket, kept.resolve(s3, where, file)
    return f"s3://{bucket}/{key}", kept.read(s3, bucket, key)


def _print_listing(output: Output, listing: Listing, where: Place) -> None:
    if output.as_json:
        files = [
            {
                "file": str(summary.file),
                "time": summary.file.modified.isoformat(),
                "bytes": summary.file.size,
                "source": summary.source,
                "entries": summary.entries,
                "types": dict(summary.types),
                "problem": summary.problem,
            }
            for summary in listing.shown
        ]
        return output.document({"location": str(where), "files": listing.files, "shown": files})
    output.line(f"{counted(listing.files, 'file')} at {where}")
    if listing.shown:
        rows = [
            (
                f"{one.file.modified:%Y-%m-%d %H:%M}",
                _short(one.file.key.removeprefix(where.prefix)),
                f"{one.entries:,}",
                *_about(one),
            )
            for one in listing.shown
        ]
        short = all(len(row[1]) <= _NAME_CHARACTERS for row in rows)  # a long name is folded, for nothing of it is to be lost
        whole = ("time (UTC)", "file") if short else ("time (UTC)",)
        output.table(("time (UTC)", "file", "entries", "errors", "from"), rows, numbers=("entries",), whole=whole)
    if listing.files > len(listing.shown):
        output.line(f"The newest {len(listing.shown)} are shown; --max shows more.")
    return None


def _short(name: str) -> str:
    """As much of one of our names as tells files apart and stays in one piece, so that it can be given to `show`."""
    return name[:_NAME_CHARACTERS] if _OURS.fullmatch(name) else name


def _about(summary: Summary) -> tuple[str, str]:
    types = ", ".join(f"{name} ({number:,})" if number > 1 else name for name, number in summary.types.most_common())
    return "; ".join(text for text in (types, summary.problem) if text), summary.source or human_bytes(summary.file.size)


def _print_groups(output: Output, by: str, found: dict[str, Group], damaged: list[Summary], where: Place) -> None:
    order = sorted(found.items(), key=lambda item: item[0], reverse=True)
    if by == "type":
        order.sort(key=lambda item: -item[1].entries)
    if output.as_json:
        rows: list[dict[str, Any]] = [
            {by: name, "files": one.files, "entries": one.entries, "newest": one.newest} for name, one in order
        ]
        unread = [{"file": str(summary.file), "problem": summary.problem} for summary in damaged]
        return output.document({"location": str(where), "groups": rows, "damaged": unread})
    if not order:
        output.line(f"Nothing at {where}.")
    else:
        cells = [(name, f"{one.files:,}", f"{one.entries:,}", f"{one.newest:%Y-%m-%d %H:%M}") for name, one in order]
        output.table((by, "files", "entries", "newest (UTC)"), cells, numbers=("files", "entries"))
    for summary in damaged:
        output.line(f"Not counted to its end: {summary.problem}")
    return None


def _print_entry(output: Output, number: int, entry: KeptEntry) -> None:
    where = "the whole of it" if entry.position is None else f"position {entry.position}"
    output.heading(f"{number}. {entry.source}, {where}")
    output.line(f"{entry.type}: {entry.reason}")
    if entry.time:
        output.line(f"kept {entry.time}")
    if entry.text is None:
        return
    lines = _readable(entry.text)
    shown = lines[:_SHOWN_CHARACTERS]
    for line in shown.split("\n"):
        output.line("    " + line)
    if len(lines) > len(shown):
        output.line(f"    … {len(lines) - len(shown):,} more characters; --raw shows all.")


def _readable(text: bytes) -> str:
    """JSON laid out; anything else as it is, with a sign for each byte that is no text."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text.decode("utf-8", "replace")


def _print_raw(found: Iterable[KeptEntry]) -> None:
    terminal = sys.stdout.isatty()
    stream = sys.stdout.buffer
    for entry in found:
        if entry.text is not None:
            stream.write((clean(entry.text.decode("utf-8", "replace")).encode() if terminal else entry.text) + b"\n")
    stream.flush()
