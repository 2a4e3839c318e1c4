"""`audit-search status`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import click
from botocore.exceptions import BotoCoreError, ClientError

from audit_search.domain.settings import DomainSettings
from audit_search.errors import EngineUnreachableError
from audit_search_cli import kept, overview
from audit_search_cli.arrivals import CLOUDTRAIL, CONFIG, DAYS, Arrival, Source, arrivals
from audit_search_cli.errors import FINDINGS, FINE, Problem, explain_aws
from audit_search_cli.figures import Accounting, accounting
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, clean, counted, human_age, progress
from audit_search_cli.overview import Overview
from audit_search_cli.times import Time, between, shown

_Part = TypeVar("_Part")


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search status --stack audit-search",
        "audit-search status --stack audit-search --since 7d",
        "audit-search status --stack audit-search --connect-to localhost:9443 --output json",
    ),
)
@click.option(
    "--since", type=Time(), default="24h", show_default=True, metavar="TIME", help="Count records from this time on, such as 7d."
)
@click.option(
    "--stale-hours",
    type=click.FloatRange(0, 8_760, min_open=True),
    default=3.0,
    show_default=True,
    help="Mark an account and region as stale when nothing of it has come in for so many hours.",
)
@engine_options
@pass_invocation
def status(invocation: Invocation, since: datetime, stale_hours: float) -> int:
    """Show how an installation does: records and where they ended, queues, quarantine, alarms, and how new events are.

    Without --stack only the engine is asked, without an engine only AWS; what was left out is said. The exit code is 1 where
    something needs a person: an alarm is on, there are dead letters, something was quarantined in this time, records do not
    add up, nothing of CloudTrail came in, or a part could not be looked at. A single stale region is marked and no more: it
    may have nothing to tell.
    """
    now = datetime.now(UTC)
    span = between(since, None, now)
    found = Overview(since=span.since or since, until=span.until, stale=timedelta(hours=stale_hours))
    with progress("looking"):
        _of_stack(invocation, found)
        _of_engine(invocation, found)
    found.conclude()
    if invocation.output.as_json:
        invocation.output.document(overview.plain(found))
    else:
        _print(invocation.output, found)
    return FINDINGS if found.needs else FINE


def _of_stack(invocation: Invocation, found: Overview) -> None:
    stack = invocation.stack
    if stack is None:
        if not invocation.settings.get("OPENSEARCH_ENDPOINT"):
            raise Problem("Neither a stack nor an engine is named", "Give --stack NAME, --endpoint URL, or both.")
        found.left_out["stack"] = "no stack is named (--stack NAME)"
        return
    found.stack = f"{stack.name} ({stack.status})"
    cloudwatch, sqs = invocation.client("cloudwatch"), invocation.client("sqs")
    services = [f"{stack.name}-cloudtrail", *([f"{stack.name}-config"] if stack.physical("ConfigQueue") else [])]
    found.accounting = _part(
        found, "records", lambda: [accounting(cloudwatch, service, found.since, found.until) for service in services]
    )
    found.queues = _part(found, "queues", lambda: overview.queues(sqs, cloudwatch, stack, found.until))
    found.alarms = _part(found, "alarms", lambda: overview.alarms(cloudwatch, stack))
    location = stack.outputs.get("QuarantineLocation", "")
    if not location:
        found.left_out["quarantine"] = f"the stack {stack.name} has no output QuarantineLocation"
    else:
        where = kept.place(location)
        found.quarantine = _part(found, "quarantine", lambda: overview.quarantine(invocation.client("s3"), where))


def _of_engine(invocation: Invocation, found: Overview) -> None:
    if not invocation.settings.get("OPENSEARCH_ENDPOINT"):
        found.left_out["engine"] = "no engine is named (--endpoint URL)"
        return
    target = invocation.target
    settings = DomainSettings.from_env({**invocation.settings, "OPENSEARCH_ENDPOINT": target.endpoint})

    def look(source: Source) -> Callable[[], list[Arrival]]:
        return lambda: list(arrivals(invocation.engine(), source, settings.index_prefix))

    found.cloudtrail = _part(found, "freshness", look(CLOUDTRAIL))
    if settings.config and "freshness" not in found.failed:
        found.config = _part(found, "freshness of AWS Config", look(CONFIG))


def _part(found: Overview, name: str, look: Callable[[], _Part]) -> _Part | None:
    """One part; why it cannot be looked at is kept, and the others are looked at all the same."""
    try:
        return look()
    except Problem as problem:
        found.failed[name] = str(problem)
    except EngineUnreachableError as error:
        found.failed[name] = str(error)
    except (BotoCoreError, ClientError) as error:
        found.failed[name] = str(explain_aws(error, "Asking AWS"))
    return None


def _print(output: Output, found: Overview) -> None:
    output.line(f"{f'Stack {found.stack}, ' if found.stack else ''}from {shown(found.since)} to {shown(found.until)}")
    for one in found.accounting or []:
        _print_accounting(output, one)
    if found.queues:
        output.heading("Queues")
        rows = [(one.name, f"{one.waiting:,}", f"{one.in_flight:,}", _age(one.oldest)) for one in found.queues]
        output.table(("queue", "waiting", "in work or postponed", "oldest"), rows, numbers=("waiting", "in work or postponed"))
    if found.quarantine:
        output.heading("Quarantine")
        newest = f", the newest of {shown(found.quarantine.newest)}" if found.quarantine.newest else ""
        output.line(f"{counted(found.quarantine.files, 'file')} at {found.quarantine.location}{newest}")
    if found.alarms:
        output.heading("Alarms")
        words = {"ALARM": "error", "OK": "ok"}
        rows = [
            (words.get(one.state, "no data"), one.name, shown(one.since) if one.since else "", one.reason) for one in found.alarms
        ]
        output.table(("", "alarm", "since", "reason"), rows, whole=("", "since"))
    for title, arrived in (("CloudTrail", found.cloudtrail), ("AWS Config", found.config)):
        if arrived is not None:
            _print_arrivals(output, f"{title}: newest by account and region, of the last {DAYS} days", arrived, found)
    output.line()
    for name, reason in found.left_out.items():
        output.line(f"Left out: {name}: {reason}.")
    for need in found.needs:
        output.line(f"Needs a person: {need}")
    if not found.needs:
        output.line("Nothing was found that needs a person.")


def _print_accounting(output: Output, one: Accounting) -> None:
    output.heading(f"Records of {one.service}, from {shown(one.since)} to {shown(one.until)}")
    parts = f"{one.indexed:,} indexed + {one.duplicates:,} duplicates + {one.filtered:,} filtered"
    rest = f"{one.quarantined:,} quarantined + {one.returned:,} returned"
    equals = "=" if one.adds_up else "≠"
    output.line(f"{one.read:,} read {equals} {parts} + {rest}")
    output.line(f"{one.per_second:,.2f} records/s, {one.per_day:,.0f} a day; at most {one.peak:,.1f} records/s")
    if one.longest_lag is not None:
        output.line(f"From an event to its document: {_age(one.lag)} on average, at most {_age(one.longest_lag)}")


def _print_arrivals(output: Output, title: str, arrived: list[Arrival], found: Overview) -> None:
    output.heading(title)
    if not arrived:
        return output.line("There is no document, or none that we may see.")
    rows = [
        (
            "stale" if found.is_stale(one) else "",
            clean(one.account) or "none",
            clean(one.region) or "none",
            f"{one.documents:,}",
            _ago(one.ingested, found.until),
            _ago(one.happened, found.until),
        )
        for one in arrived
    ]
    header = ("", "account", "region", "documents", "newest came in", "newest event")
    return output.table(header, rows, numbers=("documents",), whole=("", "account", "region"))


def _ago(when: datetime | None, now: datetime) -> str:
    return f"{human_age((now - when).total_seconds())} ago" if when else "never"


def _age(seconds: float | None) -> str:
    return human_age(seconds) if seconds is not None else ""
