"""How far attention is apart in two captures, steps or runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from attnlog.errors import ArgumentError
from attnlog.record import FloatArray


def drift(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Mean Jensen–Shannon divergence of the rows of two arrays of weights, in bits: 0 where they agree, 1 where they share no key.

    The divergence is that of Lin 1991, "Divergence measures based on the Shannon entropy", with equal shares. Rows are made to sum to 1
    first; rows without any weight are left out of the mean. Where two sides have other tokens, give the weights of those that both have.

    Args:
        a: weights ``[..., queries, keys]``, such as ``[heads, queries, keys]``.
        b: weights of the same shape.

    Returns:
        float32 ``[...]``, one number for each head; NaN where no row has weight on both sides.

    Raises:
        ArgumentError: the shapes differ, or there are fewer than two dimensions.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim < 2:
        raise ArgumentError(
            f"weights of two sides have one shape [..., queries, keys], and these have {first.shape} and {second.shape}: "
            "select the tokens that both have"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = (one / one.sum(axis=-1, keepdims=True) for one in (first, second))
        # Where p is 0 it adds nothing, whatever the logarithm.
        halves = [np.where(one > 0, one * np.log2(2 * one / (p + q)), 0).sum(axis=-1) / 2 for one in (p, q)]
    rows = np.where((first.sum(axis=-1) > 0) & (second.sum(axis=-1) > 0), halves[0] + halves[1], np.nan)
    known = ~np.isnan(rows)
    count = known.sum(axis=-1)
    total = np.where(known, rows, 0).sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), dtype=np.float32)
