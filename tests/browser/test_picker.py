"""Choosing one of many runs: the list keeps its rows and the focus while it is read, and nothing behind it moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.pages import GOLDEN, embedded, manifests

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: A source of 300 runs, a hundred at a time; those after the first hundred come one page for each call of `go()`. Listed anew,
#: a run that has begun meanwhile stands before all others.
SOURCE = """
const texts = %(texts)s, found = (from, count) => Array.from({ length: count }, (_, i) => (
  { id: "id" + (from + i), name: "run " + (from + i), group: "g" + ((from + i) %% 2) }));
let at = 0, began = false, pass = [], listings = 0;
globalThis.drawn = 0;
globalThis.go = () => pass.shift()();
const source = {
  %(noun)s ranges: true,
  runs: async () => { at = 100; listings++; return [...(began ? [{ id: "new", name: "run new", group: "g0" }] : []), ...found(0, 100)]; },
  moreRuns: async () => {
    await new Promise((done) => pass.push(done));
    began = true;
    if (at >= 300) return [];
    at += 100;
    return found(at - 100, 100);
  },
  findRun: async () => null,
  manifests: async () => texts,
  get: async (run, path, range) => {
    const text = document.querySelector(`[data-attnlog-asset="${path}"]`).textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return range ? bytes.slice(range.offset, range.offset + range.length) : bytes;
  },
};
globalThis.waiting = () => pass.length;
AttnlogStudio.mount(document.getElementById("attnlog"), source, { fill: true });
"""


def page_of(noun: str = "") -> str:
    """The page of an exported run, whose studio is replaced by one over many runs."""
    said = {"texts": json.dumps(manifests(GOLDEN / "decoder")).replace("<", "\\u003c"), "noun": f'noun: "{noun}",' if noun else ""}
    script = f"<script>addEventListener('DOMContentLoaded', () => {{{SOURCE % said}}})</script>"
    return embedded("decoder").replace("</body>", f"{script}</body>")


@pytest.fixture
def picker(page: Page, show: Callable[..., None]) -> Page:
    """A page whose list of runs is open."""
    show(page, page_of())
    page.get_by_role("button", name="run: run 0").click()
    page.wait_for_function("waiting() === 1")
    return page


FOCUSED = "document.activeElement.dataset.run ?? document.activeElement.getAttribute('aria-label')"


def test_the_focus_stays_on_its_row_while_the_list_is_read(picker: Page) -> None:
    picker.keyboard.press("ArrowDown")
    picker.keyboard.press("ArrowDown")
    assert picker.evaluate(FOCUSED) == "id1"
    row = picker.query_selector("[data-run=id1]")
    for count in (200, 300):
        picker.evaluate("go()")
        picker.get_by_text(f"{count} runs").wait_for()
        assert picker.evaluate(FOCUSED) == "id1"
    picker.evaluate("go()")
    picker.wait_for_function("!document.querySelector('.picker-said').textContent.includes('reading')")
    picker.keyboard.press("Escape")
    # Listed anew, a run has come before all others.
    picker.get_by_role("button", name="run: run 0").click()
    picker.get_by_role("searchbox", name="find a run").press("ArrowDown")
    picker.keyboard.press("ArrowDown")
    picker.evaluate("go()")
    picker.locator("[data-run=new]").wait_for()
    assert picker.evaluate(FOCUSED) == "id1"
    assert picker.evaluate("row => row.isConnected", row)


def test_a_row_that_goes_gives_the_focus_to_the_search_field(picker: Page) -> None:
    picker.keyboard.press("ArrowDown")
    picker.keyboard.press("ArrowDown")
    picker.get_by_label("runs of experiment").first.evaluate("group => { group.value = '=g0'; group.dispatchEvent(new Event('change')); }")
    assert picker.evaluate(FOCUSED) == "find a run"


def test_nothing_behind_the_list_hears_keys(picker: Page) -> None:
    state = "JSON.stringify(AttnlogStudio.inspect(document.getElementById('attnlog')).state)"
    before = picker.evaluate(state)
    picker.evaluate("document.activeElement.blur()")
    for key in ("ArrowDown", "c", "]", "?"):
        picker.keyboard.press(key)
    assert picker.evaluate(state) == before
    assert picker.locator("dialog[open]").count() == 1


def test_the_chosen_row_says_so(picker: Page) -> None:
    said = "[...document.querySelectorAll('.picker-row[aria-current]')].map(row => [row.dataset.run, row.getAttribute('aria-current')])"
    assert picker.evaluate(said) == [["id0", "true"]]


def test_reading_the_list_draws_no_view_anew(picker: Page) -> None:
    picker.locator('[data-view="head"][data-ready]').wait_for()
    picker.evaluate(
        "new MutationObserver(() => drawn++).observe(document.querySelector('main'), "
        "{ subtree: true, childList: true, attributes: true, attributeFilter: ['data-ready'] })"
    )
    picker.evaluate("go()")
    picker.get_by_text("200 runs").wait_for()
    assert picker.evaluate("drawn") == 0


def test_the_list_uses_the_hosts_own_word(page: Page, show: Callable[..., None]) -> None:
    show(page, page_of("experiment"))
    page.get_by_role("button", name="experiment: run 0").click()
    page.get_by_role("searchbox", name="find an experiment").wait_for()
    assert page.get_by_role("searchbox").first.get_attribute("placeholder") == "name or key"
    page.get_by_text("100 experiments").wait_for()


@pytest.mark.parametrize("width", [320, 400, 700])
def test_the_list_of_heads_stays_within_the_page(new_page: Callable[..., Page], show: Callable[..., None], width: int) -> None:
    page = new_page(width, 700)
    show(page, embedded("decoder"))
    page.locator(".heads-menu summary").click()
    box = page.locator(".heads-box").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
