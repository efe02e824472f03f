"""Which run folder a training writes to: a resumed training finds the folder it left, a new one never mixes with an old."""

from __future__ import annotations

import re
import time
from pathlib import Path


def run_name(given: str | None, output_dir: str | None) -> str:
    """The Trainer's run name, else the last part of its output folder, else the time; safe as one folder's name."""
    for text in (given, Path(output_dir).name if output_dir else None):
        if text:
            name = re.sub(r"[^\w.+=-]+", "-", text).strip("-.")
            if name:
                return name[:120]
    return time.strftime("%Y%m%d-%H%M%S")


def run_folder(directory: Path, name: str, *, resumed: bool) -> Path:
    """The folder of this run.

    A resumed training goes on in the newest folder of its name, as another writer. A new training of the same name gets
    ``<name>-2`` and so on: of two trainings in one folder the steps could not be told apart.
    """
    taken = [number for number in _numbers(directory, name) if any(_numbered(directory, name, number).glob("manifest-*.jsonl"))]
    if not taken:
        return _numbered(directory, name, 1)
    return _numbered(directory, name, max(taken) if resumed else max(taken) + 1)


def _numbered(directory: Path, name: str, number: int) -> Path:
    return directory / (name if number == 1 else f"{name}-{number}")


def _numbers(directory: Path, name: str) -> list[int]:
    found = [1]
    for path in directory.glob(f"{_escaped(name)}-*"):
        suffix = path.name[len(name) + 1 :]
        if suffix.isdigit() and int(suffix) > 1:
            found.append(int(suffix))
    return found


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
