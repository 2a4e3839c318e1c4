"""The events that can have caused a version, asked of the engine: by the texts that such a call has to hold.

What the engine finds is only a candidate; `scoring` reads the records themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from audit_search.aws_config.dialects import milliseconds
from audit_search.aws_config.documents import HISTORY, instant
from audit_search.causes import shapes
from audit_search.causes.calls import Call, of_record
from audit_search.causes.scoring import AHEAD, LOOK_BACK, Explanation, explain, regions
from audit_search.causes.versions import Version, of_document
from audit_search.documents import TRAIL

MOST: Final = 300
"""Events that are looked at for a version, the nearest ones."""
SOURCE: Final = {"excludes": ["raw"]}
"""What is read of a version: all but the item's own text."""


class Searches(Protocol):
    """What asks the engine: the hits of a search. Raises requests.UnreadableError."""

    def search(self, index: str, body: Mapping[str, Any]) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A version with its explanation, and whether there were more events than were looked at."""

    version: Version
    explanation: Explanation
    more: bool


def explained(requests: Searches, prefix: str, hit: Mapping[str, Any]) -> Found:
    """What caused the version of a hit of `config-history`.

    Raises LookupError, ValueError or TypeError for a hit that is no such document, UnreadableError where the engine does not
    answer.
    """
    source = hit["_source"]
    version = of_document(str(hit["_id"]), source, _since(requests, prefix, source))
    hits = requests.search(f"{prefix}{TRAIL}-2*", _candidates(version))
    more = len(hits) >= MOST
    if more:  # a busy role is in each of its calls: once more among the events of the services that can have done it
        services = requests.search(f"{prefix}{TRAIL}-2*", _candidates(version, _sources(version)))
        more = len(services) >= MOST
        hits = [*hits, *services]
    calls = [call for one in hits if (call := _call(one))]
    explanation = explain(version, calls)
    if explanation.verdict == "none-found" and not hits:
        recorded = bool(requests.search(f"{prefix}{TRAIL}-2*", _anything(version)))
        explanation = explain(version, calls, recorded=recorded)
    return Found(version, explanation, more)


def _since(requests: Searches, prefix: str, source: Mapping[str, Any]) -> int:
    """When the version before was captured (ms), 0 where there is none."""
    before = [
        {"term": {"cfg.resource": source["cfg"]["resource"]}},
        {"range": {"configurationItemCaptureTime": {"lt": source["configurationItemCaptureTime"]}}},
    ]
    body = {
        "size": 1,
        "_source": ["configurationItemCaptureTime"],
        "query": {"bool": {"filter": before}},
        "sort": [{"configurationItemCaptureTime": "desc"}],
    }
    hits = requests.search(f"{prefix}{HISTORY}-2*", body)
    return milliseconds(hits[0]["_source"].get("configurationItemCaptureTime")) if hits else 0


def _window(version: Version) -> dict[str, Any]:
    begin = version.captured - LOOK_BACK
    return {"range": {"eventTime": {"gte": instant(begin), "lte": instant(version.captured + AHEAD)}}}


def _place(version: Version) -> list[dict[str, Any]]:
    """The account and the regions. Old records have no recipient."""
    without = {"bool": {"must_not": [{"exists": {"field": "recipientAccountId"}}]}}
    account = {"bool": {"should": [{"term": {"recipientAccountId": version.account}}, without], "minimum_should_match": 1}}
    return [account, {"terms": {"awsRegion": sorted(regions(version))}}]


def _sources(version: Version) -> list[str]:
    kinds = {version.type, *(kind for kind, _ in version.related)}
    return sorted({f"{source}.amazonaws.com" for kind in kinds if (source := shapes.source(kind))})


def _text(text: str, source: str) -> dict[str, Any]:
    phrase = {"match_phrase": {"raw": text}}
    return {"bool": {"filter": [phrase, {"term": {"eventSource": source}}]}} if source else phrase


def _candidates(version: Version, sources: Sequence[str] = ()) -> dict[str, Any]:
    texts = [_text(*one) for one in version.lookups]
    place = [*_place(version), *([{"terms": {"eventSource": list(sources)}}] if sources else [])]
    near: dict[str, Any] = {
        "bool": {
            "filter": [_window(version), *place, {"bool": {"should": texts, "minimum_should_match": 1}}],
            "must_not": [{"term": {"readOnly": True}}, {"term": {"ct.outcome": "failure"}}],
        }
    }
    told = [{"terms": {"eventID": list(version.related_events)}}] if version.related_events else []
    query = {"bool": {"should": [near, *told], "minimum_should_match": 1}}
    return {"size": MOST, "_source": ["raw"], "query": query, "sort": [{"eventTime": "desc"}]}


def _anything(version: Version) -> dict[str, Any]:
    """Whether there is any event of that place and time."""
    return {"size": 1, "_source": False, "query": {"bool": {"filter": [_window(version), *_place(version)]}}}


def _call(hit: Mapping[str, Any]) -> Call | None:
    try:
        record = msgspec.json.decode(str(hit["_source"]["raw"]).encode())
    except (msgspec.DecodeError, LookupError, TypeError, UnicodeEncodeError, RecursionError):
        return None
    return of_record(record) if isinstance(record, dict) else None
