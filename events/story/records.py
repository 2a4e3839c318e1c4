"""One CloudTrail record, and the delivery of records in one object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .actors import Actor, Json
from .seeded import BASE36_UPPER, BASE62, Seeded

# The order in which CloudTrail writes them.
FIELDS = (
    "eventVersion",
    "userIdentity",
    "eventTime",
    "eventSource",
    "eventName",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "requestID",
    "eventID",
    "readOnly",
    "resources",
    "eventType",
    "apiVersion",
    "managementEvent",
    "recipientAccountId",
    "sharedEventID",
    "vpcEndpointId",
    "vpcEndpointAccountId",
    "serviceEventDetails",
    "addendum",
    "eventCategory",
    "eventContext",
    "tlsDetails",
    "sessionCredentialFromConsole",
)

READ_ONLY = ("Get", "List", "Describe", "Lookup", "Head", "BatchGet", "Decrypt", "GenerateDataKey", "Assume", "Search")


@dataclass(frozen=True)
class Error:
    """Why a call failed: `errorCode`, which a failed sign-in lacks, and `errorMessage`."""

    code: str | None
    message: str | None = None


class Delivery:
    """The records that one trail delivers in one object.

    `delivered` is the minute of the object's name, `YYYY-MM-DDTHH:MM`; the records lie in the quarter of an hour
    before it, as CloudTrail's do.
    """

    def __init__(self, account: str, region: str, delivered: str, prefix: str = "", folder: str = "CloudTrail") -> None:
        self.account = account
        self.region = region
        self.delivered = datetime.fromisoformat(delivered).replace(tzinfo=UTC)
        self.prefix = prefix or "AWSLogs/"
        self.folder = folder
        self.seeded = Seeded(f"{self.prefix}/{account}/{folder}/{region}/{delivered}")
        self.unique = self.seeded.text(BASE62, 16)
        self.records: list[Json] = []

    @property
    def key(self) -> str:
        """The object's key, as CloudTrail names it."""
        name = f"{self.account}_{self.folder}_{self.region}_{self.delivered:%Y%m%dT%H%MZ}_{self.unique}.json.gz"
        return f"{self.prefix}{self.account}/{self.folder}/{self.region}/{self.delivered:%Y/%m/%d}/{name}"

    def some_time(self) -> str:
        """A moment in the ten minutes before the delivery."""
        moment = self.delivered - timedelta(seconds=60 + self.seeded.below(540))
        return f"{moment:%H:%M:%S}"

    def call(
        self,
        at: str,
        actor: Actor,
        api: str,
        parameters: Mapping[str, object] | None = None,
        response: Mapping[str, object] | None = None,
        error: Error | None = None,
        without: tuple[str, ...] = (),
        **fields: object,
    ) -> Json:
        """Adds the record of a call of `api` (`ec2:RunInstances`) at `at` (`HH:MM:SS` of the day of delivery).

        `fields` are further record fields and replace the usual ones; `without` names those to leave out.
        """
        prefix, name = api.split(":")
        record: Json = {
            "eventVersion": "1.11",
            "userIdentity": actor.identity,
            "eventTime": f"{self.delivered:%Y-%m-%d}T{at}Z",
            "eventSource": f"{prefix}.amazonaws.com",
            "eventName": name,
            "awsRegion": self.region,
            "sourceIPAddress": actor.address,
            "userAgent": actor.agent,
            "requestParameters": parameters,
            "responseElements": response,
            "requestID": self.seeded.text(BASE36_UPPER, 16) if prefix == "s3" else self.seeded.guid(),
            "eventID": self.seeded.guid(),
            "readOnly": name.startswith(READ_ONLY),
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": self.account,
            "eventCategory": "Management",
        }
        if error:
            if error.code is not None:
                record["errorCode"] = error.code
            if error.message is not None:
                record["errorMessage"] = error.message
        if not actor.is_service:
            record["tlsDetails"] = {
                "tlsVersion": "TLSv1.3",
                "cipherSuite": "TLS_AES_128_GCM_SHA256",
                "clientProvidedHostHeader": f"{prefix}.{self.region}.amazonaws.com",
            }
        record.update(fields)
        return self.add({name: record[name] for name in in_order(record) if name not in without})

    def add(self, record: Json) -> Json:
        self.records.append(record)
        return record


def in_order(record: Json) -> list[str]:
    """The record's fields as CloudTrail orders them; unknown ones last."""
    return [name for name in FIELDS if name in record] + [name for name in record if name not in FIELDS]


def written(record: Json) -> bytes:
    """The record's text as CloudTrail writes it: compact, and UTF-8 rather than escapes."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
