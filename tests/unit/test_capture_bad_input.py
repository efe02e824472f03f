"""Inputs that a model cannot read are refused by name before any work, and what fails half-way leaves no trace."""

from __future__ import annotations

import inspect
import random

import numpy as np
import pytest
import torch

import attnlog
from attnlog.errors import ArgumentError, InputError, ModelError
from tests.conftest import build

IDS = torch.arange(4, 12)[None]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"pixel_values": torch.ones(1, 3)}, "does not read 'pixel_values': its forward takes input_ids"),
        ({"text": ["the cat"]}, "does not read 'text'"),
        ({"attention_mask": torch.ones(1, 3)}, "only 'attention_mask'"),
        ({"input_ids": torch.ones(1, 2, 3)}, "token ids are whole numbers"),
        ({"input_ids": torch.ones(1, 3)}, "input_ids are torch.float32"),
        ({"input_ids": torch.ones(0, 3, dtype=torch.long)}, "at least one of each"),
        ({"input_ids": "the cat"}, "'input_ids' of the inputs is no tensor"),
        ({}, "the inputs are empty"),
        (torch.ones(2, 3, 4), "token ids are whole numbers"),
    ],
)
def test_batches_that_the_model_does_not_read_are_refused(bad, said):
    with pytest.raises(InputError, match=said):
        attnlog.capture(build("bert"), bad)


def test_arguments_that_a_forward_cannot_do_without_are_named():
    decoder = torch.nn.TransformerDecoderLayer(8, 2, batch_first=True)
    with pytest.raises(InputError, match="lack 'memory', without which TransformerDecoderLayer does not run"):
        attnlog.capture(decoder, {"tgt": torch.ones(1, 5, 8)})
    with pytest.raises(InputError, match="does not read 'input_ids': its forward takes tgt, memory"):
        attnlog.capture(decoder, {"input_ids": torch.ones(1, 5, dtype=torch.long)})


TWO = torch.arange(4, 20).view(2, 8)


@pytest.mark.parametrize(
    ("name", "bad", "said"),
    [
        ("bert", {"input_ids": TWO, "attention_mask": torch.ones(1, 8)}, r"attention_mask has shape \(1, 8\), input_ids \(2, 8\)"),
        ("bert", {"input_ids": TWO, "attention_mask": torch.ones(2, 7)}, "row 0 of attention_mask does not fit input_ids"),
        ("bert", {"input_ids": TWO, "token_type_ids": torch.zeros(2, 5).long()}, r"token_type_ids has shape \(2, 5\).*one for each token"),
        ("bert", {"input_ids": TWO, "token_type_ids": torch.full((2, 8), 2)}, "token_type_ids hold 2 to 2, BertForMaskedLM knows 0 to 1"),
        ("bert", {"input_ids": TWO, "position_ids": torch.arange(9)[None].repeat(2, 1)}, "position_ids has shape"),
        ("bert", {"input_ids": -TWO}, "input_ids of input 0 hold -11 to -4, the model knows 0 to 63"),
        ("t5", {"input_ids": TWO, "decoder_input_ids": TWO[:1]}, r"decoder_input_ids has shape \(1, 8\)"),
        ("t5", {"input_ids": TWO}, "needs decoder_input_ids or labels"),
        ("t5", {"input_ids": TWO, "labels": TWO[:1]}, r"labels have shape \(1, 8\), input_ids \(2, 8\)"),
        ("t5", {"input_ids": TWO, "decoder_input_ids": TWO + 60}, "decoder_input_ids of input 0 hold 64 to 71"),
    ],
)
def test_parts_of_a_batch_that_do_not_fit_together_are_named(name, bad, said):
    with pytest.raises(InputError, match=said):
        attnlog.capture(build(name), bad)


@pytest.mark.parametrize("labels", [torch.full((1, 8), 64), torch.full((1, 8), -1), [[99] * 8]])
def test_labels_that_the_model_does_not_have_are_refused(labels):
    with pytest.raises(InputError, match="BertForMaskedLM has labels 0 to 63"):
        attnlog.capture(build("bert"), {"input_ids": IDS, "labels": labels})


@pytest.mark.parametrize("name", ["bert", "gpt2"])
@pytest.mark.parametrize("shape", [(1, 7), (3, 8), (2,), (8, 1)])
def test_labels_of_another_shape_are_refused(name, shape):
    """Without a word they would be left out, and a loss be missing that the reader asked for."""
    with pytest.raises(InputError, match=r"labels have shape .*, input_ids \(1, 8\): give one for each input, or one for each token"):
        attnlog.capture(build(name), {"input_ids": IDS, "labels": torch.ones(shape, dtype=torch.long)})


def test_what_is_no_tokenizer_and_no_record_is_refused_by_name():
    with pytest.raises(ArgumentError, match="tokenizer is 'gpt2': give the tokenizer itself"):
        attnlog.capture(build("gpt2"), {"input_ids": IDS}, tokenizer="gpt2")
    with pytest.raises(ArgumentError, match="record is 5; it takes any of"):
        attnlog.capture(build("gpt2"), {"input_ids": IDS}, record=5)
    with pytest.raises(ArgumentError, match="batch_size is 'x'; it is a whole number from 1"):
        attnlog.capture(build("gpt2"), {"input_ids": IDS}, batch_size="x")
    with pytest.raises(ArgumentError, match="max_tokens is 1; it is a whole number from 2"):
        attnlog.capture(build("gpt2"), {"input_ids": IDS}, max_tokens=1)


def test_classes_that_a_classifier_does_not_have_are_refused():
    import transformers as t

    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64, "num_hidden_layers": 1}
    model = t.BertForSequenceClassification(t.BertConfig(**small, num_labels=3))
    with pytest.raises(InputError, match="labels hold 3 to 3, BertForSequenceClassification has labels 0 to 2"):
        attnlog.capture(model, {"input_ids": IDS, "labels": torch.tensor([3])})
    assert attnlog.capture(model, {"input_ids": IDS, "labels": torch.tensor([2])}).layers


def test_texts_longer_than_the_models_positions_are_refused_with_the_way_round(tokenizer):
    with pytest.raises(InputError, match="input 1 has 402 tokens, the model takes at most 300: shorten it or pass max_tokens=300"):
        attnlog.capture(build("bert"), ["the cat", "the cat " * 200], tokenizer=tokenizer)


def test_a_model_on_the_meta_device_is_refused_before_any_work():
    model = build("bert").to("meta")
    model.forward = pytest.fail
    with pytest.raises(ModelError, match="is on the meta device, which holds no numbers"):
        attnlog.capture(model, {"input_ids": IDS})


@pytest.mark.parametrize("model", ["bert-base-uncased", None, {}, torch.ones(3)])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ModelError, match=f"the model is a {type(model).__name__}"):
        attnlog.capture(model, {"input_ids": IDS})


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("name", ["llama", "bloom", "gpt2"])
def test_weights_that_are_not_numbers_are_said_to_be_missing(name, rows):
    """The layer before the broken one is recorded. Kernels give zeros for NaN at some sizes, which are no weights either."""
    model = build(name)
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if ".1." in n and p.ndim > 1).fill_(torch.nan)
    capture = attnlog.capture(model, {"input_ids": IDS.repeat(rows, 1)})
    np.testing.assert_allclose(capture.weights("self", 0).sum(-1), 1, atol=1e-5)
    assert {(one.layer, one.what) for one in capture.missing} >= {(1, "attention"), (1, "vectors")}
    assert all("not numbers" in one.reason for one in capture.missing)
    with pytest.raises(LookupError, match="not numbers"):
        capture.weights("self", 1)


def test_what_the_model_itself_raises_says_what_it_was_given():
    with pytest.raises(ValueError, match="too many values to unpack") as raised:
        attnlog.capture(build("bert"), {"input_ids": torch.ones(1, 2, 3, dtype=torch.long)})
    assert "attnlog called BertForMaskedLM with input_ids torch.int64 [1, 2, 3]" in raised.value.__notes__[0]


def state(model):
    configs = {id(c): c for m in model.modules() if (c := getattr(m, "config", None)) is not None}
    return {
        "configurations": [str(config.to_dict()) for config in configs.values()],
        "implementations": [config._attn_implementation for config in configs.values()],
        "modes": [module.training for module in model.modules()],
        "weights": [parameter.detach().clone().tolist() for parameter in model.parameters()],
        "random": (torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state())),
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "grad": torch.is_grad_enabled(),
    }


def two_towers():
    """CLIP with an implementation of its own for each tower."""
    import transformers as t

    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "projection_dim": 16}
    text, vision = {**small, "vocab_size": 64, "max_position_embeddings": 20}, {**small, "image_size": 8, "patch_size": 4}
    torch.manual_seed(0)
    model = t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).train()
    model.vision_model.eval()
    model.config.vision_config._attn_implementation = "eager"
    return model


def failing(model, *, when):
    """Make a model's forward draw random numbers and then fail, under some of the keywords that it is called with."""
    forward, calls = model.forward, []

    def broken(*args, **kwargs):
        torch.rand(3), random.random(), np.random.rand()
        calls.append(kwargs)
        if when(kwargs):
            raise OSError("made to fail")
        return forward(*args, **kwargs)

    broken.__signature__ = inspect.signature(forward)
    model.forward = broken
    return calls


GIVEN = {"input_ids": IDS, "pixel_values": torch.ones(1, 3, 8, 8)}


def test_a_failing_forward_leaves_every_part_of_the_model_as_it_was():
    model = two_towers()
    failing(model, when=lambda _: True)
    before = state(model)
    with pytest.raises(OSError, match="made to fail"):
        attnlog.capture(model, GIVEN)
    assert state(model) == before


def test_a_failing_layer_half_way_leaves_every_part_of_the_model_as_it_was():
    model = two_towers()
    failing(model.vision_model.encoder.layers[1], when=lambda _: True)
    before = state(model)
    with pytest.raises(OSError, match="made to fail"):
        attnlog.capture(model, GIVEN)
    assert state(model) == before


@pytest.mark.parametrize("fails", [False, True])
def test_the_eager_pass_leaves_every_part_of_the_model_as_it_was(fails, monkeypatch):
    """The pass for what no tap recorded, which is asked for here although the taps recorded everything."""
    from attnlog.capture.recorder import Recorder

    model = two_towers()
    calls = failing(model, when=lambda keywords: fails and keywords.get("output_attentions"))
    before = state(model)
    monkeypatch.setattr(Recorder, "incomplete", True)
    capture = attnlog.capture(model, GIVEN)
    assert calls[-1]["output_attentions"]
    assert {layer.kind for layer in capture.layers} == {"self", "vision"}
    assert {layer.tap for layer in capture.layers} == {"interface"}
    assert state(model) == before
