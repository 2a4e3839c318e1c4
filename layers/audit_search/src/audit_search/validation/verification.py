"""A verification from end to end: digests, the log files that valid ones list, and where each record is.

Only what a digest with a right signature says is believed: the log files of an invalid one are not looked at, and it is itself
the finding. Digests and log files are read side by side; what there is no time for is reported as unread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from audit_search.errors import ObjectError
from audit_search.validation import chains, logfiles
from audit_search.validation.chains import Checked, Selection
from audit_search.validation.digests import Chain, LogFile, Name
from audit_search.validation.keys import KeyRing
from audit_search.validation.reports import FileVerdict, Gap, Report
from audit_search.validation.stores import Store
from audit_search.validation.whereabouts import Whereabouts

THREADS: Final = 8
_TIME_OVER: Final = "the time was over before it was looked at"
_STOPPED: Final = "it was interrupted before it was looked at"

T = TypeVar("T")
U = TypeVar("U")


@dataclass(slots=True)
class Verification:
    """What is to be verified and with what.

    Without `whereabouts` only files are looked at, not where their records are. `deadline` is of time.monotonic; `stop` is
    asked between two files; `step` is told of each log file. `found` are the log files that the digests listed so far.
    """

    store: Store
    keys: KeyRing
    selection: Selection
    whereabouts: Whereabouts | None = None
    threads: int = THREADS
    deadline: float = float("inf")
    stop: Callable[[], bool] = lambda: False
    step: Callable[[Report], None] = lambda report: None
    each: Callable[[FileVerdict], None] = lambda verdict: None
    found: int = 0

    def run(self, report: Report | None = None) -> Report:
        """Do it, and add what is found to a report. Raises AccountingError when a record is nowhere."""
        report = report or Report(self.selection.since, self.selection.until)
        report.indexed = self.whereabouts is not None
        with ThreadPoolExecutor(self.threads, "verify") as pool:
            try:
                for chain in chains.listed(self.store, self.selection):
                    for names in chain.values():
                        self._chain(pool, report, names)
            except ObjectError as error:
                report.problems.append(f"The bucket or folder cannot be listed: {error.reason}")
        report.interrupted = self.stop()
        return report

    def _chain(self, pool: ThreadPoolExecutor, report: Report, names: list[Name]) -> None:
        checked = self._digests(pool, names)
        _links(checked)
        files: list[tuple[Chain, LogFile]] = []
        for one in checked:
            report.add_digest(one.verdict())
            if one.state == "valid" and one.digest:
                files += [(one.name.chain, file) for file in one.digest.files]
        report.gaps += _gaps(checked)
        self.found += len(files)
        self.step(report)
        for (chain, file), verdict in self._side_by_side(pool, files, self._file):
            found = verdict or FileVerdict(chain, file, "unread", self._over())
            report.add_file(found)
            self.each(found)
            self.step(report)

    def _file(self, item: tuple[Chain, LogFile]) -> FileVerdict:
        return logfiles.check(self.store, self.whereabouts, *item)

    def _digests(self, pool: ThreadPoolExecutor, names: list[Name]) -> list[Checked]:
        """The digests of a chain, and those that they name and that are not listed, in the order of their time."""
        waiting = [(self.store.bucket, name) for name in names]
        seen = {name.key for name in names}
        found: list[Checked] = []
        while waiting:
            round_ = [
                one or Checked(item[1], item[0], "unread", self._over())
                for item, one in self._side_by_side(pool, waiting, self._digest)
            ]
            found += round_
            before = [
                before for one in round_ if (before := chains.predecessor(one, self.selection)) and before[1].key not in seen
            ]
            seen |= {name.key for _, name in before}
            waiting = [(bucket if self.store.bucket else "", name) for bucket, name in before]
        return sorted(found, key=lambda one: one.name.end)

    def _digest(self, item: tuple[str, Name]) -> Checked:
        bucket, name = item
        return chains.check(self.store, self.keys, self.selection, name, bucket)

    def _over(self) -> str:
        return _STOPPED if self.stop() else _TIME_OVER

    def _side_by_side(self, pool: ThreadPoolExecutor, items: Iterable[T], work: Callable[[T], U]) -> Iterator[tuple[T, U | None]]:
        """The results of some work in the order of its items; None for what there was no time for. Only a few are begun ahead."""
        begun: deque[tuple[T, Future[U] | None]] = deque()

        def result() -> tuple[T, U | None]:
            item, future = begun.popleft()
            return item, future.result() if future else None

        for item in items:
            over = self.stop() or time.monotonic() > self.deadline
            begun.append((item, None if over else pool.submit(work, item)))
            if len(begun) > 2 * self.threads:
                yield result()
        while begun:
            yield result()


def _links(checked: list[Checked]) -> None:
    """A digest that is valid alone is not where its successor names another one in its place."""
    by_key = {one.name.key: one for one in checked if one.digest}
    for after in checked:
        previous = after.digest.previous if after.digest else None
        before = by_key.get(previous[1]) if previous else None
        if before and before.state == "valid" and (wrong := chains.linked(before, after)):
            before.state, before.reason = "link", wrong


def _gaps(checked: list[Checked]) -> list[Gap]:
    """Where a digest says that there is none before it, though there is."""
    gaps = []
    for before, after in pairwise(checked):
        if after.digest and after.digest.previous is None and before.name.end < after.digest.start:
            gaps.append(Gap(after.name.chain, before.name.end, after.digest.start))
    return gaps
