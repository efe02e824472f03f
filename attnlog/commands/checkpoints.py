"""Which checkpoints were named, in which order, and what each says of the step whose weights it holds. Loads none of them."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from attnlog.errors import ArgumentError, RunError
from attnlog.scalars import finite_numbers

_NUMBERED = re.compile(r"checkpoint-(\d+)")
_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")
#: One of these makes a folder a saved model: its own configuration, or that of an adapter of another model.
_SAVED = ("config.json", "adapter_config.json")
#: One of these, or a file `*.model`, holds a tokenizer.
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json")
_STEPS = 1 << 53


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A local folder or a model on the hub, and the moment of training that its weights are of."""

    place: str  # as it was named: the run keeps it
    step: int
    source: str  # where the step is from, in words
    epoch: float | None = None
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one on this machine."""
        return Path(self.place) if Path(self.place).is_dir() else None


def find(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Turn folders, globs and names on the hub into places, each once, in the order given.

    Returns:
        The places, and the folders that a glob found and that hold no model.

    Raises:
        RunError: there is nothing of a name.
    """
    places: list[str] = []
    passed: list[str] = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            places.append(str(path))
        elif path.exists():
            raise RunError(f"{name} is a file: name the folder that save_pretrained or the Trainer wrote")
        elif glob.has_magic(name):
            found = [Path(one) for one in glob.glob(str(path)) if Path(one).is_dir()]
            # A folder named as a checkpoint that holds none was cut off while it was written: that is told as a failure.
            models = [one for one in found if _NUMBERED.fullmatch(one.name) or any((one / file).is_file() for file in _SAVED)]
            if not models:
                raise RunError(
                    f"nothing matches {name}: no folder there holds a model (config.json); is the path right, from {Path.cwd()}?"
                )
            places += [str(one) for one in sorted(models, key=_natural)]
            passed += [str(one) for one in sorted(set(found) - set(models), key=_natural)]
        elif _HUB.fullmatch(name) and not Path(name.split("/", 1)[0]).is_dir():
            places.append(name)
        else:
            raise RunError(f"there is no checkpoint at {name}: no such folder")
    return list(dict.fromkeys(places)), passed


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def in_order(places: Sequence[str], steps: Sequence[int]) -> list[Checkpoint]:
    """Say of each place which step it is, the first step first.

    Args:
        places: as `find` returns them.
        steps: one for each place, or none: then the number in ``checkpoint-N`` counts, else what the Trainer's state says, else the
            one after the place before.

    Raises:
        ArgumentError: steps and places do not go together, or two places are of one step.
    """
    if steps and len(steps) != len(places):
        raise ArgumentError(f"--step is given {len(steps)} times for {len(places)} checkpoints: give one for each, in their order, or none")
    found: list[Checkpoint] = []
    for position, place in enumerate(places):
        state = _state(Path(place))
        named = _NUMBERED.fullmatch(Path(place).name)
        if steps:
            step, source = steps[position], "as --step says"
        elif named is not None:
            step, source = int(named[1]), "by its name"
        elif state is not None and _is_step(state.get("global_step")):
            step, source = int(state["global_step"]), "by its trainer_state.json"
        else:
            step, source = found[-1].step + 1 if found else 0, "by its place in the list"
        found.append(_checkpoint(place, step, source, state or {}))
    ordered = sorted(found, key=lambda one: one.step)
    for one, other in pairwise(ordered):
        if one.step == other.step:
            raise ArgumentError(
                f"{one.place} and {other.place} are both step {one.step}: give each a --step, or capture them to two --run folders"
            )
    if ordered and not 0 <= ordered[-1].step < _STEPS:
        raise ArgumentError(f"the step of {ordered[-1].place} is {ordered[-1].step}; it is a whole number from 0 below 2^53")
    return ordered


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _STEPS


def _state(folder: Path) -> dict[str, Any] | None:
    """What the Trainer saved of itself beside the weights; None where nothing can be read."""
    try:
        state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return state if isinstance(state, dict) else None


def _checkpoint(place: str, step: int, source: str, state: Mapping[str, Any]) -> Checkpoint:
    # What was logged at the step of these weights: an older loss belongs to other weights.
    logged = state.get("log_history")
    of_step: dict[str, float] = {}
    for entry in logged if isinstance(logged, list) else ():
        if isinstance(entry, dict) and entry.get("step") == state.get("global_step"):
            of_step |= finite_numbers(entry)
    return Checkpoint(
        place=place,
        step=step,
        source=source,
        epoch=finite_numbers({"epoch": state.get("epoch")}).get("epoch"),
        loss=of_step.get("loss"),
        metrics={name: value for name, value in of_step.items() if name.startswith("eval_")},
    )


def has_tokenizer(folder: Path) -> bool:
    """Say whether a folder holds a tokenizer; transformers makes an empty one for some models where there is none."""
    return any((folder / name).is_file() for name in _TOKENIZERS) or any(folder.glob("*.model"))


def same_place(one: str | None, other: str) -> bool:
    """Say whether two names are of one checkpoint."""
    return one is not None and (one == other or Path(one).resolve() == Path(other).resolve())
