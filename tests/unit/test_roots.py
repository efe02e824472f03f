"""Codes of 8 bits come from square roots of weights, and are those of the weights; what float32 does not hold a softmax gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnlog
from attnlog.capture.roots import FACTOR, roots_of
from attnlog.capture.scratch import Scratch
from attnlog.record import to_codes
from tests.conftest import build

HIDDEN = torch.zeros(7, 7).masked_fill(torch.ones(7, 7).triu(1).bool(), -torch.inf)


@pytest.mark.parametrize("hidden", [None, HIDDEN])
def test_roots_squared_are_a_softmax_and_logs_are_its_logarithms(hidden):
    scores = torch.randn(3, 7, 7, generator=torch.Generator().manual_seed(0)) * 5
    expected = torch.softmax(scores if hidden is None else scores + hidden, -1)
    scratch = Scratch()
    found = roots_of(scores * FACTOR, hidden, scratch, logs=True)
    assert found is not None
    torch.testing.assert_close(found.weights(scratch), expected, rtol=1e-5, atol=1e-9)
    assert (found.logs is None) == (hidden is not None)  # of 0 there is no logarithm
    if found.logs is not None:
        torch.testing.assert_close(found.logs, expected.log2(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scores", [torch.full((1, 1, 4), -torch.inf), torch.full((1, 1, 4), 300.0), torch.full((1, 1, 4), torch.nan)])
def test_rows_whose_powers_float32_does_not_hold_are_left_to_a_softmax(scores):
    assert roots_of(scores * FACTOR, None, Scratch(), logs=False) is None


@pytest.mark.parametrize("family", ["llama", "bert", "gpt2"])
@pytest.mark.parametrize("sharper", [1, 30, 3000])
def test_codes_and_metrics_of_a_capture_are_those_of_its_weights(family, sharper):
    """Also where scores are so great that one row looks at one key."""
    model = build(family)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("q_proj", "query", "c_attn")):
                parameter.mul_(sharper)
    given = {"input_ids": torch.randint(4, 60, (2, 30), generator=torch.Generator().manual_seed(1))}
    coded, exact = attnlog.capture(model, given, precision="u8"), attnlog.capture(model, given)
    for one, other in zip(coded.layers, exact.layers, strict=True):
        difference = np.abs(one.weights.astype(int) - to_codes(other.weights, "u8").astype(int))
        assert difference.max() <= 1  # a weight that lies between two codes may become either
        assert (difference > 0).mean() < 1e-3
        for name, values in other.metrics.items():
            np.testing.assert_allclose(one.metrics[name], values, atol=3e-5)
