"""What changed between a call that went well and one that failed: the caller's permissions, the way, and what it was about.

Writes are taken from CloudTrail, versions from AWS Config where it recorded them. What a call names is looked at in its record:
the engine gives candidates only. A policy counts where an earlier call attached it to the caller or to a group of the caller.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from audit_search.aws_config.documents import HISTORY
from audit_search.documents import parse_time
from audit_search.index_template import name as name_of
from audit_search_cli.questions import denials, failures
from audit_search_cli.questions.callers import Caller, exactly
from audit_search_cli.questions.events import Event, Events, search
from audit_search_cli.questions.failures import Failure
from audit_search_cli.questions.fields import Query, all_of, any_of, asked, none_of
from audit_search_cli.questions.filters import stamp, within
from audit_search_cli.questions.resources import type_of_arn

IDENTITY, ORGANISATION, NETWORK, RESOURCE, QUOTA = "identity", "organisation", "network", "resource", "quota"
WRITES: Final[Query] = all_of({"term": {"ct.outcome": "success"}}, asked("read-only", "false"))
_MOST, _FURTHER = 50, 10
Found = TypeVar("Found")
_NETWORK: Final = frozenset(
    f"AWS::EC2::{kind}"
    for kind in (
        "VPC",
        "Subnet",
        "NetworkInterface",
        "RouteTable",
        "InternetGateway",
        "NatGateway",
        "NetworkAcl",
        "SecurityGroup",
    )
) | {"AWS::EC2::VPCEndpoint", "AWS::EC2::VPCPeeringConnection", "AWS::EC2::TransitGateway", "AWS::EC2::EIP"}
USES: Final = frozenset(("RunInstances", "CreateFleet", "RequestSpotInstances", "RunTask", "Invoke", "AssumeRole", "PassRole"))
"""Writes that name what they use, and leave it as it was."""
_PRINCIPALS: Final = ("AWS::IAM::User", "AWS::IAM::Role", "AWS::IAM::Group")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed: what it concerns, when, what in words, by whom, and the event or the item that says so.

    `event` is the id of an event, `item` the id of a version's document; one of both is empty.
    """

    about: str
    time: datetime
    what: str
    caller: str = ""
    event: str = ""
    item: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a failed call was about: names and ids with their types, the caller left out."""

    name: str
    type: str

    @property
    def about(self) -> str:
        """Whether it belongs to the network or is what the call was about."""
        return NETWORK if self.type in _NETWORK else RESOURCE


class Looked:
    """Reads events and versions up to a number, the newest ones; `bounds` has a sentence for each bound that was reached."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.bounds: list[str] = []

    def newest(self, query: Query, what: str, most: int = _MOST) -> list[Event]:
        """The newest events of a query, at most so many; `what` they are, in the plural. Raises as `Events` does."""
        found = list(self.events.search(query, most=most + 1))
        return self.first(found, what, most)

    def first(self, found: Sequence[Found], what: str, most: int = _FURTHER, which: str = "newest") -> list[Found]:
        """The first so many of what was found."""
        if len(found) > most:
            self.bounds.append(f"Of {what} the {which} {most:,} were looked at.")
        return list(found[:most])


def subjects(event: Event, failure: Failure, caller: Caller) -> list[Subject]:
    """What a call was about: the resources that it names, that of the error's text, and the VPC endpoint."""
    found = {resource.name: resource.type for resource in event.resources if resource.name not in caller.names}
    denied = failure.denial.resource if failure.denial else ""
    if denied:  # it is the only one that was refused; with * it is any of its kind
        found = {} if "*" in denied or denied in caller.names else {denied: found.get(denied) or type_of_arn(denied)}
    for name in [name for name in found if name.startswith("arn:aws") and ":s3:::" in name and "/" in name]:
        found.setdefault(name.partition(":::")[2].partition("/")[0], "AWS::S3::Bucket")
    endpoint = event.said("vpcEndpointId")
    if endpoint:
        found[endpoint] = "AWS::EC2::VPCEndpoint"
    return [Subject(name, kind) for name, kind in found.items()]


def changes(
    looked: Looked, event: Event, failure: Failure, caller: Caller, since: datetime, success: Event | None = None
) -> list[Change]:
    """What changed from a time, that of an earlier `success` perhaps, until an event, newest first, each once."""
    until: Query = {"range": {"eventTime": {"lte": stamp(event.time)}}}
    period = [*within(since, None), until]
    found: list[Change] = []
    named = [] if only_used(event, failure) else subjects(event, failure, caller)
    about = looked.first(named, "the resources that the call names", which="first")
    if failure.kind in (failures.DENIED, failures.UNKNOWN):
        found += [one for one in _identity(looked, caller, until) if since <= one.time <= event.time]
        if caller.name.startswith("AWSReservedSSO_"):
            found += _permission_sets(looked, period)
        found += _organisation(looked, failure, period)
    if failure.kind == failures.LIMIT:
        found += _quota(looked, event, period)
    for subject in about:
        found += _subject(looked, event, subject, period)
    found += _versions(looked, caller, about, since, event.time)
    once: dict[str, Change] = {}
    for change in found:
        key = change.event or change.item
        if key != event.id and (success is None or key != success.id):
            once.setdefault(key, change)
    return sorted(once.values(), key=lambda change: (change.time, change.event, change.item), reverse=True)


def only_used(event: Event, failure: Failure) -> bool:
    """Whether nothing of what the call names can be why it failed: how much there may be, or is, does not depend on it."""
    return failure.kind in (failures.LIMIT, failures.CAPACITY, failures.THROTTLED) and event.name in USES


def naming(name: str, *keys: str) -> Query:
    """Calls that may name something: as a whole value, or behind one of some keys in the record's text."""
    found = [exactly(tree, name) for tree in ("requestParameters", "responseElements", "resources.ARN")]
    found += [{"match_phrase": {"raw": {"query": f'"{key}":"{name}"'}}} for key in keys]
    return any_of(*found)


def leaves(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text of a tree with the key that it stands under."""
    if isinstance(tree, dict):
        for name, inner in tree.items():
            yield from leaves(inner, str(name))
    elif isinstance(tree, list):
        for inner in tree:
            yield from leaves(inner, key)
    elif isinstance(tree, str):
        yield key, tree


def named_in(event: Event, wanted: str) -> set[str]:
    """The values of a key in the request of a call."""
    return {value for key, value in leaves(event.get("requestParameters")) if key == wanted}


def _names(event: Event, names: Iterable[str]) -> bool:
    wanted = set(names)
    trees = (event.get(tree) for tree in ("requestParameters", "responseElements", "resources"))
    return any(value in wanted for tree in trees for _, value in leaves(tree))


def _identity(looked: Looked, caller: Caller, until: Query) -> list[Change]:
    """Calls to IAM about the caller, its groups, and the policies that were attached to any of them; of any age."""
    if not caller.name:
        return []
    iam = all_of(WRITES, exactly("eventSource", "iam.amazonaws.com"), until)
    place = [exactly("recipientAccountId", caller.account)] if caller.account else []
    key = "roleName" if caller.type.endswith("Role") else "userName"
    whole = all_of(iam, *place, any_of(*(naming(name, key) for name in caller.names)))
    distinct = [name for name in caller.names if name != caller.name]
    naming_it = looked.newest(whole, f"the calls to IAM that may name {caller.said}", _MOST * 4)
    found = [one for one in naming_it if _names(one, distinct) or caller.name in named_in(one, key)]
    groups = sorted({name for one in found if one.name == "AddUserToGroup" for name in named_in(one, "groupName")})
    for group in looked.first(groups, "the groups of the caller", which="first"):
        query = all_of(iam, *place, naming(group, "groupName"))
        listed = looked.newest(query, f"the calls to IAM about the group {group}")
        found += [one for one in listed if named_in(one, "groupName") == {group}]
    policies = {arn for one in found if one.name.startswith("Attach") for arn in named_in(one, "policyArn")}
    for arn in looked.first(sorted(policies), "the policies that were attached", which="first"):
        query = all_of(iam, naming(arn, "policyArn"))
        found += [one for one in looked.newest(query, f"the calls to IAM about {arn}") if _is_about_policy(one, arn)]
    return [_call(IDENTITY, one) for one in found]


def _permission_sets(looked: Looked, period: list[Query]) -> list[Change]:
    """Calls to Identity Center, which makes the roles of its permission sets: of any account, for it is in another one."""
    query = all_of(WRITES, exactly("eventSource", "sso.amazonaws.com"), *period)
    return [_call(IDENTITY, one) for one in looked.newest(query, "the calls to Identity Center")]


def _is_about_policy(event: Event, arn: str) -> bool:
    """Whether a call changes the policy itself: attaching it elsewhere does not concern the caller."""
    return "Policy" in event.name and not event.name.startswith(("Attach", "Detach")) and _names(event, (arn,))


def _organisation(looked: Looked, failure: Failure, period: list[Query]) -> list[Change]:
    """Calls to AWS Organizations that may have changed what is allowed: of any account, for they are made in another one."""
    policy = failure.denial.policy if failure.denial else ""
    if policy and policy not in (denials.SCP, denials.RCP):
        return []
    query = all_of(WRITES, exactly("eventSource", "organizations.amazonaws.com"), *period)
    found = looked.newest(query, "the calls to AWS Organizations")
    arn = failure.denial.policy_arn if failure.denial else ""
    if arn:
        found = [one for one in found if _names(one, (arn, arn.rpartition("/")[2]))]
    return [_call(ORGANISATION, one) for one in found if "Policy" in one.name or "Account" in one.name]


def _quota(looked: Looked, event: Event, period: list[Query]) -> list[Change]:
    """Requests for other quotas in the account and region, and the same call when it went well: it is what fills a quota."""
    place = [exactly("recipientAccountId", event.account), exactly("awsRegion", event.region)]
    same = [exactly("eventSource", event.said("eventSource")), exactly("eventName", event.name)]
    quotas = all_of(WRITES, exactly("eventSource", "servicequotas.amazonaws.com"), *place, *period)
    made = all_of(WRITES, *same, *place, *period)
    told = {"the calls to Service Quotas": quotas, f"the earlier calls of {event.api} that went well": made}
    return [_call(QUOTA, one) for what, query in told.items() for one in looked.newest(query, what)]


def _subject(looked: Looked, event: Event, subject: Subject, period: list[Query]) -> list[Change]:
    """Writes that name what the call was about; a short name means this only in its own account and service."""
    plain = not set("*?") & set(subject.name)  # they would make a pattern of it
    wanted = [WRITES, asked("resource", subject.name) if plain else naming(subject.name), *period]
    if not _distinct(subject.name):
        wanted += [exactly("recipientAccountId", event.account), exactly("eventSource", event.said("eventSource"))]
    query = all_of(*wanted, none_of({"ids": {"values": [event.id]}}))
    found = looked.newest(query, f"the writes that may name {subject.name}")
    ends = (subject.name, f":{subject.name}", f"/{subject.name}")
    return [_call(subject.about, one) for one in found if one.name not in USES and _ends(one, ends)]


def _ends(event: Event, ends: tuple[str, ...]) -> bool:
    trees = (event.get(tree) for tree in ("requestParameters", "responseElements", "resources"))
    return any(value == ends[0] or value.endswith(ends[1:]) for tree in trees for _, value in leaves(tree))


def _distinct(name: str) -> bool:
    return name.startswith("arn:") or (any(sign.isdigit() for sign in name) and "-" in name and len(name) >= 10)


def _call(about: str, event: Event) -> Change:
    named = ", ".join(dict.fromkeys(value for value in _short(event)))
    return Change(about, event.time, f"{event.api}{f' ({named})' if named else ''}", event.caller, event=event.id)


def _short(event: Event) -> list[str]:
    """What a call names first, for people: at most three values."""
    kinds = sorted(event.resources, key=lambda one: one.type in _PRINCIPALS)
    return [one.name for one in kinds][:3]


def _versions(looked: Looked, caller: Caller, about: Sequence[Subject], since: datetime, until: datetime) -> list[Change]:
    """The versions that AWS Config recorded of the caller and of what the call was about."""
    names = [subject.name for subject in about]
    wanted = [_known(name) for name in names]
    if caller.name and caller.type:
        wanted.append(all_of(exactly("resourceType", caller.type), exactly("resourceName", caller.name)))
    if not wanted:
        return []
    time = {"range": {"configurationItemCaptureTime": {"gte": stamp(since), "lte": stamp(until)}}}
    kept = [
        "resourceType",
        "resourceId",
        "resourceName",
        "configurationItemCaptureTime",
        "cfg.changeLines",
        "configurationItemStatus",
    ]
    order = [{"configurationItemCaptureTime": {"order": "desc", "unmapped_type": "date"}}]
    body = {"size": _MOST + 1, "query": all_of(time, any_of(*wanted)), "sort": order, "_source": kept}
    events = looked.events
    found = search(events.engine, name_of(events.prefix, HISTORY), body).get("hits", {}).get("hits", [])
    hits = looked.first(found, "the versions of the caller and of what the call was about", _MOST, "newest")
    return [change for hit in hits if (change := _version(hit, caller, about))]


def _known(name: str) -> Query:
    return any_of(*(exactly(path, name) for path in ("resourceId", "resourceName", "ARN")))


def _version(hit: dict[str, Any], caller: Caller, about: Sequence[Subject]) -> Change | None:
    source = hit.get("_source") or {}
    time = parse_time(str(source.get("configurationItemCaptureTime") or ""))
    if time is None:
        return None
    kind, name = str(source.get("resourceType") or ""), str(source.get("resourceName") or source.get("resourceId") or "")
    lines = (source.get("cfg") or {}).get("changeLines") or []
    said = "; ".join(str(line) for line in (lines if isinstance(lines, list) else [lines])[:3])
    what = f"{kind} {name}: {said or source.get('configurationItemStatus') or 'recorded'}"
    concerns = IDENTITY if kind == caller.type and name == caller.name else NETWORK if kind in _NETWORK else RESOURCE
    return Change(concerns, time, what, item=str(hit["_id"]))
