"""Exclusion rules mean what they say, and a rule that cannot is refused with all its problems."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit_search.exclusions import FIELDS, parse


def matches(match: dict[str, Any], fields: dict[str, Any]) -> bool:
    """Whether a rule of this match means a record with these fields."""
    (rule,) = parse(json.dumps([{"name": "r", "match": match}]))
    return rule.matches(fields.get)


@pytest.mark.parametrize("text", ["", " ", "\n", "[]"])
def test_no_rules_are_no_rules(text: str) -> None:
    """An empty setting excludes nothing."""
    assert parse(text) == ()


@pytest.mark.parametrize(
    ("wanted", "value", "does"),
    [
        ("GetObject", "GetObject", True),
        ("GetObject", "getobject", False),
        ("GetObject", "GetObjectAcl", False),
        ("GetObject", "xGetObject", False),
        ("Get*", "GetObject", True),
        ("*Object", "GetObject", True),
        ("*", "", True),
        ("*", "line\nbreak", True),
        ("*", None, False),
        ("a*c", "abbbc", True),
        ("a.c", "abc", False),
        ("a|b", "a", False),
        ("[a]", "a", False),
        ("a?", "a", False),
        (".*", "anything", False),
        ("GetObject\n", "GetObject", False),
        ("x", "x\n", False),
        (["a", "b*"], "bcd", True),
        (["a", "b*"], "cd", False),
        (["ab", "c"], "ac", False),
        ("200", 200, False),
        ("true", True, True),
        ("false", False, True),
        (True, True, True),
        (True, "true", True),
        ([True, False], False, True),
        (False, None, False),
        ("a", ["a"], False),
    ],
)
def test_a_field_is_matched_whole(wanted: Any, value: Any, does: bool) -> None:
    """The whole text, with `*` for any text and a list for any of its values; no other sign is special."""
    assert matches({"eventName": wanted}, {"eventName": value}) is does


def test_every_field_of_a_rule_must_match() -> None:
    """Fields are all of them, values of one field any of them."""
    match = {"eventName": ["a", "b"], "readOnly": "true", "userIdentity.arn": "*role*"}
    assert matches(match, {"eventName": "b", "readOnly": True, "userIdentity.arn": "x/role/y"})
    assert not matches(match, {"eventName": "b", "readOnly": True})
    assert not matches(match, {"eventName": "b", "readOnly": False, "userIdentity.arn": "x/role/y"})


def test_a_rule_says_whether_it_only_counts() -> None:
    """count_only is false unless it is set."""
    rules = parse('[{"name":"a","match":{"eventName":"x"}},{"name":"b","match":{"eventName":"x"},"count_only":true}]')
    assert [(rule.name, rule.count_only) for rule in rules] == [("a", False), ("b", True)]


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_every_field_that_is_searched_by_can_be_named(field: str) -> None:
    """Each mapped text and boolean of the document may stand in a rule."""
    assert matches({field: "x"}, {field: "x"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "is not JSON"),
        ("{", "is not JSON"),
        ("{}", "must be a JSON list"),
        ('"x"', "must be a JSON list"),
        ("null", "must be a JSON list"),
        ("[1]", "[0]: a rule needs a name"),
        ("[[]]", "[0]: a rule needs a name"),
        ('[{"match":{"eventName":"x"}}]', "[0]: a rule needs a name"),
        ('[{"name":"","match":{"eventName":"x"}}]', "[0]: a rule needs a name"),
        ('[{"name":1,"match":{"eventName":"x"}}]', "[0]: a rule needs a name"),
        ('[{"name":"a"}]', "[0]: a rule needs a name"),
        ('[{"name":"a","match":{}}]', "[0]: a rule needs a name"),
        ('[{"name":"a","match":[]}]', "[0]: a rule needs a name"),
        ('[{"name":"a","match":{"eventname":"x"}}]', "'eventname' is not a field"),
        ('[{"name":"a","match":{"eventTime":"x"}}]', "'eventTime' is not a field"),
        ('[{"name":"a","match":{"requestParameters.x":"x"}}]', "is not a field"),
        ('[{"name":"a","match":{"eventName":""}}]', "needs a text or a list of texts"),
        ('[{"name":"a","match":{"eventName":[]}}]', "needs a text or a list of texts"),
        ('[{"name":"a","match":{"eventName":5}}]', "needs a text or a list of texts"),
        ('[{"name":"a","match":{"eventName":[null]}}]', "needs a text or a list of texts"),
        ('[{"name":"a","match":{"eventName":{"x":1}}}]', "needs a text or a list of texts"),
        ('[{"name":"a","match":{"eventName":"x"},"count_only":"yes"}]', "count_only must be true or false"),
        ('[{"name":"a","match":{"eventName":"x"},"countOnly":true}]', "unknown keys countOnly"),
        ('[{"name":"a","match":{"eventName":"x"}},{"name":"a","match":{"eventName":"y"}}]', "'a' is there twice"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(text: str, problem: str) -> None:
    """A rule that would silently exclude nothing, or everything, is an error that says where."""
    with pytest.raises(ValueError, match="EXCLUSION_RULES") as caught:
        parse(text)
    assert problem in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    """One line for each problem of each rule."""
    text = '[1,{"name":"a","match":{"x":"y","eventName":5},"odd":1,"count_only":0},{"name":"a","match":{"eventName":"x"}}]'
    with pytest.raises(ValueError, match="EXCLUSION_RULES") as caught:
        parse(text)
    assert len(str(caught.value).splitlines()) == 5
