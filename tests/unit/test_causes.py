"""Which calls are said to have caused a version, how sure that is, and what is said where none did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit_search.aws_config.changes import between
from audit_search.aws_config.documents import Origin, document, put_changes
from audit_search.aws_config.items import Item, parse
from audit_search.causes import shapes
from audit_search.causes.baseline import nearest
from audit_search.causes.calls import Call, of_record
from audit_search.causes.scoring import Explanation, explain
from audit_search.causes.versions import Version, of_document

ACCOUNT, REGION = "111122223333", "eu-central-1"
GROUP, INSTANCE, VOLUME = "sg-0a1b2c3d4e5f60718", "i-0123456789abcdef0", "vol-0fedcba9876543210"
ROLE = "AROAIOSFODNN7EXAMPLE1"
RULE = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": ["0.0.0.0/0"]}
ASKED = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}


def item(kind: str, identifier: str, minute: int, configuration: Any, **more: Any) -> Item:
    """An item of that minute of the day."""
    body = {
        "configurationItemCaptureTime": f"2026-11-03T{minute // 60:02}:{minute % 60:02}:00.000Z",
        "configurationItemStatus": "OK",
        "configurationStateId": str(minute),
        "awsAccountId": ACCOUNT,
        "awsRegion": REGION,
        "resourceType": kind,
        "resourceId": identifier,
        "configuration": configuration,
    }
    found = parse(json.dumps(body | more))
    assert isinstance(found, Item)
    return found


def version(after: Item, before: Item | None = None) -> Version:
    """The version of an item, as the history has it."""
    source = document(after, Origin())
    put_changes(source, between(before, after), "previous" if before else "first", None)
    return of_document(after.identity, source, before.captured if before else 0)


def record(name: str, minute: int, request: Any, answer: Any = None, **more: Any) -> dict[str, Any]:
    """A record of CloudTrail of that minute of the day."""
    body = {
        "eventID": f"{name}-{minute}",
        "eventName": name,
        "eventTime": f"2026-11-03T{minute // 60:02}:{minute % 60:02}:00Z",
        "eventSource": "ec2.amazonaws.com",
        "awsRegion": REGION,
        "recipientAccountId": ACCOUNT,
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/ana", "accountId": ACCOUNT},
        "sourceIPAddress": "198.51.100.7",
        "requestParameters": request,
        "responseElements": answer,
        "readOnly": False,
    }
    return body | more


def explained(what: Version, *records: dict[str, Any], recorded: bool = True) -> Explanation:
    """What is said of a version, given records."""
    calls = [call for one in records if (call := of_record(one))]
    return explain(what, calls, recorded=recorded)


def opened() -> Version:
    """A security group that was opened to the world between 10:00 and 10:10."""
    before = item("AWS::EC2::SecurityGroup", GROUP, 600, {"ipPermissions": []}, resourceName="web")
    return version(item("AWS::EC2::SecurityGroup", GROUP, 610, {"ipPermissions": [RULE]}, resourceName="web"), before)


def authorize(minute: int = 608, permission: Any = None, **more: Any) -> dict[str, Any]:
    """The call that opens it."""
    request = {"groupId": GROUP, "ipPermissions": {"items": [permission or ASKED]}}
    return record("AuthorizeSecurityGroupIngress", minute, request, {"_return": True}, **more)


def test_a_call_that_names_the_rule_is_the_cause() -> None:
    """The link has the caller, a probability near 1, and why: the rule, the time and where the id is."""
    found = explained(opened(), authorize())
    (link,) = found.causes
    assert (found.verdict, link.kind, link.name, link.caller) == (
        "found",
        "direct",
        "AuthorizeSecurityGroupIngress",
        f"arn:aws:iam::{ACCOUNT}:user/ana",
    )
    assert link.score > 0.95
    assert link.reasons == (
        "it names this very rule: ingress tcp 22 from 0.0.0.0/0",
        "120 s before the version was captured",
        f"it names the id {GROUP} (requestParameters: groupid)",
    )


@pytest.mark.parametrize(
    "innocent",
    [
        authorize(errorCode="Client.UnauthorizedOperation"),
        authorize(errorCode="Client.DryRunOperation", errorMessage="Request would have succeeded, but DryRun flag is set."),
        authorize(requestParameters={"groupId": GROUP, "DryRun": True, "ipPermissions": {"items": [ASKED]}}),
        authorize(responseElements={"_return": False}),
        authorize(readOnly=True),
        authorize(eventName="DescribeSecurityGroups", readOnly=None),
        authorize(recipientAccountId="444455556666"),
        authorize(awsRegion="us-east-1"),
        authorize(permission={**ASKED, "fromPort": 443, "toPort": 443}),
        authorize(minute=612),
        authorize(minute=590),
        record("RevokeSecurityGroupIngress", 608, {"groupId": GROUP, "ipPermissions": {"items": [ASKED]}}),
        record("AuthorizeSecurityGroupEgress", 608, {"groupId": GROUP, "ipPermissions": {"items": [ASKED]}}),
        record("RunInstances", 608, {"groupSet": {"items": [{"groupId": GROUP}]}}, {"instancesSet": {"items": []}}),
    ],
    ids=lambda one: f"{one['eventName']}-{one.get('errorCode') or ''}",
)
def test_what_did_not_make_a_change_is_no_cause(innocent: dict[str, Any]) -> None:
    """Failed, dry, reading, elsewhere, before the version before, after it, about other rules: none of these is named."""
    found = explained(opened(), innocent)
    assert (found.verdict, found.causes) == ("none-found", ())


def test_the_right_one_of_two_callers_seconds_apart_is_named() -> None:
    """The nearest write with the id is the wrong one here; the rule itself tells which call it was."""
    other = authorize(minute=609, permission={**ASKED, "fromPort": 443, "toPort": 443})
    assert [link.event for link in explained(opened(), other, authorize()).causes] == ["AuthorizeSecurityGroupIngress-608"]
    assert nearest(opened(), [other, authorize()]) == "AuthorizeSecurityGroupIngress-609"


def test_of_two_calls_that_set_the_same_the_first_made_the_change() -> None:
    """The second found it made already."""
    before = item("AWS::EC2::Instance", INSTANCE, 600, {}, tags={"Env": "test"})
    after = item("AWS::EC2::Instance", INSTANCE, 610, {}, tags={"Env": "prod"})
    request = {"resourcesSet": {"items": [{"resourceId": INSTANCE}]}, "tagSet": {"items": [{"key": "Env", "value": "prod"}]}}
    calls = [record("CreateTags", minute, request, {"_return": True}) for minute in (607, 605)]
    assert [link.event for link in explained(version(after, before), *calls).causes] == ["CreateTags-605"]


def test_an_item_of_several_calls_shows_them_all() -> None:
    """AWS Config puts what happened between two looks into one item."""
    before = item("AWS::EC2::Instance", INSTANCE, 600, {"instanceType": "t3.micro"})
    after = item("AWS::EC2::Instance", INSTANCE, 610, {"instanceType": "m5.large"}, tags={"Env": "prod"})
    resized = record("ModifyInstanceAttribute", 603, {"instanceId": INSTANCE, "instanceType": {"value": "m5.large"}})
    request = {"resourcesSet": {"items": [{"resourceId": INSTANCE}]}, "tagSet": {"items": [{"key": "Env", "value": "prod"}]}}
    found = explained(version(after, before), resized, record("CreateTags", 604, request))
    assert {link.name for link in found.causes} == {"ModifyInstanceAttribute", "CreateTags"}
    assert found.reason == "2 calls"


def test_a_name_counts_only_where_its_type_is_known() -> None:
    """A role and a user may both be called deploy, and IAM's calls are in one region."""
    kinds = {"resourceName": "deploy", "awsRegion": "global", "ARN": f"arn:aws:iam::{ACCOUNT}:role/deploy"}
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    attached = [{"policyName": "AdministratorAccess", "policyArn": arn}]
    before = item("AWS::IAM::Role", ROLE, 600, {"attachedManagedPolicies": []}, **kinds)
    what = version(item("AWS::IAM::Role", ROLE, 610, {"attachedManagedPolicies": attached}, **kinds), before)
    iam = {"eventSource": "iam.amazonaws.com", "awsRegion": "us-east-1"}
    role = record("AttachRolePolicy", 605, {"roleName": "deploy", "policyArn": arn}, **iam)
    user = record("AttachUserPolicy", 606, {"userName": "deploy", "policyArn": arn}, **iam)
    (link,) = explained(what, user, role).causes
    assert link.event == "AttachRolePolicy-605"
    assert f"it names the name deploy (requestParameters: rolename)" in link.reasons  # noqa: F541


def test_the_caller_is_not_what_a_call_is_about() -> None:
    """A role that calls is in each of its records, and changes by none of them."""
    before = item("AWS::IAM::Role", ROLE, 600, {"maxSessionDuration": 3600}, awsRegion="global")
    what = version(item("AWS::IAM::Role", ROLE, 610, {"maxSessionDuration": 7200}, awsRegion="global"), before)
    who = {"type": "AssumedRole", "principalId": f"{ROLE}:session", "sessionContext": {"sessionIssuer": {"principalId": ROLE}}}
    call = record(
        "UpdateRole", 605, {"roleName": "other", "maxSessionDuration": 7200}, userIdentity=who, eventSource="iam.amazonaws.com"
    )
    assert explained(what, call | {"awsRegion": "us-east-1"}).links == ()


def test_an_id_that_only_the_answer_has_is_found() -> None:
    """Many writes have no requestParameters."""
    found = explained(
        version(
            item(
                "AWS::EC2::EIP",
                "eipalloc-0123456789abcdef0",
                610,
                {"domain": "vpc"},
                configurationItemStatus="ResourceDiscovered",
            )
        ),
        record("AllocateAddress", 609, None, {"allocationId": "eipalloc-0123456789abcdef0", "publicIp": "203.0.113.7"}),
    )
    assert [link.event for link in found.causes] == ["AllocateAddress-609"]


def test_a_volume_that_goes_with_its_instance_is_a_side_effect() -> None:
    """Nobody called DeleteVolume; the call that ended the instance is shown as what it is."""
    related = [{"resourceType": "AWS::EC2::Instance", "resourceId": INSTANCE, "relationshipName": "Is attached to Instance"}]
    before = item("AWS::EC2::Volume", VOLUME, 600, {"size": 8}, relationships=related)
    gone = item("AWS::EC2::Volume", VOLUME, 610, None, configurationItemStatus="ResourceDeleted")
    items = {"items": [{"instanceId": INSTANCE, "currentState": {"name": "shutting-down"}, "previousState": {"name": "running"}}]}
    call = record("TerminateInstances", 608, {"instancesSet": {"items": [{"instanceId": INSTANCE}]}}, {"instancesSet": items})
    (link,) = explained(version(gone, before), call).causes
    assert (link.kind, link.reasons[0]) == ("side-effect", f"TerminateInstances removed {INSTANCE}, with which it went")


def test_a_call_by_a_service_is_told_from_a_direct_one() -> None:
    """CloudFormation calls with the identity of who asked it to."""
    who = {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/ana", "invokedBy": "cloudformation.amazonaws.com"}
    (link,) = explained(opened(), authorize(userIdentity=who)).causes
    assert (link.kind, link.service) == ("service", "cloudformation.amazonaws.com")
    assert "called by cloudformation.amazonaws.com" in link.reasons


def test_a_stop_of_what_was_stopped_is_no_cause() -> None:
    """The answer says that the state before was the same."""
    before = item("AWS::EC2::Instance", INSTANCE, 600, {"state": {"name": "running"}})
    what = version(item("AWS::EC2::Instance", INSTANCE, 610, {"state": {"name": "stopped"}}), before)
    request = {"instancesSet": {"items": [{"instanceId": INSTANCE}]}}

    def answer(previous: str, now: str) -> dict[str, Any]:
        state = {"instanceId": INSTANCE, "currentState": {"name": now}, "previousState": {"name": previous}}
        return {"instancesSet": {"items": [state]}}

    first = record("StopInstances", 605, request, answer("running", "stopping"))
    second = record("StopInstances", 606, request, answer("stopping", "stopping"))
    assert [link.event for link in explained(what, first, second).links] == ["StopInstances-605"]


def test_the_copy_of_a_shared_event_counts_once() -> None:
    """Both accounts of a call have it under ids of their own; here it is the one of the resource's account."""
    own, copy = authorize(sharedEventID="shared"), authorize(sharedEventID="shared")
    found = explained(opened(), own, copy | {"eventID": "copy", "recipientAccountId": "444455556666"})
    assert [link.event for link in found.causes] == [own["eventID"]]


def test_what_aws_config_names_itself_wins() -> None:
    """relatedEvents are authoritative: no score can say otherwise."""
    before = item("AWS::EC2::SecurityGroup", GROUP, 600, {"ipPermissions": []})
    told = record("CreateTags", 604, {"resourcesSet": {"items": []}})
    after = item("AWS::EC2::SecurityGroup", GROUP, 610, {"ipPermissions": [RULE]}, relatedEvents=[told["eventID"]])
    (link,) = explained(version(after, before), authorize(), told).links
    assert (link.event, link.reasons[0]) == (told["eventID"], "AWS Config names this event itself (relatedEvents)")
    missing = explained(version(after, before))
    assert (missing.verdict, missing.reason) == (
        "not-recorded",
        "AWS Config names CreateTags-604, which is not among the events here",
    )


def test_where_nothing_is_found_it_is_said_why() -> None:
    """No events at all, a resource older than the recording, a state that AWS changes itself, and no call that fits."""
    states = [
        item("AWS::EC2::Instance", INSTANCE, 600 + at, {"state": {"name": name}}) for at, name in ((0, "running"), (9, "stopped"))
    ]
    old = item(
        *("AWS::EC2::Instance", INSTANCE, 600, {}),
        configurationItemStatus="ResourceDiscovered",
        resourceCreationTime="2024-01-01T00:00:00Z",
    )
    assert explained(opened(), recorded=False).verdict == "not-recorded"
    assert explained(version(old)).verdict == "not-recorded"
    assert explained(version(states[1], states[0])).verdict == "aws-internal"
    assert explained(opened()).verdict == "none-found"


@pytest.mark.parametrize(
    "broken", [{}, {"eventID": 1}, {"eventID": "a", "eventName": "B", "eventTime": "never"}, {"eventID": "a"}]
)
def test_a_record_without_id_name_or_time_is_no_call(broken: dict[str, Any]) -> None:
    """Whatever the trail holds, nothing is raised."""
    assert of_record(broken) is None


@pytest.mark.parametrize(
    "odd", [[], "text", 7, {"a": {"a": {"a": [1, None, True, 2.0]}}}, {"tags": [{"key": 1}]}, {"tagSet": "x"}]
)
def test_parameters_of_any_shape_are_read(odd: Any) -> None:
    """A record of an unknown service is a call like others."""
    call = of_record(record("DoThings", 605, odd, odd, userIdentity=odd, resources=odd))
    assert isinstance(call, Call)
    assert explain(opened(), [call]).links == ()


def test_ids_that_stand_for_one_resource_are_told_from_names() -> None:
    """Only such an id is looked for anywhere in a record."""
    assert all(map(shapes.unique, (GROUP, INSTANCE, ROLE.lower(), "db-hhttsrd6hxuikxpfpi6wfvz4pa", "arn:aws:s3:::logs")))
    assert not any(map(shapes.unique, ("deploy", "default", "orders-3", "my-bucket-2024", "admin-users")))


def test_a_version_is_looked_up_by_what_its_causes_may_name() -> None:
    """Id, name, ARN, what it was related to, and the ids in what changed."""
    before = item("AWS::EC2::EIP", "eipalloc-0123456789abcdef0", 600, {"associationId": "eipassoc-0123456789abcdef0"})
    after = item("AWS::EC2::EIP", "eipalloc-0123456789abcdef0", 610, {})
    assert set(version(after, before).lookups) == {("eipalloc-0123456789abcdef0", ""), ("eipassoc-0123456789abcdef0", "")}
    named = item("AWS::IAM::Role", ROLE, 600, {}, resourceName="deploy", awsRegion="global")
    assert set(version(named).lookups) == {(ROLE, ""), ("deploy", "iam.amazonaws.com")}
