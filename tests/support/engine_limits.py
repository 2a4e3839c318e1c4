"""What a real OpenSearch 2.19 refuses, as a checker of the lines that are sent to it.

Each rule was measured on a node; tests that need no node hold documents against them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audit_search.bulk import Body
from audit_search.documents import BOOLEANS, FLAT_LEAVES, FLATTENED, KEYWORDS, TREES

MAX_TERM = 32_766
"""Bytes that one term may not reach, with the name of its field."""
MAX_ID = 512
MAX_LEVELS = 100
"""A flat_object of some 600 levels ends the node; far below that is safe."""

_INDEX = re.compile(r"[a-z0-9_-]*cloudtrail-20\d\d\.(?:0[1-9]|1[0-2])(?:\.(?:0[1-9]|[12]\d|3[01]))?", re.ASCII)
_INGESTED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_LONE = re.compile("[\ud800-\udfff]")
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Sent:
    """One operation of a bulk request, as an engine reads it."""

    index: str
    id: str
    source: dict[str, Any]


def sent(line: bytes) -> Sent:
    """Read a line as an engine reads a request of it alone. Raises ValueError for what it could not read at all."""
    request = bytes(Body([line]))
    parts = request.split(b"\n")
    if len(parts) != 3 or parts[2]:
        raise ValueError(f"{len(parts) - 1} lines instead of an action and a document")
    action, source = (_strict(part) for part in parts[:2])
    (operation,) = action.items()
    if operation[0] != "create":
        raise ValueError(f"the operation is {operation[0]}")
    return Sent(operation[1]["_index"], operation[1]["_id"], source)


def content(line: bytes) -> dict[str, Any]:
    """What a line says: its fields without those that hold nothing, and without the time of ingestion."""
    source = {name: value for name, value in sent(line).source.items() if value is not None}
    if "resources" in source:
        source["resources"] = [{name: value for name, value in one.items() if value is not None} for one in source["resources"]]
    source["ct"].pop("ingestTime")
    return source


def problems(line: bytes) -> list[str]:
    """Why an engine would refuse a line, or hide a part of it; empty where it takes all of it."""
    try:
        operation = sent(line)
    except ValueError as error:
        return [str(error)]
    found = []
    if not _INDEX.fullmatch(operation.index) or not "2013" <= operation.index.split("cloudtrail-")[1][:4] <= "2027":
        found.append(f"the index {operation.index!r} is not one of the bounded set")
    if not isinstance(operation.id, str) or not 0 < len(operation.id.encode("utf-8", "surrogatepass")) <= MAX_ID:
        found.append("the id is empty or too long")
    found += _top_level(operation.source)
    found += _values(operation.source)
    return found


def _strict(text: bytes) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            raise ValueError(f"a duplicate key among {sorted(key for key, _ in items)[:8]}")
        return made

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    def number(written: str) -> float | str:
        """A node keeps 1e400 in a flat_object as the text that it is."""
        value = float(written)
        return written if abs(value) == float("inf") else value

    return json.loads(text.decode("utf-8"), object_pairs_hook=pairs, parse_constant=refuse, parse_float=number)


def _top_level(source: dict[str, Any]) -> Iterator[str]:
    scalars = {*KEYWORDS, *BOOLEANS, *FLAT_LEAVES, *TREES, "eventTime", "eventID", "raw"}
    for key, value in source.items():
        if not all(key.split(".")):
            yield f"the name {key!r} has an empty part"
        if key.startswith("_") or key == "@timestamp" or re.fullmatch("[a-z]+(_[a-z]+)+", key):
            yield f"the name {key!r} belongs to the engine or to an alias"
        parts = key.split(".")
        for length in range(1, len(parts)):
            if ".".join(parts[:length]) in scalars:
                yield f"the name {key!r} lies below a field that is no object"
        if key in FLATTENED and value is not None and not isinstance(value, dict):
            yield f"{key} is an object and got a {type(value).__name__}"
        if key in TREES and not _is_tree(value):
            yield f"{key} would vanish from search: a {type(value).__name__} in a flat_object"
        if key in KEYWORDS or key in FLAT_LEAVES or key == "eventID":
            items = value if isinstance(value, list) else [value]
            if not all(isinstance(item, _SCALARS) for item in items):
                yield f"{key} is a keyword and got a {type(value).__name__}"
        if key in BOOLEANS and value not in (True, False, None, "true", "false"):
            yield f"{key} is a boolean and got {value!r}"
    yield from _resources(source.get("resources"))
    yield from _ours(source)


def _is_tree(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, dict) for item in value)
    return value is None or isinstance(value, dict)


def _resources(resources: object) -> Iterator[str]:
    for resource in resources if isinstance(resources, list) else [] if resources is None else [resources]:
        if not isinstance(resource, dict):
            yield f"resources is an object and got a {type(resource).__name__}"
            continue
        for key, value in resource.items():
            if not key or "." in key:
                yield f"resources has the name {key!r}"
            if key in ("ARN", "ARNPrefix", "accountId", "type") and not (
                isinstance(value, _SCALARS) or (isinstance(value, list) and all(isinstance(item, _SCALARS) for item in value))
            ):
                yield f"resources.{key} is a keyword and got a {type(value).__name__}"


def _ours(source: dict[str, Any]) -> Iterator[str]:
    ct = source.get("ct")
    if not isinstance(ct, dict):
        yield "ct is no object"
        return
    if not isinstance(source.get("raw"), str):
        yield "raw is no text"
    if not isinstance(ct.get("ingestTime"), str) or not _INGESTED.fullmatch(ct["ingestTime"]):
        yield f"ct.ingestTime is {ct.get('ingestTime')!r}"
    if not isinstance(ct.get("position"), int) or ct.get("outcome") not in ("success", "failure"):
        yield "ct lacks a position or an outcome"
    if any("." in key or not key for key in ct):
        yield "a name in ct has a dot"


def _values(source: dict[str, Any]) -> Iterator[str]:
    """Terms, names, levels and surrogates, at any depth; `raw` is analysed, so that it has no such terms."""
    for name, value in source.items():
        pending: list[tuple[str, Any, int]] = [(name, value, 1)]
        while pending:
            path, item, level = pending.pop()
            if level > MAX_LEVELS:
                yield f"{path[:64]} is deeper than {MAX_LEVELS} levels"
            elif isinstance(item, dict):
                for key, inner in item.items():
                    if len(key.encode("utf-8", "surrogatepass")) >= MAX_TERM or _LONE.search(key):
                        yield f"{path[:64]} has a name that is too long or no text"
                    pending.append((f"{path}.{key}", inner, level + 1))
            elif isinstance(item, list):
                pending += [(path, inner, level + 1) for inner in item]
            elif isinstance(item, str):
                if _LONE.search(item):
                    yield f"{path[:64]} holds half a surrogate pair"
                if path not in ("raw", "ct.rawBase64") and len(f"{name}.{path}={item}".encode("utf-8", "replace")) >= MAX_TERM:
                    yield f"{path[:64]} makes a term of {len(item.encode('utf-8', 'replace')):,} bytes"
