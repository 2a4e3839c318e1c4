"""The help of `audit-search`: whole, with examples that work, and the same as the document."""

from __future__ import annotations

import shlex

import click
import pytest

from audit_search_cli.errors import EXIT_CODES
from audit_search_cli.main import main
from audit_search_cli.options import VARIABLES, DocumentedCommand, DocumentedGroup, Invocation
from audit_search_cli.reference import commands, text
from tests.support.building import ROOT
from tests.support.cli import run

ALL = [(context.command_path, command, context) for command, context in commands(main)]


@pytest.mark.parametrize(("path", "command", "context"), ALL, ids=[path for path, _, _ in ALL])
def test_every_command_and_every_option_has_help(path: str, command: click.Command, context: click.Context) -> None:
    """Nobody has to guess what a command or an option does."""
    assert command.help, path
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            assert parameter.help, (path, parameter.name)


@pytest.mark.parametrize(("path", "command", "context"), ALL, ids=[path for path, _, _ in ALL])
def test_every_help_text_has_an_example_that_is_accepted(path: str, command: click.Command, context: click.Context) -> None:
    """What the help shows can be copied: it names a command that there is, with options that this takes."""
    assert isinstance(command, DocumentedCommand | DocumentedGroup)
    assert command.examples, path
    shown = run(*path.split()[1:], "--help")
    assert shown.code == 0
    assert "\nExamples:\n" in shown.out
    for example in command.examples:
        assert f"\n  {example}\n" in f"{shown.out}\n"
        program, *words = shlex.split(example)
        assert program == "audit-search"
        _accepts(main, words)


def _accepts(command: click.Command, words: list[str]) -> None:
    """Parse the words as click would, down to the last command, without running it."""
    parent = None
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.commands.get(name)
        assert found is not None, name
        parent = click.Context(command, parent, obj=Invocation())
        command = found
    command.make_context(command.name, words, parent)


def test_options_may_stand_before_and_behind_the_command() -> None:
    """The one behind wins, for it is nearer."""
    before = run("--endpoint", "ftp://before", "doctor")
    both = run("--endpoint", "ftp://before", "doctor", "--endpoint", "ftp://behind")
    assert "ftp://before" in before.line
    assert "ftp://behind" in both.line


def test_the_document_is_the_help() -> None:
    """docs/cli.md says what --help says; `python -m audit_search_cli.reference > docs/cli.md` makes it so again."""
    assert (ROOT / "docs" / "cli.md").read_text("utf-8") == text()


def test_the_help_lists_the_exit_codes_and_how_to_complete() -> None:
    """A script's author finds each code, and a person how the shell completes."""
    shown = run("--help").out
    for code, meaning in EXIT_CODES.items():
        assert f"{code}" in shown
        assert meaning in " ".join(shown.split())
    assert "_AUDIT_SEARCH_COMPLETE=bash_source" in shown


def test_the_shell_completes_commands_and_options() -> None:
    """Completion asks the command itself, by the environment variable that its help names."""
    env = {"_AUDIT_SEARCH_COMPLETE": "bash_complete", "COMP_WORDS": "audit-search no", "COMP_CWORD": "1"}
    assert run(env=env).out == "plain,notification\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["doctor", "--nothing"], "No such option '--nothing'"),
        (["dlq", "list", "--max", "many"], "'many' is not a valid integer"),
        (["dlq", "list", "--max", "0"], "0 is not in the range"),
        (["notification", "show"], "Missing argument"),
        (["doctor", "--auth", "magic"], "'magic' is not one of"),
        (["doctor", "--stale-hours", "0"], "0.0 is not in the range"),
    ],
)
def test_wrong_use_is_one_line_that_names_the_help(arguments: list[str], says: str) -> None:
    """The exit code is 2, and nothing is printed to stdout."""
    wrong = run(*arguments)
    assert wrong.code == 2
    assert says in wrong.line
    assert "--help" in wrong.line


def test_without_a_command_the_help_is_shown() -> None:
    """On stderr and with exit code 2, for nothing was done."""
    alone = run()
    assert (alone.code, alone.out) == (2, "")
    assert alone.err.startswith("Usage: audit-search ")


def test_the_version_is_the_packages() -> None:
    """`--version` names what is installed."""
    assert run("--version").out == "audit-search 0.1.0\n"


def test_each_setting_names_its_variable() -> None:
    """Whoever reads the help of an option knows the variable that does the same."""
    shown = " ".join(run("setup", "--help").out.split())
    for name, variable in VARIABLES.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert f"[env var: {variable}]" in shown
