"""The custom resource: whatever happens, CloudFormation has one answer, in time, that a person can act on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from osmem_server import OsmemServer

from functions.setup import app
from tests.support.alerting_endpoints import AlertingEndpoints, NotificationEndpoints
from tests.support.aws import QUARANTINE, Aws, Context
from tests.support.dashboards_server import DashboardsServer
from tests.support.engine_front import Asked, EngineFront, Verdict
from tests.support.tls import Certificate

STACK = "arn:aws:cloudformation:eu-central-1:123456789012:stack/audit-search/5e1a7c10-0000-11f0-0000-000000000000"
PHYSICAL_ID = "audit-search-domain"


@dataclass
class SetupContext(Context):
    """A Lambda context of the set-up function."""

    log_group_name: str = "/aws/lambda/setup"


@dataclass
class CloudFormation:
    """Who calls the function, and takes its answer at a presigned URL."""

    bucket: EngineFront
    engine: EngineFront
    properties: dict[str, Any] = field(default_factory=dict)

    def event(self, kind: str = "Create", **fields: Any) -> dict[str, Any]:
        """A request as CloudFormation sends it."""
        usual = {
            "RequestType": kind,
            "ResponseURL": f"{self.bucket.endpoint}/answers/1?X-Amz-Signature=abc",
            "StackId": STACK,
            "RequestId": "6f0b1c2d",
            "LogicalResourceId": "DomainSetup",
            "ResourceType": "Custom::AuditSearchDomain",
            "ResourceProperties": {
                "ServiceToken": "arn:aws:lambda:eu-central-1:123456789012:function:setup",
                "OPENSEARCH_ENDPOINT": self.engine.endpoint,
                "OPENSEARCH_AUTH": "none",
                "BACKUP_BUCKET": QUARANTINE,
                **self.properties,
            },
        }
        return {**usual, **fields}

    def call(self, kind: str = "Create", remaining: int = 60_000, **fields: Any) -> dict[str, Any]:
        """Call the function; gives its one answer."""
        before = len(self.bucket.asked)
        app.lambda_handler(self.event(kind, **fields), SetupContext(remaining))
        (asked,) = self.bucket.asked[before:]
        answer: dict[str, Any] = asked.body
        assert (asked.method, asked.path, asked.query) == ("PUT", "/answers/1", {"X-Amz-Signature": "abc"})
        assert asked.headers["content-type"] == ""
        assert int(asked.headers["content-length"]) < 4_096
        assert answer["StackId"] == STACK
        assert (answer["RequestId"], answer["LogicalResourceId"]) == ("6f0b1c2d", "DomainSetup")
        return answer


@pytest.fixture
def engine() -> Iterator[EngineFront]:
    """An embedded engine behind a front."""
    with OsmemServer.start(japanese=False) as server, EngineFront(server.url) as front:
        yield front


@pytest.fixture
def bucket() -> Iterator[EngineFront]:
    """CloudFormation's bucket, which takes every answer."""
    with EngineFront() as front:
        front.rules.append(lambda asked: (200, ""))
        yield front


@pytest.fixture
def stack(aws: Aws, engine: EngineFront, bucket: EngineFront, monkeypatch: pytest.MonkeyPatch) -> CloudFormation:
    """A stack whose function has AWS and an engine; its answers are tried again without waiting."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app, "_PAUSE", 0.0)
    return CloudFormation(bucket, engine)


def template(engine: EngineFront) -> dict[str, Any]:
    """The index template that the engine has."""
    status, text = engine.answer(Asked("GET", "/_index_template/cloudtrail", {}, None), "/_index_template/cloudtrail")
    assert status == 200
    found: dict[str, Any] = json.loads(text)["index_templates"][0]["index_template"]
    return found


def test_a_stack_is_made_with_its_domain_set_up(stack: CloudFormation) -> None:
    """The template is there, and the attributes say what was done and what this engine does not offer."""
    answer = stack.call()
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", PHYSICAL_ID)
    data = answer["Data"]
    assert (data["IndexTemplate"], data["Alias"], data["Created"], data["Updated"]) == ("cloudtrail", "cloudtrail", "1", "0")
    assert "ISM policy cloudtrail: this engine has no index state management" in data["LeftOut"]
    assert data["Backups"] == ""
    assert template(stack.engine)["_meta"] == {"managed_by": "audit-search"}


def test_an_update_changes_what_is_new_and_keeps_what_was_there(stack: CloudFormation, aws: Aws) -> None:
    """What is replaced is in the backup bucket first, under the time, the kind and the name; the identity stays the same."""
    stack.call()
    before = template(stack.engine)
    stack.properties = {"REFRESH_INTERVAL": "1m", "BACKUP_PREFIX": "kept/"}
    answer = stack.call("Update", PhysicalResourceId=PHYSICAL_ID)
    assert (answer["Status"], answer["PhysicalResourceId"], answer["Data"]["Updated"]) == ("SUCCESS", PHYSICAL_ID, "1")
    (stored,) = aws.s3.list_objects_v2(Bucket=QUARANTINE)["Contents"]
    assert answer["Data"]["Backups"] == f"s3://{QUARANTINE}/" + stored["Key"].removesuffix("index-template/cloudtrail.json")
    assert stored["Key"].startswith("kept/2")
    assert json.loads(aws.s3.get_object(Bucket=QUARANTINE, Key=stored["Key"])["Body"].read()) == before
    assert template(stack.engine)["template"]["settings"]["index"]["refresh_interval"] == "1m"
    assert stack.call("Update", PhysicalResourceId=PHYSICAL_ID)["Data"]["Unchanged"] == "1"


def test_a_backup_that_cannot_be_kept_leaves_everything_as_it_is(stack: CloudFormation) -> None:
    """Nothing is replaced whose former state would be lost."""
    stack.call()
    before = template(stack.engine)
    stack.properties = {"REFRESH_INTERVAL": "1m", "BACKUP_BUCKET": "no-such-bucket"}
    answer = stack.call("Update")
    assert answer["Status"] == "FAILED"
    assert "NoSuchBucket" in answer["Reason"]
    assert template(stack.engine) == before


def test_the_domain_may_be_administered_by_another_role(stack: CloudFormation) -> None:
    """Requests are signed with the keys of the role that was assumed."""
    role = "arn:aws:iam::123456789012:role/domain-admin"
    stack.properties = {"OPENSEARCH_AUTH": "aws", "DOMAIN_ADMIN_ROLE_ARN": role}
    assert stack.call()["Status"] == "SUCCESS"
    signatures = {asked.headers["authorization"].split("/")[0] for asked in stack.engine.asked}
    assert len(signatures) == 1
    assert "AKIAIOSFODNN7EXAMPLE" not in signatures.pop()
    assert {"x-amz-security-token" in asked.headers for asked in stack.engine.asked} == {True}


def test_lists_are_taken_as_they_come(stack: CloudFormation) -> None:
    """A CommaDelimitedList is a list in the event; numbers are texts."""
    stack.properties = {
        "ADMIN_ROLE_ARNS": ["arn:aws:iam::123456789012:role/a", "arn:aws:iam::123456789012:role/b"],
        "SHARDS": "2",
    }
    assert stack.call()["Status"] == "SUCCESS"
    stack.properties = {"ADMIN_ROLE_ARNS": ["a:b"]}
    assert "ADMIN_ROLE_ARNS is 'a:b'" in stack.call()["Reason"]


def test_a_stack_that_goes_leaves_the_domain_alone(stack: CloudFormation) -> None:
    """Delete is answered with success whatever the properties say, and asks the engine for nothing."""
    stack.properties = {"OPENSEARCH_ENDPOINT": "nonsense"}
    answer = stack.call("Delete", PhysicalResourceId="given-before")
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "given-before")
    assert stack.engine.asked == []


def test_the_dashboards_are_imported_and_what_somebody_edited_is_kept(stack: CloudFormation, aws: Aws) -> None:
    """The backup is lines of JSON, as Dashboards imports them, and the attributes say what was done."""
    dashboards = DashboardsServer()
    stack.engine.rules.append(dashboards)
    data = stack.call()["Data"]
    assert (data["Created"], data["Dashboards"].startswith("create: ")) == ("2", True)
    dashboards.edit("dashboard", "audit-search-overview", title="Ours")
    data = stack.call("Update")["Data"]
    (stored,) = aws.s3.list_objects_v2(Bucket=QUARANTINE)["Contents"]
    where = f"s3://{QUARANTINE}/{stored['Key']}"
    assert data["Dashboards"] == f"update: 1 edited; 1 of 1 imported; what was there before: {where}"
    assert stored["Key"].endswith("/saved-objects/audit-search.ndjson")
    kept = json.loads(aws.s3.get_object(Bucket=QUARANTINE, Key=stored["Key"])["Body"].read())
    assert kept["attributes"]["title"] == "Ours"


def test_a_stack_may_leave_the_dashboards_alone(stack: CloudFormation) -> None:
    """Then the attribute says so: an output must not be empty."""
    stack.properties = {"DASHBOARDS": "false"}
    assert stack.call()["Data"]["Dashboards"] == "left alone"


def test_dashboards_that_are_refused_do_not_fail_the_stack(stack: CloudFormation) -> None:
    """What to do by hand is in an attribute of its own, and among what was left out."""
    stack.engine.rules.append(lambda asked: (403, {"message": "no"}) if asked.path.startswith("/_dashboards") else None)
    answer = stack.call()
    assert answer["Status"] == "SUCCESS"
    assert "audit-search dashboards export --file audit-search.ndjson" in answer["Data"]["Dashboards"]
    assert "saved objects audit-search: " in answer["Data"]["LeftOut"]


def test_channel_and_monitors_are_made_with_the_topic_of_the_stack(stack: CloudFormation, aws: Aws) -> None:
    """A second run changes nothing; what somebody edited is a backup in the bucket."""
    alerting, notifications = AlertingEndpoints(), NotificationEndpoints()
    stack.engine.rules += [alerting, notifications]
    stack.properties |= {"ALERT_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:alerts", "ALERT_ROLE_ARN": ROLE}
    made = int(stack.call()["Data"]["Created"])
    assert notifications.channels["cloudtrail-alerts"]["sns"]["role_arn"] == ROLE
    assert made == 2 + len(alerting.monitors) > 8
    assert stack.call("Update")["Data"]["Updated"] == "0"
    alerting.named("sign-in-failures")["enabled"] = False
    assert stack.call("Update")["Data"]["Updated"] == "1"
    (stored,) = aws.s3.list_objects_v2(Bucket=QUARANTINE)["Contents"]
    assert stored["Key"].endswith("/monitor/cloudtrail-sign-in-failures.json")


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_all_wrong_properties_are_in_one_reason(stack: CloudFormation) -> None:
    """Nobody has to deploy twice to find two mistakes; the reason ends with where the log is."""
    stack.properties = {"OPENSEARCH_ENDPOINT": "search", "SHARDS": "many", "BACKUP_BUCKET": ""}
    reason = stack.call()["Reason"]
    assert "OPENSEARCH_ENDPOINT is 'search'" in reason
    assert "SHARDS is 'many'" in reason
    assert reason.endswith("(log group /aws/lambda/setup)")
    stack.properties = {"BACKUP_BUCKET": ""}
    assert "BACKUP_BUCKET is missing" in stack.call()["Reason"]


def foreign(asked: Asked) -> Verdict:
    """A template of our name that is not ours."""
    theirs = {"index_template": {"index_patterns": ["cloudtrail-*"], "priority": 1}}
    return (200, {"index_templates": [theirs]}) if asked.path == "/_index_template/cloudtrail" else None


def denied(_asked: Asked) -> Verdict:
    """A domain whose access policy lets nobody in."""
    session = "arn:aws:sts::123456789012:assumed-role/setup/setup"
    return 403, {
        "Message": f"User: {session} is not authorized to perform: es:ESHttpGet because no resource-based policy allows it"
    }


def unmapped(asked: Asked) -> Verdict:
    """A domain that lets us in and whose roles do not."""
    reason = f"no permissions for [x] and User [name={ROLE}, backend_roles=[{ROLE}], requestedTenant=null]"
    return (403, {"error": {"type": "security_exception", "reason": reason}}) if asked.path.startswith("/_") else None


ROLE = "arn:aws:iam::123456789012:role/setup"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (foreign, ["Nothing was changed", "index template 'cloudtrail'", "choose another INDEX_PREFIX"]),
        (denied, ["not ready after", "Amazon refuses", "for arn:aws:iam::123456789012:role/setup"]),
        (unmapped, [f"fine-grained access control refuses {ROLE}", "DomainAdminRoleArn="]),
        (lambda asked: (503, "starting"), ["not ready after", "HTTP 503: starting"]),
        (lambda asked: (200, "<html>log in</html>"), ["is not OpenSearch"]),
        (lambda asked: (400, {"error": "odd"}) if asked.method == "PUT" else None, ["cannot be put in place", "HTTP 400: odd"]),
        (
            lambda asked: (200, {"index_templates": 5}) if "_template" in asked.path else None,
            ["does not answer as OpenSearch does"],
        ),
    ],
    ids=["foreign template", "access policy", "role mapping", "unavailable", "another product", "refused write", "odd answer"],
)
def test_what_the_engine_refuses_is_the_reason(stack: CloudFormation, rule: Callable[[Asked], Verdict], says: list[str]) -> None:
    """The stack's events say who was refused, or what is in the way, and what to do."""
    stack.engine.rules.append(rule)
    answer = stack.call(remaining=4_000)
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", PHYSICAL_ID)
    for part in says:
        assert part in answer["Reason"]


def test_a_reason_is_bounded(stack: CloudFormation) -> None:
    """CloudFormation takes 4,096 bytes for the whole answer, and more would hang the stack."""
    stack.engine.rules.append(lambda asked: (403, {"message": "ü" * 5_000}) if asked.method == "PUT" else None)
    stack.properties = {"ADMIN_ROLE_ARNS": ",".join(f"a:{'ü' * 200}{number}" for number in range(40))}
    reason = stack.call()["Reason"]
    assert len(reason.encode()) < 1_100
    assert reason.endswith("… (log group /aws/lambda/setup)")


def test_an_engine_that_does_not_answer_is_named_in_time(stack: CloudFormation) -> None:
    """A route that is not there, a security group: connections hang, and the reason says where."""
    with EngineFront() as gone:
        address = gone.endpoint
    stack.properties = {"OPENSEARCH_ENDPOINT": address}
    assert f"{address} cannot be reached" in stack.call(remaining=3_000)["Reason"]


@pytest.mark.parametrize("method", ["GET", "PUT"], ids=["from the start", "in the middle"])
def test_work_that_hangs_is_answered_for(stack: CloudFormation, method: str) -> None:
    """An answer that never ends holds the work for ever: a timer answers, and nothing that comes later answers again."""
    hang = stack.engine.dripping.set
    stack.engine.rules.append(lambda asked: hang() if asked.method == method and not stack.bucket.asked else None)
    stack.bucket.rules.insert(0, lambda asked: stack.engine.dripping.clear())  # once there is an answer, the engine ends its own
    answer = stack.call(remaining=2_000)
    assert answer["Status"] == "FAILED"
    assert "hung, and was given up after 2 s" in answer["Reason"]


def test_a_part_of_the_layer_that_is_missing_is_answered_for(stack: CloudFormation, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that fails is a reason like any other."""
    monkeypatch.setitem(sys.modules, "audit_search.domain.setup", None)
    answer = stack.call()
    assert answer["Status"] == "FAILED"
    assert "audit_search.domain.setup" in answer["Reason"]


@pytest.mark.parametrize("kind", ["", "create", "Replace", None, 5])
def test_a_request_of_no_known_type_fails(stack: CloudFormation, kind: Any) -> None:
    """It is answered, and does nothing."""
    answer = stack.call(kind)
    assert (answer["Status"], stack.engine.asked) == ("FAILED", [])
    assert f"RequestType is {kind!r}" in answer["Reason"]


@pytest.mark.parametrize("properties", [None, [], "x", 5])
def test_properties_that_are_none_fail(stack: CloudFormation, properties: Any) -> None:
    """Whatever stands there, there is an answer."""
    assert stack.call(ResourceProperties=properties)["Status"] == "FAILED"


@pytest.mark.parametrize(
    "event", [{}, {"ResponseURL": None}, {"ResponseURL": "file:///etc/passwd"}, {"ResponseURL": ""}, [], None]
)
def test_an_event_that_asks_for_no_answer_is_an_error(event: Any) -> None:
    """Somebody called the function by hand; there is nobody to answer."""
    with pytest.raises(ValueError, match="the event has no ResponseURL"):
        app.lambda_handler(event, SetupContext())


def test_an_odd_stack_has_an_answer_too(stack: CloudFormation) -> None:
    """Without an id of the stack the resource still has a name."""
    app.lambda_handler(stack.event("Delete", StackId="odd"), SetupContext())
    assert stack.bucket.asked[-1].body["PhysicalResourceId"] == PHYSICAL_ID


# --- the answer's own way ---------------------------------------------------------------------------------------------


def test_an_answer_is_tried_again(stack: CloudFormation) -> None:
    """A bucket that is busy takes it the third time."""
    refusals = [(503, "busy"), (500, "")]
    stack.bucket.rules.insert(0, lambda asked: refusals.pop() if refusals else None)
    app.lambda_handler(stack.event("Delete"), SetupContext())
    assert [asked.body["Status"] for asked in stack.bucket.asked] == ["SUCCESS"] * 3


def test_an_answer_that_nobody_takes_fails_the_invocation(stack: CloudFormation) -> None:
    """Then Lambda calls the function again, which does no harm."""
    stack.bucket.rules.insert(0, lambda asked: (403, "expired"))
    with pytest.raises(OSError, match="CloudFormation did not take the answer"):
        app.lambda_handler(stack.event("Delete"), SetupContext())
    assert len(stack.bucket.asked) == 5


def test_answers_go_by_https(stack: CloudFormation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudFormation's URL is https, and its certificate is checked."""
    certificate = Certificate.make(tmp_path)
    with EngineFront(certificate=certificate) as bucket:
        bucket.rules.append(lambda asked: (200, ""))
        stack.bucket = bucket
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            app.lambda_handler(stack.event("Delete"), SetupContext())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
        assert stack.call("Delete")["Status"] == "SUCCESS"


def test_nothing_secret_is_logged(
    stack: CloudFormation, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each change has a line; the presigned URL, which is a key to the bucket, has none."""
    stack.call()
    app.lambda_handler(stack.event("odd"), SetupContext())
    lines = [(vars(record).get("object"), vars(record).get("action")) for record in caplog.records]
    assert ("cloudtrail", "create") in lines
    said = caplog.text + "".join(capfd.readouterr()) + str([vars(record) for record in caplog.records])
    assert "X-Amz-Signature" not in said
