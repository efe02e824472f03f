"""What a capture is asked to record, checked before any work."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from attnlog.errors import ArgumentError, LayerError, ModelError
from attnlog.record import PRECISIONS
from attnlog.scalars import whole_number

ATTENTION = ("attention", "vectors", "values")  # what of attention can be recorded


@dataclass(frozen=True)
class Wanted:
    """What is to be recorded."""

    layers: frozenset[int] | None
    heads: frozenset[int] | None
    records: frozenset[str]
    precision: str
    dense_tokens: int | None = None
    metrics: bool = True


def wanted_of(
    model: torch.nn.Module,
    layers: Iterable[int] | None,
    heads: Iterable[int] | None,
    record: str | Sequence[str],
    precision: str,
    dense_tokens: int | None,
    *,
    known: Sequence[str],
) -> Wanted:
    """Check the arguments that every way of capturing has; `known` are the names that `record` takes.

    Raises:
        ArgumentError: one of them cannot be used; the message names it and what it takes.
        LayerError: a layer or head that the model's configuration rules out.
        ModelError: no module, or one whose weights are nowhere.
    """
    _check_model(model)
    records = (record,) if isinstance(record, str) else tuple(record) if isinstance(record, Iterable) else ()
    if not records or set(records) - set(known):
        raise ArgumentError(f"record is {record!r}; it takes any of {', '.join(known)}")
    if precision not in PRECISIONS:
        raise ArgumentError(f"precision is {precision!r}; it is one of {', '.join(PRECISIONS)}")
    if dense_tokens is not None:
        whole_number("dense_tokens", dense_tokens, 0, ", or None to keep every weight")
    wanted = Wanted(_numbers(layers, "layers"), _numbers(heads, "heads"), frozenset(records), precision, dense_tokens)
    _check_layers(model, wanted)
    return wanted


def check_known(wanted: Wanted, known: Collection[int]) -> None:
    """Raise `LayerError` if a layer was asked for that is not among those that attended."""
    for layer in sorted(wanted.layers or ()):
        if layer not in known:
            raise LayerError(f"layer {layer}: this model has attention in layers {', '.join(map(str, sorted(known)))}")


def _check_model(model: Any) -> None:
    if not isinstance(model, torch.nn.Module):
        raise ModelError(f"the model is a {type(model).__name__}: give a torch.nn.Module")
    meta = next((name for name, p in model.named_parameters() if p.device.type == "meta"), None)
    if meta is None:
        return
    # Weights that accelerate keeps elsewhere are on no device until their module runs.
    if not hasattr(model, "hf_device_map") and not any(hasattr(module, "_hf_hook") for module in model.modules()):
        raise ModelError(
            f"{meta} is on the meta device, which holds no numbers: load the model's weights first (from_pretrained, to_empty)"
        )


def _numbers(given: Iterable[int] | None, what: str) -> frozenset[int] | None:
    if given is None:
        return None
    numbers = [given] if isinstance(given, int) else list(given)
    if not numbers or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise ArgumentError(f"{what} is {numbers!r}: give whole numbers, or leave it out for all")
    return frozenset(numbers)


_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers", "num_decoder_layers")
_WIDTHS = ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads", "decoder_attention_heads")


def _check_layers(model: Any, wanted: Wanted) -> None:
    """Refuse before any work what the model's configuration rules out."""
    given: Any = getattr(model, "config", None)
    if hasattr(given, "depths"):
        return  # stages: how many layers that makes is known when they have run
    parts = [given, *(getattr(given, name, None) for name in ("encoder", "decoder", "vision_config", "audio_config", "encoder_config"))]
    parts.append(given.get_text_config() if hasattr(given, "get_text_config") else None)
    for what, numbers, names in (("layers", wanted.layers, _DEPTHS), ("heads", wanted.heads, _WIDTHS)):
        known = [count for part in parts for name in names if isinstance(count := getattr(part, name, None), int)]
        bad = sorted(n for n in numbers or () if n < 0 or (known and n >= max(known)))
        if bad:
            there = f"this model has {what} 0 to {max(known) - 1}" if known else f"{what} are numbered from 0"
            raise LayerError(f"{what} {', '.join(map(str, bad))}: {there}")
