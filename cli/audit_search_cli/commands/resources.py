"""What the questions about a resource share: which one is meant, and what is said when AWS Config does not know it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from audit_search.aws_config.changes import Change
from audit_search_cli.options import Invocation, Shared
from audit_search_cli.output import Output
from audit_search_cli.questions.changes import Causes
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.items import Narrow, Resource, Version, one
from audit_search_cli.questions.recorded import line

Function = TypeVar("Function", bound=Callable[..., Any])
_SECTION = "Which resource, where several have the name"


def resource_options(function: Function) -> Function:
    """RESOURCE, and the options that tell it from others of its name; the command gets `asked` and `narrow`."""

    @functools.wraps(function)
    def wrapper(*arguments: Any, kind: str, accounts: str, regions: str, **given: Any) -> Any:
        return function(*arguments, narrow=Narrow(kind.strip(), _parts(accounts), _parts(regions)), **given)

    wrapped: Any = wrapper
    for name, text, metavar in (
        ("--regions", "Regions, separated by commas; global for what has none.", "NAMES"),
        ("--accounts", "Accounts, separated by commas.", "IDS"),
    ):
        wrapped = click.option(name, cls=Shared, section=_SECTION, default="", help=text, metavar=metavar)(wrapped)
    text = "The type: AWS::EC2::SecurityGroup, or SecurityGroup."
    wrapped = click.option("--type", "kind", cls=Shared, section=_SECTION, default="", help=text, metavar="NAME")(wrapped)
    decorated: Function = click.argument("asked", metavar="RESOURCE")(wrapped)
    return decorated


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def meant(invocation: Invocation, events: Events, asked: str, narrow: Narrow) -> Resource | None:
    """The resource that is meant, or None, having said what AWS Config recorded at all. Raises Problem for several."""
    found = one(events, asked, narrow)
    if found is None:
        recorded = line(events, narrow)
        limits = f" ({narrow})" if str(narrow) else ""
        if invocation.output.as_json:
            invocation.output.document({"resource": None, "asked": asked, "recorded": recorded})
        else:
            invocation.output.line(f"AWS Config has recorded no resource with the id, name or ARN {asked}{limits}.")
            invocation.output.line(recorded)
    return found


def plain(resource: Resource) -> dict[str, str]:
    """A resource as JSON has it."""
    return {
        "account": resource.account,
        "region": resource.region,
        "type": resource.type,
        "id": resource.id,
        "name": resource.name,
        "arn": resource.arn,
    }


def plain_version(version: Version) -> dict[str, Any]:
    """A version as JSON has it, without what it holds."""
    return {"item": version.id, "index": version.index, "captured": version.captured.isoformat(), "status": version.status}


def plain_change(change: Change) -> dict[str, Any]:
    """A change as JSON has it."""
    return {
        "path": change.path,
        "kind": change.kind,
        "category": change.category,
        "before": change.before,
        "after": change.after,
    }


def row(change: Change) -> tuple[str, str, str]:
    """A change as a row of a table: path, before, after; what was or is not there is a dash."""
    before, after = (_cell(side) for side in (change.before, change.after))
    path = f"related {change.path}" if change.category == "relationship" else change.path
    return path, before, after


def _cell(value: str | None) -> str:
    return "-" if value is None else value or '""'


def print_causes(output: Output, causes: Causes) -> None:
    """The calls behind a version, the likeliest first with how sure it is and why; where there is none, why there is none."""
    if not causes.causes:
        output.line(f"  by: {causes.verdict}{f': {causes.reason}' if causes.reason else ''}")
    for number, each in enumerate(causes.causes):
        how = f"{each.score:.2f} {each.kind}: {each.reason}"
        who = f"{each.caller}, {each.api} at {each.time[:19].replace('T', ' ')} UTC"
        output.line(f"  {'and by' if number else 'by'}: {who} ({how}) [{each.event}]")
    if causes.more:
        output.line("  There were more calls than were looked at.")
