"""Sparse weights of long inputs: the top keys of every query row, the mass left out, and a picture of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnlog.errors import NotRecordedError
from attnlog.record import Array, FloatArray, Sparse, to_codes, to_weights

TOP = 64  # keys kept of a query row, at most
MASS = 0.99  # of a row's mass: no more keys are kept once they hold it
PICTURE = 256  # cells of the picture, each way
DENSE_TOKENS = 512  # inputs of more queries or keys than this are stored sparse
_ROWS = 128  # query rows at a time


def starts(tokens: int, cells: int) -> NDArray[np.intp]:
    """Say at which token each of at most `cells` cells begins: ⌊r·tokens/cells⌋."""
    count = min(tokens, cells)
    return np.arange(count, dtype=np.intp) * tokens // max(count, 1)


def pooled(weights: Array, cells: int) -> Array:
    """Greatest value of each cell of ``[heads, queries, keys]``, as ``[heads, ≤ cells, ≤ cells]``."""
    for axis in (1, 2):
        tokens = weights.shape[axis]
        if tokens > cells:
            begins = starts(tokens, cells)
            lasts = np.append(begins[1:], tokens) - 1
            # One token of every cell at a time: numpy does that many times faster than maximum.reduceat.
            whole, weights = weights, weights.take(begins, axis=axis)
            for further in range(1, int((lasts - begins).max()) + 1):
                if tokens % cells == 0:
                    more = whole[:, further :: tokens // cells] if axis == 1 else whole[:, :, further :: tokens // cells]
                else:
                    more = whole.take(np.minimum(begins + further, lasts), axis=axis)
                np.maximum(weights, more, out=weights)
    return weights


def sparse_of(codes: Array) -> Sparse:
    """Keep the top keys of encoded weights ``[heads, queries, keys]``."""
    parts = [_kept(codes[:, start : start + _ROWS]) for start in range(0, codes.shape[1], _ROWS)]
    heads = range(len(codes))
    picture = pooled(codes, PICTURE)
    return Sparse(
        picture=np.asarray(picture if picture.dtype == np.uint8 else to_codes(picture, "u8"), dtype=np.uint8),
        counts=np.concatenate([part.counts for part in parts], axis=1),
        indices=np.concatenate([part.indices[head] for head in heads for part in parts]),
        weights=np.concatenate([part.codes[head] for head in heads for part in parts]),
        left_out=np.concatenate([part.left_out for part in parts], axis=1),
    )


@dataclass(frozen=True)
class Kept:
    """What is kept of some query rows of all heads."""

    counts: NDArray[np.uint32]  # [heads, rows]
    indices: list[NDArray[np.uint32]]  # per head, row after row
    codes: list[Array]
    left_out: FloatArray  # [heads, rows]


def _kept(codes: Array) -> Kept:
    weights = to_weights(codes)
    heads, rows, keys = weights.shape
    top = min(TOP, keys)
    least = np.partition(weights, keys - top, axis=2)[:, :, keys - top, None]
    more, equal = weights > least, weights == least
    # Of equal weights those of smaller keys, as many as there is room for.
    chosen = more | (equal & (np.cumsum(equal, axis=2, dtype=np.int32) <= top - more.sum(axis=2, keepdims=True)))
    indices = np.nonzero(chosen)[2].reshape(heads, rows, top)
    values = np.take_along_axis(weights, indices, axis=2)
    mass = weights.sum(axis=2, dtype=np.float32)
    order = np.argsort(-values, axis=2, kind="stable")
    falling = np.take_along_axis(values, order, axis=2)
    before = np.cumsum(falling, axis=2) - falling
    needed = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(needed, order, before < MASS * mass[:, :, None], axis=2)
    return Kept(
        counts=needed.sum(axis=2).astype(np.uint32),
        indices=[indices[head][needed[head]].astype(np.uint32) for head in range(heads)],
        codes=[np.take_along_axis(codes[head], indices[head], axis=1)[needed[head]] for head in range(heads)],
        left_out=np.clip(mass - (values * needed).sum(axis=2), 0, 1).astype(np.float32),
    )


class SparseWeights:
    """Weights of one layer of a long input, as they were stored: the top keys of every query row.

    What is not kept is not 0: its mass is `left_out`, and `picture` shows the whole. Heads are counted by their position in `heads`.
    """

    def __init__(self, heads: Sequence[int], shape: tuple[int, int], sparse: Sparse) -> None:
        """Take what one layer holds.

        Args:
            heads: numbers of the recorded query heads.
            shape: queries, keys.
            sparse: what was kept.
        """
        self.heads = tuple(heads)
        self.shape = (len(self.heads), *shape)
        self.left_out = sparse.left_out
        self.picture = to_weights(sparse.picture)
        self._indices, self._weights = sparse.indices, sparse.weights
        ends = np.cumsum(sparse.counts.reshape(-1), dtype=np.int64)
        self._starts = np.concatenate([[0], ends])

    def __repr__(self) -> str:
        """Say that it is sparse, and how much is left out."""
        heads, queries, keys = self.shape
        out = float(self.left_out.mean()) if self.left_out.size else 0.0
        return f"SparseWeights({heads} heads × {queries} × {keys}: the top keys of each row; {out:.1%} of the mass is left out)"

    def __array__(self, *_: object, **__: object) -> FloatArray:
        """Refuse: an array of all weights would have to make up those that were left out."""
        raise NotRecordedError(
            f"{self!r} is no array: use row(head, query) for the kept weights, dense(head) for them with NaN elsewhere, "
            "or recompute(…) of the saved step for whole rows"
        )

    def row(self, head: int, query: int) -> tuple[NDArray[np.uint32], FloatArray]:
        """Return the kept keys of one query row, ascending, and their weights (float32)."""
        span = self._span(head, query)
        return self._indices[span], to_weights(self._weights[span])

    def dense(self, head: int, *, fill: float = float("nan")) -> FloatArray:
        """Return one head as float32 ``[queries, keys]`` with `fill` where nothing was kept."""
        _, queries, keys = self.shape
        found = np.full((queries, keys), fill, dtype=np.float32)
        for query in range(queries):
            indices, weights = self.row(head, query)
            found[query, indices] = weights
        return found

    def _span(self, head: int, query: int) -> slice:
        heads, queries, _ = self.shape
        if not (0 <= head < heads and 0 <= query < queries):
            raise NotRecordedError(f"there is no query {query} of head {head} here: {heads} heads of {queries} queries were recorded")
        at = head * queries + query
        return slice(int(self._starts[at]), int(self._starts[at + 1]))
