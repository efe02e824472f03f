"""Finishes a delivery that a crash or an outage left unfinished: offers a run folder again, of which only the rest is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attnlog.boundary import Boundary
from attnlog.delivery.discovery import Named, find_trackers
from attnlog.delivery.entries import asset_entry, manifest_entry
from attnlog.delivery.queue import Delivery
from attnlog.delivery.tracker import Entry
from attnlog.store.open import open_run


def sync(directory: str | Path, trackers: Named | Sequence[Named], *, wait: float = 3600.0) -> str:
    """Deliver what a run folder holds and its trackers have not received.

    Args:
        directory: the run folder; nobody should be writing to it.
        trackers: names or trackers. MLflow takes the run that ``MLFLOW_RUN_ID`` names, Comet the running experiment.
        wait: seconds to take at most.

    Returns:
        One line per tracker, as `Delivery.finish` says it.

    Raises:
        RunNotFoundError: there is no run.
        ArgumentError, MissingExtraError, TrackerError: a tracker cannot be used.
    """
    return deliver(directory, trackers, wait=wait).finish()


def deliver(directory: str | Path, trackers: Named | Sequence[Named], *, wait: float) -> Delivery:
    """Do what `sync` does, and give the delivery: `left` says how many files have not arrived."""
    folder = Path(directory)
    entries = run_entries(folder)
    delivery = Delivery(folder, find_trackers(trackers, folder), Boundary())
    delivery.offer(entries)
    delivery.finish(wait)
    return delivery


def run_entries(directory: Path) -> list[Entry]:
    """Everything that a run folder's manifests name, in the order they name it, each manifest after what it names."""
    entries: dict[str, Entry] = {}
    for manifest in open_run(directory).manifests:
        for commit in manifest.commits:
            for record in (commit.inputs, *commit.assets):
                entries.setdefault(record.path, asset_entry(record, commit))
        if manifest.roll_up is not None:
            entries[manifest.roll_up.asset.path] = asset_entry(manifest.roll_up.asset)
        entries[f"manifest-{manifest.writer}.jsonl"] = manifest_entry(directory / f"manifest-{manifest.writer}.jsonl")
    return list(entries.values())
