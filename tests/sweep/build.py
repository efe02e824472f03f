"""Builds a tiny model of nearly every configuration type, and inputs it runs on: ``python -m tests.sweep.build [name …]``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers

from tests.sweep import classes
from tests.sweep.given import MODELS
from tests.sweep.inputs import candidates, placed
from tests.sweep.overrides import ALONE
from tests.sweep.shrink import shrunk
from tests.sweep.workers import each

LIST = Path(__file__).parent / "models.txt"
SECONDS = 20


@dataclass(frozen=True)
class Built:
    """A model in eval mode with what it runs on."""

    name: str
    category: str
    model: torch.nn.Module
    inputs: Mapping[str, Any]
    base: str  # the class of the model


def names() -> list[str]:
    """Return the committed names: those that build and run."""
    return LIST.read_text(encoding="utf-8").split()


def model_of(name: str, **settings: Any) -> Any:
    """Build the model of a configuration type: the same weights every time, larger than at initialisation so that attention is not flat."""
    torch.manual_seed(0)
    if name in MODELS:
        model = MODELS[name](**settings)
    else:
        config = shrunk(classes.config_class(name), overrides=ALONE.get(name))
        if settings:
            set_implementation(config, settings["attn_implementation"])
        model = classes.model_class(name)(config)
    livened(model)
    return model.eval()


def set_implementation(config: Any, implementation: str) -> None:
    """Ask for an attention implementation in a configuration and in all its parts, of which some do not ask their whole."""
    config._attn_implementation = implementation
    for part in vars(config).values():
        if isinstance(part, transformers.PreTrainedConfig):
            set_implementation(part, implementation)


def livened(model: torch.nn.Module) -> None:
    """Draw the matrices anew, from one seed, so wide that attention has peaks and so narrow that nothing overflows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.is_floating_point():
                continue
            # A few models leave what they load from a checkpoint as memory was.
            if parameter.ndim > 1 or not bool((parameter.abs() < 100).all()):
                parameter.normal_(std=0.15, generator=generator)


def build(name: str) -> Built:
    """Build a model and find inputs that it runs on.

    Raises:
        ValueError: none of the inputs that its forward seems to take went through; the message has each reason.
    """
    model = model_of(name)
    reasons: dict[str, None] = {}
    for inputs in candidates(name, model):
        for _ in range(3):
            try:
                with torch.no_grad():
                    model(**inputs)
                return Built(name, category(name, inputs), model, inputs, type(model).__name__)
            except Exception as error:
                place = error.__traceback__
                while place is not None and place.tb_next is not None:
                    place = place.tb_next
                where = "" if place is None else f" ({Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno})"
                shapes = ", ".join(f"{n} {list(t.shape)}" for n, t in inputs.items() if isinstance(t, torch.Tensor))
                reasons[f"{shapes}: {type(error).__name__}: {str(error)[:200]}{where}"] = None
                again = placed(model, inputs, error)
                if again is None:
                    break
                inputs = again
    raise ValueError(f"{type(model).__name__} runs on none of: " + " | ".join(reasons))


def category(name: str, inputs: Mapping[str, Any]) -> str:
    """Name the sort of model by what it is given."""
    image = any(n in inputs for n in ("pixel_values", "pixel_values_videos", "grid_thw"))
    sound = any(n in inputs for n in ("input_features", "input_values", "audio_values"))
    text = "input_ids" in inputs
    if text and (image or sound):
        return "multimodal"
    return "vision" if image else "audio" if sound else "text" if text else "other"


def _said(name: str) -> tuple[str, str, str, float]:
    started = time.monotonic()
    found = build(name)
    shapes = ", ".join(f"{n} {list(t.shape)}" for n, t in found.inputs.items() if isinstance(t, torch.Tensor))
    return found.category, found.base, shapes, time.monotonic() - started


def main(given: list[str]) -> int:
    """Say of each name whether it builds, and why not."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    good, bad = [], []
    for name, answer in each(_said, given or classes.types(), seconds=SECONDS):
        if isinstance(answer, Exception):
            bad.append(name)
            print(f"- {name}: {answer}")
        else:
            good.append(name)
            print(f"+ {name}: {answer[0]}, {answer[1]} ({answer[2]}) {answer[3]:.1f} s")
        sys.stdout.flush()
    print(f"{len(good)} build, {len(bad)} do not")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
