"""AWS Config's half of the demo: deliver, and ask."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit_search import index_template
from demo import config_searches
from demo.config_inputs import BUCKET, SAMPLE_INSTANCE, ConfigInput, named_buckets
from demo.config_searches import HISTORY, ConfigAnswer
from demo.engine import Engine
from demo.function import Function, Handler, Tally
from demo.inputs import BATCH_OBJECTS
from demo.options import DemoError
from demo.storage import LocalS3, notification

ENDINGS: Final = ("indexed", "duplicates", "filtered", "quarantined", "returned")
_METRICS: Final = {
    "read": "RecordsRead",
    "indexed": "RecordsIndexed",
    "duplicates": "RecordsDuplicate",
    "filtered": "RecordsFiltered",
    "quarantined": "RecordsQuarantined",
    "returned": "RecordsReturned",
    "events": "EventsIndexed",
    "events_read": "EventsRead",
    "foreign": "MessagesForeign",
    "handed_on": "ObjectsHandedOn",
    "only_summaries": "OnlySummaries",
    "missing": "ResourcesMissing",
    "corrected": "VersionsCorrected",
    "failed_objects": "ObjectsFailed",
    "returned_messages": "MessagesReturned",
    "requests": "BulkRequests",
}
COUNTS: Final = ("deliveries", *_METRICS, "skipped", "refused_files")


@dataclass(slots=True)
class ConfigTally:
    """What the AWS Config function reported, summed over its invocations."""

    counts: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Files that are nothing for AWS Config, and why."""
    returned: list[str] = field(default_factory=list)
    handed_on: Tally = field(default_factory=Tally)
    """What CloudTrail's function made of the objects that were handed on to it."""

    def check(self) -> None:
        """Raises DemoError when an item has no ending."""
        ended = sum(self.counts[name] for name in ENDINGS)
        if self.counts["read"] != ended:
            problem = f"The counts do not add up: {self.counts['read']:,} items read, {ended:,} ended."
            raise DemoError(problem, "Please report this.")


class ConfigFunction:
    """The AWS Config function and the sum of what it reports."""

    def __init__(self, s3: LocalS3, inputs: Sequence[ConfigInput]) -> None:
        """Make its bucket, those that messages name, and CloudTrail's queue. Raises DemoError."""
        self._s3 = s3
        self.tally = ConfigTally()
        buckets = sorted({BUCKET, *named_buckets(inputs)})
        for bucket in buckets:
            s3.ensure_bucket(bucket)
        self._queue = s3.make_queue("example-cloudtrail")
        os.environ |= {
            "ALLOWED_BUCKETS": ",".join([*buckets, os.environ["ALLOWED_BUCKETS"]]),
            "TRAIL_QUEUE_URL": self._queue,
            "POWERTOOLS_SERVICE_NAME": "config",
        }
        self._handler = Handler("aws_config")

    @property
    def log(self) -> Any:
        """What it logged."""
        return self._handler.log

    def deliver(self, inputs: Sequence[ConfigInput]) -> bool:
        """Deliver one batch; whether all of it is done. Raises DemoError."""
        done = True
        objects = [self._s3.put_body(BUCKET, one.key, one.body) for one in inputs if one.kind == "object"]
        messages = [one.body.decode("utf-8", "replace") for one in inputs if one.kind == "message"]
        events = [json.loads(one.body) for one in inputs if one.kind == "event"]
        bodies = ([json.dumps(notification(objects))] if objects else []) + messages
        for event in [*events, *([_queue_event(bodies)] if bodies else [])]:
            done &= self._invoke(event)
        return done

    def _invoke(self, event: dict[str, Any]) -> bool:
        answer, reason, lines = self._handler(event)
        tally = self.tally
        tally.counts["deliveries"] += 1
        for line in lines:
            if "_aws" in line:
                tally.counts.update({name: int(line[metric][0]) for name, metric in _METRICS.items() if metric in line})
            elif line["message"] == "skipped":
                tally.counts["skipped"] += line["reason"] != "not a message of AWS Config's"
                tally.skipped.append((str(line["what"]), str(line["reason"])))
            elif line["message"] == "object" and "error" in line:
                tally.failed.append((str(line["key"]), str(line["error"])))
            elif line["message"] == "message returned":
                tally.returned.append(str(line["reason"]))
        return not reason and not (answer or {}).get("batchItemFailures")

    def hand_over(self, function: Function) -> None:
        """CloudTrail's function takes what was handed on to its queue."""
        kept, function.tally = function.tally, self.tally.handed_on
        for body in list(self._s3.received(self._queue)):
            function.invoke(json.loads(body))
        function.tally = kept


def batches(inputs: Sequence[ConfigInput]) -> Iterator[list[ConfigInput]]:
    """As a queue hands them over: up to ten messages at a time. Whole events come by themselves."""
    batch: list[ConfigInput] = []
    for one in inputs:
        if batch and (one.kind != batch[0].kind or one.kind == "event" or len(batch) == BATCH_OBJECTS):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _queue_event(bodies: Sequence[str]) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": f"demo-{number}", "receiptHandle": "", "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
            for number, body in enumerate(bodies)
        ]
    }


def prepare(engine: Engine) -> None:
    """Put AWS Config's index templates in place. Raises DemoError."""
    for family in index_template.CONFIG:
        engine.prepare(family)


def ask(engine: Engine, samples: bool) -> list[ConfigAnswer]:
    """The three questions; of the samples they are about the web server, else about the resource that changed most."""
    for family in index_template.CONFIG[:3]:
        engine.refresh(family)
    most, resource = config_searches.most_changed_answer(engine.search(config_searches.most_changed(), HISTORY))
    if samples:
        resource = SAMPLE_INSTANCE
    if not resource:
        return [most]
    versions = engine.search(config_searches.life(resource), HISTORY)
    return [config_searches.life_answer(resource, versions), config_searches.relationships_answer(resource, versions), most]


def as_json(tally: ConfigTally, answers: Sequence[ConfigAnswer], documents: dict[str, int]) -> dict[str, Any]:
    """What OUTPUT=json has under `config`."""
    counts = {name: tally.counts[name] for name in COUNTS}
    return counts | {"documents": documents, "searches": config_searches.all_names(answers)}


def documents(engine: Engine) -> dict[str, int]:
    """How many versions, latest states and events there are."""
    body = {"size": 0, "track_total_hits": True}
    return {
        family.removeprefix("config-"): int(engine.search(body, family).get("hits", {}).get("total", {}).get("value", 0))
        for family in index_template.CONFIG[:3]
    }
