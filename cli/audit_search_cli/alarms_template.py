"""`alarms.template.yaml`: metric filters and alarms on a trail's log group, made of the alert rules that have a `metric_filter`.

`python -m audit_search_cli.alarms_template` writes it into the tree it is started in, `--check` says whether it is current.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from audit_search_cli import metric_filters
from audit_search_cli.alert_rules import SOURCES
from audit_search_cli.alert_sources import Source, sources

TEMPLATE = Path("alarms.template.yaml")
LARGEST = 51_200
"""Bytes of a template that CloudFormation takes without a bucket.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""

_FRAME = """\
# Made of definitions/alerts/*.yaml by `python -m audit_search_cli.alarms_template`; a test holds it to that.
AWSTemplateFormatVersion: '2010-09-09'
Description: 'Audit Search, alarms: metric filters and alarms on the log group of a trail, \
which need nothing else of Audit Search. For the account and region of that log group.'

Metadata:
  AWS::CloudFormation::Interface:
    ParameterGroups:
      - Label: {default: What is watched}
        Parameters: [TrailLogGroupName, PeriodSeconds, DigestAlarms]
      - Label: {default: Who is told}
        Parameters: [AlarmEmail, AlarmTopicArn]

Parameters:
  TrailLogGroupName:
    Description: Log group that the trail writes to, in this account and region.
    Type: String
    AllowedPattern: ^[A-Za-z0-9._/#-]{1,512}$
    ConstraintDescription: the name of a log group, which is no ARN
  PeriodSeconds:
    Description: Seconds that an alarm looks at, and after which it is quiet again. \
Rules that count within a time of their own have that.
    Type: Number
    Default: 300
    AllowedValues: [60, 300, 900, 3600]
  DigestAlarms:
    Description: false makes no alarms of rules that are meant for a summary, such as each change of a security group; \
they are counted all the same. The CIS benchmark asks for alarms on most of them.
    Type: String
    Default: 'true'
    AllowedValues: ['true', 'false']
  AlarmEmail:
    Description: Where alarms are sent; the address has to confirm the subscription. Empty for nobody.
    Type: String
    Default: ''
    AllowedPattern: ^$|^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$
    ConstraintDescription: an e-mail address, or empty
  AlarmTopicArn:
    Description: SNS topic of this account and region for alarms that you have. Empty makes one.
    Type: String
    Default: ''
    AllowedPattern: ^$|^arn:aws[a-z-]*:sns:[a-z0-9-]+:\\d{12}:[A-Za-z0-9_-]+$
    ConstraintDescription: the ARN of an SNS topic, or empty

Conditions:
  MakesAlarmTopic: !Equals [!Ref AlarmTopicArn, '']
  SendsMail: !Not [!Equals [!Ref AlarmEmail, '']]
  AlarmsOnDigests: !Equals [!Ref DigestAlarms, 'true']

Resources:
  Key: # CloudWatch cannot publish to a topic that has the key aws/sns
    Type: AWS::KMS::Key
    Condition: MakesAlarmTopic
    DeletionPolicy: Delete # nothing that lasts is encrypted with it
    UpdateReplacePolicy: Delete
    Properties:
      Description: !Sub Topic of ${AWS::StackName}
      EnableKeyRotation: true
      PendingWindowInDays: 7
      KeyPolicy:
        Version: '2012-10-17'
        Statement:
          - Sid: AccountDecides
            Effect: Allow
            Principal: {AWS: !Sub 'arn:${AWS::Partition}:iam::${AWS::AccountId}:root'}
            Action: kms:*
            Resource: '*' # in a key's policy this is the key
          - Sid: AlarmsPublish
            Effect: Allow
            Principal: {Service: cloudwatch.amazonaws.com}
            Action: [kms:GenerateDataKey*, kms:Decrypt]
            Resource: '*'
            Condition:
              StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}

  AlarmTopic:
    Type: AWS::SNS::Topic
    Condition: MakesAlarmTopic
    Properties:
      KmsMasterKeyId: !Ref Key

  AlarmTopicPolicy:
    Type: AWS::SNS::TopicPolicy
    Condition: MakesAlarmTopic
    Properties:
      Topics: [!Ref AlarmTopic]
      PolicyDocument:
        Version: '2012-10-17'
        Statement:
          - Sid: AlarmsPublish
            Effect: Allow
            Principal: {Service: cloudwatch.amazonaws.com}
            Action: sns:Publish
            Resource: !Ref AlarmTopic
            Condition:
              ArnLike:
                aws:SourceArn: !Sub arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*

  AlarmMail:
    Type: AWS::SNS::Subscription
    Condition: SendsMail
    Properties:
      TopicArn: !If [MakesAlarmTopic, !Ref AlarmTopic, !Ref AlarmTopicArn]
      Protocol: email
      Endpoint: !Ref AlarmEmail

  # ---- One filter and one alarm for each rule. A filter without matches reports nothing, which an alarm takes for quiet.
"""
_OUTPUTS = """
Outputs:
  AlarmTopicArn:
    Description: Where the alarms are sent
    Value: !If [MakesAlarmTopic, !Ref AlarmTopic, !Ref AlarmTopicArn]
  MetricNamespace:
    Description: Namespace of the metrics, which have the rules' names
    Value: !Sub AuditSearch/${AWS::StackName}
"""


def text(rules: list[Source]) -> str:
    """The whole template.

    Raises ValueError with one line when a rule cannot be said in a filter pattern, and when the template becomes too long.
    """
    made = _FRAME + "".join(_resources(rule) for rule in rules if rule.metric_filter is not None) + _OUTPUTS
    if (size := len(made.encode())) > LARGEST:
        raise ValueError(
            f"{TEMPLATE}: has {size} bytes, may have {LARGEST}: take metric_filter out of a rule, or shorten a pattern"
        )
    return made


def _resources(rule: Source) -> str:
    name = "".join(map(str.capitalize, rule.name.split("-")))
    period, count = (rule.threshold.minutes * 60, rule.threshold.count) if rule.threshold else ("!Ref PeriodSeconds", 1)
    condition = "    Condition: AlarmsOnDigests\n" if rule.tier == "digest" else ""
    return f"""
  {name}Filter:
    Type: AWS::Logs::MetricFilter
    Properties:
      LogGroupName: !Ref TrailLogGroupName
      FilterPattern: {_quoted(metric_filters.pattern(rule))}
      MetricTransformations:
        - {{MetricNamespace: !Sub 'AuditSearch/${{AWS::StackName}}', MetricName: {rule.name}, MetricValue: '1', Unit: Count}}

  {name}Alarm:
    Type: AWS::CloudWatch::Alarm
{condition}    Properties:
      AlarmDescription: {_quoted(_description(rule))}
      Namespace: !Sub AuditSearch/${{AWS::StackName}}
      MetricName: {rule.name}
      Statistic: Sum
      Period: {period}
      EvaluationPeriods: 1
      Threshold: {count}
      ComparisonOperator: GreaterThanOrEqualToThreshold
      TreatMissingData: notBreaching
      AlarmActions: [!If [MakesAlarmTopic, !Ref AlarmTopic, !Ref AlarmTopicArn]]
"""


def _description(rule: Source) -> str:
    """What the mail says: the rule, what it means and what to do. CloudWatch takes 1,024 characters, a test counts them."""
    references = [f"CIS {item}" for item in rule.references.cis] + rule.references.attack
    counted = " This alarm counts all callers together." if rule.threshold else ""
    head = f"{rule.title} ({', '.join([rule.severity, *references])}). {rule.means}{counted}"
    told = f"{head} What to do: {rule.do} Rule {rule.name} in docs/alerts.md."
    return " ".join(told.split())


def _quoted(value: str) -> str:
    """A YAML string, which JSON's strings are."""
    return json.dumps(value, ensure_ascii=False) if "'" in value else f"'{value}'"


def main(arguments: list[str]) -> int:
    """Writes, or with `--check` compares, the template; 1 when a rule is wrong or the template is not current."""
    try:
        new = text(sources(SOURCES))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    current = TEMPLATE.exists() and TEMPLATE.read_text("utf-8") == new
    if "--check" not in arguments:
        if not current:
            TEMPLATE.write_text(new, "utf-8")
        return 0
    if not current:
        sys.stderr.write(f"{TEMPLATE} is not what the rules say: run python -m audit_search_cli.alarms_template\n")
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
