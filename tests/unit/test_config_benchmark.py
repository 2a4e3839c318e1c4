"""The benchmark of AWS Config runs, on little, and what it compares has the same work to do."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit_search.aws_config.messages import read_message
from benchmarks import config_run
from benchmarks.generate_config import BEGIN, REGION, changed, resource, snapshot, stream
from benchmarks.store import Store


def test_a_small_run_has_a_report_and_the_same_figures_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each load has a row for each handler; ours asks the engine for batches, the naive ones for every item."""
    report, figures = tmp_path / "report.md", tmp_path / "figures.json"
    sizes = ["--rounds", "1", "--messages", "40", "--batches", "20", "--items", "60", "--naive-items", "60"]
    config_run.main([*sizes, "--report", str(report), "--json", str(figures)])
    assert capsys.readouterr().out.strip() == report.read_text("utf-8").strip()
    found = json.loads(figures.read_text("utf-8"))
    assert "processors" in found["machine"]
    streamed, first, second = found["loads"]
    for load in (streamed, first, second):
        assert set(load["subjects"]) == set(config_run.SUBJECTS)
        assert load["subjects"]["ours"]["requests_per_item"] < 0.5
        for figure in ("cpu_us_per_item", "items_per_second", "peak_rss_mb", "cpu_beside_ours"):
            assert all(subject[figure] > 0 for subject in load["subjects"].values()), figure
    for load, items in ((streamed, 40), (first, 60)):
        naive = load["subjects"]["naive"]
        assert (naive["requests_per_item"], naive["reads_per_item"], naive["documents"]) == (3.0, 1.0, 2 * items)
        assert load["subjects"]["naive bulk"]["documents"] == 2 * items
        assert load["subjects"]["ours"]["documents"] > 2 * items  # and the timelines
    changed_, written = 60 * config_run.CHANGED / 100, second["subjects"]["naive"]["documents"]
    assert second["subjects"]["naive"]["reads_per_item"] == 1.0
    assert written == second["subjects"]["naive bulk"]["documents"] <= 10 * changed_, "what has not changed is not written"


def test_the_stream_is_the_same_for_a_seed_and_all_of_it_is_read() -> None:
    """Messages repeat to the letter, each holds an item with what changed, and every type is among them."""
    texts = list(stream(1, 150, 50))
    assert texts == list(stream(1, 150, 50))
    assert texts != list(stream(2, 150, 50))
    items = [item for text in texts for item in read_message(text).items]
    assert len(items) == 150
    assert all(item.diff is not None for item in items)
    assert len({item.type for item in items}) > 5
    assert 1_000 < sum(len(item.raw) for item in items) / len(items) < 4_000


def test_a_changed_snapshot_differs_in_so_many_items() -> None:
    """The next snapshot lists the same resources, and some of them in another version."""
    first, second = (list(snapshot(1, 400, changes)) for changes in (0.0, 5.0))
    differing = [one for one, other in zip(first, second, strict=True) if one != other]
    assert 5 <= len(differing) <= 40


def test_a_change_is_another_version() -> None:
    """What is generated as a change has a later time, and the version before stays as it was."""
    before = resource(1, 1)
    kept = json.dumps(before)
    after, diff = changed(random.Random(1), before, BEGIN + timedelta(seconds=1))
    assert json.dumps(before) == kept
    assert after["configurationStateId"] == before["configurationStateId"] + 1_000
    assert diff["changedProperties"]


@pytest.fixture
def store() -> Store:
    """An engine that keeps documents, with one in it."""
    made = Store()
    made.bulk(_lines({"create": {"_index": "config-current-v1", "_id": "a"}}, _document("a", "2025-11-03T08:00:00.000Z")))
    return made


def _document(resource: str, captured: str, **cfg: Any) -> dict[str, Any]:
    return {"awsRegion": REGION, "configurationItemCaptureTime": captured, "raw": "{}", "cfg": {"resource": resource, **cfg}}


def _lines(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_the_stand_in_finds_by_id_what_was_written(store: Store) -> None:
    """Documents come back with their version, wholly, in part or without their source."""
    wanted = [
        {"_index": "config-current-v1", "_id": "a", "_source": fields} for fields in (True, False, ["cfg.resource"], ["raw"])
    ]
    whole, bare, part, raw = json.loads(store.mget(json.dumps({"docs": wanted}).encode()))["docs"]
    assert whole["found"]
    assert (whole["_version"], whole["_source"]["cfg"]) == (1, {"resource": "a"})
    assert "_source" not in bare
    assert (part["_source"], raw["_source"]) == ({"cfg": {"resource": "a"}}, {"raw": "{}"})
    assert store.get("config-current-v1", "b")[0] == 404
    assert not json.loads(store.mget(b'{"docs":[{"_index":"x","_id":"a"}]}'))["docs"][0]["found"]


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ({"create": {"_id": "a"}}, 409),
        ({"index": {"_id": "a"}}, 200),
        ({"index": {"_id": "a", "version": 1, "version_type": "external"}}, 409),
        ({"index": {"_id": "a", "version": 1, "version_type": "external_gte"}}, 200),
        ({"index": {"_id": "a", "version": 0, "version_type": "external_gte"}}, 409),
        ({"index": {"_id": "a", "if_seq_no": 1, "if_primary_term": 1}}, 200),
        ({"index": {"_id": "a", "if_seq_no": 7, "if_primary_term": 1}}, 409),
        ({"index": {"_id": "b", "if_seq_no": 1, "if_primary_term": 1}}, 409),
        ({"create": {"_id": "b"}}, 201),
    ],
)
def test_the_stand_in_orders_writes_as_the_engine_does(store: Store, action: dict[str, Any], status: int) -> None:
    """External versions only rise, a compare-and-swap takes what was read, and create makes nothing twice."""
    ((name, what),) = action.items()
    answer = json.loads(store.bulk(_lines({name: {"_index": "config-current-v1", **what}}, _document("a", "x"))))
    assert answer["items"][0][name]["status"] == status
    assert answer["errors"] is (status == 409)


def test_the_stand_in_searches_in_pages(store: Store) -> None:
    """Pages follow each other in the order of the keys; a resource's newest version is found without the others."""
    days = {"b": "04", "c": "05", "d": "06"}
    for key, day in days.items():
        store.write(
            "config-current-v1", key, {}, json.dumps(_document(key, f"2025-11-{day}T08:00:00.000Z", deleted=key == "c")).encode()
        )
    query = {"bool": {"filter": [{"term": {"cfg.deleted": False}}, {"exists": {"field": "cfg.resource"}}]}}
    body: dict[str, Any] = {"query": query, "sort": [{"cfg.resource": "asc"}], "size": 2}
    first = json.loads(store.search("config-current", body))["hits"]["hits"]
    rest = json.loads(store.search("config-current", {**body, "search_after": first[-1]["sort"]}))["hits"]["hits"]
    assert [hit["_id"] for hit in first + rest] == ["a", "b", "d"]
    before = {"range": {"configurationItemCaptureTime": {"lt": 1_762_300_000_000, "format": "epoch_millis"}}}
    body["query"] = {"bool": {"must_not": [before], "should": [{"term": {"awsRegion": REGION}}]}}
    assert [hit["_id"] for hit in json.loads(store.search("config-current", body))["hits"]["hits"]] == ["c", "d"]
    versions = [_document("z", f"2025-11-0{day}T08:00:00.000Z") for day in (3, 5, 4)]
    for number, version in enumerate(versions):
        store.write("config-history-2025.11", str(number), {}, json.dumps(version).encode())
    newest = {"query": {"term": {"cfg.resource": "z"}}, "sort": [{"configurationItemCaptureTime": "desc"}], "size": 1}
    assert [hit["_id"] for hit in json.loads(store.search("config-history*", newest))["hits"]["hits"]] == ["1"]


def test_the_stand_in_comes_back_to_what_it_remembers(store: Store) -> None:
    """Each measurement begins with the same documents."""
    store.remember()
    store.write("config-current-v1", "a", {}, b"{}")
    store.write("config-current-v1", "b", {}, b"{}")
    store.forget()
    assert json.loads(store.get("config-current-v1", "a")[1])["_source"]["raw"] == "{}"
    assert store.get("config-current-v1", "b")[0] == 404
    store.empty()
    assert store.get("config-current-v1", "a")[0] == 404
