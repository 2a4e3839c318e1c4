"""The alarms stack: metric filters and alarms on a trail's log group, which need nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from audit_search_cli.alarms_template import LARGEST
from audit_search_cli.alert_rules import SOURCES
from audit_search_cli.alert_sources import Source, sources
from tests.support.building import ALARMS, ROOT, load_template
from tests.support.templates import Evaluated, resources, statements

GROUP = "my-trail-log-group"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:ops"
RULES = [source for source in sources(ROOT / SOURCES) if source.metric_filter is not None]


@pytest.fixture(scope="module")
def alarms() -> dict[str, Any]:
    """The template as it is written."""
    return load_template(ALARMS)


def test_it_is_plain_cloudformation_that_the_command_line_takes(alarms: dict[str, Any]) -> None:
    """No macro, no code, no role and no name that a second stack would want too; and short enough to need no bucket."""
    assert "Transform" not in alarms
    assert {one["Type"].split("::")[1] for one in alarms["Resources"].values()} == {"Logs", "CloudWatch", "KMS", "SNS"}
    for name, resource in alarms["Resources"].items():
        assert not {"TopicName", "AlarmName", "FilterName"} & set(resource["Properties"]), name
    assert len(ALARMS.read_bytes()) <= LARGEST
    assert len(resources(alarms, "AWS::Logs::MetricFilter")) <= 100  # of a log group, all stacks together


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_is_counted_and_raises_an_alarm(alarms: dict[str, Any], rule: Source) -> None:
    """The alarm looks at its filter's metric with the rule's own count and time, says what to do, and silence is no alarm."""
    stack = Evaluated(alarms, TrailLogGroupName=GROUP, PeriodSeconds="900", AlarmTopicArn=TOPIC)
    name = "".join(word.capitalize() for word in rule.name.split("-"))
    counted = stack.value(alarms["Resources"][f"{name}Filter"]["Properties"])
    alarm = stack.value(alarms["Resources"][f"{name}Alarm"]["Properties"])
    (metric,) = counted["MetricTransformations"]
    assert counted["LogGroupName"] == GROUP
    assert (metric["MetricNamespace"], metric["MetricName"], metric["MetricValue"]) == ("AuditSearch/audit", rule.name, "1")
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AuditSearch/audit", rule.name, "Sum")
    wanted = (rule.threshold.minutes * 60, rule.threshold.count) if rule.threshold else ("900", 1)
    assert (alarm["Period"], alarm["Threshold"], alarm["EvaluationPeriods"]) == (*wanted, 1)
    assert (alarm["ComparisonOperator"], alarm["TreatMissingData"]) == ("GreaterThanOrEqualToThreshold", "notBreaching")
    assert alarm["AlarmActions"] == [TOPIC]
    said = alarm["AlarmDescription"]
    assert all(" ".join(part.split()) in said for part in (rule.title, rule.means, rule.do, *rule.references.cis))
    assert len(said) <= 1_024  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html


def test_only_rules_for_a_summary_can_do_without_an_alarm(alarms: dict[str, Any]) -> None:
    """DigestAlarms=false leaves out the alarms of tier digest, and no filter."""
    every = Evaluated(alarms, TrailLogGroupName=GROUP).resources
    fewer = Evaluated(alarms, TrailLogGroupName=GROUP, DigestAlarms="false").resources
    digests = {"".join(map(str.capitalize, rule.name.split("-"))) for rule in RULES if rule.tier == "digest"}
    assert digests
    assert every - fewer == {f"{name}Alarm" for name in digests}


def test_a_topic_of_its_own_is_encrypted_and_cloudwatch_may_publish(alarms: dict[str, Any]) -> None:
    """The alarms of this account and nobody else publish to it; with a topic that there is, neither topic nor key are made."""
    own = {"Key", "AlarmTopic", "AlarmTopicPolicy"}
    stack = Evaluated(alarms, TrailLogGroupName=GROUP, AlarmEmail="security@example.com")
    assert own | {"AlarmMail"} <= stack.resources
    assert not (own | {"AlarmMail"}) & Evaluated(alarms, TrailLogGroupName=GROUP, AlarmTopicArn=TOPIC).resources
    assert alarms["Resources"]["AlarmTopic"]["Properties"] == {"KmsMasterKeyId": {"Ref": "Key"}}
    found = {(name, one["Sid"]): stack.value(one) for name, one in statements_of(alarms)}
    published = found["AlarmTopicPolicy", "AlarmsPublish"]
    assert (published["Principal"], published["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    assert published["Condition"]["ArnLike"]["aws:SourceArn"] == "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:*"
    assert found["Key", "AlarmsPublish"]["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert found["Key", "AlarmsPublish"]["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def statements_of(template: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Those of the topic's policy and of the key's."""
    key = [("Key", one) for one in template["Resources"]["Key"]["Properties"]["KeyPolicy"]["Statement"]]
    return [*statements(template), *key]


def test_each_of_its_parameters_is_in_the_guide(alarms: dict[str, Any]) -> None:
    """Whoever deploys it finds what to give, and in the console as well."""
    guide = (ROOT / "docs/deploy.md").read_text("utf-8")
    groups = alarms["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(alarms["Parameters"])
    for name, parameter in alarms["Parameters"].items():
        assert f"`{name}`" in guide, name
        assert re.fullmatch(r"\w.{20,}\.", parameter["Description"]), name


def test_a_log_group_is_a_name_and_no_arn(alarms: dict[str, Any]) -> None:
    """What `describe-trails` shows is an ARN, which a metric filter does not take."""
    pattern = alarms["Parameters"]["TrailLogGroupName"]["AllowedPattern"]
    assert re.search(pattern, "aws-controltower/CloudTrailLogs")
    assert not re.search(pattern, "arn:aws:logs:eu-central-1:123456789012:log-group:trail:*")
