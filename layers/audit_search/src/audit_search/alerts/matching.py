"""Which alert rules a CloudTrail record meets: a look-up by its event name, then the conditions of the few rules found.

The rules are read from `definitions/alerts.json`, which `python -m audit_search_cli.alert_rules` makes of
`definitions/alerts/*.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from audit_search.alerts.conditions import Test, compiled, text
from audit_search.alerts.remainders import Remainder, remainder

ANY = "*"
"""Stands among the events of a rule for each event there is."""

_MAX_REMEMBERED = 2_000  # a log may hold any text as its code, or as its source
_SERVICE_LINKED = compiled(
    {"field": "userIdentity.sessionContext.sessionIssuer.arn", "wildcard": "arn:aws*:iam::*:role/aws-service-role/*"}
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to be tested.

    `counted` is whether the rule is about how often something happens: the records that it matches are those that count.
    `on_caller` and `on_code` are those parts of its condition that must hold, and look at nothing but `userIdentity` or
    `errorCode`; `others` are its other parts. `title`, `means` and `do` are for people: what happened, what it means, and what
    to do.
    """

    name: str
    severity: str
    tier: str
    events: tuple[str, ...]
    sources: frozenset[str]
    outcome: str
    leaves_out_service_linked_roles: bool
    test: Test | None
    suppressions: tuple[tuple[str, Test], ...]
    counted: bool
    on_caller: tuple[Test, ...] = ()
    on_code: tuple[Test, ...] = ()
    others: tuple[Mapping[str, Any], ...] = ()
    title: str = ""
    means: str = ""
    do: str = ""

    def may_have(self, code: str | None) -> bool:
        """Whether a record with this `errorCode` can be one that the rule means."""
        if self.outcome != "any" and (self.outcome == "failure") != bool(code):
            return False
        return all(test({"errorCode": code}) for test in self.on_code)

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether the record, whose event name is one of the rule's, is one that the rule means."""
        if self.sources and text(record.get("eventSource")) not in self.sources:
            return False
        if self.outcome != "any" and (self.outcome == "failure") != bool(record.get("errorCode")):
            return False
        if self.test is not None and not self.test(record):
            return False
        if self.leaves_out_service_linked_roles and _SERVICE_LINKED(record):
            return False
        # By the event's time and not by the clock: a record read again is judged as it was the first time.
        day = str(record.get("eventTime") or "")[:10]
        return not any(day <= until and test(record) for until, test in self.suppressions)


class Rules:
    """Rules by the name of the event.

    Each has a bit. A record can only meet those that are in the bits of its event's name (`of_event`, or `of_any` where it is
    not in there), of its caller and of its error code: what the hot path looks up before it parses a record. For a record
    without an error code, `of_event_succeeded` and `of_any_succeeded` are the bits of both.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Raises ValueError when two rules have one name."""
        self.by_name: dict[str, Rule] = {}
        self._by_event: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.name in self.by_name:
                raise ValueError(f"alert rules: the name {rule.name!r} is there twice")
            self.by_name[rule.name] = rule
            for event in rule.events:
                self._by_event.setdefault(event, []).append(rule)
        self._of_all = self._by_event.pop(ANY, [])
        self._rules = list(self.by_name.values())
        self._codes: dict[str | None, int] = {}
        self._remainders: dict[tuple[int, str | None, str | None], Remainder] = {}
        self.of_any = self._bits(lambda rule: ANY in rule.events)
        self.of_event: dict[str | None, int] = {
            event: self.of_any | self._bits(lambda rule, event=event: event in rule.events)  # type: ignore[misc]
            for event in self._by_event
        }
        # Callers come by the dozen in small objects, and few rules look at them.
        self._of_any_caller = self._bits(lambda rule: not rule.on_caller)
        self._of_some_callers = [(1 << number, rule) for number, rule in enumerate(self._rules) if rule.on_caller]
        self._not_of_services = self._bits(lambda rule: rule.leaves_out_service_linked_roles)
        succeeded = self.of_code(None)
        self.of_any_succeeded = self.of_any & succeeded
        self.of_event_succeeded = {event: bits & succeeded for event, bits in self.of_event.items()}

    def _bits(self, chosen: Callable[[Rule], bool]) -> int:
        return sum(1 << number for number, rule in enumerate(self._rules) if chosen(rule))

    def of_caller(self, identity: object) -> int:
        """The rules, as bits, that a record with this `userIdentity` may meet."""
        record = {"userIdentity": identity}
        bits = self._of_any_caller
        for bit, rule in self._of_some_callers:
            if all(test(record) for test in rule.on_caller):
                bits |= bit
        return bits & ~self._not_of_services if _SERVICE_LINKED(record) else bits

    def of_code(self, code: str | None) -> int:
        """The rules, as bits, that a record with this `errorCode` may meet; remembered."""
        bits = self._codes.get(code)
        if bits is None:
            if len(self._codes) >= _MAX_REMEMBERED:
                self._codes.clear()
            bits = self._codes[code] = self._bits(lambda rule: rule.may_have(code))
        return bits

    def remainder(self, bits: int, event: str | None, source: str | None) -> Remainder:
        """What is left to ask of a record of this `eventName` and `eventSource`, where `bits` are those of its event, its caller
        and its code; remembered."""
        key = (bits, event, source)
        found = self._remainders.get(key)
        if found is None:
            if len(self._remainders) >= _MAX_REMEMBERED:
                self._remainders.clear()
            left = (rule for n, rule in enumerate(self._rules) if bits >> n & 1 and (not rule.sources or source in rule.sources))
            known = {"eventName": event, "eventSource": source}
            # By the event's time and not by the clock: a suppression is asked for with the whole record.
            asked = ((rule.name, rule.matches if rule.suppressions else rule.others) for rule in left)
            found = self._remainders[key] = remainder(asked, known)
        return found

    def matching(self, record: Mapping[str, Any]) -> list[str]:
        """The names of the rules that the record meets, sorted; a record of any shape is taken."""
        event = record.get("eventName")
        own = self._by_event.get(event, ()) if isinstance(event, str) else ()
        return sorted(rule.name for rule in (*own, *self._of_all) if rule.matches(record))


def rule(body: Mapping[str, Any]) -> Rule:
    """A rule of the deployed form.

    Raises ValueError with one line when its condition or that of a suppression is wrong.
    """
    name = body["name"]
    condition = body.get("condition")
    return Rule(
        name=name,
        severity=body["severity"],
        tier=body["tier"],
        events=tuple(body["events"]),
        sources=frozenset(body["sources"]),
        outcome=body["outcome"],
        leaves_out_service_linked_roles=body["service_linked_roles"] == "left out",
        test=None if condition is None else compiled(condition, f"{name}: condition"),
        suppressions=tuple(
            (each["until"], compiled(each["condition"], f"{name}: suppressions[{number}].condition"))
            for number, each in enumerate(body["suppressions"])
        ),
        counted=body.get("threshold") is not None,
        on_caller=_needed(condition, "userIdentity"),
        on_code=_needed(condition, "errorCode"),
        others=tuple(part for part in _parts(condition) if _root(part) not in ("userIdentity", "errorCode")),
        title=body.get("title", ""),
        means=body.get("means", ""),
        do=body.get("do", ""),
    )


def _needed(condition: object, root: str) -> tuple[Test, ...]:
    """The tests of one field, or of what lies in it, without which the condition cannot hold."""
    return tuple(compiled(part) for part in _parts(condition) if _root(part) == root)


def _parts(condition: object) -> Iterable[Mapping[str, Any]]:
    """The parts of a condition that must all hold."""
    if not isinstance(condition, Mapping):
        return ()
    parts: list[Mapping[str, Any]] = condition.get("all", [condition])
    return parts


def _root(part: Mapping[str, Any]) -> str:
    """The field of the record that a part of a condition looks at, empty where it looks at more than one."""
    if part.keys() & {"equals_field", "opens_to"}:
        return ""
    return str(part.get("field", "")).split(".")[0]


@cache
def deployed() -> Rules:
    """The rules of this package, read at the first call."""
    stored = resources.files("audit_search.definitions").joinpath("alerts.json").read_text("utf-8")
    return Rules(map(rule, json.loads(stored)["rules"]))
