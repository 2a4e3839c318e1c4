"""The end of the demo: three things that happened in the samples, as the command `audit-search` tells them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audit_search.alerts.matching import deployed
from demo.config_inputs import SAMPLE_INSTANCE
from demo.screen import Screen

_DENIED: Final = "c502caff-86a9-4965-9d6b-fb853978d21f"
_GROUP: Final = "sg-0f1e2d3c4b5a69788"
_ALERT: Final = "security-group-opened-to-the-world"
_THEN: Final = ("2026-11-05 13:50Z", "2026-11-05 13:59Z")
_BEFORE: Final = "2026-11-12 16:00Z"
_AFTER: Final = "2026-11-12 16:30Z"
_INDENT: Final = 3


@dataclass(frozen=True, slots=True)
class Chapter:
    """What happened, an alert rule that it met, and the questions: arguments of `audit-search`."""

    title: str
    questions: tuple[tuple[str, ...], ...]
    alert: str = ""


CHAPTERS: Final = (
    Chapter("In the night of 10 November a program could not start a server. Why?", (("why", _DENIED),)),
    Chapter(
        "On 5 November a security group was opened to the world. Who did it, and what exactly changed?",
        (
            ("lookup", "--alert", _ALERT, "--since", "2026-11-01", "--until", "2026-12-01"),
            ("who", _GROUP, "--since", _THEN[0], "--until", _THEN[1]),
            ("changes", _GROUP, "--between", *_THEN),
        ),
        _ALERT,
    ),
    Chapter(
        "On 12 November the web server was terminated. By whom, and what hung on it?",
        (
            ("who", SAMPLE_INSTANCE, "--since", _BEFORE, "--until", _AFTER),
            ("graph", SAMPLE_INSTANCE, "--as-of", _BEFORE, "--depth", "1"),
            ("graph", SAMPLE_INSTANCE, "--as-of", _AFTER, "--compare", _BEFORE, "--depth", "1"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Told:
    """A question with its answer: the exit code, what came on stdout, and the line of an error."""

    arguments: tuple[str, ...]
    code: int
    out: str
    error: str

    @property
    def command(self) -> str:
        """As a person types it."""
        return shlex.join(("audit-search", *self.arguments))


def tell(chapter: Chapter, *, as_json: bool, width: int = 110) -> Iterator[Told]:
    """Ask the questions of a chapter, of the engine that the environment names."""
    for arguments in chapter.questions:
        yield Told(arguments, *_run((*arguments, *(("--output", "json") if as_json else ())), width))


def as_json() -> list[dict[str, Any]]:
    """What OUTPUT=json has under `story`."""
    return [
        {
            "title": chapter.title,
            "alert": chapter.alert or None,
            "questions": [
                {"command": told.command, "exit_code": told.code, "answer": json.loads(told.out) if told.out else None}
                for told in tell(chapter, as_json=True)
            ],
        }
        for chapter in CHAPTERS
    ]


def show(screen: Screen) -> None:
    """The story for a person."""
    screen.heading("Three stories from these documents, as the command audit-search tells them")
    for number, chapter in enumerate(CHAPTERS, 1):
        screen.heading(f"Story {number}: {chapter.title}")
        if chapter.alert:
            rule = deployed().by_name[chapter.alert]
            raised = f"The alert {rule.name} ({rule.severity}, tier {rule.tier}) was raised when the event was indexed."
            screen.verbatim(f"{raised}\nWhat to do, says the alert: {rule.do}", indent=_INDENT)
        for told in tell(chapter, as_json=False, width=screen.width - _INDENT):
            screen.line()
            screen.query("   $ ", told.command)
            screen.verbatim(told.out or told.error, indent=_INDENT)


def goes_on(endpoint: str) -> list[str]:
    """Command lines to go on with, while the engine is there."""
    engine = ("--endpoint", endpoint, "--auth", "none")
    graph = ("graph", SAMPLE_INSTANCE, "--as-of", _AFTER, "--compare", _BEFORE, "--html", "graph.html")
    return [shlex.join((".venv/bin/audit-search", *question, *engine)) for question in (("who", _GROUP), graph)]


def _run(arguments: Sequence[str], width: int) -> tuple[int, str, str]:
    """The command in this process: importing it once more for each question would take longer than the questions."""
    from audit_search_cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with _columns(width), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main.main(args=list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return code, out.getvalue(), err.getvalue()


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
