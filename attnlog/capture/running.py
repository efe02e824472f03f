"""Which module of the model is running: read off Python's own frames, so that no hook is put on anybody's model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch


def running(paths: Mapping[int, str]) -> torch.nn.Module | None:
    """Return the innermost module of the model whose forward is on the stack, leaves such as `nn.Softmax` left out.

    Args:
        paths: where each module is in the model, by its id.
    """
    frame: Any = sys._getframe(1)
    innermost = None
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, torch.nn.Module) and id(owner) in paths:
            if next(owner.children(), None) is not None or next(owner.parameters(recurse=False), None) is not None:
                return owner
            innermost = innermost or owner
        frame = frame.f_back
    return innermost


def batch_first(module: torch.nn.Module) -> bool:
    """Say whether inputs are known to come before heads and windows: in transformers' own modules, each of which the sweep checks."""
    return type(module).__module__.startswith("transformers.")


_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads", "h", "num_head", "attention_heads", "nhead")


def heads_of(module: torch.nn.Module | None) -> int | None:
    """Return how many heads a module says it has; attention whose heads are folded into the batch does not show it."""
    for name in _HEADS:
        found = getattr(module, name, None)
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            return found
    config = getattr(module, "config", None)
    for name in _HEADS:
        found = getattr(config, name, None)
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            return found
    return None
