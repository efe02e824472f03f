"""Hidden states: what is recorded are the model's own, token by token, without padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnlog
from attnlog.errors import ArgumentError, NoAttentionError, NotRecordedError
from tests.conftest import FAMILIES, build
from tests.unit.test_capture_families import batch


def own(model, given, row):
    """Hidden states of one row alone and unpadded, by the model's own outputs: axis → [layers, tokens, width]."""
    kept = given["attention_mask"][row].bool()
    alone = {"input_ids": given["input_ids"][row][kept][None]}
    if "decoder_input_ids" in given:
        alone["decoder_input_ids"] = given["decoder_input_ids"][row][None]
    with torch.no_grad():
        out = model(**alone, output_hidden_states=True)
    names = {"self": "hidden_states", "encoder": "encoder_hidden_states", "decoder": "decoder_hidden_states"}
    return {axis: torch.cat(getattr(out, name)).numpy() for axis, name in names.items() if getattr(out, name, None) is not None}


@pytest.mark.parametrize("name", [*FAMILIES, "mamba"])
def test_states_are_the_models_own(name):
    model = build(name)
    given = batch(model, rows=1 if name == "mamba" else 3)
    capture = attnlog.capture(model, given, record="hidden")
    assert not capture.missing
    for row in range(len(given["input_ids"])):
        for axis, expected in own(model, given, row).items():
            found = capture.states(axis, row)
            assert found["mean"].shape == expected.shape[:2]
            assert found["mean"].dtype == np.float32
            np.testing.assert_allclose(found["mean"], expected.mean(-1), atol=1e-5)
            np.testing.assert_allclose(found["std"], expected.std(-1), atol=1e-5)
            np.testing.assert_allclose(found["norm"], np.linalg.norm(expected, axis=-1), rtol=1e-4)
            np.testing.assert_allclose(found["min"], expected.min(-1), atol=1e-5)
            np.testing.assert_allclose(found["max"], expected.max(-1), atol=1e-5)
            cosine = (expected[1:] * expected[:-1]).sum(-1) / np.linalg.norm(expected[1:], axis=-1) / np.linalg.norm(expected[:-1], axis=-1)
            assert np.isnan(found["cosine"][0]).all()
            np.testing.assert_allclose(found["cosine"][1:], cosine, atol=1e-4)
            for layer in range(len(expected)):
                states = capture.hidden(axis, layer, row)
                np.testing.assert_allclose(states, expected[layer], rtol=1e-3, atol=1e-3)


def test_statistics_alone_keep_no_states():
    capture = attnlog.capture(build("llama"), {"input_ids": torch.arange(4, 12)[None]}, record="states")
    assert capture.layers == ()
    assert all(one.values is None for one in capture.hidden_states)
    with pytest.raises(NotRecordedError, match="record 'hidden'"):
        capture.hidden("self", 0)


def test_states_beside_attention_change_nothing_of_it():
    model, given = build("llama"), {"input_ids": torch.arange(4, 12)[None]}
    plain, both = attnlog.capture(model, given), attnlog.capture(model, given, record=("attention", "vectors", "states"))
    for layer in range(2):
        np.testing.assert_array_equal(plain.weights("self", layer), both.weights("self", layer))
    assert both.states()["norm"].shape == (3, 8)


def test_a_model_without_attention_has_states():
    model, given = build("mamba"), {"input_ids": torch.arange(4, 12)[None]}
    assert attnlog.capture(model, given, record="states").states()["mean"].shape == (3, 8)
    with pytest.raises(NoAttentionError):
        attnlog.capture(model, given, record=("attention", "states"))


def test_states_large_for_half_precision_are_kept_whole():
    model = build("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight *= 1e6
    capture = attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]}, record="hidden")
    assert capture.hidden_states[0].values.dtype == np.float32
    assert np.isfinite(capture.hidden("self", 0)).all()


def test_states_that_are_no_numbers_are_said_to_be_none():
    model = build("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[5] = torch.nan
    capture = attnlog.capture(model, {"input_ids": torch.tensor([[4, 5, 6], [7, 8, 9]])}, record="states")
    assert "self layer 0: hidden states not recorded, because they are not numbers" in str(capture.missing[0])
    assert capture.states(input=1)["mean"].shape == (3, 3)
    with pytest.raises(NotRecordedError, match="not numbers"):
        capture.states(input=0)


class Stubborn(torch.nn.Module):
    """A model of one's own that takes no `output_hidden_states` though its signature takes anything."""

    def __init__(self):
        super().__init__()
        self.inner = build("llama")
        self.config = self.inner.config
        self.calls = 0

    def forward(self, input_ids, **more):
        self.calls += 1
        if "output_hidden_states" in more:
            raise TypeError("unexpected keyword argument 'output_hidden_states'")
        return self.inner(input_ids)


def test_a_model_that_cannot_be_asked_for_states_is_captured_without_them():
    model, given = Stubborn(), {"input_ids": torch.arange(4, 12)[None]}
    capture = attnlog.capture(model, given, record=("attention", "states"))
    assert [str(m) for m in capture.missing] == [
        "self: hidden states not recorded, because the model's outputs hold none for an axis of tokens"
    ]
    np.testing.assert_array_equal(capture.weights("self", 1), attnlog.capture(model.inner, given).weights("self", 1))


def test_one_extra_that_fails_leaves_the_others(monkeypatch):
    from attnlog.capture.states import HiddenStates

    def fail(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(HiddenStates, "see", fail)
    capture = attnlog.capture(build("llama"), {"input_ids": torch.arange(4, 12)[None]}, record=("attention", "states", "predictions"))
    assert capture.weights("self", 0).shape == (4, 8, 8)
    assert len(capture.predictions()) == 1
    assert [str(m) for m in capture.missing] == ["self: hidden states not recorded, because it failed with RuntimeError: out of luck"]


def test_an_unknown_name_is_an_error_that_names_the_known_ones():
    with pytest.raises(ArgumentError, match="attention, vectors, values, hidden, predictions, saliency, states"):
        attnlog.capture(build("llama"), {"input_ids": torch.arange(4, 12)[None]}, record=("state",))
