"""What unit, integration and engine tests of the function share: AWS as moto plays it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from osmem_server import OsmemServer

from tests.support.aws import Aws
from tests.support.engines import TestEngine
from tests.support.questions import SAMPLES, Engines, fill


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--renew-golden` writes the answers that are kept beside the tests anew, to be read before they are committed."""
    parser.addoption("--renew-golden", action="store_true", help="write the kept answers of the questions anew")


@pytest.fixture(scope="session")
def moto() -> Iterator[Aws]:
    """moto's server, one for the whole run."""
    with Aws() as aws:
        yield aws


@pytest.fixture
def aws(moto: Aws) -> Aws:
    """An AWS account in which there are only two empty buckets."""
    moto.clear()
    return moto


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    """What makes engines for questions, in the embedded engine."""
    with OsmemServer.start(japanese=False) as server:
        yield Engines(server.url, real=False)


@pytest.fixture(scope="module")
def samples(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """An engine with every sample of CloudTrail, indexed by the way of the function."""
    found = engines.new()
    fill(found, SAMPLES, tmp_path_factory.mktemp("files"))
    return found
