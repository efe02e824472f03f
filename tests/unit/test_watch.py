"""Watching a training loop of the user's own: what it records, and that the loop is the same with and without."""

from __future__ import annotations

import copy
import random
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import attnlog
from attnlog.errors import ArgumentError, ModelError
from tests.conftest import build


class Plain(nn.Module):
    """A classifier of torch's own layers with dropout, called with tensors by position."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(64, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 64)

    def forward(self, input_ids, labels=None):
        logits = self.head(self.encoder(self.table(input_ids)))
        return {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())} if labels is not None else logits


class Functional(nn.MultiheadAttention):
    """Attention that calls torch's function itself, as some models do with projections of their own."""

    def forward(self, x, *_, **__):
        turned, ours = x.transpose(0, 1), (self.in_proj_weight, self.in_proj_bias, None, None, False, self.dropout)
        out = (self.out_proj.weight, self.out_proj.bias)
        found = nn.functional.multi_head_attention_forward(turned, turned, turned, 32, 4, *ours, *out, training=self.training)
        return found[0].transpose(0, 1), None


def dropping(name):
    """A model in training mode, with dropout in its attention too."""
    if name in ("plain", "functional"):
        model = Plain()
        for layer in model.encoder.layers if name == "functional" else ():
            layer.self_attn = Functional(32, 4, dropout=0.2, batch_first=True)
        return model.train()
    model = build(name)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.2
        for attribute in ("attention_dropout", "attn_dropout", "dropout_prob"):
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, 0.2)
    return model.train()


def batches(count=3, rows=4, tokens=9):
    generator = torch.Generator().manual_seed(8)
    return [torch.randint(4, 60, (rows, tokens), generator=generator) for _ in range(count)]


def train(model, watched=None, *, autocast=False):
    """Train for some steps; returns losses, parameters, gradients, random states, and what was recorded."""
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses, captures = [], []
    with watched or nullcontext():
        for ids in batches():
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = model(input_ids=ids, labels=ids)["loss"]
            loss.backward()
            optimizer.step()
            gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
            optimizer.zero_grad()
            losses.append(loss.detach())
            if watched is not None:
                captures.append(watched.take())
    states = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())
    return losses, [p.detach() for p in model.parameters()], gradients, states, captures


def assert_identical(left, right):
    for ours, theirs in zip(left[:3], right[:3], strict=True):
        assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert torch.equal(left[3][0], right[3][0])
    assert left[3][1:] == right[3][1:]


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "t5", "bloom", "plain", "functional"])
def test_a_training_is_bit_identical_with_and_without(name, autocast):
    model = dropping(name)
    other = copy.deepcopy(model)
    alone = train(other, autocast=autocast)
    with warnings.catch_warnings():
        warnings.simplefilter("error", attnlog.AttnlogWarning)
        watched = train(model, attnlog.watch(model), autocast=autocast)
    assert all(capture is not None and capture.layers for capture in watched[4])
    assert_identical(watched, alone)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_is_bit_identical_too(reentrant):
    model = dropping("bert")
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    if reentrant:
        model.enable_input_require_grads()
    other = copy.deepcopy(model)
    alone = train(other)
    watched = train(model, attnlog.watch(model))
    assert {layer.layer for layer in watched[4][0].layers} == {0, 1}
    assert_identical(watched, alone)


@pytest.mark.parametrize("name", ["bert", "mistral", "bart", "bloom"])
def test_in_eval_mode_weights_are_those_of_a_capture_of_the_same_batch(name):
    model = build(name)
    given = {"input_ids": batches()[0], "attention_mask": torch.ones(4, 9).long()}
    if name == "bart":
        given["decoder_input_ids"] = batches(tokens=5)[0]
    with attnlog.watch(model, precision="f32", examples=4) as watched, torch.no_grad():
        model(**given)
    found, expected = watched.take(), attnlog.capture(model, given)
    assert len(found.layers) == len(expected.layers)
    assert not found.missing
    for layer in expected.layers:
        weights = found.weights(layer.kind, layer.layer, layer.input)
        np.testing.assert_allclose(weights, expected.weights(layer.kind, layer.layer, layer.input), atol=1e-6)
        np.testing.assert_allclose(
            found.vectors("q", layer.kind, layer.layer, layer.input),
            expected.vectors("q", layer.kind, layer.layer, layer.input),
            atol=1e-5,
        )


@pytest.mark.parametrize("name", ["bert", "bloom", "plain", "functional"])
def test_in_training_mode_weights_are_those_before_dropout_and_said_to_be_unverified(name):
    model = dropping(name)
    with attnlog.watch(model, precision="f32") as watched:
        model(input_ids=batches()[0], labels=batches()[0])
    capture = watched.take()
    for layer in capture.layers:
        np.testing.assert_allclose(layer.weights.sum(-1), 1, atol=1e-5)
    assert {one.what for one in capture.missing} == {"verified weights"}
    assert all("training mode" in one.reason for one in capture.missing)


def test_of_every_few_passes_one_is_recorded_and_the_first_is():
    model = build("llama")
    with attnlog.watch(model, every=3) as watched, torch.no_grad():
        taken = []
        for ids in batches(7):
            model(input_ids=ids)
            taken.append(watched.take() is not None)
    assert taken == [True, False, False, True, False, False, True]


def test_a_capture_is_taken_once_and_the_newest_is():
    model = build("llama")
    first, second = batches(2)
    with attnlog.watch(model) as watched, torch.no_grad():
        assert watched.take() is None
        model(input_ids=first)
        model(input_ids=second)
        assert watched.take().inputs[0].axes["self"].ids == tuple(second[0].tolist())
        assert watched.take() is None


def test_so_many_examples_of_the_batch_are_recorded_from_the_first_on():
    model = build("llama")
    with attnlog.watch(model, examples=2, layers=[1], heads=[0, 3]) as watched, torch.no_grad():
        model(input_ids=batches()[0])
    capture = watched.take()
    assert [one.axes["self"].ids for one in capture.inputs] == [tuple(row) for row in batches()[0][:2].tolist()]
    assert {(layer.input, layer.layer, layer.heads) for layer in capture.layers} == {(0, 1, (0, 3)), (1, 1, (0, 3))}


def test_tokens_are_named_and_padding_is_cropped(tokenizer):
    model = build("bert")
    given = tokenizer(["the cat sat on the mat", "the dog"], padding=True, return_tensors="pt")
    with attnlog.watch(model, tokenizer=tokenizer) as watched, torch.no_grad():
        model(**given)
    capture = watched.take()
    assert capture.inputs[1].tokens() == ("[CLS]", "the", "dog", "[SEP]")
    assert capture.weights("self", 1, 1).shape == (4, 4, 4)


def test_what_fails_is_one_warning_and_the_loop_goes_on(monkeypatch):
    from attnlog.capture import recorder

    def broken(*_, **__):
        raise RuntimeError("made to fail")

    model = dropping("bert")
    alone = train(copy.deepcopy(model))
    monkeypatch.setattr(recorder, "compute", broken)
    with pytest.warns(attnlog.AttnlogWarning, match="made to fail") as said:
        watched = train(model, attnlog.watch(model))
    assert len([one for one in said if issubclass(one.category, attnlog.AttnlogWarning)]) == 1
    assert watched[4] == [None, None, None]
    assert_identical(watched, alone)


@pytest.mark.parametrize("where", ["forward", "loop"])
def test_nothing_is_left_on_the_model_whatever_is_raised(where, monkeypatch):
    from transformers.modeling_utils import AttentionInterface

    model = build("bert")
    lookups = AttentionInterface.get_interface, AttentionInterface.__getitem__

    def broken(*_, **__):
        raise OSError("the user's own")

    if where == "forward":
        monkeypatch.setattr(model.bert.encoder.layer[1], "forward", broken)
    raises = (lambda: model(input_ids=batches()[0])) if where == "forward" else broken
    with pytest.raises(OSError, match="the user's own"), attnlog.watch(model):
        raises()
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
    assert (AttentionInterface.get_interface, AttentionInterface.__getitem__) == lookups
    assert nn.MultiheadAttention.forward.__module__ == "torch.nn.modules.activation"


@pytest.mark.parametrize("how", ["wrapper", "in place", "a layer"])
def test_a_compiled_model_is_refused_in_words(how):
    model = build("llama")
    if how == "wrapper":
        model = torch.compile(model, backend="eager")
    else:
        (model if how == "in place" else model.model.layers[0]).compile(backend="eager")
    with pytest.raises(ModelError, match=r"watch the model before torch\.compile"):
        attnlog.watch(model)


@pytest.mark.parametrize("bad", [{"every": 0}, {"examples": 0}, {"every": True}, {"record": "states"}, {"layers": [2]}])
def test_arguments_that_cannot_be_used_are_refused_before_any_training(bad):
    with pytest.raises(ArgumentError, match=next(iter(bad))):
        attnlog.watch(build("bert"), **bad)
