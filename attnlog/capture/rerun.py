"""The model's own outputs: one more forward with ``output_attentions`` under eager attention, for what no tap could follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from attnlog.capture.inputs import Batch, accepted_by

_FIELDS = ("attentions", "encoder_attentions", "decoder_attentions", "cross_attentions", "global_attentions")
_SUM = 1e-3  # a row of attention weights may pass 1 by this much


@dataclass(frozen=True)
class Returned:
    """Weights of one layer as the model returned them."""

    field: str  # of the model's outputs
    layer: int
    weights: torch.Tensor  # [batch, heads, queries, keys]


def returned_by(model: Any, batch: Batch) -> Iterator[Returned | str]:
    """Run the model once more and give what it returns as attention weights, or for each layer the reason why that is none.

    The implementation of every sub-model is put back, also when the forward raises.
    """
    accepted = accepted_by(model)
    if "output_attentions" not in accepted and not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        return
    with _eager(model):
        outputs = model(**batch.arguments, output_attentions=True)
    for field in _FIELDS:
        tensors = getattr(outputs, field, None)
        for layer, tensor in enumerate(tensors if isinstance(tensors, (tuple, list)) else ()):
            why_not = _flaw(tensor)
            if why_not is None:
                yield Returned(field, layer, tensor)
            else:
                yield f"what the model returns as {field}[{layer}] {why_not}"


def _flaw(tensor: Any) -> str | None:
    if not isinstance(tensor, torch.Tensor):
        return "is no tensor"
    if tensor.ndim != 4:
        return f"has shape {list(tensor.shape)}, not [inputs, heads, queries, keys]"
    if not tensor.is_floating_point() or not bool(tensor.isfinite().all()) or bool((tensor < 0).any()):
        return "are scores or states, not weights"
    if bool((tensor.sum(-1) > 1 + _SUM).any()):
        return "are no weights: rows sum to more than 1"
    return None


@contextmanager
def _eager(model: torch.nn.Module) -> Iterator[None]:
    """Let every sub-model attend eagerly, whose functions return their weights, and put back what each had."""
    name = "_attn_implementation_internal"
    kept: list[tuple[Any, Any]] = []
    for module in model.modules():
        config = getattr(module, "config", None)
        if config is not None and name in vars(config) and not any(config is other for other, _ in kept):
            kept.append((config, vars(config)[name]))
    try:
        for config, _ in kept:
            vars(config)[name] = "eager"
        yield
    finally:
        for config, before in kept:
            vars(config)[name] = before
