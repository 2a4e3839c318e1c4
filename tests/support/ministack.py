"""ministack as a stand-in for an AWS account: over TLS and with IAM enforced, so that a template is deployed as it is.

Over plain HTTP a policy that denies what is not TLS would deny the stand-in's own deliveries.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3

from tests.support.building import free_port, tool
from tests.support.fault_proxy import HOP_BY_HOP
from tests.support.tls import Answer, Certificate, Request, TlsServer

REGION = "eu-central-1"
ACCOUNT = "123456789012"


class Ministack:
    """A running ministack whose files are all in `folder`; stops when the `with` block ends.

    `domains` is the host and port that every OpenSearch domain made there has for its endpoint.
    """

    def __init__(self, folder: Path, certificate: Certificate, domains: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.certificate = certificate
        self.handles = ReceiptHandles(self)
        self._log = folder / "ministack.log"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            **certificate.environment,
        }
        """What a program needs in its environment to take this for AWS."""
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_SSL_CERT": str(certificate.certificate),
            "MINISTACK_SSL_KEY": str(certificate.key),
            "MINISTACK_OPENSEARCH_ENDPOINT": domains,
            "USE_SSL": "1",
            "AUTH": "true",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # What follows is for the functions that it runs, which inherit it.
            "AWS_ENDPOINT_URL_SQS": self.handles.endpoint,
            **certificate.environment,
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [tool("ministack", "ministack")], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def __enter__(self) -> Self:
        context = self.certificate.trusting()
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/_ministack/health", context=context, timeout=10):
                    return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._stop()
                    raise AssertionError("ministack did not start:\n" + self.log()) from None
                time.sleep(0.05)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def client(self, service: Any, region: str = REGION, account: str = "test") -> Any:
        """A boto3 client of a service, with all rights; `account` may be the number of another one."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            verify=str(self.certificate.certificate),
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="test",
        )

    def forward(self, request: Request, extra: Mapping[str, str] | None = None) -> Answer:
        """Its answer to a request that was made to somebody else, signature and all; `extra` headers are not signed."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.certificate.trusting(), timeout=120)
        with contextlib.closing(connection):
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
            for name, value in {**headers, **(extra or {}), "content-length": str(len(request.body))}.items():
                connection.putheader(name, value)
            connection.endheaders(request.body)
            answer = connection.getresponse()
            text = answer.read()
        return answer.status, {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}, text

    def log(self) -> str:
        """The end of what it and its functions wrote, without traces of connections that were not closed politely."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return "\n".join(line[:1_000] for line in lines if line.startswith(("20", "{")) and "[asyncio]" not in line)[-6_000:]

    def _stop(self) -> None:
        # It has nothing to save, and takes its time to go when it is asked; its functions are in its process group.
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.handles.close()


@dataclass(frozen=True)
class Postponed:
    """A message that a function sent back to its queue, not to come again for some seconds."""

    queue: str
    region: str
    handle: str
    seconds: int


class ReceiptHandles:
    """Stands before SQS for the functions alone, and notes each message that they postpone: only who received a message can
    change when it comes again, and a test does not wait for half an hour."""

    def __init__(self, aws: Ministack) -> None:
        self._aws = aws
        self._server = TlsServer(aws.certificate, self._answer)
        self.postponed: list[Postponed] = []
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self.endpoint = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def of(self, queue: str) -> list[Postponed]:
        """What was postponed in a queue (the end of its URL), in order."""
        with self._lock:
            return [one for one in self.postponed if one.queue.endswith(queue)]

    def release(self, queue: str) -> int:
        """Make the postponed messages of a queue visible at once; gives how many."""
        released = 0
        for one in self.of(queue):
            if one.handle not in self._used:
                self._used.add(one.handle)
                client = self._aws.client("sqs", one.region)
                # A handle that has been replaced by a later delivery says so, and that delivery is noted as well.
                with contextlib.suppress(client.exceptions.ClientError):
                    client.change_message_visibility(QueueUrl=one.queue, ReceiptHandle=one.handle, VisibilityTimeout=0)
                    released += 1
        return released

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: Request) -> Answer:
        answer = self._aws.forward(request)
        if request.headers.get("x-amz-target", "").endswith(".ChangeMessageVisibilityBatch") and answer[0] == 200:
            asked = json.loads(request.body)
            region = request.headers["authorization"].split("/")[2]
            queue, entries = asked["QueueUrl"], asked["Entries"]
            with self._lock:
                self.postponed += [Postponed(queue, region, one["ReceiptHandle"], one["VisibilityTimeout"]) for one in entries]
        return answer
