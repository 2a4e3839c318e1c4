"""Comparing what an engine has with what it should have."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_search import index_template
from audit_search.domain import access, indices, lifecycle
from audit_search.domain.changes import MARK, batches, differences, marked
from audit_search.domain.families import families
from audit_search.domain.indices import Cluster, fitting, overlap
from audit_search.domain.settings import DomainSettings


@pytest.mark.parametrize(
    ("found", "wanted", "paths"),
    [
        ({"a": "1"}, {"a": 1}, ()),
        ({"a": "true", "b": None, "c": [], "d": ""}, {"a": True}, ()),
        ({"a": {"b": ["1", "2"]}}, {"a": {"b": [1, 2]}}, ()),
        ({"a": {"b": [2, 1]}}, {"a": {"b": [1, 2]}}, ("a.b",)),
        ({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, ("a.b", "a.c")),
        ({"a": [{"x": 1}, {"y": 2}]}, {"a": [{"x": 1}]}, ("a[1].y",)),
        ({"a": [{"delete": {}}]}, {"a": [{"close": {}}]}, ("a[0].close", "a[0].delete")),
        ({"a": {"b": 1}}, {"a": 1}, ("a", "a.b")),
        ({}, {}, ()),
        (None, {"a": 1}, ("a",)),
    ],
)
def test_differences_are_named_by_their_paths(found: Any, wanted: Any, paths: tuple[str, ...]) -> None:
    """Engines answer in text and leave out what is empty: that is no difference; order is one, and so is any other value."""
    assert differences(found, wanted) == paths


@pytest.mark.parametrize(
    ("one", "other", "do"),
    [
        ("cloudtrail-2*", "cloudtrail-2*", True),
        ("*", "cloudtrail-2*", True),
        ("cloud*", "cloudtrail-2*", True),
        ("*-2026.11", "cloudtrail-2*", True),
        ("cloudtrail-1*", "cloudtrail-2*", False),
        ("cloudtrail", "cloudtrail-2*", False),
        ("cloudtrail-2026.11", "cloudtrail-2*", True),
        ("x-cloudtrail-2*", "cloudtrail-2*", False),
        ("*trail-*6*", "cloudtrail-2*", True),
        ("", "*", True),
        ("", "a", False),
    ],
)
def test_patterns_overlap_where_a_name_matches_both(one: str, other: str, do: bool) -> None:
    """What the engine asks before it takes two templates of the same priority."""
    assert overlap(one, other) is do
    assert overlap(other, one) is do


patterns = st.text("ab*", max_size=6)


@given(one=patterns, other=patterns, name=st.text("ab", max_size=8))
def test_a_name_that_matches_both_makes_them_overlap(one: str, other: str, name: str) -> None:
    """No such name is overlooked."""
    if fnmatch.fnmatchcase(name, one) and fnmatch.fnmatchcase(name, other):
        assert overlap(one, other)


@given(one=patterns, other=patterns)
def test_patterns_without_a_common_name_do_not_overlap(one: str, other: str) -> None:
    """Two patterns overlap only where some name matches both; a short one is among them."""
    if overlap(one, other):
        letters = [""]
        for _ in range(10):
            letters += [name + letter for name in letters[-(2**_) :] for letter in "ab"]
        assert any(fnmatch.fnmatchcase(name, one) and fnmatch.fnmatchcase(name, other) for name in letters)


@pytest.mark.parametrize(
    ("cluster", "found", "replicas"),
    [
        (Cluster(data_nodes=1, copies=1), None, 0),
        (Cluster(data_nodes=2, copies=1), None, 1),
        (Cluster(data_nodes=9, copies=1), 2, 1),
        (Cluster(data_nodes=3, copies=3), None, 2),
        (Cluster(data_nodes=6, copies=3), 5, 2),
        (Cluster(data_nodes=2, copies=2), None, 1),
        (Cluster(data_nodes=4, copies=4), None, 3),
        (Cluster(data_nodes=1, copies=3), None, 2),
        (Cluster(data_nodes=3), None, 1),
        (Cluster(data_nodes=3), 2, 2),
        (Cluster(data_nodes=1), 2, 0),
        (Cluster(), None, 1),
    ],
)
def test_replicas_fit(cluster: Cluster, found: int | None, replicas: int) -> None:
    """One at least where there are several nodes or nobody knows, what zones ask for, what is there where they are hidden."""
    assert fitting(cluster, found) == replicas


ROLE = "arn:aws:iam::123456789012:role/function"


def settings(**variables: str) -> DomainSettings:
    """Settings of a domain that is never asked."""
    return DomainSettings.from_env({"OPENSEARCH_ENDPOINT": "https://search.example.com", **variables})


def states(**variables: str) -> list[tuple[str, list[str], str]]:
    """The states of the policy: name, actions, and when it goes on to the next."""
    policy = lifecycle.policy(families(settings(**variables))[0])["policy"]
    return [
        (
            state["name"],
            [name for action in state["actions"] for name in action if name != "retry"],
            " ".join(f"{one['conditions']['min_index_age']} {one['state_name']}" for one in state["transitions"]),
        )
        for state in policy["states"]
    ]


MERGE = ["force_merge", "read_write"]


@pytest.mark.parametrize(
    ("retention", "period", "expected"),
    [
        ("0", "month", [("new", [], "45d merged"), ("merged", MERGE, "")]),
        ("0", "day", [("new", [], "45d merged"), ("merged", MERGE, "")]),
        ("400", "month", [("new", [], "45d merged"), ("merged", MERGE, "431d expired"), ("expired", ["delete"], "")]),
        ("400", "day", [("new", [], "45d merged"), ("merged", MERGE, "401d expired"), ("expired", ["delete"], "")]),
        ("14", "month", [("new", [], "45d expired"), ("expired", ["delete"], "")]),
        ("15", "month", [("new", [], "45d merged"), ("merged", MERGE, "46d expired"), ("expired", ["delete"], "")]),
        ("1", "day", [("new", [], "2d expired"), ("expired", ["delete"], "")]),
    ],
)
def test_nothing_is_deleted_before_its_time(retention: str, period: str, expected: list[tuple[str, list[str], str]]) -> None:
    """An index is as old as its first event, so a whole period is added; after a merge it takes late events again."""
    assert states(RETENTION_DAYS=retention, INDEX_PERIOD=period) == expected


def test_all_states_are_there() -> None:
    """Each state that is gone to exists, and the first one is where an index begins."""
    for days in ("0", "1", "90"):
        policy = lifecycle.policy(families(settings(RETENTION_DAYS=days))[0])["policy"]
        names = [state["name"] for state in policy["states"]]
        assert policy["default_state"] == names[0]
        assert {one["state_name"] for state in policy["states"] for one in state["transitions"]} <= set(names)


def test_every_object_has_the_prefix_and_the_mark() -> None:
    """Names and patterns carry INDEX_PREFIX, so that installations share a domain; each object says whose it is."""
    prefix = "acme-"
    both = settings(INDEX_PREFIX=prefix, ALERTS="true", AWS_CONFIG="true", VERIFIER_ROLE_ARNS=ROLE, LINKER_ROLE_ARNS=ROLE)
    every = families(both)
    policies = [lifecycle.policy(family)["policy"] for family in every if family.retention is not None]
    roles = access.roles(both)
    assert [family.name for family in every] == [index_template.name(prefix, family.kind) for family in every]
    kinds = (
        "cloudtrail-writer",
        "cloudtrail-alerter",
        "config-writer",
        "config-linker",
        "cloudtrail-verifier",
        "cloudtrail-analyst",
    )
    assert set(roles) == {f"acme-{kind}" for kind in kinds}
    patterns = [pattern for policy in policies for one in policy["ism_template"] for pattern in one["index_patterns"]]
    patterns += [pattern for body in roles.values() for one in body["index_permissions"] for pattern in one["index_patterns"]]
    assert [pattern for pattern in patterns if not pattern.startswith(("acme-cloudtrail", "acme-config-"))] == []
    assert [body for body in (*policies, *roles.values()) if not marked(body)] == []
    assert not marked({"description": f"not {MARK}"})
    assert not marked({})


def test_names_of_many_indices_fit_into_a_path() -> None:
    """Engines refuse request lines of more than 4,096 bytes: ten years of daily indices come in parts."""
    longest = "p" * 50
    names = [f"{longest}cloudtrail-20{year}.{month:02}.01" for year in range(10, 99) for month in range(1, 13)]
    parts = list(batches(names))
    assert ",".join(parts).split(",") == names
    assert max(len(f"/_plugins/_ism/change_policy/{part}") for part in parts) < 4_000


def test_the_writer_may_only_create() -> None:
    """The role has no permission that reads events, deletes them or changes an index."""
    writer = access.roles(settings())["cloudtrail-writer"]
    assert writer["cluster_permissions"] == ["indices:data/write/bulk", "indices:admin/index_template/get"]
    assert [one["allowed_actions"] for one in writer["index_permissions"]] == [
        ["indices:data/write/bulk*", "indices:data/write/index", "indices:admin/create"]
    ]


def test_the_alerter_reaches_its_own_index_alone() -> None:
    """The role writes and reads by id which alerts were told, and has no permission for events."""
    alerter = access.roles(settings(ALERTS="true"))["cloudtrail-alerter"]
    assert alerter["cluster_permissions"] == ["indices:data/write/bulk", "indices:data/read/mget"]
    assert alerter["index_permissions"] == [
        {
            "index_patterns": index_template.definition("cloudtrail-alerts")["index_patterns"],
            "allowed_actions": [
                "indices:data/write/bulk*",
                "indices:data/write/index",
                "indices:data/read/mget*",
                "indices:admin/create",
            ],
        }
    ]
    assert access.roles(settings(ALERTS="true"))["cloudtrail-writer"] == access.roles(settings())["cloudtrail-writer"]
    assert "cloudtrail-alerter" not in access.roles(settings())


def test_the_verifier_reads_events_alone() -> None:
    """The role has no permission that writes, nor anything of AWS Config's; nobody's role is not made."""
    verifier = access.roles(settings(VERIFIER_ROLE_ARNS="arn:aws:iam::123456789012:role/verify"))["cloudtrail-verifier"]
    assert verifier["cluster_permissions"] == ["indices:data/read/mget"]
    assert verifier["index_permissions"] == [
        {
            "index_patterns": index_template.definition()["index_patterns"],
            "allowed_actions": ["indices:data/read/mget*", "indices:data/read/search"],
        }
    ]
    assert "cloudtrail-verifier" not in access.roles(settings(AWS_CONFIG="true"))


def test_the_config_writer_reads_by_id_and_searches_latest_states_alone() -> None:
    """The role has no permission that deletes, changes an index, or reaches anything of CloudTrail's."""
    writer = access.roles(settings(AWS_CONFIG="true"))["config-writer"]
    documents, latest = writer["index_permissions"]
    assert latest == {"index_patterns": ["config-current-v*"], "allowed_actions": ["indices:data/read/search"]}
    assert documents["allowed_actions"] == [
        "indices:data/write/bulk*",
        "indices:data/write/index",
        "indices:data/read/mget*",
        "indices:admin/create",
    ]
    made = [index_template.definition(family)["index_patterns"] for family in index_template.CONFIG]
    assert sorted(documents["index_patterns"]) == sorted(pattern for patterns in made for pattern in patterns)


def test_the_linker_searches_both_and_writes_no_event() -> None:
    """The role has no permission that deletes, or that writes anything of CloudTrail's; nobody's role is not made."""
    linker = access.roles(settings(AWS_CONFIG="true", LINKER_ROLE_ARNS=ROLE))["config-linker"]
    searched, written, made = linker["index_permissions"]
    assert searched["allowed_actions"] == ["indices:data/read/search"]
    assert written == {
        "index_patterns": ["config-history-2*", "config-causes-2*"],
        "allowed_actions": ["indices:data/read/mget*", "indices:data/write/bulk*", "indices:data/write/index"],
    }
    assert made == {"index_patterns": ["config-causes-2*"], "allowed_actions": ["indices:admin/create"]}
    assert "config-linker" not in access.roles(settings(AWS_CONFIG="true"))


def test_families_have_their_own_lives() -> None:
    """Versions and events of AWS Config are kept as long as CONFIG_RETENTION_DAYS says, latest states and timelines for ever."""
    both = settings(AWS_CONFIG="true", RETENTION_DAYS="30", CONFIG_RETENTION_DAYS="2557")
    kept = {family.kind: family.retention for family in families(both)}
    every = ("cloudtrail", *index_template.CONFIG, index_template.LINKS)
    assert kept == dict(zip(every, (30, 2557, None, 2557, None, 2557), strict=True))
    shards = {family.kind: family.shards for family in families(settings(AWS_CONFIG="true", SHARDS="3"))}
    assert shards == dict(zip(every, (3, 3, 1, 1, 1, 1), strict=True))
    assert [family.kind for family in families(settings())] == ["cloudtrail"]
    assert [family.kind for family in families(settings(AWS_CONFIG="true", OPENSEARCH_SERVICE="aoss"))] == ["cloudtrail"]
    (alerts,) = (family for family in families(settings(ALERTS="true", RETENTION_DAYS="30")) if family.kind != "cloudtrail")
    assert (alerts.name, alerts.pattern, alerts.retention, alerts.alias) == (
        "cloudtrail-alerts",
        "cloudtrail-alerts",
        None,
        False,
    )
    assert len(families(settings(ALERTS="true", OPENSEARCH_SERVICE="aoss"))) == 2


def test_settings_of_templates_are_compared_as_engines_keep_them() -> None:
    """Dotted or nested, with or without `index.`: the same setting is the same."""
    ours = {
        "template": {"settings": {"index": {"codec": "x", "mapping.total_fields.limit": 400}, "analysis": {"a": {"type": "b"}}}}
    }
    theirs = {
        "template": {
            "settings": {"index": {"codec": "x", "mapping": {"total_fields": {"limit": "400"}}, "analysis": {"a": {"type": "b"}}}}
        }
    }
    assert differences(indices._normal(theirs), indices._normal(ours)) == ()
