"""What the demo shows a person of AWS Config."""

from __future__ import annotations

from collections.abc import Sequence

from demo.config_part import ConfigTally
from demo.config_searches import ConfigAnswer
from demo.report import LISTED
from demo.screen import Screen


def outcomes(screen: Screen, tally: ConfigTally, documents: dict[str, int]) -> None:
    """Where each item ended, and what else came."""
    counts = tally.counts
    screen.heading("What AWS Config sent, and where each configuration item ended")
    parts = [_counted(counts[name], one, many) for name, one, many in _PARTS]
    parts += [_counted(counts[name], one, many) for name, one, many in _OTHERS if counts[name]]
    screen.line(", ".join(parts))
    requests = counts["requests"] / max(1, counts["read"])
    screen.line()
    screen.totals(
        [
            ("indexed", f"{counts['indexed']:,}", f"versions; {documents.get('current', 0):,} resources have a latest state"),
            ("duplicates", f"{counts['duplicates']:,}", "the version was there already: by stream, history or snapshot"),
            ("filtered", f"{counts['filtered']:,}", "older than RETENTION_DAYS"),
            ("quarantined", f"{counts['quarantined']:,}", "no item can be made of them; kept, with the reason"),
            ("returned", f"{counts['returned']:,}", "not done now: Lambda delivers them again"),
            ("", "", ""),
            (
                "items read",
                f"{counts['read']:,}",
                f"the sum; {requests:.1f} requests to the engine for each",
            ),
        ]
    )
    if tally.handed_on.counts["read"]:
        read, known = tally.handed_on.counts["read"], tally.handed_on.counts["duplicates"]
        screen.line(f"CloudTrail's function read {read:,} records of what was handed on to it ({known:,} were known).", "dim")
    for title, rows in (
        ("Skipped, or not AWS Config's", tally.skipped),
        ("Files that are nothing for AWS Config", tally.refused),
    ):
        if rows:
            screen.heading(title)
            screen.table(("why", "what"), [(reason, what) for what, reason in rows[:LISTED]])
            if len(rows) > LISTED:
                screen.line(f"and {len(rows) - LISTED:,} more", "dim")
    if tally.failed:
        screen.heading("Objects of AWS Config that could not be read to their end")
        screen.table(("object", "why"), tally.failed[:LISTED])


_PARTS = (
    ("deliveries", "delivery", "deliveries"),
    ("events_read", "event about AWS Config itself", "events about AWS Config itself"),
)
_OTHERS = (
    ("foreign", "message that is not AWS Config's", "messages that are not AWS Config's"),
    ("handed_on", "object handed on to CloudTrail's queue", "objects handed on to CloudTrail's queue"),
    ("missing", "resource that a snapshot no longer lists", "resources that a snapshot no longer lists"),
    ("only_summaries", "oversized item of which the summary is left", "oversized items of which the summary is left"),
)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def searched(screen: Screen, answers: Sequence[ConfigAnswer], first: int) -> None:
    """The questions, their query texts and the answers; `first` is the number of the first one."""
    for number, answer in enumerate(answers, first):
        screen.heading(f"{number}. {answer.question}")
        screen.query("   query  ", answer.query)
        screen.line(f"   {answer.hits:,} version{'' if answer.hits == 1 else 's'} in {answer.index}")
        if answer.table.rows:
            screen.table(answer.table.header, answer.table.rows, numbers=("versions", "changes"))
        if answer.table.note:
            screen.line(f"   {answer.table.note}", "dim")
