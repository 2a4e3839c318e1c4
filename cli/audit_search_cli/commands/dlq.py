"""`audit-search dlq`: list, redrive."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from audit_search_cli import dead_letters
from audit_search_cli.dead_letters import Listing, Redrive
from audit_search_cli.errors import FINDINGS, FINE, INTERRUPTED, Problem
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.letters import Letter
from audit_search_cli.options import DocumentedGroup, Invocation, aws_options, pass_invocation
from audit_search_cli.output import Output, counted, human_age, progress
from audit_search_cli.stack import Stack

_QUEUE = click.option("--queue-url", default="", metavar="URL", help="The dead-letter queue; without it, that of --stack.")
_OF = click.option(
    "--of",
    type=click.Choice(["cloudtrail", "config"]),
    default="cloudtrail",
    show_default=True,
    help="Which of the stack's dead-letter queues.",
)
_SHOWN = 5
_NAMES = {"cloudtrail": "CloudTrail", "config": "Config"}


@click.group(name="dlq", cls=DocumentedGroup, examples=("audit-search dlq list --stack audit-search",))
def group() -> None:
    """Look at the dead-letter queue, and move its messages back."""


@group.command(
    name="list",
    examples=(
        "audit-search dlq list --stack audit-search",
        "audit-search dlq list --queue-url https://sqs.eu-central-1.amazonaws.com/123456789012/dead --max 100",
    ),
)
@_QUEUE
@_OF
@click.option(
    "--max", "most", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Look at so many messages at most."
)
@aws_options
@pass_invocation
def list_letters(invocation: Invocation, queue_url: str, of: str, most: int) -> int:
    """Show what waits: how many, how old, how often received, and which objects each message names.

    Nothing is lost: each message that was looked at is put back at once. SQS counts each look as a receive.
    """
    url = _dead_letter_queue(invocation, queue_url, of)
    with progress("looking"):
        found = dead_letters.listing(invocation.client("sqs", dead_letters.region_of(url)), url, most)
    _print_listing(invocation.output, found, datetime.now(UTC))
    return FINE


@group.command(
    examples=(
        "audit-search dlq redrive --stack audit-search --dry-run",
        "audit-search dlq redrive --stack audit-search",
        "audit-search dlq redrive --stack audit-search --of config",
        "audit-search dlq redrive --queue-url https://sqs.eu-central-1.amazonaws.com/123456789012/dead --max 100",
    ),
)
@_QUEUE
@_OF
@click.option("--to", default="", metavar="URL", help="The queue to move to; without it, the one whose dead letters these are.")
@click.option("--max", "most", type=click.IntRange(1), help="Move so many messages at most.")
@click.option("--dry-run", is_flag=True, help="Say how many would be moved and where to, and move none.")
@aws_options
@pass_invocation
def redrive(invocation: Invocation, queue_url: str, of: str, to: str, most: int | None, dry_run: bool) -> int:
    """Move messages back to the queue that they came from.

    Each is sent first and deleted only when the queue has taken it: whatever happens in between, none is lost, and one
    that is delivered twice gives the same documents. What Lambda recorded of a failed direct invocation is moved as the event
    that it was. No more are moved than there are at the start. Ctrl-C ends it after the ten in hand.
    """
    url = _dead_letter_queue(invocation, queue_url, of)
    sqs = invocation.client("sqs", dead_letters.region_of(url))
    target = dead_letters.queue_url(to, "--to") if to else _source(invocation, sqs, url, of)
    if dry_run:
        waiting, in_flight, _ = dead_letters.counts(sqs, url)
        dead_letters.counts(sqs, target)
        return _print_plan(invocation.output, min(waiting, most or waiting), waiting, in_flight, target)
    with Interrupts() as interrupts, progress(f"moving to {target}") as say:
        state = dead_letters.redrive(
            sqs,
            url,
            target,
            most=most,
            stop=lambda: interrupts.requested,
            step=lambda state: say(f"{state.moved:,} of {state.found:,} moved to {target}"),
        )
    _print_redrive(invocation.output, state, target)
    if state.interrupted:
        return INTERRUPTED
    return FINDINGS if state.failed or state.copies else FINE


def _dead_letter_queue(invocation: Invocation, given: str, of: str) -> str:
    if given:
        return dead_letters.queue_url(given)
    if invocation.stack is None:
        raise Problem("No queue is named", "Give --queue-url URL or --stack NAME.")
    found = _of_stack(invocation.stack, f"{_NAMES[of]}DeadLetterQueue")
    if not found:
        whose = "" if of == "cloudtrail" else " for AWS Config"
        raise Problem(f"The stack {invocation.stack.name} has no dead-letter queue{whose}", "Give --queue-url URL.")
    return found


def _of_stack(stack: Stack, logical: str) -> str:
    return stack.outputs.get(f"{logical}Url") or stack.physical(logical) or ""


def _source(invocation: Invocation, sqs: Any, url: str, of: str) -> str:
    """The stack's queue where the dead-letter queue was taken from the stack, else the one that SQS names."""
    if invocation.stack is not None:
        name = _NAMES[of]
        found = _of_stack(invocation.stack, f"{name}Queue")
        dead = (invocation.stack.outputs.get(f"{name}DeadLetterQueueUrl"), invocation.stack.physical(f"{name}DeadLetterQueue"))
        if found and url in dead:
            return found
    return dead_letters.source_of(sqs, url)


def _print_listing(output: Output, found: Listing, now: datetime) -> None:
    if output.as_json:
        return output.document(
            {
                "waiting": found.waiting,
                "in_flight": found.in_flight,
                "delayed": found.delayed,
                "hidden": found.hidden,
                "messages": [
                    {
                        "id": letter.id,
                        "sent": letter.sent.isoformat() if letter.sent else None,
                        "received": letter.received,
                        "from_lambda": letter.from_lambda,
                        "names": list(letter.names),
                        "problem": letter.problem,
                    }
                    for letter in found.letters
                ],
            }
        )
    elsewhere = f"{found.in_flight:,} in the hands of another receiver, {found.delayed:,} delayed"
    output.line(f"{counted(found.waiting, 'message')} waiting, {elsewhere} (SQS's estimate).")
    if found.letters:
        rows = [(letter.id, _age(letter, now), letter.received, _names(letter)) for letter in found.letters]
        output.table(("message", "age", "received", "what it names"), rows, numbers=("received",), whole=("age",))
    if found.hidden:
        output.line(f"{found.hidden} of them could not be put back at once and are visible again within a minute.")
    if found.waiting > len(found.letters):
        output.line(f"{len(found.letters)} were looked at; --max shows more.")
    return None


def _age(letter: Letter, now: datetime) -> str:
    return human_age((now - letter.sent).total_seconds()) if letter.sent else "unknown"


def _names(letter: Letter) -> str:
    names = [*letter.names[:_SHOWN], *([f"and {len(letter.names) - _SHOWN} more"] if len(letter.names) > _SHOWN else [])]
    if letter.problem:
        names.append(letter.problem)
    text = ", ".join(names) or "nothing"
    return f"{text} (a direct invocation that failed)" if letter.from_lambda else text


def _print_plan(output: Output, count: int, waiting: int, in_flight: int, target: str) -> int:
    if output.as_json:
        output.document({"would_move": count, "waiting": waiting, "in_flight": in_flight, "to": target})
    else:
        output.line(f"{count:,} of {counted(waiting, 'message')} would be moved to {target}. Nothing was moved (--dry-run).")
        if in_flight:
            output.line(f"{in_flight:,} more, in the hands of another receiver just now, would stay.")
    return FINE


def _print_redrive(output: Output, state: Redrive, target: str) -> None:
    if output.as_json:
        return output.document(
            {
                "to": target,
                "found": state.found,
                "moved": state.moved,
                "failed": state.failed,
                "left": state.left,
                "copies": state.copies,
                "hidden": state.hidden,
                "interrupted": state.interrupted,
                "failures": [{"message": identity, "reason": reason} for identity, reason in state.failures],
            }
        )
    output.line(f"{state.found:,} found = {state.moved:,} moved + {state.failed:,} failed + {state.left:,} left, to {target}")
    if state.failures:
        output.table(("message", "why"), state.failures[:100])
    if state.copies:
        output.line(f"{state.copies:,} of the moved ones could not be deleted here and are in both queues, which does no harm.")
    if state.hidden:
        output.line(f"{state.hidden:,} could not be put back at once and are visible again within five minutes.")
    if state.interrupted:
        output.line("Interrupted: what was begun was finished. Run it again for the rest.")
    return None
