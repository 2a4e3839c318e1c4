"""The built template as the stand-in for AWS can take it: the same, less what it does not know."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.building import tool

_NOT_AMONG_THE_TYPES = ("AWS::Serverless::", "Custom::", "AWS::CloudFormation::")


@functools.cache
def known_types() -> set[str]:
    """The types of resources that ministack can make, as its own table says."""
    code = (
        "import json; from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS as known; "
        "print(json.dumps(sorted(known)))"
    )
    answer = subprocess.run([tool("ministack", "python"), "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def leave_out_unknown(template: dict[str, Any], known: set[str]) -> list[str]:
    """Take resources of types that are not `known` out of a template; gives their logical ids.

    Outputs and DependsOn that name them go as well. Raises ValueError where another resource needs one of them: then
    something else than a missing type would be tested.
    """
    resources = template["Resources"]
    dropped = [
        name
        for name, resource in resources.items()
        if resource["Type"] not in known and not resource["Type"].startswith(_NOT_AMONG_THE_TYPES)
    ]
    for name in dropped:
        del resources[name]
    for name, resource in resources.items():
        _forget(resource, dropped)
        needed = sorted(set(_references(resource)) & set(dropped))
        if needed:
            raise ValueError(f"{name} needs {', '.join(needed)}, which ministack cannot make")
    outputs = template.get("Outputs", {})
    for name in [name for name, output in outputs.items() if set(_references(output)) & set(dropped)]:
        del outputs[name]
    return dropped


def write_out(template: dict[str, Any], parameters: Mapping[str, str], region: str, account: str) -> None:
    """Write out what ministack does not work out: the texts that conditions compare, numbers that are parameters, and more.

    Its conditions know Ref and no other function that makes a text; CloudFormation's know Join, Select, Split and Sub. A
    parameter is a text to it, also where the type of a property is a number. And Ref of a secret is its name to it, where it
    is the ARN on AWS. And it asks for sqs:ChangeMessageVisibilityBatch and sns:PublishBatch, where AWS knows
    sqs:ChangeMessageVisibility and sns:Publish alone.
    """
    values = {name: parameter.get("Default", "") for name, parameter in template.get("Parameters", {}).items()} | dict(parameters)
    lists = {name for name, one in template.get("Parameters", {}).items() if one["Type"] == "CommaDelimitedList"}
    known: dict[str, Any] = {name: str(value).split(",") if name in lists else str(value) for name, value in values.items()}
    known |= {"AWS::Region": region, "AWS::AccountId": account, "AWS::Partition": "aws"}
    template["Conditions"] = {name: _compared(one, known) for name, one in template.get("Conditions", {}).items()}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            scaling = resource["Properties"].get("ScalingConfig", {})
            for name, value in scaling.items():
                scaling[name] = int(_text(value, known))
    secrets = {name for name, resource in template["Resources"].items() if resource["Type"] == "AWS::SecretsManager::Secret"}
    for section in ("Resources", "Outputs"):
        template[section] = _as_ministack_has_it(template.get(section, {}), secrets)


def without_statement(template: dict[str, Any], role: str, sid: str) -> None:
    """Take one statement out of a role's policies. Raises ValueError where there is none with this Sid."""
    found = 0
    for policy in template["Resources"][role]["Properties"]["Policies"]:
        document = policy["PolicyDocument"]
        kept = [statement for statement in document["Statement"] if sid_of(statement) != sid]
        found += len(document["Statement"]) - len(kept)
        document["Statement"] = kept
    if found != 1:
        raise ValueError(f"{role} has {found} statements {sid}")


def sid_of(statement: dict[str, Any]) -> str:
    """The Sid of a statement, behind an Fn::If where it has a condition."""
    inner = statement["Fn::If"][1] if "Fn::If" in statement else statement
    sid: str = inner["Sid"]
    return sid


def _forget(resource: dict[str, Any], dropped: list[str]) -> None:
    before = resource.pop("DependsOn", [])
    after = [name for name in ([before] if isinstance(before, str) else before) if name not in dropped]
    if after:
        resource["DependsOn"] = after


def _references(value: Any) -> Iterator[str]:
    """The logical ids (and parameters) that a part of a template names."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield (inner if isinstance(inner, list) else inner.split("."))[0]
            elif key == "Fn::Sub":
                text = inner if isinstance(inner, str) else inner[0]
                yield from (part.split("}")[0].split(".")[0] for part in text.split("${")[1:])
                yield from _references(inner[1:] if isinstance(inner, list) else [])
            else:
                yield from _references(inner)


def _compared(condition: Any, known: Mapping[str, Any]) -> Any:
    """A condition in which each text that is compared is written out."""
    ((function, inner),) = condition.items()
    if function == "Condition":
        return condition
    if function == "Fn::Equals":
        return {function: [_text(value, known) for value in inner]}
    return {function: [_compared(one, known) for one in inner]}


def _text(value: Any, known: Mapping[str, Any]) -> Any:
    """What functions of CloudFormation make of parameters: a text, or a list of them."""
    if not isinstance(value, dict):
        return str(value)
    ((function, inner),) = value.items()
    match function:
        case "Ref":
            return known[inner]
        case "Fn::Join":
            return inner[0].join(_text(inner[1], known))
        case "Fn::Split":
            return _text(inner[1], known).split(inner[0])
        case "Fn::Select":
            return _text(inner[1], known)[int(inner[0])]
        case "Fn::Sub":
            text, more = inner if isinstance(inner, list) else (inner, {})
            values = {**known, **{name: _text(one, known) for name, one in more.items()}}
            return re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], text)
    raise ValueError(f"{function} in a condition")


def _as_ministack_has_it(value: Any, secrets: set[str]) -> Any:
    """A part of a template with the ARNs of secrets for their names, and with the action for batches."""
    if isinstance(value, list):
        return [_as_ministack_has_it(item, secrets) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda found: f"${{{found[1]}.Id}}" if found[1] in secrets else found[0], value)
    if not isinstance(value, dict):
        return value
    if "sqs:ChangeMessageVisibility" in value.get("Action", []):
        value = {**value, "Action": [*value["Action"], "sqs:ChangeMessageVisibilityBatch"]}
    if value.get("Action") == "sns:Publish":
        value = {**value, "Action": ["sns:Publish", "sns:PublishBatch"]}
    if value.get("Ref") in secrets:
        return {"Fn::GetAtt": [value["Ref"], "Id"]}
    return {key: _as_ministack_has_it(inner, secrets) for key, inner in value.items()}
