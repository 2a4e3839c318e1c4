"""What a CloudTrail document is: its fields, its index and its id. The index template follows these tables.

Fields of a record: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

KEYWORDS: Final = (
    "eventVersion",
    "eventSource",
    "eventName",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestID",
    "eventType",
    "apiVersion",
    "recipientAccountId",
    "sharedEventID",
    "vpcEndpointId",
    "vpcEndpointAccountId",
    "eventCategory",
    "sessionCredentialFromConsole",
)
"""Top-level fields that hold one text."""

BOOLEANS: Final = ("readOnly", "managementEvent")

TREES: Final = (
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "insightDetails",
    "eventContext",
    "edgeDeviceDetails",
    "timeWindow",
    "summary",
)
"""Sub-trees of any shape, kept whole and mapped as flat_object."""

FLATTENED: Final[Mapping[str, object]] = {
    "userIdentity": {
        "sessionContext": {"sessionIssuer": {}, "attributes": {}, "webIdFederationData": {}},
        "inScopeOf": {},
        "onBehalfOf": {},
    },
    "tlsDetails": {},
    "addendum": {},
}
"""Objects whose leaves become dotted fields, and the objects inside them that are flattened as well."""

FLAT_LEAVES: Final = frozenset(
    {
        *(f"userIdentity.{name}" for name in ("type", "principalId", "arn", "accountId", "accessKeyId", "userName", "invokedBy")),
        *(f"userIdentity.{name}" for name in ("credentialId", "identityProvider")),
        *(f"userIdentity.inScopeOf.{name}" for name in ("sourceArn", "sourceAccount", "issuerType", "credentialsIssuedTo")),
        *(f"userIdentity.onBehalfOf.{name}" for name in ("userId", "identityStoreArn")),
        *(f"userIdentity.sessionContext.{name}" for name in ("sourceIdentity", "assumedRoot", "ec2RoleDelivery")),
        *(
            f"userIdentity.sessionContext.sessionIssuer.{name}"
            for name in ("type", "principalId", "arn", "accountId", "userName")
        ),
        *(f"userIdentity.sessionContext.attributes.{name}" for name in ("creationDate", "mfaAuthenticated")),
        "userIdentity.sessionContext.webIdFederationData.federatedProvider",
        *(f"tlsDetails.{name}" for name in ("tlsVersion", "cipherSuite", "clientProvidedHostHeader")),
        *(f"addendum.{name}" for name in ("reason", "updatedFields", "originalRequestID", "originalEventID")),
    }
)
"""Dotted fields that the index template maps: a value of another type is kept there as JSON text."""

RESERVED: Final = frozenset({"raw", "ct", "@timestamp"})
"""Names that are ours in a document: a record's own field of this name is kept under `ct.unexpected`."""

TRAIL: Final = "cloudtrail"
"""The name of the index family, its template and its read alias, behind the prefix."""

ALERTS: Final = "cloudtrail-alerts"
"""The index behind the prefix that says which alerts people have been told of, and the name of its template."""

EARLIEST: Final = "2013-01-01"
"""CloudTrail began in 2013: an earlier eventTime is no date. With the latest day it bounds the set of index names."""

MAX_ID_BYTES: Final = 512
"""OpenSearch refuses a whole bulk request for one longer id."""

_DELIVERED = re.compile(r"_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)Z_", re.ASCII)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record was found, and when its object was delivered (UTC)."""

    bucket: str
    key: str
    delivered: datetime


@dataclass(frozen=True, slots=True)
class Naming:
    """How indices are called: `<prefix>cloudtrail-YYYY.MM`, or `.DD` behind it with `daily`."""

    prefix: str = ""
    daily: bool = False

    def index(self, day: str) -> str:
        """The index of an ISO day, `2026-11-03`."""
        return f"{self.prefix}{TRAIL}-{(day if self.daily else day[:7]).replace('-', '.')}"


def delivered(key: str, notified: str | None, last_modified: datetime, now: datetime) -> datetime:
    """When the object was delivered (UTC): by its name, else by the notification, else by S3's own date.

    A name can be made up, so a time that lies outside CloudTrail's life is no time; S3's date always is one.
    """
    found = _DELIVERED.search(key)
    texts = ["{}-{}-{}T{}:{}:00Z".format(*found.groups())] if found else []
    texts += [notified] if notified else []
    for text in texts:
        when = parse_time(text)
        if when is not None and when.date().isoformat() >= EARLIEST and when <= now + _DAY:
            return when
    return last_modified.astimezone(UTC)


def parse_time(text: str) -> datetime | None:
    """An ISO 8601 date and time as UTC, or None. A time without an offset is taken as UTC, as CloudTrail means it."""
    if not _ISO.fullmatch(text):
        return None
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


_ISO = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)


def latest(place: Place) -> datetime:
    """The last moment that an event of this object may have: clocks differ, but not by more than a day."""
    return place.delivered + _DAY


def retention_day(now: datetime, days: int) -> str:
    """The first day that is still kept, or an empty text when everything is."""
    return (now.date() - timedelta(days=days)).isoformat() if days else ""


def is_day(text: str) -> bool:
    """Whether the text is a day of the calendar in the form 2026-11-03."""
    try:
        return len(text) == 10 and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
