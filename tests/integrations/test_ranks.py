"""Trainings of two processes: one run folder, the same weights as without the callback, and no rank that waits for another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnlog

ROOT = Path(__file__).parents[2]
HANGS = 240  # seconds after which a rank that waits for another is taken to wait for ever; the waiting of ours ends before


def trained(folder: Path, *how: str) -> dict[str, Any]:
    """Train on two gloo ranks and return what rank zero says that it left."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "integrations")]),
    }
    run = subprocess.run(
        [*command, "-m", "tests.integrations.ranks_training", str(folder), *how],
        capture_output=True,
        text=True,
        timeout=HANGS,
        env=environment,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("LEFT "))
    left: dict[str, Any] = json.loads(line[5:])
    return left


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {kind: trained(tmp_path_factory.mktemp(kind), kind)["weights"] for kind in ("ddp", "fsdp")}


def test_trainings_of_two_ranks_write_one_run_each_and_keep_their_weights(tmp_path: Path, plain: dict[str, Any]) -> None:
    read = {}
    for kind in ("ddp", "fsdp"):
        left = trained(tmp_path / kind, kind, "callback")
        assert left == {"weights": plain[kind], "failures": {}}
        assert len(list((tmp_path / kind / "runs").glob("*/manifest-*.jsonl"))) == 1
        saved = attnlog.open(tmp_path / kind / "runs" / "out")
        assert list(saved.steps) == [0, 2, 4]
        read[kind] = saved.read(step=0)
    # Before the first step both models are the same, be their weights in one piece or spread over ranks.
    for layer in (0, 1):
        assert np.array_equal(read["ddp"].weights("self", layer), read["fsdp"].weights("self", layer))


@pytest.mark.parametrize("part", ["see", "capture"])
def test_when_recording_fails_on_one_rank_all_go_on_training(part: str, tmp_path: Path, plain: dict[str, Any]) -> None:
    left = trained(tmp_path, "fsdp", "callback", "broken", part)
    assert left["weights"] == plain["fsdp"]
    assert left["failures"] == {"record attention": 3}
    assert not list((tmp_path / "runs").glob("*/step-*"))
