"""The pipeline of CloudTrail's objects, put together from the environment once for each container."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from audit_search.alerts.topic import Topic
from audit_search.cloudtrail import Policy
from audit_search.container import Container, Parts, patience
from audit_search.documents import ALERTS, TRAIL, Naming
from audit_search.notifying import Notifier
from audit_search.pipeline import Pipeline
from audit_search.settings import Settings


def assemble(environ: Mapping[str, str]) -> Container[Pipeline]:
    """Build everything from the environment. Raises SettingsError."""
    settings = Settings.from_env(environ)
    parts = Parts.of(settings, environ)
    pipeline = Pipeline(
        reader=parts.reader,
        engine=parts.engine,
        quarantine=parts.quarantine,
        policy=Policy(Naming(settings.index_prefix, settings.daily), settings.ingest_mode, settings.rules),
        bulk_bytes=settings.bulk_bytes,
        senders=settings.bulk_senders,
        fetchers=settings.object_fetchers,
        retention_days=settings.retention_days,
        notifier=notifier(settings, parts),
    )
    return Container(settings, parts, pipeline, families=(TRAIL, ALERTS) if pipeline.notifier else ())


def notifier(settings: Settings, parts: Parts) -> Notifier | None:
    """What tells people of alerts: nobody where no topic is named, nor of a history that is read again."""
    arn = settings.alert_topic_arn
    if not arn or settings.ingest_mode != "live":
        return None
    region, prefix = arn.split(":")[3], settings.index_prefix
    return Notifier(
        engine=parts.engine,
        topic=Topic(lambda: parts.session.client("sns", config=patience(1), region=region), arn),
        index=f"{prefix}{ALERTS}",
        tiers=settings.alert_tiers,
        max_age=timedelta(hours=settings.alert_max_age_hours),
        dashboards=settings.dashboards_url,
        pattern=f"{prefix}audit-search-{TRAIL}",  # as dashboards.saved_objects names it
    )
