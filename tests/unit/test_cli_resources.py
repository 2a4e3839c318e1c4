"""`audit-search changes` and `state`: each answer is compared with AWS Config's items; those of the samples are kept whole."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit_search.aws_config.dialects import milliseconds
from audit_search.aws_config.documents import HealthEvent, Origin, event, events_index
from audit_search_cli.commands.state import lines
from audit_search_cli.questions.items import Narrow, Resource, find, held, one, versions
from tests.support import estate
from tests.support.building import ROOT
from tests.support.engines import TestEngine
from tests.support.incidents import ACCOUNT, OTHER, REGION
from tests.support.questions import Engines, ask, asked, assert_kept, events_of
from tests.support.raw_config import Sources
from tests.support.raw_config import versions as raw_versions

OBJECTS = ROOT / "events" / "config" / "objects"
SHARED = ROOT.parent / "shared" / "data" / "config"
"""Real objects and messages beside the project, where they are."""
SCENARIOS: dict[str, tuple[str, ...]] = {
    "changes": ("changes", "i-0a1b2c3d4e5f60718"),
    "changes-between": ("changes", "sg-0f1e2d3c4b5a69788", "--between", "2026-11-05 14:00", "2026-11-06"),
    "changes-json": ("changes", "vol-0d6e5f40312091827", "--max-items", "1", "--output", "json"),
    "changes-none": ("changes", "sg-00000000000000000", "--type", "SecurityGroup"),
    "state": ("state", "i-0a1b2c3d4e5f60718", "--as-of", "2026-11-04"),
    "state-early": ("state", "vol-0d6e5f40312091827", "--as-of", "2026-11-02 09:00"),
    "state-json": ("state", "sg-0f1e2d3c4b5a69788", "--as-of", "2026-11-05 14:00", "--output", "json"),
}
"""The questions whose whole answers are kept; `pytest --renew-golden` writes them anew."""


@pytest.fixture(scope="module")
def samples(samples: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """Every sample, of AWS Config as well."""
    estate.index(samples, OBJECTS, tmp_path_factory.mktemp("files"))
    return samples


def fill_estate(engine: TestEngine, folder: Path) -> None:
    """Index the made-up account, with two results of a rule for its group."""
    estate.put(engine, folder, [*estate.items(), *estate.busy()], estate.records())
    for hour, before, after in ((8, None, "COMPLIANT"), (10, "COMPLIANT", "NON_COMPLIANT")):
        fields = {
            "resourceType": "AWS::EC2::SecurityGroup",
            "resourceId": estate.GROUP,
            "configRuleName": "no-ssh\x1b[2J",
            "previousComplianceType": before,
            "complianceType": after,
        }
        time = int(datetime(2026, 11, 20, hour, tzinfo=UTC).timestamp() * 1_000)
        health = HealthEvent("ComplianceChangeNotification", ACCOUNT, REGION, time, "{}", fields)
        engine.put(f"/{events_index(engine.prefix, time)}/_doc/{health.identity}", event(health, Origin("test")))
    engine.refresh()


@pytest.fixture(scope="module")
def engine(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """The made-up account."""
    found = engines.new()
    fill_estate(found, tmp_path_factory.mktemp("files"))
    return found


def at(clock: str) -> datetime:
    """A time of 20 November 2026."""
    return datetime.fromisoformat(f"2026-11-20T{clock}+00:00")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_answer_is_the_one_that_is_kept(samples: TestEngine, name: str, pytestconfig: pytest.Config) -> None:
    """What a person or a script sees of the samples, to the last sign."""
    assert_kept(samples, name, SCENARIOS[name], pytestconfig.getoption("--renew-golden"))


# --- compared with the items themselves -----------------------------------------------------------------------------------


def raw_items(paths: list[Path]) -> dict[tuple[str, str, str], dict[int, list[dict[str, Any]]]]:
    """The items of objects by account, type and id, then by the moment of their capture (ms), read without any of our code."""
    found: dict[tuple[str, str, str], dict[int, list[dict[str, Any]]]] = {}
    for path in paths:
        for item in json.loads(gzip.decompress(path.read_bytes())).get("configurationItems", []):
            if isinstance(item, dict) and item.get("resourceId") and milliseconds(item.get("configurationItemCaptureTime")):
                key = (str(item.get("awsAccountId") or item.get("accountId")), item["resourceType"], item["resourceId"])
                moments = found.setdefault(key, {})
                moments.setdefault(milliseconds(item["configurationItemCaptureTime"]), []).append(item)
    return found


def assert_states(engine: TestEngine, raw: dict[tuple[str, str, str], dict[int, list[dict[str, Any]]]]) -> int:
    """Assert that the state as of each capture, and a millisecond before, is that of the raw items; gives how many were."""
    compared = 0
    for (account, kind, identity), moments in raw.items():
        earlier: int | None = None
        for moment in sorted(moments):
            when = datetime.fromtimestamp(moment / 1_000, UTC)
            for time, expected in ((when, moment), (when - timedelta(milliseconds=1), earlier)):
                how = ("--type", kind, "--accounts", account, "--as-of", time.isoformat(timespec="milliseconds"))
                shown = asked(engine, "state", identity, *how)
                if expected is None:
                    assert shown["what"] == "not known yet", (identity, time)
                    continue
                assert shown["version"], (identity, time, moments[expected])
                assert milliseconds(shown["version"]["captured"]) == expected, (identity, time)
                assert any(_same(shown, item) for item in moments[expected]), (identity, time)
                compared += 1
            earlier = moment
    return compared


def _same(shown: dict[str, Any], item: dict[str, Any]) -> bool:
    configuration = item.get("configuration")
    if isinstance(configuration, str):
        configuration = json.loads(configuration) if configuration.startswith("{") else configuration or None
    return bool(shown.get("configuration") or None) == bool(configuration) and (
        not configuration or shown["configuration"] == configuration
    )


def test_the_state_at_each_time_is_that_of_the_items(samples: TestEngine) -> None:
    """As of each capture it is that version, and a millisecond before it is the one before, or none is known."""
    assert assert_states(samples, raw_items(sorted(OBJECTS.rglob("*.json.gz")))) >= 20


def test_changes_lists_each_version_of_the_items(samples: TestEngine) -> None:
    """Each version once, newest first, with the time that the item has."""
    objects = tuple((str(path.relative_to(OBJECTS)), path.read_bytes()) for path in sorted(OBJECTS.rglob("*.json.gz")))
    expected: dict[str, list[int]] = {}
    for version in raw_versions(Sources((), objects)):
        expected.setdefault(version["resourceId"], []).append(milliseconds(version["at"]))
    for identity, moments in expected.items():
        shown = asked(samples, "changes", identity, "--max-items", "100")
        found = [milliseconds(one["captured"]) for one in shown["changes"] if one["what"] != "compliance"]
        assert found == sorted(moments, reverse=True), identity


def test_real_items_are_answered_as_they_are(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The state of each public item, as of its capture and before it."""
    if not SHARED.exists():
        return
    engine, folder = engines.new(), tmp_path_factory.mktemp("files")
    paths = sorted(SHARED.rglob("*.json.gz"))
    for number, path in enumerate(paths):
        kind = "ConfigSnapshot" if "napshot" in str(path) else "ConfigHistory"
        copy = folder / f"objects/AWSLogs/111122223333/Config/eu-central-1/2026/11/20/{kind}/{number}-{path.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    assert estate.index(engine, folder / "objects", folder) > 0
    assert assert_states(engine, raw_items(paths)) >= 20


# --- which resource is meant ----------------------------------------------------------------------------------------------


def test_an_id_and_an_arn_mean_one_resource_whatever_others_are_called(engine: TestEngine) -> None:
    """A group whose name is another's id does not hide that other one."""
    events = events_of(engine)
    for name in (estate.GROUP, f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{estate.GROUP}"):
        found = one(events, name)
        assert found is not None
        assert (found.id, found.account) == (estate.GROUP, ACCOUNT)


def test_several_of_a_name_are_listed_and_told_apart_by_options(engine: TestEngine) -> None:
    """One line names them; a type, an account or a region chooses."""
    wrong = ask(engine, "changes", "web")
    assert wrong.code == 2
    assert estate.GROUP in wrong.line
    assert estate.OTHERS_GROUP in wrong.line
    assert "--accounts" in wrong.line
    for options in (("--accounts", OTHER), ("--regions", "us-east-1"), ("--type", "SecurityGroup", "--accounts", OTHER)):
        assert asked(engine, "state", "web", *options)["resource"]["id"] == estate.OTHERS_GROUP
    assert find(events_of(engine), "web", Narrow("AWS::EC2::VPC")) == []


def test_an_arn_that_config_does_not_have_is_found_by_its_end(engine: TestEngine) -> None:
    """In the account and of the type that it names; one of another type is not meant."""
    assert [found.id for found in find(events_of(engine), "arn:aws:s3:::payroll")] == ["payroll"]
    assert [found.id for found in find(events_of(engine), f"arn:aws:iam::{ACCOUNT}:role/path/web-role")] == ["AROAEXAMPLE"]
    assert find(events_of(engine), f"arn:aws:iam::{OTHER}:role/path/web-role") == []
    assert find(events_of(engine), f"arn:aws:iam::{ACCOUNT}:user/web-role") == []
    assert [found.id for found in find(events_of(engine), "role/path/web-role")] == ["AROAEXAMPLE"]
    assert find(events_of(engine), "user/web-role") == []


@pytest.mark.parametrize("command", ["changes", "state"])
def test_an_unknown_resource_says_what_was_recorded(engine: TestEngine, command: str) -> None:
    """Nothing found is no error, and says what there would have been to find."""
    shown = ask(engine, command, "i-0\x1b[31m", "--type", "Instance*")
    assert shown.code == 0
    assert "no resource with the id, name or ARN i-0\N{REPLACEMENT CHARACTER}[31m" in shown.out
    assert "AWS Config recorded: " in shown.out
    lacking = asked(engine, command, "x", "--type", "Cluster")
    assert (lacking["resource"], lacking["recorded"].endswith("nothing of the type Cluster.")) == (None, True)
    assert "nothing of the type" not in asked(engine, command, "x", "--type", "Volume")["recorded"]


# --- versions -------------------------------------------------------------------------------------------------------------


def test_every_page_of_versions_is_read_and_none_twice(engine: TestEngine) -> None:
    """Also where more versions than a page are of one millisecond."""
    events = events_of(engine)
    resource = Resource(ACCOUNT, REGION, "AWS::EC2::Volume", estate.BUSY)
    found = list(versions(events, resource))
    assert len(found) == len({version.id for version in found}) == len(estate.busy())
    assert [version.captured for version in found] == sorted((version.captured for version in found), reverse=True)
    since, until = at("08:10:00"), at("08:20:00")
    part = list(versions(events, resource, since, until))
    assert [version.captured.minute for version in part] == list(range(19, 9, -1))


def test_of_versions_of_one_millisecond_the_last_of_the_history_holds(engine: TestEngine) -> None:
    """The one that the latest state is made of."""
    resource = Resource(ACCOUNT, REGION, "AWS::EC2::Volume", estate.BUSY)
    together = list(versions(events_of(engine), resource, at("12:00:00")))
    latest = engine.source("|".join((ACCOUNT, REGION, "AWS::EC2::Volume", estate.BUSY)))
    found = held(events_of(engine), resource, at("13:00:00")).version
    assert found is not None
    assert found.id == max(version.id for version in together)
    assert found.source["configurationStateId"] == latest["configurationStateId"]


def test_a_deleted_resource_is_said_to_be_so(engine: TestEngine) -> None:
    """As of its deletion it is gone, before it is what it was."""
    gone = asked(engine, "state", estate.GROUP, "--as-of", "2026-11-20 11:00Z")
    assert (gone["what"], gone.get("configuration"), gone.get("relationships")) == ("deleted", None, None)
    before = asked(engine, "state", estate.GROUP, "--as-of", "2026-11-20 10:59:59Z")
    assert (before["what"], before["tags"]) == ("recorded", {"Owner": "web team"})
    assert before["next"].startswith("2026-11-20T11:00:00")
    assert "It was deleted by then" in ask(engine, "state", estate.GROUP).out


def test_what_was_not_recorded_is_said_to_be_so(engine: TestEngine) -> None:
    """AWS Config tells when a type was not recorded."""
    name = "subnet-0aaaaaaaaaaaaaaaa"
    assert asked(engine, "state", name)["what"] == "not recorded"
    assert "did not record this type" in ask(engine, "state", name).out
    assert "did not record the type" in ask(engine, "changes", name).out


def test_without_its_history_the_latest_state_is_known(engines: Engines, tmp_path: Path) -> None:
    """Retention removes versions, and not what a resource is now."""
    engine = engines.new()
    estate.put(engine, tmp_path, estate.items())
    engine.call("DELETE", f"/{engine.prefix}config-history-2026.11")
    assert asked(engine, "state", "payroll")["configuration"]["note"] == "two\nlines"
    assert asked(engine, "changes", "payroll")["changes"] == []
    assert asked(engine, "state", "payroll", "--as-of", "2026-11-20 07:00Z")["what"] == "not known yet"


def test_a_tree_is_read_by_yaml_as_the_same() -> None:
    """Texts that would be a number, a truth or a list are in quotes."""
    yaml = pytest.importorskip("yaml")
    tree = {
        "a": {
            "b": [1, 2.5, True, None, "x", "yes", "1", "- a", "a: b", "", "two\nlines", "#", "a #b", "\u2028", "~", "=", "1e3"]
        },
        "list": [[1, [2]], {"k": [], "l": {}}, []],
        "odd key: x": "C:\\x",
        "2026-11-20": "2026-11-20",
        "on": "null",
    }
    assert yaml.safe_load("\n".join(lines(tree))) == tree


# --- what changed, and why ------------------------------------------------------------------------------------------------


def test_versions_and_results_of_rules_stand_in_the_order_of_time(engine: TestEngine) -> None:
    """Newest first: the deletion, the rule that was broken, the opening, the rule that held, the first version."""
    shown = asked(engine, "changes", estate.GROUP)
    assert [one["what"] for one in shown["changes"]] == ["deleted", "compliance", "changed", "compliance", "created"]
    broken = shown["changes"][1]
    assert (broken["before"], broken["after"]) == ("COMPLIANT", "NON_COMPLIANT")
    assert not shown["more_changes"]
    (opened,) = [one for one in shown["changes"] if one["what"] == "changed"]
    told = {(one["path"], one["before"], one["after"]) for one in opened["changes"]}
    assert told == {
        ("Configuration.IpPermissions", None, "ingress tcp 22 from 0.0.0.0/0"),
        ("Tags.Owner", None, "web team"),
    }


def test_each_call_behind_a_version_is_shown_with_its_score_and_why(engine: TestEngine) -> None:
    """Two people changed two things of one version; the one who deleted it stands with the deletion."""
    shown = asked(engine, "changes", estate.GROUP)
    deleted, opened = (one["caused_by"] for one in shown["changes"] if one["what"] in ("deleted", "changed"))
    assert [each["event"] for each in deleted["calls"]] == ["ended"]
    assert {each["event"] for each in opened["calls"]} == {"opened", "tagged"}
    assert all(0.5 <= each["score"] <= 1 and each["reason"] for each in opened["calls"])
    assert opened["stored"] is False
    text = ask(engine, "changes", estate.GROUP).out
    assert "ec2:AuthorizeSecurityGroupIngress at 2026-11-20 09:00:10 UTC" in text
    assert text.count("  and by: ") == 1


def test_links_that_were_stored_are_shown_as_they_are(engine: TestEngine) -> None:
    """And what was said where none was found."""
    index = f"{engine.prefix}config-history-2026.11"
    stored = {
        "verdict": "found",
        "eventId": ["a", "b"],
        "eventName": ["X", "Y"],
        "eventSource": ["ec2.amazonaws.com", "iam.amazonaws.com"],
        "eventTime": ["2026-11-20T10:00:00.000Z"] * 2,
        "caller": ["alice\x1b[31m", "bob"],
        "kind": ["direct", "side-effect"],
        "score": [0.9, 0.6],
        "reason": ["names it", "is near"],
    }
    for identity, kept in (("vol-1", stored), ("vol-2", {"verdict": "none-found", "reason": ["no recorded call fits"]})):
        key = f"{ACCOUNT}|{REGION}|AWS::EC2::Volume|{identity}"
        body = {
            "awsAccountId": ACCOUNT,
            "awsRegion": REGION,
            "resourceType": "AWS::EC2::Volume",
            "resourceId": identity,
            "configurationItemCaptureTime": "2026-11-20T10:00:00.000Z",
            "configurationItemStatus": "OK",
            "cfg": {"resource": key, "deleted": False, "changesFrom": "previous", "changeCount": 0, "causedBy": kept},
        }
        engine.put(f"/{index}/_doc/{identity}", body)
    engine.refresh()
    (linked,) = asked(engine, "changes", "vol-1")["changes"]
    assert [(each["api"], each["score"]) for each in linked["caused_by"]["calls"]] == [("ec2:X", 0.9), ("iam:Y", 0.6)]
    assert linked["caused_by"]["stored"]
    assert "by: alice\N{REPLACEMENT CHARACTER}[31m, ec2:X" in ask(engine, "changes", "vol-1").out
    assert "by: none-found: no recorded call fits" in ask(engine, "changes", "vol-2").out


def test_between_two_times_the_difference_is_that_of_the_two_states(engine: TestEngine) -> None:
    """Whatever happened in between; versions outside are left out."""
    shown = asked(engine, "changes", estate.GROUP, "--between", "2026-11-20 08:00Z", "2026-11-20 10:00Z")
    assert [one["what"] for one in shown["changes"]] == ["changed", "compliance"]
    assert {one["path"] for one in shown["altogether"]} == {"Configuration.IpPermissions", "Tags.Owner"}
    text = ask(engine, "changes", estate.GROUP, "--between", "2026-11-20 08:00Z", "2026-11-20 08:30Z").out
    assert "The same version held at both times." in text
    early = asked(engine, "changes", estate.GROUP, "--between", "2026-11-19 08:00Z", "2026-11-20 10:00Z")
    assert early["altogether"] is None


def test_a_period_that_ends_before_it_begins_is_refused(engine: TestEngine) -> None:
    """In one line."""
    wrong = ask(engine, "changes", estate.GROUP, "--between", "2026-11-20", "2026-11-19")
    assert wrong.code == 2
    assert "Give the earlier time first" in wrong.line


def test_a_limit_says_that_there_are_more(engine: TestEngine) -> None:
    """The newest so many."""
    shown = asked(engine, "changes", estate.GROUP, "--max-items", "2")
    assert ([one["what"] for one in shown["changes"]], shown["more_changes"]) == (["deleted", "compliance"], True)
    assert "There are more: --max-items." in ask(engine, "changes", estate.GROUP, "--max-items", "2").out


@pytest.mark.parametrize("command", ["changes", "state"])
def test_hostile_texts_reach_no_terminal(engine: TestEngine, command: str) -> None:
    """Names, keys and values are cleaned."""
    shown = ask(engine, command, estate.HOSTILE)
    assert (shown.code, shown.err) == (0, "")
    assert not set(shown.out) & set("\x1b\u202e\u2028")
    rule = ask(engine, "changes", estate.GROUP)
    assert "\x1b" not in rule.out


def test_a_name_of_wildcards_means_itself(engine: TestEngine) -> None:
    """Nothing is found by a pattern."""
    for name in ("sg-*", "*", "i-?", "", " "):
        assert find(events_of(engine), name) == []
