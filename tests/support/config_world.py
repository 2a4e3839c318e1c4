"""Versions of made-up resources, an engine for them, and what has to be there in the end whatever the order was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from audit_search import index_template
from audit_search.aws_config.changes import Change, between, from_message
from audit_search.aws_config.documents import CURRENT_INDEX, TIMELINE, Origin, current_id, history_index, timeline_id
from audit_search.aws_config.history import Arrival, History, Written
from audit_search.aws_config.items import Item, Source, parse
from audit_search.aws_config.requests import Engine
from audit_search.bulk import Body, Reply, Retries
from audit_search.opensearch import HttpEngine
from audit_search.rebuild import Rejection
from audit_search.settings import Settings
from tests.support.engines import TestEngine

START = 1_762_100_000_000
"""A moment of November 2025, in ms; months follow each other from here."""
MONTH = 31 * 86_400_000
ACCOUNT, REGION = "123456789012", "eu-west-1"
IMPATIENT = Retries(attempts=4, base=0.01, cap=0.05, timeout=60.0)
_SENT = {"ingestTime", "source", "ingestMode", "bucket", "key", "topic"}


def version(
    resource: str, at: int, state: str, *, deleted: bool = False, source: Source = "stream", diff: bool = False, **more: Any
) -> Item:
    """A version of a volume, its state in its configuration; `diff` gives it the account of a message."""
    record: dict[str, Any] = {
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": _iso(at),
        "configurationStateId": state,
        "awsAccountId": ACCOUNT,
        "configurationItemStatus": "ResourceDeleted" if deleted else "OK",
        "resourceType": "AWS::EC2::Volume",
        "resourceId": resource,
        "awsRegion": REGION,
        "tags": {} if deleted else {"state": state, "a.b": "c"},
        "relationships": []
        if deleted
        else [{"resourceType": "AWS::EC2::Instance", "resourceId": f"i-{state}", "relationshipName": "Is attached to Instance"}],
        "configuration": None if deleted else {"size": int(at % 97), "state": {"name": state}},
        "supplementaryConfiguration": {},
        **more,
    }
    told = {"changeType": "UPDATE", "changedProperties": {"Configuration.Told": _told(state)}} if diff else None
    item = parse(json.dumps(record), source=source, diff=told)
    assert not isinstance(item, Rejection)
    return item


def _told(state: str) -> dict[str, Any]:
    return {"previousValue": "before", "updatedValue": state, "changeType": "UPDATE"}


def _iso(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03d}Z"


@dataclass
class World:
    """An engine with the templates of AWS Config for a prefix that nobody else has; never refreshed unless asked to."""

    engine: TestEngine
    client: HttpEngine = field(init=False)

    def __post_init__(self) -> None:
        variant = {"replicas": 0, "shards": 1, "refresh": "-1", "simple": not self.engine.real}
        index_template.install(self.engine, self.prefix, *index_template.CONFIG, **variant)
        self.client = self.connected(self.engine.endpoint)

    @staticmethod
    def connected(endpoint: str) -> HttpEngine:
        """A client of an endpoint without authentication."""
        environ = {"OPENSEARCH_ENDPOINT": endpoint, "OPENSEARCH_AUTH": "none"}
        return HttpEngine(Settings.from_env({**environ, "ALLOWED_BUCKETS": "trails", "QUARANTINE_BUCKET": "kept"}))

    @property
    def prefix(self) -> str:
        """What all names begin with."""
        return self.engine.prefix

    def remove(self) -> None:
        """Remove the indices and the templates."""
        status, answer = self.engine.call("GET", f"/{self.prefix}*/_settings?expand_wildcards=all")
        for index in sorted(answer) if status == 200 else ():
            self.engine.call("DELETE", f"/{index}")
        for family in index_template.CONFIG:
            self.engine.call("DELETE", f"/_index_template/{index_template.name(self.prefix, family)}")

    def history(self, engine: Engine | None = None, **more: Any) -> History:
        """What writes into this world."""
        return History(engine or self.client, self.prefix, **{"retries": IMPATIENT, **more})

    def write(self, items: Iterable[Item], engine: Engine | None = None, **more: Any) -> Written:
        """Write items in their order, in one batch."""
        return self.history(engine, **more).write([Arrival(item, Origin("test")) for item in items], time.monotonic() + 120)

    def get(self, index: str, identity: str) -> dict[str, Any] | None:
        """A document by its id, refreshed or not."""
        wanted = {"docs": [{"_index": index, "_id": identity}]}
        status, answer = self.engine.call("POST", "/_mget", wanted)
        assert status == 200, answer
        found: dict[str, Any] = answer["docs"][0]
        return found if found.get("found") else None

    def version(self, item: Item) -> dict[str, Any] | None:
        """The document of a version."""
        found = self.get(history_index(self.prefix, item.captured), item.identity)
        return None if found is None else found["_source"]

    def current(self, item: Item) -> dict[str, Any] | None:
        """The latest state of an item's resource."""
        return self.get(f"{self.prefix}{CURRENT_INDEX}", current_id(item.resource))

    def timeline(self, item: Item) -> dict[str, Any] | None:
        """The timeline of an item's resource."""
        return self.get(f"{self.prefix}{TIMELINE}", timeline_id(item.resource))

    def assert_settled(self, items: Sequence[Item]) -> None:
        """Assert that all is as it has to be, once each of the items has been delivered in any way."""
        for resource, versions in expected(items).items():
            told = {item.identity: item for item, _, _, _ in versions}
            line = self.timeline(versions[0][0])
            assert line is not None
            assert len(line["_source"]["captured"]) == len(told), resource
            for item, derived, previous, changes in versions:
                source = self.version(item)
                assert source is not None, f"{item.resource} {item.state_id} is not there"
                cfg = source["cfg"]
                assert (cfg["changesFrom"], cfg.get("previous")) == (derived, previous), f"{item.resource} {item.state_id}"
                assert cfg.get("changeLines", []) == [change.text for change in changes]
                assert cfg["changeCount"] == len(changes)
            newest = max((item for item, *_ in versions), key=lambda item: item.rank)
            current = self.current(newest)
            assert current is not None
            assert current["_version"] == newest.rank
            assert current["_source"]["configurationStateId"] == newest.state_id
            assert current["_source"]["cfg"]["deleted"] is newest.deleted

    def state(self, items: Sequence[Item]) -> dict[str, Any]:
        """Everything that is stored of the items but for how it came: to compare one order with another."""
        kept = {}
        for item in items:
            for name, found in (("version", self.version(item)), ("current", (self.current(item) or {}).get("_source"))):
                assert found is not None
                cfg = {key: value for key, value in found["cfg"].items() if key not in _SENT}
                kept[f"{name} {item.identity if name == 'version' else item.resource}"] = {**found, "cfg": cfg}
        return kept


def expected(items: Iterable[Item]) -> dict[str, list[tuple[Item, str, str | None, tuple[Change, ...]]]]:
    """By resource its versions in time, each once: what their changes are from, the version before, and the changes."""
    best: dict[str, Item] = {}
    for item in items:
        known = best.get(item.identity)
        if known is None or (known.diff is None and item.diff is not None):
            best[item.identity] = item
    resources: dict[str, list[tuple[Item, str, str | None, tuple[Change, ...]]]] = {}
    for item in sorted(best.values(), key=lambda item: (item.rank, item.identity)):
        versions = resources.setdefault(item.resource, [])
        before = versions[-1][0] if versions else None
        if item.diff is not None:
            versions.append((item, "message", None, from_message(item.diff, item)))
        elif before is None:
            versions.append((item, "first", None, between(None, item)))
        else:
            versions.append((item, "previous", before.identity, between(before, item)))
    return resources


def counted(written: Written) -> dict[str, int]:
    """How many outcomes there are of each kind."""
    kinds: dict[str, int] = {}
    for outcome in written.outcomes:
        kinds[outcome.kind] = kinds.get(outcome.kind, 0) + 1
    return kinds


def delivered_as(item: Item, source: Source, *, diff: bool = False) -> Item:
    """The same version from elsewhere."""
    told = {"changeType": "UPDATE", "changedProperties": {"Configuration.Told": _told(item.state_id)}} if diff else None
    return replace(item, source=source, diff=told)


class Killed(BaseException):  # no error of anything: nothing may catch it
    """A writer that ends here."""


@dataclass(frozen=True)
class Trouble:
    """What happens at the request of that number: `before` it is sent or `after` it was carried out the writer is killed, or
    its answer is `lost` on the way."""

    request: int
    kind: Literal["before", "after", "lost"]


class Troubled:
    """An engine whose caller gets into trouble at a chosen request."""

    def __init__(self, engine: Engine, trouble: Trouble) -> None:
        self._engine = engine
        self._left = trouble.request
        self._kind = trouble.kind

    def bulk(self, body: Body, timeout: float) -> Reply:
        """A bulk request."""
        return self._do(lambda: self._engine.bulk(body, timeout))

    def mget(self, wanted: Sequence[Mapping[str, Any]], timeout: float) -> Reply:
        """A request for documents."""
        return self._do(lambda: self._engine.mget(wanted, timeout))

    def search(self, index: str, body: Mapping[str, Any], timeout: float) -> Reply:
        """A search."""
        return self._do(lambda: self._engine.search(index, body, timeout))

    def _do(self, request: Callable[[], Reply]) -> Reply:
        self._left -= 1
        if self._left == 0 and self._kind == "before":
            raise Killed
        reply = request()
        if self._left == 0 and self._kind == "after":
            raise Killed
        return Reply(0, type="connection_error", reason="lost") if self._left == 0 else reply
