"""Where things are printed: what was asked for on stdout, progress and troubles on stderr.

Names of indices, keys of objects and bodies of messages were chosen by others: whoever can put an object chooses its key,
and with it what would reach the terminal. Control characters and those that turn the direction of text never do, and
nothing is read as markup.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 120
_LONG_CELL = 600
_JOINERS = "\u200c\u200d"  # they shape letters and emoji, and move nothing
_OBEYED = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
STYLES: Mapping[str, str] = {
    "error": "bold red",
    "warning": "yellow",
    "ok": "green",
    "not checked": "magenta",
    "create": "green",
    "update": "yellow",
    "refuse": "bold red",
}
"""Words that are coloured where they stand alone in a cell of a table, on a terminal."""


def clean(text: object, most: int = 0) -> str:
    """The text in one line without anything that a terminal would obey; cut at `most` characters."""
    whole = str(text)
    if most:
        whole = whole[: 4 * most]
    line = " ".join("".join(_visible(character) for character in whole).split())
    return line[: most - 1] + "…" if most and len(line) > most else line


def _visible(character: str) -> str:
    if character.isspace() or character == "\x85":
        return " "
    if character in _JOINERS or unicodedata.category(character) not in _OBEYED:
        return character
    return "\N{REPLACEMENT CHARACTER}"


class Output:
    """What a command prints: text for people, or one JSON document when `as_json`; to `stream` in place of stdout."""

    def __init__(self, *, as_json: bool = False, stream: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stream = stream or sys.stdout
        reconfigure = getattr(self._stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="replace")  # a terminal that cannot show a letter must not end the command
        width = _width(self._stream)
        self._console = Console(file=self._stream, width=width, highlight=False, markup=False, emoji=False)

    def document(self, value: Any) -> None:
        """The result as JSON; everything beyond ASCII is escaped, so that no terminal obeys it."""
        self._stream.write(json.dumps(value, indent=2, default=str) + "\n")
        self._stream.flush()

    def listed(self, name: str, items: Iterable[Any], rest: Callable[[], Mapping[str, Any]]) -> None:
        """A JSON document with a list of any length under `name`, written item by item, and the fields that `rest` gives then.

        Nothing is written before the first item is there, or it is known that there is none: what fails at once leaves no half
        of a document.
        """
        each = iter(items)
        begun = list(itertools.islice(each, 1))
        fields = None if begun else rest()
        self._stream.write(f'{{\n  "{name}": [')
        separator = "\n"
        for item in itertools.chain(begun, each):
            self._stream.write(separator + textwrap.indent(json.dumps(item, indent=2, default=str), "    "))
            separator = ",\n"
        self._stream.write("]" if separator == "\n" else "\n  ]")
        for key, value in (rest() if fields is None else fields).items():
            self._stream.write(f",\n  {json.dumps(key)}: " + json.dumps(value, indent=2, default=str).replace("\n", "\n  "))
        self._stream.write("\n}\n")
        self._stream.flush()

    def plain(self, text: str) -> None:
        """Text as it is, such as CSV: the caller has cleaned it."""
        self._stream.write(text)
        self._stream.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """A line of text in one piece, so that a path in it can be copied; spaces in front of it stay."""
        indent = " " * (len(text) - len(text.lstrip(" ")))
        self._print(Text(indent + clean(text), style), soft_wrap=True)

    def heading(self, text: str) -> None:
        """An empty line and a title."""
        self._print("")
        self._print(Text(clean(text), "bold"))

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        numbers: Sequence[str] = (),
        whole: Sequence[str] = (),
    ) -> None:
        """A table without the columns that are empty. Those named in `numbers` stand to the right, those in `whole` do not
        wrap; all others do, and nothing is lost."""
        table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        shown = [number for number in range(len(header)) if any(str(row[number]) for row in rows)]
        for name in (header[number] for number in shown):
            table.add_column(name, justify="right" if name in numbers else "left", overflow="fold", no_wrap=name in whole)
        for row in rows:
            table.add_row(*(_cell(row[number]) for number in shown))
        self._print(table)

    def _print(self, what: RenderableType, *, soft_wrap: bool = False) -> None:
        """Print without the spaces that fill a line up to the width."""
        with self._console.capture() as captured:
            self._console.print(what, soft_wrap=soft_wrap)
        lines = [line.rstrip() for line in captured.get().split("\n")]
        self._stream.write("\n".join(lines).rstrip("\n") + "\n")
        self._stream.flush()


def _cell(value: object) -> Text:
    text = clean(value, _LONG_CELL)
    return Text(text, STYLES.get(text, ""))


def _width(stream: TextIO) -> int:
    if os.environ.get("COLUMNS", "").isdigit() or stream.isatty():
        return max(40, shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns)
    return _PIPE_WIDTH


def note(text: str) -> None:
    """A line on stderr: what is worth knowing and is no result."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


@contextlib.contextmanager
def progress(doing: str) -> Iterator[Callable[[str], None]]:
    """A sign of life on stderr while something takes its time, and nothing at all where stderr is no terminal.

    Gives a function that says what is being done now.
    """
    if not sys.stderr.isatty():
        yield lambda _doing: None
        return
    with Console(file=sys.stderr, markup=False, highlight=False).status(Text(clean(doing))) as status:
        yield lambda doing: status.update(Text(clean(doing)))


@contextlib.contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr with a number done of a number in all, the rate and the time left; nothing where stderr is no terminal.

    Gives a function that takes how many are done, of how many, and what else is to be said. Its first call only says where it
    begins: what was done before has no part in the rate.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total, _more: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.fields[of]}", markup=False),
        TextColumn("{task.fields[more]}", markup=False),
        _Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(file=sys.stderr, markup=False, highlight=False), transient=True) as shown:
        task = shown.add_task(clean(doing), total=None, more="", of="?")
        begun = False

        def say(done: int, total: int, more: str) -> None:
            nonlocal begun
            if not begun:
                shown.reset(task, completed=done, total=total)
                begun = True
            shown.update(task, completed=done, total=total, more=clean(more), of=f"{total:,}")

        yield say


class _Rate(ProgressColumn):
    """So many a second."""

    def render(self, task: Task) -> Text:
        """As far as it is known."""
        return Text(f"{task.speed:,.0f}/s" if task.speed is not None else "", "progress.data.speed")


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 index`, `1,200 indices`; without `many` an s makes the plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def human_bytes(size: float) -> str:
    """A number of bytes as people read it: `1.5 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def human_age(seconds: float) -> str:
    """A duration as people read it: `2 d 3 h`, `4 min`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"
