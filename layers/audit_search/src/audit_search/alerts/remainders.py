"""What is left to ask of a record when some of its fields are known: so that few records are parsed, and those in part only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec

from audit_search.alerts.conditions import Test, compiled


@dataclass(frozen=True, slots=True)
class Remainder:
    """The rules that records of one kind meet for sure, by name, sorted; and the tests that decide about more of them.

    `decode` parses of a record's text only what the tests look at; it raises msgspec.DecodeError, or RecursionError, for one that
    needs a more patient parser.
    """

    sure: tuple[str, ...]
    tests: tuple[tuple[str, Test], ...]
    decode: Callable[[bytes], Mapping[str, Any]]

    def matching(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the rules that the record with these fields meets, sorted."""
        more = [name for name, test in self.tests if test(fields)]
        return tuple(sorted((*self.sure, *more))) if more else self.sure


def remainder(rules: Iterable[tuple[str, Test | Sequence[Mapping[str, Any]]]], known: Mapping[str, Any]) -> Remainder:
    """What is left of rules, each with its name and the conditions that must all hold (or with a test of the whole record), for
    records whose top-level fields `known` are these."""
    sure: list[str] = []
    tests: list[tuple[str, Test]] = []
    fields: set[str] | None = set()
    for name, asked in rules:
        if callable(asked):
            tests.append((name, asked))
            fields = None
            continue
        left = _narrowed({"all": list(asked)}, known)
        if left is True:
            sure.append(name)
        elif left is not False:
            tests.append((name, compiled(left, name)))
            fields = None if fields is None else fields | _fields(left)
    return Remainder(tuple(sorted(sure)), tuple(tests), _decoder(fields))


def _narrowed(condition: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any] | bool:
    """The condition where some fields are known: itself, a shorter one, or what it is."""
    if "field" in condition:
        return compiled(condition)(known) if _fields(condition) <= known.keys() else condition
    (key, below), *_ = condition.items()
    if key == "not":
        left = _narrowed(below, known)
        return not left if isinstance(left, bool) else {"not": left}
    decides = key == "any"
    parts = [_narrowed(part, known) for part in below]
    if decides in parts:
        return decides
    open_parts = [part for part in parts if not isinstance(part, bool)]
    return {key: open_parts} if open_parts else not decides


def _fields(condition: Mapping[str, Any]) -> set[str]:
    """The top-level fields of a record that a condition looks at."""
    if "field" not in condition:
        (_, below), *_ = condition.items()
        return set().union(*map(_fields, below if isinstance(below, list) else [below]))
    paths = [condition["field"], condition.get("equals_field", "")]
    if "opens_to" in condition:
        paths.append("recipientAccountId")  # whose policy it is
    return {path.split(".")[0] for path in paths if path}


def _decoder(fields: set[str] | None) -> Callable[[bytes], Mapping[str, Any]]:
    """The parser of these top-level fields, or of all."""
    if fields is None:
        return msgspec.json.Decoder(dict[str, Any]).decode
    return msgspec.json.Decoder(TypedDict("Fields", dict.fromkeys(sorted(fields), Any), total=False)).decode  # type: ignore[operator]
