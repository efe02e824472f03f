"""The interface tap: sees every attention call of models on transformers' AttentionInterface while their own kernel runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class Call:
    """One attention call: what went in, and what the model's own function gave back."""

    module: torch.nn.Module
    function: Callable[..., Any]
    query: torch.Tensor  # [batch, heads, queries, width]
    key: torch.Tensor  # [batch, key groups, keys, width]
    value: torch.Tensor
    mask: Any  # a tensor, None, or what another kernel takes for a mask
    keywords: dict[str, Any]
    output: torch.Tensor  # [batch, queries, heads, value width]
    weights: torch.Tensor | None  # where the function returns them (eager), [batch, heads, queries, keys]

    @property
    def scale(self) -> float:
        """Factor of q·kᵀ."""
        scaling = self.keywords.get("scaling")
        if scaling is None:
            scaling = getattr(self.module, "scaling", None)
        return float(scaling) if isinstance(scaling, (int, float)) else self.query.shape[-1] ** -0.5

    @property
    def softcap(self) -> float | None:
        """Soft-cap of scores, or None."""
        cap = self.keywords.get("softcap")
        return None if cap is None else float(cap)

    @property
    def bias(self) -> torch.Tensor | None:
        """Position bias added to scores, broadcastable to ``[batch, heads, queries, keys]``, or None."""
        bias = self.keywords.get("position_bias")
        return bias if isinstance(bias, torch.Tensor) else None

    @property
    def sinks(self) -> torch.Tensor | None:
        """Logit of each head's sink ``[heads]``, or None."""
        sinks = self.keywords.get("s_aux")
        return sinks.reshape(-1) if isinstance(sinks, torch.Tensor) else None

    @property
    def causal(self) -> bool:
        """Whether the function masks later keys by itself: only where no mask of queries × keys is given."""
        said = self.keywords.get("is_causal")
        said = getattr(self.module, "is_causal", True) if said is None else said
        return (self.mask is None or self.mask.ndim == 2) and bool(said) and self.query.shape[2] > 1

    @property
    def window(self) -> int | None:
        """Sliding window that the function (flash attention) applies by itself: keys with |i−j| < window are seen."""
        window = self.keywords.get("sliding_window")
        return window if isinstance(window, int) and window > 0 else None


_active = threading.local()
_lock = threading.Lock()
_users = 0
_original: tuple[Callable[..., Any], Callable[..., Any]] | None = None


@contextmanager
def interface_tap(seen: Callable[[Call], None]) -> Iterator[None]:
    """While inside, call `seen` after every attention call that this thread makes through the interface.

    The lookup is wrapped, not the function: the model's own kernel computes the output that the model goes on with.
    """
    _install()
    before = getattr(_active, "seen", None)
    _active.seen = seen
    try:
        yield
    finally:
        _active.seen = before
        _remove()


def _install() -> None:
    global _users, _original
    from transformers.modeling_utils import AttentionInterface

    with _lock:
        if _users == 0:
            get_interface, get_item = AttentionInterface.get_interface, AttentionInterface.__getitem__
            _original = get_interface, get_item
            AttentionInterface.get_interface = lambda self, *a, **k: _wrapped(get_interface(self, *a, **k))
            AttentionInterface.__getitem__ = lambda self, key: _wrapped(get_item(self, key))
        _users += 1


def _remove() -> None:
    global _users, _original
    from transformers.modeling_utils import AttentionInterface

    with _lock:
        _users -= 1
        if _users == 0 and _original is not None:
            AttentionInterface.get_interface = _original[0]
            if "__getitem__" in AttentionInterface.__dict__:
                del AttentionInterface.__getitem__  # it was inherited
            _original = None


def _wrapped(found: Any) -> Any:
    """Wrap an attention function for this thread's tap; other threads get it as it is."""
    function: Callable[..., Any] = found
    seen = getattr(_active, "seen", None)
    if seen is None or not callable(function) or hasattr(function, "_attnlog"):
        return function

    def attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, *rest: Any, **keywords: Any) -> Any:
        result: Any = function(module, query, key, value, attention_mask, *rest, **keywords)
        if not rest and all(isinstance(t, torch.Tensor) for t in (query, key, value)):
            output, weights = result[0], result[1] if len(result) > 1 else None
            call = Call(
                module=module,
                function=function,
                query=query,
                key=key,
                value=value,
                mask=attention_mask,
                keywords=keywords,
                output=output,
                weights=weights if isinstance(weights, torch.Tensor) else None,
            )
            seen(call)
        return result

    attention._attnlog = True  # type: ignore[attr-defined]
    return attention
