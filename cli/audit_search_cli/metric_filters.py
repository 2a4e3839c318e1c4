"""The filter patterns of CloudWatch Logs that find in a trail's log group what an alert rule finds in its records.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html: a selector leads to one plain value, `=` and
`!=` are both false where there is none, and `*` is a wildcard at the beginning and at the end of a value only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from audit_search.alerts import matching
from audit_search.alerts.conditions import text
from audit_search_cli.alert_sources import Source

LONGEST = 1024
"""Characters of a filter pattern, as PutMetricFilter limits them."""

_SERVICE_LINKED = {"field": "userIdentity.sessionContext.sessionIssuer.arn", "wildcard": "*:role/aws-service-role/*"}


def pattern(rule: Source) -> str:
    """The pattern that counts the records that `rule` means; its own one where its file has one.

    Suppressions are not in it: the language knows no dates. Raises ValueError with one line when a condition cannot be said in a
    pattern, or the pattern is too long: then the rule's file needs one of its own, `metric_filter: {pattern: ...}`.
    """
    if rule.metric_filter is None:
        raise ValueError(f"{rule.name}: has no metric_filter")
    if rule.threshold is not None and rule.threshold.distinct is not None:
        raise ValueError(f"{rule.name}: metric_filter: an alarm counts records, and not the values of {rule.threshold.distinct}")
    found = rule.metric_filter.pattern or _derived(rule)
    if len(found) > LONGEST:
        raise ValueError(f"{rule.name}: metric_filter: the pattern has {len(found)} characters, may have {LONGEST}")
    return found


def _derived(rule: Source) -> str:
    terms = []
    if rule.events != [matching.ANY]:
        terms.append(_any(_compared("eventName", "=", event) for event in rule.events))
    if rule.sources:
        terms.append(_any(_compared("eventSource", "=", source) for source in rule.sources))
    if rule.outcome != "any":
        terms.append('$.errorCode = "*"' if rule.outcome == "failure" else "$.errorCode NOT EXISTS")
    if rule.condition is not None:
        try:
            terms.append(_condition(rule.condition, holds=True))
        except ValueError as error:
            raise ValueError(f"{rule.name}: metric_filter: {error}, give it a pattern") from error
    if rule.service_linked_roles == "left out":
        terms.append(_condition(_SERVICE_LINKED, holds=False))
    return f"{{ {' && '.join(terms)} }}"


def _condition(condition: Mapping[str, Any], *, holds: bool) -> str:
    """The term for a condition, or for its contrary: the language has no "not", so that it is carried down to the fields."""
    if "field" in condition:
        return _field(condition, holds=holds)
    ((key, below),) = condition.items()
    if key == "not":
        return _condition(below, holds=not holds)
    terms = [_condition(each, holds=holds) for each in below]
    return _all(terms) if (key == "all") is holds else _any(terms)


def _field(condition: Mapping[str, Any], *, holds: bool) -> str:
    field = condition["field"]
    ((operator, operand),) = ((key, value) for key, value in condition.items() if key != "field")
    if operator == "exists":
        if operand is holds:
            raise ValueError(f"a pattern cannot say that {field} is there whatever its value is")
        return f"$.{field} NOT EXISTS"
    if operator not in ("equals", "in", "prefix", "wildcard"):
        raise ValueError(f"a pattern cannot say {operator} of {field}")
    values = operand if isinstance(operand, list) else [operand]
    if holds:
        return _any(term for value in values for term in _terms(field, "=", value, operator))
    return _any([f"$.{field} NOT EXISTS", _all(_any(_terms(field, "!=", value, operator)) for value in values)])


def _terms(field: str, comparison: str, value: object, operator: str) -> list[str]:
    """The comparisons of which one has to hold. A boolean is one in some records and a word in others."""
    if not isinstance(value, bool | str):
        raise ValueError(f"a pattern compares {value} of {field} as a number, a rule as text")  # noqa: TRY004  # one kind of error
    plain = text(value) or ""
    if operator == "prefix":
        plain += "*"
    elif (operator != "wildcard" and "*" in plain) or "*" in plain[1:-1]:
        raise ValueError(f"a pattern has wildcards at the ends of a value only, which {plain} of {field} does not fit")
    terms = [_compared(field, comparison, plain)]
    if plain in ("true", "false"):
        terms.append(f"$.{field} IS {'TRUE' if (plain == 'true') is (comparison == '=') else 'FALSE'}")
    return terms


def _compared(field: str, comparison: str, value: str) -> str:
    if '"' in value or "\\" in value:
        raise ValueError(f"a pattern cannot say a quotation mark or a backslash, as {value} of {field} has it")
    quoted = value if re.fullmatch("[A-Z][A-Za-z0-9]*", value) else f'"{value}"'
    return f"$.{field} {comparison} {quoted}"


def _any(terms: Iterable[str]) -> str:
    return _joined(" || ", terms)


def _all(terms: Iterable[str]) -> str:
    return _joined(" && ", terms)


def _joined(operator: str, terms: Iterable[str]) -> str:
    listed = list(terms)
    return listed[0] if len(listed) == 1 else f"({operator.join(listed)})"
