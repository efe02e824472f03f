"""Delivers a run to the running Comet experiment as assets named ``attnlog/…``."""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attnlog.delivery.tracker import Entry
from attnlog.errors import MissingExtraError, TrackerError

#: ``1``: log each asset a second time as JSON text, for a Comet whose panels cannot read binary assets.
TWIN = "ATTNLOG_COMET_TWIN"
#: Larger assets get no twin: base64 in JSON is a third larger, and a panel holds all of it as text at once.
TWIN_LIMIT = 8_000_000

#: Seconds to wait for Comet's client to upload.
FLUSH = 60

_REMEDY = "Start one with comet_ml.start() before the training, or leave 'comet' out of tracker="


class CometTracker:
    """Writes to the experiment that was running when it was made; it never starts one, which might have other settings.

    Comet's client uploads on several threads of its own, in no order. So a manifest is handed to it only when everything before
    it, an older manifest too, has arrived.
    """

    name = "comet"

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        # Nobody can have started an experiment without importing the package, and importing it takes many seconds.
        comet_ml = sys.modules.get("comet_ml")
        if comet_ml is None and find_spec("comet_ml") is None:
            raise MissingExtraError("comet_ml", "comet", "the tracker 'comet'")
        experiment = comet_ml.get_running_experiment() if comet_ml is not None else None
        if experiment is None:
            raise TrackerError(f"no Comet experiment is running. {_REMEDY}.")
        if not experiment.alive:  # Comet goes on naming the last one after its end
            raise TrackerError(f"no Comet experiment is running ({experiment.id} has ended, or is disabled). {_REMEDY}.")
        self._experiment: Any = experiment
        self._twins = os.environ.get(TWIN, "") not in ("", "0")

    @property
    def destination(self) -> str:
        """The experiment."""
        return str(self._experiment.id)

    def put(self, entry: Entry, file: Path) -> None:
        """Hand one file to Comet's client, under ``attnlog/<entry.path>``.

        Raises:
            TrackerError: the experiment has ended, or Comet's client refused the asset.
        """
        data = file.read_bytes()
        if entry.kind == "manifest" and self._experiment.alive:
            self._arrive()
        self._log(data, f"attnlog/{entry.path}", entry)
        if self._twins and entry.kind != "manifest" and len(data) <= TWIN_LIMIT:
            self._log(twin(entry, data), f"attnlog/{entry.path}.json", entry)

    def refresh(self, run: Path) -> None:
        """Nothing is derived: Comet's panel reads the assets."""

    def where(self) -> str | None:
        """The experiment's page."""
        return getattr(self._experiment, "url", None) or f"experiment {self._experiment.id}"

    def close(self) -> None:
        """Wait for what was handed over; the experiment is left to whoever started it."""
        if self._experiment.alive:
            self._arrive()

    def _arrive(self) -> None:
        """Wait until Comet's client has uploaded everything it was given, for a bounded time."""
        arrived: list[bool] = []
        # Its flush can wait without bound while the line is down, so it may hold up a thread that nobody waits for.
        thread = threading.Thread(target=lambda: arrived.append(bool(self._experiment.flush(timeout=FLUSH))), daemon=True)
        thread.start()
        thread.join(FLUSH + 5)
        if not (arrived and arrived[0]):
            raise TrackerError(f"Comet's client did not upload within {FLUSH} s what was handed to it; it goes on trying by itself")

    def _log(self, data: bytes, name: str, entry: Entry) -> None:
        if not self._experiment.alive:
            ended = f"the Comet experiment {self._experiment.id} ended before {name} was handed to it"
            raise TrackerError(f"{ended}; end it after the training")
        # step= and epoch= are for the assets only here: given to Comet, they would set the experiment's own counters back
        # under a training that went on meanwhile, and its metrics would be logged at the wrong step.
        logged = self._experiment.log_asset_data(data, name=name, overwrite=entry.kind == "manifest", metadata=metadata(entry))
        if logged is None:
            raise TrackerError(f"Comet's client refused {name} ({len(data)} bytes); its own log says why")


def metadata(entry: Entry) -> dict[str, Any]:
    """What the asset's record in Comet says, so that panels and queries need not open the manifest."""
    said = {"kind": entry.kind, "step": entry.step, "epoch": entry.epoch, "checkpoint": entry.checkpoint, "sha256": entry.sha256}
    return {key: value for key, value in said.items() if value is not None}


def twin(entry: Entry, data: bytes) -> bytes:
    """The same bytes as JSON text, which no transport mangles."""
    said = {"attnlog": "twin", "path": entry.path, "bytes": len(data), "base64": base64.b64encode(data).decode()}
    return json.dumps(said).encode()
