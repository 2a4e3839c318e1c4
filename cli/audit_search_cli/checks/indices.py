"""The indices of the family: made by the template, found by the alias, writable, with copies that fit, under their policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit_search.aws_config.documents import HISTORY
from audit_search_cli.checks.findings import GB, Finding, Patient, number
from audit_search_cli.output import counted, human_bytes

_SHARD_LIMIT = 50 * GB
_REINDEX = (
    "What it holds cannot be searched as the rest can: deliver its objects again (or _reindex) after audit-search setup, and "
    "delete it."
)


def mappings(patient: Patient) -> list[Finding]:
    """No index was made without the template: such a one has a dynamic mapping, for good."""
    check = "mapping"
    wrong = [name for name, index in patient.indices.items() if str(_dynamic(index)).lower() != "false"]
    findings = [
        Finding(check, "error", f"{name} was made without the index template: its mapping is dynamic.", _REINDEX)
        for name in sorted(wrong)
    ]
    if not patient.indices:
        return [Finding(check, "note", f"There is no index {patient.pattern} yet, or none that we may see.")]
    return findings or [Finding(check, "ok", f"{_count(patient.indices)} made by the template.")]


def _dynamic(index: Mapping[str, Any]) -> Any:
    return index.get("mappings", {}).get("dynamic", True)


def aliases(patient: Patient) -> list[Finding]:
    """Everything is found under the one name, and nothing else has this name."""
    check = "alias"
    if patient.family and not patient.family.alias:
        return []
    findings = []
    alias = patient.alias
    own = patient.get(f"/{alias}?flat_settings=true", none_on_404=True)
    if isinstance(own, dict) and alias in own:
        what = f"{alias} is an index, and not the alias over {patient.pattern}: no index of the family can be made."
        findings.append(Finding(check, "error", what, f"Take its documents elsewhere and delete it: DELETE /{alias}."))
    # One that was made without the template is another check's finding, and does not belong under the alias.
    good = {name: index for name, index in patient.indices.items() if str(_dynamic(index)).lower() == "false"}
    lacking = sorted(name for name, index in good.items() if alias not in index.get("aliases", {}))
    for name in lacking:
        remedy = f'POST /_aliases {{"actions":[{{"add":{{"index":"{name}","alias":"{alias}"}}}}]}}'
        findings.append(Finding(check, "error", f"{name} is not found under {alias}.", remedy))
    if findings or not good:
        return findings
    return [Finding(check, "ok", f"{_count(good)} found under {alias}.")]


def blocks(patient: Patient) -> list[Finding]:
    """No index refuses documents."""
    check = "blocks"
    findings = []
    current = patient.newest_index
    for name, index in sorted(patient.indices.items()):
        settings = index.get("settings", {})
        if _true(settings.get("index.blocks.read_only_allow_delete")):
            lift = f'PUT /{name}/_settings {{"index.blocks.read_only_allow_delete": null}}'
            remedy = f"Make room (delete old indices, or a larger volume), then {lift}."
            findings.append(Finding(check, "error", f"{name} takes no documents: a disk reached the flood stage.", remedy))
        elif _true(settings.get("index.blocks.read_only")) or _true(settings.get("index.blocks.write")):
            lift = f'PUT /{name}/_settings {{"index.blocks.write": false, "index.blocks.read_only": null}}'
            remedy = f"{lift}, if no policy merges it just now."
            what = f"{name} takes no documents: it is write-blocked. What is of its time returns to the queue."
            findings.append(Finding(check, "error" if name == current else "warning", what, remedy))
    if findings or not patient.indices:
        return findings
    return [Finding(check, "ok", f"{_count(patient.indices)} writable.")]


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def replicas(patient: Patient) -> list[Finding]:
    """As many copies as there are nodes for, and more than one where there can be."""
    check = "replicas"
    nodes = int(number(patient.get("/_cluster/health")["number_of_data_nodes"]))
    findings = []
    by_count: dict[int, list[str]] = {}
    for name, index in patient.indices.items():
        by_count.setdefault(int(number(index.get("settings", {}).get("index.number_of_replicas", 1))), []).append(name)
    for count, names in sorted(by_count.items()):
        which = f"{len(names)} of {counted(len(patient.indices), 'index', 'indices')} ({', '.join(sorted(names)[-3:])})"
        remedy = 'PUT /{}/_settings {{"index.number_of_replicas": {}}}, and audit-search setup for the indices to come.'
        if count >= nodes:
            copies, on = counted(count, "replica"), counted(nodes, "data node")
            what = f"{which}: {copies} cannot be placed on {on}, and {'stays' if count == 1 else 'stay'} unassigned."
            findings.append(Finding(check, "warning", what, remedy.format(patient.pattern, max(0, nodes - 1))))
        elif count == 0 and nodes > 1:
            what = f"{which}: no replica, though there are {nodes} data nodes. What is on a node is lost with it."
            findings.append(Finding(check, "warning", what, remedy.format(patient.pattern, 1)))
    if findings or not patient.indices:
        return findings
    return [Finding(check, "ok", f"The copies of {_count(patient.indices, '')} fit {counted(nodes, 'data node')}.")]


def policies(patient: Patient) -> list[Finding]:
    """The ISM policy is on each index, and none of its steps failed."""
    check = "policy"
    if not patient.indices or (patient.family and not patient.family.period):
        return []
    explained = patient.get(f"/_plugins/_ism/explain/{patient.pattern}")
    findings, managed = [], 0
    hidden = [name for name in patient.indices if name not in explained]
    if hidden:  # the plugin leaves out what the caller may not manage
        what = f"{counted(len(hidden), 'index', 'indices')}: we may not see whether there is an ISM policy."
        findings.append(Finding(check, "not checked", what))
    for name in sorted(set(patient.indices) - set(hidden)):
        state = explained[name]
        policy = state.get("policy_id") or state.get("index.plugins.index_state_management.policy_id")
        if not policy:
            if patient.retention_days:
                what = f"{name} has no ISM policy: it is not deleted after {patient.retention_days} days."
                remedy = f"audit-search setup, or POST /_plugins/_ism/add/{name} with the policy's name."
                findings.append(Finding(check, "warning", what, remedy))
            continue
        managed += 1
        if state.get("action", {}).get("failed") or state.get("step", {}).get("step_status") == "failed":
            why = str(state.get("info", {}).get("message", "no reason is given"))
            remedy = f"Mend that, then POST /_plugins/_ism/retry/{name}."
            findings.append(Finding(check, "warning", f"{name}: its ISM policy {policy} failed: {why}", remedy))
    return findings or [Finding(check, "ok", f"{managed} of {_count(patient.indices, '')} under an ISM policy.")]


def shards(patient: Patient) -> list[Finding]:
    """No shard of ours is too large, none is for nothing, and none is without a node."""
    check = "shards"
    rows = patient.get(
        f"/_cat/shards/{patient.pattern}?format=json&bytes=b&h=index,shard,prirep,state,docs,store,unassigned.reason"
    )
    findings, documents = [], dict.fromkeys(patient.indices, 0)
    for row in rows:
        name, number_of = f"{row['index']}[{row['shard']}]", row.get("docs")
        size = number(row.get("store") or 0)
        if row["prirep"] == "p" and size > _SHARD_LIMIT:
            findings.append(Finding(check, "warning", f"{name} has {human_bytes(size)}, more than 50 GB.", _smaller(patient)))
        if row["state"] == "UNASSIGNED":
            primary, why = row["prirep"] == "p", row.get("unassigned.reason") or "no reason given"
            what = f"{name}: its {'primary' if primary else 'replica'} has no node ({why})."
            remedy = "The finding of the cluster says why." if primary else "See the findings of cluster and replicas."
            findings.append(Finding(check, "error" if primary else "warning", what, remedy))
        if row["prirep"] == "p" and number_of not in (None, ""):
            documents[row["index"]] = documents.get(row["index"], 0) + int(number(number_of))
    started = {row["index"] for row in rows if row["prirep"] == "p" and row["state"] == "STARTED"}
    empty = sorted(name for name in started if not documents.get(name))
    if empty and (patient.family is None or patient.family.period):  # the index of the latest states is there from the start
        names = f"{', '.join(empty[:5])}{', …' if len(empty) > 5 else ''}"
        what = f"{counted(len(empty), 'index', 'indices')} without a document, which cost shards all the same: {names}."
        findings.append(Finding(check, "note", what, "Delete those of days long past."))
    if findings or not patient.indices:
        return findings
    return [Finding(check, "ok", f"{counted(len(rows), 'shard')} of {_count(patient.indices, '')}, none above 50 GB.")]


def _smaller(patient: Patient) -> str:
    """How shards get smaller; those of indices that have one shard in any case do not."""
    family = patient.family
    if family and family.kind != HISTORY:
        return "It works, but moves slowly from node to node: leave room for it on each, and upgrade at quiet hours."
    how = "more SHARDS" if family else "INDEX_PERIOD=day, or more SHARDS,"
    return f"Set {how} for the indices to come; this one stays as it is."


def _count(indices: Mapping[str, Any], verb: str = " is| are") -> str:
    one, _, many = verb.partition("|")
    return counted(len(indices), "index", "indices") + (one if len(indices) == 1 else many)
