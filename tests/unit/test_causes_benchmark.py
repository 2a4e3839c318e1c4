"""The benchmark of causes: made-up days whose truth is known, and what is found of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import causes
from benchmarks.causes_scenarios import LEVELS, Level, day


def test_a_day_is_the_same_for_its_seed() -> None:
    """Versions, truth and records."""
    one, two = (day(LEVELS[-1], 5, 60) for _ in range(2))
    assert one.records == two.records
    assert one.versions == two.versions


def test_the_hardest_day_has_what_makes_it_hard() -> None:
    """Versions of no recorded cause and of several, failures, dry runs, namesakes, and writes without parameters."""
    hard = day(LEVELS[-1], 6, 400)
    assert any(not truth for _, truth in hard.versions)
    assert any(len(truth) > 1 for _, truth in hard.versions)
    assert {"AccessDenied", "Client.DryRunOperation"} <= {record.get("errorCode") for record in hard.records}
    assert len({record["recipientAccountId"] for record in hard.records}) == 2
    assert any(record["requestParameters"] is None for record in hard.records if not record["readOnly"])
    assert {record["eventID"] for record in hard.records} >= {event for _, truth in hard.versions for event in truth}


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_causes_are_found_and_the_probabilities_mean_what_they_say(level: Level) -> None:
    """On days of other seeds than those of the report: both at least 0.95, and so the links said to be 0.9 or more."""
    ours, theirs = causes.measured(level, seeds=(7, 8), steps=400)
    assert ours.precision >= 0.95
    assert ours.recall >= 0.95
    assert ours.within(0.9, 1.01)[2] >= 0.95
    assert ours.abstention >= 0.85
    assert ours.recall > theirs.recall + 0.2
    assert ours.precision > theirs.precision + 0.1


def test_the_report_has_each_level_and_both_methods(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed is what is written, and the figures are there for programs."""
    figures, report = tmp_path / "figures.json", tmp_path / "report.md"
    arguments = ["--steps", "40", "--seeds", "1", "--json", str(figures), "--report", str(report)]
    monkeypatch.setattr(sys, "argv", ["causes", *arguments])
    causes.main()
    printed = capsys.readouterr().out
    assert printed.strip() == report.read_text("utf-8").strip()
    assert all(printed.count(f"| {level.name} |") >= 2 for level in LEVELS)
    assert set(json.loads(figures.read_text("utf-8"))) == {level.name for level in LEVELS}
