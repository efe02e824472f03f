"""Attention that modules of the user's own compute with torch's functions: every usual way of writing it is seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import attnlog

HEADS, WIDTH, TOKENS = 4, 8, 7
AWAY = (torch.arange(TOKENS)[None] - torch.arange(TOKENS)[:, None]).float()
CAUSAL = AWAY <= 0
SLOPES = torch.tensor([0.5, 0.25, 0.125, 0.0625])[:, None, None]
FACTORS = torch.tensor([0.4, 1.0, 1.7, 2.5])[:, None, None]
KEPT = torch.tensor([1.0, 0.5, 0.0, 1.0])[:, None, None]
ROOT = math.sqrt(WIDTH)


class Attention(nn.Module):
    """Projects, and leaves the attention itself to a function of its own: q, k, v ``[batch, heads, tokens, width]``."""

    def __init__(self, attend, groups=HEADS):
        super().__init__()
        self.num_heads, self.groups, self.attend = HEADS, groups, attend
        self.to_q = nn.Linear(32, 32)
        self.to_k, self.to_v = nn.Linear(32, groups * WIDTH), nn.Linear(32, groups * WIDTH)
        self.to_out = nn.Linear(32, 32)

    def parts(self, x):
        found = []
        for projection, heads in ((self.to_q, HEADS), (self.to_k, self.groups), (self.to_v, self.groups)):
            found.append(projection(x).view(*x.shape[:2], heads, WIDTH).transpose(1, 2))
        return found

    def forward(self, x):
        mixed = self.attend(*self.parts(x))
        return self.to_out(mixed.transpose(1, 2).reshape(x.shape))


class Model(nn.Module):
    """Two blocks of attention and a feed-forward part, with no configuration and nothing of transformers."""

    def __init__(self, attend, **how):
        super().__init__()
        torch.manual_seed(3)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"attention": Attention(attend, **how), "norm": nn.LayerNorm(32), "feed": nn.Linear(32, 32)}) for _ in range(2)
        )
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.3)

    def forward(self, x):
        for block in self.blocks:
            x = x + block["attention"](block["norm"](x))
            x = x + F.gelu(block["feed"](x))
        return x


def flat(function):
    """Attend with heads folded into the batch: three dimensions."""

    def attend(q, k, v):
        q, k, v = (part.reshape(-1, TOKENS, WIDTH) for part in (q, k, v))
        return function(q, k, v).view(-1, HEADS, TOKENS, WIDTH)

    return attend


def by_head(tensor, q):
    """Repeat what each head has for every row of a batch that the heads are folded into."""
    return tensor.expand(HEADS, TOKENS, TOKENS).repeat(len(q) // HEADS, 1, 1)


def rows_by_head(q, k, v):
    """Tokens before heads, as JAX's models and their ports lay them out."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    weights = torch.einsum("bqhd,bkhd->bhqk", q, k).div(ROOT).softmax(-1)
    return torch.einsum("bhqk,bkhd->bqhd", weights, v).transpose(1, 2)


def transposed(q, k, v):
    """Values · weightsᵀ, as convolutional models write it: channels before positions."""
    weights = torch.softmax(q @ k.transpose(-1, -2) / ROOT, -1)
    return (v.transpose(-1, -2) @ weights.transpose(-1, -2)).transpose(-1, -2)


#: How it is written → the module's function, and (scale of each head, what is added, factor after the softmax) of the formula.
PLAIN = (1 / ROOT, torch.zeros(TOKENS, TOKENS), 1)
HIDDEN = torch.zeros(TOKENS, TOKENS).masked_fill(~CAUSAL, -torch.inf)
WRITTEN = {
    "sdpa": (F.scaled_dot_product_attention, PLAIN),
    "sdpa, causal": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), (1 / ROOT, HIDDEN, 1)),
    "sdpa, bool mask": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, CAUSAL), (1 / ROOT, HIDDEN, 1)),
    "sdpa, added mask": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=SLOPES * AWAY), (1 / ROOT, SLOPES * AWAY, 1)),
    "sdpa, own scale": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.9), (0.9, PLAIN[1], 1)),
    "sdpa, heads in the batch": (flat(F.scaled_dot_product_attention), PLAIN),
    "matmul": (lambda q, k, v: torch.softmax(torch.matmul(q, k.transpose(-1, -2)) / ROOT, dim=-1) @ v, PLAIN),
    "query scaled before": (lambda q, k, v: F.softmax((q / ROOT) @ k.mT, dim=-1) @ v, PLAIN),
    "masked": (lambda q, k, v: (q @ k.mT / ROOT).masked_fill(~CAUSAL, -torch.inf).softmax(-1) @ v, (1 / ROOT, HIDDEN, 1)),
    "bmm": (flat(lambda q, k, v: torch.bmm(F.softmax(torch.bmm(q, k.transpose(1, 2)) / ROOT, dim=-1), v)), PLAIN),
    "baddbmm": (
        flat(lambda q, k, v: torch.baddbmm(by_head(SLOPES * AWAY, q), q, k.mT, beta=1, alpha=1 / ROOT).softmax(-1).bmm(v)),
        (1 / ROOT, SLOPES * AWAY, 1),
    ),
    "einsum": (
        lambda q, k, v: torch.einsum("bhqk,bhkd->bhqd", (torch.einsum("bhqd,bhkd->bhqk", q, k) / ROOT).softmax(-1), v),
        PLAIN,
    ),
    "einsum with an ellipsis": (
        lambda q, k, v: torch.einsum("...qk,...kd->...qd", (torch.einsum("...qd,...kd->...qk", q, k) / ROOT).softmax(-1), v),
        PLAIN,
    ),
    "einsum, tokens before heads": (rows_by_head, PLAIN),
    "a factor per head": (lambda q, k, v: torch.softmax(q @ k.mT * FACTORS / ROOT, -1) @ v, (FACTORS / ROOT, PLAIN[1], 1)),
    "heads masked after the softmax": (lambda q, k, v: (torch.softmax(q @ k.mT / ROOT, -1) * KEPT) @ v, (1 / ROOT, PLAIN[1], KEPT)),
    "values by weights": (transposed, PLAIN),
}


def formula(model, x, scale, added, factor):
    """Queries, keys and weights of each block by the formula, in float64."""
    found = []
    model = model.double()
    x = x.double()
    with torch.no_grad():
        for block in model.blocks:
            q, k, _ = block["attention"].parts(block["norm"](x))
            k = k.repeat_interleave(HEADS // k.shape[1], 1)
            found.append((q, k, torch.softmax(q @ k.mT * scale + added, -1) * factor))
            x = x + block["attention"](block["norm"](x))
            x = x + F.gelu(block["feed"](x))
    return found


def given(rows=2):
    return torch.randn(rows, TOKENS, 32, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("how", WRITTEN)
def test_weights_are_found_however_attention_is_written(how, monkeypatch):
    attend, known = WRITTEN[how]
    model, x = Model(attend).eval(), given()
    capture = attnlog.capture(model, {"x": x})
    assert not capture.missing
    assert len(capture.layers) == 4
    cast = [part.double() if isinstance(part, torch.Tensor) else part for part in known]
    monkeypatch.setattr(f"{__name__}.SLOPES", SLOPES.double())
    monkeypatch.setattr(f"{__name__}.AWAY", AWAY.double())
    for number, (_, _, weights) in enumerate(formula(model, x, *cast)):
        for row in range(2):
            np.testing.assert_allclose(capture.weights("self", number, row), weights[row].numpy(), atol=1e-5)


@pytest.mark.parametrize("how", WRITTEN)
def test_what_is_found_is_checked_and_said_to_come_of_functions(how):
    capture = attnlog.capture(Model(WRITTEN[how][0]).eval(), {"x": given()})
    for layer in capture.layers:
        assert layer.tap == "function"
        assert layer.module == f"blocks.{layer.layer}.attention"
        assert layer.check < 1e-5


@pytest.mark.parametrize("how", WRITTEN)
def test_queries_and_keys_explain_the_weights_but_for_what_is_added(how):
    attend, (_, added, factor) = WRITTEN[how]
    capture = attnlog.capture(Model(attend).eval(), {"x": given()})
    explained = max(float(layer.explained.max()) for layer in capture.layers)
    assert (explained > 1e-2) == (bool((added[added > -torch.inf] != 0).any()) or isinstance(factor, torch.Tensor))
    if explained <= 1e-2:
        assert explained < 1e-5


@pytest.mark.parametrize("how", WRITTEN)
def test_outputs_are_bit_identical_while_they_are_seen(how):
    from attnlog.capture.functions import FunctionTap

    model, x, seen, doubted = Model(WRITTEN[how][0]).eval(), given(), [], []
    paths = {id(module): name for name, module in model.named_modules()}
    with torch.no_grad():
        plain = model(x)
        with FunctionTap(seen.append, paths, lambda: 2, None, pytest.fail, lambda *said: doubted.append(said), pytest.fail):
            tapped = model(x)
    # Of heads in the batch dimension nobody can tell which input they are of, while there are several.
    assert len(seen) + len(doubted) == 2
    assert torch.equal(plain, tapped)


def test_grouped_heads_of_torchs_own_attention_name_their_key_group():
    model = Model(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), groups=2).eval()
    capture = attnlog.capture(model, {"x": given()})
    assert capture.group("self", 0) == (0, 0, 1, 1)
    for number, (q, k, weights) in enumerate(formula(model, given(), *PLAIN)):
        np.testing.assert_allclose(capture.weights("self", number, 1), weights[1].numpy(), atol=1e-5)
        np.testing.assert_allclose(capture.vectors("q", "self", number, 1), q[1].numpy(), atol=1e-5)
        np.testing.assert_allclose(capture.vectors("k", "self", number, 1), k[1][::2].numpy(), atol=1e-5)
