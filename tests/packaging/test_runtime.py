"""The built function in the real Lambda runtime: AWS's interface emulator, awslambdaric, and nothing to import but its layers."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.building import ARCHITECTURE, ROOT, free_port, missing, tool

LAYERS = ("AuditSearchLayer", "DependenciesLayer")

Invoke = Callable[..., Any]


def event(name: str) -> dict[str, Any]:
    """A payload of `events/`."""
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))
    return loaded


@pytest.fixture
def invoke(build: Path, tools: Path, tmp_path: Path) -> Iterator[Invoke]:
    """`invoke(payload, layers=...)` cold-starts the built function, gives it one event and gives its answer back."""
    if platform.system() != "Linux":
        missing("Linux is needed to run the Lambda runtime interface emulator, which AWS builds for nothing else")
    emulator = next((ROOT / ".tools/sam/lib").glob(f"python*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}"))
    processes: list[subprocess.Popen[bytes]] = []

    def start(payload: object, layers: tuple[str, ...] = LAYERS) -> Any:
        port, api, nobody = free_port(), free_port(), free_port()
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{nobody}",
            "AWS_MAX_ATTEMPTS": "1",
            "LAMBDA_TASK_ROOT": str(build / "CloudTrailFunction"),
            "LAYERS": os.pathsep.join(str(build / layer / "python") for layer in layers),
            "AWS_LAMBDA_FUNCTION_NAME": "cloudtrail",
            "AWS_LAMBDA_FUNCTION_HANDLER": "app.lambda_handler",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "300",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "OPENSEARCH_ENDPOINT": f"http://127.0.0.1:{nobody}",
            "OPENSEARCH_AUTH": "none",
            "ALLOWED_BUCKETS": "trail-bucket",
            "QUARANTINE_BUCKET": "quarantine-bucket",
        }
        command: list[str | Path] = [emulator, "--log-level", "error"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{api}"]
        command += [tool("runtime", "python"), Path(__file__).with_name("rie_bootstrap.py")]
        with (tmp_path / "emulator.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=build / "CloudTrailFunction", stdout=log, stderr=log, start_new_session=True
            )
        processes.append(process)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations", json.dumps(payload).encode()
        )
        while True:
            assert process.poll() is None, (tmp_path / "emulator.log").read_text("utf-8")
            try:
                with urllib.request.urlopen(request, timeout=300) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:  # 502: the handler's module could not be loaded
                return json.load(error)
            except urllib.error.URLError as error:
                if not isinstance(error.reason, ConnectionRefusedError):
                    raise
                time.sleep(0.02)  # it does not listen yet

    yield start
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_direct_test_event_is_counted_as_skipped(invoke: Invoke) -> None:
    """The function starts from its layers alone and answers S3's test event with a summary of one skipped object."""
    answer = invoke(event("s3_test_event"))
    assert "errorType" not in answer, answer
    assert (answer["read"], answer["skipped_objects"], answer["failed_objects"]) == (0, 1, 0)


def test_a_message_of_no_known_shape_returns_to_its_queue(invoke: Invoke) -> None:
    """In a batch only the messages of no known shape fail; that of a test event beside them is done."""
    unknown = event("unknown_shape_in_sqs")["Records"][1:]
    answer = invoke({"Records": [*event("s3_test_event_in_sqs")["Records"], *unknown]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in unknown]}


def test_a_dependency_that_is_not_in_the_layer_is_noticed(invoke: Invoke) -> None:
    """Nothing outside the layers stands in for what is missing in them: without the third parties the function cannot start."""
    answer = invoke(event("s3_test_event"), layers=LAYERS[:1])
    assert answer["errorType"] == "Runtime.ImportModuleError", answer
