"""The timeline keeps every version in order and comes back from the engine as it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_search.aws_config.items import Item
from audit_search.aws_config.timeline import Timeline
from tests.support.config_world import START, version

BASE = version("vol-1", START, "s")
states = st.one_of(
    st.text(max_size=20), st.integers(START - 10**8, START + 10**8).map(str), st.integers(0, 99).map(str), st.just("007")
)
items = st.lists(
    st.builds(
        lambda at, state, told: replace(BASE, captured=at, state_id=state, diff={} if told else None),
        st.integers(START, START + 5) | st.integers(0, START * 2),
        states,
        st.booleans(),
    ),
    max_size=40,
    unique_by=lambda item: item.identity,
)


def stored(timeline: Timeline) -> Timeline:
    """The timeline as it comes back."""
    source = json.loads(json.dumps(timeline.source()))
    return Timeline.read(BASE.resource, {"found": True, "_source": source, "_seq_no": 7, "_primary_term": 1})


@given(items)
def test_every_version_keeps_its_place_and_identity(arrived: list[Item]) -> None:
    """In whatever order versions are put in, they lie by rank, and each is found again under its own identity."""
    timeline = Timeline(BASE.resource)
    for item in arrived:
        assert timeline.find(item) is None
        timeline.insert(item, item.identity)
    for known in (timeline, stored(timeline)):
        ordered = sorted(arrived, key=lambda item: (item.rank, item.identity))
        assert [known.identity(place) for place in range(len(known))] == [item.identity for item in ordered]
        for place, item in enumerate(ordered):
            assert known.find(item) == place
            assert known.captured(place) == item.captured
            assert known.told(place) is (item.diff is not None)
    assert (stored(timeline).revision, stored(timeline).seq_no) == (1, 7)


def test_absent_is_empty() -> None:
    """Where the engine has none, the timeline is empty, and its first document is revision 1."""
    timeline = Timeline.read("r", {"found": False})
    assert (len(timeline), timeline.revision, timeline.seq_no, timeline.source()["revision"]) == (0, 0, None, 1)


def test_what_a_message_told_is_kept() -> None:
    """A version that a message tells of later is marked, and stays so."""
    timeline = Timeline(BASE.resource)
    timeline.insert(BASE, BASE.identity)
    timeline.tell(0)
    assert stored(timeline).told(0)


def test_damage_is_an_error() -> None:
    """Columns of different lengths are not guessed at."""
    source = {"revision": 1, "captured": [1, 2], "states": ["a"], "told": "00", "sizes": [1, 1], "cfg": {}}
    with pytest.raises(ValueError, match="columns differ"):
        Timeline.read("r", {"found": True, "_source": source, "_seq_no": 1, "_primary_term": 1})


def test_versions_are_compact() -> None:
    """A version takes fewer than 20 bytes, so that tens of thousands stay workable."""
    timeline = Timeline(BASE.resource)
    for number in range(1_000):
        item = replace(BASE, captured=START + number * 600_123, state_id=str(START + number * 600_123 + 1_500))
        timeline.insert(item, item.identity)
    assert len(json.dumps(timeline.source(), separators=(",", ":"))) < 20_000
