"""What a capture holds beside attention becomes assets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attnlog.format.encode import Asset, Span, encode
from attnlog.format.outputs import hidden_batch, outputs_batch, states_batch
from attnlog.format.spread import spread
from attnlog.outputs import Loss, Output, Prediction, States
from attnlog.record import Capture


def write_beside(capture: Capture) -> Iterator[Asset]:
    """Encode hidden states, their statistics, predictions, losses and saliency: nothing where there are none."""
    states = sorted(capture.hidden_states, key=lambda one: (one.input, one.axis, one.layer))
    with_values = [one for one in states if one.values is not None]
    precision = "f32" if any(_wide(one) for one in with_values) else "f16"
    item = 4 if precision == "f32" else 2
    places: dict[int, tuple[str, Span]] = {}
    for name, layers in spread("hidden", with_values, [item * one.tokens * one.width for one in with_values]):
        asset = encode(name, "hidden", (hidden_batch(one, precision) for one in layers), precision=precision)
        places.update({id(one): (name, span) for one, span in zip(layers, asset.batches, strict=True)})
        yield asset
    for name, layers in spread("states", states, [24 * one.tokens for one in states]):
        yield encode(name, "states", [states_batch(layers, places)])
    outputs = sorted(capture.outputs, key=lambda one: (one.input, one.axis))
    for name, part in spread("outputs", outputs, [_size(one) for one in outputs]):
        yield encode(name, "outputs", [outputs_batch(part)])


def _wide(one: States) -> bool:
    """Whether float16 would make infinities of some states."""
    assert one.values is not None
    return one.values.dtype != np.float16 and bool(one.values.size) and float(np.abs(one.values).max()) > float(np.finfo(np.float16).max)


def _size(one: Output) -> int:
    """Estimate what an output decodes to."""
    if isinstance(one, Prediction):
        return 12 * one.ids.size + sum(len(label) for row in one.labels for label in row)
    return 4 * len(one.values) + (0 if isinstance(one, Loss) else len(one.target))
