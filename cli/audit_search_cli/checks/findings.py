"""What a check gives, and what it works on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from audit_search.documents import TRAIL
from audit_search.domain.families import Family, families
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
    family: Family | None = None
    """The indices that are looked at; CloudTrail's where none are named."""
    _answers: dict[str, Any] = field(default_factory=dict)

    @property
    def alias(self) -> str:
        """The read alias, which is the template's name."""
        return self.family.name if self.family else name(self.settings.index_prefix)

    @property
    def pattern(self) -> str:
        """Every index of the family, the ones of a wrong name as well."""
        return f"{self.alias}-*" if self.family is None or self.family.alias else self.family.pattern

    @cached_property
    def indices(self) -> Mapping[str, Any]:
        """Aliases, mappings and flat settings of every index of the family, by name. Raises NotCheckedError."""
        found = self.get(f"/{self.pattern}?flat_settings=true", none_on_404=True)
        return found if isinstance(found, dict) else {}

    @property
    def newest_index(self) -> str:
        """The index that takes what happens now."""
        if self.family and not self.family.period:
            return self.family.pattern
        daily = self.family is None and self.settings.daily
        return f"{self.alias}-{self.now:{'%Y.%m.%d' if daily else '%Y.%m'}}"

    @property
    def retention_days(self) -> int:
        """How many days of these indices are kept; 0 where nothing is deleted."""
        return (self.family.retention or 0) if self.family else self.settings.retention_days

    def of_config(self) -> Iterator[Patient]:
        """The same installation, looked at by each family of AWS Config's that has indices."""
        for family in families(self.settings):
            other = replace(self, family=family)
            if family.kind != TRAIL and other.indices:
                yield other

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
