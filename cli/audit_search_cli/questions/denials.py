"""What AWS's words for "access denied" say: who, what, on which resource, and which kind of policy was the reason.

Since 2021 many services name the kind of policy, since 2026 its ARN within an account or an organisation, and some an
authorization id; of several kinds that deny only one is named. EC2 hides it in an encoded message. What the words do not say
is not known, and is not guessed.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied-authorization-id.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

EXPLICIT, IMPLICIT = "explicit", "implicit"

IDENTITY, RESOURCE, TRUST = "identity-based policy", "resource-based policy", "role trust policy"
BOUNDARY, SESSION, ENDPOINT = "permissions boundary", "session policy", "VPC endpoint policy"
SCP, RCP = "service control policy", "resource control policy"
PUBLIC_ACCESS = "S3 Block Public Access"
POLICIES: Final = (IDENTITY, RESOURCE, TRUST, BOUNDARY, SESSION, ENDPOINT, SCP, RCP)
"""The kinds of policy that AWS's texts name, as they name them."""


@dataclass(frozen=True, slots=True)
class Denial:
    """What a text says; each part is empty where it does not.

    `effect` is `explicit` (a Deny statement) or `implicit` (no Allow), `policy` one of `POLICIES` or S3 Block Public Access,
    `policy_arn` the very policy, `setting` that of S3 Block Public Access. `cut` says that the record has not the whole of
    `encoded`. `encoded` and `authorization` are secrets to all but those who may ask about them.
    """

    principal: str = ""
    action: str = ""
    resource: str = ""
    effect: str = ""
    policy: str = ""
    policy_arn: str = ""
    setting: str = ""
    encoded: str = ""
    cut: bool = False
    authorization: str = ""


_WHO = re.compile(r"User:\s+(?P<who>\S+)\s+is not authori[sz]ed to perform:\s+(?P<what>[A-Za-z0-9-]+:[A-Za-z0-9*]+)")
_BARE_ACTION = re.compile(r"[Nn]ot authori[sz]ed to perform:?\s+(?P<what>[a-z0-9-]+:[A-Za-z0-9*]+)")
_ON = re.compile(
    r"on resource:\s+(?:\"(?P<quoted>[^\"]+)\"|(?P<plain>.+?))(?=\s+(?:because|with an explicit deny|due to|Encoded)\b|\.?\s*$)",
    re.S,
)
_KINDS = "|".join(re.escape(kind) for kind in sorted(POLICIES, key=len, reverse=True))
_EXPLICIT = re.compile(rf"(?:with|due to) an explicit deny in (?:an? |the )?(?P<kind>{_KINDS})", re.I)
_IMPLICIT = re.compile(rf"because no (?P<kind>{_KINDS}) allows", re.I)
_ARN = re.compile(r"\s*:\s+(?P<arn>arn:aws[a-z-]*:[^\s\"]+?)(?=[.,;]?(?:\s|$))")
_ALLOWS = re.compile(r" allows the [A-Za-z0-9-]+:[A-Za-z0-9*]+ action")
_PUBLIC = re.compile(
    r"because (?:public (?:policies|ACLs) (?:are|is) prevented|access is denied|.{1,80}?) by the (?P<name>\w+) setting in S3"
)
_ENDPOINT = re.compile(r"denied due to an? VPC endpoint policy", re.I)
_ENCODED = re.compile(r"[Ee]ncoded authori[sz]ation failure message:\s*(?P<text>[A-Za-z0-9_+/=-]{20,})")
_AUTHORIZATION = re.compile(r"authori[sz]ation id:\s*(?P<id>\w+)", re.I)
_AUTHORIZATION_LINK = re.compile(r"authorization-details/(?P<id>\w+)")
_ROLE_TRUST = {
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:TagSession",
    "sts:SetSourceIdentity",
}


def read(message: str) -> Denial:
    """What the text of a denial says; an empty one says nothing."""
    effect, policy, arn = _policy(message)
    who, on = _WHO.search(message), _ON.search(message)
    bare = _BARE_ACTION.search(message)
    setting = _PUBLIC.search(message)
    if setting and not policy:
        policy = PUBLIC_ACCESS
    encoded = _ENCODED.search(message)
    authorization = _AUTHORIZATION.search(message) or _AUTHORIZATION_LINK.search(message)
    return Denial(
        principal=who["who"] if who else "",
        action=who["what"] if who else bare["what"] if bare else "",
        resource=(on["quoted"] or on["plain"]).strip() if on else "",
        effect=effect,
        policy=policy,
        policy_arn=arn,
        setting=setting["name"] if setting else "",
        encoded=encoded["text"] if encoded else "",
        cut=bool(encoded) and message.rstrip().endswith(("...", "…")),
        authorization=authorization["id"] if authorization else "",
    )


def _policy(message: str) -> tuple[str, str, str]:
    """The effect, the kind of policy and its ARN."""
    for effect, pattern in ((EXPLICIT, _EXPLICIT), (IMPLICIT, _IMPLICIT)):
        found = pattern.search(message)
        if found:
            rest = message[found.end() :]
            if effect == IMPLICIT:
                action = _ALLOWS.match(message, found.end() - len(" allows"))
                rest = message[action.end() :] if action else rest
            arn = _ARN.match(rest)
            kind = next(kind for kind in POLICIES if kind.lower() == found["kind"].lower())
            return effect, kind, arn["arn"] if arn else ""
    return ("", ENDPOINT, "") if _ENDPOINT.search(message) else ("", "", "")


def meaning(denial: Denial) -> list[str]:
    """What is known of a denial, and what is not, in sentences."""
    what = denial.action or "the call"
    on = f" on {denial.resource}" if denial.resource else ""
    said = [_reason(denial, what, on)]
    if denial.policy in (SCP, RCP):
        said.append(f"A {denial.policy} is kept in the organisation's management account, and binds every administrator here.")
    elif denial.policy == ENDPOINT:
        said.append("The policy is that of the VPC endpoint that the call came through; by another way it may be allowed.")
    elif denial.policy == BOUNDARY:
        said.append("A permissions boundary limits what policies can allow; a further Allow in a policy does not help.")
    elif denial.policy == SESSION:
        said.append("A session policy was given when the session began (the Policy or PolicyArns of AssumeRole, or a service).")
    if denial.policy:
        said.append("Of several kinds of policy that deny, AWS names only one: others may deny as well.")
    return said


def _reason(denial: Denial, what: str, on: str) -> str:
    named = f" {denial.policy_arn}" if denial.policy_arn else ""
    if denial.policy == PUBLIC_ACCESS:
        return f"Denied: {denial.setting} of S3 Block Public Access forbids {what}{on}."
    if denial.effect == EXPLICIT:
        return f"Denied: a Deny statement in {_an(denial.policy)}{named} forbids {what}{on}."
    if denial.effect == IMPLICIT:
        return f"Denied: no {denial.policy}{named} allows {what}{on}."
    if denial.policy:
        return f"Denied: by {_an(denial.policy)}; whether by a Deny statement or for want of an Allow is not said."
    return f"Denied: at least {what}{on} is not allowed to this caller." + (
        " Both the caller's policies and the role's trust policy have to allow it." if denial.action in _ROLE_TRUST else ""
    )


def _an(policy: str) -> str:
    """The kind of policy with its article."""
    return f"{'an' if policy[:1].lower() in 'aeiou' else 'a'} {policy}"


def unknown(denial: Denial) -> list[str]:
    """What the text leaves open, and how to find out."""
    said = []
    if denial.cut:
        said.append("The record has only a part of the encoded message, which nobody can decode; the caller saw the whole.")
    elif denial.encoded:
        what = "The statement and the conditions are" if denial.policy else "The reason is"
        said.append(f"{what} in an encoded message, which only the account can read: --decode asks it to.")
    if not denial.policy:
        said.append("Which policy denied is not said: identity, resource, boundary, session, endpoint or organisation.")
    if denial.authorization:
        said.append("The authorization id leads to the evaluation for at least 24 hours (GetRequestAuthorizationDetails).")
    return said
