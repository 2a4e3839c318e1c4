"""`audit-search rules`: count."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from audit_search import exclusions
from audit_search.exclusions import Rule
from audit_search_cli import rule_counts
from audit_search_cli.commands.backfill import names_of, reader_of
from audit_search_cli.errors import FINDINGS, FINE, INTERRUPTED, Problem
from audit_search_cli.history_sources import Selection, find, source
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.options import DocumentedGroup, Invocation, aws_options, pass_invocation
from audit_search_cli.output import Output, counted, human_bytes, progress
from audit_search_cli.pipelines import RULES_HELP, exclusion_rules
from audit_search_cli.rule_counts import Matched, RuleCounts
from audit_search_cli.times import Time, between

_EXAMPLES = 3
_SHOWN = 20


@click.group(name="rules", cls=DocumentedGroup, examples=("audit-search rules count s3://my-trail-bucket --rules rules.json",))
def group() -> None:
    """Exclusion rules: what they would leave out."""


@group.command(
    name="count",
    examples=(
        'audit-search rules count s3://my-trail-bucket --rules rules.json --since "1 day ago"',
        "audit-search rules count s3://my-trail-bucket --stack audit-search",
        'audit-search rules count ./old-logs --rules \'[{"name": "reads", "match": {"readOnly": "true"}}]\'',
    ),
)
@click.argument("what", metavar="s3://BUCKET[/PREFIX]|FOLDER")
@click.option("--rules", default="", metavar="FILE|TEXT", help=RULES_HELP)
@click.option("--since", type=Time(), help="Only objects that were delivered at or after this time.")
@click.option("--until", type=Time(), help="Only objects that were delivered before this time.  [default: now]")
@click.option("--accounts", default="", callback=names_of, metavar="IDS", help="Only these accounts, separated by commas.")
@click.option("--regions", default="", callback=names_of, metavar="NAMES", help="Only these regions, separated by commas.")
@aws_options
@pass_invocation
def count(
    invocation: Invocation,
    what: str,
    rules: str,
    since: datetime | None,
    until: datetime | None,
    accounts: frozenset[str],
    regions: frozenset[str],
) -> int:
    """Read CloudTrail's objects and count what each exclusion rule means: records, bytes, and the most frequent events.

    Nothing is written. Ctrl-C ends it with what was read so far.
    """
    now = datetime.now(UTC)
    place = source(what)
    selection = Selection(between(since, until, now), accounts, regions, "cloudtrail")
    parsed = _parsed(exclusion_rules(invocation, rules))
    reader = reader_of(invocation, place)
    with Interrupts() as interrupts, progress(f"reading {place}") as say:
        result = rule_counts.count(
            find(place, selection, lambda: invocation.client("s3"), now),
            parsed,
            reader,
            stop=lambda: interrupts.requested,
            step=lambda result: say(f"{result.objects:,} objects, {result.records:,} records"),
        )
    _print(invocation.output, result, selection)
    if result.interrupted:
        return INTERRUPTED
    return FINDINGS if result.unreadable else FINE


def _parsed(text: str) -> tuple[Rule, ...]:
    """The rules of a text. Raises Problem."""
    try:
        found = exclusions.parse(text)
    except ValueError as error:
        raise Problem(f"The rules: {'; '.join(str(error).splitlines())}", "The README has the form of a rule.") from error
    if not found:
        raise Problem("There are no rules to count", "Give --rules FILE, set EXCLUSION_RULES, or name a stack that has some.")
    return found


def _events(matched: Matched) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in matched.events.most_common(_EXAMPLES))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _print(output: Output, result: RuleCounts, selection: Selection) -> None:
    if output.as_json:
        return output.document(
            {
                "objects": result.objects,
                "records": result.records,
                "bytes": result.bytes,
                "excluded": result.excluded,
                "excluded_bytes": result.excluded_bytes,
                "unusable": result.unusable,
                "rules": [
                    {
                        "name": matched.rule.name,
                        "count_only": matched.rule.count_only,
                        "records": matched.records,
                        "bytes": matched.bytes,
                        "events": dict(matched.events.most_common(_SHOWN)),
                    }
                    for matched in result.rules
                ],
                "unreadable": [{"key": key, "reason": reason} for key, reason in result.unreadable],
                "left_out": dict(selection.left_out),
                "interrupted": result.interrupted,
            }
        )
    objects = counted(result.objects, "object")
    output.line(
        f"{counted(result.records, 'record')}, {human_bytes(result.bytes)} of text, in {objects} delivered {selection.within}."
    )
    rows = [
        (
            matched.rule.name + (" (only counts)" if matched.rule.count_only else ""),
            f"{matched.records:,}",
            _share(matched.records, result.records),
            human_bytes(matched.bytes),
            _events(matched),
        )
        for matched in result.rules
    ]
    output.table(("rule", "records", "share", "bytes", "most frequent"), rows, numbers=("records", "share", "bytes"))
    output.line(f"Together they leave out {counted(result.excluded, 'record')}, {human_bytes(result.excluded_bytes)}.")
    if result.unusable:
        output.line(f"{counted(result.unusable, 'record')} would go to quarantine, whatever the rules are.")
    if result.unreadable:
        output.table(("object", "why it could not be read"), result.unreadable[:_SHOWN])
    if result.interrupted:
        output.line("Interrupted: this is what was read so far.")
    return None
