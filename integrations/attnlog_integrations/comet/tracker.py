"""Delivers a run to a Comet experiment, one that runs here or one named by its key, as assets named ``attnlog/…``."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Container
from contextlib import suppress
from pathlib import Path
from typing import Any

from attnlog.delivery.tracker import Entry
from attnlog.errors import RunNotFoundError, TrackerError
from attnlog.say import say
from attnlog_integrations.comet.budget import budget
from attnlog_integrations.comet.experiments import find
from attnlog_integrations.comet.handed import Handed
from attnlog_integrations.comet.source import UnreadableError

#: ``1``: log each asset a second time as JSON text, for a Comet whose panels cannot read binary assets.
TWIN = "ATTNLOG_COMET_TWIN"
#: What the name of such a copy ends in.
TWINS = ".json"
#: Larger assets get no twin: base64 in JSON is a third larger, and a panel holds all of it as text at once.
TWIN_LIMIT = 8_000_000


class CometTracker:
    """Writes to the experiment that runs when it is made, or to the one of a key; it never starts one.

    The client of an experiment that runs here uploads on several threads of its own, in no order, and gives up after a few tries.
    So a manifest is handed to it only when Comet has everything before it, and what Comet has not yet is ``pending``.
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
        self._logged: dict[str, bool] = {}  # path → whether it was counted against the budget
        self._handed = Handed(self._experiment, self._again) if self._experiment.later else None
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

    @property
    def pending(self) -> Collection[str]:
        """Paths that were handed to the client and that Comet has not yet."""
        return () if self._handed is None else self._handed.paths

    def holds(self) -> dict[str, int] | None:
        """Path inside the run → bytes, of what Comet has; None while the experiment is offline, or where it may not be read."""
        try:
            there = self._experiment.holds()
        except (UnreadableError, RunNotFoundError):
            if self._handed is None:
                raise
            return None
        return None if there is None else {path: size for path, size in there.items() if not path.endswith(TWINS)}

    def put(self, entry: Entry, file: Path) -> None:
        """Log one file as ``attnlog/<entry.path>``, and the scalars of its step; what does not fit the budget is left out.

        A manifest waits until Comet has everything that was put before, and until Comet has it.

        Raises:
            TrackerError: the experiment has ended, or Comet does not take it, or has not taken what was put before.
        """
        if not self._counted:
            self._count()
            self._counted = True
        # While Comet takes nothing, its client is handed nothing more: the run folder keeps it.
        if entry.kind == "manifest" or (self._handed is not None and self._handed.refused):
            self._settle()
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
        if entry.kind == "manifest" and self._handed is not None:
            self._settle()

    def refresh(self, run: Path) -> None:
        """Nothing is derived: Comet's panel reads the assets."""

    def where(self) -> str | None:
        """The experiment's page, and how much was left out."""
        return "; ".join(filter(None, [self._experiment.where(), self._budget.said()]))

    def close(self) -> None:
        """Log what fits of the last step, and wait for what was handed over; an experiment is left to whoever started it."""
        try:
            self.flush()
        finally:
            self._experiment.close()

    def flush(self) -> None:
        """Log what was left out of the last step and fits into the room that was kept for it, and wait for it."""
        for entry, file in self._budget.late():
            self._log(entry, file)
        # What is missing after that is pending, and the next manifest says why.
        with suppress(TrackerError):
            self._settle()

    def _count(self) -> None:
        """Count what the experiment holds already, against the budget."""
        try:
            self._budget.begin(self._experiment.holds() or {})
        except (UnreadableError, RunNotFoundError) as error:
            if self._handed is None:
                raise
            # Its client can write where nobody may read, in anonymous experiments for instance.
            say(f"comet: {error}. Whatever attnlog logged to the experiment before does not count against its budget.")

    def _settle(self) -> None:
        if self._handed is None:
            self._experiment.arrive()
        else:
            self._handed.settle()

    def _log(self, entry: Entry, file: Path) -> None:
        data = file.read_bytes()
        # Comet keeps any number of assets of one name, and the queue tries again what may have arrived.
        again = entry.path in self._logged
        if again and entry.kind != "manifest":
            self._experiment.arrive()
        self._logged.setdefault(entry.path, False)
        # A manifest takes the place of the last one, which another process may have logged.
        sizes = self._hand(entry, data, replace=again or entry.kind == "manifest")
        if self._handed is not None:
            self._handed.add(entry, file, data, sizes)
        if not self._logged[entry.path] and entry.kind != "manifest":
            for size in sizes.values():
                self._budget.spend(size)
            self._logged[entry.path] = True

    def _again(self, entry: Entry, data: bytes) -> None:
        self._hand(entry, data, replace=True)

    def _hand(self, entry: Entry, data: bytes, *, replace: bool) -> dict[str, int]:
        """Log a file, and its copy as text where one is asked for; give path and bytes of both."""
        logged = {entry.path: data}
        if self._twins and entry.kind != "manifest" and len(data) <= TWIN_LIMIT:
            logged[entry.path + TWINS] = twin(entry, data)
        for path, content in logged.items():
            name, said = f"attnlog/{path}", metadata(entry)
            self._experiment.log(content, name, step=entry.step, epoch=entry.epoch, said=said, replace=replace)
        return {path: len(content) for path, content in logged.items()}


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
