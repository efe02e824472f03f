"""Finishes a delivery that a crash or an outage left unfinished: offers a run folder again, of which only the rest is delivered."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from attnlog.boundary import AttnlogWarning, Boundary
from attnlog.delivery.arrived import remembered
from attnlog.delivery.discovery import Named, check_names, find_trackers
from attnlog.delivery.entries import run_entries
from attnlog.delivery.queue import Delivery
from attnlog.delivery.tracker import Tracker
from attnlog.errors import ArgumentError, AttnlogError, TrackerError
from attnlog.store.open import check_run

#: A tracker, and the manifests of which it gets nothing.
Wanted = tuple[Tracker, frozenset[str]]


def sync(directory: str | Path, trackers: Named | Sequence[Named] = (), *, wait: float = 3600.0) -> str:
    """Deliver what a run folder holds and its trackers have not received. Nobody should be writing to the folder.

    A tracker that can say what it has is asked; for others counts what the run folder remembers. So it does not matter from
    which machine what arrived before was delivered.

    Args:
        directory: the run folder.
        trackers: names or trackers, such as ``"mlflow:RUN_ID"`` or ``"comet:EXPERIMENT_KEY"``, each of which gets the whole folder; a
            name without a run takes the run that is active there, else the last that the folder remembers, else a new one if the
            tracker makes any. None: every run that the folder was being delivered to; where a resumed training went to another
            run than before, each gets what was logged to it.
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
    manifests = frozenset(check_run(folder))
    named = check_names(trackers)
    wanted = _named(folder, named) if named else _remembered(folder)
    delivery = Delivery(folder, [tracker for tracker, _ in wanted], Boundary(), ask=True)
    entries = {others: run_entries(folder, manifests - others) for others in {others for _, others in wanted}}
    for tracker, others in wanted:
        delivery.offer(entries[others], to=tracker)
    delivery.finish(wait)
    return delivery


def _named(folder: Path, names: Sequence[Named]) -> list[Wanted]:
    """The trackers of these names, each of which gets everything."""
    last = {one.tracker: one.run for one in remembered(folder)}
    made = [_made(folder, name, last.get(name) if isinstance(name, str) else None) for name in names]
    return [(tracker, frozenset()) for found in made for tracker in found[1:]]  # the local one, which needs no copy, stands first


def _remembered(folder: Path) -> list[Wanted]:
    """The trackers that the folder remembers, each with the manifests of writers that went to another of its runs."""
    known = remembered(folder)
    if not known:
        raise ArgumentError(
            f"{folder} does not remember a tracker: name one, such as --tracker mlflow:RUN_ID or --tracker comet:EXPERIMENT_KEY"
        )
    found: list[Wanted] = []
    errors: list[AttnlogError] = []
    for one in known:
        elsewhere = frozenset[str]().union(*(other.manifests for other in known if other.tracker == one.tracker)) - one.manifests
        try:
            made = find_trackers(f"{one.tracker}:{one.run}" if one.run else one.tracker, folder)
        except AttnlogError as error:
            errors.append(error)  # of several that are remembered the others are delivered to
            warnings.warn(f"attnlog does not deliver to {one.tracker}: {error}", AttnlogWarning, stacklevel=4)
            continue
        found += [(tracker, elsewhere) for tracker in made[1:]]
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
