"""The verification of the function, put together from its settings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from audit_search.container import Session, patience
from audit_search.documents import Naming
from audit_search.objects import ObjectReader
from audit_search.opensearch import HttpEngine, authentication
from audit_search.settings import VerifySettings
from audit_search.validation.chains import HOUR, Selection
from audit_search.validation.keys import KeyRing
from audit_search.validation.reports import Report
from audit_search.validation.stores import BucketStore
from audit_search.validation.verification import THREADS, Verification
from audit_search.validation.whereabouts import QuarantineReader, Whereabouts

_LATE: Final = timedelta(hours=2)
"""How long after its end a digest is surely there. What is younger is left to the next run."""


def due(now: datetime, hours: int) -> tuple[datetime, datetime]:
    """From when to when (UTC) log files were delivered whose digests are due. Two runs that are `hours` apart, or an hour
    more, leave nothing out between them."""
    until = now - _LATE - HOUR
    return until - timedelta(hours=hours), until


def verify(settings: VerifySettings, since: datetime, until: datetime, deadline: float) -> Report:
    """Verify each bucket, until `deadline` (of time.monotonic). Raises botocore's errors where there are no credentials."""
    session = Session()
    s3 = session.client("s3", config=patience(THREADS + 2))
    whereabouts = Whereabouts(
        engine=HttpEngine(settings, lambda: authentication(settings, session)),
        naming=Naming(settings.index_prefix, settings.daily),
        rules=settings.rules,
        retention_days=settings.retention_days,
        quarantine=QuarantineReader(s3, settings.quarantine_bucket, settings.quarantine_prefix),
        deadline=deadline,
    )
    allowed = settings.allowed_buckets
    reader = ObjectReader(s3, allowed, max_bytes=settings.max_object_bytes, max_ratio=settings.max_inflation_ratio)
    keys = KeyRing(clients=_cloudtrail(session))
    report = Report(since, until)
    for bucket in sorted(allowed):
        Verification(
            store=BucketStore(s3, bucket, reader, allowed),
            keys=keys,
            selection=Selection(since, until, settings.prefix),
            whereabouts=whereabouts,
            deadline=deadline,
        ).run(report)
    return report


def _cloudtrail(session: Session) -> Any:
    def client(region: str) -> Any:
        return session.client("cloudtrail", config=patience(2), region=region)

    return client
