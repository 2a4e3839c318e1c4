"""What a month costs, by formula: an account's events, the measured CPU and bytes of an event, and the list prices.

Sizes of disks and shards follow AWS's advice for a domain:
https://docs.aws.amazon.com/opensearch-service/latest/developerguide/bp-storage.html and bp-sharding.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measured import Measured, Shape
from benchmarks.prices import Price

HOURS, DAYS = 730, 365 / 12
GB, GIB = 1e9, 2**30
ZONES = 3

# The template: memory of the function, its queue's batches, at most so many metrics and alarms, endpoints of a VPC.
MEMORY_MB, BATCH, WINDOW_SECONDS = 1_769, 10, 5
LOG_BYTES_OBJECT, LOG_BYTES_INVOCATION = 600, 1_800
METRICS, ALARMS, DASHBOARDS, ENDPOINTS = 29, 21, 1, 5
CONFIG_ITEMS = 100_000
CONFIG_METRICS, CONFIG_ALARMS = 31, 7  # what AWS Config adds, where it is taken
NODE, VOLUME_GIB = "r7g.large.search", 100

VERIFY_HOURS, VERIFY_SECONDS = (24, 12, 8, 6, 4, 3, 2, 1), 850  # the template's choices, and the time that a run has for files
VERIFY_THREADS, VERIFY_WAITING_MS = 8, 60.0
"""Log files that are looked at side by side, and how long each waits for S3 and for the look-up of its records: an assumption."""

POLLERS, POLL_SECONDS = 5, 20
"""Lambda begins with five long polls of a queue: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html."""

SYSTEM_SHARE, SERVICE_SHARE = 0.05, 0.20
"""What the system and the service keep of a disk. The service stops at 20 GiB; its full share leaves a quarter of the disk free."""
SHARD_LEAST_GIB, SHARD_MOST_GIB, SHARDS_PER_HEAP_GIB = 10, 50, 25
MONTHLY_SHARDS = 3
DISK_PER_MEMORY = 32
"""GiB of disk for each GiB of a node's memory: our rule of thumb for an archive that few people search."""
NODES_MOST, MASTERS_FROM = 12, 10
ENGINE_SHARE = 0.8
TRAIL_BYTES = 160.0
"""Gzipped bytes of an event in the trail: 4.8 kB for 30 records, the median of a whole delivered hour."""

NODES: Mapping[str, tuple[int, int]] = {
    "r7g.large.search": (2, 16),
    "r7g.xlarge.search": (4, 32),
    "r7g.2xlarge.search": (8, 64),
    "r7g.4xlarge.search": (16, 128),
    "r7g.8xlarge.search": (32, 256),
}
"""Processors and GiB of memory."""

Prices = Mapping[str, Price]


@dataclass(frozen=True, slots=True)
class Account:
    """What a person knows about an account; `events` a month, `waiting_ms` of an invocation for S3 and the engine."""

    events: float
    retention_days: int = 90
    lean: bool = False
    records_per_object: float = 30
    stored_bytes: float | None = None
    replicas: int = 1
    waiting_ms: float = 150
    trail_days: int = 365

    @property
    def objects(self) -> float:
        """Objects a month."""
        return self.events / self.records_per_object


@dataclass(frozen=True, slots=True)
class Plan:
    """A domain for an account: `period` is `month` or `day`, `data_gib` what all copies hold at most."""

    node: str
    count: int
    volume_gib: int
    masters: int
    period: str
    shards: int
    shard_gib: float
    copies: int
    data_gib: float

    @property
    def processors(self) -> int:
        """Of all data nodes."""
        return NODES[self.node][0] * self.count

    @property
    def heap_gib(self) -> float:
        """Of all data nodes: half of the memory, 32 GiB a node at most."""
        return min(NODES[self.node][1] / 2, 32) * self.count


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill, in US dollars a month."""

    service: str
    what: str
    usd: float


def shape(account: Account, measured: Measured) -> Shape:
    """What the engine pays for this account's documents."""
    found = measured.lean if account.lean else measured.full
    if account.stored_bytes is None:
        return found
    return Shape(account.stored_bytes, account.stored_bytes, found.engine_us)


def plan(account: Account, measured: Measured, prices: Prices) -> Plan:
    """The cheapest domain that holds the account's documents, of at most 12 nodes or else of the fewest; never below the default."""
    daily = shape(account, measured).stored_bytes * account.events / DAYS
    month_gib = daily * DAYS / GIB
    period = "month" if month_gib <= MONTHLY_SHARDS * SHARD_MOST_GIB else "day"
    period_days = DAYS if period == "month" else 1.0
    # An index goes as a whole, when the last of its events is old enough: one period more than the retention is there at most.
    data = daily * (account.retention_days + period_days) * (1 + account.replicas) / GIB
    disk = data / (1 - SYSTEM_SHARE) / (1 - SERVICE_SHARE)
    node, count = _nodes(disk, prices)
    volume = max(VOLUME_GIB, math.ceil(disk / count / 10) * 10)
    shards = shards_of(daily * period_days / GIB)
    periods = math.ceil(account.retention_days / period_days) + 1
    copies = periods * shards * (1 + account.replicas)
    masters = 3 if count >= MASTERS_FROM else 0
    return Plan(node, count, volume, masters, period, shards, daily * period_days / GIB / shards, copies, data)


def _nodes(disk_gib: float, prices: Prices) -> tuple[str, int]:
    choices = []
    for node, (_, memory) in NODES.items():
        count = max(ZONES, math.ceil(disk_gib / (memory * DISK_PER_MEMORY) / ZONES) * ZONES)
        choices.append((max(count, NODES_MOST), round(prices[node].of(count), 6), count, node))
    _, _, count, node = min(choices)
    return node, count


def shards_of(index_gib: float) -> int:
    """Shards of one index: as few as stay within 50 GiB, a multiple of the zones where each keeps 10 GiB."""
    least = max(1, math.ceil(index_gib / SHARD_MOST_GIB))
    even = math.ceil(least / ZONES) * ZONES
    return even if index_gib / even >= SHARD_LEAST_GIB else least


def holds_days(account: Account, measured: Measured, nodes: int, volume_gib: int) -> int:
    """Days of retention that so many disks have room for, with monthly indices; 0 where not even a month fits."""
    usable = nodes * volume_gib * GIB * (1 - SYSTEM_SHARE) * (1 - SERVICE_SHARE)
    daily = shape(account, measured).stored_bytes * account.events / DAYS * (1 + account.replicas)
    return max(0, math.floor(usable / daily - DAYS))


def objects_per_invocation(account: Account) -> float:
    """Messages that a poller gathers while its window is open: one opens it, the others come meanwhile; ten at most."""
    arrivals = account.objects / (HOURS * 3_600)
    return min(BATCH, 1 + arrivals * WINDOW_SECONDS / POLLERS)


def object_ms(account: Account, measured: Measured) -> float:
    """CPU milliseconds of one object with its records."""
    return measured.object_base_ms + account.records_per_object * measured.event_us / 1_000


def invocation_ms(account: Account, measured: Measured, objects: float) -> float:
    """How long an invocation of so many objects runs: it waits once, for its objects go side by side."""
    return account.waiting_ms + objects * object_ms(account, measured)


def verify_ms(account: Account, measured: Measured) -> float:
    """How long the verification takes for one object: its CPU, or its share of the waiting where that is more."""
    own = object_ms(account, measured)
    return max(own, (own + VERIFY_WAITING_MS) / VERIFY_THREADS)


def verify_hours(account: Account, measured: Measured) -> int:
    """The longest range whose objects fit into one run; 0 where an hour's do not."""
    hourly = account.objects / HOURS * verify_ms(account, measured) / 1_000
    return next((hours for hours in VERIFY_HOURS if hours * hourly <= VERIFY_SECONDS), 0)


def bill(account: Account, measured: Measured, prices: Prices) -> list[Line]:
    """A month of ingestion and search with a trail that is there already."""
    return [*_opensearch(plan(account, measured, prices), prices), *_ingestion(account, measured, prices)]


def _opensearch(domain: Plan, prices: Prices) -> list[Line]:
    nodes = prices[domain.node].of(domain.count * HOURS)
    masters = prices["m7g.large.search"].of(domain.masters * HOURS)
    disks = prices["opensearch-gp3"].of(domain.count * domain.volume_gib)
    return [
        Line("OpenSearch", "data nodes", nodes),
        Line("OpenSearch", "dedicated masters", masters),
        Line("OpenSearch", "gp3 disks", disks),
    ]


def _ingestion(account: Account, measured: Measured, prices: Prices) -> list[Line]:
    objects = account.objects
    together = objects_per_invocation(account)
    invocations = objects / together
    seconds = invocations * invocation_ms(account, measured, together) / 1_000
    idle = POLLERS * HOURS * 3_600 / POLL_SECONDS
    logged = (objects * LOG_BYTES_OBJECT + invocations * LOG_BYTES_INVOCATION) / GB
    verified = objects * verify_ms(account, measured) / 1_000
    fixed = (("cloudwatch-metrics", METRICS), ("cloudwatch-alarms", ALARMS), ("cloudwatch-dashboards", DASHBOARDS))
    return [
        Line("Lambda", "duration", prices["lambda-arm64"].of(seconds * MEMORY_MB / 1_024)),
        Line("Lambda", "requests", prices["lambda-requests"].of(invocations)),
        Line("Lambda", "verification", prices["lambda-arm64"].of(verified * MEMORY_MB / 1_024)),
        Line("SQS", "send, receive, delete", prices["sqs-requests"].of(objects + invocations + max(invocations, idle))),
        Line("SNS", "publishes", prices["sns-publishes"].of(objects)),
        Line("S3", "GET of each object", prices["s3-get"].of(objects)),
        Line("S3", "verification: GET of each object once more", prices["s3-get"].of(objects)),
        Line("CloudWatch", "logs", prices["cloudwatch-logs"].of(logged) + prices["cloudwatch-logs-kept"].of(logged)),
        Line("CloudWatch", "metrics, alarms, dashboard", sum(prices[name].of(count) for name, count in fixed)),
    ]


def extras(account: Account, measured: Measured, prices: Prices) -> list[Line]:
    """What only some installations pay, each on its own."""
    objects, sent = account.objects, account.events * measured.sent_bytes / GB
    kept = account.events * TRAIL_BYTES / GB * account.trail_days / DAYS
    hours = ZONES * HOURS
    trail = account.events * TRAIL_BYTES / GB
    return [
        Line("CloudTrail", "a second copy of management events", prices["cloudtrail-copies"].of(account.events)),
        Line("S3", "a trail of our own: PUT of each object", prices["s3-put"].of(objects)),
        Line("S3", f"a trail of our own: {account.trail_days} days of it", prices["s3-storage"].of(kept)),
        Line("S3", "quarantine: PUT, were it 1 object in 1,000", prices["s3-put"].of(objects / 1_000)),
        Line("KMS", "a trail with SSE-KMS: Decrypt for each object", prices["kms-requests"].of(objects)),
        Line("KMS", "a key of our own", prices["kms-keys"].of(1)),
        Line("AWS Config", "100,000 items recorded", prices["config-items"].of(CONFIG_ITEMS)),
        Line("AWS Config", "100,000 items taken: SNS, SQS, Lambda, logs", config_usd(account, measured, prices)),
        Line("AWS Config", "taken by this stack: its metrics, alarms and idle queue", _config_fixed(prices)),
        Line("EventBridge", "`WayIn=eventbridge` instead of SNS", prices["eventbridge-events"].of(objects)),
        Line("Secrets Manager", "`AuthMode=basic`: its secret", prices["secrets"].of(1)),
        Line(
            "VPC",
            "`CreateVpcEndpoints`: four interface endpoints in three zones",
            prices["endpoint-hours"].of(ENDPOINTS * hours),
        ),
        Line("VPC", "or three NAT gateways, objects through them", prices["nat-hours"].of(hours) + prices["nat-bytes"].of(trail)),
        # Two of three bulk requests go to a node in another zone, and both sides of the way are billed.
        Line("VPC", "bulk requests between zones", prices["between-zones"].of(sent * 2 * (ZONES - 1) / ZONES)),
    ]


def config_usd(account: Account, measured: Measured, prices: Prices) -> float:
    """What a month's CONFIG_ITEMS cost: each a message of its own, and once more in a history, where it is known."""
    items, work = CONFIG_ITEMS, measured.config
    together = min(BATCH, 1 + items / (HOURS * 3_600) * WINDOW_SECONDS / POLLERS)
    invocations = items / together
    seconds = (invocations * (account.waiting_ms + work.invocation_ms) + items * (work.item_us + work.known_us) / 1_000) / 1_000
    logged = invocations * LOG_BYTES_INVOCATION / GB
    return (
        prices["sns-publishes"].of(items)
        + prices["sqs-requests"].of(items + 2 * invocations)
        + prices["lambda-arm64"].of(seconds * MEMORY_MB / 1_024)
        + prices["lambda-requests"].of(invocations)
        + prices["cloudwatch-logs"].of(logged)
        + prices["cloudwatch-logs-kept"].of(logged)
    )


def _config_fixed(prices: Prices) -> float:
    """What the second queue and its function cost before the first item comes."""
    watched = prices["cloudwatch-metrics"].of(CONFIG_METRICS) + prices["cloudwatch-alarms"].of(CONFIG_ALARMS)
    return watched + prices["sqs-requests"].of(POLLERS * HOURS * 3_600 / POLL_SECONDS)


def copy_rate(account: Account, measured: Measured) -> float:
    """Events a second of one copy of the function with a full queue."""
    return BATCH * account.records_per_object / invocation_ms(account, measured, BATCH) * 1_000


def engine_rate(account: Account, measured: Measured, domain: Plan) -> float:
    """Events a second that the data nodes index at 80 % of their processors; a replica indexes each event again."""
    return domain.processors * ENGINE_SHARE / (shape(account, measured).engine_us * (1 + account.replicas)) * 1e6


def concurrency(account: Account, measured: Measured, domain: Plan) -> int:
    """MaximumConcurrency that fills the engine and no more; 2 is the least that Lambda takes."""
    return max(2, round(engine_rate(account, measured, domain) / copy_rate(account, measured)))


def catch_up_minutes(account: Account, measured: Measured, domain: Plan) -> float:
    """Minutes until a day's outage is indexed, with that concurrency and what arrives meanwhile; infinite if it never is."""
    arriving = account.events / (HOURS * 3_600)
    function = concurrency(account, measured, domain) * copy_rate(account, measured)
    spare = min(function, engine_rate(account, measured, domain)) - arriving
    return math.inf if spare <= 0 else arriving * 24 * 60 / spare
