"""The families of indices that a domain holds: how each is named, how many shards it has, and how long it lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audit_search import index_template
from audit_search.aws_config.documents import CAUSES, CURRENT, CURRENT_INDEX, EVENTS, HISTORY, TIMELINE
from audit_search.documents import ALERTS, TRAIL
from audit_search.domain.settings import DomainSettings

_MONTH: Final = 31


@dataclass(frozen=True, slots=True)
class Family:
    """Indices that are made from one index template. `name` is its name, and that of the alias where `alias` says so.

    `period` are the days that one index covers, 0 where there is one for ever; `retention` the days that are kept, None where
    nothing is ever deleted, 0 where that is for the settings to say and they keep all. `refresh` is None where nobody searches.
    """

    kind: str
    name: str
    pattern: str
    alias: bool
    shards: int
    lean: bool = False
    refresh: str | None = None
    period: int = _MONTH
    retention: int | None = None


def families(settings: DomainSettings) -> tuple[Family, ...]:
    """CloudTrail's events, and where they are wanted which of their alerts were told, and AWS Config's versions, events,
    latest states and timelines.

    Versions have as many shards as events of CloudTrail, for they grow with time. The others hold a document for each resource,
    or a few for each day; the links of versions a short one for each.

    A collection has those of CloudTrail alone: what orders AWS Config's versions (external versions, `if_seq_no`) is not among
    the operations that it is documented to have.
    https://docs.aws.amazon.com/opensearch-service/latest/developerguide/serverless-genref.html
    """
    prefix, refresh, kept = settings.index_prefix, settings.refresh_interval, settings.config_retention_days
    kinds = (TRAIL, HISTORY, EVENTS, CURRENT, CAUSES)
    trail, history, events, current, causes = (index_template.name(prefix, kind) for kind in kinds)
    period = 1 if settings.daily else _MONTH
    ours = Family(TRAIL, trail, f"{trail}-2*", True, settings.shards, settings.lean, refresh, period, settings.retention_days)
    alerts = Family(ALERTS, f"{prefix}{ALERTS}", f"{prefix}{ALERTS}", False, 1, refresh=refresh, period=0)
    of_trail = (ours, alerts) if settings.alerts else (ours,)
    if not settings.config or settings.service == "aoss":
        return of_trail
    return (
        *of_trail,
        Family(HISTORY, history, f"{history}-2*", True, settings.shards, refresh=refresh, retention=kept),
        Family(EVENTS, events, f"{events}-2*", True, 1, refresh=refresh, retention=kept),
        Family(CAUSES, causes, f"{causes}-2*", True, 1, refresh=refresh, retention=kept),
        Family(CURRENT, current, f"{prefix}{CURRENT_INDEX}", True, 1, refresh=refresh, period=0),
        Family(TIMELINE, f"{prefix}{TIMELINE}", f"{prefix}{TIMELINE}", False, 1, period=0),
    )
