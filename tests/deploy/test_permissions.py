"""Each statement of each function's role: it is needed, and its lack shows as it should.

Two proofs. For every statement the evaluator of IAM says that nothing else in the role allows what it allows. And where the
stand-in for AWS enforces what it is for, a deployed stack fails without it, says so, and recovers when it is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.deploy.alerts import Subscriber, deliver, stopped
from tests.deploy.channels import Channel, of_config
from tests.deploy.conftest import Deploy, of, with_password
from tests.deploy.deployable import sid_of, without_statement
from tests.deploy.stacks import DeployError, Stack, records
from tests.deploy.test_config_permissions import CONFIG, READ_PASSWORD
from tests.deploy.test_linking import PROVEN as LINKING
from tests.deploy.test_linking import READ_PASSWORD as READ_PASSWORD_TO_LINK
from tests.deploy.test_verification import PROVEN as VERIFICATION
from tests.deploy.test_verification import READ_PASSWORD as READ_PASSWORD_TO_VERIFY
from tests.deploy.trails import Trail
from tests.support.amazon_domain import AmazonDomain
from tests.support.building import load_template
from tests.support.ministack import ACCOUNT, REGION, Ministack

KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
NOT_ENFORCED = {
    "Decrypt": "ministack reads encrypted objects and secrets without asking for their key",
    "ReadPublicKeys": "ministack has no public keys of CloudTrail's; what stands in for it asks nobody who he is",
    "CallCollection": "nothing here stands in for a collection",
    "KeepFailedEvents": "ministack knows no failure destination of an alias, and hands events over itself",
    "ReportFailure": "ministack knows no failure destination of an alias",
    "EncryptAlerts": "ministack publishes to a topic without asking for its key",
    "EncryptReport": "ministack knows no failure destination of an alias",
    "WriteLog": "ministack writes the logs itself",
    "TellGoneFromDenied": "ministack says that an object is gone also to who may not list",
    "JoinVpc": "ministack starts functions without network interfaces",
}
"""Statements that only the evaluator is asked about, and why."""


@dataclass
class Case:
    """A deployed stack and what is around it."""

    stack: Stack
    trail: Trail
    domain: AmazonDomain

    def deliver(self) -> None:
        """An object with three events."""
        self.trail.deliver(self.stack, "event", records("Event", 3), announced=True)

    def indexed(self) -> bool:
        """Whether they are documents, and the queue is empty."""
        return len(self.stack.documents("Event")) == 3 and self.stack.waiting() == 0

    def returned(self, reason: str) -> bool:
        """Whether a message went back to the queue for this reason, and nothing was lost on the way."""
        assert not self.stack.documents("Event")
        return bool(self.stack.postponed()) and reason in self.stack.log() and self.stack.waiting() == 1


@dataclass(frozen=True)
class Proof:
    """What a statement is for: something that is tried, how it shows that it may not be done, and that it was done."""

    act: Callable[[Case], object]
    failed: Callable[[Case], object]
    done: Callable[[Case], object] = Case.indexed
    parameters: Callable[[Ministack, AmazonDomain], dict[str, str]] = field(default=lambda _aws, _domain: {})


def deliver_impatiently(case: Case) -> None:
    """As `deliver`; a message that nobody postpones comes back after the queue's own time, here two seconds."""
    sqs = case.stack.client("sqs")
    sqs.set_queue_attributes(QueueUrl=case.stack.outputs["CloudTrailQueueUrl"], Attributes={"VisibilityTimeout": "2"})
    case.deliver()


def deliver_in_an_outage(case: Case) -> None:
    case.domain.down()
    deliver_impatiently(case)


def postponed_again(case: Case) -> bool:
    if not case.stack.postponed():
        return False
    case.domain.up()
    case.stack.release()
    return case.indexed()


def deliver_an_alert(case: Case) -> None:
    Subscriber.of(case.stack)
    deliver(case.trail, "alert", [stopped("alert")])


def deliver_an_alert_twice(case: Case) -> None:
    key = deliver(case.trail, "alert", [stopped("alert")])
    case.stack.quiet()
    case.trail.announce(key)


def alert_returned(case: Case, action: str) -> bool:
    """Whether the event is a document and its message came back, because its alert could not be told, or not be looked up."""
    log = case.stack.log()
    return (
        bool(case.stack.postponed())
        and "alert_not_sent" in log
        and action in log
        and len(case.stack.documents("StopLogging")) == 1
    )


CLOUDTRAIL = {
    "TellAlerts": Proof(
        deliver_an_alert,
        lambda case: alert_returned(case, "sns:Publish") and case.stack.waiting() == 1,
        lambda case: case.stack.waiting() == 0,
    ),
    "ReadAlerts": Proof(
        deliver_an_alert_twice,
        lambda case: alert_returned(case, "es:ESHttpPost") and case.stack.waiting() == 1,
        lambda case: case.stack.waiting() == 0,
    ),
    "ReadObjects": Proof(Case.deliver, lambda case: case.returned("the function's role may not read it")),
    "WriteQuarantine": Proof(
        lambda case: case.trail.deliver(case.stack, "broken", b"this is not gzip", announced=True),
        lambda case: case.returned("quarantine") and not case.stack.quarantined(),
        lambda case: len(case.stack.quarantined()) == 1 and case.stack.waiting() == 0,
    ),
    "ReceiveMessages": Proof(
        deliver_in_an_outage,
        lambda case: case.stack.log().count("a returned message could not be postponed") > 1 and not case.stack.postponed(),
        postponed_again,
    ),
    "WriteDocuments": Proof(
        Case.deliver,
        lambda case: case.returned("es:ESHttpPost") and {one.status for one in case.domain.seen("POST", "/_bulk")} == {403},
    ),
    "ReadIndexTemplate": Proof(
        Case.deliver, lambda case: case.returned("nothing is written") and not case.domain.seen("POST", "/_bulk")
    ),
    "ReadPassword": Proof(  # the function does not come as far as postponing anything: its errors raise an alarm
        deliver_impatiently,
        lambda case: "not authorized to perform: secretsmanager:GetSecretValue" in case.stack.log() and case.stack.waiting() == 1,
        parameters=with_password,
    ),
}


@pytest.fixture
def case(deploy: Deploy, domain: AmazonDomain, trail: Trail, aws: Ministack) -> Callable[[Proof], Case]:
    """Deploys a stack for a proof."""
    return lambda proof: Case(deploy(domain, of(domain, trail, **proof.parameters(aws, domain))), trail, domain)


@pytest.mark.parametrize("sid", CLOUDTRAIL)
def test_the_function_fails_without_a_statement_and_recovers(sid: str, case: Callable[[Proof], Case]) -> None:
    """What it may not do is said and comes back; with the statement in place again it is done, and nothing is lost."""
    proof = CLOUDTRAIL[sid]
    deployed = case(proof)
    stack = deployed.stack
    put_back = stack.without("CloudTrailFunctionRole", sid)
    proof.act(deployed)
    stack.wait_for(lambda: proof.failed(deployed), f"a sign that {sid} is missing\n{stack.log()}")
    put_back()
    stack.release()
    stack.wait_for(lambda: stack.release() * 0 or proof.done(deployed), f"recovery with {sid}\n{stack.log()}")
    assert stack.waiting("CloudTrailDeadLetterQueueUrl") == 0


def as_admin(aws: Ministack, domain: AmazonDomain) -> dict[str, str]:
    """A role that administers the domain and that this account may assume; the set-up's own role may do nothing there."""
    trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"sts:AssumeRole"}]}'
    own = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"es:ESHttp*","Resource":"%s/*"},'
        '{"Effect":"Allow","Action":"iam:PassRole","Resource":"*"}]}'
    )
    iam, name = aws.client("iam"), f"{domain.name}-admin"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust % f"arn:aws:iam::{ACCOUNT}:root")["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=own % domain.arn)
    return {"DomainAdminRoleArn": role}


def by_password(_aws: Ministack, domain: AmazonDomain) -> dict[str, str]:
    return {"CreateDomain": "true", "DomainName": domain.name, "DashboardsAuth": "internal", "AllowedCidrs": "127.0.0.0/8"}


SETUP: dict[str, tuple[Callable[[Ministack, AmazonDomain], dict[str, str]], str]] = {
    "PrepareDomain": (lambda _aws, _domain: {}, "es:ESHttpGet"),
    "MakeMonitors": (lambda _aws, _domain: {}, "es:ESHttpPost"),
    "BecomeDomainAdmin": (as_admin, "sts:AssumeRole"),
    "ReadPassword": (with_password, "secretsmanager:GetSecretValue"),
    "ReadMasterPassword": (by_password, "secretsmanager:GetSecretValue"),
}
"""What is missing when a stack is made, the parameters that need it, and what the reason in its events names."""


def lacking(sid: str) -> Callable[[dict[str, Any]], None]:
    """A template without a statement of the set-up's role. The function's time is short: a refusal is waited out."""

    def vary(template: dict[str, Any]) -> None:
        without_statement(template, "SetupFunctionRole", sid)
        template["Resources"]["SetupFunction"]["Properties"]["Timeout"] = 24

    return vary


@pytest.mark.parametrize("sid", SETUP)
def test_a_set_up_that_may_not_fails_the_stack_with_the_reason(
    sid: str, deploy: Deploy, trail: Trail, aws: Ministack, request: pytest.FixtureRequest
) -> None:
    """The create is rolled back and says what was refused; with the statement the same stack is made."""
    parameters, reason = SETUP[sid]
    makes_domain = parameters is by_password
    domain: AmazonDomain = request.getfixturevalue("made" if makes_domain else "domain")
    given = of(domain, trail, **parameters(aws, domain))
    if makes_domain:
        del given["OpenSearchEndpoint"], given["OpenSearchDomainArn"]
    with pytest.raises(DeployError, match=rf"DomainSetup CREATE_FAILED .*{reason}"):
        deploy(domain, given, vary=lacking(sid), suffix="-without")
    stack = deploy(domain, given)
    assert stack.index_template()["index_patterns"]


def test_a_set_up_that_may_not_keep_a_backup_replaces_nothing(
    deploy: Deploy, domain: AmazonDomain, trail: Trail, account: Any
) -> None:
    """KeepBackups: an update that would replace an object is rolled back with the reason; with it the backup is there."""
    stack = deploy(domain, of(domain, trail))
    before = stack.index_template()
    with pytest.raises(DeployError, match=r"DomainSetup UPDATE_FAILED .*s3:PutObject"):
        account.deployer.update(
            stack,
            {"RefreshInterval": "20s"},
            vary=lacking("KeepBackups"),
        )
    assert stack.index_template() == before
    account.deployer.update(stack, {"RefreshInterval": "20s"})
    assert stack.index_template() != before
    bucket = stack.physical("QuarantineBucket")
    kept = stack.client("s3").list_objects_v2(Bucket=bucket, Prefix="backups/")["Contents"]
    names = ("cloudtrail-alerts", "cloudtrail")
    assert [one["Key"].rsplit("/", 2)[1:] for one in kept] == [["index-template", f"{name}.json"] for name in names]


def test_a_set_up_that_may_not_import_dashboards_leaves_them_out(
    account: Any, deploy: Deploy, domain: AmazonDomain, trail: Trail
) -> None:
    """ImportDashboards: without it the stack is made all the same, and an output says who was refused and what to do by hand."""
    server = domain.dashboards
    assert server is not None
    stack = deploy(domain, of(domain, trail), vary=lacking("ImportDashboards"))
    assert "es:ESHttpPost is not allowed" in stack.outputs["DashboardsImport"]
    assert "audit-search dashboards export" in stack.outputs["DashboardsImport"]
    assert server.objects == {}
    account.deployer.update(stack, {"RefreshInterval": "20s"})
    assert ("dashboard", "audit-search-overview") in server.objects
    assert stack.outputs["DashboardsImport"].startswith("create: ")


def test_a_set_up_that_may_not_lend_the_role_leaves_the_channel_out(
    account: Any, deploy: Deploy, domain: AmazonDomain, trail: Trail
) -> None:
    """LendChannelRole: without it the stack is made all the same, and the log says what to allow; with it there is a channel."""
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"
    stack = deploy(domain, of(domain, trail, AlertTopicArn=topic), vary=lacking("LendChannelRole"))
    assert domain.notifications.channels == {}
    assert domain.alerting.monitors
    account.deployer.update(stack, {"RefreshInterval": "20s"})
    (channel,) = domain.notifications.channels.values()
    assert channel["sns"]["topic_arn"] == topic


def test_a_watch_that_may_not_list_fails(deploy: Deploy, domain: AmazonDomain, trail: Trail) -> None:
    """ListDigests: the function's error, which raises an alarm; with the statement it answers."""
    stack = deploy(domain, of(domain, trail))
    function = f"{stack.physical('WatchFunction')}:live"
    put_back = stack.without("WatchFunctionRole", "ListDigests")
    answer = stack.client("lambda").invoke(FunctionName=function)
    assert "FunctionError" in answer
    assert b"s3:ListBucket" in answer["Payload"].read()
    put_back()
    answer = stack.client("lambda").invoke(FunctionName=function)
    assert "FunctionError" not in answer, answer["Payload"].read()


PROVEN = {
    "CloudTrailFunctionRole": {*CLOUDTRAIL},
    "ConfigFunctionRole": {*CONFIG, READ_PASSWORD},
    "CausesFunctionRole": {*LINKING, READ_PASSWORD_TO_LINK},
    "SetupFunctionRole": {*SETUP, "KeepBackups", "ImportDashboards", "LendChannelRole"},
    "VerifyFunctionRole": {*VERIFICATION, READ_PASSWORD_TO_VERIFY},
    "WatchFunctionRole": {"ListDigests"},
}


def template_statements() -> Iterator[tuple[str, str]]:
    """Each function's role and each Sid in it, as the template has them."""
    for name, resource in load_template()["Resources"].items():
        if name.endswith("FunctionRole"):
            for policy in resource["Properties"]["Policies"]:
                yield from ((name, sid_of(statement)) for statement in policy["PolicyDocument"]["Statement"])


def test_every_statement_of_the_template_has_its_proof() -> None:
    """A new statement needs a proof, or a reason why only the evaluator is asked about it; none has both."""
    found = set(template_statements())
    assert found == {(role, sid) for role, sids in PROVEN.items() for sid in sids} | {
        (role, sid) for role, sid in found if sid in NOT_ENFORCED
    }
    assert {sid for _, sid in found} >= set(NOT_ENFORCED)
    assert not {sid for sids in PROVEN.values() for sid in sids} & set(NOT_ENFORCED)


@pytest.fixture
def every_statement(
    deploy: Deploy, domain: AmazonDomain, made: AmazonDomain, trail: Trail, aws: Ministack, name: str
) -> list[Stack]:
    """Stacks that have all statements between them, each with AWS Config but that of a collection, which cannot hold it."""
    config = of_config(Channel.make(aws, f"{name}-config", REGION))
    command = {"PrepareDomain": "command", "AlertTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts", **config}
    alone = {"PrepareDomain": "command"}
    vpc = {"VpcId": "vpc-0123456789abcdef0", "VpcSubnetIds": "subnet-0123456789abcdef0", "KmsKeyArns": KEY_ARN}
    collection = {"OpenSearchService": "aoss", "OpenSearchDomainArn": f"arn:aws:aoss:{REGION}:{ACCOUNT}:collection/abc123"}
    new = {"OpenSearchEndpoint": "", "OpenSearchDomainArn": "", **config, **by_password(aws, made)}
    return [
        deploy(domain, of(domain, trail, **as_admin(aws, domain), **vpc, **command), suffix="-vpc"),
        deploy(domain, of(domain, trail, **with_password(aws, domain), **command, IndexPrefix="other-"), suffix="-password"),
        deploy(domain, {**of(domain, trail, **alone), **collection}, suffix="-collection"),
        deploy(made, of(made, trail, **new), suffix="-made"),
    ]


def test_nothing_else_allows_what_a_statement_allows(every_statement: list[Stack]) -> None:
    """Each action on each resource is allowed with the statement, and by no other statement of the role without it."""
    seen = set()
    for stack in every_statement:
        for role in PROVEN:
            for statement in stack.statements(role) if role in stack.resources() else []:
                seen.add((role, statement["Sid"]))
                wanted = [
                    (action, example(resource))
                    for action in texts(statement["Action"])
                    for resource in texts(statement["Resource"])
                ]
                assert all(stack.may(role, *one) for one in wanted), statement
                put_back = stack.without(role, statement["Sid"])
                assert not [one for one in wanted if stack.may(role, *one)], f"{role}: {statement['Sid']} is not needed for this"
                put_back()
    assert seen == set(template_statements())


def texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def example(pattern: str) -> str:
    """A resource that a pattern matches."""
    return pattern.replace("arn:*:", "arn:aws:").replace("*", "something")
