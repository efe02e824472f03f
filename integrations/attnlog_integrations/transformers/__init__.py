"""transformers: a Trainer callback that records attention at evaluations and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnlog_integrations.transformers.callback import AttentionCallback

__all__ = ["AttentionCallback"]


def __getattr__(name: str) -> Any:
    # The callback subclasses transformers' own, so importing it costs seconds: only when it is asked for.
    if name == "AttentionCallback":
        from attnlog_integrations.transformers.callback import AttentionCallback

        return AttentionCallback
    raise AttributeError(name)
