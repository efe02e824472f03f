"""attnlog's own trackers keep the contract that they ask of others: each promise, by the real clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import comet_ml
import mlflow
import pytest
from mlflow import MlflowClient

from attnlog.delivery.tracker import Tracker
from attnlog.testing import TrackerConformance
from attnlog_integrations.comet.tracker import CometTracker
from attnlog_integrations.mlflow.tracker import MlflowTracker
from tests.integrations.comet_loopback import Loopback, loopback
from tests.integrations.files import artifacts


class TestMlflow(TrackerConformance):
    """A local MLflow: sqlite, and a folder of artifacts."""

    @pytest.fixture(autouse=True)
    def _active(self, tmp_path: Path, mlflow_sqlite: str) -> Iterator[None]:
        self.uri, self.scratch = mlflow_sqlite, tmp_path
        with mlflow.start_run() as run:
            self.active = run.info.run_id
            yield

    def make(self, directory: Path) -> Tracker:
        return MlflowTracker(directory)

    def there(self) -> dict[str, bytes]:
        return artifacts(self.uri, self.active, self.scratch)

    def read_back(self, path: str) -> bytes | None:
        return self.there().get(path)

    def listed(self) -> Sequence[str]:
        return list(self.there())

    def points(self, name: str) -> Sequence[tuple[int, float]]:
        history = MlflowClient(self.uri).get_metric_history(self.active, name)
        return [(point.step, point.value) for point in history]


class TestComet(TrackerConformance):
    """Comet's client, online, with a server on loopback."""

    @pytest.fixture(autouse=True)
    def _running(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with loopback() as server:
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            self.server: Loopback = server
            self.experiment: Any = comet_ml.start()
            yield
            self.experiment.end()

    def make(self, directory: Path) -> Tracker:
        return CometTracker(directory)

    def read_back(self, path: str) -> bytes | None:
        asset = self.server.of(self.experiment.id).get(path)
        return None if asset is None else asset.data

    def listed(self) -> Sequence[str]:
        return [asset.name for asset in self.server.assets]

    def points(self, name: str) -> Sequence[tuple[int, float]]:
        return self.server.points(self.experiment.id, name)


class TestCometByKey(TrackerConformance):
    """An experiment that runs nowhere, by its key."""

    key = "0123456789abcdef0123456789abcdef"

    @pytest.fixture(autouse=True)
    def _server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with loopback() as server:
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            self.server: Loopback = server
            yield

    def make(self, directory: Path) -> Tracker:
        return CometTracker(directory, run=self.key)

    def read_back(self, path: str) -> bytes | None:
        asset = self.server.of(self.key).get(path)
        return None if asset is None else asset.data

    def listed(self) -> Sequence[str]:
        return [asset.name for asset in self.server.assets]

    def points(self, name: str) -> Sequence[tuple[int, float]]:
        return self.server.points(self.key, name)
