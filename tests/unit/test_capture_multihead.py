"""Attention of torch's own modules, through their fused paths and without, bit for bit what they compute alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import attnlog

WIDTH, HEADS = 32, 4


def given(tokens=7, rows=2, seed=5):
    return torch.randn(rows, tokens, WIDTH, generator=torch.Generator().manual_seed(seed))


class Around(nn.Module):
    """A model around one attention module, called as the test says."""

    def __init__(self, call=lambda attention, x: attention(x, x, x, need_weights=False)[0], **how):
        super().__init__()
        torch.manual_seed(3)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, **{"batch_first": True, **how})
        self.call = call
        for parameter in self.attention.parameters():
            nn.init.normal_(parameter, std=0.3)

    def forward(self, x, other=None):
        return self.call(self.attention, x) if other is None else self.attention(x, other, other)[0]


def expected(model, x, other=None, **how):
    """Weights of each head as the module itself returns them, ``[rows, heads, queries, keys]``."""
    other = x if other is None else other
    with torch.no_grad():
        return model.attention(x, other, other, average_attn_weights=False, **how)[1].numpy()


def assert_weights(capture, weights, kind="self", layer=0):
    for row in range(len(weights)):
        np.testing.assert_allclose(capture.weights(kind, layer, row), weights[row], atol=1e-6)


CAUSAL = torch.ones(7, 7).triu(1).bool()
PADDED = torch.zeros(2, 7).bool().index_fill(1, torch.tensor([6]), True)
CALLS = {
    "fused": {"need_weights": False},
    "not fused": {"need_weights": True},
    "heads averaged": {"need_weights": True, "average_attn_weights": True},
    "causal": {"need_weights": False, "attn_mask": CAUSAL, "is_causal": True},
    "added mask": {"need_weights": False, "attn_mask": torch.linspace(-2, 2, 49).view(7, 7)},
    "padded": {"need_weights": False, "key_padding_mask": PADDED},
    "padded and masked": {"need_weights": True, "key_padding_mask": PADDED, "attn_mask": CAUSAL},
}


@pytest.mark.parametrize("how", CALLS)
def test_weights_are_those_the_module_returns_when_asked(how):
    model = Around(lambda attention, x: attention(x, x, x, **CALLS[how])[0]).eval()
    capture = attnlog.capture(model, {"x": given()})
    masks = {name: value for name, value in CALLS[how].items() if name in ("attn_mask", "key_padding_mask")}
    assert not capture.missing
    assert capture.provenance("self", 0) == "function"
    assert capture.layers[0].check < 1e-5
    assert_weights(capture, expected(model, given(), **masks))


@pytest.mark.parametrize("how", CALLS)
def test_outputs_are_bit_identical_while_they_are_seen(how):
    from attnlog.capture.functions import FunctionTap

    model, seen = Around(lambda attention, x: attention(x, x, x, **CALLS[how])[0]).eval(), []
    paths = {id(module): name for name, module in model.named_modules()}
    with torch.no_grad():
        plain = model(given())
        with FunctionTap(seen.append, paths, lambda: 2, None, pytest.fail, pytest.fail, pytest.fail):
            tapped = model(given())
    assert len(seen) == 1
    assert torch.equal(plain, tapped)


@pytest.mark.parametrize("how", [{"bias": False}, {"kdim": WIDTH, "vdim": WIDTH}, {"batch_first": False}])
def test_every_way_of_building_the_module_is_seen(how):
    def call(attention, x):
        x = x if attention.batch_first else x.transpose(0, 1)
        found = attention(x, x, x)[0]
        return found if attention.batch_first else found.transpose(0, 1)

    model = Around(call, **how).eval()
    capture = attnlog.capture(model, {"x": given()})
    x = given() if model.attention.batch_first else given().transpose(0, 1)
    assert_weights(capture, expected(model, x))
    assert capture.layers[0].check < 1e-5


@pytest.mark.parametrize("how", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_keys_that_torch_adds_take_their_part_of_each_row(how):
    """They are no tokens: what rows lack of 1 is theirs."""
    model = Around(**how).eval()
    capture = attnlog.capture(model, {"x": given()})
    weights = expected(model, given())
    assert weights.shape == (2, HEADS, 7, 8)
    assert_weights(capture, weights[..., :7])


def test_attention_to_another_sequence_is_of_another_axis():
    model = Around().eval()
    x, other = given(), given(tokens=5, seed=6)
    capture = attnlog.capture(model, {"x": x, "other": other})
    ((kind, layer),) = {(layer.kind, layer.layer) for layer in capture.layers}
    assert ">" in kind
    assert_weights(capture, expected(model, x, other), kind, layer)


def test_queries_and_keys_explain_the_weights():
    capture = attnlog.capture(Around().eval(), {"x": given()}, record=("attention", "vectors", "values"))
    assert capture.vectors("q", "self", 0, 0).shape == (HEADS, 7, WIDTH // HEADS)
    assert max(float(layer.explained.max()) for layer in capture.layers) < 1e-5


def transformer(layers=3, *, norm_first=False, nested=True):
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 64, batch_first=True, norm_first=norm_first, dropout=0.0)
    encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=nested and not norm_first)
    for parameter in encoder.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


def step_by_step(encoder, x, mask=None):
    """Weights of every layer, with the layers computed one part after the other."""
    found = []
    with torch.no_grad():
        for layer in encoder.layers:
            inner = layer.norm1(x) if layer.norm_first else x
            out, weights = layer.self_attn(inner, inner, inner, key_padding_mask=mask, average_attn_weights=False)
            found.append(weights.numpy())
            x = x + out if layer.norm_first else layer.norm1(x + out)
            x = x + layer._ff_block(layer.norm2(x)) if layer.norm_first else layer.norm2(x + layer._ff_block(x))
    return found


@pytest.mark.parametrize("norm_first", [False, True])
def test_layers_that_are_computed_in_one_fused_kernel_are_seen(norm_first):
    encoder = transformer(norm_first=norm_first)
    capture = attnlog.capture(encoder, given())
    assert {layer.layer for layer in capture.layers} == {0, 1, 2}
    assert {layer.module for layer in capture.layers} == {f"layers.{number}.self_attn" for number in range(3)}
    assert max(layer.check for layer in capture.layers) < 1e-4
    for number, weights in enumerate(step_by_step(encoder, given())):
        assert_weights(capture, weights, layer=number)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_rows_that_the_encoder_packs_without_their_padding_are_seen():
    encoder, x = transformer(), given()
    mask = torch.zeros(2, 7).bool()
    mask[1, 4:] = True
    capture = attnlog.capture(encoder, {"src": x, "src_key_padding_mask": mask})
    for number, weights in enumerate(step_by_step(encoder, x, mask)):
        np.testing.assert_allclose(capture.weights("self", number, 0), weights[0], atol=1e-5)
        np.testing.assert_allclose(capture.weights("self", number, 1)[:, :4, :4], weights[1][:, :4, :4], atol=1e-5)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("how", ["plain", "norm first", "packed"])
def test_fused_layers_stay_fused_and_bit_identical(how):
    from attnlog.capture.functions import FunctionTap

    encoder = transformer(norm_first=how == "norm first")
    mask = torch.zeros(2, 7).bool()
    mask[1, 4:] = True
    keywords = {"src_key_padding_mask": mask} if how == "packed" else {}
    paths, seen = {id(module): name for name, module in encoder.named_modules()}, []
    with torch.no_grad():
        plain = encoder(given(), **keywords)
        with FunctionTap(seen.append, paths, lambda: 2, None, pytest.fail, pytest.fail, pytest.fail):
            tapped = encoder(given(), **keywords)
    assert len(seen) == 3
    assert torch.equal(plain, tapped)


def test_a_decoder_of_torch_attends_to_itself_and_to_its_memory():
    torch.manual_seed(1)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, HEADS, 64, batch_first=True), 2).eval()
    x, memory = given(), given(tokens=5, seed=6)
    capture = attnlog.capture(decoder, {"tgt": x, "memory": memory})
    modules = {layer.module: layer for layer in capture.layers}
    assert sorted(modules) == sorted(f"layers.{n}.{part}" for n in range(2) for part in ("self_attn", "multihead_attn"))
    with torch.no_grad():
        for number, layer in enumerate(decoder.layers):
            own, weights = layer.self_attn(x, x, x, average_attn_weights=False)
            found = modules[f"layers.{number}.self_attn"]
            assert_weights(capture, weights.numpy(), found.kind, found.layer)
            x = layer.norm1(x + own)
            looked, weights = layer.multihead_attn(x, memory, memory, average_attn_weights=False)
            found = modules[f"layers.{number}.multihead_attn"]
            assert found.shape == (7, 5)
            assert_weights(capture, weights.numpy(), found.kind, found.layer)
            x = layer.norm2(x + looked)
            x = layer.norm3(x + layer._ff_block(x))


def test_encoder_and_decoder_of_torchs_transformer_have_kinds_of_their_own():
    torch.manual_seed(1)
    model = nn.Transformer(WIDTH, HEADS, 3, 1, 64, batch_first=True).eval()
    capture = attnlog.capture(model, {"src": given(), "tgt": given(tokens=5, seed=6)})
    kinds: dict[str, set[int]] = {}
    for layer in capture.layers:
        kinds.setdefault(layer.kind, set()).add(layer.layer)
    assert kinds == {"encoder": {0, 1, 2}, "decoder": {0}, "cross": {0}}


def test_what_goes_wrong_in_looking_at_it_leaves_the_forward_pass_alone(monkeypatch):
    from attnlog.capture import multihead

    model = nn.Sequential(Around(), nn.TransformerEncoderLayer(WIDTH, HEADS, 64, batch_first=True)).eval()
    made, calls = multihead._made, []

    def first_fails(*args, **how):
        calls.append(how)
        if len(calls) == 1:
            raise RuntimeError("made to fail")
        return made(*args, **how)

    monkeypatch.setattr(multihead, "_made", first_fails)
    capture = attnlog.capture(model, given())
    assert {layer.module for layer in capture.layers} == {"1.self_attn"}
    assert any("could not follow" in one.reason and "made to fail" in one.reason for one in capture.missing)
