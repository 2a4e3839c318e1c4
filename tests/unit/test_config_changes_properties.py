"""Whatever versions and messages hold: no change without a difference, none twice, the same both ways and from a message."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from audit_search.aws_config.changes import Change, between, from_message
from audit_search.aws_config.comparison import apart, capital, differences
from audit_search.aws_config.items import Item, Relationship
from audit_search.aws_config.values import MAX_VALUE_BYTES, canonical, cut, shown, written
from tests.support.config_versions import GROUP, ITEM, permission, vars_of

settings.register_profile("unit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "1",
            "true",
            "2017-01-09T20:13:28Z",
            "9999-99-99T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            '{"a": [1]}',
            "[]",
            "%7B%7D",
            "{",
        ]
    )
    | st.sampled_from([1483992808, 1483992808000, "1483992808", 1483992808.25])
)
KEYS = st.sampled_from(
    [
        "id",
        "arn",
        "name",
        "key",
        "value",
        "groupId",
        "ipRanges",
        "ipProtocol",
        "userIdGroupPairs",
        "tags",
        "ipPermissions",
        "x.y",
        "0",
    ]
) | st.text(max_size=4)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=5)
RELATED = st.lists(
    st.builds(
        Relationship,
        st.sampled_from(["T", "t", "U", ""]),
        st.sampled_from(["1", "2", ""]),
        st.sampled_from(["n", "m"]),
        st.just("k"),
    ),
    max_size=4,
).map(tuple)
ITEMS = st.builds(
    replace,
    st.sampled_from([ITEM, GROUP]),
    configuration=JSON | OBJECTS,
    supplementary=OBJECTS,
    tags=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    relationships=RELATED,
    name=st.sampled_from(["", "a", "b"]),
    status=st.sampled_from(["OK", "OK", "OK", "ResourceDiscovered", "ResourceDeleted", "ResourceNotRecorded", ""]),
)
KINDS = {"added": "removed", "removed": "added", "changed": "changed"}


def shuffled(value: Any, draw: Any) -> Any:
    """The same value with every list and object in another order."""
    if isinstance(value, list):
        return draw(st.permutations([shuffled(element, draw) for element in value]))
    if isinstance(value, dict):
        return {key: shuffled(value[key], draw) for key in draw(st.permutations(list(value)))}
    return value


@given(ITEMS)
def test_a_version_does_not_differ_from_itself(item: Item) -> None:
    """between(a, a) is nothing, also for a copy."""
    assert between(item, item) == between(item, copy.deepcopy(item)) == ()


@given(ITEMS, st.data())
def test_order_is_no_change(item: Item, data: st.DataObject) -> None:
    """Lists and objects in another order, at any level, are the same."""
    other = replace(
        item,
        configuration=shuffled(item.configuration, data.draw),
        supplementary=shuffled(item.supplementary, data.draw),
        relationships=tuple(data.draw(st.permutations(item.relationships))),
    )
    assert between(item, other) == between(other, item) == ()


@given(ITEMS, ITEMS)
def test_swapped_versions_swap_the_changes(before: Item, after: Item) -> None:
    """What was added is removed the other way round, with the same paths and values."""
    after = replace(after, type=before.type)
    there, back = between(before, after), between(after, before)
    swapped = {Change(c.path, KINDS[c.kind], c.after, c.before, c.category) for c in back}  # type: ignore[arg-type]
    assert set(there) == swapped
    assert there == between(copy.deepcopy(before), copy.deepcopy(after))
    assert len(set(there)) == len(there)
    for change in there:
        assert (change.before, change.after) != (None, None)
        assert change.text


@given(st.lists(JSON, max_size=6), JSON, st.data())
def test_an_inserted_element_is_one_difference(elements: list[Any], new: Any, data: st.DataObject) -> None:
    """Wherever it is inserted, whatever the list holds."""
    assume(canonical(new) != "null")
    at = data.draw(st.integers(0, len(elements)))
    longer = [*elements[:at], new, *elements[at:]]
    assert len(differences("List", elements, longer)) == len(differences("List", longer, elements)) == 1


@given(JSON, JSON)
def test_canonical_texts_are_equal_where_there_is_no_difference(one: Any, other: Any) -> None:
    """The two ways to compare agree, so that an element of a list means what it means outside."""
    assert (differences("x", one, other) == []) == (canonical(one) == canonical(other))


ENTRY = st.fixed_dictionaries({"previousValue": JSON, "updatedValue": JSON, "changeType": JSON}) | JSON
PATHS = st.sampled_from(
    ["Configuration", "SupplementaryConfiguration", "Tags", "Relationships", "configuration.ipPermissions", "Configuration.Tags"]
).flatmap(lambda root: st.just(root) | st.builds("{}.{}".format, st.just(root), st.integers(0, 3) | st.text(max_size=5)))
RELATION = st.fixed_dictionaries({"resourceType": JSON, "resourceId": JSON, "name": JSON})


@given(
    st.dictionaries(PATHS | st.text(max_size=6), ENTRY | st.fixed_dictionaries({"previousValue": RELATION}), max_size=6) | JSON,
    st.sampled_from(["UPDATE", "CREATE", "DELETE", None, 7]),
    ITEMS,
)
def test_any_diff_of_a_message_is_told(properties: Any, change_type: Any, item: Item) -> None:
    """Nothing that a message may hold raises, and the same message says the same again."""
    diff = {"changedProperties": properties, "changeType": change_type}
    changes = from_message(diff, item)
    assert changes == from_message(copy.deepcopy(diff), copy.deepcopy(item))
    for change in changes:
        (change.path + (change.before or "") + (change.after or "") + change.text).encode()


def diff_as_config_writes_it(before: Item, after: Item) -> dict[str, Any]:
    """A `configurationItemDiff` in AWS Config's manner: leaf values, list entries that went and came, numbered through."""
    properties: dict[str, Any] = {}

    def put(path: str, old: Any, new: Any) -> None:
        kind = "CREATE" if old is None else "DELETE" if new is None else "UPDATE"
        properties[path] = {"previousValue": old, "updatedValue": new, "changeType": kind}

    def compare(path: str, old: Any, new: Any) -> None:
        if isinstance(old, dict) and isinstance(new, dict):
            for key in old.keys() | new.keys():
                compare(f"{path}.{capital(key)}", old.get(key), new.get(key))
        elif isinstance(old, list) and isinstance(new, list):
            gone, come = apart(old, new)
            for number, element in enumerate(gone):
                put(f"{path}.{number}", element, None)
            for number, element in enumerate(come, len(gone)):
                put(f"{path}.{number}", None, element)
        elif canonical(old) != canonical(new):
            put(path, old, new)

    compare("Configuration", before.configuration, after.configuration)
    compare("SupplementaryConfiguration", before.supplementary, after.supplementary)
    compare("Relationships", *([vars_of(one) for one in side.relationships] for side in (before, after)))
    for key in before.tags.keys() | after.tags.keys():
        if before.tags.get(key) != after.tags.get(key):
            put(f"Tags.{key}", before.tags.get(key), after.tags.get(key))
    if before.name != after.name:
        put("ResourceName", before.name or None, after.name or None)
    return {"changedProperties": properties, "changeType": "UPDATE"}


WORDS = st.sampled_from(["a", "b", "c", "d"])
ELEMENTS = st.lists(
    WORDS | st.fixed_dictionaries({"groupId": WORDS, "n": st.integers(2, 4)}) | st.fixed_dictionaries({"x": WORDS, "y": WORDS}),
    max_size=4,
) | st.lists(st.fixed_dictionaries({"volumeId": WORDS, "deep": st.lists(WORDS, max_size=3)}), max_size=4)
PERMISSIONS = st.lists(
    st.builds(
        permission,
        st.sampled_from(["tcp", "udp"]),
        ipRanges=st.lists(st.sampled_from(["10.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32"]), max_size=3),
        userIdGroupPairs=st.lists(st.fixed_dictionaries({"groupId": WORDS}), max_size=2),
    ),
    max_size=3,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "state": st.fixed_dictionaries({"name": WORDS, "code": st.integers(2, 5)}),
        "things": ELEMENTS,
        "nested": st.fixed_dictionaries({"items": ELEMENTS, "x": WORDS}),
        "ipPermissions": PERMISSIONS,
        "tags": st.lists(st.fixed_dictionaries({"key": WORDS, "value": WORDS}), max_size=3, unique_by=lambda tag: tag["key"]),
    },
)
VERSIONS = st.builds(
    replace,
    st.just(GROUP),
    configuration=SHAPED,
    supplementary=SHAPED,
    tags=st.dictionaries(WORDS, WORDS),
    relationships=st.lists(
        st.builds(Relationship, st.just("T"), WORDS, st.just(""), st.just("k")), max_size=3, unique_by=lambda one: one.id
    ).map(tuple),
    name=st.sampled_from(["", "a"]),
)


@settings(max_examples=300)
@given(VERSIONS, VERSIONS)
def test_a_message_tells_what_the_versions_tell(before: Item, after: Item) -> None:
    """The diff of a message and the comparison with the version before end in the same changes."""
    assert from_message(diff_as_config_writes_it(before, after), after) == between(before, after)


@given(st.text(), st.integers(4, 40))
def test_cut_texts_are_beginnings(text: str, limit: int) -> None:
    """A text that is cut begins like the whole, in at most the bytes allowed."""
    short = cut(text, limit)
    assert len(short.encode()) <= limit or len(text.encode("utf-8", "surrogatepass")) <= limit
    assert short == text or text.startswith(short[:-1]) or any("\ud800" <= character <= "\udfff" for character in text)


@given(JSON)
def test_the_way_for_deep_values_writes_json(value: Any) -> None:
    """What is written without recursion reads back as the same value."""
    assert canonical(json.loads(written(value))) == canonical(value)
    assert shown(value) is None or len((shown(value) or "").encode()) <= MAX_VALUE_BYTES
