"""From model to screen: what Chromium shows of a real model is what that model computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnlog
from tests.browser.test_embedded import inspect, ready
from tests.conftest import FAMILIES, build
from tests.unit.test_capture_families import batch


@pytest.fixture
def recorded(tmp_path):
    """Record a family's attention on a padded batch into a run; gives the run's folder."""

    def record(name):
        model = build(name)
        with attnlog.Run(tmp_path / name) as run:
            run.log(attnlog.capture(model, batch(model, rows=2), precision="u8"), step=3, loss=1.5)
        return tmp_path / name

    return record


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_and_softmax_on_screen_are_the_models(name, recorded, serving, page):
    """Drawn weights equal the stored ones; softmax recomputed in the page from q and k, with the bias where there is one, agrees."""
    directory = recorded(name)
    opened = attnlog.open(directory).read(3)
    page.goto(serving(directory))
    rng = np.random.default_rng(0)
    for kind in sorted({layer.kind for layer in opened.layers}):
        input, layer, head = int(rng.integers(2)), int(rng.integers(2)), int(rng.integers(2))
        stored = opened.weights(kind, layer, input)
        query = int(rng.integers(1, stored.shape[1]))
        page.evaluate(f"() => {{ location.hash = '#step=3&input={input}&kind={kind}&layer={layer}&heads={head}&query={query}'; }}")
        ready(page, head=f"3/{input}/{kind}/{layer}", neuron=f"3/{input}/{kind}/{layer}", model=f"3/{input}/{kind}/-")
        np.testing.assert_allclose(inspect(page, f"head.weights({head})"), stored[head].reshape(-1), atol=1e-6)
        assert (inspect(page, "neuron.head"), inspect(page, "neuron.query")) == (head, query)
        np.testing.assert_allclose(inspect(page, "neuron.softmax"), stored[head, query], atol=5e-3)
        biased = opened.find(kind, layer, input, what="index").explained[head] > 5e-3
        assert (inspect(page, "neuron.bias") is not None) == bool(biased)
        picture = inspect(page, f"model.picture({layer}, {head})")
        assert (picture["rows"], picture["columns"]) == stored.shape[1:]
        np.testing.assert_allclose((np.array(picture["codes"]) / 255) ** 2, stored[head].reshape(-1), atol=1e-6)


@pytest.mark.parametrize("name", ["t5", "gemma2"])
def test_what_queries_and_keys_leave_unexplained_is_shown_as_bias(name, recorded, serving, page):
    directory = recorded(name)
    opened = attnlog.open(directory).read(3)
    where = max(opened.layers, key=lambda layer: float(layer.explained.max()))
    head = int(where.explained.argmax())
    assert where.explained[head] > 5e-3
    query = where.shape[0] - 1
    address = f"#view=neuron&step=3&input={where.input}&kind={where.kind}&layer={where.layer}&heads={head}&query={query}"
    page.goto(serving(directory) + address)
    ready(page, neuron=f"3/{where.input}/{where.kind}/{where.layer}")
    stored = opened.weights(where.kind, where.layer, where.input)[head, query]
    bias, softmax = (np.array([np.nan if v is None else v for v in inspect(page, f"neuron.{n}")], dtype=float) for n in ("bias", "softmax"))
    np.testing.assert_allclose(softmax, stored, atol=5e-3)
    # The bias in the page is what its definition gives in Python: log w − log softmax(scale · q·kᵀ).
    from attnlog.explain import softmax_of

    layer = opened.find(where.kind, where.layer, where.input, what="vectors")
    alone = softmax_of(layer.vectors, layer.groups)[head, query]
    clear = stored > 0.01
    np.testing.assert_allclose(bias[clear], np.log(stored[clear]) - np.log(alone[clear]), atol=0.02)
    assert "bias" in page.locator('[data-view="neuron"]').inner_text()


def test_lines_are_where_weights_are_and_nowhere_else(tmp_path, serving, page):
    """Every query looks at key 2 only: pixels of each line are inked, and the canvas has no ink that no line explains."""
    tokens = 6
    weights = np.zeros((1, tokens, tokens), dtype="f4")
    weights[0, :, 2] = 1
    with attnlog.Run(tmp_path / "run") as run:
        run.log(attnlog.from_tensors([weights], list("abcdef")), step=0)
    page.goto(serving(tmp_path / "run"))
    ready(page, head="0/0/self/0")
    canvas = page.evaluate(
        """() => {
          const c = document.querySelector('[data-view="head"] canvas');
          return { width: c.width, height: c.height, data: Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data) };
        }"""
    )
    ink = np.array(canvas["data"], dtype=float).reshape(canvas["height"], canvas["width"], 4)[..., 3]
    boxes = page.locator('[data-view="head"] .tokens-left .tok').all()
    top = page.locator('[data-view="head"] canvas').first.bounding_box()
    ratio = canvas["height"] / top["height"]
    rows = [int((box.bounding_box()["y"] + box.bounding_box()["height"] / 2 - top["y"]) * ratio) for box in boxes]

    def inked(column, row):
        return ink[max(row - 3, 0) : row + 4, column].max()

    for row in rows:
        assert inked(2, row) > 60, "a line leaves every query"
    assert inked(canvas["width"] - 3, rows[2]) > 60, "and arrives at key 2"
    for key in (0, 1, 3, 4, 5):
        assert inked(canvas["width"] - 3, rows[key]) == 0, "no line arrives anywhere else"


def test_rewritten_weights_are_drawn_anew(tmp_path, serving, page):
    """A second step with other weights changes what is drawn: nothing is kept from the first."""
    first, second = (torch.softmax(torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(n)), -1).numpy() for n in (0, 1))
    with attnlog.Run(tmp_path / "run", precision="f32") as run:
        run.log(attnlog.from_tensors([first], list("abcde")), step=0)
        run.log(attnlog.from_tensors([second], list("abcde")), step=1)
    page.goto(serving(tmp_path / "run"))
    for step, weights in ((1, second), (0, first), (1, second)):
        page.evaluate(f"() => {{ location.hash = '#step={step}'; }}")
        ready(page, head=f"{step}/0/self/0")
        np.testing.assert_allclose(inspect(page, "head.weights(1)"), weights[1].reshape(-1), atol=1e-6)
