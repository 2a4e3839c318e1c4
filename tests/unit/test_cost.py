"""The cost page says what the formulas give, and the formulas count with what was measured and deployed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from audit_search.accounting import Counts
from audit_search.aws_config.reports import ConfigReport
from audit_search.envelopes import ObjectRef
from audit_search.observability import Observer
from audit_search.reports import ObjectReport, Report
from audit_search.validation.verification import THREADS
from audit_search_cli import estimates
from benchmarks import cost, cost_model, measured
from benchmarks.cost_model import Account, Line
from benchmarks.measured import ConfigWork, Measured, MeasurementError, Shape
from benchmarks.prices import CHECK, PRICES
from tests.support.building import ROOT, load_template

PAGE = ROOT / "docs" / "cost.md"
ROUND = Measured(
    event_us=20.0,
    object_ms=2.0,
    object_records=30,
    batch=10,
    sent_bytes=500.0,
    full=Shape(1_000.0, 900.0, 400.0),
    lean=Shape(500.0, 450.0, 200.0),
    config=ConfigWork(item_us_together=500.0, batch=10, item_us_many=320.0, many=100, new_us=200.0, known_us=100.0),
)
"""Figures that can be counted with by hand."""


def usd(lines: list[Line], service: str, what: str) -> float:
    """One line of a bill."""
    return next(line.usd for line in lines if line.service == service and line.what.startswith(what))


def test_the_pages_tables_are_what_the_command_prints() -> None:
    """A changed price, formula or measured figure cannot leave the page as it was."""
    page = PAGE.read_text("utf-8")
    known = cost.Known(measured.read(), PRICES)
    assert cost.filled(page, known) == page, "run: python -m benchmarks.cost --update docs/cost.md"
    assert set(re.findall(r"<!-- cost: (\S+) -->", page)) == set(cost.TABLES)


def test_the_estimate_of_a_backfill_counts_with_the_same_figures() -> None:
    """The command has no benchmarks beside it: its copies of what was measured, of prices and of the template are these."""
    found = measured.read()
    assert (round(found.event_us, 1), round(found.object_base_ms, 2)) == (estimates.EVENT_US, estimates.OBJECT_MS)
    assert (found.full.stored_bytes, round(found.config.new_us, 1)) == (estimates.STORED_BYTES, estimates.ITEM_US)
    assert (estimates.MEMORY_MB, estimates.INVOCATION_OBJECTS) == (cost_model.MEMORY_MB, cost_model.BATCH)
    assert Account(1).waiting_ms == estimates.WAITING_MS
    assert load_template()["Parameters"]["MaximumConcurrency"]["Default"] == estimates.COPIES
    prices = {
        "s3-get": estimates.GET_USD,
        "s3-put": estimates.LIST_USD,
        "lambda-arm64": estimates.GB_SECOND_USD,
        "lambda-requests": estimates.INVOCATION_USD,
        "sqs-requests": estimates.SQS_USD,
    }
    assert prices == pytest.approx({name: PRICES[name].of(1) for name in prices})
    whole = estimates.by_functions(1_000_000, 30_000_000, 0)
    seconds = 100 * cost_model.invocation_ms(Account(30e6), found, cost_model.BATCH)
    assert whole.minutes == pytest.approx(seconds / 4 / 60, rel=0.01)
    duration = PRICES["lambda-arm64"].of(seconds * cost_model.MEMORY_MB / 1_024)
    assert whole.lambda_usd == pytest.approx(duration + 100_000 * 0.20 / 1e6, rel=0.01)
    assert whole.sqs_usd == pytest.approx(1.2 * 0.40)
    items = estimates.by_functions(10, 0, 1_000_000).minutes - estimates.by_functions(10, 0, 0).minutes
    assert items == pytest.approx(estimates.ITEM_US / 4 / 60)


def test_the_measured_figures_are_the_reports() -> None:
    """Each figure stands in its report, in the row and under the column that it is read from."""
    found = measured.read()
    report, engine = (path.read_text("utf-8") for path in (measured.FUNCTION_REPORT, measured.ENGINE_REPORT))
    assert f"| ours | {found.event_us:.1f} (" in report
    assert f"CPU per object: ours {found.object_ms:.2f} ms" in report
    assert f"objects of {found.object_records} records, in SQS batches of {found.batch}" in report
    for name, shape in (("ours", found.full), ("lean", found.lean)):
        assert re.search(rf"^\| {name} \|.*\| {shape.stored_bytes:,.0f} \| {shape.engine_us:.0f} \(", engine, re.MULTILINE)
        assert re.search(rf"^\| {name} \|.*\| {shape.stored_bytes_real:,.0f} \| \d+ \(", engine, re.MULTILINE)


def test_the_figures_of_aws_config_are_its_reports() -> None:
    """Two batches tell what an invocation costs and what an item does."""
    found = measured.read().config
    report = measured.CONFIG_REPORT.read_text("utf-8")
    for value in (found.item_us_together, found.item_us_many, found.new_us, found.known_us):
        assert f"| ours | {value:,.1f} (" in report
    for batch, value in ((found.batch, found.item_us_together), (found.many, found.item_us_many)):
        assert found.item_us + found.invocation_ms * 1_000 / batch == pytest.approx(value)
    assert min(found.item_us, found.invocation_ms) > 0


def test_a_report_without_a_figure_is_refused_with_the_way_to_a_new_one(tmp_path: Path) -> None:
    """A report of another form names what it lacks and which verb writes it."""
    report = tmp_path / "report.md"
    with pytest.raises(MeasurementError, match=r"report\.md cannot be read .*make bench"):
        measured.read(report)
    report.write_text("# What an event costs\n", "utf-8")
    with pytest.raises(MeasurementError, match=r"lacks a heading like .*make bench"):
        measured.read(report)
    text = measured.FUNCTION_REPORT.read_text("utf-8")
    report.write_text(text.replace("| ours |", "| mine |"), "utf-8")
    with pytest.raises(MeasurementError, match=r"lacks a number for 'ours' under 'CPU µs/event'"):
        measured.read(report)


def test_the_function_counted_by_hand() -> None:
    """3 million events in objects of 30 are 100,000 objects of 2 ms CPU, each in an invocation of 100 ms."""
    account = Account(3e6, waiting_ms=98.0)
    assert cost_model.object_ms(account, ROUND) == pytest.approx(2.0)
    assert cost_model.invocation_ms(account, ROUND, 1) == pytest.approx(100.0)
    together = 1 + 100_000 / (730 * 3_600)  # a poller of five waits 5 s: one more for each object a second
    assert cost_model.objects_per_invocation(account) == pytest.approx(together)
    lines = cost_model.bill(account, ROUND, PRICES)
    seconds = 100_000 / together * (0.098 + together * 0.002)
    assert usd(lines, "Lambda", "duration") == pytest.approx(seconds * 1_769 / 1_024 * 0.0000133334)
    assert usd(lines, "Lambda", "requests") == pytest.approx(100_000 / together / 1e6 * 0.20)
    assert usd(lines, "SNS", "publishes") == pytest.approx(0.05)
    assert usd(lines, "S3", "GET") == usd(lines, "S3", "verification") == pytest.approx(0.04)
    verified = 100_000 * (0.060 + 0.002) / 8
    assert usd(lines, "Lambda", "verification") == pytest.approx(verified * 1_769 / 1_024 * 0.0000133334)
    polls = 5 * 730 * 3_600 / 20
    assert usd(lines, "SQS", "send") == pytest.approx((100_000 + 100_000 / together + polls) / 1e6 * 0.40)


@pytest.mark.parametrize(("million", "hours"), [(1, 24), (50, 24), (140, 12), (1_000, 2), (2_400, 1), (2_500, 0)])
def test_a_run_of_the_verification_has_time_for_so_many_hours(million: int, hours: int) -> None:
    """7.75 ms an object of 30 events: 109,677 of them in 850 seconds, and 0 where an hour brings more than that."""
    assert cost_model.verify_hours(Account(million * 1e6), ROUND) == hours


def test_a_verification_that_waits_for_nobody_takes_its_processor_time() -> None:
    """With large objects the one processor is what is short, and not the waiting."""
    account = Account(1e6, records_per_object=10_000)
    assert cost_model.verify_ms(account, ROUND) == cost_model.object_ms(account, ROUND)


def test_a_busy_queue_fills_its_batches() -> None:
    """Ten messages are the most that an invocation gets, however many there are."""
    assert cost_model.objects_per_invocation(Account(10e9)) == cost_model.BATCH


def test_the_domain_counted_by_hand() -> None:
    """36.5 million events a month of 1,000 B are 1.2 GB a day: 90 days and one month of them, twice, over 76 % of three disks."""
    account = Account(36.5e6)
    domain = cost_model.plan(account, ROUND, PRICES)
    data = 1.2e9 * (90 + 365 / 12) * 2 / 2**30
    assert domain.data_gib == pytest.approx(data)
    assert (domain.node, domain.count, domain.masters) == ("r7g.large.search", 3, 0)
    assert domain.volume_gib == 120  # 269 GiB / 0.76 / 3 = 118
    assert (domain.period, domain.shards) == ("month", 3)  # 34 GiB: three of 11
    assert domain.copies == 4 * 3 * 2  # three months and the one that is being written
    lines = cost_model.bill(account, ROUND, PRICES)
    assert usd(lines, "OpenSearch", "data nodes") == pytest.approx(3 * 730 * 0.178)
    assert usd(lines, "OpenSearch", "gp3") == pytest.approx(3 * 120 * 0.122)


def test_a_day_for_more_than_three_full_shards_a_month() -> None:
    """150 GiB a month is the last with monthly indices."""
    million = 150 * 2**30 / 1_000
    assert cost_model.plan(Account(million - 1), ROUND, PRICES).period == "month"
    assert cost_model.plan(Account(million + 1), ROUND, PRICES).period == "day"


@pytest.mark.parametrize(("gib", "shards"), [(0.1, 1), (29.9, 1), (30.0, 3), (50.0, 3), (150.0, 3), (151.0, 6), (400.0, 9)])
def test_shards_stay_between_ten_and_fifty_gib(gib: float, shards: int) -> None:
    """A multiple of the zones wherever each shard keeps 10 GiB, and never more than 50 in one."""
    assert cost_model.shards_of(gib) == shards


def test_large_domains_stay_within_the_limits() -> None:
    """Memory for the disk, zones evenly filled, shards within the heap, and few nodes until the largest are used up."""
    for events in (1e5, 1e7, 1e8, 1e9, 5e9):
        domain = cost_model.plan(Account(events, retention_days=365), ROUND, PRICES)
        memory = cost_model.NODES[domain.node][1]
        assert domain.count % 3 == 0
        assert domain.volume_gib <= memory * cost_model.DISK_PER_MEMORY + 10
        assert domain.copies <= domain.heap_gib * cost_model.SHARDS_PER_HEAP_GIB
        assert domain.count <= cost_model.NODES_MOST or domain.node == "r7g.8xlarge.search"
        assert domain.shard_gib <= cost_model.SHARD_MOST_GIB
        assert domain.masters == (3 if domain.count >= 10 else 0)


def test_disks_hold_what_the_plan_says() -> None:
    """The days that three disks have room for, and the disk that so many days need, are one formula both ways."""
    account = Account(36.5e6)
    days = cost_model.holds_days(account, ROUND, 3, 120)
    assert cost_model.plan(replace(account, retention_days=days), ROUND, PRICES).volume_gib == 120
    assert cost_model.plan(replace(account, retention_days=days + 3), ROUND, PRICES).volume_gib == 130
    assert cost_model.holds_days(Account(1e9), ROUND, 1, 10) == 0


def test_lean_documents_and_own_bytes_change_the_disk_alone() -> None:
    """Half the bytes are half the data; what moves the events costs the same."""
    full, lean, own = (Account(1e9), Account(1e9, lean=True), Account(1e9, stored_bytes=500.0))
    data = [cost_model.plan(account, ROUND, PRICES).data_gib for account in (full, lean, own)]
    assert data[1] == data[2] == pytest.approx(data[0] / 2)
    moved = [
        [line for line in cost_model.bill(account, ROUND, PRICES) if line.service != "OpenSearch"]
        for account in (full, lean, own)
    ]
    assert moved[0] == moved[1] == moved[2]


def test_what_only_some_pay_counted_by_hand() -> None:
    """100 million events in objects of 30: two dollars for each 100,000 of them, requests by the object."""
    lines = cost_model.extras(Account(100e6), ROUND, PRICES)
    objects = 100e6 / 30
    assert usd(lines, "CloudTrail", "a second copy") == pytest.approx(2_000)
    assert usd(lines, "S3", "a trail of our own: PUT") == pytest.approx(objects / 1_000 * 0.005)
    assert usd(lines, "S3", "a trail of our own: 365 days") == pytest.approx(100e6 * 160 / 1e9 * 12 * 0.023)
    assert usd(lines, "KMS", "a trail with SSE-KMS") == pytest.approx(10.0)
    assert usd(lines, "AWS Config", "100,000 items") == pytest.approx(300)
    idle = 5 * 730 * 3_600 / 20 / 1e6 * 0.40
    assert usd(lines, "AWS Config", "taken by this stack") == pytest.approx(31 * 0.30 + 7 * 0.10 + idle)
    taken = usd(lines, "AWS Config", "100,000 items taken")
    together = 1 + 100_000 / (730 * 3_600)
    invocations = 100_000 / together
    assert (ROUND.config.invocation_ms, ROUND.config.item_us) == pytest.approx((2.0, 300.0))
    seconds = invocations * 0.152 + 100_000 * 0.0004
    logs = invocations * 1_800 / 1e9 * 0.53
    requests = 100_000 * 0.5 + (100_000 + 2 * invocations) * 0.4 + invocations * 0.2
    assert taken == pytest.approx(seconds * 1_769 / 1_024 * 0.0000133334 + requests / 1e6 + logs)
    assert usd(lines, "VPC", "`CreateVpcEndpoints`") == pytest.approx(5 * 3 * 730 * 0.01)
    assert usd(lines, "VPC", "or three NAT") == pytest.approx(3 * 730 * 0.045 + 16 * 0.045)
    assert usd(lines, "VPC", "bulk requests") == pytest.approx(50 * 2 / 3 * 2 * 0.01)


def test_catching_up_counted_by_hand() -> None:
    """Six processors at 80 % index 6,000 events a second and their replicas; a thousand of them keep coming meanwhile."""
    account = Account(2.628e9, waiting_ms=80.0)  # a thousand events a second
    domain = replace(cost_model.plan(account, ROUND, PRICES), node="r7g.large.search", count=3)
    assert cost_model.engine_rate(account, ROUND, domain) == pytest.approx(6_000)
    assert cost_model.copy_rate(account, ROUND) == pytest.approx(3_000)  # 300 events in 100 ms
    assert cost_model.concurrency(account, ROUND, domain) == 2
    assert cost_model.catch_up_minutes(account, ROUND, domain) == pytest.approx(24 * 60 / 5)
    assert cost_model.catch_up_minutes(Account(2.628e10), ROUND, domain) == float("inf")


def test_the_template_is_what_the_formulas_count_with() -> None:
    """Memory, batches, the default domain, alarms and endpoints are those that are deployed."""
    template = load_template()
    resources: Mapping[str, Mapping[str, object]] = template["Resources"]
    function = template["Resources"]["CloudTrailFunction"]["Properties"]
    queue = template["Resources"]["CloudTrailEventSource"]["Properties"]
    assert function["MemorySize"] == cost_model.MEMORY_MB
    assert (queue["BatchSize"], queue["MaximumBatchingWindowInSeconds"]) == (cost_model.BATCH, cost_model.WINDOW_SECONDS)
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    assert (defaults["DataNodeType"], defaults["VolumeGiB"]) == (cost_model.NODE, cost_model.VOLUME_GIB)
    assert (defaults["DataNodeCount"], defaults["AvailabilityZones"], defaults["DedicatedMasterCount"]) == (3, 3, 0)
    verify = template["Resources"]["VerifyFunction"]["Properties"]
    assert verify["MemorySize"] == cost_model.MEMORY_MB
    assert verify["Timeout"] - 45 >= cost_model.VERIFY_SECONDS
    choices = template["Parameters"]["VerifyHours"]["AllowedValues"]
    assert sorted([0, *cost_model.VERIFY_HOURS]) == choices
    assert cost_model.VERIFY_THREADS == THREADS
    kinds = [str(resource["Type"]) for resource in resources.values()]
    alarms = [name for name, resource in resources.items() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    of_config = [name for name in alarms if name.startswith("Config")]
    assert len(of_config) == cost_model.CONFIG_ALARMS
    assert len(alarms) - len(of_config) <= cost_model.ALARMS
    assert kinds.count("AWS::CloudWatch::Dashboard") <= cost_model.DASHBOARDS
    endpoints = [item["Properties"] for item in template["Resources"].values() if item["Type"] == "AWS::EC2::VPCEndpoint"]
    assert sum(one["VpcEndpointType"] == "Interface" for one in endpoints) == cost_model.ENDPOINTS


def test_the_default_concurrency_fits_the_default_domain() -> None:
    """The page says that four copies of the function fill three r7g.large.search."""
    found = measured.read()
    account = cost.SIZES["small"]
    default = load_template()["Parameters"]["MaximumConcurrency"]["Default"]
    assert cost_model.concurrency(account, found, cost_model.plan(account, found, PRICES)) == default


def test_logs_and_metrics_are_no_more_than_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """What an object and an invocation write, with CloudWatch's 26 bytes a line and Lambda's own three lines."""
    key = "AWSLogs/o-1234567890/111122223333/CloudTrail/us-east-1/2026/11/23/" + "x" * 70 + ".json.gz"
    counts = Counts(read=30, indexed=30)
    found = ObjectReport(
        ref=ObjectRef("my-organisation-trail-111122223333", key),
        counts=counts,
        newest="2026-11-23T00:05:00Z",
        oldest="2026-11-23T00:00:00Z",
    )
    Observer("audit-search-cloudtrail").report(Report(objects=[found], counts=counts, requests=1))
    written, metrics = capsys.readouterr().out.splitlines()
    assert 0.7 * cost_model.LOG_BYTES_OBJECT <= len(written) + 26 <= cost_model.LOG_BYTES_OBJECT
    assert len(metrics) + 26 + 3 * 150 <= cost_model.LOG_BYTES_INVOCATION
    assert metrics.count('"Unit"') < cost_model.METRICS
    Observer("audit-search-config").report(ConfigReport(objects=[found], counts=counts, requests=1))
    assert capsys.readouterr().out.splitlines()[1].count('"Unit"') < cost_model.CONFIG_METRICS


def test_what_the_page_says_in_words_holds() -> None:
    """Shares and thresholds of the text, which no table repeats."""
    found = measured.read()
    taken = cost_model.config_usd(Account(1e6), found, PRICES)
    assert 400 < PRICES["config-items"].of(cost_model.CONFIG_ITEMS) / taken < 600, "taking an item costs a five-hundredth"
    saved = [
        1 - found.lean.stored_bytes / found.full.stored_bytes,
        1 - found.lean.stored_bytes_real / found.full.stored_bytes_real,
    ]
    assert 1 / 7 < min(saved) < 1 / 5 < max(saved) < 0.27, "lean stores a sixth to a quarter less"
    assert 0.17 < 1 - found.lean.engine_us / found.full.engine_us < 0.25, "and costs the engine a fifth less"
    second_copy = PRICES["cloudtrail-copies"].of(25e6)
    assert second_copy > sum(line.usd for line in cost_model.bill(Account(25e6), found, PRICES)), "from 25 million events on"
    assert cost_model.plan(Account(100e6), found, PRICES).node == cost_model.NODE, "a hundred million events on the same nodes"
    archived = cost_model.TRAIL_BYTES * PRICES["s3-storage"].usd
    searched = found.full.stored_bytes * 2 / 0.95 / 0.8 * PRICES["opensearch-gp3"].usd
    assert 80 < searched / archived < 125, "the trail costs a hundredth"
    assert cost.LONGEST_BYTES * 19e6 < 50 * 2**30 < cost.LONGEST_BYTES * 20e6, "one monthly shard up to 19 million"
    assert PRICES["m7g.large.search"].of(3 * cost_model.HOURS) == pytest.approx(296, abs=0.5)


def test_each_price_names_its_page_and_where_it_was_read() -> None:
    """A price is positive, for one or more of something, on a page of AWS; the page tells those that nobody has read yet."""
    page = PAGE.read_text("utf-8")
    for name, price in PRICES.items():
        assert price.usd > 0
        assert price.size >= 1
        assert price.page.startswith("https://aws.amazon.com/")
        assert price.origin
        row = re.search(rf"^\| `{re.escape(name)}` \|.*\|$", page, re.MULTILINE)
        assert row
        assert (f"**{CHECK}**" in row[0]) == (price.origin == CHECK)


def test_a_person_gets_the_tables_of_their_own_account(capsys: pytest.CaptureFixture[str]) -> None:
    """Own figures and own prices reach the bill."""
    cost.main(["--events", "5e6", "--retention-days", "365", "--lean", "--price", "r7g.large.search=0.2"])
    out = capsys.readouterr().out
    assert "| US dollars | yours, 5 million |" in out
    assert "| OpenSearch: data nodes | 438 |" in out
    assert "## prices" not in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--events", "5x"], "argument --events: '5x' must be a number from 1"),
        (["--events", "nan"], "argument --events: 'nan' must be a number from 1"),
        (["--events", "-1"], "argument --events: '-1' must be a number from 1"),
        (["--events", "1e6", "--retention-days", "1.5"], "'1.5' must be a whole number from 1 to 36,500"),
        (["--price", "r9.search=1"], "'r9.search' is no price; prices are t3.small.search"),
        (["--price", "s3-get=free"], "'free' must be a number"),
    ],
)
def test_wrong_input_is_refused_in_one_line(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the option, what was given and what it takes."""
    with pytest.raises(SystemExit) as ended:
        cost.main(given)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_page_without_tables_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written, and the error says what a page needs."""
    page = tmp_path / "page.md"
    with pytest.raises(SystemExit, match=r"page\.md: .*No such file"):
        cost.main(["--update", str(page)])
    for text, said in (("no tables\n", "it has no '<!-- cost: NAME -->'"), ("<!-- cost: x -->\n<!-- end -->\n", "no table x")):
        page.write_text(text, "utf-8")
        with pytest.raises(SystemExit, match=re.escape(said)):
            cost.main(["--update", str(page)])
        assert page.read_text("utf-8") == text


def test_a_page_is_filled_in_place(tmp_path: Path) -> None:
    """Each table goes between its own two lines, and what was there goes; the text around stays."""
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- cost: bill -->\nold\n<!-- end -->\nbetween\n<!-- cost: inputs -->\n<!-- end -->\nafter\n", "utf-8"
    )
    cost.main(["--update", str(page)])
    text = re.sub(r"^\|.*\|\n", "|\n", page.read_text("utf-8"), flags=re.MULTILINE)
    marks = re.sub(r"(\|\n)+", "|\n", text)
    assert marks == "before\n<!-- cost: bill -->\n|\n<!-- end -->\nbetween\n<!-- cost: inputs -->\n|\n<!-- end -->\nafter\n"
