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
        rows = self.codes[:, start : start + weights.shape[1]]
        rows[:, :, weights.shape[2] :] = 0
        into = rows[:, :, : weights.shape[2]]
        if self._precision == "u8":
            # round(255·√w) in few passes over what is still in the cache: half is added, and the conversion cuts off. In float32 the sum
            # of 254.5 and a half may come to 255 without being it, which is one code at most and far below the error of a code.
            weights = weights.sqrt_()
            weights = torch.add(self._half, weights, alpha=255, out=weights)
            if weights.device.type == "cpu":
                # Straight to bytes is twice as slow there as by way of whole numbers, which torch does in vectors.
                weights = self._scratch.take("whole", tuple(weights.shape), weights.device, torch.int16).copy_(weights)
        into.copy_(weights)
