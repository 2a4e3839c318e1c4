"""The alarms stack as it is deployed: alone, on a log group that somebody has, from a record to a message of its topic.

The stand-in for AWS keeps metric filters and does not apply them, so that the tests apply them as CloudWatch Logs does.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from audit_search_cli.alert_rules import SOURCES
from audit_search_cli.alert_sources import Source, sources
from tests.deploy.conftest import Account
from tests.deploy.stacks import Stack
from tests.support.building import ALARMS, ROOT
from tests.support.filter_patterns import compiled

RULES = [source for source in sources(ROOT / SOURCES) if source.metric_filter is not None]


@dataclass
class Watched:
    """A deployed stack of the template, its log group, and the queue that hears what its topic says."""

    stack: Stack
    group: str
    queue: str

    def filters(self) -> list[dict[str, Any]]:
        """The metric filters of the log group."""
        pages = self.stack.client("logs").get_paginator("describe_metric_filters").paginate(logGroupName=self.group)
        return [each for page in pages for each in page["metricFilters"]]

    def alarms(self) -> dict[str, dict[str, Any]]:
        """The stack's alarms by the names of their metrics."""
        pages = self.stack.client("cloudwatch").get_paginator("describe_alarms").paginate()
        found = [each for page in pages for each in page["MetricAlarms"]]
        return {each["MetricName"]: each for each in found if each["Namespace"] == f"AuditSearch/{self.stack.name}"}

    def log(self, record: dict[str, Any]) -> set[str]:
        """Have a record counted as its log group's filters say; gives the names of the metrics."""
        counted = [each for each in self.filters() if compiled(each["filterPattern"])(record)]
        metrics = [metric for each in counted for metric in each["metricTransformations"]]
        for metric in metrics:
            self.stack.client("cloudwatch").put_metric_data(
                Namespace=metric["metricNamespace"],
                MetricData=[{"MetricName": metric["metricName"], "Value": float(metric["metricValue"]), "Unit": "Count"}],
            )
        return {metric["metricName"] for metric in metrics}

    def told(self) -> list[dict[str, Any]]:
        """What the topic said since the last time."""
        found = []
        while messages := self.stack.client("sqs").receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.stack.client("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(json.loads(message["Body"])["Message"]))
        return found


@pytest.fixture
def watched(account: Account, name: str) -> Iterator[Watched]:
    """A stack with a topic of its own, in an account in which nothing else of Audit Search is."""
    group = f"{name}-trail-log-group"
    account.aws.client("logs").create_log_group(logGroupName=group)
    parameters = {"TrailLogGroupName": group, "AlarmEmail": "security@example.com"}
    stack = account.deployer.create_plain(f"{name}-alarms", ALARMS, parameters)
    sqs = stack.client("sqs")
    queue = sqs.create_queue(QueueName=f"{name}-hears")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Statement": [statement]})})
    stack.client("sns").subscribe(TopicArn=stack.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint=arn)
    yield Watched(stack, group, queue)
    account.deployer.delete(stack)
    sqs.delete_queue(QueueUrl=queue)
    with contextlib.suppress(account.aws.client("logs").exceptions.ResourceNotFoundException):
        account.aws.client("logs").delete_log_group(logGroupName=group)


def test_a_record_raises_the_alarm_of_its_rule(watched: Watched) -> None:
    """Each rule has its filter and its alarm; a stopped trail is told of with what to do, and what is no alert raises nothing."""
    names = {rule.name for rule in RULES}
    assert {metric["metricName"] for each in watched.filters() for metric in each["metricTransformations"]} == names
    assert set(watched.alarms()) == names
    rule = rule_of("trail-stopped")
    assert watched.log(rule.samples.no_match[0].record) == set()
    assert watched.told() == []
    assert watched.log(rule.samples.match[0].record) == {"trail-stopped"}
    assert watched.alarms()["trail-stopped"]["StateValue"] == "ALARM"
    (message,) = watched.told()
    assert message["NewStateValue"] == "ALARM"
    assert message["Trigger"]["MetricName"] == "trail-stopped"
    assert " ".join(rule.do.split()) in message["AlarmDescription"]


def test_a_burst_raises_its_alarm_at_the_count_of_its_rule(watched: Watched) -> None:
    """One record fewer than the rule counts is no burst."""
    rule = rule_of("failed-authorisation-burst")
    assert rule.threshold is not None
    record = rule.samples.match[0].record
    for _ in range(rule.threshold.count - 1):
        watched.log(record)
    assert watched.alarms()[rule.name]["StateValue"] != "ALARM"
    watched.log(record)
    assert watched.alarms()[rule.name]["StateValue"] == "ALARM"
    assert [message["Trigger"]["MetricName"] for message in watched.told() if message["NewStateValue"] == "ALARM"] == [rule.name]


def test_alarms_can_go_to_a_topic_that_there_is(account: Account, name: str) -> None:
    """No topic and no key are made then, and rules for a summary have no alarm where none is wanted."""
    account.aws.client("logs").create_log_group(logGroupName=f"{name}-trail")
    topic = account.aws.client("sns").create_topic(Name=f"{name}-ops")["TopicArn"]
    parameters = {"TrailLogGroupName": f"{name}-trail", "AlarmTopicArn": topic, "DigestAlarms": "false", "PeriodSeconds": "900"}
    stack = account.deployer.create_plain(f"{name}-alarms", ALARMS, parameters)
    try:
        made = stack.resources()
        assert not {"Key", "AlarmTopic", "AlarmTopicPolicy", "AlarmMail", "InstanceChangesAlarm"} & set(made)
        assert {"InstanceChangesFilter", "TrailStoppedAlarm"} <= set(made)
        assert stack.outputs["AlarmTopicArn"] == topic
        (alarm,) = stack.client("cloudwatch").describe_alarms(AlarmNames=[stack.physical("TrailStoppedAlarm")])["MetricAlarms"]
        assert (alarm["AlarmActions"], alarm["Period"]) == ([topic], 900)
    finally:
        account.deployer.delete(stack)


def rule_of(name: str) -> Source:
    """One of the rules."""
    (rule,) = (rule for rule in RULES if rule.name == name)
    return rule
