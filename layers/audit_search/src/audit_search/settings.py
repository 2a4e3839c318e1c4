"""The settings of a function, read once from its environment; every problem is reported in one error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypedDict, TypeVar
from urllib.parse import urlsplit

from audit_search import exclusions
from audit_search.errors import SettingsError
from audit_search.exclusions import Rule

_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
GIB = 1 << 30
_Settings = TypeVar("_Settings")


class EngineSettings(Protocol):
    """What a client of the engine needs to know; each program has settings of its own."""

    @property
    def endpoint(self) -> str:
        """URL without a slash at its end."""

    @property
    def auth(self) -> str:
        """`aws`, `basic` or `none`."""

    @property
    def service(self) -> str:
        """`es` or `aoss`, as requests are signed."""

    @property
    def username(self) -> str:
        """For `basic`."""

    @property
    def password_secret(self) -> str:
        """For `basic`: the secret that holds the password."""

    @property
    def connections(self) -> int:
        """How many requests may be on their way at the same time."""


class EngineVariables(TypedDict):
    """What every program that works with an engine reads: where it is, how to log in, and how our indices are named."""

    endpoint: str
    auth: str
    service: str
    username: str
    password_secret: str
    index_prefix: str
    retention_days: int


class WriterVariables(EngineVariables):
    """What both functions that write documents read: which objects they may read, where quarantine is, and their limits."""

    allowed_buckets: frozenset[str]
    quarantine_bucket: str
    quarantine_prefix: str
    ingest_mode: str
    bulk_bytes: int
    bulk_senders: int
    object_fetchers: int
    max_object_bytes: int
    max_inflation_ratio: int


@dataclass(frozen=True, slots=True)
class _Engine:
    """What the environment of every program says that works with an engine; the README describes each variable."""

    endpoint: str
    auth: str
    service: str
    username: str
    password_secret: str
    index_prefix: str
    retention_days: int


@dataclass(frozen=True, slots=True)
class WriterSettings(_Engine):
    """What the environment of a function that writes documents says."""

    allowed_buckets: frozenset[str]
    quarantine_bucket: str
    quarantine_prefix: str
    ingest_mode: str
    bulk_bytes: int
    bulk_senders: int
    object_fetchers: int
    max_object_bytes: int
    max_inflation_ratio: int

    @property
    def connections(self) -> int:
        """Each sender has one, and one more is for reading the index template."""
        return self.bulk_senders + 1


@dataclass(frozen=True, slots=True)
class Settings(WriterSettings):
    """The settings of the CloudTrail function. Without `alert_topic_arn` nobody is told of alerts."""

    daily: bool
    rules: tuple[Rule, ...]
    alert_topic_arn: str = ""
    alert_tiers: frozenset[str] = frozenset()
    alert_max_age_hours: int = 24
    dashboards_url: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check all settings together.

        Raises SettingsError with one line for each problem.
        """
        read = Reader(environ)
        rules = read.rules()
        settings = cls(
            **read.writer(),
            daily=read.daily(),
            rules=rules,
            alert_topic_arn=read.checked("ALERT_TOPIC_ARN", _topic_arn),
            alert_tiers=read.tiers(),
            alert_max_age_hours=read.integer("ALERT_MAX_AGE_HOURS", 24, 1, 24 * 366),
            dashboards_url=read.checked("DASHBOARDS_URL", _address).rstrip("/"),
        )
        return read.whole(settings)


@dataclass(frozen=True, slots=True)
class ConfigSettings(WriterSettings):
    """The settings of the AWS Config function. Without `trail_queue_url` it cannot hand on what is
    CloudTrail's."""

    trail_queue_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ConfigSettings:
        """Read and check all settings together.

        Raises SettingsError with one line for each problem.
        """
        read = Reader(environ)
        return read.whole(cls(**read.writer(), trail_queue_url=read.checked("TRAIL_QUEUE_URL", _queue_url)))


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What the function that looks for digests is told: the trail's buckets, and its key prefix."""

    buckets: frozenset[str]
    prefix: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> WatchSettings:
        """Read and check both together. Raises SettingsError with one line for each problem."""
        read = Reader(environ)
        return read.whole(cls(read.buckets(), read.checked("TRAIL_PREFIX", _key_prefix)))


@dataclass(frozen=True, slots=True)
class VerifySettings(_Engine):
    """What the function that verifies the trail is told: the trail, the engine, and what leaves records out on purpose."""

    daily: bool
    rules: tuple[Rule, ...]
    allowed_buckets: frozenset[str]
    prefix: str
    quarantine_bucket: str
    quarantine_prefix: str
    hours: int
    max_object_bytes: int
    max_inflation_ratio: int

    connections: ClassVar[int] = 8
    """One for each log file that is looked at."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> VerifySettings:
        """Read and check all settings together. Raises SettingsError with one line for each problem."""
        read = Reader(environ)
        rules = read.rules()
        settings = cls(
            **read.engine(),
            daily=read.daily(),
            rules=rules,
            allowed_buckets=read.buckets(),
            prefix=read.checked("TRAIL_PREFIX", _key_prefix),
            quarantine_bucket=read.checked("QUARANTINE_BUCKET", bucket_problem, required=True),
            quarantine_prefix=read.checked("QUARANTINE_PREFIX", folder_problem, default="quarantine/"),
            hours=read.integer("VERIFY_HOURS", 24, 1, 24 * 366),
            max_object_bytes=read.integer("MAX_OBJECT_BYTES", 4 * GIB, 1_000, 64 * GIB),
            max_inflation_ratio=read.integer("MAX_INFLATION_RATIO", 250, 10, 1_100),
        )
        return read.whole(settings)


@dataclass(frozen=True, slots=True)
class CausesSettings(_Engine):
    """What the function that links versions with calls is told: where the engine is."""

    connections: ClassVar[int] = 8
    """One for each version that is looked at, and for what is written."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> CausesSettings:
        """Read and check all settings together. Raises SettingsError with one line for each problem."""
        read = Reader(environ)
        return read.whole(cls(**read.engine()))


class Reader:
    """Reads variables one by one and keeps what is wrong with them in `problems`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """The variables, by name."""
        self._environ = environ
        self.problems: list[str] = []

    def whole(self, settings: _Settings) -> _Settings:
        """The settings that were read, where nothing is wrong with any. Raises SettingsError with one line for each problem."""
        if self.problems:
            raise SettingsError(self.problems)
        return settings

    def engine(self) -> EngineVariables:
        """The variables that every program has which works with an engine."""
        read = EngineVariables(
            endpoint=self.checked("OPENSEARCH_ENDPOINT", _endpoint, required=True).rstrip("/"),
            auth=self.choice("OPENSEARCH_AUTH", ("aws", "basic", "none")),
            service=self.choice("OPENSEARCH_SERVICE", ("es", "aoss")),
            username=self._environ.get("OPENSEARCH_USERNAME", ""),
            password_secret=self._environ.get("OPENSEARCH_PASSWORD_SECRET", ""),
            index_prefix=self.checked("INDEX_PREFIX", prefix_problem),
            retention_days=self.integer("RETENTION_DAYS", 0, 0, 36_500),
        )
        if read["auth"] == "basic":
            for variable, value in (
                ("OPENSEARCH_USERNAME", read["username"]),
                ("OPENSEARCH_PASSWORD_SECRET", read["password_secret"]),
            ):
                if not value:
                    self.problems.append(f"{variable} is missing: OPENSEARCH_AUTH=basic needs it")
            if _readable_on_the_way(read["endpoint"]):
                self.problems.append(
                    "OPENSEARCH_AUTH=basic needs an https endpoint: over http the password would be readable on the way"
                )
        return read

    def daily(self) -> bool:
        """Whether CloudTrail's events have an index for each day, and not for each month."""
        return self.choice("INDEX_PERIOD", ("month", "day")) == "day"

    def buckets(self) -> frozenset[str]:
        """The buckets that may be read."""
        names = self.checked("ALLOWED_BUCKETS", _buckets, required=True)
        return frozenset(filter(None, (name.strip() for name in names.split(","))))

    def rules(self) -> tuple[Rule, ...]:
        """The exclusion rules."""
        try:
            return exclusions.parse(self._environ.get("EXCLUSION_RULES", ""))
        except ValueError as error:
            self.problems += str(error).splitlines()
            return ()

    def tiers(self) -> frozenset[str]:
        """The tiers of alerts that people are told of."""
        return frozenset(filter(None, map(str.strip, self.checked("ALERT_TIERS", _tiers, default="page,ticket").split(","))))

    def writer(self) -> WriterVariables:
        """The variables of a function that writes documents."""
        return WriterVariables(
            **self.engine(),
            allowed_buckets=self.buckets(),
            quarantine_bucket=self.checked("QUARANTINE_BUCKET", bucket_problem, required=True),
            quarantine_prefix=self.checked("QUARANTINE_PREFIX", folder_problem, default="quarantine/"),
            ingest_mode=self.choice("INGEST_MODE", ("live", "replay")),
            bulk_bytes=self.integer("BULK_BYTES", 5_000_000, 1_000, 100_000_000),
            bulk_senders=self.integer("BULK_SENDERS", 4, 1, 32),
            object_fetchers=self.integer("OBJECT_FETCHERS", 8, 1, 64),
            max_object_bytes=self.integer("MAX_OBJECT_BYTES", 4 * GIB, 1_000, 64 * GIB),
            max_inflation_ratio=self.integer("MAX_INFLATION_RATIO", 250, 10, 1_100),
        )

    def checked(self, name: str, problem: Callable[[str], str], *, required: bool = False, default: str = "") -> str:
        """A text; `problem` says what is wrong with it, or nothing."""
        value = self._environ.get(name, "").strip() or default
        if not value:
            if required:
                self.problems.append(f"{name} is missing")
            return value
        wrong = problem(value)
        if wrong:
            self.problems.append(f"{name} is {value!r}: {wrong}")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of the choices, of which the first is the default."""
        value = self._environ.get(name, "").strip() or choices[0]
        if value not in choices:
            self.problems.append(f"{name} is {value!r}: it must be one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within bounds."""
        text = self._environ.get(name, "").strip()
        if not text:
            return default
        if not re.fullmatch(r"\d{1,18}", text) or not least <= int(text) <= most:
            self.problems.append(f"{name} is {text!r}: it must be a whole number from {least:,} to {most:,}")
            return default
        return int(text)


def _endpoint(value: str) -> str:
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        return str(error)
    if url.scheme not in ("http", "https") or not url.hostname:
        return "it must be a URL that begins with https:// or http://, such as https://search-audit-abc.eu-central-1.es.amazonaws.com"
    if url.username or url.password:
        return "a user name or password must not stand in the URL; use OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD_SECRET"
    if url.query or url.fragment or port == 0:
        return "it must have no query, fragment or port 0"
    return ""


def _readable_on_the_way(endpoint: str) -> bool:
    """Whether requests leave this machine over plain http. What is no URL has been reported already."""
    try:
        url = urlsplit(endpoint)
    except ValueError:
        return False
    return url.scheme == "http" and url.hostname not in ("127.0.0.1", "localhost", "::1")


def prefix_problem(value: str) -> str:
    """What is wrong with a prefix of index names; nothing where all is well."""
    return (
        ""
        if _PREFIX.fullmatch(value)
        else "it must be at most 50 lower-case letters, digits, hyphens and underscores, and begin with a letter or digit"
    )


def _queue_url(value: str) -> str:
    return (
        ""
        if re.fullmatch(r"https?://\S+/\S+", value)
        else "it must be the URL of a queue, such as https://sqs.eu-central-1.amazonaws.com/123456789012/name"
    )


def _topic_arn(value: str) -> str:
    return (
        ""
        if re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}", value)
        else "it must be the ARN of a topic (not of a FIFO topic), such as arn:aws:sns:eu-central-1:123456789012:alerts"
    )


def _tiers(value: str) -> str:
    wrong = sorted(set(map(str.strip, value.split(","))) - {"page", "ticket", "digest", "off", ""})
    return f"{', '.join(wrong)} is no tier: they are page, ticket, digest and off" if wrong else ""


def _address(value: str) -> str:
    return "" if re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value) else "it must be a URL that begins with https://"


def bucket_problem(value: str) -> str:
    """What keeps a text from being the name of an S3 bucket; nothing where it can be one."""
    return "" if _BUCKET.fullmatch(value) else "it cannot be the name of an S3 bucket"


def _buckets(value: str) -> str:
    names = [name for name in (part.strip() for part in value.split(",")) if name]
    wrong = [name for name in names if not _BUCKET.fullmatch(name)]
    if not names:
        return "it names no bucket"
    return f"{', '.join(wrong)} cannot be the name of an S3 bucket" if wrong else ""


def folder_problem(value: str) -> str:
    """What keeps a text from being a prefix that ends like a folder; nothing where it can be one."""
    return "" if value.endswith("/") and not value.startswith("/") else "it must end with a slash and not begin with one"


def _key_prefix(value: str) -> str:
    return "it must not begin or end with a slash" if value.startswith("/") or value.endswith("/") else ""
