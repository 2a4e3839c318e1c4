"""CloudFormation's custom resource `Custom::AuditSearchDomain`: sets up the domain when a stack is made or changed.

CloudFormation waits for an answer for up to an hour, so there is always one: what may fail, imports and settings included,
is inside the part that is guarded, and where work hangs a timer answers before Lambda ends the function.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from audit_search.domain.setup import Change

STOP_EARLY = 15.0
"""Seconds that are kept for the answer."""
_ATTEMPTS = 5
_PAUSE = 0.25
"""Seconds before an answer that was not taken is given again; they double."""
_REASON_BYTES = 1_000
_log = logging.getLogger(__name__)


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """Set up the domain, or do nothing on Delete, and answer CloudFormation in any case.

    Raises ValueError for an event that asks for no answer, OSError where the answer cannot be given: Lambda then calls again.
    """
    answer = Answer(event, context)
    remaining = context.get_remaining_time_in_millis() / 1000
    margin = min(STOP_EARLY, remaining / 4)
    guard = threading.Timer(remaining - margin, answer.give_up, [remaining - margin])
    guard.daemon = True
    guard.start()
    try:
        data = carry_out(event, time.monotonic() + remaining - 3 * margin)
    except Exception as error:
        _log.exception("the domain is not set up")
        answer.send("FAILED", _reason(error))
    else:
        answer.send("SUCCESS", data=data)
    finally:
        guard.cancel()


def carry_out(event: dict[str, Any], deadline: float) -> dict[str, str]:
    """What the event asks for; gives the resource's attributes.

    Raises ValueError for a request of no known type, and what `domain.setup.prepare` raises.
    """
    kind = event.get("RequestType")
    if kind == "Delete":
        return {}  # what is in the domain stays there, and so does what it needs
    if kind not in ("Create", "Update"):
        raise ValueError(f"RequestType is {kind!r}: it must be Create, Update or Delete")
    return _set_up(event.get("ResourceProperties") or {}, deadline)


def _set_up(properties: dict[str, Any], deadline: float) -> dict[str, str]:
    import boto3
    from aws_lambda_powertools import Logger
    from botocore.config import Config

    from audit_search.domain.api import HttpApi
    from audit_search.domain.settings import DomainSettings
    from audit_search.domain.setup import prepare
    from audit_search.errors import SettingsError
    from audit_search.opensearch import authentication

    settings = DomainSettings.from_env({name: _text(value) for name, value in properties.items()})
    if not settings.backup_bucket:
        raise SettingsError(["BACKUP_BUCKET is missing: what is replaced must be kept somewhere"])
    session, logger = boto3.Session(), Logger(service="setup")
    # Where there is no way to AWS, in a VPC without its endpoints, a call must end in time to say so.
    patience = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    s3, folder = session.client("s3", config=patience), f"{settings.backup_prefix}{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}/"
    done: list[Change] = []
    kept: list[str] = []

    def keep(name: str, body: Any) -> str:
        # Saved objects are lines of JSON, which Dashboards imports from a file of that name alone.
        lines = isinstance(body, str)
        key = f"{folder}{name}.{'ndjson' if lines else 'json'}"
        text = (body if lines else json.dumps(body, indent=2, ensure_ascii=False)).encode()
        kind = "application/x-ndjson" if lines else "application/json"
        s3.put_object(Bucket=settings.backup_bucket, Key=key, Body=text, ContentType=kind)
        kept.append(f"s3://{settings.backup_bucket}/{key}")
        logger.info("kept before it is replaced", extra={"object": name, "backup": kept[-1]})
        return kept[-1]

    def report(change: Change) -> None:
        done.append(change)
        fields = {"kind": change.kind, "object": change.name, "action": change.action, "reason": change.reason}
        logger.info("change", extra={**fields, "differences": list(change.differences[:50])})

    role = settings.domain_admin_role_arn
    admin = _assume(session.client("sts", config=patience), role, session.region_name) if role else session
    timeout = max(1.0, min(30.0, (deadline - time.monotonic()) / 4))
    api = HttpApi(settings, authentication(settings, admin), timeout=timeout)
    outcome = prepare(api, settings, keep, deadline, report)
    backups = f"s3://{settings.backup_bucket}/{folder}" if kept else ""
    return {**_attributes(settings.index_prefix, done, outcome.changes, outcome.backups), "Backups": backups}


def _attributes(prefix: str, done: Sequence[Change], last: Sequence[Change], backups: Mapping[str, str]) -> dict[str, str]:
    """What `Fn::GetAtt` gives; `done` may hold the changes of several tries, `last` those of the one that came to its end."""
    from audit_search import index_template
    from audit_search.domain import dashboards

    name = index_template.name(prefix)
    left_out = [f"{change.kind} {change.name}: {change.reason}" for change in last if change.action == "leave out"]
    return {
        "IndexTemplate": name,
        "Alias": name,
        "Created": str(sum(change.action == "create" for change in done)),
        "Updated": str(sum(change.action == "update" for change in done)),
        "Unchanged": str(sum(change.action == "unchanged" for change in last)),
        "LeftOut": _cut("; ".join(left_out)),
        "Dashboards": _cut("; ".join(_told(one, backups) for one in last if one.kind == dashboards.KIND) or "left alone"),
    }


def _told(change: Change, backups: Mapping[str, str]) -> str:
    """What was done, and where the copy is of what was replaced."""
    where = backups.get(change.backup_name)
    return f"{change.action}: {change.reason}" + (f"; what was there before: {where}" if where else "")


def _assume(sts: Any, role: str, region: str | None) -> Any:
    """A session of the role that administers the domain, for an hour."""
    import boto3

    given = sts.assume_role(RoleArn=role, RoleSessionName="audit-search-setup")["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=region)


def _text(value: Any) -> str:
    """A property as the variable of the same name has it; CloudFormation hands over lists as lists."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _reason(error: Exception) -> str:
    """What a person reads in the stack's events."""
    known = type(error).__module__.startswith("audit_search.")
    return str(error) if known else f"{type(error).__name__}: {error}"


def _cut(text: str) -> str:
    """At most a thousand bytes: CloudFormation takes 4,096 for the whole answer."""
    raw = text.encode()
    return text if len(raw) <= _REASON_BYTES else raw[: _REASON_BYTES - 4].decode(errors="ignore") + " …"


class Answer:
    """The answer to one request of CloudFormation, given once, by whoever comes first."""

    def __init__(self, event: dict[str, Any], context: Any) -> None:
        """Raises ValueError where the event does not say whom to answer."""
        url = event.get("ResponseURL") if isinstance(event, dict) else None
        if not isinstance(url, str) or urlsplit(url).scheme not in ("https", "http"):
            raise ValueError("this function answers CloudFormation: the event has no ResponseURL")
        self._url = url
        stack = str(event.get("StackId", ""))
        # The same for the resource's whole life: another one would be a replacement, with a Delete of the first.
        own = f"{stack.split('/')[1] if stack.count('/') else 'audit-search'}-domain"
        self._fields = {
            "PhysicalResourceId": event.get("PhysicalResourceId") or own,
            **{name: event.get(name, "") for name in ("StackId", "RequestId", "LogicalResourceId")},
        }
        self._log_group = str(getattr(context, "log_group_name", ""))
        self._lock = threading.Lock()
        self._sent = False

    def give_up(self, seconds: float) -> None:
        """Answer that the work did not come to its end."""
        self.send("FAILED", f"The set-up of the domain hung, and was given up after {seconds:.0f} s. Can the function reach it?")

    def send(self, status: str, reason: str = "", data: dict[str, str] | None = None) -> None:
        """PUT the answer, unless one was given. Raises OSError where CloudFormation's bucket does not take it."""
        log = f" (log group {self._log_group})" if self._log_group and status == "FAILED" else ""
        body = {"Status": status, "Reason": _cut(reason) + log, **self._fields, "Data": data or {}}
        with self._lock:
            if not self._sent:
                _put(self._url, json.dumps(body, ensure_ascii=False).encode())
                self._sent = True


def _put(url: str, body: bytes) -> None:
    # The URL is signed for an empty content type, and urllib would add one of its own.
    request = urllib.request.Request(url, body, {"Content-Type": ""}, method="PUT")  # noqa: S310  # https or http, as checked
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
                response.read()
        except (OSError, http.client.HTTPException) as error:
            _log.warning("CloudFormation did not take the answer (attempt %d): %s", attempt, type(error).__name__)
            if attempt == _ATTEMPTS:
                raise OSError(f"CloudFormation did not take the answer: {error}") from error
            time.sleep(_PAUSE * 2**attempt)
        else:
            return
