"""Setting up the domain: what has to change (`plan`, which only reads), and changing it (`apply`).

Doing it again changes nothing. What others made is never touched: an object of our name without our mark is refused.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from audit_search.domain import access, alerting, dashboards, indices, lifecycle
from audit_search.domain.api import REFUSED_SECONDS, Api, wait_until_ready
from audit_search.domain.changes import Action, Change, Request, read
from audit_search.domain.refusals import explain, passes, said, settles
from audit_search.domain.settings import DomainSettings
from audit_search.errors import DomainSetupError, EngineUnreachableError

__all__ = [
    "Action",
    "Api",
    "Change",
    "Keep",
    "Outcome",
    "Plan",
    "Report",
    "Request",
    "apply",
    "plan",
    "prepare",
    "wait_until_ready",
]

Keep = Callable[[str, Any], str]
"""Stores a backup under a name such as `index-template/cloudtrail`, and gives where it is."""
Report = Callable[[Change], None]
"""Hears of each change when it is done."""
DASHBOARDS_SECONDS = 120.0
"""How long a Dashboards that starts or does not answer is waited for, when all else is done, and a role of a channel."""
_OWN = {dashboards.KIND: dashboards.carry_out, alerting.CHANNEL: alerting.carry_out}
"""What may be refused without an end of the set-up."""
_LONGEST_TRY = 60.0
_COPIES = re.compile(r"expected total copies needs to be a multiple of total awareness attributes \[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a set-up would do, in the order in which it would."""

    changes: tuple[Change, ...]

    def having(self, *actions: Action) -> tuple[Change, ...]:
        """The changes with one of these actions."""
        return tuple(change for change in self.changes if change.action in actions)

    @property
    def refused(self) -> tuple[Change, ...]:
        """What stands in the way; nothing is applied while there is any."""
        return self.having("refuse")

    @property
    def to_do(self) -> tuple[Change, ...]:
        """What `apply` will do."""
        return self.having("create", "update")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a set-up did: all changes as they were carried out, and where the backup of each replaced object is, by its name."""

    changes: tuple[Change, ...]
    backups: Mapping[str, str] = field(default_factory=dict)


def plan(api: Api, settings: DomainSettings) -> Plan:
    """Compare the domain with the settings; reads only.

    Raises DomainSetupError with who was refused what and what to do, EngineUnreachableError without an answer.
    """
    try:
        return Plan(tuple(_changes(api, settings)))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # A proxy's page, another product: whatever it is, the trace of the cause is in the log.
        reason = f"What answers at {settings.endpoint} does not answer as OpenSearch does ({type(error).__name__}: {error})"
        raise DomainSetupError(reason) from error


def _changes(api: Api, settings: DomainSettings) -> list[Change]:
    if settings.service == "aoss":  # a collection has no nodes, roles or policies of its own, and does not say what it is
        mine = indices.changes(api, settings, indices.Cluster())
        return [*mine, *alerting.changes(api, settings), *dashboards.changes(api, settings)]
    about = read(api, "/") or {}
    if not isinstance(about.get("version"), Mapping):
        raise DomainSetupError(explain("GET", "/", 200, about))
    cluster = indices.survey(api, about)
    return [
        *indices.changes(api, settings, cluster),
        *lifecycle.changes(api, settings),
        *access.changes(api, settings),
        *alerting.changes(api, settings),
        *dashboards.changes(api, settings),
    ]


def apply(api: Api, plan: Plan, keep: Keep, report: Report = lambda _change: None) -> Outcome:
    """Carry out a plan. What is replaced is kept first: `keep(name, body)` stores it and gives where it is.

    Raises DomainSetupError before anything is changed where the plan has refusals, and at the first request that the engine
    refuses; EngineUnreachableError without an answer. A new plan then holds what is left.
    """
    if plan.refused:
        listed = "; ".join(f"{change.kind} {change.name!r}: {change.reason}" for change in plan.refused)
        raise DomainSetupError(f"Nothing was changed, for the domain does not allow it. {listed}")
    done: list[Change] = []
    backups: dict[str, str] = {}
    for change in plan.changes:
        notes: list[str] = []
        if change.action in ("create", "update"):
            if change.before is not None:
                backups[change.backup_name] = keep(change.backup_name, change.before)
            if change.kind in _OWN:
                change = _OWN[change.kind](api, change)
            else:
                notes = [note for request in change.requests if (note := _carry_out(api, change, request))]
        done.append(replace(change, reason="; ".join(filter(None, [change.reason, *notes]))))
        report(done[-1])
    return Outcome(tuple(done), backups)


def _carry_out(api: Api, change: Change, request: Request) -> str:
    """Make a request; what is worth saying about it."""
    status, answer = api.request(request.method, request.path, request.body)
    note = ""
    copies = _COPIES.search(said(answer)) if status == 400 else None
    if copies and request.fits:
        number = int(copies[1]) - 1
        note = f"{number} replicas: the domain asks for {copies[1]} copies"
        status, answer = api.request(request.method, request.path, _with_replicas(request.body, number))
    if not 200 <= status < 300:
        reason = (
            f"The {change.kind} {change.name!r} cannot be put in place. {explain(request.method, request.path, status, answer)}"
        )
        # 409: somebody changed it between our reading and our writing.
        raise DomainSetupError(reason, retryable=status == 409 or passes(status, answer), settling=settles(status, answer))
    failed = answer.get("failed_indices") if isinstance(answer, dict) else None
    if failed:
        said_of = ", ".join(f"{one.get('index_name')}: {one.get('reason')}" for one in failed if isinstance(one, dict))
        note = f"not done for {said_of}"
    return note


def _with_replicas(body: Any, number: int) -> Any:
    """A body that asks for this many replicas wherever it asks for some."""
    if not isinstance(body, dict):
        return body
    return {
        name: number if name.removeprefix("index.") == "number_of_replicas" else _with_replicas(value, number)
        for name, value in body.items()
    }


def prepare(
    api: Api,
    settings: DomainSettings,
    keep: Keep,
    deadline: float,
    report: Report = lambda _change: None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Wait until the engine answers, plan and apply; once more from the start while something fails that may pass.

    `deadline` is a time of `clock`. Raises DomainSetupError and EngineUnreachableError.
    """
    started, pause = clock(), 1.0
    while True:
        if settings.service != "aoss":
            wait_until_ready(api, deadline, clock=clock, sleep=sleep)
        try:
            outcome = apply(api, plan(api, settings), keep, report)
            return _once_the_rest_is_taken(api, settings, outcome, keep, report, deadline, clock, sleep)
        except (DomainSetupError, EngineUnreachableError) as error:
            settling = isinstance(error, DomainSetupError) and error.settling and clock() - started < REFUSED_SECONDS
            passing = settling or isinstance(error, EngineUnreachableError) or error.retryable
            if not passing or clock() + pause >= deadline:
                raise
        sleep(pause)
        pause = min(pause * 2, 15.0)


def _once_the_rest_is_taken(
    api: Api,
    settings: DomainSettings,
    outcome: Outcome,
    keep: Keep,
    report: Report,
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Outcome:
    """The Dashboards of a new domain begins to answer minutes after its engine, and a permission to lend a role to hold.

    What is not taken by then is left out.
    """
    until, pause = min(deadline - _LONGEST_TRY, clock() + DASHBOARDS_SECONDS), 1.0
    while any(change.passing for change in outcome.changes) and clock() + pause < until:
        sleep(pause)
        pause = min(pause * 2, 15.0)
        late = {change.kind for change in outcome.changes if change.passing}
        again = [*alerting.changes(api, settings)] if alerting.CHANNEL in late else []
        again += dashboards.changes(api, settings) if dashboards.KIND in late else []
        further = apply(api, Plan(tuple(again)), keep, report)
        others = tuple(change for change in outcome.changes if change.kind not in {one.kind for one in again})
        outcome = Outcome((*others, *further.changes), {**outcome.backups, **further.backups})
    return outcome
