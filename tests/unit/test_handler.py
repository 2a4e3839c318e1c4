"""The function as Lambda calls it: events in, answers, logs and metrics out; AWS is moto, the engine a stand-in over HTTP."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from moto.sqs.models import sqs_backends

from audit_search import fetching, index_template, reports
from audit_search.cloudtrail import DocumentBuilder
from audit_search.envelopes import ObjectRef
from audit_search.errors import AccountingError, ReturnedError, SettingsError
from audit_search.objects import OUTCOMES, Action
from functions.cloudtrail import app
from tests.support.aws import (
    ACCOUNT,
    QUARANTINE,
    REGION,
    TRAIL,
    Aws,
    Context,
    Front,
    Queue,
    Stored,
    failures,
    record,
    records,
    s3_event,
    sqs_event,
    text_of,
)
from tests.support.bulk_endpoint import BulkEndpoint, Verdict
from tests.support.fault_proxy import Answer, BulkRequest, Fault, Hold, Pass
from tests.support.function import Function, make_function
from tests.unit.test_pipeline import Dropping

CANARY = "canary-5f3c"
TEMPLATE = "cloudtrail"


@pytest.fixture
def endpoint() -> Iterator[BulkEndpoint]:
    """A stand-in with this version's index template."""
    with BulkEndpoint() as endpoint:
        endpoint.templates[TEMPLATE] = index_template.body("")
        yield endpoint


Make = Callable[..., Function]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws, endpoint: BulkEndpoint) -> Make:
    """The function with settings of one's own."""

    def made(**settings: str) -> Function:
        return make_function(monkeypatch, capsys, aws, endpoint.endpoint, **settings)

    return made


@pytest.fixture
def function(make: Make) -> Function:
    """The function with usual settings."""
    return make()


def message_of(*objects: Stored) -> dict[str, Any]:
    """The S3 notification in an SQS message's body."""
    return s3_event(*objects)


def eventbridge(stored: Stored) -> dict[str, Any]:
    """The event that EventBridge hands over."""
    return {
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2026-11-03T08:20:31Z",
        "detail": {"bucket": {"name": stored.bucket}, "object": {"key": stored.key, "size": stored.size}},
    }


def sns(stored: Stored) -> dict[str, Any]:
    """The event of a topic that invokes the function."""
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(s3_event(stored))}}]}


# --- answers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [s3_event, eventbridge, sns])
def test_a_direct_event_is_answered_with_the_counts(
    aws: Aws, endpoint: BulkEndpoint, function: Function, wrap: Callable[[Stored], dict[str, Any]]
) -> None:
    """S3, EventBridge and SNS without a queue."""
    stored = aws.put_records([*records(3), record("0"), b'"no object"'])
    assert function(wrap(stored)) == {
        "read": 5,
        "indexed": 3,
        "duplicates": 1,
        "differing_duplicates": 0,
        "filtered": 0,
        "quarantined": 1,
        "returned": 0,
        "objects": 1,
        "skipped_objects": 0,
        "failed_objects": 0,
        "bulk_requests": 1,
    }


@pytest.mark.parametrize("wrap", [s3_event, eventbridge, sns])
def test_a_direct_event_that_could_not_be_finished_raises(
    aws: Aws, endpoint: BulkEndpoint, function: Function, wrap: Callable[[Stored], dict[str, Any]]
) -> None:
    """Lambda retries what raises; the cause is in the error."""
    endpoint.always(lambda _: Answer.unavailable())
    with pytest.raises(ReturnedError, match="cluster_block_exception"):
        function(wrap(aws.put_records(records(3))))
    endpoint.always(lambda _: Pass())
    assert function(wrap(aws.put_records(records(3))))["indexed"] == 3


def test_an_unknown_direct_event_raises_with_its_keys(function: Function) -> None:
    """Somebody wired something else to the function."""
    with pytest.raises(ReturnedError, match="headers, queryStringParameters"):
        function({"headers": {}, "queryStringParameters": CANARY})


def test_a_batch_of_a_queue_is_answered_with_what_has_to_come_back(aws: Aws, endpoint: BulkEndpoint, function: Function) -> None:
    """Good messages are done; one whose record may not be written, one of no known shape and one of a denied bucket return."""
    good, refused = aws.put_records(records(2, "good-")), aws.put_records(records(2, "refused-"))
    endpoint.judge = lambda item: Verdict(403, "security_exception") if item.id == "refused-1" else None
    answer = function(
        sqs_event(
            message_of(good),
            message_of(refused),
            {"some": "thing"},
            {"Event": "s3:TestEvent", "Bucket": TRAIL},
            "CloudTrail validation message.",
            message_of(Stored("another-bucket", "x.json.gz", 1)),
            "no JSON",
        )
    )
    assert failures(answer) == ["m1", "m2", "m5", "m6"]
    assert list(answer) == ["batchItemFailures"]
    assert {"good-0", "good-1", "refused-0"} == set(endpoint.documents)


def test_an_empty_batch_and_one_of_nothing_but_tests_ask_nothing_of_the_engine(
    endpoint: BulkEndpoint, function: Function
) -> None:
    """No object, no request, not even for the template."""
    assert function(sqs_event({"Event": "s3:TestEvent", "Bucket": TRAIL})) == {"batchItemFailures": []}
    assert function({"Records": []})["read"] == 0
    assert (endpoint.requests, endpoint.template_reads) == ([], 0)


def test_the_objects_of_a_batch_share_requests(aws: Aws, endpoint: BulkEndpoint, function: Function) -> None:
    """Ten messages of one object with thirty records each: one bulk request, whose outcomes are told apart."""
    stored = [aws.put_records(records(30, f"o{number}-")) for number in range(10)]
    endpoint.judge = lambda item: Verdict(404, "index_not_found_exception") if item.id == "o4-11" else None
    assert failures(function(sqs_event(*map(message_of, stored)))) == ["m4"]
    assert len(endpoint.requests) == 1
    assert len(endpoint.documents) == 299


def test_an_outage_is_not_poison(aws: Aws, endpoint: BulkEndpoint, function: Function) -> None:
    """The engine is down for an invocation: everything returns, nothing is quarantined; afterwards all of it is indexed."""
    event = sqs_event(*(message_of(aws.put_records(records(5, f"o{number}-"))) for number in range(3)))
    function(sqs_event(message_of(aws.put_records([record("warm")]))))
    endpoint.proxy.down()
    assert failures(function(event)) == ["m0", "m1", "m2"]
    assert aws.keys() == []
    endpoint.proxy.up()
    assert failures(function(event)) == []
    assert len(endpoint.documents) == 16


def test_little_time_left_returns_everything_untouched(aws: Aws, endpoint: BulkEndpoint, function: Function) -> None:
    """The function ends before Lambda ends it, and says what is not done."""
    event = sqs_event(*(message_of(aws.put_records(records(5, f"o{number}-"))) for number in range(3)))
    assert failures(function(event, remaining=0)) == ["m0", "m1", "m2"]
    assert endpoint.requests == []
    assert "time" in next(line["reason"] for line in function.logged if line["message"] == "message returned")


@pytest.mark.parametrize(("remaining", "left"), [(300_000, 290.0), (40_000, 30.0), (4_000, 3.0), (0, 0.0)])
def test_some_seconds_are_kept_for_the_answer(
    function: Function, monkeypatch: pytest.MonkeyPatch, aws: Aws, remaining: int, left: float
) -> None:
    """Ten seconds before the timeout the work ends, or a quarter of what is left where that is less."""
    deadlines: list[float] = []
    _ = function.container

    def run(_container: object, _observer: object, _asked: object, deadline: float) -> reports.Report:
        deadlines.append(deadline)
        return reports.Report()

    monkeypatch.setattr(app.FUNCTION, "_run", run)
    monkeypatch.setattr("audit_search.invocation.time", SimpleNamespace(monotonic=lambda: 1_000.0))
    app.lambda_handler({"Records": []}, Context(remaining))
    assert deadlines == [1_000.0 + left]


def test_an_engine_that_never_answers_costs_no_more_than_the_time(aws: Aws, endpoint: BulkEndpoint, function: Function) -> None:
    """The request is given up when the time is over, and the message returns."""
    stored = aws.put_records(records(3))
    function(sqs_event({"Event": "s3:TestEvent", "Bucket": TRAIL}))
    held = Hold()
    endpoint.always(lambda _: held)
    assert failures(function(sqs_event(message_of(stored)), remaining=1_500)) == ["m0"]
    held.release.set()


def test_a_record_lost_in_the_bulk_step_fails_the_invocation(aws: Aws, function: Function) -> None:
    """No answer at all: every message of the batch returns."""
    function.container.pipeline.sender = Dropping
    with pytest.raises(AccountingError):
        function(sqs_event(message_of(aws.put_records(records(3)))))


# --- outcomes of objects ------------------------------------------------------------------------------------------------


WHOLE = b'{"Records":[' + b",".join(text_of(one) for one in records(3)) + b"]}"
BROKEN: dict[str, bytes] = {
    "not-gzip": b"plain text",
    "truncated": gzip.compress(WHOLE)[:-12],
    "corrupt": gzip.compress(WHOLE)[:-8] + b"\0" * 8,
    "not-json": gzip.compress(b"<xml/>"),
    "no-records": gzip.compress(b'{"Events":[]}'),
    "too-big": gzip.compress(WHOLE + b" " * 200_000),
}
REFUSED: dict[str, tuple[int, str, str]] = {
    "denied": (403, "AccessDenied", "User is not authorized to perform: s3:GetObject"),
    "wrong-key": (400, "KMS.DisabledException", "arn:aws:kms:eu-central-1:111122223333:key/x is disabled."),
    "archived": (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
    "s3-unavailable": (400, "SomethingNew", "A code that did not exist when this was written"),
}


@pytest.fixture
def front(aws: Aws) -> Iterator[Front]:
    """S3 that refuses where it is told to."""
    front = Front(aws.endpoint)
    yield front
    front.close()


@pytest.mark.parametrize("code", sorted(OUTCOMES))
def test_each_outcome_of_an_object_from_event_to_answer(
    aws: Aws, endpoint: BulkEndpoint, make: Make, front: Front, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """The table of outcomes: a pointer in quarantine and the message done, or the message returned; its neighbour is indexed."""
    stored = aws.put(BROKEN.get(code, gzip.compress(WHOLE)))
    if code in REFUSED:
        front.refusals[stored.key] = REFUSED[code]
    elif code == "gone":
        aws.s3.delete_object(Bucket=stored.bucket, Key=stored.key)
    elif code == "bucket-not-allowed":
        stored = Stored(aws.bucket("somebody-elses"), stored.key)
    elif code == "no-bucket":
        stored = Stored("no-such-bucket", stored.key)
    function = make(AWS_ENDPOINT_URL=front.endpoint, ALLOWED_BUCKETS=f"{TRAIL}, no-such-bucket", MAX_OBJECT_BYTES="100000")
    if code == "internal":
        real = DocumentBuilder.__init__

        def broken(self: DocumentBuilder, policy: Any, place: Any, counts: Any, mode: str) -> None:
            if place.key == stored.key:
                raise ValueError(CANARY)
            real(self, policy, place, counts, mode)

        monkeypatch.setattr(DocumentBuilder, "__init__", broken)
    elif code == "time-budget":
        monkeypatch.setattr(fetching.Turn, "within", _no_time_for(stored.key))
    good = aws.put_records(records(2, "good-"))
    answer = function(sqs_event(message_of(stored), message_of(good)))
    line = next(line for line in function.logged if line["message"] == "object" and line["key"] == stored.key)
    assert line["error"].startswith(code)
    assert {"good-0", "good-1"} <= set(endpoint.documents)
    if OUTCOMES[code] is Action.RETURN:
        assert failures(answer) == ["m0"]
        assert aws.keys() == []
        assert line["outcome"] == "returned"
    else:
        assert failures(answer) == []
        (kept,) = aws.quarantined()
        assert (kept["bucket"], kept["key"], kept["error"]["type"]) == (stored.bucket, stored.key, code)
        assert (kept["position"], kept["raw"]) == (None, None)
        assert line["outcome"] == "failed"
    assert function.metrics["ObjectsFailed"] == 1
    assert not any(CANARY in text for text in function.output)


def _no_time_for(key: str) -> Callable[..., Iterator[bytes]]:
    real = fetching.Turn.within

    def within(turn: fetching.Turn, chunks: Iterator[bytes]) -> Iterator[bytes]:
        report = turn._job
        late = isinstance(report.ref, ObjectRef) and report.ref.key == key
        yield from real(fetching.Turn(report, 0.0) if late else turn, chunks)

    return within


# --- the index template -------------------------------------------------------------------------------------------------


def _absent(endpoint: BulkEndpoint) -> None:
    endpoint.templates.clear()


def _older(endpoint: BulkEndpoint) -> None:
    endpoint.templates[TEMPLATE]["version"] = index_template.definition()["version"] - 1


def _without_version(endpoint: BulkEndpoint) -> None:
    del endpoint.templates[TEMPLATE]["version"]


def _another_ones(endpoint: BulkEndpoint) -> None:
    endpoint.templates["other-cloudtrail"] = endpoint.templates.pop(TEMPLATE)


def _down(endpoint: BulkEndpoint) -> None:
    endpoint.proxy.down()


def _answers(answer: Answer) -> Callable[[BulkEndpoint], None]:
    def set_answer(endpoint: BulkEndpoint) -> None:
        endpoint.template_answer = answer

    return set_answer


UNUSABLE: dict[str, tuple[Callable[[BulkEndpoint], None], str]] = {
    "absent": (_absent, "put it in place first"),
    "older": (_older, "update it first"),
    "without a version": (_without_version, "update it first"),
    "of another prefix": (_another_ones, "put it in place first"),
    "engine down": (_down, "cannot be asked"),
    "refused": (_answers(Answer.forbidden()), "cannot be asked"),
    "overloaded": (_answers(Answer.throttled()), "cannot be asked"),
    "another server": (_answers(Answer(200, b"<html>", "text/html")), ""),
    "no answer": (_answers(Answer(200, b"{}")), "not understood"),
    "an empty list": (_answers(Answer(200, b'{"index_templates":[]}')), "not understood"),
    "a list": (_answers(Answer(400, b"[]")), ""),
}


@pytest.mark.parametrize("state", list(UNUSABLE))
def test_nothing_is_written_without_the_template(aws: Aws, endpoint: BulkEndpoint, function: Function, state: str) -> None:
    """The first document would make a dynamic index for good: messages return, and the log says why."""
    change, words = UNUSABLE[state]
    change(endpoint)
    test_event = {"Event": "s3:TestEvent", "Bucket": TRAIL}
    event = sqs_event(message_of(aws.put_records(records(3))), test_event, "no JSON")
    assert failures(function(event)) == ["m0", "m2"]
    assert endpoint.requests == []
    assert endpoint.documents == {}
    (problem,) = [line for line in function.logged if line["message"] == "nothing is written"]
    assert problem["level"] == "ERROR"
    assert words in problem["reason"]
    with pytest.raises(ReturnedError):
        function(s3_event(aws.put_records(records(3))))
    # Whoever mends it needs to do no more than that.
    endpoint.proxy.up()
    endpoint.template_answer = None
    endpoint.templates[TEMPLATE] = index_template.body("")
    assert failures(function(event)) == ["m2"]
    assert len(endpoint.documents) == 3


def test_a_newer_template_will_do(aws: Aws, endpoint: BulkEndpoint, function: Function) -> None:
    """A later version is put in place before the function is updated."""
    endpoint.templates[TEMPLATE]["version"] = index_template.definition()["version"] + 7
    assert function(s3_event(aws.put_records(records(3))))["indexed"] == 3


def test_the_template_is_asked_for_now_and_then(
    aws: Aws, endpoint: BulkEndpoint, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for some invocations of a warm container, and again after a while: a template can go away."""
    for number in range(3):
        function(s3_event(aws.put_records(records(1, str(number)))))
    assert endpoint.template_reads == 1
    function.container._checked -= 61
    endpoint.templates.clear()
    assert failures(function(sqs_event(message_of(aws.put_records(records(1, "later")))))) == ["m0"]


def test_the_template_of_a_prefix_has_its_name(aws: Aws, endpoint: BulkEndpoint, make: Make) -> None:
    """Indices, template and alias bear the prefix."""
    function = make(INDEX_PREFIX="audit-", INDEX_PERIOD="day")
    event = s3_event(aws.put_records(records(1)))
    with pytest.raises(ReturnedError, match="audit-cloudtrail"):
        function(event)
    endpoint.templates["audit-cloudtrail"] = index_template.body("audit-")
    assert function(event)["indexed"] == 1
    assert endpoint.indices == {"0": "audit-cloudtrail-2026.11.03"}


# --- credentials and warm containers ------------------------------------------------------------------------------------


def _basic(request: BulkRequest) -> str:
    return base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()


def _accept(password: str) -> Callable[[BulkRequest], Fault]:
    return lambda request: Pass() if _basic(request) == f"trail:{password}" else Answer.unauthorised()


@pytest.mark.parametrize("secret", ["first", '{"username":"trail","password":"first"}'], ids=["text", "JSON"])
def test_basic_authentication_survives_the_rotation_of_its_secret(
    aws: Aws, endpoint: BulkEndpoint, make: Make, secret: str
) -> None:
    """The password comes from Secrets Manager, and again after a 401: nobody restarts a warm container."""
    arn = aws.secrets.create_secret(Name="engine", SecretString=secret)["ARN"]
    function = make(OPENSEARCH_AUTH="basic", OPENSEARCH_USERNAME="trail", OPENSEARCH_PASSWORD_SECRET=arn)
    endpoint.always(_accept("first"))
    assert function(s3_event(aws.put_records(records(2, "a-"))))["indexed"] == 2
    warm = function.container
    aws.secrets.put_secret_value(SecretId=arn, SecretString=secret.replace("first", "second"))
    endpoint.always(_accept("second"))
    assert function(s3_event(aws.put_records(records(2, "b-"))))["indexed"] == 2
    assert function.container is warm
    assert [_basic(request) for request in endpoint.requests] == ["trail:first", "trail:first", "trail:second"]


def test_the_template_check_survives_the_rotation_as_well(aws: Aws, endpoint: BulkEndpoint, make: Make) -> None:
    """It is the first request of an invocation: a 401 there is answered with the new secret, too."""
    arn = aws.secrets.create_secret(Name="engine", SecretString="first")["ARN"]
    function = make(OPENSEARCH_AUTH="basic", OPENSEARCH_USERNAME="trail", OPENSEARCH_PASSWORD_SECRET=arn)
    passwords = ["first"]
    endpoint.template_guard = lambda headers: headers.get("Authorization") == _header(passwords[-1])
    assert function(s3_event(aws.put_records(records(1, "a-"))))["indexed"] == 1
    passwords.append("second")
    aws.secrets.put_secret_value(SecretId=arn, SecretString="second")
    function.container._checked -= 61
    assert function(s3_event(aws.put_records(records(1, "b-"))))["indexed"] == 1


def _header(password: str) -> str:
    return "Basic " + base64.b64encode(f"trail:{password}".encode()).decode()


@pytest.mark.parametrize("service", ["es", "aoss"])
def test_signed_requests_follow_the_credentials_of_the_environment(
    aws: Aws, endpoint: BulkEndpoint, make: Make, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    """The keys of a role are rotated in the environment of a warm container: the next invocation signs with the new ones."""
    function = make(OPENSEARCH_AUTH="aws", OPENSEARCH_SERVICE=service)
    for key, token in (("AKIDFIRST", "token-1"), ("AKIDSECOND", "token-2")):
        function.environment |= {"AWS_ACCESS_KEY_ID": key, "AWS_SESSION_TOKEN": token}
        assert function(s3_event(aws.put_records(records(1, key))))["indexed"] == 1
    first, second = endpoint.requests
    for request, key, token in ((first, "AKIDFIRST", "token-1"), (second, "AKIDSECOND", "token-2")):
        assert f"Credential={key}/" in request.headers["authorization"]
        assert f"/{REGION}/{service}/aws4_request" in request.headers["authorization"]
        assert request.headers["x-amz-security-token"] == token
        assert len(request.headers["x-amz-content-sha256"]) == 64


def test_a_container_stays_warm_while_only_the_trace_id_changes(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda's runtime writes the trace of each invocation into the environment: no reason to begin anew."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
    warm = function.container
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-6759e988-bd862e3fe1be46a994272793")
    assert function.container is warm
    monkeypatch.setenv("INDEX_PERIOD", "day")
    assert function.container is not warm


def test_wrong_settings_are_said_before_anything_is_read(make: Make) -> None:
    """All of them in one error."""
    function = make(OPENSEARCH_ENDPOINT="nowhere", INDEX_PERIOD="year", RETENTION_DAYS="-1")
    with pytest.raises(SettingsError) as caught:
        function(s3_event(Stored(TRAIL, "x")))
    assert len(caught.value.problems) == 3


# --- returned messages --------------------------------------------------------------------------------------------------


def _visible_at(queue: Queue) -> list[float]:
    """When each message of a queue can be seen again, in seconds since 1970."""
    backend = sqs_backends[ACCOUNT][REGION]
    return sorted(message.visible_at / 1_000 for message in backend.queues[queue.url.rsplit("/", 1)[-1]]._messages)


@pytest.mark.parametrize(("received", "seconds"), [(1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (1_000, 900)])
def test_a_returned_message_comes_back_later_each_time(
    aws: Aws, endpoint: BulkEndpoint, function: Function, received: int, seconds: int
) -> None:
    """30 seconds at first, then twice as long, at most 15 minutes; a message that is done is left alone."""
    queue = aws.queue()
    event = aws.receive(queue, [message_of(aws.put_records(records(2))), {"not": "known"}])
    for message in event["Records"]:
        message["attributes"]["ApproximateReceiveCount"] = str(received)
    before = time.time()
    assert failures(function(event)) == [event["Records"][1]["messageId"]]
    after = time.time()
    postponed, done = _visible_at(queue)
    assert before + seconds - 1 <= postponed <= after + seconds + 1
    assert done >= before + 1_700


def test_more_messages_than_one_request_takes_are_all_postponed(aws: Aws, endpoint: BulkEndpoint, function: Function) -> None:
    """SQS takes ten at a time."""
    queue = aws.queue()
    event = aws.receive(queue, [{"not": number} for number in range(23)])
    after = time.time() + 60
    assert len(failures(function(event))) == 23
    assert all(moment < after for moment in _visible_at(queue))


def test_a_message_that_cannot_be_postponed_returns_all_the_same(aws: Aws, function: Function) -> None:
    """The queue is gone or may not be changed: that is said in the log, and the answer is what it was."""
    assert failures(function(sqs_event({"not": "known"}))) == ["m0"]
    problems = [line for line in function.logged if line["message"] == "a returned message could not be postponed"]
    assert len(problems) == 1
    assert "NonExistentQueue" in problems[0]["reason"]


# --- what operators see -------------------------------------------------------------------------------------------------


def test_the_log_has_a_line_for_each_object_and_nothing_of_a_record(aws: Aws, endpoint: BulkEndpoint, function: Function) -> None:
    """Every line of standard output is JSON; what records hold is in none of them, whatever went wrong with them."""
    canary = {"requestParameters": {"secret": CANARY}, "errorMessage": CANARY, "userAgent": CANARY}
    fields = b'"eventTime":"2026-11-03T08:00:00Z","requestParameters":"' + CANARY.encode() + b'"'
    texts = [
        text_of(record("a", **canary)),
        text_of(record("refused", **canary)),
        text_of(record("returned", **canary)),
        f'"{CANARY}"'.encode(),
        f"{{broken: {CANARY}}}".encode(),
        b'{"eventID":"b",' + fields + b"}",
        text_of({**record("c"), CANARY: CANARY}),
    ]
    content = f"failed to parse field [{CANARY}], preview of value: '{CANARY}'"
    verdicts = {
        "refused": Verdict(400, "mapper_parsing_exception", content),
        "returned": Verdict(403, "security_exception", "no permissions"),
    }
    endpoint.judge = lambda item: verdicts.get(item.id)
    stored = aws.put_records(texts)
    broken = aws.put(gzip.compress(b'{"Records":[' + text_of(record("x", **canary)) + f" {CANARY}".encode()))
    event = sqs_event(message_of(stored), message_of(broken), "CloudTrail validation message.", f"no JSON {CANARY}")
    assert failures(function(event)) == ["m0", "m3"]
    lines = [line for line in function.logged if line["message"] == "object"]
    by_key = {line["key"]: line for line in lines}
    assert len(lines) == 2
    assert {name: by_key[stored.key][name] for name in ("bucket", "outcome", "read", "indexed", "quarantined", "returned")} == {
        "bucket": TRAIL,
        "outcome": "returned",
        "read": 7,
        "indexed": 3,
        "quarantined": 3,
        "returned": 1,
    }
    assert by_key[stored.key]["returned_because"] == ["security_exception: no permissions"]
    assert by_key[broken.key]["error"]
    assert by_key[stored.key]["event_lag_seconds"] == pytest.approx(time.time() - 1793693662, abs=600)
    assert [line["reason"] for line in function.logged if line["message"] == "skipped"] == ["CloudTrail validation message"]
    assert {line["message_id"] for line in function.logged if line["message"] == "message returned"} == {"m0", "m3"}
    assert not any(CANARY in text for text in function.output)
    assert any(CANARY in (line["raw"] or "") for line in aws.quarantined())


def test_the_metrics_say_what_happened(aws: Aws, endpoint: BulkEndpoint, make: Make) -> None:
    """CloudWatch's embedded format on standard output: each outcome, requests, returned messages and the events' lag."""
    rule = '[{"name":"noise","match":{"eventName":"Noise"}},{"name":"seen","match":{"eventName":"List*"},"count_only":true}]'
    function = make(EXCLUSION_RULES=rule)
    endpoint.judge = lambda item: Verdict(403, "security_exception") if item.id == "returned" else None
    texts: list[object] = [record("a"), record("a"), record("a", eventName="ListOther"), record("n", eventName="Noise")]
    event = sqs_event(message_of(aws.put_records([*texts, b"7", record("returned")])), message_of(aws.put(b"no gzip")))
    function(event)
    metrics = function.metrics
    lag = metrics.pop("EventLag")
    assert metrics == {
        "RecordsRead": 6,
        "RecordsIndexed": 1,
        "RecordsDuplicate": 2,
        "RecordsDifferingDuplicate": 1,
        "RecordsFiltered": 1,
        "RecordsQuarantined": 1,
        "RecordsReturned": 1,
        "Quarantined": 2,
        "ObjectsRead": 2,
        "ObjectsSkipped": 0,
        "ObjectsFailed": 1,
        "MessagesReturned": 1,
        "BulkRequests": 1,
        "RecordsMatchedByRules": 5,
    }
    assert lag == pytest.approx(time.time() - 1793693662, abs=600)
    (blob,) = [json.loads(line) for line in function.output if "_aws" in line]
    assert blob["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "AuditSearch"
    assert blob["service"] == "cloudtrail"


def test_metrics_of_two_stacks_do_not_mix(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name that the template gives the function is the dimension of its metrics and stands in its log."""
    monkeypatch.setattr(app.FUNCTION, "_observer", None)
    function = make(POWERTOOLS_SERVICE_NAME="acme-cloudtrail")
    function(sqs_event({"Event": "s3:TestEvent", "Bucket": "b"}))
    monkeypatch.setattr(app.FUNCTION, "_observer", None)
    (blob,) = [json.loads(line) for line in function.output if "_aws" in line]
    assert blob["service"] == "acme-cloudtrail"
    assert {line["service"] for line in function.logged} == {"acme-cloudtrail"}


def test_metrics_are_those_of_one_invocation(aws: Aws, function: Function) -> None:
    """Nothing is carried over to the next one."""
    for number in range(2):
        function(s3_event(aws.put_records(records(3, f"{number}-"))))
        assert function.metrics["RecordsIndexed"] == 3


def test_quarantine_lies_where_the_settings_say(aws: Aws, make: Make) -> None:
    """Bucket and prefix are settings; the file is gzip NDJSON."""
    function = make(QUARANTINE_BUCKET=aws.bucket("kept-apart"), QUARANTINE_PREFIX="bad/cloudtrail/")
    assert function(s3_event(aws.put_records([b"7"])))["quarantined"] == 1
    (key,) = aws.keys("kept-apart")
    assert key.startswith("bad/cloudtrail/")
    assert key.endswith(".ndjson.gz")
    assert aws.keys(QUARANTINE) == []
