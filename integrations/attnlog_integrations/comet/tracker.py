"""Delivers a run to a Comet experiment, one that runs here or one named by its key, as assets named ``attnlog/…``."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Container
from pathlib import Path
from typing import Any

from attnlog.delivery.tracker import Entry
from attnlog.errors import AttnlogError
from attnlog.say import say
from attnlog_integrations.comet.budget import budget
from attnlog_integrations.comet.experiments import Running, find

#: ``1``: log each asset a second time as JSON text, for a Comet whose panels cannot read binary assets.
TWIN = "ATTNLOG_COMET_TWIN"
#: Larger assets get no twin: base64 in JSON is a third larger, and a panel holds all of it as text at once.
TWIN_LIMIT = 8_000_000


class CometTracker:
    """Writes to the experiment that runs when it is made, or to the one of a key; it never starts one.

    Comet's client uploads on several threads of its own, in no order. So a manifest is handed to it only when everything before
    it, an older manifest too, has arrived.
    """

    name = "comet"

    def __init__(self, directory: Path, run: str | None = None) -> None:
        """Find the experiment.

        Args:
            directory: the run folder.
            run: an experiment's key; None: the experiment that runs here.

        Raises:
            ArgumentError: that is no key, or a setting in the environment is none.
            TrackerError: no experiment runs here, or there is no API key to reach that one.
            MissingExtraError: Comet's client is not installed.
        """
        self.directory = Path(directory)
        self._experiment = find(run)
        self._budget = budget()
        self._counted = False
        self._told: set[str] = set()  # index assets whose scalars were logged
        self._logged: set[str] = set()
        self._twins = os.environ.get(TWIN, "") not in ("", "0")

    @property
    def destination(self) -> str:
        """The experiment."""
        return self._experiment.id

    @property
    def run(self) -> str:
        """The experiment's key."""
        return self._experiment.id

    @property
    def left_out(self) -> Container[str]:
        """Paths that were not logged, because they did not fit the budget."""
        return self._budget.left.keys()

    def holds(self) -> dict[str, int] | None:
        """Path inside the run → bytes, of what Comet has; None while the experiment is offline."""
        return self._experiment.holds()

    def put(self, entry: Entry, file: Path) -> None:
        """Log one file as ``attnlog/<entry.path>``, and the scalars of its step; what does not fit the budget is left out.

        Raises:
            TrackerError: the experiment has ended, or Comet does not take it.
        """
        if not self._counted:
            self._count()
            self._counted = True
        if entry.scalars and entry.path not in self._told:
            self._experiment.scalars(entry.scalars, step=entry.step, epoch=entry.epoch, time=entry.time)
            self._told.add(entry.path)
        first = not self._budget.left
        if self._budget.admits(entry, file):
            self._log(entry, file)
        elif first:
            say(
                f"comet: {entry.path} and other large assets are left out above {self._budget.named()}; indexes and pictures of "
                f"every step still go there, and at the end the last step. Everything is in {self.directory}."
            )

    def refresh(self, run: Path) -> None:
        """Nothing is derived: Comet's panel reads the assets."""

    def where(self) -> str | None:
        """The experiment's page, and how much was left out."""
        return "; ".join(filter(None, [self._experiment.where(), self._budget.said()]))

    def close(self) -> None:
        """Log what fits of the last step, and wait for what was handed over; an experiment is left to whoever started it."""
        self.flush()
        self._experiment.arrive()
        self._experiment.close()

    def flush(self) -> None:
        """Log what was left out of the last step and fits into the room that was kept for it."""
        for entry, file in self._budget.late():
            self._log(entry, file)

    def _count(self) -> None:
        """Count what the experiment holds already, against the budget."""
        try:
            self._budget.begin(self.holds() or {})
        except AttnlogError as error:
            if not isinstance(self._experiment, Running):
                raise
            # Its client can write where nobody may read, in anonymous experiments for instance.
            say(f"comet: {error}. Whatever attnlog logged to the experiment before does not count against its budget.")

    def _log(self, entry: Entry, file: Path) -> None:
        data = file.read_bytes()
        manifest = entry.kind == "manifest"
        # Comet keeps any number of assets of one name, and the queue tries again what may have arrived.
        again = manifest or entry.path in self._logged
        if again:
            self._experiment.arrive()
        name = f"attnlog/{entry.path}"
        self._logged.add(entry.path)
        self._hand(entry, data, name, replace=again)
        # A manifest takes the place of the last one.
        if not manifest:
            self._budget.spend(len(data))
        if self._twins and not manifest and len(data) <= TWIN_LIMIT:
            copied = twin(entry, data)
            self._hand(entry, copied, f"{name}.json", replace=again)
            self._budget.spend(len(copied))

    def _hand(self, entry: Entry, data: bytes, name: str, *, replace: bool) -> None:
        self._experiment.log(data, name, step=entry.step, epoch=entry.epoch, said=metadata(entry), replace=replace)


def metadata(entry: Entry) -> dict[str, Any]:
    """What the asset's record in Comet says, so that panels and queries need not open the manifest."""
    said = {
        "kind": entry.kind,
        "step": entry.step,
        "epoch": entry.epoch,
        "checkpoint": entry.checkpoint,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
    }
    return {key: value for key, value in said.items() if value is not None}


def twin(entry: Entry, data: bytes) -> bytes:
    """The same bytes as JSON text, which no transport mangles."""
    said = {"attnlog": "twin", "path": entry.path, "bytes": len(data), "base64": base64.b64encode(data).decode()}
    return json.dumps(said).encode()
