"""What a CloudFormation template comes to: its resources by type, its policy statements, and what conditions make of parameters.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

PLACE = {"AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws", "AWS::StackName": "audit"}
"""Where the templates of the tests are."""
NOTHING = {"Ref": "AWS::NoValue"}


def resources(template: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The resources of a type, which there have to be."""
    found = {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}
    assert found, f"no {kind}"
    return found


def statements(template: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy statement with the name of its resource; the ones behind a condition too."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        own = properties.get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []
        documents = [policy["PolicyDocument"] for policy in own]
        documents += [properties[key] for key in ("PolicyDocument", "AssumeRolePolicyDocument") if key in properties]
        if resource["Type"] == "AWS::Events::EventBusPolicy":
            documents.append({"Statement": [properties["Statement"]]})
        for document in documents:
            for statement in (json.loads(document["Fn::Sub"]) if "Fn::Sub" in document else document)["Statement"]:
                for choice in statement["Fn::If"][1:] if "Fn::If" in statement else [statement]:
                    if choice != NOTHING:
                        yield name, choice


def as_list(value: Any) -> list[Any]:
    """A list where it is none."""
    return value if isinstance(value, list) else [value]


class Evaluated:
    """A template with values of its parameters: which conditions hold, what is made, and what values come to.

    Values that only AWS knows stay as they are: references to resources and their attributes.
    """

    def __init__(self, template: Mapping[str, Any], **parameters: str) -> None:
        """`parameters` are given as the command line does it; the others have their defaults."""
        declared = template.get("Parameters", {})
        unknown = set(parameters) - set(declared)
        assert not unknown, f"no such parameters: {unknown}"
        self._template = template
        self._values: dict[str, Any] = dict(PLACE)
        for name, parameter in declared.items():
            text = str(parameters.get(name, parameter.get("Default", "")))
            self._values[name] = text.split(",") if parameter["Type"] == "CommaDelimitedList" else text

    def holds(self, condition: str) -> bool:
        """Whether a condition holds."""
        return self._holds(self._template["Conditions"][condition])

    @property
    def resources(self) -> set[str]:
        """The logical ids of what is made."""
        return self._made("Resources")

    @property
    def outputs(self) -> set[str]:
        """The outputs that there are."""
        return self._made("Outputs")

    @property
    def refusals(self) -> list[str]:
        """What CloudFormation says of these parameters instead of making anything, by the template's rules."""
        return [
            str(assertion["AssertDescription"])
            for rule in self._template["Rules"].values()
            if self._holds(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self._holds(assertion["Assert"])
        ]

    def _made(self, section: str) -> set[str]:
        return {
            name for name, one in self._template[section].items() if "Condition" not in one or self.holds(str(one["Condition"]))
        }

    def _holds(self, condition: Mapping[str, Any]) -> bool:
        ((function, inner),) = condition.items()
        match function:
            case "Condition":
                return self.holds(inner)
            case "Fn::Equals":
                left, right = (self.value(one) for one in inner)
                return str(left) == str(right)
            case "Fn::Contains":
                among, wanted = (self.value(one) for one in inner)
                return wanted in among
            case "Fn::EachMemberEquals":
                members, wanted = (self.value(one) for one in inner)
                return all(member == wanted for member in members)
            case "Fn::Not":
                return not self._holds(inner[0])
            case "Fn::And":
                return all(self._holds(one) for one in inner)
            case "Fn::Or":
                return any(self._holds(one) for one in inner)
        raise ValueError(f"{function} is no condition")

    def value(self, value: Any) -> Any:
        """What a value of the template comes to; members of a list that come to nothing are left out."""
        if isinstance(value, list):
            return [found for one in value if (found := self.value(one)) != NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) != 1:
            return {key: self.value(inner) for key, inner in value.items()}
        ((function, inner),) = value.items()
        match function:
            case "Ref":
                return self._values.get(inner, value)
            case "Fn::If":
                return self.value(inner[1] if self.holds(inner[0]) else inner[2])
            case "Fn::Join":
                return str(inner[0]).join(str(one) for one in self.value(inner[1]))
            case "Fn::Split":
                return self.value(inner[1]).split(inner[0])
            case "Fn::Select":
                return self.value(inner[1])[int(inner[0])]
            case "Fn::Sub":
                text, more = inner if isinstance(inner, list) else (inner, {})
                known = {**self._values, **{name: self.value(one) for name, one in more.items()}}
                return re.sub(r"\$\{([\w:.]+)\}", lambda found: str(known.get(found[1], found[0])), text)
        return {function: self.value(inner)}
