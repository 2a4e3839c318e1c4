"""Every test of the questions once more on a real OpenSearch node; real records; and that an analyst's role suffices."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from audit_search_cli.connection import Engine, Target
from audit_search_cli.questions import trends
from audit_search_cli.questions.coverage import look
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.hints import hints
from tests.engine.test_domain_security import Caller, Make, installed, make, secured
from tests.support.questions import SHARED, Engines, all_records, events_of, fill, holds, records, when
from tests.unit import test_cli_questions, test_questions_events
from tests.unit.test_questions_events import engine, events

__all__ = ["engine", "events", "installed", "make", "secured"]


def _tests_of(module: ModuleType) -> dict[str, Any]:
    return {name: each for name, each in vars(module).items() if name.startswith("test_") and callable(each)}


# By their own names, so that a test that is added there runs here without another word.
globals().update(_tests_of(test_questions_events) | _tests_of(test_cli_questions))


@pytest.mark.parametrize("aws_config", ["false", "true"])
def test_the_role_of_an_analyst_suffices(make: Make, aws_config: str) -> None:
    """Each question is answered with the right to search alone, also where no document of AWS Config has come yet."""
    installation = make(AWS_CONFIG=aws_config)
    installation.set_up()
    assert installation.bulk(installation.writer, ("create", installation.index, "a")) == [(201, "")]
    installation.node.request("POST", f"/{installation.index}/_refresh")
    target = Target(installation.node.endpoint, auth="none", ca_bundle=str(installation.node.certificate))
    asking = Events(Engine(target, Caller(installation.node, installation.analyst)), installation.prefix)
    assert [event.id for event in asking.by_id("a")] == ["a"]
    assert look(asking, Filters(), config=True).events == 0  # it has no time
    assert [group.value for group in trends.top(asking, Filters(), "event-name").groups] == ["RunInstances"]
    assert trends.stats(asking, Filters(), "day").periods == []
    assert [hint.near for hint in hints(asking, Filters({"event-name": ("RunInstnces",)}))] == [("RunInstances",)]


if SHARED.is_dir():
    EACH = all_records(SHARED)
    REAL = records(SHARED)

    @pytest.fixture(scope="module")
    def real(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Events:
        """The node with real records of many accounts, services and years, which nobody made for these questions."""
        found = engines.new()
        assert fill(found, SHARED, tmp_path_factory.mktemp("real")) == len(REAL)
        for event in events_of(found).search({"match_all": {}}):
            if event.record in EACH[event.id]:
                REAL[event.id] = dict(event.record)  # a few samples have one id with two contents: the first that came is kept
        return events_of(found)

    def test_every_real_event_comes_once_and_as_it_was(real: Events) -> None:
        """Page after page, newest first, each with its own record."""
        found = list(real.search({"match_all": {}}))
        assert {event.id: event.record for event in found} == REAL
        assert len(found) == len(REAL)
        assert all(event.time == when(event.record) for event in found if when(event.record))

    @pytest.mark.parametrize(
        ("field", "value_of"),
        [
            ("event-name", lambda record: record.get("eventName")),
            ("service", lambda record: record.get("eventSource")),
            ("error", lambda record: record.get("errorCode")),
            ("region", lambda record: record.get("awsRegion")),
            ("account", lambda record: record.get("recipientAccountId")),
            ("source-ip", lambda record: record.get("sourceIPAddress")),
            ("access-key", lambda record: (record.get("userIdentity") or {}).get("accessKeyId")),
            ("user-agent", lambda record: record.get("userAgent")),
        ],
    )
    def test_every_value_of_a_field_is_counted_and_found(
        real: Events, field: str, value_of: Callable[[dict[str, Any]], Any]
    ) -> None:
        """Each value of the real records has as many events as records, in `top` and as a filter."""
        wanted = Counter(value for record in REAL.values() if isinstance(value := value_of(record), str))
        found = trends.top(real, Filters(), field, 1_000)
        assert {group.value: group.events for group in found.groups} == dict(wanted)
        assert (found.others, found.error) == (0, 0)
        for value, number in wanted.most_common(40):
            if value and not set("*?") & set(value):
                assert real.count(Filters({field: (value,)}).query()) == number, value

    def test_every_resource_of_the_real_records_is_found(real: Events) -> None:
        """By ids and names of requests and responses: all records in which one stands alone, and only such as have it in them."""
        names = {
            resource.name
            for event in real.search({"match_all": {}})
            for resource in event.resources
            if 3 < len(resource.name) < 500 and not set("*?") & set(resource.name)
        }
        assert len(names) > 100
        trees = ("requestParameters", "responseElements", "resources")
        for name in sorted(names)[::7]:
            found = {event.id for event in real.search(Filters({"resource": (name,)}).query())}
            exact = {identity for identity, record in REAL.items() if any(holds(record.get(tree), name) for tree in trees)}
            assert exact <= found, name
            assert all(name.lower() in json.dumps(REAL[identity]).lower() for identity in found), name

    def test_coverage_of_the_real_records_is_theirs(real: Events) -> None:
        """Places and kinds are those of the records."""
        found = look(real, Filters())
        assert found.events == len(REAL)
        places = Counter((record.get("recipientAccountId") or "", record.get("awsRegion") or "") for record in REAL.values())
        assert {(one.account, one.region): one.events for one in found.seen} == dict(places)
