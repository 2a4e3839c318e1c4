"""AWS Config's messages and objects -> documents in OpenSearch. The work is done by `audit_search`."""

from __future__ import annotations

from typing import Any

from audit_search.aws_config.assembly import assemble
from audit_search.invocation import Function

FUNCTION = Function("config", assemble, config=True)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Index what the event holds and names; see `invocation.Function`."""
    return FUNCTION(event, context)
