"""Alerts of a deployed stack: S3 -> function -> SNS -> a subscriber, each once, and none lost where the way is cut."""

from __future__ import annotations

import gzip
import json
import urllib.request

from audit_search.alerts import matching
from tests.deploy.alerts import Subscriber, deliver, now, stopped
from tests.deploy.conftest import Deploy, of
from tests.deploy.stacks import Stack
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.building import ROOT

STRATUS = ROOT.parent / "shared" / "data" / "cloudtrail" / "datadog_stratus-red-team"


def states(stack: Stack) -> dict[str, str]:
    """The alerts that are written down, with their states."""
    urllib.request.urlopen(
        urllib.request.Request(f"{stack.engine}/{stack.prefix}cloudtrail-alerts/_refresh", method="POST"), timeout=60
    ).close()
    with urllib.request.urlopen(f"{stack.engine}/{stack.prefix}cloudtrail-alerts/_search?size=1000", timeout=60) as answer:
        return {hit["_id"]: hit["_source"]["alert"]["state"] for hit in json.load(answer)["hits"]["hits"]}


def test_each_alert_arrives_once(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """A subscriber hears of each event, one with a filter of its tier alone; a second delivery of the object tells nobody."""
    stack = deploy(domain, of(domain, trail, IndexPrefix="acme-"))
    every, pages = Subscriber.of(stack), Subscriber.of(stack, FilterPolicy='{"tier": ["page"]}')
    ticket = {**stopped("ticket"), "eventSource": "iam.amazonaws.com", "eventName": "CreateUser"}
    digest = {**stopped("digest"), "eventSource": "ec2.amazonaws.com", "eventName": "CreateVpc"}
    quiet = [{**stopped(f"quiet-{number}"), "eventName": "DescribeTrails"} for number in range(20)]
    key = deliver(trail, "alerts", [*quiet, stopped("page"), ticket, digest])
    stack.quiet()
    heard = every.envelopes()
    bodies = {found["id"]: found for found in (json.loads(one["Message"]) for one in heard)}
    assert set(bodies) == {"page:trail-stopped", "ticket:iam-user-changes"}
    assert len(heard) == 2
    page = bodies["page:trail-stopped"]
    assert page["who"]["caller"] == "morgan"
    assert page["link"].startswith(f"{domain.endpoint}/_dashboards/app/discover#/?")
    assert "acme-audit-search-cloudtrail" in page["link"]
    assert pages.told() == ["page:trail-stopped"]
    assert states(stack) == dict.fromkeys(bodies, "sent")
    trail.announce(key)
    stack.quiet()
    assert (every.told(), pages.told()) == ([], [])
    assert len(stack.documents("StopLogging")) == 1


def test_a_cut_between_indexing_and_telling_loses_none(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """The topic's permission is gone: the event is indexed and its message waits; when it is back, the alert arrives, once."""
    stack = deploy(domain, of(domain, trail))
    subscriber = Subscriber.of(stack)
    put_back = stack.without("CloudTrailFunctionRole", "TellAlerts")
    deliver(trail, "alerts", [stopped("a"), stopped("b")])
    stack.wait_for(lambda: stack.postponed() and stack.documents("StopLogging"), "the message that comes back")
    assert states(stack) == {"a:trail-stopped": "pending", "b:trail-stopped": "pending"}
    assert subscriber.told() == []
    put_back()
    stack.wait_for(lambda: stack.release() * 0 or stack.waiting() == 0, "an empty queue")
    assert subscriber.told() == ["a:trail-stopped", "b:trail-stopped"]
    assert states(stack) == {"a:trail-stopped": "sent", "b:trail-stopped": "sent"}
    assert len(stack.documents("StopLogging")) == 2
    assert stack.waiting("CloudTrailDeadLetterQueueUrl") == 0


def test_a_stack_that_tells_nobody_has_nothing_for_it(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """Without tiers there is no topic, and events are tagged all the same."""
    stack = deploy(domain, of(domain, trail, AlertTiers=""))
    assert "AlertTopic" not in stack.resources()
    assert "AlertTopicArnMade" not in stack.outputs
    deliver(trail, "alerts", [stopped("a")])
    stack.quiet()
    (found,) = stack.documents("StopLogging")
    assert found["_source"]["ct"]["alerts"] == ["trail-stopped"]


def test_each_technique_of_an_attack_is_told(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """What a red team's tool does to an account, as if it were done now: at least one alert of each technique arrives."""
    stack = deploy(domain, of(domain, trail))
    subscriber = Subscriber.of(stack)
    stamp = now().strftime("%Y-%m-%dT%H:%M:%SZ")
    missing = {}
    for number, path in enumerate(sorted(STRATUS.glob("*.json.gz"))):
        found = json.loads(gzip.decompress(path.read_bytes()))["Records"]
        fresh = [{**one, "eventID": f"{number}.{at}", "eventTime": stamp} for at, one in enumerate(found)]
        missing[str(number)] = path.name
        deliver(trail, f"technique{number}", fresh)
    stack.quiet()
    for identity in subscriber.told():
        event, _, rule = identity.partition(":")
        assert matching.deployed().by_name[rule].tier in ("page", "ticket")
        missing.pop(event.split(".")[0], None)
    assert missing == {}
