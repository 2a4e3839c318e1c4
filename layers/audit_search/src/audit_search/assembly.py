"""The pipeline of CloudTrail's objects, put together from the environment once for each container."""

from __future__ import annotations

from collections.abc import Mapping

from audit_search.cloudtrail import Policy
from audit_search.container import Container, Parts
from audit_search.documents import Naming
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
    )
    return Container(settings, parts, pipeline)
