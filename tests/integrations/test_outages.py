"""A tracking server that fails, in every way that servers fail: the training goes on, the end waits for a bounded time, and `attnlog sync`
makes the tracker's copy equal to the run folder, each file once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from mlflow import MlflowClient

import attnlog
from attnlog.cli import main
from tests.integrations.files import artifacts, files, small_run
from tests.integrations.proxy import FAULTS, Proxy, proxy


@pytest.fixture
def faulty(mlflow_server: str) -> Iterator[Proxy]:
    """A real MLflow server behind a proxy that fails as it is told."""
    with proxy(mlflow_server) as state:
        yield state


@pytest.fixture
def captures(tmp_path: Path) -> Any:
    import numpy as np

    def capture(seed: int) -> attnlog.Capture:
        weights = np.random.default_rng(seed).dirichlet(np.ones(6), size=(2, 1, 2, 6)).astype(np.float32)
        return attnlog.from_tensors(list(weights), [[f"t{n}" for n in range(6)]])

    return capture


@pytest.mark.parametrize("fault", FAULTS)
def test_a_training_goes_on_and_sync_delivers_the_rest_once(
    fault: str, faulty: Proxy, captures: Any, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    monkeypatch.setenv("ATTNLOG_EXIT_WAIT", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", faulty.address)
    run = MlflowClient(mlflow_server).create_run("0").info.run_id
    folder = tmp_path / "run"
    asking: set[threading.Thread] = set()
    send = requests.Session.send
    monkeypatch.setattr(requests.Session, "send", lambda *a, **k: (asking.add(threading.current_thread()), send(*a, **k))[1])
    with attnlog.Run(folder, tracker=f"mlflow:{run}") as log:
        log.log(captures(0), step=0)
        _delivered_something(faulty)
        faulty.fail(fault)
        for step in range(1, 6):
            log.log(captures(step), step=step)
            _written(log)
    # It ended though the server never answered, and lost nothing; the thread that trains has asked nobody anything.
    assert {thread.name for thread in asking} == {"attnlog-mlflow"}
    assert log.dropped == 0
    assert log._delivery.left > 0
    if fault == "hanging":
        assert faulty.hanging > 0
    assert len([one for one in recwarn if issubclass(one.category, attnlog.AttnlogWarning)]) <= 1
    _process_ends(faulty)
    assert len(attnlog.open(folder).steps) == 6
    faulty.mend()
    result = CliRunner().invoke(main, ["sync", str(folder)])
    assert result.exit_code == 0, result.output
    kept, there = files(folder), artifacts(mlflow_server, run, tmp_path)
    assert {path: there[f"attnlog/{path}"] for path in kept} == kept
    assert set(there) == {f"attnlog/{path}" for path in kept} | {"attnlog/viewer.html"}
    # Each asset went up once, but for one whose answer was lost; manifests grow, and the viewer is remade.
    twice = {path: count for path, count in faulty.put.items() if path.endswith(".arrow") and count > 1}
    assert not twice or fault == "lost"
    assert len([path for path in faulty.put if path.endswith(".arrow")]) == len([path for path in kept if path.endswith(".arrow")])


def test_a_process_ends_though_the_server_never_answers(faulty: Proxy, mlflow_server: str, tmp_path: Path) -> None:
    run = MlflowClient(mlflow_server).create_run("0").info.run_id
    script = (
        "import sys, numpy, attnlog\n"
        "run = attnlog.Run(sys.argv[1], tracker=sys.argv[2])\n"
        "run.log(attnlog.from_tensors([numpy.full((1, 2, 2), 0.5, 'f4')], list('ab')), step=0)\n"
    )
    faulty.fail("hanging")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": faulty.address, "ATTNLOG_EXIT_WAIT": "1"}
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "run"), f"mlflow:{run}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert faulty.hanging > 0  # still
    assert f"everything is safe in {tmp_path / 'run'}, and attnlog sync delivers it" in done.stderr
    assert attnlog.open(tmp_path / "run").steps == (0,)


def test_a_run_whose_server_was_down_from_the_start_is_delivered_later(
    faulty: Proxy, captures: Any, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTNLOG_EXIT_WAIT", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", faulty.address)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    faulty.fail("500")
    folder = tmp_path / "never-there"
    with attnlog.Run(folder, tracker="mlflow") as log:
        log.log(captures(0), step=0)
    _process_ends(faulty)
    faulty.mend()
    for _ in range(2):  # the second finds the run that the first made
        result = CliRunner().invoke(main, ["sync", str(folder)])
        assert result.exit_code == 0, result.output
    made = [found for found in MlflowClient(mlflow_server).search_runs(["0"]) if found.info.run_name == "never-there"]
    assert len(made) == 1
    there = artifacts(mlflow_server, made[0].info.run_id, tmp_path)
    assert {path: there[f"attnlog/{path}"] for path in files(folder)} == files(folder)
    assert max(count for path, count in faulty.put.items() if path.endswith(".arrow")) == 1


def test_a_run_is_fetched_from_a_server_as_it_was_logged(mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_run(tmp_path / "run")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    run = MlflowClient(mlflow_server).create_run("0").info.run_id
    assert CliRunner().invoke(main, ["sync", str(folder), "--tracker", f"mlflow:{run}"]).exit_code == 0
    result = CliRunner().invoke(main, ["fetch", f"mlflow:{run}", str(tmp_path / "here")])
    assert result.exit_code == 0, result.output
    assert files(tmp_path / "here") == files(folder)
    assert re.search(rf"mlflow:{run}: \d+ files \(.*\) fetched: attnlog view ", result.output)


def _delivered_something(faulty: Proxy) -> None:
    while not faulty.put:
        time.sleep(0.02)


def _written(log: attnlog.Run) -> None:
    """Wait for the writer, as a training does that computes between steps: what is tested is delivery."""
    while log._work:
        time.sleep(0.01)


def _process_ends(faulty: Proxy) -> None:
    """What a process that ends leaves of its threads: nothing. Here they end by themselves, with nothing more delivered."""
    if faulty.fault != "closed":
        faulty.fail("500")
    faulty.released.set()
    for thread in threading.enumerate():
        if thread.name == "attnlog-mlflow":
            thread.join()
