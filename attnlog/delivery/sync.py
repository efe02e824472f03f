"""Finishes a delivery that a crash or an outage left unfinished: offers a run folder again, of which only the rest is delivered."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from attnlog.boundary import AttnlogWarning, Boundary
from attnlog.delivery.arrived import remembered
from attnlog.delivery.discovery import Named, check_names, find_trackers
from attnlog.delivery.entries import run_entries
from attnlog.delivery.queue import Delivery
from attnlog.delivery.tracker import Tracker
from attnlog.errors import ArgumentError, AttnlogError, TrackerError


def sync(directory: str | Path, trackers: Named | Sequence[Named] = (), *, wait: float = 3600.0) -> str:
    """Deliver what a run folder holds and its trackers have not received. Nobody should be writing to the folder.

    A tracker that can say what it has is asked; for others counts what the run folder remembers. So it does not matter from
    which machine what arrived before was delivered.

    Args:
        directory: the run folder.
        trackers: names or trackers, such as ``"mlflow:RUN_ID"`` or ``"comet:EXPERIMENT_KEY"``; none: those that the run was
            delivered to, or was to be, in the run there. A name without a run takes the run that is active there, else the one
            that the folder remembers, else a new one if the tracker makes any.
        wait: seconds to take at most.

    Returns:
        One line per tracker, as `Delivery.finish` says it.

    Raises:
        RunNotFoundError: there is no run.
        ArgumentError, MissingExtraError, TrackerError: a tracker cannot be used, or none is named and none remembered.
    """
    return deliver(directory, trackers, wait=wait).finish()


def deliver(directory: str | Path, trackers: Named | Sequence[Named] = (), *, wait: float) -> Delivery:
    """Do what `sync` does, and give the delivery: `left` says how many files have not arrived."""
    folder = Path(directory)
    entries = run_entries(folder)
    delivery = Delivery(folder, _trackers(folder, trackers), Boundary(), ask=True)
    delivery.offer(entries)
    delivery.finish(wait)
    return delivery


def _trackers(folder: Path, named: Named | Sequence[Named]) -> list[Tracker]:
    known = {one.tracker: one.run for one in remembered(folder)}
    asked: Iterable[Named] = check_names(named) or tuple(known)
    if not asked:
        raise ArgumentError(
            f"{folder} does not remember a tracker: name one, such as --tracker mlflow:RUN_ID or --tracker comet:EXPERIMENT_KEY"
        )
    found: list[Tracker] = []
    errors: list[AttnlogError] = []
    for name in asked:
        run = known.get(name) if isinstance(name, str) else None
        try:
            made = _made(folder, name, run)
        except AttnlogError as error:
            if named:
                raise
            errors.append(error)  # of several that are remembered the others are delivered to
            warnings.warn(f"attnlog does not deliver to {name}: {error}", AttnlogWarning, stacklevel=4)
            continue
        for tracker in made:
            if tracker.name not in (one.name for one in found) or tracker.name != "local":
                found.append(tracker)
    if errors and not found:
        raise errors[0]
    return found


def _made(folder: Path, name: Named, run: str | None) -> list[Tracker]:
    """Make one tracker: in the run that is active, else in the one that is remembered."""
    try:
        made = find_trackers(name, folder)
    except TrackerError:  # none is active, and it makes none by itself
        if run is None:
            raise
        return find_trackers(f"{name}:{run}", folder)
    if run is not None and all(getattr(tracker, "run", run) is None for tracker in made[1:]):
        return find_trackers(f"{name}:{run}", folder)
    return made
