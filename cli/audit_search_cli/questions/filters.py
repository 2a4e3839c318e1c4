"""What a search is limited to: values of fields, words of the text, a period."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from audit_search_cli.errors import Problem
from audit_search_cli.questions.fields import Query, all_of, any_of, asked

_WORDS = re.compile(r'"([^"]*)"|(\S+)')


@dataclass(frozen=True, slots=True)
class Filters:
    """Values by the names of `fields`: any of a field's values, all of the fields. `text` is words and "phrases" of the record.

    From `since` (included) to `until` (excluded); None does not limit. `further` are queries of the engine's own language.
    """

    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    further: tuple[Query, ...] = ()

    def query(self) -> Query:
        """The engine's query. Raises Problem for a value that its field cannot have."""
        parts = [any_of(*(asked(name, value) for value in values)) for name, values in self.where.items() if values]
        return all_of(*parts, *words(self.text), *within(self.since, self.until), *self.further)

    def also(self, *further: Query, **where: str) -> Filters:
        """The same with further queries, and with one value for fields (with `_` for `-` in their names)."""
        added = {name.replace("_", "-"): (value,) for name, value in where.items()}
        return replace(self, where={**self.where, **added}, further=(*self.further, *further))

    def within(self, since: datetime | None, until: datetime | None) -> Filters:
        """The same in another period."""
        return replace(self, since=since, until=until)

    def without(self, *names: str) -> Filters:
        """The same without what limits some fields."""
        return replace(self, where={name: values for name, values in self.where.items() if name not in names})

    def __str__(self) -> str:
        """As a person reads it: event-name RunInstances, region eu-central-1 or us-east-1."""
        parts = [f"{name} {' or '.join(values)}" for name, values in self.where.items() if values]
        parts += [f"text {self.text}"] if self.text else []
        return ", ".join(parts)


def words(text: str) -> list[Query]:
    """A query for each word and each phrase in quotes; what ends with * is the beginning of a word."""
    found: list[Query] = []
    for phrase, word in _WORDS.findall(text):
        wanted = (phrase or word).strip()
        if wanted.strip('*"'):
            kind = "match_phrase_prefix" if wanted.endswith("*") else "match_phrase"
            found.append({kind: {"raw": {"query": wanted.rstrip("*")}}})
    if text.strip() and not found:
        raise Problem(f"There is no word in {text!r}", "Give words, or phrases in quotes.")
    return found


def within(since: datetime | None, until: datetime | None) -> list[Query]:
    """The query for a period, or none."""
    limits = {"gte": since, "lt": until}
    given = {name: stamp(when) for name, when in limits.items() if when}
    return [{"range": {"eventTime": given}}] if given else []


def stamp(when: datetime) -> str:
    """A time as the engine takes it, to the millisecond."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Values by field from single pairs, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value)
    return found
