"""What AWS Support asks for about events: who, where, what, which error, and AWS Config's items before and after.

The documents are plain JSON, masked in one place before anything of them is printed or written.
https://docs.aws.amazon.com/awssupport/latest/user/case-management.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit_search.rebuild import load_whole
from audit_search_cli.questions import failures, tools
from audit_search_cli.questions.chains import Chain, Chains
from audit_search_cli.questions.events import Event, Events
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.items import Held, Narrow, Resource, Version, find, held
from audit_search_cli.questions.masking import Masked, masked
from audit_search_cli.questions.places import Place, Places

STAYS: Final = "ids of accounts, access keys, requests and events, ARNs and names, which AWS Support needs"
"""What is left as it is."""
_MOST_RESOURCES: Final = 20
_MOST_OF_A_NAME: Final = 3
_MOST_OF_A_REQUEST: Final = 10
_EXTENDED: Final = ("responseElements.x-amz-id-2", "additionalEventData.x-amz-id-2", "responseElements.xAmzId2")
_NOT_OF_AWS: Final = ("raw", "cfg", "@timestamp")


@dataclass(frozen=True, slots=True)
class Around:
    """A resource in AWS Config, and its nearest versions before and after a time; None where there is none."""

    resource: Resource
    before: Version | None
    after: Version | None


@dataclass(slots=True)
class Case:
    """An event with all that is told of it. `left_out` resources were not looked for; `unclear` is what several have."""

    event: Event
    chain: Chain
    place: Place
    tool: str
    items: list[Around] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    left_out: int = 0


@dataclass(slots=True)
class Bundle:
    """The events that were found, each once and in the order in which they were asked for, and the ids that none has."""

    cases: list[Case]
    missing: list[str]


def gather(events: Events, identities: Iterable[str]) -> Bundle:
    """All about events, by their ids or by those of their requests. Raises as `Events` does."""
    chains, places = Chains(events), Places(events)
    found: dict[str, Case] = {}
    missing: list[str] = []
    for identity in dict.fromkeys(identities):
        fitting = _fitting(events, identity)
        if not fitting:
            missing.append(identity)
        for event in fitting:
            if event.id not in found:
                case = Case(event, chains.of(event), places.of(event), tools.of(event))
                _items(events, case)
                found[event.id] = case
    return Bundle(list(found.values()), missing)


def _fitting(events: Events, identity: str) -> list[Event]:
    """The event of an id, else the events of a request."""
    found = events.by_id(identity)
    return found or list(events.search(Filters({"request-id": (identity,)}).query(), most=_MOST_OF_A_REQUEST))


def _items(events: Events, case: Case) -> None:
    """Note the versions of the resources that an event names, and those that are not known."""
    event = case.event
    wanted = {resource.name: resource.type for resource in event.resources}
    denial = failures.of(event).denial
    refused = denial.resource if denial else ""
    ends = tuple(f"{mark}{name}" for name in wanted for mark in ":/")
    if refused.startswith("arn:") and not set("*?") & set(refused) and not refused.endswith(ends):
        wanted.setdefault(refused, "")
    case.left_out = max(0, len(wanted) - _MOST_RESOURCES)
    seen: set[str] = set()
    for name, kind in list(wanted.items())[:_MOST_RESOURCES]:
        fitting = _known(events, event, name, kind)
        if not fitting:
            case.unknown.append(name)
        if len(fitting) > _MOST_OF_A_NAME:
            case.unclear.append(name)
            continue
        for resource in fitting:
            if resource.key not in seen:
                seen.add(resource.key)
                case.items.append(_around(events, event, resource))


def _known(events: Events, event: Event, name: str, kind: str) -> list[Resource]:
    """The resources that AWS Config has for a name: in the event's account unless an ARN says more, in its region if in any."""
    accounts = () if name.startswith("arn:") else (event.account,)
    found = find(events, name, Narrow(kind, accounts))
    here = [resource for resource in found if resource.region == event.region]
    return here or found


def _around(events: Events, event: Event, resource: Resource) -> Around:
    before: Held = held(events, resource, event.time)
    after = held(events, resource, before.next).version if before.next else None
    return Around(resource, before.version, after)


def plain(case: Case) -> dict[str, Any]:
    """An event with all that is told of it as JSON has it, with nothing masked."""
    event, chain, place = case.event, case.chain, case.place
    return {
        "event_id": event.said("eventID") or event.id,
        "request_id": event.said("requestID"),
        "extended_request_id": next((text for path in _EXTENDED if (text := event.said(path))), ""),
        "shared_event_id": event.said("sharedEventID"),
        "time": event.time.isoformat(),
        "account": event.account,
        "region": event.region,
        "service": event.said("eventSource"),
        "api": event.api,
        "error": event.said("errorCode"),
        "message": event.said("errorMessage"),
        "outcome": str(event.notes.get("outcome") or ""),
        "caller": _caller(event, chain),
        "from": {
            "source": place.source,
            "said": str(place),
            "vpc_endpoint": event.said("vpcEndpointId"),
            "tool": case.tool,
            "user_agent": event.said("userAgent"),
        },
        "resources": [
            {"name": one.name, "type": one.type, "where": one.where, "derived": one.derived} for one in event.resources
        ],
        "items": [_plain_around(one) for one in case.items],
        "no_items": case.unknown,
        "several_items": case.unclear,
        "resources_left_out": case.left_out,
        "raw": event.record or event.text,
    }


def _caller(event: Event, chain: Chain) -> dict[str, Any]:
    issuer = "userIdentity.sessionContext.sessionIssuer"
    return {
        "name": event.caller,
        "type": event.said("userIdentity.type"),
        "arn": event.said("userIdentity.arn"),
        "account": event.said("userIdentity.accountId"),
        "access_key_id": event.said("userIdentity.accessKeyId"),
        "user": event.said("userIdentity.userName"),
        "role": event.said(f"{issuer}.arn"),
        "first": chain.first,
        "person": chain.person,
        "chain": [{"who": hop.who, "arn": hop.arn, "joined_by": hop.by, "event": hop.event} for hop in chain.hops],
        "broken": chain.broken,
    }


def _plain_around(one: Around) -> dict[str, Any]:
    resource = one.resource
    return {
        "resource": {
            "account": resource.account,
            "region": resource.region,
            "type": resource.type,
            "id": resource.id,
            "name": resource.name,
            "arn": resource.arn,
        },
        "before": _plain_version(one.before),
        "after": _plain_version(one.after),
    }


def _plain_version(version: Version | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {
        "item": version.id,
        "captured": version.captured.isoformat(),
        "status": version.status,
        "content": _content(version),
    }


def _content(version: Version) -> Any:
    """The item as AWS Config wrote it; where its own text was not kept, what its document has of it."""
    raw = version.source.get("raw")
    try:
        found = load_whole(raw.encode()) if isinstance(raw, str) and raw else None
    except ValueError:
        found = raw
    if found:
        return found
    return {name: value for name, value in version.source.items() if name not in _NOT_OF_AWS}


def without_secrets(documents: Sequence[Mapping[str, Any]]) -> Masked:
    """The documents of `plain` without their secrets, those of one being masked in every other too."""
    return masked(list(documents), kept(documents))


def kept(documents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What has to stay in documents of `plain`, whatever a secret is called: ids, names, ARNs, times, codes."""
    for document in documents:
        yield from (value for name, value in document.items() if name != "message" and isinstance(value, str) and name != "raw")
        yield from (value for value in document["caller"].values() if isinstance(value, str))
        yield from (str(hop["arn"]) for hop in document["caller"]["chain"])
        yield str(document["from"]["source"])
        yield from (str(one["name"]) for one in document["resources"])
        for one in document["items"]:
            yield from one["resource"].values()


def dumped(value: Any) -> str:
    """A value as lines of JSON in ASCII, so that no terminal obeys what is in it."""
    return json.dumps(value, indent=2, default=str).replace("\x7f", "\\u007f") + "\n"
