"""Hidden states of every layer: statistics of each token's state, and the states themselves where asked for."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from attnlog.capture.extras import Asked
from attnlog.capture.inputs import Batch, accepted_by
from attnlog.outputs import STATISTICS, States
from attnlog.record import Capture, Missing

#: axis → where a model's outputs hold the states of it.
_WHERE = {"self": "hidden_states", "encoder": "encoder_hidden_states", "decoder": "decoder_hidden_states"}
_MOST = 500_000_000  # bytes of the states of one layer of one input: a record batch of an asset holds no more


class HiddenStates:
    """Records hidden states of the axes of tokens: layer 0 are the embeddings, layer n is what leaves layer n."""

    what = "hidden states"

    def __init__(self, model: torch.nn.Module, asked: Asked) -> None:
        """Prepare for a model."""
        self._model = model
        self._whole = "hidden" in asked.records
        self._asked = asked
        self._found: list[States] = []
        self._missing: dict[Missing, None] = {}

    def keywords(self) -> dict[str, Any]:
        """Ask for hidden states, of a model that can be asked."""
        accepted = accepted_by(self._model)
        anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values()) and hasattr(self._model, "config")
        return {"output_hidden_states": True} if "output_hidden_states" in accepted or anything else {}

    def see(self, batch: Batch, outputs: Any) -> None:
        """Take the states of every axis and layer."""
        seen = False
        for axis, name in _WHERE.items():
            layers = getattr(outputs, name, None)
            if axis not in batch.records[0].axes or not isinstance(layers, (tuple, list)) or not layers:
                continue
            seen = True
            before: torch.Tensor | None = None
            for number, layer in enumerate(layers):
                if self._fits(layer, batch, axis, number):
                    for row in range(len(batch.numbers)):
                        self._add(batch, row, axis, number, layer, before)
                    before = layer
                else:
                    before = None
        if not seen:
            kind = self._asked.axis(batch.numbers[0])
            self._missing[Missing(kind, None, self.what, "the model's outputs hold none for an axis of tokens")] = None

    def into(self, capture: Capture) -> Capture:
        """Add them to a capture."""
        found = sorted(self._found, key=lambda one: (one.input, one.axis, one.layer))
        return replace(capture, hidden_states=tuple(found), missing=(*capture.missing, *self._missing))

    def _fits(self, layer: Any, batch: Batch, axis: str, number: int) -> bool:
        width = batch.widths.get(axis) or max(len(where[axis]) for where in batch.positions)
        expected = (len(batch.numbers), width)
        if isinstance(layer, torch.Tensor) and layer.ndim == 3 and tuple(layer.shape[:2]) == expected:
            return True
        shape = list(layer.shape) if isinstance(layer, torch.Tensor) else type(layer).__name__
        reason = f"they have shape {shape}, the inputs {expected[0]} × {expected[1]} tokens"
        self._missing[Missing(axis, number, self.what, reason)] = None
        return False

    def _add(self, batch: Batch, row: int, axis: str, number: int, layer: torch.Tensor, before: torch.Tensor | None) -> None:
        where = batch.positions[row][axis].to(layer.device)
        states = layer[row][where].detach().float()
        earlier = None if before is None or before.shape != layer.shape else before[row][where].detach().float()
        statistics = _statistics(states, earlier)
        if not np.isfinite(statistics[:-1]).all():
            reason = "they are not numbers (the model gave NaN or infinity)"
            self._missing[Missing(axis, number, self.what, reason)] = None
            return
        values = None
        if self._whole and 2 * states.numel() > _MOST:
            self._missing[Missing(axis, number, self.what, f"those of one input would take more than {_MOST // 10**6} MB")] = None
        elif self._whole:
            small = bool(states.abs().max() <= torch.finfo(torch.float16).max) if states.numel() else True
            values = (states.half() if small else states).cpu().numpy()
        self._found.append(
            States(
                input=batch.numbers[row],
                axis=axis,
                layer=number,
                width=states.shape[1],
                statistics=dict(zip(STATISTICS, statistics, strict=True)),
                values=values,
            )
        )


def _statistics(states: torch.Tensor, before: torch.Tensor | None) -> Any:
    """Statistics of states ``[tokens, width]`` in the order of `STATISTICS`, float32 ``[6, tokens]``; NaN where not defined."""
    norm = states.norm(dim=-1)
    cosine = torch.full_like(norm, torch.nan)
    if before is not None:
        # 0 / 0 is NaN, which is what the cosine to a state of 0 is.
        cosine = ((states * before).sum(-1) / (norm * before.norm(dim=-1))).clamp(-1, 1)
    found = [states.mean(-1), states.std(-1, correction=0), norm, states.amin(-1), states.amax(-1), cosine]
    return torch.stack(found).cpu().numpy()
