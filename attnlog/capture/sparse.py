"""Top keys of every query row, taken where the weights are, block by block: the whole matrix of a long input is never held.

What is kept is what `attnlog.sparse.sparse_of` keeps of the whole matrix.
"""

from __future__ import annotations

import numpy as np
import torch

from attnlog.capture.quantise import quantised
from attnlog.record import Sparse
from attnlog.sparse import MASS, PICTURE, TOP, starts


class Keeper:
    """Collects the sparse weights of one layer of one input."""

    def __init__(self, heads: int, queries: int, keys: int, *, precision: str, device: torch.device) -> None:
        """Prepare for blocks of query rows, in order."""
        self._precision = precision
        self._rows = _cells(queries, device)
        self._begins = torch.from_numpy(starts(keys, PICTURE)).to(device)
        self._lasts = torch.cat([self._begins[1:], self._begins.new_tensor([keys])]) - 1
        self._width = int((self._lasts - self._begins).max()) + 1
        self._picture = torch.zeros(heads, min(queries, PICTURE), min(keys, PICTURE), device=device)
        self._counts: list[torch.Tensor] = []
        self._left_out: list[torch.Tensor] = []
        self._indices: list[list[torch.Tensor]] = [[] for _ in range(heads)]
        self._weights: list[list[torch.Tensor]] = [[] for _ in range(heads)]

    def add(self, weights: torch.Tensor, start: int) -> None:
        """Take the weights of some query rows, float32 ``[heads, rows, keys]``, the first of them query `start`."""
        heads, rows, _ = weights.shape
        cells = self._pooled(weights)
        into = self._rows[start : start + rows, None].expand(heads, rows, cells.shape[2])
        self._picture.scatter_reduce_(1, into, cells, "amax")
        values, indices = _top(weights)
        mass = weights.sum(2)
        falling, order = values.sort(dim=2, descending=True, stable=True)
        before = falling.cumsum(2) - falling
        needed = torch.zeros_like(values, dtype=torch.bool).scatter_(2, order, before < MASS * mass[..., None])
        codes = quantised(values, self._precision)
        self._counts.append(needed.sum(2).cpu())
        self._left_out.append((mass - (values * needed).sum(2)).clamp(0, 1).cpu())
        for head in range(heads):
            self._indices[head].append(indices[head][needed[head]].int().cpu())
            self._weights[head].append(codes[head][needed[head]].cpu())

    def _pooled(self, weights: torch.Tensor) -> torch.Tensor:
        """Greatest weight of each cell of keys; where cells differ in width one key of every cell at a time."""
        if weights.shape[2] % len(self._begins) == 0:
            return weights.reshape(*weights.shape[:2], len(self._begins), -1).amax(3)
        cells = weights[..., self._begins]
        for further in range(1, self._width):
            cells = torch.maximum(cells, weights[..., torch.minimum(self._begins + further, self._lasts)])
        return cells

    def done(self) -> Sparse:
        """Put the blocks together."""
        return Sparse(
            picture=quantised(self._picture, "u8").cpu().numpy(),
            counts=torch.cat(self._counts, 1).numpy().astype(np.uint32),
            indices=torch.cat([part for parts in self._indices for part in parts]).numpy().astype(np.uint32),
            weights=torch.cat([part for parts in self._weights for part in parts]).numpy(),
            left_out=torch.cat(self._left_out, 1).numpy(),
        )


def _top(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The greatest weights of each row and their keys, ascending; of equal weights those of smaller keys."""
    keys = weights.shape[2]
    top = min(TOP, keys)
    found = weights.topk(min(top + 1, keys), dim=2)
    least = found.values[..., top - 1]
    indices = found.indices[..., :top].sort(dim=2).values
    if keys > top:
        # Where the next weight is as great, which of them was taken is chance; where both are 0 it does not matter.
        tied = (found.values[..., top] == least) & (least > 0)
        if bool(tied.any()):
            among = weights[tied]
            more, equal = among > least[tied][:, None], among == least[tied][:, None]
            chosen = more | (equal & (equal.cumsum(1, dtype=torch.int32) <= top - more.sum(1, keepdim=True)))
            indices[tied] = chosen.nonzero()[:, 1].view(-1, top)
    return weights.gather(2, indices), indices


def _cells(tokens: int, device: torch.device) -> torch.Tensor:
    """Cell of the picture that each token lies in."""
    begins = starts(tokens, PICTURE)
    return torch.from_numpy(np.searchsorted(begins, np.arange(tokens), side="right") - 1).to(device)
