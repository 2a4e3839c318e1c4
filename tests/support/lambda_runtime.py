"""A built function in the real Lambda runtime: AWS's interface emulator and awslambdaric, with nothing to import but its layers.

The emulator is the program that stands in AWS's own base images between the Invoke API and the runtime; sam brings it. It
keeps a container warm between invocations, ends it when its time is over and makes a new one for the next event, as Lambda
does::

    with Emulator(artefacts(build)["CloudTrailFunction"], settings, tmp_path) as function:
        answer = function.invoke(event)

Needs Linux and the environments `.tools/sam` and `.tools/runtime`, which `make tools-ready` makes.
https://github.com/aws/aws-lambda-runtime-interface-emulator
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = Path(__file__).with_name("lambda_bootstrap.py")
_PROCESSORS = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_TIMED_OUT = "Task timed out after"
_PATH = "2015-03-31/functions/function/invocations"


class LambdaTimeoutError(Exception):
    """The function's time was over: its container was killed, and there is no answer."""


class EmulatorError(Exception):
    """The emulator cannot be started here, or ended; says what to do, or what it wrote."""


@dataclass(frozen=True)
class Artefact:
    """A function as `sam build` made it, with its layers: folders, in the order in which Lambda unpacks them."""

    folder: Path
    layers: tuple[Path, ...]
    handler: str = "app.lambda_handler"

    @property
    def path(self) -> list[str]:
        """What Lambda puts on the path: the function first, then what the layers have below `python`."""
        return [str(self.folder), *(str(layer / "python") for layer in self.layers)]


def artefacts(build: Path) -> dict[str, Artefact]:
    """Every function of a build by its logical id, each with all layers: the template's Globals give them to all."""
    layers = tuple(sorted(folder.parent.resolve() for folder in build.glob("*/python")))
    return {path.parent.name: Artefact(path.parent.resolve(), layers) for path in sorted(build.glob("*/app.py"))}


def environment(artefact: Artefact, settings: Mapping[str, str]) -> dict[str, str]:
    """What a function finds in its environment in Lambda: nothing of this machine's; `settings` replace or add.

    AWS is an address where nobody listens, unless the settings say otherwise.
    """
    nobody = f"http://127.0.0.1:{free_port()}"
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONDONTWRITEBYTECODE": "1",  # /opt and /var/task are read-only
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": nobody,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_LAMBDA_FUNCTION_HANDLER": artefact.handler,
        "LAMBDA_TASK_ROOT": str(artefact.folder),
        "OPENSEARCH_ENDPOINT": nobody,
        "OPENSEARCH_AUTH": "none",
        "ALLOWED_BUCKETS": "trail-bucket",
        "QUARANTINE_BUCKET": "quarantine-bucket",
        **settings,
    }


@dataclass
class Emulator:
    """One function's container while the `with` block lasts; `timeout` in seconds. Nothing is started before it is invoked.

    Raises EmulatorError where the runtime cannot run.
    """

    artefact: Artefact
    settings: Mapping[str, str]
    folder: Path
    """Where the log goes; the function's HOME."""
    timeout: int = 300
    memory: int = 1769
    _port: int = field(default_factory=lambda: free_port(), init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        variables = {
            **environment(self.artefact, self.settings),
            "HOME": str(self.folder),
            "LAMBDA_PATH": os.pathsep.join(self.artefact.path),
            "AWS_LAMBDA_FUNCTION_NAME": self.artefact.folder.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self.timeout),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory),
        }
        command: list[str | Path] = [emulator_program(), "--log-level", "error"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{self._port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{free_port()}", runtime_python(), BOOTSTRAP]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=variables,
                cwd=self.artefact.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is None:
            return
        self._process.terminate()  # it ends the runtime, which has a process group of its own
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            for process in (*self.processes, self._process.pid):
                os.kill(process, signal.SIGKILL)
            self._process.wait()

    def invoke(self, payload: object) -> Any:
        """The function's parsed answer to one event; for what it raised, an object with `errorType` and `errorMessage`.

        Raises LambdaTimeoutError.
        """
        url = f"http://127.0.0.1:{self._port}/{_PATH}"
        body = self._answer(urllib.request.Request(url, json.dumps(payload).encode()))
        if body.startswith(_TIMED_OUT.encode()):
            raise LambdaTimeoutError(body.decode())
        return json.loads(body)

    def _answer(self, request: urllib.request.Request) -> bytes:
        while True:
            if self._process is None or self._process.poll() is not None:
                raise EmulatorError(f"the emulator is not running; it wrote:\n{self.log}")
            try:
                with urllib.request.urlopen(request, timeout=self.timeout + 60) as answer:
                    return bytes(answer.read())
            except urllib.error.HTTPError as error:  # 502: the handler's module could not be loaded
                return bytes(error.read())
            except urllib.error.URLError as error:
                if not isinstance(error.reason, ConnectionRefusedError):
                    raise
                time.sleep(0.02)  # it does not listen yet

    @property
    def processes(self) -> list[int]:
        """The process ids of the runtime: one while a container is warm, none before the first event and after a timeout."""
        if self._process is None:
            return []
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/children")
        return sorted({int(child) for task in tasks for child in task.read_text().split()})

    @property
    def log(self) -> str:
        """What the function, and the emulator around it, have written."""
        return self._log.read_text("utf-8", "replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The structured lines of the log."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @property
    def _log(self) -> Path:
        return self.folder / f"{self.artefact.folder.name}.log"


def emulator_program() -> Path:
    """AWS's emulator for this machine's processor. Raises EmulatorError."""
    if platform.system() != "Linux":
        raise EmulatorError("Linux is needed to run the Lambda runtime interface emulator, which AWS builds for nothing else")
    name = f"aws-lambda-rie-{_PROCESSORS.get(platform.machine().lower(), 'unknown')}"
    found = next((ROOT / ".tools/sam/lib").glob(f"python*/site-packages/samcli/local/rapid/{name}"), None)
    if found is None:
        raise EmulatorError(f"{name} is not below .tools/sam: `make tools-ready` makes it")
    return found


def runtime_python() -> Path:
    """The Python with what the managed runtime brings: awslambdaric and boto3. Raises EmulatorError."""
    python = ROOT / ".tools/runtime/bin/python"
    if not python.exists():
        raise EmulatorError(f"{python.relative_to(ROOT)} is missing: `make tools-ready` makes it")
    return python


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def without(artefact: Artefact, layers: Sequence[str]) -> Artefact:
    """The function without some of its layers."""
    return Artefact(artefact.folder, tuple(one for one in artefact.layers if one.name not in layers), artefact.handler)
