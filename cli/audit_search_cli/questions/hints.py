"""What to say where nothing was found: values that no event has at all, with the nearest that there are."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from audit_search_cli.questions.events import Events, buckets
from audit_search_cli.questions.fields import API, FIELDS, asked, service
from audit_search_cli.questions.filters import Filters

_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Hint:
    """A value of a field that no event of any time has, and the nearest values that some have, or options that fit it."""

    field: str
    value: str
    near: tuple[str, ...]

    def __str__(self) -> str:
        meant = f"; did you mean {' or '.join(self.near)}?" if self.near else "."
        return f"No event of any time has the {self.field.replace('-', ' ')} {self.value}{meant}"


def hints(events: Events, filters: Filters) -> list[Hint]:
    """A hint for each value of a field with few values that no event has, and for an id that is an API or an error's code.

    Patterns are left alone.
    """
    found: list[Hint] = []
    for name, value in ((name, value) for name, values in filters.where.items() for value in values):
        field, wanted = name, value
        if name == "event-id":
            meant = tuple(f"--{other} {wanted}" for other in ("error", "event-name") if events.count(asked(other, wanted)))
            found += [Hint(field, wanted, meant)] if meant else []
            continue
        if name == API:
            field, wanted = "event-name", value.rpartition(":")[2]
        known = FIELDS.get(field)
        if known is None or not known.closed or field == "read-only" or "*" in wanted or "?" in wanted:
            continue
        if not events.count(asked(field, wanted)):
            found.append(Hint(field, wanted, _near(events, known.path, service(wanted) if field == "service" else wanted)))
    return found


def _near(events: Events, path: str, value: str) -> tuple[str, ...]:
    """The nearest values of a field, the very same in another spelling first."""
    _, answer = events.grouped({"match_all": {}}, {"known": {"terms": {"field": path, "size": _KNOWN}}})
    known = [str(bucket["key"]) for bucket in buckets(answer, "known")]
    plain: dict[str, str] = {}
    for each in known:
        plain.setdefault(each.lower(), each)
    if value.lower() in plain:
        return (plain[value.lower()],)
    return tuple(plain[each] for each in difflib.get_close_matches(value.lower(), plain, n=3, cutoff=0.6))
