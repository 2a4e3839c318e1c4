"""What the tests of real deploys stand on: one stand-in for AWS and one build for all of them, and engines of their own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from osmem_server import OsmemServer

from tests.deploy.stacks import Deployer, DeployError, Stack, Variation
from tests.deploy.trails import Trail
from tests.support.alerting_endpoints import AlertingEndpoints, NotificationEndpoints
from tests.support.amazon_domain import AmazonDomain
from tests.support.building import built, tools_ready
from tests.support.dashboards_server import DashboardsServer
from tests.support.ministack import REGION, Ministack
from tests.support.tls import Certificate


@dataclass
class Account:
    """An AWS account for the whole run. `made` is where the domains are that stacks make, one at a time."""

    aws: Ministack
    deployer: Deployer
    certificate: Certificate
    made: AmazonDomain


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make build` makes for this machine's processor."""
    tools_ready()
    return built(tmp_path_factory.mktemp("build") / "build")


@contextlib.contextmanager
def running(build: Path, folder: Path) -> Iterator[Account]:
    """An account whose files are all in `folder`."""
    certificate = Certificate.make(folder)
    with AmazonDomain("made", "", certificate) as made, Ministack(folder, certificate, made.host) as aws:
        made.aws = aws
        yield Account(aws, Deployer(aws, build, folder), certificate, made)


@pytest.fixture(scope="session")
def account(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A running account."""
    with running(build, tmp_path_factory.mktemp("account")) as account:
        yield account


@pytest.fixture(scope="session")
def aws(account: Account) -> Ministack:
    """The stand-in for AWS."""
    return account.aws


_numbers = itertools.count(1)


@pytest.fixture
def name() -> str:
    """A name that nothing has yet: for stacks, buckets and domains."""
    return f"t{next(_numbers)}"


@pytest.fixture
def domain(account: Account, name: str) -> Iterator[AmazonDomain]:
    """A domain that somebody has, with an empty engine behind it."""
    with OsmemServer.start() as engine, AmazonDomain(f"{name}-domain", engine.url, account.certificate) as domain:
        domain.aws = account.aws
        yield domain


@pytest.fixture
def made(account: Account, name: str) -> Iterator[AmazonDomain]:
    """Where the domain will be that a stack makes; the domain is gone afterwards, although the stack leaves it."""
    with OsmemServer.start() as engine:
        domain = account.made
        domain.name, domain.engine, domain.passwords = f"{name}-made", engine.url, None
        domain.requests.clear()
        domain.dashboards = DashboardsServer()
        domain.alerting, domain.notifications = AlertingEndpoints(), NotificationEndpoints()
        yield domain
        client = account.aws.client("opensearch")
        with contextlib.suppress(client.exceptions.ResourceNotFoundException):
            client.delete_domain(DomainName=domain.name)


@pytest.fixture
def trail(aws: Ministack, name: str) -> Trail:
    """A trail that somebody has."""
    return Trail.make(aws, f"{name}-trail")


Deploy = Callable[..., Stack]


@pytest.fixture
def deploy(account: Account, name: str) -> Iterator[Deploy]:
    """Deploys stacks, which are gone after the test: `deploy(domain, parameters)`, see `Deployer.create`."""
    stacks: list[Stack] = []

    def create(
        domain: AmazonDomain,
        parameters: Mapping[str, str],
        *,
        region: str = REGION,
        vary: Variation | None = None,
        suffix: str = "",
    ) -> Stack:
        stack = account.deployer.create(name + suffix, parameters, domain.engine, region=region, vary=vary)
        stacks.append(stack)
        return stack

    yield create
    for stack in stacks:
        with contextlib.suppress(DeployError, _gone(stack)):
            account.deployer.delete(stack)


def _gone(stack: Stack) -> type[Exception]:
    error: type[Exception] = stack.client("cloudformation").exceptions.ClientError
    return error


def of(domain: AmazonDomain, trail: Trail, **more: Any) -> dict[str, str]:
    """Parameters of a stack for a domain and a trail that there are."""
    return {
        "TrailBucketNames": trail.bucket,
        "TrailTopicArn": trail.topic,
        "OpenSearchEndpoint": domain.endpoint,
        "OpenSearchDomainArn": domain.arn,
        **more,
    }


def with_password(aws: Ministack, domain: AmazonDomain) -> dict[str, str]:
    """Parameters of a stack whose functions sign in with a password, as the domain then wants it."""
    secret = aws.client("secretsmanager").create_secret(Name=f"{domain.name}-writer", SecretString="correct horse")["ARN"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": "es:*", "Resource": f"{domain.arn}/*"}
    domain.access_policy, domain.passwords = {"Statement": [statement]}, lambda: {"writer": "correct horse"}
    return {"AuthMode": "basic", "OpenSearchUsername": "writer", "OpenSearchPasswordSecretArn": secret}
