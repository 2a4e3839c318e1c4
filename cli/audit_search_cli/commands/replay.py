"""`audit-search quarantine replay`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from audit_search.envelopes import ObjectRef
from audit_search_cli import kept, pipelines, replay_files, replay_run
from audit_search_cli.commands.quarantine import LOCATION, place_of
from audit_search_cli.errors import FINDINGS, FINE, INTERRUPTED, NOT_REACHED, Problem
from audit_search_cli.history_worker import Job
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.kept import KeptEntry, Place
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, progress
from audit_search_cli.pipelines import RULES_HELP, Quarantine, allowed_buckets, exclusion_rules
from audit_search_cli.replay import OUTCOMES, Replayer
from audit_search_cli.replay_files import File, StoredFile
from audit_search_cli.replay_plan import is_config
from audit_search_cli.replay_run import Replay
from audit_search_cli.times import Time, between

_SHOWN = 20
_OURS = re.compile(r"(.*?)[0-9a-f]{2}/[0-9a-f]{24}/[^/]*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for, by the names of the options."""

    files: tuple[str, ...]
    everything: bool
    location: str
    of: str
    kind: str
    since: datetime | None
    until: datetime | None
    buckets: str
    rules: str
    keep: bool
    dry_run: bool


@click.command(
    cls=DocumentedCommand,
    name="replay",
    examples=(
        "audit-search quarantine replay 4f/ --stack audit-search",
        "audit-search quarantine replay --all --type mapper_parsing_exception --stack audit-search --dry-run",
        "audit-search quarantine replay --all --of config --since 7d --stack audit-search",
        "audit-search quarantine replay ./fetched.ndjson.gz --endpoint http://127.0.0.1:9200 --auth none",
    ),
)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--all", "everything", is_flag=True, help="Every file at the location.")
@LOCATION
@click.option("--of", type=click.Choice(["all", "cloudtrail", "config"]), default="all", show_default=True, help="Whose entries.")
@click.option("--type", "kind", default="", metavar="TYPE", help="Only entries with this type of error; the others stay.")
@click.option("--since", type=Time(), metavar="TIME", help="With --all: only files written last at this time or later.")
@click.option("--until", type=Time(), metavar="TIME", help="With --all: only files written last before this time.")
@click.option(
    "--buckets",
    default="",
    metavar="NAMES",
    help="Buckets that whole objects may be read from again.  [env var: ALLOWED_BUCKETS; default: those of the stack]",
)
@click.option("--rules", default="", metavar="FILE|TEXT", help=RULES_HELP)
@click.option("--keep", is_flag=True, help="Leave the files as they are, whatever becomes of their entries.")
@click.option("--dry-run", is_flag=True, help="Only count what would be tried.")
@engine_options
@pass_invocation
def replay(invocation: Invocation, /, **given: Any) -> int:
    """Index what is kept in quarantine, once the reason is gone: after an update of Audit Search, or of the domain.

    FILE is as `quarantine show` takes it. Entries take the way that the functions take, here, and are marked as replay
    (ct.ingestMode); a whole object is read again from its bucket. What is refused again stays where it is, with the reason of
    now, and what is done is taken out of its file; a file is deleted when nothing is left in it. Ctrl-C finishes the file in
    hand. The exit code is 1 where anything stays.
    """
    asked = _Asked(**given)
    if bool(asked.files) is asked.everything:
        raise Problem("Say what is to be tried", "Give files (audit-search quarantine list), or --all, not both.")
    if (asked.since or asked.until) and not asked.everything:
        raise Problem("--since and --until choose among all files", "Give --all with them.")
    where = _where(invocation, asked)
    files = _files(invocation, asked, where)
    job = None if asked.dry_run else _job(invocation, asked, files, where)
    with Interrupts() as interrupts, progress("trying again") as say:

        def run(replayer: Replayer | None) -> Replay:
            return replay_run.run(
                files,
                lambda entry: _wanted(entry, asked),
                replayer,
                keep=asked.keep,
                stop=lambda: interrupts.requested,
                step=lambda result: say(f"{result.files.total():,} of {result.found:,} files, {result.tried:,} entries"),
            )

        if job is None:
            result = run(None)
        else:
            with Replayer(job, _modified(invocation)) as replayer:
                result = run(replayer)
    _print(invocation.output, result, asked)
    if result.stopped:
        raise Problem(
            f"The engine takes nothing now: {result.stopped}",
            "Nothing is lost: give the same command again later (audit-search doctor).",
            code=NOT_REACHED,
        )
    if result.interrupted:
        return INTERRUPTED
    return FINDINGS if result.stays or result.problems else FINE


def _wanted(entry: KeptEntry, asked: _Asked) -> bool:
    return (not asked.kind or entry.type == asked.kind) and (asked.of == "all" or is_config(entry) is (asked.of == "config"))


def _where(invocation: Invocation, asked: _Asked) -> Place | None:
    """The location of quarantine, which files of this machine and whole URLs do not need."""
    if asked.location or asked.everything or invocation.given.get("stack"):
        return place_of(invocation, asked.location)
    return None


def _files(invocation: Invocation, asked: _Asked, where: Place | None) -> list[File]:
    s3 = cache(lambda: invocation.client("s3"))
    if not asked.everything or where is None:
        named = {str(file): file for file in (replay_files.named(text, s3, where) for text in asked.files)}
        return list(named.values())
    span = between(asked.since, asked.until, datetime.now(UTC)) if asked.since or asked.until else None
    with progress(f"listing {where}"):
        return [StoredFile(s3(), file.bucket, file.key) for file in kept.files(s3(), replace(where, span=span))]


def _job(invocation: Invocation, asked: _Asked, files: Sequence[File], where: Place | None) -> Job:
    """The settings of the pipelines. Raises Problem and SettingsError."""
    quarantine = Quarantine(where.bucket, where.prefix) if where and where.prefix else Quarantine()
    stored = next((file for file in files if isinstance(file, StoredFile)), None)
    if stored and not (where and where.prefix):
        found = _OURS.fullmatch(stored.key)
        quarantine = Quarantine(stored.bucket, found[1] if found and found[1] else "quarantine/")
    buckets = allowed_buckets(invocation, asked.buckets) or [quarantine.bucket]
    return pipelines.job(invocation, "quarantine replay", buckets, quarantine, exclusion_rules(invocation, asked.rules))


def _modified(invocation: Invocation) -> Callable[[ObjectRef], datetime | None]:
    """Asks S3 when an object was written last."""
    s3 = cache(lambda: invocation.client("s3"))

    def modified(ref: ObjectRef) -> datetime | None:
        version = {"VersionId": ref.version_id} if ref.version_id else {}
        try:
            when: datetime = s3().head_object(Bucket=ref.bucket, Key=ref.key, **version)["LastModified"]
        except (ClientError, BotoCoreError):
            return None  # gone, or not for this caller: the time of the entry stands in for it
        return when

    return modified


def _print(output: Output, result: Replay, asked: _Asked) -> None:
    files = {name: result.files[name] for name in ("emptied", "smaller", "unchanged", "damaged", "failed", "gone", "other")}
    entries = {name: result.entries[name] for name in OUTCOMES}
    if output.as_json:
        return output.document(
            {
                "files": {"found": result.found, **files, "left": result.left},
                "entries": {"tried": result.tried, **entries},
                "types": dict(result.types),
                "objects_read_again": {name: result.objects[name] for name in ("objects", "read", *OUTCOMES)},
                "stays": [asdict(one) for one in result.stays],
                "problems": [{"file": file, "problem": problem} for file, problem in result.problems],
                "interrupted": result.interrupted,
                "dry_run": asked.dry_run,
            }
        )
    output.line(f"{counted(result.found, 'file')} = {_sum({**files, 'left': result.left})}")
    if asked.dry_run:
        rows = [(kind, f"{number:,}") for kind, number in result.types.most_common()]
        if rows:
            output.table(("error", "entries"), rows, numbers=("entries",))
        output.line(f"{counted(result.types.total(), 'entry', 'entries')} would be tried. Nothing was written (--dry-run).")
    else:
        output.line(f"{counted(result.tried, 'entry', 'entries')} tried = {_sum(entries)}")
    if result.objects["objects"]:
        records = {name: result.objects[name] for name in OUTCOMES}
        read = f"{counted(result.objects['objects'], 'object')} read again, {counted(result.objects['read'], 'record')}"
        output.line(f"{read} = {_sum(records)}")
    if result.stays:
        rows_of = [(one.file, f"{one.entries:,}", f"{one.type}: {one.reason}") for one in result.stays[:_SHOWN]]
        output.table(("stays in", "entries", "why"), rows_of, numbers=("entries",))
    if len(result.stays) > _SHOWN:
        output.line(f"{len(result.stays) - _SHOWN:,} more are not shown; --output json has all of them.")
    for file, problem in result.problems:
        output.line(f"{file}: {problem}", "red")
    return None


def _sum(parts: dict[str, int]) -> str:
    """The parts that there are; all of them are named where there is none."""
    there = {name: number for name, number in parts.items() if number}
    return " + ".join(f"{number:,} {name}" for name, number in (there or parts).items())
