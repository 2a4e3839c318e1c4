"""The fields of an event under the names that people know, and how a value of each is asked for.

A value with `*` or `?` in it is a pattern. Of a service `ec2` means `ec2.amazonaws.com`; of an address a network (CIDR) means
all that lie in it; of a user name the user or the session of a role, as LookupEvents computes it.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from audit_search_cli.errors import Problem

Query = dict[str, Any]
"""A query of the engine's query language."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that can be asked for: `path` is its name in a document, `what` says what it is.

    `closed` ones have few values, so that an unknown one is probably a slip; `several` may hold more than one value;
    `exact` ones can be grouped by.
    """

    name: str
    path: str
    what: str
    query: Callable[[str, str], Query]
    also: tuple[str, ...] = ()
    closed: bool = False
    several: bool = False
    exact: bool = True


def matching(path: str, value: str) -> Query:
    """A field that is this value, or fits this pattern."""
    if "*" in value or "?" in value:
        return {"wildcard": {path: {"value": value}}}
    return {"term": {path: {"value": value}}}


def any_of(*queries: Query) -> Query:
    """At least one of the queries."""
    return queries[0] if len(queries) == 1 else {"bool": {"should": list(queries), "minimum_should_match": 1}}


def all_of(*queries: Query) -> Query:
    """All of the queries; they do not score."""
    return {"bool": {"filter": list(queries)}} if queries else {"match_all": {}}


def none_of(*queries: Query) -> Query:
    """None of the queries."""
    return {"bool": {"must_not": list(queries)}}


def exists(path: str) -> Query:
    """A field that has a value."""
    return {"exists": {"field": path}}


def service(name: str) -> str:
    """The event source that a service's name means: ec2 is ec2.amazonaws.com."""
    return name if "." in name or "*" in name else f"{name.lower()}.amazonaws.com"


def _service(path: str, value: str) -> Query:
    return matching(path, service(value))


def _address(path: str, value: str) -> Query:
    """An address in any spelling, a network, or the DNS name of a service. Raises Problem."""
    if "/" in value:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError as error:
            raise Problem(
                f"{value!r} is no network: {error}", "Give an address (203.0.113.7), a network (203.0.113.0/24) or a service."
            ) from error
        return {"term": {f"{path}.ip": {"value": str(network)}}}
    try:
        return {"term": {f"{path}.ip": {"value": str(ipaddress.ip_address(value))}}}
    except ValueError:
        return matching(path, value)


def _user(_path: str, value: str) -> Query:
    """Who LookupEvents calls Username: an IAM user, the session of a role, root."""
    found = [matching("userIdentity.userName", value), matching("ct.caller", value)]
    found.append({"wildcard": {"userIdentity.principalId": {"value": f"*:{value}"}}})
    if value == "root":
        found.append(matching("userIdentity.type", "Root"))
    return any_of(*found)


def _caller(path: str, value: str) -> Query:
    """A caller by the short name, the ARN, the principal, or the role behind a session."""
    names = (path, "ct.identity", "userIdentity.arn", "userIdentity.sessionContext.sessionIssuer.arn")
    return any_of(*(matching(name, value) for name in (*names, "userIdentity.sessionContext.sessionIssuer.userName")))


def _truth(path: str, value: str) -> Query:
    """Whether a call only reads; where the record does not say it (before version 1.03), by the verb of its name.

    Raises Problem.
    """
    if value.lower() not in ("true", "false"):
        raise Problem(f"read-only is {value!r}", "It can be true or false.")
    reads = any_of(*({"prefix": {"eventName": {"value": verb}}} for verb in READING))
    guessed = all_of(none_of(exists(path)), reads if value.lower() == "true" else none_of(reads))
    return any_of({"term": {path: {"value": value.lower() == "true"}}}, guessed)


READING: Final = ("Get", "List", "Describe", "Head", "Lookup", "Search", "Query", "BatchGet", "Scan", "Select")
"""What the names of calls that only read begin with."""

_TREES = ("requestParameters", "responseElements", "serviceEventDetails", "additionalEventData")
_DISTINCT = re.compile(r"arn:aws[a-z-]*:.+|[a-z]{1,12}-[0-9a-f]{8,17}|(?=.*\d)(?=.*[-_/.:])[^\s*?\"]{12,}", re.ASCII)


def _resource(_path: str, value: str) -> Query:
    """Events that name a resource: in `resources`, or as a whole value anywhere in the request or the response.

    An id or an ARN, which can mean nothing else, is also found inside a longer value.
    """
    found = [matching("resources.ARN", value), *(matching(tree, value) for tree in _TREES)]
    if not value.startswith("arn:"):
        found += [{"wildcard": {"resources.ARN": {"value": f"*{mark}{value}"}}} for mark in ":/"]
    if _DISTINCT.fullmatch(value):
        found.append({"match_phrase": {"raw": value}})
    return any_of(*found)


FIELDS: Final[Mapping[str, Field]] = {
    field.name: field
    for field in (
        Field("event-name", "eventName", "the API that was called", matching, ("event", "name"), closed=True),
        Field("service", "eventSource", "the service: ec2, s3, iam", _service, ("event-source", "source"), closed=True),
        Field("caller", "ct.caller", "who called, in one word: a user, or role/session", _caller, ("who",)),
        Field("user", "userIdentity.userName", "an IAM user, or the session of a role", _user, ("username", "user-name")),
        Field("identity", "ct.identity", "who called, as exactly as it is known: an ARN mostly", matching, ("arn",)),
        Field("role", "userIdentity.sessionContext.sessionIssuer.userName", "the role behind a session", matching),
        Field("caller-type", "userIdentity.type", "IAMUser, AssumedRole, AWSService, Root …", matching, ("type",), closed=True),
        Field("invoked-by", "userIdentity.invokedBy", "the service that called on somebody's behalf", matching, closed=True),
        Field("access-key", "userIdentity.accessKeyId", "the access key that signed", matching, ("access-key-id", "key")),
        Field("error", "errorCode", "the error's code", matching, ("error-code",), closed=True),
        Field("outcome", "ct.outcome", "success or failure", matching, closed=True),
        Field("account", "recipientAccountId", "the account it happened in", matching, ("account-id",), closed=True),
        Field("region", "awsRegion", "the region", matching, ("aws-region",), closed=True),
        Field("source-ip", "sourceIPAddress", "an address, a network or a service's name", _address, ("ip", "address")),
        Field("user-agent", "userAgent", "the tool", matching, ("agent", "tool")),
        Field("resource", "resources.ARN", "a resource by id, name or ARN", _resource, ("resource-name",), several=True),
        Field("read-only", "readOnly", "true for calls that change nothing", _truth, closed=True),
        Field("event-id", "eventID", "the event's id", matching, ("id",), exact=False),
        Field("request-id", "requestID", "the request's id", matching, exact=False),
        Field("shared-event-id", "sharedEventID", "what the events of two accounts for one call share", matching, exact=False),
        Field("alert", "ct.alerts", "an alert rule that the event meets", matching, ("alerts",), closed=True, several=True),
        Field("category", "eventCategory", "Management, Data, Insight, NetworkActivity", matching, closed=True),
        Field("event-type", "eventType", "AwsApiCall, AwsConsoleSignIn, AwsServiceEvent …", matching, closed=True),
        Field("instance-type", "ct.instanceType", "the type of instances started", matching, closed=True, several=True),
        Field("vpc-endpoint", "vpcEndpointId", "the VPC endpoint that it came through", matching),
        Field("tls-version", "tlsDetails.tlsVersion", "the version of TLS", matching, ("tls",), closed=True),
        Field("mfa", "userIdentity.sessionContext.attributes.mfaAuthenticated", "true or false", matching, closed=True),
    )
}
"""Every field that can be asked for, by its name."""

API: Final = "api"
"""The name for service and event name together, ec2:RunInstances: not one field of a document, but what people call an API."""

_BY_NAME: Final = {name: field for field in FIELDS.values() for name in (field.name, *field.also, field.path.lower())}


def named(name: str) -> Field:
    """The field of a name that people use, or of its path in a document. Raises Problem with the nearest ones."""
    plain = name.strip().lower().replace("_", "-")
    found = _BY_NAME.get(plain) or _BY_NAME.get(name.strip().lower())
    if found:
        return found
    near = difflib.get_close_matches(plain, _BY_NAME, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join((API, *FIELDS))}."
    raise Problem(f"There is no field {name!r}", hint)


def asked(name: str, value: str) -> Query:
    """The query for one value of a field; `api` takes ec2:RunInstances, or the name alone. Raises Problem."""
    if not value.strip():
        raise Problem(f"The value of {name} is empty", "Give a value, or leave the option out.")
    if name == API:
        head, colon, tail = value.partition(":")
        return all_of(asked("service", head), asked("event-name", tail)) if colon else asked("event-name", value)
    field = named(name)
    return field.query(field.path, value.strip())
