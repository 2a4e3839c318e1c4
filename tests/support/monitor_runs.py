"""A small model of what runs monitors: the schedule, the variables, and which alerts begin, last and end.

No registry carries the Alerting plugin. What is its own (job scheduler, alerts by bucket) is modelled here after
`BucketLevelMonitorRunner`; queries, conditions and messages are the engine's, which has the same search, the same Painless and
the same Mustache as the plugin uses. https://github.com/opensearch-project/alerting
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.engines import TestEngine

MINUTE = 60_000
_ALERTS_AT_ONCE = 50  # plugins.alerting.max_actionable_alert_count
_MOST_PAGES = 50


@dataclass(frozen=True)
class Sent:
    """What the notification channel got."""

    subject: str
    message: dict[str, Any]


@dataclass
class Schedule:
    """Runs one monitor on an engine, once each interval: a window begins where the last one ended."""

    engine: TestEngine
    monitor: dict[str, Any]
    sent: list[Sent] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)
    """The alerts that last: their ids by the key of the bucket."""
    _begun: int = 0

    @property
    def interval(self) -> int:
        """Milliseconds."""
        period = self.monitor["schedule"]["period"]
        assert period["unit"] == "MINUTES"
        return int(period["interval"]) * MINUTE

    def run(self, start: int, end: int, skipping: tuple[int, ...] = ()) -> None:
        """All runs from one time to another, in epoch milliseconds; the runs of these numbers do not happen."""
        for number, begins in enumerate(range(start, end, self.interval)):
            if number not in skipping:
                self._once(begins, begins + self.interval)

    def _once(self, begins: int, ends: int) -> None:
        (trigger,) = (one["bucket_level_trigger"] for one in self.monitor["triggers"])
        context: dict[str, Any] = {
            "monitor": {"_id": "m", "_version": 1, "name": self.monitor["name"], "enabled": self.monitor["enabled"]},
            "periodStart": _instant(begins),
            "periodEnd": _instant(ends),
        }
        pages = list(self._pages(trigger, begins, ends))
        if not pages:  # an error of the trigger: alerts last, and the plugin would have people told of the error
            for action in trigger["actions"]:
                self._send(action, {**context, "results": [{"hits": {"total": {"value": 0}}}], "newAlerts": []})
            return
        keys = [key for _, found in pages for key in found]
        new = [key for key in keys if key not in self.last]
        lasting = [key for key in keys if key in self.last]
        ended = [key for key in self.last if key not in keys]
        ids = dict(self.last)
        for key in new:
            self._begun += 1
            ids[key] = f"alert-{self._begun}"
        self.last = {key: ids[key] for key in keys}
        context["results"] = [pages[-1][0]]
        alerts = [{"id": ids[key], "bucket_keys": key, "severity": trigger["severity"], "state": "ACTIVE"} for key in new]
        for action in trigger["actions"]:
            scope = action["action_execution_policy"]["action_execution_scope"]["per_alert"]["actionable_alerts"]
            assert (scope, action["throttle_enabled"]) == (["NEW"], False)
            if len(new) + len(lasting) + len(ended) > _ALERTS_AT_ONCE:  # one message for all, even where none is new
                self._send(action, {**context, "newAlerts": alerts})
            else:
                for alert in alerts:
                    self._send(action, {**context, "newAlerts": [alert]})

    def _pages(self, trigger: dict[str, Any], begins: int, ends: int) -> Iterator[tuple[dict[str, Any], list[str]]]:
        """Each page's answer, and the keys of its buckets for which the condition holds, as the engine's own selector says.

        None where no index matches, for then nothing is aggregated.
        """
        (search,) = (one["search"] for one in self.monitor["inputs"])
        after = None
        for _ in range(_MOST_PAGES):
            text = json.dumps(search["query"])
            body = json.loads(text.replace("{{period_start}}", str(begins)).replace("{{period_end}}", str(ends)))
            condition = dict(trigger["condition"])
            parent = body["aggregations"][condition.pop("parent_bucket_path")]
            if after:
                parent["composite"]["after"] = after
            answer = self._search(search["indices"], body)
            if "aggregations" not in answer:
                return
            parent.setdefault("aggregations", {})["condition"] = {"bucket_selector": condition}
            selected = self._search(search["indices"], body)["aggregations"]["by"]["buckets"]
            yield answer, [",".join(bucket["key"].values()) for bucket in selected]
            after = answer["aggregations"]["by"].get("after_key")
            if not after:
                return
        raise AssertionError("more pages than a test has callers for")

    def _search(self, indices: list[str], body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.engine._answer("POST", f"/{','.join(indices)}/_search", body)
        return answer

    def _send(self, action: dict[str, Any], context: dict[str, Any]) -> None:
        subject, message = action["subject_template"], action["message_template"]
        assert (subject["lang"], message["lang"]) == ("mustache", "mustache")
        assert "{{" not in subject["source"]
        request = {"source": message["source"], "params": {"ctx": context}}
        status, answer = self.engine.call("POST", "/_render/template", request)
        if status == 200:  # else the plugin notes the error with the alert, and sends nothing
            self.sent.append(Sent(subject["source"], answer["template_output"]))


def _instant(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
