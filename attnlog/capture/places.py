"""Where an attention call belongs: which kind and layer it is, and which tokens of which input its rows and columns are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from attnlog.capture.call import Call
from attnlog.capture.inputs import Batch
from attnlog.capture.kinds import LayerNumbers, crosses
from attnlog.record import Axis

#: Makes an axis of positions that are no text: of which input row, its name, and how many there are.
MakeAxis = Callable[[Batch, int, str, int], Axis]


@dataclass(frozen=True)
class Place:
    """What an attention call is."""

    kind: str
    query_axis: str
    key_axis: str
    layer: int
    call: int
    folds: int  # windows, frames or channels of each input that the model put into the batch


@dataclass(frozen=True)
class _Known:
    width: int
    base: str  # the axis whose tokens these are


def kind_named(query_axis: str, key_axis: str) -> str:
    """Name the attention from one axis to another, as the format does."""
    if query_axis == key_axis:
        return query_axis
    return "cross" if (query_axis, key_axis) == ("decoder", "encoder") else f"{query_axis}>{key_axis}"


class Places:
    """Finds the place of every call of a capture; makes axes for what has no text: patches, frames, latents."""

    def __init__(self, numbers: LayerNumbers, make: MakeAxis) -> None:
        """Prepare for a model."""
        self._numbers = numbers
        self._make = make
        self._batch: Batch | None = None
        self._known: dict[str, _Known] = {}
        self.made: dict[int, dict[str, Axis]] = {}  # input → axes that its texts do not have

    def begin(self, batch: Batch) -> None:
        """Make ready for a forward pass."""
        self._batch = batch
        self._known = {}
        for positions in batch.positions:
            for axis, where in positions.items():
                width = max(batch.widths.get(axis, 0), len(where), self._known[axis].width if axis in self._known else 0)
                self._known[axis] = _Known(width, axis)

    def of(self, call: Call) -> Place | str:
        """Find the place of a call, or say why it has none."""
        assert self._batch is not None
        inputs = len(self._batch.numbers) if self._batch.rows is None else self._batch.rows
        batch, _, queries, keys = call.shape
        if not batch or batch % inputs or not queries or not keys:
            return (
                f"its weights have shape {list(call.shape)}, which does not fit {inputs} inputs: give one input at a time, the batch first"
            )
        path = self._numbers.path(call.module)
        side = self._numbers.side(path) if call.returned is None else self._numbers.side_of_output(call.returned[0])
        crossing = crosses(path) if call.returned is None else call.returned[0] == "cross_attentions"
        folds = batch // inputs
        query_axis, key_axis = self._axes(side if folds == 1 else f"{side}-window", queries, keys, crossing=crossing)
        if call.returned is not None:
            return Place(kind_named(query_axis, key_axis), query_axis, key_axis, call.returned[1], 0, folds)
        layer = self._numbers.layer(call.module, side)
        kind, query_axis, key_axis = self._claimed(call, layer, query_axis, key_axis)
        return Place(kind, query_axis, key_axis, layer, self._numbers.call(kind, layer), folds)

    def positions(self, row: int, axis: str, device: torch.device) -> torch.Tensor:
        """Say at which positions of the model's batch row `row` the tokens of an axis are, int64."""
        assert self._batch is not None
        known = self._known[axis]
        found = self._batch.positions[row].get(known.base)
        return torch.arange(known.width, device=device) if found is None else found.to(device)

    def axis(self, row: int, name: str) -> Axis:
        """Return an axis of the input in batch row `row`."""
        assert self._batch is not None
        record = self._batch.records[row]
        if name in record.axes:
            return record.axes[name]
        made = self.made.setdefault(self._batch.numbers[row], {})
        known = self._known[name]
        if name not in made:
            text = record.axes.get(known.base)
            made[name] = text if text is not None else self._make(self._batch, row, name, known.width)
        return made[name]

    def _axes(self, side: str, queries: int, keys: int, *, crossing: bool) -> tuple[str, str]:
        if queries == keys and not crossing:
            axis = self._axis(side, queries)
            return axis, axis
        own = self._known.get(side)
        # Pooled or learned queries over the tokens of this stack.
        pooled = own is not None and own.width != queries and own.width == keys and not crossing
        query_axis = self._axis(f"{side}-queries" if pooled else side, queries)
        if pooled:
            return query_axis, side
        others = [name for name, known in self._known.items() if known.width == keys and name not in (query_axis, side)]
        preferred = [name for name in ("encoder", "vision", "audio") if name in others]
        if preferred or (crossing and others):
            return query_axis, (preferred or others)[0]
        if crossing and side == "decoder":
            return query_axis, self._axis("encoder", keys)
        return query_axis, self._axis(f"{side}-keys", keys)

    def _axis(self, name: str, width: int) -> str:
        """Name the axis of so many positions: the name itself, or with a number where it has another length already."""
        number, candidate = 1, name
        while candidate in self._known and self._known[candidate].width != width:
            number += 1
            candidate = f"{name}-{number}"
        self._known.setdefault(candidate, _Known(width, candidate))
        return candidate

    def _claimed(self, call: Call, layer: int, query_axis: str, key_axis: str) -> tuple[str, str, str]:
        """Give a stack a kind of its own where another module is that layer of the kind: its axis is the same tokens again."""
        kind, first, number = kind_named(query_axis, key_axis), query_axis, 1
        known = self._known[query_axis]
        while not self._numbers.claim(kind, layer, call.module):
            number += 1
            name = f"{first}-{number}"
            if self._known.setdefault(name, known).width == known.width:
                key_axis = name if key_axis == query_axis else key_axis
                query_axis = name
                kind = kind_named(query_axis, key_axis)
        return kind, query_axis, key_axis
