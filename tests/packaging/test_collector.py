"""The collector stack: what one account and region sends to the central event bus."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.building import COLLECTOR, ROOT, load_template
from tests.support.templates import Evaluated, statements

BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/audit-search-config"


@pytest.fixture(scope="module")
def collector() -> dict[str, Any]:
    """The template as it is written."""
    return load_template(COLLECTOR)


def test_it_is_plain_cloudformation(collector: dict[str, Any]) -> None:
    """A StackSet takes it as it is: no macro, no code, and no resource with a name that a second region would want too."""
    assert "Transform" not in collector
    assert {one["Type"].split("::")[1] for one in collector["Resources"].values()} <= {"Events", "IAM", "SQS", "CloudWatch"}
    for name, resource in collector["Resources"].items():
        assert not {"Name", "RoleName", "QueueName", "AlarmName"} & set(resource["Properties"]), name


def test_it_sends_what_the_central_stack_takes(collector: dict[str, Any], template: dict[str, Any]) -> None:
    """Both rules have one pattern, and the parameter takes the central stack's event bus and nothing that is none."""
    central = template["Resources"]["CollectedConfigRule"]["Properties"]["EventPattern"]
    assert collector["Resources"]["ConfigRule"]["Properties"]["EventPattern"] == central
    pattern = collector["Parameters"]["CentralEventBusArn"]["AllowedPattern"]
    assert re.search(pattern, BUS)
    assert not re.search(pattern, "audit-search-config")
    assert not re.search(pattern, "arn:aws:sqs:eu-central-1:123456789012:audit-search-config")


def test_its_role_sends_to_that_bus_and_does_nothing_else(collector: dict[str, Any]) -> None:
    """EventBridge takes the role for its rules of this account alone."""
    stack = Evaluated(collector, CentralEventBusArn=BUS)
    trusted, sent = [stack.value(one) for name, one in statements(collector) if name == "SenderRole"][::-1]
    assert trusted["Principal"] == {"Service": "events.amazonaws.com"}
    assert trusted["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert (sent["Action"], sent["Resource"]) == ("events:PutEvents", BUS)
    (target,) = stack.value(collector["Resources"]["ConfigRule"]["Properties"]["Targets"])
    assert target["Arn"] == BUS
    assert target["RoleArn"] == {"Fn::GetAtt": ["SenderRole", "Arn"]}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}}


def test_what_cannot_be_sent_waits_and_is_told(collector: dict[str, Any]) -> None:
    """The dead-letter queue keeps events for 14 days, encrypted, and its alarm has a page; without a topic there is no alarm."""
    queue = collector["Resources"]["DeadLetterQueue"]["Properties"]
    assert queue == {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": 14 * 24 * 3600}
    allow, deny = (one for name, one in statements(collector) if name == "DeadLetterQueuePolicy")
    assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["ConfigRule", "Arn"]}}}
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert "DeadLetterAlarm" not in Evaluated(collector, CentralEventBusArn=BUS).resources
    topic = "arn:aws:sns:eu-west-1:123456789012:ops"
    assert "DeadLetterAlarm" in Evaluated(collector, CentralEventBusArn=BUS, AlarmTopicArn=topic).resources
    section = collector["Resources"]["DeadLetterAlarm"]["Properties"]["AlarmDescription"].split("Runbook, ")[1]
    assert f"\n## {section.capitalize()}\n" in (ROOT / "docs/runbook.md").read_text("utf-8")


def test_each_of_its_parameters_is_in_the_guide(collector: dict[str, Any]) -> None:
    """Whoever makes a StackSet of it finds what to give."""
    guide = (ROOT / "docs/deploy.md").read_text("utf-8")
    for name, parameter in collector["Parameters"].items():
        assert f"`{name}`" in guide or f"ParameterKey={name}," in guide, name
        assert re.fullmatch(r"\w.{20,}\.", parameter["Description"]), name
