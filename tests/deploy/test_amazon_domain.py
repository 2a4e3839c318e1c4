"""The stand-in for Amazon's edge: who is let through to the engine, and who is not."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from osmem_server import OsmemServer
from requests_aws4auth import AWS4Auth

from tests.support.amazon_domain import AmazonDomain
from tests.support.building import tools_ready
from tests.support.ministack import ACCOUNT, REGION, Ministack
from tests.support.tls import Certificate

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AmazonDomain]:
    """A domain before an empty engine."""
    tools_ready()
    folder = tmp_path_factory.mktemp("edge")
    certificate = Certificate.make(folder)
    with (
        OsmemServer.start() as engine,
        AmazonDomain("audit", engine.url, certificate) as made,
        Ministack(folder, certificate, made.host) as aws,
    ):
        made.aws = aws
        yield made


@pytest.fixture(autouse=True)
def as_it_was(domain: AmazonDomain) -> None:
    """No access policy, no request so far, up."""
    domain.access_policy = {}
    domain.requests.clear()
    domain.up()


def aws_of(domain: AmazonDomain) -> Ministack:
    assert domain.aws is not None
    return domain.aws


def role(domain: AmazonDomain, *statements: dict[str, Any]) -> tuple[str, AWS4Auth]:
    """A role with these permissions, and what signs with a session of it."""
    name = f"role-{uuid.uuid4().hex[:8]}"
    iam = aws_of(domain).client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    if statements:
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
    return arn, signer(domain, aws_of(domain).client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"])


def signer(domain: AmazonDomain, keys: dict[str, str]) -> AWS4Auth:
    return AWS4Auth(keys["AccessKeyId"], keys["SecretAccessKey"], REGION, "es", session_token=keys["SessionToken"])


def allow(action: str, resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def send(domain: AmazonDomain, method: str, path: str, auth: Any = None, **more: Any) -> requests.Response:
    bundle = str(aws_of(domain).certificate.certificate)
    return requests.request(method, domain.endpoint + path, auth=auth, verify=bundle, timeout=60, **more)


def test_a_role_may_do_what_its_policy_allows_and_nothing_else(domain: AmazonDomain) -> None:
    """The method decides the action, the path the resource, and the refusal has Amazon's words."""
    arn, auth = role(domain, allow("es:ESHttpPut", f"{domain.arn}/events-*"))
    assert send(domain, "PUT", "/events-1", auth).status_code == 200
    refused = [send(domain, "GET", "/events-1", auth), send(domain, "PUT", "/other", auth)]
    assert [answer.status_code for answer in refused] == [403, 403]
    session = arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/me"
    text = "User: {} is not authorized to perform: es:ESHttpGet because no identity-based policy allows the es:ESHttpGet action"
    assert refused[0].json() == {"Message": text.format(session)}
    assert [(one.method, one.path, one.caller, one.status) for one in domain.requests] == [
        ("PUT", "/events-1", arn, 200),
        ("GET", "/events-1", arn, 403),
        ("PUT", "/other", arn, 403),
    ]
    assert domain.seen("PUT", "/events") == domain.requests[:1]


def test_a_compressed_body_with_a_query_is_signed_like_any_other(domain: AmazonDomain) -> None:
    """What the function sends: gzip, and parameters whose commas and dots are encoded in the signature."""
    _, auth = role(domain, allow("es:ESHttpPost", f"{domain.arn}/_bulk"))
    lines = b'{"create":{"_index":"compressed","_id":"1"}}\n{"a":1}\n'
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    answer = send(
        domain,
        "POST",
        "/_bulk",
        auth,
        params={"filter_path": "errors,items.*.status"},
        data=gzip.compress(lines),
        headers=headers,
    )
    assert (answer.status_code, answer.json()) == (200, {"errors": False, "items": [{"create": {"status": 201}}]})


def test_the_account_itself_may_send_any_body(domain: AmazonDomain) -> None:
    """Whoever may do anything is known by the signature, whatever is in the request; a wrong signature stays refused."""
    keys = aws_of(domain).environment
    body = {"data": "--x no JSON", "headers": {"content-type": "text/plain", "osd-xsrf": "true"}}
    path = "/_dashboards/api/saved_objects/_import"
    root = AWS4Auth(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], REGION, "es")
    assert send(domain, "POST", path, root, **body).json()["message"] == "Invalid file extension "
    assert domain.requests[-1].caller == f"arn:aws:iam::{ACCOUNT}:root"
    _, auth = role(domain, allow("es:*", "*"))
    wrong = AWS4Auth(auth.access_id, "wrong", REGION, "es", session_token=auth.session_token)
    assert send(domain, "POST", path, wrong, **body).status_code == 403


def test_a_wrong_signature_is_refused(domain: AmazonDomain) -> None:
    """A key that nobody gave out, a wrong secret, another region and a body that was changed on the way are all 403."""
    _, auth = role(domain, allow("es:*", "*"))
    wrong = AWS4Auth(auth.access_id, "wrong", REGION, "es", session_token=auth.session_token)
    unknown = AWS4Auth("ASIAAAAAAAAAAAAAAAAA", "wrong", REGION, "es", session_token="wrong")
    abroad = AWS4Auth(auth.access_id, auth.signing_key.secret_key, "us-east-1", "es", session_token=auth.session_token)
    assert [send(domain, "GET", "/", each).status_code for each in (auth, wrong, unknown, abroad)] == [200, 403, 403, 403]
    prepared = requests.Request("PUT", f"{domain.endpoint}/changed", auth=auth, json={}).prepare()
    prepared.body = b"[]"
    with requests.Session() as session:
        answer = session.send(prepared, verify=str(aws_of(domain).certificate.certificate), timeout=60)
    assert answer.status_code == 403


def test_who_does_not_sign_needs_an_open_access_policy(domain: AmazonDomain) -> None:
    """A browser or a password gets to the engine only where the domain's own policy lets everybody in."""
    assert send(domain, "GET", "/").status_code == 403
    domain.access_policy = {"Statement": [{**allow("es:ESHttp*", f"{domain.arn}/*"), "Principal": {"AWS": "*"}}]}
    assert send(domain, "GET", "/", ("somebody", "secret")).status_code == 200
    assert {one.caller for one in domain.requests} == {"anonymous"}


def test_a_password_has_to_be_right(domain: AmazonDomain) -> None:
    """Where the engine has users, the open door does not help who is none of them."""
    domain.access_policy = {"Statement": [{**allow("es:ESHttp*", f"{domain.arn}/*"), "Principal": "*"}]}
    domain.passwords = lambda: {"writer": "secret"}
    try:
        asked = [None, ("writer", "wrong"), ("writer", "secret")]
        assert [send(domain, "GET", "/", auth).status_code for auth in asked] == [401, 401, 200]
    finally:
        domain.passwords = None


def test_the_access_policy_allows_and_denies_by_role(domain: AmazonDomain) -> None:
    """An Allow of the domain is enough for a role without policies; a Deny of the domain beats the role's own Allow."""
    arn, auth = role(domain)
    domain.access_policy = {"Statement": [{**allow("es:ESHttpGet", f"{domain.arn}/*"), "Principal": {"AWS": [arn]}}]}
    assert [send(domain, method, "/", auth).status_code for method in ("GET", "PUT")] == [200, 403]
    _, mighty = role(domain, allow("es:*", "*"))
    assert send(domain, "GET", "/", mighty).status_code == 200
    domain.access_policy["Statement"][0] |= {"Effect": "Deny", "Principal": "*"}
    assert send(domain, "GET", "/", mighty).status_code == 403


def test_the_policy_of_a_made_domain_is_the_one_it_was_made_with(domain: AmazonDomain) -> None:
    """A domain that a template makes has this stand-in's address, and its access policy is in force here."""
    policy = {"Version": "2012-10-17", "Statement": [{**allow("es:*", "*"), "Principal": {"AWS": "*"}}]}
    client = aws_of(domain).client("opensearch")
    client.create_domain(DomainName="audit", AccessPolicies=json.dumps(policy))
    try:
        assert client.describe_domain(DomainName="audit")["DomainStatus"]["Endpoint"] == domain.host
        assert send(domain, "GET", "/").status_code == 200
    finally:
        client.delete_domain(DomainName="audit")
    assert send(domain, "GET", "/").status_code == 403


def test_the_engine_is_told_who_asks(domain: AmazonDomain) -> None:
    """The headers that name the caller to the engine are the domain's; a client cannot bring its own."""
    arn, auth = role(domain, allow("es:*", "*"))
    told: list[str] = []

    def identify(caller: str) -> dict[str, str]:
        told.append(caller)
        return {"x-proxy-user": caller}

    domain.identify = identify
    try:
        assert send(domain, "GET", "/", auth, headers={"x-proxy-user": "admin"}).status_code == 200
    finally:
        domain.identify = lambda _caller: {}
    assert told == [arn]


def test_a_domain_goes_down_and_comes_up_again(domain: AmazonDomain) -> None:
    """Unavailable, refusing or silent, and the same address afterwards."""
    _, auth = role(domain, allow("es:*", "*"))
    domain.down("unavailable")
    assert send(domain, "GET", "/", auth).status_code == 503
    domain.up()
    endpoint = domain.endpoint
    domain.down("refusing")
    with pytest.raises(requests.ConnectionError):
        send(domain, "GET", "/", auth)
    domain.up()
    assert domain.endpoint == endpoint
    domain.down("hanging")
    with pytest.raises(requests.ReadTimeout):
        requests.get(domain.endpoint, auth=auth, verify=str(aws_of(domain).certificate.certificate), timeout=0.5)
    domain.up()
    assert send(domain, "GET", "/", auth).status_code == 200


def test_the_files_are_where_they_were_asked_for(tmp_path: Path) -> None:
    """A certificate and its key, and every program's variable points at the first."""
    certificate = Certificate.make(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"loopback.crt", "loopback.key"}
    assert set(certificate.environment.values()) == {str(certificate.certificate)}
