"""The settings of the set-up: valid ones as they are meant, and every problem of the others in one error."""

from __future__ import annotations

import pytest

from audit_search.domain.settings import DomainSettings
from audit_search.errors import SettingsError

LEAST = {"OPENSEARCH_ENDPOINT": "https://search.example.com"}
ROLE = "arn:aws:iam::123456789012:role/"
SSO = f"{ROLE}aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Admin_1234"


def read(**environ: str) -> DomainSettings:
    """The settings of the least environment and some variables more."""
    return DomainSettings.from_env({**LEAST, **environ})


def problems(**environ: str) -> list[str]:
    """What is wrong with them."""
    with pytest.raises(SettingsError) as caught:
        read(**environ)
    return caught.value.problems


def test_one_variable_is_enough() -> None:
    """Everything else has a default."""
    assert read() == DomainSettings(
        endpoint="https://search.example.com",
        auth="aws",
        service="es",
        username="",
        password_secret="",
        index_prefix="",
        daily=False,
        retention_days=0,
        alerts=False,
        config=False,
        config_retention_days=0,
        lean=False,
        refresh_interval="10s",
        shards=1,
        replicas=None,
        writer_role_arns=(),
        config_writer_role_arns=(),
        verifier_role_arns=(),
        linker_role_arns=(),
        admin_role_arns=(),
        analyst_role_arns=(),
        domain_admin_role_arn="",
        dashboards=True,
        alert_topic_arn="",
        alert_role_arn="",
        backup_bucket="",
        backup_prefix="backups/",
    )


def test_every_variable_is_read() -> None:
    """Each setting has its variable; spaces around a value, empty parts of a list and repetitions do not matter."""
    settings = read(
        OPENSEARCH_AUTH="basic",
        OPENSEARCH_USERNAME="admin",
        OPENSEARCH_PASSWORD_SECRET="arn:secret",
        INDEX_PREFIX="audit-",
        INDEX_PERIOD="day",
        RETENTION_DAYS="400",
        ALERTS="true",
        AWS_CONFIG="true",
        CONFIG_RETENTION_DAYS="2557",
        DOCUMENT_SHAPE="lean",
        REFRESH_INTERVAL=" 1m ",
        SHARDS="3",
        REPLICAS="2",
        WRITER_ROLE_ARNS=f"{ROLE}function",
        CONFIG_WRITER_ROLE_ARNS=f"{ROLE}config",
        VERIFIER_ROLE_ARNS=f"{ROLE}verify",
        LINKER_ROLE_ARNS=f"{ROLE}linker",
        ADMIN_ROLE_ARNS=f" {SSO} ,, arn:aws:iam::123456789012:user/maria",
        ANALYST_ROLE_ARNS=f"security team,{ROLE}analyst,{ROLE}analyst",
        DOMAIN_ADMIN_ROLE_ARN=f"{ROLE}path/admin",
        DASHBOARDS="false",
        ALERT_TOPIC_ARN="arn:aws:sns:eu-central-1:123456789012:alerts",
        ALERT_ROLE_ARN=f"{ROLE}channel",
        BACKUP_BUCKET="backup-bucket",
        BACKUP_PREFIX="kept/",
    )
    assert (settings.auth, settings.username, settings.password_secret) == ("basic", "admin", "arn:secret")
    assert (settings.index_prefix, settings.daily, settings.retention_days) == ("audit-", True, 400)
    assert (settings.lean, settings.refresh_interval, settings.shards, settings.replicas) == (True, "1m", 3, 2)
    assert settings.writer_role_arns == (f"{ROLE}function",)
    assert (settings.config, settings.config_writer_role_arns) == (True, (f"{ROLE}config",))
    assert settings.alerts is True
    assert settings.verifier_role_arns == (f"{ROLE}verify",)
    assert settings.linker_role_arns == (f"{ROLE}linker",)
    assert settings.config_retention_days == 2_557
    assert settings.admin_role_arns == (SSO, "arn:aws:iam::123456789012:user/maria")
    assert settings.analyst_role_arns == ("security team", f"{ROLE}analyst")
    assert settings.domain_admin_role_arn == f"{ROLE}path/admin"
    assert settings.alert_topic_arn == "arn:aws:sns:eu-central-1:123456789012:alerts"
    assert settings.alert_role_arn == f"{ROLE}channel"
    assert (settings.dashboards, settings.backup_bucket, settings.backup_prefix) == (False, "backup-bucket", "kept/")


def test_a_writer_of_aws_config_goes_with_its_families() -> None:
    """Who is named without them would be mapped to nothing, and nobody would be told."""
    with pytest.raises(SettingsError, match=r"CONFIG_WRITER_ROLE_ARNS .* set AWS_CONFIG=true as well"):
        read(CONFIG_WRITER_ROLE_ARNS=f"{ROLE}config")
    with pytest.raises(SettingsError, match=r"LINKER_ROLE_ARNS .* set AWS_CONFIG=true as well"):
        read(LINKER_ROLE_ARNS=f"{ROLE}linker")


@pytest.mark.parametrize(("text", "replicas"), [("", None), ("fit", None), (" fit ", None), ("0", 0), ("20", 20)])
def test_replicas_fit_or_are_a_number(text: str, replicas: int | None) -> None:
    """Without a number they follow the domain's nodes."""
    assert read(REPLICAS=text).replicas == replicas


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (
            "REPLICAS",
            "-1",
            "REPLICAS is '-1': it must be a whole number from 0 to 20, or fit for as many as the data nodes can hold",
        ),
        ("REPLICAS", "Fit", "or fit"),
        ("SHARDS", "0", "from 1 to 100"),
        ("REFRESH_INTERVAL", "-1", "a number of seconds or minutes, such as 10s or 1m"),
        ("REFRESH_INTERVAL", "10", "such as 10s"),
        ("REFRESH_INTERVAL", "0s", "such as 10s"),
        ("DOCUMENT_SHAPE", "thin", "it must be one of full, lean"),
        ("WRITER_ROLE_ARNS", "arn:aws:sts::123456789012:assumed-role/writer/session", "not that of a session"),
        ("ANALYST_ROLE_ARNS", "*", "without colons and stars"),
        ("ADMIN_ROLE_ARNS", f"{ROLE}admin,arn:aws:iam::12:role/x", "arn:aws:iam::12:role/x must be the ARN"),
        ("DOMAIN_ADMIN_ROLE_ARN", "admin", "it must be the ARN of an IAM role"),
        ("ALERT_TOPIC_ARN", "alerts", "it must be the ARN of an SNS topic"),
        ("ALERT_TOPIC_ARN", "arn:aws:sns:eu-central-1:123456789012:alerts.fifo", "it must be the ARN of an SNS topic"),
        ("ALERT_ROLE_ARN", "arn:aws:iam::123456789012:user/x", "it must be the ARN of an IAM role"),
        ("BACKUP_BUCKET", "s3://backups", "it cannot be the name of an S3 bucket"),
        ("BACKUP_PREFIX", "/backups", "it must end with a slash and not begin with one"),
        ("OPENSEARCH_ENDPOINT", "search", "it must be a URL"),
        ("INDEX_PREFIX", "Audit", "lower-case letters"),
    ],
)
def test_what_cannot_be_is_refused(variable: str, value: str, says: str) -> None:
    """The problem names the variable and says what it can be."""
    (problem,) = problems(**{variable: value})
    assert problem.startswith(variable)
    assert says in problem


def test_all_problems_come_together() -> None:
    """Nobody has to deploy five times to find five mistakes."""
    found = problems(OPENSEARCH_ENDPOINT="", SHARDS="many", REPLICAS="few", OPENSEARCH_AUTH="basic", ADMIN_ROLE_ARNS="a:b")
    assert [problem.split(" ")[0] for problem in found] == [
        "OPENSEARCH_ENDPOINT",
        "OPENSEARCH_USERNAME",
        "OPENSEARCH_PASSWORD_SECRET",
        "SHARDS",
        "REPLICAS",
        "ADMIN_ROLE_ARNS",
    ]
