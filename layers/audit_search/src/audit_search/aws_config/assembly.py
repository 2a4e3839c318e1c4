"""The pipeline of AWS Config's messages and objects, put together from the environment once for each container."""

from __future__ import annotations

from collections.abc import Mapping

from audit_search import index_template
from audit_search.aws_config.pipeline import ConfigPipeline
from audit_search.container import Container, Parts, patience
from audit_search.handing_on import TrailQueue
from audit_search.settings import ConfigSettings


def assemble(environ: Mapping[str, str]) -> Container[ConfigPipeline]:
    """Build everything from the environment. Raises SettingsError."""
    settings = ConfigSettings.from_env(environ)
    parts = Parts.of(settings, environ)
    pipeline = ConfigPipeline(
        reader=parts.reader,
        engine=parts.engine,
        quarantine=parts.quarantine,
        trail=TrailQueue(lambda: parts.session.client("sqs", config=patience(2)), settings.trail_queue_url),
        prefix=settings.index_prefix,
        mode=settings.ingest_mode,
        bulk_bytes=settings.bulk_bytes,
        senders=settings.bulk_senders,
        fetchers=settings.object_fetchers,
        retention_days=settings.retention_days,
    )
    return Container(settings, parts, pipeline, index_template.CONFIG)
