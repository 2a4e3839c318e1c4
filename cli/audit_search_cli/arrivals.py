"""When events last came in, for each account and region, as the engine has it.

https://docs.opensearch.org/latest/aggregations/bucket/composite/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audit_search.aws_config.documents import HISTORY
from audit_search.documents import TRAIL
from audit_search.domain.refusals import said
from audit_search.index_template import name
from audit_search_cli.connection import Engine
from audit_search_cli.errors import NOT_REACHED, Problem

DAYS = 30
"""What has been silent for longer is not looked for."""
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Source:
    """The documents of one kind, and the fields that say whose they are, when it happened and when it came in."""

    kind: str
    account: str
    region: str
    happened: str
    ingested: str


CLOUDTRAIL = Source(TRAIL, "recipientAccountId", "awsRegion", "eventTime", "ct.ingestTime")
CONFIG = Source(HISTORY, "awsAccountId", "awsRegion", "configurationItemCaptureTime", "cfg.ingestTime")


@dataclass(frozen=True, slots=True)
class Arrival:
    """An account and region: documents of the last `DAYS` days, the newest event, and when the newest came in."""

    account: str
    region: str
    documents: int
    happened: datetime | None
    ingested: datetime | None


def arrivals(engine: Engine, source: Source, prefix: str) -> Iterator[Arrival]:
    """Every account and region, page by page, in their order; none where there are no such indices.

    Raises Problem for a refusal and EngineUnreachableError without an answer.
    """
    path = f"/{name(prefix, source.kind)}/_search?ignore_unavailable=true"
    after: dict[str, Any] | None = None
    while True:
        status, answer = engine.request("POST", path, _body(source, after))
        if status == 404:
            return
        if status != 200 or not isinstance(answer, dict):
            remedy = "The role has to be allowed to search; audit-search doctor looks at it."
            raise Problem(f"The engine answered a search with HTTP {status}: {said(answer)[:200]}", remedy, code=NOT_REACHED)
        found = answer.get("aggregations", {}).get("sources", {})
        for bucket in found.get("buckets", []):
            key = bucket["key"]
            yield Arrival(
                str(key["account"] or ""),
                str(key["region"] or ""),
                bucket["doc_count"],
                _instant(bucket["happened"]),
                _instant(bucket["ingested"]),
            )
        after = found.get("after_key")
        if not after or len(found.get("buckets", [])) < _PAGE:
            return


def _body(source: Source, after: dict[str, Any] | None) -> dict[str, Any]:
    fields = {"account": source.account, "region": source.region}
    sources = [{key: {"terms": {"field": field, "missing_bucket": True}}} for key, field in fields.items()]
    composite: dict[str, Any] = {"size": _PAGE, "sources": sources}
    if after:
        composite["after"] = after
    newest = {"happened": {"max": {"field": source.happened}}, "ingested": {"max": {"field": source.ingested}}}
    return {
        "size": 0,
        "query": {"range": {source.ingested: {"gte": f"now-{DAYS}d"}}},
        "aggs": {"sources": {"composite": composite, "aggs": newest}},
    }


def _instant(aggregation: dict[str, Any]) -> datetime | None:
    value = aggregation.get("value")
    return datetime.fromtimestamp(float(value) / 1_000, UTC) if value is not None else None
