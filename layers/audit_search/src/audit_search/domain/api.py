"""Requests to the engine for the set-up: answers instead of exceptions, refusals in words, waiting until a domain is ready."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from opensearchpy import ConnectionTimeout
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import OpenSearchException, SSLError

from audit_search.domain.refusals import explain, passes
from audit_search.errors import DomainSetupError, EngineUnreachableError
from audit_search.opensearch import client
from audit_search.settings import EngineSettings

_TIMEOUT = 30
REFUSED_SECONDS = 120.0
"""How long a new domain may refuse its own administrator: its access policy and first user take effect one after the other."""
_LONGEST_PAUSE = 15.0


@dataclass(frozen=True, slots=True)
class Payload:
    """A body that is sent as it is, with headers of its own; the content type is one of them."""

    content: bytes
    headers: Mapping[str, str]


class Api(Protocol):
    """An engine that can be asked."""

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and answer: parsed JSON, or text where it is none. The body is a value for JSON, or a Payload.

        A refusal is an answer. Raises EngineUnreachableError without one.
        """
        ...


class HttpApi:
    """The engine over HTTP, with the log-in of the settings."""

    def __init__(self, settings: EngineSettings, auth: Any, *, timeout: float = _TIMEOUT) -> None:
        """`auth` signs or authenticates requests, as `opensearch.authentication` gives it."""
        self._endpoint = settings.endpoint
        self._timeout = timeout
        # In plain: some domains refuse the signature of a compressed body, and these are small.
        self._client = client(settings, auth=auth, compress=False)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and answer: parsed JSON, or text where it is none.

        A refusal is an answer. Raises EngineUnreachableError without one, and where there is nothing to sign with.
        """
        given = body if isinstance(body, Payload) else None
        payload = None if body is None else given.content if given else json.dumps(body, ensure_ascii=False).encode()
        try:
            status, _, text = self._client.transport.get_connection().perform_request(
                method,
                path,
                body=payload,
                headers=dict(given.headers) if given else None,
                timeout=self._timeout,
                ignore=range(300, 600),
                allow_redirects=False,
            )
        except ConnectionTimeout as error:
            raise EngineUnreachableError(f"{self._endpoint} did not answer within {self._timeout:g} s") from error
        except SSLError as error:
            raise EngineUnreachableError(f"{self._endpoint} is not trusted: {error.error}") from error
        except OpenSearchConnectionError as error:
            raise EngineUnreachableError(f"{self._endpoint} cannot be reached: {error.error}") from error
        except (BotoCoreError, ClientError, OpenSearchException) as error:
            raise EngineUnreachableError(f"{self._endpoint} cannot be asked: {type(error).__name__}: {error}") from error
        try:
            return int(status), json.loads(text) if text else None
        except ValueError:
            return int(status), text


def wait_until_ready(
    api: Api,
    deadline: float,
    *,
    refused_seconds: float = REFUSED_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Ask until the engine answers, and give what it says about itself; `deadline` is a time of `clock`.

    Connections that fail and answers of 429 and 5xx are tried again until the deadline, refusals (401, 403) for
    `refused_seconds` at most. Raises DomainSetupError with the last answer.
    """
    started, pause = clock(), 0.5
    while True:
        reason, refused = "", False
        try:
            status, answer = api.request("GET", "/")
        except EngineUnreachableError as error:
            reason = str(error)
        else:
            if status == 200 and isinstance(answer, dict) and "version" in answer:
                return answer
            refused = status in (401, 403)
            reason = explain("GET", "/", status, answer)
            if not (refused or passes(status, answer)):
                raise DomainSetupError(reason)
        now = clock()
        if now + pause >= deadline or (refused and now + pause - started >= refused_seconds):
            raise DomainSetupError(f"The engine is not ready after {now - started:.0f} s. {reason}", retryable=not refused)
        sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
