"""Whole rows of weights out of stored queries and keys: of heads of which q·k gives the weights.

Either that was found so when they were recorded, from the vectors as the model had them, or the rows agree with the stored weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnlog.errors import NotRecordedError
from attnlog.explain import rows_of
from attnlog.record import FloatArray, Layer, to_weights
from attnlog.sparse import SparseWeights

#: Greatest difference from the stored weights that their precision explains.
TOLERANCE = 0.03
#: Where q·k alone was found to give a head's weights to this when it was recorded, no more is asked of vectors that were stored coarser.
EXPLAINED = 1e-3


def recompute(vectors: Layer, weights: Layer, head: int, rows: Sequence[int], where: str) -> FloatArray:
    """Recompute rows of one head.

    Args:
        vectors: the layer with its queries and keys.
        weights: the same layer with its stored weights, dense or sparse; without any there is nothing to compare with.
        head: number of the query head.
        rows: numbers of the query rows.
        where: names the layer in errors.
    """
    if head not in vectors.heads:
        raise NotRecordedError(f"head {head} of {where} was not recorded; heads {', '.join(map(str, vectors.heads))} were")
    outside = [row for row in rows if not 0 <= row < vectors.shape[0]]
    if outside:
        raise NotRecordedError(f"there is no query row {outside[0]} in {where}: it has rows 0 to {vectors.shape[0] - 1}")
    assert vectors.vectors is not None
    position = vectors.heads.index(head)
    numbers = np.array(list(rows), dtype=np.intp)
    stored, known = _stored(weights, position, numbers)
    seen = None
    if vectors.vectors.causal is None:
        if weights.weights is None:
            raise NotRecordedError(f"rows of {where} cannot be recomputed: its mask follows no rule that could be stored")
        seen = stored > 0
    found = rows_of(vectors.vectors, vectors.groups, position, numbers, seen)
    if vectors.explained is not None and vectors.explained[position] <= EXPLAINED:
        return found
    if not known.any():
        raise NotRecordedError(
            f"rows of head {head} of {where} cannot be recomputed: no weights of it were stored to compare with, "
            "and q·k alone does not give them"
        )
    off = float(np.abs(found - stored)[known].max(initial=0))
    if off > TOLERANCE:
        raise NotRecordedError(
            f"rows of head {head} of {where} cannot be recomputed: q·k alone differs from the stored weights by {off:.2g} "
            "(the model adds a bias)"
        )
    return found


def _stored(
    weights: Layer, position: int, rows: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> tuple[FloatArray, np.ndarray[tuple[int, int], np.dtype[np.bool_]]]:
    """Stored weights of some rows, and which of them are known."""
    stored = np.zeros((len(rows), weights.shape[1]), dtype=np.float32)
    known = np.zeros(stored.shape, dtype=bool)
    if weights.weights is not None:
        return to_weights(weights.weights[position][rows]), ~known
    if weights.sparse is not None:
        kept = SparseWeights(weights.heads, weights.shape, weights.sparse)
        for at, row in enumerate(rows):
            indices, values = kept.row(position, int(row))
            stored[at, indices], known[at, indices] = values, True
    return stored, known
