"""The alert rules: each hits its own samples, and those of the others only where they say so."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import botocore.loaders
import pytest

from audit_search.alerts import matching
from audit_search_cli import alert_document, alert_rules
from audit_search_cli.alert_sources import Sample, Source, body, parse, sources
from tests.support.building import ROOT

SOURCES = sources(ROOT / alert_rules.SOURCES)
NAMES = [source.name for source in SOURCES]
SAMPLES = [
    (source.name, sample, hits)
    for source in SOURCES
    for hits, samples in ((True, source.samples.match), (False, source.samples.no_match))
    for sample in samples
]
SHARED = ROOT.parent / "shared" / "data" / "cloudtrail"
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
samples:
  match: [{name: one, record: {eventName: StopLogging}}]
  no_match: [{name: other, record: {eventName: StartLogging}}]
"""


@pytest.mark.parametrize(("name", "sample", "hits"), SAMPLES, ids=[f"{name}-{sample.name}" for name, sample, _ in SAMPLES])
def test_every_rule_against_every_sample(name: str, sample: Sample, hits: bool) -> None:
    """A sample raises the rules that it declares and no other."""
    assert matching.deployed().matching(sample.record) == sorted([*sample.also, *([name] if hits else [])])


def test_every_function_of_the_template_is_known_whatever_its_stack_is_called() -> None:
    """CloudFormation names a function by its stack, its name in the template, and letters of its own."""
    template = (ROOT / "template.yaml").read_text()
    functions = re.findall(r"^  (\w+):\n    Type: AWS::(?:Serverless|Lambda)::Function$", template, re.MULTILINE)
    assert "CloudTrailFunction" in functions
    call = {"eventSource": "lambda.amazonaws.com", "eventName": "UpdateFunctionCode20150331v2"}
    for name in functions:
        record = {**call, "requestParameters": {"functionName": f"trails-{name}-AbCdEf123456"}}
        assert matching.deployed().matching(record) == ["audit-search-function-changed"], name


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_a_rule_has_the_samples_that_it_needs(source: Source) -> None:
    """Samples are whole records; a failed call and a service-linked role's are among those of a rule that leaves them out."""
    records = [sample.record for sample in (*source.samples.match, *source.samples.no_match)]
    whole = {
        "eventVersion",
        "userIdentity",
        "eventTime",
        "eventSource",
        "eventName",
        "awsRegion",
        "eventID",
        "recipientAccountId",
    }
    assert all(whole <= record.keys() and json.dumps(record) for record in records)
    refused = [sample.record for sample in source.samples.no_match]
    if source.outcome == "success" and "ConsoleLogin" not in source.events:
        assert any(record.get("errorCode") for record in refused)
    if source.service_linked_roles == "left out" and source.events != [matching.ANY]:
        assert any("/aws-service-role/" in json.dumps(record) for record in refused)


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_a_rule_names_calls_that_exist(source: Source) -> None:
    """Each event is an operation of one of the rule's services, or one that CloudTrail alone knows."""
    known = EVENTS_WITHOUT_OPERATION.union(*(operations(name.split(".")[0]) for name in source.sources))
    assert {re.sub(r"20\d{6}(v\d)?$", "", event) for event in source.events if event != matching.ANY} <= known


@cache
def operations(source: str) -> frozenset[str]:
    """What can be called at the service that CloudTrail names so."""
    loader = botocore.loaders.Loader()
    return frozenset(
        name for model in MODELS.get(source, (source,)) for name in loader.load_service_model(model, "service-2")["operations"]
    )


MODELS = {
    "s3": ("s3", "s3control"),
    "es": ("es", "opensearch"),
    "monitoring": ("cloudwatch",),
    "elasticfilesystem": ("efs",),
    "access-analyzer": ("accessanalyzer",),
    "sso": ("sso-admin",),
    "signin": ("iam",),
    "ses": ("ses", "sesv2"),
    "email": ("ses",),
}
EVENTS_WITHOUT_OPERATION = frozenset(
    {
        "ConsoleLogin",
        "PutFoundationModelEntitlement",  # the console of Bedrock calls it, no SDK does
        # S3's names of calls differ from those of its interface.
        "PutBucketPublicAccessBlock",
        "DeleteBucketPublicAccessBlock",
        "PutAccountPublicAccessBlock",
        "DeleteAccountPublicAccessBlock",
        # Calls of networks before VPCs, which CIS lists, and which are no longer in the interface.
        "AttachClassicLinkVpc",
        "DetachClassicLinkVpc",
        "DisableVpcClassicLink",
        "EnableVpcClassicLink",
    }
)


def test_every_item_of_the_benchmark_that_is_an_event_has_a_rule() -> None:
    """CIS 4.1 to 4.15; 4.16 is a state, which no record shows."""
    named = {item for source in SOURCES for item in source.references.cis}
    assert named == {f"4.{number}" for number in range(1, 16)}


def test_what_is_made_of_the_rules_is_current() -> None:
    """`python -m audit_search_cli.alert_rules` would change nothing."""
    assert (ROOT / alert_rules.DEPLOYED).read_text("utf-8") == alert_rules.deployed(SOURCES)
    assert (ROOT / alert_rules.DOCUMENT).read_text("utf-8") == alert_document.text(SOURCES)


def test_check_tells_of_a_file_that_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` names the file and the command, and a run without it puts the file right."""
    (tmp_path / alert_rules.SOURCES).mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / alert_rules.SOURCES / "a-rule.yaml").write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert alert_rules.main(["--check"]) == 1
    assert "alerts.json is not what the rules say: run python -m audit_search_cli.alert_rules" in capsys.readouterr().err
    assert alert_rules.main([]) == 0
    assert alert_rules.main(["--check"]) == 0
    (tmp_path / alert_rules.SOURCES / "b-rule.yaml").write_text(MINIMAL)
    assert alert_rules.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith("b-rule.yaml: name: is 'a-rule', must be the file's name")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("severity: low", "severity: mild", "a-rule.yaml: Invalid enum value 'mild' - at `$.severity`"),
        ("tier: digest", "tiers: digest", "a-rule.yaml: Object contains unknown field `tiers`"),
        ("do: Nothing.\n", "", "a-rule.yaml: Object missing required field `do`"),
        ("events: [StopLogging]", "events: []", "a-rule.yaml: events: is empty, must hold one or more"),
        ("outcome: success", "outcome: [", "a-rule.yaml: is not YAML: "),
        ("outcome: success", "outcome: any\ncondition: {field: a}", "a-rule.yaml: a-rule: condition: a needs one of "),
        (
            "outcome: success",
            "outcome: any\nthreshold: {count: 1, minutes: 5, by: a}",
            "a-rule.yaml: Expected `int` >= 2 - at `$.threshold.count`",
        ),
        ("outcome: success", "outcome: any\nsuppressions: [{who: us}]", "a-rule.yaml: Object missing required field `why` - at "),
    ],
)
def test_a_wrong_rule_is_refused(before: str, after: str, message: str) -> None:
    """One line says which file, where in it, and what would be right."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        parse(MINIMAL.replace(before, after), "a-rule.yaml")
    assert "\n" not in str(caught.value)


def test_a_suppression_ends_by_the_time_of_the_event() -> None:
    """What is known is left out up to and with its last day, whenever the record is read."""
    suppression = (
        "suppressions: [{who: us, why: planned, until: 2026-03-31, condition: {field: userIdentity.userName, equals: morgan}}]\n"
    )
    rules = matching.Rules([matching.rule(body(parse(MINIMAL + suppression, "a-rule.yaml")))])
    record: dict[str, Any] = {
        "eventName": "StopLogging",
        "eventSource": "cloudtrail.amazonaws.com",
        "userIdentity": {"userName": "morgan"},
    }
    assert rules.matching({**record, "eventTime": "2026-03-31T23:59:59Z"}) == []
    assert rules.matching({**record, "eventTime": "2026-04-01T00:00:00Z"}) == ["a-rule"]
    assert rules.matching({**record, "eventTime": "2026-03-02T00:00:00Z", "userIdentity": {"userName": "sasha"}}) == ["a-rule"]


def test_two_rules_of_one_name_are_refused() -> None:
    """A name means one rule."""
    rule = matching.rule(body(parse(MINIMAL, "a-rule.yaml")))
    with pytest.raises(ValueError, match="the name 'a-rule' is there twice"):
        matching.Rules([rule, rule])


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"eventName": None},
        {"eventName": ["x"], "userIdentity": "x"},
        {"userIdentity": [None, 1]},
        {"eventName": "StopLogging", "eventSource": ["cloudtrail.amazonaws.com"]},
        {"eventName": "StopLogging", "eventSource": {}, "errorCode": []},
        {"eventName": "*", "eventTime": 5},
    ],
)
def test_a_record_of_any_shape_is_taken(record: dict[str, Any]) -> None:
    """Nothing that a log may hold is an error, and nothing of it is an alert."""
    assert matching.deployed().matching(record) == []


def test_matching_needs_no_yaml() -> None:
    """The package in Lambda reads the deployed form alone."""
    code = (
        "import sys; from audit_search.alerts.matching import deployed; deployed().matching({}); sys.exit('yaml' in sys.modules)"
    )
    path = str(ROOT / "layers/audit_search/src")
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def records(folder: Path) -> list[dict[str, Any]]:
    return [
        record
        for path in sorted(folder.rglob("*.json.gz"))
        for record in json.loads(gzip.decompress(path.read_bytes())).get("Records", [])
    ]


def alerting(record: dict[str, Any]) -> list[str]:
    rules = matching.deployed()
    found = (rules.by_name[name] for name in rules.matching(record))
    return [rule.name for rule in found if rule.tier in {"page", "ticket"} and not rule.counted]


def test_each_technique_of_an_attack_raises_a_ticket() -> None:
    """What a red team's tool does to an account is seen by one record at least."""
    paths = (SHARED / "datadog_stratus-red-team").glob("*.json.gz")
    unseen = [path.name for path in paths if not any(map(alerting, json.loads(gzip.decompress(path.read_bytes()))["Records"]))]
    assert unseen == []


def test_alerts_among_other_events_are_printed() -> None:
    """Per 10,000 events, for each rule, without the two sets that were made by attacking an account."""
    attacks = {"datadog_stratus-red-team", "invictus-ir_aws_dataset"}
    others = [record for folder in SHARED.glob("*") if folder.name not in attacks for record in records(folder)]
    counts = Counter(name for record in others for name in matching.deployed().matching(record))
    for name, count in counts.most_common():
        print(f"{name}: {count * 10_000 / len(others):.0f} in 10,000")
    assert counts.keys() <= set(NAMES)
