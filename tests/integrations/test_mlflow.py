"""Delivery to a real MLflow: a local one and a server; every byte read back."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from attnlog.boundary import Boundary
from attnlog.delivery.discovery import find_trackers
from attnlog.delivery.queue import Delivery
from attnlog.delivery.sync import sync
from attnlog.testing import check_tracker
from attnlog_integrations.mlflow.bounded import bounded
from attnlog_integrations.mlflow.tracker import MlflowTracker
from attnlog_integrations.transformers import AttentionCallback
from tests.integrations.conftest import free_port
from tests.integrations.files import artifacts, entries, files, small_run
from tests.integrations.screen import shows
from tests.integrations.training import TEXTS, trainer


def deliver(folder: Path, tracker: MlflowTracker) -> str:
    delivery = Delivery(folder, [tracker], Boundary())
    delivery.offer(entries(folder))
    return delivery.finish(wait=120)


def test_a_training_that_reports_to_mlflow_is_delivered_there_though_its_run_ended_first(
    tmp_path: Path, mlflow_sqlite: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    put = MlflowTracker.put

    def late(self: MlflowTracker, *arguments: Any) -> None:
        assert ended.wait(60)
        put(self, *arguments)

    monkeypatch.setattr(MlflowTracker, "put", late)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "attention")
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    trained = trainer(tmp_path, [callback], report_to=["mlflow"])
    trained.train()
    assert mlflow.active_run() is None
    ended.set()
    callback.close()
    [run] = MlflowClient(mlflow_sqlite).search_runs(["1"])
    assert run.info.status == "FINISHED"
    kept = files(tmp_path / "runs" / "out")
    assert kept
    arrived = artifacts(mlflow_sqlite, run.info.run_id, tmp_path)
    assert {path: arrived[f"attnlog/{path}"] for path in kept} == kept


def test_the_viewer_is_an_artifact_and_the_run_says_where(tmp_path: Path, mlflow_sqlite: str) -> None:
    folder = small_run(tmp_path / "run")
    with mlflow.start_run() as run:
        deliver(folder, MlflowTracker(folder))
    page = artifacts(mlflow_sqlite, run.info.run_id, tmp_path)["attnlog/viewer.html"]
    tags = MlflowClient(mlflow_sqlite).get_run(run.info.run_id).data.tags
    link = f"#/experiments/1/runs/{run.info.run_id}/artifacts/attnlog/viewer.html"
    assert b"attnlog-host" in page
    assert tags["attnlog.viewer"] == link
    assert tags["mlflow.note.content"] == f"[Attention viewer]({link})"


def test_what_the_user_wrote_about_the_run_stays(tmp_path: Path, mlflow_sqlite: str) -> None:
    folder = small_run(tmp_path / "run")
    with mlflow.start_run(description="mine, *all* of it") as run:
        for _ in range(2):
            deliver(folder, MlflowTracker(folder))
    note = MlflowClient(mlflow_sqlite).get_run(run.info.run_id).data.tags["mlflow.note.content"]
    assert note.endswith("\n\nmine, *all* of it")
    assert note.count("Attention viewer") == 1


def test_without_a_run_one_is_begun_and_ended_and_none_becomes_active(tmp_path: Path, mlflow_sqlite: str) -> None:
    folder = small_run(tmp_path / "run")
    tracker = MlflowTracker(folder)
    deliver(folder, tracker)
    [run] = MlflowClient(mlflow_sqlite).search_runs(["1"])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run")
    assert mlflow.active_run() is None


def test_a_run_named_by_the_environment_is_used_and_not_ended(tmp_path: Path, mlflow_sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_run(tmp_path / "run")
    client = MlflowClient(mlflow_sqlite)
    run = client.create_run("1")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    deliver(folder, MlflowTracker(folder))
    assert client.get_run(run.info.run_id).info.status == "RUNNING"
    assert "attnlog/viewer.html" in artifacts(mlflow_sqlite, run.info.run_id, tmp_path)


def test_an_active_run_is_found_by_itself(tmp_path: Path, mlflow_sqlite: str) -> None:
    assert [t.name for t in find_trackers("auto", tmp_path)] == ["local"]
    with mlflow.start_run():
        assert [t.name for t in find_trackers("auto", tmp_path)] == ["local", "mlflow"]


def test_a_server_gets_every_byte_and_the_summary_says_where(tmp_path: Path, mlflow_server: str) -> None:
    folder = small_run(tmp_path / "run")
    client = MlflowClient(mlflow_server)
    run = client.create_run("0")
    tracker = tracker_of(mlflow_server, run.info.run_id, folder)
    summary = deliver(folder, tracker)
    arrived = artifacts(mlflow_server, run.info.run_id, tmp_path)
    assert {path: arrived[f"attnlog/{path}"] for path in files(folder)} == files(folder)
    assert f"{mlflow_server}/#/experiments/0/runs/{run.info.run_id}/artifacts/attnlog/viewer.html" in summary


def test_a_server_that_is_down_is_left_alone_after_a_few_tries(tmp_path: Path, recwarn: Any) -> None:
    folder = small_run(tmp_path / "run")
    tracker = tracker_of(f"http://user:secret-word@127.0.0.1:{free_port()}", "0" * 32, folder)
    tries = []
    put = tracker.put
    tracker.put = lambda entry, file: tries.append(entry.path) or put(entry, file)  # type: ignore[method-assign]
    summary = deliver(folder, tracker)
    assert len(tries) <= 6
    assert "0 files delivered" in summary and "everything is safe in" in summary
    said = [str(w.message) for w in recwarn if "deliver to mlflow" in str(w.message)]
    assert len(said) == 1
    assert "secret-word" not in summary + said[0]


def test_only_the_delivering_thread_gives_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

    before = dict(os.environ)
    seen = []

    def elsewhere() -> None:
        seen.append((MLFLOW_HTTP_REQUEST_MAX_RETRIES.get(), MLFLOW_HTTP_REQUEST_TIMEOUT.get()))

    with bounded():
        assert (MLFLOW_HTTP_REQUEST_MAX_RETRIES.get(), MLFLOW_HTTP_REQUEST_TIMEOUT.get()) == (1, 30)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    elsewhere()
    assert seen == [(7, 120), (7, 120)]
    assert dict(os.environ) == before


def test_the_viewer_opens_in_mlflows_artifact_pane(tmp_path: Path, mlflow_server: str, browser: Any) -> None:
    folder = small_run(tmp_path / "run")
    run = MlflowClient(mlflow_server).create_run("0")
    deliver(folder, tracker_of(mlflow_server, run.info.run_id, folder))
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    try:
        page.goto(f"{mlflow_server}/#/experiments/0/runs/{run.info.run_id}/artifacts/attnlog/viewer.html")
        frame = page.frame_locator("iframe")
        shows(frame)
    finally:
        page.close()


def tracker_of(uri: str, run: str, folder: Path) -> MlflowTracker:
    """A tracker as made where this run is active."""
    before, named = mlflow.get_tracking_uri(), os.environ.get("MLFLOW_RUN_ID")
    try:
        mlflow.set_tracking_uri(uri)
        os.environ["MLFLOW_RUN_ID"] = run
        return MlflowTracker(folder)
    finally:
        mlflow.set_tracking_uri(before)
        os.environ.pop("MLFLOW_RUN_ID")
        if named is not None:
            os.environ["MLFLOW_RUN_ID"] = named


def test_the_tracker_keeps_the_contract(tmp_path: Path, mlflow_sqlite: str) -> None:
    with mlflow.start_run() as run:

        def read_back(path: str) -> bytes | None:
            return artifacts(mlflow_sqlite, run.info.run_id, tmp_path).get(path)

        check_tracker(MlflowTracker, read_back)


def test_syncing_finishes_what_an_outage_left(tmp_path: Path, mlflow_sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_run(tmp_path / "run")
    client = MlflowClient(mlflow_sqlite)
    run = client.create_run("1")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    sync(folder, "mlflow")
    arrived = artifacts(mlflow_sqlite, run.info.run_id, tmp_path)
    assert {path: arrived[f"attnlog/{path}"] for path in files(folder)} == files(folder)
