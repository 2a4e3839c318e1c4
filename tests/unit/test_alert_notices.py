"""What people and programs are told of an alert: complete, short, and nothing in it that a log could steer a reader with."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from audit_search.alerts import matching, notices
from audit_search.alerts.notices import Event, Notice
from audit_search.alerts.topic import BATCH, Topic
from audit_search.dashboards import saved_objects

RULE = matching.deployed().by_name["trail-stopped"]
DOCUMENT: dict[str, Any] = {
    "eventTime": "2026-11-03T08:14:22Z",
    "eventSource": "cloudtrail.amazonaws.com",
    "eventName": "StopLogging",
    "recipientAccountId": "111122223333",
    "awsRegion": "eu-central-1",
    "sourceIPAddress": "198.51.100.7",
    "userAgent": "aws-cli/2.31.0",
    "errorCode": "AccessDenied",
    "errorMessage": "User: arn:aws:iam::111122223333:user/morgan is not authorized",
    "resources": [{"ARN": "arn:aws:cloudtrail:eu-central-1:111122223333:trail/main"}],
    "ct": {"caller": "morgan", "identity": "arn:aws:iam::111122223333:user/morgan", "outcome": "failure"},
}
EVENT = Event.of("e-1", "cloudtrail-2026.11", DOCUMENT)
HOSTILE = "a\x1b[31mred\r\nSubject: you won\u202e\u2066\ud800\x00 https://evil.example/?x=1 " + "x" * 10_000


def test_programs_are_told_everything() -> None:
    """Who, what, where, when, with what outcome, and what to do, under an id that stays the same."""
    notice = Notice(RULE, EVENT, "https://search/_dashboards/app/discover")
    texts = json.loads(notice.message())
    assert texts.keys() == {"default", "email", "sms"}
    assert json.loads(texts["default"]) == {
        "version": 1,
        "kind": "event",
        "id": "e-1:trail-stopped",
        "rule": "trail-stopped",
        "title": RULE.title,
        "severity": "critical",
        "tier": "page",
        "who": {"caller": "morgan", "identity": "arn:aws:iam::111122223333:user/morgan", "userAgent": "aws-cli/2.31.0"},
        "what": {
            "eventName": "StopLogging",
            "eventSource": "cloudtrail.amazonaws.com",
            "resources": ["arn:aws:cloudtrail:eu-central-1:111122223333:trail/main"],
        },
        "where": {"account": "111122223333", "region": "eu-central-1", "sourceIPAddress": "198.51.100.7"},
        "when": "2026-11-03T08:14:22Z",
        "outcome": "failure",
        "error": {"code": "AccessDenied", "message": "User: arn:aws:iam::111122223333:user/morgan is not authorized"},
        "means": RULE.means,
        "do": RULE.do,
        "link": "https://search/_dashboards/app/discover",
        "event": {"id": "e-1", "index": "cloudtrail-2026.11"},
    }
    assert RULE.title
    assert RULE.means
    assert RULE.do


def test_people_read_lines() -> None:
    """An e-mail says the same in lines, with what to do and the link; its subject says the most important."""
    notice = Notice(RULE, EVENT, "https://search/x")
    assert notice.subject == "[page] trail-stopped: morgan in 111122223333, eu-central-1"
    assert json.loads(notice.message())["email"] == "\n".join(
        [
            f"{RULE.title} (page, critical; rule trail-stopped)",
            "",
            "When     2026-11-03T08:14:22Z",
            "Who      morgan (arn:aws:iam::111122223333:user/morgan)",
            "What     StopLogging (cloudtrail.amazonaws.com)",
            "On       arn:aws:cloudtrail:eu-central-1:111122223333:trail/main",
            "Result   AccessDenied: User: arn:aws:iam::111122223333:user/morgan is not authorized",
            "Account  111122223333",
            "Region   eu-central-1",
            "From     198.51.100.7",
            "With     aws-cli/2.31.0",
            "",
            RULE.means,
            "",
            f"What to do: {RULE.do}",
            "",
            "The event: https://search/x",
            "",
            "Id: e-1:trail-stopped",
            "",
        ]
    )


def test_subscriptions_can_filter() -> None:
    """By severity, tier, rule, account and region; SNS takes no empty value."""
    assert Notice(RULE, EVENT).attributes == {
        "severity": "critical",
        "tier": "page",
        "rule": "trail-stopped",
        "account": "111122223333",
        "region": "eu-central-1",
    }
    assert set(Notice(RULE, Event.of("e", "i", {})).attributes.values()) == {"critical", "page", "trail-stopped", "unknown"}


@pytest.mark.parametrize("name", ["eventName", "sourceIPAddress", "userAgent", "errorMessage", "recipientAccountId", "eventTime"])
def test_third_party_text_is_cut_and_cleaned(name: str) -> None:
    """No control or direction characters, no line breaks, no endless text, no address that can be clicked on."""
    document = {**DOCUMENT, name: HOSTILE, "ct": {"caller": HOSTILE, "identity": HOSTILE, "outcome": "failure"}}
    notice = Notice(RULE, Event.of("e", "i", document))
    message = notice.message()
    message.encode()
    assert len(message) < 10_000
    for text in (notice.subject, *json.loads(message).values()):
        assert all(char.isprintable() or char == "\n" for char in text)
    mail = notice.mail()
    assert "https://" not in mail
    assert "\nSubject" not in mail
    assert len(notice.subject) <= 100
    assert notice.subject.isascii()
    assert re.fullmatch(r"[^\r\n]+", notice.subject)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"ct": None, "resources": "x", "eventTime": 5, "errorMessage": {"a": [1]}},
        {"resources": [None, {"ARN": {"a": 1}}, {"ARN": ""}], "ct": {"caller": ["x"]}, "recipientAccountId": True},
    ],
)
def test_a_document_of_any_shape_is_told(document: dict[str, Any]) -> None:
    """Whatever a record holds in the place of a text."""
    notice = Notice(RULE, Event.of("e", "i", document))
    assert json.loads(json.loads(notice.message())["default"])["id"] == "e:trail-stopped"
    assert notices.age(notice.event, datetime(2026, 11, 3, tzinfo=UTC)) == timedelta()


def test_an_id_is_never_too_long() -> None:
    """The engine takes 512 bytes; a longer one becomes its hash, which stays the same."""
    long = Notice(RULE, replace(EVENT, id="é" * 250))
    assert re.fullmatch("sha256-[0-9a-f]{64}", long.id)
    assert long.id == Notice(RULE, replace(EVENT, id="é" * 250)).id != Notice(RULE, replace(EVENT, id="é" * 251)).id


def test_the_link_leads_to_the_event() -> None:
    """Discover, in the index pattern that the set-up imports, a quarter of an hour before and after."""
    event = replace(EVENT, id="e'1!\"\\ &")
    pattern = saved_objects.identity("acme-", "cloudtrail")
    found = notices.link("https://search.example/_dashboards/", pattern, event)
    base, _, state = found.partition("#/?")
    assert base == "https://search.example/_dashboards/app/discover"
    assert not set(state) & set(' "\\<>')
    assert state.count("&") == 1
    assert unquote(state) == (
        "_g=(time:(from:'2026-11-03T07:59:22Z',to:'2026-11-03T08:29:22Z'))"
        "&_a=(index:'acme-audit-search-cloudtrail',query:(language:lucene,query:'_id:\"e!'1!!\\\"\\\\ &\"'))"
    )
    assert notices.link("", pattern, event) == ""


def test_the_most_hostile_batch_fits_into_its_requests() -> None:
    """Each has less than the 262,144 bytes that SNS takes together; each notice has its own answer."""
    document: dict[str, Any] = dict.fromkeys(DOCUMENT, "\U0001f600" * 1_000)
    document["resources"] = [{"ARN": "\U0001f600" * 1_000}] * 20
    document["ct"] = {"caller": "\U0001f600" * 1_000, "identity": "\U0001f600" * 1_000, "outcome": "failure"}
    asked: list[list[dict[str, Any]]] = []

    class Client:
        def publish_batch(self, **request: Any) -> dict[str, Any]:
            asked.append(request["PublishBatchRequestEntries"])
            answers = {"Successful": [{"Id": "0"}], "Failed": [{"Id": "4", "Code": "InternalError", "Message": "later"}]}
            mine = {one["Id"] for one in asked[-1]}
            return {kind: [one for one in some if one["Id"] in mine] for kind, some in answers.items()}

    some = [Notice(RULE, Event.of(f"{number}", "i", document)) for number in range(BATCH)]
    answers = Topic(Client, "arn:aws:sns:eu-central-1:123456789012:alerts").publish(some)
    assert len(asked) == 4
    assert [one["Id"] for entries in asked for one in entries] == [str(number) for number in range(BATCH)]
    for entries in asked:
        attributes = (len(json.dumps(one["MessageAttributes"]).encode()) for one in entries)
        assert sum(len((one["Message"] + one["Subject"]).encode()) for one in entries) + sum(attributes) < 262_144
    assert len(answers) == BATCH
    assert answers[0] == ""
    assert answers[4].endswith("InternalError: later")
    assert all("did not say" in answer for answer in (*answers[1:4], *answers[5:]))


def test_nothing_is_published_without_notices() -> None:
    """A topic that is asked for nothing makes no client."""
    assert Topic(lambda: pytest.fail("a client was made"), "arn:aws:sns:eu-central-1:123456789012:alerts").publish([]) == []
