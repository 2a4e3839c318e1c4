"""How an installation does, put together from AWS and the engine, and what of it needs a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from audit_search_cli import dead_letters, kept
from audit_search_cli.arrivals import Arrival
from audit_search_cli.checks.deployed import alarm_states, oldest
from audit_search_cli.figures import Accounting
from audit_search_cli.kept import Place
from audit_search_cli.output import counted, human_age
from audit_search_cli.stack import Stack


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue of the stack: messages by SQS's estimate, and the seconds that the oldest has waited, where that is known."""

    name: str
    dead: bool
    waiting: int
    in_flight: int
    oldest: float | None


@dataclass(frozen=True, slots=True)
class AlarmState:
    """An alarm: `state` is OK, ALARM or INSUFFICIENT_DATA."""

    name: str
    state: str
    since: datetime | None
    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class QuarantineState:
    """The files in quarantine, and when the newest was written."""

    location: str
    files: int
    newest: datetime | None


@dataclass(slots=True)
class Overview:
    """Everything that was looked at; a part that was not is None. `left_out` were not asked for, `failed` could not be read.

    `needs` is what a person has to see to, in sentences.
    """

    since: datetime
    until: datetime
    stale: timedelta
    stack: str = ""
    accounting: list[Accounting] | None = None
    queues: list[QueueState] | None = None
    quarantine: QuarantineState | None = None
    alarms: list[AlarmState] | None = None
    cloudtrail: list[Arrival] | None = None
    config: list[Arrival] | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)

    def is_stale(self, one: Arrival) -> bool:
        """Whether nothing of this account and region has come in for too long."""
        return one.ingested is None or self.until - one.ingested > self.stale

    def conclude(self) -> None:
        """Fill `needs`."""
        for one in self.accounting or []:
            if not one.adds_up:
                self.needs.append(
                    f"{one.service} read {one.read:,} records and accounts for {one.accounted:,}: "
                    "look for AccountingError in its log."
                )
            if one.put_aside:
                self.needs.append(
                    f"{one.service} put {counted(one.put_aside, 'record or object', 'records and objects')} into quarantine: "
                    "audit-search quarantine list shows why."
                )
        for queue in self.queues or []:
            if queue.dead and queue.waiting + queue.in_flight:
                waits = counted(queue.waiting + queue.in_flight, "message")
                self.needs.append(f"{queue.name} holds {waits}: audit-search dlq list shows what they name.")
        for alarm in self.alarms or []:
            if alarm.state == "ALARM":
                self.needs.append(f"{alarm.name} is in ALARM: {alarm.description or alarm.reason}")
        if self.cloudtrail is not None and all(self.is_stale(one) for one in self.cloudtrail):
            limit = human_age(self.stale.total_seconds())
            self.needs.append(f"Nothing of CloudTrail has come in for {limit}: audit-search doctor looks at the way to here.")
        self.needs += [f"The {name} could not be looked at: {reason}" for name, reason in self.failed.items()]


def queues(sqs: Any, cloudwatch: Any, stack: Stack, now: datetime) -> list[QueueState]:
    """The queues of both pipelines that the stack has, and their dead letters. Raises what botocore raises."""
    found: list[QueueState] = []
    for name in ("CloudTrailQueue", "CloudTrailDeadLetterQueue", "ConfigQueue", "ConfigDeadLetterQueue"):
        url = stack.physical(name)
        if url:
            waiting, in_flight, delayed = dead_letters.counts(sqs, url)
            age = oldest(cloudwatch, url, now)
            found.append(QueueState(name, "DeadLetter" in name, waiting, in_flight + delayed, age))
    return found


def alarms(cloudwatch: Any, stack: Stack) -> list[AlarmState]:
    """The alarms of the stack, those that are on first. Raises what botocore raises."""
    found = [
        AlarmState(
            alarm["AlarmName"],
            alarm["StateValue"],
            alarm.get("StateUpdatedTimestamp"),
            str(alarm.get("StateReason") or ""),
            str(alarm.get("AlarmDescription") or ""),
        )
        for alarm in alarm_states(cloudwatch, stack)
    ]
    return sorted(found, key=lambda alarm: (alarm.state != "ALARM", alarm.name))


def quarantine(s3: Any, where: Place) -> QuarantineState:
    """How many files there are and the time of the newest; none of them is read. Raises what botocore raises."""
    count, newest = 0, None
    for file in kept.files(s3, where):
        count += 1
        newest = file.modified if newest is None else max(newest, file.modified)
    return QuarantineState(str(where), count, newest)


def plain(found: Overview) -> dict[str, Any]:
    """Everything, as JSON has it."""
    whole = asdict(found)
    whole["stale_hours"] = whole.pop("stale").total_seconds() / 3_600
    for one, counts in zip(whole["accounting"] or [], found.accounting or [], strict=True):
        one |= {"adds_up": counts.adds_up, "per_second": counts.per_second, "per_day": counts.per_day}
    for name in ("cloudtrail", "config"):
        for row, arrival in zip(whole[name] or [], getattr(found, name) or [], strict=True):
            row["stale"] = found.is_stale(arrival)
    dated: dict[str, Any] = _dated(whole)
    return dated


def _dated(value: Any) -> Any:
    """The same with every time as ISO 8601."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _dated(inner) for key, inner in value.items()}
    return [_dated(inner) for inner in value] if isinstance(value, list) else value
