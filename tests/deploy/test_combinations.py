"""Ways to deploy, combined: each combination is deployed, prepares its domain, and indexes what its trail and its recorder
deliver."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.deploy.channels import (
    ELSEWHERE,
    ORGANISATION,
    SENDER,
    Channel,
    audible,
    change,
    found,
    history_of,
    of_config,
    sample,
    tell,
)
from tests.deploy.conftest import Account, Deploy
from tests.deploy.pairwise import Combination, all_of, pairwise
from tests.deploy.stacks import Stack, records
from tests.deploy.trails import FOREIGN, Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.ministack import REGION

FACTORS = {
    "way": ["topic", "eventbridge", "bucket", "direct"],
    "bucket": ["made", "reused", "foreign"],
    "domain": ["made", "reused"],
    "dashboards": ["cognito", "saml", "internal", "none"],
    "auth": ["aws", "basic", "none"],
    "names": ["", "acme-"],
    "config": ["none", "topics", "buses", "recorder", "foreign"],
}
APART = {frozenset({"config", "way"}), frozenset({"config", "dashboards"})}
"""AWS Config has a queue and a function of its own, and nobody who signs in to Dashboards calls either."""


def possible(one: Combination) -> bool:
    """A domain that is made takes signed requests only, and only there people sign in as the template says.

    A bucket of another account announces its objects to a bus of that account, and ministack lets it invoke only functions of
    that account.
    """
    if one["bucket"] == "foreign" and one["way"] in ("eventbridge", "direct"):
        return False
    return one["auth"] == "aws" if one["domain"] == "made" else one["dashboards"] == "none"


COMBINATIONS = all_of(FACTORS, possible) if os.environ.get("FULL") == "1" else pairwise(FACTORS, possible, APART)


def of_the_domain(one: Combination, domain: AmazonDomain, aws: Any) -> dict[str, str]:
    """Parameters that say where the documents go."""
    if one["domain"] == "made":
        saml = {"SamlEntityId": "https://idp.example/entity", "SamlMetadata": "<EntityDescriptor/>", "SamlAdminRole": "admins"}
        more = {"saml": saml, "internal": {"AllowedCidrs": "198.51.100.0/24"}, "cognito": {"AdminEmail": "admin@example.com"}}
        secrets = aws.client("secretsmanager")

        def master() -> dict[str, str]:
            found = [one for one in secrets.list_secrets()["SecretList"] if domain.name in one.get("Description", "")]
            return {"admin": json.loads(secrets.get_secret_value(SecretId=found[0]["ARN"])["SecretString"])["password"]}

        domain.passwords = master if one["dashboards"] == "internal" else None
        made = {"CreateDomain": "true", "DomainName": domain.name, "DashboardsAuth": one["dashboards"]}
        return made | more.get(one["dashboards"], {})
    reused = {"OpenSearchEndpoint": domain.endpoint, "AuthMode": one["auth"]}
    if one["auth"] == "aws":
        return reused | {"OpenSearchDomainArn": domain.arn}
    open_to_all = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "es:ESHttp*", "Resource": f"{domain.arn}/*"}
    domain.access_policy = {"Statement": [open_to_all]}
    if one["auth"] == "none":
        return reused
    secret = aws.client("secretsmanager").create_secret(Name=f"{domain.name}-writer", SecretString="correct horse")
    domain.passwords = lambda: {"writer": "correct horse"}
    return reused | {"OpenSearchUsername": "writer", "OpenSearchPasswordSecretArn": secret["ARN"]}


def of_the_trail(one: Combination, trail: Trail) -> dict[str, str]:
    """Parameters that say where the events come from."""
    parameters = {"TrailBucketNames": trail.bucket, "WayIn": one["way"]}
    if one["bucket"] == "made":
        return parameters | {"CreateTrail": "true"}
    if one["bucket"] == "foreign":
        parameters["TrailBucketAccount"] = trail.account
    if one["way"] == "topic":
        parameters["TrailTopicArn"] = trail.topic
    return parameters


def of_the_recorder(one: Combination, aws: Any, bucket: str) -> tuple[dict[str, str], Channel]:
    """Parameters that say where AWS Config's messages come from, and what sends them."""
    match one["config"]:
        case "topics":
            channel = Channel.make(aws, bucket, REGION, ELSEWHERE)
            return of_config(channel), channel
        case "foreign":
            channel = Channel.make(aws, bucket, REGION, ELSEWHERE, account=FOREIGN)
            return of_config(channel, ConfigBucketAccount=FOREIGN), channel
        case "recorder":
            return {"CreateConfigRecorder": "true", "ConfigBucketNames": bucket}, Channel(aws, bucket)
        case "buses":
            channel = Channel.make(aws, bucket)
            senders = f"{SENDER},{ORGANISATION}"
            return {"ConfigEvents": "true", "ConfigSenders": senders, "ConfigBucketNames": bucket}, channel
    return {}, Channel(aws, "")


def record(one: Combination, stack: Stack, channel: Channel) -> str:
    """A change and a history, told by the combination's way; gives the history's key."""
    if one["config"] == "foreign":
        channel.allow(stack)
    channel.topics = channel.topics or [topic for topic in [stack.outputs.get("ConfigTopicArnMade")] if topic]
    channel.subscribe(stack)
    stored = channel.put(sample("ConfigHistory_AWS::EC2::VPC"))
    changed, delivered = change("i-0123456789abcdef0"), history_of(stored)
    if one["config"] == "buses":
        tell(stack, "ConfigEventsRule", changed)
        tell(stack, "CollectedConfigRule", delivered, stack.outputs["ConfigEventBusArn"])
    else:
        channel.publish(changed)
        channel.publish(delivered)
    return stored.key


def recorded(stack: Stack, key: str) -> None:
    """Both are documents."""

    def there() -> bool:
        sizes = [len(found(stack, f"config-{family}")) for family in ("history", "current", "events")]
        return sizes == [2, 2, 1]

    stack.wait_for(there, "two versions of two resources, and a delivery")
    assert {version["cfg"].get("key") for version in found(stack, "config-history")} == {None, key}


@pytest.mark.parametrize("one", COMBINATIONS, ids=lambda one: "-".join(value.strip("-") or "bare" for value in one.values()))
def test_what_is_deployed_indexes_what_is_delivered(
    one: Combination, account: Account, name: str, deploy: Deploy, request: pytest.FixtureRequest
) -> None:
    """The stack stands, its domain is prepared, each record of a new object and each version of a resource is a document, and
    no message is left."""
    domain: AmazonDomain = request.getfixturevalue("made" if one["domain"] == "made" else "domain")
    bucket = f"{name}-bucket"
    if one["bucket"] == "made":
        trail = Trail(account.aws, bucket)
    else:
        trail = Trail.make(account.aws, bucket, FOREIGN if one["bucket"] == "foreign" else "test")
        trail.prefix = "our logs+more/"  # with the characters that S3 encodes in its notifications
    of_recorder, channel = of_the_recorder(one, account.aws, f"{name}-config")
    parameters = {**of_the_domain(one, domain, account.aws), **of_the_trail(one, trail), **of_recorder}
    stack = deploy(domain, {**parameters, "IndexPrefix": one["names"]}, vary=audible)
    trail.topic = trail.topic or stack.outputs.get("TrailTopicArnMade", "")
    if one["bucket"] == "foreign":
        trail.allow(stack)
        if one["way"] == "topic":
            trail.subscribe(stack)
    if one["way"] != "topic" and one["bucket"] != "made":
        trail.notify(one["way"], stack)
    assert stack.index_template()["index_patterns"]
    history = record(one, stack, channel) if one["config"] != "none" else ""
    key = trail.deliver(stack, "first", records("First", 3), announced=one["way"] == "topic")
    stack.wait_for(lambda: len(stack.documents("First")) == 3, "three documents")
    assert {hit["_source"]["ct"]["key"] for hit in stack.documents("First")} == {key}
    assert {hit["_index"] for hit in stack.documents("First")} == {f"{one['names']}cloudtrail-2026.11"}
    if history:
        recorded(stack, history)
    stack.quiet()
