"""Events that met an alert rule are told to people: at least once each, and as a rule once.

What was told is kept in an index with a document for each event and rule, made as `pending` before the topic is asked and
written again as `sent` after it has answered. An event that comes a second time finds it: `sent` is left alone, `pending` is
told again, for nobody knows whether its message went out. What could not be told returns the object's message to its queue.

| the event | its alert's document | what happens |
|---|---|---|
| indexed, a duplicate, or in quarantine | made now | told |
| the same | there, `pending` | told: an invocation ended before it could say that it was |
| the same | there, `sent` | nothing |
| older than the limit | there, `pending` | told: it was young when it came in first |
| older than the limit | none | nothing |
| of a replay | | nothing |
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from audit_search.alerts import notices
from audit_search.alerts.matching import Rules, deployed
from audit_search.alerts.notices import Event, Notice
from audit_search.alerts.topic import BATCH
from audit_search.bulk import DUPLICATE, INDEXED, RETURNED, Batch, BulkSender, Cause, Reply, Retries, passing
from audit_search.bulk import Engine as BulkEngine
from audit_search.rebuild import dump, load
from audit_search.reports import ObjectReport

SENT: Final = "AlertsSent"
REPEATED: Final = "AlertsRepeated"
SUPPRESSED: Final = "AlertsSuppressed"
FAILED: Final = "AlertsFailed"
UNMARKED: Final = "AlertsUnmarked"
METRICS: Final = (SENT, REPEATED, SUPPRESSED, FAILED, UNMARKED)
"""Told; told before; of a replay or too old; not told, so that a message returns; told, but not written down as such."""
_TOGETHER: Final = 500  # notices that share their requests to the engine: it bounds memory


class Engine(BulkEngine, Protocol):
    """What sends bulk requests and reads documents by index and id; it answers with a Reply, whatever happens."""

    def mget(self, wanted: Sequence[Mapping[str, Any]], timeout: float) -> Reply: ...


class Publisher(Protocol):
    """A topic: takes at most BATCH notices, and gives for each why it was not published, or an empty text."""

    def publish(self, notices: Sequence[Notice]) -> list[str]: ...


@dataclass(slots=True)
class Notifier:
    """What holds for every invocation. `most` bounds the notices of one: the rest returns with its messages, and goes on from
    there. `dashboards` and `pattern` are for links to the events."""

    engine: Engine
    topic: Publisher
    index: str
    tiers: frozenset[str]
    max_age: timedelta
    dashboards: str = ""
    pattern: str = ""
    rules: Rules = field(default_factory=deployed)
    retries: Retries = field(default_factory=Retries)
    most: int = 1_000
    wait: Callable[[float], object] = time.sleep

    def begin(self, deadline: float, now: datetime, counts: Counter[str]) -> Notifications:
        """The notifications of one invocation, which end at `deadline` (of time.monotonic) and are counted in `counts`."""
        counts.update(dict.fromkeys(METRICS, 0))
        return Notifications(self, deadline, now, counts)


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    old: bool
    jobs: list[ObjectReport]


class Notifications:
    """Takes the lines of events that met a rule, when the engine has answered for them."""

    def __init__(self, notifier: Notifier, deadline: float, now: datetime, counts: Counter[str]) -> None:
        self._notifier = notifier
        self._deadline = deadline
        self._now = now
        self._counts = counts
        self._waiting: dict[str, _Waiting] = {}
        self._sender = BulkSender(notifier.engine, deadline, lambda batch, number: None, notifier.retries, notifier.wait)
        self._left = notifier.most

    def add(self, job: ObjectReport, line: bytes, outcome: int) -> None:
        """Tell of an event by its line, as the engine answered for it (INDEXED, DUPLICATE, REJECTED), now or by `finish`.

        A mistake of ours returns the object, and leaves the others alone.
        """
        try:
            self._add(job, line, outcome)
        except Exception as error:
            self._counts[FAILED] += 1
            job.note(Cause("internal", f"an alert could not be made: {type(error).__name__}"))
        if len(self._waiting) >= _TOGETHER:
            self.finish()

    def _add(self, job: ObjectReport, line: bytes, outcome: int) -> None:
        notifier = self._notifier
        identity, index, document = _parts(line)
        ours = document["ct"]
        told = [
            rule
            for rule in (notifier.rules.by_name.get(name) for name in ours["alerts"])
            if rule is not None and not rule.counted and rule.tier in notifier.tiers
        ]
        if not told:
            return
        event = Event.of(identity, index, document)
        old = notices.age(event, self._now) > notifier.max_age
        if ours["ingestMode"] != "live" or (old and outcome == INDEXED):
            self._counts[SUPPRESSED] += len(told)
            return
        link = notices.link(notifier.dashboards, notifier.pattern, event)
        for rule in told:
            notice = Notice(rule, event, link)
            waiting = self._waiting.setdefault(notice.id, _Waiting(notice, old, []))
            waiting.jobs.append(job)

    def finish(self) -> None:
        """Tell what waits."""
        waiting, self._waiting = list(self._waiting.values()), {}
        try:
            self._tell(waiting)
        except Exception as error:
            for one in waiting:
                self._fail(one, Cause("internal", type(error).__name__))

    def _tell(self, waiting: list[_Waiting]) -> None:
        due = self._due(waiting)
        for one in due[self._left :]:
            self._fail(one, Cause("too_many_alerts", f"{self._notifier.most:,} of one invocation are sent; the rest follows"))
        sent = self._publish(due[: self._left])
        self._left -= len(sent)
        for outcome, _ in self._write("index", "sent", sent):
            self._counts[UNMARKED] += outcome != INDEXED

    def _due(self, waiting: list[_Waiting]) -> list[_Waiting]:
        """Those that have to be told now; what cannot be found out fails."""
        young = [one for one in waiting if not one.old]
        known = [one for one in waiting if one.old]
        due: list[_Waiting] = []
        for one, (outcome, cause) in zip(young, self._write("create", "pending", young), strict=True):
            if outcome == DUPLICATE:
                known.append(one)
            elif outcome == RETURNED:
                self._fail(one, cause)
            else:  # made; or refused for good, and then told without being written down
                due.append(one)
        states = self._states(known)
        for one in known:
            if isinstance(states, Cause):
                self._fail(one, states)
                continue
            state = states.get(one.notice.id, "")
            if state == "sent":
                self._counts[REPEATED] += 1
            elif one.old and not state:
                self._counts[SUPPRESSED] += 1
            else:
                due.append(one)
        return due

    def _publish(self, due: Sequence[_Waiting]) -> list[_Waiting]:
        sent: list[_Waiting] = []
        for start in range(0, len(due), BATCH):
            part = due[start : start + BATCH]
            if time.monotonic() < self._deadline:
                reasons = self._notifier.topic.publish([one.notice for one in part])
            else:
                reasons = ["the function's time was over"] * len(part)
            for one, reason in zip(part, reasons, strict=True):
                if reason:
                    self._fail(one, Cause("alert_not_sent", reason))
                else:
                    sent.append(one)
        self._counts[SENT] += len(sent)
        return sent

    def _fail(self, one: _Waiting, cause: Cause) -> None:
        self._counts[FAILED] += 1
        for job in one.jobs:
            job.note(Cause("alert_not_sent", f"{cause.type}: {cause.reason}") if cause.type != "alert_not_sent" else cause)

    def _write(self, operation: str, state: str, some: Sequence[_Waiting]) -> Iterable[tuple[int, Cause]]:
        """Write the documents of alerts; the outcome of each, and why it has not become one."""
        if not some:
            return []
        lines = [_line(operation, state, self._notifier.index, one.notice) for one in some]
        result = self._sender.send(Batch(lines=lines, size=sum(map(len, lines))))
        return [(outcome, result.causes.get(number, Cause("", ""))) for number, outcome in enumerate(result.outcomes)]

    def _states(self, some: Sequence[_Waiting]) -> dict[str, str] | Cause:
        """The states of the alerts that have a document, by their ids, or why they cannot be read now."""
        if not some:
            return {}
        notifier = self._notifier
        wanted = [{"_index": notifier.index, "_id": one.notice.id, "_source": ["alert.state"]} for one in some]
        cause = Cause("out_of_time", "the function's time was over before this was read")
        attempts = 0
        while (left := self._deadline - time.monotonic()) > 0:
            reply = notifier.engine.mget(wanted, min(left, notifier.retries.timeout))
            if reply.status == 200:
                states = _read(reply, len(wanted))
                if not isinstance(states, Cause):
                    return states
                cause = states
            else:
                cause = Cause(reply.type or f"http_{reply.status}", reply.reason)
                if not passing(reply):
                    break
            attempts += 1
            if attempts >= notifier.retries.attempts:
                break
            notifier.wait(max(0.0, min(notifier.retries.pause(attempts), self._deadline - time.monotonic())))
        return cause


def _parts(line: bytes) -> tuple[str, str, dict[str, Any]]:
    """The id, the index and the document of a line of a bulk request."""
    action, _, document = line.partition(b"\n")
    target: dict[str, str] = msgspec.json.decode(action)["create"]
    # By the parser of the exact way: a record may hold numbers that a stricter one refuses.
    found: dict[str, Any] = load(document + b'"}}')
    return target["_id"], target["_index"], found


def _line(operation: str, state: str, index: str, notice: Notice) -> bytes:
    """The line of an alert's document, up to the time at which it is sent."""
    rule, event = notice.rule, notice.event
    document = {
        "alert": {
            "rule": rule.name,
            "severity": rule.severity,
            "tier": rule.tier,
            "state": state,
            "eventId": event.id,
            "eventIndex": event.index,
        },
        "eventTime": event.time,
        "eventName": event.name,
        "eventSource": event.source,
        "recipientAccountId": event.account,
        "awsRegion": event.region,
        "sourceIPAddress": event.ip,
        "errorCode": event.error,
        "ct": {"caller": event.caller, "identity": event.identity, "ingestTime": ""},
    }
    kept = {name: value for name, value in document.items() if value != ""}
    action = dump({operation: {"_index": index, "_id": notice.id}})
    return f"{action}\n{dump(kept)}"[:-3].encode()


def _read(reply: Reply, expected: int) -> dict[str, str] | Cause:
    items = reply.items
    if items is None or len(items) != expected or not all(isinstance(item, dict) for item in items):
        return Cause("incomplete_answer", f"not one answer for each of {expected} alerts")
    states: dict[str, str] = {}
    for item in items:
        error = item.get("error")
        if isinstance(error, dict) and error.get("type") != "index_not_found_exception":
            return Cause(str(error.get("type", "read_error")), str(error.get("reason", "")))
        if item.get("found"):
            states[str(item.get("_id"))] = str(((item.get("_source") or {}).get("alert") or {}).get("state", ""))
    return states
