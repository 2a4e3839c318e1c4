"""What `backfill` and `verify --repair` do with --to-queue, and how they say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit_search_cli import dead_letters, history_queue, history_state
from audit_search_cli.history_queue import Sent
from audit_search_cli.history_sources import Found
from audit_search_cli.history_state import State
from audit_search_cli.interrupts import Interrupts
from audit_search_cli.options import Invocation
from audit_search_cli.output import Output, counted, progress_bar

HELP = "Let the functions of --stack do it: send the names of the objects to their queues, marked as replay."
_SHOWN = 20


def send(
    invocation: Invocation,
    objects: Sequence[Found],
    source: str,
    interrupts: Interrupts,
    path: Path | None = None,
    *,
    restart: bool = False,
) -> tuple[Sent, Path]:
    """Send the objects of a source that were not sent yet; what was done, and the file that says so.

    Raises Problem, and what botocore raises.
    """
    to = history_queue.queues(invocation, objects)
    target = {"source": source, "queues": " ".join(sorted(to.values()))}
    path = path or history_state.default_path(target, invocation.environ)
    sqs = invocation.client("sqs", next((dead_letters.region_of(url) for url in to.values()), None))
    with State(path, target, restart=restart) as state, progress_bar("sending") as say:

        def step(result: Sent) -> None:
            say(result.before + result.sent, result.found, counted(result.messages.total(), "message"))

        return history_queue.run(objects, sqs, to, state, stop=lambda: interrupts.requested, step=step), path


def document(result: Sent) -> dict[str, Any]:
    """What was sent, for programs."""
    return {
        "objects": {
            "found": result.found,
            "sent": result.sent,
            "sent_before": result.before,
            "failed": len(result.failed),
            "left": result.left,
        },
        "messages": dict(result.messages),
        "failures": [{"key": key, "reason": reason} for key, reason in result.failed],
    }


def print_sent(output: Output, result: Sent, stack: str) -> None:
    """What was sent, for people, and how to watch what becomes of it."""
    output.line(
        f"{counted(result.found, 'object')} found = {result.sent:,} sent + {result.before:,} sent before + "
        f"{len(result.failed):,} failed + {result.left:,} left"
    )
    for queue, messages in result.messages.items():
        output.line(f"{counted(messages, 'message')} to {queue}")
    if result.failed:
        output.table(("object", "why"), result.failed[:_SHOWN])
    if result.sent:
        output.line(f"The functions index them now: audit-search status --stack {stack} says how far they are.")


def print_backfill(invocation: Invocation, result: Sent, left_out: Mapping[str, int], path: Path) -> None:
    """The result of a backfill by the functions."""
    output = invocation.output
    if output.as_json:
        more = {"left_out": dict(left_out), "interrupted": result.interrupted, "state": str(path)}
        return output.document({**document(result), **more})
    print_sent(output, result, str(invocation.given["stack"]))
    for reason, count in sorted(left_out.items()):
        output.line(f"{counted(count, 'object')} left out: {reason}.")
    if result.failed or result.interrupted:
        output.line(f"Give the same command again for what is left. State: {path}")
    return None
