"""Which step and head the pictures show: where induction rose most."""

from __future__ import annotations

from typing import NamedTuple

import attnlog


class Moment(NamedTuple):
    """A step, an input and a head of a run."""

    step: int
    input: int
    layer: int
    head: int


def rise(saved: attnlog.SavedRun) -> Moment:
    """Find the step where induction rose most, and the head that rose, on the last input."""
    scores: dict[tuple[int, int], list[float]] = {}
    last = len(saved.read().inputs) - 1
    for step in saved.steps:
        for layer in saved.read(step).layers:
            if layer.input == last:
                for head, score in zip(layer.heads, layer.metrics["induction"], strict=True):
                    scores.setdefault((layer.layer, head), []).append(float(score))
    rises = [(values[n] - values[n - 1], n, where) for where, values in scores.items() for n in range(1, len(values))]
    _, n, (layer_, head_) = max(rises)
    return Moment(saved.steps[n], last, layer_, head_)
