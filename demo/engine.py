"""The engine: an embedded one (osmem) that the demo starts, or the reader's own; and its index template."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Any

import boto3
import osmem_server
from botocore.exceptions import BotoCoreError, ClientError
from opensearchpy import OpenSearch, TransportError
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import OpenSearchException

from audit_search import index_template
from audit_search.documents import TRAIL
from audit_search.errors import SettingsError
from audit_search.opensearch import authentication, client
from audit_search.settings import Settings
from demo.options import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping

_STARTS_WITHIN = 30.0


class EmbeddedEngine:
    """osmem on a free port of an address of this machine, in a process of its own.

    It has a process group of its own, so that Ctrl-C reaches it only through the demo. With `keep` it outlives the
    demo; without, it ends even when the demo is killed.
    """

    def __init__(self, *, keep: bool, address: str = "127.0.0.1") -> None:
        self.keep = keep
        self._listens_at = address
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id, 0 before the start."""
        return self._process.pid if self._process else 0

    def start(self) -> str:
        """Start it and give its address. Raises DemoError."""
        # A file, not a pipe: a kept engine must be able to write after the demo has gone.
        with tempfile.TemporaryFile() as output:
            self._process = _start(self._listens_at, self.keep, output)
            return self._address(self._process, output)

    def _address(self, process: subprocess.Popen[bytes], output: Any) -> str:
        deadline = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < deadline:
            # os.pread: reading moves no position, which the engine writes at.
            line, end, _ = os.pread(output.fileno(), 65_536, 0).partition(b"\n")
            if end:
                try:
                    return str(json.loads(line)["url"])
                except (ValueError, LookupError, TypeError):
                    break
            if process.poll() is not None:
                break
            time.sleep(0.005)
        raise DemoError(
            "The embedded engine (osmem) did not start.", "Use an engine of your own: OPENSEARCH_ENDPOINT=http://localhost:9200"
        )

    def stop(self) -> None:
        """End the process. Does nothing when it has ended already."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(address: str, keep: bool, output: Any) -> subprocess.Popen[bytes]:
    hint = "Use an engine of your own: OPENSEARCH_ENDPOINT=http://localhost:9200"
    try:
        command = [osmem_server.resolve_binary(), "-addr", f"{address}:0", "-no-stdin-watch"]
        if not keep:
            command += ["-parent-pid", str(os.getpid())]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except (osmem_server.OsmemError, OSError) as error:
        raise DemoError(f"The embedded engine cannot be started here: {error}.", hint) from error


class Engine:
    """An engine that answers; reached with the same client and log-in as the function uses."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Raises DemoError when the settings are wrong, or the engine is not reachable, refuses or is none."""
        try:
            settings = Settings.from_env(environ)
        except SettingsError as error:
            raise DemoError("The settings are not valid: " + "; ".join(error.problems) + ".") from error
        if settings.service == "aoss":
            raise DemoError(
                "OPENSEARCH_SERVICE=aoss is not for the demo, which refreshes and deduplicates.",
                "Give the address of a domain or of a cluster.",
            )
        self.endpoint = settings.endpoint
        self.prefix = settings.index_prefix
        self.alias = index_template.name(settings.index_prefix)
        self._auth = settings.auth
        try:
            self._client: OpenSearch = client(settings, auth=authentication(settings, boto3.Session()))
        except (BotoCoreError, ClientError, OpenSearchException, TypeError, ValueError) as error:
            raise DemoError(f"There is nothing to log in to {self.endpoint} with: {error}.", self._login_hint()) from error
        about = self._ask("GET", "/", timeout=10)
        version = about.get("version") if isinstance(about, dict) else None
        if not isinstance(version, dict) or "number" not in version:
            raise DemoError(f"What answers at {self.endpoint} is not OpenSearch.", "Check OPENSEARCH_ENDPOINT.")
        if "build_flavor" in version and version.get("distribution") != "opensearch":
            raise DemoError(
                f"What answers at {self.endpoint} is Elasticsearch {version['number']}, not OpenSearch.",
                "OpenSearch 2.19 or later is needed.",
            )
        self.version = str(version["number"])
        self.is_osmem = version.get("build_hash") == "osmem"

    @property
    def name(self) -> str:
        """What a person calls it."""
        if self.is_osmem:
            return f"osmem {osmem_server.__version__}, an embedded engine that speaks OpenSearch's language"
        return f"OpenSearch {self.version}"

    def prepare(self, family: str = TRAIL) -> str:
        """Put the index template of a family in place where it is absent or older, and say what was done. Raises DemoError."""
        name = index_template.name(self.prefix, family)
        path = f"/_index_template/{name}"
        wanted = index_template.definition(family)
        found = self._ask("GET", path, missing={"index_templates": []}).get("index_templates") or []
        done = "created"
        if found:
            theirs = found[0].get("index_template", {})
            if theirs.get("_meta", {}).get("managed_by") != wanted.get("_meta", {}).get("managed_by"):
                raise DemoError(
                    f"The engine has an index template {name!r} that is not Audit Search's.",
                    "Choose other names with INDEX_PREFIX=demo-",
                )
            version = theirs.get("version", 0)
            if isinstance(version, int) and version >= wanted["version"]:
                return f"index template {name!r}, version {version}, was there already and is left as it is"
            done = f"updated from version {version}"
        variant: dict[str, Any] = {"simple": True} if self.is_osmem else {}
        if not self.is_osmem and self._nodes() == 1:
            variant["replicas"] = 0  # a single node can never place a replica and would stay yellow
        self._ask("PUT", path, index_template.body(self.prefix, family, **variant))
        notes = "".join(
            note
            for note, holds in (
                (", with a simpler analyzer for this engine", "simple" in variant),
                (", without replicas on this single node", "replicas" in variant),
            )
            if holds
        )
        return f"index template {name!r}, version {wanted['version']}, {done}{notes}"

    def _nodes(self) -> int:
        health = self._ask("GET", "/_cluster/health", missing={})
        return int(health.get("number_of_data_nodes", 0))

    def answers(self) -> bool:
        """Whether the engine is still there."""
        try:
            self._ask("GET", "/", timeout=5)
        except DemoError:
            return False
        return True

    def refresh(self, family: str = TRAIL) -> None:
        """Make what was written findable now; engines do it by themselves only every few seconds."""
        name = index_template.name(self.prefix, family)
        self._ask("POST", f"/{name}/_refresh?ignore_unavailable=true&allow_no_indices=true", timeout=120)

    def search(self, body: dict[str, Any], family: str = TRAIL) -> dict[str, Any]:
        """Search all documents of a family of this prefix; none when there is no index yet."""
        name = index_template.name(self.prefix, family)
        answer = self._ask("POST", f"/{name}/_search?ignore_unavailable=true&allow_no_indices=true", body, timeout=120)
        return answer if isinstance(answer, dict) else {}

    def _ask(self, method: str, path: str, body: Any = None, *, missing: Any = None, timeout: float = 30) -> Any:
        """The answer as JSON; `missing`, where it is given, stands for a 404. Raises DemoError."""
        try:
            return self._client.transport.perform_request(method, path, params={"request_timeout": timeout}, body=body)
        except OpenSearchConnectionError as error:
            raise DemoError(
                f"No engine answers at {self.endpoint} ({_cause(error)}).",
                "Check OPENSEARCH_ENDPOINT, or leave it out to use the embedded engine.",
            ) from error
        except TransportError as error:
            if error.status_code == 404 and missing is not None:
                return missing
            hint = self._login_hint() if error.status_code in (401, 403) else "Check OPENSEARCH_ENDPOINT."
            reason = f": {error.error}" if error.error and str(error.error) != str(error.status_code) else ""
            raise DemoError(
                f"The engine at {self.endpoint} refuses {method} {path.partition('?')[0]} with HTTP {error.status_code}{reason}.",
                hint,
            ) from error
        except (BotoCoreError, ClientError, OpenSearchException, ValueError) as error:
            raise DemoError(
                f"What answers at {self.endpoint} is not OpenSearch ({type(error).__name__}).", "Check OPENSEARCH_ENDPOINT."
            ) from error

    def _login_hint(self) -> str:
        return {
            "aws": "OPENSEARCH_AUTH is aws: check that your AWS credentials may use this domain.",
            "basic": "OPENSEARCH_AUTH is basic: check OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD.",
        }.get(self._auth, "OPENSEARCH_AUTH is none: set it to aws, or to basic with OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD.")


def _cause(error: OpenSearchConnectionError) -> str:
    """The root of a chain of wrapped errors, in few words."""
    text = str(error.info if error.info else error)
    for sign, meaning in (
        ("Connection refused", "connection refused"),
        ("Name or service not known", "unknown host"),
        ("nodename nor servname", "unknown host"),
        ("Temporary failure in name resolution", "unknown host"),
        ("No address associated", "unknown host"),
        ("timed out", "no answer in time"),
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted; name its authority with REQUESTS_CA_BUNDLE"),
        ("WRONG_VERSION_NUMBER", "it does not speak https"),
        ("RemoteDisconnected", "it closed the connection; does it speak https?"),
        ("Connection reset", "connection reset"),
    ):
        if sign in text:
            return meaning
    return type(error.info or error).__name__
