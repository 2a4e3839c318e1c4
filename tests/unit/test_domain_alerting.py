"""The channel and the monitors put in place by the set-up: once, with a copy of what somebody edited, as far as plugins go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from audit_search.alerts import monitors
from audit_search.domain import alerting
from audit_search.domain.alerting import CHANNEL, MONITOR
from audit_search.domain.api import HttpApi
from audit_search.domain.settings import DomainSettings
from audit_search.domain.setup import Change, Outcome, Plan, apply, prepare
from audit_search.errors import DomainSetupError
from tests.support.alerting_endpoints import AlertingEndpoints, NotificationEndpoints, as_printed
from tests.support.domains import actions, the
from tests.support.engine_front import Asked, EngineFront, Verdict

TOPIC = "arn:aws:sns:eu-central-1:123456789012:alerts"
ROLE = "arn:aws:iam::123456789012:role/alert-channel"
TOLD = {"ALERT_TOPIC_ARN": TOPIC, "ALERT_ROLE_ARN": ROLE}
BURST = "failed-authorisation-burst"
RULES = [rule["name"] for rule in monitors.counted()]


def no_plugin(path: str) -> Any:
    """A rule by which nothing answers below a path."""

    def answer(asked: Asked) -> Verdict:
        reason = f"no handler found for uri [{asked.path}] and method [{asked.method}]"
        return (400, {"error": reason}) if asked.path.startswith(path) else None

    return answer


@dataclass
class Installation:
    """An engine with both plugins, and this part of the set-up alone; `kept` are the backups."""

    front: EngineFront
    alerting: AlertingEndpoints
    notifications: NotificationEndpoints
    kept: dict[str, Any] = field(default_factory=dict)

    def settings(self, **variables: str) -> DomainSettings:
        """Settings whose engine this is."""
        return DomainSettings.from_env(
            {"OPENSEARCH_ENDPOINT": self.front.endpoint, "OPENSEARCH_AUTH": "none", "INDEX_PREFIX": "x-", **variables}
        )

    def plan(self, **variables: str) -> tuple[Change, ...]:
        """What would be done."""
        settings = self.settings(**variables)
        return tuple(alerting.changes(HttpApi(settings, None), settings))

    def set_up(self, **variables: str) -> Outcome:
        """Do it."""
        return apply(HttpApi(self.settings(**variables), None), Plan(self.plan(**variables)), self.keep)

    def keep(self, name: str, body: Any) -> str:
        """Remember a backup."""
        self.kept[name] = body
        return f"memory:{name}"


@pytest.fixture
def installation() -> Iterator[Installation]:
    """Both plugins, with nothing in them."""
    with EngineFront() as front:
        found = Installation(front, AlertingEndpoints(), NotificationEndpoints())
        front.rules += [found.alerting, found.notifications]
        yield found


def test_channel_and_monitors_are_made_once(installation: Installation) -> None:
    """All that is missing is made; what the plugins add to it is no difference in the next run, which writes nothing."""
    outcome = installation.set_up(**TOLD)
    assert [(change.kind, change.action) for change in outcome.changes] == [
        (CHANNEL, "create"),
        *[(MONITOR, "create")] * len(RULES),
    ]
    channel = installation.notifications.channels["x-cloudtrail-alerts"]
    assert channel["sns"] == {"topic_arn": TOPIC, "role_arn": ROLE}
    for rule in RULES:
        (trigger,) = installation.alerting.named(rule)["triggers"]
        assert trigger["bucket_level_trigger"]["actions"][0]["destination_id"] == "x-cloudtrail-alerts"
    installation.front.asked.clear()
    assert {change.action for change in installation.set_up(**TOLD).changes} == {"unchanged"}
    assert installation.front.writes == []
    assert installation.kept == {}


def test_the_channel_is_there_before_the_monitors_that_name_it(installation: Installation) -> None:
    """A monitor whose channel is not there would fail when it has something to tell."""
    installation.set_up(**TOLD)
    written = [asked.path for asked in installation.front.writes]
    assert written == ["/_plugins/_notifications/configs", *["/_plugins/_alerting/monitors"] * len(RULES)]


@pytest.mark.parametrize("how", ["enabled", "condition", "query", "message", "schedule"])
def test_what_somebody_edited_is_kept_and_replaced(installation: Installation, how: str) -> None:
    """The person is told what differs, and has the monitor as it was; the others are left as they are."""
    installation.set_up(**TOLD)
    monitor = installation.alerting.named(BURST)
    trigger = monitor["triggers"][0]["bucket_level_trigger"]
    edits: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
        "enabled": (monitor, {"enabled": False}, "enabled"),
        "condition": (
            trigger["condition"]["script"],
            {"source": "params._count >= 500"},
            "triggers[0].bucket_level_trigger.condition.script.source",
        ),
        "query": (
            monitor["inputs"][0]["search"]["query"]["query"]["bool"]["filter"][2]["term"],
            {"ct.ingestMode": {"value": "replay", "boost": 1.0}},
            "inputs[0].search.query.query.bool.filter[2].term.ct.ingestMode",
        ),
        "message": (
            trigger["actions"][0]["message_template"],
            {"source": "look"},
            "triggers[0].bucket_level_trigger.actions[0].message_template.source",
        ),
        "schedule": (monitor["schedule"]["period"], {"interval": 60}, "schedule.period.interval"),
    }
    place, edit, path = edits[how]
    place |= edit
    outcome = installation.set_up(**TOLD)
    (change,) = (one for one in outcome.changes if one.action != "unchanged")
    assert (change.name, change.action, change.differences) == (f"x-cloudtrail-{BURST}", "update", (path,))
    assert installation.kept == {f"monitor/x-cloudtrail-{BURST}": monitor}
    assert {change.action for change in installation.plan(**TOLD)} == {"unchanged"}


def test_a_backup_can_be_put_back(installation: Installation) -> None:
    """What is kept is what the plugin takes: `PUT` of the backup gives the edited monitor again."""
    installation.set_up(**TOLD)
    installation.alerting.named(BURST)["enabled"] = False
    installation.set_up(**TOLD)
    (identity,) = (one for one, has in installation.alerting.monitors.items() if has["monitor"]["name"].endswith(BURST))
    body = installation.kept[f"monitor/x-cloudtrail-{BURST}"]
    status, _ = HttpApi(installation.settings(), None).request("PUT", f"/_plugins/_alerting/monitors/{identity}", body)
    assert status == 200
    assert installation.alerting.named(BURST)["enabled"] is False


def test_a_monitor_that_somebody_changes_meanwhile_is_not_overwritten(installation: Installation) -> None:
    """Between our reading and our writing: the plugin refuses, the error can be tried again, and the next run takes it in."""
    installation.set_up(**TOLD)
    installation.alerting.named(BURST)["enabled"] = False
    planned = Plan(installation.plan(**TOLD))
    (identity,) = (one for one, has in installation.alerting.monitors.items() if has["monitor"]["name"].endswith(BURST))
    installation.alerting.monitors[identity]["seq_no"] = 99
    with pytest.raises(DomainSetupError, match=r"version conflict, required seqNo") as caught:
        apply(HttpApi(installation.settings(), None), planned, installation.keep)
    assert caught.value.retryable
    assert the(installation.set_up(**TOLD).changes, MONITOR, f"x-cloudtrail-{BURST}").action == "update"


def test_another_topic_changes_the_channel_alone(installation: Installation) -> None:
    """The monitors name the channel, not the topic."""
    installation.set_up(**TOLD)
    before = dict(installation.notifications.channels["x-cloudtrail-alerts"])
    outcome = installation.set_up(ALERT_TOPIC_ARN=f"{TOPIC}-2", ALERT_ROLE_ARN=ROLE)
    (change,) = (one for one in outcome.changes if one.action != "unchanged")
    assert (change.kind, change.differences) == (CHANNEL, ("sns.topic_arn",))
    assert installation.kept == {"notification-channel/x-cloudtrail-alerts": before}


def test_a_channel_that_was_switched_off_is_switched_on(installation: Installation) -> None:
    """Nobody would hear of anything, and nothing would say so."""
    installation.set_up(**TOLD)
    installation.notifications.channels["x-cloudtrail-alerts"]["is_enabled"] = False
    assert the(installation.set_up(**TOLD).changes, CHANNEL).differences == ("is_enabled",)


def test_a_channel_of_somebody_else_is_not_touched(installation: Installation) -> None:
    """One of our id without our mark is refused, and nothing is changed."""
    installation.notifications.channels["x-cloudtrail-alerts"] = {"name": "Maria's", "config_type": "sns", "sns": {}}
    with pytest.raises(DomainSetupError, match="notification channel 'x-cloudtrail-alerts': there is an object of this name"):
        installation.set_up(**TOLD)
    assert installation.alerting.monitors == {}


def test_monitors_of_other_prefixes_and_people_are_left_alone(installation: Installation) -> None:
    """Two installations on one engine: each has its own, and neither removes those of the other."""
    installation.set_up(**TOLD)
    installation.set_up(INDEX_PREFIX="", **TOLD)
    installation.set_up(INDEX_PREFIX="x-cloudtrail-", **TOLD)
    theirs = {"name": "x-cloudtrail of Maria", "enabled": True, "inputs": [], "triggers": []}
    api = HttpApi(installation.settings(), None)
    assert api.request("POST", "/_plugins/_alerting/monitors", theirs)[0] == 201
    assert len(installation.alerting.monitors) == 3 * len(RULES) + 1
    for prefix in ("x-", "", "x-cloudtrail-"):
        assert {change.action for change in installation.plan(INDEX_PREFIX=prefix, **TOLD)} == {"unchanged"}


def test_a_monitor_that_no_rule_asks_for_is_switched_off(installation: Installation) -> None:
    """A rule that was taken out, or whose tier is `off` now, would alert on; somebody may delete it, the set-up does not."""
    installation.set_up(**TOLD)
    monitor = installation.alerting.named(BURST)
    monitor["name"] = monitor["name"].replace(BURST, "a-rule-of-before")
    outcome = installation.set_up(**TOLD)
    assert actions(tuple(one for one in outcome.changes if one.action != "unchanged")) == {
        f"x-cloudtrail-{BURST}": "create",
        "x-cloudtrail-a-rule-of-before": "update",
    }
    assert installation.kept["monitor/x-cloudtrail-a-rule-of-before"] == monitor
    assert installation.alerting.named("a-rule-of-before")["enabled"] is False
    (change,) = (one for one in installation.plan(**TOLD) if one.reason)
    assert (change.action, change.reason) == (
        "unchanged",
        "no rule asks for it any longer: it is switched off, and may be deleted",
    )


def test_a_second_monitor_of_a_name_is_named(installation: Installation) -> None:
    """Somebody cloned one: which of the two is meant a person has to say."""
    installation.set_up(**TOLD)
    (identity,) = (one for one, has in installation.alerting.monitors.items() if has["monitor"]["name"].endswith(BURST))
    copied = installation.alerting.monitors[identity]["monitor"] | {"enabled_time": 1_795_000_000_001}
    installation.alerting.monitors["0-copy"] = {"seq_no": 1, "monitor": copied}
    (change,) = (one for one in installation.plan(**TOLD) if one.action != "unchanged")
    assert change.action == "leave out"
    assert "a second monitor of this name, with the id 0-copy: each alert comes twice" in change.reason


def test_without_a_topic_alerts_are_seen_in_dashboards(installation: Installation) -> None:
    """The monitors are made, tell nobody, and the outcome says so; with a topic later they get their channel."""
    outcome = installation.set_up()
    assert the(outcome.changes, CHANNEL).reason.startswith("no topic is named (ALERT_TOPIC_ARN)")
    assert installation.alerting.named(BURST)["triggers"][0]["bucket_level_trigger"]["actions"] == []
    later = installation.set_up(**TOLD)
    assert {change.action for change in later.changes if change.kind == MONITOR} == {"update"}
    assert {change.action for change in installation.plan(**TOLD)} == {"unchanged"}


def test_without_notifications_monitors_are_made(installation: Installation) -> None:
    """An engine with alerting alone: its alerts are seen in Dashboards, and the channel is left out."""
    installation.front.rules.insert(0, no_plugin("/_plugins/_notifications"))
    outcome = installation.set_up(**TOLD)
    change = the(outcome.changes, CHANNEL)
    assert change.action == "leave out"
    assert change.reason.startswith("this engine has no notifications: alerts of monitors are seen in Dashboards alone")
    assert len(installation.alerting.monitors) == len(RULES)


def test_without_alerting_all_is_left_out(installation: Installation) -> None:
    """No error: the outcome says that bursts are told to nobody, and nothing is written."""
    installation.front.rules.insert(0, no_plugin("/_plugins/"))
    (change,) = installation.set_up(**TOLD).changes
    assert (change.kind, change.name, change.action) == (MONITOR, "x-cloudtrail-*", "leave out")
    assert change.reason.startswith("bursts (rules with a threshold) are told to nobody here: this engine has no alerting")


def test_a_collection_has_no_alerting(installation: Installation) -> None:
    """It is not even asked."""
    (change,) = installation.plan(OPENSEARCH_SERVICE="aoss")
    assert (change.action, change.reason) == ("leave out", "a collection has no alerting: bursts are told to nobody")
    assert installation.front.asked == []


def test_a_caller_without_rights_to_alerting_is_told(installation: Installation) -> None:
    """Everything else can be set up and looked at: the reason names the caller and the permission."""
    refusal = "no permissions for [cluster:admin/opendistro/alerting/monitor/search] and User [name=maria, backend_roles=[]]"
    error = {"error": {"reason": refusal, "type": "security_exception"}, "status": 403}
    installation.front.rules.insert(0, lambda asked: (403, error) if asked.path.endswith("/_search") else None)
    (change,) = installation.plan(**TOLD)
    assert change.action == "leave out"
    assert "refuses maria: no role that it is mapped to permits cluster:admin/opendistro/alerting/monitor/search" in change.reason


def test_a_plugin_that_is_overloaded_is_tried_again(installation: Installation) -> None:
    """Nothing is left out for that."""
    installation.front.rules.insert(0, lambda asked: (503, {"error": "busy"}) if asked.path.endswith("/_search") else None)
    with pytest.raises(DomainSetupError, match="HTTP 503") as caught:
        installation.plan(**TOLD)
    assert caught.value.retryable


PASS_ROLE = (
    "User: arn:aws:sts::123456789012:assumed-role/setup/x is not authorized to perform: iam:PassRole on resource: "
    "arn:aws:iam::123456789012:role/alert-channel"
)


def refusing_the_channel(status: int, answer: Any, times: int = 1_000) -> Any:
    """A rule by which the channel is refused so many times."""
    left = iter(range(times))

    def answer_to(asked: Asked) -> Verdict:
        mine = asked.path == "/_plugins/_notifications/configs"
        return (status, answer) if mine and next(left, None) is not None else None

    return answer_to


def test_who_may_not_lend_the_role_leaves_the_channel_out(installation: Installation) -> None:
    """The reason says what to allow whom; the monitors are there, and tell somebody once the channel is."""
    installation.front.rules.insert(0, refusing_the_channel(403, {"Message": PASS_ROLE}))
    outcome = installation.set_up(**TOLD)
    change = the(outcome.changes, CHANNEL)
    assert (change.action, change.passing) == ("leave out", True)
    assert "Allow iam:PassRole on that role for arn:aws:iam::123456789012:role/setup." in change.reason
    assert len(installation.alerting.monitors) == len(RULES)
    del installation.front.rules[0]
    assert actions(tuple(one for one in installation.set_up(**TOLD).changes if one.action != "unchanged")) == {
        "x-cloudtrail-alerts": "create"
    }


def test_a_permission_that_holds_only_after_a_while_is_waited_for(installation: Installation) -> None:
    """A role that the stack has just made may be lent some seconds later."""
    installation.front.behind = ""
    installation.front.rules.insert(0, refusing_the_channel(403, {"Message": PASS_ROLE}, times=2))
    about = {"version": {"number": "2.19.4"}}
    installation.front.rules.append(lambda asked: (200, about) if asked.path == "/" else None)
    installation.front.rules.append(lambda asked: (200, {"acknowledged": True}) if asked.method == "PUT" else None)
    time = [0.0]
    outcome = prepare(
        HttpApi(installation.settings(**TOLD), None),
        installation.settings(DASHBOARDS="false", **TOLD),
        installation.keep,
        600.0,
        clock=lambda: time[0],
        sleep=lambda seconds: time.__setitem__(0, time[0] + seconds),
    )
    assert the(outcome.changes, CHANNEL).action == "create"
    assert {change.action for change in outcome.changes if change.kind == MONITOR} == {"unchanged"}


def test_a_channel_that_the_plugin_cannot_make_now_is_tried_again(installation: Installation) -> None:
    """An overloaded engine is no refusal."""
    installation.front.rules.insert(0, refusing_the_channel(429, {"error": "busy"}))
    with pytest.raises(DomainSetupError, match="notification channel 'x-cloudtrail-alerts' cannot be put in place") as caught:
        installation.set_up(**TOLD)
    assert caught.value.retryable


@pytest.mark.parametrize("rule", RULES)
def test_a_query_as_the_engine_prints_it_is_the_same_query(rule: str) -> None:
    """Defaults that are said, and the long forms of `term` and `range`, are no differences; another value is one."""
    body = monitors.bodies("cloudtrail")[monitors.named("cloudtrail", rule)]
    (search,) = (one["search"] for one in body["inputs"])
    printed = {**body, "inputs": [{"search": {**search, "query": as_printed(search["query"])}}]}
    assert printed != body
    assert alerting.normal(printed) == alerting.normal(body)
    printed["inputs"][0]["search"]["query"]["query"]["bool"]["filter"][0]["range"]["ct.ingestTime"]["include_upper"] = False
    assert alerting.normal(printed) != alerting.normal(body)
