"""Writing versions of resources so that any order of arrival ends the same: repeated, in parallel, cut off anywhere.

Each resource has a timeline (`timeline`) that is replaced only as it was read. A batch goes in five steps, each of
them few requests for all its resources together:

1. read the timelines, and see which versions are new and who their neighbours are;
2. read what the differences need and is not in the batch, by id;
3. write the new versions *tentatively*: with the external version 2r+1, r being the revision that was read. Who finds another
   writer's document there is refused, and is unsure of it;
4. replace the timelines, r becomes r+1. Who was overtaken begins again. With them goes the latest state, its version being the
   rank of the item, so that no order of writers matters to it;
5. write *with authority*, as version 2(r+1): what was unsure, and the successors of new versions, whose predecessor is now
   another one. Where there is none of these, as in most batches, this is no request.

What a writer wrote for an older revision can never replace what is of a newer one, since external versions only rise. A
writer that ends between 4 and 5 leaves documents behind that name a predecessor which is no longer theirs: whoever brings
the same version again sees that and mends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from audit_search.aws_config.changes import Change, between, from_message
from audit_search.aws_config.documents import (
    CURRENT_INDEX,
    TIMELINE,
    HealthEvent,
    Origin,
    current_id,
    document,
    event,
    events_index,
    history_index,
    line,
    put_changes,
    timeline_id,
)
from audit_search.aws_config.items import EARLIEST, Item, parse, rank
from audit_search.aws_config.requests import Engine, Requests, UnreadableError
from audit_search.aws_config.timeline import Timeline
from audit_search.bulk import DUPLICATE, INDEXED, REJECTED, RETURNED, Cause, Retries
from audit_search.rebuild import Rejection

_BATCH_ITEMS: Final = 500
_BATCH_CHARACTERS: Final = 8_000_000
_ROUNDS: Final = 12
_DAY_MS: Final = 86_400_000
_CHECKED: Final = ["cfg.changesFrom", "cfg.previous"]
_COMPUTED: Final = ("previous", "unavailable")


@dataclass(frozen=True, slots=True)
class Arrival:
    """An item and how it came."""

    item: Item
    origin: Origin = field(default_factory=Origin)

    @property
    def told(self) -> bool:
        """Whether its message told what changed."""
        return self.item.diff is not None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an arrival. `filtered`: its version is older than what is kept; it still counts for the latest state."""

    kind: Literal["indexed", "duplicate", "filtered", "rejected", "retry"]
    cause: Cause | None = None


@dataclass(slots=True)
class Written:
    """The outcome of each arrival, in order; requests to the engine, timelines that others were faster with, versions whose
    changes were corrected, and corrections that the engine refused."""

    outcomes: list[Outcome] = field(default_factory=list)
    requests: int = 0
    conflicts: int = 0
    corrected: int = 0
    uncorrected: int = 0


@dataclass(slots=True)
class History:
    """Writes items and events about Config itself; safe for several threads.

    Versions captured before `kept_from` (ms) get no document.
    """

    engine: Engine
    prefix: str = ""
    kept_from: int = 0
    bulk_bytes: int = 5_000_000
    retries: Retries = field(default_factory=Retries)
    wait: Callable[[float], object] = time.sleep
    now: Callable[[], float] = time.time

    def write(self, arrivals: Sequence[Arrival], deadline: float) -> Written:
        """Write versions until `deadline` (of time.monotonic). Never raises for what the engine does."""
        written = Written()
        start = 0
        while start < len(arrivals):
            stop, size = start, 0
            while stop < len(arrivals) and stop - start < _BATCH_ITEMS and (stop == start or size < _BATCH_CHARACTERS):
                size += len(arrivals[stop].item.raw)
                stop += 1
            _Write(self, deadline, written).run(arrivals[start:stop])
            start = stop
        return written

    def write_events(self, events: Sequence[tuple[HealthEvent, Origin]], deadline: float) -> Written:
        """Write events until `deadline` (of time.monotonic); the same event twice is one document."""
        requests = self.requests(deadline)
        lines = [
            line({"create": {"_index": events_index(self.prefix, one.time), "_id": one.identity}}, event(one, origin))
            for one, origin in events
        ]
        kinds: dict[int, Literal["indexed", "duplicate", "rejected", "retry"]]
        kinds = {INDEXED: "indexed", DUPLICATE: "duplicate", REJECTED: "rejected", RETURNED: "retry"}
        outcomes = [Outcome(kinds[outcome], cause) for outcome, cause in requests.write(lines)]
        return Written(outcomes, requests.count)

    def requests(self, deadline: float) -> Requests:
        """The engine, until a deadline."""
        return Requests(self.engine, deadline, self.retries, self.bulk_bytes, self.wait)


@dataclass(slots=True)
class _Resource:
    """What a batch brings of one resource, by identity, and what the present round makes of it, by position."""

    arrivals: dict[str, Arrival] = field(default_factory=dict)
    expired: dict[str, Arrival] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=lambda: Timeline(""))
    places: dict[int, Arrival] = field(default_factory=dict)
    new: set[int] = field(default_factory=set)
    raised: set[int] = field(default_factory=set)
    rewrite: set[int] = field(default_factory=set)
    checks: set[int] = field(default_factory=set)
    bodies: dict[str, Item] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    fetched: dict[str, bool] = field(default_factory=dict)
    current: tuple[str, Arrival] | None = None
    state: tuple[int, Cause | None] | None = None
    identities: dict[int, str] = field(default_factory=dict)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def fresh(self) -> set[int]:
        """The versions that the timeline of the engine does not have, or of which it knows less."""
        return self.new | self.raised

    def plan(self, timeline: Timeline) -> None:
        """See what is new, what has to be written anew, and what has to be looked at."""
        self.timeline = timeline
        self.new, self.raised, self.rewrite, self.checks = set(), set(), set(), set()
        unknown = set()
        for identity, arrival in self.arrivals.items():
            if timeline.find(arrival.item) is None:
                timeline.insert(arrival.item, identity)
                unknown.add(identity)
        self.identities = {self._place(arrival): identity for identity, arrival in self.arrivals.items()}
        self.places = {place: self.arrivals[identity] for place, identity in self.identities.items()}
        for place, arrival in self.places.items():
            if self.identities[place] in unknown:
                self.new.add(place)
            elif arrival.told and not timeline.told(place):
                timeline.tell(place)
                self.raised.add(place)
            elif arrival.told or not timeline.told(place):
                self.checks.add(place)
        fresh = self.fresh
        for place in list(self.places):
            after = place + 1
            if after < len(timeline) and not timeline.told(after) and after not in fresh:
                (self.rewrite if place in self.new else self.checks).add(after)
        self.checks -= self.rewrite
        self.current, self.state = self._newest(), None

    def _newest(self) -> tuple[str, Arrival] | None:
        """The newest arrival, unless a later version is known: who brought that one writes the latest state."""
        if self.arrivals:
            place = max(self.places)
            return (self.identities[place], self.places[place]) if place == len(self.timeline) - 1 else None
        identity, arrival = max(self.expired.items(), key=lambda one: (one[1].item.captured, one[0]))
        later = len(self.timeline) and self.timeline.captured(len(self.timeline) - 1) > arrival.item.captured
        return None if later else (identity, arrival)

    def identity(self, place: int) -> str:
        """The id of a version."""
        known = self.identities.get(place)
        if known is None:
            known = self.identities[place] = self.timeline.identity(place)
        return known

    def _place(self, arrival: Arrival) -> int:
        place = self.timeline.find(arrival.item)
        assert place is not None  # noqa: S101  # it was inserted just now
        return place

    @property
    def current_is_new(self) -> bool:
        """Whether the newest arrival was not known before, so that its state has to be written without a look."""
        return self.current is not None and len(self.timeline) - 1 in self.fresh

    def own(self, place: int) -> Arrival | None:
        """The arrival from which the document of a version can be written."""
        arrival = self.places.get(place)
        return arrival if arrival and (arrival.told or not self.timeline.told(place)) else None

    def derived(self, place: int) -> tuple[str, int | None]:
        """What the changes of a version are from, and the version before where they are from that."""
        if self.timeline.told(place):
            return "message", None
        return ("previous", place - 1) if place else ("first", None)

    def settled(self, place: int, answer: dict[str, Any]) -> bool:
        """Whether the stored document of a version fits the timeline, or cannot be made to."""
        if not answer.get("found"):
            return self.own(place) is None
        cfg = answer.get("_source", {}).get("cfg", {})
        derived, before = self.derived(place)
        if before is None:
            return bool(cfg.get("changesFrom") == derived)
        return cfg.get("previous") == self.identity(before) and cfg.get("changesFrom") in _COMPUTED

    def lacking(self, places: Iterable[int]) -> dict[int, bool]:
        """Versions whose documents are needed to write these, and whether all of a document or only its text."""
        wanted: dict[int, bool] = {}
        for place in places:
            before = self.derived(place)[1]
            if self.own(place) is None:
                wanted[place] = True
            if before is not None and before not in self.places:
                wanted.setdefault(before, False)
        return {place: whole for place, whole in wanted.items() if self.fetched.get(self.identity(place), -1) < whole}

    def plain(self, identity: str, arrival: Arrival) -> dict[str, Any]:
        """The document of an arrival without what changed."""
        if identity not in self.documents:
            self.documents[identity] = document(arrival.item, arrival.origin)
        return self.documents[identity]

    def document(self, place: int) -> dict[str, Any] | None:
        """The document of a version as the timeline says it is now; None where what is stored is no longer there."""
        arrival, identity = self.own(place), self.identity(place)
        derived, before = self.derived(place)
        if arrival is not None:
            item, source = arrival.item, dict(self.plain(identity, arrival))
        elif identity in self.sources and identity in self.bodies:
            item, source = self.bodies[identity], self.sources[identity]
        else:
            return None
        changes: tuple[Change, ...] = ()
        previous = None
        if derived == "message":
            changes = from_message(item.diff or {}, item)
        elif derived == "first":
            changes = between(None, item)
        elif before is not None:
            previous = self.identity(before)
            known = self.places.get(before)
            body = known.item if known else self.bodies.get(previous)
            if body is None:
                derived = "unavailable"
            else:
                changes = between(body, item)
        put_changes(source, changes, derived, previous)
        return source


class _Write:
    """One batch."""

    def __init__(self, history: History, deadline: float, written: Written) -> None:
        self._history = history
        self._requests = history.requests(deadline)
        self._written = written
        self._outcomes: dict[str, Outcome] = {}

    def run(self, arrivals: Sequence[Arrival]) -> None:
        """Write the arrivals and add their outcomes."""
        identities = [arrival.item.identity for arrival in arrivals]
        opened = self._grouped(arrivals, identities)
        for attempt in range(1, _ROUNDS + 1):
            try:
                opened = self._round(opened)
            except UnreadableError as error:
                self._settle(opened, Outcome("retry", error.cause))
                opened = []
            if not opened:
                break
            if not self._requests.pause(attempt - 4):
                break
        self._settle(opened, Outcome("retry", Cause("timeline_conflict", "others were faster with the timeline every time")))
        seen: set[str] = set()
        for identity in identities:
            outcome = self._outcomes[identity]
            repeated = identity in seen and outcome.kind == "indexed"
            self._written.outcomes.append(Outcome("duplicate") if repeated else outcome)
            seen.add(identity)
        self._written.requests += self._requests.count

    def _grouped(self, arrivals: Sequence[Arrival], identities: Sequence[str]) -> list[_Resource]:
        resources: dict[str, _Resource] = {}
        latest = int(self._history.now() * 1_000) + _DAY_MS
        for arrival, identity in zip(arrivals, identities, strict=True):
            item = arrival.item
            if not EARLIEST <= item.captured <= latest:
                cause = Cause("capture_time", f"{item.captured} ms is before 2013 or more than a day in the future")
                self._outcomes[identity] = Outcome("rejected", cause)
                continue
            resource = resources.setdefault(item.resource, _Resource())
            kept = resource.expired if item.captured < self._history.kept_from else resource.arrivals
            known = kept.get(identity)
            if known is None or arrival.told > known.told:
                kept[identity] = arrival
        return list(resources.values())

    def _settle(self, resources: Iterable[_Resource], outcome: Outcome) -> None:
        for resource in resources:
            for identity in (*resource.arrivals, *resource.expired):
                self._outcomes[identity] = outcome

    def _round(self, resources: list[_Resource]) -> list[_Resource]:
        """The five steps; gives the resources that have to begin again."""
        resources = self._read_timelines(resources)
        self._look(resources)
        again: list[_Resource] = []
        self._finish(self._swap(self._tentative(resources, again), again))
        return again

    def _read_timelines(self, resources: list[_Resource]) -> list[_Resource]:
        """Plan with the timelines as they are now; gives the resources that have one or can get one."""
        readable = []
        index = f"{self._history.prefix}{TIMELINE}"
        names = [next(iter((resource.arrivals or resource.expired).values())).item.resource for resource in resources]
        answers = self._requests.read([({"_index": index, "_id": timeline_id(name)}, 1_000) for name in names])
        for resource, name, answer in zip(resources, names, answers, strict=True):
            try:
                timeline = Timeline.read(name, answer)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                damaged = Cause("damaged_timeline", f"{index}/{timeline_id(name)} is not understood: {type(error).__name__}")
                self._settle([resource], Outcome("retry", damaged))
            else:
                resource.plan(timeline)
                readable.append(resource)
        return readable

    def _look(self, resources: list[_Resource]) -> None:
        """Read what is needed and not in the batch; then what of it turns out not to be settled, which is rare."""
        current = f"{self._history.prefix}{CURRENT_INDEX}"
        wanted: list[tuple[dict[str, Any], int]] = []
        uses: list[Callable[[dict[str, Any]], None]] = []
        for resource in resources:
            self._want(resource, resource.fresh | resource.rewrite, wanted, uses)
            for place in resource.checks:
                wanted.append((self._part(resource, place, _CHECKED), 500))
                uses.append(lambda answer, resource=resource, place=place: self._checked(resource, place, answer))  # type: ignore[misc]
            if resource.current and not resource.current_is_new:
                identity = current_id(resource.current[1].item.resource)
                wanted.append(({"_index": current, "_id": identity, "_source": False}, 200))
                uses.append(lambda answer, resource=resource: self._current(resource, answer))  # type: ignore[misc]
        while wanted:
            for use, answer in zip(uses, self._requests.read(wanted), strict=True):
                use(answer)
            wanted, uses = [], []
            for resource in resources:
                self._want(resource, resource.rewrite, wanted, uses)

    def _want(
        self,
        resource: _Resource,
        places: set[int],
        wanted: list[tuple[dict[str, Any], int]],
        uses: list[Callable[[dict[str, Any]], None]],
    ) -> None:
        for place, whole in resource.lacking(places).items():
            size = 1_024 * (resource.timeline.kilobytes(place) + 1)
            wanted.append((self._part(resource, place, True if whole else ["raw"]), 3 * size if whole else size))
            uses.append(lambda answer, resource=resource, place=place, whole=whole: self._body(resource, place, answer, whole))  # type: ignore[misc]

    def _part(self, resource: _Resource, place: int, fields: object) -> dict[str, Any]:
        index = history_index(self._history.prefix, resource.timeline.captured(place))
        return {"_index": index, "_id": resource.identity(place), "_source": fields}

    @staticmethod
    def _body(resource: _Resource, place: int, answer: dict[str, Any], whole: bool) -> None:
        timeline = resource.timeline
        identity = resource.identity(place)
        resource.fetched[identity] = whole
        if answer.get("found"):
            source = answer["_source"]
            account, region, _ = timeline.resource.split("|", 2)
            item = parse(source["raw"], delivered=timeline.captured(place), account=account, region=region)
            if isinstance(item, Rejection):
                return  # as if it were not there
            resource.bodies[identity] = item
            if whole:
                resource.sources[identity] = source

    @staticmethod
    def _checked(resource: _Resource, place: int, answer: dict[str, Any]) -> None:
        if not resource.settled(place, answer):
            resource.rewrite.add(place)

    @staticmethod
    def _current(resource: _Resource, answer: dict[str, Any]) -> None:
        if resource.current and answer.get("found"):
            identity, arrival = resource.current
            if answer["_version"] >= rank(arrival.item.captured, identity):
                resource.current = None

    def _tentative(self, resources: list[_Resource], again: list[_Resource]) -> list[_Resource]:
        """Write what is fresh. A version that the engine refuses leaves the batch before a timeline names it."""
        targets = [(resource, place) for resource in resources for place in sorted(resource.fresh)]
        lines = [self._line(resource, place, 2 * resource.timeline.revision + 1, "external") for resource, place in targets]
        refused: dict[int, _Resource] = {}
        returned: dict[int, Cause | None] = {}
        for (resource, place), (outcome, cause) in zip(targets, self._requests.write([one for one in lines if one]), strict=True):
            if outcome == DUPLICATE:
                resource.rewrite.add(place)
            elif outcome == REJECTED:
                identity = resource.identity(place)
                self._outcomes[identity] = Outcome("rejected", cause)
                del resource.arrivals[identity]
                refused[id(resource)] = resource
            elif outcome == RETURNED:
                returned[id(resource)] = cause
        for resource in resources:
            if id(resource) in returned:
                self._settle([resource], Outcome("retry", returned[id(resource)]))
            elif id(resource) in refused and (resource.arrivals or resource.expired):
                again.append(resource)
        return [resource for resource in resources if id(resource) not in returned and id(resource) not in refused]

    def _swap(self, resources: list[_Resource], again: list[_Resource]) -> list[_Resource]:
        """Replace the timelines that change, and write the latest states beside them; who was overtaken begins again."""
        index = f"{self._history.prefix}{TIMELINE}"
        changing = [resource for resource in resources if resource.fresh]
        lines: list[bytes] = []
        for resource in changing:
            timeline = resource.timeline
            target = {"_index": index, "_id": timeline_id(timeline.resource)}
            if timeline.seq_no is None:
                action: dict[str, Any] = {"create": target}
            else:
                action = {"index": {**target, "if_seq_no": timeline.seq_no, "if_primary_term": timeline.primary_term}}
            lines.append(line(action, timeline.source()))
        stated = [(resource, *resource.current) for resource in resources if resource.current]
        lines += [self._latest(*one) for one in stated]
        outcomes = list(self._requests.write(lines))
        for (resource, _, _), state in zip(stated, outcomes[len(changing) :], strict=True):
            resource.state = state
        ready = [resource for resource in resources if not resource.fresh]
        for resource, (outcome, cause) in zip(changing, outcomes, strict=False):
            if outcome == INDEXED:
                resource.timeline.revision += 1
                ready.append(resource)
            elif outcome == DUPLICATE:
                self._written.conflicts += 1
                again.append(resource)
            else:
                self._settle([resource], Outcome("retry", cause))
        return ready

    def _finish(self, resources: list[_Resource]) -> None:
        """Write with authority what has to be; then every arrival has its outcome."""
        lines: list[bytes] = []
        owners: list[tuple[_Resource, int]] = []
        for resource in resources:
            for place in sorted(resource.rewrite):
                if text := self._line(resource, place, 2 * resource.timeline.revision, "external_gte"):
                    lines.append(text)
                    owners.append((resource, place))
            for place in resource.places:
                self._outcomes[resource.identity(place)] = Outcome("indexed" if place in resource.new else "duplicate")
            self._outcomes |= dict.fromkeys(resource.expired, Outcome("filtered"))
        for (resource, place), (outcome, cause) in zip(owners, self._requests.write(lines), strict=True):
            brought = resource.identity(place) if place in resource.places else None
            self._written.corrected += outcome == INDEXED and brought is None
            self._unwritten(resource, brought, outcome, cause)
        for resource in resources:
            if resource.current and resource.state:
                self._unwritten(resource, resource.current[0], *resource.state)

    def _unwritten(self, resource: _Resource, identity: str | None, outcome: int, cause: Cause | None) -> None:
        """Note what could not be written: of an arrival, or of a version that was there before (None)."""
        if outcome == RETURNED:
            self._settle([resource], Outcome("retry", cause))
        elif outcome == REJECTED and identity is None:
            self._written.uncorrected += 1
        elif outcome == REJECTED and identity is not None:
            self._outcomes[identity] = Outcome("rejected", cause)

    def _line(self, resource: _Resource, place: int, version: int, kind: str) -> bytes | None:
        source = resource.document(place)
        if source is None:
            return None
        index, identity = (
            history_index(self._history.prefix, resource.timeline.captured(place)),
            resource.identity(place),
        )
        return line({"index": {"_index": index, "_id": identity, "version": version, "version_type": kind}}, source)

    def _latest(self, resource: _Resource, identity: str, arrival: Arrival) -> bytes:
        item = arrival.item
        index = f"{self._history.prefix}{CURRENT_INDEX}"
        order = {"version": rank(item.captured, identity), "version_type": "external_gte"}
        action = {"index": {"_index": index, "_id": current_id(item.resource), **order}}
        return line(action, resource.plain(identity, arrival))
