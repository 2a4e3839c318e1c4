"""ministack as a stand-in for an AWS account: over TLS and with IAM enforced, so that a template is deployed as it is.

Over plain HTTP a policy that denies what is not TLS would deny the stand-in's own deliveries.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.building import free_port, tool

REGION = "eu-central-1"
ACCOUNT = "123456789012"


class Ministack:
    """A running ministack whose files are all in `folder`; stops when the `with` block ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.certificate, key = _certificate(folder)
        self._log = folder / "ministack.log"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CA_BUNDLE": str(self.certificate),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
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
            "MINISTACK_SSL_CERT": str(self.certificate),
            "MINISTACK_SSL_KEY": str(key),
            "USE_SSL": "1",
            "AUTH": "true",
            "AWS_CA_BUNDLE": str(self.certificate),  # the functions that it runs inherit it
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [tool("ministack", "ministack")], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def __enter__(self) -> Self:
        context = ssl.create_default_context(cafile=str(self.certificate))
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

    def client(self, service: Any) -> Any:
        """A boto3 client of a service."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            verify=str(self.certificate),
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def log(self) -> str:
        """The end of what it, and the functions that it ran, wrote."""
        return self._log.read_text("utf-8", "replace")[-6_000:]

    def _stop(self) -> None:
        # It has nothing to save, and takes its time to go when it is asked; its functions are in its process group.
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for the loopback address and its key, in two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ministack")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=7)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "ministack.crt", folder / "ministack.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
