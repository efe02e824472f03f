"""The one file that knows MLflow's server from within: what the page takes from it, none of which MLflow promises to keep.

A test runs all of it against the MLflow that is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnlog.errors import AttnlogError

if TYPE_CHECKING:
    from flask import Blueprint

#: Experiments asked for at a time.
_EXPERIMENTS = 1000


class UnknownMlflowError(AttnlogError):
    """The server of this MLflow is not built as the page needs it."""

    def __init__(self, missing: object) -> None:
        from importlib.metadata import version

        super().__init__(
            f"the page does not fit into the server of MLflow {version('mlflow')} ({missing}): start it without --app-name attnlog, "
            "and use the artifact attnlog/viewer.html; a later attnlog may know this MLflow"
        )


@dataclass(frozen=True)
class Experiment:
    """An experiment that whoever asks may read."""

    id: str
    name: str


@dataclass(frozen=True)
class Stored:
    """A run's artifacts: the repository that the server itself would read them from, and where they lie in it."""

    repository: Any
    root: str  # of the run's artifacts; "" where the repository is the run's own

    def path(self, inside: str) -> str:
        """Where an artifact lies in the repository."""
        return f"{self.root}/{inside}" if self.root else inside


class TrackingServer:
    """The MLflow server that this process is."""

    def __init__(self, *, login: bool) -> None:
        """Look whether all that is needed is there.

        Args:
            login: whether people sign in, by MLflow's basic authentication.

        Raises:
            UnknownMlflowError: something is not.
        """
        try:
            from mlflow.server import app, handlers

            self._flask = app
            self._handlers = handlers
            self._prefixed = handlers._add_static_prefix
            self._store: Callable[[], Any] = handlers._get_tracking_store
            needed: tuple[Any, ...] = (
                handlers._is_servable_proxied_run_artifact_root,
                handlers._get_artifact_repo_mlflow_artifacts,
                handlers._get_proxied_run_artifact_destination_path,
                handlers._get_artifact_repo,
            )
            self._auth: Any = None
            if login:
                from mlflow.server import auth

                self._auth = auth
                needed += (auth.create_app, auth.validate_can_read_run_artifact, auth.filter_experiment_ids, auth.BEFORE_REQUEST_VALIDATORS)
        except (ImportError, AttributeError) as error:
            raise UnknownMlflowError(error) from error

    @property
    def prefix(self) -> str:
        """Path of the page on this server, without a slash at its end."""
        return str(self._prefixed("/attnlog"))

    def serve(self, page: Blueprint, rules: Iterable[tuple[str, bool]]) -> Any:
        """Add the page to the server, and return the application that MLflow's command is to start.

        Args:
            page: its routes, below `prefix`.
            rules: path of each route, below `prefix`, and whether it names a run by the parameter ``run_id``: with a login, whoever
                asks then needs to be allowed to read that run.
        """
        if page.name not in self._flask.blueprints:
            self._flask.register_blueprint(page, url_prefix=self.prefix)
        if self._auth is not None:
            for path, of_run in rules:
                may: Callable[[], bool] = self._auth.validate_can_read_run_artifact if of_run else _anybody
                # Flask answers HEAD wherever it answers GET; a request without a rule of its own would only need a login.
                for method in ("GET", "HEAD"):
                    self._auth.BEFORE_REQUEST_VALIDATORS[(self.prefix + path, method)] = may
            return self._auth.create_app(self._flask)
        from mlflow.environment_variables import _MLFLOW_SGI_NAME

        if _MLFLOW_SGI_NAME.get() != "uvicorn":
            return self._flask
        from mlflow.server.fastapi_app import create_fastapi_app

        return create_fastapi_app(self._flask)

    def experiments(self) -> list[Experiment]:
        """The experiments that whoever asks may read, without deleted ones."""
        found: list[Any] = []
        token = None
        while True:
            page = self._store().search_experiments(max_results=_EXPERIMENTS, page_token=token)
            found += page
            token = page.token
            if not token:
                break
        readable = {one.experiment_id for one in found}
        if self._auth is not None:
            readable = set(self._auth.filter_experiment_ids(list(readable)))
        return [Experiment(str(one.experiment_id), str(one.name)) for one in found if one.experiment_id in readable]

    def search(self, experiments: Sequence[str], tag: str, limit: int, token: str | None) -> tuple[list[Any], str | None]:
        """Runs of experiments that have a tag, the newest first, without deleted ones, and the token of those that follow."""
        found = self._store().search_runs(
            experiment_ids=list(experiments),
            filter_string=f"tags.`{tag}` LIKE '%'",
            run_view_type=_active_only(),
            max_results=limit,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        after = found.token
        return list(found), after.decode() if isinstance(after, bytes) else after or None

    def run(self, run_id: str) -> tuple[Any, str] | None:
        """A run and its experiment's name; None where there is none, or where one of both is deleted.

        Who may see it was asked before the route was.
        """
        from mlflow.exceptions import MlflowException

        try:
            run = self._store().get_run(run_id)
            experiment = self._store().get_experiment(run.info.experiment_id)
        except MlflowException as error:
            if error.get_http_status_code() in (400, 404):  # a text that no run could have as its id is refused with 400
                return None
            raise
        if "deleted" in (run.info.lifecycle_stage, experiment.lifecycle_stage):
            return None
        return run, str(experiment.name)

    def artifacts(self, run: Any) -> Stored:
        """Where the server reads a run's artifacts, as it does for its own page."""
        handlers, uri = self._handlers, run.info.artifact_uri
        if not handlers._is_servable_proxied_run_artifact_root(uri):
            return Stored(handlers._get_artifact_repo(run), "")
        root = handlers._get_proxied_run_artifact_destination_path(proxied_artifact_root=uri)
        # Workspaces came with MLflow 3.10.
        scoped = getattr(handlers, "_get_workspace_scoped_repo_path_if_enabled", None)
        return Stored(handlers._get_artifact_repo_mlflow_artifacts(), str(scoped(root) if scoped else root))


def _anybody() -> bool:
    """Whoever is signed in."""
    return True


def _active_only() -> Any:
    from mlflow.entities import ViewType

    return ViewType.ACTIVE_ONLY
