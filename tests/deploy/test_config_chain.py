"""AWS Config deployed: what its channels deliver in two regions, accounts and event buses becomes documents.

One stack for the whole module, in a world of its own: its tests add up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from generate import CONFIG, INSTANCE
from osmem_server import OsmemServer
from story.config_payloads import compliance, delivery, item_message
from story.inventory import all_versions, role

from tests.deploy.channels import (
    ELSEWHERE,
    ORGANISATION,
    SENDER,
    Channel,
    audible,
    change,
    event,
    found,
    history_of,
    large_item,
    sample,
    tell,
)
from tests.deploy.conftest import Account, of
from tests.deploy.stacks import Stack, records
from tests.deploy.test_faults import counted
from tests.deploy.trails import FOREIGN, Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.building import COLLECTOR, load_template
from tests.support.ministack import REGION, Ministack

GONE = "i-0feedfacefeedface"
"""An instance that the snapshot does not list."""


@dataclass
class World:
    """A stack that takes everything: two topics of its account in two regions, one of another account, both event buses."""

    stack: Stack
    domain: AmazonDomain
    trail: Trail
    channel: Channel
    foreign: Channel


@pytest.fixture(scope="module")
def world(account: Account) -> Iterator[World]:
    """The stack, with an empty engine."""
    aws = account.aws
    with OsmemServer.start() as engine, AmazonDomain("config-chain", engine.url, account.certificate) as domain:
        domain.aws = aws
        trail = Trail.make(aws, "config-chain-trail")
        channel = Channel.make(aws, "config-chain", REGION, ELSEWHERE)
        foreign = Channel.make(aws, "config-chain-foreign", "eu-west-1", account=FOREIGN)
        parameters = {
            **of(domain, trail),
            "ConfigTopicArns": ",".join([*channel.topics, *foreign.topics]),
            "ConfigEvents": "true",
            "ConfigSenders": f"{SENDER},{ORGANISATION}",
            "ConfigBucketNames": channel.bucket,
        }
        stack = account.deployer.create("config-chain", parameters, engine.url, vary=audible)
        channel.subscribe(stack)
        foreign.subscribe(stack)
        yield World(stack, domain, trail, channel, foreign)
        account.deployer.delete(stack)


def test_a_life_in_two_regions_is_told_in_order(world: World) -> None:
    """Its messages come by two topics, the last first: each version once, what changed as it happened, and the latest state."""
    for number, version in enumerate(reversed(all_versions())):
        world.channel.publish(item_message(version), world.channel.topics[number % 2])
    items = [version.item for version in all_versions()]
    versions = len({(item["resourceId"], item["configurationItemCaptureTime"]) for item in items})
    world.stack.wait_for(lambda: len(found(world.stack, "config-history")) == versions, f"{versions} versions")
    world.stack.quiet()
    lines = [one["cfg"]["changeLines"][0] for one in found(world.stack, "config-history", f"resourceId:{INSTANCE}")]
    assert lines[:2] == ['status  null -> "ResourceDiscovered"', 'Tags.Name  null -> "web-1"']
    assert lines[-1] == 'status  "OK" -> "ResourceDeleted"'
    (latest,) = found(world.stack, "config-current", f"resourceId:{INSTANCE}")
    assert latest["cfg"]["deleted"] is True
    assert {one["cfg"]["topic"] for one in found(world.stack, "config-history")} == {*world.channel.topics}


def test_the_topic_of_another_account_reaches_the_queue(world: World) -> None:
    """Its owner lets the queue subscribe, as the outputs ask for; a topic that is not named may not send."""
    world.foreign.publish(change("i-0a00000000000000a"))
    other = Channel.make(world.channel.aws, "config-chain-stranger", REGION)
    client = other.aws.client("sns", REGION)
    client.subscribe(TopicArn=other.topics[0], Protocol="sqs", Endpoint=world.stack.outputs["ConfigQueueArn"])
    other.publish(change("i-0bad0000000000bad"))
    world.stack.wait_for(lambda: found(world.stack, "config-current", "resourceId:i-0a00000000000000a"), "the other's resource")
    world.stack.quiet()
    assert not found(world.stack, "config-history", "resourceId:i-0bad0000000000bad")


def test_what_config_tells_eventbridge_here_is_indexed(world: World) -> None:
    """The default event bus, the stack's rule, the queue."""
    tell(world.stack, "ConfigEventsRule", change("i-0e00000000000000e"))
    world.stack.wait_for(lambda: found(world.stack, "config-current", "resourceId:i-0e00000000000000e"), "the resource")
    world.stack.quiet()


def test_what_a_collector_hears_is_indexed(world: World, account: Account) -> None:
    """The collector's rule, the central event bus, the rule behind it, the queue; its role may send there and nowhere else.

    ministack sends from one event bus to another in one account and region only, and takes no role for it: that it is the
    role of the target which sends is asked of IAM's evaluator, the bus's policy of the test of the template.
    """
    bus = world.stack.outputs["ConfigEventBusArn"]
    collector = account.deployer.create_plain("config-chain-collector", COLLECTOR, {"CentralEventBusArn": bus}, vary=audible)
    tell(world.stack, "ConfigRule", change("i-0c00000000000000c"))
    world.stack.wait_for(lambda: found(world.stack, "config-current", "resourceId:i-0c00000000000000c"), "the resource")
    world.stack.quiet()
    assert collector.may("SenderRole", "events:PutEvents", bus)
    assert not collector.may("SenderRole", "events:PutEvents", f"{bus}-other")
    assert not collector.may("SenderRole", "events:PutRule", bus)
    assert collector.waiting("DeadLetterQueueUrl") == 0
    account.deployer.delete(collector)


@pytest.mark.parametrize("path", ["template.yaml", "collector.template.yaml"])
def test_the_rules_take_each_event_of_config_and_no_other(aws: Ministack, path: str) -> None:
    """As they are in the templates, for the tests above have them hear another source."""
    resources = load_template(COLLECTOR.parent / path)["Resources"]
    rules = [name for name in ("ConfigEventsRule", "CollectedConfigRule", "ConfigRule") if name in resources]
    assert len(rules) == (1 if path.startswith("collector") else 2)
    sent: dict[str, Any] = event({})
    told = [json.loads((CONFIG / f"config_{one}_eventbridge.json").read_text("utf-8")) for one in ("item", "compliance")]
    of_its_api = {**sent, "detail-type": "AWS API Call via CloudTrail"}
    for name in rules:
        pattern = json.dumps(resources[name]["Properties"]["EventPattern"])

        def takes(one: dict[str, Any], pattern: str = pattern) -> bool:
            return bool(aws.client("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(one))["Result"])

        assert all(takes(one) for one in told)
        assert not takes(of_its_api)
        assert not takes({**sent, "source": "aws.ec2"})


def test_histories_and_large_items_are_read_from_the_bucket(world: World) -> None:
    """A history that a topic announces, one that the bucket announces by itself, and an item that was too large to be sent."""
    announced, by_itself = sample("ConfigHistory_AWS::EC2::Instance"), sample("ConfigHistory_AWS::IAM::Role")
    world.channel.publish(history_of(world.channel.put(announced)), world.channel.topics[0])
    large = world.channel.put(sample("OversizedChangeNotification"))
    identity = large.key.split("/")[-2]
    world.channel.publish(large_item(large), world.channel.topics[1])
    queue = {"QueueArn": world.stack.outputs["ConfigQueueArn"], "Events": ["s3:ObjectCreated:*"]}
    s3 = world.channel.aws.client("s3")
    s3.put_bucket_notification_configuration(
        Bucket=world.channel.bucket, NotificationConfiguration={"QueueConfigurations": [queue]}
    )
    world.channel.put(by_itself)
    s3.put_bucket_notification_configuration(Bucket=world.channel.bucket, NotificationConfiguration={})
    world.stack.wait_for(lambda: found(world.stack, "config-history", f"resourceId:{identity}"), "the large item")
    world.stack.quiet()
    (version,) = found(world.stack, "config-history", f"resourceId:{identity}")
    assert (version["cfg"]["source"], version["cfg"]["key"]) == ("oversized", large.key)
    known = {one["configurationItemCaptureTime"] for one in found(world.stack, "config-history", "resourceType:*IAM*")}
    assert known >= {one.item["configurationItemCaptureTime"] for one in role().versions}
    assert len(found(world.stack, "config-events", "messageType:Oversized*")) == 1


def test_a_snapshot_says_what_it_no_longer_lists(world: World) -> None:
    """A resource that the stream told of and the snapshot lacks is an event, found by a search that the role allows."""
    world.channel.publish(change(GONE), world.channel.topics[0])
    world.stack.wait_for(lambda: found(world.stack, "config-current", f"resourceId:{GONE}"), "a resource")
    stored = world.channel.put(sample("111122223333_Config_eu-central-1_ConfigSnapshot"))
    message = delivery("ConfigurationSnapshotDeliveryCompleted", "2026-11-09T12:00:04.853Z", stored)
    world.channel.publish(message, world.channel.topics[0])
    world.stack.wait_for(lambda: found(world.stack, "config-events", f"resourceId:{GONE}"), "what is missing")
    world.stack.quiet()
    assert found(world.stack, "config-current", f"resourceId:{GONE}")


def test_compliance_is_an_event(world: World) -> None:
    """By EventBridge too, where the message is the event's detail."""
    tell(world.stack, "ConfigEventsRule", compliance("COMPLIANT", "NON_COMPLIANT", "2026-11-05T13:59:08.405Z"))
    world.stack.wait_for(lambda: found(world.stack, "config-events", "complianceType:NON_COMPLIANT"), "the event")
    world.stack.quiet()


def test_cloudtrails_notice_goes_to_cloudtrails_queue(world: World) -> None:
    """A topic carries both: the object that CloudTrail's message names is indexed by the other function."""
    key = world.trail.deliver(world.stack, "aggregated", records("Aggregated", 3))
    world.channel.publish({"s3Bucket": world.trail.bucket, "s3ObjectKey": [key]}, world.channel.topics[0])
    world.stack.wait_for(lambda: len(world.stack.documents("Aggregated")) == 3, "CloudTrail's documents")
    world.stack.quiet()


def test_the_function_asked_for_nothing_that_its_role_does_not_need(world: World) -> None:
    """After all of the above: what it asked the domain for was allowed, each path of its role was used, and its counts add up."""
    asked = world.domain.seen(caller=world.stack.physical("ConfigFunctionRole"))
    assert {one.status for one in asked} == {200}
    paths = {(one.method, one.path.replace("config-current-v1", "config-current")) for one in asked}
    families = ("config-history", "config-current", "config-events", "config-timeline")
    assert paths - {("GET", f"/_index_template/{family}") for family in families} == {
        ("POST", "/_bulk"),
        ("POST", "/_mget"),
        ("POST", "/config-current/_search"),
    }
    counts: Counter[str] = counted(world.stack, "config")
    ended = sum(counts[f"Records{one}"] for one in ("Indexed", "Duplicate", "Filtered"))
    assert counts["RecordsRead"] == ended
    assert counts["RecordsQuarantined"] == counts["RecordsReturned"] == counts["MessagesForeign"] == 0
    assert counts["ObjectsHandedOn"] == 1
    assert not world.stack.quarantined()
