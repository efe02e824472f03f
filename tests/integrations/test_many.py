"""Many steps, and many processes: what is held does not grow, and what all of them deliver is whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from mlflow import MlflowClient

import attnlog
from attnlog.delivery.tracker import Entry
from tests.integrations.files import artifacts, files

ROOT = Path(__file__).parents[2]
PROCESSES = 8
#: Forks, so that what is imported is imported once: importing mlflow takes longer than all that is tested.
SCRIPT = """
import os, sys
import mlflow, numpy as np
import attnlog
from attnlog.capture.tensors import from_tensors
import attnlog.format.write, attnlog.run, attnlog.view.export, attnlog_integrations.mlflow.tracker

folder, runs = sys.argv[1], sys.argv[2:]
weights = [np.random.default_rng(0).dirichlet(np.ones(16), size=(1, 4, 16)).astype("f4")] * 3
children = []
for number, named in enumerate(runs):
    child = os.fork()
    if child == 0:
        with attnlog.Run(f"{folder}/{number}", tracker=f"mlflow:{named}") as run:
            for step in range(10):
                run.log(from_tensors(weights, [[f"t{n}" for n in range(16)]]), step=step)
                while run._work:
                    pass
        os._exit(0 if run._delivery.left == 0 and run.dropped == 0 else 1)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


class Sink:
    """A tracker that takes everything and keeps nothing."""

    name = "sink"
    taken = 0

    def __init__(self, directory: Path) -> None: ...
    def put(self, entry: Entry, file: Path) -> None:
        file.read_bytes()
        Sink.taken += 1

    def refresh(self, run: Path) -> None: ...
    def where(self) -> str | None:
        return None

    def close(self) -> None: ...


#: In a process of its own: what other tests left behind comes and goes.
MANY = """
import json, os, sys
sys.path.insert(0, os.getcwd())
from pathlib import Path
os.fsync = lambda file: None  # of twenty thousand syncs none is what is tested here
from bench.steps import log_steps
from tests.integrations.test_many import Sink
print(json.dumps([Sink.taken, log_steps(Path(sys.argv[1]), 2000, Sink), Sink.taken]))
"""


def test_memory_threads_and_open_files_stay_flat_over_many_steps(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", MANY, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, seen, taken = json.loads(done.stdout.splitlines()[-1])
    assert len(attnlog.open(tmp_path / "run").steps) == 2000
    assert taken >= 3 * 2000
    warm, last = seen[1], seen[-1]
    # Two and a half kilobytes left behind by each step would show; the allocator's own steps are of up to two megabytes.
    assert last["megabytes"] - warm["megabytes"] < 3
    assert last["threads"] <= warm["threads"]
    assert last["open files"] <= warm["open files"] + 2


def test_eight_processes_write_to_one_server_at_once_and_every_run_is_whole(mlflow_server: str, tmp_path: Path) -> None:
    client = MlflowClient(mlflow_server)
    runs = [client.create_run("0").info.run_id for _ in range(PROCESSES)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_server, "ATTNLOG_EXIT_WAIT": "600"}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path), *runs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for number, run in enumerate(runs):
        kept = files(tmp_path / str(number))
        there = artifacts(mlflow_server, run, tmp_path)
        assert {path: there[f"attnlog/{path}"] for path in kept} == kept
        assert set(there) == {f"attnlog/{path}" for path in kept} | {"attnlog/viewer.html"}
        assert len(attnlog.open(tmp_path / str(number)).steps) == 10
