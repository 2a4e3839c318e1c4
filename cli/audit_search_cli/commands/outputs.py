"""`audit-search outputs`."""

from __future__ import annotations

import click

from audit_search_cli.errors import FINE, Problem
from audit_search_cli.options import DocumentedCommand, Invocation, aws_options, pass_invocation


@click.command(
    cls=DocumentedCommand,
    examples=(
        "audit-search outputs --stack audit-search",
        "audit-search outputs DashboardsUrl --stack audit-search",
        "audit-search outputs KeptAfterDelete --stack audit-search",
    ),
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@aws_options
@pass_invocation
def outputs(invocation: Invocation, names: tuple[str, ...]) -> int:
    """Show the addresses that a stack has: OpenSearch Dashboards, queues, roles, and what stays when it is deleted.

    With names only those, one value a line.
    """
    stack = invocation.stack
    if stack is None:
        raise Problem("No stack is named", "Name it with --stack NAME.")
    unknown = [name for name in names if name not in stack.outputs]
    if unknown:
        known = ", ".join(sorted(stack.outputs)) or "none"
        raise Problem(f"The stack {stack.name} has no output {', '.join(unknown)}", f"It has {known}.")
    chosen = {name: stack.outputs[name] for name in names or sorted(stack.outputs)}
    if invocation.output.as_json:
        invocation.output.document(chosen)
    elif names:
        for value in chosen.values():
            invocation.output.line(value)
    else:
        invocation.output.table(("output", "value"), list(chosen.items()), whole=("output",))
    return FINE
