"""Head metrics: one number per head from its attention weights, the same formula for numpy arrays and torch tensors.

A metric is a mean over query rows, so weights may come in blocks of rows and a whole matrix is never needed. To add one:
write a function of a `Block` and put it into `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnlog.record import Axis, FloatArray

# Arrays are numpy's or torch's; both answer the few operations used here, so no common type exists.
Xp = Any
Tensor = Any


@dataclass(frozen=True)
class Block:
    """Some query rows of all heads of one layer, and what metrics need to know of their tokens."""

    weights: Tensor  # float32 [heads, rows, keys]
    rows: Tensor  # int64 [rows], the query number of each row
    keys: Tensor  # int64 [keys], 0 … keys − 1; a causal block may end before the last key, as later weights are 0
    total: int  # how many keys there are
    xp: Xp  # numpy or torch
    aligned: bool  # queries and keys are the same tokens
    separators: Tensor | None  # float32 [keys], 1 at special keys other than key 0
    repeats: Tensor | None  # float32 [rows, keys], 1 where the key follows an earlier copy of the row's token


_LEAST = 2e-38  # smaller numbers are computed slowly, and add nothing to an entropy

Rows = tuple[Tensor, Tensor]  # values [heads, rows], and 1 at rows that count [rows]


def _everywhere(block: Block) -> Tensor:
    return block.rows * 0 + 1


def _at(block: Block, keys: Tensor) -> Tensor:
    """Take the weight of one key per row; rows whose key is outside give 0."""
    inside = (keys >= 0) & (keys < len(block.keys))
    return block.weights[:, block.rows - block.rows[0], block.xp.where(inside, keys, 0)] * inside


def _weighted(block: Block, values: Tensor) -> Tensor:
    """Sum over keys of weight times a value per row and key."""
    if hasattr(block.weights, "log2_"):  # torch's blocks are small, and a product of two tensors is faster there than its einsum
        return (block.weights * block.xp.asarray(values, dtype=block.weights.dtype)).sum(-1)
    return block.xp.einsum("hrk,rk->hr", block.weights, block.xp.asarray(values, dtype=block.weights.dtype))


def entropy(block: Block) -> Rows | None:
    """Shannon entropy of a row, −Σⱼ wᵢⱼ log₂ wᵢⱼ, in bits: 0 for a head that looks at one token.

    Source: Shannon 1948; used of attention heads by Clark et al. 2019, "What Does BERT Look At?", section 3.3.
    """
    w = block.weights
    if hasattr(w, "log2_"):  # torch, in place; its own xlogy and entr are half as fast
        return -w.clamp(min=_LEAST).log2_().mul_(w).sum(-1), _everywhere(block)
    return -(w * block.xp.log2(block.xp.where(w > 0, w, 1.0))).sum(-1), _everywhere(block)


def distance(block: Block) -> Rows | None:
    """Mean attention distance of a row, Σⱼ wᵢⱼ·|i−j|, in tokens.

    Source: Vig & Belinkov 2019, "Analyzing the Structure of Attention in a Transformer Language Model", equation 4.
    """
    if not block.aligned:
        return None
    away = abs(block.rows[:, None] - block.keys[None, :])
    return _weighted(block, away), _everywhere(block)


def previous(block: Block) -> Rows | None:
    """Weight of the token before, wᵢ,ᵢ₋₁, over rows i ≥ 1.

    Source: previous-token heads, Clark et al. 2019, section 3.1; Olsson et al. 2022, "In-context Learning and Induction Heads".
    """
    if not block.aligned:
        return None
    return _at(block, block.rows - 1), block.rows >= 1


def next(block: Block) -> Rows | None:
    """Weight of the token after, wᵢ,ᵢ₊₁, over rows that have one. Source: Clark et al. 2019, section 3.1."""
    if not block.aligned:
        return None
    return _at(block, block.rows + 1), block.rows < block.total - 1


def self_(block: Block) -> Rows | None:
    """Weight of the token itself, wᵢᵢ. Source: Clark et al. 2019, section 3.1."""
    return (_at(block, block.rows), _everywhere(block)) if block.aligned else None


def first(block: Block) -> Rows | None:
    """Weight of key 0, over rows i ≥ 1 where queries and keys are the same tokens, else over all rows.

    Source: attention sinks, Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks".
    """
    return block.weights[:, :, 0], (block.rows >= 1 if block.aligned else _everywhere(block))


def separator(block: Block) -> Rows | None:
    """Weight of special tokens other than key 0 ([SEP], </s>, …). Source: Clark et al. 2019, section 3.2."""
    if block.separators is None:
        return None
    return block.weights @ block.separators, _everywhere(block)


def induction(block: Block) -> Rows | None:
    """Weight of keys that follow an earlier copy of the row's token: Σ wᵢⱼ over 1 ≤ j ≤ i with idⱼ₋₁ = idᵢ.

    Over rows that have such a key and are not special. Source: Olsson et al. 2022, "In-context Learning and Induction
    Heads" (the prefix-matching score, there on random repeated tokens; here on whatever repeats in the input).
    """
    if block.repeats is None:
        return None
    return _weighted(block, block.repeats), block.repeats.sum(-1) > 0


METRICS: dict[str, Callable[[Block], Rows | None]] = {
    "entropy": entropy,
    "distance": distance,
    "previous": previous,
    "next": next,
    "self": self_,
    "first": first,
    "separator": separator,
    "induction": induction,
}


class MetricMeans:
    """Adds up metric rows block by block and gives the means."""

    def __init__(self, query: Axis, key: Axis, *, aligned: bool, heads: int, xp: Xp, asarray: Callable[[Any], Tensor]) -> None:
        """Prepare for one layer of one input.

        Args:
            query: the tokens of the rows.
            key: the tokens of the columns.
            aligned: whether both are the same tokens (not for cross attention).
            heads: how many heads each block has.
            xp: numpy or torch.
            asarray: makes an array of that library, on the device where blocks are, from a numpy array.
        """
        self._xp, self._asarray, self._aligned = xp, asarray, aligned
        self._keys = asarray(np.arange(len(key.tokens)))
        special = np.array(key.special if key.special is not None else np.zeros(len(key.tokens)), dtype=np.float32)
        special[:1] = 0
        self._separators = asarray(special) if special.any() else None
        self._ids = _same(query) if aligned and len(query.tokens) > 1 else None
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, weights: Tensor, start: int) -> None:
        """Add query rows ``start …`` of all heads, float32 ``[heads, rows, keys]``; later keys may be left out where all are 0."""
        rows = np.arange(start, start + weights.shape[1])
        width = weights.shape[-1]
        repeats = self._repeats(rows)
        block = Block(
            weights=weights,
            rows=self._asarray(rows),
            keys=self._keys[:width],
            total=len(self._keys),
            xp=self._xp,
            aligned=self._aligned,
            separators=None if self._separators is None else self._separators[:width],
            repeats=None if repeats is None else repeats[:, :width],
        )
        for name, metric in METRICS.items():
            found = metric(block)
            if found is not None:
                values, counted = found
                self._sums[name] = self._sums.get(name, 0) + (values * counted[None]).sum(-1)
                self._counts[name] = self._counts.get(name, 0) + counted.sum()

    def _repeats(self, rows: Any) -> Tensor | None:
        if self._ids is None:
            return None
        after = np.zeros((len(rows), len(self._ids)), dtype=np.float32)
        after[:, 1:] = (self._ids[None, :-1] == self._ids[rows, None]) & (self._ids[rows, None] >= 0)
        after *= np.arange(len(self._ids))[None, :] <= rows[:, None]
        return self._asarray(after) if after.any() else None

    def means(self, heads: int) -> dict[str, Tensor]:
        """Return name → mean per head, NaN where the metric is not defined for these tokens; still on the device."""
        result = {}
        for name in METRICS:
            if name in self._sums:
                result[name] = self._sums[name] / self._counts[name]  # 0/0 is NaN: no row counts
            else:
                result[name] = self._asarray(np.full(heads, np.nan, dtype=np.float32))
        return result


def _same(axis: Axis) -> Any:
    """Number tokens so that equal tokens have equal numbers, special ones −1: they repeat without being text."""
    names: Sequence[object] = axis.ids if axis.ids is not None else axis.tokens
    numbers = np.unique(np.asarray(names), return_inverse=True)[1].reshape(-1).astype(np.int64)
    if axis.special is not None:
        numbers[np.asarray(axis.special, dtype=bool)] = -1
    return numbers


def head_metrics(weights: FloatArray, query: Axis, key: Axis, *, aligned: bool) -> dict[str, FloatArray]:
    """Compute all head metrics of float32 weights ``[heads, queries, keys]`` in numpy; name → ``[heads]``."""
    means = MetricMeans(query, key, aligned=aligned, heads=len(weights), xp=np, asarray=np.asarray)
    means.add(np.asarray(weights, dtype=np.float32), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: np.asarray(mean, dtype=np.float32) for name, mean in means.means(len(weights)).items()}
