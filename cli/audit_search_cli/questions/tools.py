"""With what a call was made, told from its user agent: the console, the command line, an SDK, Terraform, a service.

Whoever calls chooses the user agent, so it is a hint and no proof.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html
"""

from __future__ import annotations

import re
from typing import Final

from audit_search_cli.questions.events import Event

_VERSION = r"[/ ]v?(?P<version>\d+(?:\.\d+)*)"
_TOOLS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (rf"terraform-provider-aws{_VERSION}", "Terraform AWS provider"),
        (rf"(?:HashiCorp/\S+ )?Terraform{_VERSION}", "Terraform"),
        (rf"OpenTofu{_VERSION}", "OpenTofu"),
        (rf"Pulumi{_VERSION}", "Pulumi"),
        (rf"aws-cdk{_VERSION}", "AWS CDK"),
        (rf"aws-sam-cli{_VERSION}", "AWS SAM CLI"),
        (rf"Ansible{_VERSION}", "Ansible"),
        (rf"eksctl{_VERSION}", "eksctl"),
        (rf"Packer{_VERSION}", "Packer"),
        (r"exec-env/CloudShell", "CloudShell"),
        (rf"aws-cli{_VERSION}", "AWS CLI"),
        (rf"AWSPowerShell\S*{_VERSION}", "AWS Tools for PowerShell"),
        (r"S3Console|console\.amazonaws\.com|signin\.amazonaws\.com|AWS-Console|aws-internal/3", "console"),
        (r"^Mozilla/", "console"),
        (rf"Boto3{_VERSION}", "Boto3"),
        (rf"Botocore{_VERSION}", "Botocore"),
        (rf"aws-sdk-(?P<language>[a-z]+(?:-v\d)?|ruby\d){_VERSION}", "AWS SDK"),
    )
)
_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com", re.ASCII)
_LAMBDA = re.compile(r"exec-env/AWS_Lambda_(\S+)", re.IGNORECASE)
_LONG: Final = 60


def of(event: Event) -> str:
    """With what an event's call was made, in a few words; empty where the event does not say."""
    agent, invoked = event.said("userAgent"), event.said("userIdentity.invokedBy")
    found = _named(agent)
    if event.said("sessionCredentialFromConsole") == "true" and found != "console":
        found = f"console ({found})" if found else "console"
    if invoked and invoked not in found:
        return f"through {invoked}" if not found or agent == invoked else f"{found}, through {invoked}"
    return found


def _named(agent: str) -> str:
    if _SERVICE.fullmatch(agent) and not agent.startswith(("console.", "signin.")):
        return agent
    inside = _LAMBDA.search(agent)
    for pattern, name in _TOOLS:
        found = pattern.search(agent)
        if found:
            parts = found.groupdict()
            language = f" for {parts['language']}" if parts.get("language") else ""
            version = f" {parts['version']}" if parts.get("version") else ""
            return f"{name}{language}{version}{f' in Lambda ({inside[1]})' if inside else ''}"
    return agent if len(agent) <= _LONG else f"{agent[: _LONG - 1]}…"
