"""Who calls, beyond one session: the same caller in other events, and the names under which IAM and AWS Config know it.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

from __future__ import annotations

from dataclasses import dataclass

from audit_search_cli.questions.events import Event
from audit_search_cli.questions.fields import Query, all_of, any_of

_ISSUER = "userIdentity.sessionContext.sessionIssuer"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: what it is in words, the query for its events (None where no event tells it), and its names.

    `names` are what requests and AWS Config call it: name, ARN, principal id. `type` is AWS Config's type of it. `account` is
    where it lives, which may be another than that of an event.
    """

    said: str
    query: Query | None
    type: str = ""
    name: str = ""
    names: tuple[str, ...] = ()
    account: str = ""


def exactly(path: str, value: str) -> Query:
    """A field that is this very value, whatever signs it has."""
    return {"term": {path: {"value": value}}}


def of(event: Event) -> Caller:
    """The caller of an event; of a session it is the role, for a session lasts for hours and the role for years."""
    kind, account = event.said("userIdentity.type"), event.said("userIdentity.accountId")
    issuer = event.said(f"{_ISSUER}.arn")
    if issuer:
        return _issued(event, issuer)
    arn, principal, name = (event.said(f"userIdentity.{part}") for part in ("arn", "principalId", "userName"))
    if kind == "Root":
        return Caller(
            "root", all_of(exactly("userIdentity.type", "Root"), exactly("userIdentity.accountId", account)), account=account
        )
    if kind == "IAMUser":
        found = [exactly(f"userIdentity.{path}", value) for path, value in (("arn", arn), ("principalId", principal)) if value]
        if not found and name:  # a sign-in that failed names the user alone
            found = [all_of(exactly("userIdentity.userName", name), exactly("userIdentity.accountId", account))]
        known = name or arn.rpartition("/")[2]
        names = tuple(filter(None, (known, arn, principal)))
        said = f"the user {known or principal}"
        return Caller(said, any_of(*found) if found else None, "AWS::IAM::User", known, names, account)
    for path in ("onBehalfOf.userId", "arn", "principalId", "invokedBy"):
        value = event.said(f"userIdentity.{path}")
        if value:
            return Caller(event.caller or value, exactly(f"userIdentity.{path}", value), names=(value,), account=account)
    return Caller(event.caller or "an unknown caller", None, account=account)


def _issued(event: Event, arn: str) -> Caller:
    principal, name = event.said(f"{_ISSUER}.principalId"), event.said(f"{_ISSUER}.userName")
    user = event.said(f"{_ISSUER}.type") == "IAMUser"
    name = name or arn.rpartition("/")[2]
    account = event.said(f"{_ISSUER}.accountId") or event.said("userIdentity.accountId")
    if event.said(f"{_ISSUER}.type") == "Root":
        return Caller("root", exactly(f"{_ISSUER}.arn", arn), account=account)
    names = tuple(filter(None, (name, arn, principal)))
    kind = "user" if user else "role"
    return Caller(f"the {kind} {name}", exactly(f"{_ISSUER}.arn", arn), f"AWS::IAM::{kind.title()}", name, names, account)
