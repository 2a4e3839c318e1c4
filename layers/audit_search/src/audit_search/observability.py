"""What operators see: one structured log line for each object, and metrics in CloudWatch's embedded format.

No content of a record is ever written here, only names of objects, counts and causes.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from audit_search.envelopes import ObjectRef
from audit_search.reports import ObjectReport, Report, event_lag

NAMESPACE = "AuditSearch"


class Verified(Protocol):
    """What a verification found, see `validation.reports.Report`."""

    @property
    def metrics(self) -> Mapping[str, int]: ...

    def findings(self, most: int) -> Iterator[tuple[str, dict[str, object]]]: ...

    def summary(self) -> dict[str, object]: ...


class Linked(Protocol):
    """What a run that links versions with calls did, see `causes.linking.Totals`."""

    @property
    def metrics(self) -> Mapping[str, int]: ...

    @property
    def figures(self) -> Mapping[str, int]: ...

    @property
    def strange(self) -> list[str]: ...


class Observer:
    """Writes the logs and metrics of one function."""

    def __init__(self, service: str) -> None:
        """`service` names the function in logs and metrics, unless POWERTOOLS_SERVICE_NAME does: two stacks of one account
        must not add their metrics up."""
        service = os.environ.get("POWERTOOLS_SERVICE_NAME") or service
        self.logger = Logger(service=service)
        self._metrics = Metrics(namespace=NAMESPACE, service=service)

    def report(self, report: Report) -> None:
        """One line for each object and each thing skipped, a line for each returned message, and the metrics."""
        now = datetime.now(UTC)
        for item in (*report.objects, *report.more):
            self._object(item, now)
        for skipped in report.skipped:
            self.logger.info("skipped", extra={"reason": skipped.reason, "what": skipped.what})
        for message, reason in report.returned_messages:
            self.logger.warning(
                "message returned",
                extra={
                    "message_id": message.message_id,
                    "receive_count": message.receive_count,
                    "reason": reason[:2_000],
                },
            )
        self._count(report, now)

    def digests(self, ages: Mapping[str, float | None]) -> None:
        """The age in seconds of each bucket's newest digest; the metric is the oldest of them, and absent where one has none."""
        for bucket, age in ages.items():
            if age is None:
                self.problem("no digest of today or yesterday", f"bucket {bucket}: is log file validation on, and the trail too?")
            else:
                self.logger.info("newest digest", extra={"bucket": bucket, "age_seconds": round(age)})
        known = [age for age in ages.values() if age is not None]
        if known and len(known) == len(ages):
            self._metrics.add_metric(name="DigestAge", unit=MetricUnit.Seconds, value=max(known))
            self._metrics.flush_metrics()

    def verification(self, report: Verified) -> None:
        """A line for each digest and log file that is not as it should be, up to 1,000 of each, and the metrics, 0 too."""
        for kind, found in report.findings(1_000):
            self.logger.warning(kind, extra=found)
        total = report.summary()
        self.logger.info("verified", extra=total)
        for name, value in report.metrics.items():
            self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
        self._metrics.flush_metrics()

    def linking(self, totals: Linked) -> None:
        """A line for versions that were not understood, one for the run, and the metrics, 0 too."""
        for what in totals.strange:
            self.logger.warning("a version was not understood", extra={"reason": what})
        self.logger.info("linked", extra=dict(totals.figures))
        for name, value in totals.metrics.items():
            unit = MetricUnit.Seconds if name == "LinksBehind" else MetricUnit.Count
            self._metrics.add_metric(name=name, unit=unit, value=value)
        self._metrics.flush_metrics()

    def problem(self, what: str, reason: str) -> None:
        """Something that an operator has to mend."""
        self.logger.error(what, extra={"reason": reason[:2_000]})

    def _object(self, item: ObjectReport, now: datetime) -> None:
        counts = item.counts
        ref = item.ref
        fields: dict[str, object] = {
            **({"bucket": ref.bucket, "key": ref.key} if isinstance(ref, ObjectRef) else {"message_id": ref.message_id}),
            "outcome": item.outcome,
            "read": counts.read,
            "indexed": counts.indexed,
            "duplicates": counts.duplicates,
            "differing_duplicates": counts.differing,
            "filtered": counts.filtered,
            "quarantined": counts.quarantined,
            "returned": counts.returned,
        }
        lag = event_lag(item.newest, now)
        if lag is not None:
            fields["event_lag_seconds"] = round(lag.total_seconds())
        if item.skipped:
            fields["reason"] = item.skipped
        if item.error:
            fields["error"] = str(item.error)[:2_000]
        if item.returned:
            fields["returned_because"] = [str(cause)[:500] for cause in item.returned]
        write = self.logger.warning if item.error or item.returned or counts.quarantined or counts.differing else self.logger.info
        write("object" if isinstance(ref, ObjectRef) else "message", extra=fields)

    def _count(self, report: Report, now: datetime) -> None:
        counts, metrics = report.counts, self._metrics
        for name, value in (
            ("RecordsRead", counts.read),
            ("RecordsIndexed", counts.indexed),
            ("RecordsDuplicate", counts.duplicates),
            ("RecordsDifferingDuplicate", counts.differing),
            ("RecordsFiltered", counts.filtered),
            ("RecordsQuarantined", counts.quarantined),
            ("RecordsReturned", counts.returned),
            ("Quarantined", report.quarantined),
            ("ObjectsRead", len(report.objects)),
            ("ObjectsSkipped", report.skipped_objects),
            ("ObjectsFailed", report.failed_objects),
            ("MessagesReturned", len(report.returned_messages)),
            ("BulkRequests", report.requests),
            *report.metrics.items(),
        ):
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
        lags = [lag.total_seconds() for item in report.objects if (lag := event_lag(item.oldest, now))]
        if lags:
            metrics.add_metric(name="EventLag", unit=MetricUnit.Seconds, value=max(lags))
        metrics.flush_metrics()
