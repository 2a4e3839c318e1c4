"""A call that CloudTrail recorded, as far as it can be a cause: whether it could have changed anything, and what it names.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from audit_search.aws_config.dialects import milliseconds
from audit_search.causes.words import label, leaves, words

Section = Literal["request", "response", "resources"]

_READS: Final = (
    *("Describe", "Get", "List", "Head", "Lookup", "Search", "Select", "Query", "Scan", "BatchGet", "View", "Check", "Validate"),
    *(
        "Test",
        "Simulate",
        "Preview",
        "Estimate",
        "Decode",
        "Detect",
        "Receive",
        "Resolve",
        "Verify",
        "Filter",
        "Download",
        "Assume",
    ),
)
_VERB = re.compile(r"[A-Z][a-z]+|[a-z]+", re.ASCII)
_MAX_LEAVES: Final = 20_000
_BEHIND_SERVICES: Final = ":role/aws-service-role/"
_TAG_KEYS: Final = ("key", "tagkey")
_TAG_VALUES: Final = ("value", "tagvalue")


@dataclass(frozen=True, slots=True)
class Found:
    """Where in a call a text is: the part of the record, and the keys around it."""

    section: Section
    keys: tuple[str, ...]

    @property
    def parameter(self) -> str:
        """The name of the value."""
        return label(self.keys)


@dataclass(slots=True)
class Call:
    """A record of CloudTrail. `time` is ms since 1970 (UTC), exact to the second.

    `caller` is who called as people know it; `service` is the AWS service that called on somebody's behalf or by itself, empty
    for a direct call; `places` are all values in lower case and where they are, `pairs` are values with their names.
    """

    id: str
    name: str
    source: str
    account: str
    region: str
    time: int
    caller: str
    service: str
    by_aws: bool
    obstacle: str
    shared: str = ""
    places: dict[str, list[Found]] = field(default_factory=dict)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    asked: set[tuple[str, str]] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    untagged: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)

    @property
    def verb(self) -> str:
        """What the call does, in lower case: `authorize` of `AuthorizeSecurityGroupIngress`."""
        found = _VERB.match(self.name)
        return found[0].lower() if found else ""

    @property
    def words(self) -> frozenset[str]:
        """The stems of the words in its name without the verb: security, group, ingress."""
        found = _VERB.match(self.name)
        return words(self.name[found.end() :] if found else self.name)


def of_record(record: Mapping[str, Any]) -> Call | None:
    """A call of its record, as the trail wrote it; None for what has no id, name or time.

    `obstacle` says why it can be the cause of nothing, and is empty where it can.
    """
    identity = record.get("eventID") or record.get("eventId")
    name, time = record.get("eventName"), milliseconds(record.get("eventTime"))
    if not (isinstance(identity, str) and isinstance(name, str) and time):
        return None
    who = record.get("userIdentity")
    who = who if isinstance(who, dict) else {}
    caller, service, by_aws = _caller(record, who)
    call = Call(
        id=identity,
        name=name,
        source=str(record.get("eventSource") or "").partition(".")[0],
        account=str(record.get("recipientAccountId") or who.get("accountId") or ""),
        region=str(record.get("awsRegion") or ""),
        time=time,
        caller=caller,
        service=service,
        by_aws=by_aws,
        obstacle=_obstacle(record, name),
        shared=str(record.get("sharedEventID") or ""),
    )
    if not call.obstacle:
        _read(call, record)
    return call


def usable(calls: Iterable[Call], account: str) -> list[Call]:
    """The calls that can be causes of changes in an account, each once, oldest first.

    A shared event is in the trails of both accounts; here it counts where it is the resource's own account that has it.
    """
    kept = {call.id: call for call in calls if not call.obstacle and call.account == account}
    shared: dict[str, str] = {}
    for call in kept.values():
        if call.shared:
            shared.setdefault(call.shared, call.id)
    once = [call for call in kept.values() if not call.shared or shared[call.shared] == call.id]
    return sorted(once, key=lambda call: (call.time, call.id))


def _obstacle(record: Mapping[str, Any], name: str) -> str:
    if record.get("errorCode") or record.get("errorMessage"):
        return f"it failed: {record.get('errorCode') or record.get('errorMessage')}"
    category = record.get("eventCategory")
    if category in ("Insight", "Aggregated"):
        return "it is no call"
    read = record.get("readOnly")
    if read is True or read == "true" or (read is None and name.startswith(_READS)):
        return "it only reads"
    parameters = record.get("requestParameters")
    if isinstance(parameters, dict) and any(
        str(key).lower() == "dryrun" and value in (True, "true") for key, value in parameters.items()
    ):
        return "it was a dry run"
    answer = record.get("responseElements")
    if isinstance(answer, dict) and answer.get("_return") is False:
        return "the service says that it did nothing"
    return ""


def _caller(record: Mapping[str, Any], who: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Who called, which service stood between (or called by itself), and whether AWS itself did it without anybody's call."""
    session = who.get("sessionContext")
    issuer = session.get("sessionIssuer") if isinstance(session, dict) else None
    role = str(issuer.get("arn") or "") if isinstance(issuer, dict) else ""
    invoked = str(who.get("invokedBy") or "")
    address = str(record.get("sourceIPAddress") or "")
    service = invoked if "." in invoked else address if address.endswith(".amazonaws.com") else ""
    if _BEHIND_SERVICES in role and not service:
        service = role.split(_BEHIND_SERVICES, 1)[1].split("/", 1)[0]
    by_aws = record.get("eventType") == "AwsServiceEvent"
    if by_aws:
        service = service or str(record.get("eventSource") or "")
    caller = str(who.get("arn") or who.get("userName") or who.get("principalId") or service or who.get("accountId") or "")
    return caller, service, by_aws


def _read(call: Call, record: Mapping[str, Any]) -> None:
    """Note what the record names, anywhere but in who called."""
    places: defaultdict[str, list[Found]] = defaultdict(list)
    parts: tuple[tuple[Section, Any], ...] = (
        ("request", record.get("requestParameters")),
        ("response", record.get("responseElements")),
        ("response", record.get("serviceEventDetails")),
        ("resources", record.get("resources")),
    )
    count = 0
    for section, tree in parts:
        for keys, text in leaves(tree):
            count += 1
            if count > _MAX_LEAVES:
                break
            places[text].append(Found(section, keys))
            if section != "resources":
                name = label(keys)
                call.pairs.add((name, text))
                call.labels.add(name)
                if section == "request":
                    call.asked.add((name, text))
    call.places = dict(places)
    _tags(call, record.get("requestParameters"))
    _undone(call, record.get("responseElements"))


def _tags(call: Call, tree: Any, key: str = "", levels: int = 12) -> None:
    """The tags that the call sets or takes away, wherever its API has them."""
    if levels <= 0:
        return
    if isinstance(tree, dict):
        fields = {str(name).lower(): value for name, value in tree.items()}
        name = next((fields[one] for one in _TAG_KEYS if isinstance(fields.get(one), str)), None)
        if name is not None and "tag" in key:
            value = next((fields[one] for one in _TAG_VALUES if one in fields), None)
            call.tags[name] = "" if value is None else str(value)
            call.untagged.add(name)
            return
        for inner, value in tree.items():
            below = str(inner).lower()
            if below in ("tags", "tagset", "tag") and isinstance(value, dict) and _is_mapping(value):
                call.tags |= {str(one): str(text) for one, text in value.items()}
            else:
                _tags(call, value, f"{key}.{below}", levels - 1)
    elif isinstance(tree, list):
        for value in tree:
            if isinstance(value, str) and key.endswith(("tagkeys", "tagkeys.items", "tagkeylist")):
                call.untagged.add(value)
            else:
                _tags(call, value, key, levels - 1)


def _is_mapping(value: Mapping[str, Any]) -> bool:
    return bool(value) and not any(isinstance(part, (dict, list)) or str(key).lower() == "key" for key, part in value.items())


def _undone(call: Call, tree: Any, levels: int = 12) -> None:
    """The ids of which the answer says that they are as they were: an instance that was stopped already."""
    if levels <= 0:
        return
    if isinstance(tree, dict):
        now, before = tree.get("currentState"), tree.get("previousState")
        if isinstance(now, dict) and now and now == before:
            call.undone |= {text.casefold() for text in tree.values() if isinstance(text, str)}
        for value in tree.values():
            _undone(call, value, levels - 1)
    elif isinstance(tree, list):
        for value in tree:
            _undone(call, value, levels - 1)
