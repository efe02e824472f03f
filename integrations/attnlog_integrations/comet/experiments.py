"""Two ways to write to an experiment: through the client that runs it, and by its key from anywhere, through Comet's REST API."""

from __future__ import annotations

import copy
import os
import random
import sys
import tempfile
import threading
from collections.abc import Container, Mapping
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from attnlog.commands.reach import comet_key
from attnlog.errors import ArgumentError, MissingExtraError, TrackerError
from attnlog_integrations.comet.source import KEY, TOP, CometSource, newest

#: Seconds to wait for Comet's client to upload, and for one asset that is uploaded by REST.
FLUSH, UPLOAD = 60, 900.0
#: Seconds that the client may take longer than it was told.
_BEYOND = 5
_DISABLE = "COMET_DISABLE_AUTO_LOGGING"

_REMEDY = "Start one with comet_ml.start() before the training, name one (comet:EXPERIMENT_KEY), or leave 'comet' out of tracker="


class Experiment(Protocol):
    """An experiment that can be written to."""

    id: str
    #: Whether what was logged is still on its way to Comet when `log` returns.
    later: bool

    def log(self, data: bytes, name: str, *, step: int | None, epoch: float | None, said: dict[str, Any], replace: bool) -> None:
        """Log an asset."""

    def scalars(self, values: Mapping[str, float], *, step: int | None, epoch: float | None, time: float | None) -> None:
        """Log numbers of a step."""

    def arrive(self) -> None:
        """Wait, for a bounded time, until everything that was logged is with Comet."""

    def holds(self) -> dict[str, int] | None:
        """Path inside the run → bytes, of what Comet has of it, copies as text (`….json`) too; None: nobody can say yet.

        Raises:
            UnreadableError, RunNotFoundError: it may be written, and not be read.
            TrackerError: Comet could not be asked.
        """
        ...

    def once(self, paths: Container[str]) -> None:
        """Remove, of several assets of one of these paths, all but the newest."""

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
        from comet_ml import OfflineExperiment

        self.id = str(experiment.id)
        self.later = not isinstance(experiment, OfflineExperiment)
        self._experiment = experiment
        self._source: CometSource | None = None
        self._flush: Flush | None = None

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
        """Wait until the client has nothing left to upload; what it gave up it does not tell.

        Raises:
            TrackerError: it has not within a minute.
        """
        if not self._experiment.alive:
            return
        until = monotonic() + FLUSH + _BEYOND
        # One that began before the last things were handed over says nothing of them, so another follows it; never beside it.
        over = self._flush is None or self._flush.over(until - monotonic())
        if over:
            self._flush = Flush(self._experiment)
            over = self._flush.over(until - monotonic())
        if not over:
            raise TrackerError(f"Comet's client did not upload within {FLUSH} s what was handed to it; it goes on trying by itself")
        if self._flush is not None and not self._flush.done:
            raise TrackerError("Comet's client could not upload what was handed to it; it goes on trying by itself")

    def holds(self) -> dict[str, int] | None:
        """Ask Comet; an offline experiment is with nobody yet."""
        return sizes(self._open()) if self.later else None

    def once(self, paths: Container[str]) -> None:
        """Ask Comet, and delete there."""
        self._open().once(paths)

    def where(self) -> str:
        """The page; an offline experiment has none until it is uploaded."""
        if self.later:
            return str(getattr(self._experiment, "url", None) or f"experiment {self.id}")
        folder = getattr(self._experiment, "offline_directory", None)
        return f"offline experiment {self.id}, in {folder}; comet upload makes it one of Comet's" if folder else f"experiment {self.id}"

    def close(self) -> None:
        """Remove what was fetched; the experiment is left to whoever started it."""
        if self._source is not None:
            self._source.close()

    def _open(self) -> CometSource:
        if self._source is None:
            # By its own key, which a script may have given to it and to nobody else.
            self._source = CometSource(self.id, getattr(self._experiment, "api_key", None) or None)
        return self._source


class Flush:
    """One flush of the client, on a thread that nobody need wait for: while the line is down, it can wait without bound."""

    def __init__(self, experiment: Any) -> None:
        self.done = False
        self._experiment = experiment
        self._thread = threading.Thread(target=self._run, name="attnlog-comet-flush", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # an interpreter that is going down starts no threads
            self._run()

    def over(self, seconds: float) -> bool:
        """Whether it is over within this time."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        self.done = bool(self._experiment.flush(timeout=FLUSH))


class Stored:
    """An experiment named by its key, which may have ended long ago; nothing of it is changed but what is logged here.

    REST and not the client's ExistingExperiment: that would take the place of the experiment that runs here, set the other
    one's state to running and back, and log this machine's environment, git state and metrics to it.
    """

    def __init__(self, key: str) -> None:
        """Check what can be checked without asking anybody; Comet is asked from the thread that delivers."""
        if not KEY.fullmatch(key):
            raise ArgumentError(f"comet:{key} names no experiment: its key is 20 to 64 letters and digits, as in its page's address")
        if comet_key()[0] is None:
            raise TrackerError(f"there is no Comet API key to write to experiment {key} with: set COMET_API_KEY, or run comet login")
        self.id, self.later = key, False
        self._source: CometSource | None = None
        self._steps: dict[str, set[int]] = {}  # metric → steps that it has
        self._new: set[str] = set()  # paths logged since anybody looked
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
            self._new.add(name.removeprefix(TOP))
            source.write(file, name.removeprefix(TOP), step=step, metadata=said, replace=replace, patience=UPLOAD)

    def scalars(self, values: Mapping[str, float], *, step: int | None, epoch: float | None, time: float | None) -> None:
        """Log numbers at their step and the time when they were recorded, those that Comet has not at that step."""
        source = self._open()
        for name, value in values.items():
            # Whoever delivered before may have ended between a step's numbers and its index.
            there = self._steps.pop(name, None)
            there = source.steps(name) if there is None else there
            if step is None or step not in there:
                source.write_number(name, value, step=step, epoch=epoch, time=time)
            self._steps[name] = there if step is None else there | {step}  # after an error it is asked again

    def arrive(self) -> None:
        """Remove what the client uploaded twice, as after an answer that was lost; nothing is on its way."""
        if self._new:
            self.once(self._new)
            self._new.clear()

    def once(self, paths: Container[str]) -> None:
        """Ask Comet, and delete there."""
        self._open().once(paths)

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
    """Path inside the run → bytes of its assets in Comet."""
    found = {path: asset.get("fileSize") for path, asset in newest(source.assets()).items()}
    return {path: size for path, size in found.items() if isinstance(size, int)}


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
