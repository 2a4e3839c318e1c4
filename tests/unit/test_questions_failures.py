"""What an error means: each way in which AWS says that a call was denied, limits, throttling, dry runs and the rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_search_cli.questions import denials, failures
from audit_search_cli.questions.denials import Denial
from audit_search_cli.questions.events import Event
from tests.support.incidents import call, user
from tests.support.questions import SAMPLES, SHARED, records

MARY = "arn:aws:iam::123456789012:user/MaryMajor"
WHO = f"User: {MARY} is not authorized to perform: "
SECRET = "arn:aws:secretsmanager:us-west-1:123456789012:secret:prod/db-a1b2c3"
CODED = "XQ_jqde5rHje6j9P-qke7-HNpHWzSWvxYobhcCPSpfOmLTkOylRBKd0eE4Xx4U_E"
POLICY = "arn:aws:iam::123456789012:policy/ExampleDenyPolicy"
SCP_ARN = "arn:aws:organizations::987654321098:policy/o-qv5af4abcd/service_control_policy/p-2kgnabcd"
RCP_ARN = "arn:aws:organizations::987654321098:policy/o-qv5af4abcd/resource_control_policy/p-7fgtabcd"
PROFILE = "arn:aws:iam::123456789012:instance-profile/mine"
BY, NONE = "with an explicit deny in", "because no identity-based policy allows"

TEXTS: dict[str, tuple[str, Denial]] = {
    "bare": ("Access Denied", Denial()),
    "without a kind of policy": (
        f"{WHO}iam:CreateAccessKey on resource: user alice",
        Denial(MARY, "iam:CreateAccessKey", "user alice"),
    ),
    "no identity-based policy": (
        (f"{WHO}secretsmanager:GetSecretValue on resource: {SECRET} {NONE} the secretsmanager:GetSecretValue action"),
        Denial(MARY, "secretsmanager:GetSecretValue", SECRET, denials.IMPLICIT, denials.IDENTITY),
    ),
    "an identity-based policy": (
        f"{WHO}secretsmanager:GetSecretValue on resource: {SECRET} {BY} an identity-based policy",
        Denial(MARY, "secretsmanager:GetSecretValue", SECRET, denials.EXPLICIT, denials.IDENTITY),
    ),
    "an identity-based policy with its ARN": (
        (f"{WHO}iam:CreateInstanceProfile on resource: {PROFILE} {BY} an identity-based policy: {POLICY}"),
        Denial(
            MARY,
            "iam:CreateInstanceProfile",
            PROFILE,
            denials.EXPLICIT,
            denials.IDENTITY,
            POLICY,
        ),
    ),
    "an authorization id": (
        (
            f"{WHO}iam:CreateInstanceProfile on resource: {PROFILE} {BY} an "
            f"identity-based policy: {POLICY}. Go to https://us-east-1.console.aws.amazon.com/iam/home?region=us-east-1#/"
            "authorization-details/example1a2b3c4d5e6f7g8h9i0j for complete details, or call the "
            f"GetRequestAuthorizationDetails API "
            "with the following authorization id: example1a2b3c4d5e6f7g8h9i0j"
        ),
        Denial(
            MARY,
            "iam:CreateInstanceProfile",
            PROFILE,
            denials.EXPLICIT,
            denials.IDENTITY,
            POLICY,
            authorization="example1a2b3c4d5e6f7g8h9i0j",
        ),
    ),
    "a service control policy": (
        f"{WHO}iam:ListRoles on resource: arn:aws:iam::123456789012:role/* {BY} a service control policy",
        Denial(MARY, "iam:ListRoles", "arn:aws:iam::123456789012:role/*", denials.EXPLICIT, denials.SCP),
    ),
    "a service control policy with its ARN": (
        f"{WHO}iam:ListRoles on resource: arn:aws:iam::123456789012:role/* {BY} a service control policy: {SCP_ARN}",
        Denial(MARY, "iam:ListRoles", "arn:aws:iam::123456789012:role/*", denials.EXPLICIT, denials.SCP, SCP_ARN),
    ),
    "a service control policy in its older words": (
        (
            f"{WHO}rds:CreateDBInstance on resource: arn:aws:rds:eu-west-1:123456789012:db:x due to an "
            f"explicit deny in a Service Control "
            "Policy"
        ),
        Denial(MARY, "rds:CreateDBInstance", "arn:aws:rds:eu-west-1:123456789012:db:x", denials.EXPLICIT, denials.SCP),
    ),
    "no service control policy": (
        f"{WHO}codecommit:ListRepositories because no service control policy allows the codecommit:ListRepositories action",
        Denial(MARY, "codecommit:ListRepositories", "", denials.IMPLICIT, denials.SCP),
    ),
    "a resource control policy of S3, in quotes": (
        (f'{WHO}s3:PutObject on resource: "arn:aws:s3:::example/report 1.txt" {BY} a resource control policy: {RCP_ARN}'),
        Denial(MARY, "s3:PutObject", "arn:aws:s3:::example/report 1.txt", denials.EXPLICIT, denials.RCP, RCP_ARN),
    ),
    "S3 with a quoted ARN": (
        (f'{WHO}s3:GetObject on resource: "arn:aws:s3:::example/a, because no b.txt" {NONE} the s3:GetObject action'),
        Denial(MARY, "s3:GetObject", "arn:aws:s3:::example/a, because no b.txt", denials.IMPLICIT, denials.IDENTITY),
    ),
    "S3 Block Public Access": (
        (
            f'{WHO}s3:PutBucketPolicy on resource: "arn:aws:s3:::example" because public policies are '
            f"prevented by the BlockPublicPolicy "
            "setting in S3 Block Public Access."
        ),
        Denial(MARY, "s3:PutBucketPolicy", "arn:aws:s3:::example", policy=denials.PUBLIC_ACCESS, setting="BlockPublicPolicy"),
    ),
    "a resource-based policy": (
        f"{WHO}s3:PutObject on resource: arn:aws:s3:::example/x {BY} a resource-based policy",
        Denial(MARY, "s3:PutObject", "arn:aws:s3:::example/x", denials.EXPLICIT, denials.RESOURCE),
    ),
    "KMS": (
        (
            f"{WHO}kms:Decrypt on resource: "
            f"arn:aws:kms:us-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab because no "
            "resource-based policy allows the kms:Decrypt action"
        ),
        Denial(
            MARY,
            "kms:Decrypt",
            "arn:aws:kms:us-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            denials.IMPLICIT,
            denials.RESOURCE,
        ),
    ),
    "KMS by another service": (
        f"{WHO}kms:GenerateDataKey on this resource {NONE} the kms:GenerateDataKey action",
        Denial(MARY, "kms:GenerateDataKey", "", denials.IMPLICIT, denials.IDENTITY),
    ),
    "a VPC endpoint policy": (
        f"{WHO}s3:GetObject because no VPC endpoint policy allows the s3:GetObject action",
        Denial(MARY, "s3:GetObject", "", denials.IMPLICIT, denials.ENDPOINT),
    ),
    "a VPC endpoint policy that denies": (
        (
            f"{WHO}codedeploy:ListDeployments on resource: arn:aws:codedeploy:us-west-1:123456789012:group:a {BY} a "
            "VPC endpoint policy"
        ),
        Denial(
            MARY,
            "codedeploy:ListDeployments",
            "arn:aws:codedeploy:us-west-1:123456789012:group:a",
            denials.EXPLICIT,
            denials.ENDPOINT,
        ),
    ),
    "a network event": ("The request was denied due to a VPC endpoint policy", Denial(policy=denials.ENDPOINT)),
    "a permissions boundary": (
        f"{WHO}codecommit:ListRepositories {BY} a permissions boundary: {POLICY}",
        Denial(MARY, "codecommit:ListRepositories", "", denials.EXPLICIT, denials.BOUNDARY, POLICY),
    ),
    "no permissions boundary": (
        f"{WHO}codecommit:ListRepositories because no permissions boundary allows the codecommit:ListRepositories action",
        Denial(MARY, "codecommit:ListRepositories", "", denials.IMPLICIT, denials.BOUNDARY),
    ),
    "a session policy": (
        f"{WHO}codecommit:ListRepositories because no session policy allows the codecommit:ListRepositories action",
        Denial(MARY, "codecommit:ListRepositories", "", denials.IMPLICIT, denials.SESSION),
    ),
    "AssumeRole": (
        f"{WHO}sts:AssumeRole on resource: arn:aws:iam::123456789012:role/admin",
        Denial(MARY, "sts:AssumeRole", "arn:aws:iam::123456789012:role/admin"),
    ),
    "a role's trust policy": (
        f"{WHO}sts:AssumeRole because no role trust policy allows the sts:AssumeRole action",
        Denial(MARY, "sts:AssumeRole", "", denials.IMPLICIT, denials.TRUST),
    ),
    "a web identity": (
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        Denial(action="sts:AssumeRoleWithWebIdentity"),
    ),
    "an encoded message alone": (
        f"You are not authorized to perform this operation. Encoded authorization failure message: {CODED}",
        Denial(encoded=CODED),
    ),
    "an encoded message that was cut": (
        f"You are not authorized to perform this operation. Encoded authorization failure message: {CODED}...",
        Denial(encoded=CODED, cut=True),
    ),
    "an encoded message behind words": (
        (
            f"You are not authorized to perform this operation. {WHO}ec2:RunInstances on resource: "
            f"arn:aws:ec2:us-east-1:123456789012:"
            f"instance/* {BY} a service control policy. Encoded authorization failure message: {CODED}"
        ),
        Denial(
            MARY,
            "ec2:RunInstances",
            "arn:aws:ec2:us-east-1:123456789012:instance/*",
            denials.EXPLICIT,
            denials.SCP,
            encoded=CODED,
        ),
    ),
    "a text that pretends": (
        "because no friend allows; explicit deny in a cake; on resource",
        Denial(),
    ),
}
KINDS = {
    "AccessDenied": failures.DENIED,
    "AccessDeniedException": failures.DENIED,
    "Client.UnauthorizedOperation": failures.DENIED,
    "AuthorizationError": failures.DENIED,
    "VpceAccessDenied": failures.DENIED,
    "Client.InstanceLimitExceeded": failures.LIMIT,
    "Client.VcpuLimitExceeded": failures.LIMIT,
    "Client.VpcLimitExceeded": failures.LIMIT,
    "LimitExceededException": failures.LIMIT,
    "ServiceQuotaExceededException": failures.LIMIT,
    "TooManyBuckets": failures.LIMIT,
    "Client.RequestLimitExceeded": failures.THROTTLED,
    "ThrottlingException": failures.THROTTLED,
    "TooManyRequestsException": failures.THROTTLED,
    "SlowDown": failures.THROTTLED,
    "Server.InsufficientInstanceCapacity": failures.CAPACITY,
    "InsufficientFreeAddressesInSubnet": failures.CONFLICT,
    "Client.InvalidParameterValue": failures.INVALID,
    "ValidationException": failures.INVALID,
    "Client.InvalidInstanceID.NotFound": failures.MISSING,
    "NoSuchBucketPolicy": failures.MISSING,
    "ResourceNotFoundException": failures.MISSING,
    "TrailNotFoundException": failures.MISSING,
    "Client.DryRunOperation": failures.DRY_RUN,
    "BucketNotEmpty": failures.CONFLICT,
    "EntityAlreadyExists": failures.CONFLICT,
    "Client.OperationNotPermitted": failures.CONFLICT,
    "Client.Unsupported": failures.UNSUPPORTED,
    "ExpiredToken": failures.CREDENTIALS,
    "Client.AuthFailure": failures.CREDENTIALS,
    "InternalFailure": failures.SERVICE,
    "Hmm": failures.UNKNOWN,
}


def event(**more: Any) -> Event:
    """A failed call of EC2's RunInstances unless `more` says otherwise."""
    api = f"{more.pop('service', 'ec2')}:{more.pop('name', 'RunInstances')}"
    record = call("e1", "10:00:00", api, user("alice"), **more)
    time = datetime(2026, 11, 20, 10, tzinfo=UTC)

    return Event(
        "e1", "index", int(time.timestamp() * 1_000), time, json.dumps(record), {"outcome": "failure", "caller": "alice"}
    )


@pytest.mark.parametrize("name", TEXTS)
def test_a_denial_is_read_in_each_of_its_forms(name: str) -> None:
    """Principal, action, resource, effect, policy and its ARN are exactly those of the text, and nothing is invented."""
    text, expected = TEXTS[name]
    assert denials.read(text) == expected
    assert denials.meaning(expected)


@pytest.mark.parametrize("code", KINDS)
def test_a_code_has_one_kind(code: str) -> None:
    """Limits, throttling and what is not valid are told apart, whatever stands before the code."""
    assert failures.kind_of(code, "") == KINDS[code]
    assert failures.kind_of(f"com.amazonaws.x/{code}", "") == KINDS[code]


def test_what_no_policy_is_named_for_is_not_guessed() -> None:
    """The bare denial and the encoded one say that they do not tell; one with its policy does not."""
    bare = failures.of(event(errorCode="AccessDenied", errorMessage="Access Denied", service="s3", name="GetObject"))
    assert bare.meaning == ("Denied: at least s3:GetObject is not allowed to this caller.",)
    assert any("Which policy denied is not said" in text for text in bare.unknown)
    coded = failures.of(event(errorCode="Client.UnauthorizedOperation", errorMessage=TEXTS["an encoded message alone"][0]))
    assert any("--decode" in text for text in coded.unknown)
    cut = failures.of(event(errorCode="Client.UnauthorizedOperation", errorMessage=TEXTS["an encoded message that was cut"][0]))
    assert any("nobody can decode" in text for text in cut.unknown)
    named = failures.of(event(errorCode="AccessDenied", errorMessage=TEXTS["a service control policy with its ARN"][0]))
    assert named.unknown == ()
    assert f"a Deny statement in a service control policy {SCP_ARN} forbids iam:ListRoles" in named.meaning[0]
    assert "management account" in named.meaning[1]


def test_kms_says_the_same_of_a_missing_key_and_a_denial() -> None:
    """So both are said, and neither is chosen."""
    text = "The ciphertext refers to a customer master key that does not exist, or you are not allowed to access."
    found = failures.of(event(service="kms", name="Decrypt", errorCode="AccessDenied", errorMessage=text))
    assert found.kind == failures.DENIED
    assert "or there is no such key" in found.meaning[0]
    assert found.unknown


def test_a_dry_run_is_no_failure() -> None:
    """DryRunOperation says that the call would have succeeded, which is not a denial."""
    text = "Request would have succeeded, but DryRun flag is set."
    found = failures.of(event(errorCode="Client.DryRunOperation", errorMessage=text))
    assert found.kind == failures.DRY_RUN
    assert "would have succeeded" in found.meaning[0]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("Failed authentication", "the password or the second factor"),
        ("No username found in supplied account", "no user of this name"),
        ("Something new", "Sign-in failed: Something new."),
        ("", "no reason is given"),
    ],
)
def test_a_sign_in_that_failed_says_what_is_known(message: str, says: str) -> None:
    """AWS does not say which of password and second factor was wrong."""
    more = {"errorMessage": message, "responseElements": {"ConsoleLogin": "Failure"}, "additionalEventData": {"MFAUsed": "No"}}
    found = failures.of(event(service="signin", name="ConsoleLogin", **more))
    assert found.kind == failures.SIGN_IN
    assert says in found.meaning[0]
    assert found.meaning[1] == "With a second factor: No."


@pytest.mark.parametrize("folder", [SAMPLES, SHARED], ids=["samples", "shared"])
def test_most_denials_of_real_records_are_read(folder: Any) -> None:
    """Each denial has an action; those that name a policy in their words have it; each error is of a known kind or says not."""
    for record in records(folder).values() if folder.exists() else ():
        code, message = str(record.get("errorCode") or ""), str(record.get("errorMessage") or "")
        if not code or code == "200":
            continue
        kind = failures.kind_of(code, message)
        assert kind != failures.UNKNOWN or code in ("InvocationDoesNotExist",), code
        if kind == failures.DENIED:
            found = denials.read(message)
            assert bool(found.policy) == (" policy" in message or "permissions boundary" in message), message
            assert ("Encoded" in message) == bool(found.encoded)
            assert not found.principal or f"User: {found.principal} " in message
