"""What of a capture is done already: an interrupted command goes on where it was, and a run never mixes what cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attnlog.commands.checkpoints import Checkpoint, same_place
from attnlog.commands.texts import Text
from attnlog.errors import ArgumentError, InputError, RunNotFoundError
from attnlog.store.manifest import merge, parse
from attnlog.store.open import SavedRun, open_run


def saved_at(directory: Path) -> SavedRun | None:
    """Open the run that is there, if there is one."""
    try:
        return open_run(directory)
    except RunNotFoundError:
        return None


def left_of(saved: SavedRun | None, checkpoints: Sequence[Checkpoint], texts: Sequence[Text]) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Part the checkpoints into those that the run lacks and those that it holds.

    Raises:
        ArgumentError: one of their steps was recorded of other weights.
        InputError: the run is of other inputs.
    """
    if saved is None or not saved.steps:
        return list(checkpoints), []
    skipped = []
    for one in checkpoints:
        if one.step not in saved.steps:
            continue
        there = saved.commit(one.step).checkpoint
        if not same_place(there, one.place):
            said = f"of {there}" if there else "without a checkpoint's name"
            raise ArgumentError(f"step {one.step} of {saved.source.place} was recorded {said}, not of {one.place}: name another --run")
        skipped.append(one)
    left = [one for one in checkpoints if one not in skipped]
    if _recorded_texts(saved) != [_plain(text) for text in texts]:
        raise InputError(
            f"{saved.source.place} holds other inputs, so its steps could not be compared: give the same ones, or name another --run"
        )
    return left, skipped


def _plain(text: Text) -> tuple[str | None, str | None]:
    first, second = (text, None) if isinstance(text, str) else text
    return first, None if second == first else second


def _recorded_texts(saved: SavedRun) -> list[tuple[str | None, str | None]]:
    found = []
    for one in saved.read().inputs:
        axis = next(iter(one.axes.values()), None)
        source, target = one.axes.get("encoder"), one.axes.get("decoder")
        if source is not None and target is not None:  # a text alone is its own target
            found.append((source.text, None if target.text == source.text else target.text))
        else:
            found.append((None, None) if axis is None else (axis.text, None if axis.pair == axis.text else axis.pair))
    return found


def is_written(directory: Path, checkpoint: Checkpoint) -> bool:
    """Say whether a run folder holds a checkpoint, by what its manifests say now."""
    manifests = (parse(file.name, file.read_bytes()) for file in directory.glob("manifest-*.jsonl"))
    commit = merge(manifests).get(checkpoint.step)
    return commit is not None and commit.checkpoint == checkpoint.place
