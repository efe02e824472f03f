"""Two ways to write to an experiment: through the client that runs it, and by its key from anywhere, through Comet's REST API."""

from __future__ import annotations

import copy
import os
import random
import sys
import tempfile
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from attnlog.commands.reach import comet_key
from attnlog.errors import ArgumentError, MissingExtraError, TrackerError
from attnlog_integrations.comet.source import KEY, TOP, CometSource, inside

#: Seconds to wait for Comet's client to upload, and for one asset that is uploaded by REST.
FLUSH, UPLOAD = 60, 900.0
_DISABLE = "COMET_DISABLE_AUTO_LOGGING"

_REMEDY = "Start one with comet_ml.start() before the training, or leave 'comet' out of tracker="


class Experiment(Protocol):
    """An experiment that can be written to."""

    id: str

    def log(self, data: bytes, name: str, *, step: int | None, epoch: float | None, said: dict[str, Any], replace: bool) -> None:
        """Log an asset."""

    def scalars(self, values: Mapping[str, float], *, step: int | None, epoch: float | None, time: float | None) -> None:
        """Log numbers of a step."""

    def arrive(self) -> None:
        """Wait, for a bounded time, until everything that was logged is with Comet."""

    def holds(self) -> dict[str, int] | None:
        """Path inside the run → bytes, of what Comet has of it; None: nobody can say yet."""
        ...

    def where(self) -> str:
        """The experiment's page."""
        ...

    def close(self) -> None:
        """Release what is held."""


def find(key: str | None) -> Experiment:
    """Find the experiment that runs here, or, with a key, that one: as it runs here, or by REST.

    Raises:
        MissingExtraError: Comet's client is not installed.
        ArgumentError: that is no key.
        TrackerError: no experiment runs, or there is no API key.
    """
    # Nobody can have started an experiment without importing the package, and importing it takes many seconds.
    comet_ml = sys.modules.get("comet_ml")
    if comet_ml is None and find_spec("comet_ml") is None:
        raise MissingExtraError("comet_ml", "comet", "the tracker 'comet'")
    running = comet_ml.get_running_experiment() if comet_ml is not None else None
    if key is not None and (running is None or running.id != key or not running.alive):
        return Stored(key)
    if running is None:
        raise TrackerError(f"no Comet experiment is running. {_REMEDY}.")
    if not running.alive:  # Comet goes on naming the last one after its end
        raise TrackerError(f"no Comet experiment is running ({running.id} has ended, or is disabled). {_REMEDY}.")
    return Running(running)


class Running:
    """An experiment that its client runs in this process, online or offline; it is left to whoever started it."""

    def __init__(self, experiment: Any) -> None:
        self.id = str(experiment.id)
        self._experiment = experiment

    def log(self, data: bytes, name: str, *, step: int | None, epoch: float | None, said: dict[str, Any], replace: bool) -> None:
        """Hand an asset to the client, which uploads on threads of its own."""
        if not self._experiment.alive:
            raise TrackerError(f"the Comet experiment {self.id} ended before {name} was handed to it; end it after the training")
        if at(self._experiment, step, epoch).log_asset_data(data, name=name, overwrite=replace, metadata=said) is None:
            raise TrackerError(f"Comet's client refused {name} ({len(data)} bytes); its own log says why")

    def scalars(self, values: Mapping[str, float], *, step: int | None, epoch: float | None, time: float | None) -> None:
        """Log numbers at their own step, whatever step the training is at meanwhile."""
        there = at(self._experiment, step, epoch)
        for name, value in values.items():
            # The context (train, validate) is whatever the training's thread is in.
            there.log_metric(name, value, include_context=False)

    def arrive(self) -> None:
        """Wait until the client has uploaded everything it was given.

        Raises:
            TrackerError: it has not within a minute.
        """
        if not self._experiment.alive:
            return
        arrived: list[bool] = []

        def flush() -> None:
            arrived.append(bool(self._experiment.flush(timeout=FLUSH)))

        # Its flush can wait without bound while the line is down, so it may hold up a thread that nobody waits for.
        thread = threading.Thread(target=flush, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # an interpreter that is going down starts no threads
            flush()
        else:
            thread.join(FLUSH + 5)
        if not (arrived and arrived[0]):
            raise TrackerError(f"Comet's client did not upload within {FLUSH} s what was handed to it; it goes on trying by itself")

    def holds(self) -> dict[str, int] | None:
        """Ask Comet; an offline experiment is with nobody yet."""
        if not self._online():
            return None
        source = CometSource(self.id)
        try:
            return sizes(source)
        finally:
            source.close()

    def where(self) -> str:
        """The page; an offline experiment has none until it is uploaded."""
        if self._online():
            return str(getattr(self._experiment, "url", None) or f"experiment {self.id}")
        folder = getattr(self._experiment, "offline_directory", None)
        return f"offline experiment {self.id}, in {folder}; comet upload makes it one of Comet's" if folder else f"experiment {self.id}"

    def close(self) -> None:
        """Leave it to whoever started it."""

    def _online(self) -> bool:
        from comet_ml import OfflineExperiment

        return not isinstance(self._experiment, OfflineExperiment)


class Stored:
    """An experiment named by its key, which may have ended long ago; nothing of it is changed but what is logged here.

    REST and not the client's ExistingExperiment: that would take the place of the experiment that runs here, set the other
    one's state to running and back, and log this machine's environment, git state and metrics to it.
    """

    def __init__(self, key: str) -> None:
        """Check what can be checked without asking anybody; Comet is asked from the thread that delivers."""
        if not KEY.fullmatch(key):
            raise ArgumentError(f"comet:{key} names no experiment: its key is letters and digits, as in its page's address")
        if comet_key()[0] is None:
            raise TrackerError(f"there is no Comet API key to write to experiment {key} with: set COMET_API_KEY, or run comet login")
        self.id = key
        self._source: CometSource | None = None
        # Here, and not on the thread that delivers: importing it draws random numbers, which are put back only where nobody
        # else draws any meanwhile.
        _import_client()

    def log(self, data: bytes, name: str, *, step: int | None, epoch: float | None, said: dict[str, Any], replace: bool) -> None:
        """Upload an asset, and wait for it."""
        source = self._open()
        with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
            # Comet's client takes a file, and its name only for the ending.
            file = Path(scratch, Path(name).name)
            file.write_bytes(data)
            source.write(file, name.removeprefix(TOP), step=step, metadata=said, replace=replace, patience=UPLOAD)

    def scalars(self, values: Mapping[str, float], *, step: int | None, epoch: float | None, time: float | None) -> None:
        """Log numbers at their step and the time when they were recorded."""
        source = self._open()
        for name, value in values.items():
            source.write_number(name, value, step=step, epoch=epoch, time=time)

    def arrive(self) -> None:
        """Nothing is on its way: REST answers when it has stored."""

    def holds(self) -> dict[str, int]:
        """Ask Comet."""
        return sizes(self._open())

    def where(self) -> str:
        """The page, where Comet was asked."""
        return (self._source.page() if self._source else None) or f"experiment {self.id}"

    def close(self) -> None:
        """Remove what was fetched."""
        if self._source is not None:
            self._source.close()

    def _open(self) -> CometSource:
        if self._source is None:
            self._source = CometSource(self.id)
        return self._source


def at(experiment: Any, step: int | None, epoch: float | None) -> Any:
    """The same experiment at another step, for one call.

    A step that is given to Comet's own methods becomes the experiment's current one, under a training that has gone on
    meanwhile. A shallow copy shares the queue that everything is sent through, and has counters of its own.
    """
    there = copy.copy(experiment)
    there.curr_step, there.curr_epoch, there.context = step, epoch, None
    return there


def sizes(source: CometSource) -> dict[str, int]:
    """Path inside the run → bytes of its assets in Comet, without their copies as text."""
    found: dict[str, int] = {}
    for asset in source.assets():
        path, size = inside(asset), asset.get("fileSize")
        if path is not None and isinstance(size, int) and not path.endswith(".json"):
            found[path] = size
    return found


def _import_client() -> None:
    """Import Comet's client where nobody has, without what it does to other libraries.

    It would begin an experiment of its own at the next ``mlflow.start_run()``, for instance.
    """
    if "comet_ml" in sys.modules:
        return
    before, drawn = os.environ.get(_DISABLE), random.getstate()
    os.environ[_DISABLE] = "1"
    try:
        import comet_ml  # noqa: F401
    finally:
        random.setstate(drawn)
        if before is None:
            del os.environ[_DISABLE]
        else:
            os.environ[_DISABLE] = before
