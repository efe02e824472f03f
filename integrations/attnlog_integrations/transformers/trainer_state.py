"""What a Trainer's state says about the weights at hand: which step they are of, with which loss, metrics and checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attnlog.scalars import finite_numbers

PREFIX = "checkpoint-"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One event of a training, as attnlog records it."""

    step: int
    epoch: float | None = None
    loss: float | None = None
    checkpoint: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    settled: bool = True  # False where a checkpoint of this step may follow


def moment(
    args: Any, state: Any, *, metrics: Mapping[str, Any] | None = None, saved: bool = False, best: bool = False, settled: bool = True
) -> Moment:
    """Read the state.

    Args:
        args: the Trainer's arguments.
        state: the Trainer's state.
        metrics: what an evaluation reported.
        saved: a checkpoint of this step was written just now.
        best: training has ended and the best weights are loaded again.
        settled: False where a checkpoint of this step may follow.
    """
    numbers = finite_numbers(metrics)
    if best and state.best_global_step is not None and state.best_model_checkpoint is not None:
        step = int(state.best_global_step)
        return Moment(step=step, epoch=_logged(state, step, "epoch"), checkpoint=str(state.best_model_checkpoint), metrics=numbers)
    step = int(state.global_step)
    return Moment(
        step=step,
        epoch=None if state.epoch is None else float(state.epoch),
        loss=_logged(state, step, "loss"),
        checkpoint=_checkpoint(args, state, step) if saved else None,
        metrics=numbers,
        settled=settled,
    )


def _logged(state: Any, step: int, key: str) -> float | None:
    """What the Trainer logged at exactly this step; an older loss belongs to other weights."""
    for entry in reversed(state.log_history or []):
        if entry.get("step") == step and isinstance(entry.get(key), (int, float)):
            return float(entry[key])
        if entry.get("step", step) < step:
            return None
    return None


def _checkpoint(args: Any, state: Any, step: int) -> str:
    folder = Path(args.output_dir)
    if state.is_hyper_param_search:
        # The Trainer puts each trial's checkpoints in a folder of its own, whose name its callbacks are not told.
        found = [path for path in folder.glob(f"*/{PREFIX}{step}") if path.is_dir()]
        if found:
            return str(max(found, key=lambda path: path.stat().st_mtime))
    return str(folder / f"{PREFIX}{step}")
