"""The index templates: their bodies for a prefix, putting them in place, and checking that they are there.

Each family of indices has one. Unless another is named, the family is CloudTrail's.

Nothing is written while it is absent or older than this version: the first document would make an index with a dynamic
mapping, and that index would stay wrong for good.
"""

from __future__ import annotations

import copy
import json
from importlib import resources
from typing import Any, Final, Protocol

from opensearchpy import TransportError

from audit_search.documents import TRAIL
from audit_search.errors import IndexTemplateError

CONFIG: Final = ("config-history", "config-current", "config-events", "config-timeline")
"""The families of AWS Config's documents: versions, latest states, the health of Config itself, and who follows whom."""

LINKS: Final = "config-causes"
"""The family of the links of AWS Config's versions with the calls that caused them; another function writes them."""

_NEVER_REFRESHED: Final = "-1"
_SMALL_TREES: Final = frozenset({"tags"})
"""Sub-trees that are indexed by path even where the others are not."""


class Api(Protocol):
    """What is needed of an engine: GET and PUT of JSON, with TransportError for a refusal."""

    def get(self, path: str) -> Any: ...

    def put(self, path: str, body: Any) -> Any: ...


def definition(family: str = TRAIL) -> dict[str, Any]:
    """The template as it is shipped, for an empty prefix."""
    text = resources.files("audit_search.definitions").joinpath(f"index_template.{family}.json").read_text("utf-8")
    body: dict[str, Any] = json.loads(text)
    return body


def name(prefix: str, family: str = TRAIL) -> str:
    """The template's name, which is the read alias as well."""
    return f"{prefix}{family}"


def body(
    prefix: str,
    family: str = TRAIL,
    *,
    replicas: int | None = None,
    shards: int | None = None,
    refresh: str | None = None,
    simple: bool = False,
    lean: bool = False,
) -> dict[str, Any]:
    """The template for a prefix. `simple` analyses `raw` by the built-in analyzer: for engines that ignore tokenizers.
    `lean` does not index the sub-trees by path: they are found through `raw` alone, for a sixth to a quarter less to store.
    `refresh` does not reach a family that nobody searches, which says so by `-1`."""
    template = copy.deepcopy(definition(family))
    template["index_patterns"] = [f"{prefix}{pattern}" for pattern in template["index_patterns"]]
    template["template"]["aliases"] = {f"{prefix}{alias}": how for alias, how in template["template"]["aliases"].items()}
    index = template["template"]["settings"]["index"]
    if replicas is not None:
        index["number_of_replicas"] = replicas
    if shards is not None:
        index["number_of_shards"] = shards
    if refresh is not None and index["refresh_interval"] != _NEVER_REFRESHED:
        index["refresh_interval"] = refresh
    if lean:
        _leave_out_subtrees(template["template"]["mappings"]["properties"])
    if simple:
        _replace_analyzer(template["template"]["mappings"])
        index.pop("analysis", None)
        template["template"]["settings"].pop("analysis", None)
    return template


def _leave_out_subtrees(fields: dict[str, Any]) -> None:
    """Sub-trees stay in the document, whatever they hold: the engine does not look into an object that is not enabled."""
    trees = {tree for tree, field in fields.items() if field.get("type") == "flat_object"} - _SMALL_TREES
    for tree in trees:
        fields[tree] = {"type": "object", "enabled": False}
    for alias in [alias for alias, field in fields.items() if field.get("path") in trees]:
        del fields[alias]  # it would lead to nothing that can be searched


def _replace_analyzer(mapping: Any) -> None:
    if isinstance(mapping, dict):
        for key in ("analyzer", "search_analyzer"):
            if str(mapping.get(key, "")).startswith("audit"):  # `audit`, and `audit_query` for what is searched for
                mapping[key] = "simple"
        for value in mapping.values():
            _replace_analyzer(value)


def install(api: Api, prefix: str, *families: str, **variant: Any) -> None:
    """Put the templates of families in place; doing it again changes nothing. The keywords are those of `body`."""
    for family in families or (TRAIL,):
        api.put(f"/_index_template/{name(prefix, family)}", body(prefix, family, **variant))


def check(api: Api, prefix: str, *families: str) -> None:
    """Raise IndexTemplateError unless the engine has this version of each family's template or a newer one.

    Raises TransportError when the engine cannot be asked.
    """
    for family in families or (TRAIL,):
        _check(api, name(prefix, family), definition(family)["version"])


def _check(api: Api, template: str, wanted: int) -> None:
    try:
        answer = api.get(f"/_index_template/{template}")
        found = answer["index_templates"][0]["index_template"].get("version", 0)
    except TransportError as error:
        if error.status_code != 404:
            raise
        raise IndexTemplateError(
            f"The engine has no index template {template!r}: put it in place first (version {wanted}); nothing was written."
        ) from error
    except (LookupError, TypeError, AttributeError) as error:
        raise IndexTemplateError(f"The engine's answer about the index template {template!r} is not understood.") from error
    if not isinstance(found, int) or found < wanted:
        raise IndexTemplateError(
            f"The engine's index template {template!r} is version {found}, this is version {wanted}: "
            "update it first; nothing was written."
        )
