"""Two steps, inputs or runs beside each other: what is drawn is B − A, of tokens that both have, and what cannot be compared is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.browser.pages import GOLDEN, embedded, uniform, until, written
from tests.browser.test_embedded import inspect, ready, text

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

Show = Callable[..., None]
Pages = Callable[..., "Page"]


def compared(page: Page) -> None:
    """Wait until the head view draws a difference."""
    page.wait_for_selector('[data-view="head"][data-ready]')
    until(page, "studio.head.signed")


def weights(run: str, step: int, input: int = 0, layer: int = 1, kind: str = "self") -> Any:
    import attnlog

    return attnlog.open(GOLDEN / run).read(step=step, input=input).weights(kind, layer)


def test_the_difference_of_two_steps_is_that_of_python(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#layer=1&step=0&compare=step:200&side=diff")
    compared(page)
    wanted = weights("decoder", 200) - weights("decoder", 0)
    for head in range(len(wanted)):
        assert inspect(page, f"head.weights({head})") == pytest.approx(wanted[head].ravel(), abs=1e-6)


def test_a_and_b_are_each_drawn_as_if_opened(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#layer=1&step=0&compare=step:200&side=a")
    ready(page, head="0/0/self/1", model="0/0/self/-", neuron="0/0/self/1")
    assert inspect(page, "head.weights(2)") == pytest.approx(weights("decoder", 0)[2].ravel(), abs=1e-6)
    page.click('[data-side="b"]')
    ready(page, head="200/0/self/1", model="200/0/self/-", neuron="200/0/self/1")
    assert inspect(page, "head.weights(2)") == pytest.approx(weights("decoder", 200)[2].ravel(), abs=1e-6)


def test_swapping_turns_the_sign(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#layer=1&step=0&compare=step:200")
    compared(page)
    before = np.array(inspect(page, "head.weights(0)"))
    page.click('[aria-label="swap A and B"]')
    ready(page, head="200/0/self/1")
    compared(page)
    assert inspect(page, "head.weights(0)") == pytest.approx(-before, abs=1e-6)
    assert "step=200" in page.evaluate("location.hash")
    assert "compare=step%3A0" in page.evaluate("location.hash")


def two_texts(directory: Path) -> Path:
    """A run of two inputs that share some of their tokens."""
    from dataclasses import replace

    first, second = uniform(["he", "runs", "far", "away"]), uniform(["she", "runs", "away"])
    layers = [*first.layers, *(replace(one, input=1) for one in second.layers)]
    return written(directory, [replace(first, inputs=(*first.inputs, *second.inputs), layers=tuple(layers))])


def test_tokens_of_two_inputs_are_aligned_and_the_others_said(page: Page, show: Show, tmp_path: Path) -> None:
    show(page, embedded(two_texts(tmp_path / "texts")), "#compare=input:1")
    compared(page)
    assert inspect(page, "head.items.query") == ["he", "she", "runs", "far", "away"]
    assert inspect(page, "head.alone") == {"query": [0, 1, 3], "key": [0, 1, 3]}
    found = np.array(inspect(page, "head.weights(0)"), dtype=float).reshape(5, 5)
    both = np.ix_([2, 4], [2, 4])
    assert found[both] == pytest.approx(np.full((2, 2), 1 / 3 - 1 / 4), abs=3e-3)
    assert np.isnan(np.delete(found, [2, 4], axis=0)).all()
    said = text(page, '[data-view="head"] .foot-note')
    assert "3 query and 3 key tokens are in one of both only" in said
    assert page.locator(".tokens-left .is-alone").all_inner_texts()[0].split() == ["he", "only", "A"]


def test_another_run_is_read_from_the_server(tmp_path: Path, page: Page) -> None:
    from tests.e2e.conftest import served

    for name in ("a", "b"):
        shutil.copytree(GOLDEN / "decoder", tmp_path / name)
    with served(tmp_path) as url:
        page.goto(f"{url}#layer=1&step=100")
        page.wait_for_selector('[data-view="head"][data-ready="100/0/self/1"]')
        page.select_option('[aria-label="compare with another"]', "run")
        compared(page)
        assert np.abs(np.array(inspect(page, "head.weights(0)"))).max() == 0
        page.select_option('[aria-label="step compared with"]', "200")
        until(page, "location.hash.includes('step%3A200')")
        compared(page)
        wanted = weights("decoder", 200) - weights("decoder", 100)
        page.wait_for_function(
            "AttnlogStudio.inspect(document.querySelector('[data-attnlog-state]')).head.weights(0).some((one) => one !== 0)"
        )
        assert inspect(page, "head.weights(0)") == pytest.approx(wanted[0].ravel(), abs=1e-6)
        # The page may still be reading ahead: it goes before the server does.
        page.goto("about:blank")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("compare=step:7", "Step 7 was not recorded in run decoder. Choose another step"),
        ("compare=input:9", "Input 9 was not recorded at step 200"),
        ("compare=run:elsewhere", 'There is no run "elsewhere" here'),
    ],
)
def test_what_is_not_there_is_said_and_a_stays_on_screen(page: Page, show: Show, address: str, said: str) -> None:
    show(page, embedded("decoder"), f"#layer=1&{address}")
    ready(page, head="200/0/self/1")
    page.wait_for_function("document.querySelector('.compare-error').textContent !== ''")
    assert said in text(page, ".compare-error")
    assert inspect(page, "head.signed") is False


@pytest.mark.parametrize("address", ["compare=x:1", "compare=step:-1", "compare=step:1;y:2", "side=c", "compare="])
def test_a_bad_comparison_in_an_address_is_none(page: Page, show: Show, address: str) -> None:
    show(page, embedded("decoder"), f"#{address}")
    ready(page, head="200/0/self/0")
    assert page.locator('[aria-label="compare with another"]').input_value() == "off"


def test_pointing_in_a_comparison_shows_signed_numbers(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#layer=1&heads=1&step=0&compare=step:200")
    compared(page)
    page.hover('.tokens-left .tok[data-row="5"]')
    row = (weights("decoder", 200) - weights("decoder", 0))[1][5]
    for shown in page.locator(".tokens-right .tok.has-value").all():
        value = shown.locator(".val").inner_text()
        wanted = row[int(shown.get_attribute("data-position") or 0)]
        assert value[0] == ("+" if wanted > 0 else "−")
        if "<" not in value:
            assert float(value.replace("−", "-")) == pytest.approx(wanted, abs=6e-3)


def test_heads_are_ranked_by_how_far_they_moved(page: Page, show: Show) -> None:
    import attnlog

    show(page, embedded("decoder"), "#view=model&step=0&compare=step:200&model.sort=drift")
    ready(page, model="0/0/self/-")
    wanted = {layer: attnlog.drift(weights("decoder", 0, layer=layer), weights("decoder", 200, layer=layer)) for layer in (0, 1)}
    heads = inspect(page, "model.heads")
    ranked = sorted((float(one) for values in wanted.values() for one in values), reverse=True)
    assert [one["value"] for one in heads] == pytest.approx(ranked, abs=1e-4)
    for one in heads:
        assert one["value"] == pytest.approx(float(wanted[one["layer"]][one["head"]]), abs=1e-4)
    assert "Heads that moved most" in text(page, '[data-view="model"]')


def test_thumbnails_of_a_comparison_are_the_differences(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=model&step=0&compare=step:200")
    ready(page, model="0/0/self/-")
    most = max(np.abs(weights("decoder", 200, layer=n) - weights("decoder", 0, layer=n)).max() for n in (0, 1))
    for layer in (0, 1):
        wanted = weights("decoder", 200, layer=layer) - weights("decoder", 0, layer=layer)
        for head in range(4):
            picture = inspect(page, f"model.picture({layer}, {head})")
            assert picture["signed"] is True
            assert picture["values"] == pytest.approx(wanted[head].ravel() / most, abs=1e-5)


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("section", ["saliency", "predictions", "states", "values"])
def test_views_without_a_difference_say_which_side_they_show(new_page: Pages, show: Show, section: str, width: int) -> None:
    page = new_page(width=width)
    for view, note in (("neuron", ".foot-note"), ("tokens", ".section-note")):
        place = f'[data-view="{view}"]'
        show(page, embedded("beside"), f"#view={view}&layer=1&step=0&compare=step:200&side=diff&tokens.show={section}")
        ready(page, **{view: "0/0/self/1"})
        page.locator(f"{place} {note}:visible").first.wait_for()
        assert "Shown is A, step 0." in page.locator(f"{place} {note}:visible").first.inner_text()
        page.click('[data-side="b"]')
        ready(page, **{view: "200/0/self/1"})
        assert "Shown is" not in text(page, place)
        page.goto("about:blank")
