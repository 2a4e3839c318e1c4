"""Versions of resources, and their changes as people read them, for the tests of AWS Config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from audit_search.aws_config.changes import between, from_message
from audit_search.aws_config.items import Item, Relationship

ITEM = Item("123456789012", "us-east-1", "AWS::EC2::Instance", "i-1", 1_484_002_214_328, "1", "OK", "{}")
GROUP = replace(ITEM, type="AWS::EC2::SecurityGroup", resource_id="sg-1")


def of(configuration: Any, item: Item = ITEM, **fields: Any) -> Item:
    """A version with this configuration."""
    return replace(item, configuration=configuration, **fields)


def lines(before: Any, after: Any, item: Item = ITEM) -> list[str]:
    """The changes between two configurations, as people read them."""
    return [change.text for change in between(of(before, item), of(after, item))]


def message(changed: Mapping[str, Any], item: Item, change_type: str = "UPDATE") -> list[str]:
    """The changes of a message's diff: path to a pair of values."""
    properties = {
        key: {
            "previousValue": old,
            "updatedValue": new,
            "changeType": "CREATE" if old is None else "DELETE" if new is None else "UPDATE",
        }
        for key, (old, new) in changed.items()
    }
    return [change.text for change in from_message({"changedProperties": properties, "changeType": change_type}, item)]


def permission(protocol: Any = "tcp", first: Any = 22, last: Any = 22, **peers: Any) -> dict[str, Any]:
    """A permission as AWS Config has it."""
    return {"ipProtocol": protocol, "fromPort": first, "toPort": last} | peers


WORLD = {"ipRanges": ["0.0.0.0/0"], "ipv4Ranges": [{"cidrIp": "0.0.0.0/0"}]}


def vars_of(related: Relationship) -> dict[str, Any]:
    """A relationship as messages have it."""
    return {"resourceId": related.id, "resourceName": related.name or None, "resourceType": related.type, "name": related.kind}
