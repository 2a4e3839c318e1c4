"""Times as people write them: `2 days ago`, `90m`, `2026-11-20 14:00`, `20 Nov 2026 14:00 Europe/Berlin`, `yesterday`.

What could mean two things is refused with a hint, never guessed: 03/04/2026, CET, a weekday. A date means its beginning. A time
without a zone is of this machine's (TZ), or of the one that the caller gives. An hour that a change of the clocks repeats is
the first of the two.
https://docs.python.org/3/library/zoneinfo.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import click
from dateutil import parser
from dateutil.relativedelta import relativedelta

from audit_search_cli.errors import Problem

EXAMPLES = "2026-11-20, 2026-11-20 14:00, 2026-11-20T14:00Z, 2026-11-20 14:00 Europe/Berlin, 2 days ago, 90m, yesterday, now"
"""Forms that are understood, as messages name them."""
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_CALENDAR = {"mo": 1, "y": 12}
_WORDS = {
    "s": "s sec secs second seconds",
    "m": "m min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "w": "w wk week weeks",
    "mo": "mo month months",
    "y": "y yr year years",
}
_UNITS = {word: unit for unit, words in _WORDS.items() for word in words.split()}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,3})?|an?\b)\s*([a-z]+)(?:\s+|(?=\d)|$)", re.ASCII)
_MONTH = "(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]{0,6}"
_NUMERIC = re.compile(r"(\d{4})([-/]?)(\d\d?)\2(\d\d?)", re.ASCII)
_DATE = re.compile(
    rf"\d{{4}}-\d\d?-\d\d?|\d{{4}}/\d\d?/\d\d?|\d{{8}}|\d\d? {_MONTH},? \d{{4}}"
    rf"|{_MONTH} \d\d?,? \d{{4}}|today|yesterday|tomorrow",
    re.ASCII,
)
_CLOCK = re.compile(r"\d\d?:\d\d(?::\d\d(?:\.\d{1,9})?)?|(?:0?[1-9]|1[0-2])(?::\d\d){0,2} ?[ap]m", re.ASCII)
_COMPACT = re.compile(r"\d{4}|\d{6}", re.ASCII)
_BETWEEN = re.compile(r"t| at |, ?| ")
_ZONE = re.compile(r"(.*\d|.*[ap]m|today|yesterday|tomorrow) ?(z|utc|gmt|[+-]\d\d(?::?\d\d)?|[a-z_]+/[a-z0-9_+/-]+)", re.ASCII)
_AMBIGUOUS = re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b", re.ASCII)
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_NAMES = re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\b", re.ASCII)
_MOST = 100
if TYPE_CHECKING:
    _ParamType = click.ParamType[datetime]
else:
    _ParamType = click.ParamType  # generic since click 8.3 only


class Range(NamedTuple):
    """From `since` (included; None is the very beginning) to `until` (excluded), both in UTC."""

    since: datetime | None
    until: datetime

    def __str__(self) -> str:
        start = f"from {shown(self.since)} " if self.since else ""
        return f"{start}to {shown(self.until)}"


class Time(_ParamType):
    """An option's value that is a time; the command gets a datetime in UTC."""

    name = "time"

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now` is what relative times count from."""
        self._now = now

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """What click calls; fails with what would be understood."""
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        try:
            return parse(str(value), self._now())
        except ValueError as error:
            self.fail(str(error), param, ctx)


def between(since: datetime | None, until: datetime | None, now: datetime) -> Range:
    """The range that both mean; without `until` it ends now. Raises Problem for one in which nothing can lie."""
    end = until or now
    if since and since >= now:
        raise Problem(f"--since is {shown(since)}, which is not past yet", "Give a time before now, such as 2 days ago.")
    if since and since >= end:
        raise Problem(
            f"--since is {shown(since)}, which is not before --until, {shown(end)}", "Give the earlier time to --since."
        )
    return Range(since, end)


def shown(when: datetime) -> str:
    """A time as tables and messages show it: in UTC, with what is not zero behind the minutes."""
    when = when.astimezone(UTC)
    return f"{when:%Y-%m-%d %H:%M}{f'{when:%S}'.join((':', '')) if when.second else ''} UTC"


def parse(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The time that a text means, in UTC; `now` is what relative ones count from.

    Raises ValueError with a sentence for what is no time, could mean two, or does not exist.
    """
    written = " ".join(text.split())
    plain = written.lower()
    if not plain or len(plain) > _MOST:
        raise ValueError(f"{text[:_MOST]!r} is no time; understood are {EXAMPLES}")
    try:
        if plain == "now":
            return now.astimezone(UTC)
        found = _ago(plain, now, zone)
        return (_absolute(plain, written, now, zone) if found is None else found).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is a time that no calendar here reaches; understood are {EXAMPLES}") from error


def _ago(plain: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    """A time so long ago, or None where the text is of another form. Days are 24 hours, months are those of the calendar."""
    rest = plain.removeprefix("-").removesuffix(" ago").strip()
    seconds, months, position = 0.0, 0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        unit = _UNITS.get(part[2]) if part else None
        if part is None or unit is None:
            return None
        number = part[1].removeprefix("an").removeprefix("a") or "1"
        if unit in _CALENDAR:
            if "." in number:
                raise ValueError(f"{plain!r} is no time: a part of a month or a year has no length; give days")
            months += int(number) * _CALENDAR[unit]
        else:
            seconds += float(number) * _SECONDS[unit]
        position = part.end()
    if not position:
        return None
    back = now - timedelta(seconds=seconds)
    if months:
        local = back.astimezone(zone).replace(tzinfo=None)
        try:
            return _in_zone(local - relativedelta(months=months), zone)
        except ValueError as error:  # before the year 1
            raise OverflowError(plain) from error
    return back


def _absolute(plain: str, written: str, now: datetime, zone: tzinfo | None) -> datetime:
    if _AMBIGUOUS.match(plain):
        raise ValueError(f"{written!r} could be two days, depending on who reads it; write the year first: 2026-11-20")
    wall = plain
    found = _ZONE.fullmatch(plain)
    if found and not _DATE.fullmatch(plain):
        wall, zone = found[1], _zone(found[2], written[-len(found[2]) :])
    named = _DATE.match(wall)
    clock = wall[named.end() :] if named else wall
    if named and clock:
        gap = _BETWEEN.match(clock)
        clock = clock[gap.end() :] if gap else "?"
    if clock and not _CLOCK.fullmatch(clock) and not (named and _COMPACT.fullmatch(clock)):
        raise ValueError(_hint(plain, written))
    try:
        day = _day(named[0] if named else "today", now.astimezone(zone))
        return _in_zone(datetime.combine(day, _time(clock)), zone)
    except ValueError as error:
        raise ValueError(f"{written!r} is no time: there is no such day or hour; understood are {EXAMPLES}") from error


def _day(name: str, now: datetime) -> date:
    """The day of a date or word. Raises ValueError for a day that does not exist."""
    if name in _DAYS:
        return now.date() + timedelta(days=_DAYS[name])
    if numbers := _NUMERIC.fullmatch(name):
        return date(int(numbers[1]), int(numbers[3]), int(numbers[4]))
    found: datetime = parser.parse(name)
    return found.date()


def _time(clock: str) -> time:
    """The time of a clock; what is written without colons, 1400 or 140000, has them put in. Raises ValueError."""
    if not clock:
        return time()
    digits = ":".join(clock[at : at + 2] for at in range(0, len(clock), 2)) if clock.isdigit() else clock
    found: datetime = parser.parse(digits)
    return found.time()


def _in_zone(wall: datetime, zone: tzinfo | None) -> datetime:
    """A time of the clock on the wall, in a zone or in that of this machine."""
    return wall.replace(tzinfo=zone) if zone else wall.astimezone()


def _zone(plain: str, written: str) -> tzinfo | None:
    """The zone of a suffix. Raises ValueError for the name of one that does not exist."""
    if plain in ("z", "utc", "gmt"):
        return UTC
    if plain[0] in "+-":
        hours, minutes = int(plain[1:3]), int(plain[3:].removeprefix(":") or 0)
        if hours > 14 or minutes > 59:
            raise ValueError(f"{written!r} is no zone: it is written as +01:00")
        return timezone((-1 if plain[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))
    try:
        return ZoneInfo(written)
    except (KeyError, OSError, ValueError) as error:  # no such zone is a KeyError
        raise ValueError(f"{written!r} is no zone that this machine knows; write it as Europe/Berlin, +01:00 or Z") from error


def _hint(plain: str, text: str) -> str:
    if re.fullmatch(r"\d+", plain):
        return f"{text!r} is a number without a unit; write 90m for minutes ago, or a date as 2026-11-20"
    if _NAMES.search(plain):
        return f"{text!r} is no time: weekdays are not understood; write the date as 2026-11-20"
    if re.search(r":\d\d (?!pm)(?!am)[a-z]{2,5}$", plain):
        return (
            f"{text!r} is no time: short names of zones mean several; write Europe/Berlin, +01:00 or Z. Understood are {EXAMPLES}"
        )
    return f"{text!r} is no time; understood are {EXAMPLES}"
