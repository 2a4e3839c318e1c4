"""Records as CloudTrail writes them, and the callers, of the made-up account.

Names where an API takes names, ids that only the answer has, answers that are null, parameters that are hidden or missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.causes_account import ACCOUNT, REGION, Account, Json

Done = tuple[str, str, Json | None, Json | None, Callable[[str | None], object]]
"""Service, name, request, answer, and what it changes, given who is to be noted as the writer."""
TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"%s.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
PORTS = ("22", "80", "443", "3389", "5432", "8080")
PEERS = ("0.0.0.0/0", "10.0.0.0/8", "192.168.4.0/24", "172.16.0.0/12", "203.0.113.7/32")
MANAGED = ("ReadOnlyAccess", "AmazonS3FullAccess", "PowerUserAccess", "AmazonEC2FullAccess")
TAGS = (
    ("Env", ("prod", "test", "dev")),
    ("Owner", ("ana", "ben", "eva")),
    ("CostCenter", ("4711", "0815")),
    ("Name", ("web", "db", "jump")),
)


@dataclass(frozen=True)
class Caller:
    """Who calls: `identity` is the record's userIdentity."""

    identity: Json
    address: str = "198.51.100.7"
    agent: str = "aws-cli/2.15.0"


class Recorder:
    """Writes records. The methods of those below it take a resource and give what a call does."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.rng = account.rng

    def record(self, caller: Caller, service: str, name: str, request: Json | None, answer: Json | None, **more: Any) -> Json:
        now = self.account.now
        record: Json = {
            "eventVersion": "1.09",
            "userIdentity": caller.identity,
            "eventTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": f"{service}.amazonaws.com",
            "eventName": name,
            "awsRegion": "us-east-1" if service == "iam" else REGION,
            "sourceIPAddress": caller.address,
            "userAgent": caller.agent,
            "requestParameters": request,
            "responseElements": answer,
            "requestID": self.account.uuid(),
            "eventID": self.account.uuid(),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
        } | more
        self.account.records.append(record)
        return record
