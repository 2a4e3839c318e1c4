"""Security group rules as lines that people read: `ingress tcp 22 from 0.0.0.0/0`.

Shapes: `ipPermissions` and `ipPermissionsEgress` of the configuration, a permission for each protocol and port range with
its peers in `ipRanges` (texts, or objects with `cidrIp`), `ipv4Ranges`, `ipv6Ranges`, `prefixListIds`, `userIdGroupPairs`.
Of one permission with two ranges each is a rule: AWS Config merges and splits permissions as it likes.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from audit_search.aws_config.comparison import Difference, differences
from audit_search.aws_config.values import ABSENT, canonical, plain

SECURITY_GROUP: Final = "aws::ec2::securitygroup"
"""The resource type, in lower case: the 2014 dialect writes types in capitals."""

DIRECTIONS: Final[Mapping[str, str]] = {
    "Configuration.IpPermissions": "ingress",
    "Configuration.IpPermissionsEgress": "egress",
}
"""Where permissions are, and which way they lead."""

_PROTOCOLS: Final[Mapping[str, str]] = {"-1": "all", "6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}
_PEERS: Final[Mapping[str, tuple[str, ...]]] = {
    "ipranges": ("cidrip",),
    "ipv4ranges": ("cidrip",),
    "ipv6ranges": ("cidripv6",),
    "prefixlistids": ("prefixlistid",),
    "useridgrouppairs": ("groupid", "groupname"),
}
_KNOWN: Final = frozenset({"ipprotocol", "fromport", "toport", *_PEERS})


def compare_permissions(path: str, before: Any, after: Any, account: str) -> list[Difference]:
    """The rules that were added or removed, and the descriptions that changed, between two lists of permissions.

    `account` is the group's own: groups of another one are shown as `111122223333/sg-1`. What is no permission as AWS
    documents it is compared like any other value.
    """
    direction = DIRECTIONS[path]
    (old, old_rest), (new, new_rest) = (_rules(side, direction, account) for side in (before, after))
    found = [Difference(path, rule, None, "rule") for rule in sorted(old.keys() - new.keys())]
    found += [Difference(path, None, rule, "rule") for rule in sorted(new.keys() - old.keys())]
    for rule in sorted(old.keys() & new.keys()):
        was, now = old[rule], new[rule]
        if was is not None and now is not None and was != now:
            found.append(Difference(f"{path}[{rule}].Description", was or None, now or None, "rule"))
    return found + differences(path, old_rest, new_rest)


def _rules(permissions: Any, direction: str, account: str) -> tuple[dict[str, str | None], list[Any]]:
    """The rules with their descriptions (None where the dialect has none), and what could not be read as a rule."""
    rules: dict[str, str | None] = {}
    rest: list[Any] = []
    permissions = plain(permissions)
    for element in permissions if isinstance(permissions, list) else [permissions]:
        permission = plain(element)
        if not isinstance(permission, Mapping):
            rest.append(permission)
            continue
        fields = {key.lower(): value for key, value in permission.items()}
        strange = {key: value for key, value in permission.items() if key.lower() not in _KNOWN and canonical(value) != ABSENT}
        count = 0
        for peer, description in _peers(fields, account, strange):
            count += 1
            rule = f"{direction} {_traffic(fields)} {'from' if direction == 'ingress' else 'to'} {peer}"
            rules[rule] = description if rules.get(rule) is None else rules[rule]
        if strange or not count:
            rest.append({**{key: value for key, value in permission.items() if key.lower() not in _PEERS}, **strange})
    return rules, rest


def _peers(fields: Mapping[str, Any], account: str, strange: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    for name, keys in _PEERS.items():
        values = plain(fields.get(name))
        for element in values if isinstance(values, list) else [values]:
            value = {keys[0]: element} if isinstance(element, str) else element
            if not isinstance(value, Mapping):
                if canonical(value) != ABSENT:
                    strange[name] = values
                continue
            peer = {key.lower(): part for key, part in value.items()}
            text = next((part for key in keys if isinstance(part := peer.get(key), str) and part), None)
            if text is None:
                strange[name] = values
                continue
            owner = peer.get("userid")
            foreign = isinstance(owner, str) and owner not in ("", account)
            yield (f"{owner}/{text}" if foreign else text), _description(name, element, peer)


def _description(name: str, element: Any, peer: Mapping[str, Any]) -> str | None:
    """A rule's description, empty for none; None where the dialect does not say: texts, and `ipRanges` of texts."""
    if isinstance(element, str):
        return None
    text = peer.get("description")
    return text if isinstance(text, str) else ""


def _traffic(fields: Mapping[str, Any]) -> str:
    """Protocol and ports: `tcp 22`, `udp 1000-2000`, `tcp all`, `icmp type 3 code 4`, `all`."""
    written = _plain_text(fields.get("ipprotocol")).lower() or "-1"
    protocol = _PROTOCOLS.get(written, f"protocol {written}" if written.isdecimal() else written)
    first, last = (_plain_text(fields.get(name)) for name in ("fromport", "toport"))
    if protocol == "all":
        return protocol
    if protocol in ("icmp", "icmpv6"):
        if first in ("", "-1"):
            return f"{protocol} all"
        return f"{protocol} type {first}" + (f" code {last}" if last not in ("", "-1") else "")
    if first in ("", "-1") or (first, last) == ("0", "65535"):
        return f"{protocol} all" if protocol in ("tcp", "udp") else protocol
    return f"{protocol} {first}" + (f"-{last}" if last not in ("", first) else "")


def _plain_text(value: Any) -> str:
    text = canonical(value)
    return "" if text == ABSENT else text.strip('"')
