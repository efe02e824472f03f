"""Whatever a capture's forward pass could disturb in a training is put back: modes, buffers, random numbers, gradients."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

_CAPTURING = "transformers.utils.output_capturing"  # where it makes them
_INSTALLED = "_output_capturing_hooks_installed"  # by which transformers knows that its own are there
_PLAIN = (bool, int, float, str, type(None), torch.Tensor)  # attributes that a forward pass may set
_one_at_a_time = threading.RLock()  # two captures of one model would each restore what the other set


_own = threading.local()  # a forward pass of attnlog's is running on this thread


def own_pass() -> bool:
    """Say whether the forward pass that runs on this thread is one of a capture, not the user's."""
    return bool(getattr(_own, "depth", 0))


@contextmanager
def _owned() -> Iterator[None]:
    _own.depth = getattr(_own, "depth", 0) + 1
    try:
        yield
    finally:
        _own.depth -= 1


@contextmanager
def preserved(model: torch.nn.Module) -> Iterator[None]:
    """Run the body in eval mode without gradients, then restore every module's mode and buffers and every random state.

    Restores also when the body raises. Gradients are not touched: nothing in the body is recorded for backward.
    """
    with _one_at_a_time, _owned(), ExitStack() as stack:
        stack.callback(_random_states(model))
        stack.callback(_modules(model))
        for module in model.modules():
            # Not model.eval(): layers that override it (adapters merging their weights) would act on it.
            module.training = False
        stack.enter_context(torch.no_grad())
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it costs seconds
            # A compiled forward would not look attention up again; compiling ours would cost minutes.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def _random_states(model: torch.nn.Module) -> Any:
    states = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    devices = sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)
    on_devices = [(device, torch.cuda.get_rng_state(device)) for device in devices]

    def restore() -> None:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        for device, state in on_devices:
            torch.cuda.set_rng_state(state, device)

    return restore


def _modules(model: torch.nn.Module) -> Any:
    """Remember modes, which tensor each buffer is and what it holds, and plain attributes: rotary modules keep lengths there."""
    kept = []
    for module in model.modules():
        buffers = {
            name: (buffer, None if buffer is None else (buffer._version, buffer.clone())) for name, buffer in module._buffers.items()
        }
        # A wrapper that shards weights keeps there in which state they are, and sets it at its first forward pass for good.
        ours = vars(module).items() if type(module).__name__ != "FullyShardedDataParallel" else ()
        plain = {name: value for name, value in ours if isinstance(value, _PLAIN)}
        hooks = set(module._forward_hooks)
        kept.append((module, module.training, buffers, plain, hooks))

    def restore() -> None:
        for module, training, buffers, plain, hooks in kept:
            # Asked for attentions or hidden states, transformers puts hooks on layers for good: compiled ones would be compiled anew.
            for number, hook in list(module._forward_hooks.items()):
                if number not in hooks and getattr(hook, "__module__", "") == _CAPTURING:
                    del module._forward_hooks[number]
            if _INSTALLED in vars(module) and _INSTALLED not in plain:
                delattr(module, _INSTALLED)
            for name, (buffer, before) in buffers.items():
                # Comparing versions, not contents, asks nothing of the device.
                if buffer is not None and before is not None and buffer._version != before[0]:
                    buffer.copy_(before[1])
                module._buffers[name] = buffer
            for name, value in plain.items():
                if vars(module).get(name) is not value:
                    vars(module)[name] = value
            module.training = training

    return restore
