"""`make cost`: what a month costs, as Markdown, for the three accounts of docs/cost.md or for one of your own.

python -m benchmarks.cost                                       the tables of the page
python -m benchmarks.cost --events 5e6 --retention-days 365     your account
python -m benchmarks.cost --update docs/cost.md                 write the tables into the page
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import cost_model as model
from benchmarks.cost_model import Account, Prices
from benchmarks.measured import Measured, MeasurementError, read
from benchmarks.prices import CHECK, PRICES, READ_ON, REGION

SIZES: Mapping[str, Account] = {"small": Account(1e6), "medium": Account(50e6), "large": Account(1e9)}
LONGEST_BYTES = 2_745
"""The most that an event took on disk in any measurement, with an earlier index template (docs/decisions/0002)."""


class PageError(Exception):
    """A page names a table that there is not, or none at all."""


@dataclass(frozen=True, slots=True)
class Known:
    """What every table is made of."""

    measured: Measured
    prices: Prices


def usd(value: float) -> str:
    """Cents below 100 dollars."""
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def bill(known: Known, accounts: Mapping[str, Account]) -> str:
    """The lines of the bill, their sum, and the sum for a million events."""
    bills = [model.bill(account, known.measured, known.prices) for account in accounts.values()]
    sums = [sum(line.usd for line in lines) for lines in bills]
    engine = [sum(line.usd for line in lines if line.service == "OpenSearch") for lines in bills]
    millions = [account.events / 1e6 for account in accounts.values()]
    rows = [[f"{lines[0].service}: {lines[0].what}", *(usd(line.usd) for line in lines)] for lines in zip(*bills, strict=True)]
    rows += [
        ["**a month**", *(f"**{usd(total)}**" for total in sums)],
        ["of it OpenSearch", *(f"{part / total:.0%}" for part, total in zip(engine, sums, strict=True))],
        ["for a million events", *(usd(total / count) for total, count in zip(sums, millions, strict=True))],
        [
            "for a million events, without OpenSearch",
            *(usd((total - part) / count) for part, total, count in zip(engine, sums, millions, strict=True)),
        ],
    ]
    return table(
        ["US dollars", *(f"{name}, {count:,.10g} million" for name, count in zip(accounts, millions, strict=True))], rows
    )


def advice(known: Known, accounts: Mapping[str, Account]) -> str:
    """The template's parameters for an account, and what they lead to."""
    columns: list[dict[str, str]] = []
    for account in accounts.values():
        plan = model.plan(account, known.measured, known.prices)
        minutes = model.catch_up_minutes(account, known.measured, plan)
        columns.append(
            {
                "`DataNodeType`": plan.node,
                "`DataNodeCount`": f"{plan.count}",
                "`VolumeGiB`": f"{plan.volume_gib:,}",
                "`DedicatedMasterCount`": f"{plan.masters}",
                "`Replicas`": f"{account.replicas}",
                "`IndexPeriod`": plan.period,
                "`Shards`": f"{plan.shards}",
                "`MaximumConcurrency`": f"{model.concurrency(account, known.measured, plan)}",
                "`VerifyHours`": f"{model.verify_hours(account, known.measured)}",
                "GiB in a shard": f"{plan.shard_gib:,.1f}",
                "shards and copies in all, of at most": f"{plan.copies:,} of {plan.heap_gib * model.SHARDS_PER_HEAP_GIB:,.0f}",
                "GiB of documents, all copies": f"{plan.data_gib:,.0f}",
                "events a second, mean": f"{account.events / (model.HOURS * 3_600):,.1f}",
                "events a second that the engine takes": f"{model.engine_rate(account, known.measured, plan):,.0f}",
                "minutes to catch up after a day's outage": "never" if math.isinf(minutes) else f"{minutes:,.1f}",
            }
        )
    return table(["", *accounts], [[name, *(column[name] for column in columns)] for name in columns[0]])


def retention(known: Known, accounts: Mapping[str, Account]) -> str:
    """The whole bill by retention and document shape."""
    rows = []
    for name, account in accounts.items():
        for days in (30, 90, 365):
            cells, totals = [], []
            for lean in (False, True):
                one = replace(account, retention_days=days, lean=lean)
                plan = model.plan(one, known.measured, known.prices)
                totals.append(sum(line.usd for line in model.bill(one, known.measured, known.prices)))
                cells += [f"{plan.count} x {plan.node}, {plan.volume_gib:,} GiB", usd(totals[-1])]
            rows.append([name, f"{days}", *cells, f"{1 - totals[1] / totals[0]:.0%}"])
    return table(["account", "`RetentionDays`", "full: domain", "USD a month", "lean: domain", "USD a month", "lean saves"], rows)


def shards(known: Known, accounts: Mapping[str, Account]) -> str:
    """How large an index becomes by the bytes of an event."""
    full, lean = known.measured.full, known.measured.lean
    rows = []
    for title, bytes_ in (
        ("full, made records", full.stored_bytes),
        ("full, real records", full.stored_bytes_real),
        ("lean, made records", lean.stored_bytes),
        ("lean, real records", lean.stored_bytes_real),
        ("the longest ever measured, an earlier template", float(LONGEST_BYTES)),
    ):
        months = [account.events * bytes_ / model.GIB for account in accounts.values()]
        reach = model.SHARD_MOST_GIB * model.GIB / bytes_ / 1e6
        sizes = (f"{month:,.1f} / {month / model.DAYS:,.2f}" for month in months)
        rows.append([title, f"{bytes_:,.0f}", *sizes, f"{reach:,.0f} / {reach * model.MONTHLY_SHARDS:,.0f}"])
    head = ["documents", "B/event", *(f"{name}: GiB a month / a day" for name in accounts)]
    return table([*head, f"million events a month that fill one / {model.MONTHLY_SHARDS} monthly shards"], rows)


def function(known: Known, accounts: Mapping[str, Account]) -> str:
    """What Lambda runs, and what the batching window changes."""
    rows = []
    for name, account in accounts.items():
        for title, together in (("5 s", model.objects_per_invocation(account)), ("none, one object each", 1.0)):
            invocations = account.objects / together
            run = model.invocation_ms(account, known.measured, together)
            seconds = invocations * run / 1_000 * model.MEMORY_MB / 1_024
            cost = known.prices["lambda-arm64"].of(seconds) + known.prices["lambda-requests"].of(invocations)
            work = together * model.object_ms(account, known.measured)
            cells = [f"{account.objects:,.0f}", f"{together:,.1f}", f"{invocations:,.0f}", f"{work:,.1f}", f"{run:,.0f}"]
            rows.append([name, title, *cells, f"{seconds:,.0f}", usd(cost)])
    head = ["account", "window", "objects", "objects together", "invocations", "CPU ms", "runs ms", "GB-seconds", "USD"]
    return table(head, rows)


def extras(known: Known, accounts: Mapping[str, Account]) -> str:
    """What only some pay."""
    columns = [model.extras(account, known.measured, known.prices) for account in accounts.values()]
    rows = [[lines[0].service, lines[0].what, *(usd(line.usd) for line in lines)] for lines in zip(*columns, strict=True)]
    return table(["", "USD a month", *accounts], rows)


def domains(known: Known, accounts: Mapping[str, Account]) -> str:
    """Domains to begin with, and how many days they hold."""
    rows = []
    for title, node, count, volume, replicas in (
        ("to try it out", "t3.small.search", 1, 10, 0),
        ("small, in three zones", "r7g.medium.search", 3, 30, 1),
        ("the template's default", model.NODE, 3, model.VOLUME_GIB, 1),
    ):
        month = known.prices[node].of(count * model.HOURS) + known.prices["opensearch-gp3"].of(count * volume)
        days = []
        for account in accounts.values():
            held = model.holds_days(replace(account, replicas=replicas), known.measured, count, volume)
            days.append("10 years and more" if held > 3_650 else f"{held:,}" if held else "not even a month")
        rows.append([title, f"{count} x {node}, {volume} GiB each, {replicas} replica", usd(month), *days])
    return table(["", "domain", "USD a month", *(f"{name}: `RetentionDays` up to" for name in accounts)], rows)


def inputs(known: Known, _: Mapping[str, Account]) -> str:
    """The measured figures."""
    found = known.measured
    engine, own = "[report-engine](../benchmarks/report-engine.md)", "[report](../benchmarks/report.md)"
    rows = [
        ["CPU of an event in a large object", f"{found.event_us:,.1f} µs", own],
        [f"CPU of an object of {found.object_records} events, {found.batch} together", f"{found.object_ms:,.2f} ms", own],
        ["of it the object itself", f"{found.object_base_ms:,.2f} ms", "the difference"],
        ["bytes sent to the engine for an event", f"{found.sent_bytes:,.0f} B", own],
    ]
    for name, shape in (("full", found.full), ("lean", found.lean)):
        rows.append([f"{name}: one copy of an event on disk, made records", f"{shape.stored_bytes:,.0f} B", engine])
        rows.append([f"{name}: the same, real records", f"{shape.stored_bytes_real:,.0f} B", engine])
        rows.append([f"{name}: CPU of the engine to index it once", f"{shape.engine_us:,.0f} µs", engine])
    work, of_config = found.config, "[report-config](../benchmarks/report-config.md)"
    rows += [
        [f"CPU of AWS Config's item, {work.batch} together", f"{work.item_us_together:,.0f} µs", of_config],
        [f"the same, {work.many} together", f"{work.item_us_many:,.0f} µs", of_config],
        ["of it the item itself", f"{work.item_us:,.0f} µs", "the difference"],
        ["of it an invocation itself", f"{work.invocation_ms:,.2f} ms", "the difference"],
        ["CPU of an item of a snapshot, none of them known", f"{work.new_us:,.0f} µs", of_config],
        ["the same, 2 of 100 have changed", f"{work.known_us:,.0f} µs", of_config],
    ]
    return table(["measured", "", "where"], rows)


def prices(known: Known, _: Mapping[str, Account]) -> str:
    """The prices with their sources."""
    rows = [
        [
            f"`{name}`",
            f"{price.usd:.10f}".rstrip("0").rstrip("."),
            price.unit,
            f"<{price.page}>",
            f"**{CHECK}**" if price.origin == CHECK else price.origin,
        ]
        for name, price in known.prices.items()
    ]
    return table(["price", "USD", "for one", "AWS's page", f"read in, on {READ_ON}"], rows)


TABLES: Mapping[str, Callable[[Known, Mapping[str, Account]], str]] = {
    "bill": bill,
    "domains": domains,
    "advice": advice,
    "shards": shards,
    "retention": retention,
    "function": function,
    "extras": extras,
    "inputs": inputs,
    "prices": prices,
}
OWN = ("bill", "advice", "function", "extras")
_BLOCK = re.compile(r"(<!-- cost: (?P<name>[^ ]+) -->\n)(?:(?!<!-- cost: ).)*?(<!-- end -->)", re.DOTALL)


def filled(page: str, known: Known) -> str:
    """The page with each table anew, between `<!-- cost: NAME -->` and `<!-- end -->`.

    Raises PageError for a page that names no table, or one that there is not.
    """
    named = [found["name"] for found in _BLOCK.finditer(page)]
    wrong = [name for name in named if name not in TABLES]
    if wrong or not named:
        what = f"there is no table {', '.join(wrong)}" if wrong else "it has no '<!-- cost: NAME -->' … '<!-- end -->'"
        raise PageError(f"{what}; tables are {', '.join(TABLES)}")
    return _BLOCK.sub(lambda found: found[1] + TABLES[found["name"]](known, SIZES) + "\n" + found[3], page)


def amount(least: float, most: float, *, whole: bool = False) -> Callable[[str], float]:
    """A checker of numbers for argparse."""

    def check(text: str) -> float:
        kind = "a whole number" if whole else "a number"
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or (whole and value != int(value)):
            raise argparse.ArgumentTypeError(f"{text!r} must be {kind} from {least:,g} to {most:,g}")
        return value

    return check


def override(text: str) -> tuple[str, float]:
    """A price of another region: NAME=USD."""
    name, _, value = text.partition("=")
    if name not in PRICES:
        raise argparse.ArgumentTypeError(f"{name!r} is no price; prices are {', '.join(PRICES)}")
    return name, amount(0, 1e6)(value)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=amount(1, 1e13), help="events a month, such as 5e6; without it, the page's tables")
    parser.add_argument("--retention-days", type=amount(1, 36_500, whole=True), default=90.0, help="default 90")
    parser.add_argument("--lean", action="store_true", help="DocumentShape lean")
    parser.add_argument("--records-per-object", type=amount(1, 1e6), default=30.0, help="default 30")
    parser.add_argument("--stored-bytes", type=amount(1, 1e6), help="B/event of your own index: primary store size / documents")
    parser.add_argument("--replicas", type=amount(0, 2, whole=True), default=1.0, help="default 1")
    parser.add_argument("--waiting-ms", type=amount(0, 3e5), default=150.0, help="of an invocation for S3 and the engine")
    parser.add_argument("--price", type=override, action="append", default=[], metavar="NAME=USD", help="of your region")
    parser.add_argument("--update", type=Path, metavar="PAGE", help="write the tables into a page")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Print the tables, or write them into a page."""
    options = arguments(given)
    try:
        found = read()
        priced = {**PRICES, **{name: replace(PRICES[name], usd=value) for name, value in options.price}}
        known = Known(found, priced)
        if options.update:
            options.update.write_text(filled(options.update.read_text("utf-8"), known), "utf-8")
            return
    except (MeasurementError, PageError, OSError) as error:
        sys.exit(f"benchmarks.cost: {options.update or ''}{': ' if options.update else ''}{error}")
    accounts, names = SIZES, tuple(TABLES)
    if options.events:
        days, replicas = int(options.retention_days), int(options.replicas)
        own = Account(options.events, days, options.lean, options.records_per_object, options.stored_bytes, replicas)
        accounts, names = {"yours": replace(own, waiting_ms=options.waiting_ms)}, OWN
    print(f"{REGION}, US dollars a month, prices read on {READ_ON}. docs/cost.md says which are {CHECK}.\n")
    print("\n\n".join(f"## {name}\n\n{TABLES[name](known, accounts)}" for name in names))


if __name__ == "__main__":
    main()
