"""Room that is used block after block and layer after layer: on a CPU fresh memory for each costs more than what is computed in it."""

from __future__ import annotations

from math import prod

import torch


class Scratch:
    """Lends memory for float32 blocks and for the codes of a layer, the same again each time it is asked by the same name."""

    def __init__(self) -> None:
        """Begin with none."""
        self._held: dict[str, torch.Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Return a tensor of any content, which holds until the next is taken by this name.

        Other devices than the CPU have allocators that keep memory themselves.
        """
        count = prod(shape)
        held = self._held.get(name)
        if device.type != "cpu":
            return torch.empty(shape, dtype=dtype, device=device)
        if held is None or held.dtype != dtype or held.numel() < count:
            with torch.inference_mode(False):  # what inference mode made could not be written to outside of it
                held = self._held[name] = torch.empty(count, dtype=dtype)
        return held[:count].view(shape)
