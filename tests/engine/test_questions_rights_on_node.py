"""Each question as a command on a node with the security plugin: the analyst's role suffices; without rights one line says so."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit_search.accounting import Counts
from audit_search.aws_config.history import Arrival
from audit_search.aws_config.items import Item, parse
from audit_search.bulk import Body
from audit_search.causes.linking import Linker
from audit_search.cloudtrail import DocumentBuilder, Policy
from audit_search.documents import Naming, Place
from audit_search.opensearch import HttpEngine
from audit_search.records import windows
from tests.engine.test_domain_security import ACCOUNT, SECURITY, Caller, Installation, Make, config_history, make, secured
from tests.support import estate, incidents
from tests.support.aws import Aws
from tests.support.cli import Run, run
from tests.support.config_world import counted
from tests.support.secured_node import SecuredNode

__all__ = ["make", "secured"]

DENIED = incidents.call("denied", "08:00:00", "ec2:RunInstances", incidents.user("bob"), **incidents.denied("no"))


@dataclass(frozen=True)
class User:
    """Somebody who signs in to the node with a password."""

    name: str
    password: str


@pytest.fixture(scope="module")
def filled(make: Make) -> Installation:
    """The made-up account, written by the functions' own roles, and linked by the linker's."""
    config = {"AWS_CONFIG": "true", "CONFIG_WRITER_ROLE_ARNS": f"{ACCOUNT}:role/config-writer"}
    found = make(**config, LINKER_ROLE_ARNS=f"{ACCOUNT}:role/linker")
    found.set_up()
    text = json.dumps({"Records": [*estate.records(), DENIED]}).encode()
    builder = DocumentBuilder(Policy(Naming(found.prefix)), Place("trails", "x.json.gz", datetime.now(UTC)), Counts())
    lines = [line for window in windows(iter([text])) for line in builder.lines(window, 0).lines]
    reply = HttpEngine(found.settings, lambda: Caller(found.node, found.writer)).bulk(Body(lines), 60)
    assert [next(iter(item.values()))["status"] for item in reply.items or []] == [201] * 4
    items = [item for one in estate.items() if isinstance(item := parse(json.dumps(one)), Item)]
    written = config_history(found).write([Arrival(item) for item in items], time.monotonic() + 60)
    assert counted(written) == {"indexed": len(items)}
    found.node.request("POST", f"/{found.prefix}*/_refresh")
    (linker,) = found.settings.linker_role_arns
    engine = HttpEngine(found.settings, lambda: Caller(found.node, linker))
    totals = Linker(engine, found.prefix, now=lambda: time.time() + 120).run(time.monotonic() + 60)
    assert (totals.read, totals.linked, totals.problem) == (len(items), len(items), "")
    found.node.request("POST", f"/{found.prefix}*/_refresh")
    return found


def _user(node: SecuredNode, *roles: str) -> Iterator[User]:
    found = User(f"u{uuid.uuid4().hex[:8]}", f"P-{uuid.uuid4()}")
    node.request("PUT", f"{SECURITY}/internalusers/{found.name}", {"password": found.password, "backend_roles": list(roles)})
    yield found
    node.request("DELETE", f"{SECURITY}/internalusers/{found.name}")


@pytest.fixture(scope="module")
def analyst(filled: Installation) -> Iterator[User]:
    """Somebody with the analyst's role, and no other."""
    yield from _user(filled.node, filled.analyst)


@pytest.fixture(scope="module")
def nobody(filled: Installation) -> Iterator[User]:
    """Somebody who may sign in and do nothing."""
    yield from _user(filled.node)


Ask = Callable[..., Run]


@pytest.fixture
def ask(filled: Installation, aws: Aws) -> Ask:
    """Runs a command as a user, whose password is in Secrets Manager."""

    def asked(user: User, *arguments: str) -> Run:
        secret = f"{user.name}-{uuid.uuid4().hex[:8]}"
        aws.secrets.create_secret(Name=secret, SecretString=json.dumps({"password": user.password}))
        sign_in = ("--auth", "basic", "--username", user.name, "--password-secret", secret)
        return run(
            *(*arguments, "--endpoint", filled.node.endpoint, *sign_in, "--prefix", filled.prefix),
            env={**aws.environment, "REQUESTS_CA_BUNDLE": str(filled.node.certificate), "COLUMNS": "120", "TZ": "UTC"},
        )

    return asked


def _first_event(shown: Any) -> Any:
    return json.loads(shown["Events"][-1]["CloudTrailEvent"])["eventID"]


QUESTIONS: dict[str, tuple[tuple[str, ...], Callable[[Any], Any], Any]] = {
    "lookup": (("lookup", "--resource", estate.GROUP), _first_event, "opened"),
    "when": (("when", "AuthorizeSecurityGroupIngress"), lambda shown: shown["events"], 1),
    "why": (("why", "denied"), lambda shown: shown["event"]["id"], "denied"),
    "support": (("support", "denied"), lambda shown: [one["event_id"] for one in shown["events"]], ["denied"]),
    "who": (("who", estate.GROUP), lambda shown: [one["event"] for one in shown["changes"]], ["ended", "tagged", "opened"]),
    "changes": (
        ("changes", estate.GROUP),
        lambda shown: [[cause["event"] for cause in one["caused_by"]["calls"]] for one in shown["changes"]][:2],
        [["ended"], ["opened", "tagged"]],
    ),
    "state": (
        ("state", estate.GROUP, "--as-of", "2026-11-20 10:00"),
        lambda shown: shown["configuration"]["groupId"],
        estate.GROUP,
    ),
    "graph": (("graph", estate.INSTANCE), lambda shown: shown["resource"]["id"], estate.INSTANCE),
    "top": (("top", "event-name", "--since", "2026-11-01"), lambda shown: len(shown["groups"]), 4),
    "stats": (("stats", "--since", "2026-11-01"), lambda shown: shown["events"], 4),
    "coverage": (("coverage",), lambda shown: shown["events"], 4),
}
"""A question as a command, what is read of its answer, and what that is."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_analyst_has_an_answer(ask: Ask, analyst: User, question: str) -> None:
    """As JSON and for people, with the role of those who search."""
    arguments, read, wanted = QUESTIONS[question]
    shown = ask(analyst, *arguments, "--output", "json")
    assert (shown.code, shown.err) == (0, ""), shown
    assert read(shown.document) == wanted, shown.out
    for_people = ask(analyst, *arguments)
    assert (for_people.code, for_people.err) == (0, "")
    assert for_people.out


def test_an_analyst_gets_the_page_of_a_graph_and_its_differences(ask: Ask, analyst: User, tmp_path: Path) -> None:
    """The HTML file is written, with two times beside each other."""
    page = tmp_path / "graph.html"
    times = ("--as-of", "2026-11-20 08:00", "--compare", "2026-11-20 10:30")
    shown = ask(analyst, "graph", estate.INSTANCE, *times, "--html", str(page))
    assert shown.code == 0, shown
    assert estate.INSTANCE in page.read_text("utf-8")


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_user_without_rights_is_told_so_in_one_line(ask: Ask, nobody: User, question: str) -> None:
    """What was refused, to whom and where to look, and no answer that would look like an empty one."""
    for output in ("text", "json"):
        shown = ask(nobody, *QUESTIONS[question][0], "--output", output)
        assert shown.code == 3, shown
        assert "HTTP 403" in shown.line
        assert f"name={nobody.name}" in shown.line
        assert "The role has to be allowed to search" in shown.line


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_wrong_password_is_told_in_one_line(ask: Ask, analyst: User, question: str) -> None:
    """The same of somebody whom the node does not know."""
    shown = ask(User(analyst.name, "wrong"), *QUESTIONS[question][0])
    assert shown.code == 3, shown
    assert "HTTP 401" in shown.line
