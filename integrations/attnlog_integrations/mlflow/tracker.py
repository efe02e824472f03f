"""Delivers a run to MLflow as artifacts and numbers, with a viewer that opens in the artifact pane."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from attnlog.delivery.redact import describe, redact
from attnlog.delivery.tracker import Entry
from attnlog.errors import ArgumentError, TrackerError
from attnlog.sizes import parse_size
from attnlog_integrations.mlflow.bounded import bounded
from attnlog_integrations.mlflow.link import NOTE, OWN, ROOT, TAG, VIEWER, address, artifact_link, has_page, is_server, page_link, with_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The viewer artifact carries its data. It opens quickly at this size, and is uploaded again and again.
VIEWER_BUDGET = 20_000_000
#: Sets another; "off": no viewer artifact.
BUDGET_VARIABLE = "ATTNLOG_MLFLOW_VIEWER_BUDGET"
#: MLflow shows artifacts of up to 50 MiB, and not one byte more.
MOST_SHOWN = 50 << 20
#: Numbers that MLflow takes in one request.
BATCH = 1000


class MlflowTracker:
    """Writes to one run of MLflow, even after that run has ended.

    That is the run that is named, else the one that was active when the tracker was made (of nested runs the innermost), else the one
    that ``MLFLOW_RUN_ID`` names, else one of its own.
    """

    name = "mlflow"

    def __init__(self, directory: Path, run: str | None = None) -> None:
        """Remember which run is meant; no server is asked.

        Raises:
            ArgumentError: ``ATTNLOG_MLFLOW_VIEWER_BUDGET`` is no size.
        """
        import mlflow

        self.directory = Path(directory)
        self._uri = str(mlflow.get_tracking_uri())
        self._budget = viewer_budget()
        # Known on the thread that trains only, and no longer once the Trainer's own callback has ended the run.
        active = mlflow.active_run() if run is None else None
        self._run: str | None = run or (active.info.run_id if active is not None else os.environ.get("MLFLOW_RUN_ID")) or None
        self._experiment: str | None = active.info.experiment_id if active is not None else None
        self._own = self._run is None
        self._own_experiment = _default_experiment() if self._own else None
        self._client_made: MlflowClient | None = None
        self._checked = active is not None
        self._announced = False
        self._page: bool | None = None  # until it was asked for
        self._put = False  # whether anything arrived there
        self._told: set[str] = set()  # index assets whose numbers are there

    @property
    def run(self) -> str | None:
        """The id of the run written to; None until one of its own has begun."""
        return self._run

    @property
    def destination(self) -> str:
        """The run, wherever it is; a run resumed elsewhere is delivered there once more."""
        return f"{redact(self._uri)} {self._run or ''}"

    def put(self, entry: Entry, file: Path) -> None:
        """Upload one file as ``attnlog/<entry.path>``, and log the numbers that come with it."""
        folder = PurePosixPath("attnlog", entry.path).parent
        run = self._begun()
        # First, and once: who syncs later finds the file there or not, and sends numbers with a file that is not.
        if entry.scalars and entry.path not in self._told:
            with bounded():
                self._log_scalars(entry)
            self._told.add(entry.path)
        with bounded(entry.bytes):
            self._client().log_artifact(run, str(file), str(folder))
        self._put = True

    def _begun(self) -> str:
        with bounded():
            return self._run_id()

    def holds(self) -> dict[str, int]:
        """Path inside the run → bytes, of what MLflow has of it.

        Raises:
            TrackerError: MLflow cannot be reached.
            RunNotFoundError: it has no such run.
        """
        from attnlog_integrations.mlflow.source import find_source

        if self._run is None:
            return {}
        source = find_source(self._uri, self._run)
        try:
            return source.sizes()
        finally:
            source.close()

    def refresh(self, run: Path) -> None:
        """Make and upload ``attnlog/viewer.html``, and say in the run's tag and description where it is."""
        from attnlog.view.export import export_html

        with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch, bounded():
            identity = self._run_id()
            if self._page is None:
                self._page = has_page(self._uri)
            if self._budget is not None:
                page = Path(scratch, PurePosixPath(VIEWER).name)
                export_html(run, page, budget=self._budget, rest=self._rest(identity))
                with bounded(page.stat().st_size):
                    self._client().log_artifact(identity, str(page), str(PurePosixPath(VIEWER).parent))
            if not self._announced:
                self._announce(identity)
                self._announced = True

    def where(self) -> str | None:
        """The viewer's address in MLflow's page, or the run and artifact to open there."""
        if self._run is None:
            return None
        if self._page:
            return address(self._uri, page_link(self._run))
        if self._budget is None:
            return f"run {self._run}, artifacts {ROOT}"
        if self._experiment is not None and is_server(self._uri):
            return address(self._uri, artifact_link(self._experiment, self._run))
        return f"run {self._run}, artifact {VIEWER}"

    def close(self) -> None:
        """End the run, if attnlog began it: this tracker, or one whose process could not."""
        if self._run is None or not (self._own or self._put):
            return
        with bounded():
            if not self._own:
                found = self._client().get_run(self._run)
                if OWN not in found.data.tags or found.info.status != "RUNNING":
                    return
            self._client().set_terminated(self._run)

    def _client(self) -> MlflowClient:
        if self._client_made is None:
            from mlflow import MlflowClient

            self._client_made = MlflowClient(tracking_uri=self._uri)
        return self._client_made

    def _run_id(self) -> str:
        """The run to write to; begins one of its own when there was none, by the client, so that none becomes active."""
        if self._run is None:
            try:
                experiment = self._own_experiment or _environment_experiment(self._client())
                made = self._client().create_run(experiment, tags={OWN: "1"}, run_name=self.directory.resolve().name)
            except Exception as error:
                from attnlog_integrations.mlflow.source import LOGIN, is_refusal

                remedy = "start one with mlflow.start_run() before the training, or check MLFLOW_TRACKING_URI and that the server is up"
                remedy = f"set {LOGIN}, of somebody who may" if is_refusal(error) else remedy
                raise TrackerError(f"no MLflow run was active and none could be begun ({describe(error)}): {remedy}") from None
            self._run, self._experiment, self._checked = made.info.run_id, made.info.experiment_id, True
        elif not self._checked:
            self._check(self._run)
        return self._run

    def _check(self, run: str) -> None:
        """Whether the run that was named is there; asked here, on the thread that delivers, once."""
        from attnlog_integrations.mlflow.source import find_run

        info = find_run(self._uri, run)
        if info.lifecycle_stage == "deleted":
            raise TrackerError(f"the MLflow run {run} is deleted: restore it (mlflow runs restore --run-id {run}), or name another")
        self._experiment, self._checked = str(info.experiment_id), True

    def _log_scalars(self, entry: Entry) -> None:
        from mlflow.entities import Metric

        # The commit's own time and step: MLflow takes the same point again for the one it has.
        stamp = int((entry.time if entry.time is not None else time.time()) * 1000)
        points = [Metric(name, value, stamp, entry.step or 0) for name, value in entry.scalars.items()]
        for at in range(0, len(points), BATCH):
            self._client().log_batch(self._run_id(), metrics=points[at : at + BATCH])

    def _announce(self, run: str) -> None:
        client = self._client()
        found = client.get_run(run)
        self._experiment = str(found.info.experiment_id)
        viewer = self._budget is not None
        # Without a viewer to lead to it still says that there is attention: the page on the server finds runs by it.
        link = page_link(run) if self._page else artifact_link(self._experiment, run) if viewer else ROOT
        client.set_tag(run, TAG, address(self._uri, link) if link != ROOT else link)
        if not (viewer or self._page):
            return
        note = with_line(found.data.tags.get(NOTE, ""), self._experiment, run, page=bool(self._page), viewer=viewer)
        if note is not None:
            client.set_tag(run, NOTE, note)

    def _rest(self, run: str) -> str:
        """How to see what the viewer artifact leaves out."""
        ways = [address(self._uri, page_link(run))] if self._page else []
        return " or ".join([*ways, f"attnlog fetch mlflow:{run} DIR && attnlog view DIR"])


def viewer_budget() -> int | None:
    """Bytes that ``viewer.html`` may have, from the environment; None: there is to be none.

    Raises:
        ArgumentError: it is no size.
    """
    said = os.environ.get(BUDGET_VARIABLE, "").strip()
    if not said:
        return VIEWER_BUDGET
    if said.lower() in ("off", "0"):
        return None
    try:
        return min(parse_size(said) or VIEWER_BUDGET, MOST_SHOWN)
    except ArgumentError as error:
        raise ArgumentError(f"{BUDGET_VARIABLE}: {error}, or 'off' for no viewer artifact") from None


def _default_experiment() -> str | None:
    """The experiment that ``mlflow.set_experiment`` chose; MLflow has no public way to ask without making it."""
    from mlflow.tracking import fluent

    chosen = getattr(fluent, "_active_experiment_id", None)
    return str(chosen) if isinstance(chosen, (str, int)) else None


def _environment_experiment(client: MlflowClient) -> str:
    """The experiment that the environment names, as MLflow reads it; else the default one."""
    if identity := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return identity
    if name := os.environ.get("MLFLOW_EXPERIMENT_NAME"):
        found = client.get_experiment_by_name(name)
        return str(found.experiment_id if found is not None else client.create_experiment(name))
    return "0"
