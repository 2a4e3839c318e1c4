"""The evaluator of CloudWatch Logs' filter patterns says what AWS's own examples say."""

from __future__ import annotations

from typing import Any

import pytest
from lark.exceptions import UnexpectedInput

from tests.support.filter_patterns import compiled

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
FIRST: dict[str, Any] = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ThisFlag": True,
}
SECOND: dict[str, Any] = {
    "user": {"id": 1, "email": "John.Stiles@example.com"},
    "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "Jane.Doe@example.com"}],
    "actions": ["GET", "PUT", "DELETE"],
    "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
}
NUMBERS: dict[str, Any] = {"latency": 1200, "numbers": [5], "processes": [{}] * 4 + [{"averageRuntime": 55.5}], "errorCode": 400}


@pytest.mark.parametrize(
    ("pattern", "event", "matched"),
    [
        ('{ $.eventType = "UpdateTrail" }', FIRST, True),
        ("{ $.sourceIPAddress != 123.123.* }", FIRST, True),
        ("{ $.sourceIPAddress != 111.111.* }", FIRST, False),
        ('{ $.arrayKey[0] = "value" }', FIRST, True),
        ('{ $.arrayKey[1] = "value" }', FIRST, False),
        ('{ $.eventType[0] = "value" }', FIRST, False),
        ("{ $.objectList[1].id = 2 }", FIRST, True),
        ("{ $.objectList[2].id = 2 }", FIRST, False),
        ("{ $.SomeObject IS NULL }", FIRST, True),
        ("{ $.SomeOtherObject IS NULL }", FIRST, False),
        ("{ $.SomeOtherObject NOT EXISTS }", FIRST, True),
        ("{ $.SomeObject NOT EXISTS }", FIRST, False),
        ("{ $.ThisFlag IS TRUE }", FIRST, True),
        ("{ $.ThisFlag IS FALSE }", FIRST, False),
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', SECOND, True),
        ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', SECOND, False),
        (
            '{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }',
            SECOND,
            True,
        ),
        (
            '{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch) && $.actions[2] = nomatch }',
            SECOND,
            False,
        ),
        ("{ $.users = 1 }", {"users": [1, 2, 3]}, False),
        ("{ $.users != 1 }", {"users": [1, 2, 3]}, False),
        ("{ $.latency >= 500 }", NUMBERS, True),
        ("{ $.numbers[0] < 10e3 }", NUMBERS, True),
        ("{ $.numbers[0] < 10e-3 }", NUMBERS, False),
        ("{ $.processes[4].averageRuntime <= 55.5 }", NUMBERS, True),
        ("{ $.errorCode = 400 }", NUMBERS, True),
        ("{ $.errorCode != 500 }", NUMBERS, True),
        ("{ $.latency > +1000 }", NUMBERS, True),
        ("{$.foo = bar || $.foo = baz }", {"foo": "baz"}, True),
        ("{ $.name = *Event }", {"name": "PutEvent"}, True),
        ("{ $.name = Event* }", {"name": "EventId"}, True),
        ("{ $.name = Ev*ent }", {"name": "Ev*ent"}, True),
        ("{ $.name = Ev*ent }", {"name": "Event"}, False),
        ("{ $.latency = * }", NUMBERS, True),
        ("{ $.latency = * }", FIRST, False),
        # https://github.com/DataBiosphere/azul/issues/5884
        (
            '{($.errorCode = "AccessDenied") && ($.userIdentity.invokedBy != "cloudfront.amazonaws.com")}',
            {"errorCode": "AccessDenied", "userIdentity": {"accountId": "anonymous"}},
            False,
        ),
    ],
)
def test_an_example_of_the_documentation(pattern: str, event: dict[str, Any], matched: bool) -> None:
    """What the page shows as matched is, and nothing else."""
    assert compiled(pattern)(event) is matched


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "{ }",
        "ERROR",
        "{ $.a }",
        "{ $.a = b",
        "{ $.a == b }",
        "{ $.a = b & $.c = d }",
        "{ $.a = user@example }",
        "{ a = b }",
        "{ $.a = %b% }",
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """A text with special characters and no quotation marks is none, as on the page."""
    with pytest.raises(UnexpectedInput):
        compiled(pattern)


def test_a_pattern_that_is_too_long_is_refused() -> None:
    """PutMetricFilter takes 1,024 characters."""
    assert compiled(f"{{ $.a = {'b' * 1_014} }}")({"a": "b" * 1_014})
    with pytest.raises(ValueError, match="of 1025 characters, 1,024 are allowed"):
        compiled(f"{{ $.a = {'b' * 1_015} }}")
