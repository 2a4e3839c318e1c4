"""One measurement of AWS Config in a fresh process: `python -m benchmarks.config_subject '{"subject": …}'`, as `subject` does.

The events are files: making and reading them is not counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.generate_config import sqs_event
from benchmarks.subject import figures_of, handled

if TYPE_CHECKING:  # ours must not carry what the naive ones import
    from benchmarks.naive_config import NaiveConfigHandler


def ours() -> Callable[[dict[str, Any]], None]:
    """The function."""
    import functions.aws_config.app as app

    return handled(app.lambda_handler)


def naive(subject: str) -> NaiveConfigHandler:
    """What people would write instead."""
    from benchmarks.naive_config import NaiveConfigHandler

    return NaiveConfigHandler(os.environ["OPENSEARCH_ENDPOINT"], bulk=subject == "naive bulk")


def forget_requests() -> dict[str, float]:
    """The requests so far, which do not count any more."""
    with urllib.request.urlopen(os.environ["OPENSEARCH_ENDPOINT"] + "/_counts") as answer:
        found: dict[str, float] = json.load(answer)
        return found


def scaled(handler: NaiveConfigHandler, event: dict[str, Any], first: int, items: int) -> dict[str, float]:
    """Read a snapshot as a whole, and write so many of its items: the figures for all of them, for each costs the same."""
    handler.first = 0
    reading = figures_of(partial(handler, event))
    handler.first = first
    forget_requests()
    both = figures_of(partial(handler, event))
    found = {name: reading[name] + (both[name] - reading[name]) * items / first for name in ("cpu", "wall")}
    return {**found, "rss_mb": both["rss_mb"], **{name: count * items / first for name, count in forget_requests().items()}}


def events(path: Path, batch: int) -> Iterator[dict[str, Any]]:
    """Events of so many of the file's messages each; one is in memory at a time."""
    with path.open(encoding="utf-8") as lines:
        first = 0
        while texts := [text.rstrip("\n") for text in islice(lines, batch)]:
            yield sqs_event(texts, first)
            first += len(texts)


def measure(plan: dict[str, Any]) -> dict[str, float]:
    """Handle the messages of a plan's file in its batches, after those of its warm-up, and give the figures."""
    other = None if plan["subject"] == "ours" else naive(plan["subject"])
    handler: Callable[[dict[str, Any]], None] = other or ours()
    for event in events(Path(plan["warm"]), plan["batch"]):
        handler(event)
    if other and plan["first"]:
        return scaled(other, next(events(Path(plan["messages"]), 1)), plan["first"], plan["items"])
    forget_requests()
    found: dict[str, float] = {"cpu": 0.0, "wall": 0.0}
    peak = 0.0
    for event in events(Path(plan["messages"]), plan["batch"]):
        one = figures_of(partial(handler, event))
        peak = one.pop("rss_mb")
        found = {name: value + one[name] for name, value in found.items()}
    return {**found, "rss_mb": peak}


if __name__ == "__main__":
    with contextlib.redirect_stdout(open(os.devnull, "w")):  # the handler's log lines are written, but to nowhere
        figures = measure(json.loads(sys.argv[1]))
    print(json.dumps(figures))
