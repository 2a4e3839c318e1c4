"""A refusal in words: who was refused, by which layer, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from audit_search.domain.refusals import absent_handler, explain, not_offered, passes, said

ROLE = "arn:aws:iam::123456789012:role/audit-search-setup"
SESSION = "arn:aws:sts::123456789012:assumed-role/audit-search-setup/audit-search-setup"


def security(reason: str) -> dict[str, Any]:
    """A refusal of the security plugin."""
    cause = {"type": "security_exception", "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": 403}


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        pytest.param(
            403,
            security(
                f"no permissions for [indices:admin/index_template/put] and User [name={ROLE}, backend_roles=[{ROLE}], "
                "requestedTenant=null]"
            ),
            [
                f"fine-grained access control refuses {ROLE} (backend roles: {ROLE})",
                "permits indices:admin/index_template/put",
                f"Map {ROLE} to the roles all_access and security_manager",
                "DomainAdminRoleArn=",
                "PrepareDomain=command",
                "audit-search setup",
            ],
            id="role mapping",
        ),
        pytest.param(
            403,
            security("no permissions for [cluster:monitor/main] and User [name=maria, backend_roles=[], requestedTenant=null]"),
            ["refuses maria: no role", "Map maria to"],
            id="user without roles",
        ),
        pytest.param(
            403,
            {
                "status": "FORBIDDEN",
                "message": f"No permission to access REST API: User {ROLE} with Security roles [own_index] does not have any "
                "role privileged for admin access. No client TLS certificate found in request",
            },
            [f"security API refuses {ROLE}, which is no administrator", f"Map {ROLE} to"],
            id="security API",
        ),
        pytest.param(
            403,
            {"Message": f"User: {SESSION} is not authorized to perform: es:ESHttpPut because no identity-based policy allows it"},
            [
                f"Amazon refuses {SESSION} before the engine is asked",
                "es:ESHttpPut",
                "IAM and the domain's access policy",
                f"for {ROLE}",
            ],
            id="IAM",
        ),
        pytest.param(
            403,
            {
                "Message": f"User: {SESSION} is not authorized to perform: es:ESHttpGet because no resource-based policy "
                "allows the es:ESHttpGet action"
            },
            ["the domain's access policy, and no IAM policy of the caller", f"es:ESHttp* on the domain for {ROLE}"],
            id="access policy",
        ),
        pytest.param(
            403,
            {
                "Message": f"User: {SESSION} is not authorized to perform: es:ESHttpGet with an explicit deny in a "
                "resource-based policy"
            },
            ["An explicit Deny stands in the way"],
            id="explicit deny",
        ),
        pytest.param(
            403,
            {"Message": "User: anonymous is not authorized to perform: es:ESHttpGet because no resource-based policy allows it"},
            ["The request was not signed: set OPENSEARCH_AUTH=aws"],
            id="unsigned",
        ),
        pytest.param(
            403,
            {"message": "The security token included in the request is invalid."},
            ["signature is refused", "Check the credentials, their region and this machine's clock"],
            id="token",
        ),
        pytest.param(
            403,
            {"message": "Signature expired: 20261103T080000Z is now earlier than 20261103T081500Z"},
            ["signature is refused: Signature expired", "clock"],
            id="clock",
        ),
        pytest.param(401, "Unauthorized", ["The log-in is refused: Unauthorized", "OPENSEARCH_AUTH"], id="password"),
        pytest.param(401, None, ["no reason is given"], id="401 without a word"),
        pytest.param(403, "<html>Forbidden</html>", ["The request is refused: <html>Forbidden</html>", "all_access"], id="page"),
        pytest.param(302, "", ["redirect", "log-in page"], id="redirect"),
        pytest.param(200, "<html>", ["is not OpenSearch"], id="another product"),
        pytest.param(500, {"error": "x"}, ["HTTP 500: x"], id="5xx"),
        pytest.param(404, None, ["HTTP 404"], id="nothing said"),
    ],
)
def test_a_refusal_says_who_and_where_and_what_to_do(status: int, answer: Any, says: list[str]) -> None:
    """IAM and the role mappings are different layers with different remedies; the request and its status are named."""
    text = explain("PUT", "/_index_template/cloudtrail?x=y", status, answer)
    for part in [*says, "PUT /_index_template/cloudtrail"]:
        assert part in text
    assert "x=y" not in text


def test_the_causes_of_a_reason_are_said() -> None:
    """A wrapped error shows what it wraps, in one line of bounded length."""
    answer = {"error": {"reason": "failed", "caused_by": {"reason": "because\nof this", "caused_by": {"reason": "and that"}}}}
    assert said(answer) == "failed: because of this: and that"
    assert len(said({"error": {"reason": "x" * 5_000}})) == 600


@pytest.mark.parametrize(
    ("status", "answer", "does"),
    [
        (429, {}, True),
        (500, None, True),
        (503, "OpenSearch Security not initialized.", True),
        (403, {"message": "Request throttled due to too many requests"}, True),
        (403, {"message": "no"}, False),
        (400, {}, False),
        (200, {}, False),
    ],
)
def test_some_refusals_pass(status: int, answer: Any, does: bool) -> None:
    """Overload and starting pass by themselves, a missing permission does not."""
    assert passes(status, answer) is does


@pytest.mark.parametrize(
    ("status", "answer", "absent"),
    [
        (400, {"error": "no handler found for uri [/_plugins/_ism/policies/x] and method [GET]"}, True),
        (404, None, True),
        (404, "", True),
        (404, {"error": {"reason": "Policy not found"}, "status": 404}, False),
        (404, {"status": "NOT_FOUND", "message": "role 'x' not found."}, False),
        (405, {"message": "method not allowed"}, True),
        (400, {"error": {"reason": "malformed"}, "status": 400}, False),
        (200, {}, False),
    ],
)
def test_a_plugin_that_is_missing_is_told_from_an_object_that_is(status: int, answer: Any, absent: bool) -> None:
    """Both answer with 404 at times."""
    assert absent_handler(status, answer) is absent


def test_what_amazon_does_not_offer_is_recognised() -> None:
    """A domain without fine-grained access control says so in words of its own."""
    answer = {"Message": "Your request: '/_plugins/_security/api/roles/x' is not allowed."}
    assert not_offered(401, answer)
    assert not not_offered(401, {"Message": "no"})
    assert not not_offered(200, answer)
