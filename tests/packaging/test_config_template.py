"""AWS Config in the template: nothing of it unless it is asked for, and each way in open for whom it names alone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.building import TEMPLATE
from tests.support.templates import PLACE, Evaluated, resources, statements

ACCOUNT = PLACE["AWS::AccountId"]
TOPICS = [f"arn:aws:sns:{region}:44445555666{number}:config" for number, region in enumerate(["eu-west-1", "us-east-1"] * 5)]
"""Ten topics, in two regions and ten accounts."""
HERE = f"arn:aws:sns:{PLACE['AWS::Region']}:{ACCOUNT}:config"
WAYS = {
    "ConfigTopicArns": HERE,
    "ConfigEvents": "true",
    "ConfigSenders": "111122223333",
    "CreateConfigRecorder": "true",
}
"""Each of the ways in, by itself."""
OF_CONFIG = re.compile(r"Config|collected", re.IGNORECASE)
NEW = {"ConfigRecorder", "ConfigDeliveryChannel", "ConfigBucket", "ConfigBucketPolicy", "ConfigTopic", "ConfigTopicPolicy"}


def allowed(template: dict[str, Any], resource: str, stack: Evaluated) -> dict[str, dict[str, Any]]:
    """The statements of a policy that allow something with these parameters, by their names."""
    document = template["Resources"][resource]["Properties"]["PolicyDocument"]
    return {one["Sid"]: one for one in stack.value(document["Statement"]) if one["Effect"] == "Allow"}


def test_without_config_there_is_nothing_of_it(template: dict[str, Any]) -> None:
    """Who has only CloudTrail has no resource, alarm, output or widget for AWS Config, and pays for none."""
    stack = Evaluated(template)
    assert {name for name in stack.resources | stack.outputs if OF_CONFIG.search(name)} == set()
    body = stack.value(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"])
    assert "onfig" not in body
    assert len(json.loads(body)["widgets"]) == 11
    assert stack.value(template["Resources"]["DomainSetup"]["Properties"]["CONFIG_WRITER_ROLE_ARNS"]) == ""
    assert "CONFIG_WRITER_ROLE_ARNS= " in stack.value(template["Outputs"]["CliEnvironment"]["Value"])


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_makes_the_function_and_itself(template: dict[str, Any], way: str) -> None:
    """Queue, function and alarms come with any way in, and of the ways only the one that was asked for."""
    stack = Evaluated(template, ConfigBucketNames="config-bucket", **{way: WAYS[way]})
    common = {
        *("ConfigFunction", "ConfigFunctionRole", "ConfigFunctionLogs", "ConfigEventSource"),
        *("ConfigQueue", "ConfigQueuePolicy", "ConfigDeadLetterQueue", "ConfigDeadLetterQueuePolicy"),
        *("ConfigDeadLetterAlarm", "ConfigQueueAgeAlarm", "ConfigFunctionErrorAlarm", "ConfigFunctionThrottleAlarm"),
        "ConfigQuarantineAlarm",
        *("CausesFunction", "CausesFunctionRole", "CausesFunctionLogs", "ConfigLinkErrorAlarm"),
    }
    own = {
        "ConfigTopicArns": {"ConfigSubscription1", "ConfigTopicFailureAlarm"},
        "ConfigEvents": {"ConfigEventsRule"},
        "ConfigSenders": {"ConfigEventBus", "ConfigEventBusPolicy", "CollectedConfigRule"},
        "CreateConfigRecorder": {*NEW, "ConfigRecorderRole", "NewConfigSubscription", "ConfigTopicFailureAlarm"},
    }
    assert stack.resources - Evaluated(template).resources == common | own[way]
    outputs = {"ConfigTopicArns": {"ForeignConfigTopicPolicyStatement"}, "ConfigSenders": {"ConfigEventBusArn"}}
    found = stack.outputs - Evaluated(template).outputs
    assert found - {"ConfigTopicArnMade"} == outputs.get(way, set()) | {
        *("ConfigQueueArn", "ConfigQueueUrl", "ConfigDeadLetterQueueUrl"),
        *("ConfigFunctionArn", "ConfigFunctionRoleArn", "ConfigFunctionLogGroup"),
        *("CausesFunctionArn", "CausesFunctionLogGroup"),
    }
    assert len(json.loads(stack.value(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]))["widgets"]) == 18


@pytest.mark.parametrize("way", WAYS)
def test_a_collection_takes_no_config(template: dict[str, Any], way: str) -> None:
    """Nobody gets a function whose documents a collection cannot hold: each way in is refused there, before anything is made."""
    arn = "arn:aws:aoss:eu-central-1:123456789012:collection/abc123"
    place = {"TrailTopicArn": HERE, "OpenSearchEndpoint": "https://abc123.eu-central-1.aoss.amazonaws.com"}
    trail = {**place, "OpenSearchDomainArn": arn, "OpenSearchService": "aoss"}
    config = {"ConfigBucketNames": "config-bucket", way: WAYS[way]}
    assert Evaluated(template, **trail).refusals == []
    (said,) = Evaluated(template, **trail, **config).refusals
    assert "aoss holds no documents of AWS Config" in said
    assert way in said
    domain = {**trail, "OpenSearchService": "es", "OpenSearchDomainArn": "arn:aws:es:eu-central-1:123456789012:domain/audit"}
    assert Evaluated(template, **domain, **config).refusals == []


@pytest.mark.parametrize("count", [1, 2, 9, 10])
def test_each_topic_has_a_subscription_in_its_own_region(template: dict[str, Any], count: int) -> None:
    """Of ten subscriptions there are as many as topics, each of one of them and made in the region that its ARN names."""
    stack = Evaluated(template, ConfigTopicArns=",".join(TOPICS[:count]), ConfigBucketNames="config-bucket")
    made = sorted((name for name in stack.resources if name.startswith("ConfigSubscription")), key=lambda name: int(name[18:]))
    assert made == [f"ConfigSubscription{number}" for number in range(1, count + 1)]
    for name, topic in zip(made, TOPICS, strict=False):
        properties = stack.value(template["Resources"][name]["Properties"])
        assert (properties["TopicArn"], properties["Region"]) == (topic, topic.split(":")[3])
        assert properties["Endpoint"] == {"Fn::GetAtt": ["ConfigQueue", "Arn"]}
    for queue, sid in (("ConfigQueuePolicy", "TopicsSend"), ("ConfigDeadLetterQueuePolicy", "TopicsGiveUp")):
        assert allowed(template, queue, stack)[sid]["Condition"] == {"ArnEquals": {"aws:SourceArn": TOPICS[:count]}}


def test_an_eleventh_topic_is_not_left_out_silently(template: dict[str, Any]) -> None:
    """A stack that would not subscribe to a topic which it was given is not made: what cannot be made says so by its name."""
    topics = [*TOPICS, HERE]
    stack = Evaluated(template, ConfigTopicArns=",".join(topics), ConfigBucketNames="config-bucket")
    assert "ConfigTopicArnsTakesTenTopicsAtMost" in stack.resources
    topic = stack.value(template["Resources"]["ConfigTopicArnsTakesTenTopicsAtMost"]["Properties"]["TopicArn"])
    assert topic not in topics


@pytest.mark.parametrize(("account", "owner"), [("", ACCOUNT), ("444455556666", "444455556666")])
def test_only_the_configured_senders_reach_the_queue(template: dict[str, Any], account: str, owner: str) -> None:
    """The buckets of their owner, the topics, our own topic and both rules may send, each by its own ARN, and nobody else."""
    everything: dict[str, str] = {**WAYS, "ConfigBucketNames": "one-bucket,two-bucket", "ConfigBucketAccount": account}
    stack = Evaluated(template, **everything)
    buckets = {
        "StringEquals": {"aws:SourceAccount": owner},
        "ArnLike": {"aws:SourceArn": ["arn:*:s3:::one-bucket", "arn:*:s3:::two-bucket"]},
    }
    from_arn: dict[str, list[Any]] = {
        "sns.amazonaws.com": [[HERE], {"Ref": "ConfigTopic"}],
        "events.amazonaws.com": [{"Fn::GetAtt": [rule, "Arn"]} for rule in ("ConfigEventsRule", "CollectedConfigRule")],
    }
    sent = [(service, {"ArnEquals": {"aws:SourceArn": arn}}) for service, arns in from_arn.items() for arn in arns]
    for policy, senders in (
        ("ConfigQueuePolicy", [("s3.amazonaws.com", buckets), *sent]),
        ("ConfigDeadLetterQueuePolicy", sent),
    ):
        found = allowed(template, policy, stack).values()
        assert [(one["Principal"]["Service"], one["Condition"]) for one in found] == senders
        assert {one["Action"] for one in found} == {"sqs:SendMessage"}


@pytest.mark.parametrize(
    ("senders", "organisation"),
    [("111122223333,444455556666", False), ("o-a1b2c3d4e5", True), ("111122223333,o-a1b2c3d4e5", True)],
)
def test_only_the_named_accounts_reach_the_event_bus(template: dict[str, Any], senders: str, organisation: bool) -> None:
    """Accounts of the list by their ids, the organisation by its id, and each of them may do nothing but send."""
    stack = Evaluated(template, ConfigSenders=senders, ConfigBucketNames="config-bucket")
    assert ("ConfigEventBusOrganizationPolicy" in stack.resources) == organisation
    names = senders.split(",")
    for policy, key in (
        ("ConfigEventBusPolicy", "aws:PrincipalAccount"),
        ("ConfigEventBusOrganizationPolicy", "aws:PrincipalOrgID"),
    ):
        statement = stack.value(template["Resources"][policy]["Properties"]["Statement"])
        assert statement["Condition"] == {"StringEquals": {key: names}}
        assert statement["Action"] == "events:PutEvents"
        assert statement["Resource"] == {"Fn::GetAtt": ["ConfigEventBus", "Arn"]}


def test_both_rules_take_what_config_says_and_not_the_calls_of_its_api(template: dict[str, Any]) -> None:
    """The stack's own rule and the one behind the event bus have the same pattern, the same queue and the same dead letters."""
    rules = resources(template, "AWS::Events::Rule")
    for name in ("ConfigEventsRule", "CollectedConfigRule"):
        properties = rules[name]["Properties"]
        assert properties["EventPattern"] == {"source": ["aws.config"], "detail-type": [{"prefix": "Config "}]}
        (target,) = properties["Targets"]
        assert target["Arn"] == {"Fn::GetAtt": ["ConfigQueue", "Arn"]}
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["ConfigDeadLetterQueue", "Arn"]}}
    assert rules["CollectedConfigRule"]["Properties"]["EventBusName"] == {"Ref": "ConfigEventBus"}


def test_the_functions_role_has_these_statements_and_no_more(template: dict[str, Any]) -> None:
    """What CloudTrail's function may do for its own objects and queue, the handing on of CloudTrail's notices beside it, and
    neither a collection nor alerts."""
    trail, config = (
        [statement["Sid"] for name, statement in statements(template) if name == role and "Sid" in statement]
        for role in ("CloudTrailFunctionRole", "ConfigFunctionRole")
    )
    without = {"CallCollection", "ReadAlerts", "TellAlerts", "EncryptAlerts"}
    assert sorted(config) == sorted({*trail, "HandOnTrailNotices"} - without)
    found = {one["Sid"]: one for name, one in statements(template) if name == "ConfigFunctionRole" and "Sid" in one}
    queues = {sid: one["Resource"] for sid, one in found.items() if "sqs" in str(one["Action"])}
    own = {"Fn::GetAtt": ["ConfigQueue", "Arn"]}
    handed = {"Fn::GetAtt": ["CloudTrailQueue", "Arn"]}
    assert queues == {"ReceiveMessages": own, "KeepFailedEvents": own, "HandOnTrailNotices": handed}
    stack = Evaluated(template, ConfigBucketNames="one-bucket,two-bucket", TrailBucketNames="trail-bucket", ConfigEvents="true")
    assert stack.value(found["ReadObjects"]["Resource"]) == ["arn:*:s3:::one-bucket/*", "arn:*:s3:::two-bucket/*"]
    assert stack.value(found["TellGoneFromDenied"]["Resource"]) == ["arn:*:s3:::one-bucket", "arn:*:s3:::two-bucket"]


def test_a_shared_domain_lets_config_do_what_it_does_and_no_more(template: dict[str, Any]) -> None:
    """The statements for the domain's owner have a narrow one for AWS Config, where there is AWS Config."""
    domain = "arn:aws:es:eu-central-1:444455556666:domain/audit"
    output = template["Outputs"]["SharedDomainPolicyStatement"]["Value"]
    without = json.loads(Evaluated(template, OpenSearchDomainArn=domain, VerifyHours="0").value(output))
    assert [one["Resource"] for one in without] == [f"{domain}/*"]
    stack = Evaluated(template, OpenSearchDomainArn=domain, ConfigEvents="true", IndexPrefix="acme-", VerifyHours="0")
    first, post, get, link, template_of_links = json.loads(stack.value(output))
    assert first == without[0]
    assert post["Principal"] == get["Principal"] == {"AWS": "${ConfigFunctionRole.Arn}"}
    paths = ("_bulk", "_mget", "acme-config-current*/_search")
    assert (post["Action"], post["Resource"]) == ("es:ESHttpPost", [f"{domain}/{path}" for path in paths])
    assert (get["Action"], get["Resource"]) == ("es:ESHttpGet", f"{domain}/_index_template/*")
    assert link["Principal"] == template_of_links["Principal"] == {"AWS": "${CausesFunctionRole.Arn}"}
    searched = (f"acme-{kind}-2*/_search" for kind in ("cloudtrail", "config-history", "config-causes"))
    assert (link["Action"], link["Resource"]) == ("es:ESHttpPost", [f"{domain}/{path}" for path in ("_bulk", "_mget", *searched)])
    assert {**template_of_links, "Principal": get["Principal"]} == get


def test_the_other_side_gets_its_statements(template: dict[str, Any]) -> None:
    """Buckets, keys and topics of another account: each output is a policy's JSON, and there only where it is needed."""
    values = {"ConfigTopicArns": TOPICS[0], "ConfigBucketNames": "central-config", "ConfigBucketAccount": "444455556666"}
    key = "arn:aws:kms:eu-central-1:444455556666:key/1234abcd"
    stack = Evaluated(template, KmsKeyArns=key, **values)
    foreign = {name for name in stack.outputs if name.startswith("ForeignConfig")}
    assert foreign == {f"ForeignConfig{what}PolicyStatement" for what in ("Bucket", "Key", "Topic")}
    texts = {name: stack.value(template["Outputs"][name]["Value"]) for name in foreign}
    buckets = json.loads(texts["ForeignConfigBucketPolicyStatement"])
    assert [one["Resource"] for one in buckets] == ["arn:aws:s3:::BUCKET/*", "arn:aws:s3:::BUCKET"]
    assert json.loads(texts["ForeignConfigKeyPolicyStatement"])["Action"] == "kms:Decrypt"
    assert json.loads(texts["ForeignConfigTopicPolicyStatement"])["Action"] == "sns:Subscribe"
    ours = Evaluated(template, **{**values, "ConfigBucketAccount": ""}).outputs
    assert {name for name in ours if name.startswith("ForeignConfig")} == {"ForeignConfigTopicPolicyStatement"}


def test_a_new_recorder_delivers_where_it_may(template: dict[str, Any]) -> None:
    """Role, bucket and topic are ready before recorder and channel, snapshots come each day, and the topic is not encrypted,
    which AWS Config does not support."""
    stack = Evaluated(template, CreateConfigRecorder="true", ConfigBucketNames="new-bucket", ConfigPrefix="security")
    channel, recorder = (template["Resources"][name] for name in ("ConfigDeliveryChannel", "ConfigRecorder"))
    assert set(channel["DependsOn"]) == {"ConfigBucketPolicy", "ConfigTopicPolicy", "NewConfigSubscription"}
    assert recorder["DependsOn"] == "ConfigBucketPolicy"
    assert "ConfigDeliveryChannel" not in str(recorder), "it starts when the channel is there, which needs the recorder"
    assert "ConfigRecorder" not in str(channel)
    properties = stack.value(channel["Properties"])
    assert properties["ConfigSnapshotDeliveryProperties"] == {"DeliveryFrequency": "TwentyFour_Hours"}
    assert properties["S3KeyPrefix"] == "security"
    keys = f"${{ConfigBucket.Arn}}/security/AWSLogs/{ACCOUNT}/Config/*"
    role, bucket = (
        {one["Sid"]: stack.value(one) for name, one in statements(template) if name == owner and "Sid" in one}
        for owner in ("ConfigRecorderRole", "ConfigBucketPolicy")
    )
    assert role["DeliverObjects"]["Resource"] == bucket["ConfigDelivers"]["Resource"] == keys
    for statement in (bucket["ConfigChecksBucket"], bucket["ConfigDelivers"]):
        assert statement["Principal"] == {"Service": "config.amazonaws.com"}
        assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT
    assert "Properties" not in template["Resources"]["ConfigTopic"]
    assert ", bucket ${ConfigBucket}" in stack.value(template["Outputs"]["KeptAfterDelete"]["Value"])


@pytest.mark.parametrize(("records", "globals_too"), [("true", True), ("false", False)])
def test_global_resources_are_recorded_where_it_is_said(template: dict[str, Any], records: str, globals_too: bool) -> None:
    """Each region that records them bills them again."""
    stack = Evaluated(template, CreateConfigRecorder="true", ConfigBucketNames="new-bucket", ConfigRecordGlobal=records)
    group = stack.value(template["Resources"]["ConfigRecorder"]["Properties"]["RecordingGroup"])
    assert group == {"AllSupported": True, "IncludeGlobalResourceTypes": globals_too}


def test_the_set_up_reaches_the_indices_of_config(template: dict[str, Any]) -> None:
    """Index templates of all families are put in place whether there is AWS Config or not; so may the set-up's role."""
    for name, statement in statements(template):
        if name == "SetupFunctionRole" and statement.get("Sid") == "PrepareDomain":
            for choice in statement["Resource"]["Fn::If"][1:]:
                assert any(path["Fn::Sub"].endswith("/${IndexPrefix}config-*") for path in choice)


def test_the_template_stays_within_what_cloudformation_takes(template: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html, with room for what SAM adds."""
    assert len(template["Parameters"]) <= 200
    assert len(template["Resources"]) * 2 <= 500
    assert len(template["Outputs"]) <= 200
    assert TEMPLATE.stat().st_size < 500_000
