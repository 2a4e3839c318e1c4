"""Settings are read together: valid ones as they are meant, and every problem of the others in one error."""

from __future__ import annotations

import pytest

from audit_search.errors import SettingsError
from audit_search.settings import ConfigSettings, Settings, WriterSettings

LEAST = {
    "OPENSEARCH_ENDPOINT": "https://search.example.com",
    "ALLOWED_BUCKETS": "trail-bucket",
    "QUARANTINE_BUCKET": "quarantine-bucket",
}


def read(**environ: str) -> Settings:
    """The settings of the least environment and some variables more."""
    return Settings.from_env({**LEAST, **environ})


def problems(**environ: str) -> list[str]:
    """What is wrong with them."""
    with pytest.raises(SettingsError) as caught:
        read(**environ)
    return caught.value.problems


def test_three_variables_are_enough() -> None:
    """Everything else has a default."""
    assert read() == Settings(
        endpoint="https://search.example.com",
        auth="aws",
        service="es",
        username="",
        password_secret="",
        index_prefix="",
        daily=False,
        allowed_buckets=frozenset({"trail-bucket"}),
        quarantine_bucket="quarantine-bucket",
        quarantine_prefix="quarantine/",
        retention_days=0,
        rules=(),
        alert_topic_arn="",
        alert_tiers=frozenset({"page", "ticket"}),
        alert_max_age_hours=24,
        dashboards_url="",
        ingest_mode="live",
        bulk_bytes=5_000_000,
        bulk_senders=4,
        object_fetchers=8,
        max_object_bytes=4 << 30,
        max_inflation_ratio=250,
    )


def test_every_variable_is_read() -> None:
    """Each setting has its variable; spaces around a value do not matter."""
    settings = read(
        OPENSEARCH_ENDPOINT=" http://127.0.0.1:9200/path/ ",
        OPENSEARCH_AUTH="basic",
        OPENSEARCH_SERVICE="aoss",
        OPENSEARCH_USERNAME="writer",
        OPENSEARCH_PASSWORD_SECRET="arn:secret",
        INDEX_PREFIX="audit-2_",
        INDEX_PERIOD="day",
        ALLOWED_BUCKETS=" one-bucket, two.bucket ,,",
        QUARANTINE_BUCKET="three-bucket",
        QUARANTINE_PREFIX="kept/here/",
        RETENTION_DAYS="90",
        EXCLUSION_RULES='[{"name":"r","match":{"eventName":"x"}}]',
        INGEST_MODE="replay",
        ALERT_TOPIC_ARN="arn:aws:sns:eu-central-1:123456789012:alerts",
        ALERT_TIERS=" page , digest,",
        ALERT_MAX_AGE_HOURS="48",
        DASHBOARDS_URL="https://search.example.com/_dashboards/",
        BULK_BYTES="1000",
        BULK_SENDERS="32",
        OBJECT_FETCHERS=" 1 ",
        MAX_OBJECT_BYTES="1000",
        MAX_INFLATION_RATIO="10",
    )
    assert settings.endpoint == "http://127.0.0.1:9200/path"
    assert settings.alert_topic_arn == "arn:aws:sns:eu-central-1:123456789012:alerts"
    assert (settings.alert_tiers, settings.alert_max_age_hours) == (frozenset({"page", "digest"}), 48)
    assert settings.dashboards_url == "https://search.example.com/_dashboards"
    assert (settings.auth, settings.service, settings.username, settings.password_secret) == (
        "basic",
        "aoss",
        "writer",
        "arn:secret",
    )
    assert (settings.index_prefix, settings.daily) == ("audit-2_", True)
    assert settings.allowed_buckets == {"one-bucket", "two.bucket"}
    assert (settings.quarantine_bucket, settings.quarantine_prefix) == ("three-bucket", "kept/here/")
    assert (settings.retention_days, settings.ingest_mode, [rule.name for rule in settings.rules]) == (90, "replay", ["r"])
    assert (settings.bulk_bytes, settings.bulk_senders, settings.object_fetchers) == (1_000, 32, 1)
    assert (settings.max_object_bytes, settings.max_inflation_ratio) == (1_000, 10)


def test_an_empty_variable_is_none() -> None:
    """CloudFormation writes empty texts for parameters that are not set."""
    assert (
        read(**dict.fromkeys(("OPENSEARCH_AUTH", "INDEX_PERIOD", "QUARANTINE_PREFIX", "RETENTION_DAYS", "BULK_BYTES"), ""))
        == read()
    )
    assert read(EXCLUSION_RULES=" ", INDEX_PREFIX=" ", INGEST_MODE=" ") == read()


@pytest.mark.parametrize("name", LEAST)
def test_what_is_required_must_be_there(name: str) -> None:
    """A missing variable is named."""
    for value in ("", "  "):
        assert problems(**{name: value}) == [f"{name} is missing"]


@pytest.mark.parametrize(
    "value",
    [
        "search.example.com",
        "ftp://x",
        "https://",
        "https:///path",
        "http://[::1",
        "https://x:99999",
        "https://x:y",
        "//x",
        "https://x:0",
        "https://u:p@x",
        "https://u@x",
        "https://x?q=1",
        "https://x#f",
        "arn:aws:es:eu-central-1:1:domain/x",
    ],
)
def test_the_endpoint_is_a_plain_url(value: str) -> None:
    """Only a URL of http or https without credentials, query or fragment is one."""
    (problem,) = problems(OPENSEARCH_ENDPOINT=value)
    assert problem.startswith(f"OPENSEARCH_ENDPOINT is {value!r}: ")


@pytest.mark.parametrize("value", ["http://x", "https://x:9200", "https://x/", "http://127.0.0.1:9200", "https://[::1]:9200/a/b"])
def test_usual_endpoints_are_taken(value: str) -> None:
    """With or without port and path; a slash at the end does not matter."""
    assert read(OPENSEARCH_ENDPOINT=value).endpoint == value.rstrip("/")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENSEARCH_AUTH", "AWS"),
        ("OPENSEARCH_AUTH", "iam"),
        ("OPENSEARCH_SERVICE", "opensearch"),
        ("INDEX_PERIOD", "week"),
        ("INGEST_MODE", "Live"),
        ("INDEX_PREFIX", "Audit-"),
        ("INDEX_PREFIX", "-audit"),
        ("INDEX_PREFIX", "_audit"),
        ("INDEX_PREFIX", "a b"),
        ("INDEX_PREFIX", "a*"),
        ("INDEX_PREFIX", "a,b"),
        ("INDEX_PREFIX", "ä-"),
        ("INDEX_PREFIX", "a" * 51),
        ("ALLOWED_BUCKETS", "*"),
        ("ALLOWED_BUCKETS", "fine-bucket,UPPER"),
        ("ALLOWED_BUCKETS", "arn:aws:s3:::bucket"),
        ("ALLOWED_BUCKETS", "s3://bucket"),
        ("ALLOWED_BUCKETS", "b" * 64),
        ("ALLOWED_BUCKETS", "ab"),
        ("ALLOWED_BUCKETS", ","),
        ("QUARANTINE_BUCKET", "a-bucket,b-bucket"),
        ("QUARANTINE_BUCKET", "bucket/prefix"),
        ("QUARANTINE_BUCKET", ","),
        ("QUARANTINE_PREFIX", "quarantine"),
        ("QUARANTINE_PREFIX", "/quarantine/"),
        ("QUARANTINE_PREFIX", "/"),
        ("RETENTION_DAYS", "-1"),
        ("RETENTION_DAYS", "36501"),
        ("RETENTION_DAYS", "1.5"),
        ("RETENTION_DAYS", "ninety"),
        ("RETENTION_DAYS", "9" * 5_000),
        ("BULK_BYTES", "999"),
        ("BULK_BYTES", "100000001"),
        ("BULK_BYTES", "5_000_000"),
        ("BULK_SENDERS", "0"),
        ("BULK_SENDERS", "33"),
        ("OBJECT_FETCHERS", "65"),
        ("MAX_OBJECT_BYTES", "999"),
        ("MAX_INFLATION_RATIO", "9"),
        ("MAX_INFLATION_RATIO", "0x10"),
    ],
)
def test_a_value_out_of_its_bounds_is_named(name: str, value: str) -> None:
    """Each problem says which variable, what stands there and what may."""
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name} is {value!r}: ")


def test_a_password_needs_a_name_and_a_place() -> None:
    """Basic authentication needs both of its variables."""
    assert problems(OPENSEARCH_AUTH="basic") == [
        "OPENSEARCH_USERNAME is missing: OPENSEARCH_AUTH=basic needs it",
        "OPENSEARCH_PASSWORD_SECRET is missing: OPENSEARCH_AUTH=basic needs it",
    ]


@pytest.mark.parametrize(
    ("endpoint", "fine"),
    [
        ("https://x", True),
        ("http://127.0.0.1:9200", True),
        ("http://localhost", True),
        ("http://[::1]:9200", True),
        ("http://x", False),
        ("http://10.0.0.1:9200", False),
        ("http://127.0.0.1.evil.example:9200", False),
        ("http://x/127.0.0.1", False),
        ("HTTP://x", False),
    ],
)
def test_a_password_is_not_sent_in_the_clear(endpoint: str, fine: bool) -> None:
    """Over plain http a password leaves this machine only where it does not leave it at all."""
    environ = {
        "OPENSEARCH_AUTH": "basic",
        "OPENSEARCH_USERNAME": "u",
        "OPENSEARCH_PASSWORD_SECRET": "s",
        "OPENSEARCH_ENDPOINT": endpoint,
    }
    if fine:
        assert read(**environ).auth == "basic"
    else:
        assert "readable on the way" in problems(**environ)[0]


def test_all_problems_come_in_one_error() -> None:
    """Whoever sets up the function sees at once all that is wrong, rules included."""
    environ = {
        "OPENSEARCH_ENDPOINT": "nonsense",
        "OPENSEARCH_AUTH": "basic",
        "OPENSEARCH_SERVICE": "x",
        "INDEX_PREFIX": "X",
        "INDEX_PERIOD": "x",
        "QUARANTINE_BUCKET": "X",
        "QUARANTINE_PREFIX": "x",
        "RETENTION_DAYS": "x",
        "EXCLUSION_RULES": '[1,{"name":"a","match":{"x":"y"}}]',
        "INGEST_MODE": "x",
        "BULK_BYTES": "x",
        "BULK_SENDERS": "x",
        "OBJECT_FETCHERS": "x",
        "MAX_OBJECT_BYTES": "x",
        "MAX_INFLATION_RATIO": "x",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    named = {problem.split()[0].split("[")[0] for problem in caught.value.problems}
    assert named == {*environ, "ALLOWED_BUCKETS", "OPENSEARCH_USERNAME", "OPENSEARCH_PASSWORD_SECRET"} - {"OPENSEARCH_AUTH"}
    assert len(caught.value.problems) == 18
    assert str(caught.value).count("\n  - ") == 18


# --- those of AWS Config's side -----------------------------------------------------------------------------------------


def test_both_functions_read_what_they_share_alike() -> None:
    """The same variables mean the same; what is only CloudTrail's does not matter to AWS Config's side, whatever it is."""
    shared = {
        "OPENSEARCH_AUTH": "none",
        "INDEX_PREFIX": "audit-",
        "RETENTION_DAYS": "90",
        "INGEST_MODE": "replay",
        "BULK_BYTES": "1000",
        "MAX_OBJECT_BYTES": "5000",
    }
    config = ConfigSettings.from_env({**LEAST, **shared, "INDEX_PERIOD": "week", "EXCLUSION_RULES": "{"})
    trail = read(**shared)
    for name in WriterSettings.__dataclass_fields__:
        assert getattr(config, name) == getattr(trail, name), name
    assert config.trail_queue_url == ""
    assert config.connections == 5


@pytest.mark.parametrize("name", LEAST)
def test_what_is_required_must_be_there_for_aws_config_too(name: str) -> None:
    """A missing variable is named."""
    with pytest.raises(SettingsError) as caught:
        ConfigSettings.from_env({**LEAST, name: " "})
    assert caught.value.problems == [f"{name} is missing"]


def test_the_queue_of_cloudtrail_is_an_address() -> None:
    """Its ARN or its name alone could not be sent to."""
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/acme-cloudtrail"
    assert ConfigSettings.from_env({**LEAST, "TRAIL_QUEUE_URL": f" {url} "}).trail_queue_url == url
    for wrong in ("acme-cloudtrail", "arn:aws:sqs:eu-central-1:123456789012:acme-cloudtrail", "https://host", "https://a b/c"):
        with pytest.raises(SettingsError, match=r"TRAIL_QUEUE_URL.*URL of a queue"):
            ConfigSettings.from_env({**LEAST, "TRAIL_QUEUE_URL": wrong})


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("ALERT_TOPIC_ARN", "arn:aws:sns:eu-central-1:123456789012:alerts.fifo", "it must be the ARN of a topic"),
        ("ALERT_TOPIC_ARN", "alerts", "it must be the ARN of a topic"),
        ("ALERT_TIERS", "page,pager", "pager is no tier: they are page, ticket, digest and off"),
        ("ALERT_MAX_AGE_HOURS", "0", "it must be a whole number from 1 to 8,784"),
        ("DASHBOARDS_URL", "search.example.com", "it must be a URL that begins with https://"),
        ("DASHBOARDS_URL", "https://search.example.com/#x", "it must be a URL that begins with https://"),
    ],
)
def test_what_is_wrong_with_the_alerts_is_said(variable: str, value: str, reason: str) -> None:
    """Before anything is read, with what would be right."""
    (problem,) = problems(**{variable: value})
    assert problem.startswith(f"{variable} is {value!r}: {reason}")
