"""The house rules of the template, which no linter knows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from audit_search.domain.settings import DomainSettings
from audit_search.settings import ConfigSettings, Settings, VerifySettings, WatchSettings, WriterSettings
from tests.support.building import ROOT, TEMPLATE
from tests.support.templates import Evaluated, as_list, resources, statements

REQUIRED = {
    "OPENSEARCH_ENDPOINT": "https://search-audit.eu-central-1.es.amazonaws.com",
    "ALLOWED_BUCKETS": "trail-bucket",
    "QUARANTINE_BUCKET": "quarantine-bucket",
}
"""The settings that have no default."""

ALARMS = {"Fn::If": ["MakesAlarmTopic", {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}]}
"""Where people hear of what happened."""

POWERTOOLS = "POWERTOOLS_SERVICE_NAME"
"""Read by the library that writes logs and metrics, not by settings of ours."""

Read = Callable[[Mapping[str, str]], object]

WRITERS: list[tuple[str, Callable[[Mapping[str, str]], WriterSettings]]] = [
    ("CloudTrail", Settings.from_env),
    ("Config", ConfigSettings.from_env),
]
"""What the names of a writing function's resources begin with, and its settings."""

READERS: list[tuple[str, Read]] = [*WRITERS, ("Verify", VerifySettings.from_env)]
"""The same, with the function that reads what was written."""


def access_policy(template: dict[str, Any]) -> list[Any]:
    """The statements of the domain's access policy, with their conditions."""
    found: list[Any] = template["Resources"]["Domain"]["Properties"]["AccessPolicies"]["Statement"]
    return found


def environment(template: dict[str, Any], function: str = "CloudTrailFunction") -> dict[str, Any]:
    variables: dict[str, Any] = template["Resources"][function]["Properties"]["Environment"]["Variables"]
    return {name: value for name, value in variables.items() if name != POWERTOOLS}


class Recorder(dict[str, str]):
    """An environment that keeps which variables were asked for."""

    asked: set[str]

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked = set()

    def get(self, name: str, default: Any = None) -> Any:
        """As a dict does."""
        self.asked.add(name)
        return super().get(name, default)


def read_by(settings: Callable[[Mapping[str, str]], object], **values: str) -> set[str]:
    """The variables that some settings read."""
    recorder = Recorder({**REQUIRED, **values})
    settings(recorder)
    return recorder.asked


def test_every_parameter_is_described_constrained_and_grouped(template: dict[str, Any]) -> None:
    """Each parameter says what it is, refuses what cannot be right, and has one place in the console's form."""
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [parameter for group in interface["ParameterGroups"] for parameter in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    free = {"OpenSearchUsername"}  # any name is a user's name
    assert len(grouped) == len(set(grouped))
    for name, parameter in template["Parameters"].items():
        assert re.fullmatch(r"\w.{20,}\.", parameter["Description"]), name
        assert name in free or {"AllowedValues", "AllowedPattern", "MinValue"} & set(parameter), name
        assert "AllowedPattern" not in parameter or "ConstraintDescription" in parameter, name


def test_every_default_passes_its_own_constraint(template: dict[str, Any]) -> None:
    """A parameter that is left alone is accepted."""
    for name, parameter in template["Parameters"].items():
        if "Default" in parameter:
            default = parameter["Default"]
            assert re.search(parameter.get("AllowedPattern", ""), str(default)), name
            assert default in parameter.get("AllowedValues", [default]), name
            assert parameter.get("MinValue", default) <= default <= parameter.get("MaxValue", default), name


@pytest.mark.parametrize(
    ("parameter", "accepted", "refused"),
    [
        ("OpenSearchEndpoint", "https://search-a.eu-central-1.es.amazonaws.com", "http://search-a.eu-central-1.es.amazonaws.com"),
        ("OpenSearchEndpoint", "http://127.0.0.1:9200", "http://127.0.0.1.example.com"),
        ("OpenSearchEndpoint", "https://node:9200/", "https://user:password@node"),
        (
            "OpenSearchDomainArn",
            "arn:aws:es:eu-central-1:123456789012:domain/audit",
            "arn:aws:es:eu-central-1:123456789012:domain/audit/*",
        ),
        ("OpenSearchDomainArn", "arn:aws:aoss:eu-central-1:123456789012:collection/abc123", "*"),
        ("TrailBucketNames", "my-trail.logs-1", "s3://my-trail"),
        ("TrailTopicArn", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:trail", "trail"),
        (
            "KmsKeyArns",
            "arn:aws:kms:eu-central-1:123456789012:key/mrk-1234abcd",
            "arn:aws:kms:eu-central-1:123456789012:alias/trail",
        ),
        (
            "OpenSearchPasswordSecretArn",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:audit/writer-AbCdEf",
            "audit/writer",
        ),
        ("IndexPrefix", "acme-", "Acme-"),
        ("ExclusionRules", '[{"eventSource": "kms.amazonaws.com"}]', "none"),
        ("TrailBucketAccount", "123456789012", "1234"),
        ("ConfigTopicArns", "arn:aws:sns:eu-west-1:123456789012:config", "arn:aws:sns:eu-west-1:123456789012:config.fifo"),
        ("ConfigSenders", "123456789012", "12345678901"),
        ("ConfigSenders", "o-a1b2c3d4e5", "ou-a1b2-c3d4e5f6"),
        ("ConfigBucketNames", "my-config.logs-1", "s3://my-config"),
        ("ConfigPrefix", "security/config", "security/config/"),
        ("ConfigBucketAccount", "123456789012", "1234"),
        ("OrganizationId", "o-a1b2c3d4e5", "a1b2c3d4e5"),
        ("TrailPrefix", "security/trail", "security/trail/"),
        ("TrailPrefix", "o-a1b2c3d4e5", "/security"),
        ("DomainAdminRoleArn", "arn:aws:iam::123456789012:role/admins/domain-admin", "arn:aws:iam::123456789012:user/admin"),
        ("DomainName", "audit-search", "Audit"),
        ("DataNodeType", "r7g.large.search", "r7g.large"),
        ("DomainKmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:key/1234abcd", "alias/domain"),
        ("AdminEmail", "alice@example.com", "alice"),
        ("AlarmEmail", "alice@example.com", "alice@example"),
        ("SamlEntityId", "https://idp.example.com/saml", "a b"),
        ("SamlMetadata", "<EntityDescriptor/>", "https://idp.example.com/metadata"),
        ("SamlAdminRole", "Domain Admins", "admins,others"),
        ("SamlAnalystRole", "Analysts", "a'b"),
        ("SamlRolesKey", "http://schemas.xmlsoap.org/claims/Group", "a b"),
        ("AllowedCidrs", "198.51.100.0/24", "198.51.100.1"),
        ("AdminRoleArns", "arn:aws:iam::123456789012:role/admin", "arn:aws:sts::123456789012:assumed-role/admin/alice"),
        ("AnalystRoleArns", "arn:aws:iam::123456789012:role/analyst", "analyst"),
        ("VpcId", "vpc-0a1b2c3d4e5f60718", "0a1b2c3d"),
        ("VpcSubnetIds", "subnet-0a1b2c3d4e5f60718", "vpc-0a1b2c3d4e5f60718"),
        ("VpcRouteTableIds", "rtb-0a1b2c3d4e5f60718", "rt-1"),
        ("DomainSecurityGroupId", "sg-0a1b2c3d4e5f60718", "default"),
        ("RefreshInterval", "30s", "30"),
        ("Replicas", "fit", "-1"),
        ("AlarmTopicArn", "arn:aws:sns:eu-central-1:123456789012:ops", "ops"),
    ],
)
def test_parameters_take_what_is_right_and_nothing_else(
    template: dict[str, Any], parameter: str, accepted: str, refused: str
) -> None:
    """A typing mistake is refused before anything is deployed."""
    pattern = template["Parameters"][parameter]["AllowedPattern"]
    assert re.search(pattern, accepted)
    assert not re.search(pattern, refused)


def test_the_environment_is_the_settings(template: dict[str, Any]) -> None:
    """Every variable that the settings read is set by the template, and it sets no other."""
    for kind, settings in READERS:
        assert set(environment(template, f"{kind}Function")) == read_by(settings)
    assert set(environment(template, "WatchFunction")) == read_by(WatchSettings.from_env)
    assert environment(template, "SetupFunction") == {}


def test_the_properties_of_the_set_up_are_its_settings(template: dict[str, Any]) -> None:
    """What the custom resource says is what the set-up reads; the layer among it makes changed definitions run it again."""
    properties = dict(template["Resources"]["DomainSetup"]["Properties"])
    assert properties.pop("ServiceToken") == {"Ref": "SetupFunction.Alias"}
    assert properties.pop("Definitions") == {"Ref": "AuditSearchLayer"}
    timeout = template["Resources"]["SetupFunction"]["Properties"]["Timeout"]
    assert timeout < properties.pop("ServiceTimeout") <= 3_600
    assert set(properties) == read_by(DomainSettings.from_env, REPLICAS="1")


def test_each_function_names_its_logs_and_metrics_after_the_stack(template: dict[str, Any]) -> None:
    """Two stacks of one account and region do not add their metrics up, nor share a log."""
    for name, function in resources(template, "AWS::Serverless::Function").items():
        variables = function["Properties"]["Environment"]["Variables"]
        suffix = name.removesuffix("Function").lower()
        assert variables[POWERTOOLS] == {"Fn::Sub": "${AWS::StackName}-" + suffix}
        group = template["Resources"][f"{name}Logs"]["Properties"]["LogGroupName"]
        assert group == {"Fn::Sub": "/aws/lambda/${AWS::StackName}-" + suffix}


@pytest.mark.parametrize(("kind", "settings"), READERS)
def test_defaults_of_the_template_are_the_defaults_of_the_settings(template: dict[str, Any], kind: str, settings: Read) -> None:
    """A stack whose parameters are left alone works like a function whose variables are not set, but for signing in."""
    values = {}
    for name, value in environment(template, f"{kind}Function").items():
        named = value.get("Ref") if isinstance(value, dict) else None
        parameter = template["Parameters"].get(named, {"Default": value})
        default = parameter.get("Default") if name not in REQUIRED else None
        if name not in ("TRAIL_QUEUE_URL", "ALERT_TOPIC_ARN", "DASHBOARDS_URL"):  # empty by default, made by the stack
            values[name] = str(default) if isinstance(default, str | int) else REQUIRED[name]
    assert settings(values) == settings(REQUIRED)


@pytest.mark.parametrize(("kind", "settings"), READERS)
@pytest.mark.parametrize("bound", ["MinValue", "MaxValue"])
def test_the_settings_take_every_number_that_the_template_takes(
    template: dict[str, Any], bound: str, kind: str, settings: Read
) -> None:
    """No number passes the template's check only to stop the function when it starts."""
    numbers = {}
    for name, value in environment(template, f"{kind}Function").items():
        parameter = template["Parameters"].get(value.get("Ref"), {}) if isinstance(value, dict) else {}
        if parameter.get("Type") == "Number":
            choices = sorted(filter(None, parameter.get("AllowedValues", [])))  # with 0 there is no function
            ends = {"MinValue": choices[0], "MaxValue": choices[-1]} if choices else parameter
            numbers[name] = str(ends[bound])
    assert len(numbers) >= 4
    settings({**REQUIRED, **numbers})


@pytest.mark.parametrize("kind", ["CloudTrail", "Config"])
def test_a_message_is_invisible_for_six_timeouts(template: dict[str, Any], kind: str) -> None:
    """A message that is being worked on is not handed out again."""
    timeout = template["Resources"][f"{kind}Function"]["Properties"]["Timeout"]
    assert template["Resources"][f"{kind}Queue"]["Properties"]["VisibilityTimeout"] >= 6 * timeout
    assert timeout == 300


def test_an_outage_does_not_fill_the_dead_letter_queue(template: dict[str, Any]) -> None:
    """A message may be received more than a hundred times, and all queues keep it as long as SQS can, encrypted."""
    queues = resources(template, "AWS::SQS::Queue")
    for kind, _ in WRITERS:
        redrive = queues[f"{kind}Queue"]["Properties"]["RedrivePolicy"]
        assert redrive["maxReceiveCount"] >= 100
        assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [f"{kind}DeadLetterQueue", "Arn"]}
    for queue in queues.values():
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert queue["Properties"]["SqsManagedSseEnabled"] is True


def test_a_change_in_a_layer_alone_reaches_the_alias(template: dict[str, Any]) -> None:
    """Layers publish a version of their functions, and the alias follows every property of the function."""
    assert template["Globals"]["Function"]["AutoPublishAlias"] == "live"
    for layer in resources(template, "AWS::Serverless::LayerVersion").values():
        assert layer["Properties"]["PublishLambdaVersion"] is True
    for function in resources(template, "AWS::Serverless::Function").values():
        assert function["Properties"]["AutoPublishAliasAllProperties"] is True


def test_each_function_has_a_log_with_an_end_and_a_destination_for_failures(template: dict[str, Any]) -> None:
    """Logs do not grow for ever, an event that fails for good is kept, and a failed set-up or watch is reported to people."""
    for name, function in resources(template, "AWS::Serverless::Function").items():
        group = template["Resources"][function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        assert group["Properties"]["KmsKeyId"] == {"Fn::GetAtt": ["Key", "Arn"]}
        failure = function["Properties"]["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
        kind = name.removesuffix("Function")
        if kind in dict(WRITERS):
            assert failure == {"Type": "SQS", "Destination": {"Fn::GetAtt": [f"{kind}Queue", "Arn"]}}
        else:
            assert failure == {"Type": "SNS", "Destination": ALARMS}


@pytest.mark.parametrize("kind", ["CloudTrail", "Config"])
def test_the_queue_reports_each_message_by_itself(template: dict[str, Any], kind: str) -> None:
    """One bad message does not bring its neighbours back, and the load on the engine is bounded."""
    source = template["Resources"][f"{kind}EventSource"]["Properties"]
    assert source["EventSourceArn"] == {"Fn::GetAtt": [f"{kind}Queue", "Arn"]}
    assert source["FunctionName"] == {"Ref": f"{kind}Function.Alias"}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BatchSize"] == 10
    assert source["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}


HOLDS_DATA = {
    "AWS::S3::Bucket",
    "AWS::OpenSearchService::Domain",
    "AWS::SecretsManager::Secret",
    "AWS::Cognito::UserPool",
    "AWS::IAM::ServiceLinkedRole",  # other domains of the account need it
}


def test_what_holds_data_outlives_the_stack(template: dict[str, Any]) -> None:
    """It stays when the stack goes, but not when its creation is rolled back; and the stack says what stays."""
    kept = template["Outputs"]["KeptAfterDelete"]["Value"]
    for name, resource in template["Resources"].items():
        if resource["Type"] in HOLDS_DATA:
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
            assert resource["UpdateReplacePolicy"] == "Retain", name
            assert name == "OpenSearchServiceLinkedRole" or name in str(kept), name
        else:
            assert "Retain" not in str(resource.get("DeletionPolicy")), name
    assert "KeptAfterDelete" in template["Description"]


def test_buckets_are_private_encrypted_and_versioned(template: dict[str, Any]) -> None:
    """All buckets, and only those whose names policies need have a name."""
    for name, bucket in resources(template, "AWS::S3::Bucket").items():
        assert ("BucketName" in bucket["Properties"]) == (name in ("TrailBucket", "ConfigBucket"))
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}


def test_the_domain_is_safe_by_default(template: dict[str, Any]) -> None:
    """Encrypted, HTTPS from TLS 1.2 on, fine-grained access control, gp3, three nodes in as many zones, upgraded in place."""
    domain = template["Resources"]["Domain"]
    properties = domain["Properties"]
    assert domain["UpdatePolicy"] == {"EnableVersionUpgrade": True}
    assert properties["DomainName"] == {"Ref": "DomainName"}
    assert properties["EncryptionAtRestOptions"]["Enabled"] is True
    assert properties["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    assert properties["DomainEndpointOptions"]["EnforceHTTPS"] is True
    assert properties["DomainEndpointOptions"]["TLSSecurityPolicy"].startswith("Policy-Min-TLS-1-2")
    assert properties["AdvancedSecurityOptions"]["Enabled"] is True
    assert properties["EBSOptions"]["VolumeType"] == "gp3"
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    assert (defaults["DataNodeCount"], defaults["AvailabilityZones"], defaults["Replicas"]) == (3, 3, "fit")
    assert defaults["EngineVersion"] == "OpenSearch_2.19"
    assert not defaults["DataNodeType"].startswith("t")


@pytest.mark.parametrize(
    ("auth", "sids"),
    [
        ("cognito", {"CognitoSignsForBrowsers"}),
        ("saml", {"BrowsersComeToTheIdentityProvider"}),
        ("internal", {"BrowsersHaveAPassword", "SetUpHasThePassword"}),
        ("none", set()),
    ],
)
def test_each_way_to_sign_in_has_its_own_access_policy(template: dict[str, Any], auth: str, sids: set[str]) -> None:
    """A browser is let in as the way to sign in needs it, and in no other way."""
    conditions = template["Conditions"]
    holding = {
        name
        for name in ("ByCognito", "BySaml", "ByPassword")
        if {"Fn::Equals": [{"Ref": "DashboardsAuth"}, auth]} in conditions[name]["Fn::And"]
    }
    always = {"ThisAccountSigns", "AdminsSign", "AnalystsSign"}
    found = set()
    for statement in access_policy(template):
        condition, chosen = statement["Fn::If"][:2] if "Fn::If" in statement else ("", statement)
        if condition in ("", "HasAdmins", "HasAnalysts", *holding):
            found.add(chosen["Sid"])
    assert found == always | sids
    assert template["Parameters"]["DashboardsAuth"]["AllowedValues"] == ["cognito", "saml", "internal", "none"]


def set_up_paths(template: dict[str, Any]) -> set[str]:
    """The paths of a domain of the stack's own that the set-up's role may ask for."""
    (found,) = [one for name, one in statements(template) if name == "SetupFunctionRole" and one.get("Sid") == "PrepareDomain"]
    return {path["Fn::Sub"].split("${DomainName}")[1] for path in found["Resource"]["Fn::If"][2]}


def test_a_door_that_is_open_to_browsers_asks_the_network(template: dict[str, Any]) -> None:
    """Nobody is let in without a signature but where the networks are bounded, or the identity provider asks."""
    for statement in access_policy(template):
        chosen = statement["Fn::If"][1] if "Fn::If" in statement else statement
        if chosen["Sid"] == "SetUpHasThePassword":
            asked = {path["Fn::Sub"].split("${DomainName}")[1] for path in chosen["Resource"]}
            imports = {f"/_dashboards/api/saved_objects/{name}" for name in ("_bulk_get", "_import")}
            plugins = {"/_plugins/_alerting/monitors*", "/_plugins/_notifications/configs*"}
            events = {path.replace("cloudtrail*", "cloudtrail-2*") for path in set_up_paths(template)}
            assert asked == events | {"/${IndexPrefix}cloudtrail-alerts/*"} | imports | plugins
            assert not any("_search" in path for path in asked)
        elif chosen["Principal"] == {"AWS": "*"}:
            networks = {"IpAddress": {"aws:SourceIp": {"Ref": "AllowedCidrs"}}}
            assert chosen["Condition"] == {"Fn::If": ["HasCidrs", networks, {"Ref": "AWS::NoValue"}]}
    assert "APasswordIsNotForTheWholeWorld" in template["Rules"]


def test_nothing_is_allowed_by_wildcard(template: dict[str, Any]) -> None:
    """Each permission names its actions and its resources; roles are written by hand, without managed policies."""
    for name, statement in statements(template):
        if statement["Effect"] == "Deny":
            continue
        for action in as_list(statement["Action"]):
            assert "*" not in action, (name, action)
        for resource in as_list(statement.get("Resource", [])):
            assert resource != "*" or statement["Sid"] in ("JoinVpc", "ReadPublicKeys"), (name, statement["Sid"])
    for function in resources(template, "AWS::Serverless::Function").values():
        assert "Policies" not in function["Properties"]
        assert "ManagedPolicyArns" not in template["Resources"][function["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]


def test_each_wildcard_resource_has_its_reason_beside_it() -> None:
    """Where a statement allows something on every resource, the line says why."""
    lines = TEMPLATE.read_text("utf-8").splitlines()
    keys = [number for number, line in enumerate(lines) if line.strip() == "KeyPolicy:"]
    for number, line in enumerate(lines):
        if re.match(r"\s+Resource: '\*'", line) and not any(key < number < key + 35 for key in keys):
            assert re.search(r"# \S.{20,}", line), f"line {number + 1}: {line}"


def test_every_statement_of_a_role_has_a_name(template: dict[str, Any]) -> None:
    """A statement's Sid says what it is for, once in each role."""
    for name, resource in resources(template, "AWS::IAM::Role").items():
        found = [statement for owner, statement in statements({"Resources": {name: resource}}) if "Principal" not in statement]
        sids = [statement["Sid"] for statement in found]
        assert len(sids) == len(set(sids)), name
        assert all(sids), name


def test_only_its_own_senders_reach_the_queue_and_only_over_tls(template: dict[str, Any]) -> None:
    """A service may send only for a source that the stack names, and nobody comes in without TLS."""
    policies = {**resources(template, "AWS::SQS::QueuePolicy"), **resources(template, "AWS::S3::BucketPolicy")}
    guarded = set()
    for policy in policies.values():
        properties = policy["Properties"]
        guarded |= {target["Ref"] for target in as_list(properties.get("Queues", properties.get("Bucket")))}
    assert guarded == set(resources(template, "AWS::SQS::Queue")) | set(resources(template, "AWS::S3::Bucket"))
    for name in policies:
        found = [statement for owner, statement in statements(template) if owner == name]
        denied = [statement for statement in found if statement["Effect"] == "Deny"]
        assert [statement["Condition"] for statement in denied] == [{"Bool": {"aws:SecureTransport": "false"}}], name
        for statement in found:
            if statement["Effect"] == "Allow":
                # AWS Config delivers for an account, and names no source but that.
                source = "aws:SourceAccount" if statement["Principal"] == {"Service": "config.amazonaws.com"} else "aws:SourceArn"
                assert any(source in tests for tests in statement["Condition"].values()), (name, statement["Sid"])


def test_a_topic_that_cannot_deliver_leaves_its_message_in_the_dead_letter_queue(template: dict[str, Any]) -> None:
    """A subscription has a place for what it cannot deliver, and that place lets the topic in."""
    for name, subscription in resources(template, "AWS::SNS::Subscription").items():
        if subscription["Properties"]["Protocol"] == "email":
            continue
        kind = subscription["Properties"]["Endpoint"]["Fn::GetAtt"][0].removesuffix("Queue")
        assert subscription["DependsOn"] == [f"{kind}QueuePolicy", f"{kind}DeadLetterQueuePolicy"], name
        dead = {"Fn::GetAtt": [f"{kind}DeadLetterQueue", "Arn"]}
        assert subscription["Properties"]["RedrivePolicy"]["deadLetterTargetArn"] == dead, name


def test_the_function_may_call_exactly_the_paths_that_it_calls(template: dict[str, Any]) -> None:
    """Of the domain's HTTP API a writer may make the bulk request, read documents by id (CloudTrail's where it tells of alerts)
    and the index templates, AWS Config's also searches the latest states, the verification looks CloudTrail's documents up,
    the linking reads both;
    nobody may delete."""
    allowed: dict[str, set[tuple[str, str]]] = {}
    for name, statement in statements(template):
        if "Function" in name:
            for action in as_list(statement["Action"]):
                if action.startswith("es:"):
                    for choice in (each for some in statement["Resource"]["Fn::If"][1:] for each in as_list(some)):
                        path = re.sub(r"\$\{OpenSearchDomainArn\}|.*domain/\$\{DomainName\}", "", choice["Fn::Sub"])
                        allowed.setdefault(name, set()).add((action, path))
    assert allowed["CloudTrailFunctionRole"] == {
        ("es:ESHttpPost", "/_bulk"),
        ("es:ESHttpPost", "/_mget"),
        ("es:ESHttpGet", "/_index_template/*"),
    }
    assert allowed["ConfigFunctionRole"] == {
        *allowed["CloudTrailFunctionRole"],
        ("es:ESHttpPost", "/${IndexPrefix}config-current*/_search"),
    }
    assert {action for action, _ in allowed["SetupFunctionRole"]} == {"es:ESHttpGet", "es:ESHttpPut", "es:ESHttpPost"}
    assert not {path for _, path in allowed["SetupFunctionRole"]} & {"/*", "*"}
    assert allowed["VerifyFunctionRole"] == {
        ("es:ESHttpPost", "/_mget"),
        ("es:ESHttpPost", "/${IndexPrefix}cloudtrail-2*/_search"),
    }
    assert allowed["CausesFunctionRole"] == {
        *allowed["CloudTrailFunctionRole"],
        ("es:ESHttpPost", "/_mget"),
        *(("es:ESHttpPost", f"/${{IndexPrefix}}{kind}-2*/_search") for kind in ("cloudtrail", "config-history", "config-causes")),
    }
    functions = ("CloudTrail", "Config", "Setup", "Verify", "Causes")
    assert set(allowed) == {f"{name}FunctionRole" for name in functions}


ALARMED = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
    ("AWS/Lambda", "Errors"),
    ("AWS/Lambda", "Throttles"),
    ("AuditSearch", "Quarantined"),
    ("AuditSearch", "AlertsFailed"),
    ("AWS/SNS", "NumberOfNotificationsFailed"),
    ("AWS/Events", "FailedInvocations"),
    ("AuditSearch", "DigestAge"),
    ("AuditSearch", "MissingFiles"),
    ("AuditSearch", "ChangedFiles"),
    ("AuditSearch", "InvalidDigests"),
    ("AuditSearch", "UnreadFiles"),
    ("AWS/ES", "ClusterStatus.red"),
    ("AWS/ES", "FreeStorageSpace"),
    ("AWS/ES", "ClusterIndexWritesBlocked"),
}


def test_each_trouble_has_its_alarm_and_each_alarm_its_page(template: dict[str, Any]) -> None:
    """Alarms tell people when they begin and when they end, and name a section of the runbook that exists."""
    alarms = resources(template, "AWS::CloudWatch::Alarm")
    assert {(alarm["Properties"]["Namespace"], alarm["Properties"]["MetricName"]) for alarm in alarms.values()} == ALARMED
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs/runbook.md").read_text("utf-8"), re.MULTILINE)
    for name, alarm in alarms.items():
        properties = alarm["Properties"]
        assert properties["AlarmActions"] == properties["OKActions"] == [ALARMS], name
        section = properties["AlarmDescription"].split("Runbook, ")[1]
        assert section.casefold() in (heading.casefold() for heading in headings), (name, section)


def test_metrics_that_alarms_and_dashboard_show_exist(template: dict[str, Any]) -> None:
    """What is watched of our own is what the functions publish."""
    package = ROOT / "layers/audit_search/src/audit_search"
    source = "".join(
        (package / name).read_text("utf-8")
        for name in ("observability.py", "notifying.py", "aws_config/reports.py", "validation/reports.py", "causes/linking.py")
    )
    body, texts = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    everything = body + "".join(texts[part]["Fn::If"][1]["Fn::Sub"] for part in ("Verification", "Config"))
    shown = set(re.findall(r'"AuditSearch", "(\w+)"', everything)) | {name for space, name in ALARMED if space == "AuditSearch"}
    assert shown
    assert {name for name in shown if f'"{name}"' not in source} == set()


OF_VERIFICATION = {
    *("VerifyFunction", "VerifyFunctionRole", "VerifyFunctionLogs"),
    *("MissingFilesAlarm", "ChangedFilesAlarm", "InvalidDigestsAlarm", "UnreadFilesAlarm"),
    *("VerifyErrorAlarm", "NoVerificationAlarm"),
}


@pytest.mark.parametrize("off", [{"VerifyHours": "0"}, {"WatchDigests": "false", "VerifyHours": "24"}])
def test_without_verification_there_is_nothing_of_it(template: dict[str, Any], off: dict[str, str]) -> None:
    """Who does not want it, or has a trail without digests, has no function, alarm, output, role or graph of it."""
    usual, without = Evaluated(template), Evaluated(template, **off)
    watched = {"WatchFunction", "WatchFunctionRole", "WatchFunctionLogs", "DigestAgeAlarm", "WatchErrorAlarm"}
    assert usual.resources - without.resources == OF_VERIFICATION | (watched if "WatchDigests" in off else set())
    assert usual.outputs - without.outputs == {*("VerifyFunctionArn", "VerifyFunctionRoleArn", "VerifyFunctionLogGroup")}
    body = without.value(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"])
    assert "-verify" not in body
    assert len(json.loads(body)["widgets"]) == 10
    assert without.value(template["Resources"]["DomainSetup"]["Properties"]["VERIFIER_ROLE_ARNS"]) == ""
    assert "VERIFIER_ROLE_ARNS= " in without.value(template["Outputs"]["CliEnvironment"]["Value"])


@pytest.mark.parametrize(
    ("hours", "schedule"), [("24", "cron(30 4 * * ? *)"), ("6", "cron(30 0/6 * * ? *)"), ("1", "cron(30 0/1 * * ? *)")]
)
def test_the_verification_runs_as_often_as_it_looks_back(template: dict[str, Any], hours: str, schedule: str) -> None:
    """One run begins where the one before ended, and takes all the time that Lambda gives; it is not repeated."""
    stack = Evaluated(template, VerifyHours=hours)
    properties = stack.value(template["Resources"]["VerifyFunction"]["Properties"])
    assert properties["Events"]["Schedule"]["Properties"]["Schedule"] == schedule
    assert properties["Environment"]["Variables"]["VERIFY_HOURS"] == hours
    assert (properties["Timeout"], properties["EventInvokeConfig"]["MaximumRetryAttempts"]) == (900, 0)


def test_what_a_verification_found_is_true_until_the_next_one(template: dict[str, Any]) -> None:
    """Between two runs alarms stay as they are; a run that does not come is an alarm itself after two days."""
    for name in sorted(OF_VERIFICATION):
        resource = template["Resources"][name]
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            missing = "breaching" if name == "NoVerificationAlarm" else "ignore"
            assert resource["Properties"]["TreatMissingData"] == missing, name
    none = template["Resources"]["NoVerificationAlarm"]["Properties"]
    assert (none["Statistic"], none["Period"] * none["EvaluationPeriods"]) == ("SampleCount", 2 * 24 * 3_600)


def test_the_other_side_lets_the_verification_in(template: dict[str, Any]) -> None:
    """A bucket, a key and a domain of others: the statements name its role where there is one, and are a policy's JSON."""
    foreign = {
        "TrailBucketAccount": "444455556666",
        "KmsKeyArns": "arn:aws:kms:eu-central-1:444455556666:key/1234abcd",
        "OpenSearchDomainArn": "arn:aws:es:eu-central-1:444455556666:domain/audit",
        "IndexPrefix": "acme-",
    }

    def said(output: str, **more: str) -> Any:
        return json.loads(Evaluated(template, **foreign, **more).value(template["Outputs"][output]["Value"]))

    role, writer = "${VerifyFunctionRole.Arn}", "${CloudTrailFunctionRole.Arn}"
    reads, _ = said("ForeignBucketPolicyStatement")
    assert reads["Principal"]["AWS"] == said("ForeignKeyPolicyStatement")["Principal"]["AWS"] == [writer, role]
    _, looks = said("SharedDomainPolicyStatement")
    assert (looks["Principal"]["AWS"], looks["Action"]) == (role, "es:ESHttpPost")
    paths = ("_mget", "acme-cloudtrail-2*/_search")
    assert looks["Resource"] == [f"{foreign['OpenSearchDomainArn']}/{path}" for path in paths]
    for output in ("ForeignBucketPolicyStatement", "ForeignKeyPolicyStatement", "SharedDomainPolicyStatement"):
        assert role not in json.dumps(said(output, VerifyHours="0"))


def test_every_parameter_is_in_the_readme(template: dict[str, Any]) -> None:
    """A reader finds each parameter and its default without opening the template."""
    section = (ROOT / "README.md").read_text("utf-8").split("## Parameters")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    expected = {}
    for name, parameter in template["Parameters"].items():
        default = parameter.get("Default")
        expected[name] = "required" if default is None else f"`{default}`" if default != "" else ""
    assert rows == expected


def test_every_output_says_what_it_is_for(template: dict[str, Any]) -> None:
    """Each address has a description."""
    assert {"CloudTrailQueueArn", "CloudTrailDeadLetterQueueUrl", "CloudTrailFunctionArn", "QuarantineLocation"} <= set(
        template["Outputs"]
    )
    assert all(len(output["Description"]) > 10 for output in template["Outputs"].values())
