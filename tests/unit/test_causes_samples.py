"""The public items of AWS Config that name their events, with the public records of CloudTrail that hold these events."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from audit_search.aws_config.changes import between, from_message
from audit_search.aws_config.documents import Origin, document, put_changes
from audit_search.aws_config.items import Item, parse
from audit_search.causes.calls import of_record
from audit_search.causes.scoring import explain
from audit_search.causes.versions import Version, of_document

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def trees(folder: str) -> Iterator[Any]:
    """The JSON of each file of the samples."""
    for path in sorted((DATA / folder).rglob("*.json*")):
        content = path.read_bytes()
        yield json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def found(tree: Any, *keys: str) -> Iterator[dict[str, Any]]:
    """The objects in a tree that have all of these keys."""
    if isinstance(tree, dict):
        if all(key in tree for key in keys):
            yield tree
        for part in tree.values():
            yield from found(part, *keys)
    elif isinstance(tree, list):
        for part in tree:
            yield from found(part, *keys)


def labelled(events: set[str]) -> dict[str, tuple[Version, set[str]]]:
    """The versions whose relatedEvents are among the records, by resource."""
    versions = {}
    for tree in trees("config"):
        for message in found(tree, "configurationItem", "configurationItemDiff"):
            body, diff = message["configurationItem"], message["configurationItemDiff"]
            if isinstance(body, dict) and diff and (named := events & set(body.get("relatedEvents") or ())):
                item = parse(json.dumps(body), diff=diff)
                assert isinstance(item, Item)
                source = document(item, Origin())
                put_changes(source, from_message(diff, item) or between(None, item), "message", None)
                versions[f"{item.type} {item.resource_id}"] = of_document(item.identity, source), named
    return versions


def test_events_that_aws_config_names_are_found_without_its_help() -> None:
    """Three of four versions are given their event, more than 0.9 sure; of the fourth, which its event does not name, nothing is
    said."""
    records = {one["eventID"]: one for tree in trees("cloudtrail") for one in found(tree, "eventID", "eventName", "eventTime")}
    calls = [call for one in records.values() if (call := of_record(one))]
    causes = {}
    for name, (version, named) in labelled(set(records)).items():
        assert {link.event for link in explain(version, calls).links} == named, name
        links = explain(replace(version, related_events=()), calls).causes
        causes[name] = [link.name for link in links if link.event in named and link.score > 0.9]
    assert not DATA.exists() or causes == {
        "AWS::EC2::EIP eipalloc-3d8a720f": ["AssociateAddress"],
        "AWS::EC2::Instance i-0b72e0b70e7fae3c9": ["AssociateAddress"],
        "AWS::EC2::SecurityGroup sg-aaa85e3c": ["AuthorizeSecurityGroupIngress"],
        "AWS::EC2::Volume vol-0f0e3e1c4a2f2d285": [],
    }
