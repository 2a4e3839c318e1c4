"""The command `audit-search` in tests: run in this process, with an environment that holds nothing of this machine."""

from __future__ import annotations

import datetime
import io
import json
import os
import ssl
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audit_search_cli.main import main
from tests.support.aws import ENVIRONMENT, QUARANTINE, REGION, Aws

_OF_PROXIES = ("HTTP", "http", "NO_PROXY", "no_proxy")
_OF_THIS_MACHINE = ("AWS_", "OPENSEARCH_", "DASHBOARDS", "REQUESTS_", "SSL_", "INDEX_", "COLUMNS", *_OF_PROXIES)
_SETTINGS = ("RETENTION_DAYS", "DOCUMENT_SHAPE", "REFRESH_INTERVAL", "SHARDS", "REPLICAS", "DOMAIN_ADMIN_ROLE_ARN")
_CALLERS = ("WRITER_ROLE_ARNS", "VERIFIER_ROLE_ARNS", "ADMIN_ROLE_ARNS", "ANALYST_ROLE_ARNS")


@dataclass(frozen=True)
class Run:
    """What a run of the command gave."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line of an error, without `Error: `."""
        assert self.err.startswith("Error: "), self
        assert self.err.count("\n") == 1, self
        assert self.out == "", self
        return self.err.removeprefix("Error: ").rstrip("\n")


def run(*arguments: str, env: Mapping[str, str] = ENVIRONMENT) -> Run:
    """Run the command. Only `env` and what is no matter of AWS or the engine is in its environment."""
    foreign = {name for name in os.environ if name.startswith(_OF_THIS_MACHINE)} | {*_SETTINGS, *_CALLERS}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    environment: dict[str, str | None] = {**dict.fromkeys(foreign), **nothing, **env}
    result = CliRunner().invoke(main, list(arguments), env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Run(result.exit_code, result.stdout, result.stderr)


@dataclass(frozen=True)
class Asked:
    """A request as it arrived, with what TLS asked for (None over plain HTTP)."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    server_name: str | None = None


Answers = Callable[[Asked], tuple[int, Any]]


@dataclass
class ScriptedEngine:
    """A server that gives what `answers` says (a text as it is, anything else as JSON); over TLS where it has a certificate.

    `asked` are the requests in order.
    """

    answers: Answers
    certificate: tuple[Path, Path] | None = None
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        names: dict[Any, str | None] = {}
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(self.command, self.path, dict(self.headers.items()), body, names.get(self.connection))
                engine.asked.append(asked)
                status, answer = engine.answers(asked)
                text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
                pass

            do_GET = do_PUT = do_POST = do_DELETE = reply  # noqa: N815  # the names http.server looks for

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing: a client that goes away is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if self.certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.certificate)

            def remember(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
                names[connection] = name

            context.sni_callback = remember
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def deploy(aws: Aws, name: str, resources: dict[str, Any], outputs: dict[str, Any]) -> None:
    """Make a stack in the stand-in, of resources and outputs as a template has them."""
    session = boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    cloudformation = session.client("cloudformation", endpoint_url=aws.endpoint)
    template = {"Resources": resources, "Outputs": {key: {"Value": value} for key, value in outputs.items()}}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))


def function_resources(aws: Aws, variables: Mapping[str, str], *names: str) -> dict[str, Any]:
    """The resources of functions with these variables, each by its name in the template, and of their role."""
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as package:
            package.writestr("app.py", "def lambda_handler(event, context): pass\n")
        aws.put(buffer.getvalue(), "code.zip", QUARANTINE)
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    function = {
        "Runtime": "python3.13",
        "Handler": "app.lambda_handler",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Code": {"S3Bucket": QUARANTINE, "S3Key": "code.zip"},
        "Environment": {"Variables": dict(variables)},
    }
    role = {"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}}
    return role | {name: {"Type": "AWS::Lambda::Function", "Properties": function} for name in names}


def deploy_function(aws: Aws, name: str, variables: Mapping[str, str], outputs: dict[str, Any]) -> None:
    """Make a stack whose CloudTrailFunction has these variables, and these outputs."""
    deploy(aws, name, function_resources(aws, variables, "CloudTrailFunction"), outputs)


def certificate_for(name: str, folder: Path, days: int = 60) -> tuple[Path, Path]:
    """A self-signed certificate for one DNS name and its key, in two files; valid for so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=days)
    serial = x509.random_serial_number()
    built = x509.CertificateBuilder(subject, subject, key.public_key(), serial, now - datetime.timedelta(days=90), until)
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    signed = built.add_extension(names, critical=False).sign(key, hashes.SHA256())
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files[1].write_bytes(private)
    return files
