"""The messages and histories that AWS and others publish tell the same as the versions that they come from."""

from __future__ import annotations

import copy
import gzip
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit_search.aws_config.changes import between, from_message
from audit_search.aws_config.comparison import apart
from audit_search.aws_config.items import Item, Relationship, parse
from tests.support.config_versions import vars_of

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data" / "config"


def messages() -> Iterator[tuple[str, Item, dict[str, Any]]]:
    """Every message of the samples that has an item and a diff."""
    for path in sorted(SAMPLES.glob("*/notifications/*.json")):
        content = json.loads(path.read_text())
        if isinstance(content.get("configurationItem"), dict) and isinstance(content.get("configurationItemDiff"), dict):
            item = parse(json.dumps(content["configurationItem"]), diff=content["configurationItemDiff"])
            assert isinstance(item, Item)
            yield path.name, item, content["configurationItemDiff"]


def undone(item: Item, diff: Mapping[str, Any]) -> Item:
    """The version before the one of a message, as its diff tells of it."""
    tree = {"Configuration": copy.deepcopy(item.configuration), "Relationships": [vars_of(one) for one in item.relationships]}
    for key, values in diff["changedProperties"].items():
        *parents, last = key.split(".")
        place: Any = tree
        for name in parents:
            place = place[name if place is tree else name[:1].lower() + name[1:]]
        name = last if place is tree else last[:1].lower() + last[1:]
        if isinstance(place, list):
            old, new = values["previousValue"], values["updatedValue"]
            if new is not None:
                place[:] = apart(place, [new])[0]
            place += [] if old is None else [old]
        else:
            place[name] = values["previousValue"]
    related = tuple(
        Relationship(r["resourceType"], r["resourceId"], r["resourceName"] or "", r["name"]) for r in tree["Relationships"]
    )
    return replace(item, configuration=tree["Configuration"], relationships=related)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="AWS's messages are not on this machine")
class TestSamples:
    """The messages and histories that AWS publishes."""

    def test_each_message_tells_what_its_version_before_tells(self) -> None:
        """For an update the version before is made from the diff; both ways to the changes agree."""
        seen = 0
        for name, item, diff in messages():
            changes = from_message(diff, item)
            if diff["changeType"] == "UPDATE":
                assert changes == between(undone(item, diff), item), name
            elif diff["changeType"] == "CREATE":
                assert changes == between(None, item), name
            else:
                assert changes[0].text == 'status  "OK" -> "ResourceDeleted"', name
            assert changes, name
            seen += 1
        assert seen >= 17

    def test_neighbours_in_a_history_change_as_their_message_says(self) -> None:
        """Where the version before is there as well, the message's diff and the comparison agree."""
        versions: dict[str, list[Item]] = {}
        for path in sorted(SAMPLES.glob("_public_composed/*ConfigHistory*.gz")):
            for record in json.loads(gzip.decompress(path.read_bytes()))["configurationItems"]:
                item = parse(json.dumps(record), source="history")
                assert isinstance(item, Item)
                versions.setdefault(item.resource, []).append(item)
        told = {item.identity: from_message(diff, item) for _, item, diff in messages()}
        neighbours = 0
        for history in versions.values():
            history.sort(key=lambda item: item.rank)
            for before, after in itertools.pairwise(history):
                assert between(before, after) == told[after.identity]
                neighbours += 1
        assert neighbours >= 2

    def test_the_worked_example_reads_as_the_console_shows_it(self) -> None:
        """The security group of an instance was replaced."""
        (changes,) = (
            from_message(diff, item) for name, item, diff in messages() if name.startswith("example-sns-notification_2")
        )
        old = '{"groupId":"sg-c8b141b4","groupName":"example-security-group-1"}'
        new = '{"groupId":"sg-3f1fef43","groupName":"example-security-group-2"}'
        assert [change.text for change in changes] == [
            'AWS::EC2::SecurityGroup  "sg-c8b141b4" -> null',
            'AWS::EC2::SecurityGroup  null -> "sg-3f1fef43"',
            f"Configuration.NetworkInterfaces[eni-fde9493f].Groups[sg-3f1fef43]  null -> {new}",
            f"Configuration.NetworkInterfaces[eni-fde9493f].Groups[sg-c8b141b4]  {old} -> null",
            f"Configuration.SecurityGroups[sg-3f1fef43]  null -> {new}",
            f"Configuration.SecurityGroups[sg-c8b141b4]  {old} -> null",
        ]
