"""What a good engineer writes in an afternoon: boto3, gzip, json, a dict for each document, `helpers.bulk`.

It makes the same documents as ours: every field, the flattened identity, `raw` and `ct`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
from opensearchpy import OpenSearch, RequestsHttpConnection, helpers
from requests_aws4auth import AWS4Auth

FLATTENED = ("userIdentity", "tlsDetails", "addendum")


class NaiveHandler:
    """Reads the objects that an event names, one by one, and indexes each with `helpers.bulk`."""

    def __init__(self, endpoint: str, *, compress: bool) -> None:
        session = boto3.Session()
        self._s3 = session.client("s3")
        auth = AWS4Auth(region=session.region_name, service="es", refreshable_credentials=session.get_credentials())
        self._client = OpenSearch(
            hosts=[endpoint], http_auth=auth, http_compress=compress, connection_class=RequestsHttpConnection, timeout=60
        )

    def __call__(self, event: dict[str, Any]) -> int:
        """Index everything that an SQS event names; gives the number of documents."""
        done = 0
        for message in event["Records"]:
            for notification in json.loads(message["body"])["Records"]:
                bucket, key = notification["s3"]["bucket"]["name"], notification["s3"]["object"]["key"]
                body = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                found = json.loads(gzip.decompress(body))["Records"]
                success, _ = helpers.bulk(self._client, actions(found, bucket, key), raise_on_error=False)
                done += success
        return done


def actions(found: list[dict[str, Any]], bucket: str, key: str) -> Iterator[dict[str, Any]]:
    """A bulk action for each record."""
    for position, record in enumerate(found):
        source: dict[str, Any] = {}
        for name, value in record.items():
            if name in FLATTENED and isinstance(value, dict):
                flatten(name, value, source)
            else:
                source[name] = value
        source["raw"] = json.dumps(record, separators=(",", ":"))
        identity = record.get("userIdentity") or {}
        issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
        ct: dict[str, Any] = {"bucket": bucket, "key": key, "ingestMode": "live"}
        ct["identity"] = identity.get("arn") or identity.get("principalId") or identity.get("invokedBy")
        ct["caller"] = identity.get("userName") or identity.get("invokedBy") or ""
        if identity.get("type") == "AssumedRole":
            ct["caller"] = f"{issuer.get('userName')}/{identity['arn'].rpartition('/')[2]}"
        ct["outcome"] = "failure" if record.get("errorCode") or record.get("errorMessage") else "success"
        if record.get("eventName") == "RunInstances":
            ct["instanceType"] = [(record["requestParameters"] or {}).get("instanceType")]
        ct["position"] = position
        ct["ingestTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        source["ct"] = ct
        month = record["eventTime"][:7].replace("-", ".")
        yield {"_op_type": "create", "_index": f"cloudtrail-{month}", "_id": record.get("eventID"), "_source": source}


def flatten(path: str, value: dict[str, Any], source: dict[str, Any]) -> None:
    """Put the leaves of an object under dotted names."""
    for name, item in value.items():
        if isinstance(item, dict):
            flatten(f"{path}.{name}", item, source)
        else:
            source[f"{path}.{name}"] = item
