"""Times as people write them: what is clear is understood, what could mean two things is refused with a hint."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from audit_search_cli.errors import Problem
from audit_search_cli.times import EXAMPLES, Time, between, parse, shown

NOW = datetime(2026, 11, 26, 12, 30, 15, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def utc(*parts: int) -> datetime:
    """A time in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year, month, day and more


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("today", utc(2026, 11, 25, 23)),
        ("yesterday", utc(2026, 11, 24, 23)),
        ("yesterday 14:00", utc(2026, 11, 25, 13)),
        ("yesterday at 2pm", utc(2026, 11, 25, 13)),
        ("today 14:00Z", utc(2026, 11, 26, 14)),
        ("yesterday utc", utc(2026, 11, 25)),
        ("14:00", utc(2026, 11, 26, 13)),
        ("2pm", utc(2026, 11, 26, 13)),
        ("2 days ago", NOW - timedelta(days=2)),
        ("2  Days  AGO", NOW - timedelta(days=2)),
        ("a day ago", NOW - timedelta(days=1)),
        ("an hour ago", NOW - timedelta(hours=1)),
        ("90m", NOW - timedelta(minutes=90)),
        ("90 min", NOW - timedelta(minutes=90)),
        ("-90m", NOW - timedelta(minutes=90)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("1 d 2 h ago", NOW - timedelta(hours=26)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("2w", NOW - timedelta(weeks=2)),
        ("45s", NOW - timedelta(seconds=45)),
        ("3 months ago", utc(2026, 8, 26, 11, 30, 15)),
        ("1y", utc(2025, 11, 26, 12, 30, 15)),
        ("2026-11-20", utc(2026, 11, 19, 23)),
        ("2026-7-1", utc(2026, 6, 30, 22)),
        ("2026/11/20", utc(2026, 11, 19, 23)),
        ("20261120", utc(2026, 11, 19, 23)),
        ("2026-11-20 14:00", utc(2026, 11, 20, 13)),
        ("2026-11-20T14:00:05", utc(2026, 11, 20, 13, 0, 5)),
        ("2026-11-20T14:00:05.123456Z", utc(2026, 11, 20, 14, 0, 5, 123456)),
        ("20261120T140005Z", utc(2026, 11, 20, 14, 0, 5)),
        ("20261120T1400Z", utc(2026, 11, 20, 14)),
        ("2026-11-20 14:00 UTC", utc(2026, 11, 20, 14)),
        ("2026-11-20T14:00+05:30", utc(2026, 11, 20, 8, 30)),
        ("2026-11-20 14:00 -0500", utc(2026, 11, 20, 19)),
        ("2026-11-20 14:00 +01", utc(2026, 11, 20, 13)),
        ("2026-11-20+01:00", utc(2026, 11, 19, 23)),
        ("2026-11-20 14:00 America/New_York", utc(2026, 11, 20, 19)),
        ("2026-11-20 Asia/Tokyo", utc(2026, 11, 19, 15)),
        ("20 Nov 2026", utc(2026, 11, 19, 23)),
        ("20 november 2026 14:00", utc(2026, 11, 20, 13)),
        ("Nov 20, 2026 2:15 pm", utc(2026, 11, 20, 13, 15)),
        ("Sept 3 2026", utc(2026, 9, 2, 22)),
        ("2026-10-25 02:30", utc(2026, 10, 25, 0, 30)),
    ],
)
def test_what_people_write_is_understood(text: str, means: datetime) -> None:
    """A text means this time, where the clock on the wall is that of Berlin."""
    assert parse(text, NOW, BERLIN) == means


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "understood are"),
        ("   ", "understood are"),
        ("03/04/2026", "could be two days"),
        ("3.4.2026", "could be two days"),
        ("03-04-26", "could be two days"),
        ("20/11/2026 14:00", "write the year first"),
        ("1764158400", "number without a unit"),
        ("14", "number without a unit"),
        ("1400", "number without a unit"),
        ("monday", "weekdays are not understood"),
        ("last friday", "weekdays are not understood"),
        ("2026-11-20 14:00 CET", "short names of zones"),
        ("2026-11-20 14:00 Europe/Berlim", "is no zone that this machine knows"),
        ("2026-11-20 14:00 ../etc/passwd", "understood are"),
        ("2026-11-20 14:00 etc/../../x", "understood are"),
        ("2026-11-20 14:00+19:00", "is no zone"),
        ("2026-13-01", "no such day or hour"),
        ("2026-02-29", "no such day or hour"),
        ("30 feb 2026", "no such day or hour"),
        ("20263011", "no such day or hour"),
        ("2026-11-20 24:30", "no such day or hour"),
        ("2026-11-20 14:60", "no such day or hour"),
        ("2026-11-20 15pm", "understood are"),
        ("2026-11-20 14:00 pm", "understood are"),
        ("2026-11", "understood are"),
        ("2026", "number without a unit"),
        ("2026-11/20", "understood are"),
        ("2026-11-2014:00", "understood are"),
        ("20 Nov", "understood are"),
        ("20 Nomber 2026", "understood are"),
        ("1.5 months", "a part of a month"),
        ("2 fortnights ago", "understood are"),
        ("days ago", "understood are"),
        ("in 2 days", "understood are"),
        ("2 days ago ago", "understood are"),
        ("999999999 years ago", "no calendar here reaches"),
        ("3000 years ago", "no calendar here reaches"),
        ("0001-01-01", "no calendar here reaches"),
        ("x" * 5_000, "understood are"),
        ("\u0662 days ago", "understood are"),
        ("2026-11-20 14:00\x00", "understood are"),
    ],
)
def test_what_is_not_clear_is_refused_with_a_hint(text: str, hint: str) -> None:
    """Nonsense, days that do not exist and forms that mean two days are no times, and the message says what is."""
    with pytest.raises(ValueError, match=hint) as caught:
        parse(text, NOW, timezone(timedelta(hours=1)))
    assert len(str(caught.value)) < 500


@given(
    st.datetimes(*(utc(year, 1, 1).replace(tzinfo=None) for year in (1990, 2100))),
    st.sampled_from(["", "Z", "+01:00", "-09:30", " Asia/Tokyo"]),
)
def test_iso_times_come_back_as_they_were_written(wall: datetime, zone: str) -> None:
    """Any ISO 8601 time with any zone, and one without in the zone that is given."""
    means = {
        "": BERLIN,
        "Z": UTC,
        "+01:00": timezone(timedelta(hours=1)),
        "-09:30": timezone(-timedelta(hours=9, minutes=30)),
        " Asia/Tokyo": ZoneInfo("Asia/Tokyo"),
    }[zone]
    assert parse(wall.isoformat() + zone, NOW, BERLIN) == wall.replace(tzinfo=means).astimezone(UTC)
    assert parse(wall.isoformat(" ") + zone, NOW, BERLIN) == wall.replace(tzinfo=means).astimezone(UTC)


@given(st.integers(0, 100_000), st.sampled_from([("s", 1), ("minutes", 60), ("h", 3_600), ("days", 86_400), ("w", 604_800)]))
def test_so_long_ago_is_exactly_so_long_ago(number: int, unit: tuple[str, int]) -> None:
    """A number and a unit, with and without a space and `ago`."""
    name, seconds = unit
    for text in (f"{number}{name}", f"{number} {name} ago"):
        assert parse(text, datetime(3_000, 1, 1, tzinfo=UTC)) == datetime(3_000, 1, 1, tzinfo=UTC) - timedelta(
            seconds=number * seconds
        )


_PIECES = st.sampled_from(
    [
        *"0123456789",
        " ",
        "-",
        "/",
        ":",
        ".",
        "T",
        "Z",
        "+",
        "2026",
        "11",
        "nov",
        "may",
        "ago",
        "days",
        "m",
        "pm",
        "a",
        "today",
        "UTC",
    ]
)


@given(st.one_of(st.text(max_size=30), st.lists(_PIECES, max_size=12).map("".join)))
@example("2026-11-20T")
@example("9999-12-31 23:59 -12:00")
@example("99999999999999999999999999 days")
@example("may 1 2026 a pm")
def test_any_text_is_a_time_in_utc_or_refused(text: str) -> None:
    """Whatever is typed, there is a time in UTC or one sentence, never another error."""
    try:
        found = parse(text, NOW, BERLIN)
    except ValueError as error:
        found = NOW
        refused = str(error)
    else:
        refused = "understood"
    assert found.utcoffset() == timedelta(0)
    assert re.search("understood|could be|is a number|is no zone|no length", refused)


def test_without_a_zone_a_time_is_of_this_machine() -> None:
    """The same wall clock as the machine's own."""
    assert parse("2026-11-20 14:00", NOW) == datetime(2026, 11, 20, 14).astimezone(UTC)


@click.command()
@click.option("--since", type=Time(lambda: NOW))
def _command(since: datetime | None) -> None:
    click.echo(repr(since))


def test_an_option_gives_a_time_in_utc_or_fails_in_one_line() -> None:
    """As click shows it: the value, or the option's name with what is understood."""
    assert CliRunner().invoke(_command, ["--since", "90m"]).output.strip() == repr(NOW - timedelta(minutes=90))
    assert CliRunner().invoke(_command, ["--since=-90m"]).output.strip() == repr(NOW - timedelta(minutes=90))
    assert CliRunner().invoke(_command, []).output.strip() == "None"
    refused = CliRunner().invoke(_command, ["--since", "soon"])
    assert refused.exit_code == 2
    assert f"Invalid value for '--since': 'soon' is no time; understood are {EXAMPLES}" in refused.output


def test_a_range_ends_now_unless_it_says_otherwise() -> None:
    """From the beginning where nothing is given; both ends in UTC."""
    day = utc(2026, 11, 20)
    assert between(None, None, NOW) == (None, NOW)
    assert between(day, None, NOW) == (day, NOW)
    assert between(None, day, NOW) == (None, day)
    assert str(between(day, NOW, NOW)) == "from 2026-11-20 00:00 UTC to 2026-11-26 12:30:15 UTC"
    assert shown(day.astimezone(BERLIN)) == "2026-11-20 00:00 UTC"


@pytest.mark.parametrize(
    ("since", "until", "what"),
    [
        (utc(2026, 11, 20), utc(2026, 11, 19), "not before --until, 2026-11-19 00:00 UTC"),
        (utc(2026, 11, 20), utc(2026, 11, 20), "not before --until"),
        (NOW, None, "not past yet"),
        (utc(2027, 1, 1), utc(2027, 2, 1), "not past yet"),
    ],
)
def test_a_range_that_can_hold_nothing_is_refused(since: datetime, until: datetime | None, what: str) -> None:
    """Reversed, empty, or wholly in the future."""
    with pytest.raises(Problem, match=what):
        between(since, until, NOW)
