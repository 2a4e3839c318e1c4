"""Each statement of the AWS Config function's role: without it the function fails and says so, and nothing is lost.

Its statements are CloudTrail's, and one more; `test_permissions.py` asks IAM's evaluator about all of them. The proofs share one
stack, each with a resource of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from osmem_server import OsmemServer

from tests.deploy.channels import Channel, change, found, history_of, of_config, sample
from tests.deploy.conftest import Account, Deploy, of, with_password
from tests.deploy.stacks import Stack, records
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.ministack import REGION, Ministack

QUEUE = "ConfigQueueUrl"
READ_PASSWORD = "ReadPassword"
"""The statement that has a proof with a stack of its own, whose functions do not sign."""


@dataclass
class World:
    """A deployed stack and what is around it."""

    stack: Stack
    domain: AmazonDomain
    channel: Channel
    trail: Trail


@dataclass
class Case:
    """One proof in that world; what was logged and postponed before belongs to others."""

    world: World
    sid: str

    def __post_init__(self) -> None:
        self.stack = self.world.stack
        self.world.domain.requests.clear()
        self._logged = self.stack.log("config")
        self._postponed = len(self.stack.postponed(QUEUE))

    @property
    def resource(self) -> str:
        return f"i-{self.sid.lower()}"

    def publish(self) -> None:
        """A change of a resource."""
        self.world.channel.publish(change(self.resource))

    def indexed(self) -> bool:
        """Whether it is the latest state, and the queue is empty."""
        return bool(found(self.stack, "config-current", f"resourceId:{self.resource}")) and self.stack.waiting(QUEUE) == 0

    def said(self, text: str) -> int:
        """How often the function wrote something since the proof began."""
        return self.stack.log("config").count(text) - self._logged.count(text)

    def returned(self, reason: str) -> bool:
        """Whether the message went back to the queue for this reason, and nothing was lost on the way."""
        back = len(self.stack.postponed(QUEUE)) > self._postponed
        return back and self.said(reason) > 0 and self.stack.waiting(QUEUE) == 1

    def release(self) -> int:
        return self.stack.release(QUEUE)

    def wrote(self) -> set[int]:
        """The answers of the domain to what the function wrote or asked for by POST."""
        return {one.status for one in self.world.domain.seen("POST", caller=self.stack.physical("ConfigFunctionRole"))}


@dataclass(frozen=True)
class Proof:
    """What a statement is for: something that is tried, how it shows that it may not be done, and that it was done.

    `fresh` wants a container that has done nothing yet.
    """

    act: Callable[[Case], object]
    failed: Callable[[Case], object]
    done: Callable[[Case], object] = Case.indexed
    fresh: bool = False


def announce_history(case: Case) -> None:
    case.world.channel.publish(history_of(case.world.channel.put(sample("ConfigHistory_AWS::EC2::Volume"))))


def announce_trail(case: Case) -> None:
    key = case.world.trail.deliver(case.stack, "notice", records("Notice", 3))
    case.world.channel.publish({"s3Bucket": case.world.trail.bucket, "s3ObjectKey": [key]})


def publish_impatiently(case: Case) -> None:
    """As `publish`; a message that nobody postpones comes back after the queue's own time, here two seconds."""
    case.stack.client("sqs").set_queue_attributes(QueueUrl=case.stack.outputs[QUEUE], Attributes={"VisibilityTimeout": "2"})
    case.publish()


def publish_in_an_outage(case: Case) -> None:
    case.world.domain.down()
    publish_impatiently(case)


def postponed_again(case: Case) -> bool:
    if not case.said("message returned") or not case.stack.postponed(QUEUE):
        return False
    case.world.domain.up()
    case.release()
    return case.indexed()


CONFIG = {
    "ReadIndexTemplate": Proof(Case.publish, lambda case: case.returned("nothing is written") and not case.wrote(), fresh=True),
    "WriteDocuments": Proof(Case.publish, lambda case: case.returned("es:ESHttpPost") and case.wrote() == {403}),
    "ReadObjects": Proof(
        announce_history,
        lambda case: case.returned("the function's role may not read it"),
        lambda case: len(found(case.stack, "config-history", "cfg.source:history")) == 3 and case.stack.waiting(QUEUE) == 0,
    ),
    "WriteQuarantine": Proof(
        lambda case: case.world.channel.publish({"messageType": "ConfigForecast"}),
        lambda case: case.returned("quarantine") and not case.stack.quarantined(),
        lambda case: len(case.stack.quarantined()) == 1 and case.stack.waiting(QUEUE) == 0,
    ),
    "HandOnTrailNotices": Proof(
        announce_trail,
        lambda case: case.returned("could not be handed on") and case.said("sqs:SendMessage") > 0,
        lambda case: len(case.stack.documents("Notice")) == 3 and case.stack.waiting(QUEUE) == 0,
    ),
    "ReceiveMessages": Proof(
        publish_in_an_outage,
        lambda case: case.said("a returned message could not be postponed") > 1,
        postponed_again,
        fresh=True,
    ),
}


@pytest.fixture(scope="module")
def world(account: Account) -> Iterator[World]:
    """The stack that the proofs share, with an empty engine."""
    aws, name = account.aws, "config-permissions"
    with OsmemServer.start() as engine, AmazonDomain(name, engine.url, account.certificate) as domain:
        domain.aws = aws
        trail, channel = Trail.make(aws, f"{name}-trail"), Channel.make(aws, name, REGION)
        stack = account.deployer.create(name, {**of(domain, trail), **of_config(channel)}, engine.url)
        yield World(stack, domain, channel, trail)
        account.deployer.delete(stack)


def start_afresh(stack: Stack) -> None:
    """Point the alias at a new version, which has no container yet."""
    client, name = stack.client("lambda"), stack.physical("ConfigFunction")
    client.update_function_configuration(FunctionName=name, Description="the same, from its first container on")
    version = client.publish_version(FunctionName=name)["Version"]
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)


@pytest.mark.parametrize("sid", CONFIG)
def test_the_function_fails_without_a_statement_and_recovers(sid: str, world: World) -> None:
    """What it may not do is said and comes back; with the statement in place again it is done, and nothing is lost."""
    proof, case, stack = CONFIG[sid], Case(world, sid), world.stack
    if proof.fresh:
        start_afresh(stack)
    put_back = stack.without("ConfigFunctionRole", sid)
    proof.act(case)
    stack.wait_for(lambda: proof.failed(case), f"a sign that {sid} is missing")
    put_back()
    case.release()
    stack.wait_for(lambda: case.release() * 0 or proof.done(case), f"recovery with {sid}")
    assert stack.waiting("ConfigDeadLetterQueueUrl") == 0


def test_without_its_password_the_function_fails_and_recovers(
    deploy: Deploy, domain: AmazonDomain, trail: Trail, aws: Ministack, name: str
) -> None:
    """ReadPassword: the function does not come as far as postponing anything; its errors raise an alarm."""
    channel = Channel.make(aws, f"{name}-config", REGION)
    stack = deploy(domain, {**of(domain, trail, **with_password(aws, domain)), **of_config(channel)})
    case = Case(World(stack, domain, channel, trail), READ_PASSWORD)
    put_back = stack.without("ConfigFunctionRole", READ_PASSWORD)
    publish_impatiently(case)
    refusal = "not authorized to perform: secretsmanager:GetSecretValue"
    stack.wait_for(lambda: refusal in stack.log("config") and stack.waiting(QUEUE) == 1, "a sign that ReadPassword is missing")
    put_back()
    stack.wait_for(case.indexed, "recovery with ReadPassword")
    stack.quiet()
