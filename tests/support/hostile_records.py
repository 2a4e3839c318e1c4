"""Records that an engine, a parser or a mapping chokes on, by what is wrong with them. Each of them is a JSON object, or
what a lenient reader takes for one, and has to become a document.

They were made from the limits that were measured on a real node, beside those that `events/` tells its story with.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from audit_search import index_template
from tests.support.aws import record, text_of

PLACES = {
    "the top": "{}",
    "a sub-tree": '{{"requestParameters":{{{}}}}}',
    "a deep sub-tree": '{{"responseElements":{{"a":[{{"b":{{{}}}}}]}}}}',
    "userIdentity": '{{"userIdentity":{{"type":"IAMUser",{}}}}}',
    "sessionContext": '{{"userIdentity":{{"sessionContext":{{{}}}}}}}',
    "attributes": '{{"userIdentity":{{"sessionContext":{{"attributes":{{{}}}}}}}}}',
    "an unknown object of userIdentity": '{{"userIdentity":{{"somethingNew":{{{}}}}}}}',
    "tlsDetails": '{{"tlsDetails":{{{}}}}}',
    "addendum": '{{"addendum":{{{}}}}}',
    "resources": '{{"resources":[{{"type":"AWS::S3::Object",{}}}]}}',
    "an unknown object": '{{"somethingNew":{{{}}}}}',
    "an unknown list": '{{"somethingNew":[{{{}}}]}}',
}
"""Where a member can stand."""

DATES = (
    "May 1, 2024",
    "2026-11-03",
    "2026-11-03T08:59:60Z",
    "2026-02-30T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-11-03T08:14:22",
    "2026-11-03T08:14:22.123456789Z",
    "2026-11-03T24:00:00Z",
    "2026-11-03T08:14:22+25:00",
    "1793693662",
    "\N{FULLWIDTH DIGIT TWO}026-11-03T08:14:22Z",
    "2012-12-31T23:59:59Z",
    "../../etc",
    "2026-11-03T08:14:22Z\n",
)
"""Dates that are none, or none that CloudTrail could mean."""

KEYS = (
    "",
    " ",
    ".",
    "..",
    "...",
    "a..b",
    ".a",
    "a.",
    "userIdentity.arn",
    "eventName.x",
    "type.x",
    "requestParameters.x",
    "ct.bucket",
)


_WIDE = "\N{GRINNING FACE}"
_LONG_KEY = '"' + "k" * 990 + '":{'


def with_members(members: str, place: str = "the top") -> bytes:
    """A usual record with members (JSON text) at a place; a field that is there already is replaced."""
    if place == "the top":
        return text_of(record("ID"))[:-1] + f",{members}}}".encode()
    wrapper = PLACES[place].format(members)
    name = wrapper[2 : wrapper.index('"', 2)]
    usual = {key: value for key, value in record("ID").items() if key != name}
    return text_of(usual)[:-1] + f",{wrapper[1:]}".encode()


def with_value(name: str, value: str) -> bytes:
    """A usual record whose top-level field holds a value (JSON text, or what is none)."""
    usual = {key: each for key, each in record("ID").items() if key != name}
    return text_of(usual)[:-1] + f',"{name}":{value}}}'.encode()


def _nested(levels: int, opening: str = '{"d":', closing: str = "}", innermost: str = '"bottom"') -> str:
    return opening * levels + innermost + closing * levels


def _texts() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for place in PLACES:
        for key in KEYS:
            found[f"key {key!r} in {place}"] = with_members(f'{json.dumps(key)}:"v"', place)
        found[f"key '' with an object in {place}"] = with_members('"":{"":{"..":1}}', place)
        found[f"equal keys in {place}"] = with_members('"same":1,"same":{"a":2}', place)
        found[f"equal nasty keys in {place}"] = with_members('"":1,"":2,".":3,".":4', place)
        found[f"NaN in {place}"] = with_members('"n":NaN,"p":Infinity,"m":-Infinity', place)
        found[f"1e400 in {place}"] = with_members('"n":1e400,"m":-1e400,"s":1e-400', place)
        found[f"a huge integer in {place}"] = with_members(f'"n":{"9" * 400},"m":-{2**63 + 1},"o":{10**30}', place)
        found[f"a lone surrogate in {place}"] = with_members(r'"n":"a\ud83d b","\udc00k":"\ud800"', place)
        found[f"a leaf of 40 kB in {place}"] = with_members(f'"n":"{"x" * 40_000}"', place)
        found[f"a leaf of 9,000 wide characters in {place}"] = with_members(f'"n":"{_WIDE * 9_000}"', place)
        found[f"a leaf just at the limit in {place}"] = with_members(f'"n":"{"x" * 32_760}"', place)
        found[f"a key of 40 kB in {place}"] = with_members(f'"{"k" * 40_000}":"v"', place)
        found[f"long keys inside each other in {place}"] = with_members(_nested(40, _LONG_KEY, "}", '"v":1'), place)
        found[f"1,000 levels in {place}"] = with_members(f'"n":{_nested(1_000)}', place)
        found[f"1,000 levels of lists in {place}"] = with_members(f'"n":{_nested(1_000, "[", "]")}', place)
        found[f"control bytes in {place}"] = with_members('"n":"a\tb\x01\x1f\x7f"', place)
        found[f"NUL in {place}"] = with_members(r'"n":"a\u0000b","k\u0000":1', place)
        found[f"invalid UTF-8 in {place}"] = with_members('"n":"@@"', place).replace(b"@@", b"\xff\xfe\xc3")
        found[f"an invalid UTF-8 key in {place}"] = with_members('"@@":1', place).replace(b"@@", b"\xff\xfe")
        found[f"names of ours in {place}"] = with_members('"raw":{"a":1},"ct":"x","@timestamp":5,"_id":1,"_source":{}', place)
        found[f"a thousand keys in {place}"] = with_members(",".join(f'"key{n}":{n}' for n in range(1_000)), place)
        found[f"a mixed list in {place}"] = with_members('"n":[1,"a",{"b":1},[null,[{}]],true,null]', place)
    mappings = index_template.definition()["template"]["mappings"]["properties"]
    for name, mapping in mappings.items():
        if mapping.get("type") == "alias":
            found[f"the alias {name} as a key"] = with_members(f'"{name}":"x"')
    for name in sorted(
        {*mappings, "eventID", "eventTime"} - {name for name, mapping in mappings.items() if mapping.get("type") == "alias"}
    ):
        for value in (
            "null",
            '"text"',
            "42",
            "1.5",
            "true",
            "[]",
            "{}",
            '["a","b"]',
            "[1,[2,{}]]",
            '[{"a":1},2]',
            '{"a":{"b":1}}',
            '""',
            "NaN",
        ):
            found[f"{value} as {name}"] = with_value(name, value)
    for name in ("type", "arn", "userName", "sessionContext", "inScopeOf", "onBehalfOf", "invokedBy"):
        for value in ("null", '"text"', "42", "true", "[]", "{}", '["a"]', '[{"a":1}]', '{"a":{"b":1}}', '{"attributes":7}'):
            found[f"{value} as userIdentity.{name}"] = with_value("userIdentity", f'{{"{name}":{value}}}')
    for what, value in {
        "an id of 600 bytes": f'"{"e" * 600}"',
        "an id of 300 wide characters": f'"{"ü" * 300}"',
        "an id of 512 bytes": f'"{"i" * 512}"',
        "an id with a line break": r'"a\nb"',
        "an id with a quotation mark": r'"a\"},{\"b"',
        "an id with a surrogate": r'"a\ud800"',
        "an id of spaces": '" "',
        "an id with an underscore first": '"_id"',
        "a very long number as id": "1" * 700,
    }.items():
        found[what] = with_value("eventID", value)
    for value in DATES:
        found[f"{value!r} as eventTime"] = with_value("eventTime", json.dumps(value, ensure_ascii=False))
    separators: dict[str, Callable[[bytes], bytes]] = {
        "a line break between tokens": lambda text: text.replace(b",", b",\n"),
        "an action between line breaks": lambda text: (
            text[:-1] + b',"x":[\n{"delete":{"_index":"cloudtrail-2026.11","_id":"before"}}\n]}'
        ),
        "carriage returns between tokens": lambda text: text.replace(b",", b",\r\n"),
        "spaces everywhere": lambda text: text.replace(b'":', b'" :\t').replace(b",", b" , "),
    }
    found |= {what: change(text_of(record("ID"))) for what, change in separators.items()}
    return found


def hostile_records() -> dict[str, bytes]:
    """The texts by what is wrong with them; each has an eventID of its own where it has one at all."""
    return {
        what: text.replace(b'"eventID":"ID"', b'"eventID":"hostile-%d"' % number)
        for number, (what, text) in enumerate(_texts().items())
    }


def as_text(text: bytes) -> str:
    """What `raw` has to hold."""
    return text.decode("utf-8", "replace")


def lenient_id(text: bytes) -> Any:
    """The eventID that a record was given."""
    return json.loads(text.decode("utf-8", "replace"), strict=False).get("eventID")
