"""The cluster as a whole: health with its reason, disks, and how many shards still fit."""

from __future__ import annotations

from typing import Any

from audit_search.domain.refusals import said
from audit_search_cli.checks.findings import GB, Finding, NotCheckedError, Patient, Severity, number
from audit_search_cli.output import counted, human_bytes

_WATERMARKS = "cluster.routing.allocation.disk.watermark."
_DEFAULTS = {"low": "85%", "high": "90%", "flood_stage": "95%"}
_PER_NODE = 1_000
_AMAZON_FREE_BYTES = 20 * GB
_ROOM = "Make room: a shorter RETENTION_DAYS, a larger volume, or another node."


def health(patient: Patient) -> list[Finding]:
    """Green; if not, why the first unassigned shard has no node, as the engine itself explains it."""
    found = patient.get("/_cluster/health")
    status, unassigned = found["status"], int(number(found.get("unassigned_shards", 0)))
    nodes = int(number(found["number_of_data_nodes"]))
    if status == "green":
        return [Finding("cluster", "ok", f"The cluster is green ({counted(nodes, 'data node')}).")]
    lost = "some documents cannot be searched or written" if status == "red" else "some copies are missing"
    what = f"The cluster is {status}: {lost} ({counted(unassigned, 'unassigned shard')})."
    return [Finding("cluster", "error" if status == "red" else "warning", f"{what} {_reason(patient)}".strip(), _remedy(nodes))]


def _remedy(nodes: int) -> str:
    if nodes == 1:
        return "One data node cannot hold copies: set number_of_replicas to 0, and REPLICAS=fit for the indices to come."
    return "GET /_cluster/allocation/explain says more; a node that left comes back, a full disk needs room."


def _reason(patient: Patient) -> str:
    status, answer = patient.engine.request("GET", "/_cluster/allocation/explain")
    if status != 200 or not isinstance(answer, dict):
        return f"The engine does not say why ({said(answer)[:100]})." if status != 400 else ""
    which = f"{answer.get('index')}[{answer.get('shard')}] {'primary' if answer.get('primary') else 'replica'}"
    info = answer.get("unassigned_info", {})
    reasons = [str(info["reason"])] if "reason" in info else []
    for node in answer.get("node_allocation_decisions", [])[:1]:
        reasons += [str(decider.get("explanation", "")) for decider in node.get("deciders", [])[:2]]
    text = "; ".join(reasons) or str(answer.get("allocate_explanation", "no reason"))
    return f"For example {which}: {text[:400]}"


def disks(patient: Patient) -> list[Finding]:
    """Each node's disk beside the watermarks, and no block of the whole cluster."""
    check = "disk"
    settings = _cluster_settings(patient)
    findings = [
        Finding(check, "error", f"The cluster refuses: {name} is on.", f"{_ROOM} Amazon takes this block off by itself then.")
        for name in ("cluster.blocks.create_index", "cluster.blocks.read_only", "cluster.blocks.read_only_allow_delete")
        if str(settings.get(name, "false")).lower() == "true"
    ]
    rows = patient.get("/_cat/allocation?format=json&bytes=b")
    nodes = [row for row in rows if row.get("node") != "UNASSIGNED" and row.get("disk.total")]
    if not nodes:
        raise NotCheckedError("the engine does not say how full its disks are")
    findings += [_disk(row, settings) for row in nodes]
    return findings


def _disk(row: dict[str, Any], settings: dict[str, Any]) -> Finding:
    total, free = number(row["disk.total"]), number(row.get("disk.avail") or 0)
    used = 100 * (1 - free / total) if total else 0.0
    what = f"{row['node']}: {used:.0f} % of {human_bytes(total)} used, {human_bytes(free)} free"
    for name, consequence in (
        ("flood_stage", "its indices take no documents"),
        ("high", "shards are moved away from it"),
        ("low", "no further shard is placed on it"),
    ):
        mark = str(settings.get(_WATERMARKS + name) or _DEFAULTS[name])
        if _reached(mark, used, free):
            severity: Severity = "warning" if name == "low" else "error"
            return Finding("disk", severity, f"{what}: above the {name} watermark of {mark}, {consequence}.", _ROOM)
    if free < min(0.2 * total, _AMAZON_FREE_BYTES):
        what += ": below 20 % (or 20 GB) free, where Amazon blocks writes"
        return Finding("disk", "warning", f"{what}.", _ROOM)
    return Finding("disk", "ok", f"{what}.")


def _reached(mark: str, used: float, free: float) -> bool:
    """Whether a disk is beyond a watermark: a share that is used (`85%`, `0.85`), or bytes that are free (`20gb`)."""
    text = mark.strip().lower()
    if text.endswith("%"):
        return used >= number(text[:-1])
    for unit, size in (("tb", 1 << 40), ("gb", GB), ("mb", 1 << 20), ("kb", 1 << 10), ("b", 1)):
        if text.endswith(unit):
            return free <= number(text[: -len(unit)]) * size
    return used >= 100 * number(text)


def capacity(patient: Patient) -> list[Finding]:
    """Shards that are open, beside how many the nodes may have; at the limit no index can be made."""
    found = patient.get("/_cluster/health")
    open_shards = sum(int(number(found.get(name, 0))) for name in ("active_shards", "unassigned_shards", "initializing_shards"))
    per_node = int(number(_cluster_settings(patient).get("cluster.max_shards_per_node") or _PER_NODE))
    most = per_node * int(number(found["number_of_data_nodes"]))
    what = f"{open_shards:,} of {most:,} shards ({per_node:,} a data node)."
    if open_shards >= most:
        remedy = "Delete old indices, or set INDEX_PERIOD=month: no further index can be made, and events return to the queue."
        return [Finding("capacity", "error", what, remedy)]
    if open_shards > 0.8 * most:
        return [
            Finding("capacity", "warning", what, "Delete old indices, or set INDEX_PERIOD=month, before the limit is reached.")
        ]
    return [Finding("capacity", "ok", what)]


def _cluster_settings(patient: Patient) -> dict[str, Any]:
    """What holds: transient wins over persistent, and that over the defaults."""
    found = patient.get("/_cluster/settings?include_defaults=true&flat_settings=true")
    return {**found.get("defaults", {}), **found.get("persistent", {}), **found.get("transient", {})}
