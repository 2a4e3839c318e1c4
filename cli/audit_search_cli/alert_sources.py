"""The files of the alert rules, `definitions/alerts/*.yaml`: what one may say, read and checked."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml  # type: ignore[import-untyped]

from audit_search.alerts import matching


class Sample(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole record; `also` names the other rules that it meets."""

    name: str
    record: dict[str, Any]
    also: list[str] = []


class Samples(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Records that the rule must match, and records that it must not."""

    match: list[Sample]
    no_match: list[Sample]


class References(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Items of the CIS AWS Foundations Benchmark v3.0.0 (`4.1`) and techniques of MITRE ATT&CK (`T1078.004`)."""

    cis: list[str] = []
    attack: list[str] = []


class Suppression(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Records that are known and not alerted on up to and with the day `until`, by the event's time."""

    who: str
    why: str
    until: date
    condition: dict[str, Any]


class Threshold(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The rule means `count` records or more within `minutes`, of one value of the field `by`.

    With `distinct` it means that many values of this field instead of records. Both are fields of the document, as keywords.
    """

    count: Annotated[int, msgspec.Meta(ge=2)]
    minutes: Annotated[int, msgspec.Meta(ge=1, le=60)]
    by: str
    distinct: str | None = None


class Difference(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A sample of the rule of this name that the metric filter and its own rule see differently, as its language forces it."""

    rule: str
    sample: str
    why: str


class MetricFilter(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The rule is in `alarms.template.yaml`, with this `pattern` where the one made of the rule does not do."""

    pattern: str | None = None
    differs: list[Difference] = []


class Source(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One rule as its file says it."""

    name: str
    title: str
    severity: Literal["critical", "high", "medium", "low"]
    tier: Literal["page", "ticket", "digest", "off"]
    means: str
    do: str
    events: list[str]
    sources: list[str]
    outcome: Literal["success", "failure", "any"]
    service_linked_roles: Literal["matched", "left out"]
    samples: Samples
    references: References = References()
    condition: dict[str, Any] | None = None
    suppressions: list[Suppression] = []
    threshold: Threshold | None = None
    metric_filter: MetricFilter | None = None


def parse(text: str, file: str) -> Source:
    """The rule of one file's text.

    Raises ValueError with one line that names the file, the place in it and what would be right.
    """
    try:
        source = msgspec.convert(yaml.safe_load(text), Source)
        matching.rule(body(source))
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: is not YAML: {' '.join(str(error).split())}") from error
    except (msgspec.ValidationError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from error
    if f"{source.name}.yaml" != Path(file).name or not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", source.name):
        raise ValueError(f"{file}: name: is {source.name!r}, must be the file's name, in small letters, digits and hyphens")
    for part, found in (
        ("events", source.events),
        ("samples.match", source.samples.match),
        ("samples.no_match", source.samples.no_match),
    ):
        if not found:
            raise ValueError(f"{file}: {part}: is empty, must hold one or more")
    return source


def sources(folder: Path) -> list[Source]:
    """The rules of all files in `folder`, by name.

    Raises ValueError with a line for each file that is wrong.
    """
    found, problems = [], []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found.append(parse(path.read_text("utf-8"), path.name))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return found


def body(source: Source) -> dict[str, Any]:
    """The deployed form of a rule: what is needed to match and to tell people of it, without samples."""
    kept = {key: value for key, value in msgspec.to_builtins(source).items() if value is not None}
    for key in ("references", "samples", "metric_filter"):
        kept.pop(key, None)
    kept["suppressions"] = [{"until": each["until"], "condition": each["condition"]} for each in kept["suppressions"]]
    return kept
