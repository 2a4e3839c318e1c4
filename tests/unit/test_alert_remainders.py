"""What is left to ask of a record says what the rules say of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from audit_search.alerts import matching, remainders
from audit_search.alerts.conditions import compiled
from tests.support.aws import text_of as written


def test_rules_with_suppressions_are_asked_with_the_whole_record() -> None:
    """Until when they hold is told by the event's time."""
    body = {
        "name": "stopped",
        "severity": "high",
        "tier": "page",
        "events": ["StopLogging"],
        "sources": ["cloudtrail.amazonaws.com"],
        "outcome": "success",
        "service_linked_roles": "alert",
        "suppressions": [{"until": "2026-03-31", "condition": {"field": "awsRegion", "equals": "eu-west-1"}}],
    }
    rules = matching.Rules([matching.rule(body)])
    call = {"eventName": "StopLogging", "eventSource": "cloudtrail.amazonaws.com", "awsRegion": "eu-west-1"}
    left = rules.remainder(rules.of_event["StopLogging"], "StopLogging", "cloudtrail.amazonaws.com")
    assert left.matching(left.decode(written({**call, "eventTime": "2026-03-31T10:00:00Z"}))) == ()
    assert left.matching(left.decode(written({**call, "eventTime": "2026-04-01T10:00:00Z"}))) == ("stopped",)


_FIELD = st.sampled_from(["eventName", "eventSource", "eventType", "requestParameters.a", "requestParameters.b.c"])
_CONDITION: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(
        st.builds(lambda field, value: {"field": field, "equals": value}, _FIELD, st.sampled_from(["x", "y"])),
        st.builds(lambda field, there: {"field": field, "exists": there}, _FIELD, st.booleans()),
        st.builds(lambda field, other: {"field": field, "equals_field": other}, _FIELD, _FIELD),
    ),
    lambda inner: st.one_of(
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda key, parts: {key: parts}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


@given(
    _CONDITION,
    st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(["x", "y", None]) for name in ("eventName", "eventSource", "eventType")}
    ),
    st.sampled_from([None, {}, {"a": "x"}, {"a": ["y", "x"], "b": {"c": "y"}}, {"b": [{"c": "x"}, {"c": ["y", ["x"]]}]}]),
)
def test_what_is_left_of_a_condition_says_what_the_condition_says(condition: Any, known: dict[str, Any], parameters: Any) -> None:
    """Whatever is known of a record before it is parsed."""
    record = {**known, "requestParameters": parameters}
    left = remainders.remainder([("rule", [condition])], {name: known.get(name) for name in ("eventName", "eventSource")})
    met = left.matching(left.decode(written(record))) if left.tests else left.sure
    assert bool(met) == compiled(condition)(record)
