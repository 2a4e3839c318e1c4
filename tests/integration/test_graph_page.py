"""The page of `audit-search graph` in headless Chromium: what is drawn, a click, a search, hostile names, its policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import estate
from tests.support.chromium import Browser
from tests.support.engines import TestEngine
from tests.support.questions import ask
from tests.unit.test_cli_graph import COMPARED
from tests.unit.test_cli_resources import engine

__all__ = ["engine"]

CY = "document.getElementById('graph')._cyreg.cy"
"""The library's own handle on what it draws."""


@pytest.fixture(scope="module")
def written(engine: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the made-up account's instance, before and after."""
    folder = tmp_path_factory.mktemp("page")
    shown = ask(engine, *COMPARED, "--html", str(folder / "graph.html"))
    assert (shown.code, shown.err) == (0, "")
    return folder / "graph.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium."""
    with Browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def shown(browser: Browser, written: Path) -> Browser:
    """The browser with the page, freshly opened."""
    browser.open(written)
    return browser


def nodes(browser: Browser) -> dict[str, dict[str, Any]]:
    """What is drawn, by the resources' ids: data, and where it is in the window."""
    expression = f"""(() => {{
        const box = document.getElementById('graph').getBoundingClientRect();
        return {CY}.nodes().map(node => {{
            const at = node.renderedPosition();
            return {{...node.data(), x: box.x + at.x, y: box.y + at.y, faint: node.hasClass('faint')}};
        }});
    }})()"""
    return {node["resource"]: node for node in browser.evaluate(expression)}


def details(browser: Browser) -> str:
    """What is said of the resource that was chosen."""
    return str(browser.evaluate("document.getElementById('details').textContent"))


def test_every_resource_and_relationship_is_drawn(shown: Browser) -> None:
    """Each at a place of its own within the window, on a canvas that is not empty."""
    drawn = nodes(shown)
    assert drawn.keys() >= {estate.INSTANCE, estate.GROUP, estate.VOLUME, estate.VPC, estate.HOSTILE}
    assert len({(round(node["x"]), round(node["y"])) for node in drawn.values()}) == len(drawn)
    assert all(0 < node["x"] < 1_200 and 0 < node["y"] < 900 for node in drawn.values())
    assert shown.evaluate(f"{CY}.edges().length") >= 6
    assert shown.evaluate("document.querySelectorAll('#list button').length") == len(drawn)
    assert shown.evaluate("document.getElementById('title').textContent").startswith("AWS::EC2::Instance i-0")
    painted = f"""(() => {{
        {CY}.forceRender();
        return [...document.querySelectorAll('#graph canvas')].some(canvas => {{
            const bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return bytes.some(byte => byte !== 0);
        }});
    }})()"""
    assert shown.evaluate(painted)


def test_nothing_is_asked_for_and_the_browser_has_no_complaint(shown: Browser, written: Path) -> None:
    """The file is all there is; neither an error nor a violation of its policy."""
    assert shown.requests == [written.as_uri()]
    assert shown.complaints == []


def test_a_click_says_what_a_resource_is_and_what_changed(shown: Browser) -> None:
    """With its relationships; in the list it is the one that is chosen."""
    assert "Choose a resource" in details(shown)
    at = nodes(shown)[estate.INSTANCE]
    shown.click(at["x"], at["y"])
    text = details(shown)
    assert estate.INSTANCE in text
    assert 'Configuration.Type  "m7i.large" -> "m7i.xlarge"' in text
    assert "Is attached to Volume / Is attached to Instance (added)" in text
    chosen = "[...document.querySelectorAll('#list button[aria-pressed=true]')].map(one => one.textContent)"
    assert shown.evaluate(chosen) == [f"{estate.INSTANCE} · EC2::Instance"]


def test_the_list_chooses_as_a_click_does(shown: Browser) -> None:
    """For whoever has no mouse."""
    shown.evaluate("[...document.querySelectorAll('#list button')].find(one => one.textContent.startsWith('web ·')).click()")
    text = details(shown)
    assert estate.GROUP in text
    assert "removed" in text


def test_a_search_and_the_differences_leave_the_others_faint(shown: Browser) -> None:
    """Both together as well."""
    shown.evaluate("document.getElementById('find').focus()")
    shown.type("volume")
    assert [name for name, node in nodes(shown).items() if not node["faint"]] == [estate.VOLUME]
    shown.evaluate(
        "(() => { const it = document.getElementById('find'); it.value = ''; it.dispatchEvent(new Event('input')); })()"
    )
    shown.evaluate("document.getElementById('differences').click()")
    faint = {name for name, node in nodes(shown).items() if node["faint"]}
    assert faint == {estate.INTERFACE, "AROAEXAMPLE"}, "the group that is gone was in the network"
    hidden = "[...document.querySelectorAll('#list button')].filter(one => one.hidden).length"
    assert shown.evaluate(hidden) == len(faint)


def test_it_is_zoomed_and_laid_out_anew(shown: Browser) -> None:
    """By the wheel's way, and by its buttons."""
    before = shown.evaluate(f"{CY}.zoom()")
    shown.evaluate(f"void {CY}.zoom({before} * 2)")
    shown.evaluate("document.getElementById('fit').click()")
    assert abs(shown.evaluate(f"{CY}.zoom()") - before) < before
    for name in ("spread", "rings"):
        shown.evaluate(f"document.getElementById('{name}').click()")
        places = nodes(shown)
        assert len({(round(node["x"]), round(node["y"])) for node in places.values()}) == len(places)


def test_hostile_names_are_text_and_nothing_more(shown: Browser) -> None:
    """They are shown as they are; no element and no script comes of them."""
    at = nodes(shown)[estate.HOSTILE]
    assert at["name"] == estate.HOSTILE_NAME
    shown.click(at["x"], at["y"])
    assert estate.HOSTILE_NAME in details(shown)
    assert shown.evaluate("window.pwned === undefined")
    assert shown.evaluate("document.querySelectorAll('img').length") == 0
    assert shown.evaluate("document.querySelectorAll('script').length") == 3


def test_the_policy_stops_a_script_that_is_none_of_its_own(shown: Browser) -> None:
    """Were a name to become an element all the same, it could neither run nor ask for anything."""
    shown.evaluate("""(() => {
        const script = document.createElement('script');
        script.textContent = 'window.pwned = 1';
        document.body.append(script);
        document.body.insertAdjacentHTML('beforeend', '<p onclick="window.pwned = 2" id="trap">x</p>');
        document.getElementById('trap').click();
    })()""")
    assert shown.evaluate("window.pwned === undefined")
    refused = "fetch('https://example.com/').then(() => 'asked', () => 'refused')"
    assert shown.evaluate(refused) == "refused"
    assert any("Content Security Policy" in one for one in shown.complaints)
