"""Axes of what has no text: patches by row and column, frames by time, and whatever else by its position."""

from __future__ import annotations

import math
from typing import Any

import torch

from attnlog.capture.inputs import Batch
from attnlog.record import Axis

_MOST_EXTRA = 16  # class, distillation and register tokens before the patches


def made_axis(model: Any, batch: Batch, row: int, name: str, count: int) -> Axis:
    """Make the axis of `count` positions that are no tokens of a text.

    Args:
        model: whose configuration says how large patches are.
        batch: what the model was given.
        row: which input of the batch.
        name: of the axis: ``vision``, ``audio``, ``encoder``, …, with what tells stacks of other lengths apart.
        count: how many positions.
    """
    tokens, labels = None, None
    if "window" not in name and "queries" not in name:
        given = batch.arguments
        found = _patches(model, given, row, count) or _frames(model, given, count)
        if found is not None:
            tokens, labels = found
    if tokens is None:
        tokens = tuple(str(n) for n in range(count))
        labels = tuple(f"position {n}" for n in range(count))
    return Axis(tokens=tokens, labels=labels)


Named = tuple[tuple[str, ...], tuple[str, ...]]


def _patches(model: Any, given: dict[str, Any], row: int, count: int) -> Named | None:
    """Name patches by where they are in the picture, which the model reads row by row."""
    grid = _grid(model, given, row, count)
    if grid is None:
        return None
    frames, height, width = grid
    extra = count - frames * height * width
    tokens = ["[CLS]" if extra == 1 else f"[{n}]" for n in range(extra)]
    labels = ["class token" if extra == 1 else f"extra token {n}" for n in range(extra)]
    for frame in range(frames):
        for r in range(height):
            for c in range(width):
                before = f"f{frame}" if frames > 1 else ""
                tokens.append(f"{before}r{r}c{c}")
                labels.append((f"frame {frame}, " if frames > 1 else "") + f"row {r}, column {c}")
    return tuple(tokens), tuple(labels)


def _grid(model: Any, given: dict[str, Any], row: int, count: int) -> tuple[int, int, int] | None:
    """Find frames, rows and columns of patches whose number is `count`, or less by a few tokens of the model's own."""
    for name, value in given.items():
        if "grid_thw" in name and isinstance(value, torch.Tensor) and value.ndim == 2 and row < len(value):
            t, h, w = (int(n) for n in value[row])
            for merged in (1, 2, 4):
                if t * (h // merged) * (w // merged) == count:
                    return t, h // merged, w // merged
    pixels = next((v for n, v in given.items() if "pixel_values" in n and isinstance(v, torch.Tensor) and v.ndim >= 4), None)
    if pixels is None:
        return None
    height, width = int(pixels.shape[-2]), int(pixels.shape[-1])
    frames, most = _cut_frames(model, pixels)
    fits = []
    for size in _sizes(model):
        for down in (1, 2, 4, 8, 16, 32):
            h, w = math.ceil(height / (size * down)), math.ceil(width / (size * down))
            extra = count - frames * h * w
            if h * w > 0 and 0 <= extra <= (most if down == 1 else 0):
                fits.append((extra, (frames, h, w)))
    return min(fits, key=lambda fit: fit[0])[1] if fits else None


def _cut_frames(model: Any, pixels: torch.Tensor) -> tuple[int, int]:
    """Return how many frames the tokens are of, and how many tokens of the model's own there may be before them.

    Where frames are cut into blocks the blocks follow each other in time. What has frames otherwise attends within each, or counts
    its tokens in an order that nobody can tell.
    """
    config = getattr(model, "config", None)
    if getattr(config, "num_detection_tokens", None):
        return 1, 0  # they come after the patches
    if pixels.ndim != 5:
        return 1, _MOST_EXTRA
    tubelet = getattr(config, "tubelet_size", None)
    deep = tubelet[0] if isinstance(tubelet, (list, tuple)) and tubelet else tubelet
    before_channels = pixels.shape[1] if pixels.shape[2] in (1, 3) else pixels.shape[2]
    return (max(int(before_channels) // deep, 1), 1) if isinstance(deep, int) and deep > 0 else (1, 1)


def _sizes(model: Any) -> list[int]:
    """Collect the patch sizes that a model's configurations name."""
    sizes: dict[int, None] = {}
    config = getattr(model, "config", None)
    for part in (getattr(config, "vision_config", None), getattr(config, "backbone_config", None), config):
        for name in ("patch_size", "patch_stride", "patch_sizes", "strides", "tubelet_size"):
            value = getattr(part, name, None)
            while isinstance(value, (list, tuple)) and value:
                value = value[-1 if name == "tubelet_size" else 0]  # a block is frames × rows × columns
            if isinstance(value, int) and value > 0:
                sizes[value] = None
    return [*sizes, 1] if sizes else []


def _frames(model: Any, given: dict[str, Any], count: int) -> Named | None:
    """Name frames of a sound by when they begin, where the model says how many samples a second it reads."""
    sound = next((v for n, v in given.items() if n in ("input_values", "input_features") and isinstance(v, torch.Tensor)), None)
    if sound is None:
        return None
    config = getattr(model, "config", None)
    rate = next((r for r in (getattr(config, "sampling_rate", None), getattr(config, "sample_rate", None)) if isinstance(r, int)), None)
    if sound.ndim == 2 and rate:
        second = sound.shape[1] / rate / count
        tokens = tuple(f"{n * second:.2f}s" for n in range(count))
        return tokens, tuple(f"{n * second:.3f} to {(n + 1) * second:.3f} s" for n in range(count))
    return tuple(str(n) for n in range(count)), tuple(f"frame {n} of {count}" for n in range(count))
