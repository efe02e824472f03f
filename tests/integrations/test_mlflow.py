"""Delivery to a real MLflow: a local one and a server; every byte read back."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

import attnlog
from attnlog.boundary import Boundary
from attnlog.delivery.discovery import find_trackers
from attnlog.delivery.queue import Delivery
from attnlog.delivery.sync import sync
from attnlog.errors import ArgumentError
from attnlog.view.export import export_html
from attnlog_integrations.mlflow.bounded import bounded
from attnlog_integrations.mlflow.tracker import MlflowTracker
from attnlog_integrations.transformers import AttentionCallback
from tests.integrations.conftest import free_port
from tests.integrations.files import artifacts, entries, files, small_run
from tests.integrations.mlflow_servers import demanding
from tests.integrations.screen import shows
from tests.integrations.training import TEXTS, trainer


def one_head() -> attnlog.Capture:
    return attnlog.from_tensors([np.full((1, 2, 2), 0.5, "f4")], ["a", "b"])


def deliver(folder: Path, tracker: MlflowTracker) -> str:
    delivery = Delivery(folder, [tracker], Boundary())
    delivery.offer(entries(folder))
    return delivery.finish(wait=120)


def test_a_training_that_reports_to_mlflow_is_delivered_there_though_its_run_ended_first(
    tmp_path: Path, mlflow_sqlite: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = MlflowTracker.put

    def late(self: MlflowTracker, *arguments: Any) -> None:
        while MlflowClient(mlflow_sqlite).get_run(str(self.run)).info.status != "FINISHED":
            time.sleep(0.1)
        put(self, *arguments)

    monkeypatch.setattr(MlflowTracker, "put", late)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "attention")
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    trained = trainer(tmp_path, [callback], report_to=["mlflow"])
    trained.train()
    assert mlflow.active_run() is None
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


def test_a_person_clicks_through_from_the_run_to_the_viewer_in_the_artifact_pane(tmp_path: Path, mlflow_server: str, browser: Any) -> None:
    folder = small_run(tmp_path / "run")
    run = MlflowClient(mlflow_server).create_run("0", run_name="a training")
    deliver(folder, tracker_of(mlflow_server, run.info.run_id, folder))
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    try:
        page.goto(f"{mlflow_server}/#/experiments/0/runs/{run.info.run_id}")
        page.get_by_role("tab", name="Artifacts").click(timeout=60_000)
        page.get_by_text("attnlog", exact=True).first.click(timeout=60_000)
        page.get_by_text("viewer.html", exact=True).first.click(timeout=60_000)
        frame = page.frame_locator("iframe")
        shows(frame)
        frame.get_by_label("layer", exact=True).select_option("1")
        frame.locator('[data-view="head"][data-ready="300/0/self/1"]').or_(
            frame.locator('[data-view="neuron"][data-ready="300/0/self/1"]')
        ).first.wait_for()
        frame.get_by_label("step", exact=True).press("Home")
        frame.locator('[data-ready="100/0/self/1"]').first.wait_for(timeout=60_000)
        # From the description another tab leads to the same.
        page.goto(f"{mlflow_server}/#/experiments/0/runs/{run.info.run_id}")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Attention viewer").click(timeout=60_000)
        opened.value.frame_locator("iframe").locator('[data-attnlog-state="ready"]').wait_for(timeout=90_000)
        opened.value.close()
    finally:
        page.close()


def tracker_of(uri: str, run: str, folder: Path) -> MlflowTracker:
    """A tracker of a named run, as made where this tracking URI is set."""
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(uri)
        return MlflowTracker(folder, run=run)
    finally:
        mlflow.set_tracking_uri(before)


def test_syncing_finishes_what_an_outage_left(tmp_path: Path, mlflow_sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_run(tmp_path / "run")
    client = MlflowClient(mlflow_sqlite)
    run = client.create_run("1")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    sync(folder, "mlflow")
    arrived = artifacts(mlflow_sqlite, run.info.run_id, tmp_path)
    assert {path: arrived[f"attnlog/{path}"] for path in files(folder)} == files(folder)


def test_of_nested_runs_the_innermost_is_written_to(tmp_path: Path, mlflow_sqlite: str) -> None:
    folder = small_run(tmp_path / "run")
    with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
        tracker = MlflowTracker(folder)
    deliver(folder, tracker)
    assert tracker.run == child.info.run_id
    assert "attnlog/viewer.html" in artifacts(mlflow_sqlite, child.info.run_id, tmp_path)
    assert MlflowClient(mlflow_sqlite).list_artifacts(parent.info.run_id) == []


def test_a_named_run_is_written_to_though_another_is_active(tmp_path: Path, mlflow_sqlite: str) -> None:
    folder = small_run(tmp_path / "run")
    client = MlflowClient(mlflow_sqlite)
    named = client.create_run("1").info.run_id
    client.set_terminated(named)
    with mlflow.start_run() as active:
        [_, tracker] = find_trackers(f"mlflow:{named}", folder)
        sync(folder, tracker)
    assert client.list_artifacts(active.info.run_id) == []
    assert client.get_run(named).info.status == "FINISHED"
    assert tracker.holds() == {path: len(data) for path, data in files(folder).items()}  # type: ignore[attr-defined]
    assert named in tracker.destination  # type: ignore[attr-defined]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_named_run_that_is_not_there_is_said_by_the_delivery_not_by_the_training(
    tmp_path: Path, mlflow_sqlite: str, recwarn: Any, deleted: bool
) -> None:
    folder = small_run(tmp_path / "run")
    client = MlflowClient(mlflow_sqlite)
    run = client.create_run("1").info.run_id if deleted else "0" * 32
    if deleted:
        client.delete_run(run)
    summary = deliver(folder, MlflowTracker(folder, run=run))
    why = f"the MLflow run {run} is deleted: restore it" if deleted else f"has no run {run}: check the run's id and MLFLOW_TRACKING_URI"
    assert why in summary
    assert "0 files delivered" in summary
    assert any(why in str(said.message) for said in recwarn)


def test_head_metrics_become_numbers_of_the_run_once_each(tmp_path: Path, mlflow_sqlite: str) -> None:
    folder = small_run(tmp_path / "run")
    client = MlflowClient(mlflow_sqlite)
    run = client.create_run("1").info.run_id
    index = next(entry for entry in entries(folder) if entry.kind == "index")
    told = replace(index, step=200, time=1_700_000_000.25, scalars={f"attention/induction/{n}": n / 2000 for n in range(1500)})
    for _ in range(2):
        MlflowTracker(folder, run=run).put(told, folder / index.path)
    [point] = client.get_metric_history(run, "attention/induction/1000")
    assert (point.value, point.step, point.timestamp) == (0.5, 200, 1_700_000_000_250)
    assert len(client.get_run(run).data.metrics) == 1500


def test_numbers_that_were_refused_come_with_the_next_try_though_the_program_ended(
    tmp_path: Path, mlflow_sqlite: str, monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    folder = tmp_path / "run"
    run = MlflowClient(mlflow_sqlite).create_run("1").info.run_id
    log_batch, log_artifact = MlflowClient.log_batch, MlflowClient.log_artifact
    for name in ("log_batch", "log_artifact"):

        def fails(*_: Any, **more: Any) -> None:
            raise ConnectionError("503")

        monkeypatch.setattr(MlflowClient, name, fails)
        with attnlog.Run(folder / name, tracker=f"mlflow:{run}", scalars="entropy") as log:
            log.log(one_head(), step=7)
        monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
        monkeypatch.setattr(MlflowClient, "log_artifact", log_artifact)
        assert " left" not in sync(folder / name)
        [point] = MlflowClient(mlflow_sqlite).get_metric_history(run, "attention/entropy/mean")
        assert point.step == 7
        run = MlflowClient(mlflow_sqlite).create_run("1").info.run_id


def test_a_run_that_was_begun_is_written_to_later_though_its_store_refused_everything(
    tmp_path: Path, mlflow_sqlite: str, monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    folder, log_artifact = tmp_path / "own", MlflowClient.log_artifact

    def fails(*_: Any, **more: Any) -> None:
        raise PermissionError("no credentials for this bucket")

    monkeypatch.setattr(MlflowClient, "log_artifact", fails)
    with attnlog.Run(folder, tracker="mlflow") as log:
        log.log(one_head(), step=0)
    for _ in range(2):
        assert "no credentials for this bucket" in sync(folder)
    monkeypatch.setattr(MlflowClient, "log_artifact", log_artifact)
    assert " left" not in sync(folder)
    [run] = MlflowClient(mlflow_sqlite).search_runs(["1"])
    arrived = artifacts(mlflow_sqlite, run.info.run_id, tmp_path)
    assert {path: arrived[f"attnlog/{path}"] for path in files(folder)} == files(folder)
    assert run.info.status == "FINISHED"


def test_a_run_that_attnlog_began_is_ended_by_whoever_finishes_its_delivery(tmp_path: Path, mlflow_sqlite: str) -> None:
    client, folder = MlflowClient(mlflow_sqlite), small_run(tmp_path / "run")
    tracker = MlflowTracker(folder)
    tracker.put(next(one for one in entries(folder) if one.kind == "inputs"), folder / next(p for p in files(folder) if "inputs" in p))
    assert client.get_run(str(tracker.run)).info.status == "RUNNING"  # and its process is killed
    sync(folder, f"mlflow:{tracker.run}")
    assert client.get_run(str(tracker.run)).info.status == "FINISHED"
    mine = client.create_run("1").info.run_id
    sync(small_run(tmp_path / "mine"), f"mlflow:{mine}")
    assert client.get_run(mine).info.status == "RUNNING"  # somebody else's to end


def test_a_description_that_would_be_cut_off_is_left_as_it_is(tmp_path: Path, mlflow_sqlite: str) -> None:
    folder, long = small_run(tmp_path / "run"), "x" * 7950 + " the end"
    with mlflow.start_run(description=long) as run:
        deliver(folder, MlflowTracker(folder))
    assert MlflowClient(mlflow_sqlite).get_run(run.info.run_id).data.tags["mlflow.note.content"] == long


def test_an_upload_has_as_long_as_its_size_takes_or_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
    with bounded():
        assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 30
        with bounded(16_000_000):
            assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 600
        assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 30
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    with bounded(16_000_000):
        assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 46
    assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 120


def test_what_a_run_holds_is_known_on_every_kind_of_store(tmp_path: Path, mlflow_sqlite: str, mlflow_server: str, mlflow_page: str) -> None:
    folder = small_run(tmp_path / "run")
    for uri in (mlflow_sqlite, mlflow_server, mlflow_page):
        client = MlflowClient(uri)
        run = client.create_run("0").info.run_id
        tracker = tracker_of(uri, run, folder)
        assert tracker.holds() == {}
        client.log_artifacts(run, str(folder), "attnlog")
        (tmp_path / "other.txt").write_text("other")
        client.log_artifact(run, str(tmp_path / "other.txt"), "attnlog")
        assert tracker.holds() == {path: len(data) for path, data in files(folder).items()}
    assert MlflowTracker(folder).holds() == {}


def test_a_file_store_gets_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow keeps it in maintenance
    folder = small_run(tmp_path / "run")
    uri = (tmp_path / "mlruns").as_uri()
    run = MlflowClient(uri).create_run("0").info.run_id
    deliver(folder, tracker_of(uri, run, folder))
    arrived = artifacts(uri, run, tmp_path)
    assert {path: arrived[f"attnlog/{path}"] for path in files(folder)} == files(folder)
    tags = MlflowClient(uri).get_run(run).data.tags
    assert tags["attnlog.viewer"].startswith(f"#/experiments/0/runs/{run}/artifacts/")


def test_a_token_goes_with_every_request_and_into_nothing_else(
    tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    folder = small_run(tmp_path / "run")
    with demanding(mlflow_server, "Bearer a-secret-token") as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-wrong-token")
        refused = deliver(small_run(tmp_path / "refused"), tracker_of(uri, "0" * 32, tmp_path / "refused"))
        assert "0 files delivered" in refused
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-secret-token")
        run = MlflowClient(uri).create_run("0").info.run_id
        summary = deliver(folder, tracker_of(uri, run, folder))
        arrived = artifacts(uri, run, tmp_path)
    assert {path: arrived[f"attnlog/{path}"] for path in files(folder)} == files(folder)
    said = "".join(capfd.readouterr()) + summary + refused
    assert "MLFLOW_TRACKING_TOKEN, of somebody" in refused
    assert not [token for token in ("a-secret-token", "a-wrong-token") if token in said]
    assert not [path for path, data in arrived.items() if b"secret-token" in data]


def test_the_numbers_and_assets_of_an_autologged_training_are_in_one_run(tmp_path: Path, mlflow_sqlite: str) -> None:
    """Lightning below MLflow's autologging, which begins the run itself and ends it before we are done."""
    import lightning
    from lightning.pytorch.demos.boring_classes import BoringModel

    mlflow.pytorch.autolog(log_models=False, checkpoint=False)
    folder, deliveries = small_run(tmp_path / "run"), []

    class Attention(lightning.Callback):
        def on_train_start(self, *_: Any) -> None:
            delivery = Delivery(folder, find_trackers("auto", folder), Boundary())
            delivery.offer(entries(folder))
            deliveries.append(delivery)

    logger = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    lightning.Trainer(max_steps=2, accelerator="cpu", callbacks=[Attention()], default_root_dir=tmp_path, **logger).fit(BoringModel())
    mlflow.pytorch.autolog(disable=True)
    assert mlflow.active_run() is None
    deliveries[0].finish(wait=120)
    [run] = MlflowClient(mlflow_sqlite).search_runs(["1"])
    assert run.data.params["optimizer_name"]
    assert "attnlog/viewer.html" in artifacts(mlflow_sqlite, run.info.run_id, tmp_path)


def test_the_viewer_artifact_keeps_its_budget_and_says_how_to_see_the_rest(
    tmp_path: Path, mlflow_sqlite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_run(tmp_path / "run")
    run = MlflowClient(mlflow_sqlite).create_run("1").info.run_id
    least = len(export_html(folder, budget=0))
    for budget, whole in ((str(least + 40_000), False), ("100GB", True)):
        monkeypatch.setenv("ATTNLOG_MLFLOW_VIEWER_BUDGET", budget)
        MlflowTracker(folder, run=run).refresh(folder)
        page = artifacts(mlflow_sqlite, run, tmp_path)["attnlog/viewer.html"]
        assert whole or len(page) <= int(budget)
        assert (f"attnlog fetch mlflow:{run} DIR &amp;&amp; attnlog view DIR".replace("&amp;", "&").encode() in page) is not whole
    assert len(page) > least + 40_000
    assert MlflowTracker(folder)._budget == 50 << 20
    monkeypatch.setenv("ATTNLOG_MLFLOW_VIEWER_BUDGET", "much")
    with pytest.raises(ArgumentError, match="ATTNLOG_MLFLOW_VIEWER_BUDGET: 'much' is not a size.*or 'off'"):
        MlflowTracker(folder)


def test_without_a_viewer_artifact_nothing_leads_to_one(tmp_path: Path, mlflow_sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_MLFLOW_VIEWER_BUDGET", "off")
    folder = small_run(tmp_path / "run")
    run = MlflowClient(mlflow_sqlite).create_run("1").info.run_id
    assert f"(run {run}, artifacts attnlog/)" in deliver(folder, MlflowTracker(folder, run=run))
    assert artifacts(mlflow_sqlite, run, tmp_path).keys() == {f"attnlog/{path}" for path in files(folder)}
    tags = MlflowClient(mlflow_sqlite).get_run(run).data.tags
    assert "mlflow.note.content" not in tags
    assert tags["attnlog.viewer"] == "attnlog/"  # by which the page on the server finds it
