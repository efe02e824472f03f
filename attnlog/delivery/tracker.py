"""The contract between attnlog and wherever assets are delivered; a third party writes one class of this shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file to deliver: the asset's manifest record and the step it belongs to."""

    path: str  # inside the run, with "/"
    kind: str  # inputs, index, pictures, attention, vectors, …, or manifest
    bytes: int
    sha256: str
    step: int | None = None
    epoch: float | None = None
    checkpoint: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Tracker(Protocol):
    """Where assets are delivered. Called from one background thread only; may raise: the error boundary handles it.

    A tracker is made by its factory (the entry point of group ``attnlog.trackers``), called as ``factory(run_directory)`` with
    the path of the local run folder, from the thread that trains: it must find out there which run or experiment is active
    and be quick about it.
    """

    name: str

    def put(self, entry: Entry, file: Path) -> None:
        """Deliver one file under ``attnlog/<entry.path>``. A manifest comes after the assets it names and may come again, longer."""

    def refresh(self, run: Path) -> None:
        """Remake what is derived from the whole run (MLflow's ``viewer.html``); called at a bounded rate and at the end."""

    def where(self) -> str | None:
        """Say in a few words where a person finds the run there, or None."""

    def close(self) -> None:
        """Release what the tracker holds; nothing is put after this."""
