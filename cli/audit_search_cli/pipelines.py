"""The settings with which the functions' pipelines work here: those of the engine, of the stack, and the exclusion rules.

Rules come from --rules, else from EXCLUSION_RULES, else from the function of the stack that is named, so that what is left out
there is left out here.
https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit_search.settings import ConfigSettings, Settings
from audit_search_cli.errors import Problem
from audit_search_cli.history_worker import Job
from audit_search_cli.options import Invocation

FUNCTION: Final = "CloudTrailFunction"
CONFIG_FUNCTION: Final = "ConfigFunction"
RULES: Final = "EXCLUSION_RULES"
BUCKETS: Final = "ALLOWED_BUCKETS"
RULES_HELP: Final = "Exclusion rules, as EXCLUSION_RULES has them.  [env var: EXCLUSION_RULES; default: those of the stack]"
_PASSED_ON: Final = (
    "OPENSEARCH_ENDPOINT",
    "OPENSEARCH_AUTH",
    "OPENSEARCH_SERVICE",
    "OPENSEARCH_USERNAME",
    "OPENSEARCH_PASSWORD_SECRET",
    "INDEX_PREFIX",
    "INDEX_PERIOD",
    "RETENTION_DAYS",
)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Where goes what cannot be indexed: a bucket and a prefix in it, or a folder in their place."""

    bucket: str = "folder"
    prefix: str = "quarantine/"
    folder: Path | None = None


def exclusion_rules(invocation: Invocation, given: str = "") -> str:
    """The text of the exclusion rules; `given` is such a text, or the name of a file that holds it.

    Raises Problem, and what botocore raises where the stack's function may not be read.
    """
    text = given.strip()
    if text.startswith("["):
        return text
    if text:
        try:
            return Path(text).read_text("utf-8")
        except (OSError, ValueError) as error:
            raise Problem(
                f"--rules: {given!r} cannot be read ({error})", "Give a file of JSON, as EXCLUSION_RULES has it."
            ) from error
    return invocation.environ.get(RULES, "").strip() or _of_the_stack(invocation)


def _of_the_stack(invocation: Invocation) -> str:
    if not invocation.stack:
        return ""
    name = invocation.stack.physical(FUNCTION)
    if not name:
        raise Problem(
            f"The stack {invocation.stack.name} has no {FUNCTION}, whose exclusion rules are wanted",
            "Name the stack of Audit Search, or give --rules; a file with [] in it leaves nothing out.",
        )
    return _variable(invocation, name, RULES)


def _variable(invocation: Invocation, function: str, name: str) -> str:
    found = invocation.client("lambda").get_function_configuration(FunctionName=function)
    return str(found.get("Environment", {}).get("Variables", {}).get(name, ""))


def allowed_buckets(invocation: Invocation, given: str = "") -> list[str]:
    """The buckets that may be read: those that are given, else ALLOWED_BUCKETS, else those of the stack's functions.

    Raises what botocore raises where these may not be read.
    """
    text = given or invocation.environ.get(BUCKETS, "")
    if text.strip() or not invocation.stack:
        return _names(text)
    return [name for function in (FUNCTION, CONFIG_FUNCTION) for name in buckets_of(invocation, function)]


def buckets_of(invocation: Invocation, function: str) -> list[str]:
    """The buckets that a function of the stack may read, by its logical id; none where there is no such function.

    Raises what botocore raises where it may not be looked at.
    """
    name = invocation.stack.physical(function) if invocation.stack else ""
    return _names(_variable(invocation, name, BUCKETS)) if name else []


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def job(
    invocation: Invocation, what: str, buckets: Iterable[str], quarantine: Quarantine, rules: str, folder: Path | None = None
) -> Job:
    """The settings of processes that read these buckets (or a folder in their place) and mark all as replay.

    `what` is what a person called for, `rules` a text. Raises Problem and SettingsError.
    """
    if invocation.given.get("connect_to"):
        raise Problem(f"{what} does not go through --connect-to", "Run it where the engine can be reached, such as in its VPC.")
    endpoint = invocation.target.endpoint
    settings = invocation.settings
    aws = {
        "AWS_PROFILE": invocation.given.get("profile"),
        "AWS_DEFAULT_REGION": invocation.session.region_name,
        "AWS_CA_BUNDLE": invocation.environ.get("AWS_CA_BUNDLE"),
    }
    environ = {
        **{name: value for name, value in aws.items() if value},
        **{name: settings[name] for name in _PASSED_ON if settings.get(name, "").strip()},
        "OPENSEARCH_ENDPOINT": endpoint,
        BUCKETS: ",".join(sorted(set(buckets))),
        "QUARANTINE_BUCKET": quarantine.bucket,
        "QUARANTINE_PREFIX": quarantine.prefix,
        RULES: rules,
        "INGEST_MODE": "replay",
    }
    Settings.from_env(environ)
    config = {**environ, "RETENTION_DAYS": settings.get("CONFIG_RETENTION_DAYS", "")}
    ConfigSettings.from_env(config)
    return Job(environ, config, folder, quarantine.folder)
