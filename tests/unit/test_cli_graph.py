"""`audit-search graph`: each relationship is one that an item of that time lists; the samples' answers are kept whole."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from audit_search_cli.questions import page
from tests.support import estate
from tests.support.engines import TestEngine
from tests.support.incidents import ACCOUNT, REGION
from tests.support.questions import ask, asked, assert_kept
from tests.unit.test_cli_resources import OBJECTS, engine, raw_items, samples

__all__ = ["engine", "samples"]

SCENARIOS: dict[str, tuple[str, ...]] = {
    "graph": ("graph", "i-0a1b2c3d4e5f60718", "--as-of", "2026-11-06"),
    "graph-compare": ("graph", "i-0a1b2c3d4e5f60718", "--as-of", "2026-11-10", "--compare", "2026-11-04"),
    "graph-json": ("graph", "vol-0d6e5f40312091827", "--as-of", "2026-11-06", "--depth", "1", "--output", "json"),
    "graph-early": ("graph", "vol-0d6e5f40312091827", "--as-of", "2026-11-02 09:00"),
}
"""The questions whose whole answers are kept; `pytest --renew-golden` writes them anew."""


def resources(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The resources of an answer by their ids."""
    return {one["resource"]: one for one in answer["resources"]}


def pairs(answer: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """The relationships of an answer by the ids of their ends."""
    return {tuple(sorted(key.rpartition("|")[2] for key in one["between"])): one for one in answer["relationships"]}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_answer_is_the_one_that_is_kept(samples: TestEngine, name: str, pytestconfig: pytest.Config) -> None:
    """What a person or a script sees of the samples, to the last sign."""
    assert_kept(samples, name, SCENARIOS[name], pytestconfig.getoption("--renew-golden"))


def test_the_nearest_relationships_are_those_that_the_items_list(samples: TestEngine) -> None:
    """Of each sample item that lists any, as of its capture: all that it lists, and nothing that no other one lists."""
    raw = raw_items(sorted(OBJECTS.rglob("*.json.gz")))
    compared = 0
    for (account, kind, identity), moments in raw.items():
        for moment, items in moments.items():
            listed = {one.get("resourceId") or one.get("resourceName") for one in items[0].get("relationships") or []}
            if not listed:
                continue
            naming = {
                other
                for (_, _, other), versions in raw.items()
                if (at := max((when for when in versions if when <= moment), default=None))
                and any(
                    related.get("resourceId") == identity for one in versions[at] for related in one.get("relationships") or []
                )
            }
            time = items[0]["configurationItemCaptureTime"]
            shown = asked(samples, "graph", identity, "--type", kind, "--accounts", account, "--as-of", time, "--depth", "1")
            assert resources(shown).keys() == listed | naming | {identity}, (identity, time)
            compared += 1
    assert compared >= 8


def test_a_graph_is_that_of_the_time(engine: TestEngine) -> None:
    """The group was related until the instance left it, the volume since it was attached."""
    before = asked(engine, "graph", estate.INSTANCE, "--as-of", "2026-11-20 09:30Z")
    after = asked(engine, "graph", estate.INSTANCE, "--as-of", "2026-11-20 10:01Z")
    assert estate.GROUP in resources(before)
    assert estate.VOLUME not in resources(before)
    assert resources(after)[estate.VOLUME]["distance"] == 1
    assert resources(after)[estate.GROUP]["distance"] == 2, "by the network alone"
    assert (estate.INSTANCE, estate.VOLUME) in pairs(after)
    assert pairs(after)[estate.INSTANCE, estate.VOLUME]["names"] == ["Is attached to Volume", "Is attached to Instance"]


def test_what_only_names_the_resource_is_related_as_well(engine: TestEngine) -> None:
    """A network lists nothing itself, and is listed by others."""
    shown = asked(engine, "graph", estate.VPC, "--as-of", "2026-11-20 09:30Z", "--depth", "1")
    assert resources(shown).keys() == {estate.VPC, estate.GROUP, estate.INSTANCE}
    assert pairs(shown)[estate.GROUP, estate.VPC]["names"] == ["Is contained in Vpc"]


def test_what_is_not_recorded_stands_by_what_others_call_it(engine: TestEngine) -> None:
    """And a global resource is found in no region."""
    shown = resources(asked(engine, "graph", estate.INSTANCE, "--as-of", "2026-11-20 09:30Z"))
    assert (shown[estate.INTERFACE]["state"], shown[estate.INTERFACE]["item"]) == ("not recorded", "")
    assert (shown["AROAEXAMPLE"]["state"], shown["AROAEXAMPLE"]["region"]) == ("there", "global")


def test_a_deleted_resource_is_related_to_nothing(engine: TestEngine) -> None:
    """Whatever its item still lists."""
    shown = asked(engine, "graph", estate.GROUP)
    assert [(one["resource"], one["state"]) for one in shown["resources"]] == [(estate.GROUP, "deleted")]
    assert shown["relationships"] == []


def test_a_depth_and_a_number_bound_it_and_it_says_what_it_leaves_out(engine: TestEngine) -> None:
    """The nearest come first; what is a step too far is counted."""
    shown = asked(engine, "graph", estate.INSTANCE, "--as-of", "2026-11-20 09:30Z", "--depth", "1", "--max-nodes", "3")
    assert len(shown["resources"]) == 3
    assert shown["notes"] == ["2 resources left out: --max-nodes"]
    far = asked(engine, "graph", estate.VOLUME, "--as-of", "2026-11-20 10:01Z", "--depth", "1")
    assert resources(far).keys() == {estate.VOLUME, estate.INSTANCE}
    assert far["notes"] == ["4 resources one step beyond 1 step: --depth"]
    assert all(end in {one["key"] for one in far["resources"]} for one in far["relationships"] for end in one["between"])


COMPARED = ("graph", estate.INSTANCE, "--as-of", "2026-11-20 11:30Z", "--compare", "2026-11-20 09:30Z", "--depth", "1")


def test_differences_of_two_times_are_marked(engine: TestEngine) -> None:
    """The earlier time is before, whichever is named first: what came, went, changed, and what is only known since."""
    shown = asked(engine, *COMPARED)
    marks = {identity: one["mark"] for identity, one in resources(shown).items()}
    assert marks == {
        estate.INSTANCE: "changed",
        estate.GROUP: "removed",
        estate.VOLUME: "added",
        estate.HOSTILE: "first known",
        estate.VPC: "same",
        estate.INTERFACE: "same",
        "AROAEXAMPLE": "same",
    }
    related = {ends: one["mark"] for ends, one in pairs(shown).items()}
    assert related[tuple(sorted((estate.INSTANCE, estate.GROUP)))] == "removed"
    assert related[tuple(sorted((estate.INSTANCE, estate.VOLUME)))] == "added"
    assert related[tuple(sorted((estate.INSTANCE, estate.HOSTILE)))] == "added", "the instance did not list it before"
    assert related[tuple(sorted((estate.INSTANCE, estate.INTERFACE)))] == "same"
    told = {(one["path"], one["before"], one["after"]) for one in resources(shown)[estate.INSTANCE]["changes"]}
    assert ("Configuration.Type", "m7i.large", "m7i.xlarge") in told
    assert ("AWS::EC2::SecurityGroup", estate.GROUP, None) in told


def test_what_only_lies_elsewhere_is_not_said_to_be_gone(engine: TestEngine) -> None:
    """At 10:01 the group is two steps away: it is there, and no longer related to the instance."""
    how = ("--as-of", "2026-11-20 09:30Z", "--compare", "2026-11-20 10:01Z", "--depth", "1")
    shown = asked(engine, "graph", estate.INSTANCE, *how)
    assert resources(shown)[estate.GROUP]["mark"] == "same"
    assert pairs(shown)[tuple(sorted((estate.INSTANCE, estate.GROUP)))]["mark"] == "removed"


def test_before_all_that_is_known_says_so(engine: TestEngine) -> None:
    """No graph of a time at which nothing was recorded; compared with one, all is new or known since."""
    shown = asked(engine, "graph", estate.VOLUME, "--as-of", "2026-11-20 09:00Z")
    assert shown["resources"] == []
    assert "nothing is known of it at 2026-11-20 09:00 UTC: the first version" in shown["notes"][0]
    assert shown["recorded"].startswith("AWS Config recorded: ")
    both = asked(engine, "graph", estate.VOLUME, "--as-of", "2026-11-20 09:00Z", "--compare", "2026-11-20 10:01Z", "--depth", "1")
    assert {one["mark"] for one in both["resources"]} == {"added", "changed"}


def test_an_unknown_resource_writes_no_file(engine: TestEngine, tmp_path: Path) -> None:
    """It says what was recorded."""
    target = tmp_path / "x.html"
    shown = ask(engine, "graph", "i-00000000000000000", "--html", str(target))
    assert (shown.code, target.exists()) == (0, False)
    assert "AWS Config recorded: " in shown.out


def test_a_file_that_cannot_be_written_is_one_line(engine: TestEngine, tmp_path: Path) -> None:
    """And leaves nothing behind."""
    wrong = ask(engine, "graph", estate.VPC, "--html", str(tmp_path / "no-folder" / "x.html"))
    assert wrong.code == 2
    assert "cannot be written" in wrong.line
    assert list(tmp_path.iterdir()) == []


def test_hostile_texts_reach_no_terminal(engine: TestEngine) -> None:
    """Names are cleaned in the tree."""
    shown = ask(engine, "graph", estate.HOSTILE)
    assert (shown.code, shown.err) == (0, "")
    assert not set(shown.out) & set("\x1b\u202e\u2028")


# --- the page -------------------------------------------------------------------------------------------------------------


class _Elements(HTMLParser):
    """Each element of a page with its attributes, and the text of scripts and style sheets, as a browser takes them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, dict[str, str | None], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style", "title") and data.strip():
            self.texts.append((*self.tags[-1], data))


@pytest.fixture(scope="module")
def written(engine: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the made-up account's instance."""
    target = tmp_path_factory.mktemp("page") / "graph.html"
    shown = ask(engine, *COMPARED, "--html", str(target))
    assert (shown.code, shown.err) == (0, "")
    assert str(target) in shown.out
    return target.read_bytes().decode()


def test_the_library_is_the_package_s_own_file() -> None:
    """Cytoscape.js 3.35.0 as it was published, with its licence."""
    assert hashlib.sha256(page.part(page.LIBRARY).encode()).hexdigest() == page.LIBRARY_SHA256
    assert "Permission is hereby granted, free of charge" in page.part("cytoscape.LICENSE")
    assert "Permission is hereby granted, free of charge" in page.part(page.LIBRARY)[:1_000]
    assert "</script" not in page.part(page.LIBRARY).lower()


def test_the_page_needs_nothing_and_its_policy_allows_nothing_else(written: str) -> None:
    """Two scripts and a style sheet whose hashes the policy has; no address, no event in an attribute."""
    found = _Elements()
    found.feed(written)
    policy = next(attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert not re.search("unsafe|https?:|data:|\\*", policy)
    run = [(tag, text) for tag, attrs, text in found.texts if tag in ("script", "style") and not attrs.get("type")]
    hashes = ["sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for _, text in run]
    assert [tag for tag, _ in run] == ["style", "script", "script"]
    assert set(re.findall("'(sha256-[^']+)'", policy)) == set(hashes)
    assert not [attrs for _, attrs in found.tags if {"src", "href", "style"} & attrs.keys()]
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    assert not [tag for tag, _ in found.tags if tag in ("img", "iframe", "object", "link", "base", "form")]


def test_hostile_names_stand_in_the_page_as_data(written: str) -> None:
    """No sign of them can end the element; read as JSON they are what they were."""
    found = _Elements()
    found.feed(written)
    (text,) = [text for tag, attrs, text in found.texts if attrs.get("type") == "application/json"]
    assert text.isascii()
    assert not set(text) & set("<>&")
    names = {node["name"] for node in json.loads(text)["nodes"]}
    assert estate.HOSTILE_NAME in names


def test_a_hostile_title_is_escaped() -> None:
    """Also one that Unicode does not allow, or that looks like a place of the template."""
    title = "</title><script>x</script>@data@ \ud800"
    made = page.page(title, {"nodes": [], "x": "@script@ \ud800"})
    found = _Elements()
    found.feed(made)
    assert [tag for tag, _ in found.tags].count("script") == 3
    assert "&lt;/title&gt;&lt;script&gt;x&lt;/script&gt;@data@ ?" in made
    assert made.encode()


def test_the_page_is_replaced_as_a_whole(engine: TestEngine, tmp_path: Path) -> None:
    """What was there is gone, and no part of a file is left beside it."""
    target = tmp_path / "graph.html"
    target.write_text("old")
    shown = ask(engine, "graph", estate.VPC, "--html", str(target), "--output", "json")
    assert shown.document["html"] == str(target)
    assert target.read_text("utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [target]
    assert f"{ACCOUNT} {REGION}" in target.read_text("utf-8")
