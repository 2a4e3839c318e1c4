"""The client of the engine: signing, time-outs, compression, and answers instead of exceptions.

Requests are signed by requests-aws4auth with botocore's own credentials object, asked again for each request, so that a
warm container survives their rotation. Bodies are compressed by ISA-L at level 1: the client's own level 9 costs twenty
times as much for a few per cent of size.
https://docs.aws.amazon.com/opensearch-service/latest/developerguide/request-signing.html
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from isal import igzip, isal_zlib
from opensearchpy import ConnectionTimeout, OpenSearch, RequestsHttpConnection, TransportError
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import OpenSearchException, SerializationError, SSLError
from opensearchpy.serializer import JSONSerializer
from requests_aws4auth import AWS4Auth

from audit_search.bulk import Body, Reply, throttled

if TYPE_CHECKING:
    from audit_search.settings import EngineSettings

_FILTER = {"filter_path": "took,errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"}
_REGION = re.compile(r"[.]([a-z]{2}(?:-[a-z]+)+-\d)[.](?:es|aoss)[.](?:amazonaws[.]|api[.]aws)")
_PAUSE = 60.0
"""Seconds before what was tried in vain (new credentials, a plain body) is tried again."""
_log = logging.getLogger(__name__)
# The client logs request bodies at its lower levels, and no content of a record may reach a log.
for _name in ("opensearch", "opensearchpy.trace"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class _Connection(RequestsHttpConnection):
    """RequestsHttpConnection with a compression that does not cost more than the rest of the work."""

    def _gzip_compress(self, body: Any) -> bytes:
        return body if isinstance(body, _Compressed) else igzip.compress(body, 1)


class _Serializer(JSONSerializer):
    """Answers of a thousand items are parsed four times as fast."""

    def loads(self, s: Any) -> Any:
        try:
            return msgspec.json.decode(s)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SerializationError(s, error) from error


class _Compressed(bytes):
    """A body that is compressed already."""


def compressed(body: Body | _Json) -> bytes:
    """The body as gzip, block by block; the same for the same body."""
    gzip = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
    return _Compressed(b"".join([*map(gzip.compress, body.blocks()), gzip.flush()]))


class _Call(NamedTuple):
    """A request whose body we make: where it goes, and what of its answer we want, None where that is not all there."""

    path: str
    params: Mapping[str, str]
    content_type: str
    parts: Callable[[Mapping[str, Any]], object]


def _hits(answer: Mapping[str, Any]) -> object:
    """The hits of a search, None where a shard has not answered: what it holds would seem not to be there."""
    found, shards = answer.get("hits"), answer.get("_shards")
    if answer.get("timed_out") or (isinstance(shards, dict) and shards.get("failed")) or not isinstance(found, dict):
        return None
    return found.get("hits")


_BULK = _Call("/_bulk", _FILTER, "application/x-ndjson", lambda answer: answer.get("items"))
_MGET = _Call("/_mget", {}, "application/json", lambda answer: answer.get("docs"))


class _Json:
    """The body of a request that is one JSON value."""

    def __init__(self, value: object) -> None:
        self._text = msgspec.json.encode(value)

    def blocks(self) -> Iterator[bytes]:
        yield self._text

    def __bytes__(self) -> bytes:
        return self._text


class _LockedAuth(AWS4Auth):  # type: ignore[misc]  # the package has no type hints
    """AWS4Auth is not safe for several threads while the credentials change under it."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._lock = threading.Lock()
        super().__init__(*arguments, **keywords)

    def __call__(self, request: Any) -> Any:
        with self._lock:
            return super().__call__(request)


def client(settings: EngineSettings, *, auth: Any, compress: bool = True) -> OpenSearch:
    """An OpenSearch client for the endpoint of the settings; retries are ours, so it has none."""
    url = urlsplit(settings.endpoint)
    return OpenSearch(
        hosts=[
            {
                "host": url.hostname,
                "port": url.port or (443 if url.scheme == "https" else 80),
                "url_prefix": url.path.strip("/"),
            }
        ],
        http_auth=auth,
        use_ssl=url.scheme == "https",
        verify_certs=True,
        http_compress=compress,
        connection_class=_Connection,
        serializer=_Serializer(),
        pool_maxsize=settings.connections,
        max_retries=0,
        retry_on_timeout=False,
        timeout=30,
    )


def region(endpoint: str, default: str | None) -> str | None:
    """The region of a domain's own endpoint, which a signature has to name; `default` for any other name."""
    found = _REGION.search(f"{urlsplit(endpoint).hostname or ''}.")
    return found[1] if found else default


def signer(session: Any, service: str, endpoint: str) -> Any:
    """SigV4 for the engine with the credentials of a boto3 session, refreshed by botocore when they expire.

    A domain may be in another region than the session, and takes signatures of its own region only.
    """
    credentials = session.get_credentials()
    if credentials is None:
        raise OpenSearchException("no AWS credentials to sign requests with")
    where = region(endpoint, session.region_name)
    return _LockedAuth(region=where, service=service, refreshable_credentials=credentials)


def authentication(settings: EngineSettings, session: Any) -> Any:
    """What signs or authenticates requests to the engine, with the credentials of a boto3 session as they are now.

    Raises botocore's errors when a password cannot be read, OpenSearchException without AWS credentials.
    """
    if settings.auth == "aws":
        return signer(session, settings.service, settings.endpoint)
    if settings.auth == "basic":
        # A call that hangs must end before the seconds that a function keeps for its report are over.
        patience = Config(connect_timeout=3, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 4})
        secrets = session.client("secretsmanager", config=patience)
        return settings.username, _password(secrets.get_secret_value(SecretId=settings.password_secret)["SecretString"])
    return None


def _password(secret: str) -> str:
    """The secret itself, or the `password` of one that is a JSON object, as Secrets Manager's own rotation writes them."""
    try:
        value = json.loads(secret)
    except ValueError:
        return secret
    return str(value["password"]) if isinstance(value, dict) and "password" in value else secret


class HttpEngine:
    """The engine over HTTP, for bulk requests and for reading our own index template.

    `auth` gives what signs or authenticates requests; it is asked again when the engine answers 401, because a warm
    container may outlive a password.
    """

    def __init__(self, settings: EngineSettings, auth: Callable[[], Any] = lambda: None) -> None:
        self._settings = settings
        self._auth = auth
        self._lock = threading.Lock()
        self._compressed = True
        self._client = client(settings, auth=auth())
        self._renewed: float | None = None
        self._tried_plain: float | None = None

    def bulk(self, body: Body, timeout: float) -> Reply:
        """Send a bulk request. A 403 for a compressed body is tried once more in plain: some domains refuse the signature
        of compressed bodies. Where that helps, the container stays with plain bodies."""
        return self._ask(_BULK, body, timeout)

    def mget(self, wanted: Sequence[Mapping[str, Any]], timeout: float) -> Reply:
        """Read documents by index and id, as they are now, refreshed or not: the items are the answer's documents in order.

        https://docs.opensearch.org/latest/api-reference/document-apis/multi-get/
        """
        return self._ask(_MGET, _Json({"docs": wanted}), timeout)

    def search(self, index: str, body: Mapping[str, Any], timeout: float) -> Reply:
        """Search: the items are the hits, none where the index is not there, and None where not every shard has answered."""
        call = _Call(f"/{index}/_search", {"ignore_unavailable": "true"}, "application/json", _hits)
        return self._ask(call, _Json(body), timeout)

    def _ask(self, call: _Call, body: Body | _Json, timeout: float) -> Reply:
        used = self._client
        reply = _send(used, call, body, timeout)
        if reply.status == 401 and self._renew(used):
            used = self._client
            reply = _send(used, call, body, timeout)
        if reply.status == 403 and not throttled(reply):
            reply = self._in_plain(used, call, body, timeout) or reply
        return reply

    def _renew(self, used: OpenSearch) -> bool:
        """New credentials, at most once a minute: a wrong password must not become a storm of requests for it.

        Whether there are other ones now than those of `used`, which may be another thread's work.
        """
        with self._lock:
            if self._client is not used:
                return True
            now = time.monotonic()
            if self._renewed is not None and now - self._renewed < _PAUSE:
                return False
            self._renewed = now
            try:
                self._client = client(self._settings, auth=self._auth(), compress=self._compressed)
            except (BotoCoreError, ClientError, OpenSearchException) as error:
                _log.error("no new credentials for the engine after a 401: %s", type(error).__name__)
                return False
            return True

    def _in_plain(self, used: OpenSearch, call: _Call, body: Body | _Json, timeout: float) -> Reply | None:
        """The answer to the body without compression, where that is worth a try; at most once a minute while it is in vain."""
        with self._lock:
            if self._compressed:
                now = time.monotonic()
                if self._tried_plain is not None and now - self._tried_plain < _PAUSE:
                    return None
                self._tried_plain = now
                try:
                    plain = client(self._settings, auth=self._auth(), compress=False)
                except (BotoCoreError, ClientError, OpenSearchException):
                    return None
                reply = _send(plain, call, body, timeout)
                if reply.status in (0, 401, 403):
                    return None
                self._client, self._compressed = plain, False
                return reply
            if self._client is used:
                return None
        return _send(self._client, call, body, timeout)

    def get(self, path: str) -> Any:
        """GET a path; raises opensearchpy's TransportError with the status."""
        return self._perform("GET", path)

    def put(self, path: str, body: Any) -> Any:
        """PUT a JSON body; raises opensearchpy's TransportError with the status."""
        return self._perform("PUT", path, body=body)

    def _perform(self, method: str, path: str, **request: Any) -> Any:
        used = self._client
        try:
            return used.transport.perform_request(method, path, **request)
        except TransportError as error:
            if error.status_code != 401 or not self._renew(used):
                raise
        return self._client.transport.perform_request(method, path, **request)


def _send(used: OpenSearch, call: _Call, body: Body | _Json, timeout: float) -> Reply:
    headers = {"content-type": call.content_type}
    try:
        wire = compressed(body) if used.transport.get_connection().http_compress else bytes(body)
        answer = used.transport.perform_request(
            "POST", call.path, params={**call.params, "request_timeout": timeout}, body=wire, headers=headers
        )
    except ConnectionTimeout:
        return Reply(0, type="timeout", reason=f"no answer within {timeout:.1f} s")
    except SSLError as error:
        return Reply(0, type="tls_error", reason=str(error.error))
    except OpenSearchConnectionError as error:
        return Reply(0, type="connection_error", reason=str(error.error))
    except TransportError as error:
        return _refusal(error)
    except OpenSearchException as error:  # an answer that is not JSON
        return Reply(0, type="incomplete_answer", reason=f"{type(error).__name__}")
    except (BotoCoreError, ClientError) as error:  # raised while signing, when credentials cannot be refreshed
        return Reply(0, type="no_credentials", reason=f"{type(error).__name__}")
    except Exception as error:  # an error body of a shape that the client trips over, such as a JSON list
        return Reply(0, type="incomplete_answer", reason=f"{type(error).__name__}")
    if not isinstance(answer, dict):
        return Reply(200, type="incomplete_answer", reason="the answer is not a JSON object")
    items = call.parts(answer)
    return Reply(200, bool(answer.get("errors", True)), items if isinstance(items, list) else None)


def _refusal(error: TransportError) -> Reply:
    status = error.status_code if isinstance(error.status_code, int) else 0
    kind, info = f"http_{status}", error.info
    if isinstance(info, dict):
        detail = info.get("error", info.get("message", info.get("Message", "")))
        if isinstance(detail, dict):
            kind, reason = str(detail.get("type", kind)), str(detail.get("reason", ""))
        else:
            reason = str(detail)
    else:  # a gateway's page, or a text
        reason = str(info or error.error)[:300]
    return Reply(status, type=kind, reason=f"HTTP {status}: {reason}" if reason else f"HTTP {status}")
