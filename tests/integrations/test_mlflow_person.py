"""A person's way through MLflow, in Chromium: from the list of runs to the artifact, its views and steps, and on the page from one run to
another and to their difference; on each kind of server, and every time with numbers that are those of the run folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from mlflow import MlflowClient

import attnlog
from tests.browser.pages import until
from tests.browser.test_embedded import inspect
from tests.integrations.conftest import ADMIN
from tests.integrations.files import artifacts, files, small_run
from tests.integrations.mlflow_servers import mlflow_server_process
from tests.integrations.screen import shows
from tests.integrations.test_mlflow_page import deliver, experiment

ROOT = Path(__file__).parents[2]
NAMES = ("first training", "second training")


class Server(NamedTuple):
    """A server with two runs that hold different weights."""

    uri: str
    experiment: str
    runs: tuple[str, str]
    folders: tuple[Path, Path]
    login: tuple[str, str] | None = None


@pytest.fixture(scope="module")
def behind_prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with our page, below a static prefix and without a login."""
    with mlflow_server_process(tmp_path_factory.mktemp("prefix"), "--app-name", "attnlog", prefix="/tools/mlflow") as address:
        yield address


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path, s3: dict[str, str], mlflow_page: str, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The kind of server that a test names, with two runs that our tracker delivered there."""
    kind = request.param
    uri = {"prefix": "behind_prefix", "login and prefix": "mlflow_login"}.get(kind)
    address = mlflow_page if uri is None else request.getfixturevalue(uri)
    login = ADMIN if kind == "login and prefix" else None
    with pytest.MonkeyPatch.context() as patch:
        if login is not None:
            patch.setenv("MLFLOW_TRACKING_USERNAME", login[0])
            patch.setenv("MLFLOW_TRACKING_PASSWORD", login[1])
        for name, value in s3.items() if kind == "store without a proxy" else ():
            patch.setenv(name, value)
        there = experiment(address, kind, "s3://attention/person" if kind == "store without a proxy" else None)
        client = MlflowClient(address)
        runs = tuple(client.create_run(there, run_name=name).info.run_id for name in NAMES)
        folders = tuple(small_run(tmp_path / name, scale=scale) for name, scale in zip(NAMES, (1.0, 1.4), strict=True))
        for run, folder in zip(runs, folders, strict=True):
            with pytest.MonkeyPatch.context() as tracking:
                assert f"{address}/attnlog/?run={run}" in deliver(address, run, folder, tracking)
            there_now = artifacts(address, run, tmp_path)
            assert {path: there_now[f"attnlog/{path}"] for path in files(folder)} == files(folder)
    return Server(address, there, runs, folders, login)  # type: ignore[arg-type]  # two of each


@pytest.fixture(scope="module")
def demo(mlflow_page: str, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The demo, run twice against a server, the second time for longer."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_page, "PYTHONPATH": str(ROOT)}
    for name, steps in zip(NAMES, ("4", "8"), strict=True):
        command = [
            sys.executable,
            "-W",
            "ignore",
            "examples/demo.py",
            "--runs",
            str(folder),
            "--steps",
            steps,
            "--every",
            "4",
            "--name",
            name,
        ]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    client = MlflowClient(mlflow_page)
    there = client.get_experiment_by_name("attnlog demo").experiment_id
    found = {run.info.run_name: run.info.run_id for run in client.search_runs([there])}
    return Server(mlflow_page, there, (found[NAMES[0]], found[NAMES[1]]), (folder / "first-training", folder / "second-training"))


@pytest.mark.parametrize("server", ["store behind a proxy", "store without a proxy", "prefix", "login and prefix"], indirect=True)
def test_a_person_finds_the_attention_of_a_run_and_compares_it_with_another(server: Server, browser: Any) -> None:
    walk(server, browser)


def test_a_person_does_so_with_the_demo(demo: Server, browser: Any) -> None:
    walk(demo, browser)


def walk(server: Server, browser: Any) -> None:
    credentials = {"username": server.login[0], "password": server.login[1]} if server.login else None
    context = browser.new_context(viewport={"width": 1500, "height": 1000}, http_credentials=credentials)
    complaints: list[str] = []
    context.on("weberror", lambda raised: complaints.append(str(raised.error)) if "/attnlog/" in raised.page.url else None)
    try:
        page = context.new_page()
        in_the_artifact_pane(server, page)
        on_the_page(server, page)
    finally:
        context.close()
    assert complaints == []


def in_the_artifact_pane(server: Server, page: Any) -> None:
    saved = attnlog.open(server.folders[0])
    page.goto(f"{server.uri}/#/experiments/{server.experiment}/runs")
    page.get_by_role("link", name=NAMES[0]).first.click(timeout=90_000)
    page.get_by_role("tab", name="Artifacts").click(timeout=60_000)
    page.get_by_text("attnlog", exact=True).first.click(timeout=60_000)
    page.get_by_text("viewer.html", exact=True).first.click(timeout=60_000)
    page.frame_locator("iframe").locator('[data-attnlog-state="ready"]').wait_for(timeout=90_000)
    shown = page.locator("iframe").element_handle().content_frame()
    shows(shown)
    shown.locator('[data-open-view="head"]').first.click()
    drawn(shown, saved, step=saved.steps[-1], layer=0)
    shown.get_by_label("layer", exact=True).select_option("1")
    drawn(shown, saved, step=saved.steps[-1], layer=1)
    shown.get_by_label("step", exact=True).press("Home")
    drawn(shown, saved, step=saved.steps[0], layer=1)


def on_the_page(server: Server, page: Any) -> None:
    first, second = (attnlog.open(folder) for folder in server.folders)
    page.goto(f"{server.uri}/#/experiments/{server.experiment}/runs/{server.runs[0]}")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Attention viewer").click(timeout=60_000)
    studio = opened.value
    shows(studio)
    assert studio.locator(".picker").first.text_content().startswith(NAMES[0])
    studio.get_by_role("button", name=f"run: {NAMES[0]}").click()
    studio.get_by_role("searchbox", name="find a run").fill("second train")
    studio.locator(f'[data-run="{server.runs[1]}"]').click()
    studio.locator("html").locator(".picker", has_text=NAMES[1]).wait_for()
    drawn(studio, second, step=second.steps[-1], layer=0)
    studio.get_by_label("layer", exact=True).select_option("1")
    studio.get_by_label("step", exact=True).press("Home")
    drawn(studio, second, step=second.steps[0], layer=1)
    studio.get_by_label("step", exact=True).press("End")
    drawn(studio, second, step=second.steps[-1], layer=1)
    studio.get_by_label("compare with another").select_option("run")
    studio.get_by_role("button", name="run compared with").click()
    studio.get_by_role("searchbox", name="find a run").last.fill("first training")
    studio.locator(f'dialog[open] [data-run="{server.runs[0]}"]').click()
    last = first.steps[-1]
    studio.get_by_text(f"B: {NAMES[0]}, step {last}").wait_for()
    studio.locator('[data-side="diff"][aria-pressed="true"]').wait_for()
    until(studio, "studio.head.signed")
    change = first.read(last).weights("self", 1) - second.read(second.steps[-1]).weights("self", 1)
    assert np.abs(change).max() > 0.01
    for head in range(len(change)):
        np.testing.assert_allclose(inspect(studio, f"head.weights({head})"), change[head].ravel(), atol=1e-6)
    assert f"compare=run%3A{server.runs[0]}" in studio.url
    # The address is all of it: it opens the same in another tab.
    page.goto("about:blank")
    page.goto(studio.url)
    page.get_by_text(f"B: {NAMES[0]}, step {last}").wait_for()
    studio.close()


def drawn(place: Any, saved: Any, *, step: int, layer: int) -> None:
    """Wait for the head view of a step and layer, and compare all its weights with the run folder's."""
    place.locator(f'[data-view="head"][data-ready="{step}/0/self/{layer}"]').wait_for(timeout=90_000)
    wanted = saved.read(step).weights("self", layer)
    for head in range(len(wanted)):
        np.testing.assert_allclose(inspect(place, f"head.weights({head})"), wanted[head].ravel(), atol=1e-6)
