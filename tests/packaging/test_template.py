"""The house rules of the template, which no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from audit_search.settings import Settings
from tests.support.building import ROOT

REQUIRED = {
    "OPENSEARCH_ENDPOINT": "https://search-audit.eu-central-1.es.amazonaws.com",
    "ALLOWED_BUCKETS": "trail-bucket",
    "QUARANTINE_BUCKET": "quarantine-bucket",
}
"""The settings that have no default."""


def resources(template: dict[str, Any], kind: str) -> dict[str, Any]:
    found = {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}
    assert found, f"no {kind}"
    return found


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy statement with the name of its resource; the ones behind a condition too."""
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties[key] for key in ("PolicyDocument", "AssumeRolePolicyDocument") if key in properties]
        for document in documents:
            for statement in document["Statement"]:
                for choice in statement["Fn::If"][1:] if "Fn::If" in statement else [statement]:
                    if choice != {"Ref": "AWS::NoValue"}:
                        yield name, choice


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def environment(template: dict[str, Any]) -> dict[str, Any]:
    variables: dict[str, Any] = template["Resources"]["CloudTrailFunction"]["Properties"]["Environment"]["Variables"]
    return variables


def test_every_parameter_is_described_constrained_and_grouped(template: dict[str, Any]) -> None:
    """Each parameter says what it is, refuses what cannot be right, and has one place in the console's form."""
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [parameter for group in interface["ParameterGroups"] for parameter in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    free = {"OpenSearchUsername"}  # any name is a user's name
    for name, parameter in template["Parameters"].items():
        assert re.fullmatch(r"\w.{20,}\.", parameter["Description"]), name
        assert name in free or {"AllowedValues", "AllowedPattern", "MinValue"} & set(parameter), name
        assert "AllowedPattern" not in parameter or "ConstraintDescription" in parameter, name


def test_every_default_passes_its_own_constraint(template: dict[str, Any]) -> None:
    """A parameter that is left alone is accepted."""
    for name, parameter in template["Parameters"].items():
        if "Default" in parameter:
            default = parameter["Default"]
            assert re.search(parameter.get("AllowedPattern", ""), str(default)), name
            assert default in parameter.get("AllowedValues", [default]), name
            assert parameter.get("MinValue", default) <= default <= parameter.get("MaxValue", default), name


@pytest.mark.parametrize(
    ("parameter", "accepted", "refused"),
    [
        ("OpenSearchEndpoint", "https://search-a.eu-central-1.es.amazonaws.com", "http://search-a.eu-central-1.es.amazonaws.com"),
        ("OpenSearchEndpoint", "http://127.0.0.1:9200", "http://127.0.0.1.example.com"),
        ("OpenSearchEndpoint", "https://node:9200/", "https://user:password@node"),
        (
            "OpenSearchDomainArn",
            "arn:aws:es:eu-central-1:123456789012:domain/audit",
            "arn:aws:es:eu-central-1:123456789012:domain/audit/*",
        ),
        ("OpenSearchDomainArn", "arn:aws:aoss:eu-central-1:123456789012:collection/abc123", "*"),
        ("TrailBucketNames", "my-trail.logs-1", "s3://my-trail"),
        ("TrailTopicArn", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:trail", "trail"),
        (
            "KmsKeyArns",
            "arn:aws:kms:eu-central-1:123456789012:key/mrk-1234abcd",
            "arn:aws:kms:eu-central-1:123456789012:alias/trail",
        ),
        (
            "OpenSearchPasswordSecretArn",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:audit/writer-AbCdEf",
            "audit/writer",
        ),
        ("IndexPrefix", "acme-", "Acme-"),
        ("ExclusionRules", '[{"eventSource": "kms.amazonaws.com"}]', "none"),
        ("TrailBucketAccount", "123456789012", "1234"),
    ],
)
def test_parameters_take_what_is_right_and_nothing_else(
    template: dict[str, Any], parameter: str, accepted: str, refused: str
) -> None:
    """A typing mistake is refused before anything is deployed."""
    pattern = template["Parameters"][parameter]["AllowedPattern"]
    assert re.search(pattern, accepted)
    assert not re.search(pattern, refused)


def test_the_environment_is_the_settings(template: dict[str, Any]) -> None:
    """Every variable that the settings read is set by the template, and it sets no other."""
    source = ast.parse((ROOT / "layers/audit_search/src/audit_search/settings.py").read_text("utf-8"))
    texts = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert set(environment(template)) == {text for text in texts if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", text)}


def test_defaults_of_the_template_are_the_defaults_of_the_settings(template: dict[str, Any]) -> None:
    """A stack whose parameters are left alone works like a function whose variables are not set, but for signing in."""
    values = {}
    for name, value in environment(template).items():
        named = value.get("Ref") if isinstance(value, dict) else None
        parameter = template["Parameters"].get(named, {"Default": value})
        values[name] = str(parameter["Default"]) if isinstance(parameter.get("Default"), str | int) else REQUIRED[name]
    assert Settings.from_env(values) == Settings.from_env(REQUIRED)


@pytest.mark.parametrize("bound", ["MinValue", "MaxValue"])
def test_the_settings_take_every_number_that_the_template_takes(template: dict[str, Any], bound: str) -> None:
    """No number passes the template's check only to stop the function when it starts."""
    numbers = {
        name: str(template["Parameters"][value["Ref"]][bound])
        for name, value in environment(template).items()
        if isinstance(value, dict) and template["Parameters"].get(value.get("Ref"), {}).get("Type") == "Number"
    }
    assert len(numbers) >= 6
    Settings.from_env({**REQUIRED, **numbers})


def test_a_message_is_invisible_for_six_timeouts(template: dict[str, Any]) -> None:
    """A message that is being worked on is not handed out again."""
    timeout = template["Resources"]["CloudTrailFunction"]["Properties"]["Timeout"]
    assert template["Resources"]["CloudTrailQueue"]["Properties"]["VisibilityTimeout"] >= 6 * timeout
    assert timeout == 300


def test_an_outage_does_not_fill_the_dead_letter_queue(template: dict[str, Any]) -> None:
    """A message may be received more than a hundred times, and both queues keep it as long as SQS can, encrypted."""
    queues = resources(template, "AWS::SQS::Queue")
    redrive = queues["CloudTrailQueue"]["Properties"]["RedrivePolicy"]
    assert redrive["maxReceiveCount"] >= 100
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["CloudTrailDeadLetterQueue", "Arn"]}
    for queue in queues.values():
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert queue["Properties"]["SqsManagedSseEnabled"] is True


def test_a_change_in_a_layer_alone_reaches_the_alias(template: dict[str, Any]) -> None:
    """Layers publish a version of their functions, and the alias follows every property of the function."""
    for layer in resources(template, "AWS::Serverless::LayerVersion").values():
        assert layer["Properties"]["PublishLambdaVersion"] is True
    for function in resources(template, "AWS::Serverless::Function").values():
        assert function["Properties"]["AutoPublishAlias"] == "live"
        assert function["Properties"]["AutoPublishAliasAllProperties"] is True


def test_each_function_has_a_log_with_an_end_and_a_destination_for_failures(template: dict[str, Any]) -> None:
    """Logs do not grow for ever, and an event that fails for good is kept."""
    for function in resources(template, "AWS::Serverless::Function").values():
        group = template["Resources"][function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        failure = function["Properties"]["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
        assert failure == {"Type": "SQS", "Destination": {"Fn::GetAtt": ["CloudTrailDeadLetterQueue", "Arn"]}}


def test_the_queue_reports_each_message_by_itself(template: dict[str, Any]) -> None:
    """One bad message does not bring its neighbours back, and the load on the engine is bounded."""
    source = template["Resources"]["CloudTrailFunction"]["Properties"]["Events"]["Queue"]["Properties"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BatchSize"] == 10
    assert source["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}


def test_what_holds_data_outlives_the_stack(template: dict[str, Any]) -> None:
    """The quarantine bucket stays when the stack goes, but not when its creation is rolled back; it is private and encrypted."""
    for bucket in resources(template, "AWS::S3::Bucket").values():
        assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
        assert bucket["UpdateReplacePolicy"] == "Retain"
        assert "BucketName" not in bucket["Properties"]
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}


def test_nothing_is_allowed_by_wildcard(template: dict[str, Any]) -> None:
    """Each permission names its actions and its resources; roles are written by hand, without managed policies."""
    for name, statement in statements(template):
        if statement["Effect"] == "Deny":
            continue
        for action in as_list(statement["Action"]):
            assert "*" not in action, (name, action)
        for resource in as_list(statement.get("Resource", [])):
            assert resource != "*", (name, statement["Sid"])
    for function in resources(template, "AWS::Serverless::Function").values():
        assert "Policies" not in function["Properties"]
        assert "ManagedPolicyArns" not in template["Resources"][function["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]


def test_only_its_own_senders_reach_the_queue_and_only_over_tls(template: dict[str, Any]) -> None:
    """A service may send only for a source that the stack names, and nobody comes in without TLS."""
    policies = {**resources(template, "AWS::SQS::QueuePolicy"), **resources(template, "AWS::S3::BucketPolicy")}
    guarded = set()
    for policy in policies.values():
        properties = policy["Properties"]
        guarded |= {target["Ref"] for target in as_list(properties.get("Queues", properties.get("Bucket")))}
    assert guarded == set(resources(template, "AWS::SQS::Queue")) | set(resources(template, "AWS::S3::Bucket"))
    for name in policies:
        found = [statement for owner, statement in statements(template) if owner == name]
        denied = [statement for statement in found if statement["Effect"] == "Deny"]
        assert [statement["Condition"] for statement in denied] == [{"Bool": {"aws:SecureTransport": "false"}}], name
        for statement in found:
            if statement["Effect"] == "Allow":
                assert any("aws:SourceArn" in tests for tests in statement["Condition"].values()), (name, statement["Sid"])


def test_a_topic_that_cannot_deliver_leaves_its_message_in_the_dead_letter_queue(template: dict[str, Any]) -> None:
    """A subscription has a place for what it cannot deliver."""
    for subscription in resources(template, "AWS::SNS::Subscription").values():
        assert subscription["Properties"]["RedrivePolicy"]["deadLetterTargetArn"] == {
            "Fn::GetAtt": ["CloudTrailDeadLetterQueue", "Arn"]
        }


def test_the_function_may_call_exactly_the_paths_that_it_calls(template: dict[str, Any]) -> None:
    """Of the domain's HTTP API the role allows the bulk request and reading the index template."""
    allowed = {
        (action, resource["Fn::Sub"].removeprefix("${OpenSearchDomainArn}"))
        for _, statement in statements(template)
        for action in as_list(statement["Action"])
        if action.startswith("es:")
        for resource in as_list(statement["Resource"])
    }
    assert allowed == {("es:ESHttpPost", "/_bulk"), ("es:ESHttpGet", "/_index_template/*")}


def test_every_output_says_what_it_is_for(template: dict[str, Any]) -> None:
    """Each address has a description."""
    assert {"CloudTrailQueueArn", "CloudTrailDeadLetterQueueUrl", "CloudTrailFunctionArn", "QuarantineLocation"} <= set(
        template["Outputs"]
    )
    assert all(len(output["Description"]) > 10 for output in template["Outputs"].values())
