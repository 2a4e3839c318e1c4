"""To whom a policy document in a record opens something."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from audit_search.alerts.policies import open_to_everybody, open_to_others, statements

OWN = "111122223333"
OTHER = "999988887777"


def allows(principal: Any, condition: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:*", "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": [statement if condition is None else {**statement, "Condition": condition}]}


@pytest.mark.parametrize(
    "document",
    [
        allows("*"),
        allows({"AWS": "*"}),
        allows({"AWS": [f"arn:aws:iam::{OWN}:root", "*"]}),
        allows("*", {"Bool": {"aws:SecureTransport": "true"}}),
        allows("*", {"StringEquals": {"sts:ExternalId": "secret"}}),
        {"Statement": {"Effect": "Allow", "NotPrincipal": {"AWS": OTHER}, "Action": "*", "Resource": "*"}},
    ],
)
def test_everybody(document: dict[str, Any]) -> None:
    """Every principal is let in, whatever else the condition asks for, and the document may be text, percent-encoded or not."""
    assert open_to_everybody(document)
    assert open_to_others(document, OWN)
    assert open_to_everybody(json.dumps(document))
    assert open_to_everybody(quote(json.dumps(document)))


@pytest.mark.parametrize(
    "document",
    [
        allows({"AWS": OTHER}),
        allows({"AWS": f"arn:aws:iam::{OTHER}:root"}),
        allows({"AWS": [f"arn:aws:iam::{OWN}:root", f"arn:aws-cn:iam::{OTHER}:role/deep/Deploy"]}),
        allows({"AWS": f"arn:aws:sts::{OTHER}:assumed-role/Deploy/morgan"}, {"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
        allows({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}),
    ],
)
def test_another_account(document: dict[str, Any]) -> None:
    """Another account is named, which is not everybody."""
    assert open_to_others(document, OWN)
    assert not open_to_everybody(document)


@pytest.mark.parametrize(
    "document",
    [
        allows({"AWS": OWN}),
        allows({"AWS": f"arn:aws:iam::{OWN}:role/Deploy"}),
        allows({"AWS": "AROAEXAMPLEEXAMPLE001"}),
        allows({"Service": "lambda.amazonaws.com"}),
        allows({"Federated": f"arn:aws:iam::{OWN}:saml-provider/example"}),
        allows("*", {"StringEquals": {"AWS:PrincipalOrgID": "o-a1b2c3d4e5"}}),
        allows("*", {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::amzn-s3-demo-bucket"}}),
        allows("*", Effect="Deny"),
        allows({"AWS": OTHER}, Effect="Deny"),
        {},
        {"Statement": None},
        {"Statement": ["*", 5, {"Effect": "Allow"}]},
        allows([{"AWS": "*"}]),
    ],
)
def test_nobody_else(document: dict[str, Any]) -> None:
    """The account itself, services, and everybody whom a condition narrows to some."""
    assert not open_to_others(document, OWN)
    assert not open_to_everybody(document)


@pytest.mark.parametrize(
    "document", [None, 5, True, [], "", "no JSON", '"text"', "[1]", "%7Bno JSON", "[" * 100_000, '{"a":' * 100_000]
)
def test_what_is_no_policy_has_no_statements(document: object) -> None:
    """A log may hold anything there."""
    assert list(statements(document)) == []
    assert not open_to_others(document, OWN)
