"""Our index templates on the domain, with as many copies as its nodes can hold, and the settings of indices that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit_search import index_template
from audit_search.domain.api import Api
from audit_search.domain.changes import OTHER_PREFIX, Change, Request, batches, compared, differences, foreign, read
from audit_search.domain.families import Family, families
from audit_search.domain.settings import DomainSettings
from audit_search.errors import DomainSetupError

_KIND = "index template"
_BALANCE = "cluster.routing.allocation.awareness.balance"
_DEFAULT_REPLICAS = "cluster.default_number_of_replicas"
_VALUES = ("cluster.routing.allocation.awareness.force.", ".values")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the number of copies depends on, and whether the engine is the embedded one, which ignores tokenizers.

    `data_nodes` is 0 and `copies` None where the engine does not say. The number of copies of each shard has to be a
    multiple of `copies`: on a domain of Multi-AZ with standby it is 3. `default_replicas` are those of an index that names none.
    """

    embedded: bool = False
    data_nodes: int = 0
    copies: int | None = None
    default_replicas: int | None = None


def survey(api: Api, about: Mapping[str, Any]) -> Cluster:
    """What the engine says about itself; `about` is its answer to GET /. Raises DomainSetupError."""
    version = about.get("version")
    embedded = isinstance(version, Mapping) and version.get("build_hash") == "osmem"
    health = read(api, "/_cluster/health") or {}
    status, answer = api.request("GET", "/_cluster/settings?include_defaults=true&flat_settings=true")
    settings: dict[str, Any] = {}
    for level in ("defaults", "persistent", "transient") if status == 200 else ():  # not every domain shows them
        settings |= answer.get(level) or {}
    nodes, default = int(health.get("number_of_data_nodes", 0)), _number(settings.get(_DEFAULT_REPLICAS))
    return Cluster(embedded, nodes, _copies(settings), default)


def _copies(settings: Mapping[str, Any]) -> int | None:
    """https://docs.opensearch.org/latest/tuning-your-cluster/#replica-count-enforcement"""
    if _BALANCE not in settings:
        return None
    if str(settings[_BALANCE]).lower() != "true":
        return 1
    forced = [value for name, value in settings.items() if name.startswith(_VALUES[0]) and name.endswith(_VALUES[1])]
    return max([1, *(len(value if isinstance(value, list) else str(value).split(",")) for value in forced)])


def fitting(cluster: Cluster, found: int | None = None) -> int:
    """How many replicas there are to be: none on a single node, else one, or more where zones ask for it.

    `found` is what our template has already: an engine that does not show its rules may have asked for that many.
    """
    least = 0 if cluster.data_nodes == 1 else 1
    if cluster.copies is None:
        return max(least, found or 0) if least else 0
    return least + -(least + 1) % cluster.copies


def changes(api: Api, settings: DomainSettings, cluster: Cluster) -> list[Change]:
    """The index templates, and the settings of the indices that were made from them. Raises DomainSetupError."""
    refused = _too_few(settings, cluster)
    if refused:
        return [Change(_KIND, index_template.name(settings.index_prefix), "refuse", refused)]
    templates: list[Change] = []
    existing: list[Change] = []
    for family in families(settings):
        answer = read(api, f"/_index_template/{family.name}")
        found = answer["index_templates"][0]["index_template"] if answer and answer.get("index_templates") else None
        has = _number((_settings_of(found) if found else {}).get("index.number_of_replicas"))
        replicas = fitting(cluster, has) if settings.replicas is None else settings.replicas
        templates.append(_template(api, settings, family, cluster, found, replicas))
        existing += _existing(api, settings, family, replicas)
        if not family.period and family.alias:
            existing += _made(api, settings, family, replicas)
    return [*templates, *_not_in_a_collection(settings), *_months_cannot_begin(cluster), *existing]


def _not_in_a_collection(settings: DomainSettings) -> list[Change]:
    if not settings.config or settings.service != "aoss":
        return []
    reason = (
        "what orders AWS Config's versions (external versions, if_seq_no) is not among the operations of a collection: "
        "AWS Config needs a domain"
    )
    return [Change(_KIND, f"{settings.index_prefix}config-*", "leave out", reason)]


def _months_cannot_begin(cluster: Cluster) -> list[Change]:
    """The engine checks a new index by its default before it looks into templates (seen in 2.19); that setting is not ours."""
    copies, default = cluster.copies or 1, cluster.default_replicas
    if default is None or not (default + 1) % copies:
        return []
    reason = (
        f"it is {default}, which makes {default + 1} copies where the domain asks for a multiple of {copies}: engines refuse "
        f"to make an index then, whatever its template says. Set it to {fitting(cluster)} by PUT _cluster/settings"
    )
    return [Change("cluster setting", _DEFAULT_REPLICAS, "leave out", reason)]


def _too_few(settings: DomainSettings, cluster: Cluster) -> str:
    """Why a number of replicas that was asked for cannot be; nothing where it can."""
    if settings.replicas is None:
        return ""
    if settings.replicas == 0 and cluster.data_nodes > 1:
        return (
            f"REPLICAS=0 on {cluster.data_nodes} data nodes: each node that is lost would take its events along. "
            "Set REPLICAS to 1 or more, or to fit"
        )
    if cluster.copies and (settings.replicas + 1) % cluster.copies:
        return (
            f"REPLICAS={settings.replicas} makes {settings.replicas + 1} copies, and this domain asks for a multiple of "
            f"{cluster.copies}: set REPLICAS={fitting(cluster)}, or to fit"
        )
    return ""


def _template(
    api: Api, settings: DomainSettings, family: Family, cluster: Cluster, found: dict[str, Any] | None, replicas: int
) -> Change:
    name = family.name
    wanted = index_template.body(
        settings.index_prefix,
        family.kind,
        replicas=replicas,
        shards=family.shards,
        refresh=family.refresh,
        simple=cluster.embedded,
        lean=family.lean,
    )
    if found and (found.get("_meta") or {}).get("managed_by") != wanted["_meta"]["managed_by"]:
        return foreign(_KIND, name)
    rival = _rival(api, name, wanted)
    if rival:
        return Change(_KIND, name, "refuse", rival)
    if found and isinstance(found.get("version"), int) and found["version"] > wanted["version"]:
        reason = f"version {found['version']} of a newer Audit Search is left as it is, this one has {wanted['version']}"
        return Change(_KIND, name, "unchanged", reason, before=found, after=found)
    request = Request("PUT", f"/_index_template/{name}", wanted, fits=settings.replicas is None)
    differing = differences(_normal(found), _normal(wanted)) if found else ()
    return compared(_KIND, name, found, wanted, request, differing)


def _rival(api: Api, name: str, wanted: Mapping[str, Any]) -> str:
    """Why another template would be taken for our indices, or keep ours from being accepted; nothing where none would."""
    pattern, priority = wanted["index_patterns"][0], wanted["priority"]
    for item in (read(api, "/_index_template") or {}).get("index_templates", []):
        other, body = item.get("name", ""), item.get("index_template", {})
        theirs = int(body.get("priority") or 0)
        if other in ("", name) or theirs < priority:
            continue
        if any(overlap(str(one), pattern) for one in body.get("index_patterns", [])):
            effect = "which the engine does not accept" if theirs == priority else "so that our indices would be made from it"
            return (
                f"the index template {other!r} matches {pattern} too, with priority {theirs} where ours has {priority}, "
                f"{effect}: give it a priority below {priority} or other patterns, or {OTHER_PREFIX}"
            )
    return ""


def overlap(one: str, other: str) -> bool:
    """Whether there is a name that both patterns match; `*` stands for any text."""
    reached = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        left, right = waiting.pop()
        if left == len(one) and right == len(other):
            return True
        a, b = one[left : left + 1], other[right : right + 1]
        after = []
        if a == "*":
            after += [(left + 1, right), *([(left, right + 1)] if b else [])]
        if b == "*":
            after += [(left, right + 1), *([(left + 1, right)] if a else [])]
        if a == b and a not in ("", "*"):
            after.append((left + 1, right + 1))
        waiting += [pair for pair in after if pair not in reached]
        reached.update(after)
    return False


def _normal(template: Mapping[str, Any]) -> dict[str, Any]:
    """A template as it is compared: settings flat and under `index.`, as engines keep them."""
    inner = template.get("template") or {}
    return {**template, "template": {**inner, "settings": _settings_of(template)}}


def _settings_of(template: Mapping[str, Any]) -> dict[str, Any]:
    def flat(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            return {path if path.startswith("index.") else f"index.{path}": value}
        return {name: leaf for key, part in value.items() for name, leaf in flat(part, f"{path}.{key}" if path else key).items()}

    return flat((template.get("template") or {}).get("settings") or {}, "")


def _number(value: Any) -> int | None:
    return int(value) if str(value).isdecimal() else None


def _existing(api: Api, settings: DomainSettings, family: Family, replicas: int) -> list[Change]:
    """What of the settings can change while an index is there; shards and the mapping come with the next index."""
    pattern = family.pattern
    names, strangers = indices(api, family)
    path = f"/{pattern}/_settings/index.number_of_replicas,index.refresh_interval?flat_settings=true&expand_wildcards=open"
    answer = (read(api, path) if names else None) or {}
    wanted = {"index.number_of_replicas": str(replicas)}
    wanted |= {"index.refresh_interval": family.refresh} if family.refresh else {}
    has = {
        name: {path: value for path, value in answer[name]["settings"].items() if path in wanted}
        for name in names
        if name in answer
    }
    before = {name: answer[name]["settings"] for name, some in has.items() if differences(some, wanted)}
    found = []
    if before:
        requests = [
            Request("PUT", f"/{some}/_settings", wanted, fits=settings.replicas is None) for some in batches(list(before))
        ]
        differing = tuple(f"{name}.{path}" for name in before for path in differences(has[name], wanted))
        after = dict.fromkeys(before, wanted)
        found.append(Change("index settings", pattern, "update", "", differing, before, after, tuple(requests)))
    elif names:
        found.append(Change("index settings", pattern, "unchanged"))
    if strangers:
        reason = (
            f"made without our index template, so not found under {family.name!r}; left alone. "
            "Rename it by _reindex: our documents of that time would get into its mapping"
        )
        found += [Change("index", name, "leave out", reason) for name in strangers]
    return found


def _made(api: Api, settings: DomainSettings, family: Family, replicas: int) -> list[Change]:
    """The one index of a family, made before its first document: a search for its name would fail until then."""
    name = family.pattern
    if read(api, f"/{name}/_alias") is not None:
        return []
    # Said here as well: an engine may check a new index by its default before it looks into templates.
    body = {"settings": {"index.number_of_replicas": replicas}}
    return [
        Change("index", name, "create", after=body, requests=(Request("PUT", f"/{name}", body, fits=settings.replicas is None),))
    ]


def indices(api: Api, family: Family) -> tuple[list[str], list[str]]:
    """The open indices whose names are those of a family: the ones with its alias, where it has one, and the ones without.

    Raises DomainSetupError.
    """
    answer = read(api, f"/{family.pattern}/_alias?expand_wildcards=open") or {}
    if not all(isinstance(value, Mapping) for value in answer.values()):
        raise DomainSetupError(f"The engine's answer about the aliases of {family.pattern} is not understood.")
    ours = [name for name, value in sorted(answer.items()) if not family.alias or family.name in value.get("aliases", {})]
    return ours, [name for name in sorted(answer) if name not in ours]
