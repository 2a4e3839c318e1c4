"""What must not lose anything: an engine that is away for long, many objects at once, a create that fails, a shared domain."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest
from osmem_server import OsmemServer
from story.config_payloads import compliance, delivery

from tests.deploy.channels import Channel, change, found, history_of, large_item, of_config, sample
from tests.deploy.conftest import Account, Deploy, of
from tests.deploy.stacks import DeployError, Stack, records
from tests.deploy.test_permissions import lacking
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.ministack import REGION

RECEIVED = 11
"""Deliveries of each message during the outage."""


def test_an_outage_loses_nothing(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """While the engine refuses or answers 503 each message comes back, later each time; when it is back, all is indexed."""
    stack = deploy(domain, of(domain, trail))
    domain.down("unavailable")
    names = [f"During{number}" for number in range(3)]
    for name in names:
        trail.deliver(stack, name, records(name, 2), announced=True)

    outages: Iterator[Literal["refusing", "unavailable"]] = itertools.cycle(("refusing", "unavailable"))

    def received_often() -> bool:
        domain.down(next(outages))
        stack.release()
        return min(stack.received()) >= RECEIVED

    stack.wait_for(lambda: len(stack.received()) == len(names), "three messages")
    stack.wait_for(received_often, f"{RECEIVED} deliveries of each")
    assert {one.seconds for one in stack.postponed()} == {30, 60, 120, 240, 480, 900}
    assert stack.waiting() == len(names)
    domain.up()
    stack.wait_for(lambda: stack.release() * 0 or all(len(stack.documents(name)) == 2 for name in names), "all documents")
    stack.quiet()


def test_an_outage_loses_nothing_of_config(deploy: Deploy, domain: AmazonDomain, trail: Trail, name: str) -> None:
    """The same with a message of each kind on a topic of AWS Config's, CloudTrail's among them, which is handed on later."""
    channel = Channel.make(trail.aws, f"{name}-config", REGION)
    stack = deploy(domain, {**of(domain, trail), **of_config(channel)})
    domain.down("unavailable")
    objects = [sample(part) for part in ("ConfigHistory_AWS::EC2::Instance", "_ConfigSnapshot_", "OversizedChangeNotification")]
    history, snapshot, large = (channel.put(one) for one in objects)
    snapshot_came = delivery("ConfigurationSnapshotDeliveryCompleted", "2026-11-09T12:00:04.853Z", snapshot)
    not_compliant = compliance("COMPLIANT", "NON_COMPLIANT", "2026-11-05T13:59:08.405Z")
    changed = change("i-0a11a11a11a11a11a")
    for message in (changed, history_of(history), snapshot_came, large_item(large), not_compliant):
        channel.publish(message)
    key = trail.deliver(stack, "during", records("During", 2))
    channel.publish({"s3Bucket": trail.bucket, "s3ObjectKey": [key]})

    outages: Iterator[Literal["refusing", "unavailable"]] = itertools.cycle(("refusing", "unavailable"))
    queue = "ConfigQueueUrl"

    def received_often() -> bool:
        domain.down(next(outages))
        stack.release(queue)
        return min(stack.received(queue)) >= RECEIVED

    stack.wait_for(lambda: len(stack.received(queue)) == 6, "six messages")
    stack.wait_for(received_often, f"{RECEIVED} deliveries of each")
    assert {one.seconds for one in stack.postponed(queue)} == {30, 60, 120, 240, 480, 900}
    assert stack.waiting(queue) == 6
    domain.up()
    items = [changed["configurationItem"], *(json.loads(text) for one in objects for text in one.elements)]
    versions = {(item["resourceId"], item["configurationItemCaptureTime"]) for item in items}

    def arrived() -> bool:
        stack.release(queue)
        there = found(stack, "config-history")
        return {(one["resourceId"], one["configurationItemCaptureTime"]) for one in there} == versions

    stack.wait_for(lambda: arrived() and len(stack.documents("During")) == 2, "all versions, and CloudTrail's documents")
    stack.quiet()
    assert {one["resourceId"] for one in found(stack, "config-current")} == {identity for identity, _ in versions}
    kinds = Counter(one["messageType"] for one in found(stack, "config-events"))
    assert kinds["ComplianceChangeNotification"] == kinds["OversizedConfigurationItemChangeNotification"] == 1


def test_an_engine_that_goes_away_under_a_running_function_loses_nothing(
    deploy: Deploy, domain: AmazonDomain, trail: Trail
) -> None:
    """A container that has indexed already tries for a while, gives the message back, and indexes it later."""
    stack = deploy(domain, of(domain, trail))
    trail.deliver(stack, "before", records("Before", 1), announced=True)
    stack.wait_for(lambda: stack.documents("Before"), "a document before the outage")
    stack.quiet()
    domain.down()
    trail.deliver(stack, "during", records("During", 2), announced=True)
    stack.wait_for(stack.postponed, "a message that comes back")
    assert {one.status for one in domain.seen("POST", "/_bulk")} == {200, 503}
    domain.up()
    stack.wait_for(lambda: stack.release() * 0 or len(stack.documents("During")) == 2, "the documents of the outage")
    stack.quiet()


def test_many_objects_at_once_are_each_there_once(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """500 objects, put by eight threads and announced by S3: no record is lost or doubled, and the function's counts add up."""
    stack = deploy(domain, of(domain, trail, WayIn="bucket", TrailTopicArn=""))
    trail.notify("bucket", stack)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: trail.deliver(stack, f"{number}", records("Busy", 8, number * 8)), range(500)))
    stack.wait_for(
        lambda: len(stack.documents("Busy")) == 4_000 and stack.waiting() == 0, f"4,000 documents\n{stack.log()[-3_000:]}"
    )
    stack.quiet()
    assert {hit["_source"]["eventID"] for hit in stack.documents("Busy")} == {f"Busy-{number}" for number in range(4_000)}
    counts = counted(stack)
    assert counts["RecordsRead"] == 4_000 == counts["RecordsIndexed"] + counts["RecordsDuplicate"]
    assert counts["ObjectsRead"] == 500
    assert counts["RecordsFiltered"] == counts["RecordsQuarantined"] == counts["RecordsReturned"] == counts["ObjectsFailed"] == 0


def counted(stack: Stack, function: str = "cloudtrail") -> Counter[str]:
    """The sums of a function's metrics."""
    counts: Counter[str] = Counter()
    for line in stack.log(function).splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if "_aws" in entry:
            counts.update({name: int(values[0]) for name, values in entry.items() if isinstance(values, list)})
    return counts


def test_a_create_that_failed_leaves_nothing_in_the_way(account: Account, deploy: Deploy, made: AmazonDomain, name: str) -> None:
    """The reason is in the stack's events, bucket, domain and secret are gone again, and the same create then works."""
    parameters = {
        "CreateTrail": "true",
        "TrailBucketNames": f"{name}-trail",
        "CreateDomain": "true",
        "DomainName": made.name,
        "DashboardsAuth": "internal",
        "AllowedCidrs": "127.0.0.0/8",
    }
    with pytest.raises(DeployError, match=r"DomainSetup CREATE_FAILED .*GetSecretValue"):
        deploy(made, parameters, vary=lacking("ReadMasterPassword"))
    failed = Stack(account.aws, name, made.engine, dict(parameters))
    buckets = [one["Name"] for one in failed.client("s3").list_buckets()["Buckets"]]
    assert not [bucket for bucket in buckets if bucket.startswith(f"{name}-")]
    assert made.name not in [one["DomainName"] for one in failed.client("opensearch").list_domain_names()["DomainNames"]]
    assert not [one for one in failed.client("secretsmanager").list_secrets()["SecretList"] if made.name in one["Description"]]
    account.deployer.delete(failed)
    stack = deploy(made, parameters)
    trail = Trail(account.aws, f"{name}-trail", stack.outputs["TrailTopicArnMade"])
    trail.deliver(stack, "first", records("First", 2), announced=True)
    stack.wait_for(lambda: len(stack.documents("First")) == 2, "two documents")
    stack.quiet()


def test_two_stacks_share_a_domain(deploy: Deploy, domain: AmazonDomain, trail: Trail, name: str) -> None:
    """Each has its prefix, its queue and its documents."""
    one = deploy(domain, of(domain, trail, IndexPrefix="one-"), suffix="-one")
    other = Trail.make(trail.aws, f"{name}-other")
    two = deploy(domain, of(domain, other, IndexPrefix="two-"), suffix="-two")
    trail.deliver(one, "first", records("First", 2), announced=True)
    other.deliver(two, "second", records("Second", 3), announced=True)
    one.wait_for(lambda: len(one.documents("First")) == 2, "documents of the first")
    two.wait_for(lambda: len(two.documents("Second")) == 3, "documents of the second")
    assert not one.documents("Second")
    assert not two.documents("First")
    one.quiet()
    two.quiet()


def test_two_regions_have_a_stack_each(account: Account, deploy: Deploy, domain: AmazonDomain, trail: Trail, name: str) -> None:
    """In one account, each with the trail and the domain of its region.

    Their names differ: ministack gives roles of one stack name one name in all regions, where AWS adds something random.
    """
    west = "eu-west-1"
    one = deploy(domain, of(domain, trail))
    with OsmemServer.start() as engine, AmazonDomain(f"{name}-west", engine.url, account.certificate, west) as there:
        there.aws = account.aws
        other = Trail.make(trail.aws, f"{name}-west", region=west)
        two = deploy(there, of(there, other), region=west, suffix="-west")
        trail.deliver(one, "first", records("First", 2), announced=True)
        other.deliver(two, "second", records("Second", 3), announced=True)
        one.wait_for(lambda: len(one.documents("First")) == 2, "documents of the first")
        two.wait_for(lambda: len(two.documents("Second")) == 3, "documents of the second")
        assert not one.documents("Second")
        one.quiet()
        two.quiet()
