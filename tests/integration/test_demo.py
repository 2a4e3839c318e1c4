"""The demo as a person runs it: a program of its own, with the embedded engine, moto's S3 and the real handler."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from generate import INSTANCE, counts, sample_objects

from audit_search import index_template

ROOT = Path(__file__).parents[2]
REAL_EVENTS = ROOT.parent / "shared" / "data" / "cloudtrail"
REAL_CONFIG = ROOT.parent / "shared" / "data" / "config"
ENDINGS = ("indexed", "duplicates", "filtered", "quarantined", "returned")
SEARCHES = ["failed_calls", "console_sign_ins", "touched_instance", "free_text", "top_callers"]
TIMEOUT = 240


def environment(temporary: Path, **settings: str) -> dict[str, str]:
    """The developer's environment without what concerns AWS or the demo, and a folder for what it leaves behind."""
    ours = ("AWS_", "OPENSEARCH_", "INDEX_", "POWERTOOLS_", "KEEP", "FILES", "CONFIG_FILES", "OUTPUT", "CALLED_FROM", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "TMPDIR": str(temporary), **settings}


def demo(temporary: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment(temporary, **settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def the_json(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object that has to be all of stdout."""
    assert finished.stdout.count("\n") == 1, finished.stdout + finished.stderr
    answer: dict[str, Any] = json.loads(finished.stdout)
    assert answer["read"] == sum(answer[name] for name in ENDINGS)
    return answer


def written(path: Path, *records: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))


def answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(endpoint, timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


def test_sample_objects_as_json(tmp_path: Path) -> None:
    """The counts are what the generator of the samples says, and each search finds something."""
    finished = demo(tmp_path, OUTPUT="json")
    assert finished.returncode == 0, finished.stderr
    answer = the_json(finished)
    expected = counts(sample_objects())
    assert {name: answer[name] for name in ("read", *ENDINGS, "skipped_objects", "failed_objects")} == {
        "read": expected.read,
        "indexed": expected.indexed,
        "duplicates": expected.duplicates,
        "filtered": 0,
        "quarantined": expected.quarantined,
        "returned": 0,
        "skipped_objects": expected.skipped_objects,
        "failed_objects": 0,
    }
    assert [search["name"] for search in answer["searches"]] == SEARCHES
    assert all(search["hits"] > 0 for search in answer["searches"]), answer["searches"]
    assert INSTANCE in answer["searches"][2]["query"]
    config = answer["config"]
    assert config["read"] == sum(config[name] for name in ENDINGS)
    assert (config["indexed"], config["duplicates"], config["quarantined"], config["returned"]) == (24, 84, 9, 0)
    assert (config["foreign"], config["handed_on"], config["skipped"], config["refused_files"]) == (3, 2, 1, 0)
    assert config["documents"] == {"history": 24, "current": 11, "events": config["events"]}
    assert config["requests"] < config["read"]
    assert [(search["name"], search["hits"]) for search in config["searches"]] == [
        ("life", 7),
        ("relationships", 4),
        ("most_changed", 21),
    ]
    assert config["searches"][1]["until"] == "2026-11-12T16:14:05.410Z"
    the_story(answer["story"])
    assert not list(tmp_path.iterdir())


def the_story(told: list[dict[str, Any]]) -> None:
    """Each question has its answer: why the call failed, who opened the group and how, what became of the server."""
    assert [question["exit_code"] for chapter in told for question in chapter["questions"]] == [0] * 7
    failed, opened, gone = ([question["answer"] for question in chapter["questions"]] for chapter in told)
    assert failed[0]["event"]["error"] == "Client.UnauthorizedOperation"
    assert "no identity-based policy allows ec2:RunInstances" in failed[0]["meaning"][0]["text"]
    found, who, changed = opened
    (event,) = found["Events"]
    assert (event["EventName"], event["Username"]) == ("AuthorizeSecurityGroupIngress", "bob")
    assert f"--alert {told[1]['alert']}" in told[1]["questions"][0]["command"]
    (act,) = who["changes"]
    assert act["event"] == event["EventId"]
    assert [(one["before"], one["after"]) for one in changed["altogether"]] == [
        (None, "ingress tcp 22 from 0.0.0.0/0"),
        (None, "ingress tcp 22 from ::/0"),
    ]
    by, before, after = gone
    assert by["changes"][0]["api"] == "ec2:TerminateInstances"
    assert len(before["resources"]) == 7
    assert {one["resource"]: one["mark"] for one in after["resources"] if one.get("mark") in ("removed", "changed")} == {
        INSTANCE: "removed",
        "vol-0c7d6e5f403120918": "removed",
        "vol-0d6e5f40312091827": "changed",
    }


def test_sample_objects_for_a_person(tmp_path: Path) -> None:
    """The text says what will happen, where each record ended, what lies in quarantine, the answers, and the stories."""
    # What a reader's own machine may be set to, and what must not matter.
    theirs = {"AWS_PROFILE": "not-there", "AWS_REGION": "nowhere", "HTTP_PROXY": "http://127.0.0.1:9", "POWERTOOLS_DEV": "1"}
    finished = demo(tmp_path, COLUMNS="120", **theirs)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    text = finished.stdout
    assert text.startswith("Audit Search demo: ")
    for part, read in zip(text.split("What AWS Config sent"), ("records read", "items read"), strict=True):
        found = re.findall(r"^(\w[\w ]*?) {2,}([\d,]+) ", part, re.MULTILINE)
        ended = {name: int(number.replace(",", "")) for name, number in found}
        assert ended[read] == sum(ended[name] for name in ENDINGS) > 0
    assert text.count("not_an_object") == 3
    assert len(re.findall(r"^\d\. .+\?$", text, re.MULTILINE)) == 8 == text.count("   query  ")
    for answer in ("Client.UnauthorizedOperation", "Failed authentication", "ec2:TerminateInstances", "not authorized to"):
        assert answer in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("   query", "   $"))) <= 120
    assert text.count("\n   $ audit-search ") == 7
    for told in (
        "Denied: no identity-based policy allows ec2:RunInstances",
        "The alert security-group-opened-to-the-world (high, tier ticket) was raised",
        "Configuration.IpPermissions: nothing -> ingress tcp 22 from 0.0.0.0/0",
        "who: shop-frontend (source identity)",
        "- AWS::EC2::Instance i-0a1b2c3d4e5f60718 [deleted], removed",
    ):
        assert told in text


if REAL_EVENTS.is_dir():

    def test_real_events(tmp_path: Path) -> None:
        """Of 2,451 records that really happened none is rejected or lost; six are there twice."""
        finished = demo(tmp_path, OUTPUT="json", FILES=str(REAL_EVENTS))
        assert finished.returncode == 0, finished.stderr
        answer = the_json(finished)
        assert {name: answer[name] for name in ("read", *ENDINGS, "skipped_objects", "failed_objects")} == {
            "read": 2451,
            "indexed": 2445,
            "duplicates": 6,
            "filtered": 0,
            "quarantined": 0,
            "returned": 0,
            "skipped_objects": 1,
            "failed_objects": 0,
        }
        assert all(search["hits"] > 0 for search in answer["searches"]), answer["searches"]


if REAL_CONFIG.is_dir():

    def test_real_messages_and_items(tmp_path: Path) -> None:
        """Of 31 messages, seven objects and 25 bare items nothing is quarantined; what they name and is not here is told."""
        finished = demo(tmp_path, OUTPUT="json", CONFIG_FILES=str(REAL_CONFIG))
        assert finished.returncode == 0, finished.stderr
        config = the_json(finished)["config"]
        assert config["read"] == sum(config[name] for name in ENDINGS) > 100
        assert (config["quarantined"], config["returned"], config["refused_files"]) == (0, 0, 0)
        assert config["indexed"] == config["documents"]["history"] > 40
        assert config["only_summaries"] == 1
        assert all(search["hits"] > 0 for search in config["searches"])


def test_ones_own_messages_objects_and_items(tmp_path: Path) -> None:
    """Whatever of AWS Config lies in a folder comes in as what it is; what is none of it is named, and nothing is skipped."""
    item = {
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": "2026-11-20T10:00:00.000Z",
        "configurationStateId": 1,
        "accountId": "123456789012",
        "configurationItemStatus": "OK",
        "resourceType": "AWS::EC2::Volume",
        "resourceId": "vol-1",
        "awsRegion": "eu-central-1",
        "configuration": '{"size":8}',
    }
    message = {"messageType": "ConfigurationItemChangeNotification", "notificationCreationTime": "2026-11-20T10:00:01Z"}
    files = {
        "bare.json": item,
        "list.json": [item | {"resourceId": "vol-2"}, item | {"resourceId": "vol-3"}],
        "answer.json": {"baseConfigurationItems": [item | {"resourceId": "vol-4"}]},
        "message.json": message | {"configurationItem": item | {"resourceId": "vol-5"}, "configurationItemDiff": None},
        "sns.json": {
            "Type": "Notification",
            "TopicArn": "arn:aws:sns:eu-central-1:123456789012:config",
            "Message": json.dumps(message | {"configurationItem": item | {"resourceId": "vol-6"}, "configurationItemDiff": None}),
        },
        "bridge.json": {
            "detail-type": "Config Configuration Item Change",
            "source": "aws.config",
            "detail": message | {"configurationItem": item | {"resourceId": "vol-7"}, "configurationItemDiff": None},
        },
        "event.json": {
            "Records": [
                {"messageId": "m", "body": json.dumps(message | {"configurationItem": item | {"resourceId": "vol-8"}})},
            ]
        },
        "foreign.json": {"AlarmName": "x"},
        "words.json": ["a", "b"],
        "trail.json": {"Records": [{"eventVersion": "1.11"}]},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "broken.json").write_text("{")
    inner = {"fileVersion": "1.0", "configurationItems": [item | {"resourceId": "vol-9"}]}
    (tmp_path / "history.json.gz").write_bytes(gzip.compress(json.dumps(inner).encode()))
    (tmp_path / "truncated.json.gz").write_bytes(gzip.compress(b"{}")[:-9])
    (tmp_path / "notes.txt").write_text("not read")
    finished = demo(tmp_path, OUTPUT="json", CONFIG_FILES=str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    config = the_json(finished)["config"]
    assert (config["read"], config["indexed"], config["foreign"]) == (9, 9, 1)
    assert (config["refused_files"], config["failed_objects"]) == (3, 1)
    assert config["documents"]["current"] == 9
    shown = demo(tmp_path, CONFIG_FILES=str(tmp_path / "*.json"))
    for reason in (
        "it is not JSON",
        "a list of something else",
        "give it to FILES",
        "1. Which resources",
        "1 message that is not",
    ):
        assert reason in " ".join(shown.stdout.split()), reason


def test_a_kept_engine_serves_as_the_users_own(tmp_path: Path) -> None:
    """With KEEP=1 the engine outlives the demo; a second run against it leaves its template alone and adds nothing."""
    written(tmp_path / "in" / "one.json.gz", {"eventID": "1", "eventTime": "2026-11-01T00:00:00Z", "eventName": "A"})
    first = demo(tmp_path, OUTPUT="json", KEEP="1", FILES=str(tmp_path / "in"))
    assert first.returncode == 0, first.stderr
    kept = the_json(first)
    try:
        assert f"kill {kept['pid']}" in first.stderr
        second = demo(tmp_path, OUTPUT="json", OPENSEARCH_ENDPOINT=kept["endpoint"], FILES=str(tmp_path / "in"))
        assert "left as it is" in second.stderr
        assert (the_json(second)["indexed"], the_json(second)["duplicates"]) == (0, 1)
        assert answers(kept["endpoint"])
    finally:
        os.kill(kept["pid"], signal.SIGTERM)


def test_broken_objects_and_hostile_text(tmp_path: Path) -> None:
    """An object that cannot be read is counted and explained, its neighbours are indexed, and no escape is printed."""
    files = tmp_path / "in"
    hostile = {"eventID": "1", "eventTime": "2026-11-01T00:00:00Z", "eventName": "\x1b[31mRed", "errorCode": "\x1b]0;title\x07"}
    written(files / "deeper" / "hostile.json.gz", hostile)
    (files / "text.json.gz").write_text("no gzip at all")
    (files / "notes.txt").write_text("not an object")
    finished = demo(tmp_path, FILES=str(files))
    assert finished.returncode == 0, finished.stderr
    assert "2 objects = 1 read to their end + 0 skipped + 1 failed" in finished.stdout
    assert "not-gzip" in finished.stdout
    assert "Red" in finished.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", finished.stdout)
    log = re.search(r"What the function logged: (\S+)", finished.stdout)
    assert log is not None
    assert "not-gzip" in Path(log[1]).read_text()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"FILES": "no/such/folder/*.json.gz"}, "matches no *.gz file"),
        ({"CONFIG_FILES": "no/such/folder"}, "CONFIG_FILES=no/such/folder matches no *.json or *.gz file"),
        ({"KEEP": "perhaps"}, "KEEP is 'perhaps'"),
        ({"OPENSEARCH_ENDPOINT": "localhost:9200"}, "must be a URL"),
        ({"OPENSEARCH_ENDPOINT": "http://127.0.0.1:9"}, "No engine answers at http://127.0.0.1:9 (connection refused)"),
        ({"OPENSEARCH_ENDPOINT": "http://127.0.0.1:9", "OPENSEARCH_AUTH": "basic"}, "needs a password"),
        ({"INDEX_PREFIX": "Upper"}, "INDEX_PREFIX is 'Upper'"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    """What the reader can mend is said in one line with a hint; stdout stays empty and the exit code is 1."""
    finished = demo(tmp_path, OUTPUT="json", **settings)
    assert (finished.returncode, finished.stdout) == (1, "")
    errors = [line for line in finished.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert expected in errors[0]
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_stops_the_engine(tmp_path: Path, stop: signal.Signals) -> None:
    """A signal ends the demo without a traceback, and with it everything that it has started, KEEP=1 or not."""
    ours, theirs = socket.socketpair()
    # A narrow pipe that is not read to its end holds the demo up, so that it cannot be done before the signal comes.
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    running = subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment(tmp_path, KEEP="1"),
        stdin=subprocess.DEVNULL,
        stdout=theirs.fileno(),
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    with ours, running:
        text = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+(?=;)", text)):
            received = ours.recv(64)
            assert received, text
            text += received.decode()
        assert answers(found[0])
        running.send_signal(stop)
        _, trouble = running.communicate(timeout=TIMEOUT)
        assert running.returncode == 128 + stop
        assert trouble == "Stopped: whatever the demo had started has ended.\n"
        assert not answers(found[0])


class _Refusing(BaseHTTPRequestHandler):
    """An engine whose disk is full: it answers everything but writes nothing."""

    def do_GET(self) -> None:
        template = {"name": "cloudtrail", "index_template": index_template.definition()}
        self._answer({"version": {"number": "2.19.4", "distribution": "opensearch"}, "index_templates": [template]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"] or 0))
        if self.path.startswith("/_bulk"):
            reason = "index [cloudtrail] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];"
            self._answer({"error": {"type": "cluster_block_exception", "reason": reason}, "status": 403}, 403)
        else:
            self._answer({"hits": {"total": {"value": 0}, "hits": []}})

    def _answer(self, body: object, status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        return


@pytest.fixture
def refusing_engine() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_engine_that_takes_nothing(tmp_path: Path, refusing_engine: str) -> None:
    """Records that the engine does not take are counted as returned, the cause is named, and the exit code is 1."""
    written(tmp_path / "in" / "one.json.gz", {"eventID": "1", "eventTime": "2026-11-01T00:00:00Z"}, {"eventID": "2"})
    finished = demo(tmp_path, OUTPUT="json", OPENSEARCH_ENDPOINT=refusing_engine, FILES=str(tmp_path / "in"))
    assert finished.returncode == 1
    answer = the_json(finished)
    assert (answer["read"], answer["returned"]) == (2, 2)
    assert "Error: " in finished.stderr
    assert "cluster_block_exception" in finished.stderr
