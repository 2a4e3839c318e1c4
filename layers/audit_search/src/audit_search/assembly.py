"""The parts of the pipeline, put together from the environment once for each container."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config

from audit_search import index_template
from audit_search.cloudtrail import Policy
from audit_search.direct_get import DirectGet
from audit_search.documents import Naming
from audit_search.errors import IndexTemplateError
from audit_search.objects import ObjectReader
from audit_search.opensearch import HttpEngine, authentication
from audit_search.pipeline import Pipeline
from audit_search.quarantine import Quarantine
from audit_search.redelivery import Redelivery
from audit_search.settings import Settings

_TEMPLATE_SECONDS = 60.0
"""How long a check of the index template holds: each new month makes an index, and must find the template in place."""


class _Session:
    """What the parts ask of a boto3 session, by botocore alone: boto3 brings a transfer manager, with processes and all, which
    nothing here uses and a cold start would wait for."""

    def __init__(self) -> None:
        self._session = botocore.session.get_session()

    def client(self, service: str, *, config: Config) -> Any:
        return self._session.create_client(service, config=config)

    def get_credentials(self) -> Any:
        return self._session.get_credentials()

    @property
    def region_name(self) -> str | None:
        region: str | None = self._session.get_config_variable("region")
        return region


@dataclass(slots=True)
class Container:
    """What a warm container keeps between invocations."""

    settings: Settings
    engine: HttpEngine
    pipeline: Pipeline
    _session: Any
    _redelivery: Redelivery | None = None
    _checked: float = 0.0

    def require_template(self) -> None:
        """Raise IndexTemplateError unless the index template is in place, or cannot be seen to be."""
        now = time.monotonic()
        if self._checked and now - self._checked < _TEMPLATE_SECONDS:
            return
        try:
            index_template.check(self.engine, self.settings.index_prefix)
        except IndexTemplateError:
            raise
        except Exception as error:  # no connection, no credentials, an answer that is none
            raise IndexTemplateError(
                f"The engine at {self.settings.endpoint} cannot be asked for its index template: {error}"
            ) from error
        self._checked = now

    @property
    def redelivery(self) -> Redelivery:
        """Made when a message returns for the first time: most containers never need it."""
        if self._redelivery is None:
            self._redelivery = Redelivery(self._session.client("sqs", config=_config(4)))
        return self._redelivery


def assemble(environ: Mapping[str, str]) -> Container:
    """Build everything from the environment. Raises SettingsError."""
    settings = Settings.from_env(environ)
    session = _Session()
    s3 = session.client("s3", config=_config(settings.object_fetchers + 2))
    credentials = session.get_credentials()
    bundle = environ.get("AWS_CA_BUNDLE", "")
    direct = DirectGet(s3, credentials, settings.object_fetchers, bundle=bundle) if credentials else None
    engine = HttpEngine(settings, lambda: authentication(settings, session))
    return Container(
        settings=settings,
        engine=engine,
        pipeline=Pipeline(
            reader=ObjectReader(
                s3,
                settings.allowed_buckets,
                max_bytes=settings.max_object_bytes,
                max_ratio=settings.max_inflation_ratio,
                direct=direct,
            ),
            engine=engine,
            quarantine=Quarantine(s3, settings.quarantine_bucket, settings.quarantine_prefix),
            policy=Policy(Naming(settings.index_prefix, settings.daily), settings.ingest_mode, settings.rules),
            bulk_bytes=settings.bulk_bytes,
            senders=settings.bulk_senders,
            fetchers=settings.object_fetchers,
            retention_days=settings.retention_days,
        ),
        _session=session,
    )


def _config(connections: int) -> Config:
    # A read that hangs must end before the seconds that a function keeps for its report are over.
    return Config(
        max_pool_connections=connections,
        connect_timeout=3,
        read_timeout=8,
        retries={"mode": "standard", "total_max_attempts": 4},
    )
