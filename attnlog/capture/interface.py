"""The interface tap: sees every attention call of models on transformers' AttentionInterface while their own kernel runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from attnlog.capture.call import Call
from attnlog.capture.patched import Patch

_active = threading.local()


@contextmanager
def interface_tap(seen: Callable[[Call], None]) -> Iterator[None]:
    """While inside, call `seen` after every attention call that this thread makes through the interface.

    The lookup is wrapped, not the function: the model's own kernel computes the output that the model goes on with.
    """
    with _patch.held():
        before = getattr(_active, "seen", None)
        _active.seen = seen
        try:
            yield
        finally:
            _active.seen = before


def inside() -> bool:
    """Say whether an attention function of the interface is running on this thread: what it calls is its own."""
    return bool(getattr(_active, "inside", False))


def _install() -> Callable[[], None]:
    try:
        from transformers.modeling_utils import AttentionInterface
    except ImportError:
        return lambda: None  # a model of plain torch: there is no interface to tap
    get_interface, get_item = AttentionInterface.get_interface, AttentionInterface.__getitem__
    AttentionInterface.get_interface = lambda self, *a, **k: _wrapped(get_interface(self, *a, **k))
    AttentionInterface.__getitem__ = lambda self, key: _wrapped(get_item(self, key))

    def remove() -> None:
        AttentionInterface.get_interface = get_interface
        if "__getitem__" in AttentionInterface.__dict__:
            del AttentionInterface.__getitem__  # it was inherited

    return remove


_patch = Patch(_install)


def _wrapped(found: Any) -> Any:
    """Wrap an attention function for this thread's tap; other threads get it as it is."""
    function: Callable[..., Any] = found
    seen = getattr(_active, "seen", None)
    if seen is None or not callable(function) or hasattr(function, "_attnlog"):
        return function

    def attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, *rest: Any, **keywords: Any) -> Any:
        outer, _active.inside = inside(), True
        try:
            result: Any = function(module, query, key, value, attention_mask, *rest, **keywords)
        finally:
            _active.inside = outer
        if not rest and all(isinstance(t, torch.Tensor) for t in (query, key, value)):
            output, weights = result[0], result[1] if len(result) > 1 else None
            call = Call(
                module=module,
                tap="interface",
                function=function,
                query=query,
                key=key,
                value=value,
                mask=attention_mask,
                keywords=keywords,
                output=output,
                weights=weights if isinstance(weights, torch.Tensor) else None,
            )
            # What the tap computes is not the model's: the function tap must not see it.
            with torch._C.DisableTorchFunction():
                seen(call)
        return result

    attention._attnlog = True  # type: ignore[attr-defined]
    return attention
