"""The options that commands share, the order in which settings are looked for, and how a command's help is laid out.

A setting comes from an option, else from the environment, else from the stack (`--stack`), else it has its default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import boto3
import click
from botocore.config import Config
from botocore.exceptions import ClientError

from audit_search_cli import connection, stack
from audit_search_cli.connection import Engine, Target
from audit_search_cli.errors import EXIT_CODES, code_of
from audit_search_cli.output import Output, note

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class Invocation:
    """One run of the command: what was given, and the clients that follow from it, made when they are asked for."""

    given: dict[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def output(self) -> Output:
        """Where the result goes."""
        return Output(as_json=self.given.get("output") == "json")

    @property
    def debug(self) -> bool:
        """Whether requests and stack traces are shown."""
        return bool(self.given.get("debug"))

    @cached_property
    def session(self) -> Any:
        """The boto3 session of --profile and --region. Raises ProfileNotFound."""
        return boto3.Session(profile_name=self.given.get("profile"), region_name=self.given.get("region"))

    def client(self, service: str, region: str | None = None, session: Any = None) -> Any:
        """A client of an AWS service, with the credentials of --profile or of another session; a person is waiting, so it
        gives up early."""
        retries = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3})
        return (session or self.session).client(service, region_name=region or self.session.region_name, config=retries)

    @cached_property
    def stack(self) -> stack.Stack | None:
        """The stack of --stack."""
        name = self.given.get("stack")
        return stack.read(self.client("cloudformation"), name) if name else None

    @cached_property
    def settings(self) -> dict[str, str]:
        """Every setting by the name of its variable, from the first place that has it."""
        from_stack = self.stack.environment if self.stack else {}
        from_environment = {name: self.environ[name] for name in VARIABLES.values() if self.environ.get(name, "").strip()}
        from_options = {VARIABLES[name]: str(value) for name, value in self.given.items() if name in VARIABLES}
        found = {**from_stack, **from_environment, **from_options}
        endpoint = "OPENSEARCH_ENDPOINT"
        if endpoint not in from_options and from_stack.get(endpoint, found.get(endpoint)) != found.get(endpoint):
            note(f"Note: {endpoint} of the environment ({found[endpoint]}) wins over that of the stack ({from_stack[endpoint]}).")
        return found

    @cached_property
    def target(self) -> Target:
        """The engine that is meant. Raises Problem."""
        return connection.target(self.settings, self.given.get("connect_to") or "", self.environ)

    @cached_property
    def engine_session(self) -> Any:
        """The session that signs requests: that of DOMAIN_ADMIN_ROLE_ARN where one is named, for it may prepare the domain.

        A role that only the stack names may be for its functions alone: then the caller's own credentials do.
        """
        role = self.settings.get("DOMAIN_ADMIN_ROLE_ARN", "").strip()
        if not role or self.target.auth != "aws":
            return self.session
        try:
            lent = self.client("sts").assume_role(RoleArn=role, RoleSessionName="audit-search")["Credentials"]
        except ClientError as error:
            named = self.given.get("domain_admin_role_arn") or self.environ.get("DOMAIN_ADMIN_ROLE_ARN")
            if named or code_of(error) != "AccessDenied":
                raise
            note(f"Note: {role} may not be assumed; requests are signed with the credentials of the caller.")
            return self.session
        return boto3.Session(
            lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"], region_name=self.session.region_name
        )

    def engine(self) -> Engine:
        """The engine, with what signs its requests. Raises Problem and what botocore raises for credentials."""
        session = self.engine_session if self.target.auth == "aws" else self.session
        auth = connection.authentication(self.target, session)
        return Engine(self.target, auth, trace=_trace if self.debug else None)


def _trace(line: str) -> None:
    sys.stderr.write(line + "\n")


VARIABLES = {
    "endpoint": "OPENSEARCH_ENDPOINT",
    "auth": "OPENSEARCH_AUTH",
    "service": "OPENSEARCH_SERVICE",
    "username": "OPENSEARCH_USERNAME",
    "password_secret": "OPENSEARCH_PASSWORD_SECRET",
    "domain_admin_role_arn": "DOMAIN_ADMIN_ROLE_ARN",
    "prefix": "INDEX_PREFIX",
    "period": "INDEX_PERIOD",
    "retention_days": "RETENTION_DAYS",
    "alerts": "ALERTS",
    "config": "AWS_CONFIG",
    "config_retention_days": "CONFIG_RETENTION_DAYS",
    "shape": "DOCUMENT_SHAPE",
    "refresh_interval": "REFRESH_INTERVAL",
    "shards": "SHARDS",
    "replicas": "REPLICAS",
    "writer_role_arns": "WRITER_ROLE_ARNS",
    "config_writer_role_arns": "CONFIG_WRITER_ROLE_ARNS",
    "verifier_role_arns": "VERIFIER_ROLE_ARNS",
    "linker_role_arns": "LINKER_ROLE_ARNS",
    "admin_role_arns": "ADMIN_ROLE_ARNS",
    "analyst_role_arns": "ANALYST_ROLE_ARNS",
    "alert_topic_arn": "ALERT_TOPIC_ARN",
    "alert_role_arn": "ALERT_ROLE_ARN",
    "no_dashboards": "DASHBOARDS",
    "dashboards_url": "DASHBOARDS_URL",
}
"""The variable of each option that is a setting."""


class Shared(click.Option):
    """An option that is listed apart in a command's help, under the title `section`."""

    def __init__(self, *names: Any, section: str, **attributes: Any) -> None:
        """As click's; `section` is the title."""
        self.section = section
        super().__init__(*names, **attributes)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """What was given to the program or to one of its commands; the nearer one wins."""
    invocation = context.ensure_object(Invocation)
    if value is not None and value is not False:
        invocation.given[str(parameter.name)] = value
    return value


def _option(section: str, name: str, text: str, **attributes: Any) -> Callable[[Function], Function]:
    variable = VARIABLES.get(name.removeprefix("--").replace("-", "_"))
    shown = f"{text}  [env var: {variable}]" if variable else text
    return click.option(name, cls=Shared, section=section, help=shown, expose_value=False, callback=_keep, **attributes)


_ENGINE = "Engine options"
_AWS = "AWS options"
_SETTINGS = "Settings of the domain"
_GENERAL = "General options"
_GENERAL_OPTIONS = [
    _option(_GENERAL, "--output", "text for people (the default), or one JSON document.", type=click.Choice(["text", "json"])),
    _option(_GENERAL, "--debug", "Show requests and stack traces on stderr.", is_flag=True, default=None),
]
_AWS_OPTIONS = [
    _option(_AWS, "--stack", "Take what is not given from the outputs of this CloudFormation stack.", metavar="NAME"),
    _option(_AWS, "--profile", "Profile of the AWS configuration files.", metavar="NAME"),
    _option(_AWS, "--region", "AWS region.", metavar="NAME"),
]
_ENGINE_OPTIONS = [
    _option(_ENGINE, "--endpoint", "URL of the engine, https or http.", metavar="URL"),
    _option(
        _ENGINE,
        "--auth",
        "aws signs requests (the default), basic sends a user name and a password, none neither.",
        type=click.Choice(["aws", "basic", "none"]),
    ),
    _option(_ENGINE, "--service", "es for a domain (the default), aoss for a collection.", type=click.Choice(["es", "aoss"])),
    _option(_ENGINE, "--username", "For --auth basic.", metavar="NAME"),
    _option(
        _ENGINE,
        "--password-secret",
        "For --auth basic: the Secrets Manager secret that holds the password, as it is or as `password` in a JSON object.",
        metavar="ARN",
    ),
    _option(_ENGINE, "--domain-admin-role-arn", "Role to assume for signed requests; it may prepare the domain.", metavar="ARN"),
    _option(_ENGINE, "--prefix", "What stands before the name of every index.", metavar="TEXT"),
    _option(
        _ENGINE,
        "--connect-to",
        "Where TCP goes instead, such as the end of an SSH or SSM tunnel: localhost:9443. Host header, TLS name, "
        "certificate check and signature stay those of the endpoint.",
        metavar="HOST:PORT",
    ),
]
_SETTINGS_OPTIONS = [
    _option(_SETTINGS, "--period", "One index a month (the default), or a day.", type=click.Choice(["month", "day"])),
    _option(
        _SETTINGS,
        "--retention-days",
        "CloudTrail's indices older than this are deleted; 0 keeps all.",
        type=click.IntRange(0, 36_500),
    ),
    _option(_SETTINGS, "--alerts", "true where the function tells people of alerts.", type=click.Choice(["false", "true"])),
    _option(
        _SETTINGS, "--config", "true where AWS Config's documents are to come as well.", type=click.Choice(["false", "true"])
    ),
    _option(
        _SETTINGS,
        "--config-retention-days",
        "The same for AWS Config's versions and events; latest states are kept.",
        type=click.IntRange(0, 36_500),
    ),
    _option(
        _SETTINGS,
        "--shape",
        "full (the default) finds sub-trees by path; lean through the text alone, for a fifth less to store.",
        type=click.Choice(["full", "lean"]),
    ),
    _option(_SETTINGS, "--refresh-interval", "How soon what was written is found, such as 10s.", metavar="TEXT"),
    _option(_SETTINGS, "--shards", "Primary shards of an index.", metavar="NUMBER"),
    _option(_SETTINGS, "--replicas", "Copies of each shard: a number, or fit for as many as the nodes allow.", metavar="NUMBER"),
    _option(_SETTINGS, "--writer-role-arns", "IAM roles that write CloudTrail's events, separated by commas.", metavar="ARNS"),
    _option(
        _SETTINGS, "--config-writer-role-arns", "IAM roles that write AWS Config's items, separated by commas.", metavar="ARNS"
    ),
    _option(_SETTINGS, "--verifier-role-arns", "IAM roles that look whether each event is there.", metavar="ARNS"),
    _option(_SETTINGS, "--linker-role-arns", "IAM roles that link AWS Config's versions with calls.", metavar="ARNS"),
    _option(_SETTINGS, "--admin-role-arns", "IAM roles of administrators, separated by commas.", metavar="ARNS"),
    _option(_SETTINGS, "--analyst-role-arns", "IAM roles of people who search, separated by commas.", metavar="ARNS"),
    _option(_SETTINGS, "--alert-topic-arn", "SNS topic that monitors tell of bursts.", metavar="ARN"),
    _option(_SETTINGS, "--alert-role-arn", "IAM role as which an Amazon domain publishes to that topic.", metavar="ARN"),
    _option(
        _SETTINGS, "--dashboards-url", "OpenSearch Dashboards, where it is not under /_dashboards of the endpoint.", metavar="URL"
    ),
    _option(
        _SETTINGS,
        "--no-dashboards",
        "Leave the dashboards alone, as the value false of the variable does.",
        flag_value="false",
        default=None,
    ),
]


def general_options(function: Function) -> Function:
    """--output and --debug."""
    return _all(_GENERAL_OPTIONS, function)


def aws_options(function: Function) -> Function:
    """--stack, --profile, --region, and the general options."""
    return _all(_AWS_OPTIONS, general_options(function))


def engine_options(function: Function) -> Function:
    """Which engine and how to reach it, and the AWS options."""
    return _all(_ENGINE_OPTIONS, aws_options(function))


def settings_options(function: Function) -> Function:
    """How the domain is to be prepared, and the engine options."""
    return _all(_SETTINGS_OPTIONS, engine_options(function))


def _all(options: Sequence[Callable[[Any], Any]], function: Function) -> Function:
    for option in reversed(options):
        function = option(function)
    return function


class _Documented:
    """Help with an example, exit codes, and the shared options under titles of their own."""

    examples: Sequence[str] = ()
    further: Sequence[tuple[str, Sequence[tuple[str, str]]]] = ()

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Own options first, then each section of shared ones."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(context):  # type: ignore[attr-defined]
            record = parameter.get_help_record(context)
            if record:
                title = parameter.section if isinstance(parameter, Shared) else "Options"
                sections.setdefault(title, []).append(record)
        for title in sorted(sections, key=lambda title: title != "Options"):
            with formatter.section(title):
                formatter.write_dl(sections[title])
        if isinstance(self, click.Group):
            self.format_commands(context, formatter)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, and for the whole program its exit codes."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        for title, rows in self.further:
            with formatter.section(title):
                formatter.write_dl(rows)


class DocumentedCommand(_Documented, click.Command):
    """A command with `examples` in its help."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **attributes: Any) -> None:
        """As click's; `examples` are command lines."""
        self.examples = examples
        super().__init__(*arguments, **attributes)


class DocumentedGroup(_Documented, click.Group):
    """A group of commands with `examples` in its help."""

    command_class = DocumentedCommand

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **attributes: Any) -> None:
        """As click's; `examples` are command lines."""
        self.examples = examples
        super().__init__(*arguments, **attributes)


EXIT_CODE_ROWS = [(str(code), meaning) for code, meaning in EXIT_CODES.items()]
pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
