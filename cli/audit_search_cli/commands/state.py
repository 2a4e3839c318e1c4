"""`audit-search state`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from audit_search_cli.commands.asking import events_of
from audit_search_cli.commands.resources import meant, plain, plain_version, resource_options
from audit_search_cli.errors import FINE
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, progress
from audit_search_cli.questions.items import Held, Narrow, Resource, Version, held
from audit_search_cli.questions.recorded import line
from audit_search_cli.times import Time, shown

_PARTS = ("tags", "relationships", "configuration", "supplementaryConfiguration")
_PLAIN = re.compile(r"[A-Za-z/_][A-Za-z0-9_./@-]*(?:[: ][A-Za-z0-9_./@-]+)*", re.ASCII)
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""Texts that would be read as something else without quotes."""


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search state i-0a1b2c3d4e5f60718",
        'audit-search state i-0a1b2c3d4e5f60718 --as-of "2026-11-04 12:00 Europe/Berlin"',
        "audit-search state web --type SecurityGroup --as-of 2026-11-05 --output json",
    ),
)
@resource_options
@click.option("--as-of", type=Time(), metavar="TIME", help="The time that is asked about.  [default: now]")
@engine_options
@pass_invocation
def state(invocation: Invocation, asked: str, narrow: Narrow, as_of: datetime | None) -> int:
    """Show the configuration of a resource as it was at a time: the version of AWS Config that held then, as a tree.

    What held is the last version that was captured until then; what came about between that and the next is not recorded. A
    resource that was deleted, was not recorded, or is only known from later on is said to be so.
    """
    events = events_of(invocation)
    with progress("searching"):
        resource = meant(invocation, events, asked, narrow)
        if resource is None:
            return FINE
        found = held(events, resource, as_of or datetime.now(UTC))
        recorded = "" if found.version else line(events, narrow, until=found.at)
    if invocation.output.as_json:
        invocation.output.document(_document(resource, found, recorded))
    else:
        _print(invocation.output, resource, found, recorded)
    return FINE


def _document(resource: Resource, found: Held, recorded: str) -> dict[str, Any]:
    version = found.version
    document: dict[str, Any] = {
        "resource": plain(resource),
        "as_of": found.at.isoformat(),
        "what": _what(found),
        "version": plain_version(version) if version else None,
        "next": found.next.isoformat() if found.next else None,
        "first": found.first.isoformat() if found.first else None,
    }
    return document | (_tree(version) if version else {"recorded": recorded})


def _what(found: Held) -> str:
    if found.version is None:
        return "not known yet"
    if found.version.deleted:
        return "deleted"
    return "recorded" if found.version.recorded else "not recorded"


def _tree(version: Version) -> dict[str, Any]:
    """What a version holds, read from its own text; where that was not kept, from its document."""
    item = version.item
    if item is None:
        return {name: version.source[name] for name in _PARTS if version.source.get(name)}
    related = [
        {
            name: value
            for name, value in (("name", each.kind), ("type", each.type), ("id", each.id), ("resourceName", each.name))
            if value
        }
        for each in (() if item.deleted else item.relationships)
    ]
    parts = (dict(item.tags), related, item.configuration, item.supplementary)
    return {name: value for name, value in zip(_PARTS, parts, strict=True) if value}


def _print(output: Output, resource: Resource, found: Held, recorded: str) -> None:
    output.line(f"{resource}, as of {shown(found.at)}.")
    version = found.version
    if version is None:
        known = f"The first version that is known was captured {shown(found.first)}" if found.first else "No version is known"
        output.line(f"What it was then is not known. {known}.")
        output.line(recorded)
        return
    until = f"until the next of {shown(found.next)}" if found.next else "and is the latest"
    output.line(f"Captured {shown(version.captured)} ({version.status}), {until}. [{version.id}]")
    if version.deleted:
        output.line("It was deleted by then: `audit-search changes` shows when, and `--as-of` an earlier time what it was.")
        return
    if not version.recorded:
        output.line("AWS Config did not record this type then; the configuration may be older or missing.")
    output.line()
    tree = _tree(version)
    for text in lines(tree) if tree else ["Nothing is recorded of its configuration."]:
        output.line(text)


def lines(value: Any, indent: str = "") -> Iterator[str]:
    """A tree of JSON as lines that YAML reads as the same: objects and lists indented, texts in quotes where they need them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _entry(f"{indent}{_scalar(str(key))}:", inner, indent)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, (dict, list)) and inner:
                first, *rest = lines(inner, f"{indent}  ")
                yield f"{indent}- {first.strip(' ')}"
                yield from rest
            else:
                yield f"{indent}- {_scalar(inner)}"


def _entry(head: str, inner: Any, indent: str) -> Iterator[str]:
    if isinstance(inner, (dict, list)) and inner:
        yield head
        yield from lines(inner, f"{indent}  ")
    else:
        yield f"{head} {_scalar(inner)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
