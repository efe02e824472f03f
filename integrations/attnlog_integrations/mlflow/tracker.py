"""Delivers a run to MLflow as artifacts, with a viewer that opens in the artifact pane."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from attnlog.delivery.redact import describe, redact
from attnlog.delivery.tracker import Entry
from attnlog.errors import TrackerError
from attnlog_integrations.mlflow.bounded import bounded
from attnlog_integrations.mlflow.link import NOTE, TAG, VIEWER, viewer_link, with_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The viewer artifact carries its data. MLflow shows up to 50 MiB; this opens quickly and is uploaded again and again.
VIEWER_BUDGET = 20_000_000


class MlflowTracker:
    """Writes to the run that was active when it was made, even after that run has ended; without one, to a run of its own."""

    name = "mlflow"

    def __init__(self, directory: Path) -> None:
        import mlflow

        self.directory = Path(directory)
        self._uri = str(mlflow.get_tracking_uri())
        # Known on the thread that trains only, and no longer once the Trainer's own callback has ended the run.
        active = mlflow.active_run()
        self._run: str | None = active.info.run_id if active is not None else os.environ.get("MLFLOW_RUN_ID") or None
        self._experiment: str | None = active.info.experiment_id if active is not None else None
        self._own = self._run is None
        self._own_experiment = _default_experiment() if self._own else None
        self._client_made: MlflowClient | None = None
        self._announced = False

    @property
    def destination(self) -> str:
        """The run, wherever it is; a run resumed elsewhere is delivered there once more."""
        return f"{redact(self._uri)} {self._run or ''}"

    def put(self, entry: Entry, file: Path) -> None:
        """Upload one file as ``attnlog/<entry.path>``."""
        folder = PurePosixPath("attnlog", entry.path).parent
        with bounded():
            self._client().log_artifact(self._run_id(), str(file), str(folder))

    def refresh(self, run: Path) -> None:
        """Make and upload ``attnlog/viewer.html``, and say in the run's tag and description where it is."""
        from attnlog.view.export import export_html

        with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch, bounded():
            page = Path(scratch, PurePosixPath(VIEWER).name)
            export_html(run, page, budget=VIEWER_BUDGET)
            self._client().log_artifact(self._run_id(), str(page), str(PurePosixPath(VIEWER).parent))
            if not self._announced:
                self._announce()
                self._announced = True

    def where(self) -> str | None:
        """The viewer's address in MLflow's page, or the run and artifact to open there."""
        if self._run is None:
            return None
        if self._experiment is not None and self._uri.startswith(("http://", "https://")):
            return viewer_link(self._uri, self._experiment, self._run)
        return f"run {self._run}, artifact {VIEWER}"

    def close(self) -> None:
        """End the run, if it was this tracker that began it."""
        if self._own and self._run is not None:
            with bounded():
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
                made = self._client().create_run(experiment, run_name=self.directory.name)
            except Exception as error:
                remedy = "Start one with mlflow.start_run() before the training, or check the tracking URI"
                raise TrackerError(f"no MLflow run was active and none could be begun ({describe(error)}). {remedy}.") from None
            self._run, self._experiment = made.info.run_id, made.info.experiment_id
        return self._run

    def _announce(self) -> None:
        client, run = self._client(), self._run_id()
        found = client.get_run(run)
        self._experiment = found.info.experiment_id
        link = viewer_link(self._uri, self._experiment, run)
        client.set_tag(run, TAG, link)
        note = with_line(found.data.tags.get(NOTE, ""), link)
        if note is not None:
            client.set_tag(run, NOTE, note)


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
