"""Resources in what AWS Config recorded: found by id, name or ARN, their versions in a period, and the one that held at a time.

A version holds from its capture on, until the next one is captured. Where the history of a resource was removed by retention
its latest state is still there, and stands for the version that it is.
https://docs.aws.amazon.com/config/latest/developerguide/view-manage-resource.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from audit_search.aws_config.dialects import milliseconds
from audit_search.aws_config.documents import CURRENT, HISTORY
from audit_search.aws_config.items import Item, parse
from audit_search.index_template import name as name_of
from audit_search.rebuild import Rejection
from audit_search_cli.errors import Problem
from audit_search_cli.questions.callers import exactly
from audit_search_cli.questions.events import Events, search
from audit_search_cli.questions.fields import Query, all_of, any_of, none_of
from audit_search_cli.questions.filters import stamp
from audit_search_cli.questions.resources import of_end, type_of_arn

TIME: Final = "configurationItemCaptureTime"
KEY: Final = "cfg.resource"
_PAGE: Final = 100
_MOST: Final = 200
_NAMED: Final = 5
_NOT_RECORDED: Final = ("ResourceNotRecorded", "ResourceDeletedNotRecorded")
_NEWEST: Final = [{TIME: {"order": "desc", "unmapped_type": "date"}}]
_LIGHT: Final = {"excludes": ["raw", "configuration", "supplementaryConfiguration"]}
_IDENTITY: Final = ["awsAccountId", "awsRegion", "resourceType", "resourceId", "resourceName", "ARN", KEY]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource: account, region (`global` where it has none), type, id; name and ARN where AWS Config has them."""

    account: str
    region: str
    type: str
    id: str
    name: str = ""
    arn: str = ""

    @property
    def key(self) -> str:
        """What tells it from every other, as its documents have it."""
        return "|".join((self.account, self.region, self.type, self.id))

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name and self.name != self.id else ""
        return f"{self.type} {self.id}{name}, {self.account} {self.region}"


@dataclass(frozen=True, slots=True)
class Narrow:
    """What a resource is limited to: a type, whole or its last part (SecurityGroup), any of some accounts and regions."""

    type: str = ""
    accounts: Sequence[str] = ()
    regions: Sequence[str] = ()

    def query(self) -> Query:
        """The engine's query."""
        parts: list[Query] = []
        if self.type:
            ends = self.type.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
            parts.append(any_of(exactly("resourceType", self.type), {"wildcard": {"resourceType": {"value": f"*::{ends}"}}}))
        for path, values in (("awsAccountId", self.accounts), ("awsRegion", self.regions)):
            parts += [{"terms": {path: list(values)}}] if values else []
        return all_of(*parts)

    def __str__(self) -> str:
        parts = [f"type {self.type}"] if self.type else []
        parts += [f"account {' or '.join(self.accounts)}"] if self.accounts else []
        return ", ".join([*parts, *([f"region {' or '.join(self.regions)}"] if self.regions else [])])


@dataclass(frozen=True)
class Version:
    """A version of a resource: its document's id, its index, and the document as it was fetched."""

    id: str
    index: str
    source: Mapping[str, Any] = field(repr=False)

    @property
    def captured(self) -> datetime:
        """When it was captured, in UTC to the millisecond."""
        return datetime.fromtimestamp(milliseconds(self.source.get(TIME)) / 1_000, UTC)

    @property
    def status(self) -> str:
        """configurationItemStatus."""
        return str(self.source.get("configurationItemStatus") or "")

    @property
    def notes(self) -> Mapping[str, Any]:
        """What was added to it (`cfg`)."""
        found = self.source.get("cfg")
        return found if isinstance(found, dict) else {}

    @property
    def deleted(self) -> bool:
        """Whether the resource is gone in it."""
        return bool(self.notes.get("deleted"))

    @property
    def recorded(self) -> bool:
        """Whether AWS Config recorded the type then."""
        return self.status not in _NOT_RECORDED

    @property
    def created(self) -> datetime | None:
        """When the resource was made, where AWS Config says so."""
        made = milliseconds(self.source.get("resourceCreationTime"))
        return datetime.fromtimestamp(made / 1_000, UTC) if made else None

    @property
    def resource(self) -> Resource:
        """Whose version it is."""
        return _resource(self.source)

    @property
    def related(self) -> list[Mapping[str, Any]]:
        """Its relationships; a resource that is gone has none, whatever its item still lists."""
        listed = self.source.get("relationships")
        return [] if self.deleted or not isinstance(listed, list) else [one for one in listed if isinstance(one, dict)]

    @cached_property
    def item(self) -> Item | None:
        """The item of its own text, or None where that was not fetched."""
        raw = self.source.get("raw")
        found = parse(raw, account=self.resource.account, region=self.resource.region) if isinstance(raw, str) and raw else None
        return None if isinstance(found, Rejection) else found


@dataclass(frozen=True, slots=True)
class Held:
    """What held at a time: the version, or None where it is earlier than all that is known; and the versions around it.

    `next` is when the following version was captured, None where there is none; `first` is when the first was, that is known.
    """

    at: datetime
    version: Version | None
    next: datetime | None
    first: datetime | None


def find(events: Events, asked: str, narrow: Narrow | None = None) -> list[Resource]:
    """The resources that have an id, a name or an ARN, at most some hundreds, in the order of their keys.

    An id or an ARN wins over names: a resource may be called as another's id. Of an ARN that AWS Config has for nothing, for
    some types it has none, the id at its end is looked for in the account that it names; and such an end, `role/deploy`,
    stands for its name. Raises as `Events` does.
    """
    wanted = narrow or Narrow()
    by_id = any_of(exactly("resourceId", asked), exactly("ARN", asked))
    for query in (by_id, exactly("resourceName", asked), _by_arn(asked), _by_end(asked)):
        found = _matching(events, all_of(query, wanted.query())) if query else []
        if found:
            return found
    return []


def one(events: Events, asked: str, narrow: Narrow | None = None) -> Resource | None:
    """The one resource of an id, a name or an ARN; None where there is none. Raises Problem for several."""
    found = find(events, asked, narrow)
    if len(found) <= 1:
        return found[0] if found else None
    named = "; ".join(str(each) for each in found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    number = f"At least {len(found)}" if len(found) >= _MOST else str(len(found))
    raise Problem(f"{number} resources fit {asked}: {named}{more}", "Give --type, --accounts or --regions, or an id.")


def versions(
    events: Events,
    resource: Resource,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    most: int | None = None,
) -> Iterator[Version]:
    """The versions that were captured from `since` (included) to `until` (excluded), newest first, without their own text.

    Raises as `Events` does.
    """
    return itertools.islice(_pages(events, resource, since, until), most)


def held(events: Events, resource: Resource, at: datetime) -> Held:
    """What held at a time, the whole document. Raises as `Events` does."""
    mine = exactly(KEY, resource.key)
    index = name_of(events.prefix, HISTORY)
    found = _last(events, index, resource, at)
    if found is None:
        latest = _hits(events, name_of(events.prefix, CURRENT), {"query": mine, "size": 1})
        found = next((version for version in map(_version, latest) if version.captured <= at), None)
    oldest = [{TIME: {"order": "asc", "unmapped_type": "date"}}]
    after = _hits(events, index, {"query": all_of(mine, _captured(gt=at)), "sort": oldest, "size": 1, "_source": [TIME]})
    first = _hits(events, index, {"query": mine, "sort": oldest, "size": 1, "_source": [TIME]})
    return Held(at, found, *(_version(hits[0]).captured if hits else None for hits in (after, first)))


def _last(events: Events, index: str, resource: Resource, at: datetime) -> Version | None:
    """The last version up to a time; of one millisecond the one that the history puts last, which is that of the greatest id."""
    before = _hits(events, index, {"query": all_of(exactly(KEY, resource.key), _captured(lte=at)), "sort": _NEWEST, "size": 1})
    if not before:
        return None
    found = _version(before[0])
    together = versions(events, resource, found.captured, found.captured + timedelta(milliseconds=1))
    last = max((version.id for version in together), default=found.id)
    if last == found.id:
        return found
    return next(map(_version, _hits(events, index, {"query": {"ids": {"values": [last]}}, "size": 1})), found)


def as_of(events: Events, query: Query, at: datetime, *, most: int, related: bool = True) -> list[Version]:
    """The newest version up to a time of each resource that fits, among the versions that fit, at most so many resources.

    They are fetched with their relationships alone, and without `related` not even with these. Of two in one millisecond it is
    either.
    """
    kept = ["configurationItemStatus", "resourceCreationTime", "relationships", "cfg.deleted"] if related else []
    body = {
        "query": all_of(query, _captured(lte=at)),
        "sort": _NEWEST,
        "size": most,
        "collapse": {"field": KEY},
        "_source": [*_IDENTITY, TIME, *kept],
    }
    return [_version(hit) for hit in _hits(events, name_of(events.prefix, HISTORY), body)]


def _by_arn(asked: str) -> Query | None:
    """What the end of an ARN may mean, in the account and of the type that it names."""
    parts = asked.split(":", 5)
    if parts[0] != "arn" or len(parts) < 6:
        return None
    ends = dict.fromkeys([parts[5], parts[5].rpartition(":")[2], parts[5].rpartition("/")[2]])
    kind = type_of_arn(asked)
    limits = [exactly("awsAccountId", parts[4])] if parts[4] else []
    limits += [exactly("resourceType", kind)] if kind else []
    names = [exactly(path, end) for end in ends if end for path in ("resourceId", "resourceName")]
    return all_of(any_of(*names), *limits) if names and limits else None


def _by_end(asked: str) -> Query | None:
    """What the end of an ARN may mean, of the types that have such a one."""
    name, kinds = of_end(asked)
    names = any_of(exactly("resourceId", name), exactly("resourceName", name))
    return all_of(names, any_of(*(exactly("resourceType", kind) for kind in kinds))) if name else None


def _matching(events: Events, query: Query) -> list[Resource]:
    found: dict[str, Resource] = {}
    for index, more in ((HISTORY, {"collapse": {"field": KEY}}), (CURRENT, {})):
        body = {"query": query, "sort": _NEWEST, "size": _MOST, "_source": _IDENTITY, **more}
        for hit in _hits(events, name_of(events.prefix, index), body):
            each = _resource(hit.get("_source") or {})
            found[each.key] = each  # the latest state has the names of now
    return [found[key] for key in sorted(found)][:_MOST]


def _pages(events: Events, resource: Resource, since: datetime | None, until: datetime | None) -> Iterator[Version]:
    """Page after page by time: the next one begins at the last version's time and leaves out what was seen of it."""
    index = name_of(events.prefix, HISTORY)
    mine = all_of(exactly(KEY, resource.key), *([_captured(gte=since)] if since else []))
    place: Query = _captured(lt=until) if until else all_of()
    seen: list[Version] = []
    while True:
        known = none_of({"ids": {"values": [version.id for version in seen]}}) if seen else all_of()
        size = _PAGE + len(seen)
        body = {"query": all_of(mine, place, known), "sort": _NEWEST, "size": size, "_source": _LIGHT}
        found = [_version(hit) for hit in _hits(events, index, body)]
        page = [*seen, *found]
        last = page[-1].captured if page else None
        more = len(found) >= size
        ready = [version for version in page if not more or version.captured != last]
        yield from sorted(ready, key=lambda version: (version.captured, version.id), reverse=True)
        if not more or last is None:
            return
        seen = [version for version in page if version.captured == last]
        place = _captured(lte=last)


def _captured(**limits: datetime) -> Query:
    return {"range": {TIME: {name: stamp(when) for name, when in limits.items()}}}


def _hits(events: Events, index: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = search(events.engine, index, body).get("hits", {}).get("hits", [])
    return hits


def _version(hit: Mapping[str, Any]) -> Version:
    return Version(str(hit["_id"]), str(hit["_index"]), hit.get("_source") or {})


def _resource(source: Mapping[str, Any]) -> Resource:
    names = ("awsAccountId", "awsRegion", "resourceType", "resourceId", "resourceName", "ARN")
    return Resource(*(str(source.get(name) or "") for name in names))
