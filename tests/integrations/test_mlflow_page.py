"""The page on a real tracking server: what it lists and gives, over S3, and what a person sees of it in Chromium."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from attnlog.boundary import Boundary
from attnlog.delivery.queue import Delivery
from attnlog_integrations.mlflow.tracker import MlflowTracker
from tests.integrations.files import entries, files, small_run
from tests.integrations.mlflow_servers import mlflow_server_process


def deliver(uri: str, run: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Deliver a run folder to a run of a server, as a training does."""
    monkeypatch.setattr("mlflow.get_tracking_uri", lambda: uri)
    delivery = Delivery(folder, [MlflowTracker(folder, run=run)], Boundary())
    delivery.offer(entries(folder))
    summary = delivery.finish(wait=120)
    monkeypatch.undo()
    return summary


def logged(uri: str, folder: Path, name: str, experiment: str = "0", *, tag: bool = True) -> str:
    """A run of a server that holds a run folder."""
    client = MlflowClient(uri)
    run = client.create_run(experiment, run_name=name).info.run_id
    client.log_artifacts(run, str(folder), "attnlog")
    if tag:
        client.set_tag(run, "attnlog.viewer", "here")
    client.set_terminated(run)
    return str(run)


def experiment(uri: str, name: str, location: str | None = None) -> str:
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name, artifact_location=location))


def asset(uri: str, run: str, path: str, **more: Any) -> requests.Response:
    return requests.get(f"{uri}/attnlog/asset", params={"run_id": run, "path": path}, timeout=60, **more)


def listed(uri: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Every run that the page lists, by its id, page after page."""
    found: dict[str, dict[str, Any]] = {}
    token = None
    while True:
        said = requests.get(f"{uri}/attnlog/runs", params={"token": token} if token else {}, timeout=60, **more).json()
        found |= {run["id"]: run for run in said["runs"]}
        token = said["next"]
        if not token:
            return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A tab; no page of ours that it opens may complain, or reach out of loopback."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    complaints: list[str] = []

    def heard(said: Any) -> None:
        # MLflow's own pages have complaints of their own.
        if said.type in ("error", "warning") and "/attnlog/" in said.page.url:
            complaints.append(said.text)

    context.on("console", heard)
    context.on("weberror", lambda raised: complaints.append(str(raised.error)) if "/attnlog/" in raised.page.url else None)
    context.on(
        "request", lambda asked: None if asked.url.startswith(("http://127.0.0.1", "blob:", "data:")) else complaints.append(asked.url)
    )
    yield context.new_page()
    context.close()
    assert complaints == []


@pytest.mark.parametrize("where", ["proxied", "direct", "local"])
def test_every_byte_comes_back_from_s3_and_from_a_folder_whole_and_by_parts(
    where: str,
    mlflow_page: str,
    s3: dict[str, str],
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    location = {"proxied": None, "direct": "s3://attention/direct", "local": tmp_path_factory.mktemp("artifacts").as_uri()}[where]
    run = logged(mlflow_page, folder, where, experiment(mlflow_page, where, location))
    for path, data in files(folder).items():
        for _ in range(2):  # the second comes from what the server keeps
            whole = asset(mlflow_page, run, path)
            assert (whole.status_code, whole.content) == (200, data)
        part = asset(mlflow_page, run, path, headers={"Range": "bytes=8-99"})
        assert (part.status_code, part.content) == (206, data[8:100])
        assert part.headers["Content-Range"] == f"bytes 8-99/{len(data)}"
        beyond = asset(mlflow_page, run, path, headers={"Range": f"bytes={len(data)}-{len(data) + 9}"})
        assert (beyond.status_code, beyond.content) == (416, b"")
    said = requests.get(f"{mlflow_page}/attnlog/manifests", params={"run_id": run}, timeout=60).json()["manifests"]
    assert {one["name"]: one["text"].encode() for one in said} == {p: d for p, d in files(folder).items() if p.endswith(".jsonl")}
    tag = requests.get(f"{mlflow_page}/attnlog/manifests", params={"run_id": run}, timeout=60).headers["ETag"]
    again = requests.get(f"{mlflow_page}/attnlog/manifests", params={"run_id": run}, headers={"If-None-Match": tag}, timeout=60)
    assert (again.status_code, again.content) == (304, b"")


def test_only_files_of_a_run_are_given(mlflow_page: str, folder: Path) -> None:
    (folder / "secret.txt").write_text("not an asset")
    run = logged(mlflow_page, folder, "paths")
    for path in ("secret.txt", "../secret.txt", "viewer.html", "/etc/passwd", "step-00000100", ""):
        assert asset(mlflow_page, run, path).status_code == 404
    absent = asset(mlflow_page, run, "step-00000999/nobody-0/index.arrow")
    assert (absent.status_code, "nobody-0" in absent.json()["error"]) == (404, True)
    assert asset(mlflow_page, "no-such-run", next(iter(files(folder)))).status_code == 404
    assert requests.post(f"{mlflow_page}/attnlog/asset", timeout=60).status_code == 405


def test_answers_say_what_a_browser_may_do_with_them(mlflow_page: str, folder: Path) -> None:
    run = logged(mlflow_page, folder, "headers")
    paths = [
        "",
        "studio.js",
        "runs",
        f"run?run_id={run}",
        f"manifests?run_id={run}",
        f"asset?run_id={run}&path={next(iter(files(folder)))}",
    ]
    for path in paths:
        said = requests.get(f"{mlflow_page}/attnlog/{path}", timeout=60)
        assert said.status_code == 200
        assert said.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in said.headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in said.headers


def test_runs_are_listed_with_their_experiment_and_deleted_ones_are_not(mlflow_page: str, folder: Path) -> None:
    client = MlflowClient(mlflow_page)
    gone = experiment(mlflow_page, "gone")
    kept, without, lost, dropped = (
        logged(mlflow_page, folder, "kept", experiment(mlflow_page, "named")),
        logged(mlflow_page, folder, "without a tag", tag=False),
        logged(mlflow_page, folder, "of a deleted experiment", gone),
        logged(mlflow_page, folder, "deleted"),
    )
    client.delete_experiment(gone)
    client.delete_run(dropped)
    found = listed(mlflow_page)
    assert found[kept]["name"] == "kept"
    assert (found[kept]["group"], found[kept]["status"], found[kept]["place"]) == ("named", "finished", f"mlflow:{kept}")
    assert not {without, lost, dropped} & found.keys()
    path = next(iter(files(folder)))
    assert [asset(mlflow_page, run, path).status_code for run in (kept, without, lost, dropped)] == [200, 200, 404, 404]


def test_hundreds_of_runs_come_page_by_page_the_newest_first(mlflow_page: str) -> None:
    client = MlflowClient(mlflow_page)
    crowd = experiment(mlflow_page, "crowd")
    before = len(listed(mlflow_page))
    for number in range(120):
        client.create_run(crowd, start_time=1000 + number, run_name=f"crowd {number:03}", tags={"attnlog.viewer": "here"})
    first = requests.get(f"{mlflow_page}/attnlog/runs", timeout=60).json()
    assert len(first["runs"]) == 100
    found = [run["name"] for run in listed(mlflow_page).values()]
    assert len(found) == before + 120
    assert [name for name in found if name.startswith("crowd")] == [f"crowd {number:03}" for number in reversed(range(120))]
    assert requests.get(f"{mlflow_page}/attnlog/runs?token=none", timeout=60).status_code == 400


def test_a_run_that_is_not_listed_opens_by_its_address(mlflow_page: str, folder: Path, page: Any) -> None:
    run = logged(mlflow_page, folder, "by its address", tag=False)
    page.goto(f"{mlflow_page}/attnlog/?run={run}#view=matrix&step=200")
    page.locator('[data-attnlog-state="ready"]').wait_for(timeout=60_000)
    assert page.locator(".picker").first.text_content().startswith("by its address")
    assert page.get_by_label("step", exact=True).get_attribute("aria-valuetext").startswith("step 200")
    with page.context.expect_page() as opened:
        page.get_by_label("this run in the tracker").click()
    opened.value.wait_for_url(f"{mlflow_page}/#/experiments/0/runs/{run}")


def test_the_page_answers_below_gunicorn_too(tmp_path: Path, folder: Path) -> None:
    with mlflow_server_process(tmp_path, "--app-name", "attnlog", "--gunicorn-opts", "--log-level=warning") as uri:
        run = logged(uri, folder, "run")
        assert list(listed(uri)) == [run]
        path, data = next(iter(files(folder).items()))
        assert hashlib.sha256(asset(uri, run, path).content).digest() == hashlib.sha256(data).digest()


def test_an_mlflow_that_is_built_otherwise_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.server import handlers

    from attnlog_integrations.mlflow.internals import TrackingServer, UnknownMlflowError

    TrackingServer(login=False)
    monkeypatch.delattr(handlers, "_get_artifact_repo")
    with pytest.raises(UnknownMlflowError, match=r"server of MLflow 3\..*_get_artifact_repo.*start it without --app-name attnlog"):
        TrackingServer(login=False)
