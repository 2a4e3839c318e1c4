"""`audit-search backfill`: what it chooses, estimates and indexes, what it remembers, and what it refuses."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from generate import CONFIG_BUCKET
from osmem_server import OsmemServer

from audit_search import index_template
from audit_search_cli.history_sources import Selection, find, source
from audit_search_cli.history_state import State
from audit_search_cli.times import Range
from tests.support.aws import CONFIG, QUARANTINE, TRAIL, Aws, trail_object
from tests.support.cli import Run, run
from tests.support.config_deliveries import ACCOUNT, change, family, folder, item, names, put_items
from tests.support.engines import TestEngine

# Later than any clock: objects whose names tell no time count from when the bucket took them.
NOW = datetime(2100, 1, 1, tzinfo=UTC)
NAME = "{account}_CloudTrail_{region}_{day}T0820Z_{tail}.json.gz"


def key(
    day: str = "20261103", region: str = "eu-central-1", account: str = "111122223333", tail: str = "a", top: str = ""
) -> str:
    """The key of a log file as CloudTrail makes them."""
    name = NAME.format(account=account, region=region, day=day, tail=tail)
    return f"{top}AWSLogs/{account}/CloudTrail/{region}/{day[:4]}/{day[4:6]}/{day[6:]}/{name}"


def record(identity: str, **more: Any) -> dict[str, Any]:
    """A record of a trail."""
    common = {
        "eventVersion": "1.11",
        "eventTime": "2026-11-03T08:15:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
    }
    return {**common, "awsRegion": "eu-central-1", "eventID": identity, "userIdentity": {"type": "Root"}, **more}


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    """moto's server."""
    with Aws() as aws:
        yield aws


@pytest.fixture
def aws(server: Aws) -> Aws:
    """AWS with nothing in it but buckets."""
    server.clear()
    return server


@pytest.fixture
def engine() -> Iterator[TestEngine]:
    """An embedded engine with the templates of CloudTrail and AWS Config."""
    with OsmemServer.start(japanese=False) as server:
        engine = TestEngine(server.url, real=False)
        engine.install("cloudtrail", *index_template.CONFIG)
        yield engine


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory, and a place for states, that are this test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def backfill(engine: TestEngine | None, what: str, *arguments: str, aws: Aws | None = None) -> Run:
    """Run the command."""
    to = ("--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix) if engine else ()
    return run("backfill", what, *to, *arguments, "--output", "json", env=aws.environment if aws else {})


def chosen(aws: Aws, what: str = f"s3://{TRAIL}", **wanted: Any) -> tuple[list[str], Selection]:
    """The keys that a selection finds, and what it counted."""
    selection = Selection(Range(wanted.pop("since", None), wanted.pop("until", NOW)), **wanted)
    return [found.ref.key for found in find(source(what), selection, lambda: aws.s3, NOW)], selection


def test_a_range_accounts_and_regions_choose_objects(aws: Aws) -> None:
    """By the time in an object's name, whatever stands before AWSLogs; listings skip folders that cannot hold any."""
    early, late, far = key("20261103"), key("20261110"), key("20261110", region="us-east-1")
    other = key("20261110", account="444455556666", top="o-a1b2c3d4e5/")
    for one in (early, late, far, other):
        aws.put(b"x", one)
    assert sorted(chosen(aws)[0]) == sorted([early, late, far, other])
    assert chosen(aws, since=datetime(2026, 11, 5, tzinfo=UTC))[0].count(early) == 0
    assert chosen(aws, until=datetime(2026, 11, 5, tzinfo=UTC))[0] == [early]
    assert chosen(aws, accounts=frozenset({"444455556666"}))[0] == [other]
    assert chosen(aws, regions=frozenset({"us-east-1"}))[0] == [far]
    keys, selection = chosen(
        aws, f"s3://{TRAIL}/AWSLogs/", since=datetime(2026, 11, 10, 8, 20, tzinfo=UTC), regions=frozenset({"eu-central-1"})
    )
    assert keys == [late]
    assert selection.left_out == {}


def test_folders_of_aws_config_are_written_without_zeros(aws: Aws) -> None:
    """2026/9/5 is the fifth of September."""
    name = "111122223333_Config_eu-central-1_ConfigHistory_AWS::S3::Bucket_20260905T060000Z_20260905T061000Z_1.json.gz"
    there = f"AWSLogs/111122223333/Config/eu-central-1/2026/9/5/ConfigHistory/{name}"
    aws.put(b"x", there)
    assert chosen(aws, since=datetime(2026, 9, 5, tzinfo=UTC), until=datetime(2026, 9, 6, tzinfo=UTC))[0] == [there]
    assert chosen(aws, since=datetime(2026, 9, 8, tzinfo=UTC))[0] == []
    assert chosen(aws, of="config")[0] == [there]
    assert chosen(aws, of="cloudtrail")[0] == []


def test_what_is_no_log_file_is_left_out_and_counted(aws: Aws) -> None:
    """Digests, folders, foreign files; and what names no account where accounts are asked for."""
    aws.put(b"", "AWSLogs/")
    aws.put(b"x", key().replace("/CloudTrail/", "/CloudTrail-Digest/"))
    aws.put(b"x", "notes.txt")
    aws.put(b"x", "old/dump.json.gz")
    assert chosen(aws)[0] == ["old/dump.json.gz"]
    assert chosen(aws)[1].left_out == {"folder marker": 1, "CloudTrail digest": 1, "not a log file (.gz)": 1}
    assert chosen(aws, accounts=frozenset({"111122223333"}))[0] == []
    assert chosen(aws, accounts=frozenset({"111122223333"}))[1].left_out["another account, or none in its key"] == 1


def test_objects_of_a_bucket_are_indexed_as_replay_and_a_second_run_has_nothing_to_do(aws: Aws, engine: TestEngine) -> None:
    """Counts add up; with --restart everything is a duplicate; quarantine goes to the bucket that is named."""
    aws.put_records([record("one"), record("two")], key(tail="a"))
    aws.put_records([record("three"), "no record"], key(tail="b"))
    aws.put(b"no gzip", key(tail="c"))
    first = backfill(engine, f"s3://{TRAIL}", "--quarantine-bucket", QUARANTINE, aws=aws)
    assert first.code == 1, first
    assert first.document["objects"] == {"found": 3, "done": 3, "done_before": 0, "returned": 0, "left": 0, "quarantined": 1}
    assert first.document["records"] == {"read": 4, "indexed": 3, "duplicates": 0, "filtered": 0, "quarantined": 1, "returned": 0}
    assert len(aws.quarantined()) == 2
    assert engine.count() == 3
    assert engine.value("one", "ct.ingestMode") == "replay"
    assert engine.value("one", "ct.bucket") == TRAIL
    again = backfill(engine, f"s3://{TRAIL}", "--quarantine-bucket", QUARANTINE, aws=aws)
    assert (again.code, again.document["objects"]["done_before"], again.document["records"]["read"]) == (0, 3, 0)
    anew = backfill(engine, f"s3://{TRAIL}", "--quarantine-bucket", QUARANTINE, "--restart", aws=aws)
    assert anew.document["records"]["duplicates"] == 3
    assert engine.count() == 3


def test_a_folder_is_indexed_with_exclusion_rules_and_quarantine_beside_it(engine: TestEngine, tmp_path: Path) -> None:
    """Keys are paths below it; nothing is asked of AWS."""
    place = tmp_path / "logs" / key()
    place.parent.mkdir(parents=True)
    place.write_bytes(gzip.compress(json.dumps({"Records": [record("a"), record("b", eventName="Noise"), 7]}).encode()))
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"name": "noise", "match": {"eventName": "Noise"}}]))
    done = backfill(engine, "logs", "--rules", str(rules), "--bucket", "my-trail-bucket")
    assert done.code == 1, done
    assert done.document["records"] == {"read": 3, "indexed": 1, "duplicates": 0, "filtered": 1, "quarantined": 1, "returned": 0}
    engine.refresh()
    assert engine.value("a", "ct.bucket") == "my-trail-bucket"
    assert engine.value("a", "ct.key") == key()
    (kept,) = (tmp_path / "audit-search-quarantine").rglob("*.ndjson.gz")
    assert json.loads(gzip.decompress(kept.read_bytes()))["raw"] == "7"


def test_a_configuration_history_becomes_versions(aws: Aws, engine: TestEngine) -> None:
    """An object of AWS Config takes the way of its function."""
    item = {
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": "2026-11-03T05:00:00.000Z",
        "configurationStateId": 1,
        "awsAccountId": "111122223333",
        "configurationItemStatus": "OK",
        "resourceType": "AWS::S3::Bucket",
        "resourceId": "b",
        "awsRegion": "eu-central-1",
        "configuration": {"name": "b"},
    }
    name = "111122223333_Config_eu-central-1_ConfigHistory_AWS::S3::Bucket_20261103T060000Z_20261103T061000Z_1.json.gz"
    aws.put(
        gzip.compress(json.dumps({"fileVersion": "1.0", "configurationItems": [item]}).encode()),
        f"AWSLogs/111122223333/Config/eu-central-1/2026/11/3/ConfigHistory/{name}",
        CONFIG,
    )
    done = backfill(engine, f"s3://{CONFIG}", aws=aws)
    assert (done.code, done.document["records"]["indexed"]) == (0, 1), done
    assert any("config-history" in index for index in engine.indices())


def test_snapshots_and_oversized_items_become_versions(aws: Aws, engine: TestEngine) -> None:
    """A version that both hold is there once; what is no item is quarantined under the object's name."""
    aws.bucket(CONFIG_BUCKET)
    put_items(aws, item("vol-1"), item("vol-2"), "no item", kind="ConfigSnapshot")
    large = f"{folder()}/OversizedChangeNotification/AWS::EC2::Volume/vol-3/one.json.gz"
    aws.put(gzip.compress(json.dumps(change(item("vol-3", configuration={"size": 9}))).encode()), large, CONFIG_BUCKET)
    aws.put(b"", f"AWSLogs/{ACCOUNT}/Config/ConfigWritabilityCheckFile", CONFIG_BUCKET)
    done = backfill(engine, f"s3://{CONFIG_BUCKET}", "--quarantine-bucket", QUARANTINE, aws=aws)
    assert done.code == 1, done
    assert done.document["objects"]["done"] == 2
    assert done.document["records"] == {"read": 4, "indexed": 3, "duplicates": 0, "filtered": 0, "quarantined": 1, "returned": 0}
    assert done.document["left_out"] == {"AWS Config writability check": 1}
    versions = {one["resourceId"]: one for one in family(engine, "config-history")}
    assert {name: one["cfg"]["source"] for name, one in versions.items()} == {
        "vol-1": "snapshot",
        "vol-2": "snapshot",
        "vol-3": "oversized",
    }
    assert versions["vol-3"]["cfg"]["key"] == large
    assert {one["cfg"]["ingestMode"] for one in versions.values()} == {"replay"}
    assert sorted(names(family(engine, "config-current"))) == ["vol-1", "vol-2", "vol-3"]
    (kept,) = aws.quarantined()
    assert "ConfigSnapshot" in kept["key"]
    put_items(aws, item("vol-1"), item("vol-3", configuration={"size": 9}), kind="ConfigSnapshot", name="two")
    again = backfill(engine, f"s3://{CONFIG_BUCKET}", "--quarantine-bucket", QUARANTINE, aws=aws).document
    assert (again["objects"]["done"], again["records"]["duplicates"], again["records"]["indexed"]) == (1, 2, 0)


def test_what_is_older_than_retention_is_filtered(engine: TestEngine, tmp_path: Path) -> None:
    """As the functions do, for what they would write is deleted at once."""
    place = tmp_path / "logs" / "old.json.gz"
    place.parent.mkdir()
    place.write_bytes(gzip.compress(json.dumps({"Records": [record("a", eventTime="2015-03-01T00:00:00Z")]}).encode()))
    kept = ("backfill", "logs", "--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix, "--output", "json")
    assert run(*kept, env={"RETENTION_DAYS": "90"}).document["records"]["filtered"] == 1
    assert run(*kept, "--restart", env={}).document["records"]["indexed"] == 1


def test_a_person_at_a_terminal_sees_a_bar_and_the_result_stays_clean(engine: TestEngine, tmp_path: Path) -> None:
    """How many objects of how many, and how many records, on stderr alone."""
    place = tmp_path / "logs"
    place.mkdir()
    for number in range(3):
        (place / f"{number}.json.gz").write_bytes(trail_object([record(f"{number}-a"), record(f"{number}-b")]))
    person, terminal = pty.openpty()
    program = [sys.executable, "-c", "from audit_search_cli.main import main; main()"]
    to = ["--endpoint", engine.endpoint, "--auth", "none", "--prefix", engine.prefix, "--output", "json"]
    shown: list[bytes] = []
    with subprocess.Popen(
        [*program, "backfill", "logs", *to],
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # the terminal's other end is gone
            while part := os.read(person, 10_000):
                shown.append(part)
        out, _ = process.communicate()
    os.close(person)
    assert process.returncode == 0
    assert json.loads(out)["records"]["indexed"] == 6
    assert "3/3 6 records" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(shown).decode())


def test_a_dry_run_estimates_and_writes_nothing(aws: Aws, tmp_path: Path) -> None:
    """Events by what a sample of objects holds; no engine is needed."""
    for number in range(40):
        aws.put_records([record(f"{number}-{one}") for one in range(3)], key(tail=f"{number:02}"))
    shown = backfill(None, f"s3://{TRAIL}", "--dry-run", aws=aws)
    assert shown.code == 0, shown
    found = shown.document
    assert (found["objects"], found["sampled_objects"], found["unreadable_in_sample"]) == (40, 20, 0)
    assert 100 <= found["events"] <= 140
    assert found["s3_usd"] > 0
    assert found["functions"]["lambda_usd"] > 0
    text = run("backfill", f"s3://{TRAIL}", "--dry-run", env=aws.environment).out
    assert "40 objects" in text
    assert " events and 0 configuration items (by 20 objects that were read)." in text
    assert "By the functions of a stack: about " in text
    assert "Assumed:\n" in text
    assert "Nothing was written (--dry-run)." in text
    assert list(tmp_path.iterdir()) == []


def test_an_engine_without_templates_is_told_in_one_line_and_nothing_is_done(aws: Aws) -> None:
    """The next run does it all."""
    aws.put_records([record("one")], key())
    with OsmemServer.start(japanese=False) as server:
        bare = TestEngine(server.url, real=False)
        refused = backfill(bare, f"s3://{TRAIL}", aws=aws)
        assert refused.code == 3, refused
        assert "index template" in refused.line
        bare.install()
        assert backfill(bare, f"s3://{TRAIL}", aws=aws).document["objects"]["done"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["s3://"], "names no bucket"),
        (["s3://No_Bucket/x"], "names no bucket"),
        (["nowhere"], "does not exist"),
        (["/dev/null"], "is no folder"),
        (["s3://trail-bucket", "--bucket", "x-y-z"], "--bucket is for a folder"),
        ([".", "--bucket", "No"], "--bucket is 'No'"),
        ([".", "--since", "03/04/2026"], "could be two days"),
        ([".", "--since", "1h", "--until", "2h"], "is not before --until"),
        ([".", "--accounts", "12"], "'12' is no account (12 digits)"),
        ([".", "--accounts", "111122223333,"], "'' is no account"),
        ([".", "--regions", "EU"], "'EU' is no region"),
        ([".", "--processes", "0"], "--processes"),
        (["."], "No engine is named"),
        ([".", "--endpoint", "http://127.0.0.1:9", "--connect-to", "localhost:9"], "does not go through --connect-to"),
        ([".", "--endpoint", "http://127.0.0.1:9", "--auth", "none", "--rules", "rules.json"], "EXCLUSION_RULES is not JSON"),
        ([".", "--endpoint", "http://127.0.0.1:9", "--auth", "none", "--quarantine-bucket", "No"], "QUARANTINE_BUCKET is 'No'"),
        ([".", "--endpoint", "http://127.0.0.1:9", "--auth", "none", "--state", "rules.json"], "is no state of a backfill"),
        ([".", "--endpoint", "http://127.0.0.1:9", "--auth", "none", "--state", "rules.json", "--restart"], "is no state"),
    ],
)
def test_wrong_use_is_told_in_one_line(arguments: list[str], says: str) -> None:
    """What, where and what to do; a file that is no state is left as it is, even by --restart."""
    Path("rules.json").write_text("not JSON\nand torn")
    refused = run("backfill", *arguments, env={})
    assert refused.code == 2, refused
    assert says in refused.line
    assert Path("rules.json").read_text() == "not JSON\nand torn"


def test_a_state_is_read_back_without_its_torn_last_line(tmp_path: Path) -> None:
    """Only what was written whole counts, and it can be added to."""
    path = tmp_path / "folder" / "state.jsonl"
    with State(path, {"source": "a"}) as state:
        state.add({"one": "1", "two": "2"}, {"read": 3})
        state.add({"three": "3"}, {"read": 1})
    whole = path.read_bytes()
    for cut in range(whole.rfind(b"\n", 0, -1) + 1, len(whole)):
        path.write_bytes(whole[:cut])
        with State(path, {"source": "a"}) as state:
            assert (state.done, state.counts) == ({"one": "1", "two": "2"}, {"read": 3})
            state.add({"three": "3"}, {"read": 1})
        assert path.read_bytes() == whole
    path.write_bytes(whole[:20])
    with State(path, {"source": "a"}) as state:
        assert state.done == {}


def test_a_state_of_the_first_format_is_read(tmp_path: Path) -> None:
    """It has keys without marks, which are done whatever the objects are now; what is added to it has marks."""
    path = tmp_path / "state.jsonl"
    path.write_text('{"format":1,"of":{"source":"a"}}\n{"done":["one"],"counts":{"read":2}}\n')
    with State(path, {"source": "a"}) as state:
        assert (state.has("one", "x"), state.has("two", "x"), state.counts["read"]) == (True, False, 2)
        state.add({"two": "x"}, {})
    with State(path, {"source": "a"}) as state:
        assert state.done == {"one": "", "two": "x"}
        assert (state.has("two", "x"), state.has("two", "y")) == (True, False)


def test_an_object_that_was_overwritten_since_is_read_again(aws: Aws, engine: TestEngine, tmp_path: Path) -> None:
    """By its ETag; in a folder by its date and size. What it held before is there already."""
    aws.put_records([record("one")], key(tail="a"))
    aws.put_records([record("two")], key(tail="b"))
    assert backfill(engine, f"s3://{TRAIL}", aws=aws).document["objects"]["done"] == 2
    aws.put_records([record("one"), record("more")], key(tail="a"))
    again = backfill(engine, f"s3://{TRAIL}", aws=aws).document
    assert (again["objects"]["done"], again["objects"]["done_before"]) == (1, 1)
    assert (again["records"]["indexed"], again["records"]["duplicates"]) == (1, 1)
    place = tmp_path / "logs" / "a.json.gz"
    place.parent.mkdir()
    place.write_bytes(trail_object([record("three")]))
    assert backfill(engine, "logs").document["objects"]["done"] == 1
    assert backfill(engine, "logs").document["objects"]["done"] == 0
    place.write_bytes(trail_object([record("three"), record("four")]))
    assert backfill(engine, "logs").document["records"]["indexed"] == 1


def test_a_state_of_something_else_or_in_use_is_refused(tmp_path: Path) -> None:
    """Neither is mixed; --restart begins anew."""
    path = tmp_path / "state.jsonl"
    with State(path, {"source": "a"}) as held:
        held.add({"one": "1"}, {"read": 1})
        with pytest.raises(Exception, match="Another backfill is using"), State(path, {"source": "a"}):
            pass
    with pytest.raises(Exception, match="is the state of another backfill \\(source a\\)"), State(path, {"source": "b"}):
        pass
    with State(path, {"source": "b"}, restart=True) as anew:
        assert anew.done == {}
    assert os.stat(path).st_mode & 0o777 == 0o600
