"""The Lambda function as it is deployed, run in this process, and what it reports about its work."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import os
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_search.errors import ReturnedError, SettingsError
from demo.options import DemoError
from demo.storage import BUCKET, CREDENTIALS, QUARANTINE_BUCKET, REGION

FUNCTIONS = Path(__file__).resolve().parents[1] / "functions"
ENDINGS = ("indexed", "duplicates", "filtered", "quarantined", "returned")
"""Where a record can end; their sum is what was read."""
COUNTS = ("read", *ENDINGS, "skipped_objects", "failed_objects")

_DOMAIN = re.compile(r"\.([a-z0-9-]+)\.es\.amazonaws\.com(?:\.cn)?$|\.aos\.([a-z0-9-]+)\.on\.aws$")
_TIMEOUT = 900.0
"""Seconds: the longest that Lambda allows. The deployed function has less, but a laptop's engine is slower as well."""


def default_auth(endpoint: str, environ: Mapping[str, str]) -> str:
    """How to log in where OPENSEARCH_AUTH does not say: a domain of Amazon's by signature, others by password if there is one."""
    if endpoint.startswith("https:") and _region(endpoint):
        return "aws"
    return "basic" if environ.get("OPENSEARCH_USERNAME", "").strip() else "none"


def _region(endpoint: str) -> str:
    """The region in the address of one of Amazon's domains; empty for others."""
    host = endpoint.partition("://")[2].partition("/")[0].partition(":")[0].lower()
    found = _DOMAIN.search(host)
    return found[1] or found[2] if found else ""


def environment(environ: Mapping[str, str], *, endpoint: str, s3_endpoint: str) -> dict[str, str]:
    """The environment of the function: the reader's, without what could lead it to a real account by mistake.

    Only where the engine's own log-in is AWS's (`aws`, or a password in Secrets Manager) the reader's AWS settings stay,
    and S3 and SQS alone are redirected.
    """
    auth = environ.get("OPENSEARCH_AUTH", "").strip() or default_auth(endpoint, environ)
    real_account = auth == "aws" or (auth == "basic" and bool(environ.get("OPENSEARCH_PASSWORD_SECRET", "").strip()))
    made = {name: value for name, value in environ.items() if not name.startswith(("POWERTOOLS_", "AWS_LAMBDA_", "LOG_LEVEL"))}
    if real_account:
        local = {"AWS_ENDPOINT_URL_S3": s3_endpoint, "AWS_ENDPOINT_URL_SQS": s3_endpoint}
        made |= {**local, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"}
        region = _region(endpoint)
        if region:
            made |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    else:
        made = {name: value for name, value in made.items() if not name.startswith("AWS_")} | {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": s3_endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    # A proxy of the reader's network does not know this machine's own address.
    for name in ("NO_PROXY", "no_proxy"):
        made[name] = ",".join(filter(None, (environ.get(name, ""), "127.0.0.1", "localhost")))
    return made | {
        "OPENSEARCH_ENDPOINT": endpoint,
        "OPENSEARCH_AUTH": auth,
        "ALLOWED_BUCKETS": BUCKET,
        "QUARANTINE_BUCKET": QUARANTINE_BUCKET,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "POWERTOOLS_SERVICE_NAME": "cloudtrail",
    }


@dataclass(slots=True)
class Tally:
    """What the function reported, summed over its invocations."""

    counts: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """What was skipped and why."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Keys of objects that could not be read to their end, and why."""
    returned: list[str] = field(default_factory=list)
    """Why invocations were left for Lambda to retry."""

    @property
    def ended(self) -> int:
        return sum(self.counts[name] for name in ENDINGS)

    def check(self) -> None:
        """Raises DemoError when a record has no ending."""
        if self.counts["read"] != self.ended:
            parts = " + ".join(f"{self.counts[name]:,} {name}" for name in ENDINGS)
            raise DemoError(f"The counts do not add up: {self.counts['read']:,} read, but {parts}.", "Please report this.")


class Handler:
    """One of the functions below `functions/`, called as Lambda does; its logs and metrics go into `log`, not to the terminal."""

    def __init__(self, folder: str) -> None:
        """`folder` is that of the function. Raises DemoError."""
        self.log = io.StringIO()
        # They only repeat what the function reports itself.
        for name in ("botocore", "boto3", "urllib3"):
            logging.getLogger(name).setLevel(logging.ERROR)
        path = FUNCTIONS / folder / "app.py"
        spec = importlib.util.spec_from_file_location(f"{folder}_function", path)
        if spec is None or spec.loader is None:
            raise DemoError(f"{path} is missing.", "Check out the whole project.")
        self._app = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._app)

    def __call__(self, event: dict[str, Any]) -> tuple[Any, str, list[dict[str, Any]]]:
        """The answer, why the event has to be delivered again, and the lines that were logged. Raises DemoError."""
        start = self.log.tell()
        answer, reason = None, ""
        try:
            with contextlib.redirect_stdout(self.log):
                answer = self._app.lambda_handler(event, _Context())
        except ReturnedError as error:
            reason = str(error)
        except SettingsError as error:
            raise DemoError("The settings are not valid: " + "; ".join(error.problems) + ".") from error
        return answer, reason, list(_lines(self.log.getvalue()[start:]))


class Function:
    """The CloudTrail function and the sum of what it reports."""

    def __init__(self) -> None:
        """Raises DemoError."""
        self._handler = Handler("cloudtrail")
        self.tally = Tally()

    @property
    def log(self) -> io.StringIO:
        """What it logged."""
        return self._handler.log

    def invoke(self, event: dict[str, Any]) -> str:
        """Run the handler once and add what it reports to the tally.

        Gives the reason when the event has to be delivered again, an empty text otherwise. Raises DemoError.
        """
        summary, reason, lines = self._handler(event)
        if reason:
            self.tally.returned.append(reason)
        self._add(lines, summary)
        return reason

    def _add(self, lines: Sequence[dict[str, Any]], summary: Mapping[str, int] | None) -> None:
        """Counts come from the handler's answer; where it raised instead, from the line that it logs for each object."""
        tally, logged = self.tally, Counter[str]()
        for line in lines:
            if line.get("message") == "skipped":
                logged["skipped_objects"] += 1
                tally.skipped.append((str(line["what"]).removeprefix(f"s3://{BUCKET}/"), str(line["reason"])))
            elif line.get("message") == "object":
                logged.update({name: int(line[name]) for name in ("read", *ENDINGS)})
                if "error" in line:
                    logged["failed_objects"] += 1
                    tally.failed.append((str(line["key"]), str(line["error"])))
        tally.counts.update(logged if summary is None else {name: summary[name] for name in COUNTS})


def _lines(log: str) -> Iterator[dict[str, Any]]:
    for text in log.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and (isinstance(line.get("message"), str) or "_aws" in line):
            yield line


class _Context:
    """Lambda's context object, as far as functions use it."""

    function_name = "audit-search-cloudtrail"
    function_version = "$LATEST"
    memory_limit_in_mb = "1769"
    invoked_function_arn = f"arn:aws:lambda:{REGION}:123456789012:function:{function_name}"

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self._end = time.monotonic() + _TIMEOUT

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - time.monotonic()) * 1000))
