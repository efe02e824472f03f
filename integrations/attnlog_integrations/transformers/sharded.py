"""Whether one process alone can run the model: with sharded weights a forward pass needs all ranks at once."""

from __future__ import annotations

import os
from typing import Any


def sharding(args: Any) -> str | None:
    """Say why rank zero cannot run the model by itself, or None when it can."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    if getattr(args, "fsdp", None):
        return "FSDP keeps a part of the weights on every rank; capture a saved checkpoint with attnlog.capture instead"
    plugin = getattr(args, "hf_deepspeed_config", None)
    if plugin is not None and plugin.is_zero3():
        return "DeepSpeed ZeRO-3 keeps a part of the weights on every rank; capture a saved checkpoint with attnlog.capture instead"
    return None
