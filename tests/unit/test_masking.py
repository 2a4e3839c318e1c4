"""Masking: each kind of secret is found by its key, by its name in a text or by its form; what AWS Support needs stays."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_search_cli.questions import confidential
from audit_search_cli.questions.confidential import KINDS, mark
from audit_search_cli.questions.masking import in_words, masked

TOKEN = "IQoJb3JpZ2luX2VjEHoaCWV1LXdlc3QtMSJHMEUCIQD0aVmZ3q"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLWhlcmU"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq\n-----END RSA PRIVATE KEY-----"
CODED = "XQ_jqde5rHje6j9P-qke7-HNpHWzSWvxYobhcCPSpfOmLTkOylRBKd0eE4Xx4U_E"
ASSERTION = '<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion">dana</saml2:Assertion>'
URL = "https://payroll.s3.eu-central-1.amazonaws.com/2026.csv?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=600"
ARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/db-a1b2c3"

BY_KEY = {
    "a password": ({"masterUserPassword": "Tr0ub4dor&3"}, "password", "Tr0ub4dor&3"),
    "a password that is a number": ({"newPassword": 90210777}, "password", "90210777"),
    "several passwords": ({"passwords": ["first-one-1", "second-one-2"]}, "password", "second-one-2"),
    "a secret's text": ({"SecretString": '{"user": "a", "pass": "w0rdw0rd"}'}, "secret", "w0rdw0rd"),
    "a secret's bytes": ({"secretBinary": "c2VjcmV0LWJ5dGVz"}, "secret", "c2VjcmV0LWJ5dGVz"),
    "a secret access key": ({"accessKey": {"secretAccessKey": "wJalrXUtnFEMI/K7MDENG"}}, "secret", "wJalrXUtnFEMI/K7MDENG"),
    "a client's secret": ({"oidc": {"clientSecret": "s3cr3ts3cr3t"}}, "secret", "s3cr3ts3cr3t"),
    "an API key": ({"x-api-key": "k-99887766"}, "secret", "k-99887766"),
    "a session token": ({"credentials": {"sessionToken": "FwoG-anything"}}, "session token", "FwoG-anything"),
    "a token": ({"nextToken": "AAEAAWTrG1XzfC"}, "token", "AAEAAWTrG1XzfC"),
    "a web identity's token": ({"webIdentityToken": "opaque-token-1"}, "token", "opaque-token-1"),
    "a private key": ({"keyMaterial": "MIIEowIBAAKCAQEA7bq"}, "private key", "MIIEowIBAAKCAQEA7bq"),
    "the plain text of a data key": ({"plaintext": "VGhpcyBpcyBpdA=="}, "private key", "VGhpcyBpcyBpdA=="),
    "user data": ({"userData": {"value": "IyEvYmluL3NoCmV4cG9ydA=="}}, "user data", "IyEvYmluL3NoCmV4cG9ydA=="),
    "an object that is a password": ({"password": {"clear": ["w0rdw0rd"]}}, "password", "w0rdw0rd"),
    "a SAML assertion": (
        {"sAMLAssertionID": "x", "sAMLAssertion": "PHNhbWwycDpSZXNwb25z"},
        "SAML assertion",
        "PHNhbWwycDpSZXNwb25z",
    ),
    "an MFA code": ({"tokenCode": "493817"}, "MFA code", "493817"),
    "the codes that begin an MFA device": ({"authenticationCode1": "112299"}, "MFA code", "112299"),
    "an answer to a challenge": ({"challengeResponses": {"SMS_MFA_CODE": 493817}}, "MFA code", "493817"),
    "a device's code": ({"deviceCode": "AbCdEf-012345"}, "token", "AbCdEf-012345"),
    "a registry's sign-in": ({"authorizationData": [{"authorizationToken": "QVdTOmV5"}]}, "credentials", "QVdTOmV5"),
    "a cookie": ({"headers": {"Set-Cookie": "sid=0f1e2d3c; Path=/"}}, "cookie", "0f1e2d3c"),
    "an encoded message": ({"encodedMessage": CODED}, "encoded message", CODED),
    "a decoded message": ({"decodedMessage": '{"allowed": false}'}, "encoded message", "allowed"),
    "an authorization id": ({"authorizationId": "a1b2c3d4e5f6"}, "authorization id", "a1b2c3d4e5f6"),
    "a header": ({"Authorization": "Basic YWxpY2U6cGFzcw=="}, "credentials", "YWxpY2U6cGFzcw=="),
    "a signature": ({"X-Amz-Signature": "113c828c209febfae03c"}, "signature", "113c828c209febfae03c"),
    "a variable of a function": ({"variables": {"DB_PASSWORD": "w0rdw0rd", "HOST": "db"}}, "password", "w0rdw0rd"),
    "a pair of name and value": ([{"name": "DB_PASSWORD", "value": "w0rdw0rd"}], "password", "w0rdw0rd"),
    "a stack's parameter": ([{"parameterKey": "ApiToken", "parameterValue": "t-1234567"}], "token", "t-1234567"),
    "a secure string": ({"name": "/prod/db", "type": "SecureString", "value": "w0rdw0rd"}, "secret", "w0rdw0rd"),
    "a key with signs in it": ({"pass\u200bword": "w0rdw0rd"}, "password", "w0rdw0rd"),
}
IN_TEXT = {
    "an encoded message": (f"You are not authorized. Encoded authorization failure message: {CODED}", "encoded message", CODED),
    "a part of one": ("Encoded authorization failure message: XQ_jqde5rH...", "encoded message", "XQ_jqde5rH"),
    "an authorization id": ("User: x is not authorized (authorization id: az1b2c3d4)", "authorization id", "az1b2c3d4"),
    "a link to it": ("see https://console.aws.amazon.com/authorization-details/az1b2c3d4", "authorization id", "az1b2c3d4"),
    "a signature of a URL": (f"{URL}&X-Amz-Signature=113c828c209f", "signature", "113c828c209f"),
    "a token of a URL": (f"{URL}&X-Amz-Security-Token=AgoGb3", "session token", "AgoGb3"),
    "a URL in a URL": (quote(f"{URL}&X-Amz-Signature=113c828c209f", safe=""), "signature", "113c828c209f"),
    "the rest of a signed URL": (f"{URL}&x=1", "query value", "600"),
    "a URL of before": ("https://b.s3.amazonaws.com/k?AWSAccessKeyId=AKIA&Signature=vjbyPxybdZaN", "signature", "vjbyPxybdZaN"),
    "a signed header": ("Credential=AKIA/20261120, SignedHeaders=host, Signature=fe5f80f77d5f", "signature", "fe5f80f77d5f"),
    "a bearer": ("called with Bearer mF_9.B5f-4.1JqM-abcdef", "token", "mF_9.B5f-4.1JqM-abcdef"),
    "the credentials of a URL": (f"{URL}&X-Amz-Credential=AKIAX%2F20261120", "credentials", "20261120"),
    "a sign-in's code": ("https://app.example.com/?code=4-0AY0e-g7AbCdEf012&state=x", "token", "4-0AY0e-g7AbCdEf012"),
    "a hook": ("https://hooks.slack.com/services/T0/B0/aBcDeF", "token", "aBcDeF"),
    "a user with a password": ("curl -u app:w0rdw0rd https://x", "credentials", "w0rdw0rd"),
    "an MFA code": ("the MFA code is 493817", "MFA code", "493817"),
    "an element of XML": ("<ike><pre_shared_key>w0rd w0rd</pre_shared_key></ike>", "private key", "w0rd w0rd"),
    "a variable": ("export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "secret", "wJalrXUtnFEMI/K7MDENG"),
    "a header": ("Authorization: Basic YWxpY2U6cGFzcw==", "credentials", "YWxpY2U6cGFzcw=="),
    "a cookie": ("Cookie: sid=0f1e2d3c; theme=dark", "cookie", "0f1e2d3c"),
    "a token by its form": (f"the token {TOKEN} is expired", "session token", TOKEN),
    "a JSON web token": (f"invalid {JWT} given", "token", JWT),
    "a private key": (f"key:\n{PEM}\nend", "private key", "MIIEowIBAAKCAQEA7bq"),
    "a private key that is cut": (PEM[:60], "private key", "MIIEowIBAAKCAQEA7bq"),
    "an assertion": (f"got {ASSERTION}", "SAML assertion", "dana"),
    "a password with =": ("--set db.password=w0rdw0rd --wait", "password", "w0rdw0rd"),
    "a password with :": ("password: w0rdw0rd is too weak", "password", "w0rdw0rd"),
    "a password in quotes": ("password = 'w0rd w0rd'", "password", "w0rd w0rd"),
    "a connection": ("Server=db;User=a;Password=w0rdw0rd;", "password", "w0rdw0rd"),
    "an option": ("mysql --user a --password w0rdw0rd", "password", "w0rdw0rd"),
    "a secret access key": ("Secret access key: wJalrXUtnFEMI/K7MDENG", "secret", "wJalrXUtnFEMI/K7MDENG"),
    "the user of a URL": ("postgres://app:w0rdw0rd@db.internal:5432/x", "credentials", "w0rdw0rd"),
    "JSON": (json.dumps({"a": [{"Password": "w0rdw0rd"}]}), "password", "w0rdw0rd"),
    "JSON in JSON in JSON": (json.dumps(json.dumps({"in": json.dumps({"Password": "w0rdw0rd"})})), "password", "w0rdw0rd"),
    "JSON as a URL has it": (quote(json.dumps({"Password": "w0rdw0rd"})), "password", "w0rdw0rd"),
    "JSON that is cut": ('{"a": 1, "password": "w0rd\\"w0rd", "b', "password", "w0rd"),
    "JSON in a text": ('failed with {"password":"w0rdw0rd"}', "password", "w0rdw0rd"),
    "JSON with escapes that is cut": ('{\\"password\\":\\"w0rdw0rd\\",\\"b', "password", "w0rdw0rd"),
    "a key that stands twice": ('{"password": "w0rdw0rd", "password": "****"}', "password", "w0rdw0rd"),
    "a key written in escapes": ('{"p\\u0061ssword": "w0rdw0rd"}', "password", "w0rdw0rd"),
}
STAYS: dict[str, Any] = {
    "ids": {"requestID": "b661c28e-f4d0-4610-94db-29eb77ba96fc", "eventID": "eb612352-4142-43a5-9128-063657374dfc"},
    "S3's ids": {"x-amz-request-id": "46C2E6A2F1D3", "x-amz-id-2": "pnMvYQv1cdXEl8F9gYgqL0jVkqE="},
    "accounts and key ids": {"accountId": "111122223333", "accessKeyId": "ASIAZN532BEUKEXAMPLE", "keyId": "alias/aws/s3"},
    "ARNs": {"secretId": ARN, "SecretARN": ARN, "clientSecret": ARN, "text": f"on resource: {ARN} because"},
    "tokens by which a call is made once": {"clientToken": "5dd59182", "clientRequestToken": "x1", "idempotencyToken": "y2"},
    "words about passwords": {"PasswordUpdated": "Success", "minimumPasswordLength": 14, "passwordPolicy": {"expire": False}},
    "words about tokens": {"httpTokens": "required", "tokenType": "x", "maxTokens": 100},
    "what AWS hid": {"masterUserPassword": "****", "tokenValue": "Value hidden due to security reasons."},
    "what AWS took out": {"keyMaterial": "<sensitiveDataRemoved>", "sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS"},
    "nothing": {"password": None, "secret": "", "token": False},
    "an MFA device": {"serialNumber": "arn:aws:iam::111122223333:mfa/dana", "mfaAuthenticated": "true"},
    "how it was signed": {"SignatureVersion": "SigV4", "AuthenticationMethod": "AuthHeader"},
    "sentences": [
        "The security token included in the request is invalid",
        "User: arn:aws:iam::111122223333:user/a is not authorized to perform: sts:AssumeRole on resource: x",
        "Failed authentication",
        "The provided token has expired. Request ID: 0f1e2d3c",
    ],
    "a secret's name": {"resourceName": "secret:prod/db-a1b2c3", "masterUserSecret": {"secretStatus": "active"}},
    "a URL": ["https://sqs.eu-central-1.amazonaws.com/111122223333/queue?Action=SendMessage"],
    "XML": ["<tunnel><ike_version>2</ike_version><token_type>x</token_type><a/></tunnel>"],
    "texts like JSON": ["{", "[1, 2", '"', "%7B", "{}", '{"a": 1}', "[]"],
    "numbers": [1, 1.5, True, None, "007"],
}


@pytest.mark.parametrize("name", BY_KEY)
def test_a_key_tells_what_it_holds(name: str) -> None:
    """The value is masked as its kind, counted, and gone."""
    value, kind, secret = BY_KEY[name]
    found = masked(value)
    assert secret not in json.dumps(found.document)
    assert mark(kind) in json.dumps(found.document)
    assert kind in found.kinds
    assert kind in {each for _, each in found.places}


@pytest.mark.parametrize("name", IN_TEXT)
def test_a_text_tells_what_it_has(name: str) -> None:
    """The secret is gone, alone and within a record, and what stands around it is not."""
    text, kind, secret = IN_TEXT[name]
    assert secret not in in_words(text)
    found = masked({"errorMessage": text, "requestParameters": {"list": [text]}})
    assert secret not in json.dumps(found.document)
    assert kind in found.kinds


@pytest.mark.parametrize("name", STAYS)
def test_what_is_needed_stays(name: str) -> None:
    """It is the same document, and nothing is counted."""
    found = masked(STAYS[name])
    assert found.document == STAYS[name]
    assert (found.kinds, found.places) == ({}, ())


def test_each_kind_has_a_case() -> None:
    """A kind without one would be a kind that nothing is known of."""
    assert {kind for _, kind, _ in (*BY_KEY.values(), *IN_TEXT.values())} == set(KINDS) - {confidential.DEEP}


def test_a_secret_is_masked_wherever_it_stands_again() -> None:
    """In a message without its name, and in another document; as a part of another word it is none."""
    found = masked([{"newPassword": "w0rdw0rd"}, {"errorMessage": "w0rdw0rd is too simple, but xw0rdw0rdx is not"}])
    assert found.document[1]["errorMessage"] == "[masked: password] is too simple, but xw0rdw0rdx is not"
    assert found.kinds == {"password": 1}
    assert found.places == (("[0].newPassword", "password"), ("[1].errorMessage", "password"))


def test_what_has_to_stay_stays_where_a_secret_is_the_same() -> None:
    """A password that is the user's name is masked as a password, and the name stays."""
    found = masked({"userName": "reporter", "password": "reporter"}, keep=["arn:aws:iam::111122223333:user/reporter"])
    assert found.document == {"userName": "reporter", "password": "[masked: password]"}


def test_what_lies_too_deep_is_masked_whole() -> None:
    """Neither a deep tree nor texts in texts hide anything."""
    tree: Any = {"password": "w0rdw0rd"}
    for _ in range(100):
        tree = {"a": tree}
    text = "w0rdw0rd-in-json"
    for _ in range(9):
        text = json.dumps({"Password": text} if text == "w0rdw0rd-in-json" else [text])
    for value in (tree, text):
        found = masked(value)
        assert "w0rdw0rd" not in json.dumps(found.document)
        assert confidential.DEEP in found.kinds


def test_keys_that_become_the_same_are_all_there() -> None:
    """A key may hold a secret as well."""
    found = masked({"token=abcdefgh": 1, "token=ijklmnop": 2}).document
    assert list(found.values()) == [1, 2]
    assert "abcdefgh" not in json.dumps(found)
    assert "ijklmnop" not in json.dumps(found)


SECRETS = st.text("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789+/", min_size=8, max_size=40).map("S3cr3t+{}".format)
HOSTILE = st.text(st.sampled_from("ab:=\"'\\{}[]%?&;,\n\u200b\u202e <>/.-"), max_size=20)
WAYS = st.sampled_from(
    (
        lambda secret, other: {"password": secret, "x": other},
        lambda secret, other: {"a": [{"credentials": {"sessionToken": secret}}, other]},
        lambda secret, other: {"policy": json.dumps({other: {"clientSecret": secret}})},
        lambda secret, other: {"text": f"{other} Encoded authorization failure message: {secret}"},
        lambda secret, other: {"url": f"https://x/?X-Amz-Signature={secret}&y={other}"},
        lambda secret, other: {"pair": {"name": "API_TOKEN", "value": secret}, "again": f"({secret}) {other}"},
        lambda secret, other: {"text": f"{json.dumps({'password': secret, 'b': other})[:-1]}"},
        lambda secret, other: {"userData": {other: [secret]}},
    )
)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(SECRETS, HOSTILE, WAYS)
def test_no_secret_survives_whatever_stands_around_it(secret: str, other: str, way: Any) -> None:
    """In none of the ways in which it may be written; and what is masked stays as it is."""
    found = masked(way(secret, other)).document
    shown = json.dumps(found)
    for written in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert written not in shown
    assert masked(found).document == found
