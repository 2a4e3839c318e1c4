"""The timeline of one resource: all versions that are known of it, in order, in one compact document.

It is what makes the order of arrival harmless: it is read by id and replaced only as it was read (compare-and-swap), so
that each version knows its neighbours. A version takes some 17 bytes, because a resource may have tens of thousands.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from audit_search.aws_config.items import Item, identity

_NO, _YES = b"01"
_NEAR: Final = 10_000_000
"""State ids that are times in ms lie within that of the capture time and are kept as the difference."""


@dataclass(slots=True)
class Timeline:
    """The versions of a resource, ordered by rank and identity; `revision` counts how often the document was replaced.

    `seq_no` and `primary_term` are the engine's, of the document that was read; None where there is none yet.
    """

    resource: str
    revision: int = 0
    seq_no: int | None = None
    primary_term: int | None = None
    # Columns of equal length. A time is kept as the difference to the one before it.
    _captured: list[int] = field(default_factory=list)
    _states: list[int | str] = field(default_factory=list)
    _told: bytearray = field(default_factory=bytearray)
    _sizes: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, resource: str, answer: Mapping[str, Any]) -> Timeline:
        """The timeline in the engine's answer to a get; an empty one where there is none. Raises ValueError for nonsense."""
        if not answer.get("found"):
            return cls(resource)
        source = answer["_source"]
        timeline = cls(
            resource,
            source["revision"],
            answer["_seq_no"],
            answer["_primary_term"],
            list(accumulate(source["captured"])),
            source["states"],
            bytearray(source["told"].encode()),
            source["sizes"],
        )
        if len({len(timeline), len(timeline._states), len(timeline._told), len(timeline._sizes)}) != 1:
            raise ValueError(f"the timeline of {resource} is damaged: its columns differ in length")
        return timeline

    def source(self) -> dict[str, Any]:
        """The document of the next revision."""
        times = self._captured
        return {
            "resource": self.resource,
            "revision": self.revision + 1,
            "captured": [time - before for before, time in zip([0, *times], times, strict=False)],
            "states": self._states,
            "told": self._told.decode(),
            "sizes": self._sizes,
            "cfg": {},
        }

    def __len__(self) -> int:
        return len(self._captured)

    def find(self, item: Item) -> int | None:
        """The position of a version, None where it is not known."""
        start = bisect_left(self._captured, item.captured)
        state = _short(item.captured, item.state_id)
        for position in range(start, bisect_right(self._captured, item.captured, start)):
            if self._states[position] == state:
                return position
        return None

    def insert(self, item: Item, known_as: str) -> None:
        """Put a version that is not there yet in its place; `known_as` is its identity."""
        low = bisect_left(self._captured, item.captured)
        high = bisect_right(self._captured, item.captured, low)
        position = low + sum(self.identity(other) < known_as for other in range(low, high))
        self._captured.insert(position, item.captured)
        self._states.insert(position, _short(item.captured, item.state_id))
        self._told.insert(position, _YES if item.diff is not None else _NO)
        self._sizes.insert(position, len(item.raw) >> 10)

    def told(self, position: int) -> bool:
        """Whether a message has told what changed in a version, so that its neighbours do not matter."""
        return self._told[position] == _YES

    def tell(self, position: int) -> None:
        """Note that a message has."""
        self._told[position] = _YES

    def captured(self, position: int) -> int:
        """The time of a version in ms."""
        return self._captured[position]

    def kilobytes(self, position: int) -> int:
        """About how large the item is."""
        return self._sizes[position]

    def identity(self, position: int) -> str:
        """The id of a version."""
        captured, state = self._captured[position], self._states[position]
        return identity(self.resource, captured, str(captured + state) if isinstance(state, int) else state)


def _short(captured: int, state: str) -> int | str:
    """A state id that is a time near the capture time as the difference, so that it comes back as the same text."""
    if state.isascii() and state.isdigit() and len(state) < 16:
        difference = int(state) - captured
        if abs(difference) < _NEAR and str(captured + difference) == state:
            return difference
    return state
