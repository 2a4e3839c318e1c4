"""What the recording itself was: the types that AWS Config recorded, and the calls that changed what is recorded.

https://docs.aws.amazon.com/config/latest/developerguide/stop-start-recorder.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audit_search.aws_config.documents import HISTORY
from audit_search.index_template import name as name_of
from audit_search_cli.questions.events import Event, Events, buckets, instant, search
from audit_search_cli.questions.fields import Query, all_of, any_of
from audit_search_cli.questions.filters import Filters

RECORDING: Final[Mapping[str, tuple[str, ...]]] = {
    "cloudtrail": (
        "StartLogging",
        "StopLogging",
        "CreateTrail",
        "UpdateTrail",
        "DeleteTrail",
        "PutEventSelectors",
        "PutInsightSelectors",
    ),
    "config": (
        "PutConfigurationRecorder",
        "StartConfigurationRecorder",
        "StopConfigurationRecorder",
        "DeleteConfigurationRecorder",
        "PutDeliveryChannel",
        "DeleteDeliveryChannel",
    ),
}
"""Calls that change what is recorded, by service."""
_CHANGES = 20


@dataclass(frozen=True, slots=True)
class Recorder:
    """What AWS Config recorded in an account and region: versions by type of resource, the first and the last."""

    account: str
    region: str
    types: Mapping[str, int]
    first: datetime | None
    last: datetime | None


def changed(events: Events, filters: Filters) -> list[Event]:
    """The latest calls that changed what is recorded, and did not fail, newest first."""
    return list(events.search(filters.also(_recording()).query(), most=_CHANGES))


def _recording() -> Query:
    """Calls that changed what is recorded, and did not fail."""
    sources = (
        all_of({"term": {"eventSource": f"{service}.amazonaws.com"}}, {"terms": {"eventName": list(names)}})
        for service, names in RECORDING.items()
    )
    return all_of(any_of(*sources), {"term": {"ct.outcome": "success"}})


def recorders(events: Events, filters: Filters) -> list[Recorder]:
    """What AWS Config recorded, by account and region."""
    sources = [{"account": "awsAccountId"}, {"region": "awsRegion"}]
    composite = [{name: {"terms": {"field": path}}} for source in sources for name, path in source.items()]
    time = "configurationItemCaptureTime"
    inner = {
        "types": {"terms": {"field": "resourceType", "size": 1_000}},
        "first": {"min": {"field": time}},
        "last": {"max": {"field": time}},
    }
    wanted = [
        {"terms": {path: list(filters.where[name])}}
        for name, path in (("account", "awsAccountId"), ("region", "awsRegion"))
        if filters.where.get(name)
    ]
    limits = {"gte": filters.since, "lt": filters.until}
    given = {name: when.isoformat() for name, when in limits.items() if when}
    query = all_of(*wanted, *([{"range": {time: given}}] if given else []))
    found: list[Recorder] = []
    after: dict[str, Any] | None = None
    while True:
        how = {"size": 500, "sources": composite, **({"after": after} if after else {})}
        body = {"size": 0, "query": query, "aggs": {"places": {"composite": how, "aggs": inner}}}
        answer = search(events.engine, name_of(events.prefix, HISTORY), body).get("aggregations") or {}
        for bucket in buckets(answer, "places"):
            types = {str(each["key"]): int(each["doc_count"]) for each in buckets(bucket, "types")}
            key = bucket["key"]
            place = (str(key["account"]), str(key["region"]))
            found.append(Recorder(*place, types, instant(bucket["first"]), instant(bucket["last"])))
        after = answer.get("places", {}).get("after_key")
        if not after or not buckets(answer, "places"):
            return found
