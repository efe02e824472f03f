"""How much of the weights q·k alone explains: softmax(scale·q·kᵀ) under the mask, against what was recorded."""

from __future__ import annotations

import numpy as np

from attnlog.record import Array, FloatArray, Vectors


def structural_mask(queries: int, keys: int, causal: bool | None, window: int | None) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Return which keys each query sees, bool ``[queries, keys]``, by the rules that assets can name."""
    away = np.arange(queries)[:, None] - np.arange(keys)[None, :]
    seen = np.ones((queries, keys), dtype=bool)
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
    order = {group: position for position, group in enumerate(sorted(set(groups)))}
    q = np.asarray(vectors.q, dtype=np.float32)
    k = np.asarray(vectors.k, dtype=np.float32)[[order[group] for group in groups]]
    scores = (q @ k.transpose(0, 2, 1)) * np.float32(vectors.scale)
    if seen is None:
        seen = structural_mask(q.shape[1], k.shape[1], vectors.causal, vectors.window)[None]
    scores = np.where(seen, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    sinks = None if vectors.sinks is None else np.asarray(vectors.sinks, dtype=np.float32)[:, None, None]
    top = np.where(np.isfinite(top), top, 0) if sinks is None else np.maximum(top, sinks)
    powers = np.exp(scores - top)
    total = powers.sum(-1, keepdims=True) + (0 if sinks is None else np.exp(sinks - top))
    return np.asarray(powers / np.where(total > 0, total, 1), dtype=np.float32)


def explained_by(vectors: Vectors, weights: FloatArray, groups: tuple[int, ...]) -> FloatArray:
    """Greatest difference per head between float32 weights ``[heads, queries, keys]`` and what q·k gives."""
    seen = weights > 0 if vectors.causal is None else None
    return np.asarray(abs(softmax_of(vectors, groups, seen) - weights).max(axis=(1, 2)), dtype=np.float32)
