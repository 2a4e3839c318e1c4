"""`audit-search why`."""

from __future__ import annotations

import itertools
from typing import Any

import click

from audit_search_cli.commands.asking import events_of, filter_options, moment, none_found, period, stated
from audit_search_cli.errors import FINE, Problem
from audit_search_cli.options import DocumentedCommand, Invocation, engine_options, pass_invocation
from audit_search_cli.output import Output, counted, progress
from audit_search_cli.questions import between, failures
from audit_search_cli.questions import why as library
from audit_search_cli.questions.coverage import look
from audit_search_cli.questions.decoding import Decoded, decode
from audit_search_cli.questions.events import Event, Events
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.masking import in_words, masked
from audit_search_cli.questions.why import Answer, Others, Sentence

_KINDS = 200
_SHOWN = 15


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search why 350234ca-de22-4fca-bd0f-cb0d94080cf3",
        'audit-search why --event-name RunInstances --since "2 days ago"',
        "audit-search why --error 'AccessDenied*' --caller alice --accounts 111122223333 --output json",
        "audit-search why 3f1c9a7e-5d0b-4b2a-9c1d-0a9b8c7d6e5f --decode --profile member-account",
    ),
)
@click.argument("identity", metavar="[EVENT-ID]", required=False)
@click.option("--decode", "wants_decoding", is_flag=True, help="Let AWS decode an encoded message, in the account of the event.")
@click.option("--unmasked", is_flag=True, help="Print encoded messages, authorization ids and secrets as they are.")
@filter_options()
@engine_options
@pass_invocation
def why(invocation: Invocation, identity: str | None, wants_decoding: bool, unmasked: bool, filters: Filters) -> int:
    """Say why a call failed: the error, earlier successes of the same caller, what changed since, and who else has the error.

    EVENT-ID is an event's id, or the request id that the caller saw. Without it the newest failure that fits the filters is
    explained, and the others are listed. Each sentence names the events that say so. What the data cannot tell is said under
    "Not known". --decode calls sts:DecodeAuthorizationMessage with --profile; nothing else here calls AWS. Encoded messages,
    authorization ids and secrets in AWS's words are masked unless --unmasked, in JSON unless --decode as well.
    """
    if not identity and not filters.where and not filters.text and not filters.since:
        raise Problem("Neither an event nor a filter is given", "Give an event's id, or such as --event-name RunInstances.")
    events = events_of(invocation)
    with progress("searching"):
        event, further, cut = _chosen(events, filters, identity)
    if event is None:
        return _none(invocation, events, filters.also(event_id=identity) if identity else filters)
    with progress("looking for what changed"):
        answer = library.explain(events, event)
        answer.bounds += [f"Of the failures that fit the newest {_KINDS:,} were looked at."] if cut else []
        coverage = look(events, Filters({"account": (event.account,)} if event.account else {}), stated(invocation))
    decoded = _decoded(invocation, answer) if wants_decoding else None
    if invocation.output.as_json:
        document: dict[str, Any] = {"answer": library.plain(answer), "further": [_plain_kind(kind) for kind in further]}
        document = document if unmasked or decoded else masked(document, _kept(answer)).document
        about = {"decoded": decoded.document if decoded else None, "Coverage": coverage.line()}
        invocation.output.document(document["answer"] | about | {"further": document["further"]})
    else:
        _print(invocation.output, answer, decoded, unmasked=unmasked)
        _print_further(invocation.output, further)
        invocation.output.line()
        for text in (*answer.bounds, coverage.line()):
            invocation.output.line(text)
    return FINE


_Kind = tuple[Event, int]


def _chosen(events: Events, filters: Filters, identity: str | None) -> tuple[Event | None, list[_Kind], bool]:
    """The event to explain, the newest event of each other kind of failure with how many there are of it among those that were
    looked at, and whether there are more."""
    if identity:
        found = events.by_id(identity) or list(events.search(Filters({"request-id": (identity,)}).query(), most=2))
        return (found[0] if found else None), [], False
    kinds: dict[tuple[str, str, str], _Kind] = {}
    newest = list(itertools.islice(library.failed(events, filters), _KINDS + 1))
    for event in newest[:_KINDS]:
        key = (event.api, event.error, event.caller)
        first, count = kinds.get(key, (event, 0))
        kinds[key] = (first, count + 1)
    listed = list(kinds.values())
    return (listed[0][0] if listed else None), listed[1:], len(newest) > _KINDS


def _none(invocation: Invocation, events: Events, filters: Filters) -> int:
    there = events.count(filters.query())
    if there:
        newest = next(events.search(filters.query(), most=1))
        said = f"None failed of {counted(there, 'event')}: {filters or 'any'}, {period(filters)}; the newest is {newest.id}."
        coverage = look(events, filters, stated(invocation)).line()
        if invocation.output.as_json:
            invocation.output.document({"event": None, "events": there, "newest": newest.id, "Coverage": coverage})
        else:
            invocation.output.line(said)
            invocation.output.line(coverage)
        return FINE
    found = none_found(invocation, events, filters)
    if invocation.output.as_json:
        invocation.output.document({"event": None, "events": 0, **found})
    return FINE


def _decoded(invocation: Invocation, answer: Answer) -> Decoded:
    """The decoded message. Raises Problem where there is none, or for another account than that of the event."""
    denial = answer.failure.denial
    if denial is None or not denial.encoded or denial.cut:
        what = "has only a part of its encoded message" if denial and denial.cut else "has no encoded message"
        raise Problem(f"The event {what}", "Leave --decode out.")
    account = answer.event.said("userIdentity.accountId") or answer.event.account
    return decode(invocation.client("sts", answer.event.region or None), denial.encoded, account)


def _kept(answer: Answer) -> list[str]:
    """What stays, whatever a secret is called."""
    return [value for name, value in library.summary(answer.event).items() if name != "message"]


def _print(output: Output, answer: Answer, decoded: Decoded | None, *, unmasked: bool) -> None:
    event = answer.event
    output.line(f"{event.api}: {event.error or 'no error'}")
    place = " ".join(part for part in (event.account, event.region) if part)
    source = event.said("sourceIPAddress") or "nowhere that is named"
    output.line(f"{moment(event.time)} UTC, {place}, by {event.caller or 'nobody named'} from {source}")
    message = event.said("errorMessage")
    if message:
        output.line(f'AWS says: "{message if unmasked else in_words(message)}"')
    output.heading("What it means")
    _print_sentences(output, answer.meaning)
    if decoded:
        output.heading("The encoded message")
        for line in decoded.lines():
            output.line(f"  {line}")
    if answer.history:
        output.heading("Did it ever work")
        _print_sentences(output, answer.history)
    if answer.differences:
        rows = [tuple(cell if unmasked else in_words(cell) for cell in row) for row in answer.differences]
        output.table(("differs", "at the last success", "now"), rows)
    _print_changes(output, answer)
    if answer.others:
        output.heading("Who else")
        _print_others(output, answer, answer.others)
    if answer.unknown:
        output.heading("Not known")
        for text in answer.unknown:
            output.line(f"  {text}")


def _print_sentences(output: Output, sentences: list[Sentence]) -> None:
    for one in sentences:
        evidence = f" [{', '.join(one.events)}]" if one.events else ""
        output.line(f"  {one.text}{evidence}")


def _print_changes(output: Output, answer: Answer) -> None:
    if answer.since is None:
        return
    output.heading(f"What changed from {moment(answer.since)} to {moment(answer.event.time)} UTC")
    rows = [
        (one.about, moment(one.time), one.what, one.caller or ("AWS Config" if one.item else ""), one.event or one.item)
        for one in answer.changes[:_SHOWN]
    ]
    if rows:
        output.table(("concerns", "when (UTC)", "what", "who", "event or item"), rows, whole=("concerns", "when (UTC)"))
    if len(answer.changes) > _SHOWN:
        output.line(f"  The newest {_SHOWN} of {len(answer.changes):,}; --output json has all.")
    if not rows:
        free = between.only_used(answer.event, answer.failure)
        known = "of the caller, of the way, or of what the call was about"
        rest = "that could be why: it does not depend on what the call names" if free else known
        output.line(f"  No change was recorded {rest}.")


def _print_others(output: Output, answer: Answer, others: Others) -> None:
    number = len(others.by_caller)
    callers = f"{'at least ' if others.more else ''}{counted(number, 'caller')}"
    error = answer.event.error
    own = f"{others.own:,} of them by {answer.caller.said}"
    hours = int(library.AROUND.total_seconds() // 3_600)
    if others.events == others.own:
        return output.line(f"  Nobody else has {error} with this API in the {hours} hours before and after.")
    what = f"{counted(others.events, 'event')} of {callers} with {error}, {own}"
    output.line(f"  In the {hours} hours before and after: {what}.")
    rows = [(moment(event.time), event.caller, event.account, event.id) for event in others.newest]
    if rows:
        output.table(("when (UTC)", "who", "account", "event"), rows, whole=("when (UTC)",))
    return None


def _print_further(output: Output, further: list[_Kind]) -> None:
    if not further:
        return
    output.heading("Other failures that fit")
    rows = [
        (moment(event.time), event.caller, event.api, event.error, f"{number:,}", event.id) for event, number in further[:_SHOWN]
    ]
    output.table(
        ("newest (UTC)", "who", "call", "error", "events", "newest event"), rows, numbers=("events",), whole=("newest (UTC)",)
    )
    if len(further) > _SHOWN:
        output.line(f"{len(further) - _SHOWN:,} more kinds.")


def _plain_kind(kind: _Kind) -> dict[str, Any]:
    event, number = kind
    return library.summary(event) | {"events": number, "kind": failures.of(event).kind}
