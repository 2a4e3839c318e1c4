"""What is left out of the template before the stand-in for AWS gets it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.deployable import known_types, leave_out_unknown, sid_of, without_statement, write_out
from tests.support.building import tools_ready

TRAIL = {"Type": "AWS::CloudTrail::Trail", "Properties": {"IsLogging": True}}


def queue(**more: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", **more}


def test_only_what_is_not_known_is_left_out() -> None:
    """Known types, SAM's types and custom resources stay as they are."""
    kept = {"Queue": queue(), "Function": {"Type": "AWS::Serverless::Function"}, "Prepared": {"Type": "Custom::Prepared"}}
    template = {"Resources": {**kept, "Trail": TRAIL}}
    assert leave_out_unknown(template, {"AWS::SQS::Queue"}) == ["Trail"]
    assert template == {"Resources": kept}


def test_what_names_it_forgets_it() -> None:
    """An order and an output vanish; other orders and outputs stay."""
    template: dict[str, Any] = {
        "Resources": {
            "Trail": TRAIL,
            "Other": queue(),
            "Both": queue(DependsOn=["Trail", "Other"]),
            "One": queue(DependsOn="Trail"),
        },
        "Outputs": {
            "Trail": {"Value": {"Fn::GetAtt": ["Trail", "Arn"]}},
            "Text": {"Value": {"Fn::Sub": "the trail ${Trail.Arn}"}},
            "Queue": {"Value": {"Ref": "Other"}},
        },
    }
    leave_out_unknown(template, {"AWS::SQS::Queue"})
    assert template["Resources"] == {"Other": queue(), "Both": queue(DependsOn=["Other"]), "One": queue()}
    assert template["Outputs"] == {"Queue": {"Value": {"Ref": "Other"}}}


def test_a_resource_that_needs_it_is_an_error() -> None:
    """A stack that lacks more than a type would prove nothing, so nothing is deployed."""
    needs = queue(
        Properties={
            "Tags": [{"Key": "trail", "Value": {"Fn::If": ["HasTrail", {"Fn::Sub": ["${A}", {"A": {"Ref": "Trail"}}]}, ""]}}]
        }
    )
    with pytest.raises(ValueError, match="Queue needs Trail"):
        leave_out_unknown({"Resources": {"Trail": TRAIL, "Queue": needs}}, {"AWS::SQS::Queue"})


@pytest.mark.parametrize(("parameters", "number"), [({}, 4), ({"Copies": "7"}, 7)])
def test_a_number_of_a_parameter_is_written_out(parameters: dict[str, str], number: int) -> None:
    """The concurrency of an event source is the parameter's value, or its default."""
    source = {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {"ScalingConfig": {"MaximumConcurrency": {"Ref": "Copies"}}},
    }
    template: dict[str, Any] = {"Parameters": {"Copies": {"Type": "Number", "Default": 4}}, "Resources": {"Source": source}}
    write_out(template, parameters, "eu-central-1", "123456789012")
    assert source["Properties"] == {"ScalingConfig": {"MaximumConcurrency": number}}


def test_texts_in_conditions_are_written_out() -> None:
    """What Join, Split, Select and Sub make of parameters stands there as a text; the logic around it stays."""
    joined = {"All": {"Fn::Join": [",", {"Ref": "Keys"}]}}
    template: dict[str, Any] = {
        "Parameters": {
            "Keys": {"Type": "CommaDelimitedList", "Default": ""},
            "Topic": {"Type": "String"},
            "Zones": {"Type": "Number", "Default": 3},
        },
        "Resources": {},
        "Conditions": {
            "HasKeys": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "Keys"}]}, ""]}]},
            "Here": {
                "Fn::And": [
                    {"Condition": "HasKeys"},
                    {
                        "Fn::Equals": [
                            {"Fn::Select": [1, {"Fn::Split": [":", {"Fn::Sub": "${Topic}:::"}]}]},
                            {"Ref": "AWS::Region"},
                        ]
                    },
                ]
            },
            "One": {"Fn::Equals": [{"Ref": "Zones"}, 1]},
            "Third": {"Fn::Equals": [{"Fn::Select": [2, {"Fn::Split": [",", {"Fn::Sub": ["${All},,,", joined]}]}]}, ""]},
        },
    }
    write_out(template, {"Keys": "a,b", "Topic": "sns:eu-west-1:x"}, "eu-central-1", "123456789012")
    assert template["Conditions"] == {
        "HasKeys": {"Fn::Not": [{"Fn::Equals": ["ab", ""]}]},
        "Here": {"Fn::And": [{"Condition": "HasKeys"}, {"Fn::Equals": ["eu-west-1", "eu-central-1"]}]},
        "One": {"Fn::Equals": ["3", "1"]},
        "Third": {"Fn::Equals": ["", ""]},
    }


def test_a_secret_is_named_by_its_arn() -> None:
    """Ref and Sub of a secret become what gives its ARN; other references stay."""
    texts = [{"Ref": "Secret"}, {"Ref": "Topic"}, {"Fn::Sub": ", secret ${Secret} of ${Topic}"}]
    resources = {
        "Secret": {"Type": "AWS::SecretsManager::Secret"},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"Tags": texts}},
    }
    template: dict[str, Any] = {"Resources": resources}
    write_out(template, {}, "eu-central-1", "123456789012")
    assert template["Resources"]["Topic"]["Properties"]["Tags"] == [
        {"Fn::GetAtt": ["Secret", "Id"]},
        {"Ref": "Topic"},
        {"Fn::Sub": ", secret ${Secret.Id} of ${Topic}"},
    ]


def test_a_statement_is_taken_out_by_its_name() -> None:
    """The one with this Sid, with or without a condition; a name that is not there is an error."""
    statements = [{"Sid": "Read", "Effect": "Allow"}, {"Fn::If": ["HasKeys", {"Sid": "Decrypt"}, {"Ref": "AWS::NoValue"}]}]
    policy = {"PolicyName": "own", "PolicyDocument": {"Statement": statements}}
    template: dict[str, Any] = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [policy]}}}}
    without_statement(template, "Role", "Decrypt")
    assert [sid_of(statement) for statement in policy["PolicyDocument"]["Statement"]] == ["Read"]  # type: ignore[index]
    with pytest.raises(ValueError, match="Role has 0 statements Decrypt"):
        without_statement(template, "Role", "Decrypt")


def test_the_table_of_the_stand_in_is_read() -> None:
    """ministack says itself what it can make: queues, and no trails."""
    tools_ready()
    known = known_types()
    assert "AWS::SQS::Queue" in known
    assert "AWS::CloudTrail::Trail" not in known
