"""How new the newest events are, by account and region, and how long they took."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime
from typing import Any

from audit_search_cli.checks.findings import Finding, NotCheckedError, Patient
from audit_search_cli.output import counted, human_age

_CHECK = "freshness"
_DAYS = 14
_NEWEST = 200
_SLOW_SECONDS = 1_800
_QUIET_HOURS = 48
_DATES = [{"field": name, "format": "epoch_millis"} for name in ("eventTime", "ct.ingestTime")]


def freshness(patient: Patient) -> list[Finding]:
    """The newest ct.ingestTime and eventTime in all, and of each account and region of the last two weeks."""
    answer = _search(patient, {"size": 0, "track_total_hits": True, "aggs": _aggregations()})
    if not answer or not answer["hits"]["total"]["value"]:
        remedy = (
            "Events come within some 15 minutes of the first delivery; audit-search doctor --stack NAME looks at the way to here."
        )
        return [Finding(_CHECK, "warning", f"There is no document under {patient.alias} yet, or none that we may see.", remedy)]
    found = answer["aggregations"]
    ingested, happened = _newest(found, "ingested"), _newest(found, "happened")
    table = _table(patient, found.get("recent", {}).get("accounts", {}).get("buckets", []))
    count = counted(answer["hits"]["total"]["value"], "document")
    what = f"{count}; newest ingested {_ago(patient, ingested)}, newest event {_ago(patient, happened)}."
    age = (patient.now - ingested).total_seconds() if ingested else None
    if age is None or age > patient.stale.total_seconds():
        limit = human_age(patient.stale.total_seconds())
        remedy = "Look at the trail (is it logging?), the queue, the function's log and its alarms; --stack NAME does so."
        return [Finding(_CHECK, "warning", f"Nothing has come in for more than {limit}: {what}", remedy, table)]
    return [Finding(_CHECK, "ok", what, "", table)]


def config_freshness(patient: Patient) -> list[Finding]:
    """The newest of AWS Config's versions and events, where there are any."""
    check = "config freshness"
    newest: dict[str, datetime | None] = {}
    for other in patient.of_config():
        if other.family and other.family.period:
            body = {"size": 0, "aggs": {"ingested": {"max": {"field": "cfg.ingestTime"}}}}
            answer = _search(other, body)
            newest[other.alias] = _newest(answer["aggregations"], "ingested") if answer else None
    if not newest:
        return []
    what = ", ".join(f"{alias}: {_ago(patient, when)}" for alias, when in newest.items())
    latest = max((when for when in newest.values() if when), default=None)
    if latest is None or (patient.now - latest).total_seconds() > _QUIET_HOURS * 3_600:
        remedy = (
            "Is the recorder on? aws configservice describe-configuration-recorder-status says so; then look at Config's queue, "
            "the function's log and its alarms."
        )
        return [Finding(check, "warning", f"Nothing of AWS Config has come in for more than {_QUIET_HOURS} h: {what}.", remedy)]
    return [Finding(check, "ok", f"Newest ingested: {what}.")]


def lag(patient: Patient) -> list[Finding]:
    """How long the newest live documents took from the event to the index, CloudTrail's own minutes included."""
    body = {
        "size": _NEWEST,
        "_source": False,
        "docvalue_fields": _DATES,
        "query": {"term": {"ct.ingestMode": "live"}},
        "sort": [{"ct.ingestTime": "desc"}],
    }
    answer = _search(patient, body)
    seconds = []
    for hit in answer["hits"]["hits"] if answer else []:
        fields = hit.get("fields", {})
        if fields.get("eventTime") and fields.get("ct.ingestTime"):
            seconds.append((float(fields["ct.ingestTime"][0]) - float(fields["eventTime"][0])) / 1000)
    if not seconds:
        return [Finding("lag", "note", "No live documents yet to see how long events take.")]
    middle, longest = statistics.median(seconds), max(seconds)
    of = counted(len(seconds), "live event")
    what = f"From the call to the index: {human_age(middle)} (median), at most {human_age(longest)}, of {of}."
    if middle > _SLOW_SECONDS:
        remedy = "CloudTrail itself takes up to 15 minutes; beyond it look at the queue's age and the function's concurrency."
        return [Finding("lag", "warning", what, remedy)]
    return [Finding("lag", "ok", what)]


def _search(patient: Patient, body: dict[str, Any]) -> dict[str, Any] | None:
    answer = patient.ask("POST", f"/{patient.alias}/_search?ignore_unavailable=true", body, none_on_404=True)
    if answer is not None and not isinstance(answer, dict):
        raise NotCheckedError("the engine's answer to a search is not understood")
    return answer


def _aggregations() -> dict[str, Any]:
    newest = {"ingested": {"max": {"field": "ct.ingestTime"}}, "happened": {"max": {"field": "eventTime"}}}
    regions = {"regions": {"terms": {"field": "awsRegion", "size": 50}, "aggs": newest}}
    accounts = {"accounts": {"terms": {"field": "recipientAccountId", "size": 500}, "aggs": regions}}
    return {**newest, "recent": {"filter": {"range": {"ct.ingestTime": {"gte": f"now-{_DAYS}d"}}}, "aggs": accounts}}


def _newest(aggregations: dict[str, Any], name: str) -> datetime | None:
    value = aggregations.get(name, {}).get("value")
    return datetime.fromtimestamp(float(value) / 1000, UTC) if value is not None else None


def _table(patient: Patient, accounts: list[dict[str, Any]]) -> tuple[tuple[str, ...], ...]:
    rows = [
        (
            str(account["key"]),
            str(region["key"]),
            f"{region['doc_count']:,}",
            _ago(patient, _newest(region, "ingested")),
            _ago(patient, _newest(region, "happened")),
        )
        for account in accounts
        for region in account.get("regions", {}).get("buckets", [])
    ]
    header = ("account", "region", f"events in {_DAYS} days", "newest ingested", "newest event")
    return (header, *sorted(rows)) if rows else ()


def _ago(patient: Patient, when: datetime | None) -> str:
    if when is None:
        return "never"
    return f"{when:%Y-%m-%d %H:%M} UTC ({human_age((patient.now - when).total_seconds())} ago)"
