"""The function as Lambda calls it, with the environment of a test around it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from audit_search.bulk import Retries
from audit_search.container import Container
from audit_search.invocation import Function as Invoked
from functions.aws_config import app as aws_config
from functions.cloudtrail import app as cloudtrail
from tests.support.aws import CONFIG, QUARANTINE, TRAIL, Aws, Context

QUICK = Retries(attempts=8, base=0.001, cap=0.002, timeout=20)
"""As many tries as in production, without the waiting."""


@dataclass
class Function:
    """`lambda_handler` in an environment; a warm container between calls, until `cold()`."""

    invoked: Invoked[Any]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    environment: dict[str, str]
    retries: Retries = QUICK
    _output: list[str] = field(default_factory=list)

    def __call__(self, event: Mapping[str, Any], *, remaining: int = 300_000) -> dict[str, Any]:
        """Call it, with the milliseconds that the invocation has left."""
        _ = self.container
        _, observer = self.invoked.warm()
        # The logger is one for the process, and would go on writing to the standard output that it found at first.
        for handler in observer.logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.stream = sys.stdout
        self._output.clear()
        try:
            answer = self.invoked(dict(event), Context(remaining))
        finally:
            self._output += self.capsys.readouterr().out.splitlines()
        json.dumps(answer)  # Lambda could not give anything else back
        return answer

    @property
    def container(self) -> Container[Any]:
        """What the next call will use."""
        for name, value in self.environment.items():
            self.monkeypatch.setenv(name, value)
        container, _ = self.invoked.warm()
        container.pipeline.retries = self.retries
        return container

    def cold(self) -> None:
        """Forget the container."""
        self.invoked.cold()

    @property
    def output(self) -> list[str]:
        """The lines that the last call wrote to standard output."""
        return self._output

    @property
    def logged(self) -> list[dict[str, Any]]:
        """The structured log of the last call; every line has to be JSON."""
        return [line for line in map(json.loads, self._output) if "_aws" not in line]

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the last call by name, from CloudWatch's embedded format."""
        found: dict[str, float] = {}
        for line in map(json.loads, self._output):
            for group in line.get("_aws", {}).get("CloudWatchMetrics", []):
                for metric in group["Metrics"]:
                    value = line[metric["Name"]]
                    found[metric["Name"]] = sum(value) if isinstance(value, list) else value
        return found


def make_function(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, endpoint: str, **settings: str
) -> Function:
    """The CloudTrail function before an engine without authentication, with moto as AWS; `settings` replace or add variables."""
    return _function(cloudtrail.FUNCTION, monkeypatch, capsys, aws, {**_engine(endpoint), "ALLOWED_BUCKETS": TRAIL, **settings})


def make_config_function(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, endpoint: str, **settings: str
) -> Function:
    """The AWS Config function in the same surroundings; what is CloudTrail's has no queue unless TRAIL_QUEUE_URL names one."""
    return _function(aws_config.FUNCTION, monkeypatch, capsys, aws, {**_engine(endpoint), "ALLOWED_BUCKETS": CONFIG, **settings})


def _engine(endpoint: str) -> dict[str, str]:
    return {"OPENSEARCH_ENDPOINT": endpoint, "OPENSEARCH_AUTH": "none", "QUARANTINE_BUCKET": QUARANTINE}


def _function(
    invoked: Invoked[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, settings: dict[str, str]
) -> Function:
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    function = Function(invoked, monkeypatch, capsys, {**aws.environment, **settings})
    function.cold()
    return function
