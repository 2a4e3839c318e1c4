"""A schedule -> what is missing of the last hours as metrics. Glue; the work is done by `audit_search.validation`."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any

from audit_search.observability import Observer
from audit_search.settings import VerifySettings
from audit_search.validation.assembly import due, verify

_observer: Observer | None = None
_SPARE_SECONDS = 45.0
"""Kept for the log files in hand, whose reads and look-ups end by their own time-outs, and for the report."""


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Verify what was delivered in the VERIFY_HOURS that are due, and publish MissingFiles, ChangedFiles, InvalidDigests and
    UnreadFiles, also where they are 0.

    Raises SettingsError, and what botocore raises where there are no credentials: then there are no metrics, and the alarm of
    the function's errors says so.
    """
    global _observer
    settings = VerifySettings.from_env(os.environ)
    _observer = _observer or Observer("verify")
    since, until = due(datetime.now(UTC), settings.hours)
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1_000 - _SPARE_SECONDS
    report = verify(settings, since, until, deadline)
    _observer.verification(report)
    return {"since": since.isoformat(), "until": until.isoformat(), **report.metrics}
