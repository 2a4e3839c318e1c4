"""What the functions counted, as CloudWatch has it: records and where they ended, how fast, and how late.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from audit_search.observability import NAMESPACE

_COUNTS = {
    "read": "RecordsRead",
    "indexed": "RecordsIndexed",
    "duplicates": "RecordsDuplicate",
    "filtered": "RecordsFiltered",
    "quarantined": "RecordsQuarantined",
    "returned": "RecordsReturned",
    "put_aside": "Quarantined",
}
_PERIODS = ((timedelta(hours=3), 60), (timedelta(days=2), 300), (timedelta.max, 3_600))


@dataclass(frozen=True, slots=True)
class Accounting:
    """Records of one function from `since` to `until`: each read is indexed, duplicate, filtered, quarantined or returned.

    `put_aside` are records and whole objects in quarantine. `peak` is records a second in the busiest `period` (seconds).
    Seconds from an event to its document: `lag` on average and `longest_lag`, None where nothing was measured.
    """

    service: str
    since: datetime
    until: datetime
    period: int
    read: int = 0
    indexed: int = 0
    duplicates: int = 0
    filtered: int = 0
    quarantined: int = 0
    returned: int = 0
    put_aside: int = 0
    peak: float = 0.0
    lag: float | None = None
    longest_lag: float | None = None

    @property
    def accounted(self) -> int:
        """Records that are known to have ended somewhere."""
        return self.indexed + self.duplicates + self.filtered + self.quarantined + self.returned

    @property
    def adds_up(self) -> bool:
        """Whether these are all that were read."""
        return self.read == self.accounted

    @property
    def per_second(self) -> float:
        """Records read a second, over the whole time."""
        return self.read / max(1.0, (self.until - self.since).total_seconds())

    @property
    def per_day(self) -> float:
        """Records read a day, at the rate of the whole time."""
        return self.per_second * 86_400


def accounting(cloudwatch: Any, service: str, since: datetime, until: datetime) -> Accounting:
    """The figures of a function, by the dimension `service` of its metrics. Raises what botocore raises.

    Whole periods are counted, which begin with the one of `since`; the one that is not over is left out, for of its invocations
    some figures may be there and others not yet. They are of a minute, beyond three hours of five, beyond two days of an hour.
    """
    period = next(seconds for most, seconds in _PERIODS if until - since <= most)
    start = _floor(since, period)
    until = max(_floor(until, period), start + timedelta(seconds=period))
    queries = [_query(name, metric, "Sum", service, period) for name, metric in _COUNTS.items()]
    queries += [
        _query(name, "EventLag", statistic, service, period)
        for name, statistic in (("lag_sum", "Sum"), ("lag_count", "SampleCount"), ("lag_longest", "Maximum"))
    ]
    series: dict[str, list[float]] = {}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(MetricDataQueries=queries, StartTime=start, EndTime=until)
    for page in pages:
        for result in page["MetricDataResults"]:
            series.setdefault(result["Id"], []).extend(result["Values"])
    measured = sum(series.get("lag_count", ()))
    return Accounting(
        service,
        start,
        until,
        period,
        **{name: round(sum(series.get(name, ()))) for name in _COUNTS},
        peak=max(series.get("read", ()), default=0.0) / period,
        lag=sum(series.get("lag_sum", ())) / measured if measured else None,
        longest_lag=max(series.get("lag_longest", ()), default=None),
    )


def _floor(when: datetime, period: int) -> datetime:
    return datetime.fromtimestamp(when.timestamp() // period * period, UTC)


def _query(name: str, metric: str, statistic: str, service: str, period: int) -> Mapping[str, Any]:
    of = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": [{"Name": "service", "Value": service}]}
    return {"Id": name, "MetricStat": {"Metric": of, "Period": period, "Stat": statistic}}
