"""What `aws cloudtrail lookup-events` answers, of any age and with every attribute: the shape of its events, and more.

`Username` and `Resources` of the API are computed by AWS. Here a user name is told from the identity, and resources are those
that the record lists with those derived from its request and response, each of which is marked `Derived`.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from audit_search_cli.errors import Problem
from audit_search_cli.questions.events import Event, Place
from audit_search_cli.questions.fields import READING, Query, all_of, any_of, matching
from audit_search_cli.questions.resources import arns_of, keys_of

ATTRIBUTES: Final[Mapping[str, str]] = {
    "EventId": "event-id",
    "EventName": "event-name",
    "ReadOnly": "read-only",
    "Username": "user",
    "ResourceType": "resource-type",
    "ResourceName": "resource",
    "EventSource": "service",
    "AccessKeyId": "access-key",
}
"""The attributes of LookupEvents, and the names that they have here."""


def attribute(text: str) -> tuple[str, str]:
    """The field and the value of AttributeKey=…,AttributeValue=…, in either order. Raises Problem."""
    parts = dict(part.split("=", 1) for part in _parts(text) if "=" in part)
    key, value = parts.get("AttributeKey", ""), parts.get("AttributeValue", "")
    if set(parts) != {"AttributeKey", "AttributeValue"} or not value:
        raise Problem(f"{text!r} is no attribute", "Write it as AttributeKey=EventName,AttributeValue=RunInstances.")
    if key not in ATTRIBUTES:
        raise Problem(f"There is no attribute {key!r}", f"There are {', '.join(ATTRIBUTES)}.")
    return ATTRIBUTES[key], value


def _parts(text: str) -> list[str]:
    """The two parts, whichever comes first; a value may have commas in it."""
    for mark in (",AttributeValue=", ",AttributeKey="):
        head, found, tail = text.strip().partition(mark)
        if found:
            return [head, mark[1:] + tail]
    return [text.strip()]


def of_type(kind: str) -> Query:
    """Events that may name a resource of a type: `names_type` says of each whether it does."""
    found = [matching("resources.type", kind)]
    keys, ids = keys_of(kind)
    found += [_word(key) for key in sorted(keys)]
    for start in sorted(ids):
        found += [{"prefix": {"raw": {"value": f"{start}-"}}}, _word(start)]  # the embedded engine knows letters alone
    found += [all_of(*(_word(part) for part in parts)) for parts in arns_of(kind)]
    return any_of(*found)


def _word(text: str) -> Query:
    return {"match_phrase": {"raw": {"query": text}}}


def names_type(event: Event, kinds: Iterable[str]) -> bool:
    """Whether an event names a resource of one of some types."""
    wanted = set(kinds)
    return any(resource.type in wanted for resource in event.resources)


def username(event: Event) -> str:
    """What LookupEvents calls Username: an IAM user, the session of a role, root; empty where nobody is named."""
    kind = event.said("userIdentity.type")
    if kind == "Root":
        return "root"
    principal = event.said("userIdentity.principalId")
    if kind in ("AssumedRole", "FederatedUser") and ":" in principal:
        return principal.rpartition(":")[2]
    return event.said("userIdentity.userName") or event.said("userIdentity.invokedBy")


def shaped(event: Event) -> dict[str, Any]:
    """An event as lookup-events prints it; a record that does not say whether it only reads is judged by its name."""
    reads = event.said("readOnly") or ("true" if event.name.startswith(READING) else "false")
    found: dict[str, Any] = {
        "EventId": event.said("eventID") or event.id,
        "EventName": event.name,
        "ReadOnly": reads.lower(),
        "AccessKeyId": event.said("userIdentity.accessKeyId"),
        "EventTime": event.time.isoformat(),
        "EventSource": event.said("eventSource"),
        "Username": username(event),
        "Resources": [
            {"ResourceType": one.type, "ResourceName": one.name, **({"Derived": True} if one.derived else {})}
            for one in event.resources
        ],
        "CloudTrailEvent": event.text,
    }
    return {name: value for name, value in found.items() if value != "" or name == "EventName"}


def token(place: Place) -> str:
    """A place as a text that a later call begins behind."""
    return base64.urlsafe_b64encode(json.dumps([place.moment, place.ids], separators=(",", ":")).encode()).decode("ascii")


def place(text: str) -> Place:
    """The place of such a text. Raises Problem."""
    try:
        moment, ids = json.loads(base64.urlsafe_b64decode(text.encode("ascii", "strict")))
        return Place(int(moment), tuple(str(each) for each in ids))
    except (ValueError, TypeError) as error:
        raise Problem("The starting token is none that this command gave", "Give NextToken of an earlier answer.") from error


def followed(events: Iterable[Event], steps: list[Place]) -> Iterator[Event]:
    """The events, with the place behind the latest of them as the only item of `steps`."""
    for event in events:
        steps[:] = [(steps[0] if steps else Place(event.moment, ())).then(event)]
        yield event
