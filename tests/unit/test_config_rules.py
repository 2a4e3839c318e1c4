"""Security group rules are one readable line each, in every dialect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit_search.aws_config.changes import between
from tests.support.config_versions import GROUP, WORLD, lines, message, of, permission


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (permission(**WORLD), "tcp 22 from 0.0.0.0/0"),
        (permission(ipRanges=["0.0.0.0/0"]), "tcp 22 from 0.0.0.0/0"),
        (permission("6", "22", 22.0, ipv4Ranges=[{"cidrIp": "0.0.0.0/0"}]), "tcp 22 from 0.0.0.0/0"),
        (permission("udp", 1000, 2000, ipv6Ranges=[{"cidrIpv6": "::/0"}]), "udp 1000-2000 from ::/0"),
        (permission("tcp", 0, 65535, **WORLD), "tcp all from 0.0.0.0/0"),
        (permission("-1", None, None, userIdGroupPairs=[{"groupId": "sg-2", "userId": "123456789012"}]), "all from sg-2"),
        (
            permission("-1", None, None, userIdGroupPairs=[{"groupId": "sg-2", "userId": "amazon-elb"}]),
            "all from amazon-elb/sg-2",
        ),
        (permission(userIdGroupPairs=[{"groupName": "classic"}]), "tcp 22 from classic"),
        (permission(prefixListIds=["pl-1"]), "tcp 22 from pl-1"),
        (permission(prefixListIds=[{"prefixListId": "pl-1", "description": "x"}]), "tcp 22 from pl-1"),
        (permission("icmp", -1, -1, **WORLD), "icmp all from 0.0.0.0/0"),
        (permission("icmp", 8, -1, **WORLD), "icmp type 8 from 0.0.0.0/0"),
        (permission("1", 3, 4, **WORLD), "icmp type 3 code 4 from 0.0.0.0/0"),
        (permission("58", None, None, **WORLD), "icmpv6 all from 0.0.0.0/0"),
        (permission("50", None, None, **WORLD), "protocol 50 from 0.0.0.0/0"),
        ({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "1.2.3.4/32"}]}, "tcp 22 from 1.2.3.4/32"),
    ],
)
def test_a_security_group_rule_is_one_readable_change(added: dict[str, Any], expected: str) -> None:
    """Each rule that came or went is a line, in both dialects, whichever way it leads."""
    assert lines({"ipPermissions": []}, {"ipPermissions": [added]}, GROUP) == [f"+ ingress {expected}"]
    assert lines({"ipPermissions": [added]}, {}, replace(GROUP, type="AWS::EC2::SECURITYGROUP")) == [f"- ingress {expected}"]
    egress = expected.replace(" from ", " to ")
    assert lines({}, {"ipPermissionsEgress": [added]}, GROUP) == [f"+ egress {egress}"]
    assert message({"Configuration.IpPermissions.3": (None, added)}, of({"ipPermissions": [added]}, GROUP)) == [
        f"+ ingress {expected}"
    ]


def test_a_range_more_in_a_permission_is_one_rule_more() -> None:
    """Permissions are merged, split and reordered, and dialects differ: the rules are what counts."""
    one, two = {"cidrIp": "10.0.0.0/8"}, {"cidrIp": "10.0.0.1/32"}
    before = {"ipPermissions": [permission(ipv4Ranges=[one]), permission("udp", 53, 53, **WORLD)]}
    after = {"ipPermissions": [permission("udp", 53, 53, ipRanges=["0.0.0.0/0"]), permission(ipv4Ranges=[two, one])]}
    assert lines(before, after, GROUP) == ["+ ingress tcp 22 from 10.0.0.1/32"]
    split = {"ipPermissions": [permission(ipv4Ranges=[one]), permission(ipv4Ranges=[two]), before["ipPermissions"][1]]}
    assert lines(after, split, GROUP) == []
    properties = {
        "Configuration.IpPermissions.0": (before["ipPermissions"][0], None),
        "Configuration.IpPermissions.1": (None, after["ipPermissions"][1]),
    }
    assert message(properties, of(after, GROUP)) == ["+ ingress tcp 22 from 10.0.0.1/32"]


def test_a_rules_description_is_a_change_only_where_the_dialect_has_it() -> None:
    """Texts in `ipRanges` have no descriptions, so they say nothing about them."""

    def described(text: str | None) -> dict[str, Any]:
        return {
            "ipPermissions": [permission(ipv4Ranges=[{"cidrIp": "1.2.3.4/32", "description": text}], ipRanges=["1.2.3.4/32"])]
        }

    assert lines(described("a"), described("b"), GROUP) == [
        'Configuration.IpPermissions[ingress tcp 22 from 1.2.3.4/32].Description  "a" -> "b"'
    ]
    assert [change.category for change in between(of(described(None), GROUP), of(described("b"), GROUP))] == ["rule"]
    twice = {"ipPermissions": [*described("a")["ipPermissions"], permission(ipRanges=["1.2.3.4/32"])]}
    assert len(lines(twice, described("b"), GROUP)) == 1
    assert lines(described("a"), {"ipPermissions": [permission(ipRanges=["1.2.3.4/32"])]}, GROUP) == []


@pytest.mark.parametrize(
    "strange",
    [
        permission(),
        permission(newRanges=["x"], **WORLD),
        permission(ipRanges=[7]),
        permission(userIdGroupPairs=[{"groupId": None}]),
        "text",
        7,
        [["x"]],
    ],
)
def test_what_is_no_rule_is_not_swallowed(strange: Any) -> None:
    """A shape that AWS does not document yet is compared like any other value."""
    assert lines({"ipPermissions": []}, {"ipPermissions": [strange]}, GROUP) != []
    assert lines({"ipPermissions": [strange]}, {"ipPermissions": [strange, strange]}, GROUP) != []


def test_a_permission_without_peers_keeps_its_ports() -> None:
    """What is compared as a value is the permission as it stands."""
    assert lines({}, {"ipPermissions": [permission()]}, GROUP) == [
        'Configuration.IpPermissions  null -> {"fromPort":22,"ipProtocol":"tcp","toPort":22}'
    ]
