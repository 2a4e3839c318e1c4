"""An item of AWS Config becomes the same values, whichever dialect it is written in."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_search.aws_config.dialects import inside, iso, milliseconds, tags_of, too_deep
from audit_search.aws_config.items import EARLIEST, Item, Relationship, parse
from audit_search.rebuild import MAX_DEPTH, Rejection, depth

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "config"
CAPTURED = 1_504_787_246_526
DELIVERED = 1_504_787_250_000
BASE: dict[str, Any] = {
    "awsAccountId": "111122223333",
    "awsRegion": "eu-central-1",
    "resourceType": "AWS::EC2::Volume",
    "resourceId": "vol-1",
    "configurationItemCaptureTime": "2017-09-07T12:27:26.526Z",
    "configurationStateId": 1504787246526,
    "configurationItemStatus": "OK",
}


def item(without: tuple[str, ...] = (), **changes: Any) -> Item:
    """The item of the base with changes; it must be one."""
    record = {name: value for name, value in (BASE | changes).items() if name not in without}
    found = parse(json.dumps(record), delivered=DELIVERED)
    assert isinstance(found, Item), found
    return found


def test_an_item_of_the_stream_is_read_whole() -> None:
    """Each field of the table has its place, and the text is kept byte for byte."""
    text = json.dumps(
        BASE
        | {
            "ARN": "arn:aws:ec2:eu-central-1:111122223333:volume/vol-1",
            "resourceName": "data",
            "resourceCreationTime": "2017-09-01T00:00:00Z",
            "availabilityZone": "eu-central-1a",
            "configurationItemVersion": "1.3",
            "tags": {"Name": "Zahlungsübersicht"},
            "relatedEvents": ["e1", "e2"],
            "relationships": [
                {
                    "resourceId": "i-1",
                    "resourceName": None,
                    "resourceType": "AWS::EC2::Instance",
                    "name": "Is attached to Instance",
                }
            ],
            "configuration": {"size": 8},
            "supplementaryConfiguration": {"Policy": '{"a":[1]}'},
        },
        indent=1,
        ensure_ascii=False,
    )
    found = parse(text, source="history", delivered=DELIVERED)
    assert found == Item(
        account="111122223333",
        region="eu-central-1",
        type="AWS::EC2::Volume",
        resource_id="vol-1",
        captured=CAPTURED,
        state_id="1504787246526",
        status="OK",
        raw=text,
        source="history",
        name="data",
        arn="arn:aws:ec2:eu-central-1:111122223333:volume/vol-1",
        availability_zone="eu-central-1a",
        created="2017-09-01T00:00:00.000Z",
        item_version="1.3",
        configuration={"size": 8},
        supplementary={"Policy": {"a": [1]}},
        tags={"Name": "Zahlungsübersicht"},
        relationships=(Relationship("AWS::EC2::Instance", "i-1", "", "Is attached to Instance"),),
        related_events=("e1", "e2"),
        recorded_in="eu-central-1",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"awsAccountId": None, "accountId": "111122223333"},
        {"awsAccountId": 111122223333},
        {"awsAccountId": None, "ARN": "arn:aws:ec2:eu-central-1:111122223333:volume/vol-1"},
        {"configurationStateId": "1504787246526"},
        {"configurationStateId": " 1504787246526 "},
        {"configurationStateId": 1504787246526.0},
        {"configurationStateId": "1504787246526.0"},
        {"configurationStateId": None, "configurationStateID": "1504787246526"},
        {"configurationStateId": None, "configurationItemState": 1504787246526},
        {"configurationItemCaptureTime": 1504787246.526},
        {"configurationItemCaptureTime": 1504787246526},
        {"configurationItemCaptureTime": "1504787246526"},
        {"configurationItemCaptureTime": "1504787246.526"},
        {"configurationItemCaptureTime": "2017-09-07T14:27:26.526+02:00"},
        {"configurationItemCaptureTime": "2017-09-07T12:27:26.526999+00:00"},
        {"configurationItemCaptureTime": "2017-09-07 12:27:26.526000+00:00"},
        {"configurationItemCaptureTime": "2017-09-07T12:27:26.5260+0000"},
        {"configurationItemCaptureTime": "2017-09-07T12:27:26.526"},
        {"configurationItemCaptureTime": None},
        {"configurationItemCaptureTime": "no time"},
        {"configurationItemCaptureTime": "2099-01-01T00:00:00Z"},
        {"configurationItemCaptureTime": "0001-01-01T00:00:00Z"},
        {"awsRegion": None, "availabilityZone": "eu-central-1b"},
        {"awsRegion": "Not Applicable", "availibilityZone": "eu-central-1-ham-1a"},
        {"awsRegion": "", "arn": "arn:aws:ec2:eu-central-1b:111122223333:volume/vol-1"},
    ],
    ids=repr,
)
def test_a_version_has_one_identity_in_all_dialects(changes: dict[str, Any]) -> None:
    """Stream, history, snapshot and API agree on the id and the rank of a version."""
    assert (item(**changes).identity, item(**changes).rank) == (item().identity, item().rank)


@pytest.mark.parametrize(
    "wrong", [None, "", "x", [], {}, True, -1, 0, 1e300, "1e5", "2012-12-31T23:59:59Z", "2017-09-09T12:27:26Z"]
)
def test_a_capture_time_that_is_none_is_replaced_and_the_item_says_so(wrong: object) -> None:
    """The state id stands in where it is a time, otherwise the delivery; a day behind the delivery is no time any more."""
    own, state, delivery = (
        item(),
        item(configurationItemCaptureTime=wrong),
        item(configurationItemCaptureTime=wrong, configurationStateId=7),
    )
    assert (own.captured, own.captured_from) == (CAPTURED, "")
    assert (state.captured, state.captured_from) == (CAPTURED, "stateId")
    assert (delivery.captured, delivery.captured_from) == (DELIVERED, "delivered")


def test_without_any_time_an_item_is_rejected() -> None:
    """Nothing stands in for the time when the caller knows none."""
    found = parse(json.dumps(BASE | {"configurationItemCaptureTime": None, "configurationStateId": "x"}))
    assert isinstance(found, Rejection)
    assert found.type == "no_time"


@pytest.mark.parametrize(
    ("kind", "region", "wanted"),
    [
        ("AWS::EC2::Volume", "eu-west-1", "eu-west-1"),
        ("AWS::EC2::Volume", "global", "global"),
        ("AWS::EC2::Volume", "Global", "global"),
        ("AWS::IAM::Role", "us-east-1", "global"),
        ("AWS::IAM::User", "eu-west-1", "global"),
        ("AWS::IAM::Policy", "global", "global"),
        ("AWS::CloudFront::Distribution", "us-east-1", "global"),
        ("AWS::Route53::HostedZone", "us-east-1", "global"),
        ("AWS::Route53Resolver::ResolverRule", "us-east-1", "us-east-1"),
        ("AWS::WAF::WebACL", "us-east-1", "global"),
        ("AWS::WAFRegional::WebACL", "us-east-1", "us-east-1"),
        ("AWS::RDS::GlobalCluster", "eu-west-1", "global"),
        ("AWS::RDS::DBCluster", "eu-west-1", "eu-west-1"),
        ("Example::IAM::Role", "us-east-1", "us-east-1"),
    ],
)
def test_a_global_resource_is_one_wherever_it_is_recorded(kind: str, region: str, wanted: str) -> None:
    """The region of a global resource is `global`, and where it was recorded is kept beside it."""
    found = item(resourceType=kind, awsRegion=region)
    assert (found.region, found.recorded_in) == (wanted, region)


def test_the_place_of_an_item_helps_out() -> None:
    """Where neither item nor ARN name account and region, those of the place count."""
    text = json.dumps({name: value for name, value in BASE.items() if name not in ("awsAccountId", "awsRegion")})
    found = parse(text, account="444455556666", region="eu-west-3", delivered=DELIVERED)
    assert isinstance(found, Item)
    assert (found.account, found.region, found.recorded_in) == ("444455556666", "eu-west-3", "eu-west-3")
    nobody = parse(text, delivered=DELIVERED)
    assert isinstance(nobody, Rejection)
    assert nobody.type == "no_account"


@pytest.mark.parametrize(
    ("given_as", "wanted"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}),
        ('{"a":{"b":1}}', {"a": {"b": 1}}),
        (' {"a":{"b":1}} ', {"a": {"b": 1}}),
        (None, None),
        ("null", None),
        ("", None),
        ("{not JSON", "{not JSON"),
        ("text", "text"),
        ([{"a": 1}], [{"a": 1}]),
        (5, 5),
    ],
)
def test_a_configuration_is_an_object_where_it_means_one(given_as: object, wanted: object) -> None:
    """An object, the JSON text of one, or null; what is neither stays as it is."""
    assert item(configuration=given_as).configuration == wanted


def test_supplementary_values_are_parsed_where_they_are_objects_or_lists() -> None:
    """JSON text that is an object or a list becomes it; numbers, sentences and broken JSON stay texts."""
    given_as = {"a": '{"b":1}', "c": "[1,2]", "d": "5", "e": "{x", "f": {"g": 1}, "h": None, "i": "true"}
    wanted = {"a": {"b": 1}, "c": [1, 2], "d": "5", "e": "{x", "f": {"g": 1}, "h": None, "i": "true"}
    assert item(supplementaryConfiguration=given_as).supplementary == wanted
    assert item(supplementaryConfiguration=json.dumps({"a": 1})).supplementary == {"a": 1}
    assert item(supplementaryConfiguration=None).supplementary == {}
    assert item(supplementaryConfiguration="text").supplementary == {"value": "text"}


@pytest.mark.parametrize(
    "tags",
    [
        {"Name": "web", "kubernetes.io/cluster/a": "", "n": "1"},
        [{"key": "Name", "value": "web"}, {"key": "kubernetes.io/cluster/a", "value": None}, {"key": "n", "value": 1}],
        [{"Key": "Name", "Value": "web"}, {"Key": "kubernetes.io/cluster/a"}, {"Key": "n", "Value": "1"}],
        [
            {"tagKey": "Name", "tagValue": "web"},
            {"tagName": "kubernetes.io/cluster/a", "tagValue": ""},
            {"tagName": "n", "tagValue": 1},
        ],
        '{"Name":"web","kubernetes.io/cluster/a":null,"n":1}',
    ],
    ids=repr,
)
def test_tags_are_a_map_of_texts(tags: object) -> None:
    """A map and a list of pairs, in each spelling, are the same tags."""
    assert item(tags=tags).tags == {"Name": "web", "kubernetes.io/cluster/a": "", "n": "1"}


def test_relationships_have_an_id_or_a_name() -> None:
    """Both spellings of the kind are read, a name stands in for an id, and what is neither is left out."""
    found = item(
        relationships=[
            {"resourceType": "T", "resourceId": "a", "relationshipName": "Contains A"},
            {"resourceType": "T", "resourceName": "b", "relationshipName": "Contains B"},
            {"resourceType": "T", "resourceId": "c", "resourceName": "C", "name": "Contains C", "direction": "OUT"},
            {"resourceType": "T", "name": "Contains nothing"},
            "text",
            None,
        ]
    )
    assert found.relationships == (
        Relationship("T", "a", "", "Contains A"),
        Relationship("T", "", "b", "Contains B"),
        Relationship("T", "c", "C", "Contains C"),
    )


def test_a_deleted_item_is_one() -> None:
    """A deleted resource has no configuration and says that it is gone."""
    for status in ("ResourceDeleted", "ResourceDeletedNotRecorded"):
        assert item(configuration=None, configurationItemStatus=status).deleted
    assert not item().deleted


def test_upper_camel_case_is_understood() -> None:
    """Tools that spell each name with a capital are read as well."""
    record = {name[0].upper() + name[1:]: value for name, value in BASE.items()} | {"Arn": "arn:x"}
    found = parse(json.dumps(record), delivered=DELIVERED)
    assert isinstance(found, Item)
    assert found.identity == item().identity
    assert found.arn == "arn:x"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"nonsense", "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"{}", "no_resource"),
        (b'{"resourceType":"T"}', "no_resource"),
        (b'{"resourceId":"x"}', "no_resource"),
        (b'{"resourceType":["T"],"resourceId":"x"}', "no_resource"),
    ],
)
def test_what_is_no_item_is_rejected_with_a_reason(text: bytes, kind: str) -> None:
    """Each rejection has a type for the machine and a reason for people."""
    found = parse(text, delivered=DELIVERED)
    assert isinstance(found, Rejection)
    assert found.type == kind
    assert found.reason


def test_what_a_strict_parser_refuses_is_read_all_the_same() -> None:
    """NaN, numbers out of range, control characters, half a surrogate pair and invalid UTF-8 lose nothing but themselves."""
    front = json.dumps(BASE).encode()[:-1]
    text = front + b',"configuration":{"a":NaN,"b":1e999,"c":"x\x01y","d":"\\ud800","e":"\xff"}}'
    found = parse(text, delivered=DELIVERED)
    assert isinstance(found, Item)
    assert found.configuration == {"a": "NaN", "b": "1e999", "c": "x\x01y", "d": "\ufffd", "e": "\ufffd"}
    assert found.raw == text.decode("utf-8", "replace")
    assert found.identity == item().identity


@pytest.mark.parametrize("levels", [10, MAX_DEPTH - 1, MAX_DEPTH, 500, 5_000])
def test_depth_is_bounded(levels: int) -> None:
    """What lies deeper than the limit is text, wherever the nesting stands."""
    nested: Any = "[" * levels + "]" * levels
    whole = json.dumps(BASE)[:-1] + ', "configuration": {"deep": ' + nested + "}}"
    found = parse(whole, delivered=DELIVERED)
    assert isinstance(found, Item)
    assert depth(json.dumps(found.configuration).encode()) <= MAX_DEPTH
    assert nested in found.raw
    assert isinstance(inside(nested), list) == (levels <= MAX_DEPTH)


def test_a_megabyte_is_read() -> None:
    """A large item is an item."""
    found = item(configuration={"policy": "ü" * 1_000_000})
    assert len(found.raw) > 1_000_000


_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text() | st.sampled_from(["{", "[]", '{"a":1}'])
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_NAMES = (
    *BASE,
    "accountId",
    "ARN",
    "arn",
    "tags",
    "configuration",
    "supplementaryConfiguration",
    "relationships",
    "relatedEvents",
)
_NAMES += ("configurationStateID", "availabilityZone", "resourceCreationTime", "resourceName", "version")


@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES))
@settings(max_examples=300, deadline=None)
def test_any_json_is_an_item_or_rejected(changes: dict[str, Any]) -> None:
    """No value in any field raises; an item's rank fits a long, its identity is stable and its texts can be written."""
    text = json.dumps(BASE | changes)
    found = parse(text, delivered=DELIVERED)
    if isinstance(found, Item):
        assert EARLIEST <= found.captured <= DELIVERED + 86_400_000
        assert 0 < found.rank < 1 << 63
        assert found == parse(text.encode(), delivered=DELIVERED)
        values = [found.tags, found.configuration, found.supplementary, found.name, found.identity]
        json.dumps(values, ensure_ascii=False).encode()
        assert all(isinstance(value, str) for value in found.tags.values())
        assert all(one.id or one.name for one in found.relationships)


@given(st.binary(max_size=200) | st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_an_item_or_rejected(text: bytes | str) -> None:
    """What is no JSON at all is rejected, never raised."""
    assert isinstance(parse(text), Rejection)


@given(
    st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    st.integers(0, 60),
)
@settings(max_examples=300, deadline=None)
def test_depth_is_told_as_by_looking_at_each_bracket(value: Any, around: int) -> None:
    """The quick look at the depth agrees with the slow one, whatever stands in strings."""
    text = (b"[" * around) + json.dumps([value, ["\\", '"', "[[", "}"]] * 10).encode() + b"]" * around
    assert too_deep(text) == (depth(text) > MAX_DEPTH)


@given(st.integers(EARLIEST, EARLIEST * 4))
@settings(max_examples=200, deadline=None)
def test_a_time_is_the_same_in_each_form(time: int) -> None:
    """Milliseconds, seconds with a fraction, their texts and ISO 8601 agree to the millisecond."""
    forms: tuple[object, ...] = (time, str(time), time / 1000, f"{time / 1000:.3f}", iso(time), iso(time).replace("Z", "+00:00"))
    assert {milliseconds(form) for form in forms} == {time}


def test_tags_of_any_other_value_are_none() -> None:
    """A value that means no tags has none."""
    for value in (None, 5, "text", [], [5, {"value": "x"}], True):
        assert tags_of(value) == {}


def real_items() -> Iterator[tuple[str, bytes]]:
    """Every item among the real samples: of objects, of the API, and of notifications."""
    for path in sorted(SAMPLES.rglob("*.json.gz")):
        for record in json.loads(gzip.decompress(path.read_bytes()))["configurationItems"]:
            yield path.name, json.dumps(record).encode()
    for path in sorted(SAMPLES.glob("*/ci/*.json")):
        yield path.name, path.read_bytes()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the real samples lie beside the project, not in it")
def test_every_real_item_is_read() -> None:
    """Of the real items none is rejected, and each has account, region, state id, status and its own capture time."""
    found = [(name, parse(text, delivered=1_800_000_000_000)) for name, text in real_items()]
    assert len(found) >= 60
    assert [(name, one) for name, one in found if isinstance(one, Rejection)] == []
    for name, one in found:
        assert isinstance(one, Item)
        assert all((one.account, one.region, one.state_id, one.status, one.captured)), name
        assert one.captured_from == ""
        assert one.deleted == (one.configuration is None), name
