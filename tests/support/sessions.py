"""A made-up account in which a security group is changed in each way that a session can come about."""

from __future__ import annotations

from typing import Any

from tests.support.incidents import ACCOUNT, OTHER, REGION, call, denied, role_id, session, user, version

GROUP = "sg-0123456789abcdef0"
INSTANCE, NEWER = "i-0aaaabbbbccccdddd", "i-0eeeeffff00001111"
ELASTIC, PRIVATE = "203.0.113.77", "10.0.0.5"
SSO_PATH = "aws-reserved/sso.amazonaws.com/eu-central-1/"


def key(name: str) -> str:
    """An access key of a session."""
    return f"ASIA{name.upper():X<16.16}"


def _change(identity: str, time: str, who: dict[str, Any], **more: Any) -> dict[str, Any]:
    request = {"groupId": GROUP, "ipPermissions": {"items": [{"ipProtocol": "tcp", "fromPort": 22, "toPort": 22}]}}
    return call(identity, time, "ec2:AuthorizeSecurityGroupIngress", who, requestParameters=request, **more)


def _mint(identity: str, time: str, who: dict[str, Any], role: str, name: str, gives: str, **more: Any) -> dict[str, Any]:
    account = more.pop("account", ACCOUNT)
    request = {"roleArn": f"arn:aws:iam::{account}:role/{role}", "roleSessionName": name}
    made = {"assumedRoleId": f"{role_id(role)}:{name}", "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}"}
    response = {"credentials": {"accessKeyId": gives, "expiration": "Nov 20, 2026, 12:00:00 PM"}, "assumedRoleUser": made}
    api = more.pop("api", "sts:AssumeRole")
    fields = {"requestParameters": request, "responseElements": response, "readOnly": True, "awsRegion": "us-east-1"}
    return call(identity, time, api, who, **(fields | more))


def _reserved(role: str, name: str, path: str = SSO_PATH) -> dict[str, Any]:
    found = session(role, name, key("reserved"))
    found["sessionContext"]["sessionIssuer"]["arn"] = f"arn:aws:iam::{ACCOUNT}:role/{path}{role}"
    return found


def chained() -> list[dict[str, Any]]:
    """alice takes one role, and from it another one in another account; both accounts have the second call."""
    alice = user("alice", key="AKIAALICE000000001")
    first, second = key("first"), key("second")
    deployer = session("deployer", "my-laptop", first)
    outside = {"type": "AWSAccount", "principalId": f"{role_id('deployer')}:my-laptop", "accountId": ACCOUNT}
    shared = {"sharedEventID": "shared-1"}
    return [
        _mint("mint-1", "06:00:00", alice, "deployer", "my-laptop", first),
        _mint("mint-2", "06:30:00", deployer, "admin", "admin-1", second, account=OTHER, **shared),
        _mint("mint-2-there", "06:30:00", outside, "admin", "admin-1", second, account=OTHER, recipientAccountId=OTHER, **shared),
        _change("by-chain", "09:00:00", session("admin", "admin-1", second, OTHER)),
        # A key in a request proves nothing, nor does a call that failed.
        call("liar", "08:00:00", "iam:TagUser", user("mallory"), requestParameters={"accessKeyId": second}),
    ]


def certain() -> list[dict[str, Any]]:
    """Callers that are known: a user, a source identity, a SAML subject, users of Identity Center."""
    saml = {"type": "SAMLUser", "principalId": "x:erika@example.org", "userName": "erika@example.org", "identityProvider": "x="}
    behalf = {"type": "IdentityCenterUser", "accountId": ACCOUNT, "onBehalfOf": {"userId": "90671234-x"}, "credentialId": "c"}
    by_saml = session("finance", "erika", key("saml"))
    return [
        _change("by-user", "09:01:00", user("bob"), userAgent="aws-cli/2.31.4 md/awscrt#0.27.6"),
        _change("by-source", "09:02:00", session("deploy", "ci-4711", key("source"), sourceIdentity="dana")),
        _mint("mint-saml", "06:00:00", saml, "finance", "erika", key("saml"), api="sts:AssumeRoleWithSAML"),
        _change("by-saml", "09:03:00", by_saml),
        _change("by-sso", "09:04:00", _reserved("AWSReservedSSO_Admin_0f1e2d3c4b5a6978", "carlos@example.com")),
        _change("by-behalf", "09:05:00", behalf),
    ]


def unknown() -> list[dict[str, Any]]:
    """Sessions behind which nobody can be found, and names that try to look certain."""
    federated = {"federatedProvider": "cognito-identity.amazonaws.com", "attributes": {}}
    pool = "CognitoIdentityCredentials"
    oidc = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    web = {"federatedProvider": oidc, "attributes": {"sub": "repo:example/shop"}}
    console = {"sessionCredentialFromConsole": "true", "userAgent": "Mozilla/5.0 (X11; Linux x86_64)"}
    root = {"type": "Root", "principalId": OTHER, "arn": f"arn:aws:iam::{OTHER}:root", "accountId": OTHER}
    return [
        _change("forged-sso", "09:10:00", _reserved("AWSReservedSSO_Admin_ffffffffffffffff", "ceo@example.com", "")),
        _change("nobody", "09:11:00", session("deploy", "ceo\x1b[31m\u202e", key("nobody"))),
        _change("by-console", "09:12:00", session("ops", "bob", key("console")), **console),
        call(
            "switch",
            "08:00:00",
            "signin:SwitchRole",
            user("bob"),
            additionalEventData={"SwitchTo": f"arn:aws:iam::{ACCOUNT}:role/ops"},
            responseElements={"SwitchRole": "Success"},
            readOnly=False,
        ),
        _change("by-forward", "09:13:00", session("deploy", "x", "") | {"invokedBy": "cloudformation.amazonaws.com"}),
        _change(
            "by-anywhere", "09:14:00", session("edge", "0123456789abcdef0123456789abcdef", key("any"), sourceIdentity="CN=box")
        ),
        _change("by-pod", "09:15:00", session("pod", "eks-prod-web-5d9c", key("pod"))),
        _change("by-cognito", "09:16:00", session("app", pool, key("cog"), webIdFederationData=federated)),
        _change("by-web", "09:17:00", session("deploy", "run", key("web"), webIdFederationData=web)),
        _change("by-lost-root", "09:18:00", root | {"accessKeyId": key("lost"), "sessionContext": {"assumedRoot": "true"}}),
        _mint("mint-root", "07:00:00", user("guard"), "x", "x", key("root"), api="sts:AssumeRoot"),
        _change("by-root", "09:19:00", root | {"accessKeyId": key("root"), "sessionContext": {"assumedRoot": "true"}}),
    ]


def machines() -> list[dict[str, Any]]:
    """An instance with a role, whose AssumeRole EC2 called, and one of whose nothing is recorded."""
    service = {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
    web = session("web", INSTANCE, key("ec2"), ec2RoleDelivery="2.0")
    return [
        _mint("mint-ec2", "05:00:00", service, "web", INSTANCE, key("ec2")),
        _change("by-instance", "09:20:00", web, sourceIPAddress=ELASTIC),
        _change("by-newer", "09:50:00", session("web", "x", key("newer")), sourceIPAddress=ELASTIC),
        _change("by-other", "09:51:00", session("web", NEWER, key("other")), sourceIPAddress=PRIVATE),
        _change("by-private", "09:51:30", session("web", "x", key("private")), sourceIPAddress=PRIVATE),
        _change("by-service", "09:52:00", user("bob"), sourceIPAddress="cloudformation.amazonaws.com"),
    ]


def apart() -> list[dict[str, Any]]:
    """What does not change it: calls that failed, that only read, that only use it, and those of a group with a like name."""
    bob = user("bob")
    named = {"groupId": GROUP}
    return [
        _change("failed", "10:00:00", bob, **denied("no")),
        call("read", "10:01:00", "ec2:DescribeSecurityGroups", bob, requestParameters=named),
        call("read-2", "10:02:00", "ec2:DescribeSecurityGroups", bob, requestParameters=named),
        call("used", "10:03:00", "ec2:RunInstances", bob, requestParameters={"groupSet": {"items": [named]}}),
        call("other", "10:04:00", "ec2:DeleteSecurityGroup", bob, requestParameters={"groupId": f"{GROUP}a"}),
    ]


def everything() -> list[dict[str, Any]]:
    """All of it."""
    return [*chained(), *certain(), *unknown(), *machines(), *apart()]


def _holding(identity: str, time: str, kind: str, name: str, address: str, **more: Any) -> dict[str, Any]:
    return version(identity, time, kind, name, configuration={"address": address}, **more)


def versions() -> list[dict[str, Any]]:
    """Who had the addresses when; and two versions of the group, with the links that were stored or that AWS Config gives."""
    opened = {"path": "Configuration.IpPermissions.tcp 22", "kind": "CREATE", "category": "configuration", "after": "0.0.0.0/0"}
    closed = {"path": "Configuration.IpPermissions.tcp 22", "kind": "UPDATE", "category": "configuration"}
    group = {"ARN": f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{GROUP}", "resourceName": "web"}
    stored = {"verdict": "linked", "eventId": ["by-user"], "score": [0.97], "reason": ["names the group"]}
    first = version("item-open", "09:01:30", "AWS::EC2::SecurityGroup", GROUP, **group)
    second = version("item-close", "09:02:30", "AWS::EC2::SecurityGroup", GROUP, **group)
    first["cfg"] |= {"changes": [opened], "causedBy": stored}
    second["cfg"] |= {"changes": [closed | {"before": "0.0.0.0/0", "after": "10.0.0.0/8\x1b[2J"}]}
    second["relatedEvents"] = ["by-source"]
    return [
        first,
        second,
        _holding("item-eip-1", "08:00:00", "AWS::EC2::EIP", "eipalloc-0aaaabbbbccccdddd", ELASTIC),
        _holding("item-i-1", "08:00:00", "AWS::EC2::Instance", INSTANCE, ELASTIC),
        _holding("item-i-1b", "09:30:00", "AWS::EC2::Instance", INSTANCE, "nothing"),
        _holding("item-i-2", "09:40:00", "AWS::EC2::Instance", NEWER, ELASTIC),
        _holding("item-eni-1", "08:00:00", "AWS::EC2::NetworkInterface", "eni-0aaaabbbbccccdddd", PRIVATE),
        _holding("item-i-3", "08:00:00", "AWS::EC2::Instance", "i-0111122223333aaaa", PRIVATE),
        _holding("item-i-4", "08:00:00", "AWS::EC2::Instance", "i-0111122223333bbbb", PRIVATE),
    ]
