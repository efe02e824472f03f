"""Small pictures of heads for the model view: the greatest weight of each cell of a 32 × 32 grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnlog.format.schema import PICTURE
from attnlog.record import Array, to_codes


def pictures_of(weights: Array) -> NDArray[np.uint8]:
    """Pool encoded weights ``[heads, queries, keys]`` to uint8 codes ``[heads, ≤32, ≤32]``.

    Codes grow with the weight, so the greatest code of a cell is the code of its greatest weight.
    """
    _, queries, keys = weights.shape
    pooled = weights
    if queries > PICTURE:
        pooled = np.maximum.reduceat(pooled, _starts(queries), axis=1)
    if keys > PICTURE:
        pooled = np.maximum.reduceat(pooled, _starts(keys), axis=2)
    return np.asarray(pooled if pooled.dtype == np.uint8 else to_codes(pooled, "u8"), dtype=np.uint8)


def _starts(tokens: int) -> NDArray[np.intp]:
    return np.arange(PICTURE, dtype=np.intp) * tokens // PICTURE
