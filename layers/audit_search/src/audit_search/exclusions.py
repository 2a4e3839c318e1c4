"""Rules that leave records out on purpose: own log writes, noisy reads. What they leave out is counted as filtered.

A rule is `{"name": "own reads", "match": {"eventSource": "kms.amazonaws.com", "userIdentity.arn": "*/audit-search-*"}}`:
every field must match, a list means any of its values, `*` stands for any text, and `"count_only": true` counts what the
rule would leave out while it is indexed all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from audit_search.documents import BOOLEANS, FLAT_LEAVES, KEYWORDS

FIELDS = frozenset(KEYWORDS) | frozenset(BOOLEANS) | FLAT_LEAVES
"""Fields that a rule may name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One exclusion: `patterns` holds a compiled pattern for each field."""

    name: str
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    count_only: bool = False

    def matches(self, value: Callable[[str], object]) -> bool:
        """Whether the record whose fields `value` gives is one that the rule means."""
        return all(_matches(pattern, value(field)) for field, pattern in self.patterns)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    if isinstance(value, bool):
        value = "true" if value else "false"
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def parse(text: str) -> tuple[Rule, ...]:
    """The rules of a JSON list.

    Raises ValueError with one line for each problem.
    """
    if not text.strip():
        return ()
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ValueError(f"EXCLUSION_RULES is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise ValueError(f"EXCLUSION_RULES must be a JSON list of rules, not a {type(entries).__name__}")  # noqa: TRY004  # one kind of error for every problem of the text
    problems: list[str] = []
    rules = [rule for number, entry in enumerate(entries) if (rule := _rule(number, entry, problems))]
    names = [rule.name for rule in rules]
    problems += [
        f"EXCLUSION_RULES: the name {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(rules)


def _rule(number: int, entry: object, problems: list[str]) -> Rule | None:
    where = f"EXCLUSION_RULES[{number}]"
    match entry:
        case {"name": str(name), "match": {**match}} if name and match:
            pass
        case _:
            problems.append(
                f"{where}: a rule needs a name and a match that is not empty, such as "
                '{"name": "reads", "match": {"readOnly": "true"}}'
            )
            return None
    assert isinstance(entry, Mapping)  # noqa: S101  # the pattern above said so
    unknown = sorted(set(entry) - {"name", "match", "count_only"})
    if unknown:
        problems.append(f"{where} ({name}): unknown keys {', '.join(map(str, unknown))}; known are name, match, count_only")
    count_only = entry.get("count_only", False)
    if not isinstance(count_only, bool):
        problems.append(f"{where} ({name}): count_only must be true or false")
        count_only = False
    patterns = []
    for field, wanted in match.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        texts: list[Any] = [str(value).lower() if isinstance(value, bool) else value for value in values]
        if field not in FIELDS:
            problems.append(f"{where} ({name}): {field!r} is not a field that a rule can match")
        elif not texts or not all(isinstance(value, str) and value for value in texts):
            problems.append(f"{where} ({name}): {field} needs a text or a list of texts")
        else:
            alternatives = (
                "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", value)) for value in texts
            )
            patterns.append((str(field), re.compile("|".join(alternatives), re.DOTALL)))
    return Rule(name, tuple(patterns), count_only) if patterns else None
