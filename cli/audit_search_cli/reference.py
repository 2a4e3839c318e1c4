"""`docs/cli.md`, made of the commands' own help: `python -m audit_search_cli.reference > docs/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from audit_search_cli.main import main

_WIDTH = 100
_INTRODUCTION = """\
# The command `audit-search`

Made of the commands' own help by `python -m audit_search_cli.reference > docs/cli.md`; a test holds it to that.
"""


def commands(command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[click.Command, click.Context]]:
    """A command and all below it, each with the context that its help is written in."""
    name = "audit-search" if parent is None else command.name
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, parent, name, **settings)
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from commands(below, context)


def text() -> str:
    """The whole document."""
    parts = [_INTRODUCTION]
    for command, context in commands(main):
        parts.append(f"## `{context.command_path}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(text())
