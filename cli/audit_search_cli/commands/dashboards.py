"""`audit-search dashboards`: export."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from audit_search.dashboards import saved_objects
from audit_search.errors import SettingsError
from audit_search.settings import Reader, prefix_problem
from audit_search_cli.errors import FINE, Problem
from audit_search_cli.options import DocumentedGroup, Invocation, engine_options, pass_invocation
from audit_search_cli.output import counted


@click.group(
    name="dashboards", cls=DocumentedGroup, examples=("audit-search dashboards export --file audit-search.ndjson --prefix team-",)
)
def group() -> None:
    """The dashboards of Audit Search for OpenSearch Dashboards."""


@group.command(
    name="export",
    examples=(
        "audit-search dashboards export --file audit-search.ndjson",
        "audit-search dashboards export --stack audit-search --file audit-search.ndjson",
        "audit-search dashboards export --prefix team- --output json",
    ),
)
@click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the objects to this file, which has to end in .ndjson.  [default: standard output]",
)
@engine_options
@pass_invocation
def export(invocation: Invocation, path: Path | None) -> int:
    """Write index patterns, saved searches, visualisations and dashboards as a file that OpenSearch Dashboards imports.

    The set-up imports them itself; where Dashboards does not take that, import the file under Dashboards Management, Saved
    objects, Import. Nothing is asked of the engine. The objects look into the
    indices of --prefix (or of the stack's), and have ids of their own for each prefix.
    """
    prefix = _prefix(invocation)
    made = saved_objects.objects(prefix)
    if path is not None:
        _write(path, saved_objects.ndjson(prefix))
    if invocation.output.as_json:
        kinds = {"file": str(path) if path else None, "prefix": prefix, "objects": made}
        invocation.output.document(kinds)
    elif path is None:
        sys.stdout.write(saved_objects.ndjson(prefix))
    else:
        invocation.output.line(f"{counted(len(made), 'object')} written to {path}.")
        invocation.output.line("Import it in OpenSearch Dashboards: Dashboards Management, Saved objects, Import.")
    return FINE


def _prefix(invocation: Invocation) -> str:
    """The prefix of the indices. Raises SettingsError for one that no index can have."""
    read = Reader(invocation.settings)
    prefix = read.checked("INDEX_PREFIX", prefix_problem)
    if read.problems:
        raise SettingsError(read.problems)
    return prefix


def _write(path: Path, text: str) -> None:
    if path.suffix != ".ndjson":
        raise Problem(f"The file {path} does not end in .ndjson", "Dashboards takes no other: give --file NAME.ndjson.")
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise Problem(f"{path} cannot be written ({error.strerror or error})", "Name a file in a folder that exists.") from error
