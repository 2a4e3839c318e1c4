"""The filter patterns of CloudWatch Logs for JSON, evaluated as AWS documents them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html, "matching terms in JSON log events". What
the page does not say is taken from what people saw: `!=` is false, too, where the selector leads nowhere
(https://github.com/DataBiosphere/azul/issues/5884). Patterns with regular expressions and those for other than JSON are refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from lark import Lark, Transformer, v_args

Test = Callable[[Any], bool]

_GRAMMAR = r"""
start: "{" or "}"
?or: and ("||" and)*
?and: term ("&&" term)*
?term: "(" or ")" | test
test: selector EQUALITY value -> compared
    | selector ORDER NUMBER -> ordered
    | selector "IS" STATE -> stated
    | selector "NOT" "EXISTS" -> absent
selector: "$" step+
step: "." NAME -> key
    | "[" INDEX "]" -> index
?value: QUOTED | BARE
EQUALITY: "!=" | "="
ORDER: ">=" | "<=" | ">" | "<"
STATE: "NULL" | "TRUE" | "FALSE"
NAME: /[A-Za-z0-9_-]+/
INDEX: /[0-9]+/
NUMBER.2: /[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/
QUOTED: /"[^"\\]*"/
BARE: /[A-Za-z0-9_.*+-]+/
%ignore /\s+/
"""
_NOWHERE = object()
_ORDERS = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}


def compiled(pattern: str) -> Test:
    """The test of a log event, as JSON gave it, that a pattern describes.

    Raises lark's UnexpectedInput for what is no pattern, and ValueError for one that is longer than 1,024 characters.
    """
    if len(pattern) > 1_024:
        raise ValueError(f"a filter pattern of {len(pattern)} characters, 1,024 are allowed")
    test: Test = _Tests().transform(_PARSER.parse(pattern))
    return test


@v_args(inline=True)
class _Tests(Transformer[Any, Any]):
    def start(self, test: Test) -> Test:
        return test

    def key(self, name: str) -> str:
        return str(name)

    def index(self, number: str) -> int:
        return int(number)

    def selector(self, *steps: str | int) -> Callable[[Any], Any]:
        def led(event: Any) -> Any:
            for step in steps:
                inside = isinstance(event, Mapping) if isinstance(step, str) else isinstance(event, list)
                if not inside or (step not in event if isinstance(step, str) else step >= len(event)):
                    return _NOWHERE
                event = event[step]
            return event

        return led

    def compared(self, selector: Callable[[Any], Any], comparison: str, value: str) -> Test:
        wanted = comparison == "="
        accepts = _equality(str(value))

        def test(event: Any) -> bool:
            found = selector(event)
            # A list or an object, and nothing at all, is neither equal nor unequal.
            return isinstance(found, str | int | float) and not isinstance(found, bool) and accepts(found) is wanted

        return test

    def ordered(self, selector: Callable[[Any], Any], comparison: str, number: str) -> Test:
        order, bound = _ORDERS[str(comparison)], float(number)

        def test(event: Any) -> bool:
            found = selector(event)
            return isinstance(found, int | float) and not isinstance(found, bool) and order(found, bound)

        return test

    def stated(self, selector: Callable[[Any], Any], state: str) -> Test:
        wanted = {"NULL": None, "TRUE": True, "FALSE": False}[str(state)]
        return lambda event: selector(event) is wanted

    def absent(self, selector: Callable[[Any], Any]) -> Test:
        return lambda event: selector(event) is _NOWHERE


def _either(self: _Tests, *tests: Test) -> Test:
    return lambda event: any(test(event) for test in tests)


def _both(self: _Tests, *tests: Test) -> Test:
    return lambda event: all(test(event) for test in tests)


# Their names are words of Python.
setattr(_Tests, "or", v_args(inline=True)(_either))
setattr(_Tests, "and", v_args(inline=True)(_both))


def _equality(value: str) -> Callable[[str | float], bool]:
    """Whether a value is the one of the pattern: a number as a number, a text with wildcards at its beginning and end."""
    if not value.startswith('"') and re.fullmatch(_NUMBER, value):
        return lambda found: found == (value if isinstance(found, str) else float(value))
    plain = value.strip('"')
    begins, ends = plain[1:].endswith("*"), plain.startswith("*")
    core = re.escape(plain[1 if ends else 0 : -1 if begins else None])
    matched = re.compile(f"{'.*' if ends else ''}{core}{'.*' if begins else ''}", re.DOTALL)
    return lambda found: matched.fullmatch(str(found)) is not None


_NUMBER = r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_PARSER = Lark(_GRAMMAR, parser="lalr")
