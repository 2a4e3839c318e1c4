"""A backfill: objects in batches, to several processes, until all are done.

An object is done when all its records have their outcome; then the state names it. What returns (an outage, a missing
permission) is not done, and the next run does it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from audit_search_cli import history_worker
from audit_search_cli.errors import NOT_REACHED, Problem
from audit_search_cli.history_sources import Found
from audit_search_cli.history_state import State
from audit_search_cli.history_worker import Done, Job

BATCH_OBJECTS = 50
BATCH_BYTES = 16_000_000


@dataclass(slots=True)
class Backfill:
    """How a run went. `found` objects are those of the selection, `before` were done by earlier runs."""

    found: int = 0
    before: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    returned: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    done: int = 0

    @property
    def left(self) -> int:
        """Objects that nothing was done with."""
        return self.found - self.before - self.done - len(self.returned)


def batches(objects: Iterable[Found]) -> Iterator[list[Found]]:
    """Groups of objects that a process takes at once, bounded in number and size."""
    batch: list[Found] = []
    size = 0
    for found in objects:
        if batch and (len(batch) == BATCH_OBJECTS or size + (found.ref.size or 0) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(found)
        size += found.ref.size or 0
    if batch:
        yield batch


def run(
    objects: Sequence[Found],
    job: Job,
    state: State,
    *,
    processes: int,
    stop: Callable[[], bool],
    step: Callable[[Backfill], None] = lambda _: None,
) -> Backfill:
    """Do what the state does not name yet, until `stop` says so: what has begun is finished then.

    Raises Problem where nothing can be written at all.
    """
    result = Backfill(found=len(objects))
    todo = [found for found in objects if not state.has(found.ref.key, found.mark)]
    result.before = len(objects) - len(todo)
    marks = {found.ref.key: found.mark for found in todo}
    step(result)
    waiting = batches(todo)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=history_worker.start, initargs=(job,)) as pool:
        flying: set[Future[Done]] = set()
        failure = ""
        while True:
            while not failure and not stop() and len(flying) < 2 * processes and (batch := next(waiting, None)):
                with _no_ctrl_c():
                    flying.add(pool.submit(history_worker.run, batch))
            if not flying:
                break
            finished = wait(flying, timeout=0.5, return_when=FIRST_COMPLETED).done
            for future in finished:
                flying.discard(future)
                failure = _settle(future, marks, state, result) or failure
            if finished:
                step(result)
    if failure:
        raise Problem(failure, "Nothing is lost: run it again for what is left.", code=NOT_REACHED)
    result.interrupted = stop() and result.left > 0
    return result


@contextlib.contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Ctrl-C waits: a terminal sends it to every process, and one that is just starting would die of it. It inherits this."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle(future: Future[Done], marks: Mapping[str, str], state: State, result: Backfill) -> str:
    """Count a batch and keep what is done; why nothing could be written, or an empty text."""
    try:
        done = future.result()
    except BrokenProcessPool:
        return "A process of the backfill was killed, perhaps for want of memory: give a smaller --processes"
    if done.keys:
        state.add({key: marks[key] for key in done.keys}, done.counts)
    result.counts.update(done.counts)
    result.done += len(done.keys)
    result.returned += done.returned
    return done.failure
