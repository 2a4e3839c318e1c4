"""A run that links versions with the calls that caused them, and writes the links beside them and into them.

In two passes: versions that are due for another look, and versions that were indexed since the run before. What was read before
is known by a document of its own, the watermark: the time of ingestion up to which all versions were looked at. A run reads
again what was ingested shortly before it, because a document can become visible after a later one, and leaves out what it knows.

A version's document is written as it was read, with `cfg.causedBy`, under the *same* external version (`external_gte`): the order
of `aws_config.history` rests on these numbers, which `_update` would raise. Whoever wrote a newer one in between is not
overwritten, and what they wrote is linked in the next run, since it has another time of ingestion.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from audit_search.aws_config.dialects import milliseconds
from audit_search.aws_config.documents import CAUSES, HISTORY, history_index, instant
from audit_search.aws_config.requests import Engine, Requests, UnreadableError
from audit_search.bulk import DUPLICATE, INDEXED, RETURNED, Cause, Retries
from audit_search.causes import finding, links
from audit_search.causes.finding import Found
from audit_search.errors import AccountingError

SETTLING: Final = 60_000
"""How old (ms) an ingested version is before it is looked at: until then it may not be visible."""
OVERLAP: Final = 15 * 60_000
"""How much (ms) before the watermark is read again."""
BEGINNING: Final = 7 * 86_400_000
"""How far back (ms) the first run begins."""
_PAGE: Final = 100
_THREADS: Final = 4
_WATERMARK: Final = "watermark"
_STRANGE: Final = 20
_BULK_BYTES: Final = 5_000_000

Hit = dict[str, Any]


@dataclass(slots=True)
class Totals:
    """Where the versions that a run read ended.

    `linked` are those whose links were written, of which `caused` have a cause; `known` were linked before; `overtaken` were
    replaced by somebody else meanwhile, and `refused` by the engine; `unread` are no versions. `more` had more events than
    were looked at. `behind` (ms) is how long ago that was up to which versions were looked at, 0 where nothing is left. `problem`
    is what the engine did, `strange` says of some versions why they were not understood.
    """

    read: int = 0
    linked: int = 0
    caused: int = 0
    known: int = 0
    overtaken: int = 0
    refused: int = 0
    unread: int = 0
    more: int = 0
    behind: int = 0
    problem: str = ""
    strange: list[str] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, int]:
        """All of them, as the log has them."""
        return {
            **self.metrics,
            "VersionsKnown": self.known,
            "VersionsOvertaken": self.overtaken,
            "CandidatesLeftOut": self.more,
        }

    @property
    def metrics(self) -> dict[str, int]:
        """Those that are published."""
        return {
            "VersionsRead": self.read,
            "VersionsLinked": self.linked,
            "VersionsWithCause": self.caused,
            "VersionsRefused": self.refused,
            "VersionsUnread": self.unread,
            "LinksBehind": self.behind // 1_000,
        }

    def check(self) -> None:
        """Raise AccountingError unless every version that was read ended somewhere."""
        ended = self.linked + self.known + self.overtaken + self.refused + self.unread
        if self.read != ended:
            raise AccountingError(f"{self.read} versions were read, and {ended} ended somewhere: {self.figures}")


@dataclass(slots=True)
class Linker:
    """Links the versions of an engine's `config-history`; `now` gives seconds since 1970."""

    engine: Engine
    prefix: str = ""
    retries: Retries = field(default_factory=Retries)
    wait: Callable[[float], object] = time.sleep
    now: Callable[[], float] = time.time
    page: int = _PAGE

    def run(self, deadline: float) -> Totals:
        """Link until `deadline` (of time.monotonic), or until nothing is left. What the engine does is said in the totals, never
        raised. Raises AccountingError."""
        return _Run(self, deadline).run()


class _OverError(Exception):
    """The time is over, or the engine took no more; `problem` is empty in the first case."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        super().__init__(problem)


class _Run:
    def __init__(self, linker: Linker, deadline: float) -> None:
        self._linker = linker
        self._deadline = deadline
        self._requests = Requests(linker.engine, deadline, linker.retries, _BULK_BYTES, linker.wait)
        self._now = int(linker.now() * 1_000)
        self._totals = Totals()

    def run(self) -> Totals:
        totals = self._totals
        with ThreadPoolExecutor(_THREADS, "link") as pool:
            try:
                for page in self._due():
                    self._page(pool, page, again=True)
                mark = self._watermark()
                totals.behind = max(0, self._now - mark)
                for page in self._new(mark):
                    self._page(pool, page, again=False)
                    mark = max(mark, milliseconds(page[-1]["_source"]["cfg"]["ingestTime"]))
                    self._remember(mark)
                    totals.behind = max(0, self._now - mark)
                totals.behind = 0
            except _OverError as over:
                totals.problem = over.problem
            except UnreadableError as error:
                totals.problem = "" if self._late(error.cause) else str(error.cause)
        totals.check()
        return totals

    def _pages(self, index: str, body: Mapping[str, Any]) -> Iterator[list[Hit]]:
        after: dict[str, Any] = {}
        while True:
            if time.monotonic() >= self._deadline:
                raise _OverError
            hits = self._requests.search(index, {**body, "size": self._linker.page, **after})
            if hits:
                yield hits
            if len(hits) < self._linker.page:
                return
            after = {"search_after": hits[-1]["sort"]}

    def _due(self) -> Iterator[list[Hit]]:
        """The versions that are due for another look, oldest first, as `config-history` has them now."""
        body = {
            "_source": True,
            "query": {"bool": {"filter": [{"range": {"state.dueTime": {"lte": instant(self._now)}}}]}},
            "sort": [{"state.dueTime": "asc"}, {"version": "asc"}],
        }
        for page in self._pages(f"{self._linker.prefix}{CAUSES}-2*", body):
            wanted = [({**self._place(hit["_id"], hit["_source"]), "_source": finding.SOURCE}, 20_000) for hit in page]
            answers = self._requests.read(wanted)
            self._forget([hit for hit, answer in zip(page, answers, strict=True) if not answer.get("found")])
            if hits := [answer for answer in answers if answer.get("found")]:
                yield hits

    def _forget(self, gone: list[Hit]) -> None:
        """Versions that retention took are not looked at again."""
        lines = []
        for hit in gone:
            state = {name: value for name, value in hit["_source"]["state"].items() if name != "dueTime"}
            target = {"_index": hit["_index"], "_id": hit["_id"]}
            lines.append(links.line({"index": target}, {**hit["_source"], "state": state}))
        for outcome, cause in self._requests.write(lines):
            self._settled(outcome, cause)

    def _place(self, identity: str, source: Mapping[str, Any]) -> dict[str, Any]:
        captured = milliseconds(source["configurationItemCaptureTime"])
        return {"_index": history_index(self._linker.prefix, captured), "_id": identity}

    def _new(self, mark: int) -> Iterator[list[Hit]]:
        window = {"gt": instant(mark - OVERLAP), "lte": instant(self._now - SETTLING)}
        body = {
            "_source": finding.SOURCE,
            "query": {"bool": {"filter": [{"range": {"cfg.ingestTime": window}}]}},
            "sort": [{"cfg.ingestTime": "asc"}, {"cfg.resource": "asc"}, {"configurationItemCaptureTime": "asc"}],
        }
        return self._pages(f"{self._linker.prefix}{HISTORY}-2*", body)

    def _page(self, pool: ThreadPoolExecutor, hits: list[Hit], *, again: bool) -> None:
        """Link a page; what it counts is counted only when all of it is written."""
        states = self._states(hits)
        fresh = [hit for hit, state in zip(hits, states, strict=True) if again or not _known(hit, state)]
        found = list(pool.map(self._explained, fresh))
        outcomes = self._into_versions(fresh, found)
        first = {hit["_id"]: links.first_look(state, self._now) for hit, state in zip(hits, states, strict=True)}
        written = [(hit, one) for hit, one, outcome in zip(fresh, found, outcomes, strict=True) if one and outcome == INDEXED]
        self._beside(written, first)
        totals = self._totals
        totals.read += len(hits)
        totals.known += len(hits) - len(fresh)
        totals.linked += len(written)
        totals.caused += sum(1 for _, one in written if one.explanation.verdict == "found")
        totals.more += sum(1 for _, one in written if one.more)
        totals.unread += sum(1 for one in found if one is None)
        for one, outcome in zip(found, outcomes, strict=True):
            totals.overtaken += one is not None and outcome == DUPLICATE
            totals.refused += one is not None and outcome not in (INDEXED, DUPLICATE)

    def _explained(self, hit: Hit) -> Found | None:
        try:
            return finding.explained(self._requests, self._linker.prefix, hit)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            if len(self._totals.strange) < _STRANGE:
                self._totals.strange.append(f"{hit.get('_id')}: {type(error).__name__}: {error}"[:500])
            return None

    def _states(self, hits: list[Hit]) -> list[Mapping[str, Any]]:
        """What is kept of the last look at each version."""
        wanted = []
        for hit in hits:
            captured = milliseconds(hit["_source"].get("configurationItemCaptureTime"))
            index = links.causes_index(self._linker.prefix, captured)
            wanted.append(({"_index": index, "_id": hit["_id"], "_source": ["state"]}, 500))
        return [answer.get("_source", {}).get("state", {}) for answer in self._requests.read(wanted)]

    def _into_versions(self, hits: list[Hit], found: list[Found | None]) -> list[int]:
        """Write what each version is caused by into its document; as outcomes of `bulk`, one for each."""
        outcomes = [INDEXED] * len(hits)
        targets = [
            number
            for number, (hit, one) in enumerate(zip(hits, found, strict=True))
            if one is not None and hit["_source"]["cfg"].get("causedBy") != links.caused_by(one.explanation)
        ]
        wanted = [(self._place(hits[number]["_id"], hits[number]["_source"]), 100_000) for number in targets]
        lines, numbers = [], []
        for number, place, answer in zip(targets, wanted, self._requests.read(wanted), strict=True):
            one = found[number]
            source = answer.get("_source")
            if one is None or not source or source["cfg"].get("ingestTime") != hits[number]["_source"]["cfg"].get("ingestTime"):
                outcomes[number] = DUPLICATE
                continue
            order = {"version": answer["_version"], "version_type": "external_gte"}
            cfg = {**source["cfg"], "causedBy": links.caused_by(one.explanation)}
            lines.append(links.line({"index": {**place[0], **order}}, {**source, "cfg": cfg}))
            numbers.append(number)
        for number, (outcome, cause) in zip(numbers, self._requests.write(lines), strict=True):
            outcomes[number] = self._settled(outcome, cause)
        return outcomes

    def _beside(self, written: list[tuple[Hit, Found]], first: Mapping[str, int]) -> None:
        lines = []
        for hit, one in written:
            ingested = str(hit["_source"]["cfg"].get("ingestTime") or "")
            body = links.document(one.version, one.explanation, ingested, first[hit["_id"]], self._now)
            index = links.causes_index(self._linker.prefix, one.version.captured)
            lines.append(links.line({"index": {"_index": index, "_id": hit["_id"]}}, body))
        for outcome, cause in self._requests.write(lines):
            if self._settled(outcome, cause) != INDEXED:
                raise _OverError(f"links could not be written: {cause}")

    def _settled(self, outcome: int, cause: Cause | None) -> int:
        """The outcome of a line; one that was returned ends the run before its page counts."""
        if outcome == RETURNED:
            raise _OverError("" if self._late(cause) else f"what was found could not be written: {cause}")
        return outcome

    def _late(self, cause: Cause | None) -> bool:
        """Whether only the time of the run was over; of an engine that answered nothing in it that is not said."""
        if cause is None or cause.type == "out_of_time":
            return True
        return cause.type == "timeout" and self._totals.read > 0 and time.monotonic() >= self._deadline

    def _watermark(self) -> int:
        body = {
            "size": 1,
            "_source": [_WATERMARK],
            "query": {"bool": {"filter": [{"exists": {"field": _WATERMARK}}]}},
            "sort": [{_WATERMARK: "desc"}],
        }
        hits = self._requests.search(f"{self._linker.prefix}{CAUSES}-2*", body)
        return milliseconds(hits[0]["_source"].get(_WATERMARK)) if hits else self._now - BEGINNING

    def _remember(self, mark: int) -> None:
        """Each month has its own, so that it never goes with an old month."""
        target = {"_index": links.causes_index(self._linker.prefix, self._now), "_id": _WATERMARK}
        for outcome, cause in self._requests.write([links.line({"index": target}, {_WATERMARK: instant(mark)})]):
            if self._settled(outcome, cause) != INDEXED:
                raise _OverError(f"the watermark could not be written: {cause}")


def _known(hit: Hit, state: Mapping[str, Any]) -> bool:
    """Whether this very document was linked before."""
    return bool(state) and state.get("versionIngestTime") == hit["_source"]["cfg"].get("ingestTime")
