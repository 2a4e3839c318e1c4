"""A change to one object of the domain, and what every comparison needs: reading, the mark of what is ours, differences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from audit_search.domain.api import Api
from audit_search.domain.refusals import absent_handler, explain, not_offered, passes, said, settles
from audit_search.errors import DomainSetupError

Action = Literal["create", "update", "unchanged", "leave out", "refuse"]
MARK = "Audit Search: "
"""How the description of each object of ours begins, where the API has no `_meta`."""
OTHER_PREFIX = "choose another INDEX_PREFIX (the parameter IndexPrefix)"
_NAMES_IN_A_PATH = 40  # at most 71 characters each; engines refuse a request line of more than 4,096 bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a change consists of. With `fits`, the engine may ask for more replicas than the body has."""

    method: str
    path: str
    body: Any = None
    fits: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one object. `differences` are dotted paths, for people; `reason` says why, where that is not plain.

    `before` is what the engine has and `after` what it will have; the requests make the one the other. What is left out while
    something starts or is overloaded is `passing`: a later try may do it.
    """

    kind: str
    name: str
    action: Action
    reason: str = ""
    differences: tuple[str, ...] = ()
    before: Any = None
    after: Any = None
    requests: tuple[Request, ...] = ()
    passing: bool = False

    @property
    def backup_name(self) -> str:
        """Where a backup of `before` goes: `index-template/cloudtrail`."""
        return f"{self.kind.replace(' ', '-')}/{self.name}"


class NotOfferedError(DomainSetupError):
    """The engine does not have this API: a plugin is missing, or Amazon does not offer it on this domain."""


def read(api: Api, path: str, *, plugin: bool = False) -> dict[str, Any] | None:
    """What a GET answers; None for what is not there.

    Raises DomainSetupError for a refusal, and with `plugin` NotOfferedError where nothing answers to such a path.
    """
    status, answer = api.request("GET", path)
    if status == 200 and isinstance(answer, dict):
        return answer
    if plugin and (absent_handler(status, answer) or not_offered(status, answer)):
        raise NotOfferedError(said(answer) or f"HTTP {status}")
    if status == 404:
        return None
    raise DomainSetupError(
        explain("GET", path, status, answer), retryable=passes(status, answer), settling=settles(status, answer)
    )


def definition(name: str) -> dict[str, Any]:
    """A body as it is shipped, for an empty prefix."""
    body: dict[str, Any] = json.loads(resources.files("audit_search.definitions").joinpath(f"{name}.json").read_text("utf-8"))
    return body


def marked(body: Mapping[str, Any]) -> bool:
    """Whether a description says that an object is ours."""
    return str(body.get("description") or "").startswith(MARK)


def foreign(kind: str, name: str) -> Change:
    """The refusal to replace an object that somebody else made."""
    return Change(
        kind,
        name,
        "refuse",
        f"there is an object of this name that is not Audit Search's: rename or remove it, or {OTHER_PREFIX}",
    )


def compared(kind: str, name: str, found: Any, wanted: Any, request: Request, differing: tuple[str, ...]) -> Change:
    """The change that makes what was found what is wanted."""
    if found is None:
        return Change(kind, name, "create", after=wanted, requests=(request,))
    if not differing:
        return Change(kind, name, "unchanged", before=found, after=wanted)
    return Change(kind, name, "update", differences=differing, before=found, after=wanted, requests=(request,))


def differences(found: Any, wanted: Any) -> tuple[str, ...]:
    """The dotted paths at which two bodies differ. Engines give numbers and truth as text, and leave out what is empty."""
    theirs, ours = dict(_leaves(found)), dict(_leaves(wanted))
    return tuple(sorted(path for path in theirs.keys() | ours.keys() if theirs.get(path) != ours.get(path)))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:  # an empty one says something: an ISM action has no other content
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(part, (dict, list)) for part in value):
        for number, part in enumerate(value):
            yield from _leaves(part, f"{path}[{number}]")
    elif value not in (None, "", []):
        yield path, [_text(part) for part in value] if isinstance(value, list) else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def batches(names: Sequence[str]) -> Iterator[str]:
    """Names of indices as they fit into a path, separated by commas."""
    for start in range(0, len(names), _NAMES_IN_A_PATH):
        yield ",".join(names[start : start + _NAMES_IN_A_PATH])
