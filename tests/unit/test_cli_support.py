"""`audit-search support`: what goes to AWS Support is whole, and no secret is in it; the samples' answers are kept."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_search_cli.commands.support import Answer, document_of, files_of
from audit_search_cli.questions import support as library
from audit_search_cli.questions.chains import Chain
from audit_search_cli.questions.events import Event
from audit_search_cli.questions.items import Resource, Version
from audit_search_cli.questions.places import Place
from audit_search_cli.questions.support import Around, Case
from tests.support import estate, incidents
from tests.support.cli import run
from tests.support.engines import TestEngine
from tests.support.incidents import ACCOUNT, call, denied, session, user, version
from tests.support.questions import SHARED, Engines, ask, asked, assert_kept, fill, records
from tests.unit.test_cli_resources import OBJECTS

SCENARIOS: dict[str, tuple[str, ...]] = {
    "support": ("support", "adcab733-08c0-4d45-a25d-d489104a45f0", "6c2067d3-c860-434d-84bd-bcd0f6e128a5", "no-such-event"),
    "support-json": ("support", "c502caff-86a9-4965-9d6b-fb853978d21f", "--output", "json"),
    "support-none": ("support", "RunInstances"),
}
"""The questions whose whole answers are kept; `pytest --renew-golden` writes them anew."""

PASSWORD, TOKEN, AUTHORIZATION = "Tr0ub4dor&3-horse", "IQoJb3JpZ2luX2VjEHoaCWV1LXdlc3Qt", "az0f1e2d3c4b5a69"
KEY = "ASIAEXAMPLE00SESSN"
HOSTILE = '\x1b]0;x\x07\u202e<b>"'
DATABASE = "prod-db"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"


def happened() -> list[dict[str, Any]]:
    """Calls with secrets in them, of a session whose beginning is known, and what tries to trick a terminal."""
    alice, deploy = user("alice"), session("deploy", "run-7", KEY)
    given = {"credentials": {"accessKeyId": KEY, "sessionToken": TOKEN, "expiration": "Nov 20, 2026, 10:00:00 AM"}}
    change = {"dBInstanceIdentifier": DATABASE, "masterUserPassword": PASSWORD, "policy": json.dumps({"sessionToken": TOKEN})}
    weak = denied(f"The password {PASSWORD} is too weak {HOSTILE}", "InvalidParameterValue")
    text = f"User: {deploy['arn']} is not authorized to perform: kms:Decrypt (authorization id: {AUTHORIZATION})"
    encoded = f"You are not authorized. Encoded authorization failure message: {incidents.CODED}"
    return [
        call("begun", "08:00:00", "sts:AssumeRole", alice, requestParameters={"roleArn": ROLE}, responseElements=given),
        call("weak", "09:00:00", "rds:ModifyDBInstance", deploy, requestParameters=change, **weak),
        call("refused", "09:10:00", "kms:Decrypt", deploy, sharedEventID="shared-1", **denied(text)),
        call("coded", "09:20:00", "ec2:StartInstances", deploy, **denied(encoded, "Client.UnauthorizedOperation")),
        call("../../evil", "09:30:00", "ec2:StopInstances", alice, requestID=f"request {HOSTILE}"),
        call("again", "09:40:00", "s3:GetObject", alice, requestID="request-begun"),
    ]


def recorded() -> list[dict[str, Any]]:
    """Versions of the database before, at, and after the call, with a secret, and one of another account's."""

    def one(identity: str, time: str, size: int, **more: Any) -> dict[str, Any]:
        configuration = {"allocatedStorage": size, "masterUserPassword": PASSWORD}
        item = {"resourceId": DATABASE, "configuration": configuration, "configurationItemStatus": "OK"}
        kind = "AWS::RDS::DBInstance"
        return version(identity, time, kind, DATABASE, configuration=json.dumps(configuration), raw=json.dumps(item), **more)

    other = {"awsAccountId": incidents.OTHER, "cfg": {"resource": f"{incidents.OTHER}|x|AWS::RDS::DBInstance|{DATABASE}"}}
    return [
        one("item-old", "07:00:00", 10),
        one("item-before", "08:59:00", 20),
        one("item-other", "08:59:30", 25, **other),
        one("item-after", "09:01:00", 30),
        one("item-late", "09:30:00", 40),
    ]


@pytest.fixture(scope="module")
def engine(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """The made-up account."""
    found = engines.new()
    incidents.put(found, happened(), tmp_path_factory.mktemp("files"), recorded())
    return found


@pytest.fixture(scope="module")
def samples(samples: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """Every sample, of AWS Config as well."""
    estate.index(samples, OBJECTS, tmp_path_factory.mktemp("files"))
    return samples


def zipped(path: Path) -> dict[str, str]:
    """The texts of a zip file by their names."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def assert_no_secret(text: str, *secrets: str) -> None:
    """Assert that a text has none of the secrets, and nothing that a terminal obeys."""
    for secret in (PASSWORD, TOKEN, AUTHORIZATION, incidents.CODED, *secrets):
        assert secret not in text
    assert not set(text) & set("\x1b\x07\u202e\x7f")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_answer_is_the_one_that_is_kept(samples: TestEngine, name: str, pytestconfig: pytest.Config) -> None:
    """What a person or a script sees of the samples, to the last sign."""
    assert_kept(samples, name, SCENARIOS[name], pytestconfig.getoption("--renew-golden"))


def test_everything_that_a_case_needs_is_told(engine: TestEngine) -> None:
    """The caller down to the first identity, where, what, the error, the ids, and the time."""
    found = asked(engine, "support", "weak")["events"][0]
    assert [found[name] for name in ("account", "region", "api", "error", "request_id", "event_id", "time")] == [
        ACCOUNT,
        incidents.REGION,
        "rds:ModifyDBInstance",
        "InvalidParameterValue",
        "request-weak",
        "weak",
        "2026-11-20T09:00:00+00:00",
    ]
    caller = found["caller"]
    assert (caller["role"], caller["access_key_id"]) == (ROLE, KEY)
    assert (caller["person"], caller["chain"][1]["event"]) == ("alice", "begun")
    assert found["from"]["source"] == incidents.HOME
    assert [one["name"] for one in found["resources"]] == [DATABASE]
    assert found["raw"]["requestParameters"]["dBInstanceIdentifier"] == DATABASE


def test_the_items_are_the_nearest_before_and_after(engine: TestEngine) -> None:
    """Of the event's own account, each as AWS Config wrote it."""
    items = asked(engine, "support", "weak")["events"][0]["items"]
    assert [(one["before"]["item"], one["after"]["item"]) for one in items] == [("item-before", "item-after")]
    assert items[0]["before"]["content"]["configuration"]["allocatedStorage"] == 20
    assert items[0]["after"]["content"]["configuration"]["allocatedStorage"] == 30


def test_no_secret_is_in_any_of_what_is_given(engine: TestEngine, tmp_path: Path) -> None:
    """On stdout, as JSON, and in each file; what was masked is said, and what stays is there."""
    target = tmp_path / "case.zip"
    question = ("support", "weak", "refused", "coded", "begun", "../../evil")
    shown = ask(engine, *question, "--zip", str(target))
    assert (shown.code, shown.err) == (0, "")
    whole = zipped(target)
    for text in (shown.out, ask(engine, *question, "--output", "json").out, *whole.values(), *whole):
        assert_no_secret(text)
    said = "Masked: 4 values (1 authorization id, 1 encoded message, 1 password, 1 session token). Not masked: ids of accounts"
    assert said in shown.out
    masked = json.loads(whole["manifest.json"])["masked"]
    assert {"event_id": "weak", "where": "raw.requestParameters.masterUserPassword", "kind": "password"} in masked["places"]
    assert {"event_id": "weak", "where": "raw.requestParameters.policy.sessionToken", "kind": "session token"} in masked["places"]
    assert masked["kinds"] == {
        "authorization id": 1,
        "encoded message": 1,
        "password": 1,
        "session token": 1,
    }
    for needed in (ACCOUNT, KEY, "request-weak", "shared-1", ROLE):
        assert needed in shown.out
    assert "The password [masked: password] is too weak" in shown.out


def test_unmasked_gives_each_record_as_it_was_written(engine: TestEngine, tmp_path: Path) -> None:
    """Nothing is masked, and that is said; a terminal obeys nothing all the same."""
    target = tmp_path / "case.zip"
    shown = ask(engine, "support", "weak", "coded", "--unmasked", "--zip", str(target))
    assert "Nothing is masked" in shown.out
    assert PASSWORD in shown.out
    assert incidents.CODED in shown.out
    assert not set(shown.out) & set("\x1b\x07\u202e")
    whole = zipped(target)
    assert json.loads(whole["events/weak.json"]) == next(one for one in happened() if one["eventID"] == "weak")
    assert json.loads(whole["manifest.json"])["masked"] is None
    document = asked(engine, "support", "weak", "--unmasked")
    assert document["events"][0]["raw"]["requestParameters"]["masterUserPassword"] == PASSWORD


def test_the_zip_file_holds_all_of_it(engine: TestEngine, tmp_path: Path) -> None:
    """The text that is printed, each event, each item, and a manifest that fits them; no path leads out."""
    target = tmp_path / "case.zip"
    shown = ask(engine, "support", "weak", "../../evil", "--zip", str(target))
    whole = zipped(target)
    kind = "AWS__RDS__DBInstance"
    assert list(whole) == [
        "case.txt",
        "events/weak.json",
        f"items/weak/{kind}-{DATABASE}.before.json",
        f"items/weak/{kind}-{DATABASE}.after.json",
        "events/__.._evil.json",
        "manifest.json",
    ]
    assert shown.out.startswith(whole["case.txt"])
    assert json.loads(whole[f"items/weak/{kind}-{DATABASE}.before.json"])["configuration"]["allocatedStorage"] == 20
    manifest = json.loads(whole["manifest.json"])
    assert manifest["events"] == ["weak", "../../evil"]
    for name, text in whole.items():
        if name != "manifest.json":
            content = text.encode()
            assert manifest["files"][name] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    first = target.read_bytes()
    assert ask(engine, "support", "weak", "../../evil", "--zip", str(target), "--force").code == 0
    assert target.read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["case.zip"]


def test_a_file_that_is_there_stays(engine: TestEngine, tmp_path: Path) -> None:
    """Unless it is to be replaced; a place that cannot be written to is said before anything is asked."""
    target = tmp_path / "case.zip"
    target.write_text("mine")
    shown = ask(engine, "support", "weak", "--zip", str(target))
    assert shown.code == 2
    assert shown.line == f"{target} exists already. Name another file, or let it be replaced with --force."
    assert target.read_text() == "mine"
    for place, what in ((tmp_path, "is a folder"), (tmp_path / "none" / "case.zip", "its folder does not exist")):
        nowhere = ("--endpoint", "http://127.0.0.1:9", "--auth", "none")
        refused = run("support", "weak", "--zip", str(place), "--force", *nowhere, env={})
        assert refused.code == 2
        assert what in refused.line


def test_the_id_of_a_request_means_its_events(engine: TestEngine) -> None:
    """All that share it, each event once."""
    found = asked(engine, "support", "request-begun", "again")["events"]
    assert [one["event_id"] for one in found] == ["again", "begun"]


def test_an_id_that_is_not_found_is_said_and_the_others_are_answered(engine: TestEngine) -> None:
    """With what was recorded at all."""
    shown = ask(engine, "support", "no-such-event", "coded")
    assert (shown.code, shown.err) == (0, "")
    assert "No event found: no-such-event.\nRecorded: 6 events" in shown.out
    assert "1. Event coded" in shown.out
    document = asked(engine, "support", "no-such-event", "coded")
    assert [one["event_id"] for one in document["not_found"]] == ["no-such-event"]
    assert document["not_found"][0]["Coverage"].startswith("Recorded: 6 events")
    assert len(document["events"]) == 1


def test_a_resource_that_aws_config_does_not_know_is_named(engine: TestEngine) -> None:
    """It is no silent gap."""
    shown = asked(engine, "support", "begun")["events"][0]
    assert shown["items"] == []
    assert "AWS Config has recorded nothing of" in ask(engine, "support", "begun").out


def test_resources_that_are_not_shown_are_said(engines: Engines, tmp_path: Path) -> None:
    """Those whose name several have, and those that are too many."""
    engine = engines.new()
    group = {"groupName": "default"}
    many = {"instancesSet": {"items": [{"instanceId": f"i-{number:017x}"} for number in range(25)]}}
    calls = [
        call("group", "09:00:00", "ec2:DeleteSecurityGroup", user("alice"), requestParameters=group),
        call("many", "09:00:00", "ec2:StopInstances", user("alice"), requestParameters=many),
    ]
    kind = "AWS::EC2::SecurityGroup"
    items = [version(f"item-{number}", "08:00:00", kind, f"sg-{number}", resourceName="default") for number in range(5)]
    incidents.put(engine, calls, tmp_path, items)
    shown = ask(engine, "support", "group", "many").out
    assert "AWS Config knows several resources as default; none of them is shown." in shown
    assert "5 further resources of the event were not looked for." in shown
    found = asked(engine, "support", "group", "many")["events"]
    assert (found[0]["several_items"], found[0]["items"], found[1]["resources_left_out"]) == (["default"], [], 5)
    assert len(found[1]["no_items"]) == 20


def secretive(secret: str, other: str, where: str) -> Case:
    """An event with a secret at one place, a text of somebody's choice around it, and an item that repeats the secret."""
    fields: dict[str, dict[str, Any]] = {
        "request": {"requestParameters": {"masterUserPassword": secret, other: other}},
        "response": {"responseElements": {"credentials": {"sessionToken": secret}}, "userAgent": other},
        "text": {"requestParameters": {"document": json.dumps({"clientSecret": secret, "x": other})}},
        "message": denied(f"{other} (authorization id: {secret})"),
        "encoded": denied(f"{other} Encoded authorization failure message: {secret}"),
    }
    record = call("one", "09:00:00", "rds:ModifyDBInstance", user(f"dana{other}"), requestID=other, **fields[where])
    when = datetime(2026, 11, 20, 9, tzinfo=UTC)
    event = Event("one", "index", 0, when, json.dumps(record), {"caller": other, "outcome": "failure"})
    item = Version(
        "item", "index", {"configuration": {"repeated": f"<{secret}>"}, "configurationItemCaptureTime": when.isoformat()}
    )
    around = Around(Resource(ACCOUNT, incidents.REGION, other, "id"), item, item)
    return Case(event, Chain(unverified=other), Place(other, "certain"), other, [around])


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.text("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789_-", min_size=10, max_size=40).map("S{}3".format),
    st.text(st.sampled_from("ab:=\"'\\{}[]%?&;,\n\x1b\u202e <>/."), max_size=12),
    st.sampled_from(("request", "response", "text", "message", "encoded")),
)
def test_no_secret_survives_in_any_output(secret: str, other: str, where: str) -> None:
    """Whatever stands around it: not in the text, not in JSON, not in a file of the zip or in its name."""
    documents = [library.plain(secretive(secret, other, where))]
    assert secret in json.dumps(documents)
    masked = library.without_secrets(documents)
    answer = Answer(masked.document, [], masked)
    files = files_of(answer, [])
    for text in (json.dumps(document_of(answer)), *files, *files.values()):
        assert secret not in text
        assert not set(text) & set("\x1b\u202e")


def test_real_denials_are_told_without_their_messages(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every public sample that was denied with an encoded message: its ids are there, the message is not."""
    if not SHARED.exists():
        return
    engine = engines.new()
    fill(engine, SHARED, tmp_path_factory.mktemp("files"))
    wanted = "Encoded authorization failure message: "
    encoded = {
        identity: str(record["errorMessage"]).rpartition(wanted)[2]
        for identity, record in records(SHARED).items()
        if wanted in str(record.get("errorMessage"))
    }
    chosen = sorted(encoded)[:12]
    assert chosen
    shown = ask(engine, "support", *chosen)
    assert shown.code == 0
    assert_no_secret(shown.out, *(encoded[identity].split()[0].rstrip(".") for identity in chosen))
    for identity in chosen:
        assert f"Event id: {identity}" in shown.out
