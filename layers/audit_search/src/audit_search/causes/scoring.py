"""Which calls caused a version: each change of it has a cause, or none that is known, and the calls compete for it.

For each change the calls have weights, evidence times time, beside the weight of "no call that is recorded"; a call's share
is the probability that it made this change. A version may hold what several calls did: each is shown with the best of its
shares. Of two calls that both set a value as it is since, the first made the change and the later one found it made; where
values are not recorded, the last call is the likelier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from audit_search.aws_config.changes import Change
from audit_search.aws_config.dialects import is_global
from audit_search.causes import evidence, factors, shapes
from audit_search.causes.calls import Call, usable
from audit_search.causes.factors import Evidence
from audit_search.causes.matching import Match, match
from audit_search.causes.versions import Version

Kind = Literal["direct", "service", "side-effect", "aws-internal"]
Verdict = Literal["found", "aws-internal", "none-found", "not-recorded"]

LOOK_BACK: Final = 26 * 3_600_000
"""How long before a version a call may be, in ms: daily recording looks once in 24 hours."""
AHEAD: Final = 2_000
"""How much later than the version a call may say it was, in ms: times of calls are whole seconds of another clock."""
LIKELY: Final = 0.5
"""From here on a link is called a cause; below it is a possibility."""
POSSIBLE: Final = 0.1
_GLOBAL: Final = frozenset({"us-east-1", "us-gov-west-1", "cn-north-1", "cn-northwest-1"})
"""Where the calls of global services are logged, in each partition of AWS."""
_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE
_SLOW: Final = frozenset({"rds", "redshift", "elasticache", "es", "eks", "docdb", "dms", "kafka"})
"""Services that carry out a change long after the call that asks for it."""
_MAX_LINKS: Final = 20
_CREATED = "created"


@dataclass(frozen=True, slots=True)
class Link:
    """A call, how it caused the version, the probability (0 to 1) that it did, and why, in words."""

    event: str
    name: str
    source: str
    time: int
    caller: str
    service: str
    kind: Kind
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The links of a version, best first, and where none is likely what is to be said instead."""

    version: str
    verdict: Verdict
    links: tuple[Link, ...]
    reason: str

    @property
    def causes(self) -> tuple[Link, ...]:
        """The links that are more likely right than wrong."""
        return tuple(link for link in self.links if link.score >= LIKELY)


@dataclass(frozen=True, slots=True)
class _Candidate:
    call: Call
    match: Match | None


_Weighed = tuple[_Candidate, float, Evidence]


def explain(version: Version, calls: Iterable[Call], *, recorded: bool = True) -> Explanation:
    """The causes of a version among calls of any kind, place and time.

    `recorded` is whether CloudTrail's events of that account, place and time are there at all.
    """
    every = list(calls)
    here = [call for call in usable(every, version.account) if _in_place(version, call) and _in_time(version, call)]
    candidates = [_Candidate(call, match(version, call)) for call in here]
    told = _authoritative(version, every)
    links = told or _scored(version, candidates)
    kept = tuple(sorted(links, key=lambda link: (-link.score, link.time, link.event))[:_MAX_LINKS])
    verdict, reason = _verdict(version, kept, recorded)
    return Explanation(version.id, verdict, kept, reason)


def regions(version: Version) -> frozenset[str]:
    """Where calls on the resource are logged: a global service's in one region, S3's there too for buckets of any region."""
    if version.region == "global" or is_global(version.type):
        return _GLOBAL
    return frozenset({version.region, "us-east-1"} if version.type == "AWS::S3::Bucket" else {version.region})


def _in_place(version: Version, call: Call) -> bool:
    return call.region in regions(version)


def _in_time(version: Version, call: Call) -> bool:
    return version.captured - LOOK_BACK <= call.time <= version.captured + AHEAD


def _authoritative(version: Version, calls: Sequence[Call]) -> list[Link]:
    """What AWS Config itself says. The event is named there whether or not it is in the trail's data that is at hand."""
    known = {call.id: call for call in calls}
    links = []
    for identity in dict.fromkeys(version.related_events):
        call = known.get(identity)
        if call is not None:
            reason = "AWS Config names this event itself (relatedEvents)"
            links.append(_link(call, match(version, call), _is_side(version, call), 0.99, (reason,)))
    return links


def _scored(version: Version, candidates: Sequence[_Candidate]) -> list[Link]:
    best: dict[str, tuple[float, Evidence, Change | None]] = {}
    for changes in _aspects(version):
        for candidate, share, found in _shares(version, candidates, changes):
            if share > best.get(candidate.call.id, (0.0,))[0]:
                best[candidate.call.id] = (share, found, changes[0])
    if version.what == _CREATED:
        for candidate in candidates:
            if candidate.match is None:
                continue
            found = evidence.part_of_content(version, candidate.call, candidate.match)
            weight = found.factor * _trust(candidate) * _nearness(version, candidate.call, None)
            share = weight / (weight + 1.0)
            if candidate.call.time >= _begun(version, best, candidates) and share > best.get(candidate.call.id, (0.0,))[0]:
                best[candidate.call.id] = (share, found, None)
    links = []
    for candidate in candidates:
        score, found, change = best.get(candidate.call.id, (0.0, factors.AGAINST, None))
        if score >= POSSIBLE:
            side = _is_side(version, candidate.call) if change is None or change.category != "rule" else False
            links.append(_link(candidate.call, candidate.match, side, round(score, 3), _reasons(version, candidate, found)))
    return links


def _begun(version: Version, best: dict[str, tuple[float, Evidence, Change | None]], candidates: Sequence[_Candidate]) -> int:
    """When the resource was made, as far as is known: what came before is about another one of the same name."""
    makers = [one.call.time for one in candidates if best.get(one.call.id, (0.0,))[0] >= LIKELY]
    return min(makers) if makers else version.created


def _aspects(version: Version) -> list[list[Change]]:
    """The changes that are to be explained, those of one document together. What AWS keeps itself counts only where nothing
    else changed."""
    if version.what == "deleted":
        return [[Change("status", "changed", None, "ResourceDeleted", "attribute")]]
    if version.what == _CREATED:
        return [[Change("status", "added", None, "ResourceDiscovered", "attribute")]]
    own = [change for change in version.changes if not factors.is_kept_by_aws(change)]
    grouped: dict[object, list[Change]] = {}
    for number, change in enumerate(own or version.changes):
        parts = change.path.split(".")
        whole = change.category == "attribute" and len(parts) > 2 and "[" not in change.path
        grouped.setdefault(tuple(parts[:2]) if whole else number, []).append(change)
    return list(grouped.values())[:200]


def _shares(version: Version, candidates: Sequence[_Candidate], changes: Sequence[Change]) -> list[_Weighed]:
    """The share of each call in changes that have one cause."""
    weighed: list[_Weighed] = []
    for candidate in candidates:
        if version.resource_id.casefold() in candidate.call.undone:
            continue
        found = _evidence(version, candidate, changes)
        weight = found.factor * _trust(candidate) * _nearness(version, candidate.call, changes[0])
        weighed.append((candidate, weight, found))
    weighed = _in_order(weighed)
    total = sum(weight for _, weight, _ in weighed) + _by_itself(changes)
    return [(candidate, weight / total, found) for candidate, weight, found in weighed]


def _evidence(version: Version, candidate: _Candidate, changes: Sequence[Change]) -> Evidence:
    if changes[0].path == "status":
        judge = evidence.ending if version.what == "deleted" else evidence.making
        return judge(version, candidate.call, candidate.match)
    return evidence.of_changes(version, candidate.call, candidate.match, changes)


def _trust(candidate: _Candidate) -> float:
    """An id stands for one resource, a name for one after the other."""
    if candidate.match is None:
        return 0.7
    return 0.6 if candidate.match.how == "name" else 1.0


def _nearness(version: Version, call: Call, change: Change | None) -> float:
    """How well the time fits. A call is in the first version after it; states follow late, and so does all that ends."""
    age = version.captured - call.time
    if age < 0:
        return 0.2
    if version.since and call.time < version.since - AHEAD:
        if version.what != _CREATED and change is not None:
            if factors.follows_late(call, change):
                return 0.5 if age <= _HOUR else 0.03
            if shapes.source(version.type) in _SLOW and age <= 2 * _HOUR:
                return 0.1
        return 0.05 if version.since - call.time < _MINUTE else 0.002
    if age <= 35 * _MINUTE:
        return 1.0
    if version.since:
        return 0.5
    return 0.3 if age <= 6 * _HOUR else 0.1


def _in_order(weighed: list[_Weighed]) -> list[_Weighed]:
    """Of calls whose values agree the first one after the last that disagrees; of those that do not tell the last one."""
    agreeing = [one for one in weighed if one[2].values is True and one[1] >= 1.0]
    contrary = max((one[0].call.time for one in weighed if one[2].values is False), default=0)
    after = [one for one in agreeing if one[0].call.time >= contrary] or agreeing
    chosen = min(after, key=lambda one: one[0].call.time, default=None)
    silent = [one for one in weighed if one[2].values is None and one[1] >= 1.0]
    last = max(silent, key=lambda one: one[0].call.time, default=None)
    result = []
    for one in weighed:
        candidate, weight, found = one
        if chosen is not None and found.values is True and one is not chosen:
            weight *= 0.5 if candidate.call.time == chosen[0].call.time else 0.02
        elif last is not None and found.values is None and one is not last:
            weight *= 0.3
        result.append((candidate, weight, found))
    return result


def _by_itself(changes: Sequence[Change]) -> float:
    """The weight of there being no call: AWS changes states, times and counts itself."""
    if all(map(factors.is_kept_by_aws, changes)):
        return 8.0
    return 4.0 if all(map(factors.is_state, changes)) else 1.0


def _is_side(version: Version, call: Call) -> bool:
    """Whether the call is about another resource, and this one only changed with it."""
    found = match(version, call)
    if found is None:
        return True
    return not found.own and not (found.asked and _only_attributes(version))


def _only_attributes(version: Version) -> bool:
    return version.what == "changed" and any(change.category in ("tag", "rule") for change in version.changes)


def _link(call: Call, found: Match | None, side: bool, score: float, reasons: tuple[str, ...]) -> Link:
    kind: Kind = "aws-internal" if call.by_aws else "side-effect" if side else "service" if call.service else "direct"
    if found is not None and found.said not in reasons:
        reasons = (*reasons, f"it {found.said}")
    return Link(call.id, call.name, call.source, call.time, call.caller, call.service, kind, score, reasons)


def _reasons(version: Version, candidate: _Candidate, found: Evidence) -> tuple[str, ...]:
    call = candidate.call
    seconds = (version.captured - call.time) // 1_000
    when = f"{seconds:,} s before the version was captured" if seconds >= 0 else "in the second in which the version was captured"
    reasons = [found.why, when]
    if version.since and call.time < version.since - AHEAD:
        reasons.append("before the version before, which such changes can follow")
    if call.service:
        reasons.append(f"called by {call.service}")
    return tuple(reasons)


def _verdict(version: Version, links: Sequence[Link], recorded: bool) -> tuple[Verdict, str]:
    if links and links[0].score >= LIKELY:
        number = sum(1 for link in links if link.score >= LIKELY)
        return "found", "one call" if number == 1 else f"{number} calls"
    if version.related_events:
        return "not-recorded", "AWS Config names " + ", ".join(
            version.related_events[:5]
        ) + ", which is not among the events here"
    if not recorded:
        return "not-recorded", "there are no events of CloudTrail from that account, region and time"
    if version.what == _CREATED and version.created and version.created < version.captured - LOOK_BACK:
        return "not-recorded", "the resource was there before AWS Config first recorded it"
    changes = version.changes
    if version.what == "changed" and changes and all(factors.is_kept_by_aws(one) or factors.is_state(one) for one in changes):
        return "aws-internal", "only states, times or counts changed, which AWS changes itself"
    return "none-found", "no recorded call fits" if not links else "calls are possible, but none is likely"
