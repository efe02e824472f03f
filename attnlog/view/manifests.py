"""The manifests that one page carries: all lines of a run, or of a run of thousands of steps as many commits as there is room for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

#: Manifests take at most this part of a page's budget, and always so many bytes.
PART, LEAST = 4, 200_000


@dataclass(frozen=True)
class PageManifests:
    """Names and texts, and how many steps they leave out."""

    texts: tuple[tuple[str, str], ...]
    left_out: int = 0


@dataclass(frozen=True)
class _Line:
    """Where a manifest line lies, and what it takes to choose."""

    offset: int
    length: int
    kind: str
    n: int = -1
    step: int = -1
    loss: float | None = None


def page_manifests(directory: Path, names: Sequence[str], budget: int | None) -> PageManifests:
    """Read a run's manifests for a page of so many bytes.

    Of steps that are too many the first, the latest, the best and evenly spaced ones stay. No manifest is held as a whole: a
    training that runs for days makes this page again and again.

    Args:
        directory: the run folder.
        names: of its manifests.
        budget: bytes of the page; None: no limit.
    """
    sizes = [(directory / name).stat().st_size for name in names]
    room = None if budget is None else max(budget // PART, LEAST)
    if room is None or sum(sizes) <= room:
        return PageManifests(tuple((name, _whole(directory / name)) for name in names))
    lines = {name: _lines(directory / name) for name in names}
    commits = [line for of in lines.values() for line in _merged(of)]
    if not commits:
        return PageManifests(tuple((name, _whole(directory / name)) for name in names))
    every = -(-sum(line.length for line in commits) // room)
    steps = sorted({line.step for line in commits})
    kept = {*steps[::every], *_focus(commits)}
    texts = tuple((name, _chosen(directory / name, of, kept)) for name, of in lines.items())
    return PageManifests(texts, len(steps) - len(kept))


def _whole(file: Path) -> str:
    """A manifest without the line that is being written at this moment."""
    data = file.read_bytes()
    return data[: data.rfind(b"\n") + 1].decode("utf-8")


def _lines(file: Path) -> list[_Line]:
    found, offset = [], 0
    with file.open("rb") as source:
        for raw in source:
            if not raw.endswith(b"\n"):
                break
            found.append(_line(raw, offset))
            offset += len(raw)
    return found


def _line(raw: bytes, offset: int) -> _Line:
    try:
        said: dict[str, Any] = json.loads(raw)
        kind, n, step = str(said["type"]), int(said.get("n", -1)), int(said.get("step", -1))
        loss = (said.get("metrics") or {}).get("eval_loss")
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return _Line(offset, len(raw), "bad")  # kept, so that the manifest's reader says what is wrong with it
    return _Line(offset, len(raw), kind, n, step, loss if isinstance(loss, (int, float)) else None)


def _merged(lines: Sequence[_Line]) -> list[_Line]:
    """The commits of a manifest, each with the loss that an update added later."""
    commits: dict[int, _Line] = {}
    for line in lines:
        if line.kind == "commit":
            commits[line.n] = line
        elif line.kind == "update" and line.loss is not None and line.n in commits:
            commits[line.n] = replace(commits[line.n], loss=line.loss)
    return list(commits.values())


def _focus(commits: Sequence[_Line]) -> set[int]:
    steps = [line.step for line in commits]
    best = min((line for line in commits if line.loss is not None), key=lambda line: line.loss or 0.0, default=None)
    return {min(steps), max(steps), *({best.step} if best is not None else ())}


def _chosen(file: Path, lines: Sequence[_Line], steps: set[int]) -> str:
    numbers = {line.n for line in lines if line.kind == "commit" and line.step in steps}
    parts = []
    with file.open("rb") as source:
        for line in lines:
            # A roll-up is of all steps, and is in no page.
            if line.kind == "indexes" or (line.kind in ("commit", "update") and line.n not in numbers):
                continue
            source.seek(line.offset)
            parts.append(source.read(line.length))
    return b"".join(parts).decode("utf-8")
