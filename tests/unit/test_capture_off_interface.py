"""Models outside transformers' attention interface: their weights, what of them queries and keys explain, and what is no attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import attnlog
from attnlog.errors import InputError, NoAttentionError
from tests.conftest import build


def large(model, *, std=0.15):
    """Random weights under which attention is not flat."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=std, generator=generator)
    return model.eval()


def deberta():
    import transformers as t

    config = t.DebertaV2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        vocab_size=64,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["p2c", "c2p"],
        max_position_embeddings=40,
    )
    return t.DebertaV2Model(config)


def xlnet():
    import transformers as t

    return t.XLNetModel(t.XLNetConfig(d_model=32, n_layer=2, n_head=4, d_inner=64, vocab_size=64))


def gptj():
    import transformers as t

    return t.GPTJForCausalLM(t.GPTJConfig(n_embd=32, n_layer=2, n_head=4, rotary_dim=4, vocab_size=64, n_positions=40))


BIASED = {"bloom": lambda: build("bloom"), "deberta-v2": deberta, "xlnet": xlnet}
IDS = torch.tensor([[7, 12, 5, 33, 41, 8, 19, 22], [9, 9, 14, 50, 3, 27, 8, 60]])


@pytest.mark.parametrize("name", [*BIASED, "gpt-j"])
def test_weights_are_those_the_model_returns(name):
    model = large({**BIASED, "gpt-j": gptj}[name]())
    capture = attnlog.capture(model, {"input_ids": IDS})
    with torch.no_grad():
        returned = model(input_ids=IDS, output_attentions=True).attentions
    assert not capture.missing
    for number, weights in enumerate(returned):
        for row in range(2):
            assert capture.provenance("self", number) == "function"
            np.testing.assert_allclose(capture.weights("self", number, row), weights[row].numpy(), atol=1e-6)


@pytest.mark.parametrize("name", BIASED)
def test_what_queries_and_keys_do_not_explain_is_said(name):
    """ALiBi, disentangled positions and the second stream of scores are added to q·k: the remainder is theirs."""
    capture = attnlog.capture(large(BIASED[name]()), {"input_ids": IDS})
    for layer in capture.layers:
        assert float(layer.explained.max()) > 1e-3


def test_without_a_bias_queries_and_keys_explain_everything():
    capture = attnlog.capture(large(gptj()), {"input_ids": IDS})
    assert max(float(layer.explained.max()) for layer in capture.layers) < 1e-5


def test_what_alibi_adds_is_all_that_lies_between_queries_keys_and_weights():
    """Press et al. 2021: a slope of each head, 2^(−8/heads), 2^(−16/heads), …, times the distance."""
    capture = attnlog.capture(build("bloom"), {"input_ids": IDS[:1]})
    away = np.arange(8)[None] - np.arange(8)[:, None]
    slopes = 2.0 ** (-8 / 4 * np.arange(1, 5))
    for layer in capture.layers:
        q, k = (capture.vectors(which, "self", layer.layer).astype(np.float64) for which in "qk")
        scores = q @ k.transpose(0, 2, 1) * layer.vectors.scale + slopes[:, None, None] * away
        powers = np.where(away <= 0, np.exp(scores), 0)
        np.testing.assert_allclose(capture.weights("self", layer.layer), powers / powers.sum(-1, keepdims=True), atol=1e-5)


def test_both_streams_of_xlnet_are_calls_of_their_layer():
    """Yang et al. 2019, section 2.3: the content stream, and the query stream, which does not see its own token."""
    model = large(xlnet())
    hidden, target = torch.zeros(2, 8, 8), torch.zeros(2, 1, 8)
    hidden[:, :, -1] = target[:, 0, -1] = 1
    given = {"input_ids": IDS, "perm_mask": hidden, "target_mapping": target}
    capture = attnlog.capture(model, given)
    with torch.no_grad():
        streams = model(**given, output_attentions=True).attentions
    assert len(capture.layers) == 8
    for layer in capture.layers:
        np.testing.assert_allclose(layer.weights, streams[layer.layer][layer.call][layer.input].numpy(), atol=1e-6)


class Router(nn.Module):
    """A mixture of experts: a softmax of a projection chooses, and no query meets a key."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(16, 4), nn.Parameter(torch.randn(4, 16, 16))

    def forward(self, x):
        return torch.einsum("bte,bteo->bto", self.gate(x).softmax(-1), torch.einsum("bti,eio->bteo", x, self.experts))


class Prototypes(nn.Module):
    """A softmax over learned vectors, which are then mixed: a table that is read, not attention between tokens."""

    def __init__(self):
        super().__init__()
        self.keys, self.values = nn.Parameter(torch.randn(6, 16)), nn.Parameter(torch.randn(6, 16))

    def forward(self, x):
        return torch.softmax(x @ self.keys.T, -1) @ self.values


class Classifier(nn.Module):
    """A softmax at the end, of which nothing more is computed."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 5)

    def forward(self, x):
        return torch.softmax(self.linear(x), -1)


class Pooling(nn.Module):
    """Learned places that read the tokens: their scores come out of a projection, not of a product with keys."""

    def __init__(self):
        super().__init__()
        self.score, self.value = nn.Linear(16, 3), nn.Linear(16, 8)

    def forward(self, x):
        self.weights = self.score(x).transpose(1, 2).softmax(-1)
        return torch.einsum("...si,...id->...sd", self.weights, self.value(x))


def test_places_that_read_the_tokens_without_keys_are_attention_without_vectors():
    torch.manual_seed(0)
    model = Pooling().eval()
    capture = attnlog.capture(model, torch.randn(2, 5, 16))
    assert len(capture.layers) == 2
    for layer in capture.layers:
        np.testing.assert_allclose(layer.weights[0], model.weights[layer.input].detach().numpy(), atol=1e-6)
    assert {one.what for one in capture.missing} == {"vectors"}


class BatchFirst(nn.Module):
    """The wrapper of the guide."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


def test_a_module_with_tokens_first_is_recorded_through_a_wrapper_that_transposes():
    torch.manual_seed(0)
    model, given = Attending(False).eval(), torch.randn(2, 5, 16)
    capture = attnlog.capture(BatchFirst(model), given)
    turned = given.transpose(0, 1)
    with torch.no_grad():
        expected = model.inner(turned, turned, turned, average_attn_weights=False)[1]
    for number in range(2):
        np.testing.assert_allclose(capture.weights("self", 0, input=number), expected[number].numpy(), atol=1e-6)
    assert repr(capture) == "Capture(2 inputs of 5 self, 5 self tokens; self: 1 layers × 4 heads; missing: 0)"


class Unbatched(nn.Module):
    """Scores of whatever rows it gets: two dimensions, of which the first are tokens."""

    def __init__(self):
        super().__init__()
        self.query, self.key = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x):
        return torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2) / 4, -1) @ x


class Attending(nn.Module):
    """One `nn.MultiheadAttention` over itself."""

    def __init__(self, batch_first):
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 4, batch_first=batch_first)

    def forward(self, x):
        return self.inner(x, x, x)[0]


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Attending(False), (5, 1, 16)),
        (Attending(False), (5, 2, 16)),
        (Attending(False), (5, 16)),
        (Attending(True), (5, 16)),
        (Unbatched(), (6, 16)),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), 2, enable_nested_tensor=False), (6, 2, 16)),
    ],
)
def test_rows_that_are_tokens_are_never_taken_for_inputs(model, shape):
    """One row alone would be another computation, of 1 × 1 weights."""
    with pytest.raises(InputError, match="batch first"):
        attnlog.capture(model.eval(), torch.randn(shape))


def test_with_the_batch_first_the_same_modules_are_recorded():
    torch.manual_seed(0)
    model, given = Attending(True).eval(), torch.randn(2, 5, 16)
    capture = attnlog.capture(model, given)
    with torch.no_grad():
        expected = model.inner(given, given, given, average_attn_weights=False)[1]
    for number in range(2):
        np.testing.assert_allclose(capture.weights("self", 0, input=number), expected[number].numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", [Router, Prototypes, Classifier])
def test_a_softmax_that_is_no_attention_is_not_taken_for_it(kind):
    torch.manual_seed(0)
    with pytest.raises(NoAttentionError, match=kind.__name__):
        attnlog.capture(kind().eval(), torch.randn(2, 5, 16))


def test_a_router_beside_attention_leaves_the_attention_alone():
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(16, 2, batch_first=True)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.router = attention, Router()

        def forward(self, x):
            return self.router(x + self.attention(x, x, x)[0])

    capture = attnlog.capture(Both().eval(), torch.randn(2, 5, 16))
    assert {layer.module for layer in capture.layers} == {"attention"}
    assert not capture.missing


def test_a_mixtures_router_is_no_layer_of_its_attention():
    import transformers as t

    config = t.MixtralConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        vocab_size=64,
        num_local_experts=4,
    )
    torch.manual_seed(0)
    capture = attnlog.capture(large(t.MixtralForCausalLM(config)), {"input_ids": IDS})
    assert {layer.module for layer in capture.layers} == {"model.layers.0.self_attn", "model.layers.1.self_attn"}
