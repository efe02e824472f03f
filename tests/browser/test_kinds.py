"""Runs of other things than text: towers, latents, windows, patches with labels, and runs without any attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attnlog.capture.tensors import from_tensors
from attnlog.outputs import STATISTICS, Prediction, States
from attnlog.record import Axis, Capture, Input
from tests.browser.pages import embedded, written

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZES = {"self": 5, "vision": 16, "vision-2": 4, "latents": 3, "self-window": 4}
KINDS = {"latents>vision": 2, "vision-2": 1, "self-window": 1, "self": 2, "vision": 3, "self>vision": 1, "latents": 1}
LISTED = ["self", "self window", "vision", "vision 2", "latents", "self → vision", "latents → vision"]
DRAWN = "[...document.querySelectorAll('[data-view]')].filter(one => !one.hidden).every(one => one.dataset.ready)"


def weights(rng: np.random.Generator, queries: int, keys: int) -> np.ndarray:
    powers = np.exp(2 * rng.normal(size=(4, queries, keys)))
    return (powers / powers.sum(-1, keepdims=True)).astype("f4")


def axes() -> dict[str, Axis]:
    """Words for `self`; patches and positions, with labels that say which, for the others."""
    made = {"self": Axis(tokens=tuple(f"word{n}" for n in range(SIZES["self"])), text="five words are in here")}
    for name in ("vision", "vision-2"):
        width = int(SIZES[name] ** 0.5)
        places = [divmod(n, width) for n in range(SIZES[name])]
        made[name] = Axis(tokens=tuple(f"r{r}c{c}" for r, c in places), labels=tuple(f"row {r}, column {c}" for r, c in places))
    for name in ("latents", "self-window"):
        made[name] = Axis(tokens=tuple(map(str, range(SIZES[name]))), labels=tuple(f"position {n}" for n in range(SIZES[name])))
    return made


def many() -> Capture:
    """One input with seven kinds of attention; the windows are four calls of one layer."""
    rng = np.random.default_rng(0)
    plain = from_tensors([weights(rng, 2, 2)], ["a", "b"]).layers[0]
    layers = []
    for kind, depth in KINDS.items():
        query, _, key = kind.partition(">")
        shape = SIZES[query], SIZES[key or query]
        for layer in range(depth):
            for call in range(4 if kind == "self-window" else 1):
                layers.append(replace(plain, kind=kind, layer=layer, call=call, shape=shape, weights=weights(rng, *shape)))
    return Capture((Input(axes()),), tuple(layers))


def beside() -> Capture:
    """Statistics of hidden states and predictions, of a model that has no attention."""
    values = {name: np.full(5, 0.5, dtype="f4") for name in STATISTICS}
    states = tuple(States(input=0, axis="self", layer=layer, width=8, statistics=values) for layer in range(2))
    shape = {"ids": np.array([[1, 2]], dtype="i4"), "probabilities": np.array([[0.7, 0.2]], dtype="f4"), "labels": (("good", "bad"),)}
    said: Any = Prediction(input=0, axis="self", task="class", tokens=5, **shape)
    return Capture((Input({"self": axes()["self"]}),), (), hidden_states=states, outputs=(said,))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of many kinds."""
    return written(tmp_path_factory.mktemp("kinds") / "many", [many(), many()])


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_kinds_are_listed_as_they_are_read_and_each_is_drawn(
    run: Path, new_page: Callable[..., Page], show: Callable[..., None], width: int, theme: str
) -> None:
    page = new_page(width, color_scheme=theme)
    show(page, embedded(run))
    choice = page.get_by_label("kind of attention")
    assert choice.locator("option").all_inner_texts() == LISTED
    for name, kind in zip(LISTED, ["self", "self-window", "vision", "vision-2", "latents", "self>vision", "latents>vision"], strict=True):
        choice.select_option(label=name)
        page.wait_for_selector(f'[data-view="head"][data-ready="100/0/{kind}/0"]')
        query, _, key = kind.partition(">")
        head = page.locator('[data-view="head"]')
        assert head.locator(".tokens-left .tok").count() == SIZES[query]
        assert head.locator(".tokens-right .tok").count() == SIZES[key or query]
        assert ("computed attention 4 times in one forward; the first is shown" in head.inner_text()) == (kind == "self-window")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("location.hash").find(f"kind={kind.replace('>', '%3E')}") > 0


def test_an_address_opens_a_kind_that_looks_elsewhere(run: Path, page: Page, show: Callable[..., None]) -> None:
    show(page, embedded(run), "#view=head&kind=latents%3Evision&layer=1")
    page.wait_for_selector('[data-view="head"][data-ready="100/0/latents>vision/1"]')
    assert "latents → vision" in page.locator('[data-view="head"] .view-title').inner_text()
    assert page.get_by_role("tab", name="latents → vision", exact=True).get_attribute("aria-selected") == "true"


def test_labels_are_names_and_titles_of_tokens_that_stay_short(run: Path, page: Page, show: Callable[..., None]) -> None:
    show(page, embedded(run), "#kind=vision")
    page.wait_for_selector('[data-view="head"][data-ready="100/0/vision/0"]')
    token = page.get_by_role("listbox", name="query tokens").get_by_role("option", name="row 1, column 2")
    assert token.inner_text().strip() == "r1c2"
    assert (token.get_attribute("title") or "").splitlines() == ["row 1, column 2", "r1c2", "position 6"]
    page.get_by_text("Strongest weights").click()
    cell = page.locator(".top-weights tbody td:nth-child(2)").first
    assert (cell.get_attribute("title") or "").startswith("row ")
    assert cell.inner_text().startswith("r")
    # Words have no label: their text is their name.
    page.get_by_label("kind of attention").select_option("self")
    page.wait_for_selector('[data-view="head"][data-ready="100/0/self/0"]')
    words = page.get_by_role("listbox", name="query tokens")
    assert words.get_by_role("option", name="word3").get_attribute("title") == "word3\nposition 3"


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_run_without_attention_says_what_it_holds(
    tmp_path: Path, new_page: Callable[..., Page], show: Callable[..., None], width: int, steps: int
) -> None:
    run = written(tmp_path / "beside", [beside()] * steps)
    page = new_page(width)
    for view in ("model", "head", "neuron", "timeline"):
        show(page, embedded(run), f"#view={view}")
        page.wait_for_function(DRAWN)
        said = page.locator(f'[data-view="{view}"]').inner_text()
        if view != "timeline":
            assert f"No attention was recorded at step {100 * (steps - 1)}, so there are no heads to show." in said
            assert "statistics of hidden states; predictions, losses or saliency" in said
        elif steps == 2:
            assert "no metrics of heads to follow" in said
    assert not page.get_by_label("kind of attention").is_visible()
    assert "five words" in page.get_by_label("input", exact=True).inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1280, 400])
def test_patches_and_windows_of_real_models(tmp_path: Path, new_page: Callable[..., Page], show: Callable[..., None], width: int) -> None:
    import torch
    import transformers as t

    import attnlog

    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    pixels = {"pixel_values": torch.randn(1, 3, 32, 32)}
    patches: Any = t.ViTModel(t.ViTConfig(**small, image_size=32, patch_size=8)).eval()
    windows: Any = t.Swinv2Model(
        t.Swinv2Config(image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)
    ).eval()
    page = new_page(width)
    show(page, embedded(written(tmp_path / "vit", [attnlog.capture(patches, pixels)])))
    page.wait_for_selector('[data-view="head"][data-ready="0/0/vision/0"]')
    assert page.get_by_role("listbox", name="key tokens").get_by_role("option").all_inner_texts()[:2] == ["[CLS]", "r0c0"]
    assert page.get_by_label("input", exact=True).inner_text() == "0: vision, 17 positions"
    show(page, embedded(written(tmp_path / "swin", [attnlog.capture(windows, pixels)])), "#view=neuron&kind=vision&layer=0")
    page.wait_for_selector('[data-view="neuron"][data-ready="0/0/vision/0"]')
    # The last patch sees its own window, far down among 256 keys: what is in sight takes part.
    page.wait_for_selector(".neuron-scroll .neuron-row:not(.is-masked)")
    top = page.locator(".neuron-scroll").bounding_box()
    row = page.locator(".neuron-scroll .neuron-row:not(.is-masked)").first.bounding_box()
    assert top is not None
    assert row is not None
    assert top["y"] <= row["y"] < top["y"] + top["height"]
