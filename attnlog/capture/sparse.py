"""Top keys of every query row, taken where the weights are, block by block: the whole matrix of a long input is never held.

What is kept is what `attnlog.sparse.sparse_of` keeps of the whole matrix.
"""

from __future__ import annotations

import numpy as np
import torch

from attnlog.record import Sparse
from attnlog.sparse import MASS, PICTURE, TOP, starts


class Keeper:
    """Collects the sparse weights of one layer of one input."""

    def __init__(self, heads: int, queries: int, keys: int, *, precision: str, device: torch.device) -> None:
        """Prepare for blocks of query rows, in order."""
        self._precision = precision
        self._rows = _cells(queries, device)
        self._columns = _cells(keys, device)
        self._picture = torch.zeros(heads, min(queries, PICTURE), min(keys, PICTURE), device=device)
        self._counts: list[torch.Tensor] = []
        self._left_out: list[torch.Tensor] = []
        self._indices: list[list[torch.Tensor]] = [[] for _ in range(heads)]
        self._weights: list[list[torch.Tensor]] = [[] for _ in range(heads)]

    def add(self, weights: torch.Tensor, start: int) -> None:
        """Take the weights of some query rows, float32 ``[heads, rows, keys]``, the first of them query `start`."""
        from attnlog.capture.weights import quantised

        heads, rows, keys = weights.shape
        columns = self._columns.expand(heads, rows, -1)
        cells = weights.new_zeros(heads, rows, self._picture.shape[2]).scatter_reduce_(2, columns, weights, "amax")
        into = self._rows[start : start + rows, None].expand(heads, rows, cells.shape[2])
        self._picture.scatter_reduce_(1, into, cells, "amax")
        top = min(TOP, keys)
        least = weights.topk(top, dim=2).values[..., -1:]
        more, equal = weights > least, weights == least
        # Of equal weights those of smaller keys, as many as there is room for.
        chosen = more | (equal & (equal.cumsum(2, dtype=torch.int32) <= top - more.sum(2, keepdim=True)))
        indices = chosen.nonzero()[:, 2].view(heads, rows, top)
        values = weights.gather(2, indices)
        mass = weights.sum(2)
        falling, order = values.sort(dim=2, descending=True, stable=True)
        before = falling.cumsum(2) - falling
        needed = torch.zeros_like(chosen[..., :top]).scatter_(2, order, before < MASS * mass[..., None])
        codes = quantised(values, self._precision)
        self._counts.append(needed.sum(2).cpu())
        self._left_out.append((mass - (values * needed).sum(2)).clamp(0, 1).cpu())
        for head in range(heads):
            self._indices[head].append(indices[head][needed[head]].int().cpu())
            self._weights[head].append(codes[head][needed[head]].cpu())

    def done(self) -> Sparse:
        """Put the blocks together."""
        from attnlog.capture.weights import quantised

        return Sparse(
            picture=quantised(self._picture, "u8").cpu().numpy(),
            counts=torch.cat(self._counts, 1).numpy().astype(np.uint32),
            indices=torch.cat([part for parts in self._indices for part in parts]).numpy().astype(np.uint32),
            weights=torch.cat([part for parts in self._weights for part in parts]).numpy(),
            left_out=torch.cat(self._left_out, 1).numpy(),
        )


def _cells(tokens: int, device: torch.device) -> torch.Tensor:
    """Cell of the picture that each token lies in."""
    begins = starts(tokens, PICTURE)
    return torch.from_numpy(np.searchsorted(begins, np.arange(tokens), side="right") - 1).to(device)
