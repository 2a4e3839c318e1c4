"""List prices of AWS in us-east-1, US dollars without tax, on demand, no free tier: each with its page and where it was read.

AWS's pages fill in most of their numbers while they are shown, so a stored copy often lacks them. `origin` says what was read
instead; `CHECK` means that no source was at hand and the page has to be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

REGION, READ_ON = "us-east-1", "2026-11-25"

CHECK = "to be checked"
_LIST = "AWS price list, as public tools copied it"
_OPENSEARCH = "https://aws.amazon.com/opensearch-service/pricing/"
_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_KMS = "https://aws.amazon.com/kms/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_CONFIG = "https://aws.amazon.com/config/pricing/"
_VPC = "https://aws.amazon.com/vpc/pricing/"
_PRIVATELINK = "https://aws.amazon.com/privatelink/pricing/"


@dataclass(frozen=True, slots=True)
class Price:
    """`usd` for `size` of something; `unit` says of what, for people."""

    usd: float
    size: float
    unit: str
    page: str
    origin: str

    def of(self, amount: float) -> float:
        """US dollars for this many."""
        return amount / self.size * self.usd


def _node(usd: float) -> Price:
    return Price(usd, 1, "hour", _OPENSEARCH, f"{_LIST} (AmazonES), 2026-10-01")


PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "t3.small.search": _node(0.036),
        "m7g.large.search": _node(0.135),
        "r7g.medium.search": _node(0.089),
        "r7g.large.search": _node(0.178),
        "r7g.xlarge.search": _node(0.356),
        "r7g.2xlarge.search": _node(0.711),
        "r7g.4xlarge.search": _node(1.422),
        "r7g.8xlarge.search": _node(2.845),
        "opensearch-gp3": Price(0.122, 1, "GB-month", _OPENSEARCH, f"{_LIST} (ES:GP3-Storage), 2026-06-27"),
        "lambda-arm64": Price(0.0000133334, 1, "GB-second", _LAMBDA, "cloudchipr.com, 2024, N. Virginia"),
        "lambda-requests": Price(0.20, 1e6, "million requests", _LAMBDA, "notes of May 2026 beside the same arm64 price"),
        "sqs-requests": Price(
            0.40, 1e6, "million requests", "https://aws.amazon.com/sqs/pricing/", "cloudburn.io, March 2026, N. Virginia"
        ),
        "sns-publishes": Price(
            0.50, 1e6, "million publishes", "https://aws.amazon.com/sns/pricing/", "factualminds.com, June 2026, us-east-1"
        ),
        "s3-get": Price(0.0004, 1_000, "1,000 requests", _S3, "devnotes.tech, undated, US East"),
        "s3-put": Price(0.005, 1_000, "1,000 requests", _S3, "devnotes.tech, undated, US East"),
        "s3-storage": Price(0.023, 1, "GB-month", _S3, "devnotes.tech, undated, US East"),
        "cloudwatch-logs": Price(0.50, 1, "GB ingested", _CLOUDWATCH, "factualminds.com, June 2026"),
        "cloudwatch-logs-kept": Price(0.03, 1, "GB-month", _CLOUDWATCH, CHECK),
        "cloudwatch-metrics": Price(0.30, 1, "metric and month", _CLOUDWATCH, "signoz.io, February 2026"),
        "cloudwatch-alarms": Price(0.10, 1, "alarm and month", _CLOUDWATCH, CHECK),
        "cloudwatch-dashboards": Price(3.00, 1, "dashboard and month", _CLOUDWATCH, "factualminds.com, June 2026"),
        "cloudtrail-copies": Price(
            2.00, 100_000, "100,000 events", "https://aws.amazon.com/cloudtrail/pricing/", "AWS's page, an older stored copy"
        ),
        "config-items": Price(0.003, 1, "item, continuous", _CONFIG, "vantage.sh and cloudgauge.app, undated"),
        "config-items-daily": Price(0.012, 1, "item, daily", _CONFIG, "cloudgauge.app, undated"),
        "kms-keys": Price(1.00, 1, "key and month", _KMS, "AWS's page, a stored copy"),
        "kms-requests": Price(0.03, 10_000, "10,000 requests", _KMS, "wring.co, March 2026"),
        "secrets": Price(
            0.40, 1, "secret and month", "https://aws.amazon.com/secrets-manager/pricing/", "notes from AWS's page, 2026-10-06"
        ),
        "endpoint-hours": Price(0.01, 1, "endpoint, zone and hour", _PRIVATELINK, "AWS price list for us-west-2, 2026-10-06"),
        "endpoint-bytes": Price(0.01, 1, "GB", _PRIVATELINK, "AWS's page, a stored copy"),
        "nat-hours": Price(0.045, 1, "gateway and hour", _VPC, "cloudburn.io, February 2026, US East"),
        "nat-bytes": Price(0.045, 1, "GB", _VPC, "cloudburn.io, February 2026, US East"),
        "between-zones": Price(
            0.01, 1, "GB, each way", "https://aws.amazon.com/ec2/pricing/on-demand/", "usage.ai, May 2026, N. Virginia"
        ),
        "eventbridge-events": Price(1.00, 1e6, "million S3 events", "https://aws.amazon.com/eventbridge/pricing/", CHECK),
    }
)
