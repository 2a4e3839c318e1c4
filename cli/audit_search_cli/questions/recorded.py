"""What AWS Config recorded at all, in one line: it stands under every answer about a resource that finds none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from audit_search_cli.questions.events import Events
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.items import Narrow
from audit_search_cli.questions.recorders import Recorder, recorders

_NAMED: Final = 3


def line(events: Events, narrow: Narrow, since: datetime | None = None, until: datetime | None = None) -> str:
    """The line. Raises as `Events` does."""
    where = {"account": tuple(narrow.accounts), "region": tuple(narrow.regions)}
    found = recorders(events, Filters(where, since=since, until=until))
    if found:
        return f"AWS Config recorded: {_said(found, narrow.type)}."
    ever = recorders(events, Filters(where)) if since or until else []
    if not ever:
        return "AWS Config recorded: nothing at all of these accounts and regions."
    return f"AWS Config recorded: nothing in this period; there are versions {_extent(ever)}."


def _said(found: list[Recorder], kind: str) -> str:
    types: dict[str, int] = {}
    for recorder in found:
        for name, number in recorder.types.items():
            types[name] = types.get(name, 0) + number
    parts = [
        f"{_many(sum(types.values()), 'version')} of {_some(sorted(types), 'type')} {_extent(found)}",
        f"{_some(sorted({one.account for one in found}), 'account')}, {_some(sorted({one.region for one in found}), 'region')}",
    ]
    if kind and not any(name == kind or name.endswith(f"::{kind}") for name in types):
        parts.append(f"nothing of the type {kind}")
    return "; ".join(parts)


def _extent(found: list[Recorder]) -> str:
    first = min((one.first for one in found if one.first), default=None)
    last = max((one.last for one in found if one.last), default=None)
    return f"from {_minute(first)} to {_minute(last)} UTC" if first and last else ""


def _minute(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _some(names: list[str], noun: str) -> str:
    shown = f" ({', '.join(names)})" if 0 < len(names) <= _NAMED else ""
    return _many(len(names), noun) + shown
