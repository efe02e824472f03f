"""Delivery to Comet by the real client: offline archives, and a server on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import comet_ml
import numpy as np
import pytest
from click.testing import CliRunner

import attnlog
from attnlog.boundary import Boundary
from attnlog.cli import main
from attnlog.delivery.discovery import find_trackers
from attnlog.delivery.queue import Delivery
from attnlog.errors import TrackerError
from attnlog_integrations.comet.tracker import CometTracker
from attnlog_integrations.transformers import AttentionCallback
from tests.integrations.comet_host import offline_assets
from tests.integrations.comet_loopback import Loopback, loopback
from tests.integrations.files import entries, files, small_run
from tests.integrations.training import TEXTS, trainer


@pytest.fixture
def comet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """The loopback server; the client's environment names it."""
    with loopback() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server
        running = comet_ml.get_running_experiment()
        if running is not None:
            running.end()


def deliver(folder: Path) -> str:
    delivery = Delivery(folder, [CometTracker(folder)], Boundary())
    delivery.offer(entries(folder))
    return delivery.finish(wait=120)


def read_back(experiment: str) -> dict[str, bytes]:
    """Every attnlog asset of an experiment, read by the real client."""
    api = comet_ml.APIExperiment(previous_experiment=experiment, cache=False)
    return {
        asset["fileName"]: api.get_asset(asset["assetId"], return_type="binary")
        for asset in api.get_asset_list()
        if asset["fileName"].startswith("attnlog/")
    }


def test_every_byte_is_read_back_by_the_real_client(tmp_path: Path, comet: Loopback) -> None:
    folder = small_run(tmp_path / "run")
    experiment = comet_ml.start()
    summary = deliver(folder)
    experiment.end()
    assert read_back(experiment.id) == {f"attnlog/{path}": data for path, data in files(folder).items()}
    assert experiment.url in summary


def test_an_asset_says_its_step_epoch_checkpoint_size_and_digest(tmp_path: Path, comet: Loopback) -> None:
    folder = small_run(tmp_path / "run")
    experiment = comet_ml.start()
    tracker = CometTracker(folder)
    for entry in entries(folder):
        tracker.put(replace(entry, epoch=1.5, checkpoint=f"out/checkpoint-{entry.step}"), folder / entry.path)
    tracker.close()
    experiment.end()
    api = comet_ml.APIExperiment(previous_experiment=experiment.id, cache=False)
    said = {asset["fileName"]: asset for asset in api.get_asset_list()}
    for entry in entries(folder):
        asset = said[f"attnlog/{entry.path}"]
        data = api.get_asset(asset["assetId"], return_type="binary")
        metadata = json.loads(asset["metadata"])
        step = {"step": entry.step} if entry.step is not None else {}
        checkpoint = f"out/checkpoint-{entry.step}"
        digest = hashlib.sha256(data).hexdigest()
        assert metadata == {**step, "kind": entry.kind, "epoch": 1.5, "checkpoint": checkpoint, "bytes": len(data), "sha256": digest}
        assert asset["step"] == (None if entry.step is None else str(entry.step))


def test_scalars_are_comet_metrics_at_their_own_step(tmp_path: Path, comet: Loopback) -> None:
    folder = small_run(tmp_path / "run")
    experiment = comet_ml.start()
    experiment.set_step(777)
    experiment.set_epoch(9)
    tracker = CometTracker(folder)
    with experiment.validate():
        put_with_scalars(tracker, folder)
    tracker.close()
    assert (experiment.curr_step, experiment.curr_epoch) == (777, 9)
    experiment.log_metric("loss", 2.0)
    experiment.end()
    logged = {(one.name, one.step): (one.value, one.epoch) for one in comet.metrics if one.experiment == experiment.id}
    assert {step: value for (name, step), value in logged.items() if name == "attention/induction"} == {
        step: (step / 1000, step / 100) for step in (100, 200, 300)
    }
    assert logged["loss", 777] == (2.0, 9)  # the training's own are where they were


def put_with_scalars(tracker: CometTracker, folder: Path) -> None:
    for entry in entries(folder):
        step = entry.step or 0
        scalars = {"attention/induction": step / 1000} if entry.kind == "index" else {}
        tracker.put(replace(entry, scalars=scalars, epoch=step / 100, time=1.7e9), folder / entry.path)


def test_a_manifest_replaces_itself(tmp_path: Path, comet: Loopback) -> None:
    folder = small_run(tmp_path / "run")
    experiment = comet_ml.start()
    for _ in range(2):
        deliver(folder)
    experiment.end()
    names = [asset.name for asset in comet.assets if asset.experiment == experiment.id]
    assert len(names) == len(set(names)) == len(files(folder))


def test_a_training_that_reports_to_comet_is_delivered_there(tmp_path: Path, comet: Loopback, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    trainer(tmp_path, [callback], report_to=["comet_ml"]).train()
    callback.close()
    experiment = comet_ml.get_running_experiment()
    assert experiment is not None
    experiment.end()
    assert read_back(experiment.id) == {f"attnlog/{path}": data for path, data in files(tmp_path / "runs" / "out").items()}


def test_an_offline_archive_holds_every_byte_and_can_be_uploaded(tmp_path: Path, comet: Loopback) -> None:
    folder = small_run(tmp_path / "run")
    experiment = comet_ml.OfflineExperiment(offline_directory=str(tmp_path / "archives"))
    tracker = CometTracker(folder)
    assert tracker.holds() is None  # nobody can say before it is uploaded
    assert "comet upload" in str(tracker.where())
    put_with_scalars(tracker, folder)
    tracker.close()
    experiment.end()
    [archive] = (tmp_path / "archives").glob("*.zip")
    found = {name: data for name, data in offline_assets(archive).items() if name.startswith("attnlog/")}
    assert found == {f"attnlog/{path}": data for path, data in files(folder).items()}
    assert comet.assets == []

    upload(archive, comet)
    assert read_back(experiment.id) == found
    assert {one.step for one in comet.metrics if one.name == "attention/induction"} == {100, 200, 300}
    steps = {asset.step for name, asset in comet.of(experiment.id).items() if name.endswith("index.arrow")}
    assert steps == {"100", "200", "300"}


def log_a_training(folder: Path) -> None:
    """Two steps as a training logs them, with their epochs and checkpoints."""
    weights = np.random.default_rng(0).dirichlet(np.ones(6), size=(2, 1, 2, 6)).astype(np.float32)
    with attnlog.Run(folder, tracker="comet") as run:
        for step in (10, 20):
            captured = attnlog.from_tensors(list(weights), [[f"t{n}" for n in range(6)]])
            run.log(captured, step=step, epoch=step / 10, checkpoint=f"out/checkpoint-{step}")
            run.flush()


def says_where_each_asset_is_from(experiment: str, folder: Path) -> None:
    """Step, epoch and checkpoint of every asset of a step, as Comet tells them to its panels and queries."""
    api = comet_ml.APIExperiment(previous_experiment=experiment, cache=False)
    said = {asset["fileName"].removeprefix("attnlog/"): asset for asset in api.get_asset_list()}
    assert said.keys() == files(folder).keys()
    for step in (10, 20):
        of_step = {path: asset for path, asset in said.items() if path.startswith(f"step-{step:08}/")}
        assert {Path(path).stem for path in of_step} >= {"index", "pictures", "attention"}
        for asset in of_step.values():
            metadata = json.loads(asset["metadata"])
            found = {name: metadata[name] for name in ("step", "epoch", "checkpoint")}
            assert found == {"step": step, "epoch": step / 10, "checkpoint": f"out/checkpoint-{step}"}
            assert asset["step"] == str(step)


def test_comet_is_told_step_epoch_and_checkpoint_of_what_a_training_logs(tmp_path: Path, comet: Loopback) -> None:
    experiment = comet_ml.start()
    log_a_training(tmp_path / "run")
    experiment.end()
    says_where_each_asset_is_from(experiment.id, tmp_path / "run")


def test_an_archive_that_was_uploaded_tells_the_same(tmp_path: Path, comet: Loopback) -> None:
    experiment = comet_ml.OfflineExperiment(offline_directory=str(tmp_path / "archives"))
    log_a_training(tmp_path / "run")
    experiment.end()
    [archive] = (tmp_path / "archives").glob("*.zip")
    upload(archive, comet)
    says_where_each_asset_is_from(experiment.id, tmp_path / "run")


def test_a_run_is_fetched_from_an_experiment_and_from_an_archive_as_it_was_logged(tmp_path: Path, comet: Loopback) -> None:
    folder = small_run(tmp_path / "run")
    offline = comet_ml.OfflineExperiment(offline_directory=str(tmp_path / "archives"))
    deliver(folder)
    offline.end()
    online = comet_ml.start()
    deliver(folder)
    online.end()
    [archive] = (tmp_path / "archives").glob("*.zip")
    for n, place in enumerate((f"comet:{online.id}", f"comet:{archive}")):
        result = CliRunner().invoke(main, ["fetch", place, str(tmp_path / f"here-{n}")])
        assert result.exit_code == 0, result.output
        assert files(tmp_path / f"here-{n}") == files(folder)


def upload(archive: Path, comet: Loopback) -> None:
    """Comet's own command brings an archive to Comet, from where it is read as if it had been online."""
    command = [str(Path(sys.executable).with_name("comet")), "upload", str(archive)]
    done = subprocess.run(command, env={**os.environ, **comet.environment()}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_text_copy_is_logged_when_asked_for(tmp_path: Path, comet: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_COMET_TWIN", "1")
    folder = small_run(tmp_path / "run")
    experiment = comet_ml.start()
    deliver(folder)
    experiment.end()
    logged = comet.of(experiment.id)
    for path, data in files(folder).items():
        if path.endswith(".arrow"):
            assert base64.b64decode(json.loads(logged[f"attnlog/{path}.json"].data)["base64"]) == data


def test_without_a_running_experiment_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrackerError, match=r"no Comet experiment is running.*comet_ml\.start\(\)"):
        CometTracker(tmp_path)


def test_an_experiment_that_ended_takes_nothing_and_the_error_says_so(tmp_path: Path, comet: Loopback) -> None:
    folder = small_run(tmp_path / "run")
    experiment = comet_ml.start()
    tracker = CometTracker(folder)
    experiment.end()
    with pytest.raises(TrackerError, match="ended before attnlog/"):
        tracker.put(entries(folder)[0], folder / entries(folder)[0].path)


def test_a_running_experiment_is_found_by_itself(tmp_path: Path, comet: Loopback) -> None:
    assert "comet" not in [t.name for t in find_trackers("auto", tmp_path)]
    experiment = comet_ml.start()
    assert "comet" in [t.name for t in find_trackers("auto", tmp_path)]
    experiment.end()


def test_a_package_that_nobody_imported_is_not_imported_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "comet_ml")
    with pytest.raises(TrackerError, match="no Comet experiment is running"):
        CometTracker(tmp_path)
    assert "comet_ml" not in sys.modules
