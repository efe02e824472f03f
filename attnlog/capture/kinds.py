"""Which attention a module computes, and which layer it is, by its path in the model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import torch

_CROSS = re.compile(r"cross|encdec|enc_dec|encoder_att|encoder_decoder_att", re.IGNORECASE)
_SHARED = re.compile(r"albert_layer_groups")
_TOWER = re.compile(r"(vision|visual|image|audio|speech)", re.IGNORECASE)


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model under wrappers of torch.compile and data-parallel training."""
    while True:
        wrapped = type(model).__name__ in ("DistributedDataParallel", "DataParallel")
        inner = getattr(model, "_orig_mod", None) or (getattr(model, "module", None) if wrapped else None)
        if not isinstance(inner, torch.nn.Module):
            return model
        model = inner


def kind_of(path: str, *, encoder_decoder: bool) -> str:
    """Name the kind of attention of the module at `path`."""
    tower = _TOWER.search(path)
    if tower:
        return "vision" if tower[1].lower() in ("vision", "visual", "image") else "audio"
    last = path.split(".")[-2:]
    if any(_CROSS.search(part) for part in last):
        return "cross"
    if encoder_decoder:
        sides = [part for part in path.lower().split(".") if part in ("encoder", "decoder")]
        if sides:
            return sides[0]
    return "self"


@dataclass
class LayerNumbers:
    """Numbers attention calls of one forward pass: kind, layer and call of each."""

    model: torch.nn.Module
    encoder_decoder: bool
    _paths: dict[int, str] = field(default_factory=dict)
    _calls: dict[tuple[str, int], int] = field(default_factory=dict)
    _next: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look the module tree up once."""
        self._paths = {id(module): path for path, module in self.model.named_modules(remove_duplicate=True)}

    def restart(self) -> None:
        """Begin another forward pass."""
        self._calls.clear()
        self._next.clear()

    def path(self, module: torch.nn.Module) -> str:
        """Return where a module is in the model."""
        return self._paths.get(id(module), type(module).__name__)

    def number(self, module: torch.nn.Module) -> tuple[str, int, int]:
        """Return kind, layer and call of the attention that `module` computes now."""
        path = self.path(module)
        kind = kind_of(path, encoder_decoder=self.encoder_decoder)
        named = getattr(module, "layer_idx", None)
        integers = [int(part) for part in path.split(".") if part.isdigit()]
        if not isinstance(named, int) and _SHARED.search(path):
            layer = self._next.get(kind, 0)  # modules shared between layers (ALBERT): layers count as they are computed
        elif isinstance(named, int):
            layer = named
        else:
            layer = integers[0] if integers else self._next.get(kind, 0)
        self._next[kind] = max(self._next.get(kind, 0), layer + 1)
        call = self._calls.get((kind, layer), 0)
        self._calls[kind, layer] = call + 1
        return kind, layer, call
