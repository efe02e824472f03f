"""Which attention a module computes, and which layer it is, by its path in the model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import torch

_CROSS = re.compile(r"cross|encdec|enc_dec|encoder_att|encoder_decoder_att|multihead_attn|src_attn|memory_att", re.IGNORECASE)
_SHARED = re.compile(r"albert_layer_groups")
#: Parts of a model whose tokens are not its text: what their names say, and the axis that is named after it. The innermost counts.
_TOWERS = (
    (
        "qformer",
        re.compile(r"q_?former|query_tokens?|resampler|abstractor|perceiver|connector|multi_modal_projector|modality_projection", re.I),
    ),
    ("memory", re.compile(r"memory_(attention|encoder)", re.I)),
    ("audio", re.compile(r"audio|speech|acoustic|codec|mimi|encodec", re.I)),
    ("vision", re.compile(r"vision|visual|image|(^|_)vit($|_)|pixel|(^|_)img($|_)|video|backbone|high_res|siglip", re.I)),
)
_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel", "DeepSpeedEngine")
_ATTENTION = re.compile(r"att(entio)?n|mha", re.I)


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model under wrappers of torch.compile and data-parallel training."""
    while (inner := _inner(model)) is not None:
        model = inner
    return model


def runner_of(model: torch.nn.Module) -> torch.nn.Module:
    """Return what is to be called: the model, or what gathers its weights from other ranks around it."""
    while type(model).__name__ != "FullyShardedDataParallel" and (inner := _inner(model)) is not None:
        model = inner
    return model


def _inner(model: torch.nn.Module) -> torch.nn.Module | None:
    """Return what a wrapper holds, or None where a model is none."""
    held = getattr(model, "_orig_mod", None) or (getattr(model, "module", None) if type(model).__name__ in _WRAPPERS else None)
    return held if isinstance(held, torch.nn.Module) else None


def tower_of(path: str) -> str | None:
    """Name the tower that a module belongs to, or None where it is part of the model's main stack."""
    for part in reversed(path.split(".")[:-1]):
        for name, pattern in _TOWERS:
            if pattern.search(part):
                return name
    return None


def crosses(path: str) -> bool:
    """Say whether a module attends from one sequence to another, by its name."""
    return any(_CROSS.search(part) for part in path.split(".")[-2:])


@dataclass
class LayerNumbers:
    """Where attention modules are in a model: whose queries they have, and which layer they are."""

    model: torch.nn.Module
    main: str = "self"  # axis of a model's main stack: its text's, or what it has instead
    paths: dict[int, str] = field(default_factory=dict)
    _sides: bool = False
    _integers: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    _claimed: dict[tuple[str, int], str] = field(default_factory=dict)
    _calls: dict[tuple[str, int], int] = field(default_factory=dict)
    _next: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look the module tree up once."""
        self.paths = {id(module): path for path, module in self.model.named_modules(remove_duplicate=True)}
        found = {"encoder": False, "decoder": False}
        for path in self.paths.values():
            for side in found:
                found[side] |= side in path.lower().split(".") and bool(_ATTENTION.search(path)) and tower_of(path) is None
            stem, integers = _stem(path)
            self._integers.setdefault(stem, []).append(integers)
        config = getattr(self.model, "config", None)
        self._sides = bool(getattr(config, "is_encoder_decoder", False)) or all(found.values())

    def restart(self) -> None:
        """Begin another forward pass."""
        self._calls.clear()
        self._next.clear()

    def path(self, module: torch.nn.Module) -> str:
        """Return where a module is in the model."""
        return self.paths.get(id(module), type(module).__name__)

    def side(self, path: str) -> str:
        """Name the axis of the queries of the module at `path`."""
        if self._sides:
            sides = [part for part in path.lower().split(".") if part in ("encoder", "decoder")]
            inner = tower_of(path.split(sides[0], 1)[1]) if sides else tower_of(path)
            if inner is None and sides:
                return sides[0]
        return tower_of(path) or self.main

    def side_of_output(self, field: str) -> str:
        """Name the axis of the queries of what a model returns under a name such as ``encoder_attentions``."""
        side = {"encoder_attentions": "encoder", "decoder_attentions": "decoder", "cross_attentions": "decoder"}.get(field)
        return side if side is not None and self._sides else self.main

    def layer(self, module: torch.nn.Module, side: str) -> int:
        """Say which layer of its stack a module is."""
        path = self.path(module)
        stem, integers = _stem(path)
        named = getattr(module, "layer_idx", None)
        siblings = self._integers.get(stem, [])
        if not isinstance(named, int) and _SHARED.search(path):
            layer = self._next.get(side, 0)  # modules shared between layers (ALBERT): layers count as they are computed
        elif isinstance(named, int) and not isinstance(named, bool):
            layer = named
        elif len({one[0] for one in siblings if one}) < len(siblings):
            layer = sorted(siblings).index(integers) if integers in siblings else 0  # blocks of stages: numbered on from stage to stage
        else:
            layer = integers[0] if integers else self._next.get(side, 0)
        self._next[side] = max(self._next.get(side, 0), layer + 1)
        return layer

    def claim(self, kind: str, layer: int, module: torch.nn.Module) -> bool:
        """Say whether this layer of this kind is the module's, or free for it: no two modules are one layer."""
        path = self.path(module)
        return bool(_SHARED.search(path)) or self._claimed.setdefault((kind, layer), path) == path

    def call(self, kind: str, layer: int) -> int:
        """Count a call of a layer within this forward pass."""
        call = self._calls.get((kind, layer), 0)
        self._calls[kind, layer] = call + 1
        return call


def _stem(path: str) -> tuple[str, tuple[int, ...]]:
    parts = path.split(".")
    return ".".join("*" if part.isdigit() else part for part in parts), tuple(int(part) for part in parts if part.isdigit())
