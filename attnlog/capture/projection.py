"""What each key's value adds to the output of a head: the norm of the value after the head's part of the output projection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from attnlog.record import FloatArray

#: What transformers' models and others call the projection after attention.
_NAMES = (
    "o_proj",
    "out_proj",
    "c_proj",
    "dense",
    "wo",
    "o",
    "to_out",
    "proj",
    "out_lin",
    "output_proj",
    "out_projection",
    "output_projection",
    "attn_out",
    "post_proj",
    "linear_out",
    "proj_out",
    "projection",
    "w_o",
    "fc_out",
    "out",
)
#: Between attention and projection something that is not linear: the norm after the projection says nothing then.
_BETWEEN = re.compile(r"(sub|inner|group|attn|out|o)_?(layer_?)?(norm|ln)$|^(g_proj|gate|gate_proj|attn_gate|out_gate)$", re.IGNORECASE)


class ValueNorms:
    """Computes ‖v·W_O,h‖ of every key for every head, W_O,h being the head's part of the output projection.

    From Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms": a weight times this norm is
    how much of a head's output a key makes.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        """Prepare for a model."""
        self._model = model
        self._last: tuple[str, int, torch.Tensor | None] = ("", 0, None)

    def __call__(self, path: str, value: torch.Tensor, heads: torch.Tensor | Sequence[int], group_size: int) -> FloatArray | None:
        """Compute the norms of one input's values at one layer.

        Args:
            path: of the attention module in the model, as `named_modules` gives it.
            value: ``[key groups, keys, width]``, every key group.
            heads: numbers of the query heads.
            group_size: query heads that read one key group.

        Returns:
            float32 ``[heads, keys]``; None where no projection of this width is found, its weights cannot be read, or something that is
            not linear comes before it.
        """
        groups, keys, width = value.shape
        features = groups * group_size * width
        if self._last[:2] != (path, features):
            self._last = (path, features, self._weight(path, features, width))
        weight = self._last[2]
        if weight is None:
            return None
        numbers = heads.tolist() if isinstance(heads, torch.Tensor) else list(heads)
        found = torch.empty(len(numbers), keys, device=value.device)
        # A training's autocast would round them.
        with torch.no_grad(), torch.autocast(value.device.type, enabled=False):
            for row, head in enumerate(numbers):
                part = weight[:, head * width : (head + 1) * width].to(value.device).float()
                found[row] = (value[head // group_size].float() @ part.T).norm(dim=-1)
        norms = found.cpu().numpy()
        return np.asarray(norms, dtype=np.float32) if np.isfinite(norms).all() else None

    def _weight(self, path: str, features: int, width: int) -> torch.Tensor | None:
        """Find the weight of the output projection, ``[hidden, heads · width]``."""
        try:
            module = self._model.get_submodule(path)
            parent = self._model.get_submodule(path.rpartition(".")[0])
        except AttributeError:
            return None
        if any(_BETWEEN.search(name) for name, _ in module.named_children()) or _gated(module, features):
            return None
        places = [(module, "")] + ([(parent, "output.")] if path else [])
        for owner, prefix in places:
            for name in _NAMES:
                weight = _weight_of(_at(owner, prefix + name), features, width)
                if weight is not None:
                    return weight
        return None


def _gated(module: torch.nn.Module, features: int) -> bool:
    """Whether queries come with a gate for the output, as wide as they are."""
    return getattr(_at(module, "q_proj"), "out_features", None) == 2 * features


def _at(owner: Any, path: str) -> Any:
    for name in path.split("."):
        owner = getattr(owner, name, None)
    return owner


def _weight_of(found: Any, features: int, width: int) -> torch.Tensor | None:
    """Take the weight ``[hidden, features]`` out of a projection; None if it is none, or of another width."""
    if isinstance(found, (torch.nn.Sequential, torch.nn.ModuleList)):
        found = next((one for one in found if next(one.parameters(), None) is not None), None)
    if isinstance(found, torch.nn.Parameter):  # XLNet's is no module: [hidden, heads, width]
        return found.detach().flatten(1) if found.ndim == 3 and found.shape[1:].numel() == features and found.shape[2] == width else None
    if not isinstance(found, torch.nn.Module):
        return None
    if hasattr(found, "base_layer"):
        return _adapted(found, features, width)
    weight = getattr(found, "weight", None)
    transposed = type(found).__name__ == "Conv1D"
    incoming = getattr(found, "in_features", None)
    if incoming is None and isinstance(weight, torch.Tensor) and weight.ndim == 2:
        incoming = weight.shape[0 if transposed else 1]
    if incoming != features:
        return None
    plain = isinstance(weight, torch.Tensor) and weight.is_floating_point() and weight.ndim == 2 and weight.device.type != "meta"
    if isinstance(weight, torch.Tensor) and plain:
        weight = weight.detach().T if transposed else weight.detach()
        return weight if weight.shape[1] == features else None
    return _asked(found, features)


def _adapted(found: Any, features: int, width: int) -> torch.Tensor | None:
    """The weight under an adapter, and what the adapter adds to it."""
    weight = _weight_of(found.base_layer, features, width)
    if weight is None or getattr(found, "merged", False) or getattr(found, "disable_adapters", False):
        return weight
    try:
        for name in found.active_adapters:
            if not hasattr(found, "lora_A") or name in getattr(found, "lora_variant", {}) or getattr(found, "use_dora", {}).get(name):
                return _asked(found, features)  # it does not only add
            if name in found.lora_A:
                delta = found.get_delta_weight(name).detach().to(weight.device, weight.dtype)
                weight = weight + (delta.T if getattr(found, "fan_in_fan_out", False) else delta)
    except (AttributeError, NotImplementedError, RuntimeError):
        return None
    return weight


def _asked(found: torch.nn.Module, features: int) -> torch.Tensor | None:
    """Ask a projection whose weights are quantised or elsewhere for them: it is linear, so unit vectors give its columns."""
    parameter = next(found.parameters(), next(found.buffers(), None))
    device = torch.device("cpu") if parameter is None or parameter.device.type == "meta" else parameter.device
    modes = [(module, module.training) for module in found.modules()]
    for module, _ in modes:
        module.training = False  # an adapter's dropout would draw
    try:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            try:
                with torch.no_grad():
                    units = torch.eye(features, dtype=dtype, device=device)
                    made = found(units).float() - found(torch.zeros_like(units[:1])).float()
            except (RuntimeError, TypeError, ValueError):
                continue
            return made.T if made.ndim == 2 and made.shape[0] == features else None
        return None
    finally:
        for module, training in modes:
            module.training = training
