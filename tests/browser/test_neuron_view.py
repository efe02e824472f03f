"""The neuron view: orders, values, key groups and two inputs, against what the Python reader gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import attnlog
from tests.browser.pages import embedded, uniform, written
from tests.browser.test_embedded import inspect, ready, text
from tests.conftest import build

if TYPE_CHECKING:
    from playwright.sync_api import Page

Show = Callable[..., None]
Pages = Callable[..., "Page"]
TEXTS = ["the cat sat on the mat and the cat saw the dog", "the nurse said that he was tired of the cat"]
VIEW = '[data-view="neuron"]'
EVERYTHING = ("attention", "vectors", "values", "states", "saliency", "predictions")


def recorded(directory: Path, name: str, tokenizer: Any, record: tuple[str, ...] = EVERYTHING) -> Path:
    capture = attnlog.capture(build(name), TEXTS, tokenizer=tokenizer, record=record)
    return written(directory / name, [capture], precision="f32")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory, plain_tokenizer: Any) -> Path:
    """Every head with keys of its own."""
    return recorded(tmp_path_factory.mktemp("runs"), "gpt2", plain_tokenizer)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory, plain_tokenizer: Any) -> Path:
    """A Llama whose four query heads read two key groups."""
    return recorded(tmp_path_factory.mktemp("runs"), "llama", plain_tokenizer)


def near(values: np.ndarray, within: float = 1e-5) -> Any:
    return pytest.approx(np.asarray(values, dtype="f8").reshape(-1).tolist(), abs=within, rel=within)


def test_keys_stand_by_weight_and_masked_ones_last(page: Page, show: Show, gpt2: Path) -> None:
    weights = attnlog.open(gpt2).read().weights("self", 1)[2, 6]
    show(page, embedded(gpt2), "#layer=1&heads=2&query=6")
    ready(page, neuron="0/0/self/1")
    count = len(TEXTS[0].split())
    assert inspect(page, "neuron.rows") == list(range(count))
    page.click(f'{VIEW} button:has-text("sort keys")')
    rows = inspect(page, "neuron.rows")
    assert rows[:7] == np.argsort(-weights[:7], kind="stable").tolist()
    assert rows[7:] == list(range(7, count))
    assert "neuron.keys=weight" in page.evaluate("location.hash")
    shown = page.locator(f"{VIEW} .neuron-list .neuron-row").evaluate_all("rows => rows.map(one => Number(one.dataset.key))")
    assert shown == rows
    page.click(f'{VIEW} button:has-text("sort keys")')
    assert "neuron.keys" not in page.evaluate("location.hash")


def test_neurons_stand_by_what_they_add_to_the_strongest_key(page: Page, show: Show, gpt2: Path) -> None:
    step = attnlog.open(gpt2).read()
    q, k = step.vectors("q", "self", 0)[1, 9], step.vectors("k", "self", 0)[1]
    strongest = int(step.weights("self", 0)[1, 9].argmax())
    show(page, embedded(gpt2), "#heads=1&query=9&neuron.sort=contribution")
    ready(page, neuron="0/0/self/0")
    assert inspect(page, "neuron.strongest") == strongest
    assert inspect(page, "neuron.neurons") == np.argsort(-(q * k[strongest]), kind="stable").tolist()
    assert inspect(page, "neuron.qk") == near(k @ q * step.find("self", 0, what="vectors").vectors.scale)


def test_values_times_weights_and_their_sum(page: Page, show: Show, grouped: Path) -> None:
    step = attnlog.open(grouped).read()
    weights, values = step.weights("self", 1)[3, 5], step.vectors("v", "self", 1)[1]
    show(page, embedded(grouped), "#layer=1&heads=3&query=5")
    ready(page, neuron="0/0/self/1")
    assert inspect(page, "neuron.mixed.products") == near(weights[:, None] * values)
    assert inspect(page, "neuron.mixed.sum") == near(weights @ values)
    assert inspect(page, "neuron.mixed.known") is True
    heads = f"{VIEW} .neuron-heads span"
    assert "v" not in page.locator(heads).all_inner_texts()
    page.click(f'{VIEW} button:has-text("values")')
    assert page.locator(heads).all_inner_texts() == ["key", "q·k", "softmax", "v", "weight × v"]
    page.click('[data-open-view="neuron"]')
    assert page.locator(heads).all_inner_texts() == ["key", "k", "q × k", "q·k", "softmax", "v", "weight × v"]


def test_values_that_were_not_recorded_are_said_to_be_missing(page: Page, show: Show, tmp_path: Path, plain_tokenizer: Any) -> None:
    show(page, embedded(recorded(tmp_path, "gpt2", plain_tokenizer, ("attention", "vectors"))), "#neuron.values=on")
    ready(page, neuron="0/0/self/0")
    switch = page.locator(f'{VIEW} button:has-text("values")')
    assert switch.is_disabled()
    assert '"values"' in (switch.get_attribute("title") or "")
    assert inspect(page, "neuron.mixed") is None
    assert page.locator(f"{VIEW} .neuron-heads span").all_inner_texts() == ["key", "k", "q × k", "q·k", "softmax"]


def test_heads_that_share_keys_are_told_and_can_be_picked(page: Page, show: Show, grouped: Path) -> None:
    show(page, embedded(grouped), "#heads=0,2,3")
    ready(page, neuron="0/0/self/0")
    assert inspect(page, "neuron.shared") == [0, 1]
    assert "Query head 0 reads key group 0, and so does head 1" in text(page, VIEW)
    page.locator(VIEW).get_by_label("head of the neuron view").select_option("3")
    assert inspect(page, "neuron.head") == 3
    assert inspect(page, "neuron.shared") == [2, 3]
    page.click(f'{VIEW} .group-chip[aria-label="head 2"]')
    assert inspect(page, "neuron.head") == 2
    assert "neuron.head=2" in page.evaluate("location.hash")


def test_two_inputs_stand_beside_each_other_each_with_its_query(page: Page, show: Show, grouped: Path) -> None:
    saved = attnlog.open(grouped)
    show(page, embedded(grouped), "#heads=1&query=4&neuron.beside=1")
    ready(page, neuron="0/0/self/0")
    assert page.locator(f"{VIEW} .neuron-table:visible").count() == 2
    assert inspect(page, "neuron.input") == 0
    assert inspect(page, "neuron.beside.input") == 1
    assert inspect(page, "neuron.beside.query") == len(TEXTS[1].split()) - 1
    page.get_by_label("query token of the input beside").fill("3")
    page.get_by_label("query token of the input beside").press("Enter")
    assert inspect(page, "neuron.query") == 4
    for number, query, path in ((0, 4, "neuron"), (1, 3, "neuron.beside")):
        wanted = saved.read(input=number).weights("self", 0)[1, query]
        assert inspect(page, f"{path}.query") == query
        assert inspect(page, f"{path}.softmax") == near(wanted, 2e-3)
    assert "neuron.token=3" in page.evaluate("location.hash")
    page.locator(f"{VIEW} .view-controls").get_by_label("another input beside this one").select_option("")
    assert inspect(page, "neuron.beside") is None
    assert page.locator(f"{VIEW} .neuron-table:visible").count() == 1


def test_pointing_tells_the_numbers_of_every_strip(page: Page, show: Show, gpt2: Path) -> None:
    step = attnlog.open(gpt2).read()
    show(page, embedded(gpt2), "#heads=0&query=8")
    page.click('[data-open-view="neuron"]')
    ready(page, neuron="0/0/self/0")
    width = 8
    told = page.locator(f"{VIEW} .neuron-told")
    row = page.locator(f'{VIEW} .neuron-row[data-key="2"]').bounding_box()
    query = page.locator(f"{VIEW} .neuron-query").bounding_box()
    strips = page.locator(f"{VIEW} .neuron-heads .is-strip").all()
    assert row
    assert query
    assert len(strips) == 4
    wanted = {
        "k": step.vectors("k", "self", 0)[0, 2, 5],
        "q": step.vectors("q", "self", 0)[0, 8, 5],
        "v": step.vectors("v", "self", 0)[0, 2, 5],
    }
    for number, strip in enumerate(strips):
        box = strip.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] * 5.5 / width, row["y"] + row["height"] / 2)
        said = told.inner_text()
        assert said.startswith("sat (2), neuron 5")
        for name in ("q", "k") if number < 2 else ("v",):
            assert f"{name} {wanted[name]:#.3g}".replace("-", "−") in said
    box = strips[0].bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 5.5 / width, query["y"] + query["height"] / 2)
    assert told.inner_text() == f"q, neuron 5: {wanted['q']:#.3g}".replace("-", "−")


def test_arrows_tell_the_numbers_too(page: Page, show: Show, gpt2: Path) -> None:
    step = attnlog.open(gpt2).read()
    show(page, embedded(gpt2), "#heads=0&query=8")
    ready(page, neuron="0/0/self/0")
    page.locator(f"{VIEW} .neuron-scroll").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    said = text(page, f"{VIEW} .neuron-told")
    assert said.startswith("cat (1), neuron 1: ")
    assert f"k {step.vectors('k', 'self', 0)[0, 1, 1]:#.3g}".replace("-", "−") in said
    assert inspect(page, "state.layer") == 0


def test_what_is_taken_away_is_what_is_shown(page: Page, show: Show, grouped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show(page, embedded(grouped), "#layer=1&heads=3&query=7&neuron.keys=weight")
    ready(page, neuron="0/0/self/1")
    monkeypatch.chdir(grouped.parent)
    names: dict[str, Any] = {}
    taken = inspect(page, "neuron.taken()")
    exec(taken["python"], names)
    assert inspect(page, "neuron.qk") == near(names["found"])
    assert taken["columns"] == ["key", "token", "q·k", "softmax"]
    assert len(taken["rows"]) == len(TEXTS[0].split())
    assert [row[0] for row in taken["rows"]] == inspect(page, "neuron.rows")
    assert [row[1] for row in taken["rows"]] == [TEXTS[0].split()[row[0]] for row in taken["rows"]]
    picture = taken["svg"]
    assert picture.count("<path") > 4
    assert "<image" not in picture
    assert "class=" not in picture
    assert "weight × v" in picture


def test_bias_is_shown_where_there_is_any(page: Page, show: Show, tmp_path: Path) -> None:
    ids = {"input_ids": torch.arange(4, 16)[None]}
    capture = attnlog.capture(build("bloom"), ids, record=EVERYTHING)
    show(page, embedded(written(tmp_path / "bloom", [capture], precision="f32")), "#heads=0")
    ready(page, neuron="0/0/self/0")
    assert "bias" in page.locator(f"{VIEW} .neuron-heads span").all_inner_texts()
    assert "bias is the rest" in text(page, VIEW)
    assert inspect(page, "neuron.softmax") == near(attnlog.open(tmp_path / "bloom").read().weights("self", 0)[0, -1], 1e-4)


@pytest.mark.parametrize(
    "address",
    ["#neuron.sort=xx&neuron.keys=%3Cb%3E&neuron.beside=99&neuron.token=x&neuron.head=77", "#neuron.beside=0&query=99999&neuron.values=x"],
)
def test_options_that_are_none_fall_back(page: Page, show: Show, gpt2: Path, address: str) -> None:
    show(page, embedded(gpt2), address)
    ready(page, neuron="0/0/self/0")
    assert inspect(page, "neuron.beside") is None
    assert inspect(page, "neuron.head") == 0
    assert inspect(page, "neuron.neurons") is None
    assert inspect(page, "neuron.query") == len(TEXTS[0].split()) - 1


def test_without_vectors_it_says_so(page: Page, show: Show, tmp_path: Path) -> None:
    show(page, embedded(written(tmp_path / "plain", [uniform(["a", "b"])])), "#neuron.beside=1&neuron.sort=contribution")
    ready(page, neuron="0/0/self/0")
    assert "not recorded" in text(page, VIEW)
    assert inspect(page, "neuron.taken()") is None
    assert page.locator(f"{VIEW} .view-controls button:visible").count() == 0


def test_it_fits_a_narrow_page(new_page: Pages, show: Show, grouped: Path) -> None:
    page = new_page(400, 800)
    for address in ("", "&neuron.values=on", "&neuron.beside=1&neuron.sort=contribution"):
        show(page, embedded(grouped), f"#view=neuron{address}")
        ready(page, neuron="0/0/self/0")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        widths = page.locator(f"{VIEW} .neuron-heads .is-strip:visible").evaluate_all("all => all.map(one => one.offsetWidth)")
        assert len(widths) >= 2
        assert min(widths) >= 36
