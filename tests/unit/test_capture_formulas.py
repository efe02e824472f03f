"""Weights, queries and keys are those of the papers' formulas, computed here from the weights of the model alone.

The models run in float64: what is recorded then differs from the formula only by its own float32, of which 1e-6 is a few roundings.
In float32 a model's own rounding, through layers of scores as large as these, would be as large as the bound.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import attnlog

IDS = np.array([7, 12, 5, 33, 41, 8, 8, 19, 60, 5, 27])
HEADS = 4
BOUND = {"atol": 1e-6, "rtol": 0}


def peaked(model):
    """Give a model random weights under which rows of attention range from nearly flat to nearly one key."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.35 if any(part in name for part in ("query", "key", "c_attn")) else 0.15
            parameter.add_(torch.randn(parameter.shape, generator=generator) * spread)
    return model.double().eval()


def tables(model):
    """The state dict as numpy arrays in float64."""
    return {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def layer_norm(x, gain, bias, epsilon):
    """Ba et al. 2016: over the features of each token, with the biased variance."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * gain + bias


def gelu(x):
    """Hendrycks and Gimpel 2016: x·Φ(x)."""
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_new(x):
    """The approximation by tanh, as GPT-2 was trained with."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def heads_of(x):
    """[tokens, width] → [heads, tokens, width of a head]."""
    return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)


def attended(q, k, v, visible=None):
    """Vaswani et al. 2017, section 3.2: softmax(QKᵀ/√d)·V of each head; returns the weights, and the heads side by side."""
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
    weights = softmax(scores if visible is None else np.where(visible, scores, -np.inf))
    return weights, (weights @ v).transpose(1, 0, 2).reshape(q.shape[1], -1)


def encoder(w, prefix, x, layers, epsilon):
    """Devlin et al. 2018 on Vaswani et al.: attention, then a feed-forward part, each added to its input and then normalised."""

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    found = []
    for number in range(layers):
        at = f"{prefix}encoder.layer.{number}."
        q, k, v = (heads_of(linear(f"{at}attention.self.{role}", x)) for role in ("query", "key", "value"))
        weights, mixed = attended(q, k, v)
        found.append((weights, q, k))
        norm = f"{at}attention.output.LayerNorm"
        x = layer_norm(x + linear(f"{at}attention.output.dense", mixed), w[f"{norm}.weight"], w[f"{norm}.bias"], epsilon)
        inner = gelu(linear(f"{at}intermediate.dense", x))
        norm = f"{at}output.LayerNorm"
        x = layer_norm(x + linear(f"{at}output.dense", inner), w[f"{norm}.weight"], w[f"{norm}.bias"], epsilon)
    return found


def embedded(w, prefix, positions, epsilon):
    """Devlin et al. 2018, figure 2: token, segment and position embeddings are added, then normalised."""
    names = ("word_embeddings", "token_type_embeddings", "position_embeddings")
    word, segment, position = (w[f"{prefix}embeddings.{name}.weight"] for name in names)
    norm = f"{prefix}embeddings.LayerNorm"
    return layer_norm(word[IDS] + segment[0] + position[positions], w[f"{norm}.weight"], w[f"{norm}.bias"], epsilon)


def bert():
    import transformers as t

    config = t.BertConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=HEADS, intermediate_size=64, vocab_size=64, max_position_embeddings=40
    )
    torch.manual_seed(0)
    model = peaked(t.BertModel(config))
    w = tables(model)
    return model, encoder(w, "", embedded(w, "", np.arange(len(IDS)), 1e-12), 3, 1e-12)


def roberta():
    """Liu et al. 2019: BERT's encoder; its positions are numbered from padding_idx + 1."""
    import transformers as t

    config = t.RobertaConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=HEADS,
        intermediate_size=64,
        vocab_size=64,
        max_position_embeddings=40,
        layer_norm_eps=1e-5,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    model = peaked(t.RobertaForMaskedLM(config))
    w = tables(model)
    positions = 1 + 1 + np.arange(len(IDS))
    return model, encoder(w, "roberta.", embedded(w, "roberta.", positions, 1e-5), 3, 1e-5)


def gpt2():
    """Radford et al. 2019: normalisation before each part, a causal mask, weights stored input × output (Conv1D)."""
    import transformers as t

    config = t.GPT2Config(n_embd=32, n_layer=3, n_head=HEADS, vocab_size=64, n_positions=40)
    torch.manual_seed(0)
    model = peaked(t.GPT2LMHeadModel(config))
    w = tables(model)

    def conv(name, x):
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    def norm(name, x):
        return layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    x = w["transformer.wte.weight"][IDS] + w["transformer.wpe.weight"][: len(IDS)]
    visible = np.tril(np.ones((len(IDS), len(IDS)), dtype=bool))
    found = []
    for number in range(3):
        at = f"transformer.h.{number}."
        q, k, v = (heads_of(part) for part in np.split(conv(f"{at}attn.c_attn", norm(f"{at}ln_1", x)), 3, axis=-1))
        weights, mixed = attended(q, k, v, visible)
        found.append((weights, q, k))
        x = x + conv(f"{at}attn.c_proj", mixed)
        x = x + conv(f"{at}mlp.c_proj", gelu_new(conv(f"{at}mlp.c_fc", norm(f"{at}ln_2", x))))
    return model, found


MODELS = {"bert": bert, "roberta": roberta, "gpt2": gpt2}


@pytest.fixture(params=MODELS)
def case(request):
    model, expected = MODELS[request.param]()
    return attnlog.capture(model, {"input_ids": torch.from_numpy(IDS)[None]}), expected


def test_weights_are_those_of_the_papers_formula(case):
    capture, expected = case
    assert not capture.missing
    assert [layer.layer for layer in capture.layers] == [0, 1, 2]
    for number, (weights, _, _) in enumerate(expected):
        np.testing.assert_allclose(capture.weights("self", number), weights, **BOUND)


def test_queries_and_keys_are_those_of_the_papers_formula(case):
    capture, expected = case
    for number, (_, q, k) in enumerate(expected):
        np.testing.assert_allclose(capture.vectors("q", "self", number), q, **BOUND)
        np.testing.assert_allclose(capture.vectors("k", "self", number), k, **BOUND)


def test_the_attention_compared_is_neither_flat_nor_all_on_one_key(case):
    """What makes the comparisons above mean something."""
    _, expected = case
    largest = np.concatenate([weights[:, 3:].max(-1).ravel() for weights, _, _ in expected])
    assert largest.max() > 0.9
    assert largest.min() < 0.4


def test_the_recorded_scale_is_one_over_the_root_of_the_width_of_a_head(case):
    capture, _ = case
    assert [layer.vectors.scale for layer in capture.layers] == pytest.approx([1 / math.sqrt(8)] * 3)
