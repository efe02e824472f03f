"""Weights become codes where they are computed, block by block: a matrix in float32 is never held."""

from __future__ import annotations

import torch

from attnlog.capture.scratch import Scratch

_TYPES = {"u8": torch.uint8, "f16": torch.float16, "f32": torch.float32}


def quantised(weights: torch.Tensor, precision: str) -> torch.Tensor:
    """Encode float32 weights on their device, as `attnlog.record.to_codes` does."""
    if precision == "u8":
        return weights.clamp(0, 1).sqrt_().mul_(255).round_().to(torch.uint8)
    return weights.half() if precision == "f16" else weights


class Codes:
    """The encoded weights of one layer of one input, filled in by blocks of query rows."""

    def __init__(self, shape: tuple[int, int, int], precision: str, device: torch.device, scratch: Scratch) -> None:
        """Take room for ``[heads, queries, keys]``."""
        self._precision = precision
        self._scratch = scratch
        self._half = torch.tensor(0.5, device=device)
        self.codes = scratch.take("codes", shape, device, _TYPES[precision])

    def put(self, weights: torch.Tensor, start: int) -> None:
        """Encode float32 weights of query rows ``start …`` and of the first keys, the others being 0; `weights` is used up."""
        if self._precision == "u8":
            self.put_roots(weights.sqrt_(), start)
        else:
            self._write(weights, start)

    def put_roots(self, roots: torch.Tensor, start: int) -> None:
        """Encode rows in 8 bits of which the square roots are known; `roots` is used up."""
        # round(255·√w) in few passes over what is still in the cache: half is added, and the conversion cuts off. In float32 the sum
        # of 254.5 and a half may come to 255 without being it, which is one code at most and far below the error of a code.
        codes = torch.add(self._half, roots, alpha=255, out=roots)
        if codes.device.type == "cpu":
            # Straight to bytes is twice as slow there as by way of whole numbers, which torch does in vectors.
            codes = self._scratch.take("whole", tuple(codes.shape), codes.device, torch.int16).copy_(codes)
        self._write(codes, start)

    def _write(self, codes: torch.Tensor, start: int) -> None:
        rows = self.codes[:, start : start + codes.shape[1]]
        rows[:, :, codes.shape[2] :] = 0
        rows[:, :, : codes.shape[2]].copy_(codes)
