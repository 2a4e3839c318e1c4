"""Versions and the calls that caused them find each other in whatever order they come, on the embedded engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from osmem_server import OsmemServer

from audit_search.bulk import Reply
from audit_search.causes.linking import BEGINNING, Linker, Totals
from audit_search.errors import AccountingError, EngineUnreachableError, IndexTemplateError, SettingsError
from audit_search.observability import Observer
from audit_search.opensearch import HttpEngine
from functions.causes import app
from tests.support.aws import Context
from tests.support.config_world import ACCOUNT, IMPATIENT, World, version
from tests.support.engine_front import Asked, EngineFront
from tests.support.engines import TestEngine
from tests.support.linked_world import GROUP, OPENED, LinkedWorld, group, opening

CLOSED_THEN = group(OPENED - 3_600_000, opened=False)
OPEN = group(OPENED + 90_000, opened=True)


@pytest.fixture
def linked() -> Iterator[LinkedWorld]:
    """An embedded engine with the templates of CloudTrail, of AWS Config and of the links."""
    with OsmemServer.start(japanese=False) as server:
        yield LinkedWorld(World(TestEngine(server.url, real=False)))


def test_a_version_says_who_caused_it(linked: LinkedWorld) -> None:
    """In its own document and beside it: event, caller, kind, probability and reasons."""
    linked.trail(opening(OPENED))
    linked.config(CLOSED_THEN, OPEN)
    totals = linked.link()
    assert (totals.read, totals.linked, totals.caused, totals.problem) == (2, 2, 1, "")
    caused = linked.caused_by(OPEN)
    assert caused["eventId"] == [f"opened-by-ana-{GROUP}"]
    assert (caused["caller"], caused["kind"]) == ([f"arn:aws:iam::{ACCOUNT}:user/ana"], ["direct"])
    assert caused["score"][0] > 0.95
    assert "this very rule" in caused["reason"][0]
    assert linked.links(OPEN)["causedBy"] == caused
    assert linked.caused_by(CLOSED_THEN)["verdict"] == "not-recorded"


@pytest.mark.parametrize("first", ["version", "event"])
def test_whichever_half_comes_later(linked: LinkedWorld, first: str) -> None:
    """A version hours after its event is linked at once; an event after its version, when the version is looked at again."""

    def put(half: str) -> None:
        linked.config(CLOSED_THEN, OPEN) if half == "version" else linked.trail(opening(OPENED))

    put(first)
    linked.link()
    put("event" if first == "version" else "version")
    if first == "version":
        assert linked.caused_by(OPEN)["verdict"] == "not-recorded"
        assert linked.link().linked == 0, "not due yet"
    totals = linked.link(later=25 * 60_000)
    assert totals.caused == 1
    assert linked.caused_by(OPEN)["eventName"] == ["AuthorizeSecurityGroupIngress"]


def test_looking_ends(linked: LinkedWorld) -> None:
    """Each version is looked at again three times within a little more than a day; then nothing is left to do."""
    linked.config(CLOSED_THEN, OPEN)
    hours = (0, 0.1, 0.5, 1, 2.1, 3, 27, 28, 100)
    assert [linked.link(later=int(hour * 3_600_000)).linked for hour in hours] == [2, 0, 2, 0, 2, 0, 2, 0, 0]
    assert "dueTime" not in linked.links(OPEN)["state"]


def test_the_order_of_the_versions_stays_as_it_was(linked: LinkedWorld) -> None:
    """A link changes neither the external version of a document nor its time of ingestion, and a late version corrects it yet."""
    linked.trail(opening(OPENED))
    linked.config(CLOSED_THEN, OPEN)
    before = linked.number(OPEN), (linked.world.version(OPEN) or {})["cfg"]["ingestTime"]
    linked.link()
    linked.link(later=25 * 60_000)
    assert (linked.number(OPEN), (linked.world.version(OPEN) or {})["cfg"]["ingestTime"]) == before
    late = group(OPENED - 1_000_000, opened=False)
    linked.config(late)
    linked.world.assert_settled([CLOSED_THEN, late, OPEN])
    assert linked.link().linked == 2, "the late version, and the one whose changes are other ones now"
    assert linked.caused_by(OPEN)["eventName"] == ["AuthorizeSecurityGroupIngress"]


def test_a_run_goes_on_where_the_one_before_ended(linked: LinkedWorld) -> None:
    """Pages are as large as they may be, and what was linked is only recognised."""
    items = [group(OPENED + number * 60_000, opened=bool(number % 2), name=f"sg-0000000000000000{number}") for number in range(5)]
    linked.config(*items)
    assert linked.link(page=2).linked == 5
    again = linked.link(page=2)
    assert (again.linked, again.known, again.metrics["LinksBehind"]) == (0, again.read, 0)


def test_a_run_without_time_does_nothing_and_says_how_far_it_is_behind(linked: LinkedWorld) -> None:
    """The next run finds everything as it was."""
    linked.config(CLOSED_THEN, OPEN)
    none = linked.link(seconds=0)
    assert (none.read, none.problem) == (0, "")
    assert linked.link().linked == 2


class Hanging:
    """The engine, which answers no search for events after those of so many pages of versions; `hung` is called then."""

    def __init__(self, engine: HttpEngine, pages: int, hung: Callable[[], None]) -> None:
        self._engine = engine
        self._left = pages
        self._hung = hung
        self.bulk, self.mget = engine.bulk, engine.mget

    def search(self, index: str, body: Mapping[str, Any], timeout: float) -> Reply:
        """Search; what comes too late is a timeout, as the client says it."""
        self._left -= "cfg.ingestTime" in str(body.get("sort"))
        if self._left < 0 and "cloudtrail" in index:
            self._hung()
            return Reply(0, type="timeout", reason="no answer within 0.1 s")
        return self._engine.search(index, body, timeout)


@pytest.mark.parametrize(("pages", "problem"), [(1, ""), (0, "timeout: no answer within 0.1 s")])
def test_a_run_whose_time_ends_within_a_search(
    linked: LinkedWorld, monkeypatch: pytest.MonkeyPatch, pages: int, problem: str
) -> None:
    """It keeps what it linked, and that is no trouble; a run that was answered nothing says that there was no answer."""
    linked.config(*(group(OPENED + number * 60_000, opened=True, name=f"sg-0000000000000000{number}") for number in range(3)))
    linked.refresh()
    now, real, later = time.time() + 120, time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + later[0])
    engine = Hanging(linked.world.client, pages, lambda: later.__setitem__(0, 10_000.0))
    totals = Linker(engine, linked.world.prefix, IMPATIENT, now=lambda: now, page=1).run(time.monotonic() + 5_000)
    assert (totals.read, totals.linked, totals.problem) == (pages, pages, problem)
    monkeypatch.undo()
    assert linked.link().linked == 3 - pages


def refusing(what: str) -> Callable[[Asked], tuple[int, Any] | None]:
    """A rule for an engine that takes no bulk request, or answers no search for events."""
    refused = {"error": {"type": "security_exception", "reason": "no permissions"}, "status": 403}
    return lambda asked: (403, refused) if asked.path.endswith(what) else None


@pytest.mark.parametrize("what", ["/_bulk", "cloudtrail-2*/_search"])
def test_what_the_engine_refuses_is_linked_by_the_next_run(linked: LinkedWorld, what: str) -> None:
    """Nothing counts as done, the reason is said, and the watermark stays."""
    linked.trail(opening(OPENED))
    linked.config(CLOSED_THEN, OPEN)
    with EngineFront(linked.world.engine.endpoint) as front:
        front.rules.append(refusing(what))
        refused = linked.link(engine=linked.world.connected(front.endpoint))
    assert (refused.read, refused.linked) == (0, 0)
    assert "no permissions" in refused.problem
    assert linked.link().linked == 2


def test_versions_of_before_the_first_run_are_left_as_they_are(linked: LinkedWorld) -> None:
    """A week back it begins; a year of history is not read through."""
    linked.config(CLOSED_THEN)
    assert linked.link(later=BEGINNING + 3_600_000).read == 0


def test_versions_that_are_gone_are_not_looked_for_again(linked: LinkedWorld) -> None:
    """Retention took a month between two looks."""
    linked.config(OPEN)
    linked.link()
    for index in linked.world.engine.indices():
        if "config-history" in index:
            linked.world.engine.call("DELETE", f"/{index}")
    assert linked.link(later=3_600_000).read == 0
    assert "dueTime" not in linked.links(OPEN)["state"]


def test_a_name_is_looked_for_in_the_events_of_its_service(linked: LinkedWorld) -> None:
    """A word such as a group's name is in many records."""
    linked.trail(
        opening(OPENED),
        *(opening(OPENED - 60_000, user=f"web{number}", name=f"sg-1111111111111111{number}") for number in range(9)),
    )
    linked.config(CLOSED_THEN, OPEN)
    linked.link()
    assert linked.caused_by(OPEN)["eventId"] == [f"opened-by-ana-{GROUP}"]


def test_a_version_that_is_in_no_figure_is_a_bug_and_says_so() -> None:
    """Read is linked, known, overtaken, refused or not understood."""
    with pytest.raises(AccountingError, match="2 versions were read, and 1 ended"):
        Totals(read=2, linked=1).check()


@pytest.fixture
def function(linked: LinkedWorld, monkeypatch: pytest.MonkeyPatch) -> LinkedWorld:
    """The world, and the environment in which the function is called."""
    for name, value in {
        "OPENSEARCH_ENDPOINT": linked.world.engine.endpoint,
        "OPENSEARCH_AUTH": "none",
        "INDEX_PREFIX": linked.world.prefix,
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app, "_linker", None)
    monkeypatch.setattr(app, "_observer", Observer("causes"))
    return linked


def test_the_function_publishes_how_many_versions_ended_how(function: LinkedWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """All figures, also where they are 0; a version that was just ingested is left to the next run."""
    function.trail(opening(OPENED))
    function.config(CLOSED_THEN, OPEN)
    function.age(OPEN, CLOSED_THEN)
    answer = app.lambda_handler({}, Context(240_000))
    assert (answer["VersionsRead"], answer["VersionsLinked"], answer["VersionsWithCause"]) == (2, 2, 1)
    assert answer["VersionsRefused"] == answer["LinksBehind"] == 0
    assert '"VersionsRefused":[0.0]' in capsys.readouterr().out.replace(" ", "")
    function.config(group(OPENED + 200_000, opened=True))
    function.refresh()
    assert app.lambda_handler({}, Context(240_000))["VersionsLinked"] == 0


def test_the_function_fails_where_it_cannot_work(function: LinkedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that refuses, one without the index template of the links, none at all, no settings: an error each."""
    function.config(CLOSED_THEN, OPEN)
    function.age(OPEN, CLOSED_THEN)
    with EngineFront(function.world.engine.endpoint) as front:
        front.rules.append(refusing("/_bulk"))
        monkeypatch.setenv("OPENSEARCH_ENDPOINT", front.endpoint)
        with pytest.raises(EngineUnreachableError, match="no permissions"):
            app.lambda_handler({}, Context(240_000))
        monkeypatch.setattr(app, "_linker", None)
        function.world.engine.call("DELETE", f"/_index_template/{function.world.prefix}config-causes")
        with pytest.raises(IndexTemplateError, match="config-causes"):
            app.lambda_handler({}, Context(240_000))
    with pytest.raises(IndexTemplateError, match="cannot be asked"):
        app.lambda_handler({}, Context(240_000))
    monkeypatch.setenv("OPENSEARCH_ENDPOINT", "")
    with pytest.raises(SettingsError):
        app.lambda_handler({}, Context(240_000))


def test_versions_of_other_types_are_linked_too(linked: LinkedWorld) -> None:
    """Whatever the item is, it has a verdict."""
    items = [version("vol-1", OPENED + number * 1_000, f"s{number}") for number in range(3)]
    linked.config(*items)
    assert linked.link().linked == 3
    assert all(linked.caused_by(item)["verdict"] for item in items)
