"""How a call names a resource: by an id or an ARN anywhere in it, or by its name where the name's type is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audit_search.causes import shapes
from audit_search.causes.calls import Call, Found
from audit_search.causes.versions import Version

How = Literal["id", "arn", "name"]


@dataclass(frozen=True, slots=True)
class Match:
    """A call names the resource of a version.

    `own` is whether the call is about resources of this type by its very name, `whole` whether about nothing but them:
    `DeleteRole`, not `DeleteRolePolicy`.
    """

    how: How
    text: str
    places: tuple[Found, ...]
    own: bool
    whole: bool

    @property
    def asked(self) -> bool:
        """Whether the request names it, and not only the answer."""
        return any(place.section == "request" for place in self.places)

    @property
    def said(self) -> str:
        """In words, for people."""
        place = self.places[0]
        where = {"request": "requestParameters", "response": "responseElements", "resources": "resources"}[place.section]
        what = {"id": "the id", "arn": "the ARN", "name": "the name"}[self.how]
        return f"names {what} {self.text} ({where}: {place.parameter})"


def match(version: Version, call: Call) -> Match | None:
    """Where the call names the resource, or None."""
    own = is_own(version.type, call)
    whole = own and call.words - {"deletion"} <= shapes.noun(version.type)
    for how, text in (("arn", version.arn), ("id", version.resource_id)):
        if not text:
            continue
        folded = text.casefold()
        if shapes.unique(folded) and (places := _anywhere(version, call, folded)):
            return Match("arn" if folded.startswith("arn:") else how, text, tuple(places), own, whole)  # type: ignore[arg-type]
    if call.source != shapes.source(version.type):
        return None
    parameters = shapes.named_at(version.type, call.name)
    for text in dict.fromkeys((version.name, version.resource_id)):
        places = [place for place in call.places.get(text.casefold(), ()) if place.parameter in parameters] if text else []
        if places:
            return Match("name", text, tuple(places), own, whole)
    return None


def is_own(kind: str, call: Call) -> bool:
    """Whether the call is one about resources of a type: `StopInstances` of instances."""
    nouns = shapes.noun(kind)
    return call.source == shapes.source(kind) and bool(nouns) and nouns <= call.words


def mentions(call: Call, kind: str, identifier: str, name: str = "") -> bool:
    """Whether the call has the id of another resource anywhere, or its name where that is its."""
    folded = identifier.casefold()
    if shapes.unique(folded):
        if folded in call.places:
            return True
    else:
        name = name or identifier
    if not name or call.source != shapes.source(kind):
        return False
    parameters = shapes.named_at(kind, call.name)
    return any(place.parameter in parameters for place in call.places.get(name.casefold(), ()))


def _anywhere(version: Version, call: Call, text: str) -> list[Found]:
    found = call.places.get(text, [])
    if not found and version.type == "AWS::Lambda::Function":  # with a version or an alias behind
        found = [place for value, places in call.places.items() if value.startswith(text + ":") for place in places]
    return found
