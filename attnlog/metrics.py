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

    weights: Tensor  # float32 [heads, rows, keys]; a causal block may end before the last key, as later weights are 0
    start: int  # the query number of the first row
    total: int  # how many keys there are
    xp: Xp  # numpy or torch
    aligned: bool  # queries and keys are the same tokens
    positions: Tensor  # float32 [keys or more], 0 … keys − 1
    separators: Tensor | None  # float32 [keys], 1 at special keys other than key 0
    repeats: tuple[Tensor, Tensor, int] | None  # row in the block and key of each key that follows an earlier copy; rows with one
    logs: Tensor | None  # log₂ of the weights, where they are known already
    room: Tensor | None  # as large as the weights, to compute in; None makes its own

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.weights.shape[1])


_LEAST = 2e-38  # smaller numbers are computed slowly, and add nothing to an entropy

Total = tuple[Tensor, int]  # sum over the rows that count [heads], and how many those are


def _beside(block: Block, by: int) -> Tensor:
    """Sum over rows the weight of the key that lies `by` tokens further."""
    return block.weights.diagonal(block.start + by, 1, 2).sum(-1)


def entropy(block: Block) -> Total | None:
    """Shannon entropy of a row, −Σⱼ wᵢⱼ log₂ wᵢⱼ, in bits: 0 for a head that looks at one token.

    Source: Shannon 1948; used of attention heads by Clark et al. 2019, "What Does BERT Look At?", section 3.3.
    """
    w, xp, logs = block.weights, block.xp, block.logs
    if logs is None:
        logs = xp.clip(w, _LEAST, None, out=block.room)  # in place from here: torch's own xlogy and entr take twice as long
        logs = xp.log2(logs, out=logs)
    return -xp.multiply(logs, w, out=block.room).sum(-1).sum(-1), block.rows


def distance(block: Block) -> Total | None:
    """Mean attention distance of a row, Σⱼ wᵢⱼ·|i−j|, in tokens.

    Source: Vig & Belinkov 2019, "Analyzing the Structure of Attention in a Transformer Language Model", equation 4.
    """
    if not block.aligned:
        return None
    keys = block.positions[: block.weights.shape[2]]
    away = abs(block.positions[block.start : block.start + block.rows, None] - keys[None, :])
    return block.xp.multiply(block.weights, away, out=block.room).sum(-1).sum(-1), block.rows


def previous(block: Block) -> Total | None:
    """Weight of the token before, wᵢ,ᵢ₋₁, over rows i ≥ 1.

    Source: previous-token heads, Clark et al. 2019, section 3.1; Olsson et al. 2022, "In-context Learning and Induction Heads".
    """
    if not block.aligned:
        return None
    return _beside(block, -1), block.rows - (block.start == 0)


def next(block: Block) -> Total | None:
    """Weight of the token after, wᵢ,ᵢ₊₁, over rows that have one. Source: Clark et al. 2019, section 3.1."""
    if not block.aligned:
        return None
    return _beside(block, 1), block.rows - (block.start + block.rows == block.total)


def self_(block: Block) -> Total | None:
    """Weight of the token itself, wᵢᵢ. Source: Clark et al. 2019, section 3.1."""
    return (_beside(block, 0), block.rows) if block.aligned else None


def first(block: Block) -> Total | None:
    """Weight of key 0, over rows i ≥ 1 where queries and keys are the same tokens, else over all rows.

    Source: attention sinks, Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks".
    """
    left_out = int(block.aligned and block.start == 0)
    return block.weights[:, left_out:, 0].sum(-1), block.rows - left_out


def separator(block: Block) -> Total | None:
    """Weight of special tokens other than key 0 ([SEP], </s>, …). Source: Clark et al. 2019, section 3.2."""
    if block.separators is None:
        return None
    return (block.weights @ block.separators).sum(-1), block.rows


def induction(block: Block) -> Total | None:
    """Weight of keys that follow an earlier copy of the row's token: Σ wᵢⱼ over 1 ≤ j ≤ i with idⱼ₋₁ = idᵢ.

    Over rows that have such a key and are not special. Source: Olsson et al. 2022, "In-context Learning and Induction
    Heads" (the prefix-matching score, there on random repeated tokens; here on whatever repeats in the input).
    """
    if block.repeats is None:
        return None
    rows, keys, count = block.repeats
    return block.weights[:, rows, keys].sum(-1), count


METRICS: dict[str, Callable[[Block], Total | None]] = {
    "entropy": entropy,
    "distance": distance,
    "previous": previous,
    "next": next,
    "self": self_,
    "first": first,
    "separator": separator,
    "induction": induction,
}


class Repeats:
    """Which keys follow an earlier copy of a row's token. All layers of an input share what is found, which takes as long as they do."""

    def __init__(self, axis: Axis) -> None:
        """Number the tokens of an axis."""
        self._ids = _same(axis)
        self._found: dict[tuple[int, int], tuple[Tensor, Tensor, int] | None] = {}

    def of(self, start: int, stop: int, asarray: Callable[[Any], Tensor]) -> tuple[Tensor, Tensor, int] | None:
        """Return row − start and key of each, and how many rows have one; None where no row has."""
        if (start, stop) not in self._found:
            self._found[start, stop] = self._look(start, stop, asarray)
        return self._found[start, stop]

    def _look(self, start: int, stop: int, asarray: Callable[[Any], Tensor]) -> tuple[Tensor, Tensor, int] | None:
        ids, rows = self._ids, np.arange(start, stop)
        after = (ids[None, :-1] == ids[rows, None]) & (ids[rows, None] >= 0) & (np.arange(1, len(ids))[None, :] <= rows[:, None])
        found, before = after.nonzero()
        return (asarray(found), asarray(before + 1), len(np.unique(found))) if len(found) else None


class MetricMeans:
    """Adds up metric rows block by block and gives the means."""

    def __init__(
        self,
        query: Axis,
        key: Axis,
        *,
        aligned: bool,
        heads: int,
        xp: Xp,
        asarray: Callable[[Any], Tensor],
        repeats: Repeats | None = None,
        room: Callable[[tuple[int, ...]], Tensor] | None = None,
    ) -> None:
        """Prepare for one layer of one input.

        Args:
            query: the tokens of the rows.
            key: the tokens of the columns.
            aligned: whether both are the same tokens (not for cross attention).
            heads: how many heads each block has.
            xp: numpy or torch.
            asarray: makes an array of that library, on the device where blocks are, from a numpy array.
            repeats: of the query tokens, where they were looked for already on this device.
            room: lends float32 memory of a shape to compute in.
        """
        self._xp, self._asarray, self._aligned, self._heads, self._room = xp, asarray, aligned, heads, room
        self._positions = asarray(np.arange(max(len(query.tokens), len(key.tokens)), dtype=np.float32))
        self._total = len(key.tokens)
        special = np.array(key.special if key.special is not None else np.zeros(len(key.tokens)), dtype=np.float32)
        special[:1] = 0
        self._separators = asarray(special) if special.any() else None
        self._repeats = (repeats or Repeats(query)) if aligned and len(query.tokens) > 1 else None
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, weights: Tensor, start: int, logs: Tensor | None = None) -> None:
        """Add query rows of all heads.

        Args:
            weights: float32 ``[heads, rows, keys]``; later keys may be left out where all are 0.
            start: the first of the rows.
            logs: log₂ of the weights, finite; None computes them.
        """
        block = Block(
            weights=weights,
            start=start,
            total=self._total,
            xp=self._xp,
            aligned=self._aligned,
            positions=self._positions,
            separators=None if self._separators is None else self._separators[: weights.shape[2]],
            repeats=None if self._repeats is None else self._repeats.of(start, start + weights.shape[1], self._asarray),
            logs=logs,
            room=None if self._room is None else self._room(tuple(weights.shape)),
        )
        for name, metric in METRICS.items():
            found = metric(block)
            if found is not None:
                self._sums[name] = self._sums.get(name, 0) + found[0]
                self._counts[name] = self._counts.get(name, 0) + found[1]

    def means(self) -> dict[str, Tensor]:
        """Return name → mean per head, NaN where the metric is not defined for these tokens; still on the device."""
        undefined = self._asarray(np.full(self._heads, np.nan, dtype=np.float32))
        return {name: self._sums[name] / self._counts[name] if self._counts.get(name) else undefined for name in METRICS}


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
        return {name: np.asarray(mean, dtype=np.float32) for name, mean in means.means().items()}
