"""The program `audit-search`: its options, its commands, and one line for each thing that goes wrong."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from audit_search import __version__
from audit_search.errors import AuditSearchError, DomainSetupError, EngineUnreachableError, SettingsError
from audit_search_cli.commands import (
    backfill,
    changes,
    coverage,
    dashboards,
    dlq,
    doctor,
    graph,
    lookup,
    notification,
    outputs,
    quarantine,
    replay,
    rules,
    setup,
    state,
    status,
    support,
    trends,
    verify,
    when,
    who,
    why,
)
from audit_search_cli.errors import FINE, INTERRUPTED, MISTAKE, NOT_REACHED, WRONG_USE, Problem, explain_aws
from audit_search_cli.options import EXIT_CODE_ROWS, DocumentedGroup, Invocation, engine_options
from audit_search_cli.output import clean

_COMPLETION = (
    ("bash", 'eval "$(_AUDIT_SEARCH_COMPLETE=bash_source audit-search)"'),
    ("zsh", 'eval "$(_AUDIT_SEARCH_COMPLETE=zsh_source audit-search)"'),
    ("fish", "_AUDIT_SEARCH_COMPLETE=fish_source audit-search | source"),
)


class Program(DocumentedGroup):
    """The group of all commands; whatever is raised below it becomes one line on stderr and an exit code."""

    further = (("Exit codes", EXIT_CODE_ROWS), ("Shell completion, in the shell's start-up file", _COMPLETION))

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """Run and exit with a code of `errors.EXIT_CODES`."""
        extra |= {"standalone_mode": False, "prog_name": "audit-search"}
        invocation = Invocation()
        try:
            code = super().main(*arguments, obj=invocation, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            code = WRONG_USE
        except (click.Abort, KeyboardInterrupt):
            code = _tell("Interrupted", "", INTERRUPTED)
        except Exception as error:
            if invocation.debug:
                traceback.print_exc()
            code = _tell(*_explain(error))
        sys.exit(code if isinstance(code, int) else FINE)


def _explain(error: Exception) -> tuple[str, str, int]:
    """What to say, what to do, and the exit code."""
    match error:
        case Problem():
            return error.what, error.remedy, error.code
        case click.ClickException():
            command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "audit-search"
            return error.format_message().rstrip("."), f"See {command} --help.", WRONG_USE
        case SettingsError():
            return f"The settings are not valid: {'; '.join(error.problems)}", "", WRONG_USE
        case EngineUnreachableError():
            return str(error), "", NOT_REACHED
        case DomainSetupError():
            return str(error), "", NOT_REACHED
        case BotoCoreError() | ClientError():
            problem = explain_aws(error, "Asking AWS")
            return problem.what, problem.remedy, problem.code
        case AuditSearchError():
            return str(error), "", WRONG_USE
        case _:
            remedy = "This is a mistake in this program: --debug shows where."
            return f"{type(error).__name__}: {error}", remedy, MISTAKE


def _tell(what: str, remedy: str, code: int) -> int:
    text = clean(f"{what}. {remedy}" if remedy else what)
    sys.stderr.write(f"Error: {text}\n")
    return code


@click.group(
    cls=Program,
    examples=(
        "audit-search setup --stack audit-search --dry-run",
        "audit-search doctor --stack audit-search",
        "audit-search status --stack audit-search",
        "audit-search lookup --user alice --since '400 days ago'",
        "audit-search notification show s3://my-trail-bucket",
        "audit-search dlq list --stack audit-search",
        "audit-search quarantine list --stack audit-search",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="audit-search", message="%(prog)s %(version)s")
@engine_options
def main() -> None:
    """Ask what happened; prepare, examine and mend an installation of Audit Search.

    A setting comes from an option, else from the environment, else from the stack's outputs (--stack NAME). The options below
    may stand before or behind the name of a command. Results go to stdout, everything else to stderr.
    """


main.add_command(setup.setup)
main.add_command(doctor.doctor)
main.add_command(status.status)
main.add_command(notification.group)
main.add_command(dlq.group)
quarantine.group.add_command(replay.replay)
main.add_command(quarantine.group)
main.add_command(backfill.backfill)
main.add_command(rules.group)
main.add_command(verify.verify)
main.add_command(lookup.lookup)
main.add_command(when.when)
main.add_command(why.why)
main.add_command(who.who)
main.add_command(support.support)
main.add_command(changes.changes)
main.add_command(state.state)
main.add_command(graph.graph)
main.add_command(trends.top)
main.add_command(trends.stats)
main.add_command(coverage.coverage)
main.add_command(outputs.outputs)
main.add_command(dashboards.group)
