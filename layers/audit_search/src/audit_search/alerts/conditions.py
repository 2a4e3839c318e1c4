"""The conditions of alert rules: what they may say, and the test of a record that each becomes.

A condition is one of

- `{"all": [...]}`, `{"any": [...]}`, `{"not": condition}`,
- `{"field": "a.b.c", OPERATOR: value}` with one operator of OPERATORS,
- `{"field": "a.b", "elements": condition}`: one element of the list there meets the condition, whose fields begin at it,
- `{"field": "a.b", "statements": condition}`: the same of one statement of the policy document there,
- `{"field": "a.b", "opens_to": "others"}` (or `"everybody"`): that policy document lets in another account than the record's, or
  everybody,
- `{"field": "a.b", "equals_field": "c.d"}`: both fields have one value.

A path that leads through a list means each of its elements, and a field meets an operator when one of its values does.
Values are compared as text: `true` is the boolean and the word, as CloudTrail writes both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from audit_search.alerts import policies

Test = Callable[[Mapping[str, Any]], bool]
"""Whether a record, or an element of one, meets a condition."""

OPERATORS = ("equals", "in", "prefix", "wildcard", "exists", "cidr", "equals_field", "opens_to", "statements", "elements")


def compiled(condition: object, where: str = "condition") -> Test:
    """The test that `condition` describes.

    Raises ValueError with one line that says where in the condition something is wrong, and what would be right.
    """
    if not isinstance(condition, Mapping):
        raise ValueError(f"{where}: must be a mapping with all, any, not or field, not {_kind(condition)}")  # noqa: TRY004  # one kind of error
    if "field" in condition:
        return _of_field(condition, where)
    if len(condition) != 1 or next(iter(condition)) not in {"all", "any", "not"}:
        raise ValueError(f"{where}: has the keys {sorted(condition)}: must have field, or one of all, any and not")
    (key, below), *_ = condition.items()
    if key == "not":
        negated = compiled(below, f"{where}.not")
        return lambda record: not negated(record)
    if not isinstance(below, list) or not below:
        raise ValueError(f"{where}.{key}: must be a list of conditions, not {_kind(below)}")
    tests = tuple(compiled(each, f"{where}.{key}[{number}]") for number, each in enumerate(below))
    return _all(tests) if key == "all" else _any(tests)


def _all(tests: tuple[Test, ...]) -> Test:
    def meets(record: Mapping[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110  # a generator costs more than the tests
            if not test(record):
                return False
        return True

    return meets


def _any(tests: tuple[Test, ...]) -> Test:
    def meets(record: Mapping[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110  # as above
            if test(record):
                return True
        return False

    return meets


def values(record: object, path: tuple[str, ...]) -> Sequence[object]:
    """What `path` leads to: nothing, one value, or one for each element of the lists on the way."""
    for step, name in enumerate(path):
        if isinstance(record, dict):
            if name not in record:
                return ()
            record = record[name]
        elif isinstance(record, list):
            return [found for element in record for found in values(element, path[step:])]
        else:
            return ()
    if not isinstance(record, list):
        return (record,)
    if list not in map(type, record):
        return record
    return [found for element in record for found in values(element, ())]


def text(value: object) -> str | None:
    """A plain value as it is compared; None for null, lists and objects."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _of_field(condition: Mapping[str, Any], where: str) -> Test:
    field = condition["field"]
    path = _path(field, f"{where}.field")
    operators = [key for key in condition if key != "field"]
    if len(operators) != 1 or operators[0] not in OPERATORS:
        raise ValueError(f"{where}: {field} needs one of {', '.join(OPERATORS)}, and has {operators}")
    operator = operators[0]
    operand, place = condition[operator], f"{where}.{operator}"
    if operator == "exists":
        if not isinstance(operand, bool):
            raise ValueError(f"{place}: must be true or false, not {operand!r}")
        return lambda record: any(value is not None for value in values(record, path)) is operand
    if operator in ("elements", "statements"):
        return _inside(path, compiled(operand, place), operator)
    if operator == "opens_to":
        return _opening(path, operand, place)
    if operator == "equals_field":
        other = _path(operand, place)
        return lambda record: not _texts(record, path).isdisjoint(_texts(record, other))
    accepts = _comparison(operator, operand, place)

    def meets(record: object) -> bool:
        for value in values(record, path):  # a loop: it is asked of each record of some kinds, and nearly always of one value
            found = text(value)
            if found is not None and accepts(found):
                return True
        return False

    return meets


def _path(field: object, where: str) -> tuple[str, ...]:
    if not isinstance(field, str) or not all(field.split(".")):
        raise ValueError(f"{where}: must be a path such as requestParameters.name, not {field!r}")
    return tuple(field.split("."))


def _texts(record: object, path: tuple[str, ...]) -> set[str]:
    return {found for found in map(text, values(record, path)) if found is not None}


def _inside(path: tuple[str, ...], inner: Test, operator: str) -> Test:
    if operator == "elements":
        return lambda record: any(isinstance(each, Mapping) and inner(each) for each in values(record, path))
    return lambda record: any(inner(each) for document in values(record, path) for each in policies.statements(document))


def _opening(path: tuple[str, ...], operand: object, where: str) -> Test:
    if operand == "everybody":
        return lambda record: any(map(policies.open_to_everybody, values(record, path)))
    if operand != "others":
        raise ValueError(f"{where}: must be others or everybody, not {operand!r}")
    return lambda record: any(
        policies.open_to_others(document, text(record.get("recipientAccountId"))) for document in values(record, path)
    )


def _comparison(operator: str, operand: object, where: str) -> Callable[[str], bool]:
    if operator == "equals":
        if (wanted := text(operand)) is None:
            raise ValueError(f"{where}: must be one plain value, not {_kind(operand)}; several go into in")
        return lambda found: found == wanted
    listed = operand if isinstance(operand, list) else [operand]
    texts = [each for each in map(text, listed) if each is not None]
    if not texts or len(texts) != len(listed) or (operator == "in" and listed is not operand):
        raise ValueError(f"{where}: must be a list of plain values, not {_kind(operand)}")
    if operator == "in":
        return frozenset(texts).__contains__
    if operator == "prefix":
        beginnings = tuple(texts)
        return lambda found: found.startswith(beginnings)
    if operator == "cidr":
        return _within(texts, where)
    pattern = re.compile("|".join(".*".join(map(re.escape, each.split("*"))) for each in texts), re.DOTALL)
    return lambda found: pattern.fullmatch(found) is not None


def _within(ranges: list[str], where: str) -> Callable[[str], bool]:
    try:
        networks = [ip_network(each) for each in ranges]
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error

    def within(found: str) -> bool:
        try:
            address = ip_address(found)
        except ValueError:  # the name of a service stands where an address would
            return False
        return any(address in network for network in networks)

    return within


def _kind(value: object) -> str:
    return f"{value!r}" if text(value) is not None else f"a {type(value).__name__} ({value!r:.60})"
