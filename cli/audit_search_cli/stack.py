"""What a deployed stack says about itself: its resources, and the settings it gives to this command.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit_search_cli.errors import Problem

ENVIRONMENT_OUTPUT = "CliEnvironment"
"""The output that holds `NAME=value` pairs, separated by newlines or spaces, quoted as a shell does it."""
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a stack: its type (`AWS::SQS::Queue`) and what AWS calls it (a queue's URL, a function's name)."""

    type: str
    physical: str


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it; `resources` by their logical ids."""

    name: str
    status: str
    outputs: Mapping[str, str]
    resources: Mapping[str, Resource]

    def of_type(self, kind: str) -> dict[str, str]:
        """Logical and physical ids of the resources of a type that exist."""
        return {name: found.physical for name, found in self.resources.items() if found.type == kind and found.physical}

    def physical(self, logical: str) -> str:
        """What AWS calls a resource, or an empty text where the stack has none of this name."""
        found = self.resources.get(logical)
        return found.physical if found else ""

    @property
    def environment(self) -> dict[str, str]:
        """The settings that the stack gives; empty for a stack without such an output. Raises Problem."""
        return parse_environment(self.outputs.get(ENVIRONMENT_OUTPUT, ""))


def read(cloudformation: Any, name: str) -> Stack:
    """Describe a stack and list its resources.

    Raises what botocore raises: ClientError (ValidationError) for a stack that does not exist.
    """
    found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    resources: dict[str, Resource] = {}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name):
        for summary in page["StackResourceSummaries"]:
            physical = summary.get("PhysicalResourceId", "")
            resources[summary["LogicalResourceId"]] = Resource(summary["ResourceType"], physical)
    outputs = {output["OutputKey"]: output.get("OutputValue", "") for output in found.get("Outputs", [])}
    return Stack(found["StackName"], found["StackStatus"], outputs, resources)


def parse_environment(text: str) -> dict[str, str]:
    """`NAME=value` pairs, separated by white space, a value with spaces in quotes. Raises Problem."""
    remedy = "Deploy the stack of this version, or give the options by hand."
    try:
        pairs = shlex.split(text)
    except ValueError as error:
        raise Problem(f"The stack's output {ENVIRONMENT_OUTPUT} cannot be read: {error}", remedy) from error
    settings: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise Problem(f"The stack's output {ENVIRONMENT_OUTPUT} holds {pair!r}, which is no NAME=value", remedy)
        settings[name] = value
    return settings
