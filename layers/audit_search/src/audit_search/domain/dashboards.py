"""What people see in OpenSearch Dashboards, imported into the tenant that everybody has.

Nothing that Dashboards refuses ends the set-up: what is left out is said, with how to import it by hand. Where it writes some
objects and refuses others, those that it takes are there afterwards.
https://docs.opensearch.org/latest/dashboards/management/saved-objects/
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from audit_search.dashboards import marks, saved_objects
from audit_search.domain.api import Api, Payload
from audit_search.domain.changes import Change, Request
from audit_search.domain.refusals import absent_handler, explain, passes
from audit_search.domain.settings import DomainSettings
from audit_search.errors import EngineUnreachableError

KIND: Final = "saved objects"
_NAME: Final = "audit-search"
_API: Final = "/_dashboards/api/saved_objects"
_READ: Final = f"{_API}/_bulk_get"
_IMPORT: Final = f"{_API}/_import"
_HEADERS: Final = {"osd-xsrf": "true", "securitytenant": "global"}
"""Without the first nothing is changed, without the second in the tenant of the caller alone."""
_ALL_OR_NONE: Final = ("conflict", "ambiguous_conflict", "missing_references")
"""With an error of these kinds Dashboards writes no object at all, although it counts the others as done."""
_NAMED: Final = 3
_WORDS: Final = {"missing": "missing", "older": "of another release", "edited": "edited"}
Key = tuple[str, str]
Object = Mapping[str, Any]
Found = TypeVar("Found")


class _RefusedError(Exception):
    """Dashboards does not do it; `passing` where it may in a while."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


def changes(api: Api, settings: DomainSettings) -> list[Change]:
    """The one change of all objects that are missing or differ; reads only, and raises nothing where Dashboards refuses."""
    if not settings.dashboards:
        return []
    name = f"{settings.index_prefix}{_NAME}"
    if settings.service == "aoss":
        why = f"the Dashboards of a collection is not asked by the set-up. {_by_hand(settings.index_prefix)}"
        return [Change(KIND, name, "leave out", why)]
    wanted = {_key(one): one for one in saved_objects.objects(settings.index_prefix)}
    try:
        there = _read(api, wanted)
    except _RefusedError as error:
        reason = f"{error} {_by_hand(settings.index_prefix)}"
        return [Change(KIND, name, "leave out", reason, passing=error.passing)]
    states = {key: marks.state(there[key], one) if key in there else "missing" for key, one in wanted.items()}
    differing = [key for key, state in states.items() if state != "current"]
    if not differing:
        return [Change(KIND, name, "unchanged", f"all {len(wanted)}", after=[*wanted.values()])]
    replaced = [there[key] for key in differing if key in there]
    after = [wanted[key] for key in differing]
    return [
        Change(
            KIND,
            name,
            "update" if there else "create",
            ", ".join(f"{count} {_WORDS[state]}" for state, count in Counter(states[key] for key in differing).items()),
            tuple(f"{' '.join(key)}: {_WORDS[states[key]]}" for key in differing) if there else (),
            before="".join(saved_objects.line(_exported(one)) for one in replaced) or None,
            after=after,
            requests=(Request("POST", f"{_IMPORT}?overwrite=true", _file(after)),),
        )
    ]


def carry_out(api: Api, change: Change) -> Change:
    """Import what a change names; gives the change as it was done, and `leave out` where nothing of it could be."""
    prefix = change.name.removesuffix(_NAME)
    left = {_key(one): one for one in change.after}
    count, refused = len(left), dict[Key, str]()
    try:
        _as_it_was(change, _read(api, left))
        while left:
            errors = _import(api, [*left.values()])
            again = any(kind in _ALL_OR_NONE for kind, _ in errors.values())
            refused |= {key: text for key, (_, text) in errors.items()}
            known = [key for key in errors if left.pop(key, None) is not None]
            if not again or not known:
                break
        there = _read(api, left)
    except _RefusedError as error:
        reason = f"{error} {_by_hand(prefix)}"
        return replace(change, action="leave out", reason=reason, passing=error.passing)
    absent = [key for key, one in left.items() if key not in there or marks.state(there[key], one) != "current"]
    refused |= dict.fromkeys(absent, "was said to be imported, and is not there as it was sent")
    done = f"{count - len(refused)} of {count} imported"
    if not refused:
        return replace(change, reason="; ".join(filter(None, [change.reason, done])))
    shown = "; ".join(f"{' '.join(key)} ({text})" for key, text in [*refused.items()][:_NAMED])
    more = f" and {len(refused) - _NAMED} more" if len(refused) > _NAMED else ""
    action = change.action if len(refused) < count else "leave out"
    return replace(change, action=action, reason=f"{done}. Refused: {shown}{more}. {_by_hand(prefix)}")


def _as_it_was(change: Change, there: Mapping[Key, Object]) -> None:
    """Raise _RefusedError where somebody has saved an object since it was read: its copy is older than it."""
    copied = {_key(one): marks.content(one) for one in map(json.loads, (change.before or "").splitlines())}
    saved = [key for key, one in there.items() if copied.get(key) != marks.content(one)]
    if saved:
        raise _RefusedError(
            f"{' '.join(saved[0])} was saved by somebody just now; nothing was imported, run the set-up again.", passing=True
        )


def _read(api: Api, wanted: Mapping[Key, Object]) -> dict[Key, Any]:
    """The objects that are there, by type and id."""
    asked = [{"type": kind, "id": identity} for kind, identity in wanted]
    body = Payload(json.dumps(asked).encode(), {**_HEADERS, "content-type": "application/json"})

    def found(answer: Any) -> dict[Key, Any]:
        there = {_key(one): one for one in answer["saved_objects"] if not one.get("error")}
        for one in there.values():
            marks.content(one)
        return there

    return _ask(api, _READ, body, found)


def _import(api: Api, objects: Sequence[Object]) -> dict[Key, tuple[str, str]]:
    """The kind and the text of each error, by the object that has it."""

    def failed(answer: Any) -> dict[Key, tuple[str, str]]:
        found = {}
        for one in answer.get("errors") or []:
            error = one.get("error") or {}
            kind = str(error.get("type"))
            lacking = ", ".join(f"{each.get('type')} {each.get('id')}" for each in error.get("references") or [])
            found[_key(one)] = kind, ": ".join(filter(None, [kind, str(error.get("message") or ""), lacking]))
        if not answer["success"] and not found:
            raise _RefusedError(f"The import was answered without success and without a reason: {str(answer)[:200]}.")
        return found

    return _ask(api, f"{_IMPORT}?overwrite=true", _file(objects), failed)


def _ask(api: Api, path: str, body: Payload, read: Callable[[Any], Found]) -> Found:
    """What `read` finds in the answer. Raises _RefusedError."""
    try:
        status, answer = api.request("POST", path, body)
    except EngineUnreachableError as error:
        raise _RefusedError(f"OpenSearch Dashboards does not answer: {error}.", passing=True) from error
    if status == 200:
        try:
            return read(answer)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise _RefusedError(f"What answers to {path.partition('?')[0]} is not OpenSearch Dashboards.") from error
    if isinstance(answer, dict) and "statusCode" in answer:  # its own words; `error` is only the name of the status
        answer = {"message": answer.get("message") or answer.get("error")}
    if absent_handler(status, answer) or status == 404:
        raise _RefusedError(
            "there is no OpenSearch Dashboards under this address (where it has one of its own, name it with --dashboards-url)."
        )
    if 300 <= status < 400:
        raise _RefusedError(f"OpenSearch Dashboards takes no signed requests: it answers with its log-in page (HTTP {status}).")
    raise _RefusedError(explain("POST", path, status, answer).rstrip(".") + ".", passing=passes(status, answer))


def _file(objects: Sequence[Object]) -> Payload:
    """The file as a form of a browser has it; Dashboards takes no other name than *.ndjson."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="audit-search.ndjson"\r\n'
    text = f"{head}Content-Type: application/ndjson\r\n\r\n{''.join(map(saved_objects.line, objects))}\r\n--{boundary}--\r\n"
    return Payload(text.encode(), {**_HEADERS, "content-type": f"multipart/form-data; boundary={boundary}"})


def _exported(one: Object) -> dict[str, Any]:
    """An object as an export has it, so that the backup can be imported."""
    return {key: one[key] for key in ("type", "id", "attributes", "references", "migrationVersion") if key in one}


def _key(one: Object) -> Key:
    return str(one["type"]), str(one["id"])


def _by_hand(prefix: str) -> str:
    named = f" --prefix {prefix}" if prefix else ""
    return (
        f"By hand: `audit-search dashboards export{named} --file audit-search.ndjson`, and in Dashboards: Dashboards Management, "
        "Saved objects, Import"
    )
