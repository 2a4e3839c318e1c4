"""OpenSearch Dashboards as its saved-objects API answers: what may be imported, what is refused, and what is there afterwards.

No registry carries Dashboards. This follows its server's sources and documentation: the file's name, the header against
forged requests, strict attributes, the newest migration of each type, references that are looked up, and that after an error
that could be resolved nothing at all is written while the other objects are counted as done. A rule for an `EngineFront`.
https://docs.opensearch.org/latest/dashboards/management/saved-objects/
"""

from __future__ import annotations

import copy
import email.parser
import email.policy
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.support.engine_front import Asked, Verdict

BASE = "/_dashboards"
NEWEST = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
"""The newest migration of each type that 1.x knows, and 3.x has not left behind."""
STRICT = {
    "dashboard": {
        "description", "hits", "kibanaSavedObjectMeta", "optionsJSON", "panelsJSON", "refreshInterval", "timeFrom", "timeRestore",
        "timeTo", "title", "version",
    },
    "visualization": {
        "description", "kibanaSavedObjectMeta", "savedSearchRefName", "title", "uiStateJSON", "version", "visState",
    },
    "search": {"columns", "description", "hits", "kibanaSavedObjectMeta", "sort", "title", "version"},
}  # fmt: skip
"""The attributes of each type whose mapping is strict; index patterns take any."""
_LOOKED_UP = ("index-pattern", "search")
_ALL_OR_NONE = ("conflict", "missing_references")
_GREATEST = 2**31 - 1
Key = tuple[str, str]
Object = dict[str, Any]
Error = dict[str, Any]


class DashboardsServer:
    """The saved objects of each tenant. `base` is what stands before the paths: `/_dashboards` on a domain, nothing elsewhere.

    `unsupported` are types that this server does not import, `broken` the ids of objects whose write fails.
    """

    def __init__(self, base: str = BASE) -> None:
        self.base = base
        self.tenants: dict[str, dict[Key, Object]] = {}
        self.unsupported: set[str] = set()
        self.broken: set[str] = set()
        self.imports: list[list[Key]] = []
        """What each import held."""
        self._writes = 0

    @property
    def objects(self) -> dict[Key, Object]:
        """Those of the tenant that everybody has."""
        return self.tenants.setdefault("global", {})

    def edit(self, kind: str, identity: str, **attributes: Any) -> None:
        """What a person's Save does: attributes are replaced, and the object has another version."""
        one = self.objects[kind, identity]
        one["attributes"] |= attributes
        self.objects[kind, identity] = self._written(one)

    def __call__(self, asked: Asked) -> Verdict:
        """The answer; None for what is not Dashboards'."""
        path = f"{self.base}/api/saved_objects/"
        if not asked.path.startswith(path):
            return None
        if asked.method != "GET" and "osd-xsrf" not in asked.headers:
            return _bad_request("Request must contain a osd-xsrf header.")
        mine = self.tenants.setdefault(asked.headers.get("securitytenant", "private"), {})
        routes: dict[tuple[str, str], Callable[[dict[Key, Object], Asked], Verdict]] = {
            ("POST", "_bulk_get"): self._bulk_get,
            ("POST", "_import"): self._import,
            ("POST", "_export"): self._export,
        }
        route = routes.get((asked.method, asked.path.removeprefix(path)))
        return route(mine, asked) if route else (404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"})

    def _bulk_get(self, mine: dict[Key, Object], asked: Asked) -> Verdict:
        if not isinstance(asked.body, list):
            return _bad_request("[request body]: expected value of type [array]")
        found = []
        for one in asked.body:
            if set(one) - {"type", "id", "fields"}:
                return _bad_request(f"[request body.0]: definition for this key is missing: {sorted(one)}")
            missing = {**one, "error": {"statusCode": 404, "error": "Not Found", "message": f"Saved object {one} not found"}}
            found.append(copy.deepcopy(mine.get((one["type"], one["id"]), missing)))
        return 200, {"saved_objects": found}

    def _export(self, mine: dict[Key, Object], asked: Asked) -> Verdict:
        keys = [(one["type"], one["id"]) for one in asked.body["objects"]]
        lost = [key for key in keys if key not in mine]
        if lost:
            return _bad_request("Bad Request")
        lines = [*(mine[key] for key in keys), {"exportedCount": len(keys), "missingRefCount": 0, "missingReferences": []}]
        return 200, "\n".join(map(json.dumps, lines))

    def _import(self, mine: dict[Key, Object], asked: Asked) -> Verdict:
        unknown = set(asked.query) - {"overwrite", "createNewCopies", "dataSourceId", "workspaces"}
        if unknown:
            return _bad_request(f"[request query.{unknown.pop()}]: definition for this key is missing")
        name, text = _file(asked)
        if not name.lower().endswith(".ndjson"):
            return _bad_request(f"Invalid file extension {name[name.rfind('.') :]}")
        try:
            objects = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            return _bad_request(f"Unexpected token in JSON: {error}")
        objects = [one for one in objects if "exportedCount" not in one]
        keys = [(one["type"], one["id"]) for one in objects]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            return _bad_request(f"Non-unique import objects detected: [{','.join(':'.join(key) for key in sorted(twice))}]")
        self.imports.append(keys)
        return self._write(mine, objects, overwrite=asked.query.get("overwrite") == "true")

    def _write(self, mine: dict[Key, Object], objects: list[Object], *, overwrite: bool) -> Verdict:
        taken = [one for one in objects if one["type"] in NEWEST and one["type"] not in self.unsupported]
        errors = [_error(one, "unsupported_type") for one in objects if one not in taken]
        known = {(one["type"], one["id"]) for one in taken} | mine.keys()
        for one in taken:
            lacking = [each for each in one.get("references", []) if each["type"] in _LOOKED_UP and _key(each) not in known]
            if lacking:
                references = [{"type": each["type"], "id": each["id"]} for each in lacking]
                errors.append(_error(one, "missing_references", references=references))
            elif _key(one) in mine and not overwrite:
                errors.append(_error(one, "conflict"))
        failed = {_key(error) for error in errors}
        left = [one for one in taken if _key(one) not in failed]
        done = left
        if not any(error["error"]["type"] in _ALL_OR_NONE for error in errors):
            newer = next((one for one in left if _newer(one)), None)
            if newer is not None:
                why = "which belongs to a more recent version of OpenSearch Dashboards"
                text = f'Document "{newer["id"]}" has property "{newer["type"]}" {why}'
                return 422, {"statusCode": 422, "error": "Unprocessable Entity", "message": text}
            refused = {_key(one): reason for one in left if (reason := self._refused(one))}
            errors += [_error(one, "unknown", message=refused[_key(one)], statusCode=400) for one in left if _key(one) in refused]
            done = [one for one in left if _key(one) not in refused]
            for one in done:
                kept = {name: copy.deepcopy(one[name]) for name in ("type", "id", "attributes", "references", "migrationVersion")}
                mine[_key(one)] = self._written(kept)
        results = [{"type": one["type"], "id": one["id"], "meta": {"title": one["attributes"].get("title")}} for one in done]
        answer: Object = {"successCount": len(done), "success": not errors}
        return 200, {**answer, **({"successResults": results} if results else {}), **({"errors": errors} if errors else {})}

    def _refused(self, one: Object) -> str:
        """Why the index of the saved objects does not take an object."""
        unknown = one["attributes"].keys() - STRICT.get(one["type"], one["attributes"].keys())
        version = one["attributes"].get("version", 1)
        if one["id"] in self.broken:
            return "failed to parse"
        if unknown:
            return f"strict_dynamic_mapping_exception: [{unknown.pop()}] is not allowed within [{one['type']}]"
        if not isinstance(version, int) or not 0 <= version <= _GREATEST:
            return f"mapper_parsing_exception: failed to parse field [{one['type']}.version] of type [integer]"
        return ""

    def _written(self, one: Object) -> Object:
        self._writes += 1
        return one | {"updated_at": "2026-11-26T00:00:00.000Z", "version": f"WzE{self._writes},1]", "namespaces": ["default"]}


def _file(asked: Asked) -> tuple[str, str]:
    """Name and text of the file of a form."""
    head = f"Content-Type: {asked.headers.get('content-type', '')}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + (asked.body or b""))
    parts: Iterable[Any] = form.iter_parts() if form.is_multipart() else []
    for part in parts:
        if part.get_param("name", header="content-disposition") == "file":
            return str(part.get_filename() or ""), part.get_payload(decode=True).decode()
    return "", ""


def _newer(one: Object) -> bool:
    """Whether an object was written by a later Dashboards than this one."""
    return any(_numbers(version) > _numbers(NEWEST[kind]) for kind, version in one.get("migrationVersion", {}).items())


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _key(one: Object) -> Key:
    return one["type"], one["id"]


def _error(one: Object, kind: str, **more: Any) -> Error:
    title = one.get("attributes", {}).get("title")
    return {"type": one["type"], "id": one["id"], "title": title, "meta": {"title": title}, "error": {"type": kind, **more}}


def _bad_request(message: str) -> tuple[int, Any]:
    return 400, {"statusCode": 400, "error": "Bad Request", "message": message}
