"""Whether a capture leaves a model and its surroundings exactly as they were, and does not change what the model computes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig
from transformers.modeling_utils import AttentionInterface

from tests.sweep.reference import tensors


def digest(output: Any) -> str:
    """Return one digest of all tensors of an output."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors(output), key=lambda one: one[0]):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if tensor.numel():
            flat = tensor.detach().cpu().reshape(-1).contiguous()
            found.update(flat.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def state(model: Any) -> dict[str, object]:
    """Return everything that a capture must leave alone, as plain values."""
    modules = dict(model.named_modules())
    return {
        "parameters": digest({name: parameter.data for name, parameter in model.named_parameters()}),
        "which parameters": [id(parameter) for parameter in model.parameters()],
        "buffers": digest(dict(model.named_buffers())),
        "gradients": [parameter.requires_grad for parameter in model.parameters()] + [p.grad is None for p in model.parameters()],
        "configuration": model.config.to_json_string(use_diff=False),
        "attention implementations": implementations(model.config),
        "training flags": [module.training for module in modules.values()],
        "modules": [(name, id(module)) for name, module in modules.items()],
        "hooks": [(name, _hooks(m), "forward" in vars(m)) for name, m in modules.items()],
        "random numbers": (str(random.getstate()), str(np.random.get_state()), torch.get_rng_state().tolist()),
        "attention interface": (
            AttentionInterface.get_interface,
            AttentionInterface.__getitem__,
            "__getitem__" in vars(AttentionInterface),
        ),
        "function modes": torch._C._len_torch_function_stack(),
        "gradient mode": torch.is_grad_enabled(),
    }


def _hooks(module: Any) -> int:
    """Count a module's hooks, without those that transformers leaves there itself once it was asked for attentions."""
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return sum(not str(getattr(hook, "__module__", "")).startswith("transformers.") for hook in hooks)


def implementations(config: Any, name: str = "") -> list[tuple[str, str]]:
    """Return the attention implementation of a configuration and of all its parts."""
    found = [(name, str(config._attn_implementation_internal))]
    for key, part in sorted(vars(config).items()):
        if isinstance(part, PreTrainedConfig):
            found += implementations(part, f"{name}.{key}")
    return found


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Name what is not as it was."""
    return [name for name, value in before.items() if after[name] != value]


@dataclass
class Forward:
    """One forward pass of the whole model, as a capture ran it."""

    args: Any
    kwargs: Any
    random: torch.Tensor
    implementations: list[tuple[str, str]]
    given: str = ""


@dataclass
class Witness:
    """Remembers each forward pass that a capture makes of the model."""

    forwards: list[Forward] = field(default_factory=list)

    @contextmanager
    def of(self, model: Any) -> Iterator[None]:
        def before(module: Any, args: Any, kwargs: Any) -> None:
            self.forwards.append(Forward(args, kwargs, torch.get_rng_state(), implementations(module.config)))

        def after(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            if self.forwards:
                self.forwards[-1].given = digest(output)

        handles = [
            model.register_forward_pre_hook(before, with_kwargs=True),
            model.register_forward_hook(after, with_kwargs=True),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def differs(self, model: Any) -> bool:
        """Run each pass again without a capture, and say whether any tensor comes out otherwise.

        A pass under another attention implementation is the capture's own second look, not the model's.
        """
        now = implementations(model.config)
        for one in self.forwards:
            if not one.given or one.implementations != now:
                continue
            torch.set_rng_state(one.random)
            with torch.no_grad():
                if digest(model(*one.args, **one.kwargs)) != one.given:
                    return True
        return False


class Broken(Exception):
    """What the sweep throws into a capture."""


@contextmanager
def breaking(model: Any) -> Iterator[None]:
    """Make the forward pass fail half-way."""
    leaves = [module for module in model.modules() if not list(module.children()) and not isinstance(module, torch.nn.Embedding)]
    seen: list[Any] = []

    def fail(module: Any, *_: Any) -> None:
        seen.append(module)
        if len(seen) > len(leaves) // 2:
            raise Broken("thrown by the sweep")

    handles = [leaf.register_forward_hook(fail) for leaf in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
