"""`audit-search why`: each answer about a made-up account is known beforehand; the samples' answers are kept whole."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest

from tests.support import incidents
from tests.support.aws import ENVIRONMENT
from tests.support.cli import Asked, Run, ScriptedEngine, run
from tests.support.engines import TestEngine
from tests.support.questions import Engines, ask, asked, assert_kept, to

SCENARIOS: dict[str, tuple[str, ...]] = {
    "why-limit": ("why", "a44c32a4-b989-4e5c-8d2a-eef2d1c14716"),
    "why-api": ("why", "--event-name", "RunInstances", "--until", "2026-11-21"),
    "why-dry-run": ("why", "8c4a9a9a-bc84-43ad-9c1b-884e404937eb"),
    "why-sign-in": ("why", "--event-name", "ConsoleLogin", "--caller", "alice"),
    "why-json": ("why", "eb612352-4142-43a5-9128-063657374dfc", "--output", "json"),
    "why-none": ("why", "--event-name", "RunInstnces", "--accounts", "111122223333"),
}
"""The questions whose whole answers are kept; `pytest --renew-golden` writes them anew."""


@pytest.fixture(scope="module")
def engine(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """The made-up account."""
    found = engines.new()
    incidents.put(found, incidents.everything(), tmp_path_factory.mktemp("files"), incidents.versions())
    return found


def changes(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """What changed, and the event or the item that says so."""
    return [(one["about"], one["event"] or one["item"]) for one in answer["changes"]]


def history(answer: dict[str, Any]) -> list[str]:
    """The sentences about earlier and later calls."""
    return [one["text"] for one in answer["history"]]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_answer_is_the_one_that_is_kept(samples: TestEngine, name: str, pytestconfig: pytest.Config) -> None:
    """What a person or a script sees of the samples, to the last sign."""
    assert_kept(samples, name, SCENARIOS[name], pytestconfig.getoption("--renew-golden"))


def test_what_the_caller_lost_since_the_last_success_is_found(engine: TestEngine) -> None:
    """The policy's new version, its removal and AWS Config's item, and nothing of others, of failures, or of later."""
    answer = asked(engine, "why", "bad")
    assert answer["kind"] == "denied"
    assert answer["denial"]["policy"] == "identity-based policy"
    assert answer["last_success"]["id"] == "good"
    assert changes(answer) == [
        ("resource", "rotated"),
        ("identity", "item-role"),
        ("identity", "detach"),
        ("identity", "new-version"),
    ]
    assert history(answer)[0] == (
        "The role reporter had called secretsmanager:GetSecretValue with success once before, last at 2026-11-20 08:30:00 UTC."
    )
    assert history(answer)[-1] == "The next success after it was at 2026-11-20 11:00:00 UTC."
    assert [one["events"] for one in answer["history"]] == [["good"], ["good-again"]]
    assert {"what": "source address", "before": "192.0.2.44", "now": "203.0.113.9"} in answer["differences"]


def test_who_else_has_the_error_is_counted_by_caller(engine: TestEngine) -> None:
    """The other caller's event is the evidence."""
    others = asked(engine, "why", "bad")["others"]
    assert (others["events"], others["own"]) == (2, 1)
    assert {one["caller"] for one in others["callers"]} == {"reporter/job-2", "batch/run"}
    assert [one["id"] for one in others["newest"]] == ["bad-too"]


def test_an_organisations_policy_is_looked_for_in_every_account(engine: TestEngine) -> None:
    """The policy that AWS names was changed in the management account; another policy's change is none of it."""
    answer = asked(engine, "why", "by-scp")
    assert answer["denial"]["policy_arn"] == incidents.SCP
    assert [one for one in changes(answer) if one[0] == "organisation"] == [("organisation", "scp")]
    assert history(answer)[0].startswith("No success of the role Developer with rds:CreateDBInstance was recorded")
    assert any(f"No writes to IAM of the account {incidents.OTHER}" in text for text in answer["not_known"])
    assert any("7 days before" in text for text in answer["not_known"])


def test_a_limit_shows_who_fills_it_and_that_more_was_asked_for(engine: TestEngine) -> None:
    """The same call of anybody in the account and region, not that of another region; a dry run is no success."""
    answer = asked(engine, "why", "full")
    assert answer["kind"] == "limit"
    assert [one for one in changes(answer) if one[0] == "quota"] == [("quota", "asked"), ("quota", "filled")]
    assert "A dry run at 2026-11-20 08:00:00 UTC said that the call would succeed." in history(answer)


def test_throttling_counts_the_calls_of_the_minute(engine: TestEngine) -> None:
    """By the callers that made most of them."""
    answer = asked(engine, "why", "slow")
    assert answer["kind"] == "throttled"
    assert "6 calls of tagging were recorded in this account and region: bob 5, alice 1" in answer["meaning"][-1]["text"]


def test_what_a_group_lost_its_users_lost(engine: TestEngine) -> None:
    """The groups of the caller count, those of others do not; where no policy is named, the organisation's may be it.

    An encoded message is named as what it is, and never shown."""
    answer = asked(engine, "why", "coded")
    assert changes(answer) == [("organisation", "other-scp"), ("organisation", "scp"), ("identity", "group-lost")]
    assert any("--decode" in text for text in answer["not_known"])
    shown = ask(engine, "why", "coded")
    assert incidents.CODED not in shown.out
    assert "[masked: encoded message]" in shown.out
    assert incidents.CODED not in ask(engine, "why", "coded", "--output", "json").out
    assert incidents.CODED in asked(engine, "why", "coded", "--unmasked")["event"]["message"]
    assert incidents.CODED in ask(engine, "why", "coded", "--unmasked").out


def test_a_resource_that_changed_is_found_by_its_own_name_alone(engine: TestEngine) -> None:
    """The bucket of an object counts with it, a bucket whose name begins the same does not."""
    answer = asked(engine, "why", "refused")
    assert [one for one in changes(answer) if one[0] == "resource"] == [("resource", "item-bucket"), ("resource", "policy")]


def test_the_way_counts_where_an_endpoint_is_in_it(engine: TestEngine) -> None:
    """The change of the VPC endpoint is one of the network."""
    assert ("network", "vpce") in changes(asked(engine, "why", "endpoint"))


def test_the_id_of_a_request_will_do(engine: TestEngine) -> None:
    """It is what a caller sees of a failure."""
    assert asked(engine, "why", "request-bad")["event"]["id"] == "bad"


def test_other_failures_are_listed_by_kind(engine: TestEngine) -> None:
    """The newest is explained, and each other kind has its count."""
    answer = asked(engine, "why", "--error", "AccessDeniedException", "--since", "2026-11-20")
    assert answer["event"]["id"] == "bad-too"
    assert [(one["id"], one["events"]) for one in answer["further"]] == [("bad", 1)]


def test_a_call_that_succeeded_is_said_to_have(engine: TestEngine) -> None:
    """Nothing is looked for, and nothing is invented."""
    answer = asked(engine, "why", "good")
    assert (answer["kind"], answer["changes"], answer["others"]) == ("success", [], None)
    shown = ask(engine, "why", "--event-name", "RotateSecret")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("None failed of 1 event: api RotateSecret, of any time; the newest is rotated.\nRecorded: ")
    assert asked(engine, "why", "--event-name", "RotateSecret")["events"] == 1


def test_hostile_texts_reach_no_terminal(engine: TestEngine) -> None:
    """Names and messages of others are cleaned."""
    for identity in ("refused", "endpoint"):
        shown = ask(engine, "why", identity)
        assert shown.code == 0
        assert not set(shown.out) & set("\x1b\x07\u202e")


def test_nothing_found_says_what_was_recorded(engine: TestEngine) -> None:
    """As lookup does: no error, and the line about coverage."""
    shown = ask(engine, "why", "no-such-event")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("No event found: event-id no-such-event, of any time.\nRecorded: ")
    assert asked(engine, "why", "no-such-event")["event"] is None


def test_a_code_in_the_place_of_an_id_says_how_to_ask_for_it(engine: TestEngine) -> None:
    """An API as well."""
    assert "has the event id AccessDenied; did you mean --error AccessDenied?" in ask(engine, "why", "AccessDenied").out
    assert "did you mean --event-name RunInstances?" in ask(engine, "why", "RunInstances").out


def test_without_any_question_it_says_what_to_give() -> None:
    """One line, wrong use."""
    shown = run("why", "--endpoint", "http://127.0.0.1:9", "--auth", "none", env={})
    assert shown.code == 2
    assert "Neither an event nor a filter is given" in shown.line


DECODED = {
    "allowed": False,
    "explicitDeny": True,
    "matchedStatements": {"items": [{"statementId": "NoStart", "effect": "DENY", "sourcePolicyType": "IAM Policy"}]},
    "context": {
        "principal": {"arn": f"arn:aws:iam::{incidents.ACCOUNT}:user/alice"},
        "action": "ec2:StartInstances",
        "resource": "arn:aws:ec2:eu-central-1:111122223333:instance/i-0a1b2c3d4e5f60718",
        "conditions": {"items": [{"key": "ec2:ResourceTag/stage", "values": {"items": [{"value": "prod"}]}}]},
    },
}


def decoding(engine: TestEngine, account: str, identity: str) -> tuple[Run, list[Asked]]:
    """Ask for a decoded message, with credentials of an account, and what STS was asked."""

    def answer(request: Asked) -> tuple[int, Any]:
        action = parse_qs(request.body.decode())["Action"][0]
        inner = (
            f"<Account>{account}</Account><Arn>arn:aws:iam::{account}:user/x</Arn><UserId>x</UserId>"
            if action == "GetCallerIdentity"
            else f"<DecodedMessage>{escape(json.dumps(DECODED))}</DecodedMessage>"
        )
        name = "https://sts.amazonaws.com/doc/2011-06-15/"
        return 200, f'<{action}Response xmlns="{name}"><{action}Result>{inner}</{action}Result></{action}Response>'

    with ScriptedEngine(answer) as sts:
        shown = run("why", identity, "--decode", *to(engine), env={**ENVIRONMENT, "AWS_ENDPOINT_URL_STS": sts.endpoint})
        return shown, sts.asked


def test_an_encoded_message_is_decoded_only_when_asked_for(engine: TestEngine) -> None:
    """In the account of the event: the statement, the action and the conditions are then told."""
    shown, requests = decoding(engine, incidents.ACCOUNT, "coded")
    assert shown.code == 0
    assert parse_qs(requests[1].body.decode())["EncodedMessage"] == [incidents.CODED]
    assert "Denied by a Deny statement: ec2:StartInstances on arn:aws:ec2" in shown.out
    assert "Statement NoStart IAM Policy: DENY" in shown.out
    assert "ec2:ResourceTag/stage = prod" in shown.out


def test_a_message_of_another_account_is_not_sent_to_it(engine: TestEngine) -> None:
    """The credentials' account is looked at first."""
    shown, requests = decoding(engine, incidents.OTHER, "coded")
    assert shown.code == 2
    assert f"The event is of the account {incidents.ACCOUNT}, and the credentials are of {incidents.OTHER}" in shown.line
    assert len(requests) == 1


def test_an_event_without_a_message_has_nothing_to_decode(engine: TestEngine) -> None:
    """AWS is not asked."""
    shown, requests = decoding(engine, incidents.ACCOUNT, "bad")
    assert shown.code == 2
    assert "The event has no encoded message" in shown.line
    assert requests == []
