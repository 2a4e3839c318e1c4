"""`audit-search setup`: shows what changes, changes it, keeps what it replaces, and leaves nothing half done."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from osmem_server import OsmemServer

from audit_search_cli.options import Invocation
from tests.support.alerting_endpoints import AlertingEndpoints, NotificationEndpoints
from tests.support.aws import ENVIRONMENT, Aws
from tests.support.building import free_port
from tests.support.cli import Run, ScriptedEngine, run
from tests.support.dashboards_server import DashboardsServer
from tests.support.engine_front import Asked, EngineFront, Verdict
from tests.support.engines import TestEngine

ROLE = "arn:aws:iam::123456789012:role/domain-admin"


@pytest.fixture
def front() -> Iterator[EngineFront]:
    """An empty embedded engine behind a front that sees each request."""
    with OsmemServer.start(japanese=False) as server, EngineFront(server.url) as standing:
        yield standing


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def setup(front: EngineFront, *arguments: str) -> Run:
    """Run the command on the engine behind the front."""
    return run("setup", "--endpoint", front.endpoint, "--auth", "none", "--prefix", "t-", *arguments, env={})


def test_a_dry_run_shows_the_plan_and_writes_nothing(front: EngineFront, folder: Path) -> None:
    """Neither to the engine nor to the disk."""
    shown = setup(front, "--dry-run")
    assert shown.code == 0, shown
    text = " ".join(shown.out.split())
    assert "index template t-cloudtrail create" in text
    assert "1 to change; nothing was changed (--dry-run)." in text
    assert front.writes == []
    assert list(folder.iterdir()) == []


def test_what_is_missing_is_made_and_a_second_run_changes_nothing(front: EngineFront, folder: Path) -> None:
    """No backup, for nothing was replaced."""
    first = setup(front, "--output", "json")
    assert first.code == 0, first
    assert first.document["applied"]
    assert first.document["counts"]["create"] == 1
    front.asked.clear()
    second = setup(front)
    assert second.code == 0
    assert "Everything is as it should be: nothing to change." in second.out
    assert front.writes == []
    assert list(folder.iterdir()) == []


def test_what_is_replaced_is_kept_in_a_file(front: EngineFront, folder: Path) -> None:
    """In a folder of this moment, or in the one that is named; the table says what differs."""
    setup(front)
    before = TestEngine(front.behind, real=False, prefix="t-").get("/_index_template/t-cloudtrail")
    shown = setup(front, "--refresh-interval", "30s")
    assert shown.code == 0
    assert "What differs in index template t-cloudtrail:\n  template.settings.index.refresh_interval\n" in shown.out
    (made,) = folder.iterdir()
    assert made.name.startswith("audit-search-backup-2")
    (file,) = made.iterdir()
    assert json.loads(file.read_text("utf-8")) == before["index_templates"][0]["index_template"]
    again = setup(front, "--refresh-interval", "20s", "--backup-dir", "kept", "--output", "json")
    (path,) = again.document["backups"].values()
    assert Path(path).is_file()
    assert Path(path).parent.name == "kept"


def test_what_somebody_else_made_is_not_touched(front: EngineFront, folder: Path) -> None:
    """Nothing at all is changed then, and the exit code is 1."""
    engine = TestEngine(front.behind, real=False, prefix="t-")
    engine.put("/_index_template/t-cloudtrail", {"index_patterns": ["t-cloudtrail-2*"], "template": {}})
    shown = setup(front)
    assert shown.code == 1
    text = " ".join(shown.out.split())
    assert "Nothing was changed: index template t-cloudtrail stands in the way." in text
    assert front.writes == []


def test_wrong_settings_are_all_named_in_one_line(front: EngineFront) -> None:
    """Nothing is asked of the engine."""
    wrong = setup(front, "--shards", "many", "--refresh-interval", "soon", "--writer-role-arns", "arn:aws:sts::1:x")
    assert wrong.code == 2
    for said in ("SHARDS is 'many'", "REFRESH_INTERVAL is 'soon'", "WRITER_ROLE_ARNS is"):
        assert said in wrong.line
    assert front.asked == []


def refusing(method: str, status: int, answer: Any) -> Any:
    """A rule that answers every request of a method."""

    def rule(asked: Asked) -> Verdict:
        return (status, answer) if asked.method == method else None

    return rule


def test_a_refusal_is_explained_and_is_exit_code_3(front: EngineFront, folder: Path) -> None:
    """Before anything is changed, and in the middle of it: then it is said that a second run does the rest."""
    iam = {"Message": f"User: {ROLE} is not authorized to perform: es:ESHttpGet"}
    front.rules.append(refusing("GET", 403, iam))
    refused = setup(front)
    assert refused.code == 3
    assert "Amazon refuses" in refused.line
    front.rules[:] = [refusing("PUT", 403, {"message": "no permissions for [x] and User [name=a, backend_roles=[b]]"})]
    half = setup(front)
    assert half.code == 3
    first, second = half.err.splitlines()
    assert first.startswith("The set-up ended early and is not complete. Run it again")
    assert "fine-grained access control refuses a" in second


def test_an_engine_that_is_not_there_is_exit_code_3() -> None:
    """With a guess what it could be."""
    gone = run("setup", "--endpoint", f"http://127.0.0.1:{free_port()}", "--auth", "none", env={})
    assert gone.code == 3
    assert "refuses the connection. Is the port right, and the tunnel open?" in gone.line


def test_ctrl_c_takes_effect_between_two_changes(front: EngineFront, folder: Path) -> None:
    """The one in hand is finished, the next is not begun; its backup is there."""
    setup(front)
    engine = TestEngine(front.behind, real=False, prefix="t-")
    engine.put("/t-cloudtrail-2026.11/_doc/a", {"eventName": "x"})
    front.asked.clear()

    def pressed(asked: Asked) -> Verdict:
        if asked.method == "PUT" and asked.path.startswith("/_index_template"):
            os.kill(os.getpid(), signal.SIGINT)
        return None

    front.rules.append(pressed)
    stopped = setup(front, "--refresh-interval", "30s")
    assert stopped.code == 130
    assert "Done: 1 of 2 changed." in stopped.out
    assert "The set-up ended early and is not complete. Run it again" in stopped.err
    assert len(list(folder.glob("audit-search-backup-*/*"))) == 1
    assert [asked.path for asked in front.writes] == ["/_index_template/t-cloudtrail"]
    front.rules.clear()
    assert "Done: 1 of 1 changed." in setup(front, "--refresh-interval", "30s").out


def test_a_role_that_is_named_signs_the_requests(aws: Aws) -> None:
    """It is assumed with the caller's credentials."""
    version = {"version": {"number": "2.19.4", "distribution": "opensearch"}}
    with ScriptedEngine(lambda asked: (200, version) if asked.path == "/" else (403, {})) as server:
        run("setup", "--endpoint", server.endpoint, "--domain-admin-role-arn", ROLE, "--dry-run", env=aws.environment)
        run("setup", "--endpoint", server.endpoint, "--dry-run", env=aws.environment)
    keys = [asked.headers["Authorization"].split("Credential=")[1].split("/")[0] for asked in server.asked]
    assert keys[0] != ENVIRONMENT["AWS_ACCESS_KEY_ID"]
    assert keys[-1] == ENVIRONMENT["AWS_ACCESS_KEY_ID"]
    assert "X-Amz-Security-Token" in server.asked[0].headers


def test_a_role_that_only_the_stack_names_need_not_let_us_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be for the stack's functions alone; one that was named by hand has to."""
    said = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>"
    with ScriptedEngine(lambda _asked: (403, said)) as server:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}.items():
            monkeypatch.setenv(name, value)
        invocation = Invocation(environ={})
        invocation.settings = {"OPENSEARCH_ENDPOINT": "https://a.example", "DOMAIN_ADMIN_ROLE_ARN": ROLE}
        assert invocation.engine_session is invocation.session
        assert "may not be assumed" in capsys.readouterr().err
        named = run(
            *("setup", "--endpoint", "https://a.example", "--domain-admin-role-arn", ROLE),
            env={**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint},
        )
    assert named.code == 3
    assert "Let the role that you use call AssumeRole" in named.line


def test_the_dashboards_are_imported_and_edits_are_kept_in_a_file(front: EngineFront, folder: Path) -> None:
    """The file is one that Dashboards imports; the summary says which object was edited."""
    dashboards = DashboardsServer()
    front.rules.append(dashboards)
    first = setup(front, "--output", "json")
    assert {change["kind"]: change["action"] for change in first.document["changes"]}["saved objects"] == "create"
    dashboards.edit("dashboard", "t-audit-search-overview", title="Ours")
    shown = setup(front)
    assert shown.code == 0
    assert "What differs in saved objects t-audit-search:\n  dashboard t-audit-search-overview: edited\n" in shown.out
    (file,) = folder.glob("audit-search-backup-*/*")
    assert "saved objects t-audit-search: 1 edited; 1 of 1 imported" in shown.out
    assert (file.suffix, json.loads(file.read_text("utf-8"))["attributes"]["title"]) == (".ndjson", "Ours")
    assert "Everything is as it should be" in setup(front).out


def test_dashboards_of_its_own_address_are_imported_there(front: EngineFront, folder: Path) -> None:
    """Self-managed, Dashboards is another server than the engine; without its address nothing of it is found."""
    without = setup(front)
    assert (without.code, "name it with --dashboards-url" in " ".join(without.out.split())) == (0, True)
    server = DashboardsServer(base="")
    with EngineFront() as apart:
        apart.rules.append(server)
        assert setup(front, "--dashboards-url", apart.endpoint + "/").code == 0
        assert {asked.headers["host"] for asked in apart.asked} == {apart.endpoint.removeprefix("http://")}
    assert ("dashboard", "t-audit-search-overview") in server.objects
    assert "is no URL" in setup(front, "--dashboards-url", "here").line


def test_who_wants_no_dashboards_says_so(front: EngineFront, folder: Path) -> None:
    """By the option or the variable: nothing is asked of them."""
    front.rules.append(DashboardsServer())
    shown = setup(front, "--no-dashboards", "--output", "json")
    assert "saved objects" not in {change["kind"] for change in shown.document["changes"]}
    assert not [asked for asked in front.asked if asked.path.startswith("/_dashboards")]
    again = run("setup", "--endpoint", front.endpoint, "--auth", "none", "--prefix", "t-", env={"DASHBOARDS": "false"})
    assert "Everything is as it should be" in again.out
    assert not [asked for asked in front.asked if asked.path.startswith("/_dashboards")]


def test_the_monitors_are_made_and_edits_are_kept_in_a_file(front: EngineFront, folder: Path) -> None:
    """With a topic there is a channel too; the table names each, and what was edited is in the folder of this moment."""
    plugins = AlertingEndpoints()
    front.rules += [plugins, NotificationEndpoints()]
    topic = ("--alert-topic-arn", "arn:aws:sns:eu-central-1:123456789012:alerts")
    shown = setup(front, *topic)
    text = " ".join(shown.out.split())
    assert shown.code == 0, shown
    assert "notification channel t-cloudtrail-alerts create" in text
    assert "monitor t-cloudtrail-sign-in-failures create" in text
    plugins.named("sign-in-failures")["enabled"] = False
    edited = setup(front, *topic)
    assert "What differs in monitor t-cloudtrail-sign-in-failures: enabled" in " ".join(edited.out.split())
    (kept,) = folder.rglob("*sign-in-failures*.json")
    assert json.loads(kept.read_text("utf-8"))["enabled"] is False
    assert plugins.named("sign-in-failures")["enabled"] is True


def test_without_the_plugin_the_table_says_what_is_left_out(front: EngineFront, folder: Path) -> None:
    """Bursts are told to nobody, and that is no error."""
    shown = setup(front)
    assert shown.code == 0
    assert "monitor t-cloudtrail-* leave out bursts (rules with a threshold) are told to nobody here" in " ".join(
        shown.out.split()
    )
