"""What the pictures show: the newest run, at the step where induction rose most, and the head that rose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import attnlog
from attnlog.view.server import find_runs


def newest(places: Sequence[Path]) -> Path:
    """Of runs, and of folders of runs, the one that was written last.

    Raises:
        RunNotFoundError: there is none.
    """
    return max(find_runs(places).values(), key=lambda path: path.stat().st_mtime)


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
