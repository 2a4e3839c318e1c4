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
from typing import Any

from benchmarks.generate_config import sqs_event
from benchmarks.subject import figures_of, handled


def handler_of(subject: str) -> Callable[[dict[str, Any]], None]:
    """The function, or what people would write instead."""
    if subject == "ours":
        import functions.aws_config.app as app

        return handled(app.lambda_handler)
    from benchmarks.naive_config import NaiveConfigHandler

    return NaiveConfigHandler(os.environ["OPENSEARCH_ENDPOINT"], bulk=subject == "naive bulk")


def events(path: Path, batch: int) -> Iterator[dict[str, Any]]:
    """Events of so many of the file's messages each; one is in memory at a time."""
    with path.open(encoding="utf-8") as lines:
        first = 0
        while texts := [text.rstrip("\n") for text in islice(lines, batch)]:
            yield sqs_event(texts, first)
            first += len(texts)


def measure(plan: dict[str, Any]) -> dict[str, float]:
    """Handle the messages of a plan's file in its batches, after those of its warm-up, and give the figures."""
    handler = handler_of(plan["subject"])
    for event in events(Path(plan["warm"]), plan["batch"]):
        handler(event)
    urllib.request.urlopen(os.environ["OPENSEARCH_ENDPOINT"] + "/_counts").close()  # the requests so far are not of the work
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
