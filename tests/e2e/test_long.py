"""4 096 tokens and 32 heads of one layer: captured from a real model, written, opened and drawn, within the limits of the format."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

import attnlog
from attnlog.format.spread import SPLIT
from attnlog.format.write import BATCH
from attnlog.sparse import TOP, SparseWeights
from tests.browser.test_embedded import inspect, ready, text

TOKENS, HEADS, ROWS = 4096, 32, (0, 40, 2000, 4095)


@pytest.fixture(scope="module")
def model():
    """One layer of 32 heads in 8 groups, of random weights large enough that attention is not flat."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=256,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        num_key_value_heads=8,
        intermediate_size=32,
        vocab_size=256,
        max_position_embeddings=TOKENS,
    )
    made = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.12)
    return made


@pytest.fixture(scope="module")
def recorded(model, tmp_path_factory):
    """A run of one step, and the capture that was logged."""
    directory = tmp_path_factory.mktemp("runs") / "long"
    ids = torch.randint(4, 250, (1, TOKENS), generator=torch.Generator().manual_seed(1))
    capture = attnlog.capture(model, {"input_ids": ids}, precision="u8", dense_tokens=512)
    assert not capture.missing
    with attnlog.Run(directory) as run:
        run.log(capture, step=0)
    return directory, capture


def exact(capture, head):
    """Rows of one head by the formula, in float64, from the queries and keys that the model had."""
    vectors = capture.layers[0].vectors
    q, k = vectors.q[head].astype("f8"), vectors.k[capture.layers[0].groups[head]].astype("f8")
    scores = q[list(ROWS)] @ k.T * vectors.scale
    scores[np.arange(TOKENS)[None] > np.array(ROWS)[:, None]] = -np.inf
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_the_top_keys_of_each_row_are_the_exact_ones_and_the_rest_is_stated(recorded):
    directory, capture = recorded
    found = attnlog.open(directory).read(0).weights("self", 0)
    assert isinstance(found, SparseWeights)
    assert found.shape == (HEADS, TOKENS, TOKENS)
    for head in (0, 13, 31):
        for row, weights in zip(ROWS, exact(capture, head), strict=True):
            keys, values = found.row(head, row)
            assert len(keys) == TOP or weights[keys].sum() >= 0.99 - 1e-6
            # Those that are kept are the greatest, but for ties within the rounding of float32.
            assert weights[keys].min() >= np.sort(weights)[::-1][len(keys) - 1] * (1 - 1e-4)
            np.testing.assert_allclose(values, weights[keys], atol=4e-3)
            assert found.left_out[head, row] == pytest.approx(1 - weights[keys].sum(), abs=1e-4)
    assert f"{found.left_out.mean():.1%} of the mass is left out" in repr(found)


def test_it_is_written_within_the_limits_of_the_format(recorded):
    directory, _ = recorded
    (record,) = (a for a in attnlog.open(directory).commit(0).assets if a.kind == "sparse")
    assert record.decoded <= HEADS * (TOKENS * (TOP * (4 + 1) + 8) + 65_536 + 1000) < SPLIT < BATCH
    dense = HEADS * TOKENS * TOKENS
    assert record.bytes < dense / 20


def test_whole_rows_come_back_from_queries_and_keys(recorded):
    directory, capture = recorded
    rows = attnlog.open(directory).recompute(0, 0, "self", 0, 13, ROWS)
    np.testing.assert_allclose(rows, exact(capture, 13), atol=5e-3)


def test_it_is_opened_and_drawn_without_an_element_per_weight(recorded, serving, page):
    directory, _ = recorded
    found = attnlog.open(directory).read(0).weights("self", 0)
    page.goto(serving(directory) + "#view=head&step=0&layer=0&heads=5")
    ready(page, head="0/0/self/0", model="0/0/self/-")
    assert inspect(page, "head.stored") == "sparse"
    said = text(page, '[data-view="head"] .foot-note').replace("\u00a0", " ")
    assert f"{100 * found.left_out[5].mean():.1f} % of the mass is left out on average" in said
    assert page.locator("*").count() < 3000
    drawn = page.evaluate(
        """() => [...document.querySelectorAll('[data-view=head] canvas')].some((canvas) => {
             const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
             return pixels.some((value, at) => at % 4 === 3 && value > 0);
           })"""
    )
    assert drawn
    page.hover(".tokens-left .tok >> nth=20")
    assert "keys stored" in text(page, ".row-note")
