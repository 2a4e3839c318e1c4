"""Runs of the built CloudTrail function: what stands around it (a local S3, an engine in memory), and what it runs in.

`Container` is what `sam local invoke` starts, `tests.support.lambda_runtime.Emulator` the same runtime without a container.
Both get their settings from the `Stage`, and both are asked the same way: `invoke(name)`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import boto3

from demo import hits
from demo.engine import EmbeddedEngine, Engine
from demo.function import environment
from demo.inputs import samples
from demo.storage import BUCKET, CREDENTIALS, QUARANTINE_BUCKET, REGION, LocalS3
from tests.support.building import load_template, write_template
from tests.support.lambda_runtime import Emulator, artefacts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVENTS = Path(__file__).parent
ROOT = EVENTS.parent
FUNCTION = "CloudTrailFunction"
HOST = "host.docker.internal"
"""This machine, for a program in a container."""
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower(), "x86_64")
SHOWN = ("eventTime", "eventName", "ct.outcome")
"""The fields of a document that the expected outcomes name; all others are in their digest."""


class InvokeError(Exception):
    """A payload could not be run; says what to do."""


class Runtime(Protocol):
    """What the function runs in."""

    def invoke(self, payload: Path) -> Any:
        """The function's parsed answer to the event in a file."""


class Stage:
    """A local S3 that holds the sample objects, and an engine in memory with the index template, while the `with` block lasts.

    `address` is where both listen. Raises DemoError.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._address = address
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            embedded = EmbeddedEngine(keep=False, address=self._address)
            starting.callback(embedded.stop)
            endpoint = embedded.start()
            storage = LocalS3(self._address)
            starting.callback(storage.stop)
            self.settings = environment({"OPENSEARCH_AUTH": "none"}, endpoint=endpoint, s3_endpoint=storage.endpoint)
            storage.prepare()
            for entry in samples():
                storage.put(entry)
            self._storage = storage
            self._engine = Engine(self.settings)
            self._engine.prepare()
            self._running = starting.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._running.close()

    @property
    def container_settings(self) -> dict[str, str]:
        """The settings as a program in a container needs them: this machine has another name there."""
        local = (f"http://{self._address}:", f"http://{HOST}:")
        return {name: value.replace(*local) for name, value in self.settings.items() if name not in ("NO_PROXY", "no_proxy")}

    def clear(self) -> None:
        """Forget what was indexed and quarantined; the sample objects and the index template stay."""
        for index in {hit["_index"] for hit in self._hits()}:
            request = urllib.request.Request(f"{self._engine.endpoint}/{index}", method="DELETE")
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        s3: S3Client = boto3.client(
            "s3",
            endpoint_url=self._storage.endpoint,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        for entry in s3.list_objects_v2(Bucket=QUARANTINE_BUCKET).get("Contents", []):
            s3.delete_object(Bucket=QUARANTINE_BUCKET, Key=entry["Key"])

    def outcome(self, answer: Any) -> dict[str, Any]:
        """What is there after an invocation: the answer, each document by its id, and what lies in quarantine."""
        found = sorted(self._hits(), key=lambda hit: str(hit["_id"]))
        digest = hashlib.sha256()
        for hit in found:
            digest.update(json.dumps([hit["_id"], _lasting(hit["_source"])], sort_keys=True).encode())
        return {
            "answer": {name: value for name, value in answer.items() if name not in ("requestId", "stackTrace")},
            "documents": {
                hit["_id"]: {
                    "_index": hit["_index"],
                    **{name: value for name in SHOWN if (value := hits.field(hit["_source"], name)) is not None},
                }
                for hit in found
            },
            "documents_sha256": digest.hexdigest(),
            "quarantined": sorted(
                [{"key": entry.key, "position": entry.position, "type": entry.type} for entry in self._storage.quarantined()],
                key=lambda entry: (str(entry["key"]), entry["position"] or 0),
            ),
        }

    def _hits(self) -> list[dict[str, Any]]:
        self._engine.refresh()
        answer = self._engine.search({"query": {"match_all": {}}, "size": 10_000})
        found: list[dict[str, Any]] = answer.get("hits", {}).get("hits", [])
        return found


def _lasting(source: Mapping[str, Any]) -> dict[str, Any]:
    """A document without the time at which it was made."""
    return {**source, "ct": {name: value for name, value in source["ct"].items() if name != "ingestTime"}}


class Emulated:
    """The Lambda runtime without a container: AWS's interface emulator, one warm process for all payloads."""

    def __init__(self, stage: Stage, build: Path) -> None:
        self._folder = TemporaryDirectory(prefix="audit-search-invoke-")
        self._emulator = Emulator(artefacts(build)[FUNCTION], stage.settings, Path(self._folder.name))

    def __enter__(self) -> Self:
        self._emulator.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._emulator.__exit__(kind, error, trace)
        self._folder.cleanup()

    def invoke(self, payload: Path) -> Any:
        """The answer to the event in a file."""
        return self._emulator.invoke(json.loads(payload.read_text("utf-8")))

    @property
    def log(self) -> str:
        """What the function wrote."""
        return self._emulator.log


class Container:
    """`sam local invoke`: a container of AWS's own image for each payload.

    sam hands over only variables that the template names, and boto3 finds the local S3 by a variable that no deployed
    function has: the template in `folder` is the built one with this variable.
    """

    def __init__(self, stage: Stage, build: Path, folder: Path) -> None:
        settings = stage.container_settings
        template = load_template(build / "template.yaml")
        for resource in template["Resources"].values():
            for location in {"CodeUri", "ContentUri"} & set(resource.get("Properties", {})):
                resource["Properties"][location] = str((build / resource["Properties"][location]).resolve())
        own = template["Resources"][FUNCTION]["Properties"]["Environment"]["Variables"]
        added = {name: "" for name in settings if name == "AWS_ENDPOINT_URL" or name in own}
        template["Resources"][FUNCTION]["Properties"]["Environment"]["Variables"] = {**own, **added}
        self.template, self.variables = folder / "template.yaml", folder / "env.json"
        write_template(template, self.template)
        self.variables.write_text(json.dumps({FUNCTION: {name: settings[name] for name in added}}, indent=2), "utf-8")

    def command(self, payload: Path) -> list[str]:
        """The command line for the event in a file."""
        # A bucket's name is a part of the host's name, in boto3's eyes.
        hosts = [HOST, *(f"{bucket}.{HOST}" for bucket in (BUCKET, QUARANTINE_BUCKET))]
        return [
            *(str(ROOT / ".tools/sam/bin/sam"), "local", "invoke", FUNCTION),
            *("--template", str(self.template), "--event", str(payload), "--env-vars", str(self.variables)),
            *("--region", REGION, "--parameter-overrides", f"Architecture={ARCHITECTURE}"),
            *(part for host in hosts for part in ("--add-host", f"{host}:host-gateway")),
        ]

    def invoke(self, payload: Path) -> Any:
        """The answer to the event in a file. Raises InvokeError."""
        # The reader's own credentials have no business in the container.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        variables = {**kept, **CREDENTIALS, "AWS_CONFIG_FILE": os.devnull, "SAM_CLI_TELEMETRY": "0"}
        result = subprocess.run(self.command(payload), env=variables, capture_output=True, text=True, check=False)
        lines = [line for line in result.stdout.splitlines() if line.strip()]
        if result.returncode or not lines:
            raise InvokeError(f"sam local invoke failed:\n{result.stderr[-3_000:]}")
        return json.loads(lines[-1])


def container_runtime() -> bool:
    """Whether `docker info` has an answer."""
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([str(docker), "info"], capture_output=True, check=False).returncode == 0


def address_for_containers() -> str:
    """Where a server of this machine has to listen to be reached from a container.

    On Linux that is the gateway of docker's bridge; Docker Desktop leads its containers to the loopback address.
    """
    docker = shutil.which("docker")
    if not docker:
        return "127.0.0.1"
    asked = [docker, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    gateway = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    try:
        with socket.socket() as probe:
            probe.bind((gateway or "127.0.0.1", 0))
    except OSError:
        return "127.0.0.1"
    return gateway or "127.0.0.1"
