"""`audit-search who`: each way to a session has its answer, known beforehand; the samples' answers are kept whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit_search_cli.questions import tools
from audit_search_cli.questions.chains import Chains
from audit_search_cli.questions.events import Event
from audit_search_cli.questions.fields import asked as wanted
from tests.support import estate, incidents, sessions
from tests.support.aws import record
from tests.support.engines import TestEngine
from tests.support.questions import SHARED, Engines, ask, asked, assert_kept, events_of, fill
from tests.unit.test_cli_resources import OBJECTS, fill_estate

SCENARIOS: dict[str, tuple[str, ...]] = {
    "who-group": ("who", "sg-0f1e2d3c4b5a69788", "--until", "2026-11-21"),
    "who-instance": ("who", "i-0a1b2c3d4e5f60718", "--max-items", "3"),
    "who-json": ("who", "arn:aws:s3:::example-payroll-export", "--max-items", "1", "--output", "json"),
    "who-volume": ("who", "vol-0d6e5f40312091827"),
    "who-none": ("who", "sg-00000000000000000", "--accounts", "111122223333"),
}
"""The questions whose whole answers are kept; `pytest --renew-golden` writes them anew."""


@pytest.fixture(scope="module")
def samples(samples: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """Every sample, of AWS Config as well."""
    estate.index(samples, OBJECTS, tmp_path_factory.mktemp("files"))
    return samples


@pytest.fixture(scope="module")
def engine(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """The made-up account."""
    found = engines.new()
    incidents.put(found, sessions.everything(), tmp_path_factory.mktemp("files"), sessions.versions())
    return found


@pytest.fixture(scope="module")
def answer(engine: TestEngine) -> dict[str, Any]:
    """What is said of the security group."""
    found: dict[str, Any] = asked(engine, "who", sessions.GROUP, "--max-items", "100")
    return found


def act(answer: dict[str, Any], identity: str) -> dict[str, Any]:
    """What is said of one call."""
    (found,) = [one for one in answer["changes"] if one["event"] == identity]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_answer_is_the_one_that_is_kept(samples: TestEngine, name: str, pytestconfig: pytest.Config) -> None:
    """What a person or a script sees of the samples, to the last sign."""
    assert_kept(samples, name, SCENARIOS[name], pytestconfig.getoption("--renew-golden"))


def test_every_change_stands_once_the_newest_first(answer: dict[str, Any]) -> None:
    """Calls that failed, read or used it are apart; a group whose name begins the same is another one."""
    changes = [one["event"] for one in answer["changes"]]
    expected = {record["eventID"] for record in sessions.everything() if record["eventName"] == "AuthorizeSecurityGroupIngress"}
    assert set(changes) == expected - {"failed"}
    assert changes == sorted(changes, key=lambda one: act(answer, one)["time"], reverse=True)
    assert [one["event"] for one in answer["attempts"]] == ["failed"]
    assert [one["event"] for one in answer["uses"]] == ["used"]
    assert (answer["reads"], [(one["caller"], one["events"]) for one in answer["readers"]]) == (2, [("bob", 2)])
    assert answer["names"] == [
        sessions.GROUP,
        "web",
        f"arn:aws:ec2:{incidents.REGION}:{incidents.ACCOUNT}:security-group/{sessions.GROUP}",
    ]


def test_a_chain_goes_back_to_the_user_through_roles_and_accounts(answer: dict[str, Any]) -> None:
    """Each step has the key and the event that join it; of two accounts' events that is used which knows the caller."""
    found = act(answer, "by-chain")
    assert [(one["who"], one["joined_by"], one["event"]) for one in found["chain"]] == [
        ("session admin-1 of the role admin", "", ""),
        ("session my-laptop of the role deployer", f"access key {sessions.key('second')} from AssumeRole", "mint-2"),
        (f"user alice of {incidents.ACCOUNT}", f"access key {sessions.key('first')} from AssumeRole", "mint-1"),
    ]
    assert (found["person"], found["broken"]) == ({"name": "alice", "by": "IAM user"}, "")


def test_of_another_accounts_event_the_shared_one_is_taken(engine: TestEngine) -> None:
    """An identity that is an account alone is told by the event of that account for the same call."""
    events = events_of(engine)
    (there,) = events.by_id("mint-2-there")
    chain = Chains(events).of(there)
    assert (chain.hops[0].by, chain.hops[0].event) == ("shared event shared-1", "mint-2")
    assert (chain.person, chain.broken) == ("alice", "")


@pytest.mark.parametrize(
    ("identity", "name", "by"),
    [
        ("by-user", "bob", "IAM user"),
        ("by-source", "dana", "source identity"),
        ("by-saml", "erika@example.org", "SAML subject"),
        ("by-sso", "carlos@example.com", "Identity Center session"),
        ("by-behalf", "90671234-x", "Identity Center user"),
        ("by-root", "guard", "IAM user"),
    ],
)
def test_a_person_is_named_where_it_is_certain(answer: dict[str, Any], identity: str, name: str, by: str) -> None:
    """With the reason why it is."""
    assert act(answer, identity)["person"] == {"name": name, "by": by}


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        ("forged-sso", "no response that gave the access key"),
        ("nobody", "no response that gave the access key"),
        ("by-console", "console session"),
        ("by-forward", "forward access session: cloudformation.amazonaws.com"),
        ("by-anywhere", "Roles Anywhere"),
        ("by-pod", "EKS Pod Identity"),
        ("by-cognito", "Cognito"),
        ("by-web", "a web identity of repo:example/shop"),
        ("by-lost-root", "AssumeRoot made the session"),
        ("by-other", "AssumeRole of EC2"),
    ],
)
def test_a_broken_chain_says_why_and_names_nobody(answer: dict[str, Any], identity: str, says: str) -> None:
    """Whatever name the session was given."""
    found = act(answer, identity)
    assert says in found["broken"]
    assert found["person"] is None


def test_a_switch_of_roles_nearby_is_said_and_proves_nothing(answer: dict[str, Any]) -> None:
    """It is named with its event as unverified."""
    broken = act(answer, "by-console")["broken"]
    assert broken.endswith("unverified: bob switched to this role at about that time [switch]")


def test_a_chain_that_ends_at_a_service_ends_at_a_machine(answer: dict[str, Any]) -> None:
    """EC2 called AssumeRole for the instance: no person is behind it."""
    found = act(answer, "by-instance")
    assert (found["machine"], found["person"], found["broken"]) == (f"instance {sessions.INSTANCE}", None, "")
    assert found["chain"][-1]["who"] == "service ec2.amazonaws.com"


def test_an_address_belongs_to_what_had_it_then(answer: dict[str, Any]) -> None:
    """The elastic IP moved at half past nine; of a private address that two instances had, neither is chosen."""

    def resources(identity: str) -> list[str]:
        return [one["id"] for one in act(answer, identity)["from"]["resources"]]

    assert resources("by-instance") == [sessions.INSTANCE, "eipalloc-0aaaabbbbccccdddd"]
    assert resources("by-newer") == [sessions.NEWER, "eipalloc-0aaaabbbbccccdddd"]
    assert resources("by-other") == [sessions.NEWER]
    assert resources("by-private") == ["i-0111122223333aaaa", "i-0111122223333bbbb", "eni-0aaaabbbbccccdddd"]
    assert [act(answer, name)["from"]["certain"] for name in ("by-other", "by-private")] == [True, False]
    assert resources("by-user") == []
    assert resources("by-service") == []


def test_what_changed_stands_with_the_call_that_caused_it(answer: dict[str, Any]) -> None:
    """By the link that was stored, or by the event that AWS Config itself names; with the score and the reason."""
    (opened,) = act(answer, "by-user")["changed"]
    assert (opened["item"], opened["score"], opened["reason"]) == ("item-open", 0.97, "names the group")
    assert opened["changes"] == [{"path": "Configuration.IpPermissions.tcp 22", "before": "", "after": "0.0.0.0/0"}]
    (closed,) = act(answer, "by-source")["changed"]
    assert (closed["item"], closed["score"]) == ("item-close", 0.99)
    others = {one["event"] for one in answer["changes"] if one["changed"]}
    assert others == {"by-user", "by-source"}


def test_hostile_texts_reach_no_terminal(engine: TestEngine) -> None:
    """Names of sessions and values of resources are cleaned."""
    shown = ask(engine, "who", sessions.GROUP, "--max-items", "100")
    assert (shown.code, shown.err) == (0, "")
    assert not set(shown.out) & set("\x1b\u202e")
    assert "IpPermissions.tcp 22: nothing -> 0.0.0.0/0" in shown.out


def test_a_name_and_an_arn_mean_the_same_as_the_id(engine: TestEngine, answer: dict[str, Any]) -> None:
    """AWS Config knows the others of the three."""
    changes = [one["event"] for one in answer["changes"]]
    for name in (*answer["names"], f"security-group/{sessions.GROUP}"):
        found = asked(engine, "who", name, "--max-items", "100")
        assert [one["event"] for one in found["changes"]] == changes, name


def test_the_end_of_an_arn_means_what_its_name_means(engines: Engines, tmp_path: Path) -> None:
    """A role is in requests by its name, and by its ARN elsewhere."""
    engine = engines.new()
    request = {"roleName": "deploy"}
    made = record("made", eventName="CreateRole", eventSource="iam.amazonaws.com", requestParameters=request, readOnly=False)
    incidents.put(engine, [made], tmp_path)
    assert [one["event"] for one in asked(engine, "who", "role/ci/deploy")["changes"]] == ["made"]


def test_filters_and_a_limit_are_kept_to(engine: TestEngine) -> None:
    """The newest so many, and whether there are more."""
    found = asked(engine, "who", sessions.GROUP, "--max-items", "2", "--caller", "bob")
    assert [one["event"] for one in found["changes"]] == ["by-service", "by-user"]
    assert not found["more_changes"]
    assert asked(engine, "who", sessions.GROUP, "--max-items", "2")["more_changes"]


def test_nothing_found_says_what_was_recorded(engine: TestEngine) -> None:
    """As lookup does."""
    found = asked(engine, "who", "sg-00000000000000000")
    assert (found["changes"], found["attempts"], found["reads"]) == ([], [], 0)
    assert found["Coverage"].startswith("Recorded: ")


AGENTS = {
    "aws-cli/2.31.4 md/awscrt#0.27.6 ua/2.1 os/linux#6.1": "AWS CLI 2.31.4",
    "Boto3/1.40.61 md/Botocore#1.40.61 exec-env/AWS_Lambda_python3.13": "Boto3 1.40.61 in Lambda (python3.13)",
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.8 terraform-provider-aws/6.18.0": "Terraform AWS provider 6.18.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6)": "console",
    "signin.amazonaws.com": "console",
    "cloudformation.amazonaws.com": "cloudformation.amazonaws.com",
    "aws-sdk-go-v2/1.39.4 os/linux lang/go#1.24": "AWS SDK for go-v2 1.39.4",
    "aws-sdk-ruby2/2.9.44 ruby/2.3.1": "AWS SDK for ruby2 2.9.44",
    "Pulumi/3.1": "Pulumi 3.1",
    "something of mine": "something of mine",
    "": "",
}


@pytest.mark.parametrize("agent", AGENTS)
def test_the_tool_is_told_from_the_user_agent(agent: str) -> None:
    """In a few words; what is not known stays as it is."""
    record = incidents.call("x", "10:00:00", "ec2:RunInstances", incidents.user("bob"), userAgent=agent)
    assert tools.of(Event("x", "", 0, datetime(2026, 11, 20, tzinfo=UTC), json.dumps(record), {})) == AGENTS[agent]


def test_sessions_of_real_records_are_joined_to_the_call_that_made_them(
    engines: Engines, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of the public samples' sessions 116 are, 93 of them end at a user, and 23 at EC2, which is a machine."""
    if not SHARED.exists():
        return
    engine = engines.new()
    fill(engine, SHARED, tmp_path_factory.mktemp("files"))
    events = events_of(engine)
    chains = Chains(events)
    found = [chains.of(event) for event in events.search(wanted("caller-type", "AssumedRole"))]
    joined = [chain for chain in found if any(hop.by.startswith("access key") for hop in chain.hops)]
    assert len(joined) == 116
    assert sum(bool(chain.person) for chain in joined) == 93
    assert sum(chain.hops[-1].who == "service ec2.amazonaws.com" and not chain.person for chain in joined) == 23
    assert all(chain.broken for chain in found if chain not in joined)


# --- what changed, and which call did it ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def estate_engine(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """The made-up account whose resources' lives are known."""
    found = engines.new()
    fill_estate(found, tmp_path_factory.mktemp("files"))
    return found


def test_a_version_of_several_calls_stands_with_each_and_names_the_others(estate_engine: TestEngine) -> None:
    """Two people changed the group before one version was captured: each has it with a score and a reason of its own."""
    found = {one["event"]: one["changed"] for one in asked(estate_engine, "who", estate.GROUP)["changes"]}
    (opened,), (tagged,) = found["opened"], found["tagged"]
    assert opened["item"] == tagged["item"]
    for mine, other, event in ((opened, tagged, "tagged"), (tagged, opened, "opened")):
        assert mine["score"] >= 0.9
        assert mine["reason"]
        assert mine["also_by"] == [{"event": event, "score": other["score"]}]
    shown = ask(estate_engine, "who", estate.GROUP)
    assert f"also by: [tagged] ({tagged['score']:.2f})" in shown.out


def test_changes_and_who_say_the_same_of_each_version(estate_engine: TestEngine) -> None:
    """Every call that `changes` has behind a version has that version in `who`, as sure and for the same reason."""
    behind = {
        (step["item"], call["event"]): (call["score"], call["reason"])
        for step in asked(estate_engine, "changes", estate.GROUP)["changes"]
        if step["what"] != "compliance"
        for call in step["caused_by"]["calls"]
    }
    acts = asked(estate_engine, "who", estate.GROUP)["changes"]
    told = {(one["item"], act["event"]): (one["score"], one["reason"]) for act in acts for one in act["changed"]}
    assert told == behind
    assert len(told) == 3


def test_a_version_that_no_call_caused_says_so(estate_engine: TestEngine) -> None:
    """The instance became another type, and no call for it was recorded: its version stands apart, with why no call is named."""
    found = asked(estate_engine, "who", estate.INSTANCE)
    assert found["changes"] == []
    (retyped,) = [one for one in found["other_changes"] if any(each["path"].endswith("Type") for each in one["changes"])]
    assert (retyped["caused_by"]["verdict"], retyped["caused_by"]["calls"]) == ("none-found", [])
    assert retyped["caused_by"]["reason"]
    shown = ask(estate_engine, "who", estate.INSTANCE)
    assert "Changes that none of these calls caused" in shown.out
    assert "by: none-found: " in shown.out


def test_a_call_that_does_not_name_the_resource_is_still_told(samples: TestEngine) -> None:
    """An instance was terminated, and let its volume go: the volume's version has that call, how sure it is and why."""
    found = asked(samples, "who", "vol-0d6e5f40312091827")
    detached = found["other_changes"][0]["caused_by"]["calls"][0]
    assert (detached["api"], detached["kind"]) == ("ec2:TerminateInstances", "side-effect")
    assert detached["score"] > 0.9


def test_a_question_about_a_caller_says_nothing_of_other_versions(estate_engine: TestEngine) -> None:
    """What bob did not cause is not told as if nobody had; an account and a period do limit versions."""
    assert asked(estate_engine, "who", estate.GROUP, "--caller", "bob")["other_changes"] is None
    limits = ("--accounts", incidents.ACCOUNT, "--since", "2026-11-20 07:30", "--until", "2026-11-20 10:00")
    assert asked(estate_engine, "who", estate.GROUP, *limits)["other_changes"] == []
    assert len(asked(estate_engine, "who", estate.INSTANCE, *limits[:4])["other_changes"]) == 1
    assert asked(estate_engine, "who", estate.INSTANCE, "--accounts", incidents.OTHER)["other_changes"] == []
