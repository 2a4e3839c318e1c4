"""The settings of the domain's set-up: the same variables for the stack's custom resource and for the command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from audit_search.errors import SettingsError
from audit_search.settings import Reader, bucket_problem, folder_problem

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}")
_CALLER = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=.@/-]{1,512}")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}")
_NAME = re.compile(r"[^\s:*][^:*]{0,255}")
_INTERVAL = re.compile(r"[1-9]\d{0,3}(s|m)")
FIT = "fit"


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """What the domain is to hold, and who may do what there.

    With `config` it also holds AWS Config's documents, with `dashboards` the saved objects of OpenSearch Dashboards. `replicas`
    is None where they follow the number of data nodes. Callers are ARNs of IAM roles (or users), or names of
    backend roles, such as the groups of a SAML directory. Alerts of monitors go to the SNS topic `alert_topic_arn`, which an
    Amazon domain publishes to as `alert_role_arn`.
    """

    endpoint: str
    auth: str
    service: str
    username: str
    password_secret: str
    index_prefix: str
    daily: bool
    retention_days: int
    alerts: bool
    config: bool
    config_retention_days: int
    lean: bool
    refresh_interval: str
    shards: int
    replicas: int | None
    writer_role_arns: tuple[str, ...]
    config_writer_role_arns: tuple[str, ...]
    verifier_role_arns: tuple[str, ...]
    linker_role_arns: tuple[str, ...]
    admin_role_arns: tuple[str, ...]
    analyst_role_arns: tuple[str, ...]
    domain_admin_role_arn: str
    dashboards: bool
    alert_topic_arn: str
    alert_role_arn: str
    backup_bucket: str
    backup_prefix: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> DomainSettings:
        """Read and check all settings together.

        Raises SettingsError with one line for each problem.
        """
        read = Reader(environ)
        settings = cls(
            **read.engine(),
            daily=read.daily(),
            alerts=read.choice("ALERTS", ("false", "true")) == "true",
            config=read.choice("AWS_CONFIG", ("false", "true")) == "true",
            config_retention_days=read.integer("CONFIG_RETENTION_DAYS", 0, 0, 36_500),
            lean=read.choice("DOCUMENT_SHAPE", ("full", "lean")) == "lean",
            refresh_interval=read.checked("REFRESH_INTERVAL", _interval, default="10s"),
            shards=read.integer("SHARDS", 1, 1, 100),
            replicas=_replicas(read, environ),
            writer_role_arns=_callers(read, "WRITER_ROLE_ARNS"),
            config_writer_role_arns=_callers(read, "CONFIG_WRITER_ROLE_ARNS"),
            verifier_role_arns=_callers(read, "VERIFIER_ROLE_ARNS"),
            linker_role_arns=_callers(read, "LINKER_ROLE_ARNS"),
            admin_role_arns=_callers(read, "ADMIN_ROLE_ARNS"),
            analyst_role_arns=_callers(read, "ANALYST_ROLE_ARNS"),
            domain_admin_role_arn=read.checked("DOMAIN_ADMIN_ROLE_ARN", _role),
            dashboards=read.choice("DASHBOARDS", ("true", "false")) == "true",
            alert_topic_arn=read.checked("ALERT_TOPIC_ARN", _topic),
            alert_role_arn=read.checked("ALERT_ROLE_ARN", _role),
            backup_bucket=read.checked("BACKUP_BUCKET", bucket_problem),
            backup_prefix=read.checked("BACKUP_PREFIX", folder_problem, default="backups/"),
        )
        if settings.config_writer_role_arns and not settings.config:
            read.problems.append("CONFIG_WRITER_ROLE_ARNS names who writes AWS Config's documents: set AWS_CONFIG=true as well")
        if settings.linker_role_arns and not settings.config:
            read.problems.append("LINKER_ROLE_ARNS names who links AWS Config's versions: set AWS_CONFIG=true as well")
        if read.problems:
            raise SettingsError(read.problems)
        return settings

    @property
    def connections(self) -> int:
        """The set-up asks one thing after the other."""
        return 1


def _replicas(read: Reader, environ: Mapping[str, str]) -> int | None:
    if environ.get("REPLICAS", "").strip() in ("", FIT):
        return None
    before = len(read.problems)
    replicas = read.integer("REPLICAS", 0, 0, 20)
    if len(read.problems) > before:
        read.problems[-1] += f", or {FIT} for as many as the data nodes can hold"
    return replicas


def _callers(read: Reader, name: str) -> tuple[str, ...]:
    """The names of a list, each once, in their order."""
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in read.checked(name, _wrong_callers).split(",")))))


def _wrong_callers(value: str) -> str:
    wrong = [part for part in map(str.strip, value.split(",")) if part and not (_CALLER.fullmatch(part) or _NAME.fullmatch(part))]
    if not wrong:
        return ""
    return (
        f"{', '.join(wrong)} must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/analyst (not that of a "
        "session, arn:aws:sts::…), or the name of a backend role without colons and stars"
    )


def _role(value: str) -> str:
    return (
        "" if _ROLE.fullmatch(value) else "it must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/domain-admin"
    )


def _topic(value: str) -> str:
    return (
        ""
        if _TOPIC.fullmatch(value)
        else "it must be the ARN of an SNS topic, such as arn:aws:sns:eu-central-1:123456789012:alerts"
    )


def _interval(value: str) -> str:
    return "" if _INTERVAL.fullmatch(value) else "it must be a number of seconds or minutes, such as 10s or 1m"
