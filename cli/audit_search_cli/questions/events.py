"""Searching CloudTrail's documents: events in order of time, counts and groups, over any age, with nothing skipped.

Pages follow each other by time: the next one begins at the last event's time and leaves out what was seen of it. So the order
is total without a point in time held open in the engine, and without a field that would have to be sorted by as well (eventID
has no doc values); it is the same on every engine. What comes in meanwhile with an earlier place in the order is not waited for.
https://docs.opensearch.org/latest/search-plugins/searching-data/paginate/
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from audit_search import rebuild
from audit_search.documents import TRAIL, parse_time
from audit_search.domain.refusals import said
from audit_search.index_template import name as name_of
from audit_search_cli.connection import Engine
from audit_search_cli.errors import NOT_REACHED, Problem
from audit_search_cli.questions.fields import Query, all_of, none_of
from audit_search_cli.questions.resources import Resource, named_by

_PAGE = 500
_NO_TIME = datetime.min.replace(tzinfo=UTC)  # of a document that the functions did not make: theirs always have one
_KEPT = ["raw", "ct", "eventTime", "eventID"]
"""What is fetched of a document: the record is read from its own text, which has everything."""


@dataclass(frozen=True)
class Event:
    """One event: its document's id and index, when it happened (UTC), the record's own text, and what ingestion noted (`ct`).

    `moment` is its place in the order of time, in milliseconds since 1970.
    """

    id: str
    index: str
    moment: int
    time: datetime
    text: str
    notes: Mapping[str, Any]

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """The record as CloudTrail wrote it."""
        encoded = self.notes.get("rawBase64")
        whole = base64.b64decode(encoded) if isinstance(encoded, str) else self.text.encode()
        found = rebuild.load_whole(whole)
        return found if isinstance(found, dict) else {}

    def get(self, path: str) -> Any:
        """The value at a dotted path of the record, or None."""
        value: Any = self.record
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def said(self, path: str) -> str:
        """The value at a dotted path as a text: empty where there is none, JSON where it is an object or a list."""
        value = self.get(path)
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    @property
    def name(self) -> str:
        """eventName."""
        return self.said("eventName")

    @property
    def service(self) -> str:
        """The service without what all event sources end with: ec2."""
        return self.said("eventSource").removesuffix(".amazonaws.com")

    @property
    def api(self) -> str:
        """What people call it: ec2:RunInstances."""
        return f"{self.service}:{self.name}"

    @property
    def caller(self) -> str:
        """Who called, in one word."""
        return str(self.notes.get("caller") or "")

    @property
    def error(self) -> str:
        """The error's code; a failed sign-in has none, and says Failure."""
        code = self.said("errorCode") or self.said("errorMessage")
        return code or ("Failure" if self.failed else "")

    @property
    def failed(self) -> bool:
        """Whether it had no success."""
        return self.notes.get("outcome") == "failure"

    @property
    def account(self) -> str:
        """The account that it happened in."""
        return self.said("recipientAccountId") or self.said("userIdentity.accountId")

    @property
    def region(self) -> str:
        """awsRegion."""
        return self.said("awsRegion")

    @cached_property
    def resources(self) -> list[Resource]:
        """The resources that it names, those that AWS lists first, then those derived from the request and the response."""
        return named_by(self.record)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a search has come: the moment of its last event, and the ids of all of that moment that it has given."""

    moment: int
    ids: tuple[str, ...]

    def then(self, event: Event) -> Place:
        """The place behind a further event."""
        return Place(event.moment, (*self.ids, event.id) if event.moment == self.moment else (event.id,))


class Events:
    """CloudTrail's documents of a prefix, on an engine.

    Every method raises Problem for a refusal, or an answer that lacks the part of a shard, and EngineUnreachableError without
    an answer. Where there are no indices yet there are no events.
    """

    def __init__(self, engine: Engine, prefix: str = "") -> None:
        self.engine = engine
        self.prefix = prefix
        self.alias = name_of(prefix, TRAIL)

    def search(
        self,
        query: Query,
        *,
        oldest_first: bool = False,
        most: int | None = None,
        after: Place | None = None,
        page: int = _PAGE,
    ) -> Iterator[Event]:
        """The events of a query, newest first unless `oldest_first`, at most so many; of one moment in the order of their ids.

        `after` is where an earlier search has come to, `page` how many are asked for at a time.
        """
        size = page if most is None else min(page, most + 20)  # a little more, so that the last moment is whole
        return itertools.islice(self._all(query, oldest_first, size, after), most)

    def _all(self, query: Query, oldest_first: bool, size: int, after: Place | None) -> Iterator[Event]:
        moment = after.moment if after else None
        before = list(after.ids) if after else []
        seen: list[Event] = []
        while True:
            hits = self._page(query, size, moment, before + [event.id for event in seen], oldest_first)
            for hit in hits:
                when = int(hit["sort"][0])
                if when != moment:
                    yield from sorted(seen, key=lambda event: event.id)
                    moment, seen, before = when, [], []
                seen.append(_event(hit))
            if len(hits) < size:
                yield from sorted(seen, key=lambda event: event.id)
                return

    def _page(self, query: Query, size: int, moment: int | None, seen: list[str], oldest_first: bool) -> list[dict[str, Any]]:
        """The next hits: those from a moment on (in milliseconds) that were not seen yet."""
        if moment is not None:
            begins = {"gte" if oldest_first else "lte": moment, "format": "epoch_millis"}
            query = all_of(query, {"range": {"eventTime": begins}}, none_of({"ids": {"values": seen}}))
        order = {"order": "asc" if oldest_first else "desc", "unmapped_type": "date"}
        body = {"size": size, "query": query, "sort": [{"eventTime": order}], "_source": _KEPT, "track_total_hits": False}
        hits: list[dict[str, Any]] = self.ask(body).get("hits", {}).get("hits", [])
        return hits

    def count(self, query: Query) -> int:
        """How many events there are."""
        return self.grouped(query, {})[0]

    def grouped(self, query: Query, aggregations: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """How many events there are, and the engine's answer to aggregations, by their names; empty where there is no index."""
        body: dict[str, Any] = {"size": 0, "query": query, "track_total_hits": True}
        if aggregations:
            body["aggs"] = aggregations
        answer = self.ask(body)
        total = answer.get("hits", {}).get("total", {}).get("value", 0)
        return int(total), answer.get("aggregations") or {}

    def by_id(self, *ids: str) -> list[Event]:
        """The events of ids: eventID, or the id of a document where a record has none; newest first, unknown ones are missing."""
        wanted = {"bool": {"should": [{"ids": {"values": list(ids)}}, {"terms": {"eventID": list(ids)}}]}}
        return list(self.search(wanted))

    def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a search."""
        return search(self.engine, self.alias, body)


def search(engine: Engine, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The whole answer of `_search` in an index or alias; an empty one where there is none of this name.

    Raises Problem for a refusal or a part of the index that did not answer, EngineUnreachableError without an answer.
    """
    status, answer = engine.request("POST", f"/{index}/_search?ignore_unavailable=true", body)
    if status == 404:
        return {}
    if status != 200 or not isinstance(answer, dict):
        remedy = "The role has to be allowed to search; audit-search doctor looks at it."
        if status == 400:
            remedy = "A narrower period or fewer values may do."
        raise Problem(f"The engine answered a search with HTTP {status}: {said(answer)[:300]}", remedy, code=NOT_REACHED)
    shards = answer.get("_shards", {})
    if answer.get("timed_out") or shards.get("failed"):
        reasons = "; ".join(said({"error": each.get("reason")}) for each in shards.get("failures", [])[:1])
        what = f"{shards.get('failed', 0)} of {shards.get('total', 0)} shards did not answer a search: {reasons or 'timed out'}"
        raise Problem(what, "The answer would lack events; audit-search doctor looks at the shards.", code=NOT_REACHED)
    return answer


def buckets(aggregations: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The buckets of an aggregation, or none."""
    found: list[dict[str, Any]] = aggregations.get(name, {}).get("buckets", [])
    return found


def pages(events: Events, query: Query, composite: Mapping[str, Any], inner: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every bucket of a composite aggregation (`sources` and so on), page after page."""
    after: dict[str, Any] | None = None
    while True:
        how = {"size": 1_000, **composite, **({"after": after} if after else {})}
        _, answer = events.grouped(query, {"pages": {"composite": how, **({"aggs": dict(inner)} if inner else {})}})
        found = buckets(answer, "pages")
        yield from found
        after = answer.get("pages", {}).get("after_key")
        if not after or not found:
            return


def instant(aggregation: Mapping[str, Any]) -> datetime | None:
    """The time of a `min` or `max` aggregation, or None where nothing had one."""
    value = aggregation.get("value")
    return datetime.fromtimestamp(float(value) / 1_000, UTC) if value is not None else None


def _event(hit: Mapping[str, Any]) -> Event:
    source = hit.get("_source") or {}
    when = parse_time(str(source.get("eventTime") or "")) or _NO_TIME
    return Event(
        str(hit["_id"]), str(hit["_index"]), int(hit["sort"][0]), when, str(source.get("raw") or ""), source.get("ct") or {}
    )
