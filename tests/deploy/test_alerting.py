"""Channel and monitors of a deployed stack: there when it is, with its topic and the role that may publish there."""

from __future__ import annotations

import json

from audit_search.alerts import monitors
from tests.deploy.conftest import Account, Deploy, of
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.ministack import ACCOUNT, REGION

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"
ROLE, SET_UP = "AlertChannelRole", "SetupFunctionRole"


def test_a_stack_has_its_monitors_and_an_update_keeps_what_was_edited(
    account: Account, deploy: Deploy, domain: AmazonDomain, trail: Trail
) -> None:
    """Each names the channel, and that the stack's topic and role; at the next update an edited one is in the backups first."""
    stack = deploy(domain, of(domain, trail, IndexPrefix="acme-", AlertTopicArn=TOPIC))
    names = {has["monitor"]["name"] for has in domain.alerting.monitors.values()}
    assert names == set(monitors.bodies("acme-cloudtrail"))
    (trigger,) = domain.alerting.named("sign-in-failures")["triggers"]
    assert trigger["bucket_level_trigger"]["actions"][0]["destination_id"] == "acme-cloudtrail-alerts"
    role = stack.client("iam").get_role(RoleName=stack.physical(ROLE))["Role"]["Arn"]
    assert domain.notifications.channels["acme-cloudtrail-alerts"]["sns"] == {
        "topic_arn": TOPIC,
        "role_arn": role,
    }
    domain.alerting.named("sign-in-failures")["enabled"] = False
    account.deployer.update(stack, {"RefreshInterval": "20s"})
    assert domain.alerting.named("sign-in-failures")["enabled"] is True
    s3, bucket = stack.client("s3"), stack.physical("QuarantineBucket")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="backups/")["Contents"]]
    (key,) = [key for key in keys if key.endswith("/monitor/acme-cloudtrail-sign-in-failures.json")]
    assert json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["enabled"] is False


def test_the_role_of_the_channel_publishes_to_its_topic_alone(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """For the domain, and for no other of this account or another; the set-up lends it, and may use it for nothing itself."""
    stack = deploy(domain, of(domain, trail, AlertTopicArn=TOPIC))
    assert stack.may(ROLE, "sns:Publish", TOPIC)
    assert not stack.may(ROLE, "sns:Publish", f"{TOPIC}-other")
    assert not stack.may(ROLE, "sns:Subscribe", TOPIC)
    (trust,) = stack.client("iam").get_role(RoleName=stack.physical(ROLE))["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {
        "Effect": "Allow",
        "Principal": {"Service": "es.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": domain.arn}},
    }
    assert not stack.may(SET_UP, "sns:Publish", TOPIC)


def test_without_a_topic_monitors_tell_nobody(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """No channel, and no role for it; bursts are seen in Dashboards."""
    stack = deploy(domain, of(domain, trail, AlertTiers=""))
    assert domain.notifications.channels == {}
    (trigger,) = domain.alerting.named("sign-in-failures")["triggers"]
    assert trigger["bucket_level_trigger"]["actions"] == []
    assert ROLE not in stack.resources()


def test_the_topic_that_a_stack_makes_hears_of_bursts_too(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """The channel leads to it, and its role may publish there and use the key that the topic is encrypted with."""
    stack = deploy(domain, of(domain, trail))
    topic = stack.outputs["AlertTopicArnMade"]
    (channel,) = domain.notifications.channels.values()
    assert channel["sns"]["topic_arn"] == topic
    assert stack.may(ROLE, "sns:Publish", topic)
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{stack.physical('Key')}"
    assert stack.may(ROLE, "kms:GenerateDataKey", key)
    assert not stack.may(ROLE, "kms:Encrypt", key)
