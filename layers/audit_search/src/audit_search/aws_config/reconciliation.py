"""Resources that a snapshot no longer lists: found, reported as events, and never deleted on its word alone.

The latest states of one account and region are gone through in pages, in the order of their keys, and compared with what the
snapshot listed. A snapshot is not instantaneous, so only states captured before it count; what looks missing is read again
by id, since a search may not see yet that it was deleted meanwhile.
https://docs.aws.amazon.com/config/latest/developerguide/deliver-snapshot-cli.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from audit_search.aws_config.documents import CURRENT, CURRENT_INDEX, HealthEvent, current_id
from audit_search.aws_config.requests import Requests

MISSING: Final = "ResourceMissingFromSnapshot"
"""The `messageType` of what is reported; AWS Config has no message for it."""

_PAGE: Final = 1_000
_NOT_RECORDED: Final = "ResourceNotRecorded"
_FIELDS: Final = ["cfg.resource", "resourceType", "resourceId", "resourceName", "ARN"]


@dataclass(frozen=True, slots=True)
class Missing:
    """A resource that is not deleted as far as is known, and that the snapshot does not list."""

    account: str
    region: str
    type: str
    resource_id: str
    name: str
    arn: str

    def event(self, snapshot_id: str, snapshot_time: int) -> HealthEvent:
        """The event that reports it: the same for the same snapshot, however often that is read."""
        fields = {
            "resourceType": self.type,
            "resourceId": self.resource_id,
            "resourceName": self.name,
            "ARN": self.arn,
            "configSnapshotId": snapshot_id,
            "outcome": "missing",
        }
        text = f"{self.type} {self.resource_id} is not listed in the snapshot {snapshot_id}, and no deletion of it is known"
        return HealthEvent(MISSING, self.account, self.region, snapshot_time, text, {key: v for key, v in fields.items() if v})


def reconcile(
    requests: Requests, prefix: str, account: str, region: str, seen: Collection[str], snapshot_time: int
) -> Iterator[Missing]:
    """What a snapshot of an account and region does not list; `seen` are the keys (`Item.resource`) that it does.

    `snapshot_time` is in ms. Global resources count where this region recorded them last. Raises UnreadableError.
    Holds one page in memory, beside `seen`.
    """
    body = _query(account, region, snapshot_time)
    while True:
        hits = requests.search(f"{prefix}{CURRENT}", body)
        found = [(hit["sort"][0], hit["_source"]) for hit in hits if hit["sort"][0] not in seen]
        gone = _deleted(requests, prefix, [key for key, _ in found])
        for key, source in found:
            if key not in gone:
                yield _missing(key, source)
        if len(hits) < _PAGE:
            return
        body["search_after"] = hits[-1]["sort"]


def _query(account: str, region: str, snapshot_time: int) -> dict[str, Any]:
    recorded_here = [{"term": {"awsRegion": "global"}}, {"term": {"cfg.recordedIn": region}}]
    return {
        "size": _PAGE,
        "query": {
            "bool": {
                "filter": [
                    {"term": {"awsAccountId": account}},
                    {"term": {"cfg.deleted": False}},
                    {"range": {"configurationItemCaptureTime": {"lt": snapshot_time, "format": "epoch_millis"}}},
                    {"bool": {"should": [{"term": {"awsRegion": region}}, {"bool": {"filter": recorded_here}}]}},
                    {"exists": {"field": "cfg.resource"}},
                ],
                "must_not": [{"term": {"configurationItemStatus": _NOT_RECORDED}}],
            }
        },
        "sort": [{"cfg.resource": "asc"}],
        "track_total_hits": False,
        "_source": _FIELDS,
    }


def _deleted(requests: Requests, prefix: str, keys: list[str]) -> set[str]:
    """Those that are deleted by now, whether a search sees it already or not."""
    index = f"{prefix}{CURRENT_INDEX}"
    wanted = [({"_index": index, "_id": current_id(key), "_source": ["cfg.deleted"]}, 200) for key in keys]
    answers = requests.read(wanted)
    return {key for key, one in zip(keys, answers, strict=True) if one.get("found") and one["_source"]["cfg"]["deleted"]}


def _missing(key: str, source: dict[str, Any]) -> Missing:
    account, region, kind, resource_id = key.split("|", 3)
    return Missing(account, region, kind, resource_id, source.get("resourceName", ""), source.get("ARN", ""))
