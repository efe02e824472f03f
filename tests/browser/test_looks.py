"""Every view looks as it did when its picture was taken, light and dark, narrow and wide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.looks import BOX, MEAN, SHARE, Camera, Look, all_looks, off

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def camera(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camera]:
    made = Camera(browser, tmp_path_factory.mktemp("looks") / "page.html")
    yield made
    made.close()


def differs(camera: Camera, look: Look, png: bytes) -> str:
    """What is not as in the committed picture, in words; nothing where all is."""
    wanted = camera.wanted(look)
    own = camera.small(png)
    for name, found, size in zip(("high", "wide"), own.shape[:2], wanted.shape[:2], strict=True):
        if abs(found - size) > 0.12 * size + 1:
            return f"{found * BOX} pixels {name}, where it was {size * BOX}"
    mean, share = off(camera.small(png, wanted.shape[:2]), wanted)
    if mean <= MEAN and share <= SHARE:
        return ""
    return f"off by {mean:.1f} of 255 on average (at most {MEAN}), {share:.1%} of cells far off (at most {SHARE:.1%})"


@pytest.mark.parametrize("look", all_looks(), ids=lambda look: look.name)
def test_views_look_as_they_did(camera: Camera, look: Look, tmp_path: Path) -> None:
    png = camera.shot(look)
    said = differs(camera, look, png)
    if said:
        file = tmp_path / f"{look.name}.png"
        file.write_bytes(png)
        pytest.fail(f"{look.name} is {said}; it looks like {file}, and looked like tests/browser/looks/{file.name}")


# Changes that somebody would see, and one that another Chromium could make.
HIDDEN = '[data-view="VIEW"] .view-body > * { visibility: hidden !important }'
SHIFTED = ".attnlog { --panel: #f4efe4 !important; --bg: #efe7d6 !important; --canvas: #f4efe4 !important }"
OTHER_COLOURS = '[data-view="VIEW"] canvas, [data-view="VIEW"] svg { filter: hue-rotate(120deg) }'
MOVED = ".attnlog .views, .attnlog header { translate: 1px 1px }"
LIGHT = [one for one in all_looks() if one.theme == "light"]


def changed(camera: Camera, look: Look, rule: str) -> str:
    page = camera.page(look)
    style = page.add_style_tag(content=rule.replace("VIEW", "head" if look.view == "page" else look.view))
    try:
        return differs(camera, look, camera.shot(look))
    finally:
        style.evaluate("one => one.remove()")


@pytest.mark.parametrize("look", LIGHT, ids=lambda look: look.name)
def test_a_view_that_shows_nothing_is_told_apart(camera: Camera, look: Look) -> None:
    assert changed(camera, look, HIDDEN)


@pytest.mark.parametrize("look", LIGHT[:2], ids=lambda look: look.name)
def test_another_paper_is_told_apart(camera: Camera, look: Look) -> None:
    assert changed(camera, look, SHIFTED)


@pytest.mark.parametrize("look", [one for one in LIGHT if one.view in ("matrix", "neuron", "model")], ids=lambda look: look.name)
def test_data_in_other_colours_is_told_apart(camera: Camera, look: Look) -> None:
    assert changed(camera, look, OTHER_COLOURS)


@pytest.mark.parametrize("look", LIGHT[1:3], ids=lambda look: look.name)
def test_a_pixel_is_no_other_look(camera: Camera, look: Look) -> None:
    assert changed(camera, look, MOVED) == ""
