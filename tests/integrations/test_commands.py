"""Commands over real trackers: list, inspect, verify, show and prune what MLflow and Comet hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import comet_ml
import numpy as np
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

import attnlog
from attnlog.cli import main
from attnlog.delivery.sync import sync
from tests.integrations.comet_loopback import Asset, Loopback, _Handler, _part
from tests.integrations.files import artifacts, files
from tests.integrations.test_comet import deliver as deliver_to_comet
from tests.integrations.test_sources import at, comet, folder, log, nowhere

__all__ = ["comet", "folder", "nowhere"]  # fixtures


def command(*arguments: object, status: int = 0) -> Any:
    """Run the command line with --json."""
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == status, (result.output, result.exception)
    return json.loads(result.stdout)


@pytest.mark.parametrize("way", ["server", "folder"])
def test_commands_over_mlflow(way: str, mlflow_server: str, mlflow_sqlite: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = mlflow_server if way == "server" else mlflow_sqlite
    run = log(uri, folder, "0" if way == "server" else "1")
    at(uri, monkeypatch)
    place = f"mlflow:{run}"
    [listed] = command("ls", place)["runs"]
    assert (listed["place"], listed["steps"]["count"], listed["inputs"]) == (place, 3, 2)
    assert command("inspect", place, "--step", 200)["attention"][0]["layers"] == [0, 1]
    verdict = command("verify", place)
    assert (verdict["status"], verdict["commits"], verdict["orphans"]) == ("good", 3, [])
    shown = command("show", place, "--layer", 1, "--head", 2, "--step", 200)
    np.testing.assert_array_equal(np.array(shown["weights"], np.float32), attnlog.open(folder).read(200).weights("self", 1)[2])
    assert command("doctor", place)["problems"] == 0
    # Prune: said, then done.
    assert command("prune", place, "--keep-last", 1)["go"] == [200]
    assert len(attnlog.open(place).steps) == 3
    said = command("prune", place, "--keep-last", 1, "--yes")
    assert (said["done"], said["caution"], said["refused"]) == (True, None, None)
    verdict = command("verify", place)
    assert (verdict["status"], verdict["commits"], verdict["orphans"]) == ("good", 2, [])
    left = artifacts(uri, run, folder.parent)
    assert not [path for path in left if "step-00000200" in path]
    assert "attnlog/" + next(path for path in files(folder) if path.startswith("step-00000300")) in left


def test_a_run_of_mlflow_that_still_runs_is_pruned_with_a_warning(
    mlflow_server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = log(mlflow_server, folder)
    MlflowClient(mlflow_server).update_run(run, status="RUNNING")
    at(mlflow_server, monkeypatch)
    assert "still runs" in command("prune", f"mlflow:{run}", "--keep-last", 1)["caution"]


def test_an_artifact_store_that_cannot_delete_is_not_touched(mlflow_server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    run = log(mlflow_server, folder)
    at(mlflow_server, monkeypatch)
    monkeypatch.setattr(MlflowArtifactsRepository, "delete_artifacts", ArtifactRepository.delete_artifacts, raising=False)
    assert "MLflow cannot delete artifacts" in command("prune", f"mlflow:{run}", "--keep-last", 1)["refused"]
    result = CliRunner().invoke(main, ["prune", f"mlflow:{run}", "--keep-last", "1", "--yes"])
    assert result.exit_code == 1
    assert "cannot be pruned: MLflow cannot delete artifacts" in result.stderr
    assert len(attnlog.open(f"mlflow:{run}").steps) == 3


def test_a_run_that_was_pruned_here_is_pruned_in_the_tracker_by_delivering_its_manifest(
    mlflow_sqlite: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = log(mlflow_sqlite, folder, "1")
    at(mlflow_sqlite, monkeypatch)
    command("prune", folder, "--keep-last", 1, "--yes")
    monkeypatch.setenv("MLFLOW_RUN_ID", run)
    sync(folder, "mlflow")
    place = f"mlflow:{run}"
    verdict = command("verify", place)
    assert (verdict["status"], verdict["commits"]) == ("good", 2)
    assert len(verdict["orphans"]) == 4
    said = command("prune", place, "--keep-last", 1, "--yes")
    assert (said["go"], said["left"]) == ([], 4)
    assert command("verify", place)["orphans"] == []


@pytest.fixture
def editable(comet: Loopback, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    """A Comet that takes assets from its API, too, and deletes them: two routes that stand for comet.com's."""
    get, post = _Handler.do_GET, _Handler.do_POST

    def do_get(self: Any) -> None:
        url = urlsplit(self.path)
        if not url.path.endswith("/write/experiment/asset/delete"):
            return get(self)
        wanted = parse_qs(url.query)["assetId"][0]
        comet.assets[:] = [asset for asset in comet.assets if asset.id != wanted]
        return self._json({"msg": "deleted"})

    def do_post(self: Any) -> None:
        url = urlsplit(self.path)
        if not url.path.endswith("/write/experiment/upload-asset"):
            return post(self)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kept = [a for a in comet.assets if (a.experiment, a.name) != (query["experimentKey"], query["fileName"])]
        made = Asset(
            f"api-{len(comet.assets)}", query["experimentKey"], query["fileName"], _part(body, self.headers["Content-Type"]), {}, None, 9
        )
        comet.assets[:] = [*kept, made]
        return self._json({"assetId": made.id})

    monkeypatch.setattr(_Handler, "do_GET", do_get)
    monkeypatch.setattr(_Handler, "do_POST", do_post)
    return comet


def test_commands_over_comet(editable: Loopback, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_COMET_TWIN", "1")
    experiment = comet_ml.start()
    deliver_to_comet(folder)
    experiment.end()
    place = f"comet:{experiment.id}"
    assert command("ls", place)["runs"][0]["steps"]["count"] == 3
    assert command("verify", place)["status"] == "good"
    said = command("prune", place, "--keep-last", 1, "--yes")
    assert said["go"] == [200]
    assert "would name again" in said["caution"]
    verdict = command("verify", place)
    assert (verdict["status"], verdict["commits"], verdict["orphans"]) == ("good", 2, [])
    assert not [name for name in editable.of(experiment.id) if "step-00000200" in name]
    assert [name for name in editable.of(experiment.id) if "step-00000300" in name and name.endswith(".arrow.json")]


def test_commands_over_an_archive(comet: Loopback, folder: Path, tmp_path: Path) -> None:
    experiment = comet_ml.OfflineExperiment(offline_directory=str(tmp_path / "archives"))
    deliver_to_comet(folder)
    experiment.end()
    [archive] = (tmp_path / "archives").glob("*.zip")
    place = f"comet:{archive}"
    assert command("verify", place)["status"] == "good"
    assert "cannot be changed" in command("prune", place, "--keep-last", 1)["refused"]
    result = CliRunner().invoke(main, ["prune", place, "--keep-last", "1", "--yes"])
    assert result.exit_code == 1
    assert "an offline archive cannot be changed: upload it" in result.stderr


def test_doctor_finds_the_server_and_the_key(mlflow_server: str, comet: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    found = {one["what"]: one for one in command("doctor")["findings"]}
    assert found["MLflow"] == {"what": "MLflow", "state": "ok", "detail": f"{mlflow_server} answers"}
    assert found["Comet"]["state"] == "ok"
