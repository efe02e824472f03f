"""Pointing at a token or a cell in one view marks it in the others that are in sight, and draws nothing anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.pages import embedded, until
from tests.browser.test_embedded import inspect, ready

if TYPE_CHECKING:
    from playwright.sync_api import Page

Show = Callable[..., None]

PLACE = "#layer=1&heads=0&query=4&tokens.show=states"


@pytest.fixture
def matrix(page: Page, show: Show) -> Page:
    """Matrix, neuron and tokens view of one head in sight."""
    return opened(page, show, "matrix")


def opened(page: Page, show: Show, view: str, more: str = "") -> Page:
    show(page, embedded("beside"), f"{PLACE}&view={view}{more}")
    ready(page, **{view: "200/0/self/1", "neuron": "200/0/self/1", "tokens": "200/0/self/1"})
    page.mouse.move(2, 2)
    return page


def over(page: Page, row: int, column: int) -> None:
    """Point at a cell of the matrix."""
    count = inspect(page, "matrix.region.bottom")
    box: Any = page.locator(".plot canvas").first.bounding_box()
    page.mouse.move(box["x"] + (column + 0.5) * box["width"] / count, box["y"] + (row + 0.5) * box["height"] / count)


def marked(page: Page) -> dict[str, list[int]]:
    """Positions that are marked in the neuron and in the tokens view."""
    found: dict[str, list[int]] = page.evaluate(
        """() => ({
          neuron: [...document.querySelectorAll('.neuron-list .is-pointed')].map(one => Number(one.dataset.key)),
          tokens: [...document.querySelectorAll('.shaded.is-pointed')].map(one => Number(one.dataset.at)),
        })"""
    )
    return found


def cross(page: Page) -> tuple[int, int, int, int]:
    """Where the matrix's mark stands, in cells: top, bottom, left, right."""
    count = inspect(page, "matrix.region.bottom")
    mark: Any = page.locator(".plot-cross").first.bounding_box()
    box: Any = page.locator(".plot canvas").first.bounding_box()
    cell = box["height"] / count
    top, left = mark["y"] - box["y"], mark["x"] - box["x"]
    return (round(top / cell), round((top + mark["height"]) / cell), round(left / cell), round((left + mark["width"]) / cell))


def test_a_cell_of_the_matrix_is_marked_as_query_and_key(matrix: Page) -> None:
    over(matrix, 3, 1)
    assert marked(matrix) == {"neuron": [1], "tokens": [1, 3]}
    assert matrix.locator(".neuron-query.is-pointed").count() == 0
    over(matrix, 4, 2)
    assert marked(matrix) == {"neuron": [2], "tokens": [2, 4]}
    assert matrix.locator(".neuron-query.is-pointed").count() == 1
    matrix.mouse.move(2, 2)
    assert marked(matrix) == {"neuron": [], "tokens": []}
    assert matrix.locator(".is-pointed").count() == 0


def test_a_row_of_the_neuron_view_is_a_cell_of_the_matrix(matrix: Page) -> None:
    matrix.hover('.neuron-row[data-key="3"] .tok')
    assert cross(matrix) == (4, 5, 3, 4)
    assert marked(matrix) == {"neuron": [], "tokens": [3, 4]}


def test_a_token_of_a_text_is_a_row_of_the_matrix(matrix: Page) -> None:
    matrix.hover('.shaded[data-at="3"]')
    assert cross(matrix) == (3, 4, 0, inspect(matrix, "matrix.region.right"))
    assert marked(matrix) == {"neuron": [], "tokens": []}


def test_a_token_of_keys_is_a_column(page: Page, show: Show) -> None:
    show(page, embedded("beside"), "#layer=1&heads=0&query=4&tokens.show=values&view=matrix")
    ready(page, matrix="200/0/self/1", neuron="200/0/self/1", tokens="200/0/self/1")
    page.hover('.shaded[data-at="3"]')
    assert cross(page) == (0, inspect(page, "matrix.region.bottom"), 3, 4)
    assert marked(page)["neuron"] == [3]


def test_the_head_view_shows_the_lines_of_what_is_pointed_at_elsewhere(page: Page, show: Show) -> None:
    opened(page, show, "head")
    lines = inspect(page, "head.lines")
    page.hover('.neuron-row[data-key="3"] .tok')
    assert inspect(page, "head.pointing") == {"side": "query", "at": 4}
    assert page.locator(".tokens-left .is-on").get_attribute("data-position") == "4"
    assert page.locator(".tokens-right .is-on").get_attribute("data-position") == "3"
    assert page.locator(".stage.is-pointing").count() == 1
    assert inspect(page, "head.lines") == lines
    page.mouse.move(2, 2)
    assert inspect(page, "head.pointing") is None
    assert page.locator(".is-on").count() == 0


def test_tokens_of_the_head_view_are_marked_in_the_others(page: Page, show: Show) -> None:
    opened(page, show, "head")
    page.hover('.tokens-right .tok[data-position="2"]')
    assert marked(page) == {"neuron": [2], "tokens": [2]}
    page.hover('.tokens-left .tok[data-position="3"]')
    assert marked(page) == {"neuron": [], "tokens": [3]}
    assert inspect(page, "head.pointing") == {"side": "query", "at": 3}


def test_going_from_one_view_to_another_leaves_one_mark(page: Page, show: Show) -> None:
    opened(page, show, "head")
    page.hover('.tokens-right .tok[data-position="2"]')
    page.hover('.neuron-row[data-key="3"] .tok')
    assert marked(page) == {"neuron": [], "tokens": [3, 4]}
    page.hover('.shaded[data-at="1"]')
    assert marked(page) == {"neuron": [], "tokens": []}
    assert inspect(page, "head.pointing") == {"side": "query", "at": 1}


def test_nothing_is_drawn_anew_for_a_mark(matrix: Page) -> None:
    matrix.evaluate(
        """() => {
          window.drawn = 0;
          for (const name of ['putImageData', 'clearRect', 'fillRect']) {
            const own = CanvasRenderingContext2D.prototype[name];
            CanvasRenderingContext2D.prototype[name] = function (...all) { window.drawn++; return own.apply(this, all); };
          }
        }"""
    )
    over(matrix, 3, 1)
    matrix.hover('.shaded[data-at="3"]')
    matrix.hover('.neuron-row[data-key="3"] .tok')
    assert matrix.evaluate("drawn") == 0


def test_keys_in_the_matrix_point_too(matrix: Page) -> None:
    matrix.focus(".plots")
    matrix.keyboard.press("ArrowDown")
    matrix.keyboard.press("ArrowDown")
    matrix.keyboard.press("ArrowRight")
    assert inspect(matrix, "matrix.cell") == {"row": 1, "column": 1}
    assert marked(matrix) == {"neuron": [1], "tokens": [1]}


def test_marks_go_when_the_shown_step_does(matrix: Page) -> None:
    over(matrix, 3, 1)
    matrix.evaluate("location.hash = 'step=100'")
    ready(matrix, matrix="100/0/self/1", neuron="100/0/self/1", tokens="100/0/self/1")
    until(matrix, "document.querySelectorAll('.is-pointed').length === 0")


@pytest.mark.parametrize("view", ["head", "matrix"])
def test_words_are_marked_by_their_first_token(page: Page, show: Show, view: str) -> None:
    opened(page, show, view, "&weights.words=1")
    page.hover('.neuron-row[data-key="3"] .tok')
    if view == "head":
        assert page.locator(".tokens-left .is-on").count() == 1
    else:
        assert page.locator(".plot-cross").first.is_visible()
