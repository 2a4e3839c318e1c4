"""Who calls: the `userIdentity` element of every kind, with the address and the program that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .seeded import example_id

Json = dict[str, object]

PRODUCTION = "111122223333"
DEVELOPMENT = "444455556666"
MANAGEMENT = "777788889999"
PARTNER = "123456789012"
ORGANISATION = "o-a1b2c3d4e5"

INSTANCE = "i-0a1b2c3d4e5f60718"
"""The web server whose life is told: launched, tagged, opened to the world, stopped, started, terminated."""

OTHER_INSTANCE = "i-0f6e5d4c3b2a19087"
"""A server that runs all the time."""

CLI = "aws-cli/2.31.4 md/awscrt#0.27.6 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.13.7 cfg/retry-mode#standard"
BOTO = "Boto3/1.40.61 md/Botocore#1.40.61 ua/2.1 os/linux#5.10 lang/python#3.13.9 exec-env/AWS_Lambda_python3.13"
TERRAFORM = "APN/1.0 HashiCorp/1.0 Terraform/1.13.4 terraform-provider-aws/6.18.0 aws-sdk-go-v2/1.39.4 lang/go#1.25.3"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15"


@dataclass(frozen=True)
class Actor:
    """A caller: `userIdentity`, `sourceIPAddress` and `userAgent` of its records."""

    identity: Mapping[str, object]
    address: str
    agent: str

    @property
    def arn(self) -> str:
        return str(self.identity.get("arn", ""))

    @property
    def is_service(self) -> bool:
        return self.address.endswith(".amazonaws.com")

    def using(self, address: str | None = None, agent: str | None = None, **identity: object) -> Actor:
        """The same caller from another place, with another program, or with more fields in its identity."""
        return Actor({**self.identity, **identity}, address or self.address, agent or self.agent)


def iam_user(name: str, address: str, agent: str, account: str = PRODUCTION) -> Actor:
    identity: Json = {
        "type": "IAMUser",
        "principalId": example_id("AIDA", account + name),
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": example_id("AKIA", account + name),
        "userName": name,
    }
    return Actor(identity, address, agent)


def at_the_console(user: Actor, since: str, mfa: bool) -> Actor:
    """An IAM user's session in the Management Console."""
    attributes = {"creationDate": since, "mfaAuthenticated": "true" if mfa else "false"}
    return user.using(accessKeyId=example_id("ASIA", user.arn + since), sessionContext={"attributes": attributes})


def role_session(
    role: str,
    session: str,
    address: str,
    agent: str,
    account: str = PRODUCTION,
    path: str = "",
    since: str = "2026-11-01T06:00:00Z",
    mfa: bool = False,
    context: Json | None = None,
    **identity: object,
) -> Actor:
    """A session of an assumed role, with the issuer; `context` is merged into `sessionContext`."""
    principal = example_id("AROA", account + role)
    element: Json = {
        "type": "AssumedRole",
        "principalId": f"{principal}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        "accountId": account,
        "accessKeyId": example_id("ASIA", account + role + session),
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": principal,
                "arn": f"arn:aws:iam::{account}:role/{path}{role}",
                "accountId": account,
                "userName": role,
            },
            "attributes": {"creationDate": since, "mfaAuthenticated": "true" if mfa else "false"},
            **(context or {}),
        },
        **identity,
    }
    return Actor(element, address, agent)


def service(name: str) -> Actor:
    """An AWS service that acts for itself."""
    return Actor({"type": "AWSService", "invokedBy": f"{name}.amazonaws.com"}, *[f"{name}.amazonaws.com"] * 2)


def root(account: str, address: str, agent: str = FIREFOX) -> Actor:
    identity: Json = {
        "type": "Root",
        "principalId": account,
        "arn": f"arn:aws:iam::{account}:root",
        "accountId": account,
        "accessKeyId": "",
    }
    return Actor(identity, address, agent)


ALICE = iam_user("alice", "192.0.2.44", FIREFOX)
ALICE_AT_THE_CONSOLE = at_the_console(ALICE, "2026-11-04T08:51:40Z", mfa=True)
BOB = iam_user("bob", "198.51.100.17", CLI)
REPORTER = iam_user("svc-report", "203.0.113.66", CLI)
"""A key that leaked: most of what it tries is refused."""
CARLOS = role_session(
    "AWSReservedSSO_DeveloperAccess_0f1e2d3c4b5a6978",
    "carlos@example.com",
    "192.0.2.51",
    SAFARI,
    path="aws-reserved/sso.amazonaws.com/eu-central-1/",
    since="2026-11-03T08:02:11Z",
)
OBSERVER = role_session("ObservabilityReadOnly", "collector", "203.0.113.10", BOTO)
SCHEDULER = role_session(
    "office-hours-scheduler",
    "office-hours-scheduler",
    "198.51.100.80",
    BOTO,
    inScopeOf={
        "sourceArn": f"arn:aws:lambda:eu-central-1:{PRODUCTION}:function:office-hours-scheduler",
        "sourceAccount": PRODUCTION,
        "issuerType": "AWS::Lambda::Function",
        "credentialsIssuedTo": f"arn:aws:lambda:eu-central-1:{PRODUCTION}:function:office-hours-scheduler",
    },
)


def web_server(instance: str) -> Actor:
    """What runs on an instance, with the credentials of its profile."""
    return role_session(
        "web-server",
        instance,
        "198.51.100.9",
        "aws-sdk-go-v2/1.39.4 os/linux lang/go#1.25.3",
        context={"ec2RoleDelivery": "2.0"},
        inScopeOf={
            "issuerType": "AWS::EC2::Instance",
            "credentialsIssuedTo": f"arn:aws:ec2:eu-central-1:{PRODUCTION}:instance/{instance}",
        },
    )


WEB_SERVER = web_server(INSTANCE)
OTHER_SERVER = web_server(OTHER_INSTANCE)
_CODE_HOST = "token.actions.githubusercontent.com"
DEPLOYER = role_session(
    "deploy",
    "shop-frontend-4711",
    "192.0.2.200",
    TERRAFORM,
    context={
        "webIdFederationData": {
            "federatedProvider": f"arn:aws:iam::{PRODUCTION}:oidc-provider/{_CODE_HOST}",
            "attributes": {"aud": "sts.amazonaws.com", "sub": "repo:example/shop-frontend:ref:refs/heads/main"},
        },
        "sourceIdentity": "shop-frontend",
    },
)
DEVELOPER = role_session("Developer", "dana", "2001:db8:17::2a", CLI, account=DEVELOPMENT, since="2026-11-11T09:58:03Z", mfa=True)
GUARDIAN = role_session("SecurityAudit", "guardian", "192.0.2.7", BOTO, account=MANAGEMENT)
ROOT = root(PRODUCTION, "198.51.100.23")

WEB_IDENTITY = Actor(
    {
        "type": "WebIdentityUser",
        "principalId": f"arn:aws:iam::{PRODUCTION}:oidc-provider/{_CODE_HOST}:sts.amazonaws.com:repo:example/shop",
        "userName": "repo:example/shop-frontend:ref:refs/heads/main",
        "identityProvider": f"arn:aws:iam::{PRODUCTION}:oidc-provider/{_CODE_HOST}",
    },
    "192.0.2.200",
    "actions/configure-aws-credentials v5",
)
SAML_USER = Actor(
    {
        "type": "SAMLUser",
        "principalId": "Ez1yXmpLqWn0vB4ExaMple=:erika.mustermann@example.org",
        "userName": "erika.mustermann@example.org",
        "identityProvider": "Ez1yXmpLqWn0vB4ExaMple=",
    },
    "2001:db8:40::99",
    SAFARI,
)
IDENTITY_CENTRE_USER = Actor(
    {
        "type": "IdentityCenterUser",
        "accountId": MANAGEMENT,
        "onBehalfOf": {
            "userId": "544894e8-80c1-707f-60e3-3ba6510dfac1",
            "identityStoreArn": f"arn:aws:identitystore::{MANAGEMENT}:identitystore/d-9067642ac7",
        },
        "credentialId": "EXAMPLEVHULjJdTUdPJfofVa1sufHDoj7aYcOYcxFVllWR_Whr1fEXAMPLE",
    },
    "192.0.2.63",
    SAFARI,
)
