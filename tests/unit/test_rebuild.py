"""The exact way makes a document of every JSON object, within every limit of the engine, and says what it changed."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from story import hostile

from audit_search.cloudtrail import line_of, text_of
from audit_search.documents import FLAT_LEAVES, KEYWORDS, TREES, Naming, Place
from audit_search.rebuild import MAX_DEPTH, MAX_TERM, Built, Rejection, build, depth, dump, load
from tests.support import engine_limits
from tests.support.aws import record
from tests.support.aws import text_of as written

PLACE = Place(
    "trail",
    "AWSLogs/1/CloudTrail/eu/2026/11/03/1_CloudTrail_eu_20261103T0820Z_x.json.gz",
    datetime(2026, 11, 3, 8, 20, tzinfo=UTC),
)

NAMING = Naming()


def made(text: bytes | dict[str, Any], *, refused: bool = False, naming: Naming = NAMING) -> Built:
    """The document of a record, held against every limit of the engine."""
    text = text if isinstance(text, bytes) else written(text)
    built = build(text, PLACE, 7, naming, "live", refused=refused)
    assert isinstance(built, Built), built
    line = line_of(built)
    assert engine_limits.problems(line) == []
    assert text_of(line) == text
    return built


def source(text: bytes | dict[str, Any], **how: Any) -> dict[str, Any]:
    """The document's fields."""
    return made(text, **how).source


def ct(text: bytes | dict[str, Any], **how: Any) -> dict[str, Any]:
    """Our own fields of the document."""
    value = source(text, **how)["ct"]
    assert isinstance(value, dict)
    return value


def nested(levels: int) -> bytes:
    """A record with so many levels below requestParameters."""
    return b'{"eventID":"1","requestParameters":' + b'{"a":' * levels + b'"bottom"' + b"}" * levels + b"}"


# Fields

FULL: dict[str, Any] = {
    **{name: f"the {name}" for name in KEYWORDS},
    **{name: {"inner": {"name": name}} for name in TREES},
    "eventTime": "2026-11-03T08:14:22Z",
    "eventID": "an-id",
    "readOnly": False,
    "managementEvent": True,
    "userIdentity": {
        **{name: f"who {name}" for name in ("type", "principalId", "arn", "accountId", "accessKeyId", "userName", "invokedBy")},
        "credentialId": "c",
        "identityProvider": "p",
        "inScopeOf": {"sourceArn": "s", "sourceAccount": "a", "issuerType": "i", "credentialsIssuedTo": "t"},
        "onBehalfOf": {"userId": "u", "identityStoreArn": "i"},
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": "P", "arn": "A", "accountId": "1", "userName": "N"},
            "attributes": {"creationDate": "2026-11-03T08:00:00Z", "mfaAuthenticated": "true"},
            "sourceIdentity": "alice",
            "assumedRoot": "false",
            "ec2RoleDelivery": "2.0",
            "webIdFederationData": {"federatedProvider": "f", "attributes": {"aud": "x"}},
        },
    },
    "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "c", "clientProvidedHostHeader": "h"},
    "addendum": {"reason": "UPDATED_DATA", "updatedFields": "responseElements", "originalRequestID": "r", "originalEventID": "e"},
    "resources": [{"ARN": "arn:1", "ARNPrefix": "arn", "accountId": "1", "type": "AWS::S3::Object"}, {"ARN": "arn:2"}],
    "newField": {"of": ["tomorrow"]},
}


def test_every_field_is_where_it_is_documented() -> None:
    """Scalars and sub-trees keep their names, flattened objects have literal dotted names, and nothing else is there."""
    found = source(FULL)
    assert {name: found[name] for name in (*KEYWORDS, *TREES, "eventTime", "eventID", "readOnly", "managementEvent")} == {
        name: FULL[name] for name in (*KEYWORDS, *TREES, "eventTime", "eventID", "readOnly", "managementEvent")
    }
    assert set(found) >= FLAT_LEAVES
    assert found["userIdentity.sessionContext.sessionIssuer.arn"] == "A"
    assert found["userIdentity.sessionContext.webIdFederationData.federatedProvider"] == "f"
    assert found["userIdentity.sessionContext.webIdFederationData.attributes"] == {"aud": "x"}
    assert found["addendum.originalEventID"] == "e"
    assert found["resources"] == FULL["resources"]
    assert found["newField"] == {"of": ["tomorrow"]}
    assert not {"userIdentity", "tlsDetails", "addendum"} & set(found)
    extra = {"userIdentity.sessionContext.webIdFederationData.attributes", "newField", "resources", "raw", "ct"}
    assert set(found) == {*KEYWORDS, *TREES, *FLAT_LEAVES, "eventTime", "eventID", "readOnly", "managementEvent"} | extra


def test_our_own_fields_say_where_a_record_was_found() -> None:
    """Bucket, key, position and mode stand under `ct`, and no time of ingestion before the record is sent."""
    found = ct(FULL)
    assert {name: found[name] for name in ("bucket", "key", "position", "ingestMode")} == {
        "bucket": "trail",
        "key": PLACE.key,
        "position": 7,
        "ingestMode": "live",
    }
    assert not {"truncated", "wrapped", "unexpected", "rebuilt", "rawBase64", "eventTimeFrom", "eventTimeOriginal"} & set(found)
    assert ct(FULL, refused=True)["rebuilt"] is True


def test_nulls_are_left_out() -> None:
    """A field without a value is no field."""
    found = source(dict.fromkeys(FULL) | {"eventID": "1", "eventTime": "2026-11-03T08:14:22Z"})
    assert set(found) == {"eventID", "eventTime", "raw", "ct"}


# Identity, id and outcome


@pytest.mark.parametrize(
    ("identity", "caller", "full"),
    [
        (
            {"type": "IAMUser", "arn": "arn:aws:iam::1:user/path/alice", "userName": "alice"},
            "alice",
            "arn:aws:iam::1:user/path/alice",
        ),
        ({"type": "IAMUser", "arn": "arn:aws:iam::1:user/path/alice"}, "alice", "arn:aws:iam::1:user/path/alice"),
        ({"type": "Root", "arn": "arn:aws:iam::1:root", "userName": "account-alias"}, "root", "arn:aws:iam::1:root"),
        ({"type": "Root", "principalId": "1"}, "root", "1"),
        (
            {
                "type": "AssumedRole",
                "arn": "arn:aws:sts::1:assumed-role/admin/bob@example.com",
                "sessionContext": {"sessionIssuer": {"userName": "admin"}},
            },
            "admin/bob@example.com",
            "arn:aws:sts::1:assumed-role/admin/bob@example.com",
        ),
        (
            {"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/admin/i-0abc"},
            "admin/i-0abc",
            "arn:aws:sts::1:assumed-role/admin/i-0abc",
        ),
        ({"type": "AssumedRole", "principalId": "AROA:session"}, "session", "AROA:session"),
        ({"type": "AssumedRole", "arn": "odd"}, "odd", "odd"),
        ({"type": "FederatedUser", "arn": "arn:aws:sts::1:federated-user/carol"}, "carol", "arn:aws:sts::1:federated-user/carol"),
        ({"type": "SAMLUser", "principalId": "p:dave", "userName": "dave"}, "dave", "p:dave"),
        ({"type": "WebIdentityUser", "principalId": "x:aud:sub", "userName": "sub"}, "sub", "x:aud:sub"),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com", "ec2.amazonaws.com"),
        ({"type": "AWSAccount", "accountId": "210987654321", "principalId": "AIDA:x"}, "AIDA:x", "AIDA:x"),
        ({"type": "AWSAccount", "accountId": "210987654321"}, "210987654321", "210987654321"),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1"}}, "u-1", "u-1"),
        ({"type": "Unknown"}, None, None),
        ({}, None, None),
        (None, None, None),
        ("arn:aws:iam::1:user/alice", None, None),
        (["x"], None, None),
        ({"type": 7, "arn": ["a"], "userName": {"a": 1}, "sessionContext": "none"}, None, None),
        ({"type": "AssumedRole", "arn": 3, "sessionContext": {"sessionIssuer": "x"}, "principalId": "p"}, "p", "p"),
        ({"arn": "a" * 5_000}, "a" * 1_024, "a" * 1_024),
    ],
)
def test_each_kind_of_caller_has_a_short_and_a_full_name(identity: Any, caller: str | None, full: str | None) -> None:
    """`ct.caller` is what a person reads, `ct.identity` the most exact name; what is no identity has neither."""
    found = ct({"eventID": "1", "userIdentity": identity})
    assert (found.get("caller"), found.get("identity")) == (caller, full)


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, "success"),
        ({"errorCode": "AccessDenied"}, "failure"),
        ({"errorMessage": "no"}, "failure"),
        ({"errorCode": None, "errorMessage": ""}, "success"),
        ({"errorCode": 200}, "failure"),
        ({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}}, "failure"),
        ({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Success"}}, "success"),
        ({"eventName": "Other", "responseElements": {"ConsoleLogin": "Failure"}}, "success"),
    ],
)
def test_a_call_succeeded_or_failed(fields: dict[str, Any], outcome: str) -> None:
    """An error code, an error message or a failed sign-in is a failure."""
    assert ct({"eventID": "1", **fields})["outcome"] == outcome


def test_sign_ins_are_told_apart() -> None:
    """The result of a console sign-in and whether it used MFA can be grouped by; of other events they are not taken."""
    login = {"responseElements": {"ConsoleLogin": "Success"}, "additionalEventData": {"MFAUsed": "Yes"}}
    found = ct({"eventID": "1", "eventName": "ConsoleLogin", **login})
    assert (found["consoleLogin"], found["mfaUsed"]) == ("Success", "Yes")
    assert not {"consoleLogin", "mfaUsed"} & set(ct({"eventID": "1", "eventName": "CheckMfa", **login}))
    odd = {"responseElements": {"ConsoleLogin": ["x"]}, "additionalEventData": {"MFAUsed": None}}
    assert not {"consoleLogin", "mfaUsed"} & set(ct({"eventID": "1", "eventName": "ConsoleLogin", **odd}))
    assert (
        ct({"eventID": "1", "eventName": "ConsoleLogin", "responseElements": "x", "additionalEventData": 1})["outcome"]
        == "success"
    )


ITEMS = {
    "instancesSet": {"items": [{"instanceType": "t3.micro"}, {"instanceType": "t3.micro"}, {"instanceType": "m5.large"}, 7, {}]}
}


@pytest.mark.parametrize(
    ("name", "request_parameters", "response", "types"),
    [
        ("RunInstances", {"instanceType": "m5.24xlarge"}, ITEMS, ["m5.24xlarge"]),
        ("RunInstances", {"launchTemplate": {"launchTemplateId": "lt-1"}}, ITEMS, ["t3.micro", "m5.large"]),
        ("RunInstances", {"instanceType": None}, ITEMS, ["t3.micro", "m5.large"]),
        ("RunInstances", {"instanceType": ""}, ITEMS, ["t3.micro", "m5.large"]),
        ("RunInstances", None, ITEMS, ["t3.micro", "m5.large"]),
        ("RunInstances", {"launchTemplate": {}}, None, None),
        ("RunInstances", {}, {"instancesSet": {"items": "x"}}, None),
        ("RunInstances", {}, {"instancesSet": []}, None),
        ("RunInstances", {"instanceType": 5}, {}, None),
        ("ModifyInstanceAttribute", {"instanceType": {"value": "c7g.large"}}, {"_return": True}, ["c7g.large"]),
        ("ModifyInstanceAttribute", {"instanceType": {"value": 3}}, None, None),
        ("RequestSpotInstances", {"launchSpecification": {"instanceType": "p5.48xlarge"}}, None, ["p5.48xlarge"]),
        ("DescribeInstances", {"instanceType": "m5.large"}, ITEMS, None),
    ],
)
def test_instance_types_are_promoted(name: str, request_parameters: Any, response: Any, types: list[str] | None) -> None:
    """What was asked for, or where a launch template held it, what was given; each type once."""
    found = ct({"eventID": "1", "eventName": name, "requestParameters": request_parameters, "responseElements": response})
    assert found.get("instanceType") == types


@pytest.mark.parametrize(
    ("fields", "identity", "shown"),
    [
        ({"eventID": "abc"}, "abc", "abc"),
        ({"eventID": "ü" * 256}, "ü" * 256, "ü" * 256),
        ({"eventID": 12}, "12", "12"),
        ({"eventID": 0}, "0", "0"),
        ({"eventId": "aggregated"}, "aggregated", "aggregated"),
        ({"eventID": "", "eventId": "second"}, "second", "second"),
        ({"eventID": None, "eventId": "second"}, "second", "second"),
    ],
)
def test_the_id_is_the_event_id(fields: dict[str, Any], identity: str, shown: str) -> None:
    """eventID, or the eventId of an aggregated event, up to the engine's 512 bytes."""
    built = made({"eventTime": "2026-11-03T08:14:22Z", **fields})
    assert (built.id, built.source["eventID"]) == (identity, shown)


@pytest.mark.parametrize("long", ["e" * 513, "ü" * 257, "🔍" * 20_000])
def test_an_id_beyond_the_limit_is_hashed(long: str) -> None:
    """One longer id would have the whole request refused: its hash takes its place, and the field shows the id itself."""
    built = made({"eventID": long})
    assert built.id == "sha256-" + hashlib.sha256(long.encode()).hexdigest()
    assert long.startswith(built.source["eventID"])
    assert len(built.source["eventID"].encode()) >= min(len(long.encode()), MAX_TERM - 3)


@pytest.mark.parametrize(
    "fields",
    [{}, {"eventID": None}, {"eventID": ""}, {"eventID": True}, {"eventID": [1]}, {"eventID": {"a": 1}}, {"eventID": 1.5}],
)
def test_without_an_id_the_text_is_the_id(fields: dict[str, Any]) -> None:
    """Version 1.0 has no eventID: the same text has the same id in every delivery, another text another one."""
    text = written({"eventVersion": "1.0", **fields})
    built = made(text)
    assert built.id == "sha256-" + hashlib.sha256(text).hexdigest()
    assert made(text + b" ").id != built.id
    assert "eventID" not in built.source
    kept = fields.get("eventID")
    if kept not in (None, ""):
        assert json.loads(built.source["ct"]["unexpected"]) == {"eventID": kept}


# Time


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("2026-11-03T08:14:22Z", "cloudtrail-2026.11.03"),
        ("2026-11-03T00:30:00+02:00", "cloudtrail-2026.11.02"),
        ("2026-11-02T23:30:00-02:00", "cloudtrail-2026.11.03"),
        ("2026-11-04T08:20:00Z", "cloudtrail-2026.11.04"),
        ("2026-11-04T10:20:00+02:00", "cloudtrail-2026.11.04"),
        ("2013-01-01T00:00:00Z", "cloudtrail-2013.01.01"),
        ("2026-11-03T08:14:22.123Z", "cloudtrail-2026.11.03"),
        ("2026-11-03T08:14:22", "cloudtrail-2026.11.03"),
    ],
)
def test_the_event_time_decides_the_index(text: str, index: str) -> None:
    """By its day in UTC, up to exactly a day after the delivery."""
    built = made({"eventID": "1", "eventTime": text}, naming=Naming(daily=True))
    assert (built.index, built.source["eventTime"]) == (index, text)
    assert "eventTimeFrom" not in built.source["ct"]


@pytest.mark.parametrize(
    "given",
    [
        "2026-11-04T08:20:01Z",
        "2031-01-01T00:00:00Z",
        "2012-12-31T23:59:59Z",
        "1999-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "03/Nov/2026:08:14:22 +0000",
        "2026-11-03",
        "2026-11-03T24:00:00Z",
        "2026-12-31T23:59:60Z",
        "",
        "x" * 5000,
        1793694862,
        1.5,
        True,
        [],
        {},
        ["2026-11-03T08:14:22Z"],
        "2026-11-03T0\uff18:14:22Z",
        "0001-01-01T00:00:00+23:59",
        "*",
        "2026-11-*",
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_time_is_replaced_by_the_delivery(given: Any) -> None:
    """The delivery decides the index, and the document shows what stood there; so index names are a bounded set."""
    built = made({"eventID": "1", "eventTime": given}, naming=Naming(daily=True))
    assert (built.index, built.source["eventTime"], built.day) == ("cloudtrail-2026.11.03", "2026-11-03T08:20:00Z", "2026-11-03")
    assert built.source["ct"]["eventTimeFrom"] == "delivery"
    original = given if isinstance(given, str) else json.dumps(given, separators=(",", ":"))
    assert built.source["ct"]["eventTimeOriginal"] == original[:1_024]


def test_no_time_at_all_is_the_delivery() -> None:
    """Without eventTime there is nothing to show."""
    for fields in ({}, {"eventTime": None}, {"timeWindow": "x"}, {"timeWindow": {"windowStart": "soon"}}):
        found = ct({"eventID": "1", **fields})
        assert found["eventTimeFrom"] == "delivery"
        assert "eventTimeOriginal" not in found


def test_an_aggregated_event_has_the_start_of_its_window() -> None:
    """Aggregated events have an eventId and a timeWindow instead of an eventID and an eventTime."""
    window = {"windowStart": "2026-10-31T23:55:00Z", "windowEnd": "2026-11-01T00:00:00Z", "windowSize": "PT5M"}
    built = made({"eventId": "a-1", "eventCategory": "Aggregated", "timeWindow": window, "summary": {"count": 3}})
    assert (built.id, built.index) == ("a-1", "cloudtrail-2026.10")
    assert built.source["eventTime"] == "2026-10-31T23:55:00Z"
    assert built.source["ct"]["eventTimeFrom"] == "timeWindow"
    assert built.source["timeWindow"] == window
    assert built.source["summary"] == {"count": 3}


# Content that no engine takes as it is


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("what", sorted(hostile.records()))
def test_hostile_content_becomes_a_document(what: str, refused: bool) -> None:
    """Each hostile record of the samples keeps every limit of the engine, with its text byte for byte."""
    made(hostile.records()[what], refused=refused)


@pytest.mark.parametrize("value", ["text", 5, 1.5, True, False, [], [1], ["a", "b"], [{"a": 1}, 2], [[]], ""])
def test_a_subtree_that_is_no_object_is_wrapped(value: Any) -> None:
    """A flat_object would hide it: it stands below `value`, and `ct.wrapped` names the field."""
    for name in TREES:
        found = source({"eventID": "1", name: value})
        assert found[name] == {"value": value}
        assert found["ct"]["wrapped"] == [name]


@pytest.mark.parametrize("value", [{}, {"a": None}, [{"a": 1}], [{}, {}], {"": 1, ".": 2, "..": 3, "a.b": {"c..d": 4}}])
def test_a_subtree_of_objects_stays_as_it_is(value: Any) -> None:
    """Objects and lists of objects are what a flat_object takes, with any names in them."""
    found = source({"eventID": "1", "requestParameters": value})
    assert found["requestParameters"] == value
    assert "wrapped" not in found["ct"]


@pytest.mark.parametrize("name", ["userIdentity", "tlsDetails", "addendum"])
@pytest.mark.parametrize("value", ["text", 5, True, ["a"], [{"a": 1}], []])
def test_an_object_that_is_none_is_kept_below_value(name: str, value: Any) -> None:
    """A scalar in the place of an object would be refused: it stands under a dotted name, and `ct.wrapped` says so."""
    found = source({"eventID": "1", name: value})
    kept = value if isinstance(value, (str, int)) or value == ["a"] else json.dumps(value, separators=(",", ":"))
    assert found[f"{name}.value"] == kept
    assert name in found["ct"]["wrapped"]


def test_keywords_take_scalars_and_lists_of_texts() -> None:
    """Numbers and booleans stay what they are, lists of texts too; objects become JSON text and are named."""
    found = source(
        {"eventID": "1", "errorCode": 200, "apiVersion": True, "awsRegion": ["a", "b"], "eventName": {"n": [1]}, "userAgent": [1]}
    )
    assert (found["errorCode"], found["apiVersion"], found["awsRegion"]) == (200, True, ["a", "b"])
    assert (found["eventName"], found["userAgent"]) == ('{"n":[1]}', "[1]")
    assert found["ct"]["wrapped"] == ["eventName", "userAgent"]


@pytest.mark.parametrize(
    ("value", "kept"), [(True, True), ("true", "true"), ("false", "false"), ("maybe", None), (1, None), ([], None)]
)
def test_booleans_are_booleans_or_set_aside(value: Any, kept: Any) -> None:
    """What is no boolean is kept under `ct.unexpected`."""
    found = source({"eventID": "1", "readOnly": value})
    assert found.get("readOnly") == kept
    assert json.loads(found["ct"].get("unexpected", "{}")) == ({} if kept is not None else {"readOnly": value})


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a.b",
        "a..b",
        ".a",
        "eventName.x",
        "userIdentity.type",
        "raw",
        "ct",
        "@timestamp",
        "event_name",
        "some_name",
        "_id",
        "_index",
        "_source",
        "_routing",
        "_",
        "with space",
        "ümlaut",
        "x" * 257,
        "x" * 40000,
        "\ud800",
        "a\x00b",
        "ct.bucket",
    ],
    ids=lambda name: ascii(name)[:20],
)
def test_a_name_that_the_engine_refuses_is_set_aside(name: str) -> None:
    """Empty and dotted names, the engine's own, ours, and those of aliases are kept under `ct.unexpected`."""
    text = json.dumps({"eventID": "1", name: {"kept": "value"}}).encode()
    for refused in (False, True):
        found = source(text, refused=refused)
        assert name not in found or name in ("raw", "ct")
        assert {"kept": "value"} in json.loads(found["ct"]["unexpected"]).values()


def test_identities_with_odd_names_are_set_aside() -> None:
    """Names inside flattened objects and resources follow the same rule."""
    found = source(
        {
            "eventID": "1",
            "userIdentity": {"": 1, "a.b": 2, "type": "x"},
            "resources": [{"": 3, "ARN.x": 4, "ARN": "a"}],
            "tlsDetails": {"..": 5},
        }
    )
    assert json.loads(found["ct"]["unexpected"]) == {
        "userIdentity.": 1,
        "userIdentity.a.b": 2,
        "resources.": 3,
        "resources.ARN.x": 4,
        "tlsDetails...": 5,
    }
    assert (found["userIdentity.type"], found["resources"]) == ("x", [{"ARN": "a"}])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("arn:x", [{"value": '"arn:x"'}]),
        ({"ARN": "a"}, [{"ARN": "a"}]),
        ([], []),
        ([None, 1, {"ARN": None, "type": {"deep": 1}}], [{"value": "null"}, {"value": "1"}, {"type": '{"deep":1}'}]),
    ],
)
def test_resources_are_a_list_of_objects(value: Any, kept: Any) -> None:
    """Whatever stands there becomes objects with plain leaves."""
    assert source({"eventID": "1", "resources": value})["resources"] == kept


@pytest.mark.parametrize("character", ["x", "ü", "日", "🔍", '"', "\\", "\n", "\0"])
def test_long_leaves_are_cut_by_bytes(character: str) -> None:
    """A leaf with its path stays below the engine's term, whole characters at the end, and its path is named."""
    for size in (31_000, 32_765, 32_766, 32_767, 200_000):
        value = character * (size // len(character.encode()))
        deep = {"a" * 200: [{"b" * 300: value}]}
        found = source({"eventID": "1", "requestParameters": {"policy": value, **deep}, "userAgent": value, "newField": value})
        assert value.startswith(found["requestParameters"]["policy"])
        assert value.startswith(found["userAgent"])
        assert len(found["userAgent"].encode()) >= min(len(value.encode()), MAX_TERM - 20)
        cut = {path for path in ("requestParameters.policy", "userAgent", "newField") if size > 32_000}
        assert cut <= set(found["ct"].get("truncated", []))


def test_everything_long_at_once_keeps_the_limits() -> None:
    """Long names above long names above long leaves, in every place that takes them."""
    leaf: Any = "v" * 50_000
    for level in range(45):
        leaf = {"k" * 1_500 + str(level): leaf, "x" * 40_000: leaf if level < 3 else 1}
    for name in ("requestParameters", "newField", "userIdentity", "tlsDetails", "addendum", "eventName", "readOnly", "a.b"):
        made({"eventID": "1", name: leaf})
    made({"eventID": "1", "resources": [leaf, {"ARN": leaf, "new": leaf}]})
    made({"eventID": "1", "userIdentity": {"type": leaf, "sessionContext": {"new": leaf, "attributes": leaf}}})


def test_long_names_stay_apart() -> None:
    """Two names that are the same up to the cut are still two names."""
    found = source({"eventID": "1", "requestParameters": {"k" * 2_000 + "1": 1, "k" * 2_000 + "2": 2}})
    assert sorted(found["requestParameters"].values()) == [1, 2]
    assert all(len(key.encode()) <= 1_010 for key in found["requestParameters"])


def test_thousands_of_notes_stay_few() -> None:
    """A record in which everything is cut does not carry a list of everything."""
    found = source({"eventID": "1", "requestParameters": {f"k{number}": "x" * 33_000 for number in range(150)}})
    assert len(found["ct"]["truncated"]) == 100


def test_many_names_and_leaves_are_fine() -> None:
    """Twenty thousand names in a sub-tree are what they are."""
    tree = {f"key {number}": {"v": [number]} for number in range(20_000)}
    assert source({"eventID": "1", "requestParameters": tree})["requestParameters"] == tree


@pytest.mark.parametrize("levels", [1, MAX_DEPTH - 2, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 600, 1_000, 100_000])
def test_depth_is_capped_and_the_rest_kept_as_text(levels: int) -> None:
    """Below the cap nothing changes; what lies deeper stands there as JSON text, cut like any leaf."""
    text = nested(levels)
    found = source(text)
    level, value = 0, found["requestParameters"]
    while isinstance(value, dict):
        level, value = level + 1, value["a"]
    assert level == min(levels, MAX_DEPTH - 1)
    rest = levels - level
    assert value == "bottom" if not rest else (b'{"a":' * rest + b'"bottom"' + b"}" * rest).decode().startswith(value)
    assert ("truncated" in found["ct"]) == (rest > 0)


def test_each_deep_place_has_its_own_text() -> None:
    """Several deep places do not get each other's content, and look-alikes of our mark are only text."""
    deep = [json.loads(nested(MAX_DEPTH + 3).replace(b"bottom", b"%d" % number))["requestParameters"] for number in range(5)]
    text = json.dumps({"eventID": "1", "requestParameters": {f"k{number}": value for number, value in enumerate(deep)}}).encode()
    found = source(text)["requestParameters"]
    assert all(f'"{number}"' in json.dumps(found[f"k{number}"]).replace("\\", "") for number in range(5))


@pytest.mark.parametrize(
    "mark", ["\ue000deep:0", "\ue000deep:²", "\ue000deep:", "\ue000deep:-1", "\ue000deep:" + "9" * 5_000, "\ue000deep:\u0663"]
)
def test_a_text_like_our_mark_does_no_harm(mark: str) -> None:
    """Whoever knows how deep values are marked gains nothing by writing such a text."""
    assert source({"eventID": "1", "userAgent": mark})["userAgent"] == mark
    text = json.dumps(
        {"eventID": "1", "userAgent": mark, "requestParameters": json.loads(nested(70))["requestParameters"]}
    ).encode()
    made(text)


def test_numbers_beyond_reach_become_text() -> None:
    """NaN, infinities, 1e400 and integers of thousands of digits are kept as text; others stay numbers."""
    text = b'{"eventID":"1","summary":{"a":NaN,"b":-Infinity,"c":1e400,"d":%b,"e":1e-400,"f":-0.0,"g":36893488147419103232}}'
    found = source(text % (b"7" * 5_000))["summary"]
    assert (found["a"], found["b"], found["c"], found["d"]) == ("NaN", "-Infinity", "1e400", "7" * 5_000)
    assert (found["e"], found["f"], found["g"]) == (0.0, 0.0, 2**65)
    assert source(b'{"eventID":"1","errorCode":1e999,"apiVersion":NaN}')["errorCode"] == "1e999"


def test_surrogates_and_control_bytes_become_text() -> None:
    """Half a pair becomes U+FFFD outside of raw, a whole pair its character, and control bytes are escaped."""
    text = (
        b'{"eventID":"1","requestParameters":{"half":"\\ud83d","whole":"\\ud83d\\ude00","key \\udc00":1,"bytes":"\x00\x01\n\t"}}'
    )
    found = source(text)
    assert found["requestParameters"] == {"half": "\ufffd", "whole": "😀", "key \ufffd": 1, "bytes": "\0\x01\n\t"}
    assert found["raw"] == text.decode()


def test_invalid_utf8_keeps_its_bytes() -> None:
    """No engine takes invalid UTF-8: raw shows U+FFFD, and the bytes are stored beside it."""
    text = b'{"eventID":"1","userAgent":"\xe4\xf6 \xff"}'
    found = source(text)
    assert found["raw"] == text.decode("utf-8", "replace")
    assert base64.b64decode(found["ct"]["rawBase64"]) == text
    assert found["userAgent"] == "\ufffd\ufffd \ufffd"
    assert "rawBase64" not in ct(b'{"eventID":"1"}')


def test_of_equal_names_the_last_wins() -> None:
    """As every JSON reader does it, at any depth, when the record is built again."""
    text = b'{"eventID":"0","eventName":"a","eventName":"b","eventID":"1","summary":{"x":{"y":1,"y":2},"x":{"y":3,"y":4}}}'
    found = source(text, refused=True)
    assert (found["eventID"], found["eventName"], found["summary"]) == ("1", "b", {"x": {"y": 4}})


@pytest.mark.parametrize("text", [b'"text"', b"1", b"null", b"true", b"[]", b"[{}]", b"NaN", b"-1.5e3"])
def test_what_is_no_object_is_rejected(text: bytes) -> None:
    """Only an object can be a document."""
    found = build(text, PLACE, 0, Naming(), "live")
    assert isinstance(found, Rejection)
    assert found.type == "not_an_object"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b'{"a":}',
        b'{"a":1,}',
        b'{"a" 1}',
        b"{'a':1}",
        b'{"a":"\\q"}',
        b'{"a":"x}',
        b"{}x",
        b"\xff",
        b"{}{}",
        b"\xef\xbb\xbf{}",
        b'{"a":' * 200000,
        b"[" * 200000,
        b"]" * 100,
        b'{"a":01}',
        b'{"a":1.}',
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_json_is_rejected(text: bytes) -> None:
    """A text that no reader understands is a rejection with a reason, never an exception."""
    found = build(text, PLACE, 0, Naming(), "live")
    assert isinstance(found, Rejection)
    assert found.type == "not_json"
    assert len(found.reason) < 300


def test_what_lies_too_deep_is_not_looked_at() -> None:
    """Beyond the cap the text is kept as it is, even where it is not JSON."""
    found = source(b'{"eventID":"1","requestParameters":' + b'{"a":' * 60 + b"}" * 60 + b"}")
    assert found["ct"]["truncated"] == ["requestParameters" + ".a" * (MAX_DEPTH - 1)]


def test_the_reason_of_a_rejection_holds_no_content() -> None:
    """The reason goes to logs and metrics, where no content of a record may stand."""
    found = build(b'{"secret":"hunter2",oops}', PLACE, 0, Naming(), "live")
    assert isinstance(found, Rejection)
    assert "hunter2" not in found.reason
    assert "secret" not in found.reason


def test_depth_counts_brackets_outside_of_texts() -> None:
    """Brackets in strings do not nest."""
    assert depth(b"1") == 0
    assert depth(b'{"a":[{}]}') == 3
    assert depth(b'{"a":"[[[[{{{{\\"[["}') == 1


def test_dump_is_safe_to_send() -> None:
    """What is written can always be encoded, and has no line break."""
    assert dump({"a\n\ud800": "\udfff\u2028\0"}).encode() == '{"a\\n\ufffd":"\ufffd\u2028\\u0000"}'.encode()
    assert load(b'[1, {"a": "\\ud800"}]') == [1, {"a": "\ud800"}]


def test_the_usual_record_needs_no_notes() -> None:
    """A record as CloudTrail writes it is neither cut nor wrapped nor set aside."""
    assert set(ct(record("1"))) == {"bucket", "key", "ingestMode", "position", "identity", "caller", "outcome", "ingestTime"}
