"""The matrix view: what a cell says is what was recorded, whatever is zoomed, merged or compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.browser.pages import GOLDEN, embedded, until
from tests.browser.test_embedded import inspect, ready, text

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Show = Callable[..., None]


def weights(run: str = "decoder", step: int = 200, layer: int = 1) -> Any:
    import attnlog

    return attnlog.open(GOLDEN / run).read(step=step).weights("self", layer)


def over(page: Page, plot: Locator, row: int, column: int, rows: int, columns: int) -> None:
    """Point at the middle of a cell."""
    box = plot.locator("canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + (column + 0.5) * box["width"] / columns, box["y"] + (row + 0.5) * box["height"] / rows)


def test_a_cell_pointed_at_says_its_weight_and_tokens(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=matrix&layer=1&heads=2")
    ready(page, matrix="200/0/self/1")
    wanted = weights()[2]
    plot = page.locator(".plot").first
    for row, column in [(0, 0), (5, 3), (12, 8)]:
        over(page, plot, row, column, *wanted.shape)
        said = text(page, ".matrix-said")
        assert f"({row}) →" in said
        assert f"({column})" in said
        assert float(said.rsplit(": ", 1)[1]) == pytest.approx(wanted[row, column], abs=6e-3)


def test_all_heads_of_a_layer_stand_side_by_side_and_a_click_opens_one(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=matrix&layer=1")
    ready(page, matrix="200/0/self/1")
    assert inspect(page, "matrix.titles") == [f"head {n}" for n in range(4)]
    for head in range(4):
        assert inspect(page, f"matrix.weights({head})") == pytest.approx(weights()[head].ravel(), abs=1e-6)
    page.locator(".plot canvas").nth(3).click()
    page.wait_for_function("location.hash.includes('heads=3')")
    assert inspect(page, "matrix.titles") == ["head 3"]


def test_cells_are_painted_from_the_very_weights(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=matrix&layer=1&heads=0")
    ready(page, matrix="200/0/self/1")
    cells = inspect(page, "matrix.cells(0)")
    wanted = weights()[0]
    assert (cells["rows"], cells["columns"]) == wanted.shape
    assert cells["values"] == pytest.approx(wanted.ravel(), abs=1e-6)
    assert inspect(page, "matrix.scales") == pytest.approx([wanted.max()], abs=1e-6)


def test_dragging_zooms_and_the_address_keeps_it(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=matrix&layer=1&heads=0")
    ready(page, matrix="200/0/self/1")
    plot = page.locator(".plot").first
    over(page, plot, 2, 1, 13, 13)
    page.mouse.down()
    over(page, plot, 6, 4, 13, 13)
    page.mouse.up()
    page.wait_for_function("location.hash.includes('matrix.zoom=2-7,1-5')")
    assert inspect(page, "matrix.region") == {"top": 2, "bottom": 7, "left": 1, "right": 5}
    assert inspect(page, "matrix.cells(0)")["values"] == pytest.approx(weights()[0][2:7, 1:5].ravel(), abs=1e-6)
    page.click('button:has-text("whole")')
    page.wait_for_function("!location.hash.includes('matrix.zoom')")


def test_rows_are_brushed_along_their_axis(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=matrix&layer=1&heads=0")
    ready(page, matrix="200/0/self/1")
    box = page.locator(".plot canvas").first.bounding_box()
    assert box is not None
    pitch = box["height"] / 13
    page.mouse.move(box["x"] - 15, box["y"] + 3.5 * pitch)
    page.mouse.down()
    page.mouse.move(box["x"] - 15, box["y"] + 7.5 * pitch)
    page.mouse.up()
    page.wait_for_function("location.hash.includes('matrix.zoom=3-8,0-13')")


def test_a_comparison_of_one_head_shows_both_sides_and_the_difference(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=matrix&layer=1&heads=1&step=0&compare=step:200")
    ready(page, matrix="0/0/self/1")
    assert inspect(page, "matrix.titles") == ["A, head 1", "B, head 1", "B − A"]
    a, b = weights(step=0)[1], weights(step=200)[1]
    for number, wanted in enumerate((a, b, b - a)):
        assert inspect(page, f"matrix.weights({number})") == pytest.approx(wanted.ravel(), abs=1e-6)
    over(page, page.locator(".plot").first, 8, 4, 13, 13)
    assert page.locator(".plot-cross:visible").count() == 3
    said = text(page, ".matrix-said")
    assert [part.split(": ")[0] for part in said.split(" · ")][1:] == ["B, head 1", "B − A"]


def test_long_inputs_show_the_recorded_picture_from_afar_and_stored_weights_near(page: Page, show: Show) -> None:
    from tests.browser.test_sparse import kept, layer_of

    show(page, embedded("long"), "#view=matrix&heads=1")
    ready(page, matrix="100/0/self/0")
    assert inspect(page, "matrix.picture") == [True]
    assert "From afar: the recorded picture" in text(page, '[data-view="matrix"] .foot-note')
    page.evaluate("location.hash = '#view=matrix&heads=1&matrix.zoom=200-240,180-240'")
    until(page, "studio.matrix.picture[0] === false")
    cells = inspect(page, "matrix.cells(0)")
    shown = np.array(cells["values"], dtype=float).reshape(cells["rows"], cells["columns"])
    for n in (0, 17, 39):
        wanted = {key - 180: weight for key, weight in kept(layer_of(), 1, 200 + n).items() if 180 <= key < 240}
        assert {int(key): shown[n, key] for key in np.flatnonzero(~np.isnan(shown[n]))} == pytest.approx(wanted, abs=1e-6)
    assert "not stored" in text(page, ".matrix-legend")


@pytest.mark.parametrize("zoom", ["9-2,0-3", "0-999,0-3", "x", "0-0,0-0"])
def test_a_zoom_that_does_not_fit_is_the_whole(page: Page, show: Show, zoom: str) -> None:
    show(page, embedded("decoder"), f"#view=matrix&layer=1&heads=0&matrix.zoom={zoom}")
    ready(page, matrix="200/0/self/1")
    assert inspect(page, "matrix.region") == {"top": 0, "bottom": 13, "left": 0, "right": 13}
