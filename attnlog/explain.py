"""How much of the weights q·k alone explains: softmax(scale·q·kᵀ) under the mask, against what was recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnlog.record import Array, FloatArray, Vectors


def structural_mask(
    queries: int, keys: int, causal: bool | None, window: int | None, rows: NDArray[np.intp] | None = None
) -> NDArray[np.bool_]:
    """Return which keys each query (or those in `rows`) sees, bool ``[queries, keys]``, by the rules that assets can name."""
    away = (np.arange(queries) if rows is None else rows)[:, None] - np.arange(keys)[None, :]
    seen = np.ones(away.shape, dtype=bool)
    if causal:
        seen &= away >= 0
    if window is not None:
        seen &= abs(away) < window
    return seen


def softmax_of(vectors: Vectors, groups: tuple[int, ...], seen: Array | None = None) -> FloatArray:
    """Recompute weights from q and k alone, float32 ``[heads, queries, keys]``: no soft-cap, no bias; the sink takes its part.

    Args:
        vectors: of one layer; `k` holds the key groups in `groups`, in order.
        groups: key group that each head of `q` reads.
        seen: bool ``[heads or 1, queries, keys]``; default: the mask the vectors name.
    """
    q, k = _paired(vectors, groups)
    if seen is None:
        seen = structural_mask(q.shape[1], k.shape[1], vectors.causal, vectors.window)[None]
    sinks = None if vectors.sinks is None else np.asarray(vectors.sinks, dtype=np.float32)[:, None, None]
    return _softmax((q @ k.transpose(0, 2, 1)) * np.float32(vectors.scale), seen, sinks)


def rows_of(vectors: Vectors, groups: tuple[int, ...], head: int, rows: NDArray[np.intp], seen: Array | None = None) -> FloatArray:
    """Recompute some query rows of one head from q and k, soft-cap and sink included, float32 ``[rows, keys]``.

    Args:
        vectors: of one layer; `k` holds the key groups in `groups`, in order.
        groups: key group that each head of `q` reads.
        head: position of the head in `q`.
        rows: numbers of the query rows.
        seen: bool ``[rows, keys]``; default: the mask the vectors name.
    """
    q, k = _paired(vectors, groups, head)
    scores = (q[0, rows] @ k[0].T) * np.float32(vectors.scale)
    if vectors.softcap is not None:
        scores = np.tanh(scores / np.float32(vectors.softcap)) * np.float32(vectors.softcap)
    if seen is None:
        seen = structural_mask(q.shape[1], k.shape[1], vectors.causal, vectors.window, rows)
    sink = None if vectors.sinks is None else np.float32(vectors.sinks[head]).reshape(1, 1)
    return _softmax(scores, seen, sink)


def _paired(vectors: Vectors, groups: tuple[int, ...], head: int | None = None) -> tuple[FloatArray, FloatArray]:
    """Queries, and for each of their heads the keys it reads; of all heads or of one."""
    order = {group: position for position, group in enumerate(sorted(set(groups)))}
    heads = range(len(groups)) if head is None else [head]
    q = np.asarray(vectors.q[list(heads)], dtype=np.float32)
    return q, np.asarray(vectors.k[[order[groups[one]] for one in heads]], dtype=np.float32)


def _softmax(scores: FloatArray, seen: Array, sinks: Array | None) -> FloatArray:
    """Softmax over the keys that are seen, and over a sink; rows that see none are 0."""
    scores = np.where(seen, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0) if sinks is None else np.maximum(top, sinks)
    powers = np.exp(scores - top)
    total = powers.sum(-1, keepdims=True) + (0 if sinks is None else np.exp(sinks - top))
    return np.asarray(powers / np.where(total > 0, total, 1), dtype=np.float32)


def explained_by(vectors: Vectors, weights: FloatArray, groups: tuple[int, ...]) -> FloatArray:
    """Greatest difference per head between float32 weights ``[heads, queries, keys]`` and what q·k gives."""
    seen = weights > 0 if vectors.causal is None else None
    return np.asarray(abs(softmax_of(vectors, groups, seen) - weights).max(axis=(1, 2)), dtype=np.float32)
