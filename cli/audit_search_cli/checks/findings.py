"""What a check gives, and what it works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from audit_search.domain.refusals import absent_handler, not_offered, said
from audit_search.domain.settings import DomainSettings
from audit_search.errors import AuditSearchError
from audit_search.index_template import name
from audit_search_cli.connection import Engine
from audit_search_cli.errors import Problem
from audit_search_cli.stack import Stack

Severity = Literal["ok", "note", "warning", "error", "not checked"]
GB = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check saw. `remedy` is what to do; `table` has its header in the first row."""

    check: str
    severity: Severity
    what: str
    remedy: str = ""
    table: tuple[tuple[str, ...], ...] = ()


class NotCheckedError(AuditSearchError):
    """A check cannot run here; the text says why."""


@dataclass
class Patient:
    """An installation: the engine with the settings it should have, and its stack where one is named.

    `client` gives a boto3 client of a service. What was asked once is remembered, so that checks can share it.
    """

    engine: Engine
    settings: DomainSettings
    now: datetime
    client: Callable[[str], Any]
    stack: Stack | None = None
    stale: timedelta = timedelta(hours=3)
    unsigned: Problem | None = None
    """Why requests to the engine cannot be signed, where they cannot."""
    _answers: dict[str, Any] = field(default_factory=dict)

    @property
    def alias(self) -> str:
        """The read alias, which is the template's name."""
        return name(self.settings.index_prefix)

    @property
    def pattern(self) -> str:
        """Every index of the family, the ones of a wrong name as well."""
        return f"{self.alias}-*"

    @cached_property
    def indices(self) -> Mapping[str, Any]:
        """Aliases, mappings and flat settings of every index of the family, by name. Raises NotCheckedError."""
        found = self.get(f"/{self.pattern}?flat_settings=true", none_on_404=True)
        return found if isinstance(found, dict) else {}

    def get(self, path: str, *, none_on_404: bool = False) -> Any:
        """The answer to a GET. Raises NotCheckedError for a refusal and EngineUnreachableError without an answer."""
        return self.ask("GET", path, none_on_404=none_on_404)

    def ask(self, method: str, path: str, body: Any = None, *, none_on_404: bool = False) -> Any:
        """As `get`, by another method; with `none_on_404` what is not there is None."""
        known = f"{method} {path} {body!r}"
        if known not in self._answers:
            self._answers[known] = self.engine.request(method, path, body)
        status, answer = self._answers[known]
        if status == 200:
            return answer
        if status == 404 and none_on_404:
            return None
        asked = f"{method} {path.partition('?')[0]}"
        if status in (401, 403) and not not_offered(status, answer):
            raise NotCheckedError(f"not allowed ({asked}: HTTP {status}: {said(answer)[:200]})")
        if absent_handler(status, answer) or not_offered(status, answer):
            raise NotCheckedError(f"this engine does not offer it ({asked}: HTTP {status})")
        raise NotCheckedError(f"{asked} was answered with HTTP {status}: {said(answer)[:200]}")


Check = Callable[[Patient], list[Finding]]


def number(value: object) -> float:
    """A number as `_cat` and `_settings` write them, which is as text. Raises NotCheckedError for anything else."""
    try:
        return float(str(value))
    except ValueError as error:
        raise NotCheckedError(f"the engine's answer holds {str(value)[:40]!r} where a number is expected") from error
