"""What Lambda calls, and what it is answered: the policy of both functions that write documents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic

from audit_search.container import Container, P
from audit_search.envelopes import Message, messages
from audit_search.errors import IndexTemplateError, ReturnedError
from audit_search.observability import Observer
from audit_search.reports import Report

STOP_EARLY: Final = 10.0
"""Seconds that are kept for reporting what is not done."""


class Function(Generic[P]):
    """One function, with the container that it keeps while it is warm."""

    def __init__(self, service: str, assemble: Callable[[Mapping[str, str]], Container[P]], *, config: bool = False) -> None:
        """`service` names it in logs and metrics; with `config` its messages are AWS Config's as well."""
        self._service = service
        self._assemble = assemble
        self._config = config
        self._container: Container[P] | None = None
        self._observer: Observer | None = None
        self._made_of: dict[str, str] = {}

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Index what the event names.

        From SQS it answers with the messages that have to be delivered again, otherwise with the counts. Raises ReturnedError
        where a direct event could not be finished, so that Lambda retries it, and SettingsError before anything is read.
        """
        container, observer = self.warm()
        remaining = context.get_remaining_time_in_millis() / 1000
        deadline = time.monotonic() + remaining - min(STOP_EARLY, remaining / 4)
        asked = messages(event, config=self._config)
        report = self._run(container, observer, asked, deadline)
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

    def _run(self, container: Container[P], observer: Observer, asked: list[Message], deadline: float) -> Report:
        if any(message.writes for message in asked):
            try:
                container.require_templates()
            except IndexTemplateError as error:
                observer.problem("nothing is written", str(error))
                return Report(
                    returned_messages=[
                        (message, str(message.error or error)) for message in asked if message.writes or message.error
                    ],
                    skipped=[skipped for message in asked for skipped in message.skipped],
                )
        return container.pipeline.run(asked, deadline)

    def warm(self) -> tuple[Container[P], Observer]:
        """The container's parts; built anew when the environment changes, as rotated keys do."""
        # Lambda writes a new trace id (_X_AMZN_TRACE_ID) into the environment before each invocation.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("_")}
        if self._container is None or environment != self._made_of:
            self._container, self._made_of = self._assemble(environment), environment
        if self._observer is None:
            self._observer = Observer(self._service)
        return self._container, self._observer

    def cold(self) -> None:
        """Forget the container: the next call builds everything anew."""
        self._container = None
