"""Runs of the built functions: what stands around them (a local S3, a queue, an engine in memory), and what they run in.

`Container` is what `sam local invoke` starts, `tests.support.lambda_runtime.Emulator` the same runtime without a container.
Both get their settings from the `Stage`, and both are asked the same way: `invoke(payload)`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Protocol, Self

from generate import CONFIG_BUCKET
from stage import EVENTS, FUNCTIONS, Stage, function_of

from demo.storage import BUCKET, CREDENTIALS, QUARANTINE_BUCKET, REGION
from tests.support.building import load_template, write_template
from tests.support.lambda_runtime import Emulator, artefacts

ROOT = EVENTS.parent
HOST = "host.docker.internal"
"""This machine, for a program in a container."""
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower(), "x86_64")


class InvokeError(Exception):
    """A payload could not be run; says what to do."""


class Runtime(Protocol):
    """What the functions run in."""

    def invoke(self, payload: Path) -> Any:
        """The answer to the event in a file, of the function that it is for."""


def container_settings(settings: dict[str, str], address: str) -> dict[str, str]:
    """The settings as a program in a container needs them: this machine has another name there."""
    local = (f"http://{address}:", f"http://{HOST}:")
    return {name: value.replace(*local) for name, value in settings.items() if name not in ("NO_PROXY", "no_proxy")}


class Emulated:
    """The Lambda runtime without a container: AWS's interface emulator, one warm process of each function for all payloads."""

    def __init__(self, stage: Stage, build: Path) -> None:
        self._stage = stage
        self._built = artefacts(build)
        self._running = ExitStack()
        self._emulators: dict[str, Emulator] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._running.close()

    def invoke(self, payload: Path) -> Any:
        """The answer to the event in a file."""
        return self._of(function_of(payload)).invoke(json.loads(payload.read_text("utf-8")))

    def _of(self, function: str) -> Emulator:
        if function not in self._emulators:
            folder = Path(self._running.enter_context(TemporaryDirectory(prefix="audit-search-invoke-")))
            emulator = Emulator(self._built[function], self._stage.settings(function), folder)
            self._emulators[function] = self._running.enter_context(emulator)
        return self._emulators[function]

    @property
    def log(self) -> str:
        """What the functions wrote."""
        return "".join(emulator.log for emulator in self._emulators.values())


class Container:
    """`sam local invoke`: a container of AWS's own image for each payload.

    sam hands over only variables that the template names, and boto3 finds the local S3 by a variable that no deployed
    function has: the template in `folder` is the built one with this variable.
    """

    def __init__(self, stage: Stage, build: Path, folder: Path) -> None:
        template = load_template(build / "template.yaml")
        for resource in template["Resources"].values():
            for location in {"CodeUri", "ContentUri"} & set(resource.get("Properties", {})):
                resource["Properties"][location] = str((build / resource["Properties"][location]).resolve())
        variables = {}
        for function in FUNCTIONS.values():
            settings = container_settings(stage.settings(function), stage.address)
            environment = template["Resources"][function]["Properties"]["Environment"]
            added = {name: "" for name in settings if name == "AWS_ENDPOINT_URL" or name in environment["Variables"]}
            environment["Variables"] |= added
            variables[function] = {name: settings[name] for name in added}
        self.template, self.variables = folder / "template.yaml", folder / "env.json"
        write_template(template, self.template)
        self.variables.write_text(json.dumps(variables, indent=2), "utf-8")

    def command(self, payload: Path) -> list[str]:
        """The command line for the event in a file."""
        # A bucket's name is a part of the host's name, in boto3's eyes.
        hosts = [HOST, *(f"{bucket}.{HOST}" for bucket in (BUCKET, CONFIG_BUCKET, QUARANTINE_BUCKET))]
        return [
            *(str(ROOT / ".tools/sam/bin/sam"), "local", "invoke", function_of(payload)),
            *("--template", str(self.template), "--event", str(payload), "--env-vars", str(self.variables)),
            *("--region", REGION, "--parameter-overrides", f"Architecture={ARCHITECTURE}", "ConfigEvents=true"),
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
