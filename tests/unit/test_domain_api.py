"""Requests of the set-up over real HTTP: answers as they are, and waiting until there is one."""

from __future__ import annotations

import base64
import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import CredentialRetrievalError

from audit_search.domain.api import HttpApi, wait_until_ready
from audit_search.domain.settings import DomainSettings
from audit_search.domain.setup import prepare
from audit_search.errors import DomainSetupError, EngineUnreachableError
from audit_search.opensearch import authentication
from audit_search.settings import Settings
from tests.support.aws import Aws
from tests.support.engine_front import Asked, EngineFront, Verdict

ABOUT = {"version": {"number": "2.19.4"}}


@pytest.fixture
def front() -> Iterator[EngineFront]:
    """An engine that answers by rules alone."""
    with EngineFront() as front:
        yield front


def settings(endpoint: str, **variables: str) -> DomainSettings:
    """Settings for an endpoint."""
    return DomainSettings.from_env({"OPENSEARCH_ENDPOINT": endpoint, "OPENSEARCH_AUTH": "none", **variables})


def api(front: EngineFront) -> HttpApi:
    """The client of the front."""
    return HttpApi(settings(front.endpoint), None, timeout=30)


class Time:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        """As time.monotonic."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """As time.sleep."""
        self.pauses.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (200, {"a": 1}, {"a": 1}),
        (201, {}, {}),
        (404, {"error": "x"}, {"error": "x"}),
        (500, "", None),
        (403, "<html>", "<html>"),
    ],
)
def test_an_answer_is_given_as_it_is(front: EngineFront, status: int, body: Any, answer: Any) -> None:
    """A refusal is no exception, and what is no JSON is text."""
    front.rules.append(lambda asked: (status, body))
    assert api(front).request("PUT", "/a/b?c=d", {"é": [1]}) == (status, answer)
    assert front.asked == [Asked("PUT", "/a/b", {"c": "d"}, {"é": [1]})]


def test_a_redirect_is_not_followed(front: EngineFront) -> None:
    """A log-in page is no answer of an engine."""
    front.rules.append(lambda asked: (302, "") if asked.path == "/" else (200, ABOUT))
    with pytest.raises(DomainSetupError, match="redirect"):
        wait_until_ready(api(front), float("inf"))


def test_no_answer_is_an_error_with_the_address() -> None:
    """Nobody listens there."""
    with EngineFront() as gone:
        address = gone.endpoint
    with pytest.raises(EngineUnreachableError, match=f"{address} cannot be reached"):
        HttpApi(settings(address), None).request("GET", "/")


def test_an_answer_that_takes_too_long_is_none() -> None:
    """The text says after how many seconds it was given up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:  # takes connections and says nothing
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(EngineUnreachableError, match=r"did not answer within 0\.2 s"):
            HttpApi(settings(address), None, timeout=0.2).request("GET", "/")


def test_requests_are_signed_or_authenticated(aws: Aws, front: EngineFront, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed with the session's keys, by a password from its secret, or neither; for the function and the set-up alike."""
    front.rules.append(lambda asked: (200, ABOUT))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
    secret = aws.secrets.create_secret(Name="engine", SecretString=json.dumps({"password": "s3cret"}))["ARN"]
    session = boto3.Session("AKIDEXAMPLE", "secret", region_name="eu-central-1")
    basic = {"OPENSEARCH_AUTH": "basic", "OPENSEARCH_USERNAME": "admin", "OPENSEARCH_PASSWORD_SECRET": secret}
    function = {"ALLOWED_BUCKETS": "trail", "QUARANTINE_BUCKET": "quarantine"}
    for variables in ({"OPENSEARCH_AUTH": "aws"}, {"OPENSEARCH_AUTH": "aws", "OPENSEARCH_SERVICE": "aoss"}, basic, {}):
        wanted = {"OPENSEARCH_ENDPOINT": front.endpoint, "OPENSEARCH_AUTH": "none", **variables}
        for read in (DomainSettings.from_env(wanted), Settings.from_env({**wanted, **function})):
            HttpApi(read, authentication(read, session)).request("GET", "/")
    seen = [asked.headers.get("authorization", "") for asked in front.asked]
    assert [text.split("/", 1)[0] for text in seen[:4]] == ["AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE"] * 4
    assert [service for text in seen[:4] for service in ("es", "aoss") if f"/eu-central-1/{service}/aws4_request" in text] == [
        *("es", "es"),
        *("aoss", "aoss"),
    ]
    assert seen[4:] == ["Basic " + base64.b64encode(b"admin:s3cret").decode()] * 2 + ["", ""]


def test_keys_that_cannot_be_had_are_an_error(front: EngineFront) -> None:
    """Credentials that cannot be refreshed end the request, with the cause."""

    class Broken(Credentials):
        def get_frozen_credentials(self) -> Any:
            raise CredentialRetrievalError(provider="test", error_msg="gone")

    auth = authentication(settings(front.endpoint, OPENSEARCH_AUTH="aws"), _Session(Broken("AKID", "secret")))
    with pytest.raises(EngineUnreachableError, match="cannot be asked: CredentialRetrievalError"):
        HttpApi(settings(front.endpoint), auth).request("GET", "/")


class _Session:
    region_name = "eu-central-1"

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def get_credentials(self) -> Credentials:
        """As boto3's session."""
        return self._credentials


# --- waiting ----------------------------------------------------------------------------------------------------------


def after(times: int, verdict: Verdict) -> Any:
    """A rule that gives this answer so many times, and then that of an engine which is ready."""
    count = itertools.count()
    return lambda asked: verdict if next(count) < times else (200, ABOUT)


DENIED = {"Message": "User: arn:aws:iam::123456789012:role/x is not authorized to perform: es:ESHttpGet"}


@pytest.mark.parametrize(
    "verdict", [(503, "starting"), (500, None), (429, {}), (403, DENIED), (401, {}), (502, "<html>")], ids=lambda one: str(one[0])
)
def test_a_domain_that_is_not_ready_is_asked_again(front: EngineFront, verdict: Verdict) -> None:
    """What a domain answers while it starts, and while its access policy takes effect, passes; pauses grow and are bounded."""
    front.rules.append(after(8, verdict))
    time = Time()
    assert wait_until_ready(api(front), time.now + 600, clock=time.clock, sleep=time.sleep) == ABOUT
    assert time.pauses == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_a_domain_that_refuses_for_two_minutes_means_it(front: EngineFront) -> None:
    """Then the refusal is explained, long before the deadline."""
    front.rules.append(lambda asked: (403, DENIED))
    time = Time()
    with pytest.raises(
        DomainSetupError, match=r"not ready after \d+ s\. Amazon refuses arn:aws:iam::123456789012:role/x"
    ) as caught:
        wait_until_ready(api(front), time.now + 900, clock=time.clock, sleep=time.sleep)
    assert 90 < sum(time.pauses) < 120
    assert not caught.value.retryable


def test_a_domain_that_never_starts_is_given_up_in_time(front: EngineFront) -> None:
    """At the deadline, and not after it."""
    front.rules.append(lambda asked: (503, "starting"))
    time = Time()
    with pytest.raises(DomainSetupError, match=r"HTTP 503: starting") as caught:
        wait_until_ready(api(front), time.now + 100, clock=time.clock, sleep=time.sleep)
    assert 80 < sum(time.pauses) < 100
    assert caught.value.retryable


def test_a_domain_that_is_not_there_yet_is_asked_again() -> None:
    """A name that does not resolve, a refused connection: a new domain's address comes last."""
    with EngineFront() as gone:
        address = gone.endpoint
    time = Time()
    with pytest.raises(DomainSetupError, match="cannot be reached"):
        wait_until_ready(HttpApi(settings(address), None), time.now + 60, clock=time.clock, sleep=time.sleep)
    assert len(time.pauses) > 4


@pytest.mark.parametrize("verdict", [(200, "<html>"), (200, {}), (200, []), (404, {}), (400, {})], ids=str)
def test_what_is_no_engine_is_not_waited_for(front: EngineFront, verdict: Verdict) -> None:
    """Another product at the address stays one."""
    front.rules.append(lambda asked: verdict)
    time = Time()
    with pytest.raises(DomainSetupError):
        wait_until_ready(api(front), time.now + 600, clock=time.clock, sleep=time.sleep)
    assert time.pauses == []


# --- the whole of it --------------------------------------------------------------------------------------------------


def working(failing: dict[str, list[Verdict]]) -> Any:
    """An engine without plugins that answers as it should, after the failures of a path."""
    template: dict[str, Any] = {}

    def rule(asked: Asked) -> Verdict:
        if failing.get(asked.path):
            return failing[asked.path].pop(0)
        if asked.path == "/":
            return 200, ABOUT
        if asked.path == "/_cluster/health":
            return 200, {"number_of_data_nodes": 1}
        if asked.path == "/_index_template/cloudtrail":
            if asked.method == "PUT":
                template["index_template"] = asked.body
            return (200, {"index_templates": [template]} if template else {"index_templates": []})
        if asked.path in ("/_index_template", "/_cluster/settings", "/cloudtrail-2*/_alias"):
            return 200, {}
        return 400, {"error": f"no handler found for uri [{asked.path}] and method [{asked.method}]"}

    return rule


TEMPLATE = "/_index_template/cloudtrail"


@pytest.mark.parametrize("path", ["/_cluster/health", TEMPLATE, "/_index_template"])
def test_what_passes_in_the_middle_is_begun_again(front: EngineFront, path: str) -> None:
    """A node that restarts, an overload: the set-up starts anew, and is done."""
    failing: dict[str, list[Verdict]] = {path: [(503, "busy"), (429, {}), (500, None)]}
    front.rules.append(working(failing))
    time = Time()
    outcome = prepare(api(front), settings(front.endpoint), lambda *_: "", time.now + 300, clock=time.clock, sleep=time.sleep)
    assert [change.action for change in outcome.changes if change.kind == "index template"] == ["create"]
    assert failing == {path: []}


def test_permissions_that_settle_are_waited_for(front: EngineFront) -> None:
    """A role that was made a moment ago is let in by one of Amazon's servers and not yet by the next."""
    failing: dict[str, list[Verdict]] = {"/_cluster/health": [(403, DENIED)] * 3, TEMPLATE: [(200, {}), (403, DENIED)]}
    front.rules.append(working(failing))
    time = Time()
    outcome = prepare(api(front), settings(front.endpoint), lambda *_: "", time.now + 300, clock=time.clock, sleep=time.sleep)
    assert [change.action for change in outcome.changes if change.kind == "index template"] == ["create"]
    failing["/_cluster/health"] = [(403, DENIED)] * 99
    with pytest.raises(DomainSetupError, match="Amazon refuses"):
        prepare(api(front), settings(front.endpoint), lambda *_: "", time.now + 900, clock=time.clock, sleep=time.sleep)
    assert 120 < sum(time.pauses) < 180


def test_what_does_not_pass_ends_it_at_once(front: EngineFront) -> None:
    """A missing permission in the middle is reported, not tried again; the reason names the object."""
    failing: dict[str, list[Verdict]] = {TEMPLATE: [(200, {"index_templates": []}), (403, {"message": "no"})]}
    front.rules.append(working(failing))
    time = Time()
    with pytest.raises(
        DomainSetupError, match=r"The index template 'cloudtrail' cannot be put in place\. The request is refused: no"
    ):
        prepare(api(front), settings(front.endpoint), lambda *_: "", time.now + 300, clock=time.clock, sleep=time.sleep)
    assert time.pauses == []


def test_a_collection_is_not_asked_for_what_it_does_not_have(front: EngineFront) -> None:
    """OpenSearch Serverless says nothing of itself and has no nodes, policies or roles of this kind: the template is all."""
    front.rules.append(working({path: [(404, "")] * 9 for path in ("/", "/_cluster/health", "/_cluster/settings")}))
    collection = settings(front.endpoint, OPENSEARCH_SERVICE="aoss")
    time = Time()
    outcome = prepare(api(front), collection, lambda *_: "", time.now + 300, clock=time.clock, sleep=time.sleep)
    assert [(change.kind, change.action) for change in outcome.changes] == [
        ("index template", "create"),
        ("monitor", "leave out"),
        ("saved objects", "leave out"),
    ]
    assert {asked.path.split("/")[1] for asked in front.asked} <= {"_index_template", "cloudtrail-2*"}


def test_a_collection_does_not_take_aws_config(front: EngineFront) -> None:
    """The outcome says so, and why, instead of putting half of it in place."""
    front.rules.append(working({}))
    collection = settings(front.endpoint, OPENSEARCH_SERVICE="aoss", AWS_CONFIG="true")
    outcome = prepare(api(front), collection, lambda *_: "", Time().now + 300, clock=Time().clock, sleep=Time().sleep)
    assert [(change.name, change.action) for change in outcome.changes] == [
        ("cloudtrail", "create"),
        ("config-*", "leave out"),
        ("cloudtrail-*", "leave out"),
        ("audit-search", "leave out"),
    ]
    assert "AWS Config needs a domain" in outcome.changes[1].reason


def test_the_definitions_are_part_of_the_package() -> None:
    """Every body is where the layer has it."""
    folder = Path(__file__).parents[2] / "layers/audit_search/src/audit_search/definitions"
    assert {path.name for path in folder.glob("*.json")} >= {
        "index_template.cloudtrail.json",
        "ism.dated.json",
        "role.cloudtrail-analyst.json",
        "role.cloudtrail-verifier.json",
        "role.cloudtrail-writer.json",
        "role.config-writer.json",
    }
