"""One measurement in a fresh process: `python -m benchmarks.subject '{"subject": …}'` prints its figures as JSON.

CPU (user and system, all threads of this process) and wall time are those of the work, after imports and one warm-up
object; the peak of resident memory is the whole process's.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.generate import key


class _Context:
    """What Lambda hands to a handler."""

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


def sqs_event(numbers: range) -> dict[str, Any]:
    """An SQS event with one S3 notification a message."""
    return {
        "Records": [
            {
                "messageId": str(number),
                "receiptHandle": "x",
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSourceARN": "arn:aws:sqs:eu-central-1:111122223333:q",
                "body": json.dumps(
                    {
                        "Records": [
                            {
                                "eventSource": "aws:s3",
                                "eventName": "ObjectCreated:Put",
                                "eventTime": "2026-11-03T08:15:00.000Z",
                                "s3": {"bucket": {"name": "bucket"}, "object": {"key": key(number)}},
                            }
                        ]
                    }
                ),
            }
            for number in numbers
        ]
    }


def handled(handler: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Callable[[dict[str, Any]], None]:
    """A handler of Lambda's that ends the program when a message of an event has to return."""

    def run(event: dict[str, Any]) -> None:
        answer = handler(event, _Context())
        if answer["batchItemFailures"]:
            sys.exit(f"messages were returned: {answer}")

    return run


def _ours(compress: bool) -> Callable[[dict[str, Any]], object]:
    import functions.cloudtrail.app as app

    return handled(app.lambda_handler)


def _ours_without_alerts(compress: bool) -> Callable[[dict[str, Any]], object]:
    """The same function with no alert rule at all: what matching costs is the difference."""
    from audit_search.alerts import matching

    empty = matching.Rules([])
    matching.deployed = lambda: empty  # type: ignore[assignment]  # before the modules that use it are imported
    return _ours(compress)


def _naive(compress: bool) -> Callable[[dict[str, Any]], object]:
    from benchmarks.naive import NaiveHandler

    return NaiveHandler(os.environ["OPENSEARCH_ENDPOINT"], compress=compress)


def _limit(folder: str, numbers: range) -> Callable[[], None]:
    """What no program that reads JSON can go below: inflate, and one pass of the fastest parser there is."""
    import simdjson
    from isal import igzip

    parser = simdjson.Parser()
    decompress: Callable[[bytes], bytes] = igzip.decompress

    def run() -> None:
        for number in numbers:
            inflated = decompress((Path(folder) / key(number).rpartition("/")[2]).read_bytes())
            parser.parse(inflated)

    return run


def measure(plan: dict[str, Any]) -> dict[str, float]:
    """Do the work of a plan and give its figures."""
    first, count, batch = plan["first"], plan["objects"], plan["batch"]
    work: Callable[[], None]
    if plan["subject"] == "limit":
        work = _limit(plan["folder"], range(first, first + count))
    else:
        subjects = {"ours": _ours, "ours without alerts": _ours_without_alerts, "naive": _naive}
        handler = subjects[plan["subject"]](plan["compress"])
        events = [sqs_event(range(start, min(start + batch, first + count))) for start in range(first, first + count, batch)]
        handler(sqs_event(range(1)))  # the warm-up object

        def work() -> None:
            for event in events:
                handler(event)

    return figures_of(work)


def figures_of(work: Callable[[], object]) -> dict[str, float]:
    """Do some work and give its CPU and wall time in seconds, and the peak of this process's memory in MB."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu": after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
        "wall": wall,
        "rss_mb": after.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(open(os.devnull, "w")):  # the handler's log lines are written, but to nowhere
        figures = measure(json.loads(sys.argv[1]))
    print(json.dumps(figures))
