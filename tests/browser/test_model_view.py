"""The model view: heads in their order or ranked, those below a threshold dimmed, several chosen, and pictures of sentence pairs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.browser.pages import GOLDEN, embedded, expected, uniform, written
from tests.browser.test_embedded import inspect, ready, text

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

Show = Callable[..., None]


def ranked(run: str, step: str, metric: str) -> list[tuple[int, int, float]]:
    """Heads of a step as they have to be ranked."""
    found = [
        (layer["layer"], head, value)
        for layer in expected(run)["steps"][step]["layers"]
        for head, value in zip(layer["heads"], layer["metrics"][metric], strict=True)
    ]
    return sorted(found, key=lambda one: -one[2])


def cell(page: Page, row: int, column: int) -> tuple[float, float]:
    """The middle of a thumbnail in the grid of the decoder's 2 × 4 heads."""
    box = page.locator(".grid canvas").first.bounding_box()
    assert box is not None
    return box["x"] + (column + 0.5) * box["width"] / 4, box["y"] + (row + 0.5) * box["height"] / 2


def test_heads_are_ranked_by_a_metric_with_their_values(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, model="200/0/self/-")
    assert [(one["layer"], one["head"]) for one in inspect(page, "model.heads")] == [(n, k) for n in range(2) for k in range(4)]
    page.select_option('[aria-label="order of the heads"]', "entropy")
    ready(page, model="200/0/self/-")
    wanted = ranked("decoder", "200", "entropy")
    assert [(one["layer"], one["head"]) for one in inspect(page, "model.heads")] == [one[:2] for one in wanted]
    assert [one["value"] for one in inspect(page, "model.heads")] == pytest.approx([one[2] for one in wanted], rel=1e-5)
    labels = page.locator(".grid-labels span").all_inner_texts()
    assert labels == [said for layer, head, value in wanted for said in (f"{layer}.{head}", f"{value:.2f}")]
    assert "model.sort=entropy" in page.evaluate("location.hash")
    page.select_option('[aria-label="order of the heads"]', "layer")
    assert "model.sort" not in page.evaluate("location.hash")


@pytest.mark.parametrize("address", ["#model.sort=beauty&model.least=9", "#model.sort=__proto__&model.style=oil", "#model.least=-3"])
def test_an_order_that_is_none_falls_back(page: Page, show: Show, address: str) -> None:
    show(page, embedded("decoder"), address)
    ready(page, model="200/0/self/-")
    assert inspect(page, "model.sort") is None
    assert inspect(page, "model.kept") == 8


def test_a_threshold_dims_the_others_and_says_how_many_stay(page: Page, show: Show) -> None:
    wanted = ranked("decoder", "200", "entropy")
    least = (wanted[2][2] + wanted[3][2]) / 2
    show(page, embedded("decoder"), f"#model.sort=entropy&model.least={least:.3f}")
    ready(page, model="200/0/self/-")
    assert inspect(page, "model.kept") == 3
    assert text(page, '[data-view="model"] .view-controls [role="status"]') == "3 of 8 heads stay"
    veiled = """() => {
      const veil = document.querySelector('.grid-veil'), copy = document.createElement('canvas');
      copy.width = veil.width; copy.height = veil.height;
      const context = copy.getContext('2d', {willReadFrequently: true});
      context.drawImage(veil, 0, 0);
      const data = context.getImageData(0, 0, veil.width, veil.height).data;
      return data.filter((_, i) => i % 4 === 3 && data[i] > 0).length / (veil.width * veil.height);
    }"""
    assert 0.3 < page.evaluate(veiled) < 0.63  # five of eight, less the gaps and the labels
    slider = page.locator('[data-view="model"] input[type="range"]')
    slider.focus()
    page.keyboard.press("Home")
    assert inspect(page, "model.kept") == 8
    assert text(page, '[data-view="model"] .view-controls [role="status"]') == "all 8 heads"
    assert page.evaluate(veiled) == 0
    page.keyboard.press("End")
    assert inspect(page, "model.kept") == 1


def test_several_heads_of_a_layer_are_chosen(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=model&step=0")
    ready(page, model="0/0/self/-")
    page.keyboard.down("Shift")
    page.mouse.click(*cell(page, 1, 3))
    assert inspect(page, "state.heads") == [3]
    page.mouse.click(*cell(page, 1, 1))
    page.keyboard.up("Shift")
    assert [inspect(page, "state.layer"), inspect(page, "state.heads")] == [1, [1, 3]]
    assert inspect(page, "state.view") == "model", "choosing opens nothing"
    ready(page, head="0/0/self/1")
    assert inspect(page, "head.heads") == [1, 3]
    assert page.locator(".cell-chosen").count() == 2
    page.keyboard.down("Control")
    page.mouse.click(*cell(page, 1, 3))
    page.keyboard.up("Control")
    assert inspect(page, "state.heads") == [1]
    page.mouse.click(*cell(page, 0, 2))
    ready(page, head="0/0/self/0")
    assert [inspect(page, "state.view"), inspect(page, "head.heads")] == ["head", [2]]


def test_the_grid_is_walked_and_chosen_from_by_keys(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=model&layer=1&heads=0")
    ready(page, model="200/0/self/-")
    grid = page.locator(".grid")
    grid.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    active = page.locator(f"#{grid.get_attribute('aria-activedescendant')}")
    assert active.get_attribute("aria-label") == "layer 1, head 2"
    assert [active.get_attribute("role"), active.get_attribute("aria-selected")] == ["gridcell", "false"]
    page.keyboard.press(" ")
    assert inspect(page, "state.heads") == [0, 2]
    assert active.get_attribute("aria-selected") == "true"
    assert inspect(page, "state.view") == "model"
    page.keyboard.press("Enter")
    ready(page, head="200/0/self/1")
    assert inspect(page, "head.heads") == [2]


def test_pointing_at_a_head_tells_all_its_metrics(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, model="200/0/self/-")
    page.mouse.move(*cell(page, 1, 2))
    layer = expected("decoder")["steps"]["200"]["layers"][1]
    defined = [name for name, values in layer["metrics"].items() if values[2] is not None]
    for place in ('[data-view="model"] .hint', '[data-view="model"] [aria-live="polite"]'):
        said = text(page, place)
        assert said.startswith("Layer 1, head 2")
        assert all(name in said for name in defined)
        assert f"{layer['metrics']['entropy'][2]:.2f} bits" in said
    page.mouse.move(2, 2)
    assert page.locator('[data-view="model"] .hint').is_hidden()


def test_the_pair_filter_cuts_pictures_to_its_tokens(page: Page, show: Show) -> None:
    show(page, embedded("pair"), "#pair=ab&model.style=heat")
    ready(page, model="0/0/self/-")
    layer = expected("pair")["steps"]["0"]["layers"][0]
    tokens = layer["shape"][0]
    weights = np.array(layer["weights"]).reshape(-1, tokens, tokens)
    for head in layer["heads"]:
        picture = inspect(page, f"model.picture(0, {head})")
        assert [picture["rows"], picture["columns"]] == [7, tokens - 7]
        drawn = (np.array(picture["codes"]).reshape(7, tokens - 7) / 255) ** 2
        assert drawn == pytest.approx(weights[head][:7, 7:], abs=5e-3)
    assert text(page, '[data-view="model"] .foot-note') == ""
    page.evaluate("location.hash = '#pair=all'")
    page.wait_for_function(f"AttnlogStudio.inspect(document.querySelector('#attnlog')).model.picture(0, 0).rows === {tokens}")


def paired(tokens: int, border: int) -> Any:
    """A capture of a pair whose first text has `border` tokens."""
    from dataclasses import replace

    made = uniform([f"t{n}" for n in range(tokens)])
    axis = replace(made.inputs[0].axes["self"], segments=tuple(int(n >= border) for n in range(tokens)))
    return replace(made, inputs=(replace(made.inputs[0], axes={"self": axis}),))


@pytest.mark.parametrize(("border", "rows", "mixed"), [(20, 10, False), (21, 11, True)])
def test_cells_of_both_texts_are_kept_and_said(page: Page, show: Show, tmp_path: Path, border: int, rows: int, mixed: bool) -> None:
    show(page, embedded(written(tmp_path / "long", [paired(64, border)])), "#pair=ab")
    ready(page, model="0/0/self/-")
    picture = inspect(page, "model.picture(0, 0)")
    assert [picture["rows"], picture["columns"]] == [rows, 32 - border // 2]
    assert ("hold tokens of both" in text(page, '[data-view="model"] .foot-note')) == mixed


def test_kinds_are_tabs(page: Page, show: Show) -> None:
    show(page, embedded("sequence"), "#view=model")
    ready(page, model="0/0/encoder/-")
    tabs = page.locator('[data-view="model"] [role="tab"]')
    assert tabs.all_inner_texts() == ["encoder", "decoder", "cross"]
    panel = page.locator(f"#{tabs.first.get_attribute('aria-controls')}")
    assert panel.get_attribute("role") == "tabpanel"
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    ready(page, model="0/0/decoder/-")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    ready(page, model="0/0/cross/-")
    assert tabs.evaluate_all("all => all.map((one) => [one.ariaSelected, one.tabIndex])") == [["false", -1], ["false", -1], ["true", 0]]
    assert panel.get_attribute("aria-labelledby") == tabs.nth(2).get_attribute("id")


def test_a_metric_that_a_kind_has_not_is_not_offered(page: Page, show: Show) -> None:
    show(page, embedded("sequence"), "#kind=cross&model.sort=previous")
    ready(page, model="0/0/cross/-")
    assert inspect(page, "model.sort") is None
    offered = page.locator('[aria-label="order of the heads"] option').evaluate_all("all => all.map((one) => one.value)")
    layers = [one for one in expected("sequence")["steps"]["0"]["layers"] if one["kind"] == "cross"]
    assert offered[1:] == [name for name, values in layers[0]["metrics"].items() if values[0] is not None]


ADDRESSES = ["", "#model.sort=entropy&model.least=0.5", "#model.sort=first"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_on_screen_can_be_taken_away(page: Page, show: Show, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    show(page, embedded("decoder"), address)
    ready(page, model="200/0/self/-")
    taken = inspect(page, "model.taken()")
    heads = [(one["layer"], one["head"]) for one in inspect(page, "model.heads")]
    assert [tuple(row[:2]) for row in taken["rows"]] == heads
    column = taken["columns"].index("entropy")
    values = {one[:2]: one[2] for one in ranked("decoder", "200", "entropy")}
    assert [row[column] for row in taken["rows"]] == pytest.approx([values[place] for place in heads], rel=1e-5)
    picture = ET.fromstring(taken["svg"])
    assert not [one for one in picture.iter() if one.tag.endswith("style") or "class" in one.attrib or "var(" in str(one.attrib)]
    assert len([one for one in picture.iter() if one.tag.endswith("}image")]) == 1
    monkeypatch.chdir(GOLDEN)  # the snippet opens the run by its name
    names: dict[str, Any] = {}
    exec(taken["python"], names)
    rows = names["heads"].to_pylist()
    assert [(row["layer"], row["head"]) for row in rows] == heads
    assert names["weights"][1].shape == (4, *expected("decoder")["steps"]["200"]["layers"][1]["shape"])
    if "least" in address:
        assert len(names["strong"]) == inspect(page, "model.kept")


def test_python_of_a_pair_gives_the_weights_between_its_texts(page: Page, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    show(page, embedded("pair"), "#pair=ba")
    ready(page, model="0/0/self/-")
    monkeypatch.chdir(GOLDEN)
    names: dict[str, Any] = {}
    exec(inspect(page, "model.taken().python"), names)
    layer = expected("pair")["steps"]["0"]["layers"][0]
    weights = np.array(layer["weights"]).reshape(-1, *layer["shape"])
    assert names["weights"][0] == pytest.approx(weights[:, 7:, :7], abs=1e-3)


def test_nothing_can_be_taken_of_pictures_that_are_not_there(page: Page, show: Show) -> None:
    show(page, embedded("decoder", change=lambda path, data: None if path.endswith("-2/pictures.arrow") else data, left_out="left out"))
    ready(page, model="200/0/self/-")
    assert "The pictures of step 200 are not in this file." in text(page, '[data-view="model"]')
    assert inspect(page, "model.taken()") is None
    assert inspect(page, "model.picture(0, 0)") is None
