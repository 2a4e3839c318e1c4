"""What a good engineer writes in an afternoon for AWS Config: json, the version before, a diff, two documents for each item.

It makes the same documents as ours, as far as that goes: every field, `raw`, `cfg` with changes and relationships. It does not
go back to a successor when a version comes late, and two of it at once can overtake each other.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import boto3
from opensearchpy import ConflictError, NotFoundError, OpenSearch, RequestsHttpConnection, helpers
from requests_aws4auth import AWS4Auth

CURRENT = "config-current-v1"


class NaiveConfigHandler:
    """Takes the items of an event one by one: a GET of the latest state, and a request for each of its two documents.

    With `bulk` it searches the history for the version before, item by item, and leaves the writing to `helpers.bulk`. A
    search does not see what has not been refreshed, so that on a real engine it compares with an older version at times.
    """

    first: int | None = None
    """Of a snapshot only so many items are taken once all are read: for the measurement."""

    def __init__(self, endpoint: str, *, bulk: bool) -> None:
        session = boto3.Session()
        self._s3 = session.client("s3")
        auth = AWS4Auth(region=session.region_name, service="es", refreshable_credentials=session.get_credentials())
        self._client = OpenSearch(hosts=[endpoint], http_auth=auth, connection_class=RequestsHttpConnection, timeout=60)
        self._bulk = bulk

    def __call__(self, event: dict[str, Any]) -> None:
        """Index everything that an SQS event holds or names."""
        actions = (action for item, diff, key in self._items(event) for action in self._actions(item, diff, key))
        if self._bulk:
            helpers.bulk(self._client, actions, raise_on_error=False)
            return
        for action in actions:
            more = {name: action[f"_{name}"] for name in ("version", "version_type") if f"_{name}" in action}
            with suppress(ConflictError):  # a later version is there
                self._client.index(index=action["_index"], id=action["_id"], body=action["_source"], params=more)

    def _items(self, event: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None, str]]:
        for record in event["Records"]:
            message = json.loads(json.loads(record["body"])["Message"])
            if message["messageType"] == "ConfigurationItemChangeNotification":
                yield message["configurationItem"], message["configurationItemDiff"], ""
            elif message["messageType"] == "ConfigurationSnapshotDeliveryCompleted":
                key = message["s3ObjectKey"]
                body = self._s3.get_object(Bucket=message["s3Bucket"], Key=key)["Body"].read()
                for item in json.loads(gzip.decompress(body))["configurationItems"][: self.first]:
                    yield item, None, key

    def _actions(self, item: dict[str, Any], diff: dict[str, Any] | None, key: str) -> Iterator[dict[str, Any]]:
        resource = "|".join(item[name] for name in ("awsAccountId", "awsRegion", "resourceType", "resourceId"))
        captured = datetime.fromisoformat(item["configurationItemCaptureTime"])
        before = self._before(resource)
        if before and before["configurationStateId"] == str(item["configurationStateId"]):
            return  # nothing has happened since the last snapshot
        source = document(item, resource, key)
        if diff:
            source["cfg"]["changes"] = from_diff(diff)
        elif before:
            source["cfg"]["changes"] = list(compare("", json.loads(before["raw"]), item))
        identity = hashlib.sha256(f"{resource}|{captured}|{item['configurationStateId']}".encode()).hexdigest()[:40]
        yield {"_index": f"config-history-{captured:%Y.%m}", "_id": identity, "_source": source}
        order = {"_version": int(captured.timestamp() * 1000) << 20, "_version_type": "external_gte"}
        yield {"_index": CURRENT, "_id": resource, "_source": source, **order}

    def _before(self, resource: str) -> dict[str, Any] | None:
        if not self._bulk:
            try:
                found: dict[str, Any] = self._client.get(index=CURRENT, id=resource)["_source"]
            except NotFoundError:
                return None
            return found
        query = {"query": {"term": {"cfg.resource": resource}}, "sort": [{"configurationItemCaptureTime": "desc"}], "size": 1}
        hits = self._client.search(index="config-history*", body=query)["hits"]["hits"]
        return hits[0]["_source"] if hits else None


def document(item: dict[str, Any], resource: str, key: str) -> dict[str, Any]:
    """The document of an item, without what changed."""
    source = {name: value for name, value in item.items() if value not in (None, "", [], {})}
    source["configurationStateId"] = str(item["configurationStateId"])
    for name, value in source.get("supplementaryConfiguration", {}).items():
        if isinstance(value, str) and value[:1] in "{[":
            source["supplementaryConfiguration"] = {**source["supplementaryConfiguration"], name: json.loads(value)}
    related = item["relationships"]
    source["raw"] = json.dumps(item, separators=(",", ":"))
    source["cfg"] = {
        "resource": resource,
        "deleted": item["configurationItemStatus"].startswith("ResourceDeleted"),
        "key": key,
        "tagList": sorted(f"{name}={value}" for name, value in (item.get("tags") or {}).items()),
        "relatedIds": sorted({one["resourceId"] for one in related if one["resourceId"]}),
        "relatedTypes": sorted({one["resourceType"] for one in related}),
        "ingestTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    return source


def from_diff(diff: dict[str, Any]) -> list[dict[str, Any]]:
    """The changes that a message tells of."""
    return [
        {"path": path, "before": json.dumps(change.get("previousValue")), "after": json.dumps(change.get("updatedValue"))}
        for path, change in (diff.get("changedProperties") or {}).items()
    ]


def compare(path: str, before: Any, after: Any) -> Iterator[dict[str, Any]]:
    """What differs between two values, lists by position."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from compare(f"{path}.{name}" if path else name, before.get(name), after.get(name))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from compare(f"{path}.{number}", one, other)
    elif before != after:
        yield {"path": path, "before": json.dumps(before), "after": json.dumps(after)}
