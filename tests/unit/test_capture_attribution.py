"""Whose weights they are: where a batch can be read in two ways, nothing is guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import attnlog


class Attention(nn.Module):
    """Projections of four heads, and attention however `how` writes it."""

    def __init__(self, how: Any) -> None:
        super().__init__()
        self.num_heads = 4
        self.q, self.k, self.v = (nn.Linear(16, 16) for _ in "qkv")
        self.how, self.queries = how, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (project(x).unflatten(-1, (4, 4)).transpose(1, 2) for project in (self.q, self.k, self.v))
        self.queries.append(q.detach())
        found: torch.Tensor = self.how(q, k, v)
        return found


def heads_outside(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    q, k, v = (t.transpose(0, 1).flatten(0, 1) for t in (q, k, v))
    return torch.softmax(q @ k.mT / 2, -1) @ v


def heads_first(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    q, k, v = (t.transpose(0, 1) for t in (q, k, v))
    return torch.softmax(q @ k.mT / 2, -1) @ v


@pytest.mark.parametrize("how", [heads_outside, heads_first])
def test_heads_before_inputs_are_not_taken_for_inputs(how: Any) -> None:
    model, x = Attention(how), torch.randn(4, 5, 16, generator=torch.Generator().manual_seed(1))
    together = attnlog.capture(model, {"x": x})
    for number in range(4):
        alone = attnlog.capture(model, {"x": x[number : number + 1]})
        assert np.allclose(together.weights("self", 0, number), alone.weights("self", 0), atol=1e-6)


@pytest.mark.parametrize(
    "scores",
    [
        lambda q, k: torch.einsum("bhkd,bhqd->bhqk", k, q),
        lambda q, k: (k @ q.mT).transpose(-1, -2),
        lambda q, k: (k @ q.mT).permute(0, 1, 3, 2),
    ],
    ids=["einsum", "transpose", "permute"],
)
def test_queries_are_rows_whichever_is_named_first(scores: Any) -> None:
    model = Attention(lambda q, k, v: torch.softmax(scores(q, k) / 2, -1) @ v)
    found = attnlog.capture(model, {"x": torch.randn(1, 5, 16)})
    assert np.allclose(found.vectors("q", "self", 0), model.queries[-1][0], atol=1e-6)
    assert found.layers[0].explained.max() < 1e-6


class Doubled(nn.Module):
    """Runs its inputs and their negatives as one batch."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention(lambda q, k, v: torch.softmax(q @ k.mT / 2, -1) @ v)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.attention(torch.cat([x, -x]))
        return found


def test_what_a_model_adds_to_its_batch_stays_with_the_input_it_was_made_of() -> None:
    model, x = Doubled(), torch.randn(2, 3, 16)
    together, alone = attnlog.capture(model, {"x": x}), attnlog.capture(model, {"x": x[1:]})
    for one, other in zip([layer for layer in together.layers if layer.input == 1], alone.layers, strict=True):
        assert np.allclose(one.weights, other.weights, atol=1e-6)


@pytest.mark.parametrize("source", [5, 7])
def test_cross_attention_is_cross_also_when_both_sides_are_equally_long(source: int) -> None:
    model = nn.Transformer(16, 4, 1, 1, 32, batch_first=True)
    found = attnlog.capture(model, {"src": torch.randn(1, source, 16), "tgt": torch.randn(1, 7, 16)})
    assert {layer.kind for layer in found.layers} == {"encoder", "decoder", "cross"}


def test_a_softmax_that_is_changed_before_it_is_used_is_told() -> None:
    model = Attention(lambda q, k, v: (torch.softmax(q @ k.mT / 2, -1) * 3) @ v)
    with pytest.raises(attnlog.AttnlogError):
        attnlog.capture(model, {"x": torch.randn(1, 5, 16)})
    with attnlog.watch(model) as watched:
        model(torch.randn(1, 5, 16))
    found = watched.take()
    assert found is not None
    assert "changed before it met the values" in str(found.missing[0])


def test_inputs_that_do_not_run_along_the_tokens_are_not_cropped_with_them() -> None:
    class Styled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.style = nn.Embedding(64, 16), nn.Linear(6, 16)
            self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, input_ids: Any, attention_mask: Any = None, style: Any = None) -> Any:
            x = self.embedding(input_ids) + self.style(style)[:, None]
            return self.attention(x, x, x)[0]

    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    given = {"input_ids": torch.randint(1, 60, (2, 6)), "attention_mask": mask, "style": torch.randn(2, 6)}
    assert [layer.shape for layer in attnlog.capture(Styled(), given).layers] == [(6, 6), (4, 4)]
