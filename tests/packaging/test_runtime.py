"""The built functions in the real Lambda runtime: cold, warm, at the end of their time, and without what they need."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from osmem_server import OsmemServer

from audit_search import index_template
from tests.support.aws import Aws, Stored, failures, record, records, s3_event
from tests.support.building import ROOT, load_template, missing
from tests.support.bulk_endpoint import BulkEndpoint
from tests.support.engines import TestEngine
from tests.support.fault_proxy import Drip, Hold, Pass
from tests.support.lambda_runtime import (
    Emulator,
    EmulatorError,
    LambdaTimeoutError,
    artefacts,
    emulator_program,
    without,
)

FUNCTIONS = sorted(
    name for name, resource in load_template()["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
)
CLOUDTRAIL = "CloudTrailFunction"

ODD: dict[str, dict[str, Any]] = {
    CLOUDTRAIL: {
        "errorType": "ReturnedError",
        "errorMessage": "Not a notification of a kind that is known: an object with the keys odd. Expected S3, SNS, SQS, "
        "EventBridge 'Object Created' or CloudTrail's own SNS message.",
    },
    "ConfigFunction": {"errorType": "ReturnedError"},  # it may hold an item, and no engine answers
    "CausesFunction": {"errorType": "IndexTemplateError"},  # nor does it look at its event, and no engine answers
    "SetupFunction": {
        "errorType": "ValueError",
        "errorMessage": "this function answers CloudFormation: the event has no ResponseURL",
    },
    "VerifyFunction": {
        "MissingFiles": 0,
        "ChangedFiles": 0,
        "InvalidDigests": 0,
        "UnreadFiles": 0,
    },  # it does not look at its event
    "WatchFunction": {"digest_age_seconds": {"trail-bucket": None}},  # nor does it
}
"""What each function makes of an event that is none of its own."""

Start = Callable[..., Emulator]


def event(name: str) -> dict[str, Any]:
    """A payload of `events/`."""
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))
    return loaded


@pytest.fixture
def start(build: Path, tmp_path: Path) -> Iterator[Start]:
    """`start(name)` gives the container of a built function; `settings` are its environment."""
    try:
        emulator_program()
    except EmulatorError as error:
        missing(str(error))
    with ExitStack() as running:

        def begin(
            name: str = CLOUDTRAIL, settings: dict[str, str] | None = None, *, timeout: int = 300, less: tuple[str, ...] = ()
        ) -> Emulator:
            artefact = without(artefacts(build)[name], less)
            return running.enter_context(Emulator(artefact, settings or {}, tmp_path, timeout=timeout))

        yield begin


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """moto's server."""
    with Aws() as running:
        yield running


@pytest.fixture
def s3(aws: Aws) -> Aws:
    """moto's server with nothing in it but the two buckets."""
    aws.clear()
    return aws


@pytest.fixture
def engine() -> Iterator[BulkEndpoint]:
    """A stand-in for the engine, with the index template, whose bulk requests can go wrong."""
    with BulkEndpoint() as running:
        running.templates[index_template.name("")] = index_template.body("")
        yield running


def settings(aws: Aws, endpoint: str, **more: str) -> dict[str, str]:
    """The environment of a function before moto and an engine."""
    return {**aws.environment, "AWS_REGION": "eu-central-1", "OPENSEARCH_ENDPOINT": endpoint, **more}


class Recorder:
    """Takes what is PUT to it, as the address that CloudFormation gives a custom resource does."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response_only(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/answer"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class Poller:
    """A queue of one message per object, and what Lambda's poller does with it: what an answer does not name is deleted.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    def __init__(self, aws: Aws, *objects: Stored) -> None:
        self._aws = aws
        self._queue = aws.queue()
        self._handed_out: dict[str, str] = {}
        for stored in objects:
            aws.sqs.send_message(QueueUrl=self._queue.url, MessageBody=json.dumps(s3_event(stored)))
        self.waiting = len(objects)

    def deliver(self, function: Emulator) -> dict[str, Any] | None:
        """Receive everything and invoke; gives the answer, None where the function's time was over: nothing is deleted then."""
        received = self._aws.poll(self._queue, self.waiting)
        self._handed_out = {message["messageId"]: message["receiptHandle"] for message in received["Records"]}
        try:
            answer: dict[str, Any] = function.invoke(received)
        except LambdaTimeoutError:
            return None
        for done in set(self._handed_out) - set(failures(answer)):
            self._aws.sqs.delete_message(QueueUrl=self._queue.url, ReceiptHandle=self._handed_out.pop(done))
        self.waiting = len(self._handed_out)
        return answer

    def visibility_is_over(self) -> None:
        """What was handed out and not deleted can be received again, as it is when its time is over."""
        for handle in self._handed_out.values():
            self._aws.sqs.change_message_visibility(QueueUrl=self._queue.url, ReceiptHandle=handle, VisibilityTimeout=0)

    @property
    def left(self) -> int:
        """Messages that the queue still has, those that nobody can see included."""
        found = self._aws.sqs.get_queue_attributes(QueueUrl=self._queue.url, AttributeNames=["All"])["Attributes"]
        counts = (found["ApproximateNumberOfMessages"], found["ApproximateNumberOfMessagesNotVisible"])
        return sum(map(int, counts))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_its_layers_and_its_handler(build: Path, name: str) -> None:
    """What the harness puts on the path is what the built template gives the function, in its order."""
    built = load_template(build / "template.yaml")
    every, own = built.get("Globals", {}).get("Function", {}), built["Resources"][name]["Properties"]
    found = {**every, **own}
    artefact = artefacts(build)[name]
    assert (build / found["CodeUri"]).resolve() == artefact.folder
    assert [layer["Ref"] for layer in found["Layers"]] == [layer.name for layer in artefact.layers]
    assert (found["Handler"], found["Runtime"]) == (artefact.handler, "python3.13")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_starts_from_its_layers(start: Start, s3: Aws, name: str) -> None:
    """An event that means nothing gets a clear answer: no function fails for what cannot be imported."""
    answer = start(name, settings(s3, "http://127.0.0.1:9")).invoke({"odd": ["event"]})
    assert {field: answer.get(field) for field in ODD[name]} == ODD[name], answer


def test_the_set_up_finds_all_that_it_imports(start: Start, engine: BulkEndpoint) -> None:
    """What the set-up imports only when it works is in the layers too: it tells CloudFormation that settings are missing."""
    with Recorder() as cloudformation:
        answer = start("SetupFunction").invoke(
            {
                "RequestType": "Create",
                "ResponseURL": cloudformation.url,
                "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/audit/1",
                "RequestId": "1",
                "LogicalResourceId": "DomainSetup",
                "ResourceProperties": {"OPENSEARCH_ENDPOINT": engine.endpoint, "OPENSEARCH_AUTH": "none"},
            }
        )
    assert answer is None
    assert [body["Status"] for body in cloudformation.bodies] == ["FAILED"]
    assert "BACKUP_BUCKET is missing" in cloudformation.bodies[0]["Reason"]


def test_a_direct_test_event_is_counted_as_skipped(start: Start) -> None:
    """The function answers S3's test event with a summary of one skipped object."""
    answer = start().invoke(event("s3_test_event"))
    assert "errorType" not in answer, answer
    assert (answer["read"], answer["skipped_objects"], answer["failed_objects"]) == (0, 1, 0)


def test_a_message_of_no_known_shape_returns_to_its_queue(start: Start) -> None:
    """In a batch only the messages of no known shape fail; that of a test event beside them is done."""
    unknown = event("unknown_shape_in_sqs")["Records"][1:]
    answer = start().invoke({"Records": [*event("s3_test_event_in_sqs")["Records"], *unknown]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in unknown]}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_dependency_that_is_not_in_the_layer_is_noticed(start: Start, name: str) -> None:
    """Nothing outside the layers stands in for what is missing in them: without the third parties no function works."""
    with Recorder() as cloudformation:
        payload = {"RequestType": "Create", "ResponseURL": cloudformation.url}
        answer = start(name, less=("DependenciesLayer",)).invoke(payload)
    if name == "SetupFunction":  # it imports where it can still answer CloudFormation
        assert "ModuleNotFoundError: No module named" in cloudformation.bodies[0]["Reason"]
    else:
        assert answer["errorType"] == "Runtime.ImportModuleError", answer


def test_a_warm_container_is_used_again(start: Start, s3: Aws) -> None:
    """Twenty invocations with work to do run in one process, and every record of theirs is a document in the engine."""
    with OsmemServer.start() as running:
        engine = TestEngine(running.url, real=False)
        engine.install()
        function = start(settings=settings(s3, running.url, INDEX_PREFIX=engine.prefix))
        processes = set()
        for number in range(20):
            stored = s3.put_records(records(30, f"r{number}-"))
            answer = function.invoke(s3_event(stored))
            assert (answer["read"], answer["indexed"]) == (30, 30), answer
            processes.add(tuple(function.processes))
        engine.refresh()
        assert engine.found("*") == {f"r{number}-{record}" for number in range(20) for record in range(30)}
    assert len(processes) == 1
    assert len(processes.pop()) == 1


def test_a_container_that_is_killed_in_the_middle_of_a_batch_loses_nothing(start: Start, s3: Aws, engine: BulkEndpoint) -> None:
    """An answer that drips in keeps it until Lambda kills it: the messages come again, and each record is indexed once."""
    poller = Poller(s3, s3.put_records(_large("a")), s3.put_records(_large("b")))
    function = start(settings=settings(s3, engine.endpoint, BULK_BYTES="20000"), timeout=10)
    function.invoke(event("s3_test_event"))  # the time that a cold start takes is not part of this
    first = function.processes
    engine.script(Pass())
    engine.always(lambda _request: Drip())
    assert poller.deliver(function) is None
    assert 0 < len(engine.documents) < 16
    assert (function.processes, poller.left) == ([], 2)
    indexed_before = set(engine.documents)

    engine.always(lambda _request: Pass())
    poller.visibility_is_over()
    assert poller.deliver(function) == {"batchItemFailures": []}
    assert set(engine.documents) == {f"{name}{number}" for name in "ab" for number in range(8)}
    assert {name for name in engine.documents if engine.tries(name) > 1} == indexed_before
    assert poller.left == 0
    assert function.processes != first


def test_a_function_answers_before_its_time_is_over(start: Start, s3: Aws, engine: BulkEndpoint) -> None:
    """Where the engine does not answer, the function stops by itself and gives back what is not done, and only that."""
    poller = Poller(s3, s3.put_records(_large("done-")), s3.put_records(_large("held-")))
    function = start(settings=settings(s3, engine.endpoint, BULK_BYTES="20000"), timeout=16)
    held = Hold()
    engine.always(lambda request: held if b'"held-' in request.body else Pass())
    answer = poller.deliver(function)
    assert answer is not None, "killed"
    assert len(answer["batchItemFailures"]) == 1
    assert set(engine.documents) == {f"done-{number}" for number in range(8)}
    assert poller.left == 1

    engine.always(lambda _request: Pass())
    held.release.set()
    poller.visibility_is_over()
    assert poller.deliver(function) == {"batchItemFailures": []}
    assert len(engine.documents) == 16
    assert poller.left == 0


def _large(prefix: str) -> list[dict[str, Any]]:
    """Eight records of twelve kilobytes: a request for each, where BULK_BYTES is small."""
    return [record(f"{prefix}{number}", userAgent="x" * 12_000) for number in range(8)]
