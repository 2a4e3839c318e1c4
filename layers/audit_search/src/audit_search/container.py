"""What a function keeps as long as its container lives, and the parts that both writing functions are made of."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import botocore.session
from botocore.config import Config

from audit_search import index_template
from audit_search.direct_get import DirectGet
from audit_search.envelopes import Message
from audit_search.errors import IndexTemplateError
from audit_search.objects import ObjectReader
from audit_search.opensearch import HttpEngine, authentication
from audit_search.quarantine import Quarantine
from audit_search.redelivery import Redelivery
from audit_search.reports import Report
from audit_search.settings import WriterSettings

_TEMPLATE_SECONDS = 60.0
"""How long a check of the index templates holds: each new month makes an index, and must find its template in place."""


class Runs(Protocol):
    """What does the work of a function."""

    def run(self, messages: Iterable[Message], deadline: float) -> Report: ...


P = TypeVar("P", bound=Runs)


class Session:
    """What the parts ask of a boto3 session, by botocore alone: boto3 brings a transfer manager, with processes and all, which
    nothing here uses and a cold start would wait for."""

    def __init__(self) -> None:
        self._session = botocore.session.get_session()

    def client(self, service: str, *, config: Config, region: str | None = None) -> Any:
        return self._session.create_client(service, config=config, region_name=region)

    def get_credentials(self) -> Any:
        return self._session.get_credentials()

    @property
    def region_name(self) -> str | None:
        region: str | None = self._session.get_config_variable("region")
        return region


@dataclass(slots=True)
class Parts:
    """What both pipelines are composed of."""

    session: Session
    engine: HttpEngine
    reader: ObjectReader
    quarantine: Quarantine

    @classmethod
    def of(cls, settings: WriterSettings, environ: Mapping[str, str]) -> Parts:
        """Make them. Asks nothing yet, except the credentials of the environment."""
        session = Session()
        s3 = session.client("s3", config=patience(settings.object_fetchers + 2))
        credentials = session.get_credentials()
        bundle = environ.get("AWS_CA_BUNDLE", "")
        direct = DirectGet(s3, credentials, settings.object_fetchers, bundle=bundle) if credentials else None
        return cls(
            session=session,
            engine=HttpEngine(settings, lambda: authentication(settings, session)),
            reader=ObjectReader(
                s3,
                settings.allowed_buckets,
                max_bytes=settings.max_object_bytes,
                max_ratio=settings.max_inflation_ratio,
                direct=direct,
            ),
            quarantine=Quarantine(s3, settings.quarantine_bucket, settings.quarantine_prefix),
        )


@dataclass(slots=True)
class Container(Generic[P]):
    """What a warm container keeps between invocations. `families` are the indices that `pipeline` writes to."""

    settings: WriterSettings
    parts: Parts
    pipeline: P
    families: tuple[str, ...] = ()
    _redelivery: Redelivery | None = None
    _checked: float = 0.0

    def require_templates(self) -> None:
        """Raise IndexTemplateError unless the index templates are in place, or cannot be seen to be."""
        now = time.monotonic()
        if self._checked and now - self._checked < _TEMPLATE_SECONDS:
            return
        try:
            index_template.check(self.parts.engine, self.settings.index_prefix, *self.families)
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
            self._redelivery = Redelivery(self.parts.session.client("sqs", config=patience(4)))
        return self._redelivery


def patience(connections: int) -> Config:
    """How long AWS is waited for. A read that hangs must end before the seconds that a function keeps for its report are over."""
    return Config(
        max_pool_connections=connections,
        connect_timeout=3,
        read_timeout=8,
        retries={"mode": "standard", "total_max_attempts": 4},
    )
