"""From attention calls to layers: what the tap sees during a forward pass, sorted by input and computed one layer at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from attnlog.capture.inputs import Batch
from attnlog.capture.interface import Call
from attnlog.capture.kinds import LayerNumbers
from attnlog.capture.masks import Sights
from attnlog.capture.weights import Row, by_identity, compute
from attnlog.errors import LayerError
from attnlog.record import Array, Layer, Missing, Vectors, axes_of


@dataclass(frozen=True)
class Wanted:
    """What is to be recorded."""

    layers: frozenset[int] | None
    heads: frozenset[int] | None
    records: frozenset[str]
    precision: str
    dense_tokens: int | None = None


class Recorder:
    """Collects the layers of one capture, batch after batch."""

    def __init__(self, model: torch.nn.Module, wanted: Wanted) -> None:
        """Prepare for a model."""
        self.calls = 0
        self._wanted = wanted
        self._numbers = LayerNumbers(model, bool(getattr(model.config, "is_encoder_decoder", False)))
        self._rotary = _rotary(model)
        self._layers: list[Layer] = []
        self._missing: dict[Missing, None] = {}
        self._seen: dict[str, set[int]] = {}
        self._batch: Batch | None = None
        self._sights = Sights()
        self._computing = False

    def begin(self, batch: Batch) -> None:
        """Make ready for the forward pass of a batch."""
        self._batch, self._sights = batch, Sights()
        self._numbers.restart()

    def end(self) -> None:
        """Let go of what belonged to the batch."""
        self._batch, self._sights = None, Sights()

    def see(self, call: Call) -> None:
        """Record one attention call, as the tap reports it."""
        if self._computing or self._batch is None:
            return  # the identity check calls the model's function once more
        self.calls += 1
        kind, layer, number = self._numbers.number(call.module)
        self._seen.setdefault(kind, set()).add(layer)
        if self._wanted.layers is not None and layer not in self._wanted.layers:
            return
        why_not = self._misfit(call, kind)
        if why_not is not None:
            self._miss(kind, layer, "attention", why_not)
            return
        heads = self._heads(call, kind, layer)
        self._computing = True
        try:
            for row in range(len(self._batch.numbers)):
                self._layers.append(self._layer(call, row, kind, layer, number, heads))
        finally:
            self._computing = False

    def layers(self) -> tuple[Layer, ...]:
        """Return what was recorded, ordered by input, kind and layer."""
        return tuple(sorted(self._layers, key=lambda one: (one.input, one.kind, one.layer, one.call)))

    def missing(self) -> tuple[Missing, ...]:
        """Return what was not."""
        return tuple(self._missing)

    def check_layers(self) -> None:
        """Raise `LayerError` if a layer was asked for that no kind of attention has."""
        known = set().union(*self._seen.values())
        for layer in sorted(self._wanted.layers or ()):
            if layer not in known:
                raise LayerError(f"layer {layer}: this model has attention in layers {', '.join(map(str, sorted(known)))}")

    def _miss(self, kind: str, layer: int | None, what: str, reason: str) -> None:
        self._missing[Missing(kind, layer, what, reason)] = None

    def _misfit(self, call: Call, kind: str) -> str | None:
        """Say why a call is not attention between the tokens of this batch, or None if it is."""
        assert self._batch is not None
        query_axis, key_axis = axes_of(kind)
        record = self._batch.records[0]
        if query_axis not in record.axes or key_axis not in record.axes:
            return f"it runs over {kind} positions, of which the inputs have no tokens"
        widest = {axis: max(len(r.axes[axis].tokens) for r in self._batch.records) for axis in (query_axis, key_axis)}
        if call.mask is not None and not isinstance(call.mask, torch.Tensor):
            kernel = type(call.mask).__name__
            return f"its mask is a {kernel}, which cannot be read: load the model with attn_implementation='sdpa' to record it"
        if call.query.ndim != 4 or call.key.ndim != 4 or call.query.shape[0] != len(self._batch.numbers):
            return f"its queries have shape {tuple(call.query.shape)}, not [inputs, heads, tokens, width]"
        if (call.query.shape[2], call.key.shape[2]) != (widest[query_axis], widest[key_axis]):
            positions, tokens = call.query.shape[2], f"{widest[query_axis]} × {widest[key_axis]}"
            return f"it runs over {positions} × {call.key.shape[2]} positions, the tokens are {tokens}"
        return None

    def _heads(self, call: Call, kind: str, layer: int) -> torch.Tensor:
        count = call.query.shape[1]
        wanted = range(count) if self._wanted.heads is None else sorted(h for h in self._wanted.heads if 0 <= h < count)
        if self._wanted.heads is not None and len(list(wanted)) < len(self._wanted.heads):
            raise LayerError(f"heads {sorted(self._wanted.heads)}: {kind} layer {layer} has heads 0 to {count - 1}")
        return torch.tensor(list(wanted), device=call.query.device)

    def _layer(self, call: Call, number: int, kind: str, layer: int, repeat: int, heads: torch.Tensor) -> Layer:
        assert self._batch is not None
        record, positions = self._batch.records[number], self._batch.positions[number]
        query_axis, key_axis = axes_of(kind)
        queries, keys = positions[query_axis].to(call.query.device), positions[key_axis].to(call.query.device)
        sight = self._sights.of(call, number, queries, keys)
        row = Row(number, queries, keys, sight, record.axes[query_axis], record.axes[key_axis], query_axis == key_axis)
        how: dict[str, Any] = {
            "precision": self._wanted.precision,
            "dense_tokens": self._wanted.dense_tokens,
            "keep": "attention" in self._wanted.records,
        }
        # A training's autocast would round the scores; the model's own function alone runs under it.
        exactly = torch.autocast(call.query.device.type, enabled=False)
        with exactly:
            found = compute(call, row, heads, **how)
        tap = "interface"
        if not found.held:
            weights = by_identity(call, number)
            with exactly:
                again = compute(call, row, heads, identity=weights, **how)
            found, tap = again, "identity"
            if not again.finite:
                self._miss(kind, layer, "attention", "its weights are not numbers (the model gave NaN or infinity)")
                found = replace(again, codes=None, sparse=None, metrics={})
            elif not again.held:
                self._miss(kind, layer, "verified weights", f"weights × values differ from the module's own output by {again.check:.2g}")
        size = call.query.shape[1] // call.key.shape[1]
        chosen = tuple(heads.tolist())
        return Layer(
            input=self._batch.numbers[number],
            kind=kind,
            layer=layer,
            call=repeat,
            module=self._numbers.path(call.module),
            tap=tap,
            heads=chosen,
            groups=tuple(head // size for head in chosen),
            shape=(len(queries), len(keys)),
            weights=found.codes,
            sparse=found.sparse,
            vectors=self._vectors(call, row, heads, size, kind, layer),
            check=found.check,
            explained=found.explained if "vectors" in self._wanted.records else None,
            metrics=found.metrics,
        )

    def _vectors(self, call: Call, row: Row, heads: torch.Tensor, size: int, kind: str, layer: int) -> Vectors | None:
        if not {"vectors", "values"} & self._wanted.records:
            return None
        groups = torch.unique(torch.div(heads, size, rounding_mode="floor"))
        found = Vectors(
            q=_host(call.query[row.number][heads][:, row.queries]),
            k=_host(call.key[row.number][groups][:, row.keys]),
            v=_host(call.value[row.number][groups][:, row.keys]) if "values" in self._wanted.records else None,
            scale=call.scale,
            softcap=call.softcap,
            causal=row.sight.causal,
            window=row.sight.window,
            sinks=None if call.sinks is None else np.asarray(call.sinks[heads].float().cpu()),
            rotary=self._rotary and row.aligned,
        )
        if not all(np.isfinite(part).all() for part in (found.q, found.k, found.v) if part is not None):
            self._miss(kind, layer, "vectors", "they are not numbers (the model gave NaN or infinity)")
            return None
        return found


def _host(tensor: torch.Tensor) -> Array:
    """Copy vectors to the host in float32: half-precision types of models go into it exactly."""
    return np.asarray(tensor.float().cpu())


def _rotary(model: torch.nn.Module) -> bool:
    return any("rotary" in type(module).__name__.lower() for module in model.modules())
