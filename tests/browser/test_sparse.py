"""Long inputs, of which only the greatest weights are stored: what is on screen is what was kept, and the rest is never told as 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.browser.pages import GOLDEN, embedded, expected, manifests, uniform, written
from tests.browser.test_embedded import inspect, ready, text

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

Show = Callable[..., None]


def kept(layer: dict[str, Any], head: int, query: int) -> dict[int, float]:
    """Weights that the golden run keeps of one row, by their keys."""
    sparse, queries = layer["sparse"], layer["shape"][0]
    ends = list(accumulate(sparse["counts"]))
    row = layer["heads"].index(head) * queries + query
    span = slice(ends[row] - sparse["counts"][row], ends[row])
    return dict(zip(sparse["indices"][span], sparse["weights"][span], strict=True))


def layer_of(step: str = "100") -> dict[str, Any]:
    """The long layer of the golden run."""
    found: dict[str, Any] = expected("long")["steps"][step]["layers"][0]
    return found


@pytest.mark.parametrize("run", ["long", "exact"])
def test_kept_weights_on_screen_are_those_recorded(page: Page, show: Show, run: str) -> None:
    step, content = list(expected(run)["steps"].items())[-1]
    layer = content["layers"][0]
    show(page, embedded(run))
    ready(page, head=f"{step}/0/self/0")
    assert inspect(page, "head.stored") == "sparse"
    assert inspect(page, "head.shape") == layer["shape"]
    wanted = layer["sparse"]
    found: dict[str, list[float]] = {"counts": [], "indices": [], "weights": [], "leftOut": []}
    for head in layer["heads"]:
        for name, values in inspect(page, f"head.weights({head})").items():
            found[name] += values
    assert found["counts"] == wanted["counts"]
    assert found["indices"] == wanted["indices"]
    assert found["weights"] == pytest.approx(wanted["weights"], abs=1e-6)
    assert found["leftOut"] == pytest.approx(wanted["left_out"], abs=1e-6)


def test_it_says_what_was_kept_and_how_much_was_left_out(page: Page, show: Show) -> None:
    layer = layer_of()
    show(page, embedded("long"), "#heads=1")
    ready(page, head="100/0/self/0")
    mean = np.mean(layer["sparse"]["left_out"][layer["shape"][0] :])
    said = text(page, '[data-view="head"] .foot-note').replace("\u00a0", " ")
    assert said.startswith("Stored sparse: the top keys of each row (64, or 99 % of its mass); ")
    assert said.endswith(f"; {100 * mean:.1f} % of the mass is left out on average.")
    page.evaluate("location.hash = '#input=1&layer=0'")
    ready(page, head="100/1/self/0")
    assert "sparse" not in text(page, '[data-view="head"]')


def test_pointing_at_a_query_shows_its_kept_keys_and_no_others(page: Page, show: Show) -> None:
    show(page, embedded("long"), "#heads=1")
    ready(page, head="100/0/self/0")
    page.evaluate("document.querySelector('.head-scroll').scrollTop = 5000")
    # Rows are made anew in the frame after a scroll.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))")
    row = page.locator(".tokens-left .tok").nth(15)
    query = int(row.get_attribute("data-position") or 0)
    row.hover()
    wanted = kept(layer_of(), 1, query)
    for shown in page.locator(".tokens-right .tok").all():
        value = shown.locator(".val")
        key = int(shown.get_attribute("data-position") or 0)
        assert (value.count() == 1) == (key in wanted)
        if key in wanted:
            said = value.inner_text()
            assert said == "<.001" if wanted[key] < 0.0005 else float(said) == pytest.approx(wanted[key], abs=6e-3)
    left_out = layer_of()["sparse"]["left_out"][layer_of()["shape"][0] + query]
    said = text(page, ".row-note").replace("\u00a0", " ")
    assert said.startswith(f"Query {query}: {len(wanted)} keys stored; ")
    assert f"{100 * left_out:.0f}"[:1] in said


def test_pointing_at_a_key_shows_the_queries_that_keep_it(page: Page, show: Show) -> None:
    layer = layer_of()
    show(page, embedded("long"), "#heads=0")
    ready(page, head="100/0/self/0")
    page.hover('.tokens-right .tok[data-position="3"]')
    holders = [query for query in range(layer["shape"][0]) if 3 in kept(layer, 0, query)]
    assert text(page, ".row-note").replace("\u202f", "") == f"Key 3: stored by {len(holders)} of 300 queries."
    shown = page.locator(".tokens-left .tok.has-value").evaluate_all("all => all.map((one) => Number(one.dataset.position))")
    rows = page.locator(".tokens-left .tok").evaluate_all("all => all.map((one) => Number(one.dataset.position))")
    assert shown == [query for query in rows if query in holders]


def test_the_strongest_kept_weights_can_be_read_as_text(page: Page, show: Show) -> None:
    show(page, embedded("long"), "#heads=1")
    ready(page, head="100/0/self/0")
    page.click(".top-weights summary")
    page.wait_for_selector(".top-weights tbody tr")
    rows = [one.split() for one in page.locator(".top-weights tbody tr").all_inner_texts()]
    assert len(rows) == 24
    for head, _, query, _, key, weight in rows:
        assert kept(layer_of(), int(head), int(query))[int(key)] == pytest.approx(float(weight), abs=6e-3)


def test_the_neuron_view_tells_what_is_not_stored_from_what_is_nought(page: Page, show: Show) -> None:
    show(page, embedded("long"), "#heads=0&query=200")
    ready(page, neuron="100/0/self/0")
    wanted = kept(layer_of(), 0, 200)
    stored = inspect(page, "neuron.stored")
    assert {key: weight for key, weight in enumerate(stored) if weight is not None} == pytest.approx(wanted, abs=1e-6)
    assert inspect(page, "neuron.softmax") is not None
    assert [one.inner_text() for one in page.locator(".neuron-heads span").all()][-2:] == ["softmax", "weight"]
    cells = page.locator(".neuron-list .neuron-row .bar-cell").all_inner_texts()
    for key, cell in enumerate(cells):
        assert (cell == "not stored") == (key not in wanted)
    said = text(page, '[data-view="neuron"] .foot-note')
    assert "only the greatest of each row are stored" in said
    assert "8-bit numbers with one scale per token" in said


def test_where_q_and_k_do_not_make_the_weights_kept_keys_have_a_bias(page: Page, show: Show, tmp_path: Path) -> None:
    show(page, embedded(written(tmp_path / "far", [long_capture(600, 2, explained=0.3)])), "#query=100")
    ready(page, neuron="0/0/self/0")
    assert [one.inner_text() for one in page.locator(".neuron-heads span").all()][-2:] == ["bias", "weight"]
    assert inspect(page, "neuron.softmax") is None
    bias, stored = inspect(page, "neuron.bias"), inspect(page, "neuron.stored")
    assert [one is None for one in bias] == [one is None for one in stored]


def long_capture(tokens: int, heads: int, explained: float = 0.001) -> Any:
    """A capture of a long input: every query keeps itself and as many as 63 keys before it, alike."""
    from attnlog.record import Axis, Capture, Input, Sparse, Vectors, to_codes

    few = uniform(["a", "b"], heads=heads)
    counts = np.minimum(np.arange(1, tokens + 1), 64).astype("u4")
    indices = np.concatenate([np.arange(i + 1 - n, i + 1, dtype="u4") for i, n in enumerate(counts)])
    weights = to_codes(np.repeat(0.9 / counts, counts).astype("f4"), "u8")
    cells = min(tokens, 256)
    sparse = Sparse(
        picture=np.tile(np.tri(cells, dtype="u1")[None] * 30, (heads, 1, 1)),
        counts=np.tile(counts, (heads, 1)),
        indices=np.tile(indices, heads),
        weights=np.tile(weights, heads),
        left_out=np.full((heads, tokens), 0.1, dtype="f4"),
    )
    vectors = np.ones((1, tokens, 4), dtype="f4")
    layer = replace(
        few.layers[0],
        shape=(tokens, tokens),
        weights=None,
        sparse=sparse,
        pictures=np.tile(np.tri(32, dtype="u1")[None] * 30, (heads, 1, 1)),
        vectors=Vectors(q=np.repeat(vectors, heads, 0), k=vectors, scale=0.5, causal=True),
        groups=(0,) * heads,
        explained=np.full(heads, explained, dtype="f4"),
    )
    axis = Axis(tokens=tuple(f"t{i}" for i in range(tokens)))
    return Capture((Input({"self": axis}),), (layer,), (), few.model, few.config)


def test_4096_tokens_of_32_heads_open_and_draw(page: Page, show: Show, tmp_path: Path) -> None:
    run = written(tmp_path / "huge", [long_capture(4096, 32)])
    show(page, embedded(run))
    ready(page, head="0/0/self/0", model="0/0/self/-", neuron="0/0/self/0")
    assert inspect(page, "head.shape") == [4096, 4096]
    assert 0 < inspect(page, "head.lines") <= 9_000
    assert page.locator(".tokens-left .tok").count() < 100
    page.evaluate("document.querySelector('.head-scroll').scrollTop = 50000")
    page.wait_for_selector('.tokens-left .tok[data-row="2640"]')
    page.hover('.tokens-left .tok[data-row="2640"]')
    said = text(page, ".row-note").replace("\u00a0", " ")
    assert said == "Query 2640: 64 keys stored in each head; 10 % of its mass is on keys that are not."
    assert page.evaluate("document.querySelectorAll('#attnlog *').length") < 3000


def test_the_timeline_is_drawn_from_a_roll_up_alone(page: Page, show: Show) -> None:
    def carried(path: str, data: bytes) -> bytes | None:
        return None if path.endswith("step-00000000/golden-1-0/index.arrow") else data

    show(page, embedded("long", change=carried), "#metric=entropy")
    ready(page, timeline="100/0/self/0")
    steps = expected("long")["steps"]
    for number, one in enumerate(inspect(page, "timeline.series")):
        assert one["values"] == pytest.approx([steps[step]["layers"][0]["metrics"]["entropy"][number] for step in steps], rel=1e-5)


def test_a_damaged_roll_up_is_no_loss(page: Page, show: Show) -> None:
    def damaged(path: str, data: bytes) -> bytes:
        return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:] if path.startswith("indexes-") else data

    said = manifests(GOLDEN / "long")
    assert '"type":"indexes"' in said[0]["text"]
    show(page, embedded("long", change=damaged), "#metric=entropy")
    ready(page, timeline="100/0/self/0")
    assert None not in inspect(page, "timeline.series[0].values")
    assert page.locator('[data-view="timeline"] .notice').count() == 0
