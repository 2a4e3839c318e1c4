"""Resources for `make bench-questions`: their versions over a year, the calls that made each of them, and the questions about them.

A few resources change often and most seldom. Each version after a resource's first is made by a call of one of the record
generator's callers, some seconds before AWS Config captures it, and is read by a call later on. Links are those of the linker
itself, of a part of the versions; of the others the questions reckon them anew.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from audit_search import index_template
from audit_search.aws_config.documents import Origin
from audit_search.aws_config.history import Arrival, History
from audit_search.aws_config.items import Item, parse
from audit_search.causes.linking import Linker
from audit_search.opensearch import HttpEngine
from audit_search_cli.questions import changes as changing
from audit_search_cli.questions import who as asking
from audit_search_cli.questions.comparison import compare
from audit_search_cli.questions.coverage import look
from audit_search_cli.questions.events import Events
from audit_search_cli.questions.filters import Filters
from audit_search_cli.questions.graph import Graph, graph_of, node_of
from audit_search_cli.questions.items import held, one
from audit_search_cli.questions.who import Acts
from benchmarks.engine import say
from benchmarks.generate_config import ACCOUNT, REGION, changed, resource, stamped
from tests.support.config_world import World
from tests.support.opensearch_node import OpenSearchNode

Record = dict[str, Any]
SEED: Final = 7
BATCH: Final = 500
SHOWN: Final = 20
"""How many changes a command shows where nothing else is said."""
DEPTH, NODES = 2, 150
_SKEW: Final = 2.5
"""The greater, the more of the versions are those of few resources."""
_CALLS: Final = {
    "AWS::EC2::NetworkInterface": ("ModifyNetworkInterfaceAttribute", "networkInterfaceId", "DescribeNetworkInterfaces"),
    "AWS::EC2::Volume": ("ModifyVolume", "volumeId", "DescribeVolumes"),
    "AWS::Lambda::Function": ("UpdateFunctionConfiguration20150331v2", "functionName", "GetFunction20150331v2"),
    "AWS::EC2::SecurityGroup": ("ModifySecurityGroupRules", "groupId", "DescribeSecurityGroups"),
    "AWS::IAM::Role": ("UpdateRole", "roleName", "GetRole"),
    "AWS::EC2::Instance": ("ModifyInstanceAttribute", "instanceId", "DescribeInstances"),
    "AWS::S3::Bucket": ("PutBucketVersioning", "bucketName", "GetBucketVersioning"),
    "AWS::CloudFormation::Stack": ("UpdateStack", "stackName", "DescribeStacks"),
    "AWS::EC2::Subnet": ("ModifySubnetAttribute", "subnetId", "DescribeSubnets"),
}
"""The call that changes a resource of a type, the parameter that names it, and the call that reads it."""


@dataclass(frozen=True, slots=True)
class Life:
    """A version of a resource as AWS Config's item, and the calls around it: what made it, and what read it afterwards."""

    item: Record
    calls: tuple[Record, ...]


def lives(versions: int, resources: int, end: datetime, over: timedelta, bases: list[Record]) -> Iterator[Life]:
    """So many versions of so many resources over a time, in their order; `bases` are records whose callers make the calls."""
    rng = random.Random(SEED)
    known: dict[int, Record] = {}
    for number in range(versions):
        when = end - over * (versions - number) / versions
        chosen = number if number < resources else int(resources * rng.random() ** _SKEW)
        if chosen not in known:
            known[chosen] = stamped(resource(SEED, chosen), when)
            yield Life(known[chosen], ())
            continue
        before = known[chosen]
        known[chosen], diff = changed(rng, before, when)
        made = _writing(rng, rng.choice(bases), known[chosen], diff, when - timedelta(seconds=rng.randrange(20, 90)))
        read = _reading(rng, rng.choice(bases), known[chosen], when + timedelta(minutes=rng.randrange(1, 600)))
        yield Life(known[chosen], (made, read))


def _call(rng: random.Random, base: Record, item: Record, when: datetime, more: Record) -> Record:
    """A record of a base's caller about a resource."""
    fields = ("eventVersion", "userIdentity", "sourceIPAddress", "userAgent", "eventType", "recipientAccountId", "tlsDetails")
    service = item["resourceType"].split("::")[1].lower()
    return {
        **{name: base[name] for name in fields if name in base},
        "eventTime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": f"{service}.amazonaws.com",
        "awsRegion": "us-east-1" if item["awsRegion"] == "global" else REGION,
        "recipientAccountId": ACCOUNT,
        "requestID": str(uuid.UUID(int=rng.getrandbits(128))),
        "eventID": str(uuid.UUID(int=rng.getrandbits(128))),
        "managementEvent": True,
        "eventCategory": "Management",
        **more,
    }


def _name(item: Record, parameter: str) -> str:
    return str(item["resourceName"] if parameter in ("roleName", "functionName", "bucketName") else item["resourceId"])


def _writing(rng: random.Random, base: Record, item: Record, diff: Record, when: datetime) -> Record:
    """The call that made a version: of its tags, or of an attribute or a relationship."""
    name, parameter, _ = _CALLS[item["resourceType"]]
    ((path, difference), *_) = diff["changedProperties"].items()
    value = difference["updatedValue"] or difference["previousValue"]
    request: Record = {parameter: _name(item, parameter)}
    if path == "Tags.team" and item["resourceType"].startswith("AWS::EC2::"):
        name = "CreateTags"
        tags = {"items": [{"key": "team", "value": value}]}
        request = {"resourcesSet": {"items": [{"resourceId": item["resourceId"]}]}, "tagSet": tags}
    elif path.startswith("Configuration."):
        key = path.partition(".")[2]
        request[key[:1].lower() + key[1:]] = value
    else:
        request["relatedId"] = value["resourceId"] if isinstance(value, dict) else value
    more = {"eventName": name, "readOnly": False, "requestParameters": request, "responseElements": {"_return": True}}
    return _call(rng, base, item, when, more)


def _reading(rng: random.Random, base: Record, item: Record, when: datetime) -> Record:
    _, parameter, name = _CALLS[item["resourceType"]]
    request = {parameter: _name(item, parameter)}
    more = {"eventName": name, "readOnly": True, "requestParameters": request, "responseElements": None}
    return _call(rng, base, item, when, more)


def callers(texts: Iterator[str], number: int = 400) -> list[Record]:
    """Records of sessions and users, whose identities make the calls; those of services change nothing by themselves."""
    read = (json.loads(text) for text in texts)
    return list(itertools.islice((record for record in read if record["userIdentity"].get("accessKeyId")), number))


def load(node: OpenSearchNode, prefix: str, items: list[Record]) -> None:
    """Write the versions as AWS Config's function does, in their order."""
    engine = _engine(node)
    history = History(engine, prefix)
    for start in range(0, len(items), BATCH):
        parsed = [parse(json.dumps(item, separators=(",", ":"))) for item in items[start : start + BATCH]]
        arrivals = [Arrival(item, Origin("bench")) for item in parsed if isinstance(item, Item)]
        written = history.write(arrivals, time.monotonic() + 300)
        if len(arrivals) != len(parsed) or any(outcome.kind != "indexed" for outcome in written.outcomes):
            sys.exit(f"not every version was indexed: {written}")
        say(f"{start + len(parsed):,} of {len(items):,} versions")
    node.request("POST", f"/{prefix}config-*/_refresh")


def install(node: OpenSearchNode, prefix: str) -> None:
    """The index templates of AWS Config's families and of the links."""
    for family in (*index_template.CONFIG, index_template.LINKS):
        body = index_template.body(prefix, family, replicas=0, shards=1, refresh="-1")
        node.request("PUT", f"/_index_template/{index_template.name(prefix, family)}", body)


def link(node: OpenSearchNode, prefix: str, seconds: float) -> int:
    """Let the linker work for so many seconds; gives how many versions it linked."""
    linker = Linker(_engine(node), prefix, now=lambda: time.time() + 120)
    totals = linker.run(time.monotonic() + seconds)
    if totals.problem:
        say(f"The linker stopped: {totals.problem}")
    node.request("POST", f"/{prefix}config-*/_refresh")
    say(f"{totals.linked:,} versions linked, {totals.caused:,} of them with a cause")
    return totals.linked


def _engine(node: OpenSearchNode) -> HttpEngine:
    return World.connected(node.endpoint)


def _who(events: Events, asked: Record) -> int:
    """As the command does it: changes, uses, failures, readers, each with who is behind it, and the line of coverage."""
    filters = Filters()
    meant = asking.known(events, asked["resourceId"])
    kinds = {kind: list(itertools.islice(asking.writes(events, meant, filters, what=kind), SHOWN + 1)) for kind in asking.KINDS}
    asking.readers(events, meant, filters)
    acts = Acts(events, meant, filters)
    told = [acts.of(some[:SHOWN]) for some in kinds.values()]
    look(events, filters)
    return sum(map(len, told))


def _changes(events: Events, asked: Record) -> int:
    found = one(events, asked["resourceId"])
    if found is None:
        return 0
    steps = list(itertools.islice(changing.changes(events, found), SHOWN + 1))[:SHOWN]
    for step in steps:
        if isinstance(step, changing.Step):
            changing.causes(events, step.version)
    return len(steps)


def _between(events: Events, asked: Record) -> int:
    """What changed in the last 90 days, and altogether."""
    found, until = one(events, asked["resourceId"]), _at(asked)
    if found is None:
        return 0
    since = until - timedelta(days=90)
    steps = list(itertools.islice(changing.changes(events, found, since, until), SHOWN))
    sides = held(events, found, since), held(events, found, until)
    changing.altogether(sides[0].version, sides[1].version)
    return len(steps)


def _state(events: Events, asked: Record) -> int:
    found = one(events, asked["resourceId"])
    return int(found is not None and held(events, found, _at(asked)).version is not None)


def _graph(events: Events, asked: Record) -> int:
    return len(_drawn(events, asked, _at(asked)).nodes)


def _compared(events: Events, asked: Record) -> int:
    graphs = [_drawn(events, asked, when) for when in (_at(asked) - timedelta(days=90), _at(asked))]
    return len(compare(events, *graphs).pairs)


def _drawn(events: Events, asked: Record, at: datetime) -> Graph:
    found = one(events, asked["resourceId"])
    known = held(events, found, at) if found else None
    return graph_of(events, node_of(known.version, 0), at, DEPTH, NODES) if known and known.version else Graph(at)


def _at(asked: Record) -> datetime:
    return datetime.fromisoformat(asked["configurationItemCaptureTime"]).astimezone(UTC) + timedelta(minutes=1)


QUESTIONS: Final[dict[str, Callable[[Events, Record], int]]] = {
    "who changed a resource": _who,
    "changes of a resource, with their causes": _changes,
    "changes of 90 days, and altogether": _between,
    "state as of a time": _state,
    "graph of two steps": _graph,
    "graph of two steps, two times compared": _compared,
}
"""Each question about a resource, asked of a version's item: what it found."""
