"""The settings of a function, read once from its environment; every problem is reported in one error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from audit_search import exclusions
from audit_search.errors import SettingsError
from audit_search.exclusions import Rule

_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says; the README describes each variable."""

    endpoint: str
    auth: str
    service: str
    username: str
    password_secret: str
    index_prefix: str
    daily: bool
    allowed_buckets: frozenset[str]
    quarantine_bucket: str
    quarantine_prefix: str
    retention_days: int
    rules: tuple[Rule, ...]
    ingest_mode: str
    bulk_bytes: int
    bulk_senders: int
    object_fetchers: int
    max_object_bytes: int
    max_inflation_ratio: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check all settings together.

        Raises SettingsError with one line for each problem.
        """
        read = _Reader(environ)
        rules: tuple[Rule, ...] = ()
        try:
            rules = exclusions.parse(environ.get("EXCLUSION_RULES", ""))
        except ValueError as error:
            read.problems += str(error).splitlines()
        settings = cls(
            endpoint=read.checked("OPENSEARCH_ENDPOINT", _endpoint, required=True).rstrip("/"),
            auth=read.choice("OPENSEARCH_AUTH", ("aws", "basic", "none")),
            service=read.choice("OPENSEARCH_SERVICE", ("es", "aoss")),
            username=environ.get("OPENSEARCH_USERNAME", ""),
            password_secret=environ.get("OPENSEARCH_PASSWORD_SECRET", ""),
            index_prefix=read.checked("INDEX_PREFIX", _prefix),
            daily=read.choice("INDEX_PERIOD", ("month", "day")) == "day",
            allowed_buckets=frozenset(
                filter(None, (name.strip() for name in read.checked("ALLOWED_BUCKETS", _buckets, required=True).split(",")))
            ),
            quarantine_bucket=read.checked("QUARANTINE_BUCKET", _bucket, required=True),
            quarantine_prefix=read.checked("QUARANTINE_PREFIX", _folder, default="quarantine/"),
            retention_days=read.integer("RETENTION_DAYS", 0, 0, 36_500),
            rules=rules,
            ingest_mode=read.choice("INGEST_MODE", ("live", "replay")),
            bulk_bytes=read.integer("BULK_BYTES", 5_000_000, 1_000, 100_000_000),
            bulk_senders=read.integer("BULK_SENDERS", 4, 1, 32),
            object_fetchers=read.integer("OBJECT_FETCHERS", 8, 1, 64),
            max_object_bytes=read.integer("MAX_OBJECT_BYTES", 4 * GIB, 1_000, 64 * GIB),
            max_inflation_ratio=read.integer("MAX_INFLATION_RATIO", 250, 10, 1_100),
        )
        if settings.auth == "basic":
            for variable, value in (
                ("OPENSEARCH_USERNAME", settings.username),
                ("OPENSEARCH_PASSWORD_SECRET", settings.password_secret),
            ):
                if not value:
                    read.problems.append(f"{variable} is missing: OPENSEARCH_AUTH=basic needs it")
        if settings.auth == "basic" and _readable_on_the_way(settings.endpoint):
            read.problems.append(
                "OPENSEARCH_AUTH=basic needs an https endpoint: over http the password would be readable on the way"
            )
        if read.problems:
            raise SettingsError(read.problems)
        return settings


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def checked(self, name: str, problem: Callable[[str], str], *, required: bool = False, default: str = "") -> str:
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
        value = self._environ.get(name, "").strip() or choices[0]
        if value not in choices:
            self.problems.append(f"{name} is {value!r}: it must be one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, least: int, most: int) -> int:
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


def _prefix(value: str) -> str:
    return (
        ""
        if _PREFIX.fullmatch(value)
        else "it must be at most 50 lower-case letters, digits, hyphens and underscores, and begin with a letter or digit"
    )


def _bucket(value: str) -> str:
    return "" if _BUCKET.fullmatch(value) else "it cannot be the name of an S3 bucket"


def _buckets(value: str) -> str:
    names = [name for name in (part.strip() for part in value.split(",")) if name]
    wrong = [name for name in names if not _BUCKET.fullmatch(name)]
    if not names:
        return "it names no bucket"
    return f"{', '.join(wrong)} cannot be the name of an S3 bucket" if wrong else ""


def _folder(value: str) -> str:
    return "" if value.endswith("/") and not value.startswith("/") else "it must end with a slash and not begin with one"
