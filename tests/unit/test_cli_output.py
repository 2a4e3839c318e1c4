"""What the command prints: nothing that a terminal would obey, whoever wrote it."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from audit_search_cli.errors import Problem
from audit_search_cli.output import Output, clean, counted, human_age, human_bytes, note, progress, progress_bar

HOSTILE = "\x1b[2Jkey\x1b]0;title\x07 [red]x[/red] \u202egpj.exe\u2069 a\nb\tc\x9b31m \u200b"


def printed(what: click.Command) -> tuple[str, str]:
    """What a command puts on stdout and on stderr."""
    result = CliRunner().invoke(what, catch_exceptions=False)
    return result.stdout, result.stderr


def test_text_of_others_is_no_control_sequence_and_no_markup() -> None:
    """Escapes, bells and characters that turn the direction of text are shown as a sign, brackets as they are."""

    @click.command()
    def show() -> None:
        output = Output()
        output.line(HOSTILE)
        output.heading(HOSTILE)
        output.table(("a", "b"), [(HOSTILE, 1)])
        note(HOSTILE)

    out, err = printed(show)
    for text in (out, err):
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2069", "\u200b"} & set(text)
        assert "[red]x[/red]" in text


def test_json_holds_the_text_as_it_is_and_only_ascii() -> None:
    """A program gets every character back; a terminal sees escapes."""

    @click.command()
    def show() -> None:
        Output(as_json=True).document({"key": HOSTILE, "letters": "müller"})

    out, _ = printed(show)
    assert out.isascii()
    assert "\x1b" not in out
    assert "\\u001b" in out


def test_a_list_that_fails_at_once_leaves_no_half_of_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written where the first item, or what is said of none, cannot be had; else items, and the fields behind them."""

    def refused() -> dict[str, Any]:
        raise Problem("No", "Yes.")

    output = Output(as_json=True)
    with pytest.raises(Problem):
        output.listed("numbers", (refused() for _ in range(2)), dict)
    with pytest.raises(Problem):
        output.listed("numbers", [], refused)
    assert capsys.readouterr().out == ""
    output.listed("numbers", [1, 2], lambda: {"more": True})
    assert json.loads(capsys.readouterr().out) == {"numbers": [1, 2], "more": True}
    output.listed("numbers", [], lambda: {"more": False})
    assert json.loads(capsys.readouterr().out) == {"numbers": [], "more": False}


def test_a_long_text_is_cut_where_it_is_asked_for() -> None:
    """The cut is marked, and a text that fits stays whole."""
    assert clean("a" * 10, 5) == "aaaa…"
    assert clean("aaaaa", 5) == "aaaaa"
    assert clean("  a \n b  ") == "a b"


def test_where_there_is_no_terminal_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file does not fill with signs of life."""
    with progress("working"):
        pass
    with progress_bar("working") as say:
        say(1, 2, "more")
    assert capsys.readouterr() == ("", "")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal_has_what_is_done_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what else is said, without what a terminal would obey, and gone at its end; a total may grow."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", "120")):
        monkeypatch.setenv(name, value)
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_bar("reading [red]a\x1b]b") as say:
        say(5, 2_000, "")
        say(1_000, 2_500, "3 records")
    shown = terminal.getvalue()
    assert "reading [red]a\N{REPLACEMENT CHARACTER}]b" in shown
    assert "1,000/2,500 3 records" in re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "\x1b]" not in shown


def test_sizes_ages_and_counts_are_as_people_say_them() -> None:
    """Units change where the next one reads better."""
    assert [human_bytes(size) for size in (0, 999, 1_500, 250_000_000, 3e12, 7e15)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "250 MB",
        "3.0 TB",
        "7,000.0 TB",
    ]
    assert [human_age(seconds) for seconds in (-5, 59, 61, 3_700, 200_000)] == ["0 s", "59 s", "1 min", "1 h 1 min", "2 d 7 h"]
    assert [counted(1, "index", "indices"), counted(2, "index", "indices"), counted(1_200, "node")] == [
        "1 index",
        "2 indices",
        "1,200 nodes",
    ]
