"""Small pictures of heads for the model view: the greatest weight of each cell of a 32 × 32 grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnlog.format.schema import PICTURE
from attnlog.record import Array, to_codes
from attnlog.sparse import pooled


def pictures_of(weights: Array) -> NDArray[np.uint8]:
    """Pool encoded weights ``[heads, queries, keys]`` to uint8 codes ``[heads, ≤32, ≤32]``.

    Codes grow with the weight, so the greatest code of a cell is the code of its greatest weight. A picture of 256 × 256 cells
    pools to the same as the weights do: eight of its cells make one of 32.
    """
    found = pooled(weights, PICTURE)
    return np.asarray(found if found.dtype == np.uint8 else to_codes(found, "u8"), dtype=np.uint8)
