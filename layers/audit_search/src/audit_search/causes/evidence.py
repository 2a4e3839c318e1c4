"""What speaks for and against a call having made one change, as a factor and in words.

A factor is how much likelier the call is among the causes of changes than among the calls beside them: 1 says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from audit_search.aws_config.changes import Change
from audit_search.causes import shapes
from audit_search.causes.calls import Call
from audit_search.causes.factors import (
    AGAINST,
    CONTRARY,
    ENDING,
    FITS,
    GENERAL,
    MAKING,
    ROOTS,
    SAME,
    STATES,
    SWITCHES,
    TOUCHED,
    UNDOING,
    WEAK,
    Evidence,
    is_kept_by_aws,
    is_state,
)
from audit_search.causes.matching import Match, is_own, mentions
from audit_search.causes.versions import Version
from audit_search.causes.words import Leaf, label, leaves, shown, words

_RULE = re.compile(r"(ingress|egress) (\S+)(?: (\S+))?.* (?:from|to) (\S+)$")
_PROTOCOLS: Final[Mapping[str, frozenset[str]]] = {
    "all": frozenset({"-1", "all"}),
    "tcp": frozenset({"tcp", "6"}),
    "udp": frozenset({"udp", "17"}),
    "icmp": frozenset({"icmp", "1"}),
    "icmpv6": frozenset({"icmpv6", "58"}),
}


def making(version: Version, call: Call, found: Match | None) -> Evidence:
    """Whether the call made the resource, or something that the resource came with."""
    if call.verb in MAKING and found is not None and found.own and (found.whole or call.verb in ("put", "restore")):
        near = version.created and abs(version.created - call.time) <= 10_000
        said = ", at the time at which the resource says it was created" if near else ""
        return Evidence(SAME * (2 if near else 1), f"{call.name} creates such resources{said}", True)
    if call.verb in MAKING:
        for kind, identifier in version.related:
            if _made(version, call, kind, identifier) and (shapes.part_of(version.type, kind) or found is not None):
                return Evidence(60.0, f"{call.name} made {identifier}, with which it came", True)
        if found is not None and not found.asked:
            return Evidence(60.0, f"the answer of {call.name} has its id", True)
    return AGAINST


def ending(version: Version, call: Call, found: Match | None) -> Evidence:
    """Whether the call removed the resource, or something that the resource went with."""
    if call.verb in ENDING and found is not None and found.whole:
        return Evidence(SAME, f"{call.name} removes such resources", True)
    if call.verb in ENDING:
        for kind, identifier in version.related:
            if shapes.part_of(version.type, kind) and is_about(version, call, kind, identifier):
                return Evidence(60.0, f"{call.name} removed {identifier}, with which it went", True)
    return AGAINST


def _made(version: Version, call: Call, kind: str, identifier: str) -> bool:
    return is_about(version, call, kind, identifier) and any(
        place.section != "request" for place in call.places.get(identifier.casefold(), ())
    )


def is_about(version: Version, call: Call, kind: str, identifier: str) -> bool:
    """Whether the call is about a related resource of a type, by its very name."""
    return is_own(kind, call) and mentions(call, kind, identifier, version.name_of(identifier))


def part_of_content(version: Version, call: Call, found: Match) -> Evidence:
    """Whether what a call set, after the resource was made, is in its first version."""
    if call.verb in UNDOING or (call.verb in MAKING - {"put"} and found.whole):
        return AGAINST
    own = {text.casefold() for text in (version.name, version.resource_id, version.arn) if text}
    has = {(label(keys), text) for keys, text in version.content}
    texts = {text for _, text in has}
    wanted = {(name, text) for name, text in call.asked if text not in own and text not in WEAK}
    if call.tags:
        wanted = {(key.casefold(), shown(value)) for key, value in call.tags.items()} | {
            ("value", shown(v)) for v in call.tags.values()
        }
        wanted = {pair for pair in wanted if pair in has} or {("", "\0")}
    if not wanted:
        return Evidence(1.0, f"{call.name} names it")
    agree = sum(1 for pair in wanted if pair in has or (len(pair[1]) > 3 and pair[1] in texts))
    if agree >= 0.7 * len(wanted):
        return Evidence(40.0, f"the version holds what {call.name} asked for", True)
    return Evidence(0.3 if agree else CONTRARY, f"the version does not hold what {call.name} asked for", False)


def of_changes(version: Version, call: Call, found: Match | None, changes: Sequence[Change]) -> Evidence:
    """Whether the call made changes that are parts of one value: all of them, for a call replaces such a value as a whole."""
    each = [of_change(version, call, found, change) for change in changes]
    against = [one for one in each if one.values is False]
    return against[0] if against else max(each, key=lambda one: one.factor)


def of_change(version: Version, call: Call, found: Match | None, change: Change) -> Evidence:
    """Whether the call made one change of a version that was there before."""
    if change.category == "relationship":
        return _relationship(version, call, found, change)
    if found is None:
        return _mirrored(version, call, change)
    if change.category == "tag":
        return _tag(call, change)
    if change.category == "rule":
        return _rule(call, change)
    if is_state(change) and call.verb in STATES and found.whole:
        if shown(change.after) in STATES[call.verb]:
            return Evidence(40.0, f"{call.name} leads to {change.after}", True)
        return Evidence(CONTRARY, f"{call.name} does not lead to {change.after}", False)
    return _attribute(version, call, found, change)


def _tag(call: Call, change: Change) -> Evidence:
    key = change.path.removeprefix("Tags.")
    if "tag" not in " ".join(call.words) and call.verb not in ("tag", "untag", "create", "run"):
        return AGAINST
    if change.after is None:
        undoing = call.verb in UNDOING or (call.verb == "put" and key not in call.tags)
        if undoing and (key in call.untagged or call.verb == "put" or "tagging" in call.name.lower()):
            return Evidence(SAME, f"it takes the tag {key} away", True)
        return Evidence(CONTRARY, f"it does not take the tag {key} away")
    if call.verb in UNDOING or key not in call.tags:
        return Evidence(CONTRARY, f"it does not set the tag {key}")
    if shown(call.tags[key]) == shown(change.after):
        return Evidence(SAME, f"it sets the tag {key} to what it is since", True)
    return Evidence(CONTRARY, f"it sets the tag {key} to another value", False)


def _rule(call: Call, change: Change) -> Evidence:
    text = change.after if change.after is not None else change.before
    parts = _RULE.search(text or "")
    wanted = {"authorize", "revoke", "modify", "update"}
    if call.verb not in wanted:
        return AGAINST
    if parts is None:
        return Evidence(FITS, f"{call.name} changes such rules")
    direction, protocol, ports, peer = parts.groups()
    undone = change.after is None
    if ("Egress" if direction == "ingress" else "Ingress") in call.name:
        return AGAINST
    has = call.places
    numbers = [] if not ports or ports in ("all", "type") else ports.split("-")
    protocols = _PROTOCOLS.get(protocol, frozenset({protocol}))
    there = peer.rpartition("/")[2] if "sg-" in peer else peer
    very = bool(protocols & has.keys()) and all(number in has for number in numbers) and there in has
    if (call.verb == "authorize" and undone) or (call.verb == "revoke" and not undone):
        return Evidence(CONTRARY, f"{call.name} does the opposite", False if very else None)
    if very:
        return Evidence(SAME, f"it names this very rule: {text}", True)
    if not any(value in has for value in (peer, *numbers)) and any(name == "securitygroupruleid" for name, _ in call.asked):
        return Evidence(FITS, f"{call.name} changes rules by their ids")
    return Evidence(CONTRARY, f"it names other rules than {text}")


def _attribute(version: Version, call: Call, found: Match, change: Change) -> Evidence:
    if call.verb in SWITCHES and {change.before, change.after} & {"true", "false"}:
        return _switch(version, call, change)
    values = _compare(version, call, change)
    if values is True:
        asked = {name for name, _ in call.asked} & {label(keys) for keys, _ in _leaves(change, change.after or change.before)}
        return Evidence(SAME if asked else 60.0, f"it has the value that {change.path} has since", True)
    if values is False:
        return Evidence(CONTRARY, f"it sets {_last(change.path)} to another value", False)
    about = _about(version, change)
    if about & (call.words | {call.verb}):
        return Evidence(FITS, f"{call.name} is about {_last(change.path)}")
    if any(word in name for word in about if len(word) > 3 for name, _ in call.asked):
        return Evidence(FITS / 2, f"it has a parameter like {_last(change.path)}")
    if TOUCHED.search(change.path) and found.own and call.verb in GENERAL:
        return Evidence(40.0, f"{call.name} touches {_last(change.path)}")
    if is_kept_by_aws(change) and found.own:
        return Evidence(4.0, f"{_last(change.path)} changes with such calls")
    if found.own and call.verb in GENERAL and not _tells(version, call):
        return Evidence(8.0, f"{call.name} changes such resources; what it set is not recorded")
    return AGAINST


def _switch(version: Version, call: Call, change: Change) -> Evidence:
    on = call.verb in ("enable", "start", "activate")
    if not _about(version, change) & call.words:
        return AGAINST
    if (change.after == "true") == on:
        return Evidence(SAME, f"{call.name} makes {_last(change.path)} {change.after}", True)
    return Evidence(CONTRARY, f"{call.name} does the opposite", False)


def _about(version: Version, change: Change) -> frozenset[str]:
    return words(_topic(change.path)) - ROOTS - shapes.noun(version.type)


def _tells(version: Version, call: Call) -> bool:
    """Whether the request says more than which resource it is about."""
    own = {text.casefold() for text in (version.name, version.resource_id, version.arn) if text}
    return any(text not in own for _, text in call.asked)


def _mirrored(version: Version, call: Call, change: Change) -> Evidence:
    """A call on another resource, whose id is in the value that changed: the volume in an instance's list of devices."""
    if change.category != "attribute":
        return AGAINST
    ended = {text for _, text in _leaves(change, change.before) if shapes.unique(text)}
    for text in ended | {text for _, text in _leaves(change, change.after) if shapes.unique(text)}:
        if text not in call.places:
            continue
        if call.verb in UNDOING and text in ended and call.source == shapes.source(version.type) and is_own(version.type, call):
            return Evidence(SAME, f"it undoes {text}, which {_last(change.path)} was", True)
        related = next((kind for kind, identifier in version.related if identifier.casefold() == text), None)
        if related is not None and is_about(version, call, related, text) and (call.verb in UNDOING) == (change.after is None):
            return Evidence(10.0, f"{text}, which {change.path} names, is what {call.name} is about")
    return AGAINST


def _relationship(version: Version, call: Call, found: Match | None, change: Change) -> Evidence:
    other = change.after if change.after is not None else change.before or ""
    undoing, undone = call.verb in UNDOING, change.after is None
    if not mentions(call, change.path, other, version.name_of(other)):
        if found is not None and found.own and undone and (undoing or call.verb == "modify"):
            return Evidence(12.0, f"{call.name} ends relationships of such resources")
        return AGAINST
    replacing = call.verb in GENERAL and any(word in name for word in shapes.noun(version.type) for name, _ in call.asked)
    if found is not None:
        if undoing != undone and not (undone and call.verb in GENERAL and not replacing):
            return Evidence(CONTRARY, f"{call.name} does the opposite", False)
        return Evidence(SAME, f"it names both this resource and {other}", True)
    if not is_own(change.path, call):
        return Evidence(2.0, f"it names {other}")
    if undoing:
        return (
            Evidence(60.0, f"{call.name} ends what {other} is related to", True)
            if undone
            else Evidence(CONTRARY, "opposite", False)
        )
    if replacing:
        why = f"{call.name} relates {other} to other resources than this one"
        return Evidence(30.0, why, True) if undone else Evidence(CONTRARY, why, False)
    return Evidence(2.0, f"it names {other}") if call.verb in MAKING and not undone else AGAINST


def _compare(version: Version, call: Call, change: Change) -> bool | None:
    """Whether the call has the values that are there since the change, other ones in their place, or neither."""
    own = {text.casefold() for text in (version.name, version.resource_id, version.arn) if text}
    before, after = (
        {(label(keys), text) for keys, text in _leaves(change, side) if text not in own} for side in (change.before, change.after)
    )
    came, went = after - before, before - after
    asked = {name for name, _ in call.asked}
    has = {pair for pair in call.pairs if pair[0] not in asked} | call.asked
    if call.verb in UNDOING:
        if any(_in(pair, has, call) for pair in came):
            return False
        return True if went and all(_in(pair, has, call) for pair in went) else None
    if any(pair in call.asked for pair in went):
        return False
    agree = {pair for pair in came if _in(pair, has, call)}
    if any(name in asked for name, _ in came - agree):
        return False
    if (change.after or "")[:1] in ("{", "[") and any(
        pair not in after for pair in call.asked if pair[0] in {n for n, _ in agree}
    ):
        return False
    if not agree or (all(text in WEAK for _, text in agree) and all(name in ("value", "state") for name, _ in agree)):
        return None
    return True if len(agree) * 2 > len(came) or any(name in asked for name, _ in agree) else None


def _in(pair: tuple[str, str], has: set[tuple[str, str]], call: Call) -> bool:
    """Whether a call has a value under its name, or a telling value under any."""
    return pair in has or (pair[1] not in WEAK and len(pair[1]) > 3 and pair[1] in call.places)


def _leaves(change: Change, text: str | None) -> list[Leaf]:
    if text is None:
        return []
    keys = tuple(part.partition("[")[0].casefold() for part in change.path.split("."))
    return list(leaves(text, keys))


def _last(path: str) -> str:
    return path.removeprefix("Configuration.").removeprefix("SupplementaryConfiguration.")


def _topic(path: str) -> str:
    return re.sub(r"\[[^\]]*\]", "", _last(path)).replace(".", " ")
