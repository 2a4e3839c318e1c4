"""GET of an object without the client's cost per call, for the usual answer; everything else is the client's.

A trail delivers many small objects, and of what one costs boto3's `get_object` is the larger part: four times as much as
signing and the request itself take. So once the client has read an object of a bucket, the bucket's address and region are
known from the request that it sent, and the next objects are signed by botocore's signer and asked for on a kept
connection. Any answer but 200, and whatever is not the usual set-up (a proxy, a stand-in that answers inside of botocore),
is left to the client, with its redirects, retries and errors.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from urllib.request import getproxies

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.hooks import first_non_none_response
from botocore.httpsession import get_cert_path

from audit_search.envelopes import ObjectRef

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DOTS: Final = frozenset((".", ".."))
_ENOUGH: Final = 5
_EVENT: Final = "before-send.s3.GetObject"
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]+)/s3/aws4_request")


class DirectGet:
    """Sends GETs for an S3 client whose requests are signed with `credentials`; one instance serves several threads."""

    def __init__(self, s3: S3Client, credentials: Any, connections: int, *, bundle: str = "") -> None:
        self._events: Any = s3.meta.events
        self._credentials = credentials
        self._pools = urllib3.PoolManager(
            maxsize=connections, ca_certs=bundle or get_cert_path(True), timeout=urllib3.Timeout(connect=3, read=8)
        )
        self._buckets: dict[str, tuple[str, S3SigV4Auth]] = {}
        self._seen = threading.local()
        self._off = bool(getproxies())
        self._failures = 0
        self._events.register(_EVENT, self._remember)

    def get(self, ref: ObjectRef) -> urllib3.BaseHTTPResponse | None:
        """The answer with status 200, its body not read yet; None where the client has to be asked."""
        known = self._buckets.get(ref.bucket)
        # A path with dots is shortened on its way: it could lead out of the bucket that was allowed.
        if known is None or self._off or not ref.key or not _DOTS.isdisjoint(ref.key.split("/")):
            return None
        base, signer = known
        version = f"?versionId={quote(ref.version_id, safe='')}" if ref.version_id else ""
        try:
            request = AWSRequest("GET", base + _quoted(ref.key) + version)
            signer.add_auth(request)
            prepared = request.prepare()
            if first_non_none_response(self._events.emit(_EVENT, request=prepared)) is not None:
                return None
            answer = self._pools.urlopen(
                "GET",
                prepared.url,
                headers=dict(prepared.headers),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,  # CloudTrail's objects say Content-Encoding: gzip, and inflating is bounded elsewhere
            )
        except (urllib3.exceptions.HTTPError, BotoCoreError, ClientError, OSError, ValueError):
            # What fails again and again (a certificate that only the client knows) is not worth a try for each object.
            self._failures += 1
            self._off = self._off or self._failures >= _ENOUGH
            return None
        self._failures = 0
        if answer.status == 200 and "content-length" in answer.headers and "last-modified" in answer.headers:
            return answer
        answer.drain_conn()
        answer.release_conn()
        self._buckets.pop(ref.bucket, None)  # the client's next success says where it is now
        return None

    def learn(self, ref: ObjectRef) -> None:
        """Note where the client has just read this object, in this thread."""
        url, scope = getattr(self._seen, "request", ("", None))
        quoted = _quoted(ref.key)
        base = url.partition("?")[0]
        if scope and base.endswith(quoted):
            self._buckets[ref.bucket] = base.removesuffix(quoted), S3SigV4Auth(self._credentials, "s3", scope[1])

    def _remember(self, request: AWSPreparedRequest, **_: Any) -> None:
        """What the client sends; called by botocore for each of its requests."""
        header = request.headers.get("Authorization", "")
        text = header.decode("latin-1") if isinstance(header, bytes) else str(header)
        self._seen.request = request.url, _SCOPE.search(text)


def _quoted(key: str) -> str:
    return quote(key, safe="/~")
