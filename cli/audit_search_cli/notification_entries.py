"""The entries of a bucket's notification configuration: what is there, what may be beside it, and what is ours.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote_plus, unquote_plus

from audit_search_cli.errors import FINDINGS, Problem

OURS = "audit-search-"
"""What the Id of every entry begins with that this command makes."""
URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
ARN = re.compile(r"arn:aws[a-z-]*:(sqs|lambda):([a-z0-9-]+):(\d{12}):(.+)")
LISTS = {
    "QueueConfigurations": ("queue", "QueueArn"),
    "TopicConfigurations": ("topic", "TopicArn"),
    "LambdaFunctionConfigurations": ("function", "LambdaFunctionArn"),
}
"""The lists of a configuration: the kind of target in each, and the key that holds its ARN."""
_EVENTS = ["s3:ObjectCreated:*"]
_SAFE = "/!*'()"  # with letters, digits and -_.~ what S3 takes as it is in a filter
Configuration = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket and, decoded, what keys in it begin with."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One configuration of a bucket, as people see it; `prefix` and `suffix` are decoded."""

    kind: str
    id: str
    arn: str
    events: tuple[str, ...]
    prefix: str
    suffix: str

    @property
    def ours(self) -> bool:
        """Whether this command made it."""
        return self.id.startswith(OURS)

    def __str__(self) -> str:
        keys = f"{self.prefix}*{self.suffix}"
        return f"{self.id or 'without an Id'} ({self.kind} {self.arn}, keys {keys}, {', '.join(self.events)})"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be notified of the objects below a location: a queue, a function, or EventBridge (which has no `arn`)."""

    kind: Literal["queue", "function", "eventbridge"]
    arn: str = ""
    suffix: str = ""


def location(text: str) -> Location:
    """`s3://bucket` or `s3://bucket/prefix`. Raises Problem."""
    found = URL.fullmatch(text)
    if not found or ".." in found[1]:
        raise Problem(f"{text!r} is no bucket", "Write it as s3://bucket or s3://bucket/prefix.")
    return Location(found[1], found[2] or "")


def destination(queue_arn: str, function_arn: str, eventbridge: bool, suffix: str) -> Wanted:
    """What is wanted, from the three ways to say it. Raises Problem unless exactly one is given and is an ARN of its kind."""
    if sum((bool(queue_arn), bool(function_arn), eventbridge)) != 1:
        raise Problem("It is not said who is to be notified", "Give one of --queue-arn, --function-arn and --eventbridge.")
    if eventbridge:
        if suffix:
            raise Problem("EventBridge takes no --suffix", "It gets every event of the bucket; its rules filter them.")
        return Wanted("eventbridge")
    arn, service = (queue_arn, "sqs") if queue_arn else (function_arn, "lambda")
    found = ARN.fullmatch(arn)
    if not found or found[1] != service or (service == "lambda" and not found[4].startswith("function:")):
        what = "a queue, such as arn:aws:sqs:eu-central-1:123456789012:name"
        if service == "lambda":
            what = "a function, such as arn:aws:lambda:eu-central-1:123456789012:function:name:live"
        raise Problem(f"{arn!r} is not the ARN of {what}", "The stack's outputs have it.")
    if service == "sqs" and arn.endswith(".fifo"):
        raise Problem(f"{arn} is a FIFO queue, which S3 does not notify", "Use a standard queue, or EventBridge.")
    return Wanted("queue" if queue_arn else "function", arn, suffix)


def entries(configuration: Mapping[str, Any]) -> list[Entry]:
    """Every entry of a configuration; EventBridge is one without Id and ARN."""
    found = [_entry(kind, item, item.get(arn, "")) for name, (kind, arn) in LISTS.items() for item in configuration.get(name, [])]
    if "EventBridgeConfiguration" in configuration:
        found.append(Entry("eventbridge", "", "", ("all",), "", ""))
    return found


def _entry(kind: str, item: Mapping[str, Any], arn: str) -> Entry:
    rules = item.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    named = {str(rule.get("Name", "")).lower(): unquote_plus(str(rule.get("Value", ""))) for rule in rules}
    events = tuple(sorted(item.get("Events", [])))
    return Entry(kind, str(item.get("Id", "")), arn, events, named.get("prefix", ""), named.get("suffix", ""))


def overlap(one: Entry, other: Entry) -> bool:
    """Whether S3 refuses to have both: an event and a key that would match both of them."""
    events = any(_same_event(first, second) for first in one.events for second in other.events)
    prefixes = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    suffixes = one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
    return events and prefixes and suffixes


def _same_event(first: str, second: str) -> bool:
    one, other = first.removesuffix("*"), second.removesuffix("*")
    if first.endswith("*") and other.startswith(one):
        return True
    return first == second or (second.endswith("*") and one.startswith(other))


def added(current: Configuration, where: Location, wanted: Wanted) -> Configuration:
    """The configuration with ours in it; the same one where it is there already.

    Raises Problem, naming the entry in the way and what to do, where S3 would refuse it.
    """
    if wanted.kind == "eventbridge":
        return {**current, "EventBridgeConfiguration": current.get("EventBridgeConfiguration", {})}
    ours = Entry(wanted.kind, _identity(where, wanted), wanted.arn, tuple(_EVENTS), where.prefix, wanted.suffix)
    for entry in entries(current):
        if entry.kind == "eventbridge":
            continue
        if (entry.kind, entry.arn, entry.prefix, entry.suffix) == (ours.kind, ours.arn, ours.prefix, ours.suffix) and set(
            _EVENTS
        ) <= set(entry.events):
            return current
        if overlap(entry, ours):
            raise Problem(
                f"s3://{where.bucket} has a notification already that overlaps: {entry}", _way_out(entry, where), code=FINDINGS
            )
    name, arn = next((name, arn) for name, (kind, arn) in LISTS.items() if kind == wanted.kind)
    return {**current, name: [*current.get(name, []), _item(ours, arn)]}


def _way_out(entry: Entry, where: Location) -> str:
    if entry.ours:
        return f"It is ours: take it away first (audit-search notification remove s3://{where.bucket}/{entry.prefix})."
    if entry.kind == "topic":
        return f"Let the queue subscribe to that topic instead: deploy the stack with WayIn=topic and TrailTopicArn={entry.arn}."
    return (
        "S3 notifies one target of an event. Let EventBridge have it as well (--eventbridge, WayIn=eventbridge), or put an SNS "
        "topic in its place that both targets subscribe to."
    )


def _identity(where: Location, wanted: Wanted) -> str:
    text = "\n".join((wanted.kind, wanted.arn, where.prefix, wanted.suffix))
    return OURS + hashlib.sha256(text.encode()).hexdigest()[:12]


def _item(entry: Entry, arn: str) -> dict[str, Any]:
    rules = [
        {"Name": name, "Value": quote_plus(value, safe=_SAFE)}
        for name, value in (("prefix", entry.prefix), ("suffix", entry.suffix))
        if value
    ]
    item: dict[str, Any] = {"Id": entry.id, arn: entry.arn, "Events": list(entry.events)}
    return {**item, "Filter": {"Key": {"FilterRules": rules}}} if rules else item


def removed(current: Configuration, where: Location) -> Configuration:
    """The configuration without our entries below a location; EventBridge stays, for nobody knows who else uses it."""
    left = dict(current)
    for name, (kind, arn) in LISTS.items():
        if name not in current:
            continue
        kept = [item for item in current[name] if not _goes(_entry(kind, item, item.get(arn, "")), where)]
        left[name] = kept
        if not kept:
            del left[name]
    return left


def _goes(entry: Entry, where: Location) -> bool:
    return entry.ours and entry.prefix.startswith(where.prefix)


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configurations say the same; S3 gives lists in any order, and names of filters in any case."""
    return _plain(one) == _plain(other)


def _plain(configuration: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in configuration.items():
        if name in LISTS:
            items = sorted(json.dumps(_plain_item(item), sort_keys=True) for item in value)
            if items:
                plain[name] = items
        else:
            plain[name] = value
    return plain


def _plain_item(item: Mapping[str, Any]) -> dict[str, Any]:
    rules = item.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    pairs = sorted((str(rule.get("Name", "")).lower(), rule.get("Value", "")) for rule in rules if rule.get("Value"))
    rest = {name: value for name, value in item.items() if name not in ("Filter", "Events")}
    return {**rest, "Events": sorted(item.get("Events", [])), "Filter": pairs}
