"""What AWS Config delivers, made for tests: items, messages and objects; and what an engine holds of them afterwards."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from typing import Any

from generate import CONFIG_BUCKET

from tests.support.aws import Aws, Stored
from tests.support.engines import TestEngine
from tests.support.function import Function

ACCOUNT, REGION = "111122223333", "eu-central-1"
MADE = "2026-11-20T10:00:00.000Z"
ENDS = ("Indexed", "Duplicate", "Filtered", "Quarantined", "Returned")

Json = dict[str, Any]


def folder(region: str = REGION) -> str:
    """Where objects of a day lie."""
    return f"AWSLogs/{ACCOUNT}/Config/{region}/2026/11/20"


def item(identity: str = "vol-1", at: str = MADE, **fields: Any) -> Json:
    """A configuration item; `fields` replace or add."""
    usual: Json = {
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": at,
        "configurationStateId": int(at[17:19]) + 1,
        "awsAccountId": ACCOUNT,
        "configurationItemStatus": "OK",
        "resourceType": "AWS::EC2::Volume",
        "resourceId": identity,
        "awsRegion": REGION,
        "tags": {},
        "relatedEvents": [],
        "relationships": [],
        "configuration": {"size": 8},
        "supplementaryConfiguration": {},
    }
    return usual | fields


def change(one: object, **more: Any) -> Json:
    """The stream's message of an item."""
    return {
        "messageType": "ConfigurationItemChangeNotification",
        "notificationCreationTime": MADE,
        "configurationItem": one,
        "configurationItemDiff": None,
        **more,
    }


def oversized(location: str) -> Json:
    """The message of an item that was too large, and lies in the bucket."""
    return {
        "messageType": "OversizedConfigurationItemChangeNotification",
        "notificationCreationTime": MADE,
        "configurationItemSummary": {"resourceType": "AWS::EC2::Volume", "resourceId": "vol-1", "awsAccountId": ACCOUNT},
        "s3DeliverySummary": {"s3BucketLocation": location, "errorCode": None, "errorMessage": None},
    }


def compliance(rule: str = "encrypted-volumes") -> Json:
    """The message of a rule that has come to another result."""
    return {
        "messageType": "ComplianceChangeNotification",
        "notificationCreationTime": MADE,
        "awsAccountId": ACCOUNT,
        "awsRegion": REGION,
        "configRuleName": rule,
        "resourceType": "AWS::EC2::Volume",
        "resourceId": "vol-1",
        "newEvaluationResult": {"complianceType": "NON_COMPLIANT"},
        "oldEvaluationResult": {"complianceType": "COMPLIANT"},
    }


def put_items(aws: Aws, *items: object, kind: str = "ConfigHistory", name: str = "one", region: str = REGION) -> Stored:
    """A history, or a snapshot, of some items."""
    content = {"fileVersion": "1.0", "configSnapshotId": f"s-{name}", "configurationItems": list(items)}
    key = f"{folder(region)}/{kind}/{ACCOUNT}_Config_{region}_{kind}_{name}_20261120T100500Z_1.json.gz"
    return aws.put(gzip.compress(json.dumps(content).encode()), key, CONFIG_BUCKET)


def family(engine: TestEngine, name: str, query: Json | None = None) -> list[Json]:
    """The documents of a family, the oldest first."""
    engine.call("POST", f"/{engine.prefix}*/_refresh")
    body = {"size": 2_000, "query": query or {"match_all": {}}, "sort": [{"@timestamp": "asc"}]}
    status, answer = engine.call("POST", f"/{engine.prefix}{name}/_search?ignore_unavailable=true", body)
    assert status == 200, answer
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def sizes(engine: TestEngine) -> tuple[int, int, int]:
    """How many versions, latest states and events there are."""
    versions, latest, events = (len(family(engine, name)) for name in ("config-history", "config-current", "config-events"))
    return versions, latest, events


def names(documents: Iterable[Json]) -> list[str]:
    """The ids of the resources of documents."""
    return [one["resourceId"] for one in documents]


def accounted(function: Function) -> dict[str, int]:
    """The metrics of the last call that are not zero, having seen that they add up."""
    found = {name: int(value) for name, value in function.metrics.items() if name != "EventLag"}
    assert found["RecordsRead"] == sum(found[f"Records{name}"] for name in ENDS)
    return {name: value for name, value in found.items() if value}


def reason(function: Function) -> str:
    """Why a message of the last call returns."""
    return str(next(line["reason"] for line in function.logged if line["message"] == "message returned"))
