"""Everybody can use it: axe-core finds nothing serious in any view, and the keyboard does what the pointer does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.pages import ROOT, embedded, until
from tests.browser.test_embedded import inspect, ready

if TYPE_CHECKING:
    from playwright.sync_api import Page

Show = Callable[..., None]
AXE = ROOT / "panels" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ("model", "head", "matrix", "neuron", "timeline", "tokens")


def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody from using the page."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run('#attnlog', {resultTypes: ['violations'], elementRef: false})")
    return [
        json.dumps({"rule": one["id"], "nodes": [node["html"][:160] for node in one["nodes"]][:4]})
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_nothing_serious_in_any_view(new_page: Callable[..., Page], show: Show, width: int, theme: str) -> None:
    page = new_page(width, color_scheme=theme)
    show(page, embedded("decoder"), "#view=head&layer=1&heads=0,2")
    # On a wide page all views but one stand side by side: two looks see them all.
    for view in VIEWS if width < 900 else ("head", "matrix"):
        page.evaluate(f"location.hash = '#view={view}'")
        page.wait_for_selector(f'[data-view="{view}"][data-ready]')
        assert (view, serious(page)) == (view, [])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_a_comparison(new_page: Callable[..., Page], show: Show, theme: str) -> None:
    page = new_page(1280, color_scheme=theme)
    show(page, embedded("decoder"), "#view=head&layer=1&heads=0&step=0&compare=step:200")
    for view in ("head", "matrix"):
        page.evaluate(f"location.hash = '#view={view}'")
        page.wait_for_selector(f'[data-view="{view}"][data-ready]')
        assert (view, serious(page)) == (view, [])


def test_axe_finds_nothing_serious_in_words_and_menus(page: Page, show: Show) -> None:
    show(page, embedded("sequence"), "#view=neuron&kind=cross")
    page.wait_for_selector('[data-view="neuron"][data-ready]')
    assert serious(page) == []
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert serious(page) == []


def test_the_keyboard_alone_compares_zooms_finds_and_saves(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=head&layer=1&heads=1")
    ready(page, head="200/0/self/1")
    page.keyboard.press("c")
    ready(page, head="100/0/self/1")
    until(page, "studio.head.signed")
    page.keyboard.press("1")
    until(page, "!studio.head.signed")
    page.keyboard.press("x")
    ready(page, head="200/0/self/1")
    page.keyboard.press("c")
    page.keyboard.press("/")
    page.keyboard.type("sat")
    assert inspect(page, "head.pointing") == {"side": "query", "at": 2}
    page.keyboard.press("Enter")
    assert inspect(page, "head.pointing")["at"] > 2
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.locator('[data-open-view="matrix"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_selector('[data-view="matrix"][data-ready]')
    page.locator(".plots").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert inspect(page, "matrix.cell") == {"row": 1, "column": 0}
    page.keyboard.press("+")
    page.wait_for_function("location.hash.includes('matrix.zoom')")
    page.keyboard.press("0")
    page.wait_for_function("!location.hash.includes('matrix.zoom')")
    summary = page.locator('[data-view="matrix"] .take > summary')
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename == "matrix-step200-input0-self-layer1.csv"


def test_every_control_can_be_reached_and_has_a_name(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=head")
    ready(page, head="200/0/self/0", model="200/0/self/-", neuron="200/0/self/0", timeline="200/0/self/0")
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, summary, [tabindex="0"]')]
          .filter((one) => one.checkVisibility() && !one.disabled).length"""
    )
    page.evaluate("window.seen = new Set()")
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        page.evaluate("document.activeElement !== document.body && window.seen.add(document.activeElement)")
    assert page.evaluate("window.seen.size") >= wanted
