"""What unit, integration and engine tests of the function share: AWS as moto plays it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.aws import Aws


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
