"""Norms of values after the output projection: with them the weights say how much of the module's output each key makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attnlog.capture.projection import ValueNorms
from tests.conftest import build


def attentions(model):
    """Run a model and take value, weights and output of every call of its attention function, with the module's path."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

    seen = []
    paths = {id(module): path for path, module in model.named_modules()}
    eager = {}

    def tapped(module, query, key, value, *rest, **keywords):
        output, weights = eager["f"](module, query, key, value, *rest, **keywords)
        seen.append((paths[id(module)], value, weights, output))
        return output, weights

    import sys

    eager["f"] = sys.modules[type(model).__module__].eager_attention_forward
    AttentionInterface.register("tapped", tapped)
    try:
        for module in model.modules():
            if hasattr(module, "config"):
                module.config._attn_implementation = "tapped"
        ids = torch.arange(4, 16)[None]
        with torch.no_grad():
            model(ids, **({"decoder_input_ids": ids[:, :7]} if model.config.is_encoder_decoder else {}))
    finally:
        del ALL_ATTENTION_FUNCTIONS._global_mapping["tapped"]
    return seen


def projection_of(model, path):
    names = {"llama": "o_proj", "mistral": "o_proj", "gemma2": "o_proj", "gpt2": "c_proj", "t5": "o", "bart": "out_proj"}
    if model.config.model_type == "bert":
        return model.get_submodule(path.rpartition(".")[0]).output.dense
    return getattr(model.get_submodule(path), names[model.config.model_type])


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "gemma2", "mistral", "t5", "bart"])
def test_norms_are_those_of_what_the_projection_makes_of_each_value_alone(name):
    """One head and one key at a time through the model's own projection, without its bias."""
    model = build(name)
    calls = attentions(model)
    assert calls
    norms_of = ValueNorms(model)
    for path, value, weights, _ in calls:
        heads, groups, width = weights.shape[1], value.shape[1], value.shape[3]
        size = heads // groups
        norms = norms_of(path, value[0], range(heads), size)
        assert norms.shape == (heads, value.shape[2])
        assert norms.dtype == np.float32
        projection = projection_of(model, path)
        alone = torch.zeros(heads, value.shape[2], heads * width)
        for head in range(heads):
            alone[head, :, head * width : (head + 1) * width] = value[0, head // size]
        with torch.no_grad():
            expected = (projection(alone) - projection(torch.zeros_like(alone))).norm(dim=-1)
        np.testing.assert_allclose(norms, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_some_heads_are_asked_for_by_their_numbers():
    model = build("llama")
    path, value, _, _ = attentions(model)[0]
    norms_of = ValueNorms(model)
    every = norms_of(path, value[0], range(4), 2)
    np.testing.assert_array_equal(norms_of(path, value[0], torch.tensor([3, 1]), 2), every[[3, 1]])


class Quantised(torch.nn.Module):
    """A projection whose weights are no numbers that could be read; it stands for those of quantising packages."""

    def __init__(self, linear):
        super().__init__()
        self.in_features, self.linear = linear.in_features, [linear]
        self.weight = torch.nn.Parameter(torch.zeros(3, 1, dtype=torch.uint8), requires_grad=False)

    def forward(self, x):
        return self.linear[0](x)


def test_a_projection_whose_weights_cannot_be_read_is_asked_for_them():
    model = build("llama")
    path, value, _, _ = attentions(model)[0]
    expected = ValueNorms(model)(path, value[0], range(4), 2)
    module = model.get_submodule(path)
    module.o_proj = Quantised(module.o_proj)
    np.testing.assert_allclose(ValueNorms(model)(path, value[0], range(4), 2), expected, rtol=1e-5)


class Adapted(torch.nn.Module):
    """What PEFT puts in the place of a projection."""

    def __init__(self, linear, delta):
        super().__init__()
        self.base_layer, self.delta = linear, delta
        self.lora_A = {"default": None}
        self.active_adapters = ["default"]
        self.merged = self.disable_adapters = False

    def get_delta_weight(self, name):
        return self.delta


def test_what_an_adapter_adds_to_the_projection_counts():
    model = build("llama")
    path, value, _, _ = attentions(model)[0]
    module = model.get_submodule(path)
    plain = module.o_proj.weight.detach().clone()
    delta = torch.randn_like(plain)
    module.o_proj = Adapted(module.o_proj, delta)
    adapted = ValueNorms(model)(path, value[0], range(4), 2)
    module.o_proj = module.o_proj.base_layer
    with torch.no_grad():
        module.o_proj.weight += delta
    np.testing.assert_allclose(adapted, ValueNorms(model)(path, value[0], range(4), 2), rtol=1e-5)


def test_where_no_projection_is_found_there_are_no_norms():
    model = build("llama")
    path, value, _, _ = attentions(model)[0]
    norms_of = ValueNorms(model)
    assert norms_of("no.such.module", value[0], range(4), 2) is None
    assert norms_of(path, value[0][:, :, :5], range(4), 2) is None  # of another width
    model.get_submodule(path).attn_sub_norm = torch.nn.LayerNorm(32)
    assert ValueNorms(model)(path, value[0], range(4), 2) is None  # not linear


def test_values_that_are_no_numbers_have_no_norms():
    model = build("llama")
    path, value, _, _ = attentions(model)[0]
    assert ValueNorms(model)(path, value[0] * torch.nan, range(4), 2) is None
