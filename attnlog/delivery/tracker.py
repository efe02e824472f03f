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
    # Head metrics that the run was asked to report (``scalars=``), name → value; on a commit's index asset only.
    scalars: Mapping[str, float] = field(default_factory=dict)
    time: float | None = None  # when the commit was made, seconds since 1970


@runtime_checkable
class Tracker(Protocol):
    """Where assets are delivered. Called from one background thread only; may raise: the error boundary handles it.

    A tracker is made by its factory (the entry point of group ``attnlog.trackers``), called as ``factory(run_directory)`` with
    the path of the local run folder, from the thread that trains: it must find out there which run or experiment is active
    and be quick about it.

    What a tracker may have beside its methods, all of it optional:

    - a factory that takes ``run=`` too: which of the tracker's runs to write to, as in ``tracker="mlflow:RUN_ID"``;
    - ``run``, a text or None: the run it writes to, so that ``attnlog sync`` finds it again;
    - ``destination``, a text: where exactly that is; what arrived at one destination is delivered to another once more;
    - ``holds()``: path inside the run → bytes, of what the tracked system has of this run. ``attnlog sync`` asks before anything is
      put, so that what another machine delivered is not delivered again. None: it cannot say. Where it fails, nothing is put;
    - ``flush()``: called when a training ends or somebody waits; delivers what ``put`` kept back for the end, and waits for what is
      on its way;
    - ``pending``: the paths that ``put`` took and that have not arrived yet, for a client that uploads by itself; asked after each
      ``put``, after manifests, ``flush()`` and ``close()``. A file counts as delivered when it is no longer pending;
    - ``left_out``: the paths that ``put`` took and chose not to deliver, for a budget of its own; they count neither as
      delivered nor as failed, and ``where()`` should say so.
    """

    name: str

    def put(self, entry: Entry, file: Path) -> None:
        """Deliver one file under ``attnlog/<entry.path>``, and ``entry.scalars`` as the tracker's own numbers at ``entry.step``.

        A manifest comes after the assets it names, and may come again, longer; everything else comes once, unless putting it failed.
        """

    def refresh(self, run: Path) -> None:
        """Remake what is derived from the whole run (MLflow's ``viewer.html``); called at a bounded rate and at the end."""

    def where(self) -> str | None:
        """Say in a few words where a person finds the run there, or None."""

    def close(self) -> None:
        """Release what the tracker holds; nothing is put after this."""
