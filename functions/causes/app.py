"""A schedule -> links between what AWS Config recorded and who called. Glue; the work is done by `audit_search.causes`."""

from __future__ import annotations

import os
import time
from typing import Any

from audit_search.causes.assembly import assemble
from audit_search.causes.linking import Linker
from audit_search.errors import EngineUnreachableError
from audit_search.observability import Observer
from audit_search.settings import CausesSettings

_linker: Linker | None = None
_observer: Observer | None = None
_SPARE_SECONDS = 15.0
"""Kept for the report."""


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Link what is new and what is due for another look, and publish how many versions ended how.

    Raises SettingsError, IndexTemplateError, and EngineUnreachableError where the engine took or gave something not; what was
    linked until then stays, and the next run goes on there.
    """
    global _linker, _observer
    settings = CausesSettings.from_env(os.environ)
    _observer = _observer or Observer("causes")
    _linker = _linker or assemble(settings)
    totals = _linker.run(time.monotonic() + context.get_remaining_time_in_millis() / 1_000 - _SPARE_SECONDS)
    _observer.linking(totals)
    if totals.problem:
        raise EngineUnreachableError(f"The engine at {settings.endpoint}: {totals.problem}")
    return totals.figures
