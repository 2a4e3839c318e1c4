"""S3 object-created notification -> documents in OpenSearch. Glue and policy; the work is done by `audit_search`."""

from __future__ import annotations

import os
import time
from typing import Any

from audit_search.assembly import Container, assemble
from audit_search.envelopes import Message, messages
from audit_search.errors import IndexTemplateError, ReturnedError
from audit_search.observability import Observer
from audit_search.pipeline import Report

STOP_EARLY = 10.0
"""Seconds that are kept for reporting what is not done."""

_observer: Observer | None = None
_container: Container | None = None
_made_of: dict[str, str] = {}


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Index what the event names.

    From SQS it answers with the messages that have to be delivered again, otherwise with the counts. Raises ReturnedError
    where a direct event could not be finished, so that Lambda retries it, and SettingsError before anything is read.
    """
    container, observer = _warm()
    remaining = context.get_remaining_time_in_millis() / 1000
    deadline = time.monotonic() + remaining - min(STOP_EARLY, remaining / 4)
    asked = messages(event)
    report = _run(container, observer, asked, deadline)
    observer.report(report)
    returned = [message for message, _ in report.returned_messages]
    if asked and asked[0].message_id is not None:
        if returned:
            for problem in container.redelivery.postpone(returned):
                observer.problem("a returned message could not be postponed", problem)
        return {"batchItemFailures": [{"itemIdentifier": message.message_id} for message in returned]}
    if returned:
        raise ReturnedError(" | ".join(reason for _, reason in report.returned_messages))
    return report.summary()


def _run(container: Container, observer: Observer, asked: list[Message], deadline: float) -> Report:
    if any(message.objects for message in asked):
        try:
            container.require_template()
        except IndexTemplateError as error:
            observer.problem("nothing is written", str(error))
            return Report(
                returned_messages=[
                    (message, str(message.error or error)) for message in asked if message.objects or message.error
                ],
                skipped=[skipped for message in asked for skipped in message.skipped],
            )
    return container.pipeline.run(asked, deadline)


def _warm() -> tuple[Container, Observer]:
    """The container's parts; built anew when the environment changes, as rotated keys do."""
    global _container, _observer, _made_of
    # Lambda writes a new trace id (_X_AMZN_TRACE_ID) into the environment before each invocation.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("_")}
    if _container is None or environment != _made_of:
        _container, _made_of = assemble(environment), environment
    if _observer is None:
        _observer = Observer("cloudtrail")
    return _container, _observer
