"""`audit-search verify` on a bucket, on a folder that it exported itself, and with wrong input of every kind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws import QUARANTINE, TRAIL, Aws, Front, Stored, s3_event
from tests.support.cli import Run, deploy_function, run
from tests.support.digest_chains import CloudTrail, Trail, a_trail, some
from tests.support.engines import TestEngine
from tests.support.function import make_function

SPAN = ("--since", "2026-11-03T08:00Z", "--until", "2026-11-04T00:00Z")
S3 = f"s3://{TRAIL}"
_PROGRAM = "from audit_search_cli.main import main; main()"


@pytest.fixture
def cloudtrail() -> Iterator[CloudTrail]:
    """Who knows the public keys."""
    with CloudTrail() as cloudtrail:
        yield cloudtrail


@pytest.fixture
def environment(aws: Aws, cloudtrail: CloudTrail) -> dict[str, str]:
    """AWS, without an engine."""
    return {**aws.environment, "AWS_ENDPOINT_URL_CLOUDTRAIL": cloudtrail.endpoint}


@pytest.fixture
def with_engine(environment: dict[str, str], engine: TestEngine) -> dict[str, str]:
    """AWS and an engine."""
    own = {"OPENSEARCH_ENDPOINT": engine.endpoint, "OPENSEARCH_AUTH": "none", "INDEX_PREFIX": engine.prefix}
    return {**environment, **own}


def verify(environment: dict[str, str], *arguments: str, source: str = S3) -> Run:
    return run("verify", source, *SPAN, *arguments, env=environment)


def document(environment: dict[str, str], *arguments: str, source: str = S3) -> Any:
    return verify(environment, *arguments, "--output", "json", source=source).document


def test_files_alone_are_verified_without_an_engine(aws: Aws, environment: dict[str, str]) -> None:
    """The table has a row for each account and region, and totals."""
    a_trail(aws)
    a_trail(aws, account="444455556666")
    found = verify(environment, "--no-index")
    assert found.code == 0, found
    assert "Nothing is missing or changed. Records were not looked up." in found.out
    rows = [line.split() for line in found.out.splitlines() if line.lstrip().startswith(("1111", "4444", "all"))]
    assert [row[-3:] for row in rows] == [["4", "6", "6"], ["4", "6", "6"], ["8", "12", "12"]]


def test_damage_is_named_and_the_exit_code_is_one(aws: Aws, environment: dict[str, str]) -> None:
    """Each bad file with its state and why; JSON says the same, and its numbers add up."""
    trail = a_trail(aws)
    trail.remove(trail.files[0])
    trail.remove(trail.digests[1])
    found = verify(environment, "--no-index")
    assert found.code == 1
    assert "gone" in found.out
    assert "missing" in found.out
    said = document(environment, "--no-index")
    assert said["right"] is False
    assert [bad["key"] for bad in said["bad_files"]] == [trail.files[0]]
    assert [(bad["key"], bad["state"]) for bad in said["bad_digests"]] == [(trail.digests[1], "missing")]
    assert sum(said["files"].values()) == 6
    assert said["places"][0]["files"] == said["files"]


def test_a_lost_notification_is_found_and_repaired(
    aws: Aws,
    with_engine: dict[str, str],
    engine: TestEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What --repair indexes is marked as replay, and the next verification finds everything."""
    trail = Trail(aws)
    trail.hour([*some(2, "a"), "no record"], some(3, "b"))
    function = make_function(monkeypatch, capsys, aws, engine.endpoint, INDEX_PREFIX=engine.prefix)
    function(s3_event(Stored(TRAIL, trail.files[0])))
    engine.refresh()
    where = ("--quarantine", f"s3://{QUARANTINE}/quarantine/")
    found = document(with_engine, *where)
    assert found["records"] == {"read": 6, "indexed": 2, "filtered": 0, "quarantined": 1, "expired": 0, "missing": 3}
    assert [(bad["key"], bad["state"]) for bad in found["bad_files"]] == [(trail.files[1], "incomplete")]
    mended = verify(with_engine, "--repair", *where)
    assert mended.code == 1
    assert "1 of 1 log file: 3 records indexed" in mended.out
    engine.refresh()
    assert engine.source("b-1")["ct"]["ingestMode"] == "replay"
    again = verify(with_engine, *where)
    assert again.code == 0, again
    assert "Nothing is missing." in again.out


def test_rules_and_retention_account_for_records(
    aws: Aws,
    with_engine: dict[str, str],
    engine: TestEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """By the rules of --rules, else of the stack's function, and by RETENTION_DAYS."""
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"name": "buckets", "match": {"eventName": "ListBuckets"}}]))
    trail = Trail(aws)
    old = [{**one, "eventName": "Other", "eventTime": "2014-01-01T00:00:00Z"} for one in some(1, "old")]
    trail.hour([*some(2, "a"), *old])
    settings = {"INDEX_PREFIX": engine.prefix, "EXCLUSION_RULES": rules.read_text(), "RETENTION_DAYS": "4000"}
    make_function(monkeypatch, capsys, aws, engine.endpoint, **settings)(s3_event(Stored(TRAIL, trail.files[0])))
    found = document({**with_engine, "RETENTION_DAYS": "4000"}, "--rules", str(rules))
    assert found["records"] == {"read": 3, "indexed": 0, "filtered": 2, "quarantined": 0, "expired": 1, "missing": 0}
    assert found["right"] is True
    deploy_function(aws, "audit", {"EXCLUSION_RULES": rules.read_text()}, {"CliEnvironment": "RETENTION_DAYS=4000"})
    of_the_stack = document(with_engine, "--stack", "audit")
    assert of_the_stack["records"] == found["records"]


def test_ctrl_c_finishes_what_has_begun_and_says_what_was_not_looked_at(
    aws: Aws, environment: dict[str, str], tmp_path: Path
) -> None:
    """By a real signal, while the first log files are being read; the report is whole, and the exit code that of Ctrl-C."""
    trail = Trail(aws)
    trail.hour(*(some(1, str(number)) for number in range(60)))
    reading, go = threading.Event(), threading.Event()

    def before(method: str, key: str) -> None:
        if key in trail.files:
            reading.set()
            go.wait(60)

    front = Front(aws.endpoint)
    front.before = before
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "verify", S3, *SPAN, "--no-index", "--output", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment, "AWS_ENDPOINT_URL_S3": front.endpoint, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=tmp_path,
            start_new_session=True,
        )
        assert reading.wait(60)
        os.killpg(process.pid, signal.SIGINT)
        go.set()
        out, err = process.communicate(timeout=60)
    finally:
        front.close()
    assert (process.returncode, err) == (130, "")
    said = json.loads(out)
    assert (said["interrupted"], said["right"], sum(said["files"].values())) == (True, False, 60)
    assert said["files"]["right"] > 0
    assert said["files"]["right"] + said["files"]["unread"] == 60
    assert {bad["reason"] for bad in said["bad_files"]} == {"it was interrupted before it was looked at"}


def test_an_exported_folder_is_verified_without_aws(aws: Aws, environment: dict[str, str], tmp_path: Path) -> None:
    """Signatures and keys are in the folder; what is changed in it afterwards is found."""
    trail = a_trail(aws, start="security/")
    folder = tmp_path / "export"
    made = verify(environment, "--export", str(folder), source=f"{S3}/security")
    assert made.code == 0, made
    assert "4 digests and 6 log files" in made.out
    offline = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    said = document(offline, "--no-index", source=str(folder))
    assert (said["right"], said["digests"]["valid"], said["files"]["right"]) == (True, 4, 6)
    (folder / trail.files[0]).unlink()
    found = verify(offline, "--no-index", source=str(folder))
    assert found.code == 1
    assert trail.files[0].rpartition("_")[2] in "".join(found.out.split())


def test_an_export_of_digests_only(aws: Aws, environment: dict[str, str], tmp_path: Path) -> None:
    """Without log files these are all gone, and the digests are valid."""
    a_trail(aws)
    verify(environment, "--export", str(tmp_path / "export"), "--digests-only")
    said = document({}, "--no-index", source=str(tmp_path / "export"))
    assert (said["digests"]["valid"], said["files"]["gone"]) == (4, 6)


def test_keys_may_come_from_files(aws: Aws, environment: dict[str, str], cloudtrail: CloudTrail, tmp_path: Path) -> None:
    """Then CloudTrail is not asked."""
    a_trail(aws)
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(cloudtrail.answer("ListPublicKeys")))
    assert verify(environment, "--no-index", "--public-keys", str(path)).code == 0
    assert cloudtrail.asked == []


def test_nothing_found_is_not_right(aws: Aws, environment: dict[str, str]) -> None:
    """No digest proves nothing."""
    found = verify(environment, "--no-index")
    assert found.code == 1
    assert "No digests: is log file validation on" in found.out


def test_an_engine_that_is_not_there_ends_the_command(aws: Aws, environment: dict[str, str]) -> None:
    """In one line, with the exit code for it."""
    a_trail(aws, hours=1)
    found = verify({**environment, "OPENSEARCH_ENDPOINT": "http://127.0.0.1:9", "OPENSEARCH_AUTH": "none"})
    assert found.code == 3
    assert "refuses the connection" in found.line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify",), "Missing argument"),
        (("verify", "s3://"), "is no bucket"),
        (("verify", "no/such/folder"), "neither a bucket nor a folder"),
        (("verify", S3, "--no-index", "--accounts", "12"), "is no account (12 digits)"),
        (("verify", S3, "--no-index", "--regions", "EU"), "is no region, such as"),
        (("verify", S3, "--no-index", "--trail", "a b"), "is no name of a trail"),
        (("verify", S3, "--no-index", "--since", "nonsense"), "is no time"),
        (("verify", S3, "--no-index", "--since", "2026-11-04", "--until", "2026-11-03"), "not before --until"),
        (("verify", S3), "No engine is named"),
        (("verify", S3, "--no-index", "--repair"), "--repair needs a bucket and an engine"),
        (("verify", S3, "--no-index", "--digests-only"), "--digests-only says what --export copies"),
        (("verify", S3, "--export", "x", "--repair", "--no-index"), "--repair needs"),
        (("verify", S3, "--no-index", "--public-keys", "README.md"), "holds no public keys"),
        (("verify", S3, "--no-index", "--public-keys", "no-such-file"), "does not exist"),
    ],
)
def test_wrong_use_is_one_line(aws: Aws, environment: dict[str, str], arguments: Sequence[str], said: str) -> None:
    """What, and what to do."""
    found = run(*arguments, env=environment)
    assert found.code == 2
    assert said in found.line


def test_wrong_files_are_named(aws: Aws, with_engine: dict[str, str], tmp_path: Path) -> None:
    """A folder without signatures, signatures that are none, a folder that is no copy, rules that are none."""
    copy = tmp_path / "copy"
    assert "has no folder AWSLogs" in run("verify", str(tmp_path), "--no-index", env={}).line
    (copy / "AWSLogs").mkdir(parents=True)
    assert "signatures.json does not exist" in run("verify", str(copy), "--no-index", env={}).line
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]")
    assert "holds no signatures" in run("verify", str(copy), "--no-index", "--signatures", str(wrong), env={}).line
    assert "is not empty" in run("verify", S3, "--export", str(tmp_path), env=with_engine).line
    wrong.write_text("{")
    assert "The exclusion rules are not valid" in run("verify", S3, "--rules", str(wrong), env=with_engine).line
    assert "is no place in S3" in run("verify", S3, "--quarantine", "bucket", env=with_engine).line
    assert "INDEX_PERIOD" in run("verify", S3, env={**with_engine, "INDEX_PERIOD": "year"}).line


def test_names_are_cleaned_for_the_terminal(aws: Aws, environment: dict[str, str]) -> None:
    """A digest may list any key."""
    trail = Trail(aws)
    file = trail.deliver(some(1, "x"), trail.begin)
    trail.digest(trail.begin.replace(hour=9), [{**file, "s3Object": "a\x1b[31mb"}])
    assert "\x1b" not in verify(environment, "--no-index").out
