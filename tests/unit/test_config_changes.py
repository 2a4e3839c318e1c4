"""Changes between two versions are what a person would say changed: no noise, no position, the same from a message."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from audit_search.aws_config.changes import MAX_CHANGES, Change, between, from_message
from audit_search.aws_config.comparison import differences
from audit_search.aws_config.items import Relationship
from audit_search.aws_config.values import MAX_VALUE_BYTES
from tests.support.config_versions import ITEM, lines, message, of

# What the console shows


def test_a_changed_attribute_is_a_path_with_before_and_after() -> None:
    """AWS's own example: the type of an instance was changed."""
    (change,) = between(of({"instanceType": "m3.xlarge"}), of({"instanceType": "m3.medium"}))
    assert change == Change("Configuration.InstanceType", "changed", "m3.xlarge", "m3.medium", "attribute")
    assert change.text == 'Configuration.InstanceType  "m3.xlarge" -> "m3.medium"'


def test_a_volume_that_was_attached_is_a_relationship_and_an_attribute() -> None:
    """AWS's own example: a volume came, and the device mapping with it."""
    volume = Relationship("AWS::EC2::Volume", "vol-caf71781", "", "Is attached to Volume")
    root = {"deviceName": "/dev/xvda", "ebs": {"volumeId": "vol-1"}}
    data = {"deviceName": "/dev/sdf", "ebs": {"volumeId": "vol-caf71781"}}
    before, after = of({"blockDeviceMappings": [root]}), of({"blockDeviceMappings": [data, root]}, relationships=(volume,))
    assert [change.text for change in between(before, after)] == [
        'AWS::EC2::Volume  null -> "vol-caf71781"',
        'Configuration.BlockDeviceMappings[/dev/sdf]  null -> {"deviceName":"/dev/sdf","ebs":{"volumeId":"vol-caf71781"}}',
    ]
    assert [change.category for change in between(before, after)] == ["relationship", "attribute"]
    assert next(change.text for change in between(after, before)) == 'AWS::EC2::Volume  "vol-caf71781" -> null'


def test_a_change_inside_an_element_names_the_element() -> None:
    """The identity of a list's element is in the path."""
    before = {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeId": "vol-1"}}, {"deviceName": "/dev/b"}]}
    after = {"blockDeviceMappings": [{"deviceName": "/dev/b"}, {"deviceName": "/dev/xvda", "ebs": {"volumeId": "vol-2"}}]}
    assert lines(before, after) == ['Configuration.BlockDeviceMappings[/dev/xvda].Ebs.VolumeId  "vol-1" -> "vol-2"']


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"ids": ["a", "b"]}, {"ids": ["c", "b", "a"]}, ['Configuration.Ids  null -> "c"']),
        ({"ids": ["a", "a"]}, {"ids": ["a"]}, ['Configuration.Ids  "a" -> null']),
        ({"ids": []}, {"ids": ["a"]}, ['Configuration.Ids  null -> "a"']),
        ({"a": {"code": 16, "name": "x"}}, {"a": {"code": 80, "name": "x"}}, ["Configuration.A.Code  16 -> 80"]),
        ({"a": None}, {"a": {"b": 1}}, ['Configuration.A  null -> {"b":1}']),
        ({"a": {"b": 1}}, {}, ['Configuration.A  {"b":1} -> null']),
        ({"a": ""}, {"a": None}, ['Configuration.A  "" -> null']),
        ({"a": "x"}, {"a": {"b": 1}}, ['Configuration.A  "x" -> {"b":1}']),
        (
            {"action": {"Allow": {}}},
            {"action": {"Block": {}}},
            ["Configuration.Action.Allow  {} -> null", "Configuration.Action.Block  null -> {}"],
        ),
        ({"v": "5.7"}, {"v": "5.70"}, ["Configuration.V  5.7 -> 5.70"]),
        ({"id": "0123"}, {"id": 123}, ['Configuration.Id  "0123" -> "123"']),
        ({"x": "True"}, {"x": "true"}, ['Configuration.X  "True" -> "true"']),
        ({"a b": 1, "x.y": 1}, {"a b": 2, "x.y": 2}, ["Configuration.A b  1 -> 2", "Configuration.X.Y  1 -> 2"]),
        ({"z": [{"id": True, "n": 2}]}, {"z": [{"id": False, "n": 2}]}, ["Configuration.Z.Id  true -> false"]),
        ({"a": {"b": 1}}, {"a": []}, ['Configuration.A  {"b":1} -> null']),
        ({"z": [{"valid": True, "n": 2}]}, {"z": [{"valid": False, "n": 2}]}, ["Configuration.Z.Valid  true -> false"]),
        ({"z": [{"xID": 1, "n": 2}]}, {"z": [{"xID": 1, "n": 3}]}, ["Configuration.Z[1].N  2 -> 3"]),
        ({"x": "a\nb"}, {"x": "a"}, ['Configuration.X  "a\\nb" -> "a"']),
        (
            {"entries": [{"ruleNumber": 100, "egress": True, "ruleAction": "allow"}, {"ruleNumber": 100, "egress": False}]},
            {"entries": [{"ruleNumber": 100, "egress": False}, {"ruleNumber": 100, "egress": True, "ruleAction": "deny"}]},
            ['Configuration.Entries[100/true].RuleAction  "allow" -> "deny"'],
        ),
        (
            {"things": [{"size": 1, "color": "red"}, {"size": 2, "color": "blue"}]},
            {"things": [{"size": 2, "color": "blue"}, {"size": 1, "color": "green"}]},
            ['Configuration.Things.Color  "red" -> "green"'],
        ),
        (
            {"things": [{"size": 1, "color": "red"}]},
            {"things": [{"size": 2, "color": "blue"}]},
            [
                'Configuration.Things  {"color":"red","size":1} -> null',
                'Configuration.Things  null -> {"color":"blue","size":2}',
            ],
        ),
        (
            {"policies": [{"policyId": 7, "n": 1}]},
            {"policies": [{"policyId": 7, "n": 2}]},
            ["Configuration.Policies[7].N  1 -> 2"],
        ),
    ],
)
def test_changes_are_what_a_person_would_say(before: Any, after: Any, expected: list[str]) -> None:
    """Lists by identity or by value, objects by key, one change for what came or went whole."""
    assert sorted(lines(before, after)) == sorted(expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": 1.5}, {"a": "1.5"}),
        ({"multiAZ": False}, {"multiAZ": "false"}),
        ({"a": None, "b": []}, {}),
        ({"a": [[None]], "b": [None, "x"]}, {"b": ["x"]}),
        ({"createTime": "2017-01-09T20:13:28.000Z"}, {"createTime": 1483992808}),
        ({"createTime": "2017-01-09T20:13:28.500Z"}, {"createTime": 1483992808.5}),
        ({"createTime": "2017-01-09T20:13:28.500Z"}, {"createTime": 1483992808500}),
        ({"createTime": "2017-01-09T20:13:28Z"}, {"createTime": "2017-01-09T21:13:28.0000+0100"}),
        ({"createTime": "2017-01-09T20:13:28Z"}, {"createTime": "2017-01-09T20:13:28"}),
        ({"policy": '{"Statement": [{"Action": "a"}]}'}, {"policy": {"Statement": [{"Action": ["a"]}]}}),
        ({"policy": "%7B%22Version%22%3A%222012-10-17%22%7D"}, {"policy": ' {"Version": "2012-10-17"}'}),
        ({"a": [{"x": [1, 2]}, {"x": [3]}]}, {"a": [{"x": ["3"]}, {"x": [2, 1]}]}),
    ],
)
def test_other_spellings_are_no_change(one: Any, other: Any) -> None:
    """What the dialects write differently means the same."""
    assert lines(one, other) == lines(other, one) == []


def test_the_order_of_differences_is_that_of_the_values() -> None:
    """The order in which two lists happen to stand shows nowhere."""
    assert differences("x", ["b", "a"], ["d", "c"]) == differences("x", ["a", "b"], ["c", "d"])


def test_a_policy_is_compared_as_a_structure() -> None:
    """JSON text and IAM's URL-encoded JSON text are looked into; one action more is one change."""
    before = json.dumps({"Statement": [{"Sid": "Read", "Action": "s3:GetObject"}, {"Sid": "List", "Action": "s3:ListBucket"}]})
    after = json.dumps(
        {"Statement": [{"Sid": "List", "Action": "s3:ListBucket"}, {"Sid": "Read", "Action": ["s3:GetObject", "s3:*"]}]}
    )
    expected = ['Configuration.PolicyText.Statement[Read].Action  null -> "s3:*"']
    assert lines({"policyText": before}, {"policyText": after}) == expected
    encoded = "".join(f"%{byte:02X}" for byte in after.encode())
    assert lines({"policyText": before}, {"policyText": encoded}) == expected
    statement = {"Effect": "Allow", "Action": ["a"], "Resource": "*"}
    assert lines({"p": json.dumps({"Statement": [statement]})}, {"p": {"Statement": {**statement, "Action": ["a", "b"]}}}) != []
    assert lines({"p": {"Statement": [statement]}}, {"p": {"Statement": [{**statement, "Action": ["a", "b"]}]}}) == [
        'Configuration.P.Statement.Action  null -> "b"'
    ]


def test_text_that_only_looks_like_json_is_text() -> None:
    """A broken structure is compared as it is written."""
    assert lines({"a": "{x"}, {"a": "{y"}) == ["Configuration.A  {x -> {y"]
    assert lines({"a": "%7Bx"}, {"a": "[" * 5000}) != []


# The item's own fields


def test_names_and_status_are_changes_and_missing_fields_of_a_dialect_are_not() -> None:
    """An ARN that a dialect leaves out is no change; the first update after the discovery has none in its status."""
    before = of({}, arn="arn:1", name="a", availability_zone="us-east-1a", status="ResourceDiscovered")
    assert [c.text for c in between(before, replace(before, name="b", availability_zone="us-east-1b", status="OK"))] == [
        'AvailabilityZone  "us-east-1a" -> "us-east-1b"',
        'ResourceName  "a" -> "b"',
    ]
    assert between(before, replace(before, arn="", availability_zone="Not Applicable")) == ()
    assert [c.text for c in between(before, replace(before, status="ResourceNotRecorded", configuration=None))] == [
        'status  "OK" -> "ResourceNotRecorded"'
    ]


def test_tags_are_one_change_each_wherever_they_are() -> None:
    """A tag is in `tags` and in many configurations too."""
    before = of(
        {"tags": [{"key": "a.b", "value": "1"}]}, tags={"a.b": "1"}, supplementary={"Tags": '[{"key":"a.b","value":"1"}]'}
    )
    after = of(
        {"tags": [{"tagName": "Env", "tagValue": "p"}]}, tags={"Env": "p"}, supplementary={"Tags": [{"key": "Env", "value": "p"}]}
    )
    assert between(before, after) == (
        Change("Tags.Env", "added", None, "p", "tag"),
        Change("Tags.a.b", "removed", "1", None, "tag"),
    )
    assert [c.text for c in between(of({}, tags={"a": "true"}), of({}, tags={"a": "True"}))] == ['Tags.a  "true" -> "True"']
    odd = of({"tags": [{"key": "a"}, {"key": "a"}]})
    assert [change.text for change in between(of({}), odd)] == ['Configuration.Tags  null -> {"key":"a"}']


def test_a_deleted_resource_is_one_change_and_its_relationships() -> None:
    """Thousands of attributes that are gone say nothing more; a return is told the same way."""
    related = (Relationship("AWS::EC2::VPC", "vpc-1", "", "Is contained in Vpc"),)
    alive = of({"a": 1, "b": 2}, relationships=related, name="n", tags={"x": "y"}, status="ResourceDiscovered")
    gone = of(None, status="ResourceDeleted")
    assert between(alive, gone) == (
        Change("status", "changed", "OK", "ResourceDeleted", "attribute"),
        Change("AWS::EC2::VPC", "removed", "vpc-1", None, "relationship"),
    )
    assert [change.text for change in between(gone, alive)] == [
        'status  "ResourceDeleted" -> "OK"',
        'AWS::EC2::VPC  null -> "vpc-1"',
    ]
    assert between(gone, replace(gone, status="ResourceDeletedNotRecorded")) == ()
    rest = replace(alive, status="ResourceDeleted", name="")  # with the configuration that it had
    assert between(alive, rest) == between(alive, gone)
    assert between(rest, gone) == ()


def test_the_first_version_known_has_changes_only_when_it_is_the_first_of_all() -> None:
    """A created resource is one change; one that was there before we looked is none."""
    assert between(None, of({"a": 1}, status="ResourceDiscovered")) == (
        Change("status", "added", None, "ResourceDiscovered", "attribute"),
    )
    assert between(None, of({"a": 1})) == between(None, of(None, status="ResourceDeleted")) == ()


def test_a_configuration_that_is_gone_is_one_change() -> None:
    """Without a status that says so, the configuration itself is the change."""
    assert lines({"a": 1, "b": 2}, None) == ['Configuration  {"a":1,"b":2} -> null']


def test_relationships_are_compared_by_resource() -> None:
    """How a relationship is worded, and in which order it stands, is no change; a name serves where there is no id."""
    one = Relationship("AWS::EC2::INSTANCE", "i-1", "", "Attached to Instance")
    same = Relationship("AWS::EC2::Instance", "i-1", "x", "Is attached to Instance")
    role = Relationship("AWS::IAM::Role", "", "admin", "Is attached to Role")
    assert between(of({}, relationships=(one,)), of({}, relationships=(same,))) == ()
    assert len(between(of({}, relationships=(one,) * 4), of({}, relationships=(one,) * 2))) == 1
    assert [c.text for c in between(of({}, relationships=(one, role)), of({}, relationships=(same,)))] == [
        'AWS::IAM::Role  "admin" -> null'
    ]


# Messages


def test_entries_of_one_element_are_compared_with_each_other() -> None:
    """A message tells of a changed element as one that went and one that came, under numbers that are no positions."""
    before = {"networkInterfaceId": "eni-1", "status": "in-use", "groups": [{"groupId": "sg-1"}]}
    after = before | {"groups": [{"groupId": "sg-2"}]}
    properties = {"Configuration.NetworkInterfaces.0": (before, None), "Configuration.NetworkInterfaces.1": (None, after)}
    expected = [
        'Configuration.NetworkInterfaces[eni-1].Groups[sg-1]  {"groupId":"sg-1"} -> null',
        'Configuration.NetworkInterfaces[eni-1].Groups[sg-2]  null -> {"groupId":"sg-2"}',
    ]
    assert message(properties, of({"networkInterfaces": [after, {"networkInterfaceId": "eni-2"}]})) == expected
    assert message(properties, of({})) == expected
    assert message(properties, of({"networkInterfaces": [{"networkInterfaceId": "eni-2"}]})) == expected
    same = {"Configuration.X.0": ({"a": 1}, None), "Configuration.X.1": (None, {"a": "1"}), "Configuration.Y.0": ("a", "a")}
    assert message(same, of({"x": [{"a": 1}]})) == []


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"Configuration.State.Name": ("a", "b")}, ['Configuration.State.Name  "a" -> "b"']),
        ({"configuration.state.name": ("a", "b")}, ['Configuration.State.Name  "a" -> "b"']),
        ({"Configuration": ({"a": {"b": 1}, "c": 1}, {"a": {"b": 2}, "c": "1"})}, ["Configuration.A.B  1 -> 2"]),
        ({"Tags.x.y": (None, "1")}, ["Tags.x.y  null -> 1"]),
        ({"Tags.Cost.center": ("1", None)}, ["Tags.cost.center  1 -> null"]),
        ({"Tags": ({"a": "x"}, {"a": "y"})}, ['Tags.a  "x" -> "y"']),
        ({"Tags.0": ({"key": "a", "value": "x"}, None), "Tags.1": (None, {"key": "a", "value": "y"})}, ['Tags.a  "x" -> "y"']),
        ({"Configuration.Tags.1": (None, {"key": "info", "value": "x"})}, ['Tags.info  null -> "x"']),
        ({"SupplementaryConfiguration.Tags.0": (None, {"key": "info", "value": "x"})}, ['Tags.info  null -> "x"']),
        (
            {"Relationships.0": (None, {"resourceType": "AWS::EC2::VPC", "resourceId": "vpc-1"})},
            ['AWS::EC2::VPC  null -> "vpc-1"'],
        ),
        ({"Relationships": ([{"resourceType": "T", "resourceName": "n"}], [])}, ['T  "n" -> null']),
        ({"Configuration.Deep.list.0.Value": (1, 2)}, ["Configuration.Deep.List[k].Value  1 -> 2"]),
        ({"Configuration.Deep.list.9.Value": (1, 2)}, ["Configuration.Deep.List[9].Value  1 -> 2"]),
        ({"Configuration.Map.0": ("a", "b")}, ['Configuration.Map.0  "a" -> "b"']),
        ({"Configuration.Indices.query.max.0": ("a", None)}, ['Configuration.Indices.Query.Max  "a" -> null']),
        ({"ResourceName": ("a", "b"), "ARN": ("x", "y")}, ['ARN  "x" -> "y"', 'ResourceName  "a" -> "b"']),
        ({"Configuration.Tags": ([], None)}, []),
        (
            {"SupplementaryConfiguration.Policy.PolicyText": ('{"A":["x"]}', '{"A":["x","y"]}')},
            ['SupplementaryConfiguration.Policy.PolicyText.A  null -> "y"'],
        ),
    ],
)
def test_keys_of_a_diff_become_the_same_paths(properties: dict[str, Any], expected: list[str]) -> None:
    """Numbers, tags, whole objects and policies, in whichever case the key is written."""
    item = of(
        {
            "state": {"name": "b"},
            "deep": {"list": [{"key": "k", "value": 2}]},
            "map": {"0": "b"},
            "indices.query": {"max": ["b"]},
        },
        tags={"cost.center": "1"},
    )
    assert message(properties, item) == expected


def test_a_message_of_a_deletion_or_creation_is_one_change() -> None:
    """The whole `Configuration` that is gone is no change of its own; ended relationships are."""
    gone = {
        "Configuration": ({"a": 1}, None),
        "ResourceName": ("n", None),
        "Relationships.0": ({"resourceType": "AWS::EC2::VPC", "resourceId": "vpc-1"}, None),
    }
    expected = ['status  "OK" -> "ResourceDeleted"', 'AWS::EC2::VPC  "vpc-1" -> null']
    assert message(gone, of(None, status="ResourceDeleted"), "DELETE") == expected
    assert message(gone, of(None, status="ResourceDeleted"), "UPDATE") == expected
    created = of({"a": 1}, status="ResourceDiscovered")
    assert message({}, created, "CREATE") == ['status  null -> "ResourceDiscovered"']


# Bounds


def test_many_changes_are_counted_in_the_last() -> None:
    """At most MAX_CHANGES are told, and how many more there are."""
    changes = between(of({}), of({f"k{n}": n for n in range(MAX_CHANGES + 500)}))
    assert len(changes) == MAX_CHANGES
    assert changes[-1].text == "501 more changes"
    assert len(between(of({}), of({f"k{n}": n for n in range(MAX_CHANGES)}))) == MAX_CHANGES


@pytest.mark.parametrize("character", ["x", "ü", "漢", "🔍"])
@pytest.mark.parametrize("more", range(5))
def test_long_values_are_cut_between_characters(character: str, more: int) -> None:
    """A value has at most MAX_VALUE_BYTES in UTF-8, and shows that something is missing."""
    (change,) = between(of({"a": None}), of({"a": "y" * more + character * 9000}))
    assert change.after is not None
    assert MAX_VALUE_BYTES - 4 <= len(change.after.encode()) <= MAX_VALUE_BYTES
    assert change.after.endswith(f"{character}…")
    assert len(change.text.encode()) < 300
    (long_key,) = between(of({}), of({character * 9000: 1}))
    assert len(long_key.path.encode()) <= 1000


def test_what_cannot_be_written_is_replaced() -> None:
    """A lone surrogate in a value, a key or a tag does not stop the document."""
    for change in between(of({}), of({"\ud800": "\udfff", "x": {"y": "\ud800"}}, tags={"\ud800": "\ud800"})):
        json.dumps([change.path, change.before, change.after, change.text]).encode()
        (change.path + (change.after or "") + change.text).encode()


@pytest.mark.parametrize("levels", [60, 70, 500, 900, 5000])
def test_depth_is_no_danger(levels: int) -> None:
    """However deep a structure is, what changed at its bottom is a change."""

    def nested(bottom: Any, kind: str) -> Any:
        for level in range(levels):
            bottom = {"a": bottom} if kind == "object" or (kind == "both" and level % 2) else [bottom, "x"]
        return {"top": bottom}

    for kind in ("object", "list", "both"):
        assert lines(nested(1, kind), nested(1, kind)) == []
        assert lines(nested(1, kind), nested(2, kind)) != []
        assert lines({}, nested(1, kind)) != []
        assert message({"Configuration": (nested(1, kind), nested(2, kind))}, of({})) != []
        assert message({"Configuration." + "a." * levels + "b": (nested(1, kind), None)}, of(nested(1, kind))) != []
    assert from_message({"changedProperties": {}, "changeType": nested(1, "list")}, ITEM) == ()


def test_numbers_without_end_are_compared() -> None:
    """Numbers that Python refuses to write in decimal, infinity and NaN are values like others."""
    huge = 10**5000
    assert lines({"a": huge}, {"a": huge}) == []
    assert len(lines({"a": huge, "b": [{"id": huge}]}, {"a": huge + 1, "b": [{"id": 1}]})) == 3
    assert lines({"a": float("nan")}, {"a": float("nan")}) == []
    assert lines({"a": float("inf")}, {"a": 1}) != []
