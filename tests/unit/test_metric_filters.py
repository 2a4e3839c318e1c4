"""The second path: the metric filters of `alarms.template.yaml` match what their rules match."""

from __future__ import annotations

import copy
import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_search.alerts import matching
from audit_search_cli import alarms_template, alert_rules, metric_filters
from audit_search_cli.alert_sources import Source, parse, sources
from tests.support.building import ROOT
from tests.support.filter_patterns import Test, compiled

SOURCES = sources(ROOT / alert_rules.SOURCES)
FILTERED = [source for source in SOURCES if source.metric_filter is not None]
SAMPLES = [(source.name, sample) for source in SOURCES for sample in (*source.samples.match, *source.samples.no_match)]
SHARED = ROOT.parent / "shared" / "data" / "cloudtrail"
TAMPERING = {
    "trail-stopped",
    "event-source-disabled",
    "queue-purged",
    "audit-search-function-changed",
    "search-domain-changed",
    "logs-or-alarms-deleted",
}
CLASSIC = {
    "root-sign-in",
    "failed-authorisation-burst",
    "large-instances",
    "security-group-changes",
    "sign-in-failures",
    "instance-changes",
}
MINIMAL = """\
name: a-rule
title: A rule
severity: low
tier: digest
means: Something.
do: Nothing.
events: [StopLogging]
sources: [cloudtrail.amazonaws.com]
outcome: success
service_linked_roles: matched
metric_filter: {}
samples:
  match: [{name: one, record: {eventName: StopLogging}}]
  no_match: [{name: other, record: {eventName: StartLogging}}]
"""


@cache
def filter_of(name: str) -> Test:
    (source,) = (source for source in FILTERED if source.name == name)
    return compiled(metric_filters.pattern(source))


def meets(name: str, record: dict[str, Any]) -> bool:
    return name in matching.deployed().matching(record)


@pytest.mark.parametrize("source", FILTERED, ids=lambda source: source.name)
def test_a_filter_matches_the_samples_that_its_rule_matches(source: Source) -> None:
    """All samples of all rules, but for those that the rule's file names with the reason: no more and no less."""
    assert source.metric_filter is not None
    different = {
        (name, sample.name)
        for name, sample in SAMPLES
        if filter_of(source.name)(sample.record) != meets(source.name, sample.record)
    }
    assert different == {(each.rule, each.sample) for each in source.metric_filter.differs}
    assert all(len(each.why.split()) > 3 for each in source.metric_filter.differs)


def test_the_rules_that_have_to_be_there_are() -> None:
    """The classic alarms, those on tampering with the first path, and one for each item of the benchmark that is an event."""
    assert {source.name for source in FILTERED} >= CLASSIC | TAMPERING
    assert {item for source in FILTERED for item in source.references.cis} == {f"4.{number}" for number in range(1, 16)}


PATTERNS = " ".join(map(metric_filters.pattern, FILTERED))
FIELDS = sorted(set(re.findall(r"\$\.([\w.]+)", PATTERNS)))
BOOLEANS = set(re.findall(r"\$\.([\w.]+) IS ", PATTERNS))
WORDS = sorted(set(re.findall(r'= "?([^"\s]+?)\*?"?[ )]', PATTERNS.replace('"*', '"'))))
ROLES = [
    f"arn:aws:iam::111122223333:role/{path}" for path in ("Deploy", "aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
]


@st.composite
def changed_records(draw: st.DrawFn) -> dict[str, Any]:
    """A sample in which some of the fields that the filters read are gone or have another value, of the kind that they have."""
    record: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(SAMPLES))[1].record)
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        *path, last = field.split(".")
        below: Any = record
        for key in path:
            if not isinstance(below.get(key), dict):
                below[key] = {}
            below = below[key]
        words = st.sampled_from(WORDS)
        near = words | words.map("a{}".format) | words.map("{}a".format)
        values = st.sampled_from(ROLES) if field.endswith(".arn") else near | st.booleans() if field in BOOLEANS else near
        below.pop(last, None)
        if draw(st.booleans()):
            below[last] = draw(values)
    return record


SAME = [source for source in FILTERED if source.metric_filter and not source.metric_filter.differs]


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(record=changed_records(), source=st.sampled_from(SAME))
def test_a_filter_and_its_rule_agree_on_any_record(record: dict[str, Any], source: Source) -> None:
    """Whatever is absent or different, both say the same."""
    assert filter_of(source.name)(record) == meets(source.name, record)


def test_filters_and_rules_agree_on_real_records_and_their_alerts_are_printed() -> None:
    """On what real accounts logged, attacks included; the figures are for each rule, in 10,000 events that are no attack."""
    attacks = {"datadog_stratus-red-team", "invictus-ir_aws_dataset"}
    counts, others = dict.fromkeys((source.name for source in FILTERED), 0), 0
    for folder in SHARED.glob("*"):
        for record in records(folder):
            for source in FILTERED:
                matched = filter_of(source.name)(record)
                assert matched == meets(source.name, record) or source not in SAME, (source.name, record.get("eventID"))
                counts[source.name] += matched and folder.name not in attacks
            others += folder.name not in attacks
    for name, count in sorted(counts.items(), key=lambda each: -each[1]):
        print(f"{name}: {count * 10_000 / max(others, 1):.0f} in 10,000")


def records(folder: Path) -> list[dict[str, Any]]:
    return [
        record
        for path in sorted(folder.rglob("*.json.gz"))
        for record in json.loads(gzip.decompress(path.read_bytes())).get("Records", [])
    ]


def test_the_template_is_current() -> None:
    """`python -m audit_search_cli.alarms_template` would change nothing."""
    assert (ROOT / alarms_template.TEMPLATE).read_text("utf-8") == alarms_template.text(SOURCES)


def test_check_tells_of_a_template_that_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` names the file and the command, a run without it puts the file right, and a rule that does not fit is named."""
    (tmp_path / alert_rules.SOURCES).mkdir(parents=True)
    rule = tmp_path / alert_rules.SOURCES / "a-rule.yaml"
    rule.write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert alarms_template.main(["--check"]) == 1
    assert "alarms.template.yaml is not what the rules say: run python -m" in capsys.readouterr().err
    assert alarms_template.main([]) == 0
    assert alarms_template.main(["--check"]) == 0
    rule.write_text(MINIMAL.replace("outcome: success", "outcome: success\ncondition: {field: a, wildcard: 'b*c'}"))
    assert alarms_template.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("a-rule: metric_filter: a pattern has wildcards at the ends of a value only, which b*c of a")
    assert said.endswith("does not fit, give it a pattern\n")


@pytest.mark.parametrize(
    ("condition", "term"),
    [
        ("{field: a.b, equals: X}", "$.a.b = X"),
        ("{field: a.b, in: [X, y z]}", '($.a.b = X || $.a.b = "y z")'),
        ("{field: a, prefix: X}", '$.a = "X*"'),
        ("{field: a, wildcard: '*x*'}", '$.a = "*x*"'),
        ("{field: a, equals: true}", '($.a = "true" || $.a IS TRUE)'),
        ("{not: {field: a, equals: true}}", '($.a NOT EXISTS || ($.a != "true" || $.a IS FALSE))'),
        ("{field: a, exists: false}", "$.a NOT EXISTS"),
        ("{not: {field: a, exists: true}}", "$.a NOT EXISTS"),
        (
            "{not: {any: [{field: a, equals: X}, {not: {field: b, equals: Y}}]}}",
            "(($.a NOT EXISTS || $.a != X) && $.b = Y)",
        ),
    ],
)
def test_a_condition_becomes_a_term(condition: str, term: str) -> None:
    """Each kind of condition, and its contrary."""
    source = parse(MINIMAL.replace("outcome: success", f"outcome: any\ncondition: {condition}"), "a-rule.yaml")
    pattern = metric_filters.pattern(source)
    assert pattern == f'{{ $.eventName = StopLogging && $.eventSource = "cloudtrail.amazonaws.com" && {term} }}'
    compiled(pattern)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("{field: a, exists: true}", "a pattern cannot say that a is there whatever its value is"),
        ("{field: a, cidr: [10.0.0.0/8]}", "a pattern cannot say cidr of a"),
        ("{field: a, elements: {field: b, equals: X}}", "a pattern cannot say elements of a"),
        ("{field: a, equals: 5}", "a pattern compares 5 of a as a number, a rule as text"),
        ("{field: a, equals: 'x*'}", "a pattern has wildcards at the ends of a value only, which x* of a does not fit"),
        ("{field: a, equals: 'x\"y'}", 'a pattern cannot say a quotation mark or a backslash, as x"y of a has it'),
    ],
)
def test_a_condition_that_no_pattern_can_say_is_refused(condition: str, message: str) -> None:
    """One line names the rule and asks for a pattern; with one it is taken as it is."""
    text = MINIMAL.replace("outcome: success", f"outcome: any\ncondition: {condition}")
    with pytest.raises(ValueError, match=f"^{re.escape(f'a-rule: metric_filter: {message}, give it a pattern')}$"):
        metric_filters.pattern(parse(text, "a-rule.yaml"))
    own = text.replace("metric_filter: {}", "metric_filter: {pattern: '{ $.a = * }'}")
    assert metric_filters.pattern(parse(own, "a-rule.yaml")) == "{ $.a = * }"


def test_a_rule_that_counts_different_values_is_refused() -> None:
    """A metric knows how many records there were, not how many regions."""
    threshold = "outcome: any\nthreshold: {count: 5, minutes: 10, by: ct.identity, distinct: awsRegion}"
    with pytest.raises(ValueError, match=r"^a-rule: metric_filter: an alarm counts records, and not the values of awsRegion$"):
        metric_filters.pattern(parse(MINIMAL.replace("outcome: success", threshold), "a-rule.yaml"))


def test_a_template_that_is_too_long_is_refused() -> None:
    """CloudFormation would take it from a bucket only, which whoever deploys it may not have."""
    rule = parse(MINIMAL.replace("means: Something.", f"means: {'Something. ' * 5_000}"), "a-rule.yaml")
    with pytest.raises(
        ValueError, match=r"^alarms\.template.yaml: has \d{5} bytes, may have 51200: take metric_filter out of a rule"
    ):
        alarms_template.text([rule])


def test_a_pattern_that_is_too_long_is_refused() -> None:
    """PutMetricFilter takes 1,024 characters."""
    events = ", ".join(f"StopLogging{number}" for number in range(50))
    with pytest.raises(ValueError, match=r"^a-rule: metric_filter: the pattern has 1\d{3} characters, may have 1024$"):
        metric_filters.pattern(parse(MINIMAL.replace("[StopLogging]", f"[{events}]"), "a-rule.yaml"))
