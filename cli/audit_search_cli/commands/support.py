"""`audit-search support`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from audit_search_cli.commands.asking import events_of, stated
from audit_search_cli.errors import FINE
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, progress
from audit_search_cli.questions import bundle
from audit_search_cli.questions import support as library
from audit_search_cli.questions.coverage import look
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.hints import hints
from audit_search_cli.questions.masking import Masked

_LONGEST = 20_000
"""So long an item is printed; one that is longer is in the zip file and in JSON alone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is printed or written: documents, masked or not, what each id that no event has may mean, and what was masked."""

    documents: Sequence[Mapping[str, Any]]
    missing: Sequence[Mapping[str, Any]]
    masked: Masked | None


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search support 350234ca-de22-4fca-bd0f-cb0d94080cf3",
        "audit-search support 350234ca-de22-4fca-bd0f-cb0d94080cf3 a44c32a4-b989-4e5c-8d2a-eef2d1c14716 --zip case.zip",
        "audit-search support 350234ca-de22-4fca-bd0f-cb0d94080cf3 --unmasked --output json",
    ),
)
@click.argument("identities", metavar="EVENT-ID...", nargs=-1, required=True)
@click.option(
    "--zip",
    "target",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a zip file as well: the text, each event, each item of AWS Config, and a manifest.",
)
@click.option("--force", is_flag=True, help="Replace the zip file where it exists.")
@click.option("--unmasked", is_flag=True, help="Leave secrets, encoded messages and authorization ids as they are.")
@engine_options
@pass_invocation
def support(invocation: Invocation, identities: tuple[str, ...], target: Path | None, force: bool, unmasked: bool) -> int:
    """Make a bundle for AWS Support: a text to paste into the case, and with --zip a file to attach.

    EVENT-ID is an event's id, or the request id that the caller saw. Of each event: account, region, API, error, request id,
    time (UTC), the caller and who is behind it, from where, the raw event, and AWS Config's item of each resource before and
    after it. Passwords, secrets, tokens, private keys, user data, signatures, encoded messages and authorization ids are masked
    unless --unmasked; ids of accounts, access keys and requests stay, for AWS Support needs them. A secret that neither its
    name nor its form gives away is not known as one: read the text before it is sent.
    """
    if target:
        bundle.refuse(target, force=force)
    events = events_of(invocation)
    with progress("searching"):
        found = library.gather(events, identities)
        missing = _missing(invocation, events, found.missing)
    documents = [library.plain(case) for case in found.cases]
    masked = None if unmasked else library.without_secrets(documents)
    answer = Answer(masked.document if masked else documents, missing, masked)
    if target:
        bundle.write(target, files_of(answer, [case.event.text for case in found.cases] if unmasked else []), force=force)
    if invocation.output.as_json:
        invocation.output.document(document_of(answer) | ({"zip": str(target)} if target else {}))
        return FINE
    show(invocation.output, answer)
    if target:
        invocation.output.line(f"All of it is in {target}.")
    return FINE


def _missing(invocation: Invocation, events: Events, identities: Sequence[str]) -> list[dict[str, Any]]:
    """Ids that no event has, each with what may have been meant, and what was recorded at all."""
    if not identities:
        return []
    recorded = look(events, Filters(), stated(invocation)).line()
    slips = {identity: hints(events, Filters({"event-id": (identity,)})) for identity in identities}
    return [{"event_id": one, "Coverage": recorded, "Hints": [str(hint) for hint in slips[one]]} for one in identities]


def document_of(answer: Answer) -> dict[str, Any]:
    """A bundle as JSON has it."""
    return {"events": answer.documents, "not_found": answer.missing, **_masking(answer)}


def _masking(answer: Answer) -> dict[str, Any]:
    """What was masked, as JSON has it."""
    if answer.masked is None:
        return {"masked": None, "stays": "everything"}
    places = []
    for where, kind in answer.masked.places:
        number, _, path = where.removeprefix("[").partition("].")
        places.append({"event_id": answer.documents[int(number)]["event_id"], "where": path, "kind": kind})
    return {"masked": {"kinds": dict(answer.masked.kinds), "places": places}, "stays": library.STAYS}


def files_of(answer: Answer, originals: Sequence[str]) -> dict[str, str]:
    """The files of a zip by their names; its text is the one that is printed."""
    text = io.StringIO()
    show(Output(stream=text), answer)
    files = bundle.files(text.getvalue(), answer.documents, originals)
    about = {
        "made_by": "audit-search support",
        "events": [document["event_id"] for document in answer.documents],
        "not_found": [one["event_id"] for one in answer.missing],
        **_masking(answer),
    }
    return {**files, "manifest.json": bundle.manifest(files, about)}


def show(output: Output, answer: Answer) -> None:
    """Print a bundle as a case wants it: the events in a table, then each with what is known of it."""
    if answer.documents:
        output.line(f"{counted(len(answer.documents), 'event')} of AWS CloudTrail. All times are UTC.")
        header = ("", "time (UTC)", "account", "region", "call", "error")
        rows = [(f"{number}.", *_row(document)) for number, document in enumerate(answer.documents, 1)]
        output.table(header, rows, whole=("", "time (UTC)", "account"))
    for one in answer.missing:
        output.line(f"No event found: {one['event_id']}.")
        for hint in one["Hints"]:
            output.line(hint)
        output.line(one["Coverage"])
    for number, document in enumerate(answer.documents, 1):
        _print_event(output, number, document)
    if answer.documents:
        output.line()
        output.line(_said(answer.masked))


def _said(masked: Masked | None) -> str:
    if masked is None:
        return "Nothing is masked: secrets that are in it can be read."
    number = sum(masked.kinds.values())
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in masked.kinds.items())
    what = f"Masked: {counted(number, 'value')} ({kinds})." if number else "Nothing was found to mask."
    return f"{what} Not masked: {library.STAYS}."


def _row(document: Mapping[str, Any]) -> tuple[str, ...]:
    error = document["error"] or (document["outcome"] if document["outcome"] != "success" else "")
    return _time(document["time"]), document["account"], document["region"], document["api"], error


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def _print_event(output: Output, number: int, document: Mapping[str, Any]) -> None:
    caller, origin = document["caller"], document["from"]
    output.heading(f"{number}. Event {document['event_id']}")
    rows = [
        ("Account", document["account"]),
        ("Region", document["region"]),
        ("Time (UTC)", _time(document["time"])),
        ("Service", document["service"]),
        ("API", document["api"]),
        ("Error", document["error"]),
        ("Message", document["message"]),
        ("Request id", document["request_id"]),
        ("Extended request id", document["extended_request_id"]),
        ("Event id", document["event_id"]),
        ("Shared event id", document["shared_event_id"]),
        ("Caller", " ".join(part for part in (caller["type"], caller["arn"] or caller["name"]) if part)),
        ("User", caller["user"]),
        ("Role", caller["role"]),
        ("Access key id", caller["access_key_id"]),
        ("First identity", caller["first"]),
        *(("Behind it", f"{hop['who']} by {hop['joined_by']} [{hop['event']}]") for hop in caller["chain"] if hop["joined_by"]),
        ("Chain broken", caller["broken"] and f"because {caller['broken']}"),
        ("From", origin["said"]),
        ("VPC endpoint", origin["vpc_endpoint"]),
        ("Tool", origin["tool"]),
        ("User agent", origin["user_agent"]),
        *(("Resource", " ".join(part for part in (one["type"], one["name"]) if part)) for one in document["resources"]),
    ]
    for title, text in rows:
        if text:
            output.line(f"  {title}: {text}")
    output.heading(f"{number}. Raw event {document['event_id']}")
    output.plain(library.dumped(document["raw"]))
    _print_items(output, document)


def _print_items(output: Output, document: Mapping[str, Any]) -> None:
    for one in document["items"]:
        resource = one["resource"]
        named = f"{resource['type']} {resource['id']}, {resource['account']} {resource['region']}"
        for side in ("before", "after"):
            version = one[side]
            output.line()
            output.line(f"AWS Config {side} the event: {named}", "bold")
            if version is None:
                output.line("  Nothing is recorded.")
                continue
            output.line(f"  Captured {_time(version['captured'])} ({version['status']}) [{version['item']}]")
            text = library.dumped(version["content"])
            if len(text) > _LONGEST:
                output.line(f"  {len(text):,} characters: --zip and --output json have it.")
            else:
                output.plain(text)
    notes = [f"AWS Config has recorded nothing of {name}." for name in document["no_items"]]
    notes += [f"AWS Config knows several resources as {name}; none of them is shown." for name in document["several_items"]]
    if document["resources_left_out"]:
        notes.append(f"{counted(document['resources_left_out'], 'further resource')} of the event were not looked for.")
    if notes:
        output.line()
    for note in notes:
        output.line(note)
