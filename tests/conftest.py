"""What unit, integration and engine tests of the function share: AWS as moto plays it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.aws import Aws


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
