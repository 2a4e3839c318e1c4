"""S3 object-created notification -> documents in OpenSearch. The work is done by `audit_search`."""

from __future__ import annotations

from typing import Any

from audit_search.assembly import assemble
from audit_search.invocation import Function

FUNCTION = Function("cloudtrail", assemble)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Index what the event names; see `invocation.Function`."""
    return FUNCTION(event, context)
