"""From a call back to whoever began: each role's session is joined to the call that made its credentials, by their access key.

Credentials are looked for in every account and region and at any time, for sessions last up to 36 hours and STS may answer
elsewhere. A person is named only where that is certain: an IAM user, a source identity, a SAML subject, a user of Identity
Center. Any other name of a session was chosen by its caller, and is unverified. Where the chain ends early it says why.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from audit_search.documents import parse_time
from audit_search_cli.questions.between import leaves
from audit_search_cli.questions.callers import exactly
from audit_search_cli.questions.events import Event, Events
from audit_search_cli.questions.fields import Query, all_of, any_of, none_of
from audit_search_cli.questions.filters import within

_MOST_HOPS: Final = 10
_MOST_MAKERS: Final = 20
_NEAR: Final = timedelta(minutes=2)
_CONTEXT: Final = "userIdentity.sessionContext"
_INSTANCE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})", re.ASCII)
_KEY = re.compile(r"A[KS]IA[A-Z0-9]{12,124}|[A-Z0-9]{16,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hop:
    """An identity of a chain: who in words, the ARN or id of it, and how it was joined to the one before, with the event."""

    who: str
    arn: str
    by: str = ""
    event: str = ""


@dataclass(slots=True)
class Chain:
    """The identities behind a call, its own first.

    `person` is a name that is certain, `certain_by` says why; `machine` is a service or an instance at its end; `unverified` is
    a name that nobody vouches for. `broken` says why the chain ends before a first identity, empty where it does not.
    """

    hops: list[Hop] = field(default_factory=list)
    person: str = ""
    certain_by: str = ""
    machine: str = ""
    unverified: str = ""
    broken: str = ""

    @property
    def first(self) -> str:
        """The first identity in a few words, for a person to read."""
        if self.person:
            return f"{self.person} ({self.certain_by})"
        if self.machine:
            return f"{self.machine} (no person)"
        return f"{self.unverified or 'unknown'} (unverified)"


class Chains:
    """Finds chains; what one session was made by is looked for once."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._made: dict[str, Event | None] = {}
        self._shared: dict[str, Event | None] = {}
        self._crowded: set[str] = set()

    def of(self, event: Event) -> Chain:
        """The chain behind an event. Raises as `Events` does."""
        chain, seen = Chain(), {event.id}
        current, by, joined = self.fuller(event), "", ""
        if current.id != event.id:
            by, joined = f"shared event {event.said('sharedEventID')}", current.id
        while True:
            chain.hops.append(Hop(_who(current), _arn(current), by, joined))
            _person(chain, current)
            if _ends(chain, current):
                return chain
            key = current.said("userIdentity.accessKeyId")
            made = self._maker(key)
            if made is not None and len(chain.hops) >= _MOST_HOPS:
                chain.broken = f"it was followed for {_MOST_HOPS} steps, and goes on at {made.name} [{made.id}]"
                return chain
            if made is None or made.id in seen:
                chain.broken = self._why_broken(current, key)
                return chain
            seen.add(made.id)
            by, joined = f"access key {key} from {made.name}", made.id
            current = self.fuller(made)
            if current.id != made.id:
                seen.add(current.id)
                by += f", shared event {made.said('sharedEventID')}"

    def fuller(self, event: Event) -> Event:
        """The event of the caller's own account for the same call, where this one names the account alone."""
        shared = event.said("sharedEventID")
        if event.said("userIdentity.type") != "AWSAccount" or not shared:
            return event
        if shared not in self._shared:
            others = all_of(exactly("sharedEventID", shared), none_of({"ids": {"values": [event.id]}}))
            found = [one for one in self.events.search(others, most=10) if one.said("userIdentity.type") != "AWSAccount"]
            self._shared[shared] = found[0] if found else None
        return self._shared[shared] or event

    def _maker(self, key: str) -> Event | None:
        """The call whose response has the credentials of a key; of two accounts' events that which knows the caller."""
        if not _KEY.fullmatch(key):
            return None
        if key not in self._made:
            wanted = any_of(exactly("responseElements", key), {"match_phrase": {"raw": {"query": f'"accessKeyId":"{key}"'}}})
            mine = none_of(exactly("userIdentity.accessKeyId", key))
            holding = list(self.events.search(all_of(wanted, mine), most=_MOST_MAKERS))
            found = [event for event in holding if _gives(event, key)]
            if not found and len(holding) >= _MOST_MAKERS:
                self._crowded.add(key)
            found.sort(key=lambda event: (event.said("userIdentity.type") == "AWSAccount", event.time, event.id))
            self._made[key] = found[0] if found else None
        return self._made[key]

    def _why_broken(self, event: Event, key: str) -> str:
        """Why nothing is known of who began a session."""
        said = _known_break(event)
        if said:
            switched = self._switch(event) if "console" in said else ""
            return said + switched
        if event.said("userIdentity.type") == "AWSAccount":
            account = event.said("userIdentity.accountId")
            return f"the caller is of the account {account}, and its own event of this call is not recorded here"
        if not key:
            return "the event has no access key to join by"
        began = event.said(f"{_CONTEXT}.attributes.creationDate")
        since = f"; the session began {began}" if began else ""
        if key in self._crowded:
            since = f" among the newest {_MOST_MAKERS} events that hold it{since}"
        return f"no response that gave the access key {key} was recorded{since}"

    def _switch(self, event: Event) -> str:
        """A SwitchRole to the same role when a console session began: it is near, and nothing proves it."""
        began, role = parse_time(event.said(f"{_CONTEXT}.attributes.creationDate")), event.said(f"{_CONTEXT}.sessionIssuer.arn")
        if not began or not role:
            return ""
        query: Query = all_of(exactly("eventName", "SwitchRole"), *within(began - _NEAR, began + _NEAR))
        near = [one for one in self.events.search(query, most=50) if one.said("additionalEventData.SwitchTo") == role]
        if not near:
            return ""
        return f"; unverified: {near[0].caller} switched to this role at about that time [{near[0].id}]"


def _gives(event: Event, key: str) -> bool:
    """Whether a call gave the credentials of a key."""
    return not event.failed and ("accessKeyId", key) in set(leaves(event.get("responseElements")))


def _who(event: Event) -> str:
    """An identity in words."""
    kind, name = event.said("userIdentity.type"), event.said("userIdentity.userName")
    account = event.said("userIdentity.accountId")
    if kind == "AssumedRole":
        role = (
            event.said(f"{_CONTEXT}.sessionIssuer.userName")
            or event.said("userIdentity.arn").rpartition("/")[0].rpartition("/")[2]
        )
        return f"session {_session(event)} of the role {role}"
    if kind == "IAMUser":
        return f"user {name or event.said('userIdentity.principalId')} of {account}"
    if kind == "Root":
        return f"root of {account}"
    if kind == "AWSAccount":
        return f"somebody of the account {account}"
    if kind in ("SAMLUser", "WebIdentityUser"):
        return f"{'SAML' if kind == 'SAMLUser' else 'web'} identity {name} of {event.said('userIdentity.identityProvider')}"
    if kind == "IdentityCenterUser":
        return f"Identity Center user {event.said('userIdentity.onBehalfOf.userId')}"
    service = event.said("userIdentity.invokedBy")
    return f"service {service}" if service and kind in ("AWSService", "") else f"{kind or 'unknown'} {event.caller}".strip()


def _arn(event: Event) -> str:
    return event.said("userIdentity.arn") or event.said("userIdentity.principalId") or event.said("userIdentity.invokedBy")


def _session(event: Event) -> str:
    """The name of a session, which its caller chose."""
    return event.said("userIdentity.arn").rpartition("/")[2] or event.said("userIdentity.principalId").rpartition(":")[2]


def is_reserved(event: Event) -> bool:
    """Whether the role is one of Identity Center's: it alone can make sessions of it, and names them after its users."""
    arn = event.said(f"{_CONTEXT}.sessionIssuer.arn")
    return ":role/aws-reserved/sso.amazonaws.com/" in arn and event.said(f"{_CONTEXT}.sessionIssuer.userName").startswith(
        "AWSReservedSSO_"
    )


def _person(chain: Chain, event: Event) -> None:
    """Note what an identity says of a person; what is nearer to the beginning wins."""
    kind = event.said("userIdentity.type")
    source = event.said(f"{_CONTEXT}.sourceIdentity")
    behalf = event.said("userIdentity.onBehalfOf.userId")
    if kind == "IAMUser":
        chain.person, chain.certain_by = event.said("userIdentity.userName") or event.said("userIdentity.principalId"), "IAM user"
    elif kind == "SAMLUser":
        chain.person, chain.certain_by = event.said("userIdentity.userName"), "SAML subject"
    elif behalf:
        chain.person, chain.certain_by = behalf, "Identity Center user"
    elif kind == "AssumedRole" and is_reserved(event):
        chain.person, chain.certain_by = _session(event), "Identity Center session"
    elif source and not source.startswith("CN="):  # Roles Anywhere takes it from a certificate
        chain.person, chain.certain_by = source, "source identity"
    elif kind == "AssumedRole":
        chain.unverified = _session(event)
        if _INSTANCE.fullmatch(_session(event)):
            chain.machine = f"instance {_session(event)}"
    elif kind == "Root":
        chain.unverified = f"root of {event.said('userIdentity.accountId')}"
    elif kind == "WebIdentityUser":
        chain.unverified = event.said("userIdentity.userName")
    elif kind in ("AWSService", "") and event.said("userIdentity.invokedBy"):
        chain.machine = chain.machine or event.said("userIdentity.invokedBy")


def _ends(chain: Chain, event: Event) -> bool:
    """Whether an identity is a first one: nothing stands behind it."""
    kind = event.said("userIdentity.type")
    if kind == "Root":
        return event.said(f"{_CONTEXT}.assumedRoot") != "true"
    if kind == "AssumedRole":
        return is_reserved(event)
    return kind in ("IAMUser", "SAMLUser", "WebIdentityUser", "IdentityCenterUser", "AWSService", "") and bool(
        chain.person or chain.machine or chain.unverified
    )


def _known_break(event: Event) -> str:
    """A way of getting a session that leaves no key to join by, or nothing."""
    invoked, name = event.said("userIdentity.invokedBy"), _session(event)
    provider = event.said(f"{_CONTEXT}.webIdFederationData.federatedProvider")
    if event.said(f"{_CONTEXT}.assumedRoot") == "true":
        return "AssumeRoot made the session, and no response with its key was recorded"
    if invoked:
        return f"a forward access session: {invoked} called with credentials of its own making for this identity"
    if "cognito-identity" in provider or name == "CognitoIdentityCredentials":
        return "Cognito made the session: who signed in to the user or identity pool is not in CloudTrail"
    if provider:
        subject = event.said(f"{_CONTEXT}.webIdFederationData.attributes.sub")
        of = f" of {subject}" if subject else ""
        return f"a web identity{of} from {provider}; the call that made the session was not recorded"
    if event.said(f"{_CONTEXT}.sourceIdentity").startswith("CN=") or re.fullmatch(r"[0-9a-f]{32,40}", name):
        return "Roles Anywhere made the session from a certificate"
    if name.startswith("eks-") and event.said("userIdentity.type") == "AssumedRole":
        return "EKS Pod Identity made the session: its call does not record the key"
    if event.said("sessionCredentialFromConsole") == "true" or _is_console(event.said("userAgent")):
        return "a console session: the console makes keys of its own, also after SwitchRole"
    if event.said(f"{_CONTEXT}.ec2RoleDelivery") or _INSTANCE.fullmatch(name):
        return f"the AssumeRole of EC2 that gave the key {event.said('userIdentity.accessKeyId')} was not recorded"
    return ""


def _is_console(agent: str) -> bool:
    return agent.startswith(("Mozilla/", "signin.amazonaws.com", "console.amazonaws.com", "AWS-Console", "[S3Console"))
