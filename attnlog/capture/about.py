"""What is said of a model: in a manifest, and to a user whose model has no attention that can be seen."""

from __future__ import annotations

import re
from typing import Any

import torch


def describe(model: torch.nn.Module) -> dict[str, object]:
    """Say which model this is, as a manifest keeps it."""
    config: Any = getattr(model, "config", None)
    return {
        "name": str(getattr(config, "_name_or_path", "") or type(model).__name__),
        "class": type(model).__name__,
        "type": str(getattr(config, "model_type", "")),
        "attention": str(getattr(config, "_attn_implementation", "")),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def config_of(model: Any) -> dict[str, object]:
    """Keep what of a configuration is plain."""
    simple = (str, int, float, bool, type(None))
    config = model.config.to_dict() if hasattr(getattr(model, "config", None), "to_dict") else {}
    return {k: v for k, v in sorted(config.items()) if isinstance(v, simple)}


def none_seen(model: torch.nn.Module) -> str:
    """Say why nothing was recorded."""
    names = sorted({type(m).__name__ for m in model.modules() if re.search("att(entio)?n", type(m).__name__, re.IGNORECASE)})
    if not names:
        return (
            f"{type(model).__name__} has no attention that can be seen: no softmax over queries and keys met values; "
            "with weights of your own, use attnlog.from_tensors"
        )
    return (
        f"{type(model).__name__} ({names[0]}) computed no weights of queries and keys that could be seen: its attention is of another kind "
        "or runs in code that torch does not see; with weights of your own, use attnlog.from_tensors"
    )
