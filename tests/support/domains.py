"""A domain that tests set up: an engine with names of its own, behind a front that sees each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audit_search.domain.api import HttpApi
from audit_search.domain.settings import DomainSettings
from audit_search.domain.setup import Change, Outcome, Plan, apply, plan
from tests.support.engine_front import EngineFront
from tests.support.engines import TestEngine


@dataclass
class Domain:
    """An engine without our objects; `kept` are the backups that were made of what was replaced."""

    engine: TestEngine
    front: EngineFront
    kept: dict[str, Any] = field(default_factory=dict)

    def settings(self, **variables: str) -> DomainSettings:
        """Settings for this domain; `variables` replace or add."""
        return DomainSettings.from_env(
            {
                "OPENSEARCH_ENDPOINT": self.front.endpoint,
                "OPENSEARCH_AUTH": "none",
                "INDEX_PREFIX": self.engine.prefix,
                **variables,
            }
        )

    def plan(self, **variables: str) -> Plan:
        """What a set-up would do."""
        settings = self.settings(**variables)
        return plan(HttpApi(settings, None), settings)

    def set_up(self, **variables: str) -> Outcome:
        """Do it."""
        return apply(HttpApi(self.settings(**variables), None), self.plan(**variables), self.keep)

    def keep(self, name: str, body: Any) -> str:
        """Remember a backup."""
        self.kept[name] = body
        return f"memory:{name}"


def actions(changes: tuple[Change, ...], kind: str = "") -> dict[str, str]:
    """The action of each change of a kind, by the object's name."""
    return {change.name: change.action for change in changes if change.kind == (kind or change.kind)}


def the(changes: tuple[Change, ...], kind: str, name: str = "") -> Change:
    """The one change of a kind."""
    found = [change for change in changes if change.kind == kind and name in ("", change.name)]
    assert len(found) == 1, changes
    return found[0]
