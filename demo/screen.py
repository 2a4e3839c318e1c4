"""Where things are printed: the result on stdout, progress and troubles on stderr.

Everything that comes out of a log is data: whoever can make a call chooses its user agent, and with it what would reach
the terminal. Control characters and those that change the direction of text never do.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

_JOINERS = "\u200c\u200d"  # they shape letters and emoji and move nothing
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_PIPE_WIDTH = 110
_WIDE = 100
_CELL = 200


def clean(text: str, most: int = 0) -> str:
    """The text in one line, without anything that a terminal would obey; cut at `most` characters."""
    if most and len(text) > 4 * most:
        text = text[: 4 * most]
    shown = "".join(_shown(character) for character in text)
    shown = " ".join(shown.split())
    return shown[: most - 1] + "…" if most and len(shown) > most else shown


def _shown(character: str) -> str:
    if character in "\t\n\r\v\f\u2028\u2029\x85":
        return " "
    if character.isascii() and character.isprintable():
        return character
    return "�" if unicodedata.category(character) in _UNSHOWN and character not in _JOINERS else character


class Screen:
    """A console of the terminal's width, or of 110 columns where there is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="replace")  # a terminal that cannot show a letter must not end the demo
        self._stream = stream
        self._console = Console(file=stream, width=_width(stream), highlight=False, markup=False, emoji=False)

    def line(self, text: str = "", style: str = "") -> None:
        """Text that wraps at the width; spaces in front of it stay."""
        indent = " " * (len(text) - len(text.lstrip(" ")))
        self._print(Text(indent + clean(text), style))

    def query(self, label: str, query: str) -> None:
        """A query in one piece, however long: it is there to be copied."""
        self._print(Text.assemble((label, "dim"), (clean(query), "bold cyan")), soft_wrap=True)

    @property
    def width(self) -> int:
        """Columns."""
        return self._console.width

    def verbatim(self, text: str, *, indent: int) -> None:
        """Lines that are clean already, moved to the right; those that are too long go on below, further to the right."""
        for line in text.strip("\n").split("\n"):
            begin = " " * (indent + len(line) - len(line.lstrip(" ")))
            more = f"{begin}  "
            wrapped = textwrap.wrap(
                line.strip(), self.width, initial_indent=begin, subsequent_indent=more, break_on_hyphens=False
            )
            self._stream.write("\n".join([begin + line.strip()] if len(wrapped) < 2 else wrapped).rstrip() + "\n")
        self._stream.flush()

    def heading(self, text: str) -> None:
        self._print("")
        self._print(Text(clean(text), "bold"))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
        """A small table; columns named in `numbers` stand to the right."""
        table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        for name in header:
            number = name in numbers
            narrow = number or name in ("when (UTC)", "latest (UTC)") or (name == "call" and self._console.width >= _WIDE)
            table.add_column(
                name, justify="right" if number else "left", no_wrap=narrow, overflow="ellipsis" if narrow else "fold"
            )
        for row in rows:
            table.add_row(*(Text(clean(cell, _CELL)) for cell in row))
        self._print(table)

    def totals(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Counts with their meanings; a row with an empty name is a rule."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="fold")
        for name, count, meaning in rows:
            if not name:
                table.add_row("-" * 13, "-" * 8, "")
            else:
                table.add_row(name, count, Text(clean(meaning), "dim"))
        self._print(table)

    def _print(self, what: RenderableType, *, soft_wrap: bool = False) -> None:
        """Print without the spaces that fill a line up to the width."""
        with self._console.capture() as captured:
            self._console.print(what, soft_wrap=soft_wrap)
        lines = [line.rstrip() for line in captured.get().split("\n")]
        self._stream.write("\n".join(lines).strip("\n") + "\n")
        self._stream.flush()


def _width(stream: TextIO) -> int:
    """COLUMNS, the terminal's, or that of a pipe."""
    if os.environ.get("COLUMNS", "").isdigit() or stream.isatty():
        return max(20, shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns)
    return _PIPE_WIDTH


def progress() -> Progress:
    """A bar on stderr, and nothing at all where stderr is no terminal."""
    console = Console(file=sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
