"""What the evidence is made of: what the verbs of APIs do, which changes AWS makes itself, and how much a finding weighs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from audit_search.aws_config.changes import Change
from audit_search.causes.calls import Call

MAKING: Final = frozenset(
    {
        "create",
        "run",
        "allocate",
        "register",
        "import",
        "copy",
        "restore",
        "launch",
        "request",
        "provision",
        "upload",
        "publish",
        "put",
        "issue",
        "purchase",
    }
)
ENDING: Final = frozenset({"delete", "terminate", "release", "deregister", "remove", "purge", "schedule", "disable", "destroy"})
UNDOING: Final = frozenset(
    {"revoke", "detach", "disassociate", "remove", "delete", "untag", "unassign", "disable", "reset", "terminate", "release"}
)
SWITCHES: Final = frozenset({"enable", "disable", "activate", "deactivate"})
GENERAL: Final = frozenset({"modify", "update", "put", "set", "change", "replace", "reset", "configure", "edit", "apply"})

STATES: Final[Mapping[str, frozenset[str]]] = {
    verb: frozenset(states.split())
    for verbs, states in (
        (
            "start run resume launch enable activate",
            "pending running starting available active enabled resuming in-use inservice",
        ),
        ("stop suspend disable deactivate", "stopping stopped disabled inactive suspended deactivated"),
        (
            "terminate delete release schedule deregister",
            "shutting-down terminated deleting deleted pendingdeletion detaching inactive draining",
        ),
        ("attach associate", "attaching attached in-use associated associating"),
        ("detach disassociate", "detaching detached available disassociated"),
        ("reboot", "rebooting available"),
        (
            "create modify update put change restore",
            "creating available active enabled modifying updating in-use completed inprogress successful optimizing pending",
        ),
    )
    for verb in verbs.split()
}
_STATE_PATH = re.compile(r"(?:state|status)(?:\.(?:name|code|value))?$", re.IGNORECASE)
TOUCHED = re.compile(
    r"(?:\.|^)(?:last(?:modified|updated?|changed?)\w*|modified\w*|updat\w+|revisionid|versionid)$", re.IGNORECASE
)
_KEPT_BY_AWS = re.compile(
    r"(?:\.|^)(?:last\w*|\w*(?:date|time|timestamp|at|modified)|revisionid|statetransitionreason\w*|statereason\w*|\w*count"
    r"|updatetoken|version(?:id)?|configurationstateid|\w*health\w*|latest\w+|\w*progress)(?:\.|$)",
    re.IGNORECASE,
)
ROOTS: Final = frozenset({"configuration", "supplementary", "tag", "name", "list", "id", "arn", "value", "config"})
WEAK: Final = frozenset({"true", "false", "0", "1", "", "none", "null", "enabled", "disabled"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """A factor, why in words, and whether the values themselves agree (True) or disagree (False); None where they do not tell."""

    factor: float
    why: str
    values: bool | None = None


AGAINST: Final = Evidence(0.02, "another part of the resource is what it changes")
SAME: Final = 250.0
CONTRARY: Final = 0.03
FITS: Final = 25.0


def follows_late(call: Call, change: Change) -> bool:
    """Whether the change may come some time after the call, and after another version: states, and all that ends."""
    if change.category == "relationship":
        return change.after is None and call.verb in ENDING
    return change.path == "status" or is_state(change)


def is_state(change: Change) -> bool:
    """Whether the change is one of a state, which may follow its call late and in several steps."""
    if change.category != "attribute" or change.path == "status" or {change.before, change.after} & {"true", "false"}:
        return False
    return bool(_STATE_PATH.search(change.path))


def is_kept_by_aws(change: Change) -> bool:
    """Whether AWS itself keeps the value, as times and counts: it changes with any call, and with none."""
    return change.category == "attribute" and change.path != "status" and bool(_KEPT_BY_AWS.search(change.path))
