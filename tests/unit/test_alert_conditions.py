"""What a condition of an alert rule says, and what is said about one that is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from audit_search.alerts.conditions import compiled

RECORD: dict[str, Any] = {
    "sourceIPAddress": "198.51.100.7",
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/morgan"},
    "requestParameters": {
        "enable": False,
        "ports": [22, 443],
        "items": [{"from": 443, "to": "0.0.0.0/0"}, {"from": 22, "to": "192.0.2.0/24"}],
        "nothing": None,
        "user": "morgan",
        "policy": '{"Statement":[{"Effect":"Deny","Action":"*"},{"Effect":"Allow","Action":["s3:*","iam:*"],"Principal":"*"}]}',
    },
    "recipientAccountId": "111122223333",
}


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "userIdentity.type", "equals": "IAMUser"},
        {"field": "userIdentity.type", "in": ["Root", "IAMUser"]},
        {"field": "userIdentity.arn", "prefix": "arn:aws:iam::"},
        {"field": "userIdentity.arn", "prefix": ["arn:x", "arn:aws"]},
        {"field": "userIdentity.arn", "wildcard": "arn:*:user/*"},
        {"field": "requestParameters.enable", "equals": False},
        {"field": "requestParameters.enable", "equals": "false"},
        {"field": "requestParameters.ports", "equals": 443},
        {"field": "requestParameters.items.from", "in": [22]},
        {"field": "requestParameters.enable", "exists": True},
        {"field": "requestParameters.nothing", "exists": False},
        {"field": "requestParameters.absent.below", "exists": False},
        {"field": "sourceIPAddress", "cidr": ["10.0.0.0/8", "198.51.100.0/24"]},
        {"not": {"field": "userIdentity.type", "equals": "Root"}},
        {"all": [{"field": "userIdentity.type", "equals": "IAMUser"}, {"not": {"field": "errorCode", "exists": True}}]},
        {"any": [{"field": "absent", "exists": True}, {"field": "requestParameters.ports", "equals": "22"}]},
        {"field": "requestParameters.items", "elements": {"field": "from", "equals": 443}},
        {"field": "requestParameters.items.from", "equals_field": "requestParameters.ports"},
        {
            "field": "requestParameters.policy",
            "statements": {"all": [{"field": "Effect", "equals": "Allow"}, {"field": "Action", "equals": "iam:*"}]},
        },
        {"field": "requestParameters.policy", "opens_to": "others"},
        {"field": "requestParameters.policy", "opens_to": "everybody"},
    ],
)
def test_a_condition_is_met(condition: dict[str, Any]) -> None:
    """Each operator finds what it is made for."""
    assert compiled(condition)(RECORD)


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "userIdentity.type", "equals": "iamuser"},
        {"field": "userIdentity", "equals": "IAMUser"},
        {"field": "userIdentity.type.below", "exists": True},
        {"field": "userIdentity.type", "in": ["Root"]},
        {"field": "userIdentity.arn", "wildcard": "arn:*:role/*"},
        {"field": "userIdentity.arn", "wildcard": "arn.aws*"},
        {"field": "sourceIPAddress", "cidr": ["2001:db8::/32"]},
        {"field": "userIdentity.type", "cidr": ["0.0.0.0/0"]},
        {"field": "requestParameters.nothing", "equals": "None"},
        {
            "field": "requestParameters.items",
            "elements": {"all": [{"field": "from", "equals": 22}, {"field": "to", "equals": "0.0.0.0/0"}]},
        },
        {"field": "requestParameters.user", "equals_field": "userIdentity.userName"},
        {"field": "requestParameters.nothing", "equals_field": "requestParameters.nothing"},
        {
            "field": "requestParameters.policy",
            "statements": {"all": [{"field": "Effect", "equals": "Allow"}, {"field": "Action", "equals": "*"}]},
        },
        {"field": "requestParameters.user", "statements": {"field": "Effect", "exists": False}},
        {"field": "requestParameters.user", "opens_to": "others"},
    ],
)
def test_a_condition_is_not_met(condition: dict[str, Any]) -> None:
    """A near miss is none, and two conditions on elements mean one and the same element."""
    assert not compiled(condition)(RECORD)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ([], "condition: must be a mapping with all, any, not or field, not a list"),
        ({"all": []}, "condition.all: must be a list of conditions"),
        ({"none": []}, "condition: has the keys ['none']"),
        ({"any": [{"field": "a", "equals": 1}, {"field": "a"}]}, "condition.any[1]: a needs one of equals, in,"),
        ({"field": "a", "matches": "x"}, "condition: a needs one of equals, in,"),
        ({"field": "a", "equals": 1, "in": [1]}, "condition: a needs one of equals, in,"),
        ({"field": "a..b", "equals": 1}, "condition.field: must be a path"),
        ({"field": "a", "equals": [1]}, "condition.equals: must be one plain value, not a list ([1]); several go into in"),
        ({"field": "a", "in": "x"}, "condition.in: must be a list of plain values, not 'x'"),
        ({"field": "a", "in": []}, "condition.in: must be a list of plain values"),
        ({"field": "a", "exists": "yes"}, "condition.exists: must be true or false, not 'yes'"),
        ({"field": "a", "cidr": ["10.0.0.1/8"]}, "condition.cidr: 10.0.0.1/8 has host bits set"),
        ({"field": "a", "equals_field": 5}, "condition.equals_field: must be a path such as requestParameters.name, not 5"),
        ({"field": "a", "opens_to": "us"}, "condition.opens_to: must be others or everybody, not 'us'"),
        ({"field": "a", "statements": []}, "condition.statements: must be a mapping with all, any, not or field, not a list"),
        ({"not": {"field": "a", "elements": {"any": 1}}}, "condition.not.elements.any: must be a list of conditions, not 1"),
    ],
)
def test_a_wrong_condition_is_refused(condition: object, message: str) -> None:
    """The message says where in the condition it is wrong and what would be right."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        compiled(condition)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
