"""From where a call came: an address or the name of a session, told by AWS Config as of then.

An address belongs to what had it in its newest version before the call; a private address may belong to several networks.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audit_search.aws_config.documents import HISTORY
from audit_search.index_template import name as name_of
from audit_search_cli.questions.callers import exactly
from audit_search_cli.questions.events import Event, Events, search
from audit_search_cli.questions.fields import Query, all_of, any_of
from audit_search_cli.questions.filters import stamp

_INSTANCE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})", re.ASCII)
_TYPES: Final = {
    "AWS::EC2::NatGateway": "NAT gateway",
    "AWS::EC2::Instance": "instance",
    "AWS::EC2::NetworkInterface": "interface",
    "AWS::EC2::EIP": "elastic IP",
}
_KEPT: Final = ["resourceType", "resourceId", "configurationItemCaptureTime", "cfg.deleted", "cfg.resource"]
_OF_NETWORK: Final[Query] = {"terms": {"resourceType": list(_TYPES)}}


@dataclass(frozen=True, slots=True)
class Found:
    """What an address or a session belonged to: in words, its id, and the version's document that says so."""

    what: str
    id: str
    item: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call came from, as the event has it, and what AWS Config knows of it; several where it is not certain."""

    source: str
    kind: str
    found: tuple[Found, ...] = ()

    def __str__(self) -> str:
        text = self.source or "nowhere that is named"
        if self.kind == "service":
            return f"{text} (a service)"
        if not self.found:
            return text
        known = " and ".join(f"{one.what} {one.id}" for one in self.found)
        return f"{text} ({known})" if self.kind == "certain" else f"{text} (one of {known})"


class Places:
    """Finds places; each address at each time once. `more` is whether an address had more holders than `most`, over time."""

    most: Final = 50

    def __init__(self, events: Events) -> None:
        self.events = events
        self.index = name_of(events.prefix, HISTORY)
        self.more = False
        self._known: dict[tuple[str, str, str], Place] = {}
        self._nobodys: set[str] = set()

    def expect(self, coming: Iterable[Event]) -> None:
        """Ask in one request which of the addresses of some events nothing ever had. Raises as `Events` does."""
        listed = sorted({address for event in coming if _address(address := event.said("sourceIPAddress"))})
        if not listed:
            return
        of = {str(number): _having(address) for number, address in enumerate(listed)}
        body = {"size": 0, "query": _OF_NETWORK, "aggs": {"had": {"filters": {"filters": of}}}}
        groups = (search(self.events.engine, self.index, body).get("aggregations") or {}).get("had", {}).get("buckets", {})
        self._nobodys |= {address for number, address in enumerate(listed) if not groups.get(str(number), {}).get("doc_count")}

    def of(self, event: Event) -> Place:
        """From where an event's call came. Raises as `Events` does."""
        source = event.said("sourceIPAddress")
        session = event.said("userIdentity.arn").rpartition("/")[2]
        instance = session if _INSTANCE.fullmatch(session) else ""
        key = (source, instance, stamp(event.time))
        if key not in self._known:
            self._known[key] = self._look(source, instance, event)
        return self._known[key]

    def _look(self, source: str, instance: str, event: Event) -> Place:
        found: dict[str, Found] = {}
        if instance:
            found |= self._held(exactly("resourceId", instance), event.time)
        address = _address(source)
        if address is None:
            return Place(source, "service" if source.endswith(".amazonaws.com") else "certain", tuple(found.values()))
        by_address = self._holders(source, event)
        if address.is_private and sum(one.what == "instance" for one in by_address.values()) > 1:  # of several networks
            return (
                Place(source, "certain", tuple(found.values())) if found else Place(source, "one of", tuple(by_address.values()))
            )
        return Place(source, "certain", tuple((found | by_address).values()))

    def _holders(self, source: str, event: Event) -> dict[str, Found]:
        """What had an address: each candidate's newest version before the call still has it."""
        if source in self._nobodys:
            return {}
        had = self._hits(all_of(_OF_NETWORK, _having(source), _until(event.time)), self.most + 1, each=True)
        self.more = self.more or len(had) > self.most
        candidates = {str(_cfg(hit).get("resource") or hit["_id"]): str(hit["_id"]) for hit in had[: self.most]}
        if not candidates:
            return {}
        of_them = all_of({"terms": {"cfg.resource": list(candidates)}}, _until(event.time))
        newest = self._hits(of_them, len(candidates), each=True)
        still = _found(hit for hit in newest if candidates.get(str(_cfg(hit).get("resource"))) == hit["_id"])
        order = list(_TYPES.values())
        return dict(sorted(still.items(), key=lambda pair: (order.index(pair[1].what), pair[0])))

    def _held(self, which: Query, time: datetime) -> dict[str, Found]:
        return _found(self._hits(all_of(which, _until(time)), 1))

    def _hits(self, query: Query, most: int, *, each: bool = False) -> list[dict[str, Any]]:
        """The newest versions, with `each` the newest one of each resource."""
        order = [{"configurationItemCaptureTime": {"order": "desc", "unmapped_type": "date"}}]
        body: dict[str, Any] = {"size": most, "query": query, "sort": order, "_source": _KEPT}
        body |= {"collapse": {"field": "cfg.resource"}} if each else {}
        hits: list[dict[str, Any]] = search(self.events.engine, self.index, body).get("hits", {}).get("hits", [])
        return hits


def _address(source: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(source)
    except ValueError:
        return None


def _having(address: str) -> Query:
    """Versions that have an address anywhere."""
    return any_of(exactly("configuration", address), {"match_phrase": {"raw": {"query": address}}})


def _until(time: datetime) -> Query:
    return {"range": {"configurationItemCaptureTime": {"lte": stamp(time)}}}


def _cfg(hit: dict[str, Any]) -> dict[str, Any]:
    cfg = (hit.get("_source") or {}).get("cfg")
    return cfg if isinstance(cfg, dict) else {}


def _found(hits: Iterable[dict[str, Any]]) -> dict[str, Found]:
    found = {}
    for hit in hits:
        source = hit.get("_source") or {}
        kind = _TYPES.get(str(source.get("resourceType")), "")
        if kind and not _cfg(hit).get("deleted"):
            identity = str(source.get("resourceId") or "")
            found[identity] = Found(kind, identity, str(hit["_id"]))
    return found
